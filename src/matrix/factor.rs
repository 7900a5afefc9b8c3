//! The Cholesky factor of a matrix: of all of it, of what a pattern keeps, or of coupled margins.

use std::sync::Arc;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use crate::matrix::coupled::Coupled;
use crate::matrix::thin::ThinFactor;
use crate::matrix::{Loose, Pattern, Symmetric, dense};

/// The Cholesky factor of a positive definite [`Symmetric`].
#[derive(Clone, Debug)]
pub struct Factor {
    /// Of the matrix, or of the Schur complement of its loose part.
    cholesky: Cholesky<f64, Dyn>,
    loose: Option<Box<LooseFactor>>,
    coupled: Option<Coupled>,
    /// Of few rows: all there is.
    thin: Option<Box<ThinFactor>>,
}

#[derive(Clone, Debug)]
struct LooseFactor {
    pattern: Arc<Pattern>,
    /// The border times the inverse of the loose block, `[tight x loose]`.
    shares: DMatrix<f64>,
    /// The diagonal, `times` what it was.
    own: DVector<f64>,
    /// In the coordinates of which all of it is.
    centring: Option<Centring>,
    times: f64,
}

impl LooseFactor {
    /// The loose block's inverse times `v`.
    fn solve_loose(&self, v: &DVector<f64>) -> DVector<f64> {
        match &self.centring {
            None => v.component_div(&self.own),
            Some(centring) => centring.solve(v, &self.own, self.times),
        }
    }
}

impl Symmetric {
    /// The Cholesky factor; `None` if the matrix is not positive definite. That of a pattern is of the Schur complement
    /// of its loose part: exact for one group, and for several as good as they are independent (see `Centring`).
    pub fn factor(&self) -> Option<Factor> {
        self.clone().into_factor()
    }

    /// [`Symmetric::factor`], in the memory of the matrix.
    pub fn into_factor(self) -> Option<Factor> {
        if let Some(thin) = &self.thin {
            let cholesky = Cholesky::pack_dirty(DMatrix::zeros(0, 0));
            return Some(Factor { thin: Some(Box::new(thin.factor()?)), ..Factor::of_whole(cholesky) });
        }
        let Some(Loose { pattern, border, own }) = &self.loose else {
            let coupled = self.coupled.clone();
            return dense::cholesky(self.entries.clone())
                .map(|cholesky| Factor { coupled, ..Factor::of_whole(cholesky) });
        };
        if !own.iter().all(|x| *x > 0.0) {
            return None;
        }
        let count = pattern.count();
        let (mut entries, mut border, mut centring) = (self.entries.clone(), border.clone(), None);
        if count > 1 && pattern.has_intercept {
            let found = Centring::new(pattern, &entries, &border, own)?;
            found.centre(&mut entries, &mut border);
            centring = Some(found);
        }
        [1.0, count as f64].into_iter().find_map(|times| {
            let own = own * times;
            let pattern = Arc::clone(pattern);
            let mut factor = LooseFactor { pattern, shares: border.clone(), own, centring: centring.clone(), times };
            for (index, row) in border.row_iter().enumerate() {
                let solved = factor.solve_loose(&row.transpose());
                factor.shares.set_row(index, &solved.transpose());
            }
            let mut complement = entries.clone();
            complement.gemm(-1.0, &factor.shares, &border.transpose(), 1.0);
            let loose = Some(Box::new(factor));
            dense::cholesky(complement).map(|cholesky| Factor { loose, ..Factor::of_whole(cholesky) })
        })
    }
}

impl Factor {
    fn of_whole(cholesky: Cholesky<f64, Dyn>) -> Self {
        Self { cholesky, loose: None, coupled: None, thin: None }
    }

    /// Solves `M x = b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        if let Some(coupled) = &self.coupled {
            return coupled.solve(b, &self.cholesky);
        }
        if let Some(thin) = &self.thin {
            return thin.solve(b);
        }
        let Some(factor) = &self.loose else {
            return self.cholesky.solve(&DVector::from_column_slice(b)).iter().copied().collect();
        };
        let LooseFactor { pattern, shares, centring, .. } = &**factor;
        let (mut tight, mut loose) = pattern.split(b);
        let last = tight.len().saturating_sub(1);
        if let Some(centring) = centring {
            let intercept = tight[last];
            tight.axpy(-intercept, &centring.tight_means, 1.0);
            loose.axpy(-intercept, &centring.loose_means, 1.0);
        }
        let mut tight = self.cholesky.solve(&(tight - shares * &loose));
        let loose = factor.solve_loose(&loose) - shares.tr_mul(&tight);
        if let Some(centring) = centring {
            tight[last] -= centring.tight_means.dot(&tight) + centring.loose_means.dot(&loose);
        }
        pattern.join(&tight, &loose)
    }

    /// The diagonal of `M^-1`, `[n]`.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        if let Some(thin) = &self.thin {
            return thin.inverse_diagonal();
        }
        if self.loose.is_some() || self.coupled.is_some() {
            return self.inverse().diagonal();
        }
        dense::inverse_diagonal(&self.cholesky)
    }

    /// The least pivot of the factor of the matrix when that is scaled to a diagonal of 1: what the columns before it leave
    /// of a column. 1 where the matrix is not kept whole.
    pub fn least_pivot(&self) -> f64 {
        if self.loose.is_some() || self.coupled.is_some() || self.thin.is_some() {
            return 1.0;
        }
        let lower = self.cholesky.l_dirty();
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
        let n = match (&self.loose, &self.coupled, &self.thin) {
            (None, None, None) => return Symmetric::whole(dense::inverse(&self.cholesky)),
            (Some(factor), ..) => factor.pattern.places.len(),
            (None, Some(coupled), _) => coupled.scaling.len(),
            (None, None, Some(thin)) => thin.size(),
        };
        let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        let columns: Vec<Vec<f64>> = (0..n).map(|i| self.solve(&unit(i))).collect();
        Symmetric::from_lower(n, |i, j| columns[j][i])
    }
}

