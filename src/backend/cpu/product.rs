//! The product of columns with weighted columns: Hessians and scatters.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;
use std::sync::Arc;

use crate::backend::cpu::block::{Beside, Tile, add_by_code, weigh};
use crate::backend::cpu::tables::Tables;
use crate::matrix::Symmetric;
use crate::vectors::dots::{EIGHT, eight_dots};
use crate::vectors::{Aligned, LANES};

/// Rows of the product at once at most: eight columns of them fill half of a first-level cache.
const PRODUCT_ROWS: usize = 256;

/// The entries of `X'FX`, x extended by 1: the part on and below the diagonal. The levels of a category share no row, so
/// theirs are sums by code.
pub(super) struct Entries<'t> {
    tables: &'t Tables,
    /// Plain features, the 1 and what fills the last eight.
    edge: usize,
    /// Of plain columns and the 1, `[edge][edge]`; only what is on and below the diagonal is used.
    plain: Vec<f64>,
    /// `[plain + 1][levels]`: of plain columns and the 1 with levels.
    with_levels: Vec<f64>,
    /// Of each pair of categories, the earlier one first, its levels with those of the other: `[levels][levels]`. Of
    /// two that are loose nothing is kept.
    of_pairs: Vec<Vec<f64>>,
}

/// `X'FX` of rows, x extended by 1, with a factor of at least 0 for each row from its margin and label, times the row
/// weight. Of the plain columns it is `A'A` with `A = F^1/2 X`, so only one side is kept.
pub(super) struct Product<'t, F> {
    factor: F,
    entries: Entries<'t>,
    rows: usize,
    /// `A`, `[edge][rows]`.
    columns: Aligned,
}

/// Where a parameter stands in [`Entries`].
#[derive(Clone, Copy)]
enum Place {
    /// A plain column or the 1, by its index in `A`.
    Plain(usize),
    /// A level, by its category and its code.
    Level(usize, usize),
}

/// Columns of a product, a multiple of eight: plain features, the 1 and what fills the last eight.
pub(super) fn edge(tables: &Tables) -> usize {
    (tables.plain() + 1).next_multiple_of(EIGHT)
}

/// Rows of a product of `edge` columns at once: 512 KiB of columns at most, which a second-level cache holds, and at
/// least a few rows.
pub(super) fn rows_at_once(edge: usize) -> usize {
    ((64 << 10) / edge).next_power_of_two().clamp(4 * LANES, PRODUCT_ROWS)
}

impl<'t> Entries<'t> {
    pub(super) fn new(tables: &'t Tables) -> Self {
        let edge = edge(tables);
        Self {
            tables,
            edge,
            plain: vec![0.0; edge * edge],
            with_levels: vec![0.0; (tables.plain() + 1) * tables.places_of_levels()],
            of_pairs: pairs(tables).map(|(a, b)| vec![0.0; tables.levels(a) * tables.levels(b)]).collect(),
        }
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        8 * (self.plain.len() + self.with_levels.len() + self.of_pairs.iter().map(Vec::len).sum::<usize>())
    }

