//! What rows weigh, and their offsets.

use arrow::array::ArrayRef;

use super::class::{Class, parse_class};
use super::coder::Coder;
use super::encoded::Totals;
use super::field::Kind;
use super::label::Label;
use super::numbers::to_f64;
use super::plan::{ClassWeight, Plan};
use super::scan::{Batch, Pace, scan};
use super::table::Table;
use super::weightless::{LEAST, MOST};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{entry, nearest, plain, proposed, visible};

/// The row weights of a plan: a column of them, factors for the classes, or both.
#[derive(Debug)]
pub(super) struct SampleWeights {
    /// The column of weights, if there is one, and the label, if classes have factors.
    columns: Vec<usize>,
    has_column: bool,
    kind: Kind,
    /// The codes of the classes, and the factor of each.
    classes: Option<(Coder, Vec<f64>)>,
}

impl SampleWeights {
    /// The weighing of `plan` with these factors; `None` if rows have no weights.
    pub(super) fn of(table: &Table, plan: &Plan, label: &Label, factors: Option<&[f64]>) -> Option<Self> {
        let columns: Vec<usize> = plan.weight.into_iter().chain(factors.map(|_| plan.label.column)).collect();
        (!columns.is_empty()).then(|| Self {
            columns,
            has_column: plan.weight.is_some(),
            kind: table.fields[plan.label.column].kind,
            classes: factors.map(|factors| (label.coder(), factors.to_vec())),
        })
    }

    /// By a column of weights alone.
    pub(super) fn by(column: usize) -> Self {
        Self { columns: vec![column], has_column: true, kind: Kind::Numeric, classes: None }
    }

    /// The columns that are decoded for it.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// What the column of weights has for rows, if there is one, from the arrays of its columns.
    fn of_column(&self, arrays: &[ArrayRef]) -> Result<Vec<f64>> {
        let mut weights = Vec::new();
        if self.has_column {
            to_f64(&arrays[0], &mut weights)?;
        }
        Ok(weights)
    }

    /// The weights of rows, from the arrays of its columns.
    pub(super) fn weights(&self, arrays: &[ArrayRef]) -> Result<Vec<f64>> {
        let mut weights = self.of_column(arrays)?;
        if let Some((coder, factors)) = &self.classes {
            let label = &arrays[usize::from(self.has_column)];
            weights.resize(label.len(), 1.0);
            let mut codes = Vec::with_capacity(label.len());
            coder.codes(label, self.kind, &mut codes)?;
            for (weight, code) in weights.iter_mut().zip(codes) {
                *weight *= factors.get(usize::from(code)).unwrap_or(&f64::NAN);
            }
        }
        Ok(weights)
    }
}

/// The factors of the classes that were asked for; `None` where there are none.
pub(super) fn factors(table: &Table, plan: &Plan, label: &Label, totals: &Totals) -> Result<Option<Vec<f64>>> {
    let given = match &plan.class_weight {
        ClassWeight::Equal => return Ok(None),
        ClassWeight::Balanced => {
            let share = totals.classes.iter().sum::<f64>() / totals.classes.len() as f64;
            return Ok(Some(totals.classes.iter().map(|class| share / class).collect()));
        }
        ClassWeight::Given(given) => given,
    };
    let field = &table.fields[plan.label.column];
    let mut factors = vec![1.0; label.classes.len()];
    for (text, factor) in given {
        let class = parse_class("⟦class-weight⟧", text, field)?;
        let Some(index) = label.classes.iter().position(|known| *known == class) else {
            let known: Vec<String> = label.classes.iter().map(Class::to_string).collect();
            let near = nearest(text, known.iter().map(String::as_str));
            let example = proposed("class-weight", &entry(&format!("{}=2", near.unwrap_or(&known[known.len() - 1]))));
            return Err(Error::data(
                format!(
                    "⟦class-weight {}⟧: the label `{}` has the values {}",
                    plain(&visible(text)),
                    plain(&label.column),
                    label.list()
                ),
                if near.is_some() { format!("Did you mean {example}?") } else { format!("For example: {example}") },
            ));
        };
        factors[index] = *factor;
    }
    Ok(Some(factors))
}

