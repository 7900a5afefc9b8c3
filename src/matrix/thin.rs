//! The matrix of fewer rows than parameters: `A'A + D`, with the rows of `A` kept as they are.

use std::sync::{Arc, Mutex, PoisonError};

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rayon::prelude::*;

use crate::matrix::{Form, Symmetric, dense};
use crate::vectors::dots::{EIGHT, add_columns, eight_dots};

/// Rows that are kept as they are, X `[rows x columns]`.
#[derive(Debug)]
pub struct FewRows {
    rows: usize,
    /// `[columns][rows]`.
    columns: Vec<f32>,
    /// The last of [`FewRows::gram`], and what it is of: as long as a penalty stays the same, so does that.
    gram: Mutex<Option<(Vec<f64>, Gram)>>,
}

/// A Gram matrix `[rows x rows]`.
type Gram = Arc<DMatrix<f64>>;

/// Columns that are taken together.
const COLUMNS: usize = 1024;

impl FewRows {
    /// From columns `[columns][rows]`.
    pub fn new(rows: usize, columns: Vec<f32>) -> Self {
        Self { rows, columns, gram: Mutex::default() }
    }

    fn column(&self, index: usize) -> &[f32] {
        &self.columns[index * self.rows..][..self.rows]
    }

    fn count(&self) -> usize {
        self.columns.len() / self.rows.max(1)
    }

    /// Eight columns side by side; beyond the last one it stands again, with a weight of 0.
    fn eight(&self, first: usize) -> [&[f32]; EIGHT] {
        let columns = &self.columns[first * self.rows..];
        let last = columns.len() - self.rows;
        std::array::from_fn(|k| &columns[(k * self.rows).min(last)..][..self.rows])
    }

    /// `X v`: of a thousand columns at a time, which are added in their order.
    fn times(&self, v: &[f64]) -> DVector<f64> {
        let of_some = |(some, v): (usize, &[f64])| {
            let mut sum = vec![0.0; self.rows];
            for (eight, v) in v.chunks(EIGHT).enumerate() {
                let weights = std::array::from_fn(|k| v.get(k).copied().unwrap_or(0.0));
                add_columns(self.eight(some * COLUMNS + eight * EIGHT), weights, &mut sum);
            }
            sum
        };
        let sums: Vec<Vec<f64>> = v.par_chunks(COLUMNS).enumerate().map(of_some).collect();
        sums.iter().fold(DVector::zeros(self.rows), |sum, part| sum + DVector::from_column_slice(part))
    }

    /// `X'u`.
    fn transposed_times(&self, u: &[f64]) -> Vec<f64> {
        let of_eight = |(eight, products): (usize, &mut [f64])| {
            let all = eight_dots(self.eight(eight * EIGHT), u);
            products.copy_from_slice(&all[..products.len()]);
        };
        let mut products = vec![0.0; self.count()];
        products.par_chunks_mut(EIGHT).with_min_len(COLUMNS / EIGHT / 4).enumerate().for_each(of_eight);
        products
    }

    /// `X (diag(squares) + q e' + e q' + s e e') X'` with `e` for the column `last`.
    fn gram(&self, squares: &[f64], q: &[f64], s: f64, last: usize) -> Gram {
        let of: Vec<f64> = squares.iter().chain(q).copied().chain([s]).collect();
        let mut kept = self.gram.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, gram)) = kept.as_ref().filter(|(other, _)| *other == of) {
            return Arc::clone(gram);
        }
        let mut gram = DMatrix::zeros(self.rows, self.rows);
        let mut scaled = Vec::new();
        for first in (0..self.count()).step_by(COLUMNS) {
            let few = COLUMNS.min(self.count() - first);
            scaled.resize(few * self.rows, 0.0);
            let columns = scaled.par_chunks_mut(self.rows).zip(self.columns[first * self.rows..].par_chunks(self.rows));
            columns.zip(&squares[first..first + few]).with_min_len(COLUMNS / 8).for_each(
                |((scaled, column), square)| {
                    let root = square.sqrt();
                    for (scaled, x) in scaled.iter_mut().zip(column) {
                        *scaled = root * f64::from(*x);
                    }
                },
            );
            dense::add_outer(&mut gram, &scaled);
        }
        let constant = DVector::from_iterator(self.rows, self.column(last).iter().map(|x| f64::from(*x)));
        let along = self.times(q) + &constant * (0.5 * s);
        gram.ger(1.0, &along, &constant, 1.0);
        gram.ger(1.0, &constant, &along, 1.0);
        gram.fill_upper_triangle_with_lower_triangle();
        let gram = Arc::new(gram);
        *kept = Some((of, Arc::clone(&gram)));
        gram
    }
}

