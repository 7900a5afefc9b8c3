//! When to stop, for every solver alike.
//!
//! The measure is `delta = sqrt(N g'M^-1 g)`, the Newton decrement in units of standard errors: with `M` the Hessian
//! of the mean loss, `M^-1 / N` is the covariance of the estimates, so no linear combination of the coefficients is
//! further than `delta` of its own standard errors from the optimum (to second order). It does not depend on the
//! scale of anything, where a gradient tolerance does: at |g| <= 1e-5 the error was seen anywhere from 5e-6 to 0.8
//! standard errors.
//!
//! `M` need not be taken anew at the end. The weight of a row in the Hessian, `S(z) = L(1 - L)`, changes by a factor of
//! `exp(|dz|)` at most when its margin changes by `dz`, because `|d ln S / dz| = |1 - 2L| <= 1`. So if no margin can have
//! moved by more than `rho` since, `exp(-rho) M <= H <= exp(rho) M`, and `delta` is at most `exp(rho / 2)` times what `M`
//! says.

use std::rc::Rc;

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Need, Objective};
use crate::solve::preconditioner::Metric;
use crate::solve::proof::{DOUBTFUL, PROVED, largest_error};
use crate::solve::separation::MOST_PARAMETERS;
use crate::solve::{Settings, Status, dot, largest, root};

/// Fresh evaluations without `delta` halving before a run ends; of Newton steps one, since that from a fresh evaluation has
/// gained what there is.
const PATIENCE: u32 = 3;

/// A distance that still counts as the limit of the arithmetic; beyond it the run has stalled.
const NEAR: f64 = 0.05;

/// The same for heavy rows, whose standard errors shrink with the root of their weights while the arithmetic resolves the
/// same share of a coefficient.
pub(super) fn near(settings: &Settings) -> f64 {
    NEAR * (settings.rows / settings.count.max(1.0)).sqrt().max(1.0)
}

/// Of the least pivot that proves, the share below which a distance along it is noise.
const LOST: f64 = 1e-3;

/// How far a margin may have moved since the Hessian was taken that still measures the distance: a factor of 1.28.
const DRIFT: f64 = 0.5;

/// Decides whether a point is near enough, and whether the way there proves that a maximum exists.
pub(super) struct StoppingRule {
    settings: Settings,
    /// Fresh evaluations without `delta` halving before the run ends.
    patience: u32,
    /// The factor of the Hessian near the point.
    metric: Option<Rc<Metric>>,
    /// Where that was.
    metric_point: Vec<f64>,
    /// The diagonal of that Hessian.
    diagonal: Vec<f64>,
    /// The intercept's row of the Hessian where it was last evaluated.
    border: Option<Vec<f64>>,
    /// The largest standard error of a row's margin by it, and the sum of the variance inflation factors, once they were
    /// asked for.
    largest_error: Option<f64>,
    inflations: Option<f64>,
    /// The distance was of the order of the smallest standard error of a margin, late in the run.
    is_doubtful: bool,
    /// The distance between the gradient that was carried along and the fresh one at the same point.
    noise: f64,
    best: f64,
    unimproved: u32,
}

impl StoppingRule {
    pub(super) fn new(settings: &Settings, is_newton: bool) -> Self {
        Self {
            settings: settings.clone(),
            patience: if is_newton { 1 } else { PATIENCE },
            metric: None,
            metric_point: Vec::new(),
            diagonal: Vec::new(),
            border: None,
            largest_error: None,
            inflations: None,
            is_doubtful: false,
            noise: 0.0,
            best: f64::INFINITY,
            unimproved: 0,
        }
    }

    /// Takes the Hessian at `point` as the measure of distance.
    pub(super) fn take_metric(&mut self, hessian: &Symmetric, point: &[f64]) {
        self.metric = Metric::new(hessian);
        self.metric_point = point.to_vec();
        self.diagonal = hessian.diagonal();
        (self.largest_error, self.inflations) = (None, None);
    }

    /// What the inverse of the metric says of standard errors, unless that is large and of little use.
    fn measure_errors(&mut self) {
        // A penalised optimum exists whatever they say.
        let needs_none = self.settings.approximate || !self.settings.penalty.is_empty();
        let is_large = needs_none && self.settings.reach.parameters.len() > MOST_PARAMETERS;
        let Some(metric) = self.metric.as_ref().filter(|_| self.largest_error.is_none() && !is_large) else { return };
        let factor = metric.factor();
        let Settings { rows, reach, margins, .. } = &self.settings;
        let inverse = factor.inverse_diagonal();
        self.largest_error = Some(largest_error(factor, &inverse, *rows, reach, *margins));
        let size = (inverse.len() / (*margins).max(1)).max(1);
        let rounded = (0..inverse.len()).filter(|j| self.is_rounded(j % size, size));
        self.inflations = Some(rounded.map(|j| inverse[j] * self.diagonal[j]).sum());
    }

