//! Elastic nets of several classes: every model against the conditions of a minimum, over the same values in f64 and with code of
//! its own. The objective is convex, so a point that fulfils them is the minimum.

mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use gpu_logreg::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use gpu_logreg::data::{Dealing, FoldSpec};
use gpu_logreg::solve::Status;
use gpu_logreg::train::{ExactJob, Metric, PathJob, Strengths};
use gpu_logreg::{Job, Limits, Model, PenaltyScale, RecordBatch, Selection, Table};
use harness::{Check, Suite};
use serde_json::Value;

mod common {
    pub(crate) mod random;
}
use common::random::Random;

/// A table and its penalty.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what a table may have, each by itself")]
struct Case {
    name: &'static str,
    rows: usize,
    columns: usize,
    classes: usize,
    strength: f64,
    alpha: f64,
    /// Values far out.
    has_heavy_tails: bool,
    is_weighted: bool,
    has_offset: bool,
    intercept: bool,
    /// Levels of a category more.
    levels: usize,
    scale: PenaltyScale,
    /// Bytes of memory for the table.
    host: Option<u64>,
    /// What the penalty of a column is multiplied by.
    factors: &'static [(usize, f64)],
    /// The least and the greatest coefficient of a column.
    bounds: &'static [(usize, f64, f64)],
}

const PLAIN: Case = Case {
    name: "",
    rows: 500,
    columns: 6,
    classes: 3,
    strength: 1e-2,
    alpha: 1.0,
    has_heavy_tails: false,
    is_weighted: false,
    has_offset: false,
    intercept: true,
    levels: 0,
    scale: PenaltyScale::Standardized,
    host: None,
    factors: &[],
    bounds: &[],
};

fn cases() -> Vec<Case> {
    vec![
        Case { name: "a lasso", ..PLAIN },
        Case { name: "a weak one", strength: 1e-4, ..PLAIN },
        Case { name: "nothing is selected", strength: 0.9, ..PLAIN },
        Case { name: "an elastic net", alpha: 0.4, ..PLAIN },
        Case { name: "an even number of classes", classes: 4, strength: 2e-3, ..PLAIN },
        Case { name: "many classes", classes: 9, rows: 900, strength: 2e-3, ..PLAIN },
        Case { name: "weights", is_weighted: true, strength: 2e-3, ..PLAIN },
        Case { name: "an offset of a class", has_offset: true, ..PLAIN },
        Case { name: "no intercept", intercept: false, ..PLAIN },
        Case { name: "a category", levels: 6, strength: 3e-3, ..PLAIN },
        Case { name: "original weights", scale: PenaltyScale::Original, alpha: 0.7, ..PLAIN },
        Case { name: "more columns than rows", rows: 40, columns: 50, strength: 2e-2, ..PLAIN },
        Case { name: "factors", factors: &[(0, 0.0), (2, 3.0), (3, f64::INFINITY)], ..PLAIN },
        Case { name: "a ridge with a factor", alpha: 0.0, strength: 0.1, factors: &[(0, 0.0), (1, 0.5)], ..PLAIN },
        Case { name: "bounds", bounds: &[(0, -0.05, 0.1), (1, 0.0, f64::INFINITY)], strength: 2e-3, ..PLAIN },
        Case { name: "a sample of the rows", rows: 9_000, columns: 4, strength: 1e-3, ..PLAIN },
        Case { name: "a sample, heavy tails", rows: 9_000, columns: 3, has_heavy_tails: true, strength: 5e-4, ..PLAIN },
        Case { name: "from a scratch file", rows: 9_000, columns: 4, host: Some(1 << 17), alpha: 0.5, ..PLAIN },
    ]
}

/// What a table holds.
struct Rows {
    /// Columns as they are in the table, then a 0-1 column for each level but the first.
    columns: Vec<Vec<f64>>,
    levels: Vec<usize>,
    labels: Vec<usize>,
    weights: Vec<f64>,
    /// Of the margin of the second class.
    offsets: Vec<f64>,
}

