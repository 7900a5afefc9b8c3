//! Whether the answers are right, and whether the program knows when they are not: reference answers, separation,
//! collinear columns and awkward scales, on both engines.

mod common {
    pub(crate) mod random;
}
mod harness;
#[allow(dead_code, reason = "each test file uses its part of the oracle")]
mod oracle;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use common::random::uniform;
use gpu_logreg::data::synth::{Recipe, write};
use gpu_logreg::data::{Spec, Table};
use gpu_logreg::engine::Selection;
use gpu_logreg::model::Model;
use gpu_logreg::monitor::Silent;
use gpu_logreg::solve::{Preconditioner, Status};
use gpu_logreg::train::{ExactJob, InferenceJob, Job, Solver, train};
use harness::{Check, Suite, close};
use oracle::Rows;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).join(name)
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A job with the defaults and standard errors.
fn job(device: &Selection, label: &str, features: &[&str]) -> Job {
    // No names are all columns.
    let features = Some(strings(features)).filter(|features| !features.is_empty());
    let spec = Spec { label: Some(label.into()), features, ..Spec::default() };
    Job { inference: Some(InferenceJob { confidence: 0.95, robust: false }), ..Job::new(spec, device.clone()) }
}

fn fit(path: &Path, job: &Job) -> Result<Model, String> {
    let table = Table::open(path).map_err(|e| e.to_string())?;
    train(&table, job, &Silent, &mut |_| {}).map_err(|e| e.to_string())
}

/// Writes rows as columns x1, x2, ... and the label y, and fits them.
fn fit_rows(rows: &Rows, change: impl FnOnce(&mut Job), device: &Selection) -> Result<Model, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("rows.parquet");
    let mut columns: Vec<(String, ArrayRef)> = rows
        .columns
        .iter()
        .enumerate()
        .map(|(j, column)| (format!("x{}", j + 1), Arc::new(Float64Array::from(column.clone())) as ArrayRef))
        .collect();
    let labels: BooleanArray = rows.labels.iter().map(|t| Some(*t > 0.5)).collect();
    columns.push(("y".into(), Arc::new(labels)));
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| e.to_string())?;
    let file = std::fs::File::create(&path).map_err(|e| e.to_string())?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(|e| e.to_string())?;
    writer.write(&batch).map_err(|e| e.to_string())?;
    writer.close().map_err(|e| e.to_string())?;
    let mut job = job(device, "y", &[]);
    change(&mut job);
    fit(&path, &job)
}

fn status(model: &Model, expected: Status) -> Check {
    if model.training.status == expected {
        return Ok(());
    }
    Err(format!("{:?} instead of {expected:?}, {:?}", model.training.status, model.training.delta))
}

fn coefficients(model: &Model) -> Vec<f64> {
    model.features.iter().map(|feature| feature.coefficients[0]).chain([model.intercepts[0]]).collect()
}

fn standard_errors(model: &Model) -> Vec<f64> {
    let of = |inference: Option<&gpu_logreg::model::inference::Inference>| {
        inference.map_or(f64::NAN, |inference| inference.standard_error)
    };
    model.features.iter().map(|feature| of(feature.inferred(0))).chain([of(model.inferred_intercept(0))]).collect()
}

/// The three published models: coefficients within 1e-4 standard errors, standard errors within 1e-5, and the loss.
fn reference_answers(device: &Selection) -> Check {
    let text = std::fs::read_to_string(example("reference.json")).map_err(|e| e.to_string())?;
    let reference: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let mut checked = 0;
    for (name, answer) in reference.as_object().ok_or("no object")? {
        let file = name.split(':').next().ok_or("no file")?;
        let features: Vec<&str> =
            answer["coefficients"].as_object().ok_or("no coefficients")?.keys().map(String::as_str).collect();
        let label = answer["label"].as_str().ok_or("no label")?;
        let model = fit(&example(&format!("{file}.parquet")), &job(device, label, &features))?;
        status(&model, Status::Converged)?;
        let numbers = |part: &str, last: &str| -> Vec<f64> {
            let of = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
            features.iter().map(|feature| of(&answer[part][feature])).chain([of(&answer[last])]).collect()
        };
        let errors = numbers("standard_errors", "intercept_standard_error");
        let expected = numbers("coefficients", "intercept");
        close(name, &coefficients(&model), &expected, |j| 1e-4 * errors[j])?;
        close(&format!("{name}, errors"), &standard_errors(&model), &errors, |j| 1e-5 * errors[j])?;
        let loss = answer["mean_loss"].as_f64().ok_or("no loss")?;
        close(&format!("{name}, loss"), &[model.training.loss], &[loss], |_| 1e-6 * loss)?;
        // The check itself can fail.
        if close(name, &coefficients(&model), &expected, |j| 1e-12 * errors[j]).is_ok() {
            return Err("the tolerance means nothing".into());
        }
        checked += 1;
    }
    if checked == 3 { Ok(()) } else { Err(format!("{checked} models were checked")) }
}

