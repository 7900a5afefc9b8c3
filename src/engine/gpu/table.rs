//! A table on its way to the device: chunks there and on the host, filled column by column while the file is read.

use crate::data::{Column, Design, Store};
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::checksums::{self, Written};
use crate::engine::gpu::chunks::Away;
use crate::engine::gpu::device_chunk::{DeviceChunk, device_chunk_bytes};
use crate::engine::gpu::engine::GpuEngine;
use crate::engine::gpu::fused::Fused;
use crate::engine::gpu::moments;
use crate::engine::gpu::shared::Shared;
use crate::engine::gpu::staged::Staged;
use crate::engine::gpu::transfer::TransferChunk;
use crate::engine::gpu::upload::{self, Upload};
use crate::engine::layout::Layout;
use crate::engine::storage::{HostColumns, HostLayout, HostStore, Limits, Placement, STAGED, absent, host_layout};
use crate::engine::{Engine, TableBuilder, without_panic};
use crate::error::{Error, Result};

/// A table being filled.
pub struct GpuTableBuilder {
    gpu: Gpu,
    layout: Layout,
    /// Of the first chunks, which stay on the device.
    device_chunks: Vec<DeviceChunk>,
    shared: Shared,
    /// The other chunks, if there are any.
    away: Option<Away>,
    upload: Upload,
    written: Written,
}

/// Bytes of the host that chunks take which visit the device: for two of them on their way there and back, and those that are
/// read from a scratch file meanwhile.
fn visiting_bytes(host: HostLayout) -> u64 {
    (4 + STAGED as u64) * host.bytes() as u64
}

/// Room on the device for what is made when the table is already there, so that it does not take that too.
struct Later {
    held: wgpu::Buffer,
    bytes: u64,
}

impl Later {
    fn reserve(gpu: &Gpu, layout: &Layout, shared: &Shared) -> Result<Self> {
        let bytes = moments::device_bytes(gpu, layout, shared);
        Ok(Self { held: buffer(gpu, "later", bytes, wgpu::BufferUsages::COPY_DST)?, bytes: bytes as u64 })
    }

    /// Gives it back, now that the table has its place.
    fn release(self, gpu: &Gpu) -> Result<()> {
        drop(self.held);
        gpu.memory.give_back(self.bytes);
        gpu.wait()
    }
}

impl GpuTableBuilder {
    /// A table whose chunks all stay on the device; `None` where there is no room for them.
    pub(super) fn whole(gpu: &Gpu, layout: Layout, design: &Design) -> Result<Option<Self>> {
        let shared = Shared::new(gpu, &layout, design, checksums::device_bytes(&layout))?;
        let later = Later::reserve(gpu, &layout, &shared)?;
        let mut device_chunks = Vec::new();
        while device_chunks.len() < layout.chunks() {
            let Some(chunk) = DeviceChunk::new(gpu, &layout, layout.rows_of(device_chunks.len()), &shared)? else {
                let all = device_chunks.len();
                gpu.give_back(&mut device_chunks, all)?;
                later.release(gpu)?;
                gpu.memory.give_back(shared.bytes());
                return Ok(None);
            };
            device_chunks.push(chunk);
        }
        later.release(gpu)?;
        Ok(Some(Self::of(gpu, layout, device_chunks, shared, None)))
    }

    fn of(gpu: &Gpu, layout: Layout, device_chunks: Vec<DeviceChunk>, shared: Shared, away: Option<Away>) -> Self {
        let (upload, written) = (Upload::new(gpu), Written::new(layout.clone()));
        Self { gpu: gpu.clone(), layout, device_chunks, shared, away, upload, written }
    }

    pub(super) fn new(gpu: &Gpu, layout: Layout, design: &Design, limits: &Limits) -> Result<Self> {
        let shared = Shared::new(gpu, &layout, design, checksums::device_bytes(&layout))?;
        let later = Later::reserve(gpu, &layout, &shared)?;
        let host = host_layout(&layout, size_of::<f32>());
        let transfers = 2 * device_chunk_bytes(&layout, host.stride);
        let chunks = layout.chunks();
        let sizes = (0..chunks).map(|chunk| device_chunk_bytes(&layout, layout.rows_of(chunk)));
        // Memory that device and host share is counted once. Its driver may promise what is not there, and then the system
        // ends the process, with no error before.
        let beside = shared.bytes() + later.bytes + upload::most_bytes() + sizes.clone().max().unwrap_or(0);
        let budget = gpu.shares_memory.then(|| Limits::default().host_bytes().saturating_sub(beside));
        let of_host = limits.host.unwrap_or(0) + visiting_bytes(host);
        let most = limits.device.or_else(|| budget.map(|budget| budget.saturating_sub(of_host)));
        let wanted = match most {
            None => chunks,
            Some(most) if sizes.clone().sum::<u64>() <= most => chunks,
            Some(most) => sizes
                .scan(transfers, |taken, bytes| {
                    *taken += bytes;
                    Some(*taken)
                })
                .take_while(|&taken| taken <= most)
                .count(),
        };
        let mut device_chunks = Vec::new();
        while device_chunks.len() < wanted {
            let Some(chunk) = DeviceChunk::new(gpu, &layout, layout.rows_of(device_chunks.len()), &shared)? else {
                // A device filled to the brim is slow, and other programs want some of it.
                let spare = device_chunks.len().div_ceil(10);
                gpu.give_back(&mut device_chunks, spare)?;
                break;
            };
            device_chunks.push(chunk);
        }
        let mut limits = limits.clone();
        if let (Some(budget), None) = (budget, limits.host) {
            let taken: u64 =
                device_chunks.iter().map(DeviceChunk::bytes).sum::<u64>() + transfers + visiting_bytes(host);
            limits.host = Some(budget.saturating_sub(taken));
        }
        let away = if device_chunks.len() < chunks {
            Some(Self::away(gpu, &layout, &mut device_chunks, host, &shared, &limits)?)
        } else {
            None
        };
        later.release(gpu)?;
        Ok(Self::of(gpu, layout, device_chunks, shared, away))
    }

