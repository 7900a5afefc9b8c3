//! Columns that are categories, end to end: the same models as from columns of 0 and 1 that are written out here, however
//! the levels lie in the files; references, limits, hostile names, levels that a model has not seen, damaged models.

#![expect(clippy::float_cmp, reason = "counts of rows are exact")]

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod decoded;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use common::adapter::has_adapter;
use common::data::write_parquet;
use common::decoded::decoded;
use common::model::coefficients;
use common::process::{Place, Run, number};
use common::random::Random;
use common::says::assert_says;

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 3_000;
const CITIES: [&str; 5] = ["Bonn", "Aachen", "Köln", "aachen", "Zülpich"];
const CODES: [i32; 4] = [110, 7, 30, -4];

type Columns = Vec<(&'static str, ArrayRef)>;

/// A feature `x`, cities with and without holes, codes, whole weights from 0 to 3, offsets, and a label that depends on
/// all of them.
struct Rows {
    x: Vec<f64>,
    city: Vec<Option<&'static str>>,
    code: Vec<i32>,
    w: Vec<f64>,
    o: Vec<f64>,
    y: Vec<bool>,
}

impl Rows {
    fn new(holes: bool) -> Self {
        let mut random = Random(23);
        let pick = |random: &mut Random, n: usize| (random.unit().powi(2) * n as f64) as usize;
        let x: Vec<f64> = (0..ROWS).map(|_| (random.unit() * 4_096.0).floor() / 1_024.0 - 2.0).collect();
        let places: Vec<usize> = (0..ROWS).map(|_| pick(&mut random, CITIES.len())).collect();
        let codes: Vec<usize> = (0..ROWS).map(|_| pick(&mut random, CODES.len())).collect();
        let w = (0..ROWS).map(|_| (random.unit() * 4.0).floor()).collect();
        let o: Vec<f64> = (0..ROWS).map(|_| (random.unit() * 64.0).floor() / 64.0 - 0.5).collect();
        let margin = |row: usize| 0.7 * x[row] + 0.4 * (places[row] as f64 - 1.5) - 0.3 * codes[row] as f64 + o[row];
        let y = (0..ROWS).map(|row| random.label(margin(row))).collect();
        let city = (0..ROWS).map(|row| (!holes || row % 12 != 5).then_some(CITIES[places[row]])).collect();
        Self { x, city, code: codes.into_iter().map(|place| CODES[place]).collect(), w, o, y }
    }

    fn columns(&self) -> Columns {
        vec![
            ("x", f64s(&self.x)),
            ("city", Arc::new(self.city.iter().copied().collect::<StringArray>())),
            ("code", Arc::new(Int32Array::from(self.code.clone()))),
            ("w", f64s(&self.w)),
            ("o", f64s(&self.o)),
            ("y", Arc::new(BooleanArray::from(self.y.clone()))),
        ]
    }

    /// The same with a column of 0 and 1 for each level but the first, in the order of the levels.
    fn one_hot(&self) -> Columns {
        let mut columns = vec![("x", f64s(&self.x))];
        for (name, level) in [
            ("city=Bonn", Some("Bonn")),
            ("city=Köln", Some("Köln")),
            ("city=Zülpich", Some("Zülpich")),
            ("city=aachen", Some("aachen")),
            ("city=(null)", None),
        ] {
            if level.is_some() || self.city.contains(&None) {
                columns.push((name, zero_one(self.city.iter().map(|city| *city == level))));
            }
        }
        for (name, level) in [("code=7", 7), ("code=30", 30), ("code=110", 110)] {
            columns.push((name, zero_one(self.code.iter().map(|code| *code == level))));
        }
        let others = self.columns().into_iter().filter(|(name, _)| ["w", "o", "y"].contains(name));
        columns.into_iter().chain(others).collect()
    }
}

fn f64s(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn zero_one(flags: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(flags.map(|flag| f64::from(u8::from(flag)))))
}

/// Trains on `x`, the cities and the codes.
const TRAIN: &str = "--label y --features x,city,code --categorical code --quiet";

/// Puts `array` in place of a column, or behind the others.
fn set(columns: &mut Columns, name: &'static str, array: ArrayRef) {
    match columns.iter_mut().find(|(other, _)| *other == name) {
        Some((_, old)) => *old = array,
        None => columns.push((name, array)),
    }
}

/// These rows of all columns, in this order.
fn rows_of(columns: &Columns, rows: impl IntoIterator<Item = usize>) -> Columns {
    let indices = UInt32Array::from_iter_values(rows.into_iter().map(|row| row as u32));
    columns.iter().map(|(name, array)| (*name, take(array, &indices, None).expect("rows that are there"))).collect()
}

fn write(place: &Place, name: &str, columns: &Columns, group: usize) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    write_parquet(&path, columns, group);
}

/// As [`write`], with pages that have dictionaries or not.
fn write_encoded(place: &Place, name: &str, columns: &Columns, group: usize, encoding: Option<Encoding>) {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array))));
    let batch = batch.expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group));
    let properties = match encoding {
        None => properties.set_dictionary_enabled(true),
        Some(encoding) => properties.set_dictionary_enabled(false).set_column_encoding("city".into(), encoding),
    };
    let file = fs::File::create(place.path(name)).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).expect("a schema");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

fn place_with(columns: &Columns) -> Place {
    let place = Place::new();
    write(&place, "data.parquet", columns, 500);
    place
}

// ---- checks ---------------------------------------------------------------------------------------------------

fn names(model: &Value) -> Vec<&str> {
    let features = model["features"].as_array().expect("features");
    features.iter().map(|feature| feature["name"].as_str().expect("a name")).collect()
}

/// The intercept and all coefficients.
fn estimates(model: &Value) -> Vec<f64> {
    assert_eq!(model["training"]["status"], "converged", "{model:#}");
    [vec![number(model, "/intercept")], coefficients(model)].concat()
}

/// The standard errors of the same.
fn errors(model: &Value) -> Vec<f64> {
    [vec![number(model, "/intercept_inference/standard_error")], errors_of_features(model)].concat()
}

fn errors_of_features(model: &Value) -> Vec<f64> {
    let features = model["features"].as_array().expect("features");
    features.iter().map(|feature| number(feature, "/standard_error")).collect()
}

fn bits(model: &Value) -> Vec<u64> {
    estimates(model).into_iter().map(f64::to_bits).collect()
}

/// Asserts that two models have the same levels, the same rows of each and the same bits.
#[track_caller]
fn assert_same_bits(found: &Value, expected: &Value, what: &str) {
    assert_eq!(names(found), names(expected), "{what}");
    assert_eq!(found["categories"], expected["categories"], "{what}");
    assert_eq!(bits(found), bits(expected), "{what}");
}

/// The largest difference, each in its unit; NaN if one is.
fn largest(found: &[f64], expected: &[f64], unit: impl Fn(usize) -> f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).enumerate().map(|(index, (a, b))| (a - b).abs() / unit(index));
    differences.fold(0.0, |largest: f64, x| if x.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(x) })
}

