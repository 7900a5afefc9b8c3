//! The iterations of a training, as the report and the history have them.

use std::time::Instant;

use gpu_logreg::objective::Probe;
use gpu_logreg::report::html::{Search, Step, Trial};
use gpu_logreg::solve::Iteration;

/// An iteration as the report has it.
pub(super) fn step(iteration: &Iteration<'_>) -> Step {
    let Iteration { value, delta, gradient_norm, passes, point, step: taken, search, .. } = *iteration;
    let search = search.map(|search| Search {
        value: search.value,
        slope: search.slope,
        taken,
        tried: search.tried.iter().map(|&Probe { step, value, slope, .. }| Trial { step, value, slope }).collect(),
    });
    // What nothing draws is not kept: runs may be long.
    let point = if point.len() == 2 { point.to_vec() } else { Vec::new() };
    Step { value, delta, gradient_norm, passes: passes.data, point, search }
}

/// An iteration as a line of the history.
pub(super) fn line(iteration: &Iteration<'_>, begin: Instant) -> String {
    let search = iteration.search.map(|search| {
        let tried = search.tried.iter().map(
            |probe| serde_json::json!({ "step": probe.step, "loss": probe.value, "slope": probe.slope, "curvature": probe.curvature }),
        );
        serde_json::json!({ "loss": search.value, "slope": search.slope, "tried": tried.collect::<Vec<_>>() })
    });
    let document = serde_json::json!({
        "iteration": iteration.number,
        "loss": iteration.value,
        "delta": iteration.delta,
        "gradient_norm": iteration.gradient_norm,
        "step": iteration.step,
        "search": search,
        "passes": iteration.passes,
        "seconds": begin.elapsed().as_secs_f64(),
    });
    format!("{document}\n")
}
