//! Cross-validation of paths: against R's cv.glmnet, against fits of the training rows alone whose held-out rows are judged by hand, and
//! how rows are dealt.

mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use gpu_logreg::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use gpu_logreg::data::{Dealing, FoldSpec};
use gpu_logreg::model::{CrossValidation, PathInfo};
use gpu_logreg::train::{Metric, PathJob, SelectedStrength, Strengths};
use gpu_logreg::{Job, Limits, Model, PenaltyScale, RecordBatch, Selection, Table};
use harness::{Check, Suite};
use serde_json::Value;

mod common {
    pub(crate) mod random;
}
use common::random::Random;

/// Rows with a fold each.
#[derive(Clone)]
struct Rows {
    columns: Vec<Vec<f64>>,
    levels: Vec<&'static str>,
    labels: Vec<bool>,
    weights: Vec<f64>,
    offsets: Vec<f64>,
    folds: Vec<i64>,
}

const LEVELS: [&str; 4] = ["a", "b", "c", "d"];

/// Of so many rows and folds; the second column has heavy tails.
fn rows(count: usize, folds: i64, seed: u64) -> Rows {
    let mut random = Random(seed);
    let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let round = |x: f64| (x * 64.0).round() / 64.0;
    let mut columns: Vec<Vec<f64>> = (0..4).map(|_| (0..count).map(|_| round(normal())).collect()).collect();
    columns[1].iter_mut().for_each(|x| *x = round(x.exp()));
    columns[3] = columns[0].iter().zip(&columns[3]).map(|(a, b)| round(0.9 * a + 0.4 * b)).collect();
    let offsets: Vec<f64> = (0..count).map(|row| (row % 7) as f64 / 8.0).collect();
    let levels: Vec<&str> = (0..count).map(|row| LEVELS[row * row % 13 % 4]).collect();
    let labels = (0..count).map(|row| {
        let of_level = if levels[row] == "b" { 0.8 } else { 0.0 };
        let z = columns[0][row] - 0.4 * columns[1][row] + 0.5 * columns[2][row] + of_level + offsets[row] - 0.3;
        random.unit() < 1.0 / (1.0 + (-z).exp())
    });
    let labels = labels.collect();
    let folds = (0..count).map(|_| (folds as f64 * random.unit()) as i64 + 1).collect();
    let weights = (0..count).map(|row| (row % 3 + 1) as f64).collect();
    Rows { columns, levels, labels, weights, offsets, folds }
}

impl Rows {
    /// Those of some positions.
    fn of(&self, keep: &[usize]) -> Self {
        let some = |values: &[f64]| keep.iter().map(|&row| values[row]).collect::<Vec<f64>>();
        Self {
            columns: self.columns.iter().map(|column| some(column)).collect(),
            levels: keep.iter().map(|&row| self.levels[row]).collect(),
            labels: keep.iter().map(|&row| self.labels[row]).collect(),
            weights: some(&self.weights),
            offsets: some(&self.offsets),
            folds: keep.iter().map(|&row| self.folds[row]).collect(),
        }
    }

    fn filtered(&self, is_kept: impl Fn(i64) -> bool) -> Self {
        self.of(&(0..self.folds.len()).filter(|&row| is_kept(self.folds[row])).collect::<Vec<_>>())
    }

    fn table(&self) -> Table {
        let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut columns: Vec<(String, ArrayRef)> =
            self.columns.iter().enumerate().map(|(j, column)| (format!("x{j}"), floats(column))).collect();
        let levels: StringArray = self.levels.iter().copied().map(Some).collect();
        columns.push(("c".into(), Arc::new(levels)));
        columns.push(("w".into(), floats(&self.weights)));
        columns.push(("o".into(), floats(&self.offsets)));
        columns.push(("fold".into(), Arc::new(Int64Array::from(self.folds.clone()))));
        columns.push(("y".into(), Arc::new(self.labels.iter().copied().map(Some).collect::<BooleanArray>())));
        Table::from_batches(vec![RecordBatch::try_from_iter(columns).expect("columns of one length")]).expect("a table")
    }

    /// The margins of a model.
    fn margins(&self, model: &Model, has_offset: bool) -> Vec<f64> {
        let value = |name: &str, row: usize| match name.split_once('=') {
            Some((_, level)) => f64::from(u8::from(self.levels[row] == level)),
            None => self.columns[name[1..].parse::<usize>().expect("a column")][row],
        };
        let margin = |row: usize| {
            let of_features = model.features.iter().map(|feature| feature.coefficients[0] * value(&feature.name, row));
            model.intercepts[0] + of_features.sum::<f64>() + if has_offset { self.offsets[row] } else { 0.0 }
        };
        (0..self.labels.len()).map(margin).collect()
    }
}

