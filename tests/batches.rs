//! Rows in memory: the same bits as the same rows in a file, however either is cut, and whatever types texts have there.

/// What tests share.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    #[allow(dead_code, reason = "only the list of devices is asked for")]
    pub(crate) mod process;
    pub(crate) mod random;
}

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, LargeListArray, ListArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMillisecondArray, UInt8Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::RecordBatch;
use common::adapter::has_adapter;
use common::data::write_parquet;
use common::random::Random;
use gpu_logreg::data::{ClassWeight, Form, Nulls, Predicate, Predictions, Rows, Selected, Spec, Table, WeightKind};
use gpu_logreg::engine::Selection;
use gpu_logreg::metrics::{Accumulator, Decision, Limit};
use gpu_logreg::model::Model;
use gpu_logreg::monitor::Silent;
use gpu_logreg::score::{Output, decision, evaluate, inputs, predict};
use gpu_logreg::train::{ExactJob, InferenceJob, Job, train};
use serde_json::Value;

type Columns = Vec<(&'static str, ArrayRef)>;

/// More than one partition in memory, and no whole number of blocks.
const ROWS: usize = 140_003;

/// Numbers of all kinds, with holes, texts, dates, structs and lists; the label depends on some of them.
fn columns(rows: usize) -> Columns {
    let mut random = Random(7);
    let mut unit = || random.unit();
    let x: Vec<f64> = (0..rows).map(|_| 6.0 * unit() - 3.0).collect();
    let count: Vec<i32> = (0..rows).map(|_| (40.0 * unit()) as i32).collect();
    let city: Vec<usize> = (0..rows).map(|_| (5.0 * unit().powi(2)) as usize).collect();
    let day: Vec<i32> = (0..rows).map(|_| 18_000 + (900.0 * unit()) as i32).collect();
    let hole = |share: f64, random: &mut Random| (0..rows).map(|_| random.unit() >= share).collect::<Vec<bool>>();
    let margin = |row: usize| 0.6 * x[row] + 0.02 * f64::from(count[row]) - 0.4 * city[row] as f64 - 0.2;
    let won: Vec<bool> = (0..rows).map(|row| unit() < 1.0 / (1.0 + (-margin(row)).exp())).collect();
    let plan: Vec<usize> = (0..rows).map(|row| ((margin(row) + 3.0 * unit()).clamp(0.0, 2.9)) as usize).collect();
    let mut random = Random(8);
    let there = hole(0.05, &mut random);
    let floats = |scale: f64, random: &mut Random| -> Vec<f64> { (0..rows).map(|_| scale * random.unit()).collect() };
    let weights = floats(3.0, &mut random);
    let with = |values: &[f64], there: &[bool]| -> ArrayRef {
        Arc::new(values.iter().zip(there).map(|(x, there)| there.then_some(*x)).collect::<Float64Array>())
    };
    let names = ["Bern", "Ulm", "Oslo", "Graz", "Łódź"];
    let city: StringArray =
        city.iter().zip(hole(0.02, &mut random)).map(|(city, there)| there.then_some(names[*city])).collect();
    let pair = [floats(2.0, &mut random), floats(9.0, &mut random)];
    let inner = Fields::from(vec![Field::new("a", DataType::Float64, true), Field::new("b", DataType::Int16, true)]);
    let b: Int16Array = pair[1].iter().map(|x| Some(*x as i16)).collect();
    let nulls: NullBuffer = hole(0.03, &mut random).into();
    let pair = StructArray::new(inner, vec![with(&pair[0], &there), Arc::new(b)], Some(nulls));
    let element = Arc::new(Field::new("item", DataType::Float32, true));
    let parts: Float32Array = (0..3 * rows).map(|_| Some(random.unit() as f32)).collect();
    let list = FixedSizeListArray::new(element, 3, Arc::new(parts), None);
    vec![
        ("won", Arc::new(BooleanArray::from(won))),
        ("plan", Arc::new(plan.iter().map(|plan| Some(["basic", "plus", "pro"][*plan])).collect::<StringArray>())),
        ("w", Arc::new(Float64Array::from(weights.iter().map(|w| w + 0.1).collect::<Vec<f64>>()))),
        ("o", Arc::new(Float64Array::from(floats(0.5, &mut random)))),
        ("x", with(&x, &there)),
        ("count", Arc::new(Int32Array::from(count))),
        ("small", Arc::new((0..rows).map(|row| Some((row % 7) as u8)).collect::<UInt8Array>())),
        ("day", Arc::new(Date32Array::from(day.clone()))),
        (
            "at",
            Arc::new(
                TimestampMillisecondArray::from_iter_values(day.iter().map(|day| i64::from(*day) * 86_400_007))
                    .with_timezone("Europe/Oslo"),
            ),
        ),
        (
            "time",
            Arc::new(Time64MicrosecondArray::from_iter_values((0..rows).map(|row| row as i64 % 86_400 * 999_983))),
        ),
        (
            "price",
            Arc::new(
                (0..rows)
                    .map(|row| Some((row * 7_919 % 100_000) as i128))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(9, 2)
                    .expect("five digits"),
            ),
        ),
        ("city", Arc::new(city)),
        ("pair", Arc::new(pair)),
        ("list", Arc::new(list)),
    ]
}

fn batch(columns: &Columns) -> RecordBatch {
    RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array)))).expect("one length")
}

