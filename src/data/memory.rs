//! Record batches in memory as a source of rows.
//!
//! Partitions are cut by the rows alone, and what is read by the range of rows that is asked for, so that it does not show how
//! the rows were cut into record batches. Types are those that a Parquet file of the same rows would have: texts of one kind,
//! dictionaries as their values, lists of one kind.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options, concat, take};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef};
use arrow::record_batch::RecordBatch;

use super::frames::{PANDAS, index_of_frame};
use super::source::{Partition, ReadRequest, Source, SourceColumn, Take};
use crate::error::{Error, Result};
use crate::wording::plain;

/// Rows of a partition, all but the last.
const PARTITION_ROWS: usize = 1 << 17;

/// Record batches that share columns.
pub(super) struct Batches {
    all: Vec<RecordBatch>,
    /// Positions of the first row of each batch, and of the end of the last one, `[batches + 1]`.
    starts: Vec<usize>,
    columns: Vec<SourceColumn>,
    partitions: Vec<Partition>,
}

impl fmt::Debug for Batches {
    /// Without the rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batches({} of them, {} rows)", self.all.len(), self.starts[self.all.len()])
    }
}

impl Batches {
    /// The rows of `batches`, in their order.
    ///
    /// # Errors
    /// Of kind `Data` if there is no batch or no column, or if batches have different columns.
    pub(super) fn new(batches: Vec<RecordBatch>) -> Result<Self> {
        let Some(first) = batches.first() else {
            return Err(Error::data("there is no record batch", "Give one at least; it may be empty."));
        };
        let schema = first.schema();
        if schema.fields().is_empty() {
            return Err(Error::data("the record batches have no columns", "Give a label, and features beside it."));
        }
        let index = index_of_frame(
            schema.metadata().get(PANDAS).map(String::as_str),
            schema.fields().iter().map(|field| field.name().as_str()),
        );
        let column = |field: &FieldRef| SourceColumn {
            name: field.name().clone(),
            data_type: shared(field.data_type()),
            is_index: index.contains(field.name()),
            is_key: false,
            conflict: None,
        };
        let columns: Vec<SourceColumn> = schema.fields().iter().map(column).collect();
        for (place, batch) in batches.iter().enumerate().skip(1) {
            check_columns(&columns, place, batch)?;
        }
        let mut starts = vec![0];
        for batch in &batches {
            starts.push(starts[starts.len() - 1] + batch.num_rows());
        }
        let rows = starts[batches.len()];
        let partitions = (0..rows).step_by(PARTITION_ROWS);
        let partitions = partitions.map(|first| Partition { rows: PARTITION_ROWS.min(rows - first) }).collect();
        Ok(Self { all: batches, starts, columns, partitions })
    }

    /// The pieces of a column, as they lie in the batches, that make up some rows; at least one.
    fn pieces(&self, column: usize, rows: Range<usize>) -> impl Iterator<Item = ArrayRef> {
        let first = self.starts.partition_point(|start| *start <= rows.start) - 1;
        let behind = self.starts.partition_point(|start| *start < rows.end);
        let batches = self.all.iter().zip(&self.starts).take(behind).skip(first);
        batches.filter_map(move |(batch, &start)| {
            let from = rows.start.max(start);
            let to = rows.end.min(start + batch.num_rows());
            (from < to).then(|| batch.column(column).slice(from - start, to - from))
        })
    }

    /// Some rows of a column, of the column's type: a slice of a batch where it can be one.
    fn rows(&self, column: usize, rows: Range<usize>) -> Result<ArrayRef> {
        let about = &self.columns[column];
        let failed = |cause: &dyn fmt::Display| {
            Error::data(
                format!(
                    "column `{}` cannot be read as {}: {cause}",
                    plain(&about.name),
                    plain(&about.data_type.to_string())
                ),
                "Give it another type, or leave the column out.",
            )
        };
        let pieces = self.pieces(column, rows).map(|piece| brought(&piece, &about.data_type));
        let pieces: Vec<ArrayRef> = pieces.collect::<ArrowResult<_>>().map_err(|cause| failed(&cause))?;
        if let [piece] = pieces.as_slice() {
            return Ok(piece.clone());
        }
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        concat(&pieces).map_err(|cause| failed(&cause))
    }

    /// The rows of a partition among all.
    fn of_partition(&self, partition: usize) -> Range<usize> {
        let first = partition * PARTITION_ROWS;
        first..first + self.partitions[partition].rows
    }
}

type ArrowResult<T> = std::result::Result<T, arrow::error::ArrowError>;

/// An error if a batch has other columns than the first one.
fn check_columns(columns: &[SourceColumn], place: usize, batch: &RecordBatch) -> Result<()> {
    let schema = batch.schema();
    let way_out = "Give batches of one schema: the same names and types in the same order.";
    if schema.fields().len() != columns.len() {
        let (here, first) = (schema.fields().len(), columns.len());
        let fact = format!("record batch {place}, from 0, has {here} columns, and the first one has {first}");
        return Err(Error::data(fact, way_out));
    }
    for (index, (column, field)) in columns.iter().zip(schema.fields()).enumerate() {
        let fact = if column.name != *field.name() {
            let (here, first) = (plain(field.name()), plain(&column.name));
            format!(
                "column {index}, from 0, is `{here}` in record batch {place}, from 0, and `{first}` in the first one"
            )
        } else if !is_same(&column.data_type, &shared(field.data_type())) {
            let (here, first) = (plain(&field.data_type().to_string()), plain(&column.data_type.to_string()));
            let name = plain(&column.name);
            format!("column `{name}` is {here} in record batch {place}, from 0, and {first} in the first one")
        } else {
            continue;
        };
        return Err(Error::data(fact, way_out));
    }
    Ok(())
}

