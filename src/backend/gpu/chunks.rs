//! The chunks of a table on the device and on the host, and what every objective does with them: visits, dispatches,
//! slots on their way back.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use crate::backend::gpu::Gpu;
use crate::backend::gpu::checksums::Checksums;
use crate::backend::gpu::fault::Operation;
use crate::backend::gpu::kernels::{EDGE, EIGHT, GROUP, Kernel, Pass};
use crate::backend::gpu::seat::{PASSES, STATE, Seat, Shared, StateStamps, Visitor, buffer, pass_step};
use crate::backend::gpu::stamp::{self, Stamps, WAY_OUT};
use crate::backend::layout::Layout;
use crate::backend::storage::{HostRecords, Part, Touched};
use crate::backend::{RowTerms, checked_weight, divisor, weight_of_block};
use crate::data::Shape;
use crate::error::{Error, Result};

/// A table, in chunks.
pub(super) struct Chunks {
    pub(super) core: Core,
    /// Of the first chunks, which stay on the device.
    seats: Vec<Seat>,
    /// The other chunks.
    away: Option<Away>,
    /// What the columns add up to.
    checksums: Checksums,
}

/// Chunks that are kept on the host and visit the device in every pass.
pub(super) struct Away {
    pub(super) records: HostRecords,
    /// While the device works on one, the host fills the other.
    pub(super) visitors: Vec<Visitor>,
    /// What the device left behind the row state of each.
    pub(super) stamps: Vec<StateStamps>,
}

/// A chunk, in the seat where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    pub(super) seat: &'s Seat,
    pub(super) chunk: usize,
}

/// What a dispatch is to leave behind its slots: a stamp of each workgroup.
#[derive(Clone, Copy)]
pub(super) struct Dispatched {
    kernel: Kernel,
    groups: usize,
    stamp: u32,
}

impl Dispatched {
    /// f32s of a stamp among the slots.
    fn width(self) -> usize {
        if matches!(self.kernel, Kernel::Evaluate | Kernel::ClassSums) { 1 } else { 4 }
    }
}

/// Slots of a dispatch in the readback buffer, their stamps behind them.
pub(super) struct Taken {
    dispatched: Dispatched,
    /// f32s of the buffer.
    slots: Range<usize>,
}

impl Taken {
    /// f32s that these and their stamps end before.
    pub(super) fn end(&self) -> usize {
        self.slots.end + self.dispatched.groups * self.dispatched.width()
    }
}

/// What every dispatch needs.
pub(super) struct Core {
    pub(super) gpu: Gpu,
    pub(super) layout: Layout,
    /// N, the sum of the row weights.
    pub(super) weight: f64,
    pub(super) shared: Shared,
    /// The stamps that the device should have.
    pub(super) stamps: Stamps,
    /// The slots of all chunks, and row state for [`Backend::row_terms`], on their way to the host.
    pub(super) readback: wgpu::Buffer,
    /// Copies to it that wait for the end of a submission: a copy between two dispatches would let the device run dry before
    /// it starts the second one.
    copies: RefCell<Vec<Copy>>,
    /// Descriptions of the passes that wait for the end of a submission, each with the stride of the device's buffer: one
    /// write for all of them.
    passes: RefCell<Vec<u8>>,
}

/// A copy of slots to the readback buffer.
struct Copy {
    slots: wgpu::Buffer,
    /// Bytes of the readback buffer before it.
    target: u64,
    bytes: u64,
}

/// Bytes that one submission reads and writes at most, so that none runs into a watchdog, some of which bite after two
/// seconds: 43 ms at 50 GB/s, as a device that shares the host's memory has.
const SUBMISSION_BYTES: usize = 2 << 30;

/// Multiplications and additions of the products of columns in one submission at most: 50 ms at 1 TFLOP/s.
pub(super) const SUBMISSION_PRODUCTS: usize = 25_000_000_000;

/// Blocks of `rows` rows that one submission makes products of, of those that there is room for, and how many of their
/// pieces: all, unless those of a single block are more than `products`.
pub(super) fn products_together(products: usize, room: usize, rows: usize, pieces: usize) -> [usize; 2] {
    let most = (products / (rows * EDGE * EDGE).max(1)).max(1);
    [room.min((most / pieces.max(1)).max(1)), pieces.min(most)]
}