/// Asserts that the largest difference is at most `most`.
#[track_caller]
fn assert_within(most: f64, found: &[f64], expected: &[f64], what: &str) {
    let worst = largest(found, expected, |_| 1.0);
    assert!(worst <= most, "{what}: {worst:e} apart\n{found:?}\n{expected:?}");
}

#[track_caller]
fn refused(place: &Place, arguments: &[&str], code: i32, words: &[&str]) {
    let run = Run::of(place.command("").args(arguments).output().expect("the program starts"));
    assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
    assert!(run.stdout.is_empty() && run.stderr.contains("error: ") && !run.stderr.contains("panicked"), "{run:?}");
    assert_says(&run.stderr, words);
}

#[track_caller]
fn assert_refused(place: &Place, arguments: &str, code: i32, words: &[&str]) {
    refused(place, &arguments.split_whitespace().collect::<Vec<_>>(), code, words);
}

/// The model of a training whose arguments have blanks in them.
fn model_with(place: &Place, arguments: &str, more: &[&str]) -> Value {
    let command = format!("train {arguments} --device cpu --json");
    let run = Run::of(place.command(&command).args(more).output().expect("the program starts"));
    assert_eq!(run.code, Some(0), "{arguments} {more:?}: {run:?}");
    run.json()
}

fn notes(model: &Value) -> String {
    model["training"]["notes"].to_string()
}

fn columns_of(path: &Path) -> BTreeMap<String, ArrayRef> {
    decoded(path)
}

/// The margins that `predict` writes, NaN where there is none, and what it says.
fn predicted(place: &Place, data: &str) -> (Vec<f64>, String) {
    let run = place.done(&format!("predict -m model.json {data} -o out.parquet --output margin"));
    let margins = &columns_of(&place.path("out.parquet"))["margin"];
    let margins = cast(margins, &DataType::Float64).expect("numbers");
    (margins.as_primitive::<Float64Type>().iter().map(|z| z.unwrap_or(f64::NAN)).collect(), run.stderr)
}

