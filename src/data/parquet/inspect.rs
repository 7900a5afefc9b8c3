//! What the footer of a Parquet file says of its columns. Of the pages only the head of the first is read, so a look at a
//! file of any size takes as long as one at its footer.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    DataType, Field as ArrowField, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use serde::Serialize;

use super::ParquetFiles;
use super::open::ParquetFile;
use crate::data::field::{Field, Kind, UNUSABLE};
use crate::data::table::Table;
use crate::error::{Error, Result};
use crate::panics::without_panic;

/// A Parquet file, as its footer describes it.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The path as it was given.
    pub path: String,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The number of rows.
    pub rows: usize,
    /// The program that wrote it, if it says.
    pub created_by: Option<String>,
    /// Whether its pages have checksums, as far as the first one shows; `None` if there is no page.
    pub page_checksums: Option<bool>,
    /// Names that stand for more than one column: these cannot be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names_twice: Vec<String>,
    /// How the rows are cut.
    pub row_groups: RowGroups,
    /// The columns, in the order of the file.
    pub columns: Vec<ColumnInfo>,
}

/// The row groups of a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RowGroups {
    /// How many there are.
    pub count: usize,
    /// Rows of the smallest and of the largest.
    pub rows: [u64; 2],
    /// Compressed bytes of the smallest and of the largest.
    pub bytes: [u64; 2],
}

/// A column of a file. What several row groups, or the parts of a nested column, have in different ways is listed.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a column can be")]
pub struct ColumnInfo {
    /// The column's name.
    pub name: String,
    /// The type as arrow has it.
    pub data_type: String,
    /// The types that the values are stored as.
    pub physical_types: Vec<String>,
    /// Whether the data type is what every reader makes of the physical one.
    #[serde(skip)]
    pub is_plain: bool,
    /// The codecs.
    pub codecs: Vec<String>,
    /// The encodings, of levels too.
    pub encodings: Vec<String>,
    /// Compressed bytes of all pages.
    pub compressed_bytes: u64,
    /// Uncompressed bytes of all pages.
    pub uncompressed_bytes: u64,
    /// Rows without a value; `None` if a row group does not say, and for nested columns.
    pub nulls: Option<u64>,
    /// Rows with a NaN, where that is said.
    pub nans: Option<u64>,
    /// The smallest value, or for long texts one that is not larger; `None` if a row group does not say.
    pub min: Option<Bound>,
    /// The largest value, or for long texts one that is not smaller; `None` if a row group does not say.
    pub max: Option<Bound>,
    /// Whether the column can be a feature.
    pub feature: bool,
    /// Whether it is one feature for each level but one.
    pub category: bool,
    /// Whether the column can be a label, if it has two values.
    pub label: bool,
    /// What has to be done before the column can be a feature, or why it never can.
    pub obstacle: Option<String>,
}

/// A value of a column, as JSON has it: what is neither a number nor a truth value is a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Bound {
    /// A truth value.
    Boolean(bool),
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A finite number of 16 or 32 bits.
    Single(f32),
    /// A finite number of 64 bits.
    Double(f64),
    /// A number that JSON does not have, or cannot hold all digits of; a date or a time.
    Written(String),
    /// A text, or bytes in hexadecimal digits.
    Text(String),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The shortest digits that give the number back, with an exponent where that is shorter.
        let short = |digits: String| digits.strip_suffix(".0").map(str::to_owned).unwrap_or(digits);
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Single(value) => f.write_str(&short(format!("{value:?}"))),
            Self::Double(value) => f.write_str(&short(format!("{value:?}"))),
            Self::Written(value) | Self::Text(value) => f.write_str(value),
        }
    }
}

/// What the footer of a Parquet file says.
///
/// # Errors
/// Of kind `Data` if the file cannot be read, or if its footer is damaged.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let files = Arc::new(ParquetFiles::open(&[path.to_owned()])?);
    let looked = Footer { file: &files.files[0], table: Table::of(files.clone()) };
    without_panic(|| looked.read()).and_then(|found| found.map_err(|cause| cause.to_string())).map_err(|cause| {
        Error::data(format!("the footer of {} is damaged: {cause}", path.display()), "Write or copy the file again.")
    })
}

