//! Rows of several classes by the probability that their own class had.

/// Bins of it, of equal width.
const BINS: usize = 50;

/// Losses are summed as integers, in parts of this size: then their order is of no account.
const GRAIN: f64 = 1e-6;

/// Rows whose own class had about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// How many.
    pub rows: u64,
    loss: u128,
}

impl Own {
    /// The sum of their losses.
    pub fn loss(self) -> f64 {
        self.loss as f64 * GRAIN
    }
}

impl Own {
    /// A bin for each part of the probabilities.
    pub(super) fn bins() -> Vec<Self> {
        vec![Self::default(); BINS]
    }

    /// Takes in a row of a class with these margins, which are finite.
    pub(super) fn add(bins: &mut [Self], class: usize, margins: impl Iterator<Item = f64> + Clone) {
        let loss = loss(class, margins);
        let own = &mut bins[(((-loss).exp() * BINS as f64) as usize).min(BINS - 1)];
        own.rows += 1;
        own.loss += (loss / GRAIN).round() as u128;
    }

    /// Takes in what another saw.
    pub(super) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.loss += other.loss;
    }
}

/// `-ln` of the softmax of a class: `(max z - z) + ln(1 + the rest)`.
fn loss(class: usize, margins: impl Iterator<Item = f64> + Clone) -> f64 {
    let (mut top, mut leader, mut own) = (f64::NEG_INFINITY, 0, 0.0);
    for (place, z) in margins.clone().enumerate() {
        if z > top {
            (top, leader) = (z, place);
        }
        if place == class {
            own = z;
        }
    }
    let rest: f64 = margins.enumerate().filter(|(place, _)| *place != leader).map(|(_, z)| (z - top).exp()).sum();
    (top - own) + rest.ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_softmax() {
        let of = |class: usize, margins: [f64; 3]| loss(class, margins.into_iter());
        assert!((of(1, [0.0; 3]) - 3.0_f64.ln()).abs() <= 1e-15);
        assert!((of(0, [1000.0, 999.0, -1000.0]) - (1.0 + (-1.0_f64).exp()).ln()).abs() <= 1e-15);
        assert!((of(2, [1000.0, 0.0, -1000.0]) - 2000.0).abs() <= 1e-9);
        assert!((of(1, [0.0, 3.0, 2.0]) - (1.0 + (-1.0_f64).exp() + (-3.0_f64).exp()).ln()).abs() <= 1e-15);
        // 1 - p would be 0 as a difference.
        assert!((of(0, [40.0, 0.0, -50.0]) / (-40.0_f64).exp() - 1.0).abs() <= 1e-12);
    }
}
