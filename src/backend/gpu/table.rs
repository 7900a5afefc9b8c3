//! A table on its way to the device: seats and records, filled column by column while the file is read.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::buffers::buffer;
use crate::backend::gpu::checksums::{self, Written};
use crate::backend::gpu::chunks::Away;
use crate::backend::gpu::engine::GpuEngine;
use crate::backend::gpu::fused::Fused;
use crate::backend::gpu::moments;
use crate::backend::gpu::seat::{Seat, seat, seat_bytes};
use crate::backend::gpu::shared::Shared;
use crate::backend::gpu::staged::Staged;
use crate::backend::gpu::upload::{self, Upload};
use crate::backend::gpu::visitor::Visitor;
use crate::backend::layout::Layout;
use crate::backend::storage::{HostRecords, Limits, Placement, RecordColumns, RecordLayout, STAGED, absent, record_of};
use crate::backend::{Backend, Loading};
use crate::data::{Column, Design, Store};
use crate::error::{Error, Result};

/// A table being filled.
pub struct GpuTable {
    gpu: Gpu,
    layout: Layout,
    /// Of the first chunks, which stay on the device.
    seats: Vec<Seat>,
    shared: Shared,
    /// The other chunks, if there are any.
    away: Option<Away>,
    upload: Upload,
    written: Written,
}

/// Bytes of the host that chunks take which visit the device: for two of them on their way there and back, and those that are
/// read from a scratch file meanwhile.
fn visiting_bytes(record: RecordLayout) -> u64 {
    (4 + STAGED as u64) * record.bytes() as u64
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

impl GpuTable {
    /// A table whose chunks all stay on the device; `None` where there is no room for them.
    pub(super) fn whole(gpu: &Gpu, layout: Layout, design: &Design) -> Result<Option<Self>> {
        let shared = Shared::new(gpu, &layout, design, checksums::device_bytes(&layout))?;
        let later = Later::reserve(gpu, &layout, &shared)?;
        let mut seats = Vec::new();
        while seats.len() < layout.chunks() {
            let Some(seat) = seat(gpu, &layout, layout.rows_of(seats.len()), &shared)? else {
                let all = seats.len();
                gpu.give_back(&mut seats, all)?;
                later.release(gpu)?;
                gpu.memory.give_back(shared.bytes());
                return Ok(None);
            };
            seats.push(seat);
        }
        later.release(gpu)?;
        Ok(Some(Self::of(gpu, layout, seats, shared, None)))
    }

    fn of(gpu: &Gpu, layout: Layout, seats: Vec<Seat>, shared: Shared, away: Option<Away>) -> Self {
        let (upload, written) = (Upload::new(gpu), Written::new(layout.clone()));
        Self { gpu: gpu.clone(), layout, seats, shared, away, upload, written }
    }

    pub(super) fn new(gpu: &Gpu, layout: Layout, design: &Design, limits: &Limits) -> Result<Self> {
        let shared = Shared::new(gpu, &layout, design, checksums::device_bytes(&layout))?;
        let later = Later::reserve(gpu, &layout, &shared)?;
        let record = record_of(&layout, size_of::<f32>());
        let visitors = 2 * seat_bytes(&layout, record.stride);
        let chunks = layout.chunks();
        let sizes = (0..chunks).map(|chunk| seat_bytes(&layout, layout.rows_of(chunk)));
        // Memory that device and host share is counted once. Its driver may promise what is not there, and then the system
        // ends the process, with no error before.
        let beside = shared.bytes() + later.bytes + upload::most_bytes() + sizes.clone().max().unwrap_or(0);
        let budget = gpu.shares_memory.then(|| Limits::default().host_bytes().saturating_sub(beside));
        let of_host = limits.host.unwrap_or(0) + visiting_bytes(record);
        let most = limits.device.or_else(|| budget.map(|budget| budget.saturating_sub(of_host)));
        let wanted = match most {
            None => chunks,
            Some(most) if sizes.clone().sum::<u64>() <= most => chunks,
            Some(most) => sizes
                .scan(visitors, |taken, bytes| {
                    *taken += bytes;
                    Some(*taken)
                })
                .take_while(|&taken| taken <= most)
                .count(),
        };
        let mut seats = Vec::new();
        while seats.len() < wanted {
            let Some(seat) = seat(gpu, &layout, layout.rows_of(seats.len()), &shared)? else {
                // A device filled to the brim is slow, and other programs want some of it.
                let spare = seats.len().div_ceil(10);
                gpu.give_back(&mut seats, spare)?;
                break;
            };
            seats.push(seat);
        }
        let mut limits = limits.clone();
        if let (Some(budget), None) = (budget, limits.host) {
            let taken: u64 = seats.iter().map(Seat::bytes).sum::<u64>() + visitors + visiting_bytes(record);
            limits.host = Some(budget.saturating_sub(taken));
        }
        let away = if seats.len() < chunks {
            Some(Self::away(gpu, &layout, &mut seats, record, &shared, &limits)?)
        } else {
            None
        };
        later.release(gpu)?;
        Ok(Self::of(gpu, layout, seats, shared, away))
    }

    /// The records of the chunks that have no seat, and the two seats that they visit in turn.
    fn away(
        gpu: &Gpu,
        layout: &Layout,
        seats: &mut Vec<Seat>,
        record: RecordLayout,
        shared: &Shared,
        limits: &Limits,
    ) -> Result<Away> {
        let mut visitors = Vec::new();
        while visitors.len() < 2 {
            match Visitor::new(gpu, layout, record, shared)? {
                Some(visitor) => visitors.push(visitor),
                // The visitors need room too.
                None if !seats.is_empty() => gpu.give_back(seats, 1)?,
                None => {
                    return Err(Error::device(
                        format!("{} has no room for two chunks of {} MiB", gpu.describe(), record.bytes() >> 20),
                        "Use ⟦device cpu⟧ (the same answer), or fewer columns (⟦features⟧).",
                    ));
                }
            }
        }
        let records = HostRecords::new(layout.chunks() - seats.len(), record, limits)?;
        Ok(Away { stamps: vec![Default::default(); records.len()], records, visitors })
    }

    /// Fills every buffer, padding included, with NaN: what is not written must not be read.
    pub fn poison(&self) -> Result<()> {
        let visitors = self.away.iter().flat_map(|away| &away.visitors).map(|visitor| &visitor.seat);
        for seat in self.seats.iter().chain(visitors) {
            for buffer in seat.buffers().chain(&self.shared.factors) {
                let nan = vec![f32::NAN; (buffer.size() / 4) as usize];
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&nan));
            }
            self.gpu.queue.submit([]);
            self.gpu.wait()?;
        }
        Ok(())
    }
}

