//! The job: what to fit, where, and how.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::data::{ClassWeight, Shape, Spec, WeightKind};
use crate::engine::storage::Limits;
use crate::engine::{DEFAULT_TIMEOUT, Selection};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::penalty::PenaltyScale;
use crate::solve::elastic_net::Strengths;
use crate::solve::{DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE, Preconditioner};

/// A solver, by the name in the model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// Preconditioned nonlinear conjugate gradient.
    #[default]
    Cg,
    /// Newton's method.
    Newton,
    /// Limited-memory BFGS.
    Lbfgs,
    /// Gradient descent.
    GradientDescent,
    /// The posterior of Gaussian classes with one covariance, in closed form.
    Generative,
}

/// Where a solver begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// Weights 0, and the intercept at the log odds of the classes.
    #[default]
    Zero,
    /// Along the posterior of Gaussian classes, as far as the loss falls.
    Generative,
}

impl Solver {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cg => "cg",
            Self::Newton => "newton",
            Self::Lbfgs => "lbfgs",
            Self::GradientDescent => "gradient-descent",
            Self::Generative => "generative",
        }
    }
}

/// Coefficients of a softmax whose covariance is taken at most: 2 GiB, and 1.5e12 operations for its inverse.
const COVARIANCE_PARAMETERS: usize = 16_384;

/// Parameters up to which their products over the file are taken at all: the squares of 20,000 columns do not fit memory, however
/// few the rows.
pub(super) const MOST_OF_FEW: usize = 4096;

/// Up to this many parameters the Hessian of all rows is taken for an elastic net; with more, that of a sample, of what is nearly
/// selected.
pub(super) const ELASTIC_NET_PARAMETERS: usize = 1024;

/// The classes of which every one has penalised weights of its own: of two it is their difference that is penalised.
pub(super) fn penalised_classes(shape: Shape) -> Option<usize> {
    shape.classes.filter(|&classes| classes > 2)
}

/// The parameters of an elastic net.
pub(super) fn elastic_net_parameters(shape: Shape) -> usize {
    penalised_classes(shape).unwrap_or(1) * (shape.features + 1)
}

/// The default of [`Job::gap_tolerance`].
pub const DEFAULT_GAP_TOLERANCE: f64 = 1e-8;

/// Which strengths a path of elastic nets has, and which of them the model is.
#[derive(Clone, Debug, PartialEq)]
pub struct PathJob {
    /// The strengths.
    pub strengths: Strengths,
    /// The share of L1 in each strength, from 0 to 1.
    pub alpha: f64,
    /// All strengths, also where weaker penalties explain next to nothing more.
    pub is_full: bool,
    /// The strength of the model itself.
    pub selected: SelectedStrength,
    /// What cross-validation, if there is one, goes by.
    pub metric: Metric,
    /// Whether it visits the training rows of all folds at all strengths, and not at some of them.
    pub visits_all_folds: bool,
}

/// Which strength of a path the model itself has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum SelectedStrength {
    /// The last one.
    #[default]
    Last,
    /// This one, on the path.
    At(f64),
    /// The one with the best mean over the folds of a cross-validation.
    Minimum,
    /// The largest one whose mean is within a standard error of that.
    OneStandardError,
}

/// How well models tell rows that they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Twice the mean cross-entropy.
    #[default]
    Deviance,
    /// The area under the curve of each fold.
    Auc,
    /// The share of the rows whose class is not the more probable one.
    Error,
    /// The mean square of what probabilities are off by.
    Brier,
}

impl Metric {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deviance => "deviance",
            Self::Auc => "auc",
            Self::Error => "error",
            Self::Brier => "brier",
        }
    }
}

impl Default for PathJob {
    fn default() -> Self {
        let strengths = Strengths::Grid { count: DEFAULT_STRENGTHS, ratio: None };
        Self {
            strengths,
            alpha: 1.0,
            is_full: false,
            selected: SelectedStrength::Last,
            metric: Metric::Deviance,
            visits_all_folds: false,
        }
    }
}

/// The default number of strengths of a path.
pub const DEFAULT_STRENGTHS: usize = 100;

/// Strengths of a path at most.
const MOST_STRENGTHS: usize = 10_000;

/// How often a run writes down where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// After so many passes over the data.
    Passes(u64),
    /// After so much time, at the end of the pass that is under way.
    Time(Duration),
}

