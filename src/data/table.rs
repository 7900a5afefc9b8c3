//! A table: the rows of one or several Parquet files, or some of them, and the columns that they share.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::RowGroupMetaData;
use rayon::prelude::*;

use super::field::{Constant, Field, Source, leaves};
use super::files::{Found, find};
use super::foreign::{foreign, head, undecodable};
use super::panics::without_panic;
use crate::error::{Error, Result};
use crate::wording::{entry, listed};

/// A file of a table.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last changed, if the system says.
    pub modified: Option<SystemTime>,
    /// The root columns of the first file, by their place in this one.
    pub(super) roots: Vec<usize>,
    pub(super) metadata: ArrowReaderMetadata,
    /// The values of its folder names.
    pub(super) constants: Vec<Constant>,
}

/// A row group of a table.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Its file.
    pub(super) file: usize,
    /// Its place in the file.
    pub(super) index: usize,
    /// Position in the table of its first row.
    pub(super) first_row: usize,
    /// Rows that belong to the table.
    pub(super) rows: usize,
    /// Rows that the file has.
    pub(super) file_rows: usize,
    /// Position of its first row among all rows of all files.
    pub(super) file_first_row: usize,
    /// Which of the file's rows belong to the table; `None` for all.
    pub(super) keep: Option<BooleanBuffer>,
}

/// Opened Parquet files of one schema. Every decode job opens its path again: clones of one `File` share a cursor.
#[derive(Clone, Debug)]
pub struct Table {
    /// The files, in the order of the rows.
    pub files: Vec<DataFile>,
    /// The columns, in the order of the first file; those from folder names last.
    pub fields: Vec<Field>,
    /// The number of rows, n.
    pub rows: usize,
    /// Row groups with rows in the table, in their order.
    pub(super) groups: Vec<Group>,
}

