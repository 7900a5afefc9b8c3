//! Which classes the two parts of a split have.

use super::class::Class;
use super::coder::Coder;
use super::field::Kind;
use super::label::MOST_CLASSES;
use super::scan::{Batch, by_partition};
use super::select::Selected;
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{listed, visible};

/// Whether both parts of a table that was split have rows of every class of the column `label`: one that is in neither part
/// but in the other cannot be learned, or not be validated on. Gives a warning about the latter.
///
/// # Errors
/// Of kind `Data` if rows of a class are held back and none is left to train on.
pub fn check_parts(selected: &Selected, label: &str, split: f64, monitor: &dyn Monitor) -> Result<Option<String>> {
    let (training, Some(validation)) = (&selected.training, &selected.validation) else { return Ok(None) };
    let Some(column) = training.find(label)?.filter(|&column| has_classes(training, column)) else { return Ok(None) };
    monitor.begin("classes", None);
    let of = |table| classes(table, column, MOST_CLASSES, monitor);
    let [trained, held_back] = [of(training)?, of(validation)?];
    monitor.end();
    let (Some(trained), Some(held_back)) = (trained, held_back) else { return Ok(None) };
    let lost = |some: &[Class], others: &[Class]| {
        let lost: Vec<String> =
            some.iter().filter(|class| !others.contains(class)).map(|class| visible(&class.to_string())).collect();
        (!lost.is_empty()).then(|| listed(&lost))
    };
    if let Some(lost) = lost(&held_back, &trained) {
        return Err(Error::data(
            format!("⟦split {split}⟧ leaves no row with the label {lost} to train on"),
            "Hold back less, try another ⟦seed⟧, or validate on files of their own with ⟦valid⟧.",
        ));
    }
    Ok(lost(&trained, &held_back)
        .map(|lost| format!("validation: ⟦split {split}⟧ holds back no row with the label {lost}")))
}

fn has_classes(table: &Table, column: usize) -> bool {
    matches!(table.fields[column].kind, Kind::Boolean | Kind::Numeric | Kind::Text)
}

/// The values of a column, in their order; `None` if there are more than `most`.
pub(super) fn classes(table: &Table, column: usize, most: usize, monitor: &dyn Monitor) -> Result<Option<Vec<Class>>> {
    let kind = table.fields[column].kind;
    let learn = |(coder, found, codes): &mut (Coder, Vec<Class>, Vec<u16>), batch: &Batch<'_>| {
        codes.clear();
        coder.learn(&batch.array(0)?, kind, found, most, codes)
    };
    let parts = by_partition(table, &[column], monitor, |_| Default::default(), learn)?;
    let mut all: Vec<Class> = parts.into_iter().flat_map(|(_, found, _)| found).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    all.dedup();
    Ok((all.len() <= most).then_some(all))
}