/// Whether two types are the same but for whether there may be nulls.
fn is_same(a: &DataType, b: &DataType) -> bool {
    a.equals_datatype(b)
}

/// The type as which a column is read: that of its values where it is a dictionary, and one type for all texts, for lists and
/// for instants, whatever the time zone in which they are shown.
fn shared(data_type: &DataType) -> DataType {
    let within =
        |field: &FieldRef| -> FieldRef { Arc::new(ArrowField::new(field.name(), shared(field.data_type()), true)) };
    match data_type {
        DataType::Dictionary(_, values) => shared(values),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => DataType::List(within(element)),
        DataType::Struct(parts) => DataType::Struct(parts.iter().map(within).collect()),
        other => other.clone(),
    }
}

/// The values of an array as another type has them; itself if that is its own.
fn brought(array: &ArrayRef, data_type: &DataType) -> ArrowResult<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(array.clone());
    }
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        // The values of these rows, not all of the dictionary.
        return brought(&take(dictionary.values(), dictionary.keys(), None)?, data_type);
    }
    cast_with_options(array, data_type, &CastOptions { safe: false, ..CastOptions::default() })
}

impl Source for Batches {
    fn name(&self) -> String {
        "the table in memory".into()
    }

    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn read(&self, request: &ReadRequest<'_>, take: &mut Take<'_>) -> Result<()> {
        let all = self.of_partition(request.partition);
        #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
        let whole = [0..all.len()];
        let mut arrays = Vec::with_capacity(request.columns.len());
        for range in request.rows.unwrap_or(&whole) {
            for first in range.clone().step_by(request.batch_rows) {
                let rows = all.start + first..all.start + range.end.min(first + request.batch_rows);
                arrays.clear();
                for &column in request.columns {
                    arrays.push(self.rows(column, rows.clone())?);
                }
                if take(first, &arrays)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn nulls(&self, partition: usize, column: usize) -> Option<u64> {
        // Of a leaf it says nothing how many structs are null.
        if self.columns[column].data_type.is_nested() {
            return None;
        }
        let pieces = self.pieces(column, self.of_partition(partition));
        Some(pieces.map(|piece| piece.logical_null_count() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, LargeStringArray, StringArray};
    use arrow::datatypes::{Int8Type, Schema};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn batches_without_a_common_schema_are_refused() {
        let numbers = || batch(vec![("a", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]);
        let fact = |batches: Vec<RecordBatch>| Batches::new(batches).expect_err("no table").fact;
        assert_eq!(fact(vec![]), "there is no record batch");
        assert_eq!(fact(vec![RecordBatch::new_empty(Arc::new(Schema::empty()))]), "the record batches have no columns");
        let other = batch(vec![("b", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]);
        assert_eq!(
            fact(vec![numbers(), numbers(), other]),
            "column 0, from 0, is `b` in record batch 2, from 0, and `a` in the first one"
        );
        let wide = batch(vec![("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        assert_eq!(
            fact(vec![numbers(), wide]),
            "column `a` is Int64 in record batch 1, from 0, and Int32 in the first one"
        );
        let more = batch(["a", "b"].map(|name| (name, Arc::new(Int32Array::from(vec![1])) as ArrayRef)).into());
        assert_eq!(fact(vec![numbers(), more]), "record batch 1, from 0, has 2 columns, and the first one has 1");
    }

    /// What can be a slice shares the memory of the batch that it comes from; only rows on both sides of a cut are copied.
    #[test]
    fn rows_are_slices_where_they_can_be() {
        let column = |from: i32| Arc::new(Int32Array::from_iter_values(from..from + 10)) as ArrayRef;
        let batches = [0, 10].map(|from| batch(vec![("a", column(from))]));
        let source = Batches::new(batches.to_vec()).expect("a table");
        let address = |array: &ArrayRef| array.to_data().buffers()[0].as_ptr();
        let lies = |batch: usize, row: usize| {
            let array = batches[batch].column(0).slice(row, 1);
            address(&array)
        };
        let of = |rows: Range<usize>| source.rows(0, rows).expect("rows");
        assert_eq!(of(2..7).to_data().buffers()[0].as_ptr().wrapping_add(0), lies(0, 2));
        assert_eq!(address(&of(10..20)), lies(1, 0));
        let both = of(8..12);
        assert_eq!(both.as_ref(), &Int32Array::from(vec![8, 9, 10, 11]) as &dyn Array);
    }

    #[test]
    fn texts_of_any_type_are_texts_and_nulls_of_a_dictionary_are_nulls() {
        use arrow::array::DictionaryArray;
        let keys = arrow::array::PrimitiveArray::<Int8Type>::from(vec![Some(0), Some(1), None, Some(2)]);
        let values: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("x"), None, Some("y")]));
        let coded: ArrayRef = Arc::new(DictionaryArray::try_new(keys, values).expect("a dictionary"));
        let large: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("z"), None]));
        let source = Batches::new(vec![batch(vec![("t", coded)]), batch(vec![("t", large)])]).expect("a table");
        assert_eq!(source.columns()[0].data_type, DataType::Utf8);
        assert_eq!(source.nulls(0, 0), Some(3));
        let expected = StringArray::from(vec![Some("x"), None, None, Some("y"), Some("z"), None]);
        assert_eq!(source.rows(0, 0..6).expect("texts").as_ref(), &expected as &dyn Array);
    }
}