/// Every solver and preconditioner gives the same answer.
fn solvers_agree(device: &Selection) -> Check {
    let path = example("weather.parquet");
    let features = ["temp_max", "temp_min", "wind"];
    let expected = fit(&path, &Job { tolerance: 1e-6, ..job(&Selection::Cpu, "rain", &features) })?;
    let errors = standard_errors(&expected);
    for (solver, preconditioner) in [
        (Solver::Cg, None),
        (Solver::Cg, Some(Preconditioner::None)),
        (Solver::Cg, Some(Preconditioner::Diagonal)),
        (Solver::Cg, Some(Preconditioner::Subsample)),
        (Solver::Newton, None),
        (Solver::Lbfgs, None),
        (Solver::Lbfgs, Some(Preconditioner::Hessian)),
        (Solver::GradientDescent, None),
    ] {
        let model = fit(&path, &Job { solver, preconditioner, ..job(device, "rain", &features) })?;
        status(&model, Status::Converged).map_err(|fault| format!("{solver:?}, {preconditioner:?}: {fault}"))?;
        close(&format!("{solver:?}, {preconditioner:?}"), &coefficients(&model), &coefficients(&expected), |j| {
            2e-4 * errors[j]
        })?;
    }
    Ok(())
}

/// Iris: setosa against versicolor is completely separable by every petal measure.
fn iris_without_virginica() -> Rows {
    let rows = oracle::read_texts(
        &example("iris.parquet"),
        &["sepal_length", "sepal_width", "petal_length", "petal_width"],
        "species",
    );
    let kept: Vec<usize> = (0..rows.1.len()).filter(|&k| rows.1[k] != "virginica").collect();
    Rows {
        columns: rows.0.iter().map(|column| kept.iter().map(|&k| column[k]).collect()).collect(),
        labels: kept.iter().map(|&k| f64::from(u8::from(rows.1[k] == "versicolor"))).collect(),
        ..Rows::default()
    }
}

fn complete_separation_is_said(device: &Selection) -> Check {
    let iris = iris_without_virginica();
    if iris.len() != 100 {
        return Err(format!("{} rows of iris", iris.len()));
    }
    let model = fit_rows(&iris, |_| {}, device)?;
    status(&model, Status::Separated)?;
    let warnings = model.training.warnings.join("\n");
    if !warnings.contains("⟦l2 1e-3⟧") || !warnings.contains("x3") || model.training.likelihood.is_none() {
        return Err(format!("the warnings do not help: {warnings}"));
    }
    if standard_errors(&model).iter().any(|error| !error.is_nan()) {
        return Err("a separated model has standard errors".into());
    }
    let cancer = example("breast_cancer.parquet");
    status(&fit(&cancer, &job(device, "malignant", &[]))?, Status::Separated)?;
    status(&fit(&cancer, &Job { l2: 1e-3, ..job(device, "malignant", &[]) })?, Status::Converged)?;
    // A penalty makes the answer finite, and the same as the oracle's.
    let expected = iris.standardized().newton(0.01);
    let model = fit_rows(&iris, |job| job.l2 = 0.01, device)?;
    status(&model, Status::Converged)?;
    let found: Vec<f64> = model.features.iter().map(|feature| feature.effect(0)).collect();
    close("penalised", &found, &expected[..4], |j| 1e-4 * expected[j].abs())
}

/// `n` rows of `d` uniform columns with labels from a moderate model.
fn moderate(n: usize, d: usize, seed: u64) -> Rows {
    let mut uniform = uniform(seed);
    let columns: Vec<Vec<f64>> = (0..d).map(|_| (0..n).map(|_| 4.0 * uniform() - 2.0).collect()).collect();
    let labels = (0..n)
        .map(|k| {
            let z: f64 = columns.iter().enumerate().map(|(j, c)| c[k] * (0.8 - 0.5 * j as f64)).sum::<f64>() - 0.3;
            f64::from(u8::from(uniform() < 1.0 / (1.0 + (-z).exp())))
        })
        .collect();
    Rows { columns, labels, ..Rows::default() }
}

