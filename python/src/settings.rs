//! What a job is made of, as Python says it.

use std::collections::HashMap;
use std::path::PathBuf;

use gpu_logreg::data::{ClassWeight, DEFAULT_MAX_LEVELS, Dealing, FoldSpec, Nulls, WeightKind};
use gpu_logreg::solve::{DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE};
use gpu_logreg::train::{
    DEFAULT_GAP_TOLERANCE, DEFAULT_STRENGTHS, ExactJob, InferenceJob, Metric, SelectedStrength, Solver,
};
use gpu_logreg::{Error, Job, PathJob, PenaltyScale, Preconditioner, Selection, Strengths};
use pyo3::prelude::*;

/// The settings of a run, each by its name; one that is not given has the default of the program.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Settings {
    label: String,
    #[pyo3(default)]
    positive: Option<String>,
    #[pyo3(default)]
    multinomial: bool,
    #[pyo3(default)]
    features: Option<Vec<String>>,
    #[pyo3(default)]
    ignore: Vec<String>,
    #[pyo3(default)]
    categorical: Vec<String>,
    #[pyo3(default)]
    reference: HashMap<String, String>,
    #[pyo3(default = DEFAULT_MAX_LEVELS)]
    max_levels: usize,
    #[pyo3(default)]
    nulls: Option<String>,
    #[pyo3(default)]
    weight: Option<String>,
    #[pyo3(default)]
    weight_kind: Option<String>,
    #[pyo3(default)]
    class_weight: Option<Weights>,
    #[pyo3(default)]
    offset: Vec<String>,
    #[pyo3(default = true)]
    fit_intercept: bool,
    #[pyo3(default)]
    l1: f64,
    #[pyo3(default)]
    l2: f64,
    #[pyo3(default)]
    penalty_scale: Option<String>,
    #[pyo3(default)]
    penalty_factor: Vec<(String, f64)>,
    #[pyo3(default)]
    bounds: Vec<(String, [f64; 2])>,
    #[pyo3(default)]
    nonnegative: bool,
    #[pyo3(default)]
    path: Option<usize>,
    #[pyo3(default)]
    lambdas: Option<Vec<f64>>,
    #[pyo3(default)]
    lambda_min_ratio: Option<f64>,
    #[pyo3(default = 1.0)]
    alpha: f64,
    #[pyo3(default)]
    full_path: bool,
    #[pyo3(default)]
    folds: Option<usize>,
    #[pyo3(default)]
    fold_column: Option<String>,
    #[pyo3(default)]
    fold_groups: Option<String>,
    #[pyo3(default)]
    fold_blocks: bool,
    #[pyo3(default)]
    verify_folds: bool,
    #[pyo3(default)]
    cv_metric: Option<String>,
    #[pyo3(default)]
    select: Option<Selected>,
    #[pyo3(default)]
    seed: u64,
    #[pyo3(default)]
    solver: Option<String>,
    #[pyo3(default)]
    preconditioner: Option<String>,
    #[pyo3(default)]
    tolerance: Option<f64>,
    #[pyo3(default)]
    gradient_tolerance: Option<f64>,
    #[pyo3(default)]
    gap_tolerance: Option<f64>,
    #[pyo3(default)]
    max_iterations: Option<u64>,
    #[pyo3(default)]
    inference: Option<f64>,
    #[pyo3(default)]
    robust: bool,
    #[pyo3(default)]
    verify: bool,
    #[pyo3(default)]
    refine: bool,
    #[pyo3(default)]
    device: Option<String>,
    #[pyo3(default)]
    host_memory: Option<u64>,
    #[pyo3(default)]
    device_memory: Option<u64>,
    #[pyo3(default)]
    scratch: Option<PathBuf>,
}

/// Weights of classes: `balanced`, or numbers by the values of the label.
#[derive(FromPyObject)]
enum Weights {
    Named(String),
    Given(HashMap<String, f64>),
}

/// Which strength of a path: `min`, `1se` or a number.
#[derive(FromPyObject)]
enum Selected {
    At(f64),
    Named(String),
}

/// One of the words that a setting may have, or an error that names them.
fn word<T: Clone>(setting: &str, given: Option<&str>, words: &[(&str, T)]) -> Result<Option<T>, Error> {
    let Some(given) = given else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| Some(value.clone()));
    found.ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        Error::usage(format!("`{setting}={given:?}` is none that is known"), format!("Say {}.", known.join(", ")))
    })
}

impl Settings {
    /// The job.
    ///
    /// # Errors
    /// Of kind `Usage` if a setting has no value that is known, or makes no sense with another one.
    pub(crate) fn job(&self) -> Result<Job, Error> {
        let mut job = Job::label(&self.label);
        self.columns(&mut job)?;
        job.intercept = self.fit_intercept;
        (job.l1, job.l2) = (self.l1, self.l2);
        let scales = [("standardized", PenaltyScale::Standardized), ("original", PenaltyScale::Original)];
        job.penalty_scale = word("penalty_scale", self.penalty_scale.as_deref(), &scales)?.unwrap_or_default();
        job.penalty_factors.clone_from(&self.penalty_factor);
        job.bounds.clone_from(&self.bounds);
        job.nonnegative = self.nonnegative;
        job.path = self.path()?;
        self.method(&mut job)?;
        let inference = self.inference.or(self.robust.then_some(0.95));
        job.inference = inference.map(|confidence| InferenceJob { confidence, robust: self.robust });
        job.exact = match (self.refine, self.verify) {
            (true, _) => ExactJob::Refine,
            (false, true) => ExactJob::Verify,
            (false, false) => ExactJob::None,
        };
        job.limits.host = self.host_memory;
        job.limits.device = self.device_memory;
        job.limits.scratch.clone_from(&self.scratch);
        job.check_numbers()?;
        Ok(job)
    }

