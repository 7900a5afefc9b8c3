//! The objective on the device: which kernels a call runs, and how their slots become sums.

use rayon::prelude::*;

use crate::backend::gpu::Gpu;
use crate::backend::gpu::kernels::{EDGE, GROUP, Kernel, PROBES, Pass, Product, SLOT_HEAD};
use crate::backend::gpu::seat::{Seat, Shared, Visitor, border_edges, buffer, hessian_pieces, slot_len};
use crate::backend::layout::Layout;
use crate::backend::storage::{HostRecords, Part, Touched};
use crate::backend::{Backend, RowTerms, checked_weight, divisor, weight_of_block};
use crate::error::{Error, Result};
use crate::generative::Moments;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};

/// The GPU backend with a table.
pub(super) struct GpuObjective {
    core: Core,
    /// Of the first chunks, which stay on the device.
    seats: Vec<Seat>,
    /// The other chunks.
    away: Option<Away>,
    passes: Passes,
}

/// Chunks that are kept on the host and visit the device in every pass.
pub(super) struct Away {
    pub(super) records: HostRecords,
    /// While the device works on one, the host fills the other.
    pub(super) visitors: Vec<Visitor>,
}

/// What every dispatch needs.
struct Core {
    gpu: Gpu,
    layout: Layout,
    /// N, the sum of the row weights.
    weight: f64,
    shared: Shared,
    /// The slots of all chunks, and row state for [`Backend::row_terms`], on their way to the host.
    readback: wgpu::Buffer,
}

/// Features that one submission goes through at most, so that none runs into a watchdog.
const SUBMISSION_BYTES: usize = 2 << 30;

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
}

impl Core {
    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logreg") })
    }

    fn write_parameters(&self, parameters: &[f32]) {
        self.gpu.queue.write_buffer(&self.shared.parameters, 0, bytemuck::cast_slice(parameters));
    }

    /// Adds a dispatch of `kernel` over the chunk in a seat.
    fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        seat: &Seat,
        pass: &Pass,
        groups: [usize; 2],
    ) {
        let program = self.gpu.kernels.get(kernel);
        self.gpu.queue.write_buffer(&seat.pass, 0, bytemuck::bytes_of(pass));
        let mut compute = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(&program.label), timestamp_writes: None });
        compute.set_pipeline(program.pipeline(&self.gpu.device, self.layout.shape));
        compute.set_bind_group(0, seat.bind_group(kernel), &[]);
        compute.dispatch_workgroups(groups[0] as u32, groups[1] as u32, 1);
    }

    /// Waits for the device and hands the first `len` f32s of the readback buffer to `read`.
    fn read_back<T>(&self, len: usize, read: impl FnOnce(&[f32]) -> T) -> Result<T> {
        let bytes = (len * 4) as u64;
        self.readback.map_async(wgpu::MapMode::Read, ..bytes, |_| {});
        self.gpu.wait()?;
        let result = {
            let view = self.readback.get_mapped_range(..bytes).map_err(|cause| {
                Error::device(format!("the GPU's results cannot be read: {cause}"), "Use --device cpu.")
            })?;
            read(bytemuck::cast_slice(&view))
        };
        self.readback.unmap();
        self.gpu.trouble.check()?;
        Ok(result)
    }

    /// Adds the slots of all blocks in their order, in f64.
    fn sum_slots(&self, kernel: Kernel) -> Result<Vec<f64>> {
        let slot = slot_len(kernel, self.layout.shape.features);
        let blocks: usize = (0..self.layout.chunks()).map(|chunk| self.layout.blocks_of(chunk)).sum();
        let mut sums = self.read_back(blocks * slot, |slots| {
            let mut sums = vec![0.0; slot];
            add_slots(slots, &mut sums);
            sums
        })?;
        for sum in &mut sums {
            *sum /= divisor(self.weight);
        }
        Ok(sums)
    }
}

