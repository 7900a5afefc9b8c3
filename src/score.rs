//! A model applied to a table: probabilities of its rows, and how good they are.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::{
    Class, Inputs, Nulls, Piece, Predicted, Predictions, Table, UNSEEN_LEVEL, Unseen, Wanted, for_each_piece,
};
use crate::error::{Error, Result};
use crate::logistic::sigmoid;
use crate::metrics::{Accumulator, Metrics};
use crate::model::{Model, ModelColumn};
use crate::monitor::Monitor;
use crate::sketch::Sketch;
use crate::wording::{counted, plain};

/// What is predicted of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Output {
    /// The probability of the positive class.
    #[default]
    Probability,
    /// The positive class from this probability on, the negative one below.
    Label(f64),
    /// The log odds of the positive class.
    Margin,
}

impl Output {
    /// The name of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Label(_) => "label",
            Self::Margin => "margin",
        }
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
                plain(&unseen.first)
            )
        })
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

/// A model's coefficients, ready to be applied.
struct Weights {
    /// About the columns' means, where nothing large cancels.
    centred: f64,
    /// Of each column.
    terms: Vec<Term>,
}

/// What a column adds to the margin.
enum Term {
    /// The coefficient times the distance from the mean.
    Linear { coefficient: f64, mean: f64 },
    /// Of each level, less what the levels add on average: that is what a level adds that the model has not seen.
    Levels(Vec<f64>),
}

impl Weights {
    fn of(model: &Model) -> Self {
        let average: f64 = model.features.iter().map(|feature| feature.coefficient() * feature.mean).sum();
        let mut terms: Vec<Term> = model
            .columns()
            .map(|column| match column {
                ModelColumn::Feature(feature) => {
                    Term::Linear { coefficient: feature.coefficient(), mean: feature.mean }
                }
                ModelColumn::Category(_, levels) => {
                    let average: f64 = levels.iter().map(|level| level.coefficient() * level.mean).sum();
                    let reference = std::iter::once(-average);
                    Term::Levels(reference.chain(levels.iter().map(|level| level.coefficient() - average)).collect())
                }
            })
            .collect();
        terms.extend(model.offset.iter().map(|_| Term::Linear { coefficient: 1.0, mean: 0.0 }));
        Self { centred: model.intercept() + average, terms }
    }

    /// The margins of the rows of a piece; not finite where a value is missing or infinite.
    fn margins(&self, piece: &Piece) -> Vec<f64> {
        let mut margins = vec![self.centred; piece.rows];
        for (term, values) in self.terms.iter().zip(&piece.features) {
            let rows = margins.iter_mut().zip(values);
            match term {
                Term::Linear { coefficient, mean } => rows.for_each(|(z, x)| *z += coefficient * (x - mean)),
                Term::Levels(of_levels) => rows.for_each(|(z, &level)| {
                    *z += if level.is_nan() {
                        f64::NAN
                    } else if level == UNSEEN_LEVEL {
                        0.0
                    } else {
                        of_levels[level as usize]
                    };
                }),
            }
        }
        margins
    }
}

/// The columns of `table` that `model` needs, those of the label and of the row weights if they are named, and those to
/// keep.
pub fn inputs(
    model: &Model,
    table: &Table,
    label: Option<&str>,
    weight: Option<&str>,
    keep: &[String],
) -> Result<Inputs> {
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
    // The offset is the last feature, with a coefficient of 1.
    let offset = model.offset.as_deref();
    let offset = offset.map(|column| Wanted { column, kind: "numeric", indicates: false, fill: None, levels: &[] });
    Inputs::find(table, wanted.chain(offset), label, weight, keep)
}

/// Writes a prediction for every row of `table`, in the order of the rows.
///
/// # Errors
/// Of kind `Data` if a value is missing, or infinite, and the model was trained without a rule for that.
pub fn predict<W: Write + Send>(
    model: &Model,
    table: &Table,
    inputs: &Inputs,
    output: Output,
    mut out: Predictions<W>,
    monitor: &dyn Monitor,
) -> Result<Counts> {
    let weights = Weights::of(model);
    let [negative, positive] = model.label.two();
    let without = AtomicU64::new(0);
    monitor.begin("predicting", Some(table.rows as u64));
    let work = |piece: Piece| {
        let margins = weights.margins(&piece);
        let missing = margins.iter().filter(|z| !z.is_finite()).count();
        if missing > 0 && model.nulls == Nulls::Error {
            return Err(without_rule(model, table, inputs, &piece, &margins));
        }
        without.fetch_add(missing as u64, Ordering::Relaxed);
        let known = margins.iter().map(|z| z.is_finite().then_some(*z));
        let predicted = match output {
            Output::Margin => Predicted::Numbers(known.collect()),
            Output::Probability => Predicted::Numbers(known.map(|z| z.map(sigmoid)).collect()),
            Output::Label(threshold) => {
                let class = |z: f64| if sigmoid(z) >= threshold { positive } else { negative };
                Predicted::Classes(known.map(|z| z.map(|z| class(z).clone())).collect())
            }
        };
        Ok((piece.kept, predicted, piece.unseen))
    };
    let mut counts = Counts { rows: table.rows as u64, ..Counts::default() };
    for_each_piece(table, inputs, monitor, work, |(kept, predicted, unseen)| {
        counts.add_unseen(unseen);
        out.write(kept, predicted)
    })?;
    out.close()?;
    monitor.end();
    Ok(Counts { without: without.into_inner(), ..counts })
}

