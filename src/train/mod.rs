//! From a table to a model: the main job, a step a line.

mod estimates;
mod existence;
mod fit;
mod inference;
mod null;
mod verify;

use std::time::Instant;

use crate::backend::cpu::CpuTable;
use crate::backend::storage::{Limits, Placement};
use crate::backend::{Backend, Device, Loading, Selection};
use crate::data::{ClassWeight, Design, Plan, Request, Shape, Table, WeightKind, load};
use crate::error::{Error, Result};
use crate::model::{FeatureInfo, Model, Seconds};
use crate::monitor::Monitor;
use crate::penalty::PenaltyScale;
use crate::solve::{DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE, History, Preconditioner};
use crate::subsample::{
    FEW_ROWS, HESSIAN_FEATURES, PENALIZED_FEATURES, ROWS_A_FEATURE, ROWS_A_PARAMETER, Sampling, kept_rows,
};
use crate::wording::plain;
use estimates::model;
use existence::Evidence;
use fit::{Arithmetic, coordinates, fit};
use inference::{MOST_OF_FEW, infer};
use null::null_loss;
use verify::verify_on_file;

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

/// What a solver gets for a Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curvature {
    /// That of all the data.
    Whole,
    /// That of a subsample of the rows.
    Subsample,
    /// The bound on that of a softmax.
    Bound,
    /// None: the penalty's tells how near the end is.
    Penalty,
}

/// Up to this many parameters the Hessian of a softmax is taken: it costs `parameters / 8` times what an evaluation does.
const HESSIAN_PARAMETERS: usize = 256;

/// Coefficients of a softmax whose covariance is taken at most: 2 GiB, and 1.5e12 operations for its inverse.
const COVARIANCE_PARAMETERS: usize = 16_384;

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

/// What to fit, where, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which columns.
    pub request: Request,
    /// On which device.
    pub device: Selection,
    /// How much of the table may be kept where.
    pub limits: Limits,
    /// Strength of the L2 penalty on the mean loss, at least 0.
    pub l2: f64,
    /// On which scale the weights are penalised.
    pub penalty_scale: PenaltyScale,
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

impl Job {
    /// Whether rows are weighed by more than how often they were observed: by sampling weights, or by factors of their
    /// classes.
    fn weighs_beyond_counts(&self) -> bool {
        self.takes_sampling_weights() || self.request.class_weight != ClassWeight::Equal
    }

    fn takes_sampling_weights(&self) -> bool {
        self.request.weight.is_some() && self.request.weight_kind == Some(WeightKind::Sampling)
    }

    /// What the solver gets for a Hessian of a table with such a shape.
    fn curvature(&self, shape: Shape) -> Curvature {
        match self.preconditioner {
            Some(Preconditioner::Hessian) => Curvature::Whole,
            Some(Preconditioner::Bound) => Curvature::Bound,
            Some(Preconditioner::Subsample) => Curvature::Subsample,
            _ if shape.classes.is_some() => match shape.parameters() {
                ..=HESSIAN_PARAMETERS => Curvature::Whole,
                parameters if parameters <= HESSIAN_FEATURES && parameters.pow(2) * shape.rows <= FEW_PRODUCTS => {
                    Curvature::Whole
                }
                parameters if parameters <= SUBSAMPLE_PARAMETERS && parameters.pow(2) <= 4 * shape.rows => {
                    Curvature::Subsample
                }
                _ => Curvature::Bound,
            },
            _ if self.is_wide(shape) && !self.takes_hessian() => Curvature::Penalty,
            _ if self.is_wide(shape) || shape.features > HESSIAN_FEATURES => Curvature::Subsample,
            _ => Curvature::Whole,
        }
    }

    /// Whether a table with such a shape has so many features, all of them penalised, that a Hessian of all rows costs more
    /// than it saves.
    fn is_wide(&self, shape: Shape) -> bool {
        self.l2 > 0.0 && shape.classes.is_none() && !shape.has_levels() && shape.features > PENALIZED_FEATURES
    }

    /// Positions of the rows of a subsample.
    fn kept_rows(&self, shape: Shape) -> Vec<usize> {
        let most = match shape.classes {
            Some(_) => ROWS_A_PARAMETER * shape.parameters(),
            None if self.is_wide(shape) && self.preconditioner.is_none() => ROWS_A_FEATURE * shape.features,
            None => usize::MAX,
        };
        kept_rows(shape, most)
    }

