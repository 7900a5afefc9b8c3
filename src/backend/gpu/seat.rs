//! The buffers of the device: a seat for each chunk that stays, two for those that only visit, and what all use in turn.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::checksums;
use crate::backend::gpu::fault::Operation;
use crate::backend::gpu::kernels::{Binding, EDGE, EIGHT, Kernel, LEFT_EXTRA, PROBES, Pass, SLOT_HEAD};
use crate::backend::layout::Layout;
use crate::backend::storage::{Part, RecordLayout, record_of};
use crate::data::{Column, Design, Shape};
use crate::error::{Error, Result};

/// Columns and row state of one chunk on the device.
pub(super) struct Seat {
    /// Vec4s from one column to the next.
    pub(super) stride: usize,
    pub(super) features: wgpu::Buffer,
    pub(super) labels: wgpu::Buffer,
    pub(super) row_weights: Option<wgpu::Buffer>,
    pub(super) offsets: Option<wgpu::Buffer>,
    pub(super) margins: wgpu::Buffer,
    pub(super) direction_margins: wgpu::Buffer,
    pub(super) residuals: wgpu::Buffer,
    pub(super) slots: wgpu::Buffer,
    /// Slots of the gradient of a softmax, `[Hessian blocks][margins][features + 1]`.
    pub(super) class_slots: Option<wgpu::Buffer>,
    /// In the order of [`Kernel::ALL`], of the kernels that serve the table.
    bind_groups: Vec<Option<wgpu::BindGroup>>,
    /// What checksums bind for each part that holds columns.
    pub(super) checks: [Option<wgpu::BindGroup>; 4],
}

impl Seat {
    pub(super) fn bind_group(&self, kernel: Kernel) -> &wgpu::BindGroup {
        self.bind_groups[kernel as usize].as_ref().expect("the kernel serves the table")
    }

    /// What a kernel binds, with `others` in place of the seat's own buffers of that name.
    pub(super) fn bind(
        &self,
        gpu: &Gpu,
        shared: &Shared,
        kernel: Kernel,
        others: &[(&str, &wgpu::Buffer)],
    ) -> wgpu::BindGroup {
        let buffer = |name: &str| match name {
            "features" => &self.features,
            // Only the moments of the classes have centres; what reads none binds the labels there.
            "labels" | "centres" => &self.labels,
            "parameters" => &shared.parameters,
            "pieces" => &shared.pieces,
            "margins" => &self.margins,
            "direction_margins" => &self.direction_margins,
            "residuals" => &self.residuals,
            "slots" => &self.slots,
            // A pipeline for tables without the column reads nothing there, but something must be bound.
            "row_weights" => self.row_weights.as_ref().unwrap_or(&self.labels),
            "offsets" => self.offsets.as_ref().unwrap_or(&self.labels),
            "sources" => shared.sources.as_ref().unwrap_or(&self.labels),
            // Nor does a pass that needs none of them.
            "factors" => shared.factors.as_ref().unwrap_or(&self.labels),
            "class_slots" => self.class_slots.as_ref().expect("the table has several margins"),
            other => unreachable!("no buffer is called {other}"),
        };
        bind_named(gpu, shared, kernel, |name| {
            others.iter().find(|(other, _)| *other == name).map_or_else(|| buffer(name), |(_, there)| there)
        })
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> u64 {
        self.buffers().map(wgpu::Buffer::size).sum()
    }

    /// All storage buffers.
    pub(super) fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let always =
            [&self.features, &self.labels, &self.margins, &self.direction_margins, &self.residuals, &self.slots];
        always.into_iter().chain(&self.row_weights).chain(&self.offsets).chain(&self.class_slots)
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

/// What a kernel binds that reads and writes only `others`.
pub(super) fn bind_others(
    gpu: &Gpu,
    shared: &Shared,
    kernel: Kernel,
    others: &[(&str, &wgpu::Buffer)],
) -> wgpu::BindGroup {
    bind_named(gpu, shared, kernel, |name| {
        others.iter().find(|(other, _)| *other == name).expect("all buffers are named").1
    })
}

fn bind_named<'b>(
    gpu: &Gpu,
    shared: &Shared,
    kernel: Kernel,
    buffer: impl Fn(&str) -> &'b wgpu::Buffer,
) -> wgpu::BindGroup {
    let entries: Vec<wgpu::BindGroupEntry<'_>> = kernel
        .bindings()
        .iter()
        .zip(0..)
        .map(|(binding, index)| {
            let resource = match binding {
                // A dispatch says which of them is its own.
                Binding::Pass => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &shared.passes,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size_of::<Pass>() as u64),
                }),
                Binding::Read(name) | Binding::Write(name) => buffer(name).as_entire_binding(),
            };
            wgpu::BindGroupEntry { binding: index, resource }
        })
        .collect();
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&format!("logreg.{}", kernel.name())),
        layout: &gpu.kernels.get(&gpu.device, kernel).bindings,
        entries: &entries,
    })
}

