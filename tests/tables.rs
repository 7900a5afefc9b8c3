//! Tables end to end: several files as one, chosen rows, missing values, dates, structs and lists, predictions and their
//! metrics, each against what was worked out here by hand.

#[allow(dead_code, reason = "each test file uses its part of what they share")]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
    UInt32Array,
};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use common::{Place, Random, Run, coefficients, number, write_parquet};

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 3_000;
const GROUPS: [&str; 3] = ["a", "b", "c"];

type Columns = Vec<(&'static str, ArrayRef)>;

/// `id`, the features `x`, `k` and `f`, a text `g`, and the label `y`, far from separable.
fn table() -> Columns {
    let mut random = Random(11);
    let x: Vec<f64> = (0..ROWS).map(|_| (random.unit() * 4_096.0).floor() / 1_024.0 - 2.0).collect();
    let k: Vec<i32> = (0..ROWS).map(|_| (random.unit() * 50.0) as i32 - 10).collect();
    let f: Vec<bool> = (0..ROWS).map(|_| random.unit() < 0.3).collect();
    let y: Vec<bool> =
        (0..ROWS).map(|i| random.label(0.8 * x[i] - 0.05 * f64::from(k[i]) + if f[i] { 0.7 } else { 0.2 })).collect();
    vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("x", Arc::new(Float64Array::from(x))),
        ("k", Arc::new(Int32Array::from(k))),
        ("f", Arc::new(BooleanArray::from(f))),
        ("g", Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| GROUPS[row * 7 % 5 % 3])))),
        ("y", Arc::new(BooleanArray::from(y))),
    ]
}

/// Trains on `x`, `k` and `f` of a table.
const TRAIN: &str = "--label y --ignore id --quiet";

/// `table()` with values missing in `x`, as null and as NaN, and in `k`, as null.
fn with_holes() -> Columns {
    let mut columns = table();
    let x = numbers(&columns, "x");
    let holes = x.iter().enumerate().map(|(row, &x)| match row % 20 {
        3 => None,
        8 => Some(f64::NAN),
        _ => Some(x),
    });
    set(&mut columns, "x", Arc::new(holes.collect::<Float64Array>()));
    let k = numbers(&columns, "k");
    let holes = k.iter().enumerate().map(|(row, &k)| (row % 11 != 5).then_some(k as i32));
    set(&mut columns, "k", Arc::new(holes.collect::<Int32Array>()));
    columns
}

fn column(columns: &Columns, name: &str) -> ArrayRef {
    let found = columns.iter().find(|(other, _)| *other == name);
    Arc::clone(&found.unwrap_or_else(|| panic!("no {name}")).1)
}

/// Puts `array` in place of a column, or behind the others.
fn set(columns: &mut Columns, name: &'static str, array: ArrayRef) {
    match columns.iter_mut().find(|(other, _)| *other == name) {
        Some((_, old)) => *old = array,
        None => columns.push((name, array)),
    }
}

/// A column as f64, NaN where it is missing.
fn numbers(columns: &Columns, name: &str) -> Vec<f64> {
    floats(&column(columns, name))
}

fn floats(array: &ArrayRef) -> Vec<f64> {
    let array = cast(array, &DataType::Float64).expect("a column of numbers");
    array.as_primitive::<Float64Type>().iter().map(|x| x.unwrap_or(f64::NAN)).collect()
}

/// These rows of all columns, in this order.
fn rows_of(columns: &Columns, rows: &[usize]) -> Columns {
    let indices = UInt32Array::from_iter_values(rows.iter().map(|&row| row as u32));
    columns.iter().map(|(name, array)| (*name, take(array, &indices, None).expect("rows that are there"))).collect()
}

/// The rows of which `keep` is true.
fn rows_where(keep: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..ROWS).filter(|&row| keep(row)).collect()
}

/// Writes `columns` as `name`, in folders that are made.
fn write(place: &Place, name: &str, columns: &Columns, group: usize) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    write_parquet(&path, columns, group);
}

/// Writes the rows from each of `cuts` to the next as the files `names`, with row groups of other sizes.
fn write_cut(place: &Place, columns: &Columns, names: [&str; 3], cuts: [usize; 2]) {
    let rows = columns[0].1.len();
    let ends = [cuts[0], cuts[1], rows];
    for (index, name) in names.into_iter().enumerate() {
        let first = if index == 0 { 0 } else { ends[index - 1] };
        let part: Vec<usize> = (first..ends[index]).collect();
        write(place, name, &rows_of(columns, &part), 170 + 300 * index);
    }
}

