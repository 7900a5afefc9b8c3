//! The fit, in the solver's coordinates.

use crate::data::{Encoded, Folds, Shape};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lda::{ClassMoments, Posterior};
use crate::logistic::{Terms, terms};
use crate::matrix::{RowSpace, Symmetric};
use crate::model::{SeparationInfo, Verified};
use crate::monitor::Monitor;
use crate::objective::{Diagonal, Evaluation, Need, Objective, Passes};
use crate::penalty::Penalty;
use crate::problem::{Curvature, Problem};
use crate::solve::elastic_net::PathOutcome;
use crate::solve::{
    Company, FewRows, History, LEAST_PIVOT_OF_F32, Level, Outcome, Preconditioner, Reach, Settings, Start, Status,
    conjugate_gradient, few_rows, gradient_descent, lbfgs, newton, refit, suspicious,
};
use crate::standardize::Coordinates;
use crate::train::cross_validation::Validated;
use crate::train::existence::Evidence;
use crate::train::feature_penalties::FeaturePenalties;
use crate::train::job::{ExactJob, Init, Job, Solver};
use crate::train::parametrisation::Parametrisation;
use crate::train::strategy::HessianPlan;
use crate::train::whereabouts::Whereabouts;
use crate::wording::listed;

/// What a device's numbers are worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arithmetic {
    /// The bias of its logistic functions, in standard errors of one row.
    pub(super) bias: f64,
    /// Whether it sums in f32.
    pub(super) is_f32: bool,
}

/// The covariance of the estimates.
pub(super) struct Covariance {
    /// In the solver's coordinates.
    pub(super) matrix: Symmetric,
    /// A share of themselves that standard errors are off by, at most: by the sums of the Hessian, and by the distance of
    /// the point from the optimum.
    pub(super) relative_error: f64,
    /// The mean loss without the factors of the classes, where they have some.
    pub(super) loss: Option<f64>,
}

/// What is left to gain of a mean loss with an elastic net.
pub(super) struct Gap {
    pub(super) left: f64,
    /// Mean loss at the start, where all weights are 0.
    pub(super) null: f64,
    /// The path that led there, if one did.
    pub(super) path: Option<Walked>,
    /// The parameters whose selection is open, ascending.
    pub(super) on_edge: Vec<usize>,
}

/// A path that a run has gone, whose last step is its fit.
pub(super) struct Walked {
    /// The share of L1 in each strength.
    pub(super) alpha: f64,
    /// The strength of the fit.
    pub(super) selected: f64,
    pub(super) outcome: PathOutcome,
    /// What cross-validation found along it.
    pub(super) validated: Option<Validated>,
}

/// A fit in the solver's coordinates.
pub(super) struct Fit {
    pub(super) coordinates: Coordinates,
    /// Columns that others explain.
    pub(super) aliased: Vec<usize>,
    pub(super) outcome: Outcome,
    /// Mean loss without the penalty.
    pub(super) loss: f64,
    /// Of an elastic net.
    pub(super) gap: Option<Gap>,
    pub(super) settings: Settings,
    /// Sum of the row weights, factors of the classes included: what the mean loss is over.
    pub(super) weight: f64,
    /// Of the estimates.
    pub(super) covariance: Option<Covariance>,
    pub(super) penalty: Penalty,
    pub(super) verified: Option<Verified>,
    /// What separates, if something does.
    pub(super) separation: Option<SeparationInfo>,
    /// Where the classes lie in the device's coordinates, if the coefficients were made of that.
    pub(super) moments: Option<ClassMoments>,
}

impl Fit {
    /// The path that led to it, if one did.
    pub(super) fn path(&self) -> Option<&Walked> {
        self.gap.as_ref()?.path.as_ref()
    }

    /// What its parameters are.
    pub(super) fn parametrisation(&self) -> Parametrisation<'_> {
        let (parameters, size) = (self.outcome.parameters.len(), self.coordinates.dimension());
        let has_every_class = self.penalty.terms().len() > size;
        Parametrisation { coordinates: &self.coordinates, every_class: has_every_class.then(|| parameters / size) }
    }
}

