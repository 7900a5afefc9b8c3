//! How near a point is to the minimum with an elastic net.
//!
//! At a point `q` with the gradient `g` of the loss and a Hessian `H` near it, the *gap* is what the quadratic model says is to be
//! gained: `-min_d (g'd + d'Hd / 2 + terms(q + d) - terms(q))`. It is of second order: an error `e` of the gradient makes it
//! `e'H^-1 e / 2`, where the duality gap is off by `e`. Twice the gap times N is the square of a distance in standard errors.

use std::borrow::Cow;

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Evaluation;
use crate::penalty::{Term, cost_of};
use crate::solve::dot;
use crate::solve::elastic_net::quadratic::{Minimum, minimum};
use crate::solve::elastic_net::working_set::is_at_rest_outside;

/// Ridges, shares of the mean of its diagonal, that are tried where rounding made a Hessian indefinite.
pub(super) const RIDGES: [f64; 3] = [0.0, 1e-7, 1e-4];

/// Exact evaluations of a refinement at most.
const MAX_REFINEMENTS: u64 = 10;

/// What the quadratic model with a gradient and a Hessian at `point` says is to be gained, and where; infinite and `point` where
/// the Hessian is far from definite, or not finite.
pub fn gap(point: &[f64], gradient: &[f64], hessian: &Symmetric, terms: &[Term]) -> (f64, Vec<f64>) {
    for ridge in RIDGES {
        let ridged = if ridge > 0.0 { Cow::Owned(hessian.ridged(ridge)) } else { Cow::Borrowed(hessian) };
        let c: Vec<f64> = gradient.iter().zip(ridged.times(point)).map(|(g, product)| g - product).collect();
        let Some(Minimum { point: target, .. }) = minimum(&ridged, &c, terms, point) else { continue };
        let way: Vec<f64> = target.iter().zip(point).map(|(target, q)| target - q).collect();
        let gain = dot(gradient, &way) + 0.5 * dot(&way, &ridged.times(&way));
        // Term by term, for little is left of the difference of two sums.
        let of_terms: f64 =
            terms.iter().zip(&target).zip(point).map(|((term, x), q)| term.value(*x) - term.value(*q)).sum();
        // What is no number says nothing, least of all that nothing is left.
        if (gain + of_terms).is_finite() {
            return ((-(gain + of_terms)).max(0.0), target);
        }
    }
    (f64::INFINITY, point.to_vec())
}

/// The same by the Hessian of some parameters alone, of a working set: whether all others are at rest comes with it, and what is too
/// steep to rest is more to gain.
pub(super) fn gap_of_set(
    point: &[f64],
    gradient: &[f64],
    hessian: &Symmetric,
    set: &[usize],
    terms: &[Term],
) -> (f64, Vec<f64>, bool) {
    let of_set = |all: &[f64]| set.iter().map(|&j| all[j]).collect::<Vec<f64>>();
    let terms_of_set: Vec<Term> = set.iter().map(|&j| terms[j]).collect();
    let (gap, found) = gap(&of_set(point), &of_set(gradient), hessian, &terms_of_set);
    let mut target = point.to_vec();
    for (&j, x) in set.iter().zip(found) {
        target[j] = x;
    }
    (gap, target, is_at_rest_outside(set, gradient, terms))
}

/// Where a refinement ended.
pub struct Refined {
    /// The point.
    pub point: Vec<f64>,
    /// The loss there.
    pub evaluation: Evaluation,
    /// What is left to gain, and where the quadratic model says it is.
    pub gap: f64,
    /// There.
    pub target: Vec<f64>,
    /// How many evaluations it took.
    pub evaluations: u64,
}

