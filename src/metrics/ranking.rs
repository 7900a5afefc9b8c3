//! Scores in their order.
//!
//! Scores are kept while they fit, 8 bytes a row (16 with weights), and sorted at the end. Beyond that they go into
//! bins: neighbouring scores whose bit patterns agree but for the low bits, as few low bits as leave no more bins than
//! allowed. That number of bits follows from the rows alone, in any order, and so do the bins. They lie densely where
//! scores do, whatever the scale, and there is none without rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::bins::{Bin, Boundaries, Histogram, in_one_bin, rank};
use super::sum::Sum;
use super::walk::{Course, Ranked, Walk};

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
    /// to as much again in reserve, which nobody touches. Beyond that every accumulator has up to [`Limit::BINS`] bins, in 20 MB at most.
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
    Plain([Chunks<u64>; 2]),
    Weighted([Chunks<(u64, f64)>; 2]),
}

/// Rows of a class in the pieces in which they were merged, which are copied once, at the end; one at least.
#[derive(Clone, Debug)]
struct Chunks<R>(Vec<Vec<R>>);

impl<R: Row> Chunks<R> {
    fn new() -> Self {
        Self(vec![Vec::new()])
    }

    fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    fn last(&mut self) -> &mut Vec<R> {
        self.0.last_mut().expect("one at least")
    }

    /// The rows of both, in any order.
    fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// All rows as one, sorted.
    fn sort(&mut self) {
        if self.0.len() > 1 {
            let mut whole = Vec::with_capacity(self.len());
            // Given back piece by piece, so that little more than the rows is held.
            self.0.drain(..).for_each(|chunk| whole.extend_from_slice(&chunk));
            self.0.push(whole);
        }
        self.last().par_sort_unstable_by_key(|row| row.rank());
    }

    /// All rows once they are sorted.
    fn sorted(&self) -> &[R] {
        &self.0[0]
    }

    /// The rows in sorted runs.
    fn sort_runs(&mut self) -> Vec<&[R]> {
        let runs = self.0.par_iter_mut().flat_map(|chunk| chunk.par_chunks_mut(RUN_ROWS));
        runs.for_each(|run| run.sort_unstable_by_key(|row| row.rank()));
        self.0.iter().flat_map(|chunk| chunk.chunks(RUN_ROWS)).collect()
    }
}

impl Rows {
    fn new() -> Self {
        Self::Plain([Chunks::new(), Chunks::new()])
    }

