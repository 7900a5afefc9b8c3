//! The matrix of fewer rows than parameters: `A'A + D`, with the rows of `A` kept as they are.

use std::sync::Arc;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use crate::matrix::dense;

/// `A'A + D` `[n x n]`, for `A` `[rows x n]` and a diagonal `D`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thin {
    /// `[rows x n]`; a factor shares it.
    pub(super) a: Arc<DMatrix<f64>>,
    /// The diagonal of D.
    pub(super) own: DVector<f64>,
}

/// Of the mean of the diagonal, the share that D must have where it is not 0: the share of digits that are left.
const LEAST_SHARE: f64 = 1e-12;

/// Of the mean of the diagonal, the share of D up to which one parameter may have none of its own.
const NONE: f64 = 1e-10;

/// Columns of A that are scaled at a time.
const COLUMNS: usize = 1024;

impl Thin {
    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        let v = DVector::from_column_slice(v);
        let of_rows = self.a.tr_mul(&(&*self.a * &v));
        (of_rows + self.own.component_mul(&v)).iter().copied().collect()
    }

    pub(super) fn diagonal(&self) -> Vec<f64> {
        self.a.column_iter().zip(self.own.iter()).map(|(column, own)| column.norm_squared() + own).collect()
    }

    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        self.a.column(i).dot(&self.a.column(j)) + if i == j { self.own[i] } else { 0.0 }
    }

    /// `S M S`.
    pub(super) fn scale_by(&mut self, scaling: &DVector<f64>) {
        for (j, mut column) in Arc::make_mut(&mut self.a).column_iter_mut().enumerate() {
            column *= scaling[j];
            self.own[j] *= scaling[j] * scaling[j];
        }
    }

    /// Parameter i is the sum of `share` times a former one, over the two of `parts(i)`. D must be 0.
    pub(super) fn combined(&self, n: usize, parts: impl Fn(usize) -> [(usize, f64); 2]) -> Self {
        let mut a = DMatrix::zeros(self.a.nrows(), n);
        for (i, mut column) in a.column_iter_mut().enumerate() {
            for (former, share) in parts(i) {
                if share != 0.0 {
                    column.axpy(share, &self.a.column(former), 1.0);
                }
            }
        }
        Self { a: Arc::new(a), own: DVector::zeros(n) }
    }

    /// The factor; `None` where D is too small for it.
    ///
    /// With one parameter p set apart, that of the smallest D (an intercept has none), and `K = D + A'A` of the others,
    /// `K^-1 = D^-1 - D^-1 A' G^-1 A D^-1` with `G = I + A D^-1 A'` `[rows x rows]` (Woodbury); the Schur complement of K
    /// is `d_p + a_p' G^-1 a_p`.
    ///
    /// # Reference
    /// Golub and Van Loan, *Matrix Computations*, 4th edition, section 2.1.4.
    pub(super) fn factor(&self) -> Option<ThinFactor> {
        let n = self.own.len();
        let mean = self.diagonal().iter().sum::<f64>() / n as f64;
        let apart = self.own.imin();
        let others_are_enough = (0..n).all(|j| j == apart || self.own[j] >= LEAST_SHARE * mean);
        if !others_are_enough || self.own[apart] < 0.0 || !mean.is_finite() {
            return None;
        }
        let own_apart = if self.own[apart] <= NONE * mean { 0.0 } else { self.own[apart] };
        let inverse = DVector::from_fn(n, |j, _| if j == apart { 0.0 } else { 1.0 / self.own[j] });
        let rows = self.a.nrows();
        let mut g = DMatrix::identity(rows, rows);
        for first in (0..n).step_by(COLUMNS) {
            let few = COLUMNS.min(n - first);
            let scaled = DMatrix::from_fn(few, rows, |j, row| self.a[(row, first + j)] * inverse[first + j].sqrt());
            dense::add_square(&mut g, scaled.as_slice());
        }
        let g = dense::cholesky(g)?;
        let column = self.a.column(apart);
        let of_apart = g.solve(&column.into_owned());
        let complement = own_apart + of_apart.dot(&column);
        if !(complement > 0.0 && complement.is_finite()) {
            return None;
        }
        // `K^-1 A' a_p = D^-1 A' G^-1 a_p`.
        let border = self.a.tr_mul(&of_apart).component_mul(&inverse);
        Some(ThinFactor { a: Arc::clone(&self.a), inverse, g, apart, complement, border })
    }
}

