//! Jobs of reading: one column of one partition, or several together, in batches of those rows that belong to the table.

use std::ops::{ControlFlow, Range};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;

use super::numbers::number;
use super::source::ReadRequest;
use super::table::{Group, Table};
use crate::error::{Error, Result};

/// Rows of a batch: large enough to hide the cost of a call, small enough for the second-level cache.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Cells of a block at most, if it has more than the fewest rows: 4 MiB, which a core's cache nearly holds.
const BLOCK_CELLS: usize = 1 << 19;
/// Fewest rows of a block.
const BLOCK_ROWS: usize = 1_024;

/// Rows of a block of a table with that many columns.
pub(super) fn block_rows(columns: usize) -> usize {
    (BLOCK_CELLS / columns.max(1)).clamp(BLOCK_ROWS, BATCH_ROWS)
}

/// Columns of one partition that are read together: because they lie in the same column of the source, or have few rows.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// By its place in the table.
    pub(super) group: usize,
    /// Places in the caller's list of columns.
    pub(super) places: Range<usize>,
    /// Position in the table of the partition's first row.
    pub(super) first_row: usize,
}

/// Values of a job of several columns of the source: what it takes to open them is next to nothing then.
const JOB_VALUES: usize = 1 << 16;
/// The most columns of such a job.
const JOB_COLUMNS: usize = 1 << 10;

/// The jobs for `columns`, partition by partition: neighbours in this list read different columns.
pub(super) fn jobs(table: &Table, columns: &[usize]) -> Vec<Job> {
    jobs_of_runs(table, &runs(table, columns))
}

/// The jobs for some runs of columns.
pub(super) fn jobs_of_runs(table: &Table, runs: &[Range<usize>]) -> Vec<Job> {
    let of_group = |(group, about): (usize, &Group)| {
        let first_row = about.first_row;
        runs.iter().map(move |places| Job { group, places: places.clone(), first_row }).collect::<Vec<_>>()
    };
    table.groups.iter().enumerate().flat_map(of_group).collect()
}

/// Places among `columns` that are read together: neighbours out of one column of the source (elements of a list, leaves
/// of a struct), and neighbours with few values.
pub(super) fn runs(table: &Table, columns: &[usize]) -> Vec<Range<usize>> {
    let root = |place: usize| table.fields[columns[place]].root();
    let rows = table.groups.iter().map(|group| group.all_rows).sum::<usize>() / table.groups.len().max(1);
    let together = (JOB_VALUES / rows.max(1)).clamp(1, JOB_COLUMNS);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in 0..columns.len() {
        let is_same = place > 0 && root(place - 1) == root(place);
        match runs.last_mut() {
            Some(run) if is_same || place - run.start < together => run.end = place + 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// Which rows of a partition are read, and how many at a time.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// By its place in the table.
    pub(super) group: usize,
    /// Rows of the partition, ascending; `None` for all. Of those, what belongs to the table comes out.
    pub(super) rows: Option<Vec<Range<usize>>>,
    pub(super) batch_rows: usize,
    /// Whether the values are held against what the source promises of them; if not, the caller does it with
    /// [`check_extent`].
    pub(super) checks_values: bool,
}

impl Part {
    /// All rows of a partition.
    pub(super) fn whole(group: usize) -> Self {
        Self { group, rows: None, batch_rows: BATCH_ROWS, checks_values: true }
    }

    /// Whether rows from `first` to before `end` are all wanted.
    fn wants(&self, first: usize, end: usize) -> bool {
        let Some(ranges) = &self.rows else { return true };
        ranges.iter().any(|range| range.start <= first && end <= range.end)
    }

    /// Whether a row is wanted.
    fn wants_row(&self, row: usize) -> bool {
        self.rows.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&row)))
    }
}

