//! Going through a table row by row: the features and the label of the same rows together, as the file has them,
//! in f64.
//!
//! The rows are cut into ranges and blocks as `scan` has it. What blocks lead to is therefore the same whatever the threads
//! do, and however the source is cut.

use arrow::array::ArrayRef;

use super::coder::{Coder, MISSING};
use super::decode::block_rows;
use super::label::Label;
use super::levels::known;
use super::numbers::to_f64;
use super::plan::Plan;
use super::scan::{Batch, Pace, scan};
use super::table::Table;
use super::weigh::Weighing;
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// Neighbouring rows of a table, complete.
#[derive(Debug)]
pub struct Block<'a> {
    /// Position in the table of the first row.
    pub first_row: usize,
    /// The values as in the file, `[features]` in the order of the plan, each `[rows]`. Free to be overwritten:
    /// nobody else reads them.
    pub features: &'a mut [Vec<f64>],
    /// 1 for the positive class, 0 for the other, or the code of the class, `[rows]`.
    pub labels: &'a [f64],
    /// Row weights, `[rows]`, if the table has them.
    pub weights: Option<&'a [f64]>,
    /// Offsets, `[rows]`, if the table has them.
    pub offsets: Option<&'a [f64]>,
}

/// Goes through all rows of the columns of `plan`, in ranges: `work` gets each block of a range in the order of the
/// rows, beside what `start` made for the range. Gives what became of it, range by range in the order of the rows.
///
/// Ranges and blocks depend on the number of the rows and the plan alone: a table of more than 131,072 rows has several
/// ranges. At a time each thread holds one block, a batch of the decoder and the current page of each column.
///
/// `label` is what [`load`](super::load()) found for the same plan. The file must not have changed since the table
/// was opened, and its features must be finite numbers, which `load` has proved.
pub fn fold_rows<T: Send>(
    table: &Table,
    plan: &Plan,
    label: &Label,
    monitor: &dyn Monitor,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &mut Block<'_>) + Sync,
) -> Result<Vec<T>> {
    let mut states = Vec::new();
    fold_rows_into(table, plan, label, monitor, usize::MAX, start, work, |state| states.push(state))?;
    Ok(states)
}

/// As [`fold_rows`], with `at_once` ranges in memory at most: `sink` gets what became of each, in the order of the rows.
#[expect(clippy::too_many_arguments, reason = "those of `fold_rows`, and what bounds its memory")]
pub fn fold_rows_into<T: Send>(
    table: &Table,
    plan: &Plan,
    label: &Label,
    monitor: &dyn Monitor,
    at_once: usize,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &mut Block<'_>) + Sync,
    mut sink: impl FnMut(T),
) -> Result<()> {
    let reader = Reader::new(table, plan, label);
    let pace = Pace { block_rows: reader.block_rows, range_rows: usize::MAX, at_once };
    let room =
        || Buffers { features: vec![Vec::new(); plan.features()], labels: Vec::new(), weights: None, offsets: None };
    let each = |buffers: &mut Buffers, state: &mut T, batch: &Batch<'_>| {
        reader.fill(buffers, batch.first_row, batch.arrays)?;
        let Buffers { features, labels, weights, offsets } = buffers;
        let (weights, offsets) = (weights.as_deref(), offsets.as_deref());
        work(state, &mut Block { first_row: batch.first_row, features, labels, weights, offsets });
        monitor.advance(batch.rows as u64);
        Ok(())
    };
    scan(table, &reader.columns, pace, monitor, room, start, each, |state| {
        sink(state);
        Ok(())
    })
}

/// A block's columns; their memory serves one block after the other.
struct Buffers {
    features: Vec<Vec<f64>>,
    labels: Vec<f64>,
    weights: Option<Vec<f64>>,
    offsets: Option<Vec<f64>>,
}

/// What is to be found where in a batch.
struct Reader<'a> {
    table: &'a Table,
    plan: &'a Plan,
    classes: Coder,
    /// The columns of the features, the label, the weights and the offsets.
    columns: Vec<usize>,
    weighing: Option<Weighing>,
    /// Of the categories, which come after the features that are columns.
    coders: Vec<Coder>,
    block_rows: usize,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table, plan: &'a Plan, label: &'a Label) -> Self {
        let features = plan.features.iter().map(|feature| feature.column);
        let categories = plan.categories.iter().map(|category| category.column);
        let weighing = Weighing::of(table, plan, label, plan.factors.as_deref());
        let of_weights = weighing.iter().flat_map(|weighing| weighing.columns().iter().copied());
        let others = [plan.label.column].into_iter().chain(of_weights).chain(plan.offset);
        let columns: Vec<usize> = features.chain(categories).chain(others).collect();
        let coders = plan.categories.iter().map(|category| Coder::of(&category.levels)).collect();
        let block_rows = block_rows(plan.features().max(columns.len()));
        Self { table, plan, classes: label.coder(), columns, weighing, coders, block_rows }
    }

    /// Brings a batch, which begins at the table's `first_row`, into `buffers`.
    fn fill(&self, buffers: &mut Buffers, first_row: usize, arrays: &[ArrayRef]) -> Result<()> {
        let other = |row: usize, column: usize, what: &str| {
            Error::data(
                format!(
                    "{}: column `{}` has {what} in row {}, from 0, where there was none when it was read",
                    self.table.name(),
                    self.table.fields[column].name,
                    self.table.row_names(&[first_row + row])
                ),
                "The file was changed in between; wait until it is written, then run again.",
            )
        };
        let (features, others) = arrays.split_at(self.plan.features.len());
        let (categories, others) = others.split_at(self.plan.categories.len());
        let (labels, others) = others.split_first().expect("the label is always there");
        if let Some(weighing) = &self.weighing {
            buffers.weights = Some(weighing.weights(others)?);
        }
        if let (Some(_), Some(array)) = (self.plan.offset, others.last()) {
            let offsets = buffers.offsets.get_or_insert_default();
            offsets.clear();
            to_f64(array, offsets)?;
        }
        for ((feature, values), array) in self.plan.features.iter().zip(&mut buffers.features).zip(features) {
            values.clear();
            feature.takes.values(array, values)?;
            // Without a way out of the loop, so that the compiler may use vector registers.
            if values.iter().fold(true, |finite, x| finite & x.is_finite()) {
                continue;
            }
            if let Some(fill) = feature.fill {
                values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = fill);
            }
            if let Some(row) = values.iter().position(|x| !x.is_finite()) {
                return Err(other(row, feature.column, "no finite number"));
            }
        }
        let mut levels = buffers.features[self.plan.features.len()..].iter_mut();
        let mut codes = Vec::new();
        for ((category, coder), array) in self.plan.categories.iter().zip(&self.coders).zip(categories) {
            codes.clear();
            coder.codes(array, self.table.fields[category.column].kind, &mut codes)?;
            known(self.table, category, first_row, &codes)?;
            for (level, values) in (1..).zip(levels.by_ref().take(category.features())) {
                values.clear();
                values.extend(codes.iter().map(|code| f64::from(u8::from(*code == level))));
            }
        }
        let column = self.plan.label.column;
        codes.clear();
        self.classes.codes(labels, self.table.fields[column].kind, &mut codes)?;
        if let Some(row) = codes.iter().position(|code| *code >= MISSING) {
            return Err(other(row, column, "another class"));
        }
        buffers.labels.clear();
        buffers.labels.extend(codes.iter().copied().map(f64::from));
        Ok(())
    }
}