    /// Whether the terms of a parameter of a margin are rounded; an intercept's are where all are.
    fn is_rounded(&self, parameter: usize, size: usize) -> bool {
        let rounded = &self.settings.reach.rounded;
        let is_intercept = self.settings.reach.has_intercept && parameter + 1 == size;
        rounded.get(parameter).copied().unwrap_or(!is_intercept || rounded.iter().all(|rounded| *rounded))
    }

    /// The distance times the largest standard error of a row's margin, at most: below 1 it proves that a maximum exists.
    /// `None` without a Hessian from nearby.
    fn product(&mut self, gradient: &[f64], point: &[f64]) -> Option<f64> {
        let drift = self.drift(point);
        let delta = self.delta(gradient, point).filter(|_| drift <= DRIFT)?;
        self.measure_errors();
        let error = self.largest_error?;
        Some(delta * error * (0.5 * drift).exp())
    }

    /// Whether the run looks as one without a maximum does: asked late in it, and remembered.
    pub(super) fn doubts(&mut self, gradient: &[f64], point: &[f64]) -> bool {
        let is_doubtful = self.product(gradient, point).is_some_and(|product| product.is_nan() || product >= DOUBTFUL);
        self.is_doubtful |= is_doubtful;
        is_doubtful
    }

    /// Whether the run has proved that a maximum exists.
    pub(super) fn proves(&mut self, gradient: &[f64], point: &[f64]) -> bool {
        let least = self.metric.as_ref().map_or(0.0, |metric| metric.factor().least_pivot());
        !self.is_doubtful
            && least > self.settings.least_pivot
            && self.product(gradient, point).is_some_and(|product| product < PROVED)
    }

    /// The most that any margin can have moved between where the metric was taken and `point`.
    fn drift(&self, point: &[f64]) -> f64 {
        let moved = point.iter().zip(&self.metric_point).zip(&self.settings.reach.parameters);
        moved.map(|((q, before), reach)| (q - before).abs() * reach).sum()
    }

    /// `sqrt(N g'H^-1 g)` at `point`: by the curvature of the penalty alone where that is enough or there is no Hessian; by
    /// one at hand, a bound if that was taken near, an estimate if not.
    pub(super) fn delta(&self, gradient: &[f64], point: &[f64]) -> Option<f64> {
        let bound = self.bound(gradient);
        let Some(metric) = &self.metric else { return bound };
        let drift = self.drift(point);
        let is_estimate = self.settings.approximate || drift > DRIFT;
        if let Some(bound) = bound.filter(|bound| is_estimate && *bound <= self.settings.tolerance) {
            return Some(bound);
        }
        let step = metric.solve(gradient);
        let factor = if drift <= DRIFT { (0.5 * drift).exp() } else { 1.0 };
        Some(factor * root(self.settings.rows * dot(&step, gradient)))
    }

    /// What [`StoppingRule::delta`] is at most, whatever the rows are, where every parameter but the intercept is penalised.
    ///
    /// With the intercept's curvature `h` and its row `b` of the Hessian, `g'H^-1 g = g_0^2 / h + r'C^-1 r` for
    /// `r = g - (g_0 / h) b` and the Schur complement C, which is at least the penalty P: the rows add a Schur complement of
    /// their own, and that is positive. So `r'P^-1 r` bounds it. The gap in the objective is half of that, as by Fenchel
    /// and Young.
    fn bound(&self, gradient: &[f64]) -> Option<f64> {
        let Settings { rows, penalty, reach, .. } = &self.settings;
        let (numbers, intercept) = gradient.split_at(gradient.len() - usize::from(reach.has_intercept));
        if penalty.len() < gradient.len().max(1) || penalty[..numbers.len()].iter().any(|l| *l <= 0.0) {
            return None;
        }
        let of_numbers = |rest: &dyn Fn(usize) -> f64| -> f64 {
            numbers.iter().zip(penalty).enumerate().map(|(j, (g, l))| (g - rest(j)).powi(2) / l).sum()
        };
        let square = match intercept.first() {
            None => of_numbers(&|_| 0.0),
            Some(own) => {
                let border = self.border.as_deref().filter(|border| border.len() == gradient.len())?;
                let curvature = border[numbers.len()];
                own * own / curvature + of_numbers(&|j| own / curvature * border[j])
            }
        };
        Some(root(rows * square))
    }

    /// Whether [`StoppingRule::delta`] is a bound whatever the Hessian at hand is worth.
    pub(super) fn is_bounded(&self, gradient: &[f64]) -> bool {
        !self.settings.approximate || self.bound(gradient).is_some_and(|bound| bound <= self.settings.tolerance)
    }

