//! The columns that a model needs, found in another table by their names, and that table's rows piece by piece in their
//! order, whatever the threads.

use arrow::array::ArrayRef;

use super::coder::{Coder, MISSING, UNSEEN};
use super::decode::{BATCH_ROWS, block_rows};
use super::field::{Field, Kind};
use super::label::{Class, for_each_class};
use super::levels::{Level, level_name};
use super::names::matching;
use super::numbers::to_f64;
use super::plan::{FeaturePlan, Takes};
use super::scan::{Batch, Pace, scan};
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
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

/// The columns of a table that a model is applied to.
#[derive(Debug)]
pub struct Inputs {
    features: Vec<FeaturePlan>,
    /// Of the features that are categories.
    coders: Vec<Option<Coder>>,
    label: Option<(usize, Coder)>,
    weight: Option<usize>,
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

impl Inputs {
    /// Looks for the features `wanted`, the label and its classes and the row weights, if there are any, and the columns
    /// to keep. All that are missing are named together, and so are those whose type is another one now.
    pub fn find<'m>(
        table: &Table,
        wanted: impl Iterator<Item = Wanted<'m>>,
        label: Option<(&'m str, &[Class])>,
        weight: Option<&'m str>,
        keep: &'m [String],
    ) -> Result<Self> {
        let (mut features, mut coders) = (Vec::new(), Vec::new());
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
            features.push(FeaturePlan { column, takes, fill });
            coders.push(is_category.then(|| Coder::of(levels)));
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
                    return Err(Error::usage(format!("--keep names `{}` twice", plain(name)), "Name it once."));
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
            return Err(Error::data(format!("--weight {name}: {why}"), "Name a column of numbers."));
        }
        let label =
            label.zip(classes).map(|(column, classes)| (column, class_coder(classes, table.fields[column].kind)));
        Ok(Self { features, coders, label, weight, keep: kept })
    }

    /// The label of a row as the file has it, for messages.
    pub fn class(&self, table: &Table, piece: &Piece, row: usize) -> Result<Option<Class>> {
        let mut found = None;
        if let (Some((column, _)), Some(labels)) = (&self.label, &piece.labels.column) {
            for_each_class(&labels.slice(row, 1), table.fields[*column].kind, |_, class| found = class)?;
        }
        Ok(found)
    }

    /// The names of the features that are missing in row `row` of a piece, for messages.
    pub fn missing_in(&self, table: &Table, piece: &Piece, row: usize) -> String {
        let names = self.features.iter().zip(&piece.features).filter(|(_, values)| values[row].is_nan());
        let names: Vec<&str> = names.map(|(feature, _)| table.fields[feature.column].name.as_str()).collect();
        listed(&names)
    }

    /// Whether some features are no categories.
    pub(super) fn have_numbers(&self) -> bool {
        self.coders.iter().any(Option::is_none)
    }