/// What each level of a category adds to the margin, by its text, and on average over the rows with the weights `w`:
/// worked out from the texts of the training.
fn effects(
    model: &Value,
    category: usize,
    texts: &[Option<String>],
    w: &[f64],
) -> (BTreeMap<Option<String>, f64>, f64) {
    let about = &model["categories"][category];
    let column = about["column"].as_str().expect("a column");
    let levels = about["levels"].as_array().expect("levels");
    let text = |level: &Value| match level {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let of_category = model["features"].as_array().expect("features").iter().filter(|f| f["category"] == column);
    let coefficients: Vec<f64> =
        [0.0].into_iter().chain(of_category.map(|feature| number(feature, "/coefficient"))).collect();
    assert_eq!(coefficients.len(), levels.len());
    let effects: BTreeMap<_, _> = levels.iter().map(text).zip(coefficients).collect();
    assert_eq!(effects.len(), levels.len(), "no two levels are the same");
    let sum: f64 = texts.iter().zip(w).map(|(text, w)| w * effects[text]).sum();
    (effects, sum / w.iter().sum::<f64>())
}

fn owned(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

// ---- levels are columns of 0 and 1 ----------------------------------------------------------------------------

#[test]
fn models_are_those_of_columns_of_0_and_1_written_out() {
    for holes in [false, true] {
        let place = place_with(&Rows::new(holes).columns());
        write(&place, "one_hot.parquet", &Rows::new(holes).one_hot(), 700);
        let nulls = if holes { "--nulls indicator" } else { "" };
        for flags in [
            "",
            "--l2 0.01",
            "--l2 0.01 --penalty-scale original",
            "--robust",
            "--weight w",
            "--weight w --robust --l2 0.003",
            "--offset o",
            "--class-weight balanced",
            "--weight w --offset o --class-weight balanced --robust",
        ] {
            let flags = format!("{flags} --inference");
            let both = |more: &str| {
                let found = place.model(&format!("data.parquet {TRAIN} {nulls} {flags} {more}"));
                let expected = place.model(&format!("one_hot.parquet --label y --ignore w,o --quiet {flags} {more}"));
                assert_eq!(names(&found), names(&expected));
                assert_eq!(names(&found).len(), if holes { 9 } else { 8 });
                (found, expected)
            };
            // Both stop somewhere within 1e-4 standard errors of the optimum.
            let (found, expected) = both("");
            let unit = errors(&expected);
            let apart = largest(&estimates(&found), &estimates(&expected), |index| unit[index]);
            assert!(apart <= 2e-4, "{flags}: {apart}");
            // The exact pass over the file brings both there.
            let (found, expected) = both("--refine");
            assert!(number(&found, "/training/verified/delta") < 1e-9, "{flags}");
            assert_within(1e-8, &estimates(&found), &estimates(&expected), &flags);
            let (unit, found_errors) = (errors(&expected), errors(&found));
            let apart = largest(&found_errors, &unit, |index| unit[index]);
            assert!(apart <= 1e-6, "{flags}: standard errors {apart}");
            let loss = |model: &Value| number(model, "/training/verified/loss");
            assert!((loss(&found) - loss(&expected)).abs() <= 1e-12, "{flags}");
            for (a, b) in found["features"]
                .as_array()
                .expect("features")
                .iter()
                .zip(expected["features"].as_array().expect("features"))
            {
                for what in ["/mean", "/scale"] {
                    assert!((number(a, what) - number(b, what)).abs() <= 1e-12, "{flags}: {what} of {a}");
                }
            }
        }
    }
    // Other levels are another model, by far more than that.
    let place = place_with(&Rows::new(false).columns());
    let mut other = Rows::new(false);
    other.city.rotate_left(1);
    write(&place, "other.parquet", &other.columns(), 700);
    let [a, b] = ["data", "other"].map(|data| estimates(&place.model(&format!("{data}.parquet {TRAIN}"))));
    assert!(largest(&a, &b, |_| 1.0) > 1e-2);
}

#[test]
fn the_devices_agree_about_levels() {
    if !has_adapter() {
        return;
    }
    for (holes, flags) in [(false, ""), (true, "--nulls indicator"), (false, "--weight w --offset o")] {
        let place = place_with(&Rows::new(holes).columns());
        let train =
            format!("train data.parquet {TRAIN} {flags} --inference --tolerance 1e-6 --max-iterations 60 --json");
        let [cpu, gpu] = ["cpu", "gpu"].map(|device| place.done(&format!("{train} --device {device}")).json());
        assert_ne!(cpu["training"]["device"], gpu["training"]["device"]);
        assert_eq!((names(&cpu), &cpu["categories"]), (names(&gpu), &gpu["categories"]));
        // Whether a device's f32 sums can tell a millionth of a standard error is not asked: what they found is.
        let of = |model: &Value| [vec![number(model, "/intercept")], coefficients(model)].concat();
        let unit = errors(&cpu);
        let apart = largest(&of(&gpu), &of(&cpu), |index| unit[index]);
        assert!(apart <= 1e-5, "{flags}: {apart}");
    }
}

// ---- how they lie in the files --------------------------------------------------------------------------------

/// `columns` written in many ways: what the arguments name them by.
fn written(place: &Place, columns: &Columns) -> Vec<&'static str> {
    write(place, "one.parquet", columns, usize::MAX);
    write(place, "small.parquet", columns, 97);
    let rows = columns[0].1.len();
    let cuts = [0, rows / 3 + 1, rows / 2, rows];
    for (index, name) in ["d/1.parquet", "d/2.parquet", "d/3.parquet"].into_iter().enumerate() {
        write(place, name, &rows_of(columns, cuts[index]..cuts[index + 1]), 170 + 300 * index);
    }
    write_encoded(place, "dictionary.parquet", columns, 411, None);
    write_encoded(place, "plain.parquet", columns, 411, Some(Encoding::PLAIN));
    write_encoded(place, "delta.parquet", columns, 411, Some(Encoding::DELTA_BYTE_ARRAY));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    for (name, data_type) in
        [("large.parquet", DataType::LargeUtf8), ("view.parquet", DataType::Utf8View), ("dict.parquet", dictionary)]
    {
        let mut other = columns.clone();
        let city = columns.iter().find(|(name, _)| *name == "city").expect("the cities");
        set(&mut other, "city", cast(&city.1, &data_type).expect("texts of another type"));
        write(place, name, &other, 333);
    }
    vec![
        "one.parquet",
        "small.parquet",
        "d",
        "d/1.parquet d/2.parquet d/3.parquet",
        "dictionary.parquet",
        "plain.parquet",
        "delta.parquet",
        "large.parquet",
        "view.parquet",
        "dict.parquet",
    ]
}

#[test]
fn how_levels_lie_in_files_changes_no_bit() {
    for (holes, flags) in [(false, ""), (false, "--weight w"), (true, "--nulls indicator"), (true, "--nulls drop-row")]
    {
        let columns = Rows::new(holes).columns();
        let place = place_with(&columns);
        let all = format!("{TRAIN} {flags}");
        for condition in [None, Some("city <> 'Bonn' and x < 1.5 or code = 30")] {
            let more: Vec<&str> = condition.iter().flat_map(|condition| ["--where", condition]).collect();
            let expected = model_with(&place, &format!("data.parquet {all}"), &more);
            assert_eq!(names(&expected).len(), if flags.contains("indicator") { 9 } else { 8 });
            for data in written(&place, &columns) {
                let found = model_with(&place, &format!("{data} {all}"), &more);
                assert_same_bits(&found, &expected, &format!("{data} {flags} {condition:?}"));
            }
        }
        // Rows that a condition leaves out might as well not be there, and so might their levels.
        let more = ["--where", "city <> 'Köln' and code > 0"];
        let found = model_with(&place, &format!("data.parquet {all}"), &more);
        let rows = Rows::new(holes);
        let keep = (0..ROWS).filter(|&row| rows.city[row].is_some_and(|city| city != "Köln") && rows.code[row] > 0);
        write(&place, "some.parquet", &rows_of(&columns, keep), 600);
        assert_same_bits(&found, &place.model(&format!("some.parquet {all}")), flags);
        assert_eq!(names(&found), ["x", "city=Bonn", "city=Zülpich", "city=aachen", "code=30", "code=110"]);
    }
}

#[test]
fn folders_of_texts_are_a_category() {
    let place = Place::new();
    let rows = Rows::new(true);
    let mut columns = rows.columns();
    columns.retain(|(name, _)| *name != "city");
    // Folder by folder, the nulls too.
    let order =
        |city: Option<&str>| (0..ROWS).filter(move |&row| Rows::new(true).city[row] == city).collect::<Vec<_>>();
    let folders = [
        ("Aachen", Some("Aachen")),
        ("Bonn", Some("Bonn")),
        ("Köln", Some("Köln")),
        ("Z%C3%BClpich", Some("Zülpich")),
        ("__HIVE_DEFAULT_PARTITION__", None),
        ("aachen", Some("aachen")),
    ];
    let mut all = Vec::new();
    for (folder, city) in folders {
        let rows = order(city);
        write(&place, &format!("t/city={folder}/a.parquet"), &rows_of(&columns, rows.clone()), 300);
        all.extend(rows);
    }
    assert_eq!(all.len(), ROWS);
    write(&place, "data.parquet", &rows_of(&rows.columns(), all.clone()), 700);
    for policy in ["indicator", "drop-row"] {
        let model = place.model(&format!("t {TRAIN} --nulls {policy} -o model.json"));
        assert_same_bits(&model, &place.model(&format!("data.parquet {TRAIN} --nulls {policy}")), policy);
        assert_eq!(names(&model).contains(&"city=(null)"), policy == "indicator");
        let (of_folders, _) = predicted(&place, "t");
        let (of_file, _) = predicted(&place, "data.parquet");
        assert_eq!(of_folders.len(), ROWS);
        assert!(of_folders.iter().zip(&of_file).all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
        assert_eq!(of_file.iter().any(|z| z.is_nan()), policy == "drop-row");
    }
    // One folder alone is a constant.
    let model = place.model(&format!("t/city=Bonn {TRAIN}"));
    assert_says(&notes(&model), &["constant, left out: city (always Bonn)"]);
    assert_eq!(names(&model), ["x", "code=7", "code=30", "code=110"]);
}

// ---- references -----------------------------------------------------------------------------------------------

#[test]
fn a_reference_changes_nothing_but_what_the_others_are_compared_with() {
    let place = place_with(&Rows::new(true).columns());
    let train = format!("data.parquet {TRAIN} --nulls indicator --refine -o model.json");
    let plain = place.model(&train);
    let (margins, _) = predicted(&place, "data.parquet");
    let rows = Rows::new(true);
    let codes: Vec<Option<String>> = rows.code.iter().map(|code| Some(code.to_string())).collect();
    let ones = vec![1.0; ROWS];
    let own = [effects(&plain, 0, &owned(&rows.city), &ones).0, effects(&plain, 1, &codes, &ones).0];
    assert_eq!((own[0][&Some("Aachen".into())], own[1][&Some("-4".into())]), (0.0, 0.0));
    for (city, code) in [("Köln", "7"), ("(null)", "110"), ("aachen", "30.0"), ("Aachen", "-4")] {
        let references = [format!("city={city}"), format!("code={code}")];
        let more = ["--reference", &references[0], "--reference", &references[1]];
        let model = model_with(&place, &train, &more);
        let (found, _) = predicted(&place, "data.parquet");
        assert_within(1e-9, &found, &margins, city);
        let others = [effects(&model, 0, &owned(&rows.city), &ones).0, effects(&model, 1, &codes, &ones).0];
        let city = (city != "(null)").then(|| city.to_owned());
        let code = Some(code.trim_end_matches(".0").to_owned());
        assert_eq!(model["categories"][0]["levels"][0], json!(city));
        for (category, reference) in [(0, &city), (1, &code)] {
            assert_eq!(others[category][reference], 0.0);
            let expected: Vec<f64> = own[category].values().map(|effect| effect - own[category][reference]).collect();
            let found: Vec<f64> = others[category].values().copied().collect();
            assert_within(1e-9, &found, &expected, &format!("{reference:?}"));
            // The others keep their order.
            let order = |model: &Value| {
                let levels = model["categories"][category]["levels"].as_array().expect("levels").clone();
                let is_reference = |level: &Value| match level {
                    Value::Null => reference.is_none(),
                    Value::String(text) => Some(text) == reference.as_ref(),
                    other => Some(other.to_string()) == *reference,
                };
                levels.into_iter().filter(|level| !is_reference(level)).collect::<Vec<_>>()
            };
            assert_eq!(order(&model), order(&plain));
        }
        let intercept = number(&plain, "/intercept") + own[0][&city] + own[1][&code];
        assert!((number(&model, "/intercept") - intercept).abs() <= 1e-9, "{city:?}");
        // The reference stands in the table, too.
        let shown = place.done("inspect model.json").stdout;
        assert_eq!(shown.lines().filter(|line| line.trim_end().ends_with(" reference")).count(), 2, "{shown}");
    }
}

/// The first cut at a `=` that leaves the name of a column counts, wherever others are.
#[test]
fn a_column_with_an_equals_sign_in_its_name_has_a_reference_too() {
    let rows = Rows::new(false);
    let mut columns = rows.columns();
    let cities: ArrayRef = Arc::new(rows.city.iter().copied().collect::<StringArray>());
    set(&mut columns, "k=v", Arc::clone(&cities));
    let place = place_with(&columns);
    let train = "--label y --features x,k=v --quiet";
    let of = |reference: &str| {
        let model = model_with(&place, &format!("data.parquet {train}"), &["--reference", reference]);
        model["categories"][0]["levels"][0].clone()
    };
    assert_eq!([of("k=v=Bonn"), of("k=v =Köln")], [json!("Bonn"), json!("Köln")]);
    let words = ["--reference k=v=Ulm: the column has no such level"];
    assert_refused(&place, &format!("train data.parquet {train} --reference k=v=Ulm"), 3, &words);
    let words = ["--reference k: there is no such column"];
    assert_refused(&place, &format!("train data.parquet {train} --reference k=w=Bonn"), 3, &words);
    let words = ["--reference names `k=v` twice"];
    assert_refused(&place, &format!("train data.parquet {train} --reference k=v=Bonn --reference k=v=Ulm"), 2, &words);
    // Where both are columns, the shorter name counts.
    let texts: StringArray = (0..ROWS).map(|row| Some(["a", "v=Bonn"][row % 2])).collect();
    set(&mut columns, "k", Arc::new(texts));
    write(&place, "data.parquet", &columns, 500);
    let model = model_with(&place, "data.parquet --label y --features k,k=v", &["--reference", "k=v=Bonn"]);
    let first = |category: usize| model["categories"][category]["levels"][0].clone();
    assert_eq!([first(0), first(1)], [json!("v=Bonn"), json!("Aachen")]);
}

#[test]
fn references_that_mean_nothing_are_refused() {
    let place = place_with(&Rows::new(false).columns());
    let cases: [(&str, i32, &[&str]); 9] = [
        ("city=Ulm", 3, &["--reference city=Ulm: the column has no such level", "Its levels are: Aachen, Bonn, Köln"]),
        ("city=(null)", 3, &["no such level"]),
        ("city=", 3, &["no such level"]),
        ("code=8", 3, &["--reference code=8: the column has no such level", "-4, 7, 30, 110"]),
        ("code=(null)", 3, &["no such level"]),
        ("code=seven", 2, &["--reference seven cannot be a value of `code`, which is of type Int32"]),
        ("x=1", 3, &["--reference x: that column is no category of this model", "--categorical"]),
        ("nothing=1", 3, &["--reference nothing: there is no such column", "The columns are: x, city"]),
        ("city", 2, &["--reference city names no level", "COL=LEVEL"]),
    ];
    for (reference, code, words) in cases {
        assert_refused(&place, &format!("train data.parquet {TRAIN} --reference {reference}"), code, words);
    }
    for (flags, code, words) in [
        ("--categorical nothing", 3, &["--categorical nothing: there is no such column"] as &[&str]),
        ("--categorical code,code", 2, &["--categorical names `code` twice"]),
        ("--categorical y", 2, &["`y` is the label", "Take it out of --categorical"]),
    ] {
        assert_refused(&place, &format!("train data.parquet --label y {flags}"), code, words);
    }
}

// ---- how many -------------------------------------------------------------------------------------------------

/// `Rows::new(false)` with texts of so many values, evenly often.
fn with_levels(levels: usize, holes: bool) -> Columns {
    let mut columns = Rows::new(false).columns();
    let text = |row: usize| (!holes || row % 500 != 3).then(|| format!("t{:04}", row * 11 % levels));
    set(&mut columns, "id", Arc::new((0..ROWS).map(text).collect::<StringArray>()));
    columns
}

#[test]
fn texts_that_tell_rows_apart_are_left_out_unless_they_are_named() {
    let place = place_with(&with_levels(ROWS, false));
    let others = "--label y --ignore w,o --quiet";
    let model = place.model(&format!("data.parquet {others}"));
    let said = "text with too many levels for a category, left out unless named: id (more than 300)";
    assert_eq!((&model["training"]["warnings"], &model["training"]["left_out"]), (&json!([said]), &json!(["id"])));
    // It is a warning, and stands in the head of the table, which `inspect` shows too: every coefficient is another one.
    let run = place.done("train data.parquet --label y --ignore w,o --device cpu -o model.json");
    assert_says(&run.stderr, &[&format!("warning: {said}\n")]);
    let head = "\nleft out   id: text with too many levels, so that no coefficient allows for it\n";
    assert_says(&run.stdout, &[head]);
    let inspected = place.done("inspect model.json").stdout;
    assert_says(&inspected, &[head, &format!("\nwarning    {said}\n")]);
    let without = place.model(&format!("data.parquet {others} --ignore id"));
    assert_eq!((&without["training"]["warnings"], without["training"].get("left_out")), (&json!([]), None));
    assert_same_bits(&model, &without, "left out");
    // A pattern names what it means.
    let named =
        ["--features x,id", "--features x --categorical id", "--features x,i*", "--features x --categorical i*"];
    for named in named {
        let words = ["column `id` has more than 1000 levels", "--max-levels", "65000", "--ignore"];
        assert_refused(&place, &format!("train data.parquet --label y {named}"), 3, &words);
        let plan = format!("train data.parquet --label y {named} --max-levels 3000 --device cpu --dry-run");
        assert_says(&place.done(&plan).stdout, &["3000 rows x 3000 features (1 category of 3000 levels)"]);
        let words = ["column `id` has more than 2999 levels"];
        assert_refused(&place, &format!("train data.parquet --label y {named} --max-levels 2999"), 3, &words);
    }
    assert_refused(&place, "train data.parquet --label y --max-levels 1", 2, &["--max-levels 1 is out of range"]);
    assert_refused(&place, "train data.parquet --label y --max-levels 65001", 2, &["from 2 to 65000"]);
    for named in ["--features *", "--features i*"] {
        let words = ["column `id` has more than 1000 levels"];
        assert_refused(&place, &format!("train data.parquet --label y {named}"), 3, &words);
    }
    write(
        &place,
        "id.parquet",
        &rows_of(
            &with_levels(ROWS, false).into_iter().filter(|(name, _)| ["id", "y"].contains(name)).collect(),
            0..ROWS,
        ),
        ROWS,
    );
    assert_refused(&place, "train id.parquet --label y", 3, &["no feature is left", "id (more than 300)"]);
    let words = ["--reference id: that column is no category"];
    assert_refused(&place, "train data.parquet --label y --reference id=t0000", 3, &words);
    // The list of the levels ends.
    let words = ["Its levels are: t0000, t0001, ", ", t0018, t0019 and 2980 more"];
    let wrong = "train data.parquet --label y --features id --max-levels 3000 --reference id=t";
    assert_refused(&place, wrong, 3, &words);
}

/// A factor of few levels is one however few the rows: without it the others have the coefficients of another model.
#[test]
fn a_text_of_twenty_levels_is_a_factor_whatever_the_rows() {
    let place = Place::new();
    for (file, rows, levels, weight, flags, is_in) in [
        // Fewer than ten rows a level.
        ("three", 28, 3, 1.0, "", true),
        ("twenty", 44, 20, 1.0, "", true),
        ("more", 44, 21, 1.0, "", false),
        ("named", 44, 21, 1.0, "--features x,g", true),
        ("pattern", 44, 21, 1.0, "--features *", true),
        ("limited", 44, 20, 1.0, "--max-levels 19", false),
        // Ten rows a level: those that the weights count, and not those of the population that they stand for.
        ("counts", 44, 21, 5.0, "--weight w", true),
        ("few", 44, 21, 4.75, "--weight w", false),
        ("sample", 44, 21, 5.0, "--weight w --weight-kind sampling", false),
        ("large_sample", 215, 21, 1e-3, "--weight w --weight-kind sampling", true),
        ("plain", 215, 21, 1e-3, "--ignore w", true),
    ] {
        // Every level has rows of both classes.
        let y: BooleanArray = (0..rows).map(|row| Some((row / levels) % 2 == 1)).collect();
        let columns: Columns = vec![
            ("x", f64s(&(0..rows).map(|row| (row * 7 % 10) as f64).collect::<Vec<_>>())),
            ("g", Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("g{:02}", row % levels))))),
            ("w", f64s(&vec![weight; rows])),
            ("y", Arc::new(y)),
        ];
        write(&place, "data.parquet", &columns, rows);
        let flags = if flags.contains('w') { flags.to_owned() } else { format!("{flags} --ignore w") };
        let model = place.model(&format!("data.parquet --label y {flags} --l2 0.1"));
        let found = model["features"].as_array().expect("features").iter().filter(|feature| feature["kind"] == "level");
        assert_eq!(found.count(), if is_in { levels - 1 } else { 0 }, "{file}");
        let left_out = if is_in { None } else { Some(&json!(["g"])).cloned() };
        assert_eq!(model["training"].get("left_out").cloned(), left_out, "{file}");
    }
}

