//! One Parquet file: its columns and what each can be used for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::RowGroupMetaData;

use crate::error::{Error, Result};

/// What a column can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number: a feature, or a label with two values.
    Numeric,
    /// True or false: a feature (1 and 0) or a label.
    Boolean,
    /// Text: a label with two values.
    Text,
    /// A date, time, list, struct, ...: nothing that a linear model could use as it stands.
    Unusable,
}

/// A column of the file.
#[derive(Clone, Debug)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// What it can be used for.
    pub kind: Kind,
    /// The type as the file has it.
    pub data_type: String,
}

impl Field {
    /// Whether the column can be a feature.
    pub fn is_feature(&self) -> bool {
        matches!(self.kind, Kind::Numeric | Kind::Boolean)
    }

    /// What can be done with a column that cannot be a feature.
    pub(super) fn advice(&self) -> &'static str {
        match self.kind {
            Kind::Text => "encode it upstream, one 0/1 column for each level but one",
            _ if self.data_type.starts_with("Date") || self.data_type.starts_with("Time") => {
                "turn it into a number upstream (days since a date, the month, the hour)"
            }
            _ => "turn it into numbers upstream, one column each",
        }
    }
}

/// An opened Parquet file. Every decode job opens the path again: clones of one `File` share a cursor.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where the file is.
    pub path: PathBuf,
    /// Its columns, in the order of the file.
    pub fields: Vec<Field>,
    /// The number of rows, n.
    pub rows: usize,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// When the file was last changed, if the system says.
    pub modified: Option<SystemTime>,
    pub(super) metadata: ArrowReaderMetadata,
}

impl Table {
    /// Opens the Parquet file at `path` and reads its footer.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = File::open(path).map_err(|cause| {
            Error::data(
                format!("{shown} cannot be opened: {cause}"),
                "Check the path; it is read as it stands, without wildcards.",
            )
        })?;
        let about = file.metadata().map_err(|cause| Error::data(format!("{shown} cannot be read: {cause}"), ""))?;
        if about.is_dir() {
            return Err(Error::data(format!("{shown} is a folder"), "Name one Parquet file."));
        }
        if !about.is_file() {
            return Err(Error::data(
                format!("{shown} is no regular file"),
                "Parquet is read from both ends; save it as a file.",
            ));
        }
        // The embedded arrow schema may turn text into dictionaries; the Parquet types say all we need.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let loaded = super::panics::without_panic(|| ArrowReaderMetadata::load(&file, options));
        let metadata = loaded.and_then(|result| result.map_err(|cause| cause.to_string())).map_err(|cause| {
            Error::data(
                format!(
                    "{shown} ({} bytes) is not a Parquet file, or it is truncated or damaged: {cause}",
                    about.len()
                ),
                "Write or copy the file again. CSV can be converted: duckdb -c \"COPY (FROM 'x.csv') TO 'x.parquet'\"",
            )
        })?;
        let fields = metadata
            .schema()
            .fields()
            .iter()
            .map(|field| Field {
                name: field.name().clone(),
                kind: kind_of(field.data_type()),
                data_type: field.data_type().to_string(),
            })
            .collect();
        let rows = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        let groups: i64 = metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).sum();
        if usize::try_from(groups).ok() != Some(rows) {
            return Err(Error::data(
                format!("{shown} is damaged: its footer says {rows} rows, its row groups {groups}"),
                "Write or copy the file again.",
            ));
        }
        if rows == 0 {
            return Err(Error::data(format!("{shown} has no rows"), "Name a file with data."));
        }
        Ok(Self { path: path.to_owned(), fields, rows, bytes: about.len(), modified: about.modified().ok(), metadata })
    }

    /// The index of the column called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// An error if the file was changed since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let about = std::fs::metadata(&self.path)
            .map_err(|cause| Error::data(format!("{} vanished while it was read: {cause}", self.path.display()), ""))?;
        if about.len() != self.bytes || about.modified().ok() != self.modified {
            return Err(Error::data(
                format!(
                    "{} was changed while it was read ({} bytes, then {})",
                    self.path.display(),
                    self.bytes,
                    about.len()
                ),
                "Wait until it is written, then run again.",
            ));
        }
        Ok(())
    }

    /// The names of all columns, for messages.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        match names.len() {
            0..=30 => names.join(", "),
            n => format!("{}, ... ({n} columns)", names[..30].join(", ")),
        }
    }
}

fn kind_of(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Kind::Numeric,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        _ => Kind::Unusable,
    }
}
