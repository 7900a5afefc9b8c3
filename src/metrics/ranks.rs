//! Ranks as they are kept, sorted in runs where they lie, and swept over in parts.

use rayon::prelude::*;

use super::bins::{Bin, in_one_bin};
use super::sweep::{Course, Sweep};
use crate::sum::Sum;

/// Rows as they came, by class: the label needs no room.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// All weights are 1.
    Plain([Chunks<u64>; 2]),
    Weighted([Chunks<(u64, f64)>; 2]),
}

/// Rows of a class in pieces: those that were merged, small ones joined. One at least.
#[derive(Clone, Debug)]
pub(super) struct Chunks<R>(Vec<Vec<R>>);

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

    /// The rows of both, in any order. Pieces of fewer rows than a core sorts at once are joined: each is a run to merge.
    fn append(&mut self, other: Self) {
        for piece in other.0 {
            let last = self.last();
            if last.len() + piece.len() <= RUN_ROWS {
                last.extend_from_slice(&piece);
            } else {
                self.0.push(piece);
            }
        }
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
    pub(super) fn new() -> Self {
        Self::Plain([Chunks::new(), Chunks::new()])
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(classes) => classes.iter().map(Chunks::len).sum(),
            Self::Weighted(classes) => classes.iter().map(Chunks::len).sum(),
        }
    }

    pub(super) fn row_bytes(&self) -> usize {
        match self {
            Self::Plain(_) => size_of::<u64>(),
            Self::Weighted(_) => size_of::<(u64, f64)>(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.len() * self.row_bytes()
    }

    /// Rows `(rank, class, weight)`, of which those without weights are given the weight 1.
    pub(super) fn extend(&mut self, rows: impl Iterator<Item = (u64, usize, f64)>) {
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
    pub(super) fn weigh(&mut self) {
        if let Self::Plain(classes) = self {
            let weigh = |ranks: Vec<u64>| ranks.into_iter().map(|rank| (rank, 1.0)).collect();
            *self = Self::Weighted(
                classes.each_mut().map(|chunks| Chunks(std::mem::take(&mut chunks.0).into_iter().map(weigh).collect())),
            );
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
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

    /// None any more; what comes has weights if those before had.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Plain(classes) => *classes = [Chunks::new(), Chunks::new()],
            Self::Weighted(classes) => *classes = [Chunks::new(), Chunks::new()],
        }
    }

    pub(super) fn sort(&mut self) {
        match self {
            Self::Plain(classes) => classes.par_iter_mut().for_each(Chunks::sort),
            Self::Weighted(classes) => classes.par_iter_mut().for_each(Chunks::sort),
        }
    }

    /// Goes through sorted rows in bins without `low_bits` bits, the highest scores first.
    pub(super) fn for_each_bin(&self, low_bits: u32, visit: impl FnMut(&Bin)) {
        match self {
            Self::Plain(classes) => join(classes.each_ref().map(Chunks::sorted), low_bits, visit),
            Self::Weighted(classes) => join(classes.each_ref().map(Chunks::sorted), low_bits, visit),
        }
    }

    /// Sweeps over the rows.
    pub(super) fn sweep(&mut self, course: Course) -> Sweep {
        match self {
            Self::Plain(classes) => sweep(classes, course),
            Self::Weighted(classes) => sweep(classes, course),
        }
    }
}

/// A row as it is kept.
pub(super) trait Row: Copy + Send + Sync {
    fn rank(self) -> u64;
    fn weight(self) -> f64;
    /// The sum of the weights.
    fn mass(rows: &[Self]) -> Sum;
    /// Takes a sweep over sorted rows of both classes.
    fn take(sweep: &mut Sweep, classes: [&[Self]; 2]);
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

    fn take(sweep: &mut Sweep, [negatives, positives]: [&[Self]; 2]) {
        let mut at = [0, 0];
        sweep.ties(std::iter::from_fn(|| {
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

    fn take(sweep: &mut Sweep, classes: [&[Self]; 2]) {
        join(classes, 0, |bin| sweep.step(bin));
    }
}

/// Rows that a core sorts at once: 1 MiB, or two with weights, which its cache holds.
const RUN_ROWS: usize = 1 << 17;

/// Parts that a sweep is made of at most: a number of its own, not that of the threads, so that those change nothing.
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

/// Sweeps over the rows of both classes, on all cores: runs are sorted where they lie, and a part merges its own. What
/// comes before a part is counted first.
fn sweep<R: Row>(classes: &mut [Chunks<R>; 2], course: Course) -> Sweep {
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
    let sweep = |(of_part, above): (&[Vec<&[R]>; 2], [Sum; 2])| {
        let rows = of_part.each_ref().map(|runs| {
            let mut rows = runs.concat();
            // A stable sort merges the runs that it finds.
            rows.sort_by_key(|row| row.rank());
            rows
        });
        let mut sweep = Sweep::from(course, above);
        R::take(&mut sweep, rows.each_ref().map(Vec::as_slice));
        sweep
    };
    let sweeps: Vec<Sweep> = of_parts.par_iter().zip(begins).map(sweep).collect();
    let mut sweeps = sweeps.into_iter();
    let first = sweeps.next().expect("there is a part");
    sweeps.fold(first, |mut whole, next| {
        whole.join(next);
        whole
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

#[cfg(test)]
mod tests {
    use super::super::bins::rank;
    use super::super::sweep::Ranked;
    use super::*;

    /// Rows as ranges leave them, in pieces that are not sorted.
    fn chunks<R: Row>(rows: &[R]) -> Chunks<R> {
        let of_piece = |piece: usize| rows.iter().skip(piece).step_by(7).rev().copied().collect();
        let mut chunks = Chunks((1..7).map(of_piece).collect());
        chunks.append(Chunks(vec![Vec::new(), of_piece(0)]));
        chunks
    }

    /// Rows in parts on all cores against one bin after the other: scores with ties across the parts, and weights.
    #[test]
    fn a_sweep_in_parts_is_a_sweep() {
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
            let mut sweep = Sweep::from(course(totals), [Sum::default(); 2]);
            join(classes, 0, |bin| sweep.step(bin));
            sweep.finish()
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
        near(&sweep(&mut [chunks(&negatives), chunks(&positives)], course(totals)).finish(), &expected);
        // Of weight 1, whose sweep counts in whole numbers.
        let plain = |rows: &[(u64, f64)]| -> Vec<u64> { rows.iter().map(|row| row.0).collect() };
        let ones = |rows: &[(u64, f64)]| -> Vec<(u64, f64)> { rows.iter().map(|row| (row.0, 1.0)).collect() };
        let totals = [150_000.0, 40_000.0];
        let expected = one_by_one([&ones(&negatives), &ones(&positives)], totals);
        let mut classes = [chunks(&plain(&negatives)), chunks(&plain(&positives))];
        near(&sweep(&mut classes, course(totals)).finish(), &expected);
        assert_eq!(parts(classes.each_mut().map(Chunks::sort_runs)).len(), 11);
        assert!(expected.auc.value > 0.4 && expected.curve.len() > 100, "{expected:?}");
    }
}
