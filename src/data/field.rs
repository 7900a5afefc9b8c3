//! What the columns of a table are: how each is found in its source, and what it can be used for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{nullif, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, UInt32Type};

use super::source::SourceColumn;
use crate::error::{Error, Result};

/// What a column can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number: a feature, or a label with two values.
    Numeric,
    /// True or false: a feature (1 and 0) or a label.
    Boolean,
    /// A date or a time, as a number of its unit: a feature if it is named.
    Time,
    /// Text: a category, or a label with two values.
    Text,
    /// A map, an interval, bytes, ...: nothing that a linear model could use as it stands.
    Unusable,
}

/// What can be done with a column that cannot be a feature.
pub(super) const UNUSABLE: &str = "turn it into numbers upstream, one column each";

impl Kind {
    /// The name in the model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::Text => "text",
            Self::Unusable => "unusable",
        }
    }
}

/// Where the values of a column lie: in a column of the source, or in what lies below it by the field indices on the way
/// through structs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// What lies there.
    Leaf { root: usize, path: Vec<usize> },
    /// Element `index` of lists that all have `length` elements.
    Element { root: usize, path: Vec<usize>, index: usize, length: usize },
}

/// A column of a table. Structs and lists of one length are several.
#[derive(Clone, Debug)]
pub struct Field {
    /// The column's name: `a.b` for a leaf of a struct, `a[3]` for an element of a list.
    pub name: String,
    /// What it can be used for.
    pub kind: Kind,
    /// The type as the source has it.
    pub data_type: String,
    /// What one unit of a date or time is: `days since 1970-01-01`, `seconds`.
    pub unit: Option<&'static str>,
    pub(super) origin: Origin,
    pub(super) arrow_type: DataType,
    /// Whether it is the index of a data frame, by what its source says.
    pub(super) is_index: bool,
    /// Whether it is a key of the folders that the rows come from.
    pub(super) is_key: bool,
    /// How files differ in this column so that it is none that they share.
    pub(super) conflict: Option<String>,
}

impl Field {
    /// A column of this type.
    pub(super) fn new(name: String, arrow_type: &DataType, origin: Origin) -> Self {
        let (kind, unit) = kind_of(arrow_type);
        let (data_type, arrow_type) = (arrow_type.to_string(), arrow_type.clone());
        Self { name, kind, data_type, unit, origin, arrow_type, is_index: false, is_key: false, conflict: None }
    }

    /// Whether the column can be a feature, or a category of several.
    pub fn is_feature(&self) -> bool {
        self.kind != Kind::Unusable
    }

    /// Whether the column is a feature although nobody names it. Dates and times usually tell when a row was written,
    /// not what it is about, and the index of a data frame where it stood.
    pub(super) fn is_default_feature(&self) -> bool {
        !self.is_index && matches!(self.kind, Kind::Numeric | Kind::Boolean | Kind::Text)
    }

    /// An error if the files do not share the column.
    pub(super) fn check_shared(&self) -> Result<()> {
        let Some(conflict) = &self.conflict else { return Ok(()) };
        Err(Error::data(
            conflict.clone(),
            "Write the files alike, or leave the column out with ⟦ignore⟧: columns that nobody uses may differ.",
        ))
    }

    /// Whether the column is one of the source, no part of one.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&self.origin, Origin::Leaf { path, .. } if path.is_empty())
    }

    /// The column of the source that holds it.
    pub(super) fn root(&self) -> usize {
        match self.origin {
            Origin::Leaf { root, .. } | Origin::Element { root, .. } => root,
        }
    }

    /// The column's values out of the column of the source that holds it. `row_name` gives a row of it as messages name it.
    pub(super) fn extract(&self, root: &ArrayRef, row_name: impl Fn(usize) -> String) -> Result<ArrayRef> {
        match &self.origin {
            Origin::Leaf { path, .. } if path.is_empty() => Ok(root.clone()),
            Origin::Leaf { path, .. } => below(root, path),
            Origin::Element { path, index, length, .. } => self.element(&below(root, path)?, *index, *length, row_name),
        }
    }

    /// Element `index` of each list; null where the list is.
    fn element(
        &self,
        lists: &ArrayRef,
        index: usize,
        length: usize,
        row_name: impl Fn(usize) -> String,
    ) -> Result<ArrayRef> {
        let lists = lists.as_list::<i32>();
        let other = (0..lists.len()).find(|&row| lists.is_valid(row) && lists.value_length(row) as usize != length);
        if let Some(row) = other {
            return Err(Error::data(
                format!(
                    "the lists of `{}` have {length} elements in the first row and {} in row {}, from 0",
                    self.name.split('[').next().unwrap_or_default(),
                    lists.value_length(row),
                    row_name(row)
                ),
                "Only lists of one length are features; leave the column out with ⟦ignore⟧, or make them equal upstream.",
            ));
        }
        // As a rule there is a list in each row, one behind the other.
        let offsets = lists.value_offsets();
        if lists.null_count() == 0 && lists.values().null_count() == 0 && !lists.is_empty() {
            let first = offsets[0] as usize + index;
            macro_rules! every {
                ($type:ty) => {{
                    let values = &lists.values().as_primitive::<$type>().values()[first..];
                    Arc::new(PrimitiveArray::<$type>::from_iter_values(
                        values.iter().step_by(length).take(lists.len()).copied(),
                    ))
                }};
            }
            match lists.values().data_type() {
                DataType::Float32 => return Ok(every!(Float32Type)),
                DataType::Float64 => return Ok(every!(Float64Type)),
                _ => {}
            }
        }
        let at = |row: usize| lists.is_valid(row).then(|| offsets[row] as u32 + index as u32);
        let indices: PrimitiveArray<UInt32Type> = (0..lists.len()).map(at).collect();
        take(lists.values(), &indices, None)
            .map_err(|cause| Error::internal(format!("elements of `{}` could not be taken: {cause}", self.name)))
    }
}

