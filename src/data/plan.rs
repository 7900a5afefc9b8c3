//! Which columns of a table are used, and how: a request of the user, checked against the table.

use std::collections::HashSet;

use arrow::array::ArrayRef;

use super::class::{Level, level_name};
use super::encoded::Encoded;
use super::field::{Field, Kind, UNUSABLE};
use super::folds::{FoldSpec, check_column as check_column_of_folds};
use super::label::LabelPlan;
use super::levels::{CategoryPlan, Levels, MOST_LEVELS, Search};
use super::missing_counts::MissingCounts;
use super::names::{FeatureName, matching};
use super::numbers::to_f64;
use super::offsets::{NamedOffset, by_margin, parts};
use super::table::Table;
use super::weightless::{sum_of_weights, without_weightless};
use super::{Design, Shape};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, entry, listed, plain};

/// What is done about missing values: nulls, and NaN in columns of floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nulls {
    /// They are an error.
    #[default]
    Error,
    /// A row is left out if any column that is used is missing there, the label included.
    DropRow,
    /// The mean of the column's other values stands in for them.
    Mean,
    /// As `Mean`, and a feature of its own says where.
    Indicator,
}

impl Nulls {
    /// Whether a model trained so has a value for what is missing.
    pub fn fills(self) -> bool {
        matches!(self, Self::Mean | Self::Indicator)
    }
}

/// Which columns the user asked for.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The label column.
    pub label: Option<String>,
    /// The value of the label that counts as positive.
    pub positive: Option<String>,
    /// A softmax over the values of the label, however many there are.
    pub multinomial: bool,
    /// The features, by name or pattern (`*`, `?`), none if that is empty; `None` for all numbers, booleans and texts.
    pub features: Option<Vec<String>>,
    /// Columns that are categories although they are no text, by name or pattern.
    pub categorical: Vec<String>,
    /// Columns of categories and the level that is their reference, and the label and the class that is; of the others it
    /// is the first one.
    pub references: Vec<(String, String)>,
    /// Levels that a category may have.
    pub max_levels: usize,
    /// Columns to leave out, by name or pattern.
    pub ignore: Vec<String>,
    /// What is done about missing values.
    pub nulls: Nulls,
    /// The column of row weights.
    pub weight: Option<String>,
    /// What they are, if the user said so.
    pub weight_kind: Option<WeightKind>,
    /// The column of offsets; of several classes `CLASS=COL` for each that has some.
    pub offsets: Vec<String>,
    /// What the rows of each class weigh.
    pub class_weight: ClassWeight,
    /// Folds that are held back in turn, if the user asked for some.
    pub folds: Option<FoldSpec>,
}

/// The default of [`Spec::max_levels`].
pub const DEFAULT_MAX_LEVELS: usize = 1000;

impl Default for Spec {
    fn default() -> Self {
        Self {
            label: None,
            positive: None,
            multinomial: false,
            features: None,
            categorical: Vec::new(),
            references: Vec::new(),
            max_levels: DEFAULT_MAX_LEVELS,
            ignore: Vec::new(),
            nulls: Nulls::default(),
            weight: None,
            weight_kind: None,
            offsets: Vec::new(),
            class_weight: ClassWeight::default(),
            folds: None,
        }
    }
}

/// What row weights are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightKind {
    /// A row of weight 2 counts as if it were there twice.
    #[default]
    Count,
    /// A row stands for so many of a population, but was observed once: the inverse of the probability with which it came
    /// into the sample. The unit of such weights means nothing.
    Sampling,
}

impl WeightKind {
    /// What the weights are, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Count => "counts of rows",
            Self::Sampling => "sampling weights",
        }
    }
}

/// Factors on the row weights, by class.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeight {
    /// None.
    #[default]
    Equal,
    /// `n / (K n_k)` for a class with `n_k` of the n rows (their weights, if they have some): all K classes weigh the same.
    Balanced,
    /// These, by the value of the label; 1 for the class that is not named.
    Given(Vec<(String, f64)>),
}

