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
///
/// Of a softmax with K >= 3 classes the same of all K centred weights: `w_k - mean w` with `w_0 = 0` for the reference
/// are the weights that a penalty on all K chooses, and `sum_k (w_k - mean w)^2 = sum_k w_k^2 - (sum_k w_k)^2 / K`. With
/// two classes it is that of the binary model, on their difference.
#[derive(Clone, Debug)]
pub struct Penalty {
    /// Of the parameters of a margin.
    strength: Vec<f64>,
    /// K, of a softmax with 3 classes or more.
    centred: Option<f64>,
}

impl Penalty {
    /// The penalty in exactly standardised coordinates: `scales` are those of the active columns, and
    /// the intercept, if there is one, comes after them and is never penalised. `classes` are those of a softmax.
    pub fn new(l2: f64, scale: PenaltyScale, scales: &[f64], intercept: bool, classes: Option<usize>) -> Self {
        let mut strength: Vec<f64> = match scale {
            PenaltyScale::Standardized => vec![l2; scales.len()],
            // Dividing twice keeps scales of 1e-200 from overflowing where l2 / s is finite.
            PenaltyScale::Original => scales.iter().map(|s| l2 / s / s).collect(),
        };
        if intercept {
            strength.push(0.0);
        }
        Self { strength, centred: classes.filter(|&classes| classes > 2).map(|classes| classes as f64) }
    }

    /// Strengths of the parameters of a margin.
    pub fn strength(&self) -> &[f64] {
        &self.strength
    }

    /// The value of the penalty at `point`.
    pub fn value(&self, point: &[f64]) -> f64 {
        0.5 * self.product(point, point)
    }

