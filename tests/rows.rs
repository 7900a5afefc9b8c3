//! Going through a file row by row: every row once, complete and in order, whatever the threads; and what is said
//! about a file that does not fit.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, StringArray};
use arrow::record_batch::RecordBatch;
use gpu_logreg::data::inspect::inspect;
use gpu_logreg::data::{Block, Class, Column, Label, Plan, Spec, Store, Table, fold_rows, load};
use gpu_logreg::error::{Kind, Result};
use gpu_logreg::monitor::{Monitor, Silent};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData, RowGroupMetaDataBuilder,
};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::statistics::Statistics;

/// The label is `yes` in every third row; feature a is the row, b its negative.
fn write(path: &Path, rows: usize, group: usize, more: &[(&str, ArrayRef)]) {
    write_with(path, rows, WriterProperties::builder().set_max_row_group_row_count(Some(group)).build(), more);
}

fn batch_of(rows: usize, more: &[(&str, ArrayRef)]) -> RecordBatch {
    let count = i32::try_from(rows).expect("few rows");
    let labels: StringArray = (0..count).map(|row| Some(if row % 3 == 0 { "yes" } else { "no" })).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("b", Arc::new((0..count).map(|row| Some(f64::from(-row))).collect::<Float64Array>())),
        ("t", Arc::new(labels)),
        ("a", Arc::new(Int32Array::from_iter_values(0..count))),
    ];
    columns.extend(more.iter().cloned());
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn write_with(path: &Path, rows: usize, properties: WriterProperties, more: &[(&str, ArrayRef)]) {
    let batch = batch_of(rows, more);
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
    let spec = Spec { label: Some("t".into()), positive: Some("yes".into()), features, ..Spec::default() };
    spec.resolve(table.clone(), &Silent).expect("the columns are there").1
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

/// Ranges and blocks are cut by the rows alone: neither by row groups nor by how pages are written, nor by where the rows lie.
#[test]
fn the_cut_of_the_source_shows_in_no_block() {
    const ROWS: usize = 300_001;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let blocks = |table: &Table| {
        let seen = |state: &mut Vec<(usize, Vec<f64>)>, block: &mut Block<'_>| {
            state.push((block.first_row, block.features[0].clone()));
        };
        fold_rows(table, &plan(table, &["a", "b"]), &label(), &Silent, Vec::new, seen).expect("the rows are read")
    };
    let file = |properties: WriterPropertiesBuilder| {
        write_with(&path, ROWS, properties.build(), &[]);
        blocks(&Table::open(&path).expect("the table opens"))
    };
    let expected = file(WriterProperties::builder().set_max_row_group_row_count(None));
    let rows: Vec<usize> = expected.iter().map(|range| range.iter().map(|(_, rows)| rows.len()).sum()).collect();
    assert_eq!(rows, [[32_768; 9].as_slice(), &[5_089]].concat());
    assert!(file(WriterProperties::builder().set_dictionary_enabled(false)) == expected);
    for group in [122_880, 32_768, 999] {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group));
        assert!(file(properties) == expected, "row groups of {group}");
    }
    let batch = batch_of(ROWS, &[]);
    for cut in [ROWS, 50_000] {
        let batches = (0..ROWS).step_by(cut).map(|first| batch.slice(first, cut.min(ROWS - first))).collect();
        assert!(blocks(&Table::from_batches(batches).expect("a table")) == expected, "batches of {cut}");
    }
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
    assert_eq!(read(&["flags", "a"], &label()).expect("the rows are read").len(), 1);
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
    assert!(error.kind == Kind::Data && error.fact.contains("column `b`, row group 0 (rows from 0)"), "{error}");
    let bytes = std::fs::read(&path).expect("the file is there");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("the file is cut");
    let error = fold_rows(&table, &before, &label(), &Silent, || (), |(), _| {}).expect_err("half a file");
    assert!(error.kind == Kind::Data && error.fact.contains("was changed while"), "{error}");
}