/// Simpson's paradox: of all 24 rows of admissions to Berkeley by department, the coefficient of `Gender` without `Dept` has
/// the other sign.
#[test]
fn a_default_run_on_berkeley_says_what_r_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/r");
    let text = fs::read_to_string(folder.join("ucb.ref.json")).expect("the reference is there");
    let reference: Value = serde_json::from_str(&text).expect("JSON");
    let place = Place::new();
    fs::copy(folder.join("ucb.parquet"), place.path("ucb.parquet")).expect("a copy");
    for device in ["cpu", "gpu"] {
        if device == "gpu" && !has_adapter() {
            continue;
        }
        let train = "train ucb.parquet --label Admit --positive Admitted --weight Freq --inference";
        let run = place.done(&format!("{train} --device {device} --json"));
        // 4,526 people in 24 rows are counts, and no reason to warn.
        assert!(!run.stderr.contains("warning"), "{run:?}");
        let model = run.json();
        let known: Vec<&str> =
            reference["names"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let values = |part: &str| -> Vec<f64> {
            reference[part].as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
        };
        let by_name = |part: &str| -> Vec<f64> {
            names(&model)
                .iter()
                .map(|name| {
                    values(part)[known.iter().position(|known| known == name).unwrap_or_else(|| panic!("{name}"))]
                })
                .collect()
        };
        let (expected, expected_errors) = (by_name("coef"), by_name("se"));
        assert_eq!(expected.len(), 6);
        let difference = largest(&coefficients(&model), &expected, |i| expected_errors[i]);
        assert!(difference <= 1e-4, "{device}: {difference:e}");
        let difference = largest(&errors_of_features(&model), &expected_errors, |i| expected_errors[i]);
        assert!(difference <= 1e-4, "{device}: {difference:e}");
    }
}

