//! Calls of the driver that are under way, so that somebody sees one that never returns.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When each of them began.
static CALLS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

fn calls() -> MutexGuard<'static, Vec<Instant>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is under way until this is dropped.
struct Call(Instant);

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = calls();
        if let Some(place) = calls.iter().position(|begin| *begin == self.0) {
            calls.swap_remove(place);
        }
    }
}

/// Calls the driver.
pub(super) fn driver<T>(call: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    calls().push(begin);
    let _call = Call(begin);
    call()
}

/// How long the call of the driver that has lasted longest has not returned.
pub fn longest_call() -> Option<Duration> {
    calls().iter().map(Instant::elapsed).max()
}