impl Rows {
    fn of(case: &Case) -> Self {
        let mut random = Random(23);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for j in 0..case.columns {
            let unit = if j == 1 { 4.0 } else { 1.0 };
            let value = |x: f64| if case.has_heavy_tails { x.exp() } else { x };
            columns.push((0..case.rows).map(|_| (value(normal()) * 64.0).round() / 64.0 * unit).collect());
        }
        let levels: Vec<usize> = (0..case.rows).map(|row| row * row % 31 % case.levels.max(1)).collect();
        for level in 1..case.levels {
            columns.push(levels.iter().map(|own| f64::from(u8::from(*own == level))).collect());
        }
        let weights = (0..case.rows).map(|row| if case.is_weighted { (row % 4) as f64 } else { 1.0 }).collect();
        let offsets: Vec<f64> =
            (0..case.rows).map(|row| if case.has_offset { (row % 9) as f64 / 4.0 - 1.0 } else { 0.0 }).collect();
        let labels = (0..case.rows)
            .map(|row| {
                // The likeliest class, with Gumbel noise on its margin.
                let mut margin = |class: usize| {
                    let own = |(j, x): (usize, &Vec<f64>)| x[row] * ((3 * class + 2 * j) % 5) as f64 * 0.2;
                    let z: f64 = columns.iter().take(3).enumerate().map(own).sum();
                    z + if class == 1 { offsets[row] } else { 0.0 } - (-random.unit().ln()).ln()
                };
                let margins: Vec<f64> = (0..case.classes).map(&mut margin).collect();
                (0..case.classes).max_by(|&a, &b| margins[a].total_cmp(&margins[b])).expect("a class")
            })
            .collect();
        Self { columns, levels, labels, weights, offsets }
    }

    fn table(&self, case: &Case) -> Table {
        self.table_with(case, &[])
    }

    /// With a column of folds, if there are some.
    fn table_with(&self, case: &Case, folds: &[i64]) -> Table {
        let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut columns: Vec<(String, ArrayRef)> =
            (0..case.columns).map(|j| (format!("x{j}"), floats(&self.columns[j]))).collect();
        if case.levels > 0 {
            let names = self.levels.iter().map(|level| Some(format!("l{level}")));
            columns.push(("c".into(), Arc::new(names.collect::<StringArray>())));
        }
        if case.is_weighted {
            columns.push(("w".into(), floats(&self.weights)));
        }
        if case.has_offset {
            columns.push(("o".into(), floats(&self.offsets)));
        }
        if !folds.is_empty() {
            columns.push(("fold".into(), Arc::new(Int64Array::from(folds.to_vec()))));
        }
        let labels = self.labels.iter().map(|class| Some(format!("k{class}")));
        columns.push(("y".into(), Arc::new(labels.collect::<StringArray>())));
        Table::from_batches(vec![RecordBatch::try_from_iter(columns).expect("columns of one length")]).expect("a table")
    }
}

fn job(case: &Case, device: &Selection) -> Job {
    let mut job = Job::label("y").elastic_net(case.strength, case.alpha).penalty_scale(case.scale);
    job = job.intercept(case.intercept).device(device.clone());
    job = job.limits(Limits { host: case.host, ..Limits::default() });
    for (j, factor) in case.factors {
        job = job.penalty_factor(format!("x{j}"), *factor);
    }
    for (j, low, high) in case.bounds {
        job = job.bounds(format!("x{j}"), *low, *high);
    }
    if case.is_weighted {
        job = job.weight("w");
    }
    if case.has_offset {
        job = job.offset("k1=o");
    }
    job
}

/// A point of a model: intercepts `[classes]`, coefficients `[features][classes]`, and its strength. Classes are in the order of
/// their names.
#[derive(Clone)]
struct Point {
    intercepts: Vec<f64>,
    coefficients: Vec<Vec<f64>>,
    strength: f64,
}

impl Point {
    fn of(model: &Model, strength: f64) -> Self {
        let coefficients = model.features.iter().map(|feature| by_name(model, &feature.coefficients)).collect();
        Self { intercepts: by_name(model, &model.intercepts), coefficients, strength }
    }

