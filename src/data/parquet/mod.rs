//! Parquet files as a source of rows: each row group is a partition.
//!
//! What the arguments name (`files`, `lakes`) is opened and its footers are held against themselves (`open`, `footer`,
//! `schema`); folder names are columns (`keys`). Row groups are read column by column (`read`, `chunks`, `input`), and
//! what comes out is held against what the footer says of it (`bounds`). Every reader opens its file again: clones of one
//! `File` share a cursor.

mod bounds;
mod chunks;
mod files;
mod footer;
mod foreign;
mod input;
pub mod inspect;
mod keys;
mod lakes;
mod open;
mod read;
mod schema;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use rayon::prelude::*;

use self::bounds::Bounds;
pub(super) use self::bounds::{bound_arrays, nulls};
use self::files::find;
pub use self::foreign::{head, is_json_lines, is_model, neither};
use self::keys::Constant;
use self::open::{ParquetFile, Root, open_file, shared_columns};
use self::read::{damaged, read};
use super::source::{Cost, Partition, ReadRequest, Source, SourceColumn, SourceFile, Take};
use crate::error::{Error, Result};
use crate::panics::without_panic;
use crate::wording::plain;

/// Parquet files that share columns.
#[derive(Clone, Debug)]
pub(super) struct ParquetFiles {
    files: Vec<ParquetFile>,
    /// The root columns, in the order of the first file, then the keys of the folders.
    columns: Vec<SourceColumn>,
    /// How many of the columns are no keys.
    roots: usize,
    partitions: Vec<Partition>,
    places: Vec<Place>,
}

/// Where a partition lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    /// Its row group in the file.
    group: usize,
    /// The place of its first row among all rows of all files.
    first_row: usize,
    /// The place of its first row in the file.
    first_in_file: usize,
}

impl ParquetFiles {
    /// Opens files, folders and patterns, in that order, the files of a folder sorted by name. All footers are read, and
    /// their schemas compared.
    pub(super) fn open(inputs: &[PathBuf]) -> Result<Self> {
        let found = find(inputs)?;
        let mut files: Vec<ParquetFile> = found.par_iter().map(open_file).collect::<Result<_>>()?;
        let mut columns = shared_columns(&mut files);
        let roots = columns.len();
        for (index, (name, _)) in found[0].keys.iter().enumerate() {
            let data_type = Constant::type_of(files.iter().map(|file| &file.constants[index]));
            let name = name.clone();
            columns.push(SourceColumn { name, data_type, is_index: false, is_key: true, conflict: None });
        }
        let (mut partitions, mut places, mut first_row) = (Vec::new(), Vec::new(), 0);
        for (file, about) in files.iter().enumerate() {
            let first_of_file = first_row;
            for (group, row_group) in about.metadata.metadata().row_groups().iter().enumerate() {
                let rows = usize::try_from(row_group.num_rows()).unwrap_or(0);
                partitions.push(Partition { rows });
                places.push(Place { file, group, first_row, first_in_file: first_row - first_of_file });
                first_row += rows;
            }
        }
        Ok(Self { files, columns, roots, partitions, places })
    }

    fn file_of(&self, partition: usize) -> &ParquetFile {
        &self.files[self.places[partition].file]
    }

    /// Where a column lies in the file of a partition; `None` for a key, and for a column that this file lacks.
    fn root(&self, partition: usize, column: usize) -> Option<&Root> {
        self.file_of(partition).roots.get(column)?.as_ref()
    }

    /// The leaf that is all of a column in the file of a partition, if its values there are those of the column.
    fn leaf(&self, partition: usize, column: usize) -> Option<(&Root, usize)> {
        let root = self.root(partition, column).filter(|root| root.widened.is_none())?;
        Some((root, root.leaf?))
    }
}

/// What writers give a page, and its dictionary another time.
const PAGE_BYTES: u64 = 1 << 20;

