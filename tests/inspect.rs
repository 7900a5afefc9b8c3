//! `inspect` as a process: footers against the decoded data, models that are read back, and what is neither.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod data;
    pub(crate) mod decoded;
    pub(crate) mod examples;
    pub(crate) mod fields;
    pub(crate) mod files;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float16Array, Float32Array, Float64Array,
    Int8Array, Int64Array, ListArray, NullArray, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use gpu_logreg::model::file::read;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Value, json};

use common::data::write_parquet;
use common::decoded::decoded;
use common::examples::example;
use common::fields::fields;
use common::process::{Place, Run, number};
use common::random::Random;
use common::says::assert_says;

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 1_000;
const GROUP: usize = 300;

/// Days since 1970 and their names, in no order.
const DAYS: [(i32, &str); 5] =
    [(18_262, "2020-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (0, "1970-01-01"), (20_512, "2026-02-28")];

/// Columns of all kinds, some with nulls, in no order that a reader could count on.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let mut random = Random(7);
    let mut numbers = |from: f64, to: f64| -> Vec<f64> {
        (0..ROWS).map(|_| from + (to - from) * random.unit()).collect::<Vec<f64>>()
    };
    let some = |row: usize, every: usize| !row.is_multiple_of(every);
    let (a, b, c) = (numbers(-1e6, 1e6), numbers(0.0, 1e-3), numbers(0.0, 5.0));
    let days = || c.iter().map(|&c| DAYS[c as usize].0);
    let text = |row: usize| if row % 11 == 3 { "a text that is longer than a table shows" } else { "short" };
    let inner: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    vec![
        ("whole", Arc::new(a.iter().map(|&a| Some(a as i64)).collect::<Int64Array>())),
        ("holes", Arc::new((0..ROWS).map(|row| some(row, 7).then_some(a[row] as i64)).collect::<Int64Array>())),
        ("double", Arc::new(Float64Array::from(b.clone()))),
        ("single", Arc::new((0..ROWS).map(|row| some(row, 3).then_some(b[row] as f32)).collect::<Float32Array>())),
        ("half", Arc::new(b.iter().map(|&b| Some(half::f16::from_f64(1e3 * b))).collect::<Float16Array>())),
        ("byte", Arc::new(Int8Array::from_iter_values(c.iter().map(|&c| (c * 40.0 - 100.0) as i8)))),
        ("huge", Arc::new(UInt64Array::from_iter_values(a.iter().map(|&a| u64::MAX - (1e12 * a.abs()) as u64)))),
        ("flag", Arc::new((0..ROWS).map(|row| some(row, 5).then_some(row % 2 == 0)).collect::<BooleanArray>())),
        ("day", Arc::new(Date32Array::from_iter_values(days()))),
        (
            "moment",
            Arc::new(TimestampMicrosecondArray::from_iter_values(days().map(|day| i64::from(day) * 86_400_000_000))),
        ),
        (
            "moment_utc",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(days().map(|day| i64::from(day) * 86_400_000_000))
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        (
            "money",
            Arc::new(
                Decimal128Array::from_iter_values(a.iter().map(|&a| (100.0 * a) as i128))
                    .with_precision_and_scale(20, 2)
                    .expect("enough digits"),
            ),
        ),
        ("text", Arc::new(StringArray::from_iter_values((0..ROWS).map(text)))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>((0..ROWS).map(|row| Some([Some(row as i32)])))),
        ),
        (
            "pair",
            Arc::new(
                StructArray::try_from(vec![("a", Arc::clone(&inner)), ("b", inner)]).expect("columns of one length"),
            ),
        ),
        ("nothing", Arc::new(NullArray::new(ROWS))),
    ]
}

/// Writes `columns()` in four row groups, with several codecs.
fn write_all(path: &Path) {
    write(path, columns());
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length");
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP))
        .set_compression(Compression::SNAPPY)
        .set_column_compression("double".into(), zstd)
        .set_column_compression("money".into(), Compression::LZ4_RAW)
        .set_column_dictionary_enabled("huge".into(), false)
        .set_column_encoding("huge".into(), Encoding::DELTA_BINARY_PACKED)
        .set_created_by("the test\x1b[31m".into())
        .build();
    let file = fs::File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// The values of a column of numbers that are there, in order.
