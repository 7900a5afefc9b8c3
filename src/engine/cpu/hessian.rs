//! Products of columns with weighted columns where rows stand: `X'FX`, the Hessian or the scatter. In three ways.
//!
//! One margin has factors of at least 0, so its product is `A'A` with `A = F^1/2 X`, of which one side is kept; where there are
//! many columns, panel by panel of A on all cores; where there are fewer rows than columns, as A itself. The factors of two
//! margins may be negative, so with several margins it is `(F X)'X` for each pair of them.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;
use std::sync::Arc;

use crate::engine::cpu::lookup::Lookup;
use crate::engine::cpu::loss::{Factors, Loss, Tile, TileSink};
use crate::engine::cpu::product::{Entries, PRODUCT_ROWS, edge, rows_at_once};
use crate::fold::Monoid;
use crate::matrix::Symmetric;
use crate::vectors::Aligned;
use crate::vectors::dots::EIGHT;

/// The roots of the weighted factors of a tile's rows.
#[inline(always)]
fn roots_of<L: Loss>(loss: L, tile: &Tile<'_, L>, what: Factors, roots: &mut [f64]) {
    loss.weighted_factors(tile, what, (0, 0), roots);
    for root in roots {
        *root = root.sqrt();
    }
}

/// `X'FX` of rows with one margin, x extended by 1, from few columns.
pub(super) struct Square<'t, L> {
    loss: L,
    what: Factors,
    entries: Entries<'t>,
    rows: usize,
    /// `A`, `[edge][rows]`.
    columns: Aligned,
}

impl<'t, L: Loss> Square<'t, L> {
    pub(super) fn new(lookup: &'t Lookup, loss: L, what: Factors) -> Self {
        let edge = edge(lookup);
        let rows = rows_at_once(edge);
        Self { loss, what, entries: Entries::new(lookup), rows, columns: Aligned::zeros(edge * rows) }
    }

    pub(super) fn into_entries(self) -> Entries<'t> {
        self.entries
    }

    /// Adds the rows whose columns are in `self.columns`.
    fn multiply(&mut self) {
        let rows = self.rows;
        // Eight columns stay in the first-level cache while all the others pass by.
        for j in (0..=self.entries.lookup().plain()).step_by(EIGHT) {
            let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &self.columns[(j + k) * rows..][..rows]);
            self.entries.add_eight(j, eight, &self.columns, rows);
        }
    }

    /// Adds the rows whose columns are in `self.columns`, and whose codes and roots of the factors are these.
    fn add_levels(&mut self, codes: &[(&[f32], Range<usize>)], roots: &[f64]) {
        let mut terms = [0.0; PRODUCT_ROWS];
        let terms = &mut terms[..roots.len()];
        for j in 0..=self.entries.lookup().plain() {
            for ((term, a), root) in terms.iter_mut().zip(&self.columns[j * self.rows..]).zip(roots) {
                *term = a * root;
            }
            self.entries.add_by_levels(j, codes, terms);
        }
        // The last terms are the factors themselves.
        self.entries.add_by_pairs(codes, terms);
    }
}

impl<L: Loss> TileSink<L> for Square<'_, L> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_, L>) {
        let plain = self.entries.lookup().plain();
        let mut roots = [0.0; PRODUCT_ROWS];
        let roots = &mut roots[..tile.labels.len()];
        roots_of(self.loss, tile, self.what, roots);
        for first in (0..roots.len()).step_by(self.rows) {
            let rows = self.rows.min(roots.len() - first);
            let columns = tile.columns.part(first, rows);
            let roots = &roots[first..first + rows];
            // Beyond the last row the columns hold zeros.
            for j in 0..plain {
                let target = &mut self.columns[j * self.rows..][..self.rows];
                for ((a, x), root) in target.iter_mut().zip(columns.column(j)).zip(roots) {
                    *a = f64::from(*x) * root;
                }
                target[rows..].fill(0.0);
            }
            let ones = &mut self.columns[plain * self.rows..][..self.rows];
            ones[..rows].copy_from_slice(roots);
            ones[rows..].fill(0.0);
            self.multiply();
            if self.entries.lookup().count() > 0 {
                let codes: Vec<_> = columns.codes().collect();
                self.add_levels(&codes, roots);
            }
        }
    }
}