    /// All points of the path.
    fn of_path(model: &Model) -> Vec<Self> {
        let path = model.path.as_ref().expect("a path");
        let of = |place: usize| {
            let mut coefficients = vec![vec![0.0; model.intercepts.len()]; model.features.len()];
            for (feature, values) in &path.coefficients[place] {
                coefficients[*feature] = by_name(model, values);
            }
            Self { intercepts: by_name(model, &path.intercepts[place]), coefficients, strength: path.lambdas[place] }
        };
        (0..path.lambdas.len()).map(of).collect()
    }
}

/// What a model has of each class, in the order of their names.
fn by_name(model: &Model, of_classes: &[f64]) -> Vec<f64> {
    let mut named: Vec<(String, f64)> =
        model.label.classes.iter().map(ToString::to_string).zip(of_classes.iter().copied()).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, x)| x).collect()
}

/// How far a point is from fulfilling the conditions of a minimum: the largest subgradient of a standardised coefficient.
fn furthest(case: &Case, rows: &Rows, point: &Point) -> f64 {
    let total: f64 = rows.weights.iter().sum();
    let mean =
        |values: &dyn Fn(usize) -> f64| (0..case.rows).map(|row| rows.weights[row] / total * values(row)).sum::<f64>();
    let residuals: Vec<Vec<f64>> = (0..case.rows)
        .map(|row| {
            let margin = |class: usize| {
                let own =
                    rows.columns.iter().zip(&point.coefficients).map(|(x, of_feature)| x[row] * of_feature[class]);
                let offset = if class == 1 { rows.offsets[row] } else { 0.0 };
                point.intercepts[class] + offset + own.sum::<f64>()
            };
            let margins: Vec<f64> = (0..case.classes).map(margin).collect();
            let top = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = margins.iter().map(|z| (z - top).exp()).sum();
            let residual =
                |(class, z): (usize, &f64)| (z - top).exp() / sum - f64::from(u8::from(rows.labels[row] == class));
            margins.iter().enumerate().map(residual).collect()
        })
        .collect();
    // A maximum passes over what is no number.
    if residuals.iter().flatten().any(|residual| !residual.is_finite()) {
        return f64::NAN;
    }
    let mut worst = 0.0_f64;
    let residual = |row: usize, class: usize| residuals[row][class];
    for class in 0..case.classes {
        if case.intercept {
            worst = worst.max(mean(&|row| residual(row, class)).abs());
        }
        for (j, x) in rows.columns.iter().enumerate() {
            let centre = mean(&|row| x[row]);
            let deviation = mean(&|row| (x[row] - centre).powi(2)).sqrt();
            // Without an intercept columns stay where they are.
            let shift = if case.intercept { centre } else { 0.0 };
            let slope = mean(&|row| (x[row] - shift) / deviation * residual(row, class));
            let factor = case.factors.iter().find(|(place, _)| *place == j).map_or(1.0, |(_, factor)| *factor);
            let weight = point.coefficients[j][class];
            if factor.is_infinite() {
                worst = worst.max(weight.abs());
                continue;
            }
            let unit = if case.scale == PenaltyScale::Original { deviation } else { 1.0 };
            let l1 = point.strength * case.alpha * factor / unit;
            let l2 = point.strength * (1.0 - case.alpha) * factor / unit / unit;
            let slope = slope + l2 * weight * deviation;
            let bounds = case.bounds.iter().find(|(place, ..)| *place == j);
            let [low, high] = bounds.map_or([f64::NEG_INFINITY, f64::INFINITY], |(_, low, high)| [*low, *high]);
            // What is to be gained by more of it, and by less.
            let up = -slope - if weight >= 0.0 { l1 } else { -l1 };
            let down = slope - if weight <= 0.0 { l1 } else { -l1 };
            let near = |bound: f64| bound.is_finite() && (weight - bound).abs() <= 1e-9 * bound.abs();
            let up = if near(high) { 0.0 } else { up };
            let down = if near(low) { 0.0 } else { down };
            worst = worst.max(up).max(down);
            if !(low - 1e-9..=high + 1e-9).contains(&weight) {
                worst = f64::INFINITY;
            }
        }
    }
    worst
}

/// NaN is not within anything.
fn is_within(x: f64, most: f64) -> bool {
    x <= most
}

