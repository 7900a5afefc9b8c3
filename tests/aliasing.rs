//! Whether the program leaves out the columns that those before them explain, and no others: random tables with known
//! dependencies, trained on both engines, against an elimination in whole numbers.
//!
//! A run takes some tables of a series; `GPU_LOGREG_TABLES` says how many, and `tests/campaigns/aliasing.sh` takes 200.
//! With `GPU_LOGREG_TABLES_TO` the columns are written to that folder, for `tests/reference/aliasing.R`.

mod common {
    pub(crate) mod data;
    pub(crate) mod random;
}
#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;
#[allow(dead_code, reason = "each test file asks its own question")]
mod programme;
#[allow(dead_code, reason = "each test file uses its part of the tables")]
mod random_tables;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use gpu_logreg::data;
use gpu_logreg::engine::Selection;
use gpu_logreg::monitor::Silent;
use gpu_logreg::train::{Job, train};
use harness::{Check, Suite};
use programme::{Rows, Verdict};
use random_tables::{Table, dependent};
use serde_json::Value;

/// Tables on the CPU and on an adapter, unless `GPU_LOGREG_TABLES` says how many.
const TABLES: [usize; 2] = [120, 50];

/// The names of the columns that the ones before them explain.
fn explained(table: &Table) -> Vec<String> {
    let design = table.design();
    let explained = dependent::explained(design.iter().map(|column| column.1.as_slice()));
    design.into_iter().zip(explained).filter(|(_, explained)| *explained).map(|(column, _)| column.0).collect()
}

/// What a training with the defaults says.
struct Found {
    status: String,
    aliased: Vec<String>,
}

fn found(table: &Table, device: &Selection) -> Result<Found, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("rows.parquet");
    table.write(&path);
    let job = Job::new(table.spec(), device.clone());
    let model = data::Table::open(&path).and_then(|rows| train(&rows, &job, &Silent, &mut |_| {}));
    let model: Value = serde_json::from_str(&model.map_err(|e| e.to_string())?.to_json()).map_err(|e| e.to_string())?;
    let features = model["features"].as_array().ok_or("no features")?;
    let names: Vec<&str> = features.iter().filter_map(|feature| feature["name"].as_str()).collect();
    let expected: Vec<String> = table.design().into_iter().map(|column| column.0).collect();
    if names != expected {
        return Err(format!("features {names:?} instead of {expected:?}"));
    }
    let mut aliased = Vec::new();
    for feature in features.iter().filter(|feature| feature["aliased"] == true) {
        if feature["coefficient"].as_f64() != Some(0.0) {
            return Err(format!("an aliased column has a coefficient: {feature}"));
        }
        aliased.push(feature["name"].as_str().unwrap_or_default().to_owned());
    }
    Ok(Found { status: model["training"]["status"].as_str().unwrap_or_default().to_owned(), aliased })
}

/// What differs, of tables in which other columns are left out than those that are explained; and the maximum exists in
/// all of them, whatever the columns.
fn differences(expected: &[Vec<String>], found: &[Result<Found, String>]) -> Vec<String> {
    assert_eq!(expected.len(), found.len());
    let difference = |(place, (expected, found)): (usize, (&Vec<String>, &Result<Found, String>))| match found {
        Err(error) => Some(format!("{place}: {error}")),
        Ok(found) if found.aliased != *expected || found.status == "separated" => {
            Some(format!("{place}: {:?} instead of {expected:?} ({})", found.aliased, found.status))
        }
        Ok(_) => None,
    };
    expected.iter().zip(found).enumerate().filter_map(difference).collect()
}

/// The first tables in which the classes overlap: where they are separated nobody need look for what explains what.
fn series(device: &Selection) -> Vec<Table> {
    let asked =
        std::env::var("GPU_LOGREG_TABLES").ok().map(|count| count.parse().expect("GPU_LOGREG_TABLES: a number"));
    let count = asked.unwrap_or(TABLES[usize::from(*device != Selection::Cpu)]);
    (0..).map(dependent::draw).filter(overlaps).take(count).collect()
}

fn overlaps(table: &Table) -> bool {
    let design = table.design();
    let columns: Vec<&[f64]> = design.iter().map(|column| column.1.as_slice()).collect();
    let rows = Rows { columns: &columns, label: &table.label, classes: table.classes, weights: None };
    rows.verdict() == Verdict::Overlap
}

