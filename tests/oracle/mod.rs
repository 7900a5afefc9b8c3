//! What the program must get: row by row, in f64, as the formulas stand in the textbook. Shares no code with
//! `src`, and reads files by another path.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A table: `columns[j][k]` is feature j of row k, `labels[k]` is 0 or 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Vec<f64>>,
    pub(crate) labels: Vec<f64>,
    /// How often each row counts; empty where each counts once.
    pub(crate) weights: Vec<f64>,
    /// What is added to each margin; empty where nothing is.
    pub(crate) offsets: Vec<f64>,
    /// How many of the last columns are levels of each category beside its reference: 1 in the rows that have it.
    pub(crate) levels: Vec<usize>,
}

/// Value and gradient of the mean loss, and what they were made of.
#[derive(Clone, Debug)]
pub(crate) struct Evaluated {
    pub(crate) margins: Vec<f64>,
    pub(crate) residuals: Vec<f64>,
    pub(crate) loss: f64,
    /// Features, then the intercept.
    pub(crate) gradient: Vec<f64>,
    /// Weighted means of the absolute terms of the gradient, the measure of its rounding.
    pub(crate) absolute: Vec<f64>,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// How often row `k` counts.
    pub(crate) fn row_weight(&self, k: usize) -> f64 {
        if self.weights.is_empty() { 1.0 } else { self.weights[k] }
    }

    /// How often all rows count together.
    pub(crate) fn weight(&self) -> f64 {
        (0..self.len()).map(|k| self.row_weight(k)).sum()
    }

    pub(crate) fn offset(&self, k: usize) -> f64 {
        if self.offsets.is_empty() { 0.0 } else { self.offsets[k] }
    }

    /// `o_k + sum_j w_j x_kj + b` of row `k`.
    pub(crate) fn margin(&self, k: usize, weights: &[f64], intercept: f64) -> f64 {
        self.offset(k) + self.direction_margin(k, weights, intercept)
    }

    /// `sum_j w_j x_kj + b` of row `k`.
    pub(crate) fn direction_margin(&self, k: usize, weights: &[f64], intercept: f64) -> f64 {
        assert_eq!(weights.len(), self.columns.len());
        let mut z = intercept;
        for (column, w) in self.columns.iter().zip(weights) {
            z += w * column[k];
        }
        z
    }

    pub(crate) fn evaluate(&self, weights: &[f64], intercept: f64) -> Evaluated {
        let d = self.columns.len();
        let n = self.weight();
        let mut out = Evaluated {
            margins: Vec::new(),
            residuals: Vec::new(),
            loss: 0.0,
            gradient: vec![0.0; d + 1],
            absolute: vec![0.0; d + 1],
        };
        for k in 0..self.len() {
            let z = self.margin(k, weights, intercept);
            let t = self.labels[k];
            // -[t ln L + (1 - t) ln(1 - L)], with ln L = -ln(1 + exp(-z)) so that neither logarithm overflows.
            let log_one_plus_exp = |a: f64| if a > 0.0 { a + (-a).exp().ln_1p() } else { a.exp().ln_1p() };
            let loss = t * log_one_plus_exp(-z) + (1.0 - t) * log_one_plus_exp(z);
            // L - t: for t = 1 as -(1 - L) = -1 / (1 + exp(z)).
            let residual = if t > 0.5 { -1.0 / (1.0 + z.exp()) } else { 1.0 / (1.0 + (-z).exp()) };
            out.margins.push(z);
            out.residuals.push(residual);
            let count = self.row_weight(k);
            out.loss += count * loss / n;
            for j in 0..=d {
                let x = if j < d { self.columns[j][k] } else { 1.0 };
                out.gradient[j] += count * residual * x / n;
                out.absolute[j] += count * (residual * x).abs() / n;
            }
        }
        out
    }

