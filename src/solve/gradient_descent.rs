//! Gradient descent: the textbook method that the others are measured against.

use crate::error::Result;
use crate::objective::{Need, Objective, round_step};
use crate::solve::descent::{Descent, Method, Progress, descend};
use crate::solve::line_search::{ACCEPTABLE, Enough, first_or_search};
use crate::solve::{Company, Outcome, Settings, Start, dot};

/// Minimises `objective` by steepest descent, with the last step where its slope is small enough and a line search on
/// `phi'` where it is not.
///
/// # Requirements
/// A smooth convex objective that stands at `start`. It is slow where the columns are correlated: the number of
/// iterations grows with the condition number of the Hessian.
///
/// # Cost
/// One or two passes over the data an iteration, and one fresh evaluation before convergence is claimed.
///
/// # Reference
/// Boyd and Vandenberghe, *Convex Optimization*, algorithm 9.3.
pub fn gradient_descent(
    objective: &mut dyn Objective,
    start: Start,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Outcome> {
    // A standardised column has a curvature of 1/4 at most, so 4 is its full step.
    descend(objective, settings, company, Run { at: Descent::new(start, settings, false), step: 4.0 })
}

struct Run {
    at: Descent,
    step: f64,
}

impl Method for Run {
    fn descent(&mut self) -> &mut Descent {
        &mut self.at
    }

    fn refresh(&mut self, _: &Settings) {}

    fn iterate(&mut self, objective: &mut dyn Objective, _: &Settings) -> Result<Progress> {
        let gradient = self.at.here.gradient.clone();
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut line = objective.line(&mut direction, round_step(self.step))?;
        let slope = dot(&gradient, &direction);
        let Some(taken) = first_or_search(&mut *line, slope, Enough::either(ACCEPTABLE))? else {
            return Ok(Progress::LineSearchFailed);
        };
        let probe = taken.probe;
        let here = line.accept(probe.step, Need::Gradient)?;
        self.at.take(here, &direction, probe.step);
        self.step = probe.step;
        Ok(Progress::Moved(taken))
    }
}