    /// `a'Pb` with the matrix P of the penalty.
    fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        let gradient = self.gradient(b);
        gradient.iter().zip(a).map(|(g, a)| if *g == 0.0 { 0.0 } else { g * a }).sum()
    }

    /// `P q`; exactly 0 where the strength is, whatever q.
    fn gradient(&self, point: &[f64]) -> Vec<f64> {
        let size = self.strength.len();
        let own = point.iter().zip(self.strength.iter().cycle()).map(|(q, l)| if *l == 0.0 { 0.0 } else { l * q });
        let mut gradient: Vec<f64> = own.collect();
        if let Some(classes) = self.centred {
            for j in 0..size {
                let mean = gradient.iter().skip(j).step_by(size).sum::<f64>() / classes;
                gradient.iter_mut().skip(j).step_by(size).for_each(|g| *g -= mean);
            }
        }
        gradient
    }

    /// Adds the penalty at `point` to value, gradient and Hessian.
    #[must_use]
    pub fn add_to(&self, mut evaluation: Evaluation, point: &[f64]) -> Evaluation {
        evaluation.value += self.value(point);
        for (g, penalty) in evaluation.gradient.iter_mut().zip(self.gradient(point)) {
            if penalty != 0.0 {
                *g += penalty;
            }
        }
        let size = self.strength.len();
        let own = self.centred.map_or(1.0, |classes| 1.0 - 1.0 / classes);
        if let Some(diagonal) = &mut evaluation.diagonal {
            for (entry, l) in diagonal.own.iter_mut().zip(self.strength.iter().cycle()) {
                *entry += own * l;
            }
        }
        match (&mut evaluation.hessian, self.centred) {
            (None, _) => {}
            (Some(hessian), None) => {
                hessian.add_diagonal(&self.strength.repeat(point.len() / size.max(1)));
            }
            (Some(hessian), Some(classes)) => {
                let entry = |i: usize, j: usize| {
                    let l = if i % size == j % size { self.strength[i % size] } else { 0.0 };
                    hessian.get(i, j) + if i == j { own * l } else { -l / classes }
                };
                *hessian = Symmetric::from_lower(hessian.size(), entry);
            }
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
        let of_margin = penalty.strength.len().max(1);
        assert!(loss.dimension().is_multiple_of(of_margin), "parameters of the loss and of the penalty");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing at all: what is left is the penalty.
    struct Zero(usize);

    struct ZeroLine {
        dimension: usize,
        first: f64,
    }

    const fn zero(step: f64) -> Probe {
        Probe { step, value: 0.0, slope: 0.0, curvature: 0.0 }
    }

    fn nothing(dimension: usize, need: Need) -> Evaluation {
        let hessian = (need == Need::Hessian).then(|| Symmetric::zero(dimension));
        Evaluation { value: 0.0, gradient: vec![0.0; dimension], diagonal: None, hessian }
    }

    impl Objective for Zero {
        fn dimension(&self) -> usize {
            self.0
        }

        fn move_to(&mut self, _: &[f64], need: Need) -> Result<Evaluation> {
            Ok(nothing(self.0, need))
        }

        fn line<'a>(&'a mut self, _: &mut [f64], first: f64) -> Result<Box<dyn Line + 'a>> {
            Ok(Box::new(ZeroLine { dimension: self.0, first }))
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            unreachable!("nobody asks for it")
        }

        fn passes(&self) -> Passes {
            Passes::default()
        }
    }

    impl Line for ZeroLine {
        fn first(&self) -> Probe {
            zero(self.first)
        }

        fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
            Ok(steps.iter().map(|&step| zero(step)).collect())
        }

        fn accept(self: Box<Self>, _: f64, need: Need) -> Result<Evaluation> {
            Ok(nothing(self.dimension, need))
        }
    }

    /// `(1/2) sum l_j q_j^2` of one margin; of K classes of all centred weights, 0 for the first class among them, as it is
    /// defined.
    fn value(strength: &[f64], classes: usize, q: &[f64]) -> f64 {
        let size = strength.len();
        let weight = |class: usize, j: usize| if class == 0 { 0.0 } else { q[(class - 1) * size + j] };
        let of_column = |j: usize| -> f64 {
            if classes == 2 {
                return weight(1, j).powi(2);
            }
            let mean = (0..classes).map(|class| weight(class, j)).sum::<f64>() / classes as f64;
            (0..classes).map(|class| (weight(class, j) - mean).powi(2)).sum()
        };
        (0..size).map(|j| 0.5 * strength[j] * of_column(j)).sum()
    }

    /// Along a line and where it is left, value, slope, curvature and gradient are those of the penalty at the point.
    #[test]
    fn lines_and_points_have_the_same_penalty() {
        for (classes, parameters) in [(2, None), (3, Some(3)), (4, Some(4))] {
            let scales = [0.5, 2.0];
            let penalty = Penalty::new(0.3, PenaltyScale::Original, &scales, true, parameters);
            let strength = [0.3 / 0.25, 0.3 / 4.0, 0.0];
            let dimension = 3 * (classes - 1);
            let numbers = |shift: f64| (0..dimension).map(move |j| (1.7 * j as f64 + shift).sin());
            let (from, mut direction): (Vec<f64>, Vec<f64>) = (numbers(0.3).collect(), numbers(1.1).collect());
            let at = |step: f64| -> Vec<f64> { from.iter().zip(&direction).map(|(q, p)| q + step * p).collect() };
            let value = |step: f64| value(&strength, classes, &at(step));
            // A parabola: differences over a step of 1 are exact.
            let slope = |step: f64| 0.5 * (value(step + 1.0) - value(step - 1.0));
            let curvature = value(1.0) - 2.0 * value(0.0) + value(-1.0);
            let steps = [0.25, -1.5, 3.0];
            let expected = steps.map(|step| [value(step), slope(step), curvature]);
            let end = at(3.0);

            let mut loss = Zero(dimension);
            let mut objective = Penalized::new(&mut loss, penalty);
            let here = objective.move_to(&from, Need::Gradient).expect("nothing fails");
            assert!((here.value - value(0.0)).abs() <= 1e-14);
            let along: f64 = here.gradient.iter().zip(&direction).map(|(g, p)| g * p).sum();
            assert!((along - slope(0.0)).abs() <= 1e-13, "{along}");
            let mut line = objective.line(&mut direction, steps[0]).expect("nothing fails");
            let mut probes = vec![line.first()];
            probes.extend(line.probe(&steps[1..]).expect("nothing fails"));
            for (probe, expected) in probes.iter().zip(&expected) {
                let found = [probe.value, probe.slope, probe.curvature];
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() <= 1e-13, "{classes} classes: {probe:?}, expected {expected}");
                }
            }
            let left = line.accept(3.0, Need::Hessian).expect("nothing fails");
            assert!((left.value - expected[2][0]).abs() <= 1e-13);
            let along: f64 = left.gradient.iter().zip(&direction).map(|(g, p)| g * p).sum();
            assert!((along - expected[2][1]).abs() <= 1e-13, "{along}");
            let hessian = left.hessian.expect("it was asked for").times(&direction);
            let along: f64 = hessian.iter().zip(&direction).map(|(h, p)| h * p).sum();
            assert!((along - curvature).abs() <= 1e-13, "{along}");
            // The next line begins where this one ended.
            let line = objective.line(&mut direction, 0.0).expect("nothing fails");
            let expected = super::tests::value(&strength, classes, &end);
            assert!((line.first().value - expected).abs() <= 1e-13, "{:?}", line.first());
        }
    }
}
