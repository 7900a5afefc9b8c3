//! A model of the loss on the host: that of a sample of the rows, corrected by what is known of all of them.
//!
//! Where the loss of all rows has the gradient `g_a` at an anchor `q_a` and the Hessian `H_k` at a knot `q_k`, the model has the
//! gradient `g_a + s(q) - s(q_a) + D (q - q_a)` and the Hessian `H_s(q) + D` with `D = H_k - H_s(q_k)`, where `s` and `H_s` are
//! those of the sample. What is left of the error is the third derivative alone, as far as the sample misses it, times the
//! square of the way from the anchor.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Need, Objective};
use crate::penalty::{Term, cost_of};
use crate::solve::dot;
use crate::solve::elastic_net::quadratic::minimum;

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

/// The share of the gain that the quadratic promises which a shorter step has to bring (Armijo 1966), and the least step.
const ENOUGH: f64 = 1e-3;

/// The loss of a sample, corrected.
pub(super) struct Surrogate<'o> {
    sample: &'o mut dyn Objective,
}

impl<'o> Surrogate<'o> {
    pub(super) fn new(sample: &'o mut dyn Objective) -> Self {
        Self { sample }
    }

    /// A knot at `point`, where all rows have the Hessian `hessian`.
    pub(super) fn knot(&mut self, point: &[f64], hessian: &Symmetric) -> Result<Option<Knot>> {
        let Some(mut correction) = self.sample.move_to(point, Need::Hessian)?.hessian else { return Ok(None) };
        correction.scale(-1.0);
        correction.add(hessian);
        Ok(correction.is_finite().then_some(Knot { correction }))
    }

    /// The minimum of the model with the terms, to a step that gains `enough`; `None` where the model has none or is lost.
    ///
    /// # Reference
    /// Lee, Sun and Saunders, *Proximal Newton-Type Methods for Minimizing Composite Functions* (2014).
    pub(super) fn minimum(
        &mut self,
        anchor: &Anchor<'_>,
        knot: &Knot,
        terms: &[Term],
        enough: f64,
    ) -> Result<Option<Vec<f64>>> {
        let at_anchor = self.sample.move_to(anchor.point, Need::Hessian)?;
        // What all rows have beside the sample.
        let beside: Vec<f64> = anchor.gradient.iter().zip(&at_anchor.gradient).map(|(g, s)| g - s).collect();
        let mut point = anchor.point.to_vec();
        let mut here = at_anchor;
        for _ in 0..STEPS {
            let way: Vec<f64> = point.iter().zip(anchor.point).map(|(q, a)| q - a).collect();
            let corrected = knot.correction.times(&way);
            let own = |value: f64| value + dot(&beside, &way) + 0.5 * dot(&way, &corrected);
            let (from, gradient) = (own(here.value), sum(&[&here.gradient, &beside, &corrected]));
            let Some(mut hessian) = here.hessian.take() else { return Ok(None) };
            hessian.add(&knot.correction);
            let c: Vec<f64> = gradient.iter().zip(hessian.times(&point)).map(|(g, product)| g - product).collect();
            let Some(next) = minimum(&hessian, &c, terms, &point) else { return Ok(None) };
            let step: Vec<f64> = next.point.iter().zip(&point).map(|(next, q)| next - q).collect();
            let curvature = dot(&step, &hessian.times(&step));
            if !curvature.is_finite() {
                return Ok(None);
            }
            if curvature <= enough {
                return Ok(Some(next.point));
            }
            let promised = dot(&gradient, &step) + cost_of(terms, &next.point) - cost_of(terms, &point);
            let before = from + cost_of(terms, &point);
            let mut length = 1.0;
            (point, here) = loop {
                let there: Vec<f64> = if length < 1.0 {
                    point.iter().zip(&step).map(|(q, s)| q + length * s).collect()
                } else {
                    next.point.clone()
                };
                let evaluation = self.sample.move_to(&there, Need::Hessian)?;
                let way: Vec<f64> = there.iter().zip(anchor.point).map(|(q, a)| q - a).collect();
                let cost = evaluation.value
                    + dot(&beside, &way)
                    + 0.5 * dot(&way, &knot.correction.times(&way))
                    + cost_of(terms, &there);
                if curvature <= SMALL || cost <= before + ENOUGH * length * promised {
                    break (there, evaluation);
                }
                length *= 0.5;
                if length < ENOUGH {
                    return Ok(None);
                }
            };
        }
        Ok(None)
    }
}

/// The sum of vectors of one length.
fn sum(vectors: &[&[f64]]) -> Vec<f64> {
    let mut sum = vectors[0].to_vec();
    for other in &vectors[1..] {
        sum.iter_mut().zip(*other).for_each(|(a, b)| *a += b);
    }
    sum
}
