//! Going through a table row by row: the features and the label of the same rows together, as the file has them,
//! in f64.
//!
//! The work is cut into ranges of rows that depend on the file alone, each decoded by one thread from its own file
//! handle, and a range into blocks. What blocks lead to is therefore the same whatever the threads do.

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::RowGroupMetaData;
use rayon::prelude::*;

use super::decode::{BATCH_ROWS, Part, decode_together, to_f64};
use super::label::{Label, for_each_class};
use super::load::Plan;
use super::table::Table;
use crate::error::{Error, Kind, Result};
use crate::monitor::Monitor;

/// Neighbouring rows of a table, complete.
#[derive(Debug)]
pub struct Block<'a> {
    /// Position in the table of the first row.
    pub first_row: usize,
    /// The values as in the file, `[features]` in the order of the plan, each `[rows]`. Free to be overwritten:
    /// nobody else reads them.
    pub features: &'a mut [Vec<f64>],
    /// 1 for the positive class, 0 for the other, `[rows]`.
    pub labels: &'a [f64],
    /// Row weights, `[rows]`, if the table has them.
    pub weights: Option<&'a [f64]>,
    /// Offsets, `[rows]`, if the table has them.
    pub offsets: Option<&'a [f64]>,
}

/// Cells of a block at most, if it has more than the fewest rows: 4 MiB, which a core's cache nearly holds.
const BLOCK_CELLS: usize = 1 << 19;
/// Fewest and most rows of a block.
const BLOCK_ROWS: [usize; 2] = [1_024, BATCH_ROWS];
/// Fewest and most rows of a range. A range decodes the dictionaries, and the page in which it begins, afresh: a
/// range of fewer rows than a page usually has would decode most of them for nothing.
const RANGE_ROWS: [usize; 2] = [32_768, 131_072];
/// Ranges that a table is cut into if they are not too small or too large then: some for each core.
const RANGES: usize = 32;
/// Memory for all pages that are decoded at the same time.
const PAGES_BYTES: u64 = 4 << 30;
/// What writers give a page, and its dictionary another time.
const PAGE_BYTES: u64 = 1 << 20;

/// Rows of one row group that one thread decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    row_group: usize,
    /// Rows of the row group before this range.
    before: usize,
    /// Position in the table of the first row.
    first_row: usize,
    rows: usize,
}

/// The ranges of row groups with `groups` rows, in the order of the rows.
fn ranges(groups: &[usize]) -> Vec<Range> {
    let [fewest, most] = RANGE_ROWS;
    let length = groups.iter().sum::<usize>().div_ceil(RANGES).clamp(fewest, most);
    let mut ranges = Vec::new();
    let mut first_row = 0;
    for (row_group, &group_rows) in groups.iter().enumerate() {
        for before in (0..group_rows).step_by(length) {
            let rows = length.min(group_rows - before);
            ranges.push(Range { row_group, before, first_row: first_row + before, rows });
        }
        first_row += group_rows;
    }
    ranges
}

/// Rows of a block of a table with that many columns.
fn block_rows(columns: usize) -> usize {
    let [fewest, most] = BLOCK_ROWS;
    (BLOCK_CELLS / columns).clamp(fewest, most)
}

/// Goes through all rows of the columns of `plan`, in ranges: `work` gets each block of a range in the order of the
/// rows, beside what `start` made for the range. Gives what became of it, range by range in the order of the rows.
///
/// Ranges and blocks depend on the file and the plan alone. A row group of more than 32,768 to 131,072 rows makes
/// several ranges; pages before a range are skipped without being decoded. At a time each thread holds one block,
/// a batch of the decoder and the current page of each column.
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
    let groups: Vec<usize> = table
        .metadata
        .metadata()
        .row_groups()
        .iter()
        .map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
        .collect();
    let ranges = ranges(&groups);
    let reader = Reader::new(table, plan, label);
    let fold = |buffers: &mut Buffers, range: &Range| {
        let mut state = start();
        let selection = (range.rows < groups[range.row_group]).then(|| {
            let rows = range.before..range.before + range.rows;
            RowSelection::from_consecutive_ranges(std::iter::once(rows), groups[range.row_group])
        });
        let part = Part { row_group: range.row_group, first_row: range.first_row, batch_rows: reader.block_rows };
        let rows = decode_together(table, part, &reader.columns, selection, |before, batch| {
            monitor.check()?;
            let first_row = range.first_row + before;
            reader.fill(buffers, first_row, batch)?;
            let Buffers { features, labels } = &mut *buffers;
            work(&mut state, &mut Block { first_row, features, labels, weights: None, offsets: None });
            monitor.advance(batch.num_rows() as u64);
            Ok(())
        })?;
        if rows == range.rows {
            return Ok(state);
        }
        Err(Error::data(
            format!(
                "{}: {rows} rows from {} on came out of row group {}, its footer says {}",
                table.path.display(),
                range.first_row,
                range.row_group,
                range.rows
            ),
            "The file is truncated or damaged; write or copy it again.",
        ))
    };
    let mut states = Vec::with_capacity(ranges.len());
    for some in ranges.chunks(ranges_at_once(table, &reader.columns)) {
        let new = || Buffers { features: vec![Vec::new(); plan.features.len()], labels: Vec::new() };
        match some.par_iter().map_init(new, fold).collect::<Result<Vec<T>>>() {
            Ok(more) => states.extend(more),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => {
                // A file that is being overwritten looks damaged; say what it is.
                table.check_unchanged()?;
                return Err(error);
            }
        }
    }
    table.check_unchanged()?;
    Ok(states)
}

