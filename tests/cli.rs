//! The program as a process: what it prints, writes and answers to bad input, and with which exit code.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod examples;
    pub(crate) mod fields;
    pub(crate) mod files;
    pub(crate) mod model;
    #[cfg(target_os = "linux")]
    pub(crate) mod peak;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod reference;
    #[cfg(unix)]
    pub(crate) mod running;
    pub(crate) mod says;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::slice;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    LargeStringArray, StringArray, StringViewArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{ArrowPrimitiveType, Float16Type, Float32Type, Int32Type, i256};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use common::adapter::{has_adapter, skipped};
use common::data::write_parquet;
use common::examples::example;
use common::fields::fields;
use common::model::coefficients;
#[cfg(target_os = "linux")]
use common::peak::peak;
use common::process::{Place, Run, number, program};
use common::random::Random;
use common::reference::{Fit, Reference};
use common::says::assert_says;

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 400;

fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn booleans(values: &[bool]) -> ArrayRef {
    Arc::new(BooleanArray::from(values.to_vec()))
}

/// Whole numbers 0 to 20, and labels that grow likelier with them; far from separable.
fn sample() -> (Vec<f64>, Vec<bool>) {
    let mut random = Random(1);
    (0..ROWS)
        .map(|row| {
            let x = (row * 8 % 21) as f64;
            (x, random.label(0.25 * (x - 9.0)))
        })
        .unzip()
}

/// `sample()` as the columns `x` and `y` of `data.parquet`.
fn sample_place() -> Place {
    let (x, y) = sample();
    Place::with_data(&[("x", floats(x)), ("y", booleans(&y))])
}

#[cfg(target_os = "linux")]
impl Place {
    /// The Vulkan loader finds no driver for what runs here.
    fn without_adapters(mut self) -> Self {
        self.environment = vec![("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent")];
        self
    }
}

/// A file that holds `x`, a good feature, and the label `y` as given.
fn with_label(label: ArrayRef) -> Place {
    let x = floats((0..label.len()).map(|row| (row * 8 % 21) as f64));
    Place::with_data(&[("x", x), ("y", label)])
}

/// A file that holds `x` as given, a good feature `other`, and a good label `y`.
fn with_feature(feature: ArrayRef) -> Place {
    let other = floats((0..feature.len()).map(|row| (row * 8 % 21) as f64));
    let label: Vec<bool> = (0..feature.len()).map(|row| row % 3 == 0).collect();
    Place::with_data(&[("x", feature), ("other", other), ("y", booleans(&label))])
}

// ---- checks ---------------------------------------------------------------------------------------------------

/// Asserts that `arguments` are refused with this exit code and these words in the fact and in the way out, in
/// text and as JSON, and that no model is written and an old one stands.
fn assert_refused(place: &Place, arguments: &str, code: i32, fact: &[&str], way_out: &[&str]) {
    fs::write(place.path("old.json"), "old model").expect("the old model is written");
    let before = place.files();
    let run = place.run(&format!("{arguments} -o old.json"));
    assert_eq!(run.code, Some(code), "{arguments}: {run:?}");
    assert_eq!(run.stdout, "", "{arguments}");
    assert!(run.stderr.contains("error:"), "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    assert_says(&run.stderr, fact);
    assert_says(&run.stderr, way_out);
    assert_eq!(place.read("old.json"), b"old model");

    let run = place.run(&format!("{arguments} -o new.json --json"));
    assert_eq!(run.code, Some(code), "{arguments} --json: {run:?}");
    let document = run.json();
    assert_eq!(fields(&document), ["error"]);
    let error = &document["error"];
    assert_eq!(fields(error), ["exit_code", "help", "kind", "message"]);
    assert_eq!(error["exit_code"], code);
    let kinds = [(2, "usage"), (3, "data"), (5, "device"), (6, "output")];
    assert!(kinds.iter().any(|(number, kind)| *number == code && error["kind"] == *kind), "{error}");
    assert_says(error["message"].as_str().expect("a message"), fact);
    assert_says(error["help"].as_str().expect("a way out"), way_out);
    assert_eq!(place.files(), before, "a refused command leaves no file");
}

/// A model without what may differ from run to run.
fn timeless(mut model: Value) -> Value {
    let training = model["training"].as_object_mut().expect("a training part");
    for name in ["seconds", "command"] {
        assert!(training.remove(name).is_some(), "no {name}");
    }
    model
}

/// Asserts that coefficients and intercept are those of `fit`, column `j` of which was multiplied by `units[j]`
/// in the model's data, to 0.001 standard errors.
fn assert_fits(model: &Value, fit: &Fit, units: &[f64]) {
    let found = coefficients(model);
    assert_eq!((found.len(), units.len()), (fit.coefficients.len(), fit.coefficients.len()));
    for (((found, expected), error), unit) in found.iter().zip(&fit.coefficients).zip(&fit.standard_errors).zip(units) {
        let difference = (found * unit - expected).abs();
        assert!(difference <= 1e-3 * error, "{} instead of {expected} +- {error}", found * unit);
    }
}

// ---- the main job ---------------------------------------------------------------------------------------------

const WEATHER: &str = "train weather.parquet --label rain --features temp_max --device cpu";

#[test]
fn train_prints_a_table_with_device_status_and_passes() {
    let place = Place::with_example("weather.parquet");
    let run = place.done(&format!("{WEATHER} -o model.json"));
    let passes = number(&place.json_file("model.json"), "/training/passes/data");
    assert_says(&run.stdout, &["1461 rows", "623 positive", "CPU", "converged", "intercept", "temp_max"]);
    assert_says(&run.stdout, &[&format!("{passes} passes")]);
}

#[test]
fn train_json_has_the_documented_fields() {
    let model = Place::with_example("weather.parquet").done(&format!("{WEATHER} --json")).json();
    assert_eq!(fields(&model), ["features", "format", "intercept", "label", "training", "version"]);
    assert_eq!((&model["format"], &model["version"]), (&json!("gpu-logreg/model"), &json!(1)));
    assert_eq!(model["label"], json!({ "column": "rain", "classes": [false, true], "positive": true }));
    assert_eq!(fields(&model["features"][0]), ["coefficient", "kind", "mean", "name", "scale"]);
    assert_eq!((&model["features"][0]["name"], &model["features"][0]["kind"]), (&json!("temp_max"), &json!("numeric")));
    let training = &model["training"];
    let documented = [
        "command",
        "delta",
        "delta_floor",
        "device",
        "files",
        "gradient_norm",
        "iterations",
        "l2",
        "loss",
        "notes",
        "passes",
        "penalty_scale",
        "positives",
        "program",
        "rows",
        "seconds",
        "solver",
        "status",
        "warnings",
    ];
    let present = fields(training);
    for name in documented {
        assert!(present.contains(&name), "no {name} in {training:#}");
    }
    assert_eq!(fields(&training["passes"]), ["data", "hessian", "line"]);
    assert_eq!(fields(&training["seconds"]), ["read", "solve", "total", "upload"]);
    assert_eq!(fields(&training["files"][0]), ["bytes", "modified", "page_checksums", "path"]);
    assert_eq!((&training["rows"], &training["positives"]), (&json!(1461), &json!(623)));
    assert_eq!((&training["solver"], &training["status"]), (&json!("cg"), &json!("converged")));
    assert_eq!(training["l2"], 0.0);
    let distance = number(training, "/delta") + number(training, "/delta_floor");
    assert!(distance <= number(training, "/tolerance"), "{training:#}");
    assert!(number(training, "/seconds/solve") <= number(training, "/seconds/total"));
}

#[test]
fn mean_and_scale_are_those_of_the_column() {
    let (x, y) = sample();
    let model = sample_place().model("data.parquet --label y");
    let n = y.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let scale = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!((number(&model, "/features/0/mean") - mean).abs() <= 1e-13 * mean);
    assert!((number(&model, "/features/0/scale") - scale).abs() <= 1e-13 * scale);
}

#[test]
fn the_file_and_stdout_hold_the_same_model() {
    let place = Place::with_example("weather.parquet");
    let both = place.done(&format!("{WEATHER} --json -o model.json"));
    assert_eq!(both.stdout.as_bytes(), place.read("model.json"));
    let alone = place.done(&format!("{WEATHER} --json"));
    assert_eq!(timeless(alone.json()), timeless(place.json_file("model.json")));
}

#[test]
fn a_new_model_replaces_the_old_one() {
    let place = Place::with_example("weather.parquet");
    fs::write(place.path("model.json"), "old model").expect("the old model is written");
    place.done(&format!("{WEATHER} -o model.json"));
    assert_eq!(place.json_file("model.json")["format"], "gpu-logreg/model");
    assert_eq!(place.files(), ["model.json", "weather.parquet"]);
}

#[test]
fn numbers_read_back_to_the_same_bits() {
    // The mean of a constant column is its value, so these are known to the last bit.
    let values = [0.1 + 0.2, 1.0 / 3.0, -1e-300 / 7.0, 5e-324, 1.797_693_134_862_315_7e308, 9_007_199_254_740_993.0];
    let names: Vec<String> = (0..values.len()).map(|j| format!("c{j}")).collect();
    let (x, y) = sample();
    let mut columns = vec![("x", floats(x)), ("y", booleans(&y))];
    columns.extend(names.iter().zip(values).map(|(name, value)| (name.as_str(), floats(vec![value; ROWS]))));
    let place = Place::with_data(&columns);
    let printed = place.done("train data.parquet --label y --device cpu --json -o model.json").json();
    let written = place.json_file("model.json");
    for model in [printed, written] {
        let features = model["features"].as_array().expect("a list");
        assert_eq!(features.len(), 1 + values.len());
        for (feature, value) in features[1..].iter().zip(values) {
            assert_eq!(number(feature, "/mean").to_bits(), value.to_bits(), "{feature}");
        }
    }
}

#[test]
fn quiet_prints_the_result_and_no_notes() {
    let place = Place::with_example("weather.parquet");
    // Rain is what precipitates: those columns would separate the classes, which is a warning.
    let arguments = "train weather.parquet --label rain --ignore precipitation,kind --device cpu";
    assert_says(&place.done(arguments).stderr, &["note:", "date"]);
    let run = place.done(&format!("{arguments} --quiet"));
    assert_eq!(run.stderr, "");
    assert_says(&run.stdout, &["temp_max", "temp_min", "wind"]);
}

// ---- golden answers -------------------------------------------------------------------------------------------

/// Compares every model of the reference file.
fn assert_golden(device: &str) {
    let text = fs::read_to_string(example("reference.json")).expect("the reference is there");
    let reference: Value = serde_json::from_str(&text).expect("the reference is JSON");
    let models = reference.as_object().expect("models by name");
    assert_eq!(models.len(), 3);
    for (name, expected) in models {
        let file = format!("{}.parquet", name.split(':').next().expect("a file"));
        let label = expected["label"].as_str().expect("a label");
        let features = fields(&expected["coefficients"]);
        let place = Place::with_example(&file);
        let list = features.join(",");
        let model =
            place.done(&format!("train {file} --label {label} --features {list} --device {device} --json")).json();
        assert_eq!(model["training"]["status"], "converged", "{name}");
        assert_eq!(model["training"]["rows"], expected["rows"], "{name}");
        let is_cpu = model["training"]["device"].as_str().expect("a device").contains("CPU, ");
        assert_eq!(is_cpu, device == "cpu", "{model:#}");
        let mut checks =
            vec![(number(&model, "/intercept"), "/intercept".to_owned(), "/intercept_standard_error".to_owned())];
        let found = coefficients(&model);
        assert_eq!(found.len(), features.len());
        for (found, feature) in found.into_iter().zip(&features) {
            checks.push((found, format!("/coefficients/{feature}"), format!("/standard_errors/{feature}")));
        }
        for (found, value, error) in checks {
            let (value, error) = (number(expected, &value), number(expected, &error));
            let off = (found - value).abs() / error;
            assert!(off <= 1e-3, "{name}: {found} is {off} standard errors from {value}");
        }
        let loss = number(expected, "/mean_loss");
        assert!((number(&model, "/training/loss") - loss).abs() <= 1e-6 * loss, "{name}");
    }
}

#[test]
fn cpu_answers_are_the_reference_answers() {
    assert_golden("cpu");
}

#[test]
fn gpu_answers_are_the_reference_answers() {
    if has_adapter() {
        assert_golden("gpu");
    }
}

// ---- bad input: the file --------------------------------------------------------------------------------------

#[test]
fn a_missing_file_is_refused() {
    assert_refused(&Place::new(), "train nowhere.parquet --label y", 3, &["nowhere.parquet"], &["path"]);
}

#[test]
fn a_folder_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("folder")).expect("a folder");
    assert_refused(&place, "train folder --label y", 3, &["folder"], &["file"]);
}