/// Chunks that one submission goes through at most: each reads its features, for every eight margins once, and touches what
/// there is of a row and margin about twelve times.
fn chunks_together(layout: &Layout) -> usize {
    let Shape { features, .. } = layout.shape;
    let margins = layout.shape.margins();
    let row = 4 * (features * margins.div_ceil(EIGHT) + 12 * margins);
    (SUBMISSION_BYTES / (layout.chunk_rows * row).max(1)).max(1)
}

impl Core {
    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logreg") })
    }

    /// Writes parameters, what follows them, and a stamp behind it, all in one.
    pub(super) fn write_parameters(&self, parameters: &[f32]) {
        let mut all = parameters.to_vec();
        if self.layout.shape.classes.is_some() {
            let stamp = self.stamps.of_parameters(all.len() / 4);
            all.extend([stamp; 4]);
        } else {
            all.extend(&self.shared.sources_sent);
            all.push(self.stamps.of_parameters(all.len()));
        }
        self.gpu.write(&self.shared.parameters, bytemuck::cast_slice(&all));
    }

    /// Adds a dispatch of `kernel` over the chunk in a seat.
    pub(super) fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        at: At<'_>,
        pass: &Pass,
        groups: [usize; 3],
    ) -> Dispatched {
        self.dispatch_bound(encoder, kernel, at, at.seat.bind_group(kernel), pass, groups)
    }

    /// As [`Core::dispatch`], with a bind group of the caller's.
    pub(super) fn dispatch_bound(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        at: At<'_>,
        bind_group: &wgpu::BindGroup,
        pass: &Pass,
        groups: [usize; 3],
    ) -> Dispatched {
        let program = self.gpu.kernels.get(&self.gpu.device, kernel);
        let mut pass = *pass;
        self.stamps.complete(&mut pass, at.chunk, self.layout.shape.margins() * at.seat.stride);
        let place = self.describe(encoder, &pass);
        if !self.gpu.faults.leave_out(Operation::Dispatch) {
            let mut compute = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(&program.label),
                timestamp_writes: self.gpu.profile.of_dispatch(kernel),
            });
            compute.set_pipeline(program.pipeline(&self.gpu.device, self.layout.shape));
            compute.set_bind_group(0, bind_group, &[place]);
            compute.dispatch_workgroups(groups[0] as u32, groups[1] as u32, groups[2] as u32);
        }
        Dispatched { kernel, groups: groups.iter().product(), stamp: self.stamps.after(kernel, &pass, at.chunk) }
    }

    /// Adds the description of a pass to those that wait, and tells its place among them. Where there is no room, what
    /// `encoder` has so far goes first.
    fn describe(&self, encoder: &mut wgpu::CommandEncoder, pass: &Pass) -> u32 {
        let step = pass_step(&self.gpu);
        if self.passes.borrow().len() == PASSES * step {
            self.submit(encoder);
        }
        let mut passes = self.passes.borrow_mut();
        let place = passes.len();
        passes.extend(bytemuck::bytes_of(pass));
        passes.resize(place + step, 0);
        place as u32
    }

    /// Has so many f32s of slots that a dispatch leaves in a buffer, and their stamps, copied to a place of the readback
    /// buffer at the end of the submission, until when nothing else may write there.
    pub(super) fn take(&self, dispatched: Dispatched, slots: &wgpu::Buffer, len: usize, place: usize) -> Taken {
        let taken = Taken { dispatched, slots: place..place + len };
        let (target, bytes) = ((place * 4) as u64, ((taken.end() - place) * 4) as u64);
        self.copies.borrow_mut().push(Copy { slots: slots.clone(), target, bytes });
        taken
    }

    /// Adds the copies that wait, and has the device do all of it.
    fn finish(&self, mut encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        for Copy { slots, target, bytes } in self.copies.borrow_mut().drain(..) {
            self.gpu.copy(Operation::ReadBack, &mut encoder, (&slots, 0), (&self.readback, target), bytes);
        }
        let mut passes = self.passes.borrow_mut();
        if !passes.is_empty() {
            self.gpu.write(&self.shared.passes, &passes);
            passes.clear();
        }
        self.gpu.profile.bring_back(&mut encoder);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.gpu.profile.add(&self.gpu);
        submission
    }

    /// Waits for the device and hands slots to `read`, in their order, once they are seen to be those that were meant.
    pub(super) fn read_taken(&self, taken: &[Taken], read: impl FnOnce(&[&[f32]])) -> Result<()> {
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Ok(()) };
        let start = first.slots.start;
        self.read_back(start..last.end(), |all| {
            for taken in taken {
                let Dispatched { kernel, stamp, .. } = taken.dispatched;
                let stamps = &all[taken.slots.end - start..taken.end() - start];
                if !self.gpu.faults.are_believed() {
                    stamp::check(kernel, stamps, taken.dispatched.width(), stamp)?;
                }
            }
            let slots = |taken: &Taken| &all[taken.slots.start - start..taken.slots.end - start];
            read(&taken.iter().map(slots).collect::<Vec<_>>());
            Ok(())
        })?
    }

    /// Submits what `encoder` has so far, and begins anew.
    pub(super) fn submit(&self, encoder: &mut wgpu::CommandEncoder) {
        self.finish(std::mem::replace(encoder, self.encoder()));
    }

    /// Waits for the device and hands the f32s of the readback buffer at `place` to `read`.
    pub(super) fn read_back<T>(&self, place: Range<usize>, read: impl FnOnce(&[f32]) -> T) -> Result<T> {
        read_buffer(&self.gpu, &self.readback, place, read)
    }

    /// The sums of slots of that many f32s, divided by N.
    pub(super) fn mean_of_slots(&self, slot: usize, taken: &[Taken]) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; slot];
        self.read_taken(taken, |all| all.iter().for_each(|slots| add_slots(slots, &mut sums)))?;
        for sum in &mut sums {
            *sum /= divisor(self.weight);
        }
        Ok(sums)
    }
}

