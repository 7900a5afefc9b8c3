//! The frame of every descent method: iterate, look whether the end is near, confirm it afresh.

use crate::error::Result;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective};
use crate::solve::line_search::Taken;
use crate::solve::preconditioner::{Choice, Preconditioner};
use crate::solve::stopping::{StoppingRule, near};
use crate::solve::{Answer, Company, Doubt, Iteration, Outcome, Search, Settings, Start, Status, largest};

/// Iterations without the distance halving after which a point within the tolerance is looked at afresh.
const IDLE: u32 = 10;

/// The same for a point that is near, where an approximate Hessian preconditions.
const LONG_IDLE: u32 = 30;

/// Both where an iteration is about a Newton step: near the end it halves the distance many times.
const SHORT_IDLE: [u32; 2] = [1, 3];

/// Where a method stands.
pub(super) struct Descent {
    /// The parameters.
    pub(super) point: Vec<f64>,
    /// The evaluation there.
    pub(super) here: Evaluation,
    /// `here` was evaluated afresh, not from margins that were carried along.
    fresh: bool,
    stopping: StoppingRule,
    is_newton: bool,
    iterations: u64,
    /// The smallest distance that was carried along, by halves, and the iterations since.
    best: f64,
    idle: u32,
}

/// What an iteration came to.
pub(super) enum Progress {
    /// A step was taken.
    Moved(Taken),
    /// No step along the direction brought the slope down.
    LineSearchFailed,
}

/// One method of descent.
pub(super) trait Method {
    /// Where the method stands.
    fn descent(&mut self) -> &mut Descent;

    /// Forgets what was learned on the way: `here` is fresh, and may have a Hessian.
    fn refresh(&mut self, settings: &Settings);

    /// Takes one step.
    fn iterate(&mut self, objective: &mut dyn Objective, settings: &Settings) -> Result<Progress>;
}

impl Descent {
    /// At the start. `is_newton`: near the end an iteration is about a Newton step.
    pub(super) fn new(start: Start, settings: &Settings, is_newton: bool) -> Self {
        // In f64 an iteration that gains little is no sign of rounding.
        let is_newton = is_newton && !settings.approximate && settings.is_f32();
        let mut stopping = StoppingRule::new(settings, is_newton);
        stopping.take_border(&start.evaluation);
        if let Some(hessian) = &start.evaluation.hessian {
            stopping.take_metric(hessian, &start.point);
        }
        let (point, here) = (start.point, start.evaluation);
        Self { point, here, fresh: true, stopping, is_newton, iterations: 0, best: f64::INFINITY, idle: 0 }
    }

    /// Moves to a step along a direction, where the objective was evaluated as `here`.
    pub(super) fn take(&mut self, here: Evaluation, direction: &[f64], step: f64) {
        for (q, p) in self.point.iter_mut().zip(direction) {
            *q += step * p;
        }
        self.stopping.take_border(&here);
        if let Some(hessian) = &here.hessian {
            self.stopping.take_metric(hessian, &self.point);
        }
        self.here = here;
        self.fresh = false;
    }

    /// Takes the Hessian here, at the cost of a fresh evaluation.
    pub(super) fn take_hessian(&mut self, objective: &mut dyn Objective) -> Result<()> {
        let here = objective.move_to(&self.point, Need::Hessian)?;
        self.take(here, &[], 0.0);
        self.fresh = true;
        Ok(())
    }

    /// The preconditioner of a choice, by the Hessian here; `None` without one.
    pub(super) fn preconditioner(&self, choice: Choice) -> Option<Preconditioner> {
        Some(Preconditioner::new(choice, self.here.hessian.as_ref()?, self.stopping.metric()))
    }

    /// Evaluates afresh; a status if the run is over.
    fn confirm(&mut self, objective: &mut dyn Objective) -> Result<Option<Status>> {
        let (here, status) = self.stopping.confirm(objective, &self.point, &self.here.gradient, !self.fresh)?;
        self.here = here;
        self.fresh = true;
        Ok(status)
    }

    /// The status of a run that ends here whatever its distance is.
    fn end(&self, monitor: &dyn Monitor) -> Result<Option<Status>> {
        if !self.here.is_finite() {
            return Ok(Some(Status::NonFinite));
        }
        let end = monitor.ends().map(Status::of_end);
        if end.is_none() {
            monitor.check()?;
        }
        Ok(end)
    }

    /// Whether the distance, as carried along, no longer comes down although the end is near: what is carried along has
    /// errors of its own, and the goal may lie below them. Only a fresh evaluation can tell.
    fn is_stuck(&mut self, delta: Option<f64>, settings: &Settings) -> bool {
        let Some(delta) = delta else { return false };
        let enough = if self.is_newton && delta <= settings.tolerance { 0.25 } else { 0.5 };
        if delta <= enough * self.best {
            (self.best, self.idle) = (delta, 0);
            return false;
        }
        self.idle += 1;
        let is_slow = settings.preconditioner != Choice::Hessian;
        let [within, near_by] = if self.is_newton { SHORT_IDLE } else { [IDLE, LONG_IDLE] };
        self.idle >= within && delta <= settings.tolerance
            || self.idle >= near_by && delta <= near(settings) && !is_slow
    }
}

/// Iterations before which no distance is a doubt: far from the optimum it says nothing.
const EARLY: u64 = 6;

