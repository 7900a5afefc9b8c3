//! What rows weigh, and their offsets.

use arrow::array::ArrayRef;
use rayon::prelude::*;

use super::coder::Coder;
use super::decode::{Part, decode, to_f64};
use super::field::Kind;
use super::label::{Class, Label, parse_class};
use super::plan::{ClassWeight, Plan};
use super::table::Table;
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{entry, flag, nearest, plain, visible};

/// The row weights of a plan: a column of them, factors for the classes, or both.
#[derive(Debug)]
pub(super) struct Weighing {
    /// The column of weights, if there is one, and the label, if classes have factors.
    columns: Vec<usize>,
    has_column: bool,
    kind: Kind,
    /// The codes of the classes, and the factor of each.
    classes: Option<(Coder, Vec<f64>)>,
}

/// What the rows weigh together.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Sum of the weights of each class, in the order of the label; their rows without weights.
    pub classes: Vec<f64>,
}

impl Weighing {
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

    /// The columns that are decoded for it.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The weights of rows, from the arrays of its columns.
    pub(super) fn weights(&self, arrays: &[ArrayRef]) -> Result<Vec<f64>> {
        let mut weights = Vec::new();
        if self.has_column {
            to_f64(&arrays[0], &mut weights)?;
        }
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
        let class = parse_class("--class-weight", text, field)?;
        let Some(index) = label.classes.iter().position(|known| *known == class) else {
            let known: Vec<String> = label.classes.iter().map(Class::to_string).collect();
            let near = nearest(text, known.iter().map(String::as_str));
            let example = flag("--class-weight", &entry(&format!("{}=2", near.unwrap_or(&known[known.len() - 1]))));
            return Err(Error::data(
                format!(
                    "--class-weight {}: the label `{}` has the values {}",
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
    weighing: Option<&Weighing>,
    monitor: &dyn Monitor,
    keep: impl Fn(usize, &[f32]) -> Result<()> + Sync,
) -> Result<Totals> {
    let Some(weighing) = weighing else {
        return Ok(Totals { classes: label.counts.iter().map(|&count| count as f64).collect() });
    };
    let kind = table.fields[plan.label.column].kind;
    let coder = label.coder();
    let zero = || Totals { classes: vec![0.0; label.classes.len()] };
    let columns: Vec<usize> = weighing.columns().iter().copied().chain([plan.label.column]).collect();
    let of_groups: Vec<Totals> = (0..table.groups.len())
        .into_par_iter()
        .map(|group| {
            let mut totals = zero();
            let mut codes = Vec::new();
            let first_row = table.groups[group].first_row;
            decode(table, &Part::whole(group), &columns, |before, arrays| {
                monitor.check()?;
                let (labels, arrays) = arrays.split_last().expect("the label is always there");
                let weights = weighing.weights(arrays)?;
                if let Some(row) = weights.iter().position(|w| !(*w >= 0.0 && *w < f64::from(f32::MAX))) {
                    let what = if weights[row].is_nan() { "missing".into() } else { weights[row].to_string() };
                    // Factors of classes are positive, so it is the column's.
                    let name = plan.weight.map_or("", |column| table.fields[column].name.as_str());
                    return Err(Error::data(
                        format!("the weight `{name}` is {what} in row {}, from 0", table.row_names(&[first_row + before + row])),
                        "Weights are numbers from 0 on. Correct them upstream; --nulls drop-row leaves rows without one out.",
                    ));
                }
                let narrow: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
                codes.clear();
                coder.codes(labels, kind, &mut codes)?;
                for (code, w) in codes.iter().zip(&narrow) {
                    let w = f64::from(*w);
                    // One that is new since the label was read is found out when the file is checked at the end.
                    if let Some(sum) = totals.classes.get_mut(usize::from(*code)) {
                        *sum += w;
                    }
                }
                keep(first_row + before, &narrow)
            })?;
            Ok(totals)
        })
        .collect::<Result<_>>()?;
    let mut totals = zero();
    for group in of_groups {
        for (sum, class) in totals.classes.iter_mut().zip(group.classes) {
            *sum += class;
        }
    }
    if let Some(index) = totals.classes.iter().position(|class| *class == 0.0) {
        return Err(Error::data(
            format!("all {} rows with the label {} have weight 0", label.counts[index], label.classes[index]),
            "Every class must count; check the column of weights.",
        ));
    }
    Ok(totals)
}

/// Writes the offsets into `store`.
pub(super) fn load_offsets(table: &Table, column: usize, store: &dyn Store, monitor: &dyn Monitor) -> Result<()> {
    (0..table.groups.len()).into_par_iter().try_for_each(|group| {
        let first_row = table.groups[group].first_row;
        decode(table, &Part::whole(group), &[column], |before, arrays| {
            monitor.check()?;
            let mut offsets = Vec::new();
            to_f64(&arrays[0], &mut offsets)?;
            if let Some(row) = offsets.iter().position(|offset| offset.is_nan() || offset.abs() >= 1e30) {
                let what = if offsets[row].is_nan() { "missing".into() } else { offsets[row].to_string() };
                return Err(Error::data(
                    format!("the offset of row {}, from 0, is {what}", table.row_names(&[first_row + before + row])),
                    "Offsets are log odds. Correct them upstream; --nulls drop-row leaves rows without one out.",
                ));
            }
            let narrow: Vec<f32> = offsets.iter().map(|offset| *offset as f32).collect();
            store.write(Column::Offset, first_row + before, &narrow)
        })
        .map(drop)
    })
}
