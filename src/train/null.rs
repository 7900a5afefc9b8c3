//! The model without features beside offsets, which has no closed form: what the deviance of a model is held against.

use crate::data::{Encoded, Plan, Table};
use crate::engine::exact::{evaluate_file, products_file};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::train::Job;

/// Steps at most: Newton's method takes five or six, and shorter steps bring it back if offsets lie far apart.
const MOST_STEPS: usize = 100;

/// A step that moves no digit of the loss, which is flat at the optimum: its square counts.
const SMALL_STEP: f64 = 1e-8;

/// The longest step of an intercept.
const LONGEST_STEP: f64 = 8.0;

/// The mean loss of the model whose margins are the offsets and an intercept each, or the offsets alone if `job` has none; as
/// R's `glm` has it. `None` without offsets, or where nothing is inferred. In double precision over the columns of the
/// label, the weights and the offsets.
pub(super) fn null_loss(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    job: &Job,
    monitor: &dyn Monitor,
) -> Result<Option<f64>> {
    if encoded.offsets.is_empty() || job.inference.is_none() {
        return Ok(None);
    }
    // Factors of classes are no part of the sample.
    let plan = plan.without_features().with_equal_classes();
    let at = |intercepts: &[f64]| evaluate_file(table, &plan, &encoded.label, &[], intercepts, monitor);
    let mut intercepts = vec![0.0; encoded.offsets.len()];
    let mut here = at(&intercepts)?;
    if !job.intercept {
        return Ok(Some(here.loss));
    }
    for _ in 0..MOST_STEPS {
        let hessian = products_file(table, &plan, &encoded.label, &[], &intercepts, None, monitor)?.hessian;
        let step = match hessian.factor() {
            Some(factor) => factor.solve(&here.gradient),
            // Where all rows are certain there is no curvature, but a direction.
            None => here.gradient.iter().map(|g| g.signum() * LONGEST_STEP).collect(),
        };
        let longest = step.iter().fold(0.0_f64, |longest, step| longest.max(step.abs()));
        let mut share = (LONGEST_STEP / longest).min(1.0);
        // The loss is convex: a step that does not lower it was too long.
        loop {
            let next: Vec<f64> = intercepts.iter().zip(&step).map(|(b, step)| b - share * step).collect();
            let there = at(&next)?;
            if there.loss < here.loss {
                (intercepts, here) = (next, there);
                break;
            }
            if share * longest <= SMALL_STEP || share < 1e-12 {
                return Ok(Some(here.loss));
            }
            share *= 0.5;
        }
        if share * longest <= SMALL_STEP {
            break;
        }
    }
    Ok(Some(here.loss))
}
