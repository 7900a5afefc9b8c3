//! What a run does about curvature, by the job and the shape of the table, and what that costs.

use crate::data::{Design, Shape};
use crate::solve::Preconditioner;
use crate::subsample::{
    FEW_ROWS, HESSIAN_FEATURES, LEAST_MODEL_ROWS, MODEL_ROWS_A_FEATURE, PATH_ROWS_A_FEATURE, PATH_VALUES,
    PENALIZED_FEATURES, ROWS_A_FEATURE, ROWS_A_PARAMETER, kept_rows,
};
use crate::train::job::{ELASTIC_NET_PARAMETERS, Job, Solver, elastic_net_parameters};

/// What a solver gets for a Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HessianPlan {
    /// That of all the data.
    Whole,
    /// That of a subsample of the rows.
    Subsample,
    /// The bound on that of a softmax.
    Bound,
    /// None: the penalty's tells how near the end is.
    Penalty,
    /// That of a sample of the rows, of the parameters that an elastic net selects or nearly does.
    WorkingSet,
}

/// Up to this many parameters the Hessian of a softmax is taken: it costs `parameters / 8` times what an evaluation does.
const HESSIAN_PARAMETERS: usize = 256;

/// Up to this many products of a row and two parameters it is taken for more of them: a second of a processor.
const FEW_PRODUCTS: usize = 4_000_000_000;

/// Up to this many parameters, and up to twice the root of the rows, that of a subsample is taken for a softmax: with 20
/// rows a parameter it costs `5 parameters^2 / rows` times what an evaluation does, and a few of them save some hundred.
const SUBSAMPLE_PARAMETERS: usize = 4096;

/// Operations on cached blocks in the time in which a pass reads a value from memory: on two cores 80 GFLOP/s beside 3.3e9
/// values a second.
const OPERATIONS_A_VALUE: f64 = 24.0;

/// Passes for which a run does without a Hessian at least: independent columns need no more of them.
const LEAST_RENT: u64 = 20;

impl Job {
    /// What the solver gets for a Hessian of a table with such a shape.
    pub(super) fn hessian_plan(&self, shape: Shape) -> HessianPlan {
        match self.preconditioner {
            _ if self.has_elastic_net() && elastic_net_parameters(shape) > ELASTIC_NET_PARAMETERS => {
                HessianPlan::WorkingSet
            }
            _ if self.has_elastic_net() => HessianPlan::Whole,
            Some(Preconditioner::Hessian) => HessianPlan::Whole,
            Some(Preconditioner::Bound) => HessianPlan::Bound,
            Some(Preconditioner::Subsample) => HessianPlan::Subsample,
            _ if shape.classes.is_some() => match shape.parameters() {
                ..=HESSIAN_PARAMETERS => HessianPlan::Whole,
                parameters if parameters <= HESSIAN_FEATURES && parameters.pow(2) * shape.rows <= FEW_PRODUCTS => {
                    HessianPlan::Whole
                }
                parameters if parameters <= SUBSAMPLE_PARAMETERS && parameters.pow(2) <= 4 * shape.rows => {
                    HessianPlan::Subsample
                }
                _ => HessianPlan::Bound,
            },
            _ if self.is_wide(shape) && !self.takes_hessian() => HessianPlan::Penalty,
            _ if self.is_wide(shape) || shape.features > HESSIAN_FEATURES => HessianPlan::Subsample,
            _ => HessianPlan::Whole,
        }
    }

    /// Whether a table with such a shape has so many features, all of them penalised, that a Hessian of all rows costs more
    /// than it saves.
    pub(super) fn is_wide(&self, shape: Shape) -> bool {
        self.l2 > 0.0
            && !self.has_elastic_net()
            && shape.classes.is_none()
            && !shape.has_levels()
            && shape.features > PENALIZED_FEATURES
    }

    /// Whether rows of a subsample are kept on the host: for their Hessian, or as a model of the loss.
    pub(super) fn takes_subsample(&self, shape: Shape) -> bool {
        self.has_elastic_net()
            || self.solver != Solver::Generative && self.hessian_plan(shape) == HessianPlan::Subsample
    }

