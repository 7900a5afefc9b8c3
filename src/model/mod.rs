//! The fitted model: coefficients on the original scale of the columns, and how they came about.

mod coefficients;
mod faults;
pub mod file;
pub mod inference;
mod path;
mod version1;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

pub use coefficients::{Coefficient, INTERCEPT};
pub use path::{CrossValidation, CvCurve, FoldInfo, PathInfo};

use crate::data::{Class, Level, Nulls, WeightKind, level_name};
use crate::model::inference::{Inference, InferenceInfo, Likelihood};
use crate::objective::Passes;
use crate::penalty::PenaltyScale;
use crate::solve::Status;

/// The name of the file format.
pub const FORMAT: &str = "gpu-logreg/model";
/// The version of the file format.
pub const VERSION: u32 = 1;

/// A fitted model, as it is written and as `--json` prints it. Numbers that are not finite become `null`, and are NaN
/// when they are read back: what was read is written again as the same bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    /// [`FORMAT`].
    pub format: Cow<'static, str>,
    /// [`VERSION`].
    pub version: u32,
    /// The label.
    pub label: LabelInfo,
    /// The intercept of each margin on the original scale, 0 if the model has none. The only margin of two classes is that
    /// of the positive class. A softmax has one for each class, in the order of the label.
    #[serde(flatten, with = "version1::intercepts")]
    pub intercepts: Vec<f64>,
    /// What is done about missing values.
    #[serde(default, skip_serializing_if = "is_error")]
    pub nulls: Nulls,
    /// The column that adds to the log odds with a coefficient of 1; of several classes that of each one's margin, if it has
    /// one, in the order of the label. Nothing without offsets.
    #[serde(flatten, with = "version1::offsets")]
    pub offsets: Vec<Option<String>>,
    /// What is inferred of each, with `--inference`: nothing of what was not estimated, as for the reference.
    #[serde(flatten, with = "version1::intercepts_inference")]
    pub intercepts_inference: Vec<Option<Inference>>,
    /// The features: columns in the order in which they were asked for, then levels, category by category.
    pub features: Vec<FeatureInfo>,
    /// The categories, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryInfo>,
    /// Priors, means and covariance of the Gaussian classes, if the coefficients are those of their posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generative: Option<GenerativeInfo>,
    /// Models at other strengths of the penalty, of a run with a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathInfo>,
    /// How the model came about.
    pub training: Training,
    /// Covariance of the estimates on the original scale, with `--inference`; a file of its own.
    #[serde(skip)]
    pub covariance: Option<Covariance>,
}

/// Covariance of the estimates on the original scale, the intercept first if there is one.
#[derive(Clone, Debug, Serialize)]
pub struct Covariance {
    /// `(intercept)` and the names of the columns that were fitted.
    pub coefficients: Vec<String>,
    /// What it is the covariance of, as in [`InferenceInfo::kind`].
    pub kind: &'static str,
    /// `[coefficients x coefficients]`, row by row.
    pub covariance: Vec<Vec<f64>>,
}

/// The label of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelInfo {
    /// The column's name.
    pub column: String,
    /// The negative class and the positive one, or all classes of a softmax, the reference first.
    pub classes: Vec<Class>,
    /// The positive class; a softmax has none.
    #[serde(default, deserialize_with = "class", skip_serializing_if = "Option::is_none")]
    pub positive: Option<Class>,
}

impl LabelInfo {
    /// The negative class and the positive one of a model with one margin.
    ///
    /// # Panics
    /// If there are not two classes.
    pub fn two(&self) -> [&Class; 2] {
        let [negative, positive] = self.classes.as_slice() else { panic!("{} classes", self.classes.len()) };
        [negative, positive]
    }
}

/// The generative model: Gaussian classes with one covariance, on the original scale of the columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GenerativeInfo {
    /// Share of each class, in the order of the label.
    pub priors: Vec<f64>,
    /// Means of the features in each class, `[classes][features]`.
    pub means: Vec<Vec<f64>>,
    /// Covariance of the features within a class (divisor n), `[features][features]`.
    pub covariance: Vec<Vec<f64>>,
}