/// The factor of a [`Thin`] matrix.
#[derive(Clone, Debug)]
pub(super) struct ThinFactor {
    a: Arc<DMatrix<f64>>,
    /// `D^-1`, 0 for the parameter apart.
    inverse: DVector<f64>,
    g: Cholesky<f64, Dyn>,
    apart: usize,
    complement: f64,
    /// `K^-1` times the column of the parameter apart.
    border: DVector<f64>,
}

impl ThinFactor {
    pub(super) fn size(&self) -> usize {
        self.inverse.len()
    }

    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let Self { a, inverse, g, apart, complement, border } = self;
        let v = DVector::from_column_slice(b).component_mul(inverse);
        let inner = g.solve(&(&**a * &v));
        let along: f64 =
            border.iter().zip(b).enumerate().map(|(j, (x, b))| if j == *apart { 0.0 } else { x * b }).sum();
        let of_apart = (b[*apart] - along) / complement;
        let mut x = v - a.tr_mul(&inner).component_mul(inverse) - border * of_apart;
        x[*apart] = of_apart;
        x.iter().copied().collect()
    }

    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let Self { a, inverse, g, apart, complement, border } = self;
        let mut inner = (**a).clone();
        let _ = g.l_dirty().solve_lower_triangular_mut(&mut inner);
        let of = |j: usize| {
            if j == *apart {
                return 1.0 / complement;
            }
            let own = inverse[j] * (1.0 - inverse[j] * inner.column(j).norm_squared());
            own + border[j] * border[j] / complement
        };
        (0..inverse.len()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the matrix written out, with and without a parameter that has no D.
    #[test]
    fn few_rows_are_solved_by_their_own_matrix() {
        for own_of_last in [0.0, 0.3] {
            let a = DMatrix::from_fn(7, 40, |i, j| ((i * 13 + j * 29) % 17) as f64 / 17.0 - 0.4);
            let own = DVector::from_fn(40, |j, _| if j == 39 { own_of_last } else { 0.01 + 0.02 * j as f64 });
            let thin = Thin { a: Arc::new(a.clone()), own: own.clone() };
            let whole = a.transpose() * &a + DMatrix::from_diagonal(&own);
            let x: Vec<f64> = (0..40).map(|j| (1.7 * f64::from(j)).sin()).collect();
            let b = &whole * DVector::from_column_slice(&x);
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * b.abs().max(1.0);
            assert!(thin.times(&x).iter().zip(b.iter()).all(|(a, b)| close(*a, *b)));
            let factor = thin.factor().expect("definite");
            assert!(factor.solve(b.as_slice()).iter().zip(&x).all(|(a, b)| close(*a, *b)), "{own_of_last}");
            let inverse = whole.clone().cholesky().expect("definite").inverse();
            assert!((0..40).all(|j| close(factor.inverse_diagonal()[j], inverse[(j, j)])), "{own_of_last}");
            assert!(thin.diagonal().iter().enumerate().all(|(j, d)| close(*d, whole[(j, j)])));
            assert!(close(thin.get(3, 5), whole[(3, 5)]) && close(thin.get(4, 4), whole[(4, 4)]));
        }
    }

    #[test]
    fn without_a_diagonal_there_is_no_factor() {
        let a = DMatrix::from_fn(3, 8, |i, j| (i + j) as f64);
        assert!(Thin { a: Arc::new(a), own: DVector::zeros(8) }.factor().is_none());
    }
}
