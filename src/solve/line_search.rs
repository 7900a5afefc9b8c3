//! The line search: safeguarded Newton on `phi'`, over cached margins.
//!
//! A mean loss in f32 cannot resolve what is left to gain near the optimum, but its derivative can, and
//! for a convex function the derivative is enough: `phi' < 0` left of the minimum and `> 0` right of it. So
//! only slopes are compared, never values. The bracket and Newton's step with bisection as a safeguard are
//! textbook (Press et al., *Numerical Recipes*, section 9.4, `rtsafe`).

use crate::error::Result;
use crate::objective::{Line, Probe, round_step};

/// The slope that ends a search, as a fraction of the slope at 0.
const ENOUGH: f64 = 1e-3;
/// The slope that a step must reach to be taken at all, as a fraction of the slope at 0.
pub(super) const ACCEPTABLE: f64 = 0.25;
/// Probes at most.
const MAX_PROBES: usize = 20;
/// How far one step beyond the bracket may reach.
const EXPANSION: f64 = 10.0;

/// What came of a line: the probe to accept, and whether it is the predicted step, which costs nothing more.
pub(super) struct Taken {
    pub(super) probe: Probe,
    pub(super) as_predicted: bool,
    /// `phi'(0)`.
    pub(super) slope: f64,
    /// All probes, in the order in which they were made; the first is the predicted step.
    pub(super) tried: Vec<Probe>,
}

/// The slopes of a step that is taken, as fractions of that at 0: before the minimum, and beyond it.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    pub(super) below: f64,
    pub(super) above: f64,
}

impl Enough {
    /// The same on either side.
    pub(super) const fn either(share: f64) -> Self {
        Self { below: share, above: share }
    }

    fn is_met_by(self, slope: f64, slope_at_0: f64) -> bool {
        let Self { below, above } = self;
        -below * slope_at_0.abs() <= slope && slope <= above * slope_at_0.abs()
    }
}

/// Takes the first step of the line if its slope is `enough` of `slope`, that at 0, and searches otherwise. `None` if no
/// step is acceptable.
pub(super) fn first_or_search(line: &mut dyn Line, slope: f64, enough: Enough) -> Result<Option<Taken>> {
    let first = line.first();
    if enough.is_met_by(first.slope, slope) {
        return Ok(Some(Taken { probe: first, as_predicted: true, slope, tried: vec![first] }));
    }
    let mut tried = Vec::new();
    Ok(search(line, slope, &mut tried)?.map(|probe| Taken { probe, as_predicted: false, slope, tried }))
}

