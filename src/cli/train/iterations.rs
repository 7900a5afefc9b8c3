//! The iterations of a training, as the history has them.

use std::time::Instant;

use gpu_logreg::solve::Iteration;

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