impl Default for Every {
    fn default() -> Self {
        Self::Time(Duration::from_secs(60))
    }
}

/// A checkpoint that a run keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointJob {
    /// Its file.
    pub path: PathBuf,
    /// How often it is written.
    pub every: Every,
    /// Whether the run goes on from it.
    pub resumes: bool,
    /// Whether it stays when the run ends well, for a caller who has still to write the model and removes it then
    /// ([`end_checkpoint`](super::end_checkpoint)).
    pub stays: bool,
}

/// What to fit, where, and how. A chain of settings makes one:
///
/// ```
/// use gpu_logreg::Job;
///
/// let job = Job::label("bought").features(["age", "city"]).weight("count").l2(1e-3).inference(0.95);
/// ```
///
/// Everything has a default: all other columns are features, without a penalty, on a graphics card if there is one.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which columns.
    pub spec: Spec,
    /// On which device.
    pub device: Selection,
    /// How much of the table may be kept where.
    pub limits: Limits,
    /// How long a GPU may take for a piece of work, of 50 ms as a rule, before it counts as hanging.
    pub gpu_timeout: Duration,
    /// If given, the run writes down where it is.
    pub checkpoint: Option<CheckpointJob>,
    /// If given, the run ends at the first iteration after this much time, with what it has come to.
    pub time_limit: Option<Duration>,
    /// Whether an interrupt ends the iterations with what they have come to, and not the run without a model.
    pub keep_on_interrupt: bool,
    /// If given, the run begins with these coefficients, by the names of the features, where the loss is less there than at `init`.
    pub start: Option<Arc<Model>>,
    /// Strength of the L1 penalty on the mean loss, at least 0: `l1 sum |w|`, which leaves columns out.
    pub l1: f64,
    /// Strength of the L2 penalty on the mean loss, at least 0.
    pub l2: f64,
    /// If given, models at many strengths of an elastic net, in place of `l1` and `l2`.
    pub path: Option<PathJob>,
    /// On which scale the weights are penalised.
    pub penalty_scale: PenaltyScale,
    /// What both strengths are multiplied by for a feature, a category or a pattern: 0 for one that is not penalised, infinite for
    /// one that is left out. 1 for the others.
    pub penalty_factors: Vec<(String, f64)>,
    /// The least and the greatest coefficient of a feature, a category or a pattern, on the original scale; 0 lies between them.
    pub bounds: Vec<(String, [f64; 2])>,
    /// No coefficient of a feature is below 0, unless it has bounds of its own.
    pub nonnegative: bool,
    /// Whether to fit an intercept.
    pub intercept: bool,
    /// The method.
    pub solver: Solver,
    /// Where it begins.
    pub init: Init,
    /// What stands in for the inverse Hessian; `None` for what suits the solver.
    pub preconditioner: Option<Preconditioner>,
    /// Distance to the optimum, in standard errors, that counts as converged.
    pub tolerance: f64,
    /// If given, the largest component of the gradient that counts as zero, instead of `tolerance`.
    pub gradient_tolerance: Option<f64>,
    /// With an L1 penalty, what may be left to gain, a share of the null deviance, instead of `tolerance`.
    pub gap_tolerance: f64,
    /// Iterations at most.
    pub max_iterations: u64,
    /// If given, standard errors and what follows from them.
    pub inference: Option<InferenceJob>,
    /// What a pass in f64 over the file is for.
    pub exact: ExactJob,
}

/// What passes in double precision over the file, not the narrowed copy, are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExactJob {
    /// There are none.
    #[default]
    None,
    /// One, to see loss, gradient and distance as the file sees them.
    Verify,
    /// A few, to refine the coefficients to the double-precision answer.
    Refine,
}

/// What to infer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InferenceJob {
    /// Probability that an interval covers, in 0..1.
    pub confidence: f64,
    /// White's sandwich (HC0) instead of the inverse information. Sampling weights and weights of classes always take a
    /// sandwich.
    pub robust: bool,
}

impl InferenceJob {
    /// An error if the confidence is no probability.
    pub fn check(self) -> Result<()> {
        if self.confidence > 0.0 && self.confidence < 1.0 {
            return Ok(());
        }
        Err(Error::usage(
            format!("⟦confidence {}⟧ is no probability", self.confidence),
            "Give a number between 0 and 1, such as 0.95.",
        ))
    }
}