/// What a feature takes from its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// The value.
    Value,
    /// 1 where the value is missing, 0 elsewhere.
    Missing,
}

impl Takes {
    /// Appends what the feature takes from `array` to `values`; NaN where it is missing.
    pub(super) fn values(self, array: &ArrayRef, values: &mut Vec<f64>) -> Result<()> {
        let before = values.len();
        to_f64(array, values)?;
        if self == Self::Missing {
            values[before..].iter_mut().for_each(|x| *x = f64::from(u8::from(x.is_nan())));
        }
        Ok(())
    }
}

/// A feature of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeaturePlan {
    /// Index of its column in the table.
    pub(super) column: usize,
    pub(super) takes: Takes,
    /// What stands in for a missing value, once that is known.
    pub(super) fill: Option<f64>,
}

/// A request that was checked against a table.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) label: LabelPlan,
    /// Features that are columns.
    pub(super) features: Vec<FeaturePlan>,
    /// Columns whose levels are features, which come after the others.
    pub(super) categories: Vec<CategoryPlan>,
    pub(super) nulls: Nulls,
    pub(super) weight: Option<usize>,
    /// Rows of weight 0, which are no part of the table any more.
    pub(super) weightless: usize,
    /// Columns of offsets as they were named.
    pub(super) named_offsets: Vec<NamedOffset>,
    /// The column of each margin, if it has one; none at all without offsets.
    pub(super) offsets: Vec<Option<usize>>,
    pub(super) class_weight: ClassWeight,
    /// Factors on the weights of the classes, once they are known.
    pub(super) factors: Option<Vec<f64>>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Columns of text with too many levels for a category, which nobody named.
    pub(super) left_out: Vec<String>,
}

impl Plan {
    /// The number of features, d.
    pub fn features(&self) -> usize {
        self.features.len() + self.categories.iter().map(CategoryPlan::features).sum::<usize>()
    }

    /// The number of categories, and of their levels.
    pub fn categories(&self) -> [usize; 2] {
        [self.categories.len(), self.categories.iter().map(|category| category.levels.len()).sum()]
    }

    /// What the plan makes of a table with so many rows.
    pub fn design(&self, rows: usize) -> Design {
        let weights = self.weight.is_some() || self.class_weight != ClassWeight::Equal;
        let offsets = !self.offsets.is_empty();
        let classes = self.label.classes();
        let plain = Shape { weights, offsets, classes, ..Shape::plain(rows, self.features.len()) };
        let levels: Vec<usize> = self.categories.iter().map(CategoryPlan::features).collect();
        Design::with_categories(plain, &levels)
    }

    /// What the features are called, in the order of the [`Design`].
    pub fn feature_names(&self, table: &Table) -> Vec<FeatureName> {
        let of_column = |feature: &FeaturePlan| {
            let mut name = FeatureName::of_column(&table.fields[feature.column].name);
            if feature.takes == Takes::Missing {
                name.own = format!("{} is missing", name.column);
            }
            name
        };
        let of_category = |category: &CategoryPlan| {
            let column = table.fields[category.column].name.clone();
            let own = |level: &Level| format!("{column}={}", level_name(level));
            category.levels[1..].iter().map(|level| FeatureName { column: column.clone(), own: own(level) }).collect()
        };
        let levels = self.categories.iter().flat_map(|category| -> Vec<FeatureName> { of_category(category) });
        self.features.iter().map(of_column).chain(levels).collect()
    }

