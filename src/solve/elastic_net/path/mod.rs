//! A path: the minima with an elastic net at many strengths, in few passes over the rows.
//!
//! The Hessian of all rows is taken at a few strengths far apart, the *stations*. Between two of them a model of the loss that is
//! right at both (`surrogate`) has other minima. A first visit of the rows evaluates at a few of them, the *marks*, and a second one
//! at those between two marks, which their gradients lead to. What is not near enough is looked for again with the gradient that it
//! has. Where the sample is the table, the model is the loss, and one visit is enough.
mod end;
mod folds;
mod null;
mod predictions;
mod stations;
mod visits;
mod walk;

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::monitor::Monitor;
use crate::objective::Objective;
use crate::penalty::Term;
use crate::solve::{Settings, Start};
pub use folds::{FoldModels, FoldProblem, FoldRows};
use null::{null_model, strengths_of};
use walk::Walk;

/// Which strengths a path has.
#[derive(Clone, Debug, PartialEq)]
pub enum Strengths {
    /// So many, equally far apart in their logarithms, from the least that selects nothing down to a share of it.
    Grid {
        /// How many.
        count: usize,
        /// The last as a share of the first; for `None` 1e-4 where there are more rows than parameters, else 1e-2, as in glmnet.
        ratio: Option<f64>,
    },
    /// These, descending.
    Given(Vec<f64>),
}

/// What a path is of.
pub struct PathProblem<'p> {
    /// The terms of all parameters for strengths of L1 and L2.
    pub terms: &'p dyn Fn([f64; 2]) -> Vec<Term>,
    /// Which strengths.
    pub strengths: &'p Strengths,
    /// The share of L1 in a strength, in 0..1.
    pub alpha: f64,
    /// What may be left to gain, a share of the loss of the model without penalised columns.
    pub gap_tolerance: f64,
    /// Whether a grid ends where weaker penalties explain next to nothing more.
    pub ends_early: bool,
    /// Whether the sample is the table.
    pub has_all_rows: bool,
    /// Parameters of a margin, if the points are to tell what is on the edge.
    pub margin: Option<usize>,
}

/// The minimum at a strength.
#[derive(Clone, Debug)]
pub struct PathPoint {
    /// The strength, of both parts of the penalty.
    pub strength: f64,
    /// The parameters, in the solver's coordinates.
    pub parameters: Vec<f64>,
    /// The mean loss, without the penalty.
    pub loss: f64,
    /// What is left to gain of the mean loss, by the curvature of the path.
    pub gap: f64,
    /// The parameters whose selection that leaves open, ascending: none at the first strength of a grid, which is where one is about to be
    /// selected.
    pub on_edge: Vec<usize>,
}

/// A path that was walked.
#[derive(Clone, Debug)]
pub struct PathOutcome {
    /// By descending strengths.
    pub points: Vec<PathPoint>,
    /// The mean loss without the penalised columns.
    pub null: f64,
    /// Where the Hessian of all rows was taken, by descending strengths; none where the sample is the table, or there are too many
    /// parameters.
    pub stations: Vec<PathStation>,
}

/// Where the Hessian of all rows was taken.
#[derive(Clone, Debug)]
pub struct PathStation {
    /// The strength.
    pub strength: f64,
    /// Where.
    pub point: Vec<f64>,
    /// The Hessian there.
    pub hessian: Symmetric,
    /// What it is beside that of the sample.
    pub correction: Symmetric,
}

/// Finds the minima along a path. The mean loss `objective` stands at `start` with its Hessian; `sample` is the loss of a sample of
/// the rows on the host.
///
/// # Cost
/// A pass with a Hessian at each station, and a visit of an eighth of a pass for each strength, one or two of them for some.
///
/// # Errors
/// Those of the objectives, and that of a monitor that interrupts.
pub fn path<'o>(
    objective: &'o mut dyn Objective,
    mut sample: Option<&'o mut dyn Objective>,
    start: Start,
    problem: &'o PathProblem<'o>,
    settings: &'o Settings,
    monitor: &dyn Monitor,
) -> Result<PathOutcome> {
    let null = null_model(
        objective,
        sample.as_deref_mut().map(|sample| sample as &mut dyn Objective),
        start,
        problem,
        settings,
        monitor,
    )?;
    let strengths = strengths_of(problem, &null, settings)?;
    let mut walk = Walk::new(objective, sample, problem, settings, &strengths, null)?;
    monitor.begin("the path", None);
    walk.coarse(monitor)?;
    walk.visit_all(monitor)?;
    while walk.repair(monitor, false)? {}
    monitor.end();
    walk.finish(monitor)
}
