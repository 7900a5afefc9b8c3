//! The buffers of the device: a seat for each chunk that stays, two for those that only visit, and what all use in turn.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::kernels::{Binding, EDGE, Kernel, LEFT_EXTRA, PROBES, Pass, SLOT_HEAD};
use crate::backend::layout::Layout;
use crate::backend::storage::{Part, RecordLayout};
use crate::data::{Column, Design};
use crate::error::{Error, Result};

/// Columns and row state of one chunk on the device.
pub(super) struct Seat {
    /// Vec4s from one column to the next.
    pub(super) stride: usize,
    pub(super) pass: wgpu::Buffer,
    pub(super) features: wgpu::Buffer,
    pub(super) labels: wgpu::Buffer,
    pub(super) row_weights: Option<wgpu::Buffer>,
    pub(super) offsets: Option<wgpu::Buffer>,
    pub(super) margins: wgpu::Buffer,
    pub(super) direction_margins: wgpu::Buffer,
    pub(super) residuals: wgpu::Buffer,
    pub(super) slots: wgpu::Buffer,
    bind_groups: [wgpu::BindGroup; 5],
}

impl Seat {
    pub(super) fn bind_group(&self, kernel: Kernel) -> &wgpu::BindGroup {
        &self.bind_groups[kernel as usize]
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> u64 {
        self.pass.size() + self.buffers().map(wgpu::Buffer::size).sum::<u64>()
    }

    /// All storage buffers.
    pub(super) fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let always =
            [&self.features, &self.labels, &self.margins, &self.direction_margins, &self.residuals, &self.slots];
        always.into_iter().chain(&self.row_weights).chain(&self.offsets)
    }

    /// The buffer of a part, if the table has it.
    pub(super) fn part(&self, part: Part) -> Option<&wgpu::Buffer> {
        match part {
            Part::Features => Some(&self.features),
            Part::Labels => Some(&self.labels),
            Part::RowWeights => self.row_weights.as_ref(),
            Part::Offsets => self.offsets.as_ref(),
            Part::Margins => Some(&self.margins),
            Part::DirectionMargins => Some(&self.direction_margins),
            Part::Residuals => Some(&self.residuals),
        }
    }
}

/// Bytes on the device of a seat for `rows` rows.
pub(super) fn seat_bytes(layout: &Layout, rows: usize) -> u64 {
    // Margins, direction margins and residuals beside the columns.
    let columns = layout.shape.columns + layout.shape.columns_beside() + 3;
    (rows.div_ceil(4) * 16 * columns + rows.div_ceil(layout.block_rows) * largest_slot(layout) * 4) as u64
}

/// Buffers that all chunks use in turn.
pub(super) struct Shared {
    /// Weights or direction `[features]` of the pass at hand; behind them, if there are categories, the column and the
    /// code of each feature.
    pub(super) parameters: wgpu::Buffer,
    /// Slots of the Hessian in flight, `[slots][pieces][256]` vec4s.
    pub(super) pieces: wgpu::Buffer,
}

/// Bytes that every device can bind.
const MAX_SLOT_BYTES: usize = 128 << 20;

/// Memory of the Hessian's slots in flight; one slot at least.
const PIECES_BYTES: usize = 64 << 20;

/// Pieces of the Hessian's product on and below the diagonal.
pub(super) fn hessian_pieces(features: usize) -> usize {
    let edges = (features + LEFT_EXTRA).div_ceil(EDGE);
    edges * (edges + 1) / 2
}

/// Edges of the Hessian itself; its border has as many pieces on the diagonal, and as many in the intercept's row.
pub(super) fn border_edges(features: usize) -> usize {
    features / EDGE + 1
}

/// f32s of the larger of the two kinds of slot.
pub(super) fn slot_len(kernel: Kernel, features: usize) -> usize {
    match kernel {
        Kernel::Evaluate => features + SLOT_HEAD,
        Kernel::Probe => 3 * PROBES,
        Kernel::Margin | Kernel::Advance | Kernel::Hessian => 0,
    }
}

