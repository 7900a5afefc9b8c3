//! The Cholesky factor of a matrix, in the form in which that is kept.

use nalgebra::{Cholesky, DVector, Dyn};

use crate::matrix::arrowhead::ArrowheadFactor;
use crate::matrix::kronecker::KroneckerFactor;
use crate::matrix::thin::ThinFactor;
use crate::matrix::{Form, Symmetric, dense};

/// The factor of a positive definite [`Symmetric`].
#[derive(Clone, Debug)]
pub struct Factor(FactorForm);

#[derive(Clone, Debug)]
enum FactorForm {
    Dense(Cholesky<f64, Dyn>),
    Arrowhead(Box<ArrowheadFactor>),
    Kronecker(KroneckerFactor),
    Thin(Box<ThinFactor>),
}

impl Symmetric {
    /// The factor; `None` if the matrix is not positive definite.
    pub fn factor(&self) -> Option<Factor> {
        self.clone().into_factor()
    }

    /// [`Symmetric::factor`], in the memory of the matrix.
    pub fn into_factor(self) -> Option<Factor> {
        Some(Factor(match self.0 {
            Form::Dense(entries) => FactorForm::Dense(dense::cholesky(entries)?),
            Form::Arrowhead(arrowhead) => FactorForm::Arrowhead(Box::new(arrowhead.factor()?)),
            Form::Kronecker(kronecker) => FactorForm::Kronecker(kronecker.factor()?),
            Form::Thin(thin) => FactorForm::Thin(Box::new(thin.factor()?)),
        }))
    }
}

impl Factor {
    /// The number of rows.
    fn size(&self) -> usize {
        match &self.0 {
            FactorForm::Dense(cholesky) => cholesky.l_dirty().nrows(),
            FactorForm::Arrowhead(factor) => factor.size(),
            FactorForm::Kronecker(factor) => factor.size(),
            FactorForm::Thin(factor) => factor.size(),
        }
    }

