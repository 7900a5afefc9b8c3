//! Labels with several classes, from the command line: training, predictions and metrics against scikit-learn and
//! statsmodels (`reference/classes.py` wrote the answers), and what must change no answer.

#![expect(clippy::float_cmp, reason = "counts of rows are exact")]

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod data;
    pub(crate) mod decoded;
    pub(crate) mod examples;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Float64Type;
use serde_json::{Value, json};

use common::data::write_parquet;
use common::decoded::decoded;
use common::examples::example;
use common::process::{Place, Run, number};
use common::random::Random;
use common::says::assert_says;

// ---- data and models ------------------------------------------------------------------------------------------

type Columns = Vec<(String, ArrayRef)>;

const FEATURES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/classes.json")).expect("the reference is JSON")
}

fn iris() -> Columns {
    decoded(&example("iris.parquet"))
}

/// Puts `array` in place of a column, or behind the others.
fn with(mut columns: Columns, name: &str, array: ArrayRef) -> Columns {
    match columns.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => *old = array,
        None => columns.push((name.into(), array)),
    }
    columns
}

fn column<'c>(columns: &'c Columns, name: &str) -> &'c ArrayRef {
    &columns.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn numbers(columns: &Columns, name: &str) -> Vec<f64> {
    column(columns, name).as_primitive::<Float64Type>().values().to_vec()
}

fn rows_of(columns: &Columns, rows: impl IntoIterator<Item = usize>) -> Columns {
    let rows = UInt32Array::from_iter_values(rows.into_iter().map(|row| row as u32));
    columns.iter().map(|(name, array)| (name.clone(), take(array, &rows, None).expect("rows"))).collect()
}

fn write(place: &Place, name: &str, columns: &Columns, group: usize) {
    let columns: Vec<(&str, ArrayRef)> = columns.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    write_parquet(&place.path(name), &columns, group);
}

fn place_with(columns: &Columns) -> Place {
    let place = Place::new();
    write(&place, "data.parquet", columns, usize::MAX);
    place
}

/// Two features and a label that follows them, of `classes` classes, far from separable.
fn table(rows: usize, classes: usize) -> (Columns, Vec<usize>) {
    let mut random = Random(11);
    let x: Vec<f64> = (0..rows).map(|_| 4.0 * random.unit() - 2.0).collect();
    let u: Vec<f64> = (0..rows).map(|_| (2.0 * random.unit()).exp()).collect();
    let mut label = |row: usize| {
        let odds: Vec<f64> =
            (0..classes).map(|k| (0.4 * k as f64 * x[row] - 0.1 * (k * k) as f64 * u[row]).exp()).collect();
        let mut left = random.unit() * odds.iter().sum::<f64>();
        odds.iter()
            .position(|odds| {
                left -= odds;
                left <= 0.0
            })
            .unwrap_or(0)
    };
    let labels: Vec<usize> = (0..rows).map(&mut label).collect();
    (
        vec![("x".into(), Arc::new(Float64Array::from(x)) as ArrayRef), ("u".into(), Arc::new(Float64Array::from(u)))],
        labels,
    )
}

fn texts(labels: &[usize]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(labels.iter().map(|label| format!("class {label}"))))
}

fn train(place: &Place, arguments: &str) -> Value {
    place.done(&format!("train --device cpu --quiet --json {arguments}")).json()
}

/// A text condition is one word of the command line.
fn run_with(place: &Place, arguments: &str, more: &[&str]) -> Run {
    Run::of(place.command(arguments).args(more).output().expect("the program starts"))
}

#[track_caller]
fn assert_refused(place: &Place, arguments: &str, code: i32, words: &[&str]) {
    let run = place.run(arguments);
    assert_eq!(run.code, Some(code), "{arguments}: {run:?}");
    assert_says(&run.stderr, words);
}

/// Predictions as CSV: the columns by their names.
fn predicted(place: &Place, arguments: &str) -> BTreeMap<String, Vec<String>> {
    let run = place.done(&format!("predict --quiet -o - {arguments}"));
    let mut lines = run.stdout.lines();
    let names: Vec<&str> = lines.next().expect("a line of names").split(',').collect();
    let mut columns: BTreeMap<String, Vec<String>> = names.iter().map(|name| ((*name).into(), Vec::new())).collect();
    for line in lines {
        for (name, cell) in names.iter().zip(line.split(',')) {
            columns.get_mut(*name).expect("a column").push(cell.into());
        }
    }
    columns
}

fn parsed(cells: &[String]) -> Vec<f64> {
    cells.iter().map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
}

/// The columns `output_CLASS`, `[classes][rows]`.
fn of_classes(columns: &BTreeMap<String, Vec<String>>, output: &str, classes: &[&str]) -> Vec<Vec<f64>> {
    assert_eq!(columns.keys().filter(|name| name.starts_with(output)).count(), classes.len(), "{:?}", columns.keys());
    classes.iter().map(|class| parsed(&columns[&format!("{output}_{class}")])).collect()
}

fn probabilities(place: &Place, model: &str, data: &str, classes: &[&str]) -> Vec<Vec<f64>> {
    of_classes(&predicted(place, &format!("-m {model} {data}")), "probability", classes)
}

/// A matrix of a document.
fn matrix(document: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(document.clone()).expect("rows of numbers")
}

fn transposed(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..rows[0].len()).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

/// The largest difference of two matrices.
fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len()));
    let differences = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs());
    // A NaN is as far as can be.
    differences.fold(0.0, |most, x| if x.is_nan() { f64::INFINITY } else { most.max(x) })
}