/// The batch in pieces that end at these shares of its rows.
fn cut(batch: &RecordBatch, shares: &[f64]) -> Vec<RecordBatch> {
    let mut first = 0;
    let mut pieces = Vec::new();
    for share in shares.iter().chain([&1.0]) {
        let end = (share * batch.num_rows() as f64) as usize;
        pieces.push(batch.slice(first, end - first));
        first = end;
    }
    pieces
}

/// Seven uneven batches, one of them without rows.
const SEVEN: [f64; 6] = [0.000_05, 0.3, 0.3, 0.31, 0.937, 0.95];

/// The same rows as files with different row groups, as one batch and as seven.
fn tables(folder: &Path, columns: &Columns) -> Vec<(String, Table)> {
    let mut tables = Vec::new();
    for group in [131_072, 50_000, 999] {
        let path = folder.join(format!("groups_of_{group}.parquet"));
        write_parquet(&path, columns, group);
        tables.push((format!("row groups of {group}"), Table::open(&path).expect("a table")));
    }
    let whole = batch(columns);
    tables.push(("one batch".into(), Table::from_batches(vec![whole.clone()]).expect("a table")));
    let seven = cut(&whole, &SEVEN);
    assert_eq!(seven.len(), 7);
    tables.push(("seven batches".into(), Table::from_batches(seven).expect("a table")));
    tables
}

