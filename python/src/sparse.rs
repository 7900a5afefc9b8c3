//! A sparse matrix as a source of rows: what is read of it is made dense, and nothing else.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use gpu_logreg::data::{Partition, ReadRequest, Source, SourceColumn, Take};

/// Rows of a partition, all but the last.
const PARTITION_ROWS: usize = 1 << 17;

/// A sparse matrix by its columns.
#[derive(Debug)]
pub(crate) struct Matrix {
    names: Vec<String>,
    rows: usize,
    data: Float64Array,
    indices: Int64Array,
    /// Where the values of each column begin, and where those of the last one end, `[names + 1]`.
    starts: Vec<usize>,
}

impl Matrix {
    /// A matrix of columns whose rows ascend.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(
        names: Vec<String>,
        rows: usize,
        data: Float64Array,
        indices: Int64Array,
        starts: &Int64Array,
    ) -> Result<Self, String> {
        let starts: Vec<usize> =
            starts.values().iter().map(|start| usize::try_from(*start).unwrap_or(usize::MAX)).collect();
        let is_whole = starts.len() == names.len() + 1
            && starts[0] == 0
            && starts.is_sorted()
            && starts.last() == Some(&indices.len())
            && data.len() == indices.len();
        if !is_whole {
            return Err("the columns of the sparse matrix do not add up to its values".into());
        }
        for column in starts.windows(2) {
            let of_column = &indices.values()[column[0]..column[1]];
            let ends = of_column.iter().all(|row| usize::try_from(*row).is_ok_and(|row| row < rows));
            if !ends || !of_column.is_sorted_by(|a, b| a < b) {
                return Err(format!("the rows of a column of the sparse matrix do not ascend from 0 to {rows}"));
            }
        }
        Ok(Self { names, rows, data, indices, starts })
    }

    /// Some rows of a column.
    fn dense(&self, column: usize, rows: &Range<usize>) -> ArrayRef {
        let (from, to) = (self.starts[column], self.starts[column + 1]);
        let of_column = &self.indices.values()[from..to];
        let first = from + of_column.partition_point(|row| (*row as usize) < rows.start);
        let behind = from + of_column.partition_point(|row| (*row as usize) < rows.end);
        let mut values = vec![0.0; rows.len()];
        for place in first..behind {
            values[self.indices.value(place) as usize - rows.start] = self.data.value(place);
        }
        Arc::new(Float64Array::from(values))
    }
}

/// A sparse matrix with other columns beside it.
#[derive(Debug)]
pub(crate) struct Sparse {
    matrix: Matrix,
    beside: Vec<ArrayRef>,
    columns: Vec<SourceColumn>,
    partitions: Vec<Partition>,
}

impl Sparse {
    /// # Errors
    /// If a column beside it cannot be read as its values.
    pub(crate) fn new(matrix: Matrix, beside: &RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str, data_type: DataType| SourceColumn {
            name: name.to_owned(),
            data_type,
            is_index: false,
            is_key: false,
            conflict: None,
        };
        let mut columns: Vec<SourceColumn> = matrix.names.iter().map(|name| column(name, DataType::Float64)).collect();
        let mut arrays = Vec::new();
        for (field, array) in beside.schema().fields().iter().zip(beside.columns()) {
            let array = match array.data_type() {
                DataType::Dictionary(_, values) => cast(array, values)?,
                _ => array.clone(),
            };
            columns.push(column(field.name(), array.data_type().clone()));
            arrays.push(array);
        }
        let partitions = (0..matrix.rows).step_by(PARTITION_ROWS);
        let partitions = partitions.map(|first| Partition { rows: PARTITION_ROWS.min(matrix.rows - first) }).collect();
        Ok(Self { matrix, beside: arrays, columns, partitions })
    }

    /// Some rows of a column.
    fn rows(&self, column: usize, rows: &Range<usize>) -> ArrayRef {
        match column.checked_sub(self.matrix.names.len()) {
            None => self.matrix.dense(column, rows),
            Some(beside) => self.beside[beside].slice(rows.start, rows.len()),
        }
    }
}

impl Source for Sparse {
    fn name(&self) -> String {
        "the sparse matrix".into()
    }

    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn read(&self, request: &ReadRequest<'_>, take: &mut Take<'_>) -> gpu_logreg::Result<()> {
        let first_of_all = request.partition * PARTITION_ROWS;
        #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
        let whole = [0..self.partitions[request.partition].rows];
        for range in request.rows.unwrap_or(&whole) {
            for first in range.clone().step_by(request.batch_rows) {
                let rows = first_of_all + first..first_of_all + range.end.min(first + request.batch_rows);
                let arrays: Vec<ArrayRef> = request.columns.iter().map(|&column| self.rows(column, &rows)).collect();
                if take(first, &arrays)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