fn train(case: &Case, table: &Table, job: &Job) -> Result<Model, String> {
    let model = job.train(table).map_err(|error| format!("{}: {error}", case.name))?;
    if model.training.status == Status::Converged {
        return Ok(model);
    }
    Err(format!("{}: {:?}, {:?}", case.name, model.training.status, model.training.gap))
}

/// All cases by default, and to 1e-13 of the null deviance, refined in f64.
fn every_case_is_a_minimum(device: &Selection) -> Check {
    let is_gpu = *device != Selection::Cpu;
    for case in cases() {
        let rows = Rows::of(&case);
        let table = rows.table(&case);
        let fine = Job { exact: ExactJob::Refine, ..job(&case, device).gap_tolerance(1e-13) };
        // An error e of the gradient is a gap of about e^2: 1e-8 of the null deviance is 1e-4.
        for (job, most) in [(job(&case, device), 2e-4), (fine, 1e-6)] {
            // A ridge that nothing else is beside ends by its distance.
            if case.alpha == 0.0 && case.factors.is_empty() {
                continue;
            }
            let model = train(&case, &table, &job)?;
            let far = furthest(&case, &rows, &Point::of(&model, case.strength));
            if !is_within(far, most) {
                return Err(format!("{}: {far:e} from the minimum", case.name));
            }
            let passes = model.training.passes.data / if is_gpu { 2 } else { 1 };
            if passes > 12 {
                return Err(format!("{}: {passes} passes", case.name));
            }
            if model.training.identification.as_deref() != Some("penalised") {
                return Err(format!("{}: {:?}", case.name, model.training.identification));
            }
        }
    }
    Ok(())
}

/// The weights that a model has, as `class: feature`.
fn selected(model: &Model) -> Vec<String> {
    let of_feature = |feature: &gpu_logreg::model::FeatureInfo| -> Vec<String> {
        let of_classes = model.label.classes.iter().zip(&feature.coefficients).filter(|(_, weight)| **weight != 0.0);
        of_classes.map(|(class, _)| format!("{class}: {}", feature.name)).collect()
    };
    model.features.iter().flat_map(of_feature).collect()
}

/// Where a weight joins along a path it is on the edge, with its class, and nowhere near; a weight that is 0 because one of an even
/// number of classes has to be is not.
fn a_weight_that_joins_is_on_the_edge() -> Check {
    let (mut joined, mut held) = (0, 0);
    for case in [
        Case { name: "three classes", ..PLAIN },
        Case { name: "four classes", classes: 4, ..PLAIN },
        Case { name: "four classes, a net", classes: 4, alpha: 0.5, levels: 3, ..PLAIN },
    ] {
        let table = Rows::of(&case).table(&case);
        let at = |strength: f64| {
            let case = Case { strength, ..case.clone() };
            train(&case, &table, &job(&case, &Selection::Cpu).gap_tolerance(1e-14).refine())
        };
        let mut strength = 0.08_f64;
        let mut before = selected(&at(strength)?);
        while strength > 2e-3 {
            let [mut above, mut below] = [strength, 0.9 * strength];
            let whole = at(below)?;
            let after = selected(&whole);
            let joins: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
            if let ([name], true) = (joins.as_slice(), after.len() == before.len() + 1) {
                while above / below > 1.0 + 1e-13 {
                    let middle = 0.5 * (above + below);
                    *(if selected(&at(middle)?).contains(name) { &mut below } else { &mut above }) = middle;
                }
                let named = |strength: f64| Ok::<_, String>(at(strength)?.training.on_edge);
                if named(below)? != [name.as_str()]
                    || !named(1.001 * above)?.is_empty()
                    || !named(0.999 * below)?.is_empty()
                {
                    return Err(format!("{}: {name} joins at {below:e}, and named is {:?}", case.name, named(below)?));
                }
                joined += 1;
            }
            let count =
                |feature: &&gpu_logreg::model::FeatureInfo| feature.coefficients.iter().filter(|x| **x == 0.0).count();
            held += whole.features.iter().filter(|feature| case.classes == 4 && count(feature) == 1).count();
            (strength, before) = (0.9 * strength, after);
        }
    }
    if joined >= 10 && held >= 10 { Ok(()) } else { Err(format!("{joined} join, {held} are held")) }
}

