//! Buffers of the device, within what it has room for, and what the host reads of them.

use std::ops::Range;

use crate::engine::gpu::Gpu;
use crate::engine::gpu::driver::driver;
use crate::error::{Error, Result};

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
    let descriptor = wgpu::BufferDescriptor {
        label: Some(&format!("logreg.{label}")),
        size: bytes as u64,
        usage,
        // What the host writes is mapped whenever the device does not use it.
        mapped_at_creation: usage.contains(Usage::MAP_WRITE),
    };
    let buffer = driver(|| gpu.device.create_buffer(&descriptor));
    if pollster::block_on(scope.pop()).is_some() {
        return Ok(None);
    }
    gpu.check()?;
    Ok(Some(buffer))
}

/// As [`buffer_if_room`], where nothing helps if there is none.
pub(super) fn buffer(gpu: &Gpu, label: &str, bytes: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    buffer_if_room(gpu, label, bytes, usage)?.ok_or_else(|| {
        Error::device(
            format!("{} has no room for {label}: {} MiB more were needed", gpu.describe(), bytes >> 20),
            "Use ⟦device cpu⟧ (the same answer), or fewer columns (⟦features⟧).",
        )
    })
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
            Error::device(format!("the GPU's results cannot be read: {cause}"), "Use ⟦device cpu⟧.")
        })?;
        read(&bytemuck::cast_slice(&view)[skipped..])
    };
    buffer.unmap();
    gpu.check()?;
    Ok(result)
}
