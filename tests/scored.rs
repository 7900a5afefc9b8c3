//! What `predict` and `evaluate` make of a model: the same threshold, files that read back as many rows as there are, models
//! that lack something, a model without features, and what a model with offsets is held against.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod data;
    pub(crate) mod files;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use serde_json::{Value, json};

use common::data::write_parquet;
use common::model::coefficients;
use common::process::{Place, Run, number};
use common::random::Random;
use common::says::assert_says;

fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn booleans(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())
}

/// Asserts that the arguments are refused as bad data, with these words in the fact and the way out.
#[track_caller]
fn assert_refused(place: &Place, arguments: &str, more: &[&str], fact: &[&str], way_out: &[&str]) {
    let run = Run::of(place.command(arguments).args(more).output().expect("the program starts"));
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{arguments}: {run:?}");
    let (said, help) = run.stderr.split_once("help: ").unwrap_or((&run.stderr, ""));
    assert_says(said, fact);
    assert_says(help, way_out);
}

/// Changes the model in `model.json`.
fn change(place: &Place, work: impl FnOnce(&mut Value)) {
    let mut model = place.json_file("model.json");
    work(&mut model);
    fs::write(place.path("model.json"), model.to_string()).expect("the model is written");
}

/// The margins that rows have, and their labels and weights: ties, and some of them 0.
const MARGINS: [f64; 12] = [-2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 2.0, 2.5, 3.0];
const LABELS: [bool; 12] = [false, false, true, false, true, true, false, true, false, true, true, false];
const WEIGHTS: [f64; 12] = [1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0];

/// With `data.parquet` and a `model.json` whose margins are [`MARGINS`].
fn with_margins() -> Place {
    let columns = [("x", floats(MARGINS)), ("y", booleans(LABELS)), ("w", floats(WEIGHTS))];
    let place = Place::with_data(&columns);
    place.done("train data.parquet --label y --features x --device cpu -o model.json");
    change(&place, |model| {
        model["intercept"] = json!(0.0);
        model["features"][0]["coefficient"] = json!(1.0);
        model["features"][0]["mean"] = json!(0.0);
    });
    place
}

// ---- thresholds and metrics -----------------------------------------------------------------------------------

/// A row whose probability is the threshold is positive, for `predict` as for `evaluate`.
#[test]
fn at_the_threshold_predict_and_evaluate_agree() {
    let place = with_margins();
    let probabilities: Vec<String> =
        place.done("predict -m model.json data.parquet -o -").stdout.lines().skip(1).map(ToOwned::to_owned).collect();
    assert_eq!(probabilities.len(), MARGINS.len());
    assert_eq!(probabilities[3], "0.5", "a margin of 0");
    for (row, threshold) in probabilities.iter().enumerate() {
        let labels = place
            .done(&format!("predict -m model.json data.parquet -o - --output label --threshold {threshold}"))
            .stdout;
        let labels: Vec<bool> = labels.lines().skip(1).map(|line| line == "true").collect();
        // From the margins, which have the order of the probabilities.
        let expected: Vec<bool> = MARGINS.iter().map(|z| *z >= MARGINS[row]).collect();
        assert_eq!(labels, expected, "at {threshold}");
        let found = place.done(&format!("evaluate -m model.json data.parquet --threshold {threshold} --json")).json();
        let count = |positive: bool, label: bool| {
            expected.iter().zip(LABELS).filter(|(p, y)| (**p, *y) == (positive, label)).count() as f64
        };
        for (name, positive, label) in [
            ("true_positives", true, true),
            ("false_positives", true, false),
            ("true_negatives", false, false),
            ("false_negatives", false, true),
        ] {
            let found = number(&found, &format!("/metrics/confusion/{name}"));
            assert!((found - count(positive, label)).abs() < 1e-12, "{name} at {threshold}: {found}");
        }
    }
    // The default is one half.
    let labels = place.done("predict -m model.json data.parquet -o - --output label").stdout;
    assert_eq!(labels.lines().filter(|line| *line == "true").count(), 9);
}