    fn len(&self) -> usize {
        match self {
            Self::Plain(classes) => classes.iter().map(Chunks::len).sum(),
            Self::Weighted(classes) => classes.iter().map(Chunks::len).sum(),
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

    /// Rows `(rank, class, weight)`, of which those without weights are given the weight 1.
    fn extend(&mut self, rows: impl Iterator<Item = (u64, usize, f64)>) {
        match self {
            Self::Plain(classes) => {
                let mut last = classes.each_mut().map(Chunks::last);
                rows.for_each(|(rank, class, _)| last[class].push(rank));
            }
            Self::Weighted(classes) => {
                let mut last = classes.each_mut().map(Chunks::last);
                rows.for_each(|(rank, class, weight)| last[class].push((rank, weight)));
            }
        }
    }

    /// From now on with weights.
    fn weigh(&mut self) {
        if let Self::Plain(classes) = self {
            let weigh = |ranks: Vec<u64>| ranks.into_iter().map(|rank| (rank, 1.0)).collect();
            *self = Self::Weighted(
                classes.each_mut().map(|chunks| Chunks(std::mem::take(&mut chunks.0).into_iter().map(weigh).collect())),
            );
        }
    }

    fn append(&mut self, mut other: Self) {
        if matches!(self, Self::Weighted(_)) {
            other.weigh();
        }
        if matches!(other, Self::Weighted(_)) {
            self.weigh();
        }
        match (self, other) {
            (Self::Plain(mine), Self::Plain(others)) => {
                mine.iter_mut().zip(others).for_each(|(mine, other)| mine.append(other));
            }
            (Self::Weighted(mine), Self::Weighted(others)) => {
                mine.iter_mut().zip(others).for_each(|(mine, other)| mine.append(other));
            }
            _ => unreachable!("both have weights if one has"),
        }
    }

    fn sort(&mut self) {
        match self {
            Self::Plain(classes) => classes.par_iter_mut().for_each(Chunks::sort),
            Self::Weighted(classes) => classes.par_iter_mut().for_each(Chunks::sort),
        }
    }

    /// Goes through sorted rows in bins without `low_bits` bits, the highest scores first.
    fn for_each_bin(&self, low_bits: u32, visit: impl FnMut(&Bin)) {
        match self {
            Self::Plain(classes) => join(classes.each_ref().map(Chunks::sorted), low_bits, visit),
            Self::Weighted(classes) => join(classes.each_ref().map(Chunks::sorted), low_bits, visit),
        }
    }

    /// Walks through the rows.
    fn walk(&mut self, course: Course) -> Walk {
        match self {
            Self::Plain(classes) => walk(classes, course),
            Self::Weighted(classes) => walk(classes, course),
        }
    }
}

/// A row as it is kept.
trait Row: Copy + Send + Sync {
    fn rank(self) -> u64;
    fn weight(self) -> f64;
    /// The sum of the weights.
    fn mass(rows: &[Self]) -> Sum;
    /// Takes a walk through sorted rows of both classes.
    fn take(walk: &mut Walk, classes: [&[Self]; 2]);
}

impl Row for u64 {
    fn rank(self) -> u64 {
        self
    }

    fn weight(self) -> f64 {
        1.0
    }

    fn mass(rows: &[Self]) -> Sum {
        let mut mass = Sum::default();
        mass.add(rows.len() as f64);
        mass
    }

    fn take(walk: &mut Walk, [negatives, positives]: [&[Self]; 2]) {
        let mut at = [0, 0];
        walk.ties(std::iter::from_fn(|| {
            let first = |rows: &[Self], at: usize| rows.get(at).copied();
            let ranks = (first(negatives, at[0]), first(positives, at[1]));
            let rank = ranks.0.map_or(ranks.1, |n| Some(ranks.1.map_or(n, |p| p.min(n))))?;
            let count = |rows: &[Self], at: &mut usize| {
                let before = *at;
                // The first without a branch: which class comes next is not to be guessed.
                *at += usize::from(first(rows, *at) == Some(rank));
                while first(rows, *at) == Some(rank) {
                    *at += 1;
                }
                (*at - before) as u64
            };
            Some((rank, [count(negatives, &mut at[0]), count(positives, &mut at[1])]))
        }));
    }
}

impl Row for (u64, f64) {
    fn rank(self) -> u64 {
        self.0
    }

    fn weight(self) -> f64 {
        self.1
    }

    fn mass(rows: &[Self]) -> Sum {
        let mut mass = Sum::default();
        for (_, weight) in rows {
            mass.add(*weight);
        }
        mass
    }

    fn take(walk: &mut Walk, classes: [&[Self]; 2]) {
        join(classes, 0, |bin| walk.step(bin));
    }
}

/// Rows that a core sorts at once: 1 MiB, or two with weights, which its cache holds.
const RUN_ROWS: usize = 1 << 17;

/// Parts that a walk is made of at most: a number of its own, not that of the threads, so that those change nothing.
const PARTS: usize = 64;

/// Rows of a part, about, at least.
const PART_ROWS: usize = 1 << 14;

/// Ranks of which a part's end is chosen, for each part.
const SAMPLE: usize = 64;

/// Cuts the sorted runs of both classes at the same ranks, into parts of about as many rows.
fn parts<R: Row>(runs: [Vec<&[R]>; 2]) -> Vec<[Vec<&[R]>; 2]> {
    let rows: usize = runs.iter().flatten().map(|run| run.len()).sum();
    let parts = (rows / PART_ROWS).clamp(1, PARTS);
    let step = (rows / (parts * SAMPLE)).max(1);
    let sampled = runs.iter().flatten().flat_map(|run| run.iter().step_by(step));
    let mut sample: Vec<u64> = sampled.map(|row| row.rank()).collect();
    sample.sort_unstable();
    let mut rest = runs;
    let cut = |part: usize| {
        if part == parts {
            return std::mem::take(&mut rest);
        }
        // Equal ranks stay together.
        let end = sample[sample.len() * part / parts];
        rest.each_mut().map(|runs| {
            let mut firsts = Vec::with_capacity(runs.len());
            for run in runs {
                let (first, others) = run.split_at(run.partition_point(|row| row.rank() < end));
                firsts.push(first);
                *run = others;
            }
            firsts
        })
    };
    (1..=parts).map(cut).collect()
}

/// Walks through the rows of both classes, on all cores: runs are sorted where they lie, and a part merges its own. What
/// comes before a part is counted first.
fn walk<R: Row>(classes: &mut [Chunks<R>; 2], course: Course) -> Walk {
    let of_parts = parts(classes.each_mut().map(Chunks::sort_runs));
    let mass = |runs: &Vec<&[R]>| {
        let mut mass = Sum::default();
        for run in runs {
            mass.merge(R::mass(run));
        }
        mass
    };
    let masses: Vec<[Sum; 2]> = of_parts.par_iter().map(|of_part| of_part.each_ref().map(mass)).collect();
    let mut above = [Sum::default(); 2];
    let mut begins = Vec::with_capacity(of_parts.len());
    for mass in masses {
        begins.push(above);
        above.iter_mut().zip(mass).for_each(|(above, mass)| above.merge(mass));
    }
    let walk = |(of_part, above): (&[Vec<&[R]>; 2], [Sum; 2])| {
        let rows = of_part.each_ref().map(|runs| {
            let mut rows = runs.concat();
            // A stable sort merges the runs that it finds.
            rows.sort_by_key(|row| row.rank());
            rows
        });
        let mut walk = Walk::from(course, above);
        R::take(&mut walk, rows.each_ref().map(Vec::as_slice));
        walk
    };
    let walks: Vec<Walk> = of_parts.par_iter().zip(begins).map(walk).collect();
    let mut walks = walks.into_iter();
    let first = walks.next().expect("there is a part");
    walks.fold(first, |mut walked, next| {
        walked.join(next);
        walked
    })
}

/// Merges the sorted rows of both classes and joins neighbours to bins.
fn join<R: Row>([negatives, positives]: [&[R]; 2], low_bits: u32, mut visit: impl FnMut(&Bin)) {
    let (mut n, mut p) = (0, 0);
    let mut open: Option<Bin> = None;
    // No score has the last rank.
    let rank_of = |row: Option<&R>| row.map_or(u64::MAX, |row| row.rank());
    loop {
        let (negative, positive) = (negatives.get(n), positives.get(p));
        let rank = rank_of(negative).min(rank_of(positive));
        if rank == u64::MAX {
            break;
        }
        if let Some(done) = open.take_if(|bin| !in_one_bin(bin.first, rank, low_bits)) {
            visit(&done);
        }
        // One of either class at most, and without a branch: which class comes next is not to be guessed.
        let bin = open.get_or_insert_with(|| Bin::new(rank));
        bin.last = rank;
        let of_rank = |row: Option<&R>| row.filter(|row| row.rank() == rank).map_or(0.0, |row| row.weight());
        bin.mass[0].add(of_rank(negative));
        bin.mass[1].add(of_rank(positive));
        n += usize::from(rank_of(negative) == rank);
        p += usize::from(rank_of(positive) == rank);
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
        match &mut self.rows {
            Rows::Plain(classes) => *classes = [Chunks::new(), Chunks::new()],
            Rows::Weighted(classes) => *classes = [Chunks::new(), Chunks::new()],
        }
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
            return Some(self.rows.walk(course).finish());
        }
        self.fold();
        let mut walk = Walk::from(course, [Sum::default(); 2]);
        self.histogram.iter().flat_map(|histogram| &histogram.bins).for_each(|bin| walk.step(bin));
        Some(walk.finish())
    }
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
        let Rows::Plain(classes) = &ranking.rows else { panic!("no weights") };
        assert_eq!(classes.iter().map(Chunks::len).sum::<usize>(), 100_000);
        assert_eq!(ranking.limit.taken.load(Ordering::Relaxed), 800_000);
    }
    /// Rows as ranges leave them, in pieces that are not sorted.
    fn chunks<R: Row>(rows: &[R]) -> Chunks<R> {
        let of_piece = |piece: usize| rows.iter().skip(piece).step_by(7).rev().copied().collect();
        let mut chunks = Chunks((1..7).map(of_piece).collect());
        chunks.append(Chunks(vec![Vec::new(), of_piece(0)]));
        chunks
    }

