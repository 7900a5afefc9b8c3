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

/// Steps of a mean in a scale.
const STEPS: f64 = 4.0;

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
        Self { mean: mean * unit, scale: positive(variance.sqrt() * unit) }.on_steps()
    }

    /// Whether f32 holds all of these values as they are narrowed.
    #[expect(clippy::float_cmp, reason = "rounding is what is asked about")]
    pub(super) fn is_exact(self, values: &[f64]) -> bool {
        let rounded = |x: f64| f64::from(self.of(x) as f32) * self.scale + self.mean;
        values.iter().all(|&x| x.is_nan() || rounded(x) == x)
    }

    /// About the same place in steps that f32 holds: the scale a power of two, the mean a multiple of a quarter of it. Whole
    /// numbers, and decimals that were written with few binary digits, are then narrowed without any rounding, which would be
    /// the same in all rows that have the same value.
    fn on_steps(self) -> Self {
        let scale = self.scale.log2().round().exp2();
        let mean = (self.mean / scale * STEPS).round() / STEPS * scale;
        if scale > 0.0 && scale.is_finite() && mean.is_finite() { Self { mean, scale } } else { self }
    }

    /// For the range `min..=max`, when nothing better is finite.
    fn of_range(min: f64, max: f64) -> Self {
        Self { mean: 0.5 * min + 0.5 * max, scale: positive(0.5 * max - 0.5 * min) }
    }
}

/// Where the middle half of a sample lies, `(low, high)`; `None` for an empty one.
pub(super) fn middle_half(values: &[f64]) -> Option<(f64, f64)> {
    let mut values = values.to_vec();
    let [low, high] = [values.len() / 4, values.len() * 3 / 4];
    if values.is_empty() {
        return None;
    }
    let mut in_order = |place: usize| *values.select_nth_unstable_by(place, f64::total_cmp).1;
    Some((in_order(low), in_order(high)))
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

    fn merge(&mut self, other: &Self) {
        self.nulls += other.nulls;
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.first_rows.extend(&other.first_rows);
        self.first_rows.truncate(5);
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

/// What is made of values that are missing: nulls and NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Missing {
    /// They are bad cells.
    Refuse,
    /// They are counted and left out of the moments, and 0 is written: their fill is not known yet.
    LeaveOut,
    /// This value stands in for them.
    Fill(f64),
}

/// What is known of a column after its rows were seen; merged in the order of the rows.
///
/// Sums are made over blocks of [`CACHED_ROWS`] rows by their position in the table, and the blocks are combined in
/// their order, so the cut of the rows into files, row groups and batches changes no bit. Rows of a block that is not
/// whole yet wait as they are.
#[derive(Clone, Debug)]
pub(super) struct ColumnMoments {
    /// How the values were narrowed; the moments below are in these units.
    narrowing: Narrowing,
    /// Positions of the first row that was seen and of the one behind the last.
    rows: Option<(usize, usize)>,
    /// The rows before the first block that begins here: values and weights, weight 0 where there is no value.
    head: Vec<(f64, f64)>,
    /// Blocks that are whole.
    blocks: Vec<Sums>,
    /// The rows of the last block, which is not whole yet.
    tail: Vec<(f64, f64)>,
    is_weighted: bool,
    /// All of them together, once they are closed.
    total: Sums,
    min: f64,
    max: f64,
    /// A narrowed value was not finite in f32.
    overflowed: bool,
    /// Rows that were left out because they hold no value.
    pub(super) missing: u64,
    pub(super) bad: BadCells,
}

/// Moments of narrowed values.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    mean: f64,
    /// Sum of squared deviations from `mean`.
    squares: f64,
}

impl Sums {
    /// Chan, Golub and `LeVeque` (1983), "Algorithms for computing the sample variance", eq. 2.1.
    fn combine(&mut self, other: Self) {
        if other.count == 0.0 {
            return;
        }
        let total = self.count + other.count;
        let delta = other.mean - self.mean;
        self.mean += delta * (other.count / total);
        self.squares += other.squares + delta * delta * (self.count * (other.count / total));
        self.count = total;
    }
}

impl ColumnMoments {
    pub(super) fn new(narrowing: Narrowing) -> Self {
        Self {
            narrowing,
            rows: None,
            head: Vec::new(),
            blocks: Vec::new(),
            tail: Vec::new(),
            is_weighted: false,
            total: Sums::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            overflowed: false,
            missing: 0,
            bad: BadCells::default(),
        }
    }

