//! What a Parquet file holds, by the reader of its crate.

use std::fs;
use std::path::Path;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The columns of a file with their names, whole.
pub(crate) fn decoded<C: FromIterator<(String, ArrayRef)>>(path: &Path) -> C {
    let file = fs::File::open(path).expect("the file opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet").build().expect("it is read");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("it is decoded")).collect();
    let schema = batches[0].schema();
    let whole = |index: usize| {
        let pieces: Vec<&dyn Array> = batches.iter().map(|batch| &**batch.column(index)).collect();
        concat(&pieces).expect("one type")
    };
    schema.fields().iter().enumerate().map(|(index, field)| (field.name().clone(), whole(index))).collect()
}
