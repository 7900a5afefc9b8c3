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

use crate::error::Result;
use crate::matrix::{Factor, Symmetric};
use crate::objective::{Evaluation, Need, Objective};
use crate::solve::preconditioner::factor;
use crate::solve::{Settings, Status, dot, largest};

/// Fresh evaluations without `delta` halving before a run ends.
const PATIENCE: u32 = 3;

/// A distance that still counts as the limit of the arithmetic; beyond it the run has stalled.
pub(super) const NEAR: f64 = 0.05;

/// How far a margin may have moved since the Hessian was taken that still measures the distance: a factor of 1.28.
const DRIFT: f64 = 0.5;

/// A direction with less than this share of the curvature that its spread alone would give: the rows that move along
/// it are saturated.
const SATURATED: f64 = 1e-6;

/// Decides whether a point is near enough.
pub(super) struct Judge {
    settings: Settings,
    /// The factor of the Hessian near the point.
    metric: Option<Factor>,
    /// Where that was.
    metric_point: Vec<f64>,
    /// Curvatures along the columns at the start, by their spread alone.
    spread: Option<Vec<f64>>,
    best: f64,
    unimproved: u32,
}

impl Judge {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            metric: None,
            metric_point: Vec::new(),
            spread: None,
            best: f64::INFINITY,
            unimproved: 0,
        }
    }

    /// Takes the Hessian at the start, where all rows have the same curvature, as the measure of spread.
    pub(super) fn take_spread(&mut self, hessian: &Symmetric) {
        let diagonal = hessian.diagonal();
        if self.settings.approximate {
            self.spread = Some(diagonal);
            return;
        }
        let sure = |(pivot, own): (f64, f64)| if pivot > NOISE * own { pivot } else { f64::NAN };
        self.spread = Some(Pivots::of(hessian).pivots.into_iter().zip(diagonal).map(sure).collect());
    }

    /// Takes the Hessian at `point` as the measure of distance.
    pub(super) fn take_metric(&mut self, hessian: &Symmetric, point: &[f64]) {
        self.metric = factor(hessian);
        self.metric_point = point.to_vec();
    }

    /// The most that any margin can have moved between where the metric was taken and `point`.
    fn drift(&self, point: &[f64]) -> f64 {
        let moved = point.iter().zip(&self.metric_point).zip(&self.settings.reach);
        moved.map(|((q, before), reach)| (q - before).abs() * reach).sum()
    }

    /// `sqrt(N g'H^-1 g)` at `point`, where a Hessian is at hand: a bound if that was taken near, an estimate if not.
    pub(super) fn delta(&self, gradient: &[f64], point: &[f64]) -> Option<f64> {
        let step = self.metric.as_ref()?.solve(gradient);
        let drift = self.drift(point);
        let factor = if drift <= DRIFT { (0.5 * drift).exp() } else { 1.0 };
        Some(factor * (self.settings.rows * dot(&step, gradient)).max(0.0).sqrt())
    }

    /// Whether the gradient, as carried along, looks near enough for a fresh evaluation.
    pub(super) fn is_small(&self, gradient: &[f64], point: &[f64]) -> bool {
        if let Some(tolerance) = self.settings.gradient_tolerance {
            return largest(gradient) <= tolerance;
        }
        // Without a Hessian: as if every direction had the largest curvature of a single column, 1/4. That is
        // early rather than late, and the confirmation brings the Hessian.
        let delta =
            self.delta(gradient, point).unwrap_or_else(|| (4.0 * self.settings.rows * dot(gradient, gradient)).sqrt());
        // Where the floor is high, going far below it gains nothing.
        delta <= self.settings.goal
            && delta <= (self.settings.tolerance - self.settings.delta_floor).max(0.5 * self.settings.tolerance)
    }

    /// What the evaluation that ends a run must bring.
    fn need(&self, point: &[f64], looks_separated: bool) -> Need {
        let known = self.metric.is_some() && self.drift(point) <= DRIFT && !looks_separated;
        if self.settings.gradient_tolerance.is_some() || known && !self.settings.hessian_at_end {
            Need::Gradient
        } else {
            Need::Hessian
        }
    }

    /// Evaluates afresh at `point`; a status if the run is over there.
    pub(super) fn confirm(
        &mut self,
        objective: &mut dyn Objective,
        point: &[f64],
        looks_separated: bool,
    ) -> Result<(Evaluation, Option<Status>)> {
        let evaluation = objective.move_to(point, self.need(point, looks_separated))?;
        if !evaluation.is_finite() {
            return Ok((evaluation, Some(Status::NonFinite)));
        }
        if let Some(hessian) = &evaluation.hessian {
            self.take_metric(hessian, point);
        }
        let status = self.of_fresh(&evaluation.gradient, point);
        Ok((evaluation, status))
    }

    /// The status of a run whose line search failed from a fresh evaluation.
    pub(super) fn of_failure(&self, gradient: &[f64], point: &[f64]) -> Status {
        match self.delta(gradient, point) {
            Some(delta) if delta <= NEAR => Status::F32Limit,
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
            if delta + self.settings.delta_floor <= self.settings.tolerance {
                return Some(Status::Converged);
            }
            if delta <= self.settings.tolerance && self.settings.delta_floor > 0.5 * self.settings.tolerance {
                return Some(Status::F32Limit);
            }
            (delta, NEAR)
        };
        if distance <= 0.5 * self.best {
            self.best = distance;
            self.unimproved = 0;
            return None;
        }
        self.unimproved += 1;
        (self.unimproved >= PATIENCE).then_some(if distance <= near { Status::F32Limit } else { Status::Stalled })
    }

    /// Complete separation: a total loss below ln 2 leaves every single row on its right side, which proves that
    /// the features tell the classes apart. On top, every margin must be larger than its rounding in f32,
    /// `(d + 8) 2^-24 (|b| + sum |w_j x_kj|)`.
    pub(super) fn is_separated(&self, value: f64, point: &[f64]) -> bool {
        if !self.settings.may_separate {
            return false;
        }
        let size: f64 = point.iter().zip(&self.settings.reach).map(|(q, reach)| (q * reach).abs()).sum();
        let rounding = (point.len() as f64 + 8.0) * 2.0_f64.powi(-24) * size;
        // ln(1 + exp(-rounding)): the loss of a row whose margin is just that.
        value * self.settings.rows < self.settings.least_weight * (-rounding).exp().ln_1p()
    }

    /// Quasi-complete separation: the Hessian has lost a direction that the columns span, because every row that
    /// moves along it is saturated. Each pivot is compared with that of the start, where all rows weigh the same.
    /// Gives the parameters that make up the lost direction.
    pub(super) fn saturated(&self, hessian: &Symmetric) -> Vec<usize> {
        let (true, Some(spread)) = (self.settings.may_separate, &self.spread) else { return Vec::new() };
        if self.settings.approximate {
            // Of a subsample only the diagonal is that of all rows: it shows a single column whose rows are saturated,
            // such as a level that only one class has.
            let shares: Vec<f64> = hessian.diagonal().iter().zip(spread).map(|(now, spread)| now / spread).collect();
            let most = largest(&shares);
            return (0..shares.len()).filter(|&j| shares[j] < SATURATED * most).collect();
        }
        let factored = Pivots::of(hessian);
        let shares: Vec<f64> = factored.pivots.iter().zip(spread).map(|(now, spread)| now / spread).collect();
        let most = shares.iter().fold(0.0, |most: f64, share| most.max(*share));
        let Some(lost) = shares.iter().position(|share| *share < SATURATED * most) else { return Vec::new() };
        let direction = factored.unexplained(lost);
        let largest = largest(&direction);
        (0..direction.len()).filter(|&j| direction[j].abs() >= 0.1 * largest).collect()
    }
}

