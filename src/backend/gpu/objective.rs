//! The objective on the device: which kernels a call runs, and how their slots become sums.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::chunk::{Chunk, Shared, border_edges, buffer, hessian_pieces, slot_len};
use crate::backend::gpu::kernels::{EDGE, GROUP, Kernel, PROBES, Pass, Product, SLOT_HEAD};
use crate::backend::layout::Layout;
use crate::backend::{Backend, RowTerms};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};

/// The GPU backend with a table.
pub(super) struct GpuObjective {
    gpu: Gpu,
    layout: Layout,
    chunks: Vec<Chunk>,
    shared: Shared,
    /// The slots of all chunks, and row state for [`Backend::row_terms`], on their way to the host.
    readback: wgpu::Buffer,
    passes: Passes,
}

/// Sums of an evaluation over all rows, divided by their number.
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

impl GpuObjective {
    pub(super) fn new(gpu: Gpu, layout: Layout, chunks: Vec<Chunk>, shared: Shared) -> Result<Self> {
        let slots: u64 = chunks.iter().map(|chunk| chunk.slots.size()).sum();
        let rows = chunks.iter().map(|chunk| chunk.margins.size()).max().unwrap_or(0);
        let largest = slots.max(rows).max(shared.pieces.size());
        let readback =
            buffer(&gpu, "readback", largest as usize, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        Ok(Self { gpu, layout, chunks, shared, readback, passes: Passes::default() })
    }

    fn write_parameters(&self, parameters: &[f32]) {
        self.gpu.queue.write_buffer(&self.shared.parameters, 0, bytemuck::cast_slice(parameters));
    }

    /// A dispatch of `kernel` over a chunk, ready for more commands and the submission.
    fn encode(&self, kernel: Kernel, chunk: &Chunk, pass: &Pass, groups: [usize; 2]) -> wgpu::CommandEncoder {
        let pipeline = self.gpu.kernels.get(kernel);
        self.gpu.queue.write_buffer(&chunk.pass, 0, bytemuck::bytes_of(pass));
        let mut encoder =
            self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(&pipeline.label) });
        let mut compute = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(&pipeline.label), timestamp_writes: None });
        compute.set_pipeline(&pipeline.compute);
        compute.set_bind_group(0, chunk.bind_group(kernel), &[]);
        compute.dispatch_workgroups(groups[0] as u32, groups[1] as u32, 1);
        drop(compute);
        encoder
    }

    /// Runs `kernel` over every chunk, a submission each, and copies its slots to the readback buffer.
    fn run(&self, kernel: Kernel, dispatch: Dispatch) {
        let mut copied = 0;
        for chunk in &self.chunks {
            let pass = Pass {
                rows: chunk.rows as u32,
                stride: chunk.stride() as u32,
                features: dispatch.features as u32,
                block_rows: self.layout.block_rows as u32,
                reads_direction: dispatch.reads_direction.into(),
                intercept: dispatch.intercept,
                steps: dispatch.steps,
                ..Pass::default()
            };
            let mut encoder = self.encode(kernel, chunk, &pass, [chunk.blocks, 1]);
            let bytes = (chunk.blocks * slot_len(kernel, self.layout.features) * 4) as u64;
            if bytes > 0 {
                encoder.copy_buffer_to_buffer(&chunk.slots, 0, &self.readback, copied, bytes);
                copied += bytes;
            }
            self.gpu.queue.submit([encoder.finish()]);
        }
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
        let slot = slot_len(kernel, self.layout.features);
        let blocks: usize = self.chunks.iter().map(|chunk| chunk.blocks).sum();
        let mut sums = self.read_back(blocks * slot, |slots| {
            let mut sums = vec![0.0; slot];
            for block in slots.chunks_exact(slot) {
                for (sum, term) in sums.iter_mut().zip(block) {
                    *sum += f64::from(*term);
                }
            }
            sums
        })?;
        for sum in &mut sums {
            *sum /= self.layout.rows as f64;
        }
        Ok(sums)
    }

    /// One pass over the features: loss, slope, curvature and gradient.
    fn evaluate(&mut self, dispatch: Dispatch) -> Result<Means> {
        self.passes.data += 1;
        self.run(Kernel::Evaluate, Dispatch { features: self.layout.features, ..dispatch });
        let sums = self.sum_slots(Kernel::Evaluate)?;
        let [value, slope, curvature, residual] = *sums.first_chunk::<SLOT_HEAD>().expect("a slot has its head");
        let mut gradient = sums[SLOT_HEAD..].to_vec();
        gradient.push(residual);
        Ok(Means { probe: Probe { step: f64::from(dispatch.steps[0]), value, slope, curvature }, gradient })
    }

    /// Sums of the pieces of a product of columns where the rows stand: one pass over the features. Slots are drained in
    /// the order of their blocks, a bounded number at a time. `[pieces][256][4]`, divided by the rows.
    fn product(&mut self, product: Product, pieces: usize) -> Result<Vec<f64>> {
        self.passes.data += 1;
        self.passes.hessian += 1;
        let slot = pieces * EDGE * EDGE;
        let in_flight = (self.shared.pieces.size() / 4) as usize / slot;
        if in_flight == 0 {
            return Err(Error::device(
                format!("the Hessian of {} features needs {} MiB in one buffer", self.layout.features, slot >> 18),
                "Use --preconditioner subsample, or --device cpu.",
            ));
        }
        let mut sums = vec![0.0_f64; slot];
        for chunk in &self.chunks {
            for first_block in (0..chunk.hessian_blocks).step_by(in_flight) {
                let blocks = in_flight.min(chunk.hessian_blocks - first_block);
                let pass = Pass {
                    rows: chunk.rows as u32,
                    stride: chunk.stride() as u32,
                    features: self.layout.features as u32,
                    block_rows: self.layout.hessian_rows as u32,
                    first_block: first_block as u32,
                    product: product as u32,
                    ..Pass::default()
                };
                let mut encoder = self.encode(Kernel::Hessian, chunk, &pass, [blocks, pieces]);
                encoder.copy_buffer_to_buffer(&self.shared.pieces, 0, &self.readback, 0, (blocks * slot * 4) as u64);
                self.gpu.queue.submit([encoder.finish()]);
                self.read_back(blocks * slot, |slots| {
                    for block in slots.chunks_exact(slot) {
                        for (sum, term) in sums.iter_mut().zip(block) {
                            *sum += f64::from(*term);
                        }
                    }
                })?;
            }
        }
        let n = self.layout.rows as f64;
        for sum in &mut sums {
            *sum /= n;
        }
        Ok(sums)
    }

    /// Loss, gradient and Hessian, or with the scatter that in place of the Hessian, where the rows stand: one pass.
    fn hessian(&mut self, product: Product) -> Result<Evaluation> {
        let features = self.layout.features;
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
        let features = self.layout.features;
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

    fn advance(&self, step: f32) {
        self.run(Kernel::Advance, Dispatch { steps: [step, 0.0, 0.0, 0.0], ..Dispatch::default() });
    }
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
        self.layout.features + 1
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        let (high, low) = split(point);
        let (low_intercept, low_weights) = low.split_last().expect("the intercept is always there");
        let (high_intercept, high_weights) = high.split_last().expect("the intercept is always there");
        let is_zero = |weights: &[f32]| weights.iter().all(|w| *w == 0.0);
        if is_zero(low_weights) && is_zero(high_weights) {
            // A start at zero: the margins are the intercept, and no pass over the features is needed for them.
            self.run(Kernel::Margin, Dispatch { intercept: *high_intercept, ..Dispatch::default() });
            return self.here(need);
        }
        let features = if is_zero(low_weights) { 0 } else { self.layout.features };
        self.passes.data += u64::from(features > 0);
        self.write_parameters(low_weights);
        self.run(Kernel::Margin, Dispatch { features, intercept: *low_intercept, ..Dispatch::default() });
        self.write_parameters(high_weights);
        let steps = [1.0, 0.0, 0.0, 0.0];
        let means = self.evaluate(Dispatch {
            reads_direction: true,
            intercept: *high_intercept,
            steps,
            ..Dispatch::default()
        })?;
        self.advance(1.0);
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
        self.write_parameters(weights);
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
            self.gpu.run(Kernel::Probe, Dispatch { steps: padded, ..Dispatch::default() });
            let sums = self.gpu.sum_slots(Kernel::Probe)?;
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
        self.gpu.advance(step as f32);
        if f64::from(step as f32) == self.first.probe.step && need == Need::Gradient {
            return Ok(self.first.into());
        }
        self.gpu.here(need)
    }
}

impl Backend for GpuObjective {
    fn row_terms(&mut self) -> Result<RowTerms> {
        let mut rows = RowTerms::default();
        for chunk in &self.chunks {
            let vectors = [
                (&chunk.margins, &mut rows.margins),
                (&chunk.direction_margins, &mut rows.direction_margins),
                (&chunk.residuals, &mut rows.residuals),
            ];
            for (source, target) in vectors {
                let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                encoder.copy_buffer_to_buffer(source, 0, &self.readback, 0, source.size());
                self.gpu.queue.submit([encoder.finish()]);
                self.read_back(chunk.rows, |values| target.extend(values.iter().map(|&v| f64::from(v))))?;
            }
        }
        Ok(rows)
    }
}
