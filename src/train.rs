//! From a table to a model: the main job, a step a line.

use std::time::{Instant, UNIX_EPOCH};

use crate::backend::cpu::CpuTable;
use crate::backend::exact::evaluate_file;
use crate::backend::storage::{Limits, Placement};
use crate::backend::{Backend, Device, Loading, Selection};
use crate::data::{Loaded, Plan, Request, Table, load};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::model::inference::{Inference, InferenceInfo, Likelihood, covariance};
use crate::model::{
    CategoryInfo, Covariance, FORMAT, FeatureInfo, FileInfo, LabelInfo, Model, Seconds, Training, VERSION, Verified,
};
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective};
use crate::penalty::{Penalized, Penalty, PenaltyScale};
use crate::solve::{
    DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE, History, Outcome, Preconditioner, Settings, Start, Status, aliased,
    conjugate_gradient, gradient_descent, lbfgs, newton, refine,
};
use crate::standardize::{Coordinates, Standardized};
use crate::subsample::{HESSIAN_FEATURES, Sampling, Subsampled, kept_rows};
use crate::wording::listed;

/// A solver, by the name in the model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// Preconditioned nonlinear conjugate gradient.
    #[default]
    Cg,
    /// Newton's method.
    Newton,
    /// Limited-memory BFGS.
    Lbfgs,
    /// Gradient descent.
    GradientDescent,
}

impl Solver {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cg => "cg",
            Self::Newton => "newton",
            Self::Lbfgs => "lbfgs",
            Self::GradientDescent => "gradient-descent",
        }
    }
}

/// What to fit, where, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which columns.
    pub request: Request,
    /// On which device.
    pub device: Selection,
    /// How much of the table may be kept where.
    pub limits: Limits,
    /// Strength of the L2 penalty on the mean loss, at least 0.
    pub l2: f64,
    /// On which scale the weights are penalised.
    pub penalty_scale: PenaltyScale,
    /// Whether to fit an intercept.
    pub intercept: bool,
    /// The method.
    pub solver: Solver,
    /// What stands in for the inverse Hessian; `None` for what suits the solver.
    pub preconditioner: Option<Preconditioner>,
    /// Distance to the optimum, in standard errors, that counts as converged.
    pub tolerance: f64,
    /// If given, the largest component of the gradient that counts as zero, instead of `tolerance`.
    pub gradient_tolerance: Option<f64>,
    /// Iterations at most.
    pub max_iterations: u64,
    /// If given, standard errors and what follows from them.
    pub inference: Option<InferenceJob>,
    /// What a pass in f64 over the file is for.
    pub exact: ExactJob,
}

/// What passes in double precision over the file, not the narrowed copy, are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExactJob {
    /// There are none.
    #[default]
    None,
    /// One, to see loss, gradient and distance as the file sees them.
    Verify,
    /// A few, to refine the coefficients to the double-precision answer.
    Refine,
}

/// What to infer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InferenceJob {
    /// Probability that an interval covers, in 0..1.
    pub confidence: f64,
    /// White's sandwich (HC0) instead of the inverse information.
    pub robust: bool,
}

impl Job {
    /// Whether a solver for so many features gets the Hessian of a subsample.
    fn subsamples(&self, features: usize) -> bool {
        self.preconditioner == Some(Preconditioner::Subsample)
            || features > HESSIAN_FEATURES && self.preconditioner != Some(Preconditioner::Hessian)
    }

    /// Whether the solver works with a Hessian.
    fn takes_hessian(&self) -> bool {
        match self.preconditioner {
            Some(Preconditioner::Hessian | Preconditioner::Subsample) => true,
            Some(_) => false,
            None => matches!(self.solver, Solver::Cg | Solver::Newton),
        }
    }

    /// Passes that the methods needed on the nine data sets of `docs/solver.md`, the confirming evaluation included.
    fn usual_passes(&self) -> Option<[u64; 2]> {
        let preconditioned = matches!(self.preconditioner, None | Some(Preconditioner::Hessian));
        match self.solver {
            Solver::Cg if preconditioned => Some([6, 19]),
            Solver::Newton => Some([11, 18]),
            Solver::Cg | Solver::Lbfgs | Solver::GradientDescent => None,
        }
    }

