//! The penalty, once, on the host, for every engine: its smooth part, the L2 penalty, and what each parameter costs by itself.

use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Probe};

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

/// What a parameter costs by itself, and where it may be: `l1 |x| + l2 x^2 / 2` for `low <= x <= high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// Strength of the absolute value, from 0 on; infinite for a parameter that stays 0.
    pub l1: f64,
    /// Strength of the square, from 0 on.
    pub l2: f64,
    /// The least value, 0 at most.
    pub low: f64,
    /// The greatest value, 0 at least.
    pub high: f64,
}

impl Term {
    /// Of a column with such a standard deviation: the strengths of L1 and L2, both multiplied by `factor`, and the bounds of its
    /// weight on the original scale, in exactly standardised coordinates.
    pub fn of_column([l1, l2]: [f64; 2], factor: f64, bounds: [f64; 2], scale: PenaltyScale, deviation: f64) -> Self {
        let [low, high] = bounds.map(|bound| bound * deviation);
        if factor.is_infinite() {
            return Self { l1: f64::INFINITY, l2: 0.0, low, high };
        }
        let unit = if scale == PenaltyScale::Original { deviation } else { 1.0 };
        // Dividing twice keeps deviations of 1e-200 from overflowing where l2 / s is finite.
        Self { l1: factor * l1 / unit, l2: factor * l2 / unit / unit, low, high }
    }

    /// Without a penalty and without bounds.
    pub const FREE: Self = Self { l1: 0.0, l2: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// Without a penalty, at 0 for ever.
    pub const ABSENT: Self = Self { l1: f64::INFINITY, ..Self::FREE };

    /// Whether it is held by bounds on a side.
    pub fn has_bounds(&self) -> bool {
        self.low.is_finite() || self.high.is_finite()
    }

    /// Whether nothing holds it.
    pub fn is_free(&self) -> bool {
        self.l1 == 0.0 && self.l2 == 0.0 && !self.has_bounds()
    }

    /// What `x` costs.
    pub fn value(&self, x: f64) -> f64 {
        if x == 0.0 { 0.0 } else { self.l1 * x.abs() + 0.5 * self.l2 * x * x }
    }

    /// Whether the absolute value costs something, so that 0 is a place to rest.
    pub fn has_kink(&self) -> bool {
        self.l1 > 0.0
    }

    /// Whether `x` is at a bound.
    pub fn is_at_bound(&self, x: f64) -> bool {
        x <= self.low || x >= self.high
    }
}

/// What all parameters cost by themselves.
pub fn cost_of(terms: &[Term], point: &[f64]) -> f64 {
    terms.iter().zip(point).map(|(term, &x)| term.value(x)).sum()
}

/// Settles what a penalty on the weights of every one of several classes leaves open, `[classes][size]`: of all that are as good those of
/// as little spread as a weight of 0 allows. Gives the parameters that are 0 for that reason alone.
///
/// Without a square in the penalty the sum of the absolute weights of an even number of classes is the same for all numbers between
/// the two middle ones that are taken from each: one of those two is taken, the one that leaves the smaller squares.
pub fn settle(parameters: &mut [f64], terms: &[Term], size: usize) -> Vec<usize> {
    let mut held = Vec::new();
    for place in 0..size {
        let of_classes = |all: &[f64]| -> Vec<f64> { all.iter().skip(place).step_by(size).copied().collect() };
        let is_open = |term: &Term| term.has_kink() && term.l1.is_finite() && term.l2 == 0.0 && !term.has_bounds();
        let mut sorted = of_classes(parameters);
        if sorted.len() % 2 == 1 || !terms.iter().skip(place).step_by(size).all(is_open) {
            continue;
        }
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let squares = |taken: f64| sorted.iter().map(|x| (x - taken).powi(2)).sum::<f64>();
        let [below, above] = [sorted[middle - 1], sorted[middle]];
        let taken = if squares(below) <= squares(above) { below } else { above };
        parameters.iter_mut().skip(place).step_by(size).for_each(|x| *x -= taken);
        if below < above {
            held.extend((place..parameters.len()).step_by(size).find(|&j| parameters[j] == 0.0));
        }
    }
    held
}

/// `(1/2) sum_j strength_j q_j^2`, added to a mean loss; the intercept has strength 0.
///
/// Of a softmax with K >= 3 classes the same of all K centred weights: `w_k - mean w` with `w_0 = 0` for the reference
/// are the weights that a penalty on all K chooses, and `sum_k (w_k - mean w)^2 = sum_k w_k^2 - (sum_k w_k)^2 / K`. With
/// two classes it is that of the binary model, on their difference.
///
/// With L1 strengths it is the elastic net, `sum_j l1_j |q_j|` more: that part has a kink, so it is no part of a smooth objective
/// ([`Penalty::terms`]).
#[derive(Clone, Debug)]
pub struct Penalty {
    /// Of the parameters of a margin, or of those of every class.
    strength: Vec<f64>,
    /// What each parameter costs by itself, of one margin or of every class; empty where that is its square alone.
    terms: Vec<Term>,
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
        Self {
            strength,
            terms: Vec::new(),
            centred: classes.filter(|&classes| classes > 2).map(|classes| classes as f64),
        }
    }

