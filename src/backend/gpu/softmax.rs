//! The objective of several classes on the device: which kernels a visit of a chunk runs.
//!
//! An evaluation reads the features twice where they lie, for `u = X P` and for `X'R`, since between the two stands the sum
//! over a row's classes; a chunk that visits comes once for all that a call needs, products of columns included.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::checksums::Checksums;
use crate::backend::gpu::chunks::{At, Away, Chunks, Core, Taken, add_slots, place, products_together, split};
use crate::backend::gpu::kernels::{EDGE, EIGHT, Kernel, PROBES, Pass, Product};
use crate::backend::gpu::seat::{
    PIECE, STAMP_BYTES, Seat, Shared, class_groups, class_slot, diagonal_slot, gram_pieces, largest_slot, margin_pairs,
    slot_len,
};
use crate::backend::layout::{Layout, TILE};
use crate::backend::storage::{Part, Touched};
use crate::backend::{Backend, RowTerms, divisor};
use crate::error::{Error, Result};
use crate::generative::Moments;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};

/// The GPU backend with a table of several classes.
pub(super) struct SoftmaxObjective {
    chunks: Chunks,
    passes: Passes,
}

/// What a visit does beside loss, residuals and gradient.
#[derive(Clone, Copy, Default)]
struct Visit {
    /// Direction margins are made, and the rows evaluated along them.
    reads_direction: bool,
    step: f32,
    /// The rows go to the step, before products are made.
    advances: bool,
    product: Option<Product>,
}

/// Sums over all rows, divided by N.
struct Means {
    probe: Probe,
    /// `[margins][features + 1]`, the intercept last.
    gradient: Vec<f64>,
    /// `[pairs][pieces][256][4]`; of the border `[x, x^2][margins][features + 1]`.
    products: Vec<f64>,
}

/// Products of columns of a pass: for how many pairs of margins, and of how many pieces.
#[derive(Clone, Copy)]
struct Products {
    product: Product,
    pairs: usize,
    pieces: usize,
}

impl Products {
    fn slot(self) -> usize {
        self.pieces * EDGE * EDGE
    }
}