fn present<T: ArrowPrimitiveType>(array: &ArrayRef) -> Vec<T::Native>
where
    T::Native: PartialOrd,
{
    let mut values: Vec<T::Native> = array.as_primitive::<T>().iter().flatten().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("no NaN here"));
    values
}

/// Asserts that the smallest and the largest of `values`, in order, are the bounds of `column`, as `json` writes them.
#[track_caller]
fn assert_bounds<T: Copy>(column: &Value, values: &[T], json: impl Fn(T) -> Value) {
    let [first, .., last] = values else { panic!("too few values") };
    assert_eq!((&column["min"], &column["max"]), (&json(*first), &json(*last)), "{column}");
}

/// The column of this name in the JSON of `inspect`.
fn column<'d>(document: &'d Value, name: &str) -> &'d Value {
    let columns = document["parquet"]["columns"].as_array().expect("a list of columns");
    columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

/// The words of a line of the table.
fn line<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|words| words.first() == Some(&name)).unwrap_or_else(|| panic!("no {name} in {text}"))
}

// ---- Parquet --------------------------------------------------------------------------------------------------

#[test]
fn bounds_and_nulls_are_those_of_the_decoded_data() {
    let place = Place::new();
    write_all(&place.path("data.parquet"));
    let document = place.done("inspect data.parquet --json").json();
    let data: Vec<(String, ArrayRef)> = decoded(&place.path("data.parquet"));
    let name_of = |day: i32| DAYS.iter().find(|(number, _)| *number == day).expect("a day from here").1;
    let instant = |micros: i64| name_of((micros / 86_400_000_000) as i32);
    let mut checked = 0;
    for (name, array) in &data {
        let found = column(&document, name);
        match name.as_str() {
            "whole" | "holes" => assert_bounds(found, &present::<Int64Type>(array), |x| json!(x)),
            "double" => assert_bounds(found, &present::<Float64Type>(array), |x| json!(x)),
            // The shortest digits of an f32 are not those of the f64 beside it.
            "single" => assert_bounds(found, &present::<Float32Type>(array), |x| {
                x.to_string().parse::<f64>().expect("a number").into()
            }),
            "half" => assert_bounds(found, &present::<Float16Type>(array), |x| {
                x.to_f32().to_string().parse::<f64>().expect("a number").into()
            }),
            "byte" => assert_bounds(found, &present::<Int8Type>(array), |x| json!(x)),
            "huge" => assert_bounds(found, &present::<UInt64Type>(array), |x| json!(x)),
            "day" => assert_bounds(found, &present::<Date32Type>(array), |x| json!(name_of(x))),
            "moment" => assert_bounds(found, &present::<TimestampMicrosecondType>(array), |x| {
                json!(format!("{}T00:00:00", instant(x)))
            }),
            "moment_utc" => assert_bounds(found, &present::<TimestampMicrosecondType>(array), |x| {
                json!(format!("{}T00:00:00Z", instant(x)))
            }),
            "money" => assert_bounds(found, &present::<Decimal128Type>(array), |x| {
                let (sign, cents) = (if x < 0 { "-" } else { "" }, x.unsigned_abs());
                json!(format!("{sign}{}.{:02}", cents / 100, cents % 100))
            }),
            "flag" => assert_eq!((&found["min"], &found["max"]), (&json!(false), &json!(true))),
            "text" => {
                let texts: Vec<&str> = array.as_string::<i32>().iter().flatten().collect();
                let (first, last) = (texts.iter().min().expect("texts"), texts.iter().max().expect("texts"));
                assert_eq!((&found["min"], &found["max"]), (&json!(first), &json!(last)));
            }
            _ => {
                assert_eq!((&found["min"], &found["max"]), (&Value::Null, &Value::Null), "{name}");
                let nulls = if name == "nothing" { json!(ROWS) } else { Value::Null };
                assert_eq!(found["nulls"], nulls, "{found}");
                continue;
            }
        }
        assert_eq!(found["nulls"], array.null_count(), "{name}");
        checked += 1;
    }
    assert_eq!((checked, data.len()), (13, columns().len()));
}