/// `A'A + D` `[n x n]`, for `A = R X T` `[rows x n]` with a diagonal `R`, and a diagonal `D`.
#[derive(Clone, Debug)]
pub(super) struct Thin {
    x: Arc<FewRows>,
    /// The diagonal of R.
    roots: DVector<f64>,
    /// The columns of T: two entries at most each, the second one in the same row for all.
    map: Vec<[(usize, f64); 2]>,
    /// The diagonal of D.
    pub(super) own: DVector<f64>,
}

impl PartialEq for Thin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.x, &other.x) && (&self.roots, &self.map, &self.own) == (&other.roots, &other.map, &other.own)
    }
}

/// Of the mean of the diagonal, the share that D must have where it is not 0: the share of digits that are left.
const LEAST_SHARE: f64 = 1e-12;

/// Of the mean of the diagonal, the share of D up to which one parameter may have none of its own.
const NONE: f64 = 1e-10;

impl Thin {
    /// `X'R'R X`.
    pub(super) fn new(x: Arc<FewRows>, roots: Vec<f64>) -> Self {
        let n = x.count();
        let map = (0..n).map(|i| [(i, 1.0), (n - 1, 0.0)]).collect();
        Self { x, roots: DVector::from_vec(roots), map, own: DVector::zeros(n) }
    }

    /// `A v`.
    fn forward(&self, v: &[f64]) -> DVector<f64> {
        let mut wide = vec![0.0; self.x.count()];
        for (parts, v) in self.map.iter().zip(v) {
            for (place, share) in parts {
                wide[*place] += share * v;
            }
        }
        self.x.times(&wide).component_mul(&self.roots)
    }

    /// `A'u`.
    fn back(&self, u: &DVector<f64>) -> DVector<f64> {
        let wide = self.x.transposed_times(u.component_mul(&self.roots).as_slice());
        let of_parts = self.map.iter().map(|parts| parts.iter().map(|(place, share)| share * wide[*place]).sum());
        DVector::from_iterator(self.map.len(), of_parts)
    }

    /// The entries of a column of A.
    fn entries(&self, j: usize) -> impl Iterator<Item = f64> + '_ {
        let [(a, of_a), (b, of_b)] = self.map[j];
        let entries = self.x.column(a).iter().zip(self.x.column(b)).zip(self.roots.iter());
        entries.map(move |((a, b), root)| root * (of_a * f64::from(*a) + of_b * f64::from(*b)))
    }

    fn column(&self, j: usize) -> DVector<f64> {
        DVector::from_iterator(self.roots.len(), self.entries(j))
    }

    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        let of_rows = self.back(&self.forward(v));
        of_rows.iter().zip(self.own.iter()).zip(v).map(|((x, own), v)| x + own * v).collect()
    }

    pub(super) fn diagonal(&self) -> Vec<f64> {
        let square = |j: usize| self.entries(j).map(|x| x * x).sum::<f64>() + self.own[j];
        (0..self.own.len()).into_par_iter().with_min_len(64).map(square).collect()
    }

    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        self.entries(i).zip(self.entries(j)).map(|(x, y)| x * y).sum::<f64>() + if i == j { self.own[i] } else { 0.0 }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.roots.iter().chain(self.own.iter()).all(|x| x.is_finite())
    }

    /// Multiplies all of it.
    pub(super) fn scale(&mut self, factor: f64) {
        self.roots *= factor.sqrt();
        self.own *= factor;
    }

    /// `S M S`.
    pub(super) fn scale_by(&mut self, scaling: &DVector<f64>) {
        for (j, parts) in self.map.iter_mut().enumerate() {
            for (_, share) in parts {
                *share *= scaling[j];
            }
            self.own[j] *= scaling[j] * scaling[j];
        }
    }

    /// `T'MT` for a T as that of [`Thin`], of a matrix without one.
    pub(super) fn combined(&self, n: usize, parts: impl Fn(usize) -> [(usize, f64); 2]) -> Self {
        let map = (0..n).map(parts).collect();
        Self { x: Arc::clone(&self.x), roots: self.roots.clone(), map, own: DVector::zeros(n) }
    }

    /// The rows and columns `kept`.
    pub(super) fn restricted(&self, kept: &[usize]) -> Self {
        let map = kept.iter().map(|&j| self.map[j]).collect();
        Self { x: Arc::clone(&self.x), roots: self.roots.clone(), map, own: self.own.select_rows(kept) }
    }

    /// `X T W T'X'` for a diagonal W.
    fn gram(&self, w: &DVector<f64>) -> Gram {
        let count = self.x.count();
        let (mut squares, mut q, mut s) = (vec![0.0; count], vec![0.0; count], 0.0);
        for ([(place, ratio), (_, pull)], w) in self.map.iter().zip(w.iter()) {
            squares[*place] += w * ratio * ratio;
            q[*place] += w * ratio * pull;
            s += w * pull * pull;
        }
        let last = self.map.first().map_or(0, |parts| parts[1].0);
        self.x.gram(&squares, &q, s, last)
    }

    /// The factor; `None` where D is too small for it.
    ///
    /// With one parameter p set apart, that of the smallest D (an intercept has none), and `K = D + A'A` of the others,
    /// `K^-1 = D^-1 - D^-1 A' G^-1 A D^-1` with `G = I + A D^-1 A'` `[rows x rows]` (Woodbury); the Schur complement of K
    /// is `d_p + a_p' G^-1 a_p`. What G is made of beside R stays the same from point to point.
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
        let g = dense::cholesky(beside_identity(&self.gram(&inverse), &self.roots))?;
        let column = self.column(apart);
        let of_apart = g.solve(&column);
        let complement = own_apart + of_apart.dot(&column);
        if !(complement > 0.0 && complement.is_finite()) {
            return None;
        }
        // `K^-1 A' a_p = D^-1 A' G^-1 a_p`.
        let border = self.back(&of_apart).component_mul(&inverse);
        Some(ThinFactor { of: self.clone(), inverse, g, apart, complement, border })
    }
}

