//! A subsample of the rows, for an approximate Hessian (see [`Curvature`](crate::problem::Curvature)).
//!
//! Rows are kept while the file is read, by a hash of their position, so the cut into row groups and the order of
//! reading change nothing.

use crate::data::{Column, Shape, Store, hash};
use crate::error::Result;

/// Memory of the kept rows at most.
const SAMPLE_BYTES: usize = 64 << 20;

/// Rows for each parameter of a softmax.
pub const ROWS_A_PARAMETER: usize = 20;

/// Rows for each feature of two classes with a penalty: the preconditioned Hessian has a condition of about 4, whatever
/// that of the columns is ((1 + r)^2 / (1 - r)^2 for a root r of features over rows; Marchenko and Pastur 1967).
pub const ROWS_A_FEATURE: usize = 10;

/// Rows for each feature, and rows at least, of a sample whose loss is a model of that of all rows: fewer leave more to the
/// passes that correct it, and heavy tails are not seen.
pub const MODEL_ROWS_A_FEATURE: usize = 50;
/// The same where a path is walked, and minima at many strengths pay for each row: values of a sample that is more than the least.
pub const PATH_VALUES: usize = 2_000_000;
/// The least that there are for each feature then.
pub const PATH_ROWS_A_FEATURE: usize = 10;
/// See [`MODEL_ROWS_A_FEATURE`].
pub const LEAST_MODEL_ROWS: usize = 5000;

/// Up to this many features the Hessian of all the data is taken.
pub const HESSIAN_FEATURES: usize = 1024;

/// The same with a penalty, which needs no Hessian to prove that there is an optimum or to tell how near it is.
pub const PENALIZED_FEATURES: usize = 256;

/// Up to so many rows, fewer than features and all of them penalised, a fit goes on in the space of the rows: their matrix
/// costs what 20 passes over them do.
pub const FEW_ROWS: usize = 512;

/// A store that passes everything on and keeps a subsample of the rows.
pub struct Sampling<'s> {
    all: Box<dyn Store + 's>,
    /// Positions of the kept rows, ascending.
    rows: &'s [usize],
    kept: Box<dyn Store + 's>,
}

impl<'s> Sampling<'s> {
    /// Passes everything on to `all`, and of each column the values of `rows` to `kept`.
    pub fn new(all: Box<dyn Store + 's>, rows: &'s [usize], kept: Box<dyn Store + 's>) -> Self {
        Self { all, rows, kept }
    }
}

/// Positions of the rows to keep, at most `most` and as many as fit into 64 MiB, ascending.
pub fn kept_rows(shape: Shape, most: usize) -> Vec<usize> {
    let rows = shape.rows;
    let most = (SAMPLE_BYTES / 4 / shape.columns.max(1)).min(most).max(1);
    let threshold = (most as f64 / rows as f64 * u64::MAX as f64) as u64;
    let mut kept: Vec<usize> = (0..rows).filter(|&row| most >= rows || hash(row as u64) < threshold).collect();
    if kept.is_empty() {
        kept.push(0);
    }
    kept
}

impl Store for Sampling<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let first = self.rows.partition_point(|&row| row < first_row);
        let end = self.rows.partition_point(|&row| row < first_row + values.len());
        let kept: Vec<f32> = self.rows[first..end].iter().map(|&row| values[row - first_row]).collect();
        self.kept.write(column, first, &kept)?;
        self.all.write(column, first_row, values)
    }

    fn settle(&self) -> Result<()> {
        self.kept.settle()?;
        self.all.settle()
    }
}
