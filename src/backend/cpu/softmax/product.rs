//! The product of columns with weighted columns for every pair of margins: Hessians and scatters.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::backend::cpu::block::weigh;
use crate::backend::cpu::product::{Entries, edge, rows_at_once};
use crate::backend::cpu::softmax::{Beside, TILE_ROWS, Tile};
use crate::backend::cpu::tables::Tables;
use crate::matrix::Symmetric;
use crate::vectors::Aligned;
use crate::vectors::dots::EIGHT;

/// Of what the factors of a product are made, for margins m and l.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    /// `p_m ([m = l] - p_l)`: the Hessian.
    Curvatures,
    /// `r_m r_l`: the scatter.
    Residuals,
}

/// `X'F_ml X` of rows for all pairs of margins `l <= m`, x extended by 1, times the row weights. Factors may be negative,
/// so it is `(F X)'X`: eight columns are multiplied by the factors at a time.
pub(super) struct Products<'t> {
    factors: Factors,
    tables: &'t Tables,
    /// Of `(0, 0), (1, 0), (1, 1), (2, 0), ..`.
    pairs: Vec<Entries<'t>>,
    rows: usize,
    /// X, `[edge][rows]`.
    columns: Aligned,
    /// `F X`, `[8][rows]`.
    left: Aligned,
}

impl<'t> Products<'t> {
    pub(super) fn new(tables: &'t Tables, margins: usize, factors: Factors) -> Self {
        let edge = edge(tables);
        let rows = rows_at_once(edge);
        Self {
            factors,
            tables,
            pairs: (0..margins * (margins + 1) / 2).map(|_| Entries::new(tables)).collect(),
            rows,
            columns: Aligned::zeros(edge * rows),
            left: Aligned::zeros(EIGHT * rows),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.pairs.iter().map(Entries::bytes).sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (pair, other) in self.pairs.iter_mut().zip(&other.pairs) {
            pair.add(other);
        }
    }

    /// The products divided by `n`, by parameters: margin by margin, the intercept of each last.
    pub(super) fn matrix(&self, margins: usize, n: f64) -> Symmetric {
        let pairs: Vec<_> = self.pairs.iter().map(Entries::by_parameters).collect();
        let size = self.tables.parameters();
        Symmetric::from_lower(margins * size, |i, j| {
            let (m, l) = (i / size, j / size);
            pairs[m * (m + 1) / 2 + l](i % size, j % size) / n
        })
    }
}

impl Beside for Products<'_> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_>) {
        let Self { factors, tables, pairs, rows: at_once, columns: wide, left } = self;
        let (plain, n) = (tables.plain(), tile.labels.len());
        let codes: Vec<_> = tile.columns.codes().collect();
        for first in (0..n).step_by(*at_once) {
            let rows = (*at_once).min(n - first);
            let part = tile.columns.part(first, rows);
            for (j, target) in wide.chunks_exact_mut(*at_once).enumerate().take(plain) {
                for (target, x) in target.iter_mut().zip(part.column(j)) {
                    *target = f64::from(*x);
                }
            }
            wide[plain * *at_once..][..rows].fill(1.0);
            let codes: Vec<_> =
                codes.iter().map(|(codes, places)| (&codes[first..first + rows], places.clone())).collect();
            let mut pairs = pairs.iter_mut();
            for (m, p) in tile.classes() {
                for (l, q) in tile.classes().take(m) {
                    let pair = pairs.next().expect("one for each pair");
                    let mut factor = [[0.0; TILE_ROWS]; 2];
                    let [factor, other] = &mut factor;
                    let (factor, other) = (&mut factor[..n], &mut other[..n]);
                    match factors {
                        Factors::Curvatures if m == l => tile.rows.curvatures(m, p, factor),
                        Factors::Curvatures => {
                            for ((factor, p), q) in factor.iter_mut().zip(p).zip(q) {
                                *factor = -p * q;
                            }
                        }
                        Factors::Residuals => {
                            tile.rows.residuals(m, p, tile.labels, factor);
                            tile.rows.residuals(l, q, tile.labels, other);
                            for (factor, other) in factor.iter_mut().zip(other) {
                                *factor *= *other;
                            }
                        }
                    }
                    if let Some(row_weights) = tile.row_weights {
                        weigh(factor, row_weights);
                    }
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
}
