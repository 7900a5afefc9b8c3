//! Solvers. They see an [`Objective`](crate::objective::Objective) and a [`Monitor`], never a table or a device.

mod conjugate_gradient;
mod line_search;
mod preconditioner;

pub use conjugate_gradient::conjugate_gradient;

use crate::objective::Passes;

/// How a solver stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The gradient is within the tolerance, confirmed by a fresh evaluation.
    Converged,
    /// The iterations ran out.
    MaxIterations,
    /// No step along a direction of descent brought the slope down, from a fresh evaluation.
    LineSearchFailed,
    /// Fresh evaluations no longer improve, above the tolerance.
    Stalled,
    /// The value or the gradient is not finite.
    NonFinite,
}

impl Status {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::MaxIterations => "max_iterations",
            Self::LineSearchFailed => "line_search_failed",
            Self::Stalled => "stalled",
            Self::NonFinite => "non_finite",
        }
    }

    /// What a status other than `converged` means for the user; empty for `converged`.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Converged => "",
            Self::MaxIterations => "the iterations ran out before the gradient was small; raise --max-iterations",
            Self::LineSearchFailed | Self::Stalled => {
                "the arithmetic of this device gets no nearer; try --device cpu, a larger --gradient-tolerance or a penalty (--l2)"
            }
            Self::NonFinite => {
                "the loss is not finite at the start or after a step; look for extreme values, or add a penalty (--l2)"
            }
        }
    }
}

/// When a solver stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Largest component of the gradient, in the solver's coordinates, that counts as zero.
    pub gradient_tolerance: f64,
    /// Iterations at most.
    pub max_iterations: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { gradient_tolerance: 1e-7, max_iterations: 1000 }
    }
}

/// What a solver leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The parameters, in the solver's coordinates.
    pub parameters: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// The gradient there.
    pub gradient: Vec<f64>,
    /// How it stopped.
    pub status: Status,
    /// Iterations: directions that were searched.
    pub iterations: u64,
    /// What it cost.
    pub passes: Passes,
}

impl Outcome {
    /// The largest absolute component of the gradient.
    pub fn gradient_norm(&self) -> f64 {
        largest(&self.gradient)
    }
}

/// The largest absolute component; NaN if there is one.
pub(crate) fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest: f64, x| if x.is_nan() { f64::NAN } else { largest.max(x.abs()) })
}

/// The inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