#[test]
fn a_text_file_is_refused() {
    let place = Place::new();
    fs::write(place.path("data.csv"), "x,y\n1,0\n2,1\n").expect("the file is written");
    assert_refused(&place, "train data.csv --label y", 3, &["data.csv", "CSV", "not a Parquet file"], &["duckdb"]);
}

#[test]
fn an_empty_file_is_refused() {
    let place = Place::new();
    fs::write(place.path("empty.parquet"), "").expect("the file is written");
    assert_refused(&place, "train empty.parquet --label y", 3, &["empty.parquet", "0 bytes"], &["again"]);
}

#[test]
fn a_truncated_file_is_refused() {
    let whole = fs::read(example("weather.parquet")).expect("the example is there");
    for keep in [8, whole.len() / 2, whole.len() - 1] {
        let place = Place::new();
        fs::write(place.path("cut.parquet"), &whole[..keep]).expect("the file is written");
        assert_refused(&place, "train cut.parquet --label rain", 3, &["cut.parquet", "truncated"], &["again"]);
    }
}

/// Where in the file a column's pages lie, row group by row group.
fn pages_of(path: &Path, column: &str) -> Vec<std::ops::Range<usize>> {
    let reader = SerializedFileReader::new(fs::File::open(path).expect("opens")).expect("a Parquet file");
    let chunks = reader.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    let ranges = chunks.filter(|chunk| chunk.column_path().string() == column).map(|chunk| {
        let (start, length) = chunk.byte_range();
        start as usize..(start + length) as usize
    });
    ranges.collect()
}

/// Flips a bit at several places of a column's pages, one at a time.
fn assert_damage_is_seen(column: &str) {
    let whole = fs::read(example("weather.parquet")).expect("the example is there");
    let place = Place::with_example("weather.parquet");
    let right = place.model("weather.parquet --label rain --features temp_max");
    let positions: Vec<usize> = pages_of(&place.path("weather.parquet"), column).into_iter().flatten().collect();
    let positions: Vec<usize> = positions.iter().copied().step_by((positions.len() / 60).max(1)).collect();
    assert!(positions.len() >= 60);
    let mut refused = 0;
    for &position in &positions {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        fs::write(place.path("weather.parquet"), &damaged).expect("the file is written");
        let run = place.run(&format!("{WEATHER} --json -o model.json"));
        if run.code == Some(0) {
            // The header of a page is outside its checksum; what does not matter in it may change.
            let model = run.json();
            assert_eq!(model["features"], right["features"], "byte {position}");
            assert_eq!(model["intercept"], right["intercept"], "byte {position}");
            fs::remove_file(place.path("model.json")).expect("the model is there");
        } else {
            assert_eq!(run.code, Some(3), "byte {position}: {run:?}");
            let error = &run.json()["error"];
            assert_says(error["message"].as_str().expect("a message"), &["weather.parquet", column]);
            assert_says(error["help"].as_str().expect("a way out"), &["damaged", "again"]);
            refused += 1;
        }
        assert_eq!(place.files(), ["weather.parquet"], "byte {position}");
    }
    assert!(refused * 4 >= positions.len() * 3, "{refused} of {} refused", positions.len());
}

#[test]
fn a_flipped_byte_in_a_page_of_a_feature_is_refused() {
    assert_damage_is_seen("temp_max");
}

#[test]
fn a_flipped_byte_in_a_page_of_the_label_is_refused() {
    assert_damage_is_seen("rain");
}

#[test]
fn a_file_without_rows_is_refused() {
    let place = Place::with_data(&[("x", floats([])), ("y", booleans(&[]))]);
    assert_refused(&place, "train data.parquet --label y", 3, &["data.parquet", "no rows"], &["data"]);
}

// ---- bad input: the label -------------------------------------------------------------------------------------

#[test]
fn a_label_that_is_no_column_is_refused_with_the_columns_that_could_be_one() {
    let place = Place::with_example("weather.parquet");
    let fact = ["snow", "rain", "838", "623"];
    assert_refused(&place, "train weather.parquet --label snow", 3, &fact, &["temp_max", "wind"]);
}

#[test]
fn an_omitted_label_is_refused_with_the_columns_that_could_be_one() {
    let place = Place::with_example("weather.parquet");
    let way_out = ["gpu-logreg train weather.parquet --label rain"];
    assert_refused(&place, "train weather.parquet", 2, &["--label", "rain", "838", "623"], &way_out);
}

#[test]
fn the_command_that_is_proposed_for_an_omitted_label_works() {
    let place = Place::with_example("weather.parquet");
    let refused = place.run("train weather.parquet --json").json();
    let help = refused["error"]["help"].as_str().expect("a way out");
    let (_, proposed) = help.split_once("gpu-logreg ").expect("a command");
    place.done(&format!("{} --device cpu", proposed.lines().next().expect("a line")));
}

#[test]
fn a_label_with_one_value_is_refused() {
    let place = with_label(booleans(&[true; 30]));
    assert_refused(&place, "train data.parquet --label y", 3, &["`y`", "one value", "true", "30 rows"], &["both"]);
}

#[test]
fn a_label_with_three_values_is_refused() {
    let place = with_label(floats((0..30).map(|row| f64::from(row % 3))));
    let fact = ["`y`", "3 values", "0 (10 rows)", "1 (10 rows)", "2 (10 rows)"];
    assert_refused(&place, "train data.parquet --label y", 3, &fact, &["--multinomial", "should have two"]);
}

#[test]
fn a_label_with_many_values_is_refused() {
    let place = with_label(floats((0..100).map(f64::from)));
    assert_refused(&place, "train data.parquet --label y", 3, &["`y`", "more than"], &["--multinomial"]);
}

#[test]
fn a_label_of_a_type_without_classes_is_refused() {
    let place = with_label(Arc::new(TimestampMicrosecondArray::from_iter_values(0..10)));
    assert_refused(&place, "train data.parquet --label y", 3, &["`y`", "timestamp"], &["booleans, numbers or texts"]);
}

#[test]
fn missing_labels_are_refused_with_their_rows() {
    let cells = (0..40).map(|row| (row != 7 && row != 31).then_some(row % 3 == 0));
    let place = with_label(Arc::new(cells.collect::<BooleanArray>()));
    assert_refused(&place, "train data.parquet --label y", 3, &["`y`", "null", "2 rows", "7, 31"], &["rows"]);
    let cells = (0..40).map(|row| if row == 5 || row == 6 { f64::NAN } else { f64::from(row % 2) });
    let place = with_label(floats(cells));
    assert_refused(&place, "train data.parquet --label y", 3, &["`y`", "NaN", "2 rows", "5, 6"], &["rows"]);
}

/// `sample_place()` with the words yes and no for a label.
fn yes_no() -> (Place, Vec<bool>) {
    let (x, y) = sample();
    let words: StringArray = y.iter().map(|&y| Some(if y { "yes" } else { "no" })).collect();
    (Place::with_data(&[("x", floats(x)), ("y", Arc::new(words))]), y)
}

#[test]
fn a_text_label_needs_its_positive_value() {
    let (x, y) = sample();
    let words: StringArray = y.iter().map(|&y| Some(if y { "good" } else { "bad" })).collect();
    let place = Place::with_data(&[("x", floats(x)), ("y", Arc::new(words))]);
    let count = y.iter().filter(|y| **y).count();
    let fact = [&format!("good ({count} rows)"), "bad (", "positive"];
    let fact: Vec<&str> = fact.iter().map(AsRef::as_ref).collect();
    assert_refused(&place, "train data.parquet --label y", 3, &fact, &["--positive good (or --positive bad)"]);
}

#[test]
fn a_text_label_works_with_its_positive_value() {
    let (place, _) = yes_no();
    let plain = sample_place().model("data.parquet --label y");
    let yes = place.model("data.parquet --label y --positive yes");
    assert_eq!(yes["label"], json!({ "column": "y", "classes": ["no", "yes"], "positive": "yes" }));
    assert_eq!(coefficients(&yes), coefficients(&plain));
    assert_eq!(yes["training"]["positives"], plain["training"]["positives"]);
    let no = place.model("data.parquet --label y --positive no");
    assert_eq!(no["label"], json!({ "column": "y", "classes": ["yes", "no"], "positive": "no" }));
    let (a, b) = (number(&yes, "/features/0/coefficient"), number(&no, "/features/0/coefficient"));
    assert!((a + b).abs() <= 1e-5 * a.abs(), "{a} and {b}");
}