#[test]
fn the_limit_is_the_same_however_the_rows_are_cut() {
    let place = Place::new();
    let dry = "--label y --ignore w,o --device cpu --dry-run";
    for (levels, holes, flags, is_in) in [
        (300, false, "", true),
        (301, false, "", false),
        (300, false, "--max-levels 299", false),
        (300, false, "--max-levels 300", true),
        // Rows without a value are a level, if they are one.
        (300, true, "--nulls indicator", false),
        (299, true, "--nulls indicator", true),
        // A column that is left out may have any.
        (301, true, "", false),
        (301, true, "--nulls mean", false),
        (ROWS, true, "", false),
    ] {
        for group in [ROWS, 200] {
            write(&place, "data.parquet", &with_levels(levels, holes), group);
            let plan = place.done(&format!("train data.parquet {dry} {flags}")).stdout;
            let features = if is_in { 6 + levels - 1 + usize::from(holes) } else { 6 };
            let categories = if is_in { "2 categories" } else { "1 category" };
            assert_says(&plan, &[&format!("3000 rows x {features} features ({categories}")]);
        }
    }
    // And where it is in, what it misses is told.
    for group in [ROWS, 200] {
        write(&place, "data.parquet", &with_levels(30, true), group);
        let words = ["category `id` is missing (null) in 6 rows; first rows, from 0: 3, 503, 1003, 1503, 2003"];
        assert_refused(&place, "train data.parquet --label y --ignore w,o", 3, &words);
    }
}

#[test]
fn a_dry_run_says_what_categories_there_are() {
    let place = place_with(&Rows::new(true).columns());
    for (flags, features, list) in [
        ("--features x", 1, "x 1 feature on"),
        ("--features x,city --nulls drop-row", 5, "x 5 features (1 category of 5 levels) on"),
        ("--features x,city --nulls indicator", 6, "x 6 features (1 category of 6 levels) on"),
        (
            "--features x,city,code --categorical code --nulls indicator",
            9,
            "x 9 features (2 categories with 10 levels) on",
        ),
        // A time, a boolean, a float: whatever has values.
        ("--features x --categorical w,code", 7, "x 7 features (2 categories with 8 levels) on"),
    ] {
        let run = format!("train data.parquet --label y --device cpu {flags} --dry-run");
        assert_says(&place.done(&run).stdout, &[list]);
        let plan = place.done(&format!("{run} --json")).json();
        assert_eq!(number(&plan, "/plan/features"), f64::from(features), "{flags}");
        let model = place.model(&format!("data.parquet --label y {flags}"));
        assert_eq!(names(&model).len(), features as usize);
        let counted: usize = model["categories"].as_array().map_or(0, |categories| {
            categories.iter().map(|category| category["levels"].as_array().map_or(0, Vec::len)).sum()
        });
        let said = plan["plan"]["levels"].as_u64().unwrap_or(0);
        assert_eq!(said, counted as u64, "{plan}");
    }
}

