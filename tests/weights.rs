//! Row weights, offsets and weights of classes, from the command line: against the rows repeated, and against statsmodels
//! and scikit-learn (`reference/weights.py` wrote the answers), in training, predictions and metrics; sampling weights and
//! factors of classes against R's survey and statsmodels (`reference/survey.R`, `reference/weight_kinds.py`); rows of weight
//! 0 against tables without them.

#![expect(clippy::float_cmp, reason = "counts of rows are exact")]

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod fields;
    pub(crate) mod files;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
}

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int16Array, Int32Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Float64Type, Int32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use common::adapter::has_adapter;
use common::data::write_parquet;
use common::fields::fields;
use common::model::coefficients;
use common::process::{Place, number};
use common::random::Random;

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 3_000;

type Columns = Vec<(&'static str, ArrayRef)>;

/// The features `x`, `u` and `k`, whole weights `w` from 0 to 3, an offset `o`, and the label `y`, far from separable.
fn table(seed: u64) -> Columns {
    let mut random = Random(seed);
    let x: Vec<f64> = (0..ROWS).map(|_| 4.0 * random.unit() - 1.0).collect();
    let u: Vec<f64> = (0..ROWS).map(|_| (2.0 * random.unit()).exp()).collect();
    // Few values, so that predictions tie.
    let k: Vec<i16> = (0..ROWS).map(|_| (random.unit() * 6.0) as i16).collect();
    let w: Vec<i32> = (0..ROWS).map(|_| (random.unit() * 4.0) as i32).collect();
    let o: Vec<f64> = (0..ROWS).map(|_| (random.unit() * 64.0).floor() / 32.0 - 1.0).collect();
    let y: Vec<bool> =
        (0..ROWS).map(|i| random.label(0.5 * x[i] - 0.2 * u[i] - 0.2 * f64::from(k[i]) + o[i])).collect();
    vec![
        ("x", Arc::new(Float64Array::from(x))),
        ("u", Arc::new(Float64Array::from(u))),
        ("k", Arc::new(Int16Array::from(k))),
        ("w", Arc::new(Int32Array::from(w))),
        ("o", Arc::new(Float64Array::from(o))),
        ("y", Arc::new(BooleanArray::from(y))),
    ]
}

fn column<'c>(columns: &'c Columns, name: &str) -> &'c ArrayRef {
    &columns.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// The same with every row as many times as it weighs.
fn repeated(columns: &Columns) -> Columns {
    let weights = column(columns, "w").as_primitive::<Int32Type>().values();
    let times = |row: usize| std::iter::repeat_n(row as u32, weights[row] as usize);
    let rows = UInt32Array::from_iter_values((0..weights.len()).flat_map(times));
    columns.iter().map(|(name, array)| (*name, take(array, &rows, None).expect("rows that are there"))).collect()
}

/// A place with `data.parquet` of weighted rows, and `repeated.parquet`.
fn place() -> Place {
    let place = Place::new();
    write_parquet(&place.path("data.parquet"), &table(5), 700);
    write_parquet(&place.path("repeated.parquet"), &repeated(&table(5)), 1_100);
    place
}

/// `table(5)` with another column of weights.
fn place_with_weights(weights: ArrayRef) -> Place {
    let mut columns = table(5);
    columns.retain(|(name, _)| *name != "w");
    columns.push(("w", weights));
    Place::with_data(&columns)
}

/// Weights of 1 but for row 777.
fn ones_but(other: Option<f64>) -> ArrayRef {
    Arc::new((0..ROWS).map(|row| if row == 777 { other } else { Some(1.0) }).collect::<Float64Array>())
}

// ---- checks ---------------------------------------------------------------------------------------------------

/// The intercept and the coefficients, and their standard errors.
fn estimates(model: &Value) -> [Vec<f64>; 2] {
    assert_eq!(model["training"]["status"], "converged", "{model:#}");
    let features = model["features"].as_array().expect("features");
    let errors = features.iter().map(|feature| number(feature, "/standard_error"));
    [
        [vec![number(model, "/intercept")], coefficients(model)].concat(),
        [number(model, "/intercept_inference/standard_error")].into_iter().chain(errors).collect(),
    ]
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// The largest difference, each in its unit.
fn largest(found: &[f64], expected: &[f64], unit: impl Fn(usize) -> f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).enumerate().map(|(i, (a, b))| (a - b).abs() / unit(i)).fold(0.0, f64::max)
}

/// All numbers of a document but those called `rows`, each with its path: rows are counted as the file has them.
fn figures(document: &Value) -> Vec<(String, f64)> {
    match document {
        Value::Object(map) => {
            let parts = map.iter().filter(|(name, _)| *name != "rows");
            let named = parts
                .flat_map(|(name, part)| figures(part).into_iter().map(move |(path, x)| (format!("/{name}{path}"), x)));
            named.collect()
        }
        Value::Array(list) => {
            let parts = list.iter().enumerate();
            parts
                .flat_map(|(i, part)| figures(part).into_iter().map(move |(path, x)| (format!("/{i}{path}"), x)))
                .collect()
        }
        Value::Number(number) => vec![(String::new(), number.as_f64().expect("a number"))],
        _ => Vec::new(),
    }
}

/// The first figure that differs by more than rounding.
fn first_difference(found: &Value, expected: &Value) -> Option<String> {
    let (found, expected) = (figures(found), figures(expected));
    let names = |figures: &[(String, f64)]| figures.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    if names(&found) != names(&expected) {
        return Some(format!("{:?} instead of {:?}", names(&found), names(&expected)));
    }
    let pairs = found.iter().zip(&expected);
    let differ = |(a, b): &(&(String, f64), &(String, f64))| (a.1 - b.1).abs() > 1e-12 * (1.0 + b.1.abs());
    pairs.into_iter().find(differ).map(|(a, b)| format!("{}: {} instead of {}", a.0, a.1, b.1))
}

/// Asserts that `arguments` are refused as a fault of the data with these words in the message and in the way out, in
/// text and as JSON, and that no file appears.
#[track_caller]
fn assert_refused(place: &Place, arguments: &str, fact: &[&str], way_out: &[&str]) {
    let before = place.files();
    let run = place.run(arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{arguments}: {run:?}");
    let says = |text: &str, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
    };
    says(&run.stderr, &[fact, way_out, &["error: ", "help: "]].concat());
    let error = place.run(&format!("{arguments} --json")).json()["error"].clone();
    assert_eq!((&error["kind"], &error["exit_code"]), (&Value::from("data"), &Value::from(3)));
    says(error["message"].as_str().expect("a message"), fact);
    says(error["help"].as_str().expect("a way out"), way_out);
    assert_eq!(place.files(), before, "a refused command leaves no file");
}

// ---- rows repeated --------------------------------------------------------------------------------------------

