//! The objective on the device: which kernels a call runs, and how their slots become sums.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::checksums::Checksums;
use crate::backend::gpu::chunks::{Away, Chunks, Taken, add_slots, place, products_together, split};
use crate::backend::gpu::kernels::{EDGE, Kernel, PROBES, Pass, Product, SLOT_HEAD};
use crate::backend::gpu::seat::{PIECE, Seat, Shared, border_edges, hessian_pieces, largest_slot, slot_len};
use crate::backend::layout::Layout;
use crate::backend::storage::{Part, Touched};
use crate::backend::{Backend, RowTerms, divisor};
use crate::error::{Error, Result};
use crate::generative::Moments;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};

/// The GPU backend with a table.
pub(super) struct GpuObjective {
    chunks: Chunks,
    passes: Passes,
}

/// Sums of an evaluation over all rows, divided by N.
struct Means {
    probe: Probe,
    /// `[features + 1]`, the intercept last.
    gradient: Vec<f64>,
}

impl From<Means> for Evaluation {
    fn from(means: Means) -> Self {
        Self { value: means.probe.value, gradient: means.gradient, diagonal: None, hessian: None }
    }
}

/// What differs between the dispatches of a kernel.
#[derive(Clone, Copy, Default)]
struct Dispatch {
    /// Columns that the kernel reads; 0 where the weights are all zero.
    features: usize,
    reads_direction: bool,
    intercept: f32,
    steps: [f32; PROBES],
    /// How many of the steps are probed.
    probes: usize,
}

/// Parts of a record that a dispatch of `kernel` reads and changes; row weights and offsets only if the table has them.
fn touched(kernel: Kernel, dispatch: Dispatch) -> Touched {
    use Part::{DirectionMargins, Features, Labels, Margins, Offsets, Residuals, RowWeights};
    match kernel {
        Kernel::Margin if dispatch.features == 0 => [&[Offsets], &[Margins]],
        Kernel::Margin => [&[Features, Offsets], &[Margins]],
        Kernel::Evaluate if dispatch.reads_direction => {
            [&[Features, Labels, RowWeights, Margins], &[DirectionMargins, Residuals]]
        }
        Kernel::Evaluate | Kernel::Hessian => [&[Features, Labels, RowWeights, Margins], &[Residuals]],
        Kernel::Probe => [&[Labels, RowWeights, Margins, DirectionMargins], &[]],
        Kernel::Advance => [&[Margins, DirectionMargins], &[Margins]],
        other => unreachable!("{other:?} is of a softmax"),
    }
}

impl GpuObjective {
    pub(super) fn new(
        gpu: Gpu,
        layout: Layout,
        seats: Vec<Seat>,
        shared: Shared,
        away: Option<Away>,
        checksums: Checksums,
    ) -> Result<Self> {
        let blocks: usize = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum();
        let slots = blocks * (largest_slot(layout.shape) + 4);
        let chunks = Chunks::new(gpu, layout, seats, shared, away, checksums, slots)?;
        Ok(Self { chunks, passes: Passes::default() })
    }

    fn features(&self) -> usize {
        self.chunks.core.layout.shape.features
    }

    /// Runs `kernel` over every chunk, and copies their slots to the readback buffer, if it leaves some.
    fn run(&mut self, kernel: Kernel, dispatch: Dispatch) -> Result<Vec<Taken>> {
        let layout = self.chunks.core.layout;
        let slot = slot_len(kernel, layout.shape);
        let mut taken: Vec<Taken> = Vec::new();
        self.chunks.each(touched(kernel, dispatch), |core, at, mut encoder| {
            let blocks = layout.blocks_of(at.chunk);
            let pass = Pass {
                rows: layout.rows_of(at.chunk) as u32,
                stride: at.seat.stride as u32,
                features: dispatch.features as u32,
                block_rows: layout.block_rows as u32,
                reads_direction: dispatch.reads_direction.into(),
                intercept: dispatch.intercept,
                steps: dispatch.steps,
                probes: dispatch.probes as u32,
                ..Pass::default()
            };
            let dispatched = core.dispatch(&mut encoder, kernel, at, &pass, [blocks, 1, 1]);
            if slot > 0 {
                let place = taken.last().map_or(0, Taken::end);
                taken.push(core.take(dispatched, &at.seat.slots, blocks * slot, place));
            }
            Ok(encoder)
        })?;
        Ok(taken)
    }

