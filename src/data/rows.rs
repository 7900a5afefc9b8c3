//! Going through a table row by row: the features and the label of the same rows together, as the file has them,
//! in f64.
//!
//! The rows are cut into ranges and blocks as `scan` has it. What blocks lead to is therefore the same whatever the threads
//! do, and however the source is cut.

use super::decode::block_rows;
use super::encode::{Encoder, Piece, RowLabel, UNSEEN_LEVEL};
use super::label::Label;
use super::levels::new_value;
use super::plan::Plan;
use super::scan::{Batch, Pace, scan};
use super::table::Table;
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
    /// Offsets, `[margins][rows]`, if the table has them.
    pub offsets: Option<&'a [Vec<f64>]>,
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
    let reader = Reader { table, plan, encoder: Encoder::of_plan(table, plan, label) };
    let columns = reader.encoder.columns();
    let block_rows = block_rows(plan.features().max(columns.len()));
    let pace = Pace { block_rows, range_rows: usize::MAX, at_once };
    let room = || Room {
        piece: Piece::default(),
        features: vec![Vec::new(); plan.features()],
        labels: Vec::new(),
        offsets: vec![Vec::new(); plan.offsets.len()],
    };
    let each = |room: &mut Room, state: &mut T, batch: &Batch<'_>| {
        reader.encoder.encode(table, batch, &mut room.piece)?;
        work(state, &mut reader.block(room)?);
        monitor.advance(batch.rows as u64);
        Ok(())
    };
    scan(table, &columns, pace, monitor, room, start, each, |state| {
        sink(state);
        Ok(())
    })
}

/// Rows as they are encoded, and as a block has them; their memory serves one block after the other.
struct Room {
    piece: Piece,
    features: Vec<Vec<f64>>,
    labels: Vec<f64>,
    /// `[margins][rows]`, none without offsets.
    offsets: Vec<Vec<f64>>,
}

/// Rows of a training, in which nothing is missing that was there before.
struct Reader<'a> {
    table: &'a Table,
    plan: &'a Plan,
    encoder: Encoder,
}

impl Reader<'_> {
    /// The block of the rows in `room`.
    fn block<'r>(&self, room: &'r mut Room) -> Result<Block<'r>> {
        let Room { piece, features, labels, offsets } = room;
        let (of_columns, others) = piece.features.split_at_mut(self.plan.features.len());
        let (of_categories, of_offsets) = others.split_at_mut(self.plan.categories.len());
        for ((feature, values), room) in self.plan.features.iter().zip(of_columns).zip(&mut *features) {
            // Without a way out of the loop, so that the compiler may use vector registers.
            if !values.iter().fold(true, |finite, x| finite & x.is_finite())
                && let Some(row) = values.iter().position(|x| !x.is_finite())
            {
                return Err(self.changed(piece.first_row + row, feature.column, "no finite number"));
            }
            std::mem::swap(values, room);
        }
        let mut levels = features[self.plan.features.len()..].iter_mut();
        for (category, codes) in self.plan.categories.iter().zip(of_categories) {
            // Neither without a level nor of a new one.
            if let Some(row) = codes.iter().position(|code| code.is_nan() || *code == UNSEEN_LEVEL) {
                return Err(new_value(self.table, category.column, piece.first_row + row));
            }
            for (level, values) in (1..).zip(levels.by_ref().take(category.features())) {
                values.clear();
                #[expect(clippy::float_cmp, reason = "codes of levels")]
                let is_level = |code: &f64| f64::from(u8::from(*code == f64::from(level)));
                values.extend(codes.iter().map(is_level));
            }
        }
        labels.clear();
        for row in 0..piece.rows {
            let RowLabel::Class(class) = piece.labels.of(row) else {
                return Err(self.changed(piece.first_row + row, self.plan.label.column, "another class"));
            };
            labels.push(class as f64);
        }
        let mut of_offsets = of_offsets.iter_mut();
        for (column, offsets) in self.plan.offsets.iter().zip(&mut *offsets) {
            if let Some(values) = column.and_then(|_| of_offsets.next()) {
                std::mem::swap(values, offsets);
            } else {
                offsets.clear();
                offsets.resize(piece.rows, 0.0);
            }
        }
        let offsets = (!offsets.is_empty()).then_some(&offsets[..]);
        Ok(Block { first_row: piece.first_row, features, labels, weights: piece.weights.as_deref(), offsets })
    }

    /// The error for a row that was another one when it was read first.
    fn changed(&self, row: usize, column: usize, what: &str) -> Error {
        Error::data(
            format!(
                "{}: column `{}` has {what} in row {}, from 0, where there was none when it was read",
                self.table.name(),
                self.table.fields[column].name,
                self.table.row_names(&[row])
            ),
            self.table.changed_way_out(),
        )
    }
}