/// Bytes on the device of a seat for `rows` rows.
pub(super) fn seat_bytes(layout: &Layout, rows: usize) -> u64 {
    // Margins, direction margins and residuals beside the columns.
    let columns = layout.shape.columns + layout.shape.columns_beside() + 3 * layout.shape.margins();
    let slots = rows.div_ceil(layout.block_rows) * (largest_slot(layout.shape) + 4)
        + rows.div_ceil(layout.hessian_rows) * (class_slot(layout.shape) + class_groups(layout.shape));
    (rows.div_ceil(4) * 16 * columns + 3 * STAMP_BYTES + slots * 4) as u64
}

/// What stands behind row state, parameters and factors: a stamp, in a vec4 of its own.
pub(super) const STAMP_BYTES: usize = 16;

/// Buffers that all chunks use in turn.
pub(super) struct Shared {
    /// Descriptions of the passes of a submission, [`PASSES`] of them, [`pass_step`] bytes apart.
    pub(super) passes: wgpu::Buffer,
    /// Weights or direction `[features]` of the pass at hand; behind them, if there are categories, the column and the
    /// code of each feature. Of a softmax `[eights of margins][features, then the intercepts][8]`, and nothing behind.
    pub(super) parameters: wgpu::Buffer,
    /// The column of each feature, then the code of each; only if there are categories.
    pub(super) sources: Option<wgpu::Buffer>,
    /// What the products of columns of a softmax have for each row, `[pairs of margins][rows]` of a chunk.
    pub(super) factors: Option<wgpu::Buffer>,
    /// Slots of the Hessian in flight, `[slots][pieces][256]` vec4s; or of the diagonal of a softmax,
    /// `[slots][x, x^2][margins][features + 1]`.
    pub(super) pieces: wgpu::Buffer,
    /// Sums of the bits of the columns of one part of a chunk.
    pub(super) checksums: wgpu::Buffer,
    /// What was written to `sources`.
    pub(super) sources_sent: Vec<f32>,
}

/// Dispatches of a submission at most.
pub(super) const PASSES: usize = 512;

/// Bytes from the description of one pass to that of the next.
pub(super) fn pass_step(gpu: &Gpu) -> usize {
    size_of::<Pass>().next_multiple_of(gpu.device.limits().min_uniform_buffer_offset_alignment as usize)
}

/// f32s of a piece of a Hessian's product, and of the stamp of its workgroup.
pub(super) const PIECE: usize = EDGE * EDGE + 4;

/// Memory of the factors of the pairs in flight; those of one pair at least.
const FACTOR_BYTES: usize = 32 << 20;

/// Bytes that every device can bind.
const MAX_SLOT_BYTES: usize = 128 << 20;

/// Memory of the Hessian's slots in flight; one slot at least.
const PIECES_BYTES: usize = 64 << 20;

/// Pieces of the Hessian's product on and below the diagonal.
pub(super) fn hessian_pieces(features: usize) -> usize {
    let edges = (features + LEFT_EXTRA).div_ceil(EDGE);
    edges * (edges + 1) / 2
}