/// Writes the file with another footer: its row groups as `edit` makes them.
fn edit_footer(path: &Path, edit: impl Fn(RowGroupMetaData) -> RowGroupMetaData) {
    let bytes = std::fs::read(path).expect("the file is there");
    let metadata =
        ParquetMetaDataReader::new().parse_and_finish(&File::open(path).expect("it opens")).expect("a footer");
    let groups: Vec<RowGroupMetaData> = metadata.row_groups().iter().cloned().map(edit).collect();
    let about = metadata.file_metadata();
    let (schema, orders) = (about.schema_descr_ptr(), about.column_orders().cloned());
    let rows = groups.iter().map(RowGroupMetaData::num_rows).sum();
    let created_by = about.created_by().map(str::to_owned);
    let about =
        FileMetaData::new(about.version(), rows, created_by, about.key_value_metadata().cloned(), schema, orders);
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().expect("four bytes")) as usize;
    let mut edited = bytes[..bytes.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut edited, &ParquetMetaData::new(about, groups)).finish().expect("it is written");
    std::fs::write(path, edited).expect("it is written");
}

/// A row group with every column as `edit` makes it.
fn columns_of(
    group: RowGroupMetaData,
    edit: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> RowGroupMetaDataBuilder {
    let columns = group.columns().iter().map(|column| edit(column.clone().into_builder()).build().expect("a chunk"));
    let columns = columns.collect();
    group.into_builder().set_column_metadata(columns)
}

/// What is said when the rows of the file are read with features `a` and `b`.
fn read_all(path: &Path) -> std::result::Result<usize, String> {
    let table = Table::open(path).map_err(|error| error.to_string())?;
    let features = Some(["a", "b"].map(str::to_owned).into());
    let spec = Spec { label: Some("t".into()), positive: Some("yes".into()), features, ..Spec::default() };
    let (table, plan) = spec.resolve(table, &Silent).map_err(|error| error.to_string())?;
    let count = |rows: &mut usize, block: &mut Block<'_>| *rows += block.labels.len();
    let rows = fold_rows(&table, &plan, &label(), &Silent, || 0, count).map_err(|error| error.to_string())?;
    Ok(rows.iter().sum())
}

#[test]
fn more_rows_than_the_footer_says_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    // The second is read in ranges.
    for rows in [5_000, 300_001] {
        let fewer = |by: i64, of_values: i64| {
            write(&path, rows, usize::MAX, &[]);
            edit_footer(&path, |group| {
                let count = group.num_rows();
                let edited = columns_of(group, |column| column.set_num_values(count - of_values).clear_statistics());
                edited.set_num_rows(count - by).build().expect("a row group")
            });
            read_all(&path)
        };
        assert_eq!(fewer(0, 0), Ok(rows));
        let said = fewer(7, 7).expect_err("more rows");
        assert!(said.contains(&format!("more rows come out of it than the {}", rows - 7)), "{said}");
        let said = fewer(7, 0).expect_err("other values");
        assert!(said.contains(&format!("says {} rows in row group 0, and {rows} values", rows - 7)), "{said}");
        assert!(fewer(-7, -7).is_err());
    }
}

