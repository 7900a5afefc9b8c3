//! The arithmetic of a block of rows, in tiles that stay in the cache: a pass reads the features from memory once.
//!
//! Everything here runs inside [`in_vectors`](crate::vectors::in_vectors). Sums go in [`LANES`] accumulators, over the
//! rows of a tile and then from tile to tile, whatever the registers are, so every processor gets the same bits.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;

use crate::backend::cpu::tables::Tables;
use crate::backend::layout::hessian_rows;
use crate::data::Shape;
use crate::logistic::{ln_1p_of_unit, odds, terms};
use crate::objective::Diagonal;
use crate::vectors::LANES;
use crate::vectors::dots::{EIGHT, eight_dots};

/// Rows of a block at most.
const BLOCK_ROWS: usize = 4096;

/// Rows of a tile at most: few, so that the processor reads ahead in every column while it computes.
const TILE_ROWS: usize = 256;

/// Features of a tile, f32 each: 1 MiB, of which a second-level cache holds most, and the third the rest. Few rows of many
/// columns are short runs of memory, which cost more: 5,000 x 2,000 was read at 9 GB/s in tiles of 64 rows.
const TILE_CELLS: usize = 256 << 10;

/// Rows whose terms are made in one go, in the first-level cache.
const TERM_ROWS: usize = 256;

/// Columns that one sweep over the rows takes side by side, for margins.
const COLUMNS: usize = 4;

/// Rows of a tile of `features` columns: a power of two from 32 to 256.
pub(super) fn tile_rows(features: usize) -> usize {
    let fitting = TILE_CELLS / features.max(1);
    if fitting >= TILE_ROWS { TILE_ROWS } else { (fitting + 1).next_power_of_two().max(64) / 2 }
}

/// Rows of a block of `features` columns, a power of two: whole tiles, at most 2 MiB of features, so that wide tables of few
/// rows have some for every core.
pub(super) fn block_rows(features: usize) -> usize {
    let tile = tile_rows(features);
    let mut rows = BLOCK_ROWS;
    while rows > tile && rows * features > (2 << 20) / 4 {
        rows /= 2;
    }
    rows
}

/// Rows of a product that is summed by itself, whole blocks. With levels it may have far more entries than its rows have
/// values: then many rows share one, as long as they are at most 32 MiB.
pub(super) fn product_rows(shape: Shape) -> usize {
    let block = block_rows(shape.columns);
    let mut rows = hessian_rows(block, shape.features);
    if shape.has_levels() {
        while rows < 1 << 17 && rows < 16 * shape.features && 2 * rows * shape.columns * 4 <= 32 << 20 {
            rows *= 2;
        }
    }
    rows
}

/// Columns of neighbouring rows: column j from `j * stride + first` on.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// Of the features: columns as they are, then those of codes.
    pub(super) tables: &'a Tables,
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl<'a> Columns<'a> {
    #[inline(always)]
    pub(super) fn column(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.stride + self.first..][..self.rows]
    }

    /// The number of columns.
    pub(super) fn count(&self) -> usize {
        self.tables.plain() + self.tables.count()
    }

    /// The codes of each category, and its places in a wide vector.
    #[inline(always)]
    pub(super) fn codes(&self) -> impl Iterator<Item = (&'a [f32], Range<usize>)> + use<'a> {
        let columns = *self;
        let plain = columns.tables.plain();
        columns.tables.places().enumerate().map(move |(index, places)| (columns.column(plain + index), places))
    }

    #[inline(always)]
    pub(super) fn part(&self, first: usize, rows: usize) -> Self {
        Self { first: self.first + first, rows, ..*self }
    }
}

/// A block of rows, the unit of work.
pub(super) struct Block<'a> {
    pub(super) columns: Columns<'a>,
    pub(super) labels: &'a [f32],
    pub(super) row_weights: Option<&'a [f32]>,
    pub(super) offsets: Option<&'a [f32]>,
    pub(super) margins: &'a mut [f64],
    pub(super) direction_margins: &'a mut [f64],
}

/// Rows of a block that the cache holds, where they stand.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub(super) columns: Columns<'a>,
    pub(super) labels: &'a [f32],
    pub(super) row_weights: Option<&'a [f32]>,
    pub(super) margins: &'a [f64],
}