/// A level whose rows are all positive: its coefficient has no finite estimate, the others do.
fn quasi_complete_separation_is_said(device: &Selection) -> Check {
    let mut rows = moderate(5_000, 2, 3);
    let level: Vec<f64> = (0..5_000).map(|k| f64::from(u8::from(k % 50 == 0 && rows.labels[k] > 0.5))).collect();
    if level.iter().sum::<f64>() < 10.0 {
        return Err("too few rows of the level".into());
    }
    status(&fit_rows(&rows, |_| {}, device)?, Status::Converged)?;
    rows.columns.push(level);
    let model = fit_rows(&rows, |_| {}, device)?;
    status(&model, Status::Separated)?;
    let warnings = model.training.warnings.join("\n");
    if warnings.contains("separate: x3") { Ok(()) } else { Err(format!("the column is not named: {warnings}")) }
}

/// A duplicate, a sum, and a full set of dummies beside the intercept: the last of each goes, the rest is as without it.
fn collinear_columns_are_named_and_dropped(device: &Selection) -> Check {
    let plain = moderate(4_000, 3, 11);
    let expected = fit_rows(&plain, |_| {}, device)?;
    let errors = standard_errors(&expected);
    let duplicate = plain.columns[0].clone();
    let sum: Vec<f64> = plain.columns[1].iter().zip(&plain.columns[2]).map(|(a, b)| 3.0 * a - b + 7.0).collect();
    for extra in [duplicate, sum] {
        let mut rows = plain.clone();
        rows.columns.push(extra);
        let model = fit_rows(&rows, |_| {}, device)?;
        status(&model, Status::Converged)?;
        let aliased: Vec<bool> = model.features.iter().map(|feature| feature.aliased).collect();
        if aliased != [false, false, false, true] || model.features[3].coefficients[0] != 0.0 {
            return Err(format!("aliased: {aliased:?}"));
        }
        let mut found = coefficients(&model);
        found.remove(3);
        close("beside an aliased column", &found, &coefficients(&expected), |j| 2e-4 * errors[j])?;
    }
    // Three levels, all of them as columns.
    let mut dummies = plain.clone();
    for level in 0..3 {
        dummies.columns.push((0..4_000).map(|k| f64::from(u8::from((k * 7 + k / 13) % 3 == level))).collect());
    }
    let model = fit_rows(&dummies, |_| {}, device)?;
    status(&model, Status::Converged)?;
    let aliased: Vec<bool> = model.features.iter().map(|feature| feature.aliased).collect();
    if aliased != [false, false, false, false, false, true] {
        return Err(format!("aliased of the dummies: {aliased:?}"));
    }
    // An inflation factor of 1e8 is no alias.
    let mut nearly = plain.clone();
    let mut noise = uniform(5);
    nearly.columns.push(plain.columns[0].iter().map(|x| x + 4e-4 * (noise() - 0.5)).collect());
    let model = fit_rows(&nearly, |_| {}, device)?;
    if model.features.iter().any(|feature| feature.aliased) {
        return Err("a column of inflation factor 1e8 was dropped".into());
    }
    if model.training.status.is_success() { Ok(()) } else { Err(format!("{:?}", model.training.status)) }
}

/// Far means and scales of 1e-12 and 1e12 side by side change nothing but the units.
fn awkward_scales_change_nothing(device: &Selection) -> Check {
    let plain = moderate(3_000, 3, 17);
    let expected = fit_rows(&plain, |_| {}, device)?;
    let errors = standard_errors(&expected);
    let units = [1e-12, 1e12, 1.0];
    let mut rows = plain.clone();
    for ((column, unit), offset) in rows.columns.iter_mut().zip(units).zip([0.0, 0.0, 1e6]) {
        for x in column {
            *x = *x * unit + offset;
        }
    }
    let model = fit_rows(&rows, |_| {}, device)?;
    status(&model, Status::Converged)?;
    let found: Vec<f64> =
        model.features.iter().zip(units).map(|(feature, unit)| feature.coefficients[0] * unit).collect();
    close("in other units", &found, &coefficients(&expected)[..3], |j| 2e-4 * errors[j])
}

