//! From a table to a model: the main job, a step a line.

use std::time::{Instant, UNIX_EPOCH};

use crate::backend::{Device, Selection};
use crate::data::{Kind, Loaded, Request, Table, load};
use crate::error::Result;
use crate::model::{FORMAT, FeatureInfo, FileInfo, LabelInfo, Model, Seconds, Training, VERSION};
use crate::monitor::Monitor;
use crate::penalty::{Penalized, Penalty, PenaltyScale};
use crate::solve::{Outcome, Settings, Status, conjugate_gradient};
use crate::standardize::{Coordinates, Standardized};

/// What to fit, and where.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which columns.
    pub request: Request,
    /// On which device.
    pub device: Selection,
    /// Strength of the L2 penalty on the mean loss, at least 0.
    pub l2: f64,
    /// On which scale the weights are penalised.
    pub penalty_scale: PenaltyScale,
    /// Whether to fit an intercept.
    pub intercept: bool,
    /// When the solver stops.
    pub settings: Settings,
}

/// Fits a logistic regression to `table`.
pub fn train(table: &Table, job: &Job, monitor: &dyn Monitor) -> Result<Model> {
    let start = Instant::now();
    let plan = job.request.check(table)?;
    let device = Device::open(&job.device)?;
    let store = device.reserve(table.rows, plan.features())?;
    let reading = Instant::now();
    let loaded = load(table, &plan, store.as_store(), monitor)?;
    let read = reading.elapsed().as_secs_f64();
    let uploading = Instant::now();
    let mut backend = store.finish()?;
    let upload = uploading.elapsed().as_secs_f64();

    let solving = Instant::now();
    let coordinates = Coordinates::new(loaded.features.iter().map(|feature| feature.scale).collect(), job.intercept);
    let penalty = Penalty::new(job.l2, job.penalty_scale, &coordinates.active_scales(), job.intercept);
    let mut standardized = Standardized::new(&mut *backend, coordinates.clone());
    let mut objective = Penalized::new(&mut standardized, penalty.clone());
    let begin = starting_point(&coordinates, loaded.label.counts);
    let outcome = conjugate_gradient(&mut objective, &begin, job.settings, monitor)?;
    let solve = solving.elapsed().as_secs_f64();

    let loss = outcome.value - penalty.value(&outcome.parameters);
    let seconds = Seconds { read, upload, solve, total: start.elapsed().as_secs_f64() };
    Ok(model(table, job, loaded, &coordinates, &outcome, loss, device.describe(), seconds))
}

/// All weights 0, and the intercept at the log odds of the classes.
fn starting_point(coordinates: &Coordinates, counts: [u64; 2]) -> Vec<f64> {
    let mut point = vec![0.0; coordinates.dimension()];
    if coordinates.has_intercept()
        && let Some(intercept) = point.last_mut()
    {
        *intercept = (counts[1] as f64 / counts[0] as f64).ln();
    }
    point
}

#[expect(clippy::too_many_arguments, reason = "the parts of a run, brought together once")]
fn model(
    table: &Table,
    job: &Job,
    loaded: Loaded,
    coordinates: &Coordinates,
    outcome: &Outcome,
    loss: f64,
    device: String,
    seconds: Seconds,
) -> Model {
    let (weights, intercept) = coordinates.to_original(&outcome.parameters);
    let [negative, positive] = loaded.label.classes;
    let features = loaded
        .features
        .into_iter()
        .zip(weights)
        .map(|(feature, coefficient)| FeatureInfo {
            name: feature.name,
            kind: if feature.kind == Kind::Boolean { "boolean" } else { "numeric" },
            coefficient,
            mean: feature.scale.mean,
            scale: feature.scale.scale,
        })
        .collect();
    let mut warnings = Vec::new();
    if outcome.status != Status::Converged {
        warnings.push(format!("{}: {}", outcome.status.name(), outcome.status.advice()));
    }
    Model {
        format: FORMAT,
        version: VERSION,
        label: LabelInfo { column: loaded.label.column, positive: positive.clone(), classes: [negative, positive] },
        intercept,
        features,
        training: Training {
            rows: table.rows,
            positives: loaded.label.counts[1],
            loss,
            solver: "cg",
            status: outcome.status,
            iterations: outcome.iterations,
            passes: outcome.passes,
            gradient_norm: outcome.gradient_norm(),
            gradient_tolerance: job.settings.gradient_tolerance,
            device,
            l2: job.l2,
            penalty_scale: job.penalty_scale,
            fit_intercept: job.intercept,
            seconds,
            files: vec![FileInfo {
                path: table.path.display().to_string(),
                bytes: table.bytes,
                modified: table.modified.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())),
            }],
            program: concat!("gpu-logreg ", env!("CARGO_PKG_VERSION")),
            command: Vec::new(),
            notes: loaded.notes,
            warnings,
        },
    }
}
