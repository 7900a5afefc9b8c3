//! Scores in their order.
//!
//! Scores are kept while they fit, 8 bytes a row (16 with weights), and sorted at the end. Beyond that they go into
//! bins: neighbouring scores whose bit patterns agree but for the low bits, as few low bits as leave no more bins than
//! allowed. That number of bits follows from the rows alone, in any order, and so do the bins. They lie densely where
//! scores do, whatever the scale, and there is none without rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bins::{Boundaries, Histogram, rank};
use super::ranks::Rows;
use super::sweep::{Course, Ranked, Sweep};
use crate::sum::Sum;

/// How much memory exact ranks may take. Clones share it: with one clone in every thread, ranks are exact if and only
/// if all rows of all threads fit, whichever thread sees which.
#[derive(Clone, Debug)]
pub struct Limit {
    bytes: usize,
    bins: usize,
    taken: Arc<AtomicUsize>,
}

impl Default for Limit {
    /// Scores of 128 million rows.
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

impl Limit {
    /// Bins of [`Limit::new`].
    pub const BINS: usize = 1 << 17;

    /// Scores are kept up to `bytes`: 8 a row, 16 if weights other than 1 occur; times K for K classes. Vectors have up
    /// to as much again in reserve, which nobody touches. Beyond that every accumulator has up to [`Limit::BINS`] bins,
    /// in 20 MB at most.
    pub fn new(bytes: usize) -> Self {
        Self { bytes, bins: Self::BINS, taken: Arc::default() }
    }

    /// The same with another number of bins, at least 2. K classes share them, 1024 for each at least.
    #[must_use]
    pub fn with_bins(self, bins: usize) -> Self {
        Self { bins: bins.max(2), ..self }
    }

    /// Takes room. It is never given back, so that whether there was enough does not depend on the order of the calls.
    fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_exceeded(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.bytes
    }
}

/// Scores and labels, exact while the limit allows.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    limit: Limit,
    /// Most bins.
    bins: usize,
    /// All rows; with a histogram, those that are not yet in it.
    rows: Rows,
    histogram: Option<Histogram>,
}

impl Ranking {
    /// One of `sharers` rankings that share the bins of a limit.
    pub(super) fn new(limit: Limit, sharers: usize) -> Self {
        let bins = if sharers == 1 { limit.bins } else { (limit.bins / sharers).max(1024) };
        Self { limit, bins, rows: Rows::new(), histogram: None }
    }

    /// Before `rows` calls of [`Ranking::push`]; `weighted` if weights other than 1 are among them.
    pub(super) fn make_room(&mut self, rows: usize, weighted: bool) {
        if weighted && matches!(self.rows, Rows::Plain(_)) {
            let before = self.rows.bytes();
            self.rows.weigh();
            if self.histogram.is_none() {
                self.limit.take(self.rows.bytes() - before);
            }
        }
        if self.histogram.is_some() {
            if self.rows.len() + rows > self.bins.max(4096) {
                self.fold();
            }
        } else {
            self.limit.take(rows * self.rows.row_bytes());
            self.keep_the_limit();
        }
    }

    /// Rows of labels 0 or 1 and of positive weights, which are 1 without.
    pub(super) fn add(&mut self, labels: &[f64], scores: &[f64], weights: Option<&[f64]>) {
        self.make_room(scores.len(), weights.is_some());
        let rows = labels.iter().zip(scores).enumerate();
        // -0 becomes 0.
        self.rows.extend(rows.map(|(row, (&label, &score))| {
            (rank(score + 0.0), usize::from(label > 0.5), weights.map_or(1.0, |weights| weights[row]))
        }));
    }

    /// `class` is 0 or 1, `weight` positive.
    pub(super) fn push(&mut self, score: f64, class: usize, weight: f64) {
        self.rows.extend(std::iter::once((rank(score + 0.0), class, weight)));
    }

    pub(super) fn merge(&mut self, other: Self) {
        let both_kept = self.histogram.is_none() && other.histogram.is_none();
        let shared = Arc::ptr_eq(&self.limit.taken, &other.limit.taken);
        let counted = self.rows.bytes() + if shared { other.rows.bytes() } else { 0 };
        self.rows.append(other.rows);
        if both_kept {
            // Weights may have come to rows without.
            self.limit.take(self.rows.bytes() - counted);
            self.keep_the_limit();
        } else {
            self.fold();
        }
        if let (Some(mine), Some(others)) = (&mut self.histogram, other.histogram) {
            mine.absorb(&others.bins, others.low_bits, self.bins);
        }
    }