/// What the rows weigh by their column of weights, which is checked; their numbers where there is none.
pub(super) fn weigh(
    table: &Table,
    plan: &Plan,
    label: &Label,
    sample_weights: Option<&SampleWeights>,
    monitor: &dyn Monitor,
    keep: impl Fn(usize, &[f32]) -> Result<()> + Sync,
) -> Result<Totals> {
    let Some(sample_weights) = sample_weights else {
        let classes: Vec<f64> = label.counts.iter().map(|&count| count as f64).collect();
        return Ok(Totals { by_column: classes.clone(), classes, are_whole: true });
    };
    let kind = table.fields[plan.label.column].kind;
    let coder = label.coder();
    let none = vec![0.0; label.classes.len()];
    let zero = || Totals { classes: none.clone(), by_column: none.clone(), are_whole: true };
    let columns: Vec<usize> = sample_weights.columns().iter().copied().chain([plan.label.column]).collect();
    let add = |codes: &mut Vec<u16>, totals: &mut Totals, batch: &Batch<'_>| {
        // The label comes last.
        let of_weights = sample_weights.columns().len();
        let (arrays, labels) = (batch.arrays(0..of_weights)?, batch.array(of_weights)?);
        let (weights, of_column) = (sample_weights.weights(&arrays)?, sample_weights.of_column(&arrays)?);
        if let Some(row) = weights.iter().position(|w| !(*w == 0.0 || (LEAST..MOST).contains(w))) {
            return Err(no_weight(table, plan, batch.first_row + row, weights[row]));
        }
        let narrow: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        codes.clear();
        coder.codes(&labels, kind, codes)?;
        totals.are_whole &= of_column.iter().all(|w| w.fract() == 0.0);
        for (row, (code, w)) in codes.iter().zip(&narrow).enumerate() {
            let class = usize::from(*code);
            // One that is new since the label was read is found out when the file is checked at the end.
            if let Some(sum) = totals.classes.get_mut(class) {
                *sum += f64::from(*w);
                totals.by_column[class] += of_column.get(row).copied().unwrap_or(1.0);
            }
        }
        keep(batch.first_row, &narrow)
    };
    let mut totals = zero();
    scan(table, &columns, Pace::of(&columns), monitor, Vec::new, zero, add, |range| {
        totals.classes.iter_mut().zip(range.classes).for_each(|(sum, class)| *sum += class);
        totals.by_column.iter_mut().zip(range.by_column).for_each(|(sum, class)| *sum += class);
        totals.are_whole &= range.are_whole;
        Ok(())
    })?;
    if let Some(index) = totals.classes.iter().position(|class| *class == 0.0) {
        return Err(Error::data(
            format!("all {} rows with the label {} have weight 0", label.counts[index], label.classes[index]),
            "Every class must count; check the column of weights.",
        ));
    }
    Ok(totals)
}

/// What is wrong with the weight of a row.
fn no_weight(table: &Table, plan: &Plan, row: usize, weight: f64) -> Error {
    let what = if weight.is_nan() { "missing".into() } else { weight.to_string() };
    // Factors of classes are positive, so it is the column's, unless they make it too large or too small.
    let name = plan.weight.map_or("", |column| table.fields[column].name.as_str());
    let fact = format!("the weight `{}` is {what} in row {}, from 0", plain(name), table.row_names(&[row]));
    if weight > 0.0 && weight.is_finite() {
        let times = if plan.class_weight == ClassWeight::Equal { "" } else { ", times the factor of its class" };
        return Error::data(
            format!("{fact}{times}"),
            format!(
                "Weights are kept in 32 bits, from {LEAST:.1e} to {MOST:.1e}. Change the unit of the column or of the factors."
            ),
        );
    }
    Error::data(
        fact,
        "Weights are numbers from 0 on. Correct them upstream; ⟦nulls drop-row⟧ leaves rows without one out.",
    )
}
