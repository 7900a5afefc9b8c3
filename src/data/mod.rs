//! Tables in: where rows come from, which columns, scaling. Only this folder knows arrow and parquet.
//!
//! Rows come from a [`Source`]: Parquet files, or record batches in memory ([`Table::from_batches`]). A [`Table`] is all of its
//! rows or some of them, and knows columns, partitions and rows, no files.
//!
//! A source is read in jobs of one column of one partition each, or of several with few rows. A job hands its values to a
//! [`Store`], narrowed and scaled; no table ever exists on the host as a whole unless the store keeps it.
//! What must see the rows' own f64 values goes through them with [`fold_rows`], a block of whole rows at a time.

mod apply;
mod categories;
mod class;
mod coder;
mod decode;
mod design;
mod encode;
mod encoded;
mod field;
mod folds;
mod frames;
mod label;
mod levels;
mod load;
mod memory;
mod missing_counts;
mod names;
mod numbers;
mod offsets;
mod open;
mod outcomes;
mod parquet;
mod parts;
mod plan;
mod predicate;
mod predictions;
mod rows;
mod sample_weights;
mod scale;
mod scan;
mod select;
mod source;
pub mod synth;
mod table;
mod weightless;

/// The version of arrow that record batches are of.
pub use arrow;
pub use arrow::record_batch::RecordBatch;

pub use self::parquet::{head, inspect, is_json_lines, is_model, neither};
pub use apply::{MANY_RANGES, Results, fold_pieces};
pub use class::{Class, Level, level_name};
pub use design::{Category, Design};
pub use encode::{Encoder, Kept, Labels, Piece, RowLabel, UNSEEN_LEVEL, Unseen, Wanted};
pub use encoded::{Encoded, EncodedCategory, Feature, Totals};
pub use field::{Field, Kind};
pub use folds::{Cells, DEFAULT_FOLDS, Dealing, Fold, FoldSpec, Folds, InCells, MOST_FOLDS};
pub use label::{Label, MOST_CLASSES};
pub use levels::MOST_LEVELS;
pub use load::{decode_only, load};
pub use names::{FeatureName, matching_features};
pub use outcomes::{Ends, Outcomes, outcomes};
pub use parts::check_parts;
pub use plan::{ClassWeight, DEFAULT_MAX_LEVELS, Nulls, Plan, Spec, WeightKind};
pub use predicate::{Predicate, name_in_text};
pub use predictions::{Form, Predicted, Prediction, PredictionBatches, Predictions};
pub use rows::{Block, fold_rows, fold_rows_into};
pub use select::{Rows, Selected, hash};
pub use source::{Cost, Partition, ReadRequest, Source, SourceColumn, SourceFile, Take};
pub use table::Table;

use crate::error::Result;

/// Where the values of a column go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The stored column of a feature, or of the codes of a category, by its index in the [`Design`].
    Feature(usize),
    /// The label: 0 or 1, or with several classes the code of its class.
    Label,
    /// The row weight `w_k`, at least 0: a row of weight 2 counts as if it were there twice.
    Weight,
    /// The offset `o_km`, a part of the margin with this index that is not fitted.
    Offset(usize),
}

/// How large a table is, and which columns it has beside the features and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows, n.
    pub rows: usize,
    /// Stored columns of features, one for all levels of a category.
    pub columns: usize,
    /// Features, d.
    pub features: usize,
    /// Whether rows have weights.
    pub weights: bool,
    /// Whether rows have offsets, one for each margin.
    pub offsets: bool,
    /// `None`: labels are 0 or 1, and the model is the logistic one. `Some(K)`: labels are codes 0 to K - 1, and the model
    /// is a softmax in which class 0 is the reference, whose margin is 0. K is at least 2.
    pub classes: Option<usize>,
}

impl Shape {
    /// `rows` x `features`, a column each, without weights and offsets.
    pub const fn plain(rows: usize, features: usize) -> Self {
        Self { rows, columns: features, features, weights: false, offsets: false, classes: None }
    }

    /// Margins of a row, each with weights and an intercept of its own: one for every class but the reference.
    pub const fn margins(&self) -> usize {
        match self.classes {
            None => 1,
            Some(classes) => classes - 1,
        }
    }

    /// Classes, K.
    pub const fn class_count(&self) -> usize {
        self.margins() + 1
    }

    /// Parameters: for each margin, one after the other, the weights `[features]` and the intercept.
    pub const fn parameters(&self) -> usize {
        self.margins() * (self.features + 1)
    }

    /// Whether features are made of other columns than those of their own number. A level beside a reference is the code
    /// itself.
    pub const fn has_levels(&self) -> bool {
        self.features > self.columns
    }

    /// Whether a table has this column.
    pub const fn has(&self, column: Column) -> bool {
        match column {
            Column::Feature(index) => index < self.columns,
            Column::Label => true,
            Column::Weight => self.weights,
            Column::Offset(margin) => self.offsets && margin < self.margins(),
        }
    }

    /// Columns beside the features: label, weights, offsets.
    pub const fn columns_beside(&self) -> usize {
        1 + self.weights as usize + self.offset_columns()
    }

    /// Columns of offsets: one for each margin, or none.
    pub const fn offset_columns(&self) -> usize {
        if self.offsets { self.margins() } else { 0 }
    }
}

/// Takes the columns of a table, piece by piece, from several threads, in no particular order. A piece
/// may be written again (a column whose scale had to be corrected) after [`Store::settle`]; the last one counts.
pub trait Store: Sync {
    /// Writes `values` to the rows of `column` from `first_row` on.
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()>;

    /// What was written so far comes before what is written from here on.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
}
