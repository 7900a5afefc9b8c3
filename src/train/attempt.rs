//! A run on one device, from the first row that it reads to the model.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::data::{Cells, Encoded, Folds, Plan, Store, Table, load};
use crate::engine::cpu::CpuTableBuilder;
use crate::engine::journal::Journaled;
use crate::engine::{Device, Engine, TableBuilder, without_panic};
use crate::error::Result;
use crate::model::{Model, Seconds};
use crate::monitor::Monitor;
use crate::solve::History;
use crate::subsample::Sampling;
use crate::train::checkpoint::{Digest, Digesting, Keeper};
use crate::train::elastic_net::fit_elastic_net;
use crate::train::ending::Ending;
use crate::train::estimates::model;
use crate::train::existence::Evidence;
use crate::train::feature_penalties::FeaturePenalties;
use crate::train::fit::{Arithmetic, Given, coordinates, fit};
use crate::train::inference::infer;
use crate::train::job::{ExactJob, Job};
use crate::train::null::null_loss;
use crate::train::verify::verify_on_file;
use crate::train::whereabouts::Trail;
use crate::train::{by_cell, check_range, in_cells};

/// What a run is of, whatever device it is on.
#[derive(Clone, Copy)]
pub(super) struct What<'w> {
    pub(super) table: &'w Table,
    pub(super) job: &'w Job,
    pub(super) plan: &'w Plan,
    pub(super) penalties: &'w FeaturePenalties,
    pub(super) folds: Option<&'w Folds>,
    /// When the run began.
    pub(super) begin: Instant,
}

/// Who listens to a run.
pub(super) struct Listeners<'l, 'h> {
    pub(super) monitor: &'l Ending<'l>,
    pub(super) history: &'l mut History<'h>,
}

/// Loads the table into `loading`, which lies on `device`, and fits the model.
pub(super) fn attempt(
    what: What<'_>,
    device: &Device,
    loading: Box<dyn TableBuilder>,
    trail: &mut Trail,
    keeper: &mut Keeper,
    listeners: Listeners<'_, '_>,
) -> Result<Model> {
    let monitor = listeners.monitor;
    if !device.is_gpu() {
        return run(what, device, loading, trail, keeper, listeners);
    }
    heard(device, monitor, || without_panic(|| run(what, device, loading, trail, keeper, listeners)))
}

/// How often somebody asks whether the run is to stop, where the host may wait for a device.
const ASKS: Duration = Duration::from_millis(20);

/// Does `work`, whose waits for the device end when the monitor wants the run to stop.
fn heard<T>(device: &Device, monitor: &dyn Monitor, work: impl FnOnce() -> T) -> T {
    let (working, ends) = channel::<()>();
    let done = std::thread::scope(|scope| {
        let listen = move || {
            while ends.recv_timeout(ASKS) == Err(RecvTimeoutError::Timeout) {
                if monitor.interrupted() {
                    device.stop(true);
                    return;
                }
            }
        };
        // Without this thread the run is heard between two passes.
        let _ = Builder::new().name("listener".into()).spawn_scoped(scope, listen);
        let done = work();
        drop(working);
        done
    });
    // Another run on the same device is heard by itself.
    device.stop(false);
    done
}

/// A table that is loaded.
struct Loaded {
    encoded: Encoded,
    engine: Box<dyn Engine>,
    /// Rows that are kept on the host, and how many there are; all of them where none are kept.
    kept: Option<Box<dyn Engine>>,
    kept_rows: usize,
    /// Categories that are loose among them.
    loose: Vec<bool>,
    /// What it is told apart by, where somebody wants that.
    digest: Option<Digest>,
    /// Seconds of reading and of what comes after it.
    seconds: [f64; 2],
}