/// A start pivot below this share of its diagonal says nothing: sums in f32 leave about 1e-7 of it.
const NOISE: f64 = 1e-5;

/// The Cholesky factor column after column, whatever its sign: the curvature along each column that the columns
/// before it do not explain, 0 where rounding left nothing.
struct Pivots {
    lower: Vec<Vec<f64>>,
    pivots: Vec<f64>,
}

impl Pivots {
    fn of(matrix: &Symmetric) -> Self {
        let n = matrix.size();
        let mut lower = vec![vec![0.0; n]; n];
        for i in 0..n {
            for j in 0..=i {
                let sum = matrix.get(i, j) - dot(&lower[i][..j], &lower[j][..j]);
                lower[i][j] = if i == j {
                    sum.max(0.0).sqrt()
                } else if lower[j][j] > 0.0 {
                    sum / lower[j][j]
                } else {
                    0.0 // a column that is explained itself explains nothing
                };
            }
        }
        let pivots = (0..n).map(|i| lower[i][i] * lower[i][i]).collect();
        Self { lower, pivots }
    }

    /// What the columns before `i` leave of it: 1 for itself, minus their shares.
    fn unexplained(&self, i: usize) -> Vec<f64> {
        let mut direction = vec![0.0; self.pivots.len()];
        direction[i] = 1.0;
        for j in (0..i).rev() {
            let rest: f64 = (j + 1..i).map(|k| self.lower[k][j] * direction[k]).sum();
            // L'c = l with c = -direction.
            direction[j] = if self.lower[j][j] > 0.0 { -(self.lower[i][j] + rest) / self.lower[j][j] } else { 0.0 };
        }
        direction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unexplained_part_of_a_column_is_orthogonal_to_those_before() {
        let matrix = Symmetric::from_lower(3, |i, j| [[4.0, 0.0, 0.0], [2.0, 3.0, 0.0], [1.0, -1.0, 5.0]][i][j]);
        let pivots = Pivots::of(&matrix);
        let direction = pivots.unexplained(2);
        let product = matrix.times(&direction);
        assert!(product[0].abs() <= 1e-14 && product[1].abs() <= 1e-14, "{product:?}");
        assert!((product[2] - pivots.pivots[2]).abs() <= 1e-14);
    }
}
