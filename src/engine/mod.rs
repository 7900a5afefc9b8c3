//! Where the passes over the data run: what an engine does, on the CPU and on a GPU, the choice between them, and the exact pass over
//! the file that either can be held against.

pub mod column_sums;
pub mod cpu;
mod device;
pub mod exact;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
pub mod gpu;
pub mod journal;
pub mod layout;
pub mod part;
pub mod storage;
pub mod work;

use std::sync::Arc;

pub use device::{DEFAULT_TIMEOUT, Device, Selection, logistic_bias, self_test, without_panic};

use crate::data::Store;
use crate::engine::storage::Placement;
use crate::engine::work::{CellMoments, CellSums, HeldOut, Work};
use crate::error::{Error, Result};
use crate::lda::ClassMoments;
use crate::matrix::FewRows;
use crate::objective::{Evaluation, Need, Objective, places_among};

/// A table on its way to a device: columns are written to it, then it becomes an objective.
pub trait TableBuilder {
    /// The table as a store, to write columns to.
    fn as_store(&mut self) -> Box<dyn Store + '_>;

    /// Where its chunks are kept.
    fn placement(&self) -> Placement;

    /// All columns are written; from here on the table does not change. An error if a row weight is negative or no
    /// finite number.
    fn finish(self: Box<Self>) -> Result<Box<dyn Engine>>;
}

/// An [`Objective`] in the device's coordinates: the mean cross-entropy `1/N sum w_k (softplus(z_k) - t_k z_k)` as a
/// function of the weights `[features]` of the narrowed columns and the intercept, which comes last; with K classes
/// `1/N sum w_k (ln sum_c exp(z_kc) - z_kt)`, `z_k0 = 0`, as a function of such a vector for each of the classes 1 to
/// K - 1, one after the other. Offsets are in the
/// margins `z_k` and in no direction margin; all sums over rows have the row weights, and all means divide by N.
pub trait Engine: Objective {
    /// N, the sum of the row weights as they are stored, in f32: the number of rows where rows have none. Where it is 0,
    /// all sums are, and so are their means.
    fn weight(&self) -> f64;

    /// Where the rows of each class lie, by their weights: one pass over the features, whatever the point.
    fn moments(&mut self) -> Result<ClassMoments>;

    /// Margins of a row, M.
    fn margins(&self) -> usize;

    /// The sums of the row weights of each cell, as [`Engine::weight`] is that of all.
    fn cell_weights(&mut self) -> Result<Vec<f64>> {
        Ok(vec![self.weight()])
    }