/// The lower triangle of `I + R K R` for a diagonal R.
fn beside_identity(kernel: &DMatrix<f64>, roots: &DVector<f64>) -> DMatrix<f64> {
    let rows = roots.len();
    let mut matrix = DMatrix::identity(rows, rows);
    for j in 0..rows {
        for i in j..rows {
            matrix[(i, j)] += roots[i] * kernel[(i, j)] * roots[j];
        }
    }
    matrix
}

/// What parameters q with a penalty `q'Pq / 2` are to a few rows: margins `A q`, and `P^-1 A'` of a vector over the rows,
/// which is where every optimum lies. One parameter may have no penalty, an intercept, and is left out of `P^-1` then.
#[derive(Clone, Debug)]
pub struct RowSpace {
    thin: Thin,
    /// The diagonal of `P^-1`.
    inverse: DVector<f64>,
    /// `A P^-1 A'` `[rows x rows]`.
    kernel: Gram,
}

impl RowSpace {
    /// Of `A'A + P` as rows that are kept; `None` if it is not kept so, or if parameters but the last one have no penalty.
    pub fn new(matrix: &Symmetric) -> Option<Self> {
        let Form::Thin(thin) = matrix.0.clone() else { return None };
        let n = thin.own.len();
        let is_penalized = |j: usize| thin.own[j] > 0.0 || j + 1 == n && thin.own[j] == 0.0;
        if !(0..n).all(is_penalized) {
            return None;
        }
        let inverse = thin.own.map(|own| if own > 0.0 { 1.0 / own } else { 0.0 });
        let kernel = thin.gram(&inverse);
        kernel.iter().all(|x| x.is_finite()).then_some(Self { thin, inverse, kernel })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.thin.roots.len()
    }

    /// The margins of parameters, `A q`.
    pub fn margins(&self, parameters: &[f64]) -> Vec<f64> {
        self.thin.forward(parameters).as_slice().to_vec()
    }

    /// `A'u` for a vector over the rows.
    pub fn gradient(&self, u: &[f64]) -> Vec<f64> {
        self.thin.back(&DVector::from_column_slice(u)).as_slice().to_vec()
    }

    /// `P^-1 A'a` for a vector over the rows; 0 for a parameter without a penalty.
    pub fn parameters(&self, a: &[f64]) -> Vec<f64> {
        self.thin.back(&DVector::from_column_slice(a)).component_mul(&self.inverse).as_slice().to_vec()
    }

    /// `K a`, the margins of [`RowSpace::parameters`].
    pub fn kernel_times(&self, a: &[f64]) -> Vec<f64> {
        (&*self.kernel * DVector::from_column_slice(a)).as_slice().to_vec()
    }

    /// What solves `(I + S K) a = c` for the diagonal S, at least 0; `None` where that is not finite.
    pub fn solver(&self, s: &[f64]) -> Option<RowSolver<'_>> {
        let roots = DVector::from_iterator(s.len(), s.iter().map(|s| s.sqrt()));
        let factor = dense::cholesky(beside_identity(&self.kernel, &roots))?;
        Some(RowSolver { space: self, roots, factor })
    }
}

/// Solves `(I + S K) a = c`. With `R R = S` and `G = I + R K R` the inverse is `I - R G^-1 R K`, which divides by no
/// entry of S.
///
/// # Reference
/// Rasmussen and Williams (2006), *Gaussian Processes for Machine Learning*, algorithm 3.1.
#[derive(Clone, Debug)]
pub struct RowSolver<'s> {
    space: &'s RowSpace,
    roots: DVector<f64>,
    factor: Cholesky<f64, Dyn>,
}

