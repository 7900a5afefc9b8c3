//! Lines of an engine whose answers are kept.

use crate::engine::journal::encoding::Question;
use crate::engine::journal::{Journal, Journaled};
use crate::error::Result;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe};

fn of_probe(steps: &[f64]) -> Question {
    Question::new("probe").of_numbers(steps)
}

fn of_accept(step: f64, need: Need) -> Question {
    Question::new("accept").of(&[need as u64]).of_numbers(&[step])
}

/// Goes along a direction.
fn go(point: &mut [f64], direction: &[f64], step: f64) {
    point.iter_mut().zip(direction).for_each(|(q, p)| *q += step * p);
}

/// A line of the engine, whose answers are kept once it ends: a run that goes on in the middle of a line would look along it
/// again.
pub(super) struct FollowedLine<'l> {
    pub(super) line: Box<dyn Line + 'l>,
    /// The direction as the engine took it, and the point where it begins.
    pub(super) taken: Vec<f64>,
    pub(super) standing: &'l mut Vec<f64>,
    pub(super) journal: &'l mut Journal,
    /// What the run has cost, as far as the line tells.
    pub(super) passes: Passes,
}

impl Line for FollowedLine<'_> {
    fn first(&self) -> Probe {
        self.line.first()
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        let answer = self.line.probe(steps)?;
        self.passes.line += steps.len() as u64;
        self.journal.keep(of_probe(steps), &answer, self.passes, true);
        Ok(answer)
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        let Self { line, taken, standing, journal, mut passes } = *self;
        // The first step was evaluated with the line.
        let is_first = step.to_bits() == line.first().step.to_bits() && need == Need::Gradient;
        let answer = line.accept(step, need)?;
        go(standing, &taken, step);
        passes.data += u64::from(!is_first);
        passes.hessian += u64::from(need == Need::Hessian);
        journal.keep(of_accept(step, need), &answer, passes, false);
        Ok(answer)
    }
}

/// A line that the journal knows, as far as it does.
pub(super) struct ReplayedLine<'l, 'j> {
    pub(super) run: &'l mut Journaled<'j>,
    /// The direction as it was given, and as the engine took it.
    pub(super) given: Vec<f64>,
    pub(super) taken: Vec<f64>,
    pub(super) first: Probe,
    pub(super) first_step: f64,
}

impl ReplayedLine<'_, '_> {
    /// The same line of the engine.
    fn again(&mut self) -> Result<Box<dyn Line + '_>> {
        self.run.catch_up()?;
        self.run.engine.line(&mut self.given.clone(), self.first_step)
    }
}

impl Line for ReplayedLine<'_, '_> {
    fn first(&self) -> Probe {
        self.first
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        if let Some(known) = self.run.journal.answer(of_probe(steps)) {
            return Ok(known);
        }
        let answer = self.again()?.probe(steps)?;
        let passes = self.run.passes();
        self.run.journal.keep(of_probe(steps), &answer, passes, true);
        Ok(answer)
    }

    fn accept(mut self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        if let Some(known) = self.run.journal.answer(of_accept(step, need)) {
            let Self { run, taken, .. } = *self;
            go(&mut run.standing, &taken, step);
            run.is_behind = true;
            return Ok(known);
        }
        let answer = self.again()?.accept(step, need)?;
        go(&mut self.run.standing, &self.taken, step);
        self.run.keep(of_accept(step, need), &answer);
        Ok(answer)
    }
}
