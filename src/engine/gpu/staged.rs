//! The program of several margins: a kernel for each step, since between `u = X P` and `X'R` stands the sum over a row's
//! classes. Features are read twice where they lie; a chunk that visits comes once for all that a call needs, products of
//! columns included.

use crate::engine::gpu::chunks::Chunks;
use crate::engine::gpu::dispatch::{At, Core, Taken, pass_of, products_together};
use crate::engine::gpu::engine::{Program, Visit, Visited, probe_of};
use crate::engine::gpu::kernels::{EDGE, EIGHT, Kernel, Pass, Product};
use crate::engine::gpu::shared::{STAMP_BYTES, Shared, factor_bytes};
use crate::engine::gpu::slots::{
    PIECE, SlotSums, class_groups, class_slot, diagonal_slot, gram_pieces, largest_slot, margin_pairs, place, slot_len,
};
use crate::engine::layout::{Layout, TILE};
use crate::engine::storage::{Access, Part};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation};

/// The program of several margins.
pub(super) struct Staged;

/// Parts of a host chunk that a visit reads and changes; row weights only if the table has them.
fn access(visit: Visit<'_>) -> Access {
    use Part::{DirectionMargins, Features, Labels, Margins, Residuals, RowWeights};
    const READ: &[Part] = &[Features, Labels, RowWeights, Margins];
    match (visit.along, visit.advances) {
        (Some(_), true) => Access { reads: READ, writes: &[DirectionMargins, Residuals, Margins] },
        (Some(_), false) => Access { reads: READ, writes: &[DirectionMargins, Residuals] },
        (None, _) => Access { reads: READ, writes: &[Residuals] },
    }
}

/// `[margins][features + 1]`, the intercept last, as the device has them: eight margins side by side, the last ones with
/// zeros where there are fewer.
fn in_eights(parameters: &[f32], features: usize) -> Vec<f32> {
    let margins: Vec<&[f32]> = parameters.chunks_exact(features + 1).collect();
    let eight = |margins: &[&[f32]]| -> Vec<f32> {
        let at = |j: usize, i: usize| margins.get(i).map_or(0.0, |margin| margin[j]);
        (0..=features).flat_map(|j| (0..EIGHT).map(move |i| (j, i))).map(|(j, i)| at(j, i)).collect()
    };
    margins.chunks(EIGHT).flat_map(eight).collect()
}

/// Adds the sums of the columns of a chunk and of their squares, times `p (1 - p)` of each margin, to `sums`, a bounded
/// number of blocks at a time. These stand in the place of the residuals, which are to be made after that.
fn add_diagonal(
    core: &Core,
    at: At<'_>,
    pass: &Pass,
    mut encoder: wgpu::CommandEncoder,
    sums: &mut SlotSums,
) -> Result<wgpu::CommandEncoder> {
    let layout = core.layout.clone();
    let slot = sums.slot();
    let pieces = class_groups(layout.shape);
    let in_flight = (core.shared.pieces.size() / 4) as usize / (slot + 2 * pieces);
    let into_pieces = [("class_slots", &core.shared.pieces)];
    let bound = at.buffers.bind(&core.gpu, &core.shared, Kernel::ClassSums, &into_pieces);
    let hessian_blocks = layout.hessian_blocks_of(at.chunk);
    for first_block in (0..hessian_blocks).step_by(in_flight) {
        let blocks = in_flight.min(hessian_blocks - first_block);
        let pass = Pass { first_block: first_block as u32, product: Product::Border as u32, ..*pass };
        if first_block == 0 {
            core.dispatch(&mut encoder, Kernel::SoftmaxTerms, at, &pass, [layout.blocks_of(at.chunk), 1, 1]);
        }
        let groups = [pieces, blocks, 2];
        let dispatched = core.dispatch_bound(&mut encoder, Kernel::ClassSums, at, &bound, &pass, groups);
        let taken = core.take(dispatched, &core.shared.pieces, blocks * slot, 0);
        core.submit(&mut encoder);
        core.read_taken(&[taken], |slots| sums.add(slots[0]))?;
    }
    Ok(encoder)
}

/// The sums of the products of a pass, and how many go at a time.
struct ProductSums {
    product: Product,
    pieces: usize,
    /// Of a block with one pair.
    together: usize,
    pieces_together: usize,
    /// Pairs of margins that go at a time, by the first of them: their sums, of so many pieces at a time.
    pairs: Vec<(usize, usize, Vec<SlotSums>)>,
}