/// A file, and the table that it is.
struct Footer<'f> {
    file: &'f ParquetFile,
    table: Table,
}

impl Footer<'_> {
    fn read(&self) -> std::result::Result<Inspection, ParquetError> {
        let file = self.file;
        let metadata = file.metadata.metadata();
        let groups = metadata.row_groups();
        let schema = metadata.file_metadata().schema_descr();
        let roots = file.metadata.schema().fields();
        let mut leaves = vec![Vec::new(); roots.len()];
        for leaf in 0..schema.num_columns() {
            leaves[schema.get_column_root_idx(leaf)].push(leaf);
        }
        let mut fields: Vec<Vec<&Field>> = vec![Vec::new(); roots.len()];
        for field in &self.table.fields {
            fields[field.root()].push(field);
        }
        let columns = roots.iter().zip(&leaves).enumerate();
        Ok(Inspection {
            path: file.about.path.display().to_string(),
            bytes: file.about.bytes,
            rows: self.table.rows,
            created_by: file.about.created_by.clone(),
            page_checksums: file.about.page_checksums,
            names_twice: self.table.names_twice().into_iter().map(str::to_owned).collect(),
            row_groups: RowGroups {
                count: groups.len(),
                rows: extremes(groups.iter().map(|group| count(group.num_rows()))),
                bytes: extremes(groups.iter().map(|group| count(group.compressed_size()))),
            },
            columns: columns
                .map(|(root, (arrow, leaves))| self.column(&fields[root], arrow, leaves))
                .collect::<std::result::Result<_, _>>()?,
        })
    }

    fn column(
        &self,
        fields: &[&Field],
        arrow: &ArrowField,
        leaves: &[usize],
    ) -> std::result::Result<ColumnInfo, ParquetError> {
        let groups = self.file.metadata.metadata().row_groups();
        let chunks = || groups.iter().flat_map(|group| leaves.iter().map(|&leaf| group.column(leaf)));
        let physical = chunks().map(|chunk| match chunk.column_type() {
            Type::FIXED_LEN_BYTE_ARRAY => format!("FIXED_LEN_BYTE_ARRAY({})", chunk.column_descr().type_length()),
            other => other.to_string(),
        });
        let physical_types = distinct(physical);
        // A nested column's values are not its rows, so its statistics say nothing about them.
        let found = match leaves {
            [leaf] if !arrow.data_type().is_nested() => self.statistics(arrow, *leaf)?,
            _ => Statistics::default(),
        };
        // A struct is a feature if a leaf of it is, a list if its elements are.
        let feature = fields.iter().any(|field| field.is_feature() || field.list_of().is_some());
        let label = fields.iter().any(|field| field.is_whole() && !matches!(field.kind, Kind::Time | Kind::Unusable));
        let missing: Vec<String> = [(found.nulls, "null"), (found.nans, "NaN")]
            .into_iter()
            .filter_map(|(count, what)| Some((count.filter(|&count| count > 0)?, what)))
            .map(|(count, what)| format!("{count} {what}{}", if count == 1 || what == "NaN" { "" } else { "s" }))
            .collect();
        let obstacle = match (feature, missing.is_empty()) {
            (false, _) if arrow.data_type().is_null() => Some("it holds nothing but nulls".into()),
            (false, _) => Some(UNUSABLE.into()),
            (true, false) => Some(format!("say ⟦nulls⟧ for its {}", missing.join(" and "))),
            (true, true) => None,
        };
        Ok(ColumnInfo {
            name: arrow.name().clone(),
            data_type: arrow.data_type().to_string(),
            is_plain: physical_types.iter().all(|physical| is_plain(arrow.data_type(), physical)),
            physical_types,
            codecs: distinct(chunks().map(|chunk| format!("{:?}", chunk.compression_codec()))),
            encodings: distinct(chunks().flat_map(ColumnChunkMetaData::encodings).map(|encoding| encoding.to_string())),
            compressed_bytes: chunks().map(|chunk| count(chunk.compressed_size())).sum(),
            uncompressed_bytes: chunks().map(|chunk| count(chunk.uncompressed_size())).sum(),
            nulls: found.nulls,
            nans: found.nans,
            min: found.min,
            max: found.max,
            feature,
            category: fields.iter().all(|field| field.kind == Kind::Text),
            label,
            obstacle,
        })
    }

    /// The statistics of a leaf that is a column, over all row groups.
    fn statistics(&self, arrow: &ArrowField, leaf: usize) -> std::result::Result<Statistics, ParquetError> {
        let metadata = self.file.metadata.metadata();
        let groups = metadata.row_groups();
        let data_type = match arrow.data_type() {
            // Without a table of time zones only this name of it is known.
            DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
            other => other.clone(),
        };
        let field = ArrowField::new(arrow.name(), data_type, true);
        let file = metadata.file_metadata();
        let converter = StatisticsConverter::from_column_index(leaf, &field, file.schema_descr())?
            .with_missing_null_counts_as_zero(false)
            .with_column_orders(file.column_orders().map(Vec::as_slice));
        let nulls = converter.row_group_null_counts(groups)?;
        let nans = converter.row_group_nan_counts(groups)?;
        // Values of a row group that are neither null nor NaN: those that the bounds are about.
        let values = |index: usize| {
            let missing = [&nulls, &nans].map(|counts| if counts.is_valid(index) { counts.value(index) } else { 0 });
            count(groups[index].column(leaf).num_values()).saturating_sub(missing[0] + missing[1])
        };
        let bounds = |array: &ArrayRef, wanted| {
            let silent = |index: usize| {
                let chunk = groups[index].column(leaf);
                is_unordered(&field, chunk) || array.is_null(index) || is_nan(array, index)
            };
            extreme(array, wanted, silent, |index| values(index) == 0)
        };
        Ok(Statistics {
            nulls: (nulls.null_count() == 0).then(|| nulls.values().iter().sum()),
            // A row group of nulls alone has no count of its NaN.
            nans: (0..groups.len())
                .map(|index| {
                    let counted = nans.is_valid(index).then(|| nans.value(index));
                    counted.or_else(|| (nans.null_count() < groups.len() && values(index) == 0).then_some(0))
                })
                .sum(),
            min: bounds(&converter.row_group_mins(groups)?, Ordering::Less),
            max: bounds(&converter.row_group_maxes(groups)?, Ordering::Greater),
        })
    }
}