#[test]
fn values_that_contradict_the_footer_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    // Of column `a`, whole numbers from 0 to 4999.
    let with = |low: i32, high: i32, nulls: Option<u64>, is_old: bool| {
        write(&path, 5_000, usize::MAX, &[]);
        edit_footer(&path, |group| {
            let edited = columns_of(group, |column| {
                let plain = column.build().expect("a chunk");
                let is_wanted = plain.column_path().string() == "a";
                let column = plain.into_builder();
                if !is_wanted {
                    return column;
                }
                column.set_statistics(Statistics::int32(Some(low), Some(high), None, nulls, is_old))
            });
            edited.build().expect("a row group")
        });
        read_all(&path)
    };
    assert_eq!(with(0, 4_999, Some(0), false), Ok(5_000));
    // Bounds may be wide, and those that the format calls unreliable do not count.
    assert_eq!(with(-1, 9_999, None, false), Ok(5_000));
    assert_eq!(with(7, 8, Some(0), true), Ok(5_000));
    for (result, said) in [
        (
            with(1, 4_999, Some(0), false),
            "column `a`, row group 0 (rows from 0) cannot be decoded: it holds 0.0, its footer says at least 1.0",
        ),
        (with(0, 4_998, Some(0), false), "it holds 4999.0, its footer says at most 4998.0"),
        (with(0, 4_999, Some(3), false), "it holds 0 nulls, its footer says 3"),
    ] {
        let error = result.expect_err(said);
        assert!(error.contains(said) || error.contains(&said.replace("column `a`", "one of 3 columns")), "{error}");
    }
}

/// A file of the same size and time in the place of another is another file.
#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_with_its_times_kept_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let [path, other] = ["rows.parquet", "other.parquet"].map(|name| folder.path().join(name));
    let replace: [fn(&Path, &Path); 2] = [
        |other, path| std::fs::rename(other, path).expect("it is renamed"),
        |other, path| assert!(std::fs::copy(other, path).expect("it is copied") > 0),
    ];
    for replace in replace {
        write(&path, 5_000, 1_000, &[]);
        let table = Table::open(&path).expect("the table opens");
        let plan = plan(&table, &["a", "b"]);
        let count = |rows: &mut usize, block: &mut Block<'_>| *rows += block.labels.len();
        let read = || fold_rows(&table, &plan, &label(), &Silent, || 0, count);
        assert!(read().is_ok());
        let modified = std::fs::metadata(&path).and_then(|about| about.modified()).expect("a time");
        std::fs::copy(&path, &other).expect("it is copied");
        replace(&other, &path);
        File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("its time is set");
        let about = std::fs::metadata(&path).expect("it is there");
        assert_eq!((about.len(), about.modified().ok()), (table.files()[0].bytes, table.files()[0].modified));
        let error = read().expect_err("another file");
        assert!(error.kind == Kind::Data && error.fact.contains("was changed while it was read"), "{error}");
    }
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

/// Takes a table and forgets it.
struct Nowhere;

impl Store for Nowhere {
    fn write(&self, _: Column, _: usize, _: &[f32]) -> Result<()> {
        Ok(())
    }
}

/// What a column costs does not grow with the number of the others: nobody goes through all of them for each of them.
/// Eight times as many took 34 times as long when a decoder was made over all of them for every one.
#[test]
fn eight_times_the_columns_take_about_eight_times_as_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wide.parquet");
    let column: ArrayRef = Arc::new((0..20_u8).map(|row| Some(f32::from(row))).collect::<Float32Array>());
    // The fastest of some runs: other programs may be in the way of each.
    let seconds = |count: usize| {
        let names: Vec<String> = (0..count).map(|place| format!("x{place}")).collect();
        let columns: Vec<(&str, ArrayRef)> = names.iter().map(|name| (name.as_str(), column.clone())).collect();
        write(&path, 20, 20, &columns);
        let read = |_| {
            let start = Instant::now();
            let table = Table::open(&path).expect("the table opens");
            assert_eq!(inspect(&path).expect("what it has").columns.len(), count + 3);
            let features = Some(vec!["x*".to_owned()]);
            let spec = Spec { label: Some("t".into()), positive: Some("yes".into()), features, ..Spec::default() };
            let (table, plan) = spec.resolve(table, &Silent).expect("the columns are there");
            assert_eq!(load(&table, &plan, &Nowhere, &Silent).expect("numbers").features.len(), count);
            start.elapsed().as_secs_f64()
        };
        (0..5).map(read).fold(f64::INFINITY, f64::min)
    };
    let (few, many) = (seconds(1_500), seconds(12_000));
    assert!(many < 16.0 * few, "{few} s and {many} s");
}