impl RowSolver<'_> {
    /// The solution.
    pub fn solve(&self, c: &[f64]) -> Vec<f64> {
        let c = DVector::from_column_slice(c);
        let inner = self.factor.solve(&(&*self.space.kernel * &c).component_mul(&self.roots));
        (c - inner.component_mul(&self.roots)).as_slice().to_vec()
    }
}

/// The factor of a [`Thin`] matrix.
#[derive(Clone, Debug)]
pub(super) struct ThinFactor {
    of: Thin,
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
        let Self { of, inverse, g, apart, complement, border } = self;
        let v = DVector::from_column_slice(b).component_mul(inverse);
        let inner = g.solve(&of.forward(v.as_slice()));
        let along: f64 = border.iter().zip(b).map(|(border, b)| border * b).sum();
        let of_apart = (b[*apart] - along) / complement;
        let mut x = v - of.back(&inner).component_mul(inverse) - border * of_apart;
        x[*apart] = of_apart;
        x.iter().copied().collect()
    }

    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let Self { of, inverse, g, apart, complement, border } = self;
        let lower = g.l_dirty();
        let of_parameter = |j: usize| {
            if j == *apart {
                return 1.0 / complement;
            }
            let mut column = of.column(j);
            let _ = lower.solve_lower_triangular_mut(&mut column);
            inverse[j] * (1.0 - inverse[j] * column.norm_squared()) + border[j] * border[j] / complement
        };
        (0..inverse.len()).into_par_iter().map(of_parameter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the matrix written out: with and without a parameter that has no D, with columns that the last one is added
    /// to, scaled and not.
    #[test]
    fn few_rows_are_solved_by_their_own_matrix() {
        let entry = |i: usize, j: usize| if j == 39 { 1.0 } else { ((i * 13 + j * 29) % 17) as f32 / 17.0 - 0.4 };
        let x = Arc::new(FewRows::new(7, (0..40).flat_map(|j| (0..7).map(move |i| entry(i, j))).collect()));
        let root = |i: usize| 0.5 + 0.1 * i as f64;
        for (own_of_last, pull) in [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, -0.2)] {
            let mut thin = Thin::new(Arc::clone(&x), (0..7).map(root).collect());
            thin = thin.combined(40, |j| if j == 39 { [(39, 0.0), (39, 1.0)] } else { [(j, 1.5), (39, pull)] });
            thin.own = DVector::from_fn(40, |j, _| if j == 39 { own_of_last } else { 0.01 + 0.02 * j as f64 });
            thin.scale(0.5);
            thin.scale_by(&DVector::from_fn(40, |j, _| 1.0 + 0.01 * j as f64));
            let a = DMatrix::from_fn(7, 40, |i, j| {
                let x = f64::from(entry(i, j));
                let x = if j == 39 { 1.0 } else { 1.5 * x + pull };
                root(i) * x * 0.5_f64.sqrt() * (1.0 + 0.01 * j as f64)
            });
            let whole = a.transpose() * &a + DMatrix::from_diagonal(&thin.own);
            let v: Vec<f64> = (0..40).map(|j| (1.7 * f64::from(j)).sin()).collect();
            let b = &whole * DVector::from_column_slice(&v);
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * b.abs().max(1.0);
            assert!(thin.times(&v).iter().zip(b.iter()).all(|(a, b)| close(*a, *b)));
            let inverse = whole.clone().cholesky().expect("definite").inverse();
            // The second time from what is kept of the first.
            for _ in 0..2 {
                let factor = thin.factor().expect("definite");
                assert!(factor.solve(b.as_slice()).iter().zip(&v).all(|(a, b)| close(*a, *b)), "{own_of_last} {pull}");
                let diagonal = factor.inverse_diagonal();
                assert!((0..40).all(|j| close(diagonal[j], inverse[(j, j)])), "{own_of_last} {pull}");
            }
            assert!(thin.diagonal().iter().enumerate().all(|(j, d)| close(*d, whole[(j, j)])));
            assert!(close(thin.get(3, 5), whole[(3, 5)]) && close(thin.get(4, 4), whole[(4, 4)]));
            let kept = thin.restricted(&[3, 8, 39]);
            assert!(close(kept.get(1, 2), whole[(8, 39)]) && close(kept.get(1, 1), whole[(8, 8)]));
        }
    }

    #[test]
    fn without_a_diagonal_there_is_no_factor() {
        let x = FewRows::new(3, (0..24).map(|i| i as f32).collect());
        assert!(Thin::new(Arc::new(x), vec![1.0; 3]).factor().is_none());
    }
}
