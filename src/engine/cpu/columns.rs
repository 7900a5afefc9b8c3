//! The columns of neighbouring rows, and sums over these: the loops that every pass is made of.
//!
//! Everything here runs inside [`in_vectors`](crate::vectors::in_vectors). Sums go in [`LANES`] accumulators, over the
//! rows of a tile and then from tile to tile, whatever the registers are, so every processor gets the same bits.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;

use crate::engine::cpu::lookup::Lookup;
use crate::vectors::dots::{EIGHT, add_columns, add_to_two, dots_of_two, eight_dots};
use crate::vectors::{LANES, prefetch};

/// Columns of neighbouring rows: column j from `j * stride + first` on.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl<'a> Strided<'a> {
    #[inline(always)]
    pub(super) fn column(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.stride + self.first..][..self.rows]
    }

    #[inline(always)]
    pub(super) fn part(&self, first: usize, rows: usize) -> Self {
        Self { first: self.first + first, rows, ..*self }
    }

    /// Adds each column to the vector of its number, `[columns][rows]`.
    #[inline(always)]
    pub(super) fn add_to(&self, vectors: &mut [f64]) {
        for (index, vector) in vectors.chunks_exact_mut(self.rows).enumerate() {
            for (sum, x) in vector.iter_mut().zip(self.column(index)) {
                *sum += f64::from(*x);
            }
        }
    }

    /// Brings a share of the rows that follow in a column nearer, of as many as there are here.
    #[inline(always)]
    fn prefetch_next(&self, index: usize, share: usize, shares: usize) {
        let rows = self.rows.min(self.stride - self.first - self.rows);
        let next = &self.values[index * self.stride + self.first + self.rows..][..rows];
        prefetch(&next[rows * share / shares..rows * (share + 1) / shares]);
    }
}

/// The features of neighbouring rows: columns as they are, then those of codes.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) lookup: &'a Lookup,
    pub(super) values: Strided<'a>,
}

