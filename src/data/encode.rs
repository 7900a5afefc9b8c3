//! From the columns of a table to the numbers of a model: one encoder for the passes over rows of a training and for a model
//! that is applied to other rows.

use arrow::array::ArrayRef;

use super::class::{Class, Level, for_each_class, level_name};
use super::coder::{Coder, MISSING, UNSEEN};
use super::field::{Field, Kind};
use super::label::Label;
use super::names::matching;
use super::plan::{Plan, Takes};
use super::sample_weights::SampleWeights;
use super::scan::Batch;
use super::table::Table;
use crate::error::{Error, Result};
use crate::wording::{entry, listed, plain};

/// A feature of a model, as it is looked for in a table.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'m> {
    /// The column's name.
    pub column: &'m str,
    /// The kind that the column had when the model was trained, as [`Kind::name`] has it.
    pub kind: &'m str,
    /// 1 where the column is missing, instead of its value.
    pub indicates: bool,
    /// What stands in for a missing value.
    pub fill: Option<f64>,
    /// The levels, if the column is a category: its values are then their places among these.
    pub levels: &'m [Level],
}

impl<'m> Wanted<'m> {
    /// A column of numbers for which nothing stands in.
    pub fn number(column: &'m str) -> Self {
        Self { column, kind: Kind::Numeric.name(), indicates: false, fill: None, levels: &[] }
    }
}

/// The value of a category's row that has none of its levels.
pub const UNSEEN_LEVEL: f64 = -1.0;

/// Rows whose level a model does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The column's name.
    pub column: String,
    /// How many rows.
    pub rows: u64,
    /// The first such level.
    pub first: String,
}

/// A column that numbers are made of.
#[derive(Debug)]
struct Input {
    column: usize,
    kind: Kind,
    takes: Takes,
    /// What stands in for a missing value.
    fill: Option<f64>,
    /// Of a category.
    coder: Option<Coder>,
}

/// How the columns of a table become the numbers of a model.
#[derive(Debug)]
pub struct Encoder {
    inputs: Vec<Input>,
    label: Option<(usize, Kind, Coder)>,
    sample_weights: Option<SampleWeights>,
    keep: Vec<usize>,
}

/// Columns that pass through as they are.
#[derive(Default)]
pub struct Kept(pub(super) Vec<ArrayRef>);

/// The label of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLabel {
    /// The place of its class among those of the model.
    Class(usize),
    /// A class that the model does not know.
    Unknown,
    /// Null or NaN.
    Missing,
}

/// The labels of the rows of a piece.
#[derive(Default)]
pub struct Labels {
    codes: Vec<u16>,
    /// As the file has them.
    column: Option<ArrayRef>,
}

impl Labels {
    /// That of a row.
    pub fn of(&self, row: usize) -> RowLabel {
        match self.codes[row] {
            MISSING => RowLabel::Missing,
            UNSEEN => RowLabel::Unknown,
            code => RowLabel::Class(code.into()),
        }
    }
}

/// Neighbouring rows of a table.
#[derive(Default)]
pub struct Piece {
    /// Position in the table of the first row.
    pub first_row: usize,
    /// The values, `[features]`, each `[rows]`; NaN where one is missing and nothing stands in for it. Of a category the
    /// places of the levels, or [`UNSEEN_LEVEL`].
    pub features: Vec<Vec<f64>>,
    /// Columns with levels that the model does not know.
    pub unseen: Vec<Unseen>,
    /// The labels `[rows]`, if one was asked for.
    pub labels: Labels,
    /// The row weights `[rows]` as the file has them, NaN where one is missing; `None` without a column of them.
    pub weights: Option<Vec<f64>>,
    /// The number of rows.
    pub rows: usize,
    /// The columns to keep.
    pub kept: Kept,
}

impl Encoder {
    /// That of a plan: its features, its categories and its offsets, with the label and the weights of the rows.
    pub(super) fn of_plan(table: &Table, plan: &Plan, label: &Label) -> Self {
        let kind = |column: usize| table.fields[column].kind;
        let number = |column: usize, takes: Takes, fill: Option<f64>| Input {
            column,
            kind: kind(column),
            takes,
            fill,
            coder: None,
        };
        let features = plan.features.iter().map(|feature| number(feature.column, feature.takes, feature.fill));
        let categories = plan.categories.iter().map(|category| Input {
            coder: Some(Coder::of(&category.levels)),
            ..number(category.column, Takes::Value, None)
        });
        let offsets = plan.offsets.iter().flatten().map(|column| number(*column, Takes::Value, None));
        Self {
            inputs: features.chain(categories).chain(offsets).collect(),
            label: Some((plan.label.column, kind(plan.label.column), label.coder())),
            sample_weights: SampleWeights::of(table, plan, label, plan.factors.as_deref()),
            keep: Vec::new(),
        }
    }

