//! From a table to a model: the main job, a step a line.

mod attempt;
mod builder;
mod checkpoint;
mod cross_validation;
mod elastic_net;
mod ending;
mod estimates;
mod existence;
mod feature_penalties;
mod fit;
mod inference;
mod job;
mod null;
mod parametrisation;
mod recovery;
mod strategy;
mod verify;
mod whereabouts;

use std::time::Instant;

use crate::data::{Cells, Design, Folds, InCells, Plan, Store, Table};
use crate::engine::storage::Placement;
use crate::engine::{Device, Selection, TableBuilder};
use crate::error::{Error, Result};
use crate::model::{FeatureInfo, Model};
use crate::monitor::{Monitor, Silent};
use crate::solve::History;
use crate::solve::elastic_net::WORKING_SET;
use crate::subsample::PENALIZED_FEATURES;
use crate::wording::{in_rust, plain};
use checkpoint::Keeper;
use cross_validation::{HESSIANS_BYTES, bytes_of_hessians};
use feature_penalties::FeaturePenalties;
use recovery::open_and_reserve;
use strategy::HessianPlan;

pub use checkpoint::{end_checkpoint, save_checkpoint};
use job::elastic_net_parameters;
pub use job::{
    CheckpointJob, DEFAULT_GAP_TOLERANCE, DEFAULT_STRENGTHS, Every, ExactJob, InferenceJob, Init, Job, Metric, PathJob,
    SelectedStrength, Solver,
};

pub use crate::solve::elastic_net::Strengths;

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
    penalties: FeaturePenalties,
    folds: Option<Folds>,
    device: Device,
    loading: Box<dyn TableBuilder>,
    /// What there is room for.
    design: Design,
    /// Whether another device may take over, since the job chose this one.
    recovers: bool,
    /// Why the device is another one than the job wants.
    failed: Option<String>,
    keeper: Keeper,
    begin: Instant,
}

/// Checks a job, opens its device and reserves the room that the table needs.
pub fn prepare<'j>(table: Table, job: &'j Job, monitor: &dyn Monitor) -> Result<Prepared<'j>> {
    Ok(Prepared { recovers: true, ..prepare_on(|| Device::open(&job.device), table, job, monitor)? })
}

/// As [`prepare`], on a device of the caller's choice in place of the job's, which is opened once the job is checked.
pub fn prepare_on<'j>(
    open: impl FnOnce() -> Result<Device>,
    table: Table,
    job: &'j Job,
    monitor: &dyn Monitor,
) -> Result<Prepared<'j>> {
    let begin = Instant::now();
    job.check_numbers()?;
    let (table, mut plan) = job.spec.resolve(table, monitor)?;
    let design = plan.design(table.rows);
    job.check(design.shape)?;
    let penalties = FeaturePenalties::new(job, &plan.feature_names(&table))?;
    let folds = job.spec.folds.as_ref().map(|spec| Folds::deal(&table, &plan, spec, monitor)).transpose()?;
    let has_features = design.shape.features > 0;
    let design = in_cells(design, folds.as_ref().map(|folds| folds.cells.rows()));
    let keeper = Keeper::new(job)?;
    let mut notes = Vec::new();
    let open = || {
        let device = open()?;
        if folds.is_some() && device.is_gpu() {
            if job.device != Selection::Auto {
                return Err(Error::usage("⟦folds⟧ are for the CPU", "Say ⟦device cpu⟧, or leave ⟦device⟧ out."));
            }
            notes.push("folds are fitted on the CPU");
            return Ok(Device::Cpu);
        }
        if !has_features && device.is_gpu() {
            // A table without columns of features has no bytes that a GPU could bind.
            notes.push("a model without features is fitted on the CPU: there are no columns for a GPU to read");
            return Ok(Device::Cpu);
        }
        Ok(device)
    };
    let (device, loading, failed) = open_and_reserve(open, job, &design)?;
    for note in notes {
        plan.add_note(note);
    }
    Ok(Prepared { table, job, plan, penalties, folds, device, loading, design, recovers: false, failed, keeper, begin })
}