/// Fits rows with weights and the same rows repeated. `to` are the largest differences of coefficients, as a number
/// and in standard errors, and of standard errors as a share.
fn assert_weights_are_repetitions(device: &str, tolerance: f64, to: [f64; 3]) {
    let place = place();
    for flags in ["", "--l2 0.02", "--robust", "--l2 0.02 --robust", "--offset o"] {
        let fit = |arguments: &str| {
            let common =
                format!("--label y --features x,u --inference --tolerance {tolerance} --device {device} --json");
            estimates(&place.done(&format!("train {arguments} {common} {flags}")).json())
        };
        let [found, found_errors] = fit("data.parquet --weight w");
        let [expected, errors] = fit("repeated.parquet");
        let differences = [
            largest(&found, &expected, |_| 1.0),
            largest(&found, &expected, |i| errors[i]),
            largest(&found_errors, &errors, |i| errors[i]),
        ];
        assert!(differences.iter().zip(to).all(|(found, to)| *found <= to), "{flags}: {differences:?}, {to:?} allowed");
        // Weights that were not heard of would be noticed.
        let [without, without_errors] = fit("data.parquet");
        assert!(largest(&without, &expected, |i| errors[i]) > 0.1, "{flags}");
        assert!(largest(&without_errors, &errors, |i| errors[i]) > 0.1, "{flags}");
    }
}

#[test]
fn a_row_of_weight_2_is_the_row_twice() {
    // Both tables are scaled by samples of their own, so their f32 have other roundings, which cancel over the rows: in
    // columns of many values.
    assert_weights_are_repetitions("cpu", 1e-6, [1e-8, 1e-6, 1e-8]);
    // In double precision nothing is left of that.
    let place = place();
    for flags in ["", "--l2 0.02", "--offset o"] {
        let fit = |arguments: &str| {
            estimates(&place.model(&format!("{arguments} --label y --features x,k --refine --inference {flags}")))
        };
        let [found, _] = fit("data.parquet --weight w");
        let [expected, _] = fit("repeated.parquet");
        let difference = largest(&found, &expected, |_| 1.0);
        assert!(difference <= 1e-13, "{flags}: {difference:e}");
    }
}

#[test]
fn a_row_of_weight_2_is_the_row_twice_on_a_gpu() {
    if has_adapter() {
        // Weights meet residuals and curvatures in f32 there, six digits of which are left in sums; and the solver
        // stops anywhere within 1e-5 standard errors, on either table.
        assert_weights_are_repetitions("gpu", 1e-5, [2e-6, 2e-5, 1e-6]);
    }
}

// ---- statsmodels and scikit-learn -----------------------------------------------------------------------------

fn reference() -> (Place, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let place = Place::new();
    for name in ["weights.parquet", "weights_new.parquet"] {
        fs::copy(folder.join(name), place.path(name)).expect("the file is copied");
    }
    let text = fs::read_to_string(folder.join("weights.json")).expect("the reference is there");
    (place, serde_json::from_str(&text).expect("the reference is JSON"))
}

/// Trains on the table of the reference, in double precision.
const TRAIN: &str = "weights.parquet --label y --features x,k,f --refine --inference";

#[test]
fn weights_and_offsets_are_those_of_statsmodels() {
    let (place, reference) = reference();
    let fits = reference["fits"].as_object().expect("fits by name");
    assert_eq!(fits.len(), 5);
    let mut all: Vec<(&str, Vec<f64>, f64)> = Vec::new();
    for (name, expected) in fits {
        // `weight v, offset o` is `--weight v --offset o`.
        let flags = name.split(", ").map(|part| format!("--{part}")).collect::<Vec<_>>().join(" ");
        let model = place.model(&format!("{TRAIN} {flags}"));
        let [found, found_errors] = estimates(&model);
        let [known, errors] = ["coefficients", "standard_errors"].map(|part| list(&expected[part]));
        let difference = largest(&found, &known, |_| 1.0);
        assert!(difference <= 1e-10, "{name}: {difference:e}");
        // The Hessian is that of f32 columns.
        let difference = largest(&found_errors, &errors, |i| errors[i]);
        assert!(difference <= 1e-7, "{name}: {difference:e}");
        for (path, part) in [("/log_likelihood", "log_likelihood"), ("/residual_deviance", "deviance")] {
            let (found, known) = (number(&model["training"], path), number(expected, &format!("/{part}")));
            assert!((found / known - 1.0).abs() <= 1e-9, "{name}: {part} {found} instead of {known}");
        }
        all.push((name, known, errors[1]));
    }
    // They differ from each other, but for robust errors.
    for (i, (name, known, _)) in all.iter().enumerate() {
        for (other_name, other, error) in &all[..i] {
            let same = largest(known, other, |_| 1.0) < 0.01;
            assert_eq!(same, name.contains("weight w") && other_name.contains("weight w"), "{name}, {other_name}");
            assert!(!same || (error / all[i].2 - 1.0).abs() > 0.01, "{name}, {other_name}");
        }
    }
}

/// A softmax of three classes by Newton's method, written here: the parameters `[margins][x, z, 1]`, their standard errors and
/// the sum of the losses. Rows have weights, and offsets in each margin.
fn softmax_by_newton(
    columns: &[Vec<f64>],
    offsets: &[Vec<f64>; 2],
    weights: &[f64],
    labels: &[usize],
) -> (Vec<f64>, Vec<f64>, f64) {
    let d = columns.len() + 1;
    let value = |j: usize, row: usize| if j < columns.len() { columns[j][row] } else { 1.0 };
    let mut q = vec![0.0; 2 * d];
    for _ in 0..50 {
        let (mut gradient, mut hessian, mut loss) = (vec![0.0; 2 * d], vec![vec![0.0; 2 * d]; 2 * d], 0.0);
        for row in 0..labels.len() {
            let margin = |m: usize| offsets[m][row] + (0..d).map(|j| q[m * d + j] * value(j, row)).sum::<f64>();
            let z = [0.0, margin(0), margin(1)];
            let total: f64 = z.iter().map(|z| z.exp()).sum();
            let p = z.map(|z| z.exp() / total);
            loss += weights[row] * (total.ln() - z[labels[row]]);
            for a in 0..2 * d {
                let (m, x) = (a / d, weights[row] * value(a % d, row));
                gradient[a] += x * (p[m + 1] - f64::from(u8::from(labels[row] == m + 1)));
                for (b, entry) in hessian[a].iter_mut().enumerate() {
                    let same = f64::from(u8::from(b / d == m));
                    *entry += x * value(b % d, row) * p[m + 1] * (same - p[b / d + 1]);
                }
            }
        }
        let inverse = inverse(hessian);
        let step: Vec<f64> =
            inverse.iter().map(|row| row.iter().zip(&gradient).map(|(a, g)| a * g).sum::<f64>()).collect();
        q.iter_mut().zip(&step).for_each(|(q, step)| *q -= step);
        if step.iter().all(|step| step.abs() <= 1e-13) {
            return (q, (0..2 * d).map(|i| inverse[i][i].sqrt()).collect(), loss);
        }
    }
    panic!("Newton's method has not converged");
}