#[test]
fn json_has_the_documented_fields() {
    let place = Place::new();
    write_all(&place.path("data.parquet"));
    let document = place.done("inspect data.parquet --json").json();
    assert_eq!(fields(&document), ["parquet", "training"]);
    let file = &document["parquet"];
    assert_eq!(fields(file), ["bytes", "columns", "created_by", "page_checksums", "path", "row_groups", "rows"]);
    assert_eq!((&file["rows"], &file["path"]), (&json!(ROWS), &json!("data.parquet")));
    assert_eq!(file["bytes"], place.read("data.parquet").len());
    assert_eq!(file["created_by"], "the test\x1b[31m");
    assert_eq!(file["page_checksums"], false);
    assert_eq!((&file["row_groups"]["count"], &file["row_groups"]["rows"]), (&json!(4), &json!([100, 300])));
    let columns = file["columns"].as_array().expect("a list");
    assert_eq!(
        fields(&columns[0]),
        [
            "category",
            "codecs",
            "compressed_bytes",
            "data_type",
            "encodings",
            "feature",
            "label",
            "max",
            "min",
            "name",
            "nans",
            "nulls",
            "obstacle",
            "physical_types",
            "uncompressed_bytes"
        ]
    );
    // The pages lie between the magic and the footer, and so do their bytes.
    let bytes: f64 = columns.iter().map(|column| number(column, "/compressed_bytes")).sum();
    assert!(bytes > 0.0 && bytes < number(file, "/bytes"), "{bytes}");
    let codecs = |name| &column(&document, name)["codecs"];
    assert_eq!(
        [codecs("whole"), codecs("double"), codecs("money")],
        [&json!(["SNAPPY"]), &json!(["ZSTD"]), &json!(["LZ4_RAW"])]
    );
    assert!(column(&document, "huge")["encodings"].to_string().contains("DELTA_BINARY_PACKED"));
    assert_eq!(column(&document, "byte")["physical_types"], json!(["INT32"]));
    assert_eq!(column(&document, "pair")["physical_types"], json!(["INT64"]));
    // 8 numbers (the decimals too), a boolean, a text, 3 dates and times, a list and a struct; 4 bytes each and 16 or 20 for label
    // and state, in rows of 16.
    assert_eq!(document["training"]["features"], 15);
    let rows = ROWS.next_multiple_of(16);
    assert_eq!(document["training"]["gpu_bytes"], rows * (4 * 15 + 4 + 12));
    assert_eq!(document["training"]["cpu_bytes"], rows * (4 * 15 + 4 + 16));
}