impl ProductSums {
    fn new(core: &Core, product: Product) -> Result<Self> {
        let layout = core.layout.clone();
        let (pairs, pieces) = (margin_pairs(layout.shape), gram_pieces(layout.shape.features));
        let slot = pieces * EDGE * EDGE;
        let in_flight = (core.shared.pieces.size() / 4) as usize / (pieces * PIECE);
        let factors = core.shared.factors.as_ref().map_or(0, |factors| factors.size() as usize - STAMP_BYTES);
        let factors = factors / factor_bytes(&layout);
        let [together, pieces_together] = products_together(core.gpu.products, in_flight, layout.hessian_rows, pieces);
        // Where pieces of one block go at a time, pairs do too.
        let pairs_in_flight = factors.min(together).min(pairs);
        if pairs_in_flight == 0 {
            return Err(Error::device(
                format!("the Hessian of {} features needs {} MiB in one buffer", layout.shape.features, slot >> 18),
                "Use ⟦device cpu⟧.",
            ));
        }
        let sums = |few: usize| -> Vec<SlotSums> {
            let some = |first| pieces_together.min(pieces - first) * few * EDGE * EDGE;
            let firsts = (0..pieces).step_by(pieces_together);
            firsts.map(|first| SlotSums::of_hessian(&layout, some(first), pairs * slot)).collect()
        };
        let few = |first: usize| pairs_in_flight.min(pairs - first);
        let pairs = (0..pairs).step_by(pairs_in_flight).map(|first| (first, few(first), sums(few(first)))).collect();
        Ok(Self { product, pieces, together, pieces_together, pairs })
    }

    /// Adds the products of a chunk, a bounded number of blocks and pairs at a time. Each sum gets its blocks in their
    /// order, however many go at a time.
    fn add(&mut self, core: &Core, at: At<'_>, mut encoder: wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder> {
        let Self { product, pieces_together, together, pairs, .. } = self;
        let layout = core.layout.clone();
        let tiles = layout.rows_of(at.chunk).div_ceil(TILE);
        let hessian_blocks = layout.hessian_blocks_of(at.chunk);
        for (first_pair, few, sums) in pairs {
            let blocks_together = *together / *few;
            for first_block in (0..hessian_blocks).step_by(blocks_together) {
                let blocks = blocks_together.min(hessian_blocks - first_block);
                for (some, first_piece) in sums.iter_mut().zip((0..).step_by(*pieces_together)) {
                    let pass = Pass {
                        first_block: first_block as u32,
                        first_pair: *first_pair as u32,
                        first_piece,
                        product: *product as u32,
                        others: (*few * at.buffers.stride) as u32,
                        ..pass_of(&layout, at)
                    };
                    if first_block == 0 && first_piece == 0 {
                        core.dispatch(&mut encoder, Kernel::SoftmaxFactor, at, &pass, [tiles, *few, 1]);
                    }
                    let groups = [some.slot() / (*few * EDGE * EDGE), blocks, *few];
                    let dispatched = core.dispatch(&mut encoder, Kernel::Gram, at, &pass, groups);
                    let taken = core.take(dispatched, &core.shared.pieces, blocks * some.slot(), 0);
                    core.submit(&mut encoder);
                    core.read_taken(&[taken], |slots| some.add(slots[0]))?;
                }
            }
        }
        Ok(encoder)
    }

    /// The means as a matrix, by parameters: margin by margin, the intercept of each last.
    fn matrix(self, core: &Core) -> Symmetric {
        let Layout { shape, .. } = core.layout;
        let size = shape.features + 1;
        let of_pair = self.pieces * EDGE * EDGE;
        let means = core.means(self.pairs.into_iter().flat_map(|(_, _, sums)| sums).collect());
        let entry = |a: usize, b: usize| {
            // A block of two margins is symmetric, as the product of each is.
            let (i, j) = ((a % size).max(b % size), (a % size).min(b % size));
            let (m, l) = (a / size, b / size);
            let (row, column) = (i / EDGE, j / EDGE);
            means[(m * (m + 1) / 2 + l) * of_pair + place(row * (row + 1) / 2 + column, i, j)]
        };
        Symmetric::from_lower(shape.parameters(), entry)
    }
}

/// Where the slots of the terms begin in the readback buffer, behind the products in flight, where those of the gradient do,
/// and where these end; all with their stamps.
fn places(layout: &Layout, shared: &Shared) -> [usize; 3] {
    let shape = layout.shape;
    let products = (shared.pieces.size() / 4) as usize;
    let blocks: usize = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum();
    let hessian_blocks: usize = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).sum();
    let gradient = products + blocks * (largest_slot(shape) + 4);
    [products, gradient, gradient + hessian_blocks * (class_slot(shape) + class_groups(shape))]
}

impl Program for Staged {
    const PROBE: Kernel = Kernel::SoftmaxTerms;

    fn slots(layout: &Layout, shared: &Shared) -> usize {
        let [_, _, end] = places(layout, shared);
        end
    }

