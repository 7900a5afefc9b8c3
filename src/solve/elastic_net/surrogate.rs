//! A model of the loss on the host: that of a sample of the rows, corrected by what is known of all of them.
//!
//! Where the loss of all rows has the gradient `g_a` at an anchor `q_a` and the Hessian `H_k` at a knot `q_k`, the model has the
//! gradient `g_a + s(q) - s(q_a) + D (q - q_a)` and the Hessian `H_s(q) + D` with `D = H_k - H_s(q_k)`, where `s` and `H_s` are
//! those of the sample. What is left of the error is the third derivative alone, as far as the sample misses it, times the
//! square of the way from the anchor.

use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Need, Objective};
use crate::penalty::{Term, cost_of};
use crate::solve::dot;
use crate::solve::elastic_net::quadratic::{damped, minimum};

/// A point with the gradient of all rows there.
pub(super) struct Anchor<'a> {
    pub(super) point: &'a [f64],
    pub(super) gradient: &'a [f64],
}

/// The Hessian of all rows at a point, less that of the sample.
pub(super) struct Knot {
    correction: Symmetric,
}

/// Steps of Newton's method on the model at most.
const STEPS: usize = 20;

/// A step of the model that gains so much of the loss or less is taken as it is.
const SMALL: f64 = 1e-6;

/// The share of the gain that the quadratic promises which a shorter step has to bring (Armijo 1966).
const ENOUGH: f64 = 1e-3;

/// The loss of a sample, corrected.
pub(super) struct Surrogate<'o> {
    sample: &'o mut dyn Objective,
    /// How far each parameter reaches into a margin.
    reach: &'o [f64],
}

impl<'o> Surrogate<'o> {
    pub(super) fn new(sample: &'o mut dyn Objective, reach: &'o [f64]) -> Self {
        Self { sample, reach }
    }

    /// A knot at `point`, where all rows have the Hessian `hessian`.
    pub(super) fn knot(&mut self, point: &[f64], hessian: &Symmetric) -> Result<Option<Knot>> {
        let Some(mut correction) = self.sample.move_to(point, Need::Hessian)?.hessian else { return Ok(None) };
        correction.scale(-1.0);
        correction.add(hessian);
        Ok(correction.is_finite().then_some(Knot { correction }))
    }

    /// The Hessian of the sample at `point`, of the parameters of a working set.
    pub(super) fn hessian(&mut self, point: &[f64], set: &[usize]) -> Result<Option<Symmetric>> {
        Ok(self.sample.evaluate_with(point, set)?.hessian)
    }

    /// The loss of the sample with its Hessian: whole beside a knot, else of a working set.
    fn evaluate(&mut self, point: &[f64], set: &[usize], knot: Option<&Knot>) -> Result<Evaluation> {
        match knot {
            Some(_) => self.sample.move_to(point, Need::Hessian),
            None => self.sample.evaluate_with(point, set),
        }
    }

