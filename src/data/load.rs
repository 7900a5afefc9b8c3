//! Reading a table into a store: the label, a sample, then every feature in one decode of the file.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, UInt64Type};
use parquet::arrow::arrow_reader::RowSelection;
use rayon::prelude::*;

use super::decode::{BATCH_ROWS, Job, decode, decode_all, jobs, to_f64};
use super::label::{Label, LabelPlan};
use super::scale::{Moments, Narrowing, middle_half, sample_runs};
use super::table::{Field, Kind, Table};
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::standardize::ColumnScale;

/// Which columns the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The label column.
    pub label: Option<String>,
    /// The value of the label that counts as positive.
    pub positive: Option<String>,
    /// The features; if empty, all usable columns.
    pub features: Vec<String>,
    /// Columns to leave out.
    pub ignore: Vec<String>,
}

/// A feature as it was read.
#[derive(Clone, Debug)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it lies, exactly and in the store.
    pub scale: ColumnScale,
}

/// What was read, beside the values that went to the store.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The label.
    pub label: Label,
    /// The features, in the order of their index in the store.
    pub features: Vec<Feature>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A request that was checked against a table's schema.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) label: LabelPlan,
    /// Indices of the feature columns.
    pub(super) features: Vec<usize>,
    notes: Vec<String>,
}

impl Request {
    /// Checks the request against the schema of `table`.
    pub fn check(&self, table: &Table) -> Result<Plan> {
        let label = LabelPlan::new(table, self.label.as_deref(), self.positive.as_deref())?;
        let label_name = &table.fields[label.column].name;
        let mut notes = Vec::new();
        if let Some(name) = self.ignore.iter().find(|name| table.find(name).is_none()) {
            return Err(Error::data(
                format!("--ignore {name}: there is no such column"),
                format!("The columns are: {}", table.names()),
            ));
        }
        let features = if self.features.is_empty() {
            let (usable, left_out): (Vec<usize>, Vec<usize>) = (0..table.fields.len())
                .filter(|&column| column != label.column && !self.ignore.contains(&table.fields[column].name))
                .partition(|&column| table.fields[column].is_feature());
            if !left_out.is_empty() {
                let columns: Vec<String> = left_out
                    .iter()
                    .map(|&c| format!("{} ({})", table.fields[c].name, table.fields[c].data_type))
                    .collect();
                notes.push(format!("not numbers, left out: {}", columns.join(", ")));
            }
            usable
        } else {
            let mut columns = Vec::with_capacity(self.features.len());
            for name in &self.features {
                let column = table.find(name).ok_or_else(|| {
                    Error::data(
                        format!("there is no feature column `{name}`"),
                        format!("The columns are: {}", table.names()),
                    )
                })?;
                check_feature(&table.fields[column], label_name, columns.contains(&column))?;
                if !self.ignore.contains(name) {
                    columns.push(column);
                }
            }
            columns
        };
        if features.is_empty() {
            return Err(Error::data(
                format!("no feature is left beside the label `{label_name}`"),
                format!("Name some with --features; the columns are: {}", table.names()),
            ));
        }
        let names: Vec<&str> = features.iter().map(|&column| table.fields[column].name.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) {
            return Err(Error::data(
                format!("the file has two columns called `{twice}`"),
                "Rename one of them upstream.",
            ));
        }
        Ok(Plan { label, features, notes })
    }
}

fn check_feature(field: &Field, label: &str, again: bool) -> Result<()> {
    if field.name == label {
        return Err(Error::usage(
            format!("`{label}` is the label and cannot be a feature too"),
            "Take it out of --features.",
        ));
    }
    if again {
        return Err(Error::usage(format!("--features names `{}` twice", field.name), "Name it once."));
    }
    if !field.is_feature() {
        return Err(Error::data(
            format!("column `{}` is of type {}, which cannot be a feature", field.name, field.data_type),
            format!("Leave it out, or {}.", field.advice()),
        ));
    }
    Ok(())
}

impl Plan {
    /// The number of features, d.
    pub fn features(&self) -> usize {
        self.features.len()
    }
}

