//! Tables as they are opened, of files or of what lies in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;

use super::decode::{Part, decode};
use super::memory::Batches;
use super::parquet::ParquetFiles;
use super::source::Source;
use super::table::Table;
use crate::error::Result;

impl Table {
    /// Opens the Parquet file, folder or pattern at `path` and reads the footers.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_all(&[path.as_ref().to_owned()])
    }

    /// Opens files, folders and patterns as one table, in that order, the files of a folder sorted by name. All footers
    /// are read first, and their schemas compared.
    pub fn open_all(inputs: &[PathBuf]) -> Result<Self> {
        Self::from_source(Arc::new(ParquetFiles::open(inputs)?))
    }

    /// The table of all rows of record batches, which share columns of one type each. Texts and dictionaries may be of any of
    /// arrow's types, of a different one in each batch too. Nothing is copied before it is read.
    ///
    /// How the rows are cut into batches changes no bit of what is made of them.
    ///
    /// # Errors
    /// Of kind `Data` if there is no batch or no column, or if batches have different columns.
    pub fn from_batches(batches: Vec<RecordBatch>) -> Result<Self> {
        Self::from_source(Arc::new(Batches::new(batches)?))
    }

    /// The table of all rows of a source.
    ///
    /// # Errors
    /// Of kind `Data` if the rows in which the length of lists is looked up cannot be read.
    pub fn from_source(source: Arc<dyn Source>) -> Result<Self> {
        Self::of(source).with_lists_expanded()
    }

    /// Replaces columns with lists of numbers by their elements, as many as the first list has.
    fn with_lists_expanded(self) -> Result<Self> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for (column, field) in self.fields.iter().enumerate() {
            let length = if field.list_of().is_some() { self.first_list_length(column)? } else { None };
            match length {
                Some(length) if length > 0 => fields.extend(field.elements(length)),
                _ => fields.push(field.clone()),
            }
        }
        Ok(self.with_fields(fields))
    }

    /// The length of the first list in the first thousand rows of a partition that has one there.
    fn first_list_length(&self, column: usize) -> Result<Option<usize>> {
        const LOOKED_AT: usize = 1_000;
        for (group, about) in self.groups.iter().enumerate() {
            let rows = (about.all_rows > LOOKED_AT).then(|| std::iter::once(0..LOOKED_AT).collect());
            let part = Part { rows, batch_rows: LOOKED_AT, ..Part::whole(group) };
            let mut found = None;
            let looked = decode(self, &part, &[column], |_, arrays| {
                if let (None, Some(lists)) = (found, arrays[0].as_list_opt::<i32>()) {
                    let first = (0..lists.len()).find(|&row| lists.is_valid(row));
                    found = first.map(|row| lists.value_length(row) as usize);
                }
                Ok(())
            });
            // What only some files have is refused where it is used.
            if self.fields[column].conflict.is_none() {
                looked?;
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
