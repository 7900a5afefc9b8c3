//! Nonlinear conjugate gradient.

use crate::error::Result;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective, round_step};
use crate::solve::line_search::{ACCEPTABLE, search};
use crate::solve::preconditioner::Preconditioner;
use crate::solve::{Outcome, Settings, Status, dot, largest};

/// Fresh evaluations without the gradient halving before the run counts as stalled.
const MAX_CONFIRMATIONS: u32 = 5;

/// Minimises `objective` from `start` by nonlinear conjugate gradient: Polak-Ribiere+ directions, restarted
/// where they do not descend, and a Newton line search on `phi'` over cached margins.
///
/// # Requirements
/// A smooth convex objective. Well-scaled parameters make it fast; standardised columns are.
///
/// # Cost
/// One pass over the data an iteration when the predicted step is good (its slope at most a quarter of that at
/// 0), two and a few probes otherwise; and one fresh evaluation before convergence is claimed.
///
/// # Reference
/// Gilbert and Nocedal (1992), "Global convergence properties of conjugate gradient methods for optimization",
/// SIAM J. Optim. 2(1), 21-42: PR+, `beta = max(0, g1.(g1 - g) / g.g)`.
pub fn conjugate_gradient(
    objective: &mut dyn Objective,
    start: &[f64],
    settings: Settings,
    monitor: &dyn Monitor,
) -> Result<Outcome> {
    monitor.begin("training", None);
    let mut run = Run {
        here: objective.move_to(start, Need::Gradient)?,
        point: start.to_vec(),
        preconditioner: Preconditioner::None,
        previous: None,
        curvature: 0.25,
        fresh: true,
        best_fresh: f64::INFINITY,
        unimproved: 0,
        iterations: 0,
    };
    let status = loop {
        monitor.check()?;
        monitor.say(&format!(
            "iteration {}, gradient {:.1e}, {} passes",
            run.iterations,
            largest(&run.here.gradient),
            objective.passes().data
        ));
        if let Some(status) = run.step(objective, settings)? {
            break status;
        }
    };
    monitor.end();
    Ok(Outcome {
        parameters: run.point,
        value: run.here.value,
        gradient: run.here.gradient,
        status,
        iterations: run.iterations,
        passes: objective.passes(),
    })
}

/// The direction of the last iteration, and what the next one needs of it.
struct Previous {
    direction: Vec<f64>,
    gradient: Vec<f64>,
    preconditioned: Vec<f64>,
}

/// The state between iterations.
struct Run {
    point: Vec<f64>,
    here: Evaluation,
    preconditioner: Preconditioner,
    previous: Option<Previous>,
    /// Curvature along the last direction by its square, `p'Hp / p'p`: predicts the next step. At first 1/4,
    /// the most that a standardised column alone can have.
    curvature: f64,
    /// `here` was evaluated afresh, not from margins that were carried along.
    fresh: bool,
    best_fresh: f64,
    /// Fresh evaluations since the gradient last halved.
    unimproved: u32,
    iterations: u64,
}

impl Run {
    /// One iteration, or the status that ends the run.
    fn step(&mut self, objective: &mut dyn Objective, settings: Settings) -> Result<Option<Status>> {
        if !self.here.is_finite() {
            return Ok(Some(Status::NonFinite));
        }
        if largest(&self.here.gradient) <= settings.gradient_tolerance {
            return if self.fresh { Ok(Some(Status::Converged)) } else { self.refresh(objective) };
        }
        if self.iterations >= settings.max_iterations {
            return Ok(Some(Status::MaxIterations));
        }
        self.iterations += 1;
        let preconditioned = self.preconditioner.apply(&self.here.gradient);
        let mut direction = self.direction(&preconditioned);
        let predicted = {
            let length = dot(&direction, &direction);
            round_step(-dot(&self.here.gradient, &direction) / (self.curvature * length))
        };
        let mut line = objective.line(&mut direction, predicted)?;
        // The direction came back as the device rounded it.
        let slope = dot(&self.here.gradient, &direction);
        let first = line.first();
        let found =
            if first.slope.abs() <= ACCEPTABLE * slope.abs() { Some(first) } else { search(&mut *line, slope)? };
        let Some(probe) = found else {
            drop(line);
            // Margins that were carried along may have drifted; afresh, a failure is a failure.
            return if self.fresh { Ok(Some(Status::LineSearchFailed)) } else { self.refresh(objective) };
        };
        let next = line.accept(probe.step, Need::Gradient)?;
        self.fresh = false;
        for (q, p) in self.point.iter_mut().zip(&direction) {
            *q += probe.step * p;
        }
        let curvature = probe.curvature / dot(&direction, &direction);
        if curvature.is_finite() && curvature > 0.0 {
            self.curvature = curvature;
        }
        let gradient = std::mem::replace(&mut self.here, next).gradient;
        self.previous = Some(Previous { direction, gradient, preconditioned });
        Ok(None)
    }

