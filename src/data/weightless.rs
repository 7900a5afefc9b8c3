//! Rows that weigh nothing.

use arrow::buffer::BooleanBuffer;
use rayon::prelude::*;

use super::decode::{Part, decode, known_extent};
use super::numbers::to_f64;
use super::scan::{Batch, Pace, scan};
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, plain};

/// The weights that 32 bits hold with all their digits, and that no device takes for 0 or for infinity.
pub(super) const LEAST: f64 = f32::MIN_POSITIVE as f64;
pub(super) const MOST: f64 = f32::MAX as f64;

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
        to_f64(&batch.array(0)?, weights)?;
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