#[track_caller]
fn assert_near(found: &[Vec<f64>], expected: &[Vec<f64>], most: f64) {
    let apart = apart(found, expected);
    assert!(apart <= most, "{apart:e} apart");
}

/// The coefficients, `[1 + features][classes]`, the intercepts first.
fn coefficients(model: &Value) -> Vec<Vec<f64>> {
    let features = model["features"].as_array().expect("features").iter().map(|feature| &feature["coefficients"]);
    std::iter::once(&model["intercepts"])
        .chain(features)
        .map(|x| serde_json::from_value(x.clone()).expect("numbers"))
        .collect()
}

const PENALISED: &str = "--l2 0.01 --penalty-scale original --tolerance 1e-9";

/// `data.parquet` of iris with weights 1, 2, 3, 1, ..., and the model of scikit-learn's objective as `m.json`.
fn penalised() -> Place {
    let weights = Float64Array::from_iter_values((0..150).map(|row| f64::from(1 + row % 3)));
    let place = place_with(&with(iris(), "w", Arc::new(weights)));
    train(&place, &format!("data.parquet --label species --ignore w {PENALISED} -o m.json"));
    place
}

// ---- predictions ----------------------------------------------------------------------------------------------

#[test]
fn predictions_are_those_of_scikit_learn() {
    let (place, reference) = (penalised(), reference());
    let found = probabilities(&place, "m.json", "data.parquet", &SPECIES);
    assert_near(&found, &transposed(&matrix(&reference["iris"]["probabilities"])), 1e-5);
    assert_near(&found, &transposed(&matrix(&reference["iris"]["exact"])), 1e-7);
    let labels = predicted(&place, "-m m.json data.parquet --output label");
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["label"]);
    assert_eq!(json!(labels["label"]), reference["iris"]["labels"]);
    // Margins are what the coefficients give.
    let model = place.json("m.json");
    let coefficients = coefficients(&model);
    assert_eq!(model["training"]["identification"], "centred");
    assert!(coefficients.iter().all(|of_classes| of_classes.iter().sum::<f64>().abs() <= 1e-12));
    let margins = of_classes(&predicted(&place, "-m m.json data.parquet --output margin"), "margin", &SPECIES);
    let columns: Vec<Vec<f64>> = FEATURES.iter().map(|name| numbers(&iris(), name)).collect();
    let margin = |class: usize, row: usize| {
        let terms = columns.iter().zip(&coefficients[1..]).map(|(column, w)| column[row] * w[class]);
        terms.sum::<f64>() + coefficients[0][class]
    };
    let expected: Vec<Vec<f64>> = (0..3).map(|class| (0..150).map(|row| margin(class, row)).collect()).collect();
    assert_near(&margins, &expected, 1e-12);
    let softmax =
        |class: usize, row: usize| margins[class][row].exp() / margins.iter().map(|z| z[row].exp()).sum::<f64>();
    let expected: Vec<Vec<f64>> = (0..3).map(|class| (0..150).map(|row| softmax(class, row)).collect()).collect();
    assert_near(&found, &expected, 1e-14);
}

impl Place {
    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).expect("the file is JSON")
    }
}

#[test]
fn every_format_has_the_same_predictions() {
    let place = penalised();
    let expected = probabilities(&place, "m.json", "data.parquet", &SPECIES);
    for (output, names) in [
        ("probability", vec!["w", "probability_setosa", "probability_versicolor", "probability_virginica"]),
        ("margin", vec!["w", "margin_setosa", "margin_versicolor", "margin_virginica"]),
        ("label", vec!["w", "label"]),
    ] {
        place.done(&format!("predict -q -m m.json data.parquet --output {output} --keep w -o {output}.parquet"));
        let columns: Columns = decoded(&place.path(&format!("{output}.parquet")));
        assert_eq!(columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert!(columns.iter().all(|(_, array)| array.len() == 150 && array.null_count() == 0));
        let lines =
            place.done(&format!("predict -q -m m.json data.parquet --output {output} -o - --format jsonl")).stdout;
        assert_eq!(lines.lines().count(), 150);
        for (row, line) in lines.lines().enumerate() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            for name in &names[1..] {
                if output == "label" {
                    assert_eq!(line[name], column(&columns, name).as_string::<i32>().value(row));
                } else {
                    assert_eq!(line[name], numbers(&columns, name)[row], "{name} {row}");
                }
            }
        }
        if output == "probability" {
            let found: Vec<Vec<f64>> = names[1..].iter().map(|name| numbers(&columns, name)).collect();
            assert_eq!(found, expected);
        }
    }
    // A class's column may be there already.
    let taken = with(iris(), "probability_setosa", column(&iris(), "petal_width").clone());
    write(&place, "taken.parquet", &taken, usize::MAX);
    let arguments = "predict -m m.json taken.parquet --keep probability_setosa -o -";
    assert_refused(&place, arguments, 2, &["--keep probability_setosa"]);
}

/// 1,000 classes of 17 features: 17,982 coefficients.
#[test]
fn a_covariance_beyond_memory_is_refused() {
    let place = Place::new();
    let rows = 4000;
    let mut columns: Columns = (0..17)
        .map(|j| {
            (
                format!("x{j}"),
                Arc::new(Float64Array::from_iter_values((0..rows).map(|row| f64::from((row * (j + 3)) % 97))))
                    as ArrayRef,
            )
        })
        .collect();
    columns.push(("y".into(), texts(&(0..rows as usize).map(|row| row % 1000).collect::<Vec<_>>())));
    write(&place, "data.parquet", &columns, 4000);
    for flag in ["--inference", "--verify", "--refine"] {
        assert_refused(&place, &format!("train data.parquet --label y {flag}"), 2, &["17982", "1000 classes", "2 GB"]);
    }
    assert_eq!(place.run("train data.parquet --label y --dry-run").code, Some(0));
}

