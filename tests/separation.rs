//! Whether the program says that classes are separated where they are, and nowhere else: small random tables, trained
//! with the defaults on both engines, against a linear programme.
//!
//! A run takes some tables of a series; `GPU_LOGREG_TABLES` says how many, on either engine alike, and
//! `tests/campaigns/separation.sh` takes 2,000. With `GPU_LOGREG_TABLES_TO` the tables are written to that folder, with
//! their verdicts, for `tests/reference/separation.py` to judge the programme by another one.

mod common {
    pub(crate) mod data;
    pub(crate) mod random;
}
#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;
mod programme;
#[allow(dead_code, reason = "each test file uses its part of the tables")]
mod random_tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use gpu_logreg::data;
use gpu_logreg::engine::Selection;
use gpu_logreg::monitor::Silent;
use gpu_logreg::train::{Job, train};
use harness::{Check, Suite};
use programme::{Rows, Verdict};
use random_tables::{Table, separable};
use serde_json::{Value, json};

/// Tables of two classes on the CPU and on an adapter, unless `GPU_LOGREG_TABLES` says how many.
const TABLES: [u64; 2] = [1_000, 150];

/// Of three classes so many of a hundred are taken in addition.
const THREE_CLASSES: u64 = 15;

/// What the programme says of a table.
fn truth(table: &Table) -> Verdict {
    on_rows(table, &table.design().into_iter().map(|column| column.1).collect::<Vec<_>>(), |rows| rows.verdict())
}

fn on_rows<R>(table: &Table, columns: &[Vec<f64>], ask: impl Fn(Rows) -> R) -> R {
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let weights = table.weights.as_deref();
    ask(Rows { columns: &columns, label: &table.label, classes: table.classes, weights })
}

/// What a training with the defaults says.
#[derive(Clone)]
struct Found {
    /// How it ended, by the name of the status, or the error.
    status: String,
    /// The columns of the first cause of a separation.
    cause: Vec<String>,
}

fn found(table: &Table, device: &Selection) -> Found {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rows.parquet");
    table.write(&path);
    let job = Job::new(table.spec(), device.clone());
    let model = data::Table::open(&path).and_then(|rows| train(&rows, &job, &Silent, &mut |_| {}));
    let model: Value = match model {
        Ok(model) => serde_json::from_str(&model.to_json()).expect("a model is JSON"),
        Err(error) => return Found { status: format!("error: {error}"), cause: Vec::new() },
    };
    let training = &model["training"];
    let columns = training["separation"]["causes"][0]["columns"].as_array();
    Found {
        status: training["status"].as_str().unwrap_or("no status").to_owned(),
        cause: columns.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
    }
}

/// Where the statuses are not those of the verdicts: `separated` without cause, or anything else in spite of one.
fn wrong(verdicts: &[Verdict], found: &[Found]) -> Vec<usize> {
    assert_eq!(verdicts.len(), found.len());
    let is_wrong = |(verdict, Found { status, .. }): (&Verdict, &Found)| match verdict {
        Verdict::Unclear => false,
        _ => verdict.is_separated() != (status == "separated") || status.starts_with("error"),
    };
    verdicts.iter().zip(found).enumerate().filter(|(_, pair)| is_wrong(*pair)).map(|(place, _)| place).collect()
}

/// Of the tables that are rightly said to be separated, those whose first cause is no cause: without these columns' names,
/// or with columns that on their own separate nothing.
fn unfounded(tables: &[Table], verdicts: &[Verdict], found: &[Found]) -> Vec<usize> {
    let is_unfounded = |place: &usize| {
        let (table, cause) = (&tables[*place], &found[*place].cause);
        if !verdicts[*place].is_separated() || found[*place].status != "separated" {
            return false;
        }
        let columns = table.columns();
        let names = table.names();
        let of_name = |name: &String| names.iter().position(|n| n == name).map(|place| columns[place].clone());
        let columns: Option<Vec<Vec<f64>>> = cause.iter().map(of_name).collect();
        !columns.is_some_and(|columns| {
            !columns.is_empty() && on_rows(table, &columns, |rows| rows.verdict()).is_separated()
        })
    };
    (0..tables.len()).filter(is_unfounded).collect()
}

