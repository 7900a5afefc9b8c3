//! The chunks of a table on the device and on the host, and how every pass goes through them.

use crate::data::Shape;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::checksums::Checksums;
use crate::engine::gpu::device_chunk::DeviceChunk;
use crate::engine::gpu::dispatch::{At, Core, pass_of};
use crate::engine::gpu::fault::Operation;
use crate::engine::gpu::kernels::{EIGHT, Kernel, Pass};
use crate::engine::gpu::shared::Shared;
use crate::engine::gpu::stamp::{self, Stamps, WAY_OUT};
use crate::engine::gpu::transfer::{STATE, StateStamps, TransferChunk};
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, HostStore, Part};
use crate::engine::{RowTerms, checked_weight, weight_of_block};
use crate::error::{Error, Result};
use crate::fold::Fold;

/// A table, in chunks.
pub(super) struct Chunks {
    pub(super) core: Core,
    /// Of the first chunks, which stay on the device.
    resident: Vec<DeviceChunk>,
    /// The other chunks.
    away: Option<Away>,
    /// What the columns add up to.
    checksums: Checksums,
}

/// Chunks that are kept on the host and visit the device in every pass.
pub(super) struct Away {
    pub(super) host_chunks: HostStore,
    /// While the device works on one, the host fills the other.
    pub(super) transfers: Vec<TransferChunk>,
    /// What the device left behind the row state of each.
    pub(super) stamps: Vec<StateStamps>,
}

/// Bytes that one submission reads and writes at most, so that none runs into a watchdog, some of which bite after two
/// seconds: 43 ms at 50 GB/s, as a device that shares the host's memory has.
const SUBMISSION_BYTES: usize = 2 << 30;

/// Chunks that one submission goes through at most: each reads its features, for every eight margins once, and touches what
/// there is of a row and margin about twelve times.
fn chunks_together(layout: &Layout) -> usize {
    let Shape { features, .. } = layout.shape;
    let margins = layout.shape.margins();
    let row = 4 * (features * margins.div_ceil(EIGHT) + 12 * margins);
    (SUBMISSION_BYTES / (layout.chunk_rows * row).max(1)).max(1)
}