#[test]
fn a_text_label_may_be_stored_in_any_way() {
    let (x, y) = sample();
    let words = || y.iter().map(|&y| Some(if y { "yes" } else { "no" }));
    let labels: [ArrayRef; 3] = [
        Arc::new(words().collect::<LargeStringArray>()),
        Arc::new(words().collect::<StringViewArray>()),
        Arc::new(words().collect::<DictionaryArray<Int32Type>>()),
    ];
    let (place, _) = yes_no();
    let plain = place.model("data.parquet --label y --positive yes");
    for label in labels {
        let place = Place::with_data(&[("x", floats(x.clone())), ("y", label)]);
        let model = place.model("data.parquet --label y --positive yes");
        assert_eq!((&model["features"], &model["label"]), (&plain["features"], &plain["label"]));
    }
}

#[test]
fn a_positive_value_that_does_not_occur_is_refused() {
    let (place, _) = yes_no();
    let fact = ["maybe", "`y`", "yes (", "no ("];
    assert_refused(&place, "train data.parquet --label y --positive maybe", 3, &fact, &["--positive"]);
    let place = sample_place();
    let fact = ["maybe", "`y`", "boolean"];
    assert_refused(&place, "train data.parquet --label y --positive maybe", 2, &fact, &["value"]);
}

// ---- bad input: the features ----------------------------------------------------------------------------------

#[test]
fn cells_that_are_no_numbers_are_refused_with_their_columns_and_rows() {
    let n = 300;
    // Row groups of 100: the rows named are those of the file, not of the group.
    let nulls: Float64Array = (0..n).map(|row| (row % 140 != 130).then_some(f64::from(row))).collect();
    let odd = (0..n).map(|row| match row {
        110 => f64::NAN,
        205 => f64::INFINITY,
        299 => f64::NEG_INFINITY,
        _ => f64::from(row % 17),
    });
    let many: Int32Array = (0..n).map(|row| (row < 290).then_some(row)).collect();
    let place = Place::new();
    let columns: [(&str, ArrayRef); 5] = [
        ("price", Arc::new(nulls)),
        ("good", floats((0..n).map(f64::from))),
        ("odd", floats(odd)),
        ("many", Arc::new(many)),
        ("y", booleans(&(0..n).map(|row| row % 2 == 0).collect::<Vec<_>>())),
    ];
    write_parquet(&place.path("data.parquet"), &columns, 100);
    let fact = [
        "3 of 4",
        "price: 2 null; ",
        ": 130, 270",
        "odd: 1 NaN, 2 infinite; ",
        ": 110, 205, 299",
        "many: 10 null; ",
        ": 290, 291, 292, 293, 294",
    ];
    assert_refused(&place, "train data.parquet --label y", 3, &fact, &["--ignore", "rows"]);
    place.model("data.parquet --label y --ignore price,odd,many");
}

#[test]
fn a_missing_feature_is_refused_with_the_columns() {
    let arguments = "train weather.parquet --label rain --features temp_max,humidity";
    assert_refused(&Place::with_example("weather.parquet"), arguments, 3, &["humidity"], &["temp_min", "wind"]);
}

#[test]
fn a_column_to_ignore_that_is_missing_is_refused_with_the_columns() {
    let arguments = "train weather.parquet --label rain --ignore humidity";
    assert_refused(&Place::with_example("weather.parquet"), arguments, 3, &["humidity"], &["temp_min", "wind"]);
}