    /// The columns of the table that are read, each once.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        let values = self.features.iter().filter(|feature| feature.takes == Takes::Value);
        let categories = self.categories.iter().map(|category| category.column);
        values
            .map(|feature| feature.column)
            .chain(categories)
            .chain([self.label.column])
            .chain(self.weight)
            .chain(self.offsets.iter().copied().flatten())
    }

    /// Adds to what the user should know of the run.
    pub fn add_note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// The plan of the intercept alone.
    #[must_use]
    pub fn without_features(&self) -> Self {
        Self { features: Vec::new(), categories: Vec::new(), ..self.clone() }
    }

    /// The plan in which all classes weigh what their rows do.
    #[must_use]
    pub fn with_equal_classes(&self) -> Self {
        Self { class_weight: ClassWeight::Equal, factors: None, ..self.clone() }
    }

    /// The plan with what [`load`](super::load()) found: what stands in for missing values, and the classes' factors.
    #[must_use]
    pub fn after(&self, encoded: &Encoded) -> Self {
        let mut plan = self.clone();
        for (feature, found) in plan.features.iter_mut().zip(&encoded.features) {
            feature.fill = found.fill;
        }
        plan.factors.clone_from(&encoded.class_weight);
        plan
    }

    /// Factors on the weights of the classes, once they are known.
    pub fn factors(&self) -> Option<&[f64]> {
        self.factors.as_deref()
    }

    /// What is wrong with the label, beside the rows that were left out before it was looked at.
    pub(super) fn beside_weightless(&self, mut error: Error) -> Error {
        if self.weightless > 0 && error.kind == ErrorKind::Data {
            let left_out = counted(self.weightless as u64, "row");
            error.fact = format!("{}; {left_out} of weight 0 left out before", error.fact);
        }
        error
    }
}

impl Spec {
    /// Checks the request against the columns of `table`, and looks for the levels of categories. With
    /// [`Nulls::DropRow`] and [`Nulls::Indicator`] the missing values are looked up too, in a decode of the columns that
    /// may have any. Rows of weight 0 are left out before all that. The table without the rows that are left out comes with
    /// the plan.
    pub fn resolve(&self, table: Table, monitor: &dyn Monitor) -> Result<(Table, Plan)> {
        table.check_has_rows()?;
        let mut plan = self.check(&table, monitor)?;
        let table = match plan.weight {
            Some(column) => {
                let (table, weightless) = without_weightless(table, column, monitor)?;
                plan.weightless = weightless.rows();
                plan.notes.extend(weightless.note());
                plan.warnings.extend(weightless.warning());
                table
            }
            None => table,
        };
        let leaves_missing_out = self.nulls == Nulls::DropRow;
        let (of_label, references): (Vec<_>, Vec<_>) =
            self.references.iter().cloned().partition(|(name, _)| *name == table.fields[plan.label.column].name);
        let classes = plan.label.find_classes(&table, leaves_missing_out, &of_label, monitor);
        classes.map_err(|error| plan.beside_weightless(error))?;
        plan.offsets = by_margin(&table, &plan.named_offsets, &plan.label)?;
        self.find_levels(&table, &mut plan, &references, monitor)?;
        if !matches!(self.nulls, Nulls::DropRow | Nulls::Indicator) {
            return Ok((table, plan));
        }
        let columns: Vec<usize> = match self.nulls {
            Nulls::DropRow => plan.columns().collect(),
            _ => plan.features.iter().map(|feature| feature.column).collect(),
        };
        let missing_counts = MissingCounts::of(&table, &columns, monitor)?;
        if self.nulls == Nulls::Indicator {
            let features = std::mem::take(&mut plan.features);
            let missing = missing_counts.columns();
            for feature in features {
                plan.features.push(feature);
                if missing.contains(&feature.column) {
                    plan.features.push(FeaturePlan { takes: Takes::Missing, ..feature });
                }
            }
            return Ok((table, plan));
        }
        let before = table.rows;
        let (table, list) = missing_counts.complete_rows(&table)?;
        if table.rows < before {
            // Some levels and classes may have lost all their rows.
            plan.label.find_classes(&table, leaves_missing_out, &of_label, monitor)?;
            self.find_levels(&table, &mut plan, &references, monitor)?;
            let left_out = counted((before - table.rows) as u64, "row");
            plan.notes.push(format!("{left_out} with missing values left out: {list}"));
        }
        Ok((table, plan))
    }

