//! What stands in for the inverse Hessian in a direction.

use std::cell::RefCell;
use std::rc::Rc;

use crate::matrix::{Factor, Symmetric};

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing: plain nonlinear conjugate gradient.
    None,
    /// The diagonal of the Hessian.
    Diagonal,
    /// The Cholesky factor of the Hessian.
    Hessian,
    /// The Cholesky factor of the Hessian of a subsample; to a solver it is the Hessian.
    Subsample,
    /// The Cholesky factor of a bound on the Hessian of a softmax; to a solver it is the Hessian.
    Bound,
}

/// Turns a gradient into a direction of descent, `M^-1 g`.
#[derive(Clone, Debug)]
pub(super) enum Preconditioner {
    /// `M = I`.
    None,
    /// `M` is diagonal.
    Diagonal(Vec<f64>),
    /// `M = LL'`.
    Factor(Rc<Metric>),
}

/// The factor of a Hessian. It measures distances and makes directions, which ask it for the same solution in turn: the
/// last one is kept.
#[derive(Debug)]
pub(super) struct Metric {
    factor: Factor,
    last: RefCell<(Vec<f64>, Vec<f64>)>,
}

impl Metric {
    /// `None` for a Hessian without a factor.
    pub(super) fn new(hessian: &Symmetric) -> Option<Rc<Self>> {
        let factor = factor(hessian)?;
        Some(Rc::new(Self { factor, last: RefCell::default() }))
    }

    pub(super) fn factor(&self) -> &Factor {
        &self.factor
    }

    /// `M^-1 b`.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut last = self.last.borrow_mut();
        if last.0 != b {
            *last = (b.to_vec(), self.factor.solve(b));
        }
        last.1.clone()
    }
}

impl Preconditioner {
    /// From a Hessian and its factor, if it has one.
    pub(super) fn new(choice: Choice, hessian: &Symmetric, metric: Option<&Rc<Metric>>) -> Self {
        match choice {
            Choice::None => Self::None,
            Choice::Diagonal => Self::diagonal(hessian),
            Choice::Hessian | Choice::Subsample | Choice::Bound => {
                metric.map_or_else(|| Self::diagonal(hessian), |metric| Self::Factor(Rc::clone(metric)))
            }
        }
    }

    fn diagonal(hessian: &Symmetric) -> Self {
        Self::of_diagonal(hessian.diagonal())
    }

    /// From the diagonal of a Hessian.
    pub(super) fn of_diagonal(diagonal: Vec<f64>) -> Self {
        // A column without curvature is left as it is.
        Self::Diagonal(diagonal.into_iter().map(|h| if h > 0.0 { h } else { 1.0 }).collect())
    }

    /// `M^-1 g`.
    pub(super) fn apply(&self, gradient: &[f64]) -> Vec<f64> {
        match self {
            Self::None => gradient.to_vec(),
            Self::Diagonal(diagonal) => gradient.iter().zip(diagonal).map(|(g, h)| g / h).collect(),
            Self::Factor(metric) => metric.solve(gradient),
        }
    }
}

/// The Cholesky factor of a Hessian with a ridge of 1e-14 of its mean diagonal, or the smallest larger one that makes
/// it positive definite: sums in f32 leave a nearly singular matrix indefinite.
pub(super) fn factor(hessian: &Symmetric) -> Option<Factor> {
    let mean = hessian.diagonal().iter().sum::<f64>() / hessian.size() as f64;
    if !(mean > 0.0 && mean.is_finite()) {
        return None;
    }
    let mut ridge = 1e-14;
    while ridge <= 1e-2 {
        if let Some(factor) = hessian.ridged(ridge).into_factor() {
            return Some(factor);
        }
        ridge *= 10.0;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `M^-1 g` of each kind; a column without curvature is left as it is.
    #[test]
    fn a_preconditioner_solves_its_matrix() {
        let gradient = [3.0, -2.0, 0.5];
        assert_eq!(Preconditioner::None.apply(&gradient), gradient);
        assert_eq!(Preconditioner::of_diagonal(vec![4.0, 0.0, 0.25]).apply(&gradient), [0.75, -2.0, 2.0]);
        let hessian = Symmetric::from_lower(3, |i, j| if i == j { 4.0 } else { 1.0 });
        let solved = Preconditioner::Factor(Metric::new(&hessian).expect("positive definite")).apply(&gradient);
        for (i, expected) in gradient.iter().enumerate() {
            let found: f64 = (0..3).map(|j| hessian.get(i.max(j), i.min(j)) * solved[j]).sum();
            assert!((found - expected).abs() <= 1e-12, "{solved:?}");
        }
    }
}