    /// Takes the intercept's row of the Hessian from an evaluation, if it has one.
    pub(super) fn take_border(&mut self, evaluation: &Evaluation) {
        if let Some(diagonal) = &evaluation.diagonal {
            self.border = Some(diagonal.with_intercept.clone());
        } else if let Some(hessian) = evaluation.hessian.as_ref().filter(|_| !self.settings.penalty.is_empty()) {
            let last = hessian.size().saturating_sub(1);
            self.border = Some((0..hessian.size()).map(|j| hessian.get(last, j)).collect());
        }
    }

    /// The factor of the Hessian at hand.
    pub(super) fn metric(&self) -> Option<&Rc<Metric>> {
        self.metric.as_ref()
    }

    /// The distance that the arithmetic alone can make at `point`: by the bias of the device's functions, which every
    /// evaluation repeats, and by the rounding of columns and margins, which is random from row to row.
    ///
    /// With `dz` the rounding of a row's margin and `w` its weight, the gradient of the sum is off by `sum w S x dz`, whose
    /// expected square in standard errors is `p mean(w S dz^2)` for each margin. It is off by `sum w r dx` too, which is
    /// independent from column to column: that adds the variance inflation factors of the columns.
    fn floor(&self, point: &[f64]) -> f64 {
        let Settings { rows, count, bias, rounding, margins, reach, .. } = &self.settings;
        let size = (point.len() / (*margins).max(1)).max(1);
        let of_margin = |(margin, point): (usize, &[f64])| {
            // The intercept's curvature is the mean of S.
            let known = self.diagonal.get((margin + 1) * size - 1).filter(|_| reach.has_intercept);
            let curvature = known.copied().unwrap_or(0.25);
            let rounded = point.iter().enumerate().filter(|(j, _)| self.is_rounded(*j, size));
            size as f64 * curvature * rounded.map(|(_, q)| q * q).sum::<f64>()
        };
        let of_margins: f64 = point.chunks(size).enumerate().map(of_margin).sum();
        let inflations = self.inflations.unwrap_or(point.len() as f64);
        bias + rounding * ((rows / count.max(1.0)) * (of_margins + inflations)).sqrt()
    }

    /// The distance that another evaluation at `point` might show: what was seen between two of them counts twice, since
    /// each has an error of its own.
    pub(super) fn unresolved(&self, point: &[f64]) -> f64 {
        self.floor(point) + 2.0 * self.noise
    }

    /// `converged` is only said of a distance that the arithmetic resolves.
    pub(super) fn resolved(&self, status: Status, gradient: &[f64], point: &[f64]) -> Status {
        let is_claimed = status == Status::Converged && self.settings.gradient_tolerance.is_none();
        let distance = self.delta(gradient, point).unwrap_or(0.0) + self.unresolved(point);
        // A Hessian of f32 sums says nothing of a direction that is lost in their rounding.
        let is_measured =
            self.metric.as_ref().is_none_or(|metric| metric.factor().least_pivot() > LOST * self.settings.least_pivot);
        if is_claimed && (distance > self.settings.tolerance || !is_measured) { Status::F32Limit } else { status }
    }

    /// Whether the gradient, as carried along, looks near enough for a fresh evaluation.
    pub(super) fn is_small(&self, gradient: &[f64], point: &[f64]) -> bool {
        if let Some(tolerance) = self.settings.gradient_tolerance {
            return largest(gradient) <= tolerance;
        }
        // Where the Hessian at hand is from far away, steps down to the penalty's bound cost less than another one.
        let is_far = self.settings.rent.is_some() && self.metric.is_some() && self.drift(point) > DRIFT;
        let known = self.bound(gradient).filter(|_| is_far).or_else(|| self.delta(gradient, point));
        // Without a Hessian: as if every direction had the largest curvature of a single column, 1/4. That is
        // early rather than late, and the confirmation brings the Hessian.
        let delta = known.unwrap_or_else(|| (4.0 * self.settings.rows * dot(gradient, gradient)).sqrt());
        // Going far below what the arithmetic resolves gains nothing.
        let floor = self.floor(point);
        let Settings { goal, tolerance, .. } = self.settings;
        delta <= goal.max(0.5 * floor) && delta <= (tolerance - floor).max(0.5 * tolerance).max(0.5 * floor)
    }

    /// What the evaluation that ends a run must bring: where there may be no maximum, what it takes to prove that there is.
    fn need(&self, gradient: &[f64], point: &[f64]) -> Need {
        let known = self.metric.is_some() && self.drift(point) <= DRIFT;
        let is_bounded = self.bound(gradient).is_some_and(|bound| bound <= self.settings.tolerance);
        // Where the bound has not ended a run that came to its end, as in f32, a Hessian that costs little tells more.
        let has_tried = self.best.is_finite();
        let is_cheap = self.settings.rent.is_some() || point.len() <= MOST_PARAMETERS;
        let does_without = self.metric.is_none() && !(has_tried && is_cheap);
        let needs_none = !self.settings.penalty.is_empty() && (does_without || is_bounded);
        if needs_none && !self.settings.hessian_at_end {
            return Need::Diagonal;
        }
        let is_told_by_gradient = self.settings.gradient_tolerance.is_some() && !self.settings.may_separate;
        if (is_told_by_gradient || known) && !self.settings.hessian_at_end { Need::Gradient } else { Need::Hessian }
    }

