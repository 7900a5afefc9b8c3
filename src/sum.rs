//! Sums that do not depend on the order of their terms.

/// A sum in two f64 (Neumaier, 1974): after n terms it is off by some n^2 2^-106 of the sum of their sizes, so that batches
/// and threads change the last digit of a sum of terms >= 0 at most. Infinite if a term is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    high: f64,
    /// What rounding took from `high`.
    lost: f64,
}

impl Sum {
    /// Adds a term.
    #[inline]
    pub fn add(&mut self, term: f64) {
        let high = self.high + term;
        let added = high - self.high;
        // Knuth's exact error of the addition; NaN once `high` is infinite, where `value` does not look at it.
        self.lost += (self.high - (high - added)) + (term - added);
        self.high = high;
    }

    /// Adds terms side by side.
    #[inline(always)]
    pub fn add_all(&mut self, terms: &[f64]) {
        const LANES: usize = 8;
        let mut lanes = [Self::default(); LANES];
        let (chunks, rest) = terms.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, term) in lanes.iter_mut().zip(chunk) {
                lane.add(*term);
            }
        }
        for (lane, term) in lanes.iter_mut().zip(rest) {
            lane.add(*term);
        }
        for lane in lanes {
            self.merge(lane);
        }
    }

    /// Adds the terms of another sum.
    pub fn merge(&mut self, other: Self) {
        self.add(other.high);
        self.lost += other.lost;
    }

    /// The sum.
    pub fn value(self) -> f64 {
        if self.high.is_finite() { self.high + self.lost } else { self.high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: impl IntoIterator<Item = f64>) -> Sum {
        let mut sum = Sum::default();
        for term in terms {
            sum.add(term);
        }
        sum
    }

    #[test]
    fn terms_far_below_the_sum_are_not_lost() {
        // 1 + 10^6 2^-60: in one f64 every term would vanish.
        let found = sum(std::iter::once(1.0).chain(std::iter::repeat_n(2.0_f64.powi(-60), 1_000_000)));
        assert!((found.value() - (1.0 + 1e6 * 2.0_f64.powi(-60))).abs() == 0.0);
        // What rounding takes of a larger term, and of the sum so far.
        let (a, b) = (1.0 / 3.0, 10.0 / 3.0);
        assert!((sum([a, b, -(a + b)]).value() + 0.75 * f64::EPSILON).abs() == 0.0);
    }

    #[test]
    fn infinity_stays() {
        let infinite = sum([1.0, f64::INFINITY, 2.0]);
        let mut other = sum([3.0]);
        other.merge(infinite);
        assert!(infinite.value() == f64::INFINITY && other.value() == f64::INFINITY);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "numbers that f64 holds exactly")]
    fn a_sum_keeps_what_plain_addition_loses() {
        let small = 0.5_f64.powi(30);
        let terms = [1e16, 1.0, -1e16, small, 3.0, -4.0];
        let sum_of = |terms: &[f64]| {
            let mut sum = Sum::default();
            for &term in terms {
                sum.add(term);
            }
            sum
        };
        assert_eq!(sum_of(&terms).value(), small);
        assert_ne!(terms.iter().sum::<f64>(), small, "the control: plain addition loses it");
        let mut of_parts = Sum::default();
        for part in terms.chunks(2) {
            of_parts.merge(sum_of(part));
        }
        assert_eq!(of_parts.value(), small);
    }
}