/// Waits for the device and hands the f32s of a buffer that the host can read, at `place`, to `read`.
pub(super) fn read_buffer<T>(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    place: Range<usize>,
    read: impl FnOnce(&[f32]) -> T,
) -> Result<T> {
    // What is mapped begins at a multiple of eight bytes.
    let skipped = place.start % 2;
    let bytes = ((place.start - skipped) * 4) as u64..(place.end * 4) as u64;
    buffer.map_async(wgpu::MapMode::Read, bytes.clone(), |_| {});
    gpu.wait()?;
    let result = {
        let view = buffer.get_mapped_range(bytes).map_err(|cause| {
            Error::device(format!("the GPU's results cannot be read: {cause}"), "Use --device cpu.")
        })?;
        read(&bytemuck::cast_slice(&view)[skipped..])
    };
    buffer.unmap();
    gpu.trouble.check()?;
    Ok(result)
}

impl Away {
    /// Takes every chunk to the device in its order, with the parts that are `touched`, and has `work` add to the
    /// commands that go with it: seat and chunk, encoder. The columns that came must be those that were sent.
    fn visit(
        &mut self,
        core: &Core,
        checksums: &Checksums,
        touched: Touched,
        work: &mut impl FnMut(At<'_>, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let [reads, writes] = touched;
        let Self { records, visitors, stamps } = self;
        let layout = records.layout;
        let chunks = core.layout.chunks();
        let first_chunk = chunks - records.len();
        let mut turns = visitors.iter().cycle();
        let mut waiting = None;
        records.stream(touched, |next| {
            let started = match next {
                None => None,
                Some(visit) => {
                    let visitor = turns.next().expect("there are two visitors");
                    let mut encoder = core.encoder();
                    visitor.send(&core.gpu, &mut encoder, layout, reads, visit.record, &stamps[visit.index])?;
                    let at = At { seat: &visitor.seat, chunk: first_chunk + visit.index };
                    checksums.make(core, &mut encoder, at, reads);
                    let mut encoder = work(at, encoder)?;
                    visitor.bring_back(&core.gpu, &mut encoder, layout, writes);
                    let submission = core.finish(encoder);
                    visitor.map(!writes.is_empty());
                    Some((visitor, submission, visit))
                }
            };
            // Only now that the device has more to do: the chunk before.
            let finished = match std::mem::replace(&mut waiting, started) {
                None => None,
                Some((visitor, submission, visit)) => {
                    core.gpu.wait_for(submission)?;
                    visitor.receive(layout, writes, visit.record, &mut stamps[visit.index])?;
                    Some(visit)
                }
            };
            Ok(finished)
        })?;
        checksums.check(&core.gpu, first_chunk..chunks, reads)
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
        checksums: Checksums,
        slots: usize,
    ) -> Result<Self> {
        let rows = seats.iter().map(|seat| seat.margins.size() as usize).max().unwrap_or(0);
        let sources = shared.sources_sent.len() * 4;
        let largest = (slots * 4).max(rows).max(sources).max(shared.pieces.size() as usize);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = buffer(&gpu, "readback", largest, usage)?;
        let weight = layout.shape.rows as f64;
        let stamps = Stamps::new(
            layout.chunks(),
            match layout.shape.classes {
                None => layout.shape.features + shared.sources_sent.len(),
                Some(_) => 0,
            },
        );
        let mut chunks = Self {
            core: Core {
                gpu,
                layout,
                weight,
                shared,
                stamps,
                readback,
                copies: RefCell::default(),
                passes: RefCell::default(),
            },
            seats,
            away,
            checksums,
        };
        chunks.check()?;
        if layout.shape.weights {
            chunks.core.weight = chunks.sum_row_weights()?;
        }
        Ok(chunks)
    }

    /// An error unless the chunks that stay on the device, and what tells features from columns, are what was sent there.
    pub(super) fn check(&mut self) -> Result<()> {
        let Self { core, seats, checksums, .. } = self;
        for (chunk, seat) in seats.iter().enumerate() {
            let mut encoder = core.encoder();
            let columns = [Part::Features, Part::Labels, Part::RowWeights, Part::Offsets];
            checksums.make(core, &mut encoder, At { seat, chunk }, &columns);
            core.finish(encoder);
        }
        checksums.check(&core.gpu, 0..seats.len(), &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets])?;
        let Some(sources) = &core.shared.sources else { return Ok(()) };
        let sent = &core.shared.sources_sent;
        let behind_parameters = (core.layout.shape.features * 4) as u64;
        let is_softmax = core.layout.shape.classes.is_some();
        let places = [(sources, 0), (&core.shared.parameters, behind_parameters)];
        for place in places.into_iter().take(if is_softmax { 1 } else { 2 }) {
            let mut encoder = core.encoder();
            let bytes = (sent.len() * 4) as u64;
            core.gpu.copy(Operation::ReadBack, &mut encoder, place, (&core.readback, 0), bytes);
            core.gpu.queue.submit([encoder.finish()]);
            let agrees = core.read_back(0..sent.len(), |found| found == &sent[..])?;
            if !agrees && !core.gpu.faults.are_believed() {
                return Err(Error::device(
                    "the GPU does not hold what was sent to it: which columns and levels the features are made of",
                    WAY_OUT,
                ));
            }
        }
        Ok(())
    }