impl PathJob {
    /// An error if a number makes no sense.
    fn check(&self) -> Result<()> {
        let fault = |what: String, way_out: &str| Err(Error::usage(what, way_out));
        if !(0.0..=1.0).contains(&self.alpha) {
            return fault(
                format!("⟦alpha {:?}⟧ is no share of L1", self.alpha),
                "Give a number from 0 (ridge) to 1 (lasso).",
            );
        }
        match &self.strengths {
            Strengths::Grid { count, ratio } => {
                if !(1..=MOST_STRENGTHS).contains(count) {
                    return fault(
                        format!("a path of {count} strengths is none"),
                        &format!("Give a number from 1 to {MOST_STRENGTHS}, such as {DEFAULT_STRENGTHS}."),
                    );
                }
                if let Some(ratio) = ratio
                    && !(*ratio > 0.0 && *ratio < 1.0)
                {
                    return fault(
                        format!("⟦lambda-min-ratio {ratio:?}⟧ is no share of the largest strength"),
                        "Give a number between 0 and 1, such as 1e-4.",
                    );
                }
            }
            Strengths::Given(strengths) => {
                if !(1..=MOST_STRENGTHS).contains(&strengths.len()) {
                    return fault(
                        format!("{} strengths are no path", strengths.len()),
                        &format!("Give from 1 to {MOST_STRENGTHS} of them."),
                    );
                }
                if let Some(strength) = strengths.iter().find(|x| !(**x > 0.0 && x.is_finite())) {
                    return fault(
                        format!("{strength:?} is no strength of a path"),
                        "Give positive numbers; a strength of 0 is a run without ⟦path⟧.",
                    );
                }
                if !strengths.is_sorted_by(|a, b| a > b) {
                    return fault("the strengths of a path do not descend".into(), "Sort them, and give each once.");
                }
            }
        }
        match self.selected {
            SelectedStrength::At(selected) if !(selected > 0.0 && selected.is_finite()) => fault(
                format!("⟦select {selected:?}⟧ is no strength of a path"),
                "Give a positive number, such as one of the strengths.",
            ),
            _ => Ok(()),
        }
    }
}

impl Job {
    /// Whether rows are weighed by more than how often they were observed: by sampling weights, or by factors of their
    /// classes.
    pub(super) fn weighs_beyond_counts(&self) -> bool {
        self.takes_sampling_weights() || self.spec.class_weight != ClassWeight::Equal
    }

    pub(super) fn takes_sampling_weights(&self) -> bool {
        self.spec.weight.is_some() && self.spec.weight_kind == Some(WeightKind::Sampling)
    }