impl Away {
    /// Takes every chunk to the device in its order, with the parts that `access` names, and has `work` add to the
    /// commands that go with it: its buffers and number, encoder. The columns that came must be those that were sent.
    fn visit(
        &mut self,
        core: &Core,
        checksums: &Checksums,
        access: Access,
        work: &mut impl FnMut(At<'_>, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let Access { reads, writes } = access;
        let Self { host_chunks, transfers, stamps } = self;
        let layout = host_chunks.layout;
        let chunks = core.layout.chunks();
        let first_chunk = chunks - host_chunks.len();
        let mut turns = transfers.iter().cycle();
        let mut waiting = None;
        host_chunks.stream(access, |next| {
            let started = match next {
                None => None,
                Some(visit) => {
                    let transfer = turns.next().expect("there are two transfers");
                    let mut encoder = core.encoder();
                    transfer.send(&core.gpu, &mut encoder, layout, reads, visit.chunk, &stamps[visit.index])?;
                    let at = At { buffers: &transfer.buffers, chunk: first_chunk + visit.index };
                    checksums.make(core, &mut encoder, at, reads);
                    let mut encoder = work(at, encoder)?;
                    transfer.bring_back(&core.gpu, &mut encoder, layout, writes);
                    let submission = core.finish(encoder);
                    transfer.map(!writes.is_empty());
                    Some((transfer, submission, visit))
                }
            };
            // Only now that the device has more to do: the chunk before.
            let finished = match std::mem::replace(&mut waiting, started) {
                None => None,
                Some((transfer, submission, visit)) => {
                    core.gpu.wait_for(&submission)?;
                    transfer.receive(layout, writes, visit.chunk, &mut stamps[visit.index])?;
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
        resident: Vec<DeviceChunk>,
        shared: Shared,
        away: Option<Away>,
        checksums: Checksums,
        slots: usize,
    ) -> Result<Self> {
        let rows = resident.iter().map(|chunk| chunk.margins.size() as usize).max().unwrap_or(0);
        let sources = shared.sources_sent.len() * 4;
        let largest = (slots * 4).max(rows).max(sources).max(shared.pieces.size() as usize);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = buffer(&gpu, "readback", largest, usage)?;
        let (weight, has_weights) = (layout.shape.rows as f64, layout.shape.weights);
        let stamps = Stamps::new(
            layout.chunks(),
            match layout.shape.classes {
                None => layout.shape.features + shared.sources_sent.len(),
                Some(_) => 0,
            },
        );
        let mut chunks =
            Self { core: Core::new(gpu, layout, weight, shared, stamps, readback), resident, away, checksums };
        chunks.check()?;
        if has_weights {
            chunks.core.weight = chunks.sum_row_weights()?;
        }
        Ok(chunks)
    }

    /// An error unless the chunks that stay on the device, and what tells features from columns, are what was sent there.
    pub(super) fn check(&mut self) -> Result<()> {
        let Self { core, resident, checksums, .. } = self;
        for (chunk, buffers) in resident.iter().enumerate() {
            let mut encoder = core.encoder();
            let columns = [Part::Features, Part::Labels, Part::RowWeights, Part::Offsets];
            checksums.make(core, &mut encoder, At { buffers, chunk }, &columns);
            core.finish(encoder);
        }
        checksums.check(
            &core.gpu,
            0..resident.len(),
            &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets],
        )?;
        let Some(sources) = &core.shared.sources else { return Ok(()) };
        let sent = &core.shared.sources_sent;
        let behind_parameters = (core.layout.shape.features * 4) as u64;
        let is_softmax = core.layout.shape.classes.is_some();
        let places = [(sources, 0), (&core.shared.parameters, behind_parameters)];
        for place in places.into_iter().take(if is_softmax { 1 } else { 2 }) {
            let mut encoder = core.encoder();
            let bytes = (sent.len() * 4) as u64;
            core.gpu.copy(Operation::ReadBack, &mut encoder, place, (&core.readback, 0), bytes);
            core.gpu.submit(Some(encoder));
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
        let Self { core, resident, away, checksums } = self;
        let layout = core.layout.clone();
        let mut weight = Fold::default();
        let mut add = |row_weights: &[f32]| {
            for block in row_weights.chunks(layout.block_rows) {
                weight.push(weight_of_block(block));
            }
        };
        for (chunk, buffers) in resident.iter().enumerate() {
            let Some(source) = &buffers.row_weights else { continue };
            let mut encoder = core.encoder();
            core.gpu.copy(Operation::ReadBack, &mut encoder, (source, 0), (&core.readback, 0), source.size());
            core.gpu.submit(Some(encoder));
            core.read_back(0..layout.rows_of(chunk), |row_weights| {
                checksums.check_values(&core.gpu, chunk, Part::RowWeights, row_weights)?;
                add(row_weights);
                Ok(())
            })??;
        }
        if let Some(Away { host_chunks, .. }) = away {
            let range = host_chunks.layout.range(Part::RowWeights);
            let first_chunk = resident.len();
            host_chunks.stream(Access { reads: &[Part::RowWeights], writes: &[] }, |visit| {
                if let Some(visit) = &visit {
                    let values: &[f32] = bytemuck::cast_slice(&visit.chunk[range.clone()]);
                    add(&values[..layout.rows_of(first_chunk + visit.index)]);
                }
                Ok(visit)
            })?;
        }
        checked_weight(weight.finish().unwrap_or(0.0))
    }

    /// Has `work` add its commands for every chunk, in their order: its buffers and number, encoder. Those on the host visit with the
    /// parts that `access` names.
    pub(super) fn each(
        &mut self,
        access: Access,
        mut work: impl FnMut(&Core, At<'_>, wgpu::CommandEncoder) -> Result<wgpu::CommandEncoder>,
    ) -> Result<()> {
        let Self { core, resident, away, checksums } = self;
        core.stamps.begin_pass();
        let together = chunks_together(&core.layout);
        for (first, few) in resident.chunks(together).enumerate() {
            let mut encoder = core.encoder();
            for (index, buffers) in few.iter().enumerate() {
                encoder = work(core, At { buffers, chunk: first * together + index }, encoder)?;
            }
            core.finish(encoder);
        }
        if let Some(away) = away {
            away.visit(core, checksums, access, &mut |at, encoder| work(core, at, encoder))?;
        }
        Ok(())
    }

    /// Margins move to a step along the direction margins.
    pub(super) fn advance(&mut self, step: f32) -> Result<()> {
        let layout = self.core.layout.clone();
        let access: Access = Access { reads: &[Part::Margins, Part::DirectionMargins], writes: &[Part::Margins] };
        self.each(access, |core, at, mut encoder| {
            let pass = Pass { steps: [step, 0.0, 0.0, 0.0], ..pass_of(&layout, at) };
            let groups = [layout.blocks_of(at.chunk), layout.shape.margins(), 1];
            core.dispatch(&mut encoder, Kernel::Advance, at, &pass, groups);
            Ok(encoder)
        })
    }

    /// What each row holds, margin by margin.
    pub(super) fn row_terms(&mut self) -> Result<RowTerms> {
        let Self { core, resident, away, .. } = self;
        let layout = core.layout.clone();
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
        for (chunk, buffers) in resident.iter().enumerate() {
            for (part, source) in
                [&buffers.margins, &buffers.direction_margins, &buffers.residuals].into_iter().enumerate()
            {
                let mut encoder = core.encoder();
                core.gpu.copy(Operation::ReadBack, &mut encoder, (source, 0), (&core.readback, 0), source.size());
                core.gpu.submit(Some(encoder));
                core.read_back(0..(source.size() / 4) as usize, |values| {
                    let (values, stamp) = values.split_at(values.len() - 4);
                    add(part, chunk, values);
                    check(chunk, part, stamp)
                })??;
            }
        }
        if let Some(Away { host_chunks, stamps, .. }) = away {
            let host_layout = host_chunks.layout;
            let first_chunk = resident.len();
            host_chunks.stream(Access { reads: &STATE, writes: &[] }, |visit| {
                if let Some(visit) = &visit {
                    for (index, part) in STATE.into_iter().enumerate() {
                        check(first_chunk + visit.index, index, &stamps[visit.index][index])?;
                        let values = &visit.chunk[host_layout.range(part)];
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

    /// At 50 GB/s no submission takes more than a tenth of a second, unless one chunk does.
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
    }
}