    /// One pass over the features: loss, slope, curvature and gradient.
    fn evaluate(&mut self, dispatch: Dispatch) -> Result<Means> {
        self.passes.data += 1;
        let features = self.features();
        let slots = self.run(Kernel::Evaluate, Dispatch { features, ..dispatch })?;
        let sums = self.chunks.core.mean_of_slots(features + SLOT_HEAD, &slots)?;
        let [value, slope, curvature, residual] = *sums.first_chunk::<SLOT_HEAD>().expect("a slot has its head");
        let mut gradient = sums[SLOT_HEAD..].to_vec();
        gradient.push(residual);
        Ok(Means { probe: Probe { step: f64::from(dispatch.steps[0]), value, slope, curvature }, gradient })
    }

    /// Sums of the pieces of a product of columns where the rows stand: one pass over the features. Slots are drained in
    /// the order of their blocks, a bounded number at a time. `[pieces][256][4]`, divided by N.
    fn product(&mut self, product: Product, pieces: usize) -> Result<Vec<f64>> {
        self.passes.data += 1;
        self.passes.hessian += 1;
        let slot = pieces * EDGE * EDGE;
        let layout = self.chunks.core.layout;
        let in_flight = (self.chunks.core.shared.pieces.size() / 4) as usize / (pieces * PIECE);
        if in_flight == 0 {
            return Err(Error::device(
                format!("the Hessian of {} features needs {} MiB in one buffer", layout.shape.features, slot >> 18),
                "Use --preconditioner subsample, or --device cpu.",
            ));
        }
        let mut sums = vec![0.0_f64; slot];
        self.chunks.each(touched(Kernel::Hessian, Dispatch::default()), |core, at, mut encoder| {
            let hessian_blocks = layout.hessian_blocks_of(at.chunk);
            let [blocks_together, pieces_together] =
                products_together(core.gpu.products, in_flight, layout.hessian_rows, pieces);
            for first_block in (0..hessian_blocks).step_by(blocks_together) {
                let blocks = blocks_together.min(hessian_blocks - first_block);
                for (few, first_piece) in
                    sums.chunks_mut(pieces_together * EDGE * EDGE).zip((0..).step_by(pieces_together))
                {
                    let pass = Pass {
                        rows: layout.rows_of(at.chunk) as u32,
                        stride: at.seat.stride as u32,
                        features: layout.shape.features as u32,
                        block_rows: layout.hessian_rows as u32,
                        first_block: first_block as u32,
                        first_piece,
                        product: product as u32,
                        ..Pass::default()
                    };
                    let groups = [few.len() / (EDGE * EDGE), blocks, 1];
                    let dispatched = core.dispatch(&mut encoder, Kernel::Hessian, at, &pass, groups);
                    let taken = core.take(dispatched, &core.shared.pieces, blocks * few.len(), 0);
                    core.submit(&mut encoder);
                    core.read_taken(&[taken], |slots| add_slots(slots[0], few))?;
                }
            }
            Ok(encoder)
        })?;
        let n = divisor(self.chunks.core.weight);
        for sum in &mut sums {
            *sum /= n;
        }
        Ok(sums)
    }