/// A penalised fit with folds.
#[derive(Clone)]
struct Case {
    name: &'static str,
    rows: usize,
    features: &'static [&'static str],
    alpha: f64,
    is_weighted: bool,
    has_offset: bool,
    intercept: bool,
    scale: PenaltyScale,
    factors: &'static [(&'static str, f64)],
    bounds: &'static [(&'static str, f64, f64)],
    host: Option<u64>,
}

const PLAIN: Case = Case {
    name: "",
    rows: 900,
    features: &["x*"],
    alpha: 1.0,
    is_weighted: false,
    has_offset: false,
    intercept: true,
    scale: PenaltyScale::Standardized,
    factors: &[],
    bounds: &[],
    host: None,
};

fn cases() -> Vec<Case> {
    vec![
        Case { name: "few rows", ..PLAIN },
        Case { name: "few rows with weights and an offset", is_weighted: true, has_offset: true, alpha: 0.5, ..PLAIN },
        Case { name: "a sample leads", rows: 9_000, ..PLAIN },
        Case { name: "a sample, weights", rows: 9_000, is_weighted: true, alpha: 0.6, ..PLAIN },
        Case { name: "a sample, an offset and levels", rows: 9_000, features: &["x*", "c"], has_offset: true, ..PLAIN },
        Case { name: "a sample, no intercept", rows: 9_000, intercept: false, ..PLAIN },
        Case { name: "a sample, original scale", rows: 9_000, scale: PenaltyScale::Original, alpha: 0.3, ..PLAIN },
        Case { name: "a sample, a ridge", rows: 9_000, alpha: 0.0, ..PLAIN },
        Case {
            name: "a sample, factors and bounds",
            rows: 9_000,
            factors: &[("x0", 0.0), ("x2", 2.0)],
            bounds: &[("x3", -0.1, 0.05)],
            ..PLAIN
        },
        Case { name: "a scratch file", rows: 9_000, host: Some(1 << 17), ..PLAIN },
    ]
}

const LAMBDAS: [f64; 5] = [0.12, 0.05, 0.012, 0.004, 0.001];

fn job(case: &Case) -> Job {
    let mut job = Job::label("y").features(case.features.to_vec()).device(Selection::Cpu).penalty_scale(case.scale);
    if case.is_weighted {
        job = job.weight("w");
    }
    if case.has_offset {
        job = job.offset("o");
    }
    for &(name, factor) in case.factors {
        job = job.penalty_factor(name, factor);
    }
    for &(name, low, high) in case.bounds {
        job = job.bounds(name, low, high);
    }
    if !case.intercept {
        job.intercept = false;
    }
    if let Some(bytes) = case.host {
        job = job.limits(Limits { host: Some(bytes), ..Limits::default() });
    }
    job
}

fn by_column(name: &str) -> FoldSpec {
    FoldSpec { dealing: Dealing::Column(name.into()), ..FoldSpec::default() }
}

/// A path of given strengths whose folds are all looked at.
fn path_of(alpha: f64) -> PathJob {
    PathJob { strengths: Strengths::Given(LAMBDAS.to_vec()), alpha, visits_all_folds: true, ..PathJob::default() }
}

fn train(job: &Job, table: &Table) -> Result<(Model, PathInfo, CrossValidation), String> {
    let model = job.train(table).map_err(|error| error.to_string())?;
    let path = model.path.clone().ok_or("no path")?;
    let cv = path.cv.clone().ok_or("no cross-validation")?;
    Ok((model, path, cv))
}

fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// Deviance, error and Brier score of rows, and the area under their curve, pair by pair.
fn judged(rows: &Rows, margins: &[f64], is_weighted: bool) -> [f64; 4] {
    let weight = |row: usize| if is_weighted { rows.weights[row] } else { 1.0 };
    let all: f64 = (0..margins.len()).map(weight).sum();
    let mean = |of: &dyn Fn(f64, bool) -> f64| {
        (0..margins.len()).map(|row| weight(row) * of(margins[row], rows.labels[row])).sum::<f64>() / all
    };
    let (mut right, mut pairs) = (0.0, 0.0);
    for a in (0..margins.len()).filter(|&row| rows.labels[row]) {
        for b in (0..margins.len()).filter(|&row| !rows.labels[row]) {
            let both = weight(a) * weight(b);
            pairs += both;
            right += both
                * if margins[a] > margins[b] {
                    1.0
                } else if margins[a] < margins[b] {
                    0.0
                } else {
                    0.5
                };
        }
    }
    [
        mean(&|z, t| 2.0 * softplus(if t { -z } else { z })),
        mean(&|z, t| f64::from(u8::from((z > 0.0) != t))),
        mean(&|z, t| (1.0 / (1.0 + (-z).exp()) - f64::from(u8::from(t))).powi(2)),
        right / pairs,
    ]
}

/// The largest share by which deviances of folds differ from those of models that were fitted to their training rows alone.
fn furthest(case: &Case, rows: &Rows, cv: &CrossValidation) -> Result<f64, String> {
    let mut worst = 0.0_f64;
    for (place, fold) in cv.folds.iter().enumerate() {
        let own: i64 = fold.name.parse().map_err(|_| format!("fold {}", fold.name))?;
        let (training, held_back) = (rows.filtered(|fold| fold != own), rows.filtered(|fold| fold == own));
        let weight: f64 = if case.is_weighted { held_back.weights.iter().sum() } else { held_back.labels.len() as f64 };
        if (fold.weight - weight).abs() > 1e-9 * weight {
            return Err(format!("fold {own} weighs {}, not {weight}", fold.weight));
        }
        for (at, lambda) in LAMBDAS.into_iter().enumerate() {
            let alone = job(case).elastic_net(lambda, case.alpha).gap_tolerance(1e-14);
            let alone =
                if case.alpha == 0.0 && case.factors.is_empty() { job(case).l2(lambda).tolerance(1e-9) } else { alone };
            let model = alone.train(&training.table()).map_err(|error| error.to_string())?;
            let expected = judged(&held_back, &held_back.margins(&model, case.has_offset), case.is_weighted);
            for (curve, which) in [("deviance", 0), ("error", 1), ("brier", 2)] {
                let curve = cv.curves.iter().find(|found| found.metric == curve).ok_or("a curve is missing")?;
                let (found, expected) = (curve.by_fold[place][at], expected[which]);
                // A row on the edge may be told either way.
                let allowed = if which == 1 { 1.5 / weight } else { 0.0 };
                worst = worst.max(((found - expected).abs() - allowed) / expected);
            }
        }
    }
    Ok(worst)
}

/// What each fold leaves out is judged by the model of the others, whatever is in the table and wherever it is kept.
fn models_of_folds_know_the_other_rows_alone() -> Check {
    for case in cases() {
        let rows = rows(case.rows, 3, 11);
        let asked = job(&case).gap_tolerance(1e-14).path(path_of(case.alpha)).folds(by_column("fold"));
        let (_, _, cv) = train(&asked, &rows.table()).map_err(|error| format!("{}: {error}", case.name))?;
        if (cv.models, cv.visited, cv.verified) != (15, 15, 15) {
            return Err(format!("{}: {} of {} visited, {} near", case.name, cv.visited, cv.models, cv.verified));
        }
        let worst = furthest(&case, &rows, &cv).map_err(|error| format!("{}: {error}", case.name))?;
        if worst.is_nan() || worst > 2e-6 {
            return Err(format!("{}: {worst:e}", case.name));
        }
    }
    Ok(())
}

/// The control: rows that are dealt otherwise are noticed.
fn another_dealing_is_noticed() -> Check {
    for count in [900, 9_000] {
        let case = Case { rows: count, ..PLAIN };
        let rows = rows(count, 3, 11);
        let mut other = rows.clone();
        let next = (11..count).find(|&row| rows.folds[row] != rows.folds[10]).ok_or("another fold")?;
        other.folds.swap(10, next);
        let asked = job(&case).gap_tolerance(1e-14).path(path_of(1.0)).folds(by_column("fold"));
        let (_, _, cv) = train(&asked, &other.table())?;
        let worst = furthest(&case, &rows, &cv)?;
        if worst <= 2e-6 {
            return Err(format!("{count} rows: {worst:e} for two rows that were exchanged"));
        }
    }
    Ok(())
}

