//! A table: the rows of one or several Parquet files, or some of them, and the columns that they share.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field as ArrowField};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use rayon::prelude::*;

use super::field::{Constant, Field, Source, leaves};
use super::files::{Found, find};
use super::footer::{chunk_of_another_type, has_page_checksums, index_columns};
use super::foreign::{foreign, head, undecodable};
use super::input::Input;
use super::panics::without_panic;
use super::schema::{common, contradiction as contradiction_with_arrow, embedded, hinted};
use crate::error::{Error, Result};
use crate::wording::{entry, listed, plain};

/// A file of a table.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last changed, if the system says.
    pub modified: Option<SystemTime>,
    /// Whether its pages have checksums, as far as its first page shows; `None` if it has no page.
    pub page_checksums: Option<bool>,
    /// The program that wrote it, if it says.
    pub created_by: Option<String>,
    identity: Identity,
    /// The root columns of the table, by their place in this file; `None` for one that it does not have, and in a file
    /// without rows beside others.
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
    /// The type that its values are brought to, if the table has another one.
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
    /// The columns of each name.
    names: Arc<HashMap<String, Vec<usize>>>,
}

/// The columns of each name.
fn by_name(fields: &[Field]) -> Arc<HashMap<String, Vec<usize>>> {
    let mut names: HashMap<String, Vec<usize>> = HashMap::with_capacity(fields.len());
    for (column, field) in fields.iter().enumerate() {
        names.entry(field.name.clone()).or_default().push(column);
    }
    Arc::new(names)
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
        let mut fields = shared_columns(&mut files);
        let keys: Vec<String> = found[0].partitions.iter().map(|(key, _)| key.clone()).collect();
        for (index, key) in keys.into_iter().enumerate() {
            for (file, found) in files.iter_mut().zip(&found) {
                file.constants.push(Constant(found.partitions[index].1.clone()));
            }
            let data_type = Constant::type_of(files.iter().map(|file| &file.constants[index]));
            fields.push(Field::new(key, &data_type, Source::Partition(index)));
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
        let names = by_name(&fields);
        Ok(Self { files, fields, rows, groups, names })
    }

    /// The table with the keys of its folders as `kind_of` knows them by their names: the values of a few folders may look
    /// like numbers where those of all are texts.
    pub fn with_keys_as<'k>(mut self, kind_of: impl Fn(&str) -> Option<&'k str>) -> Result<Self> {
        for field in &mut self.fields {
            let Source::Partition(key) = field.source else { continue };
            let data_type = match kind_of(&field.name) {
                Some("text") => DataType::Utf8,
                Some("numeric") => DataType::Float64,
                _ => continue,
            };
            if let Some(file) = self.files.iter().find(|file| !file.constants[key].is(&data_type)) {
                return Err(Error::data(
                    format!(
                        "the folder key `{}` is a number in the model, and `{}` for {}",
                        plain(&field.name),
                        plain(file.constants[key].0.as_deref().unwrap_or_default()),
                        file.path.display()
                    ),
                    "Name the folders as they were when the model was trained, or train it again.",
                ));
            }
            let source = field.source.clone();
            *field = Field::new(std::mem::take(&mut field.name), &data_type, source);
        }
        Ok(self)
    }

    /// Whether a column has another type in a row group than in the table.
    pub(super) fn is_widened(&self, group: usize, column: usize) -> bool {
        let file = &self.files[self.groups[group].file];
        let root = self.fields[column].root().and_then(|root| file.roots[root].as_ref());
        root.is_some_and(|root| root.widened.is_some())
    }

    /// An error if there is no row.
    pub fn check_has_rows(&self) -> Result<()> {
        if self.rows > 0 {
            return Ok(());
        }
        Err(Error::data(format!("{} has no rows", self.name()), "Name a file with data."))
    }

    /// The file, or the first of them and how many there are, for messages.
    pub fn name(&self) -> String {
        let first = self.files[0].path.display();
        match self.files.len() {
            1 => first.to_string(),
            n => format!("{first} and {} more", n - 1),
        }
    }

    /// The index of the column called `name`, if there is one. Two are an error: nobody can say which is meant.
    pub fn find(&self, name: &str) -> Result<Option<usize>> {
        match self.names.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([column]) => Ok(Some(*column)),
            Some([.., last]) => Err(self.two_of_one_name(*last)),
        }
    }

    /// As [`Table::find`], of a column that is going to be read: an error too if the files do not share it.
    pub fn find_shared(&self, name: &str) -> Result<Option<usize>> {
        let found = self.find(name)?;
        found.map_or(Ok(()), |column| self.fields[column].check_shared())?;
        Ok(found)
    }

    /// The error where a name stands for this column and for another one.
    fn two_of_one_name(&self, column: usize) -> Error {
        let Field { name, source, .. } = &self.fields[column];
        let name = plain(name);
        match source {
            Source::Partition(_) => Error::data(
                format!("`{name}` is a column of the files and a key of their folders: which of them is meant?"),
                "Rename one of them, or name the files one by one: their folders say nothing then.",
            ),
            _ => Error::data(
                format!("{} has two columns called `{name}`: which of them is meant?", self.name()),
                "Rename one of them upstream, or name other columns with --features.",
            ),
        }
    }

    /// Names that stand for more than one column, in their order.
    pub fn names_twice(&self) -> Vec<&str> {
        let twice = self.names.iter().filter(|(_, columns)| columns.len() > 1);
        let mut names: Vec<&str> = twice.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// An error if a file was changed since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        for file in &self.files {
            let shown = file.path.display();
            let about = std::fs::metadata(&file.path)
                .map_err(|cause| Error::data(format!("{shown} vanished while it was read: {cause}"), ""))?;
            if Identity::of(&about) != file.identity {
                let how = if about.len() == file.bytes {
                    "replaced by another file of its size, or written to".into()
                } else {
                    format!("{} bytes, then {}", file.bytes, about.len())
                };
                return Err(Error::data(
                    format!("{shown} was changed while it was read ({how})"),
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
        self.names = by_name(&fields);
        self.fields = fields;
        Ok(self)
    }

    /// The length of the first list in the first thousand rows of a file.
    fn first_list_length(&self, field: &Field, root: usize) -> Result<Option<usize>> {
        for file in &self.files {
            let found = match &file.roots[root] {
                Some(root) if file.metadata.metadata().file_metadata().num_rows() > 0 => {
                    list_length_in(file, field, root.place)?
                }
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The length of the first list in the first thousand rows of `file`, where it is root column `root`.
fn list_length_in(file: &DataFile, field: &Field, root: usize) -> Result<Option<usize>> {
    let damaged =
        |cause: String| undecodable(&file.path, &format!("column `{}` cannot be decoded: {cause}", field.name));
    let opened = Input::open(&file.path).map_err(|cause| damaged(cause.to_string()))?;
    let batch = without_panic(|| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, file.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [root]);
        builder.with_projection(mask).with_limit(1_000).with_batch_size(1_000).build().map(|mut reader| reader.next())
    })
    .and_then(|result| result.map_err(|cause| cause.to_string()))
    .map_err(damaged)?;
    match batch.transpose().map_err(|cause| damaged(cause.to_string()))? {
        Some(batch) => field.list_length(batch.column(0)),
        None => Ok(None),
    }
}

fn open_file(found: &Found) -> Result<DataFile> {
    let path = &found.path;
    let shown = path.display();
    let mut file = File::open(path)
        .map_err(|cause| Error::data(format!("{shown} cannot be opened: {cause}"), "Check the path."))?;
    let about = file.metadata().map_err(|cause| Error::data(format!("{shown} cannot be read: {cause}"), ""))?;
    let bytes = about.len();
    let unreadable = |cause: String| {
        head(path).ok().and_then(|head| foreign(path, &head)).unwrap_or_else(|| {
            Error::data(
                format!("{shown} ({bytes} bytes) is not a Parquet file, or it is truncated or damaged: {cause}"),
                "Write or copy the file again.",
            )
        })
    };
    // Of the embedded arrow schema only what the Parquet types leave open counts.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let loaded = without_panic(|| -> std::result::Result<_, ParquetError> {
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
        loaded.and_then(|result| result.map_err(|cause| cause.to_string())).map_err(unreadable)?;
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
    Ok(DataFile {
        path: path.clone(),
        bytes,
        modified: about.modified().ok(),
        page_checksums: has_page_checksums(&mut file, metadata.metadata()),
        created_by: metadata.metadata().file_metadata().created_by().map(str::to_owned),
        identity: Identity::of(&about),
        roots: Vec::new(),
        leaves: leaves_of_roots(&metadata),
        metadata,
        is_hinted,
        constants: Vec::new(),
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
fn shared_columns(files: &mut [DataFile]) -> Vec<Field> {
    let has_rows = |file: &DataFile| file.metadata.metadata().file_metadata().num_rows() > 0;
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
    let mut fields = Vec::new();
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
        for leaf in leaves(root, &field) {
            fields.push(Field { is_index: indices.contains(name), conflict: conflict.clone(), ..leaf });
        }
    }
    fields
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
    files: impl Iterator<Item = (&'f DataFile, Option<&'f ArrowField>)>,
    name: &str,
) -> (ArrowField, Option<String>) {
    let shown = |file: &DataFile| file.path.display().to_string();
    let name = plain(name);
    let mut shared: Option<(&DataFile, ArrowField)> = None;
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

impl DataFile {
    /// Its rows.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
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