#[test]
fn what_several_classes_have_no_use_for_is_refused() {
    let place = penalised();
    for command in ["predict -o -", "predict -o - --output label", "evaluate"] {
        let arguments = format!("{command} -m m.json data.parquet --threshold 0.4");
        assert_refused(&place, &arguments, 2, &["--threshold 0.4", "3 classes"]);
    }
    assert_refused(
        &place,
        "train data.parquet --device cpu --label species --positive setosa",
        2,
        &["--positive", "3"],
    );
    let offsets = "train data.parquet --device cpu --label species --offset";
    for (named, words) in [
        ("w", &["--offset w", "3 classes", "versicolor=w"][..]),
        ("setosa=w", &["`setosa`", "the reference", "--reference"]),
        ("pansy=w", &["no class `pansy`", "versicolor, virginica"]),
        ("virginica=w --offset virginica=w", &["`virginica`", "already"]),
    ] {
        assert_refused(&place, &format!("{offsets} {named}"), 2, words);
    }
    assert_refused(
        &place,
        &format!("{offsets} virginica=nowhere"),
        3,
        &["--offset virginica=nowhere", "no such column"],
    );
    assert_eq!(place.files(), ["data.parquet", "m.json"]);
    // Of two classes the threshold is what it was.
    train(
        &place,
        "data.parquet --label species --positive virginica --where species!='setosa' --ignore w --l2 0.1 -o two.json",
    );
    assert_refused(&place, "predict -o - -m two.json data.parquet --threshold 1.5", 2, &["--threshold 1.5"]);
    let labels = predicted(&place, "-m two.json data.parquet --output label --threshold 0");
    assert!(labels["label"].iter().all(|label| label == "virginica"));
}

#[test]
fn rows_without_a_value_and_new_levels_are_those_of_two_classes() {
    let (columns, labels) = table(600, 3);
    let levels = |more: Option<usize>| -> ArrayRef {
        let level = |row: usize| if more == Some(row) { "new" } else { ["a", "b", "c"][row * 7 % 5 % 3] };
        Arc::new(StringArray::from_iter_values((0..600).map(level)))
    };
    let columns = with(with(columns, "g", levels(None)), "y", texts(&labels));
    let place = place_with(&columns);
    let x = numbers(&columns, "x").into_iter().enumerate();
    let holes: ArrayRef = Arc::new(
        x.map(|(row, x)| (row != 17).then_some(if row == 18 { f64::INFINITY } else { x })).collect::<Float64Array>(),
    );
    write(&place, "holes.parquet", &with(with(columns.clone(), "x", holes), "g", levels(Some(3))), 100);
    let classes = ["class 0", "class 1", "class 2"];
    for nulls in ["error", "drop-row", "mean"] {
        train(&place, &format!("data.parquet --label y --nulls {nulls} -o {nulls}.json"));
    }
    assert_refused(&place, "predict -m error.json holes.parquet -o -", 3, &["row 17", "x"]);
    assert_refused(&place, "evaluate -m error.json holes.parquet", 3, &["row 17", "x"]);
    for (nulls, missing) in [("drop-row", &[17, 18][..]), ("mean", &[18])] {
        let run = place.run(&format!("predict -m {nulls}.json holes.parquet -o -"));
        // Infinite values have no rule but drop-row and those that fill.
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_says(
            &run.stderr,
            &[
                "1 row has levels of `g`",
                "new",
                &format!(
                    "{} of 600 rows {} no prediction",
                    missing.len(),
                    if missing.len() == 1 { "has" } else { "have" }
                ),
            ],
        );
        for output in ["probability", "margin"] {
            let found = predicted(&place, &format!("-m {nulls}.json holes.parquet --output {output}"));
            for cells in of_classes(&found, output, &classes) {
                let without: Vec<usize> = (0..600).filter(|&row| cells[row].is_nan()).collect();
                assert_eq!(without, missing, "{nulls} {output}");
            }
        }
        let labels = &predicted(&place, &format!("-m {nulls}.json holes.parquet --output label"))["label"];
        assert!((0..600).all(|row| (labels[row] == "\"\"") == missing.contains(&row)));
    }
    // A level that is new counts as the average of its column, in every class.
    let model = place.json("mean.json");
    let margins = of_classes(&predicted(&place, "-m mean.json holes.parquet --output margin"), "margin", &classes);
    let (x, u, levels) = (numbers(&columns, "x"), numbers(&columns, "u"), column(&columns, "g").as_string::<i32>());
    for (class, margins) in margins.iter().enumerate() {
        let coefficient = |feature: usize| number(&model, &format!("/features/{feature}/coefficients/{class}"));
        let of_level = |row: usize| match (row, levels.value(row)) {
            (3, _) => {
                [2, 3].map(|level| coefficient(level) * number(&model, &format!("/features/{level}/mean"))).iter().sum()
            }
            (_, "b") => coefficient(2),
            (_, "c") => coefficient(3),
            _ => 0.0,
        };
        let intercept = number(&model, &format!("/intercepts/{class}"));
        for row in (0..600).filter(|row| ![17, 18].contains(row)) {
            let expected = intercept + coefficient(0) * x[row] + coefficient(1) * u[row] + of_level(row);
            assert!((margins[row] - expected).abs() <= 1e-12, "{class} {row}: {} {expected}", margins[row]);
        }
    }
    let run = place.done("evaluate -m drop-row.json holes.parquet --json");
    assert_eq!((number(&run.json(), "/left_out"), number(&run.json(), "/metrics/rows")), (2.0, 598.0));
}

