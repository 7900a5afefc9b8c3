//! The loss of a model of one number over both of its parameters, from bins of the rows.
//!
//! With `u = (x - m) / s` a margin is `a u + b`, so the loss at any `(a, b)` needs of the rows of a bin only the sum of
//! their weights and the mean and variance of `u`: what is left out is of third order in the width of the bin. Bins are
//! narrow where rows are many, and grow with the distance from the mean. All sums are of integers, so that no order of
//! the rows changes a bit of them.

use std::sync::OnceLock;

use crate::logistic::terms;
use crate::model::{Model, ModelColumn};

/// Bins on either side of the mean, and how many there are to a standard deviation next to it. They reach to
/// `sinh(HALF / FINENESS)` = 11,000 standard deviations; what lies beyond counts as if it lay there.
const HALF: usize = 640;
const FINENESS: f64 = 64.0;

/// A place within a bin is a whole number of these parts of its width.
const PARTS: f64 = 4_294_967_296.0;

/// The mean weight of a row is this many units, about; 2^32 times that is the most that counts.
const UNITS: f64 = 4_294_967_296.0;

/// Iterations of Newton's method at most, and halvings of a step of it.
const ITERATIONS: usize = 60;
const HALVINGS: usize = 40;

/// Sums over the rows of a bin and a class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    weight: u128,
    /// Of weight times place in the bin, and times its square.
    first: u128,
    second: u128,
}

/// The rows of a table as the loss sees them.
#[derive(Clone, Debug)]
pub struct LossBins {
    edges: &'static Edges,
    mean: f64,
    scale: f64,
    /// Units of a row's weight in 1.
    per_unit: f64,
    /// On the classes.
    factors: [f64; 2],
    /// `[2 * HALF]`, each class.
    sums: Vec<[Sums; 2]>,
}

/// The bins at or above the mean, whose mirror image are those below.
#[derive(Debug)]
struct Edges {
    /// `sinh(i / FINENESS)` standard deviations, where bin `i` begins, `[HALF + 1]`.
    begins: Vec<f64>,
    /// 1 over the width of a bin, `[HALF]`.
    per_width: Vec<f64>,
    /// The bin of a value `m`, or the one before it, by the leading bits of `exp(asinh(m)) = m + sqrt(m^2 + 1)`.
    guesses: Vec<u16>,
}

impl Edges {
    /// Bits of a significand that a guess knows.
    const KNOWN: u32 = 7;
    /// The leading bits of 1.
    const FIRST: usize = 1.0_f64.to_bits() as usize >> (52 - Self::KNOWN);

    fn get() -> &'static Self {
        static EDGES: OnceLock<Edges> = OnceLock::new();
        EDGES.get_or_init(|| {
            let begins: Vec<f64> = (0..=HALF).map(|i| (i as f64 / FINENESS).sinh()).collect();
            let guess = |leading: usize| {
                let lowest = f64::from_bits((leading as u64) << (52 - Self::KNOWN));
                // Rounding must not make it one too many.
                (FINENESS * lowest.ln() * (1.0 - 1e-12)) as u16
            };
            let last = Self::leading(begins[HALF]);
            Self {
                per_width: begins.windows(2).map(|pair| (pair[1] - pair[0]).recip()).collect(),
                guesses: (Self::FIRST..=last).map(guess).collect(),
                begins,
            }
        })
    }

    fn leading(m: f64) -> usize {
        ((m + (m * m + 1.0).sqrt()).to_bits() >> (52 - Self::KNOWN)) as usize
    }

    /// The bin of a value, and its place in it from 0 to 1. Without branches: which side a value is on is not to be
    /// guessed.
    fn find(&self, u: f64) -> (usize, f64) {
        let m = u.abs().min(self.begins[HALF]);
        let guess = usize::from(self.guesses[Self::leading(m) - Self::FIRST]).min(HALF - 1);
        let bin = (guess + usize::from(m >= self.begins[guess + 1])).min(HALF - 1);
        let place = ((m - self.begins[bin]) * self.per_width[bin]).min(1.0);
        if u < 0.0 { (HALF - 1 - bin, 1.0 - place) } else { (HALF + bin, place) }
    }

    /// Where a bin begins and ends.
    fn of(&self, bin: usize) -> [f64; 2] {
        match bin.checked_sub(HALF) {
            Some(bin) => [self.begins[bin], self.begins[bin + 1]],
            None => [-self.begins[HALF - bin], -self.begins[HALF - 1 - bin]],
        }
    }
}

impl LossBins {
    /// For a model whose margins are linear in one number, with an intercept.
    pub(super) fn new(model: &Model) -> Option<Self> {
        let mut columns = model.columns();
        let (Some(ModelColumn::Feature(feature)), None) = (columns.next(), columns.next()) else { return None };
        if !(model.offsets.is_empty() && feature.scale > 0.0 && feature.scale.is_finite() && feature.mean.is_finite()) {
            return None;
        }
        let training = &model.training;
        let weight = training.weights.map_or(1.0, |sum| sum / training.rows.max(1) as f64);
        let factors = match training.class_weight.as_deref() {
            Some(&[negative, positive]) => [negative, positive],
            _ => [1.0; 2],
        };
        Some(Self {
            edges: Edges::get(),
            mean: feature.mean,
            scale: feature.scale,
            // A power of two: whole weights stay whole.
            per_unit: (UNITS / weight).log2().ceil().exp2(),
            factors,
            sums: vec![[Sums::default(); 2]; 2 * HALF],
        })
    }

