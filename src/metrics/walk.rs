//! The figures that follow from the order of the scores, from one walk through the rows in that order: ties, and bins whose
//! inner order is not known, at once. What that order could change is the error bound.

use serde::Serialize;

use super::bins::{Bin, score};
use super::sum::Sum;

/// A figure and how far it can be from that of the sorted scores, rounding aside: 0 where all of them were kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The figure.
    pub value: f64,
    /// The exact figure is in `value` ± this.
    pub error_bound: f64,
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

/// Deciles of the lift table.
const DECILES: usize = 10;

/// Goes through the bins, the highest scores first.
pub(super) struct Walk {
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
    pub(super) fn new(totals: [f64; 2], probability: fn(f64) -> f64, points: usize) -> Self {
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

    pub(super) fn step(&mut self, bin: &Bin) {
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

    pub(super) fn finish(mut self) -> Ranked {
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