fn loaded(
    What { table, job, plan, folds, .. }: What<'_>,
    mut loading: Box<dyn TableBuilder>,
    digest: Option<Digest>,
    monitor: &dyn Monitor,
) -> Result<Loaded> {
    let reading = Instant::now();
    let shape = plan.design(table.rows).shape;
    let subsamples = job.takes_subsample(shape);
    let loose = if subsamples { job.loose(&plan.design(table.rows)) } else { Vec::new() };
    let cells = folds.map(|folds| &folds.cells);
    let read_to = |store: &dyn Store| match &digest {
        Some(digest) => load(table, plan, &Digesting::new(store, digest), monitor),
        None => load(table, plan, store, monitor),
    };
    let (encoded, kept, kept_rows) = if subsamples {
        let rows = job.kept_rows(shape);
        let of_kept = cells.map(|cells| cells.of(&rows));
        let design = in_cells(plan.design(rows.len()), of_kept.as_ref().map(Cells::rows));
        let kept = CpuTableBuilder::with_loose(&design, loose.clone())?;
        let mut kept = Box::new(if job.is_wide(shape) { kept.with_rows_kept() } else { kept });
        let sampling =
            Sampling::new(by_cell(loading.as_store(), cells), &rows, by_cell(kept.as_store(), of_kept.as_ref()));
        let encoded = read_to(&sampling)?;
        drop(sampling);
        (encoded, Some(kept.finish()?), rows.len())
    } else {
        (read_to(&*by_cell(loading.as_store(), cells))?, None, shape.rows)
    };
    let read = reading.elapsed().as_secs_f64();
    let uploading = Instant::now();
    let engine = loading.finish()?;
    let seconds = [read, uploading.elapsed().as_secs_f64()];
    Ok(Loaded { encoded, engine, kept, kept_rows, loose, digest, seconds })
}

fn run(
    what: What<'_>,
    device: &Device,
    loading: Box<dyn TableBuilder>,
    trail: &mut Trail,
    keeper: &mut Keeper,
    Listeners { monitor, history }: Listeners<'_, '_>,
) -> Result<Model> {
    let What { table, job, plan, penalties, folds, begin } = what;
    let shape = plan.design(table.rows).shape;
    let Loaded { encoded, mut engine, mut kept, kept_rows, loose, digest, seconds: [read, upload] } =
        loaded(what, loading, keeper.digest(shape), monitor)?;
    let solving = Instant::now();
    keeper.begin(&encoded, digest, device.is_gpu(), trail)?;
    let whereabouts = trail.begin(job, &encoded)?;
    let coordinates = coordinates(&encoded, job.intercept, &loose);
    let mut evidence = Evidence::new(table, plan, &encoded, &coordinates, monitor);
    let arithmetic = Arithmetic { bias: device.bias(shape)?, is_f32: device.is_gpu() };
    let subsample = kept.as_deref_mut().map(|engine| engine as &mut dyn Engine);
    let given = Given {
        encoded: &encoded,
        job,
        penalties,
        shape,
        kept: kept_rows,
        folds,
        device: arithmetic,
        whereabouts: &whereabouts,
    };
    monitor.solve();
    let fit_of_job = if job.has_elastic_net() { fit_elastic_net } else { fit };
    let mut journaled = Journaled::new(&mut *engine, &mut trail.journal);
    let fitted = fit_of_job(&mut journaled, subsample, coordinates, given, &mut evidence, monitor, history);
    trail.standing = whereabouts.reached();
    let mut fit = fitted?;
    drop(evidence);
    let solve = solving.elapsed().as_secs_f64();
    let verifying = Instant::now();
    let mut verify = 0.0;
    let plan = plan.after(&encoded);
    if job.exact != ExactJob::None {
        verify_on_file(table, &plan, &encoded, job, &mut fit, device.is_gpu(), monitor)?;
        verify = verifying.elapsed().as_secs_f64();
    }
    fit.covariance = infer(table, &plan, &encoded, job, &mut fit, &mut journaled, arithmetic, monitor)?;
    let null = null_loss(table, &plan, &encoded, job, monitor)?;
    engine.check()?;
    let seconds = Seconds { read, upload, solve, verify, total: begin.elapsed().as_secs_f64() };
    let model = model(table, job, penalties, encoded, &fit, null, device.describe(), seconds);
    check_range(&model)?;
    Ok(model)
}
