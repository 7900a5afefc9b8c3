//! A table: the rows of a source, or some of them, and its columns.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;

use super::field::{Field, Kind, leaves};
use super::source::{Source, SourceFile};
use crate::error::{Error, Result};
use crate::wording::{entry, listed, plain};

/// A partition of the source that has rows in a table.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The partition, by its place in the source.
    pub(super) partition: usize,
    /// Position in the table of its first row.
    pub(super) first_row: usize,
    /// Rows that belong to the table.
    pub(super) rows: usize,
    /// Rows of the partition.
    pub(super) all_rows: usize,
    /// Position of its first row among all rows of the source.
    pub(super) first_of_all: usize,
    /// Which rows of the partition belong to the table; `None` for all.
    pub(super) keep: Option<BooleanBuffer>,
}

/// Rows of a source, all or some of them. A clone shares the source.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) source: Arc<dyn Source>,
    /// The columns, in the order of the source; keys of folders last.
    pub fields: Vec<Field>,
    /// The number of rows, n.
    pub rows: usize,
    /// Partitions with rows in the table, in their order.
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
    /// All rows of a source, without a look at them: how long lists are is not known then.
    pub(super) fn of(source: Arc<dyn Source>) -> Self {
        let fields: Vec<Field> =
            source.columns().iter().enumerate().flat_map(|(root, column)| leaves(root, column)).collect();
        let mut groups = Vec::with_capacity(source.partitions().len());
        let mut rows = 0;
        for (partition, about) in source.partitions().iter().enumerate() {
            let (first_row, all_rows) = (rows, about.rows);
            groups.push(Group { partition, first_row, rows: all_rows, all_rows, first_of_all: first_row, keep: None });
            rows += all_rows;
        }
        groups.retain(|group| group.rows > 0);
        let names = by_name(&fields);
        Self { source, fields, rows, groups, names }
    }

    /// The same rows with other columns.
    pub(super) fn with_fields(self, fields: Vec<Field>) -> Self {
        Self { names: by_name(&fields), fields, ..self }
    }

    /// The table with the keys of its folders as `kind_of` knows them by their names: the values of a few folders may look
    /// like numbers where those of all are texts.
    pub fn with_keys_as<'k>(mut self, kind_of: impl Fn(&str) -> Option<&'k str>) -> Result<Self> {
        let are_numbers = |name: &str| match kind_of(name)? {
            text if text == Kind::Text.name() => Some(false),
            number if number == Kind::Numeric.name() => Some(true),
            _ => None,
        };
        let Some(source) = self.source.with_keys_as(&are_numbers)? else { return Ok(self) };
        for field in self.fields.iter_mut().filter(|field| field.is_key) {
            let column = &source.columns()[field.root()];
            let origin = field.origin.clone();
            *field = Field { is_key: true, ..Field::new(column.name.clone(), &column.data_type, origin) };
        }
        self.source = source;
        Ok(self)
    }

    /// The files that the rows come from, in their order; none if they come from elsewhere.
    pub fn files(&self) -> Vec<&SourceFile> {
        self.source.files()
    }

    /// An error if there is no row.
    pub fn check_has_rows(&self) -> Result<()> {
        if self.rows > 0 {
            return Ok(());
        }
        let way_out = if self.files().is_empty() { "Give it some." } else { "Name a file with data." };
        Err(Error::data(format!("{} has no rows", self.name()), way_out))
    }

    /// What messages call it: the file, or the first of them and how many there are.
    pub fn name(&self) -> String {
        self.source.name()
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
        let Field { name, is_key, .. } = &self.fields[column];
        let name = plain(name);
        if *is_key {
            return Error::data(
                format!("`{name}` is a column of the files and a key of their folders: which of them is meant?"),
                "Rename one of them, or name the files one by one: their folders say nothing then.",
            );
        }
        Error::data(
            format!("{} has two columns called `{name}`: which of them is meant?", self.name()),
            "Rename one of them upstream, or name other columns with ⟦features⟧.",
        )
    }

    /// Names that stand for more than one column, in their order.
    pub fn names_twice(&self) -> Vec<&str> {
        let twice = self.names.iter().filter(|(_, columns)| columns.len() > 1);
        let mut names: Vec<&str> = twice.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// An error if rows may have changed since the table was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()
    }

    /// What to do where rows are others than they were when they were read first.
    pub(super) fn changed_way_out(&self) -> &'static str {
        if self.files().is_empty() {
            "The rows were changed in between; leave them as they are, and run again."
        } else {
            "The file was changed in between; wait until it is written, then run again."
        }
    }

    /// The names of all columns, for messages.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.fields.iter().map(|field| entry(&field.name)).collect();
        listed(&names)
    }

    /// Positions of rows in the table as the user finds them in the source, for messages: rows from 0, with the file
    /// where there are several: `a:3`, or `a: 3, 5; b: 1`.
    pub fn row_names(&self, rows: &[usize]) -> String {
        let place = |&row: &usize| {
            let group = &self.groups[self.groups.partition_point(|group| group.first_row <= row).max(1) - 1];
            let within = row - group.first_row;
            self.source.place(group.partition, group.row_of_all(within).unwrap_or(0))
        };
        if let [row] = rows {
            return shown(place(row));
        }
        let places: Vec<(Option<String>, usize)> = rows.iter().map(place).collect();
        let of_file = |some: &[(Option<String>, usize)]| {
            let rows = some.iter().map(|(_, row)| row.to_string()).collect::<Vec<_>>().join(", ");
            some[0].0.as_ref().map_or_else(|| rows.clone(), |file| format!("{file}: {rows}"))
        };
        places.chunk_by(|a, b| a.0 == b.0).map(of_file).collect::<Vec<_>>().join("; ")
    }

    /// A row of a partition, as [`Table::row_names`] has it.
    pub(super) fn row_name(&self, group: &Group, in_partition: usize) -> String {
        shown(self.source.place(group.partition, in_partition))
    }

    /// The table of the rows that `keep` gives for each of its partitions, as bits of their rows.
    pub(super) fn restricted(&self, keep: Vec<BooleanBuffer>) -> Self {
        let mut table = self.clone();
        let mut first_row = 0;
        for (group, keep) in table.groups.iter_mut().zip(keep) {
            group.first_row = first_row;
            group.rows = keep.count_set_bits();
            group.keep = (group.rows < group.all_rows).then_some(keep);
            first_row += group.rows;
        }
        table.groups.retain(|group| group.rows > 0);
        table.rows = first_row;
        table
    }
}