/// scikit-learn 1.x, `average_precision_score(y, x)` of these twelve rows, and with `sample_weight=w`.
#[test]
fn average_precision_is_that_of_scikit_learn() {
    let place = with_margins();
    for (flags, expected) in [("", 0.570_538_720_538_720_5), ("--weight w", 0.578_168_767_507_002_9)] {
        let found = place.done(&format!("evaluate -m model.json data.parquet --json {flags}")).json();
        let found = number(&found, "/metrics/average_precision/value");
        assert!((found - expected).abs() <= 1e-14, "{flags}: {found}");
        let shown = place.done(&format!("evaluate -m model.json data.parquet {flags}")).stdout;
        assert_says(&shown, &[&format!("average precision  {expected:.6}")]);
    }
}

/// A row that a message names is the file's, whatever `--where` leaves out.
#[test]
fn messages_under_a_condition_name_the_rows_of_the_file() {
    let rows = 40;
    let holes: ArrayRef = Arc::new(
        (0..rows).map(|row| (![4, 23, 31].contains(&row)).then_some(f64::from(row))).collect::<Float64Array>(),
    );
    let labels: ArrayRef =
        Arc::new((0..rows).map(|row| (row != 29).then_some((row * 7) % 5 < 2)).collect::<BooleanArray>());
    let place = Place::new();
    let columns = [
        ("k", floats((0..rows).map(f64::from))),
        ("x", holes),
        ("y", booleans((0..rows).map(|row| (row * 7) % 5 < 2))),
        ("late", labels),
        ("z", floats((0..rows).map(|row| f64::from((row * 13) % 11)))),
    ];
    write_parquet(&place.path("data.parquet"), &columns, 15);
    let condition = ["--where", "k >= 6 and k <> 22"];
    let train = "train data.parquet --label y --device cpu --features";
    assert_refused(&place, &format!("{train} x"), &condition, &["x: 2 null", "from 0: 23, 31"], &[]);
    place.done(&format!("{train} z -o model.json"));
    let evaluate = "evaluate -m model.json data.parquet --label late";
    assert_refused(&place, evaluate, &condition, &["`late`", "row 29, from 0"], &["is not null"]);
    place.done(&format!("{train} z --nulls drop-row -o model.json"));
    change(&place, |model| {
        model["features"][0]["name"] = json!("x");
        model.as_object_mut().expect("an object").remove("nulls");
    });
    let predict = "predict -m model.json data.parquet -o out.csv";
    assert_refused(&place, predict, &condition, &["no value of x in row 23, from 0"], &["drop-row"]);
}

// ---- predictions in CSV ---------------------------------------------------------------------------------------