    /// The rows of another table that weigh something, by its column of weights: those that a model is validated on.
    pub fn weighed(&self, table: Table, monitor: &dyn Monitor) -> Result<Table> {
        match self.weight.as_deref().map_or(Ok(None), |name| table.find_shared(name))? {
            Some(column) => Ok(without_weightless(table, column, monitor)?.0),
            None => Ok(table),
        }
    }

    /// The columns of offsets by name, whatever classes they belong to.
    pub fn offset_columns(&self, table: &Table) -> Result<Vec<&str>> {
        self.offsets.iter().map(|text| parts(table, text).map(|(_, column)| column)).collect()
    }

    /// Looks for the levels of the plan's categories, and leaves out those that cannot be used.
    fn find_levels(
        &self,
        table: &Table,
        plan: &mut Plan,
        references: &[(String, String)],
        monitor: &dyn Monitor,
    ) -> Result<()> {
        if plan.categories.is_empty() && references.is_empty() {
            return Ok(());
        }
        // Ten rows a level are ten of those that were observed, not of the population that they stand for.
        let is_count = self.weight_kind.unwrap_or_default() == WeightKind::Count;
        let by_weight = plan.weight.filter(|_| is_count && plan.categories.iter().any(|category| !category.is_named));
        let search = Search {
            most: self.max_levels.min(MOST_LEVELS),
            counted: match by_weight {
                Some(column) => sum_of_weights(table, column, monitor)?,
                None => table.rows as f64,
            },
            with_missing: self.nulls == Nulls::Indicator,
            leaves_missing_out: self.nulls == Nulls::DropRow,
            references,
        };
        let Levels { usable, crowded, notes } = search.run(table, &plan.categories, monitor)?;
        plan.categories = usable;
        plan.notes.extend(notes);
        if !crowded.is_empty() {
            let names: Vec<String> = crowded.iter().map(|(name, most)| format!("{name} (more than {most})")).collect();
            plan.warnings
                .push(format!("text with too many levels for a category, left out unless named: {}", listed(&names)));
            plan.left_out.extend(crowded.into_iter().map(|(name, _)| name));
        }
        if plan.features() > 0 || self.wants_none() {
            return Ok(());
        }
        Err(nothing_left(table, plan))
    }

    /// Whether a model of the intercept alone will do.
    fn wants_none(&self) -> bool {
        self.features.as_ref().is_some_and(Vec::is_empty)
    }

