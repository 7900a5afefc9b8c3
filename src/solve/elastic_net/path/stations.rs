//! Strengths where the Hessian of all rows is known, and the models of the loss between them.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Objective;
use crate::solve::dot;
use crate::solve::elastic_net::path::PathStation;
use crate::solve::elastic_net::surrogate::{Anchor, Correction, Knot, Predicted, Search, Surrogate, corrected};

/// A strength where all is known.
pub(super) struct Station {
    pub(super) strength: f64,
    pub(super) anchor: Anchor,
    /// Where the minimum is, by the model around it.
    pub(super) solution: Vec<f64>,
    /// Nothing where there are too many parameters for a Hessian of all rows, or the sample has all rows.
    pub(super) knot: Option<Knot>,
}

/// Some of them by their shares, which add up to 1.
pub(super) type Shares = Vec<(f64, usize)>;

/// By descending strengths; there is one at least.
pub(super) struct Stations(Vec<Station>);

impl Stations {
    pub(super) fn new(first: Station) -> Self {
        Self(vec![first])
    }

    pub(super) fn first(&self) -> &Station {
        &self.0[0]
    }

    pub(super) fn last(&self) -> &Station {
        &self.0[self.0.len() - 1]
    }

    pub(super) fn have_knots(&self) -> bool {
        self.first().knot.is_some()
    }

    pub(super) fn at(&self, strength: f64) -> Option<&Station> {
        self.0.iter().find(|station| station.strength.total_cmp(&strength).is_eq())
    }

    /// Whether one is within so large a factor of a strength.
    pub(super) fn has_near(&self, strength: f64, factor: f64) -> bool {
        let is_near = |station: &Station| (station.strength / strength).ln().abs() < factor.ln();
        self.0.iter().any(is_near)
    }

    pub(super) fn insert(&mut self, station: Station) {
        let at = self.0.partition_point(|other| other.strength > station.strength);
        self.0.insert(at, station);
    }

    /// What is known of the Hessian of all rows.
    pub(super) fn into_path(self) -> Vec<PathStation> {
        let station = |Station { strength, anchor, knot, .. }: Station| {
            let Knot { hessian, correction } = knot?;
            Some(PathStation { strength, point: anchor.point, hessian, correction })
        };
        self.0.into_iter().filter_map(station).collect()
    }

    /// The stations around a strength, by its logarithm.
    pub(super) fn shares(&self, strength: f64) -> Shares {
        let strengths: Vec<f64> = self.0.iter().map(|station| station.strength).collect();
        shares(&strengths, strength)
    }

    /// The knots at stations with their shares; none where there are no knots.
    pub(super) fn knots(&self, shares: &Shares) -> Vec<(f64, &Knot)> {
        shares.iter().filter_map(|&(share, at)| Some((share, self.0[at].knot.as_ref()?))).collect()
    }

    /// The anchors, solutions and knots around a strength.
    pub(super) fn around(&self, strength: f64) -> Vec<(f64, &Station)> {
        self.shares(strength).into_iter().map(|(share, at)| (share, &self.0[at])).collect()
    }
}

/// The neighbours of a strength among descending ones, by its logarithm; one of them where it is there, or beyond all.
pub(super) fn shares(strengths: &[f64], strength: f64) -> Shares {
    let after = strengths.partition_point(|other| *other > strength);
    if after == 0 || after == strengths.len() || strengths[after].total_cmp(&strength).is_eq() {
        return vec![(1.0, after.min(strengths.len() - 1))];
    }
    let [before, next] = [strengths[after - 1], strengths[after]];
    let share = (before / strength).ln() / (before / next).ln();
    vec![(1.0 - share, after - 1), (share, after)]
}

/// The sum of vectors by their shares.
pub(super) fn blended(parts: &[(f64, &[f64])]) -> Vec<f64> {
    let mut sum = vec![0.0; parts.first().map_or(0, |(_, part)| part.len())];
    for (share, part) in parts {
        sum.iter_mut().zip(*part).for_each(|(sum, x)| *sum += share * x);
    }
    sum
}

/// The share of the curvature along a step below which, and beyond whose inverse, what is seen of it is rounding.
const LEAST_BEND: f64 = 1e-3;

/// What is added to the Hessian between knots so that it changes gradients as was seen along steps: squares of vectors with their factors.
///
/// # Reference
/// Nocedal and Wright, *Numerical Optimization*, 2nd edition, equation 6.19 (BFGS).
pub(super) struct Bend(Vec<(Vec<f64>, f64)>);

impl Bend {
    /// By such pairs, the ones that count most at last. Where a change `goes_on`, a curvature that is the mean along a step has fallen as
    /// much again where the step ends.
    pub(super) fn new(hessian: &Correction<'_>, pairs: &[Pair], goes_on: bool) -> Self {
        let mut bend = Self(Vec::new());
        for (step, change) in pairs {
            let mut straight = corrected(hessian, step);
            straight.iter_mut().zip(bend.times(step)).for_each(|(sum, x)| *sum += x);
            let [own, seen] = [dot(step, &straight), dot(step, change)];
            // What rounding leaves of a difference bends anywhere.
            if own > 0.0 && (LEAST_BEND..1.0 / LEAST_BEND).contains(&(seen / own)) {
                let fallen = if goes_on { (seen / own).min(1.0) } else { 1.0 };
                bend.0.extend([(straight, -1.0 / own), (change.clone(), fallen / seen)]);
            }
        }
        bend
    }

