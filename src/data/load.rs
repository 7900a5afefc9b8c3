//! Reading a table into a store: the label, a sample, then every feature in one decode of the file.

use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, UInt64Type};
use rayon::prelude::*;

use super::categories::{load_categories, scale_of_share};
use super::decode::{BATCH_ROWS, Job, Part, check_extent, decode, jobs, jobs_of_runs, runs};
use super::encoded::{Encoded, EncodedCategory, Feature};
use super::field::{Field, Kind};
use super::offsets::load_offsets;
use super::plan::{ClassWeight, FeaturePlan, Nulls, Plan, Takes};
use super::sample_weights::{SampleWeights, factors, weigh};
use super::scale::{ColumnMoments, Missing, Narrowing, middle_half, sample_runs};
use super::table::Table;
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::standardize::ColumnScale;
use crate::wording::{counted, lines, listed, plain};

/// Reads the columns of `plan` into `store`: each decoded once, and once more where its sample misled or where missing
/// values are to be filled with a mean that is known only then.
pub fn load(table: &Table, plan: &Plan, store: &dyn Store, monitor: &dyn Monitor) -> Result<Encoded> {
    monitor.begin("reading", Some((table.rows * (plan.features.len() + plan.categories.len() + 1)) as u64));
    // The label first: it is one column, and what is wrong with it shows before the rest is read.
    let label = plan.label.load(table, store, monitor).map_err(|error| plan.beside_weightless(error))?;
    // Balanced classes are so by their weights, which have to be summed first.
    let by_column = SampleWeights::of(table, plan, &label, None).filter(|_| plan.class_weight == ClassWeight::Balanced);
    let nowhere = |_: usize, _: &[f32]| Ok(());
    let mut totals = weigh(table, plan, &label, by_column.as_ref(), monitor, nowhere)?;
    let factors = factors(table, plan, &label, &totals)?;
    let sample_weights = SampleWeights::of(table, plan, &label, factors.as_deref());
    if sample_weights.is_some() {
        let keep = |first_row: usize, weights: &[f32]| store.write(Column::Weight, first_row, weights);
        totals = weigh(table, plan, &label, sample_weights.as_ref(), monitor, keep)?;
    }
    let offset_means = load_offsets(table, &plan.offsets, store, monitor)?;
    let samples = sample(table, &plan.features, monitor)?;
    let mut narrowings: Vec<Narrowing> = samples.iter().map(|sample| sample.narrowing).collect();
    let mut fills: Vec<Option<f64>> = vec![None; plan.features.len()];
    let mut columns: Vec<Option<Read>> = vec![None; plan.features.len()];
    let mut pending: Vec<usize> = (0..plan.features.len()).collect();
    let mut missing = vec![0; plan.features.len()];
    let mut notes = plan.notes.clone();
    for attempt in 0..4 {
        let how: Vec<How> =
            pending.iter().map(|&index| How::new(plan, index, narrowings[index], fills[index])).collect();
        let read = read(table, &how, sample_weights.as_ref(), store, monitor)?;
        for (&index, column) in pending.iter().zip(read) {
            columns[index] = Some(column);
        }
        let all: Vec<&Read> = columns.iter().flatten().collect();
        check_cells(table, plan, &all)?;
        let corrections: Vec<(usize, Narrowing)> =
            pending.iter().filter_map(|&index| Some((index, all[index].moments.correction()?))).collect();
        let filled: Vec<(usize, f64)> = pending
            .iter()
            .filter(|&&index| all[index].moments.missing > 0)
            .map(|&index| Ok((index, mean_of_others(&table.fields[plan.features[index].column], &all[index].moments)?)))
            .collect::<Result<_>>()?;
        for &(index, _) in &filled {
            missing[index] = all[index].moments.missing;
        }
        let name = |index: usize| table.fields[plan.features[index].column].name.as_str();
        if !corrections.is_empty() && attempt < 3 {
            let names: Vec<&str> = corrections.iter().map(|&(index, _)| name(index)).collect();
            notes.push(format!(
                "decoded once more, because a sample of their rows did not show their scale: {}",
                listed(&names)
            ));
        }
        let again = corrections.iter().map(|(index, _)| *index).chain(filled.iter().map(|(index, _)| *index));
        let again: HashSet<usize> = again.collect();
        pending.retain(|index| again.contains(index));
        if pending.is_empty() || attempt == 3 {
            break;
        }
        for (index, narrowing) in corrections {
            narrowings[index] = narrowing;
        }
        for (index, mean) in filled {
            fills[index] = Some(mean);
        }
        store.settle()?;
    }
    let shares = load_categories(table, plan, sample_weights.as_ref(), store, monitor)?;
    monitor.end();
    table.check_unchanged()?;
    let (names, mut features) = (plan.feature_names(table), Vec::with_capacity(plan.features()));
    for (index, column) in columns.iter().flatten().enumerate() {
        let FeaturePlan { column: place, takes, .. } = plan.features[index];
        let field = &table.fields[place];
        let scale = column.scale(field, narrowings[index])?;
        samples[index].check_outliers(field, scale)?;
        // What nobody is missing here may be missing where the model is applied.
        let fill = (plan.nulls.fills() && takes == Takes::Value).then(|| fills[index].unwrap_or(scale.mean));
        features.push(match takes {
            Takes::Value => Feature {
                name: names[features.len()].own.clone(),
                kind: field.kind,
                unit: field.unit,
                indicates: None,
                level: None,
                fill,
                missing: missing[index],
                scale,
                is_exact: samples[index].is_exact && samples[index].narrowing == narrowings[index],
            },
            Takes::Missing => Feature {
                name: names[features.len()].own.clone(),
                kind: Kind::Boolean,
                unit: None,
                indicates: Some(field.name.clone()),
                level: None,
                fill: None,
                missing: 0,
                scale,
                is_exact: true,
            },
        });
    }
    let mut categories = Vec::with_capacity(plan.categories.len());
    for (index, (category, shares)) in plan.categories.iter().zip(shares).enumerate() {
        let field = &table.fields[category.column];
        for (code, share) in shares.into_iter().enumerate().skip(1) {
            features.push(Feature {
                name: names[features.len()].own.clone(),
                kind: Kind::Boolean,
                unit: None,
                indicates: None,
                level: Some((index, code)),
                fill: None,
                missing: 0,
                scale: scale_of_share(share),
                is_exact: true,
            });
        }
        let (levels, rows) = (category.levels.clone(), category.rows.clone());
        categories.push(EncodedCategory { name: field.name.clone(), kind: field.kind, levels, rows });
    }
    check_names(&features)?;
    let constant: Vec<String> = features
        .iter()
        .filter(|feature| feature.scale.scale == 0.0)
        .map(|feature| format!("{} (always {})", feature.name, feature.scale.mean))
        .collect();
    if !constant.is_empty() {
        notes.push(format!("constant: {}", listed(&constant)));
    }
    let filled: Vec<String> = features
        .iter()
        .filter(|feature| feature.missing > 0)
        .map(|feature| {
            let (rows, fill) = (counted(feature.missing, "row"), feature.fill.unwrap_or(f64::NAN));
            format!("{} ({rows}: {fill:.6})", feature.name)
        })
        .collect();
    if !filled.is_empty() {
        notes.push(format!("missing values filled with the mean of the others: {}", listed(&filled)));
    }
    let names = |column: Option<usize>| column.map(|column| table.fields[column].name.clone());
    let (weight, offsets) = (names(plan.weight), plan.offsets.iter().map(|column| names(*column)).collect());
    Ok(Encoded {
        label,
        features,
        categories,
        totals,
        weight,
        offsets,
        offset_means,
        class_weight: factors,
        notes,
        warnings: plan.warnings.clone(),
        left_out: plan.left_out.clone(),
    })
}