/// The coordinates of the solver, in which the categories that are loose stay uncentred.
pub(super) fn coordinates(encoded: &Encoded, intercept: bool, loose: &[bool]) -> Coordinates {
    let scales = encoded.features.iter().map(|feature| feature.scale).collect();
    let mut coordinates = Coordinates::new(scales, intercept);
    for (index, feature) in encoded.features.iter().enumerate() {
        if feature.level.is_some_and(|(category, _)| loose.get(category).copied().unwrap_or(false)) {
            coordinates.leave_uncentred(index);
        }
    }
    coordinates
}

/// What a fit is of, and how it is made.
#[derive(Clone, Copy)]
pub(super) struct Given<'g> {
    pub(super) encoded: &'g Encoded,
    pub(super) job: &'g Job,
    pub(super) penalties: &'g FeaturePenalties,
    pub(super) shape: Shape,
    /// Rows of the subsample; all of them where there is none.
    pub(super) kept: usize,
    /// Rows that are held back in turn.
    pub(super) folds: Option<&'g Folds>,
    pub(super) device: Arithmetic,
    /// Where the run begins, and where it has come to.
    pub(super) whereabouts: &'g Whereabouts,
}

/// Where a fit begins, in the solver's coordinates.
pub(super) struct Begin {
    pub(super) coordinates: Coordinates,
    /// Columns that others explain, which the coordinates are without.
    pub(super) aliased: Vec<usize>,
    pub(super) point: Vec<f64>,
    /// The loss there.
    pub(super) evaluation: Evaluation,
    /// Where the classes lie, if the fit needs it.
    moments: Option<ClassMoments>,
}

/// Fits the model: to the rows of `engine`, with the Hessian of a subsample of them if there is one.
pub(super) fn fit(
    engine: &mut dyn Engine,
    subsample: Option<&mut dyn Engine>,
    coordinates: Coordinates,
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
    monitor: &dyn Monitor,
    history: &mut History<'_>,
) -> Result<Fit> {
    let Given { job, shape, kept, .. } = given;
    check_not_empty(&coordinates)?;
    if job.solver == Solver::Generative {
        let moments = engine.moments()?;
        return generative(engine, coordinates, moments, given, evidence);
    }
    let begin = begin(engine, coordinates, given, evidence)?;
    let coordinates = begin.coordinates;
    let penalty = Penalty::new(job.l2, job.penalty_scale, &coordinates.active_scales(), job.intercept, shape.classes);
    let plan = job.hessian_plan(shape);
    let settings = settings(engine.weight(), kept, &coordinates, &penalty, given);
    let bounded = begin.moments.as_ref().filter(|_| plan == HessianPlan::Bound);
    let (few, curvature) = match (bounded, shape.classes) {
        (Some(moments), Some(classes)) => {
            (None, Curvature::Bound(bound(&coordinates.moments(moments), classes, &penalty)))
        }
        _ => of_rows(subsample.map(|rows| rows as &mut dyn Engine), &coordinates, &settings, given)?,
    };
    let mut problem = Problem::new(&mut *engine, coordinates.clone(), penalty.clone(), curvature);
    // A run that does without a Hessian at first takes none here.
    let need = if settings.rent.is_some() { Need::Diagonal } else { Need::Hessian };
    let evaluation = problem.stand_at(&begin.point, begin.evaluation, need)?;
    let start = Start { point: begin.point, evaluation };
    let start = along_posterior(&mut problem, start, job, &coordinates, begin.moments.as_ref())?;
    let mut outcome = {
        let mut told = given.whereabouts.told(&coordinates, &begin.aliased, history);
        let company = &mut Company { monitor, history: &mut told, existence: evidence };
        match &few {
            Some(rows) => few_rows(&mut problem, start, rows, &settings, company)?,
            None => solve(&mut problem, start, job.solver, &settings, company)?,
        }
    };
    let loss = outcome.value - penalty.value(&outcome.parameters);
    // Standard errors and refinement take the Hessian of all the data.
    let mut problem = problem.with_exact_curvature();
    if settings.approximate {
        outcome.hessian = None;
    }
    // A run that ended at a fresh evaluation has its Hessian and stands there; another one goes there.
    if outcome.status.has_estimates() && outcome.hessian.is_none() && job.exact != ExactJob::None {
        outcome.hessian = problem.move_to(&outcome.parameters, Need::Hessian)?.hessian;
    }
    outcome.passes = Passes { file: evidence.passes(), ..problem.passes() };
    Ok(Fit {
        coordinates,
        aliased: begin.aliased,
        outcome,
        loss,
        gap: None,
        settings,
        weight: engine.weight(),
        covariance: None,
        penalty,
        verified: None,
        separation: evidence.separation(),
        moments: None,
    })
}