/// Readers skip an empty line: pandas and pyarrow those without a character, R those without a field.
#[test]
fn a_row_without_a_prediction_is_no_empty_line() {
    let rows = 8;
    let hole = |row: i32| row % 4 == 1;
    let text = |row: i32| ["", " ", "a,b", "c"][row as usize % 4];
    let columns: [(&str, ArrayRef); 4] = [
        (
            "x",
            Arc::new((0..rows).map(|row| (!hole(row)).then_some(f64::from((row * 5) % 7))).collect::<Float64Array>()),
        ),
        ("y", booleans((0..rows).map(|row| (row / 2) % 2 == 0))),
        ("t", Arc::new((0..rows).map(|row| Some(text(row))).collect::<StringArray>())),
        ("c", Arc::new((0..rows).map(|row| Some(if row < 5 { "" } else { " b" })).collect::<StringArray>())),
    ];
    let place = Place::with_data(&columns);
    let lines = |flags: &str| -> Vec<String> {
        let found = place.done(&format!("predict -m model.json data.parquet -o - {flags}")).stdout;
        found.lines().map(ToOwned::to_owned).collect()
    };
    place.done("train data.parquet --label y --features x --nulls drop-row --l2 1 --device cpu -o model.json");
    let found = lines("");
    assert_eq!(found.len(), 1 + rows as usize);
    let numbers: Vec<f64> = found[1..].iter().map(|line| line.parse().expect("a number")).collect();
    for (row, number) in (0..rows).zip(&numbers) {
        assert_eq!(number.is_nan(), hole(row), "{found:?}");
    }
    let found = lines("--output label");
    assert!((0..rows).zip(&found[1..]).all(|(row, line)| (line == "\"\"") == hole(row)), "{found:?}");
    // Beside another column nothing stands for null, and an empty text is none.
    let found = lines("--keep t");
    let texts = ["\"\"", "\" \"", "\"a,b\"", "c"];
    for (row, line) in (0..rows).zip(&found[1..]) {
        let (kept, probability) = line.rsplit_once(',').expect("two cells");
        assert_eq!((kept, probability.is_empty()), (texts[row as usize % 4], hole(row)));
    }
    // Classes that are empty or begin with a blank.
    let mut command = place.command("train data.parquet --label c --features x --nulls drop-row --l2 1 --device cpu");
    let trained = command.args(["-o", "model.json", "--positive", " b"]).output().expect("it starts");
    assert!(trained.status.success(), "{trained:?}");
    let found = lines("--output label --threshold 1");
    assert_eq!(found[1..], vec!["\"\""; rows as usize]);
    let found = lines("--output label --threshold 0 --where x>=0");
    assert_eq!(found[1..], ["\" b\""; 6]);
}

// ---- models that lack something -------------------------------------------------------------------------------

fn small_table() -> Place {
    let mut random = Random(3);
    let x: Vec<f64> = (0..80).map(|_| random.unit()).collect();
    let y: Vec<bool> = x.iter().map(|x| random.label(2.0 * x - 1.0)).collect();
    let g: ArrayRef = Arc::new((0..80).map(|row| Some(["a", "b", "c"][row % 3])).collect::<StringArray>());
    let s: ArrayRef = Arc::new((0..80).map(|row| Some(["u", "v", "w"][row * row % 7 % 3])).collect::<StringArray>());
    Place::with_data(&[
        ("x", floats(x)),
        ("z", floats((0..80).map(|row| f64::from(row * 7 % 11)))),
        ("y", booleans(y)),
        ("g", g),
        ("s", s),
    ])
}

#[test]
fn numbers_that_a_prediction_needs_are_there() {
    let place = small_table();
    for (label, path, what) in [
        ("y", "/intercept", "the intercept"),
        ("y", "/features/0/coefficient", "the coefficient of `x`"),
        ("y", "/features/2/coefficient", "the coefficient of `g=b`"),
        ("y", "/features/1/mean", "the mean of `z`"),
        ("y", "/features/3/mean", "the mean of `g=c`"),
        ("y", "/features/0/fill", "what stands in for a missing value of `x`"),
        ("s", "/intercepts/1", "the intercept"),
        ("s", "/features/0/coefficients/2", "the coefficient of `x`"),
    ] {
        place.done(&format!(
            "train data.parquet --label {label} --features x,z,g --nulls mean --device cpu --l2 0.1 -o model.json"
        ));
        place.done("predict -m model.json data.parquet -o out.parquet");
        change(&place, |model| *model.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = Value::Null);
        for command in ["predict -m model.json data.parquet -o other.csv", "evaluate -m model.json data.parquet"] {
            let fact = ["predicts nothing", "1 of its numbers is missing", what];
            assert_refused(&place, command, &[], &fact, &["train it again", "inspect"]);
        }
        assert!(!place.files().contains(&"other.csv".to_owned()), "{path}");
        // A scale is only shown.
        place.done("inspect model.json");
    }
    place.done("train data.parquet --label y --features x --device cpu -o model.json");
    change(&place, |model| model["features"][0]["scale"] = Value::Null);
    place.done("predict -m model.json data.parquet -o out.parquet");
}