/// The cases by their paths: each model is the minimum at its strength; at another strength it is not, which is the negative control.
fn every_path_is_of_minima(device: &Selection) -> Check {
    let (mut models, mut noticed) = (0, 0);
    // On a GPU a gap is not told apart from 0 below about 1e-10.
    let (gap, most) = if *device == Selection::Cpu { (1e-11, 1e-5) } else { (1e-9, 1e-4) };
    for case in cases() {
        let rows = Rows::of(&case);
        let table = rows.table(&case);
        let strengths = Strengths::Grid { count: 12, ratio: Some(1e-2) };
        let path = PathJob { strengths, alpha: case.alpha, is_full: true, ..PathJob::default() };
        let job = Job { l1: 0.0, l2: 0.0, ..job(&case, device) }.gap_tolerance(gap).path(path);
        let model = train(&case, &table, &job)?;
        for point in Point::of_path(&model) {
            let far = furthest(&case, &rows, &point);
            if !is_within(far, most) {
                return Err(format!("{} at {}: {far:e} from the minimum", case.name, point.strength));
            }
            let elsewhere = Point { strength: 1.2 * point.strength, ..point };
            noticed += usize::from(furthest(&case, &rows, &elsewhere) > most);
            models += 1;
        }
    }
    if models == 12 * cases().len() && noticed > models / 2 { Ok(()) } else { Err(format!("{noticed} of {models}")) }
}

/// Of an even number of classes the penalty leaves a number open that is taken from all weights of a column: then one of the two
/// middle ones is 0. An odd number leaves nothing open.
fn what_is_left_open_is_settled() -> Check {
    for classes in [3, 4, 5, 6] {
        let case = Case { name: "a lasso", classes, columns: 8, rows: 1_000, strength: 1e-3, ..PLAIN };
        let rows = Rows::of(&case);
        let model = train(&case, &rows.table(&case), &job(&case, &Selection::Cpu).gap_tolerance(1e-13))?;
        let sum: f64 = model.intercepts.iter().sum();
        if sum.abs() > 1e-12 {
            return Err(format!("{classes} classes: intercepts add up to {sum:e}"));
        }
        for feature in &model.features {
            let mut sorted = feature.coefficients.clone();
            sorted.sort_by(f64::total_cmp);
            let [below, above] = [sorted[(classes - 1) / 2], sorted[classes / 2]];
            if below > 0.0 || above < 0.0 || below.abs().min(above.abs()) > 0.0 {
                return Err(format!("{classes} classes: {sorted:?}"));
            }
        }
    }
    Ok(())
}

/// Real tables as R's glmnet has them (`tests/reference/glmnet_classes.py`): the same columns for the same classes, and coefficients to
/// 1e-6 of the largest, on the standardised scale.
fn as_glmnet_has_them(device: &Selection) -> Check {
    let text = std::fs::read_to_string("tests/reference/glmnet_classes.json").map_err(|error| error.to_string())?;
    let jobs: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let numbers = |value: &Value| -> Vec<f64> { list(value).iter().filter_map(Value::as_f64).collect() };
    let mut fits = 0;
    for given in list(&jobs) {
        let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
        let table = Table::open(text("table")).map_err(|error| error.to_string())?;
        let columns: Vec<String> = list(&given["columns"]).iter().filter_map(|c| c.as_str().map(Into::into)).collect();
        let classes: Vec<String> =
            list(&given["classes"]).iter().map(|class| class.as_str().map_or(class.to_string(), Into::into)).collect();
        let job = Job::label(text("label")).multinomial().features(columns.clone()).device(device.clone());
        let job = job.gap_tolerance(1e-14).refine();
        for (lambda, of_classes) in numbers(&given["lambdas"]).into_iter().zip(list(&given["coefficients"])) {
            let job = job.clone().elastic_net(lambda, given["alpha"].as_f64().expect("a share"));
            let model = job.train(&table).map_err(|error| error.to_string())?;
            let of_classes: Vec<Vec<f64>> = list(&of_classes).iter().map(numbers).collect();
            let mut pairs: Vec<(f64, f64)> = Vec::new();
            for (place, class) in model.label.classes.iter().enumerate() {
                let class = class.to_string();
                let expected = &of_classes[classes.iter().position(|other| *other == class).ok_or("a class")?];
                if expected.len() != model.features.len() + 1 {
                    return Err(format!("{}: {} coefficients", text("table"), expected.len()));
                }
                for (feature, expected) in model.features.iter().zip(&expected[1..]) {
                    pairs.push((feature.coefficients[place] * feature.scale, expected * feature.scale));
                }
            }
            let largest = pairs.iter().fold(0.0, |most: f64, (_, expected)| most.max(expected.abs()));
            for (found, expected) in pairs {
                if (found == 0.0) != (expected == 0.0) || !is_within((found - expected).abs(), 1e-6 * largest) {
                    return Err(format!("{}, lambda {lambda}: {found}, glmnet {expected}", text("table")));
                }
            }
            fits += 1;
        }
    }
    if fits == 16 { Ok(()) } else { Err(format!("{fits} fits")) }
}