    /// Rows in parts on all cores against one bin after the other: scores with ties across the parts, and weights.
    #[test]
    fn a_walk_in_parts_is_a_walk() {
        let rows = |class: u64, count: u64, shift: u64| -> Vec<(u64, f64)> {
            let row = |i: u64| {
                let drawn = (i * 2 + class + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                // A third of the rows in a few large ties.
                let place = if i.is_multiple_of(3) { drawn % 7 * 2_000_000 } else { drawn };
                (rank((place + shift) as f64 / 1e6 - 8.0), ((i % 5) as f64 + 0.3) / 3.0)
            };
            let mut rows: Vec<(u64, f64)> = (0..count).map(row).collect();
            rows.sort_unstable_by_key(|row| row.0);
            rows
        };
        let (negatives, positives) = (rows(0, 150_000, 0), rows(1, 40_000, 2_000_000));
        let course = |totals: [f64; 2]| Course::new(totals, crate::logistic::sigmoid, 200);
        let one_by_one = |classes: [&[(u64, f64)]; 2], totals: [f64; 2]| {
            let mut walk = Walk::from(course(totals), [Sum::default(); 2]);
            join(classes, 0, |bin| walk.step(bin));
            walk.finish()
        };
        let near = |found: &Ranked, expected: &Ranked| {
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * b.abs();
            assert!(close(found.auc.value, expected.auc.value), "{found:?}");
            assert!(close(found.average_precision.value, expected.average_precision.value), "{found:?}");
            assert_eq!([found.curve.len(), found.lift.len()], [expected.curve.len(), expected.lift.len()]);
            for (a, b) in found.curve.iter().zip(&expected.curve).skip(1) {
                assert!(close(a.threshold, b.threshold) && close(a.precision, b.precision), "{a:?} and {b:?}");
                assert!(close(a.false_positive_rate, b.false_positive_rate), "{a:?} and {b:?}");
            }
            for (a, b) in found.lift.iter().zip(&expected.lift) {
                assert!(close(a.positives, b.positives) && close(a.lowest_probability, b.lowest_probability), "{a:?}");
            }
        };
        let weights = |rows: &[(u64, f64)]| rows.iter().map(|row| row.1).sum::<f64>();
        let totals = [weights(&negatives), weights(&positives)];
        let expected = one_by_one([&negatives, &positives], totals);
        near(&walk(&mut [chunks(&negatives), chunks(&positives)], course(totals)).finish(), &expected);
        // Of weight 1, whose walk counts in whole numbers.
        let plain = |rows: &[(u64, f64)]| -> Vec<u64> { rows.iter().map(|row| row.0).collect() };
        let ones = |rows: &[(u64, f64)]| -> Vec<(u64, f64)> { rows.iter().map(|row| (row.0, 1.0)).collect() };
        let totals = [150_000.0, 40_000.0];
        let expected = one_by_one([&ones(&negatives), &ones(&positives)], totals);
        let mut classes = [chunks(&plain(&negatives)), chunks(&plain(&positives))];
        near(&walk(&mut classes, course(totals)).finish(), &expected);
        assert_eq!(parts(classes.each_mut().map(Chunks::sort_runs)).len(), 11);
        assert!(expected.auc.value > 0.4 && expected.curve.len() > 100, "{expected:?}");
    }
}