impl<'a> Columns<'a> {
    #[inline(always)]
    pub(super) fn column(&self, index: usize) -> &'a [f32] {
        self.values.column(index)
    }

    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.values.rows
    }

    /// The number of columns.
    pub(super) fn count(&self) -> usize {
        self.lookup.plain() + self.lookup.count()
    }

    /// The codes of each category, and its places in a wide vector.
    #[inline(always)]
    pub(super) fn codes(&self) -> impl Iterator<Item = (&'a [f32], Range<usize>)> + use<'a> {
        let columns = *self;
        let plain = columns.lookup.plain();
        columns.lookup.places().enumerate().map(move |(index, places)| (columns.column(plain + index), places))
    }

    #[inline(always)]
    pub(super) fn part(&self, first: usize, rows: usize) -> Self {
        Self { values: self.values.part(first, rows), ..*self }
    }

    /// Plain columns from `first` on, eight of them in f64, `[8][rows]`; zeros in place of what is missing.
    #[inline(always)]
    pub(super) fn widen_eight<'e>(&self, first: usize, eight: &'e mut [f64]) -> [&'e [f64]; EIGHT] {
        let n = self.rows();
        for (k, target) in eight[..EIGHT * n].chunks_exact_mut(n).enumerate() {
            if first + k < self.lookup.plain() {
                for (target, x) in target.iter_mut().zip(self.column(first + k)) {
                    *target = f64::from(*x);
                }
            } else {
                target.fill(0.0);
            }
        }
        let eight: &'e [f64] = eight;
        std::array::from_fn(|k| &eight[k * n..][..n])
    }

    /// `X w_m + b_m` of the rows, `[margins][rows]`, for weights `[margins][wide]`.
    #[inline(always)]
    pub(super) fn all_margins(&self, weights: &[f64], margins: &mut [f64], eight: &mut [f64]) {
        let (n, plain, wide) = (self.rows(), self.lookup.plain(), self.lookup.wide());
        for (weights, z) in weights.chunks_exact(wide).zip(margins.chunks_exact_mut(n)) {
            z.fill(weights[wide - 1]);
        }
        for first in (0..plain).step_by(EIGHT) {
            let columns = self.widen_eight(first, eight);
            let of_margin = |weights: &[f64]| -> [f64; EIGHT] {
                std::array::from_fn(|k| if first + k < plain { weights[first + k] } else { 0.0 })
            };
            let pairs = (margins.len() / n).div_ceil(2);
            for (pair, (weights, z)) in weights.chunks(2 * wide).zip(margins.chunks_mut(2 * n)).enumerate() {
                // The next tile comes while this one is worked on.
                for index in first..plain.min(first + EIGHT) {
                    self.values.prefetch_next(index, pair, pairs);
                }
                let (of_a, of_b) = weights.split_at(wide);
                let (a, b) = z.split_at_mut(n);
                if b.is_empty() {
                    add_columns(columns, of_margin(of_a), a);
                } else if plain - first > EIGHT / 2 {
                    add_to_two::<EIGHT>(columns, [of_margin(of_a), of_margin(of_b)], [a, b]);
                } else {
                    add_to_two::<{ EIGHT / 2 }>(columns, [of_margin(of_a), of_margin(of_b)], [a, b]);
                }
            }
        }
        for (codes, table) in self.codes() {
            for (weights, z) in weights.chunks_exact(wide).zip(margins.chunks_exact_mut(n)) {
                let table = &weights[table.clone()];
                for (z, code) in z.iter_mut().zip(codes) {
                    *z += table[*code as usize];
                }
            }
        }
    }

    /// Adds `X'v_m` of the rows, x extended by 1, to sums `[margins][wide]`, for vectors `[margins][rows]`.
    #[inline(always)]
    pub(super) fn add_all_products(&self, vectors: &[f64], sums: &mut [f64], eight: &mut [f64]) {
        let (n, plain, wide) = (self.rows(), self.lookup.plain(), self.lookup.wide());
        for first in (0..plain).step_by(EIGHT) {
            let eight = self.widen_eight(first, eight);
            let add = |sums: &mut [f64], products: [f64; EIGHT]| {
                for (sum, product) in sums[first..plain].iter_mut().zip(products) {
                    *sum += product;
                }
            };
            for (vectors, sums) in vectors.chunks(2 * n).zip(sums.chunks_mut(2 * wide)) {
                let (a, b) = vectors.split_at(n);
                let (sums_a, sums_b) = sums.split_at_mut(wide);
                if b.is_empty() {
                    add(sums_a, eight_dots(eight, a));
                } else {
                    let [of_a, of_b] = if plain - first > EIGHT / 2 {
                        dots_of_two::<EIGHT>(eight, [a, b])
                    } else {
                        dots_of_two::<{ EIGHT / 2 }>(eight, [a, b])
                    };
                    add(sums_a, of_a);
                    add(sums_b, of_b);
                }
            }
        }
        for (vector, sums) in vectors.chunks_exact(n).zip(sums.chunks_exact_mut(wide)) {
            for (codes, table) in self.codes() {
                add_by_code(&mut sums[table], codes, vector);
            }
            sums[wide - 1] += sum(vector);
        }
    }
}

/// `v_k` becomes `w_k v_k`; exactly 0 where the weight is, whatever the value.
#[inline(always)]
pub(super) fn weigh(values: &mut [f64], row_weights: &[f32]) {
    for (value, &w) in values.iter_mut().zip(row_weights) {
        *value = if w > 0.0 { f64::from(w) * *value } else { 0.0 };
    }
}

/// Adds each row's value to the place of its code, row after row.
#[inline(always)]
pub(super) fn add_by_code(table: &mut [f64], codes: &[f32], values: &[f64]) {
    for (code, value) in codes.iter().zip(values) {
        table[*code as usize] += value;
    }
}

/// The sum of `values`.
#[inline(always)]
pub(super) fn sum(values: &[f64]) -> f64 {
    let (eights, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for eight in eights {
        for lane in 0..LANES {
            sums[lane] += eight[lane];
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += value;
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "products that f64 holds exactly")]
    fn a_weight_of_0_leaves_nothing_whatever_the_value() {
        let mut values = [f64::INFINITY, f64::NAN, -1e308, 2.0, -3.0];
        weigh(&mut values, &[0.0, 0.0, 0.0, 1.5, 2.0]);
        assert_eq!(values, [0.0, 0.0, 0.0, 3.0, -6.0]);
    }
}