/// All that a model says but for how long it took and where the rows came from.
fn model_of(table: &Table, job: &Job) -> (Model, Value) {
    let model = train(table, job, &Silent, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let mut json: Value = serde_json::from_str(&model.to_json()).expect("a model is JSON");
    let training = json["training"].as_object_mut().expect("an object");
    for run in ["seconds", "files"] {
        training.remove(run).unwrap_or_else(|| panic!("no {run}"));
    }
    (model, json)
}

/// Predictions as bytes of a CSV file with some columns of the table.
fn predictions(model: &Model, table: &Table, keep: &[&str]) -> String {
    let keep: Vec<String> = keep.iter().map(|name| (*name).to_owned()).collect();
    let inputs = inputs(model, table, None, None, &keep).expect("the columns are there");
    let output = Output::Probability;
    let mut file = Vec::new();
    let out = Predictions::new(
        Cursor::new(&mut file),
        Path::new("memory"),
        Form::Csv,
        table,
        &inputs,
        &output.prediction(model),
    );
    let counts = predict(model, table, &inputs, output, out.expect("a file"), &Silent).expect("predictions");
    assert_eq!(counts.rows as usize, table.rows);
    String::from_utf8(file).expect("a text")
}

fn metrics(model: &Model, table: &Table, weight: Option<&str>) -> Value {
    let decision = decision(model, Decision::Threshold(0.5));
    let accumulator = Accumulator::new(decision, Limit::new(1 << 30)).expect("a threshold or classes");
    let label = &*model.label.column;
    let found = evaluate(model, table, label, weight, accumulator, false, &Silent).expect("metrics");
    assert_eq!(found.counts.rows as usize, table.rows);
    serde_json::to_value(found.metrics).expect("metrics are JSON")
}

/// The same model, predictions and metrics from every table.
#[track_caller]
fn assert_same(tables: &[(String, Table)], job: &Job, keep: &[&str]) -> Value {
    let weight = job.spec.weight.as_deref();
    let of = |table: &Table| {
        let (model, json) = model_of(table, job);
        (json, predictions(&model, table, keep), metrics(&model, table, weight))
    };
    let ((first, table), others) = tables.split_first().expect("a table");
    let expected = of(table);
    for (name, table) in others {
        let found = of(table);
        for (part, found) in found.0.as_object().expect("an object") {
            assert_eq!(*found, expected.0[part], "{part} from {name} and from {first}");
        }
        let line = found.1.lines().zip(expected.1.lines()).position(|(found, expected)| found != expected);
        assert!(found.1 == expected.1, "predictions from {name} and from {first} differ in line {line:?}");
        assert_eq!(found.2, expected.2, "metrics from {name} and from {first}");
    }
    expected.0
}

fn spec(label: &str, features: &[&str]) -> Spec {
    let features = Some(features.iter().map(|name| (*name).to_owned()).collect());
    Spec { label: Some(label.into()), features, ..Spec::default() }
}

const FEATURES: [&str; 12] =
    ["x", "count", "small", "day", "at", "time", "price", "city", "pair.a", "pair.b", "list[0]", "list[2]"];

/// Two classes with weights, offsets, categories, missing values, standard errors by products in double precision, and
/// the gradient of the file.
fn of_two_classes(device: Selection) -> Job {
    let spec =
        Spec { weight: Some("w".into()), offsets: vec!["o".into()], nulls: Nulls::Indicator, ..spec("won", &FEATURES) };
    let weights = Some(WeightKind::Sampling);
    Job {
        inference: Some(InferenceJob { confidence: 0.95, robust: true }),
        exact: ExactJob::Refine,
        ..Job::new(Spec { weight_kind: weights, ..spec }, device)
    }
}

fn of_three_classes(device: Selection) -> Job {
    let spec = Spec { nulls: Nulls::DropRow, class_weight: ClassWeight::Balanced, ..spec("plan", &FEATURES) };
    Job { exact: ExactJob::Verify, ..Job::new(spec, device) }
}

#[test]
fn two_classes_are_the_same_from_files_and_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let columns = columns(ROWS);
    let tables = tables(folder.path(), &columns);
    let model = assert_same(&tables, &of_two_classes(Selection::Cpu), &["city", "day", "pair.a"]);
    assert_eq!(model["training"]["rows"], ROWS);
    let names: Vec<&str> =
        model["features"].as_array().expect("features").iter().filter_map(|f| f["name"].as_str()).collect();
    for name in ["x is missing", "at", "city=Ulm", "city=(null)", "pair.b is missing", "list[2]"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
}

#[test]
fn three_classes_are_the_same_from_files_and_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let tables = tables(folder.path(), &columns(ROWS));
    let model = assert_same(&tables, &of_three_classes(Selection::Cpu), &["price"]);
    assert!(model["training"]["rows"].as_u64().expect("a count") < ROWS as u64, "some rows are left out");
}

#[test]
fn a_gpu_gets_the_same_from_files_and_batches() {
    if !has_adapter() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut tables = tables(folder.path(), &columns(20_001));
    tables.retain(|(name, _)| ["row groups of 131072", "row groups of 999", "seven batches"].contains(&name.as_str()));
    assert_eq!(tables.len(), 3);
    for job in [of_two_classes(Selection::Gpu), of_three_classes(Selection::Gpu)] {
        assert_same(&tables, &job, &[]);
    }
}

