//! What is kept of a large matrix: a dense block, its border, and of a diagonal block the diagonal; and the factor of that.

use std::sync::Arc;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use crate::matrix::dense;

/// Which parameters of a [`Symmetric`](super::Symmetric) are loose: of those nothing is kept but their own entries on the
/// diagonal and what they have in common with the others, which are tight. Levels of a category are so, because no row has
/// two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Parameters that are tight, and those that are loose, ascending.
    pub(super) tight: Vec<usize>,
    pub(super) loose: Vec<usize>,
    /// Of each parameter: its index among its like, and whether it is loose.
    pub(super) places: Vec<(usize, bool)>,
    /// The group of each loose parameter. Those of one group have nothing in common; what those of two groups have is left
    /// out.
    pub(super) groups: Vec<usize>,
    /// Whether the last parameter is an intercept, with which a loose one has all its rows in common.
    pub(super) has_intercept: bool,
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
    pub(super) fn count(&self) -> usize {
        let mut groups = self.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    }

    /// The tight and the loose part of a vector.
    pub(super) fn split(&self, v: &[f64]) -> (DVector<f64>, DVector<f64>) {
        let part = |indices: &[usize]| DVector::from_iterator(indices.len(), indices.iter().map(|&i| v[i]));
        (part(&self.tight), part(&self.loose))
    }

    pub(super) fn join(&self, tight: &DVector<f64>, loose: &DVector<f64>) -> Vec<f64> {
        self.places.iter().map(|&(index, is_loose)| if is_loose { loose[index] } else { tight[index] }).collect()
    }
}

/// What a [`Pattern`] keeps of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arrowhead {
    pattern: Arc<Pattern>,
    /// Of the tight parameters with each other.
    pub(super) entries: DMatrix<f64>,
    /// `[tight x loose]`.
    pub(super) border: DMatrix<f64>,
    /// The diagonal `[loose]`.
    pub(super) own: DVector<f64>,
}

impl Arrowhead {
    /// With `entry(i, j)` for `j <= i`.
    pub(super) fn new(pattern: Arc<Pattern>, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = |i: usize, j: usize| entry(i.max(j), i.min(j));
        let Pattern { tight, loose, .. } = &*pattern;
        let entries = DMatrix::from_fn(tight.len(), tight.len(), |i, j| entry(tight[i], tight[j]));
        let border = DMatrix::from_fn(tight.len(), loose.len(), |i, j| entry(tight[i], loose[j]));
        let own = DVector::from_fn(loose.len(), |i, _| entry(loose[i], loose[i]));
        Self { pattern, entries, border, own }
    }

    pub(super) fn pattern(&self) -> &Arc<Pattern> {
        &self.pattern
    }