impl Source for ParquetFiles {
    fn name(&self) -> String {
        let first = self.files[0].about.path.display();
        match self.files.len() {
            1 => first.to_string(),
            n => format!("{first} and {} more", n - 1),
        }
    }

    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn read(&self, request: &ReadRequest<'_>, take: &mut Take<'_>) -> Result<()> {
        read(self, request, take)
    }

    fn nulls(&self, partition: usize, column: usize) -> Option<u64> {
        let file = self.file_of(partition);
        if let Some(key) = column.checked_sub(self.roots) {
            let is_null = file.constants[key].0.is_none();
            return Some(if is_null { self.partitions[partition].rows as u64 } else { 0 });
        }
        // A null is one of any type.
        let leaf = self.root(partition, column)?.leaf?;
        nulls(&file.metadata, self.places[partition].group, leaf)
    }

    fn bounds(&self, partition: usize, column: usize) -> Result<Option<[ArrayRef; 2]>> {
        let Some((root, leaf)) = self.leaf(partition, column) else { return Ok(None) };
        let metadata = &self.file_of(partition).metadata;
        let group = self.places[partition].group;
        without_panic(|| bound_arrays(metadata, group, leaf, metadata.schema().field(root.place)))
            .map_err(|cause| damaged(self, partition, &[column], &cause))
    }

    fn check_extent(&self, partition: usize, column: usize, extent: (f64, f64)) -> Result<()> {
        // Where the file has another type, it was looked at as it was read: numbers may be rounded otherwise here.
        let Some((root, leaf)) = self.leaf(partition, column) else { return Ok(()) };
        let metadata = &self.file_of(partition).metadata;
        let group = self.places[partition].group;
        let said = without_panic(|| Bounds::of(metadata, group, leaf, metadata.schema().field(root.place)))
            .map_err(|cause| damaged(self, partition, &[column], &cause))?;
        match said.contradiction_of(extent) {
            Some(fact) => Err(damaged(self, partition, &[column], &fact)),
            None => Ok(()),
        }
    }

    /// Dictionaries are decoded afresh by every reader, and the pages in which it begins and ends as a whole, of which half is
    /// another's as a rule.
    fn cost(&self, partition: usize, column: usize) -> Cost {
        let file = self.file_of(partition);
        let Some(root) = self.root(partition, column) else { return Cost::default() };
        let group = file.metadata.metadata().row_group(self.places[partition].group);
        let mut cost = Cost::default();
        for leaf in file.leaves[root.place].clone() {
            let chunk = group.column(leaf);
            let bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let page = bytes.min(PAGE_BYTES);
            cost.bytes += bytes;
            cost.start_bytes += if chunk.dictionary_page_offset().is_some() { 2 * page } else { page };
        }
        cost
    }

    fn place(&self, partition: usize, row: usize) -> (Option<String>, usize) {
        let place = self.places[partition];
        let file = (self.files.len() > 1).then(|| self.files[place.file].about.path.display().to_string());
        (file, place.first_in_file + row)
    }

    fn files(&self) -> Vec<&SourceFile> {
        self.files.iter().map(|file| &file.about).collect()
    }

    fn with_keys_as(&self, are_numbers: &dyn Fn(&str) -> Option<bool>) -> Result<Option<Arc<dyn Source>>> {
        if self.columns.len() == self.roots {
            return Ok(None);
        }
        let mut other = self.clone();
        for (key, column) in other.columns[self.roots..].iter_mut().enumerate() {
            column.data_type = match are_numbers(&column.name) {
                Some(false) => DataType::Utf8,
                Some(true) => DataType::Float64,
                None => continue,
            };
            if let Some(file) = self.files.iter().find(|file| !file.constants[key].is(&column.data_type)) {
                return Err(Error::data(
                    format!(
                        "the folder key `{}` is a number in the model, and `{}` for {}",
                        plain(&column.name),
                        plain(file.constants[key].0.as_deref().unwrap_or_default()),
                        file.about.path.display()
                    ),
                    "Name the folders as they were when the model was trained, or train it again.",
                ));
            }
        }
        Ok(Some(Arc::new(other)))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(ParquetFile::check_unchanged)
    }
}