    /// Takes in a row of class 0 or 1.
    pub(super) fn add(&mut self, x: f64, class: usize, weight: f64) {
        let u = (x - self.mean) / self.scale;
        let (bin, place) = self.edges.find(u);
        let weight = u128::from((weight * self.per_unit + 0.5) as u64);
        let sums = &mut self.sums[bin][class];
        sums.weight += weight;
        sums.first += weight * u128::from((place * PARTS) as u64);
        sums.second += weight * u128::from((place * place * PARTS) as u64);
    }

    /// Takes in what another saw.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, other) in self.sums.iter_mut().flatten().zip(other.sums.iter().flatten()) {
            mine.weight += other.weight;
            mine.first += other.first;
            mine.second += other.second;
        }
    }

    /// The loss, without a penalty; `None` if no row has a weight.
    pub fn loss(&self) -> Option<Loss> {
        let mut bins = Vec::new();
        for (index, of_bin) in self.sums.iter().enumerate() {
            let [low, high] = self.edges.of(index);
            for (class, sums) in of_bin.iter().enumerate().filter(|(_, sums)| sums.weight > 0) {
                let weight = sums.weight as f64;
                let [first, second] = [sums.first, sums.second].map(|sum| sum as f64 / weight / PARTS);
                bins.push(Bin {
                    weight: weight / self.per_unit * self.factors[class],
                    class: class as f64,
                    u: low + first * (high - low),
                    variance: (second - first * first).max(0.0) * (high - low).powi(2),
                });
            }
        }
        let total: f64 = bins.iter().map(|bin| bin.weight).sum();
        for bin in &mut bins {
            bin.weight /= total;
        }
        (total > 0.0).then_some(Loss { bins, penalty: 0.0 })
    }
}

/// The rows of a bin and a class, as one.
#[derive(Clone, Debug)]
struct Bin {
    /// Their share of all weight.
    weight: f64,
    class: f64,
    u: f64,
    variance: f64,
}

/// The mean loss of the rows over the coefficient `a` of a standard deviation and the intercept `b` at the mean, and a
/// penalty on the coefficient.
#[derive(Clone, Debug)]
pub struct Loss {
    bins: Vec<Bin>,
    penalty: f64,
}

/// A minimum, and the Hessian there.
#[derive(Clone, Copy, Debug)]
pub struct Minimum {
    /// Coefficient and intercept.
    pub point: [f64; 2],
    /// The loss.
    pub value: f64,
    /// `[aa, ab, bb]`.
    pub hessian: [f64; 3],
}

impl Loss {
    /// The same with `(penalty / 2) a^2`.
    #[must_use]
    pub fn penalized(self, penalty: f64) -> Self {
        Self { penalty, ..self }
    }

    /// The loss at a coefficient and an intercept.
    pub fn at(&self, [a, b]: [f64; 2]) -> f64 {
        let of_bin = |bin: &Bin| {
            let row = terms(a * bin.u + b, bin.class);
            bin.weight * (row.loss + 0.5 * row.curvature * a * a * bin.variance)
        };
        self.bins.iter().map(of_bin).sum::<f64>() + 0.5 * self.penalty * a * a
    }

    /// Gradient and Hessian, of the bins' means.
    fn derivatives(&self, [a, b]: [f64; 2]) -> ([f64; 2], [f64; 3]) {
        let (mut g, mut h) = ([self.penalty * a, 0.0], [self.penalty, 0.0, 0.0]);
        for bin in &self.bins {
            let row = terms(a * bin.u + b, bin.class);
            let (residual, curvature) = (bin.weight * row.residual, bin.weight * row.curvature);
            g[0] += residual * bin.u;
            g[1] += residual;
            h[0] += curvature * (bin.u * bin.u + bin.variance);
            h[1] += curvature * bin.u;
            h[2] += curvature;
        }
        (g, h)
    }