/// The rows of a partition that a part asks for and that belong to the table: the place behind the last one, and how many there
/// are.
fn wanted(group: &Group, part: &Part) -> (usize, usize) {
    #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
    let whole = [0..group.all_rows];
    let ranges = part.rows.as_deref().unwrap_or(&whole);
    let Some(keep) = &group.keep else {
        return (ranges.last().map_or(0, |range| range.end), ranges.iter().map(Range::len).sum());
    };
    let (mut end, mut rows) = (0, 0);
    for range in ranges {
        let here = keep.slice(range.start, range.len());
        rows += here.count_set_bits();
        end = here.set_slices().last().map_or(end, |(_, last)| range.start + last);
    }
    (end, rows)
}

/// Reads `columns` of a partition side by side. `take` gets the number of rows before a batch and the columns, in the
/// order of `columns`. Proves that all rows of the table came, and counts them.
pub(super) fn decode(
    table: &Table,
    part: &Part,
    columns: &[usize],
    mut take: impl FnMut(usize, &[ArrayRef]) -> Result<()>,
) -> Result<usize> {
    let group = &table.groups[part.group];
    let (end, expected) = wanted(group, part);
    if expected == 0 {
        return Ok(0);
    }
    let last = part.rows.as_ref().and_then(|ranges| ranges.last()).map_or(group.all_rows, |range| range.end);
    let mut roots: Vec<usize> = columns.iter().map(|&column| table.fields[column].root()).collect();
    roots.sort_unstable();
    roots.dedup();
    let places: Vec<usize> = columns
        .iter()
        .map(|&column| roots.binary_search(&table.fields[column].root()).expect("it is one of them"))
        .collect();
    let request = ReadRequest {
        partition: group.partition,
        columns: &roots,
        rows: part.rows.as_deref(),
        batch_rows: part.batch_rows.min(block_rows(columns.len())),
        checks_values: part.checks_values,
    };
    let mut taken = 0;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    table.source.read(&request, &mut |first, found| {
        let behind = first + found[0].len();
        // The source may hand over more than it was asked for.
        let keep = match (&group.keep, part.wants(first, behind)) {
            (None, true) => None,
            (Some(keep), true) => Some(keep.slice(first, behind - first)),
            (keep, false) => {
                let is_kept = |row: usize| keep.as_ref().is_none_or(|keep| keep.value(row));
                Some(BooleanBuffer::collect_bool(behind - first, |row| {
                    part.wants_row(first + row) && is_kept(first + row)
                }))
            }
        };
        let rows = keep.as_ref().map_or(behind - first, BooleanBuffer::count_set_bits);
        if rows > 0 {
            arrays.clear();
            for (&column, &place) in columns.iter().zip(&places) {
                let field = &table.fields[column];
                arrays.push(field.extract(&found[place], |row| table.row_name(group, first + row))?);
            }
            if let Some(keep) = keep.filter(|_| rows < behind - first) {
                let keep = BooleanArray::new(keep, None);
                for array in &mut arrays {
                    *array = filter(array, &keep)
                        .map_err(|cause| Error::internal(format!("rows could not be left out: {cause}")))?;
                }
            }
            take(taken, &arrays)?;
            taken += rows;
        }
        // Nothing behind the last row of the table is worth reading, nor what nobody asked for.
        Ok(if behind >= end && (end < last || behind > last) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    if taken == expected {
        return Ok(taken);
    }
    Err(Error::data(
        format!("{}: {taken} rows came out of partition {} where {expected} belong", table.name(), group.partition),
        table.changed_way_out(),
    ))
}

/// Between what the numbers of a column lie in a partition, if its source knows.
pub(super) fn known_extent(table: &Table, group: usize, column: usize) -> Result<Option<(f64, f64)>> {
    let field = &table.fields[column];
    if !field.is_whole() {
        return Ok(None);
    }
    let bounds = table.source.bounds(table.groups[group].partition, field.root())?;
    Ok(bounds.and_then(|[low, high]| number(&low).zip(number(&high))))
}

/// An error if the source excludes some numbers from one to another of a column in a partition.
pub(super) fn check_extent(table: &Table, group: usize, column: usize, extent: (f64, f64)) -> Result<()> {
    let field = &table.fields[column];
    if !field.is_whole() {
        return Ok(());
    }
    table.source.check_extent(table.groups[group].partition, field.root(), extent)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;
    use crate::data::source::{Partition, Source, SourceColumn, Take};
    use crate::error::Kind;

    /// A source that knows nothing and skips nothing: whatever it is asked for, it hands over all rows of a partition, some at a
    /// time, until nobody wants more. Its only column is the place of the row; `lost` rows at the end of a partition never come.
    #[derive(Debug)]
    struct Plain {
        columns: Vec<SourceColumn>,
        partitions: Vec<Partition>,
        some: usize,
        lost: usize,
    }

    impl Plain {
        fn table(partitions: &[usize], some: usize, lost: usize) -> Table {
            let partitions = partitions.iter().map(|&rows| Partition { rows }).collect();
            let (name, data_type) = ("place".to_owned(), DataType::Int64);
            let column = SourceColumn { name, data_type, is_index: false, is_key: false, conflict: None };
            Table::of(Arc::new(Self { columns: vec![column], partitions, some, lost }))
        }
    }

    impl Source for Plain {
        fn name(&self) -> String {
            "a plain source".into()
        }

        fn columns(&self) -> &[SourceColumn] {
            &self.columns
        }

        fn partitions(&self) -> &[Partition] {
            &self.partitions
        }

        fn read(&self, request: &ReadRequest<'_>, take: &mut Take<'_>) -> Result<()> {
            let before: usize = self.partitions[..request.partition].iter().map(|partition| partition.rows).sum();
            let rows = self.partitions[request.partition].rows - self.lost;
            for first in (0..rows).step_by(self.some) {
                let places = (first..rows.min(first + self.some)).map(|row| (before + row) as i64);
                let array: ArrayRef = Arc::new(Int64Array::from_iter_values(places));
                if take(first, &[array])?.is_break() {
                    return Ok(());
                }
            }
            Ok(())
        }
    }

    /// The rows of a part, how many there were before each batch, and how many were counted.
    fn rows(table: &Table, part: &Part) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        let counted = decode(table, part, &[0], |before, arrays| {
            assert_eq!(before, found.len());
            found.extend(arrays[0].as_primitive::<Int64Type>().values());
            Ok(())
        })?;
        assert_eq!(counted, found.len());
        Ok(found)
    }

    #[test]
    fn a_source_may_hand_over_more_than_was_asked_for() {
        for some in [1, 7, 100, 1_000] {
            let table = Plain::table(&[40, 0, 300, 5], some, 0);
            assert_eq!((table.rows, table.groups.len()), (345, 3));
            assert!(rows(&table, &Part::whole(1)).expect("rows").into_iter().eq(40..340));
            let part = Part { rows: Some(vec![3..5, 60..61, 290..300]), ..Part::whole(1) };
            let expected: Vec<i64> = [43..45, 100..101, 330..340].into_iter().flatten().collect();
            assert_eq!(rows(&table, &part).expect("rows"), expected);
            // Those of them that belong to the table.
            let keep = table.groups.iter().map(|group| {
                BooleanBuffer::collect_bool(group.all_rows, |row| (group.first_of_all + row).is_multiple_of(3))
            });
            let thirds = table.restricted(keep.collect());
            assert!(rows(&thirds, &Part::whole(1)).expect("rows").into_iter().eq((42..340).step_by(3)));
            assert_eq!(rows(&thirds, &part).expect("rows"), [330, 333, 336, 339]);
        }
    }

    #[test]
    fn rows_that_do_not_come_are_an_error() {
        let table = Plain::table(&[40, 300], 100, 2);
        let error = rows(&table, &Part::whole(1)).expect_err("two rows are missing");
        assert_eq!(error.kind, Kind::Data);
        assert_eq!(error.fact, "a plain source: 298 rows came out of partition 1 where 300 belong");
        // Nobody asks for those.
        #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
        let part = Part { rows: Some(vec![3..298]), ..Part::whole(1) };
        assert_eq!(rows(&table, &part).expect("rows").len(), 295);
    }
}