/// An error if two features would have one name: `(null)` as a text beside rows without one, or `a` with the level `b=c`
/// beside `a=b` with the level `c`.
fn check_names(features: &[Feature]) -> Result<()> {
    let mut names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    names.sort_unstable();
    let Some(name) = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) else { return Ok(()) };
    Err(Error::data(
        format!("two features would be called `{}`", plain(name)),
        "Rename the column or the level upstream, or leave the column out with ⟦ignore⟧.",
    ))
}

/// What stands in for the missing values of a column.
fn mean_of_others(field: &Field, moments: &ColumnMoments) -> Result<f64> {
    let mean = moments.exact().mean;
    if moments.has_values() {
        return Ok(mean);
    }
    Err(Error::data(
        format!("column `{}` is missing (null or NaN) in all rows", plain(&field.name)),
        "Leave it out with ⟦ignore⟧: it says nothing.",
    ))
}

/// Decodes the columns of `plan` and forgets them: what a benchmark of the decoder alone measures.
pub fn decode_only(table: &Table, plan: &Plan) -> Result<()> {
    let columns: Vec<usize> = plan.columns().collect();
    jobs(table, &columns).into_par_iter().try_for_each(|job| {
        decode(table, &Part::whole(job.group), &columns[job.places], |_, arrays| {
            std::hint::black_box(arrays);
            Ok(())
        })
        .map(drop)
    })
}