/// R's cv.glmnet with the same folds and strengths.
fn as_cv_glmnet_has_them() -> Check {
    let text = std::fs::read_to_string("tests/reference/cross_validation.json").map_err(|error| error.to_string())?;
    let jobs: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let mut compared = 0;
    for given in jobs.as_array().into_iter().flatten().filter(|given| given["rows"].is_null()) {
        let table = Table::open(given["table"].as_str().ok_or("a table")?).map_err(|error| error.to_string())?;
        let path = PathJob {
            strengths: Strengths::Given(numbers(&given["lambdas"])),
            alpha: given["alpha"].as_f64().ok_or("a share")?,
            visits_all_folds: true,
            ..PathJob::default()
        };
        let mut job = Job::label("y").features(["x*"]).device(Selection::Cpu).gap_tolerance(1e-14);
        if let Some(weight) = given["weight"].as_str() {
            job = job.weight(weight);
        }
        let (_, path, cv) = train(&job.path(path).folds(by_column("fold")), &table)?;
        let expected: Vec<Vec<f64>> = given["by_fold"].as_array().into_iter().flatten().map(numbers).collect();
        let weights: Vec<f64> = cv.folds.iter().map(|fold| fold.weight).collect();
        let curve = &cv.curves[0];
        for (at, lambda) in path.lambdas.iter().enumerate() {
            let of_folds: Vec<f64> = expected.iter().map(|fold| fold[at]).collect();
            let (mean, error) = mean_and_error(&of_folds, &weights);
            for (what, found, expected) in [("mean", curve.mean[at], mean), ("error", curve.se[at], error)] {
                if (found / expected - 1.0).abs() > 1e-6 {
                    return Err(format!("lambda {lambda}, {what}: {found}, glmnet {expected}"));
                }
                compared += 1;
            }
        }
    }
    if compared == 40 { Ok(()) } else { Err(format!("{compared} figures")) }
}

/// By the weights of the folds, and the standard error of it.
fn mean_and_error(values: &[f64], weights: &[f64]) -> (f64, f64) {
    let all: f64 = weights.iter().sum();
    let mean = values.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / all;
    let squares: f64 = values.iter().zip(weights).map(|(x, w)| w * (x - mean).powi(2)).sum();
    (mean, (squares / all / (weights.len() as f64 - 1.0)).sqrt())
}

/// Means, errors and both strengths follow from the folds, for each metric; the model is the one that was asked for.
fn strengths_are_chosen_by_the_curve() -> Check {
    for (count, metric) in [
        (900, Metric::Deviance),
        (900, Metric::Auc),
        (9_000, Metric::Auc),
        (9_000, Metric::Error),
        (9_000, Metric::Brier),
    ] {
        let rows = rows(count, 4, 3);
        let table = rows.table();
        for selected in [SelectedStrength::Minimum, SelectedStrength::OneStandardError, SelectedStrength::At(0.004)] {
            let path = PathJob { metric, selected, ..PathJob::default() };
            let asked = Job::label("y").features(["x*"]).device(Selection::Cpu).path(path).folds(by_column("fold"));
            let (model, path, cv) = train(&asked, &table)?;
            let weights: Vec<f64> = cv.folds.iter().map(|fold| fold.weight).collect();
            for curve in &cv.curves {
                for at in 0..path.lambdas.len() {
                    let of_folds: Vec<f64> = curve.by_fold.iter().map(|fold| fold[at]).collect();
                    let (mean, error) = mean_and_error(&of_folds, &weights);
                    if (curve.mean[at] - mean).abs() > 1e-12 || (curve.se[at] - error).abs() > 1e-12 {
                        return Err(format!("{}: {} +- {}, not {mean}", curve.metric, curve.mean[at], curve.se[at]));
                    }
                }
            }
            let curve = &cv.curves[0];
            if curve.metric != metric.name() {
                return Err(format!("{} comes first", curve.metric));
            }
            let sign = if metric == Metric::Auc { -1.0 } else { 1.0 };
            let costs: Vec<f64> = curve.mean.iter().map(|mean| sign * mean).collect();
            let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let minimum = costs.iter().position(|cost| *cost <= least).ok_or("no minimum")?;
            let enough = costs.iter().position(|cost| *cost <= least + curve.se[minimum]).ok_or("no other")?;
            if (cv.lambda_min, cv.lambda_1se) != (path.lambdas[minimum], path.lambdas[enough]) {
                return Err(format!("{metric:?}: {} and {}", cv.lambda_min, cv.lambda_1se));
            }
            let expected = match selected {
                SelectedStrength::OneStandardError => cv.lambda_1se,
                SelectedStrength::At(strength) => strength,
                _ => cv.lambda_min,
            };
            if (model.training.l1 - expected).abs() > 1e-15 {
                return Err(format!("{metric:?}, {selected:?}: {}", model.training.l1));
            }
            let at =
                path.lambdas.iter().position(|lambda| lambda.total_cmp(&cv.lambda_min).is_eq()).ok_or("a place")?;
            let is_counted = cv.selected_at_min.iter().all(|(_, folds)| (1..=4).contains(folds));
            if !is_counted || cv.selected_at_min.len() < path.columns[at] {
                return Err(format!("{:?} of {}", cv.selected_at_min, path.columns[at]));
            }
            if metric == Metric::Auc && count == 900 {
                let held_back = rows.filtered(|fold| fold == 1);
                let alone = Job::label("y").features(["x*"]).device(Selection::Cpu).elastic_net(cv.lambda_min, 1.0);
                let alone = alone.gap_tolerance(1e-13).train(&rows.filtered(|fold| fold != 1).table());
                let alone = alone.map_err(|error| error.to_string())?;
                let [.., area] = judged(&held_back, &held_back.margins(&alone, false), false);
                if (curve.by_fold[0][at] - area).abs() > 1e-6 {
                    return Err(format!("an area of {}, not {area}", curve.by_fold[0][at]));
                }
            }
        }
    }
    Ok(())
}

