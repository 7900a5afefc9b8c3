//! What depends on the order of the scores alone: area under the ROC curve, average precision, lift and the curves.
//!
//! Scores are kept while they fit, 8 bytes a row (16 with weights), and sorted at the end. Beyond that they go into
//! bins: neighbouring scores whose bit patterns agree but for the low bits, as few low bits as leave no more bins than
//! allowed. That number of bits follows from the rows alone, in any order, and so do the bins. They lie densely where
//! scores do, whatever the scale, and there is none without rows. What the order inside a bin could change is the error
//! bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::slice::ParallelSliceMut;
use serde::Serialize;

use super::sum::Sum;

/// A figure and how far it can be from that of the sorted scores, rounding aside: 0 where all of them were kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The figure.
    pub value: f64,
    /// The exact figure is in `value` ± this.
    pub error_bound: f64,
}

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

/// A tenth of the weight, in the order of the scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LiftRow {
    /// From 1, the highest scores, to 10.
    pub decile: usize,
    /// A tenth of all weights.
    pub weight: f64,
    /// Weight of the positive rows in it. Rows with the same score are spread evenly over the deciles that they lie in:
    /// the mean over all orders of them.
    pub positives: f64,
    /// Share of the positives in the decile.
    pub rate: f64,
    /// `rate` over the prevalence.
    pub lift: f64,
    /// The lowest probability in the decile.
    pub lowest_probability: f64,
    /// Share of all positives in this decile and those before.
    pub gain: Bounded,
    /// `gain` over that of a random order.
    pub cumulative_lift: f64,
}

/// A point of the ROC curve (false against true positive rate) and of the precision-recall curve (recall is the true
/// positive rate).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Rows of at least this probability count as positive; infinite at the first point, where no row does.
    pub threshold: f64,
    /// Share of the negatives that count as positive.
    pub false_positive_rate: f64,
    /// Share of the positives that count as positive.
    pub true_positive_rate: f64,
    /// Share of the positives in what counts as positive; 1 at the first point.
    pub precision: f64,
}

/// What is made of the order.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    pub(super) auc: Bounded,
    pub(super) average_precision: Bounded,
    pub(super) lift: Vec<LiftRow>,
    pub(super) curve: Vec<CurvePoint>,
}

/// The place of a score: an integer that falls as the score rises. `score` is not NaN and not -0.
fn rank(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = score.to_bits();
    if bits & SIGN == 0 { !(bits | SIGN) } else { bits }
}

/// The score of a place.
fn score(rank: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if rank & SIGN == 0 { !rank & !SIGN } else { rank })
}

/// Rows whose places agree but for the low bits.
#[derive(Clone, Copy, Debug)]
struct Bin {
    /// Of the highest score in it.
    first: u64,
    /// Of the lowest.
    last: u64,
    /// Weight of the negatives and of the positives.
    mass: [Sum; 2],
}

impl Bin {
    fn new(rank: u64) -> Self {
        Self { first: rank, last: rank, mass: [Sum::default(); 2] }
    }

    fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.mass[0].merge(other.mass[0]);
        self.mass[1].merge(other.mass[1]);
    }
}

/// Counts neighbours in a sorted sequence by the highest bit in which they differ: from that follow the numbers of bins
/// of every width.
struct Boundaries {
    previous: Option<u64>,
    by_bit: [usize; 64],
}

impl Boundaries {
    fn new() -> Self {
        Self { previous: None, by_bit: [0; 64] }
    }

    fn see(&mut self, rank: u64) {
        if let Some(differing) = self.previous.and_then(|previous| (previous ^ rank).checked_ilog2()) {
            self.by_bit[differing as usize] += 1;
        }
        self.previous = Some(rank);
    }