/// One positive in 200,000: finite, with the slope that Newton's method finds, or said not to be.
fn one_positive_in_many_is_finite(device: &Selection) -> Check {
    let mut rows = moderate(200_000, 2, 23);
    rows.labels = vec![0.0; 200_000];
    rows.labels[77_777] = 1.0;
    // In the middle of the other rows, so that nothing separates it.
    rows.columns[0][77_777] = 0.5;
    rows.columns[1][77_777] = -0.25;
    let model = fit_rows(&rows, |_| {}, device)?;
    status(&model, Status::Converged)?;
    let expected = rows.newton(0.0);
    let errors = standard_errors(&model);
    close("coefficients", &coefficients(&model), &expected, |j| 2e-4 * errors[j])
}

/// HC0 standard errors against the sandwich computed row by row.
fn robust_errors_are_the_sandwich(device: &Selection) -> Check {
    let rows = moderate(2_000, 3, 29);
    let at = rows.newton(0.0);
    let expected = rows.sandwich_errors(&at);
    let model = fit_rows(&rows, |job| job.inference = Some(InferenceJob { confidence: 0.9, robust: true }), device)?;
    close("robust", &standard_errors(&model), &expected, |j| 2e-5 * expected[j])?;
    let plain = fit_rows(&rows, |_| {}, device)?;
    match close("robust", &standard_errors(&plain), &expected, |j| 2e-5 * expected[j]) {
        Err(_) => Ok(()),
        Ok(()) => Err("the plain errors are as good: the check means nothing".into()),
    }
}

/// A model without parameters is refused, not iterated on.
fn nothing_to_fit_is_refused(device: &Selection) -> Check {
    let rows =
        Rows { columns: vec![vec![0.0; 20]], labels: (0..20).map(|k| f64::from(k % 2)).collect(), ..Rows::default() };
    match fit_rows(&rows, |job| job.intercept = false, device) {
        Err(error) if error.contains("nothing to fit") => Ok(()),
        other => Err(format!("{:?}", other.map(|model| model.training.status))),
    }
}

/// Statuses of runs that are cut short.
fn statuses_are_honest(device: &Selection) -> Check {
    let rows = moderate(2_000, 3, 31);
    status(&fit_rows(&rows, |job| job.max_iterations = 1, device)?, Status::MaxIterations)?;
    let strict = fit_rows(&rows, |job| job.tolerance = 1e-13, device)?;
    if strict.training.status == Status::Converged && *device != Selection::Cpu {
        return Err("f32 claims 1e-13 standard errors".into());
    }
    if strict.training.delta.is_none_or(|delta| delta.is_nan() || delta > 1e-3) {
        return Err(format!("the run ended far away: {:?}", strict.training.delta));
    }
    status(&fit_rows(&rows, |job| job.gradient_tolerance = Some(1e-6), device)?, Status::Converged)
}

