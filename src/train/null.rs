//! The model without features beside offsets, which has no closed form: what the deviance of a model is held against.

use crate::backend::exact::{evaluate_file, products_file};
use crate::data::{Loaded, Plan, Table};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::train::Job;

/// Steps at most: Newton's method takes five or six, and bisection brings it back if offsets lie far apart.
const MOST_STEPS: usize = 100;

/// A step that moves no digit of the loss, which is flat at the optimum: its square counts.
const SMALL_STEP: f64 = 1e-8;

/// The longest step from where nothing is known of the other side.
const LONGEST_STEP: f64 = 8.0;

/// The mean loss of the model whose margins are the offsets and an intercept, or the offsets alone if `job` has none; as R's
/// `glm` has it. `None` without offsets, or where nothing is inferred. In double precision over the columns of the label,
/// the weights and the offsets.
pub(super) fn null_loss(
    table: &Table,
    plan: &Plan,
    loaded: &Loaded,
    job: &Job,
    monitor: &dyn Monitor,
) -> Result<Option<f64>> {
    if loaded.offset.is_none() || job.inference.is_none() {
        return Ok(None);
    }
    // Factors of classes are no part of the sample.
    let plan = plan.without_features().with_equal_classes();
    let at = |intercept: f64| evaluate_file(table, &plan, &loaded.label, &[], &[intercept], monitor);
    if !job.intercept {
        return Ok(Some(at(0.0)?.loss));
    }
    // The root of the gradient, which rises with the intercept.
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut intercept = 0.0;
    for _ in 0..MOST_STEPS {
        let gradient = at(intercept)?.gradient[0];
        let curvature = products_file(table, &plan, &loaded.label, &[], &[intercept], None, monitor)?.hessian.get(0, 0);
        if gradient > 0.0 {
            high = intercept;
        } else {
            low = intercept;
        }
        let step = (-gradient / curvature).clamp(-LONGEST_STEP, LONGEST_STEP);
        let next = intercept + if step.is_nan() { -gradient.signum() * LONGEST_STEP } else { step };
        let moved = (next - intercept).abs();
        intercept = if next > low && next < high || moved <= SMALL_STEP { next } else { 0.5 * (low + high) };
        if moved <= SMALL_STEP {
            break;
        }
    }
    Ok(Some(at(intercept)?.loss))
}
