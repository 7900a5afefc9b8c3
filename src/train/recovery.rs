//! A run whose device may fail: once more on a new one, then on the CPU where that was left open, from where it stood.

use crate::data::Design;
use crate::engine::journal::Journal;
use crate::engine::{Device, Selection, TableBuilder, without_panic};
use crate::error::{Error, Kind, Result};
use crate::model::Model;
use crate::monitor::Monitor;
use crate::solve::{History, Iteration};
use crate::train::attempt::{Listeners, What, attempt};
use crate::train::ending::Ending;
use crate::train::job::Job;
use crate::train::whereabouts::Trail;
use crate::train::{Prepared, reserve};

/// Devices that a run takes again after a failure.
const NEW_DEVICES: usize = 1;

/// What became of a run before the last device took it.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn note(&mut self, error: &Error, iterations: u64, now: &Device) {
        let now = if now.is_gpu() { "with the device opened anew" } else { "on the CPU" };
        let when =
            if iterations == 0 { "before the first iteration".into() } else { format!("in iteration {iterations}") };
        self.0.push(format!("{}, {when}; the run went on {now}", error.fact));
    }
}

/// Opens the device of a job and reserves room on it; the CPU where the job leaves that open and the device fails at once.
pub(super) fn open_and_reserve(
    open: impl FnOnce() -> Result<Device>,
    job: &Job,
    design: &Design,
) -> Result<(Device, Box<dyn TableBuilder>, Option<String>)> {
    let opened = without_panic(|| {
        let device = open()?.with_timeout(job.gpu_timeout);
        let loading = reserve(&device, design, job)?;
        Ok((device, loading, None))
    });
    match opened {
        Err(error) if error.kind == Kind::Device && job.device == Selection::Auto => {
            let loading = reserve(&Device::Cpu, design, job)?;
            Ok((Device::Cpu, loading, Some(format!("{}; the run is on the CPU", error.fact))))
        }
        opened => opened,
    }
}

/// Trains on the device of `prepared`, and on others where that fails and the job chose it.
pub(super) fn train(prepared: Prepared<'_>, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    let Prepared {
        table,
        job,
        plan,
        penalties,
        folds,
        mut device,
        mut loading,
        design,
        recovers,
        failed,
        mut keeper,
        begin,
    } = prepared;
    let what = What { table: &table, job, plan: &plan, penalties: &penalties, folds: folds.as_ref(), begin };
    let journal = if recovers && device.is_gpu() { Journal::remembering() } else { Journal::default() };
    let mut trail = Trail { journal, ..Trail::default() };
    let (mut failures, mut before, mut next) = (Failures::default(), 0, 0);
    let monitor = &Ending::new(monitor, job, begin);
    let mut model = loop {
        // Iterations go on counting, and a run that goes on does not tell again what was told.
        let mut told = |iteration: &Iteration<'_>| {
            let number = before + iteration.number;
            if number >= next {
                next = number + 1;
                history(&Iteration { number, ..*iteration });
            }
        };
        let listeners = Listeners { monitor, history: &mut told };
        let error = match attempt(what, &device, loading, &mut trail, &mut keeper, listeners) {
            Ok(model) => break model,
            Err(error) => error,
        };
        if matches!(error.kind, Kind::Device | Kind::Internal) {
            device.give_up();
        }
        if error.kind != Kind::Device || !device.is_gpu() || !recovers {
            return Err(keeper.interrupt(error));
        }
        let iterations = next.saturating_sub(1);
        let new = if failures.0.len() < NEW_DEVICES { again(job, &design) } else { Err(error.clone()) };
        (device, loading) = match new {
            Ok(new) => new,
            Err(_) if job.device == Selection::Auto => {
                // Its arithmetic is another one: it goes on from the point, and asks afresh.
                trail.journal = Journal::default();
                before = if trail.standing.is_some() { iterations } else { 0 };
                (Device::Cpu, reserve(&Device::Cpu, &design, job)?)
            }
            Err(_) => return Err(keeper.interrupt(error)),
        };
        if device.is_gpu() && trail.journal.rewind() {
            trail.standing = None;
        }
        failures.note(&error, iterations, &device);
    };
    model.training.warnings.extend(failed.into_iter().chain(failures.0));
    model.training.notes.extend(keeper.note(trail.journal.replayed()));
    model.training.warnings.extend(keeper.finish());
    Ok(model)
}

/// The device that the job chose, opened again, with room for the table.
fn again(job: &Job, design: &Design) -> Result<(Device, Box<dyn TableBuilder>)> {
    without_panic(|| {
        let device = Device::open(&job.device)?.with_timeout(job.gpu_timeout);
        let loading = reserve(&device, design, job)?;
        Ok((device, loading))
    })
}