/// A feature of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureInfo {
    /// The column's name.
    pub name: String,
    /// `numeric`, `boolean`, `time`, or `level`: 1 in the rows whose column has it, 0 elsewhere.
    pub kind: Cow<'static, str>,
    /// The column that this is a level of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Change of each margin for one unit of the column.
    #[serde(flatten, with = "version1::coefficients")]
    pub coefficients: Vec<f64>,
    /// Mean of the column.
    #[serde(deserialize_with = "number")]
    pub mean: f64,
    /// Standard deviation of the column (divisor n).
    #[serde(deserialize_with = "number")]
    pub scale: f64,
    /// What one unit of a date or time is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'static, str>>,
    /// The column that this feature is 1 for where it is missing, and 0 elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicates: Option<String>,
    /// What stands in for a missing value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<f64>,
    /// Rows that it stood in for.
    #[serde(default, skip_serializing_if = "is_none_missing")]
    pub missing: u64,
    /// The columns before it explain it completely; it was dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub aliased: bool,
    /// What the strengths of the penalty were multiplied by, if that was not 1; infinite, `null` in the file, for one left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "factor")]
    pub penalty_factor: Option<f64>,
    /// The least and the greatest coefficient that was allowed, if there were bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[Option<f64>; 2]>,
    /// What is inferred of each coefficient, with `--inference`: nothing of what was not estimated.
    #[serde(flatten, with = "version1::inference")]
    pub inference: Vec<Option<Inference>>,
}

impl FeatureInfo {
    /// What a standard deviation of the column does to a margin.
    pub fn effect(&self, margin: usize) -> f64 {
        self.coefficients[margin] * self.scale
    }

    /// What is inferred of the coefficient in a margin.
    pub fn inferred(&self, margin: usize) -> Option<&Inference> {
        self.inference.get(margin)?.as_ref()
    }
}

/// A column that is a category.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CategoryInfo {
    /// The column's name.
    pub column: String,
    /// What its values are: `text`, `numeric`, `boolean` or `time`.
    pub kind: Cow<'static, str>,
    /// Its levels. The first is the reference, whose effect is in the intercept; the others are features, in this order.
    /// `null` stands for the rows without a value.
    pub levels: Vec<Level>,
    /// Rows of each level.
    pub rows: Vec<u64>,
}

impl CategoryInfo {
    /// The name of the feature of a level, `city=Bonn`, by the level's place.
    pub fn name_of(&self, level: usize) -> String {
        format!("{}={}", self.column, level_name(&self.levels[level]))
    }
}

/// A column that a model is applied to.
#[derive(Clone, Copy, Debug)]
pub enum ModelColumn<'m> {
    /// One that is a feature.
    Feature(&'m FeatureInfo),
    /// A category, with the features of its levels but the reference.
    Category(&'m CategoryInfo, &'m [FeatureInfo]),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_error(nulls: &Nulls) -> bool {
    *nulls == Nulls::Error
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none_missing(rows: &u64) -> bool {
    *rows == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_count(kind: &WeightKind) -> bool {
    *kind == WeightKind::Count
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A number, or `null`, which stands for one that is not finite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A factor that is there; `null` is an infinite one.
fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY)))
}

/// As [`number`], of a field that a softmax does not have.
fn of_two<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer).map(Some)
}

/// The class that is there; `null` is a number that is not finite.
fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Class>, D::Error> {
    Class::deserialize(deserializer).map(Some)
}