    /// The minimum of the model with the terms, to a step that gains `enough`; `None` where the model has none or is lost. Without a
    /// knot the Hessian is that of the sample, of a working set alone.
    ///
    /// # Errors
    /// Those of the sample; of kind `Usage` if the working set grows beyond what can be solved for.
    ///
    /// # Reference
    /// Lee, Sun and Saunders, *Proximal Newton-Type Methods for Minimizing Composite Functions* (2014).
    pub(super) fn minimum(
        &mut self,
        anchor: &Anchor<'_>,
        knot: Option<&Knot>,
        terms: &[Term],
        enough: f64,
    ) -> Result<Option<Vec<f64>>> {
        let mut set = match knot {
            Some(_) => (0..terms.len()).collect(),
            None => working_set(anchor.point, anchor.gradient, terms, 1.0)?,
        };
        let mut here = self.evaluate(anchor.point, &set, knot)?;
        // What all rows have beside the sample.
        let beside: Vec<f64> = anchor.gradient.iter().zip(&here.gradient).map(|(g, s)| g - s).collect();
        let model = Model { anchor, beside, knot, terms };
        let mut point = anchor.point.to_vec();
        for _ in 0..STEPS {
            let gradient = model.gradient(&point, &here.gradient);
            let Some(hessian) = here.hessian.take() else { return Ok(None) };
            let Some(Step { target, curvature, promised }) = model.step(&point, &gradient, hessian, &set) else {
                return Ok(None);
            };
            if !curvature.is_finite() {
                return Ok(None);
            }
            if curvature <= enough {
                // Beside a knot the set has all parameters.
                if knot.is_some() {
                    return Ok(Some(target));
                }
                let at_target = self.evaluate(&target, &set, knot)?;
                let grown = grown(&set, &model.gradient(&target, &at_target.gradient), terms)?;
                if grown.len() == set.len() {
                    return Ok(Some(target));
                }
                set = grown;
                here = self.evaluate(&target, &set, knot)?;
                point = target;
                continue;
            }
            let before = model.cost(&point, here.value);
            let way: Vec<f64> = target.iter().zip(&point).map(|(t, q)| t - q).collect();
            // The whole step, half of it, then what is short enough for certain, or nearly.
            let damped = damped(&way, self.reach);
            let mut shorter = [0.5, 4.0 * damped, damped, damped / 8.0, damped / 64.0].into_iter();
            let mut length = 1.0;
            (point, here) = loop {
                let there: Vec<f64> = if length < 1.0 {
                    point.iter().zip(&target).map(|(q, t)| q + length * (t - q)).collect()
                } else {
                    target.clone()
                };
                let evaluation = self.evaluate(&there, &set, knot)?;
                if curvature <= SMALL || model.cost(&there, evaluation.value) <= before + ENOUGH * length * promised {
                    break (there, evaluation);
                }
                let Some(next) = shorter.find(|next| *next < length) else { return Ok(None) };
                length = next;
            };
        }
        Ok(None)
    }
}

/// The model with its terms, around an anchor.
struct Model<'m> {
    anchor: &'m Anchor<'m>,
    /// The gradient of all rows at the anchor, less that of the sample.
    beside: Vec<f64>,
    knot: Option<&'m Knot>,
    terms: &'m [Term],
}

/// A step of Newton's method on it.
struct Step {
    target: Vec<f64>,
    /// Along the step.
    curvature: f64,
    /// The change of the cost by the quadratic model.
    promised: f64,
}

impl Model<'_> {
    fn way(&self, point: &[f64]) -> Vec<f64> {
        point.iter().zip(self.anchor.point).map(|(q, a)| q - a).collect()
    }

    /// Its cost at `point`, where the sample has the loss `value`.
    fn cost(&self, point: &[f64], value: f64) -> f64 {
        let way = self.way(point);
        let corrected = self.knot.map_or(0.0, |knot| 0.5 * dot(&way, &knot.correction.times(&way)));
        value + dot(&self.beside, &way) + corrected + cost_of(self.terms, point)
    }

    /// The gradient of its smooth part at `point`, where the sample has this one.
    fn gradient(&self, point: &[f64], of_sample: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> = of_sample.iter().zip(&self.beside).map(|(s, b)| s + b).collect();
        if let Some(knot) = self.knot {
            let corrected = knot.correction.times(&self.way(point));
            gradient.iter_mut().zip(corrected).for_each(|(g, c)| *g += c);
        }
        gradient
    }

    /// The step at `point` by the Hessian of the sample, of the parameters in `set`.
    fn step(&self, point: &[f64], gradient: &[f64], mut hessian: Symmetric, set: &[usize]) -> Option<Step> {
        if let Some(knot) = self.knot {
            hessian.add(&knot.correction);
        }
        let of_set = |all: &[f64]| set.iter().map(|&j| all[j]).collect::<Vec<f64>>();
        let (from, slopes) = (of_set(point), of_set(gradient));
        let terms: Vec<Term> = set.iter().map(|&j| self.terms[j]).collect();
        let c: Vec<f64> = slopes.iter().zip(hessian.times(&from)).map(|(g, product)| g - product).collect();
        let to = minimum(&hessian, &c, &terms, &from)?.point;
        let step: Vec<f64> = to.iter().zip(&from).map(|(to, from)| to - from).collect();
        let mut target = point.to_vec();
        for (&j, x) in set.iter().zip(&to) {
            target[j] = *x;
        }
        let promised = dot(&slopes, &step) + cost_of(&terms, &to) - cost_of(&terms, &from);
        Some(Step { target, curvature: dot(&step, &hessian.times(&step)), promised })
    }
}