/// Room for a table on a device, within the limits of the job.
fn reserve(device: &Device, design: &Design, job: &Job) -> Result<Box<dyn TableBuilder>> {
    device.reserve(design.clone(), &job.limits)
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
            passes: self.job.usual_passes(self.plan.design(self.table.rows).shape, self.device.is_gpu()),
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
        let (entries, kept) = match self.job.hessian_plan(shape) {
            // With an L1 penalty those of a sample and their difference too; of a path those at a dozen strengths, and points.
            HessianPlan::Whole if self.job.has_elastic_net() => {
                let of_row = 4 * (shape.columns + shape.columns_beside()) + 16;
                let parameters = elastic_net_parameters(shape);
                let of_path = if self.job.path.is_some() { 100 * 6 * 8 * parameters } else { 0 };
                let matrices = if self.job.path.is_some() { 7 } else { 2 };
                let of_folds = self
                    .folds
                    .as_ref()
                    .map_or(0, |folds| bytes_of_hessians(parameters, folds.cells.rows().len()).min(HESSIANS_BYTES));
                let kept = panels + of_path + of_folds + self.job.kept_rows(shape).len() * of_row;
                (matrices * parameters.pow(2), kept)
            }
            HessianPlan::Whole => (shape.parameters().pow(2), panels),
            // The matrix of one margin, and the scaling of all parameters.
            HessianPlan::Bound => ((shape.features + 1).pow(2) + shape.parameters(), 0),
            HessianPlan::Subsample => {
                let loose: usize = design
                    .categories()
                    .zip(self.job.loose(&design))
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
            // A working set of the largest size, and the sample.
            HessianPlan::WorkingSet => {
                let of_row = 4 * (shape.columns + shape.columns_beside()) + 16;
                (WORKING_SET.min(shape.parameters()).pow(2), self.job.kept_rows(shape).len() * of_row)
            }
            HessianPlan::Penalty => (0, 0),
        };
        // Sums, what they are in the solver's coordinates, with a ridge, and their factor; and one more on the way.
        (5 * 8 * entries + kept) as u64
    }

    /// Fits the model. `history` hears of every iteration.
    pub fn train(self, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
        recovery::train(self, monitor, history)
    }
}

/// Fits a logistic regression to `table`. `history` hears of every iteration. Notes and warnings of the model carry settings as
/// errors do ([`Model::show_settings`]).
pub fn train(table: &Table, job: &Job, monitor: &dyn Monitor, history: &mut History<'_>) -> Result<Model> {
    prepare(table.clone(), job, monitor)?.train(monitor, history)
}

impl Job {
    /// Fits the model to `table`.
    ///
    /// # Errors
    /// Of kind `Usage` if the settings make no sense or do not fit the table, of kind `Data` if its values cannot be used, of
    /// kind `Device` if the device is missing or fails.
    pub fn train(&self, table: &Table) -> Result<Model> {
        self.train_watched(table, &Silent)
    }

    /// As [`Job::train`], where `monitor` sees how far the run is, and may end it.
    ///
    /// # Errors
    /// Of kind `Interrupted` if it does.
    pub fn train_watched(&self, table: &Table, monitor: &dyn Monitor) -> Result<Model> {
        let mut model = train(table, self, monitor, &mut |_| {})?;
        model.show_settings(in_rust);
        Ok(model)
    }
}

/// A design whose rows lie cell by cell, if they are in cells of so many rows.
fn in_cells(design: Design, rows: Option<&[usize]>) -> Design {
    match rows {
        Some(rows) => design.with_cells(rows),
        None => design,
    }
}

/// A store whose rows lie cell by cell, if they are in cells.
fn by_cell<'s>(store: Box<dyn Store + 's>, cells: Option<&'s Cells>) -> Box<dyn Store + 's> {
    match cells {
        Some(cells) => Box::new(InCells::new(store, cells)),
        None => store,
    }
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
            "Give the column in another unit, or leave it out with ⟦ignore⟧.",
        )),
        _ => Ok(()),
    }
}
