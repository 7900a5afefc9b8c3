//! Rows by the values of the columns that move the margins most.

use std::sync::Arc;

use crate::model::{FeatureInfo, Model, ModelColumn};
use crate::vectors::in_vectors;

/// Columns that are looked at.
const COLUMNS: usize = 6;

/// Bins of a number, over this many standard deviations on either side of its mean.
const BINS: usize = 480;
const REACH: f64 = 4.0;

/// Rows whose bins are found side by side.
const SIDE: usize = 512;

/// Levels of a category of several classes that are looked at, those with most rows.
const LEVELS: usize = 14;

/// Rows by the values of a column.
#[derive(Clone, Debug)]
pub struct ColumnProfile {
    /// Its place in [`Model::columns`].
    pub column: usize,
    /// How far a standard deviation of it moves the log odds, or the margins of several classes apart.
    pub weight: f64,
    /// How its values are told apart.
    pub cut: Cut,
    /// Classes that are told apart.
    slots: usize,
    /// The rows, `[bins or levels][slots]`; before the bins of a number and behind them those that lie beyond.
    counts: Vec<u64>,
}

/// How the values of a column are told apart.
#[derive(Clone, Debug)]
pub enum Cut {
    /// A number, in bins of `width` from `low` on.
    Bins {
        /// Where the first bin begins.
        low: f64,
        /// The width of a bin.
        width: f64,
        /// Whether a value's bin is found by a product with `1 / width`, as pages of two classes have it, or by a quotient, as
        /// those of several: a value on the edge of a bin may fall to either side.
        by_product: bool,
    },
    /// A category: the places of the levels that are looked at, rising, and how many are not.
    Levels(Arc<Vec<usize>>, usize),
}

/// The mean square of what is left of numbers about their mean.
fn variance(numbers: &[f64]) -> f64 {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64
}

/// How far a category moves the log odds; of several margins how far apart: coefficients about the mean of their level's
/// margins, then about the mean of the rows.
fn spread(levels: &[FeatureInfo], rows: &[u64], margins: usize) -> f64 {
    let total = rows.iter().sum::<u64>().max(1) as f64;
    let share = |level: usize| rows[level + 1] as f64 / total;
    let of_margin = |margin: usize| {
        let about = |feature: &FeatureInfo| match feature.coefficients[..] {
            [only] => only,
            ref several => several[margin] - several.iter().sum::<f64>() / margins as f64,
        };
        let mean: f64 = levels.iter().enumerate().map(|(level, feature)| share(level) * about(feature)).sum();
        let squares = levels.iter().enumerate().map(|(level, feature)| share(level) * (about(feature) - mean).powi(2));
        squares.sum::<f64>() + rows[0] as f64 / total * mean * mean
    };
    ((0..margins).map(of_margin).sum::<f64>() / margins as f64).sqrt()
}

impl ColumnProfile {
    /// Of the columns of a model that move its margins most, the most important first.
    pub(super) fn of(model: &Model, slots: usize) -> Vec<Self> {
        let margins = model.intercepts.len();
        let mut columns: Vec<Self> = model
            .columns()
            .enumerate()
            .filter_map(|(column, of_model)| {
                let (weight, cut) = match of_model {
                    ModelColumn::Feature(FeatureInfo { mean, scale, coefficients, .. }) => {
                        let weight = match coefficients[..] {
                            [only] => (only * scale).abs(),
                            ref several => scale * variance(several).sqrt(),
                        };
                        let (low, width) = (mean - REACH * scale, 2.0 * REACH * scale / BINS as f64);
                        (weight, Cut::Bins { low, width, by_product: margins == 1 })
                    }
                    ModelColumn::Category(category, levels) => {
                        let mut shown: Vec<usize> = (0..category.levels.len()).collect();
                        // Each range counts each of them: with ten classes that is as much as a table.
                        if margins > 1 {
                            shown.sort_by_key(|&level| std::cmp::Reverse(category.rows[level]));
                            shown.truncate(LEVELS);
                            shown.sort_unstable();
                        }
                        let left_out = category.levels.len() - shown.len();
                        (spread(levels, &category.rows, margins), Cut::Levels(Arc::new(shown), left_out))
                    }
                };
                let has_extent = match cut {
                    Cut::Bins { low, width, .. } => width > 0.0 && low.is_finite(),
                    Cut::Levels(..) => true,
                };
                (weight.is_finite() && has_extent).then(|| Self::new(column, weight, cut, slots))
            })
            .collect();
        // A stable sort: of equal weights the first column comes first.
        columns.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        columns.truncate(COLUMNS);
        columns
    }

