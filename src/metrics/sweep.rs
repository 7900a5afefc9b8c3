//! The figures that follow from the order of the scores, from one sweep over the rows in that order: ties, and bins whose
//! inner order is not known, at once. What that order could change is the error bound.

use serde::Serialize;

use super::bins::{Bin, score};
use crate::sum::Sum;

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

/// What a sweep is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// Weight of the negatives and of the positives.
    totals: [f64; 2],
    /// Powers of two that bring the totals near 1, so that no product of weights overflows or vanishes.
    units: [f64; 2],
    /// Cells of the curves in each of these units.
    cells: [f64; 2],
    /// Turns a score into a probability.
    probability: fn(f64) -> f64,
    points: usize,
}

/// A place on the way.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The lowest rank so far.
    last: u64,
    /// Weight of the negatives and of the positives so far.
    above: [f64; 2],
}

/// The end of a decile.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// From 0 on.
    decile: usize,
    positives: f64,
    /// How far they may be off.
    off: f64,
    lowest: u64,
}

/// Goes through the bins, the highest scores first; or through some of them, if another sweep ends where it begins.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    course: Course,
    /// Weight of the negatives and of the positives so far.
    above: [Sum; 2],
    /// Weight of the pairs in order, ties half, in `units`.
    pairs: Sum,
    /// Weight of the pairs whose order is not known, likewise.
    unknown: Sum,
    /// Sum of precision times positives of ties.
    precisions: Sum,
    /// The same of bins, with the best and with the worst order inside.
    between: [Sum; 2],
    /// The ends of the deciles but for the last.
    cuts: Vec<Cut>,
    /// The decile whose end comes next, and that end.
    decile: usize,
    end: f64,
    /// Every step, until there are too many.
    every: Vec<Mark>,
    /// The first step in each cell of equal size along both rates.
    thinned: Vec<Mark>,
    /// Where the next cell begins.
    next: f64,
    last: u64,
}

impl Course {
    /// Of the curves at most `points` points, 2 at least.
    pub(super) fn new(totals: [f64; 2], probability: fn(f64) -> f64, points: usize) -> Self {
        let points = points.max(2);
        let units = totals.map(|total| 2.0_f64.powi((-total.log2()).clamp(-1022.0, 1022.0) as i32));
        let cells = [0, 1].map(|class| 0.5 * (points - 1) as f64 / (totals[class] * units[class]));
        Self { totals, units, cells, probability, points }
    }

    /// The weight at the end of a decile, from 0 on; without end for the last.
    fn end(&self, decile: usize) -> f64 {
        if decile + 1 == DECILES {
            return f64::INFINITY;
        }
        (self.totals[0] + self.totals[1]) * (decile + 1) as f64 / DECILES as f64
    }

    /// How far along both rates, in cells.
    fn way(&self, [f, t]: [f64; 2]) -> f64 {
        let [units_of_n, units_of_p] = self.units;
        (f * units_of_n) * self.cells[0] + (t * units_of_p) * self.cells[1]
    }

    /// Where the next cell begins of which a point is kept: the first point and the last one of all need none.
    fn next(&self, way: f64) -> f64 {
        let next = way.floor() + 1.0;
        if next < (self.points - 1) as f64 { next } else { f64::INFINITY }
    }

    fn point(&self, Mark { last, above: [f, t] }: Mark) -> CurvePoint {
        CurvePoint {
            threshold: (self.probability)(score(last)),
            false_positive_rate: (f / self.totals[0]).min(1.0),
            true_positive_rate: (t / self.totals[1]).min(1.0),
            precision: t / (t + f),
        }
    }
}

impl Sweep {
    /// A sweep from where the negatives and the positives before have the weights `above`.
    pub(super) fn from(course: Course, above: [Sum; 2]) -> Self {
        let at = above.map(Sum::value);
        let decile = (0..DECILES).find(|&decile| course.end(decile) > at[0] + at[1]).unwrap_or(DECILES - 1);
        Self {
            course,
            above,
            pairs: Sum::default(),
            unknown: Sum::default(),
            precisions: Sum::default(),
            between: [Sum::default(); 2],
            cuts: Vec::new(),
            decile,
            end: course.end(decile),
            every: Vec::new(),
            thinned: Vec::new(),
            next: course.next(course.way(at)),
            last: 0,
        }
    }

    pub(super) fn step(&mut self, bin: &Bin) {
        let [n, p] = bin.mass.map(Sum::value);
        let [f, t] = self.above.map(Sum::value);
        let is_tie = bin.first == bin.last;

        let [units_of_n, units_of_p] = self.course.units;
        self.pairs.add((n * units_of_n) * ((t + 0.5 * p) * units_of_p));
        if is_tie {
            // A step: all positives of the tie at the precision of its end.
            self.precisions.add(p * ((t + p) / (t + p + f + n)));
        } else {
            self.unknown.add((n * units_of_n) * (p * units_of_p));
            // At best the positives are tied in front of the negatives. At worst they come behind, one by one: in steps
            // so small that the sum is an integral of (t + x) / (t + x + f + n) over 0..p.
            let against = f + n;
            let begin = t + against;
            self.between[0].add(p * ((t + p) / (t + p + f)).min(1.0));
            let worst = if begin > 0.0 { p - against * (p / begin).ln_1p() } else { p };
            self.between[1].add(worst.max(0.0));
        }
        self.above[0].merge(bin.mass[0]);
        self.above[1].merge(bin.mass[1]);
        let mark = Mark { last: bin.last, above: self.above.map(Sum::value) };
        self.pass([f, t], [n, p], mark, is_tie);
    }