/// Takes the columns of a table.
struct GpuStore<'t> {
    layout: Layout,
    seats: &'t [Seat],
    upload: &'t Upload,
    away: Option<RecordColumns<'t>>,
    written: &'t Written,
}

impl Store for GpuStore<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut values = values;
        for (chunk, rows) in self.layout.pieces(first_row, values.len()) {
            let (here, rest) = values.split_at(rows.len());
            values = rest;
            match (self.seats.get(chunk), &self.away) {
                (Some(seat), _) => {
                    let (target, first) = match column {
                        Column::Feature(index) => (Some(&seat.features), index * seat.stride * 4),
                        Column::Label => (Some(&seat.labels), 0),
                        Column::Weight => (seat.row_weights.as_ref(), 0),
                        Column::Offset(margin) => (seat.offsets.as_ref(), margin * seat.stride * 4),
                    };
                    let target = target.ok_or_else(|| absent(column))?;
                    self.upload.write(target, first + rows.start, here)?;
                }
                (None, Some(away)) => away.write(chunk - self.seats.len(), column, rows.start, here)?,
                (None, None) => return Err(Error::internal(format!("chunk {chunk} is kept nowhere"))),
            }
            self.written.add(chunk, column, rows.start, here);
        }
        Ok(())
    }

    /// Pieces wait in several staging buffers, which are submitted in any order.
    fn settle(&self) -> Result<()> {
        self.written.settle();
        self.upload.finish()
    }
}

impl Loading for GpuTable {
    fn as_store(&mut self) -> Box<dyn Store + '_> {
        Box::new(GpuStore {
            layout: self.layout.clone(),
            seats: &self.seats,
            upload: &self.upload,
            away: self.away.as_mut().map(|away| away.records.columns()),
            written: &self.written,
        })
    }

    fn placement(&self) -> Placement {
        let chunks = 0..self.seats.len();
        Placement {
            device_chunks: self.seats.len(),
            device_bytes: chunks.map(|chunk| seat_bytes(&self.layout, self.layout.rows_of(chunk))).sum(),
            ..self.away.as_ref().map(|away| away.records.placement()).unwrap_or_default()
        }
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Backend>> {
        self.upload.finish()?;
        let Self { gpu, layout, seats, shared, away, written, .. } = *self;
        let checksums = written.finish(&gpu)?;
        Ok(match layout.shape.classes {
            None => Box::new(GpuEngine::<Fused>::new(gpu, layout, seats, shared, away, checksums)?),
            Some(_) => Box::new(GpuEngine::<Staged>::new(gpu, layout, seats, shared, away, checksums)?),
        })
    }
}