    /// `-M^-1 g + beta p`, or `-M^-1 g` where that does not descend.
    fn direction(&self, preconditioned: &[f64]) -> Vec<f64> {
        let steepest = || preconditioned.iter().map(|g| -g).collect::<Vec<f64>>();
        let Some(previous) = &self.previous else { return steepest() };
        let gradient = &self.here.gradient;
        let change: f64 = dot(preconditioned, gradient) - dot(preconditioned, &previous.gradient);
        let beta = (change / dot(&previous.preconditioned, &previous.gradient)).max(0.0);
        let direction: Vec<f64> = preconditioned.iter().zip(&previous.direction).map(|(g, p)| beta * p - g).collect();
        if dot(gradient, &direction) < 0.0 { direction } else { steepest() }
    }

    /// Evaluates afresh where the run stands and starts over from there.
    fn refresh(&mut self, objective: &mut dyn Objective) -> Result<Option<Status>> {
        self.here = objective.move_to(&self.point, Need::Gradient)?;
        self.fresh = true;
        self.previous = None;
        let norm = largest(&self.here.gradient);
        if norm <= 0.5 * self.best_fresh {
            self.best_fresh = norm;
            self.unimproved = 0;
        } else {
            self.unimproved += 1;
        }
        Ok((self.unimproved >= MAX_CONFIRMATIONS).then_some(Status::Stalled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;
    use crate::objective::{Line, Passes, Probe};

    /// `sum_j c_j (cosh(q_j - j) - 1)`: convex, far from quadratic, minimum at `q_j = j`.
    struct Cosh {
        scales: Vec<f64>,
        point: Vec<f64>,
        passes: Passes,
    }

    impl Cosh {
        fn new(scales: &[f64]) -> Self {
            Self { scales: scales.to_vec(), point: vec![0.0; scales.len()], passes: Passes::default() }
        }

        fn at(&self, point: &[f64]) -> Evaluation {
            let terms = || self.scales.iter().zip(point).enumerate();
            Evaluation {
                value: terms().map(|(j, (c, q))| c * ((q - j as f64).cosh() - 1.0)).sum(),
                gradient: terms().map(|(j, (c, q))| c * (q - j as f64).sinh()).collect(),
                hessian: None,
            }
        }
    }

    impl Objective for Cosh {
        fn dimension(&self) -> usize {
            self.scales.len()
        }

        fn move_to(&mut self, point: &[f64], _: Need) -> Result<Evaluation> {
            self.passes.data += 1;
            self.point = point.to_vec();
            Ok(self.at(point))
        }

        fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
            self.passes.data += 1;
            Ok(Box::new(CoshLine { first: first_step, direction: direction.to_vec(), on: self }))
        }

        fn passes(&self) -> Passes {
            self.passes
        }
    }

    struct CoshLine<'a> {
        on: &'a mut Cosh,
        direction: Vec<f64>,
        first: f64,
    }

    impl CoshLine<'_> {
        fn at(&self, step: f64) -> (Vec<f64>, Probe) {
            let point: Vec<f64> = self.on.point.iter().zip(&self.direction).map(|(q, p)| q + step * p).collect();
            let here = self.on.at(&point);
            let curvature = self
                .on
                .scales
                .iter()
                .zip(&point)
                .zip(&self.direction)
                .enumerate()
                .map(|(j, ((c, q), p))| c * (q - j as f64).cosh() * p * p)
                .sum();
            let slope = dot(&here.gradient, &self.direction);
            (point, Probe { step, value: here.value, slope, curvature })
        }
    }

    impl Line for CoshLine<'_> {
        fn first(&self) -> Probe {
            self.at(self.first).1
        }

        fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
            Ok(steps.iter().map(|&step| self.at(step).1).collect())
        }

        fn accept(self: Box<Self>, step: f64, _: Need) -> Result<Evaluation> {
            let (point, _) = self.at(step);
            self.on.point = point;
            Ok(self.on.at(&self.on.point))
        }
    }

    #[test]
    fn reaches_the_minimum_and_says_so() {
        let mut objective = Cosh::new(&[1.0, 3.0, 0.2, 5.0]);
        let outcome =
            conjugate_gradient(&mut objective, &[0.0; 4], Settings::default(), &Silent).expect("nothing fails");
        assert_eq!(outcome.status, Status::Converged);
        for (j, q) in outcome.parameters.iter().enumerate() {
            assert!((q - j as f64).abs() <= 1e-6, "{:?}", outcome.parameters);
        }
    }

    #[test]
    fn running_out_of_iterations_is_no_convergence() {
        let mut objective = Cosh::new(&[1.0, 3.0, 0.2, 5.0]);
        let settings = Settings { max_iterations: 2, ..Settings::default() };
        let outcome = conjugate_gradient(&mut objective, &[0.0; 4], settings, &Silent).expect("nothing fails");
        assert_eq!((outcome.status, outcome.iterations), (Status::MaxIterations, 2));
    }

    #[test]
    fn a_value_that_is_not_finite_ends_the_run() {
        let mut objective = Cosh::new(&[1.0, f64::NAN]);
        let outcome =
            conjugate_gradient(&mut objective, &[0.0; 2], Settings::default(), &Silent).expect("nothing fails");
        assert_eq!(outcome.status, Status::NonFinite);
    }
}
