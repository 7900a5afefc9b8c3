//! One way for every dispatch to the device and for every slot back: descriptions, stamps, copies, submissions.

use std::cell::RefCell;
use std::ops::Range;

use crate::engine::divisor;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::read_buffer;
use crate::engine::gpu::device_chunk::DeviceChunk;
use crate::engine::gpu::fault::Operation;
use crate::engine::gpu::kernels::{EDGE, Kernel, Pass};
use crate::engine::gpu::shared::{PASSES, Shared, pass_step};
use crate::engine::gpu::slots::{SlotSums, sum_slots};
use crate::engine::gpu::stamp::{self, Stamps};
use crate::engine::layout::Layout;
use crate::error::Result;

/// A chunk, with the buffers that it stands in.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    pub(super) buffers: &'s DeviceChunk,
    pub(super) chunk: usize,
}

/// What of a pass is the same for all dispatches of a visit.
pub(super) fn pass_of(layout: &Layout, at: At<'_>) -> Pass {
    Pass {
        rows: layout.rows_of(at.chunk) as u32,
        stride: at.buffers.stride as u32,
        features: layout.shape.features as u32,
        block_rows: layout.block_rows as u32,
        margins: layout.shape.margins() as u32,
        hessian_rows: layout.hessian_rows as u32,
        ..Pass::default()
    }
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
    /// The slots of all chunks, and row state for [`Engine::row_terms`], on their way to the host.
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

/// Multiplications and additions of the products of columns in one submission at most: 50 ms at 1 TFLOP/s.
pub(super) const SUBMISSION_PRODUCTS: usize = 25_000_000_000;

/// Blocks of `rows` rows that one submission makes products of, of those that there is room for, and how many of their
/// pieces: all, unless those of a single block are more than `products`.
pub(super) fn products_together(products: usize, room: usize, rows: usize, pieces: usize) -> [usize; 2] {
    let most = (products / (rows * EDGE * EDGE).max(1)).max(1);
    [room.min((most / pieces.max(1)).max(1)), pieces.min(most)]
}

impl Core {
    pub(super) fn new(
        gpu: Gpu,
        layout: Layout,
        weight: f64,
        shared: Shared,
        stamps: Stamps,
        readback: wgpu::Buffer,
    ) -> Self {
        Self { gpu, layout, weight, shared, stamps, readback, copies: RefCell::default(), passes: RefCell::default() }
    }

    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.encoder()
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

    /// Adds a dispatch of `kernel` over a chunk.
    pub(super) fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: Kernel,
        at: At<'_>,
        pass: &Pass,
        groups: [usize; 3],
    ) -> Dispatched {
        self.dispatch_bound(encoder, kernel, at, at.buffers.bind_group(kernel), pass, groups)
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
        self.stamps.complete(&mut pass, at.chunk, self.layout.shape.margins() * at.buffers.stride);
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
    pub(super) fn finish(&self, mut encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        for Copy { slots, target, bytes } in self.copies.borrow_mut().drain(..) {
            self.gpu.copy(Operation::ReadBack, &mut encoder, (&slots, 0), (&self.readback, target), bytes);
        }
        let mut passes = self.passes.borrow_mut();
        if !passes.is_empty() {
            self.gpu.write(&self.shared.passes, &passes);
            passes.clear();
        }
        self.gpu.profile.bring_back(&mut encoder);
        let submission = self.gpu.submit(Some(encoder));
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

    /// The means of slots of that many f32s: their sums divided by N.
    pub(super) fn mean_of_slots(&self, slot: usize, taken: &[Taken]) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; slot];
        self.read_taken(taken, |all| sum_slots(all, &mut sums))?;
        Ok(self.divided(sums))
    }

    /// The means of what slots added up to, one after the other.
    pub(super) fn means(&self, sums: Vec<SlotSums>) -> Vec<f64> {
        self.divided(sums.into_iter().flat_map(SlotSums::finish).collect())
    }

    fn divided(&self, mut sums: Vec<f64>) -> Vec<f64> {
        let n = divisor(self.weight);
        for sum in &mut sums {
            *sum /= n;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 1 TFLOP/s the products of a submission take a tenth of a second at most, unless those of one block do not.
    #[test]
    fn no_submission_has_too_many_products() {
        for (rows, pieces) in [(512, 3), (4096, 561), (4096, 2000), (16_384, 528), (4096, 32_896)] {
            let [blocks, some] = products_together(SUBMISSION_PRODUCTS, 1000, rows, pieces);
            let seconds = (2 * blocks * rows * some * EDGE * EDGE) as f64 / 1e12;
            assert!(seconds <= 0.1, "{rows} rows, {pieces} pieces: {seconds} s");
            assert!(blocks == 1 || some == pieces, "pieces of one block at a time, or blocks as a whole");
        }
    }
}
