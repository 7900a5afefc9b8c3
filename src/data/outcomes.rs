//! Where the classes lie in each column: exact counts and ends, which show by themselves that one column or level tells
//! classes apart.

use super::coder::Coder;
use super::label::Label;
use super::levels::{CategoryPlan, known};
use super::plan::Plan;
use super::rows::fold_rows;
use super::sample_weights::SampleWeights;
use super::scan::{Batch, by_partition};
use super::table::Table;
use crate::error::Result;
use crate::monitor::Monitor;

/// Where the values of a class end in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends {
    /// The smallest value.
    pub low: f64,
    /// Rows that have it.
    pub at_low: u64,
    /// The largest value.
    pub high: f64,
    /// Rows that have it.
    pub at_high: u64,
}

impl Ends {
    const NONE: Self = Self { low: f64::INFINITY, at_low: 0, high: f64::NEG_INFINITY, at_high: 0 };

    fn merge(&mut self, other: Self) {
        if other.low < self.low {
            (self.low, self.at_low) = (other.low, 0);
        }
        if other.high > self.high {
            (self.high, self.at_high) = (other.high, 0);
        }
        // The same numbers, bit by bit but for the sign of 0.
        self.at_low += if other.low > self.low { 0 } else { other.at_low };
        self.at_high += if other.high < self.high { 0 } else { other.at_high };
    }
}

/// Where the classes lie, of the rows whose weight is not 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcomes {
    /// Rows of each class.
    pub rows: Vec<u64>,
    /// Of each feature that is a column, `[features][classes]`.
    pub ends: Vec<Vec<Ends>>,
    /// Rows of each level of each category, the reference first, `[categories][levels][classes]`.
    pub levels: Vec<Vec<Vec<u64>>>,
}

/// Counts the classes in every column of `plan`, in the values of the file: a decode of the table.
pub fn outcomes(table: &Table, plan: &Plan, label: &Label, monitor: &dyn Monitor) -> Result<Outcomes> {
    let classes = label.classes.len();
    // Levels are counted by their codes: written out, thousands of them would take their number of times as long.
    let plain = Plan { categories: Vec::new(), ..plan.clone() };
    let zero = || (vec![0; classes], vec![vec![Ends::NONE; classes]; plain.features.len()]);
    let parts = fold_rows(table, &plain, label, monitor, zero, |(rows, ends), block| {
        let counts = |row: usize| block.weights.is_none_or(|weights| weights[row] > 0.0);
        for (row, class) in block.labels.iter().enumerate().filter(|(row, _)| counts(*row)) {
            rows[*class as usize] += 1;
            for (ends, column) in ends.iter_mut().zip(&*block.features) {
                let x = column[row];
                let ends = &mut ends[*class as usize];
                if x > ends.low && x < ends.high {
                    continue;
                }
                ends.merge(Ends { low: x, at_low: 1, high: x, at_high: 1 });
            }
        }
    })?;
    let (mut rows, mut ends) = zero();
    for (of_rows, of_ends) in parts {
        rows.iter_mut().zip(of_rows).for_each(|(sum, rows)| *sum += rows);
        for (ends, part) in ends.iter_mut().flatten().zip(of_ends.into_iter().flatten()) {
            ends.merge(part);
        }
    }
    let levels =
        plan.categories.iter().map(|category| counts(table, plan, label, category, monitor)).collect::<Result<_>>()?;
    Ok(Outcomes { rows, ends, levels })
}

/// Rows of each level and class of a category.
fn counts(
    table: &Table,
    plan: &Plan,
    label: &Label,
    category: &CategoryPlan,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<u64>>> {
    let sample_weights = SampleWeights::of(table, plan, label, plan.factors.as_deref());
    let of_weights = sample_weights.iter().flat_map(|sample_weights| sample_weights.columns().iter().copied());
    let columns: Vec<usize> = [category.column, plan.label.column].into_iter().chain(of_weights).collect();
    let kinds = [category.column, plan.label.column].map(|column| table.fields[column].kind);
    let coders = [Coder::of(&category.levels), label.coder()];
    let classes = label.classes.len();
    let zero = || vec![vec![0; classes]; category.levels.len()];
    let count = |(found, codes): &mut (Vec<Vec<u64>>, [Vec<u16>; 2]), batch: &Batch<'_>| {
        for (place, ((codes, coder), kind)) in codes.iter_mut().zip(&coders).zip(kinds).enumerate() {
            codes.clear();
            coder.codes(&batch.array(place)?, kind, codes)?;
        }
        known(table, category, batch.first_row, &codes[0])?;
        let of_weights = |sample_weights: &SampleWeights| {
            sample_weights.weights(&batch.arrays(2..2 + sample_weights.columns().len())?)
        };
        let weights = sample_weights.as_ref().map(of_weights).transpose()?;
        for (row, (level, class)) in codes[0].iter().zip(&codes[1]).enumerate() {
            let counts = weights.as_ref().is_none_or(|weights| weights[row] > 0.0);
            // A class that is new since the label was read is found out when the file is checked at the end.
            if let Some(count) = found[usize::from(*level)].get_mut(usize::from(*class)).filter(|_| counts) {
                *count += 1;
            }
        }
        Ok(())
    };
    let parts = by_partition(table, &columns, monitor, |_| (zero(), Default::default()), count)?;
    let mut found = zero();
    for (part, _) in parts {
        let counts = found.iter_mut().flatten().zip(part.into_iter().flatten());
        counts.for_each(|(sum, count): (&mut u64, u64)| *sum += count);
    }
    table.check_unchanged()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_those_of_all_parts() {
        let of = |values: &[f64]| {
            let mut ends = Ends::NONE;
            for &x in values {
                ends.merge(Ends { low: x, at_low: 1, high: x, at_high: 1 });
            }
            ends
        };
        let mut merged = of(&[2.0, 1.0, 3.0, 1.0]);
        merged.merge(of(&[3.0, -0.0, 0.0]));
        assert_eq!(merged, Ends { low: 0.0, at_low: 2, high: 3.0, at_high: 2 });
        merged.merge(Ends::NONE);
        assert_eq!(merged, of(&[2.0, 1.0, 3.0, 1.0, 3.0, -0.0, 0.0]));
    }
}