/// How many ranges may be decoded at the same time, by the pages that they hold: all of them, but for tables with
/// thousands of columns.
fn ranges_at_once(table: &Table, columns: &[usize]) -> usize {
    let pages = |group: &RowGroupMetaData| -> u64 {
        let sizes = columns.iter().filter_map(|&column| group.columns().get(column));
        sizes.map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0).min(2 * PAGE_BYTES)).sum()
    };
    let largest = table.metadata.metadata().row_groups().iter().map(pages).max().unwrap_or(0);
    let fit = usize::try_from(PAGES_BYTES / largest.max(1)).unwrap_or(usize::MAX).max(1);
    if fit >= rayon::current_num_threads() { usize::MAX } else { fit }
}

/// A block's columns; their memory serves one block after the other.
struct Buffers {
    features: Vec<Vec<f64>>,
    labels: Vec<f64>,
}

/// What is to be found where in a batch.
struct Reader<'a> {
    table: &'a Table,
    plan: &'a Plan,
    label: &'a Label,
    /// All columns, in the order of the file.
    columns: Vec<usize>,
    /// Where each feature lies in `columns`.
    places: Vec<usize>,
    label_place: usize,
    block_rows: usize,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table, plan: &'a Plan, label: &'a Label) -> Self {
        let mut columns: Vec<usize> = plan.features.iter().copied().chain([plan.label.column]).collect();
        columns.sort_unstable();
        let place = |column: &usize| columns.binary_search(column).expect("it is one of them");
        let places = plan.features.iter().map(place).collect();
        let label_place = place(&plan.label.column);
        Self { table, plan, label, block_rows: block_rows(columns.len()), columns, places, label_place }
    }

    /// Brings a batch, which begins at the table's `first_row`, into `buffers`.
    fn fill(&self, buffers: &mut Buffers, first_row: usize, batch: &RecordBatch) -> Result<()> {
        let other = |row: usize, column: usize, what: &str| {
            Error::data(
                format!(
                    "{}: column `{}` has {what} in row {}, from 0, where there was none when it was read",
                    self.table.path.display(),
                    self.table.fields[column].name,
                    first_row + row
                ),
                "The file was changed in between; wait until it is written, then run again.",
            )
        };
        for ((column, values), &place) in self.plan.features.iter().zip(&mut buffers.features).zip(&self.places) {
            values.clear();
            to_f64(batch.column(place), values)?;
            // Without a way out of the loop, so that the compiler may use vector registers.
            if !values.iter().fold(true, |finite, x| finite & x.is_finite()) {
                let row = values.iter().position(|x| !x.is_finite()).unwrap_or(0);
                return Err(other(row, *column, "no finite number"));
            }
        }
        let [negative, positive] = &self.label.classes;
        let column = self.plan.label.column;
        let mut unknown = None;
        buffers.labels.clear();
        for_each_class(batch.column(self.label_place), self.table.fields[column].kind, |row, class| {
            let is_positive = class.as_ref() == Some(positive);
            if !is_positive && class.as_ref() != Some(negative) {
                unknown = unknown.or(Some(row));
            }
            buffers.labels.push(f64::from(u8::from(is_positive)));
        })?;
        match unknown {
            Some(row) => Err(other(row, column, "another class")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_row_group_is_cut() {
        assert_eq!(ranges(&[300_000]).len(), 10);
        assert_eq!(ranges(&[8 << 20]).len(), 64);
        assert_eq!(ranges(&[10, 40_000, 1]).iter().map(|range| range.rows).collect::<Vec<_>>(), [10, 32_768, 7_232, 1]);
        assert_eq!(ranges(&[10, 40_000, 1])[2], Range { row_group: 1, before: 32_768, first_row: 32_778, rows: 7_232 });
        assert_eq!([1, 100, 100_000].map(block_rows), [BATCH_ROWS, 5_242, 1_024]);
    }
}