#[test]
fn a_text_of_too_many_levels_is_refused_if_it_was_named() {
    let place = with_feature(Arc::new(StringArray::from_iter_values((0..30).map(|row| format!("level {row}")))));
    let arguments = "train data.parquet --label y --features x --max-levels 29";
    assert_refused(&place, arguments, 3, &["`x`", "more than 29 levels"], &["--max-levels", "--ignore"]);
    // Nobody named it: texts that tell nearly every row apart are left out.
    let run = place.done("train data.parquet --label y --device cpu --json");
    assert_says(&run.stderr, &["warning:", "too many levels", "x (more than 20)"]);
    assert_eq!(run.json()["features"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_column_that_cannot_be_a_feature_is_left_out_with_a_note_if_it_was_not_named() {
    let place = with_feature(Arc::new(TimestampMicrosecondArray::from_iter_values(0..30)));
    let run = place.done("train data.parquet --label y --device cpu --json");
    assert_says(&run.stderr, &["note:", "x (Timestamp"]);
    assert_eq!(run.json()["features"].as_array().map(Vec::len), Some(1));
    assert_says(&run.json()["training"]["notes"].to_string(), &["x (Timestamp"]);
}

#[test]
fn no_feature_left_is_refused() {
    let place = with_label(booleans(&[true, false, true, false]));
    assert_refused(&place, "train data.parquet --label y --ignore x", 3, &["no feature", "`y`"], &["--features"]);
}

#[test]
fn the_label_as_a_feature_is_refused() {
    let arguments = "train data.parquet --label y --features x,y";
    assert_refused(&sample_place(), arguments, 2, &["`y`", "label", "feature"], &["--features"]);
}

#[test]
fn a_feature_named_twice_is_refused() {
    assert_refused(&sample_place(), "train data.parquet --label y --features x,x", 2, &["`x`", "twice"], &["once"]);
}

// ---- bad input: the command line ------------------------------------------------------------------------------

#[test]
fn an_unknown_flag_is_refused() {
    assert_refused(&sample_place(), "train data.parquet --label y --colour", 2, &["--colour"], &[]);
}

#[test]
fn a_negative_penalty_is_refused() {
    assert_refused(&sample_place(), "train data.parquet --label y --l2 -1", 2, &["--l2", "-1"], &["0"]);
}

#[test]
fn no_threads_are_refused() {
    assert_refused(&sample_place(), "train data.parquet --label y --threads 0", 2, &["--threads", "0"], &["1"]);
}

#[test]
fn a_place_for_the_model_that_does_not_exist_is_refused_before_training() {
    // The label is bad too, which only reading shows: the place is looked at first.
    let place = with_label(booleans(&[true; 30]));
    let run = place.run("train data.parquet --label y -o nowhere/model.json");
    assert_eq!((run.code, run.stdout.as_str()), (Some(6), ""), "{run:?}");
    assert_says(&run.stderr, &["error:", "nowhere/model.json", "cannot be written", "nowhere does not exist", "help:"]);
    let error = place.run("train data.parquet --label y -o nowhere/model.json --json").json()["error"].clone();
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("output"), &json!(6)));
    assert_eq!(place.files(), ["data.parquet"]);
}

#[test]
fn a_file_that_is_read_is_not_overwritten() {
    let place = sample_place();
    let before = place.read("data.parquet");
    for arguments in [
        "train data.parquet --label y -o data.parquet",
        "train data.parquet --label y --history ./data.parquet",
        "train data.parquet --label y -o model.json --history model.json",
        "synth -o data.parquet --rows 10 --features 1 --truth data.parquet",
    ] {
        let run = place.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments}: {run:?}");
        assert_says(&run.stderr, &["same file"]);
        assert_eq!(place.files(), ["data.parquet"], "{arguments}");
        assert!(place.read("data.parquet") == before, "{arguments}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_written_through() {
    let place = sample_place();
    fs::write(place.path("real.json"), "old model").expect("writes");
    std::os::unix::fs::symlink("real.json", place.path("link.json")).expect("links");
    place.done("train data.parquet --label y -o link.json --device cpu");
    assert!(fs::symlink_metadata(place.path("link.json")).expect("is there").is_symlink());
    assert_eq!(place.json_file("real.json")["format"], "gpu-logreg/model");
}

/// As any other new file, and not as a temporary one, which its owner alone may read.
#[cfg(unix)]
#[test]
fn new_files_have_the_mode_that_the_umask_leaves() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    let place = sample_place();
    let program = env!("CARGO_BIN_EXE_gpu-logreg");
    let outputs =
        ["model.json", "page.html", "history.jsonl", "covariance.json", "out.csv", "out.parquet", "synth.parquet"];
    for (umask, mode) in [("022", 0o644), ("027", 0o640)] {
        let script = format!(
            "set -e; umask {umask}; p='{program}'; $p train data.parquet --label y --device cpu -q -o {} --report {} \
             --history {} --covariance {}; $p predict -m model.json data.parquet -q -o {}; \
             $p predict -m model.json data.parquet -q -o {}; $p synth --rows 10 --features 1 -q -o {}",
            outputs[0], outputs[1], outputs[2], outputs[3], outputs[4], outputs[5], outputs[6]
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(place.path("."));
        let run = Run::of(shell.output().expect("a shell"));
        assert_eq!(run.code, Some(0), "{run:?}");
        for output in outputs {
            let found = fs::metadata(place.path(output)).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(found, mode, "{output} under umask {umask}: {found:o}");
            fs::remove_file(place.path(output)).expect("it is removed");
        }
    }
}

#[test]
fn a_number_of_threads_out_of_range_is_refused() {
    for threads in ["0", "100000"] {
        let run = sample_place().run(&format!("train data.parquet --label y --threads {threads}"));
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_says(&run.stderr, &["--threads", threads, "1024"]);
    }
}

#[test]
fn an_unknown_device_is_refused() {
    let arguments = "train data.parquet --label y --device nonesuch";
    // Without an adapter that is the fact to tell; with some, the name.
    let fact = if Place::new().done("devices --json").json()["devices"] == json!([]) { "no GPU" } else { "nonesuch" };
    assert_refused(&sample_place(), arguments, 5, &[fact], &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_gpu_that_is_not_there_is_refused_with_the_package_to_install() {
    let place = sample_place().without_adapters();
    let way_out = ["mesa-vulkan-drivers", "--device cpu"];
    assert_refused(&place, "train data.parquet --label y --device gpu", 5, &["no GPU adapter"], &way_out);
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_auto_runs_on_the_cpu_and_says_so() {
    let place = sample_place().without_adapters();
    assert_says(&place.done("train data.parquet --label y").stdout, &["device", "CPU"]);
    assert_says(&place.done("devices").stdout, &["no GPU adapter", "mesa-vulkan-drivers"]);
    assert_eq!(place.done("devices --json").json(), json!({ "devices": [] }));
}

#[test]
fn gpu_adapters_pass_their_test() {
    if has_adapter() {
        let place = Place::new();
        assert_says(&place.done("devices --test").stdout, &["test passed"]);
        let tested = place.done("devices --test --json").json();
        let adapters = tested["devices"].as_array().expect("a list");
        let passed =
            adapters.iter().find(|adapter| adapter["test"] == "passed").expect("one passed, as was just printed");
        for path in ["/latency/dispatch", "/latency/copy", "/latency/readback", "/errors/exp", "/errors/log"] {
            assert!(number(&passed["survey"], path) > 0.0, "{path} of {tested:#}");
        }
    }
}

// ---- values ---------------------------------------------------------------------------------------------------

/// Asserts that a column gives the very model that the same numbers give in f64.
fn assert_same_as_f64(name: &str, column: ArrayRef, numbers: Vec<f64>, label: &[bool]) {
    let place = Place::with_data(&[("x", column), ("f", floats(numbers)), ("y", booleans(label))]);
    let typed = place.model("data.parquet --label y --features x");
    let plain = place.model("data.parquet --label y --features f");
    assert_eq!(typed["training"]["status"], "converged", "{name}");
    for path in ["/features/0/coefficient", "/features/0/mean", "/features/0/scale", "/intercept", "/training/loss"] {
        assert_eq!(number(&typed, path).to_bits(), number(&plain, path).to_bits(), "{name} {path}");
    }
    assert!(number(&plain, "/features/0/coefficient") != 0.0, "{name}");
}

#[test]
fn all_integers_are_features() {
    let (x, y) = sample();
    let whole: Vec<i8> = x.iter().map(|&x| x as i8 - 10).collect();
    macro_rules! check {
        ($($array:ident $type:ty, $factor:expr, $shift:expr;)*) => {{
            let mut types = 0;
            $({
                let exact: Vec<i128> = whole.iter().map(|&x| (i128::from(x) + $shift) * $factor).collect();
                let values = $array::from_iter_values(exact.iter().map(|&x| <$type>::try_from(x).expect("fits")));
                assert_same_as_f64(stringify!($type), Arc::new(values), exact.iter().map(|&x| x as f64).collect(), &y);
                types += 1;
            })*
            types
        }};
    }
    let types = check! {
        Int8Array i8, 12, 0;
        Int16Array i16, 3_000, 0;
        Int32Array i32, 200_000_000, 0;
        Int64Array i64, 900_000_000_000_000_000, 0;
        UInt8Array u8, 12, 10;
        UInt16Array u16, 3_000, 10;
        UInt32Array u32, 200_000_000, 10;
        UInt64Array u64, 900_000_000_000_000_000, 10;
    };
    assert_eq!(types, 8);
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

#[test]
fn all_floats_are_features() {
    let (x, y) = sample();
    let quarters: Vec<f64> = x.iter().map(|x| 0.25 * x - 2.0).collect();
    let half: Float16Array = quarters.iter().map(|&x| Some(Half::from_f64(x))).collect();
    assert_same_as_f64("f16", Arc::new(half), quarters.clone(), &y);
    let single: Vec<f32> = x.iter().map(|&x| 0.1 * x as f32).collect();
    let numbers = single.iter().map(|&x| f64::from(x)).collect();
    assert_same_as_f64("f32", Arc::new(Float32Array::from(single)), numbers, &y);
}

#[test]
fn decimals_are_features() {
    let (x, y) = sample();
    let cents: Vec<i32> = x.iter().map(|&x| 7 * x as i32 - 60).collect();
    // The f64 nearest to the text is what a decimal stands for.
    let numbers: Vec<f64> = cents.iter().map(|c| format!("{c}e-2").parse().expect("a number")).collect();
    let narrow = Decimal32Array::from(cents.clone()).with_precision_and_scale(9, 2);
    let wide = Decimal64Array::from_iter_values(cents.iter().map(|&c| i64::from(c))).with_precision_and_scale(18, 2);
    let wider = Decimal128Array::from_iter_values(cents.iter().map(|&c| i128::from(c))).with_precision_and_scale(38, 2);
    let widest =
        Decimal256Array::from_iter_values(cents.iter().map(|&c| i256::from(c))).with_precision_and_scale(76, 2);
    let columns: [(&str, ArrayRef); 4] = [
        ("decimal32", Arc::new(narrow.expect("fits"))),
        ("decimal64", Arc::new(wide.expect("fits"))),
        ("decimal128", Arc::new(wider.expect("fits"))),
        ("decimal256", Arc::new(widest.expect("fits"))),
    ];
    for (name, column) in columns {
        assert_same_as_f64(name, column, numbers.clone(), &y);
    }
}

#[test]
fn booleans_are_features() {
    let (x, y) = sample();
    let large: Vec<bool> = x.iter().map(|x| *x > 12.0).collect();
    let numbers = large.iter().map(|&x| f64::from(u8::from(x))).collect();
    assert_same_as_f64("bool", booleans(&large), numbers, &y);
    let model = with_feature(booleans(&large)).model("data.parquet --label y");
    assert_eq!((&model["features"][0]["kind"], &model["features"][1]["kind"]), (&json!("boolean"), &json!("numeric")));
}

#[test]
fn labels_may_be_booleans_or_0_and_1_or_minus_1_and_1() {
    let (_, y) = sample();
    let zero_one = |y: &bool| i8::from(*y);
    let signs = |y: &bool| if *y { 1_i8 } else { -1 };
    let bits: Vec<i8> = y.iter().map(zero_one).collect();
    let sides: Vec<i8> = y.iter().map(signs).collect();
    let plain = with_label(booleans(&y)).model("data.parquet --label y");
    let labels: [(ArrayRef, Value); 9] = [
        (Arc::new(Int8Array::from(bits.clone())), json!([0, 1])),
        (Arc::new(UInt8Array::from_iter_values(bits.iter().map(|&b| b as u8))), json!([0, 1])),
        (Arc::new(Int64Array::from_iter_values(bits.iter().map(|&b| i64::from(b)))), json!([0, 1])),
        (Arc::new(Float32Array::from_iter_values(bits.iter().map(|&b| f32::from(b)))), json!([0, 1])),
        (floats(bits.iter().map(|&b| f64::from(b))), json!([0, 1])),
        (Arc::new(Int8Array::from(sides.clone())), json!([-1, 1])),
        (Arc::new(Int32Array::from_iter_values(sides.iter().map(|&s| i32::from(s)))), json!([-1, 1])),
        (Arc::new(Float32Array::from_iter_values(sides.iter().map(|&s| f32::from(s)))), json!([-1, 1])),
        (floats(sides.iter().map(|&s| f64::from(s))), json!([-1, 1])),
    ];
    for (label, classes) in labels {
        let name = label.data_type().to_string();
        let model = with_label(label).model("data.parquet --label y");
        assert_eq!(model["label"]["classes"], classes, "{name}");
        assert_eq!(model["label"]["positive"], 1, "{name}");
        for part in ["features", "intercept"] {
            assert_eq!(model[part], plain[part], "{name}");
        }
    }
}

#[test]
fn two_other_numbers_are_a_label_with_a_positive_value() {
    let (_, y) = sample();
    let place = with_label(Arc::new(Int32Array::from_iter_values(y.iter().map(|&y| if y { -7 } else { 3 }))));
    assert_refused(&place, "train data.parquet --label y", 3, &["3 (", "-7 (", "positive"], &["--positive"]);
    let model = place.model("data.parquet --label y --positive -7");
    assert_eq!(model["label"], json!({ "column": "y", "classes": [3, -7], "positive": -7 }));
    assert_eq!(coefficients(&model), coefficients(&sample_place().model("data.parquet --label y")));
}

#[test]
fn a_constant_column_gets_coefficient_0_and_a_note() {
    let (x, y) = sample();
    let place = Place::with_data(&[("x", floats(x)), ("always", floats(vec![4.5; ROWS])), ("y", booleans(&y))]);
    let run = place.done("train data.parquet --label y --device cpu --json");
    assert_says(&run.stderr, &["note:", "constant", "always", "4.5"]);
    let model = run.json();
    assert_says(&model["training"]["notes"].to_string(), &["constant", "always", "4.5"]);
    assert_eq!(coefficients(&model).len(), 2);
    assert_eq!(model["features"][1]["coefficient"], 0.0);
    assert_eq!(model["features"][0], place.model("data.parquet --label y --features x")["features"][0]);
}

#[test]
fn a_label_that_no_feature_explains_gives_the_log_odds() {
    let y: Vec<bool> = (0..300).map(|row| row % 3 == 0).collect();
    let place = Place::with_data(&[("always", floats(vec![1.0; 300])), ("y", booleans(&y))]);
    let model = place.model("data.parquet --label y");
    assert!((number(&model, "/intercept") - 0.5_f64.ln()).abs() <= 1e-15);
    assert_eq!(model["training"]["status"], "converged");
}

#[test]
fn values_of_1e200_give_the_right_coefficients() {
    let (x, y) = sample();
    let fit = Reference::PLAIN.fit(slice::from_ref(&x), &y);
    let place = Place::with_data(&[("x", floats(x.iter().map(|x| x * 1e200))), ("y", booleans(&y))]);
    assert_fits(&place.model("data.parquet --label y"), &fit, &[1e200]);
    let place = Place::with_data(&[("x", floats(x.iter().map(|x| x * 1e-200))), ("y", booleans(&y))]);
    assert_fits(&place.model("data.parquet --label y"), &fit, &[1e-200]);
}

#[test]
fn an_outlier_gives_the_right_coefficient_or_a_warning_or_is_refused() {
    let (mut x, mut y) = sample();
    let row = 7;
    // A row so far out, on the side where the odds grow, has no loss at any slope that the others ask for.
    let others = |v: &[f64]| v.iter().enumerate().filter(|(i, _)| *i != row).map(|(_, x)| *x).collect::<Vec<f64>>();
    let labels: Vec<bool> = y.iter().enumerate().filter(|(i, _)| *i != row).map(|(_, y)| *y).collect();
    let fit = Reference::PLAIN.fit(&[others(&x)], &labels);
    assert!(fit.coefficients[0] > 0.1);
    y[row] = true;
    for outlier in [1e3, 1e6, 1e12, 1e200] {
        x[row] = outlier;
        let place = Place::with_data(&[("x", floats(x.clone())), ("y", booleans(&y))]);
        let run = place.run("train data.parquet --label y --device cpu --json");
        if run.code != Some(0) {
            assert_refused(&place, "train data.parquet --label y", 3, &["`x`"], &["upstream"]);
        } else if run.json()["training"]["status"] == "converged" {
            assert_fits(&run.json(), &fit, &[1.0]);
        } else {
            assert_says(&run.stderr, &["warning:"]);
        }
    }
}

const NANOSECONDS_OF_A_DAY: i64 = 86_400_000_000_000;

#[test]
fn nanoseconds_since_1970_over_some_days_give_the_right_slope() {
    let (x, y) = sample();
    let fit = Reference::PLAIN.fit(slice::from_ref(&x), &y);
    let times =
        |first: i64| Int64Array::from_iter_values(x.iter().map(|&day| first + day as i64 * NANOSECONDS_OF_A_DAY));
    for first in [1_700_000_000_000_000_000, 0] {
        let place = Place::with_data(&[("x", Arc::new(times(first))), ("y", booleans(&y))]);
        assert_fits(&place.model("data.parquet --label y"), &fit, &[NANOSECONDS_OF_A_DAY as f64]);
    }
}

#[test]
fn integers_whose_differences_f64_loses_are_refused() {
    let (x, y) = sample();
    for spread in [1, 5, 50, 1000] {
        let values = x.iter().map(|&x| 1_700_000_000_000_000_000 + spread * x as i64);
        let place = Place::with_data(&[("x", Arc::new(Int64Array::from_iter_values(values))), ("y", booleans(&y))]);
        assert_refused(&place, "train data.parquet --label y", 3, &["`x`", "e18"], &["subtract"]);
    }
}

// ---- the model ------------------------------------------------------------------------------------------------

/// Two features of different scales that lean on each other, away from zero.
fn pair() -> (Vec<Vec<f64>>, Vec<bool>) {
    let mut random = Random(2);
    let a: Vec<f64> = (0..ROWS).map(|_| 3.0 + 2.0 * random.unit()).collect();
    let b: Vec<f64> = a.iter().map(|a| 40.0 * a + 100.0 * random.unit() - 150.0).collect();
    let y = a.iter().zip(&b).map(|(a, b)| random.label(1.5 * (a - 4.0) - 0.02 * (b - 60.0))).collect();
    (vec![a, b], y)
}

fn pair_place() -> Place {
    let (columns, y) = pair();
    Place::with_data(&[("a", floats(columns[0].clone())), ("b", floats(columns[1].clone())), ("y", booleans(&y))])
}

/// Asserts that the model has the coefficients and the intercept of the reference solver.
fn assert_same_model(model: &Value, reference: Reference) {
    let (columns, y) = pair();
    let fit = reference.fit(&columns, &y);
    assert_eq!(model["training"]["status"], "converged");
    assert_fits(model, &fit, &[1.0, 1.0]);
    let off = (number(model, "/intercept") - fit.intercept).abs();
    assert!(off <= 1e-3 * fit.intercept_standard_error, "{} instead of {}", model["intercept"], fit.intercept);
}

#[test]
fn maximum_likelihood_is_that_of_the_reference_solver() {
    assert_same_model(&pair_place().model("data.parquet --label y"), Reference::PLAIN);
}

#[test]
fn a_penalty_on_standardised_columns_is_that_of_the_reference_solver() {
    let model = pair_place().model("data.parquet --label y --l2 0.1");
    assert_eq!((number(&model, "/training/l2"), &model["training"]["penalty_scale"]), (0.1, &json!("standardized")));
    assert_same_model(&model, Reference { l2: 0.1, ..Reference::PLAIN });
}

#[test]
fn a_penalty_on_original_columns_is_that_of_the_reference_solver() {
    let model = pair_place().model("data.parquet --label y --l2 0.1 --penalty-scale original");
    assert_eq!(model["training"]["penalty_scale"], "original");
    assert_same_model(&model, Reference { l2: 0.1, standardized: false, ..Reference::PLAIN });
}

#[test]
fn the_loss_is_the_mean_cross_entropy_without_the_penalty() {
    let (columns, y) = pair();
    let model = pair_place().model("data.parquet --label y --l2 0.1");
    let (w, b) = (coefficients(&model), number(&model, "/intercept"));
    let mut sum = 0.0;
    for (row, &y) in y.iter().enumerate() {
        let z = b + w[0] * columns[0][row] + w[1] * columns[1][row];
        sum += (1.0 + z.exp()).ln() - if y { z } else { 0.0 };
    }
    let expected = sum / y.len() as f64;
    assert!((number(&model, "/training/loss") - expected).abs() <= 1e-6 * expected);
}

#[test]
fn a_model_without_an_intercept_is_that_of_the_reference_solver() {
    let model = pair_place().model("data.parquet --label y --no-intercept");
    assert_eq!(model["intercept"], 0.0);
    assert_same_model(&model, Reference { intercept: false, ..Reference::PLAIN });
    let model = pair_place().model("data.parquet --label y --no-intercept --l2 0.1");
    assert_same_model(&model, Reference { intercept: false, l2: 0.1, ..Reference::PLAIN });
}

#[test]
fn without_an_intercept_a_column_of_ones_takes_its_place() {
    let (x, y) = sample();
    let ones = floats(vec![1.0; ROWS]);
    let place = Place::with_data(&[("x", floats(x)), ("one", ones), ("y", booleans(&y))]);
    let with = place.model("data.parquet --label y --features x");
    let without = place.model("data.parquet --label y --no-intercept");
    let found = coefficients(&without);
    assert_eq!(found.len(), 2);
    for (found, expected) in found.into_iter().zip([coefficients(&with)[0], number(&with, "/intercept")]) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} instead of {expected}");
    }
}

#[test]
fn ignored_columns_are_left_out() {
    let model = pair_place().model("data.parquet --label y --ignore a");
    assert_eq!(model["features"].as_array().map(Vec::len), Some(1));
    assert_eq!(model["features"], pair_place().model("data.parquet --label y --features b")["features"]);
}

#[test]
fn features_come_in_the_order_in_which_they_were_named() {
    let model = pair_place().model("data.parquet --label y --features b,a");
    assert_eq!((&model["features"][0]["name"], &model["features"][1]["name"]), (&json!("b"), &json!("a")));
}

#[test]
fn a_run_that_does_not_converge_writes_its_model_and_warns() {
    let place = Place::with_example("weather.parquet");
    let arguments = "train weather.parquet --label rain --features temp_max,temp_min,wind --device cpu --max-iterations 1 -o model.json";
    let run = place.done(arguments);
    assert_says(&run.stdout, &["max_iterations"]);
    assert_says(&run.stderr, &["warning:", "max_iterations", "--max-iterations"]);
    let training = place.json_file("model.json")["training"].clone();
    assert_eq!((&training["status"], &training["iterations"]), (&json!("max_iterations"), &json!(1)));
    assert_says(&training["warnings"].to_string(), &["max_iterations"]);
}

#[test]
fn strict_turns_a_run_that_does_not_converge_into_exit_code_4() {
    let place = Place::with_example("weather.parquet");
    let run = place.run(&format!("{WEATHER} --max-iterations 1 --strict -o model.json"));
    assert_eq!(run.code, Some(4), "{run:?}");
    assert_eq!(place.json_file("model.json")["training"]["status"], "max_iterations");
    place.done(&format!("{WEATHER} --strict"));
    // Nor is it enough to be as near as the arithmetic comes: double precision over the file goes on.
    let run = place.run(&format!("{WEATHER} --tolerance 1e-9 --strict -o model.json"));
    assert_eq!(run.code, Some(4), "{run:?}");
    assert_says(&run.stderr, &["f32_limit", "--refine"]);
    assert_eq!(place.json_file("model.json")["training"]["status"], "f32_limit");
    place.done(&format!("{WEATHER} --tolerance 1e-9 --strict --refine"));
}

#[test]
fn a_separated_model_is_written_as_such_and_fails_under_strict() {
    let place = Place::with_example("breast_cancer.parquet");
    let arguments = "train breast_cancer.parquet --label malignant --device cpu --inference --verify -o model.json";
    let run = place.run(&format!("{arguments} --strict"));
    assert_eq!(run.code, Some(4), "{run:?}");
    assert_says(&run.stderr, &["separated", "--l2", "worst_", "not verified", "no standard errors"]);
    let model = place.json_file("model.json");
    assert_eq!(model["training"]["status"], "separated");
    assert!(model["features"][0].get("standard_error").is_none(), "no estimate has an error here");
    place.done(&format!("{arguments} --strict --l2 0.001"));
}

// ---- inference, refinement, history ---------------------------------------------------------------------------

#[test]
fn inference_adds_its_fields_to_every_coefficient() {
    let place = Place::with_example("spector.parquet");
    let model = place.model("spector.parquet --label GRADE --inference --confidence 0.9");
    let inferred = ["high", "low", "odds_high", "odds_low", "odds_ratio", "p", "standard_error", "z"];
    assert_eq!(fields(&model["intercept_inference"]), inferred);
    for feature in model["features"].as_array().expect("features") {
        for name in inferred {
            assert!(number(feature, &format!("/{name}")).is_finite(), "{name} of {feature}");
        }
        let (coefficient, error) = (number(feature, "/coefficient"), number(feature, "/standard_error"));
        // 90 %: 1.6449 standard errors to either side (Abramowitz and Stegun, table 26.5).
        assert!((number(feature, "/high") - (coefficient + 1.644_854 * error)).abs() <= 1e-6 * error);
        assert!((number(feature, "/odds_ratio") / coefficient.exp() - 1.0).abs() <= 1e-12);
    }
    let training = &model["training"];
    let inference = &training["inference"];
    assert_eq!((&inference["kind"], &inference["confidence"]), (&json!("maximum likelihood"), &json!(0.9)));
    // Of 32 rows the Hessian is taken over the file.
    let relative_error = number(inference, "/relative_error");
    assert!(relative_error > 0.0 && relative_error <= 1e-4, "{relative_error:e}");
    for name in ["log_likelihood", "residual_deviance", "null_deviance", "aic", "mcfadden_r2"] {
        assert!(number(training, &format!("/{name}")).is_finite(), "{name}");
    }
    let penalised = place.model("spector.parquet --label GRADE --inference --l2 0.01");
    assert_eq!(penalised["training"]["inference"]["kind"], "penalised");
    let robust = place.model("spector.parquet --label GRADE --robust");
    assert_eq!(robust["training"]["inference"]["kind"], "robust (HC0)");
    for confidence in ["0", "1", "95"] {
        let run = place.run(&format!("train spector.parquet --label GRADE --inference --confidence {confidence}"));
        assert_eq!(run.code, Some(2), "{run:?}");
    }
}

#[test]
fn the_covariance_has_the_standard_errors_on_its_diagonal() {
    let place = Place::with_example("spector.parquet");
    let model = place.model("spector.parquet --label GRADE --covariance covariance.json");
    let document = place.json_file("covariance.json");
    assert_eq!(document["coefficients"], json!(["(intercept)", "GPA", "TUCE", "PSI"]));
    let entry = |i: usize, j: usize| document["covariance"][i][j].as_f64().expect("a number");
    let errors: Vec<f64> = std::iter::once(&model["intercept_inference"])
        .chain(model["features"].as_array().expect("features"))
        .map(|part| number(part, "/standard_error"))
        .collect();
    assert_eq!(errors.len(), 4);
    for (i, error) in errors.iter().enumerate() {
        assert!((entry(i, i).sqrt() / error - 1.0).abs() <= 1e-12);
        for (j, other) in errors.iter().enumerate() {
            assert!((entry(i, j) - entry(j, i)).abs() <= 1e-12 * error * other);
        }
    }
}

#[test]
fn verify_and_refine_say_what_double_precision_saw() {
    let place = Place::with_example("spector.parquet");
    let verified = place.model("spector.parquet --label GRADE --verify")["training"].clone();
    assert_eq!((&verified["verified"]["passes"], &verified["verified"]["refined"]), (&json!(1), &json!(false)));
    assert_eq!(verified["delta"], verified["verified"]["delta"]);
    let refined = place.model("spector.parquet --label GRADE --refine")["training"].clone();
    assert_eq!(refined["verified"]["refined"], true);
    assert!(number(&refined, "/delta") <= 1e-12, "{refined}");
    assert!(number(&verified, "/delta") > 1e-12, "{verified}");
    let plain = place.model("spector.parquet --label GRADE")["training"].clone();
    assert!(plain.get("verified").is_none());
}

#[test]
fn the_history_has_a_line_for_each_iteration() {
    let place = Place::with_example("weather.parquet");
    let training = place.done(&format!("{WEATHER} --history history.jsonl --json")).json()["training"].clone();
    let text = String::from_utf8(place.read("history.jsonl")).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len() as u64, training["iterations"].as_u64().expect("a count") + 1);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(
            fields(line),
            ["delta", "gradient_norm", "iteration", "loss", "passes", "search", "seconds", "step"]
        );
        assert_eq!(line["iteration"], index);
    }
    let losses: Vec<f64> = lines.iter().map(|line| number(line, "/loss")).collect();
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0]), "{losses:?}");
}

