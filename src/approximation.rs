//! An approximate Hessian, where that of all the data costs more than it saves: of a subsample of the rows, for many
//! features, or a bound on it, for a softmax of many classes.
//!
//! Either is calibrated by the exact diagonal, which takes one pass: a column that no kept row has does not make it
//! singular, and distances are not measured by a curvature that the rows do not have.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe};

/// What stands for the Hessian.
pub enum Approximation<'o> {
    /// That of the same objective over a subsample of the rows: f64 on the host.
    Subsample(&'o mut dyn Objective),
    /// That of the same objective over all rows, as its sums in f64 on the host: nothing to calibrate.
    Rows(&'o mut dyn Objective),
    /// An upper bound, the same everywhere.
    Bound(&'o Symmetric),
}

impl Approximation<'_> {
    /// Adds the Hessian at `point` to an evaluation that has the diagonal of the exact one.
    fn complete(&mut self, mut evaluation: Evaluation, point: &[f64]) -> Result<Evaluation> {
        if let Self::Rows(rows) = self {
            evaluation.hessian = rows.move_to(point, Need::Hessian)?.hessian;
            return Ok(evaluation);
        }
        let hessian = match self {
            Self::Subsample(rows) | Self::Rows(rows) => rows.move_to(point, Need::Hessian)?.hessian,
            Self::Bound(bound) => Some((*bound).clone()),
        };
        if let (Some(diagonal), Some(mut hessian)) = (&evaluation.diagonal, hessian) {
            hessian.calibrate(&diagonal.own);
            evaluation.hessian = Some(hessian);
        }
        Ok(evaluation)
    }
}

/// An objective whose Hessian is an approximation, calibrated by the diagonal of the exact one.
pub struct Approximated<'o> {
    exact: &'o mut dyn Objective,
    approximation: Approximation<'o>,
    point: Vec<f64>,
}

impl<'o> Approximated<'o> {
    /// Wraps `exact`.
    pub fn new(exact: &'o mut dyn Objective, approximation: Approximation<'o>) -> Self {
        Self { exact, approximation, point: Vec::new() }
    }

    /// As [`Approximated::new`], where `exact` stands at `point` already, evaluated with its diagonal; gives the
    /// evaluation with the Hessian.
    pub fn standing(
        exact: &'o mut dyn Objective,
        mut approximation: Approximation<'o>,
        point: &[f64],
        evaluation: Evaluation,
    ) -> Result<(Self, Evaluation)> {
        let evaluation = approximation.complete(evaluation, point)?;
        Ok((Self { exact, approximation, point: point.to_vec() }, evaluation))
    }

    /// As [`Approximated::standing`], where nobody needs the Hessian yet.
    pub fn standing_without(exact: &'o mut dyn Objective, approximation: Approximation<'o>, point: &[f64]) -> Self {
        Self { exact, approximation, point: point.to_vec() }
    }
}

/// What the exact objective must give so that the approximation can give the rest.
fn of_exact(need: Need) -> Need {
    if need == Need::Hessian { Need::Diagonal } else { need }
}

impl Objective for Approximated<'_> {
    fn dimension(&self) -> usize {
        self.exact.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        let evaluation = self.exact.move_to(point, of_exact(need))?;
        self.point = point.to_vec();
        if need == Need::Hessian { self.approximation.complete(evaluation, point) } else { Ok(evaluation) }
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let Self { exact, approximation, point } = self;
        let line = exact.line(direction, first_step)?;
        Ok(Box::new(ApproximatedLine { line, approximation, point, direction: direction.to_vec() }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        self.exact.scatter()
    }

    fn passes(&self) -> Passes {
        self.exact.passes()
    }
}

struct ApproximatedLine<'a, 'o> {
    line: Box<dyn Line + 'a>,
    approximation: &'a mut Approximation<'o>,
    point: &'a mut Vec<f64>,
    direction: Vec<f64>,
}

impl Line for ApproximatedLine<'_, '_> {
    fn first(&self) -> Probe {
        self.line.first()
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        self.line.probe(steps)
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        for (q, p) in self.point.iter_mut().zip(&self.direction) {
            *q += step * p;
        }
        let evaluation = self.line.accept(step, of_exact(need))?;
        if need == Need::Hessian { self.approximation.complete(evaluation, self.point) } else { Ok(evaluation) }
    }
}