    /// Passes over the data that cost what the Hessian of a subsample of `kept` rows and its factor do, where a run may do
    /// without as long.
    fn rent(&self, shape: Shape, kept: usize) -> Option<u64> {
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
    fn is_of_few_rows(&self, shape: Shape, kept: usize) -> bool {
        let is_few = kept == shape.rows && shape.rows <= FEW_ROWS && shape.rows < shape.features;
        self.rent(shape, kept).is_some() && is_few
    }

    /// Whether the solver works with a Hessian.
    fn takes_hessian(&self) -> bool {
        match self.preconditioner {
            Some(Preconditioner::Hessian | Preconditioner::Subsample | Preconditioner::Bound) => true,
            Some(_) => false,
            None => matches!(self.solver, Solver::Cg | Solver::Newton),
        }
    }

    /// An error if the flags do not fit the model that a table with such a shape leads to.
    fn check(&self, shape: Shape) -> Result<()> {
        let of_softmax = shape.classes.is_some();
        let fault = |what: &str, way_out: &str| Err(Error::usage(what, way_out));
        match self.preconditioner {
            Some(Preconditioner::Bound) if !of_softmax => {
                return fault("--preconditioner bound is for several classes", "With two, say hessian or subsample.");
            }
            _ => {}
        }
        if self.solver == Solver::Generative {
            if self.l2 > 0.0 {
                return fault("--solver generative has no penalty", "Leave --l2 out, or choose another solver.");
            }
            if self.inference.is_some() || self.exact != ExactJob::None {
                return fault(
                    "--inference, --verify and --refine are about the maximum of the likelihood of the labels, and \
                     --solver generative does not look for it",
                    "Leave them out, or choose another solver.",
                );
            }
            if !self.intercept {
                return fault(
                    "--no-intercept has no meaning with --solver generative: the intercept comes from the priors and the \
                     means",
                    "Leave it out, or choose another solver.",
                );
            }
        }
        let takes_whole = self.inference.is_some() || self.exact != ExactJob::None;
        if of_softmax && takes_whole && shape.parameters() > COVARIANCE_PARAMETERS {
            return Err(Error::usage(
                format!(
                    "--inference, --verify and --refine take the Hessian of all {} coefficients ({} classes, {} features): {} \
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
                    "--inference with sampling weights or --class-weight takes the products of all {} coefficients in double \
                     precision, for {MOST_OF_FEW} of them at most",
                    shape.parameters()
                ),
                "Leave it out, or train fewer classes or features.",
            ));
        }
        let takes_moments = self.solver == Solver::Generative || self.init == Init::Generative;
        if takes_moments && shape.offsets {
            return fault(
                "Gaussian classes have no offset",
                "Leave --offset out, or --solver generative and --init generative.",
            );
        }
        Ok(())
    }

    /// Passes that the methods needed on the nine data sets of `docs/solver.md`, the confirming evaluation included; of few rows at the start and at the end,
    /// where an evaluation is two on a GPU.
    fn usual_passes(&self, shape: Shape) -> Option<[u64; 2]> {
        let is_whole = self.curvature(shape) == Curvature::Whole && shape.classes.is_none();
        match self.solver {
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

    /// Maximum likelihood with the defaults.
    pub fn new(request: Request, device: Selection) -> Self {
        Self {
            request,
            device,
            limits: Limits::default(),
            l2: 0.0,
            penalty_scale: PenaltyScale::default(),
            intercept: true,
            solver: Solver::default(),
            init: Init::default(),
            preconditioner: None,
            tolerance: DEFAULT_TOLERANCE,
            gradient_tolerance: None,
            max_iterations: DEFAULT_MAX_ITERATIONS,
            inference: None,
            exact: ExactJob::None,
        }
    }
}

/// What a run is going to do, known before it reads the data.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunPlan {
    /// Rows of the table.
    pub rows: usize,
    /// Features.
    pub features: usize,
    /// Classes of a softmax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Columns that are categories.
    pub categories: usize,
    /// Their levels, the references included.
    pub levels: usize,
    /// The device.
    pub device: String,
    /// Where the table is kept.
    pub placement: Placement,
    /// Bytes in memory for the Hessian that preconditions the solver, its factor, and the rows of a subsample if it is
    /// that of one.
    pub preconditioner_bytes: u64,
    /// Bytes in memory at most, or a tenth more, that all the rest takes: the program, the footers, what is decoded at a time
    /// and vectors of the solver.
    pub working_bytes: u64,
    /// Passes over the data that the method needs as a rule, from and to; `None` where that depends on the data too
    /// much to say.
    pub passes: Option<[u64; 2]>,
}

/// A job whose columns are found, whose device is open and whose room is reserved.
pub struct Prepared<'j> {
    table: Table,
    job: &'j Job,
    plan: Plan,
    device: Device,
    loading: Box<dyn Loading>,
    start: Instant,
}

/// Checks a job, opens its device and reserves the room that the table needs.
pub fn prepare<'j>(table: Table, job: &'j Job, monitor: &dyn Monitor) -> Result<Prepared<'j>> {
    prepare_on(|| Device::open(&job.device), table, job, monitor)
}

