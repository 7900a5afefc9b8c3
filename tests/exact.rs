//! The exact pass over a file against the row-wise oracle, and the negative controls that prove that the comparison
//! can fail.

// Each test file uses a part of the oracle.
#[allow(dead_code, reason = "shared with tests that use the rest")]
mod oracle;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int64Array, UInt8Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use gpu_logreg::data::{Encoded, Plan, Shape, Spec, Table, load};
use gpu_logreg::engine::TableBuilder;
use gpu_logreg::engine::cpu::CpuTableBuilder;
use gpu_logreg::engine::exact::{Exact, evaluate_file};
use gpu_logreg::monitor::Silent;
use gpu_logreg::standardize::ColumnScale;
use oracle::Rows;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Relative, of the loss.
const LOSS: f64 = 1e-14;
/// Absolute, of the gradient in standardised units.
const GRADIENT: f64 = 1e-14;

/// A table, what was read of it, and the same rows by the oracle's own path.
struct Subject {
    table: Table,
    plan: Plan,
    encoded: Encoded,
    rows: Rows,
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

impl Subject {
    fn new(path: &Path, label: &str, features: &[&str], ignore: &[&str]) -> Self {
        let table = Table::open(path).expect("the table opens");
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let spec = Spec {
            label: Some(label.into()),
            features: Some(names(features)).filter(|features: &Vec<String>| !features.is_empty()),
            ignore: names(ignore),
            ..Spec::default()
        };
        let (table, plan) = spec.resolve(table, &Silent).expect("the columns are there");
        let mut store = CpuTableBuilder::new(Shape::plain(table.rows, plan.features())).expect("there is room");
        let encoded = load(&table, &plan, &*store.as_store(), &Silent).expect("the table loads");
        let features: Vec<&str> = encoded.features.iter().map(|feature| feature.name.as_str()).collect();
        let rows = oracle::read(path, &features, label);
        Self { table, plan, encoded, rows }
    }

    fn scales(&self) -> Vec<ColumnScale> {
        self.encoded.features.iter().map(|feature| feature.scale).collect()
    }

    fn evaluate(&self, weights: &[f64], intercept: f64) -> Exact {
        evaluate_file(
            &self.table,
            &self.plan,
            &self.encoded.label,
            &self.scales(),
            &[weights, &[intercept]].concat(),
            &Silent,
        )
        .expect("the file is read")
    }

    /// The oracle's rows in standardised units; a constant column is 0.
    fn standardized(&self) -> Rows {
        let standardize = |(column, place): (&Vec<f64>, ColumnScale)| -> Vec<f64> {
            if place.scale == 0.0 {
                return vec![0.0; column.len()];
            }
            column.iter().map(|x| (x - place.mean) / place.scale).collect()
        };
        let columns = self.rows.columns.iter().zip(self.scales()).map(standardize).collect();
        Rows { columns, labels: self.rows.labels.clone(), ..Rows::default() }
    }

