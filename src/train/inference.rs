//! Standard errors, and how many of their digits hold.

use crate::data::{Encoded, Plan, Table};
use crate::engine::Engine;
use crate::engine::exact::{ExactProducts, Scatter, products_file};
use crate::error::{Error, Result};
use crate::matrix::{Factor, Symmetric};
use crate::model::inference::covariance;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective, Passes};
use crate::problem::{Curvature, Problem};
use crate::solve::{Settings, largest_error};
use crate::train::fit::{Arithmetic, Covariance, Fit};
use crate::train::job::{Job, MOST_OF_FEW};

/// Numbers of a table up to which the Hessian at the estimates is taken in double precision over the file.
const FEW_CELLS: usize = 10_000_000;

/// Parameters up to which it is taken for a larger table where that needs it: each range of rows keeps as many numbers as
/// their square.
const MOST_PARAMETERS: usize = 1024;

/// The error of an entry of a Hessian of f32 sums, as a share of the root of its diagonal entries.
pub(super) const F32_ERROR: f64 = 1e-6;

/// The same of sums in f64 over columns that were narrowed to f32.
const NARROWED_ERROR: f64 = 1e-7;

/// The same of sums in f64 over the file.
const F64_ERROR: f64 = 1e-14;

/// A share of a standard error that a Hessian in f32 may put it off by.
const ENOUGH: f64 = 1e-4;

/// The covariance of the estimates of `fit`; `None` if the Hessian has no inverse.
///
/// A Hessian with relative errors e puts the variance of a coefficient off by e times its variance inflation factor. So the
/// Hessian is taken over the file where that matters, and where it costs next to nothing. So is the scatter of weights that
/// are more than counts: the devices have no squares of weights.
#[expect(clippy::too_many_arguments, reason = "the file, the device, and what was fitted")]
pub(super) fn infer(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    job: &Job,
    fit: &mut Fit,
    engine: &mut dyn Engine,
    device: Arithmetic,
    monitor: &dyn Monitor,
) -> Result<Option<Covariance>> {
    let Some(inference) = job.inference.filter(|_| fit.outcome.status.has_estimates()) else { return Ok(None) };
    if !is_small(table, plan, fit) && !job.weighs_beyond_counts() {
        let mut problem = Problem::new(engine, fit.coordinates.clone(), fit.penalty.clone(), Curvature::Exact);
        // A run that ended at a fresh evaluation has its Hessian and stands there; another one goes there.
        if fit.outcome.hessian.is_none() {
            fit.outcome.hessian = problem.move_to(&fit.outcome.parameters, Need::Hessian)?.hessian;
        }
        let Some(hessian) = &fit.outcome.hessian else { return Ok(None) };
        let scatter = if inference.robust { Some(problem.scatter()?) } else { None };
        fit.outcome.passes = Passes { file: fit.outcome.passes.file, ..problem.passes() };
        let Some(inverse) = Inverse::of(hessian) else { return Ok(None) };
        if inverse.inflation * F32_ERROR <= ENOUGH || fit.outcome.parameters.len() > MOST_PARAMETERS {
            let error = if device.is_f32 { F32_ERROR } else { NARROWED_ERROR };
            let n = fit.settings.rows;
            return Ok(Some(inverse.covariance(fit, scatter.as_ref(), n, error)));
        }
    }
    let scatter = match (job.takes_sampling_weights(), inference.robust || job.weighs_beyond_counts()) {
        (true, _) => Some(Scatter::OfSamplingWeights),
        (false, true) => Some(Scatter::OfCounts),
        (false, false) => None,
    };
    let found = of_file(table, plan, encoded, fit, scatter, monitor)?;
    let Some(inverse) = Inverse::of(&found.hessian) else { return Ok(None) };
    let mut covariance = inverse.covariance(fit, found.scatter.as_ref(), found.weight, F64_ERROR);
    if job.takes_sampling_weights() {
        // Rows drawn one by one with replacement: the variance of a total over them has the divisor n - 1.
        let rows = table.rows as f64;
        covariance.matrix.scale(rows / (rows - 1.0).max(1.0));
    }
    covariance.loss = encoded.class_weight.is_some().then_some(found.loss);
    Ok(Some(covariance))
}

