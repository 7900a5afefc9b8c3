//! Nonlinear conjugate gradient.

use crate::error::Result;
use crate::objective::{Need, Objective, round_step};
use crate::solve::descent::{Descent, Method, Progress, descend};
use crate::solve::line_search::{ACCEPTABLE, Enough, Taken, first_or_search};
use crate::solve::preconditioner::{Choice, Preconditioner};
use crate::solve::{Company, Outcome, Settings, Start, dot, lbfgs};

/// The slope at the predicted step, as a fraction of that at 0, up to which the Hessian is taken to be still right. A
/// refresh costs a pass and then gains more than one where 0.1 is exceeded: with 0.25 a table with one positive in a
/// thousand took three passes more, the others as many.
const SPECULATION: f64 = 0.1;

/// `g'M^-1 g`, which is the mean of `S dz^2` over the changes `dz` of the margins to the optimum, below which an
/// approximate Hessian there is nearly the one here: a weighted root mean square of 0.1.
const NEARLY_THE_SAME: f64 = 0.01;

/// Minimises `objective` by preconditioned nonlinear conjugate gradient with a Newton line search on `phi'` over cached
/// margins.
///
/// With the Cholesky factor of the Hessian as preconditioner the direction is Hager and Zhang's, and the factor is
/// refreshed, at no extra pass, whenever a predicted step had to be searched for: that is when the Hessian has
/// moved. Without a preconditioner, or with a diagonal one, it is Polak-Ribiere+. With [`Settings::rent`] it begins as L-BFGS,
/// without a Hessian.
///
/// # Requirements
/// A smooth convex objective that stands at `start`.
///
/// # Cost
/// One pass over the data an iteration when the predicted step is good (its slope at most a quarter of that at
/// 0, a tenth with the Hessian), two and a few probes otherwise; and one fresh evaluation before convergence is claimed.
///
/// # References
/// Hager and Zhang (2005), "A new conjugate gradient method with guaranteed descent and an efficient line search",
/// SIAM J. Optim. 16(1), 170-192, eq. 1.3, with `M^-1` in the inner products. Gilbert and Nocedal (1992), "Global
/// convergence properties of conjugate gradient methods for optimization", SIAM J. Optim. 2(1), 21-42: PR+.
pub fn conjugate_gradient(
    objective: &mut dyn Objective,
    start: Start,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Outcome> {
    match settings.rent {
        None => {
            let at = Descent::new(start, settings, settings.preconditioner == Choice::Hessian);
            descend(objective, settings, company, Run::new(at, settings))
        }
        Some(rent) => {
            let renting = lbfgs::Run::new(start, settings, Choice::None);
            descend(objective, settings, company, Rented { renting: Some(renting), bought: None, rent })
        }
    }
}

/// Does without a Hessian, as L-BFGS, until the passes that this took have cost as much as the Hessian does; takes it then.
///
/// With a penalty many tables need fewer passes than that, and which ones do nobody knows before. Whoever rents until the
/// rent has cost what buying costs pays at most twice what the better of the two would have.
///
/// # Reference
/// Karlin, Manasse, Rudolph and Sleator (1988), "Competitive snoopy caching", Algorithmica 3, 79-119.
struct Rented {
    renting: Option<lbfgs::Run>,
    bought: Option<Run>,
    /// Passes over the data.
    rent: u64,
}

impl Method for Rented {
    fn descent(&mut self) -> &mut Descent {
        match (&mut self.renting, &mut self.bought) {
            (_, Some(run)) => run.descent(),
            (Some(run), None) => run.descent(),
            (None, None) => unreachable!("one of them is there"),
        }
    }

    fn refresh(&mut self, settings: &Settings) {
        if let Some(run) = &mut self.bought {
            run.refresh(settings);
        }
    }

    fn iterate(&mut self, objective: &mut dyn Objective, settings: &Settings) -> Result<Progress> {
        if let Some(run) = &mut self.renting {
            if objective.passes().data < self.rent {
                return run.iterate(objective, settings);
            }
            run.at.take_hessian(objective)?;
        }
        if let Some(run) = self.renting.take() {
            self.bought = Some(Run::new(run.at, settings));
        }
        self.bought.as_mut().expect("it was taken just now, or before").iterate(objective, settings)
    }
}

/// The direction of the last iteration, and what the next one needs of it.
struct Previous {
    direction: Vec<f64>,
    gradient: Vec<f64>,
    /// `M^-1 g`.
    preconditioned: Vec<f64>,
    step: f64,
}

/// The state between iterations.
struct Run {
    at: Descent,
    preconditioner: Preconditioner,
    previous: Option<Previous>,
    /// `(M^-1 g)'H(M^-1 g) / g.M^-1 g` as last measured: 1 for the Hessian itself. At first 1/4, the most that a
    /// standardised column alone can have.
    curvature: f64,
    was_measured: bool,
}

impl Method for Run {
    fn descent(&mut self) -> &mut Descent {
        &mut self.at
    }

    /// Starts over: the Hessian, where there is one, gives the preconditioner and the curvature along the gradient.
    fn refresh(&mut self, settings: &Settings) {
        self.previous = None;
        let Some(preconditioner) = self.at.preconditioner(settings.preconditioner) else { return };
        self.preconditioner = preconditioner;
        let Some(hessian) = &self.at.here.hessian else { return };
        // An approximation says of itself that it is exact; what was measured along the last step says more.
        if settings.approximate && self.was_measured {
            return;
        }
        let gradient = &self.at.here.gradient;
        let step = self.preconditioner.apply(gradient);
        let curvature = dot(&step, &hessian.times(&step)) / dot(&step, gradient);
        if curvature > 0.0 && curvature.is_finite() {
            self.curvature = curvature;
        }
    }

    /// One iteration.
    fn iterate(&mut self, objective: &mut dyn Objective, settings: &Settings) -> Result<Progress> {
        let gradient = self.at.here.gradient.clone();
        let preconditioned = self.preconditioner.apply(&gradient);
        let decrement = dot(&gradient, &preconditioned);
        let (mut direction, beta) = self.direction(&gradient, &preconditioned);
        // p'Hp by parts: along the gradient as last measured, along the last direction from the change of gradient.
        let predicted_curvature = self.curvature * decrement + self.shared_curvature(&gradient, &preconditioned, beta);
        let predicted = round_step(-dot(&gradient, &direction) / predicted_curvature);
        let predicted = if predicted > 0.0 && predicted.is_finite() { predicted } else { 1.0 };
        let mut line = objective.line(&mut direction, predicted)?;
        // The direction came back as the device rounded it.
        let slope = dot(&gradient, &direction);
        // A bound is the same matrix wherever it is taken, and so nearly is an approximation near the end: nothing is gained
        // by taking it again, and conjugacy is lost.
        let is_near = if settings.approximate {
            decrement < NEARLY_THE_SAME
        } else {
            // Within the tolerance the Hessian is the same, and what rejects a prediction is rounding.
            settings.rows * decrement < settings.tolerance * settings.tolerance
        };
        let may_refresh = settings.preconditioner == Choice::Hessian && !is_near;
        let enough = if may_refresh { SPECULATION } else { ACCEPTABLE };
        // Where a Newton step within the tolerance fails, rounding is the reason: a search would find nothing else.
        let is_newton = settings.preconditioner == Choice::Hessian && !settings.approximate && settings.is_f32();
        let is_rounding = is_newton && is_near && line.first().slope.abs() > ACCEPTABLE * slope.abs();
        let taken = if is_rounding { None } else { first_or_search(&mut *line, slope, Enough::either(enough))? };
        let Some(taken) = taken else {
            return Ok(Progress::LineSearchFailed);
        };
        let Taken { probe, as_predicted, .. } = taken;
        let refreshes = !as_predicted && may_refresh;
        let here = line.accept(probe.step, if refreshes { Need::Hessian } else { Need::Gradient })?;
        self.at.take(here, &direction, probe.step);
        let measured = (probe.curvature - self.shared_curvature(&gradient, &preconditioned, beta)) / decrement;
        if measured > 0.0 && measured.is_finite() {
            (self.curvature, self.was_measured) = (measured, true);
        }
        if refreshes {
            self.refresh(settings);
        } else {
            self.previous = Some(Previous { direction, gradient, preconditioned, step: probe.step });
        }
        Ok(Progress::Moved(taken))
    }
}

impl Run {
    fn new(at: Descent, settings: &Settings) -> Self {
        let preconditioner = Preconditioner::None;
        let mut run = Self { at, preconditioner, previous: None, curvature: 0.25, was_measured: false };
        run.refresh(settings);
        run
    }

    /// `-M^-1 g + beta p`, and beta; 0 where the direction would not descend.
    fn direction(&self, gradient: &[f64], preconditioned: &[f64]) -> (Vec<f64>, f64) {
        let steepest = || (preconditioned.iter().map(|g| -g).collect::<Vec<f64>>(), 0.0);
        let Some(previous) = &self.previous else { return steepest() };
        let change: Vec<f64> = gradient.iter().zip(&previous.gradient).map(|(g, old)| g - old).collect();
        let beta = match &self.preconditioner {
            Preconditioner::Factor(_) => {
                let preconditioned_change: Vec<f64> =
                    preconditioned.iter().zip(&previous.preconditioned).map(|(g, old)| g - old).collect();
                let along = dot(&change, &previous.direction);
                let beta = (dot(&change, preconditioned)
                    - 2.0 * dot(&change, &preconditioned_change) * dot(&previous.direction, gradient) / along)
                    / along;
                if along > 0.0 { beta } else { 0.0 }
            }
            Preconditioner::None | Preconditioner::Diagonal(_) => {
                (dot(&change, preconditioned) / dot(&previous.gradient, &previous.preconditioned)).max(0.0)
            }
        };
        let direction: Vec<f64> = preconditioned.iter().zip(&previous.direction).map(|(g, p)| beta * p - g).collect();
        if beta.is_finite() && dot(gradient, &direction) < 0.0 { (direction, beta) } else { steepest() }
    }

    /// What the last direction adds to `p'Hp`: `-2 beta (M^-1 g)'H p + beta^2 p'H p`, with `H p = y / a` from the
    /// change `y` of the gradient over the step `a`.
    fn shared_curvature(&self, gradient: &[f64], preconditioned: &[f64], beta: f64) -> f64 {
        let Some(previous) = &self.previous else { return 0.0 };
        if beta == 0.0 {
            return 0.0;
        }
        let change: Vec<f64> =
            gradient.iter().zip(&previous.gradient).map(|(g, old)| (g - old) / previous.step).collect();
        beta * (beta * dot(&previous.direction, &change) - 2.0 * dot(preconditioned, &change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Symmetric;
    use crate::monitor::Silent;
    use crate::objective::{Evaluation, Line, Passes, Probe};
    use crate::solve::{Certain, Status, gradient_descent, lbfgs, newton};

    /// `sum_j c_j (cosh(q_j - j) - 1)`: convex, far from quadratic, minimum at `q_j = j`.
    struct Cosh {
        scales: Vec<f64>,
        point: Vec<f64>,
        passes: Passes,
        /// Error of a gradient that is carried along, now this way and now that.
        noise: f64,
    }

    impl Cosh {
        fn new(scales: &[f64]) -> Self {
            Self { scales: scales.to_vec(), point: vec![0.0; scales.len()], passes: Passes::default(), noise: 0.0 }
        }

        fn at(&self, point: &[f64]) -> Evaluation {
            let terms = || self.scales.iter().zip(point).enumerate();
            Evaluation {
                value: terms().map(|(j, (c, q))| c * ((q - j as f64).cosh() - 1.0)).sum(),
                gradient: terms().map(|(j, (c, q))| c * (q - j as f64).sinh()).collect(),
                diagonal: None,
                hessian: Some(Symmetric::from_lower(point.len(), |i, j| {
                    if i == j { self.scales[i] * (point[i] - i as f64).cosh() } else { 0.0 }
                })),
            }
        }
    }

    impl Objective for Cosh {
        fn dimension(&self) -> usize {
            self.scales.len()
        }

        fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
            self.passes.data += 1;
            self.point = point.to_vec();
            let here = self.at(point);
            Ok(Evaluation { hessian: here.hessian.filter(|_| need == Need::Hessian), ..here })
        }

        fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
            self.passes.data += 1;
            Ok(Box::new(CoshLine { first: first_step, direction: direction.to_vec(), on: self }))
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            unreachable!("no solver asks for it")
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

        fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
            let (point, _) = self.at(step);
            let mut here = self.on.move_to(&point, need)?;
            self.on.noise = -self.on.noise;
            // Across the direction, so that the line search sees nothing of it.
            let share = self.direction.iter().sum::<f64>() / dot(&self.direction, &self.direction);
            for (g, p) in here.gradient.iter_mut().zip(&self.direction) {
                *g += self.on.noise * (1.0 - share * p);
            }
            Ok(here)
        }
    }

    /// A reach of 1: the curvature of cosh changes by a factor of `exp(|dq|)` at most.
    fn settings() -> Settings {
        Settings::new(1, vec![1.0; 4])
    }

    type Solver = fn(&mut dyn Objective, Start, &Settings, &mut Company<'_, '_>) -> Result<Outcome>;

    fn run(solver: Solver, objective: &mut Cosh, start: Start, settings: &Settings) -> Outcome {
        let mut company = Company { monitor: &Silent, history: &mut |_| {}, existence: &mut Certain };
        solver(objective, start, settings, &mut company).expect("nothing fails")
    }

    fn solve(solver: Solver, scales: &[f64], settings: &Settings) -> Outcome {
        solve_from(vec![0.0; scales.len()], solver, scales, settings)
    }

    fn solve_from(point: Vec<f64>, solver: Solver, scales: &[f64], settings: &Settings) -> Outcome {
        let mut objective = Cosh::new(scales);
        let evaluation = objective.move_to(&point, Need::Hessian).expect("nothing fails");
        run(solver, &mut objective, Start { point, evaluation }, settings)
    }

    #[test]
    fn every_method_reaches_the_minimum_and_says_so() {
        for preconditioner in [Choice::None, Choice::Diagonal, Choice::Hessian] {
            let settings = Settings { preconditioner, tolerance: 1e-6, goal: 1e-6, ..settings() };
            for solver in [conjugate_gradient as Solver, newton, lbfgs, gradient_descent] {
                let outcome = solve(solver, &[1.0, 3.0, 0.2, 5.0], &settings);
                assert_eq!(outcome.status, Status::Converged, "{preconditioner:?}");
                for (j, q) in outcome.parameters.iter().enumerate() {
                    assert!((q - j as f64).abs() <= 1e-5, "{preconditioner:?}: {:?}", outcome.parameters);
                }
            }
        }
    }

    /// Directions that are conjugate to the last ones: a valley takes a fraction of the iterations that its slopes take.
    #[test]
    fn without_a_preconditioner_it_remembers_the_last_direction() {
        let settings = Settings { preconditioner: Choice::None, tolerance: 1e-6, goal: 1e-6, ..settings() };
        let [conjugate, steepest] = [conjugate_gradient as Solver, gradient_descent]
            .map(|solver| solve(solver, &[1.0, 30.0, 1000.0, 0.1], &settings));
        assert_eq!(conjugate.status, Status::Converged);
        assert!(4 * conjugate.iterations < steepest.iterations, "{} {}", conjugate.iterations, steepest.iterations);
    }

    #[test]
    fn a_distance_measured_from_nearby_is_a_bound() {
        let scales = [1.0, 3.0, 0.2, 5.0];
        let mut bounded = 0;
        for tolerance in [1e-1, 1e-2, 1e-3, 1e-4] {
            let settings = Settings { tolerance, goal: tolerance, ..settings() };
            // From where every curvature is larger than at the minimum, by half a percent.
            let outcome = solve_from(vec![0.1, 1.1, 1.9, 3.1], conjugate_gradient, &scales, &settings);
            let here = Cosh::new(&scales).at(&outcome.parameters);
            let step = crate::solve::preconditioner::factor(&here.hessian.expect("it has one")).expect("definite");
            let exact = dot(&step.solve(&here.gradient), &here.gradient).sqrt();
            let delta = outcome.delta.expect("a Hessian was at hand");
            assert!(exact <= delta * (1.0 + 1e-9) && delta <= tolerance, "{exact:e} of at most {delta:e}");
            bounded += u32::from(outcome.hessian.is_none());
        }
        assert!(bounded >= 2, "only {bounded} runs ended without a Hessian of their own");
    }

    /// The goal lies below the errors of what is carried along: the run must still find out that it is near enough.
    #[test]
    fn errors_of_what_is_carried_along_do_not_keep_a_run_from_its_end() {
        let scales = [1.0, 3.0, 0.2, 5.0];
        for solver in [conjugate_gradient as Solver, newton, lbfgs, gradient_descent] {
            let settings = Settings { tolerance: 1e-3, goal: 1e-6, ..settings() };
            let mut objective = Cosh { noise: 1e-4, ..Cosh::new(&scales) };
            let point = vec![0.0; 4];
            let evaluation = objective.move_to(&point, Need::Hessian).expect("nothing fails");
            let outcome = run(solver, &mut objective, Start { point, evaluation }, &settings);
            assert_eq!(outcome.status, Status::Converged, "after {} iterations", outcome.iterations);
            assert!(outcome.iterations < 100, "{} iterations", outcome.iterations);
        }
    }

    #[test]
    fn whoever_wants_the_hessian_gets_it() {
        let settings = Settings { hessian_at_end: true, ..settings() };
        assert!(solve(conjugate_gradient, &[1.0, 3.0, 0.2, 5.0], &settings).hessian.is_some());
    }

    #[test]
    fn running_out_of_iterations_is_no_convergence() {
        let settings = Settings { max_iterations: 2, ..settings() };
        let outcome = solve(conjugate_gradient, &[1.0, 3.0, 0.2, 5.0], &settings);
        assert_eq!((outcome.status, outcome.iterations), (Status::MaxIterations, 2));
    }

    #[test]
    fn a_value_that_is_not_finite_ends_the_run() {
        let outcome = solve(conjugate_gradient, &[1.0, f64::NAN], &Settings::new(1, vec![1.0; 2]));
        assert_eq!(outcome.status, Status::NonFinite);
    }
}
