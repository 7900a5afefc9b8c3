//! Going through a table row by row: the features and the label of the same rows together, as the file has them,
//! in f64.
//!
//! The work is cut into ranges of rows that depend on the file alone, each decoded by one thread from its own file
//! handle, and a range into blocks. What blocks lead to is therefore the same whatever the threads do.

use arrow::array::ArrayRef;
use parquet::file::metadata::ColumnChunkMetaData;
use rayon::prelude::*;

use super::coder::{Coder, MISSING};
use super::decode::{BATCH_ROWS, Part, decode, to_f64};
use super::label::Label;
use super::levels::known;
use super::plan::Plan;
use super::table::{Group, Table};
use super::weigh::Weighing;
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
    /// 1 for the positive class, 0 for the other, or the code of the class, `[rows]`.
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
/// Fewest and most rows of a range, unless more of them are worth it.
const RANGE_ROWS: [usize; 2] = [32_768, 131_072];
/// Most rows of a range that are worth it: those of a page of 1 MiB of 32-bit numbers.
const WORTH_ROWS: usize = 262_144;
/// Ranges that a table is cut into if they are not too small or too large then: some for each core.
const RANGES: usize = 32;
/// Memory for all pages that are decoded at the same time.
const PAGES_BYTES: u64 = 4 << 30;
/// What writers give a page, and its dictionary another time.
const PAGE_BYTES: u64 = 1 << 20;

/// Rows of one row group that one thread decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// By its place in the table.
    pub(super) group: usize,
    /// Rows of the file's row group.
    pub(super) file_rows: std::ops::Range<usize>,
    /// Position in the table of the first row.
    pub(super) first_row: usize,
    /// Rows of the table.
    pub(super) rows: usize,
}

/// The ranges of at most `most` rows that `columns` of a table are read in, in the order of the rows.
pub(super) fn ranges(table: &Table, columns: &[usize], most: usize) -> Vec<Range> {
    cut(&table.groups, worth_a_range(table, columns), most)
}

/// Rows of as many bytes as a range decodes for nothing: each has the dictionaries decoded afresh, and the pages in which
/// it begins and ends as a whole, of which half is another's as a rule.
fn worth_a_range(table: &Table, columns: &[usize]) -> usize {
    let (mut for_nothing, mut of_a_row) = (0.0, 0.0);
    for group in &table.groups {
        for chunk in chunks(table, group, columns) {
            let bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let page = bytes.min(PAGE_BYTES) as f64;
            for_nothing += if chunk.dictionary_page_offset().is_some() { 2.0 * page } else { page };
            of_a_row += bytes as f64 / group.file_rows as f64;
        }
    }
    (for_nothing / of_a_row) as usize
}

/// What the footer says of `columns` in a row group.
fn chunks<'t>(
    table: &'t Table,
    group: &Group,
    columns: &[usize],
) -> impl Iterator<Item = &'t ColumnChunkMetaData> + use<'t> {
    let file = &table.files[group.file];
    let about = file.metadata.metadata().row_group(group.index);
    let schema = file.metadata.parquet_schema();
    let roots = columns.iter().filter_map(|&column| file.roots[table.fields[column].root()?].as_ref());
    let mut roots: Vec<usize> = roots.map(|root| root.place).collect();
    roots.sort_unstable();
    let leaves = 0..about.num_columns();
    leaves
        .filter(move |&leaf| roots.binary_search(&schema.get_column_root_idx(leaf)).is_ok())
        .map(|leaf| about.column(leaf))
}

/// Ranges of about the same length, of which `worth` rows or more are worth one, and `most` at most, 1 at least.
fn cut(groups: &[Group], worth: usize, most: usize) -> Vec<Range> {
    let [fewest, many] = RANGE_ROWS;
    let length = groups.iter().map(|group| group.rows).sum::<usize>().div_ceil(RANGES).clamp(fewest, many);
    let length = length.max(worth.min(WORTH_ROWS)).min(most);
    let mut ranges = Vec::new();
    for (group, about) in groups.iter().enumerate() {
        for before in (0..about.rows).step_by(length) {
            let rows = length.min(about.rows - before);
            let file_rows = about.file_range(before..before + rows);
            ranges.push(Range { group, file_rows, first_row: about.first_row + before, rows });
        }
    }
    ranges
}

/// Rows of a block of a table with that many columns.
pub(super) fn block_rows(columns: usize) -> usize {
    let [fewest, most] = BLOCK_ROWS;
    (BLOCK_CELLS / columns).clamp(fewest, most)
}