/// The product of one margin divided by `n`, by parameters, the intercept last; as far as the pattern of the tables keeps it.
pub(super) fn matrix_of(entries: &Entries<'_>, n: f64) -> Symmetric {
    let lookup = entries.lookup();
    let of_parameters = entries.by_parameters();
    let entry = |i: usize, j: usize| of_parameters(i, j) / n;
    match lookup.pattern() {
        None => Symmetric::from_lower(lookup.parameters(), entry),
        Some(pattern) => Symmetric::of_pattern(Arc::new(pattern), entry),
    }
}

/// From so many columns on, the 1 included, products are made by panels of rows.
const WIDE: usize = 128;

/// Whether products of so wide rows are made by panels: sums by code are not.
pub(super) fn is_wide(lookup: &Lookup) -> bool {
    lookup.count() == 0 && lookup.plain() >= WIDE
}

/// `F^1/2 X` of the rows of a block with one margin, x extended by 1, for one product of all of them.
pub(super) struct Panel<L> {
    loss: L,
    what: Factors,
    rows: usize,
    taken: usize,
    /// `[columns][rows]`.
    columns: Vec<f64>,
}

impl<L> Panel<L> {
    /// Of `rows` rows and so many columns, the 1 included, in `memory` that another one is done with.
    pub(super) fn new(columns: usize, rows: usize, loss: L, what: Factors, mut memory: Vec<f64>) -> Self {
        memory.resize(columns * rows, 0.0);
        Self { loss, what, rows, taken: 0, columns: memory }
    }

    /// `[columns][rows]`.
    pub(super) fn into_columns(self) -> Vec<f64> {
        self.columns
    }
}

impl<L: Loss> TileSink<L> for Panel<L> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_, L>) {
        let mut roots = [0.0; PRODUCT_ROWS];
        let rows = tile.labels.len();
        let roots = &mut roots[..rows];
        roots_of(self.loss, tile, self.what, roots);
        let mut targets = self.columns.chunks_exact_mut(self.rows).map(|column| &mut column[self.taken..][..rows]);
        for (j, target) in targets.by_ref().take(tile.columns.lookup.plain()).enumerate() {
            for ((a, x), root) in target.iter_mut().zip(tile.columns.column(j)).zip(&*roots) {
                *a = f64::from(*x) * root;
            }
        }
        if let Some(ones) = targets.next() {
            ones.copy_from_slice(roots);
        }
        self.taken += rows;
    }
}

/// The roots of the factors of the rows of a block with one margin.
pub(super) struct Roots<L> {
    loss: L,
    what: Factors,
    of_rows: Vec<f64>,
}

impl<L> Roots<L> {
    pub(super) fn new(rows: usize, loss: L, what: Factors) -> Self {
        Self { loss, what, of_rows: Vec::with_capacity(rows) }
    }

    /// `[rows]`.
    pub(super) fn into_roots(self) -> Vec<f64> {
        self.of_rows
    }
}

impl<L: Loss> TileSink<L> for Roots<L> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_, L>) {
        let mut roots = [0.0; PRODUCT_ROWS];
        let roots = &mut roots[..tile.labels.len()];
        roots_of(self.loss, tile, self.what, roots);
        self.of_rows.extend_from_slice(roots);
    }
}

/// `X'F_ml X` of rows for all pairs of margins `l <= m`, x extended by 1: eight columns are multiplied by the factors at a
/// time.
pub(super) struct Pairs<'t, L> {
    loss: L,
    what: Factors,
    products: PairEntries<'t>,
    /// The plain columns that it is of, if it is not of all.
    chosen: Option<&'t [usize]>,
    rows: usize,
    /// X, `[edge][rows]`.
    columns: Aligned,
    /// `F X`, `[8][rows]`.
    left: Aligned,
}

