//! Where values are missing, found out before a table is read.

use std::collections::HashSet;
use std::sync::Mutex;

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::decode::{Part, decode, jobs};
use super::field::{Field, missing};
use super::numbers::to_f64;
use super::table::{Group, Table};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::listed;

/// Where values are missing.
pub(super) struct MissingCounts {
    /// Columns and in how many rows each is missing.
    missing: Vec<(usize, String, u64)>,
    /// For each partition of the table, which of its rows have all columns.
    complete: Vec<BooleanBuffer>,
}

impl MissingCounts {
    /// Looks at `columns` of `table`; those that miss no value as far as is known are not read.
    pub(super) fn of(table: &Table, columns: &[usize], monitor: &dyn Monitor) -> Result<Self> {
        let uncertain: Vec<usize> = columns
            .iter()
            .copied()
            .filter(|&column| table.groups.iter().any(|group| may_miss(table, group, &table.fields[column])))
            .collect();
        monitor.begin("missing values", Some((table.rows * uncertain.len()) as u64));
        let complete: Vec<Mutex<BooleanBuffer>> =
            table.groups.iter().map(|group| Mutex::new(BooleanBuffer::new_set(group.rows))).collect();
        let counts: Vec<(std::ops::Range<usize>, Vec<u64>)> = jobs(table, &uncertain)
            .into_par_iter()
            .map(|job| {
                let mut counts = vec![0; job.places.len()];
                let mut values = Vec::new();
                let mut here = Vec::with_capacity(table.groups[job.group].rows);
                decode(table, &Part::whole(job.group), &uncertain[job.places.clone()], |before, arrays| {
                    monitor.check()?;
                    here.resize(before + arrays[0].len(), true);
                    for (array, count) in arrays.iter().zip(&mut counts) {
                        values.clear();
                        if is_float(array.data_type()) {
                            to_f64(array, &mut values)?;
                        }
                        if let Some(valid) = missing(array, &values) {
                            *count += valid.null_count() as u64;
                            for (here, valid) in here[before..].iter_mut().zip(&valid) {
                                *here &= valid;
                            }
                        }
                        monitor.advance(array.len() as u64);
                    }
                    Ok(())
                })?;
                if counts.iter().any(|count| *count > 0) {
                    let mut complete = complete[job.group].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    *complete = &*complete & &BooleanBuffer::from(here);
                }
                Ok((job.places, counts))
            })
            .collect::<Result<_>>()?;
        monitor.end();
        let mut missing: Vec<(usize, String, u64)> =
            uncertain.iter().map(|&column| (column, table.fields[column].name.clone(), 0)).collect();
        for (places, counts) in counts {
            for (entry, count) in missing[places].iter_mut().zip(counts) {
                entry.2 += count;
            }
        }
        let complete =
            complete.into_iter().map(|rows| rows.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(Self { missing, complete: complete.collect() })
    }

    /// The columns that are missing somewhere.
    pub(super) fn columns(&self) -> HashSet<usize> {
        self.missing.iter().filter(|(.., count)| *count > 0).map(|(column, ..)| *column).collect()
    }

    /// The rows of `table` that have all columns, and the counts of what is missing as a list.
    pub(super) fn complete_rows(&self, table: &Table) -> Result<(Table, String)> {
        let list: Vec<String> = self
            .missing
            .iter()
            .filter(|(.., count)| *count > 0)
            .map(|(_, name, count)| format!("{name} ({count})"))
            .collect();
        let keep = table.groups.iter().zip(&self.complete).map(|(group, complete)| group.keeping(complete)).collect();
        let complete = table.restricted(keep);
        if complete.rows == 0 {
            return Err(Error::data(
                format!("every one of {} rows has missing values: {}", table.rows, listed(&list)),
                "Leave the columns out that are mostly missing (⟦ignore⟧), or fill them: ⟦nulls⟧ mean or indicator.",
            ));
        }
        Ok((complete, listed(&list)))
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// Whether a value of the column may be missing in the partition, as far as its source knows.
fn may_miss(table: &Table, group: &Group, field: &Field) -> bool {
    // What is known of the whole says nothing of a leaf of a struct or list.
    !field.is_whole() || is_float(&field.arrow_type) || table.source.nulls(group.partition, field.root()) != Some(0)
}
