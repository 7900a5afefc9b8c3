//! Where a column lies: an estimate from a sample of rows, the exact moments from all of them, and the
//! narrowing to f32 in between.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::ops::Range;

use crate::vectors::{LANES, in_vectors};

/// Tables of up to this many rows are their own sample.
const SAMPLE_ROWS: usize = 4096;
/// Larger tables are sampled in this many evenly spaced runs: each makes a page of every column be read twice.
const RUNS: usize = 4;
/// Rows of a run.
const RUN_ROWS: usize = SAMPLE_ROWS / RUNS;

/// Rows of the sample, by their position in the table: the cut into row groups changes nothing.
pub(super) fn sample_runs(rows: usize) -> Vec<Range<usize>> {
    if rows <= SAMPLE_ROWS {
        return vec![0..rows; 1];
    }
    let spread = (rows - RUN_ROWS) as u128;
    (0..RUNS)
        .map(|run| {
            let first = (spread * run as u128 / (RUNS - 1) as u128) as usize;
            first..first + RUN_ROWS
        })
        .collect()
}

/// How a column is narrowed: `v = (x - mean) / scale`, in f64, then f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Narrowing {
    pub(super) mean: f64,
    pub(super) scale: f64,
}

impl Narrowing {
    /// From the finite values of a sample. A sample without spread gets scale 1.
    pub(super) fn of_sample(values: &[f64]) -> Self {
        // In units of the largest value, so that 1e200 squared does not overflow.
        let unit = values.iter().fold(0.0_f64, |unit, x| unit.max(x.abs()));
        if unit == 0.0 {
            return Self { mean: 0.0, scale: 1.0 };
        }
        let first = values[0];
        if values.iter().all(|&x| x.to_bits() == first.to_bits()) {
            return Self { mean: first, scale: 1.0 };
        }
        let n = values.len() as f64;
        let mean = values.iter().map(|x| x / unit).sum::<f64>() / n;
        let variance = values.iter().map(|x| (x / unit - mean).powi(2)).sum::<f64>() / n;
        Self { mean: mean * unit, scale: positive(variance.sqrt() * unit) }
    }

    /// For the range `min..=max`, when nothing better is finite.
    fn of_range(min: f64, max: f64) -> Self {
        Self { mean: 0.5 * min + 0.5 * max, scale: positive(0.5 * max - 0.5 * min) }
    }
}

/// Where the middle half of a sample lies, `(low, high)`; `None` for an empty one.
pub(super) fn middle_half(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some((*sorted.get(sorted.len() / 4)?, *sorted.get(sorted.len() * 3 / 4)?))
}

fn positive(scale: f64) -> f64 {
    if scale > 0.0 && scale.is_finite() { scale } else { 1.0 }
}

/// Cells that are no finite numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct BadCells {
    pub(super) nulls: u64,
    pub(super) nans: u64,
    pub(super) infinities: u64,
    /// Positions in the table of the first few.
    pub(super) first_rows: Vec<usize>,
}

impl BadCells {
    pub(super) fn any(&self) -> bool {
        self.nulls + self.nans + self.infinities > 0
    }

    fn add(&mut self, row: usize, value: f64, null: bool) {
        if null {
            self.nulls += 1;
        } else if value.is_nan() {
            self.nans += 1;
        } else {
            self.infinities += 1;
        }
        if self.first_rows.len() < 5 {
            self.first_rows.push(row);
        }
    }
}

/// What is known of a column after its rows were seen; merged in the order of the rows.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// How the values were narrowed; the moments below are in these units.
    narrowing: Narrowing,
    count: f64,
    mean: f64,
    /// Sum of squared deviations from `mean`.
    squares: f64,
    min: f64,
    max: f64,
    /// A narrowed value was not finite in f32.
    overflowed: bool,
    pub(super) bad: BadCells,
}

impl Moments {
    pub(super) fn new(narrowing: Narrowing) -> Self {
        Self {
            narrowing,
            count: 0.0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            overflowed: false,
            bad: BadCells::default(),
        }
    }

