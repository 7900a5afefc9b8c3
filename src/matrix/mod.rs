//! Symmetric matrices: Hessians, whole or as far as they are kept. The only place that knows nalgebra.

mod basis;
mod coupled;
mod dense;
mod factor;
mod pattern;
mod products;
mod thin;

use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

pub use basis::{Basis, product, products_with};
use coupled::Coupled;
pub use factor::Factor;
pub use pattern::Pattern;
pub use products::{Products, Squares};
use thin::Thin;
pub use thin::{FewRows, RowSolver, RowSpace};

/// A symmetric matrix `[n x n]` in f64; of a large one only what a [`Pattern`] keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    /// Of the tight parameters with each other; of all, where no pattern says otherwise; of one margin, where several are
    /// coupled.
    entries: DMatrix<f64>,
    loose: Option<Loose>,
    coupled: Option<Coupled>,
    /// The matrix, if it is of fewer rows than parameters; `entries` has none then.
    thin: Option<Thin>,
}

/// The part of a matrix that belongs to loose parameters.
#[derive(Clone, Debug, PartialEq)]
struct Loose {
    pattern: Arc<Pattern>,
    /// `[tight x loose]`.
    border: DMatrix<f64>,
    /// The diagonal `[loose]`.
    own: DVector<f64>,
}

impl Symmetric {
    fn whole(entries: DMatrix<f64>) -> Self {
        Self { entries, loose: None, coupled: None, thin: None }
    }

    /// `X'R'R X` for rows X that are kept as they are, and the diagonal R: worth it where there are fewer rows than columns.
    pub fn of_few_rows(x: Arc<FewRows>, roots: Vec<f64>) -> Self {
        Self { thin: Some(Thin::new(x, roots)), ..Self::whole(DMatrix::zeros(0, 0)) }
    }

    /// `(I - 11' / K) x margin` for the K - 1 margins of a softmax with K classes (see `coupled`).
    pub fn coupled(classes: usize, margin: &Self) -> Self {
        let entries = margin.entries.clone();
        Self { coupled: Some(Coupled::new(classes, entries.nrows())), ..Self::whole(entries) }
    }

    /// The zero matrix `[n x n]`.
    pub fn zero(n: usize) -> Self {
        Self::whole(DMatrix::zeros(n, n))
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
        Self::whole(entries)
    }

    /// As [`Symmetric::from_lower`], of what `pattern` keeps.
    pub fn of_pattern(pattern: Arc<Pattern>, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = |i: usize, j: usize| entry(i.max(j), i.min(j));
        let Pattern { tight, loose, .. } = &*pattern;
        let entries = DMatrix::from_fn(tight.len(), tight.len(), |i, j| entry(tight[i], tight[j]));
        let border = DMatrix::from_fn(tight.len(), loose.len(), |i, j| entry(tight[i], loose[j]));
        let own = DVector::from_fn(loose.len(), |i, _| entry(loose[i], loose[i]));
        Self { loose: Some(Loose { pattern, border, own }), ..Self::whole(entries) }
    }

    /// What is kept of it, if not all.
    pub fn pattern(&self) -> Option<&Arc<Pattern>> {
        self.loose.as_ref().map(|loose| &loose.pattern)
    }

    /// The number of rows.
    pub fn size(&self) -> usize {
        if let Some(coupled) = &self.coupled {
            return coupled.scaling.len();
        }
        if let Some(thin) = &self.thin {
            return thin.own.len();
        }
        self.entries.nrows() + self.loose.as_ref().map_or(0, |loose| loose.own.len())
    }