    /// The entries by parameters, the intercept last.
    pub(super) fn by_parameters(&self) -> impl Fn(usize, usize) -> f64 + '_ {
        let tables = self.tables;
        let plain = tables.plain();
        let levels = (0..tables.count())
            .flat_map(|category| (1..tables.levels(category)).map(move |code| Place::Level(category, code)));
        let places: Vec<Place> = (0..plain).map(Place::Plain).chain(levels).chain([Place::Plain(plain)]).collect();
        move |i, j| self.entry(places[i], places[j])
    }

    fn entry(&self, a: Place, b: Place) -> f64 {
        let tables = self.tables;
        let with_level = |row: usize, category: usize, code: usize| {
            self.with_levels[row * tables.places_of_levels() + tables.start(category) - tables.plain() + code]
        };
        match (a, b) {
            (Place::Plain(i), Place::Plain(j)) => self.plain[i.max(j) * self.edge + i.min(j)],
            (Place::Plain(i), Place::Level(c, l)) | (Place::Level(c, l), Place::Plain(i)) => with_level(i, c, l),
            // Of a level with itself: 1 is its own square. Of two levels of one category: no row has both.
            (Place::Level(c, l), Place::Level(d, m)) if c == d => {
                if l == m {
                    with_level(tables.plain(), c, l)
                } else {
                    0.0
                }
            }
            (Place::Level(c, l), Place::Level(d, m)) => {
                let ((c, l), (d, m)) = if c < d { ((c, l), (d, m)) } else { ((d, m), (c, l)) };
                let pair = pairs(tables).position(|pair| pair == (c, d)).expect("asked for only where it is kept");
                self.of_pairs[pair][l * tables.levels(d) + m]
            }
        }
    }

    /// Adds others of the same size.
    pub(super) fn add(&mut self, other: &Self) {
        let plain = [(&mut self.plain, &other.plain), (&mut self.with_levels, &other.with_levels)];
        for (sums, terms) in plain.into_iter().chain(self.of_pairs.iter_mut().zip(&other.of_pairs)) {
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        }
    }

    /// Adds the products of eight columns from `first` on, `[rows]` each, with all columns from there on,
    /// `[edge][stride]`.
    pub(super) fn add_eight(&mut self, first: usize, eight: [&[f64]; EIGHT], columns: &[f64], stride: usize) {
        for i in first..=self.tables.plain() {
            let products = eight_dots(eight, &columns[i * stride..][..eight[0].len()]);
            for (sum, product) in self.plain[i * self.edge + first..].iter_mut().zip(products) {
                *sum += product;
            }
        }
    }

    /// Adds `factor v v'` for `v` of all places but the intercept's, except to the pairs of levels.
    pub(super) fn add_square(&mut self, v: &[f64], factor: f64) {
        let (plain, levels) = v.split_at(self.tables.plain());
        let with_levels = self.with_levels.chunks_exact_mut(levels.len().max(1));
        for (i, scaled) in plain.iter().map(|v| factor * v).enumerate() {
            for (sum, v) in self.plain[i * self.edge..].iter_mut().zip(&plain[..=i]) {
                *sum += scaled * v;
            }
        }
        for (sums, scaled) in with_levels.zip(plain.iter().map(|v| factor * v)) {
            for (sum, v) in sums.iter_mut().zip(levels) {
                *sum += scaled * v;
            }
        }
    }

    /// Adds the terms of rows, those of column `j` or of the 1, to the levels that the rows have.
    #[inline(always)]
    pub(super) fn add_by_levels(&mut self, j: usize, codes: &[(&[f32], Range<usize>)], terms: &[f64]) {
        let levels = self.tables.places_of_levels();
        for (codes, places) in codes {
            let first = j * levels + places.start - self.tables.plain();
            add_by_code(&mut self.with_levels[first..][..places.len()], codes, terms);
        }
    }

    /// Adds the factors of rows to the pairs of levels that the rows have.
    #[inline(always)]
    pub(super) fn add_by_pairs(&mut self, codes: &[(&[f32], Range<usize>)], factors: &[f64]) {
        for ((a, b), sums) in pairs(self.tables).zip(&mut self.of_pairs) {
            let width = self.tables.levels(b);
            for ((l, m), factor) in codes[a].0.iter().zip(codes[b].0).zip(factors) {
                sums[*l as usize * width + *m as usize] += factor;
            }
        }
    }
}

impl<'t, F: Fn(f64, f64) -> f64> Product<'t, F> {
    pub(super) fn new(tables: &'t Tables, factor: F) -> Self {
        let edge = edge(tables);
        let rows = rows_at_once(edge);
        Self { factor, entries: Entries::new(tables), rows, columns: Aligned::zeros(edge * rows) }
    }

    /// Bytes of the sums.
    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    /// Adds the sums of another one of the same size.
    pub(super) fn add(&mut self, other: &Self) {
        self.entries.add(&other.entries);
    }

    /// The product divided by `n`, by parameters, the intercept last; as far as the pattern of the tables keeps it.
    pub(super) fn matrix(&self, n: f64) -> Symmetric {
        let tables = self.entries.tables;
        let entries = self.entries.by_parameters();
        let entry = |i: usize, j: usize| entries(i, j) / n;
        match tables.pattern() {
            None => Symmetric::from_lower(tables.parameters(), entry),
            Some(pattern) => Symmetric::of_pattern(Arc::new(pattern), entry),
        }
    }

    /// Adds the rows whose columns are in `self.columns`.
    fn multiply(&mut self) {
        let rows = self.rows;
        // Eight columns stay in the first-level cache while all the others pass by.
        for j in (0..=self.entries.tables.plain()).step_by(EIGHT) {
            let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &self.columns[(j + k) * rows..][..rows]);
            self.entries.add_eight(j, eight, &self.columns, rows);
        }
    }

    /// Adds the rows whose columns are in `self.columns`, and whose codes and roots of the factors are these.
    fn add_levels(&mut self, codes: &[(&[f32], Range<usize>)], roots: &[f64]) {
        let mut terms = [0.0; PRODUCT_ROWS];
        let terms = &mut terms[..roots.len()];
        for j in 0..=self.entries.tables.plain() {
            for ((term, a), root) in terms.iter_mut().zip(&self.columns[j * self.rows..]).zip(roots) {
                *term = a * root;
            }
            self.entries.add_by_levels(j, codes, terms);
        }
        // The last terms are the factors themselves.
        self.entries.add_by_pairs(codes, terms);
    }
}