/// Parameters of a working set at most: a matrix of 32 MiB, and some times that on the way.
pub const WORKING_SET: usize = 2048;

/// Parameters that join a working set at a time at most.
const JOINING: usize = 256;

/// The parameters that are not at rest at 0, that cost nothing there, or whose slopes are `share` of their strength or more: of those
/// the steepest.
///
/// # Errors
/// As [`grown`].
pub(super) fn working_set(point: &[f64], gradient: &[f64], terms: &[Term], share: f64) -> Result<Vec<usize>> {
    let own = |j: &usize| point[*j] != 0.0 || !terms[*j].has_kink();
    joined((0..terms.len()).filter(own).collect(), gradient, terms, share)
}

/// A working set with the steepest of those that should not be at rest.
///
/// # Errors
/// Of kind `Usage` if it has more than [`WORKING_SET`] then.
fn grown(set: &[usize], gradient: &[f64], terms: &[Term]) -> Result<Vec<usize>> {
    joined(set.to_vec(), gradient, terms, 1.0 + AT_REST)
}

fn joined(mut set: Vec<usize>, gradient: &[f64], terms: &[Term], share: f64) -> Result<Vec<usize>> {
    let is_there: std::collections::HashSet<usize> = set.iter().copied().collect();
    let excess = |j: usize| gradient[j].abs() / terms[j].l1;
    let mut steep: Vec<usize> =
        (0..terms.len()).filter(|j| terms[*j].has_kink() && !is_there.contains(j) && excess(*j) >= share).collect();
    steep.sort_by(|&a, &b| excess(b).total_cmp(&excess(a)).then(a.cmp(&b)));
    steep.truncate(JOINING);
    set.extend(steep);
    set.sort_unstable();
    if set.len() > WORKING_SET {
        return Err(Error::usage(
            format!("{} coefficients would have to be solved for at once, and {WORKING_SET} can be", set.len()),
            "Raise ⟦l1⟧, so that fewer are selected; or say ⟦l2⟧ alone, without factors and bounds, which has no limit.",
        ));
    }
    Ok(set)
}

/// Whether all parameters outside a working set have slopes within their strengths.
pub(super) fn is_at_rest_outside(set: &[usize], gradient: &[f64], terms: &[Term]) -> bool {
    let is_at_rest = |j: usize| gradient[j].abs() <= terms[j].l1 * (1.0 + AT_REST) || set.binary_search(&j).is_ok();
    (0..terms.len()).all(is_at_rest)
}

/// A share of its strength by which a slope may be off at rest: what a step leaves at the edge is no reason to go on.
const AT_REST: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    /// The steepest come first, so many at a time; as long as others are too steep, what is outside is not at rest.
    #[test]
    fn a_working_set_grows_by_the_steepest() {
        let gradient: Vec<f64> = (0..700).map(|j| 1.0 + 0.001 * f64::from(j)).collect();
        let terms = vec![Term { l1: 1.1, ..Term::FREE }; 700];
        let mut point = vec![0.0; 700];
        point[3] = 1.0;
        let mut set = working_set(&point, &gradient, &terms, 1.0).expect("a few");
        assert_eq!((set.len(), set[0], set[1]), (257, 3, 700 - 256));
        let mut rounds = 0;
        while !is_at_rest_outside(&set, &gradient, &terms) {
            set = grown(&set, &gradient, &terms).expect("a few");
            rounds += 1;
        }
        // All beyond 1.1, and the one that is not at 0.
        assert_eq!((rounds, set.len()), (2, 600));
        let many = vec![Term { l1: 1e-3, ..Term::FREE }; 3_000];
        let all: Vec<usize> = (0..WORKING_SET).collect();
        let refused = grown(&all, &vec![1.0; 3_000], &many).expect_err("too many").to_string();
        assert!(refused.contains("2304 coefficients"), "{refused}");
    }
}
