//! The loss of two classes: one margin, and loops of its own for it.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::engine::cpu::block::{TILE_ROWS, tile_rows};
use crate::engine::cpu::columns::{Columns, add_by_code, sum, weigh};
use crate::engine::cpu::loss::{Factors, Loss, Rows, Tile};
use crate::logistic::{ln_1p_of_unit, odds, terms};
use crate::vectors::LANES;
use crate::vectors::dots::{EIGHT, eight_dots};

/// Columns that one sweep over the rows takes side by side, for margins.
const COLUMNS: usize = 4;

/// The logistic model.
#[derive(Clone, Copy)]
pub(super) struct Logistic;

/// Terms of rows on their way to a sum. Arrays of one struct, which the compiler knows to be apart: else it would not use
/// vector registers.
pub(super) struct Workspace {
    residuals: [f64; TILE_ROWS],
    exponentials: [f64; TILE_ROWS],
    excesses: [f64; TILE_ROWS],
    slopes: [f64; TILE_ROWS],
    curvatures: [f64; TILE_ROWS],
}

/// The direction of rows that stay where they are.
const STILL: [f64; TILE_ROWS] = [0.0; TILE_ROWS];

impl Loss for Logistic {
    type Workspace = Workspace;

    #[inline(always)]
    fn margins(self) -> usize {
        1
    }

    #[inline(always)]
    fn tile_rows(self, columns: usize) -> usize {
        tile_rows(columns)
    }

    #[inline(always)]
    fn workspace(self, _: usize) -> Workspace {
        let [residuals, exponentials, excesses, slopes, curvatures] = [STILL; 5];
        Workspace { residuals, exponentials, excesses, slopes, curvatures }
    }

    #[inline(always)]
    fn linear(self, columns: Columns<'_>, weights: &[f64], margins: &mut [f64], _: &mut Workspace) {
        let (intercept, weights) = weights.split_last().expect("the intercept is always there");
        margins.fill(*intercept);
        let (fours, rest) = weights[..columns.lookup.plain()].as_chunks::<COLUMNS>();
        let n = margins.len();
        for (index, w) in fours.iter().enumerate() {
            let [a, b, c, d] = std::array::from_fn(|k| &columns.column(index * COLUMNS + k)[..n]);
            for i in 0..n {
                margins[i] += (w[0] * f64::from(a[i]) + w[1] * f64::from(b[i]))
                    + (w[2] * f64::from(c[i]) + w[3] * f64::from(d[i]));
            }
        }
        for (index, w) in rest.iter().enumerate() {
            for (z, x) in margins.iter_mut().zip(columns.column(fours.len() * COLUMNS + index)) {
                *z += w * f64::from(*x);
            }
        }
        for (codes, table) in columns.codes() {
            let table = &weights[table];
            for (z, code) in margins.iter_mut().zip(codes) {
                *z += table[*code as usize];
            }
        }
    }

    /// Term by term in one loop and sum by sum in others: the compiler may put the first into vector registers.
    #[inline(always)]
    fn sums(self, rows: Rows<'_>, space: &mut Workspace) -> [f64; 3] {
        match rows.along {
            Some(along) => sums_along::<true>(rows, along, space),
            None => sums_along::<false>(rows, (&STILL[..rows.labels.len()], 0.0), space),
        }
    }

    #[inline(always)]
    fn residuals(self, rows: usize, space: &Workspace) -> &[f64] {
        &space.residuals[..rows]
    }

    #[inline(always)]
    fn add_gradient(self, columns: Columns<'_>, space: &mut Workspace, gradient: &mut [f64]) {
        let residuals = &space.residuals[..columns.rows()];
        let plain = columns.lookup.plain();
        for (index, sums) in gradient[..plain].chunks_mut(EIGHT).enumerate() {
            // What is missing to eight columns is the last one again, and its sum is left.
            let columns = std::array::from_fn(|k| columns.column((index * EIGHT + k).min(plain - 1)));
            for (sum, product) in sums.iter_mut().zip(eight_dots(columns, residuals)) {
                *sum += product;
            }
        }
        for (codes, table) in columns.codes() {
            add_by_code(&mut gradient[table], codes, residuals);
        }
        gradient[columns.lookup.intercept()] += sum(residuals);
    }