impl Table {
    /// Opens the Parquet file at `path` and reads its footer.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_all(&[path.to_owned()])
    }

    /// Opens files, folders and patterns as one table, in that order, the files of a folder sorted by name. All footers
    /// are read first, and their schemas compared.
    pub fn open_all(inputs: &[PathBuf]) -> Result<Self> {
        Self::of_footers(inputs)?.with_lists_expanded()
    }

    /// As [`Table::open_all`], without a look at the rows: how long lists are is not known then.
    pub fn of_footers(inputs: &[PathBuf]) -> Result<Self> {
        let found = find(inputs)?;
        let mut files: Vec<DataFile> = found.par_iter().map(open_file).collect::<Result<_>>()?;
        let (first, others) = files.split_first_mut().expect("what is found is at least one file");
        for other in others {
            other.roots = same_columns(first, other)?;
        }
        let mut fields: Vec<Field> = Vec::new();
        for (root, field) in files[0].metadata.schema().fields().iter().enumerate() {
            fields.extend(leaves(root, field));
        }
        let keys: Vec<String> = found[0].partitions.iter().map(|(key, _)| key.clone()).collect();
        for (index, key) in keys.into_iter().enumerate() {
            let values = found.iter().map(|file| file.partitions[index].1.clone()).collect();
            for (file, constant) in files.iter_mut().zip(Constant::of_files(values)) {
                file.constants.push(constant);
            }
            fields.push(Field::new(key, files[0].constants[index].data_type(), Source::Partition(index)));
        }
        let mut groups = Vec::new();
        let mut rows = 0;
        for (file, about) in files.iter().enumerate() {
            for (index, group) in about.metadata.metadata().row_groups().iter().enumerate() {
                let group_rows = usize::try_from(group.num_rows()).unwrap_or(0);
                groups.push(Group {
                    file,
                    index,
                    first_row: rows,
                    rows: group_rows,
                    file_rows: group_rows,
                    file_first_row: rows,
                    keep: None,
                });
                rows += group_rows;
            }
        }
        groups.retain(|group| group.rows > 0);
        let table = Self { files, fields, rows, groups };
        if rows == 0 {
            return Err(Error::data(format!("{} has no rows", table.name()), "Name a file with data."));
        }
        Ok(table)
    }

    /// The file, or the first of them and how many there are, for messages.
    pub fn name(&self) -> String {
        let first = self.files[0].path.display();
        match self.files.len() {
            1 => first.to_string(),
            n => format!("{first} and {} more", n - 1),
        }
    }

    /// The index of the column called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// An error if a file was changed since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        for file in &self.files {
            let shown = file.path.display();
            let about = std::fs::metadata(&file.path)
                .map_err(|cause| Error::data(format!("{shown} vanished while it was read: {cause}"), ""))?;
            if about.len() != file.bytes || about.modified().ok() != file.modified {
                return Err(Error::data(
                    format!("{shown} was changed while it was read ({} bytes, then {})", file.bytes, about.len()),
                    "Wait until it is written, then run again.",
                ));
            }
        }
        Ok(())
    }

    /// The names of all columns, for messages.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.fields.iter().map(|field| entry(&field.name)).collect();
        listed(&names)
    }

    /// Positions of rows in the table as the user finds them in the files, for messages: rows from 0, with the file
    /// where there are several: `a:3`, or `a: 3, 5; b: 1`.
    pub fn row_names(&self, rows: &[usize]) -> String {
        let place = |&row: &usize| {
            let group = &self.groups[self.groups.partition_point(|group| group.first_row <= row).max(1) - 1];
            let within = row - group.first_row;
            let in_group = group.keep.as_ref().map_or(Some(within), |keep| keep.set_indices().nth(within));
            (group, in_group.unwrap_or(0))
        };
        if let [row] = rows {
            let (group, in_group) = place(row);
            return self.row_name(group, in_group);
        }
        let places: Vec<(usize, String)> = rows
            .iter()
            .map(|row| {
                let (group, in_group) = place(row);
                (group.file, self.row_in_file(group, in_group).to_string())
            })
            .collect();
        let of_file = |some: &[(usize, String)]| {
            let rows = some.iter().map(|(_, row)| row.as_str()).collect::<Vec<_>>().join(", ");
            if self.files.len() == 1 { rows } else { format!("{}: {rows}", self.files[some[0].0].path.display()) }
        };
        places.chunk_by(|a, b| a.0 == b.0).map(of_file).collect::<Vec<_>>().join("; ")
    }

    /// A row of the file's row group, as [`Table::row_names`] has it.
    pub(super) fn row_name(&self, group: &Group, in_group: usize) -> String {
        let row = self.row_in_file(group, in_group);
        if self.files.len() == 1 { row.to_string() } else { format!("{}:{row}", self.files[group.file].path.display()) }
    }

    /// The place in its file of a row of the file's row group.
    fn row_in_file(&self, group: &Group, in_group: usize) -> usize {
        let file = &self.files[group.file];
        let before: usize = file.metadata.metadata().row_groups()[..group.index]
            .iter()
            .map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
            .sum();
        before + in_group
    }

    /// The table of the rows that `keep` gives for each row group (of those that are there), as bits of the file's rows.
    pub(super) fn restricted(&self, keep: Vec<BooleanBuffer>) -> Self {
        let mut table = self.clone();
        let mut first_row = 0;
        for (group, keep) in table.groups.iter_mut().zip(keep) {
            group.first_row = first_row;
            group.rows = keep.count_set_bits();
            group.keep = (group.rows < group.file_rows).then_some(keep);
            first_row += group.rows;
        }
        table.groups.retain(|group| group.rows > 0);
        table.rows = first_row;
        table
    }

    /// Replaces columns with lists of numbers by their elements, as many as the first list has.
    fn with_lists_expanded(mut self) -> Result<Self> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in std::mem::take(&mut self.fields) {
            let length = match field.root() {
                Some(root) if field.list_of().is_some() => self.first_list_length(&field, root)?,
                _ => None,
            };
            match length {
                Some(length) if length > 0 => fields.extend(field.elements(length)),
                _ => fields.push(field),
            }
        }
        self.fields = fields;
        Ok(self)
    }

    /// The length of the first list in the first thousand rows.
    fn first_list_length(&self, field: &Field, root: usize) -> Result<Option<usize>> {
        let file = &self.files[0];
        let damaged =
            |cause: String| undecodable(&file.path, &format!("column `{}` cannot be decoded: {cause}", field.name));
        let opened = File::open(&file.path).map_err(|cause| damaged(cause.to_string()))?;
        let batch = without_panic(|| {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, file.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), [root]);
            builder
                .with_projection(mask)
                .with_limit(1_000)
                .with_batch_size(1_000)
                .build()
                .map(|mut reader| reader.next())
        })
        .and_then(|result| result.map_err(|cause| cause.to_string()))
        .map_err(damaged)?;
        match batch.transpose().map_err(|cause| damaged(cause.to_string()))? {
            Some(batch) => field.list_length(batch.column(0)),
            None => Ok(None),
        }
    }
}