    /// Takes the values of consecutive rows from `first_row` on and puts them, narrowed, into `narrowed`. `is_null`
    /// tells which rows hold no value; `missing`, what is made of those and of NaN. Infinities are bad cells always.
    /// With `weights`, moments are those of each row repeated by its weight; what lies in rows of weight 0 counts for
    /// nothing but as a bad cell.
    pub(super) fn take<T: Copy + Into<f64>>(
        &mut self,
        first_row: usize,
        values: &[T],
        weights: Option<&[f64]>,
        is_null: impl Fn(usize) -> bool,
        missing: Missing,
        narrowed: &mut Vec<f32>,
    ) {
        self.is_weighted |= weights.is_some();
        // Every value is written below: what stood there need not be cleared.
        narrowed.resize(values.len(), 0.0);
        let mut first = 0;
        while first < values.len() {
            let position = first_row + first;
            let end = values.len().min(first + CACHED_ROWS - position % CACHED_ROWS);
            let (piece, out) = (&values[first..end], &mut narrowed[first..end]);
            let part = self.narrowing.apply(piece, out);
            let is_whole = piece.len() == CACHED_ROWS && weights.is_none();
            if part.sum.is_finite() && is_whole {
                self.rows = Some((self.rows.map_or(position, |rows| rows.0), position + CACHED_ROWS));
                self.see(part);
                self.blocks.push(part.sums(CACHED_ROWS));
            } else {
                // Some cell is no finite number, or the block is not whole, or rows weigh differently. What stands in for
                // a cell counts if it is a fill, or the error to come is all.
                let mut counted = Vec::with_capacity(piece.len());
                let mut filled = Vec::with_capacity(if part.sum.is_finite() { 0 } else { piece.len() });
                for (row, &value) in (first..end).zip(piece) {
                    let value: f64 = value.into();
                    let weight = weights.map_or(1.0, |weights| weights[row]);
                    let (value, weight) = match (value.is_finite(), value.is_nan(), missing) {
                        (true, ..) => (value, weight),
                        (false, true, Missing::Fill(fill)) => (fill, weight),
                        (false, true, Missing::LeaveOut) => {
                            self.missing += 1;
                            (self.narrowing.mean, 0.0)
                        }
                        _ => {
                            self.bad.add(first_row + row, value, is_null(row));
                            (self.narrowing.mean, weight)
                        }
                    };
                    counted.push((value, weight));
                    if !part.sum.is_finite() {
                        filled.push(value);
                    }
                }
                if !part.sum.is_finite() {
                    self.narrowing.apply(&filled, out);
                }
                self.append(position, &counted);
            }
            first = end;
        }
    }

    /// Takes rows from `position` on, of one block.
    fn append(&mut self, position: usize, rows: &[(f64, f64)]) {
        let begin = self.rows.map_or(position, |rows| rows.0);
        self.rows = Some((begin, position + rows.len()));
        for (x, _) in rows.iter().filter(|(_, w)| *w > 0.0) {
            self.min = self.min.min(*x);
            self.max = self.max.max(*x);
            self.overflowed |= self.narrowing.of(*x).abs() > f64::from(f32::MAX);
        }
        if position < begin.next_multiple_of(CACHED_ROWS) {
            self.head.extend(rows);
            return;
        }
        self.tail.extend(rows);
        if self.tail.len() == CACHED_ROWS {
            let whole = std::mem::take(&mut self.tail);
            self.blocks.push(self.sums(&whole));
        }
    }

    /// The sums of rows of one block.
    fn sums(&self, rows: &[(f64, f64)]) -> Sums {
        let counted = rows.iter().filter(|(_, w)| *w > 0.0);
        if !self.is_weighted {
            let values: Vec<f64> = counted.map(|(x, _)| *x).collect();
            return self.narrowing.apply(&values, &mut vec![0.0; values.len()]).sums(values.len());
        }
        let count: f64 = counted.clone().map(|(_, w)| w).sum();
        if count == 0.0 {
            return Sums::default();
        }
        let v = |x: f64| self.narrowing.of(x);
        let mean = counted.clone().map(|(x, w)| w * v(*x)).sum::<f64>() / count;
        Sums { count, mean, squares: counted.map(|(x, w)| w * (v(*x) - mean) * (v(*x) - mean)).sum() }
    }

    fn see(&mut self, part: Narrowed) {
        self.min = self.min.min(part.min);
        self.max = self.max.max(part.max);
        // What rounds to a finite f32 is not far above the largest one.
        self.overflowed |= [part.min, part.max].iter().any(|&x| self.narrowing.of(x).abs() > f64::from(f32::MAX));
    }

    /// The smallest and the largest value; `None` without one.
    pub(super) fn extent(&self) -> Option<(f64, f64)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// Whether any value was there.
    pub(super) fn has_values(&self) -> bool {
        self.total.count > 0.0
    }