    /// The names and types of the columns to keep.
    pub(super) fn kept<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = &'t super::Field> {
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

/// What becomes of a range of rows, which waits for those before.
#[derive(Clone, Copy, Debug)]
pub enum Results {
    /// About the same whatever the rows: of so many ranges at a time, at least 1.
    Sums(usize),
    /// So many values of each row.
    Rows(usize),
}

/// Ranges of a pass whose results are small: enough for all cores to be done at about the same time.
pub const MANY_RANGES: usize = 64;

/// Values that a range may leave behind, if those are more than a batch: 128 MiB of numbers.
const RANGE_VALUES: usize = 1 << 23;

impl Results {
    /// Ranges that are worked on before what became of them is used, and the most rows of each.
    fn room(self) -> (usize, usize) {
        match self {
            Self::Sums(at_once) => (at_once, usize::MAX),
            Self::Rows(values) => (2 * rayon::current_num_threads(), (RANGE_VALUES / values.max(1)).max(BATCH_ROWS)),
        }
    }
}

/// Goes through the rows of `table` in ranges: `work` adds the pieces of a range, in the order of the rows, to what
/// `start` made; `sink` gets what became of the ranges, in the order of the rows. Memory is that of a piece for each thread
/// and of what became of as many ranges as `results` allows, whatever the table has.
pub fn fold_pieces<T: Send>(
    table: &Table,
    inputs: &Inputs,
    results: Results,
    monitor: &dyn Monitor,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, &mut Piece) -> Result<()> + Sync,
    sink: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let of_features = inputs.features.iter().map(|feature| feature.column);
    let label = inputs.label.iter().map(|(column, _)| *column);
    let columns: Vec<usize> =
        of_features.chain(label).chain(inputs.weight).chain(inputs.keep.iter().copied()).collect();
    let (at_once, range_rows) = results.room();
    let pace = Pace { block_rows: block_rows(columns.len()), range_rows, at_once };
    let each = |piece: &mut Piece, state: &mut T, batch: &Batch<'_>| {
        inputs.fill(piece, table, batch)?;
        monitor.advance(piece.rows as u64);
        work(state, piece)
    };
    scan(table, &columns, pace, monitor, Piece::default, start, each, sink)
}

/// What a batch has of levels that are not known.
fn unseen_in(field: &Field, array: &ArrayRef, codes: &[u16]) -> Result<Option<Unseen>> {
    let Some(first) = codes.iter().position(|code| *code == UNSEEN) else { return Ok(None) };
    let rows = codes.iter().filter(|code| **code == UNSEEN).count() as u64;
    let mut level = None;
    for_each_class(&array.slice(first, 1), field.kind, |_, class| level = class)?;
    Ok(Some(Unseen { column: field.name.clone(), rows, first: level_name(&level) }))
}

impl Inputs {
    /// Brings a batch into `piece`.
    fn fill(&self, piece: &mut Piece, table: &Table, batch: &Batch<'_>) -> Result<()> {
        (piece.first_row, piece.rows) = (batch.first_row, batch.rows);
        let (of_features, others) = batch.arrays.split_at(self.features.len());
        piece.features.resize_with(self.features.len(), Vec::new);
        piece.unseen.clear();
        let mut codes = Vec::new();
        let features = self.features.iter().zip(&self.coders).zip(&mut piece.features);
        for (((feature, coder), values), array) in features.zip(of_features) {
            values.clear();
            if let Some(coder) = coder {
                let field = &table.fields[feature.column];
                codes.clear();
                coder.codes(array, field.kind, &mut codes)?;
                piece.unseen.extend(unseen_in(field, array, &codes)?);
                values.extend(codes.iter().map(|code| match *code {
                    MISSING => f64::NAN,
                    UNSEEN => UNSEEN_LEVEL,
                    code => f64::from(code),
                }));
            } else {
                feature.takes.values(array, values)?;
            }
            if let Some(fill) = feature.fill {
                values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = fill);
            }
        }
        let mut others = others.iter();
        if let Some((column, coder)) = &self.label {
            let label = others.next().expect("the label was decoded");
            piece.labels.codes.clear();
            coder.codes(label, table.fields[*column].kind, &mut piece.labels.codes)?;
            piece.labels.column = Some(label.clone());
        }
        if self.weight.is_some() {
            let weights = piece.weights.get_or_insert_default();
            weights.clear();
            to_f64(others.next().expect("the weights were decoded"), weights)?;
        }
        piece.kept = Kept(others.cloned().collect());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, StringArray};

    use super::*;

    #[test]
    fn what_waits_for_its_turn_is_bounded() {
        // A row of 1000 probabilities takes 16 kB, and twice as many ranges as threads wait.
        assert_eq!([1_000, 100_000].map(|values| Results::Rows(values).room().1), [8_388, BATCH_ROWS]);
        assert!([0, 1, 32].iter().all(|values| Results::Rows(*values).room().1 >= 262_144));
        assert_eq!(Results::Sums(3).room(), (3, usize::MAX));
    }

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