    /// Checks the request against the columns of `table`; what levels categories have is not known yet.
    fn check(&self, table: &Table, monitor: &dyn Monitor) -> Result<Plan> {
        let label = LabelPlan::new(table, self.label.as_deref(), self.positive.as_deref(), self.multinomial, monitor)?;
        let label_name = &table.fields[label.column].name;
        let mut notes = Vec::new();
        let weight = self.beside(table, &label, "⟦weight⟧", self.weight.as_deref())?;
        let mut named_offsets = Vec::new();
        for text in &self.offsets {
            let (class, name) = parts(table, text)?;
            let column = self.beside(table, &label, "⟦offset⟧", Some(name))?;
            named_offsets.extend(column.map(|column| NamedOffset::new(class, column)));
        }
        // What has another part in the model is no feature of it.
        let beside = weight.into_iter().chain(named_offsets.iter().map(|offset| offset.column));
        let mut ignored: HashSet<usize> = beside.chain(self.column_of_folds(table, &label)?).collect();
        for name in &self.ignore {
            ignored.extend(matching(table, name)?.ok_or_else(|| {
                let shown = plain(&entry(name));
                table.no_column(format!("⟦ignore {shown}⟧: there is no such column"), &[name])
            })?);
        }
        let mut categorical = Chosen::default();
        for name in &self.categorical {
            let named = matching(table, name)?.ok_or_else(|| {
                let shown = plain(&entry(name));
                table.no_column(format!("⟦categorical {shown}⟧: there is no such column"), &[name])
            })?;
            for column in named {
                if table.fields[column].name == *name {
                    check_feature(&table.fields[column], "⟦categorical⟧", label_name, categorical.has(column))?;
                } else if column == label.column || !table.fields[column].is_feature() {
                    continue;
                }
                if !ignored.contains(&column) {
                    categorical.push(column);
                }
            }
        }
        let mut columns = if self.features.is_none() {
            let (usable, left_out): (Vec<usize>, Vec<usize>) = (0..table.fields.len())
                .filter(|&column| column != label.column && !ignored.contains(&column) && !categorical.has(column))
                .partition(|&column| table.fields[column].is_default_feature());
            notes.extend(notes_on(left_out.iter().map(|&column| &table.fields[column])));
            usable
        } else {
            let names = self.features.as_deref().unwrap_or_default();
            let mut columns = Chosen::default();
            for name in names {
                let named = matching(table, name)?
                    .ok_or_else(|| table.no_column(format!("there is no feature column `{}`", plain(name)), &[name]))?;
                // A pattern takes what is usable; a name is taken at its word.
                let by_name = named.len() == 1 && table.fields[named[0]].name == *name;
                for column in named {
                    if by_name {
                        check_feature(&table.fields[column], "⟦features⟧", label_name, columns.has(column))?;
                    } else if column == label.column || columns.has(column) || !table.fields[column].is_feature() {
                        continue;
                    }
                    if !ignored.contains(&column) {
                        columns.push(column);
                    }
                }
            }
            columns.in_order
        };
        let known: HashSet<usize> = columns.iter().copied().collect();
        columns.extend(categorical.in_order.iter().filter(|column| !known.contains(column)));
        for &column in &columns {
            table.find_shared(&table.fields[column].name)?;
        }
        let (categories, features): (Vec<usize>, Vec<usize>) = columns
            .into_iter()
            .partition(|column| table.fields[*column].kind == Kind::Text || categorical.has(*column));
        // A pattern names what it means.
        let category = |column| CategoryPlan::new(column, self.features.is_some() || categorical.has(column));
        let class_weight = self.class_weight.clone();
        let plan = Plan {
            label,
            features: features
                .into_iter()
                .map(|column| FeaturePlan { column, takes: Takes::Value, fill: None })
                .collect(),
            categories: categories.into_iter().map(category).collect(),
            nulls: self.nulls,
            weight,
            weightless: 0,
            named_offsets,
            offsets: Vec::new(),
            class_weight,
            factors: None,
            notes,
            warnings: Vec::new(),
            left_out: Vec::new(),
        };
        if plan.features.is_empty() && plan.categories.is_empty() && !self.wants_none() {
            return Err(nothing_left(table, &plan));
        }
        Ok(plan)
    }

    /// The column of numbers that a flag names.
    fn beside(&self, table: &Table, label: &LabelPlan, setting: &str, name: Option<&str>) -> Result<Option<usize>> {
        let Some(name) = name else { return Ok(None) };
        let Some(column) = table.find_shared(name)? else {
            return Err(table.no_column(format!("{setting} {}: there is no such column", plain(name)), &[name]));
        };
        let field = &table.fields[column];
        if column == label.column || field.kind != Kind::Numeric {
            let why = if column == label.column {
                "it is the label".into()
            } else {
                format!("it is of type {}", plain(&field.data_type))
            };
            return Err(Error::data(format!("{setting} {name}: {why}"), "Name a column of numbers."));
        }
        self.check_no_feature(setting, name)?;
        Ok(Some(column))
    }

