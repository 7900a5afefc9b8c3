//! How a chunk that is kept on the host visits the device: there and back, with the stamps of its row state.

use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::device_chunk::DeviceChunk;
use crate::engine::gpu::fault::Operation;
use crate::engine::gpu::shared::{STAMP_BYTES, Shared};
use crate::engine::layout::Layout;
use crate::engine::storage::{HostLayout, Part};
use crate::error::{Error, Result};

/// Buffers that chunks of the host share, beside those that the host writes and reads.
pub(super) struct TransferChunk {
    pub(super) buffers: DeviceChunk,
    /// A host chunk on its way to the device, with a stamp behind each part of the row state; mapped while the device does not
    /// use it.
    up: wgpu::Buffer,
    /// The row state on its way back, from [`Part::Margins`] on, each part with its stamp.
    down: wgpu::Buffer,
}

/// The parts of the row state that carry a stamp.
pub(super) const STATE: [Part; 3] = [Part::Margins, Part::DirectionMargins, Part::Residuals];

/// The stamps behind the row state of a chunk, in the order of [`STATE`], as the device left them.
pub(super) type StateStamps = [[f32; 4]; 3];

/// Where a part of a host chunk lies where each part of the row state has a stamp behind it, and the bytes of that stamp.
fn stamped(layout: HostLayout, part: Part) -> (std::ops::Range<usize>, usize) {
    let range = layout.range(part);
    match STATE.iter().position(|&state| state == part) {
        Some(index) => (range.start + index * STAMP_BYTES..range.end + index * STAMP_BYTES, STAMP_BYTES),
        None => (range, 0),
    }
}

impl TransferChunk {
    pub(super) fn new(gpu: &Gpu, layout: &Layout, host: HostLayout, shared: &Shared) -> Result<Option<Self>> {
        use wgpu::BufferUsages as Usage;
        let Some(buffers) = DeviceChunk::new(gpu, layout, host.stride, shared)? else { return Ok(None) };
        let state = host.bytes() - host.range(Part::Margins).start;
        Ok(Some(Self {
            buffers,
            up: buffer(gpu, "up", host.bytes() + 3 * STAMP_BYTES, Usage::MAP_WRITE | Usage::COPY_SRC)?,
            down: buffer(gpu, "down", state + 3 * STAMP_BYTES, Usage::MAP_READ | Usage::COPY_DST)?,
        }))
    }

    /// Copies parts of a host chunk to the device, as the first commands of `encoder`.
    pub(super) fn send(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        layout: HostLayout,
        parts: &[Part],
        chunk: &[u8],
        stamps: &StateStamps,
    ) -> Result<()> {
        for &part in parts {
            let Some(buffer) = self.buffers.part(part) else { continue };
            let (range, stamp) = stamped(layout, part);
            let place = range.start as u64..(range.end + stamp) as u64;
            let mut mapped = self.up.get_mapped_range_mut(place.clone()).map_err(|cause| {
                Error::device(format!("a chunk cannot be handed to the GPU: {cause}"), "Use ⟦device cpu⟧.")
            })?;
            mapped.slice(..range.len()).copy_from_slice(&chunk[layout.range(part)]);
            if let Some(index) = STATE.iter().position(|&state| state == part) {
                mapped.slice(range.len()..).copy_from_slice(bytemuck::bytes_of(&stamps[index]));
            }
            drop(mapped);
            gpu.copy(Operation::Send, encoder, (&self.up, place.start), (buffer, 0), place.end - place.start);
        }
        self.up.unmap();
        Ok(())
    }

    /// Copies parts of the chunk towards the host, as the last commands of `encoder`.
    pub(super) fn bring_back(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, layout: HostLayout, parts: &[Part]) {
        let first = layout.range(Part::Margins).start;
        for &part in parts {
            let Some(buffer) = self.buffers.part(part) else { continue };
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

    /// Takes what was brought back into the host chunk; the commands are done.
    pub(super) fn receive(
        &self,
        layout: HostLayout,
        parts: &[Part],
        chunk: &mut [u8],
        stamps: &mut StateStamps,
    ) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let first = layout.range(Part::Margins).start;
        let view = self.down.get_mapped_range(..).map_err(|cause| {
            Error::device(format!("the GPU's results cannot be read: {cause}"), "Use ⟦device cpu⟧.")
        })?;
        for &part in parts {
            let (range, stamp) = stamped(layout, part);
            let end = range.end - first;
            chunk[layout.range(part)].copy_from_slice(&view[range.start - first..end]);
            if let Some(index) = STATE.iter().position(|&state| state == part) {
                bytemuck::bytes_of_mut(&mut stamps[index]).copy_from_slice(&view[end..end + stamp]);
            }
        }
        drop(view);
        self.down.unmap();
        Ok(())
    }
}
