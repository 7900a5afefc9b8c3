//! A test run over both engines. GPU checks show as ignored, by name, where there is no usable adapter, and fail
//! there under `GPU_LOGREG_REQUIRE_GPU=1`; the run says on which adapter how many of them passed.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gpu_logreg::engine::gpu::{Adapter, adapters};
use libtest_mimic::{Arguments, Failed, Trial};

/// The fault, if there is one.
pub(crate) type Check = Result<(), String>;

/// Found values against expected ones, each with a tolerance of its own; NaN is never close.
#[allow(dead_code, reason = "each test file uses its part of the harness")]
pub(crate) fn close(what: &str, found: &[f64], expected: &[f64], tolerance: impl Fn(usize) -> f64) -> Check {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
    }
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (error, allowed) = ((found - expected).abs(), tolerance(index));
        if error.is_nan() || error > allowed {
            return Err(format!("{what}[{index}] = {found}, expected {expected} +- {allowed:.1e}"));
        }
    }
    Ok(())
}

/// The trials of a run.
pub(crate) struct Suite {
    adapter: Option<Arc<Adapter>>,
    required: bool,
    trials: Vec<Trial>,
    gpu_checks: usize,
    passed: Arc<AtomicUsize>,
}

impl Suite {
    pub(crate) fn new() -> Self {
        let mut found = adapters();
        found.sort_by_key(|adapter| !adapter.is_hardware());
        Self {
            adapter: found.into_iter().find(|adapter| adapter.obstacle().is_none()).map(Arc::new),
            required: std::env::var_os("GPU_LOGREG_REQUIRE_GPU").is_some_and(|value| value == "1"),
            trials: Vec::new(),
            gpu_checks: 0,
            passed: Arc::default(),
        }
    }

    pub(crate) fn cpu(&mut self, name: &str, check: impl Fn() -> Check + Send + Sync + 'static) {
        self.trials.push(Trial::test(format!("cpu::{name}"), move || check().map_err(Failed::from)));
    }

    pub(crate) fn gpu(&mut self, name: &str, check: impl Fn(&Adapter) -> Check + Send + Sync + 'static) {
        let runs = self.adapter.is_some() || self.required;
        self.add(name, runs, check);
    }

    /// A check that no software adapter can fail, and that is ignored there.
    #[allow(dead_code, reason = "each test file uses its part of the harness")]
    pub(crate) fn hardware(&mut self, name: &str, check: impl Fn(&Adapter) -> Check + Send + Sync + 'static) {
        let runs = self.adapter.as_ref().map_or(self.required, |adapter| adapter.is_hardware());
        self.add(name, runs, check);
    }

    fn add(&mut self, name: &str, runs: bool, check: impl Fn(&Adapter) -> Check + Send + Sync + 'static) {
        let (adapter, passed) = (self.adapter.clone(), self.passed.clone());
        self.gpu_checks += usize::from(runs);
        let trial = Trial::test(format!("gpu::{name}"), move || {
            check(adapter.as_ref().ok_or("no usable adapter, and GPU_LOGREG_REQUIRE_GPU=1")?)?;
            passed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        self.trials.push(trial.with_ignored_flag(!runs));
    }

    pub(crate) fn run(self) -> ExitCode {
        let device = self
            .adapter
            .as_ref()
            .map_or("none".to_owned(), |adapter| format!("{} ({})", adapter.name(), adapter.kind()));
        println!("adapter: {device}; GPU checks to run: {}", self.gpu_checks);
        let conclusion = libtest_mimic::run(&Arguments::from_args(), self.trials);
        println!("adapter: {device}; GPU checks passed: {}", self.passed.load(Ordering::Relaxed));
        conclusion.exit_code()
    }
}
