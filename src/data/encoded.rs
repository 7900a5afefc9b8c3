//! What is known of a table once it was read.

use super::class::Level;
use super::field::Kind;
use super::label::Label;
use crate::standardize::ColumnScale;

/// What the rows weigh together.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Sum of the weights of each class, in the order of the label; their rows without weights.
    pub classes: Vec<f64>,
    /// The same by the column of weights alone, without the factors of the classes.
    pub by_column: Vec<f64>,
    /// Whether all weights of the column are whole numbers.
    pub are_whole: bool,
}

/// A category as it was read.
#[derive(Clone, Debug)]
pub struct EncodedCategory {
    /// The column's name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// Its levels, the reference first.
    pub levels: Vec<Level>,
    /// Rows of each level.
    pub rows: Vec<u64>,
}

/// A feature as it was read.
#[derive(Clone, Debug)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What one unit of a date or time is.
    pub unit: Option<&'static str>,
    /// 1 where this column is missing, 0 elsewhere.
    pub indicates: Option<String>,
    /// The level that this feature is 1 for, by its category and its code there.
    pub level: Option<(usize, usize)>,
    /// What stands in for a missing value: the mean of the others.
    pub fill: Option<f64>,
    /// Rows that it stands in for.
    pub missing: u64,
    /// Where it lies, exactly and in the store.
    pub scale: ColumnScale,
    /// Whether its values, as far as a sample of them shows, are not rounded in the store.
    pub is_exact: bool,
}

/// What was read, beside the values that went to the store.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The label.
    pub label: Label,
    /// The features, in the order of the [`Design`](super::Design).
    pub features: Vec<Feature>,
    /// The categories, in the same order.
    pub categories: Vec<EncodedCategory>,
    /// What the rows weigh.
    pub totals: Totals,
    /// The column of row weights.
    pub weight: Option<String>,
    /// The column of offsets.
    pub offsets: Vec<Option<String>>,
    /// About the mean of each.
    pub offset_means: Vec<f64>,
    /// Factors on the weights of the classes, in the order of the label.
    pub class_weight: Option<Vec<f64>>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// What the user should worry about.
    pub warnings: Vec<String>,
    /// Columns of text with too many levels for a category, which nobody named.
    pub left_out: Vec<String>,
}
