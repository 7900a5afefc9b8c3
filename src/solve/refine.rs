//! Mixed-precision refinement: an exact gradient and an approximate Hessian.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Evaluation;
use crate::solve::preconditioner::factor;
use crate::solve::{dot, largest, root};

/// Steps at most; each gains about as many digits as the Hessian holds.
const MAX_STEPS: usize = 10;

/// Where refinement ended, all of it from the exact evaluation.
#[derive(Clone, Debug)]
pub struct Refined {
    /// The parameters.
    pub parameters: Vec<f64>,
    /// The evaluation there.
    pub evaluation: Evaluation,
    /// The distance to the optimum in standard errors.
    pub delta: f64,
    /// Exact evaluations that it took.
    pub evaluations: u64,
}

impl Refined {
    /// The largest absolute component of the gradient.
    pub fn gradient_norm(&self) -> f64 {
        largest(&self.evaluation.gradient)
    }
}

/// Evaluates exactly at `parameters` and, up to `steps` times, takes Newton steps with the exact gradient and the given
/// Hessian while they bring the distance `sqrt(N g'M^-1 g)` down. With a Hessian of relative error e each step
/// multiplies the distance by about e: iterative refinement, so that a device without f64 reaches its digits.
///
/// # Reference
/// Higham, *Accuracy and Stability of Numerical Algorithms*, chapter 12, for linear systems.
pub fn refine(
    parameters: &[f64],
    hessian: &Symmetric,
    rows: f64,
    improve: bool,
    mut evaluate: impl FnMut(&[f64]) -> Result<Evaluation>,
) -> Result<Option<Refined>> {
    let Some(metric) = factor(hessian) else { return Ok(None) };
    let mut best: Option<Refined> = None;
    let mut point = parameters.to_vec();
    for evaluations in 1..=MAX_STEPS as u64 {
        let evaluation = evaluate(&point)?;
        let step = metric.solve(&evaluation.gradient);
        let delta = root(rows * dot(&step, &evaluation.gradient));
        let before = best.as_ref().map_or(f64::INFINITY, |best| best.delta);
        if let Some(best) = &mut best {
            best.evaluations = evaluations;
        }
        if delta < before {
            best = Some(Refined { parameters: point.clone(), evaluation, delta, evaluations });
        }
        if !improve || delta == 0.0 || delta.is_nan() || delta > 0.5 * before {
            break; // exact, or at the rounding of f64
        }
        for (q, step) in point.iter_mut().zip(&step) {
            *q -= step;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minimum of `(q - 1/3)^2 + (q - 1/3)^4`, with a Hessian that is wrong by a thousandth.
    #[test]
    fn a_rough_hessian_and_an_exact_gradient_reach_the_last_digit() {
        let hessian = Symmetric::from_lower(1, |_, _| 2.002);
        let evaluate = |q: &[f64]| {
            let x = q[0] - 1.0 / 3.0;
            Ok(Evaluation {
                value: x * x + x.powi(4),
                gradient: vec![2.0 * x + 4.0 * x.powi(3)],
                diagonal: None,
                hessian: None,
            })
        };
        let refined = refine(&[0.334], &hessian, 1.0, true, evaluate).expect("nothing fails").expect("it is definite");
        assert!((refined.parameters[0] - 1.0 / 3.0).abs() <= 1e-16);
        assert!(refined.evaluations > 3);
        let looked = refine(&[0.334], &hessian, 1.0, false, evaluate).expect("nothing fails").expect("it is definite");
        assert_eq!((looked.parameters, looked.evaluations), (vec![0.334], 1));
    }

    /// `q^2 / 2` with a Hessian of which each step goes so far beyond the minimum.
    fn overshooting(hessian: f64, evaluate: impl Fn(f64) -> f64) -> Refined {
        let hessian = Symmetric::from_lower(1, |_, _| hessian);
        let evaluate = |q: &[f64]| {
            let gradient = vec![evaluate(q[0])];
            Ok(Evaluation { value: 0.5 * q[0] * q[0], gradient, diagonal: None, hessian: None })
        };
        refine(&[1.0], &hessian, 4.0, true, evaluate).expect("nothing fails").expect("it is definite")
    }

    #[test]
    fn a_step_that_leads_further_away_is_not_kept() {
        // Each step multiplies the distance by -1.5.
        let refined = overshooting(0.4, |q| q);
        assert_eq!((refined.parameters, refined.evaluations), (vec![1.0], 2));
        assert_eq!(refined.evaluation.gradient, [1.0]);
        // sqrt(N g^2 / h) of the point that is kept.
        assert!((refined.delta - (4.0_f64 / 0.4).sqrt()).abs() <= 1e-12, "{}", refined.delta);
        // By -0.8: not worth another step, and still nearer.
        let refined = overshooting(1.0 / 1.8, |q| q);
        assert!((refined.parameters[0] + 0.8).abs() <= 1e-12 && refined.evaluations == 2, "{refined:?}");
        assert!((refined.evaluation.gradient[0] + 0.8).abs() <= 1e-12);
    }

    #[test]
    fn a_point_that_cannot_be_evaluated_is_not_kept() {
        let refined = overshooting(0.8, |q| if q > 0.9 { q } else { f64::NAN });
        assert_eq!((refined.parameters, refined.evaluation.gradient), (vec![1.0], vec![1.0]));
        assert!(refined.delta > 1.0);
    }
}
