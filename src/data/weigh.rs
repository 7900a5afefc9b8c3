//! What rows weigh, and their offsets.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use rayon::prelude::*;

use super::coder::Coder;
use super::decode::{Part, decode, known_extent};
use super::field::Kind;
use super::label::{Class, Label, parse_class};
use super::numbers::to_f64;
use super::plan::{ClassWeight, Plan};
use super::scan::{Batch, Pace, by_partition, scan};
use super::table::Table;
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, entry, flag, nearest, plain, visible};

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
    /// The same by the column of weights alone, without the factors of the classes.
    pub by_column: Vec<f64>,
    /// Whether all weights of the column are whole numbers.
    pub are_whole: bool,
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
        let classes: Vec<f64> = label.counts.iter().map(|&count| count as f64).collect();
        return Ok(Totals { by_column: classes.clone(), classes, are_whole: true });
    };
    let kind = table.fields[plan.label.column].kind;
    let coder = label.coder();
    let none = vec![0.0; label.classes.len()];
    let zero = || Totals { classes: none.clone(), by_column: none.clone(), are_whole: true };
    let columns: Vec<usize> = weighing.columns().iter().copied().chain([plan.label.column]).collect();
    let add = |codes: &mut Vec<u16>, totals: &mut Totals, batch: &Batch<'_>| {
        let (labels, arrays) = batch.arrays.split_last().expect("the label is always there");
        let (weights, of_column) = (weighing.weights(arrays)?, weighing.of_column(arrays)?);
        if let Some(row) = weights.iter().position(|w| !(*w == 0.0 || (LEAST..MOST).contains(w))) {
            return Err(no_weight(table, plan, batch.first_row + row, weights[row]));
        }
        let narrow: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        codes.clear();
        coder.codes(labels, kind, codes)?;
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
        "Weights are numbers from 0 on. Correct them upstream; --nulls drop-row leaves rows without one out.",
    )
}

/// The weights that 32 bits hold with all their digits, and that no device takes for 0 or for infinity.
const LEAST: f64 = f32::MIN_POSITIVE as f64;
const MOST: f64 = f32::MAX as f64;

/// A share of the largest weight that is no more than the rounding to 32 bits, for all weights together that are too small
/// for them.
const NOTHING: f64 = 1e-8;

/// The rows that weigh nothing: of a row group, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weightless {
    /// Rows of weight 0.
    zeros: usize,
    /// Rows whose weight 32 bits do not tell from 0, and the sum of those.
    tiny: usize,
    tiny_sum: f64,
    /// At most the largest weight.
    largest: f64,
}

impl Weightless {
    pub(super) fn rows(self) -> usize {
        self.zeros + self.tiny
    }

    /// What the user should know.
    pub(super) fn note(self) -> Option<String> {
        (self.zeros > 0).then(|| format!("{} of weight 0 left out", counted(self.zeros as u64, "row")))
    }

    /// What the user should worry about.
    pub(super) fn warning(self) -> Option<String> {
        let beside = || format!("weights below {LEAST:.1e}, nothing beside {:e}", self.largest);
        (self.tiny > 0).then(|| format!("{} left out: {}", counted(self.tiny as u64, "row"), beside()))
    }
}