/// What one feature's jobs found.
#[derive(Clone, Debug)]
struct Read {
    moments: ColumnMoments,
    /// Range of 64-bit integers that f64 cannot tell apart from their neighbours.
    integers: Option<(i128, i128)>,
}

impl Read {
    /// Adds the rows that follow.
    fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.integers = match (self.integers, other.integers) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    /// Narrows the rows of `array`, which begins at `first_row`, into `narrowed`. `values` is scratch.
    fn take(
        &mut self,
        first_row: usize,
        array: &ArrayRef,
        how: How,
        weights: Option<&[f64]>,
        values: &mut Vec<f64>,
        narrowed: &mut Vec<f32>,
    ) -> Result<()> {
        match (array.data_type(), array.nulls(), how.takes) {
            // As they lie in the array, without a copy in f64 in between.
            (DataType::Float32, None, Takes::Value) => {
                let values = array.as_primitive::<Float32Type>().values();
                self.moments.take(first_row, values, weights, |_| false, how.missing, narrowed);
            }
            (DataType::Float64, None, Takes::Value) => {
                let values = array.as_primitive::<Float64Type>().values();
                self.moments.take(first_row, values, weights, |_| false, how.missing, narrowed);
            }
            (_, nulls, takes) => {
                values.clear();
                takes.values(array, values)?;
                let is_null = |row| nulls.is_some_and(|nulls| nulls.is_null(row));
                self.moments.take(first_row, values, weights, is_null, how.missing, narrowed);
            }
        }
        Ok(())
    }

    /// The column's scale, or why it cannot be used.
    fn scale(&self, field: &Field, narrowing: Narrowing) -> Result<ColumnScale> {
        let exact = self.moments.exact();
        let name = plain(&field.name);
        // Integers beyond 2^53 that differ although their f64s do not.
        if exact.scale == 0.0 && self.integers.is_some_and(|(low, high)| low != high) {
            return Err(Error::data(
                format!("column `{name}` holds integers near {:e} whose differences are lost in f64", exact.mean),
                "Subtract a constant upstream, so that they are below 9e15 (2^53).",
            ));
        }
        if self.moments.correction().is_some() || !exact.mean.is_finite() || !exact.scale.is_finite() {
            return Err(Error::data(
                format!("column `{name}` reaches {:e} and cannot be brought to a common scale", self.moments.largest()),
                "Rescale it upstream (a logarithm?), or leave it out with ⟦ignore⟧.",
            ));
        }
        if exact.scale > 0.0 && exact.mean.abs() > 1e10 * exact.scale {
            return Err(Error::data(
                format!(
                    "column `{name}` has mean {:e} and standard deviation {:e}: on that scale f64 leaves fewer than six digits \
                     for its effect",
                    exact.mean, exact.scale
                ),
                "Subtract a constant near its mean upstream.",
            ));
        }
        Ok(ColumnScale {
            mean: exact.mean,
            scale: exact.scale,
            device_mean: narrowing.mean,
            device_scale: narrowing.scale,
            reach: self.moments.reach(),
        })
    }
}

/// What a sample of its rows says of a feature.
struct Sample {
    narrowing: Narrowing,
    /// All values of the sample go through f32 without rounding.
    is_exact: bool,
    /// Where the middle half of the values lies.
    middle: Option<(f64, f64)>,
}

/// Least spread of the middle half, in standard deviations, that f32 still resolves to a percent.
const LEAST_SPREAD: f64 = 1e-6;

impl Sample {
    fn of(values: &[f64]) -> Self {
        let narrowing = Narrowing::of_sample(values);
        Self { narrowing, is_exact: narrowing.is_exact(values), middle: middle_half(values) }
    }

    /// An error if a few far outliers make the standard deviation so large that the rest of the column collapses.
    fn check_outliers(&self, field: &Field, scale: ColumnScale) -> Result<()> {
        let Some((low, high)) = self.middle else { return Ok(()) };
        let spread = high - low;
        if spread > 0.0 && spread < LEAST_SPREAD * scale.scale {
            return Err(Error::data(
                format!(
                    "column `{}` has outliers: half of its values lie between {low:e} and {high:e}, its standard deviation \
                     is {:e}; on one scale the bulk cannot be told apart",
                    plain(&field.name),
                    scale.scale
                ),
                "Check those values; clip or transform the column upstream (a logarithm?), or leave it out with ⟦ignore⟧.",
            ));
        }
        Ok(())
    }
}