/// What the statistics of all row groups come to.
#[derive(Default)]
struct Statistics {
    nulls: Option<u64>,
    nans: Option<u64>,
    min: Option<Bound>,
    max: Option<Bound>,
}

/// The value of `array` that is `wanted` against all others. `None` if there is none, or if an index is `silent` that is
/// not `empty`: its values could be any.
fn extreme(
    array: &ArrayRef,
    wanted: Ordering,
    silent: impl Fn(usize) -> bool,
    empty: impl Fn(usize) -> bool,
) -> Option<Bound> {
    let compare = make_comparator(array, array, SortOptions::default()).ok()?;
    let mut best = None;
    for index in 0..array.len() {
        match (silent(index), best) {
            (true, _) if empty(index) => {}
            (true, _) => return None,
            (false, Some(other)) if compare(index, other) != wanted => {}
            (false, _) => best = Some(index),
        }
    }
    bound(array, best?)
}

/// Whether the bounds of a chunk were found in an order that is not the column's: old writers compared bytes and
/// unsigned numbers as signed ones.
fn is_unordered(field: &ArrowField, chunk: &ColumnChunkMetaData) -> bool {
    let has_signed_order = matches!(chunk.column_type(), Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE)
        && !field.data_type().is_unsigned_integer();
    chunk.statistics().is_some_and(parquet::file::statistics::Statistics::is_min_max_deprecated) && !has_signed_order
}