/// Goes through all rows of the columns of `plan`, in ranges: `work` gets each block of a range in the order of the
/// rows, beside what `start` made for the range. Gives what became of it, range by range in the order of the rows.
///
/// Ranges and blocks depend on the file and the plan alone. A row group of more than 32,768 to 262,144 rows makes
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
    let ranges = ranges(table, &reader.columns, usize::MAX);
    let fold = |buffers: &mut Buffers, range: &Range| {
        let mut state = start();
        let part = Part {
            group: range.group,
            rows: (range.file_rows.len() < table.groups[range.group].file_rows).then(|| vec![range.file_rows.clone()]),
            batch_rows: reader.block_rows,
            checks_values: true,
        };
        let rows = decode(table, &part, &reader.columns, |before, arrays| {
            monitor.check()?;
            let first_row = range.first_row + before;
            reader.fill(buffers, first_row, arrays)?;
            let Buffers { features, labels, weights, offsets } = &mut *buffers;
            let (weights, offsets) = (weights.as_deref(), offsets.as_deref());
            work(&mut state, &mut Block { first_row, features, labels, weights, offsets });
            monitor.advance(buffers.labels.len() as u64);
            Ok(())
        })?;
        if rows == range.rows {
            return Ok(state);
        }
        Err(Error::internal(format!("{rows} rows from {} on came out where {} belong", range.first_row, range.rows)))
    };
    for some in ranges.chunks(ranges_at_once(table, &reader.columns).min(at_once)) {
        let new = || Buffers {
            features: vec![Vec::new(); plan.features()],
            labels: Vec::new(),
            weights: None,
            offsets: None,
        };
        match some.par_iter().map_init(new, fold).collect::<Result<Vec<T>>>() {
            Ok(states) => states.into_iter().for_each(&mut sink),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => {
                // A file that is being overwritten looks damaged; say what it is.
                table.check_unchanged()?;
                return Err(error);
            }
        }
    }
    table.check_unchanged()
}

/// How many ranges may be decoded at the same time, by the pages that they hold: all of them, but for tables with
/// thousands of columns.
fn ranges_at_once(table: &Table, columns: &[usize]) -> usize {
    let pages = |group: &Group| -> u64 {
        let of_column = |chunk: &ColumnChunkMetaData| u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        chunks(table, group, columns).map(|chunk| of_column(chunk).min(2 * PAGE_BYTES)).sum()
    };
    let largest = table.groups.iter().map(pages).max().unwrap_or(0);
    let fit = usize::try_from(PAGES_BYTES / largest.max(1)).unwrap_or(usize::MAX).max(1);
    if fit >= rayon::current_num_threads() { usize::MAX } else { fit }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(rows: &[usize]) -> Vec<Group> {
        let mut first_row = 0;
        let mut group = |(index, &rows): (usize, &usize)| {
            let group =
                Group { file: 0, index, first_row, rows, file_rows: rows, file_first_row: first_row, keep: None };
            first_row += rows;
            group
        };
        rows.iter().enumerate().map(&mut group).collect()
    }

    #[test]
    fn a_large_row_group_is_cut() {
        let rows = |of: &[usize]| cut(&groups(of), 0, usize::MAX).iter().map(|range| range.rows).collect::<Vec<_>>();
        assert_eq!(rows(&[300_000]).len(), 10);
        assert_eq!(rows(&[8 << 20]).len(), 64);
        assert_eq!(rows(&[10, 40_000, 1]), [10, 32_768, 7_232, 1]);
        let third = Range { group: 1, file_rows: 32_768..40_000, first_row: 32_778, rows: 7_232 };
        assert_eq!(cut(&groups(&[10, 40_000, 1]), 0, usize::MAX)[2], third);
        // Not where a range costs more than it has.
        let of = |worth: usize, most: usize| {
            cut(&groups(&[600_000, 100]), worth, most).iter().map(|range| range.rows).collect::<Vec<_>>()
        };
        assert_eq!(of(200_000, usize::MAX), [200_000, 200_000, 200_000, 100]);
        assert_eq!(of(1 << 40, usize::MAX), [262_144, 262_144, 75_712, 100]);
        // Nor more than there is room for, whatever that costs.
        assert_eq!(of(1 << 40, 250_000), [250_000, 250_000, 100_000, 100]);
        assert_eq!([1, 100, 100_000].map(block_rows), [BATCH_ROWS, 5_242, 1_024]);
    }
}