    pub(super) fn new(column: usize, weight: f64, cut: Cut, slots: usize) -> Self {
        let places = match &cut {
            Cut::Bins { .. } => BINS + 2,
            Cut::Levels(shown, _) => shown.len(),
        };
        Self { column, weight, cut, slots, counts: vec![0; places * slots] }
    }

    /// Rows by slot: of each bin of a number, or of each level that is looked at.
    pub fn rows(&self) -> Vec<&[u64]> {
        let rows = self.counts.chunks_exact(self.slots);
        match self.cut {
            Cut::Bins { .. } => rows.skip(1).take(BINS).collect(),
            Cut::Levels(..) => rows.collect(),
        }
    }

    /// The rows on either side of the bins.
    pub fn beyond(&self) -> [u64; 2] {
        let (before, after) = (&self.counts[..self.slots], &self.counts[self.counts.len() - self.slots..]);
        [before, after].map(|rows| rows.iter().sum())
    }

    /// Takes in values with the slots of their classes.
    pub(super) fn add(&mut self, values: &[f64], slots: &[usize]) {
        match &self.cut {
            Cut::Bins { low, width, by_product } => {
                let (low, width, per_width, by_product) = (*low, *width, width.recip(), *by_product);
                for (values, slots) in values.chunks(SIDE).zip(slots.chunks(SIDE)) {
                    let mut places = [0_i32; SIDE];
                    in_vectors(
                        #[inline(always)]
                        || {
                            for (place, x) in places.iter_mut().zip(values) {
                                let product = (x - low) * per_width + 1.0;
                                let bin = if by_product { product } else { ((x - low) / width).floor() + 1.0 };
                                *place = bin.clamp(0.0, (BINS + 1) as f64) as i32;
                            }
                        },
                    );
                    for (place, slot) in places.iter().zip(slots) {
                        self.counts[*place as usize * self.slots + slot] += 1;
                    }
                }
            }
            // A level that the model does not know has a negative place.
            Cut::Levels(shown, _) => {
                for (level, slot) in values.iter().zip(slots).filter(|(level, _)| **level >= 0.0) {
                    let level = *level as usize;
                    // Where all levels are shown each has its own place.
                    let own = (shown.get(level) == Some(&level)).then_some(level);
                    if let Some(place) = own.or_else(|| shown.binary_search(&level).ok()) {
                        self.counts[place * self.slots + slot] += 1;
                    }
                }
            }
        }
    }

    /// Takes in what another saw.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, other)| *mine += other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_where_they_lie() {
        // Whole numbers from -10 on, those from 470 on beyond the bins.
        let numbers = [-1e300, -10.5, -10.0, -9.5, 0.0, 0.25, 469.0, 469.999, 470.0, 471.0, 1e300, 1e308];
        let bins = |by_product: bool| {
            let mut bins = ColumnProfile::new(0, 1.0, Cut::Bins { low: -10.0, width: 1.0, by_product }, 2);
            bins.add(&numbers, &numbers.map(|x| usize::from(x > 0.0)));
            // A second piece adds to the first.
            bins.add(&[0.5], &[1]);
            bins
        };
        let mut expected = vec![[0; 2]; BINS];
        for (bin, of_bin) in [(0, [2, 0]), (10, [1, 2]), (479, [0, 2])] {
            expected[bin] = of_bin;
        }
        for bins in [bins(true), bins(false)] {
            assert_eq!((bins.rows(), bins.beyond()), (expected.iter().map(|of_bin| &of_bin[..]).collect(), [2, 4]));
        }
        // Of a category: the places of levels, and what the model does not know.
        let levels = |shown: &[usize]| {
            let mut levels = ColumnProfile::new(0, 1.0, Cut::Levels(Arc::new(shown.to_vec()), 3 - shown.len()), 2);
            levels.add(&[0.0, 2.0, -1.0, 2.0, -1.0], &[1, 0, 0, 1, 1]);
            levels
        };
        assert_eq!(levels(&[0, 1, 2]).rows(), [[0, 1], [0, 0], [1, 1]]);
        // Some levels alone.
        assert_eq!(levels(&[1, 2]).rows(), [[0, 0], [1, 1]]);
    }
}