/// A place with `data.parquet` of these columns, in row groups of 500, and the same as `one.parquet` in one.
fn place_with(columns: &Columns) -> Place {
    let place = Place::new();
    write(&place, "data.parquet", columns, 500);
    write(&place, "one.parquet", columns, usize::MAX);
    place
}

// ---- checks ---------------------------------------------------------------------------------------------------

/// The intercept and all coefficients, to the last bit.
fn bits(model: &Value) -> Vec<u64> {
    assert_eq!(model["training"]["status"], "converged", "{model:#}");
    [number(model, "/intercept")].into_iter().chain(coefficients(model)).map(f64::to_bits).collect()
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

/// Asserts that the arguments are refused with this code and these words.
#[track_caller]
fn assert_refused(place: &Place, arguments: &str, code: i32, words: &[&str]) {
    let run = refused(place, arguments, code);
    assert_says(&run.stderr, words);
}

#[track_caller]
fn refused(place: &Place, arguments: &str, code: i32) -> Run {
    let run = place.run(arguments);
    assert_eq!(run.code, Some(code), "{arguments}: {run:?}");
    assert!(run.stdout.is_empty() && run.stderr.contains("error: ") && !run.stderr.contains("panicked"), "{run:?}");
    run
}

/// The program with an argument that has blanks in it.
fn with_condition(place: &Place, arguments: &str, condition: &str) -> Run {
    Run::of(place.command(arguments).args(["--where", condition]).output().expect("the program starts"))
}

/// The model of the rows that meet a condition.
fn model_where(place: &Place, arguments: &str, condition: &str) -> Value {
    let run = with_condition(place, &format!("train {arguments} --device cpu --json"), condition);
    assert_eq!(run.code, Some(0), "{condition}: {run:?}");
    run.json()
}

/// What the rounding of moments in another order may change.
const LAST_DIGITS: f64 = 1e-12;

/// Asserts that two models have the same intercept and coefficients but for the last digits.
#[track_caller]
fn assert_close(found: &Value, expected: &Value, tolerance: f64) {
    let of = |model: &Value| [vec![number(model, "/intercept")], coefficients(model)].concat();
    let (found, expected) = (of(found), of(expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(0.1), "{found} instead of {expected}");
    }
}

fn names(model: &Value) -> Vec<&str> {
    let features = model["features"].as_array().expect("features");
    features.iter().map(|feature| feature["name"].as_str().expect("a name")).collect()
}

fn notes(model: &Value) -> String {
    model["training"]["notes"].to_string()
}

// ---- several files as one table -------------------------------------------------------------------------------

/// Writes `table()` as three files in `d`, cut where `data.parquet` has row groups.
fn write_parts(place: &Place) {
    for (name, rows) in [("d/1.parquet", 0..1_000), ("d/2.parquet", 1_000..1_500), ("d/3.parquet", 1_500..ROWS)] {
        write(place, name, &rows_of(&table(), &rows.collect::<Vec<_>>()), 500);
    }
}

#[test]
fn files_give_the_bits_of_one_file_with_the_same_rows() {
    let place = place_with(&table());
    let whole = place.model(&format!("data.parquet {TRAIN}"));
    assert_eq!(bits(&whole).len(), 4);
    write_parts(&place);
    for data in ["d/1.parquet d/2.parquet d/3.parquet", "d", "d/*.parquet", "d/[123]*"] {
        let model = place.model(&format!("{data} {TRAIN}"));
        assert_eq!(bits(&model), bits(&whole), "{data}");
        assert_eq!(model["training"]["files"].as_array().map(Vec::len), Some(3), "{data}");
    }
    // Other row groups change the rounding of the moments: the last digits, no more.
    write_cut(&place, &table(), ["e/1.parquet", "e/2.parquet", "e/3.parquet"], [1_001, 1_900]);
    write(&place, "small.parquet", &table(), 97);
    for data in ["e", "one.parquet", "small.parquet"] {
        assert_close(&place.model(&format!("{data} {TRAIN}")), &whole, LAST_DIGITS);
    }
    // Other rows are another model, by far more.
    let fewer = place.model(&format!("d/1.parquet d/2.parquet {TRAIN}"));
    assert!(coefficients(&fewer).iter().zip(coefficients(&whole)).all(|(a, b)| (a - b).abs() > 1e-6 * b.abs()));
}

#[test]
fn the_order_of_columns_in_a_file_does_not_matter() {
    let place = place_with(&table());
    let whole = bits(&place.model(&format!("data.parquet {TRAIN}")));
    write_parts(&place);
    let mut second = rows_of(&table(), &(1_000..1_500).collect::<Vec<_>>());
    second.reverse();
    second.swap(1, 3);
    write(&place, "d/2.parquet", &second, 500);
    let model = place.model(&format!("d {TRAIN}"));
    assert_eq!(names(&model), ["x", "k", "f"]);
    assert_eq!(bits(&model), whole);
}

#[test]
fn a_schema_that_differs_is_refused_with_both_files_and_the_column() {
    let place = place_with(&table());
    let mut other = table();
    set(&mut other, "k", Arc::new(Float32Array::from(vec![1.0; ROWS])));
    write(&place, "type.parquet", &other, ROWS);
    write(&place, "less.parquet", &table().into_iter().filter(|(name, _)| *name != "k").collect(), ROWS);
    let mut more = table();
    set(&mut more, "extra", column(&table(), "k"));
    write(&place, "more.parquet", &more, ROWS);
    for (file, words) in [
        ("type.parquet", &["column `k` is Int32 in data.parquet and Float32 in type.parquet"] as &[&str]),
        ("less.parquet", &["less.parquet has no column `k`, which data.parquet has"]),
        ("more.parquet", &["more.parquet has the column `extra`, which data.parquet has not"]),
    ] {
        assert_refused(&place, &format!("train data.parquet {file} {TRAIN}"), 3, words);
    }
}

#[test]
fn folder_names_are_columns() {
    let place = Place::new();
    let names = ["t/year=2012/a.parquet", "t/year=2013/a.parquet", "t/year=2014/b.parquet"];
    write_cut(&place, &table(), names, [900, 2_000]);
    let year = |row: usize| {
        if row < 900 {
            2_012.0
        } else if row < 2_000 {
            2_013.0
        } else {
            2_014.0
        }
    };
    let mut columns = table();
    set(&mut columns, "year", Arc::new(Float64Array::from_iter_values((0..ROWS).map(year))));
    write(&place, "data.parquet", &columns, 700);
    let model = place.model(&format!("t {TRAIN}"));
    assert_eq!(coefficients(&model).len(), 4);
    assert_close(&model, &place.model(&format!("data.parquet {TRAIN}")), LAST_DIGITS);
    let some = "--label y --features year,x,f --quiet";
    for condition in ["year >= 2013", "x < 1 and year <> 2013", "year in (2012, 2014) or f"] {
        let rows = model_where(&place, &format!("t {some}"), condition);
        let expected = model_where(&place, &format!("data.parquet {some}"), condition);
        assert_close(&rows, &expected, LAST_DIGITS);
        assert_eq!(number(&rows, "/training/rows"), number(&expected, "/training/rows"), "{condition}");
        assert!(number(&rows, "/training/rows") < ROWS as f64);
    }
    // A value that is no number makes them texts.
    write(&place, "t/year=later/c.parquet", &table(), ROWS);
    let model = model_where(&place, &format!("t {TRAIN}"), "year = '2012'");
    assert_eq!(number(&model, "/training/rows"), 900.0);
    assert_eq!(coefficients(&model).len(), 3);
}

#[test]
fn empty_folders_and_files_named_twice_are_refused() {
    let place = place_with(&table());
    fs::create_dir(place.path("empty")).expect("a folder");
    assert_refused(&place, &format!("train empty {TRAIN}"), 3, &["empty", "no file"]);
    assert_refused(&place, &format!("train data.parquet data.parquet {TRAIN}"), 3, &["data.parquet is named twice"]);
    let words = ["data.parquet", "./data.parquet", "same file"];
    assert_refused(&place, &format!("train data.parquet ./data.parquet {TRAIN}"), 3, &words);
    assert_refused(&place, &format!("train d*.parquet data.parquet {TRAIN}"), 3, &["data.parquet is named twice"]);
    assert_refused(&place, &format!("train e*.parquet {TRAIN}"), 3, &["no file matches e*.parquet"]);
}

// ---- missing values -------------------------------------------------------------------------------------------

/// The mean of what is there, in exact arithmetic but for the division: the values are few bits wide.
fn mean_of_others(values: &[f64]) -> f64 {
    let there: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    there.iter().sum::<f64>() / there.len() as f64
}

/// `with_holes()`, filled by hand with the means; with `indicators`, each filled column has one behind it.
fn filled(indicators: bool) -> Columns {
    let holes = with_holes();
    let mut columns = Columns::new();
    for (name, array) in &holes {
        if !["x", "k"].contains(name) {
            columns.push((*name, Arc::clone(array)));
            continue;
        }
        let values = floats(array);
        let mean = mean_of_others(&values);
        let full = values.iter().map(|x| if x.is_nan() { mean } else { *x });
        columns.push((*name, Arc::new(Float64Array::from_iter_values(full))));
        if indicators {
            let missing = values.iter().map(|x| f64::from(u8::from(x.is_nan())));
            let name = if *name == "x" { "x is missing" } else { "k is missing" };
            columns.push((name, Arc::new(Float64Array::from_iter_values(missing))));
        }
    }
    columns
}

#[test]
fn drop_row_is_training_on_the_complete_rows() {
    let place = place_with(&with_holes());
    let complete = rows_where(|row| ![3, 8].contains(&(row % 20)) && row % 11 != 5);
    write(&place, "complete.parquet", &rows_of(&with_holes(), &complete), usize::MAX);
    let model = place.model(&format!("data.parquet {TRAIN} --nulls drop-row"));
    let expected = place.model(&format!("complete.parquet {TRAIN}"));
    assert_close(&model, &expected, LAST_DIGITS);
    assert_eq!(bits(&place.model(&format!("one.parquet {TRAIN} --nulls drop-row"))), bits(&expected));
    assert_eq!(number(&model, "/training/rows"), complete.len() as f64);
    assert_says(&notes(&model), &[&format!("{} rows with missing values", ROWS - complete.len()), "x (300), k (273)"]);
    assert_eq!(model["nulls"], "drop-row");
    // What is not used may be missing.
    let model = place.model(&format!("data.parquet {TRAIN} --features k,f --nulls drop-row"));
    assert_eq!(number(&model, "/training/rows"), (ROWS - 273) as f64);
}

#[test]
fn the_mean_and_indicators_are_those_filled_in_by_hand() {
    let place = place_with(&with_holes());
    for (policy, indicators) in [("mean", false), ("indicator", true)] {
        write(&place, "filled.parquet", &filled(indicators), 512);
        let flags = format!("{TRAIN} --refine --inference");
        let model = place.model(&format!("data.parquet {flags} --nulls {policy}"));
        let expected = place.model(&format!("filled.parquet {flags}"));
        let with = ["x", "x is missing", "k", "k is missing", "f"];
        assert_eq!(names(&model), if indicators { with.to_vec() } else { vec!["x", "k", "f"] });
        assert_eq!(names(&model), names(&expected));
        assert_close(&model, &expected, 1e-9);
        for (index, name) in names(&model).iter().enumerate() {
            let error = |model: &Value| number(model, &format!("/features/{index}/standard_error"));
            assert!((error(&model) / error(&expected) - 1.0).abs() < 1e-6, "{name}");
            let feature = &model["features"][index];
            if let Some((column, missing)) = [("x", 300.0), ("k", 273.0)].into_iter().find(|(column, _)| column == name)
            {
                let mean = mean_of_others(&numbers(&with_holes(), column));
                assert!((number(feature, "/fill") / mean - 1.0).abs() < 1e-14, "{feature}");
                assert_eq!(number(feature, "/missing"), missing);
            }
        }
        assert_says(&notes(&model), &["filled with the mean of the others", "x (300 rows: ", "k (273 rows: "]);
        assert_eq!(number(&model, "/training/rows"), ROWS as f64);
    }
}

#[test]
fn the_pass_over_the_file_sees_the_same_values() {
    let place = place_with(&with_holes());
    for policy in ["drop-row", "mean", "indicator"] {
        let plain = place.model(&format!("data.parquet {TRAIN} --nulls {policy}"));
        let verified = place.model(&format!("data.parquet {TRAIN} --nulls {policy} --verify"));
        assert_eq!(bits(&plain), bits(&verified), "{policy}");
        assert!(number(&verified, "/training/verified/delta") < 2e-4, "{policy}");
        let loss = number(&plain, "/training/loss");
        assert!((number(&verified, "/training/verified/loss") - loss).abs() < 1e-6, "{policy}");
        let refined = place.model(&format!("data.parquet {TRAIN} --nulls {policy} --refine"));
        assert!(number(&refined, "/training/verified/delta") < 1e-9, "{policy}");
        assert_close(&plain, &refined, 1e-3);
    }
    // A file with other values in the holes is another one: the check can fail.
    let refined = place.model(&format!("data.parquet {TRAIN} --nulls mean --refine"));
    let dropped = place.model(&format!("data.parquet {TRAIN} --nulls drop-row --refine"));
    let (a, b) = (coefficients(&refined), coefficients(&dropped));
    assert!(a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 1e-3), "{a:?} {b:?}");
}