#[test]
fn texts_that_say_nothing_are_left_out() {
    let rows = Rows::new(false);
    let mut columns = rows.columns();
    set(&mut columns, "always", Arc::new(StringArray::from(vec!["Bonn"; ROWS])));
    set(&mut columns, "never", Arc::new(StringArray::from(vec![None::<&str>; ROWS])));
    let place = place_with(&columns);
    let others = "--label y --ignore w,o --quiet";
    let plain = place.model(&format!("data.parquet {others} --ignore always,never"));
    for (policy, never) in [("drop-row", "never (always missing)"), ("indicator", "never (always (null))")] {
        let model = place.model(&format!("data.parquet {others} --nulls {policy}"));
        assert_says(&notes(&model), &["constant, left out: always (always Bonn), ", never]);
        assert_eq!((names(&model), bits(&model)), (names(&plain), bits(&plain)), "{policy}");
        assert_eq!(number(&model, "/training/rows"), ROWS as f64);
    }
    for policy in ["error", "mean"] {
        let words = ["category `never` is missing (null) in 3000 rows", "--nulls drop-row"];
        assert_refused(&place, &format!("train data.parquet {others} --nulls {policy}"), 3, &words);
    }
    let words = ["no feature is left", "constant, left out: always (always Bonn)"];
    assert_refused(&place, "train data.parquet --label y --features always", 3, &words);
}

#[test]
fn numbers_that_cannot_be_levels_are_refused_with_their_row() {
    let mut columns = Rows::new(false).columns();
    // 2^53 and its neighbours are one f64.
    let near = |row: usize| if row == 1_777 { 9_007_199_254_740_993 } else { row as i64 % 3 };
    set(&mut columns, "id", Arc::new(Int64Array::from_iter_values((0..ROWS).map(near))));
    let far = |row: usize| if row == 2_001 { f64::NEG_INFINITY } else { (row % 4) as f64 };
    set(&mut columns, "f", Arc::new(Float64Array::from_iter_values((0..ROWS).map(far))));
    let place = place_with(&columns);
    let words = ["category `id` is beyond 9e15 (2^53)", "in row 1777, from 0", "as text"];
    assert_refused(&place, "train data.parquet --label y --features x --categorical id", 3, &words);
    let words = ["category `f` is infinite in row 2001, from 0"];
    assert_refused(&place, "train data.parquet --label y --features x --categorical f", 3, &words);
    // NaN is missing, and -0 is 0.
    let value = |row: usize| [0.0, -0.0, 1.5, f64::NAN][row % 4];
    set(&mut columns, "f", Arc::new(Float64Array::from_iter_values((0..ROWS).map(value))));
    write(&place, "data.parquet", &columns, 500);
    let model = place.model("data.parquet --label y --features x --categorical f --nulls indicator");
    let expected = json!([{"column": "f", "kind": "numeric", "levels": [0, 1.5, null], "rows": [1500, 750, 750]}]);
    assert_eq!(model["categories"], expected);
    assert_eq!(names(&model), ["x", "f=1.5", "f=(null)"]);
}

// ---- hostile names --------------------------------------------------------------------------------------------

#[test]
fn levels_of_any_name_come_back_right() {
    let long = "long ".repeat(2_000);
    let hostile = [
        "",
        " ",
        "=",
        "a=b",
        "'q'",
        "\"qq\"",
        "line\nbreak",
        "(nul)",
        &long,
        "Zürich 東京 🚲",
        "a,b",
        "null",
        "1",
        "\t",
        "\u{0}",
    ];
    let rows = Rows::new(false);
    let texts: Vec<Option<&str>> = (0..ROWS).map(|row| hostile.get(row * 7 % 16).copied()).collect();
    let mut columns = rows.columns();
    set(&mut columns, "g", Arc::new(texts.iter().copied().collect::<StringArray>()));
    let place = place_with(&columns);
    let train = "data.parquet --label y --features x,g --nulls indicator --quiet -o model.json";
    let model = place.model(train);
    let levels = model["categories"][0]["levels"].as_array().expect("levels");
    let mut sorted: Vec<Value> = hostile.iter().map(|text| json!(text)).collect();
    sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    sorted.push(Value::Null);
    assert_eq!(*levels, sorted);
    assert_eq!(serde_json::from_slice::<Value>(&place.read("model.json")).expect("JSON"), model);
    for (level, rows) in levels.iter().zip(model["categories"][0]["rows"].as_array().expect("rows")) {
        let count = texts.iter().filter(|text| level.as_str() == **text).count();
        assert_eq!(rows, count, "{level}");
    }
    let ones = vec![1.0; ROWS];
    let check = |model: &Value| {
        let (effects, _) = effects(model, 0, &owned(&texts), &ones);
        let expected: Vec<f64> = (0..ROWS)
            .map(|row| {
                let x = number(&model["features"][0], "/coefficient") * rows.x[row];
                number(model, "/intercept") + x + effects[&texts[row].map(str::to_owned)]
            })
            .collect();
        let (found, said) = predicted(&place, "data.parquet");
        assert_within(1e-12, &found, &expected, "hostile");
        assert!(!said.contains("not seen"), "{said}");
    };
    check(&model);
    let (margins, _) = predicted(&place, "data.parquet");
    for reference in ["", " ", "=", "a=b", "line\nbreak", &long, "Zürich 東京 🚲", "(null)", "1"] {
        let flag = format!("g={reference}");
        let model = model_with(&place, train, &["--reference", &flag]);
        let first = &model["categories"][0]["levels"][0];
        assert_eq!(*first, if reference == "(null)" { Value::Null } else { json!(reference) });
        check(&model);
        assert_within(1e-3, &predicted(&place, "data.parquet").0, &margins, "another reference");
    }
    for command in ["inspect model.json --json", "evaluate -m model.json data.parquet"] {
        place.done(command);
    }
    // A line for each level, whatever it is called.
    let table = place.done("inspect model.json").stdout;
    assert_says(&table, &["g=line\\nbreak ", "g='\\t' ", "g='' ", "g='long long"]);
    assert!(table.lines().all(|line| line.chars().count() < 150 || line.starts_with("command")), "{table}");
}

