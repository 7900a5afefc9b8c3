//! The fit with an elastic net, with factors of the penalty and bounds for single columns.

use crate::engine::Engine;
use crate::error::Result;
use crate::model::SeparationInfo;
use crate::monitor::Monitor;
use crate::objective::{Need, Objective};
use crate::penalty::{Penalty, Term};
use crate::problem::Problem;
use crate::solve::elastic_net::{ElasticNet, elastic_net};
use crate::solve::{Answer, Certain, Company, Doubt, Existence, History, Outcome, Start, Status};
use crate::standardize::Coordinates;
use crate::train::existence::Evidence;
use crate::train::fit::{
    Begin, Fit, Gap, Given, begin, check_not_empty, find_aliased, kept_parameters, restricted, settings, starting_point,
};
use crate::train::strategy::HessianPlan;

/// Fits the model with an elastic net: `subsample` is a model of the loss.
pub(super) fn fit_elastic_net(
    engine: &mut dyn Engine,
    subsample: Option<&mut dyn Engine>,
    coordinates: Coordinates,
    given: Given<'_>,
    evidence: &mut Evidence<'_>,
    monitor: &dyn Monitor,
    history: &mut History<'_>,
) -> Result<Fit> {
    let Given { job, shape, .. } = given;
    check_not_empty(&coordinates)?;
    let mut begin = begin(engine, coordinates, given, evidence)?;
    let free = free_columns(&begin.coordinates, given);
    let separation = if free.is_empty() { None } else { look_at_free(&mut begin, &free, given, evidence)? };
    let coordinates = begin.coordinates;
    let penalty = elastic_net_of(&coordinates, given);
    let weight = engine.weight();
    let has_sample = job.hessian_plan(shape) == HessianPlan::WorkingSet;
    let kept = if has_sample { job.kept_rows(shape).len() } else { shape.rows };
    let settings = settings(weight, kept, &coordinates, &penalty, given);
    let null = begin.evaluation.value;
    // Where there is no minimum the start is as good as any other point.
    let gap = if separation.is_some() { f64::INFINITY } else { job.gap_tolerance * null };
    let net = ElasticNet { terms: penalty.terms(), gap };
    let mut problem = Problem::of_loss(engine, coordinates.clone());
    let need = if begin.evaluation.hessian.is_some() { Need::Hessian } else { Need::Gradient };
    let evaluation = problem.stand_at(&begin.point, begin.evaluation, need)?;
    let mut sample = subsample.map(|rows| Problem::of_loss(rows, coordinates.clone()));
    let sample = sample.as_mut().map(|sample| sample as &mut dyn Objective);
    let start = Start { point: begin.point, evaluation };
    let company = &mut Company { monitor, history, existence: &mut Certain };
    let (mut outcome, left) = elastic_net(&mut problem, sample, start, &net, &settings, company)?;
    if separation.is_some() {
        outcome = Outcome { status: Status::Separated, is_proved: false, delta: None, hessian: None, ..outcome };
    }
    // As of other penalties.
    if let Some(hessian) = &mut outcome.hessian {
        hessian.add_diagonal(penalty.strength());
    }
    outcome.passes.file = evidence.passes();
    Ok(Fit {
        gap: separation.is_none().then_some(Gap { left, null }),
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

/// The penalty of the active columns, each with its factor and its bounds.
fn elastic_net_of(coordinates: &Coordinates, Given { job, penalties, .. }: Given<'_>) -> Penalty {
    let columns = coordinates.active().iter().zip(coordinates.active_scales());
    let term = |(&j, deviation): (&usize, f64)| {
        Term::of_column([job.l1, job.l2], penalties.factors[j], penalties.bounds[j], job.penalty_scale, deviation)
    };
    Penalty::elastic_net(columns.map(term).collect(), coordinates.has_intercept())
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
    let point = starting_point(&alone, &given.encoded.totals.classes);
    let answer = own.ask(&point, Doubt::Unproved)?;
    evidence.count(&own);
    Ok(own.separation().filter(|_| answer == Answer::Separated))
}