    /// What a step changes gradients by beside the Hessian between knots.
    pub(super) fn times(&self, step: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; step.len()];
        for (v, factor) in &self.0 {
            let share = factor * dot(v, step);
            sum.iter_mut().zip(v).for_each(|(sum, x)| *sum += share * x);
        }
        sum
    }

    /// Adds it to a Hessian of some parameters.
    pub(super) fn add_to(&self, hessian: &mut Symmetric, set: &[usize]) {
        for (v, factor) in &self.0 {
            hessian.add_square(&set.iter().map(|&j| v[j]).collect::<Vec<f64>>(), *factor);
        }
    }
}

/// A step, and what the gradient changes by along it.
pub(super) type Pair = (Vec<f64>, Vec<f64>);

pub(super) fn hessian_of<'k>(knots: &[(f64, &'k Knot)]) -> Vec<(f64, &'k Symmetric)> {
    knots.iter().map(|(share, knot)| (*share, &knot.hessian)).collect()
}

/// The model of the loss with a sample, and that without.
pub(super) struct Models<'o> {
    pub(super) sampled: Surrogate<'o>,
    quadratic: Surrogate<'o>,
}

impl<'o> Models<'o> {
    pub(super) fn new(sample: Option<&'o mut dyn Objective>, reach: &'o [f64]) -> Self {
        Self { sampled: Surrogate::new(sample, reach), quadratic: Surrogate::new(None, reach) }
    }

    /// From here on there is no sample.
    pub(super) fn give_up(&mut self) {
        self.sampled.give_up();
    }

    /// The minimum by the model with the sample, or else, or where that `has_misled`, by the quadratic.
    pub(super) fn minimum(
        &mut self,
        anchors: &[(f64, &Anchor)],
        knots: &[(f64, &Knot)],
        search: &Search<'_>,
        has_misled: bool,
    ) -> Result<Option<Predicted>> {
        if self.sampled.has_sample() && (!has_misled || knots.is_empty()) {
            let correction: Vec<_> = knots.iter().map(|(share, knot)| (*share, &knot.correction)).collect();
            let found = self.sampled.minimum(anchors, &correction, search)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        if knots.is_empty() {
            return Ok(None);
        }
        let alone: Vec<(f64, Anchor)> = anchors.iter().map(|(share, anchor)| (*share, anchor.alone())).collect();
        let alone: Vec<(f64, &Anchor)> = alone.iter().map(|(share, anchor)| (*share, anchor)).collect();
        Ok(self
            .quadratic
            .minimum(&alone, &hessian_of(knots), search)?
            .map(|found| Predicted { is_alone: true, ..found }))
    }

    /// The minimum by the quadratic around an anchor, whose Hessian follows what gradients have changed by along steps near it.
    pub(super) fn bent_minimum(
        &mut self,
        anchor: &Anchor,
        knots: &[(f64, &Knot)],
        pairs: &[Pair],
        search: &Search<'_>,
    ) -> Result<Option<Predicted>> {
        let size = anchor.point.len();
        let (mut hessian, mut bend) = (hessian_of(knots), Symmetric::zero(size));
        Bend::new(&hessian, pairs, false).add_to(&mut bend, &(0..size).collect::<Vec<_>>());
        hessian.push((1.0, &bend));
        self.quadratic.minimum(&[(1.0, &anchor.alone())], &hessian, search)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::Term;

    /// Between two by the logarithm; alone at one of them and beyond all.
    #[test]
    fn shares_are_those_of_the_neighbours() {
        let strengths = [1.0, 0.1, 0.001];
        assert_eq!(shares(&strengths, 2.0), [(1.0, 0)]);
        assert_eq!(shares(&strengths, 0.1), [(1.0, 1)]);
        assert_eq!(shares(&strengths, 1e-5), [(1.0, 2)]);
        let [(before, first), (after, second)] = shares(&strengths, 0.01)[..] else { panic!("two neighbours") };
        assert_eq!([first, second], [1, 2]);
        assert!((before - 0.5).abs() <= 1e-12 && (after - 0.5).abs() <= 1e-12);
        assert_eq!(blended(&[(0.25, &[4.0, 0.0]), (0.75, &[0.0, 4.0])]), [1.0, 3.0]);
    }

    /// Where the Hessian has changed along a step, what gradients have changed by says so: `x^2 / 2 + 5 y^2`, by a knot that takes both
    /// for 1.
    #[test]
    fn a_bent_quadratic_has_the_curvature_that_was_seen() {
        let of_one = Symmetric::from_lower(2, |i, j| f64::from(u8::from(i == j)));
        let mut models = Models::new(None, &[1.0, 1.0]);
        let anchor = models.sampled.anchor(&[1.0, 1.0], 5.5, &[1.0, 10.0]).expect("an anchor");
        let knot = models.sampled.knot(&[1.0, 1.0], &of_one).expect("no error").expect("finite");
        let terms = [Term::FREE; 2];
        let search = Search { start: &[1.0, 1.0], terms: &terms, enough: 1e-12, slopes: &[1.0, 10.0], share: 0.0 };
        let pairs = [(vec![0.0, -0.5], vec![0.0, -5.0])];
        let mut found = |pairs: &[_]| {
            models.bent_minimum(&anchor, &[(1.0, &knot)], pairs, &search).expect("no error").expect("a minimum").point
        };
        assert!(found(&pairs).iter().all(|x| x.abs() <= 1e-12));
        // The control: without it, and with a change that is rounding, the step is ten times too long.
        assert_eq!(found(&[]), [0.0, -9.0]);
        assert_eq!(found(&[(vec![0.0, -0.5], vec![0.0, -1e-9])]), [0.0, -9.0]);
    }
}