/// By Gauss and Jordan: of a matrix that is positive definite.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = matrix.len();
    for (i, row) in matrix.iter_mut().enumerate() {
        row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
    }
    for i in 0..n {
        let pivot = matrix[i][i];
        matrix[i].iter_mut().for_each(|x| *x /= pivot);
        let of_pivot = matrix[i].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(k, _)| *k != i) {
            let share = row[i];
            row.iter_mut().zip(&of_pivot).for_each(|(x, p)| *x -= share * p);
        }
    }
    matrix.into_iter().map(|row| row[n..].to_vec()).collect()
}

/// Each class has offsets of its own, or none; with row weights, on both devices: coefficients, standard errors, the deviance of
/// the model without features, predictions and metrics.
#[test]
fn classes_have_offsets_of_their_own() {
    let place = Place::new();
    let mut random = Random(31);
    let mut column = |scale: f64| -> Vec<f64> { (0..ROWS).map(|_| scale * (2.0 * random.unit() - 1.0)).collect() };
    let (columns, o, p, chance) = (vec![column(2.0), column(1.0)], column(2.0), column(1.0), column(1.0));
    let weights: Vec<f64> = (0..ROWS).map(|row| (row * 7 % 4) as f64).collect();
    let labels: Vec<usize> = (0..ROWS)
        .map(|row| {
            let z = [0.0, 0.6 * columns[0][row] + o[row], 0.3 - 0.8 * columns[1][row] + p[row]].map(f64::exp);
            let at = 0.5 * (1.0 + chance[row]) * (z[0] + z[1] + z[2]);
            usize::from(at > z[0]) + usize::from(at > z[0] + z[1])
        })
        .collect();
    let numbers = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let names: Vec<&str> = labels.iter().map(|label| ["ant", "bee", "cat"][*label]).collect();
    let table: Columns = vec![
        ("x", numbers(&columns[0])),
        ("z", numbers(&columns[1])),
        ("o", numbers(&o)),
        ("p=q", numbers(&p)),
        ("w", numbers(&weights)),
        ("y", Arc::new(StringArray::from(names))),
    ];
    write_parquet(&place.path("three.parquet"), &table, 1_000);
    let none = vec![0.0; ROWS];
    let mut all: Vec<Vec<f64>> = Vec::new();
    for (flags, offsets) in [
        ("--offset bee=o --offset cat=p=q", [&o, &p]),
        ("--offset cat=o", [&none, &o]),
        ("--offset cat=o --offset bee=p=q", [&p, &o]),
    ] {
        let offsets = offsets.map(Clone::clone);
        let (known, errors, loss) = softmax_by_newton(&columns, &offsets, &weights, &labels);
        let (.., null) = softmax_by_newton(&[], &offsets, &weights, &labels);
        for device in if has_adapter() { &["cpu", "gpu"][..] } else { &["cpu"] } {
            let what = format!("{flags} on {device}");
            let arguments = format!("three.parquet --label y --features x,z --weight w {flags} --device {device}");
            let model = place.done(&format!("train {arguments} --inference --refine -o three.json --json")).json();
            let of_margin = |m: usize| {
                let features = model["features"].as_array().expect("features").iter();
                let weights = features.map(move |feature| number(feature, &format!("/coefficients/{m}")));
                weights.chain([number(&model, &format!("/intercepts/{m}"))]).collect::<Vec<f64>>()
            };
            let difference = largest(&[of_margin(1), of_margin(2)].concat(), &known, |i| errors[i]);
            assert!(difference <= 1e-8, "{what}: {difference:e} standard errors");
            let error = number(&model, "/features/1/inference/2/standard_error");
            assert!((error / errors[4] - 1.0).abs() <= 1e-6, "{what}: {error} {}", errors[4]);
            let deviance = number(&model["training"], "/null_deviance");
            assert!((deviance / (2.0 * null) - 1.0).abs() <= 1e-12, "{what}: {deviance} {}", 2.0 * null);
            let total: f64 = weights.iter().sum();
            let figures = place.done("evaluate three.parquet -m three.json --weight w --json").json();
            let found = number(&figures, "/metrics/log_loss");
            assert!((found - loss / total).abs() <= 1e-10, "{what}: {found} {}", loss / total);
        }
        assert!(all.iter().all(|other| largest(&known, other, |_| 1.0) > 0.01), "{flags} is like another one");
        all.push(known);
    }
    // The terminal and the page say which column belongs to which class.
    let shown = place.done("train three.parquet --label y --features x,z --offset bee=o --offset cat=p=q").stdout;
    assert!(shown.contains("`o` to that of bee") && shown.contains("`p=q` to that of cat"), "{shown}");
}

#[test]
fn weights_of_classes_are_those_of_scikit_learn() {
    let (place, reference) = reference();
    let fits = reference["classes"].as_object().expect("fits by name");
    assert_eq!(fits.len(), 4);
    let mut all: Vec<Vec<f64>> = Vec::new();
    for (name, expected) in fits {
        let l2 = format!("--penalty-scale original --l2 {}", number(expected, "/l2"));
        let part = |part: &str| if part == "penalty" { l2.clone() } else { format!("--{part}") };
        let flags: Vec<String> = name.split(", ").map(part).collect();
        let model = place.model(&format!("{TRAIN} {}", flags.join(" ").replacen("--", "--class-weight ", 1)));
        let difference = largest(&estimates(&model)[0], &list(&expected["coefficients"]), |_| 1.0);
        // Balanced factors come from the weights as f32.
        assert!(difference <= 1e-8, "{name}: {difference:e}");
        let difference = largest(&list(&model["training"]["class_weight"]), &list(&expected["factors"]), |_| 1.0);
        assert!(difference <= 1e-6, "{name}: {difference:e}");
        let known = list(&expected["coefficients"]);
        assert!(all.iter().all(|other| largest(&known, other, |_| 1.0) > 0.01), "{name} is like another one");
        all.push(known);
    }
}

#[test]
fn predictions_and_metrics_add_the_offset_and_weigh_as_scikit_learn_does() {
    let (place, reference) = reference();
    place.model(&format!("{TRAIN} --weight v --offset o -o model.json"));
    place.done("predict -m model.json weights_new.parquet -o out.parquet --output margin");
    let expected = list(&reference["margins"]);
    let difference = largest(&read(&place.path("out.parquet"), "margin"), &expected, |_| 1.0);
    assert!(difference <= 1e-9, "{difference:e}");
    // As it would be without: the offsets are no trifle.
    let offsets = read(&place.path("weights_new.parquet"), "o");
    assert!(offsets.iter().filter(|o| o.abs() > 0.1).count() > 300);

    for (column, flags) in [("w", "--weight w"), ("v", "--weight v"), ("none", "")] {
        let arguments = format!("evaluate -m model.json weights_new.parquet {flags} --threshold 0.3 --json");
        let document = place.done(&arguments).json();
        let names: &[&str] = if flags.is_empty() { &[] } else { &["weight"] };
        assert_eq!(fields(&document), [&["left_out", "metrics", "model"], names].concat());
        let expected = &reference["metrics"][column];
        check_metrics(&document["metrics"], expected).unwrap_or_else(|fault| panic!("{column}: {fault}"));
        let others = ["w", "v", "none"].into_iter().filter(|other| *other != column);
        for other in others {
            assert!(check_metrics(&document["metrics"], &reference["metrics"][other]).is_err(), "{column}, {other}");
        }
    }
}