/// By default the curve is that of folds that were all looked at, but for a small part of its standard error.
fn what_lies_between_visits_is_near() -> Check {
    let rows = rows(12_000, 5, 29);
    let table = rows.table();
    let asked = |path: PathJob| {
        Job::label("y").features(["x*", "c"]).device(Selection::Cpu).path(path).folds(by_column("fold"))
    };
    let (model, path, cv) = train(&asked(PathJob::default()), &table)?;
    if cv.visited >= cv.models / 2 || cv.verified != cv.visited || cv.gap > 1e-8 || !model.training.warnings.is_empty()
    {
        return Err(format!("{} of {} visited, {} near: {}", cv.visited, cv.models, cv.verified, cv.gap));
    }
    let all =
        PathJob { strengths: Strengths::Given(path.lambdas.clone()), visits_all_folds: true, ..PathJob::default() };
    let (_, _, exact) = train(&asked(all).gap_tolerance(1e-13), &table)?;
    let (curve, expected) = (&cv.curves[0], &exact.curves[0]);
    for at in 0..path.lambdas.len() {
        let off = (curve.mean[at] - expected.mean[at]).abs() / expected.se[at];
        if off.is_nan() || off > 0.1 {
            return Err(format!("place {at}: {off} standard errors"));
        }
    }
    if (cv.lambda_min - exact.lambda_min).abs() > 1e-12 {
        return Err(format!("{} and {}", cv.lambda_min, exact.lambda_min));
    }
    Ok(())
}

/// So it is where folds are no samples of the rows: of very different sizes, or sorted; and where strengths are far apart.
fn odd_folds_are_near_too() -> Check {
    let rows = rows(9_000, 2, 31);
    let mut unequal = rows.clone();
    unequal.folds[7] = 3;
    let mut sorted = rows.clone();
    let mut order: Vec<usize> = (0..9_000).collect();
    order.sort_by(|&a, &b| rows.columns[1][a].total_cmp(&rows.columns[1][b]));
    for (place, row) in order.into_iter().enumerate() {
        sorted.folds[row] = (place * 12 / 9_000) as i64;
    }
    let leaps = vec![0.2, 0.19, 0.15, 0.04, 0.02, 0.01, 8e-4, 7e-4, 3e-4];
    let grid: Vec<f64> = (0..25).map(|place| 0.2 * 0.8_f64.powi(place)).collect();
    for (what, rows, strengths) in
        [("unequal", &unequal, &grid), ("sorted", &sorted, &grid), ("sorted, leaps", &sorted, &leaps)]
    {
        let asked = |visits_all_folds: bool, gap: f64| {
            let path =
                PathJob { strengths: Strengths::Given(strengths.clone()), visits_all_folds, ..PathJob::default() };
            let job = Job::label("y").features(["x*"]).device(Selection::Cpu).gap_tolerance(gap);
            train(&job.path(path).folds(by_column("fold")), &rows.table()).map(|(.., cv)| cv)
        };
        let (found, exact) = (asked(false, 1e-8)?, asked(true, 1e-12)?);
        for (place, strength) in strengths.iter().enumerate() {
            let off = (found.curves[0].mean[place] - exact.curves[0].mean[place]).abs() / exact.curves[0].se[place];
            if off.is_nan() || off > 0.1 {
                return Err(format!("{what}, {strength}: {off} standard errors"));
            }
        }
        if exact.verified != exact.models || found.verified != found.visited {
            return Err(format!(
                "{what}: {} of {}, {} of {}",
                exact.verified, exact.models, found.verified, found.visited
            ));
        }
    }
    Ok(())
}

