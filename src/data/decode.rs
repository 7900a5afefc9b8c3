//! Decode jobs: one column of one row group, or several together, in batches, with panics of the decoder caught.

use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use super::panics::without_panic;
use super::table::Table;
use crate::error::{Error, Result};

/// Rows of a batch: large enough to hide the cost of a call, small enough for the second-level cache.
pub(super) const BATCH_ROWS: usize = 8_192;

/// One column of one row group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) row_group: usize,
    pub(super) column: usize,
    /// Position in the table of the row group's first row.
    pub(super) first_row: usize,
}

/// The jobs for `columns`, row group by row group: neighbours in this list read different columns.
pub(super) fn jobs(table: &Table, columns: &[usize]) -> Vec<Job> {
    let mut first_row = 0;
    let mut jobs = Vec::new();
    for (row_group, about) in table.metadata.metadata().row_groups().iter().enumerate() {
        jobs.extend(columns.iter().map(|&column| Job { row_group, column, first_row }));
        first_row += usize::try_from(about.num_rows()).unwrap_or(0);
    }
    jobs
}

/// Decodes a job, or the `selection` of its rows, and hands each batch to `take` with the number of rows
/// before it. Counts the rows that came out.
pub(super) fn decode(
    table: &Table,
    job: Job,
    selection: Option<RowSelection>,
    mut take: impl FnMut(usize, &ArrayRef) -> Result<()>,
) -> Result<usize> {
    let part = Part { row_group: job.row_group, first_row: job.first_row, batch_rows: BATCH_ROWS };
    decode_together(table, part, &[job.column], selection, |rows, batch| take(rows, batch.column(0)))
}

/// Where columns are decoded together, and how many rows at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) row_group: usize,
    /// Position in the table of the first row, for messages.
    pub(super) first_row: usize,
    pub(super) batch_rows: usize,
}

/// Decodes `columns` of a row group side by side, or the `selection` of its rows. `take` gets the number of rows
/// before a batch and the batch, whose columns lie in the order of the file. Counts the rows that came out.
pub(super) fn decode_together(
    table: &Table,
    part: Part,
    columns: &[usize],
    selection: Option<RowSelection>,
    mut take: impl FnMut(usize, &RecordBatch) -> Result<()>,
) -> Result<usize> {
    let damaged = |cause: String| {
        let what = match columns {
            [column] => format!("column `{}`", table.fields[*column].name),
            _ => format!("one of {} columns", columns.len()),
        };
        Error::data(
            format!(
                "{}: {what}, row group {} (rows from {}) cannot be decoded: {cause}",
                table.path.display(),
                part.row_group,
                part.first_row
            ),
            "The file is truncated or damaged; write or copy it again.",
        )
    };
    let file = File::open(&table.path).map_err(|cause| damaged(cause.to_string()))?;
    let mut reader = without_panic(|| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, table.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_row_groups(vec![part.row_group]).with_projection(mask);
        let builder = builder.with_batch_size(part.batch_rows);
        match selection {
            Some(selection) => builder.with_row_selection(selection).build(),
            None => builder.build(),
        }
    })
    .and_then(|reader| reader.map_err(|cause| cause.to_string()))
    .map_err(damaged)?;
    let mut rows = 0;
    loop {
        let batch = match without_panic(|| reader.next()).map_err(damaged)? {
            None => return Ok(rows),
            Some(batch) => batch.map_err(|cause| damaged(cause.to_string()))?,
        };
        take(rows, &batch)?;
        rows += batch.num_rows();
    }
}

/// Decodes a whole job and proves that as many rows came out as the footer says.
pub(super) fn decode_all(table: &Table, job: Job, take: impl FnMut(usize, &ArrayRef) -> Result<()>) -> Result<()> {
    let rows = decode(table, job, None, take)?;
    let expected = table.metadata.metadata().row_group(job.row_group).num_rows();
    if usize::try_from(expected).ok() == Some(rows) {
        return Ok(());
    }
    Err(Error::data(
        format!(
            "{}: column `{}` has {rows} rows in row group {}, the footer says {expected}",
            table.path.display(),
            table.fields[job.column].name,
            job.row_group
        ),
        "The file is truncated or damaged; write or copy it again.",
    ))
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