/// As [`number`], of several.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Vec::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// How a model came about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Training {
    /// Rows of the table.
    pub rows: usize,
    /// Rows of the positive class, of a model of two classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positives: Option<u64>,
    /// Rows of each class, of a softmax.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_rows: Vec<u64>,
    /// What makes the coefficients of a softmax unique: `reference`, where those of the first class are 0, or `centred`,
    /// where those of all classes add up to 0, as an L2 penalty has them, or `penalised`, where each costs by itself in an elastic net
    /// and what costs nothing, the intercepts among it, adds up to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identification: Option<Cow<'static, str>>,
    /// The column of row weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What they are.
    #[serde(default, skip_serializing_if = "is_count")]
    pub weight_kind: WeightKind,
    /// Factors on the weights of the classes, in the order of the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weight: Option<Vec<f64>>,
    /// Sum of the row weights, where rows have some: what stands for the number of rows in means, and of counts in standard
    /// errors too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<f64>,
    /// Columns of text with too many levels for a category, which nobody named: no coefficient allows for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Mean cross-entropy, without the penalty.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// The solver.
    pub solver: Cow<'static, str>,
    /// How it stopped.
    pub status: Status,
    /// Its iterations.
    pub iterations: u64,
    /// Its passes over the data.
    pub passes: Passes,
    /// The distance to the optimum in standard errors, `sqrt(n g'M^-1 g)`; with a penalty M includes it, so it is in
    /// units of the penalised curvature.
    pub delta: Option<f64>,
    /// Whether the Hessian in it is that of a subsample, or the bound of a softmax.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delta_is_approximate: bool,
    /// The distance that the bias of the device's functions alone can make.
    #[serde(deserialize_with = "number")]
    pub delta_floor: f64,
    /// What both together had to come down to.
    #[serde(deserialize_with = "number")]
    pub tolerance: f64,
    /// Whether a maximum of the likelihood exists: `proved`, or `not proved` where nothing that could be looked at speaks
    /// against it. Absent where a penalty makes sure of it, where the coefficients have a closed form, and where there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existence: Option<Cow<'static, str>>,
    /// What separates the classes, of a run that ended as `separated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separation: Option<SeparationInfo>,
    /// The largest component of the gradient, penalty included, on exactly standardised columns.
    #[serde(deserialize_with = "number")]
    pub gradient_norm: f64,
    /// What it had to come down to, if that was asked for instead.
    pub gradient_tolerance: Option<f64>,
    /// What the standard errors are, with `--inference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference: Option<InferenceInfo>,
    /// What a pass in double precision over the file found, with `--verify` or `--refine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// The likelihood, with `--inference`.
    #[serde(flatten)]
    pub likelihood: Option<Likelihood>,
    /// How good the probabilities are on rows that the training did not see, with `--split` or `--valid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Where the passes ran.
    pub device: String,
    /// Strength of the L1 penalty on the mean loss.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub l1: f64,
    /// Strength of the L2 penalty on the mean loss.
    #[serde(deserialize_with = "number")]
    pub l2: f64,
    /// With an L1 penalty, what is left to gain at most, a share of the null deviance: to second order, by the last gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<f64>,
    /// What it had to come down to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_tolerance: Option<f64>,
    /// The features on the edge, if there are any: what is left to gain, or an error of the sums, may turn over whether they are
    /// selected. Of several classes `class: feature`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_edge: Vec<String>,
    /// On which scale the weights are penalised.
    pub penalty_scale: PenaltyScale,
    /// Whether an intercept was fitted.
    pub fit_intercept: bool,
    /// Where the time went.
    pub seconds: Seconds,
    /// The files that were read.
    pub files: Vec<FileInfo>,
    /// The program's version.
    pub program: Cow<'static, str>,
    /// The command line.
    pub command: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// What the user should worry about.
    pub warnings: Vec<String>,
}

impl Training {
    /// Whether there was a penalty.
    pub fn is_penalised(&self) -> bool {
        self.l1 > 0.0 || self.l2 > 0.0
    }
}

/// What separates the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeparationInfo {
    /// Each separates by itself: first single columns and levels, all of them, then columns that do together.
    pub causes: Vec<Cause>,
}

/// Columns that tell some rows apart, none of which can be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Names of the columns or levels.
    pub columns: Vec<String>,
    /// The class of these rows, if they have only one.
    #[serde(default, deserialize_with = "class", skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The class that these rows do not have, of several classes and of levels.
    #[serde(default, deserialize_with = "class", skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Class>,
    /// How many rows are told apart: of the columns together, those that no cause before them tells apart.
    pub rows: u64,
    /// How many rows are left where they are.
    pub on_edge: u64,
}

/// How good the probabilities are on rows that the training did not see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Validation {
    /// Which rows: `split 0.2`, or the files.
    pub rows_from: String,
    /// How many.
    pub rows: u64,
    /// How many more have a missing value and no prediction.
    #[serde(default, skip_serializing_if = "is_none_missing")]
    pub left_out: u64,
    /// Share of the positives, of two classes.
    #[serde(default, deserialize_with = "of_two", skip_serializing_if = "Option::is_none")]
    pub prevalence: Option<f64>,
    /// Mean cross-entropy.
    #[serde(deserialize_with = "number")]
    pub log_loss: f64,
    /// `1 - log_loss` over that of the prevalence.
    pub skill: Option<f64>,
    /// Mean squared error of the probabilities; of a softmax summed over the classes, so from 0 to 2.
    #[serde(deserialize_with = "number")]
    pub brier: f64,
    /// Share of the rows on the right side of one half, or whose class is the likeliest.
    #[serde(deserialize_with = "number")]
    pub accuracy: f64,
    /// Area under the ROC curve; `None` if all rows are of one class. Of a softmax the mean over the classes, each against
    /// the rest; `None` if one has no rows.
    pub auc: Option<f64>,
    /// Average precision, likewise.
    pub average_precision: Option<f64>,
}