    /// The fewest low bits, `least` at least, without which there are `bins` bins at most.
    fn low_bits(&self, least: u32, bins: usize) -> u32 {
        let mut found = 1;
        let mut bits = 64;
        while bits > least && found + self.by_bit[bits as usize - 1] <= bins {
            bits -= 1;
            found += self.by_bit[bits as usize];
        }
        bits
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

fn in_one_bin(a: u64, b: u64, low_bits: u32) -> bool {
    (a ^ b).checked_shr(low_bits).unwrap_or(0) == 0
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

/// Bins in the order of the places.
#[derive(Clone, Debug, Default)]
struct Histogram {
    low_bits: u32,
    bins: Vec<Bin>,
}

impl Histogram {
    /// Takes in more bins, made without `low_bits` bits, and joins bins until there are `most` at most.
    fn absorb(&mut self, more: &[Bin], low_bits: u32, most: usize) {
        self.bins.extend(more);
        self.bins.sort_unstable_by_key(|bin| bin.first);
        let mut boundaries = Boundaries::new();
        self.bins.iter().for_each(|bin| boundaries.see(bin.first));
        self.low_bits = boundaries.low_bits(self.low_bits.max(low_bits), most);
        self.bins.dedup_by(|next, bin| {
            let joined = in_one_bin(bin.first, next.first, self.low_bits);
            if joined {
                bin.absorb(next);
            }
            joined
        });
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

/// Deciles of the lift table.
const DECILES: usize = 10;

/// Goes through the bins, the highest scores first.
struct Walk {
    totals: [f64; 2],
    /// Powers of two that bring the totals near 1, so that no product of weights overflows or vanishes.
    units: [f64; 2],
    probability: fn(f64) -> f64,
    points: usize,
    /// Weight of the negatives and of the positives so far.
    above: [Sum; 2],
    /// Weight of the pairs in order, ties half, in `units`.
    pairs: Sum,
    /// Weight of the pairs whose order is not known, likewise.
    unknown: Sum,
    /// Sum of precision times positives, with the best and with the worst order inside bins.
    precisions: [Sum; 2],
    /// At the ends of the deciles before the last: positives, how far they may be off, lowest rank.
    cuts: Vec<(f64, f64, u64)>,
    /// Every point, until there are too many.
    every: Vec<CurvePoint>,
    /// The first point in each cell of equal size along both rates.
    thinned: Vec<CurvePoint>,
    cell: usize,
    last: u64,
}

impl Walk {
    fn new(totals: [f64; 2], probability: fn(f64) -> f64, points: usize) -> Self {
        Self {
            totals,
            units: totals.map(|total| 2.0_f64.powi((-total.log2()).clamp(-1022.0, 1022.0) as i32)),
            probability,
            points,
            above: [Sum::default(); 2],
            pairs: Sum::default(),
            unknown: Sum::default(),
            precisions: [Sum::default(); 2],
            cuts: Vec::with_capacity(DECILES),
            every: Vec::new(),
            thinned: Vec::new(),
            cell: 0,
            last: 0,
        }
    }

    fn step(&mut self, bin: &Bin) {
        let [n, p] = bin.mass.map(Sum::value);
        let [f, t] = self.above.map(Sum::value);
        let is_tie = bin.first == bin.last;

        let [units_of_n, units_of_p] = self.units;
        self.pairs.add((n * units_of_n) * ((t + 0.5 * p) * units_of_p));
        if is_tie {
            // A step: all positives of the tie at the precision of its end.
            let area = p * ((t + p) / (t + p + f + n));
            self.precisions.iter_mut().for_each(|sum| sum.add(area));
        } else {
            self.unknown.add((n * units_of_n) * (p * units_of_p));
            // At best the positives are tied in front of the negatives. At worst they come behind, one by one: in steps
            // so small that the sum is an integral of (t + x) / (t + x + f + n) over 0..p.
            let against = f + n;
            let begin = t + against;
            self.precisions[0].add(p * ((t + p) / (t + p + f)).min(1.0));
            let worst = if begin > 0.0 { p - against * (p / begin).ln_1p() } else { p };
            self.precisions[1].add(worst.max(0.0));
        }

        let (before, mass) = (t + f, n + p);
        while self.cuts.len() + 1 < DECILES {
            let cut = (self.totals[0] + self.totals[1]) * (self.cuts.len() + 1) as f64 / DECILES as f64;
            if cut > before + mass {
                break;
            }
            let part = (cut - before).clamp(0.0, mass);
            let even = p * (part / mass);
            let off = if is_tie { 0.0 } else { (p.min(part) - even).max(even - (part - n).max(0.0)) };
            self.cuts.push((t + even, off, bin.last));
        }

        self.above[0].merge(bin.mass[0]);
        self.above[1].merge(bin.mass[1]);
        self.last = bin.last;
        let point = self.point();
        if self.every.len() < self.points {
            self.every.push(point);
        }
        // 0 to 1 along both rates in cells, of which the first point and the last one need none.
        let way = f64::midpoint(point.false_positive_rate, point.true_positive_rate);
        let cell = (way * (self.points - 1) as f64) as usize;
        if cell > self.cell && cell + 1 < self.points {
            self.cell = cell;
            self.thinned.push(point);
        }
    }

    fn point(&self) -> CurvePoint {
        let [f, t] = self.above.map(Sum::value);
        CurvePoint {
            threshold: (self.probability)(score(self.last)),
            false_positive_rate: (f / self.totals[0]).min(1.0),
            true_positive_rate: (t / self.totals[1]).min(1.0),
            precision: t / (t + f),
        }
    }

    fn finish(mut self) -> Ranked {
        let [negatives, positives] = self.totals;
        let total = negatives + positives;
        let pairs = (negatives * self.units[0]) * (positives * self.units[1]);
        let of_pairs = |sum: Sum| sum.value() / pairs;
        let auc = Bounded { value: of_pairs(self.pairs), error_bound: 0.5 * of_pairs(self.unknown) };
        let [best, worst] = self.precisions.map(|sum| sum.value() / positives);
        let average_precision = Bounded { value: 0.5 * best + 0.5 * worst, error_bound: 0.5 * (best - worst) };

        let weight = total / DECILES as f64;
        // Rounding of weights may leave cuts behind the last bin.
        self.cuts.resize(DECILES - 1, (positives, 0.0, self.last));
        self.cuts.push((positives, 0.0, self.last));
        let mut before = 0.0;
        let lift = self.cuts.iter().enumerate().map(|(i, &(so_far, off, lowest))| {
            let inside = so_far - before;
            before = so_far;
            let gain = so_far / positives;
            LiftRow {
                decile: i + 1,
                weight,
                positives: inside,
                rate: inside / weight,
                lift: inside / weight / (positives / total),
                lowest_probability: (self.probability)(score(lowest)),
                gain: Bounded { value: gain, error_bound: off / positives },
                cumulative_lift: gain * DECILES as f64 / (i + 1) as f64,
            }
        });
        let lift = lift.collect();

        let start =
            CurvePoint { threshold: f64::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0, precision: 1.0 };
        let end = CurvePoint { false_positive_rate: 1.0, true_positive_rate: 1.0, ..self.point() };
        let mut inner = if self.every.len() < self.points { self.every } else { self.thinned };
        inner.pop_if(|point| point.threshold <= end.threshold);
        let curve = std::iter::once(start).chain(inner).chain(std::iter::once(end)).collect();
        Ranked { auc, average_precision, lift, curve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_turn_the_order_of_the_scores_round() {
        let scores = [f64::INFINITY, 1e300, 1.5, 1.0, 5e-324, 0.0, -5e-324, -1.0, -1.5, -1e300, f64::NEG_INFINITY];
        assert!(scores.is_sorted_by(|&a, &b| rank(a) < rank(b)));
        assert!(scores.iter().all(|&value| score(rank(value)).to_bits() == value.to_bits()));
    }

    /// Against counting, for every number of low bits.
    #[test]
    fn as_few_bits_are_dropped_as_possible() {
        let mut state = 1_u64;
        let mut ranks: Vec<u64> = (0..2000_u32)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> (i % 60)
            })
            .collect();
        ranks.sort_unstable();
        let mut boundaries = Boundaries::new();
        for &rank in &ranks {
            boundaries.see(rank);
        }
        let count = |bits: u32| {
            let mut places: Vec<u64> = ranks.iter().map(|rank| rank >> bits).collect();
            places.dedup();
            places.len()
        };
        for bins in [2, 3, 10, 100, 1000, 5000] {
            for least in [0, 5, 40] {
                let found = boundaries.low_bits(least, bins);
                assert!(found == least || (count(found) <= bins && count(found - 1) > bins), "{bins}: {found}");
                assert!(found > least || count(least) <= bins);
            }
        }
    }

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