/// What a line search tried is what was paid for, and leads from one iteration to the next.
#[test]
fn the_history_tells_what_was_searched() {
    for solver in ["cg", "newton", "lbfgs", "gradient-descent"] {
        let place = Place::with_example("weather.parquet");
        place.done(&format!("{WEATHER} --solver {solver} --history history.jsonl"));
        let text = String::from_utf8(place.read("history.jsonl")).expect("text");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(lines[0]["search"].is_null());
        let mut searched = 0;
        for pair in lines.windows(2) {
            let [before, after] = pair else { unreachable!("pairs") };
            let tried = after["search"]["tried"].as_array().expect("every iteration here took a step");
            let numbers = |part: &str| tried.iter().map(|probe| number(probe, part)).collect::<Vec<f64>>();
            let (steps, slopes) = (numbers("/step"), numbers("/slope"));
            let probes = number(after, "/passes/line") - number(before, "/passes/line");
            assert_eq!(steps.len(), 1 + probes as usize, "{solver}: {after}");
            let best = (0..steps.len()).min_by(|&a, &b| slopes[a].abs().total_cmp(&slopes[b].abs())).expect("one");
            assert_eq!(number(after, "/step").to_bits(), steps[best].to_bits(), "{solver}: {after}");
            assert!(number(after, "/search/slope") < 0.0 && numbers("/curvature").iter().all(|c| *c > 0.0), "{after}");
            // A fresh evaluation may have come in between.
            let [from, to] = [number(before, "/loss"), number(after, "/search/loss")];
            assert!((from - to).abs() <= 1e-12 * from, "{solver}: {before} {after}");
            assert!((numbers("/loss")[best] - number(after, "/loss")).abs() <= 1e-12 * from, "{solver}: {after}");
            searched += usize::from(tried.len() > 1);
        }
        assert!(searched > 0 || ["newton", "lbfgs"].contains(&solver), "{solver}: {text}");
    }
}