/// Samples of all features.
fn sample(table: &Table, features: &[FeaturePlan], monitor: &dyn Monitor) -> Result<Vec<Sample>> {
    let columns: Vec<usize> = features.iter().map(|feature| feature.column).collect();
    let sampled = sample_runs(table.rows);
    let of_group = |group: usize| -> Vec<Range<usize>> {
        let about = &table.groups[group];
        let here = about.first_row..about.first_row + about.rows;
        sampled
            .iter()
            .map(|run| run.start.max(here.start)..run.end.min(here.end))
            .filter(|run| !run.is_empty())
            .map(|run| about.range_of_all(run.start - here.start..run.end - here.start))
            .collect()
    };
    let ranges: Vec<_> = (0..table.groups.len()).map(of_group).collect();
    let groups: Vec<usize> = (0..table.groups.len()).filter(|&group| !ranges[group].is_empty()).collect();
    let of_part = |places: &Range<usize>, group: usize| -> Result<Vec<Vec<f64>>> {
        let mut values = vec![Vec::new(); places.len()];
        let is_whole = matches!(&ranges[group][..], [all] if *all == (0..table.groups[group].all_rows));
        let part = Part { rows: (!is_whole).then(|| ranges[group].clone()), ..Part::whole(group) };
        decode(table, &part, &columns[places.clone()], |_, arrays| {
            monitor.check()?;
            let places = places.clone().zip(arrays).zip(&mut values);
            places.into_iter().try_for_each(|((place, array), values)| features[place].takes.values(array, values))
        })?;
        for values in &mut values {
            values.retain(|x| x.is_finite());
        }
        Ok(values)
    };
    // The values of a run of columns are gone before there are those of many others: of 20,000 columns they are large.
    let samples = runs(table, &columns).into_par_iter().map(|places| {
        let of_groups: Vec<_> = groups.par_iter().map(|&group| of_part(&places, group)).collect::<Result<Vec<_>>>()?;
        let mut of_groups = of_groups.into_iter();
        let mut values = of_groups.next().unwrap_or_else(|| vec![Vec::new(); places.len()]);
        for of_group in of_groups {
            values.iter_mut().zip(of_group).for_each(|(values, more)| values.extend(more));
        }
        Ok(values.iter().map(|values| Sample::of(values)).collect())
    });
    let samples: Vec<Vec<Sample>> = samples.collect::<Result<_>>()?;
    Ok(samples.into_iter().flatten().collect())
}

/// How a feature is to be read.
#[derive(Clone, Copy)]
struct How {
    /// Its index in the store.
    index: usize,
    /// Its column of the table.
    column: usize,
    takes: Takes,
    narrowing: Narrowing,
    missing: Missing,
}

impl How {
    fn new(plan: &Plan, index: usize, narrowing: Narrowing, fill: Option<f64>) -> Self {
        let FeaturePlan { column, takes, .. } = plan.features[index];
        let missing = match (plan.nulls, fill) {
            (_, Some(fill)) => Missing::Fill(fill),
            (Nulls::Error | Nulls::DropRow, None) => Missing::Refuse,
            (Nulls::Mean | Nulls::Indicator, None) => Missing::LeaveOut,
        };
        Self { index, column, takes, narrowing, missing }
    }
}

