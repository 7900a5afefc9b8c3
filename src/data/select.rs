//! Which rows of a table are used: those that meet a condition, the first ones, a random part, and what is held back.

use arrow::array::RecordBatch;
use arrow::array::{Array, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field as ArrowField, Schema};
use rayon::prelude::*;

use super::decode::{Part, decode};
use super::predicate::{Bound, Known, Predicate};
use super::table::{Group, Table};
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// Which rows the user asked for. They apply in this order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows that meet this condition.
    pub filter: Option<Predicate>,
    /// About this part of them, in 0..1, by chance.
    pub sample: Option<f64>,
    /// So many of them at most, the first ones.
    pub limit: Option<usize>,
    /// About this part of what is left, in 0..1, is held back by chance.
    pub split: Option<f64>,
    /// Makes chance repeatable.
    pub seed: u64,
}

/// A table in two parts.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The rows to train on.
    pub training: Table,
    /// The rows that are held back.
    pub validation: Option<Table>,
}

/// Which draw by chance a row takes part in: independent of each other.
const SAMPLE: u64 = 1;
const SPLIT: u64 = 2;

impl Rows {
    /// The rows of `table` that are asked for. Chance depends on the seed and on a row's place among all rows of the
    /// source, so its cut into partitions changes nothing, and sorted rows are split fairly.
    pub fn select(&self, table: &Table, monitor: &dyn Monitor) -> Result<Selected> {
        if table.rows == 0 {
            return Ok(Selected { training: table.clone(), validation: None });
        }
        let bound = match &self.filter {
            Some(predicate) => Some(bind(predicate, table)?),
            None => None,
        };
        let before = table.rows;
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut keep: Vec<BooleanBuffer> = Vec::with_capacity(table.groups.len());
        let mut chosen = 0;
        if bound.is_some() {
            monitor.begin("selecting rows", Some(before as u64));
        }
        // A few partitions at a time: what comes after the limit need not be decoded.
        for first in (0..table.groups.len()).step_by(4 * rayon::current_num_threads()) {
            let end = (first + 4 * rayon::current_num_threads()).min(table.groups.len());
            if chosen >= limit {
                keep.extend(table.groups[first..end].iter().map(|group| BooleanBuffer::new_unset(group.all_rows)));
                continue;
            }
            let some: Vec<BooleanBuffer> = (first..end)
                .into_par_iter()
                .map(|group| {
                    let about = &table.groups[group];
                    let rows = match &bound {
                        // What is known to have no such row is not read.
                        Some((bound, columns)) if is_ruled_out(table, about, bound, columns)? => {
                            BooleanBuffer::new_unset(about.rows)
                        }
                        Some((bound, columns)) => meeting(table, group, bound, columns, monitor)?,
                        None => BooleanBuffer::new_set(about.rows),
                    };
                    let kept = about.keeping(&rows);
                    Ok(match self.sample {
                        Some(part) => &kept & &self.drawn(about, SAMPLE, part),
                        None => kept,
                    })
                })
                .collect::<Result<_>>()?;
            for rows in some {
                let rows = first_of(&rows, limit - chosen.min(limit));
                chosen += rows.count_set_bits();
                keep.push(rows);
            }
        }
        if bound.is_some() {
            monitor.end();
        }
        if chosen == 0 {
            return Err(Error::data(
                format!("none of the {before} rows of {} is left by {}", table.name(), self.settings()),
                "Ask for less.",
            ));
        }
        let Some(part) = self.split else {
            return Ok(Selected { training: table.restricted(keep), validation: None });
        };
        let held_back: Vec<BooleanBuffer> =
            table.groups.iter().zip(&keep).map(|(group, keep)| keep & &self.drawn(group, SPLIT, part)).collect();
        let training = keep.iter().zip(&held_back).map(|(keep, back)| keep & &!back).collect();
        let (training, validation) = (table.restricted(training), table.restricted(held_back));
        if training.rows == 0 || validation.rows == 0 {
            return Err(Error::data(
                format!(
                    "⟦split {part}⟧ of {chosen} rows leaves {} to train and {} to validate",
                    training.rows, validation.rows
                ),
                "Give a part between 0 and 1, of enough rows.",
            ));
        }
        Ok(Selected { training, validation: Some(validation) })
    }