/// Several groups of loose parameters beside an intercept, in coordinates in which every column is centred by the
/// weights of the rows.
///
/// What two groups have in common is mostly what each has in common with the intercept: for levels that fall together by
/// chance, `d_a d_b' / a_00` with their weights d. Centred, that is gone, and the rest is left out. A group's own block is
/// then `K = D - d d' / a_00`, with `K^-1 = D^-1 + u u' / r`, `u = D^-1 d` and `r = a_00 - d'u` (Sherman and Morrison): r is
/// the weight of the rows that have none of the group's levels but the reference.
///
/// Where the groups depend on each other so much that this leaves no definite matrix, `k K` stands in for the blocks of
/// all k groups: with the rest C, `x'(K + C)x <= k x'Kx` for any rows by the inequality of Cauchy and Schwarz, so that is
/// an upper bound.
#[derive(Clone, Debug)]
struct Centring {
    /// Weighted mean of each tight column, 0 for the intercept's own, and of each loose one.
    tight_means: DVector<f64>,
    loose_means: DVector<f64>,
    /// The group of each loose parameter, and its u.
    groups: Vec<(usize, f64)>,
    /// r of each group.
    references: Vec<f64>,
}

impl Centring {
    /// `None` if a group leaves nothing to its reference.
    fn new(pattern: &Pattern, entries: &DMatrix<f64>, border: &DMatrix<f64>, own: &DVector<f64>) -> Option<Self> {
        let last = entries.nrows() - 1;
        let total = entries[(last, last)];
        let mut tight_means = entries.column(last) / total;
        tight_means[last] = 0.0;
        let loose_means = border.row(last).transpose() / total;
        let mut references = vec![total; pattern.groups.iter().max()? + 1];
        let mut groups = Vec::with_capacity(own.len());
        for ((group, own), d) in pattern.groups.iter().zip(own.iter()).zip(border.row(last).iter()) {
            references[*group] -= d * d / own;
            groups.push((*group, d / own));
        }
        let is_positive = references.iter().all(|r| *r > 0.0);
        is_positive.then_some(Self { tight_means, loose_means, groups, references })
    }

    /// Brings the matrices to centred columns.
    fn centre(&self, entries: &mut DMatrix<f64>, border: &mut DMatrix<f64>) {
        let last = entries.nrows() - 1;
        let total = entries[(last, last)];
        entries.ger(-total, &self.tight_means, &self.tight_means, 1.0);
        border.ger(-total, &self.tight_means, &self.loose_means, 1.0);
        border.row_mut(last).fill(0.0);
        entries.row_mut(last).fill(0.0);
        entries.column_mut(last).fill(0.0);
        entries[(last, last)] = total;
    }

    /// `(k K)^-1 v`, with `k D` in `own`.
    fn solve(&self, v: &DVector<f64>, own: &DVector<f64>, k: f64) -> DVector<f64> {
        let mut sums = vec![0.0; self.references.len()];
        for ((group, u), v) in self.groups.iter().zip(v.iter()) {
            sums[*group] += u * v;
        }
        let of_groups = self.groups.iter().map(|&(group, u)| u * sums[group] / (k * self.references[group]));
        v.component_div(own) + DVector::from_iterator(v.len(), of_groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::tests::{close, of_rows};

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
        assert_eq!(factor.loose.as_ref().map(|loose| loose.times), Some(2.0), "the blocks once would do");
        let bound = factor.inverse().factor().expect("definite");
        for direction in 0..32 {
            let v: Vec<f64> = (0..6).map(|i| (f64::from(direction * 6 + i) * 1.7).sin()).collect();
            let product = |mv: Vec<f64>| mv.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>();
            let (of_bound, of_whole) = (product(bound.solve(&v)), product(whole.times(&v)));
            assert!(of_bound >= of_whole * (1.0 - 1e-9), "{of_bound} {of_whole}");
        }
    }
}