    /// Evaluates afresh at `point`, where the run has `gradient`; a status if the run is over there. `is_carried`: that
    /// gradient came from margins that were carried along.
    pub(super) fn confirm(
        &mut self,
        objective: &mut dyn Objective,
        point: &[f64],
        gradient: &[f64],
        is_carried: bool,
    ) -> Result<(Evaluation, Option<Status>)> {
        let evaluation = objective.move_to(point, self.need(gradient, point))?;
        if !evaluation.is_finite() {
            return Ok((evaluation, Some(Status::NonFinite)));
        }
        self.take_border(&evaluation);
        if let Some(hessian) = &evaluation.hessian {
            self.take_metric(hessian, point);
        }
        if let (true, Some(metric)) = (is_carried, &self.metric) {
            let change: Vec<f64> = evaluation.gradient.iter().zip(gradient).map(|(fresh, old)| fresh - old).collect();
            self.noise = root(self.settings.rows * dot(&metric.solve(&change), &change));
        }
        self.measure_errors();
        let status = self.of_fresh(&evaluation.gradient, point);
        Ok((evaluation, status))
    }

    /// The status of a run whose line search failed from a fresh evaluation.
    pub(super) fn of_failure(&self, gradient: &[f64], point: &[f64]) -> Status {
        match self.delta(gradient, point) {
            Some(delta) if delta <= near(&self.settings) => Status::F32Limit,
            _ => Status::LineSearchFailed,
        }
    }

    fn of_fresh(&mut self, gradient: &[f64], point: &[f64]) -> Option<Status> {
        let (distance, near) = if let Some(tolerance) = self.settings.gradient_tolerance {
            if largest(gradient) <= tolerance {
                return Some(Status::Converged);
            }
            (largest(gradient), 0.0)
        } else {
            let delta = self.delta(gradient, point).unwrap_or(f64::INFINITY);
            let (floor, tolerance) = (self.floor(point), self.settings.tolerance);
            if delta + self.unresolved(point) <= tolerance {
                return Some(Status::Converged);
            }
            if delta <= tolerance.max(floor) && floor > 0.5 * tolerance {
                return Some(Status::F32Limit);
            }
            (delta, near(&self.settings))
        };
        if distance <= 0.5 * self.best {
            self.best = distance;
            self.unimproved = 0;
            return None;
        }
        self.unimproved += 1;
        (self.unimproved >= self.patience).then_some(if distance <= near { Status::F32Limit } else { Status::Stalled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Line, Passes};

    /// Always says the same gradient, and the unit matrix as its Hessian.
    struct Says(f64);

    impl Objective for Says {
        fn dimension(&self) -> usize {
            1
        }

        fn move_to(&mut self, _: &[f64], _: Need) -> Result<Evaluation> {
            let hessian = Some(Symmetric::from_lower(1, |_, _| 1.0));
            Ok(Evaluation { value: 0.0, gradient: vec![self.0], diagonal: None, hessian })
        }

        fn line<'a>(&'a mut self, _: &mut [f64], _: f64) -> Result<Box<dyn Line + 'a>> {
            unreachable!("the stopping searches no line")
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            unreachable!("the stopping asks for no bound")
        }

        fn passes(&self) -> Passes {
            Passes::default()
        }
    }

    /// With one row and the unit matrix a gradient is the distance. What two evaluations are apart leaves `converged` where
    /// twice that still fits below the tolerance.
    #[test]
    fn a_difference_between_two_evaluations_counts_twice() {
        let settings = Settings { tolerance: 1e-3, goal: 1e-3, ..Settings::new(1, vec![1.0]) };
        for (difference, expected) in [(2e-4, Some(Status::Converged)), (3.2e-4, None), (-3.2e-4, None)] {
            let mut stopping = StoppingRule::new(&settings, false);
            let (fresh, carried) = (4e-4, 4e-4 - difference);
            let (_, status) = stopping.confirm(&mut Says(fresh), &[0.0], &[carried], true).expect("it evaluates");
            assert_eq!(status, expected, "{difference:e} apart");
            // A gradient that was not carried along shows nothing of the arithmetic.
            let mut stopping = StoppingRule::new(&settings, false);
            let (_, status) = stopping.confirm(&mut Says(fresh), &[0.0], &[carried], false).expect("it evaluates");
            assert_eq!(status, Some(Status::Converged));
        }
    }
}
