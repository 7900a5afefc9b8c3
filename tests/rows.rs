//! Going through a file row by row: every row once, complete and in order, whatever the threads; and what is said
//! about a file that does not fit.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use arrow::record_batch::RecordBatch;
use gpu_logreg::data::{Block, Class, Label, Plan, Request, Table, fold_rows};
use gpu_logreg::error::Kind;
use gpu_logreg::monitor::{Monitor, Silent};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// The label is `yes` in every third row; feature a is the row, b its negative.
fn write(path: &Path, rows: usize, group: usize, more: &[(&str, ArrayRef)]) {
    write_with(path, rows, WriterProperties::builder().set_max_row_group_row_count(Some(group)).build(), more);
}

fn write_with(path: &Path, rows: usize, properties: WriterProperties, more: &[(&str, ArrayRef)]) {
    let count = i32::try_from(rows).expect("few rows");
    let labels: StringArray = (0..count).map(|row| Some(if row % 3 == 0 { "yes" } else { "no" })).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("b", Arc::new((0..count).map(|row| Some(f64::from(-row))).collect::<Float64Array>())),
        ("t", Arc::new(labels)),
        ("a", Arc::new(Int32Array::from_iter_values(0..count))),
    ];
    columns.extend(more.iter().cloned());
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

fn label() -> Label {
    let class = |text: &str| Class::Text(text.into());
    Label { column: "t".into(), classes: vec![class("no"), class("yes")], counts: vec![0, 0], is_softmax: false }
}

fn plan(table: &Table, features: &[&str]) -> Plan {
    let features = Some(features.iter().map(|&name| name.to_owned()).collect());
    let request = Request { label: Some("t".into()), positive: Some("yes".into()), features, ..Request::default() };
    request.resolve(table.clone(), &Silent).expect("the columns are there").1
}

#[test]
fn every_row_comes_once_complete_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let sizes = [(1, 1), (5_000, 700), (16_385, 16_384), (70_000, 40_000), (300_001, usize::MAX)];
    for (rows, group) in sizes {
        write(&path, rows, group, &[]);
        let table = Table::open(&path).expect("the table opens");
        let plan = plan(&table, &["a", "b"]);
        let seen = |state: &mut Vec<(usize, Vec<f64>)>, block: &mut Block<'_>| {
            let rows = block.labels.len();
            assert!(rows > 0 && rows <= 16_384);
            for k in 0..rows {
                let row = block.first_row + k;
                let whole = (block.features[0][k], block.features[1][k], block.labels[k]);
                assert_eq!(whole, (row as f64, -(row as f64), f64::from(u8::from(row.is_multiple_of(3)))));
            }
            assert!(block.features.iter().all(|column| column.len() == rows));
            state.push((block.first_row, block.features[0].clone()));
            block.features[0].fill(f64::NAN); // what is left behind must not come back
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| fold_rows(&table, &plan, &label(), &Silent, Vec::new, seen)).expect("the rows are read")
        };
        let one = run(1);
        assert_eq!(one, run(3), "blocks of {rows} rows");
        let firsts: Vec<usize> = one.iter().flatten().map(|(first, _)| *first).collect();
        assert!(firsts.is_sorted());
        let all: Vec<f64> = one.into_iter().flatten().flat_map(|(_, rows)| rows).collect();
        assert!(all.iter().copied().eq((0..rows).map(|row| row as f64)), "{rows} rows");
    }
}

/// A range decodes dictionaries afresh, so it is longer where there are some.
#[test]
fn ranges_are_as_long_as_what_they_decode_for_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let lengths = |has_dictionary: bool| {
        let properties = WriterProperties::builder().set_dictionary_enabled(has_dictionary);
        write_with(&path, 300_001, properties.build(), &[]);
        let table = Table::open(&path).expect("the table opens");
        let count = |rows: &mut usize, block: &mut Block<'_>| *rows += block.labels.len();
        fold_rows(&table, &plan(&table, &["a", "b"]), &label(), &Silent, || 0, count).expect("the rows are read")
    };
    assert_eq!(lengths(true), [262_144, 37_857]);
    // 4, 8 and 6 bytes a row, and pages of a megabyte.
    let plain = lengths(false);
    assert!(plain.len() == 2 && (160_000..190_000).contains(&plain[0]), "{plain:?}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let holes: ArrayRef = Arc::new((0..9_000).map(|row| (row != 4_321).then_some(1.0)).collect::<Float64Array>());
    let flags: ArrayRef = Arc::new((0..9_000).map(|row| Some(row == 5)).collect::<BooleanArray>());
    write(&path, 9_000, 1_000, &[("holes", holes), ("flags", flags)]);
    let table = Table::open(&path).expect("the table opens");
    let read = |features: &[&str], label: &Label| {
        let nothing = |(): &mut (), _: &mut Block<'_>| {};
        fold_rows(&table, &plan(&table, features), label, &Silent, || (), nothing)
    };
    assert_eq!(read(&["flags", "a"], &label()).expect("the rows are read").len(), 9);
    let error = read(&["a", "holes"], &label()).expect_err("a null");
    assert!(error.fact.contains("`holes` has no finite number in row 4321"), "{error}");
    let mut other = label();
    other.classes[0] = Class::Text("never".into());
    let error = read(&["a"], &other).expect_err("a class of its own");
    assert!(error.fact.contains("`t` has another class in row"), "{error}");

    // Damaged before it was opened, and cut afterwards; the plan is older, because it has looked at the labels.
    let before = plan(&table, &["a", "b"]);
    let mut bytes = std::fs::read(&path).expect("the file is there");
    bytes[4..64].fill(0xff);
    let damaged_path = folder.path().join("damaged.parquet");
    std::fs::write(&damaged_path, &bytes).expect("the file is written");
    let damaged = Table::open(&damaged_path).expect("the footer is whole");
    let error = fold_rows(&damaged, &before, &label(), &Silent, || (), |(), _| {}).expect_err("a damaged page");
    assert!(error.kind == Kind::Data && error.fact.contains("one of 3 columns, row group 0 (rows from 0)"), "{error}");
    let bytes = std::fs::read(&path).expect("the file is there");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("the file is cut");
    let error = fold_rows(&table, &before, &label(), &Silent, || (), |(), _| {}).expect_err("half a file");
    assert!(error.kind == Kind::Data && error.fact.contains("was changed while"), "{error}");
}

#[test]
fn an_interrupt_ends_it() {
    struct Stop;
    impl Monitor for Stop {
        fn begin(&self, _: &str, _: Option<u64>) {}
        fn advance(&self, _: u64) {}
        fn say(&self, _: &str) {}
        fn end(&self) {}
        fn interrupted(&self) -> bool {
            true
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    write(&path, 100, 100, &[]);
    let table = Table::open(&path).expect("the table opens");
    let done = fold_rows(&table, &plan(&table, &["a"]), &label(), &Stop, || (), |(), _| {});
    assert_eq!(done.map_err(|error| error.kind), Err(Kind::Interrupted));
}
