//! Where rows come from.
//!
//! A [`Source`] has columns of one type each and rows in partitions: row groups of files, slices of record batches, the
//! share of a machine. What it does not know of itself it need not tell, and what it cannot skip it may hand over: the
//! [`Table`](super::Table) on top of it takes the rows that it wants.

use std::fmt::Debug;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::error::Result;

/// A column of a source; of structs and lists the whole of it.
#[derive(Clone, Debug)]
pub struct SourceColumn {
    /// Its name. Several may have the same one.
    pub name: String,
    /// Its type, the same in all partitions.
    pub data_type: DataType,
    /// Whether it is the index of a data frame, as whoever wrote it says.
    pub is_index: bool,
    /// Whether it is a key: one value for all rows of a partition, which stands beside them.
    pub is_key: bool,
    /// Why it cannot be read as one column, if it cannot: what the parts of the source have instead of it.
    pub conflict: Option<String>,
}

/// Neighbouring rows of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// How many there are.
    pub rows: usize,
}

/// What is to be read of a source.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'r> {
    /// A partition, by its place.
    pub partition: usize,
    /// Columns by their places, at least one, none twice.
    pub columns: &'r [usize],
    /// The rows of the partition that are wanted, ascending and apart from each other; `None` for all.
    pub rows: Option<&'r [Range<usize>]>,
    /// Rows of a batch at most, and, of a source that can choose, of each batch but the last one.
    pub batch_rows: usize,
    /// Whether values are held against what the source promises of them. If not, the caller does it with
    /// [`Source::check_extent`].
    pub checks_values: bool,
}

/// Takes a batch: the place in the partition of its first row, and the columns in the order of the request, `[rows]` each. Breaks
/// off if no row that follows is wanted.
pub type Take<'t> = dyn FnMut(usize, &[ArrayRef]) -> Result<ControlFlow<()>> + 't;

/// What it takes to read a column of a partition, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// All of it.
    pub bytes: u64,
    /// What is decoded for nothing where reading begins somewhere in the middle, and about what is held while it goes on.
    pub start_bytes: u64,
}

/// A file that rows come from.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// When it was last changed, if the system says.
    pub modified: Option<SystemTime>,
    /// Whether its pages have checksums, as far as its first page shows; `None` if it has no page.
    pub page_checksums: Option<bool>,
    /// The program that wrote it, if it says.
    pub created_by: Option<String>,
}

/// Rows in partitions, wherever they are. They can be read again and again, by several threads at a time, and are the same
/// every time.
pub trait Source: Debug + Send + Sync {
    /// What messages call it: `trips.parquet`, `trips.parquet and 3 more`, `the table in memory`.
    fn name(&self) -> String;

    /// The columns.
    fn columns(&self) -> &[SourceColumn];

    /// The partitions, in the order of the rows.
    fn partitions(&self) -> &[Partition];

    /// Hands rows of a partition to `take`, in batches of consecutive rows, in their order: each row that is wanted once, and
    /// perhaps others between them. Arrays have the types of the columns.
    ///
    /// # Errors
    /// Of kind `Data` if a row cannot be read or has a value that the source itself excludes, and whatever `take` gives.
    fn read(&self, request: &ReadRequest<'_>, take: &mut Take<'_>) -> Result<()>;

    /// Rows of a partition in which a column is null, if that is known. A leaf of a struct may be null in others.
    fn nulls(&self, _partition: usize, _column: usize) -> Option<u64> {
        None
    }

    /// Between what the values of a column lie in a partition that are neither null nor NaN, if that is known: two arrays of
    /// one value, of the column's type. No value has to be that small or large.
    ///
    /// # Errors
    /// Of kind `Data` if what is known of them is damaged.
    fn bounds(&self, _partition: usize, _column: usize) -> Result<Option<[ArrayRef; 2]>> {
        Ok(None)
    }

    /// An error if the source excludes numbers from the smallest to the largest, `extent`, of a column in a partition.
    ///
    /// # Errors
    /// Of kind `Data`: the source contradicts itself.
    fn check_extent(&self, _partition: usize, _column: usize, _extent: (f64, f64)) -> Result<()> {
        Ok(())
    }

    /// What it takes to read a column of a partition; nothing if that is not known.
    fn cost(&self, _partition: usize, _column: usize) -> Cost {
        Cost::default()
    }

    /// Where the user finds a row of a partition: its place, from 0, in the file that it names, or among all rows.
    fn place(&self, partition: usize, row: usize) -> (Option<String>, usize) {
        (None, self.partitions()[..partition].iter().map(|before| before.rows).sum::<usize>() + row)
    }

    /// The files that the rows come from; none if they come from elsewhere.
    fn files(&self) -> Vec<&SourceFile> {
        Vec::new()
    }

    /// The source with its keys as numbers or as texts, as `are_numbers` says by their names where it knows them; `None` if it
    /// has no keys.
    ///
    /// # Errors
    /// Of kind `Data` if a key that is to be a number is none somewhere.
    fn with_keys_as(&self, _are_numbers: &dyn Fn(&str) -> Option<bool>) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }

    /// An error if rows may have changed since the source was opened.
    ///
    /// # Errors
    /// Of kind `Data`.
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}
