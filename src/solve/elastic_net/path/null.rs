//! Where a path begins: the model of what is not penalised, and the strengths from there on.

use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective};
use crate::penalty::Term;
use crate::solve::elastic_net::path::{PathProblem, Strengths};
use crate::solve::elastic_net::{ElasticNet, go_by_itself};
use crate::solve::{Settings, Start};

/// What the model of what is not penalised may leave to gain, in f64 and in f32: the root of it is how well its slopes tell the largest
/// strength.
const NULL_GAPS: [f64; 2] = [1e-14, 1e-11];

/// The least strength as a share of the largest, of more rows than parameters and of fewer.
const RATIOS: [f64; 2] = [1e-4, 1e-2];

/// The least share of L1 by which the largest strength is reckoned, as glmnet does.
const LEAST_ALPHA: f64 = 1e-3;

/// The model of what is not penalised.
pub(super) struct Null {
    pub(super) point: Vec<f64>,
    pub(super) evaluation: Evaluation,
    pub(super) gap: f64,
}

/// Fits what is not penalised, with the Hessian there if there was one at the start.
pub(super) fn null_model(
    objective: &mut dyn Objective,
    sample: Option<&mut dyn Objective>,
    start: Start,
    problem: &PathProblem<'_>,
    settings: &Settings,
    monitor: &dyn Monitor,
) -> Result<Null> {
    let takes_hessian = start.evaluation.hessian.is_some();
    let hessian = start.evaluation.hessian.clone();
    let net = ElasticNet {
        terms: (problem.terms)([1.0, 1.0]).into_iter().map(held).collect(),
        gap: problem.gap_tolerance.min(NULL_GAPS[usize::from(settings.is_f32())]) * start.evaluation.value,
    };
    let sample = sample.map(|sample| sample as &mut dyn Objective);
    let (here, _, iterations) = go_by_itself(&mut *objective, sample, start, &net, settings, monitor)?;
    // Nearer than that is as near as rounding allows.
    let left = here.gap / here.evaluation.value;
    if left.is_nan() || left > problem.gap_tolerance {
        return Err(Error::data(
            format!("the path has no beginning: without penalised columns {left:.1e} of the loss is left to gain"),
            "Raise ⟦gap-tolerance⟧ or ⟦max-iterations⟧, or give all columns a ⟦penalty-factor⟧ above 0.",
        ));
    }
    let mut evaluation = here.evaluation;
    evaluation.hessian = match hessian {
        _ if !takes_hessian => None,
        hessian if iterations == 0 => hessian,
        _ => objective.move_to(&here.point, Need::Hessian)?.hessian,
    };
    Ok(Null { point: here.point, evaluation, gap: here.gap })
}

/// The term of a parameter that stays at 0 if it is penalised.
pub(super) fn held(term: Term) -> Term {
    if term.l1 > 0.0 || term.l2 > 0.0 { Term { l1: f64::INFINITY, l2: 0.0, ..term } } else { term }
}

/// The strengths of a path from the model of what is not penalised, descending.
pub(super) fn strengths_of(problem: &PathProblem<'_>, null: &Null, settings: &Settings) -> Result<Vec<f64>> {
    Ok(match problem.strengths {
        Strengths::Given(strengths) => strengths.clone(),
        &Strengths::Grid { count, ratio } => {
            let largest = largest_strength(problem, &null.evaluation.gradient);
            if largest <= 0.0 {
                return Err(Error::data(
                    "no strength selects a column: beside what is not penalised none has a slope, or bounds forbid the way down",
                    "Look at the features, their ⟦bounds⟧ and their ⟦penalty-factor⟧.",
                ));
            }
            let is_tall = settings.count > null.point.len() as f64;
            let ratio = ratio.unwrap_or(if is_tall { RATIOS[0] } else { RATIOS[1] });
            let step = if count > 1 { ratio.ln() / (count - 1) as f64 } else { 0.0 };
            (0..count).map(|place| largest * (step * place as f64).exp()).collect()
        }
    })
}

/// The least strength at which no penalised parameter leaves 0, by the gradient without them.
pub(super) fn largest_strength(problem: &PathProblem<'_>, gradient: &[f64]) -> f64 {
    let of = |(&slope, term): (&f64, &Term)| {
        if may_leave(slope, term) && term.l1 > 0.0 && term.l1.is_finite() { slope.abs() / term.l1 } else { 0.0 }
    };
    let steepest = gradient.iter().zip(&(problem.terms)([1.0, 0.0])).map(of).fold(0.0, f64::max);
    steepest / problem.alpha.max(LEAST_ALPHA)
}

/// Whether bounds allow the way down from 0.
pub(super) fn may_leave(slope: f64, term: &Term) -> bool {
    if slope < 0.0 { term.high > 0.0 } else { term.low < 0.0 }
}