    /// Loss, gradient and Hessian, or with the scatter that in place of the Hessian, where the rows stand: one pass.
    fn hessian(&mut self, product: Product) -> Result<Evaluation> {
        let features = self.features();
        let sums = self.product(product, hessian_pieces(features))?;
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
    fn diagonal(&mut self) -> Result<Diagonal> {
        let features = self.features();
        let edges = border_edges(features);
        let sums = self.product(Product::Border, 2 * edges)?;
        Ok(Diagonal {
            own: (0..=features).map(|j| sums[place(j / EDGE, j, j)]).collect(),
            with_intercept: (0..=features).map(|j| sums[place(edges + j / EDGE, features, j)]).collect(),
        })
    }

    /// One pass over the features where the rows stand.
    fn here(&mut self, need: Need) -> Result<Evaluation> {
        match need {
            Need::Gradient => Ok(self.evaluate(Dispatch::default())?.into()),
            Need::Diagonal => {
                let means = self.evaluate(Dispatch::default())?;
                Ok(Evaluation { diagonal: Some(self.diagonal()?), ..means.into() })
            }
            Need::Hessian => self.hessian(Product::Hessian),
        }
    }

    fn advance(&mut self, step: f32) -> Result<()> {
        self.run(Kernel::Advance, Dispatch { steps: [step, 0.0, 0.0, 0.0], ..Dispatch::default() }).map(drop)
    }
}

impl Objective for GpuObjective {
    fn dimension(&self) -> usize {
        self.features() + 1
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        let (high, low) = split(point);
        let (low_intercept, low_weights) = low.split_last().expect("the intercept is always there");
        let (high_intercept, high_weights) = high.split_last().expect("the intercept is always there");
        let is_zero = |weights: &[f32]| weights.iter().all(|w| *w == 0.0);
        if is_zero(low_weights) && is_zero(high_weights) {
            // A start at zero: the margins are the intercept, and no pass over the features is needed for them.
            self.run(Kernel::Margin, Dispatch { intercept: *high_intercept, ..Dispatch::default() })?;
            return self.here(need);
        }
        let features = if is_zero(low_weights) { 0 } else { self.features() };
        self.passes.data += u64::from(features > 0);
        self.chunks.core.write_parameters(low_weights);
        self.run(Kernel::Margin, Dispatch { features, intercept: *low_intercept, ..Dispatch::default() })?;
        self.chunks.core.write_parameters(high_weights);
        let steps = [1.0, 0.0, 0.0, 0.0];
        let means = self.evaluate(Dispatch {
            reads_direction: true,
            intercept: *high_intercept,
            steps,
            ..Dispatch::default()
        })?;
        self.advance(1.0)?;
        match need {
            Need::Gradient => Ok(means.into()),
            Need::Diagonal => Ok(Evaluation { diagonal: Some(self.diagonal()?), ..means.into() }),
            Need::Hessian => self.hessian(Product::Hessian),
        }
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(direction.len(), self.dimension(), "parameters of the direction and of the table");
        let rounded: Vec<f32> = direction.iter().map(|&p| p as f32).collect();
        for (p, rounded) in direction.iter_mut().zip(&rounded) {
            *p = f64::from(*rounded);
        }
        let (intercept, weights) = rounded.split_last().expect("the intercept is always there");
        self.chunks.core.write_parameters(weights);
        let steps = [first_step as f32, 0.0, 0.0, 0.0];
        let first =
            self.evaluate(Dispatch { reads_direction: true, intercept: *intercept, steps, ..Dispatch::default() })?;
        Ok(Box::new(GpuLine { gpu: self, first }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let product = self.hessian(Product::Scatter)?.hessian;
        product.ok_or_else(|| Error::internal("a Hessian pass came without its product"))
    }

    fn passes(&self) -> Passes {
        self.passes
    }
}

struct GpuLine<'a> {
    gpu: &'a mut GpuObjective,
    first: Means,
}

impl Line for GpuLine<'_> {
    fn first(&self) -> Probe {
        self.first.probe
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        let mut probes = Vec::with_capacity(steps.len());
        for few in steps.chunks(PROBES) {
            self.gpu.passes.line += few.len() as u64;
            let mut padded = [0.0; PROBES];
            for (slot, step) in padded.iter_mut().zip(few) {
                *slot = *step as f32;
            }
            let dispatch = Dispatch { steps: padded, probes: few.len(), ..Dispatch::default() };
            let slots = self.gpu.run(Kernel::Probe, dispatch)?;
            let sums = self.gpu.chunks.core.mean_of_slots(3 * PROBES, &slots)?;
            for (index, step) in padded[..few.len()].iter().enumerate() {
                probes.push(Probe {
                    step: f64::from(*step),
                    value: sums[index],
                    slope: sums[PROBES + index],
                    curvature: sums[2 * PROBES + index],
                });
            }
        }
        Ok(probes)
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        self.gpu.advance(step as f32)?;
        if f64::from(step as f32) == self.first.probe.step && need == Need::Gradient {
            return Ok(self.first.into());
        }
        self.gpu.here(need)
    }
}

impl Backend for GpuObjective {
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
