//! Going through the rows of a table, several columns side by side.
//!
//! The rows are cut into ranges by their number and the number of columns alone, and a range into blocks. What is made of a
//! range therefore depends on neither the threads nor on how the source is cut into partitions and batches. A thread reads
//! some ranges in one go, as many as are worth what a source has to read for nothing before it gets to the first one.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use rayon::prelude::*;

use super::decode::{Part, block_rows, decode};
use super::source::Cost;
use super::table::{Group, Table};
use crate::error::{Error, Kind, Result};
use crate::monitor::Monitor;

/// Fewest and most rows of a range. A table that has no more than the most is one range.
const RANGE_ROWS: [usize; 2] = [32_768, 131_072];
/// Ranges that a table is cut into if they are not too small or too large then: some for each core.
const RANGES: usize = 32;
/// Most rows that are read in one go because less is not worth it: those of a page of 1 MiB of 32-bit numbers.
const WORTH_ROWS: usize = 262_144;
/// Memory for what all threads hold of their sources.
const HELD_BYTES: u64 = 4 << 30;

/// How a table is gone through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Rows of a block.
    pub(super) block_rows: usize,
    /// Rows of a range at most.
    pub(super) range_rows: usize,
    /// Ranges of which something waits until it is used, at most.
    pub(super) at_once: usize,
}

impl Pace {
    /// Ranges as large as they may be, all of them at once.
    pub(super) fn of(columns: &[usize]) -> Self {
        Self { block_rows: block_rows(columns.len()), range_rows: usize::MAX, at_once: usize::MAX }
    }
}

/// Neighbouring rows of a table, some columns of them.
pub(super) struct Batch<'a> {
    /// Position in the table of the first row.
    pub(super) first_row: usize,
    /// The number of rows.
    pub(super) rows: usize,
    /// The columns of one part of the rows after the other: a source's batches may end anywhere.
    pieces: &'a [Vec<ArrayRef>],
}

impl<'a> Batch<'a> {
    /// A column, part by part. What takes values one after the other needs no copy of them.
    pub(super) fn parts_of(&self, column: usize) -> impl Iterator<Item = &'a ArrayRef> + use<'a> {
        self.pieces.iter().map(move |piece| &piece[column])
    }

    /// A column, `[rows]`, in one array.
    pub(super) fn array(&self, column: usize) -> Result<ArrayRef> {
        if let [piece] = self.pieces {
            return Ok(ArrayRef::clone(&piece[column]));
        }
        let parts: Vec<&dyn Array> = self.parts_of(column).map(AsRef::as_ref).collect();
        concat(&parts).map_err(|cause| Error::internal(format!("a block could not be joined: {cause}")))
    }

    /// Some columns, each as [`Batch::array`].
    pub(super) fn arrays(&self, columns: Range<usize>) -> Result<Vec<ArrayRef>> {
        columns.map(|column| self.array(column)).collect()
    }
}

/// Goes through all rows of `columns`: `work` gets each block of a range, in the order of the rows, beside what `start` made
/// for the range and what `room` made for the thread. `sink` gets what became of the ranges, in the order of the rows. `monitor`
/// is asked before each block; how far the work is, `work` has to say.
///
/// A block has `block_rows` rows of the source, counted from the first row of its range, without those that do not belong to
/// the table; so fewer where some are left out, and none without rows.
///
/// # Errors
/// The first one in the order of the rows, whichever thread was faster; that the source has changed, if it has.
#[expect(clippy::too_many_arguments, reason = "what is read, and what becomes of it")]
pub(super) fn scan<R, T: Send>(
    table: &Table,
    columns: &[usize],
    pace: Pace,
    monitor: &dyn Monitor,
    room: impl Fn() -> R + Sync + Send,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut R, &mut T, &Batch<'_>) -> Result<()> + Sync,
    mut sink: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let ranges = ranges(table.rows, columns.len(), pace.range_rows);
    let range_rows = ranges.first().map_or(1, Range::len);
    // So many that each thread has some.
    let most = pace.at_once / rayon::current_num_threads();
    let in_one_go = ranges_in_one_go(table, columns, range_rows).min(most).max(1);
    let runs: Vec<&[Range<usize>]> = ranges.chunks(in_one_go).collect();
    let at_once = runs_at_once(table, columns).min((pace.at_once / in_one_go).max(1));
    for some in runs.chunks(at_once) {
        let failed = AtomicUsize::new(usize::MAX);
        let read = |room: &mut R, (place, run): (usize, &&[Range<usize>])| -> Option<Result<Vec<T>>> {
            // What comes behind an error is never used.
            if failed.load(Ordering::Relaxed) < place {
                return None;
            }
            let done = read_run(table, columns, run, pace, monitor, room, &start, &work);
            if done.is_err() {
                failed.fetch_min(place, Ordering::Relaxed);
            }
            Some(done)
        };
        let done: Vec<Option<Result<Vec<T>>>> =
            some.par_iter().enumerate().map_init(&room, |room, run| read(room, run)).collect();
        for states in done.into_iter().flatten() {
            match states {
                Ok(states) => states.into_iter().try_for_each(&mut sink)?,
                Err(error) if error.kind == Kind::Interrupted => return Err(error),
                Err(error) => {
                    // What is being overwritten looks damaged; say what it is.
                    table.check_unchanged()?;
                    return Err(error);
                }
            }
        }
    }
    table.check_unchanged()
}

