//! Symmetric matrices: Hessians, whole or as far as they are kept. The only place that knows nalgebra.

mod coupled;

use std::sync::Arc;

use coupled::Coupled;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Which parameters of a [`Symmetric`] are loose: of those nothing is kept but their own entries on the diagonal and what
/// they have in common with the others, which are tight. Levels of a category are so, because no row has two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Parameters that are tight, and those that are loose, ascending.
    tight: Vec<usize>,
    loose: Vec<usize>,
    /// Of each parameter: its index among its like, and whether it is loose.
    places: Vec<(usize, bool)>,
    /// The group of each loose parameter. Those of one group have nothing in common; what those of two groups have is left
    /// out.
    groups: Vec<usize>,
    /// Whether the last parameter is an intercept, with which a loose one has all its rows in common.
    has_intercept: bool,
}

impl Pattern {
    /// From the group of each parameter, if it is loose. The last parameter is an intercept if there is one; it is tight.
    pub fn new(groups: &[Option<usize>], has_intercept: bool) -> Self {
        let (mut tight, mut loose) = (Vec::new(), Vec::new());
        let places = groups.iter().enumerate().map(|(index, group)| {
            let like = if group.is_some() { &mut loose } else { &mut tight };
            like.push(index);
            (like.len() - 1, group.is_some())
        });
        Self {
            places: places.collect(),
            tight,
            loose,
            groups: groups.iter().flatten().copied().collect(),
            has_intercept,
        }
    }

    /// The group of a parameter, if it is loose.
    pub fn group(&self, index: usize) -> Option<usize> {
        let (place, is_loose) = self.places[index];
        is_loose.then(|| self.groups[place])
    }

    /// The number of groups of loose parameters.
    fn count(&self) -> usize {
        let mut groups = self.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    }
}

/// A symmetric matrix `[n x n]` in f64; of a large one only what a [`Pattern`] keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    /// Of the tight parameters with each other; of all, where no pattern says otherwise; of one margin, where several are
    /// coupled.
    entries: DMatrix<f64>,
    loose: Option<Loose>,
    coupled: Option<Coupled>,
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
        Self { entries, loose: None, coupled: None }
    }

    /// `(I - 11' / K) x margin` for the K - 1 margins of a softmax with K classes (see `coupled`).
    pub fn coupled(classes: usize, margin: &Self) -> Self {
        let entries = margin.entries.clone();
        Self { coupled: Some(Coupled::new(classes, entries.nrows())), entries, loose: None }
    }

    /// The zero matrix `[n x n]`.
    pub fn zero(n: usize) -> Self {
        Self::whole(DMatrix::zeros(n, n))
    }

    /// The matrix with `entry(i, j)` for `j <= i`, and its mirror image above.
    pub fn from_lower(n: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        Self::whole(DMatrix::from_fn(n, n, |i, j| entry(i.max(j), i.min(j))))
    }

    /// As [`Symmetric::from_lower`], of what `pattern` keeps.
    pub fn of_pattern(pattern: Arc<Pattern>, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = |i: usize, j: usize| entry(i.max(j), i.min(j));
        let Pattern { tight, loose, .. } = &*pattern;
        let entries = DMatrix::from_fn(tight.len(), tight.len(), |i, j| entry(tight[i], tight[j]));
        let border = DMatrix::from_fn(tight.len(), loose.len(), |i, j| entry(tight[i], loose[j]));
        let own = DVector::from_fn(loose.len(), |i, _| entry(loose[i], loose[i]));
        Self { entries, loose: Some(Loose { pattern, border, own }), coupled: None }
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
        self.entries.nrows() + self.loose.as_ref().map_or(0, |loose| loose.own.len())
    }

    /// The entry in row `i`, column `j`; 0 where it is not kept.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        if let Some(coupled) = &self.coupled {
            let n = self.entries.nrows();
            let scaling = coupled.scaling[i] * coupled.scaling[j];
            return scaling * coupled.share(i / n, j / n) * self.entries[(i % n, j % n)];
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
        (0..self.size()).map(|i| self.get(i, i)).collect()
    }

    /// The matrix with a ridge: so much of the mean of its diagonal is added to the diagonal; of coupled margins to that
    /// of each.
    #[must_use]
    pub fn ridged(&self, share: f64) -> Self {
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
        let scaling = self.diagonal().into_iter().zip(diagonal).map(|(own, all)| {
            let factor = (all / own).sqrt();
            if factor > 0.0 && factor.is_finite() { factor } else { 1.0 }
        });
        let scaling = DVector::from_iterator(diagonal.len(), scaling);
        if let Some(coupled) = &mut self.coupled {
            coupled.scaling.component_mul_assign(&scaling);
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
        if let Some(Loose { border, own, .. }) = &mut self.loose {
            *border *= factor;
            *own *= factor;
        }
    }

    /// `M B M` of two matrices that are kept whole.
    #[must_use]
    pub fn congruence(&self, inner: &Self) -> Self {
        let are_whole = [self, inner].iter().all(|matrix| matrix.loose.is_none() && matrix.coupled.is_none());
        assert!(are_whole, "a product of what is not kept whole");
        Self::whole(&self.entries * &inner.entries * &self.entries)
    }

    /// `A'M A` of one that is kept whole, with the `columns` of A.
    #[must_use]
    pub fn along(&self, columns: &[Vec<f64>]) -> Self {
        assert!(self.loose.is_none() && self.coupled.is_none(), "a product of what is not kept whole");
        let a = DMatrix::from_fn(self.size(), columns.len(), |i, j| columns[j][i]);
        Self::whole(a.tr_mul(&(&self.entries * &a)))
    }

    /// `M v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        if let Some(coupled) = &self.coupled {
            return coupled.times(v, |v| &self.entries * v);
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
        Self::from_lower(kept.len(), |i, j| self.get(kept[i], kept[j]))
    }

    /// Whether all entries are finite.
    pub fn is_finite(&self) -> bool {
        let of_loose = |Loose { border, own, .. }: &Loose| border.iter().chain(own.iter()).all(|x| x.is_finite());
        self.entries.iter().all(|x| x.is_finite()) && self.loose.as_ref().is_none_or(of_loose)
    }

    /// The Cholesky factor; `None` if the matrix is not positive definite. That of a pattern is of the Schur complement
    /// of its loose part: exact for one group, and for several as good as they are independent (see `Centring`).
    pub fn factor(&self) -> Option<Factor> {
        let Some(Loose { pattern, border, own }) = &self.loose else {
            let coupled = self.coupled.clone();
            return self.entries.clone().cholesky().map(|cholesky| Factor { cholesky, loose: None, coupled });
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
            complement.cholesky().map(|cholesky| Factor { cholesky, loose, coupled: None })
        })
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

