//! The program of one margin: an evaluation reads the features once, for `u = X p` and for `X'r` while a tile of rows lies in
//! registers; the Hessian comes with loss and gradient in one more pass.

use crate::engine::gpu::chunks::Chunks;
use crate::engine::gpu::dispatch::{Taken, pass_of, products_together};
use crate::engine::gpu::engine::{Program, Visit, Visited};
use crate::engine::gpu::kernels::{EDGE, Kernel, Pass, Product, SLOT_HEAD};
use crate::engine::gpu::shared::Shared;
use crate::engine::gpu::slots::{PIECE, SlotSums, border_edges, hessian_pieces, largest_slot, place, slot_len};
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, Part};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Probe};

/// The program of one margin.
pub(super) struct Fused;

const EVALUATE: Access =
    Access { reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], writes: &[Part::Residuals] };
const EVALUATE_ALONG: Access = Access { reads: EVALUATE.reads, writes: &[Part::DirectionMargins, Part::Residuals] };

impl Program for Fused {
    const PROBE: Kernel = Kernel::Probe;

    fn slots(layout: &Layout, _: &Shared) -> usize {
        let blocks: usize = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum();
        blocks * (largest_slot(layout.shape) + 4)
    }

    fn start(chunks: &mut Chunks, parameters: &[f32], reads_features: bool) -> Result<()> {
        let layout = chunks.core.layout.clone();
        let (intercept, weights) = parameters.split_last().expect("the intercept is always there");
        if reads_features {
            chunks.core.write_parameters(weights);
        }
        let reads: &[Part] = if reads_features { &[Part::Features, Part::Offsets] } else { &[Part::Offsets] };
        chunks.each(Access { reads, writes: &[Part::Margins] }, |core, at, mut encoder| {
            let features = if reads_features { layout.shape.features as u32 } else { 0 };
            let pass = Pass { features, intercept: *intercept, ..pass_of(&layout, at) };
            core.dispatch(&mut encoder, Kernel::Margin, at, &pass, [layout.blocks_of(at.chunk), 1, 1]);
            Ok(encoder)
        })
    }

    fn visit(chunks: &mut Chunks, visit: Visit<'_>) -> Result<Visited> {
        // The product of the Hessian has loss and gradient among its rows.
        let is_whole = matches!(visit.product, Some(Product::Hessian | Product::Scatter));
        let evaluated = if visit.along.is_some() || !is_whole { Some(evaluate(chunks, visit)?) } else { None };
        if let (Some((_, step)), true) = (visit.along, visit.advances) {
            chunks.advance(step)?;
        }
        let visited = match (visit.product, evaluated) {
            (Some(Product::Border), Some(visited)) => {
                let diagonal = Some(diagonal(chunks)?);
                Visited { evaluation: Evaluation { diagonal, ..visited.evaluation }, ..visited }
            }
            (None, Some(visited)) => visited,
            (product, evaluated) => {
                let evaluation = hessian(chunks, product.unwrap_or(Product::Hessian))?;
                let here = Probe { step: 0.0, value: evaluation.value, slope: 0.0, curvature: 0.0 };
                Visited { probe: evaluated.map_or(here, |visited| visited.probe), evaluation }
            }
        };
        Ok(visited)
    }
}

/// One pass over the features: loss, slope, curvature and gradient.
fn evaluate(chunks: &mut Chunks, visit: Visit<'_>) -> Result<Visited> {
    let layout = chunks.core.layout.clone();
    let features = layout.shape.features;
    let (access, intercept, step) = match visit.along {
        Some((direction, step)) => {
            chunks.core.write_parameters(&direction[..features]);
            (EVALUATE_ALONG, direction[features], step)
        }
        None => (EVALUATE, 0.0, 0.0),
    };
    let slot = slot_len(Kernel::Evaluate, layout.shape);
    let mut taken: Vec<Taken> = Vec::new();
    chunks.each(access, |core, at, mut encoder| {
        let blocks = layout.blocks_of(at.chunk);
        let pass = Pass {
            reads_direction: visit.along.is_some().into(),
            intercept,
            steps: [step, 0.0, 0.0, 0.0],
            ..pass_of(&layout, at)
        };
        let dispatched = core.dispatch(&mut encoder, Kernel::Evaluate, at, &pass, [blocks, 1, 1]);
        let place = taken.last().map_or(0, Taken::end);
        taken.push(core.take(dispatched, &at.buffers.slots, blocks * slot, place));
        Ok(encoder)
    })?;
    let means = chunks.core.mean_of_slots(slot, &taken)?;
    let [value, slope, curvature, residual] = *means.first_chunk::<SLOT_HEAD>().expect("a slot has its head");
    let mut gradient = means[SLOT_HEAD..].to_vec();
    gradient.push(residual);
    Ok(Visited {
        probe: Probe { step: f64::from(step), value, slope, curvature },
        evaluation: Evaluation { value, gradient, diagonal: None, hessian: None },
    })
}

