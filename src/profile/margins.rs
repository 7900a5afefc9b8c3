//! Rows of two classes over the margin.

/// Rows of the negative class and of the positive one.
pub type Counts = [u64; 2];

pub(super) fn add(counts: &mut Counts, more: Counts) {
    counts[0] += more[0];
    counts[1] += more[1];
}

/// Rows by their margins: bins around 0, as narrow as the margins allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Margins {
    /// The width of a bin is 2 to this power.
    power: i32,
    counts: Vec<Counts>,
}

impl Margins {
    const HALF: usize = 256;
    /// Bins are of 1/8 at most, which reaches to 32, where probabilities are 1e-14; what lies beyond counts as if it
    /// lay there.
    const WIDEST: i32 = -3;

    pub(super) fn new() -> Self {
        Self { power: -12, counts: vec![[0; 2]; 2 * Self::HALF] }
    }

    /// The width of a bin.
    pub fn width(&self) -> f64 {
        f64::from(self.power).exp2()
    }

    /// The bins `(from, to, rows)`.
    pub fn bins(&self) -> impl DoubleEndedIterator<Item = (f64, f64, Counts)> + ExactSizeIterator + '_ {
        let edge = |index: usize| (index as f64 - Self::HALF as f64) * self.width();
        self.counts.iter().enumerate().map(move |(index, counts)| (edge(index), edge(index + 1), *counts))
    }

    fn widen(&mut self, power: i32) {
        while self.power < power {
            let mut wider = vec![[0; 2]; 2 * Self::HALF];
            for (index, counts) in self.counts.iter().enumerate() {
                add(&mut wider[index.midpoint(Self::HALF)], *counts);
            }
            self.counts = wider;
            self.power += 1;
        }
    }

    pub(super) fn add(&mut self, margins: &[f64], classes: &[u32]) {
        let farthest = margins.iter().fold(0.0, |farthest: f64, margin| farthest.max(margin.abs()));
        while self.power < Self::WIDEST && farthest >= Self::HALF as f64 * self.width() {
            self.widen(self.power + 1);
        }
        // A power of two: what a division would give, to the last bit.
        let per_width = self.width().recip();
        for (margin, &class) in margins.iter().zip(classes) {
            let place = (margin * per_width).clamp(-(Self::HALF as f64), Self::HALF as f64 - 0.5);
            // The floor, without a call of it.
            let floor = place as isize - isize::from(place < (place as isize) as f64);
            self.counts[(floor + Self::HALF as isize) as usize][class as usize] += 1;
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        self.widen(other.power);
        other.widen(self.power);
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, other)| add(mine, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_fit_whatever_their_size_and_order() {
        let rows = [1e-4, -1e-3, 0.7, -0.7, 3.0, 31.9, -31.9, 1e9, -1e9, 0.0];
        let mut whole = Margins::new();
        whole.add(&rows, &[0; 10]);
        let mut parts = Margins::new();
        for z in rows.iter().rev() {
            let mut part = Margins::new();
            part.add(&[*z], &[0]);
            parts.merge(part);
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.bins().map(|(.., counts)| counts[0]).sum::<u64>(), rows.len() as u64);
        for z in rows.iter().filter(|z| z.abs() < 32.0) {
            assert!(whole.bins().any(|(from, to, counts)| from <= *z && *z < to && counts[0] > 0), "{z}");
        }
        let mut small = Margins::new();
        for z in [0.01, -0.02] {
            small.add(&[z], &[1]);
        }
        assert!(small.width() < 1e-3);
    }
}
