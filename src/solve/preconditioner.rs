//! What stands in for the inverse Hessian in a direction.

/// Turns a gradient into a direction of descent, `M^-1 g`.
#[derive(Clone, Debug, Default)]
pub(super) enum Preconditioner {
    /// `M = I`: the columns are standardised, which is all that a diagonal could do.
    #[default]
    None,
}

impl Preconditioner {
    /// `M^-1 g`.
    pub(super) fn apply(&self, gradient: &[f64]) -> Vec<f64> {
        match self {
            Self::None => gradient.to_vec(),
        }
    }
}
