//! A job as a chain of settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::data::{ClassWeight, FoldSpec, Nulls, Spec, WeightKind};
use crate::engine::Selection;
use crate::engine::storage::Limits;
use crate::model::Model;
use crate::penalty::PenaltyScale;
use crate::solve::Preconditioner;
use crate::train::job::{CheckpointJob, Every, ExactJob, InferenceJob, Init, Job, PathJob, SelectedStrength, Solver};

/// The settings, each of which gives the job on.
impl Job {
    /// A model of the column `name`, on a graphics card if there is one.
    pub fn label(name: impl Into<String>) -> Self {
        let spec = Spec { label: Some(name.into()), ..Spec::default() };
        Self::new(spec, Selection::Auto)
    }

    /// The value of the label that counts as positive, of two.
    #[must_use]
    pub fn positive(mut self, class: impl Into<String>) -> Self {
        self.spec.positive = Some(class.into());
        self
    }

    /// A softmax over the values of the label, however many there are.
    #[must_use]
    pub fn multinomial(mut self) -> Self {
        self.spec.multinomial = true;
        self
    }

    /// The features, by name or pattern (`*`, `?`).
    #[must_use]
    pub fn features<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.spec.features = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Columns to leave out, by name or pattern.
    #[must_use]
    pub fn ignore<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.spec.ignore = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Columns that are categories although they are no text, by name or pattern.
    #[must_use]
    pub fn categorical<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.spec.categorical = columns.into_iter().map(Into::into).collect();
        self
    }

    /// What is done about missing values.
    #[must_use]
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.spec.nulls = nulls;
        self
    }

    /// The column of row weights: a row of weight 2 counts as if it were there twice.
    #[must_use]
    pub fn weight(mut self, column: impl Into<String>) -> Self {
        self.spec.weight = Some(column.into());
        self
    }

    /// The column of sampling weights: of how many of a population each row was observed.
    #[must_use]
    pub fn sampling_weight(mut self, column: impl Into<String>) -> Self {
        self.spec.weight_kind = Some(WeightKind::Sampling);
        self.weight(column)
    }

    /// What the rows of each class weigh.
    #[must_use]
    pub fn class_weight(mut self, factors: ClassWeight) -> Self {
        self.spec.class_weight = factors;
        self
    }

    /// The column of offsets; of several classes `CLASS=COL`, once for each that has some.
    #[must_use]
    pub fn offset(mut self, column: impl Into<String>) -> Self {
        self.spec.offsets.push(column.into());
        self
    }

    /// Whether to fit an intercept.
    #[must_use]
    pub fn intercept(mut self, fits_one: bool) -> Self {
        self.intercept = fits_one;
        self
    }

    /// The level of a category that is its reference, or the class of the label that is.
    #[must_use]
    pub fn reference(mut self, column: impl Into<String>, level: impl Into<String>) -> Self {
        self.spec.references.push((column.into(), level.into()));
        self
    }

    /// Levels that a category may have.
    #[must_use]
    pub fn max_levels(mut self, levels: usize) -> Self {
        self.spec.max_levels = levels;
        self
    }

    /// Strength of the L1 penalty on the mean loss: columns that gain less than it costs are left out.
    #[must_use]
    pub fn l1(mut self, strength: f64) -> Self {
        self.l1 = strength;
        self
    }

    /// The elastic net of glmnet: an L1 penalty of `alpha lambda` and an L2 penalty of `(1 - alpha) lambda`.
    #[must_use]
    pub fn elastic_net(self, lambda: f64, alpha: f64) -> Self {
        self.l1(alpha * lambda).l2((1.0 - alpha) * lambda)
    }

    /// Elastic nets of many strengths, from the first that selects a feature on.
    #[must_use]
    pub fn path(mut self, path: PathJob) -> Self {
        self.path = Some(path);
        self
    }

    /// Cross-validates the path, which is that of the default if none was given, and takes the strength with the best mean unless
    /// another one was selected.
    #[must_use]
    pub fn folds(mut self, folds: FoldSpec) -> Self {
        let path = self.path.get_or_insert_default();
        if path.selected == SelectedStrength::Last {
            path.selected = SelectedStrength::Minimum;
        }
        self.spec.folds = Some(folds);
        self
    }

    /// Multiplies the penalty of a feature, a category or a pattern: 0 for one that is not penalised, infinite for one left out.
    #[must_use]
    pub fn penalty_factor(mut self, feature: impl Into<String>, factor: f64) -> Self {
        self.penalty_factors.push((feature.into(), factor));
        self
    }

    /// Holds the coefficient of a feature, a category or a pattern between two numbers, on the original scale; 0 lies between them.
    #[must_use]
    pub fn bounds(mut self, feature: impl Into<String>, low: f64, high: f64) -> Self {
        self.bounds.push((feature.into(), [low, high]));
        self
    }

    /// No coefficient of a feature is below 0.
    #[must_use]
    pub fn nonnegative(mut self) -> Self {
        self.nonnegative = true;
        self
    }

    /// With an L1 penalty, what may be left to gain, a share of the null deviance.
    #[must_use]
    pub fn gap_tolerance(mut self, share: f64) -> Self {
        self.gap_tolerance = share;
        self
    }

    /// Strength of the L2 penalty on the mean loss.
    #[must_use]
    pub fn l2(mut self, strength: f64) -> Self {
        self.l2 = strength;
        self
    }

    /// On which scale the weights are penalised.
    #[must_use]
    pub fn penalty_scale(mut self, scale: PenaltyScale) -> Self {
        self.penalty_scale = scale;
        self
    }

    /// Standard errors, tests and limits that cover with this probability.
    #[must_use]
    pub fn inference(mut self, confidence: f64) -> Self {
        let robust = self.inference.is_some_and(|inference| inference.robust);
        self.inference = Some(InferenceJob { confidence, robust });
        self
    }

    /// White's sandwich (HC0) in place of the inverse information; with limits of 95 % if nothing else was said.
    #[must_use]
    pub fn robust(mut self) -> Self {
        let confidence = self.inference.map_or(0.95, |inference| inference.confidence);
        self.inference = Some(InferenceJob { confidence, robust: true });
        self
    }

    /// The answer of double precision over the rows as they are.
    #[must_use]
    pub fn refine(mut self) -> Self {
        self.exact = ExactJob::Refine;
        self
    }

    /// One pass in double precision over the rows as they are, to see how near the coefficients are.
    #[must_use]
    pub fn verify(mut self) -> Self {
        self.exact = ExactJob::Verify;
        self
    }

    /// On which device.
    #[must_use]
    pub fn device(mut self, device: Selection) -> Self {
        self.device = device;
        self
    }

    /// Writes down in this file where the run is, once a minute, so that another one goes on there ([`Job::resume`]). A run that ends
    /// well removes it.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint =
            Some(CheckpointJob { path: path.into(), every: Every::default(), resumes: false, stays: false });
        self
    }

    /// Goes on from the checkpoint of a run over the same table with the same settings, and keeps it up.
    #[must_use]
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint =
            Some(CheckpointJob { path: path.into(), every: Every::default(), resumes: true, stays: false });
        self
    }

    /// Ends at the first iteration after this much time, with what the run has come to.
    #[must_use]
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.time_limit = Some(time);
        self
    }

    /// Begins with the coefficients of a model, by the names of the features; those that it does not know are 0.
    #[must_use]
    pub fn start(mut self, model: Model) -> Self {
        self.start = Some(Arc::new(model));
        self
    }

    /// How much of the table may be kept where.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// By this method.
    #[must_use]
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// Where the method begins.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// What stands in for the inverse Hessian.
    #[must_use]
    pub fn preconditioner(mut self, preconditioner: Preconditioner) -> Self {
        self.preconditioner = Some(preconditioner);
        self
    }

    /// Distance to the optimum, in standard errors, that counts as converged.
    #[must_use]
    pub fn tolerance(mut self, standard_errors: f64) -> Self {
        self.tolerance = standard_errors;
        self
    }

    /// The largest component of the gradient that counts as zero, instead of a distance in standard errors.
    #[must_use]
    pub fn gradient_tolerance(mut self, largest: f64) -> Self {
        self.gradient_tolerance = Some(largest);
        self
    }

    /// Iterations at most.
    #[must_use]
    pub fn max_iterations(mut self, iterations: u64) -> Self {
        self.max_iterations = iterations;
        self
    }
}
