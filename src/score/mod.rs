//! A model applied to a table: probabilities of its rows, and how good they are.

mod batches;
mod evaluate;
mod margins;

use std::io::Write;
use std::mem::take;
use std::path::PathBuf;

pub use batches::PredictedBatches;
pub use evaluate::{Evaluation, decision, evaluate};

use crate::data::{
    Encoder, Kept, Nulls, Piece, Predicted, Prediction, Predictions, Results, Table, UNSEEN_LEVEL, Unseen, Wanted,
    fold_pieces,
};
use crate::error::{Error, Result};
use crate::model::{Model, ModelColumn};
use crate::monitor::Monitor;
use crate::wording::{counted, listed, plain, visible};
use margins::{Margins, Weights};

/// What is predicted of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Output {
    /// The probability of the positive class; of a softmax that of each class.
    #[default]
    Probability,
    /// The positive class from this probability on, the negative one below; of a softmax the likeliest one.
    Label(f64),
    /// The log odds of the positive class; of a softmax the margin of each class.
    Margin,
}

impl Output {
    /// The columns that the predictions of `model` go to: one, or with numbers of a softmax one for each class.
    pub fn prediction(self, model: &Model) -> Prediction {
        let name = match self {
            Self::Probability => "probability",
            Self::Label(_) => return Prediction::Class("label".into(), model.label.classes.clone()),
            Self::Margin => "margin",
        };
        Prediction::Numbers(match model.softmax() {
            None => vec![name.into()],
            Some(_) => model.label.classes.iter().map(|class| format!("{name}_{class}")).collect(),
        })
    }
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were read.
    pub rows: u64,
    /// Rows without a prediction, because a value is missing or infinite and nothing stands in for it.
    pub without: u64,
    /// Columns with levels that the model has not seen.
    pub unseen: Vec<Unseen>,
}

impl Counts {
    /// What the user should know of levels that the model has not seen.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.unseen.iter().map(|unseen| {
            format!(
                "{} {} levels of `{}` that the model has not seen (the first is {}): they count as its average there",
                counted(unseen.rows, "row"),
                if unseen.rows == 1 { "has" } else { "have" },
                plain(&unseen.column),
                plain(&visible(&unseen.first))
            )
        })
    }

    /// Adds what became of the rows of a range that follows.
    fn add(&mut self, seen: Self) {
        self.rows += seen.rows;
        self.without += seen.without;
        self.add_unseen(seen.unseen);
    }

    /// Adds what the rows that follow have of levels that the model has not seen.
    fn add_unseen(&mut self, more: Vec<Unseen>) {
        for more in more {
            match self.unseen.iter_mut().find(|known| known.column == more.column) {
                Some(known) => known.rows += more.rows,
                None => self.unseen.push(more),
            }
        }
    }
}

/// Opens `data` as one table that `model` is applied to: with its kinds of the keys of folders.
pub fn open(model: &Model, data: &[PathBuf]) -> Result<Table> {
    Table::open_all(data)?.with_keys_as(|column| model.kind_of(column))
}