/// The Hessian at the estimates in double precision over the file, penalty included, and the scatter if it is wanted, both
/// in the solver's coordinates.
fn of_file(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    fit: &mut Fit,
    scatter: Option<Scatter>,
    monitor: &dyn Monitor,
) -> Result<ExactProducts> {
    let coordinates = fit.coordinates.exact();
    let parameters = coordinates.to_device(&fit.parametrisation().of_margins(&fit.outcome.parameters));
    let found = products_file(table, plan, &encoded.label, coordinates.columns(), &parameters, scatter, monitor)?;
    fit.outcome.passes.file += 1;
    let hessian = Some(coordinates.hessian(&found.hessian));
    let evaluation = Evaluation { value: 0.0, gradient: Vec::new(), diagonal: None, hessian };
    let evaluation = fit.parametrisation().of_fit(evaluation);
    let penalised = fit.penalty.add_to(evaluation, &fit.outcome.parameters).hessian;
    Ok(ExactProducts {
        hessian: penalised.ok_or_else(|| Error::internal("a penalty lost the Hessian"))?,
        scatter: found.scatter.map(|scatter| coordinates.hessian(&scatter)),
        ..found
    })
}

/// The Hessian at the end of a run, by which the file is held against it: that of the run, or of the file where it costs
/// little or where f32 leaves too few digits.
pub(super) fn metric(
    table: &Table,
    plan: &Plan,
    encoded: &Encoded,
    fit: &mut Fit,
    monitor: &dyn Monitor,
) -> Result<Option<Symmetric>> {
    let of_run = fit.outcome.hessian.as_ref();
    let is_enough = |inverse: Inverse| inverse.inflation * F32_ERROR <= ENOUGH;
    let is_large = fit.outcome.parameters.len() > MOST_PARAMETERS;
    if !is_small(table, plan, fit) && (is_large || of_run.and_then(Inverse::of).is_some_and(is_enough)) {
        return Ok(of_run.cloned());
    }
    Ok(Some(of_file(table, plan, encoded, fit, None, monitor)?.hessian))
}

/// The largest variance inflation factor of a parameter; infinite where there is no inverse.
pub(super) fn inflation(hessian: &Symmetric) -> f64 {
    Inverse::of(hessian).map_or(f64::INFINITY, |inverse| inverse.inflation)
}

/// Whether a pass over the products of all columns costs next to nothing.
fn is_small(table: &Table, plan: &Plan, fit: &Fit) -> bool {
    table.rows.saturating_mul(plan.features()) <= FEW_CELLS && fit.outcome.parameters.len() <= MOST_OF_FEW
}

/// The inverse of a Hessian.
struct Inverse {
    factor: Factor,
    matrix: Symmetric,
    diagonal: Vec<f64>,
    /// The largest variance inflation factor of a parameter.
    inflation: f64,
}

impl Inverse {
    fn of(hessian: &Symmetric) -> Option<Self> {
        let factor = hessian.factor()?;
        let matrix = factor.inverse();
        let diagonal = matrix.diagonal();
        let products = diagonal.iter().zip(hessian.diagonal()).map(|(inverse, own)| inverse * own);
        // So that NaN is a reason to look closer.
        let inflation = products.fold(1.0, |most, product| if product <= most { most } else { product });
        Some(Self { factor, matrix, diagonal, inflation })
    }

    /// The covariance, from a Hessian of a mean over `n` rows whose entries are off by a share of `error`.
    fn covariance(self, fit: &Fit, scatter: Option<&Symmetric>, n: f64, error: f64) -> Covariance {
        let Settings { rows, reach, margins, .. } = &fit.settings;
        // What is left of the way moves no margin by more than the step to the optimum reaches, and what the device does
        // not resolve may lie in any direction. When every margin moves by at most x, the Hessian changes by a factor of
        // exp(x) at most, a standard error by half.
        let step = self.factor.solve(&fit.outcome.gradient);
        let of_step: f64 = step.iter().zip(&reach.parameters).map(|(step, reach)| (step * reach).abs()).sum();
        let of_floor = match fit.outcome.delta_floor {
            0.0 => 0.0,
            floor => floor * largest_error(&self.factor, &self.diagonal, *rows, reach, *margins),
        };
        let moved = of_step + of_floor;
        Covariance {
            matrix: covariance(self.matrix, scatter, n),
            relative_error: 0.5 * (error * self.inflation + moved),
            loss: None,
        }
    }
}
