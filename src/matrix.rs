//! Small dense symmetric matrices: Hessians. The only place that knows nalgebra.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// A symmetric matrix `[n x n]` in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    entries: DMatrix<f64>,
}

impl Symmetric {
    /// The zero matrix `[n x n]`.
    pub fn zero(n: usize) -> Self {
        Self { entries: DMatrix::zeros(n, n) }
    }

    /// The matrix with `entry(i, j)` for `j <= i`, and its mirror image above.
    pub fn from_lower(n: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        Self { entries: DMatrix::from_fn(n, n, |i, j| entry(i.max(j), i.min(j))) }
    }

    /// The number of rows.
    pub fn size(&self) -> usize {
        self.entries.nrows()
    }

    /// The entry in row `i`, column `j`.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.entries[(i, j)]
    }

    /// The diagonal `[n]`.
    pub fn diagonal(&self) -> Vec<f64> {
        self.entries.diagonal().iter().copied().collect()
    }

    /// Adds to the diagonal, entry by entry.
    pub fn add_diagonal(&mut self, values: &[f64]) {
        for (i, value) in values.iter().enumerate() {
            self.entries[(i, i)] += value;
        }
    }

    /// Multiplies every entry by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.entries *= factor;
    }

    /// Adds another matrix of the same size.
    pub fn add(&mut self, other: &Self) {
        self.entries += &other.entries;
    }

    /// Adds `A'B` for column-major `a` and `b`, `[rows x n]` each, of which only a product that is symmetric
    /// makes sense here.
    pub fn add_product(&mut self, rows: usize, a: &[f64], b: &[f64]) {
        let n = self.size();
        let a = nalgebra::DMatrixView::from_slice(a, rows, n);
        let b = nalgebra::DMatrixView::from_slice(b, rows, n);
        self.entries.gemm(1.0, &a.transpose(), &b, 1.0);
    }

    /// `M B M`.
    #[must_use]
    pub fn congruence(&self, inner: &Self) -> Self {
        Self { entries: &self.entries * &inner.entries * &self.entries }
    }

    /// `v'M v`.
    pub fn quadratic(&self, v: &[f64]) -> f64 {
        self.times(v).iter().zip(v).map(|(a, b)| a * b).sum()
    }

    /// `a'M b`.
    pub fn bilinear(&self, a: &[f64], b: &[f64]) -> f64 {
        self.times(b).iter().zip(a).map(|(x, y)| x * y).sum()
    }

    /// `M v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        (&self.entries * DVector::from_column_slice(v)).iter().copied().collect()
    }

    /// The matrix of the rows and columns `kept`, in their order.
    #[must_use]
    pub fn restricted(&self, kept: &[usize]) -> Self {
        Self { entries: DMatrix::from_fn(kept.len(), kept.len(), |i, j| self.entries[(kept[i], kept[j])]) }
    }

    /// Whether all entries are finite.
    pub fn is_finite(&self) -> bool {
        self.entries.iter().all(|x| x.is_finite())
    }

    /// The Cholesky factor; `None` if the matrix is not positive definite.
    pub fn factor(&self) -> Option<Factor> {
        self.entries.clone().cholesky().map(|cholesky| Factor { cholesky })
    }
}

/// The Cholesky factor of a positive definite [`Symmetric`].
#[derive(Clone, Debug)]
pub struct Factor {
    cholesky: Cholesky<f64, Dyn>,
}

impl Factor {
    /// Solves `M x = b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        self.cholesky.solve(&DVector::from_column_slice(b)).iter().copied().collect()
    }

    /// `M^-1`.
    pub fn inverse(&self) -> Symmetric {
        Symmetric { entries: self.cholesky.inverse() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_inverts() {
        let matrix = Symmetric::from_lower(3, |i, j| if i == j { 4.0 } else { 1.0 / (1 + i + j) as f64 });
        let factor = matrix.factor().expect("diagonally dominant");
        let x = [1.0, -2.0, 0.5];
        for (found, expected) in factor.solve(&matrix.times(&x)).iter().zip(x) {
            assert!((found - expected).abs() <= 1e-14);
        }
        for i in 0..3 {
            let column: Vec<f64> = (0..3).map(|j| factor.inverse().get(i, j)).collect();
            for (j, found) in matrix.times(&column).iter().enumerate() {
                assert!((found - f64::from(u8::from(i == j))).abs() <= 1e-14);
            }
        }
        assert!(Symmetric::from_lower(2, |_, _| 1.0).factor().is_none());
    }

    #[test]
    fn adds_products() {
        // A'A of [[1, 2], [3, 4], [5, 6]] (columns 1 3 5 and 2 4 6).
        let columns = [1.0, 3.0, 5.0, 2.0, 4.0, 6.0];
        let mut sum = Symmetric::zero(2);
        sum.add_product(3, &columns, &columns);
        assert_eq!(sum, Symmetric::from_lower(2, |i, j| [[35.0, 0.0], [44.0, 56.0]][i][j]));
    }
}