/// `--refine` gives the digits of double-precision Newton, from f32 too; `--verify` sees what is there.
fn refinement_reaches_double_precision(device: &Selection) -> Check {
    let mut checked = 0;
    for (file, label, features) in [
        ("weather.parquet", "rain", vec!["temp_max", "temp_min", "wind"]),
        ("spector.parquet", "GRADE", vec!["GPA", "TUCE", "PSI"]),
    ] {
        let rows = oracle::read(&example(file), &features, label);
        let (scaled, moments) = (rows.standardized(), rows.moments());
        let at = scaled.newton(0.0);
        let weights: Vec<f64> = at.iter().zip(&moments).map(|(w, (_, s))| w / s).collect();
        let intercept = at[3] - weights.iter().zip(&moments).map(|(w, (m, _))| w * m).sum::<f64>();
        let expected: Vec<f64> = weights.into_iter().chain([intercept]).collect();
        let plain = Job { exact: ExactJob::Verify, ..job(device, label, &features) };
        let refined = fit(&example(file), &Job { exact: ExactJob::Refine, ..plain.clone() })?;
        close(file, &coefficients(&refined), &expected, |j| 1e-11 * expected[j].abs())?;
        // Without refinement the pass only looks: its gradient is that of the oracle there, and not zero.
        let model = fit(&example(file), &plain)?;
        if close(file, &coefficients(&model), &expected, |j| 1e-11 * expected[j].abs()).is_ok() {
            return Err("the coefficients were exact before: the check means nothing".into());
        }
        let there = coefficients(&model);
        let seen = rows.evaluate(&there[..3], there[3]);
        let verified = model.training.verified.ok_or("nothing was verified")?;
        close("verified loss", &[verified.loss], &[seen.loss], |_| 1e-13)?;
        let gradient = (0..3).map(|j| ((seen.gradient[j] - seen.gradient[3] * moments[j].0) / moments[j].1).abs());
        let largest = gradient.fold(seen.gradient[3].abs(), f64::max);
        close("verified gradient", &[verified.gradient_norm], &[largest], |_| 1e-12)?;
        checked += 1;
    }
    // With a penalty, and without an intercept.
    let rows = moderate(3_000, 3, 41);
    let penalised = fit_rows(
        &rows,
        |job| {
            job.exact = ExactJob::Refine;
            job.l2 = 0.05;
        },
        device,
    )?;
    let (scaled, moments) = (rows.standardized(), rows.moments());
    let expected: Vec<f64> = scaled.newton(0.05).iter().zip(&moments).map(|(w, (_, s))| w / s).collect();
    close("penalised", &coefficients(&penalised)[..3], &expected[..3], |j| 1e-11 * expected[j].abs())?;
    let without = fit_rows(
        &rows,
        |job| {
            job.exact = ExactJob::Refine;
            job.intercept = false;
        },
        device,
    )?;
    let found = coefficients(&without);
    let gradient = rows.evaluate(&found[..3], 0.0).gradient;
    close("without an intercept", &gradient[..3], &[0.0; 3], |_| 1e-14)?;
    if checked == 2 { Ok(()) } else { Err(format!("{checked} models were checked")) }
}

/// The rows that `synth` makes, in a folder that goes with them.
fn synth(recipe: &Recipe) -> Result<(tempfile::TempDir, PathBuf), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("rows.parquet");
    let file = std::fs::File::create(&path).map_err(|e| e.to_string())?;
    write(recipe, file, &path, &Silent).map_err(|e| e.to_string())?;
    Ok((folder, path))
}

/// The columns of numbers `x1`, `x2`, .. of a file, or those with these names.
fn columns(path: &Path, names: &[&str]) -> Result<Vec<Vec<f64>>, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| e.to_string())?;
    let mut columns = vec![Vec::new(); names.len()];
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        for (column, name) in columns.iter_mut().zip(names) {
            let array = batch.column_by_name(name).ok_or("no such column")?;
            let array = cast(array, &DataType::Float64).map_err(|e| e.to_string())?;
            column.extend(array.as_primitive::<Float64Type>().values());
        }
    }
    Ok(columns)
}

/// Probabilities of a softmax, row by row in f64, `[rows][classes]`.
fn probabilities(model: &Model, columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let classes = model.intercepts.len();
    let of_row = |row: usize| {
        let margin = |class: usize| {
            let terms =
                model.features.iter().zip(columns).map(|(feature, column)| feature.coefficients[class] * column[row]);
            model.intercepts[class] + terms.sum::<f64>()
        };
        let margins: Vec<f64> = (0..classes).map(margin).collect();
        let top = margins.iter().fold(f64::NEG_INFINITY, |top: f64, z| top.max(*z));
        let odds: Vec<f64> = margins.iter().map(|z| (z - top).exp()).collect();
        let total: f64 = odds.iter().sum();
        odds.iter().map(|odds| odds / total).collect()
    };
    (0..columns[0].len()).map(of_row).collect()
}

fn furthest(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.fold(0.0, |most: f64, (a, b)| if (a - b).abs() <= most { most } else { (a - b).abs() })
}