    /// Looks for the features `wanted`, the label and its classes and the row weights, if there are any, and the columns
    /// to keep. All that are missing are named together, and so are those whose type is another one now.
    pub fn find<'m>(
        table: &Table,
        wanted: impl Iterator<Item = Wanted<'m>>,
        label: Option<(&'m str, &[Class])>,
        weight: Option<&'m str>,
        keep: &'m [String],
    ) -> Result<Self> {
        let mut inputs = Vec::new();
        let (mut missing, mut others) = (Vec::new(), Vec::new());
        for Wanted { column: name, kind, indicates, fill, levels } in wanted {
            let Some(column) = table.find_shared(name)? else {
                missing.push(name);
                continue;
            };
            let field = &table.fields[column];
            let takes = if indicates { Takes::Missing } else { Takes::Value };
            // A boolean may come as 0 and 1 and the other way round; a time, text or struct is something else.
            let is_category = !levels.is_empty();
            let numbers = |kind: &str| !is_category && (kind == Kind::Numeric.name() || kind == Kind::Boolean.name());
            // Whether a value is there can be seen in a column of any type.
            if !indicates && field.kind.name() != kind && !(numbers(kind) && numbers(field.kind.name())) {
                others.push(format!("{name} ({}, {kind} in the model)", field.data_type));
            }
            inputs.push(Input { column, kind: field.kind, takes, fill, coder: is_category.then(|| Coder::of(levels)) });
        }
        let mut place = |name: Option<&'m str>| -> Result<Option<usize>> {
            let found = name.map_or(Ok(None), |name| table.find_shared(name))?;
            missing.extend(name.filter(|_| found.is_none()));
            Ok(found)
        };
        let (label, classes) = label.unzip();
        let (label, weight) = (place(label)?, place(weight)?);
        let (mut kept, mut is_kept) = (Vec::new(), vec![false; table.fields.len()]);
        for name in keep {
            let named = matching(table, name)?;
            if named.is_none() {
                missing.push(name);
            }
            // A pattern takes what is not there yet; a name is taken at its word.
            for column in named.into_iter().flatten() {
                table.fields[column].check_shared()?;
                if !std::mem::replace(&mut is_kept[column], true) {
                    kept.push(column);
                } else if table.fields[column].name == *name {
                    return Err(Error::usage(format!("⟦keep⟧ names `{}` twice", plain(name)), "Name it once."));
                }
            }
        }
        missing.dedup();
        let columns = |n: usize| if n == 1 { "the column" } else { "the columns" };
        if !missing.is_empty() {
            let entries: Vec<String> = missing.iter().map(|name| entry(name)).collect();
            let fact = format!("{} has not {} {}", table.name(), columns(missing.len()), listed(&entries));
            return Err(table.no_column(fact, &missing));
        }
        if !others.is_empty() {
            return Err(Error::data(
                format!("{}: {} of another type: {}", table.name(), columns(others.len()), listed(&others)),
                "Write them as they were when the model was trained, or train it again.",
            ));
        }
        if let Some(column) =
            weight.filter(|&column| label == Some(column) || table.fields[column].kind != Kind::Numeric)
        {
            let Field { name, data_type, .. } = &table.fields[column];
            let why =
                if label == Some(column) { "it is the label".into() } else { format!("it is of type {data_type}") };
            return Err(Error::data(format!("⟦weight {name}⟧: {why}"), "Name a column of numbers."));
        }
        let label = label.zip(classes).map(|(column, classes)| {
            let kind = table.fields[column].kind;
            (column, kind, class_coder(classes, kind))
        });
        Ok(Self { inputs, label, sample_weights: weight.map(SampleWeights::by), keep: kept })
    }

    /// The columns that are read, in the order in which [`Encoder::encode`] takes them.
    pub(super) fn columns(&self) -> Vec<usize> {
        let label = self.label.iter().map(|(column, ..)| *column);
        let weights = self.sample_weights.iter().flat_map(|sample_weights| sample_weights.columns().iter().copied());
        let inputs = self.inputs.iter().map(|input| input.column);
        inputs.chain(label).chain(weights).chain(self.keep.iter().copied()).collect()
    }

    /// Brings a batch of its columns into `piece`.
    pub(super) fn encode(&self, table: &Table, batch: &Batch<'_>, piece: &mut Piece) -> Result<()> {
        (piece.first_row, piece.rows) = (batch.first_row, batch.rows);
        piece.features.resize_with(self.inputs.len(), Vec::new);
        piece.unseen.clear();
        let mut codes = Vec::new();
        for (place, (input, values)) in self.inputs.iter().zip(&mut piece.features).enumerate() {
            values.clear();
            if let Some(coder) = &input.coder {
                codes.clear();
                let array = batch.array(place)?;
                coder.codes(&array, input.kind, &mut codes)?;
                piece.unseen.extend(unseen_in(&table.fields[input.column], &array, &codes)?);
                values.extend(codes.iter().map(|code| match *code {
                    MISSING => f64::NAN,
                    UNSEEN => UNSEEN_LEVEL,
                    code => f64::from(code),
                }));
            } else {
                batch.parts_of(place).try_for_each(|part| input.takes.values(part, values))?;
            }
            if let Some(fill) = input.fill {
                values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = fill);
            }
        }
        let mut next = self.inputs.len();
        if let Some((_, kind, coder)) = &self.label {
            let label = batch.array(next)?;
            piece.labels.codes.clear();
            coder.codes(&label, *kind, &mut piece.labels.codes)?;
            piece.labels.column = Some(label);
            next += 1;
        }
        if let Some(sample_weights) = &self.sample_weights {
            let columns = next..next + sample_weights.columns().len();
            next = columns.end;
            piece.weights = Some(sample_weights.weights(&batch.arrays(columns)?)?);
        }
        piece.kept = Kept(batch.arrays(next..next + self.keep.len())?);
        Ok(())
    }

    /// The label of a row as the file has it, for messages.
    pub fn class(&self, piece: &Piece, row: usize) -> Result<Option<Class>> {
        let mut found = None;
        if let (Some((_, kind, _)), Some(labels)) = (&self.label, &piece.labels.column) {
            for_each_class(&labels.slice(row, 1), *kind, |_, class| found = class)?;
        }
        Ok(found)
    }

    /// The names of the features that are missing in row `row` of a piece, for messages.
    pub fn missing_in(&self, table: &Table, piece: &Piece, row: usize) -> String {
        let names = self.inputs.iter().zip(&piece.features).filter(|(_, values)| values[row].is_nan());
        let names: Vec<&str> = names.map(|(input, _)| table.fields[input.column].name.as_str()).collect();
        listed(&names)
    }

    /// Whether some features are no categories.
    pub(super) fn have_numbers(&self) -> bool {
        self.inputs.iter().any(|input| input.coder.is_none())
    }

    /// The names and types of the columns to keep.
    pub(super) fn kept<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = &'t Field> {
        self.keep.iter().map(|&column| &table.fields[column])
    }
}

