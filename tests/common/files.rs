//! Single files of a place: its data, and JSON that the program wrote.

use arrow::array::ArrayRef;
use serde_json::Value;

use super::data::write_parquet;
use super::process::Place;

impl Place {
    /// With `data.parquet` of these columns.
    pub(crate) fn with_data(columns: &[(&str, ArrayRef)]) -> Self {
        let place = Self::new();
        write_parquet(&place.path("data.parquet"), columns, usize::MAX);
        place
    }

    pub(crate) fn json_file(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).expect("the file is JSON")
    }
}
