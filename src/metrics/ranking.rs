//! Scores in their order.
//!
//! Scores are kept while they fit, 8 bytes a row (16 with weights), and sorted at the end. Beyond that they go into
//! bins: neighbouring scores whose bit patterns agree but for the low bits, as few low bits as leave no more bins than
//! allowed. That number of bits follows from the rows alone, in any order, and so do the bins. They lie densely where
//! scores do, whatever the scale, and there is none without rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::slice::ParallelSliceMut;

use super::bins::{Bin, Boundaries, Histogram, in_one_bin, rank};
use super::walk::{Ranked, Walk};

/// How much memory exact ranks may take. Clones share it: with one clone in every thread, ranks are exact if and only
/// if all rows of all threads fit, whichever thread sees which.
#[derive(Clone, Debug)]
pub struct Limit {
    bytes: usize,
    bins: usize,
    taken: Arc<AtomicUsize>,
}

impl Limit {
    /// Bins of [`Limit::new`].
    pub const BINS: usize = 1 << 17;

    /// Scores are kept up to `bytes`: 8 a row, 16 if weights other than 1 occur; times K for K classes. Vectors have up
    /// to a quarter more in reserve. Beyond that every accumulator has up to [`Limit::BINS`] bins, in 20 MB at most.
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

/// Rows as they came, by class: the label needs no room.
#[derive(Clone, Debug)]
enum Rows {
    /// All weights are 1.
    Plain([Vec<u64>; 2]),
    Weighted([Vec<(u64, f64)>; 2]),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Plain(classes) => classes.iter().map(Vec::len).sum(),
            Self::Weighted(classes) => classes.iter().map(Vec::len).sum(),
        }
    }

    fn row_bytes(&self) -> usize {
        match self {
            Self::Plain(_) => size_of::<u64>(),
            Self::Weighted(_) => size_of::<(u64, f64)>(),
        }
    }

    fn bytes(&self) -> usize {
        self.len() * self.row_bytes()
    }

    fn push(&mut self, rank: u64, class: usize, weight: f64) {
        match self {
            Self::Plain(classes) => {
                make_room(&mut classes[class], 1);
                classes[class].push(rank);
            }
            Self::Weighted(classes) => {
                make_room(&mut classes[class], 1);
                classes[class].push((rank, weight));
            }
        }
    }

    /// From now on with weights.
    fn weigh(&mut self) {
        if let Self::Plain(classes) = self {
            let weigh = |ranks: &mut Vec<u64>| std::mem::take(ranks).into_iter().map(|rank| (rank, 1.0)).collect();
            *self = Self::Weighted(classes.each_mut().map(weigh));
        }
    }

    fn append(&mut self, mut other: Self) {
        fn append<T>(mine: &mut [Vec<T>; 2], others: &mut [Vec<T>; 2]) {
            for (mine, other) in mine.iter_mut().zip(others) {
                make_room(mine, other.len());
                mine.append(other);
            }
        }
        if matches!(self, Self::Weighted(_)) {
            other.weigh();
        }
        if matches!(other, Self::Weighted(_)) {
            self.weigh();
        }
        match (self, &mut other) {
            (Self::Plain(mine), Self::Plain(others)) => append(mine, others),
            (Self::Weighted(mine), Self::Weighted(others)) => append(mine, others),
            _ => unreachable!("both have weights if one has"),
        }
    }

    fn sort(&mut self) {
        match self {
            Self::Plain(classes) => classes.iter_mut().for_each(|ranks| ranks.par_sort_unstable()),
            Self::Weighted(classes) => {
                for rows in classes {
                    rows.par_sort_unstable_by_key(|&(rank, _)| rank);
                }
            }
        }
    }

    /// Goes through sorted rows in bins without `low_bits` bits, the highest scores first.
    fn for_each_bin(&self, low_bits: u32, visit: impl FnMut(&Bin)) {
        match self {
            Self::Plain(classes) => {
                join(classes.each_ref().map(|ranks| ranks.iter().map(|&rank| (rank, 1.0))), low_bits, visit);
            }
            Self::Weighted(classes) => join(classes.each_ref().map(|rows| rows.iter().copied()), low_bits, visit),
        }
    }
}

/// Grows by a quarter, so that little more is taken than what is counted.
fn make_room<T>(rows: &mut Vec<T>, more: usize) {
    if rows.capacity() - rows.len() < more {
        rows.reserve_exact(more.max(rows.len() / 4 + 64));
    }
}

/// Merges the sorted rows of both classes and joins neighbours to bins.
fn join(classes: [impl Iterator<Item = (u64, f64)>; 2], low_bits: u32, mut visit: impl FnMut(&Bin)) {
    let [mut negatives, mut positives] = classes.map(Iterator::peekable);
    let mut open: Option<Bin> = None;
    loop {
        let ranks = (negatives.peek().map(|row| row.0), positives.peek().map(|row| row.0));
        let class = usize::from(match ranks {
            (Some(negative), Some(positive)) => positive < negative,
            (negative, _) => negative.is_none(),
        });
        let Some((rank, weight)) = (if class == 1 { positives.next() } else { negatives.next() }) else { break };
        if let Some(done) = open.take_if(|bin| !in_one_bin(bin.first, rank, low_bits)) {
            visit(&done);
        }
        let bin = open.get_or_insert_with(|| Bin::new(rank));
        bin.last = rank;
        bin.mass[class].add(weight);
    }
    open.iter().for_each(visit);
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
        Self { limit, bins, rows: Rows::Plain([Vec::new(), Vec::new()]), histogram: None }
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

    /// `class` is 0 or 1, `weight` positive.
    pub(super) fn push(&mut self, score: f64, class: usize, weight: f64) {
        // -0 becomes 0.
        self.rows.push(rank(score + 0.0), class, weight);
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
        match &mut self.rows {
            Rows::Plain(classes) => *classes = [Vec::new(), Vec::new()],
            Rows::Weighted(classes) => *classes = [Vec::new(), Vec::new()],
        }
    }

    /// `totals` are the weights of the negatives and of the positives; `None` if either is 0. `probability` turns a
    /// score into one. Of the curves at most `points` points, 2 at least.
    pub(super) fn finish(mut self, totals: [f64; 2], probability: fn(f64) -> f64, points: usize) -> Option<Ranked> {
        if totals.iter().any(|&total| total <= 0.0) {
            return None;
        }
        self.keep_the_limit();
        let mut walk = Walk::new(totals, probability, points.max(2));
        if self.histogram.is_some() {
            self.fold();
        } else {
            self.rows.sort();
            self.rows.for_each_bin(0, |bin| walk.step(bin));
        }
        self.histogram.iter().flat_map(|histogram| &histogram.bins).for_each(|bin| walk.step(bin));
        Some(walk.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sum::Sum;
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
    fn little_more_is_taken_than_counted() {
        let ranking = ranking((0..100_000).map(f64::from), &Limit::new(usize::MAX));
        let Rows::Plain(classes) = &ranking.rows else { panic!("no weights") };
        let capacity: usize = classes.iter().map(Vec::capacity).sum();
        assert!(capacity <= 100_000 * 5 / 4 + 128, "{capacity}");
        assert_eq!(ranking.limit.taken.load(Ordering::Relaxed), 800_000);
    }
}