    fn start(chunks: &mut Chunks, parameters: &[f32], reads_features: bool) -> Result<()> {
        let layout = chunks.core.layout.clone();
        let all = layout.shape.features;
        let intercepts: Vec<f32> = parameters.iter().skip(all).step_by(all + 1).copied().collect();
        let (parameters, features) = if reads_features { (parameters, all) } else { (&intercepts[..], 0) };
        let eights = layout.shape.margins().div_ceil(EIGHT);
        chunks.core.write_parameters(&in_eights(parameters, features));
        let reads: &[Part] = if reads_features { &[Part::Features, Part::Offsets] } else { &[Part::Offsets] };
        chunks.each(Access { reads, writes: &[Part::Margins] }, |core, at, mut encoder| {
            let pass = Pass { features: features as u32, ..pass_of(&layout, at) };
            let into_margins = [("direction_margins", &at.buffers.margins)];
            let bound = at.buffers.bind(&core.gpu, &core.shared, Kernel::SoftmaxMargin, &into_margins);
            let groups = [eights, layout.rows_of(at.chunk).div_ceil(TILE), 1];
            let before = core.stamps.of_chunk(at.chunk);
            core.dispatch_bound(&mut encoder, Kernel::SoftmaxMargin, at, &bound, &pass, groups);
            core.stamps.starts(at.chunk, before);
            Ok(encoder)
        })
    }

    /// One visit of each chunk.
    fn visit(chunks: &mut Chunks, visit: Visit<'_>) -> Result<Visited> {
        let layout = chunks.core.layout.clone();
        let shape = layout.shape;
        if let Some((direction, _)) = visit.along {
            chunks.core.write_parameters(&in_eights(direction, shape.features));
        }
        let mut border = (visit.product == Some(Product::Border))
            .then(|| SlotSums::of_hessian(&layout, diagonal_slot(shape), diagonal_slot(shape)));
        let products = visit.product.filter(|product| *product != Product::Border);
        let mut products = products.map(|product| ProductSums::new(&chunks.core, product)).transpose()?;
        let [terms_start, gradient_start, _] = places(&layout, &chunks.core.shared);
        let (mut terms, mut gradient): (Vec<Taken>, Vec<Taken>) = (Vec::new(), Vec::new());
        let (terms_slot, gradient_slot) = (slot_len(Kernel::SoftmaxTerms, shape), class_slot(shape));
        let eights = shape.margins().div_ceil(EIGHT);
        let step = visit.along.map_or(0.0, |(_, step)| step);
        chunks.each(access(visit), |core, at, mut encoder| {
            let (blocks, hessian_blocks) = (layout.blocks_of(at.chunk), layout.hessian_blocks_of(at.chunk));
            let tiles = layout.rows_of(at.chunk).div_ceil(TILE);
            let pass = Pass {
                reads_direction: visit.along.is_some().into(),
                steps: [step, 0.0, 0.0, 0.0],
                ..pass_of(&layout, at)
            };
            if visit.along.is_some() {
                core.dispatch(&mut encoder, Kernel::SoftmaxMargin, at, &pass, [eights, tiles, 1]);
            }
            if let Some(border) = &mut border {
                encoder = add_diagonal(core, at, &pass, encoder, border)?;
            }
            let of_terms = core.dispatch(&mut encoder, Kernel::SoftmaxTerms, at, &pass, [blocks, 1, 1]);
            let groups = [class_groups(shape), hessian_blocks, 1];
            let of_gradient = core.dispatch(&mut encoder, Kernel::ClassSums, at, &pass, groups);
            if visit.advances {
                core.dispatch(&mut encoder, Kernel::Advance, at, &pass, [blocks, shape.margins(), 1]);
            }
            let class_slots = at.buffers.class_slots.as_ref().expect("the table has several margins");
            for (dispatched, slots, len, taken, start) in [
                (of_terms, &at.buffers.slots, blocks * terms_slot, &mut terms, terms_start),
                (of_gradient, class_slots, hessian_blocks * gradient_slot, &mut gradient, gradient_start),
            ] {
                let place = taken.last().map_or(start, Taken::end);
                taken.push(core.take(dispatched, slots, len, place));
            }
            let Some(products) = &mut products else { return Ok(encoder) };
            core.submit(&mut encoder);
            products.add(core, at, encoder)
        })?;
        let core = &chunks.core;
        let means = core.mean_of_slots(terms_slot, &terms)?;
        let probe = probe_of(&means, step, 0);
        let gradient = core.mean_of_slots(gradient_slot, &gradient)?;
        let diagonal = border.map(|border| {
            let mut with_intercept = core.means(vec![border]);
            let own = with_intercept.split_off(class_slot(shape));
            Diagonal { own, with_intercept }
        });
        let hessian = products.map(|products| products.matrix(core));
        Ok(Visited { probe, evaluation: Evaluation { value: probe.value, gradient, diagonal, hessian } })
    }
}
