//! The chunks of a table on the device and on the host, and what every objective does with them: visits, dispatches,
//! slots on their way back.

use std::ops::Range;

use rayon::prelude::*;

use crate::backend::gpu::Gpu;
use crate::backend::gpu::kernels::{EDGE, GROUP, Kernel, Pass};
use crate::backend::gpu::seat::{Seat, Shared, Visitor, buffer};
use crate::backend::layout::Layout;
use crate::backend::storage::{HostRecords, Part, Touched};
use crate::backend::{RowTerms, checked_weight, divisor, weight_of_block};
use crate::error::{Error, Result};

/// A table, in chunks.
pub(super) struct Chunks {
    pub(super) core: Core,
    /// Of the first chunks, which stay on the device.
    seats: Vec<Seat>,
    /// The other chunks.
    away: Option<Away>,
}

/// Chunks that are kept on the host and visit the device in every pass.
pub(super) struct Away {
    pub(super) records: HostRecords,
    /// While the device works on one, the host fills the other.
    pub(super) visitors: Vec<Visitor>,
}

/// What every dispatch needs.
pub(super) struct Core {
    pub(super) gpu: Gpu,
    pub(super) layout: Layout,
    /// N, the sum of the row weights.
    pub(super) weight: f64,
    pub(super) shared: Shared,
    /// The slots of all chunks, and row state for [`Backend::row_terms`], on their way to the host.
    pub(super) readback: wgpu::Buffer,
}

/// Features that one submission goes through at most, so that none runs into a watchdog.
const SUBMISSION_BYTES: usize = 2 << 30;

impl Core {
    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logreg") })
    }

    pub(super) fn write_parameters(&self, parameters: &[f32]) {
        self.gpu.queue.write_buffer(&self.shared.parameters, 0, bytemuck::cast_slice(parameters));
    }

    /// Adds a dispatch of `kernel` over the chunk in a seat.
    pub(super) fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        seat: &Seat,
        pass: &Pass,
        groups: [usize; 3],
    ) {
        self.dispatch_bound(encoder, kernel, seat, seat.bind_group(kernel), pass, groups);
    }

    /// As [`Core::dispatch`], with a bind group of the caller's.
    pub(super) fn dispatch_bound(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        seat: &Seat,
        bind_group: &wgpu::BindGroup,
        pass: &Pass,
        groups: [usize; 3],
    ) {
        let program = self.gpu.kernels.get(&self.gpu.device, kernel);
        self.gpu.queue.write_buffer(&seat.pass, 0, bytemuck::bytes_of(pass));
        let mut compute = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(&program.label), timestamp_writes: None });
        compute.set_pipeline(program.pipeline(&self.gpu.device, self.layout.shape));
        compute.set_bind_group(0, bind_group, &[]);
        compute.dispatch_workgroups(groups[0] as u32, groups[1] as u32, groups[2] as u32);
    }

    /// Submits what `encoder` has so far, and begins anew.
    pub(super) fn submit(&self, encoder: &mut wgpu::CommandEncoder) {
        self.gpu.queue.submit([std::mem::replace(encoder, self.encoder()).finish()]);
    }

    /// Waits for the device and hands the f32s of the readback buffer at `place` to `read`.
    pub(super) fn read_back<T>(&self, place: Range<usize>, read: impl FnOnce(&[f32]) -> T) -> Result<T> {
        let bytes = (place.start * 4) as u64..(place.end * 4) as u64;
        self.readback.map_async(wgpu::MapMode::Read, bytes.clone(), |_| {});
        self.gpu.wait()?;
        let result = {
            let view = self.readback.get_mapped_range(bytes).map_err(|cause| {
                Error::device(format!("the GPU's results cannot be read: {cause}"), "Use --device cpu.")
            })?;
            read(bytemuck::cast_slice(&view))
        };
        self.readback.unmap();
        self.gpu.trouble.check()?;
        Ok(result)
    }

    /// The sums of slots of that many f32s, which stand at `place` of the readback buffer, divided by N.
    pub(super) fn mean_of_slots(&self, slot: usize, place: Range<usize>) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; slot];
        self.read_back(place, |slots| add_slots(slots, &mut sums))?;
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