    /// Solves `M x = b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        match &self.0 {
            FactorForm::Dense(cholesky) => cholesky.solve(&DVector::from_column_slice(b)).iter().copied().collect(),
            FactorForm::Arrowhead(factor) => factor.solve(b),
            FactorForm::Kronecker(factor) => factor.solve(b),
            FactorForm::Thin(factor) => factor.solve(b),
        }
    }

    /// The rows of the lower triangle, `[place + 1]` each, of one that is kept whole.
    pub(super) fn lower(&self) -> Option<Vec<Vec<f64>>> {
        let FactorForm::Dense(cholesky) = &self.0 else { return None };
        let lower = cholesky.l_dirty();
        Some((0..lower.nrows()).map(|i| (0..=i).map(|j| lower[(i, j)]).collect()).collect())
    }

    /// The diagonal of `M^-1`, `[n]`.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        match &self.0 {
            FactorForm::Dense(cholesky) => dense::inverse_diagonal(cholesky),
            FactorForm::Thin(factor) => factor.inverse_diagonal(),
            FactorForm::Arrowhead(_) | FactorForm::Kronecker(_) => self.inverse().diagonal(),
        }
    }

    /// The least pivot of the factor of the matrix when that is scaled to a diagonal of 1: what the columns before it leave
    /// of a column. 1 where the matrix is not kept whole.
    pub fn least_pivot(&self) -> f64 {
        let FactorForm::Dense(cholesky) = &self.0 else { return 1.0 };
        let lower = cholesky.l_dirty();
        let mut squares = vec![0.0; lower.nrows()];
        let mut least = 1.0_f64;
        for (j, column) in lower.column_iter().enumerate() {
            for (square, x) in squares[j..].iter_mut().zip(column.iter().skip(j)) {
                *square += x * x;
            }
            least = least.min(lower[(j, j)] * lower[(j, j)] / squares[j]);
        }
        least
    }

    /// `M^-1`.
    pub fn inverse(&self) -> Symmetric {
        if let FactorForm::Dense(cholesky) = &self.0 {
            return Symmetric::dense(dense::inverse(cholesky));
        }
        let n = self.size();
        let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        let columns: Vec<Vec<f64>> = (0..n).map(|i| self.solve(&unit(i))).collect();
        Symmetric::from_lower(n, |i, j| columns[j][i])
    }

    /// What the blocks of an arrowhead were multiplied by, of several groups.
    #[cfg(test)]
    fn times(&self) -> Option<f64> {
        match &self.0 {
            FactorForm::Arrowhead(factor) => Some(factor.times),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Pattern;
    use crate::matrix::tests::{close, of_rows};
    use std::sync::Arc;

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
        let diagonal = factor.inverse().diagonal();
        for (found, expected) in factor.inverse_diagonal().iter().zip(&diagonal) {
            assert!((found - expected).abs() <= 1e-14);
        }
        // The last column is what the others leave most of: its pivot is 1 / (M^-1)_ii.
        let least = (0..3).map(|n| Symmetric::from_lower(n + 1, |i, j| matrix.get(i, j)).factor().expect("definite"));
        let least = least.enumerate().map(|(n, factor)| 1.0 / factor.inverse().get(n, n) / matrix.get(n, n));
        assert!((factor.least_pivot() - least.fold(1.0, f64::min)).abs() <= 1e-14);
        assert!(Symmetric::from_lower(2, |_, _| 1.0).factor().is_none());
    }

    /// Loose parameters of one group: the same answers as of the matrix that is kept whole.
    #[test]
    fn a_pattern_is_solved_by_its_schur_complement() {
        let groups = [None, Some(0), Some(0), None, Some(0), None, None, None];
        let [whole, mut kept] = of_rows(&groups, true);
        let x = [1.0, -2.0, 0.5, 3.0, -1.0, 0.7, 2.0, -0.3];
        assert!(close(&kept.times(&x), &whole.times(&x), 1e-12) && close(&kept.diagonal(), &whole.diagonal(), 0.0));
        let factor = kept.factor().expect("definite");
        assert!(close(&factor.solve(&whole.times(&x)), &x, 1e-12));
        let inverse = whole.factor().expect("definite").inverse();
        assert!((0..8).all(|i| (0..8).all(|j| (factor.inverse().get(i, j) - inverse.get(i, j)).abs() <= 1e-12)));
        let before = kept.get(3, 1);
        kept.add_diagonal(&[1.0; 8]);
        kept.scale(2.0);
        assert!(close(&[kept.get(3, 1), kept.get(1, 3)], &[2.0 * before; 2], 1e-15) && kept.get(1, 4) == 0.0);
        let diagonal: Vec<f64> = whole.diagonal().iter().map(|h| 2.0 * h + 2.0).collect();
        assert!(close(&kept.diagonal(), &diagonal, 1e-14));
    }

    /// Of two groups that are independent the inverse is nearly the exact one in every direction; whatever they have in
    /// common, it is definite.
    #[test]
    fn several_groups_are_nearly_exact_if_they_are_independent() {
        let groups = [None, Some(0), Some(0), None, Some(0), Some(1), Some(1), None];
        for dependent in [false, true] {
            let [whole, kept] = of_rows(&groups, dependent);
            let (exact, bound) = (whole.factor().expect("definite"), kept.factor().expect("definite"));
            for direction in 0..32 {
                let g: Vec<f64> = (0..8).map(|i| (f64::from(direction * 8 + i) * 1.7).sin()).collect();
                let of = |factor: &Factor| factor.solve(&g).iter().zip(&g).map(|(x, g)| x * g).sum::<f64>();
                let share = of(&bound) / of(&exact);
                assert!(share > 0.0 && share.is_finite(), "{share}");
                assert!(dependent || (0.9..=1.1).contains(&share), "{share}");
            }
        }
    }

    /// Two groups that say the same of the tight columns: each explains them, so both together explain more than there
    /// is, and only twice their blocks leave a definite matrix.
    #[test]
    fn groups_that_repeat_each_other_get_an_upper_bound() {
        let mut sums = [[0.0; 6]; 6];
        for row in 0..300 {
            let a = row % 3;
            let b = if row % 29 == 0 { row / 3 % 3 } else { a };
            let noise = f64::from(row * 7 % 11) / 100.0;
            let is = |flag: bool| f64::from(u8::from(flag));
            let x = [f64::from(a) + noise, is(a == 1), is(a == 2), is(b == 1), is(b == 2), 1.0];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (sum, other) in sums.iter_mut().zip(x) {
                    *sum += x[i] * other / 300.0;
                }
            }
        }
        let entry = |i: usize, j: usize| sums[i][j];
        let whole = Symmetric::from_lower(6, entry);
        let groups = [None, Some(0), Some(0), Some(1), Some(1), None];
        let kept = Symmetric::of_pattern(Arc::new(Pattern::new(&groups, true)), entry);
        let factor = kept.factor().expect("twice the blocks are definite");
        assert_eq!(factor.times(), Some(2.0), "the blocks once would do");
        let bound = factor.inverse().factor().expect("definite");
        for direction in 0..32 {
            let v: Vec<f64> = (0..6).map(|i| (f64::from(direction * 6 + i) * 1.7).sin()).collect();
            let product = |mv: Vec<f64>| mv.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>();
            let (of_bound, of_whole) = (product(bound.solve(&v)), product(whole.times(&v)));
            assert!(of_bound >= of_whole * (1.0 - 1e-9), "{of_bound} {of_whole}");
        }
    }
}