/// What a run knows of the existence of a maximum.
struct Maximum {
    is_proved: bool,
    was_asked: bool,
}

impl Maximum {
    /// Whether the data may still be asked: their answer is about them and not about the run, so once is enough.
    fn is_open(&self) -> bool {
        !self.is_proved && !self.was_asked
    }

    fn ask(&mut self, company: &mut Company<'_, '_>, point: &[f64], doubt: Doubt) -> Result<Answer> {
        self.was_asked = true;
        let answer = company.existence.ask(point, doubt)?;
        self.is_proved |= answer == Answer::Exists;
        Ok(answer)
    }

    /// The status of a run that ended with this one: without a maximum no run has come to it.
    fn settle(
        &mut self,
        company: &mut Company<'_, '_>,
        at: &mut Descent,
        status: Status,
        settings: &Settings,
    ) -> Result<Status> {
        // Whoever wants the run to end does not want a pass to settle what is open.
        if matches!(status, Status::Separated | Status::TimeLimit | Status::Interrupted) || self.is_proved {
            return Ok(status);
        }
        let proves = at.stopping.proves(&at.here.gradient, &at.point);
        let status = at.stopping.resolved(status, &at.here.gradient, &at.point);
        if proves && !settings.approximate {
            self.is_proved = true;
            return Ok(status);
        }
        let unproved = if status.is_success() { Status::Stalled } else { status };
        if self.was_asked {
            return Ok(unproved);
        }
        let doubt = if proves { Doubt::Approximate } else { Doubt::Unproved };
        Ok(match self.ask(company, &at.point, doubt)? {
            Answer::Exists | Answer::NotSeen => status,
            Answer::Separated => Status::Separated,
            Answer::Unclear => unproved,
        })
    }
}

/// Runs `method` to its end.
pub(super) fn descend(
    objective: &mut dyn Objective,
    settings: &Settings,
    company: &mut Company<'_, '_>,
    mut method: impl Method,
) -> Result<Outcome> {
    company.monitor.begin("training", None);
    let mut maximum = Maximum { is_proved: !settings.may_separate, was_asked: false };
    let mut step = 0.0;
    // The last line, and the value where it began.
    let mut line: Option<(f64, Taken)> = None;
    let status = loop {
        let at = method.descent();
        let delta = at.stopping.delta(&at.here.gradient, &at.point);
        let gradient_norm = largest(&at.here.gradient);
        let passes = objective.passes();
        let distance = delta.map_or_else(
            || format!("gradient {gradient_norm:.1e}"),
            |delta| format!("{delta:.1e} standard errors to go"),
        );
        company.monitor.say(&format!("iteration {}, {distance}, {} passes", at.iterations, passes.data));
        (company.history)(&Iteration {
            number: at.iterations,
            value: at.here.value,
            delta,
            gradient_norm,
            step,
            search: line.as_ref().map(|(value, taken)| Search {
                value: *value,
                slope: taken.slope,
                tried: &taken.tried,
            }),
            passes,
            point: &at.point,
        });
        if let Some(end) = at.end(company.monitor)? {
            break end;
        }
        // With as many parameters as rows the classes are nearly always told apart, whatever they are.
        let is_crowded = at.iterations == 0 && settings.count <= (at.point.len() / settings.margins.max(1)) as f64;
        if maximum.is_open()
            && (is_crowded || at.iterations > EARLY && at.stopping.doubts(&at.here.gradient, &at.point))
            && maximum.ask(company, &at.point, Doubt::Unproved)? == Answer::Separated
        {
            break Status::Separated;
        }
        let is_stuck = at.is_stuck(delta, settings);
        // A start at the optimum is confirmed like any other end; after that, only what was carried along is.
        if (!at.fresh || at.iterations == 0) && (is_stuck || at.stopping.is_small(&at.here.gradient, &at.point)) {
            at.idle = 0;
            if let Some(status) = at.confirm(objective)? {
                break status;
            }
            method.refresh(settings);
        }
        let at = method.descent();
        if at.iterations >= settings.max_iterations {
            break Status::MaxIterations;
        }
        at.iterations += 1;
        let value = at.here.value;
        match method.iterate(objective, settings)? {
            Progress::Moved(taken) => {
                step = taken.probe.step;
                line = Some((value, taken));
            }
            Progress::LineSearchFailed => {
                line = None;
                let at = method.descent();
                // Margins that were carried along may have drifted; afresh, a failure is a failure.
                if at.fresh {
                    break at.stopping.of_failure(&at.here.gradient, &at.point);
                }
                if let Some(status) = at.confirm(objective)? {
                    break status;
                }
                method.refresh(settings);
            }
        }
    };
    let at = method.descent();
    let status = maximum.settle(company, at, status, settings)?;
    company.monitor.end();
    Ok(Outcome {
        is_proved: maximum.is_proved,
        parameters: at.point.clone(),
        value: at.here.value,
        gradient: at.here.gradient.clone(),
        hessian: if at.fresh { at.here.hessian.take() } else { None },
        delta: at.stopping.delta(&at.here.gradient, &at.point),
        is_bounded: at.stopping.is_bounded(&at.here.gradient),
        delta_floor: at.stopping.unresolved(&at.point),
        status,
        iterations: at.iterations,
        passes: objective.passes(),
    })
}