    /// Which columns, and what they are for.
    fn columns(&self, job: &mut Job) -> Result<(), Error> {
        let spec = &mut job.spec;
        spec.positive.clone_from(&self.positive);
        spec.multinomial = self.multinomial;
        spec.features.clone_from(&self.features);
        spec.ignore.clone_from(&self.ignore);
        spec.categorical.clone_from(&self.categorical);
        spec.references = self.reference.iter().map(|(column, level)| (column.clone(), level.clone())).collect();
        spec.references.sort();
        spec.max_levels = self.max_levels;
        let rules = [
            ("error", Nulls::Error),
            ("drop-row", Nulls::DropRow),
            ("mean", Nulls::Mean),
            ("indicator", Nulls::Indicator),
        ];
        spec.nulls = word("nulls", self.nulls.as_deref(), &rules)?.unwrap_or_default();
        spec.weight.clone_from(&self.weight);
        let kinds = [("count", WeightKind::Count), ("sampling", WeightKind::Sampling)];
        spec.weight_kind = word("weight_kind", self.weight_kind.as_deref(), &kinds)?;
        spec.class_weight = match &self.class_weight {
            None => ClassWeight::Equal,
            Some(Weights::Named(name)) => {
                word("class_weight", Some(name), &[("balanced", ClassWeight::Balanced)])?.unwrap_or_default()
            }
            Some(Weights::Given(factors)) => {
                let mut factors: Vec<(String, f64)> = factors.iter().map(|(class, x)| (class.clone(), *x)).collect();
                factors.sort_by(|a, b| a.0.cmp(&b.0));
                ClassWeight::Given(factors)
            }
        };
        spec.offsets.clone_from(&self.offset);
        spec.folds = self.folds();
        Ok(())
    }

    fn folds(&self) -> Option<FoldSpec> {
        let dealing = match (&self.fold_column, &self.fold_groups) {
            (Some(column), _) => Dealing::Column(column.clone()),
            (None, Some(column)) => Dealing::Groups(column.clone()),
            (None, None) if self.fold_blocks => Dealing::Blocks,
            (None, None) => Dealing::Chance,
        };
        let is_asked_for = self.folds.is_some() || dealing != Dealing::Chance;
        let default = FoldSpec::default();
        is_asked_for.then(|| FoldSpec { count: self.folds.unwrap_or(default.count), seed: self.seed, dealing })
    }

    fn path(&self) -> Result<Option<PathJob>, Error> {
        let has_folds = self.folds().is_some();
        let strengths = match (&self.lambdas, self.path) {
            (Some(given), _) => Strengths::Given(given.clone()),
            (None, Some(count)) => Strengths::Grid { count, ratio: self.lambda_min_ratio },
            (None, None) if has_folds => Strengths::Grid { count: DEFAULT_STRENGTHS, ratio: self.lambda_min_ratio },
            (None, None) => return Ok(None),
        };
        let metrics =
            [Metric::Deviance, Metric::Auc, Metric::Error, Metric::Brier].map(|metric| (metric.name(), metric));
        let named = [("min", SelectedStrength::Minimum), ("1se", SelectedStrength::OneStandardError)];
        let selected = match &self.select {
            Some(Selected::At(strength)) => SelectedStrength::At(*strength),
            Some(Selected::Named(name)) => word("select", Some(name), &named)?.unwrap_or_default(),
            None if has_folds => SelectedStrength::Minimum,
            None => SelectedStrength::Last,
        };
        Ok(Some(PathJob {
            strengths,
            alpha: self.alpha,
            is_full: self.full_path,
            selected,
            metric: word("cv_metric", self.cv_metric.as_deref(), &metrics)?.unwrap_or_default(),
            visits_all_folds: self.verify_folds,
        }))
    }

    /// How, and how far.
    fn method(&self, job: &mut Job) -> Result<(), Error> {
        let solvers = [Solver::Cg, Solver::Newton, Solver::Lbfgs, Solver::GradientDescent, Solver::Generative]
            .map(|s| (s.name(), s));
        job.solver = word("solver", self.solver.as_deref(), &solvers)?.unwrap_or_default();
        let preconditioners = [
            ("none", Preconditioner::None),
            ("diagonal", Preconditioner::Diagonal),
            ("hessian", Preconditioner::Hessian),
            ("subsample", Preconditioner::Subsample),
            ("bound", Preconditioner::Bound),
        ];
        job.preconditioner = word("preconditioner", self.preconditioner.as_deref(), &preconditioners)?;
        job.tolerance = self.tolerance.unwrap_or(DEFAULT_TOLERANCE);
        job.gradient_tolerance = self.gradient_tolerance;
        job.gap_tolerance = self.gap_tolerance.unwrap_or(DEFAULT_GAP_TOLERANCE);
        job.max_iterations = self.max_iterations.unwrap_or(DEFAULT_MAX_ITERATIONS);
        let device = self.device.as_deref().unwrap_or("auto");
        job.device = device.parse::<Selection>().map_err(|cause| {
            Error::usage(format!("`device={device:?}` is no device"), format!("Give one: {cause}."))
        })?;
        Ok(())
    }
}