#[test]
fn what_inspect_calls_a_feature_is_what_train_takes() {
    // A whole column makes a feature, a column with holes once they are filled, and no other does.
    let place = Place::new();
    let label: ArrayRef = Arc::new((0..ROWS).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>());
    write(&place.path("data.parquet"), [columns(), vec![("y", label)]].concat());
    let document = place.done("inspect data.parquet --json").json();
    for (name, _) in columns() {
        let found = column(&document, name);
        let run = place.run(&format!("train data.parquet --label y --features {name} --device cpu --max-iterations 1"));
        let usable = found["feature"] == true && found["obstacle"].is_null();
        assert_eq!(run.code, Some(if usable { 0 } else { 3 }), "{found}: {run:?}");
    }
    let obstacle = |name| column(&document, name)["obstacle"].as_str().unwrap_or("none");
    assert_eq!((obstacle("whole"), obstacle("holes")), ("none", "say --nulls for its 143 nulls"));
    assert_eq!(obstacle("day"), "none");
    assert_eq!(obstacle("text"), "none");
    assert_eq!(
        (&column(&document, "text")["category"], &column(&document, "text")["label"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(column(&document, "whole")["category"], false);
    assert_eq!(column(&document, "list")["label"], false);
}

#[test]
fn the_table_reads_well() {
    let place = Place::new();
    write_all(&place.path("data.parquet"));
    let text = place.done("inspect data.parquet").stdout;
    let (head, table) = text.split_once("\n\n").expect("a head and a table");
    for words in [
        "data.parquet: Parquet,",
        "1000 in 4 row groups of 100 to 300 rows",
        "16: 15 can be features, 10 the label",
        "written by the test\\u{1b}[31m",
        "checksums  none of pages: damage to them may go unseen",
        "on all 15 features keeps 77 kB on a GPU",
    ] {
        assert!(head.contains(words), "`{words}` is not in: {head}");
    }
    assert_eq!(table.lines().count(), 1 + 16, "{table}");
    assert_eq!(line(table, "day")[1..5], ["Date32", "(INT32)", "snappy", "plain+dict"]);
    assert_eq!(line(table, "day")[5..8], ["0", "1969-12-31", "2026-02-28"]);
    assert_eq!(line(table, "double")[1..3], ["Float64", "zstd"]);
    let list = table.lines().find(|line| line.starts_with("list ")).expect("a line for it too").replace(' ', "");
    assert!(list.contains("plain+dict???") && list.ends_with("feature"), "{list}");
    // Twenty characters of a text, the last of which says that there are more.
    assert!(table.contains("  \"a text that is long…\"  "), "{table}");
    assert!(table.contains("feature, label; first say --nulls for its 143 nulls"), "{table}");
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn no_page_is_read() {
    let place = Place::new();
    write_all(&place.path("data.parquet"));
    let before = ["", " --json", " -v"].map(|flag| place.done(&format!("inspect data.parquet{flag}")).stdout);
    let mut bytes = place.read("data.parquet");
    let tail = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[tail..tail + 4].try_into().expect("four bytes")) as usize;
    assert!(tail > footer + 1_000, "there are pages before the footer");
    bytes[4..tail - footer].fill(0xaa);
    fs::write(place.path("data.parquet"), bytes).expect("the file is written");
    let after = ["", " --json", " -v"].map(|flag| place.done(&format!("inspect data.parquet{flag}")).stdout);
    assert_eq!(before, after);
    // Whoever reads pages notices.
    let run = place.run("train data.parquet --label flag --features whole --device cpu");
    assert_eq!(run.code, Some(3), "{run:?}");
}

#[test]
fn bounds_that_the_footer_does_not_have_are_unknown() {
    let place = Place::new();
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..6).map(f64::from)));
    let batch = RecordBatch::try_from_iter([("x", numbers)]).expect("columns of one length");
    let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
    let file = fs::File::create(place.path("data.parquet")).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
    let document = place.done("inspect data.parquet --json").json();
    let x = column(&document, "x");
    assert_eq!([&x["nulls"], &x["nans"], &x["min"], &x["max"]], [&Value::Null; 4]);
    assert_eq!(line(&place.done("inspect data.parquet").stdout, "x")[4..7], ["?", "?", "?"]);
}

#[test]
fn row_groups_without_values_do_not_hide_the_bounds() {
    let place = Place::new();
    let nan = f64::NAN;
    let x = Float64Array::from(vec![
        None,
        None,
        Some(nan),
        Some(nan),
        Some(-2.0),
        Some(nan),
        Some(f64::INFINITY),
        Some(1.0),
    ]);
    write_parquet(&place.path("data.parquet"), &[("x", Arc::new(x))], 2);
    let document = place.done("inspect data.parquet --json").json();
    let x = column(&document, "x");
    assert_eq!([&x["nulls"], &x["nans"], &x["min"], &x["max"]], [&json!(2), &json!(3), &json!(-2.0), &json!("inf")]);
    assert_eq!(x["obstacle"], "say --nulls for its 2 nulls and 3 NaN");
}

/// The lines of a table of coefficients behind the intercept, without their bars.
fn coefficients(text: &str) -> Vec<&str> {
    text.lines().skip_while(|line| !line.starts_with("intercept")).skip(1).collect()
}

