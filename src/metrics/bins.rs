//! Places of scores, and bins of places that agree but for the low bits.

use crate::sum::Sum;

/// The place of a score: an integer that falls as the score rises. `score` is not NaN and not -0.
pub(super) fn rank(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = score.to_bits();
    if bits & SIGN == 0 { !(bits | SIGN) } else { bits }
}

/// The score of a place.
pub(super) fn score(rank: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if rank & SIGN == 0 { !rank & !SIGN } else { rank })
}

/// Rows whose places agree but for the low bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    /// Of the highest score in it.
    pub(super) first: u64,
    /// Of the lowest.
    pub(super) last: u64,
    /// Weight of the negatives and of the positives.
    pub(super) mass: [Sum; 2],
}

impl Bin {
    pub(super) fn new(rank: u64) -> Self {
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
pub(super) struct Boundaries {
    previous: Option<u64>,
    by_bit: [usize; 64],
}

impl Boundaries {
    pub(super) fn new() -> Self {
        Self { previous: None, by_bit: [0; 64] }
    }

    pub(super) fn see(&mut self, rank: u64) {
        if let Some(differing) = self.previous.and_then(|previous| (previous ^ rank).checked_ilog2()) {
            self.by_bit[differing as usize] += 1;
        }
        self.previous = Some(rank);
    }

    /// The fewest low bits, `least` at least, without which there are `bins` bins at most.
    pub(super) fn low_bits(&self, least: u32, bins: usize) -> u32 {
        let mut found = 1;
        let mut bits = 64;
        while bits > least && found + self.by_bit[bits as usize - 1] <= bins {
            bits -= 1;
            found += self.by_bit[bits as usize];
        }
        bits
    }
}

pub(super) fn in_one_bin(a: u64, b: u64, low_bits: u32) -> bool {
    (a ^ b).checked_shr(low_bits).unwrap_or(0) == 0
}

/// Bins in the order of the places.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    pub(super) low_bits: u32,
    pub(super) bins: Vec<Bin>,
}

impl Histogram {
    /// Takes in more bins, made without `low_bits` bits, and joins bins until there are `most` at most.
    pub(super) fn absorb(&mut self, more: &[Bin], low_bits: u32, most: usize) {
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
}