/// The error for features without which there is no covariance within the classes.
fn do_not_vary(names: &[&str]) -> Error {
    Error::data(
        format!(
            "within the classes these features do not vary, or others explain them: {}; the covariance that the classes \
             share is singular",
            listed(names)
        ),
        "Leave them out with ⟦ignore⟧, or choose another solver.",
    )
}

pub(super) fn check_not_empty(coordinates: &Coordinates) -> Result<()> {
    if coordinates.dimension() > 0 {
        return Ok(());
    }
    Err(Error::data(
        "there is nothing to fit: every feature is always 0, and there is no intercept",
        "Leave ⟦no-intercept⟧ out, or name other features.",
    ))
}

/// Evaluates the loss at the start, and leaves out what others explain.
pub(super) fn begin(
    engine: &mut dyn Engine,
    mut coordinates: Coordinates,
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
) -> Result<Begin> {
    let Given { encoded, job, shape, .. } = given;
    let plan = job.hessian_plan(shape);
    let takes_moments = job.init == Init::Generative || plan != HessianPlan::Whole && shape.classes.is_some();
    let moments = if takes_moments { Some(engine.moments()?) } else { None };
    let need = if plan == HessianPlan::Whole { Need::Hessian } else { Need::Diagonal };
    let start = given.whereabouts.start();
    if let Some(start) = start
        && let Some(dropped) = start.dropped(&coordinates)
    {
        // A run that others go on from has looked for what is explained by others.
        coordinates = coordinates.without(&dropped);
        evidence.follow(&coordinates);
        let point = start.in_solver(&coordinates);
        let evaluation = Problem::of_loss(engine, coordinates.clone()).move_to(&point, need)?;
        return Ok(Begin { coordinates, aliased: start.aliased(), point, evaluation, moments });
    }
    let mut point = starting_point(&coordinates, encoded);
    let mut evaluation = Problem::of_loss(engine, coordinates.clone()).move_to(&point, need)?;
    // A penalty makes the answer unique whatever the columns are, and a subsample cannot tell.
    let mut aliased = Vec::new();
    if !job.is_penalised() && (plan == HessianPlan::Whole || moments.is_some()) {
        let columns = of_first_margin(&coordinates, &evaluation, moments.as_ref(), &encoded.totals.classes);
        let dropped = find_aliased(&coordinates, &columns, evidence, &mut aliased)?;
        let kept = kept_parameters(coordinates.dimension(), point.len(), &dropped);
        coordinates = coordinates.without(&dropped);
        point = kept.iter().map(|&index| point[index]).collect();
        evaluation = restricted(&evaluation, &kept);
        evidence.follow(&coordinates);
    }
    if let Some(start) = start {
        let given = start.in_solver(&coordinates);
        let mut loss = Problem::of_loss(engine, coordinates.clone());
        let there = loss.move_to(&given, need)?;
        // A model of other rows may be worse than none.
        if there.is_finite() && there.value < evaluation.value {
            (point, evaluation) = (given, there);
        } else {
            evaluation = loss.move_to(&point, need)?;
        }
    }
    Ok(Begin { coordinates, aliased, point, evaluation, moments })
}