/// An error if the model lacks a number that a prediction needs: `null` in its file, which stands for what was not finite.
fn check_complete(model: &Model) -> Result<()> {
    let is_none = |number: &f64| !number.is_finite();
    let mut lacking = Vec::new();
    if model.intercepts.iter().any(is_none) {
        lacking.push("the intercept".to_owned());
    }
    for feature in &model.features {
        let name = &feature.name;
        if feature.coefficients.iter().any(is_none) {
            lacking.push(format!("the coefficient of `{name}`"));
        }
        if is_none(&feature.mean) {
            lacking.push(format!("the mean of `{name}`"));
        }
        let is_filled = model.nulls.fills() && feature.category.is_none() && feature.indicates.is_none();
        if is_filled && feature.fill.is_none_or(|fill| is_none(&fill)) {
            lacking.push(format!("what stands in for a missing value of `{name}`"));
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Error::data(
        format!(
            "the model of `{}` predicts nothing: {} of its numbers {} missing (null) in its file: {}",
            plain(&model.label.column),
            lacking.len(),
            if lacking.len() == 1 { "is" } else { "are" },
            listed(&lacking)
        ),
        "Train it again; a null stands for a number that was not finite, and `gpu-logreg inspect` says how the run ended.",
    ))
}

/// The columns of `table` that `model` needs, those of the label and of the row weights if they are named, and those to
/// keep.
pub fn inputs(
    model: &Model,
    table: &Table,
    label: Option<&str>,
    weight: Option<&str>,
    keep: &[String],
) -> Result<Encoder> {
    check_complete(model)?;
    let wanted = model.columns().map(|column| match column {
        ModelColumn::Feature(feature) => Wanted {
            column: feature.indicates.as_deref().unwrap_or(&feature.name),
            // The kind of an indicator is its own, not that of its column.
            kind: if feature.indicates.is_some() { "" } else { &feature.kind },
            indicates: feature.indicates.is_some(),
            fill: feature.fill,
            levels: &[],
        },
        ModelColumn::Category(category, _) => Wanted {
            column: &category.column,
            kind: &category.kind,
            indicates: false,
            // The average, as the mean is for numbers.
            fill: matches!(model.nulls, Nulls::Mean | Nulls::Indicator).then_some(UNSEEN_LEVEL),
            levels: &category.levels,
        },
    });
    // Offsets come behind the features, each with a coefficient of 1 in its own margin.
    let offsets = model.offsets.iter().flatten().map(|column| Wanted::number(column));
    let label = label.map(|label| (label, model.label.classes.as_slice()));
    Encoder::find(table, wanted.chain(offsets), label, weight, keep)
}

/// Writes a prediction for every row of `table`, in the order of the rows.
///
/// # Errors
/// Of kind `Data` if a value is missing, or infinite, and the model was trained without a rule for that.
pub fn predict<W: Write + Send>(
    model: &Model,
    table: &Table,
    inputs: &Encoder,
    output: Output,
    mut out: Predictions<W>,
    monitor: &dyn Monitor,
) -> Result<Counts> {
    let columns = out.columns();
    let counts =
        predict_each(model, table, inputs, output, columns, monitor, |kept, predicted| out.write(kept, predicted))?;
    out.close()?;
    Ok(counts)
}

/// As [`predict`], to whoever `take`s the predictions of some rows after the others, in so many `columns`.
fn predict_each(
    model: &Model,
    table: &Table,
    inputs: &Encoder,
    output: Output,
    columns: usize,
    monitor: &dyn Monitor,
    mut take_next: impl FnMut(Kept, Predicted) -> Result<()>,
) -> Result<Counts> {
    let weights = Weights::of(model);
    monitor.begin("predicting", Some(table.rows as u64));
    let work = |done: &mut Vec<_>, piece: &mut Piece| {
        let margins = Margins::of(&weights, piece);
        let missing = margins.tops.iter().filter(|z| !z.is_finite()).count();
        if missing > 0 && model.nulls == Nulls::Error {
            return Err(without_rule(model, table, inputs, piece, &margins.tops));
        }
        let predicted = predicted(margins, output);
        done.push((take(&mut piece.kept), predicted, take(&mut piece.unseen), missing as u64));
        Ok(())
    };
    let mut counts = Counts { rows: table.rows as u64, ..Counts::default() };
    fold_pieces(table, inputs, Results::Rows(columns), monitor, Vec::new, work, |done| {
        done.into_iter().try_for_each(|(kept, predicted, unseen, missing)| {
            counts.add_unseen(unseen);
            counts.without += missing;
            take_next(kept, predicted)
        })
    })?;
    monitor.end();
    Ok(counts)
}

/// What is predicted of rows with these margins.
fn predicted(margins: Margins, output: Output) -> Predicted {
    // What is not finite in one margin is a prediction in none.
    let is_known: Vec<bool> = margins.tops.iter().map(|top| top.is_finite()).collect();
    let known = |numbers: Vec<f64>| numbers.iter().zip(&is_known).map(|(x, known)| known.then_some(*x)).collect();
    match output {
        Output::Margin => Predicted::Numbers(margins.of_rows.into_iter().map(known).collect()),
        Output::Probability => Predicted::Numbers(margins.into_probabilities().into_iter().map(known).collect()),
        Output::Label(threshold) => Predicted::Classes(margins.decided(threshold)),
    }
}

fn without_rule(model: &Model, table: &Table, inputs: &Encoder, piece: &Piece, margins: &[f64]) -> Error {
    let row = margins.iter().position(|z| !z.is_finite()).unwrap_or(0);
    let missing = inputs.missing_in(table, piece, row);
    let what = if missing.is_empty() { "infinite values".into() } else { format!("no value of {missing}") };
    let names = table.row_names(&[piece.first_row + row]);
    Error::data(
        format!(
            "{} has {what} in row {names}, from 0, and the model ({}) has no rule for that",
            table.name(),
            model.label.column
        ),
        "Train it with ⟦nulls drop-row⟧ (such rows get no prediction), mean or indicator; or fill the values upstream.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_ranges_add_up() {
        let unseen = |column: &str, rows: u64, first: &str| Unseen { column: column.into(), rows, first: first.into() };
        let mut counts = Counts::default();
        counts.add(Counts { rows: 10, without: 2, unseen: vec![unseen("a", 3, "x")] });
        counts.add(Counts { rows: 5, without: 0, unseen: Vec::new() });
        counts.add(Counts { rows: 7, without: 1, unseen: vec![unseen("b", 1, "z"), unseen("a", 2, "y")] });
        // What was met first is named.
        assert_eq!(counts, Counts { rows: 22, without: 3, unseen: vec![unseen("a", 5, "x"), unseen("b", 1, "z")] });
    }
}
