//! The product of columns with weighted columns: Hessians and scatters.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::backend::cpu::block::{Beside, Tile, weigh};
use crate::backend::cpu::dots::{EIGHT, eight_dots};
use crate::vectors::{Aligned, LANES};

/// Rows of the product at once at most: eight columns of them fill half of a first-level cache.
const PRODUCT_ROWS: usize = 256;

/// `X'FX` of rows, x extended by 1, with a factor of at least 0 for each row from its margin and label, times the row
/// weight: the part on and below the diagonal. It is `A'A` with `A = F^1/2 X`, so only one side is kept.
pub(super) struct Product<F> {
    factor: F,
    /// Columns of `A`: features, the 1 and what fills the last eight.
    edge: usize,
    rows: usize,
    /// `[edge][edge]`; only what is on and below the diagonal is used.
    sums: Vec<f64>,
    /// `A`, `[edge][rows]`.
    columns: Aligned,
}

impl<F: Fn(f64, f64) -> f64> Product<F> {
    pub(super) fn new(features: usize, factor: F) -> Self {
        let edge = (features + 1).next_multiple_of(EIGHT);
        // 512 KiB of columns at most, which a second-level cache holds, and at least a few rows.
        let rows = ((64 << 10) / edge).next_power_of_two().clamp(4 * LANES, PRODUCT_ROWS);
        Self { factor, edge, rows, sums: vec![0.0; edge * edge], columns: Aligned::zeros(edge * rows) }
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

    /// Adds the rows whose columns are in `self.columns`.
    fn multiply(&mut self, features: usize) {
        let rows = self.rows;
        // Eight columns stay in the first-level cache while all the others pass by.
        for j in (0..=features).step_by(EIGHT) {
            let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &self.columns[(j + k) * rows..][..rows]);
            for i in j..=features {
                let products = eight_dots(eight, &self.columns[i * rows..][..rows]);
                for (sum, product) in self.sums[i * self.edge + j..].iter_mut().zip(products) {
                    *sum += product;
                }
            }
        }
    }
}

impl<F: Fn(f64, f64) -> f64> Beside for Product<F> {
    #[inline(always)]
    fn take(&mut self, Tile { columns, labels, row_weights, margins }: Tile<'_>) {
        let features = columns.features;
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
            for j in 0..features {
                let target = &mut self.columns[j * self.rows..][..self.rows];
                for ((a, x), root) in target.iter_mut().zip(columns.column(j)).zip(&*roots) {
                    *a = f64::from(*x) * root;
                }
                target[rows..].fill(0.0);
            }
            let ones = &mut self.columns[features * self.rows..][..self.rows];
            ones[..rows].copy_from_slice(&roots[..rows]);
            ones[rows..].fill(0.0);
            self.multiply(features);
        }
    }
}
