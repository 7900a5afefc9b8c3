//! What tests of the program as a process share: a folder to run it in, Parquet files to run it on, and an
//! independent Newton solver to judge its coefficients by.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;

/// The program, with nothing of the caller's environment that would change what it does.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    command.env_remove("GPU_LOGREG_DEVICE").env_remove("GPU_LOGREG_THREADS").stdin(Stdio::null());
    command
}

/// Where the example data lies.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in stdout of {self:?}"))
    }
}

/// A folder of its own, where commands run and leave their files.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(&'static str, &'static str)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), environment: Vec::new() }
    }

    /// The Vulkan loader finds no driver for what runs here.
    #[cfg(target_os = "linux")]
    pub(crate) fn without_adapters(mut self) -> Self {
        self.environment = vec![("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent")];
        self
    }

    /// With a copy of one of the examples.
    pub(crate) fn with_example(name: &str) -> Self {
        let place = Self::new();
        fs::copy(example(name), place.path(name)).expect("the example is copied");
        place
    }

    /// With `data.parquet` of these columns.
    pub(crate) fn with_data(columns: &[(&str, ArrayRef)]) -> Self {
        let place = Self::new();
        write_parquet(&place.path("data.parquet"), columns, usize::MAX);
        place
    }

    /// The path of a file in this folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of all files here, sorted: temporary ones too.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder can be listed");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn json_file(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).expect("the file is JSON")
    }

    /// The program with the words of `arguments`, to be run here.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = program();
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.envs(self.environment.iter().copied());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs a command that must end well.
    pub(crate) fn done(&self, arguments: &str) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {run:?}");
        run
    }

    /// The model of `train` with these arguments, on the CPU.
    pub(crate) fn model(&self, arguments: &str) -> Value {
        self.done(&format!("train {arguments} --device cpu --json")).json()
    }
}

/// Not println: what a passing test prints there is swallowed.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether an adapter can be used. Without one, GPU checks say that they are skipped, or fail if
/// `GPU_LOGREG_REQUIRE_GPU` is 1.
pub(crate) fn has_adapter() -> bool {
    let devices = Place::new().done("devices --json").json();
    let usable = devices["devices"].as_array().expect("a list").iter().any(|device| device["usable"] == true);
    let required = std::env::var_os("GPU_LOGREG_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(usable || !required, "GPU_LOGREG_REQUIRE_GPU is set, but no adapter can be used: {devices}");
    if !usable {
        skipped("no adapter, so nothing was checked on a GPU");
    }
    usable
}

/// Writes columns that hold no nulls, or some, as one Parquet file with row groups of `group` rows at most.
pub(crate) fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)], group: usize) {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array))))
        .expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = fs::File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// A number of a JSON document, by its path: `/training/loss`.
pub(crate) fn number(document: &Value, path: &str) -> f64 {
    let value = document.pointer(path).unwrap_or_else(|| panic!("no {path} in {document:#}"));
    value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
}

/// The coefficients of a model, in the order of its features.
pub(crate) fn coefficients(model: &Value) -> Vec<f64> {
    let features = model["features"].as_array().expect("a list of features");
    features.iter().map(|feature| number(feature, "/coefficient")).collect()
}

/// The names of an object's fields, sorted.
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A small generator of its own (splitmix64), so that no data here depends on the program's.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A label that is true with the odds `exp(margin)`.
    pub(crate) fn label(&mut self, margin: f64) -> bool {
        self.unit() < 1.0 / (1.0 + (-margin).exp())
    }
}

/// How the reference solver fits.
#[derive(Clone, Copy)]
pub(crate) struct Reference {
    pub(crate) intercept: bool,
    /// Strength of the penalty `(l2 / 2) sum (w_j s_j)^2` with `standardized`, else `(l2 / 2) sum w_j^2`.
    pub(crate) l2: f64,
    pub(crate) standardized: bool,
}

/// What the reference solver found.
pub(crate) struct Fit {
    pub(crate) intercept: f64,
    pub(crate) coefficients: Vec<f64>,
    /// Of the coefficients, from the Hessian with the penalty.
    pub(crate) standard_errors: Vec<f64>,
    /// Of the intercept; 0 without one.
    pub(crate) intercept_standard_error: f64,
}

impl Reference {
    /// Maximum likelihood with an intercept.
    pub(crate) const PLAIN: Self = Self { intercept: true, l2: 0.0, standardized: true };

    /// Newton's method on the mean loss in plain f64, on columns as they are: for tame data.
    pub(crate) fn fit(self, columns: &[Vec<f64>], labels: &[bool]) -> Fit {
        let (rows, features) = (labels.len(), columns.len());
        assert!(columns.iter().all(|column| column.len() == rows));
        let n = rows as f64;
        let penalty: Vec<f64> = columns
            .iter()
            .map(|column| {
                let mean = column.iter().sum::<f64>() / n;
                let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                if self.standardized { self.l2 * variance } else { self.l2 }
            })
            .collect();
        let size = features + usize::from(self.intercept);
        let cell = |row: usize, j: usize| if j < features { columns[j][row] } else { 1.0 };
        let mut q = vec![0.0; size];
        let mut hessian = vec![vec![0.0; size]; size];
        for iteration in 0.. {
            assert!(iteration < 100, "the reference does not converge");
            let mut gradient = vec![0.0; size];
            hessian.iter_mut().flatten().for_each(|h| *h = 0.0);
            for (row, &label) in labels.iter().enumerate() {
                let z: f64 = (0..size).map(|j| cell(row, j) * q[j]).sum();
                let probability = 1.0 / (1.0 + (-z).exp());
                for i in 0..size {
                    gradient[i] += (probability - f64::from(u8::from(label))) * cell(row, i) / n;
                    for (j, h) in hessian[i].iter_mut().enumerate() {
                        *h += probability * (1.0 - probability) * cell(row, i) * cell(row, j) / n;
                    }
                }
            }
            for (j, l2) in penalty.iter().enumerate() {
                gradient[j] += l2 * q[j];
                hessian[j][j] += l2;
            }
            let step = solve(&hessian, &gradient);
            q.iter_mut().zip(&step).for_each(|(q, step)| *q -= step);
            // Newton doubles the digits: a step of this size leaves none to gain.
            if step.iter().zip(&q).all(|(step, q)| step.abs() <= 1e-12 * (1.0 + q.abs())) {
                break;
            }
        }
        let mut standard_errors: Vec<f64> = (0..size)
            .map(|j| {
                let unit: Vec<f64> = (0..size).map(|i| f64::from(u8::from(i == j))).collect();
                (solve(&hessian, &unit)[j] / n).sqrt()
            })
            .collect();
        // What comes after the coefficients belongs to the intercept, if there is one.
        let after = |values: &mut Vec<f64>| values.split_off(features).first().copied().unwrap_or(0.0);
        let (intercept, intercept_standard_error) = (after(&mut q), after(&mut standard_errors));
        Fit { intercept, coefficients: q, standard_errors, intercept_standard_error }
    }
}

/// Solves `matrix x = right` by elimination with pivots.
fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let size = right.len();
    let mut rows: Vec<Vec<f64>> =
        matrix.iter().zip(right).map(|(row, b)| row.iter().copied().chain([*b]).collect()).collect();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))
            .expect("a row is left");
        rows.swap(column, pivot);
        let pivot = rows[column].clone();
        for row in &mut rows[column + 1..] {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut x = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| rows[i][j] * x[j]).sum();
        x[i] = (rows[i][size] - known) / rows[i][i];
    }
    x
}