// ---- the same bits --------------------------------------------------------------------------------------------

fn assert_same_bits_twice(device: &str) {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 20000 --features 7 --correlation 0.3");
    for model in ["first.json", "second.json"] {
        place.done(&format!("train data.parquet --label y --device {device} -o {model}"));
    }
    let first = timeless(place.json_file("first.json"));
    assert_eq!(first, timeless(place.json_file("second.json")));
    assert_eq!(coefficients(&first).len(), 7);
}

#[test]
fn cpu_runs_give_the_same_bits_twice() {
    assert_same_bits_twice("cpu");
}

#[test]
fn gpu_runs_give_the_same_bits_twice() {
    if has_adapter() {
        assert_same_bits_twice("gpu");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 60000 --features 5");
    let one = place.model("data.parquet --label y --threads 1");
    let three = place.model("data.parquet --label y --threads 3");
    assert_eq!((&one["features"], &one["intercept"]), (&three["features"], &three["intercept"]));
    assert!(one["training"]["device"] != three["training"]["device"]);
}

#[test]
fn the_cut_into_row_groups_changes_no_more_than_rounding() {
    let (columns, y) = pair();
    let place = Place::new();
    let table = [("a", floats(columns[0].clone())), ("b", floats(columns[1].clone())), ("y", booleans(&y))];
    let models = [usize::MAX, 100, 37].map(|group| {
        write_parquet(&place.path("data.parquet"), &table, group);
        place.model("data.parquet --label y")
    });
    // The exact moments are sums over row groups, so their last bit may depend on the cut; nothing else does.
    for model in &models[1..] {
        for path in ["/features/0/coefficient", "/features/1/coefficient", "/intercept"] {
            let (a, b) = (number(&models[0], path), number(model, path));
            assert!((a - b).abs() <= 1e-12 * a.abs(), "{path}: {a} and {b}");
        }
    }
}

// ---- synth ----------------------------------------------------------------------------------------------------

/// The columns of a file of floats `x1 ..` and the label `y`, nulls as NaN.
fn read_synth(path: &Path) -> (Vec<Vec<f64>>, Vec<bool>) {
    let file = fs::File::open(path).expect("opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .expect("a Parquet file");
    let (mut columns, mut labels) = (Vec::new(), Vec::new());
    for batch in reader {
        let batch = batch.expect("a batch");
        let (label, features) = batch.columns().split_last().expect("columns");
        columns.resize(features.len(), Vec::new());
        for (column, feature) in columns.iter_mut().zip(features) {
            let values = feature.as_primitive::<Float32Type>().iter();
            column.extend(values.map(|x| x.map_or(f64::NAN, f64::from)));
        }
        labels.extend(label.as_boolean().iter().map(|y| y.expect("a label")));
    }
    (columns, labels)
}

#[test]
fn synth_writes_the_rows_and_features_asked_for() {
    let place = Place::new();
    // More than one row group.
    let run = place.done("synth -o data.parquet --rows 250001 --features 3");
    assert_says(&run.stdout, &["data.parquet", "250001", "3"]);
    let (columns, labels) = read_synth(&place.path("data.parquet"));
    assert_eq!((columns.len(), columns[0].len(), labels.len()), (3, 250_001, 250_001));
    let file = fs::File::open(place.path("data.parquet")).expect("opens");
    let schema = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").schema().clone();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["x1", "x2", "x3", "y"]);
    assert_eq!(place.files(), ["data.parquet"]);
}

#[test]
fn synth_gives_the_same_bytes_for_the_same_seed_only() {
    let place = Place::new();
    for (name, rest) in [("a", "--seed 5 --threads 1"), ("b", "--seed 5 --threads 2"), ("c", "--seed 6")] {
        place.done(&format!("synth -o {name} --rows 3000 --features 2 {rest}"));
    }
    assert_eq!(place.read("a"), place.read("b"));
    assert!(place.read("a") != place.read("c"));
}

#[test]
fn synth_labels_have_the_share_asked_for() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 50000 --features 2 --imbalance 0.1");
    let (_, labels) = read_synth(&place.path("data.parquet"));
    let share = labels.iter().filter(|y| **y).count() as f64 / labels.len() as f64;
    assert!((share - 0.1).abs() <= 5.0 * (0.1 * 0.9 / 50_000.0_f64).sqrt(), "{share}");
}

#[test]
fn synth_features_have_the_correlation_asked_for() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 50000 --features 2 --correlation 0.6");
    let (columns, _) = read_synth(&place.path("data.parquet"));
    let n = columns[0].len() as f64;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
    let [a, b] = [&columns[0], &columns[1]];
    let correlation = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    assert!((correlation - 0.6).abs() <= 5.0 * (1.0 - 0.36) / n.sqrt(), "{correlation}");
}

#[test]
fn training_recovers_the_truth_of_synth() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 50000 --features 4 --imbalance 0.3 --seed 3 --truth truth.json");
    let truth = place.json_file("truth.json");
    assert_eq!(fields(&truth), ["coefficients", "intercept"]);
    let model = place.model("data.parquet --label y");
    let (columns, labels) = read_synth(&place.path("data.parquet"));
    let fit = Reference::PLAIN.fit(&columns, &labels);
    assert_fits(&model, &fit, &[1.0; 4]);
    let found = coefficients(&model);
    assert_eq!((found.len(), truth["coefficients"].as_array().map(Vec::len)), (4, Some(4)));
    for (j, (found, error)) in found.iter().zip(&fit.standard_errors).enumerate() {
        let expected = number(&truth, &format!("/coefficients/{j}"));
        assert!((found - expected).abs() <= 5.0 * error, "{found} instead of {expected} +- {error}");
    }
    assert!((number(&model, "/intercept") - number(&truth, "/intercept")).abs() <= 0.1);
}

#[test]
fn synth_nulls_are_refused_by_train_with_their_count() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 5000 --features 1 --nulls 0.02");
    let (columns, _) = read_synth(&place.path("data.parquet"));
    let rows: Vec<usize> = (0..5000).filter(|&row| columns[0][row].is_nan()).collect();
    assert!((rows.len() as f64 - 100.0).abs() <= 5.0 * 10.0, "{}", rows.len());
    let fact = [format!("x1: {} null", rows.len()), format!(": {}, {}", rows[0], rows[1])];
    let fact: Vec<&str> = fact.iter().map(String::as_str).collect();
    assert_refused(&place, "train data.parquet --label y", 3, &fact, &["--ignore"]);
}