/// The pairs of categories of which something is kept.
fn pairs(tables: &Tables) -> impl Iterator<Item = (usize, usize)> + '_ {
    let all = (0..tables.count()).flat_map(|a| (a + 1..tables.count()).map(move |b| (a, b)));
    all.filter(|(a, b)| !(tables.is_loose(*a) && tables.is_loose(*b)))
}

/// From so many columns on, the 1 included, products are made by panels of rows.
const WIDE: usize = 128;

/// Whether products of so wide rows are made by panels: sums by code are not.
pub(super) fn is_wide(tables: &Tables) -> bool {
    tables.count() == 0 && tables.plain() >= WIDE
}

/// `F^1/2 X` of the rows of a block, x extended by 1, for one product of all of them.
pub(super) struct Panel<F> {
    factor: F,
    rows: usize,
    taken: usize,
    /// `[columns][rows]`.
    pub(super) columns: Vec<f64>,
}

impl<F> Panel<F> {
    /// Of `rows` rows and so many columns, the 1 included, in `memory` that another one is done with.
    pub(super) fn new(columns: usize, rows: usize, factor: F, mut memory: Vec<f64>) -> Self {
        memory.resize(columns * rows, 0.0);
        Self { factor, rows, taken: 0, columns: memory }
    }
}

impl<F: Fn(f64, f64) -> f64> Beside for Panel<F> {
    #[inline(always)]
    fn take(&mut self, tile: Tile<'_>) {
        let mut roots = [0.0; PRODUCT_ROWS];
        let rows = tile.margins.len();
        let roots = &mut roots[..rows];
        roots_of(&self.factor, &tile, 0..rows, roots);
        let mut targets = self.columns.chunks_exact_mut(self.rows).map(|column| &mut column[self.taken..][..rows]);
        for (j, target) in targets.by_ref().take(tile.columns.tables.plain()).enumerate() {
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

/// The roots of the factors of the rows of a block.
pub(super) struct Roots<F> {
    factor: F,
    pub(super) roots: Vec<f64>,
}

impl<F> Roots<F> {
    pub(super) fn new(rows: usize, factor: F) -> Self {
        Self { factor, roots: Vec::with_capacity(rows) }
    }
}

impl<F: Fn(f64, f64) -> f64> Beside for Roots<F> {
    #[inline(always)]
    fn take(&mut self, tile: Tile<'_>) {
        let rows = tile.margins.len();
        let mut roots = [0.0; PRODUCT_ROWS];
        roots_of(&self.factor, &tile, 0..rows, &mut roots[..rows]);
        self.roots.extend(&roots[..rows]);
    }
}

/// The roots of the factors of some rows of a tile.
#[inline(always)]
fn roots_of(factor: &impl Fn(f64, f64) -> f64, tile: &Tile<'_>, rows: Range<usize>, roots: &mut [f64]) {
    let (z, t) = (&tile.margins[rows.clone()], &tile.labels[rows.clone()]);
    for ((root, z), t) in roots.iter_mut().zip(z).zip(t) {
        *root = factor(*z, f64::from(*t));
    }
    if let Some(row_weights) = tile.row_weights {
        weigh(roots, &row_weights[rows]);
    }
    for root in roots {
        *root = root.sqrt();
    }
}

impl<F: Fn(f64, f64) -> f64> Beside for Product<'_, F> {
    #[inline(always)]
    fn take(&mut self, tile: Tile<'_>) {
        let plain = self.entries.tables.plain();
        let mut roots = [0.0; PRODUCT_ROWS];
        let roots = &mut roots[..self.rows];
        for first in (0..tile.margins.len()).step_by(self.rows) {
            let rows = self.rows.min(tile.margins.len() - first);
            let columns = tile.columns.part(first, rows);
            roots_of(&self.factor, &tile, first..first + rows, &mut roots[..rows]);
            // Beyond the last row the columns hold zeros.
            for j in 0..plain {
                let target = &mut self.columns[j * self.rows..][..self.rows];
                for ((a, x), root) in target.iter_mut().zip(columns.column(j)).zip(&*roots) {
                    *a = f64::from(*x) * root;
                }
                target[rows..].fill(0.0);
            }
            let ones = &mut self.columns[plain * self.rows..][..self.rows];
            ones[..rows].copy_from_slice(&roots[..rows]);
            ones[rows..].fill(0.0);
            self.multiply();
            if self.entries.tables.count() > 0 {
                let codes: Vec<_> = columns.codes().collect();
                self.add_levels(&codes, &roots[..rows]);
            }
        }
    }
}