    /// The chunks that stay on the host, and the two that carry them to the device in turn.
    fn away(
        gpu: &Gpu,
        layout: &Layout,
        device_chunks: &mut Vec<DeviceChunk>,
        host: HostLayout,
        shared: &Shared,
        limits: &Limits,
    ) -> Result<Away> {
        let mut transfers = Vec::new();
        while transfers.len() < 2 {
            match TransferChunk::new(gpu, layout, host, shared)? {
                Some(transfer) => transfers.push(transfer),
                // The transfers need room too.
                None if !device_chunks.is_empty() => gpu.give_back(device_chunks, 1)?,
                None => {
                    return Err(Error::device(
                        format!("{} has no room for two chunks of {} MiB", gpu.describe(), host.bytes() >> 20),
                        "Use ⟦device cpu⟧ (the same answer), or fewer columns (⟦features⟧).",
                    ));
                }
            }
        }
        let host_chunks = HostStore::new(layout.chunks() - device_chunks.len(), host, limits)?;
        Ok(Away { stamps: vec![Default::default(); host_chunks.len()], host_chunks, transfers })
    }

    /// Fills every buffer, padding included, with NaN: what is not written must not be read.
    pub fn poison(&self) -> Result<()> {
        let transfers = self.away.iter().flat_map(|away| &away.transfers).map(|transfer| &transfer.buffers);
        for chunk in self.device_chunks.iter().chain(transfers) {
            for buffer in chunk.buffers().chain(&self.shared.factors) {
                let nan = vec![f32::NAN; (buffer.size() / 4) as usize];
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&nan));
            }
            self.gpu.submit(None);
            self.gpu.wait()?;
        }
        Ok(())
    }
}

/// Takes the columns of a table.
struct GpuStore<'t> {
    layout: Layout,
    device_chunks: &'t [DeviceChunk],
    upload: &'t Upload,
    away: Option<HostColumns<'t>>,
    written: &'t Written,
}

impl Store for GpuStore<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        // By many threads, of which each catches its own panics.
        without_panic(|| self.write_pieces(column, first_row, values))
    }

    /// Pieces wait in several staging buffers, which are submitted in any order.
    fn settle(&self) -> Result<()> {
        self.written.settle();
        self.upload.finish()
    }
}

impl GpuStore<'_> {
    fn write_pieces(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut values = values;
        for (chunk, rows) in self.layout.pieces(first_row, values.len()) {
            let (here, rest) = values.split_at(rows.len());
            values = rest;
            match (self.device_chunks.get(chunk), &self.away) {
                (Some(buffers), _) => {
                    let (target, first) = match column {
                        Column::Feature(index) => (Some(&buffers.features), index * buffers.stride * 4),
                        Column::Label => (Some(&buffers.labels), 0),
                        Column::Weight => (buffers.row_weights.as_ref(), 0),
                        Column::Offset(margin) => (buffers.offsets.as_ref(), margin * buffers.stride * 4),
                    };
                    let target = target.ok_or_else(|| absent(column))?;
                    self.upload.write(target, first + rows.start, here)?;
                }
                (None, Some(away)) => away.write(chunk - self.device_chunks.len(), column, rows.start, here)?,
                (None, None) => return Err(Error::internal(format!("chunk {chunk} is kept nowhere"))),
            }
            self.written.add(chunk, column, rows.start, here);
        }
        Ok(())
    }
}

impl TableBuilder for GpuTableBuilder {
    fn as_store(&mut self) -> Box<dyn Store + '_> {
        Box::new(GpuStore {
            layout: self.layout.clone(),
            device_chunks: &self.device_chunks,
            upload: &self.upload,
            away: self.away.as_mut().map(|away| away.host_chunks.columns()),
            written: &self.written,
        })
    }

    fn placement(&self) -> Placement {
        let chunks = 0..self.device_chunks.len();
        Placement {
            device_chunks: self.device_chunks.len(),
            device_bytes: chunks.map(|chunk| device_chunk_bytes(&self.layout, self.layout.rows_of(chunk))).sum(),
            ..self.away.as_ref().map(|away| away.host_chunks.placement()).unwrap_or_default()
        }
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Engine>> {
        self.upload.finish()?;
        let Self { gpu, layout, device_chunks, shared, away, written, .. } = *self;
        let checksums = written.finish(&gpu)?;
        Ok(match layout.shape.classes {
            None => Box::new(GpuEngine::<Fused>::new(gpu, layout, device_chunks, shared, away, checksums)?),
            Some(_) => Box::new(GpuEngine::<Staged>::new(gpu, layout, device_chunks, shared, away, checksums)?),
        })
    }
}