impl Away {
    /// Takes every chunk to the device in its order, with the parts that are `touched`, and has `work` add to the
    /// commands that go with it: seat, chunk, encoder.
    fn visit(
        &mut self,
        core: &Core,
        touched: Touched,
        work: &mut impl FnMut(&Seat, usize, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let [reads, writes] = touched;
        let Self { records, visitors } = self;
        let layout = records.layout;
        let first_chunk = core.layout.chunks() - records.len();
        let mut turns = visitors.iter().cycle();
        let mut waiting = None;
        records.stream(touched, |next| {
            let started = match next {
                None => None,
                Some(visit) => {
                    let visitor = turns.next().expect("there are two visitors");
                    let mut encoder = core.encoder();
                    visitor.send(&mut encoder, layout, reads, visit.record)?;
                    let mut encoder = work(&visitor.seat, first_chunk + visit.index, encoder)?;
                    visitor.bring_back(&mut encoder, layout, writes);
                    let submission = core.gpu.queue.submit([encoder.finish()]);
                    visitor.map(!writes.is_empty());
                    Some((visitor, submission, visit))
                }
            };
            // Only now that the device has more to do: the chunk before.
            let finished = match std::mem::replace(&mut waiting, started) {
                None => None,
                Some((visitor, submission, visit)) => {
                    core.gpu.wait_for(submission)?;
                    visitor.receive(layout, writes, visit.record)?;
                    Some(visit)
                }
            };
            Ok(finished)
        })
    }
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
    }
}

impl GpuObjective {
    pub(super) fn new(gpu: Gpu, layout: Layout, seats: Vec<Seat>, shared: Shared, away: Option<Away>) -> Result<Self> {
        let slot =
            slot_len(Kernel::Evaluate, layout.shape.features).max(slot_len(Kernel::Probe, layout.shape.features));
        let slots = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum::<usize>() * slot * 4;
        let rows = seats.iter().map(|seat| seat.margins.size() as usize).max().unwrap_or(0);
        let largest = slots.max(rows).max(shared.pieces.size() as usize);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = buffer(&gpu, "readback", largest, usage)?;
        let weight = layout.shape.rows as f64;
        let core = Core { gpu, layout, weight, shared, readback };
        let mut objective = Self { core, seats, away, passes: Passes::default() };
        if layout.shape.weights {
            objective.core.weight = objective.sum_row_weights()?;
        }
        Ok(objective)
    }

    /// N, from the row weights as they are stored.
    fn sum_row_weights(&mut self) -> Result<f64> {
        let Self { core, seats, away, .. } = self;
        let layout = core.layout;
        let mut weight = 0.0;
        let mut add = |row_weights: &[f32]| {
            for block in row_weights.chunks(layout.block_rows) {
                weight += weight_of_block(block);
            }
        };
        for (chunk, seat) in seats.iter().enumerate() {
            let Some(source) = &seat.row_weights else { continue };
            let mut encoder = core.encoder();
            encoder.copy_buffer_to_buffer(source, 0, &core.readback, 0, source.size());
            core.gpu.queue.submit([encoder.finish()]);
            core.read_back(layout.rows_of(chunk), &mut add)?;
        }
        if let Some(Away { records, .. }) = away {
            let range = records.layout.range(Part::RowWeights);
            let first_chunk = seats.len();
            records.stream([&[Part::RowWeights], &[]], |visit| {
                if let Some(visit) = &visit {
                    let values: &[f32] = bytemuck::cast_slice(&visit.record[range.clone()]);
                    add(&values[..layout.rows_of(first_chunk + visit.index)]);
                }
                Ok(visit)
            })?;
        }
        checked_weight(weight)
    }