#[test]
fn a_text_called_as_the_level_of_nulls_is_refused_beside_nulls() {
    let texts: StringArray = (0..ROWS).map(|row| [Some("(null)"), Some("b"), None][row % 3]).collect();
    let mut columns = Rows::new(false).columns();
    set(&mut columns, "g", Arc::new(texts));
    let place = place_with(&columns);
    let train = "train data.parquet --label y --features x,g --quiet -o model.json";
    // With rows of either kind both levels would have the same name, unless one of them is the reference.
    let refused = place.run(&format!("{train} --nulls indicator --reference g=b"));
    assert_eq!((refused.code, place.path("model.json").exists()), (Some(3), false), "{refused:?}");
    assert_says(&refused.stderr, &["two features would be called `g=(null)`", "Rename", "--ignore"]);
    // Where the rows without a value are left out, the text is the only one of that name.
    let model = model_with(
        &place,
        "data.parquet --label y --features x,g --quiet -o model.json --nulls drop-row",
        &["--reference", "g=(null)"],
    );
    assert_eq!(model["categories"][0]["levels"][0], "(null)");
}

// ---- levels that a model has not seen -------------------------------------------------------------------------

#[test]
fn levels_that_are_new_count_as_the_average() {
    for (policy, holes, flags) in [
        ("error", false, ""),
        ("error", false, "--weight w"),
        ("drop-row", true, ""),
        ("mean", false, ""),
        ("indicator", true, "--weight w"),
        // No row missed a city in the training, so there is no level for that.
        ("indicator", false, ""),
    ] {
        let rows = Rows::new(holes);
        let place = place_with(&rows.columns());
        let model = place.model(&format!("data.parquet {TRAIN} --nulls {policy} {flags} -o model.json"));
        // What the rows of the training say, from their texts.
        let used: Vec<usize> = (0..ROWS).filter(|&row| policy != "drop-row" || rows.city[row].is_some()).collect();
        let weight = |row: usize| if flags.is_empty() { 1.0 } else { rows.w[row] };
        let w: Vec<f64> = used.iter().map(|&row| weight(row)).collect();
        let cities: Vec<Option<String>> = used.iter().map(|&row| rows.city[row].map(str::to_owned)).collect();
        let codes: Vec<Option<String>> = used.iter().map(|&row| Some(rows.code[row].to_string())).collect();
        let (of_city, average_city) = effects(&model, 0, &cities, &w);
        let (of_code, average_code) = effects(&model, 1, &codes, &w);
        // New rows: other cities from row 1000 on, codes here and there, and cities that are missing if that has a rule.
        let mut new = Rows::new(false);
        for row in 0..ROWS {
            if row >= 1_000 && row % 3 == 0 {
                new.city[row] = Some(["Ulm", "bonn", "", "Aachen "][row % 4]);
            }
            if row % 50 == 49 {
                new.code[row] = row as i32;
            }
            if policy != "error" && row % 100 == 17 {
                new.city[row] = None;
            }
        }
        write(&place, "new.parquet", &new.columns(), 310);
        let is_new_city = |row: usize| new.city[row].is_some_and(|city| !CITIES.contains(&city));
        let expected: Vec<f64> = (0..ROWS)
            .map(|row| {
                let x = number(&model["features"][0], "/coefficient") * new.x[row];
                let code = of_code.get(&Some(new.code[row].to_string())).copied().unwrap_or(average_code);
                let city = match of_city.get(&new.city[row].map(str::to_owned)) {
                    Some(effect) => *effect,
                    None if new.city[row].is_none() && policy == "drop-row" => f64::NAN,
                    None => average_city,
                };
                number(&model, "/intercept") + x + city + code
            })
            .collect();
        let new_cities = (0..ROWS).filter(|&row| is_new_city(row)).count();
        let first = (0..ROWS).find(|&row| is_new_city(row)).and_then(|row| new.city[row]).expect("there are some");
        // An empty text would not be seen.
        let first = if first.is_empty() { "''" } else { first };
        let warnings = [
            format!("{new_cities} rows have levels of `city` that the model has not seen (the first is {first}): "),
            "60 rows have levels of `code` that the model has not seen (the first is 49): ".to_owned(),
        ];
        for threads in ["", "--threads 1"] {
            let (found, said) = predicted(&place, &format!("new.parquet {threads}"));
            let missing = |z: &[f64]| z.iter().map(|z| z.is_nan()).collect::<Vec<_>>();
            assert_eq!(missing(&found), missing(&expected), "{policy}");
            let there = |z: &[f64]| z.iter().copied().filter(|z| !z.is_nan()).collect::<Vec<_>>();
            assert_within(1e-12, &there(&found), &there(&expected), policy);
            assert_says(&said, &warnings.each_ref().map(String::as_str));
        }
        assert_eq!(expected.iter().filter(|z| z.is_nan()).count(), if policy == "drop-row" { 30 } else { 0 });
        // The same in the metrics.
        let run = place.done("evaluate -m model.json new.parquet --json");
        assert_says(&run.stderr, &warnings.each_ref().map(String::as_str));
        let losses: Vec<f64> = (0..ROWS)
            .filter(|&row| !expected[row].is_nan())
            .map(|row| (1.0 + (if new.y[row] { -expected[row] } else { expected[row] }).exp()).ln())
            .collect();
        let found = run.json();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((number(&found, "/metrics/log_loss") - loss).abs() <= 1e-12, "{policy}");
        assert_eq!(number(&found, "/metrics/rows"), losses.len() as f64);
        // A file without them has no warning, and rows that a condition leaves out are not counted.
        assert!(!place.done("evaluate -m model.json data.parquet --quiet --limit 5").stderr.contains("not seen"));
        let (_, said) = predicted(&place, "new.parquet --limit 900");
        assert!(said.contains("18 rows have levels of `code`") && !said.contains("`city`"), "{said}");
        // What is missing is told where there is no rule.
        if policy == "error" {
            new.city[1_234] = None;
            write(&place, "holes.parquet", &new.columns(), 310);
            let words = ["no value of city in row 1234, from 0", "no rule"];
            assert_refused(&place, "predict -m model.json holes.parquet -o out.csv", 3, &words);
            assert_refused(&place, "evaluate -m model.json holes.parquet", 3, &words);
        }
    }
}

#[test]
fn a_model_whose_levels_were_changed_is_refused() {
    let place = place_with(&Rows::new(true).columns());
    let model = place.model(&format!("data.parquet {TRAIN} --nulls indicator -o model.json"));
    let mut changes: Vec<(&str, Value)> = Vec::new();
    let mut change = |what: &'static str, change: &dyn Fn(&mut Value)| {
        let mut other = model.clone();
        change(&mut other);
        assert_ne!(other, model, "{what}");
        changes.push((what, other));
    };
    change("another level", &|m| m["categories"][0]["levels"][1] = json!("Berlin"));
    change("levels in another order", &|m| {
        m["categories"][0]["levels"].as_array_mut().expect("levels").swap(1, 2);
    });
    change("a level less", &|m| drop(m["categories"][0]["levels"].as_array_mut().expect("levels").pop()));
    change("a level more", &|m| m["categories"][1]["levels"].as_array_mut().expect("levels").push(json!(200)));
    change("the reference twice", &|m| m["categories"][0]["levels"][0] = m["categories"][0]["levels"][1].clone());
    change("no levels", &|m| m["categories"][0]["levels"] = json!([]));
    change("no category", &|m| drop(m["categories"].as_array_mut().expect("categories").remove(0)));
    change("no categories", &|m| drop(m.as_object_mut().expect("a model").remove("categories")));
    change("categories in another order", &|m| m["categories"].as_array_mut().expect("categories").reverse());
    change("a feature less", &|m| drop(m["features"].as_array_mut().expect("features").remove(2)));
    change("features in another order", &|m| m["features"].as_array_mut().expect("features").swap(1, 3));
    change("a feature of another column", &|m| m["features"][2]["category"] = json!("code"));
    change("a feature that is no level", &|m| {
        drop(m["features"][2].as_object_mut().expect("a feature").remove("category"));
    });
    change("a level of another name", &|m| m["features"][2]["name"] = json!("city=Ulm"));
    assert_eq!(changes.len(), 14);
    for (what, other) in changes {
        fs::write(place.path("model.json"), other.to_string()).expect("the model is written");
        for command in ["predict -m model.json data.parquet -o out.csv", "evaluate -m model.json data.parquet"] {
            let run = place.run(command);
            assert_eq!(run.code, Some(3), "{what}: {run:?}");
            assert_says(&run.stderr, &["model.json is a damaged model"]);
            assert!(!place.files().contains(&"out.csv".to_owned()), "{what}");
        }
    }
    // As it was it is none.
    fs::write(place.path("model.json"), model.to_string()).expect("the model is written");
    place.done("evaluate -m model.json data.parquet");
}