/// Every figure that scikit-learn has, to 1e-9.
fn check_metrics(found: &Value, expected: &Value) -> Result<(), String> {
    let near = |name: &str, found: f64, expected: f64| {
        let is_near = (found - expected).abs() <= 1e-9 * (1.0 + expected.abs());
        if is_near { Ok(()) } else { Err(format!("{name}: {found} instead of {expected}")) }
    };
    let mut checked = 0;
    for (name, expected) in expected.as_object().expect("figures by name") {
        let place = match name.as_str() {
            "calibration" | "gains" => continue,
            "auc" | "average_precision" => format!("/{name}/value"),
            "precision" | "recall" | "specificity" | "f1" => format!("/confusion/{name}"),
            name if name.ends_with("tives") => format!("/confusion/{name}"),
            name => format!("/{name}"),
        };
        near(name, number(found, &place), expected.as_f64().expect("a number"))?;
        checked += 1;
    }
    assert_eq!(checked, 16);
    near("calibration", number(found, "/calibration/expected_error"), number(expected, "/calibration/expected_error"))?;
    let bins = found["calibration"]["bins"].as_array().expect("bins");
    for (i, (found, expected)) in bins.iter().zip(expected["calibration"]["bins"].as_array().expect("bins")).enumerate()
    {
        if expected.is_null() {
            near(&format!("bin {i}"), number(found, "/weight"), 0.0)?;
            continue;
        }
        for (part, expected) in ["/weight", "/predicted", "/observed"].iter().zip(list(expected)) {
            near(&format!("bin {i}{part}"), number(found, part), expected)?;
        }
    }
    let lift = found["lift"].as_array().expect("deciles");
    for (i, (row, expected)) in lift.iter().zip(list(&expected["gains"])).enumerate() {
        near(&format!("gain {i}"), number(row, "/gain/value"), expected)?;
    }
    Ok(())
}

/// A column of floats.
fn read(path: &Path, name: &str) -> Vec<f64> {
    let file = fs::File::open(path).expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let batches = reader.map(|batch| batch.expect("rows"));
    batches
        .flat_map(|batch| {
            let array = batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}")).clone();
            array.as_primitive::<Float64Type>().values().to_vec()
        })
        .collect()
}

// ---- metrics --------------------------------------------------------------------------------------------------

#[test]
fn metrics_of_whole_weights_are_those_of_the_rows_repeated() {
    let place = place();
    place.model("data.parquet --label y --features k --weight w -o ties.json");
    place.model("data.parquet --label y --features x,k --offset o --weight w -o model.json");
    for model in ["ties", "model"] {
        let evaluate = |arguments: &str| place.done(&format!("evaluate -m {model}.json {arguments} --threshold 0.4"));
        let of = |arguments: &str| evaluate(&format!("{arguments} --json")).json()["metrics"].clone();
        let (found, expected) = (of("data.parquet --weight w"), of("repeated.parquet"));
        assert_eq!(first_difference(&found, &expected), None, "{model}");
        assert_eq!((number(&found, "/rows"), number(&found, "/weights")), (3_000.0, number(&expected, "/rows")));
        assert!(figures(&found).len() > 100, "{found:#}");
        assert!(first_difference(&of("data.parquet"), &expected).is_some(), "without weights it is something else");
        // The text too, whole numbers without decimals, but for the names of what is counted.
        let text = |arguments: &str| -> Vec<String> {
            let lines = evaluate(arguments).stdout;
            lines.lines().map(|line| line.replace("    weight  predicted", "      rows  predicted")).collect()
        };
        let (found, expected) = (text("data.parquet --weight w"), text("repeated.parquet"));
        assert_eq!(found[1..], expected[1..]);
        let confusion = found.iter().find_map(|line| line.strip_prefix("confusion ")).expect("a confusion");
        assert!(!confusion.replace("0.4", "").contains('.'), "{confusion}");
        assert!(found[0].contains("3000, sample_weights 4") && found[0].contains(" by `w`, "), "{}", found[0]);
    }
}

#[test]
fn metrics_say_when_a_model_was_trained_with_weights_and_they_are_without() {
    let place = place();
    place.model("data.parquet --label y --features x,k --weight w -o weighted.json");
    place.model("data.parquet --label y --features x,k -o plain.json");
    for (model, flags, notes) in [
        ("weighted", "", true),
        ("weighted", "--weight w", false),
        ("plain", "", false),
        ("plain", "--weight w", false),
    ] {
        let run = place.done(&format!("evaluate -m {model}.json data.parquet {flags}"));
        let said = run.stderr.contains("trained with the weights `w`") && run.stderr.contains("--weight w");
        assert_eq!((said, run.stderr.is_empty()), (notes, !notes), "{model} {flags}: {run:?}");
    }
}

#[test]
fn validation_weighs_rows_and_no_classes() {
    let place = place();
    write_parquet(&place.path("new.parquet"), &table(6), 400);
    write_parquet(&place.path("new_repeated.parquet"), &repeated(&table(6)), 400);
    let names = ["/log_loss", "/skill", "/brier", "/accuracy", "/prevalence"];
    let agree = |validation: &Value, metrics: &Value| {
        let ranks = ["auc", "average_precision"].map(|name| (format!("/{name}"), format!("/{name}/value")));
        let same = names.map(|name| (name.to_owned(), name.to_owned()));
        let mut pairs = same.into_iter().chain(ranks);
        pairs.all(|(a, b)| (number(validation, &a) - number(metrics, &b)).abs() <= 1e-12)
    };
    let evaluate = |arguments: &str| {
        place.done(&format!("evaluate -m model.json {arguments} --json --quiet")).json()["metrics"].clone()
    };
    let train = "data.parquet --label y --features x,k -o model.json";
    let model = place.model(&format!("{train} --weight w --class-weight true=5 --valid new.parquet"));
    let validation = &model["training"]["validation"];
    assert!(agree(validation, &evaluate("new_repeated.parquet")), "{validation:#}");
    assert!(agree(validation, &evaluate("new.parquet --weight w")), "{validation:#}");
    assert!(!agree(validation, &evaluate("new.parquet")), "{validation:#}");
    // Rows of weight 0 are none.
    let rows =
        |weight: &ArrayRef| weight.as_primitive::<Int32Type>().values().iter().filter(|w| **w > 0).count() as f64;
    assert_eq!(number(validation, "/rows"), rows(column(&table(6), "w")));

    let model = place.model(&format!("{train} --class-weight balanced --valid new.parquet"));
    assert!(agree(&model["training"]["validation"], &evaluate("new.parquet")));

    // A file without weights is refused before the training, of which nothing is said.
    let without: Columns = table(6).into_iter().filter(|(name, _)| !["w", "o"].contains(name)).collect();
    write_parquet(&place.path("without.parquet"), &without, 400);
    let arguments = format!("train {train} --weight w --offset o --valid without.parquet --device cpu");
    assert_refused(&place, &arguments, &["without.parquet has not the columns o, w"], &["The columns are: x, u, k, y"]);
    assert!(!place.run(&arguments).stderr.contains("passes as a rule"));

    // What is held back has its weights with it.
    let run = place.done(&format!("train {train} --weight w --split 0.4 --seed 3 --device cpu"));
    assert!(run.stdout.contains("rows weighed by `w` (split 0.4): loss "), "{run:?}");
    let split = place.json_file("model.json")["training"]["validation"].clone();
    place.model(&format!("{train} --split 0.4 --seed 3"));
    let plain = place.json_file("model.json")["training"]["validation"].clone();
    let share = number(&split, "/rows") / number(&plain, "/rows");
    assert!((share - rows(column(&table(5), "w")) / ROWS as f64).abs() < 0.05, "{share}");
    assert!((number(&split, "/prevalence") - number(&plain, "/prevalence")).abs() > 1e-4, "{split:#} {plain:#}");
}