    /// Runs `kernel` over every chunk, and copies their slots to the readback buffer.
    fn run(&mut self, kernel: Kernel, dispatch: Dispatch) -> Result<()> {
        let Self { core, seats, away, .. } = self;
        let layout = core.layout;
        let slot_bytes = slot_len(kernel, layout.shape.features) * 4;
        let mut copied = 0;
        let mut add = |encoder: &mut wgpu::CommandEncoder, seat: &Seat, chunk: usize| {
            let blocks = layout.blocks_of(chunk);
            let pass = Pass {
                rows: layout.rows_of(chunk) as u32,
                stride: seat.stride as u32,
                features: dispatch.features as u32,
                block_rows: layout.block_rows as u32,
                reads_direction: dispatch.reads_direction.into(),
                intercept: dispatch.intercept,
                steps: dispatch.steps,
                ..Pass::default()
            };
            core.dispatch(encoder, kernel, seat, &pass, [blocks, 1]);
            if slot_bytes > 0 {
                let bytes = (blocks * slot_bytes) as u64;
                encoder.copy_buffer_to_buffer(&seat.slots, 0, &core.readback, copied, bytes);
                copied += bytes;
            }
        };
        let together = (SUBMISSION_BYTES / (layout.chunk_rows * layout.shape.features * 4)).max(1);
        for (first, few) in seats.chunks(together).enumerate() {
            let mut encoder = core.encoder();
            for (index, seat) in few.iter().enumerate() {
                add(&mut encoder, seat, first * together + index);
            }
            core.gpu.queue.submit([encoder.finish()]);
        }
        if let Some(away) = away {
            away.visit(core, touched(kernel, dispatch), &mut |seat, chunk, mut encoder| {
                add(&mut encoder, seat, chunk);
                Ok(encoder)
            })?;
        }
        Ok(())
    }

    /// One pass over the features: loss, slope, curvature and gradient.
    fn evaluate(&mut self, dispatch: Dispatch) -> Result<Means> {
        self.passes.data += 1;
        self.run(Kernel::Evaluate, Dispatch { features: self.core.layout.shape.features, ..dispatch })?;
        let sums = self.core.sum_slots(Kernel::Evaluate)?;
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
        let Self { core, seats, away, .. } = self;
        let layout = core.layout;
        let in_flight = (core.shared.pieces.size() / 4) as usize / slot;
        if in_flight == 0 {
            return Err(Error::device(
                format!("the Hessian of {} features needs {} MiB in one buffer", layout.shape.features, slot >> 18),
                "Use --preconditioner subsample, or --device cpu.",
            ));
        }
        let mut sums = vec![0.0_f64; slot];
        let mut work = |seat: &Seat, chunk: usize, mut encoder: wgpu::CommandEncoder| {
            let hessian_blocks = layout.hessian_blocks_of(chunk);
            for first_block in (0..hessian_blocks).step_by(in_flight) {
                let blocks = in_flight.min(hessian_blocks - first_block);
                let pass = Pass {
                    rows: layout.rows_of(chunk) as u32,
                    stride: seat.stride as u32,
                    features: layout.shape.features as u32,
                    block_rows: layout.hessian_rows as u32,
                    first_block: first_block as u32,
                    product: product as u32,
                    ..Pass::default()
                };
                core.dispatch(&mut encoder, Kernel::Hessian, seat, &pass, [blocks, pieces]);
                let bytes = (blocks * slot * 4) as u64;
                encoder.copy_buffer_to_buffer(&core.shared.pieces, 0, &core.readback, 0, bytes);
                core.gpu.queue.submit([std::mem::replace(&mut encoder, core.encoder()).finish()]);
                core.read_back(blocks * slot, |slots| add_slots(slots, &mut sums))?;
            }
            Ok(encoder)
        };
        for (chunk, seat) in seats.iter().enumerate() {
            work(seat, chunk, core.encoder())?;
        }
        if let Some(away) = away {
            away.visit(core, touched(Kernel::Hessian, Dispatch::default()), &mut work)?;
        }
        let n = divisor(core.weight);
        for sum in &mut sums {
            *sum /= n;
        }
        Ok(sums)
    }

    /// Loss, gradient and Hessian, or with the scatter that in place of the Hessian, where the rows stand: one pass.
    fn hessian(&mut self, product: Product) -> Result<Evaluation> {
        let features = self.core.layout.shape.features;
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
        let features = self.core.layout.shape.features;
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
        self.run(Kernel::Advance, Dispatch { steps: [step, 0.0, 0.0, 0.0], ..Dispatch::default() })
    }
}