/// When the solver stops, and what it may use, for rows of so much `weight`, `kept` of which have the Hessian.
pub(super) fn settings(
    weight: f64,
    kept: usize,
    coordinates: &Coordinates,
    penalty: &Penalty,
    given: Given<'_>,
) -> Settings {
    let Given { encoded, job, shape, device, .. } = given;
    let plan = job.hessian_plan(shape);
    // What a standard error is of: the rows, or their counts. The unit of other weights means nothing.
    let rows = if job.takes_sampling_weights() {
        shape.rows as f64
    } else if encoded.class_weight.is_some() {
        encoded.totals.by_column.iter().sum()
    } else {
        weight
    };
    Settings {
        tolerance: job.tolerance,
        // A standard error moves by about as many parts as the point is standard errors away.
        goal: if job.inference.is_some() { 0.05 * job.tolerance } else { job.tolerance },
        gradient_tolerance: job.gradient_tolerance,
        max_iterations: job.max_iterations,
        preconditioner: match (job.preconditioner, job.solver) {
            (None, Solver::Cg | Solver::Newton) if plan == HessianPlan::Bound => Preconditioner::Bound,
            (Some(Preconditioner::Subsample), _) | (None, Solver::Cg | Solver::Newton) => Preconditioner::Hessian,
            (Some(preconditioner), _) => preconditioner,
            (None, Solver::Lbfgs | Solver::GradientDescent | Solver::Generative) => Preconditioner::None,
        },
        // A subsample of all rows is none; of categories it may keep the pattern alone.
        approximate: match plan {
            HessianPlan::Whole | HessianPlan::Penalty => false,
            // Where the sample measures, the distance is as good as its curvature.
            HessianPlan::WorkingSet => kept < shape.rows,
            HessianPlan::Subsample => kept < shape.rows || shape.has_levels(),
            HessianPlan::Bound => true,
        },
        rent: job.rent(shape, kept),
        penalty: if job.l2 > 0.0 && shape.classes.is_none() { penalty.strength().to_vec() } else { Vec::new() },
        hessian_at_end: job.inference.is_some() || job.exact != ExactJob::None,
        may_separate: !job.is_penalised(),
        ..settings_of(encoded, coordinates, shape, rows, device)
    }
}

/// What rows that are kept on the host are for: the rows themselves where they are few, and their Hessian.
fn of_rows<'r>(
    rows: Option<&'r mut dyn Engine>,
    coordinates: &Coordinates,
    settings: &Settings,
    Given { job, shape, kept, .. }: Given<'_>,
) -> Result<(Option<FewRows>, Curvature<'r>)> {
    let Some(rows) = rows else { return Ok((None, Curvature::Exact)) };
    let is_few = job.is_of_few_rows(shape, kept);
    let few = if is_few { rows_of(&mut *rows, coordinates, settings)? } else { None };
    Ok((few, if settings.approximate { Curvature::Subsample(rows) } else { Curvature::Rows(rows) }))
}

/// The rows of a table that keeps them, in the solver's coordinates with the penalty of the settings.
fn rows_of(engine: &mut dyn Engine, coordinates: &Coordinates, settings: &Settings) -> Result<Option<FewRows>> {
    let Some(kept) = engine.kept_rows()? else { return Ok(None) };
    let mut matrix = coordinates.hessian(&Symmetric::of_few_rows(kept.columns, vec![1.0; kept.labels.len()]));
    matrix.add_diagonal(&settings.penalty);
    let weight = engine.weight();
    let of_space = |space| FewRows {
        terms: |z, t| {
            let Terms { loss, residual, curvature } = terms(z, t);
            [loss, residual, curvature]
        },
        space,
        labels: kept.labels,
        weights: kept.weights.iter().map(|own| own / weight).collect(),
        offsets: kept.offsets,
        has_intercept: coordinates.has_intercept(),
    };
    Ok(RowSpace::new(&matrix).map(of_space))
}