    /// Maximum likelihood with the defaults.
    pub fn new(request: Request, device: Selection) -> Self {
        Self {
            request,
            device,
            limits: Limits::default(),
            l2: 0.0,
            penalty_scale: PenaltyScale::default(),
            intercept: true,
            solver: Solver::default(),
            preconditioner: None,
            tolerance: DEFAULT_TOLERANCE,
            gradient_tolerance: None,
            max_iterations: DEFAULT_MAX_ITERATIONS,
            inference: None,
            exact: ExactJob::None,
        }
    }
}

/// What a run is going to do, known before it reads the data.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunPlan {
    /// Rows of the table.
    pub rows: usize,
    /// Features.
    pub features: usize,
    /// Columns that are categories.
    pub categories: usize,
    /// Their levels, the references included.
    pub levels: usize,
    /// The device.
    pub device: String,
    /// Where the table is kept.
    pub placement: Placement,
    /// Bytes in memory for the Hessian that preconditions the solver, its factor, and the rows of a subsample if it is
    /// that of one.
    pub preconditioner_bytes: u64,
    /// Passes over the data that the method needs as a rule, from and to; `None` where that depends on the data too
    /// much to say.
    pub passes: Option<[u64; 2]>,
}

/// A job whose columns are found, whose device is open and whose room is reserved.
pub struct Prepared<'j> {
    table: Table,
    job: &'j Job,
    plan: Plan,
    device: Device,
    loading: Box<dyn Loading>,
    start: Instant,
}

/// Checks a job, opens its device and reserves the room that the table needs.
pub fn prepare<'j>(table: Table, job: &'j Job, monitor: &dyn Monitor) -> Result<Prepared<'j>> {
    let start = Instant::now();
    let (table, plan) = job.request.resolve(table, monitor)?;
    let device = Device::open(&job.device)?;
    let loading = device.reserve(plan.design(table.rows), &job.limits)?;
    Ok(Prepared { table, job, plan, device, loading, start })
}

impl Prepared<'_> {
    /// What the run is going to do.
    pub fn plan(&self) -> RunPlan {
        let [categories, levels] = self.plan.categories();
        RunPlan {
            rows: self.table.rows,
            features: self.plan.features(),
            categories,
            levels,
            device: self.device.describe(),
            placement: self.loading.placement(),
            preconditioner_bytes: self.preconditioner_bytes(),
            passes: self.job.usual_passes(),
        }
    }

    fn preconditioner_bytes(&self) -> u64 {
        let design = self.plan.design(self.table.rows);
        let (entries, kept) = match (self.job.takes_hessian(), self.job.subsamples(design.shape.features)) {
            (false, _) => return 0,
            (true, false) => ((design.shape.features + 1).pow(2), 0),
            (true, true) => {
                let is_loose = design.loose(HESSIAN_FEATURES);
                let loose: usize = design
                    .categories()
                    .zip(is_loose)
                    .filter(|(_, is_loose)| *is_loose)
                    .map(|(c, _)| c.features.len())
                    .sum();
                let tight = design.shape.features + 1 - loose;
                let rows = kept_rows(self.table.rows, design.shape.columns).len();
                let columns = design.shape.columns + design.shape.columns_beside();
                (tight * tight + (tight + 1) * loose, rows * (4 * columns + 16))
            }
        };
        (2 * 8 * entries + kept) as u64
    }

    /// Fits the model. `history` hears of every iteration.
    pub fn train(self, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
        train_prepared(self, monitor, history)
    }
}

/// Fits a logistic regression to `table`. `history` hears of every iteration.
pub fn train(table: &Table, job: &Job, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    prepare(table.clone(), job, monitor)?.train(monitor, history)
}