    /// The oracle's loss and gradient. It adds plainly: a few rows at a time, so that their rounding stays small.
    fn expected(&self, weights: &[f64], intercept: f64) -> Exact {
        let rows = self.standardized();
        let n = rows.len() as f64;
        let mut expected = Exact { loss: 0.0, gradient: vec![0.0; weights.len() + 1] };
        for first in (0..rows.len()).step_by(256) {
            let here = first..rows.len().min(first + 256);
            let share = here.len() as f64 / n;
            let columns = rows.columns.iter().map(|column| column[here.clone()].to_vec()).collect();
            let part =
                Rows { columns, labels: rows.labels[here].to_vec(), ..Rows::default() }.evaluate(weights, intercept);
            expected.loss += part.loss * share;
            for (sum, g) in expected.gradient.iter_mut().zip(part.gradient) {
                *sum += g * share;
            }
        }
        expected
    }
}

/// Compares; says what is farthest off.
fn compare(found: &Exact, expected: &Exact) -> Result<(), String> {
    assert_eq!(found.gradient.len(), expected.gradient.len());
    let loss = (found.loss - expected.loss).abs() / expected.loss;
    if loss.is_nan() || loss > LOSS {
        return Err(format!("loss {} is off by {loss:e} of itself", found.loss));
    }
    for (index, (g, right)) in found.gradient.iter().zip(&expected.gradient).enumerate() {
        let error = (g - right).abs();
        if error.is_nan() || error > GRADIENT {
            return Err(format!("gradient {index}: {g:e} is not {right:e}, by {error:e}"));
        }
    }
    Ok(())
}

#[track_caller]
fn assert_same(found: &Exact, expected: &Exact) {
    compare(found, expected).unwrap_or_else(|error| panic!("{error}"));
}

#[track_caller]
fn assert_differs(found: &Exact, expected: &Exact) {
    assert!(compare(found, expected).is_err(), "not noticed");
}

/// Numbers between -1/2 and 1/2 (the low bits of a quadratic sequence).
fn spread(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn write(path: &Path, columns: &[(&str, ArrayRef)], group: usize) {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), Some(properties))
        .expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// 60,000 rows of seven features of all sorts; the rows are sorted by the label in part, so that sums grow large
/// before they shrink.
fn large() -> Vec<(&'static str, ArrayRef)> {
    let draws: Vec<Vec<f64>> = (0..8).map(|seed| spread(LARGE_ROWS, 17 * seed + 3)).collect();
    let plain: Float64Array = draws[0].iter().map(|u| Some(6.0 * u)).collect();
    // A time in nanoseconds, as a float: the mean is 1e9 standard deviations away.
    let far: Float64Array = draws[1].iter().map(|u| Some(1.7e18 + (u * 6e9).round())).collect();
    let single: Float32Array = draws[2].iter().map(|u| Some((u.powi(3) * 100.0) as f32)).collect();
    let skewed: Int64Array = draws[3].iter().map(|u| Some((-1e6 / (u + 0.5001)) as i64)).collect();
    let small: Int16Array = draws[4].iter().map(|u| Some((u * 20.0) as i16)).collect();
    let few: UInt8Array = draws[5].iter().map(|u| Some(u8::from(*u > 0.3) * 3)).collect();
    let flag: BooleanArray = draws[6].iter().map(|u| Some(*u > -0.4)).collect();
    let label: BooleanArray = (0..LARGE_ROWS)
        .map(|row| {
            let trend = if row < LARGE_ROWS / 2 { 1.0 } else { -1.0 };
            Some(draws[7][row] < 0.4 * trend + 0.2 * draws[0][row] - 0.1 * draws[4][row])
        })
        .collect();
    vec![
        ("plain", Arc::new(plain)),
        ("far", Arc::new(far)),
        ("label", Arc::new(label)),
        ("single", Arc::new(single)),
        ("skewed", Arc::new(skewed)),
        ("small", Arc::new(small)),
        ("few", Arc::new(few)),
        ("flag", Arc::new(flag)),
    ]
}

const LARGE_ROWS: usize = 60_000;
/// Its features.
const LARGE: [&str; 7] = ["plain", "far", "single", "skewed", "small", "few", "flag"];

#[test]
fn weather_agrees_and_its_optimum_is_resolved() {
    let subject = Subject::new(&example("weather.parquet"), "rain", &["temp_max", "temp_min", "wind"], &[]);
    for (seed, intercept) in [(1, -0.3), (2, 4.0)] {
        let weights: Vec<f64> = spread(3, seed).iter().map(|u| 5.0 * u).collect();
        assert_same(&subject.evaluate(&weights, intercept), &subject.expected(&weights, intercept));
    }
    let mut optimum = subject.standardized().newton(0.0);
    let intercept = optimum.pop().expect("the intercept");
    let found = subject.evaluate(&optimum, intercept);
    // What is left is the rounding of the optimum itself and of the terms, not that of 1,461 additions.
    for g in &found.gradient {
        assert!(g.abs() <= 2e-16, "{:?}", found.gradient);
    }
    assert_same(&found, &subject.expected(&optimum, intercept));
}

#[test]
fn digits_agree_and_constant_pixels_add_nothing() {
    let subject = Subject::new(&example("digits.parquet"), "odd", &[], &["digit"]);
    let weights = spread(subject.plan.features(), 5);
    let found = subject.evaluate(&weights, 0.1);
    assert_same(&found, &subject.expected(&weights, 0.1));
    let constant: Vec<usize> =
        subject.scales().iter().enumerate().filter(|(_, s)| s.scale == 0.0).map(|(j, _)| j).collect();
    assert!(!constant.is_empty());
    for j in constant {
        assert!(found.gradient[j].abs() == 0.0);
    }
}

#[test]
fn a_table_of_all_sorts_agrees_with_the_same_bits_from_all_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.parquet");
    for group in [7_001, 25_000, 60_000] {
        write(&path, &large(), group);
        let subject = Subject::new(&path, "label", &[], &[]);
        for (seed, intercept) in [(8, 0.2), (9, -1.5)] {
            let weights: Vec<f64> = spread(7, seed).iter().map(|u| 3.0 * u).collect();
            let found = subject.evaluate(&weights, intercept);
            assert_same(&found, &subject.expected(&weights, intercept));
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                assert_eq!(pool.install(|| subject.evaluate(&weights, intercept)), found, "{threads} threads");
            }
        }
        let mut optimum = subject.standardized().newton(0.0);
        let intercept = optimum.pop().expect("the intercept");
        let found = subject.evaluate(&optimum, intercept);
        assert!(found.gradient.iter().all(|g| g.abs() <= 1e-14), "{:?}", found.gradient);
        assert_same(&found, &subject.expected(&optimum, intercept));
    }
}

