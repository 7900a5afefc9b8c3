//! Penalised tables of many features: what a run says of its distance to the optimum, against the gradient and the Hessian
//! of the penalised loss summed row by row over the values of the file.

/// What tests of the program as a process share; each file takes the parts that it uses.
#[allow(dead_code, reason = "each test file uses its part of them")]
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod files;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
}

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array};
use serde_json::Value;

use common::adapter::has_adapter;
use common::model::coefficients;
use common::process::{Place, number};
use common::random::Random;

/// A table and how it is penalised, `(l2 / 2) sum w^2` on the scale of the file.
struct Case {
    name: &'static str,
    rows: usize,
    features: usize,
    /// Neighbouring columns have this much in common.
    shared: f64,
    l2: f64,
    /// Weights, some of them 0, and an offset.
    is_weighted: bool,
    flags: &'static str,
}

const PLAIN: Case = Case { name: "", rows: 0, features: 0, shared: 0.0, l2: 1e-2, is_weighted: false, flags: "" };

const CASES: &[Case] = &[
    Case { name: "fewer rows than features", rows: 200, features: 400, ..PLAIN },
    Case { name: "the same, nearly collinear", rows: 150, features: 500, shared: 0.995, ..PLAIN },
    Case { name: "the same, next to no penalty", rows: 120, features: 300, l2: 1e-6, ..PLAIN },
    Case { name: "the same without an intercept", rows: 150, features: 300, flags: "--no-intercept", ..PLAIN },
    Case { name: "the same, weights and an offset", rows: 160, features: 290, l2: 1e-4, is_weighted: true, ..PLAIN },
    Case { name: "the same, a strong penalty", rows: 80, features: 300, l2: 1e3, ..PLAIN },
    Case { name: "fewer, but many rows", rows: 600, features: 640, shared: 0.9, l2: 1e-3, ..PLAIN },
    Case { name: "all rows in the subsample", rows: 900, features: 300, shared: 0.99, l2: 1e-3, ..PLAIN },
    Case { name: "some rows in the subsample", rows: 3_600, features: 270, shared: 0.99, l2: 3e-4, ..PLAIN },
    Case { name: "weights and an offset", rows: 700, features: 300, l2: 1e-3, is_weighted: true, ..PLAIN },
    Case { name: "a strong penalty", rows: 600, features: 300, l2: 30.0, ..PLAIN },
    Case { name: "without any Hessian", rows: 400, features: 300, shared: 0.9, flags: "--solver lbfgs", ..PLAIN },
];

/// The unit and the centre of a column.
fn place_of(column: usize) -> (f64, f64) {
    (2.0_f64.powi(column as i32 % 5 - 2), (column % 7) as f64 - 3.0)
}

/// What a case is made of.
struct Rows {
    columns: Vec<Vec<f64>>,
    labels: Vec<bool>,
    weights: Vec<f64>,
    offsets: Vec<f64>,
}

impl Rows {
    fn of(case: &Case) -> Self {
        let mut random = Random(7);
        let mut normal = || (0..6).map(|_| random.unit() - 0.5).sum::<f64>() * std::f64::consts::SQRT_2;
        let rows = case.rows;
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(case.features);
        for j in 0..case.features {
            let (unit, centre) = place_of(j);
            let before = j.checked_sub(1).map(|former| (&columns[former], place_of(former)));
            let values = (0..rows).map(|row| {
                let standard = |(values, (unit, centre)): (&Vec<f64>, (f64, f64))| (values[row] - centre) / unit;
                let shared = case.shared * before.map_or(0.0, standard);
                let own = (1.0 - case.shared * case.shared).sqrt() * normal();
                // In steps that narrowing keeps: what is left to see is the solver's.
                centre + unit * (16.0 * (shared + own)).round() / 16.0
            });
            let values: Vec<f64> = values.collect();
            columns.push(values);
        }
        let weights = (0..rows).map(|row| if case.is_weighted { (row % 4) as f64 } else { 1.0 }).collect();
        let offsets = (0..rows).map(|row| if case.is_weighted { (row % 9) as f64 / 8.0 - 0.5 } else { 0.0 }).collect();
        let standard = |j: usize, row: usize| (columns[j][row] - place_of(j).1) / place_of(j).0;
        let labels = (0..rows).map(|row| standard(0, row) - standard(7, row) + normal() > 0.2).collect();
        Self { columns, labels, weights, offsets }
    }

