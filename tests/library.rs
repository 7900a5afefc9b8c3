//! The front door of the library: a job as a chain of settings, coefficients by name, predictions as record batches, errors with
//! their cause.

/// What tests share.
mod common {
    pub(crate) mod random;
}

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::random::Random;
use gpu_logreg::arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use gpu_logreg::arrow::compute::concat_batches;
use gpu_logreg::arrow::datatypes::Float64Type;
use gpu_logreg::error::Kind;
use gpu_logreg::{Job, Model, Monitor, Nulls, Output, RecordBatch, Selection, Solver, Table};

/// More rows than a range has.
const ROWS: usize = 300_011;

/// Two numbers, a colour and a label that depends on them; `x` is missing in the rows that `hole` names.
fn batches(rows: usize, hole: impl Fn(usize) -> bool) -> Vec<RecordBatch> {
    let mut random = Random(21);
    let x: Vec<f64> = (0..rows).map(|_| 4.0 * random.unit() - 2.0).collect();
    let y: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let colour: Vec<usize> = (0..rows).map(|_| (3.0 * random.unit()) as usize).collect();
    let margin = |k: usize| 0.8 * x[k] - 1.5 * y[k] + [0.0, 0.4, -0.3][colour[k]];
    let won: Vec<bool> = (0..rows).map(|k| random.unit() < 1.0 / (1.0 + (-margin(k)).exp())).collect();
    let x: Float64Array = x.iter().enumerate().map(|(k, x)| (!hole(k)).then_some(*x)).collect();
    let colour = StringArray::from_iter_values(colour.iter().map(|colour| ["red", "green", "blue"][*colour]));
    let columns: [(&str, ArrayRef); 4] = [
        ("x", Arc::new(x)),
        ("y", Arc::new(Float64Array::from(y))),
        ("colour", Arc::new(colour)),
        ("won", Arc::new(BooleanArray::from(won))),
    ];
    let whole = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let cut = rows / 3;
    vec![whole.slice(0, cut), whole.slice(cut, rows - cut)]
}

fn table(batches: &[RecordBatch]) -> Table {
    Table::from_batches(batches.to_vec()).expect("a table")
}

fn job() -> Job {
    Job::label("won").device(Selection::Cpu)
}

#[test]
fn predictions_are_those_of_the_coefficients_in_the_order_of_the_rows() {
    let batches = batches(ROWS, |_| false);
    let table = table(&batches);
    let model = job().inference(0.95).train(&table).expect("a model");
    let value = |name: &str| model.coefficient(name).expect("a coefficient").value;
    let names: Vec<&str> = model.coefficients().map(|coefficient| coefficient.name).collect();
    assert_eq!(names, ["(intercept)", "x", "y", "colour=green", "colour=red"]);
    for coefficient in model.coefficients() {
        let error = coefficient.standard_error().expect("it was asked for");
        assert!(error > 0.0 && error < 0.1, "{}: {error}", coefficient.name);
        assert_eq!(coefficient.class.to_string(), "true");
    }
    let parts: Vec<RecordBatch> =
        model.predict(&table).expect("it begins").collect::<Result<_, _>>().expect("predictions");
    assert!(parts.len() > 2, "{} batches", parts.len());
    let predicted = concat_batches(&parts[0].schema(), &parts).expect("one schema");
    let rows = concat_batches(&batches[0].schema(), &batches).expect("one schema");
    assert_eq!(predicted.num_rows(), ROWS);
    let probability = predicted.column_by_name("probability").expect("the column").as_primitive::<Float64Type>();
    let number = |name: &str| rows.column_by_name(name).expect("the column").as_primitive::<Float64Type>().clone();
    let (x, y) = (number("x"), number("y"));
    let colour = rows.column_by_name("colour").expect("the column").as_string::<i32>();
    for k in 0..ROWS {
        let of_colour = model.coefficient(&format!("colour={}", colour.value(k))).map_or(0.0, |level| level.value);
        let margin = value("(intercept)") + value("x") * x.value(k) + value("y") * y.value(k) + of_colour;
        let expected = 1.0 / (1.0 + (-margin).exp());
        assert!((probability.value(k) - expected).abs() <= 1e-12, "row {k}");
    }
    let found = model.evaluate(&table).expect("figures").metrics;
    assert_eq!(found.rows, ROWS as u64);
    assert!((found.log_loss - model.training.loss).abs() <= 1e-6, "{} {}", found.log_loss, model.training.loss);
}

#[test]
fn other_outputs_come_beside_kept_columns() {
    let batches = batches(1_000, |_| false);
    let table = table(&batches);
    let model = job().features(["x", "y"]).l2(0.1).train(&table).expect("a model");
    let keep = ["colour".to_owned()];
    let mut labels = model.predict_as(&table, Output::Label(0.5), &keep).expect("it begins");
    let labels = labels.next().expect("a batch").expect("rows");
    let names: Vec<String> = labels.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["colour", "label"]);
    let margins = model.predict_as(&table, Output::Margin, &[]).expect("it begins");
    let margins = margins.collect::<Result<Vec<_>, _>>().expect("rows");
    let margins = margins[0].column(0).as_primitive::<Float64Type>();
    assert_eq!((labels.num_rows(), margins.len()), (1_000, 1_000));
    for (label, margin) in labels.column(1).as_boolean().iter().zip(margins) {
        assert_eq!(label, margin.map(|z| z >= 0.0));
    }
    let fail = model.predict_as(&table, Output::Probability, &["nothing".to_owned()]).err().expect("no such column");
    assert_eq!(fail.kind, Kind::Data);
}

