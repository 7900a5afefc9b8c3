//! Decode jobs: one column of one row group, or several together, in batches, with panics of the decoder caught.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::column::page::PageReader;
use parquet::errors::ParquetError;

use super::bounds::Bounds;
use super::chunks::Chunks;
use super::field::Source;
use super::foreign::undecodable;
use super::panics::without_panic;
use super::rows::block_rows;
use super::schema::widened;
use super::table::{Group, Root, Table};
use crate::error::{Error, Result};
use crate::wording::plain;

/// Rows of a batch: large enough to hide the cost of a call, small enough for the second-level cache.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Columns of one row group that are decoded together: because they lie in the same column of the file, or have few rows.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// By its place in the table.
    pub(super) group: usize,
    /// Places in the caller's list of columns.
    pub(super) places: Range<usize>,
    /// Position in the table of the row group's first row.
    pub(super) first_row: usize,
}

/// Values of a job of several columns of the file: what it takes to open them is next to nothing then.
const JOB_VALUES: usize = 1 << 16;
/// The most columns of such a job.
const JOB_COLUMNS: usize = 1 << 10;

/// The jobs for `columns`, row group by row group: neighbours in this list read different columns.
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

/// Places among `columns` that are decoded together: neighbours out of one column of the file (elements of a list, leaves
/// of a struct), and neighbours with few values.
pub(super) fn runs(table: &Table, columns: &[usize]) -> Vec<Range<usize>> {
    let root = |place: usize| table.fields[columns[place]].root();
    let rows = table.groups.iter().map(|group| group.file_rows).sum::<usize>() / table.groups.len().max(1);
    let together = (JOB_VALUES / rows.max(1)).clamp(1, JOB_COLUMNS);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in 0..columns.len() {
        let is_same = place > 0 && root(place).is_some() && root(place - 1) == root(place);
        match runs.last_mut() {
            Some(run) if is_same || place - run.start < together => run.end = place + 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// Which rows of a row group are decoded, and how many at a time.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// By its place in the table.
    pub(super) group: usize,
    /// Rows of the file's row group, ascending; `None` for all. Of those, what belongs to the table comes out.
    pub(super) rows: Option<Vec<Range<usize>>>,
    pub(super) batch_rows: usize,
    /// Whether the values are held against what the footer says of them; if not, the caller does it with
    /// [`check_extent`].
    pub(super) checks_values: bool,
}

impl Part {
    /// All rows of a row group.
    pub(super) fn whole(group: usize) -> Self {
        Self { group, rows: None, batch_rows: BATCH_ROWS, checks_values: true }
    }
}

/// Decodes `columns` of a row group side by side. `take` gets the number of rows before a batch and the columns, in the
/// order of `columns`. Proves that as many rows came out of the file as its footer says, and counts those of the table.
pub(super) fn decode(
    table: &Table,
    part: &Part,
    columns: &[usize],
    mut take: impl FnMut(usize, &[ArrayRef]) -> Result<()>,
) -> Result<usize> {
    let group = &table.groups[part.group];
    let kept = match (&part.rows, &group.keep) {
        (_, None) => None,
        (None, Some(keep)) => Some(keep.clone()),
        (Some(ranges), Some(keep)) => {
            let mut of_ranges = BooleanBufferBuilder::new(keep.len());
            for range in ranges {
                of_ranges.append_buffer(&keep.slice(range.start, range.len()));
            }
            Some(of_ranges.build())
        }
    };
    // Nothing behind the last row of the table is worth decoding.
    let expected = part.rows.as_ref().map_or(group.file_rows, |ranges| ranges.iter().map(Range::len).sum());
    let end = kept.as_ref().map_or(expected, |kept| kept.set_slices().last().map_or(0, |(_, end)| end));
    let mut taken = 0;
    let mut seen = 0;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    let mut reader = Roots::open(table, part, columns, end)?;
    while seen < end {
        let Some(rows) = reader.next(seen)? else { break };
        let rows_of_batch = rows;
        if seen + rows > expected {
            return Err(reader.too_many_rows());
        }
        let keep = kept.as_ref().map(|kept| kept.slice(seen, rows_of_batch.min(kept.len() - seen)));
        let rows = keep.as_ref().map_or(rows_of_batch, BooleanBuffer::count_set_bits);
        if rows > 0 {
            arrays.clear();
            for &column in columns {
                arrays.push(reader.column(column, seen)?);
            }
            if let Some(keep) = keep.filter(|_| rows < rows_of_batch) {
                let keep = BooleanArray::new(keep, None);
                for array in &mut arrays {
                    *array = filter(array, &keep)
                        .map_err(|cause| Error::internal(format!("rows could not be left out: {cause}")))?;
                }
            }
            take(taken, &arrays)?;
            taken += rows;
        }
        seen += rows_of_batch;
    }
    if seen < end {
        return Err(reader.damaged(&format!("{seen} rows came out of it, its footer says {expected}")));
    }
    if end == expected {
        reader.check_end(seen)?;
    }
    Ok(taken)
}

/// The columns of a row group's file that hold some columns of a table, batch by batch.
struct Roots<'t> {
    table: &'t Table,
    group: &'t Group,
    part: &'t Part,
    columns: &'t [usize],
    /// Places in the file, ascending.
    places: Vec<usize>,
    reader: Option<(Chunks<'t>, ParquetRecordBatchReader)>,
    batch: Option<RecordBatch>,
    /// Rows of the batch.
    rows: usize,
    end: usize,
    /// What the footer says of each of the file's columns, and the nulls that came out of it.
    bounds: Vec<(Bounds, u64)>,
}

impl<'t> Roots<'t> {
    fn open(table: &'t Table, part: &'t Part, columns: &'t [usize], end: usize) -> Result<Self> {
        let group = &table.groups[part.group];
        let file = &table.files[group.file];
        let mut roots: Vec<(usize, Option<usize>)> = columns
            .iter()
            .filter_map(|&column| file.roots[table.fields[column].root()?].as_ref())
            .map(|root| (root.place, root.leaf))
            .collect();
        roots.sort_unstable();
        roots.dedup();
        let bounds_of = |&(place, leaf): &(usize, Option<usize>)| {
            let field = file.metadata.schema().field(place);
            leaf.map_or_else(Bounds::default, |leaf| Bounds::of(&file.metadata, group.index, leaf, field))
        };
        let mut opened = Self {
            table,
            group,
            part,
            columns,
            places: roots.iter().map(|(place, _)| *place).collect(),
            reader: None,
            batch: None,
            rows: 0,
            end,
            bounds: Vec::new(),
        };
        if opened.places.is_empty() || end == 0 {
            return Ok(opened);
        }
        let bounds = without_panic(|| roots.iter().map(bounds_of).map(|bounds| (bounds, 0)).collect());
        opened.bounds = bounds.map_err(|cause| opened.damaged(&cause))?;
        let reader = without_panic(|| {
            let chunks = Chunks::open(file, group.index, &opened.places)?;
            let selection = part
                .rows
                .as_ref()
                .map(|ranges| RowSelection::from_consecutive_ranges(ranges.iter().cloned(), group.file_rows));
            let batch_rows = part.batch_rows.min(block_rows(columns.len()));
            let reader = chunks.reader(file, &opened.places, batch_rows, selection)?;
            Ok((chunks, reader))
        })
        .and_then(|opened| opened.map_err(|cause: ParquetError| cause.to_string()))
        .map_err(|cause| opened.damaged(&cause))?;
        opened.reader = Some(reader);
        Ok(opened)
    }

    /// Goes to the next batch; its rows, or `None` at the end.
    fn next(&mut self, seen: usize) -> Result<Option<usize>> {
        let Some((_, reader)) = &mut self.reader else {
            // Folder names alone: as many as asked for.
            self.rows = self.part.batch_rows.min(self.end - seen);
            return Ok(Some(self.rows));
        };
        let next =
            without_panic(|| reader.next()).and_then(|batch| batch.transpose().map_err(|cause| cause.to_string()));
        self.batch = next.map_err(|cause| self.damaged(&cause))?;
        self.rows = self.batch.as_ref().map_or(0, RecordBatch::num_rows);
        let Some(batch) = &self.batch else { return Ok(None) };
        let mut contradiction = None;
        for (array, (bounds, nulls)) in batch.columns().iter().zip(&mut self.bounds) {
            *nulls += array.logical_null_count() as u64;
            if self.part.checks_values {
                contradiction = contradiction.or_else(|| bounds.contradiction(array));
            }
        }
        match contradiction {
            Some(fact) => Err(self.damaged(&fact)),
            None => Ok(Some(self.rows)),
        }
    }

    /// An error if more comes after `seen` rows, all that the footer says, or if a whole row group has other nulls.
    fn check_end(&mut self, seen: usize) -> Result<()> {
        if self.reader.is_none() {
            return Ok(());
        }
        let has_more = match &self.part.rows {
            None => self.next(seen)?.is_some(),
            // The decoder stops with its selection; how many rows there are stands in the heads of the pages.
            Some(ranges) if ranges.last().is_some_and(|range| range.end == self.group.file_rows) => {
                self.has_other_rows_in_pages()?
            }
            Some(_) => false,
        };
        if has_more {
            return Err(self.too_many_rows());
        }
        let wrong = |(bounds, nulls): &(Bounds, u64)| bounds.wrong_nulls(*nulls);
        match self.bounds.iter().find_map(wrong).filter(|_| self.part.rows.is_none()) {
            Some(fact) => Err(self.damaged(&fact)),
            None => Ok(()),
        }
    }

    /// Whether the heads of the pages of a column that is not nested speak of other rows than the row group has.
    fn has_other_rows_in_pages(&self) -> Result<bool> {
        let Some((chunks, _)) = &self.reader else { return Ok(false) };
        let file = &self.table.files[self.group.file];
        let is_flat = |place: &&usize| !file.metadata.schema().field(**place).data_type().is_nested();
        let has_others = |leaf: usize| -> std::result::Result<bool, ParquetError> {
            let mut pages = chunks.pages(leaf)?;
            let mut rows = 0;
            while let Some(page) = pages.peek_next_page()? {
                rows += page.num_rows.or(page.num_levels).unwrap_or(0);
                pages.skip_next_page()?;
            }
            Ok(rows != self.group.file_rows)
        };
        for place in self.places.iter().filter(is_flat) {
            let found = without_panic(|| has_others(file.leaves[*place].start));
            if found.and_then(|found| found.map_err(|cause| cause.to_string())).map_err(|cause| self.damaged(&cause))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn too_many_rows(&self) -> Error {
        let expected = self.group.file_rows;
        self.damaged(&format!("more rows come out of it than the {expected} that its footer says"))
    }

    /// A column of the table in this batch.
    fn column(&self, column: usize, seen: usize) -> Result<ArrayRef> {
        let field = &self.table.fields[column];
        let file = &self.table.files[self.group.file];
        match (&field.source, field.root(), &self.batch) {
            (Source::Partition(key), ..) => file.constants[*key].rows(self.rows, &field.arrow_type),
            (_, Some(root), Some(batch)) => {
                let Some(Root { place, widened: wide, .. }) = &file.roots[root] else {
                    return Err(Error::internal(format!("column `{}` is not in all files", field.name)));
                };
                let place = self.places.binary_search(place).expect("it was projected");
                let array = batch.column(place);
                let array = match wide {
                    None => array,
                    Some(data_type) => &widened(array, data_type).map_err(|cause| self.not_widened(column, &cause))?,
                };
                field.extract(array, |row| self.row_name(seen + row))
            }
            _ => Err(Error::internal(format!("column `{}` is in no file", field.name))),
        }
    }

    /// The values of a column do not fit into the type that it has over all files.
    fn not_widened(&self, column: usize, cause: &str) -> Error {
        let field = &self.table.fields[column];
        Error::data(
            format!(
                "{}: column `{}` cannot be brought to {}, which it is over all files: {cause}",
                self.table.files[self.group.file].path.display(),
                plain(&field.name),
                field.data_type
            ),
            "Write the files alike, or leave the column out with --ignore.",
        )
    }

    /// A row of the part, by its place in it, as messages name it.
    fn row_name(&self, mut place: usize) -> String {
        let in_group = match &self.part.rows {
            None => place,
            Some(ranges) => {
                let found = ranges.iter().find(|range| {
                    let here = place < range.len();
                    place -= if here { 0 } else { range.len() };
                    here
                });
                found.map_or(0, |range| range.start) + place
            }
        };
        self.table.row_name(self.group, in_group)
    }

    /// The error where the decoder fails. Of several columns it does not say which one: the first that fails alone.
    fn damaged(&self, cause: &str) -> Error {
        let of_place = |place: usize| {
            let roots = &self.table.files[self.group.file].roots;
            let is_here = |column: &usize| {
                let root = self.table.fields[*column].root().and_then(|root| roots[root].as_ref());
                root.is_some_and(|root| root.place == place)
            };
            self.columns.iter().copied().filter(is_here).collect::<Vec<_>>()
        };
        let alone = |&place: &usize| decode(self.table, self.part, &of_place(place), |_, _| Ok(())).err();
        let several = Some(&self.places).filter(|places| places.len() > 1);
        let found = several.and_then(|places| places.iter().find_map(alone));
        found.unwrap_or_else(|| damaged(self.table, self.group, self.columns, cause))
    }
}

fn damaged(table: &Table, group: &Group, columns: &[usize], cause: &str) -> Error {
    let what = match columns {
        [column] => format!("column `{}`", table.fields[*column].name),
        columns => format!("one of {} columns", columns.len()),
    };
    undecodable(
        &table.files[group.file].path,
        &format!("{what}, row group {} (rows from {}) cannot be decoded: {cause}", group.index, group.file_first_row),
    )
}

/// What the footer says of a column in a row group; `None` for a leaf of a struct or list, and for a column that has another
/// type there than in the table, in which its numbers may be rounded otherwise.
pub(super) fn bounds(table: &Table, group: &Group, column: usize) -> Result<Option<Bounds>> {
    let field = &table.fields[column];
    let file = &table.files[group.file];
    let root = field.root().filter(|_| field.is_whole()).and_then(|root| file.roots[root].as_ref());
    let root = root.filter(|root| root.widened.is_none());
    let Some((place, leaf)) = root.and_then(|root| Some((root.place, root.leaf?))) else { return Ok(None) };
    without_panic(|| Bounds::of(&file.metadata, group.index, leaf, file.metadata.schema().field(place)))
        .map(Some)
        .map_err(|cause| damaged(table, group, &[column], &cause))
}

/// An error if the footer excludes some numbers from one to another of a column in a row group.
pub(super) fn check_extent(table: &Table, group: usize, column: usize, extent: (f64, f64)) -> Result<()> {
    let group = &table.groups[group];
    match bounds(table, group, column)?.and_then(|bounds| bounds.contradiction_of(extent)) {
        Some(fact) => Err(damaged(table, group, &[column], &fact)),
        None => Ok(()),
    }
}

/// The values of a numeric or boolean array in f64, appended to `out`; a null gives NaN, and its place is
/// to be taken from the array's own null mask.
#[expect(clippy::cast_lossless, reason = "one macro arm serves the decimals of all widths")]
pub(super) fn to_f64(array: &ArrayRef, out: &mut Vec<f64>) -> Result<()> {
    macro_rules! values {
        ($type:ty) => {
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| v as f64))
        };
        ($type:ty, exact) => {
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| f64::from(v)))
        };
        ($type:ty, decimal $scale:expr) => {{
            let scale = $scale;
            // The nearest f64 of digits / 10^scale: one rounding for up to 15 digits and scales to 22.
            let power = 10.0_f64.powi(i32::from(scale).abs());
            let scaled = |v: f64| if scale >= 0 { v / power } else { v * power };
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| scaled(v as f64)))
        }};
    }
    let before = out.len();
    match array.data_type() {
        DataType::Float64 => out.extend_from_slice(array.as_primitive::<Float64Type>().values()),
        DataType::Float32 => values!(Float32Type, exact),
        DataType::Float16 => values!(Float16Type, exact),
        DataType::Int8 => values!(Int8Type, exact),
        DataType::Int16 => values!(Int16Type, exact),
        DataType::Int32 => values!(Int32Type, exact),
        DataType::Int64 => values!(Int64Type),
        DataType::UInt8 => values!(UInt8Type, exact),
        DataType::UInt16 => values!(UInt16Type, exact),
        DataType::UInt32 => values!(UInt32Type, exact),
        DataType::UInt64 => values!(UInt64Type),
        DataType::Boolean => {
            // Sixty-four at a time: one by one they would cost more than decoding them.
            let flags = array.as_boolean().values();
            for word in flags.bit_chunks().iter_padded() {
                out.extend((0..64).map(|bit| f64::from((word >> bit & 1) as u32)));
            }
            out.truncate(before + flags.len());
        }
        DataType::Date32 => values!(Date32Type, exact),
        DataType::Date64 => {
            out.extend(array.as_primitive::<Date64Type>().values().iter().map(|&v| v as f64 / 86_400_000.0));
        }
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            let per_second = match unit {
                TimeUnit::Second => 1.0,
                TimeUnit::Millisecond => 1e3,
                TimeUnit::Microsecond => 1e6,
                TimeUnit::Nanosecond => 1e9,
            };
            // Their integers, of 32 or 64 bits.
            let ticks = cast(array, &DataType::Int64)
                .map_err(|cause| Error::internal(format!("times could not be read as integers: {cause}")))?;
            out.extend(ticks.as_primitive::<Int64Type>().values().iter().map(|&v| v as f64 / per_second));
        }
        DataType::Decimal32(_, scale) => values!(Decimal32Type, decimal * scale),
        DataType::Decimal64(_, scale) => values!(Decimal64Type, decimal * scale),
        DataType::Decimal128(_, scale) => values!(Decimal128Type, decimal * scale),
        DataType::Decimal256(..) => {
            let wide = cast(array, &DataType::Float64)
                .map_err(|cause| Error::internal(format!("a 256-bit decimal could not be read: {cause}")))?;
            out.extend_from_slice(wide.as_primitive::<Float64Type>().values());
        }
        other => return Err(Error::internal(format!("a column of type {other} came to be read as numbers"))),
    }
    if let Some(nulls) = array.nulls() {
        for row in (0..array.len()).filter(|&row| nulls.is_null(row)) {
            out[before + row] = f64::NAN;
        }
    }
    Ok(())
}
