//! The fit with an elastic net, with factors of the penalty and bounds for single columns.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::SeparationInfo;
use crate::monitor::Monitor;
use crate::objective::{Need, Objective};
use crate::penalty::{Penalty, Term};
use crate::solve::elastic_net::{ElasticNet, Left, PathOutcome, PathPoint, PathProblem, elastic_net, path};
use crate::solve::{Answer, Certain, Company, Doubt, Existence, History, Outcome, Settings, Start, Status};
use crate::standardize::Coordinates;
use crate::train::cross_validation::{Recording, Setting, cross_validate};
use crate::train::existence::Evidence;
use crate::train::fit::{
    Begin, Fit, Gap, Given, Walked, begin, check_not_empty, find_aliased, kept_parameters, restricted, settings,
    starting_point,
};
use crate::train::job::{PathJob, SelectedStrength, penalised_classes};
use crate::train::parametrisation::Parametrisation;
use crate::train::strategy::HessianPlan;
use crate::wording::listed;

/// Fits the model with an elastic net: `subsample` is a model of the loss.
pub(super) fn fit_elastic_net(
    engine: &mut dyn Engine,
    mut subsample: Option<&mut dyn Engine>,
    coordinates: Coordinates,
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
    monitor: &dyn Monitor,
    history: &mut History<'_>,
) -> Result<Fit> {
    let Given { job, shape, kept, .. } = given;
    check_not_empty(&coordinates)?;
    let mut begin = begin(engine, coordinates, given, evidence)?;
    let free = free_columns(&begin.coordinates, given);
    let separation = if free.is_empty() { None } else { look_at_free(&mut begin, &free, given, evidence)? };
    let coordinates = begin.coordinates;
    let parametrisation = Parametrisation { coordinates: &coordinates, every_class: penalised_classes(shape) };
    let start = parametrisation.start(begin.point, begin.evaluation);
    let weight = engine.weight();
    let of_sample = if job.hessian_plan(shape) == HessianPlan::WorkingSet { kept } else { shape.rows };
    let mut penalty = elastic_net_of(&coordinates, given, [job.l1, job.l2]);
    let mut settings = settings(weight, of_sample, &coordinates, &penalty, given);
    settings.reach.parameters = coordinates.reach().repeat(penalised_classes(shape).unwrap_or(1));
    let mut null = start.evaluation.value;
    let need = if start.evaluation.hessian.is_some() { Need::Hessian } else { Need::Gradient };
    let mut walked = None;
    if let Some(path_job) = &job.path {
        check_holds(separation.as_ref())?;
        let on = On { parametrisation, settings: &settings, has_all_rows: kept >= shape.rows, monitor };
        let of_path = subsample.as_mut().map(|sample| &mut **sample as &mut dyn Engine);
        let found = walk(engine, of_path, start.clone(), path_job, on, given)?;
        null = found.outcome.null;
        penalty = elastic_net_of(&coordinates, given, found.strengths());
        walked = Some(found);
    }
    let mut loss = parametrisation.loss(engine);
    let start = walked.as_ref().map_or(Ok(start), |found| found.start(&mut *loss, need))?;
    let mut sample = subsample.map(|rows| parametrisation.loss(rows));
    let sample = sample.as_mut().map(|sample| &mut **sample as &mut dyn Objective);
    // Where there is no minimum the start is as good as any other point.
    let gap = if separation.is_some() { f64::INFINITY } else { job.gap_tolerance * null };
    let net = ElasticNet { terms: penalty.terms(), gap };
    let company = &mut Company { monitor, history, existence: &mut Certain };
    let (outcome, Left { gap: left, on_edge }) =
        elastic_net(&mut *loss, sample, start, (&net, coordinates.dimension()), &settings, company)?;
    let mut outcome = completed(outcome, &penalty, separation.is_some());
    outcome.passes.file = evidence.passes();
    Ok(Fit {
        gap: separation.is_none().then_some(Gap { left, null, path: walked, on_edge }),
        loss: outcome.value - penalty.cost(&outcome.parameters),
        coordinates,
        aliased: begin.aliased,
        outcome,
        settings,
        weight,
        covariance: None,
        penalty,
        verified: None,
        separation,
        moments: None,
    })
}