// ---- refusals -------------------------------------------------------------------------------------------------

#[test]
fn weights_that_are_none_are_refused() {
    for (weight, what) in [
        (Some(-1.0), "-1"),
        (Some(-1e-300), "-0.000"),
        (None, "missing"),
        (Some(f64::NAN), "missing"),
        (Some(f64::INFINITY), "inf"),
    ] {
        let place = place_with_weights(ones_but(weight));
        let train = "train data.parquet --label y --features x,k --weight w --device cpu";
        let ways = ["Weights are numbers from 0 on", "Correct them upstream"];
        assert_refused(
            &place,
            &format!("{train} -o model.json"),
            &[&format!("the weight `w` is {what}"), "in row 777, from 0"],
            &ways,
        );
        place.done("train data.parquet --label y --features x,k --device cpu -o model.json");
        let evaluate = "evaluate -m model.json data.parquet --weight w";
        let fact = format!("the weight `w` is {what}");
        assert_refused(&place, evaluate, &[&fact, "in row 777, from 0"], &[ways[0], ways[1], "--where 'w >= 0'"]);
        // The ways out are ways out, but that what is infinite is not below 0.
        if weight != Some(f64::INFINITY) {
            let mut command = place.command(&format!("{evaluate} --json"));
            let output = command.args(["--where", "w >= 0"]).output().expect("the program starts");
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(number(&document, "/metrics/rows"), ROWS as f64 - 1.0);
        }
    }
}

#[test]
fn rows_without_a_weight_are_left_out_where_the_model_says_so() {
    let place = place_with_weights(ones_but(None));
    let run =
        place.done("train data.parquet --label y --features x,k --weight w --nulls drop-row --device cpu -o m.json");
    assert!(run.stderr.contains("1 row with missing values left out"), "{run:?}");
    let run = place.done("evaluate -m m.json data.parquet --weight w --json");
    assert!(run.stderr.contains("1 row left out: the label, the weight or a value"), "{run:?}");
    let document = run.json();
    assert_eq!((number(&document, "/left_out"), number(&document, "/metrics/rows")), (1.0, ROWS as f64 - 1.0));
    assert_eq!(number(&document, "/metrics/weights"), ROWS as f64 - 1.0);
    // Without the weights the row is as good as any.
    let document = place.done("evaluate -m m.json data.parquet --json --quiet").json();
    assert_eq!((number(&document, "/left_out"), number(&document, "/metrics/rows")), (0.0, ROWS as f64));
    // No rule covers a weight that is wrong.
    let place = place_with_weights(ones_but(Some(-2.0)));
    place.done("train data.parquet --label y --features x,k --nulls drop-row --device cpu -o m.json");
    assert_refused(&place, "evaluate -m m.json data.parquet --weight w", &["`w` is -2 in row 777"], &["Correct them"]);
}

#[test]
fn weights_that_are_all_0_are_refused() {
    let train = "train data.parquet --label y --features x,k --weight w --device cpu -o model.json";
    let labels = table(5);
    let labels = column(&labels, "y").as_boolean();
    let positives = labels.true_count();
    for kept in [None, Some(true), Some(false)] {
        let of_row = |row: usize| if Some(labels.value(row)) == kept { 1.0 } else { 0.0 };
        let place = place_with_weights(Arc::new(Float64Array::from_iter_values((0..ROWS).map(of_row))));
        let (left, class, gone) = if kept == Some(false) {
            (ROWS - positives, "false", positives)
        } else {
            (positives, "true", ROWS - positives)
        };
        let (fact, way_out) = match kept {
            None => (
                format!("the weights `w` of all {ROWS} rows are 0"),
                "Every class must count; check the column of weights",
            ),
            Some(_) => (
                format!(
                    "the label `y` has one value only: {class} ({left} rows); {gone} rows of weight 0 left out before"
                ),
                "Both classes must occur",
            ),
        };
        assert_refused(&place, train, &[&fact], &[way_out]);
        place.done("train data.parquet --label y --features x,k --device cpu -o model.json");
        let evaluate = "evaluate -m model.json data.parquet --weight w";
        if kept.is_none() {
            assert_refused(&place, evaluate, &["the weights of all 3000 rows are 0"], &["column of weights"]);
        } else {
            assert_eq!(place.done(&format!("{evaluate} --json")).json()["metrics"]["auc"], Value::Null);
        }
    }
}

#[test]
fn columns_that_are_no_weights_are_refused() {
    let mut columns = table(5);
    let y = column(&columns, "y").as_boolean().clone();
    columns.push(("t", Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| (row % 3).to_string())))));
    columns.push(("d", Arc::new(Int32Array::from_iter_values((0..ROWS).map(|row| i32::from(y.value(row)))))));
    let place = Place::with_data(&columns);
    place.done("train data.parquet --label d --features x,k --device cpu -o model.json");
    for command in
        ["train data.parquet --label d --features x,k --device cpu -o new.json", "evaluate -m model.json data.parquet"]
    {
        for (column, why) in [("t", "of type Utf8"), ("d", "it is the label"), ("y", "of type Boolean")] {
            let fact = format!("--weight {column}: ");
            assert_refused(
                &place,
                &format!("{command} --weight {column}"),
                &[&fact, why],
                &["Name a column of numbers"],
            );
        }
        assert_refused(
            &place,
            &format!("{command} --weight nothing"),
            &["nothing"],
            &["The columns are: x, u, k, w, o, y"],
        );
    }
}

// ---- rows of weight 0 -----------------------------------------------------------------------------------------