/// As [`prepare`], on a device of the caller's choice in place of the job's, which is opened once the job is checked.
pub fn prepare_on<'j>(
    open: impl FnOnce() -> Result<Device>,
    table: Table,
    job: &'j Job,
    monitor: &dyn Monitor,
) -> Result<Prepared<'j>> {
    let start = Instant::now();
    let (table, mut plan) = job.request.resolve(table, monitor)?;
    let design = plan.design(table.rows);
    job.check(design.shape)?;
    let mut device = open()?;
    if design.shape.features == 0 && device.is_gpu() {
        // A table without columns of features has no bytes that a GPU could bind.
        plan.add_note("a model without features is fitted on the CPU: there are no columns for a GPU to read");
        device = Device::Cpu;
    }
    let loading = device.reserve(design, &job.limits)?;
    Ok(Prepared { table, job, plan, device, loading, start })
}

impl Prepared<'_> {
    /// The rows of the training, without those that are left out.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What the run is going to do.
    pub fn plan(&self) -> RunPlan {
        let [categories, levels] = self.plan.categories();
        RunPlan {
            rows: self.table.rows,
            features: self.plan.features(),
            classes: self.plan.design(self.table.rows).shape.classes,
            categories,
            levels,
            device: self.device.describe_choice(),
            placement: self.loading.placement(),
            preconditioner_bytes: self.preconditioner_bytes(),
            working_bytes: self.working_bytes(),
            passes: self.job.usual_passes(self.plan.design(self.table.rows).shape),
        }
    }

    fn working_bytes(&self) -> u64 {
        const PROGRAM: usize = 32 << 20;
        const FOOTERS_A_COLUMN: usize = 8 << 10;
        const DECODING: usize = 64 << 20;
        let shape = self.plan.design(self.table.rows).shape;
        let values = 4 * shape.rows * shape.columns;
        // A whole Hessian, its factor, the inverse, and the covariance on either scale.
        let takes_whole = self.job.inference.is_some() || self.job.exact != ExactJob::None;
        let at_end = if takes_whole { 5 * 8 * shape.parameters().pow(2) } else { 0 };
        (PROGRAM + FOOTERS_A_COLUMN * shape.columns + DECODING.min(4 * values) + at_end) as u64
    }

    fn preconditioner_bytes(&self) -> u64 {
        let design = self.plan.design(self.table.rows);
        let shape = design.shape;
        if !self.job.takes_hessian() {
            return 0;
        }
        // Panels of weighted rows, from a few hundred columns on.
        let panels = if shape.features > PENALIZED_FEATURES { 32 << 20 } else { 0 };
        let (entries, kept) = match self.job.curvature(shape) {
            Curvature::Whole => (shape.parameters().pow(2), panels),
            // The matrix of one margin, and the scaling of all parameters.
            Curvature::Bound => ((shape.features + 1).pow(2) + shape.parameters(), 0),
            Curvature::Subsample => {
                let loose: usize = design
                    .categories()
                    .zip(loose(&design))
                    .filter(|(_, is_loose)| *is_loose)
                    .map(|(c, _)| c.features.len())
                    .sum();
                let tight = shape.parameters() - loose;
                let rows = self.job.kept_rows(shape).len();
                let columns = shape.columns + shape.columns_beside();
                let kept = rows * (4 * columns + 16);
                if self.job.is_wide(shape) && rows < shape.features {
                    // The rows once more, while they are gathered too, and a matrix of them.
                    (rows * rows, kept + 2 * 4 * rows * (shape.features + 1))
                } else {
                    (tight * tight + (tight + 1) * loose, kept + panels)
                }
            }
            Curvature::Penalty => (0, 0),
        };
        // Sums, what they are in the solver's coordinates, with a ridge, and their factor; and one more on the way.
        (5 * 8 * entries + kept) as u64
    }

    /// Fits the model. `history` hears of every iteration.
    pub fn train(self, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
        train_prepared(self, monitor, history)
    }
}

