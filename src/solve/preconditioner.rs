//! What stands in for the inverse Hessian in a direction.

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
    Factor(Factor),
}

impl Preconditioner {
    /// From a Hessian.
    pub(super) fn new(choice: Choice, hessian: &Symmetric) -> Self {
        match choice {
            Choice::None => Self::None,
            Choice::Diagonal => Self::diagonal(hessian),
            Choice::Hessian | Choice::Subsample | Choice::Bound => {
                factor(hessian).map_or_else(|| Self::diagonal(hessian), Self::Factor)
            }
        }
    }

    fn diagonal(hessian: &Symmetric) -> Self {
        // A column without curvature is left as it is.
        Self::Diagonal(hessian.diagonal().into_iter().map(|h| if h > 0.0 { h } else { 1.0 }).collect())
    }

    /// `M^-1 g`.
    pub(super) fn apply(&self, gradient: &[f64]) -> Vec<f64> {
        match self {
            Self::None => gradient.to_vec(),
            Self::Diagonal(diagonal) => gradient.iter().zip(diagonal).map(|(g, h)| g / h).collect(),
            Self::Factor(factor) => factor.solve(gradient),
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
        if let Some(factor) = hessian.ridged(ridge).factor() {
            return Some(factor);
        }
        ridge *= 10.0;
    }
    None
}
