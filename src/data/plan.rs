//! Which columns of a table are used, and how: a request of the user, checked against the table.

use arrow::array::ArrayRef;
use glob::Pattern;

use super::Shape;
use super::census::Census;
use super::decode::to_f64;
use super::field::{Field, Kind};
use super::label::LabelPlan;
use super::load::Loaded;
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;

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
    pub(super) fn fills(self) -> bool {
        matches!(self, Self::Mean | Self::Indicator)
    }
}

/// Which columns the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The label column.
    pub label: Option<String>,
    /// The value of the label that counts as positive.
    pub positive: Option<String>,
    /// The features, by name or pattern (`*`, `?`); if empty, all numbers and booleans.
    pub features: Vec<String>,
    /// Columns to leave out, by name or pattern.
    pub ignore: Vec<String>,
    /// What is done about missing values.
    pub nulls: Nulls,
    /// The column of row weights.
    pub weight: Option<String>,
    /// The column of offsets.
    pub offset: Option<String>,
    /// What the rows of each class weigh.
    pub class_weight: ClassWeight,
}

/// Factors on the row weights, by class.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeight {
    /// None.
    #[default]
    Equal,
    /// `n / (2 n_k)` for a class with `n_k` of the n rows (their weights, if they have some): both classes weigh the same.
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
    pub(super) features: Vec<FeaturePlan>,
    pub(super) nulls: Nulls,
    pub(super) weight: Option<usize>,
    pub(super) offset: Option<usize>,
    pub(super) class_weight: ClassWeight,
    /// Factors on the weights of the negative and the positive class, once they are known.
    pub(super) factors: Option<[f64; 2]>,
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// The number of features, d.
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// What the plan makes of a table with so many rows.
    pub fn shape(&self, rows: usize) -> Shape {
        let weights = self.weight.is_some() || self.class_weight != ClassWeight::Equal;
        Shape { rows, features: self.features.len(), weights, offsets: self.offset.is_some() }
    }

    /// The columns of the table that are read, each once.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        let values = self.features.iter().filter(|feature| feature.takes == Takes::Value);
        values.map(|feature| feature.column).chain([self.label.column]).chain(self.weight).chain(self.offset)
    }

    /// The plan with what [`load`](super::load()) found: what stands in for missing values, and the classes' factors.
    #[must_use]
    pub fn after(&self, loaded: &Loaded) -> Self {
        let mut plan = self.clone();
        for (feature, found) in plan.features.iter_mut().zip(&loaded.features) {
            feature.fill = found.fill;
        }
        plan.factors = loaded.class_weight;
        plan
    }
}

impl Request {
    /// Checks the request against the columns of `table`. With [`Nulls::DropRow`] and [`Nulls::Indicator`] the missing
    /// values are looked up too, in a decode of the columns that may have any: the table without the rows that are left
    /// out comes with the plan.
    pub fn resolve(&self, table: Table, monitor: &dyn Monitor) -> Result<(Table, Plan)> {
        let mut plan = self.check(&table)?;
        if !matches!(self.nulls, Nulls::DropRow | Nulls::Indicator) {
            return Ok((table, plan));
        }
        let columns: Vec<usize> = match self.nulls {
            Nulls::DropRow => plan.columns().collect(),
            _ => plan.features.iter().map(|feature| feature.column).collect(),
        };
        let census = Census::of(&table, &columns, monitor)?;
        if self.nulls == Nulls::Indicator {
            let features = std::mem::take(&mut plan.features);
            for feature in features {
                plan.features.push(feature);
                if census.missing_in(feature.column) > 0 {
                    plan.features.push(FeaturePlan { takes: Takes::Missing, ..feature });
                }
            }
            return Ok((table, plan));
        }
        let before = table.rows;
        let (table, list) = census.complete_rows(&table)?;
        if table.rows < before {
            plan.notes.push(format!("{} rows with missing values left out: {list}", before - table.rows));
        }
        Ok((table, plan))
    }