/// Goes through all rows of `columns` partition by partition, on all cores: `work` gets the batches of one in the order of the
/// rows, beside what `start` made for it. Gives what became of each. For what shows no cut: nothing is read for nothing then.
///
/// # Errors
/// Of one partition that has one.
pub(super) fn by_partition<T: Send>(
    table: &Table,
    columns: &[usize],
    monitor: &dyn Monitor,
    start: impl Fn(&Group) -> T + Sync,
    work: impl Fn(&mut T, &Batch<'_>) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let of_group = |(group, about): (usize, &Group)| {
        let mut state = start(about);
        decode(table, &Part::whole(group), columns, |before, arrays| {
            monitor.check()?;
            let pieces = [arrays.to_vec()];
            let rows = pieces[0][0].len();
            work(&mut state, &Batch { first_row: about.first_row + before, rows, pieces: &pieces })
        })?;
        Ok(state)
    };
    table.groups.par_iter().enumerate().map(of_group).collect()
}

/// What became of some ranges that follow each other.
#[expect(clippy::too_many_arguments, reason = "those of `scan`")]
fn read_run<R, T>(
    table: &Table,
    columns: &[usize],
    run: &[Range<usize>],
    pace: Pace,
    monitor: &dyn Monitor,
    room: &mut R,
    start: impl Fn() -> T,
    work: impl Fn(&mut R, &mut T, &Batch<'_>) -> Result<()>,
) -> Result<Vec<T>> {
    let mut states = Vec::with_capacity(run.len());
    let mut each = |batch: &Batch<'_>| {
        monitor.check()?;
        if states.is_empty() || run[states.len() - 1].end <= batch.first_row {
            states.push(start());
        }
        let state = states.last_mut().expect("its range has begun");
        work(room, state, batch)
    };
    if columns.is_empty() {
        for range in run {
            for first_row in range.clone().step_by(pace.block_rows) {
                let rows = pace.block_rows.min(range.end - first_row);
                each(&Batch { first_row, rows, pieces: &[Vec::new()] })?;
            }
        }
        return Ok(states);
    }
    let mut open = Open { pieces: Vec::new(), first_row: run[0].start, rows: 0 };
    let cuts: Vec<usize> = run.iter().flat_map(|range| block_ends(table, range, pace.block_rows)).collect();
    let mut cuts = cuts.as_slice();
    let rows = run[0].start..run[run.len() - 1].end;
    let groups = table.groups.partition_point(|group| group.first_row + group.rows <= rows.start);
    for (group, about) in table.groups.iter().enumerate().skip(groups) {
        if about.first_row >= rows.end {
            break;
        }
        let within = rows.start.max(about.first_row) - about.first_row
            ..rows.end.min(about.first_row + about.rows) - about.first_row;
        let first_row = about.first_row + within.start;
        let wanted = about.range_of_all(within);
        let is_whole = wanted == (0..about.all_rows);
        let batch_rows = pace.block_rows;
        let part = Part { rows: (!is_whole).then(|| vec![wanted]), batch_rows, ..Part::whole(group) };
        decode(table, &part, columns, |before, arrays| {
            let (mut from, rows) = (0, arrays[0].len());
            while from < rows {
                let position = first_row + before + from;
                let Some((cut, later)) = cuts.split_first() else { return Err(other_rows(&run[run.len() - 1])) };
                let to = rows.min(from + (cut - position));
                open.take(arrays, &(from..to));
                if position + (to - from) == *cut {
                    cuts = later;
                    open.close(&mut each)?;
                }
                from = to;
            }
            Ok(())
        })?;
    }
    if open.rows > 0 || !cuts.is_empty() {
        return Err(other_rows(&run[run.len() - 1]));
    }
    Ok(states)
}

/// The error where other rows came out than those of a range.
fn other_rows(range: &Range<usize>) -> Error {
    Error::internal(format!("other rows came out than those from {} to before {}", range.start, range.end))
}

