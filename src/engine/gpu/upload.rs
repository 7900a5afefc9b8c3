//! Columns on their way to the device: buffers that the host writes and the device copies from, used again and again.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::fault::Operation;
use crate::error::{Error, Result};

/// Bytes of a staging buffer: enough that a submission is rare, few enough that many threads can have one each.
const STAGING_BYTES: usize = 4 << 20;

/// Staging buffers at most: 128 MiB of the host.
const MOST: usize = 32;

/// A staging buffer, mapped, with the copies that it waits for.
struct Staging {
    buffer: wgpu::Buffer,
    used: usize,
    copies: Vec<Copy>,
}

struct Copy {
    target: wgpu::Buffer,
    source_offset: u64,
    target_offset: u64,
    bytes: u64,
}

/// The staging buffers of a table.
pub(super) struct Upload {
    gpu: Gpu,
    shared: Arc<Pool>,
}

/// Staging buffers that nobody holds.
struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    free: Vec<Staging>,
    /// How many more may be made.
    to_make: usize,
}

/// Staging buffers of a table at most.
fn buffers() -> usize {
    (rayon::current_num_threads() + 4).min(MOST)
}

/// Bytes of the host that the staging buffers of a table take at most.
pub(super) fn most_bytes() -> u64 {
    (buffers() * STAGING_BYTES) as u64
}

impl Upload {
    pub(super) fn new(gpu: &Gpu) -> Self {
        // One for each thread that decodes, and a few that the device copies from; beyond that threads wait for it.
        let to_make = buffers();
        let state = Mutex::new(State { free: Vec::new(), to_make });
        Self { gpu: gpu.clone(), shared: Arc::new(Pool { state, returned: Condvar::new() }) }
    }

    /// Writes `values` to `target` from its f32 number `first` on; done for sure after [`Upload::finish`], and until
    /// then in any order.
    pub(super) fn write(&self, target: &wgpu::Buffer, first: usize, values: &[f32]) -> Result<()> {
        let mut done = 0;
        while done < values.len() {
            let mut staging = self.take()?;
            let here = (values.len() - done).min((STAGING_BYTES - staging.used) / 4);
            let bytes = (here * 4) as u64;
            let source_offset = staging.used as u64;
            let mut mapped =
                staging.buffer.get_mapped_range_mut(source_offset..source_offset + bytes).map_err(|cause| {
                    Error::device(format!("columns cannot be handed to the GPU: {cause}"), "Use ⟦device cpu⟧.")
                })?;
            mapped.copy_from_slice(bytemuck::cast_slice(&values[done..done + here]));
            drop(mapped);
            let target_offset = ((first + done) * 4) as u64;
            staging.copies.push(Copy { target: target.clone(), source_offset, target_offset, bytes });
            // A mapped range begins at a multiple of eight.
            staging.used = (staging.used + here * 4).next_multiple_of(8);
            done += here;
            if staging.used == STAGING_BYTES {
                self.submit(staging);
            } else {
                self.shared.give(staging);
            }
        }
        self.gpu.check()
    }

    /// A mapped staging buffer with room.
    fn take(&self) -> Result<Staging> {
        let begin = Instant::now();
        loop {
            let mut state = self.shared.lock();
            if let Some(staging) = state.free.pop() {
                return Ok(staging);
            }
            if state.to_make > 0 {
                state.to_make -= 1;
                drop(state);
                let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
                let buffer = buffer(&self.gpu, "staging", STAGING_BYTES, usage)?;
                return Ok(Staging { buffer, used: 0, copies: Vec::new() });
            }
            // All are held by other threads or by the device: what the device is done with comes back in a poll.
            let wait = Duration::from_millis(1);
            drop(self.shared.returned.wait_timeout(state, wait).map_err(|_| Error::internal("a writer panicked"))?);
            self.gpu.look_since(begin)?;
        }
    }

    /// Has the device copy what the buffer holds; then the buffer comes back.
    fn submit(&self, staging: Staging) {
        let Staging { buffer, copies, .. } = staging;
        buffer.unmap();
        let mut encoder = self.gpu.encoder();
        for copy in copies {
            let (source, target) = ((&buffer, copy.source_offset), (&copy.target, copy.target_offset));
            self.gpu.copy(Operation::Upload, &mut encoder, source, target, copy.bytes);
        }
        self.gpu.submit(Some(encoder));
        let shared = Arc::clone(&self.shared);
        let mapped = buffer.clone();
        buffer.map_async(wgpu::MapMode::Write, .., move |result| {
            // A buffer that cannot be mapped is lost with its device, which every call finds out by itself.
            if result.is_ok() {
                shared.give(Staging { buffer: mapped, used: 0, copies: Vec::new() });
            }
        });
    }

    /// Waits until all columns are on the device.
    pub(super) fn finish(&self) -> Result<()> {
        let filled: Vec<Staging> = self.shared.lock().free.drain(..).filter(|staging| staging.used > 0).collect();
        for staging in filled {
            self.submit(staging);
        }
        self.gpu.wait()
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }

    fn give(&self, staging: Staging) {
        self.lock().free.push(staging);
        self.returned.notify_one();
    }
}
