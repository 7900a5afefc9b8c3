//! Tables end to end: several files as one, chosen rows, missing values, dates, structs and lists, predictions and their
//! metrics, each against what was worked out here by hand.

#![expect(clippy::float_cmp, reason = "counts of rows are exact")]

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod data;
    pub(crate) mod decoded;
    pub(crate) mod examples;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, StructArray, Time32MillisecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use common::data::write_parquet;
use common::decoded::decoded;
use common::model::coefficients;
use common::process::{Place, Run, number};
use common::random::Random;
use common::says::assert_says;

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

/// Trains on `x`, `k`, `f` and the levels of `g` of a table.
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

/// `with_holes()` with values missing in `g` too.
fn with_text_holes() -> Columns {
    let mut columns = with_holes();
    let g = texts(&columns, "g").into_iter().enumerate();
    set(&mut columns, "g", Arc::new(g.map(|(row, g)| g.filter(|_| row % 13 != 7)).collect::<StringArray>()));
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

/// A column as texts, `None` where it is missing.
fn texts(columns: &Columns, name: &str) -> Vec<Option<String>> {
    let array = cast(&column(columns, name), &DataType::Utf8).expect("a column of texts");
    array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
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

/// Asserts that two models have the same features, levels and bits: how rows are cut into files and row groups must not
/// show.
#[track_caller]
fn assert_same_bits(found: &Value, expected: &Value) {
    assert_eq!(names(found), names(expected));
    assert_eq!(found["categories"], expected["categories"]);
    assert_eq!(bits(found), bits(expected));
}

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
    assert_eq!(names(&whole), ["x", "k", "f", "g=b", "g=c"]);
    let rows = GROUPS.map(|level| (0..ROWS).filter(|row| GROUPS[row * 7 % 5 % 3] == level).count());
    let expected = json!([{"column": "g", "kind": "text", "levels": GROUPS, "rows": rows}]);
    assert_eq!(whole["categories"], expected);
    write_parts(&place);
    for data in ["d/1.parquet d/2.parquet d/3.parquet", "d", "d/*.parquet", "d/[123]*"] {
        let model = place.model(&format!("{data} {TRAIN}"));
        assert_same_bits(&model, &whole);
        assert_eq!(model["training"]["files"].as_array().map(Vec::len), Some(3), "{data}");
    }
    // Other row groups change the rounding of the moments: the last digits, no more.
    write_cut(&place, &table(), ["e/1.parquet", "e/2.parquet", "e/3.parquet"], [1_001, 1_900]);
    write(&place, "small.parquet", &table(), 97);
    for data in ["e", "one.parquet", "small.parquet"] {
        assert_same_bits(&place.model(&format!("{data} {TRAIN}")), &whole);
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
    assert_eq!(names(&model), ["x", "k", "f", "g=b", "g=c"]);
    assert_eq!(bits(&model), whole);
}

#[test]
fn a_column_that_files_do_not_share_is_refused_where_it_is_used() {
    let place = place_with(&table());
    let mut other = table();
    let texts: StringArray = (0..ROWS).map(|row| Some(if row % 2 == 0 { "1" } else { "2" })).collect();
    set(&mut other, "k", Arc::new(texts));
    write(&place, "type.parquet", &other, ROWS);
    write(&place, "less.parquet", &table().into_iter().filter(|(name, _)| *name != "k").collect(), ROWS);
    let mut more = table();
    set(&mut more, "extra", column(&table(), "k"));
    write(&place, "more.parquet", &more, ROWS);
    for (file, column, words) in [
        ("type.parquet", "k", "column `k` is Int32 in data.parquet and Utf8 in type.parquet"),
        ("less.parquet", "k", "less.parquet has no column `k`, which data.parquet has"),
        ("more.parquet", "extra", "data.parquet has no column `extra`, which more.parquet has"),
    ] {
        let data = format!("data.parquet {file}");
        let refused = |flags: &str| assert_refused(&place, &format!("train {data} {flags}"), 3, &[words, "--ignore"]);
        refused(TRAIN);
        refused(&format!("{TRAIN} --features x,{column}"));
        refused(&format!("{TRAIN} --features x --where {column}>0"));
        refused(&format!("{TRAIN} --features x --weight {column}"));
        refused("--label y --features *");
        // What nobody uses may differ, whatever is said of it.
        let whole = bits(&place.model(&format!("data.parquet more.parquet {TRAIN} --features x,f,g")));
        for flags in ["--features x,f,g".to_owned(), format!("--ignore id,k,{column}")] {
            let flags = flags.replace("k,k", "k");
            assert_eq!(bits(&place.model(&format!("{data} --label y {flags}"))), whole, "{flags}");
        }
        place.done(&format!("train {data} {TRAIN} --features x,f,g -o model.json"));
        assert_refused(&place, &format!("predict -m model.json {data} --keep {column} -o p.csv"), 3, &[words]);
        place.done(&format!("predict -m model.json {data} --keep id -o p.csv"));
    }
}

/// Files whose columns differ in their width are read as one file of the wider type, bit by bit.
#[test]
fn columns_of_different_width_are_one_column() {
    let place = Place::new();
    let rows = table();
    let half = |of: &Columns, part: std::ops::Range<usize>| rows_of(of, &part.collect::<Vec<_>>());
    let pairs: [(&str, DataType, DataType); 7] = [
        ("k", DataType::Int8, DataType::Int64),
        ("k", DataType::Int16, DataType::Float64),
        ("k", DataType::Decimal128(5, 0), DataType::Decimal128(9, 3)),
        ("k", DataType::UInt8, DataType::Int32),
        ("x", DataType::Float32, DataType::Float64),
        ("f", DataType::Boolean, DataType::Int8),
        ("y", DataType::Boolean, DataType::Float32),
    ];
    for (name, narrow, wide) in pairs {
        let mut rows = rows.clone();
        if narrow == DataType::UInt8 {
            let values = column(&rows, "k");
            let values = values.as_primitive::<arrow::datatypes::Int32Type>().values();
            set(&mut rows, "k", Arc::new(Int32Array::from_iter_values(values.iter().map(|k| k + 10))));
        }
        let with = |data_type: &DataType| {
            let mut rows = rows.clone();
            let values = cast(&column(&rows, name), data_type).expect("a cast");
            set(&mut rows, name, values);
            rows
        };
        write(&place, "t/1.parquet", &half(&with(&narrow), 0..1_100), 500);
        write(&place, "t/2.parquet", &half(&with(&wide), 1_100..ROWS), 500);
        write(&place, "whole.parquet", &with(&wide), 500);
        let whole = place.model(&format!("whole.parquet {TRAIN}"));
        assert_same_bits(&place.model(&format!("t {TRAIN}")), &whole);
        // In the other order, and as a condition.
        write(&place, "u/1.parquet", &half(&with(&wide), 0..1_100), 500);
        write(&place, "u/2.parquet", &half(&with(&narrow), 1_100..ROWS), 500);
        assert_same_bits(&place.model(&format!("u {TRAIN}")), &whole);
        if name == "k" {
            let some = place.model(&format!("whole.parquet {TRAIN} --where k>=20"));
            assert_same_bits(&place.model(&format!("t {TRAIN} --where k>=20")), &some);
        }
    }
}

/// Integers that the floating-point numbers of another file leave out are no column with them.
#[test]
fn what_does_not_survive_the_wider_type_is_refused() {
    let place = Place::new();
    let y: ArrayRef = Arc::new((0..40).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>());
    let large = Int64Array::from_iter_values((0..40).map(|row| (1 << 53) + 1 + row));
    write(&place, "t/1.parquet", &vec![("y", y.clone()), ("k", Arc::new(large))], 40);
    write(&place, "t/2.parquet", &vec![("y", y), ("k", Arc::new(Float64Array::from(vec![1.5; 40])))], 40);
    assert_refused(&place, "train t --label y", 3, &["t/1.parquet", "column `k`", "beyond 9e15 (2^53)"]);
}

#[test]
fn a_name_that_stands_for_two_columns_is_refused_where_it_is_used() {
    let place = Place::new();
    let mut twins = table();
    let twin = |name| (name, column(&table(), "x"));
    twins.extend([twin("k"), twin("z"), twin("z")]);
    write(&place, "data.parquet", &twins, 500);
    for flags in [
        "--label y",
        "--label k --features x",
        "--label y --features x,z",
        "--label y --ignore z",
        "--label y --features *",
    ] {
        assert_refused(&place, &format!("train data.parquet {flags}"), 3, &["two columns called `", "--features"]);
    }
    for flags in ["--weight k", "--offset k", "--categorical k", "--where k>0"] {
        let words = ["data.parquet has two columns called `k`: which of them is meant?"];
        assert_refused(&place, &format!("train data.parquet --label y --features x {flags}"), 3, &words);
    }
    let plain = place_with(&table());
    let expected = bits(&plain.model("data.parquet --label y --features x,f,g"));
    assert_eq!(bits(&place.model("data.parquet --label y --features x,f,g")), expected);
    assert_eq!(bits(&place.model("data.parquet --label y --ignore z*,id,k*")), expected);
    plain.done("train data.parquet --label y --features x,k -o model.json --quiet");
    fs::copy(plain.path("model.json"), place.path("model.json")).expect("a copy");
    for command in ["predict -m model.json data.parquet -o p.csv", "evaluate -m model.json data.parquet"] {
        assert_refused(&place, command, 3, &["two columns called `k`"]);
    }
    let inspected = place.done("inspect data.parquet --json").json();
    assert_eq!(inspected["parquet"]["names_twice"], json!(["k", "z"]));
    assert_says(&place.done("inspect data.parquet").stdout, &["names that stand for two columns", "k, z"]);
    // A key of the folders beside a column.
    write(&place, "t/g=1/a.parquet", &table(), 500);
    write(&place, "t/g=2/a.parquet", &table(), 500);
    assert_refused(
        &place,
        "train t --label y --ignore id",
        3,
        &["`g` is a column of the files and a key of their folders"],
    );
    place.done("train t --label y --features x --quiet");
}

#[test]
fn folder_names_are_columns() {
    let place = Place::new();
    let files = ["t/year=2012/a.parquet", "t/year=2013/a.parquet", "t/year=2014/b.parquet"];
    write_cut(&place, &table(), files, [900, 2_000]);
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
    assert_eq!(names(&model), ["x", "k", "f", "year", "g=b", "g=c"]);
    assert_same_bits(&model, &place.model(&format!("data.parquet {TRAIN}")));
    let some = "--label y --features year,x,f --quiet";
    for condition in ["year >= 2013", "x < 1 and year <> 2013", "year in (2012, 2014) or f"] {
        let rows = model_where(&place, &format!("t {some}"), condition);
        let expected = model_where(&place, &format!("data.parquet {some}"), condition);
        assert_same_bits(&rows, &expected);
        assert_eq!(number(&rows, "/training/rows"), number(&expected, "/training/rows"), "{condition}");
        assert!(number(&rows, "/training/rows") < ROWS as f64);
    }
    // A value that is no number makes them texts: levels, beside those of `g`.
    write(&place, "t/year=later/c.parquet", &table(), ROWS);
    let all = [(0..ROWS).collect::<Vec<_>>(), (0..ROWS).collect()].concat();
    let mut columns = rows_of(&table(), &all);
    let years = (0..2 * ROWS).map(|row| if row < ROWS { format!("{}", year(row)) } else { "later".into() });
    set(&mut columns, "year", Arc::new(StringArray::from_iter_values(years)));
    write(&place, "data.parquet", &columns, 700);
    let model = place.model(&format!("t {TRAIN}"));
    let levels = ["year=2013", "year=2014", "year=later"];
    assert_eq!(names(&model), [&["x", "k", "f", "g=b", "g=c"], &levels[..]].concat());
    assert_same_bits(&model, &place.model(&format!("data.parquet {TRAIN}")));
    let model = model_where(&place, &format!("t {TRAIN}"), "year = '2012'");
    assert_eq!(number(&model, "/training/rows"), 900.0);
    assert_eq!(names(&model), ["x", "k", "f", "g=b", "g=c"]);
    assert_says(&notes(&model), &["constant, left out: year (always 2012)"]);
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

/// A text that is none of the levels, and comes after them.
const NONE: &str = "~";

/// `with_holes()`, filled by hand with the means; with `indicators` `with_text_holes()`, where each filled column has an
/// indicator behind it and what is missing in `g` is a level of its own.
fn filled(indicators: bool) -> Columns {
    let holes = if indicators { with_text_holes() } else { with_holes() };
    let mut columns = Columns::new();
    for (name, array) in &holes {
        if *name == "g" {
            let full = texts(&holes, "g").into_iter().map(|text| text.unwrap_or_else(|| NONE.into()));
            columns.push((*name, Arc::new(StringArray::from_iter_values(full))));
            continue;
        }
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
    for (columns, text_holes) in [(with_holes(), false), (with_text_holes(), true)] {
        let place = place_with(&columns);
        let complete =
            rows_where(|row| ![3, 8].contains(&(row % 20)) && row % 11 != 5 && (row % 13 != 7 || !text_holes));
        write(&place, "complete.parquet", &rows_of(&columns, &complete), usize::MAX);
        let model = place.model(&format!("data.parquet {TRAIN} --nulls drop-row"));
        let expected = place.model(&format!("complete.parquet {TRAIN}"));
        assert_eq!(names(&model), ["x", "k", "f", "g=b", "g=c"]);
        assert_same_bits(&model, &expected);
        assert_same_bits(&place.model(&format!("one.parquet {TRAIN} --nulls drop-row")), &expected);
        assert_eq!(number(&model, "/training/rows"), complete.len() as f64);
        let missing = if text_holes { "x (300), k (273), g (231)" } else { "x (300), k (273)" };
        assert_says(&notes(&model), &[&format!("{} rows with missing values", ROWS - complete.len()), missing]);
        assert_eq!(model["nulls"], "drop-row");
        // What is not used may be missing.
        let model = place.model(&format!("data.parquet {TRAIN} --features k,f --nulls drop-row"));
        assert_eq!(number(&model, "/training/rows"), (ROWS - 273) as f64);
    }
}

#[test]
fn the_mean_and_indicators_are_those_filled_in_by_hand() {
    let place = place_with(&with_holes());
    write(&place, "texts.parquet", &with_text_holes(), 500);
    for (policy, data, indicators) in [("mean", "data", false), ("indicator", "texts", true)] {
        write(&place, "filled.parquet", &filled(indicators), 512);
        let flags = format!("{TRAIN} --refine --inference");
        let model = place.model(&format!("{data}.parquet {flags} --nulls {policy}"));
        let expected = place.model(&format!("filled.parquet {flags}"));
        let with = ["x", "x is missing", "k", "k is missing", "f", "g=b", "g=c", "g=(null)"];
        assert_eq!(names(&model), if indicators { with.to_vec() } else { vec!["x", "k", "f", "g=b", "g=c"] });
        let by_hand = names(&expected).into_iter().map(|name| if name == "g=~" { "g=(null)" } else { name });
        assert_eq!(names(&model), by_hand.collect::<Vec<_>>());
        assert_eq!(model["categories"][0]["rows"], expected["categories"][0]["rows"]);
        assert_eq!(model["categories"][0]["levels"].as_array().map(Vec::len), Some(if indicators { 4 } else { 3 }));
        assert_eq!(model["categories"][0]["levels"][3], Value::Null);
        assert_close(&model, &expected, 1e-9);
        for (index, name) in names(&model).iter().enumerate() {
            let error = |model: &Value| number(model, &format!("/features/{index}/standard_error"));
            assert!((error(&model) / error(&expected) - 1.0).abs() < 1e-6, "{name}");
            let feature = &model["features"][index];
            if let Some((column, missing)) = [("x", 300.0), ("k", 273.0)].into_iter().find(|(column, _)| column == name)
            {
                let mean = mean_of_others(&numbers(&with_holes(), column));
                // A mean near 0 of values near 1 has the rounding of the values.
                let scale = number(feature, "/scale");
                assert!((number(feature, "/fill") - mean).abs() < 1e-14 * scale, "{feature}");
                assert_eq!(number(feature, "/missing"), missing);
            }
        }
        assert_says(&notes(&model), &["filled with the mean of the others", "x (300 rows: ", "k (273 rows: "]);
        assert_eq!(number(&model, "/training/rows"), ROWS as f64);
    }
    // A text has no mean. What is missing is told of the whole table, whatever its row groups.
    for policy in ["error", "mean"] {
        let words = ["category `g` is missing (null) in 231 rows; first rows, from 0: 7, 20, 33, 46, 59", "indicator"];
        assert_refused(&place, &format!("train texts.parquet {TRAIN} --nulls {policy}"), 3, &words);
    }
}

#[test]
fn the_pass_over_the_file_sees_the_same_values() {
    let place = place_with(&with_holes());
    write(&place, "texts.parquet", &with_text_holes(), 500);
    let cases = ["data drop-row", "data mean", "data indicator", "texts drop-row", "texts indicator"];
    for (data, policy) in cases.iter().filter_map(|case| case.split_once(' ')) {
        let train = format!("{data}.parquet {TRAIN} --nulls {policy}");
        let plain = place.model(&train);
        let verified = place.model(&format!("{train} --verify"));
        assert_eq!(bits(&plain), bits(&verified), "{train}");
        assert!(number(&verified, "/training/verified/delta") < 2e-4, "{train}");
        let loss = number(&plain, "/training/loss");
        assert!((number(&verified, "/training/verified/loss") - loss).abs() < 1e-6, "{train}");
        let refined = place.model(&format!("{train} --refine"));
        assert!(number(&refined, "/training/verified/delta") < 1e-9, "{train}");
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

/// There may be thousands of columns, and each may be in a note or an error.
#[test]
fn lists_of_columns_end() {
    const COLUMNS: usize = 2_000;
    let kinds: [(&str, ArrayRef); 5] = [
        ("day", Arc::new(Date32Array::from(vec![1; 50]))),
        ("id", Arc::new(StringArray::from_iter_values((0..50).map(|row| row.to_string())))),
        ("same", Arc::new(StringArray::from(vec!["Bonn"; 50]))),
        ("hole", Arc::new((0..50).map(|row| (row != 7).then_some(f64::from(row % 5))).collect::<Float64Array>())),
        ("flat", Arc::new(Float64Array::from(vec![4.5; 50]))),
    ];
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("y".into(), Arc::new((0..50).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>()))];
    for (name, array) in kinds {
        columns.extend((0..COLUMNS).map(|k| (format!("{name}\u{1b}{k}"), Arc::clone(&array))));
    }
    let columns: Vec<(&str, ArrayRef)> =
        columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect();
    let place = Place::new();
    write_parquet(&place.path("data.parquet"), &columns, 50);
    let notes = place
        .done("train data.parquet --label y --nulls mean --l2 1 --solver gradient-descent --device cpu -o m.json")
        .stderr;
    let last = |name: &str, end: &str| format!("{name}\\u{{1b}}19{end} and 1980 more");
    for list in [
        last("day", " (Date32)"),
        last("id", " (more than 20)"),
        last("same", " (always Bonn)"),
        last("hole", " (1 row: 2.000000)"),
        last("flat", " (always 4.5)"),
    ] {
        assert!(notes.contains(&list), "no {list} in {notes}");
    }
    // A cell of the 2000 columns with holes, a line each; and all 10001 names.
    let run = refused(&place, "train data.parquet --label y", 3);
    let lines: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("    ")).collect();
    assert_eq!(lines[0], "    hole\\u{1b}0: 1 null; first rows, from 0: 7", "{run:?}");
    assert_eq!((lines.len(), lines[20]), (21, "    and 1980 more"), "{run:?}");
    assert_refused(&place, "train data.parquet --label z", 3, &["The columns are: y, day\\u{1b}0", "and 9981 more"]);
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

// ---- predictions ----------------------------------------------------------------------------------------------

/// The margins of `columns` as the coefficients of a model have them, NaN where a value is missing. A column that an
/// indicator stands for is looked at by its name; levels are looked for among the texts themselves.
fn margins(model: &Value, columns: &Columns) -> Vec<f64> {
    let mut margins = vec![number(model, "/intercept"); columns[0].1.len()];
    for feature in model["features"].as_array().expect("features") {
        let values = match feature["category"].as_str() {
            Some(category) => of_level(model, feature, category, columns),
            None => of_column(feature, columns),
        };
        for (z, x) in margins.iter_mut().zip(values) {
            *z += number(feature, "/coefficient") * x;
        }
    }
    margins
}

/// The values of a feature that is a column, or says where one is missing.
fn of_column(feature: &Value, columns: &Columns) -> Vec<f64> {
    let name = feature["indicates"].as_str().or(feature["name"].as_str()).expect("a name");
    let value = |x: f64| match feature.get("fill").and_then(Value::as_f64) {
        _ if feature.get("indicates").is_some() => f64::from(u8::from(x.is_nan())),
        Some(fill) if x.is_nan() => fill,
        _ => x,
    };
    numbers(columns, name).into_iter().map(value).collect()
}

/// The values of a feature that is a level of `category`: 1 where the text is its name, and in rows with a text that is
/// no level the share of the level in the training. So it is in rows without a text, unless that is a level; but with
/// the other policies they have no value.
fn of_level(model: &Value, feature: &Value, category: &str, columns: &Columns) -> Vec<f64> {
    assert_eq!(feature["kind"], "level", "{feature}");
    let about = model["categories"].as_array().expect("categories").iter().find(|about| about["column"] == category);
    let about = about.unwrap_or_else(|| panic!("no category {category}"));
    let levels = about["levels"].as_array().expect("levels");
    let rows: Vec<f64> =
        about["rows"].as_array().expect("rows").iter().map(|rows| rows.as_f64().expect("a number")).collect();
    let name = |level: &Value| format!("{category}={}", level.as_str().unwrap_or("(null)"));
    let own = levels.iter().position(|level| feature["name"] == name(level)).expect("the level of the feature");
    let share = rows[own] / rows.iter().sum::<f64>();
    let fills = ["mean", "indicator"].contains(&model["nulls"].as_str().unwrap_or("error"));
    let value = |text: Option<String>| match levels.iter().position(|level| level.as_str() == text.as_deref()) {
        Some(place) => f64::from(u8::from(place == own)),
        None if text.is_some() || fills => share,
        None => f64::NAN,
    };
    texts(columns, category).into_iter().map(value).collect()
}

fn probability(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// All columns of a Parquet file.
fn read(path: &Path) -> BTreeMap<String, ArrayRef> {
    decoded(path)
}

/// Asserts that the numbers are the same to 1e-12, and missing in the same places.
#[track_caller]
fn assert_numbers(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
        assert!(same || found.is_nan() && expected.is_nan(), "{found} instead of {expected} in row {row}");
    }
}

/// A place with `data.parquet` of these columns and `model.json`, trained on it.
fn with_model(columns: &Columns, flags: &str) -> (Place, Value) {
    let place = place_with(columns);
    let model = place.model(&format!("data.parquet {TRAIN} {flags} -o model.json"));
    (place, model)
}

#[test]
fn predictions_are_those_of_the_coefficients_in_the_order_of_the_rows() {
    let (place, model) = with_model(&table(), "");
    write_cut(&place, &table(), ["d/1.parquet", "d/2.parquet", "d/3.parquet"], [1_001, 1_900]);
    write(&place, "small.parquet", &table(), 37);
    let z = margins(&model, &table());
    let p: Vec<f64> = z.iter().map(|&z| probability(z)).collect();
    for data in ["data.parquet", "one.parquet", "small.parquet", "d", "d/1.parquet d/2.parquet d/3.parquet"] {
        place.done(&format!("predict -m model.json {data} -o out.parquet --keep id,g"));
        let out = read(&place.path("out.parquet"));
        assert_eq!(out.keys().collect::<Vec<_>>(), ["g", "id", "probability"]);
        assert_numbers(&floats(&out["probability"]), &p);
        assert_eq!(&out["id"], &column(&table(), "id"), "{data}");
        assert_eq!(&out["g"], &column(&table(), "g"), "{data}");
        place.done(&format!("predict -m model.json {data} -o out.parquet --output margin --threads 1"));
        let out = read(&place.path("out.parquet"));
        assert_eq!(out.keys().collect::<Vec<_>>(), ["margin"]);
        assert_numbers(&floats(&out["margin"]), &z);
        for threshold in [0.5, 0.3] {
            let what = format!("--output label --threshold {threshold}");
            place.done(&format!("predict -m model.json {data} -o out.parquet {what}"));
            let out = read(&place.path("out.parquet"));
            let labels: Vec<bool> = p.iter().map(|&p| p >= threshold).collect();
            assert_eq!(out["label"].as_boolean(), &BooleanArray::from(labels), "{data}");
        }
    }
    // The files in another order are other rows.
    place.done("predict -m model.json d/2.parquet d/1.parquet -o out.parquet");
    let out = floats(&read(&place.path("out.parquet"))["probability"]);
    assert_numbers(&out, &[&p[1_001..1_900], &p[..1_001]].concat());
}

#[test]
fn labels_are_the_classes_of_the_training() {
    let y = column(&table(), "y");
    let flags: Vec<bool> = y.as_boolean().iter().flatten().collect();
    let text = |flag: bool| if flag { "it did" } else { "no, \"dry\"" };
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(flags.iter().map(|&flag| text(flag))));
    let signs: ArrayRef = Arc::new(Int32Array::from_iter_values(flags.iter().map(|&flag| if flag { 1 } else { -1 })));
    for label in [texts, signs] {
        let mut columns = table();
        set(&mut columns, "y", Arc::clone(&label));
        let place = place_with(&columns);
        let mut train = place.command(&format!("train data.parquet {TRAIN} --device cpu --json -o model.json"));
        if label.data_type() == &DataType::Utf8 {
            train.args(["--positive", "it did"]);
        }
        let model = Run::of(train.output().expect("it starts")).json();
        let positive = |z: &f64| probability(*z) >= 0.5;
        let expected: Vec<bool> = margins(&model, &columns).iter().map(positive).collect();
        place.done("predict -m model.json data.parquet -o out.parquet --output label");
        let out = &read(&place.path("out.parquet"))["label"];
        if out.data_type() == &DataType::Utf8 {
            let words = expected.iter().map(|&flag| text(flag));
            assert_eq!(out.as_string::<i32>(), &StringArray::from_iter_values(words));
        } else {
            assert_numbers(&floats(out), &expected.iter().map(|&p| if p { 1.0 } else { -1.0 }).collect::<Vec<_>>());
        }
    }
}

/// The cells of a line of CSV (RFC 4180).
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for sign in line.chars() {
        match sign {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            sign => cells.last_mut().expect("a cell").push(sign),
        }
    }
    cells
}

#[test]
fn text_formats_read_back_as_the_values_of_parquet() {
    let mut columns = table();
    let g = ["plain", "with, comma", "empty"];
    let texts = (0..ROWS).map(|row| (row % 4 != 3).then(|| g[row % 3]));
    set(&mut columns, "g", Arc::new(texts.collect::<StringArray>()));
    let (place, model) = with_model(&columns, "--nulls indicator");
    assert_eq!(names(&model)[3..], ["g=plain", "g=with, comma", "g=(null)"]);
    place.done("predict -m model.json data.parquet -o out.parquet --keep x,k,f,g");
    let exact = floats(&read(&place.path("out.parquet"))["probability"]);
    assert_numbers(&exact, &margins(&model, &columns).into_iter().map(probability).collect::<Vec<_>>());
    let csv = place.done("predict -m model.json data.parquet -o - --keep x,k,f,g").stdout;
    let lines = place.done("predict -m model.json data.parquet -o - --format jsonl --keep x,k,f,g").stdout;
    place.done("predict -m model.json data.parquet -o out.csv --keep x,k,f,g");
    place.done("predict -m model.json data.parquet -o out.jsonl --keep x,k,f,g");
    assert_eq!(
        (place.read("out.csv"), place.read("out.jsonl")),
        (csv.clone().into_bytes(), lines.clone().into_bytes())
    );
    let (x, k) = (numbers(&columns, "x"), numbers(&columns, "k"));
    let (f, g) = (column(&columns, "f"), column(&columns, "g"));
    assert_eq!(csv.lines().next(), Some("x,k,f,g,probability"));
    assert_eq!((csv.lines().count(), lines.lines().count()), (ROWS + 1, ROWS));
    for (row, (csv, line)) in csv.lines().skip(1).zip(lines.lines()).enumerate() {
        let cells = cells(csv);
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let of = |index: usize| cells[index].parse::<f64>().unwrap_or_else(|error| panic!("{error}: {csv}"));
        assert_eq!((of(0).to_bits(), of(1).to_bits()), (x[row].to_bits(), k[row].to_bits()), "{csv}");
        assert_eq!(of(4).to_bits(), exact[row].to_bits(), "{csv}");
        assert_numbers(
            &["x", "k", "probability"].map(|name| line[name].as_f64().expect("a number")),
            &[x[row], k[row], exact[row]],
        );
        let (flag, text) = (f.as_boolean().value(row), g.as_string::<i32>());
        assert_eq!((cells[2].as_str(), &line["f"]), (if flag { "true" } else { "false" }, &json!(flag)));
        let text = text.is_valid(row).then(|| text.value(row));
        assert_eq!((cells[3].as_str(), &line["g"]), (text.unwrap_or(""), &json!(text)));
    }
}

#[test]
fn columns_are_found_by_name_whatever_their_order_and_width() {
    let (place, model) = with_model(&table(), "");
    let wide = |name: &str, data_type: &DataType| cast(&column(&table(), name), data_type).expect("a cast");
    let mut other: Columns = vec![
        ("f", wide("f", &DataType::UInt8)),
        ("more", Arc::new(StringArray::from(vec!["text"; ROWS]))),
        ("k", wide("k", &DataType::Float64)),
        ("g", wide("g", &DataType::LargeUtf8)),
        ("x", wide("x", &DataType::Float32)),
    ];
    write(&place, "other.parquet", &other, 640);
    place.done("predict -m model.json other.parquet -o out.parquet --output margin");
    assert_numbers(&floats(&read(&place.path("out.parquet"))["margin"]), &margins(&model, &table()));
    // A text is no number, even if it looks like one, nor a number a level.
    set(&mut other, "k", wide("k", &DataType::Utf8));
    set(&mut other, "g", wide("k", &DataType::Int32));
    write(&place, "text.parquet", &other, 640);
    let words = ["text.parquet", "another type", "k (Utf8, numeric in the model)", "g (Int32, text in the model)"];
    assert_refused(&place, "predict -m model.json text.parquet -o new.parquet", 3, &words);
    other.retain(|(name, _)| *name == "f" || *name == "more");
    write(&place, "less.parquet", &other, 640);
    let words = ["less.parquet has not the columns x, k, g\n", "f, more"];
    assert_refused(&place, "predict -m model.json less.parquet -o new.parquet", 3, &words);
    let words = ["has not the columns x, k, g, nothing"];
    assert_refused(&place, "predict -m model.json less.parquet -o new.parquet --keep nothing", 3, &words);
    assert!(!place.files().contains(&"new.parquet".to_owned()));
}

#[test]
fn infinite_values_are_no_probabilities() {
    let place = Place::new();
    let x: Vec<f64> = (0..200).map(|row| f64::from(row * 37 % 101) / 50.0).collect();
    let y = (0..200).map(|row| Some(row * 7 % 11 < 4)).collect::<BooleanArray>();
    let columns =
        |x: &[f64]| vec![("x", Arc::new(Float64Array::from(x.to_vec())) as ArrayRef), ("y", Arc::new(y.clone()))];
    write(&place, "data.parquet", &columns(&x), 64);
    place.done("train data.parquet --label y --device cpu -o model.json");
    let mut bad = x.clone();
    bad[77] = f64::NEG_INFINITY;
    write(&place, "bad.parquet", &columns(&bad), 64);
    for command in ["predict -m model.json bad.parquet -o out.csv", "evaluate -m model.json bad.parquet"] {
        let run = place.run(command);
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.contains("infinite") && run.stderr.contains("row 77"), "{run:?}");
    }
    place.done("predict -m model.json data.parquet -o out.csv");
}

#[test]
fn missing_values_are_predicted_as_the_model_says() {
    // In the new file most of `x` is missing, and its own mean is far from the model's. Some of `g` is missing, too.
    let mut new = table();
    let x = numbers(&new, "x").into_iter().enumerate().map(|(row, x)| (row % 5 == 1).then_some(x + 100.0));
    set(&mut new, "x", Arc::new(x.collect::<Float64Array>()));
    let g = texts(&new, "g").into_iter().enumerate().map(|(row, g)| g.filter(|_| row % 7 != 6));
    set(&mut new, "g", Arc::new(g.collect::<StringArray>()));
    let without = rows_where(|row| row % 5 != 1 || row % 7 == 6).len();
    for (policy, text_holes) in [
        ("error", false),
        ("drop-row", false),
        ("drop-row", true),
        ("mean", false),
        ("indicator", false),
        ("indicator", true),
    ] {
        let columns = match (policy, text_holes) {
            ("error", _) => table(),
            (_, true) => with_text_holes(),
            (_, false) => with_holes(),
        };
        let (place, model) = with_model(&columns, &format!("--nulls {policy}"));
        write(&place, "new.parquet", &new, 700);
        if policy == "error" {
            let words = ["no value of x in row 0, from 0", "no rule", "--nulls drop-row"];
            assert_refused(&place, "predict -m model.json new.parquet -o out.parquet", 3, &words);
            let from = rows_where(|row| row > 1_500 && row % 5 == 1 && row % 7 != 6);
            let late = [from.clone(), vec![777]].concat();
            write(&place, "late.parquet", &rows_of(&new, &late), 50);
            let words = [&*format!("no value of x in row {}, from 0", from.len())];
            assert_refused(&place, "predict -m model.json late.parquet -o out.parquet", 3, &words);
            let late = [from.clone(), vec![1_476]].concat();
            write(&place, "late.parquet", &rows_of(&new, &late), 50);
            let words = [&*format!("no value of g in row {}, from 0", from.len())];
            assert_refused(&place, "predict -m model.json late.parquet -o out.parquet", 3, &words);
            assert!(!place.files().contains(&"out.parquet".to_owned()));
            continue;
        }
        let run = place.done("predict -m model.json new.parquet -o out.parquet --output margin");
        let expected = margins(&model, &new);
        assert_numbers(&floats(&read(&place.path("out.parquet"))["margin"]), &expected);
        let warning = format!("{without} of 3000 rows have no prediction");
        assert_eq!(run.stderr.contains(&warning), policy == "drop-row", "{run:?}");
        assert_eq!(expected.iter().filter(|z| z.is_nan()).count(), if policy == "drop-row" { without } else { 0 });
        assert_eq!(names(&model).contains(&"g=(null)"), policy == "indicator" && text_holes);
        // What is missing is no level that the model has not seen.
        assert!(!run.stderr.contains("not seen"), "{run:?}");
        let lines = place.done("predict -m model.json new.parquet -o - --format jsonl --limit 1 --quiet").stdout;
        assert_eq!(lines == "{\"probability\":null}\n", policy == "drop-row", "{lines}");
    }
}

#[test]
fn what_fails_in_the_middle_leaves_nothing_behind() {
    let (place, _) = with_model(&table(), "");
    write_parts(&place);
    let mut bytes = place.read("d/3.parquet");
    bytes[4..200].fill(0xff);
    fs::write(place.path("d/3.parquet"), bytes).expect("the file is damaged");
    for out in ["old.parquet", "old.csv", "old.jsonl"] {
        fs::write(place.path(out), "old").expect("an old output");
        let before = place.files();
        let words = ["d/3.parquet", "damaged"];
        assert_refused(&place, &format!("predict -m model.json d -o {out} --keep x,k,f,id"), 3, &words);
        assert_eq!((place.read(out), place.files()), (b"old".to_vec(), before));
        let new = out.replace("old", "new");
        assert_refused(&place, &format!("predict -m model.json d -o {new} --keep x,k,f,id"), 3, &words);
        assert!(!place.files().contains(&new));
        // The files that are whole can be predicted, and replace what stood there.
        place.done(&format!("predict -m model.json d/1.parquet d/2.parquet -o {out}"));
        assert_ne!(place.read(out), b"old");
    }
    let before = place.read("d/1.parquet");
    refused(&place, "predict -m model.json d/1.parquet -o d/1.parquet", 2);
    assert_eq!(place.read("d/1.parquet"), before);
    refused(&place, "predict -m model.json d/1.parquet -o out.xlsx", 2);
    refused(&place, "predict -m model.json d/1.parquet -o out.csv --threshold 1.5", 2);
    refused(&place, "predict -m model.json d/1.parquet -o out.csv --keep nothing", 3);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let (place, _) = with_model(&table(), "");
    for format in ["csv", "jsonl", "parquet"] {
        let mut command =
            place.command(&format!("predict -m model.json data.parquet -o - --format {format} --keep x,g"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let run = Run::of(child.wait_with_output().expect("it ends"));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_model_of_a_newer_version_is_refused() {
    let (place, mut model) = with_model(&table(), "");
    let version = number(&model, "/version");
    model["version"] = json!(version as u64 + 1);
    fs::write(place.path("model.json"), model.to_string()).expect("the model is written");
    for command in ["predict -m model.json data.parquet -o out.csv", "evaluate -m model.json data.parquet"] {
        let words = [format!("version {}", version + 1.0), "knows versions up to".to_owned()];
        assert_refused(&place, command, 3, &words.each_ref().map(String::as_str));
    }
}

// ---- rows -----------------------------------------------------------------------------------------------------

/// Steele, Lea and Flood's finaliser, written once more: what a seed means must not change from version to version.
fn mixed(row: u64) -> u64 {
    let mut bits = row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Whether a draw takes the row: draw 1 is that of `--sample`, draw 2 that of `--split`.
fn is_drawn(row: usize, seed: u64, draw: u64, part: f64) -> bool {
    (mixed(mixed(4 * seed + draw) ^ row as u64) as f64) < part * 2.0_f64.powi(64)
}

/// The model of these rows of `table()`, written as one file.
fn model_of(place: &Place, rows: &[usize]) -> Value {
    write(place, "some.parquet", &rows_of(&table(), rows), usize::MAX);
    place.model(&format!("some.parquet {TRAIN}"))
}

/// Which rows meet a condition.
type Keep<'d> = Box<dyn Fn(usize) -> bool + 'd>;

#[test]
fn a_condition_leaves_the_rows_that_meet_it() {
    let place = place_with(&table());
    let (x, k) = (numbers(&table(), "x"), numbers(&table(), "k"));
    let f = column(&table(), "f");
    let g = |row: usize| GROUPS[row * 7 % 5 % 3];
    let cases: [(&str, Keep<'_>); 5] = [
        ("id >= 400 and id < 2100", Box::new(|row| (400..2_100).contains(&row))),
        ("g in ('a', 'c')", Box::new(|row| g(row) != "b")),
        ("x > 0.5 or not (k < 20)", Box::new(|row| x[row] > 0.5 || k[row] >= 20.0)),
        ("f and g <> 'a' or k = 3", Box::new(|row| f.as_boolean().value(row) && g(row) != "a" || k[row] == 3.0)),
        ("id > 2499", Box::new(|row| row > 2_499)),
    ];
    for (condition, keep) in cases {
        let rows = rows_where(keep);
        assert!(rows.len() > 300 && rows.len() < ROWS, "{condition}: {}", rows.len());
        let expected = model_of(&place, &rows);
        assert_eq!(number(&expected, "/training/rows"), rows.len() as f64);
        assert_eq!(names(&expected).contains(&"g=b"), !condition.starts_with("g in"), "{condition}");
        let one = model_where(&place, &format!("one.parquet {TRAIN}"), condition);
        assert_eq!(bits(&one), bits(&expected), "{condition}");
        let groups = model_where(&place, &format!("data.parquet {TRAIN}"), condition);
        assert_same_bits(&groups, &expected);
        assert_eq!(number(&groups, "/training/rows"), rows.len() as f64, "{condition}");
        let refined = model_where(&place, &format!("data.parquet {TRAIN} --refine"), condition);
        assert!(number(&refined, "/training/verified/delta") < 1e-9, "{condition}");
        // The same flag chooses what is predicted.
        fs::write(place.path("model.json"), expected.to_string()).expect("the model is written");
        let run = with_condition(&place, "predict -m model.json data.parquet -o out.parquet --keep id", condition);
        assert_eq!(run.code, Some(0), "{run:?}");
        let out = read(&place.path("out.parquet"));
        assert_numbers(&floats(&out["id"]), &rows.iter().map(|&row| row as f64).collect::<Vec<_>>());
        let z = margins(&expected, &rows_of(&table(), &rows));
        assert_numbers(&floats(&out["probability"]), &z.into_iter().map(probability).collect::<Vec<_>>());
    }
}

#[test]
fn conditions_leave_out_what_is_missing() {
    let place = place_with(&with_holes());
    let x = numbers(&with_holes(), "x");
    let rows = |condition: &str| {
        number(&model_where(&place, &format!("data.parquet {TRAIN} --nulls drop-row"), condition), "/training/rows")
    };
    let complete =
        |keep: &dyn Fn(usize) -> bool| rows_where(|row| !x[row].is_nan() && row % 11 != 5 && keep(row)).len() as f64;
    assert_eq!(rows("k is not null and x > 0"), complete(&|row| x[row] > 0.0));
    assert_eq!(rows("not (x > 0)"), complete(&|row| x[row] <= 0.0));
    let without = model_where(&place, &format!("data.parquet {TRAIN} --features x,f --nulls drop-row"), "k is null");
    assert_eq!(number(&without, "/training/rows"), rows_where(|row| !x[row].is_nan() && row % 11 == 5).len() as f64);
}

#[test]
fn a_limit_leaves_the_first_rows() {
    let place = place_with(&table());
    write_parts(&place);
    for limit in [400, 1_000, 1_733] {
        let expected = model_of(&place, &(0..limit).collect::<Vec<_>>());
        let one = place.model(&format!("one.parquet {TRAIN} --limit {limit}"));
        assert_eq!(bits(&one), bits(&expected), "{limit}");
        for data in ["data.parquet", "d"] {
            let model = place.model(&format!("{data} {TRAIN} --limit {limit}"));
            assert_eq!(number(&model, "/training/rows"), f64::from(limit as u32));
            assert_same_bits(&model, &expected);
        }
    }
    let all = bits(&place.model(&format!("data.parquet {TRAIN}")));
    assert_eq!(bits(&place.model(&format!("data.parquet {TRAIN} --limit 1000000"))), all);
    // After the condition.
    let model = model_where(&place, &format!("one.parquet {TRAIN} --limit 500"), "k > 0");
    let k = numbers(&table(), "k");
    assert_eq!(bits(&model), bits(&model_of(&place, &rows_where(|row| k[row] > 0.0)[..500])));
}

#[test]
fn a_sample_depends_on_the_seed_and_the_place_of_a_row() {
    let place = place_with(&table());
    write_parts(&place);
    write_cut(&place, &table(), ["e/1.parquet", "e/2.parquet", "e/3.parquet"], [1_001, 1_900]);
    let mut models = Vec::new();
    for (seed, part) in [(0, 0.4), (7, 0.4), (7, 0.25)] {
        let rows = rows_where(|row| is_drawn(row, seed, 1, part));
        let expected = part * ROWS as f64;
        let spread = (expected * (1.0 - part)).sqrt();
        assert!((rows.len() as f64 - expected).abs() < 4.0 * spread, "{} for {expected}", rows.len());
        let flags = format!("{TRAIN} --sample {part} --seed {seed}");
        let whole = place.model(&format!("data.parquet {flags}"));
        assert_eq!(bits(&place.model(&format!("one.parquet {flags}"))), bits(&model_of(&place, &rows)), "{flags}");
        assert_eq!(bits(&place.model(&format!("d {flags}"))), bits(&whole), "{flags}");
        let cut = place.model(&format!("e {flags}"));
        assert_same_bits(&cut, &whole);
        assert_eq!(number(&cut, "/training/rows"), rows.len() as f64, "{flags}");
        models.push(bits(&whole));
    }
    assert!(models[0] != models[1] && models[1] != models[2]);
    // A condition takes rows out of the sample; it does not draw another one.
    let k = numbers(&table(), "k");
    let model = model_where(&place, &format!("one.parquet {TRAIN} --sample 0.4 --seed 7"), "k > 0");
    assert_eq!(bits(&model), bits(&model_of(&place, &rows_where(|row| k[row] > 0.0 && is_drawn(row, 7, 1, 0.4)))));
}

#[test]
fn the_parts_of_a_split_are_disjoint_and_together_everything() {
    let place = place_with(&table());
    write_parts(&place);
    let y = column(&table(), "y");
    let positives = |rows: &[usize]| rows.iter().filter(|&&row| y.as_boolean().value(row)).count() as f64;
    for (seed, part) in [(0, 0.3), (5, 0.1)] {
        let (held_back, rest): (Vec<usize>, Vec<usize>) = (0..ROWS).partition(|&row| is_drawn(row, seed, 2, part));
        let spread = (ROWS as f64 * part * (1.0 - part)).sqrt();
        assert!((held_back.len() as f64 - part * ROWS as f64).abs() < 4.0 * spread, "{}", held_back.len());
        let flags = format!("{TRAIN} --split {part} --seed {seed}");
        let model = place.model(&format!("one.parquet {flags} -o model.json"));
        assert_eq!(bits(&model), bits(&model_of(&place, &rest)));
        let groups = place.model(&format!("data.parquet {flags}"));
        assert_same_bits(&groups, &model);
        assert_eq!(bits(&place.model(&format!("d {flags}"))), bits(&groups));
        let validation = &model["training"]["validation"];
        assert_eq!(number(validation, "/rows"), held_back.len() as f64);
        assert_eq!(number(&model, "/training/rows"), rest.len() as f64);
        assert_eq!(number(&model, "/training/positives"), positives(&rest));
        let prevalence = positives(&held_back) / held_back.len() as f64;
        assert!((number(validation, "/prevalence") - prevalence).abs() < 1e-15);
        // The metrics are those of the rows held back, and of no others.
        for (rows, same) in [(&held_back, true), (&rest, false)] {
            write(&place, "part.parquet", &rows_of(&table(), rows), 250);
            let found = place.done("evaluate -m model.json part.parquet --json").json();
            for metric in ["log_loss", "brier", "accuracy"] {
                let (a, b) =
                    (number(validation, &format!("/{metric}")), number(&found["metrics"], &format!("/{metric}")));
                assert_eq!((a - b).abs() < 1e-12, same, "{metric}: {a} {b}");
            }
        }
    }
}

#[test]
fn conditions_that_mean_nothing_are_refused() {
    let place = place_with(&table());
    let cases: [(&str, i32, &[&str]); 5] = [
        ("x > 99", 3, &["none of the 3000 rows of data.parquet is left by --where"]),
        ("wind > 1", 3, &["there is no column `wind`", "\n    wind > 1\n    ^\n", "id, x, k, f, g, y"]),
        ("x > 1 andd k = 2", 2, &["\n    x > 1 andd k = 2\n          ^"]),
        ("x >", 2, &["\n    x >\n       ^"]),
        ("k = 'two'", 2, &["`k`", "\n    k = 'two'\n"]),
    ];
    for (condition, code, words) in cases {
        let run = with_condition(&place, &format!("train data.parquet {TRAIN} --device cpu"), condition);
        assert_says(&run.stderr, words);
        assert_eq!(run.code, Some(code), "{condition}: {run:?}");
    }
    for flags in ["--limit 0", "--sample 0", "--sample 1.5", "--split 1", "--split -0.5"] {
        let word = flags.split(' ').next().expect("a flag");
        assert_refused(&place, &format!("train data.parquet {TRAIN} {flags}"), 2, &[word]);
    }
    assert_refused(
        &place,
        &format!("train data.parquet {TRAIN} --limit 5 --split 0.0001"),
        3,
        &["--split 0.0001", "0 to"],
    );
}

// ---- the main line --------------------------------------------------------------------------------------------

#[test]
fn one_command_trains_and_one_predicts_as_statsmodels_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let text = fs::read_to_string(folder.join("tables.json")).expect("the reference is there");
    let reference: Value = serde_json::from_str(&text).expect("the reference is JSON");
    let place = Place::new();
    for name in ["tables.parquet", "tables_new.parquet"] {
        fs::copy(folder.join(name), place.path(name)).expect("the file is copied");
    }
    let list = |policy: &str, what: &str| -> Vec<f64> {
        let values = reference[policy][what].as_array().expect("a list");
        values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
    };
    for policy in ["drop-row", "mean", "indicator"] {
        let features: Vec<&str> =
            reference[policy]["features"].as_array().expect("features").iter().filter_map(Value::as_str).collect();
        let flags = format!("--categorical region --inference --features {} -o model.json", features.join(","));
        let model = place.model(&format!("tables.parquet --label bought {flags} --nulls {policy}"));
        assert_eq!(model["training"]["status"], "converged", "{policy}");
        assert_eq!(model["training"]["rows"], reference[policy]["rows"], "{policy}");
        let expected = reference[policy]["names"].as_array().expect("names");
        assert_eq!(
            names(&model),
            expected.iter().skip(1).map(|name| name.as_str().expect("a name")).collect::<Vec<_>>()
        );
        let regions = model["categories"].as_array().expect("categories").last().expect("the regions");
        assert_eq!((&regions["kind"], &regions["levels"]), (&json!("numeric"), &json!([-7, 3, 11, 200])));
        let found = [vec![number(&model, "/intercept")], coefficients(&model)].concat();
        let errors = list(policy, "standard_errors");
        assert_eq!((found.len(), errors.len()), (expected.len(), expected.len()));
        for ((found, expected), error) in found.iter().zip(list(policy, "coefficients")).zip(&errors) {
            assert!((found - expected).abs() <= 1e-4 * error, "{policy}: {found} instead of {expected} +- {error}");
        }
        let intercept = number(&model, "/intercept_inference/standard_error");
        assert!((intercept / errors[0] - 1.0).abs() < 1e-4, "{policy}: {intercept}");
        let found = model["features"].as_array().expect("features").iter();
        for (feature, error) in found.zip(&errors[1..]) {
            assert!((number(feature, "/standard_error") / error - 1.0).abs() < 1e-4, "{policy}: {feature}");
        }
        let likelihood = number(&reference[policy], "/log_likelihood");
        assert!((number(&model, "/training/log_likelihood") - likelihood).abs() < 1e-3, "{policy}");
        let run = place.done("predict -m model.json tables_new.parquet -o out.parquet --keep customer");
        let unseen = reference[policy]["unseen"]["city"].as_u64();
        let warning = unseen.map(|rows| format!("{rows} rows have levels of `city` that the model has not seen"));
        assert_eq!(run.stderr.contains("not seen"), unseen.is_some(), "{run:?}");
        assert_says(&run.stderr, &[warning.as_deref().unwrap_or("")]);
        let out = read(&place.path("out.parquet"));
        let predictions = list(policy, "predictions");
        let found = floats(&out["probability"]);
        assert_eq!((found.len(), out["customer"].len()), (predictions.len(), predictions.len()));
        for (row, (found, expected)) in found.iter().zip(&predictions).enumerate() {
            let same = (found - expected).abs() < 1e-6 || found.is_nan() && expected.is_nan();
            assert!(same, "{policy}: {found} instead of {expected} in row {row}");
        }
        assert_eq!(predictions.iter().any(|p| p.is_nan()), policy == "drop-row");
    }
    // The policies differ by more than the comparison allows.
    let away = |a: &str, b: &str| (list(a, "coefficients")[2] - list(b, "coefficients")[2]).abs();
    assert!(away("drop-row", "mean") > 1e-3 * list("mean", "standard_errors")[2]);
    assert!(away("mean", "indicator") > 1e-3 * list("mean", "standard_errors")[2]);
}

// ---- columns --------------------------------------------------------------------------------------------------

/// Columns of one kind each, and the same as numbers written out by hand.
struct Kinds {
    typed: Columns,
    plain: Columns,
}

fn f64s(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

impl Kinds {
    /// Only the label, far from separable by what is added.
    fn new() -> Self {
        let y = column(&table(), "y");
        Self { typed: vec![("y", Arc::clone(&y))], plain: vec![("y", y)] }
    }

    /// Adds a column and what its values are.
    fn add(&mut self, name: &'static str, typed: ArrayRef, plain: impl IntoIterator<Item = f64>) {
        self.typed.push((name, typed));
        self.plain.push((name, f64s(plain.into_iter().map(Some))));
    }
}

/// Whole numbers in 0..most, in no order.
fn wholes(seed: u64, most: f64) -> Vec<i64> {
    let mut random = Random(seed);
    (0..ROWS).map(|_| (random.unit() * most) as i64).collect()
}

fn times() -> Kinds {
    let mut kinds = Kinds::new();
    let days = wholes(1, 20_000.0);
    let plain = |values: &[i64], unit: f64| values.iter().map(|&v| v as f64 / unit).collect::<Vec<_>>();
    kinds.add("day", Arc::new(Date32Array::from_iter_values(days.iter().map(|&d| d as i32))), plain(&days, 1.0));
    let s = wholes(2, 2e9);
    kinds.add("at_ms", Arc::new(TimestampMillisecondArray::from_iter_values(s.iter().copied())), plain(&s, 1e3));
    let us = wholes(3, 2e12);
    let at: TimestampMicrosecondArray = us.iter().copied().map(Some).collect();
    kinds.add("at_us", Arc::new(at.with_timezone("Europe/Berlin")), plain(&us, 1e6));
    let ns = wholes(4, 2e15);
    kinds.add("at_ns", Arc::new(TimestampNanosecondArray::from_iter_values(ns.iter().copied())), plain(&ns, 1e9));
    let ms = wholes(6, 86_400_000.0);
    let time = Time32MillisecondArray::from_iter_values(ms.iter().map(|&ms| ms as i32));
    kinds.add("time_ms", Arc::new(time), plain(&ms, 1e3));
    let us = wholes(7, 86_400e6);
    kinds.add("time_us", Arc::new(Time64MicrosecondArray::from_iter_values(us.iter().copied())), plain(&us, 1e6));
    let ns = wholes(8, 86_400e9);
    kinds.add("time_ns", Arc::new(Time64NanosecondArray::from_iter_values(ns.iter().copied())), plain(&ns, 1e9));
    kinds
}

#[test]
fn dates_and_times_are_numbers_of_their_units() {
    let Kinds { typed, plain } = times();
    let place = place_with(&typed);
    write(&place, "plain.parquet", &plain, 500);
    let list = typed.iter().skip(1).map(|(name, _)| *name).collect::<Vec<_>>();
    let flags = format!("--label y --features {} --quiet", list.join(","));
    let model = place.model(&format!("data.parquet {flags} -o model.json"));
    assert_eq!(names(&model), list);
    assert_eq!(bits(&model), bits(&place.model(&format!("plain.parquet {flags}"))));
    for feature in model["features"].as_array().expect("features") {
        let name = feature["name"].as_str().expect("a name");
        let unit = match name.split('_').next() {
            Some("day") => "days since 1970-01-01",
            Some("at") => "seconds since 1970-01-01T00:00:00",
            _ => "seconds since midnight",
        };
        assert_eq!((&feature["unit"], &feature["kind"]), (&json!(unit), &json!("time")), "{name}");
    }
    let z = margins(&model, &plain);
    place.done("predict -m model.json data.parquet -o out.parquet --output margin");
    let out = floats(&read(&place.path("out.parquet"))["margin"]);
    assert!(out.iter().zip(&z).all(|(a, b)| (a - b).abs() < 1e-9), "{out:?}");
    // A number is no time.
    let words = ["another type", "day (Float64, time in the model)"];
    assert_refused(&place, "predict -m model.json plain.parquet -o out.csv", 3, &words);
    // Parquet has no timestamps in seconds: they are whole numbers there.
    let s = wholes(5, 2e6);
    let mut columns = Kinds::new().typed;
    columns.push(("at_s", Arc::new(TimestampSecondArray::from_iter_values(s.iter().copied()))));
    let place = place_with(&columns);
    set(&mut columns, "at_s", f64s(s.iter().map(|&s| Some(s as f64))));
    write(&place, "plain.parquet", &columns, 500);
    let model = place.model("data.parquet --label y");
    assert_eq!((names(&model), model["features"][0].get("unit")), (vec!["at_s"], None));
    assert_eq!(bits(&model), bits(&place.model("plain.parquet --label y")));
}

#[test]
fn times_that_nobody_names_are_left_out_with_a_note() {
    let mut columns = times().typed;
    columns.push(("x", column(&table(), "x")));
    let place = place_with(&columns);
    let model = place.model("data.parquet --label y");
    assert_eq!(names(&model), ["x"]);
    assert_says(&notes(&model), &["left out unless --features names them: day (Date32), at_ms (Timestamp", "time_ns"]);
    let model = place.model("data.parquet --label y --features day,x");
    assert_eq!(names(&model), ["day", "x"]);
    assert!(!notes(&model).contains("left out"), "{}", notes(&model));
    assert_eq!(names(&place.model("data.parquet --label y --features at_*,x --ignore *_ns")), ["at_ms", "at_us", "x"]);
}

/// Elements of lists that are all there are read as columns of their own would be, bit for bit, in row groups that begin
/// anywhere.
#[test]
fn elements_of_lists_are_columns_bit_for_bit() {
    let mut random = Random(31);
    let elements: [Vec<f64>; 3] = std::array::from_fn(|_| (0..ROWS).map(|_| random.unit()).collect());
    let labels: BooleanArray = (0..ROWS).map(|row| Some(random.label(2.0 * elements[1][row] - 1.0))).collect();
    let row = |row: usize| Some(elements.each_ref().map(|e| Some(e[row])));
    let wide: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>((0..ROWS).map(row)));
    let row = |row: usize| Some(elements.each_ref().map(|e| Some(e[row] as f32)));
    let narrow: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>((0..ROWS).map(row)));
    for (lists, data_type) in [(wide, DataType::Float64), (narrow, DataType::Float32)] {
        let place = Place::new();
        let of_lists = [("e", lists), ("y", Arc::new(labels.clone()) as ArrayRef)];
        write_parquet(&place.path("lists.parquet"), &of_lists, 700);
        let column = |k: usize| {
            let values: ArrayRef = Arc::new(Float64Array::from(elements[k].clone()));
            cast(&values, &data_type).expect("floats")
        };
        let columns =
            [("a", column(0)), ("b", column(1)), ("c", column(2)), ("y", Arc::new(labels.clone()) as ArrayRef)];
        write_parquet(&place.path("columns.parquet"), &columns, 1_100);
        let [of_lists, of_columns] =
            ["lists", "columns"].map(|name| place.model(&format!("{name}.parquet --label y --quiet -o {name}.json")));
        assert_eq!(of_lists["features"][2]["name"], "e[2]");
        assert_eq!(coefficients(&of_lists), coefficients(&of_columns));
    }
}

/// A struct `s` with `a`, nulls of its own and of the struct, and `in.b`; a list `e` of three; a decimal `d`.
fn nested() -> Kinds {
    let mut kinds = Kinds::new();
    let (a, b) = (wholes(9, 100.0), wholes(10, 100.0));
    let a_there = |row: usize| row % 13 != 4;
    let s_there = |row: usize| row % 17 != 6;
    let inner =
        StructArray::try_from(vec![("b", Arc::new(Int64Array::from_iter_values(b.iter().copied())) as ArrayRef)])
            .expect("a struct");
    let children: Vec<ArrayRef> =
        vec![Arc::new((0..ROWS).map(|row| a_there(row).then_some(a[row])).collect::<Int64Array>()), Arc::new(inner)];
    let fields: Vec<Field> = ["a", "in"]
        .iter()
        .zip(&children)
        .map(|(name, child)| Field::new(*name, child.data_type().clone(), true))
        .collect();
    let nulls = NullBuffer::from((0..ROWS).map(s_there).collect::<Vec<_>>());
    kinds.typed.push(("s", Arc::new(StructArray::new(fields.into(), children, Some(nulls)))));
    let plain = |there: &dyn Fn(usize) -> bool, values: &[i64]| {
        f64s((0..ROWS).map(|row| there(row).then(|| values[row] as f64)))
    };
    kinds.plain.push(("s.a", plain(&|row| a_there(row) && s_there(row), &a)));
    kinds.plain.push(("s.in.b", plain(&s_there, &b)));
    let elements = [wholes(11, 50.0), wholes(12, 50.0), wholes(13, 50.0)];
    let e_there = |row: usize| !row.is_multiple_of(19);
    let list = (0..ROWS).map(|row| e_there(row).then(|| elements.each_ref().map(|e| Some(e[row] as f32 / 4.0))));
    kinds.typed.push(("e", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(list))));
    for (name, element) in ["e[0]", "e[1]", "e[2]"].into_iter().zip(&elements) {
        kinds.plain.push((name, f64s((0..ROWS).map(|row| e_there(row).then(|| element[row] as f64 / 4.0)))));
    }
    let cents = wholes(14, 1e6);
    let decimal = Decimal128Array::from_iter_values(cents.iter().map(|&c| i128::from(c)));
    let decimal = decimal.with_precision_and_scale(12, 2).expect("enough digits");
    kinds.add("d", Arc::new(decimal), cents.iter().map(|&c| c as f64 / 100.0));
    kinds
}

#[test]
fn leaves_of_structs_and_elements_of_lists_are_columns() {
    let Kinds { typed, plain } = nested();
    let place = place_with(&typed);
    write(&place, "plain.parquet", &plain, 500);
    for policy in ["drop-row", "mean", "indicator"] {
        let flags = format!("--label y --quiet --nulls {policy}");
        let model = place.model(&format!("data.parquet {flags} --refine"));
        let expected = place.model(&format!("plain.parquet {flags} --refine"));
        assert_eq!(names(&model).len(), if policy == "indicator" { 11 } else { 6 });
        assert_eq!(names(&model), names(&expected));
        assert_eq!(bits(&model), bits(&expected), "{policy}");
        assert!(number(&model, "/training/verified/delta") < 1e-9);
        assert_eq!(number(&model, "/training/rows"), number(&expected, "/training/rows"));
        // Models of one file are applied to the other.
        fs::write(place.path("model.json"), model.to_string()).expect("the model is written");
        let z = margins(&model, &plain);
        for data in ["data.parquet", "plain.parquet"] {
            place.done(&format!("predict -m model.json {data} -o out.parquet --output margin"));
            assert_numbers(&floats(&read(&place.path("out.parquet"))["margin"]), &z);
        }
    }
    let of = |flags: &str| place.model(&format!("data.parquet --label y --nulls mean --quiet {flags}"));
    for (flags, expected) in [
        ("--features s", &["s.a", "s.in.b"] as &[&str]),
        ("--features s.in,e[1]", &["s.in.b", "e[1]"]),
        ("--features e,d", &["e[0]", "e[1]", "e[2]", "d"]),
        ("--features *a,d*", &["s.a", "d"]),
        ("--features d,s.?", &["d", "s.a"]),
        ("--ignore e,*.b", &["s.a", "d"]),
        ("--ignore s", &["e[0]", "e[1]", "e[2]", "d"]),
    ] {
        assert_eq!(names(&of(flags)), expected, "{flags}");
    }
    let model = model_where(&place, "data.parquet --label y --features s.in.b,d --nulls drop-row --quiet", "s.a >= 50");
    let rows = numbers(&plain, "s.a").into_iter().filter(|&a| a >= 50.0).count();
    assert_eq!(number(&model, "/training/rows"), rows as f64);
    for (flags, word) in [("--features z*", "z*"), ("--ignore nothing", "nothing"), ("--features e[3]", "e[3]")] {
        assert_refused(&place, &format!("train data.parquet --label y {flags}"), 3, &["there is no", word]);
    }
}

#[test]
fn lists_of_differing_length_are_refused_with_the_row() {
    let lists = |short: usize| -> ArrayRef {
        let x = numbers(&table(), "x");
        let list = |row: usize| vec![Some(x[row] as f32); if row == short { 2 } else { 3 }];
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>((0..ROWS).map(|row| Some(list(row)))))
    };
    let mut columns = table();
    for short in [1, 1_234, 2_999] {
        set(&mut columns, "e", lists(short));
        let place = place_with(&columns);
        for data in ["data.parquet", "one.parquet"] {
            let words = [&*format!("the lists of `e` have 3 elements in the first row and 2 in row {short}, from 0")];
            assert_refused(&place, &format!("train {data} {TRAIN}"), 3, &words);
        }
        let model = place.model("data.parquet --label y --ignore id,e --quiet");
        assert_eq!(names(&model), ["x", "k", "f", "g=b", "g=c"]);
        write_cut(&place, &columns, ["d/1.parquet", "d/2.parquet", "d/3.parquet"], [1_001, 1_900]);
        if short == 1_234 {
            assert_refused(&place, &format!("train d {TRAIN}"), 3, &["2 in row d/2.parquet:233, from 0"]);
        }
    }
}

// ---- metrics --------------------------------------------------------------------------------------------------

/// Log loss, Brier score, accuracy at a threshold and area under the curve, row by row and pair by pair.
fn metrics(margins: &[f64], labels: &[bool], threshold: f64) -> [(&'static str, f64); 4] {
    let n = labels.len() as f64;
    let rows = || margins.iter().map(|&z| probability(z)).zip(labels);
    let log_loss = margins.iter().zip(labels).map(|(&z, &t)| {
        let z = if t { -z } else { z };
        z.max(0.0) + (-z.abs()).exp().ln_1p()
    });
    let brier = rows().map(|(p, &t)| (p - f64::from(u8::from(t))).powi(2));
    let right = rows().filter(|&(p, &t)| (p >= threshold) == t).count() as f64;
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (a, _) in margins.iter().zip(labels).filter(|(_, label)| **label) {
        for (b, _) in margins.iter().zip(labels).filter(|(_, label)| !**label) {
            wins += if a > b {
                1.0
            } else if a < b {
                0.0
            } else {
                0.5
            };
            pairs += 1.0;
        }
    }
    let (log_loss, brier) = (log_loss.sum::<f64>() / n, brier.sum::<f64>() / n);
    [("/log_loss", log_loss), ("/brier", brier), ("/accuracy", right / n), ("/auc", wins / pairs)]
}

/// Asserts that the metrics of `evaluate`, or those in a model, are these.
#[track_caller]
fn assert_metrics(found: &Value, expected: &[(&str, f64)]) {
    for (path, expected) in expected {
        let value = found.pointer(path).unwrap_or_else(|| panic!("no {path} in {found:#}"));
        let value = value.get("value").unwrap_or(value).as_f64().expect("a number");
        assert!((value - expected).abs() <= 1e-12, "{path}: {value} instead of {expected}");
    }
}

/// The columns of an example.
fn example(name: &str) -> BTreeMap<String, ArrayRef> {
    read(&common::examples::example(name))
}

#[test]
fn the_metrics_of_the_examples_are_those_of_row_by_row_sums() {
    for (name, label, features) in [
        ("weather", "rain", "temp_max,temp_min,wind"),
        ("breast_cancer", "malignant", "mean_radius,mean_texture,mean_smoothness"),
    ] {
        let columns = example(&format!("{name}.parquet"));
        let Some(y) = columns.get(label) else { panic!("no {label} in {:?}", columns.keys()) };
        let labels: Vec<bool> = floats(y).into_iter().map(|y| y == 1.0).collect();
        let place = Place::with_example(&format!("{name}.parquet"));
        let model = place.model(&format!("{name}.parquet --label {label} --features {features} -o model.json"));
        let mut z = vec![number(&model, "/intercept"); labels.len()];
        for feature in model["features"].as_array().expect("features") {
            for (z, x) in z.iter_mut().zip(floats(&columns[feature["name"].as_str().expect("a name")])) {
                *z += number(feature, "/coefficient") * x;
            }
        }
        for threshold in [0.5, 0.2, 0.9] {
            let arguments = format!("evaluate -m model.json {name}.parquet --threshold {threshold} --json");
            let found = place.done(&arguments).json();
            assert_metrics(&found["metrics"], &metrics(&z, &labels, threshold));
            assert_eq!(number(&found, "/metrics/rows"), labels.len() as f64);
            assert_eq!(number(&found, "/metrics/positives"), labels.iter().filter(|t| **t).count() as f64);
        }
    }
}

/// More rows than a batch has, so that what one batch leaves behind meets the next, and places in the file are not those
/// in the batch.
#[test]
fn many_batches_are_as_many_rows() {
    const MANY: usize = 40_000;
    let mut random = Random(5);
    let x: Vec<f64> = (0..MANY).map(|_| 4.0 * random.unit() - 2.0).collect();
    let y: Vec<bool> = x.iter().map(|x| random.label(1.5 * x - 0.4)).collect();
    let w: Vec<f64> = (0..MANY).map(|row| 0.25 + (row * 7 % 5) as f64).collect();
    let columns: Columns = vec![
        ("x", Arc::new(Float64Array::from(x))),
        ("w", Arc::new(Float64Array::from(w.clone()))),
        ("y", Arc::new(BooleanArray::from(y.clone()))),
    ];
    let place = Place::new();
    write(&place, "whole.parquet", &columns, MANY);
    write(&place, "cut.parquet", &columns, 11_111);
    let train = "whole.parquet --label y --features x --limit 3000 --quiet";
    let model = place.model(&format!("{train} -o model.json"));
    place.model(&format!("{train} --nulls drop-row -o dropping.json"));
    let z = margins(&model, &columns);
    let loss = |rows: &dyn Fn(usize) -> bool| {
        let of_row = |&row: &usize| w[row] * (if y[row] { -z[row] } else { z[row] }).exp().ln_1p();
        let weights: f64 = (0..MANY).filter(|row| rows(*row)).map(|row| w[row]).sum();
        ((0..MANY).filter(|row| rows(*row)).collect::<Vec<_>>().iter().map(of_row).sum::<f64>() / weights, weights)
    };
    let (log_loss, weights) = loss(&|_| true);
    for arguments in ["whole.parquet", "whole.parquet --threads 1", "cut.parquet", "cut.parquet --threads 1"] {
        let found = place.done(&format!("evaluate -m model.json {arguments} --weight w --json")).json();
        assert_metrics(&found["metrics"], &[("/rows", MANY as f64), ("/log_loss", log_loss)]);
        assert!((number(&found, "/metrics/weights") - weights).abs() <= 1e-6, "{arguments}");
        place.done(&format!("predict -m model.json {arguments} -o out.parquet --output margin --keep w"));
        let out = read(&place.path("out.parquet"));
        assert_numbers(&floats(&out["margin"]), &z);
        assert_eq!(&out["w"], &column(&columns, "w"), "{arguments}");
    }
    // The first of two rows that are wrong, by its place in the file.
    let wrong = [20_017, 33_333];
    let is_wrong = |row: usize| wrong.contains(&row);
    let changed = |name: &'static str, array: ArrayRef| {
        let mut columns = columns.clone();
        set(&mut columns, name, array);
        columns
    };
    let missing = |row: usize| (!is_wrong(row)).then_some(w[row]);
    let digit = |row: usize| if is_wrong(row) { row as i32 } else { i32::from(y[row]) };
    for (columns, words) in [
        (
            changed("y", Arc::new((0..MANY).map(|row| (!is_wrong(row)).then_some(y[row])).collect::<BooleanArray>())),
            "`y` is missing (null or NaN) in row 20017, from 0",
        ),
        (changed("y", Arc::new((0..MANY).map(|row| Some(digit(row))).collect::<Int32Array>())), "has the value 20017;"),
        (
            changed("w", Arc::new((0..MANY).map(missing).collect::<Float64Array>())),
            "the weight `w` is missing (null or NaN) in row 20017, from 0",
        ),
        (
            changed("x", Arc::new((0..MANY).map(missing).collect::<Float64Array>())),
            "has no value of x in row 20017, from 0",
        ),
    ] {
        for group in [MANY, 11_111] {
            write(&place, "wrong.parquet", &columns, group);
            assert_refused(&place, "evaluate -m model.json wrong.parquet --weight w", 3, &[words]);
        }
    }
    // Left out where the model says so.
    let is_left = |row: usize| row % 1_000 != 999;
    let holes = (0..MANY).map(|row| is_left(row).then_some(w[row]));
    write(&place, "holes.parquet", &changed("w", Arc::new(holes.collect::<Float64Array>())), 11_111);
    let found = place.done("evaluate -m dropping.json holes.parquet --weight w --json").json();
    assert_metrics(&found, &[("/left_out", 40.0), ("/metrics/rows", MANY as f64 - 40.0)]);
    assert_metrics(&found["metrics"], &[("/log_loss", loss(&is_left).0)]);
}

/// Probabilities that repeat have a dictionary, others none.
#[test]
fn only_predictions_from_categories_alone_have_a_dictionary() {
    let place = place_with(&table());
    for (features, expected) in [("g", true), ("x,g", false), ("x", false)] {
        place.done(&format!("train data.parquet --label y --features {features} --device cpu -o model.json"));
        place.done("predict -m model.json data.parquet -o out.parquet");
        let file = fs::File::open(place.path("out.parquet")).expect("the predictions");
        let reader = SerializedFileReader::new(file).expect("a Parquet file");
        let found = reader.metadata().row_group(0).column(0).dictionary_page_offset().is_some();
        assert_eq!(found, expected, "{features}");
    }
}

#[test]
fn another_label_is_evaluated_if_its_classes_are_known() {
    let (place, model) = with_model(&table(), "");
    let k = numbers(&table(), "k");
    let other: Vec<bool> = k.iter().map(|&k| k < 10.0).collect();
    let mut columns = table();
    set(&mut columns, "other", Arc::new(BooleanArray::from(other.clone())));
    set(&mut columns, "digit", Arc::new(Int32Array::from_iter_values(other.iter().map(|&t| i32::from(t)))));
    set(
        &mut columns,
        "three",
        Arc::new(Int32Array::from_iter_values((0..ROWS).map(|row| i32::from(row == 2_000) * 2))),
    );
    let holes = (0..ROWS).map(|row| (row != 777).then_some(true));
    set(&mut columns, "holes", Arc::new(holes.collect::<BooleanArray>()));
    write(&place, "new.parquet", &columns, 700);
    let expected = metrics(&margins(&model, &table()), &other, 0.5);
    for label in ["other", "digit"] {
        let found = place.done(&format!("evaluate -m model.json new.parquet --label {label} --json")).json();
        assert_metrics(&found["metrics"], &expected);
    }
    let own = place.done("evaluate -m model.json new.parquet --json").json();
    assert!((number(&own, "/metrics/log_loss") - expected[0].1).abs() > 1e-3, "the label makes a difference");
    for (label, words) in [
        ("three", &["`three` has the value 2", "the model knows false and true"] as &[&str]),
        ("g", &["`g` has the value a", "the model knows"]),
        ("nothing", &["has not the column nothing"]),
        ("holes", &["`holes` is missing (null or NaN) in row 777, from 0", "is not null"]),
    ] {
        assert_refused(&place, &format!("evaluate -m model.json new.parquet --label {label}"), 3, words);
    }
}

#[test]
fn validation_of_a_training_is_what_evaluate_says_of_those_rows() {
    let place = place_with(&with_holes());
    let new = rows_of(&with_holes(), &(0..1_200).map(|row| row * 2).collect::<Vec<_>>());
    write(&place, "v/1.parquet", &rows_of(&new, &(0..500).collect::<Vec<_>>()), 123);
    write(&place, "v/2.parquet", &rows_of(&new, &(500..1_200).collect::<Vec<_>>()), 123);
    let y: Vec<bool> = column(&new, "y").as_boolean().iter().flatten().collect();
    for policy in ["drop-row", "mean", "indicator"] {
        let model = place.model(&format!("data.parquet {TRAIN} --nulls {policy} --valid v -o model.json"));
        let validation = &model["training"]["validation"];
        let (z, labels): (Vec<f64>, Vec<bool>) =
            margins(&model, &new).into_iter().zip(y.iter().copied()).filter(|(z, _)| !z.is_nan()).unzip();
        assert_metrics(validation, &metrics(&z, &labels, 0.5));
        assert_eq!(number(validation, "/rows"), z.len() as f64);
        // What is 0 is not written.
        let left_out = validation.get("left_out").map_or(0.0, |_| number(validation, "/left_out"));
        assert_eq!(left_out, (new[0].1.len() - z.len()) as f64);
        assert_eq!(z.len() < new[0].1.len(), policy == "drop-row");
        let found = place.done("evaluate -m model.json v --json").json();
        for metric in ["/rows", "/log_loss", "/brier", "/accuracy", "/prevalence", "/skill"] {
            assert_eq!(number(validation, metric), number(&found["metrics"], metric), "{policy}: {metric}");
        }
        assert_eq!(left_out, number(&found, "/left_out"));
        assert_eq!(number(validation, "/auc"), number(&found, "/metrics/auc/value"));
    }
}