/// Of many coefficients a table has the fifty whose features matter most, the largest first, for two classes and for three;
/// of several classes by the largest of them.
#[test]
fn hundreds_of_coefficients_stay_readable() {
    let place = Place::new();
    let mut random = Random(5);
    let names: Vec<String> = (0..120).map(|j| format!("c{j}")).collect();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for name in &names {
        let values: Float64Array = (0..90).map(|_| Some(100.0 * random.unit())).collect();
        columns.push((name, Arc::new(values)));
    }
    let two: BooleanArray = (0..90).map(|_| Some(random.unit() < 0.5)).collect();
    let three: StringArray = (0..90).map(|row| Some(["oak", "fir", "elm"][row % 3])).collect();
    columns.extend([("two", Arc::new(two) as ArrayRef), ("three", Arc::new(three) as ArrayRef)]);
    write_parquet(&place.path("data.parquet"), &columns, usize::MAX);
    for label in ["two", "three"] {
        let train = format!("train data.parquet --label {label} --features c* --l2 1 --quiet -o model.json");
        let document = serde_json::from_slice::<Value>(&{
            place.done(&train);
            place.read("model.json")
        });
        let document = document.expect("a model");
        let effect = |feature: &Value| {
            let of_classes = feature["coefficients"].as_array().cloned().unwrap_or_default();
            let coefficients =
                of_classes.iter().chain(feature.get("coefficient")).map(|x| x.as_f64().expect("a number"));
            coefficients.map(|x| (x * feature["scale"].as_f64().expect("a scale")).abs()).fold(0.0, f64::max)
        };
        let mut largest: Vec<(f64, &str)> = document["features"]
            .as_array()
            .expect("features")
            .iter()
            .map(|feature| (effect(feature), feature["name"].as_str().expect("a name")))
            .collect();
        largest.sort_by(|a, b| b.0.total_cmp(&a.0));
        for command in [&train, "inspect model.json"] {
            let short = place.done(command).stdout;
            let lines = coefficients(&short);
            assert_eq!(lines.len(), 51, "{short}");
            for (line, (_, name)) in lines.iter().zip(&largest[..50]) {
                assert_eq!(line.split_whitespace().next(), Some(*name), "{short}");
            }
            assert_eq!(lines[50], "... and 70 others, with smaller effects of 1 std. dev. (-v shows all)");
            let long = place.done(&format!("{command} -v")).stdout;
            let lines = coefficients(&long);
            assert_eq!(lines.len(), 120, "{long}");
            assert!(
                lines.iter().zip(&names).all(|(line, name)| line.split_whitespace().next() == Some(name)),
                "{long}"
            );
        }
        let inspected = place.done("inspect model.json --json").json();
        assert_eq!(inspected["model"]["features"].as_array().map(Vec::len), Some(120));
    }
}

#[test]
fn thousands_of_columns_stay_readable() {
    let place = Place::new();
    let names: Vec<String> = (0..5_000).map(|j| format!("c{j}")).collect();
    let ones: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 1.5]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["no", "yes"]));
    let array = |j: usize| Arc::clone(if j % 10 == 9 { &texts } else { &ones });
    let columns: Vec<(&str, ArrayRef)> = names.iter().enumerate().map(|(j, name)| (name.as_str(), array(j))).collect();
    write_parquet(&place.path("data.parquet"), &columns, usize::MAX);
    let short = place.done("inspect data.parquet").stdout;
    assert!(short.lines().count() <= 50, "{short}");
    assert_eq!(line(&short, "c39")[1], "Utf8");
    assert!(short.ends_with("... and 4960 others: 4464 Float32, 496 Utf8 (-v shows all)\n"), "{short}");
    for flag in ["-v", "--verbose"] {
        let long = place.done(&format!("inspect data.parquet {flag}")).stdout;
        assert_eq!(line(&long, "c4999")[1], "Utf8");
        assert!(!long.contains("others"), "{flag}");
    }
    let document = place.done("inspect data.parquet --json").json();
    assert_eq!(document["parquet"]["columns"].as_array().map(Vec::len), Some(5_000));
}

#[test]
fn what_synth_writes_is_told() {
    let place = Place::new();
    place.done("synth -o data.parquet --rows 5000 --features 3");
    let document = place.done("inspect data.parquet --json").json();
    assert_eq!((&document["parquet"]["rows"], &document["training"]["features"]), (&json!(5_000), &json!(4)));
    assert_eq!(column(&document, "y")["nulls"], 0);
}