/// The table without the rows whose weight is 0, and without those whose weight 32 bits round to 0. Whatever else they have
/// changes nothing then: no level, no class, no mean, no count.
///
/// # Cost
/// A decode of the column, in those partitions that are not known to have no such weights.
pub(super) fn without_weightless(table: Table, column: usize, monitor: &dyn Monitor) -> Result<(Table, Weightless)> {
    let name = plain(&table.fields[column].name);
    monitor.begin("row weights", Some(table.rows as u64));
    let of_group = |group: usize| {
        let about = &table.groups[group];
        let mut seen = Weightless::default();
        let least = known_extent(&table, group, column)?.map(|(least, _)| least);
        if let Some(least) = least.filter(|least| *least >= LEAST) {
            monitor.advance(about.rows as u64);
            return Ok((Weightless { largest: least, ..seen }, None));
        }
        let mut counts = Vec::with_capacity(about.rows);
        let mut weights = Vec::new();
        decode(&table, &Part::whole(group), &[column], |_, arrays| {
            monitor.check()?;
            weights.clear();
            to_f64(&arrays[0], &mut weights)?;
            for &w in &weights {
                // What is no weight at all is found out when the rows are read.
                let is_tiny = w > 0.0 && w < LEAST;
                seen.zeros += usize::from(w == 0.0);
                seen.tiny += usize::from(is_tiny);
                seen.tiny_sum += if is_tiny { w } else { 0.0 };
                seen.largest = seen.largest.max(w);
                counts.push(w != 0.0 && !is_tiny);
            }
            monitor.advance(weights.len() as u64);
            Ok(())
        })?;
        let keep = (seen.zeros + seen.tiny > 0).then(|| BooleanBuffer::from(counts));
        Ok((seen, keep))
    };
    let groups = (0..table.groups.len()).into_par_iter().map(of_group).collect::<Result<Vec<_>>>()?;
    monitor.end();
    let all = groups.iter().fold(Weightless::default(), |all, (seen, _)| Weightless {
        zeros: all.zeros + seen.zeros,
        tiny: all.tiny + seen.tiny,
        tiny_sum: all.tiny_sum + seen.tiny_sum,
        largest: all.largest.max(seen.largest),
    });
    if all.tiny > 0 && all.tiny_sum > NOTHING * all.largest {
        return Err(Error::data(
            format!(
                "{} by `{name}` more than 0 and less than {LEAST:.1e}, which 32 bits do not tell from 0",
                if all.tiny == 1 { "1 row weighs".into() } else { format!("{} rows weigh", all.tiny) }
            ),
            "Multiply the weights by a constant upstream: only their ratios decide the coefficients.",
        ));
    }
    if all.rows() == 0 {
        return Ok((table, all));
    }
    if all.rows() == table.rows {
        return Err(Error::data(
            format!("the weights `{name}` of all {} are 0", counted(table.rows as u64, "row")),
            "Every class must count; check the column of weights.",
        ));
    }
    let keep = table
        .groups
        .iter()
        .zip(groups)
        .map(|(group, (_, keep))| group.keeping(&keep.unwrap_or_else(|| BooleanBuffer::new_set(group.rows))));
    Ok((table.restricted(keep.collect()), all))
}

/// The sum of a column of weights; what is none is passed over.
pub(super) fn sum_of_weights(table: &Table, column: usize, monitor: &dyn Monitor) -> Result<f64> {
    let add = |weights: &mut Vec<f64>, sum: &mut f64, batch: &Batch<'_>| {
        weights.clear();
        to_f64(&batch.arrays[0], weights)?;
        *sum += weights.iter().filter(|w| w.is_finite() && **w > 0.0).sum::<f64>();
        Ok(())
    };
    let mut sum = 0.0;
    scan(
        table,
        &[column],
        Pace::of(&[column]),
        monitor,
        Vec::new,
        || 0.0,
        add,
        |range| {
            sum += range;
            Ok(())
        },
    )?;
    Ok(sum)
}

/// Writes the offsets into `store`.
pub(super) fn load_offsets(table: &Table, column: usize, store: &dyn Store, monitor: &dyn Monitor) -> Result<()> {
    let write = |offsets: &mut Vec<f64>, batch: &Batch<'_>| {
        offsets.clear();
        to_f64(&batch.arrays[0], offsets)?;
        if let Some(row) = offsets.iter().position(|offset| offset.is_nan() || offset.abs() >= 1e30) {
            let what = if offsets[row].is_nan() { "missing".into() } else { offsets[row].to_string() };
            return Err(Error::data(
                format!("the offset of row {}, from 0, is {what}", table.row_names(&[batch.first_row + row])),
                "Offsets are log odds. Correct them upstream; --nulls drop-row leaves rows without one out.",
            ));
        }
        let narrow: Vec<f32> = offsets.iter().map(|offset| *offset as f32).collect();
        store.write(Column::Offset, batch.first_row, &narrow)
    };
    by_partition(table, &[column], monitor, |_| Vec::new(), write).map(drop)
}
