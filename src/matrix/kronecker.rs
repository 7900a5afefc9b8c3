//! The bound on the Hessian of a softmax: one matrix for every margin, coupled between them.

use nalgebra::DVector;

use crate::matrix::{Factor, Symmetric};

/// How a matrix `G [n x n]` of one margin stands for all of them: `S (P x G) S` with the Kronecker product, `P = I - 11' / K`
/// of the K - 1 classes beside the reference, and a diagonal S.
///
/// With `G = X'X / 2N` and `S = I` it is an upper bound of the Hessian of the mean loss wherever it is taken. Its inverse
/// takes one factor of G, because `P^-1 = I + 11'`.
///
/// # Reference
/// Böhning (1992), "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44(1), 197-200.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kronecker {
    /// K - 1.
    margins: usize,
    /// The diagonal of S.
    scaling: DVector<f64>,
    /// G.
    margin: Box<Symmetric>,
}

/// The factor of a [`Kronecker`].
#[derive(Clone, Debug)]
pub(super) struct KroneckerFactor {
    margins: usize,
    scaling: DVector<f64>,
    /// Of G.
    factor: Box<Factor>,
}

impl Kronecker {
    pub(super) fn new(classes: usize, margin: Symmetric) -> Self {
        let margins = classes - 1;
        Self { margins, scaling: DVector::repeat(margins * margin.size(), 1.0), margin: Box::new(margin) }
    }

    pub(super) fn size(&self) -> usize {
        self.scaling.len()
    }

    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        let n = self.margin.size();
        let coupling = 1.0 / (self.margins + 1) as f64;
        let share = if i / n == j / n { 1.0 - coupling } else { -coupling };
        self.scaling[i] * self.scaling[j] * share * self.margin.get(i % n, j % n)
    }

    pub(super) fn ridged(&self, share: f64) -> Self {
        Self { margin: Box::new(self.margin.ridged(share)), ..self.clone() }
    }

    pub(super) fn scale(&mut self, factor: f64) {
        self.margin.scale(factor);
    }

    pub(super) fn scale_by(&mut self, scaling: &DVector<f64>) {
        self.scaling.component_mul_assign(scaling);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.margin.is_finite() && self.scaling.iter().all(|x| x.is_finite())
    }

    /// `S (P x G) S v`.
    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        let coupling = -1.0 / (self.margins + 1) as f64;
        let before: Vec<f64> = v.iter().zip(&self.scaling).map(|(v, s)| v * s).collect();
        let mixed = mixed(&before, self.margins, coupling, |v| self.margin.times(v));
        mixed.iter().zip(&self.scaling).map(|(x, s)| x * s).collect()
    }

    pub(super) fn factor(self) -> Option<KroneckerFactor> {
        let Self { margins, scaling, margin } = self;
        Some(KroneckerFactor { margins, scaling, factor: Box::new(margin.into_factor()?) })
    }
}

impl KroneckerFactor {
    pub(super) fn size(&self) -> usize {
        self.scaling.len()
    }

    /// `S^-1 (P^-1 x G^-1) S^-1 v`.
    pub(super) fn solve(&self, v: &[f64]) -> Vec<f64> {
        let before: Vec<f64> = v.iter().zip(&self.scaling).map(|(v, s)| v / s).collect();
        let mixed = mixed(&before, self.margins, 1.0, |v| self.factor.solve(v));
        mixed.iter().zip(&self.scaling).map(|(x, s)| x / s).collect()
    }
}

/// `((I + coupling 11') x of_margin) v`.
fn mixed(v: &[f64], margins: usize, coupling: f64, of_margin: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let size = v.len() / margins;
    let parts: Vec<DVector<f64>> = v.chunks_exact(size).map(|v| DVector::from_vec(of_margin(v))).collect();
    let sum = parts.iter().fold(DVector::zeros(size), |sum, part| sum + part) * coupling;
    parts.iter().flat_map(|part| (part + &sum).iter().copied().collect::<Vec<f64>>()).collect()
}
