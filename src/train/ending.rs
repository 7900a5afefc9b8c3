//! When a run ends with what it has come to: after the time that it was given, or at an interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::monitor::{End, Monitor};
use crate::train::job::Job;

/// A monitor of a run that may end before the optimum.
pub(super) struct Ending<'m> {
    inner: &'m dyn Monitor,
    until: Option<Instant>,
    keeps_on_interrupt: bool,
    /// Whether there is a point to keep: interrupts before it end the run at once.
    is_solving: AtomicBool,
}

impl<'m> Ending<'m> {
    pub(super) fn new(inner: &'m dyn Monitor, job: &Job, begin: Instant) -> Self {
        Self {
            inner,
            until: job.time_limit.and_then(|limit| begin.checked_add(limit)),
            keeps_on_interrupt: job.keep_on_interrupt,
            is_solving: AtomicBool::new(false),
        }
    }

    /// The iterations begin.
    pub(super) fn solve(&self) {
        self.is_solving.store(true, Ordering::Relaxed);
    }
}

impl Monitor for Ending<'_> {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.inner.begin(stage, total);
    }

    fn advance(&self, units: u64) {
        self.inner.advance(units);
    }

    fn say(&self, message: &str) {
        self.inner.say(message);
    }

    fn end(&self) {
        self.inner.end();
    }

    fn interrupted(&self) -> bool {
        let keeps = self.keeps_on_interrupt && self.is_solving.load(Ordering::Relaxed);
        !keeps && self.inner.interrupted()
    }

    fn ends(&self) -> Option<End> {
        if self.keeps_on_interrupt && self.inner.interrupted() {
            return Some(End::Interrupted);
        }
        self.until.is_some_and(|until| Instant::now() >= until).then_some(End::TimeLimit)
    }
}