/// Parts of a record that a visit reads and changes; row weights only if the table has them.
fn touched(visit: Visit) -> Touched {
    use Part::{DirectionMargins, Features, Labels, Margins, Residuals, RowWeights};
    const READ: &[Part] = &[Features, Labels, RowWeights, Margins];
    match (visit.reads_direction, visit.advances) {
        (true, true) => [READ, &[DirectionMargins, Residuals, Margins]],
        (true, false) => [READ, &[DirectionMargins, Residuals]],
        (false, _) => [READ, &[Residuals]],
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

/// What of a pass is the same for all dispatches of a visit.
fn pass_of(layout: &Layout, at: At<'_>) -> Pass {
    Pass {
        rows: layout.rows_of(at.chunk) as u32,
        stride: at.seat.stride as u32,
        features: layout.shape.features as u32,
        block_rows: layout.block_rows as u32,
        margins: layout.shape.margins() as u32,
        hessian_rows: layout.hessian_rows as u32,
        ..Pass::default()
    }
}

/// Adds the sums of the columns of a chunk and of their squares, times `p (1 - p)` of each margin, to `sums`, a bounded
/// number of blocks at a time. These stand in the place of the residuals, which are to be made after that.
fn add_diagonal(
    core: &Core,
    at: At<'_>,
    pass: &Pass,
    mut encoder: wgpu::CommandEncoder,
    sums: &mut [f64],
) -> Result<wgpu::CommandEncoder> {
    let layout = core.layout;
    let slot = sums.len();
    let pieces = class_groups(layout.shape);
    let in_flight = (core.shared.pieces.size() / 4) as usize / (slot + 2 * pieces);
    let into_pieces = [("class_slots", &core.shared.pieces)];
    let bound = at.seat.bind(&core.gpu, &core.shared, Kernel::ClassSums, &into_pieces);
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
        core.read_taken(&[taken], |slots| add_slots(slots[0], sums))?;
    }
    Ok(encoder)
}

/// Adds the products of a chunk to `sums`, a bounded number of blocks and pairs at a time. Each sum gets its blocks in
/// their order, however many go at a time.
fn add_products(
    core: &Core,
    at: At<'_>,
    products: Products,
    mut encoder: wgpu::CommandEncoder,
    sums: &mut [f64],
) -> Result<wgpu::CommandEncoder> {
    let Products { product, pairs, pieces } = products;
    let layout = core.layout;
    let slot = products.slot();
    let in_flight = (core.shared.pieces.size() / 4) as usize / (pieces * PIECE);
    let factors = core.shared.factors.as_ref().map_or(0, |factors| factors.size() as usize - STAMP_BYTES);
    let factors = factors / (at.seat.stride * 16);
    let [together, pieces_together] = products_together(core.gpu.products, in_flight, layout.hessian_rows, pieces);
    // Where pieces of one block go at a time, pairs do too.
    let pairs_in_flight = factors.min(together).min(pairs);
    if pairs_in_flight == 0 {
        return Err(Error::device(
            format!("the Hessian of {} features needs {} MiB in one buffer", layout.shape.features, slot >> 18),
            "Use --device cpu.",
        ));
    }
    let tiles = layout.rows_of(at.chunk).div_ceil(TILE);
    let hessian_blocks = layout.hessian_blocks_of(at.chunk);
    for first_pair in (0..pairs).step_by(pairs_in_flight) {
        let few = pairs_in_flight.min(pairs - first_pair);
        let sums = &mut sums[first_pair * slot..][..few * slot];
        let blocks_together = together / few;
        for first_block in (0..hessian_blocks).step_by(blocks_together) {
            let blocks = blocks_together.min(hessian_blocks - first_block);
            let pieces_of_pairs = few * pieces_together;
            for (some, first_piece) in
                sums.chunks_mut(pieces_of_pairs * EDGE * EDGE).zip((0..).step_by(pieces_together))
            {
                let pass = Pass {
                    first_block: first_block as u32,
                    first_pair: first_pair as u32,
                    first_piece,
                    product: product as u32,
                    others: (few * at.seat.stride) as u32,
                    ..pass_of(&layout, at)
                };
                if first_block == 0 && first_piece == 0 {
                    core.dispatch(&mut encoder, Kernel::SoftmaxFactor, at, &pass, [tiles, few, 1]);
                }
                let groups = [some.len() / (few * EDGE * EDGE), blocks, few];
                let dispatched = core.dispatch(&mut encoder, Kernel::Gram, at, &pass, groups);
                let taken = core.take(dispatched, &core.shared.pieces, blocks * some.len(), 0);
                core.submit(&mut encoder);
                core.read_taken(&[taken], |slots| add_slots(slots[0], some))?;
            }
        }
    }
    Ok(encoder)
}

impl SoftmaxObjective {
    pub(super) fn new(
        gpu: Gpu,
        layout: Layout,
        seats: Vec<Seat>,
        shared: Shared,
        away: Option<Away>,
        checksums: Checksums,
    ) -> Result<Self> {
        let [_, _, end] = Self::slots(&layout, (shared.pieces.size() / 4) as usize);
        let chunks = Chunks::new(gpu, layout, seats, shared, away, checksums, end)?;
        Ok(Self { chunks, passes: Passes::default() })
    }

    /// Where the slots of the terms begin in the readback buffer, behind the products in flight, where those of the
    /// gradient do, and where these end; all with their stamps.
    fn slots(layout: &Layout, products: usize) -> [usize; 3] {
        let shape = layout.shape;
        let blocks: usize = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum();
        let hessian_blocks: usize = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).sum();
        let gradient = products + blocks * (largest_slot(shape) + 4);
        [products, gradient, gradient + hessian_blocks * (class_slot(shape) + class_groups(shape))]
    }

    fn layout(&self) -> Layout {
        self.chunks.core.layout
    }

    /// One visit of each chunk: loss, slope, curvature, residuals and gradient, and what more it is to do.
    fn visit(&mut self, visit: Visit) -> Result<Means> {
        let layout = self.layout();
        let shape = layout.shape;
        // Products beside an evaluation along a direction, or on the border alone, are a pass of their own, as those of
        // two classes are.
        let is_whole = matches!(visit.product, Some(Product::Hessian | Product::Scatter)) && !visit.reads_direction;
        self.passes.data += if visit.product.is_none() || is_whole { 1 } else { 2 };
        self.passes.hessian += u64::from(visit.product.is_some());
        let is_border = visit.product == Some(Product::Border);
        let products = visit.product.filter(|_| !is_border).map(|product| Products {
            product,
            pairs: margin_pairs(shape),
            pieces: gram_pieces(shape.features),
        });
        let of_border = if is_border { diagonal_slot(shape) } else { 0 };
        let mut sums = vec![0.0; products.map_or(of_border, |products| products.pairs * products.slot())];
        let [terms_start, gradient_start, _] =
            Self::slots(&layout, (self.chunks.core.shared.pieces.size() / 4) as usize);
        let (mut terms, mut gradient): (Vec<Taken>, Vec<Taken>) = (Vec::new(), Vec::new());
        let (terms_slot, gradient_slot) = (slot_len(Kernel::SoftmaxTerms, shape), class_slot(shape));
        let eights = shape.margins().div_ceil(EIGHT);
        self.chunks.each(touched(visit), |core, at, mut encoder| {
            let (blocks, hessian_blocks) = (layout.blocks_of(at.chunk), layout.hessian_blocks_of(at.chunk));
            let tiles = layout.rows_of(at.chunk).div_ceil(TILE);
            let pass = Pass {
                reads_direction: visit.reads_direction.into(),
                steps: [visit.step, 0.0, 0.0, 0.0],
                ..pass_of(&layout, at)
            };
            if visit.reads_direction {
                core.dispatch(&mut encoder, Kernel::SoftmaxMargin, at, &pass, [eights, tiles, 1]);
            }
            if is_border {
                encoder = add_diagonal(core, at, &pass, encoder, &mut sums)?;
            }
            let of_terms = core.dispatch(&mut encoder, Kernel::SoftmaxTerms, at, &pass, [blocks, 1, 1]);
            let groups = [class_groups(shape), hessian_blocks, 1];
            let of_gradient = core.dispatch(&mut encoder, Kernel::ClassSums, at, &pass, groups);
            if visit.advances {
                core.dispatch(&mut encoder, Kernel::Advance, at, &pass, [blocks, shape.margins(), 1]);
            }
            let class_slots = at.seat.class_slots.as_ref().expect("the table has several margins");
            for (dispatched, slots, len, taken, start) in [
                (of_terms, &at.seat.slots, blocks * terms_slot, &mut terms, terms_start),
                (of_gradient, class_slots, hessian_blocks * gradient_slot, &mut gradient, gradient_start),
            ] {
                let place = taken.last().map_or(start, Taken::end);
                taken.push(core.take(dispatched, slots, len, place));
            }
            let Some(products) = products else { return Ok(encoder) };
            core.submit(&mut encoder);
            add_products(core, at, products, encoder, &mut sums)
        })?;
        let core = &self.chunks.core;
        let means = core.mean_of_slots(terms_slot, &terms)?;
        let probe = probe_of(&means, visit.step, 0);
        let gradient = core.mean_of_slots(gradient_slot, &gradient)?;
        for sum in &mut sums {
            *sum /= divisor(core.weight);
        }
        Ok(Means { probe, gradient, products: sums })
    }

    /// Margins afresh, of these parameters `[margins][features + 1]`.
    fn start(&mut self, parameters: &[f32], features: usize) -> Result<()> {
        let layout = self.layout();
        let eights = layout.shape.margins().div_ceil(EIGHT);
        self.chunks.core.write_parameters(&in_eights(parameters, features));
        let reads: &[Part] = if features > 0 { &[Part::Features] } else { &[] };
        self.chunks.each([reads, &[Part::Margins]], |core, at, mut encoder| {
            let pass = Pass { features: features as u32, ..pass_of(&layout, at) };
            let into_margins = [("direction_margins", &at.seat.margins)];
            let bound = at.seat.bind(&core.gpu, &core.shared, Kernel::SoftmaxMargin, &into_margins);
            let groups = [eights, layout.rows_of(at.chunk).div_ceil(TILE), 1];
            let before = core.stamps.of_chunk(at.chunk);
            core.dispatch_bound(&mut encoder, Kernel::SoftmaxMargin, at, &bound, &pass, groups);
            core.stamps.starts(at.chunk, before);
            Ok(encoder)
        })
    }

    fn advance(&mut self, step: f32) -> Result<()> {
        let layout = self.layout();
        let touched: Touched = [&[Part::Margins, Part::DirectionMargins], &[Part::Margins]];
        self.chunks.each(touched, |core, at, mut encoder| {
            let pass = Pass { steps: [step, 0.0, 0.0, 0.0], ..pass_of(&layout, at) };
            let groups = [layout.blocks_of(at.chunk), layout.shape.margins(), 1];
            core.dispatch(&mut encoder, Kernel::Advance, at, &pass, groups);
            Ok(encoder)
        })
    }

    /// Loss, slope and curvature at up to [`PROBES`] steps.
    fn probe(&mut self, steps: &[f32]) -> Result<Vec<Probe>> {
        let layout = self.layout();
        let slot = slot_len(Kernel::SoftmaxTerms, layout.shape);
        let mut padded = [0.0; PROBES];
        padded[..steps.len()].copy_from_slice(steps);
        let mut taken: Vec<Taken> = Vec::new();
        let touched: Touched = [&[Part::Labels, Part::RowWeights, Part::Margins, Part::DirectionMargins], &[]];
        self.chunks.each(touched, |core, at, mut encoder| {
            let blocks = layout.blocks_of(at.chunk);
            let pass = Pass { reads_direction: 1, probes: steps.len() as u32, steps: padded, ..pass_of(&layout, at) };
            let dispatched = core.dispatch(&mut encoder, Kernel::SoftmaxTerms, at, &pass, [blocks, 1, 1]);
            let place = taken.last().map_or(0, Taken::end);
            taken.push(core.take(dispatched, &at.seat.slots, blocks * slot, place));
            Ok(encoder)
        })?;
        let means = self.chunks.core.mean_of_slots(slot, &taken)?;
        Ok(steps.iter().enumerate().map(|(index, &step)| probe_of(&means, step, index)).collect())
    }

    fn evaluation(&self, means: Means, product: Option<Product>) -> Evaluation {
        let Layout { shape, .. } = self.layout();
        let features = shape.features;
        let Means { probe, gradient, products } = means;
        let mut evaluation = Evaluation { value: probe.value, gradient, diagonal: None, hessian: None };
        match product {
            None => {}
            Some(Product::Border) => {
                let (with_intercept, own) = products.split_at(class_slot(shape));
                evaluation.diagonal = Some(Diagonal { own: own.to_vec(), with_intercept: with_intercept.to_vec() });
            }
            Some(_) => {
                let of_pair = gram_pieces(features) * EDGE * EDGE;
                let entry = |a: usize, b: usize| {
                    let (m, l) = (a / (features + 1), b / (features + 1));
                    let (i, j) = (a % (features + 1), b % (features + 1));
                    // A block of two margins is symmetric, as the product of each is.
                    let (i, j) = (i.max(j), i.min(j));
                    let (row, column) = (i / EDGE, j / EDGE);
                    let pair = m * (m + 1) / 2 + l;
                    products[pair * of_pair + place(row * (row + 1) / 2 + column, i, j)]
                };
                evaluation.hessian = Some(Symmetric::from_lower(shape.parameters(), entry));
            }
        }
        evaluation
    }

    /// Evaluates where a visit ends.
    fn evaluate(&mut self, visit: Visit, need: Need) -> Result<Evaluation> {
        let product = match need {
            Need::Gradient => None,
            Need::Diagonal => Some(Product::Border),
            Need::Hessian => Some(Product::Hessian),
        };
        let means = self.visit(Visit { product, ..visit })?;
        Ok(self.evaluation(means, product))
    }
}