/// What a series of tables has to hold to mean something, counted.
struct Tally {
    tables: usize,
    separated: usize,
    quasi_complete: usize,
    /// Separated, but by no column and no level on its own.
    by_several: usize,
    unclear: usize,
}

impl Tally {
    fn of(tables: &[Table], verdicts: &[Verdict]) -> Self {
        let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
        let by_several = |(table, verdict): &(&Table, &Verdict)| {
            verdict.is_separated() && !on_rows(table, &table.columns(), |rows| rows.is_separated_by_one())
        };
        Self {
            tables: tables.len(),
            separated: count(|verdict| verdict.is_separated()),
            quasi_complete: count(|verdict| *verdict == Verdict::QuasiComplete),
            by_several: tables.iter().zip(verdicts).filter(by_several).count(),
            unclear: count(|verdict| *verdict == Verdict::Unclear),
        }
    }

    /// The shares that 500 separated tables of 2,000 are, 250 quasi-completely and 100 by no single column (40 of three
    /// classes, where more pairs of a class and a level are pure); as many that are not separated; and a verdict on all
    /// of them.
    fn check(&self, classes: usize) -> Check {
        let of_2000 = |count: usize| count * self.tables / 2_000;
        let enough = self.separated >= of_2000(500)
            && self.tables - self.separated >= of_2000(500)
            && self.quasi_complete >= of_2000(250)
            && self.by_several >= of_2000(if classes == 2 { 100 } else { 40 });
        if enough && self.unclear == 0 { Ok(()) } else { Err(format!("the tables do not show enough: {self}")) }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tables, separated, quasi_complete, by_several, unclear } = self;
        write!(
            f,
            "{tables} tables, {separated} separated ({quasi_complete} quasi-completely, {by_several} by no single \
             column), {unclear} unclear"
        )
    }
}

/// How many tables of so many classes a device gets.
fn count(classes: usize, device: &Selection) -> u64 {
    let asked =
        std::env::var("GPU_LOGREG_TABLES").ok().map(|count| count.parse().expect("GPU_LOGREG_TABLES: a number"));
    let count = asked.unwrap_or(TABLES[usize::from(*device != Selection::Cpu)]);
    if classes == 2 { count } else { count * THREE_CLASSES / 100 }
}

fn series(classes: usize, device: &Selection) -> Vec<Table> {
    (0..count(classes, device)).map(|seed| separable::draw(seed, classes)).collect()
}

/// The tables of a series, on one device, against the programme; and the comparison against what must not pass it.
fn verdicts_are_those_of_the_programme(classes: usize, device: &Selection) -> Check {
    let tables = series(classes, device);
    let start = Instant::now();
    let verdicts: Vec<Verdict> = tables.iter().map(truth).collect();
    let tally = Tally::of(&tables, &verdicts);
    tally.check(classes)?;
    let solved = start.elapsed().as_secs_f64();
    let found: Vec<Found> = tables.iter().map(|table| found(table, device)).collect();
    let trained = start.elapsed().as_secs_f64() - solved;
    let (wrong, unfounded) = (wrong(&verdicts, &found), unfounded(&tables, &verdicts, &found));
    let missed: Vec<usize> = wrong.iter().copied().filter(|place| verdicts[*place].is_separated()).collect();
    let ended = |status: &str, places: &[usize]| places.iter().filter(|place| found[**place].status == status).count();
    let all: Vec<usize> = (0..tables.len()).collect();
    println!(
        "{classes} classes, {device:?}: {tally}; wrong: {} ({} missed, {} of them converged, {} without cause); first \
         cause none: {}; converged: {} in all; {solved:.1} s for the programme, {trained:.1} s to train",
        wrong.len(),
        missed.len(),
        ended("converged", &missed),
        wrong.len() - missed.len(),
        unfounded.len(),
        ended("converged", &all),
    );
    controls(&tables, &verdicts, &found)?;
    let of = |place: &usize| {
        let (table, verdict, found) = (&tables[*place], verdicts[*place], &found[*place]);
        let (rows, columns) = (table.rows(), table.design().len());
        format!("{place} ({rows} rows, {columns} columns): {verdict:?}, but {} {:?}", found.status, found.cause)
    };
    let some = |places: &[usize]| places.iter().take(20).map(of).collect::<Vec<_>>().join("\n");
    if !wrong.is_empty() {
        return Err(format!("{} of {} verdicts are wrong:\n{}", wrong.len(), tables.len(), some(&wrong)));
    }
    if !unfounded.is_empty() {
        return Err(format!("{} causes are none:\n{}", unfounded.len(), some(&unfounded)));
    }
    Ok(())
}