/// What lies below a struct, null where a struct on the way is.
fn below(root: &ArrayRef, path: &[usize]) -> Result<ArrayRef> {
    let mut array = root.clone();
    for &index in path {
        let parent = array.as_struct();
        let child = parent.column(index).clone();
        array = match parent.nulls() {
            None => child,
            Some(nulls) => nullif(&child, &BooleanArray::new(!nulls.inner(), None))
                .map_err(|cause| Error::internal(format!("the nulls of a struct could not be passed on: {cause}")))?,
        };
    }
    Ok(array)
}

/// The columns of a column of the source: one, or the leaves of a struct. Lists appear as they are.
pub(super) fn leaves(root: usize, column: &SourceColumn) -> Vec<Field> {
    fn walk(name: &str, data_type: &DataType, root: usize, path: &[usize], found: &mut Vec<Field>) {
        if let DataType::Struct(children) = data_type {
            for (index, child) in children.iter().enumerate() {
                let path: Vec<usize> = path.iter().copied().chain([index]).collect();
                walk(&format!("{name}.{}", child.name()), child.data_type(), root, &path, found);
            }
        } else {
            found.push(Field::new(name.to_owned(), data_type, Origin::Leaf { root, path: path.to_vec() }));
        }
    }
    let mut found = Vec::new();
    walk(&column.name, &column.data_type, root, &[], &mut found);
    for field in &mut found {
        (field.is_index, field.is_key) = (column.is_index, column.is_key);
        field.conflict.clone_from(&column.conflict);
    }
    found
}

impl Field {
    /// The type of the elements, if this is a list of numbers or booleans.
    pub(super) fn list_of(&self) -> Option<&DataType> {
        let DataType::List(element) = &self.arrow_type else { return None };
        matches!(kind_of(element.data_type()).0, Kind::Numeric | Kind::Boolean).then(|| element.data_type())
    }

    /// The elements as columns of their own, for lists of `length` elements.
    pub(super) fn elements(&self, length: usize) -> Vec<Self> {
        let (Some(element), Origin::Leaf { root, path }) = (self.list_of(), &self.origin) else { return Vec::new() };
        let column = |index| {
            let origin = Origin::Element { root: *root, path: path.clone(), index, length };
            let element = Self::new(format!("{}[{index}]", self.name), element, origin);
            Self { is_index: self.is_index, conflict: self.conflict.clone(), ..element }
        };
        (0..length).map(column).collect()
    }
}

fn kind_of(data_type: &DataType) -> (Kind, Option<&'static str>) {
    match data_type {
        DataType::Boolean => (Kind::Boolean, None),
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
        | DataType::Decimal256(..) => (Kind::Numeric, None),
        DataType::Date32 | DataType::Date64 => (Kind::Time, Some("days since 1970-01-01")),
        DataType::Timestamp(..) => (Kind::Time, Some("seconds since 1970-01-01T00:00:00")),
        DataType::Time32(_) | DataType::Time64(_) => (Kind::Time, Some("seconds since midnight")),
        DataType::Duration(_) => (Kind::Time, Some("seconds")),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (Kind::Text, None),
        _ => (Kind::Unusable, None),
    }
}

/// Whether a value is missing in each row: null, or NaN in a column of floats.
pub(super) fn missing(array: &ArrayRef, values: &[f64]) -> Option<NullBuffer> {
    let nan = matches!(array.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        && values.iter().any(|x| x.is_nan());
    if nan { Some(values.iter().map(|x| !x.is_nan()).collect::<Vec<bool>>().into()) } else { array.nulls().cloned() }
}
