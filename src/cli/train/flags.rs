//! The flags of `train`, and the checks that make a [`Job`] of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::limits::LimitFlags;
use crate::cli::names::names;
use crate::cli::rows::RowFlags;
use crate::cli::train::lasting::LastingFlags;
use crate::cli::train::lists::{bounds, check_max_levels, class_weight, features, penalty_factors, strengths_in};
use gpu_logreg::data::{ClassWeight, DEFAULT_FOLDS, DEFAULT_MAX_LEVELS, Dealing, FoldSpec, Nulls, Spec, WeightKind};
use gpu_logreg::engine::Selection;
use gpu_logreg::error::{Error, Result};
use gpu_logreg::model::Model;
use gpu_logreg::penalty::PenaltyScale;
use gpu_logreg::solve::{DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE, Preconditioner};
use gpu_logreg::train::{
    DEFAULT_GAP_TOLERANCE, DEFAULT_STRENGTHS, ExactJob, InferenceJob, Init, Job, Metric, PathJob, SelectedStrength,
    Solver, Strengths,
};
use gpu_logreg::wording::plain;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what a command line has")]
pub(in crate::cli) struct Train {
    /// Parquet files, folders of them, or patterns; all with the same columns
    #[arg(required = true)]
    pub(super) data: Vec<PathBuf>,
    /// Where to write the model [default: only print it]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// The label: boolean, 0/1, -1/1, yes/no and the like, any column with two values and --positive, or the classes of a
    /// softmax
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    label: Option<String>,
    /// The value of the label that counts as positive
    #[arg(long, value_name = "VALUE", help_heading = "Columns", allow_hyphen_values = true)]
    positive: Option<String>,
    /// A softmax over the values of the label, however many there are [default: for texts of three values or more]
    #[arg(long, help_heading = "Columns")]
    multinomial: bool,
    /// The features, separated by commas; `*` and `?` stand for any characters, and a name with a comma or outer blanks
    /// stands in double quotes; '' for none, the intercept alone [default: all numbers, booleans and texts]
    #[arg(long, value_name = "LIST", help_heading = "Columns")]
    features: Vec<String>,
    /// Columns to leave out, separated by commas
    #[arg(long, value_name = "LIST", help_heading = "Columns")]
    ignore: Vec<String>,
    /// Columns that are categories although they are no text, separated by commas
    #[arg(long, value_name = "LIST", help_heading = "Columns")]
    categorical: Vec<String>,
    /// The level of a category that the others are compared with, or the class of a softmax [default: the first one]
    #[arg(long, value_name = "COL=LEVEL", help_heading = "Columns")]
    pub(super) reference: Vec<String>,
    /// Levels that a category may have
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_LEVELS, help_heading = "Columns")]
    max_levels: usize,
    /// A column of row weights: a row of weight 2 counts as if it were there twice, one of weight 0 as if it were not
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    weight: Option<String>,
    /// What the weights are, for standard errors and likelihood [default: count]
    #[arg(long, value_name = "KIND", requires = "weight", help_heading = "Columns")]
    weight_kind: Option<WeightKindName>,
    /// A column that adds to the log odds with a coefficient of 1; with several classes CLASS=COL, once for each class that
    /// has one
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    offset: Vec<String>,
    /// Weights of the classes: `balanced`, or V=W,... by the value of the label
    #[arg(long, value_name = "W", help_heading = "Columns")]
    class_weight: Option<String>,
    /// What is done about missing values, nulls and NaN
    #[arg(long, value_name = "POLICY", default_value = "error", help_heading = "Columns")]
    nulls: NullsName,

    #[command(flatten)]
    pub(super) rows: RowFlags,
    /// Hold about this part of the rows back, between 0 and 1, by chance, and validate the model on it
    #[arg(long, value_name = "F", conflicts_with = "valid", help_heading = "Rows", allow_hyphen_values = true)]
    pub(super) split: Option<f64>,
    /// Validate the model on these files
    #[arg(long, value_name = "DATA", num_args = 1.., help_heading = "Rows")]
    pub(super) valid: Vec<PathBuf>,

    /// Strength of the L1 penalty on the mean loss (lasso): it leaves columns out; never the intercept
    #[arg(long, value_name = "X", default_value_t = 0.0, help_heading = "Model", allow_hyphen_values = true)]
    l1: f64,
    /// Strength of the elastic net, as in glmnet: `l1 = A L` and `l2 = (1 - A) L`, with `--alpha A`
    #[arg(long, value_name = "L", help_heading = "Model", conflicts_with_all = ["l1", "l2"], allow_hyphen_values = true)]
    lambda: Option<f64>,
    /// The share of L1 in `--lambda` and in the strengths of a path, from 0 (ridge) to 1 (lasso) [default: 1]
    #[arg(long, value_name = "A", help_heading = "Model", allow_hyphen_values = true)]
    alpha: Option<f64>,
    /// Strength of the L2 penalty on the mean loss; never on the intercept
    #[arg(long, value_name = "X", default_value_t = 0.0, help_heading = "Model", allow_hyphen_values = true)]
    l2: f64,
    /// Which weights the penalty takes: those of standardised columns (as glmnet), or the original ones
    /// (as scikit-learn, whose C is 1 / (rows * l2))
    #[arg(long, value_name = "SCALE", default_value = "standardized", help_heading = "Model")]
    penalty_scale: Scale,
    /// Factors of the penalty, COL=F,...: 0 for a column that is not penalised, inf for one that is left out. Of a category for all
    /// its levels; names may be patterns; one with a comma stands in quotes with its factor, '"a,b=0"'
    #[arg(long, value_name = "COL=F", help_heading = "Model")]
    penalty_factor: Vec<String>,
    /// Bounds of coefficients, COL=LOW:HIGH,...: 0 lies between them, and a side may be empty
    #[arg(long, value_name = "COL=LOW:HIGH", help_heading = "Model")]
    bounds: Vec<String>,
    /// No coefficient below 0, but for columns with `--bounds` of their own and the intercept
    #[arg(long, help_heading = "Model")]
    nonnegative: bool,
    /// Elastic nets of N strengths, from the least that selects nothing down to a share of it [default for N: 100]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "100", help_heading = "Path",
        conflicts_with_all = ["lambda", "l1", "l2"])]
    path: Option<usize>,
    /// The last strength of a path as a share of the first [default: 1e-4, with more columns than rows 1e-2]
    #[arg(long, value_name = "X", help_heading = "Path", allow_hyphen_values = true)]
    lambda_min_ratio: Option<f64>,
    /// The strengths of a path: a file of text with a number on each line
    #[arg(long, value_name = "FILE", help_heading = "Path",
        conflicts_with_all = ["lambda", "l1", "l2", "path", "lambda_min_ratio", "full_path"])]
    lambdas: Option<PathBuf>,
    /// All strengths of a path, also where weaker penalties explain next to nothing more
    #[arg(long, help_heading = "Path")]
    full_path: bool,
    /// The strength of the model itself: a number on the path; with folds min (the best mean) or 1se (the largest within a standard
    /// error of it) [default: with folds min, else the last one]
    #[arg(long, value_name = "L", help_heading = "Path", allow_hyphen_values = true)]
    select: Option<String>,
    /// Cross-validate the path: K parts of the rows, each with its share of every class, are held back in turn; implies --path
    /// [default for K: 10]
    #[arg(long, value_name = "K", num_args = 0..=1, default_missing_value = "10", help_heading = "Path", conflicts_with_all = ["lambda", "l1", "l2"])]
    folds: Option<usize>,
    /// A fold for each value of this column; implies --path
    #[arg(long, value_name = "COL", help_heading = "Path", conflicts_with_all = ["folds", "fold_groups", "fold_blocks", "lambda", "l1", "l2"])]
    fold_column: Option<String>,
    /// Rows with the same value of this column are in the same fold; implies --folds
    #[arg(long, value_name = "COL", help_heading = "Path", conflicts_with_all = ["fold_blocks", "lambda", "l1", "l2"])]
    fold_groups: Option<String>,
    /// Folds are parts of the rows in their order, and models know earlier ones alone; implies --folds
    #[arg(long, help_heading = "Path", conflicts_with_all = ["lambda", "l1", "l2"])]
    fold_blocks: bool,
    /// Visit the training rows of all folds at all strengths, so that all models of folds are within the tolerance
    #[arg(long, help_heading = "Path")]
    verify_folds: bool,
    /// What cross-validation goes by
    #[arg(long, value_name = "METRIC", default_value = "deviance", help_heading = "Path")]
    cv_metric: MetricName,
    /// Fit no intercept
    #[arg(long, help_heading = "Model")]
    no_intercept: bool,

    /// The method
    #[arg(long, value_name = "NAME", default_value = "cg", help_heading = "Solver")]
    solver: SolverName,
    /// Where the solver begins: `zero`, `generative`, or a file with a model, whose coefficients are taken by their names
    /// [possible values: zero (weights 0, and the log odds of the classes), generative (along the generative model, as far as
    /// the loss falls), FILE]
    #[arg(
        long,
        value_name = "NAME|FILE",
        default_value = "zero",
        help_heading = "Solver",
        hide_possible_values = true
    )]
    init: InitFrom,
    /// What stands in for the inverse Hessian
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Solver")]
    preconditioner: PreconditionerName,
    /// Distance to the optimum, in standard errors, that counts as converged [default: 0.0001]
    #[arg(long, value_name = "X", help_heading = "Solver", allow_hyphen_values = true)]
    tolerance: Option<f64>,
    /// Stop at this largest component of the gradient instead (standardised columns), as scipy does
    #[arg(long, value_name = "X", help_heading = "Solver", allow_hyphen_values = true)]
    gradient_tolerance: Option<f64>,
    /// With an L1 penalty, factors or bounds: what may be left to gain, a share of the null deviance, instead of `--tolerance`
    /// [default: 1e-8]
    #[arg(long, value_name = "X", help_heading = "Solver", allow_hyphen_values = true)]
    gap_tolerance: Option<f64>,
    /// Iterations at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_ITERATIONS, help_heading = "Solver")]
    max_iterations: u64,
    /// Standard errors, z, p, confidence limits, odds ratios and the likelihood
    #[arg(long, help_heading = "Results")]
    inference: bool,
    /// Standard errors that hold if the model is wrong (White's sandwich, HC0); implies --inference
    #[arg(long, help_heading = "Results")]
    robust: bool,
    /// Probability that a confidence interval covers
    #[arg(long, value_name = "P", default_value_t = 0.95, help_heading = "Results")]
    confidence: f64,
    /// Write the covariance of the estimates to this file, as JSON; implies --inference
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) covariance: Option<PathBuf>,
    /// One more pass, in double precision over the file itself: loss, gradient and distance as the file sees them
    #[arg(long, help_heading = "Results")]
    verify: bool,
    /// Refine the coefficients with passes in double precision until its last digit is reached; implies --verify
    #[arg(long, help_heading = "Results")]
    refine: bool,
    /// Write one JSON line for each iteration to this file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) history: Option<PathBuf>,
    /// Write a report with pictures to this file, as one page of HTML; takes one more pass over the file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) report: Option<PathBuf>,
    /// Print what the run would do, and where the table would be kept, and do nothing
    #[arg(long, help_heading = "Memory")]
    pub(super) dry_run: bool,
    /// Exit with code 4 if the solver did not converge
    #[arg(long, help_heading = "Solver")]
    pub(super) strict: bool,

    /// auto (a hardware GPU, else the CPU), gpu (any adapter), cpu, or an index or part of a name of
    /// `gpu-logreg devices`
    #[arg(long, value_name = "WHICH", default_value = "auto", env = "GPU_LOGREG_DEVICE", help_heading = "Device")]
    device: Selection,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    pub(super) lasting: LastingFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightKindName {
    /// How often a row was observed
    Count,
    /// How many of a population a row stands for, which was observed once: standard errors by the sandwich
    Sampling,
}