#[test]
fn nulls_and_nan_are_both_missing() {
    let place = Place::new();
    let mut models = Vec::new();
    for nan in [false, true] {
        let mut columns = table();
        let x = numbers(&columns, "x").into_iter().enumerate();
        let hole = nan.then_some(f64::NAN);
        let x: Float64Array = x.map(|(row, x)| if row % 9 == 4 { hole } else { Some(x) }).collect();
        set(&mut columns, "x", Arc::new(x));
        write(&place, "data.parquet", &columns, 700);
        let kind = if nan { "NaN" } else { "null" };
        let count = format!("x: 333 {kind}; first rows, from 0: 4, 13, 22");
        assert_refused(&place, &format!("train data.parquet {TRAIN}"), 3, &[&count, "--nulls"]);
        let model = |policy: &str| bits(&place.model(&format!("data.parquet {TRAIN} --nulls {policy}")));
        models.push(["drop-row", "mean", "indicator"].map(model));
    }
    assert_eq!(models[0], models[1]);
}

#[test]
fn labels_may_be_missing_where_rows_are_dropped() {
    let mut columns = table();
    let y = column(&columns, "y");
    let holes = (0..ROWS).map(|row| (row % 8 != 2).then(|| y.as_boolean().value(row)));
    set(&mut columns, "y", Arc::new(holes.collect::<BooleanArray>()));
    let place = place_with(&columns);
    let labelled = rows_where(|row| row % 8 != 2);
    write(&place, "labelled.parquet", &rows_of(&table(), &labelled), ROWS);
    let model = place.model(&format!("one.parquet {TRAIN} --nulls drop-row"));
    assert_eq!(bits(&model), bits(&place.model(&format!("labelled.parquet {TRAIN}"))));
    assert_says(&notes(&model), &["375 rows with missing values left out: y (375)"]);
    for policy in ["error", "mean", "indicator"] {
        assert_refused(&place, &format!("train data.parquet {TRAIN} --nulls {policy}"), 3, &["`y`", "375"]);
    }
}