// ---- more levels than a whole Hessian pays for ----------------------------------------------------------------

/// A feature and categories with so many levels, drawn alike, whose effects are drawn too.
fn crowded(rows: usize, levels: &[usize]) -> Columns {
    let mut random = Random(41);
    let x: Vec<f64> = (0..rows).map(|_| (random.unit() * 4_096.0).floor() / 1_024.0 - 2.0).collect();
    let mut margins: Vec<f64> = x.iter().map(|x| 0.5 * x).collect();
    let mut columns = vec![("x", f64s(&x))];
    for (name, &count) in ["a", "b"].into_iter().zip(levels) {
        let effects: Vec<f64> = (0..count).map(|_| random.unit() - 0.5).collect();
        let codes: Vec<usize> = (0..rows).map(|_| (random.unit() * count as f64) as usize).collect();
        margins.iter_mut().zip(&codes).for_each(|(z, &code)| *z += effects[code]);
        columns.push((name, Arc::new(StringArray::from_iter_values(codes.iter().map(|code| format!("l{code:04}"))))));
    }
    let y: Vec<bool> = margins.iter().map(|&z| random.label(z)).collect();
    columns.push(("y", Arc::new(BooleanArray::from(y))));
    columns
}

/// One category beyond the limit and two: the answer is that of the whole Hessian, or of a method that uses none, and it
/// takes a few iterations as ever.
#[test]
fn thousands_of_levels_take_no_more_iterations_than_a_few() {
    for (levels, other, most) in
        [(&[1_100, 5][..], "--preconditioner hessian", 9), (&[1_100, 1_050], "--solver lbfgs", 14)]
    {
        let place = Place::new();
        write(&place, "data.parquet", &crowded(60_000, levels), 25_000);
        let train = "data.parquet --label y --max-levels 2000 --l2 1e-5 --quiet -o model.json";
        let model = place.model(train);
        assert_eq!(model["training"]["delta_is_approximate"], true);
        let iterations = number(&model, "/training/iterations");
        assert!(iterations <= f64::from(most), "{levels:?}: {iterations} iterations");
        assert_eq!(model["training"]["status"], "converged");
        let whole = place.model(&format!("{train} {other}"));
        let (found, expected) = (coefficients(&model), coefficients(&whole));
        assert_eq!(found.len(), 1 + levels.iter().sum::<usize>() - levels.len());
        // A level has about fifty rows, and its effect a standard error of about 0.3.
        assert_within(1e-4, &found, &expected, "coefficients");
    }
}

/// A level that only one class has grows without end, and is named although no whole Hessian is taken.
#[test]
fn a_level_of_one_class_among_thousands_is_named() {
    let mut columns = crowded(60_000, &[1_100, 5]);
    let (a, y) = (columns[1].1.as_string::<i32>(), columns[3].1.as_boolean());
    let labels: BooleanArray = (0..60_000).map(|row| Some(y.value(row) || a.value(row) == "l0777")).collect();
    set(&mut columns, "y", Arc::new(labels));
    let place = Place::new();
    write(&place, "data.parquet", &columns, 60_000);
    let model = place.model("data.parquet --label y --max-levels 2000 --quiet -o model.json");
    assert_eq!(model["training"]["status"], "separated");
    assert_says(&model["training"]["warnings"].to_string(), &["the columns that separate: a=l0777\""]);
    // Nobody reads a thousand lines: the table has the first levels of each category, and says so.
    let table = place.done("inspect model.json").stdout;
    assert_says(&table, &["a=l0000", "reference", "a=l0030", "1069 more levels, in the model", "b=l0004"]);
    assert!(!table.contains("a=l0031") && table.lines().count() < 60, "{table}");
}

/// What comes after the solver, where big categories are not centred: standard errors, the intercept's among them, and
/// passes in double precision. All as with the whole Hessian, in whose coordinates every column is centred.
#[test]
fn thousands_of_levels_have_the_inference_of_the_whole_hessian() {
    let place = Place::new();
    let mut columns = crowded(40_000, &[1_100, 5]);
    let mut random = Random(43);
    let weights: Vec<f64> = (0..40_000).map(|_| 1.0 + (random.unit() * 3.0).floor()).collect();
    set(&mut columns, "w", f64s(&weights));
    write(&place, "data.parquet", &columns, 25_000);
    for flags in ["--inference", "--inference --no-intercept --verify", "--robust --weight w --refine"] {
        let train = format!("data.parquet --label y --features x,a,b --max-levels 2000 --quiet {flags}");
        let [found, whole] = ["", "--preconditioner hessian"].map(|other| place.model(&format!("{train} {other}")));
        assert_eq!(found["training"]["delta_is_approximate"] == true, flags == "--inference", "{flags}");
        let has_intercept = !flags.contains("--no-intercept");
        let of = |model: &Value| if has_intercept { errors(model) } else { errors_of_features(model) };
        let skipped = usize::from(!has_intercept);
        let (unit, a, b) = (of(&whole), &estimates(&found)[skipped..], &estimates(&whole)[skipped..]);
        assert_eq!(unit.len(), usize::from(has_intercept) + 1 + 1_099 + 4);
        let apart = largest(a, b, |index| unit[index]);
        assert!(apart <= 2e-5, "{flags}: {apart:e} standard errors");
        let apart = largest(&of(&found), &unit, |index| unit[index]);
        // What is promised of standard errors: both runs end up to 5e-6 standard errors away from the optimum.
        assert!(apart <= 1e-5, "{flags}: standard errors {apart:e}");
        if flags.contains("--refine") {
            assert_within(1e-10, a, b, flags);
        }
        if flags != "--inference" {
            let most = if flags.contains("--refine") { 1e-10 } else { 1e-4 };
            assert!([&found, &whole].iter().all(|model| number(model, "/training/verified/delta") <= most), "{flags}");
        }
    }
}