/// Adds slots to `sums`, one after the other in f64; different entries on different threads.
fn add_slots(slots: &[f32], sums: &mut [f64]) {
    /// Entries of a thread's share: whole lines of the cache.
    const SHARE: usize = 64;
    let slot = sums.len();
    sums.par_chunks_mut(SHARE).enumerate().for_each(|(index, sums)| {
        for block in slots.chunks_exact(slot) {
            for (sum, term) in sums.iter_mut().zip(&block[index * SHARE..]) {
                *sum += f64::from(*term);
            }
        }
    });
}

/// Where a slot has the product of the columns i and j, in the given piece.
fn place(piece: usize, i: usize, j: usize) -> usize {
    let (a, b) = (i % EDGE, j % EDGE);
    // The invocation that holds both columns, and which of its four products theirs is.
    let invocation = a / 2 * 16 + b / 2;
    (piece * GROUP as usize + invocation) * 4 + a % 2 * 2 + b % 2
}

/// Splits weights and intercept of a point into two f32 halves: 48 bits of the 53.
fn split(point: &[f64]) -> (Vec<f32>, Vec<f32>) {
    let high: Vec<f32> = point.iter().map(|&q| q as f32).collect();
    let low = point.iter().zip(&high).map(|(q, high)| (q - f64::from(*high)) as f32).collect();
    (high, low)
}

impl Objective for GpuObjective {
    fn dimension(&self) -> usize {
        self.core.layout.shape.features + 1
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
        let features = if is_zero(low_weights) { 0 } else { self.core.layout.shape.features };
        self.passes.data += u64::from(features > 0);
        self.core.write_parameters(low_weights);
        self.run(Kernel::Margin, Dispatch { features, intercept: *low_intercept, ..Dispatch::default() })?;
        self.core.write_parameters(high_weights);
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
        self.core.write_parameters(weights);
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
            self.gpu.run(Kernel::Probe, Dispatch { steps: padded, ..Dispatch::default() })?;
            let sums = self.gpu.core.sum_slots(Kernel::Probe)?;
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
        self.core.weight
    }

    fn moments(&mut self) -> Result<Moments> {
        todo!("the moments of the classes on the GPU")
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        let Self { core, seats, away, .. } = self;
        let layout = core.layout;
        let mut rows = RowTerms::default();
        for (chunk, seat) in seats.iter().enumerate() {
            let vectors = [
                (&seat.margins, &mut rows.margins),
                (&seat.direction_margins, &mut rows.direction_margins),
                (&seat.residuals, &mut rows.residuals),
            ];
            for (source, target) in vectors {
                let mut encoder = core.encoder();
                encoder.copy_buffer_to_buffer(source, 0, &core.readback, 0, source.size());
                core.gpu.queue.submit([encoder.finish()]);
                core.read_back(layout.rows_of(chunk), |values| target.extend(values.iter().map(|&v| f64::from(v))))?;
            }
        }
        if let Some(Away { records, .. }) = away {
            let record_layout = records.layout;
            let first_chunk = seats.len();
            records.stream([&[Part::Margins, Part::DirectionMargins, Part::Residuals], &[]], |visit| {
                if let Some(visit) = &visit {
                    let vectors = [
                        (Part::Margins, &mut rows.margins),
                        (Part::DirectionMargins, &mut rows.direction_margins),
                        (Part::Residuals, &mut rows.residuals),
                    ];
                    for (part, target) in vectors {
                        let values: &[f32] = bytemuck::cast_slice(&visit.record[record_layout.range(part)]);
                        let here = &values[..layout.rows_of(first_chunk + visit.index)];
                        target.extend(here.iter().map(|&v| f64::from(v)));
                    }
                }
                Ok(visit)
            })?;
        }
        Ok(rows)
    }
}
