//! Symmetric matrices: Hessians, whole or as far as they are kept. The only place that knows nalgebra.

mod arrowhead;
mod basis;
mod changing;
mod dense;
mod factor;
mod kronecker;
mod pivots;
mod products;
mod thin;

use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use arrowhead::Arrowhead;
pub use arrowhead::Pattern;
pub use basis::{Basis, product, products_with};
pub use changing::ChangingFactor;
pub use factor::Factor;
use kronecker::Kronecker;
pub use pivots::{Pivots, Remainder};
pub use products::{Products, Squares};
use thin::Thin;
pub use thin::{FewRows, RowSolver, RowSpace};

/// A symmetric matrix `[n x n]` in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric(Form);

/// How a matrix is kept.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// All entries.
    Dense(DMatrix<f64>),
    /// Of a large one what a [`Pattern`] keeps.
    Arrowhead(Arrowhead),
    /// One matrix for each of several margins, coupled between them.
    Kronecker(Kronecker),
    /// Fewer rows than parameters, of which it is the product.
    Thin(Thin),
}

impl Symmetric {
    fn dense(entries: DMatrix<f64>) -> Self {
        Self(Form::Dense(entries))
    }

    /// `X'R'R X` for rows X that are kept as they are, and the diagonal R: worth it where there are fewer rows than columns.
    pub fn of_few_rows(x: Arc<FewRows>, roots: Vec<f64>) -> Self {
        Self(Form::Thin(Thin::new(x, roots)))
    }

    /// `(I - 11' / K) x margin` for the K - 1 margins of a softmax with K classes (see `kronecker`).
    pub fn kronecker(classes: usize, margin: Self) -> Self {
        Self(Form::Kronecker(Kronecker::new(classes, margin)))
    }

    /// The zero matrix `[n x n]`.
    pub fn zero(n: usize) -> Self {
        Self::dense(DMatrix::zeros(n, n))
    }

    /// The matrix with `entry(i, j)` for `j <= i`, and its mirror image above.
    pub fn from_lower(n: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut entries = DMatrix::zeros(n, n);
        for j in 0..n {
            for i in j..n {
                entries[(i, j)] = entry(i, j);
            }
        }
        entries.fill_upper_triangle_with_lower_triangle();
        Self::dense(entries)
    }

    /// As [`Symmetric::from_lower`], of what `pattern` keeps.
    pub fn of_pattern(pattern: Arc<Pattern>, entry: impl Fn(usize, usize) -> f64) -> Self {
        Self(Form::Arrowhead(Arrowhead::new(pattern, entry)))
    }

    /// What is kept of it, if that is an arrowhead.
    pub fn pattern(&self) -> Option<&Arc<Pattern>> {
        match &self.0 {
            Form::Arrowhead(arrowhead) => Some(arrowhead.pattern()),
            _ => None,
        }
    }

    /// The number of rows.
    pub fn size(&self) -> usize {
        match &self.0 {
            Form::Dense(entries) => entries.nrows(),
            Form::Arrowhead(arrowhead) => arrowhead.size(),
            Form::Kronecker(kronecker) => kronecker.size(),
            Form::Thin(thin) => thin.own.len(),
        }
    }