fn explained_columns_are_left_out(device: &Selection) -> Check {
    let tables = series(device);
    let expected: Vec<Vec<String>> = tables.iter().map(explained).collect();
    let with_aliases = expected.iter().filter(|names| !names.is_empty()).count();
    let columns: usize = expected.iter().map(Vec::len).sum();
    let near = tables.iter().filter(|table| table.numbers.last().is_some_and(|column| column.0 == "near")).count();
    let start = Instant::now();
    let found: Vec<Result<Found, String>> = tables.iter().map(|table| found(table, device)).collect();
    let differences = differences(&expected, &found);
    let ended = |status: &str| found.iter().flatten().filter(|found| found.status == status).count();
    println!(
        "{device:?}: {} tables, {with_aliases} with explained columns ({columns}), {near} with a column that nearly is; \
         wrong: {}; converged: {}, at the limit of f32: {}, separated: {}; {:.1} s",
        tables.len(),
        differences.len(),
        ended("converged"),
        ended("f32_limit"),
        ended("separated"),
        start.elapsed().as_secs_f64()
    );
    if 2 * with_aliases < tables.len() || 10 * near < tables.len() {
        return Err("the tables do not show enough".into());
    }
    controls(&tables, &expected, &found)?;
    if differences.is_empty() {
        return Ok(());
    }
    let some = differences.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    Err(format!("wrong in {} of {} tables:\n{some}", differences.len(), tables.len()))
}

/// The comparison sees it if nothing is left out, if one column too many is, and if it is the first of those that explain
/// each other instead of the last.
fn controls(tables: &[Table], expected: &[Vec<String>], found: &[Result<Found, String>]) -> Check {
    let right = found
        .iter()
        .zip(expected)
        .filter(|(found, names)| found.as_ref().is_ok_and(|f| f.aliased == **names && f.status != "separated"));
    let right = right.count();
    let rejected = |what: &str, wrong: &[Vec<String>]| {
        let unlike = wrong.iter().zip(expected).filter(|(wrong, names)| wrong != names).count();
        let seen = differences(wrong, found).len();
        // Of the tables in which the program is right, each whose expectation changed must now differ.
        let least = (unlike + right).saturating_sub(tables.len());
        if seen < least.max(1) { Err(format!("control: {what}: {seen} tables differ of {unlike}")) } else { Ok(()) }
    };
    rejected("nothing is left out", &vec![Vec::new(); tables.len()])?;
    let one_more = |(table, names): (&Table, &Vec<String>)| {
        let kept = |name: &String| !names.contains(name);
        table.design().into_iter().map(|column| column.0).filter(kept).take(1).chain(names.iter().cloned()).collect()
    };
    rejected("one column more", &tables.iter().zip(expected).map(one_more).collect::<Vec<_>>())?;
    let from_behind = |table: &Table| {
        let design = table.design();
        let explained = dependent::explained(design.iter().rev().map(|column| column.1.as_slice()));
        design
            .iter()
            .zip(explained.iter().rev())
            .filter(|(_, explained)| **explained)
            .map(|(c, _)| c.0.clone())
            .collect()
    };
    rejected("from behind", &tables.iter().map(from_behind).collect::<Vec<_>>())
}

/// Writes the columns of each table as numbers of 64 bits, one column after the other, and an index: the file, its rows,
/// the names and the names of those that are explained.
fn tables_are_written(folder: &Path) -> Check {
    let mut index = String::new();
    for (seed, table) in series(&Selection::Cpu).iter().enumerate() {
        let design = table.design();
        let bytes: Vec<u8> = design.iter().flat_map(|column| &column.1).flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{seed}.bin")), bytes).map_err(|e| e.to_string())?;
        let names: Vec<&str> = design.iter().map(|column| column.0.as_str()).collect();
        let (names, explained) = (names.join("|"), explained(table).join("|"));
        writeln!(index, "{seed}.bin\t{}\t{names}\t{explained}", table.rows()).map_err(|e| e.to_string())?;
    }
    std::fs::write(folder.join("tables.tsv"), index).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    if let Some(folder) = std::env::var_os("GPU_LOGREG_TABLES_TO").map(PathBuf::from) {
        suite.cpu("tables_are_written", move || tables_are_written(&folder));
        return suite.run();
    }
    suite.cpu("explained_columns_are_left_out", || explained_columns_are_left_out(&Selection::Cpu));
    suite.gpu("explained_columns_are_left_out", |_| explained_columns_are_left_out(&Selection::Gpu));
    suite.run()
}