    /// `(1/n) sum S x x'`, x extended by 1, and the same of the absolute terms.
    pub(crate) fn hessian(&self, weights: &[f64], intercept: f64) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        self.product(|k| {
            let z = self.margin(k, weights, intercept);
            let (yes, no) = (1.0 / (1.0 + (-z).exp()), 1.0 / (1.0 + z.exp()));
            yes * no
        })
    }

    /// `(1/n) sum r^2 x x'`, x extended by 1, and the same of the absolute terms.
    pub(crate) fn scatter(&self, weights: &[f64], intercept: f64) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let residuals = self.evaluate(weights, intercept).residuals;
        self.product(|k| residuals[k] * residuals[k])
    }

    fn product(&self, factor: impl Fn(usize) -> f64) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let size = self.columns.len() + 1;
        let mut sums = vec![vec![0.0; size]; size];
        let mut absolute = sums.clone();
        let n = self.weight();
        for k in 0..self.len() {
            let factor = self.row_weight(k) * factor(k);
            let x: Vec<f64> = self.columns.iter().map(|column| column[k]).chain([1.0]).collect();
            for i in 0..size {
                for j in 0..size {
                    let term = factor * x[i] * x[j] / n;
                    sums[i][j] += term;
                    absolute[i][j] += term.abs();
                }
            }
        }
        (sums, absolute)
    }

    /// White's standard errors (HC0) at `at`: features, then the intercept.
    pub(crate) fn sandwich_errors(&self, at: &[f64]) -> Vec<f64> {
        let size = at.len();
        let (weights, intercept) = at.split_at(size - 1);
        let (hessian, _) = self.hessian(weights, intercept[0]);
        let residuals = self.evaluate(weights, intercept[0]).residuals;
        let n = self.weight();
        let x = |k: usize, j: usize| if j < size - 1 { self.columns[j][k] } else { 1.0 };
        (0..size)
            .map(|j| {
                let unit: Vec<f64> = (0..size).map(|i| f64::from(u8::from(i == j))).collect();
                // Row j of the inverse Hessian, then the variance of its product with the rows' gradients.
                let row = solve(hessian.clone(), &unit);
                let variance: f64 = (0..self.len())
                    .map(|k| {
                        let gradient = residuals[k] * (0..size).map(|i| row[i] * x(k, i)).sum::<f64>();
                        self.row_weight(k) * gradient.powi(2)
                    })
                    .sum();
                variance.sqrt() / n
            })
            .collect()
    }

    /// Mean and standard deviation (divisor n) of each column, in two sweeps.
    pub(crate) fn moments(&self) -> Vec<(f64, f64)> {
        let n = self.len() as f64;
        self.columns
            .iter()
            .map(|column| {
                let mean = column.iter().sum::<f64>() / n;
                let variance = column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                (mean, variance.sqrt())
            })
            .collect()
    }

    /// The same rows, each column with mean 0 and standard deviation 1.
    pub(crate) fn standardized(&self) -> Self {
        let mut scaled = self.clone();
        for (column, (m, s)) in scaled.columns.iter_mut().zip(self.moments()) {
            for x in column {
                *x = (*x - m) / s;
            }
        }
        scaled
    }

    /// Maximum likelihood by Newton's method, on the columns as they are (standardise them before): weights, and
    /// the intercept last. `l2` penalises the weights.
    pub(crate) fn newton(&self, l2: f64) -> Vec<f64> {
        let d = self.columns.len();
        let n = self.weight();
        let mut q = vec![0.0; d + 1];
        for _ in 0..30 {
            let mut gradient = vec![0.0; d + 1];
            let mut hessian = vec![vec![0.0; d + 1]; d + 1];
            let mut x = vec![1.0; d + 1];
            for k in 0..self.len() {
                for (x, column) in x.iter_mut().zip(&self.columns) {
                    *x = column[k];
                }
                let z = self.offset(k) + q.iter().zip(&x).map(|(q, x)| q * x).sum::<f64>();
                let share = self.row_weight(k) / n;
                let probability = 1.0 / (1.0 + (-z).exp());
                let curvature = probability * (1.0 - probability);
                for i in 0..=d {
                    gradient[i] += (probability - self.labels[k]) * x[i] * share;
                    let row = &mut hessian[i];
                    let scaled = curvature * x[i] * share;
                    for j in 0..=i {
                        row[j] += scaled * x[j];
                    }
                }
            }
            for j in 0..d {
                gradient[j] += l2 * q[j];
                hessian[j][j] += l2;
            }
            let step = solve(hessian, &gradient);
            for (q, step) in q.iter_mut().zip(&step) {
                *q -= step;
            }
            if step.iter().all(|step| step.abs() <= 1e-13) {
                return q;
            }
        }
        panic!("the oracle's Newton did not converge");
    }
}

#[expect(clippy::needless_range_loop, reason = "indices as in the textbook")]
/// Solves `a x = b` for a symmetric positive definite `a`, of which the lower triangle is given, by Cholesky.
pub(crate) fn solve(mut a: Vec<Vec<f64>>, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let mut sum = a[i][j];
            for k in 0..j {
                sum -= a[i][k] * a[j][k];
            }
            a[i][j] = if i == j { sum.sqrt() } else { sum / a[j][j] };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        for k in 0..i {
            x[i] -= a[i][k] * x[k];
        }
        x[i] /= a[i][i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            x[i] -= a[k][i] * x[k];
        }
        x[i] /= a[i][i];
    }
    x
}

/// Reads a whole Parquet file: the named features and the label as numbers.
pub(crate) fn read(path: &Path, features: &[&str], label: &str) -> Rows {
    let file = std::fs::File::open(path).expect("the file opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").build().expect("a reader");
    let mut rows = Rows { columns: vec![Vec::new(); features.len()], ..Rows::default() };
    for batch in reader {
        let batch = batch.expect("the file decodes");
        let numbers = |name: &str| -> Vec<f64> {
            let column =
                cast(batch.column_by_name(name).expect("the column is there"), &DataType::Float64).expect("a number");
            assert_eq!(column.null_count(), 0);
            column.as_primitive::<Float64Type>().values().to_vec()
        };
        for (column, name) in rows.columns.iter_mut().zip(features) {
            column.extend(numbers(name));
        }
        rows.labels.extend(numbers(label));
    }
    rows
}

/// Reads the named features as numbers and a text column.
pub(crate) fn read_texts(path: &Path, features: &[&str], text: &str) -> (Vec<Vec<f64>>, Vec<String>) {
    let file = std::fs::File::open(path).expect("the file opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").build().expect("a reader");
    let (mut columns, mut texts) = (vec![Vec::new(); features.len()], Vec::new());
    for batch in reader {
        let batch = batch.expect("the file decodes");
        for (column, name) in columns.iter_mut().zip(features) {
            let array =
                cast(batch.column_by_name(name).expect("the column is there"), &DataType::Float64).expect("numbers");
            column.extend_from_slice(array.as_primitive::<Float64Type>().values());
        }
        let array = cast(batch.column_by_name(text).expect("the column is there"), &DataType::Utf8).expect("texts");
        texts.extend(array.as_string::<i32>().iter().map(|text| text.expect("no nulls").to_owned()));
    }
    (columns, texts)
}
