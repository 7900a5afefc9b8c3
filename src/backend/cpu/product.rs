//! The product of columns with weighted columns: Hessians and scatters.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;
use std::sync::Arc;

use crate::backend::cpu::block::{Beside, Tile, add_by_code, weigh};
use crate::backend::cpu::dots::{EIGHT, eight_dots};
use crate::backend::cpu::tables::Tables;
use crate::matrix::Symmetric;
use crate::vectors::{Aligned, LANES};

/// Rows of the product at once at most: eight columns of them fill half of a first-level cache.
const PRODUCT_ROWS: usize = 256;

/// `X'FX` of rows, x extended by 1, with a factor of at least 0 for each row from its margin and label, times the row
/// weight: the part on and below the diagonal. Of the plain columns it is `A'A` with `A = F^1/2 X`, so only one side is
/// kept. The levels of a category share no row, so theirs are sums by code.
pub(super) struct Product<'t, F> {
    factor: F,
    tables: &'t Tables,
    /// Columns of `A`: plain features, the 1 and what fills the last eight.
    edge: usize,
    rows: usize,
    /// `[edge][edge]`; only what is on and below the diagonal is used.
    sums: Vec<f64>,
    /// `[plain + 1][levels]`: of plain columns and the 1 with levels.
    with_levels: Vec<f64>,
    /// Of each pair of categories, the earlier one first, its levels with those of the other: `[levels][levels]`. Of
    /// two that are loose nothing is kept.
    of_pairs: Vec<Vec<f64>>,
    /// `A`, `[edge][rows]`.
    columns: Aligned,
}

/// Where a parameter stands in a [`Product`].
#[derive(Clone, Copy)]
enum Place {
    /// A plain column or the 1, by its index in `A`.
    Plain(usize),
    /// A level, by its category and its code.
    Level(usize, usize),
}

impl<'t, F: Fn(f64, f64) -> f64> Product<'t, F> {
    pub(super) fn new(tables: &'t Tables, factor: F) -> Self {
        let edge = (tables.plain() + 1).next_multiple_of(EIGHT);
        // 512 KiB of columns at most, which a second-level cache holds, and at least a few rows.
        let rows = ((64 << 10) / edge).next_power_of_two().clamp(4 * LANES, PRODUCT_ROWS);
        let levels = tables.intercept() - tables.plain();
        Self {
            factor,
            tables,
            edge,
            rows,
            sums: vec![0.0; edge * edge],
            with_levels: vec![0.0; (tables.plain() + 1) * levels],
            of_pairs: pairs(tables).map(|(a, b)| vec![0.0; tables.levels(a) * tables.levels(b)]).collect(),
            columns: Aligned::zeros(edge * rows),
        }
    }

    /// Bytes of the sums.
    pub(super) fn bytes(&self) -> usize {
        8 * (self.sums.len() + self.with_levels.len() + self.of_pairs.iter().map(Vec::len).sum::<usize>())
    }

    /// The product divided by `n`, by parameters, the intercept last; as far as the pattern of the tables keeps it.
    pub(super) fn matrix(&self, n: f64) -> Symmetric {
        let plain = self.tables.plain();
        let levels = (0..self.tables.count())
            .flat_map(|category| (1..self.tables.levels(category)).map(move |code| Place::Level(category, code)));
        let places: Vec<Place> = (0..plain).map(Place::Plain).chain(levels).chain([Place::Plain(plain)]).collect();
        let entry = |i: usize, j: usize| self.entry(places[i], places[j]) / n;
        match self.tables.pattern() {
            None => Symmetric::from_lower(places.len(), entry),
            Some(pattern) => Symmetric::of_pattern(Arc::new(pattern), entry),
        }
    }