/// Evaluates exactly at `point` and, to `improve` it, goes where the quadratic model with the exact gradient and the given Hessian
/// says, while that leaves a quarter of the gap at most. What is selected there is decided by exact gradients.
///
/// # Errors
/// Those of `evaluate`.
pub fn refine(
    point: &[f64],
    hessian: &Symmetric,
    terms: &[Term],
    improve: bool,
    mut evaluate: impl FnMut(&[f64]) -> Result<Evaluation>,
) -> Result<Refined> {
    let evaluation = evaluate(point)?;
    let (mut least, mut target) = gap(point, &evaluation.gradient, hessian, terms);
    let cost = |point: &[f64], evaluation: &Evaluation| evaluation.value + cost_of(terms, point);
    let mut best = (point.to_vec(), evaluation, target.clone());
    let mut evaluations = 1;
    while improve && least > 0.0 && evaluations < MAX_REFINEMENTS {
        let evaluation = evaluate(&target)?;
        evaluations += 1;
        let (left, next) = gap(&target, &evaluation.gradient, hessian, terms);
        let before = least;
        // A gap from far away says little: the cost must not rise, as far as a double tells.
        let is_better = cost(&target, &evaluation) <= cost(&best.0, &best.1) * (1.0 + 1e-13);
        if left < least && is_better {
            best = (std::mem::replace(&mut target, next.clone()), evaluation, next);
            least = left;
        }
        if left > 0.25 * before || left.is_nan() || !is_better {
            break;
        }
    }
    let (point, evaluation, target) = best;
    Ok(Refined { point, evaluation, gap: least, target, evaluations })
}

/// The least subgradient of the whole, `[dimension]`: 0 at the minimum.
pub fn subgradient(gradient: &[f64], terms: &[Term], point: &[f64]) -> Vec<f64> {
    let of = |((&g, term), &x): ((&f64, &Term), &f64)| {
        if x == 0.0 {
            return if term.l1.is_infinite() { 0.0 } else { (g.abs() - term.l1).max(0.0) * g.signum() };
        }
        let slope = g + term.l2 * x + term.l1 * x.signum();
        if x <= term.low {
            slope.min(0.0)
        } else if x >= term.high {
            slope.max(0.0)
        } else {
            slope
        }
    };
    gradient.iter().zip(terms).zip(point).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(q - 2)^2 / 2 + |q|` has its minimum at 1.
    #[test]
    fn a_gap_is_what_is_left_to_gain() {
        let terms = [Term { l1: 1.0, ..Term::FREE }];
        let hessian = Symmetric::from_lower(1, |_, _| 1.0);
        for (point, left) in [(0.0, 0.5), (1.0, 0.0), (3.0, 2.0), (-1.0, 4.0)] {
            let (gap, target) = gap(&[point], &[point - 2.0], &hessian, &terms);
            assert!((gap - left).abs() <= 1e-14 && (target[0] - 1.0).abs() <= 1e-14, "{gap} at {point}");
        }
        for wrong in [f64::NAN, f64::INFINITY, -1.0] {
            let hessian = Symmetric::from_lower(1, |_, _| wrong);
            assert_eq!(gap(&[3.0], &[1.0], &hessian, &terms), (f64::INFINITY, vec![3.0]), "a Hessian of {wrong}");
        }
    }

    /// `ln(1 + e^q) - q / 10` from where it is steep, with a Hessian that is much too small: what is left to gain seems less where it
    /// leads, and it is worse there.
    #[test]
    fn a_refinement_does_not_go_where_it_costs_more() {
        let evaluate = |q: &[f64]| {
            let value = q[0].exp().ln_1p() - 0.1 * q[0];
            let gradient = vec![1.0 / (1.0 + (-q[0]).exp()) - 0.1];
            Ok(Evaluation { value, gradient, diagonal: None, hessian: None })
        };
        let start = [-0.85];
        let refined = |hessian: f64| {
            let hessian = Symmetric::from_lower(1, |_, _| hessian);
            refine(&start, &hessian, &[Term::FREE], true, evaluate).expect("nothing fails").point
        };
        assert_eq!(refined(0.01), start);
        // The control: with that of the minimum, 0.1 times 0.9, it arrives.
        assert!((refined(0.09)[0] - (0.1_f64 / 0.9).ln()).abs() <= 0.5, "{:?}", refined(0.09));
    }
}