    #[inline(always)]
    fn factors(self, tile: &Tile<'_, Self>, what: Factors, _: (usize, usize), factors: &mut [f64]) {
        match what {
            Factors::Curvatures => {
                for (s, z) in factors.iter_mut().zip(tile.margins) {
                    *s = terms(*z, 0.0).curvature;
                }
            }
            Factors::Residuals => {
                for ((square, z), t) in factors.iter_mut().zip(tile.margins).zip(tile.labels) {
                    *square = terms(*z, f64::from(*t)).residual.powi(2);
                }
            }
        }
    }
}

/// [`Loss::sums`] along a direction, or where the rows stand: slope and curvature are 0 then.
#[inline(always)]
fn sums_along<const MOVES: bool>(rows: Rows<'_>, (u, step): (&[f64], f64), space: &mut Workspace) -> [f64; 3] {
    let n = rows.labels.len();
    let Workspace { residuals, exponentials, excesses, slopes, curvatures } = space;
    let (z, u, t, residuals) = (&rows.margins[..n], &u[..n], rows.labels, &mut residuals[..n]);
    let (exponentials, excesses) = (&mut exponentials[..n], &mut excesses[..n]);
    let (slopes, curvatures) = (&mut slopes[..n], &mut curvatures[..n]);
    for i in 0..n {
        let row = odds(if MOVES { z[i] + step * u[i] } else { z[i] }, f64::from(t[i]));
        exponentials[i] = row.e;
        excesses[i] = row.excess;
        residuals[i] = row.residual;
        if MOVES {
            slopes[i] = row.residual * u[i];
            curvatures[i] = row.curvature * u[i] * u[i];
        }
    }
    let logarithms = if let Some(row_weights) = rows.row_weights {
        // The logarithms have different weights now, and no product in common.
        for e in exponentials.iter_mut() {
            *e = ln_1p_of_unit(*e);
        }
        for values in [&mut *exponentials, &mut *excesses, residuals] {
            weigh(values, row_weights);
        }
        if MOVES {
            weigh(slopes, row_weights);
            weigh(curvatures, row_weights);
        }
        sum(exponentials)
    } else {
        sum_of_logarithms(exponentials)
    };
    let [slope, curvature] = if MOVES { [sum(slopes), sum(curvatures)] } else { [0.0; 2] };
    [sum(excesses) + logarithms, slope, curvature]
}

/// `sum ln(1 + e_k)` of at most [`TILE_ROWS`] numbers in 0..1, as the logarithm of one product, which f64 has room for:
/// at most 2^256. The product rounds each factor to 1e-16, so where that could be felt (a sum below ln 256) the
/// logarithms are taken one by one.
#[inline(always)]
fn sum_of_logarithms(exponentials: &mut [f64]) -> f64 {
    let (eights, rest) = exponentials.as_chunks::<LANES>();
    let mut products = [1.0; LANES];
    for eight in eights {
        for lane in 0..LANES {
            products[lane] *= 1.0 + eight[lane];
        }
    }
    let product = products.iter().product::<f64>() * rest.iter().map(|e| 1.0 + e).product::<f64>();
    if product > 256.0 {
        return product.ln();
    }
    for e in exponentials.iter_mut() {
        *e = ln_1p_of_unit(*e);
    }
    sum(exponentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole and broken lengths, and sums on both sides of the threshold, nearly separated rows among them.
    #[test]
    fn one_logarithm_stands_for_many() {
        for rows in [1, 7, 8, 255, TILE_ROWS] {
            for scale in [0.0, 1e-20, 1e-9, 1e-3, 0.02, 0.5, 1.0] {
                let exponentials: Vec<f64> =
                    (0..rows).map(|k| scale * (1.0 - 0.9 * (k * 37 % 101) as f64 / 101.0)).collect();
                let expected: f64 = exponentials.iter().map(|e| e.ln_1p()).sum();
                let found = sum_of_logarithms(&mut exponentials.clone());
                assert!((found - expected).abs() <= 2e-14 * expected, "{rows} x {scale}: {found} {expected}");
            }
        }
        assert!(sum_of_logarithms(&mut [f64::NAN; 3]).is_nan());
        // The control: where the product is not allowed, it would be felt.
        let tiny = [1e-17_f64; TILE_ROWS];
        let by_product = tiny.iter().map(|e| 1.0 + e).product::<f64>().ln();
        assert!(by_product == 0.0 && sum_of_logarithms(&mut tiny.clone()) > 2e-15);
    }
}