/// An outcome as others are: its Hessian with the penalty; and without estimates where what nothing holds separates.
fn completed(mut outcome: Outcome, penalty: &Penalty, separates: bool) -> Outcome {
    if separates {
        return Outcome { status: Status::Separated, is_proved: false, delta: None, hessian: None, ..outcome };
    }
    if let Some(hessian) = &mut outcome.hessian {
        hessian.add_diagonal(penalty.strength());
    }
    outcome
}

/// Where a path is walked.
struct On<'o> {
    parametrisation: Parametrisation<'o>,
    settings: &'o Settings,
    has_all_rows: bool,
    monitor: &'o dyn Monitor,
}

/// Walks the path from where the engine stands, cross-validates it if there are folds, and finds the strength of the model itself on it.
fn walk(
    engine: &mut dyn Engine,
    mut sample: Option<&mut dyn Engine>,
    start: Start,
    path_job: &PathJob,
    On { parametrisation, settings, has_all_rows, monitor }: On<'_>,
    given: Given<'_>,
) -> Result<Walked> {
    let coordinates = parametrisation.coordinates;
    let terms = |strengths| elastic_net_of(coordinates, given, strengths).terms();
    let path_problem = PathProblem {
        terms: &terms,
        strengths: &path_job.strengths,
        alpha: path_job.alpha,
        gap_tolerance: given.job.gap_tolerance,
        ends_early: !path_job.is_full,
        has_all_rows,
        margin: Some(coordinates.dimension()),
    };
    let parameters = start.point.len();
    let go = |objective: &mut dyn Objective, sample: Option<&mut dyn Engine>| {
        let mut loss = parametrisation.loss(objective);
        let mut sample = sample.map(|rows| parametrisation.loss(rows));
        let sample = sample.as_mut().map(|sample| &mut **sample as &mut dyn Objective);
        path(&mut *loss, sample, start, &path_problem, settings, monitor)
    };
    let of_path = sample.as_mut().map(|sample| &mut **sample as &mut dyn Engine);
    let (outcome, validated) = match given.folds {
        None => (go(engine, of_path)?, None),
        Some(folds) => {
            let mut recording = Recording::new(engine, folds.cells.rows().len(), parameters);
            let outcome = go(&mut recording, of_path)?;
            let setting = Setting {
                folds,
                parametrisation,
                settings,
                path_job,
                penalty_scale: given.job.penalty_scale,
                gap_tolerance: given.job.gap_tolerance,
                terms: &terms,
                has_all_rows,
                monitor,
            };
            let validated = cross_validate(recording, sample, &outcome, setting)?;
            (outcome, Some(validated))
        }
    };
    let place = validated.as_ref().and_then(|validated| validated.place(path_job.selected));
    let selected = match place {
        Some(place) => outcome.points[place].strength,
        None => selected(&outcome, path_job)?,
    };
    Ok(Walked { alpha: path_job.alpha, selected, outcome, validated })
}

impl Walked {
    /// Of L1 and of L2, where the model itself is.
    fn strengths(&self) -> [f64; 2] {
        [self.alpha, 1.0 - self.alpha].map(|share| share * self.selected)
    }

    /// Goes to the point of the path that is nearest to the model itself.
    fn start(&self, problem: &mut dyn Objective, need: Need) -> Result<Start> {
        let point = self.nearest()?.parameters.clone();
        Ok(Start { evaluation: problem.move_to(&point, need)?, point })
    }

    /// The point of the path that is nearest to the model itself.
    fn nearest(&self) -> Result<&PathPoint> {
        let far = |point: &PathPoint| (point.strength / self.selected).ln().abs();
        let nearest = self.outcome.points.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.ok_or_else(|| Error::internal("a path without points"))
    }
}

/// The strength of the model itself.
///
/// # Errors
/// Of kind `Usage` if it is not on the path.
fn selected(found: &PathOutcome, job: &PathJob) -> Result<f64> {
    let [Some(first), Some(last)] = [found.points.first(), found.points.last()] else {
        return Err(Error::internal("a path without points"));
    };
    match job.selected {
        SelectedStrength::At(selected) if selected >= last.strength * (1.0 - 1e-9) => Ok(selected),
        SelectedStrength::Last | SelectedStrength::Minimum | SelectedStrength::OneStandardError => Ok(last.strength),
        SelectedStrength::At(selected) => Err(Error::usage(
            format!(
                "⟦select {selected:?}⟧ is not on the path, which goes from {:?} down to {:?}",
                first.strength, last.strength
            ),
            "Give a strength between them; or a smaller ⟦lambda-min-ratio⟧, or ⟦full-path⟧, for a path that goes farther.",
        )),
    }
}

