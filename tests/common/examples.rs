//! The data that comes with the program.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::Place;

/// Where the example data lies.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

impl Place {
    /// With a copy of one of the examples.
    pub(crate) fn with_example(name: &str) -> Self {
        let place = Self::new();
        fs::copy(example(name), place.path(name)).expect("the example is copied");
        place
    }
}