/// A row of weight 2 is one that is there twice, in the same fold.
fn weights_repeat_rows() -> Check {
    for count in [700, 8_000] {
        let mut rows = rows(count, 3, 17);
        rows.weights = (0..count).map(|row| (row % 3) as f64).collect();
        let twice: Vec<usize> = (0..count).flat_map(|row| vec![row; row % 3]).collect();
        let path =
            PathJob { strengths: Strengths::Given(LAMBDAS.to_vec()), visits_all_folds: true, ..PathJob::default() };
        let asked = Job::label("y")
            .features(["x*"])
            .device(Selection::Cpu)
            .gap_tolerance(1e-14)
            .path(path)
            .folds(by_column("fold"));
        let (_, _, weighed) = train(&asked.clone().weight("w"), &rows.table())?;
        let (_, _, repeated) = train(&asked, &rows.of(&twice).table())?;
        for (a, b) in weighed.curves[0].by_fold.iter().flatten().zip(repeated.curves[0].by_fold.iter().flatten()) {
            if (a / b - 1.0).abs() > 1e-6 {
                return Err(format!("{count} rows: {a} and {b}"));
            }
        }
    }
    Ok(())
}

/// Wherever rows are kept, and however many threads there are.
fn folds_have_the_same_bits() -> Check {
    let table = rows(9_000, 3, 5).table();
    let asked = |host: Option<u64>| -> Result<String, String> {
        let limits = Limits { host, ..Limits::default() };
        let spec = FoldSpec { count: 4, seed: 9, ..FoldSpec::default() };
        let path = PathJob { metric: Metric::Auc, ..PathJob::default() };
        let job = Job::label("y")
            .features(["x*", "c"])
            .weight("w")
            .device(Selection::Cpu)
            .limits(limits)
            .path(path)
            .folds(spec);
        let (_, path, _) = train(&job, &table)?;
        serde_json::to_string(&path).map_err(|error| error.to_string())
    };
    let expected = asked(None)?;
    if asked(Some(1 << 17))? != expected {
        return Err("a scratch file changes bits".into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().map_err(|error| error.to_string())?;
    if pool.install(|| asked(None))? == expected { Ok(()) } else { Err("threads change bits".into()) }
}

/// Weights of the folds of a table whose rows weigh a power of two each, so that they say which rows are in which.
fn dealt(rows: &Rows, spec: FoldSpec) -> Result<Vec<(String, u64)>, String> {
    let path = PathJob { strengths: Strengths::Given(vec![0.5, 0.2]), ..PathJob::default() };
    let job = Job::label("y").features(["x0"]).weight("w").device(Selection::Cpu).path(path).folds(spec);
    let (_, _, cv) = train(&job, &rows.table())?;
    Ok(cv.folds.iter().map(|fold| (fold.name.clone(), fold.weight as u64)).collect())
}

/// Which rows are in which fold: all of them in one, each class by itself, groups together, blocks in their order.
fn rows_are_dealt_as_was_said() -> Check {
    let mut rows = rows(20, 2, 1);
    rows.weights = (0..20).map(|row| f64::from(1_u32 << row)).collect();
    rows.labels = (0..20).map(|row| row % 5 < 2).collect();
    let positives: u64 = (0..20).filter(|row| row % 5 < 2).map(|row| 1_u64 << row).sum();
    let all = (1_u64 << 20) - 1;
    let by_seed = |seed: u64| dealt(&rows, FoldSpec { count: 4, seed, ..FoldSpec::default() });
    for seed in 0..4 {
        let folds = by_seed(seed)?;
        let sizes: Vec<[u32; 2]> =
            folds.iter().map(|(_, rows)| [rows & positives, rows & !positives].map(u64::count_ones)).collect();
        // 8 positive rows of 20.
        if folds.iter().fold(0, |seen, (_, rows)| seen | rows) != all || sizes != [[2, 3]; 4] {
            return Err(format!("seed {seed}: {folds:x?}"));
        }
    }
    let alone = dealt(&rows, FoldSpec { count: 20, ..FoldSpec::default() })?;
    if alone.iter().any(|(_, rows)| rows.count_ones() != 1) {
        return Err(format!("a fold for each row: {alone:x?}"));
    }
    if by_seed(1)? != by_seed(1)? || by_seed(1)? == by_seed(2)? {
        return Err("chance is not that of the seed".into());
    }
    rows.folds = (0..20).map(|row| i64::from(row % 7 == 3) + 10 * i64::from(row > 12)).collect();
    let of = |value: i64| (0..20).filter(|&row| rows.folds[row] == value).map(|row| 1_u64 << row).sum::<u64>();
    let names: Vec<(String, u64)> = [0, 1, 10, 11].map(|value| (value.to_string(), of(value))).into();
    let by_value = dealt(&rows, by_column("fold"))?;
    if by_value != names {
        return Err(format!("{by_value:x?}, not {names:x?}"));
    }
    let groups = FoldSpec { count: 2, seed: 3, dealing: Dealing::Groups("fold".into()) };
    let groups = dealt(&rows, groups)?;
    let is_together = |value: i64| groups.iter().any(|(_, rows)| rows & of(value) == of(value));
    if ![0, 1, 10, 11].into_iter().all(is_together) || groups.iter().fold(0, |seen, (_, rows)| seen | rows) != all {
        return Err(format!("groups: {groups:x?}"));
    }
    let blocks = dealt(&rows, FoldSpec { count: 3, seed: 0, dealing: Dealing::Blocks })?;
    let expected = [5..10, 10..15, 15..20].map(|rows| rows.map(|row| 1_u64 << row).sum::<u64>());
    if blocks.iter().map(|(_, rows)| *rows).collect::<Vec<_>>() != expected {
        return Err(format!("blocks: {blocks:x?}"));
    }
    Ok(())
}

/// Models of blocks know earlier rows alone.
fn blocks_know_what_came_before() -> Check {
    let rows = rows(1_200, 2, 13);
    let path = PathJob { strengths: Strengths::Given(LAMBDAS.to_vec()), ..PathJob::default() };
    let spec = FoldSpec { count: 2, seed: 0, dealing: Dealing::Blocks };
    let asked = Job::label("y").features(["x*"]).device(Selection::Cpu).gap_tolerance(1e-14);
    let (_, _, cv) = train(&asked.clone().path(path).folds(spec), &rows.table())?;
    let part = |range: std::ops::Range<usize>| rows.of(&range.collect::<Vec<_>>());
    for (fold, (known, held_back)) in
        [(part(0..400), part(400..800)), (part(0..800), part(800..1_200))].iter().enumerate()
    {
        for (at, lambda) in LAMBDAS.into_iter().enumerate() {
            let model =
                asked.clone().elastic_net(lambda, 1.0).train(&known.table()).map_err(|error| error.to_string())?;
            let [expected, ..] = judged(held_back, &held_back.margins(&model, false), false);
            let found = cv.curves[0].by_fold[fold][at];
            if (found / expected - 1.0).abs() > 2e-6 {
                return Err(format!("fold {}, lambda {lambda}: {found}, not {expected}", fold + 1));
            }
        }
    }
    Ok(())
}

/// A level that one fold alone has, and a column that does not vary among the training rows of one, are 0 in its model.
fn what_a_fold_does_not_know_stays_0() -> Check {
    for count in [600, 9_000] {
        let case = Case { rows: count, features: &["x*"], ..PLAIN };
        let mut rows = rows(count, 3, 7);
        for row in 0..count {
            rows.columns[2][row] = if rows.folds[row] == 2 { f64::from(u8::from(row % 4 == 0)) } else { 0.0 };
        }
        // Without an intercept a column that does not vary is one in units of its value.
        for (intercept, beside) in [(true, 0.0), (false, 0.0), (false, 2.0)] {
            let mut rows = rows.clone();
            rows.columns[2].iter_mut().for_each(|x| *x += beside);
            let case = Case { intercept, ..case.clone() };
            let asked = job(&case).gap_tolerance(1e-14).path(path_of(1.0)).folds(by_column("fold"));
            let (_, _, cv) = train(&asked, &rows.table())?;
            let worst = furthest(&case, &rows, &cv)?;
            if worst.is_nan() || worst > 2e-6 {
                return Err(format!("{count} rows, intercept {intercept}, beside {beside}: {worst:e}"));
            }
        }
    }
    Ok(())
}

/// What cannot be done is said, with the fold or the column.
fn refusals() -> Check {
    let mut rows = rows(60, 3, 2);
    let refused = |rows: &Rows, job: Job, words: &[&str]| match job.train(&rows.table()) {
        Ok(_) => Err(format!("nothing is said of {words:?}")),
        Err(error) => {
            let text = error.to_string();
            let missing = words.iter().find(|word| !text.contains(**word));
            missing.map_or(Ok(()), |word| Err(format!("no `{word}` in: {text}")))
        }
    };
    let base = || Job::label("y").features(["x*"]).device(Selection::Cpu);
    let of = |count: usize, dealing: Dealing| FoldSpec { count, seed: 0, dealing };
    refused(&rows, base().folds(of(1, Dealing::Chance)), &["folds", "1", "2 to 100"])?;
    refused(&rows, base().folds(of(101, Dealing::Chance)), &["101"])?;
    refused(&rows, base().folds(of(61, Dealing::Chance)), &["has no rows", "60 rows"])?;
    refused(&rows, base().folds(by_column("nope")), &["nope", "no such column"])?;
    refused(&rows, base().folds(by_column("y")), &["y", "label"])?;
    refused(&rows, base().folds(of(5, Dealing::Groups("c".into()))), &["c", "4 values", "5 folds"])?;
    refused(&rows, base().features(["x0", "fold"]).folds(by_column("fold")), &["fold", "both name"])?;
    let minimum = PathJob { selected: SelectedStrength::Minimum, ..PathJob::default() };
    refused(&rows, base().path(minimum), &["cross-validation"])?;
    let mut alone = rows.clone();
    alone.folds = (0..60).map(|row| if alone.labels[row] { 7 } else { i64::from(row % 2 == 0) }).collect();
    refused(&alone, base().folds(by_column("fold")), &["fold=7", "true"])?;
    let auc = PathJob { metric: Metric::Auc, ..PathJob::default() };
    alone.folds[0] = 7;
    let first_negative = alone.labels.iter().position(|label| !label).ok_or("a negative row")?;
    alone.folds[first_negative] = 7;
    let first_positive = alone.labels.iter().position(|label| *label).ok_or("a positive row")?;
    alone.folds[first_positive] = 0;
    refused(&alone, base().path(auc).folds(by_column("fold")), &["fold 1", "one class"])?;
    rows.folds = vec![4; 60];
    refused(&rows, base().folds(by_column("fold")), &["one value", "4"])?;
    let mut many = self::rows(300, 2, 4);
    many.folds = (0..300).collect();
    refused(&many, base().folds(by_column("fold")), &["more than 100 values", "fold_groups"])
}

/// A GPU has no passes over parts of the rows so far: who asks for one is told, and nothing is fitted.
fn a_gpu_has_no_folds() -> Check {
    let job = Job::label("y").features(["x*"]).device(Selection::Gpu).folds(FoldSpec::default());
    match job.train(&rows(300, 3, 2).table()) {
        Err(error) if error.to_string().contains("are for the CPU") => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(_) => Err("nothing is said".into()),
    }
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.cpu("models_of_folds_know_the_other_rows_alone", models_of_folds_know_the_other_rows_alone);
    suite.cpu("another_dealing_is_noticed", another_dealing_is_noticed);
    suite.cpu("as_cv_glmnet_has_them", as_cv_glmnet_has_them);
    suite.cpu("strengths_are_chosen_by_the_curve", strengths_are_chosen_by_the_curve);
    suite.cpu("what_lies_between_visits_is_near", what_lies_between_visits_is_near);
    suite.cpu("odd_folds_are_near_too", odd_folds_are_near_too);
    suite.cpu("weights_repeat_rows", weights_repeat_rows);
    suite.cpu("folds_have_the_same_bits", folds_have_the_same_bits);
    suite.cpu("rows_are_dealt_as_was_said", rows_are_dealt_as_was_said);
    suite.cpu("blocks_know_what_came_before", blocks_know_what_came_before);
    suite.cpu("what_a_fold_does_not_know_stays_0", what_a_fold_does_not_know_stays_0);
    suite.cpu("refusals", refusals);
    suite.gpu("a_gpu_has_no_folds", |_| a_gpu_has_no_folds());
    suite.run()
}