/// Means of the pieces of a product of columns where the rows stand: one pass over the features. Slots are drained in the
/// order of their blocks, a bounded number at a time. `[pieces][256][4]`.
fn product(chunks: &mut Chunks, product: Product, pieces: usize) -> Result<Vec<f64>> {
    let layout = chunks.core.layout.clone();
    let core = &chunks.core;
    let in_flight = (core.shared.pieces.size() / 4) as usize / (pieces * PIECE);
    if in_flight == 0 {
        return Err(Error::device(
            format!(
                "the Hessian of {} features needs {} MiB in one buffer",
                layout.shape.features,
                (pieces * EDGE * EDGE) >> 18
            ),
            "Use ⟦preconditioner subsample⟧, or ⟦device cpu⟧.",
        ));
    }
    let [blocks_together, pieces_together] =
        products_together(core.gpu.products, in_flight, layout.hessian_rows, pieces);
    let mut sums: Vec<SlotSums> = (0..pieces)
        .step_by(pieces_together)
        .map(|first| {
            SlotSums::of_hessian(&layout, pieces_together.min(pieces - first) * EDGE * EDGE, pieces * EDGE * EDGE)
        })
        .collect();
    chunks.each(EVALUATE, |core, at, mut encoder| {
        let hessian_blocks = layout.hessian_blocks_of(at.chunk);
        for first_block in (0..hessian_blocks).step_by(blocks_together) {
            let blocks = blocks_together.min(hessian_blocks - first_block);
            for (few, first_piece) in sums.iter_mut().zip((0..).step_by(pieces_together)) {
                let pass = Pass {
                    first_block: first_block as u32,
                    first_piece,
                    product: product as u32,
                    ..pass_of(&layout, at)
                };
                let groups = [few.slot() / (EDGE * EDGE), blocks, 1];
                let dispatched = core.dispatch(&mut encoder, Kernel::Hessian, at, &pass, groups);
                let taken = core.take(dispatched, &core.shared.pieces, blocks * few.slot(), 0);
                core.submit(&mut encoder);
                core.read_taken(&[taken], |slots| few.add(slots[0]))?;
            }
        }
        Ok(encoder)
    })?;
    Ok(chunks.core.means(sums))
}

/// Loss, gradient and Hessian, or with the scatter that in place of the Hessian, where the rows stand: one pass.
fn hessian(chunks: &mut Chunks, of: Product) -> Result<Evaluation> {
    let features = chunks.core.layout.shape.features;
    let sums = product(chunks, of, hessian_pieces(features))?;
    let entry = |i: usize, j: usize| {
        let (row, column) = (i / EDGE, j / EDGE);
        sums[place(row * (row + 1) / 2 + column, i, j)]
    };
    Ok(Evaluation {
        value: entry(features + 2, features),
        gradient: (0..=features).map(|j| entry(features + 1, j)).collect(),
        diagonal: None,
        hessian: Some(Symmetric::from_lower(features + 1, entry)),
    })
}

/// The diagonal of the Hessian and its row of the intercept where the rows stand: one pass.
fn diagonal(chunks: &mut Chunks) -> Result<Diagonal> {
    let features = chunks.core.layout.shape.features;
    let edges = border_edges(features);
    let sums = product(chunks, Product::Border, 2 * edges)?;
    Ok(Diagonal {
        own: (0..=features).map(|j| sums[place(j / EDGE, j, j)]).collect(),
        with_intercept: (0..=features).map(|j| sums[place(edges + j / EDGE, features, j)]).collect(),
    })
}