impl Shared {
    pub(super) fn new(gpu: &Gpu, layout: &Layout, design: &Design) -> Result<Self> {
        let features = layout.shape.features;
        // Column and code, which f32 holds exactly: there are fewer than 2^24 of either.
        let sources: Vec<f32> = if layout.shape.has_levels() {
            let (columns, codes): (Vec<f32>, Vec<f32>) =
                design.sources().map(|(column, code)| (column as f32, code.unwrap_or(0) as f32)).unzip();
            [columns, codes].concat()
        } else {
            Vec::new()
        };
        let bytes = ((features + sources.len()) * 4).max(16);
        let parameters = buffer(gpu, "parameters", bytes, wgpu::BufferUsages::COPY_DST)?;
        if !sources.is_empty() {
            gpu.queue.write_buffer(&parameters, (features * 4) as u64, bytemuck::cast_slice(&sources));
        }
        let border = 2 * border_edges(layout.shape.features) * EDGE * EDGE * 4;
        let hessian = hessian_pieces(layout.shape.features) * EDGE * EDGE * 4;
        // A Hessian whose single slot no device need bind is not taken; its border still is.
        let slot = if hessian <= MAX_SLOT_BYTES { hessian.max(border) } else { border };
        let most = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).max().unwrap_or(1);
        let slots = (PIECES_BYTES / slot).clamp(1, most);
        let pieces = buffer(gpu, "pieces", slot * slots, wgpu::BufferUsages::COPY_SRC)?;
        Ok(Self { parameters, pieces })
    }
}

/// A storage buffer of `bytes`, or `None` where the device has no room.
pub(super) fn buffer_if_room(
    gpu: &Gpu,
    label: &str,
    bytes: usize,
    usage: wgpu::BufferUsages,
) -> Result<Option<wgpu::Buffer>> {
    use wgpu::BufferUsages as Usage;
    let on_host = usage.intersects(Usage::MAP_READ | Usage::MAP_WRITE);
    let usage = if on_host || usage.contains(Usage::UNIFORM) { usage } else { usage | Usage::STORAGE };
    if !on_host && !gpu.memory.take(bytes as u64) {
        return Ok(None);
    }
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(&format!("logreg.{label}")),
        size: bytes as u64,
        usage,
        // What the host writes is mapped whenever the device does not use it.
        mapped_at_creation: usage.contains(Usage::MAP_WRITE),
    });
    if pollster::block_on(scope.pop()).is_some() {
        return Ok(None);
    }
    gpu.trouble.check()?;
    Ok(Some(buffer))
}

/// As [`buffer_if_room`], where nothing helps if there is none.
pub(super) fn buffer(gpu: &Gpu, label: &str, bytes: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    buffer_if_room(gpu, label, bytes, usage)?.ok_or_else(|| {
        Error::device(
            format!("{} has no room for {label}: {} MiB more were needed", gpu.describe(), bytes >> 20),
            "Use --device cpu (the same answer), or fewer columns (--features).",
        )
    })
}

/// f32s of the largest slot of a block that any kernel but the Hessian's writes.
fn largest_slot(layout: &Layout) -> usize {
    slot_len(Kernel::Evaluate, layout.shape.features).max(slot_len(Kernel::Probe, layout.shape.features))
}

/// A seat for at most `rows` rows, or `None` where the device has no room.
pub(super) fn seat(gpu: &Gpu, layout: &Layout, rows: usize, shared: &Shared) -> Result<Option<Seat>> {
    use wgpu::BufferUsages as Usage;
    let blocks = rows.div_ceil(layout.block_rows);
    // Columns start at whole vec4s; what is beyond the rows is never read.
    let stride = rows.div_ceil(4);
    let copied = Usage::COPY_DST | Usage::COPY_SRC;
    let sizes = [
        ("pass", size_of::<Pass>(), Usage::UNIFORM | Usage::COPY_DST),
        ("features", stride * 16 * layout.shape.columns, Usage::COPY_DST),
        ("labels", stride * 16, copied),
        ("margins", stride * 16, copied),
        ("direction_margins", stride * 16, copied),
        ("residuals", stride * 16, copied),
        ("slots", blocks * largest_slot(layout) * 4, copied),
    ];
    let mut buffers = Vec::with_capacity(sizes.len());
    for (label, bytes, usage) in sizes {
        match buffer_if_room(gpu, label, bytes, usage)? {
            Some(buffer) => buffers.push(buffer),
            None => return Ok(None),
        }
    }
    let [pass, features, labels, margins, direction_margins, residuals, slots] =
        buffers.try_into().map_err(|_| Error::internal("a seat has seven buffers"))?;
    let mut optional = [None, None];
    for (buffer, (label, column)) in
        optional.iter_mut().zip([("row_weights", Column::Weight), ("offsets", Column::Offset)])
    {
        if layout.shape.has(column) {
            *buffer = buffer_if_room(gpu, label, stride * 16, copied)?;
            if buffer.is_none() {
                return Ok(None);
            }
        }
    }
    let [row_weights, offsets] = optional;
    let bind_groups = Kernel::ALL.map(|kernel| {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = kernel
            .bindings()
            .iter()
            .zip(0..)
            .map(|(binding, index)| {
                let buffer = match binding {
                    Binding::Pass => &pass,
                    Binding::Read(name) | Binding::Write(name) => match *name {
                        "features" => &features,
                        "labels" => &labels,
                        // A pipeline for tables without the column reads nothing there, but something must be bound.
                        "row_weights" => row_weights.as_ref().unwrap_or(&labels),
                        "offsets" => offsets.as_ref().unwrap_or(&labels),
                        "parameters" => &shared.parameters,
                        "pieces" => &shared.pieces,
                        "margins" => &margins,
                        "direction_margins" => &direction_margins,
                        "residuals" => &residuals,
                        "slots" => &slots,
                        other => unreachable!("no buffer is called {other}"),
                    },
                };
                wgpu::BindGroupEntry { binding: index, resource: buffer.as_entire_binding() }
            })
            .collect();
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&format!("logreg.{}", kernel.name())),
            layout: &gpu.kernels.get(kernel).bindings,
            entries: &entries,
        })
    });
    gpu.trouble.check()?;
    Ok(Some(Seat {
        stride,
        pass,
        features,
        labels,
        row_weights,
        offsets,
        margins,
        direction_margins,
        residuals,
        slots,
        bind_groups,
    }))
}

