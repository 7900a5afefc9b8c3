//! The fit seen in double precision on the file itself.

use crate::data::{Encoded, Plan, Table};
use crate::engine::exact::evaluate_file;
use crate::error::{Error, Result};
use crate::model::Verified;
use crate::monitor::Monitor;
use crate::objective::Evaluation;
use crate::solve::elastic_net::Refined;
use crate::solve::{Status, elastic_net, largest, refine};
use crate::train::fit::Fit;
use crate::train::inference::{F32_ERROR, inflation, metric};
use crate::train::{ExactJob, Job};

/// Looks at the fit with passes in f64 over the file itself, and refines it if that is asked for.
pub(super) fn verify_on_file(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    job: &Job,
    fit: &mut Fit,
    is_gpu: bool,
    monitor: &dyn Monitor,
) -> Result<()> {
    if !fit.outcome.status.has_estimates() {
        return Ok(());
    }
    if job.has_elastic_net() {
        return verify_elastic_net(table, plan, encoded, job, fit, is_gpu, monitor);
    }
    let Some(hessian) = &metric(table, plan, encoded, fit, monitor)? else { return Ok(()) };
    let coordinates = fit.coordinates.exact();
    let scales = coordinates.columns();
    let penalty = &fit.penalty;
    let evaluate = |point: &[f64]| {
        let parameters = coordinates.to_device(point);
        let exact = evaluate_file(table, plan, &encoded.label, scales, &parameters, monitor)?;
        let gradient = coordinates.gradient(&exact.gradient);
        Ok(penalty.add_to(Evaluation { value: exact.loss, gradient, diagonal: None, hessian: None }, point))
    };
    let improve = job.exact == ExactJob::Refine && !fit.outcome.status.is_early();
    let rows = fit.settings.rows;
    let Some(mut refined) = refine(&fit.outcome.parameters, hessian, rows, false, evaluate)? else { return Ok(()) };
    if is_gpu && job.gradient_tolerance.is_none() {
        check_against(fit, refined.delta, inflation(hessian))?;
    }
    if improve {
        // The first evaluation is known.
        let mut first = Some(refined.evaluation.clone());
        let evaluate = |point: &[f64]| first.take().map_or_else(|| evaluate(point), Ok);
        refined = refine(&fit.outcome.parameters, hessian, rows, true, evaluate)?.unwrap_or(refined);
    }
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
    fit.outcome.delta_floor = 0.0;
    fit.outcome.gradient = refined.evaluation.gradient;
    fit.outcome.parameters = refined.parameters;
    Ok(())
}

/// The same with an L1 penalty: what is left to gain by the gradient that the file has.
fn verify_elastic_net(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    job: &Job,
    fit: &mut Fit,
    is_gpu: bool,
    monitor: &dyn Monitor,
) -> Result<()> {
    let Some(null) = fit.gap.as_ref().map(|gap| gap.null) else { return Ok(()) };
    let Some(mut hessian) = metric(table, plan, encoded, fit, monitor)? else { return Ok(()) };
    // Squares are among the terms.
    hessian.add_diagonal(&fit.penalty.strength().iter().map(|l2| -l2).collect::<Vec<_>>());
    let coordinates = fit.coordinates.exact();
    let evaluate = |point: &[f64]| {
        let parameters = coordinates.to_device(&fit.parametrisation().of_margins(point));
        let exact = evaluate_file(table, plan, &encoded.label, coordinates.columns(), &parameters, monitor)?;
        let gradient = coordinates.gradient(&exact.gradient);
        let evaluation = Evaluation { value: exact.loss, gradient, diagonal: None, hessian: None };
        Ok(fit.parametrisation().of_fit(evaluation))
    };
    let terms = fit.penalty.terms();
    let improve = job.exact == ExactJob::Refine && fit.outcome.status.is_success();
    let mut first = None;
    let refined = elastic_net::refine(&fit.outcome.parameters, &hessian, &terms, improve, |q| {
        let evaluation = evaluate(q)?;
        first.get_or_insert_with(|| evaluation.gradient.clone());
        Ok(evaluation)
    })?;
    let on_edge = refined.on_edge(&hessian, &terms, fit.coordinates.dimension());
    let Refined { point, evaluation, gap, evaluations: passes, .. } = refined;
    let distance = |gap: f64| (2.0 * gap * fit.settings.rows).sqrt();
    if let Some(gradient) = first.filter(|_| is_gpu) {
        let (seen, _) = elastic_net::gap(&fit.outcome.parameters, &gradient, &hessian, &terms);
        // Equal weights of all classes change nothing: those of one of them are enough to tell columns apart.
        let first = fit.parametrisation().every_class.map_or(0, |_| fit.coordinates.dimension());
        let of_margins: Vec<usize> = (first..hessian.size()).collect();
        check_against(fit, distance(seen), inflation(&hessian.restricted(&of_margins)))?;
    }
    let gradient = elastic_net::subgradient(&evaluation.gradient, &terms, &point);
    let delta = distance(gap);
    fit.loss = evaluation.value;
    fit.verified =
        Some(Verified { loss: fit.loss, gradient_norm: largest(&gradient), delta, passes, refined: improve });
    if fit.outcome.status.is_success() {
        let is_near = gap <= job.gap_tolerance * null;
        fit.outcome.status = if is_near { Status::Converged } else { Status::F32Limit };
    }
    if let Some(of_fit) = &mut fit.gap {
        (of_fit.left, of_fit.on_edge) = (gap, on_edge);
    }
    fit.outcome.delta = Some(delta);
    fit.outcome.gradient = gradient;
    fit.outcome.parameters = point;
    Ok(())
}

/// Standard errors by which the file may see the end of a run from farther away than the device does.
const APART: f64 = 0.05;

/// An error if a GPU says that it is at the optimum, and the file itself is far from saying so: `delta` is its distance.
/// What sums in f32 leave open between nearly collinear columns, by their variance inflation factor, is no fault of the GPU.
fn check_against(fit: &Fit, delta: f64, inflation: f64) -> Result<()> {
    let claims = matches!(fit.outcome.status, Status::Converged | Status::F32Limit);
    let Some(said) = fit.outcome.delta.filter(|_| claims) else { return Ok(()) };
    if delta <= APART + 10.0 * (said + fit.settings.bias) + F32_ERROR * inflation {
        return Ok(());
    }
    Err(Error::device(
        format!(
            "the GPU's sums do not agree with double precision: the optimum is {delta:.1e} standard errors away where the device \
             said {said:.1e}"
        ),
        "Use ⟦device cpu⟧: the same answer. Or update the driver.",
    ))
}