/// Decodes features, narrows them into `store` and gives what was found of each, in the same order.
fn read(
    table: &Table,
    how: &[How],
    sample_weights: Option<&SampleWeights>,
    store: &dyn Store,
    monitor: &dyn Monitor,
) -> Result<Vec<Read>> {
    let columns: Vec<usize> = how.iter().map(|how| how.column).collect();
    let is_one_group = table.groups.len() == 1;
    let work = |(values, narrowed): &mut (Vec<f64>, Vec<f32>), job: &Job| {
        let how = &how[job.places.clone()];
        let mut reads: Vec<Read> =
            how.iter().map(|how| Read { moments: ColumnMoments::new(how.narrowing), integers: None }).collect();
        // Weighted moments: the weights come along with every column, as constant memory wants it.
        let of_weights = sample_weights.map_or(&[][..], SampleWeights::columns);
        let decoded: Vec<usize> = columns[job.places.clone()].iter().chain(of_weights).copied().collect();
        // The moments have the extent of the values anyway, of numbers that are taken as they are.
        let is_value = |how: &How| how.takes == Takes::Value && !matches!(how.missing, Missing::Fill(_));
        let are_values = how.iter().all(is_value) && of_weights.is_empty();
        let part = Part { checks_values: !are_values, ..Part::whole(job.group) };
        decode(table, &part, &decoded, |before, arrays| {
            monitor.check()?;
            let (arrays, of_weights) = arrays.split_at(how.len());
            let weights = sample_weights.map(|sample_weights| sample_weights.weights(of_weights)).transpose()?;
            for ((read, how), array) in reads.iter_mut().zip(how).zip(arrays) {
                read.note_integers(array);
                let first_row = job.first_row + before;
                read.take(first_row, array, *how, weights.as_deref(), values, narrowed)?;
                store.write(Column::Feature(how.index), first_row, narrowed)?;
                monitor.advance(narrowed.len() as u64);
            }
            Ok(())
        })?;
        // What stands in for a bad cell is none of its values.
        for (read, how) in reads.iter().zip(how).filter(|(read, _)| are_values && !read.moments.bad.any()) {
            read.moments.extent().map_or(Ok(()), |extent| check_extent(table, job.group, how.column, extent))?;
        }
        if is_one_group {
            for read in &mut reads {
                read.moments.close();
            }
        }
        Ok(reads)
    };
    // Jobs are row group by row group, and within one in the order of `how`: merge in row order. Some row groups at a
    // time, because what they leave behind has the rows of blocks that are not whole; for the same reason some columns.
    let most = OPEN_BYTES / ColumnMoments::open_bytes(table.rows).max(1);
    let mut all: Vec<Read> = Vec::with_capacity(how.len());
    let mut runs = &runs(table, &columns)[..];
    while let Some(first) = runs.first() {
        let more = runs[1..].iter().take_while(|run| is_one_group || run.end - first.start <= most).count();
        let (now, later) = runs.split_at(1 + more);
        runs = later;
        let columns = now[more].end - first.start;
        let jobs = jobs_of_runs(table, now);
        let groups = WINDOW.div_ceil(columns).max(rayon::current_num_threads().div_ceil(now.len()));
        let mut merged: Vec<Read> = Vec::new();
        for some in jobs.chunks(now.len() * groups) {
            let buffers = || (Vec::with_capacity(BATCH_ROWS), Vec::with_capacity(BATCH_ROWS));
            let found: Vec<Vec<Read>> = some.par_iter().map_init(buffers, work).collect::<Result<_>>()?;
            let mut found = found.into_iter().flatten();
            if merged.is_empty() {
                merged = found.by_ref().take(columns).collect();
            }
            for (position, read) in found.enumerate() {
                merged[position % columns].merge(&read);
            }
        }
        if !is_one_group {
            for column in &mut merged {
                column.moments.close();
            }
        }
        all.extend(merged);
    }
    Ok(all)
}

/// Bytes of rows that wait for the rest of their block, of all columns that are read at the same time.
const OPEN_BYTES: usize = 32 << 20;

/// Columns of row groups that are worked on before what they found is merged.
const WINDOW: usize = 512;

/// 2^53: from here on f64 skips integers.
const EXACT_INTEGERS: i128 = 1 << 53;

impl Read {
    fn note_integers(&mut self, array: &ArrayRef) {
        let range = match array.data_type() {
            DataType::Int64 => {
                let array = array.as_primitive::<Int64Type>();
                min(array).zip(max(array)).map(|(low, high)| (i128::from(low), i128::from(high)))
            }
            DataType::UInt64 => {
                let array = array.as_primitive::<UInt64Type>();
                min(array).zip(max(array)).map(|(low, high)| (i128::from(low), i128::from(high)))
            }
            _ => None,
        };
        if let Some((low, high)) = range
            && (high > EXACT_INTEGERS || low < -EXACT_INTEGERS)
        {
            let (a, b) = self.integers.unwrap_or((low, high));
            self.integers = Some((a.min(low), b.max(high)));
        }
    }
}

/// An error that names every column with cells that are no finite numbers.
fn check_cells(table: &Table, plan: &Plan, columns: &[&Read]) -> Result<()> {
    let bad: Vec<String> = columns
        .iter()
        .zip(&plan.features)
        .filter(|(read, _)| read.moments.bad.any())
        .map(|(read, feature)| {
            let cells = &read.moments.bad;
            let counts: Vec<String> = [(cells.nulls, "null"), (cells.nans, "NaN"), (cells.infinities, "infinite")]
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            format!(
                "{}: {}; first rows, from 0: {}",
                table.fields[feature.column].name,
                counts.join(", "),
                table.row_names(&cells.first_rows)
            )
        })
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::data(
        format!(
            "{} of {} feature columns have cells that are no finite numbers:{}",
            bad.len(),
            columns.len(),
            lines(&bad)
        ),
        "Leave those columns out with ⟦ignore⟧, or say what to do with rows that miss values: ⟦nulls drop-row⟧, mean or \
         indicator. Infinite values have to be corrected upstream.",
    ))
}