/// A seat for chunks that are kept on the host, with buffers that the host writes and reads.
pub(super) struct Visitor {
    pub(super) seat: Seat,
    /// A record on its way to the seat; mapped while the device does not use it.
    up: wgpu::Buffer,
    /// The row state on its way back, from [`Part::Margins`] on.
    down: wgpu::Buffer,
}

impl Visitor {
    pub(super) fn new(gpu: &Gpu, layout: &Layout, record: RecordLayout, shared: &Shared) -> Result<Option<Self>> {
        use wgpu::BufferUsages as Usage;
        let Some(seat) = seat(gpu, layout, record.stride, shared)? else { return Ok(None) };
        let state = record.bytes() - record.range(Part::Margins).start;
        Ok(Some(Self {
            seat,
            up: buffer(gpu, "up", record.bytes(), Usage::MAP_WRITE | Usage::COPY_SRC)?,
            down: buffer(gpu, "down", state, Usage::MAP_READ | Usage::COPY_DST)?,
        }))
    }

    /// Copies parts of a record to the device, as the first commands of `encoder`.
    pub(super) fn send(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        layout: RecordLayout,
        parts: &[Part],
        record: &[u8],
    ) -> Result<()> {
        for &part in parts {
            let Some(buffer) = self.seat.part(part) else { continue };
            let range = layout.range(part);
            let place = range.start as u64..range.end as u64;
            let mut mapped = self.up.get_mapped_range_mut(place.clone()).map_err(|cause| {
                Error::device(format!("a chunk cannot be handed to the GPU: {cause}"), "Use --device cpu.")
            })?;
            mapped.copy_from_slice(&record[range]);
            drop(mapped);
            encoder.copy_buffer_to_buffer(&self.up, place.start, buffer, 0, place.end - place.start);
        }
        self.up.unmap();
        Ok(())
    }

    /// Copies parts of the seat towards the host, as the last commands of `encoder`.
    pub(super) fn bring_back(&self, encoder: &mut wgpu::CommandEncoder, layout: RecordLayout, parts: &[Part]) {
        let first = layout.range(Part::Margins).start;
        for &part in parts {
            let Some(buffer) = self.seat.part(part) else { continue };
            let range = layout.range(part);
            let target = (range.start - first) as u64;
            encoder.copy_buffer_to_buffer(buffer, 0, &self.down, target, range.len() as u64);
        }
    }

    /// Asks for the buffers of the host, once the commands before are done.
    pub(super) fn map(&self, brings_back: bool) {
        self.up.map_async(wgpu::MapMode::Write, .., |_| {});
        if brings_back {
            self.down.map_async(wgpu::MapMode::Read, .., |_| {});
        }
    }

    /// Takes what was brought back into the record; the commands are done.
    pub(super) fn receive(&self, layout: RecordLayout, parts: &[Part], record: &mut [u8]) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let first = layout.range(Part::Margins).start;
        let view = self.down.get_mapped_range(..).map_err(|cause| {
            Error::device(format!("the GPU's results cannot be read: {cause}"), "Use --device cpu.")
        })?;
        for &part in parts {
            let range = layout.range(part);
            record[range.clone()].copy_from_slice(&view[range.start - first..range.end - first]);
        }
        drop(view);
        self.down.unmap();
        Ok(())
    }
}