/// Reads the columns of `plan` into `store`: each decoded once, and once more where its sample misled.
pub fn load(table: &Table, plan: &Plan, store: &dyn Store, monitor: &dyn Monitor) -> Result<Loaded> {
    monitor.begin("reading", Some((table.rows * (plan.features.len() + 1)) as u64));
    // The label first: it is one column, and what is wrong with it shows before the rest is read.
    let label = plan.label.load(table, store, monitor)?;
    let samples = sample(table, &plan.features, monitor)?;
    let mut narrowings: Vec<Narrowing> = samples.iter().map(|sample| sample.narrowing).collect();
    let mut columns: Vec<Option<Read>> = vec![None; plan.features.len()];
    let mut pending: Vec<usize> = (0..plan.features.len()).collect();
    let mut notes = plan.notes.clone();
    for attempt in 0..3 {
        let read = read(table, plan, &pending, &narrowings, store, monitor)?;
        for (&index, column) in pending.iter().zip(read) {
            columns[index] = Some(column);
        }
        let all: Vec<&Read> = columns.iter().flatten().collect();
        check_cells(table, plan, &all)?;
        let corrections: Vec<(usize, Narrowing)> =
            pending.iter().filter_map(|&index| Some((index, all[index].moments.correction()?))).collect();
        pending = corrections.iter().map(|&(index, _)| index).collect();
        if pending.is_empty() || attempt == 2 {
            break;
        }
        for (index, narrowing) in corrections {
            narrowings[index] = narrowing;
        }
        store.settle()?;
        let names: Vec<&str> = pending.iter().map(|&index| table.fields[plan.features[index]].name.as_str()).collect();
        notes.push(format!(
            "decoded once more, because a sample of their rows did not show their scale: {}",
            names.join(", ")
        ));
    }
    monitor.end();
    table.check_unchanged()?;
    let mut features = Vec::with_capacity(columns.len());
    for ((column, &index), narrowing) in columns.iter().flatten().zip(&plan.features).zip(&narrowings) {
        let field = &table.fields[index];
        let scale = column.scale(field, *narrowing)?;
        samples[features.len()].check_outliers(field, scale)?;
        features.push(Feature { name: field.name.clone(), kind: field.kind, scale });
    }
    let constant: Vec<String> = features
        .iter()
        .filter(|feature| feature.scale.scale == 0.0)
        .map(|feature| format!("{} (always {})", feature.name, feature.scale.mean))
        .collect();
    if !constant.is_empty() {
        notes.push(format!("constant: {}", constant.join(", ")));
    }
    Ok(Loaded { label, features, notes })
}

/// Decodes the columns of `plan` and forgets them: what a benchmark of the decoder alone measures.
pub fn decode_only(table: &Table, plan: &Plan) -> Result<()> {
    let columns: Vec<usize> = plan.features.iter().copied().chain([plan.label.column]).collect();
    jobs(table, &columns).into_par_iter().try_for_each(|job| {
        decode_all(table, job, |_, array| {
            std::hint::black_box(array);
            Ok(())
        })
    })
}

/// What one feature's jobs found.
#[derive(Clone, Debug)]
struct Read {
    moments: Moments,
    /// Range of 64-bit integers that f64 cannot tell apart from their neighbours.
    integers: Option<(i128, i128)>,
}

impl Read {
    fn merge(mut self, other: &Self) -> Self {
        self.moments = self.moments.merge(&other.moments);
        self.integers = match (self.integers, other.integers) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self
    }

    /// Narrows the rows of `array`, which begins at `first_row`, into `narrowed`. `values` is scratch.
    fn take(
        &mut self,
        first_row: usize,
        array: &ArrayRef,
        values: &mut Vec<f64>,
        narrowed: &mut Vec<f32>,
    ) -> Result<()> {
        match (array.data_type(), array.nulls()) {
            // As they lie in the array, without a copy in f64 in between.
            (DataType::Float32, None) => {
                let values = array.as_primitive::<Float32Type>().values();
                self.moments.take(first_row, values, |_| false, narrowed);
            }
            (DataType::Float64, None) => {
                let values = array.as_primitive::<Float64Type>().values();
                self.moments.take(first_row, values, |_| false, narrowed);
            }
            (_, nulls) => {
                values.clear();
                to_f64(array, values)?;
                let is_null = |row| nulls.is_some_and(|nulls| nulls.is_null(row));
                self.moments.take(first_row, values, is_null, narrowed);
            }
        }
        Ok(())
    }