/// 200,000 rows of 64 features and ten classes: the same probabilities from both models as on the CPU, to 1e-5.
fn ten_classes_are_those_of_the_cpu(device: &Selection) -> Check {
    let (_folder, path) = synth(&Recipe { rows: 200_000, features: 64, classes: 10, seed: 11, ..Recipe::default() })?;
    let names: Vec<String> = (1..=64).map(|j| format!("x{j}")).collect();
    let columns = columns(&path, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    for solver in [Solver::Cg, Solver::Generative] {
        let fit_on = |device: &Selection| {
            let job = Job { solver, tolerance: 1e-6, inference: None, ..job(device, "y", &[]) };
            fit(&path, &job)
        };
        let (mut found, expected) = (fit_on(device)?, fit_on(&Selection::Cpu)?);
        // Of 585 parameters the rounding of the columns alone is about as large as this tolerance.
        if !found.training.status.is_success() || !expected.training.status.is_success() {
            return Err(format!("{:?} and {:?}", found.training.status, expected.training.status));
        }
        let expected = probabilities(&expected, &columns);
        let apart = furthest(&probabilities(&found, &columns), &expected);
        println!("{}: probabilities {apart:.1e} apart", found.training.solver);
        if apart.is_nan() || apart > 1e-5 {
            return Err(format!("{}: probabilities {apart:e} apart", found.training.solver));
        }
        // The control: a coefficient that is off by so little would be seen.
        found.features[17].coefficients[3] += 1e-4;
        if furthest(&probabilities(&found, &columns), &expected) <= 1e-5 {
            return Err("the tolerance means nothing".into());
        }
    }
    Ok(())
}

/// The refined coefficients of several classes are where the gradient vanishes, row by row in f64.
fn several_classes_are_refined(device: &Selection) -> Check {
    let features = ["temp_max", "temp_min", "wind"];
    let path = example("weather.parquet");
    let columns = columns(&path, &features)?;
    for (l2, name) in [(0.0, "plain"), (0.01, "penalised")] {
        let gradient = |exact: ExactJob| -> Result<Vec<f64>, String> {
            let model = fit(&path, &Job { l2, exact, inference: None, ..job(device, "kind", &features) })?;
            status(&model, Status::Converged)?;
            let labels = labels(&path, "kind", &model)?;
            let found = probabilities(&model, &columns);
            let of_feature = |class: usize, j: usize| {
                let residual = |row: usize| found[row][class] - f64::from(u8::from(labels[row] == class));
                let feature = &model.features[j];
                let terms = (0..labels.len()).map(|row| residual(row) * (columns[j][row] - feature.mean));
                let mean = terms.sum::<f64>() / labels.len() as f64;
                mean / feature.scale + l2 * feature.coefficients[class] * feature.scale
            };
            Ok((0..model.intercepts.len())
                .flat_map(|class| (0..3).map(move |j| (class, j)))
                .map(|(class, j)| of_feature(class, j))
                .collect())
        };
        close(name, &gradient(ExactJob::Refine)?, &[0.0; 15], |_| 1e-13)?;
        // The control: without refinement it does not vanish so.
        if close(name, &gradient(ExactJob::None)?, &[0.0; 15], |_| 1e-13).is_ok() {
            return Err("the tolerance means nothing".into());
        }
    }
    Ok(())
}

/// The place of each row's label among the classes.
fn labels(path: &Path, column: &str, model: &Model) -> Result<Vec<usize>, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| e.to_string())?;
    let mut labels = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let array =
            cast(batch.column_by_name(column).ok_or("no label")?, &DataType::Utf8).map_err(|e| e.to_string())?;
        for text in array.as_string::<i32>() {
            let class = model.label.classes.iter().position(|class| Some(class.to_string().as_str()) == text);
            labels.push(class.ok_or("an unknown class")?);
        }
    }
    Ok(labels)
}

/// What stands for the Hessian of a softmax leads to the same optimum, and says how far from it the run ended.
fn approximate_hessians_of_a_softmax_are_honest(device: &Selection) -> Check {
    let (_folder, path) =
        synth(&Recipe { rows: 20_000, features: 12, classes: 6, correlation: 0.4, seed: 5, ..Recipe::default() })?;
    for l2 in [0.0, 1e-3] {
        let exact = fit(&path, &Job { l2, exact: ExactJob::Refine, ..job(device, "y", &[]) })?;
        for preconditioner in [Preconditioner::Subsample, Preconditioner::Bound] {
            let job = Job { l2, inference: None, preconditioner: Some(preconditioner), ..job(device, "y", &[]) };
            let model = fit(&path, &job)?;
            status(&model, Status::Converged)?;
            if !model.training.delta_is_approximate {
                return Err("an approximate distance is not said to be one".into());
            }
            let mut most: f64 = 0.0;
            for (found, expected) in model.features.iter().zip(&exact.features) {
                for class in 0..6 {
                    if let Some(inference) = expected.inferred(class) {
                        let off = (found.coefficients[class] - expected.coefficients[class]).abs();
                        most = most.max(off / inference.standard_error);
                    }
                }
            }
            let delta = model.training.delta.unwrap_or(f64::NAN);
            println!("{preconditioner:?}, l2 {l2}: {most:.1e} standard errors off, {delta:.1e} said");
            if most.is_nan() || most > 2e-4 || most > delta + model.training.delta_floor {
                return Err(format!("{preconditioner:?}: {most:e} standard errors off, {delta:e} said"));
            }
        }
    }
    Ok(())
}