    /// An error if a number of the job makes no sense.
    pub fn check_numbers(&self) -> Result<()> {
        for (name, value) in [("l1", self.l1), ("l2", self.l2)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::usage(
                    format!("⟦{name} {value}⟧ is no strength of a penalty"),
                    "Give a number from 0 on.",
                ));
            }
        }
        for (name, value) in [
            ("tolerance", Some(self.tolerance)),
            ("gradient-tolerance", self.gradient_tolerance),
            ("gap-tolerance", Some(self.gap_tolerance)),
        ] {
            if let Some(value) = value
                && !(value > 0.0 && value.is_finite())
            {
                return Err(Error::usage(format!("⟦{name} {value}⟧ can never be met"), "Give a positive number."));
            }
        }
        if let Some(folds) = &self.spec.folds {
            folds.check()?;
        }
        self.check_ending()?;
        let goes_by_folds =
            |path: &PathJob| matches!(path.selected, SelectedStrength::Minimum | SelectedStrength::OneStandardError);
        if self.spec.folds.is_none() && self.path.as_ref().is_some_and(goes_by_folds) {
            return Err(Error::usage(
                "which strength of the path is best is not known without a cross-validation",
                "Say ⟦folds⟧ too, or name a strength with ⟦select⟧.",
            ));
        }
        if self.spec.folds.is_some() && self.path.is_none() {
            return Err(Error::usage("⟦folds⟧ are for a path of penalties", "Say ⟦path⟧ too."));
        }
        if let Some(path) = &self.path {
            path.check()?;
            if self.l1 > 0.0 || self.l2 > 0.0 {
                return Err(Error::usage(
                    "⟦path⟧ goes through many strengths of the penalty, and ⟦l1⟧ or ⟦l2⟧ says one",
                    "Leave ⟦l1⟧ and ⟦l2⟧ out; ⟦alpha⟧ is the share of L1.",
                ));
            }
        }
        self.inference.map_or(Ok(()), InferenceJob::check)
    }

    /// An error if the settings do not fit the model that a table with such a shape leads to.
    pub(super) fn check(&self, shape: Shape) -> Result<()> {
        let of_softmax = shape.classes.is_some();
        let fault = |what: &str, way_out: &str| Err(Error::usage(what, way_out));
        match self.preconditioner {
            Some(Preconditioner::Bound) if !of_softmax => {
                return fault("⟦preconditioner bound⟧ is for several classes", "With two, say hessian or subsample.");
            }
            _ => {}
        }
        self.check_elastic_net(shape)?;
        self.check_generative(shape)?;
        let takes_whole = self.inference.is_some() || self.exact != ExactJob::None;
        if of_softmax && takes_whole && shape.parameters() > COVARIANCE_PARAMETERS {
            return Err(Error::usage(
                format!(
                    "⟦inference⟧, ⟦verify⟧ and ⟦refine⟧ take the Hessian of all {} coefficients ({} classes, {} features): {} \
                     GB, and several times that on the way",
                    shape.parameters(),
                    shape.margins() + 1,
                    shape.features,
                    (8 * shape.parameters().pow(2)) >> 30
                ),
                "Leave them out, or train fewer classes or features.",
            ));
        }
        if self.inference.is_some() && self.weighs_beyond_counts() && shape.parameters() > MOST_OF_FEW {
            return Err(Error::usage(
                format!(
                    "⟦inference⟧ with sampling weights or ⟦class-weight⟧ takes the products of all {} coefficients in double \
                     precision, for {MOST_OF_FEW} of them at most",
                    shape.parameters()
                ),
                "Leave it out, or train fewer classes or features.",
            ));
        }
        Ok(())
    }

    /// Whether there is a penalty: then a minimum exists, whatever the columns are.
    pub(super) fn is_penalised(&self) -> bool {
        self.l1 > 0.0 || self.l2 > 0.0 || self.path.is_some()
    }

    /// Whether the penalty is more than a square of the weights: it has a kink, or differs from column to column.
    pub fn has_elastic_net(&self) -> bool {
        self.l1 > 0.0
            || self.path.is_some()
            || !self.penalty_factors.is_empty()
            || !self.bounds.is_empty()
            || self.nonnegative
    }

    /// The setting that makes the penalty one.
    fn name_of_elastic_net(&self) -> &'static str {
        if self.path.is_some() {
            "⟦path⟧"
        } else if self.l1 > 0.0 {
            "⟦l1⟧"
        } else if !self.penalty_factors.is_empty() {
            "⟦penalty-factor⟧"
        } else if !self.bounds.is_empty() {
            "⟦bounds⟧"
        } else {
            "⟦nonnegative⟧"
        }
    }

    /// An error if the run is to end early, and has nothing then.
    fn check_ending(&self) -> Result<()> {
        if self.path.is_none() || self.time_limit.is_none() && !self.keep_on_interrupt {
            return Ok(());
        }
        Err(Error::usage(
            "⟦path⟧ has no best point before its end, with which ⟦time-limit⟧ or ⟦keep-on-interrupt⟧ could end the run",
            "Say ⟦checkpoint⟧ instead, and interrupt the run: another one goes on from there.",
        ))
    }

    /// An error if an elastic net cannot do what the job asks for.
    fn check_elastic_net(&self, shape: Shape) -> Result<()> {
        if !self.has_elastic_net() {
            return Ok(());
        }
        let named = self.name_of_elastic_net();
        let fault = |what: &str, way_out: &str| Err(Error::usage(format!("{named} {what}"), way_out));
        let ranks = self.path.as_ref().is_some_and(|path| path.metric == Metric::Auc);
        if penalised_classes(shape).is_some() && self.spec.folds.is_some() && ranks {
            return Err(Error::usage(
                "⟦cv-metric auc⟧ is for two classes",
                "Say deviance, error or brier for several of them.",
            ));
        }
        if self.solver == Solver::Generative {
            return fault("has no meaning with ⟦solver generative⟧, which has no penalty", "Leave one of them out.");
        }
        let begins_at_0 = self.init == Init::Zero && self.start.is_none();
        if self.solver != Solver::Cg || self.preconditioner.is_some() || !begins_at_0 {
            return fault(
                "has a method of its own, proximal Newton steps from 0",
                "Leave ⟦solver⟧, ⟦preconditioner⟧ and ⟦init⟧ out.",
            );
        }
        if self.gradient_tolerance.is_some() {
            return fault("ends a run by what is left to gain", "Say ⟦gap-tolerance⟧ instead of ⟦gradient-tolerance⟧.");
        }
        if self.inference.is_some() {
            return fault(
                "has no standard errors for ⟦inference⟧: where columns are chosen or held at bounds by the same rows they would be too \
                 small, and penalties that differ have none here",
                "Leave one of them out; or train without a penalty on the columns that were chosen, on rows that did not choose them.",
            );
        }
        let parameters = elastic_net_parameters(shape);
        if parameters <= ELASTIC_NET_PARAMETERS {
            return Ok(());
        }
        if shape.has_levels() || penalised_classes(shape).is_some() {
            let why = if penalised_classes(shape).is_some() {
                "of every class"
            } else {
                "where some are levels of categories"
            };
            return Err(Error::usage(
                format!(
                    "{named} takes the Hessian of all {parameters} coefficients {why}, of {ELASTIC_NET_PARAMETERS} at most",
                ),
                "Leave columns or categories out with ⟦ignore⟧, or say ⟦l2⟧ alone.",
            ));
        }
        if self.exact != ExactJob::None {
            return Err(Error::usage(
                format!(
                    "{named} has no Hessian of all {parameters} coefficients for ⟦verify⟧ and ⟦refine⟧, beyond {ELASTIC_NET_PARAMETERS} of them"
                ),
                "Leave them out; or train on the columns that were selected.",
            ));
        }
        Ok(())
    }

    /// An error if Gaussian classes cannot do what the job asks for.
    fn check_generative(&self, shape: Shape) -> Result<()> {
        let fault = |what: &str, way_out: &str| Err(Error::usage(what, way_out));
        if self.solver == Solver::Generative {
            if self.l2 > 0.0 {
                return fault("⟦solver generative⟧ has no penalty", "Leave ⟦l2⟧ out, or choose another solver.");
            }
            if self.inference.is_some() || self.exact != ExactJob::None {
                return fault(
                    "⟦inference⟧, ⟦verify⟧ and ⟦refine⟧ are about the maximum of the likelihood of the labels, and \
                     ⟦solver generative⟧ does not look for it",
                    "Leave them out, or choose another solver.",
                );
            }
            if self.start.is_some() {
                return fault(
                    "⟦init⟧ has no meaning with ⟦solver generative⟧, which is a closed form",
                    "Leave it out, or choose another solver.",
                );
            }
            if !self.intercept {
                return fault(
                    "⟦no-intercept⟧ has no meaning with ⟦solver generative⟧: the intercept comes from the priors and the \
                     means",
                    "Leave it out, or choose another solver.",
                );
            }
        }
        let takes_moments = self.solver == Solver::Generative || self.init == Init::Generative;
        if takes_moments && shape.offsets {
            return fault(
                "Gaussian classes have no offset",
                "Leave ⟦offset⟧ out, or ⟦solver generative⟧ and ⟦init generative⟧.",
            );
        }
        Ok(())
    }

    /// The job of a run that begins anew on the CPU after its device failed, without the checkpoint that it wrote there.
    pub fn start_over(&mut self) {
        self.device = Selection::Cpu;
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|checkpoint| !checkpoint.resumes) {
            // What is there is of the run before, or of none.
            let _ = std::fs::remove_file(&checkpoint.path);
        }
    }

    /// Maximum likelihood with the defaults.
    pub fn new(spec: Spec, device: Selection) -> Self {
        Self {
            spec,
            device,
            limits: Limits::default(),
            gpu_timeout: DEFAULT_TIMEOUT,
            checkpoint: None,
            time_limit: None,
            keep_on_interrupt: false,
            start: None,
            l1: 0.0,
            l2: 0.0,
            path: None,
            penalty_scale: PenaltyScale::default(),
            penalty_factors: Vec::new(),
            bounds: Vec::new(),
            nonnegative: false,
            intercept: true,
            solver: Solver::default(),
            init: Init::default(),
            preconditioner: None,
            tolerance: DEFAULT_TOLERANCE,
            gradient_tolerance: None,
            gap_tolerance: DEFAULT_GAP_TOLERANCE,
            max_iterations: DEFAULT_MAX_ITERATIONS,
            inference: None,
            exact: ExactJob::None,
        }
    }
}
