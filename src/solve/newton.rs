//! Newton's method: the reference for a moderate number of features.

use crate::error::Result;
use crate::objective::{Need, Objective};
use crate::solve::descent::{Descent, Method, Progress, descend};
use crate::solve::line_search::{ACCEPTABLE, Enough, first_or_search};
use crate::solve::preconditioner::{Choice, Preconditioner};
use crate::solve::{Company, Outcome, Settings, Start, dot};

/// Minimises `objective` by Newton's method, with the full step where its slope is small enough and a line search on
/// `phi'` where it is not.
///
/// # Requirements
/// A smooth convex objective that stands at `start`, and room for its Hessian.
///
/// # Cost
/// A pass over the data and a Hessian pass an iteration, and one fresh evaluation before convergence is claimed.
///
/// # Reference
/// Boyd and Vandenberghe, *Convex Optimization*, algorithm 9.5. For the logistic model it is iteratively reweighted
/// least squares (Bishop, section 4.3.3).
pub fn newton(
    objective: &mut dyn Objective,
    start: Start,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Outcome> {
    let mut run = Run { at: Descent::new(start, settings, true), metric: Preconditioner::None };
    run.refresh(settings);
    descend(objective, settings, company, run)
}

struct Run {
    at: Descent,
    metric: Preconditioner,
}

impl Method for Run {
    fn descent(&mut self) -> &mut Descent {
        &mut self.at
    }

    fn refresh(&mut self, _: &Settings) {
        if let Some(metric) = self.at.preconditioner(Choice::Hessian) {
            self.metric = metric;
        }
    }

    fn iterate(&mut self, objective: &mut dyn Objective, settings: &Settings) -> Result<Progress> {
        let gradient = self.at.here.gradient.clone();
        let mut direction: Vec<f64> = self.metric.apply(&gradient).iter().map(|step| -step).collect();
        let mut line = objective.line(&mut direction, 1.0)?;
        let slope = dot(&gradient, &direction);
        let Some(taken) = first_or_search(&mut *line, slope, Enough::either(ACCEPTABLE))? else {
            return Ok(Progress::LineSearchFailed);
        };
        let probe = taken.probe;
        let here = line.accept(probe.step, Need::Hessian)?;
        self.at.take(here, &direction, probe.step);
        self.refresh(settings);
        Ok(Progress::Moved(taken))
    }
}