    /// Evaluates several points, each on the rows of the cells that it takes: its sums over each of them,
    /// `[work][cells that it takes]`. In one pass over the features where the engine has such a pass: then
    /// [`MARGINS_OF_A_PASS`](work::MARGINS_OF_A_PASS) margins count as one, and the objective stays where it stands. An engine
    /// that has none goes from point to point, ends at the last one, and keeps all rows in one cell.
    ///
    /// # Panics
    /// If a point has another length, or asks for cells or columns that there are not.
    fn run(&mut self, work: &[Work<'_>]) -> Result<Vec<Vec<CellSums>>> {
        work.iter().map(|work| one_by_one(self, work)).collect()
    }

    /// Where the columns of each cell lie. A pass over the features.
    ///
    /// # Errors
    /// Of kind `Usage` from an engine that keeps all rows in one cell.
    fn moments_of_cells(&mut self) -> Result<Vec<CellMoments>> {
        Err(has_no_cells())
    }

    /// How well points tell the rows of a cell that each is for, `[cells][points]`; with the margins of the rows if they are wanted.
    /// Eight margins a row count as a pass.
    ///
    /// # Errors
    /// Of kind `Usage` from an engine that keeps all rows in one cell.
    fn held_out(&mut self, _points: &[Vec<Vec<f64>>], _keeps_margins: bool) -> Result<Vec<Vec<HeldOut>>> {
        Err(has_no_cells())
    }

    /// Labels and row weights `[rows]` of each cell.
    ///
    /// # Errors
    /// Of kind `Usage` from an engine that keeps all rows in one cell.
    fn outcomes_of_cells(&mut self) -> Result<Vec<[Vec<f64>; 2]>> {
        Err(has_no_cells())
    }

    /// An error of the device unless it still holds what was sent to it. No pass over the data: it is not counted.
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    /// The rows themselves, if the table keeps them for those who calculate with them.
    fn kept_rows(&mut self) -> Result<Option<KeptRows>> {
        Ok(None)
    }

    /// What each row holds where the objective stands now; for diagnosis and tests.
    fn row_terms(&mut self) -> Result<RowTerms>;
}

fn has_no_cells() -> Error {
    Error::usage("this device has no passes over parts of the rows", "Say ⟦device cpu⟧.")
}

/// The places of the parameters `columns` of each margin among all `parameters`.
fn in_all_margins(columns: &[usize], parameters: usize, margins: usize) -> Vec<usize> {
    let of_margin = parameters / margins;
    (0..margins).flat_map(|margin| columns.iter().map(move |column| margin * of_margin + column)).collect()
}

/// Restricts the Hessian of an evaluation, of `columns` of each margin, to the parameters `kept`, which have those columns.
fn restrict(evaluation: &mut Evaluation, kept: &[usize], of_margin: usize, columns: &[usize]) {
    if let Some(hessian) = evaluation.hessian.as_mut().filter(|hessian| hessian.size() > kept.len()) {
        *hessian = hessian.restricted(&places_among(kept, of_margin, columns, columns.len()));
    }
}

/// The sums of a point by an evaluation of its own, of a table with one cell.
fn one_by_one<B: Engine + ?Sized>(engine: &mut B, work: &Work<'_>) -> Result<Vec<CellSums>> {
    work.assert_fits(1, engine.dimension() / engine.margins());
    if !work.takes(0) {
        return Ok(Vec::new());
    }
    let need = if work.takes_hessian { Need::Hessian } else { Need::Gradient };
    let Evaluation { value, mut gradient, hessian, .. } = engine.move_to(work.point, need)?;
    let weight = engine.weight();
    for g in &mut gradient {
        *g *= weight;
    }
    let hessian = hessian.map(|mut hessian| {
        hessian.scale(weight);
        match work.columns {
            None => hessian,
            Some(columns) => hessian.restricted(&in_all_margins(columns, hessian.size(), engine.margins())),
        }
    });
    Ok(vec![CellSums { cell: 0, loss: weight * value, gradient, hessian }])
}

/// Rows as they are, in the device's coordinates.
#[derive(Clone, Debug)]
pub struct KeptRows {
    /// Their columns, x extended by 1, `[columns][rows]`.
    pub columns: Arc<FewRows>,
    /// Labels `[rows]`.
    pub labels: Vec<f64>,
    /// Row weights `[rows]`.
    pub weights: Vec<f64>,
    /// Offsets `[rows]`.
    pub offsets: Vec<f64>,
}

/// Vectors over all rows of the table, `[rows]` each; with several margins a row `[margins][rows]`.
#[derive(Clone, Debug, Default)]
pub struct RowTerms {
    /// Margins `z` at the point where the objective stands, offsets included.
    pub margins: Vec<f64>,
    /// Direction margins `u = X p` of the last line.
    pub direction_margins: Vec<f64>,
    /// Residuals `L - t` of the last evaluation, without the row weights; of rows of weight 0 nothing that means anything.
    pub residuals: Vec<f64>,
}

/// The sum of the row weights of a block, in f64 and in their order; NaN if one is negative. Blocks do not depend on
/// chunks and threads, and their sums are added in their order, so N has the same bits wherever its rows are kept.
fn weight_of_block(row_weights: &[f32]) -> f64 {
    row_weights.iter().map(|&w| if w >= 0.0 { f64::from(w) } else { f64::NAN }).sum()
}

/// N, if it is a number: else some row weight was none, or negative.
fn checked_weight(weight: f64) -> Result<f64> {
    if weight.is_finite() {
        return Ok(weight);
    }
    Err(Error::data(
        "a row weight is negative or no finite number",
        "Row weights are numbers from 0 on; correct that column upstream.",
    ))
}

/// What sums over rows are divided by for their means.
fn divisor(weight: f64) -> f64 {
    if weight > 0.0 { weight } else { 1.0 }
}