fn open_file(found: &Found) -> Result<DataFile> {
    let path = &found.path;
    let shown = path.display();
    let file = File::open(path)
        .map_err(|cause| Error::data(format!("{shown} cannot be opened: {cause}"), "Check the path."))?;
    let about = file.metadata().map_err(|cause| Error::data(format!("{shown} cannot be read: {cause}"), ""))?;
    // The embedded arrow schema may turn text into dictionaries; the Parquet types say all we need.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let loaded = without_panic(|| ArrowReaderMetadata::load(&file, options));
    let metadata = loaded.and_then(|result| result.map_err(|cause| cause.to_string())).map_err(|cause| {
        head(path).ok().and_then(|head| foreign(path, &head)).unwrap_or_else(|| {
            Error::data(
                format!(
                    "{shown} ({} bytes) is not a Parquet file, or it is truncated or damaged: {cause}",
                    about.len()
                ),
                "Write or copy the file again.",
            )
        })
    })?;
    let rows = metadata.metadata().file_metadata().num_rows();
    let groups: i64 = metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).sum();
    if groups != rows {
        return Err(Error::data(
            format!("{shown} is damaged: its footer says {rows} rows, its row groups {groups}"),
            "Write or copy the file again.",
        ));
    }
    Ok(DataFile {
        path: path.clone(),
        bytes: about.len(),
        modified: about.modified().ok(),
        roots: (0..metadata.schema().fields().len()).collect(),
        metadata,
        constants: Vec::new(),
    })
}

/// Where the root columns of `first` are in `other`, or the first difference between them.
fn same_columns(first: &DataFile, other: &DataFile) -> Result<Vec<usize>> {
    let schema = |file: &DataFile| -> Arc<Schema> { file.metadata.schema().clone() };
    let (ours, theirs) = (schema(first), schema(other));
    let differ = |fact: String| {
        Err(Error::data(
            fact,
            "All files of a table have the same columns; write them alike, or train on those that agree.",
        ))
    };
    let (a, b) = (first.path.display(), other.path.display());
    let mut roots = Vec::with_capacity(ours.fields().len());
    for field in ours.fields() {
        let Some((place, twin)) = theirs.fields().find(field.name()) else {
            return differ(format!("{b} has no column `{}`, which {a} has", field.name()));
        };
        if twin.data_type() != field.data_type() {
            let (mine, others) = (field.data_type(), twin.data_type());
            return differ(format!("column `{}` is {mine} in {a} and {others} in {b}", field.name()));
        }
        roots.push(place);
    }
    match theirs.fields().iter().find(|field| ours.fields().find(field.name()).is_none()) {
        Some(more) => differ(format!("{b} has the column `{}`, which {a} has not", more.name())),
        None => Ok(roots),
    }
}

impl Group {
    /// The rows of the file's row group that belong to the table and are set in `rows` `[rows]`.
    pub(super) fn keeping(&self, rows: &BooleanBuffer) -> BooleanBuffer {
        let Some(keep) = &self.keep else { return rows.clone() };
        let mut chosen = BooleanBufferBuilder::new(self.file_rows);
        chosen.append_n(self.file_rows, false);
        keep.set_indices().zip(rows).filter(|(_, set)| *set).for_each(|(row, _)| chosen.set_bit(row, true));
        chosen.build()
    }

    /// The rows of the file's row group between which the rows `range` of the table lie.
    pub(super) fn file_range(&self, range: Range<usize>) -> Range<usize> {
        let Some(keep) = &self.keep else { return range };
        let mut rows = keep.set_indices().skip(range.start).take(range.len());
        let first = rows.next().unwrap_or(0);
        first..rows.last().unwrap_or(first) + 1
    }
}
