//! Parquet files as they are opened: their footers, held against themselves, and the columns that they share.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use arrow::datatypes::{DataType, Field as ArrowField};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::files::Found;
use super::footer::{chunk_of_another_type, has_page_checksums, index_columns};
use super::foreign::{foreign, head};
use super::input::{NO_DAMAGE, is_of_system, tried};
use super::keys::Constant;
use super::schema::{common, contradiction as contradiction_with_arrow, embedded, hinted};
use crate::data::source::{SourceColumn, SourceFile};
use crate::error::{Error, Result};
use crate::panics::without_panic;
use crate::wording::plain;

/// A Parquet file.
#[derive(Clone, Debug)]
pub(super) struct ParquetFile {
    pub(super) about: SourceFile,
    identity: Identity,
    /// The root columns that the files share, by their place in this file; `None` for one that it does not have, and in a
    /// file without rows beside others.
    pub(super) roots: Vec<Option<Root>>,
    /// The leaves of its own root columns.
    pub(super) leaves: Vec<Range<usize>>,
    pub(super) metadata: ArrowReaderMetadata,
    /// Whether the types of its columns are others than its schema alone leads to.
    pub(super) is_hinted: bool,
    /// The values of its folder names.
    pub(super) constants: Vec<Constant>,
}

/// A root column of a file.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// Its place in the file.
    pub(super) place: usize,
    /// The leaf that is all of it, if it is not nested.
    pub(super) leaf: Option<usize>,
    /// The type that its values are brought to, if the files share another one.
    pub(super) widened: Option<DataType>,
}

/// What tells a file from another one that takes its place: size and time of change can be made the same, the rest cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and when the inode was changed.
    #[cfg(unix)]
    inode: [i64; 4],
}

impl Identity {
    fn of(about: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            bytes: about.len(),
            modified: about.modified().ok(),
            #[cfg(unix)]
            inode: [about.dev().cast_signed(), about.ino().cast_signed(), about.ctime(), about.ctime_nsec()],
        }
    }
}

impl ParquetFile {
    /// An error if it was changed since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let shown = self.about.path.display();
        let about = std::fs::metadata(&self.about.path).map_err(|cause| {
            Error::data(format!("{shown} vanished while it was read: {cause}"), "").from_error(cause)
        })?;
        if Identity::of(&about) == self.identity {
            return Ok(());
        }
        let how = if about.len() == self.about.bytes {
            "replaced by another file of its size, or written to".into()
        } else {
            format!("{} bytes, then {}", self.about.bytes, about.len())
        };
        Err(Error::data(
            format!("{shown} was changed while it was read ({how})"),
            "Wait until it is written, then run again.",
        ))
    }
}

/// The file at `path`, and what the system says of it.
fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let shown = path.display();
    let file = tried(|| File::open(path)).map_err(|cause| {
        Error::data(format!("{shown} cannot be opened: {cause}"), "Check the path.").from_error(cause)
    })?;
    let about = file
        .metadata()
        .map_err(|cause| Error::data(format!("{shown} cannot be read: {cause}"), "").from_error(cause))?;
    Ok((file, about))
}

/// Why the footer of a file cannot be read.
fn unreadable(path: &Path, bytes: u64, cause: &str) -> Error {
    let shown = path.display();
    if is_of_system(cause) {
        return Error::data(format!("{shown} ({bytes} bytes) cannot be read: {cause}"), NO_DAMAGE);
    }
    head(path).ok().and_then(|head| foreign(path, &head)).unwrap_or_else(|| {
        Error::data(
            format!("{shown} ({bytes} bytes) is not a Parquet file, or it is truncated or damaged: {cause}"),
            "Write or copy the file again.",
        )
    })
}

pub(super) fn open_file(found: &Found) -> Result<ParquetFile> {
    let path = &found.path;
    let shown = path.display();
    let (mut file, about) = open_regular(path)?;
    let bytes = about.len();
    let unreadable = |cause: String| unreadable(path, bytes, &cause);
    // Of the embedded arrow schema only what the Parquet types leave open counts.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let encoded = without_panic(|| -> std::result::Result<_, ParquetError> {
        let metadata = ArrowReaderMetadata::load(&file, options)?;
        let embedded = embedded(metadata.metadata());
        match hinted(metadata.metadata(), metadata.schema(), embedded.as_ref()) {
            None => Ok((metadata, embedded, false)),
            Some(schema) => {
                let options = ArrowReaderOptions::new().with_schema(schema);
                Ok((ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?, embedded, true))
            }
        }
    });
    let (metadata, embedded, is_hinted) =
        encoded.and_then(|result| result.map_err(|cause| cause.to_string())).map_err(unreadable)?;
    let contradiction =
        |fact: String| Err(Error::data(format!("{shown} is damaged: {fact}"), "Write or copy the file again."));
    if let Some(fact) = contradiction_in(metadata.metadata()) {
        return contradiction(fact);
    }
    if let Some((name, why)) = embedded.and_then(|embedded| contradiction_with_arrow(metadata.schema(), &embedded)) {
        return contradiction(format!("column `{}` {why}", plain(&name)));
    }
    if let Some((group, leaf, own)) = chunk_of_another_type(&mut file, metadata.metadata()) {
        let column = metadata.parquet_schema().column(leaf);
        let (name, of_schema) = (plain(&column.path().string()), column.physical_type());
        return contradiction(format!(
            "column `{name}` is {of_schema} in its schema and of type number {own} in row group {group}"
        ));
    }
    let of_file = metadata.metadata().file_metadata();
    Ok(ParquetFile {
        about: SourceFile {
            path: path.clone(),
            bytes,
            rows: u64::try_from(of_file.num_rows()).unwrap_or(0),
            modified: about.modified().ok(),
            page_checksums: has_page_checksums(&mut file, metadata.metadata()),
            created_by: of_file.created_by().map(str::to_owned),
        },
        identity: Identity::of(&about),
        roots: Vec::new(),
        leaves: leaves_of_roots(&metadata),
        metadata,
        is_hinted,
        constants: found.keys.iter().map(|(_, value)| Constant(value.clone())).collect(),
    })
}

