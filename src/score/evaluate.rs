//! How good a model's probabilities are on a table: one pass, and what pictures need of it.

use std::mem::take;

use super::margins::{Margins, Weights};
use super::{Counts, inputs, without_rule};
use crate::data::{Class, Encoder, MANY_RANGES, Nulls, Piece, Results, RowLabel, Table, fold_pieces, name_in_text};
use crate::error::{Error, Result};
use crate::metrics::{Accumulator, Decision, Limit, Metrics};
use crate::model::Model;
use crate::monitor::{Monitor, Silent};
use crate::profile::Profile;
use crate::wording::{plain, proposed, visible};

/// What a pass over a table found.
pub struct Evaluation {
    /// How good the probabilities are.
    pub metrics: Metrics,
    /// What became of the rows: those without are left out because the label, the weight or a value is missing there.
    pub counts: Counts,
    /// What pictures need of the rows, if it was asked for.
    pub profile: Option<Profile>,
}

/// What a model decides by: of several classes the likeliest.
pub fn decision(model: &Model, of_two: Decision) -> Decision {
    model.softmax().map_or(of_two, Decision::Likeliest)
}

impl Model {
    /// How good the probabilities are on `table`, which has the column of the label; a probability from 1/2 on counts as the
    /// positive class, of two.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn evaluate(&self, table: &Table) -> Result<Evaluation> {
        let table = table.clone().with_keys_as(|column| self.kind_of(column))?;
        let accumulator = Accumulator::new(decision(self, Decision::Threshold(0.5)), Limit::default())?;
        evaluate(self, &table, &self.label.column, None, accumulator, false, &Silent)
    }
}

/// How good the model's probabilities are on `table`, whose column `label` says what happened: one pass, which fills
/// `accumulator`, and a profile if pictures are wanted. With a column `weight` a row of weight 2 counts as if it were
/// there twice.
///
/// # Errors
/// Of kind `Data` if something is missing and the model was not trained with [`Nulls::DropRow`], if the label has a
/// value that the model does not know, if a weight is negative or infinite, or if no row is left.
pub fn evaluate(
    model: &Model,
    table: &Table,
    label: &str,
    weight: Option<&str>,
    mut accumulator: Accumulator,
    with_profile: bool,
    monitor: &dyn Monitor,
) -> Result<Evaluation> {
    let inputs = inputs(model, table, Some(label), weight, &[])?;
    let weights = Weights::of(model);
    let labelled = Labelled { model, table, inputs: &inputs, label, weight };
    let mut profile = with_profile.then(|| Profile::new(model, table.rows));
    let (blank, empty) = (profile.clone(), accumulator.clone());
    let start = || (Counts::default(), empty.clone(), blank.clone());
    let work = |(seen, taken, profile): &mut (Counts, Accumulator, Option<Profile>), piece: &mut Piece| {
        let margins = Margins::of(&weights, piece);
        let rows = labelled.rows(piece, &margins.tops)?;
        seen.rows += piece.rows as u64;
        seen.without += (piece.rows - rows.places.len()) as u64;
        seen.add_unseen(take(&mut piece.unseen));
        if let Some(profile) = profile {
            profile.add(piece, &rows.places, &rows.classes, &margins.of_rows);
        }
        taken.add_batch(&rows.classes, &margins.by_row(&rows.places), rows.weights.as_deref())
    };
    monitor.begin("evaluating", Some(table.rows as u64));
    let mut counts = Counts::default();
    // The confusions of many classes are more than the rows of a range.
    let classes = model.label.classes.len();
    let at_once = (CONFUSIONS / (classes * classes)).clamp(1, MANY_RANGES);
    fold_pieces(table, &inputs, Results::Sums(at_once), monitor, start, work, |(seen, taken, of_range)| {
        if let (Some(profile), Some(of_range)) = (&mut profile, of_range) {
            profile.merge(of_range);
        }
        counts.add(seen);
        accumulator.merge(taken)
    })?;
    monitor.end();
    Ok(Evaluation { metrics: accumulator.finish()?, counts, profile })
}

/// Cells of confusions that wait at most.
const CONFUSIONS: usize = 1 << 24;

/// What says which rows of a table count, and as which class.
struct Labelled<'m> {
    model: &'m Model,
    table: &'m Table,
    inputs: &'m Encoder,
    label: &'m str,
    weight: Option<&'m str>,
}

