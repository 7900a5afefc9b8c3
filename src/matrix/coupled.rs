//! The bound on the Hessian of a softmax: one matrix for every margin, coupled between them.

use nalgebra::{Cholesky, DVector, Dyn};

/// How a matrix `G [n x n]` of one margin stands for all of them: `S (P x G) S` with the Kronecker product, `P = I - 11' / K`
/// of the K - 1 classes beside the reference, and a diagonal S.
///
/// With `G = X'X / 2N` and `S = I` it is an upper bound of the Hessian of the mean loss wherever it is taken. Its inverse
/// takes one Cholesky factor of G, because `P^-1 = I + 11'`.
///
/// # Reference
/// Böhning (1992), "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44(1), 197-200.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coupled {
    /// K - 1.
    pub(super) margins: usize,
    /// The diagonal of S.
    pub(super) scaling: DVector<f64>,
}

impl Coupled {
    pub(super) fn new(classes: usize, size: usize) -> Self {
        let margins = classes - 1;
        Self { margins, scaling: DVector::repeat(margins * size, 1.0) }
    }

    /// The entry of P for two margins.
    pub(super) fn share(&self, a: usize, b: usize) -> f64 {
        let coupling = 1.0 / (self.margins + 1) as f64;
        if a == b { 1.0 - coupling } else { -coupling }
    }

    /// `S (P x of_margin) S v`, where `of_margin` is what G does to a vector.
    pub(super) fn times(&self, v: &[f64], of_margin: impl Fn(&DVector<f64>) -> DVector<f64>) -> Vec<f64> {
        let coupling = 1.0 / (self.margins + 1) as f64;
        self.mixed(|i| v[i] * self.scaling[i], -coupling, of_margin, |i, x| x * self.scaling[i])
    }

    /// `S^-1 (P^-1 x G^-1) S^-1 v`.
    pub(super) fn solve(&self, v: &[f64], cholesky: &Cholesky<f64, Dyn>) -> Vec<f64> {
        self.mixed(|i| v[i] / self.scaling[i], 1.0, |v| cholesky.solve(v), |i, x| x / self.scaling[i])
    }

    /// `((I + coupling 11') x of_margin)` between two diagonals.
    fn mixed(
        &self,
        before: impl Fn(usize) -> f64,
        coupling: f64,
        of_margin: impl Fn(&DVector<f64>) -> DVector<f64>,
        after: impl Fn(usize, f64) -> f64,
    ) -> Vec<f64> {
        let size = self.scaling.len() / self.margins;
        let parts: Vec<DVector<f64>> = (0..self.margins)
            .map(|margin| of_margin(&DVector::from_fn(size, |j, _| before(margin * size + j))))
            .collect();
        let sum = parts.iter().fold(DVector::zeros(size), |sum, part| sum + part) * coupling;
        let mixed = parts.iter().flat_map(|part| (part + &sum).iter().copied().collect::<Vec<f64>>());
        mixed.enumerate().map(|(i, x)| after(i, x)).collect()
    }
}