/// The model as the file itself sees it, in double precision.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Verified {
    /// Mean cross-entropy, without the penalty.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// The largest component of the gradient, penalty included, on exactly standardised columns.
    #[serde(deserialize_with = "number")]
    pub gradient_norm: f64,
    /// The distance to the optimum in standard errors.
    #[serde(deserialize_with = "number")]
    pub delta: f64,
    /// Passes over the file.
    pub passes: u64,
    /// Whether the coefficients were refined with those passes.
    pub refined: bool,
}

/// Where the time of a run went, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Reading the file: decoding and scaling, and handing the columns to the device while at it.
    #[serde(deserialize_with = "number")]
    pub read: f64,
    /// Waiting for the last columns to arrive on the device.
    #[serde(deserialize_with = "number")]
    pub upload: f64,
    /// The solver.
    #[serde(deserialize_with = "number")]
    pub solve: f64,
    /// Passes in double precision over the file.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "number")]
    pub verify: f64,
    /// All of it.
    #[serde(deserialize_with = "number")]
    pub total: f64,
}

/// A file that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileInfo {
    /// The path as it was given.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last changed, in seconds since 1970, if the system says.
    pub modified: Option<u64>,
    /// Whether its pages have checksums, as far as the first one shows: damage to pages without them may go unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_checksums: Option<bool>,
}

impl Model {
    /// The number of classes of a softmax; `None` of a model of two classes with one margin.
    pub fn softmax(&self) -> Option<usize> {
        self.label.positive.is_none().then_some(self.label.classes.len())
    }

    /// Whether the coefficients of the first of several classes are 0, and those of the others are told against it.
    pub fn has_reference(&self) -> bool {
        self.softmax().is_some() && matches!(self.training.identification.as_deref(), None | Some("reference"))
    }

    /// What is inferred of the intercept of a margin.
    pub fn inferred_intercept(&self, margin: usize) -> Option<&Inference> {
        self.intercepts_inference.get(margin)?.as_ref()
    }

    /// Whether all coefficients are finite, so that every row has a probability.
    pub fn is_finite(&self) -> bool {
        let of_features = self.features.iter().flat_map(|feature| &feature.coefficients);
        self.intercepts.iter().chain(of_features).all(|coefficient| coefficient.is_finite())
    }

    /// The kind that a column had when the model was trained, as [`CategoryInfo::kind`] has it: that of a feature, a
    /// category, the label or the offset.
    pub fn kind_of(&self, column: &str) -> Option<&str> {
        if let Some(category) = self.categories.iter().find(|category| category.column == column) {
            return Some(&category.kind);
        }
        let is_column = |feature: &&FeatureInfo| feature.category.is_none() && feature.name == column;
        if let Some(feature) = self.features.iter().find(is_column) {
            return Some(&feature.kind);
        }
        if self.offsets.iter().flatten().any(|offset| offset == column) {
            return Some("numeric");
        }
        let of_class = |class: &Class| match class {
            Class::Boolean(_) => "boolean",
            Class::Number(_) => "numeric",
            Class::Text(_) => "text",
        };
        self.label.classes.first().filter(|_| self.label.column == column).map(of_class)
    }

    /// The columns of the model, in the order of its features.
    pub fn columns(&self) -> impl Iterator<Item = ModelColumn<'_>> {
        let first = self.features.iter().position(|feature| feature.category.is_some()).unwrap_or(self.features.len());
        let (features, mut levels) = self.features.split_at(first);
        let categories = self.categories.iter().map(move |category| {
            let (of_category, rest) = levels.split_at(category.levels.len() - 1);
            levels = rest;
            ModelColumn::Category(category, of_category)
        });
        features.iter().map(ModelColumn::Feature).chain(categories)
    }

    /// Shows the settings that notes and warnings carry.
    pub fn show_settings(&mut self, show: impl Fn(&str) -> String) {
        for text in self.training.notes.iter_mut().chain(&mut self.training.warnings) {
            *text = show(text);
        }
    }

    /// The model as JSON, with a line break at the end.
    ///
    /// # Panics
    /// Never: every part of a model has a JSON form.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every part of a model has a JSON form");
        text.push('\n');
        text
    }
}