fn train_prepared(prepared: Prepared<'_>, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    let Prepared { table, job, plan, device, mut loading, start } = prepared;
    let table = &table;
    let reading = Instant::now();
    let subsamples = job.subsamples(plan.features());
    let loose = if subsamples { plan.design(table.rows).loose(HESSIAN_FEATURES) } else { Vec::new() };
    let (loaded, mut kept) = if subsamples {
        let rows = kept_rows(table.rows, plan.design(table.rows).shape.columns);
        let mut kept = Box::new(CpuTable::with_loose(&plan.design(rows.len()), loose.clone())?);
        let sampling = Sampling::new(loading.as_store(), &rows, kept.as_store());
        let loaded = load(table, &plan, &sampling, monitor)?;
        drop(sampling);
        (loaded, Some(kept.finish()?))
    } else {
        (load(table, &plan, &*loading.as_store(), monitor)?, None)
    };
    let read = reading.elapsed().as_secs_f64();
    let uploading = Instant::now();
    let mut backend = loading.finish()?;
    let upload = uploading.elapsed().as_secs_f64();
    let solving = Instant::now();
    let kept = kept.as_deref_mut().map(|backend| Kept { backend, loose: &loose });
    let mut fit = fit(&mut *backend, kept, &loaded, job, device.bias()?, monitor, history)?;
    let solve = solving.elapsed().as_secs_f64();
    let verifying = Instant::now();
    let mut verify = 0.0;
    if job.exact != ExactJob::None {
        let plan = plan.after(&loaded);
        verify_on_file(table, &plan, &loaded, job, &mut fit, monitor)?;
        verify = verifying.elapsed().as_secs_f64();
    }
    let seconds = Seconds { read, upload, solve, verify, total: start.elapsed().as_secs_f64() };
    Ok(model(table, job, loaded, &fit, device.describe(), seconds))
}

/// The rows of a subsample, and which categories are loose in their Hessian.
struct Kept<'k> {
    backend: &'k mut dyn Backend,
    loose: &'k [bool],
}

/// A fit in the solver's coordinates.
struct Fit {
    coordinates: Coordinates,
    /// Columns that others explain.
    aliased: Vec<usize>,
    outcome: Outcome,
    /// Mean loss without the penalty.
    loss: f64,
    settings: Settings,
    /// Of the estimates, in the solver's coordinates.
    covariance: Option<Symmetric>,
    penalty: Penalty,
    verified: Option<Verified>,
}