    fn keep_the_limit(&mut self) {
        if self.limit.is_exceeded() {
            self.fold();
        }
    }

    /// Puts the rows into the histogram, which is made if there is none.
    fn fold(&mut self) {
        self.rows.sort();
        let mut boundaries = Boundaries::new();
        self.rows.for_each_bin(0, |bin| boundaries.see(bin.first));
        let histogram = self.histogram.get_or_insert_default();
        let low_bits = boundaries.low_bits(histogram.low_bits, self.bins);
        let mut bins = Vec::new();
        self.rows.for_each_bin(low_bits, |bin| bins.push(*bin));
        histogram.absorb(&bins, low_bits, self.bins);
        self.rows.clear();
    }

    /// `totals` are the weights of the negatives and of the positives; `None` if either is 0. `probability` turns a
    /// score into one. Of the curves at most `points` points, 2 at least.
    pub(super) fn finish(mut self, totals: [f64; 2], probability: fn(f64) -> f64, points: usize) -> Option<Ranked> {
        if totals.iter().any(|&total| total <= 0.0) {
            return None;
        }
        self.keep_the_limit();
        let course = Course::new(totals, probability, points);
        if self.histogram.is_none() {
            return Some(self.rows.sweep(course).finish());
        }
        self.fold();
        let mut sweep = Sweep::from(course, [Sum::default(); 2]);
        self.histogram.iter().flat_map(|histogram| &histogram.bins).for_each(|bin| sweep.step(bin));
        Some(sweep.finish())
    }
}

/// The area under the curve of rows with labels 0 and 1, by weights that are not negative; `None` without both classes.
pub fn auc(labels: &[f64], scores: &[f64], weights: &[f64]) -> Option<f64> {
    let is_weighted = weights.iter().any(|w| (*w - 1.0).abs() > 0.0);
    let mut totals = [0.0; 2];
    for (label, weight) in labels.iter().zip(weights) {
        totals[usize::from(*label > 0.5)] += weight;
    }
    let mut ranking = Ranking::new(Limit::new(usize::MAX), 1);
    if weights.iter().all(|w| *w > 0.0) {
        ranking.add(labels, scores, is_weighted.then_some(weights));
    } else {
        let rows = labels.iter().zip(scores).zip(weights).filter(|(_, weight)| **weight > 0.0);
        for ((label, score), weight) in rows {
            ranking.make_room(1, true);
            ranking.push(*score, usize::from(*label > 0.5), *weight);
        }
    }
    Some(ranking.finish(totals, crate::logistic::sigmoid, 2)?.auc.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(scores: impl Iterator<Item = f64>, limit: &Limit) -> Ranking {
        let mut ranking = Ranking::new(limit.clone(), 1);
        for (i, score) in scores.enumerate() {
            ranking.make_room(1, false);
            ranking.push(score, i % 2, 1.0);
        }
        ranking
    }

    #[test]
    fn bins_are_few_and_hold_every_row() {
        let limit = Limit::new(1000 * 8).with_bins(100);
        // A tenth of the rows before the switch; half of them far from the others.
        let scores = (0..10_000).map(|i| f64::from(i) * if i % 2 == 0 { 1e-3 } else { -1e20 });
        let mut whole = ranking(scores.clone(), &limit);
        whole.fold();
        let mut parts = ranking(scores.clone().skip(5000), &limit);
        parts.merge(ranking(scores.take(5000), &limit));
        parts.fold();
        for ranking in [&whole, &parts] {
            let histogram = ranking.histogram.as_ref().expect("beyond the limit");
            assert!((50..=100).contains(&histogram.bins.len()), "{}", histogram.bins.len());
            let mass: f64 = histogram.bins.iter().flat_map(|bin| bin.mass).map(Sum::value).sum();
            assert!((mass - 10_000.0).abs() == 0.0 && ranking.rows.len() == 0);
            assert!(histogram.bins.is_sorted_by(|a, b| a.first <= a.last && a.last < b.first));
        }
        let shape = |ranking: &Ranking| -> Vec<(u64, u64)> {
            ranking.histogram.iter().flat_map(|histogram| &histogram.bins).map(|bin| (bin.first, bin.last)).collect()
        };
        assert_eq!(shape(&whole), shape(&parts));
    }

    #[test]
    fn what_is_kept_is_counted() {
        let ranking = ranking((0..100_000).map(f64::from), &Limit::new(usize::MAX));
        assert_eq!(ranking.rows.len(), 100_000);
        assert_eq!(ranking.limit.taken.load(Ordering::Relaxed), 800_000);
    }
}
