//! The L2 penalty as a decorator, once, on the host, for every backend.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe};

/// On which scale the weights are penalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PenaltyScale {
    /// `(l2 / 2) sum (w_j s_j)^2`, as glmnet, Spark and H2O do.
    #[default]
    Standardized,
    /// `(l2 / 2) sum w_j^2`; scikit-learn's `C` is `1 / (n l2)`.
    Original,
}

/// `(1/2) sum_j strength_j q_j^2`, added to a mean loss; the intercept has strength 0.
#[derive(Clone, Debug)]
pub struct Penalty {
    strength: Vec<f64>,
}

impl Penalty {
    /// The penalty in exactly standardised coordinates: `scales` are those of the active columns, and
    /// the intercept, if there is one, comes after them and is never penalised.
    pub fn new(l2: f64, scale: PenaltyScale, scales: &[f64], intercept: bool) -> Self {
        let mut strength: Vec<f64> = match scale {
            PenaltyScale::Standardized => vec![l2; scales.len()],
            // Dividing twice keeps scales of 1e-200 from overflowing where l2 / s is finite.
            PenaltyScale::Original => scales.iter().map(|s| l2 / s / s).collect(),
        };
        if intercept {
            strength.push(0.0);
        }
        Self { strength }
    }

    /// The value of the penalty at `point`.
    pub fn value(&self, point: &[f64]) -> f64 {
        0.5 * self.product(point, point)
    }

    /// `sum_j strength_j a_j b_j`.
    fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        self.strength.iter().zip(a.iter().zip(b)).map(|(l, (a, b))| if *l == 0.0 { 0.0 } else { l * a * b }).sum()
    }

    /// Adds the penalty at `point` to value, gradient and Hessian.
    #[must_use]
    pub fn add_to(&self, mut evaluation: Evaluation, point: &[f64]) -> Evaluation {
        evaluation.value += self.value(point);
        for ((g, l), q) in evaluation.gradient.iter_mut().zip(&self.strength).zip(point) {
            if *l != 0.0 {
                *g += l * q;
            }
        }
        if let Some(diagonal) = &mut evaluation.diagonal {
            for (own, l) in diagonal.own.iter_mut().zip(&self.strength) {
                *own += l;
            }
        }
        if let Some(hessian) = &mut evaluation.hessian {
            hessian.add_diagonal(&self.strength);
        }
        evaluation
    }
}

/// An objective with the penalty added to value, gradient and lines.
pub struct Penalized<'o> {
    loss: &'o mut dyn Objective,
    penalty: Penalty,
    point: Vec<f64>,
}

impl<'o> Penalized<'o> {
    /// Wraps `loss`.
    ///
    /// # Panics
    /// If the dimensions differ.
    pub fn new(loss: &'o mut dyn Objective, penalty: Penalty) -> Self {
        assert_eq!(loss.dimension(), penalty.strength.len(), "parameters of the loss and of the penalty");
        Self { loss, penalty, point: Vec::new() }
    }

    /// As [`Penalized::new`], where `loss` stands at `point` already, evaluated as `evaluation`; gives the evaluation
    /// with the penalty.
    pub fn standing(
        loss: &'o mut dyn Objective,
        penalty: Penalty,
        point: &[f64],
        evaluation: Evaluation,
    ) -> (Self, Evaluation) {
        let evaluation = penalty.add_to(evaluation, point);
        let mut penalized = Self::new(loss, penalty);
        penalized.point = point.to_vec();
        (penalized, evaluation)
    }
}

impl Objective for Penalized<'_> {
    fn dimension(&self) -> usize {
        self.loss.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        let evaluation = self.loss.move_to(point, need)?;
        self.point = point.to_vec();
        Ok(self.penalty.add_to(evaluation, point))
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(self.point.len(), direction.len(), "move_to comes before line");
        let line = self.loss.line(direction, first_step)?;
        let quadratic = Quadratic {
            value: self.penalty.value(&self.point),
            slope: self.penalty.product(&self.point, direction),
            curvature: self.penalty.product(direction, direction),
        };
        let direction = direction.to_vec();
        Ok(Box::new(PenalizedLine { line, quadratic, penalty: &self.penalty, point: &mut self.point, direction }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        self.loss.scatter()
    }

    fn passes(&self) -> Passes {
        self.loss.passes()
    }
}

/// The penalty along a line: `value + a slope + a^2 curvature / 2`.
#[derive(Clone, Copy)]
struct Quadratic {
    value: f64,
    slope: f64,
    curvature: f64,
}

impl Quadratic {
    fn add_to(self, probe: Probe) -> Probe {
        let a = probe.step;
        Probe {
            step: a,
            value: probe.value + self.value + a * (self.slope + 0.5 * a * self.curvature),
            slope: probe.slope + self.slope + a * self.curvature,
            curvature: probe.curvature + self.curvature,
        }
    }
}

struct PenalizedLine<'a> {
    line: Box<dyn Line + 'a>,
    quadratic: Quadratic,
    penalty: &'a Penalty,
    point: &'a mut Vec<f64>,
    direction: Vec<f64>,
}

impl Line for PenalizedLine<'_> {
    fn first(&self) -> Probe {
        self.quadratic.add_to(self.line.first())
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        Ok(self.line.probe(steps)?.into_iter().map(|probe| self.quadratic.add_to(probe)).collect())
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        let evaluation = self.line.accept(step, need)?;
        for (q, p) in self.point.iter_mut().zip(&self.direction) {
            *q += step * p;
        }
        Ok(self.penalty.add_to(evaluation, self.point))
    }
}