/// Where the margins of an evaluation come from.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// Afresh from a point `[wide]`; the rows stand there afterwards.
    Point(&'a [f64]),
    /// From where the rows stand, along a direction `[wide]`, at a step.
    Along(&'a [f64], f64),
    /// From where the rows stand.
    Here,
}

/// Sums over rows, in f64.
#[derive(Clone)]
pub(super) struct Sums {
    pub(super) loss: f64,
    pub(super) slope: f64,
    pub(super) curvature: f64,
    /// `[wide]`, the intercept last.
    pub(super) gradient: Vec<f64>,
}

impl Sums {
    pub(super) fn zero(wide: usize) -> Self {
        Self { loss: 0.0, slope: 0.0, curvature: 0.0, gradient: vec![0.0; wide] }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.slope += other.slope;
        self.curvature += other.curvature;
        for (sum, term) in self.gradient.iter_mut().zip(&other.gradient) {
            *sum += term;
        }
    }
}

/// What is made of each tile of an evaluation beside its sums, while the cache holds it.
pub(super) trait Beside {
    fn take(&mut self, tile: Tile<'_>);
}

/// Nothing beside.
pub(super) struct Nothing;

impl Beside for Nothing {
    #[inline(always)]
    fn take(&mut self, _: Tile<'_>) {}
}

impl Block<'_> {
    /// Evaluates the block; two sweeps over the columns of each tile, the second from the cache.
    #[inline(always)]
    pub(super) fn evaluate(&mut self, at: At<'_>, beside: &mut impl Beside) -> Sums {
        let mut sums = Sums::zero(self.columns.tables.wide());
        let mut residuals = [0.0; TILE_ROWS];
        let mut scratch = Scratch::default();
        let tile = tile_rows(self.columns.count());
        for first in (0..self.labels.len()).step_by(tile) {
            let rows = tile.min(self.labels.len() - first);
            let columns = self.columns.part(first, rows);
            let labels = &self.labels[first..first + rows];
            let row_weights = self.row_weights.map(|weights| &weights[first..first + rows]);
            let margins = &mut self.margins[first..first + rows];
            let direction_margins = &mut self.direction_margins[first..first + rows];
            let residuals = &mut residuals[..rows];
            if let At::Point(weights) | At::Along(weights, _) = at {
                columns.margins(weights, direction_margins);
            }
            let step = match at {
                At::Point(_) => {
                    margins.copy_from_slice(direction_margins);
                    if let Some(offsets) = self.offsets {
                        for (z, offset) in margins.iter_mut().zip(&offsets[first..first + rows]) {
                            *z += f64::from(*offset);
                        }
                    }
                    direction_margins.fill(0.0);
                    0.0
                }
                At::Along(_, step) => step,
                At::Here => 0.0,
            };
            let states = States { margins, direction_margins, labels, row_weights };
            let [loss, slope, curvature] = row_sums(states, step, residuals, &mut scratch);
            sums.loss += loss;
            sums.slope += slope;
            sums.curvature += curvature;
            columns.add_products(residuals, &mut sums.gradient);
            sums.gradient[columns.tables.intercept()] += sum(residuals);
            beside.take(Tile { columns, labels, row_weights, margins });
        }
        sums
    }

    /// Hands every tile to `beside`, where the rows stand.
    #[inline(always)]
    pub(super) fn visit(&self, beside: &mut impl Beside) {
        let tile = tile_rows(self.columns.count());
        for first in (0..self.labels.len()).step_by(tile) {
            let rows = tile.min(self.labels.len() - first);
            let range = first..first + rows;
            beside.take(Tile {
                columns: self.columns.part(first, rows),
                labels: &self.labels[range.clone()],
                row_weights: self.row_weights.map(|weights| &weights[range.clone()]),
                margins: &self.margins[range],
            });
        }
    }

    /// Sums of loss, slope and curvature at `step`, from the cached margins alone.
    #[inline(always)]
    pub(super) fn probe(&self, step: f64) -> [f64; 3] {
        let mut residuals = [0.0; TILE_ROWS];
        let mut scratch = Scratch::default();
        let mut sums = [0.0; 3];
        for first in (0..self.labels.len()).step_by(TILE_ROWS) {
            let range = first..(first + TILE_ROWS).min(self.labels.len());
            let residuals = &mut residuals[..range.len()];
            let states = States {
                margins: &self.margins[range.clone()],
                direction_margins: &self.direction_margins[range.clone()],
                labels: &self.labels[range.clone()],
                row_weights: self.row_weights.map(|weights| &weights[range]),
            };
            let tile = row_sums(states, step, residuals, &mut scratch);
            for (sum, term) in sums.iter_mut().zip(tile) {
                *sum += term;
            }
        }
        sums
    }

    /// `z += step u`: the rows stand at the step now.
    #[inline(always)]
    pub(super) fn advance(&mut self, step: f64) {
        for (z, u) in self.margins.iter_mut().zip(&*self.direction_margins) {
            *z += step * u;
        }
    }
}

impl Columns<'_> {
    /// `X w + b` of the rows, for weights `[wide]`, the intercept last.
    #[inline(always)]
    fn margins(&self, weights: &[f64], margins: &mut [f64]) {
        let (intercept, weights) = weights.split_last().expect("the intercept is always there");
        margins.fill(*intercept);
        let (fours, rest) = weights[..self.tables.plain()].as_chunks::<COLUMNS>();
        let n = margins.len();
        for (index, w) in fours.iter().enumerate() {
            let [a, b, c, d] = std::array::from_fn(|k| &self.column(index * COLUMNS + k)[..n]);
            for i in 0..n {
                margins[i] += (w[0] * f64::from(a[i]) + w[1] * f64::from(b[i]))
                    + (w[2] * f64::from(c[i]) + w[3] * f64::from(d[i]));
            }
        }
        for (index, w) in rest.iter().enumerate() {
            for (z, x) in margins.iter_mut().zip(self.column(fours.len() * COLUMNS + index)) {
                *z += w * f64::from(*x);
            }
        }
        for (codes, table) in self.codes() {
            let table = &weights[table];
            for (z, code) in margins.iter_mut().zip(codes) {
                *z += table[*code as usize];
            }
        }
    }

    /// Adds `X'r` of the rows to the first sums.
    #[inline(always)]
    fn add_products(&self, residuals: &[f64], sums: &mut [f64]) {
        let plain = self.tables.plain();
        for (index, sums) in sums[..plain].chunks_mut(EIGHT).enumerate() {
            // What is missing to eight columns is the last one again, and its sum is left.
            let columns = std::array::from_fn(|k| self.column((index * EIGHT + k).min(plain - 1)));
            for (sum, product) in sums.iter_mut().zip(eight_dots(columns, residuals)) {
                *sum += product;
            }
        }
        for (codes, table) in self.codes() {
            add_by_code(&mut sums[table], codes, residuals);
        }
    }
}

/// Terms of rows on their way to a sum.
struct Scratch([[f64; TERM_ROWS]; 4]);

impl Default for Scratch {
    fn default() -> Self {
        Self([[0.0; TERM_ROWS]; 4])
    }
}

/// What a row's terms are made of, `[rows]` each.
#[derive(Clone, Copy)]
struct States<'a> {
    margins: &'a [f64],
    direction_margins: &'a [f64],
    labels: &'a [f32],
    row_weights: Option<&'a [f32]>,
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

/// Weighted sums of loss, slope and curvature of rows with margins `z + step u`, and their weighted residuals. Term by
/// term in one loop and sum by sum in others: the compiler may put the first into vector registers.
#[inline(always)]
fn row_sums(states: States<'_>, step: f64, residuals: &mut [f64], scratch: &mut Scratch) -> [f64; 3] {
    let Scratch([exponentials, excesses, slopes, curvatures]) = scratch;
    let mut sums = [0.0; 3];
    let States { margins, direction_margins, labels, row_weights } = states;
    let states = margins.chunks(TERM_ROWS).zip(direction_margins.chunks(TERM_ROWS));
    let rows = states.zip(labels.chunks(TERM_ROWS)).zip(residuals.chunks_mut(TERM_ROWS));
    for (index, (((z, u), t), residuals)) in rows.enumerate() {
        let n = z.len();
        let (u, t, residuals) = (&u[..n], &t[..n], &mut residuals[..n]);
        let (exponentials, excesses) = (&mut exponentials[..n], &mut excesses[..n]);
        let (slopes, curvatures) = (&mut slopes[..n], &mut curvatures[..n]);
        for i in 0..n {
            let row = odds(z[i] + step * u[i], f64::from(t[i]));
            exponentials[i] = row.e;
            excesses[i] = row.excess;
            slopes[i] = row.residual * u[i];
            curvatures[i] = row.curvature * u[i] * u[i];
            residuals[i] = row.residual;
        }
        if let Some(row_weights) = row_weights {
            let row_weights = &row_weights[index * TERM_ROWS..][..n];
            // The logarithms have different weights now, and no product in common.
            for e in exponentials.iter_mut() {
                *e = ln_1p_of_unit(*e);
            }
            for values in [&mut *exponentials, &mut *excesses, &mut *slopes, &mut *curvatures, &mut *residuals] {
                weigh(values, row_weights);
            }
            sums[0] += sum(excesses) + sum(exponentials);
        } else {
            sums[0] += sum(excesses) + sum_of_logarithms(exponentials);
        }
        sums[1] += sum(slopes);
        sums[2] += sum(curvatures);
    }
    sums
}

/// `sum ln(1 + e_k)` of at most [`TERM_ROWS`] numbers in 0..1, as the logarithm of one product, which f64 has room for:
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

/// Sums of `w S x_j^2` and `w S x_j`, x extended by 1.
impl Beside for Diagonal {
    #[inline(always)]
    fn take(&mut self, Tile { columns, row_weights, margins, .. }: Tile<'_>) {
        let mut curvatures = [0.0; TILE_ROWS];
        let curvatures = &mut curvatures[..margins.len()];
        for (s, z) in curvatures.iter_mut().zip(margins) {
            *s = terms(*z, 0.0).curvature;
        }
        if let Some(row_weights) = row_weights {
            weigh(curvatures, row_weights);
        }
        let [mut weighted, mut squares] = [[0.0; TILE_ROWS]; 2];
        let (weighted, squares) = (&mut weighted[..margins.len()], &mut squares[..margins.len()]);
        for j in 0..columns.tables.plain() {
            for (((w, q), s), x) in weighted.iter_mut().zip(&mut *squares).zip(&*curvatures).zip(columns.column(j)) {
                *w = s * f64::from(*x);
                *q = *w * f64::from(*x);
            }
            self.own[j] += sum(squares);
            self.with_intercept[j] += sum(weighted);
        }
        for (codes, places) in columns.codes() {
            // 1 is its own square.
            add_by_code(&mut self.own[places.clone()], codes, curvatures);
            add_by_code(&mut self.with_intercept[places], codes, curvatures);
        }
        let total = sum(curvatures);
        self.own[columns.tables.intercept()] += total;
        self.with_intercept[columns.tables.intercept()] += total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole and broken lengths, and sums on both sides of the threshold, nearly separated rows among them.
    #[test]
    fn one_logarithm_stands_for_many() {
        for rows in [1, 7, 8, 255, TERM_ROWS] {
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
        let tiny = [1e-17_f64; TERM_ROWS];
        let by_product = tiny.iter().map(|e| 1.0 + e).product::<f64>().ln();
        assert!(by_product == 0.0 && sum_of_logarithms(&mut tiny.clone()) > 2e-15);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "products that f64 holds exactly")]
    fn a_weight_of_0_leaves_nothing_whatever_the_value() {
        let mut values = [f64::INFINITY, f64::NAN, -1e308, 2.0, -3.0];
        weigh(&mut values, &[0.0, 0.0, 0.0, 1.5, 2.0]);
        assert_eq!(values, [0.0, 0.0, 0.0, 3.0, -6.0]);
    }

    #[test]
    fn blocks_are_whole_tiles_and_fit() {
        for features in [1, 28, 512, 513, 1_024, 5_000, 40_000, 200_000] {
            let (tile, block) = (tile_rows(features), block_rows(features));
            assert!(tile.is_power_of_two() && (32..=TILE_ROWS).contains(&tile), "{features}: {tile}");
            assert!(block.is_power_of_two() && block >= tile && block <= BLOCK_ROWS, "{features}: {block}");
            assert!(block == tile || block * features * 4 <= 2 << 20, "{features}: {block}");
        }
        assert_eq!([1, 28, 512, 1_024, 2_048].map(tile_rows), [256, 256, 256, 256, 128]);
    }
}