/// A column twice: dropped and named, whatever stands for the Hessian, and from the generative model too.
fn collinear_columns_of_a_softmax_are_dropped(device: &Selection) -> Check {
    let recipe = Recipe { rows: 5_000, features: 4, classes: 4, seed: 3, ..Recipe::default() };
    let (folder, path) = synth(&recipe)?;
    let file = std::fs::File::open(&path).map_err(|e| e.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    let mut reader = builder.with_batch_size(recipe.rows).build().map_err(|e| e.to_string())?;
    let batch = reader.next().ok_or("no rows")?.map_err(|e| e.to_string())?;
    let mut columns: Vec<(&str, ArrayRef)> =
        ["x1", "x2", "x3", "x4", "y"].iter().map(|name| (*name, batch[*name].clone())).collect();
    columns.push(("again", batch["x2"].clone()));
    columns.push(("always", Arc::new(Float64Array::from(vec![7.0; batch.num_rows()]))));
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| e.to_string())?;
    let twice = folder.path().join("twice.parquet");
    let file = std::fs::File::create(&twice).map_err(|e| e.to_string())?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(|e| e.to_string())?;
    writer.write(&batch).and_then(|()| writer.close()).map_err(|e| e.to_string())?;
    let ways = [
        (Solver::Cg, None),
        (Solver::Cg, Some(Preconditioner::Subsample)),
        (Solver::Cg, Some(Preconditioner::Bound)),
        (Solver::Generative, None),
    ];
    for (solver, preconditioner) in ways {
        let job = Job { solver, preconditioner, inference: None, ..job(device, "y", &[]) };
        let (model, expected) = (fit(&twice, &job)?, fit(&path, &job)?);
        let aliased: Vec<&str> =
            model.features.iter().filter(|feature| feature.aliased).map(|feature| feature.name.as_str()).collect();
        if aliased != ["again"]
            || model.features[4].coefficients != [0.0; 4]
            || model.features[5].coefficients != [0.0; 4]
        {
            return Err(format!("{solver:?}, {preconditioner:?}: aliased {aliased:?}"));
        }
        for j in 0..4 {
            let (found, expected) = (&model.features[j].coefficients, &expected.features[j].coefficients);
            close(&format!("{solver:?}, {preconditioner:?}, x{}", j + 1), found, expected, |_| 1e-5)?;
        }
    }
    Ok(())
}

type Test = fn(&Selection) -> Check;

const SUITE: [(&str, Test); 14] = [
    ("nothing_to_fit_is_refused", nothing_to_fit_is_refused),
    ("refinement_reaches_double_precision", refinement_reaches_double_precision),
    ("reference_answers", reference_answers),
    ("solvers_agree", solvers_agree),
    ("complete_separation_is_said", complete_separation_is_said),
    ("quasi_complete_separation_is_said", quasi_complete_separation_is_said),
    ("collinear_columns_are_named_and_dropped", collinear_columns_are_named_and_dropped),
    ("awkward_scales_change_nothing", awkward_scales_change_nothing),
    ("one_positive_in_many_is_finite", one_positive_in_many_is_finite),
    ("robust_errors_are_the_sandwich", robust_errors_are_the_sandwich),
    ("statuses_are_honest", statuses_are_honest),
    ("several_classes_are_refined", several_classes_are_refined),
    ("approximate_hessians_of_a_softmax_are_honest", approximate_hessians_of_a_softmax_are_honest),
    ("collinear_columns_of_a_softmax_are_dropped", collinear_columns_of_a_softmax_are_dropped),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, check) in SUITE {
        suite.cpu(name, move || check(&Selection::Cpu));
        suite.gpu(name, move |_| check(&Selection::Gpu));
    }
    suite.gpu("ten_classes_are_those_of_the_cpu", |_| ten_classes_are_those_of_the_cpu(&Selection::Gpu));
    suite.run()
}