    fn entry(&self, a: Place, b: Place) -> f64 {
        let tables = self.tables;
        let with_level = |row: usize, category: usize, code: usize| {
            let levels = tables.intercept() - tables.plain();
            self.with_levels[row * levels + tables.start(category) - tables.plain() + code]
        };
        match (a, b) {
            (Place::Plain(i), Place::Plain(j)) => self.sums[i.max(j) * self.edge + i.min(j)],
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

    /// Adds the sums of another one of the same size.
    pub(super) fn add(&mut self, other: &Self) {
        let plain = [(&mut self.sums, &other.sums), (&mut self.with_levels, &other.with_levels)];
        for (sums, terms) in plain.into_iter().chain(self.of_pairs.iter_mut().zip(&other.of_pairs)) {
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        }
    }

    /// Adds the rows whose columns are in `self.columns`.
    fn multiply(&mut self) {
        let rows = self.rows;
        let plain = self.tables.plain();
        // Eight columns stay in the first-level cache while all the others pass by.
        for j in (0..=plain).step_by(EIGHT) {
            let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &self.columns[(j + k) * rows..][..rows]);
            for i in j..=plain {
                let products = eight_dots(eight, &self.columns[i * rows..][..rows]);
                for (sum, product) in self.sums[i * self.edge + j..].iter_mut().zip(products) {
                    *sum += product;
                }
            }
        }
    }
}

impl<F: Fn(f64, f64) -> f64> Product<'_, F> {
    /// Adds the rows whose columns are in `self.columns`, and whose codes and roots of the factors are these.
    fn add_levels(&mut self, codes: &[(&[f32], Range<usize>)], roots: &[f64]) {
        let plain = self.tables.plain();
        let levels = self.tables.intercept() - plain;
        let mut terms = [0.0; PRODUCT_ROWS];
        let terms = &mut terms[..roots.len()];
        for j in 0..=plain {
            for ((term, a), root) in terms.iter_mut().zip(&self.columns[j * self.rows..]).zip(roots) {
                *term = a * root;
            }
            for (codes, places) in codes {
                let first = j * levels + places.start - plain;
                add_by_code(&mut self.with_levels[first..][..places.len()], codes, terms);
            }
        }
        // The last terms are the factors themselves.
        for ((a, b), sums) in pairs(self.tables).zip(&mut self.of_pairs) {
            let width = self.tables.levels(b);
            for ((l, m), factor) in codes[a].0.iter().zip(codes[b].0).zip(&*terms) {
                sums[*l as usize * width + *m as usize] += factor;
            }
        }
    }
}

/// The pairs of categories of which something is kept.
fn pairs(tables: &Tables) -> impl Iterator<Item = (usize, usize)> + '_ {
    let all = (0..tables.count()).flat_map(|a| (a + 1..tables.count()).map(move |b| (a, b)));
    all.filter(|(a, b)| !(tables.is_loose(*a) && tables.is_loose(*b)))
}

impl<F: Fn(f64, f64) -> f64> Beside for Product<'_, F> {
    #[inline(always)]
    fn take(&mut self, Tile { columns, labels, row_weights, margins }: Tile<'_>) {
        let plain = self.tables.plain();
        let mut roots = [0.0; PRODUCT_ROWS];
        let roots = &mut roots[..self.rows];
        for first in (0..margins.len()).step_by(self.rows) {
            let rows = self.rows.min(margins.len() - first);
            let columns = columns.part(first, rows);
            let (z, t) = (&margins[first..first + rows], &labels[first..first + rows]);
            for ((root, z), t) in roots.iter_mut().zip(z).zip(t) {
                *root = (self.factor)(*z, f64::from(*t));
            }
            if let Some(row_weights) = row_weights {
                weigh(&mut roots[..rows], &row_weights[first..first + rows]);
            }
            for root in &mut roots[..rows] {
                *root = root.sqrt();
            }
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
            if self.tables.count() > 0 {
                let codes: Vec<_> = columns.codes().collect();
                self.add_levels(&codes, &roots[..rows]);
            }
        }
    }
}