/// The rows of a piece that count.
struct Rows {
    /// Their places in it.
    places: Vec<usize>,
    /// The places of their classes among the model's.
    classes: Vec<u32>,
    /// Their weights, if they have some.
    weights: Option<Vec<f64>>,
}

impl Labelled<'_> {
    /// The rows of a piece with these margins, not finite where the model has none.
    fn rows(&self, piece: &Piece, margins: &[f64]) -> Result<Rows> {
        let room = || Vec::with_capacity(piece.rows);
        let mut rows = Rows {
            places: Vec::with_capacity(piece.rows),
            classes: Vec::with_capacity(piece.rows),
            weights: piece.weights.as_ref().map(|_| room()),
        };
        for (row, z) in margins.iter().enumerate() {
            let weight = piece.weights.as_ref().map(|weights| weights[row]);
            let label = piece.labels.of(row);
            if !z.is_finite() || label == RowLabel::Missing || weight.is_some_and(f64::is_nan) {
                if self.model.nulls == Nulls::DropRow {
                    continue;
                }
                return Err(self.incomplete(piece, row, margins));
            }
            let RowLabel::Class(class) = label else { return Err(self.unknown_class(piece, row)) };
            rows.classes.push(class as u32);
            rows.places.push(row);
            if let (Some(kept), Some(weight)) = (&mut rows.weights, weight) {
                if !(0.0..f64::INFINITY).contains(&weight) {
                    return Err(no_weight(self.table, self.weight, piece.first_row + row, weight));
                }
                kept.push(weight);
            }
        }
        Ok(rows)
    }

    /// Something is missing in a row of a piece.
    fn incomplete(&self, piece: &Piece, row: usize, margins: &[f64]) -> Error {
        let Self { model, table, inputs, label, weight } = self;
        if piece.labels.of(row) == RowLabel::Missing {
            return Error::data(
                format!(
                    "the label `{}` is missing (null or NaN) in row {}, from 0",
                    plain(label),
                    table.row_names(&[piece.first_row + row])
                ),
                format!("Leave such rows out: {}", proposed("where", &self.labelled())),
            );
        }
        if margins[row].is_finite() {
            return no_weight(table, *weight, piece.first_row + row, f64::NAN);
        }
        without_rule(model, table, inputs, piece, margins)
    }

    /// The condition of rows with a label. NaN is no null, and no number is at most NaN.
    fn labelled(&self) -> String {
        let name = name_in_text(self.label);
        let number = |class: &Class| if let Class::Number(number) = class { Some(*number) } else { None };
        let numbers: Option<Vec<f64>> = self.model.label.classes.iter().map(number).collect();
        match numbers {
            Some(numbers) => format!("{name} >= {}", numbers.into_iter().fold(f64::INFINITY, f64::min)),
            None => format!("{name} is not null"),
        }
    }

    /// The label of a row is none of the model's classes.
    fn unknown_class(&self, piece: &Piece, row: usize) -> Error {
        /// Classes that the error names.
        const NAMED: usize = 10;
        let class = match self.inputs.class(piece, row) {
            Ok(class) => class.map_or_else(String::new, |class| visible(&class.to_string())),
            Err(error) => return error,
        };
        let classes = &self.model.label.classes;
        let names: Vec<String> = classes.iter().take(NAMED).map(|class| visible(&class.to_string())).collect();
        let known = match names.as_slice() {
            [a, b] => format!("{a} and {b}"),
            _ if classes.len() > NAMED => format!("{} and {} more", names.join(", "), classes.len() - NAMED),
            _ => names.join(", "),
        };
        Error::data(
            plain(&format!("the label `{}` has the value {class}; the model knows {known}", self.label)),
            "Leave those rows out with ⟦where⟧, or name another column with ⟦label⟧.",
        )
    }
}

/// A row whose weight, in the column `name`, is none.
fn no_weight(table: &Table, name: Option<&str>, row: usize, weight: f64) -> Error {
    let name = name.unwrap_or_default();
    let what = if weight.is_nan() { "missing (null or NaN)".into() } else { weight.to_string() };
    Error::data(
        format!("the weight `{}` is {what} in row {}, from 0", plain(name), table.row_names(&[row])),
        format!(
            "Weights are numbers from 0 on. Correct them upstream, or leave such rows out: {}",
            proposed("where", &format!("{} >= 0", name_in_text(name)))
        ),
    )
}