/// Rows that count, between others of weight 0 with all that could show: levels of their own that sort first and last,
/// another label, other places, missing values. `holes` are missing values of rows that count.
fn live_and_dead(holes: bool) -> [Columns; 2] {
    let mut random = Random(77);
    let rows = 2 * ROWS;
    let is_live: Vec<bool> = (0..rows).map(|row| row >= 100 && random.unit() < 0.5).collect();
    let x: Vec<f64> = (0..rows).map(|_| 3.0 * random.unit() - 1.0).collect();
    let g: Vec<usize> = (0..rows).map(|_| (3.0 * random.unit()) as usize).collect();
    let y: Vec<bool> = (0..rows).map(|row| random.label(x[row] - 0.5 * g[row] as f64)).collect();
    let w: Vec<f64> = (0..rows).map(|_| 1.0 + (random.unit() * 3.0).floor()).collect();
    let live_hole = |row: usize, every: usize| holes && row % every == 5;
    let of = |row: usize| is_live[row];
    let columns: Columns = vec![
        (
            "x",
            Arc::new(
                (0..rows)
                    .map(|row| match (of(row), row % 3) {
                        (true, _) => (!live_hole(row, 31)).then_some(x[row]),
                        (false, 0) => Some(1e9 * (x[row] + 7.0)),
                        (false, 1) => None,
                        (false, _) => Some(f64::NAN),
                    })
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "g",
            Arc::new(
                (0..rows)
                    .map(|row| match (of(row), row % 4) {
                        (true, _) => (!live_hole(row, 37)).then_some(["b", "c", "d"][g[row]]),
                        (false, 0) => Some("a never"),
                        (false, 1) => Some("z never"),
                        (false, 2) => None,
                        (false, _) => Some("c"),
                    })
                    .collect::<StringArray>(),
            ),
        ),
        ("w", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| if of(row) { w[row] } else { 0.0 })))),
        (
            "y",
            Arc::new(
                (0..rows)
                    .map(|row| match (of(row), row % 5) {
                        (true, _) => Some(i32::from(y[row])),
                        (false, 0) => None,
                        (false, 1) => Some(2),
                        (false, _) => Some(1),
                    })
                    .collect::<Int32Array>(),
            ),
        ),
        (
            "t",
            Arc::new(
                (0..rows)
                    .map(|row| match (of(row), row % 5) {
                        (true, _) => Some(["no", "yes"][usize::from(y[row])]),
                        (false, 0) => None,
                        (false, _) => Some("a third"),
                    })
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let live = UInt32Array::from_iter_values((0..rows as u32).filter(|row| is_live[*row as usize]));
    let alone = columns.iter().map(|(name, array)| (*name, take(array, &live, None).expect("rows that are there")));
    [columns.clone(), alone.collect()]
}

/// A model without what says how it came about: files, times, notes, the command.
fn bare(mut model: Value) -> Value {
    let training = model["training"].as_object_mut().expect("an object");
    for name in ["files", "seconds", "command", "notes"] {
        assert!(training.remove(name).is_some(), "{name}");
    }
    model
}

fn assert_weight_0_changes_nothing(device: &str) {
    let place = Place::new();
    for holes in [false, true] {
        let [all, alone] = live_and_dead(holes);
        write_parquet(&place.path("all.parquet"), &all, 700);
        write_parquet(&place.path("alone.parquet"), &alone, 400);
        // In two files too, of which the second one has statistics that show weights above 0 alone.
        std::fs::create_dir_all(place.path("both")).expect("a folder");
        let part = |columns: &Columns, from: usize, rows: usize| -> Columns {
            columns.iter().map(|(name, array)| (*name, array.slice(from, rows))).collect()
        };
        let first = alone[0].1.len() / 2;
        let before = (0..2 * ROWS).find(|row| {
            column(&all, "w").as_primitive::<Float64Type>().values()[..*row].iter().filter(|w| **w > 0.0).count()
                == first
        });
        write_parquet(&place.path("both/1.parquet"), &part(&all, 0, before.expect("a half")), 500);
        write_parquet(&place.path("both/2.parquet"), &part(&alone, first, alone[0].1.len() - first), 500);
        let flags: &[&str] = if holes {
            &[
                "--label y --nulls mean --features x",
                "--label y --nulls indicator --inference",
                "--label t --positive yes --nulls drop-row --l2 0.01",
            ]
        } else {
            &[
                "--label y --inference",
                "--label t --positive yes --l2 0.02 --penalty-scale original",
                "--label y --l2 0.02",
                "--label t --positive yes --inference --robust --class-weight balanced",
                "--label y --inference --weight-kind sampling",
                "--label t --multinomial --inference",
                "--label y --solver generative --features x",
            ]
        };
        for flags in flags {
            let ignored = if flags.contains("--label y") { "t" } else { "y" };
            let flags =
                if flags.contains("--features") { (*flags).to_owned() } else { format!("{flags} --ignore {ignored}") };
            let fit = |data: &str| {
                place.done(&format!("train {data} {flags} --weight w --quiet --device {device} --json")).json()
            };
            let expected = fit("alone.parquet");
            assert_eq!(
                number(&expected, "/training/rows"),
                alone[0].1.len() as f64 - if flags.contains("drop-row") { left_out(&alone) } else { 0.0 }
            );
            for (data, gone) in
                [("all.parquet", 2 * ROWS - alone[0].1.len()), ("both", before.expect("a half") - first)]
            {
                let found = fit(data);
                let said = found["training"]["notes"].to_string();
                assert!(said.contains(&format!("{gone} rows of weight 0 left out")), "{flags}: {said}");
                assert_eq!(bare(found), bare(expected.clone()), "{flags}: {data}");
            }
        }
    }
}

/// Rows with a missing value.
fn left_out(columns: &Columns) -> f64 {
    let misses = |row: usize| columns.iter().any(|(name, array)| *name != "y" && array.is_null(row));
    (0..columns[0].1.len()).filter(|row| misses(*row)).count() as f64
}

#[test]
fn rows_of_weight_0_change_no_bit() {
    assert_weight_0_changes_nothing("cpu");
}

#[test]
fn rows_of_weight_0_change_no_bit_on_a_gpu() {
    if has_adapter() {
        assert_weight_0_changes_nothing("gpu");
    }
}

/// Which rows are chosen by chance and which come first is a matter of the files; of those that are chosen the same holds.
#[test]
fn rows_of_weight_0_are_left_out_of_what_was_selected() {
    let place = Place::new();
    let [all, _] = live_and_dead(false);
    write_parquet(&place.path("data.parquet"), &all, 700);
    let fit = |flags: &str, filter: &str| {
        let mut command = place.command(&format!(
            "train data.parquet --label y --ignore t --weight w --quiet --device cpu --json {flags}"
        ));
        let output = command.args(["--where", filter]).output().expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        bare(serde_json::from_slice(&output.stdout).expect("JSON"))
    };
    for flags in ["", "--sample 0.5 --seed 3", "--split 0.3 --seed 2", "--valid data.parquet"] {
        assert_eq!(fit(flags, "w > 0 and g <> 'd'"), fit(flags, "g <> 'd'"), "{flags}");
    }
}

#[test]
fn the_report_shows_no_row_of_weight_0() {
    let place = Place::new();
    let [all, alone] = live_and_dead(false);
    write_parquet(&place.path("all.parquet"), &all, 700);
    write_parquet(&place.path("alone.parquet"), &alone, 700);
    let page = |data: &str| {
        let run = format!("train {data} --label y --ignore t --weight w --device cpu --report page.html --quiet");
        place.done(&run);
        let page = String::from_utf8(place.read("page.html")).expect("text");
        // The pictures are made of the rows.
        let pictures: Vec<String> =
            page.split("<svg").skip(1).map(|part| part.split("</svg>").next().expect("an end").to_owned()).collect();
        assert!(pictures.len() > 3);
        pictures
    };
    assert_eq!(page("all.parquet"), page("alone.parquet"));
}

/// Weights are kept in 32 bits: what they do not tell from 0 is nothing beside the others, or refused.
#[test]
fn weights_that_32_bits_lose_are_told() {
    let train = "train data.parquet --label y --features x,k --weight w --device cpu";
    let with = |tiny: f64, others: f64| {
        let weights = (0..ROWS).map(|row| if row % 100 == 7 { tiny } else { others });
        place_with_weights(Arc::new(Float64Array::from_iter_values(weights)))
    };
    let without = with(0.0, 2.0).done(&format!("{train} --json")).json();
    for tiny in [1e-50, 1e-39, 5e-324] {
        let run = with(tiny, 2.0).done(&format!("{train} --json"));
        assert!(run.stderr.contains("warning: 30 rows left out: weights below 1.2e-38, nothing beside 2e0"), "{run:?}");
        let model = run.json();
        assert_eq!(number(&model, "/training/rows"), ROWS as f64 - 30.0);
        assert_eq!((&model["intercept"], &model["features"]), (&without["intercept"], &without["features"]));
        // Where they are all as small, no device could fit them.
        let fact = "3000 rows weigh by `w` more than 0 and less than 1.2e-38, which 32 bits do not tell from 0";
        assert_refused(&with(tiny, 2.0 * tiny), train, &[fact], &["Multiply the weights by a constant"]);
    }
    // Factors of classes may take a weight out of what 32 bits hold.
    let place = with(1e-30, 1.0);
    assert_refused(
        &place,
        &format!("{train} --class-weight true=1e-12"),
        &["the weight `w` is 0.0000000000", "times the factor of its class"],
        &["from 1.2e-38 to 3.4e38"],
    );
}

// ---- kinds of weights -----------------------------------------------------------------------------------------

/// Figures of a model beside those of a reference, by class or not.
fn assert_kind(model: &Value, expected: &Value, to: f64, what: &str) {
    assert_eq!(model["training"]["status"], "converged", "{what}");
    let flat = |value: &Value| -> Vec<f64> {
        match value.as_array().expect("a list") {
            lists if lists[0].is_array() => lists.iter().flat_map(list).collect(),
            _ => list(value),
        }
    };
    let [known, errors] = ["coefficients", "standard_errors"].map(|part| flat(&expected[part]));
    let [found, found_errors] = match model.get("intercepts") {
        None => estimates(model),
        Some(intercepts) => {
            let features = model["features"].as_array().expect("features");
            let of = |class: usize| {
                std::iter::once(intercepts[class].clone())
                    .chain(features.iter().map(move |f| f["coefficients"][class].clone()))
            };
            let error = |inference: &Value| inference["standard_error"].clone();
            let of_errors = |class: usize| {
                std::iter::once(error(&model["intercepts_inference"][class]))
                    .chain(features.iter().map(move |f| error(&f["inference"][class])))
            };
            let all =
                |values: Vec<Value>| -> Vec<f64> { values.iter().map(|x| x.as_f64().expect("a number")).collect() };
            let classes = intercepts.as_array().expect("a list").len();
            [all((1..classes).flat_map(of).collect()), all((1..classes).flat_map(of_errors).collect())]
        }
    };
    let difference = largest(&found, &known, |i| errors[i]);
    assert!(difference <= 1e-4, "{what}: coefficients {difference:e}");
    let difference = largest(&found_errors, &errors, |i| errors[i]);
    assert!(difference <= to, "{what}: errors {difference:e}");
    for part in ["residual_deviance", "null_deviance"] {
        let (found, known) = (number(&model["training"], &format!("/{part}")), number(expected, &format!("/{part}")));
        assert!((found / known - 1.0).abs() <= 1e-6, "{what}: {part} {found} instead of {known}");
    }
    let known = 1.0 - number(expected, "/residual_deviance") / number(expected, "/null_deviance");
    assert!((number(&model["training"], "/mcfadden_r2") - known).abs() <= 1e-6, "{what}");
}

fn assert_kinds_are_those_of_the_references(device: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let json = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).expect("the reference is there")).expect("JSON")
    };
    let place = Place::new();
    for name in ["weights.parquet", "r/nhanes_w.parquet"] {
        fs::copy(folder.join(name), place.path(name.trim_start_matches("r/"))).expect("the file is copied");
    }
    let reference = json("weight_kinds.json");
    for (part, columns, count) in
        [("fits", "--label y --features x,k,f", 6), ("classes", "--label k --multinomial --features x,f", 3)]
    {
        let fits = reference[part].as_object().expect("fits by name");
        assert_eq!(fits.len(), count);
        for (flags, expected) in fits {
            let common = format!("--inference --tolerance 1e-5 --quiet --json --device {device}");
            let mut command = place.command(&format!("train weights.parquet {columns} {common} {flags}"));
            let output = command.args(["--where", "w > 0 and v > 0"]).output().expect("the program starts");
            assert!(output.status.success(), "{flags}: {output:?}");
            let model: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_kind(&model, expected, 1e-5, &format!("{device} {columns} {flags}"));
            // What errors and likelihood are is said.
            let (is_sample, of_classes) = (flags.contains("sampling"), flags.contains("class-weight"));
            let kind = match (is_sample, of_classes) {
                (true, true) => "robust (sampling weights, weights of classes)",
                (true, false) => "robust (sampling weights)",
                (false, true) => "robust (HC0, weights of classes)",
                (false, false) => "robust (HC0)",
            };
            assert_eq!(model["training"]["inference"]["kind"], kind, "{flags}");
            let of = model["training"].get("likelihood_kind").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(
                (of.contains("pseudo-likelihood"), of.contains("without the weights of the classes")),
                (is_sample, of_classes)
            );
            assert_eq!(model["training"]["aic"].is_null(), is_sample, "{flags}");
            let k = count_of_coefficients(expected) as f64;
            if !is_sample {
                let aic = number(&model["training"], "/aic") - number(expected, "/residual_deviance");
                assert!((aic - 2.0 * k).abs() <= 1e-2, "{flags}: {aic}");
            }
            assert_eq!(model["training"].get("weight_kind").and_then(Value::as_str), is_sample.then_some("sampling"));
        }
    }
    let reference = json("r/nhanes_w.ref.json");
    let words = |part: &str| -> Vec<String> {
        reference[part].as_array().expect("a list").iter().map(|x| x.as_str().expect("a word").to_owned()).collect()
    };
    let model = place
        .done(&format!("train nhanes_w.parquet {} --quiet --json --device {device}", words("args").join(" ")))
        .json();
    let features = model["features"].as_array().expect("features");
    let found_names: Vec<String> = std::iter::once("intercept".to_owned())
        .chain(features.iter().map(|feature| feature["name"].as_str().expect("a name").to_owned()))
        .collect();
    let names = words("names");
    let place_of = |name: &String| names.iter().position(|known| known == name).unwrap_or_else(|| panic!("no {name}"));
    let sorted = |part: &str| -> Vec<f64> {
        let values = list(&reference[part]);
        found_names.iter().map(|name| values[place_of(name)]).collect()
    };
    assert_eq!(found_names.len(), 8);
    let expected = serde_json::json!({
        "coefficients": sorted("coef"), "standard_errors": sorted("se"),
        "residual_deviance": reference["deviance"], "null_deviance": reference["null_deviance"],
    });
    assert_kind(&model, &expected, 1e-5, "nhanes_w");
    let race = found_names.iter().position(|name| name == "race=2").expect("race=2");
    assert!((estimates(&model)[1][race] / 0.100_701_8 - 1.0).abs() <= 1e-4);
    let weights = number(&reference, "/weights");
    assert!((number(&model, "/training/weights") / weights - 1.0).abs() <= 1e-7);
}

