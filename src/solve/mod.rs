//! Solvers. They see an [`Objective`](crate::objective::Objective) and a [`Monitor`], one of them the rows where
//! they are few, and never a table or a device.

mod aliasing;
mod cone;
mod conjugate_gradient;
mod descent;
pub mod elastic_net;
mod few_rows;
mod gradient_descent;
mod lbfgs;
mod line_search;
mod newton;
mod preconditioner;
mod proof;
mod refine;
mod refit;
mod rows;
pub mod separation;
mod stopping;

pub use aliasing::{aliased, suspicious};
pub use conjugate_gradient::conjugate_gradient;
pub use few_rows::{FewRows, few_rows};
pub use gradient_descent::gradient_descent;
pub use lbfgs::lbfgs;
pub use newton::newton;
pub use preconditioner::Choice as Preconditioner;
pub use proof::{Level, Reach, largest_error};
pub use refine::{Refined, refine};
pub use refit::refit;
pub use rows::{RowBlock, Rows, Sample};

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::monitor::{End, Monitor};
use crate::objective::{Evaluation, Passes, Probe};

/// How a solver stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The distance to the optimum is within the tolerance, confirmed by a fresh evaluation.
    Converged,
    /// As near as the arithmetic of this device comes: a claim within the tolerance needs f64.
    F32Limit,
    /// The iterations ran out.
    MaxIterations,
    /// The time that the run was given is over.
    TimeLimit,
    /// The user interrupted the run, and wanted what it had come to.
    Interrupted,
    /// No step along a direction of descent brought the slope down, from a fresh evaluation.
    LineSearchFailed,
    /// Fresh evaluations no longer improve, far from the optimum.
    Stalled,
    /// Some rows are told apart perfectly: the likelihood has no finite maximum.
    Separated,
    /// The value or the gradient is not finite.
    NonFinite,
}

impl Status {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::F32Limit => "f32_limit",
            Self::MaxIterations => "max_iterations",
            Self::TimeLimit => "time_limit",
            Self::Interrupted => "interrupted",
            Self::LineSearchFailed => "line_search_failed",
            Self::Stalled => "stalled",
            Self::Separated => "separated",
            Self::NonFinite => "non_finite",
        }
    }

    /// The status of a run that ends before the optimum because somebody wants it to.
    fn of_end(end: End) -> Self {
        match end {
            End::TimeLimit => Self::TimeLimit,
            End::Interrupted => Self::Interrupted,
        }
    }

    /// Whether somebody ended the run before the optimum: it has no doubt of its own.
    pub fn is_early(self) -> bool {
        matches!(self, Self::MaxIterations | Self::TimeLimit | Self::Interrupted)
    }

    /// Whether the parameters are as good as asked for, or as this device's arithmetic allows.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Converged | Self::F32Limit)
    }

    /// Whether the parameters estimate anything: a separated likelihood has no maximum.
    pub fn has_estimates(self) -> bool {
        !matches!(self, Self::Separated | Self::NonFinite)
    }

    /// What a status other than `converged` means for the user; empty for `converged`. It carries settings, as errors do
    /// ([`with_settings`](crate::wording::with_settings)).
    pub fn advice(self) -> &'static str {
        match self {
            Self::Converged => "",
            Self::F32Limit => {
                "as near as this device's arithmetic comes; ⟦refine⟧ goes on in double precision over the file, or raise \
                 ⟦tolerance⟧"
            }
            Self::MaxIterations => "the iterations ran out before the optimum was near; raise ⟦max-iterations⟧",
            Self::TimeLimit => {
                "the time was over before the optimum was near; raise ⟦time-limit⟧, or begin the next run with this model \
                 (⟦init⟧)"
            }
            Self::Interrupted => {
                "the run was interrupted before the optimum was near; the next one can begin with this model (⟦init⟧)"
            }
            Self::LineSearchFailed | Self::Stalled => {
                "the arithmetic of this device gets no nearer; try ⟦device cpu⟧, a larger ⟦tolerance⟧ or a penalty (⟦l2⟧)"
            }
            Self::Separated => {
                "the features tell the classes apart perfectly, at least for some rows, so the likelihood grows without end \
                 and these coefficients are no estimates; add a penalty (for example ⟦l2 1e-3⟧) or leave the columns out"
            }
            Self::NonFinite => {
                "the loss is not finite at the start or after a step; look for extreme values, or add a penalty (⟦l2⟧)"
            }
        }
    }
}