    /// The elastic net of one margin: what each active column costs by itself, with its bounds. The intercept, if there is one, comes
    /// after them and costs nothing.
    pub fn elastic_net(mut terms: Vec<Term>, intercept: bool) -> Self {
        if intercept {
            terms.push(Term::FREE);
        }
        let strength = terms.iter().map(|term| term.l2).collect();
        Self { strength, terms, centred: None }
    }

    /// The elastic net of the weights of each of several classes, one class after the other. What costs nothing is told against the
    /// first class, whose own is 0.
    pub fn elastic_net_of_classes(terms: Vec<Term>, intercept: bool, classes: usize) -> Self {
        let one = Self::elastic_net(terms, intercept);
        let of_first = one.terms.iter().map(|term| if term.is_free() { Term::ABSENT } else { *term });
        let terms: Vec<Term> = of_first.chain(one.terms.repeat(classes - 1)).collect();
        Self { strength: one.strength.repeat(classes), terms, centred: None }
    }

    /// What each parameter costs by itself, of one margin or of every class.
    pub fn terms(&self) -> Vec<Term> {
        if self.terms.is_empty() {
            return self.strength.iter().map(|&l2| Term { l2, ..Term::FREE }).collect();
        }
        self.terms.clone()
    }

    /// What the whole penalty costs at `point`, the part with a kink included.
    pub fn cost(&self, point: &[f64]) -> f64 {
        if self.terms.is_empty() { self.value(point) } else { cost_of(&self.terms, point) }
    }

    /// None, of margins with so many parameters.
    pub fn none(parameters: usize) -> Self {
        Self { strength: vec![0.0; parameters], terms: Vec::new(), centred: None }
    }

    /// Strengths of the parameters of a margin.
    pub fn strength(&self) -> &[f64] {
        &self.strength
    }

    /// The value of its smooth part at `point`.
    pub fn value(&self, point: &[f64]) -> f64 {
        0.5 * self.product(point, point)
    }

    /// The penalty from `point` along `direction`.
    pub fn along(&self, point: &[f64], direction: &[f64]) -> Quadratic {
        Quadratic {
            value: self.value(point),
            slope: self.product(point, direction),
            curvature: self.product(direction, direction),
        }
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

/// The penalty along a line: `value + a slope + a^2 curvature / 2`.
#[derive(Clone, Copy, Debug)]
pub struct Quadratic {
    value: f64,
    slope: f64,
    curvature: f64,
}

impl Quadratic {
    /// Adds the penalty at the step of a probe.
    #[must_use]
    pub fn add_to(self, probe: Probe) -> Probe {
        let a = probe.step;
        Probe {
            step: a,
            value: probe.value + self.value + a * (self.slope + 0.5 * a * self.curvature),
            slope: probe.slope + self.slope + a * self.curvature,
            curvature: probe.curvature + self.curvature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_middle_weights_is_0() {
        let lasso = vec![Term { l1: 0.5, ..Term::FREE }; 4];
        // The one that leaves the smaller squares.
        for (weights, expected) in [
            ([3.0, 1.0, -2.0, 2.0], [2.0, 0.0, -3.0, 1.0]),
            ([0.0, 5.0, 0.5, -1.0], [-0.5, 4.5, 0.0, -1.5]),
            ([0.0, 0.0, 1.0, -1.0], [0.0, 0.0, 1.0, -1.0]),
        ] {
            let mut found = weights;
            let held = settle(&mut found, &lasso, 1);
            assert_eq!(found.to_vec(), expected.to_vec());
            // Where both middle ones are 0 that is no choice.
            let is_choice = expected.iter().filter(|x| **x == 0.0).count() == 1;
            assert_eq!(
                held,
                expected.iter().position(|x| *x == 0.0).into_iter().filter(|_| is_choice).collect::<Vec<_>>()
            );
        }
        // What the penalty decides stays.
        let mut odd = [3.0, 1.0, 2.0];
        settle(&mut odd, &lasso[..3], 1);
        assert_eq!(odd.to_vec(), vec![3.0, 1.0, 2.0]);
        for own in [Term { l1: 0.5, l2: 0.1, ..Term::FREE }, Term { l1: 0.5, high: 4.0, ..Term::FREE }, Term::FREE] {
            let mut decided = [3.0, 1.0, -2.0, 2.0];
            settle(&mut decided, &[own; 4], 1);
            assert_eq!(decided.to_vec(), vec![3.0, 1.0, -2.0, 2.0]);
        }
    }
}