fn fit(
    backend: &mut dyn Backend,
    kept: Option<Kept<'_>>,
    loaded: &Loaded,
    job: &Job,
    bias: f64,
    monitor: &dyn Monitor,
    history: &mut History<'_>,
) -> Result<Fit> {
    // What a mean is over: the rows, or their weights.
    let rows = backend.weight();
    let scales = loaded.features.iter().map(|feature| feature.scale).collect();
    let mut coordinates = Coordinates::new(scales, job.intercept);
    for (index, feature) in loaded.features.iter().enumerate() {
        if feature.level.is_some_and(|(category, _)| kept.as_ref().is_some_and(|kept| kept.loose[category])) {
            coordinates.leave_uncentred(index);
        }
    }
    if coordinates.dimension() == 0 {
        return Err(Error::data(
            "there is nothing to fit: every feature is always 0, and there is no intercept",
            "Leave --no-intercept out, or name other features.",
        ));
    }
    let mut point = starting_point(&coordinates, loaded.totals.classes);
    let mut kept_rows = kept.map(|kept| Standardized::new(kept.backend, coordinates.clone()));
    let approximate = kept_rows.is_some();
    let mut evaluation = {
        let mut all = Standardized::new(&mut *backend, coordinates.clone());
        match &mut kept_rows {
            Some(kept) => Subsampled::new(&mut all, kept).move_to(&point, Need::Hessian)?,
            None => all.move_to(&point, Need::Hessian)?,
        }
    };
    let mut aliased_columns = Vec::new();
    // A penalty makes the answer unique whatever the columns are, and a subsample cannot tell.
    if job.l2 == 0.0
        && !approximate
        && let Some(hessian) = &evaluation.hessian
    {
        let mut objective = Standardized::new(&mut *backend, coordinates.clone());
        let dropped = aliased(&mut objective, hessian, coordinates.active().len())?;
        aliased_columns = dropped.iter().map(|&index| coordinates.active()[index]).collect();
        let kept: Vec<usize> = (0..coordinates.dimension()).filter(|index| !dropped.contains(index)).collect();
        coordinates = coordinates.without(&dropped);
        point = kept.iter().map(|&index| point[index]).collect();
        evaluation.gradient = kept.iter().map(|&index| evaluation.gradient[index]).collect();
        evaluation.hessian = evaluation.hessian.map(|hessian| hessian.restricted(&kept));
    }
    let penalty = Penalty::new(job.l2, job.penalty_scale, &coordinates.active_scales(), job.intercept);
    let settings = Settings {
        tolerance: job.tolerance,
        // A standard error moves by about as many parts as the point is standard errors away.
        goal: if job.inference.is_some() { 0.05 * job.tolerance } else { job.tolerance },
        gradient_tolerance: job.gradient_tolerance,
        max_iterations: job.max_iterations,
        preconditioner: match (job.preconditioner, job.solver) {
            (Some(Preconditioner::Subsample), _) | (None, Solver::Cg | Solver::Newton) => Preconditioner::Hessian,
            (Some(preconditioner), _) => preconditioner,
            (None, Solver::Lbfgs | Solver::GradientDescent) => Preconditioner::None,
        },
        approximate,
        rows,
        delta_floor: bias * rows.sqrt(),
        reach: coordinates.reach(),
        may_separate: job.l2 == 0.0 && loaded.offset.is_none(),
        least_weight: loaded.totals.least,
        hessian_at_end: job.inference.is_some() || job.exact != ExactJob::None,
    };
    let mut all = Standardized::new(&mut *backend, coordinates.clone());
    let mut subsampled = kept_rows.as_mut().map(|kept| Subsampled::standing(&mut all, kept, &point));
    let loss: &mut dyn Objective = match &mut subsampled {
        Some(subsampled) => subsampled,
        None => &mut all,
    };
    let (mut objective, evaluation) = Penalized::standing(loss, penalty.clone(), &point, evaluation);
    let start = Start { point, evaluation };
    let mut outcome = match job.solver {
        Solver::Cg => conjugate_gradient(&mut objective, start, &settings, monitor, history)?,
        Solver::Newton => newton(&mut objective, start, &settings, monitor, history)?,
        Solver::Lbfgs => lbfgs(&mut objective, start, &settings, monitor, history)?,
        Solver::GradientDescent => gradient_descent(&mut objective, start, &settings, monitor, history)?,
    };
    let loss = outcome.value - penalty.value(&outcome.parameters);
    // Standard errors and refinement take the Hessian of all the data.
    let mut all = Standardized::new(&mut *backend, coordinates.clone());
    let mut objective = Penalized::new(&mut all, penalty.clone());
    if approximate {
        outcome.hessian = None;
    }
    let mut found = None;
    let has_estimates = outcome.status.has_estimates();
    // A run that ended at a fresh evaluation has its Hessian and stands there; another one goes there.
    if has_estimates && outcome.hessian.is_none() && (job.inference.is_some() || job.exact != ExactJob::None) {
        outcome.hessian = objective.move_to(&outcome.parameters, Need::Hessian)?.hessian;
    }
    if has_estimates && let Some(inference) = job.inference {
        let scatter = if inference.robust { Some(objective.scatter()?) } else { None };
        found = outcome.hessian.as_ref().and_then(|hessian| covariance(hessian, scatter.as_ref(), settings.rows));
    }
    outcome.passes = objective.passes();
    Ok(Fit {
        coordinates,
        aliased: aliased_columns,
        outcome,
        loss,
        settings,
        covariance: found,
        penalty,
        verified: None,
    })
}