fn solve(
    objective: &mut dyn Objective,
    start: Start,
    solver: Solver,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Outcome> {
    match solver {
        Solver::Cg => conjugate_gradient(objective, start, settings, company),
        Solver::Newton => newton(objective, start, settings, company),
        Solver::Lbfgs => lbfgs(objective, start, settings, company),
        Solver::GradientDescent => gradient_descent(objective, start, settings, company),
        Solver::Generative => Err(Error::internal("a closed form has no iterations")),
    }
}

/// The start, or along the posterior of Gaussian classes where that was asked for and exists.
fn along_posterior(
    objective: &mut dyn Objective,
    start: Start,
    job: &Job,
    coordinates: &Coordinates,
    moments: Option<&ClassMoments>,
) -> Result<Start> {
    let posterior = moments.filter(|_| job.init == Init::Generative).and_then(|moments| {
        let moments = coordinates.moments(moments);
        if moments.explained(EXPLAINED).is_empty() { Posterior::of(&moments) } else { None }
    });
    match posterior {
        Some(posterior) => {
            let mut target = posterior.against_first();
            if !coordinates.has_intercept() {
                target = without_intercepts(&target, coordinates.dimension());
            }
            refit(objective, start, &target)
        }
        None => Ok(start),
    }
}

fn without_intercepts(parameters: &[f64], features: usize) -> Vec<f64> {
    parameters.chunks(features + 1).flat_map(|margin| margin[..features].to_vec()).collect()
}

/// A share of its spread over all rows, or of its own within the classes, below which f32 sums say nothing of a feature.
const EXPLAINED: f64 = 1e-6;

/// The same in f64, of columns in f32.
const EXPLAINED_IN_F64: f64 = 1e-10;

/// The posterior of Gaussian classes, in closed form: a pass for their moments, and one for the loss.
fn generative(
    engine: &mut dyn Engine,
    mut coordinates: Coordinates,
    moments: ClassMoments,
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
) -> Result<Fit> {
    let Given { encoded, job, device, .. } = given;
    let mut aliased_columns = Vec::new();
    let in_solver = coordinates.moments(&moments);
    // What others explain over all rows they explain within the classes: a suspicion takes a look at all rows.
    if !in_solver.explained(10.0 * EXPLAINED).is_empty() {
        let point = starting_point(&coordinates, encoded);
        let evaluation = Problem::of_loss(&mut *engine, coordinates.clone()).move_to(&point, Need::Gradient)?;
        let columns = of_first_margin(&coordinates, &evaluation, Some(&moments), &encoded.totals.classes);
        let dropped = find_aliased(&coordinates, &columns, evidence, &mut aliased_columns)?;
        coordinates = coordinates.without(&dropped);
    }
    let in_solver = coordinates.moments(&moments);
    let explained = in_solver.explained(if device.is_f32 { EXPLAINED } else { EXPLAINED_IN_F64 });
    if !explained.is_empty() {
        let name = |index: &usize| encoded.features[coordinates.active()[*index]].name.as_str();
        return Err(do_not_vary(&explained.iter().map(name).collect::<Vec<_>>()));
    }
    let posterior = Posterior::of(&in_solver)
        .ok_or_else(|| Error::data("the covariance that the classes share is singular", "Choose another solver."))?;
    let parameters = posterior.against_first();
    let mut objective = Problem::of_loss(&mut *engine, coordinates.clone());
    let evaluation = objective.move_to(&parameters, Need::Gradient)?;
    let passes = Passes { file: evidence.passes(), ..objective.passes() };
    let status = if evaluation.is_finite() { Status::Converged } else { Status::NonFinite };
    let outcome = Outcome {
        parameters,
        value: evaluation.value,
        gradient: evaluation.gradient,
        hessian: None,
        is_proved: true,
        delta: None,
        is_bounded: true,
        delta_floor: 0.0,
        status,
        iterations: 0,
        passes,
    };
    let classes = moments.weights.len();
    let penalty = Penalty::new(0.0, job.penalty_scale, &coordinates.active_scales(), true, Some(classes));
    Ok(Fit {
        gap: None,
        aliased: aliased_columns,
        loss: outcome.value,
        settings: Settings { rows: engine.weight(), ..Settings::new(0, Vec::new()) },
        weight: engine.weight(),
        covariance: None,
        penalty,
        verified: None,
        separation: None,
        moments: Some(moments),
        coordinates,
        outcome,
    })
}

/// What the settings take from the data.
fn settings_of(encoded: &Encoded, coordinates: &Coordinates, shape: Shape, rows: f64, device: Arithmetic) -> Settings {
    let level = |&column: &usize| {
        let (category, _) = encoded.features[column].level?;
        let place = coordinates.columns()[column];
        Some(Level { category, step: 1.0 / place.scale, centre: place.mean / place.scale })
    };
    let reach = Reach {
        parameters: coordinates.reach().repeat(shape.margins()),
        levels: coordinates.active().iter().map(level).collect(),
        has_intercept: coordinates.has_intercept(),
        // A device in f32 rounds every term, whatever the column holds.
        rounded: coordinates.active().iter().map(|&j| device.is_f32 || !encoded.features[j].is_exact).collect(),
    };
    let settings = Settings::new(0, Vec::new());
    Settings {
        rows,
        count: shape.rows as f64,
        bias: device.bias * rows.sqrt(),
        // Columns are narrowed to f32 for either device; a GPU's margins are.
        rounding: 2.0_f64.powi(if device.is_f32 { -24 } else { -25 }),
        reach,
        margins: shape.margins(),
        least_pivot: if device.is_f32 { LEAST_PIVOT_OF_F32 } else { settings.least_pivot },
        ..settings
    }
}

/// All weights 0, and the intercepts at the log odds of the classes against the first, less what offsets add to them on average: where
/// all margins are large no row says which way is down.
pub(super) fn starting_point(coordinates: &Coordinates, encoded: &Encoded) -> Vec<f64> {
    let classes = &encoded.totals.classes;
    let of_class = |(margin, class): (usize, &f64)| {
        let mut point = vec![0.0; coordinates.dimension()];
        if coordinates.has_intercept()
            && let Some(intercept) = point.last_mut()
        {
            *intercept = (class / classes[0]).ln() - encoded.offset_means.get(margin).copied().unwrap_or(0.0);
        }
        point
    };
    classes[1..].iter().enumerate().flat_map(of_class).collect()
}

/// The part of the Hessian at the start that belongs to the first margin, `[dimension x dimension]`.
fn of_first_margin(
    coordinates: &Coordinates,
    evaluation: &Evaluation,
    moments: Option<&ClassMoments>,
    classes: &[f64],
) -> Symmetric {
    let first: Vec<usize> = (0..coordinates.dimension()).collect();
    match (&evaluation.hessian, moments) {
        (Some(hessian), _) => hessian.restricted(&first),
        (None, Some(moments)) => {
            let total: f64 = classes.iter().sum();
            let share = if coordinates.has_intercept() { classes[1] / total } else { 1.0 / classes.len() as f64 };
            let mut gram = coordinates.moments(moments).gram().restricted(&first);
            gram.scale(share * (1.0 - share));
            gram
        }
        (None, None) => Symmetric::zero(0),
    }
}

/// The parameters of a margin that others explain; their columns are added to `columns`. A Gram matrix of all rows, or a
/// multiple of it, tells whether to look.
pub(super) fn find_aliased(
    coordinates: &Coordinates,
    gram: &Symmetric,
    evidence: &mut Evidence<'_>,
    columns: &mut Vec<usize>,
) -> Result<Vec<usize>> {
    if !suspicious(gram, coordinates.active().len()) {
        return Ok(Vec::new());
    }
    let dropped = evidence.aliased()?;
    columns.extend(dropped.iter().map(|&index| coordinates.active()[index]));
    Ok(dropped)
}

/// Of `all` parameters, `of_margin` for each margin, those that are not dropped.
pub(super) fn kept_parameters(of_margin: usize, all: usize, dropped: &[usize]) -> Vec<usize> {
    (0..all).filter(|index| !dropped.contains(&(index % of_margin))).collect()
}

/// The evaluation without the other parameters.
pub(super) fn restricted(evaluation: &Evaluation, kept: &[usize]) -> Evaluation {
    let some = |all: &[f64]| kept.iter().map(|&index| all[index]).collect::<Vec<f64>>();
    Evaluation {
        value: evaluation.value,
        gradient: some(&evaluation.gradient),
        diagonal: evaluation
            .diagonal
            .as_ref()
            .map(|diagonal| Diagonal { own: some(&diagonal.own), with_intercept: some(&diagonal.with_intercept) }),
        hessian: evaluation.hessian.as_ref().map(|hessian| hessian.restricted(kept)),
    }
}

/// The bound on the Hessian of the penalised loss of a softmax: `(I - 11' / K) x (X'X / 2N + penalty)`.
fn bound(moments: &ClassMoments, classes: usize, penalty: &Penalty) -> Symmetric {
    let first: Vec<usize> = (0..penalty.strength().len()).collect();
    let mut margin = moments.gram().restricted(&first);
    margin.scale(0.5);
    // The penalty of K >= 3 classes has the same coupling; that of two is on their difference, and 1 - 1/2 of its double.
    let times = if classes > 2 { 1.0 } else { 2.0 };
    margin.add_diagonal(&penalty.strength().iter().map(|l| times * l).collect::<Vec<f64>>());
    Symmetric::kronecker(classes, margin)
}