    /// The minimum, by Newton's method from a point; `None` where it is not found, since there is none or since rows are
    /// so nearly separated that the loss is flat.
    pub fn minimum(&self, start: [f64; 2]) -> Option<Minimum> {
        let (mut point, mut value) = (start, self.at(start));
        for _ in 0..ITERATIONS {
            let (g, hessian) = self.derivatives(point);
            let [aa, ab, bb] = hessian;
            let determinant = aa * bb - ab * ab;
            let step = [(ab * g[1] - bb * g[0]) / determinant, (ab * g[0] - aa * g[1]) / determinant];
            let decrement = -(step[0] * g[0] + step[1] * g[1]);
            if !(decrement.is_finite() && determinant > 1e-12 * aa * bb) {
                return None;
            }
            // The curvature of what is left to gain, against the loss: as near as a picture shows.
            if decrement < 1e-10 * value {
                return (step[0].hypot(step[1]) < 1e-2).then_some(Minimum { point, value, hessian });
            }
            let mut share = 1.0;
            let next = (0..HALVINGS).find_map(|_| {
                let next = [point[0] + share * step[0], point[1] + share * step[1]];
                share *= 0.5;
                Some((next, self.at(next))).filter(|(_, other)| *other < value)
            });
            match next {
                Some(next) => (point, value) = next,
                None => return Some(Minimum { point, value, hessian }),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logistic::softplus;

    fn blank(factors: [f64; 2]) -> LossBins {
        LossBins {
            edges: Edges::get(),
            mean: 10.0,
            scale: 2.0,
            per_unit: UNITS,
            factors,
            sums: vec![[Sums::default(); 2]; 2 * HALF],
        }
    }

    /// Rows with long tails, their classes and weights, all spread by irrational steps.
    fn rows() -> Vec<(f64, usize, f64)> {
        (1..4000_u32)
            .map(|k| {
                let [p, q, r] = [0.618_034, 0.414_214, 0.732_051].map(|step| (step * f64::from(k)).fract());
                let u = (3.0 * (p - 0.5)).sinh() * if k % 500 == 0 { 40.0 } else { 1.0 };
                (10.0 + 2.0 * u, usize::from(q < 1.0 / (1.0 + (-1.2 * u + 0.4).exp())), r * 3.0)
            })
            .collect()
    }

    #[test]
    fn bins_have_the_loss_of_their_rows() {
        let factors = [1.0, 2.5];
        let mut bins = blank(factors);
        let rows = rows();
        for &(x, class, weight) in &rows {
            bins.add(x, class, weight);
        }
        let loss = bins.loss().expect("rows").penalized(0.02);
        let total: f64 = rows.iter().map(|&(_, class, weight)| weight * factors[class]).sum();
        for (a, b) in [(0.0, 0.0), (1.2, -0.4), (-2.0, 3.0), (5.0, 0.3), (0.01, -4.0)] {
            let of_row = |&(x, class, weight): &(f64, usize, f64)| {
                let z: f64 = a * (x - 10.0) / 2.0 + b;
                weight * factors[class] * (softplus(z) - if class == 1 { z } else { 0.0 })
            };
            let exact = rows.iter().map(of_row).sum::<f64>() / total + 0.01 * a * a;
            let found = loss.at([a, b]);
            assert!((found - exact).abs() <= 1e-7 * exact, "{found} at {a}, {b}, and {exact} of the rows");
        }
        // Newton's method ends where every way leads up.
        let minimum = loss.minimum([0.0, 0.0]).expect("there is one");
        for (a, b) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
            assert!(loss.at([minimum.point[0] + a, minimum.point[1] + b]) > minimum.value);
        }
    }

    #[test]
    fn every_value_has_its_bin() {
        let edges = Edges::get();
        let numbers = (-700_i32..=700).map(|k| f64::from(k) / FINENESS);
        let values = numbers.flat_map(|number| [number, number + 0.3 / FINENESS]).map(f64::sinh);
        let near = |edge: &f64| [edge.next_down(), *edge, edge.next_up()].map(|u| [u, -u]);
        for u in values.chain(edges.begins.iter().flat_map(near).flatten()) {
            let (bin, place) = edges.find(u);
            let [low, high] = edges.of(bin);
            assert!(bin == 0 || low <= u, "{u} is below {low}");
            assert!(bin == 2 * HALF - 1 || u <= high, "{u} is beyond {high}");
            assert!((low + place * (high - low) - u.clamp(low, high)).abs() <= 1e-14 * low.abs().max(high.abs()));
        }
        assert_eq!(
            [f64::INFINITY, f64::NEG_INFINITY, f64::MAX].map(|u| edges.find(u)),
            [(1279, 1.0), (0, 0.0), (1279, 1.0)]
        );
    }

    #[test]
    fn neither_order_nor_pieces_change_a_bit() {
        let rows = rows();
        let mut whole = blank([1.0; 2]);
        for &(x, class, weight) in &rows {
            whole.add(x, class, weight);
        }
        let mut parts = blank([1.0; 2]);
        for piece in rows.chunks(77).rev() {
            let mut part = blank([1.0; 2]);
            for &(x, class, weight) in piece.iter().rev() {
                part.add(x, class, weight);
            }
            parts.merge(&part);
        }
        assert_eq!(whole.sums, parts.sums);
        assert!(parts.sums != blank([1.0; 2]).sums && blank([1.0; 2]).loss().is_none());
    }

    #[test]
    fn separated_rows_have_no_minimum() {
        let mut bins = blank([1.0; 2]);
        for k in 0..100_u8 {
            bins.add(f64::from(k) / 5.0, usize::from(k > 40), 1.0);
        }
        assert!(bins.loss().expect("rows").minimum([0.0, 0.0]).is_none());
    }
}