/// A coefficient that no double holds is no estimate: the model would be written with a null in its place.
#[test]
fn a_coefficient_beyond_the_range_of_doubles_is_refused() {
    let mut random = Random(8);
    let x: Vec<f64> = (0..200).map(|_| random.unit()).collect();
    let y: Vec<bool> = x.iter().map(|x| random.label(4.0 * x - 2.0)).collect();
    let place = Place::with_data(&[
        ("tiny", floats(x.iter().map(|x| x * 1e-310))),
        ("x", floats(x.clone())),
        ("y", booleans(y)),
    ]);
    for solver in ["cg", "newton", "generative"] {
        let train =
            format!("train data.parquet --label y --features tiny --solver {solver} --device cpu -o model.json");
        let fact = ["`tiny`", "beyond the range of doubles", "e-311"];
        assert_refused(&place, &train, &[], &fact, &["another unit"]);
    }
    assert_eq!(place.files(), ["data.parquet"]);
}

#[test]
fn a_column_has_one_part_in_a_model() {
    let place = small_table();
    place.done("train data.parquet --label y --features x,z,g --device cpu -o model.json");
    let whole = place.read("model.json");
    let refused = |fact: &str, work: &dyn Fn(&mut Value)| {
        fs::write(place.path("model.json"), &whole).expect("it is written");
        change(&place, work);
        let fact = ["is a damaged model", fact];
        for command in ["predict -m model.json data.parquet -o -", "evaluate -m model.json data.parquet"] {
            assert_refused(&place, command, &[], &fact, &["train it again"]);
        }
    };
    refused("the feature `x` is there twice", &|model| {
        let first = model["features"][0].clone();
        model["features"].as_array_mut().expect("features").insert(1, first);
    });
    refused("the feature `x` is there twice", &|model| model["features"][1]["name"] = json!("x"));
    refused("the column `g` is a feature and a category", &|model| model["features"][1]["name"] = json!("g"));
    refused("two features say where `x` is missing", &|model| {
        for feature in 0..2 {
            model["features"][feature]["indicates"] = json!("x");
        }
    });
}

/// The levels of a category are of its kind, so that a value of a table finds its own.
#[test]
fn a_category_has_levels_of_its_kind() {
    let place = small_table();
    place.done("train data.parquet --label y --features x,z,g --device cpu -o model.json");
    let whole = place.read("model.json");
    for (kind, level) in [
        ("text", json!(3.5)),
        ("text", json!(true)),
        ("boolean", json!(1)),
        ("boolean", json!("yes")),
        ("numeric", json!("three")),
        ("numeric", json!(false)),
        ("time", json!("noon")),
    ] {
        fs::write(place.path("model.json"), &whole).expect("it is written");
        change(&place, |model| {
            model["categories"][0]["kind"] = json!(kind);
            let levels = model["categories"][0]["levels"].as_array_mut().expect("levels");
            for (index, place) in levels.iter_mut().enumerate() {
                *place = match kind {
                    "text" => json!(format!("level {index}")),
                    "boolean" => json!(index == 0),
                    _ => json!(index),
                };
            }
            levels[1] = level.clone();
            // Whatever the levels are called, the features are as many, and bear their names.
            let names: Vec<String> =
                levels.iter().map(|level| level.as_str().map_or_else(|| level.to_string(), str::to_owned)).collect();
            let reference = names.len() - model["features"].as_array().expect("features").len() + 2;
            let features = model["features"].as_array_mut().expect("features");
            for (feature, name) in features[2..].iter_mut().zip(&names[reference..]) {
                feature["name"] = json!(format!("g={name}"));
            }
        });
        let fact = ["is a damaged model", &format!("is {kind} and has the level")];
        assert_refused(&place, "predict -m model.json data.parquet -o -", &[], &fact, &["train it again"]);
    }
}