/// Pieces of a Gram matrix of the features and the 1 of the intercept.
pub(super) fn gram_pieces(features: usize) -> usize {
    let edges = border_edges(features);
    edges * (edges + 1) / 2
}

/// Pairs of margins that products of columns are made for.
pub(super) fn margin_pairs(shape: Shape) -> usize {
    shape.margins() * (shape.margins() + 1) / 2
}

/// Workgroups of `class_sums` for each block of a gradient, none where there is one margin.
pub(super) fn class_groups(shape: Shape) -> usize {
    if shape.classes.is_some() { border_edges(shape.features) * shape.margins().div_ceil(EIGHT) } else { 0 }
}

/// Edges of the Hessian itself; its border has as many pieces on the diagonal, and as many in the intercept's row. Class
/// sums have as many pieces for each eight classes.
pub(super) fn border_edges(features: usize) -> usize {
    features / EDGE + 1
}

/// f32s of a kernel's slot of a block.
pub(super) fn slot_len(kernel: Kernel, shape: Shape) -> usize {
    match kernel {
        Kernel::Evaluate => shape.features + SLOT_HEAD,
        Kernel::Probe | Kernel::SoftmaxTerms => 3 * PROBES,
        _ => 0,
    }
}

/// f32s of the gradient's slot of a Hessian block, where rows have several margins.
pub(super) fn class_slot(shape: Shape) -> usize {
    if shape.classes.is_some() { shape.parameters() } else { 0 }
}

/// f32s of the slot of a Hessian block for the diagonal, where rows have several margins: the columns, then their squares.
pub(super) fn diagonal_slot(shape: Shape) -> usize {
    2 * class_slot(shape)
}

impl Shared {
    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        let Self { passes, parameters, sources, factors, pieces, checksums, .. } = self;
        [passes, parameters, pieces, checksums].into_iter().chain(sources).chain(factors).map(wgpu::Buffer::size).sum()
    }

    pub(super) fn new(gpu: &Gpu, layout: &Layout, design: &Design) -> Result<Self> {
        let shape = layout.shape;
        let features = shape.features;
        // Column and code, which f32 holds exactly: there are fewer than 2^24 of either.
        let sources: Vec<f32> = if shape.has_levels() {
            let (columns, codes): (Vec<f32>, Vec<f32>) =
                design.sources().map(|(column, code)| (column as f32, code.unwrap_or(0) as f32)).unzip();
            [columns, codes].concat()
        } else {
            Vec::new()
        };
        let is_softmax = shape.classes.is_some();
        let weights = if is_softmax {
            shape.margins().next_multiple_of(EIGHT) * (features + 1)
        } else {
            features + sources.len()
        };
        let copied = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let parameters = buffer(gpu, "parameters", weights * 4 + STAMP_BYTES, copied)?;
        let sources_sent = sources;
        let sources = if sources_sent.is_empty() {
            None
        } else {
            if !is_softmax {
                // A Hessian of a start at zero reads them, before any parameters are written.
                gpu.write(&parameters, bytemuck::cast_slice(&[&vec![0.0; features], &sources_sent[..]].concat()));
            }
            let buffer = buffer(gpu, "sources", sources_sent.len() * 4, copied)?;
            gpu.write(&buffer, bytemuck::cast_slice(&sources_sent));
            Some(buffer)
        };
        let border = if is_softmax {
            diagonal_slot(shape) + 2 * class_groups(shape)
        } else {
            2 * border_edges(features) * PIECE
        } * 4;
        let pieces = if is_softmax { gram_pieces(features) } else { hessian_pieces(features) };
        let hessian = pieces * PIECE * 4;
        // A Hessian whose single slot no device need bind is not taken; its border still is.
        let slot = if hessian <= MAX_SLOT_BYTES { hessian.max(border) } else { border };
        let most = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).max().unwrap_or(1);
        let slots = (PIECES_BYTES / slot).clamp(1, most * margin_pairs(shape));
        let pieces = buffer(gpu, "pieces", slot * slots, wgpu::BufferUsages::COPY_SRC)?;
        let factors = if is_softmax {
            let of_pair = record_of(layout, size_of::<f32>()).stride * 4;
            let pairs = (FACTOR_BYTES / of_pair).clamp(1, margin_pairs(shape));
            Some(buffer(gpu, "factors", of_pair * pairs + STAMP_BYTES, wgpu::BufferUsages::COPY_DST)?)
        } else {
            None
        };
        let checksums = buffer(gpu, "checksums", checksums::device_bytes(layout), wgpu::BufferUsages::COPY_SRC)?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let passes = buffer(gpu, "passes", PASSES * pass_step(gpu), usage)?;
        Ok(Self { passes, parameters, sources, factors, pieces, checksums, sources_sent })
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