// ---- metrics --------------------------------------------------------------------------------------------------

#[test]
fn metrics_are_those_of_scikit_learn() {
    let (place, reference) = (penalised(), reference());
    for (flags, key) in [("", "metrics"), ("--weight w", "weighted")] {
        let found = place.done(&format!("evaluate -q -m m.json data.parquet --json {flags}")).json();
        let expected = &reference["iris"][key];
        assert_eq!(found["classes"], json!(SPECIES));
        let metrics = &found["metrics"];
        let of_classes =
            |figure: &str| -> Vec<f64> { (0..3).map(|k| number(metrics, &format!("/classes/{k}/{figure}"))).collect() };
        let lists = [("auc", of_classes("auc/value")), ("prevalence", of_classes("prevalence"))];
        let single = |path: &str| vec![number(metrics, path)];
        let singles = [
            ("log_loss", single("/log_loss")),
            ("brier", single("/brier")),
            ("accuracy", single("/accuracy")),
            ("macro_auc", single("/macro_auc/value")),
            ("macro_average_precision", single("/macro_average_precision/value")),
        ];
        for (name, found) in lists.into_iter().chain(singles) {
            let expected = match &expected[name] {
                Value::Array(several) => several.iter().map(|x| x.as_f64().expect("a number")).collect(),
                one => vec![one.as_f64().expect("a number")],
            };
            assert_near(&[found], &[expected], 1e-7);
        }
        assert_eq!(matrix(&metrics["confusion"]), matrix(&expected["confusion"]), "{flags}");
    }
    assert_says(&place.done("evaluate -m m.json data.parquet --weight w").stdout, &["sample_weights 300 by `w`"]);
}

#[test]
fn the_terminal_shows_the_confusion() {
    let place = penalised();
    let text = place.done("evaluate -q -m m.json data.parquet").stdout;
    assert_says(&text, &["150, 3 classes", "macro AUC          0.9979", "accuracy           0.9733"]);
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["setosa", "50", "0", "0"], ["versicolor", "0", "47", "3"], ["virginica", "0", "1", "49"]] {
        assert!(words.iter().any(|line| *line == row), "{row:?} is not in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_label_that_the_model_does_not_know_is_refused() {
    let place = penalised();
    let species: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..150).map(|row| if row == 77 { "lily" } else { "setosa" })));
    write(&place, "new.parquet", &with(iris(), "species", species), 20);
    assert_refused(&place, "evaluate -m m.json new.parquet", 3, &["lily", "setosa, versicolor, virginica"]);
    // Where they are all of one class there is nothing to rank, and the rest stands.
    write(&place, "one.parquet", &rows_of(&iris(), 0..40), usize::MAX);
    let found = place.done("evaluate -q -m m.json one.parquet --json").json();
    assert!(found["metrics"]["macro_auc"].is_null() && found["metrics"]["accuracy"] == 1.0);
    place.done("evaluate -m m.json one.parquet");
}

#[test]
fn validation_is_what_evaluate_says() {
    let (columns, labels) = table(4_000, 3);
    let columns = with(columns, "y", texts(&labels));
    let place = place_with(&rows_of(&columns, 0..3_000));
    write(&place, "valid.parquet", &rows_of(&columns, 3_000..4_000), 300);
    let model = train(&place, "data.parquet --label y --valid valid.parquet -o m.json");
    let validation = &model["training"]["validation"];
    let metrics = &place.done("evaluate -q -m m.json valid.parquet --json").json()["metrics"];
    for name in ["rows", "log_loss", "skill", "brier", "accuracy"] {
        assert_eq!(validation[name], metrics[name], "{name}");
    }
    assert_eq!(validation["auc"], metrics["macro_auc"]["value"]);
    assert_eq!(validation["average_precision"], metrics["macro_average_precision"]["value"]);
    assert!(validation.get("prevalence").is_none() && number(validation, "/skill") > 0.02, "{validation}");
    // What is read back is written as the same bytes.
    let inspected = place.done("inspect m.json --json").json();
    assert_eq!(inspected["model"], place.json("m.json"));
    let split = train(&place, "data.parquet --label y --split 0.3");
    let rows = number(&split, "/training/validation/rows");
    assert!((700.0..1_100.0).contains(&rows) && number(&split, "/training/rows") + rows == 3_000.0);
    let text = place.done("train -q --device cpu data.parquet --label y --split 0.3").stdout;
    assert_says(&text, &["macro AUC 0."]);
}

// ---- training -------------------------------------------------------------------------------------------------

#[test]
fn the_generative_model_is_that_of_scikit_learn() {
    let (place, reference) = (place_with(&iris()), &reference()["generative"]);
    let model = train(&place, "data.parquet --label species --solver generative -o m.json");
    let found = &model["generative"];
    assert_near(&[serde_json::from_value(found["priors"].clone()).expect("numbers")], &[vec![1.0 / 3.0; 3]], 1e-12);
    assert_near(&matrix(&found["means"]), &matrix(&reference["means"]), 1e-6);
    assert_near(&matrix(&found["covariance"]), &matrix(&reference["covariance"]), 1e-6);
    let expected = transposed(&matrix(&reference["probabilities"]));
    assert_near(&probabilities(&place, "m.json", "data.parquet", &SPECIES), &expected, 1e-5);
    let text = place.done("train -q --device cpu data.parquet --label species --solver generative").stdout;
    assert_says(&text, &["closed form", "priors     0.3333 setosa, 0.3333 versicolor, 0.3333 virginica"]);
    assert!(!text.contains("gradient") && !text.contains("standard errors"), "{text}");
    let text = place.done("inspect m.json").stdout;
    assert_says(
        &text,
        &["closed form", "priors", "mean in", "sepal_length       5.006000       5.936000       6.588000"],
    );
    // Of two classes it is a model of two classes.
    let two = "--label species --positive virginica --where species!='setosa' --solver generative";
    let text = place.done(&format!("train -q --device cpu data.parquet {two} -o two.json")).stdout;
    assert_says(
        &text,
        &["log odds of species = virginica", "closed form", "priors     0.5000 versicolor, 0.5000 virginica"],
    );
    assert_says(&place.done("inspect two.json").stdout, &["prevalence 50", "mean in"]);
}