/// Turns labels of a column of some kind into the places of a model's classes.
fn class_coder(classes: &[Class], kind: Kind) -> Coder {
    let mut coder = Coder::default();
    for (class, code) in classes.iter().zip(0..) {
        if let Some(class) = class_in(class, kind) {
            coder.insert(&class, code);
        }
    }
    coder
}

/// A class as a column of some kind has it, if it can: 0 and 1 are the same as booleans, as they are in different files.
fn class_in(class: &Class, kind: Kind) -> Option<Class> {
    let number = |flag: bool| f64::from(u8::from(flag));
    match (class, kind) {
        (Class::Text(_), Kind::Text) | (Class::Boolean(_), Kind::Boolean) => Some(class.clone()),
        (Class::Text(_), _) | (_, Kind::Text) => None,
        (Class::Number(x), Kind::Boolean) => {
            [false, true].into_iter().find(|flag| number(*flag).total_cmp(&(x + 0.0)).is_eq()).map(Class::Boolean)
        }
        // -0.0 + 0.0 is 0.0, as it is in a column.
        (Class::Number(x), _) => Some(Class::Number(x + 0.0)),
        (Class::Boolean(flag), _) => Some(Class::Number(number(*flag))),
    }
}

/// What a batch has of levels that are not known.
fn unseen_in(field: &Field, array: &ArrayRef, codes: &[u16]) -> Result<Option<Unseen>> {
    let Some(first) = codes.iter().position(|code| *code == UNSEEN) else { return Ok(None) };
    let rows = codes.iter().filter(|code| **code == UNSEEN).count() as u64;
    let mut level = None;
    for_each_class(&array.slice(first, 1), field.kind, |_, class| level = class)?;
    Ok(Some(Unseen { column: field.name.clone(), rows, first: level_name(&level) }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, StringArray};

    use super::*;

    #[test]
    fn zero_and_one_are_false_and_true() {
        let codes = |classes: &[Class], kind: Kind, array: ArrayRef| {
            let mut codes = Vec::new();
            class_coder(classes, kind).codes(&array, kind, &mut codes).expect("labels");
            codes
        };
        let flags = [Class::Boolean(true), Class::Boolean(false)];
        let numbers = [Class::Number(1.0), Class::Number(-0.0)];
        for classes in [&flags, &numbers] {
            let booleans = BooleanArray::from(vec![Some(false), None, Some(true), Some(false)]);
            assert_eq!(codes(classes, Kind::Boolean, Arc::new(booleans)), [1, MISSING, 0, 1]);
            let floats = Float64Array::from(vec![Some(0.0), Some(-0.0), Some(1.0), Some(2.0), None, Some(f64::NAN)]);
            assert_eq!(codes(classes, Kind::Numeric, Arc::new(floats)), [1, 1, 0, UNSEEN, MISSING, MISSING]);
        }
        // A text is a class of its own.
        let texts = StringArray::from(vec!["1", "true", "a"]);
        assert_eq!(codes(&numbers, Kind::Text, Arc::new(texts.clone())), [UNSEEN; 3]);
        assert_eq!(codes(&[Class::Text("a".into())], Kind::Text, Arc::new(texts)), [UNSEEN, UNSEEN, 0]);
        let two = BooleanArray::from(vec![true]);
        assert_eq!(codes(&[Class::Number(2.0)], Kind::Boolean, Arc::new(two)), [UNSEEN]);
    }
}