/// How good the model's probabilities are on `table`, whose column `label` says what happened: one pass. With a column
/// `weight` a row of weight 2 counts as if it were there twice. Gives the metrics, and what became of the rows: those
/// without are left out because the label, the weight or a value is missing there.
///
/// # Errors
/// Of kind `Data` if something is missing and the model was not trained with [`Nulls::DropRow`], if the label has a
/// value that the model does not know, if a weight is negative or infinite, or if no row is left.
pub fn evaluate(
    model: &Model,
    table: &Table,
    label: &str,
    weight: Option<&str>,
    accumulator: Accumulator,
    monitor: &dyn Monitor,
) -> Result<(Metrics, Counts)> {
    evaluate_and_sketch(model, table, label, weight, accumulator, None, monitor)
}

/// The same, where the pass also leaves in `sketch` what pictures need of the rows.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_and_sketch(
    model: &Model,
    table: &Table,
    label: &str,
    weight: Option<&str>,
    mut accumulator: Accumulator,
    mut sketch: Option<&mut Sketch>,
    monitor: &dyn Monitor,
) -> Result<(Metrics, Counts)> {
    let inputs = inputs(model, table, Some(label), weight, &[])?;
    let weights = Weights::of(model);
    monitor.begin("evaluating", Some(table.rows as u64));
    let mut counts = Counts { rows: table.rows as u64, ..Counts::default() };
    let blank = sketch.as_deref().map(Sketch::empty);
    let work = |piece: Piece| {
        let margins = weights.margins(&piece);
        let mut seen = blank.clone();
        let mut rows = (Vec::with_capacity(piece.rows), Vec::with_capacity(piece.rows));
        let mut kept_weights = piece.weights.as_ref().map(|_| Vec::with_capacity(piece.rows));
        for (row, (z, class)) in margins.iter().zip(&piece.labels).enumerate() {
            let row_weight = piece.weights.as_ref().map(|weights| weights[row]);
            match class {
                Some(class) if z.is_finite() && !row_weight.is_some_and(f64::is_nan) => {
                    let is_positive = is_positive(model, label, class)?;
                    rows.0.push(f64::from(u8::from(is_positive)));
                    rows.1.push(*z);
                    if let Some(seen) = &mut seen {
                        seen.add(&piece, row, usize::from(is_positive), *z);
                    }
                    if let (Some(kept), Some(row_weight)) = (&mut kept_weights, row_weight) {
                        if !(0.0..f64::INFINITY).contains(&row_weight) {
                            return Err(no_weight(table, weight, piece.first_row + row, row_weight));
                        }
                        kept.push(row_weight);
                    }
                }
                _ if model.nulls == Nulls::DropRow => {}
                None => {
                    return Err(Error::data(
                        format!(
                            "the label `{label}` is missing (null or NaN) in row {}, from 0",
                            table.row_names(&[piece.first_row + row])
                        ),
                        format!("Leave such rows out: --where \"{label} is not null\"."),
                    ));
                }
                Some(_) if z.is_finite() => return Err(no_weight(table, weight, piece.first_row + row, f64::NAN)),
                Some(_) => return Err(without_rule(model, table, &inputs, &piece, &margins)),
            }
        }
        Ok((rows, kept_weights, piece.rows, piece.unseen, seen))
    };
    for_each_piece(table, &inputs, monitor, work, |((labels, margins), weights, rows, unseen, seen)| {
        if let (Some(sketch), Some(seen)) = (&mut sketch, seen) {
            sketch.merge(seen);
        }
        counts.without += (rows - labels.len()) as u64;
        counts.add_unseen(unseen);
        accumulator.add_batch(&labels, &margins, weights.as_deref())
    })?;
    monitor.end();
    Ok((accumulator.finish()?, counts))
}

/// A row whose weight, in the column `name`, is none.
fn no_weight(table: &Table, name: Option<&str>, row: usize, weight: f64) -> Error {
    let name = name.unwrap_or_default();
    let what = if weight.is_nan() { "missing (null or NaN)".into() } else { weight.to_string() };
    Error::data(
        format!("the weight `{name}` is {what} in row {}, from 0", table.row_names(&[row])),
        format!(
            "Weights are numbers from 0 on. Correct them upstream, or leave such rows out: --where \"{name} >= 0\"."
        ),
    )
}

fn without_rule(model: &Model, table: &Table, inputs: &Inputs, piece: &Piece, margins: &[f64]) -> Error {
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
        "Train it with --nulls drop-row (such rows get no prediction), mean or indicator; or fill the values upstream.",
    )
}

/// The class of a label that counts as 1, or an error if it is none of the model's.
fn is_positive(model: &Model, label: &str, class: &Class) -> Result<bool> {
    let [negative, positive] = model.label.two();
    // 0/1 and booleans are the same labels in different files.
    let number = |class: &Class| match class {
        Class::Boolean(flag) => Some(f64::from(u8::from(*flag))),
        Class::Number(number) => Some(*number),
        Class::Text(_) => None,
    };
    let same = |a: &Class, b: &Class| a == b || number(a).is_some() && number(a) == number(b);
    if same(class, positive) {
        return Ok(true);
    }
    if same(class, negative) {
        return Ok(false);
    }
    Err(Error::data(
        format!("the label `{label}` has the value {class}; the model knows {negative} and {positive}"),
        "Leave those rows out with --where, or name another column with --label.",
    ))
}
