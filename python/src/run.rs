//! Runs: on a thread of their own, so that the caller's thread hears of Ctrl-C, and with a pool of threads of their own, for the
//! threads of a shared one would be gone after a fork.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gpu_logreg::Error;
use gpu_logreg::engine::gpu::adapters;
use gpu_logreg::engine::storage::available_memory as available;
use gpu_logreg::monitor::Monitor;
use gpu_logreg::report::html::Step;
use gpu_logreg::train::prepare;
use pyo3::prelude::*;
use rayon::{ThreadBuilder, ThreadPoolBuilder};

use crate::error::{Words, exception};
use crate::model::Model;
use crate::settings::Settings;
use crate::table::Table;

/// Between two looks at what Python wants.
const PATIENCE: Duration = Duration::from_millis(20);

/// Looks between two words to the listener.
const LOOKS: u32 = 5;

/// Where a run stands.
#[derive(Clone, Default, PartialEq)]
struct Stage {
    name: String,
    done: u64,
    total: Option<u64>,
    message: String,
}

/// What the thread of a run and that of its caller share.
#[derive(Default)]
pub(crate) struct Watch {
    interrupted: AtomicBool,
    /// What the run is going to do, once it knows.
    plan: OnceLock<String>,
    stage: Mutex<Stage>,
}

impl Watch {
    fn with_stage<R>(&self, act: impl FnOnce(&mut Stage) -> R) -> R {
        act(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Monitor for Watch {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.with_stage(|now| *now = Stage { name: stage.into(), total, ..Stage::default() });
    }

    fn advance(&self, units: u64) {
        self.with_stage(|now| now.done += units);
    }

    fn say(&self, message: &str) {
        self.with_stage(|now| message.clone_into(&mut now.message));
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// What a listener was told.
#[derive(Default)]
struct Told {
    plan: bool,
    stage: Stage,
}

/// Tells a listener what it does not know yet.
fn tell(listener: &Bound<'_, PyAny>, watch: &Watch, told: &mut Told) -> PyResult<()> {
    if let Some(plan) = watch.plan.get().filter(|_| !told.plan) {
        told.plan = true;
        listener.call1(("plan", 0, None::<u64>, plan))?;
    }
    let now = watch.with_stage(|stage| stage.clone());
    if now != told.stage {
        listener.call1((&now.name, now.done, now.total, &now.message))?;
        told.stage = now;
    }
    Ok(())
}

/// Does `work` with a pool of so many threads, of `None` as many as there are cores, which have ended when it returns.
fn with_pool<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> Result<R, Error> {
    let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).thread_name(|_| "gpu-logreg".into());
    let done = pool.build_scoped(ThreadBuilder::run, |pool| pool.install(work));
    done.map_err(|cause| Error::internal(format!("the threads could not be started: {cause}")))
}

/// The same for a caller from Python.
///
/// # Errors
/// `InternalError` if the threads cannot be started.
pub(crate) fn in_pool<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    with_pool(threads, work).map_err(|error| Python::attach(|py| Words::default().exception(py, &error)))
}

/// Does `work` on a thread of its own, with a pool of threads, while this one waits and hears of signals. `listener` is told what
/// the run is going to do, as the stage `plan`, and where it stands: the stage, how much of it is done, of how much, and in a few
/// words. When this returns, the work has ended.
///
/// # Errors
/// What a signal or the listener raises, what the work fails with, and `InternalError` if it panics.
pub(crate) fn watched<R: Send + 'static>(
    py: Python<'_>,
    words: &Words,
    threads: Option<usize>,
    listener: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<R, Error> + Send + 'static,
) -> PyResult<R> {
    let watch = Arc::new(Watch::default());
    let (sender, mut receiver) = sync_channel(1);
    let of_worker = Arc::clone(&watch);
    let worker = std::thread::Builder::new().name("gpu-logreg".into()).spawn(move || {
        let done = with_pool(threads, || work(&of_worker)).flatten();
        // The caller waits for it, or waits for the end of this thread alone.
        let _ = sender.send(done);
    });
    let worker =
        worker.map_err(|cause| exception(py, "InternalError", &format!("no thread could be started: {cause}")))?;
    let mut wanted = Ok(());
    let mut told = Told::default();
    let mut looks = 0;
    let done = loop {
        let (waited, back) = py.detach(move || (receiver.recv_timeout(PATIENCE), receiver));
        receiver = back;
        match waited {
            Ok(done) => break Some(done),
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) if wanted.is_err() => {}
            Err(RecvTimeoutError::Timeout) => {
                wanted = py.check_signals();
                looks += 1;
                if let Some(listener) = listener.filter(|_| wanted.is_ok() && looks % LOOKS == 0) {
                    wanted = tell(listener, &watch, &mut told);
                }
                if wanted.is_err() {
                    watch.interrupted.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    let ended = py.detach(|| worker.join());
    wanted?;
    match (done, ended) {
        (Some(done), Ok(())) => done.map_err(|error| words.exception(py, &error)),
        (_, Err(panic)) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why");
            Err(exception(py, "InternalError", &format!("the run has panicked: {message}")))
        }
        (None, Ok(())) => Err(exception(py, "InternalError", "the run has ended without an answer")),
    }
}

/// Fits a model to a table.
///
/// `settings` are those of `Settings`, `words` what they are called in messages where that is not their own name.
#[pyfunction]
#[pyo3(signature = (table, settings, words, threads, listener))]
#[expect(clippy::needless_pass_by_value, reason = "settings are made for the call")]
pub(crate) fn train(
    py: Python<'_>,
    table: &Table,
    settings: Settings,
    words: HashMap<String, String>,
    threads: Option<usize>,
    listener: Option<&Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let words = Words(words);
    let job = settings.job().map_err(|error| words.exception(py, &error))?;
    let table = table.table.clone();
    let shown = words.clone();
    let fitted = watched(py, &words, threads, listener, move |monitor| {
        let mut steps = Vec::new();
        let prepared = prepare(table, &job, monitor)?;
        let plan = gpu_logreg::report::plan(&prepared.plan());
        // It has one plan.
        let _ = monitor.plan.set(plan.clone());
        let mut model = prepared.train(monitor, &mut |iteration| steps.push(Step::of(iteration)))?;
        model.show_settings(|text| shown.show(text));
        Ok((model, steps, plan))
    });
    let (model, steps, plan) = fitted?;
    Ok(Model::new(model, steps, plan))
}

/// The adapters that a run can be on, by the indices that choose them: the name of each, and what it is.
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> Vec<(String, &'static str)> {
    py.detach(|| adapters().iter().map(|adapter| (adapter.name(), adapter.kind())).collect())
}

/// Bytes of memory that are available to this process.
#[pyfunction]
pub(crate) fn available_memory() -> u64 {
    available()
}

/// A run that panics: the tests see by it that a fault of the library is an exception.
#[pyfunction]
pub(crate) fn run_that_panics(py: Python<'_>, threads: Option<usize>) -> PyResult<()> {
    watched(py, &Words::default(), threads, None, |_| {
        rayon::join(|| (), || panic!("on purpose"));
        Ok(())
    })
}