    /// The column's scale, or why it cannot be used.
    fn scale(&self, field: &Field, narrowing: Narrowing) -> Result<ColumnScale> {
        let exact = self.moments.exact();
        let name = &field.name;
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
                "Rescale it upstream (a logarithm?), or leave it out with --ignore.",
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
    /// Where the middle half of the values lies.
    middle: Option<(f64, f64)>,
}

/// Least spread of the middle half, in standard deviations, that f32 still resolves to a percent.
const LEAST_SPREAD: f64 = 1e-6;

impl Sample {
    /// An error if a few far outliers make the standard deviation so large that the rest of the column collapses.
    fn check_outliers(&self, field: &Field, scale: ColumnScale) -> Result<()> {
        let Some((low, high)) = self.middle else { return Ok(()) };
        let spread = high - low;
        if spread > 0.0 && spread < LEAST_SPREAD * scale.scale {
            return Err(Error::data(
                format!(
                    "column `{}` has outliers: half of its values lie between {low:e} and {high:e}, its standard deviation \
                     is {:e}; on one scale the bulk cannot be told apart",
                    field.name, scale.scale
                ),
                "Check those values; clip or transform the column upstream (a logarithm?), or leave it out with --ignore.",
            ));
        }
        Ok(())
    }
}

/// Samples of all features.
fn sample(table: &Table, features: &[usize], monitor: &dyn Monitor) -> Result<Vec<Sample>> {
    let runs = sample_runs(table.rows);
    let groups = table.metadata.metadata().row_groups();
    let work: Vec<(Job, RowSelection)> = jobs(table, features)
        .into_iter()
        .filter_map(|job| {
            let rows = usize::try_from(groups[job.row_group].num_rows()).ok()?;
            let here = job.first_row..job.first_row + rows;
            let ranges: Vec<_> = runs
                .iter()
                .map(|run| run.start.max(here.start)..run.end.min(here.end))
                .filter(|run| !run.is_empty())
                .map(|run| run.start - here.start..run.end - here.start)
                .collect();
            (!ranges.is_empty()).then(|| (job, RowSelection::from_consecutive_ranges(ranges.into_iter(), rows)))
        })
        .collect();
    let samples: Vec<Vec<f64>> = work
        .par_iter()
        .map(|(job, selection)| {
            let mut values = Vec::new();
            decode(table, *job, Some(selection.clone()), |_, array| {
                monitor.check()?;
                to_f64(array, &mut values)
            })?;
            values.retain(|x| x.is_finite());
            Ok(values)
        })
        .collect::<Result<_>>()?;
    let mut by_feature: Vec<Vec<f64>> = vec![Vec::new(); features.len()];
    for ((job, _), values) in work.iter().zip(samples) {
        let index = features.iter().position(|&column| column == job.column).expect("jobs are for these features");
        by_feature[index].extend(values);
    }
    Ok(by_feature
        .iter()
        .map(|values| Sample { narrowing: Narrowing::of_sample(values), middle: middle_half(values) })
        .collect())
}

/// Decodes the features `pending` (indices into the plan), narrows them into `store` and gives what was found
/// of each, in the same order.
fn read(
    table: &Table,
    plan: &Plan,
    pending: &[usize],
    narrowings: &[Narrowing],
    store: &dyn Store,
    monitor: &dyn Monitor,
) -> Result<Vec<Read>> {
    let columns: Vec<usize> = pending.iter().map(|&index| plan.features[index]).collect();
    let jobs = jobs(table, &columns);
    let found: Vec<Read> = jobs
        .par_iter()
        .enumerate()
        .map_init(
            || (Vec::with_capacity(BATCH_ROWS), Vec::with_capacity(BATCH_ROWS)),
            |(values, narrowed), (position, job)| {
                let index = pending[position % pending.len()];
                let mut read = Read { moments: Moments::new(narrowings[index]), integers: None };
                decode_all(table, *job, |before, array| {
                    monitor.check()?;
                    read.note_integers(array);
                    let first_row = job.first_row + before;
                    read.take(first_row, array, values, narrowed)?;
                    store.write(Column::Feature(index), first_row, narrowed)?;
                    monitor.advance(narrowed.len() as u64);
                    Ok(())
                })?;
                Ok(read)
            },
        )
        .collect::<Result<_>>()?;
    // Jobs are row group by row group, and within one in the order of `pending`: merge in row order.
    Ok((0..pending.len())
        .map(|position| {
            let mut of_column = found.iter().skip(position).step_by(pending.len());
            let first = of_column.next().expect("a table with rows has a row group").clone();
            of_column.fold(first, Read::merge)
        })
        .collect())
}

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
        .map(|(read, &column)| {
            let cells = &read.moments.bad;
            let counts: Vec<String> = [(cells.nulls, "null"), (cells.nans, "NaN"), (cells.infinities, "infinite")]
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            let rows: Vec<String> = cells.first_rows.iter().map(ToString::to_string).collect();
            format!(
                "\n    {}: {}; first rows, from 0: {}",
                table.fields[column].name,
                counts.join(", "),
                rows.join(", ")
            )
        })
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    let shown = if bad.len() > 20 { format!("{}\n    ...", bad[..20].concat()) } else { bad.concat() };
    Err(Error::data(
        format!("{} of {} feature columns have cells that are no finite numbers:{shown}", bad.len(), columns.len()),
        "Leave those columns out with --ignore, or fill or drop those rows upstream.",
    ))
}