/// A path has the same bits wherever its rows are kept, and however many threads there are; and a file keeps it.
fn a_path_has_the_same_bits() -> Check {
    let case = Case { rows: 9_000, columns: 4, classes: 4, is_weighted: true, ..PLAIN };
    let rows = Rows::of(&case);
    let table = rows.table(&case);
    let path = PathJob { strengths: Strengths::Grid { count: 20, ratio: None }, ..PathJob::default() };
    let job = Job { l1: 0.0, ..job(&case, &Selection::Cpu) }.path(path);
    let bits = |limits: Limits| -> Result<(Model, Vec<u64>), String> {
        let model = job.clone().limits(limits).train(&table).map_err(|error| error.to_string())?;
        let of_point = |point: Point| point.intercepts.into_iter().chain(point.coefficients.concat());
        let bits = Point::of_path(&model).into_iter().flat_map(of_point).map(f64::to_bits).collect();
        Ok((model, bits))
    };
    let (model, first) = bits(Limits::default())?;
    if bits(Limits { host: Some(1 << 17), ..Limits::default() })?.1 != first {
        return Err("a scratch file changes bits".into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().map_err(|error| error.to_string())?;
    if pool.install(|| bits(Limits::default()))?.1 != first {
        return Err("threads change bits".into());
    }
    let text = serde_json::to_string(&model).map_err(|error| error.to_string())?;
    let read: Model = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let middle = Point::of_path(&model)[7].clone();
    let at = read.at_lambda(middle.strength).map_err(|error| error.to_string())?;
    let at = Point::of(&at, middle.strength);
    if at.intercepts != middle.intercepts || at.coefficients != middle.coefficients {
        return Err("the file has another path".into());
    }
    Ok(())
}

/// A softmax of two classes has the path of the binary model: its penalty is on their difference.
fn two_classes_have_one_margin() -> Check {
    let case = Case { classes: 2, ..PLAIN };
    let table = Rows::of(&case).table(&case);
    let base = || Job { l1: 0.0, ..job(&case, &Selection::Cpu) }.path(PathJob::default()).gap_tolerance(1e-12);
    let binary = base().positive("k1").train(&table).map_err(|error| error.to_string())?;
    let softmax = base().multinomial().train(&table).map_err(|error| error.to_string())?;
    let [one, two] = [&binary, &softmax].map(|model| model.path.as_ref().expect("a path"));
    if one.lambdas.len() != two.lambdas.len() || two.intercepts[0].len() != 2 {
        return Err(format!("{} and {} strengths", one.lambdas.len(), two.lambdas.len()));
    }
    for (of_one, of_two) in one.coefficients.iter().zip(&two.coefficients) {
        for ((place, x), (other, of_classes)) in of_one.iter().zip(of_two) {
            if place != other || !is_within((x[0] - (of_classes[1] - of_classes[0])).abs(), 1e-5) {
                return Err(format!("{x:?} and {of_classes:?} of column {place}"));
            }
        }
    }
    Ok(())
}

/// The fold that a row is held back in.
fn fold_of(row: usize) -> usize {
    row * row % 13 % 4
}

/// The rows that are in a fold, or those that are not.
fn some_of(rows: &Rows, fold: usize, is_in: bool) -> Rows {
    let kept: Vec<usize> = (0..rows.labels.len()).filter(|row| (fold_of(*row) == fold) == is_in).collect();
    let of = |values: &[f64]| kept.iter().map(|&row| values[row]).collect::<Vec<f64>>();
    Rows {
        columns: rows.columns.iter().map(|column| of(column)).collect(),
        levels: if rows.levels.is_empty() { Vec::new() } else { kept.iter().map(|&row| rows.levels[row]).collect() },
        labels: kept.iter().map(|&row| rows.labels[row]).collect(),
        weights: of(&rows.weights),
        offsets: of(&rows.offsets),
    }
}

/// Twice the mean loss, the share of rows told wrongly and the Brier score of rows, and their weight.
fn judged(case: &Case, rows: &Rows, point: &Point) -> ([f64; 3], f64) {
    let (mut sums, mut weight) = ([0.0; 3], 0.0);
    for (row, &label) in rows.labels.iter().enumerate() {
        let margin = |class: usize| {
            let own = rows.columns.iter().zip(&point.coefficients).map(|(x, of_feature)| x[row] * of_feature[class]);
            point.intercepts[class] + if class == 1 { rows.offsets[row] } else { 0.0 } + own.sum::<f64>()
        };
        let odds: Vec<f64> = (0..case.classes).map(|class| margin(class).exp()).collect();
        let total: f64 = odds.iter().sum();
        let likeliest = (0..case.classes).fold(0, |best, class| if odds[class] > odds[best] { class } else { best });
        let square = |class: usize| (odds[class] / total - f64::from(u8::from(class == label))).powi(2);
        let own = [
            -2.0 * (odds[label] / total).ln(),
            f64::from(u8::from(likeliest != label)),
            (0..case.classes).map(square).sum(),
        ];
        for (sum, own) in sums.iter_mut().zip(own) {
            *sum += rows.weights[row] * own;
        }
        weight += rows.weights[row];
    }
    (sums.map(|sum| sum / weight), weight)
}

/// Curves over the folds are those of models that were trained on the other rows alone, and judged here. The control: with the rows of
/// another fold they are not.
fn models_of_folds_know_the_other_rows_alone() -> Check {
    let names = ["deviance", "error", "brier"];
    for case in [
        Case { rows: 1_200, ..PLAIN },
        Case { rows: 1_500, classes: 5, alpha: 0.6, is_weighted: true, ..PLAIN },
        Case { rows: 1_200, has_offset: true, levels: 4, scale: PenaltyScale::Original, alpha: 0.5, ..PLAIN },
        Case { rows: 1_000, intercept: false, factors: &[(0, 0.0)], ..PLAIN },
        Case { rows: 9_000, columns: 4, classes: 4, host: Some(1 << 17), ..PLAIN },
    ] {
        let rows = Rows::of(&case);
        let base = || Job { l1: 0.0, l2: 0.0, ..job(&case, &Selection::Cpu) }.gap_tolerance(1e-12);
        let path = |strengths: Strengths| PathJob { strengths, alpha: case.alpha, is_full: true, ..PathJob::default() };
        let grid = path(Strengths::Grid { count: 8, ratio: Some(2e-2) });
        let grid = PathJob { visits_all_folds: true, ..grid };
        let folds: Vec<i64> = (0..case.rows).map(|row| fold_of(row) as i64).collect();
        let named = FoldSpec { dealing: Dealing::Column("fold".into()), ..FoldSpec::default() };
        let model = train(&case, &rows.table_with(&case, &folds), &base().path(grid).folds(named))?;
        let path_of = model.path.as_ref().ok_or("no path")?;
        let cv = path_of.cv.as_ref().ok_or("no folds")?;
        let best = path_of.lambdas.iter().position(|l| l.total_cmp(&cv.lambda_min).is_eq()).ok_or("a place")?;
        let mut selecting = vec![0; model.features.len()];
        if cv.folds.len() != 4 {
            return Err(format!("{}: {} folds", case.name, cv.folds.len()));
        }
        for (place, fold) in cv.folds.iter().enumerate() {
            let held_back: usize = fold.name.parse().map_err(|_| format!("fold {}", fold.name))?;
            let given = path(Strengths::Given(path_of.lambdas.clone()));
            let trained_on = some_of(&rows, held_back, false);
            let own = train(&case, &trained_on.table(&case), &base().path(given))?;
            let points = Point::of_path(&own);
            for (count, of_classes) in selecting.iter_mut().zip(&points[best].coefficients) {
                *count += usize::from(of_classes.iter().any(|x| *x != 0.0));
            }
            for (at, point) in points.iter().enumerate() {
                let (expected, weight) = judged(&case, &some_of(&rows, held_back, true), point);
                let (elsewhere, _) = judged(&case, &some_of(&rows, (held_back + 1) % 4, true), point);
                for (name, (expected, elsewhere)) in names.iter().zip(expected.iter().zip(elsewhere)) {
                    let curve = cv.curves.iter().find(|curve| curve.metric == *name).ok_or("a curve")?;
                    let found = curve.by_fold[place][at];
                    let most = if *name == "error" { 1.5 / weight } else { 2e-6 };
                    if !is_within((found - expected).abs(), most) || !is_within((fold.weight - weight).abs(), 1e-9) {
                        return Err(format!("{name} of fold {held_back} at {at}: {found}, not {expected}"));
                    }
                    if *name == "deviance" && is_within((found - elsewhere).abs(), most) {
                        return Err(format!("fold {held_back} at {at} is as good on other rows: {found}"));
                    }
                }
            }
        }
        let found: Vec<usize> = (0..selecting.len())
            .map(|j| cv.selected_at_min.iter().find(|(place, _)| *place == j).map_or(0, |(_, folds)| *folds))
            .collect();
        if found != selecting {
            return Err(format!("{}: folds that select a feature, {found:?}, not {selecting:?}", case.name));
        }
    }
    Ok(())
}

/// What makes no sense is refused with a way out.
fn refusals() -> Check {
    let case = Case { columns: 400, rows: 60, ..PLAIN };
    let table = Rows::of(&case).table(&case);
    let base = || job(&case, &Selection::Cpu);
    let ranked = PathJob { metric: Metric::Auc, ..PathJob::default() };
    let folds = Job { l1: 0.0, ..base() }.path(ranked).folds(FoldSpec::default());
    for (job, words) in
        [(base(), "takes the Hessian of all 1203 coefficients of every class"), (folds, "is for two classes")]
    {
        match job.train(&table) {
            Ok(_) => return Err(format!("accepted where `{words}` was due")),
            Err(error) if error.to_string().contains(words) => {}
            Err(error) => return Err(format!("`{error}` where `{words}` was due")),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.cpu("every_case_is_a_minimum", || every_case_is_a_minimum(&Selection::Cpu));
    suite.cpu("a_weight_that_joins_is_on_the_edge", a_weight_that_joins_is_on_the_edge);
    suite.gpu("every_case_is_a_minimum", |_| every_case_is_a_minimum(&Selection::Gpu));
    suite.cpu("every_path_is_of_minima", || every_path_is_of_minima(&Selection::Cpu));
    suite.gpu("every_path_is_of_minima", |_| every_path_is_of_minima(&Selection::Gpu));
    suite.cpu("what_is_left_open_is_settled", what_is_left_open_is_settled);
    suite.cpu("as_glmnet_has_them", || as_glmnet_has_them(&Selection::Cpu));
    suite.gpu("as_glmnet_has_them", |_| as_glmnet_has_them(&Selection::Gpu));
    suite.cpu("a_path_has_the_same_bits", a_path_has_the_same_bits);
    suite.cpu("two_classes_have_one_margin", two_classes_have_one_margin);
    suite.cpu("models_of_folds_know_the_other_rows_alone", models_of_folds_know_the_other_rows_alone);
    suite.cpu("refusals", refusals);
    suite.run()
}