    pub(super) fn size(&self) -> usize {
        self.pattern.places.len()
    }

    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        match (self.pattern.places[i], self.pattern.places[j]) {
            ((i, false), (j, false)) => self.entries[(i, j)],
            ((tight, false), (loose, true)) | ((loose, true), (tight, false)) => self.border[(tight, loose)],
            ((i, true), (j, true)) => {
                if i == j {
                    self.own[i]
                } else {
                    0.0
                }
            }
        }
    }

    pub(super) fn add_diagonal(&mut self, values: &[f64]) {
        for (value, place) in values.iter().zip(&self.pattern.places) {
            match *place {
                (tight, false) => self.entries[(tight, tight)] += value,
                (loose, true) => self.own[loose] += value,
            }
        }
    }

    pub(super) fn scale(&mut self, factor: f64) {
        self.entries *= factor;
        self.border *= factor;
        self.own *= factor;
    }

    pub(super) fn is_finite(&self) -> bool {
        self.entries.iter().chain(self.border.iter()).chain(self.own.iter()).all(|x| x.is_finite())
    }

    pub(super) fn times(&self, v: &[f64]) -> Vec<f64> {
        let (tight, loose) = self.pattern.split(v);
        let of_tight = &self.entries * &tight + &self.border * &loose;
        let of_loose = self.border.tr_mul(&tight) + self.own.component_mul(&loose);
        self.pattern.join(&of_tight, &of_loose)
    }

    /// Takes what was summed over a sample of rows to all of them, whose `diagonal` is known.
    ///
    /// A loose parameter gets the weight that it has in all rows, and with it what it has in common with others: as if its
    /// rows in the sample were so many more or fewer. Its diagonal alone would not do: a level and the intercept have the
    /// same rows in common as the level with itself, and what a Schur complement leaves of the intercept is their small
    /// difference.
    pub(super) fn calibrate(&mut self, diagonal: &[f64]) {
        let Self { pattern, entries, border, own } = self;
        let is_one_group = pattern.count() == 1;
        for (index, &parameter) in pattern.loose.iter().enumerate() {
            let all = diagonal[parameter];
            let (factor, mut column) = (all / own[index], border.column_mut(index));
            if own[index] > 0.0 && factor.is_finite() {
                // Every row has one level of a category, so one of them weighs the tight parameters anew.
                if is_one_group {
                    entries.ger((factor - 1.0) / own[index], &column, &column, 1.0);
                }
                column *= factor;
            }
            own[index] = all;
        }
        for (index, &parameter) in pattern.tight.iter().enumerate() {
            let is_intercept = pattern.has_intercept && index + 1 == pattern.tight.len();
            // A column that no row of the sample has would make the matrix singular.
            if entries[(index, index)] <= 0.0 || is_intercept && !is_one_group {
                entries[(index, index)] = diagonal[parameter];
            }
        }
    }

    /// The factor, by the Schur complement of the loose part: exact for one group, and for several as good as they are
    /// independent (see [`Centring`]). `None` if the matrix is not positive definite.
    pub(super) fn factor(&self) -> Option<ArrowheadFactor> {
        let Self { pattern, entries, border, own } = self;
        if !own.iter().all(|x| *x > 0.0) {
            return None;
        }
        let count = pattern.count();
        let (mut entries, mut border, mut centring) = (entries.clone(), border.clone(), None);
        if count > 1 && pattern.has_intercept {
            let found = Centring::new(pattern, &entries, &border, own)?;
            found.centre(&mut entries, &mut border);
            centring = Some(found);
        }
        [1.0, count as f64].into_iter().find_map(|times| {
            let own = own * times;
            let solve = |v: &DVector<f64>| solve_loose(centring.as_ref(), &own, times, v);
            let mut shares = border.clone();
            for (index, row) in border.row_iter().enumerate() {
                shares.set_row(index, &solve(&row.transpose()).transpose());
            }
            let mut complement = entries.clone();
            complement.gemm(-1.0, &shares, &border.transpose(), 1.0);
            let cholesky = dense::cholesky(complement)?;
            let (pattern, centring) = (Arc::clone(pattern), centring.clone());
            Some(ArrowheadFactor { pattern, cholesky, shares, own, centring, times })
        })
    }
}

/// The inverse of the loose block, `own` its diagonal times so much, times `v`.
fn solve_loose(centring: Option<&Centring>, own: &DVector<f64>, times: f64, v: &DVector<f64>) -> DVector<f64> {
    match centring {
        None => v.component_div(own),
        Some(centring) => centring.solve(v, own, times),
    }
}

/// The factor of an [`Arrowhead`].
#[derive(Clone, Debug)]
pub(super) struct ArrowheadFactor {
    pattern: Arc<Pattern>,
    /// Of the Schur complement of the loose part.
    cholesky: Cholesky<f64, Dyn>,
    /// The border times the inverse of the loose block, `[tight x loose]`.
    shares: DMatrix<f64>,
    /// The diagonal, `times` what it was.
    own: DVector<f64>,
    /// In the coordinates of which all of it is.
    centring: Option<Centring>,
    pub(super) times: f64,
}

impl ArrowheadFactor {
    pub(super) fn size(&self) -> usize {
        self.pattern.places.len()
    }

    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let Self { pattern, cholesky, shares, own, centring, times } = self;
        let (mut tight, mut loose) = pattern.split(b);
        let last = tight.len().saturating_sub(1);
        if let Some(centring) = centring {
            let intercept = tight[last];
            tight.axpy(-intercept, &centring.tight_means, 1.0);
            loose.axpy(-intercept, &centring.loose_means, 1.0);
        }
        let mut tight = cholesky.solve(&(tight - shares * &loose));
        let loose = solve_loose(centring.as_ref(), own, *times, &loose) - shares.tr_mul(&tight);
        if let Some(centring) = centring {
            tight[last] -= centring.tight_means.dot(&tight) + centring.loose_means.dot(&loose);
        }
        pattern.join(&tight, &loose)
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