    /// Rows of weight 1: the numbers of negatives and positives, rank by rank. What [`Sweep::step`] does, where all sums but
    /// one are of whole numbers.
    pub(super) fn ties(&mut self, ties: impl Iterator<Item = (u64, [u64; 2])>) {
        let [mut f, mut t] = self.above.map(Sum::value);
        let mut twice_the_pairs = 0_u128;
        let mut precisions = Sum::default();
        for (last, [n, p]) in ties {
            twice_the_pairs += u128::from(n) * u128::from(2 * t as u64 + p);
            let [n, p] = [n, p].map(|count| count as f64);
            let (before, above) = ([f, t], [f + n, t + p]);
            [f, t] = above;
            precisions.add(p * (t / (t + f)));
            self.pass(before, [n, p], Mark { last, above }, true);
        }
        self.precisions.merge(precisions);
        let [units_of_n, units_of_p] = self.course.units;
        self.pairs.add(twice_the_pairs as f64 * (0.5 * units_of_n * units_of_p));
        self.above = [f, t].map(|sum| {
            let mut whole = Sum::default();
            whole.add(sum);
            whole
        });
    }

    /// Goes by `[n, p]`, of either class, with `[f, t]` above.
    #[expect(clippy::inline_always, reason = "once a row: a call costs a third of the sweep")]
    #[inline(always)]
    fn pass(&mut self, [f, t]: [f64; 2], [n, p]: [f64; 2], mark: Mark, is_tie: bool) {
        self.last = mark.last;
        while self.end <= mark.above[0] + mark.above[1] {
            let mass = n + p;
            let part = (self.end - (t + f)).clamp(0.0, mass);
            let even = p * (part / mass);
            let off = if is_tie { 0.0 } else { (p.min(part) - even).max(even - (part - n).max(0.0)) };
            self.cuts.push(Cut { decile: self.decile, positives: t + even, off, lowest: mark.last });
            self.decile += 1;
            self.end = self.course.end(self.decile);
        }
        if self.every.len() < self.course.points {
            self.every.push(mark);
        }
        let way = self.course.way(mark.above);
        if way >= self.next {
            self.thinned.push(mark);
            self.next = self.course.next(way);
        }
    }

    /// Goes on where the other sweep ended, which began where this one ends.
    pub(super) fn join(&mut self, next: Self) {
        self.pairs.merge(next.pairs);
        self.unknown.merge(next.unknown);
        self.precisions.merge(next.precisions);
        self.between[0].merge(next.between[0]);
        self.between[1].merge(next.between[1]);
        // Rounding of weights may let both find the end of a decile, or neither.
        self.cuts.extend(next.cuts.into_iter().filter(|cut| cut.decile >= self.decile));
        (self.decile, self.end) =
            if next.decile > self.decile { (next.decile, next.end) } else { (self.decile, self.end) };
        let room = self.course.points - self.every.len();
        self.every.extend(next.every.into_iter().take(room));
        self.thinned.extend(next.thinned);
        (self.above, self.next, self.last) = (next.above, next.next, next.last);
    }

    pub(super) fn finish(self) -> Ranked {
        let course = self.course;
        let [negatives, positives] = course.totals;
        let total = negatives + positives;
        let pairs = (negatives * course.units[0]) * (positives * course.units[1]);
        let of_pairs = |sum: Sum| sum.value() / pairs;
        let auc = Bounded { value: of_pairs(self.pairs), error_bound: 0.5 * of_pairs(self.unknown) };
        let [best, worst] = self.between.map(|mut sum| {
            sum.merge(self.precisions);
            sum.value() / positives
        });
        let average_precision = Bounded { value: 0.5 * best + 0.5 * worst, error_bound: 0.5 * (best - worst) };

        let weight = total / DECILES as f64;
        let mut before = 0.0;
        let lift = (0..DECILES).map(|decile| {
            // Rounding of weights may leave ends behind the last bin.
            let end = Cut { decile, positives, off: 0.0, lowest: self.last };
            let cut = self.cuts.iter().find(|cut| cut.decile >= decile).copied().unwrap_or(end);
            let inside = cut.positives - before;
            before = cut.positives;
            let gain = cut.positives / positives;
            LiftRow {
                decile: decile + 1,
                weight,
                positives: inside,
                rate: inside / weight,
                lift: inside / weight / (positives / total),
                lowest_probability: (course.probability)(score(cut.lowest)),
                gain: Bounded { value: gain, error_bound: cut.off / positives },
                cumulative_lift: gain * DECILES as f64 / (decile + 1) as f64,
            }
        });
        let lift = lift.collect();

        let start =
            CurvePoint { threshold: f64::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0, precision: 1.0 };
        let last = course.point(Mark { last: self.last, above: self.above.map(Sum::value) });
        let end = CurvePoint { false_positive_rate: 1.0, true_positive_rate: 1.0, ..last };
        let marks = if self.every.len() < course.points { self.every } else { self.thinned };
        let mut inner: Vec<CurvePoint> = marks.into_iter().map(|mark| course.point(mark)).collect();
        inner.pop_if(|point| point.threshold <= end.threshold);
        let curve = std::iter::once(start).chain(inner).chain(std::iter::once(end)).collect();
        Ranked { auc, average_precision, lift, curve }
    }
}