/// The entries of the pairs `(0, 0), (1, 0), (1, 1), (2, 0), ..`.
pub(super) struct PairEntries<'t>(Vec<Entries<'t>>);

impl Monoid for PairEntries<'_> {
    fn join(&mut self, following: Self) {
        for (pair, following) in self.0.iter_mut().zip(following.0) {
            pair.join(following);
        }
    }
}

impl<'t> PairEntries<'t> {
    pub(super) fn new(lookup: &'t Lookup, margins: usize) -> Self {
        Self((0..margins * (margins + 1) / 2).map(|_| Entries::new(lookup)).collect())
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Entries::bytes).sum()
    }

    /// The products divided by `n`, by parameters: margin by margin, the intercept of each last.
    pub(super) fn matrix(&self, margins: usize, n: f64) -> Symmetric {
        let pairs: Vec<_> = self.0.iter().map(Entries::by_parameters).collect();
        let size = self.0.first().map_or(0, |entries| entries.lookup().parameters());
        Symmetric::from_lower(margins * size, |i, j| {
            let (m, l) = (i / size, j / size);
            pairs[m * (m + 1) / 2 + l](i % size, j % size) / n
        })
    }
}

impl<'t, L: Loss> Pairs<'t, L> {
    pub(super) fn new(lookup: &'t Lookup, loss: L, what: Factors) -> Self {
        Self::of_columns(lookup, None, loss, what)
    }

    /// As [`Pairs::new`], of the plain columns that are `chosen`, with tables of their own.
    pub(super) fn of_columns(lookup: &'t Lookup, chosen: Option<&'t [usize]>, loss: L, what: Factors) -> Self {
        let edge = edge(lookup);
        let rows = rows_at_once(edge);
        Self {
            loss,
            what,
            products: PairEntries::new(lookup, loss.margins()),
            chosen,
            rows,
            columns: Aligned::zeros(edge * rows),
            left: Aligned::zeros(EIGHT * rows),
        }
    }

    pub(super) fn into_entries(self) -> PairEntries<'t> {
        self.products
    }
}

impl<L: Loss> TileSink<L> for Pairs<'_, L> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_, L>) {
        let Self { loss, what, products: PairEntries(pairs), chosen, rows: at_once, columns: wide, left } = self;
        let plain = pairs.first().map_or(0, |pair| pair.lookup().plain());
        let n = tile.labels.len();
        let codes: Vec<_> = tile.columns.codes().collect();
        for first in (0..n).step_by(*at_once) {
            let rows = (*at_once).min(n - first);
            let part = tile.columns.part(first, rows);
            for (j, target) in wide.chunks_exact_mut(*at_once).enumerate().take(plain) {
                for (target, x) in target.iter_mut().zip(part.column(chosen.map_or(j, |chosen| chosen[j]))) {
                    *target = f64::from(*x);
                }
            }
            wide[plain * *at_once..][..rows].fill(1.0);
            let codes: Vec<_> =
                codes.iter().map(|(codes, places)| (&codes[first..first + rows], places.clone())).collect();
            let of_margins = (0..loss.margins()).flat_map(|m| (0..=m).map(move |l| (m, l)));
            for (pair, of_margins) in pairs.iter_mut().zip(of_margins) {
                let mut factor = [0.0; PRODUCT_ROWS];
                loss.weighted_factors(tile, *what, of_margins, &mut factor[..n]);
                let factor = &factor[first..first + rows];
                for j in (0..=plain).step_by(EIGHT) {
                    for (k, left) in left.chunks_exact_mut(*at_once).enumerate() {
                        for ((left, x), f) in left.iter_mut().zip(&wide[(j + k) * *at_once..]).zip(factor) {
                            *left = x * f;
                        }
                    }
                    let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &left[k * *at_once..][..rows]);
                    pair.add_eight(j, eight, wide, *at_once);
                    for (k, terms) in eight.iter().enumerate().take(plain + 1 - j) {
                        pair.add_by_levels(j + k, &codes, terms);
                    }
                }
                pair.add_by_pairs(&codes, factor);
            }
        }
    }
}