#[test]
fn synth_separable_labels_follow_the_sign_of_the_margin() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 2000 --features 2 --separable --truth truth.json");
    let truth = place.json_file("truth.json");
    let (columns, labels) = read_synth(&place.path("data.parquet"));
    for (row, y) in labels.into_iter().enumerate() {
        let [a, b] = [0, 1].map(|j| number(&truth, &format!("/coefficients/{j}")) * columns[j][row]);
        assert_eq!(number(&truth, "/intercept") + a + b > 0.0, y, "row {row}");
    }
}

#[test]
fn synth_refuses_what_it_cannot_make() {
    let place = Place::new();
    for (rest, fact) in [
        ("--rows 0 --features 2", "0 rows"),
        ("--rows 5 --features 2 --imbalance 1", "--imbalance 1"),
        ("--rows 5 --features 2 --correlation 1.5", "--correlation 1.5"),
        ("--rows 5 --features 2 --nulls 1", "--nulls 1"),
    ] {
        let run = place.run(&format!("synth -o data.parquet {rest}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert_says(&run.stderr, &["error:", fact, "help:"]);
    }
    let run = place.run("synth -o nowhere/data.parquet --rows 5 --features 2");
    assert_eq!(run.code, Some(6), "{run:?}");
    assert_eq!(place.files(), Vec::<String>::new());
}

// ---- interrupts, memory, closed pipes -------------------------------------------------------------------------

const LARGE_ROWS: usize = 1_500_000;
const LARGE_FEATURES: usize = 20;

/// A file that takes a while to read, made once.
fn large() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        // A fixed place, so that runs of the tests do not pile up copies.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large.parquet");
        let (rows, features) = (LARGE_ROWS.to_string(), LARGE_FEATURES.to_string());
        let mut command = program();
        command.args(["synth", "--rows", &rows, "--features", &features, "-o"]).arg(&path);
        let run = Run::of(command.output().expect("the program starts"));
        assert_eq!(run.code, Some(0), "{run:?}");
        path
    })
}

#[cfg(unix)]
mod interrupts {
    use std::process::Command;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::common::running::Running;
    use super::*;

    /// Starts `command`, waits until it has begun its output file in `place` and `delay` longer, and interrupts it.
    fn interrupted(place: &Place, command: &mut Command, delay: Duration) -> Run {
        let mut running = Running::start(command);
        let start = Instant::now();
        while !place.files().iter().any(|name| name.starts_with('.')) {
            assert!(start.elapsed() <= Duration::from_secs(20), "no output file was begun");
            sleep(Duration::from_millis(1));
        }
        sleep(delay);
        running.send("-INT");
        running.end()
    }

    /// Interrupts a training that would run for long, and asserts that it leaves nothing.
    fn assert_leaves_nothing(delay: Duration, json: bool) {
        let place = Place::new();
        fs::write(place.path("model.json"), "old model").expect("the old model is written");
        let endless = "--threads 1 --solver gradient-descent --gradient-tolerance 1e-300 --max-iterations 1000000";
        let mut command = place.command(&format!("train --label y --device cpu {endless} -o model.json"));
        command.arg(large()).args(json.then_some("--json"));
        let run = interrupted(&place, &mut command, delay);
        assert_eq!(run.code, Some(130), "{run:?}");
        if json {
            assert_eq!(run.json()["error"]["kind"], "interrupted");
            assert_eq!(run.json()["error"]["exit_code"], 130);
        } else {
            assert_eq!(run.stdout, "");
            assert_says(&run.stderr, &["interrupted"]);
        }
        assert_eq!(place.files(), ["model.json"]);
        assert_eq!(place.read("model.json"), b"old model");
    }

    #[test]
    fn an_interrupt_during_reading_leaves_no_file() {
        large();
        assert_leaves_nothing(Duration::ZERO, false);
    }

    #[test]
    fn an_interrupt_during_training_leaves_no_file() {
        let mut command = program();
        command.args(["train", "--label", "y", "--device", "cpu", "--threads", "1", "--max-iterations", "0", "--json"]);
        let model = Run::of(command.arg(large()).output().expect("the program starts")).json();
        let reading = Duration::from_secs_f64(number(&model, "/training/seconds/read"));
        assert_leaves_nothing(3 * reading + Duration::from_millis(500), true);
    }

    #[test]
    fn an_interrupt_of_predict_leaves_the_old_file() {
        let place = Place::new();
        let mut command = place.command("train --label y --device cpu --max-iterations 0 -o model.json");
        assert_eq!(Run::of(command.arg(large()).output().expect("the program starts")).code, Some(0));
        // Text of all columns takes seconds.
        for (output, json) in [("out.jsonl", false), ("out.csv", true)] {
            fs::write(place.path(output), "old predictions").expect("they are written");
            let mut command = place.command(&format!("predict -m model.json --threads 1 --keep * -o {output}"));
            let run =
                interrupted(&place, command.arg(large()).args(json.then_some("--json")), Duration::from_millis(200));
            assert_eq!(run.code, Some(130), "{run:?}");
            if json {
                assert_eq!(
                    (&run.json()["error"]["kind"], &run.json()["error"]["exit_code"]),
                    (&json!("interrupted"), &json!(130))
                );
            } else {
                assert_eq!(run.stdout, "");
                assert_says(&run.stderr, &["interrupted"]);
            }
            assert_eq!(place.read(output), b"old predictions");
            fs::remove_file(place.path(output)).expect("they are removed");
            assert_eq!(place.files(), ["model.json"]);
        }
    }