impl Chunks {
    /// With room for `slots` f32s on their way to the host.
    pub(super) fn new(
        gpu: Gpu,
        layout: Layout,
        seats: Vec<Seat>,
        shared: Shared,
        away: Option<Away>,
        slots: usize,
    ) -> Result<Self> {
        let rows = seats.iter().map(|seat| seat.margins.size() as usize).max().unwrap_or(0);
        let largest = (slots * 4).max(rows).max(shared.pieces.size() as usize);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = buffer(&gpu, "readback", largest, usage)?;
        let weight = layout.shape.rows as f64;
        let mut chunks = Self { core: Core { gpu, layout, weight, shared, readback }, seats, away };
        if layout.shape.weights {
            chunks.core.weight = chunks.sum_row_weights()?;
        }
        Ok(chunks)
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
            core.read_back(0..layout.rows_of(chunk), &mut add)?;
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

    /// Has `work` add its commands for every chunk, in their order: seat, chunk, encoder. Those on the host visit with the
    /// parts that are `touched`.
    pub(super) fn each(
        &mut self,
        touched: Touched,
        mut work: impl FnMut(&Core, &Seat, usize, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let Self { core, seats, away } = self;
        let layout = core.layout;
        let together = (SUBMISSION_BYTES / (layout.chunk_rows * layout.shape.features * 4).max(1)).max(1);
        for (first, few) in seats.chunks(together).enumerate() {
            let mut encoder = core.encoder();
            for (index, seat) in few.iter().enumerate() {
                encoder = work(core, seat, first * together + index, encoder)?;
            }
            core.gpu.queue.submit([encoder.finish()]);
        }
        if let Some(away) = away {
            away.visit(core, touched, &mut |seat, chunk, encoder| work(core, seat, chunk, encoder))?;
        }
        Ok(())
    }

    /// What each row holds, margin by margin.
    pub(super) fn row_terms(&mut self) -> Result<RowTerms> {
        let Self { core, seats, away } = self;
        let layout = core.layout;
        // [part][margin]
        let mut rows = [const { Vec::new() }; 3].map(|_: Vec<f64>| vec![Vec::new(); layout.shape.margins()]);
        let mut add = |part: usize, chunk: usize, values: &[f32]| {
            let stride = values.len() / layout.shape.margins();
            for (target, values) in rows[part].iter_mut().zip(values.chunks(stride)) {
                target.extend(values[..layout.rows_of(chunk)].iter().map(|&v| f64::from(v)));
            }
        };
        for (chunk, seat) in seats.iter().enumerate() {
            for (part, source) in [&seat.margins, &seat.direction_margins, &seat.residuals].into_iter().enumerate() {
                let mut encoder = core.encoder();
                encoder.copy_buffer_to_buffer(source, 0, &core.readback, 0, source.size());
                core.gpu.queue.submit([encoder.finish()]);
                core.read_back(0..(source.size() / 4) as usize, |values| add(part, chunk, values))?;
            }
        }
        if let Some(Away { records, .. }) = away {
            const PARTS: [Part; 3] = [Part::Margins, Part::DirectionMargins, Part::Residuals];
            let record_layout = records.layout;
            let first_chunk = seats.len();
            records.stream([&PARTS, &[]], |visit| {
                if let Some(visit) = &visit {
                    for (index, part) in PARTS.into_iter().enumerate() {
                        let values = &visit.record[record_layout.range(part)];
                        add(index, first_chunk + visit.index, bytemuck::cast_slice(values));
                    }
                }
                Ok(visit)
            })?;
        }
        let [margins, direction_margins, residuals] = rows.map(|margins| margins.concat());
        Ok(RowTerms { margins, direction_margins, residuals })
    }
}

/// Adds slots to `sums`, one after the other in f64; different entries on different threads.
pub(super) fn add_slots(slots: &[f32], sums: &mut [f64]) {
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
pub(super) fn place(piece: usize, i: usize, j: usize) -> usize {
    let (a, b) = (i % EDGE, j % EDGE);
    // The invocation that holds both columns, and which of its four products theirs is.
    let invocation = a / 2 * 16 + b / 2;
    (piece * GROUP as usize + invocation) * 4 + a % 2 * 2 + b % 2
}

/// Splits weights and intercept of a point into two f32 halves: 48 bits of the 53.
pub(super) fn split(point: &[f64]) -> (Vec<f32>, Vec<f32>) {
    let high: Vec<f32> = point.iter().map(|&q| q as f32).collect();
    let low = point.iter().zip(&high).map(|(q, high)| (q - f64::from(*high)) as f32).collect();
    (high, low)
}