/// A block that is not whole yet.
struct Open {
    /// Its columns, piece by piece.
    pieces: Vec<Vec<ArrayRef>>,
    first_row: usize,
    rows: usize,
}

impl Open {
    /// Takes some rows of a batch.
    fn take(&mut self, arrays: &[ArrayRef], rows: &Range<usize>) {
        self.rows += rows.len();
        let is_whole = *rows == (0..arrays[0].len());
        let piece = |array: &ArrayRef| if is_whole { array.clone() } else { array.slice(rows.start, rows.len()) };
        self.pieces.push(arrays.iter().map(piece).collect());
    }

    /// Hands the block on; the next one follows it.
    fn close(&mut self, take: impl FnOnce(&Batch<'_>) -> Result<()>) -> Result<()> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        take(&Batch { first_row: self.first_row, rows: self.rows, pieces: &self.pieces })?;
        self.pieces.clear();
        self.first_row += self.rows;
        self.rows = 0;
        Ok(())
    }
}

/// Cells of a range that are work enough.
const RANGE_CELLS: usize = 1 << 24;

/// The ranges of a table, of `most` rows at most. Equal parts of it: partitions of equal length often end where some of them
/// do, and nothing is read twice then.
fn ranges(rows: usize, columns: usize, most: usize) -> Vec<Range<usize>> {
    let [fewest, many] = RANGE_ROWS;
    let length = if rows <= many { many } else { rows.div_ceil(RANGES).clamp(fewest, many) };
    let length = length.min((RANGE_CELLS / columns.max(1)).max(fewest)).min(most.max(1));
    (0..rows).step_by(length).map(|first| first..rows.min(first + length)).collect()
}

/// Ranges of so many rows that are read in one go.
fn ranges_in_one_go(table: &Table, columns: &[usize], range_rows: usize) -> usize {
    worth(table.groups.iter().map(|group| (group.all_rows, costs(table, group, columns)))).div_ceil(range_rows)
}

/// Rows of as many bytes as what a source reads for nothing before it gets to them, on average over partitions with so many
/// rows and such columns.
fn worth<C: IntoIterator<Item = Cost>>(partitions: impl IntoIterator<Item = (usize, C)>) -> usize {
    let (mut for_nothing, mut of_a_row) = (0.0, 0.0);
    for (rows, costs) in partitions {
        for cost in costs {
            for_nothing += cost.start_bytes as f64;
            of_a_row += cost.bytes as f64 / rows as f64;
        }
    }
    ((for_nothing / of_a_row) as usize).min(WORTH_ROWS)
}

/// What it takes to read `columns` of a partition.
fn costs<'t>(table: &'t Table, group: &'t Group, columns: &[usize]) -> impl Iterator<Item = Cost> + use<'t> {
    let mut roots: Vec<usize> = columns.iter().map(|&column| table.fields[column].root()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots.into_iter().map(|root| table.source.cost(group.partition, root))
}

/// How many runs may be read at the same time, by what they hold of their source: all of them, but for tables with thousands
/// of columns.
fn runs_at_once(table: &Table, columns: &[usize]) -> usize {
    let held = |group| costs(table, group, columns).map(|cost| cost.start_bytes).sum::<u64>();
    let largest = table.groups.iter().map(held).max().unwrap_or(0);
    let fit = usize::try_from(HELD_BYTES / largest.max(1)).unwrap_or(usize::MAX).max(1);
    if fit >= rayon::current_num_threads() { usize::MAX } else { fit }
}

/// Positions behind the last row of each block of a range.
fn block_ends(table: &Table, range: &Range<usize>, block_rows: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let first = table.groups.partition_point(|group| group.first_row + group.rows <= range.start);
    let Some(begin) = table.groups.get(first) else { return ends };
    // Among all rows of the source.
    let origin = begin.first_of_all + begin.row_of_all(range.start - begin.first_row).unwrap_or(0);
    let mut last_block = 0;
    for group in table.groups[first..].iter().take_while(|group| group.first_row < range.end) {
        let behind = group.first_of_all + group.all_rows;
        let block = (group.first_of_all.max(origin) - origin) / block_rows;
        if block > last_block {
            ends.push(group.first_row);
        }
        let (mut seen, mut kept) = (0, 0);
        for end in (origin + (block + 1) * block_rows..behind).step_by(block_rows) {
            let rows = end - group.first_of_all - seen;
            kept += group.keep.as_ref().map_or(rows, |keep| keep.slice(seen, rows).count_set_bits());
            seen += rows;
            ends.push(group.first_row + kept);
            if group.first_row + kept >= range.end {
                break;
            }
        }
        last_block = (behind - 1 - origin) / block_rows;
    }
    ends.retain(|end| *end > range.start && *end < range.end);
    ends.push(range.end);
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::buffer::BooleanBuffer;
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn ranges_depend_on_rows_and_columns() {
        let lengths = |rows: usize, columns: usize, most: usize| {
            ranges(rows, columns, most).iter().map(Range::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(131_072, 10, usize::MAX), [131_072]);
        assert_eq!(lengths(131_073, 10, usize::MAX), [32_768, 32_768, 32_768, 32_768, 1]);
        assert_eq!(lengths(8 << 20, 10, usize::MAX).len(), 64);
        assert_eq!(lengths(100_000, 400, usize::MAX), [41_943, 41_943, 16_114]);
        assert_eq!(lengths(100_000, 20_000, usize::MAX).len(), 4);
        assert_eq!(lengths(100_000, 10, 60_000), [60_000, 40_000]);
        assert!(lengths(0, 10, 60_000).is_empty());
    }

    #[test]
    fn what_is_read_for_nothing_decides_what_is_read_in_one_go() {
        let cost = |bytes, start_bytes| [Cost { bytes, start_bytes }];
        // A chunk of 1 MiB that is one page, beside a dictionary, and one of many pages.
        assert_eq!(worth([(300_000, cost(1 << 20, 2 << 20))]), 262_144);
        assert_eq!(worth([(131_072, cost(1 << 20, 1 << 20))]), 131_072);
        assert_eq!(worth([(1 << 20, cost(8 << 20, 1 << 20))]), 131_072);
        assert_eq!(worth([(1 << 20, cost(64 << 20, 1 << 20)), (1 << 20, cost(64 << 20, 1 << 20))]), 16_384);
        // Of what costs nothing to begin anywhere, nothing is.
        assert_eq!(worth([(300_000, cost(0, 0))]), 0);
    }

    /// Batches of a table in memory, with partitions of 131,072 rows.
    fn table(rows: usize) -> Table {
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows).expect("few rows")));
        Table::from_batches(vec![RecordBatch::try_from_iter([("x", array)]).expect("a column")]).expect("a table")
    }