#[derive(Clone, Copy, ValueEnum)]
enum NullsName {
    /// They are an error
    Error,
    /// A row with a missing value is left out
    DropRow,
    /// The mean of the column's other values stands in
    Mean,
    /// As mean, and a feature of its own says where
    Indicator,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverName {
    /// Preconditioned nonlinear conjugate gradient: fewest passes
    Cg,
    /// Newton's method: a Hessian pass an iteration
    Newton,
    /// Limited-memory BFGS
    Lbfgs,
    /// Gradient descent, for comparison
    GradientDescent,
    /// The generative model: Gaussian classes with one covariance, in closed form
    Generative,
}

/// Where the solver begins.
#[derive(Clone)]
enum InitFrom {
    Named(Init),
    Model(PathBuf),
}

impl std::str::FromStr for InitFrom {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "zero" => Ok(Self::Named(Init::Zero)),
            "generative" => Ok(Self::Named(Init::Generative)),
            _ if Path::new(text).exists() => Ok(Self::Model(text.into())),
            _ => Err("expected zero, generative, or the file of a model, and there is no such file".into()),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum PreconditionerName {
    /// What suits the solver: for cg the Hessian, beyond 1024 features (with several classes 256 parameters, unless the
    /// table is small) that of a subsample, and for still more classes the bound; with a penalty, beyond 256 features,
    /// nothing until that of a subsample pays; for lbfgs nothing
    Auto,
    /// Nothing: plain conjugate gradient
    None,
    /// The diagonal of the Hessian
    Diagonal,
    /// The Cholesky factor of the Hessian
    Hessian,
    /// That of a subsample of the rows (at most 64 MiB), with the diagonal of all
    Subsample,
    /// Of several classes: Böhning's bound on the Hessian, one matrix for all of them, with the exact diagonal
    Bound,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum MetricName {
    /// Twice the mean cross-entropy
    Deviance,
    /// The area under the ROC curve, fold by fold
    Auc,
    /// The share of the rows whose class is not the more probable one
    Error,
    /// The mean square of what probabilities are off by
    Brier,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scale {
    Standardized,
    Original,
}

impl Train {
    /// Which columns.
    fn spec(&self) -> Result<Spec> {
        Ok(Spec {
            folds: self.fold_spec(),
            label: self.label.clone(),
            positive: self.positive.clone(),
            multinomial: self.multinomial,
            features: features(&self.features)?,
            categorical: names("--categorical", &self.categorical)?,
            references: Vec::new(),
            max_levels: check_max_levels(self.max_levels)?,
            ignore: names("--ignore", &self.ignore)?,
            weight: self.weight.clone(),
            weight_kind: self.weight_kind.map(|kind| match kind {
                WeightKindName::Count => WeightKind::Count,
                WeightKindName::Sampling => WeightKind::Sampling,
            }),
            offsets: self.offset.clone(),
            class_weight: self.class_weight.as_deref().map_or(Ok(ClassWeight::Equal), class_weight)?,
            nulls: match self.nulls {
                NullsName::Error => Nulls::Error,
                NullsName::DropRow => Nulls::DropRow,
                NullsName::Mean => Nulls::Mean,
                NullsName::Indicator => Nulls::Indicator,
            },
        })
    }

    pub(super) fn job(&self) -> Result<Job> {
        let inference = InferenceJob { confidence: self.confidence, robust: self.robust };
        inference.check()?;
        let [l1, l2] = self.penalties()?;
        let mut job = Job {
            limits: self.limits.check()?,
            l1,
            l2,
            path: self.path_job()?,
            penalty_scale: match self.penalty_scale {
                Scale::Standardized => PenaltyScale::Standardized,
                Scale::Original => PenaltyScale::Original,
            },
            penalty_factors: penalty_factors(&self.penalty_factor)?,
            bounds: bounds(&self.bounds)?,
            nonnegative: self.nonnegative,
            intercept: !self.no_intercept,
            solver: match self.solver {
                SolverName::Cg => Solver::Cg,
                SolverName::Newton => Solver::Newton,
                SolverName::Lbfgs => Solver::Lbfgs,
                SolverName::GradientDescent => Solver::GradientDescent,
                SolverName::Generative => Solver::Generative,
            },
            init: match &self.init {
                InitFrom::Named(init) => *init,
                InitFrom::Model(_) => Init::Zero,
            },
            start: match &self.init {
                InitFrom::Named(_) => None,
                InitFrom::Model(path) => Some(Arc::new(Model::read(path)?)),
            },
            preconditioner: match self.preconditioner {
                PreconditionerName::Auto => None,
                PreconditionerName::None => Some(Preconditioner::None),
                PreconditionerName::Diagonal => Some(Preconditioner::Diagonal),
                PreconditionerName::Hessian => Some(Preconditioner::Hessian),
                PreconditionerName::Subsample => Some(Preconditioner::Subsample),
                PreconditionerName::Bound => Some(Preconditioner::Bound),
            },
            tolerance: self.tolerance.unwrap_or(DEFAULT_TOLERANCE),
            gradient_tolerance: self.gradient_tolerance,
            gap_tolerance: self.gap_tolerance.unwrap_or(DEFAULT_GAP_TOLERANCE),
            max_iterations: self.max_iterations,
            inference: (self.inference || self.robust || self.covariance.is_some()).then_some(inference),
            exact: match (self.refine, self.verify) {
                (true, _) => ExactJob::Refine,
                (false, true) => ExactJob::Verify,
                (false, false) => ExactJob::None,
            },
            ..Job::new(self.spec()?, self.device.clone())
        };
        self.lasting.add_to(&mut job)?;
        job.check_numbers()?;
        self.check_tolerances(&job)?;
        Ok(job)
    }
}

impl Train {
    /// An error if a tolerance is given that the run does not look at.
    fn check_tolerances(&self, job: &Job) -> Result<()> {
        match (job.has_elastic_net(), self.tolerance, self.gap_tolerance) {
            (true, Some(tolerance), _) => Err(Error::usage(
                format!(
                    "--tolerance {tolerance}: with an L1 penalty, factors or bounds a run ends by what is left to gain"
                ),
                "Say --gap-tolerance, a share of the null deviance.",
            )),
            (false, _, Some(gap)) => Err(Error::usage(
                format!(
                    "--gap-tolerance {gap}: without an L1 penalty, factors or bounds a run ends by the distance to the optimum"
                ),
                "Say --tolerance, in standard errors.",
            )),
            _ => Ok(()),
        }
    }

    /// Strengths of the L1 and of the L2 penalty.
    fn penalties(&self) -> Result<[f64; 2]> {
        let Some(lambda) = self.lambda else { return Ok([self.l1, self.l2]) };
        let alpha = self.alpha.unwrap_or(1.0);
        if !(lambda >= 0.0 && lambda.is_finite()) {
            return Err(Error::usage(
                format!("--lambda {lambda} is no strength of a penalty"),
                "Give a number from 0 on.",
            ));
        }
        if !(0.0..=1.0).contains(&alpha) {
            return Err(Error::usage(
                format!("--alpha {alpha:?} is no share of L1"),
                "Give a number from 0 (ridge) to 1 (lasso).",
            ));
        }
        Ok([alpha * lambda, (1.0 - alpha) * lambda])
    }

    /// The path, if one is asked for.
    fn path_job(&self) -> Result<Option<PathJob>> {
        let has_folds = self.fold_spec().is_some();
        let strengths = match (self.path.or(has_folds.then_some(DEFAULT_STRENGTHS)), &self.lambdas) {
            (_, Some(path)) => Strengths::Given(strengths_in(path)?),
            (Some(count), None) => Strengths::Grid { count, ratio: self.lambda_min_ratio },
            (None, None) => {
                let of_path = [
                    ("--select", self.select.is_some()),
                    ("--lambda-min-ratio", self.lambda_min_ratio.is_some()),
                    ("--full-path", self.full_path),
                    ("--verify-folds", self.verify_folds),
                    ("--cv-metric", self.cv_metric != MetricName::Deviance),
                    ("--alpha", self.alpha.is_some() && self.lambda.is_none()),
                ];
                return match of_path.iter().find(|(_, is_given)| *is_given) {
                    Some((name, _)) => Err(Error::usage(
                        format!("{name} says something of a penalty that is not asked for"),
                        "Say --path or --folds too, or --lambdas; --alpha goes with --lambda as well.",
                    )),
                    None => Ok(None),
                };
            }
        };
        let alpha = self.alpha.unwrap_or(1.0);
        let metric = match self.cv_metric {
            MetricName::Deviance => Metric::Deviance,
            MetricName::Auc => Metric::Auc,
            MetricName::Error => Metric::Error,
            MetricName::Brier => Metric::Brier,
        };
        if self.verify_folds && !has_folds {
            return Err(Error::usage(
                "--verify-folds is about a cross-validation that is not asked for",
                "Say --folds too.",
            ));
        }
        if metric != Metric::Deviance && !has_folds {
            return Err(Error::usage(
                format!("--cv-metric {} goes by a cross-validation that is not asked for", metric.name()),
                "Say --folds too.",
            ));
        }
        let selected = self.selected(has_folds)?;
        Ok(Some(PathJob {
            strengths,
            alpha,
            is_full: self.full_path,
            selected,
            metric,
            visits_all_folds: self.verify_folds,
        }))
    }

    /// The strength of the model itself.
    fn selected(&self, has_folds: bool) -> Result<SelectedStrength> {
        Ok(match self.select.as_deref() {
            None if has_folds => SelectedStrength::Minimum,
            None => SelectedStrength::Last,
            Some("min") => SelectedStrength::Minimum,
            Some("1se") => SelectedStrength::OneStandardError,
            Some(text) => SelectedStrength::At(text.parse().map_err(|_| {
                Error::usage(
                    format!("--select {} is no strength of a path", plain(text)),
                    "Give a positive number, such as one of the strengths; or, with folds, min or 1se.",
                )
            })?),
        })
    }

    /// The folds, if some are asked for.
    fn fold_spec(&self) -> Option<FoldSpec> {
        let dealing = match (&self.fold_column, &self.fold_groups) {
            (Some(column), _) => Dealing::Column(column.clone()),
            (None, Some(column)) => Dealing::Groups(column.clone()),
            (None, None) if self.fold_blocks => Dealing::Blocks,
            (None, None) => Dealing::Chance,
        };
        let is_asked_for = self.folds.is_some() || dealing != Dealing::Chance;
        let count = self.folds.unwrap_or(DEFAULT_FOLDS);
        is_asked_for.then_some(FoldSpec { count, seed: self.rows.seed, dealing })
    }
}