/// What `--where`, `--sample`, `--limit` and `--split` choose.
#[test]
fn the_same_rows_are_chosen_from_files_and_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let condition = "count > 3 and (city in ('Ulm', 'Łódź') or x is null or day >= '2020-06-01') and at < '2021-12-01'";
    let rows = Rows {
        filter: Some(Predicate::parse(condition).expect("a condition")),
        sample: Some(0.8),
        limit: Some(60_000),
        split: Some(0.3),
        seed: 5,
    };
    let selected: Vec<_> = tables(folder.path(), &columns(ROWS))
        .into_iter()
        .map(|(name, table)| (name, rows.select(&table, &Silent).expect("rows")))
        .collect();
    let part = |of: fn(&Selected) -> Table| -> Vec<(String, Table)> {
        selected.iter().map(|(name, selected)| (name.clone(), of(selected))).collect()
    };
    let job = of_two_classes(Selection::Cpu);
    let training = part(|selected| selected.training.clone());
    let model = assert_same(&training, &job, &["count"]);
    let count = model["training"]["rows"].as_u64().expect("a count");
    assert!((30_000..60_000).contains(&count), "{count} rows");
    let (model, _) = model_of(&training[0].1, &job);
    let held_back = part(|selected| selected.validation.clone().expect("some rows are held back"));
    let expected = metrics(&model, &held_back[0].1, Some("w"));
    for (name, table) in &held_back[1..] {
        assert_eq!(metrics(&model, table, Some("w")), expected, "{name}");
    }
}

/// Every type of text and of dictionary, of categories and of the label.
#[test]
fn texts_are_the_same_whatever_type_they_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let columns = columns(3_000);
    let file = folder.path().join("texts.parquet");
    write_parquet(&file, &columns, 700);
    let texts = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
    let keys = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
    ];
    let mut types: Vec<DataType> = texts.to_vec();
    for key in keys {
        types.extend(texts.iter().map(|text| DataType::Dictionary(Box::new(key.clone()), Box::new(text.clone()))));
    }
    let mut tables = vec![("the file".to_owned(), Table::open(&file).expect("a table"))];
    let typed = |data_type: &DataType| -> RecordBatch {
        let columns = columns.iter().map(|(name, array)| {
            let array = match *name {
                "city" | "plan" => cast(array, data_type).expect("texts"),
                _ => Arc::clone(array),
            };
            (*name, array)
        });
        RecordBatch::try_from_iter(columns).expect("one length")
    };
    for data_type in &types {
        let whole = typed(data_type);
        assert_eq!(whole.column_by_name("city").expect("a column").data_type(), data_type);
        tables.push((data_type.to_string(), Table::from_batches(cut(&whole, &SEVEN)).expect("a table")));
    }
    // Each batch of another type.
    let mixed = types.iter().enumerate().map(|(place, data_type)| {
        let each = 3_000_usize.div_ceil(types.len());
        typed(data_type).slice(place * each, each.min(3_000_usize.saturating_sub(place * each)))
    });
    tables.push(("a batch of each".into(), Table::from_batches(mixed.collect()).expect("a table")));
    assert_eq!(tables.len(), 29);
    let job = Job::new(Spec { nulls: Nulls::Indicator, ..spec("plan", &["city", "x"]) }, Selection::Cpu);
    assert_same(&tables, &job, &["city", "plan"]);
    let condition = Predicate::parse("city > 'Graz' and plan != 'pro'").expect("a condition");
    let rows = Rows { filter: Some(condition), ..Rows::default() };
    let chosen: Vec<usize> =
        tables.iter().map(|(_, table)| rows.select(table, &Silent).expect("rows").training.rows).collect();
    assert!(chosen[0] > 0 && chosen.iter().all(|rows| *rows == chosen[0]), "{chosen:?}");
}

