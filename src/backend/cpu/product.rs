//! The product of columns with weighted columns: Hessians and scatters.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::backend::cpu::block::{Beside, Columns};
use crate::backend::cpu::dots::{EIGHT, eight_dots};
use crate::vectors::LANES;

/// Rows of the product at once at most; their columns in f64 stay in the cache.
const PRODUCT_ROWS: usize = 128;

/// `X'WX` of rows, x extended by 1, with a weight for each row from its margin and label: the part on and below the
/// diagonal.
pub(super) struct Product<W> {
    weight: W,
    /// Columns of a side: features, the 1 and what fills the last piece.
    edge: usize,
    rows: usize,
    /// `[edge][edge]`; only the pieces on and below the diagonal are used.
    sums: Vec<f64>,
    /// `[edge][rows]`
    columns: Vec<f64>,
    /// One column times the weights, `[rows]`.
    weighted: Vec<f64>,
}

impl<W: Fn(f64, f64) -> f64> Product<W> {
    pub(super) fn new(features: usize, weight: W) -> Self {
        let edge = (features + 1).next_multiple_of(EIGHT);
        // 512 KiB of columns at most, and at least a few rows.
        let rows = ((64 << 10) / edge).next_power_of_two().clamp(2 * LANES, PRODUCT_ROWS);
        Self {
            weight,
            edge,
            rows,
            sums: vec![0.0; edge * edge],
            columns: vec![0.0; edge * rows],
            weighted: vec![0.0; rows],
        }
    }

    /// The entry in row i and column j, `j <= i`.
    pub(super) fn entry(&self, i: usize, j: usize) -> f64 {
        self.sums[i * self.edge + j]
    }

    /// Adds the sums of another one of the same size.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, term) in self.sums.iter_mut().zip(&other.sums) {
            *sum += term;
        }
    }

    /// Adds the rows whose columns are in `self.columns`, with their weights `[rows]`.
    #[inline(always)]
    fn multiply(&mut self, features: usize, weights: &[f64]) {
        let rows = self.rows;
        for i in 0..=features {
            let column = &self.columns[i * rows..][..rows];
            for ((w, x), s) in self.weighted.iter_mut().zip(column).zip(weights) {
                *w = x * s;
            }
            for j in (0..=i).step_by(EIGHT) {
                let right: [&[f64]; EIGHT] = std::array::from_fn(|k| &self.columns[(j + k) * rows..][..rows]);
                let products = eight_dots(right, &self.weighted);
                for (sum, product) in self.sums[i * self.edge + j..].iter_mut().zip(products) {
                    *sum += product;
                }
            }
        }
    }
}

impl<W: Fn(f64, f64) -> f64> Beside for Product<W> {
    #[inline(always)]
    fn take(&mut self, columns: Columns<'_>, labels: &[f32], margins: &[f64]) {
        let features = columns.features;
        let mut weights = [0.0; PRODUCT_ROWS];
        let weights = &mut weights[..self.rows];
        for first in (0..margins.len()).step_by(self.rows) {
            let rows = self.rows.min(margins.len() - first);
            let columns = columns.part(first, rows);
            for j in 0..features {
                let target = &mut self.columns[j * self.rows..][..self.rows];
                for (x, value) in target.iter_mut().zip(columns.column(j)) {
                    *x = f64::from(*value);
                }
                // What stood there before is finite, and its weight is 0.
            }
            self.columns[features * self.rows..][..self.rows].fill(1.0);
            weights.fill(0.0);
            for ((w, z), t) in weights.iter_mut().zip(&margins[first..]).zip(&labels[first..]).take(rows) {
                *w = (self.weight)(*z, f64::from(*t));
            }
            self.multiply(features, weights);
        }
    }
}