#[test]
fn a_column_that_is_missing_everywhere_is_refused() {
    let mut columns = table();
    set(&mut columns, "k", Arc::new(Int32Array::from(vec![None; ROWS])));
    let place = place_with(&columns);
    for policy in ["mean", "indicator"] {
        let words = ["column `k` is missing (null or NaN) in all rows", "--ignore"];
        assert_refused(&place, &format!("train data.parquet {TRAIN} --nulls {policy}"), 3, &words);
    }
    let words = ["every one of 3000 rows has missing values: k (3000)", "--ignore"];
    assert_refused(&place, &format!("train data.parquet {TRAIN} --nulls drop-row"), 3, &words);
    let ignored = place.model("data.parquet --label y --ignore id,k --quiet --nulls drop-row");
    assert_eq!(number(&ignored, "/training/rows"), ROWS as f64);
    // No column is missing everywhere, but each row misses one.
    let mut columns = table();
    let half =
        |even: usize| (0..ROWS).map(move |row| (row % 2 == even).then_some(row as f64)).collect::<Float64Array>();
    set(&mut columns, "x", Arc::new(half(0)));
    set(&mut columns, "k", Arc::new(half(1)));
    write(&place, "data.parquet", &columns, 700);
    let words = ["every one of 3000 rows has missing values: x (1500), k (1500)"];
    assert_refused(&place, &format!("train data.parquet {TRAIN} --nulls drop-row"), 3, &words);
}