fn is_nan(array: &ArrayRef, index: usize) -> bool {
    match array.data_type() {
        DataType::Float16 => array.as_primitive::<Float16Type>().value(index).is_nan(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(index).is_nan(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(index).is_nan(),
        _ => false,
    }
}

fn bound(array: &ArrayRef, index: usize) -> Option<Bound> {
    // -0.0 + 0.0 is 0.0: writers put a sign to a zero, as a bound for both of them.
    let single = |value: f32| match value + 0.0 {
        value if value.is_finite() => Bound::Single(value),
        value => Bound::Written(value.to_string()),
    };
    Some(match array.data_type() {
        DataType::Boolean => Bound::Boolean(array.as_boolean().value(index)),
        DataType::Int8 => Bound::Signed(array.as_primitive::<Int8Type>().value(index).into()),
        DataType::Int16 => Bound::Signed(array.as_primitive::<Int16Type>().value(index).into()),
        DataType::Int32 => Bound::Signed(array.as_primitive::<Int32Type>().value(index).into()),
        DataType::Int64 => Bound::Signed(array.as_primitive::<Int64Type>().value(index)),
        DataType::UInt8 => Bound::Unsigned(array.as_primitive::<UInt8Type>().value(index).into()),
        DataType::UInt16 => Bound::Unsigned(array.as_primitive::<UInt16Type>().value(index).into()),
        DataType::UInt32 => Bound::Unsigned(array.as_primitive::<UInt32Type>().value(index).into()),
        DataType::UInt64 => Bound::Unsigned(array.as_primitive::<UInt64Type>().value(index)),
        DataType::Float16 => single(array.as_primitive::<Float16Type>().value(index).into()),
        DataType::Float32 => single(array.as_primitive::<Float32Type>().value(index)),
        DataType::Float64 => match array.as_primitive::<Float64Type>().value(index) + 0.0 {
            value if value.is_finite() => Bound::Double(value),
            value => Bound::Written(value.to_string()),
        },
        // It has no values, and its nulls are not marked.
        DataType::Null => return None,
        other => {
            let text = array_value_to_string(array, index).ok()?;
            let is_text = other.is_string() || other.is_binary();
            if is_text { Bound::Text(text) } else { Bound::Written(text) }
        }
    })
}

/// Whether the name of the arrow type says the physical one too.
fn is_plain(data_type: &DataType, physical: &str) -> bool {
    matches!(
        (data_type, physical),
        (DataType::Boolean, "BOOLEAN")
            | (DataType::Int32, "INT32")
            | (DataType::Int64, "INT64")
            | (DataType::Float32, "FLOAT")
            | (DataType::Float64, "DOUBLE")
            | (DataType::Utf8 | DataType::Binary, "BYTE_ARRAY")
    )
}

/// What a damaged footer may say to be negative.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The smallest and the largest; zeros if there are none.
fn extremes(values: impl Iterator<Item = u64> + Clone) -> [u64; 2] {
    [values.clone().min().unwrap_or(0), values.max().unwrap_or(0)]
}

/// What occurs, once each, as it first occurs.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn a_row_group_that_says_nothing_makes_the_bounds_unknown() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![4, 9, -3, 2]));
        let bound = |silent: Option<usize>, empty| {
            extreme(&array, Ordering::Greater, |index| Some(index) == silent, |_| empty).map(|bound| bound.to_string())
        };
        assert_eq!(bound(None, false).as_deref(), Some("9"));
        assert_eq!(bound(Some(1), false), None);
        assert_eq!(bound(Some(1), true).as_deref(), Some("4"));
    }

    #[test]
    fn numbers_are_short_and_whole() {
        let texts = [Bound::Single(0.1), Bound::Double(-2.0), Bound::Double(1e300), Bound::Unsigned(u64::MAX)];
        assert_eq!(texts.map(|bound| bound.to_string()), ["0.1", "-2", "1e300", "18446744073709551615"]);
    }
}