    /// The entry in row `i`, column `j`; 0 where it is not kept.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        if let Some(coupled) = &self.coupled {
            let n = self.entries.nrows();
            let scaling = coupled.scaling[i] * coupled.scaling[j];
            return scaling * coupled.share(i / n, j / n) * self.entries[(i % n, j % n)];
        }
        if let Some(thin) = &self.thin {
            return thin.get(i, j);
        }
        let Some(Loose { pattern, border, own }) = &self.loose else { return self.entries[(i, j)] };
        match (pattern.places[i], pattern.places[j]) {
            ((i, false), (j, false)) => self.entries[(i, j)],
            ((tight, false), (loose, true)) | ((loose, true), (tight, false)) => border[(tight, loose)],
            ((i, true), (j, true)) => {
                if i == j {
                    own[i]
                } else {
                    0.0
                }
            }
        }
    }

    /// The diagonal `[n]`.
    pub fn diagonal(&self) -> Vec<f64> {
        if let Some(thin) = &self.thin {
            return thin.diagonal();
        }
        (0..self.size()).map(|i| self.get(i, i)).collect()
    }

    /// The matrix with a ridge: so much of the mean of its diagonal is added to the diagonal; of coupled margins to that
    /// of each. One of few rows has a diagonal of its own, without which it has no factor, and gets none.
    #[must_use]
    pub fn ridged(&self, share: f64) -> Self {
        if self.thin.is_some() {
            return self.clone();
        }
        let mut ridged = self.clone();
        let coupled = ridged.coupled.take();
        let n = ridged.size();
        let ridge = share * ridged.diagonal().iter().sum::<f64>() / n as f64;
        ridged.add_diagonal(&vec![ridge; n]);
        Self { coupled, ..ridged }
    }

    /// Adds to the diagonal, entry by entry.
    ///
    /// # Panics
    /// If margins are coupled: theirs is not free.
    pub fn add_diagonal(&mut self, values: &[f64]) {
        assert!(self.coupled.is_none(), "the diagonal of coupled margins");
        if let Some(thin) = &mut self.thin {
            thin.own.iter_mut().zip(values).for_each(|(own, value)| *own += value);
            return;
        }
        for (i, value) in values.iter().enumerate() {
            match &mut self.loose {
                None => self.entries[(i, i)] += value,
                Some(Loose { pattern, own, .. }) => match pattern.places[i] {
                    (tight, false) => self.entries[(tight, tight)] += value,
                    (loose, true) => own[loose] += value,
                },
            }
        }
    }

    /// Takes a matrix that was summed over a sample of rows to all of them, whose `diagonal` is known.
    ///
    /// Of a matrix that is kept whole, and of coupled margins, every row and column is scaled so that the diagonal is that:
    /// it stays definite, which it need not if only its diagonal were replaced. A loose parameter gets the weight that it
    /// has in all rows, and with it what it has in common with others: as if its rows in the sample were so many more or
    /// fewer. Its diagonal alone would not do: a level and the intercept have the same rows in common as the level with
    /// itself, and what a Schur complement leaves of the intercept is their small difference.
    pub fn calibrate(&mut self, diagonal: &[f64]) {
        if self.loose.is_none() {
            return self.scale_to(diagonal);
        }
        let Some(Loose { pattern, border, own }) = &mut self.loose else { return };
        let is_one_group = pattern.count() == 1;
        for (index, &parameter) in pattern.loose.iter().enumerate() {
            let all = diagonal[parameter];
            let (factor, mut column) = (all / own[index], border.column_mut(index));
            if own[index] > 0.0 && factor.is_finite() {
                // Every row has one level of a category, so one of them weighs the tight parameters anew.
                if is_one_group {
                    self.entries.ger((factor - 1.0) / own[index], &column, &column, 1.0);
                }
                column *= factor;
            }
            own[index] = all;
        }
        for (index, &parameter) in pattern.tight.iter().enumerate() {
            let is_intercept = pattern.has_intercept && index + 1 == pattern.tight.len();
            // A column that no row of the sample has would make the matrix singular.
            if self.entries[(index, index)] <= 0.0 || is_intercept && !is_one_group {
                self.entries[(index, index)] = diagonal[parameter];
            }
        }
    }

    /// `S M S` with the diagonal S that brings the diagonal to this. Where M has none, it is put there.
    fn scale_to(&mut self, diagonal: &[f64]) {
        let before = self.diagonal();
        let scaling = before.iter().zip(diagonal).map(|(own, all)| {
            let factor = (all / own).sqrt();
            if factor > 0.0 && factor.is_finite() { factor } else { 1.0 }
        });
        let scaling = DVector::from_iterator(diagonal.len(), scaling);
        if let Some(coupled) = &mut self.coupled {
            coupled.scaling.component_mul_assign(&scaling);
            return;
        }
        if let Some(thin) = &mut self.thin {
            thin.scale_by(&scaling);
            for ((own, found), all) in thin.own.iter_mut().zip(before).zip(diagonal) {
                if found <= 0.0 {
                    *own = *all;
                }
            }
            return;
        }
        for (j, mut column) in self.entries.column_iter_mut().enumerate() {
            column.component_mul_assign(&scaling);
            column *= scaling[j];
            if column[j] <= 0.0 {
                column[j] = diagonal[j];
            }
        }
    }

    /// Multiplies every entry by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.entries *= factor;
        if let Some(thin) = &mut self.thin {
            thin.scale(factor);
        }
        if let Some(Loose { border, own, .. }) = &mut self.loose {
            *border *= factor;
            *own *= factor;
        }
    }

    fn is_whole(&self) -> bool {
        self.loose.is_none() && self.coupled.is_none() && self.thin.is_none()
    }

    /// `T'MT`, where each of the `n` columns of T has two entries at most, `parts(i)`: a row of it and what stands there.
    #[must_use]
    pub fn combined(&self, n: usize, parts: impl Fn(usize) -> [(usize, f64); 2] + Sync) -> Self {
        if let Some(thin) = &self.thin {
            return Self { thin: Some(thin.combined(n, parts)), ..Self::whole(DMatrix::zeros(0, 0)) };
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
        Self::whole(entries)
    }

    /// `M B M` of two matrices that are kept whole.
    #[must_use]
    pub fn congruence(&self, inner: &Self) -> Self {
        assert!([self, inner].iter().all(|matrix| matrix.is_whole()), "a product of what is not kept whole");
        Self::whole(dense::product(&dense::product(&self.entries, &inner.entries), &self.entries))
    }

    /// `A'M A` of one that is kept whole, with the `columns` of A, each a list of its entries: place and value.
    ///
    /// # Cost
    /// A few operations for each entry and row, not for each pair of rows.
    #[must_use]
    pub fn along(&self, columns: &[Vec<(usize, f64)>]) -> Self {
        assert!(self.is_whole(), "a product of what is not kept whole");
        let times = |column: &Vec<(usize, f64)>| {
            let mut sum = DVector::zeros(self.size());
            for &(place, value) in column {
                sum.axpy(value, &self.entries.column(place), 1.0);
            }
            columns.iter().map(|other| other.iter().map(|&(place, value)| value * sum[place]).sum()).collect()
        };
        let products: Vec<Vec<f64>> = columns.par_iter().map(times).collect();
        Self::from_lower(columns.len(), |i, j| products[j][i])
    }

    /// `M v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        if let Some(coupled) = &self.coupled {
            return coupled.times(v, |v| &self.entries * v);
        }
        if let Some(thin) = &self.thin {
            return thin.times(v);
        }
        let Some(Loose { pattern, border, own }) = &self.loose else {
            return (&self.entries * DVector::from_column_slice(v)).iter().copied().collect();
        };
        let (tight, loose) = pattern.split(v);
        let of_tight = &self.entries * &tight + border * &loose;
        let of_loose = border.tr_mul(&tight) + own.component_mul(&loose);
        pattern.join(&of_tight, &of_loose)
    }

    /// The matrix of the rows and columns `kept`, in their order, of one that is kept whole.
    #[must_use]
    pub fn restricted(&self, kept: &[usize]) -> Self {
        if let Some(thin) = &self.thin {
            return Self { thin: Some(thin.restricted(kept)), ..Self::whole(DMatrix::zeros(0, 0)) };
        }
        Self::from_lower(kept.len(), |i, j| self.get(kept[i], kept[j]))
    }

    /// Whether all entries are finite.
    pub fn is_finite(&self) -> bool {
        let of_loose = |Loose { border, own, .. }: &Loose| border.iter().chain(own.iter()).all(|x| x.is_finite());
        self.thin.as_ref().is_none_or(Thin::is_finite)
            && self.entries.iter().all(|x| x.is_finite())
            && self.loose.as_ref().is_none_or(of_loose)
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
        let mut coupled = Symmetric::coupled(4, &margin);
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
            let ridged = Symmetric::coupled(4, &margin.ridged(0.5)).diagonal();
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
        let Some(Loose { border, own, .. }) = &mut kept.loose else { panic!("it is not kept whole") };
        let column = border.column(0) * 0.5;
        kept.entries.ger(-0.5 / own[0], &border.column(0), &border.column(0), 1.0);
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
        let Some(Loose { border, own, .. }) = &mut kept.loose else { panic!("it is not kept whole") };
        for (index, factor) in [0.5, 1.0, 3.0, 0.25, 2.0].into_iter().enumerate() {
            border.column_mut(index).scale_mut(factor);
            own[index] *= factor;
        }
        // The intercept of the sample: of three tight columns the last.
        kept.entries[(2, 2)] *= 0.9;
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
            let Some(Loose { border, own, .. }) = &mut kept.loose else { panic!("it is not kept whole") };
            border.row_mut(0).fill(0.0);
            border.column_mut(1).fill(0.0);
            own[1] = 0.0;
            kept.entries.row_mut(0).fill(0.0);
            kept.entries.column_mut(0).fill(0.0);
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