impl Pattern {
    /// The tight and the loose part of a vector.
    fn split(&self, v: &[f64]) -> (DVector<f64>, DVector<f64>) {
        let part = |indices: &[usize]| DVector::from_iterator(indices.len(), indices.iter().map(|&i| v[i]));
        (part(&self.tight), part(&self.loose))
    }

    fn join(&self, tight: &DVector<f64>, loose: &DVector<f64>) -> Vec<f64> {
        self.places.iter().map(|&(index, is_loose)| if is_loose { loose[index] } else { tight[index] }).collect()
    }
}

/// The Cholesky factor of a positive definite [`Symmetric`].
#[derive(Clone, Debug)]
pub struct Factor {
    /// Of the matrix, or of the Schur complement of its loose part.
    cholesky: Cholesky<f64, Dyn>,
    loose: Option<Box<LooseFactor>>,
    coupled: Option<Coupled>,
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

impl Factor {
    /// Solves `M x = b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        if let Some(coupled) = &self.coupled {
            return coupled.solve(b, &self.cholesky);
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

    /// `M^-1`.
    pub fn inverse(&self) -> Symmetric {
        let n = match (&self.loose, &self.coupled) {
            (None, None) => return Symmetric::whole(self.cholesky.inverse()),
            (Some(factor), _) => factor.pattern.places.len(),
            (None, Some(coupled)) => coupled.scaling.len(),
        };
        let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        let columns: Vec<Vec<f64>> = (0..n).map(|i| self.solve(&unit(i))).collect();
        Symmetric::from_lower(n, |i, j| columns[j][i])
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
        let along = matrix.along(&columns);
        assert_eq!(along.size(), 2);
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns.iter().enumerate() {
                let expected: f64 = matrix.times(b).iter().zip(a).map(|(x, y)| x * y).sum();
                assert!((along.get(i, j) - expected).abs() <= 1e-13, "{i} {j}");
            }
        }
    }

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

    /// Weighted rows of two plain columns, two categories of three and of two levels beside the reference, and an
    /// intercept: what is kept of `X'X`.
    fn of_rows(groups: &[Option<usize>], dependent: bool) -> [Symmetric; 2] {
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

    fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
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