    /// Adds the rows that follow.
    pub(super) fn merge(&mut self, other: &Self) {
        self.is_weighted |= other.is_weighted;
        if let Some((begin, end)) = other.rows {
            self.append(begin, &other.head);
            self.blocks.extend(&other.blocks);
            self.append(end - other.tail.len(), &other.tail);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.overflowed |= other.overflowed;
        self.missing += other.missing;
        self.bad.merge(&other.bad);
    }

    /// All rows of the table were seen: their moments are known now, and what they were made of is not kept.
    pub(super) fn close(&mut self) {
        self.total = Sums::default();
        let (head, tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        let rest = [self.sums(&head), self.sums(&tail)];
        for part in std::mem::take(&mut self.blocks).iter().chain(&rest) {
            self.total.combine(*part);
        }
    }

    /// Bytes of the rows that wait for the rest of their block, of a table with so many rows.
    pub(super) fn open_bytes(rows: usize) -> usize {
        size_of::<(f64, f64)>() * rows.min(CACHED_ROWS)
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
        let deviation = (self.total.squares / self.total.count).sqrt();
        Narrowing {
            mean: self.narrowing.mean + self.narrowing.scale * self.total.mean,
            scale: self.narrowing.scale * deviation,
        }
    }

    /// Whether the sample misled: a narrowed value is not finite, the mean is more than 1000 scales off,
    /// or the scale more than 1000 times too large or small. Then, how to narrow instead.
    pub(super) fn correction(&self) -> Option<Narrowing> {
        if !self.has_values() {
            return None;
        }
        if self.is_constant() {
            return (self.overflowed || self.total.mean != 0.0).then_some(Narrowing { mean: self.min, scale: 1.0 });
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

/// Rows of a block: values that are narrowed in one go. Few enough for the sums about the first of them: that one is at most
/// `CACHED_ROWS^1/2` of their standard deviations from their mean, so the squares lose three digits of sixteen at worst.
const CACHED_ROWS: usize = 1024;

/// What was seen of values while they were narrowed.
#[derive(Clone, Copy)]
struct Narrowed {
    /// Of the values as they came.
    min: f64,
    max: f64,
    /// The first narrowed value.
    origin: f64,
    /// Of the narrowed values less `origin`; not finite if a value is not.
    sum: f64,
    /// Of their squares.
    squares: f64,
}

impl Narrowed {
    /// The moments of `count` values.
    fn sums(self, count: usize) -> Sums {
        if count == 0 {
            return Sums::default();
        }
        let from_origin = self.sum / count as f64;
        let squares = (self.squares - self.sum * from_origin).max(0.0);
        Sums { count: count as f64, mean: self.origin + from_origin, squares }
    }
}

impl Narrowing {
    /// `(x - mean) / scale`.
    #[inline(always)]
    fn of(self, x: f64) -> f64 {
        let inverse = 1.0 / self.scale;
        if inverse.is_normal() { (x - self.mean) * inverse } else { (x - self.mean) / self.scale }
    }

    /// Narrows `values` into `narrowed`, both of the same length, and looks at them in the same sweep.
    fn apply<T: Copy + Into<f64>>(self, values: &[T], narrowed: &mut [f32]) -> Narrowed {
        let Self { mean, scale } = self;
        let inverse = 1.0 / scale;
        // A scale near the ends of f64 has no inverse; those columns can afford a division.
        if inverse.is_normal() {
            in_vectors(
                #[inline(always)]
                || sweep(values, narrowed, |x| (x - mean) * inverse),
            )
        } else {
            sweep(values, narrowed, |x| (x - mean) / scale)
        }
    }
}

/// Values side by side in the sweep: so many that the compiler goes through them in vector registers, and that no sum
/// waits for the one before.
const WIDTH: usize = 8 * LANES;

/// Puts `narrow` of each of `values` into `narrowed`, with sums and extremes in [`WIDTH`] accumulators.
#[inline(always)]
fn sweep<T: Copy + Into<f64>>(values: &[T], narrowed: &mut [f32], narrow: impl Fn(f64) -> f64) -> Narrowed {
    let origin = narrow(values.first().map_or(0.0, |&x| x.into()));
    let mut seen = Seen {
        min: [f64::INFINITY; WIDTH],
        max: [f64::NEG_INFINITY; WIDTH],
        sums: [0.0; WIDTH],
        squares: [0.0; WIDTH],
    };
    let (rows, rest) = values.as_chunks::<WIDTH>();
    let (narrowed_rows, narrowed_rest) = narrowed.as_chunks_mut::<WIDTH>();
    for (values, narrowed) in rows.iter().zip(narrowed_rows) {
        seen.take(values, narrowed, origin, &narrow);
    }
    seen.take(rest, narrowed_rest, origin, &narrow);
    Narrowed {
        min: seen.min.into_iter().fold(f64::INFINITY, f64::min),
        max: seen.max.into_iter().fold(f64::NEG_INFINITY, f64::max),
        origin,
        sum: seen.sums.iter().sum(),
        squares: seen.squares.iter().sum(),
    }
}

/// The accumulators of a sweep.
struct Seen {
    min: [f64; WIDTH],
    max: [f64; WIDTH],
    sums: [f64; WIDTH],
    squares: [f64; WIDTH],
}

impl Seen {
    #[inline(always)]
    fn take<T: Copy + Into<f64>>(
        &mut self,
        values: &[T],
        narrowed: &mut [f32],
        origin: f64,
        narrow: impl Fn(f64) -> f64,
    ) {
        for (i, (value, narrowed)) in values.iter().zip(narrowed).enumerate() {
            let x: f64 = (*value).into();
            let v = narrow(x);
            *narrowed = v as f32;
            self.min[i] = self.min[i].min(x);
            self.max[i] = self.max[i].max(x);
            self.sums[i] += v - origin;
            self.squares[i] += (v - origin) * (v - origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64], narrowing: Narrowing, cut: usize) -> (ColumnMoments, Vec<f32>) {
        let mut all = Vec::new();
        let mut total = ColumnMoments::new(narrowing);
        for (piece, part) in values.chunks(cut).enumerate() {
            let mut moments = ColumnMoments::new(narrowing);
            let mut narrowed = Vec::new();
            moments.take(piece * cut, part, None, |_| false, Missing::Refuse, &mut narrowed);
            all.extend(narrowed);
            total.merge(&moments);
        }
        total.close();
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

    /// Whole numbers, and binary fractions, go through f32 and come back.
    #[test]
    #[expect(clippy::float_cmp, reason = "the same bits are meant")]
    fn numbers_with_few_digits_are_not_rounded() {
        let whole: Vec<f64> = (0..3_000).map(|i| f64::from(i * 37 % 101) + 1e6).collect();
        let flags: Vec<f64> = (0..3_000).map(|i| f64::from(u8::from(i % 10 == 3))).collect();
        let halves: Vec<f64> = whole.iter().map(|x| x / 8.0).collect();
        for values in [&whole, &flags, &halves] {
            let narrowing = Narrowing::of_sample(values);
            let (_, narrowed) = moments(values, narrowing, 700);
            for (x, v) in values.iter().zip(&narrowed) {
                assert_eq!(f64::from(*v) * narrowing.scale + narrowing.mean, *x, "{narrowing:?}");
            }
            assert!(narrowing.is_exact(values));
            // The control: the same by the exact moments of the column.
            let exact = moments(values, narrowing, 700).0.exact();
            let (_, rounded) = moments(values, exact, 700);
            let back = |v: f32| f64::from(v) * exact.scale + exact.mean;
            assert!(values.iter().zip(rounded).any(|(x, v)| back(v) != *x) && !exact.is_exact(values));
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the same bits are meant")]
    fn the_cut_changes_no_bit() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_007).sqrt() + 1e3).collect();
        let narrowing = Narrowing::of_sample(&values[..500]);
        let (whole, narrowed) = moments(&values, narrowing, values.len());
        for cut in [1, 7, 500, 1024, 1500, 4096, 9_999] {
            let (cut_up, again) = moments(&values, narrowing, cut);
            assert_eq!((cut_up.exact().mean, cut_up.exact().scale), (whole.exact().mean, whole.exact().scale), "{cut}");
            assert_eq!(again, narrowed);
        }
        // The control: sums of other blocks have other bits.
        let shifted = (0..10_000).step_by(1000).fold(Sums::default(), |mut sums, first| {
            sums.combine(narrowing.apply(&values[first..first + 1000], &mut [0.0; 1000]).sums(1000));
            sums
        });
        assert_ne!(shifted.mean, whole.total.mean);
    }

    #[test]
    fn an_outlier_in_front_costs_no_digits() {
        // The sums are taken about it. Mean and variance of n values, one a and the others 0: a/n, a^2 (n - 1) / n^2.
        let mut values = vec![0.0; 1000];
        values[0] = 1e3;
        let (total, _) = moments(&values, Narrowing { mean: 0.0, scale: 1.0 }, 1000);
        assert!((total.exact().mean - 1.0).abs() <= 1e-14);
        assert!((total.exact().scale / 999.0_f64.sqrt() - 1.0).abs() <= 1e-13);
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
        let values = [1.0, f64::NAN, f64::INFINITY, f64::NAN, 5.0];
        let mut moments = ColumnMoments::new(Narrowing { mean: 0.0, scale: 1.0 });
        let mut narrowed = Vec::new();
        moments.take(10, &values, None, |row| row == 3, Missing::Refuse, &mut narrowed);
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