/// Looks at the fit with passes in f64 over the file itself, and refines it if that is asked for.
fn verify_on_file(
    table: &Table,
    plan: &Plan,
    loaded: &Loaded,
    job: &Job,
    fit: &mut Fit,
    monitor: &dyn Monitor,
) -> Result<()> {
    let Some(hessian) = fit.outcome.hessian.as_ref().filter(|_| fit.outcome.status.has_estimates()) else {
        return Ok(());
    };
    let coordinates = fit.coordinates.exact();
    let scales = coordinates.columns();
    let penalty = &fit.penalty;
    let evaluate = |point: &[f64]| {
        let parameters = coordinates.to_device(point);
        let (intercept, weights) = parameters.split_last().expect("the intercept is always there");
        let exact = evaluate_file(table, plan, &loaded.label, scales, weights, *intercept, monitor)?;
        let gradient = coordinates.gradient(&exact.gradient);
        Ok(penalty.add_to(Evaluation { value: exact.loss, gradient, diagonal: None, hessian: None }, point))
    };
    let improve = job.exact == ExactJob::Refine && fit.outcome.status != Status::MaxIterations;
    let Some(refined) = refine(&fit.outcome.parameters, hessian, fit.settings.rows, improve, evaluate)? else {
        return Ok(());
    };
    fit.loss = refined.evaluation.value - penalty.value(&refined.parameters);
    fit.verified = Some(Verified {
        loss: fit.loss,
        gradient_norm: refined.gradient_norm(),
        delta: refined.delta,
        passes: refined.evaluations,
        refined: improve,
    });
    // What double precision sees on the file decides, either way.
    fit.outcome.status =
        match fit.outcome.status {
            Status::Converged | Status::F32Limit if job.gradient_tolerance.is_none() => {
                if refined.delta <= job.tolerance { Status::Converged } else { Status::F32Limit }
            }
            status => status,
        };
    fit.outcome.delta = Some(refined.delta);
    fit.settings.delta_floor = 0.0;
    fit.outcome.gradient = refined.evaluation.gradient;
    fit.outcome.parameters = refined.parameters;
    Ok(())
}

/// All weights 0, and the intercept at the log odds of the classes.
fn starting_point(coordinates: &Coordinates, [negative, positive]: [f64; 2]) -> Vec<f64> {
    let mut point = vec![0.0; coordinates.dimension()];
    if coordinates.has_intercept()
        && let Some(intercept) = point.last_mut()
    {
        *intercept = (positive / negative).ln();
    }
    point
}