    #[test]
    fn an_interrupt_of_synth_leaves_no_file() {
        let place = Place::new();
        let mut command = place.command("synth -o data.parquet --rows 30000000 --features 30 --truth truth.json");
        let run = interrupted(&place, &mut command, Duration::from_millis(300));
        assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{run:?}");
        assert_says(&run.stderr, &["interrupted"]);
        assert_eq!(place.files(), Vec::<String>::new());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn training_on_the_cpu_keeps_to_its_memory() {
    let mut command = program();
    command.args(["train", "--label", "y", "--device", "cpu"]).arg(large());
    let peak = peak(&mut command);
    let (n, d) = (LARGE_ROWS as u64, LARGE_FEATURES as u64);
    let allowed = 6 * n * (d + 6) + (150 << 20);
    // The columns alone take 4nd: less would mean that something else was measured.
    assert!(peak >= 4 * n * d, "{peak} bytes");
    assert!(peak <= allowed, "{} MiB, {} allowed", peak >> 20, allowed >> 20);
}

/// Runs with the read end of stdout or stderr closed before anything is written.
fn run_closed(place: &Place, arguments: &str, close_stdout: bool) -> Run {
    let mut command = place.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    if close_stdout {
        drop(child.stdout.take());
    } else {
        drop(child.stderr.take());
    }
    Run::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_closed_stdout_is_no_error() {
    let place = Place::with_example("weather.parquet");
    for arguments in [
        "train weather.parquet --label rain --device cpu -o model.json",
        "train weather.parquet --label rain --device cpu --json",
        "synth -o data.parquet --rows 10 --features 2",
        "devices",
        "--help",
    ] {
        let run = run_closed(&place, arguments, true);
        assert_eq!(run.code, Some(0), "{arguments}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{arguments}: {run:?}");
    }
    assert_eq!(place.json_file("model.json")["format"], "gpu-logreg/model");
}

#[test]
fn a_closed_stderr_is_no_error() {
    let place = Place::with_example("weather.parquet");
    let arguments = "train weather.parquet --label rain --features temp_max,temp_min,wind --device cpu --max-iterations 1 -o model.json";
    let run = run_closed(&place, arguments, false);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_says(&run.stdout, &["max_iterations"]);
    assert_eq!(place.json_file("model.json")["format"], "gpu-logreg/model");
    let run = run_closed(&place, "train nowhere.parquet --label y", false);
    assert_eq!(run.code, Some(3), "{run:?}");
}

// ---- a full disk ----------------------------------------------------------------------------------------------

/// The program in a shell that lets no file grow beyond a block of 512 or 1024 bytes.
fn run_without_room(place: &Place, arguments: &str) -> Run {
    let mut command = std::process::Command::new("sh");
    // The signal would end the program before it sees that the write failed; a full disk sends none.
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_gpu-logreg")]);
    command.args(arguments.split_whitespace()).current_dir(place.path("")).stdin(Stdio::null());
    Run::of(command.output().expect("a shell starts"))
}

#[test]
fn a_full_disk_is_said_and_leaves_the_old_file_or_none() {
    if !cfg!(target_os = "linux") {
        return skipped("limits on the size of files are made by a shell that is known on Linux alone");
    }
    let place = Place::new();
    place.done("synth -o data.parquet --rows 2000 --features 3");
    place.done("train data.parquet --label y --device cpu -o model.json");
    for (command, name) in [
        ("train data.parquet --label y --device cpu -o", "full.json"),
        ("predict -m model.json data.parquet -o", "full.parquet"),
        ("predict -m model.json data.parquet -o", "full.csv"),
        ("predict -m model.json data.parquet -o", "full.jsonl"),
    ] {
        let arguments = format!("{command} {name}");
        for old in [false, true] {
            if old {
                fs::write(place.path(name), "old").expect("an old output");
            }
            let before = place.files();
            let run = run_without_room(&place, &arguments);
            assert_eq!((run.code, run.stdout.as_str()), (Some(6), ""), "{arguments}: {run:?}");
            assert_says(&run.stderr, &["error:", name, "could not be written", "help:", "free the space", "untouched"]);
            assert_eq!(place.files(), before, "{arguments}");
            assert!(!old || place.read(name) == b"old", "{arguments}");
            let error = run_without_room(&place, &format!("{arguments} --json")).json()["error"].clone();
            assert_eq!((&error["kind"], &error["exit_code"]), (&json!("output"), &json!(6)), "{arguments}");
            assert_eq!(place.files(), before, "{arguments} --json");
        }
        // With room it works, and takes more than was there.
        place.done(&arguments);
        assert!(place.read(name).len() > 1024, "{name} is too small to tell");
    }
}

#[test]
fn a_full_standard_output_is_said() {
    if !cfg!(target_os = "linux") {
        return skipped("/dev/full, which is always full, is known on Linux alone");
    }
    let place = sample_place();
    place.done("train data.parquet --label y --device cpu -o model.json");
    for arguments in [
        "predict -m model.json data.parquet -o -",
        "predict -m model.json data.parquet -o - --format jsonl",
        "predict -m model.json data.parquet -o - --format parquet",
        "train data.parquet --label y --device cpu",
        "train data.parquet --label y --device cpu --json",
        "evaluate -m model.json data.parquet",
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut command = place.command(arguments);
        let child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("the program starts");
        let run = Run::of(child.wait_with_output().expect("it ends"));
        assert_eq!(run.code, Some(6), "{arguments}: {run:?}");
        assert_says(&run.stderr, &["error:", "standard output could not be written", "No space left"]);
        assert_eq!(place.files(), ["data.parquet", "model.json"]);
    }
}

// ---- the order of the rows ------------------------------------------------------------------------------------

/// Fits rows in two orders and compares the answers in standard errors.
fn assert_order_does_not_matter(device: &str) {
    const ROWS: usize = 20_000;
    let mut random = Random(41);
    let columns: Vec<Vec<f64>> = [1.0, 20.0, 0.01].map(|unit| (0..ROWS).map(|_| unit * random.unit()).collect()).into();
    let margin = |row: usize| 2.0 * columns[0][row] - 0.05 * columns[1][row] + 30.0 * columns[2][row] - 0.8;
    let labels: Vec<bool> = (0..ROWS).map(|row| random.label(margin(row))).collect();
    let mut order: Vec<usize> = (0..ROWS).collect();
    for last in (1..ROWS).rev() {
        order.swap(last, (random.unit() * (last + 1) as f64) as usize);
    }
    let fit = |rows: &[usize]| {
        let of = |column: &[f64]| floats(rows.iter().map(|&row| column[row]));
        let labels: Vec<bool> = rows.iter().map(|&row| labels[row]).collect();
        let place = Place::with_data(&[
            ("a", of(&columns[0])),
            ("b", of(&columns[1])),
            ("c", of(&columns[2])),
            ("y", booleans(&labels)),
        ]);
        let train = format!(
            "train data.parquet --label y --device {device} --tolerance 1e-6 --max-iterations 50 --inference --json"
        );
        let model = place.done(&train).json();
        // The noise of f32 is of that size, so a GPU may or may not see that it has arrived.
        assert!(device != "cpu" || model["training"]["status"] == "converged", "{model:#}");
        let features = model["features"].as_array().expect("features");
        let estimate = |of: &Value, value: &str, error: &str| (number(of, value), number(of, error));
        let intercept = estimate(&model, "/intercept", "/intercept_inference/standard_error");
        let rest = features.iter().map(|feature| estimate(feature, "/coefficient", "/standard_error"));
        rest.chain([intercept]).collect::<Vec<_>>()
    };
    let sorted: Vec<usize> = (0..ROWS).collect();
    let (expected, found) = (fit(&sorted), fit(&order));
    for ((found, _), (expected, error)) in found.iter().zip(&expected) {
        let off = (found - expected).abs() / error;
        assert!(off <= 1e-5, "{device}: {found} is {off:e} standard errors from {expected}");
    }
    // Rows whose labels have not come along would be noticed.
    assert_ne!(sorted, order);
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    assert_order_does_not_matter("cpu");
}

#[test]
fn the_order_of_the_rows_does_not_matter_to_a_gpu() {
    if has_adapter() {
        assert_order_does_not_matter("gpu");
    }
}

// ---- names in messages ----------------------------------------------------------------------------------------

/// A message names some of many columns, and none of them can colour a terminal.
#[test]
fn lists_of_names_end_and_are_plain() {
    let (x, y) = sample();
    let names: Vec<String> = (1..=25).map(|k| format!("\u{1b}[31mx{k}\n")).collect();
    let mut columns: Vec<(&str, ArrayRef)> = names.iter().map(|name| (name.as_str(), floats(x.clone()))).collect();
    columns.push(("y", booleans(&y)));
    let place = Place::new();
    write_parquet(&place.path("data.parquet"), &columns, ROWS);
    let run = place.done("train data.parquet --label y --device cpu");
    let shown: Vec<String> = (2..=21).map(|k| format!("\\u{{1b}}[31mx{k}\\n")).collect();
    let note = format!("aliased, coefficient 0: {} and 4 more (the columns before them", shown.join(", "));
    assert!(run.stderr.contains(&note), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'), "{run:?}");
    // Columns that tell the classes apart, each with noise of its own.
    let mut random = Random(71);
    let side = |y: bool| if y { 1.0 } else { -1.0 };
    for (_, column) in columns.iter_mut().take(25) {
        *column = floats(y.iter().map(|&y| side(y) + random.unit()));
    }
    write_parquet(&place.path("data.parquet"), &columns, ROWS);
    let run = place.done("train data.parquet --label y --device cpu");
    let line = run.stderr.lines().find(|line| line.contains("the columns that separate: "));
    let line = line.unwrap_or_else(|| panic!("{}", run.stderr));
    assert!(line.contains("\\u{1b}[31mx") && !run.stderr.contains('\u{1b}'), "{line}");
    assert!(line.matches(", ").count() == 19 && line.ends_with(" more"), "{line}");
    // What a file has not is a list too.
    place.done("train data.parquet --label y --device cpu --l2 0.1 -o model.json");
    write_parquet(&place.path("other.parquet"), &columns[24..], ROWS);
    let run = place.run("evaluate -m model.json other.parquet");
    assert_eq!(run.code, Some(3), "{run:?}");
    // In quotes, because of the line break at the end.
    assert!(run.stderr.contains("x20\\n\" and 4 more"), "{}", run.stderr);
}

#[test]
fn one_row_is_no_rows() {
    let place = Place::new();
    let (x, y) = sample();
    write_parquet(&place.path("data.parquet"), &[("x", floats(x)), ("y", booleans(&y))], ROWS);
    let run = place.done("train data.parquet --label y --device cpu -o model.json");
    assert_says(&run.stdout, &["400 rows, ", " positive, 1 feature\n"]);
    let run = place.done("predict -m model.json data.parquet --limit 1 -o out.csv");
    assert_says(&run.stderr, &["1 prediction is in out.csv"]);
    let run = place.done("predict -m model.json data.parquet --limit 2 -o out.csv");
    assert_says(&run.stderr, &["2 predictions are in out.csv"]);
}

// ---- paths ----------------------------------------------------------------------------------------------------

/// Settings of a path that make no sense, or say something of a path that is not asked for.
#[test]
fn settings_of_paths_are_refused() {
    let place = sample_place();
    fs::write(place.path("words.txt"), "0.1\nmuch\n").expect("writes");
    fs::write(place.path("none.txt"), "\n").expect("writes");
    for (flags, fact, way_out) in [
        ("--select 0.1", "--select says something of a penalty", "--path"),
        ("--alpha 0.5", "--alpha says something of a penalty", "--lambda"),
        ("--path 0", "path of 0", "100"),
        ("--path --alpha 2", "--alpha 2.0 is no share", "lasso"),
        ("--path --lambda-min-ratio 1", "--lambda-min-ratio 1.0 is no share", "1e-4"),
        ("--path --select 1e-9", "--select 1e-9 is not on the path", "--lambda-min-ratio"),
        ("--path --inference", "no standard errors", "rows that did not choose them"),
        ("--lambdas missing.txt", "missing.txt cannot be read", "a positive number on each line"),
        ("--lambdas words.txt", "line 2, `much`", "a positive number on each line"),
        ("--lambdas none.txt", "has no numbers", "a positive number on each line"),
    ] {
        assert_refused(&place, &format!("train data.parquet --label y {flags}"), 2, &[fact], &[way_out]);
    }
    for both in ["--path --l1 0.1", "--path --lambda 0.1", "--path --lambdas words.txt", "--path --l2 1"] {
        let run = place.run(&format!("train data.parquet --label y {both}"));
        assert_eq!(run.code, Some(2), "{both}: {run:?}");
        assert_says(&run.stderr, &["cannot be used with"]);
    }
}

/// The path in the terminal's table, in the model, and in what `predict` and `evaluate` make of a strength.
#[test]
fn a_path_is_printed_and_predicts() {
    let place = sample_place();
    fs::write(place.path("strengths.txt"), "0.001\n0.3\n 0.01 \n0.01\n").expect("writes");
    let run = place.run("train data.parquet --label y --lambdas strengths.txt --select 0.01 -o m.json");
    assert_eq!(run.code, Some(0), "{run:?}");
    let model: Value = serde_json::from_slice(&place.read("m.json")).expect("a model");
    let path = &model["path"];
    assert_eq!(path["lambdas"], serde_json::json!([0.3, 0.01, 0.001]));
    let lines: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let head =
        lines.iter().position(|line| line == &["lambda", "features", "explained", "gap"]).expect("the path's table");
    for (place, line) in lines[head + 1..head + 4].iter().enumerate() {
        let number = |text: &str| text.parse::<f64>().expect("a number");
        assert!((number(line[0]) / path["lambdas"][place].as_f64().expect("a number") - 1.0).abs() <= 1e-5);
        assert_eq!(line[1], path["columns"][place].to_string());
        assert!((number(line[2]) - path["explained"][place].as_f64().expect("a number")).abs() <= 1e-6);
        assert_eq!(line.contains(&"model"), place == 1, "{line:?}");
    }
    let log_loss = |flags: &str| {
        let run = place.run(&format!("evaluate -m m.json data.parquet {flags} --json"));
        assert_eq!(run.code, Some(0), "{run:?}");
        run.json()["metrics"]["log_loss"].as_f64().expect("a number")
    };
    assert_eq!(log_loss("").to_bits(), log_loss("--lambda 0.01").to_bits());
    let explained = |lambda: &str| 1.0 - log_loss(&format!("--lambda {lambda}")) / log_loss("--lambda 0.3");
    for (place, lambda) in ["0.3", "0.01", "0.001"].iter().enumerate() {
        let expected = path["explained"][place].as_f64().expect("a number");
        assert!((explained(lambda) - expected).abs() <= 1e-9, "{} and {expected}", explained(lambda));
    }
    assert_eq!(place.run("predict -m m.json data.parquet --lambda 0.005 -o p.csv").code, Some(0));
    for (flags, fact) in [("--lambda 1e-4", "is not on the path"), ("--lambda 0", "is not on the path")] {
        let run = place.run(&format!("predict -m m.json data.parquet {flags} -o q.csv"));
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_says(&run.stderr, &[fact, "0.3 down to 0.001"]);
    }
    assert_eq!(place.run("train data.parquet --label y --l1 0.01 -o single.json").code, Some(0));
    let run = place.run("predict -m single.json data.parquet --lambda 0.01 -o q.csv");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_says(&run.stderr, &["has no path", "--path"]);
    // What a path lacks is damage.
    let mut damaged = model.clone();
    damaged["path"]["gaps"] = serde_json::json!([0.0]);
    fs::write(place.path("damaged.json"), damaged.to_string()).expect("writes");
    let run = place.run("predict -m damaged.json data.parquet -o q.csv");
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_says(&run.stderr, &["damaged model", "3 strengths"]);
}
