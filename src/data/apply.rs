//! The columns that a model needs, found in another table by their names, and that table's rows piece by piece in their
//! order, whatever the threads.

use arrow::array::{Array, ArrayRef};
use rayon::prelude::*;

use super::coder::{Coder, MISSING, UNSEEN};
use super::decode::{Part, decode, to_f64};
use super::field::{Field, Kind};
use super::label::{Class, for_each_class};
use super::levels::{Level, level_name};
use super::plan::{FeaturePlan, Takes};
use super::rows::{Range, block_rows, ranges};
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::listed;

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
    label: Option<usize>,
    weight: Option<usize>,
    keep: Vec<usize>,
}

/// Columns that pass through as they are.
pub struct Kept(pub(super) Vec<ArrayRef>);

/// Neighbouring rows of a table.
pub struct Piece {
    /// Position in the table of the first row.
    pub first_row: usize,
    /// The values, `[features]`, each `[rows]`; NaN where one is missing and nothing stands in for it. Of a category the
    /// places of the levels, or [`UNSEEN_LEVEL`].
    pub features: Vec<Vec<f64>>,
    /// Columns with levels that the model does not know.
    pub unseen: Vec<Unseen>,
    /// The classes `[rows]`, `None` where they are missing; empty without a label.
    pub labels: Vec<Option<Class>>,
    /// The row weights `[rows]` as the file has them, NaN where one is missing; `None` without a column of them.
    pub weights: Option<Vec<f64>>,
    /// The number of rows.
    pub rows: usize,
    /// The columns to keep.
    pub kept: Kept,
}

impl Inputs {
    /// Looks for the features `wanted`, the label and the row weights, if there are any, and the columns to keep. All
    /// that are missing are named together, and so are those whose type is another one now.
    pub fn find<'m>(
        table: &Table,
        wanted: impl Iterator<Item = Wanted<'m>>,
        label: Option<&'m str>,
        weight: Option<&'m str>,
        keep: &'m [String],
    ) -> Result<Self> {
        let (mut features, mut coders) = (Vec::new(), Vec::new());
        let (mut missing, mut others) = (Vec::new(), Vec::new());
        for Wanted { column: name, kind, indicates, fill, levels } in wanted {
            let Some(column) = table.find(name) else {
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
        let mut place = |name: Option<&'m str>| {
            let found = name.and_then(|name| table.find(name));
            missing.extend(name.filter(|_| found.is_none()));
            found
        };
        let (label, weight) = (place(label), place(weight));
        let mut kept = Vec::new();
        for name in keep {
            match table.find(name) {
                Some(column) => kept.push(column),
                None => missing.push(name),
            }
        }
        missing.dedup();
        let columns = |n: usize| if n == 1 { "the column" } else { "the columns" };
        if !missing.is_empty() {
            return Err(Error::data(
                format!("{} has not {} {}", table.name(), columns(missing.len()), listed(&missing)),
                format!("The columns are: {}", table.names()),
            ));
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
        Ok(Self { features, coders, label, weight, keep: kept })
    }

    /// The names of the features that are missing in row `row` of a piece, for messages.
    pub fn missing_in(&self, table: &Table, piece: &Piece, row: usize) -> String {
        let names = self.features.iter().zip(&piece.features).filter(|(_, values)| values[row].is_nan());
        let names: Vec<&str> = names.map(|(feature, _)| table.fields[feature.column].name.as_str()).collect();
        listed(&names)
    }

    /// The names and types of the columns to keep.
    pub(super) fn kept<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = &'t super::Field> {
        self.keep.iter().map(|&column| &table.fields[column])
    }
}

/// Ranges of rows that are worked on at the same time, for each thread: what comes out waits for its turn.
const WINDOW: usize = 2;

/// Goes through the rows of `table`: `work` gets pieces from several threads, `sink` what became of them in the order of
/// the rows. Memory is that of a few pieces, whatever the table has.
pub fn for_each_piece<T: Send>(
    table: &Table,
    inputs: &Inputs,
    monitor: &dyn Monitor,
    work: impl Fn(Piece) -> Result<T> + Sync,
    mut sink: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let of_features = inputs.features.iter().map(|feature| feature.column);
    let columns: Vec<usize> =
        of_features.chain(inputs.label).chain(inputs.weight).chain(inputs.keep.iter().copied()).collect();
    let batch_rows = block_rows(columns.len());
    let work_on = |range: &Range| {
        let part = Part {
            group: range.group,
            rows: (range.file_rows.len() < table.groups[range.group].file_rows).then(|| vec![range.file_rows.clone()]),
            batch_rows,
        };
        let mut done = Vec::new();
        decode(table, &part, &columns, |before, arrays| {
            monitor.check()?;
            let piece = inputs.piece(table, range.first_row + before, arrays)?;
            monitor.advance(piece.rows as u64);
            done.push(work(piece)?);
            Ok(())
        })?;
        Ok(done)
    };
    for window in ranges(&table.groups).chunks(WINDOW * rayon::current_num_threads()) {
        // The first of several faults is told, whichever thread was faster.
        let done: Vec<Result<Vec<T>>> = window.par_iter().map(work_on).collect();
        for pieces in done {
            pieces?.into_iter().try_for_each(&mut sink)?;
        }
    }
    table.check_unchanged()
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
    fn piece(&self, table: &Table, first_row: usize, arrays: &[ArrayRef]) -> Result<Piece> {
        let rows = arrays.first().map_or(0, Array::len);
        let (of_features, others) = arrays.split_at(self.features.len());
        let mut features = Vec::with_capacity(self.features.len());
        let mut unseen = Vec::new();
        let mut codes = Vec::new();
        for ((feature, coder), array) in self.features.iter().zip(&self.coders).zip(of_features) {
            let mut values = Vec::with_capacity(rows);
            if let Some(coder) = coder {
                let field = &table.fields[feature.column];
                codes.clear();
                coder.codes(array, field.kind, &mut codes)?;
                unseen.extend(unseen_in(field, array, &codes)?);
                values.extend(codes.iter().map(|code| match *code {
                    MISSING => f64::NAN,
                    UNSEEN => UNSEEN_LEVEL,
                    code => f64::from(code),
                }));
            } else {
                feature.takes.values(array, &mut values)?;
            }
            if let Some(fill) = feature.fill {
                values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = fill);
            }
            features.push(values);
        }
        let mut others = others.iter();
        let mut labels = Vec::new();
        if let Some(column) = self.label {
            let label = others.next().expect("the label was decoded");
            for_each_class(label, table.fields[column].kind, |_, class| labels.push(class))?;
        }
        let mut weights = None;
        if self.weight.is_some() {
            let values = weights.insert(Vec::with_capacity(rows));
            to_f64(others.next().expect("the weights were decoded"), values)?;
        }
        let kept = Kept(others.cloned().collect());
        Ok(Piece { first_row, features, unseen, labels, weights, rows, kept })
    }
}