    /// Takes the values of consecutive rows from `first_row` on, replaces them by `v` in f64 and puts `v`
    /// in f32 into `narrowed`. `is_null` tells which rows hold no value.
    pub(super) fn take(
        &mut self,
        first_row: usize,
        values: &mut [f64],
        is_null: impl Fn(usize) -> bool,
        narrowed: &mut Vec<f32>,
    ) {
        let Narrowing { mean, scale } = self.narrowing;
        // 0 x is 0 for a finite x and NaN otherwise: one sum tells whether any cell is bad.
        let has_bad_cells = in_vectors(
            #[inline(always)]
            || lanes(values, |x| 0.0 * x) != 0.0,
        );
        if has_bad_cells {
            for (row, &value) in values.iter().enumerate().filter(|(_, x)| !x.is_finite()) {
                self.bad.add(first_row + row, value, is_null(row));
            }
            values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = mean);
        }
        // Every value is written below: what stood there need not be cleared.
        narrowed.resize(values.len(), 0.0);
        for (values, narrowed) in values.chunks_mut(CACHED_ROWS).zip(narrowed.chunks_mut(CACHED_ROWS)) {
            let count = values.len() as f64;
            let part = in_vectors(
                #[inline(always)]
                || narrow(values, narrowed, mean, scale),
            );
            self.min = self.min.min(part.min);
            self.max = self.max.max(part.max);
            self.overflowed |= part.overflowed;
            self.combine(count, part.mean, part.squares);
        }
    }

    /// Chan, Golub and `LeVeque` (1983), "Algorithms for computing the sample variance", eq. 2.1.
    fn combine(&mut self, count: f64, mean: f64, squares: f64) {
        if count == 0.0 {
            return;
        }
        let total = self.count + count;
        let delta = mean - self.mean;
        self.mean += delta * (count / total);
        self.squares += squares + delta * delta * (self.count * (count / total));
        self.count = total;
    }

    pub(super) fn merge(mut self, other: &Self) -> Self {
        self.combine(other.count, other.mean, other.squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.overflowed |= other.overflowed;
        self.bad.nulls += other.bad.nulls;
        self.bad.nans += other.bad.nans;
        self.bad.infinities += other.bad.infinities;
        self.bad.first_rows.extend(&other.bad.first_rows);
        self.bad.first_rows.truncate(5);
        self
    }

    #[expect(clippy::float_cmp, reason = "constant means that all values are the same")]
    pub(super) fn is_constant(&self) -> bool {
        self.min == self.max
    }

    /// The largest absolute value.
    pub(super) fn largest(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }

    /// The largest absolute deviation from the mean.
    pub(super) fn reach(&self) -> f64 {
        let mean = self.exact().mean;
        (self.max - mean).max(mean - self.min)
    }

    /// Exact mean and standard deviation (divisor n) of the column.
    pub(super) fn exact(&self) -> Narrowing {
        if self.is_constant() {
            return Narrowing { mean: self.min, scale: 0.0 };
        }
        let deviation = (self.squares / self.count).sqrt();
        Narrowing {
            mean: self.narrowing.mean + self.narrowing.scale * self.mean,
            scale: self.narrowing.scale * deviation,
        }
    }

    /// Whether the sample misled: a narrowed value is not finite, the mean is more than 1000 scales off,
    /// or the scale more than 1000 times too large or small. Then, how to narrow instead.
    pub(super) fn correction(&self) -> Option<Narrowing> {
        if self.is_constant() {
            return (self.overflowed || self.mean != 0.0).then_some(Narrowing { mean: self.min, scale: 1.0 });
        }
        let exact = self.exact();
        if !(exact.mean.is_finite() && exact.scale.is_finite() && exact.scale > 0.0) {
            return Some(Narrowing::of_range(self.min, self.max));
        }
        let ratio = exact.scale / self.narrowing.scale;
        let off = (exact.mean - self.narrowing.mean).abs() / self.narrowing.scale.min(exact.scale);
        (self.overflowed || !(0.0..=1e3).contains(&off) || !(1e-3..=1e3).contains(&ratio)).then_some(exact)
    }
}

/// Values that are narrowed in one go, in the first-level cache.
const CACHED_ROWS: usize = 1024;

/// What was seen of values while they were narrowed.
struct Narrowed {
    min: f64,
    max: f64,
    /// Of the narrowed values.
    mean: f64,
    /// Of the narrowed values, about their mean.
    squares: f64,
    overflowed: bool,
}