/// A rule that names the columns of a cause.
type CauseOf = fn(&Table) -> Vec<String>;

/// The comparison sees wrong verdicts: all that a rule gives that never says `separated`, and always, and what comes of
/// labels that are another class's in the programme's copy of the tables. And it sees causes that are none.
fn controls(tables: &[Table], verdicts: &[Verdict], found: &[Found]) -> Check {
    let always = |status: &str, cause: CauseOf| -> Vec<Found> {
        tables.iter().map(|table| Found { status: status.into(), cause: cause(table) }).collect()
    };
    let separated = verdicts.iter().filter(|verdict| verdict.is_separated()).count();
    for (status, expected) in [("converged", separated), ("separated", tables.len() - separated)] {
        let seen = wrong(verdicts, &always(status, |_| Vec::new())).len();
        if seen != expected || seen == 0 {
            return Err(format!("control: always {status} is wrong in {seen} of {expected} tables"));
        }
    }
    let causes: [(CauseOf, usize); 3] =
        [(|_| Vec::new(), separated), (|_| vec!["nothing".into()], separated), (Table::names, 0)];
    for (cause, expected) in causes {
        let seen = unfounded(tables, verdicts, &always("separated", cause)).len();
        if seen != expected {
            return Err(format!("control: {seen} of {expected} causes are seen to be none"));
        }
    }
    let flipped: Vec<Verdict> = tables.iter().map(|table| truth(&with_labels_moved(table))).collect();
    let changed = flipped.iter().zip(verdicts).filter(|(a, b)| a.is_separated() != b.is_separated()).count();
    let seen = wrong(&flipped, found).len();
    if changed == 0 || seen == 0 {
        return Err(format!(
            "control: with labels moved {changed} verdicts change, and {seen} differ from the program's"
        ));
    }
    Ok(())
}

/// The same table with the label of every fifth row that counts moved to the next class, but for the last of a class.
fn with_labels_moved(table: &Table) -> Table {
    let mut moved = table.clone();
    let counts = |row: &usize| table.weights.as_ref().is_none_or(|weights| weights[*row] > 0.0);
    let live: Vec<usize> = (0..table.rows()).filter(counts).collect();
    for &row in live.iter().step_by(5) {
        let class = moved.label[row];
        if live.iter().filter(|row| moved.label[**row] == class).count() > 1 {
            moved.label[row] = (class + 1) % table.classes;
        }
    }
    moved
}

/// Writes the tables of the series and what the programme says of them.
fn tables_are_written(folder: &Path) -> Check {
    let mut verdicts = serde_json::Map::new();
    for classes in [2, 3] {
        for (seed, table) in series(classes, &Selection::Cpu).iter().enumerate() {
            let name = format!("{classes}_{seed}.parquet");
            table.write(&folder.join(&name));
            let by_one = on_rows(table, &table.columns(), |rows| rows.is_separated_by_one());
            let about = json!({
                "verdict": format!("{:?}", truth(table)),
                "by_one": by_one,
                "numbers": table.numbers.iter().map(|column| &column.0).collect::<Vec<_>>(),
                "texts": table.texts.iter().map(|column| &column.0).collect::<Vec<_>>(),
            });
            verdicts.insert(name, about);
        }
    }
    std::fs::write(folder.join("verdicts.json"), Value::Object(verdicts).to_string()).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    if let Some(folder) = std::env::var_os("GPU_LOGREG_TABLES_TO").map(PathBuf::from) {
        suite.cpu("tables_are_written", move || tables_are_written(&folder));
        return suite.run();
    }
    for (name, classes) in [("two_classes", 2), ("three_classes", 3)] {
        suite.cpu(name, move || verdicts_are_those_of_the_programme(classes, &Selection::Cpu));
        suite.gpu(name, move |_| verdicts_are_those_of_the_programme(classes, &Selection::Gpu));
    }
    suite.run()
}