/// f32s of the largest slot of a block that a kernel of the table writes.
pub(super) fn largest_slot(shape: Shape) -> usize {
    let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.serves(shape));
    kernels.map(|kernel| slot_len(kernel, shape)).max().unwrap_or(0)
}

/// A seat for at most `rows` rows, or `None` where the device has no room.
pub(super) fn seat(gpu: &Gpu, layout: &Layout, rows: usize, shared: &Shared) -> Result<Option<Seat>> {
    use wgpu::BufferUsages as Usage;
    let blocks = rows.div_ceil(layout.block_rows);
    // Columns start at whole vec4s; what is beyond the rows is never read.
    let stride = rows.div_ceil(4);
    let state = layout.shape.margins() * stride * 16 + STAMP_BYTES;
    let copied = Usage::COPY_DST | Usage::COPY_SRC;
    let sizes = [
        ("features", stride * 16 * layout.shape.columns, Usage::COPY_DST),
        ("labels", stride * 16, copied),
        ("margins", state, copied),
        ("direction_margins", state, copied),
        ("residuals", state, copied),
        ("slots", blocks * (largest_slot(layout.shape) + 4) * 4, copied),
    ];
    let mut buffers = Vec::with_capacity(sizes.len());
    for (label, bytes, usage) in sizes {
        match buffer_if_room(gpu, label, bytes, usage)? {
            Some(buffer) => buffers.push(buffer),
            None => return Ok(None),
        }
    }
    let [features, labels, margins, direction_margins, residuals, slots] =
        buffers.try_into().map_err(|_| Error::internal("a seat has six buffers"))?;
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
    let mut class_slots = None;
    if layout.shape.classes.is_some() {
        let slot = class_slot(layout.shape) + class_groups(layout.shape);
        let bytes = rows.div_ceil(layout.hessian_rows) * slot * 4;
        class_slots = buffer_if_room(gpu, "class_slots", bytes.max(16), copied)?;
        if class_slots.is_none() {
            return Ok(None);
        }
    }
    let mut seat = Seat {
        stride,
        features,
        labels,
        row_weights,
        offsets,
        margins,
        direction_margins,
        residuals,
        slots,
        class_slots,
        bind_groups: Vec::new(),
        checks: [const { None }; 4],
    };
    let bound = |kernel: Kernel| kernel.serves(layout.shape).then(|| seat.bind(gpu, shared, kernel, &[]));
    seat.bind_groups = Kernel::ALL.into_iter().map(bound).collect();
    seat.checks = checksums::bind(&seat, gpu, shared);
    gpu.trouble.check()?;
    Ok(Some(seat))
}

/// A seat for chunks that are kept on the host, with buffers that the host writes and reads.
pub(super) struct Visitor {
    pub(super) seat: Seat,
    /// A record on its way to the seat, with a stamp behind each part of the row state; mapped while the device does not
    /// use it.
    up: wgpu::Buffer,
    /// The row state on its way back, from [`Part::Margins`] on, each part with its stamp.
    down: wgpu::Buffer,
}