/// Replaces finite `values` by `v = (x - mean) / scale` in f64 and puts `v` in f32 into `narrowed`.
#[inline(always)]
fn narrow(values: &mut [f64], narrowed: &mut [f32], mean: f64, scale: f64) -> Narrowed {
    let min = extreme(values, f64::INFINITY, |a, b| if b < a { b } else { a });
    let max = extreme(values, f64::NEG_INFINITY, |a, b| if b > a { b } else { a });
    let inverse = 1.0 / scale;
    if inverse.is_normal() {
        for x in values.iter_mut() {
            *x = (*x - mean) * inverse;
        }
    } else {
        for x in values.iter_mut() {
            *x = (*x - mean) / scale;
        }
    }
    for (v, x) in narrowed.iter_mut().zip(&*values) {
        *v = *x as f32;
    }
    let center = lanes(values, |v| v) / values.len() as f64;
    let largest = f64::from(f32::MAX);
    Narrowed {
        min,
        max,
        mean: center,
        squares: lanes(values, |v| (v - center) * (v - center)),
        // What rounds to a finite f32 is not far above the largest one.
        overflowed: lanes(values, |v| if v.abs() <= largest { 0.0 } else { 1.0 }) > 0.0,
    }
}

/// The extreme of `values` in [`LANES`] accumulators, from `start` on.
#[inline(always)]
fn extreme(values: &[f64], start: f64, choose: impl Fn(f64, f64) -> f64) -> f64 {
    let (eights, rest) = values.as_chunks::<LANES>();
    let mut found = [start; LANES];
    for eight in eights {
        for lane in 0..LANES {
            found[lane] = choose(found[lane], eight[lane]);
        }
    }
    found.into_iter().chain(rest.iter().copied()).fold(start, choose)
}

/// A sum over `values` in [`LANES`] accumulators.
#[inline(always)]
fn lanes(values: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let (eights, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for eight in eights {
        for lane in 0..LANES {
            sums[lane] += term(eight[lane]);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += term(*value);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64], narrowing: Narrowing, cut: usize) -> (Moments, Vec<f32>) {
        let mut all = Vec::new();
        let mut total = Moments::new(narrowing);
        for (piece, part) in values.chunks(cut).enumerate() {
            let mut moments = Moments::new(narrowing);
            let mut narrowed = Vec::new();
            moments.take(piece * cut, &mut part.to_vec(), |_| false, &mut narrowed);
            all.extend(narrowed);
            total = total.merge(&moments);
        }
        (total, all)
    }

    #[test]
    fn moments_are_exact_far_from_zero() {
        // 1e9 + {0, 1, 2, ..., 99}: mean 1e9 + 49.5, variance (100^2 - 1) / 12.
        let values: Vec<f64> = (0..100).map(|i| 1e9 + f64::from(i)).collect();
        let (total, _) = moments(&values, Narrowing::of_sample(&values[40..60]), 7);
        let exact = total.exact();
        assert!((exact.mean - (1e9 + 49.5)).abs() <= 1e-6);
        assert!((exact.scale / (9999.0_f64 / 12.0).sqrt() - 1.0).abs() <= 1e-12);
        assert!(total.correction().is_none());
    }

    #[test]
    fn a_misleading_sample_is_corrected() {
        let mut values = vec![1.0; 1000];
        values[500] = 1e200;
        let (total, _) = moments(&values, Narrowing::of_sample(&values[..100]), 64);
        let again = total.correction().expect("1e200 does not fit f32");
        let (total, narrowed) = moments(&values, again, 64);
        let total = total.correction().map_or(total, |again| moments(&values, again, 64).0);
        assert!(total.correction().is_none());
        assert!(narrowed.iter().all(|v| v.is_finite()));
        assert!((total.exact().mean / 1e197 - 1.0).abs() <= 1e-12);
    }

    #[test]
    fn bad_cells_are_counted_with_their_rows() {
        let mut values = vec![1.0, f64::NAN, f64::INFINITY, f64::NAN, 5.0];
        let mut moments = Moments::new(Narrowing { mean: 0.0, scale: 1.0 });
        let mut narrowed = Vec::new();
        moments.take(10, &mut values, |row| row == 3, &mut narrowed);
        assert_eq!((moments.bad.nulls, moments.bad.nans, moments.bad.infinities), (1, 1, 1));
        assert_eq!(moments.bad.first_rows, [11, 12, 13]);
    }

    #[test]
    fn the_sample_spans_the_table() {
        assert_eq!((sample_runs(17).len(), sample_runs(17)[0].end), (1, 17));
        let runs = sample_runs(1_000_000);
        assert_eq!(runs.len(), RUNS);
        assert_eq!(runs[0].start, 0);
        assert_eq!(runs[RUNS - 1].end, 1_000_000);
        assert!(runs.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