    /// N, from the row weights as they are stored.
    fn sum_row_weights(&mut self) -> Result<f64> {
        let Self { core, seats, away, checksums } = self;
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
            core.gpu.copy(Operation::ReadBack, &mut encoder, (source, 0), (&core.readback, 0), source.size());
            core.gpu.queue.submit([encoder.finish()]);
            core.read_back(0..layout.rows_of(chunk), |row_weights| {
                checksums.check_values(&core.gpu, chunk, Part::RowWeights, row_weights)?;
                add(row_weights);
                Ok(())
            })??;
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

    /// Has `work` add its commands for every chunk, in their order: seat and chunk, encoder. Those on the host visit with the
    /// parts that are `touched`.
    pub(super) fn each(
        &mut self,
        touched: Touched,
        mut work: impl FnMut(&Core, At<'_>, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let Self { core, seats, away, checksums } = self;
        core.stamps.begin_pass();
        let together = chunks_together(&core.layout);
        for (first, few) in seats.chunks(together).enumerate() {
            let mut encoder = core.encoder();
            for (index, seat) in few.iter().enumerate() {
                encoder = work(core, At { seat, chunk: first * together + index }, encoder)?;
            }
            core.finish(encoder);
        }
        if let Some(away) = away {
            away.visit(core, checksums, touched, &mut |at, encoder| work(core, at, encoder))?;
        }
        Ok(())
    }

    /// What each row holds, margin by margin.
    pub(super) fn row_terms(&mut self) -> Result<RowTerms> {
        let Self { core, seats, away, .. } = self;
        let layout = core.layout;
        // What was never written has no stamp.
        let check = |chunk: usize, part: usize, found: &[f32]| {
            let expected = core.stamps.of_chunk(chunk);
            let expected = [expected.margins, expected.direction_margins, expected.residuals][part];
            let known = expected > 0 && !core.gpu.faults.are_believed();
            if known { stamp::check(Kernel::Evaluate, found, 4, expected) } else { Ok(()) }
        };
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
                core.gpu.copy(Operation::ReadBack, &mut encoder, (source, 0), (&core.readback, 0), source.size());
                core.gpu.queue.submit([encoder.finish()]);
                core.read_back(0..(source.size() / 4) as usize, |values| {
                    let (values, stamp) = values.split_at(values.len() - 4);
                    add(part, chunk, values);
                    check(chunk, part, stamp)
                })??;
            }
        }
        if let Some(Away { records, stamps, .. }) = away {
            let record_layout = records.layout;
            let first_chunk = seats.len();
            records.stream([&STATE, &[]], |visit| {
                if let Some(visit) = &visit {
                    for (index, part) in STATE.into_iter().enumerate() {
                        check(first_chunk + visit.index, index, &stamps[visit.index][index])?;
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
    let invocation = a % 16 * 16 + b % 16;
    (piece * GROUP as usize + invocation) * 4 + a / 16 * 2 + b / 16
}

/// Splits weights and intercept of a point into two f32 halves: 48 bits of the 53.
pub(super) fn split(point: &[f64]) -> (Vec<f32>, Vec<f32>) {
    let high: Vec<f32> = point.iter().map(|&q| q as f32).collect();
    let low = point.iter().zip(&high).map(|(q, high)| (q - f64::from(*high)) as f32).collect();
    (high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A large GPU has room for about 400 workgroups: a submission has as many, or all that there are.
    #[test]
    fn many_workgroups_are_in_flight() {
        for (rows, features, classes) in [
            (10_000_000, 28, None),
            (100_000_000, 28, None),
            (1_000_000, 256, None),
            (1_000_000, 1000, None),
            (100_000, 1024, None),
            (20_000, 5000, None),
            (2_000_000, 64, Some(10)),
        ] {
            for chunk_bytes in [128 << 20, 1 << 30] {
                let layout = Layout::new(Shape { classes, ..Shape::plain(rows, features) }, chunk_bytes);
                let all: usize = (0..layout.chunks()).map(|chunk| layout.blocks_of(chunk)).sum();
                let together = all.min(chunks_together(&layout) * layout.blocks_of(0));
                assert!(together >= all.min(400), "{rows} x {features}, {classes:?}: {together} of {all} workgroups");
            }
        }
    }

    /// At 50 GB/s and 1 TFLOP/s no submission takes more than a tenth of a second, unless one chunk or one block does.
    #[test]
    fn no_submission_is_long() {
        for (rows, features, classes) in
            [(100_000_000, 28, None), (1_000_000, 1024, None), (10_000_000, 28, Some(1000)), (2_000_000, 64, Some(10))]
        {
            let layout = Layout::new(Shape { classes, ..Shape::plain(rows, features) }, 128 << 20);
            let margins = layout.shape.margins();
            let row = 4 * (features * margins.div_ceil(EIGHT) + 12 * margins);
            let chunk = (layout.chunk_rows * row) as f64 / 50e9;
            let seconds = chunks_together(&layout) as f64 * chunk;
            assert!(seconds <= 0.1, "{rows} x {features}, {classes:?}: {seconds} s, of which a chunk has {chunk}");
        }
        for (rows, pieces) in [(512, 3), (4096, 561), (4096, 2000), (16_384, 528), (4096, 32_896)] {
            let [blocks, some] = products_together(SUBMISSION_PRODUCTS, 1000, rows, pieces);
            let seconds = (2 * blocks * rows * some * EDGE * EDGE) as f64 / 1e12;
            assert!(seconds <= 0.1, "{rows} rows, {pieces} pieces: {seconds} s");
            assert!(blocks == 1 || some == pieces, "pieces of one block at a time, or blocks as a whole");
        }
    }
}