/// An error if columns that nothing holds separate: no model of a path has estimates then.
fn check_holds(separation: Option<&SeparationInfo>) -> Result<()> {
    let Some(separation) = separation else { return Ok(()) };
    let columns: Vec<&str> = separation.causes.iter().flat_map(|cause| &cause.columns).map(String::as_str).collect();
    let what = if columns.is_empty() { "the intercept alone".into() } else { listed(&columns) };
    Err(Error::data(
        format!(
            "no model of the path has estimates: nothing holds {what}, and at least some rows are told apart perfectly"
        ),
        "Give what separates a ⟦penalty-factor⟧ above 0 or ⟦bounds⟧ on both sides, or leave it out.",
    ))
}

/// The penalty of the active columns, each with its factor and its bounds; of several classes that of every one.
fn elastic_net_of(
    coordinates: &Coordinates,
    Given { job, penalties, shape, .. }: Given<'_>,
    strengths: [f64; 2],
) -> Penalty {
    let columns = coordinates.active().iter().zip(coordinates.active_scales());
    let term = |(&j, deviation): (&usize, f64)| {
        Term::of_column(strengths, penalties.factors[j], penalties.bounds[j], job.penalty_scale, deviation)
    };
    let (terms, has_intercept) = (columns.map(term).collect(), coordinates.has_intercept());
    match penalised_classes(shape) {
        Some(classes) => Penalty::elastic_net_of_classes(terms, has_intercept, classes),
        None => Penalty::elastic_net(terms, has_intercept),
    }
}

/// The places of the active columns that neither a penalty nor bounds hold.
fn free_columns(coordinates: &Coordinates, Given { penalties, .. }: Given<'_>) -> Vec<usize> {
    let is_free =
        |&j: &usize| penalties.factors[j] == 0.0 && penalties.bounds[j].iter().all(|bound| bound.is_infinite());
    let active = coordinates.active().iter().enumerate();
    active.filter(|(_, j)| is_free(j)).map(|(place, _)| place).collect()
}

/// What nothing holds may have no estimate, as without a penalty: columns among them that others of them explain are left out, and
/// what separates is told.
fn look_at_free(
    begin: &mut Begin,
    free: &[usize],
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
) -> Result<Option<SeparationInfo>> {
    let count = begin.coordinates.active().len();
    let of_free = |coordinates: &Coordinates, free: &[usize]| {
        let held: Vec<usize> = (0..coordinates.active().len()).filter(|place| !free.contains(place)).collect();
        coordinates.without(&held)
    };
    let alone = of_free(&begin.coordinates, free);
    let parameters = free.iter().copied().chain(begin.coordinates.has_intercept().then_some(count));
    let gram = begin.evaluation.hessian.as_ref().map(|hessian| hessian.restricted(&parameters.collect::<Vec<_>>()));
    let mut free = free.to_vec();
    if let Some(gram) = gram {
        let mut own = evidence.only(&alone);
        let dropped = find_aliased(&alone, &gram, &mut own, &mut begin.aliased)?;
        evidence.count(&own);
        if !dropped.is_empty() {
            let dropped: Vec<usize> = dropped.iter().map(|&place| free[place]).collect();
            let kept = kept_parameters(begin.coordinates.dimension(), begin.point.len(), &dropped);
            begin.coordinates = begin.coordinates.without(&dropped);
            begin.point = kept.iter().map(|&index| begin.point[index]).collect();
            begin.evaluation = restricted(&begin.evaluation, &kept);
            free = free_columns(&begin.coordinates, given);
        }
    }
    let alone = of_free(&begin.coordinates, &free);
    let mut own = evidence.only(&alone);
    let point = starting_point(&alone, given.encoded);
    let answer = own.ask(&point, Doubt::Unproved)?;
    evidence.count(&own);
    Ok(own.separation().filter(|_| answer == Answer::Separated))
}