    /// The rows of the partition that a draw takes.
    fn drawn(&self, group: &Group, draw: u64, part: f64) -> BooleanBuffer {
        let threshold = part * 2.0_f64.powi(64);
        let stream = hash(self.seed.wrapping_mul(4).wrapping_add(draw));
        let first = group.first_of_all as u64;
        BooleanBuffer::collect_bool(group.all_rows, |row| (hash(stream ^ (first + row as u64)) as f64) < threshold)
    }

    /// The settings that left rows out, for messages.
    fn settings(&self) -> String {
        let settings = [
            self.filter.as_ref().map(|_| "⟦where⟧".to_owned()),
            self.sample.map(|part| format!("⟦sample {part}⟧")),
            self.limit.map(|rows| format!("⟦limit {rows}⟧")),
        ];
        settings.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The condition over the columns of `table`, and their indices.
fn bind(predicate: &Predicate, table: &Table) -> Result<(Bound, Vec<usize>)> {
    let names: Vec<&str> = table.fields.iter().map(|field| field.name.as_str()).collect();
    let mut columns = Vec::new();
    for name in predicate.columns() {
        columns.extend(table.find_shared(name)?);
    }
    let of = |name: &str| {
        let column = columns.iter().find(|&&column| table.fields[column].name == name)?;
        Some(table.fields[*column].arrow_type.clone())
    };
    let bound = predicate.bind(of, &names)?;
    Ok((bound, columns))
}

/// Whether what is known of a partition excludes that a row of it meets the condition.
fn is_ruled_out(table: &Table, group: &Group, bound: &Bound, columns: &[usize]) -> Result<bool> {
    bound.excludes(group.all_rows as u64, |name| {
        let column = columns.iter().map(|&column| &table.fields[column]).find(|field| field.name == name);
        // What is known of the whole says nothing of a leaf of a struct or list.
        let Some(field) = column.filter(|field| field.is_whole()) else { return Ok(Known::default()) };
        let (partition, root) = (group.partition, field.root());
        Ok(Known { bounds: table.source.bounds(partition, root)?, nulls: table.source.nulls(partition, root) })
    })
}

/// Which of the table's rows of a partition meet the condition.
fn meeting(
    table: &Table,
    group: usize,
    bound: &Bound,
    columns: &[usize],
    monitor: &dyn Monitor,
) -> Result<BooleanBuffer> {
    let schema = std::sync::Arc::new(Schema::new(
        columns
            .iter()
            .map(|&column| ArrowField::new(&table.fields[column].name, table.fields[column].arrow_type.clone(), true))
            .collect::<Vec<_>>(),
    ));
    let mut met = Vec::with_capacity(table.groups[group].rows);
    decode(table, &Part::whole(group), columns, |_, arrays| {
        monitor.check()?;
        let options = RecordBatchOptions::new().with_row_count(arrays.first().map(Array::len));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays.to_vec(), &options)
            .map_err(|cause| Error::internal(format!("the columns of ⟦where⟧ do not fit together: {cause}")))?;
        met.extend(bound.select(&batch)?.values());
        monitor.advance(batch.num_rows() as u64);
        Ok(())
    })?;
    Ok(BooleanBuffer::from(met))
}

/// The first `most` of the set bits.
fn first_of(rows: &BooleanBuffer, most: usize) -> BooleanBuffer {
    if rows.count_set_bits() <= most {
        return rows.clone();
    }
    let end = rows.set_indices().nth(most).unwrap_or(rows.len());
    BooleanBuffer::collect_bool(rows.len(), |row| row < end && rows.value(row))
}

/// Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators": the finaliser of `SplitMix64`.
pub fn hash(row: u64) -> u64 {
    let mut x = row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