    /// The categories that are loose in the Hessian of a subsample.
    pub(super) fn loose(&self, design: &Design) -> Vec<bool> {
        // The levels of a category are tied by the classes of a softmax; an L1 penalty takes the Hessian whole.
        let is_whole = self.has_elastic_net() || design.shape.classes.is_some();
        design.loose(if is_whole { usize::MAX } else { HESSIAN_FEATURES })
    }

    /// Positions of the rows of a subsample.
    pub(super) fn kept_rows(&self, shape: Shape) -> Vec<usize> {
        let most = match shape.classes {
            _ if self.has_elastic_net() => {
                let most = LEAST_MODEL_ROWS.max(MODEL_ROWS_A_FEATURE * shape.features);
                if self.path.is_none() {
                    most
                } else {
                    let least = LEAST_MODEL_ROWS.max(PATH_ROWS_A_FEATURE * shape.features);
                    let most = most.min(least.max(PATH_VALUES / shape.features.max(1)));
                    // Most of a table are as well all of it.
                    if 2 * shape.rows <= 3 * most { shape.rows } else { most }
                }
            }
            Some(_) => ROWS_A_PARAMETER * shape.parameters(),
            None if self.is_wide(shape) && self.preconditioner.is_none() => ROWS_A_FEATURE * shape.features,
            None => usize::MAX,
        };
        kept_rows(shape, most)
    }

    /// Passes over the data that cost what the Hessian of a subsample of `kept` rows and its factor do, where a run may do
    /// without as long.
    pub(super) fn rent(&self, shape: Shape, kept: usize) -> Option<u64> {
        if !self.is_wide(shape) || self.preconditioner.is_some() || self.solver != Solver::Cg {
            return None;
        }
        let [rows, kept, features] = [shape.rows, kept, shape.features].map(|count| count as f64);
        // A matrix of the features, or of the rows where there are fewer of them.
        let (long, short) = (kept.max(features), kept.min(features));
        let operations = short * short * (long + short / 3.0);
        Some(((operations / (rows * features * OPERATIONS_A_VALUE)) as u64).max(LEAST_RENT))
    }

    /// Whether a fit is one in the space of the rows: of their table that is kept on the host, `kept` of them.
    pub(super) fn is_of_few_rows(&self, shape: Shape, kept: usize) -> bool {
        let is_few = kept == shape.rows && shape.rows <= FEW_ROWS && shape.rows < shape.features;
        self.rent(shape, kept).is_some() && is_few
    }

    /// Whether the solver works with a Hessian.
    pub(super) fn takes_hessian(&self) -> bool {
        match self.preconditioner {
            Some(Preconditioner::Hessian | Preconditioner::Subsample | Preconditioner::Bound) => true,
            Some(_) => false,
            None => matches!(self.solver, Solver::Cg | Solver::Newton),
        }
    }

    /// Passes that the methods needed on the nine data sets of `docs/solver.md`, the confirming evaluation included; of few rows at the start and at the end,
    /// where an evaluation is two on a GPU.
    pub(super) fn usual_passes(&self, shape: Shape, is_gpu: bool) -> Option<[u64; 2]> {
        let is_whole = self.hessian_plan(shape) == HessianPlan::Whole && shape.classes.is_none();
        match self.solver {
            // A GPU goes through the rows point by point.
            _ if self.path.is_some() && self.spec.folds.is_some() => Some([40, 90]),
            _ if self.path.is_some() => (!is_gpu).then_some([14, 40]),
            _ if self.has_elastic_net() => Some([2, 6]),
            Solver::Generative => Some([2, 2]),
            // The rows that are kept are looked for one by one.
            Solver::Cg if shape.rows <= FEW_ROWS && self.is_of_few_rows(shape, self.kept_rows(shape).len()) => {
                Some([2, 4])
            }
            Solver::Cg if is_whole && self.takes_hessian() => Some([6, 19]),
            Solver::Newton if is_whole => Some([11, 18]),
            _ => None,
        }
    }
}