    /// Checks the request against the columns of `table`.
    pub fn check(&self, table: &Table) -> Result<Plan> {
        let label = LabelPlan::new(table, self.label.as_deref(), self.positive.as_deref())?;
        let label_name = &table.fields[label.column].name;
        let mut notes = Vec::new();
        let weight = self.beside(table, &label, "--weight", self.weight.as_deref())?;
        let offset = self.beside(table, &label, "--offset", self.offset.as_deref())?;
        // What has another part in the model is no feature of it.
        let mut ignored: Vec<usize> = weight.into_iter().chain(offset).collect();
        for name in &self.ignore {
            ignored.extend(matching(table, name).ok_or_else(|| {
                Error::data(
                    format!("--ignore {name}: there is no such column"),
                    format!("The columns are: {}", table.names()),
                )
            })?);
        }
        let columns = if self.features.is_empty() {
            let (usable, left_out): (Vec<usize>, Vec<usize>) = (0..table.fields.len())
                .filter(|&column| column != label.column && !ignored.contains(&column))
                .partition(|&column| table.fields[column].is_default_feature());
            notes.extend(notes_on(left_out.iter().map(|&column| &table.fields[column])));
            usable
        } else {
            let mut columns = Vec::with_capacity(self.features.len());
            for name in &self.features {
                let named = matching(table, name).ok_or_else(|| {
                    Error::data(
                        format!("there is no feature column `{name}`"),
                        format!("The columns are: {}", table.names()),
                    )
                })?;
                // A pattern takes what is usable; a name is taken at its word.
                let by_name = named.len() == 1 && table.fields[named[0]].name == *name;
                for column in named {
                    if by_name {
                        check_feature(&table.fields[column], label_name, columns.contains(&column))?;
                    } else if column == label.column || columns.contains(&column) || !table.fields[column].is_feature()
                    {
                        continue;
                    }
                    if !ignored.contains(&column) {
                        columns.push(column);
                    }
                }
            }
            columns
        };
        if columns.is_empty() {
            return Err(Error::data(
                format!("no feature is left beside the label `{label_name}`"),
                format!("Name some with --features; the columns are: {}", table.names()),
            ));
        }
        let mut sorted: Vec<&str> = columns.iter().map(|&column| table.fields[column].name.as_str()).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) {
            return Err(Error::data(
                format!("the file has two columns called `{twice}`"),
                "Rename one of them upstream.",
            ));
        }
        let features = columns.into_iter().map(|column| FeaturePlan { column, takes: Takes::Value, fill: None });
        let class_weight = self.class_weight.clone();
        Ok(Plan {
            label,
            features: features.collect(),
            nulls: self.nulls,
            weight,
            offset,
            class_weight,
            factors: None,
            notes,
        })
    }

    /// The column of numbers that a flag names.
    fn beside(&self, table: &Table, label: &LabelPlan, flag: &str, name: Option<&str>) -> Result<Option<usize>> {
        let Some(name) = name else { return Ok(None) };
        let Some(column) = table.find(name) else {
            return Err(Error::data(
                format!("{flag} {name}: there is no such column"),
                format!("The columns are: {}", table.names()),
            ));
        };
        let field = &table.fields[column];
        if column == label.column || field.kind != Kind::Numeric {
            let why = if column == label.column {
                "it is the label".into()
            } else {
                format!("it is of type {}", field.data_type)
            };
            return Err(Error::data(format!("{flag} {name}: {why}"), "Name a column of numbers."));
        }
        if self.features.iter().any(|feature| feature == name) {
            return Err(Error::usage(
                format!("--features and {flag} both name `{name}`"),
                "A column has one part in the model; take it out of one of them.",
            ));
        }
        Ok(Some(column))
    }
}

/// The columns that a name or a pattern means, in the table's order; `None` if there are none.
fn matching(table: &Table, name: &str) -> Option<Vec<usize>> {
    if let Some(column) = table.find(name) {
        return Some(vec![column]);
    }
    // A struct or a list is all that lies in it.
    let (of_struct, of_list) = (format!("{name}."), format!("{name}["));
    let parts: Vec<usize> = (0..table.fields.len())
        .filter(|&column| [&of_struct, &of_list].iter().any(|start| table.fields[column].name.starts_with(*start)))
        .collect();
    if !parts.is_empty() {
        return Some(parts);
    }
    let pattern = Pattern::new(name).ok().filter(|_| name.contains(['*', '?']))?;
    let found: Vec<usize> =
        (0..table.fields.len()).filter(|&column| pattern.matches(&table.fields[column].name)).collect();
    (!found.is_empty()).then_some(found)
}

/// What is said of columns that nobody named and that are left out.
fn notes_on<'f>(left_out: impl Iterator<Item = &'f Field>) -> Vec<String> {
    let (times, others): (Vec<&Field>, Vec<&Field>) = left_out.partition(|field| field.is_feature());
    let list = |fields: &[&Field]| {
        let texts: Vec<String> = fields.iter().map(|field| format!("{} ({})", field.name, field.data_type)).collect();
        texts.join(", ")
    };
    let mut notes = Vec::new();
    if !others.is_empty() {
        notes.push(format!("not numbers, left out: {}", list(&others)));
    }
    if !times.is_empty() {
        notes.push(format!("dates and times, left out unless --features names them: {}", list(&times)));
    }
    notes
}

fn check_feature(field: &Field, label: &str, again: bool) -> Result<()> {
    if field.name == label {
        return Err(Error::usage(
            format!("`{label}` is the label and cannot be a feature too"),
            "Take it out of --features.",
        ));
    }
    if again {
        return Err(Error::usage(format!("--features names `{}` twice", field.name), "Name it once."));
    }
    if !field.is_feature() {
        return Err(Error::data(
            format!("column `{}` is of type {}, which cannot be a feature", field.name, field.data_type),
            format!("Leave it out, or {}.", field.advice()),
        ));
    }
    Ok(())
}
