//! The buffers that all chunks use in turn, and how kernels are bound to buffers.

use crate::data::Design;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::driver::driver;
use crate::engine::gpu::kernels::{Binding, EIGHT, Kernel, Pass};
use crate::engine::gpu::slots::{
    PIECE, border_edges, class_groups, diagonal_slot, gram_pieces, hessian_pieces, margin_pairs,
};
use crate::engine::layout::Layout;
use crate::engine::storage::host_layout;
use crate::error::Result;

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

/// Memory of the factors of the pairs in flight; those of one pair at least.
const FACTOR_BYTES: usize = 32 << 20;

/// Bytes of the factors of one pair of margins, for the rows of any chunk.
pub(super) fn factor_bytes(layout: &Layout) -> usize {
    host_layout(layout, size_of::<f32>()).stride * 4
}

/// Bytes that every device can bind.
const MAX_SLOT_BYTES: usize = 128 << 20;

/// Memory of the Hessian's slots in flight; one slot at least.
const PIECES_BYTES: usize = 64 << 20;

impl Shared {
    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        let Self { passes, parameters, sources, factors, pieces, checksums, .. } = self;
        [passes, parameters, pieces, checksums].into_iter().chain(sources).chain(factors).map(wgpu::Buffer::size).sum()
    }

    /// With so many bytes for the checksums of a part of a chunk.
    pub(super) fn new(gpu: &Gpu, layout: &Layout, design: &Design, checksums: usize) -> Result<Self> {
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
            let of_pair = factor_bytes(layout);
            let pairs = (FACTOR_BYTES / of_pair).clamp(1, margin_pairs(shape));
            Some(buffer(gpu, "factors", of_pair * pairs + STAMP_BYTES, wgpu::BufferUsages::COPY_DST)?)
        } else {
            None
        };
        let checksums = buffer(gpu, "checksums", checksums, wgpu::BufferUsages::COPY_SRC)?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let passes = buffer(gpu, "passes", PASSES * pass_step(gpu), usage)?;
        Ok(Self { passes, parameters, sources, factors, pieces, checksums, sources_sent })
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

pub(super) fn bind_named<'b>(
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
    let descriptor = wgpu::BindGroupDescriptor {
        label: Some(&format!("logreg.{}", kernel.name())),
        layout: &gpu.kernels.get(&gpu.device, kernel).bindings,
        entries: &entries,
    };
    driver(|| gpu.device.create_bind_group(&descriptor))
}
