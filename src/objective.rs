//! What a solver sees: a smooth convex function of a few parameters, and its restriction to a line.
//!
//! An [`Objective`] stands at a point. [`Objective::move_to`] goes to a point and evaluates there
//! afresh; [`Objective::line`] looks along a direction from the point where it stands. A [`Line`]
//! *borrows* the objective, so nothing can move it in between, and [`Line::accept`] ends the line
//! at a step. Along `q + a p` the margins are `z + a u` with `u = X p`, so once `u` is known a probe
//! touches two numbers a row and never the features.

use crate::error::Result;
use crate::matrix::Symmetric;

/// What an evaluation is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Value and gradient.
    Gradient,
    /// The diagonal of the Hessian too.
    Diagonal,
    /// The Hessian too.
    Hessian,
}

/// The diagonal of a Hessian, and what maps it to other coordinates: its row of the intercept.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagonal {
    /// The diagonal, `[dimension]`.
    pub own: Vec<f64>,
    /// The row of the intercept, `[dimension]`.
    pub with_intercept: Vec<f64>,
}

/// Value and gradient at a point; they come from one pass and travel together.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The value, a mean over the rows.
    pub value: f64,
    /// The gradient, `[dimension]`.
    pub gradient: Vec<f64>,
    /// The diagonal of the Hessian, if that was needed.
    pub diagonal: Option<Diagonal>,
    /// The Hessian, `[dimension x dimension]`, if it was needed.
    pub hessian: Option<Symmetric>,
}

impl Evaluation {
    /// Whether everything in it is finite.
    pub fn is_finite(&self) -> bool {
        let hessian = self.hessian.as_ref().is_none_or(Symmetric::is_finite);
        self.value.is_finite() && self.gradient.iter().all(|g| g.is_finite()) && hessian
    }
}

/// The function `phi(a)` of a line at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// The step `a`.
    pub step: f64,
    /// `phi(a)`.
    pub value: f64,
    /// `phi'(a)`.
    pub slope: f64,
    /// `phi''(a)`.
    pub curvature: f64,
}

/// What a run costs, counted where the work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Passes {
    /// Streamings of the features, Hessian passes included.
    pub data: u64,
    /// How many of those accumulated a Hessian.
    pub hessian: u64,
    /// Probes of cached margins, which read two numbers a row.
    pub line: u64,
    /// Passes in double precision over the file itself, beside those of `--verify` and `--refine`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub file: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(passes: &u64) -> bool {
    *passes == 0
}

/// A smooth convex function that is expensive to evaluate.
pub trait Objective {
    /// The number of parameters.
    fn dimension(&self) -> usize;

    /// Evaluates at `point` afresh, without anything cached from earlier steps, and stays there.
    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation>;

    /// Evaluates at `point` with the Hessian of some parameters alone, `kept` in ascending order, `[kept x kept]`: a working set. Where
    /// the objective stands after it is not said.
    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let mut evaluation = self.move_to(point, Need::Hessian)?;
        evaluation.hessian = evaluation.hessian.map(|hessian| hessian.restricted(kept));
        Ok(evaluation)
    }

    /// Evaluates at several points, value and gradient, in one pass over the features where the objective has such a pass: then
    /// eight margins count as one. Where the objective stands after it is not
    /// said.
    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        points.iter().map(|point| self.move_to(point, Need::Gradient)).collect()
    }

    /// Looks along `direction` from where the objective stands and evaluates at `first_step`, all in
    /// one pass. `direction` is changed to what was really taken: an objective that works in f32
    /// rounds it, and the caller's parameters must follow the same path.
    ///
    /// # Panics
    /// If the objective does not stand anywhere yet, or `direction` has another length.
    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>>;

    /// The scatter of the rows' gradients where the objective stands, the mean of `r^2 x x'`, `[dimension x dimension]`:
    /// the middle of White's sandwich. A Hessian pass.
    fn scatter(&mut self) -> Result<Symmetric>;

    /// What the calls so far have cost.
    fn passes(&self) -> Passes;
}

/// The restriction of an [`Objective`] to a line from where it stands.
pub trait Line {
    /// The probe at the first step, which came with the line.
    fn first(&self) -> Probe;

    /// `phi`, `phi'` and `phi''` at each of `steps`, in their order.
    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>>;

    /// Moves the objective to `step` and evaluates there. No further pass over the data when `step`
    /// is the first one and only the gradient is needed.
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation>;
}

/// The places within a margin of `of_margin` parameters that some parameters of one margin or several have, ascending.
pub fn columns_of(parameters: &[usize], of_margin: usize) -> Vec<usize> {
    let mut columns: Vec<usize> = parameters.iter().map(|parameter| parameter % of_margin).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Where parameters stand among those of `columns` alone, of each margin, which begin `apart` places from each other.
///
/// # Panics
/// If a column is missing.
pub fn places_among(parameters: &[usize], of_margin: usize, columns: &[usize], apart: usize) -> Vec<usize> {
    let place = |&parameter: &usize| {
        let within = columns.binary_search(&(parameter % of_margin)).expect("its column is among them");
        parameter / of_margin * apart + within
    };
    parameters.iter().map(place).collect()
}

/// Steps are rounded to f32 before use, so that every device takes the same one.
pub fn round_step(step: f64) -> f64 {
    f64::from(step as f32)
}
