//! How a long run tells its caller where it stands, and hears that it should stop.

use crate::error::{Error, Result};

/// Why a run ends with what it has come to, before the optimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The time that it was given is over.
    TimeLimit,
    /// The user wants what there is.
    Interrupted,
}

/// Listens to a run. All methods may be called from several threads; one that is not written does nothing.
pub trait Monitor: Sync {
    /// A stage begins. `total` is the number of units it will take, if that is known.
    fn begin(&self, stage: &str, total: Option<u64>) {
        let _ = (stage, total);
    }

    /// `units` more are done.
    fn advance(&self, units: u64) {
        let _ = units;
    }

    /// Where the stage stands, in a few words.
    fn say(&self, message: &str) {
        let _ = message;
    }

    /// The stage is over.
    fn end(&self) {}

    /// Whether the user wants the run to stop.
    fn interrupted(&self) -> bool {
        false
    }

    /// Whether the run should end with the best point that it has come to.
    fn ends(&self) -> Option<End> {
        None
    }

    /// An error if the user wants the run to stop.
    fn check(&self) -> Result<()> {
        if self.interrupted() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

/// Listens to nothing and never interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {}
