//! Offsets: what is in a row's margins and is not fitted. Two classes have one column of them at most, several a column for
//! each class that has some.

use super::label::LabelPlan;
use super::numbers::to_f64;
use super::scan::{Batch, by_partition};
use super::table::Table;
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{listed, plain};

/// A column of offsets as it was named: `COL`, or `CLASS=COL`.
#[derive(Clone, Debug)]
pub(super) struct NamedOffset {
    class: Option<String>,
    pub(super) column: usize,
}

/// Takes `COL` or `CLASS=COL` apart; a column may have `=` in its name. Gives the class and the name of the column.
pub(super) fn parts<'t>(table: &Table, text: &'t str) -> Result<(Option<&'t str>, &'t str)> {
    if table.find_shared(text)?.is_none() {
        for (at, _) in text.match_indices('=') {
            let (class, column) = (&text[..at], &text[at + 1..]);
            if table.find_shared(column)?.is_some() {
                return Ok((Some(class), column));
            }
        }
    }
    Ok((None, text))
}

impl NamedOffset {
    pub(super) fn new(class: Option<&str>, column: usize) -> Self {
        Self { class: class.map(str::to_owned), column }
    }

    fn setting(&self, table: &Table) -> String {
        let column = plain(&table.fields[self.column].name);
        match &self.class {
            None => format!("⟦offset {column}⟧"),
            Some(class) => format!("⟦offset {}={column}⟧", plain(class)),
        }
    }
}

/// The column of each margin, now that the classes are known; none at all without offsets.
pub(super) fn by_margin(table: &Table, named: &[NamedOffset], label: &LabelPlan) -> Result<Vec<Option<usize>>> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let Some(classes) = label.softmax_classes() else {
        let [one] = named else {
            return Err(Error::usage(
                format!("{} columns of offsets for the one margin of two classes", named.len()),
                "Name one column: it adds to the log odds of the positive class.",
            ));
        };
        if let Some(class) = &one.class {
            return Err(Error::usage(
                format!(
                    "{}: a model of two classes has one margin, and no `{}` in it",
                    one.setting(table),
                    plain(class)
                ),
                "Name the column alone: it adds to the log odds of the positive class.",
            ));
        }
        return Ok(vec![Some(one.column)]);
    };
    let names: Vec<String> = classes.iter().map(ToString::to_string).collect();
    let mut columns = vec![None; names.len() - 1];
    for offset in named {
        let example = format!("⟦offset {}={}⟧", plain(&names[1]), plain(&table.fields[offset.column].name));
        let Some(class) = &offset.class else {
            return Err(Error::usage(
                format!("{}: of {} classes, each has offsets of its own", offset.setting(table), names.len()),
                format!("Say which class it belongs to, for example {example}; a class without a column has none."),
            ));
        };
        let Some(code) = names.iter().position(|name| name == class) else {
            let known: Vec<String> = names[1..].iter().map(|name| plain(name)).collect();
            return Err(Error::usage(
                format!("{}: the label has no class `{}`", offset.setting(table), plain(class)),
                format!("The classes that may have offsets are {}.", listed(&known)),
            ));
        };
        let Some(place) = code.checked_sub(1) else {
            return Err(Error::usage(
                format!("{}: `{}` is the reference, whose margin is 0", offset.setting(table), plain(class)),
                "Take its offsets from those of the other classes, or name another class with ⟦reference⟧.",
            ));
        };
        if columns[place].replace(offset.column).is_some() {
            return Err(Error::usage(
                format!("{}: the class `{}` has a column of offsets already", offset.setting(table), plain(class)),
                "Add the two up in one column.",
            ));
        }
    }
    Ok(columns)
}

/// Writes the offsets of all margins into `store`; 0 for a margin without a column. Gives about the mean of each, to half of
/// [`UNITS`]: enough to begin where margins are small.
pub(super) fn load_offsets(
    table: &Table,
    columns: &[Option<usize>],
    store: &dyn Store,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>> {
    const PIECE: usize = 1 << 16;
    let zeros = vec![0.0; PIECE.min(table.rows)];
    let mut means = Vec::with_capacity(columns.len());
    for (margin, column) in columns.iter().enumerate() {
        if let Some(column) = column {
            means.push(load_column(table, margin, *column, store, monitor)?);
        } else {
            means.push(0.0);
            for first in (0..table.rows).step_by(PIECE) {
                store.write(Column::Offset(margin), first, &zeros[..PIECE.min(table.rows - first)])?;
            }
        }
    }
    Ok(means)
}

/// Offsets are added up as whole numbers of this part of 1, so that the sum shows no cut into partitions.
const UNITS: f64 = 256.0;

fn load_column(table: &Table, margin: usize, column: usize, store: &dyn Store, monitor: &dyn Monitor) -> Result<f64> {
    let write = |(offsets, sum): &mut (Vec<f64>, i128), batch: &Batch<'_>| {
        offsets.clear();
        to_f64(&batch.array(0)?, offsets)?;
        if let Some(row) = offsets.iter().position(|offset| offset.is_nan() || offset.abs() >= 1e30) {
            let what = if offsets[row].is_nan() { "missing".into() } else { offsets[row].to_string() };
            return Err(Error::data(
                format!("the offset of row {}, from 0, is {what}", table.row_names(&[batch.first_row + row])),
                "Offsets are log odds. Correct them upstream; ⟦nulls drop-row⟧ leaves rows without one out.",
            ));
        }
        let narrow: Vec<f32> = offsets.iter().map(|offset| *offset as f32).collect();
        *sum = offsets.iter().fold(*sum, |sum, offset| sum.saturating_add((UNITS * offset).round() as i128));
        store.write(Column::Offset(margin), batch.first_row, &narrow)
    };
    let parts = by_partition(table, &[column], monitor, |_| (Vec::new(), 0), write)?;
    let sum = parts.into_iter().fold(0_i128, |sum, (_, part)| sum.saturating_add(part));
    Ok(sum as f64 / UNITS / table.rows.max(1) as f64)
}