/// Fits a logistic regression to `table`. `history` hears of every iteration.
pub fn train(table: &Table, job: &Job, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    prepare(table.clone(), job, monitor)?.train(monitor, history)
}

/// The categories that are loose in the Hessian of a subsample.
fn loose(design: &Design) -> Vec<bool> {
    // The levels of a category are tied by the classes of a softmax.
    let most = if design.shape.classes.is_some() { usize::MAX } else { HESSIAN_FEATURES };
    design.loose(most)
}

fn train_prepared(prepared: Prepared<'_>, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    let Prepared { table, job, plan, device, mut loading, start } = prepared;
    let table = &table;
    let reading = Instant::now();
    let shape = plan.design(table.rows).shape;
    let subsamples = job.solver != Solver::Generative && job.curvature(shape) == Curvature::Subsample;
    let loose = if subsamples { loose(&plan.design(table.rows)) } else { Vec::new() };
    let (loaded, mut kept) = if subsamples {
        let rows = job.kept_rows(shape);
        let kept = CpuTable::with_loose(&plan.design(rows.len()), loose.clone())?;
        let mut kept = Box::new(if job.is_wide(shape) { kept.with_rows_kept() } else { kept });
        let sampling = Sampling::new(loading.as_store(), &rows, kept.as_store());
        let loaded = load(table, &plan, &sampling, monitor)?;
        drop(sampling);
        (loaded, Some(kept.finish()?))
    } else {
        (load(table, &plan, &*loading.as_store(), monitor)?, None)
    };
    let read = reading.elapsed().as_secs_f64();
    let uploading = Instant::now();
    let mut backend = loading.finish()?;
    let upload = uploading.elapsed().as_secs_f64();
    let solving = Instant::now();
    let coordinates = coordinates(&loaded, job.intercept, &loose);
    let mut evidence = Evidence::new(table, &plan, &loaded, &coordinates, monitor);
    let arithmetic = Arithmetic { bias: device.bias(shape)?, is_f32: device.is_gpu() };
    let subsample = kept.as_deref_mut().map(|backend| backend as &mut dyn Backend);
    let mut fit =
        fit(&mut *backend, subsample, &loaded, coordinates, &mut evidence, job, shape, arithmetic, monitor, history)?;
    drop(evidence);
    let solve = solving.elapsed().as_secs_f64();
    let verifying = Instant::now();
    let mut verify = 0.0;
    let plan = plan.after(&loaded);
    if job.exact != ExactJob::None {
        verify_on_file(table, &plan, &loaded, job, &mut fit, device.is_gpu(), monitor)?;
        verify = verifying.elapsed().as_secs_f64();
    }
    fit.covariance = infer(table, &plan, &loaded, job, &mut fit, &mut *backend, arithmetic, monitor)?;
    let null = null_loss(table, &plan, &loaded, job, monitor)?;
    backend.check()?;
    let seconds = Seconds { read, upload, solve, verify, total: start.elapsed().as_secs_f64() };
    let model = model(table, job, loaded, &fit, null, device.describe(), seconds);
    check_range(&model)?;
    Ok(model)
}

/// An error if an estimate is beyond the range of doubles: written as `null`, it would predict nothing.
fn check_range(model: &Model) -> Result<()> {
    let is_beyond = |feature: &&FeatureInfo| feature.coefficients.iter().any(|coefficient| !coefficient.is_finite());
    match model.features.iter().find(is_beyond) {
        Some(FeatureInfo { name, scale, .. }) if model.training.status.has_estimates() => Err(Error::data(
            format!(
                "the coefficient of `{}` is beyond the range of doubles: the standard deviation of the column is {scale:e}",
                plain(name)
            ),
            "Give the column in another unit, or leave it out with --ignore.",
        )),
        _ => Ok(()),
    }
}