// ---- a model without features ---------------------------------------------------------------------------------

/// The intercept is the log odds, its variance `1 / n p (1 - p)`.
#[test]
fn an_intercept_alone_is_the_log_odds() {
    let labels = |row: i32| row % 10 < 3;
    let columns = [
        ("x", floats((0..50).map(f64::from))),
        ("y", booleans((0..50).map(labels))),
        ("w", floats((0..50).map(|row| if labels(row) { 4.0 } else { 2.0 }))),
        (
            "t",
            Arc::new(
                (0..50)
                    .map(|row| Some(["u", "v", "w"][[0, 0, 0, 0, 0, 1, 1, 1, 2, 2][row % 10]]))
                    .collect::<StringArray>(),
            ) as ArrayRef,
        ),
    ];
    let place = Place::with_data(&columns);
    let none = |arguments: &str| {
        let mut command = place.command(&format!("train data.parquet --json {arguments}"));
        Run::of(command.args(["--features", ""]).output().expect("the program starts"))
    };
    let log_odds = (15.0_f64 / 35.0).ln();
    for flags in [
        "--inference",
        "--robust",
        "--solver newton --inference",
        "--solver lbfgs --inference",
        "--solver gradient-descent",
        "--solver generative",
        "--init generative",
        "--refine --inference",
        "--l2 0.5 --inference",
        "--preconditioner subsample",
        "--preconditioner none",
        "--device auto --inference",
    ] {
        let device = if flags.contains("--device") { "" } else { "--device cpu" };
        let run = none(&format!("--label y {flags} {device} -o model.json --report page.html"));
        assert_eq!(run.code, Some(0), "{flags}: {run:?}");
        let model = run.json();
        assert_eq!(model["training"]["status"], "converged", "{flags}");
        assert_eq!(coefficients(&model), Vec::<f64>::new());
        assert!((number(&model, "/intercept") - log_odds).abs() <= 1e-12, "{flags}: {}", model["intercept"]);
        if flags.contains("inference") || flags.contains("robust") {
            let variance = 1.0 / (50.0 * 0.3 * 0.7);
            let found = number(&model, "/intercept_inference/standard_error");
            assert!((found * found / variance - 1.0).abs() <= 1e-9, "{flags}: {found}");
            let deviance = -2.0 * (15.0 * 0.3_f64.ln() + 35.0 * 0.7_f64.ln());
            for name in ["residual_deviance", "null_deviance"] {
                let found = number(&model, &format!("/training/{name}"));
                assert!((found / deviance - 1.0).abs() <= 1e-9, "{flags}: {name} {found}");
            }
        }
        let page = String::from_utf8(place.read("page.html")).expect("UTF-8");
        assert_says(&page, &["The model has no columns"]);
    }
    let found = place.done("predict -m model.json data.parquet -o -").stdout;
    assert!(found.lines().skip(1).all(|line| (line.parse::<f64>().expect("a number") - 0.3).abs() <= 1e-12), "{found}");
    assert_eq!(found.lines().count(), 51);
    let found = place.done("evaluate -m model.json data.parquet --json").json();
    assert!((number(&found, "/metrics/auc/value") - 0.5).abs() <= 1e-15);
    assert!((number(&found, "/metrics/brier") - 0.21).abs() <= 1e-12);
    // Rows that weigh.
    let model = none("--label y --weight w --device cpu").json();
    assert!((number(&model, "/intercept") - (60.0_f64 / 70.0).ln()).abs() <= 1e-12);
    // Of several classes.
    let model = none("--label t --device cpu -o model.json").json();
    let intercepts: Vec<f64> = (0..3).map(|class| number(&model, &format!("/intercepts/{class}"))).collect();
    for (found, expected) in intercepts.iter().zip([0.0, (15.0_f64 / 25.0).ln(), (10.0_f64 / 25.0).ln()]) {
        assert!((found - expected).abs() <= 1e-9, "{intercepts:?}");
    }
    let found = place.done("predict -m model.json data.parquet -o - --limit 1").stdout;
    let row: Vec<f64> = found.lines().nth(1).expect("a row").split(',').map(|p| p.parse().expect("a number")).collect();
    assert!(row.iter().zip([0.5, 0.3, 0.2]).all(|(p, expected)| (p - expected).abs() <= 1e-9), "{row:?}");
    // A category beside no other features is no model without features.
    let model = none("--label y --categorical t --device cpu").json();
    assert_eq!(model["features"].as_array().map(Vec::len), Some(2));
    // Nothing left is no wish for nothing.
    let way_out = ["--features ''", "the columns are: x, y, w, t"];
    assert_refused(
        &place,
        "train data.parquet --label y --ignore x,w,t --device cpu",
        &[],
        &["no feature is left"],
        &way_out,
    );
    let run = none("--label y --no-intercept --device cpu");
    assert_eq!(run.code, Some(3), "{run:?}");
}

