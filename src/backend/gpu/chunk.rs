//! The buffers of the device: those of each chunk, and those that all chunks use in turn.

use crate::backend::gpu::Gpu;
use crate::backend::gpu::kernels::{Binding, EDGE, Kernel, LEFT_EXTRA, PROBES, Pass, SLOT_HEAD};
use crate::backend::layout::Layout;
use crate::error::{Error, Result};

/// Features, labels and row state of a chunk on the device.
pub(super) struct Chunk {
    /// Rows that hold data.
    pub(super) rows: usize,
    /// Blocks, one workgroup and one slot each.
    pub(super) blocks: usize,
    /// Blocks of the Hessian.
    pub(super) hessian_blocks: usize,
    pub(super) pass: wgpu::Buffer,
    pub(super) features: wgpu::Buffer,
    pub(super) labels: wgpu::Buffer,
    pub(super) margins: wgpu::Buffer,
    pub(super) direction_margins: wgpu::Buffer,
    pub(super) residuals: wgpu::Buffer,
    pub(super) slots: wgpu::Buffer,
    bind_groups: [wgpu::BindGroup; 5],
}

impl Chunk {
    pub(super) fn bind_group(&self, kernel: Kernel) -> &wgpu::BindGroup {
        &self.bind_groups[kernel as usize]
    }

    /// Vec4s from one column to the next.
    pub(super) fn stride(&self) -> usize {
        self.rows.div_ceil(4)
    }
}

/// Buffers that all chunks use in turn.
pub(super) struct Shared {
    /// Weights or direction `[features]` of the pass at hand.
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
    pub(super) fn new(gpu: &Gpu, layout: &Layout) -> Result<Self> {
        let parameters = buffer(gpu, "parameters", (layout.features * 4).max(16), wgpu::BufferUsages::COPY_DST)?;
        let border = 2 * border_edges(layout.features) * EDGE * EDGE * 4;
        let hessian = hessian_pieces(layout.features) * EDGE * EDGE * 4;
        // A Hessian whose single slot no device need bind is not taken; its border still is.
        let slot = if hessian <= MAX_SLOT_BYTES { hessian.max(border) } else { border };
        let most = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).max().unwrap_or(1);
        let slots = (PIECES_BYTES / slot).clamp(1, most);
        let pieces = buffer(gpu, "pieces", slot * slots, wgpu::BufferUsages::COPY_SRC)?;
        Ok(Self { parameters, pieces })
    }
}

/// A storage buffer of `bytes`; an error instead of a panic where the device has no room.
pub(super) fn buffer(gpu: &Gpu, label: &str, bytes: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    let usage = if usage.contains(wgpu::BufferUsages::MAP_READ) || usage.contains(wgpu::BufferUsages::UNIFORM) {
        usage
    } else {
        usage | wgpu::BufferUsages::STORAGE
    };
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(&format!("logreg.{label}")),
        size: bytes as u64,
        usage,
        mapped_at_creation: false,
    });
    if pollster::block_on(scope.pop()).is_some() {
        return Err(Error::device(
            format!("{} has no room for {label}: {} MiB more were needed", gpu.describe(), bytes >> 20),
            "Use --device cpu (the same answer), or fewer columns (--features).",
        ));
    }
    gpu.trouble.check()?;
    Ok(buffer)
}

pub(super) fn chunk(gpu: &Gpu, layout: &Layout, index: usize, shared: &Shared) -> Result<Chunk> {
    use wgpu::BufferUsages as Usage;
    let rows = layout.rows_of(index);
    let blocks = layout.blocks_of(index);
    // Columns start at whole vec4s; what is beyond `rows` is never read.
    let column_bytes = rows.div_ceil(4) * 16;
    let slot = slot_len(Kernel::Evaluate, layout.features).max(slot_len(Kernel::Probe, layout.features));
    let row_state = |label| buffer(gpu, label, column_bytes, Usage::COPY_DST | Usage::COPY_SRC);
    let pass = buffer(gpu, "pass", size_of::<Pass>(), Usage::UNIFORM | Usage::COPY_DST)?;
    let features = buffer(gpu, "features", column_bytes * layout.features, Usage::COPY_DST)?;
    let labels = row_state("labels")?;
    let margins = row_state("margins")?;
    let direction_margins = row_state("direction_margins")?;
    let residuals = row_state("residuals")?;
    let slots = buffer(gpu, "slots", blocks * slot * 4, Usage::COPY_DST | Usage::COPY_SRC)?;
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
                        "weights" | "direction" => &shared.parameters,
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
    Ok(Chunk {
        rows,
        blocks,
        hessian_blocks: layout.hessian_blocks_of(index),
        pass,
        features,
        labels,
        margins,
        direction_margins,
        residuals,
        slots,
        bind_groups,
    })
}