/// A place of a row, as messages name it.
fn shown((file, row): (Option<String>, usize)) -> String {
    file.map_or_else(|| row.to_string(), |file| format!("{file}:{row}"))
}

impl Group {
    /// The row of the partition that is the table's row `within`, counted from the first one that the table has of it.
    pub(super) fn row_of_all(&self, within: usize) -> Option<usize> {
        self.keep.as_ref().map_or(Some(within), |keep| keep.set_indices().nth(within))
    }

    /// The rows of the partition that belong to the table and are set in `rows` `[rows]`.
    pub(super) fn keeping(&self, rows: &BooleanBuffer) -> BooleanBuffer {
        let Some(keep) = &self.keep else { return rows.clone() };
        let mut chosen = BooleanBufferBuilder::new(self.all_rows);
        chosen.append_n(self.all_rows, false);
        keep.set_indices().zip(rows).filter(|(_, set)| *set).for_each(|(row, _)| chosen.set_bit(row, true));
        chosen.build()
    }

    /// The rows of the partition between which its rows `range` of the table lie.
    pub(super) fn range_of_all(&self, range: Range<usize>) -> Range<usize> {
        let Some(keep) = &self.keep else { return range };
        let mut rows = keep.set_indices().skip(range.start).take(range.len());
        let first = rows.next().unwrap_or(0);
        first..rows.last().unwrap_or(first) + 1
    }
}
