//! Faults on purpose: what a device may leave out without saying so, left out, so that a test can see it found.
//!
//! Public for the tests alone, as are the shader texts that they edit: a run in which nothing is left out never counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a device is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A piece of a column is copied to its place.
    Upload,
    /// The description of a pass, parameters, sources or centres are written.
    Write,
    /// A kernel runs.
    Dispatch,
    /// Sums or columns are copied towards the host.
    ReadBack,
    /// A part of a chunk that visits is copied to the device.
    Send,
    /// Row state of a chunk that visits is copied towards the host.
    BringBack,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Upload, Self::Write, Self::Dispatch, Self::ReadBack, Self::Send, Self::BringBack];
}

/// Which operations a device leaves out. Clones are the same device's.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Nothing is counted before this is true, so that a run pays one load for an operation.
    watches: AtomicBool,
    /// How many of each came.
    counts: [AtomicUsize; 6],
    /// For each the number, from 1 on, of the one that is left out; 0: none.
    left_out: [AtomicUsize; 6],
    everything: AtomicBool,
    believes: AtomicBool,
}

impl Faults {
    /// None, but operations are counted.
    pub fn none() -> Self {
        let faults = Self::default();
        faults.0.watches.store(true, Ordering::Relaxed);
        faults
    }

    /// The operation of that kind with this number, from 0 on.
    pub fn one(operation: Operation, number: usize) -> Self {
        let faults = Self::none();
        faults.0.left_out[operation as usize].store(number + 1, Ordering::Relaxed);
        faults
    }

    /// All: a driver that runs nothing.
    pub fn all() -> Self {
        let faults = Self::none();
        faults.0.everything.store(true, Ordering::Relaxed);
        faults
    }

    /// The same with a host that believes whatever comes back: the negative control of the checks.
    #[must_use]
    pub fn believed(self) -> Self {
        self.0.believes.store(true, Ordering::Relaxed);
        self
    }

    /// How many operations of a kind came so far.
    pub fn count(&self, operation: Operation) -> usize {
        self.0.counts[operation as usize].load(Ordering::Relaxed)
    }

    /// Whether the operation that comes now is left out.
    pub(super) fn leave_out(&self, operation: Operation) -> bool {
        let state = &*self.0;
        if !state.watches.load(Ordering::Relaxed) {
            return false;
        }
        let number = state.counts[operation as usize].fetch_add(1, Ordering::Relaxed) + 1;
        state.everything.load(Ordering::Relaxed) || state.left_out[operation as usize].load(Ordering::Relaxed) == number
    }

    /// Whether nothing is checked.
    pub(super) fn are_believed(&self) -> bool {
        self.0.believes.load(Ordering::Relaxed)
    }
}