#[test]
fn what_separates_is_named() {
    let place = place_with(&iris());
    let run = place.done("train --device cpu data.parquet --label species -o m.json");
    let model = place.json("m.json");
    assert_eq!(model["training"]["status"], "separated");
    assert_says(&run.stderr, &["separated", "the columns that separate", "petal_length"]);
    assert_eq!(place.run("train --device cpu data.parquet --label species --strict").code, Some(4));
}

#[test]
fn standard_errors_are_those_of_statsmodels() {
    let reference = &reference()["weather"];
    let place = Place::with_example("weather.parquet");
    let arguments =
        "train --device cpu --json -q weather.parquet --label kind --features temp_max,temp_min,wind --inference";
    let run = run_with(&place, arguments, &["--where", "kind in ('fog', 'rain', 'sun')", "-o", "m.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let model = run.json();
    assert_eq!(model["label"]["classes"], reference["classes"]);
    assert_eq!(model["training"]["rows"], reference["rows"]);
    let (expected, errors) = (matrix(&reference["coefficients"]), matrix(&reference["standard_errors"]));
    let found = transposed(&coefficients(&model));
    assert_eq!(found[0], [0.0; 4]);
    for (class, (expected, errors)) in expected.iter().zip(&errors).enumerate() {
        for (place, (expected, error)) in expected.iter().zip(errors).enumerate() {
            let inference = match place {
                0 => &model["intercepts_inference"],
                feature => &model["features"][feature - 1]["inference"],
            };
            assert!(inference[0].is_null());
            let found = found[class + 1][place];
            assert!((found - expected).abs() <= 1e-4 * error, "{class} {place}: {found} {expected}");
            let found = number(&inference[class + 1], "/standard_error");
            assert!((found / error - 1.0).abs() <= 1e-4, "{class} {place}: {found} {error}");
        }
    }
    for (name, key, factor) in
        [("log_likelihood", "log_likelihood", 1.0), ("null_deviance", "null_log_likelihood", -2.0)]
    {
        let (found, expected) =
            (number(&model["training"], &format!("/{name}")), factor * number(reference, &format!("/{key}")));
        assert!((found / expected - 1.0).abs() <= 1e-7, "{name}: {found} {expected}");
    }
    // Class by class, nothing of the reference.
    let text = place.done("inspect m.json").stdout;
    assert_says(&text, &["against fog", "std. error", "411 fog, 259 rain, 714 sun"]);
    let heads: Vec<&str> = text.lines().filter(|line| ["fog", "rain", "sun"].contains(line)).collect();
    assert_eq!(heads, ["rain", "sun"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("intercept ")).count(), 2);
}

/// The standard errors of all coefficients but those of the reference, the intercepts' first.
fn errors(model: &Value) -> Vec<f64> {
    let features = model["features"].as_array().expect("features").iter().map(|feature| &feature["inference"]);
    let of_classes = std::iter::once(&model["intercepts_inference"]).chain(features);
    of_classes
        .flat_map(|classes| classes.as_array().expect("classes").iter().skip(1))
        .map(|inference| number(inference, "/standard_error"))
        .collect()
}

/// Two categories of many levels that go together: what the Hessian has of them is counted by pairs of codes, for each
/// pair of classes. The columns written out are multiplied with each other.
#[test]
fn levels_have_the_standard_errors_of_columns_written_out() {
    const ROWS: usize = 30_000;
    let (mut columns, mut labels) = table(ROWS, 3);
    let mut written = columns.clone();
    let mut random = Random(29);
    let mut codes = vec![0; ROWS];
    for (name, count) in [("a", 150), ("b", 120)] {
        for (code, label) in codes.iter_mut().zip(&mut labels) {
            *code = if random.unit() < 0.3 { *code % count } else { (random.unit() * count as f64) as usize };
            if *code % 7 < 3 && random.unit() < 0.2 {
                *label = *code % 7;
            }
        }
        let levels = StringArray::from_iter_values(codes.iter().map(|code| format!("l{code:03}")));
        columns = with(columns, name, Arc::new(levels));
        for level in 1..count {
            let flags = codes.iter().map(|&code| f64::from(u8::from(code == level)));
            written = with(written, &format!("{name}=l{level:03}"), Arc::new(Float64Array::from_iter_values(flags)));
        }
    }
    let place = place_with(&with(columns, "y", texts(&labels)));
    write(&place, "written.parquet", &with(written, "y", texts(&labels)), usize::MAX);
    let whole = train(&place, "written.parquet --label y --inference --preconditioner hessian");
    let unit = errors(&whole);
    assert_eq!(unit.len(), 2 * (1 + 2 + 149 + 119));
    // Of so many coefficients the solver has a bound of the Hessian, or that of some of the rows.
    for flags in ["", "--preconditioner subsample"] {
        let found = train(&place, &format!("data.parquet --label y --inference {flags}"));
        assert_eq!(found["training"]["delta_is_approximate"], true, "{flags}");
        let names = |model: &Value| -> Vec<Value> {
            model["features"].as_array().expect("features").iter().map(|feature| feature["name"].clone()).collect()
        };
        assert_eq!(names(&found), names(&whole));
        let [a, b] = [&found, &whole].map(|model| coefficients(model).into_iter().flat_map(|c| [c[1], c[2]]));
        let in_errors: Vec<f64> = a.zip(b).zip(&unit).map(|((a, b), unit)| (a - b) / unit).collect();
        let of_errors: Vec<f64> = errors(&found).iter().zip(&unit).map(|(error, unit)| error / unit - 1.0).collect();
        let nothing = [vec![0.0; unit.len()]];
        assert_near(&[in_errors], &nothing, 2e-5);
        assert_near(&[of_errors], &nothing, 1e-5);
    }
}

#[test]
fn every_method_finds_the_same_optimum() {
    let place = penalised();
    let expected = transposed(&matrix(&reference()["iris"]["exact"]));
    for method in [
        "--solver newton",
        "--solver lbfgs",
        "--init generative",
        "--preconditioner bound",
        "--preconditioner diagonal",
    ] {
        let model =
            train(&place, &format!("data.parquet --label species --ignore w {PENALISED} {method} -o other.json"));
        // So near the optimum the columns as f32 has them are another table: whether a run says so depends on its Hessian.
        let status = model["training"]["status"].as_str().expect("a status");
        assert!(["converged", "f32_limit"].contains(&status), "{method}: {status}");
        assert_near(&probabilities(&place, "other.json", "data.parquet", &SPECIES), &expected, 1e-6);
    }
}

#[test]
fn a_reference_changes_coefficients_and_no_probability() {
    let (columns, labels) = table(1_000, 3);
    let place = place_with(&with(columns, "y", texts(&labels).clone()));
    let classes = ["class 0", "class 1", "class 2"];
    let plain = train(&place, "data.parquet --label y --tolerance 1e-9 -o plain.json");
    let run = run_with(
        &place,
        "train --device cpu -q --json data.parquet --label y --tolerance 1e-9 -o other.json",
        &["--reference", "y=class 2"],
    );
    let other = run.json();
    assert_eq!(other["label"]["classes"], json!(["class 2", "class 0", "class 1"]));
    let (a, b) = (coefficients(&plain), coefficients(&other));
    let against: Vec<Vec<f64>> = a.iter().map(|w| vec![0.0, w[0] - w[2], w[1] - w[2]]).collect();
    assert_near(&b, &against, 1e-8);
    let of = |model: &str| probabilities(&place, model, "data.parquet", &classes);
    assert_near(&of("other.json"), &of("plain.json"), 1e-9);
    let run = run_with(&place, "train --device cpu data.parquet --label y", &["--reference", "y=class 9"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_says(&run.stderr, &["class 9"]);
}

#[test]
fn how_rows_lie_in_files_changes_no_bit() {
    let (columns, labels) = table(3_000, 4);
    let columns = with(columns, "y", texts(&labels));
    let place = place_with(&columns);
    for (name, rows) in [("a.parquet", 0..1_200), ("b.parquet", 1_200..1_300), ("c.parquet", 1_300..3_000)] {
        write(&place, name, &rows_of(&columns, rows), 170);
    }
    let one = train(&place, "data.parquet --label y --inference");
    let three = train(&place, "a.parquet b.parquet c.parquet --label y --inference --threads 1");
    for part in ["label", "intercepts", "intercepts_inference", "features"] {
        assert_eq!(one[part], three[part], "{part}");
    }
    assert_eq!(one["training"]["loss"], three["training"]["loss"]);
    assert_eq!(
        one["training"]["class_rows"],
        json!((0..4).map(|k| labels.iter().filter(|&&l| l == k).count()).collect::<Vec<_>>())
    );
}

#[test]
fn a_row_of_weight_two_is_there_twice() {
    let (columns, labels) = table(900, 3);
    let weights: Vec<usize> = (0..900).map(|row| row % 3).collect();
    let columns = with(columns, "y", texts(&labels));
    let place = place_with(&with(
        columns.clone(),
        "w",
        Arc::new(Float64Array::from_iter_values(weights.iter().map(|&w| w as f64))),
    ));
    let repeated = (0..900).flat_map(|row| std::iter::repeat_n(row, weights[row]));
    write(&place, "repeated.parquet", &rows_of(&columns, repeated), usize::MAX);
    let of_label: Vec<f64> = labels.iter().map(|&label| [1.0, 3.0, 0.5][label]).collect();
    write(&place, "by_class.parquet", &with(columns.clone(), "w", Arc::new(Float64Array::from(of_label))), usize::MAX);
    for flags in ["--inference", "--l2 0.1"] {
        let train = |data: &str| train(&place, &format!("{data} --label y --tolerance 1e-9 {flags}"));
        let (found, expected) = (train("data.parquet --weight w"), train("repeated.parquet"));
        assert_near(&coefficients(&found), &coefficients(&expected), 1e-8);
        if flags == "--inference" {
            let errors = |model: &Value| vec![vec![number(model, "/features/0/inference/1/standard_error")]];
            assert_near(&errors(&found), &errors(&expected), 1e-7);
        }
    }
    let arguments = "train --device cpu -q --json by_class.parquet --ignore w --label y --tolerance 1e-9";
    // A class that is not named has 1.
    let run = run_with(&place, arguments, &["--class-weight", "class 1=3,class 2=0.5"]);
    let expected = train(&place, "by_class.parquet --weight w --label y --tolerance 1e-9");
    assert_near(&coefficients(&run.json()), &coefficients(&expected), 1e-8);
    let balanced = train(&place, "by_class.parquet --ignore w --label y --class-weight balanced");
    let counts: Vec<f64> = serde_json::from_value(balanced["training"]["class_rows"].clone()).expect("counts");
    let factors: Vec<f64> = serde_json::from_value(balanced["training"]["class_weight"].clone()).expect("factors");
    assert!(counts.iter().zip(&factors).all(|(count, factor)| (count * factor - 300.0).abs() <= 1e-9), "{factors:?}");
}

// ---- labels ---------------------------------------------------------------------------------------------------

#[test]
fn numbers_are_classes_when_they_are_said_to_be() {
    let (columns, labels) = table(600, 3);
    let codes: ArrayRef = Arc::new(Int32Array::from_iter_values(labels.iter().map(|&label| 10 * label as i32)));
    let place = place_with(&with(columns, "y", codes));
    let counts: Vec<String> =
        (0..3).map(|k| format!("{} ({}", 10 * k, labels.iter().filter(|&&label| label == k).count())).collect();
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    assert_refused(
        &place,
        "train --device cpu data.parquet --label y",
        3,
        &[&["3 values", "--multinomial"], &counts[..]].concat(),
    );
    let model = train(&place, "data.parquet --label y --multinomial -o m.json");
    assert_eq!(model["label"], json!({ "column": "y", "classes": [0, 10, 20] }));
    place.done("predict -q -m m.json data.parquet --output label -o labels.parquet");
    let columns: Columns = decoded(&place.path("labels.parquet"));
    assert!(numbers(&columns, "label").iter().all(|label| [0.0, 10.0, 20.0].contains(label)));
    probabilities(&place, "m.json", "data.parquet", &["0", "10", "20"]);
    assert_refused(&place, "train data.parquet --label y --multinomial --positive 10", 2, &["--positive"]);
}

#[test]
fn labels_without_an_answer_are_refused() {
    let (columns, _) = table(2_002, 3);
    let label = |label: &dyn Fn(usize) -> Option<String>| -> Columns {
        with(columns.clone(), "y", Arc::new((0..2_002).map(label).collect::<StringArray>()))
    };
    let place = place_with(&label(&|row| Some(format!("{}", row % 1_001))));
    assert_refused(&place, "train --device cpu data.parquet --label y", 3, &["more than 1000 classes"]);
    let place = place_with(&label(&|_| Some("only".into())));
    for flags in ["", "--multinomial"] {
        assert_refused(
            &place,
            &format!("train --device cpu data.parquet --label y {flags}"),
            3,
            &["one value", "only (2002"],
        );
    }
    let holes = label(&|row| (row % 7 != 2).then(|| format!("{}", row % 3)));
    let place = place_with(&holes);
    assert_refused(&place, "train --device cpu data.parquet --label y", 3, &["missing", "286 rows", "drop-row"]);
    let model = train(&place, "data.parquet --label y --nulls drop-row");
    write(&place, "kept.parquet", &rows_of(&holes, (0..2_002).filter(|row| row % 7 != 2)), usize::MAX);
    let expected = train(&place, "kept.parquet --label y --nulls drop-row");
    assert_eq!(coefficients(&model), coefficients(&expected));
    assert_eq!(number(&model, "/training/rows"), 1_716.0);
}

#[test]
fn a_class_that_goes_with_the_rows_left_out_is_none() {
    let (columns, labels) = table(900, 3);
    let x = numbers(&columns, "x").into_iter().zip(&labels);
    let holes: ArrayRef = Arc::new(x.map(|(x, &label)| (label != 1).then_some(x)).collect::<Float64Array>());
    let columns = with(with(columns, "y", texts(&labels)), "x", holes);
    let place = place_with(&columns);
    let run =
        run_with(&place, "train --device cpu -q --json data.parquet --label y --multinomial --nulls drop-row", &[]);
    assert_eq!(run.json()["label"]["classes"], json!(["class 0", "class 2"]));
    // Two are left, and then which one is positive must be said.
    assert_refused(&place, "train --device cpu data.parquet --label y --nulls drop-row", 3, &["--positive"]);
}

#[test]
fn two_classes_are_what_they_were() {
    let (columns, labels) = table(1_500, 2);
    let columns = with(columns, "y", texts(&labels));
    let flags: ArrayRef = Arc::new(labels.iter().map(|&label| Some(label == 1)).collect::<BooleanArray>());
    let place = place_with(&with(columns, "b", flags));
    assert_refused(
        &place,
        "train --device cpu data.parquet --label y --ignore b",
        3,
        &["class 0", "class 1", "--positive"],
    );
    let run = run_with(
        &place,
        "train --device cpu -q --json data.parquet --label y --ignore b --tolerance 1e-9 -o two.json",
        &["--positive", "class 1"],
    );
    let two = run.json();
    assert!(two["features"][0]["coefficient"].is_number() && two.get("intercepts").is_none());
    let found = parsed(&predicted(&place, "-m two.json data.parquet")["probability"]);
    for l2 in ["", "--l2 0.03"] {
        let of = |flags: &str, name: &str| {
            train(&place, &format!("data.parquet {flags} --tolerance 1e-9 {l2} -o {name}.json"))
        };
        of("--label b --ignore y", "binary");
        let softmax = of("--label y --ignore b --multinomial", "softmax");
        assert_eq!(softmax["training"]["identification"], "reference");
        let binary = parsed(&predicted(&place, "-m binary.json data.parquet")["probability"]);
        let several = probabilities(&place, "softmax.json", "data.parquet", &["class 0", "class 1"]);
        assert_near(&several[1..], std::slice::from_ref(&binary), 1e-9);
        if l2.is_empty() {
            assert_near(std::slice::from_ref(&found), &[binary], 1e-9);
        }
    }
    // A boolean may be the label of a softmax too.
    let model = train(&place, "data.parquet --label b --ignore y --multinomial -o b.json");
    assert_eq!(model["label"]["classes"], json!([false, true]));
    place.done("predict -q -m b.json data.parquet --output label -o labels.parquet");
    let columns: Columns = decoded(&place.path("labels.parquet"));
    assert_eq!(column(&columns, "label").as_boolean().len(), 1_500);
    place.done("evaluate -q -m b.json data.parquet");
}

// ---- what is shown --------------------------------------------------------------------------------------------

#[test]
fn tables_fit_a_terminal_whatever_the_classes() {
    let place = Place::with_example("iris.parquet");
    let text = place.done("train -q --device cpu iris.parquet --label species --l2 0.01 -o m.json").stdout;
    assert_says(&text, &["softmax over the 3 classes of species", "50 setosa, 50 versicolor, 50 virginica", "centred"]);
    let head = text.lines().find(|line| line.trim_start().starts_with("setosa")).expect("a head");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), SPECIES);
    let words =
        text.lines().find(|line| line.starts_with("petal_width")).expect("a feature").split_whitespace().count();
    assert_eq!(words, 4);
    let text = place.done("inspect m.json").stdout;
    assert_says(&text, &["softmax", "centred", "petal_width"]);
    assert!(!text.contains("prevalence"));
    // Of many features one class fills the screen.
    let digits = example("digits.parquet");
    let arguments =
        format!("train -q --device cpu {} --label digit --ignore odd --multinomial --l2 1", digits.display());
    let text = place.done(&arguments).stdout;
    assert_says(&text, &["178 0, 182 1", "and 14 others", "and 9 more classes (-v shows all)"]);
    assert!((60..110).contains(&text.lines().count()), "{text}");
    // Thirty classes with long names are shown one by one, the first of them.
    let (columns, _) = table(3_000, 3);
    let mut random = Random(3);
    let name = |_| format!("a class with a long name, number {:02}", (random.unit() * 30.0) as usize);
    let columns = with(columns, "y", Arc::new(StringArray::from_iter_values((0..3_000).map(name))));
    write(&place, "many.parquet", &columns, usize::MAX);
    let text = place.done("train -q --device cpu many.parquet --label y -o many.json").stdout;
    assert_says(&text, &["20 more", "more classes (-v shows all)", "against a class with a long name"]);
    assert!(text.lines().count() <= 130, "{text}");
    let text = place.done("evaluate -q -m many.json many.parquet").stdout;
    assert_says(&text, &["the largest confusions, 20 of", "taken for"]);
    let text = place.done("train --device cpu many.parquet --label y --dry-run").stdout;
    assert_says(&text, &["3000 rows x 2 features, 30 classes"]);
    let plan = place.done("train --device cpu many.parquet --label y --dry-run --json").json();
    assert_eq!(plan["plan"]["classes"], 30);
}

#[test]
fn what_is_damaged_is_no_model() {
    let place = penalised();
    let mut models: Vec<Value> = (0..8).map(|_| place.json("m.json")).collect();
    models[0]["intercepts"].as_array_mut().expect("a list").pop();
    models[1]["features"][3]["coefficients"].as_array_mut().expect("a list").push(json!(1));
    models[2]["label"]["classes"][2] = json!("setosa");
    models[3]["label"]["positive"] = json!("setosa");
    // Names and numbers that are those of the only margin of two classes, in place of a list or beside it.
    models[4]["intercept"] = json!(1);
    models[5]["intercepts"] = json!([1]);
    models[6]["features"][3]["coefficient"] = json!(1);
    models[7]["features"][3].as_object_mut().expect("a feature").remove("coefficients");
    models[7]["features"][3]["coefficient"] = json!(1);
    let of_intercepts = "the intercept is not one for each of the 3 classes";
    let of_coefficients = "the feature `petal_width` has not a coefficient for each of the 3 classes";
    let words = [
        of_intercepts,
        of_coefficients,
        "twice",
        "positive",
        of_intercepts,
        of_intercepts,
        of_coefficients,
        of_coefficients,
    ];
    for (model, word) in models.into_iter().zip(words) {
        std::fs::write(place.path("damaged.json"), model.to_string()).expect("writes");
        for command in [
            "inspect damaged.json",
            "predict -m damaged.json data.parquet -o -",
            "evaluate -m damaged.json data.parquet",
        ] {
            let run = place.run(command);
            assert_eq!(run.code, Some(3), "{command} {word}: {run:?}");
            assert_says(&run.stderr, &["damaged model", word]);
        }
    }
}

/// With a row for each parameter of a margin and more, the classes are not crowded: nobody asks the file whether they are
/// told apart before a run says so. Eleven classes have ten margins of six parameters each.
#[test]
fn classes_of_many_rows_are_not_crowded() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 500 --features 5 --classes 11 --seed 3");
    let model = place.done("train data.parquet --label y --device cpu --json").json();
    let training = &model["training"];
    assert_eq!((&training["status"], &training["existence"]), (&"converged".into(), &"proved".into()), "{training:#}");
    assert!(training["passes"]["file"].is_null(), "{training:#}");
}