    fn place(&self, case: &Case) -> Place {
        let names: Vec<String> = (0..case.features).map(|j| format!("x{j}")).collect();
        let narrow =
            |values: &Vec<f64>| -> ArrayRef { Arc::new(values.iter().map(|x| *x as f32).collect::<Float32Array>()) };
        let features = names.iter().map(String::as_str).zip(self.columns.iter().map(narrow));
        let wide = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let mut table: Vec<(&str, ArrayRef)> = features.collect();
        if case.is_weighted {
            table.extend([("w", wide(&self.weights)), ("o", wide(&self.offsets))]);
        }
        table.push(("y", Arc::new(BooleanArray::from(self.labels.clone()))));
        Place::with_data(&table)
    }

    /// `sqrt(N g'H^-1 g)` of the penalised mean loss at the coefficients, the intercept first if there is one.
    fn distance(&self, model: &Value, l2: f64) -> f64 {
        let intercept = model["training"]["fit_intercept"] == true;
        let weights = coefficients(model);
        let first = usize::from(intercept);
        let size = weights.len() + first;
        let n: f64 = self.weights.iter().sum();
        let (mut gradient, mut hessian) = (vec![0.0; size], vec![vec![0.0; size]; size]);
        for row in 0..self.labels.len() {
            let x: Vec<f64> = (0..size).map(|j| if j < first { 1.0 } else { self.columns[j - first][row] }).collect();
            let b = if intercept { number(model, "/intercept") } else { 0.0 };
            let z = b + self.offsets[row] + x[first..].iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
            let p = 1.0 / (1.0 + (-z).exp());
            let residual = self.weights[row] * (p - f64::from(u8::from(self.labels[row]))) / n;
            let curvature = self.weights[row] * p * (1.0 - p) / n;
            for i in 0..size {
                gradient[i] += residual * x[i];
                for j in 0..=i {
                    hessian[i][j] += curvature * x[i] * x[j];
                }
            }
        }
        for j in first..size {
            gradient[j] += l2 * weights[j - first];
            hessian[j][j] += l2;
        }
        // By the factor, row by row: the squared length of `L^-1 g`.
        let mut solved = vec![0.0; size];
        for i in 0..size {
            for j in 0..=i {
                let (above, own) = hessian.split_at_mut(i);
                let inner: f64 = (0..j).map(|k| own[0][k] * if j == i { own[0][k] } else { above[j][k] }).sum();
                own[0][j] = if i == j { (own[0][i] - inner).sqrt() } else { (own[0][j] - inner) / above[j][j] };
            }
            let inner: f64 = (0..i).map(|k| hessian[i][k] * solved[k]).sum();
            solved[i] = (gradient[i] - inner) / hessian[i][i];
        }
        (n * solved.iter().map(|x| x * x).sum::<f64>()).sqrt()
    }
}

fn check(case: &Case, device: &str) {
    let rows = Rows::of(case);
    let place = rows.place(case);
    let columns = if case.is_weighted { "--weight w --offset o" } else { "" };
    let (l2, flags) = (case.l2, case.flags);
    let train = format!("train data.parquet --label y --l2 {l2} --penalty-scale original --device {device}");
    let model = place.done(&format!("{train} {columns} {flags} --json")).json();
    let training = &model["training"];
    let what = format!("{} on {device}: {training:#}", case.name);
    let (said, found) = (number(training, "/delta"), rows.distance(&model, l2));
    let floor = number(training, "/delta_floor");
    assert!(training["status"] == "converged" || device != "cpu" && training["status"] == "f32_limit", "{what}");
    // An approximate Hessian is off by the square root of the condition that it leaves, which is about 2.
    let slack = if training["delta_is_approximate"] == true { 2.0 } else { 1.0 };
    assert!(found <= slack * (said + floor) * (1.0 + 1e-3), "{found:e} standard errors away; {what}");
    assert!(device != "cpu" || said + floor <= 1e-4, "{what}");
}

#[test]
fn a_run_is_as_near_as_it_says() {
    for case in CASES {
        check(case, "cpu");
    }
}

#[test]
fn a_run_on_a_gpu_is_as_near_as_it_says() {
    if has_adapter() {
        for case in CASES {
            check(case, "gpu");
        }
    }
}

/// Without a penalty a maximum must be proved to exist, of however many features: by the run's own Hessian, before the file
/// is read again for it.
#[test]
fn a_run_without_a_penalty_proves_that_a_maximum_exists() {
    let case = Case { name: "many features without a penalty", rows: 6_000, features: 1_030, ..PLAIN };
    let place = Rows::of(&case).place(&case);
    let model = place.done("train data.parquet --label y --device cpu --json").json();
    let training = &model["training"];
    assert_eq!((&training["status"], &training["existence"]), (&"converged".into(), &"proved".into()), "{training:#}");
    assert!(training["passes"]["file"].is_null(), "{training:#}");
}