/// When a solver stops, and what it may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Distance to the optimum, in standard errors, that counts as converged.
    pub tolerance: f64,
    /// Distance at which the iterations stop, at most `tolerance`: what is made of the Hessian at the end is as near to
    /// that of the optimum as the point is.
    pub goal: f64,
    /// If given, the largest component of the gradient that counts as zero, instead of `tolerance`.
    pub gradient_tolerance: Option<f64>,
    /// Iterations at most.
    pub max_iterations: u64,
    /// What stands in for the inverse Hessian.
    pub preconditioner: Preconditioner,
    /// Rows behind the mean, N: turns a Newton decrement into standard errors.
    pub rows: f64,
    /// How many rows there are, whatever they weigh.
    pub count: f64,
    /// The distance, in standard errors, that the bias of the device's functions alone can make.
    pub bias: f64,
    /// The relative rounding of a term of a margin.
    pub rounding: f64,
    /// The Hessian is an approximation: good for directions and distances, not for what has no curvature.
    pub approximate: bool,
    /// How far the parameters reach into the margins of rows.
    pub reach: Reach,
    /// Margins of a row.
    pub margins: usize,
    /// Whether there may be no maximum; a penalised objective has one.
    pub may_separate: bool,
    /// The least pivot of a Hessian, scaled to a diagonal of 1, that its sums resolve.
    pub least_pivot: f64,
    /// Whoever asked wants the Hessian where the run ends.
    pub hessian_at_end: bool,
    /// The curvature that a penalty adds to each parameter, `[dimension]`, 0 for an intercept; empty without one.
    pub penalty: Vec<f64>,
    /// Passes over the data for which [`conjugate_gradient`] does without a Hessian, as L-BFGS; `None` if it begins with
    /// one.
    pub rent: Option<u64>,
}

impl Settings {
    /// The defaults, for a mean over `rows` of parameters that reach so far into a margin.
    pub fn new(rows: usize, reach: Vec<f64>) -> Self {
        Self {
            tolerance: DEFAULT_TOLERANCE,
            goal: DEFAULT_TOLERANCE,
            gradient_tolerance: None,
            max_iterations: DEFAULT_MAX_ITERATIONS,
            preconditioner: Preconditioner::Hessian,
            rows: rows as f64,
            count: rows as f64,
            bias: 0.0,
            rounding: 0.0,
            approximate: false,
            reach: Reach { parameters: reach, ..Reach::default() },
            margins: 1,
            may_separate: false,
            least_pivot: LEAST_PIVOT,
            hessian_at_end: false,
            penalty: Vec::new(),
            rent: None,
        }
    }
}

impl Settings {
    /// Whether sums are made in f32: rounding shows within the tolerance.
    pub(crate) fn is_f32(&self) -> bool {
        self.least_pivot > LEAST_PIVOT
    }
}

/// The default of [`Settings::tolerance`].
pub const DEFAULT_TOLERANCE: f64 = 1e-4;
/// The default of [`Settings::least_pivot`]: of sums in f64.
pub const LEAST_PIVOT: f64 = 1e-8;
/// The same of sums in f32.
pub const LEAST_PIVOT_OF_F32: f64 = 1e-3;
/// The default of [`Settings::max_iterations`].
pub const DEFAULT_MAX_ITERATIONS: u64 = 1000;

/// Where a solver begins: the objective stands at `point`, evaluated as `evaluation`.
#[derive(Clone, Debug)]
pub struct Start {
    /// The parameters.
    pub point: Vec<f64>,
    /// The evaluation there, with the Hessian.
    pub evaluation: Evaluation,
}