/// Numbers of a footer that contradict each other, if some do.
fn contradiction_in(metadata: &ParquetMetaData) -> Option<String> {
    let rows = metadata.file_metadata().num_rows();
    let groups: i64 = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).fold(0, i64::saturating_add);
    if groups != rows {
        return Some(format!("its footer says {rows} rows, its row groups {groups}"));
    }
    metadata.row_groups().iter().enumerate().find_map(|(index, group)| {
        let rows = group.num_rows();
        // A column that is not repeated has a value, or a null, in each row.
        let flat = |chunk: &&ColumnChunkMetaData| chunk.column_descr().max_rep_level() == 0;
        let other = group.columns().iter().filter(flat).find(|chunk| chunk.num_values() != rows)?;
        let (name, values) = (plain(&other.column_path().string()), other.num_values());
        Some(format!("its footer says {rows} rows in row group {index}, and {values} values of column `{name}` there"))
    })
}

/// The columns that the files have together, in the order in which they are met, with the place of each in every file.
/// A column whose type differs in width only has the wider one; one that differs otherwise, or that not all files have, is
/// there with its conflict. Files without rows have no say where others have some.
pub(super) fn shared_columns(files: &mut [ParquetFile]) -> Vec<SourceColumn> {
    let has_rows = |file: &ParquetFile| file.metadata.metadata().file_metadata().num_rows() > 0;
    let is_empty = !files.iter().any(has_rows);
    // A name may stand for several columns of a file: the first of them is the first of another file's.
    let mut keys: Vec<(String, usize)> = Vec::new();
    let mut known: HashMap<(String, usize), usize> = HashMap::new();
    let mut places: Vec<HashMap<usize, usize>> = Vec::with_capacity(files.len());
    for file in files.iter() {
        let mut of_file = HashMap::new();
        let mut times: HashMap<&str, usize> = HashMap::new();
        let fields = file.metadata.schema().fields();
        let fields = if is_empty || has_rows(file) { &fields[..] } else { &[] };
        for (place, field) in fields.iter().enumerate() {
            let time = times.entry(field.name()).or_default();
            let key = (field.name().clone(), *time);
            *time += 1;
            let root = *known.entry(key.clone()).or_insert_with(|| {
                keys.push(key);
                keys.len() - 1
            });
            of_file.insert(root, place);
        }
        places.push(of_file);
    }
    let indices: HashSet<String> = files.iter().flat_map(|file| index_columns(file.metadata.metadata())).collect();
    let mut columns = Vec::with_capacity(keys.len());
    for (root, (name, _)) in keys.iter().enumerate() {
        let having = files.iter().zip(&places).filter(|(file, _)| is_empty || has_rows(file));
        let having = having.map(|(file, places)| {
            let schema = file.metadata.schema();
            (file, places.get(&root).map(|&place| schema.field(place)))
        });
        let (field, conflict) = shared_column(having, name);
        for (file, places) in files.iter_mut().zip(&places) {
            let of_file = places.get(&root).map(|&place| {
                let own = file.metadata.schema().field(place).data_type();
                Root {
                    place,
                    leaf: (!own.is_nested()).then_some(file.leaves[place].start),
                    widened: (conflict.is_none() && own != field.data_type()).then(|| field.data_type().clone()),
                }
            });
            file.roots.push(of_file);
        }
        let (name, data_type) = (name.clone(), field.data_type().clone());
        columns.push(SourceColumn { is_index: indices.contains(&name), name, data_type, is_key: false, conflict });
    }
    columns
}

/// The leaves of each root column of a file.
fn leaves_of_roots(metadata: &ArrowReaderMetadata) -> Vec<Range<usize>> {
    let schema = metadata.parquet_schema();
    let mut leaves = vec![0..0; metadata.schema().fields().len()];
    for leaf in (0..schema.num_columns()).rev() {
        let of_root = &mut leaves[schema.get_column_root_idx(leaf)];
        *of_root = leaf..of_root.end.max(leaf + 1);
    }
    leaves
}

/// The column called `name` out of those of several files, with the type that they share, or what is in the way.
fn shared_column<'f>(
    files: impl Iterator<Item = (&'f ParquetFile, Option<&'f ArrowField>)>,
    name: &str,
) -> (ArrowField, Option<String>) {
    let shown = |file: &ParquetFile| file.about.path.display().to_string();
    let name = plain(name);
    let mut shared: Option<(&ParquetFile, ArrowField)> = None;
    let (mut without, mut conflict) = (None, None);
    for (file, field) in files {
        let Some(field) = field else {
            without.get_or_insert(file);
            continue;
        };
        let Some((first, so_far)) = &mut shared else {
            shared = Some((file, field.clone()));
            continue;
        };
        match common(so_far.data_type(), field.data_type()) {
            Some(data_type) if data_type == *so_far.data_type() => {}
            Some(data_type) => *so_far = so_far.clone().with_data_type(data_type),
            None => {
                let (ours, theirs) = (so_far.data_type(), field.data_type());
                let text = || format!("column `{name}` is {ours} in {} and {theirs} in {}", shown(first), shown(file));
                conflict.get_or_insert_with(text);
            }
        }
    }
    let (first, field) = shared.expect("a column is one of a file");
    let missing = without.map(|file| format!("{} has no column `{name}`, which {} has", shown(file), shown(first)));
    (field, conflict.or(missing))
}