    /// Blocks of each range: the first row and the values.
    fn blocks(table: &Table, block_rows: usize, range_rows: usize) -> Vec<Vec<(usize, Vec<i64>)>> {
        let mut found = Vec::new();
        let pace = Pace { block_rows, range_rows, at_once: 3 };
        let work = |(): &mut (), blocks: &mut Vec<(usize, Vec<i64>)>, batch: &Batch<'_>| {
            let values = batch.array(0).expect("a column").as_primitive::<Int64Type>().values().to_vec();
            assert_eq!(values.len(), batch.rows);
            blocks.push((batch.first_row, values));
            Ok(())
        };
        let sink = |blocks| {
            found.push(blocks);
            Ok(())
        };
        scan(table, &[0], pace, &Silent, || (), Vec::new, work, sink).expect("rows");
        found
    }

    /// Every row comes once, in blocks that are cut by the rows of the source from the first one of their range.
    #[test]
    fn blocks_are_cut_by_rows_and_not_by_partitions() {
        let whole = table(300_000);
        let keep_some = |table: &Table, keep: &dyn Fn(usize) -> bool| {
            let bits = table.groups.iter();
            let bits =
                bits.map(|group| BooleanBuffer::collect_bool(group.all_rows, |row| keep(group.first_of_all + row)));
            table.restricted(bits.collect())
        };
        let cases: [&dyn Fn(usize) -> bool; 4] =
            [&|_| true, &|row| row % 3 > 0, &|row| !(100_000..270_000).contains(&row), &|row| row % 50_000 == 7];
        for (case, keep) in cases.into_iter().enumerate() {
            let table = keep_some(&whole, keep);
            for (block_rows, range_rows) in [(8_192, 60_000), (5_000, 131_072), (1_024, 32_768)] {
                let found = blocks(&table, block_rows, range_rows);
                let rows: Vec<usize> = (0..300_000).filter(|&row| keep(row)).collect();
                let mut next = 0;
                for (range, found) in ranges(rows.len(), 1, range_rows).into_iter().zip(&found) {
                    let origin = rows[range.start];
                    for (first_row, values) in found {
                        assert_eq!(*first_row, next, "case {case}");
                        let block = (rows[next] - origin) / block_rows;
                        for value in values {
                            assert_eq!(*value, i64::try_from(rows[next]).expect("few rows"), "case {case}");
                            assert_eq!((rows[next] - origin) / block_rows, block, "case {case}");
                            next += 1;
                        }
                        let ends = next == range.end || (rows[next] - origin) / block_rows > block;
                        assert!(ends, "case {case}: a block ends before {next}");
                    }
                    assert_eq!(next, range.end, "case {case}");
                }
                assert_eq!(next, rows.len(), "case {case}");
            }
        }
    }
}