    /// The entry in row `i`, column `j`; 0 where it is not kept.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        match &self.0 {
            Form::Dense(entries) => entries[(i, j)],
            Form::Arrowhead(arrowhead) => arrowhead.get(i, j),
            Form::Kronecker(kronecker) => kronecker.get(i, j),
            Form::Thin(thin) => thin.get(i, j),
        }
    }

    /// A column `[n]` of one that is kept whole.
    pub fn column(&self, j: usize) -> &[f64] {
        let n = self.size();
        &self.entries().as_slice()[j * n..][..n]
    }

    /// The diagonal `[n]`.
    pub fn diagonal(&self) -> Vec<f64> {
        match &self.0 {
            Form::Thin(thin) => thin.diagonal(),
            _ => (0..self.size()).map(|i| self.get(i, i)).collect(),
        }
    }

    /// The matrix with a ridge: so much of the mean of its diagonal is added to the diagonal; of coupled margins to that
    /// of each. One of few rows has a diagonal of its own, without which it has no factor, and gets none.
    #[must_use]
    pub fn ridged(&self, share: f64) -> Self {
        match &self.0 {
            Form::Thin(_) => self.clone(),
            Form::Kronecker(kronecker) => Self(Form::Kronecker(kronecker.ridged(share))),
            Form::Dense(_) | Form::Arrowhead(_) => {
                let mut ridged = self.clone();
                let n = ridged.size();
                let ridge = share * ridged.diagonal().iter().sum::<f64>() / n as f64;
                ridged.add_diagonal(&vec![ridge; n]);
                ridged
            }
        }
    }

    /// Adds to the diagonal, entry by entry.
    ///
    /// # Panics
    /// If margins are coupled: theirs is not free.
    pub fn add_diagonal(&mut self, values: &[f64]) {
        match &mut self.0 {
            Form::Dense(entries) => {
                for (i, value) in values.iter().enumerate() {
                    entries[(i, i)] += value;
                }
            }
            Form::Arrowhead(arrowhead) => arrowhead.add_diagonal(values),
            Form::Kronecker(_) => panic!("the diagonal of coupled margins"),
            Form::Thin(thin) => thin.own.iter_mut().zip(values).for_each(|(own, value)| *own += value),
        }
    }

    /// Takes a matrix that was summed over a sample of rows to all of them, whose `diagonal` is known.
    ///
    /// Of an arrowhead, a parameter of the diagonal block gets the weight that it has in all rows (see `arrowhead`); of any
    /// other one, every row and column is scaled so that the diagonal is that: it stays definite, which it need not if only
    /// its diagonal were replaced.
    pub fn calibrate(&mut self, diagonal: &[f64]) {
        if let Form::Arrowhead(arrowhead) = &mut self.0 {
            return arrowhead.calibrate(diagonal);
        }
        let before = self.diagonal();
        let scaling = before.iter().zip(diagonal).map(|(own, all)| {
            let factor = (all / own).sqrt();
            if factor > 0.0 && factor.is_finite() { factor } else { 1.0 }
        });
        let scaling = DVector::from_iterator(diagonal.len(), scaling);
        match &mut self.0 {
            Form::Dense(entries) => {
                for (j, mut column) in entries.column_iter_mut().enumerate() {
                    column.component_mul_assign(&scaling);
                    column *= scaling[j];
                    if column[j] <= 0.0 {
                        column[j] = diagonal[j];
                    }
                }
            }
            Form::Kronecker(kronecker) => kronecker.scale_by(&scaling),
            Form::Thin(thin) => {
                thin.scale_by(&scaling);
                for ((own, found), all) in thin.own.iter_mut().zip(before).zip(diagonal) {
                    if found <= 0.0 {
                        *own = *all;
                    }
                }
            }
            Form::Arrowhead(_) => {}
        }
    }

    /// Multiplies every entry by `factor`.
    pub fn scale(&mut self, factor: f64) {
        match &mut self.0 {
            Form::Dense(entries) => *entries *= factor,
            Form::Arrowhead(arrowhead) => arrowhead.scale(factor),
            Form::Kronecker(kronecker) => kronecker.scale(factor),
            Form::Thin(thin) => thin.scale(factor),
        }
    }

    /// `T'MT`, where each of the `n` columns of T has two entries at most, `parts(i)`: a row of it and what stands there.
    #[must_use]
    pub fn combined(&self, n: usize, parts: impl Fn(usize) -> [(usize, f64); 2] + Sync) -> Self {
        if let Form::Thin(thin) = &self.0 {
            return Self(Form::Thin(thin.combined(n, parts)));
        }
        let entry = |i: usize, j: usize| -> f64 {
            let products = parts(i).map(|(a, of_i)| parts(j).map(|(b, of_j)| of_i * of_j * self.get(a, b)));
            products.as_flattened().iter().sum()
        };
        let mut entries = DMatrix::zeros(n, n);
        entries.as_mut_slice().par_chunks_mut(n.max(1)).with_min_len(64).enumerate().for_each(|(j, column)| {
            for (i, target) in column.iter_mut().enumerate().skip(j) {
                *target = entry(i, j);
            }
        });
        entries.fill_upper_triangle_with_lower_triangle();
        Self::dense(entries)
    }

    /// All entries of one that is kept whole.
    fn entries(&self) -> &DMatrix<f64> {
        match &self.0 {
            Form::Dense(entries) => entries,
            _ => panic!("a product of what is not kept whole"),
        }
    }

    /// `M B M` of two matrices that are kept whole.
    #[must_use]
    pub fn congruence(&self, inner: &Self) -> Self {
        Self::dense(dense::product(&dense::product(self.entries(), inner.entries()), self.entries()))
    }

    /// `A'M A` of one that is kept whole, with the `columns` of A, each a list of its entries: place and value.
    ///
    /// # Cost
    /// A few operations for each entry and row, not for each pair of rows.
    #[must_use]
    pub fn along(&self, columns: &[Vec<(usize, f64)>]) -> Self {
        let entries = self.entries();
        let times = |column: &Vec<(usize, f64)>| {
            let mut sum = DVector::zeros(entries.nrows());
            for &(place, value) in column {
                sum.axpy(value, &entries.column(place), 1.0);
            }
            columns.iter().map(|other| other.iter().map(|&(place, value)| value * sum[place]).sum()).collect()
        };
        let products: Vec<Vec<f64>> = columns.par_iter().map(times).collect();
        Self::from_lower(columns.len(), |i, j| products[j][i])
    }

    /// Adds a matrix of the same size and pattern.
    pub fn add(&mut self, other: &Self) {
        let sum = |i: usize, j: usize| self.get(i, j) + other.get(i, j);
        *self = match (&self.0, self.pattern()) {
            (Form::Dense(entries), _) => match &other.0 {
                Form::Dense(others) => Self(Form::Dense(entries + others)),
                _ => Self::from_lower(self.size(), sum),
            },
            (_, Some(pattern)) => Self::of_pattern(Arc::clone(pattern), sum),
            (_, None) => Self::from_lower(self.size(), sum),
        };
    }

    /// Adds the rows and columns `kept` of matrices that are kept whole, as this one, by their shares.
    pub fn add_parts(&mut self, parts: &[(f64, &Self)], kept: &[usize]) {
        let Form::Dense(entries) = &mut self.0 else { panic!("parts of a matrix that is kept whole") };
        assert_eq!(entries.nrows(), kept.len(), "rows that are kept");
        for (share, part) in parts {
            for (column, &j) in entries.as_mut_slice().chunks_exact_mut(kept.len().max(1)).zip(kept) {
                let from = part.column(j);
                column.iter_mut().zip(kept).for_each(|(entry, &i)| *entry += share * from[i]);
            }
        }
    }

    /// Adds `factor v v'` to one that is kept whole.
    pub fn add_square(&mut self, v: &[f64], factor: f64) {
        let Form::Dense(entries) = &mut self.0 else { panic!("a square beside a matrix that is kept whole") };
        for (column, x) in entries.as_mut_slice().chunks_exact_mut(v.len().max(1)).zip(v) {
            column.iter_mut().zip(v).for_each(|(entry, y)| *entry += factor * x * y);
        }
    }

    /// `M v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        match &self.0 {
            Form::Dense(entries) => (entries * DVector::from_column_slice(v)).iter().copied().collect(),
            Form::Arrowhead(arrowhead) => arrowhead.times(v),
            Form::Kronecker(kronecker) => kronecker.times(v),
            Form::Thin(thin) => thin.times(v),
        }
    }

    /// The matrix of the rows and columns `kept`, in their order, of one that is kept whole.
    #[must_use]
    pub fn restricted(&self, kept: &[usize]) -> Self {
        match &self.0 {
            Form::Thin(thin) => Self(Form::Thin(thin.restricted(kept))),
            _ => Self::from_lower(kept.len(), |i, j| self.get(kept[i], kept[j])),
        }
    }

    /// Whether all entries are kept, one by one.
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Form::Dense(_))
    }

    /// Whether all entries are finite.
    pub fn is_finite(&self) -> bool {
        match &self.0 {
            Form::Dense(entries) => entries.iter().all(|x| x.is_finite()),
            Form::Arrowhead(arrowhead) => arrowhead.is_finite(),
            Form::Kronecker(kronecker) => kronecker.is_finite(),
            Form::Thin(thin) => thin.is_finite(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the matrix written out, calibrated and not.
    #[test]
    fn coupled_margins_are_a_kronecker_product() {
        let margin = Symmetric::from_lower(3, |i, j| if i == j { 4.0 } else { 1.0 / (1 + i + j) as f64 });
        let x: Vec<f64> = (0..9).map(|i| (f64::from(i) * 1.3).sin()).collect();
        let mut coupled = Symmetric::kronecker(4, margin.clone());
        for calibrated in [false, true] {
            let diagonal: Vec<f64> = (0..9).map(|i| 1.0 + f64::from(i)).collect();
            if calibrated {
                coupled.calibrate(&diagonal);
                assert!(close(&coupled.diagonal(), &diagonal, 1e-14));
            }
            let whole = Symmetric::from_lower(9, |i, j| {
                let p = if i / 3 == j / 3 { 0.75 } else { -0.25 };
                let scaling = |i: usize| if calibrated { (diagonal[i] / 3.0).sqrt() } else { 1.0 };
                scaling(i) * scaling(j) * p * margin.get(i % 3, j % 3)
            });
            assert!((0..9).all(|i| (0..9).all(|j| (whole.get(i, j) - coupled.get(i, j)).abs() <= 1e-14)));
            assert!(close(&coupled.times(&x), &whole.times(&x), 1e-13));
            let factor = coupled.factor().expect("definite");
            assert!(close(&factor.solve(&whole.times(&x)), &x, 1e-13));
            let exact = whole.factor().expect("definite").inverse();
            assert!((0..9).all(|i| (0..9).all(|j| (factor.inverse().get(i, j) - exact.get(i, j)).abs() <= 1e-13)));
            // A ridge is one on the matrix of a margin.
            let ridged = Symmetric::kronecker(4, margin.ridged(0.5)).diagonal();
            assert!(calibrated || close(&coupled.ridged(0.5).diagonal(), &ridged, 1e-14));
        }
    }

    #[test]
    fn a_congruence_is_that_of_its_definition() {
        let matrix = Symmetric::from_lower(3, |i, j| [[2.0, 0.0, 0.0], [3.0, 5.0, 0.0], [7.0, 11.0, 13.0]][i][j]);
        let columns = [vec![1.0, -2.0, 0.5], vec![0.0, 0.0, 4.0]];
        let along = matrix.along(&[vec![(0, 1.0), (1, -2.0), (2, 0.5)], vec![(2, 4.0)]]);
        assert_eq!(along.size(), 2);
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns.iter().enumerate() {
                let expected: f64 = matrix.times(b).iter().zip(a).map(|(x, y)| x * y).sum();
                assert!((along.get(i, j) - expected).abs() <= 1e-13, "{i} {j}");
            }
        }
    }

    /// Weighted rows of two plain columns, two categories of three and of two levels beside the reference, and an
    /// intercept: what is kept of `X'X`.
    pub(super) fn of_rows(groups: &[Option<usize>], dependent: bool) -> [Symmetric; 2] {
        let mut sums = vec![vec![0.0; 8]; 8];
        for row in 0..240 {
            let (a, b) = (row % 4, if dependent { row % 4 / 2 + row % 5 / 4 } else { row / 4 % 3 });
            let plain = [(row * 7 % 11) as f64 / 11.0 - 0.4, (row * 5 % 13) as f64 / 13.0 + a as f64];
            // Each in units of its own.
            let level = |code: usize, of: usize| if code == of { 0.5 + of as f64 } else { 0.0 };
            let x = [plain[0], level(a, 1), level(a, 2), plain[1], level(a, 3), level(b, 1), level(b, 2), 1.0];
            let weight = 1.0 + (row * 3 % 7) as f64;
            for i in 0..8 {
                for j in 0..8 {
                    sums[i][j] += weight * x[i] * x[j] / 240.0;
                }
            }
        }
        let entry = |i: usize, j: usize| sums[i][j];
        [Symmetric::from_lower(8, entry), Symmetric::of_pattern(Arc::new(Pattern::new(groups, true)), entry)]
    }

    pub(super) fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
    }

    /// A sample that has every other level too often is the matrix of all rows once it knows their diagonal.
    #[test]
    fn a_sample_is_calibrated_by_the_diagonal_of_all() {
        let groups = [None, Some(0), Some(0), None, Some(0), None, None, None];
        let [whole, mut kept] = of_rows(&groups, true);
        let all = whole.diagonal();
        // Half of the rows of the first level are not in the sample.
        let Form::Arrowhead(Arrowhead { entries, border, own, .. }) = &mut kept.0 else {
            panic!("it is not kept whole")
        };
        let column = border.column(0) * 0.5;
        entries.ger(-0.5 / own[0], &border.column(0), &border.column(0), 1.0);
        border.set_column(0, &column);
        own[0] *= 0.5;
        let x = [1.0, -2.0, 0.5, 3.0, -1.0, 0.7, 2.0, -0.3];
        assert!(!close(&kept.factor().expect("definite").solve(&whole.times(&x)), &x, 1e-3));
        kept.calibrate(&all);
        assert!(close(&kept.factor().expect("definite").solve(&whole.times(&x)), &x, 1e-12));
    }

    /// Of several groups every level gets its weight, and the intercept its own; nothing else is touched.
    #[test]
    fn a_sample_of_several_groups_is_calibrated_level_by_level() {
        let groups = [None, Some(0), Some(0), None, Some(0), Some(1), Some(1), None];
        let [whole, all] = of_rows(&groups, true);
        let mut kept = all.clone();
        let Form::Arrowhead(Arrowhead { entries, border, own, .. }) = &mut kept.0 else {
            panic!("it is not kept whole")
        };
        for (index, factor) in [0.5, 1.0, 3.0, 0.25, 2.0].into_iter().enumerate() {
            border.column_mut(index).scale_mut(factor);
            own[index] *= factor;
        }
        // The intercept of the sample: of three tight columns the last.
        entries[(2, 2)] *= 0.9;
        assert!(!close(&kept.diagonal(), &whole.diagonal(), 1e-3));
        kept.calibrate(&whole.diagonal());
        assert!((0..8).all(|i| (0..8).all(|j| (kept.get(i, j) - all.get(i, j)).abs() <= 1e-14)), "{kept:?}");
    }

    /// What no row of a sample has: a tight column, and a level.
    #[test]
    fn a_sample_without_a_column_is_calibrated_to_a_definite_matrix() {
        let one = [None, Some(0), Some(0), None, Some(0), None, None, None];
        let two = [None, Some(0), Some(0), None, Some(0), Some(1), Some(1), None];
        for groups in [one, two] {
            let [whole, mut kept] = of_rows(&groups, true);
            let Form::Arrowhead(Arrowhead { entries, border, own, .. }) = &mut kept.0 else {
                panic!("it is not kept whole")
            };
            border.row_mut(0).fill(0.0);
            border.column_mut(1).fill(0.0);
            own[1] = 0.0;
            entries.row_mut(0).fill(0.0);
            entries.column_mut(0).fill(0.0);
            assert!(kept.factor().is_none());
            kept.calibrate(&whole.diagonal());
            assert!(
                kept.is_finite() && close(&[kept.get(0, 0), kept.get(2, 2)], &[whole.get(0, 0), whole.get(2, 2)], 0.0)
            );
            // They have nothing in common with the others that is known.
            assert!((1..8).all(|i| kept.get(0, i) == 0.0 && (i == 2 || kept.get(2, i) == 0.0)));
            assert!(kept.factor().is_some());
        }
    }
}