fn count_of_coefficients(expected: &Value) -> usize {
    let coefficients = expected["coefficients"].as_array().expect("a list");
    coefficients.iter().map(|entry| entry.as_array().map_or(1, Vec::len)).sum()
}

#[test]
fn kinds_of_weights_are_those_of_survey_and_statsmodels() {
    assert_kinds_are_those_of_the_references("cpu");
}

#[test]
fn kinds_of_weights_are_those_of_survey_and_statsmodels_on_a_gpu() {
    if has_adapter() {
        assert_kinds_are_those_of_the_references("gpu");
    }
}

/// The unit of sampling weights means nothing, and that of the factors of classes neither.
#[test]
fn a_unit_changes_no_error() {
    let mut columns = table(5);
    let w: Vec<f64> =
        column(&columns, "o").as_primitive::<Float64Type>().values().iter().map(|o| (2.0 * o).exp()).collect();
    for (name, unit) in [("small", 0.5_f64.powi(60)), ("one", 1.0), ("large", 2.0_f64.powi(60))] {
        columns.push((name, Arc::new(Float64Array::from_iter_values(w.iter().map(|w| w * unit)))));
    }
    let place = Place::with_data(&columns);
    let train = "data.parquet --label y --features x,u --inference --quiet";
    let fit = |flags: &str| place.model(&format!("{train} {flags}"));
    let known = fit("--weight one --weight-kind sampling");
    for name in ["small", "large"] {
        let model = fit(&format!("--weight {name} --weight-kind sampling"));
        assert_eq!(estimates(&model), estimates(&known), "{name}");
        for figure in ["/delta", "/residual_deviance", "/null_deviance", "/log_likelihood"] {
            assert_eq!(number(&model["training"], figure), number(&known["training"], figure), "{name}: {figure}");
        }
    }
    // Where sums are smaller than a logarithm resolves, the losses are added one by one, with other roundings.
    let known = fit("--class-weight true=2,false=1");
    let model = fit("--class-weight true=0.0009765625,false=0.00048828125");
    for (found, known) in estimates(&model).iter().zip(estimates(&known)) {
        assert!(largest(found, &known, |_| 1.0) <= 1e-13, "{found:?} {known:?}");
    }
    for figure in ["/delta", "/residual_deviance", "/null_deviance"] {
        let (found, known) = (number(&model["training"], figure), number(&known["training"], figure));
        assert!((found / known - 1.0).abs() <= 1e-6, "{figure}: {found} {known}");
    }
}

