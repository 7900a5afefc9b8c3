//! A start that was guessed, brought to the right length before it is used.

use crate::error::Result;
use crate::objective::{Need, Objective};
use crate::solve::line_search::{Enough, first_or_search};
use crate::solve::{Start, dot};

/// Goes from `start`, where the objective stands, towards `target` as far as the objective falls.
///
/// The direction of a closed form such as the posterior of Gaussian classes is often good where its length is not: on
/// nearly separable rows it is far too short. The slope of the margins is therefore fitted over the cached margins.
///
/// # Cost
/// A pass along the direction, a few probes, and an evaluation with the Hessian.
pub fn refit(objective: &mut dyn Objective, start: Start, target: &[f64]) -> Result<Start> {
    let mut direction: Vec<f64> = target.iter().zip(&start.point).map(|(target, q)| target - q).collect();
    let mut line = objective.line(&mut direction, 1.0)?;
    let slope = dot(&start.evaluation.gradient, &direction);
    let taken = if slope < 0.0 { first_or_search(&mut *line, slope, Enough::either(1e-3))? } else { None };
    let Some(taken) = taken else {
        drop(line);
        // What the line evaluated is not where the start is.
        let evaluation = objective.move_to(&start.point, Need::Hessian)?;
        return Ok(Start { evaluation, ..start });
    };
    let evaluation = line.accept(taken.probe.step, Need::Hessian)?;
    let point = start.point.iter().zip(&direction).map(|(q, p)| q + taken.probe.step * p).collect();
    Ok(Start { point, evaluation })
}