/// Searches the line for a step where the slope vanishes. `slope` is `phi'(0)`, negative. Gives the best probe
/// if its slope is acceptable, and leaves all of them in `tried`.
fn search(line: &mut dyn Line, slope: f64, tried: &mut Vec<Probe>) -> Result<Option<Probe>> {
    let mut low = 0.0;
    let mut high = f64::INFINITY;
    let mut best: Option<Probe> = None;
    let mut here = line.first();
    let mut last_slope = f64::INFINITY;
    for _ in 0..MAX_PROBES {
        tried.push(here);
        if here.slope.is_finite() && here.curvature.is_finite() {
            let before = best.map_or(f64::INFINITY, |best| best.slope.abs());
            if here.slope.abs() < before {
                best = Some(here);
            }
            // A step that will do is made better while that halves its slope: below the rounding of the slope it does not.
            let is_idle = before <= ACCEPTABLE * slope.abs() && here.slope.abs() > 0.5 * before;
            if here.slope.abs() <= ENOUGH * slope.abs() || is_idle {
                break;
            }
            if here.slope < 0.0 {
                low = here.step;
            } else {
                high = here.step;
            }
        } else {
            high = here.step; // too far for the arithmetic
        }
        let newton = here.step - here.slope / here.curvature;
        // Newton's step must keep halving the slope, and where the line rises steeper than it fell at 0 it may take
        // long to come back; inside a bracket bisection is the way out.
        let slow = high.is_finite() && (here.slope.abs() > 0.5 * last_slope || here.slope > slope.abs());
        last_slope = here.slope.abs();
        let next = if newton > low && newton < high && newton.is_finite() && !slow {
            if high.is_finite() { newton } else { newton.min(EXPANSION * low.max(here.step)) }
        } else if high.is_finite() {
            0.5 * (low + high)
        } else {
            EXPANSION * low
        };
        let next = round_step(next);
        if next <= low || next >= high || !next.is_finite() {
            break; // the bracket is as narrow as f32 steps get
        }
        here = line.probe(&[next])?[0];
    }
    Ok(best.filter(|best| best.slope.abs() <= ACCEPTABLE * slope.abs() && best.step > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Evaluation, Need};

    /// `phi'(a)` and `phi''(a)` given; counts its probes.
    struct Given<F: Fn(f64) -> (f64, f64)> {
        function: F,
        first: f64,
        probes: usize,
    }

    impl<F: Fn(f64) -> (f64, f64)> Given<F> {
        fn at(&self, step: f64) -> Probe {
            let (slope, curvature) = (self.function)(step);
            Probe { step, value: f64::NAN, slope, curvature }
        }
    }

    impl<F: Fn(f64) -> (f64, f64)> Line for Given<F> {
        fn first(&self) -> Probe {
            self.at(self.first)
        }

        fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
            self.probes += steps.len();
            Ok(steps.iter().map(|&step| self.at(step)).collect())
        }

        fn accept(self: Box<Self>, _: f64, _: Need) -> Result<Evaluation> {
            unreachable!("a search does not accept")
        }
    }

    #[test]
    fn finds_the_root_from_either_side() {
        // phi'(a) = sigmoid(a - 3) - 1/2 saturates on both sides of its root 3.
        let function = |a: f64| {
            let l = crate::logistic::sigmoid(a - 3.0);
            (l - 0.5, l * (1.0 - l))
        };
        for first in [1e-3, 1.0, 3.0, 40.0, 1e4] {
            let mut line = Given { function, first, probes: 0 };
            let mut tried = Vec::new();
            let probe = search(&mut line, function(0.0).0, &mut tried)
                .expect("no device can fail here")
                .expect("there is a root");
            assert!(probe.slope.abs() <= ENOUGH * function(0.0).0.abs(), "from {first}: {probe:?}");
            assert!(line.probes < MAX_PROBES, "from {first}: {} probes", line.probes);
            // What is told is what was asked of the line, no probe more.
            assert_eq!((tried.len(), tried[0].step), (line.probes + 1, first));
            assert!(tried.iter().any(|tried| tried.step.to_bits() == probe.step.to_bits()), "{tried:?}");
        }
    }

    /// A slope that is rounded at a hundredth of what it was at 0: the search ends where it comes no nearer.
    #[test]
    fn a_search_ends_at_the_rounding_of_the_slope() {
        let calls = std::cell::Cell::new(0);
        let function = |a: f64| {
            calls.set(calls.get() + 1);
            let noise = if calls.get() % 2 == 0 { 0.01 } else { -0.01 };
            (a - 1.0 + noise, 1.0)
        };
        for first in [0.5, 1.0, 1.2] {
            let mut line = Given { function, first, probes: 0 };
            let mut tried = Vec::new();
            let probe = search(&mut line, -1.0, &mut tried).expect("no device can fail here").expect("there is a root");
            assert!((probe.step - 1.0).abs() <= 0.05 && tried.len() <= 4, "from {first}: {tried:?}");
        }
    }

    #[test]
    fn a_line_without_a_root_fails_and_so_does_nan() {
        let mut falling = Given { function: |_| (-1.0, 0.0), first: 1.0, probes: 0 };
        assert!(search(&mut falling, -1.0, &mut Vec::new()).expect("no device can fail here").is_none());
        let mut broken = Given { function: |_| (f64::NAN, f64::NAN), first: 1.0, probes: 0 };
        assert!(search(&mut broken, -1.0, &mut Vec::new()).expect("no device can fail here").is_none());
        assert!(broken.probes <= MAX_PROBES);
    }

    /// Steps are those of f32 on every device: a minimum beyond them, on either side, ends the search and is no step.
    #[test]
    fn steps_beyond_f32_are_not_tried() {
        for (minimum, first) in [(1e39_f64, 1.0), (1e300, 1e38), (1e-46, 1e-44), (1e-60, 1e-45)] {
            let function = |a: f64| ((a / minimum).ln_1p() - std::f64::consts::LN_2, 1.0 / (a + minimum));
            let mut line = Given { function, first: round_step(first), probes: 0 };
            let mut tried = Vec::new();
            let taken = search(&mut line, function(0.0).0, &mut tried).expect("no device can fail here");
            for probe in &tried {
                let step = probe.step;
                assert!(step > 0.0 && step.is_finite(), "{minimum:e}: a step of {step:e}");
                assert_eq!(step.to_bits(), f64::from(step as f32).to_bits(), "{minimum:e}: a step of {step:e}");
            }
            // Of what was tried the best may do, if its slope is flat enough.
            let steps: Vec<f64> = tried.iter().map(|probe| probe.step).collect();
            assert!(taken.is_none_or(|taken| taken.slope.abs() <= ACCEPTABLE * function(0.0).0.abs()), "{steps:?}");
            assert!(tried.len() <= MAX_PROBES);
        }
    }

    #[test]
    fn a_step_between_those_of_f32_is_rounded_before_it_is_tried() {
        // The root 1/3 is no f32, and Newton's method would hit it at once.
        let function = |a: f64| (3.0 * a - 1.0, 3.0);
        let mut line = Given { function, first: 0.5, probes: 0 };
        let mut tried = Vec::new();
        let taken = search(&mut line, -1.0, &mut tried).expect("no device can fail here").expect("there is a root");
        assert_eq!(taken.step.to_bits(), f64::from(1.0_f32 / 3.0).to_bits());
        assert_eq!((tried.len(), line.probes), (2, 1));
    }
}