// ---- models ---------------------------------------------------------------------------------------------------

/// Trainings whose models differ in every part that a model may have or not have.
const TRAININGS: [(&str, &str); 12] = [
    ("weather", "--label rain --features temp_max,wind"),
    ("weather", "--label rain --features temp_max,wind --inference"),
    ("weather", "--label rain --features temp_max,wind --robust --confidence 0.9 --verify"),
    ("weather", "--label rain --features temp_max,wind --l2 0.01 --penalty-scale original --inference"),
    ("weather", "--label rain --features temp_max --no-intercept --refine --inference"),
    ("weather", "--label rain --gradient-tolerance 1e-3 --solver lbfgs"),
    ("weather", "--label rain --inference --verify"),
    ("breast_cancer", "--label malignant --l2 0.1 --verify"),
    ("breast_cancer", "--label malignant --max-iterations 2 --inference"),
    ("digits", "--label odd --l2 0.01 --inference"),
    ("spector", "--label GRADE --inference"),
    ("spector", "--label GRADE --verify --solver newton --positive 0"),
];

#[test]
fn models_read_back_to_the_same_bytes() {
    for (data, arguments) in TRAININGS {
        let place = Place::with_example(&format!("{data}.parquet"));
        let train = place.done(&format!("train {data}.parquet {arguments} --device cpu -o model.json"));
        let written = place.read("model.json");
        let model = read(&place.path("model.json")).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        assert!(model.to_json().as_bytes() == written, "{arguments}: {}", model.to_json());
        assert_eq!(written.last(), Some(&b'\n'), "{arguments}");
        // What train printed comes last.
        let text = place.done("inspect model.json").stdout;
        assert!(text.ends_with(&train.stdout), "{arguments}: {text}\n{}", train.stdout);
        let document = place.done("inspect model.json --json").json();
        assert_eq!(fields(&document), ["model"]);
        assert_eq!(document["model"], place.json_file("model.json"), "{arguments}");
    }
}