/// One iteration, as it is told to whoever wants the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration<'a> {
    /// Its number; 0 is the start.
    pub number: u64,
    /// The value.
    pub value: f64,
    /// The distance to the optimum in standard errors, where a Hessian is at hand.
    pub delta: Option<f64>,
    /// The largest component of the gradient.
    pub gradient_norm: f64,
    /// The step that was taken.
    pub step: f64,
    /// The line search that led here; none led to the start, or where none came to a step.
    pub search: Option<Search<'a>>,
    /// What the run has cost so far.
    pub passes: Passes,
    /// The parameters.
    pub point: &'a [f64],
}

/// What a line search saw of `phi`, the objective along its direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search<'a> {
    /// `phi(0)`.
    pub value: f64,
    /// `phi'(0)`.
    pub slope: f64,
    /// The steps that were tried, in their order; the first is the predicted one.
    pub tried: &'a [Probe],
}

/// Listens to the iterations of a solver.
pub type History<'h> = dyn FnMut(&Iteration<'_>) + 'h;

/// What a solver wants to know about the existence of a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The run could not prove it: the data must.
    Unproved,
    /// The run would have proved it, but for a Hessian that is an approximation.
    Approximate,
}

/// What the data say about the existence of a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is one: proved by rows that overlap.
    Exists,
    /// There is none.
    Separated,
    /// Nothing that could be looked at separates, and nothing proves that the rest does not.
    NotSeen,
    /// Double precision does not decide.
    Unclear,
}

/// Whoever can ask the data whether the likelihood has a maximum.
pub trait Existence {
    /// Asks. `point` is where the run stands: rows that fit badly there are likely to overlap.
    fn ask(&mut self, point: &[f64], doubt: Doubt) -> Result<Answer>;
}

/// A maximum that exists for certain, as that of a penalised objective.
#[derive(Clone, Copy, Debug)]
pub struct Certain;

impl Existence for Certain {
    fn ask(&mut self, _: &[f64], _: Doubt) -> Result<Answer> {
        Ok(Answer::Exists)
    }
}

/// Who is told of a run, and whom it may ask.
pub struct Company<'c, 'h> {
    /// Shows progress, and may interrupt.
    pub monitor: &'c dyn Monitor,
    /// Hears of every iteration.
    pub history: &'c mut History<'h>,
    /// Knows whether there is a maximum.
    pub existence: &'c mut dyn Existence,
}

/// What a solver leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The parameters, in the solver's coordinates.
    pub parameters: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// The gradient there.
    pub gradient: Vec<f64>,
    /// The Hessian where the run ended, if the last confirmation took one.
    pub hessian: Option<Symmetric>,
    /// Whether a maximum exists for certain.
    pub is_proved: bool,
    /// The distance to the optimum in standard errors at most, `sqrt(N g'H^-1 g)`, where a Hessian was at hand.
    pub delta: Option<f64>,
    /// Whether `delta` is a bound although the Hessian is an approximation: by the curvature of the penalty.
    pub is_bounded: bool,
    /// The distance that the arithmetic does not resolve: another evaluation might show it.
    pub delta_floor: f64,
    /// How it stopped.
    pub status: Status,
    /// Iterations: directions that were searched.
    pub iterations: u64,
    /// What it cost.
    pub passes: Passes,
}

impl Outcome {
    /// The largest absolute component of the gradient.
    pub fn gradient_norm(&self) -> f64 {
        largest(&self.gradient)
    }
}

/// The largest absolute component; NaN if there is one.
pub(crate) fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest: f64, x| if x.is_nan() { f64::NAN } else { largest.max(x.abs()) })
}

/// The inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The root of a square that rounding may have made negative; NaN stays.
pub(crate) fn root(square: f64) -> f64 {
    if square <= 0.0 { 0.0 } else { square.sqrt() }
}