    /// The column that says which rows belong to a fold.
    fn column_of_folds(&self, table: &Table, label: &LabelPlan) -> Result<Option<usize>> {
        let Some(folds) = &self.folds else { return Ok(None) };
        let (setting, Some(name)) = (folds.setting(), folds.column()) else { return Ok(None) };
        let Some(column) = table.find_shared(name)? else {
            return Err(table.no_column(format!("{setting} {}: there is no such column", plain(name)), &[name]));
        };
        if column == label.column {
            return Err(Error::usage(
                format!("{setting} {}: it is the label", plain(name)),
                "Name a column that says which rows belong together.",
            ));
        }
        check_column_of_folds(&table.fields[column], folds)?;
        self.check_no_feature(setting, name)?;
        Ok(Some(column))
    }

    /// An error if a column with another part in the model is named as a feature.
    fn check_no_feature(&self, setting: &str, name: &str) -> Result<()> {
        let features = self.features.as_deref().unwrap_or_default();
        let named = [("⟦features⟧", features), ("⟦categorical⟧", &self.categorical)];
        match named.iter().find(|(_, names)| names.iter().any(|feature| feature == name)) {
            Some((other, _)) => Err(Error::usage(
                format!("{other} and {setting} both name `{}`", plain(name)),
                "A column has one part in the model; take it out of one of them.",
            )),
            None => Ok(()),
        }
    }
}

/// Columns in the order in which they were named: tens of thousands by a pattern.
#[derive(Default)]
struct Chosen {
    in_order: Vec<usize>,
    known: HashSet<usize>,
}

impl Chosen {
    fn push(&mut self, column: usize) {
        self.in_order.push(column);
        self.known.insert(column);
    }

    fn has(&self, column: usize) -> bool {
        self.known.contains(&column)
    }
}

fn nothing_left(table: &Table, plan: &Plan) -> Error {
    let fact = format!("no feature is left beside the label `{}`", plain(&table.fields[plan.label.column].name));
    let facts: Vec<&str> =
        std::iter::once(&fact).chain(&plan.notes).chain(&plan.warnings).map(String::as_str).collect();
    let way_out = format!(
        "Name some with ⟦features⟧, or say ⟦features ''⟧ for the intercept alone; the columns are: {}",
        table.names()
    );
    Error::data(facts.join("; "), way_out)
}

/// What is said of columns that nobody named and that are left out.
fn notes_on<'f>(left_out: impl Iterator<Item = &'f Field>) -> Vec<String> {
    let (indices, others): (Vec<&Field>, Vec<&Field>) = left_out.partition(|field| field.is_index);
    let (times, others): (Vec<&Field>, Vec<&Field>) = others.into_iter().partition(|field| field.is_feature());
    let list = |fields: &[&Field]| {
        let texts: Vec<String> = fields.iter().map(|field| format!("{} ({})", field.name, field.data_type)).collect();
        listed(&texts)
    };
    let mut notes = Vec::new();
    if !indices.is_empty() {
        notes.push(format!("the index of a data frame, left out unless ⟦features⟧ names it: {}", list(&indices)));
    }
    if !others.is_empty() {
        notes.push(format!("neither numbers nor text, left out: {}", list(&others)));
    }
    if !times.is_empty() {
        notes.push(format!("dates and times, left out unless ⟦features⟧ names them: {}", list(&times)));
    }
    notes
}

fn check_feature(field: &Field, setting: &str, label: &str, again: bool) -> Result<()> {
    if field.name == label {
        return Err(Error::usage(
            format!("`{}` is the label and cannot be a feature too", plain(label)),
            format!("Take it out of {setting}."),
        ));
    }
    if again {
        return Err(Error::usage(format!("{setting} names `{}` twice", plain(&field.name)), "Name it once."));
    }
    if !field.is_feature() {
        return Err(Error::data(
            format!(
                "column `{}` is of type {}, which cannot be a feature",
                plain(&field.name),
                plain(&field.data_type)
            ),
            format!("Leave it out, or {UNUSABLE}."),
        ));
    }
    Ok(())
}