// ---- offsets --------------------------------------------------------------------------------------------------

/// R 4.2, `glm(..., binomial)$null.deviance` of
/// `o <- (0:29 %% 7) * 0.5 - 1; y <- as.integer((0:29 * 11) %% 30 < 13); w <- 1 + (0:29 %% 3); x <- (0:29 * 17) %% 30 / 10`:
/// `y ~ x + offset(o)`, with `weights = w`, and `y ~ 0 + x + offset(o)`, which has the offset alone.
#[test]
fn the_model_without_features_has_the_offset() {
    let rows = 0..30;
    let columns = [
        ("o", floats(rows.clone().map(|row| f64::from(row % 7) * 0.5 - 1.0))),
        ("y", booleans(rows.clone().map(|row| (row * 11) % 30 < 13))),
        ("w", floats(rows.clone().map(|row| f64::from(1 + row % 3)))),
        ("x", floats(rows.map(|row| f64::from((row * 17) % 30) / 10.0))),
    ];
    let place = Place::with_data(&columns);
    for (flags, null, residual) in [
        ("", 50.041_699_025_6, 50.002_409_886_0),
        ("--weight w", 98.606_915_147_6, 98.057_890_863_0),
        ("--no-intercept", 53.344_003_847_3, 51.232_262_013_3),
    ] {
        let model = place.model(&format!("data.parquet --label y --features x --offset o --inference {flags}"));
        let [found, deviance] = ["null", "residual"].map(|name| number(&model, &format!("/training/{name}_deviance")));
        assert!((found - null).abs() <= 1e-9, "{flags}: {found}");
        assert!((deviance - residual).abs() <= 1e-6, "{flags}: {deviance}");
        let mcfadden = number(&model, "/training/mcfadden_r2");
        assert!((mcfadden - (1.0 - residual / null)).abs() <= 1e-7, "{flags}: {mcfadden}");
    }
    // As a model of its own; offsets far apart are no trouble.
    let far = [
        ("o", floats((0..30).map(|row| if row % 2 == 0 { 400.0 } else { -400.0 }))),
        ("y", booleans((0..30).map(|row| row % 3 == 0))),
        ("x", floats((0..30).map(|row| f64::from(row % 5)))),
    ];
    write_parquet(&place.path("far.parquet"), &far, usize::MAX);
    let model = place.model("far.parquet --label y --features x --offset o --inference --l2 1e-3");
    // Of the rows at 400 five are positive and ten are not, of those at -400 likewise: at an intercept of -400 + ln 2 two
    // thirds of the former are expected, five too many, and none of the latter, five too few.
    let two = 2.0_f64;
    let expected = 2.0 * (5.0 * (800.0 - two.ln()) - 5.0 * (two / 3.0).ln() + 10.0 * 3.0_f64.ln());
    let found = number(&model, "/training/null_deviance");
    assert!((found / expected - 1.0).abs() <= 1e-12, "{found} instead of {expected}");
}