/// One of the steps of a slot of the terms.
fn probe_of(means: &[f64], step: f32, index: usize) -> Probe {
    Probe {
        step: f64::from(step),
        value: means[index],
        slope: means[PROBES + index],
        curvature: means[2 * PROBES + index],
    }
}

impl Objective for SoftmaxObjective {
    fn dimension(&self) -> usize {
        self.layout().shape.parameters()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        let features = self.layout().shape.features;
        let (high, low) = split(point);
        let weights_are_zero =
            |half: &[f32]| half.chunks(features + 1).all(|margin| margin[..features].iter().all(|w| *w == 0.0));
        let intercepts =
            |half: &[f32]| -> Vec<f32> { half.iter().skip(features).step_by(features + 1).copied().collect() };
        if weights_are_zero(&low) && weights_are_zero(&high) {
            // A start at zero: the margins are the intercepts, and no pass over the features is needed for them.
            self.start(&intercepts(&high), 0)?;
            return self.evaluate(Visit::default(), need);
        }
        if weights_are_zero(&low) {
            self.start(&intercepts(&low), 0)?;
        } else {
            self.passes.data += 1;
            self.start(&low, features)?;
        }
        self.chunks.core.write_parameters(&in_eights(&high, features));
        self.evaluate(Visit { reads_direction: true, step: 1.0, advances: true, product: None }, need)
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(direction.len(), self.dimension(), "parameters of the direction and of the table");
        let rounded: Vec<f32> = direction.iter().map(|&p| p as f32).collect();
        for (p, rounded) in direction.iter_mut().zip(&rounded) {
            *p = f64::from(*rounded);
        }
        self.chunks.core.write_parameters(&in_eights(&rounded, self.layout().shape.features));
        let first =
            self.visit(Visit { reads_direction: true, step: first_step as f32, advances: false, product: None })?;
        Ok(Box::new(SoftmaxLine { softmax: self, first }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let product = Some(Product::Scatter);
        let means = self.visit(Visit { product, ..Visit::default() })?;
        self.evaluation(means, product)
            .hessian
            .ok_or_else(|| Error::internal("a Hessian pass came without its product"))
    }

    fn passes(&self) -> Passes {
        self.passes
    }
}

struct SoftmaxLine<'a> {
    softmax: &'a mut SoftmaxObjective,
    first: Means,
}

impl Line for SoftmaxLine<'_> {
    fn first(&self) -> Probe {
        self.first.probe
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        let mut probes = Vec::with_capacity(steps.len());
        for few in steps.chunks(PROBES) {
            self.softmax.passes.line += few.len() as u64;
            let few: Vec<f32> = few.iter().map(|&step| step as f32).collect();
            probes.extend(self.softmax.probe(&few)?);
        }
        Ok(probes)
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        let Self { softmax, first } = *self;
        softmax.advance(step as f32)?;
        if f64::from(step as f32) == first.probe.step && need == Need::Gradient {
            return Ok(softmax.evaluation(first, None));
        }
        softmax.evaluate(Visit::default(), need)
    }
}

impl Backend for SoftmaxObjective {
    fn weight(&self) -> f64 {
        self.chunks.core.weight
    }

    fn moments(&mut self) -> Result<Moments> {
        self.passes.data += 1;
        self.chunks.moments()
    }

    fn check(&mut self) -> Result<()> {
        self.chunks.check()
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        self.chunks.row_terms()
    }
}