#[test]
fn labels_of_all_kinds_read_back() {
    let x: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100).map(|row| f64::from(row % 7))));
    let odd = |row: usize| row.is_multiple_of(3);
    let labels: [(ArrayRef, &str); 4] = [
        (Arc::new(StringArray::from_iter_values((0..100).map(|row| if odd(row) { "1" } else { "true" }))), "1"),
        (Arc::new(Float64Array::from_iter_values((0..100).map(|row| if odd(row) { 0.1 } else { -0.25 }))), "0.1"),
        (Arc::new(Int64Array::from_iter_values((0..100).map(|row| if odd(row) { 7 } else { -1 }))), "7"),
        // JSON has no infinity: `null` is read, and written again.
        (
            Arc::new(Float64Array::from_iter_values((0..100).map(|row| if odd(row) { f64::INFINITY } else { 0.0 }))),
            "inf",
        ),
    ];
    for (label, positive) in labels {
        let place = Place::with_data(&[("x", Arc::clone(&x)), ("y", label)]);
        place.done(&format!("train data.parquet --label y --positive {positive} --device cpu -o model.json"));
        let model = read(&place.path("model.json")).expect("it is a model");
        assert_eq!(model.to_json(), String::from_utf8(place.read("model.json")).expect("UTF-8"), "{positive}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_null_and_nan() {
    let place = Place::with_example("weather.parquet");
    let features = "temp_max,temp_min,wind";
    place.done(&format!(
        "train weather.parquet --label rain --features {features} --inference --verify --device cpu -o model.json"
    ));
    let whole = place.json_file("model.json");
    let paths = [
        "/intercept",
        "/intercept_inference/p",
        "/features/0/coefficient",
        "/features/1/mean",
        "/features/1/z",
        "/features/2/odds_high",
        "/training/loss",
        "/training/delta",
        "/training/delta_floor",
        "/training/gradient_norm",
        "/training/verified/delta",
        "/training/aic",
        "/training/inference/confidence",
        "/training/seconds/read",
        "/training/seconds/verify",
        "/training/l2",
    ];
    for path in paths {
        let mut holed = whole.clone();
        *holed.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = Value::Null;
        fs::write(place.path("null.json"), holed.to_string()).expect("the model is written");
        let model = read(&place.path("null.json")).unwrap_or_else(|error| panic!("{path}: {error}"));
        let again: Value = serde_json::from_str(&model.to_json()).expect("JSON");
        assert_eq!(again, holed, "{path}");
        place.done("inspect null.json");
    }
}

#[test]
fn a_model_says_where_it_comes_from() {
    let place = Place::with_example("weather.parquet");
    let run = place.run(
        "train weather.parquet --label rain --ignore precipitation,kind --max-iterations 1 --device cpu -o model.json",
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let text = place.done("inspect model.json").stdout;
    let bytes = fs::metadata(example("weather.parquet")).expect("it is there").len();
    for words in [
        "file       model.json: a model (version 1 of the format)",
        concat!("written by gpu-logreg ", env!("CARGO_PKG_VERSION")),
        "train weather.parquet --label rain --ignore precipitation,kind --max-iterations 1 --device cpu -o model.json",
        &format!("trained on weather.parquet ({:.0} kB, changed 2", (bytes as f64 / 1e3).ceil()),
        "prevalence 42.6420 % are true, the others false",
        "solver     cg, until 1e-4 standard errors from the optimum",
        "note       dates and times, left out unless --features names them: date (Date32)",
        "warning    max_iterations: the iterations ran out",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[test]
fn the_content_decides_not_the_name() {
    let place = Place::with_example("spector.parquet");
    place.done("train spector.parquet --label GRADE --device cpu -o model.json");
    fs::rename(place.path("spector.parquet"), place.path("data.json")).expect("it is renamed");
    fs::rename(place.path("model.json"), place.path("model.parquet")).expect("it is renamed");
    assert_eq!(fields(&place.done("inspect data.json --json").json()), ["parquet", "training"]);
    assert_eq!(fields(&place.done("inspect model.parquet --json").json()), ["model"]);
}

// ---- what is neither ------------------------------------------------------------------------------------------

/// Asserts that `inspect` refuses a file with exit code 3 and these words in the fact and the way out.
#[track_caller]
fn assert_refused(place: &Place, name: &str, fact: &str, way_out: &str) {
    let before = place.files();
    let run = place.run(&format!("inspect {name}"));
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{name}: {run:?}");
    assert!(run.stderr.starts_with("error: ") && !run.stderr.contains("panicked"), "{run:?}");
    assert_says(&run.stderr, &[fact]);
    assert_says(run.stderr.split_once("help: ").map_or("", |(_, help)| help), &[way_out]);
    let run = place.run(&format!("inspect {name} --json"));
    assert_eq!(run.code, Some(3), "{run:?}");
    let document = run.json();
    assert_eq!((&document["error"]["kind"], &document["error"]["exit_code"]), (&json!("data"), &json!(3)));
    assert_says(document["error"]["message"].as_str().expect("a message"), &[fact]);
    assert_eq!(place.files(), before, "what only looks leaves no file");
}

#[test]
fn models_that_cannot_be_read_are_refused() {
    let place = Place::with_example("spector.parquet");
    place.done(
        "train spector.parquet --label GRADE --device cpu -o model.json --covariance covariance.json --inference",
    );
    let whole = String::from_utf8(place.read("model.json")).expect("UTF-8");
    let refused = |text: &str, fact: &str, way_out: &str| {
        fs::write(place.path("bad.json"), text).expect("the file is written");
        assert_refused(&place, "bad.json", fact, way_out);
    };
    for length in [1, whole.len() / 2, whole.trim_end().len() - 1] {
        refused(&whole[..length], &format!("truncated: the JSON stops after {length} bytes"), "train it again");
    }
    refused("{ \"format\": \"gpu-logreg/model\", oops }", "is not JSON: ", "gpu-logreg train -o");
    refused(&format!("{whole}{whole}"), "is not JSON: trailing characters", "gpu-logreg train -o");
    refused("{ \"a\": 1 }", "is JSON, but no model: it names no `format`", "gpu-logreg train -o");
    refused("{ \"format\": 3, \"version\": 1 }", "is of the format 3, not \"gpu-logreg/model\"", "gpu-logreg train -o");
    let other = whole.replacen("gpu-logreg/model", "xgboost/model", 1);
    refused(&other, "is of the format \"xgboost/model\", not \"gpu-logreg/model\"", "gpu-logreg train -o");
    let program = concat!("gpu-logreg ", env!("CARGO_PKG_VERSION"));
    let newer = whole.replacen("\"version\": 1", "\"version\": 2", 1).replacen(program, "gpu-logreg 9.9.9", 1);
    refused(
        &newer,
        &format!("is a model of version 2, and {program} knows versions up to 1"),
        "Update gpu-logreg: the model was written by gpu-logreg 9.9.9.",
    );
    refused("{ \"format\": \"gpu-logreg/model\", \"version\": 99 }", "of version 99", "Update gpu-logreg.");
    for version in ["0", "-1", "1.5", "\"1\"", "null"] {
        let odd = whole.replacen("\"version\": 1", &format!("\"version\": {version}"), 1);
        refused(&odd, "is a damaged model: ", "train it again");
    }
    let nameless = whole.replacen("\"column\"", "\"colum\"", 1);
    refused(&nameless, "is a damaged model: missing field `column` at line ", "train it again");
    let text = whole.replacen("\"rows\": 32", "\"rows\": \"many\"", 1);
    refused(&text, "is a damaged model: invalid type: string \"many\", expected usize at line ", "train it again");
    // Lists are for several classes, of which each has a coefficient.
    for list in [json!([1.5]), json!([0, 1.5])] {
        let mut listed: Value = serde_json::from_str(&whole).expect("JSON");
        let feature = listed["features"][0].as_object_mut().expect("a feature");
        feature.remove("coefficient").expect("a number");
        feature.insert("coefficients".into(), list);
        let fact = "is a damaged model: the feature `GPA` has not a coefficient for each of the 2 classes";
        refused(&listed.to_string(), fact, "train it again");
    }
    assert_refused(&place, "covariance.json", "is JSON, but no model", "gpu-logreg train -o");
}

#[test]
fn files_of_other_kinds_are_refused() {
    let place = Place::with_example("weather.parquet");
    let refused = |content: &[u8], fact: &str, way_out: &str| {
        fs::write(place.path("file"), content).expect("the file is written");
        assert_refused(&place, "file", fact, way_out);
    };
    refused(b"", "file is empty", "again");
    refused(b"a,b\n1,2\n", "file is CSV, separated by commas, not a Parquet file", "duckdb");
    refused(b"PAR", "neither a model nor a Parquet file: it begins with `PAR`", "Parquet file");
    refused(b"[1, 2]", "file is JSON, not a Parquet file", "duckdb");
    refused(b"\x1b[31m\x00", "it begins with `\\x1b[31m\\x00`", "Parquet file");
    refused(b"PAREwhatever", "a Parquet file with an encrypted footer", "without encryption");
    let whole = place.read("weather.parquet");
    refused(&whole[..whole.len() / 2], "is not a Parquet file, or it is truncated or damaged", "again");
    refused(b"PAR1", "is not a Parquet file, or it is truncated or damaged", "again");
    assert_refused(&place, ".", ". is a folder", "one Parquet file");
    assert_refused(&place, "nowhere", "nowhere cannot be read: ", "Check the path");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().expect("mkfifo starts");
    assert!(made.success());
    assert_refused(&place, "pipe", "pipe is no regular file", "one Parquet file");
}

#[test]
fn a_closed_stdout_is_no_error() {
    let place = Place::with_example("weather.parquet");
    place.done("train weather.parquet --label rain --device cpu -o model.json");
    for arguments in ["weather.parquet", "weather.parquet --json", "model.json", "model.json --json"] {
        let mut command = place.command(&format!("inspect {arguments}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let run = Run::of(child.wait_with_output().expect("it ends"));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments}: {run:?}");
    }
}
