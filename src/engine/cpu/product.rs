//! The entries of products of columns with weighted columns, whoever makes them: Hessians, scatters, moments.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;

use crate::engine::cpu::columns::add_by_code;
use crate::engine::cpu::lookup::Lookup;
use crate::fold::{Monoid, add_entries};
use crate::vectors::LANES;
use crate::vectors::dots::{EIGHT, eight_dots};

/// Rows of the product at once at most: eight columns of them fill half of a first-level cache.
pub(super) const PRODUCT_ROWS: usize = 256;

/// The entries of `X'FX`, x extended by 1: the part on and below the diagonal. The levels of a category share no row, so
/// theirs are sums by code.
pub(super) struct Entries<'t> {
    lookup: &'t Lookup,
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

/// Where a parameter stands in [`Entries`].
#[derive(Clone, Copy)]
enum Place {
    /// A plain column or the 1, by its index in `A`.
    Plain(usize),
    /// A level, by its category and its code.
    Level(usize, usize),
}

/// Columns of a product, a multiple of eight: plain features, the 1 and what fills the last eight.
pub(super) fn edge(lookup: &Lookup) -> usize {
    (lookup.plain() + 1).next_multiple_of(EIGHT)
}

/// Rows of a product of `edge` columns at once: 512 KiB of columns at most, which a second-level cache holds, and at
/// least a few rows.
pub(super) fn rows_at_once(edge: usize) -> usize {
    ((64 << 10) / edge).next_power_of_two().clamp(4 * LANES, PRODUCT_ROWS)
}

impl Monoid for Entries<'_> {
    fn join(&mut self, following: Self) {
        add_entries(&mut self.plain, &following.plain);
        add_entries(&mut self.with_levels, &following.with_levels);
        for (sums, terms) in self.of_pairs.iter_mut().zip(&following.of_pairs) {
            add_entries(sums, terms);
        }
    }
}

impl<'t> Entries<'t> {
    pub(super) fn new(lookup: &'t Lookup) -> Self {
        let edge = edge(lookup);
        Self {
            lookup,
            edge,
            plain: vec![0.0; edge * edge],
            with_levels: vec![0.0; (lookup.plain() + 1) * lookup.places_of_levels()],
            of_pairs: pairs(lookup).map(|(a, b)| vec![0.0; lookup.levels(a) * lookup.levels(b)]).collect(),
        }
    }

    /// What they are the entries of.
    pub(super) fn lookup(&self) -> &'t Lookup {
        self.lookup
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        8 * (self.plain.len() + self.with_levels.len() + self.of_pairs.iter().map(Vec::len).sum::<usize>())
    }

    /// The entries by parameters, the intercept last.
    pub(super) fn by_parameters(&self) -> impl Fn(usize, usize) -> f64 + '_ {
        let lookup = self.lookup;
        let plain = lookup.plain();
        let levels = (0..lookup.count())
            .flat_map(|category| (1..lookup.levels(category)).map(move |code| Place::Level(category, code)));
        let places: Vec<Place> = (0..plain).map(Place::Plain).chain(levels).chain([Place::Plain(plain)]).collect();
        move |i, j| self.entry(places[i], places[j])
    }

    fn entry(&self, a: Place, b: Place) -> f64 {
        let lookup = self.lookup;
        let with_level = |row: usize, category: usize, code: usize| {
            self.with_levels[row * lookup.places_of_levels() + lookup.start(category) - lookup.plain() + code]
        };
        match (a, b) {
            (Place::Plain(i), Place::Plain(j)) => self.plain[i.max(j) * self.edge + i.min(j)],
            (Place::Plain(i), Place::Level(c, l)) | (Place::Level(c, l), Place::Plain(i)) => with_level(i, c, l),
            // Of a level with itself: 1 is its own square. Of two levels of one category: no row has both.
            (Place::Level(c, l), Place::Level(d, m)) if c == d => {
                if l == m {
                    with_level(lookup.plain(), c, l)
                } else {
                    0.0
                }
            }
            (Place::Level(c, l), Place::Level(d, m)) => {
                let ((c, l), (d, m)) = if c < d { ((c, l), (d, m)) } else { ((d, m), (c, l)) };
                let pair = pairs(lookup).position(|pair| pair == (c, d)).expect("asked for only where it is kept");
                self.of_pairs[pair][l * lookup.levels(d) + m]
            }
        }
    }

    /// Adds the products of eight columns from `first` on, `[rows]` each, with all columns from there on,
    /// `[edge][stride]`.
    pub(super) fn add_eight(&mut self, first: usize, eight: [&[f64]; EIGHT], columns: &[f64], stride: usize) {
        for i in first..=self.lookup.plain() {
            let products = eight_dots(eight, &columns[i * stride..][..eight[0].len()]);
            for (sum, product) in self.plain[i * self.edge + first..].iter_mut().zip(products) {
                *sum += product;
            }
        }
    }

    /// Adds `factor v v'` for `v` of all places but the intercept's, except to the pairs of levels.
    pub(super) fn add_square(&mut self, v: &[f64], factor: f64) {
        let (plain, levels) = v.split_at(self.lookup.plain());
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
        let levels = self.lookup.places_of_levels();
        for (codes, places) in codes {
            let first = j * levels + places.start - self.lookup.plain();
            add_by_code(&mut self.with_levels[first..][..places.len()], codes, terms);
        }
    }

    /// Adds the factors of rows to the pairs of levels that the rows have.
    #[inline(always)]
    pub(super) fn add_by_pairs(&mut self, codes: &[(&[f32], Range<usize>)], factors: &[f64]) {
        for ((a, b), sums) in pairs(self.lookup).zip(&mut self.of_pairs) {
            let width = self.lookup.levels(b);
            for ((l, m), factor) in codes[a].0.iter().zip(codes[b].0).zip(factors) {
                sums[*l as usize * width + *m as usize] += factor;
            }
        }
    }
}

/// The pairs of categories of which something is kept.
fn pairs(lookup: &Lookup) -> impl Iterator<Item = (usize, usize)> + '_ {
    let all = (0..lookup.count()).flat_map(|a| (a + 1..lookup.count()).map(move |b| (a, b)));
    all.filter(|(a, b)| !(lookup.is_loose(*a) && lookup.is_loose(*b)))
}
