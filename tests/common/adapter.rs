//! Checks that need an adapter.

use std::io::Write;

use super::process::Place;

/// Says that something was not checked. Not println: what a passing test prints there is swallowed.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether an adapter can be used. Without one, GPU checks say that they are skipped, or fail if
/// `GPU_LOGREG_REQUIRE_GPU` is 1.
pub(crate) fn has_adapter() -> bool {
    let devices = Place::new().done("devices --json").json();
    let usable = devices["devices"].as_array().expect("a list").iter().any(|device| device["usable"] == true);
    let required = std::env::var_os("GPU_LOGREG_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(usable || !required, "GPU_LOGREG_REQUIRE_GPU is set, but no adapter can be used: {devices}");
    if !usable {
        skipped("no adapter, so nothing was checked on a GPU");
    }
    usable
}