fn model(table: &Table, job: &Job, loaded: Loaded, fit: &Fit, device: String, seconds: Seconds) -> Model {
    let Fit { coordinates, outcome, .. } = fit;
    let (weights, intercept) = coordinates.to_original(&outcome.parameters);
    // The intercept first, if there is one. A coefficient on the original scale is linear in the solver's parameters. One
    // product serves all variances and covariances: with thousands of features one for each pair takes minutes.
    let order: Vec<Option<usize>> = coordinates
        .has_intercept()
        .then_some(None)
        .into_iter()
        .chain((0..coordinates.active().len()).map(Some))
        .collect();
    let covariance = fit.covariance.as_ref().map(|covariance| {
        let maps: Vec<Vec<f64>> = order.iter().map(|index| coordinates.coefficient_map(*index)).collect();
        covariance.along(&maps)
    });
    let infer = |coefficient: f64, index: Option<usize>| {
        let place = order.iter().position(|other| *other == index)?;
        let variance = covariance.as_ref()?.get(place, place);
        Some(Inference::new(coefficient, variance.sqrt(), job.inference?.confidence))
    };
    let counts = loaded.label.counts;
    let (totals, with_offsets) = (loaded.totals.classes, loaded.offset.is_some());
    let is_weighted = loaded.weight.is_some() || loaded.class_weight.is_some();
    let [negative, positive] = loaded.label.classes;
    let features: Vec<FeatureInfo> = loaded
        .features
        .into_iter()
        .zip(weights)
        .enumerate()
        .map(|(index, (feature, coefficient))| FeatureInfo {
            kind: if feature.level.is_some() { "level".into() } else { feature.kind.name().into() },
            category: feature.level.map(|(category, _)| loaded.categories[category].name.clone()),
            name: feature.name,
            unit: feature.unit.map(Into::into),
            indicates: feature.indicates,
            fill: feature.fill,
            missing: feature.missing,
            coefficient,
            mean: feature.scale.mean,
            scale: feature.scale.scale,
            aliased: fit.aliased.contains(&index),
            inference: coordinates
                .active()
                .iter()
                .position(|&column| column == index)
                .and_then(|active| infer(coefficient, Some(active))),
        })
        .collect();
    let mut notes = loaded.notes;
    let names =
        |columns: &[usize]| listed(&columns.iter().map(|&column| features[column].name.as_str()).collect::<Vec<_>>());
    if !fit.aliased.is_empty() {
        notes.push(format!(
            "aliased, coefficient 0: {} (the columns before them explain them completely)",
            names(&fit.aliased)
        ));
    }
    let mut warnings = Vec::new();
    if job.exact != ExactJob::None && fit.verified.is_none() {
        warnings
            .push("not verified: the run ended without estimates, so there is nothing to hold against the file".into());
    }
    if job.inference.is_some() && fit.covariance.is_none() {
        warnings.push(
            "no standard errors: the Hessian at the end has no inverse, or the run ended without estimates".into(),
        );
    }
    if outcome.status != Status::Converged {
        warnings.push(format!("{}: {}", outcome.status.name(), outcome.status.advice()));
    }
    if outcome.status == Status::Separated {
        warnings.push(format!("the columns that separate: {}", names(&separating(fit))));
    }
    let kind = match (job.inference.is_some_and(|inference| inference.robust), job.l2 > 0.0) {
        (true, _) => "robust (HC0)",
        (false, true) => "penalised",
        (false, false) => "maximum likelihood",
    };
    Model {
        covariance: covariance.as_ref().map(|covariance| {
            let row = |i: usize| (0..order.len()).map(|j| covariance.get(i, j)).collect();
            let name = |index: usize| features[coordinates.active()[index]].name.clone();
            Covariance {
                coefficients: order.iter().map(|index| index.map_or("(intercept)".into(), name)).collect(),
                kind,
                covariance: (0..order.len()).map(row).collect(),
            }
        }),
        format: FORMAT.into(),
        version: VERSION,
        label: LabelInfo { column: loaded.label.column, positive: positive.clone(), classes: [negative, positive] },
        intercept,
        nulls: job.request.nulls,
        offset: loaded.offset,
        intercept_inference: if job.intercept { infer(intercept, None) } else { None },
        training: Training {
            rows: table.rows,
            positives: counts[1],
            weight: loaded.weight,
            class_weight: loaded.class_weight,
            weights: is_weighted.then_some(fit.settings.rows),
            loss: fit.loss,
            solver: job.solver.name().into(),
            status: outcome.status,
            iterations: outcome.iterations,
            passes: outcome.passes,
            delta: outcome.delta,
            delta_is_approximate: fit.settings.approximate && fit.verified.is_none(),
            delta_floor: fit.settings.delta_floor,
            tolerance: job.tolerance,
            gradient_norm: outcome.gradient_norm(),
            gradient_tolerance: job.gradient_tolerance,
            inference: job
                .inference
                .filter(|_| fit.covariance.is_some())
                .map(|inference| InferenceInfo { kind: kind.into(), confidence: inference.confidence }),
            verified: fit.verified,
            likelihood: job.inference.map(|_| {
                // A mean of f32 terms holds about seven digits; the CPU's is in f64.
                let digits = (fit.settings.delta_floor > 0.0).then_some(7);
                Likelihood::new(fit.loss, totals, job.intercept, with_offsets, coordinates.dimension(), digits)
            }),
            validation: None,
            device,
            l2: job.l2,
            penalty_scale: job.penalty_scale,
            fit_intercept: job.intercept,
            seconds,
            files: table
                .files
                .iter()
                .map(|file| FileInfo {
                    path: file.path.display().to_string(),
                    bytes: file.bytes,
                    modified: file.modified.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())),
                })
                .collect(),
            program: concat!("gpu-logreg ", env!("CARGO_PKG_VERSION")).into(),
            command: Vec::new(),
            notes,
            warnings,
        },
        features,
        categories: loaded
            .categories
            .into_iter()
            .map(|category| CategoryInfo {
                column: category.name,
                kind: category.kind.name().into(),
                levels: category.levels,
                rows: category.rows,
            })
            .collect(),
    }
}

/// The columns that separate the classes: those along which the rows are saturated, or else those with the largest
/// weights on the standardised scale, at least a tenth of the largest.
fn separating(fit: &Fit) -> Vec<usize> {
    let active = fit.coordinates.active();
    let weights = &fit.outcome.parameters[..active.len()];
    let largest = weights.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
    let mut columns: Vec<usize> =
        fit.outcome.saturated.iter().filter_map(|&index| active.get(index).copied()).collect();
    if columns.is_empty() {
        columns =
            active.iter().zip(weights).filter(|(_, w)| w.abs() >= 0.1 * largest).map(|(&column, _)| column).collect();
    }
    columns
}