/// What must not pass for the same: each is as small a fault as there is of its sort.
#[test]
fn faults_are_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.parquet");
    write(&path, &large(), 25_000);
    let subject = Subject::new(&path, "label", &LARGE, &[]);
    let weights = spread(7, 8);
    let expected = subject.expected(&weights, 0.2);
    assert_same(&subject.evaluate(&weights, 0.2), &expected);

    // One wrong weight, and a wrong intercept.
    for j in 0..7 {
        let mut wrong = weights.clone();
        wrong[j] += 1e-12;
        assert_differs(&subject.evaluate(&wrong, 0.2), &expected);
    }
    assert_differs(&subject.evaluate(&weights, 0.2 + 1e-12), &expected);

    // A dropped last row, and values narrowed to f32 once: with the scales and the label as they were.
    let with_columns = |change: &dyn Fn(&str, ArrayRef) -> ArrayRef| {
        let columns: Vec<(&str, ArrayRef)> =
            large().into_iter().map(|(name, column)| (name, change(name, column))).collect();
        let path = folder.path().join("changed.parquet");
        write(&path, &columns, 25_000);
        let mut changed = Subject::new(&path, "label", &LARGE, &[]);
        changed.encoded = subject.encoded.clone();
        changed.evaluate(&weights, 0.2)
    };
    assert_same(&with_columns(&|_, column| column), &expected);
    assert_differs(&with_columns(&|_, column| column.slice(0, LARGE_ROWS - 1)), &expected);
    let narrow = |name: &str, column: ArrayRef| match name {
        "plain" => cast(&column, &DataType::Float32).expect("numbers"),
        _ => column,
    };
    assert_differs(&with_columns(&narrow), &expected);

    // Two columns in each other's place: their scales and weights are left where they were.
    let mut names = LARGE;
    names.swap(2, 4);
    let mut swapped = Subject::new(&path, "label", &names, &[]);
    swapped.encoded = subject.encoded.clone();
    assert_differs(&swapped.evaluate(&weights, 0.2), &expected);

    // The classes in each other's place.
    let mut turned = Subject::new(&path, "label", &LARGE, &[]);
    turned.encoded.label.classes.swap(0, 1);
    assert_differs(&turned.evaluate(&weights, 0.2), &expected);
}