/// Whoever waits for batches may be a thread of the pool.
#[test]
fn threads_of_a_pool_may_wait_for_predictions() {
    let table = table(&batches(ROWS, |_| false));
    let model = job().train(&table).expect("a model");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let rows: usize =
        pool.install(|| model.predict(&table).expect("it begins").map(|batch| batch.expect("rows").num_rows()).sum());
    assert_eq!(rows, ROWS);
}

/// What became of the rows is told at the end.
#[test]
fn unseen_levels_are_counted() {
    let known = table(&batches(1_000, |_| false));
    let model = job().nulls(Nulls::DropRow).train(&known).expect("a model");
    let mut rows = batches(500, |k| k % 100 == 7);
    let colours = StringArray::from_iter_values((0..rows[1].num_rows()).map(|k| if k == 3 { "pink" } else { "red" }));
    let mut columns = rows[1].columns().to_vec();
    columns[2] = Arc::new(colours);
    rows[1] = RecordBatch::try_new(rows[1].schema(), columns).expect("the same columns");
    let mut predicted = model.predict(&table(&rows)).expect("it begins");
    assert!(predicted.counts().is_none(), "not yet");
    let nulls: usize = predicted.by_ref().map(|batch| batch.expect("rows").column(0).null_count()).sum();
    let counts = predicted.counts().expect("all rows came");
    assert_eq!((counts.rows, counts.without, nulls), (500, 5, 5));
    assert_eq!(counts.unseen.iter().map(|u| (u.column.as_str(), u.rows)).collect::<Vec<_>>(), [("colour", 1)]);
}

/// Whoever takes a few batches only lets go of the others.
#[test]
fn an_iterator_may_be_left_early() {
    let table = table(&batches(ROWS, |_| false));
    let model = job().train(&table).expect("a model");
    for taken in [0, 1] {
        let mut predicted = model.predict(&table).expect("it begins");
        for _ in 0..taken {
            predicted.next().expect("a batch").expect("rows");
        }
        drop(predicted);
    }
}

#[test]
fn what_is_wrong_with_a_row_ends_the_iterator() {
    let whole = table(&batches(ROWS, |_| false));
    let model = job().train(&whole).expect("a model");
    let holes = table(&batches(ROWS, |k| k == 250_000));
    let mut found: Vec<gpu_logreg::Result<RecordBatch>> = model.predict(&holes).expect("it begins").collect();
    let last = found.pop().expect("something").expect_err("no value of x");
    assert_eq!(last.kind, Kind::Data);
    assert!(last.fact.contains("no value of x in row") && last.fact.contains("250000"), "{last}");
    assert!(found.iter().all(Result::is_ok));
    // With a rule for it such a row has a prediction.
    let model = job().nulls(Nulls::Mean).train(&holes).expect("a model");
    let rows: usize = model.predict(&holes).expect("it begins").map(|batch| batch.expect("rows").num_rows()).sum();
    assert_eq!(rows, ROWS);
}

#[test]
fn models_are_written_and_read() {
    let table = table(&batches(500, |_| false));
    let model = job().solver(Solver::Newton).refine().train(&table).expect("a model");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.json");
    model.write(&path).expect("it is written");
    let read = Model::read(&path).expect("it is read");
    assert_eq!(read.to_json(), model.to_json());
    // What is behind an error is there as itself.
    let missing = Model::read(folder.path().join("other.json")).expect_err("no such file");
    let cause = missing.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()).expect("its cause");
    assert_eq!((missing.kind, cause.kind()), (Kind::Data, std::io::ErrorKind::NotFound));
    let nowhere = model.write(folder.path().join("no/model.json")).expect_err("no such folder");
    assert_eq!(nowhere.kind, Kind::Output);
    let opened = Table::open(folder.path().join("rows.parquet")).expect_err("no such file");
    assert_eq!(opened.kind, Kind::Data);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let table = table(&batches(200, |_| false));
    for job in [
        job().l2(-1.0),
        job().l2(f64::NAN),
        job().tolerance(0.0),
        job().inference(1.0),
        job().inference(f64::NAN),
        Job::label("no such column"),
    ] {
        let refused = job.train(&table).expect_err("it makes no sense");
        assert!(matches!(refused.kind, Kind::Usage | Kind::Data), "{refused}");
    }
}

/// Asks for the end after so many questions.
struct Impatient(AtomicUsize);

impl Monitor for Impatient {
    fn interrupted(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) > 3
    }
}

#[test]
fn a_monitor_ends_a_run() {
    let table = table(&batches(ROWS, |_| false));
    let stopped = job().train_watched(&table, &Impatient(AtomicUsize::new(0))).expect_err("it is interrupted");
    assert_eq!(stopped.kind, Kind::Interrupted);
}

/// Several classes have a coefficient of each name in each margin.
#[test]
fn coefficients_of_several_classes_have_their_class() {
    let table = table(&batches(3_000, |_| false));
    let model = Job::label("colour").device(Selection::Cpu).features(["x", "y"]).train(&table).expect("a model");
    let found: Vec<(String, &str)> =
        model.coefficients().map(|coefficient| (coefficient.class.to_string(), coefficient.name)).collect();
    let expected: Vec<(String, &str)> = ["blue", "green", "red"]
        .iter()
        .flat_map(|class| ["(intercept)", "x", "y"].map(|name| ((*class).to_owned(), name)))
        .collect();
    assert_eq!(found, expected);
    let free = Job::label("colour").device(Selection::Cpu).features(["x"]).intercept(false).train(&table);
    assert!(free.expect("a model").coefficient("(intercept)").is_none());
}