/// Numbers of a dictionary, lists of any kind, and nulls that stand in a dictionary's values.
#[test]
fn nested_and_coded_columns_are_read_by_their_values() {
    let rows = 2_000;
    let mut columns = columns(rows);
    columns.retain(|(name, _)| ["won", "x", "count", "list", "pair", "city"].contains(name));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.parquet");
    write_parquet(&file, &columns, 600);
    let of =
        |name: &str| -> ArrayRef { Arc::clone(&columns.iter().find(|(known, _)| *known == name).expect("a column").1) };
    let lists = of("list");
    let lists = lists.as_any().downcast_ref::<FixedSizeListArray>().expect("lists");
    let element = Arc::new(Field::new("item", DataType::Float32, true));
    let list = ListArray::new(element.clone(), OffsetBuffer::from_lengths(vec![3; rows]), lists.values().clone(), None);
    let large = LargeListArray::new(element, OffsetBuffer::from_lengths(vec![3; rows]), lists.values().clone(), None);
    let coded = |array: &ArrayRef| {
        let of_values = DataType::Dictionary(Box::new(DataType::Int32), Box::new(array.data_type().clone()));
        cast(array, &of_values).expect("a dictionary")
    };
    // The keys are all there, and some of the values are null.
    let city = of("city");
    let keys = Int64Array::from_iter_values(0..rows as i64);
    let with_null_values: ArrayRef =
        Arc::new(arrow::array::DictionaryArray::try_new(keys, city).expect("a dictionary"));
    let mut tables = vec![("the file".to_owned(), Table::open(&file).expect("a table"))];
    for (what, list) in
        [("lists", Arc::new(list) as ArrayRef), ("large lists", Arc::new(large)), ("fixed lists", of("list"))]
    {
        let columns = columns.iter().map(|(name, array)| {
            let array = match *name {
                "list" => list.clone(),
                "count" | "x" => coded(array),
                "city" => with_null_values.clone(),
                _ => array.clone(),
            };
            (*name, array)
        });
        let whole = RecordBatch::try_from_iter(columns).expect("one length");
        tables.push((what.into(), Table::from_batches(cut(&whole, &SEVEN)).expect("a table")));
    }
    let features = ["x", "count", "list", "pair", "city"];
    let job = Job::new(Spec { nulls: Nulls::Indicator, ..spec("won", &features) }, Selection::Cpu);
    let model = assert_same(&tables, &job, &["count", "city"]);
    assert_eq!(model["features"].as_array().expect("features").len(), 2 + 1 + 3 + 4 + 5, "{model}");
}

/// What is said of rows in memory has no word of files.
#[test]
fn errors_do_not_talk_of_files() {
    let whole = batch(&columns(500));
    let table = || Table::from_batches(cut(&whole, &SEVEN)).expect("a table");
    let refused = |table: Table, spec: Spec| {
        let job = Job::new(spec, Selection::Cpu);
        let error = train(&table, &job, &Silent, &mut |_| {}).expect_err("no model");
        let text = format!("{} {}", error.fact, error.way_out);
        for word in ["file", "Parquet", "folder", ".parquet", "footer"] {
            assert!(!text.contains(word), "{text}");
        }
        text
    };
    let none = filter_record_batch(&whole, &BooleanArray::from(vec![false; 500])).expect("no rows");
    let empty = refused(Table::from_batches(vec![none]).expect("a table"), spec("won", &["x"]));
    assert!(empty.contains("the table in memory has no rows"), "{empty}");
    assert!(refused(table(), Spec::default()).contains("which column is the label?"));
    assert!(refused(table(), spec("wom", &["x"])).contains("the table in memory has no column `wom`"));
    let row = whole.column_by_name("x").expect("a column").nulls().expect("nulls").iter().position(|there| !there);
    let missing = refused(table(), spec("won", &["x"]));
    assert!(missing.contains(&format!("first rows, from 0: {}", row.expect("a null"))), "{missing}");
    let twice = Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("a", DataType::Int32, true)]);
    let array = || Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef;
    let twice = RecordBatch::try_new(Arc::new(twice), vec![array(), array()]).expect("a batch");
    let twice = refused(Table::from_batches(vec![twice]).expect("a table"), spec("a", &["a"]));
    assert!(twice.contains("the table in memory has two columns called `a`"), "{twice}");
}
