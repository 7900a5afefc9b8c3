//! A chunk on the device: its buffers, and what kernels bind of them.

use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer_if_room;
use crate::engine::gpu::kernels::Kernel;
use crate::engine::gpu::shared::{STAMP_BYTES, Shared, bind_named, bind_others};
use crate::engine::gpu::slots::{class_groups, class_slot, largest_slot};
use crate::engine::layout::Layout;
use crate::engine::storage::Part;
use crate::error::{Error, Result};

/// Parts of a chunk that hold columns, in the order of their sums.
pub(super) const PARTS: [Part; 4] = [Part::Features, Part::Labels, Part::RowWeights, Part::Offsets];

/// Columns and row state of one chunk on the device.
pub(super) struct DeviceChunk {
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

impl DeviceChunk {
    /// Buffers for at most `rows` rows, or `None` where the device has no room.
    pub(super) fn new(gpu: &Gpu, layout: &Layout, rows: usize, shared: &Shared) -> Result<Option<Self>> {
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
            buffers.try_into().map_err(|_| Error::internal("a chunk has six buffers"))?;
        let mut optional = [None, None];
        let columns = [("row_weights", usize::from(layout.shape.weights)), ("offsets", layout.shape.offset_columns())];
        for (buffer, (label, columns)) in optional.iter_mut().zip(columns).filter(|(_, (_, columns))| *columns > 0) {
            *buffer = buffer_if_room(gpu, label, columns * stride * 16, copied)?;
            if buffer.is_none() {
                return Ok(None);
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
        let mut chunk = Self {
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
        let bound = |kernel: Kernel| kernel.serves(layout.shape).then(|| chunk.bind(gpu, shared, kernel, &[]));
        chunk.bind_groups = Kernel::ALL.into_iter().map(bound).collect();
        chunk.checks = bind_checks(&chunk, gpu, shared);
        gpu.check()?;
        Ok(Some(chunk))
    }

    pub(super) fn bind_group(&self, kernel: Kernel) -> &wgpu::BindGroup {
        self.bind_groups[kernel as usize].as_ref().expect("the kernel serves the table")
    }

    /// What a kernel binds, with `others` in place of its own buffers of that name.
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

/// Bytes on the device of a chunk of `rows` rows.
pub(super) fn device_chunk_bytes(layout: &Layout, rows: usize) -> u64 {
    // Margins, direction margins and residuals beside the columns.
    let columns = layout.shape.columns + layout.shape.columns_beside() + 3 * layout.shape.margins();
    let slots = rows.div_ceil(layout.block_rows) * (largest_slot(layout.shape) + 4)
        + rows.div_ceil(layout.hessian_rows) * (class_slot(layout.shape) + class_groups(layout.shape));
    (rows.div_ceil(4) * 16 * columns + 3 * STAMP_BYTES + slots * 4) as u64
}

/// What the kernel binds for each of [`PARTS`] that the table has.
fn bind_checks(chunk: &DeviceChunk, gpu: &Gpu, shared: &Shared) -> [Option<wgpu::BindGroup>; 4] {
    PARTS.map(|part| {
        let columns = chunk.part(part)?;
        let others = [("columns", columns), ("checksums", &shared.checksums)];
        Some(bind_others(gpu, shared, Kernel::Checksum, &others))
    })
}
