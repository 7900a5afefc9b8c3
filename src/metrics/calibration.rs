//! Whether what is predicted with probability p happens with frequency p.

use serde::Serialize;

use crate::sum::Sum;

/// Predicted and observed, by probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean over the rows of `|predicted - observed|` of their bins (Naeini, Cooper and
    /// Hauskrecht, 2015).
    pub expected_error: f64,
    /// Bins of equal width.
    pub bins: Vec<CalibrationBin>,
}

/// The rows with a probability in `low < p <= high`; the first bin has p = 0 too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Lower limit of the probability.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
    /// Rows of positive weight.
    pub rows: u64,
    /// Their weight.
    pub weight: f64,
    /// Mean probability; `None` without rows.
    pub predicted: Option<f64>,
    /// Share of the positives; `None` without rows.
    pub observed: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    rows: u64,
    predicted: Sum,
    /// Of the negatives and of the positives.
    weights: [Sum; 2],
}

/// Sums by probability.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    /// The lower limit of each.
    limits: Vec<f64>,
}

impl Cells {
    /// Bins unless told otherwise.
    pub(super) const DEFAULT: usize = 10;

    /// At least one.
    pub(super) fn new(bins: usize) -> Self {
        let bins = bins.max(1);
        Self { cells: vec![Cell::default(); bins], limits: (0..bins).map(|bin| Self::limit(bin, bins)).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Limit `i` of `n` bins.
    fn limit(i: usize, n: usize) -> f64 {
        i as f64 / n as f64
    }

    pub(super) fn add(&mut self, probability: f64, class: usize, weight: f64) {
        let n = self.cells.len();
        // Rounding never takes the product below a whole number, but it may take it up to one.
        let bin = ((probability * n as f64) as i32 as usize).min(n - 1);
        let bin = bin.saturating_sub(usize::from(probability <= self.limits[bin]));
        let cell = &mut self.cells[bin];
        cell.rows += 1;
        cell.predicted.add(weight * probability);
        cell.weights[class].add(weight);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, other) in self.cells.iter_mut().zip(&other.cells) {
            mine.rows += other.rows;
            mine.predicted.merge(other.predicted);
            mine.weights.iter_mut().zip(other.weights).for_each(|(mine, other)| mine.merge(other));
        }
    }

    pub(super) fn finish(&self) -> Calibration {
        let n = self.cells.len();
        let (mut gaps, mut total) = (0.0, 0.0);
        let bins = self.cells.iter().enumerate().map(|(i, cell)| {
            let [negatives, positives] = cell.weights.map(Sum::value);
            let weight = negatives + positives;
            let predicted = super::ratio(cell.predicted.value(), weight);
            let observed = super::ratio(positives, weight);
            gaps += weight * predicted.zip(observed).map_or(0.0, |(predicted, observed)| (predicted - observed).abs());
            total += weight;
            let (low, high) = (Self::limit(i, n), Self::limit(i + 1, n));
            CalibrationBin { low, high, rows: cell.rows, weight, predicted, observed }
        });
        let bins = bins.collect();
        Calibration { expected_error: gaps / total, bins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_belongs_to_the_bin_below() {
        for n in [1, 2, 3, 7, 10, 49, 100] {
            let mut cells = Cells::new(n);
            for i in 0..=n {
                cells.add(Cells::limit(i, n), 0, 1.0);
            }
            let rows: Vec<u64> = cells.finish().bins.iter().map(|bin| bin.rows).collect();
            assert!(rows[0] == 2 && rows[1..].iter().all(|&rows| rows == 1), "{n}: {rows:?}");
            let mut cells = Cells::new(n);
            for i in 0..n {
                cells.add(Cells::limit(i, n).next_up(), 0, 1.0);
            }
            let rows: Vec<u64> = cells.finish().bins.iter().map(|bin| bin.rows).collect();
            assert!(rows.iter().all(|&rows| rows == 1), "{n}: {rows:?}");
        }
    }
}
