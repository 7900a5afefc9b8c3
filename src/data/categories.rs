//! The categories of a table on their way into a store: one code a row, and what share of the rows each level has.

use super::coder::Coder;
use super::decode::{Part, decode};
use super::levels::{CategoryPlan, for_each_codes, known};
use super::plan::Plan;
use super::sample_weights::SampleWeights;
use super::table::Table;
use super::{Column, Store};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::standardize::ColumnScale;

/// Reads the codes of the categories of `plan` into `store`. Gives the share of the rows, by their weights, that each
/// level has.
pub(super) fn load_categories(
    table: &Table,
    plan: &Plan,
    sample_weights: Option<&SampleWeights>,
    store: &dyn Store,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>> {
    let mut shares = Vec::with_capacity(plan.categories.len());
    for (index, category) in plan.categories.iter().enumerate() {
        let column = Column::Feature(plan.features.len() + index);
        for_each_codes(table, category, monitor, |first_row, codes| {
            let codes: Vec<f32> = codes.iter().copied().map(f32::from).collect();
            store.write(column, first_row, &codes)
        })?;
        let weights: Vec<f64> = match sample_weights {
            None => category.rows.iter().map(|&rows| rows as f64).collect(),
            Some(sample_weights) => level_weights(table, category, sample_weights, monitor)?,
        };
        let total: f64 = weights.iter().sum();
        shares.push(weights.into_iter().map(|weight| weight / total).collect());
    }
    Ok(shares)
}

/// What the rows of each level weigh together. They are added one after the other, so that the cut of the rows into row
/// groups changes no bit.
fn level_weights(
    table: &Table,
    category: &CategoryPlan,
    sample_weights: &SampleWeights,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>> {
    let coder = Coder::of(&category.levels);
    let field = &table.fields[category.column];
    let columns: Vec<usize> =
        std::iter::once(category.column).chain(sample_weights.columns().iter().copied()).collect();
    let mut sums = vec![0.0; category.levels.len()];
    let mut codes = Vec::new();
    for (group, about) in table.groups.iter().enumerate() {
        decode(table, &Part::whole(group), &columns, |before, arrays| {
            monitor.check()?;
            codes.clear();
            coder.codes(&arrays[0], field.kind, &mut codes)?;
            known(table, category, about.first_row + before, &codes)?;
            for (code, weight) in codes.iter().zip(sample_weights.weights(&arrays[1..])?) {
                sums[usize::from(*code)] += weight;
            }
            Ok(())
        })?;
    }
    Ok(sums)
}

/// Where the feature of a level lies that so large a share of the rows has.
pub(super) fn scale_of_share(share: f64) -> ColumnScale {
    ColumnScale {
        mean: share,
        scale: (share * (1.0 - share)).sqrt(),
        device_mean: 0.0,
        device_scale: 1.0,
        reach: share.max(1.0 - share),
    }
}
