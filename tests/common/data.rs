//! Data made by a test: random numbers, Parquet files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Writes columns that hold no nulls, or some, as one Parquet file with row groups of `group` rows at most.
pub(crate) fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)], group: usize) {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array))))
        .expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = fs::File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// A small generator of its own (splitmix64), so that no data here depends on the program's.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
