//! How the host waits for a device: in slices, so that a device that hangs is found, and whoever wants the run to stop is
//! heard.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::gpu::driver::driver;
use crate::engine::gpu::{Gpu, Trouble};
use crate::error::{Error, Result};
use crate::panics::without_panic;

/// How long a wait lasts before it looks around.
const SLICE: Duration = Duration::from_millis(50);

/// How long a device may take to end what it has in hand once the run stops.
const FAREWELL: Duration = Duration::from_millis(300);

/// How long the host waits for a device, and what it waits for.
#[derive(Clone)]
pub(super) struct Patience {
    /// What one submission may take at most.
    most: Duration,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Whether the run is to stop.
    stops: AtomicBool,
    is_given_up: AtomicBool,
    /// What was submitted and not waited for, in its order.
    submitted: Mutex<VecDeque<wgpu::SubmissionIndex>>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, shared: Arc::default() }
    }

    fn submitted(&self) -> std::sync::MutexGuard<'_, VecDeque<wgpu::SubmissionIndex>> {
        self.shared.submitted.lock().expect("nothing panics while it holds this lock")
    }
}

/// What a look at the device shows.
enum Look {
    Done,
    NotYet,
}

impl Gpu {
    /// With another time that the device may take for a submission, of 50 ms as a rule, before it counts as hanging.
    #[must_use]
    pub fn with_timeout(self, most: Duration) -> Self {
        Self { patience: Patience { most, ..self.patience }, ..self }
    }

    /// The device is of no use any more, and nothing of it is waited for.
    pub fn give_up(&self) {
        self.patience.shared.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether all waits for this device end, with an error of kind `Interrupted`.
    pub fn stop(&self, stops: bool) {
        self.patience.shared.stops.store(stops, Ordering::Relaxed);
    }

    /// Has the device do what was encoded.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandEncoder>) -> wgpu::SubmissionIndex {
        let submission = driver(|| self.queue.submit(commands.map(wgpu::CommandEncoder::finish)));
        self.patience.submitted().push_back(submission.clone());
        submission
    }

    /// Waits until the device has done all that was submitted. The clock runs for each submission alone.
    pub(super) fn wait(&self) -> Result<()> {
        loop {
            let Some(next) = self.patience.submitted().pop_front() else { break };
            self.wait_until(Some(&next))?;
        }
        self.wait_until(None)
    }

    /// Waits until the device has done what was submitted up to `submission`.
    pub(super) fn wait_for(&self, submission: &wgpu::SubmissionIndex) -> Result<()> {
        self.wait_until(Some(submission))
    }

    fn wait_until(&self, submission: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        let begin = Instant::now();
        loop {
            let poll = wgpu::PollType::Wait { submission_index: submission.cloned(), timeout: Some(SLICE) };
            match self.look(poll)? {
                Look::Done => return Ok(()),
                Look::NotYet => self.check_patience(begin)?,
            }
        }
    }

    /// Takes note of what the device has done, without a wait. `begin` is when the wait began.
    pub(super) fn look_since(&self, begin: Instant) -> Result<()> {
        self.look(wgpu::PollType::Poll)?;
        self.check_patience(begin)
    }

    /// An error if the run is to stop, or if a wait that began then has lasted too long.
    fn check_patience(&self, begin: Instant) -> Result<()> {
        if self.patience.shared.stops.load(Ordering::Relaxed) {
            // A queue that is dropped waits for its work; one that would wait for ever is not.
            let poll = wgpu::PollType::Wait { submission_index: None, timeout: Some(FAREWELL) };
            if !matches!(self.look(poll), Ok(Look::Done)) {
                self.give_up();
            }
            return Err(Error::interrupted());
        }
        if begin.elapsed() > self.patience.most {
            let most = self.patience.most.as_secs_f64();
            self.trouble.note(format!("it has not answered for {most} s"));
        }
        self.check()
    }

    /// Polls. A device that was lost is an error, where wgpu panics.
    fn look(&self, poll: wgpu::PollType) -> Result<Look> {
        self.check()?;
        let polled = without_panic(|| driver(|| self.device.poll(poll)));
        if let Err(panic) = &polled {
            self.trouble.note(panic.clone());
        }
        self.check()?;
        match polled {
            Ok(Err(wgpu::PollError::Timeout)) => Ok(Look::NotYet),
            Ok(Err(cause)) => Err(Error::internal(format!("the GPU cannot be waited for: {cause}"))),
            Ok(Ok(_)) | Err(_) => Ok(Look::Done),
        }
    }

    /// An error if anything went wrong on the device so far.
    pub(super) fn check(&self) -> Result<()> {
        self.trouble.check()
    }
}

/// What keeps a device and its queue. Dropping them waits for work, which of a device that failed may never end, and panics
/// over work that did not: then they stay for ever.
pub(super) struct Held {
    kept: Option<(wgpu::Device, wgpu::Queue)>,
    trouble: Trouble,
    shared: Arc<Shared>,
}

impl Held {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, trouble: &Trouble, patience: &Patience) -> Self {
        let kept = Some((device.clone(), queue.clone()));
        Self { kept, trouble: trouble.clone(), shared: Arc::clone(&patience.shared) }
    }
}

/// How long a device may take to end its work when nobody wants it any more.
const LAST_WORK: Duration = Duration::from_secs(2);

impl Drop for Held {
    #[expect(clippy::mem_forget, reason = "what is dropped of a device that failed may wait for ever")]
    fn drop(&mut self) {
        let Some((device, queue)) = self.kept.take() else { return };
        let failed = || self.trouble.is_there() || self.shared.is_given_up.load(Ordering::Relaxed);
        let has_ended = || {
            let poll = wgpu::PollType::Wait { submission_index: None, timeout: Some(LAST_WORK) };
            without_panic(|| driver(|| device.poll(poll))).is_ok_and(|polled| polled.is_ok()) && !failed()
        };
        if failed() || std::thread::panicking() || !has_ended() {
            std::mem::forget((device, queue));
            return;
        }
        // A driver that fails only now has done all that it was to do.
        let _ = without_panic(|| driver(|| drop((queue, device))));
    }
}