/// The parts of the row state that carry a stamp.
pub(super) const STATE: [Part; 3] = [Part::Margins, Part::DirectionMargins, Part::Residuals];

/// The stamps behind the row state of a chunk, in the order of [`STATE`], as the device left them.
pub(super) type StateStamps = [[f32; 4]; 3];

/// Where a part of a record lies where each part of the row state has a stamp behind it, and the bytes of that stamp.
fn stamped(layout: RecordLayout, part: Part) -> (std::ops::Range<usize>, usize) {
    let range = layout.range(part);
    match STATE.iter().position(|&state| state == part) {
        Some(index) => (range.start + index * STAMP_BYTES..range.end + index * STAMP_BYTES, STAMP_BYTES),
        None => (range, 0),
    }
}

impl Visitor {
    pub(super) fn new(gpu: &Gpu, layout: &Layout, record: RecordLayout, shared: &Shared) -> Result<Option<Self>> {
        use wgpu::BufferUsages as Usage;
        let Some(seat) = seat(gpu, layout, record.stride, shared)? else { return Ok(None) };
        let state = record.bytes() - record.range(Part::Margins).start;
        Ok(Some(Self {
            seat,
            up: buffer(gpu, "up", record.bytes() + 3 * STAMP_BYTES, Usage::MAP_WRITE | Usage::COPY_SRC)?,
            down: buffer(gpu, "down", state + 3 * STAMP_BYTES, Usage::MAP_READ | Usage::COPY_DST)?,
        }))
    }

    /// Copies parts of a record to the device, as the first commands of `encoder`.
    pub(super) fn send(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        layout: RecordLayout,
        parts: &[Part],
        record: &[u8],
        stamps: &StateStamps,
    ) -> Result<()> {
        for &part in parts {
            let Some(buffer) = self.seat.part(part) else { continue };
            let (range, stamp) = stamped(layout, part);
            let place = range.start as u64..(range.end + stamp) as u64;
            let mut mapped = self.up.get_mapped_range_mut(place.clone()).map_err(|cause| {
                Error::device(format!("a chunk cannot be handed to the GPU: {cause}"), "Use --device cpu.")
            })?;
            mapped.slice(..range.len()).copy_from_slice(&record[layout.range(part)]);
            if let Some(index) = STATE.iter().position(|&state| state == part) {
                mapped.slice(range.len()..).copy_from_slice(bytemuck::bytes_of(&stamps[index]));
            }
            drop(mapped);
            gpu.copy(Operation::Send, encoder, (&self.up, place.start), (buffer, 0), place.end - place.start);
        }
        self.up.unmap();
        Ok(())
    }

    /// Copies parts of the seat towards the host, as the last commands of `encoder`.
    pub(super) fn bring_back(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        layout: RecordLayout,
        parts: &[Part],
    ) {
        let first = layout.range(Part::Margins).start;
        for &part in parts {
            let Some(buffer) = self.seat.part(part) else { continue };
            let (range, stamp) = stamped(layout, part);
            let target = (range.start - first) as u64;
            let bytes = (range.len() + stamp) as u64;
            gpu.copy(Operation::BringBack, encoder, (buffer, 0), (&self.down, target), bytes);
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
    pub(super) fn receive(
        &self,
        layout: RecordLayout,
        parts: &[Part],
        record: &mut [u8],
        stamps: &mut StateStamps,
    ) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let first = layout.range(Part::Margins).start;
        let view = self.down.get_mapped_range(..).map_err(|cause| {
            Error::device(format!("the GPU's results cannot be read: {cause}"), "Use --device cpu.")
        })?;
        for &part in parts {
            let (range, stamp) = stamped(layout, part);
            let end = range.end - first;
            record[layout.range(part)].copy_from_slice(&view[range.start - first..end]);
            if let Some(index) = STATE.iter().position(|&state| state == part) {
                bytemuck::bytes_of_mut(&mut stamps[index]).copy_from_slice(&view[end..end + stamp]);
            }
        }
        drop(view);
        self.down.unmap();
        Ok(())
    }
}