/// Who weighs by anything but counts, and did not say so, is told; who counts is not.
#[test]
fn weights_that_do_not_look_like_counts_are_told() {
    let of =
        |weight: &dyn Fn(usize) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values((0..ROWS).map(weight))) };
    let fractional = of(&|row| 1e3 + (row % 7) as f64 / 8.0);
    let scaled = of(&|row| 0.5 + (row % 3) as f64 * 0.5);
    let one_fraction = of(&|row| if row == 777 { 1.5 } else { 1.0 });
    let large = of(&|row| 40.0 + (row % 9) as f64);
    let few = of(&|row| if row < 900 { 188.0 } else { 0.0 });
    let counts = of(&|row| (row % 4) as f64);
    for (what, weights, flags, told) in [
        ("fractional", &fractional, "--inference", Some("are no whole numbers (mean 1000.4)")),
        ("fractional", &fractional, "--robust", Some("are no whole numbers")),
        ("fractional", &fractional, "", None),
        ("fractional", &fractional, "--inference --weight-kind count", None),
        ("fractional", &fractional, "--inference --weight-kind sampling", None),
        ("scaled to a mean of 1", &scaled, "--inference", Some("are no whole numbers (mean 1.0000)")),
        ("one fraction", &one_fraction, "--inference", Some("are no whole numbers")),
        ("large", &large, "--inference", Some("are large for counts (mean 43.997)")),
        ("large", &large, "--inference --weight-kind count", None),
        // What was counted is in few rows.
        ("few", &few, "--inference", None),
        ("counts", &counts, "--inference", None),
        ("counts", &counts, "--inference --class-weight true=1.5", None),
    ] {
        let place = place_with_weights(Arc::clone(weights));
        let run = place.done(&format!("train data.parquet --label y --features x,k --weight w --device cpu {flags}"));
        let words = ["--weight-kind sampling if each row was observed once", "--weight-kind count"];
        match told {
            Some(fact) => {
                for word in words.iter().chain([&fact]) {
                    assert!(run.stderr.contains(*word), "{what} {flags}: `{word}` is not in {run:?}");
                }
                assert!(run.stderr.contains("warning: the weights `w` are "), "{run:?}");
            }
            None => assert!(!run.stderr.contains("warning"), "{what} {flags}: {run:?}"),
        }
        let kind = if flags.contains("sampling") { "sampling weights" } else { "counts of rows" };
        assert!(run.stdout.contains(&format!("\nweights    `w` as {kind}")), "{what} {flags}: {run:?}");
    }
    let place = place();
    let run = place.run("train data.parquet --label y --weight-kind sampling");
    assert!(run.code == Some(2) && run.stderr.contains("--weight <COL>"), "{run:?}");
}

/// With offsets the model without features has them too, and in the table as in the model it is a number.
#[test]
fn the_likelihood_beside_offsets_is_held_against_the_offsets() {
    let place = place();
    let train = "train data.parquet --label y --features x,k --inference --device cpu";
    let run = place.done(&format!("{train} --offset o"));
    assert!(!run.stdout.contains("(null -)") && !run.stdout.contains("NaN"), "{run:?}");
    let plain = place.done(train);
    let null = |stdout: &str| {
        stdout.split_once("(null ").and_then(|(_, rest)| rest.split_once(')')).map(|(x, _)| x.to_owned())
    };
    assert!(null(&run.stdout).is_some() && null(&run.stdout) != null(&plain.stdout), "{run:?}");
}
