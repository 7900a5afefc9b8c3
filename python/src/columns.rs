//! A table in the making: columns of streams, arrays and sparse matrices side by side.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Words;
use crate::memory;
use crate::sparse::{Matrix, Sparse};
use crate::table::Table;

/// Columns of so many rows each, in the order in which they were added.
#[pyclass(module = "gpu_logreg._core")]
#[derive(Default)]
pub(crate) struct Columns {
    /// Of a stream, in the batches that it came in.
    batches: Vec<RecordBatch>,
    sparse: Option<Matrix>,
    others: Vec<(String, ArrayRef)>,
}

/// Classes of a label.
#[derive(FromPyObject)]
enum Classes {
    Booleans(Vec<bool>),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

#[pymethods]
impl Columns {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// All columns of an object with `__arrow_c_stream__`; of another one with the same columns the rows that follow. Gives their
    /// names.
    fn add_stream(&mut self, stream: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        self.batches.extend(memory::batches(stream)?);
        Ok(self.batches[0].schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Whether all columns so far are of numbers or booleans.
    fn has_numbers_alone(&self) -> bool {
        let is_number = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
        let of_stream = self.batches.first().map(RecordBatch::schema);
        of_stream.is_none_or(|schema| schema.fields().iter().all(|field| is_number(field.data_type())))
            && self.others.iter().all(|(_, column)| is_number(column.data_type()))
    }

    /// An array `[rows x names]` or, of one name, `[rows]`. False if it is of a type that has to be converted first.
    fn add_array(&mut self, names: Vec<String>, array: &Bound<'_, PyAny>, threads: Option<usize>) -> PyResult<bool> {
        let Some(columns) = memory::columns(array, threads)? else { return Ok(false) };
        if columns.len() != names.len() {
            return Err(PyValueError::new_err(format!("{} names for {} columns", names.len(), columns.len())));
        }
        self.others.extend(names.into_iter().zip(columns));
        Ok(true)
    }

    /// A sparse matrix by its columns (CSC): `data` and `indices` `[values]`, `indptr` `[names + 1]`, sorted within columns.
    fn add_sparse(
        &mut self,
        names: Vec<String>,
        rows: usize,
        data: &Bound<'_, PyAny>,
        indices: &Bound<'_, PyAny>,
        indptr: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let one = |array: &Bound<'_, PyAny>, data_type: DataType| {
            let column = memory::columns(array, Some(1))?.and_then(|columns| columns.into_iter().next());
            let column = column.ok_or_else(|| PyTypeError::new_err("an array of numbers is needed"))?;
            cast(&column, &data_type).map_err(|cause| PyValueError::new_err(cause.to_string()))
        };
        let data = one(data, DataType::Float64)?.as_primitive().clone();
        let indices = one(indices, DataType::Int64)?.as_primitive().clone();
        let starts = one(indptr, DataType::Int64)?.as_primitive().clone();
        self.sparse = Some(Matrix::new(names, rows, data, indices, &starts).map_err(PyValueError::new_err)?);
        Ok(())
    }

    /// A column of classes, by their places in a list of booleans, numbers or texts.
    fn add_label(&mut self, name: String, codes: &Bound<'_, PyAny>, classes: Classes) -> PyResult<()> {
        let codes = memory::columns(codes, Some(1))?.and_then(|columns| columns.into_iter().next());
        let codes = codes.ok_or_else(|| PyTypeError::new_err("codes are integers"))?;
        let codes = cast(&codes, &DataType::Int32).map_err(|cause| PyTypeError::new_err(cause.to_string()))?;
        let codes: &Int32Array = codes.as_primitive();
        let count = match &classes {
            Classes::Booleans(classes) => classes.len(),
            Classes::Numbers(classes) => classes.len(),
            Classes::Texts(classes) => classes.len(),
        };
        let is_none = |code: &&i32| usize::try_from(**code).map_or(true, |code| code >= count);
        if let Some(code) = codes.values().iter().find(is_none) {
            return Err(PyValueError::new_err(format!("code {code} of {count} classes")));
        }
        let places = codes.values().iter().map(|code| *code as usize);
        let column: ArrayRef = match classes {
            Classes::Booleans(classes) => {
                let value = |row: usize| classes[codes.value(row) as usize];
                Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(codes.len(), value), None))
            }
            Classes::Numbers(classes) => Arc::new(Float64Array::from_iter_values(places.map(|place| classes[place]))),
            Classes::Texts(classes) => {
                let coded = DictionaryArray::try_new(codes.clone(), Arc::new(StringArray::from(classes)));
                Arc::new(coded.map_err(|cause| PyValueError::new_err(cause.to_string()))?)
            }
        };
        self.others.push((name, column));
        Ok(())
    }

    /// The table of all columns.
    fn finish(&mut self, py: Python<'_>) -> PyResult<Table> {
        let Self { batches, sparse, others } = std::mem::take(self);
        let made = py.detach(|| {
            let table = match sparse {
                Some(matrix) => {
                    let beside = side_by_side(&[], &others)?.remove(0);
                    gpu_logreg::Table::from_source(Arc::new(Sparse::new(matrix, &beside)?))
                }
                None => gpu_logreg::Table::from_batches(side_by_side(&batches, &others)?),
            };
            table.map_err(Failure::Library)
        });
        match made {
            Ok(table) => Ok(Table { table }),
            Err(Failure::Library(error)) => Err(Words::default().exception(py, &error)),
            Err(Failure::Lengths(message)) => Err(PyValueError::new_err(message)),
        }
    }
}

/// Why columns make no table.
enum Failure {
    Library(gpu_logreg::Error),
    Lengths(String),
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(cause: arrow::error::ArrowError) -> Self {
        Self::Lengths(cause.to_string())
    }
}

/// The batches of a stream with other columns beside them.
fn side_by_side(batches: &[RecordBatch], others: &[(String, ArrayRef)]) -> Result<Vec<RecordBatch>, Failure> {
    let of_stream = (!batches.is_empty()).then(|| batches.iter().map(RecordBatch::num_rows).sum::<usize>());
    let rows = of_stream.or_else(|| others.first().map(|(_, column)| column.len())).unwrap_or(0);
    if let Some((name, column)) = others.iter().find(|(_, column)| column.len() != rows) {
        return Err(Failure::Lengths(format!("{rows} rows, and {} values of `{name}`", column.len())));
    }
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let alone = [empty];
    let mut first = 0;
    let parts = if batches.is_empty() { &alone[..] } else { batches };
    let widened = |batch: &RecordBatch| {
        let rows = if batches.is_empty() { rows } else { batch.num_rows() };
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().to_vec();
        let mut columns = batch.columns().to_vec();
        for (name, column) in others {
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
            columns.push(column.slice(first, rows));
        }
        first += rows;
        let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?)
    };
    parts.iter().map(widened).collect()
}
