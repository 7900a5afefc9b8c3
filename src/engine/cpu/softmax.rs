//! The loss of K classes: a margin for every class but the reference, all of a tile from one sweep over its columns.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::engine::cpu::block::tile_rows_within;
use crate::engine::cpu::columns::{Columns, sum, weigh};
use crate::engine::cpu::loss::{Factors, Loss, Rows, Tile};
use crate::softmax;
use crate::vectors::Aligned;
use crate::vectors::dots::EIGHT;

/// Bytes of a tile that a second-level cache holds: its features, and four numbers for each margin.
const TILE_BYTES: usize = 512 << 10;

/// Rows of a tile with so many columns and margins, a power of two from 32 to 256.
pub(super) fn tile_rows(columns: usize, margins: usize) -> usize {
    tile_rows_within(TILE_BYTES / (4 * columns + 32 * margins))
}

/// The softmax with this many margins.
#[derive(Clone, Copy)]
pub(super) struct Softmax(pub(super) usize);

/// Rows of a tile as the softmax leaves them.
pub(super) struct Workspace {
    rows: softmax::Rows,
    /// Margins, then probabilities, `[margins][rows]`.
    probabilities: Vec<f64>,
    /// `[margins][rows]`.
    residuals: Vec<f64>,
    /// Terms of rows on their way to a sum.
    terms: Vec<f64>,
    /// Eight columns in f64, `[8][rows]`.
    eight: Aligned,
}

impl Workspace {
    /// The probabilities of the class with this margin.
    fn of_margin(&self, margin: usize, rows: usize) -> &[f64] {
        &self.probabilities[margin * rows..][..rows]
    }
}

impl Loss for Softmax {
    type Workspace = Workspace;

    #[inline(always)]
    fn margins(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn tile_rows(self, columns: usize) -> usize {
        tile_rows(columns, self.0)
    }

    fn workspace(self, columns: usize) -> Workspace {
        let tile = self.tile_rows(columns);
        let state = vec![0.0; self.0 * tile];
        Workspace {
            rows: softmax::Rows::default(),
            probabilities: state.clone(),
            residuals: state,
            terms: vec![0.0; tile],
            eight: Aligned::zeros(EIGHT * tile),
        }
    }

    #[inline(always)]
    fn linear(self, columns: Columns<'_>, weights: &[f64], margins: &mut [f64], space: &mut Workspace) {
        columns.all_margins(weights, margins, &mut space.eight);
    }

    #[inline(always)]
    fn sums(self, of: Rows<'_>, space: &mut Workspace) -> [f64; 3] {
        let Workspace { rows, probabilities, residuals, terms, .. } = space;
        let Rows { margins, along, labels, row_weights } = of;
        let n = labels.len();
        let (p, residuals) = (&mut probabilities[..margins.len()], &mut residuals[..margins.len()]);
        let terms = &mut terms[..n];
        p.copy_from_slice(margins);
        if let Some((u, step)) = along {
            for (z, u) in p.iter_mut().zip(u) {
                *z += step * u;
            }
        }
        rows.take(labels, p);
        let weighted_sum = |terms: &mut [f64]| {
            if let Some(row_weights) = row_weights {
                weigh(terms, row_weights);
            }
            sum(terms)
        };
        let mut sums = [0.0; 3];
        rows.losses(terms);
        sums[0] = weighted_sum(terms);
        for (class, (p, residuals)) in (1..).zip(p.chunks_exact(n).zip(residuals.chunks_exact_mut(n))) {
            rows.residuals(class, p, labels, residuals);
        }
        if let Some((u, _)) = along {
            rows.curvatures_along(p, u, terms);
            sums[2] = weighted_sum(terms);
            terms.fill(0.0);
            for (residuals, u) in residuals.chunks_exact(n).zip(u.chunks_exact(n)) {
                for ((term, r), u) in terms.iter_mut().zip(residuals).zip(u) {
                    *term += r * u;
                }
            }
            sums[1] = weighted_sum(terms);
        }
        if let Some(row_weights) = row_weights {
            for residuals in residuals.chunks_exact_mut(n) {
                weigh(residuals, row_weights);
            }
        }
        sums
    }

    #[inline(always)]
    fn residuals(self, rows: usize, space: &Workspace) -> &[f64] {
        &space.residuals[..self.0 * rows]
    }

    #[inline(always)]
    fn add_gradient(self, columns: Columns<'_>, space: &mut Workspace, gradient: &mut [f64]) {
        let Workspace { residuals, eight, .. } = space;
        columns.add_all_products(&residuals[..self.0 * columns.rows()], gradient, eight);
    }

    #[inline(always)]
    fn factors(self, tile: &Tile<'_, Self>, what: Factors, (m, l): (usize, usize), factors: &mut [f64]) {
        let (n, rows) = (tile.labels.len(), &tile.space.rows);
        let [p, q] = [m, l].map(|margin| tile.space.of_margin(margin, n));
        match what {
            Factors::Curvatures if m == l => rows.curvatures(m + 1, p, factors),
            Factors::Curvatures => {
                for ((factor, p), q) in factors.iter_mut().zip(p).zip(q) {
                    *factor = -p * q;
                }
            }
            Factors::Residuals => {
                let mut others = [0.0; softmax::MOST_ROWS];
                let others = &mut others[..n];
                rows.residuals(m + 1, p, tile.labels, factors);
                rows.residuals(l + 1, q, tile.labels, others);
                for (factor, other) in factors.iter_mut().zip(others) {
                    *factor *= *other;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_cache() {
        // Few columns and margins leave room for a whole tile, 2 KB a row for half of one.
        assert_eq!(
            [(1, 1), (64, 55), (64, 57), (400, 20), (4_000, 40)].map(|(d, m)| tile_rows(d, m)),
            [256, 256, 128, 128, 32]
        );
        for (columns, margins) in [(28, 9), (512, 3), (1_000, 9), (64, 999), (20_000, 1)] {
            let rows = tile_rows(columns, margins);
            assert!(rows == 32 || rows * (4 * columns + 32 * margins) <= TILE_BYTES, "{rows} rows of {columns}");
        }
    }
}
