//! Seconds that each kernel takes by the device's own clock, where it has one: what is left of a stage is the host's and
//! the driver's.
//!
//! While a profile runs, every submission is waited for, so that its times can be read. Stages are timed without.

use std::sync::{Arc, Mutex};

use crate::engine::gpu::Gpu;
use crate::engine::gpu::figures::KernelTime;
use crate::engine::gpu::kernels::Kernel;
use crate::engine::gpu::shared::PASSES;

/// The clock of a device; clones are the same one.
#[derive(Clone)]
pub(super) struct Profile(Option<Arc<Clock>>);

struct Clock {
    /// Two for each dispatch of a submission.
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    back: wgpu::Buffer,
    running: Mutex<Option<Running>>,
}

#[derive(Default)]
struct Running {
    /// The dispatches of the submission at hand.
    waiting: Vec<Kernel>,
    times: Vec<KernelTime>,
}

impl Profile {
    /// What the device needs for it, of what the adapter has.
    pub(super) fn features(adapter: &wgpu::Adapter) -> wgpu::Features {
        adapter.features() & wgpu::Features::TIMESTAMP_QUERY
    }

    pub(super) fn new(device: &wgpu::Device) -> Self {
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Self(None);
        }
        let count = 2 * PASSES as u32;
        let bytes = u64::from(count * wgpu::QUERY_SIZE);
        let buffer = |label, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        };
        Self(Some(Arc::new(Clock {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("logreg.times"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: buffer("logreg.times", wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            back: buffer("logreg.times_back", wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            running: Mutex::default(),
        })))
    }

    /// Where a dispatch writes its times, while a profile runs.
    pub(super) fn of_dispatch(&self, kernel: Kernel) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let clock = self.0.as_ref()?;
        let mut running = clock.running.lock().expect("nothing panics while it holds this lock");
        let waiting = &mut running.as_mut()?.waiting;
        let first = 2 * waiting.len() as u32;
        waiting.push(kernel);
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &clock.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Adds what brings the times of a submission to the host, as its last commands.
    pub(super) fn bring_back(&self, encoder: &mut wgpu::CommandEncoder) {
        let Some((clock, count)) = self.0.as_ref().map(|clock| (clock, clock.waiting())) else { return };
        if count > 0 {
            encoder.resolve_query_set(&clock.queries, 0..2 * count as u32, &clock.resolved, 0);
            let bytes = u64::from(2 * count as u32 * wgpu::QUERY_SIZE);
            encoder.copy_buffer_to_buffer(&clock.resolved, 0, &clock.back, 0, bytes);
        }
    }

    /// Waits for the submission, and adds its times.
    pub(super) fn add(&self, gpu: &Gpu) {
        let Some((clock, count)) = self.0.as_ref().map(|clock| (clock, clock.waiting())) else { return };
        if count == 0 {
            return;
        }
        clock.back.map_async(wgpu::MapMode::Read, .., |_| {});
        // What went wrong is told by the next call that waits.
        if gpu.wait().is_err() {
            return;
        }
        let Ok(view) = clock.back.get_mapped_range(..) else { return };
        let ticks: &[u64] = bytemuck::cast_slice(&view);
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let mut running = clock.running.lock().expect("nothing panics while it holds this lock");
        let Some(Running { waiting, times }) = running.as_mut() else { return };
        for (kernel, ticks) in waiting.drain(..).zip(ticks.chunks_exact(2)) {
            let seconds = ticks[1].saturating_sub(ticks[0]) as f64 * period;
            match times.iter_mut().find(|time| time.kernel == kernel.name()) {
                Some(time) => {
                    time.dispatches += 1;
                    time.seconds += seconds;
                }
                None => times.push(KernelTime { kernel: kernel.name(), dispatches: 1, seconds }),
            }
        }
        drop(view);
        clock.back.unmap();
    }
}

impl Clock {
    /// Dispatches of the submission at hand.
    fn waiting(&self) -> usize {
        let running = self.running.lock().expect("nothing panics while it holds this lock");
        running.as_ref().map_or(0, |running| running.waiting.len())
    }
}

impl Gpu {
    /// What each kernel takes while `work` runs; nothing on a device without a clock.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn profiled<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<Vec<KernelTime>, E> {
        let Some(clock) = &self.profile.0 else { return work().map(|()| Vec::new()) };
        let running = || clock.running.lock().expect("nothing panics while it holds this lock");
        *running() = Some(Running::default());
        let done = work();
        let times = running().take().map(|running| running.times).unwrap_or_default();
        done.map(|()| times)
    }
}
