//! The elastic net against a proximal gradient method that shares no code with the program, over the same values in f64: which
//! columns are selected, their coefficients, and what the certificate says is left to gain.

mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use gpu_logreg::arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use gpu_logreg::solve::Status;
use gpu_logreg::train::{ExactJob, PathJob, SelectedStrength, Strengths};
use gpu_logreg::{Job, Limits, Model, PenaltyScale, RecordBatch, Selection, Table};
use harness::{Check, Suite, close};
use serde_json::Value;

mod common {
    pub(crate) mod random;
}
use common::random::Random;

/// A table and its penalty.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what a table may have, each by itself")]
struct Case {
    name: &'static str,
    rows: usize,
    columns: usize,
    l1: f64,
    l2: f64,
    /// The share of a column that its neighbour has too.
    shared: f64,
    /// Values far out.
    has_heavy_tails: bool,
    /// About so many rows are of the positive class.
    positives: f64,
    is_weighted: bool,
    has_offset: bool,
    intercept: bool,
    /// Levels of a category more.
    levels: usize,
    scale: PenaltyScale,
    /// Bytes of memory for the table.
    host: Option<u64>,
    /// What the penalty of a column is multiplied by.
    factors: &'static [(usize, f64)],
    /// The least and the greatest coefficient of a column.
    bounds: &'static [(usize, f64, f64)],
    nonnegative: bool,
}

const PLAIN: Case = Case {
    name: "",
    rows: 400,
    columns: 8,
    l1: 1e-2,
    l2: 0.0,
    shared: 0.0,
    has_heavy_tails: false,
    positives: 0.4,
    is_weighted: false,
    has_offset: false,
    intercept: true,
    levels: 0,
    scale: PenaltyScale::Standardized,
    host: None,
    factors: &[],
    bounds: &[],
    nonnegative: false,
};

fn cases() -> Vec<Case> {
    vec![
        Case { name: "a lasso", ..PLAIN },
        Case { name: "a weak one", l1: 1e-4, ..PLAIN },
        Case { name: "nothing is selected", l1: 0.9, ..PLAIN },
        Case { name: "an elastic net", l2: 2e-2, ..PLAIN },
        Case { name: "collinear columns", shared: 0.95, l1: 3e-3, ..PLAIN },
        Case { name: "heavy tails", has_heavy_tails: true, l1: 1e-3, ..PLAIN },
        Case { name: "few positives", positives: 0.02, rows: 1_500, l1: 1e-3, ..PLAIN },
        Case { name: "weights and an offset", is_weighted: true, has_offset: true, ..PLAIN },
        Case { name: "no intercept", intercept: false, ..PLAIN },
        Case { name: "a category", levels: 7, l1: 5e-3, ..PLAIN },
        Case { name: "original weights", scale: PenaltyScale::Original, l1: 2e-2, l2: 1e-2, ..PLAIN },
        Case { name: "more columns than rows", rows: 40, columns: 60, l1: 3e-2, ..PLAIN },
        Case { name: "too many columns for a matrix", rows: 60, columns: 1_500, l1: 4e-2, ..PLAIN },
        Case {
            name: "the same, weights and factors",
            rows: 70,
            columns: 1_100,
            l1: 3e-2,
            l2: 1e-2,
            is_weighted: true,
            has_offset: true,
            factors: &[(0, 0.0), (5, 0.2)],
            ..PLAIN
        },
        Case {
            name: "the same without an intercept",
            rows: 60,
            columns: 1_100,
            l1: 5e-2,
            intercept: false,
            nonnegative: true,
            ..PLAIN
        },
        Case { name: "one column", columns: 1, l1: 1e-3, ..PLAIN },
        Case { name: "a sample of the rows", rows: 9_000, columns: 5, l1: 2e-3, ..PLAIN },
        Case { name: "a sample, heavy tails", rows: 9_000, columns: 5, has_heavy_tails: true, l1: 5e-4, ..PLAIN },
        Case {
            name: "a sample, weights and an offset",
            rows: 8_000,
            columns: 4,
            is_weighted: true,
            has_offset: true,
            ..PLAIN
        },
        Case { name: "factors", factors: &[(0, 0.0), (2, 3.0), (3, f64::INFINITY)], ..PLAIN },
        Case { name: "a ridge with a factor", l1: 0.0, l2: 0.1, factors: &[(0, 0.0), (1, 0.5)], ..PLAIN },
        Case { name: "bounds", bounds: &[(0, 0.0, 0.1), (1, -0.01, f64::INFINITY), (2, -1.0, 0.0)], ..PLAIN },
        Case { name: "no coefficient below 0", nonnegative: true, l1: 1e-3, ..PLAIN },
        Case {
            name: "bounds of original weights",
            bounds: &[(1, -0.01, 0.01)],
            scale: PenaltyScale::Original,
            ..PLAIN
        },
        Case { name: "from a scratch file", rows: 9_000, columns: 5, host: Some(1 << 17), ..PLAIN },
    ]
}

struct Rows {
    /// Columns as they are in the table, then a 0-1 column for each level but the first.
    columns: Vec<Vec<f64>>,
    levels: Vec<usize>,
    labels: Vec<f64>,
    weights: Vec<f64>,
    offsets: Vec<f64>,
}

impl Rows {
    fn of(case: &Case) -> Self {
        let mut random = Random(11);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for j in 0..case.columns {
            let own: Vec<f64> = (0..case.rows).map(|_| normal()).collect();
            let column = match columns.last() {
                Some(before) if case.shared > 0.0 => {
                    let rest = (1.0 - case.shared * case.shared).sqrt();
                    own.iter().zip(before).map(|(own, before)| rest * own + case.shared * before).collect()
                }
                _ => own,
            };
            columns.push(column.iter().map(|x| (x * 64.0).round() / 64.0 * if j == 1 { 4.0 } else { 1.0 }).collect());
        }
        if case.has_heavy_tails {
            for column in &mut columns {
                for x in column {
                    *x = (x.exp() * 64.0).round() / 64.0;
                }
            }
        }
        let levels: Vec<usize> = (0..case.rows).map(|row| row * row % 31 % case.levels.max(1)).collect();
        for level in 1..case.levels {
            columns.push(levels.iter().map(|own| f64::from(u8::from(*own == level))).collect());
        }
        let weights = (0..case.rows).map(|row| if case.is_weighted { (row % 4) as f64 } else { 1.0 }).collect();
        let offsets: Vec<f64> =
            (0..case.rows).map(|row| if case.has_offset { (row % 9) as f64 / 8.0 - 0.5 } else { 0.0 }).collect();
        let odds = (case.positives / (1.0 - case.positives)).ln();
        let spread = if case.has_heavy_tails { 0.3 } else { 0.8 };
        let labels = (0..case.rows).map(|row| {
            let z = columns.iter().take(4).enumerate().map(|(j, x)| x[row] * [1.0, -0.2, 0.5, 0.0][j]).sum::<f64>();
            f64::from(u8::from(random.unit() < 1.0 / (1.0 + (-(odds + offsets[row] + spread * z)).exp())))
        });
        let labels = labels.collect();
        Self { columns, levels, labels, weights, offsets }
    }

    fn table(&self, case: &Case) -> Table {
        let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut columns: Vec<(String, ArrayRef)> =
            (0..case.columns).map(|j| (format!("x{j}"), floats(&self.columns[j]))).collect();
        if case.levels > 0 {
            let names = self.levels.iter().map(|level| Some(format!("l{level}")));
            columns.push(("c".into(), Arc::new(names.collect::<StringArray>())));
        }
        if case.is_weighted {
            columns.push(("w".into(), floats(&self.weights)));
        }
        if case.has_offset {
            columns.push(("o".into(), floats(&self.offsets)));
        }
        let labels: BooleanArray = self.labels.iter().map(|t| Some(*t > 0.5)).collect();
        columns.push(("y".into(), Arc::new(labels)));
        Table::from_batches(vec![RecordBatch::try_from_iter(columns).expect("columns of one length")]).expect("a table")
    }
}

/// The mean loss in standardised columns with its penalty, the intercept last.
struct Oracle {
    /// Rows of standardised columns and a 1.
    rows: Vec<Vec<f64>>,
    labels: Vec<f64>,
    /// With the sum 1.
    weights: Vec<f64>,
    offsets: Vec<f64>,
    l1: Vec<f64>,
    l2: Vec<f64>,
    scales: Vec<f64>,
    means: Vec<f64>,
    bounds: Vec<[f64; 2]>,
}

impl Oracle {
    fn of(case: &Case, rows: &Rows) -> Self {
        let total: f64 = rows.weights.iter().sum();
        let weights: Vec<f64> = rows.weights.iter().map(|w| w / total).collect();
        let mean = |values: &dyn Fn(usize) -> f64| (0..case.rows).map(|k| weights[k] * values(k)).sum::<f64>();
        let means: Vec<f64> = rows.columns.iter().map(|x| mean(&|k| x[k])).collect();
        let scales: Vec<f64> =
            rows.columns.iter().zip(&means).map(|(x, m)| mean(&|k| (x[k] - m) * (x[k] - m)).sqrt()).collect();
        let size = rows.columns.len() + usize::from(case.intercept);
        let standard = |k: usize, j: usize| {
            // Without an intercept columns keep their place.
            let centre = if case.intercept { means.get(j).copied().unwrap_or(0.0) } else { 0.0 };
            rows.columns.get(j).map_or(1.0, |x| (x[k] - centre) / scales[j])
        };
        let of = |strength: f64, power: i32| -> Vec<f64> {
            let own = |s: &f64| if case.scale == PenaltyScale::Original { strength / s.powi(power) } else { strength };
            let mut all: Vec<f64> = scales.iter().map(own).chain([0.0]).take(size).collect();
            for &(j, factor) in case.factors {
                all[j] = if factor.is_infinite() && power == 1 {
                    factor
                } else if factor.is_infinite() {
                    0.0
                } else {
                    factor * all[j]
                };
            }
            all
        };
        let low = if case.nonnegative { 0.0 } else { f64::NEG_INFINITY };
        let mut bounds = vec![[low, f64::INFINITY]; size];
        if case.intercept {
            bounds[size - 1] = [f64::NEG_INFINITY, f64::INFINITY];
        }
        for &(j, low, high) in case.bounds {
            bounds[j] = [low * scales[j], high * scales[j]];
        }
        Self {
            rows: (0..case.rows).map(|k| (0..size).map(|j| standard(k, j)).collect()).collect(),
            labels: rows.labels.clone(),
            l1: of(case.l1, 1),
            l2: of(case.l2, 2),
            offsets: rows.offsets.clone(),
            weights,
            scales,
            means,
            bounds,
        }
    }

    fn margin(&self, row: usize, q: &[f64]) -> f64 {
        self.offsets[row] + self.rows[row].iter().zip(q).map(|(x, q)| x * q).sum::<f64>()
    }

    fn cost(&self, q: &[f64]) -> f64 {
        let loss = |row: usize| {
            let z = self.margin(row, q) * (1.0 - 2.0 * self.labels[row]);
            self.weights[row] * if z > 0.0 { z + (-z).exp().ln_1p() } else { z.exp().ln_1p() }
        };
        let l1 = |j: usize, q: f64| if q == 0.0 { 0.0 } else { self.l1[j] * q.abs() };
        let of_terms = q.iter().enumerate().map(|(j, q)| l1(j, *q) + 0.5 * self.l2[j] * q * q);
        (0..self.rows.len()).map(loss).sum::<f64>() + of_terms.sum::<f64>()
    }

    /// The gradient without the L1 penalty.
    fn gradient(&self, q: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> = q.iter().zip(&self.l2).map(|(q, l2)| l2 * q).collect();
        for (row, x) in self.rows.iter().enumerate() {
            let residual = self.weights[row] * (1.0 / (1.0 + (-self.margin(row, q)).exp()) - self.labels[row]);
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += residual * x);
        }
        gradient
    }

    /// How far a parameter's subgradient is from 0.
    fn distance(&self, j: usize, q: f64, g: f64) -> f64 {
        let [low, high] = self.bounds[j];
        let slope = if q == 0.0 {
            // The least of the slopes there.
            if self.l1[j].is_infinite() { 0.0 } else { (g.abs() - self.l1[j]).max(0.0) * g.signum() }
        } else {
            g + self.l1[j] * q.signum()
        };
        let held = q <= low && slope > 0.0 || q >= high && slope < 0.0;
        if held { 0.0 } else { slope.abs() }
    }

    /// How far the subgradient of any parameter is from 0.
    fn furthest(&self, q: &[f64]) -> f64 {
        let gradient = self.gradient(q);
        (0..q.len()).map(|j| self.distance(j, q[j], gradient[j])).fold(0.0, f64::max)
    }

    /// Accelerated proximal gradients, with restarts (Beck and Teboulle 2009; O'Donoghue and Candès 2015).
    fn minimum(&self) -> Vec<f64> {
        self.minimum_within(1e-12)
    }

    /// The same to another distance.
    fn minimum_within(&self, distance: f64) -> Vec<f64> {
        let size = self.l1.len();
        // The largest curvature by the power method, a little more for what that leaves.
        let mut v = vec![1.0; size];
        let mut curvature = 0.0;
        for _ in 0..200 {
            let mut next = vec![0.0; size];
            for (x, w) in self.rows.iter().zip(&self.weights) {
                let product: f64 = 0.25 * w * x.iter().zip(&v).map(|(x, v)| x * v).sum::<f64>();
                next.iter_mut().zip(x).for_each(|(next, x)| *next += product * x);
            }
            curvature = next.iter().map(|x| x * x).sum::<f64>().sqrt();
            v = next.iter().map(|x| x / curvature).collect();
        }
        let step = 1.0 / (1.05 * curvature + self.l2.iter().fold(0.0, |most: f64, l2| most.max(*l2)));
        let (mut q, mut ahead, mut momentum) = (vec![0.0; size], vec![0.0; size], 1.0_f64);
        for round in 1..400_000 {
            if round % 500 == 0 && self.furthest(&q) <= distance {
                break;
            }
            let gradient = self.gradient(&ahead);
            let next: Vec<f64> = (0..size)
                .map(|j| {
                    let moved = ahead[j] - step * gradient[j];
                    let [low, high] = self.bounds[j];
                    ((moved.abs() - step * self.l1[j]).max(0.0) * moved.signum()).clamp(low, high)
                })
                .collect();
            let along: f64 = (0..size).map(|j| (ahead[j] - next[j]) * (next[j] - q[j])).sum();
            let stronger = if along > 0.0 { 1.0 } else { 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) };
            let carry = if along > 0.0 { 0.0 } else { (momentum - 1.0) / stronger };
            ahead = (0..size).map(|j| next[j] + carry * (next[j] - q[j])).collect();
            (q, momentum) = (next, stronger);
        }
        q
    }

    /// The model's parameters on the standardised scale.
    fn of_model(&self, model: &Model, intercept: bool) -> Vec<f64> {
        let mut q: Vec<f64> = model.features.iter().zip(&self.scales).map(|(f, s)| f.coefficients[0] * s).collect();
        if intercept {
            let shift: f64 = model.features.iter().zip(&self.means).map(|(f, m)| f.coefficients[0] * m).sum();
            q.push(model.intercepts[0] + shift);
        }
        q
    }
}

fn job(case: &Case, device: &Selection) -> Job {
    let mut job = Job::label("y").l1(case.l1).l2(case.l2).penalty_scale(case.scale).intercept(case.intercept);
    job = job.device(device.clone()).limits(Limits { host: case.host, ..Limits::default() });
    for (j, factor) in case.factors {
        job = job.penalty_factor(format!("x{j}"), *factor);
    }
    for (j, low, high) in case.bounds {
        job = job.bounds(format!("x{j}"), *low, *high);
    }
    if case.nonnegative {
        job = job.nonnegative();
    }
    if case.is_weighted {
        job = job.weight("w");
    }
    if case.has_offset {
        job = job.offset("o");
    }
    job
}

/// NaN is not within anything.
fn is_within(x: f64, most: f64) -> bool {
    x <= most
}

/// A model against the oracle: what may be left to gain, and how far coefficients may be off, as a share of the largest.
fn agrees(case: &Case, oracle: &Oracle, best: &[f64], model: &Model, gap: f64, off: f64) -> Check {
    let name = case.name;
    if model.training.status != Status::Converged {
        return Err(format!("{name}: {:?}, {:?}", model.training.status, model.training.gap));
    }
    let found = oracle.of_model(model, case.intercept);
    let null = oracle.cost(&vec![0.0; best.len()]);
    let more = oracle.cost(&found) - oracle.cost(best);
    if !is_within(more, gap * null + 1e-13) {
        return Err(format!("{name}: {more:e} more than the least"));
    }
    let gradient = oracle.gradient(best);
    let largest = best.iter().fold(0.0, |most: f64, q| most.max(q.abs()));
    for (j, (found, best)) in found.iter().zip(best).enumerate() {
        let is_on_edge = (gradient[j].abs() - oracle.l1[j]).abs() <= 1e-5 && best.abs() <= 1e-6 * largest + 1e-14;
        if (*found == 0.0) != (*best == 0.0) && !is_on_edge {
            return Err(format!("{name}: parameter {j} is {found:e}, not {best:e}"));
        }
        if !is_within((found - best).abs(), off * largest + 1e-9) {
            return Err(format!("{name}: parameter {j} is {found}, not {best}"));
        }
    }
    Ok(())
}

/// All cases by default, and to 1e-13 of the null deviance, refined in f64.
fn every_case_matches_the_oracle(device: &Selection) -> Check {
    let is_gpu = *device != Selection::Cpu;
    for case in cases() {
        let rows = Rows::of(&case);
        let oracle = Oracle::of(&case, &rows);
        let best = oracle.minimum();
        let worst = oracle.furthest(&best);
        if worst > 1e-9 {
            return Err(format!("{}: the oracle is {worst:e} from its own minimum", case.name));
        }
        let table = rows.table(&case);
        let train = |job: Job| job.train(&table).map_err(|error| format!("{}: {error}", case.name));
        let model = train(job(&case, device))?;
        // What f32 does to the gradient is beside the certificate.
        agrees(&case, &oracle, &best, &model, if is_gpu { 1e-7 } else { 1.1e-8 }, 1e-3)?;
        // On a GPU a point goes through the features in two f32 halves.
        let passes = model.training.passes.data / if is_gpu { 2 } else { 1 };
        if passes > 9 {
            return Err(format!("{}: {passes} passes", case.name));
        }
        if case.columns > 1_000 {
            // Without a matrix of all of them there is nothing to refine by.
            // What f32 leaves open of a gap is beyond the smaller one.
            let gap = if is_gpu { 1e-10 } else { 1e-13 };
            agrees(&case, &oracle, &best, &train(job(&case, device).gap_tolerance(gap))?, 1e-10, 1e-4)?;
            continue;
        }
        let fine = Job { exact: ExactJob::Refine, ..job(&case, device).gap_tolerance(1e-13) };
        agrees(&case, &oracle, &best, &train(fine)?, 1e-12, 1e-5)?;
    }
    Ok(())
}

/// The cases by their paths: each model of a path is the minimum at its strength, and the model itself too.
fn every_path_matches_the_oracle(device: &Selection) -> Check {
    let is_gpu = *device != Selection::Cpu;
    let mut models = 0;
    for case in cases().into_iter().filter(|case| case.l1 > 0.0) {
        let rows = Rows::of(&case);
        let table = rows.table(&case);
        let alpha = case.l1 / (case.l1 + case.l2);
        let strengths = Strengths::Grid { count: 6, ratio: Some(if case.columns > 40 { 0.2 } else { 0.01 }) };
        let job = Job { l1: 0.0, l2: 0.0, ..job(&case, device) };
        let job = job.path(PathJob { strengths, alpha, is_full: true, ..PathJob::default() });
        let train = |job: Job| job.train(&table).map_err(|error| format!("{}: {error}", case.name));
        let [whole, fine] = [train(job.clone())?, train(job.gap_tolerance(1e-11))?];
        let path = whole.path.as_ref().ok_or("no path")?;
        if path.lambdas.len() != 6
            || path.columns[0] > case.factors.len()
            || (path.selected - path.lambdas[5]).abs() > 0.0
        {
            return Err(format!("{}: {path:?}", case.name));
        }
        for (place, &lambda) in path.lambdas.iter().enumerate() {
            let [l1, l2] = [alpha * lambda, (1.0 - alpha) * lambda];
            let own = Case { l1, l2, ..case.clone() };
            let oracle = Oracle::of(&own, &rows);
            let best = oracle.minimum();
            let worst = oracle.furthest(&best);
            if worst > 1e-9 {
                return Err(format!("{}: the oracle is {worst:e} from its own minimum", case.name));
            }
            let agrees = |model: &Model, gap: f64, off: f64| {
                let model = model.at_lambda(lambda).map_err(|error| error.to_string())?;
                agrees(&own, &oracle, &best, &model, gap, off)
                    .map_err(|fault| format!("{fault}, at place {place}, {lambda:e}"))
            };
            // How far coefficients are off at a gap depends on how collinear columns are, and how heavy their tails.
            agrees(&whole, if is_gpu { 1e-7 } else { 1e-8 }, 1e-2)?;
            agrees(&fine, if is_gpu { 1e-7 } else { 1e-11 }, 1e-3)?;
            if !is_within(path.gaps[place], 1e-8) || path.columns[place] != path.coefficients[place].len() {
                return Err(format!("{}: gap {:e} at place {place}", case.name, path.gaps[place]));
            }
            models += 1;
        }
        // What is explained grows, and the first selects nothing.
        if !path.explained.is_sorted() || path.explained[0].abs() > 1e-6 {
            return Err(format!("{}: explained {:?}", case.name, path.explained));
        }
    }
    if models == 6 * 24 { Ok(()) } else { Err(format!("{models} models")) }
}

/// Names of features that have a coefficient.
fn selected(model: &Model) -> Vec<&str> {
    let is_selected = |feature: &&gpu_logreg::model::FeatureInfo| feature.coefficients[0] != 0.0;
    model.features.iter().filter(is_selected).map(|feature| feature.name.as_str()).collect()
}

/// A column whose strength is its slope where it is not selected is on the edge, whatever the device and however often the file was
/// looked at. One that is 1e-8 off on either side is not where sums are in f64, and is where they are in f32; one that is 1e-5 off is
/// nowhere.
fn a_column_on_the_edge_is_named(device: &Selection) -> Check {
    let is_gpu = *device != Selection::Cpu;
    let (mut looked, mut turned) = (0, 0);
    for (base, j) in [
        (Case { name: "plain", ..PLAIN }, 0),
        (Case { name: "collinear", shared: 0.9, columns: 6, ..PLAIN }, 2),
        (Case { name: "a net", l2: 1e-2, ..PLAIN }, 5),
        (Case { name: "no intercept", intercept: false, ..PLAIN }, 3),
        (Case { name: "weights", is_weighted: true, has_offset: true, ..PLAIN }, 4),
        (Case { name: "heavy tails", has_heavy_tails: true, l1: 3e-3, columns: 5, ..PLAIN }, 1),
    ] {
        let rows = Rows::of(&base);
        let table = rows.table(&base);
        let mut oracle = Oracle::of(&base, &rows);
        oracle.l1[j] = f64::INFINITY;
        let without = oracle.minimum_within(4e-15);
        let slope = oracle.gradient(&without)[j].abs();
        let name = format!("x{j}");
        for off in [0.0, 1e-9, -1e-9, 1e-8, -1e-8, 1e-5, -1e-5] {
            let job = job(&base, device).penalty_factor(&name, (slope + off) / base.l1);
            for (exact, gap) in [(ExactJob::None, 1e-14), (ExactJob::Verify, 1e-14), (ExactJob::Refine, 1e-14)] {
                // What f32 leaves open of the gap is beyond that.
                let gap = if is_gpu && exact != ExactJob::Refine { 1e-11 } else { gap };
                let model = Job { exact, ..job.clone().gap_tolerance(gap) }.train(&table);
                let model = model.map_err(|error| format!("{}: {error}", base.name))?;
                let named = &model.training.on_edge;
                let place = format!("{}, {exact:?}, off by {off:e}: {named:?}", base.name);
                // In f64 a point that f32 led to is seen as it is, a step away from the minimum.
                let is_small = is_gpu && off.abs() < 1e-6;
                let is_edge = off == 0.0 || is_small && exact == ExactJob::None;
                let may_be = is_edge || is_small && exact == ExactJob::Verify;
                let is_selected = selected(&model).contains(&name.as_str());
                if if named.is_empty() { is_edge } else { !may_be || *named != [name.as_str()] } {
                    return Err(format!("{place}, where {name} is: {is_edge}"));
                }
                if named.is_empty() && is_selected != (off < 0.0) {
                    return Err(format!("{place}: {name} is selected: {is_selected}"));
                }
                let json = serde_json::to_value(&model).map_err(|error| error.to_string())?;
                if json["training"].get("on_edge").is_some() == named.is_empty() {
                    return Err(format!("{place}: {}", json["training"]));
                }
                looked += 1;
                turned += usize::from(off != 0.0 && is_selected != (off < 0.0));
            }
        }
    }
    // Sums in f32 turn over some of what is 1e-9 off.
    let is_whole = looked == 6 * 7 * 3 && (turned > 0) == is_gpu;
    if is_whole { Ok(()) } else { Err(format!("{looked} models, {turned} selected otherwise")) }
}

/// Tables of which a sample is on the host, with many columns that may just be selected.
fn sampled() -> Vec<Case> {
    let sampled = Case { rows: 8_000, columns: 60, ..PLAIN };
    vec![
        Case { name: "sampled", ..sampled },
        Case { name: "sampled, collinear", shared: 0.95, ..sampled },
        Case { name: "sampled, heavy tails", has_heavy_tails: true, columns: 20, ..sampled },
        Case { name: "sampled, few positives", positives: 0.01, is_weighted: true, has_offset: true, ..sampled },
        Case { name: "sampled, a net with bounds", nonnegative: true, l2: 1e-2, shared: 0.5, levels: 5, ..sampled },
    ]
}

/// Where a model of a path selects other columns than a long run in double precision those are on the edge, as few others are: by the
/// default tolerance, and by those that leave much open.
fn what_a_long_run_selects_otherwise_is_on_the_edge(device: &Selection) -> Check {
    let (mut others, mut named, mut all) = ([0; 4], [0; 4], 0);
    let mut faults = Vec::new();
    for case in sampled() {
        let table = Rows::of(&case).table(&case);
        let alpha = case.l1 / (case.l1 + case.l2);
        let base = |device: &Selection| Job { l1: 0.0, l2: 0.0, ..job(&case, device) };
        let train = |job: Job| job.train(&table).map_err(|error| format!("{}: {error}", case.name));
        let strengths = Strengths::Grid { count: 40, ratio: Some(1e-3) };
        let path = PathJob { strengths, alpha, is_full: true, ..PathJob::default() };
        let tolerances = [1e-8, 1e-5, 1e-4, 1e-3];
        let long = train(base(&Selection::Cpu).path(path.clone()).gap_tolerance(1e-13))?;
        let strengths = Strengths::Given(long.path.as_ref().ok_or("no path")?.lambdas.clone());
        let path = PathJob { strengths, ..path };
        let wholes = tolerances.map(|tolerance| train(base(device).path(path.clone()).gap_tolerance(tolerance)));
        let lambdas = long.path.as_ref().ok_or("no path")?.lambdas.clone();
        for &lambda in lambdas.iter().skip(1) {
            let long = long.at_lambda(lambda).map_err(|error| error.to_string())?;
            let long = selected(&long);
            for (place, whole) in wholes.iter().enumerate() {
                let own = whole.clone()?.at_lambda(lambda).map_err(|error| error.to_string())?;
                let (on_edge, own) = (&own.training.on_edge, selected(&own));
                for feature in &whole.clone()?.features {
                    let name = feature.name.as_str();
                    let is_other = own.contains(&name) != long.contains(&name);
                    let is_named = on_edge.iter().any(|edge| edge == name);
                    if is_other && !is_named {
                        let tolerance = tolerances[place];
                        faults.push(format!("{}, {tolerance:e}, {lambda:e}: {name}, not {on_edge:?}", case.name));
                    }
                    others[place] += usize::from(is_other);
                    named[place] += usize::from(is_named);
                }
            }
            all += long.len();
        }
    }
    let found = format!("{others:?} others, {named:?} named of {all}");
    if std::env::var_os("SHOW").is_some() {
        eprintln!("{found}, {faults:?}");
    }
    let are_few = others.iter().zip(&named).all(|(others, named)| *named <= 5 * others + all / 100);
    if faults.is_empty() && others[3] >= 8 && are_few { Ok(()) } else { Err(format!("{found}: {faults:?}")) }
}

/// Both devices select the same columns, but for what one of them has on the edge.
fn devices_select_the_same() -> Check {
    let (mut models, mut named) = (0, 0);
    for case in cases().into_iter().filter(|case| case.l1 > 0.0 && case.columns < 1_000).chain(sampled()) {
        let table = Rows::of(&case).table(&case);
        let alpha = case.l1 / (case.l1 + case.l2);
        let ratio = if case.columns > 40 { 0.1 } else { 1e-3 };
        let train = |device: &Selection, strengths: Strengths| {
            let path = PathJob { strengths, alpha, is_full: true, ..PathJob::default() };
            let job = Job { l1: 0.0, l2: 0.0, ..job(&case, device) }.path(path);
            job.train(&table).map_err(|error| format!("{}: {error}", case.name))
        };
        let of_cpu = train(&Selection::Cpu, Strengths::Grid { count: 30, ratio: Some(ratio) })?;
        let path = of_cpu.path.as_ref().ok_or("no path")?;
        // At the first one, a grid's own, a column is about to be selected.
        let strengths = path.lambdas[1..].to_vec();
        let of_gpu = train(&Selection::Gpu, Strengths::Given(strengths.clone()))?;
        for lambda in strengths {
            let at = |model: &Model| model.at_lambda(lambda).map_err(|error| error.to_string());
            let (cpu, gpu) = (at(&of_cpu)?, at(&of_gpu)?);
            let on_edge: Vec<&String> = cpu.training.on_edge.iter().chain(&gpu.training.on_edge).collect();
            let [cpu, gpu] = [&cpu, &gpu].map(selected);
            for feature in &of_cpu.features {
                let name = feature.name.as_str();
                let is_named = on_edge.iter().any(|edge| *edge == name);
                if cpu.contains(&name) != gpu.contains(&name) && !is_named {
                    return Err(format!("{}, {lambda:e}: {name}, and named are {on_edge:?}", case.name));
                }
                named += usize::from(is_named);
            }
            models += 1;
        }
    }
    if models == 29 * 26 && named < 2 * models { Ok(()) } else { Err(format!("{models} models, {named} named")) }
}

/// The negative controls: another strength, and a model of other rows, are noticed.
fn another_penalty_is_noticed(device: &Selection) -> Check {
    let case = Case { name: "a control", ..PLAIN };
    let rows = Rows::of(&case);
    let oracle = Oracle::of(&case, &rows);
    let best = oracle.minimum();
    for wrong in [Case { l1: 1.001e-2, ..case.clone() }, Case { l2: 1e-4, ..case.clone() }] {
        let model = job(&wrong, device).gap_tolerance(1e-12).train(&rows.table(&case)).map_err(|e| e.to_string())?;
        if agrees(&case, &oracle, &best, &model, 1e-9, 1e-5).is_ok() {
            return Err("another penalty went unnoticed".into());
        }
    }
    Ok(())
}

/// Rows of weight 2 are rows that are there twice, and no number of threads, chunks or places changes a bit.
fn weights_repeat_rows(device: &Selection) -> Check {
    let case = Case { is_weighted: true, rows: 700, ..PLAIN };
    let rows = Rows::of(&case);
    let weighted = job(&case, device).gap_tolerance(1e-13).train(&rows.table(&case)).map_err(|e| e.to_string())?;
    let order: Vec<usize> = (0..case.rows).flat_map(|row| std::iter::repeat_n(row, row % 4)).collect();
    let take = |values: &[f64]| order.iter().map(|&row| values[row]).collect::<Vec<f64>>();
    let repeated = Rows {
        columns: rows.columns.iter().map(|x| take(x)).collect(),
        levels: Vec::new(),
        labels: take(&rows.labels),
        weights: vec![1.0; order.len()],
        offsets: take(&rows.offsets),
    };
    let plain = Case { is_weighted: false, rows: order.len(), ..case };
    let repeated =
        job(&plain, device).gap_tolerance(1e-13).train(&repeated.table(&plain)).map_err(|e| e.to_string())?;
    let of = |model: &Model| -> Vec<f64> { model.features.iter().map(|feature| feature.coefficients[0]).collect() };
    let (weighted, repeated) = (of(&weighted), of(&repeated));
    let selected = |weights: &[f64]| -> Vec<bool> { weights.iter().map(|w| *w != 0.0).collect() };
    if selected(&weighted) != selected(&repeated) {
        return Err(format!("{weighted:?} and {repeated:?}"));
    }
    close("coefficients", &weighted, &repeated, |_| 1e-5)
}

/// What makes no sense with an L1 penalty is refused with a way out.
fn refusals() -> Check {
    let rows = Rows::of(&PLAIN);
    let table = rows.table(&PLAIN);
    let base = || job(&PLAIN, &Selection::Cpu);
    let path_of = |path: PathJob| base().l1(0.0).path(path);
    let grid = |ratio: f64| Strengths::Grid { count: 5, ratio: Some(ratio) };
    for (job, words) in vec![
        (base().l1(-1.0), "l1 = -1` is no strength"),
        (base().l1(f64::NAN), "no strength of a penalty"),
        (base().gap_tolerance(0.0), "can never be met"),
        (base().inference(0.95), "too small"),
        (base().solver(gpu_logreg::Solver::Newton), "a method of its own"),
        (base().solver(gpu_logreg::Solver::Generative), "has no penalty"),
        (base().penalty_factor("x0", -1.0), "no factor of a penalty"),
        (base().penalty_factor("x00", 2.0), "Did you mean x0?"),
        (base().penalty_factor("x*", 0.0), "no feature that is in the model and penalised"),
        (base().bounds("x0", 0.5, 1.0), "leave no room around 0"),
        (base().bounds("x0", f64::NAN, 1.0), "leave no room around 0"),
        (base().bounds("x0", 0.0, 0.0), "leave no room around 0"),
        (base().penalty_factor("x0", 2.0).penalty_factor("x0", 3.0), "speaks of `x0` twice"),
        (base().bounds("x0", 0.0, f64::INFINITY).penalty_factor("x0", 0.0), "both bounds or none"),
        (base().l1(0.0).nonnegative(), "go with a penalty"),
        (base().l1(0.0).penalty_factor("x0", 1.0), "go with a penalty"),
        (base().l1(0.0).bounds("x0", f64::NEG_INFINITY, f64::INFINITY), "go with a penalty"),
        (base().path(PathJob::default()), "goes through many strengths"),
        (path_of(PathJob { alpha: 1.5, ..PathJob::default() }), "no share of L1"),
        (path_of(PathJob { alpha: f64::NAN, ..PathJob::default() }), "no share of L1"),
        (path_of(PathJob { strengths: Strengths::Grid { count: 0, ratio: None }, ..PathJob::default() }), "path of 0"),
        (path_of(PathJob { strengths: grid(1.0), ..PathJob::default() }), "no share of the largest"),
        (path_of(PathJob { strengths: grid(0.0), ..PathJob::default() }), "no share of the largest"),
        (path_of(PathJob { strengths: Strengths::Given(vec![]), ..PathJob::default() }), "0 strengths are no path"),
        (path_of(PathJob { strengths: Strengths::Given(vec![0.1, 0.0]), ..PathJob::default() }), "0 is no strength"),
        (path_of(PathJob { strengths: Strengths::Given(vec![0.1, f64::NAN]), ..PathJob::default() }), "NaN is no"),
        (path_of(PathJob { strengths: Strengths::Given(vec![0.1, 0.2]), ..PathJob::default() }), "do not descend"),
        (path_of(PathJob::default()).features(["x0"]).bounds("x0", f64::NEG_INFINITY, 0.0), "no strength selects"),
        (
            path_of(PathJob { selected: SelectedStrength::At(-1.0), ..PathJob::default() }),
            "select = -1.0` is no strength of a path",
        ),
        (path_of(PathJob { selected: SelectedStrength::At(1e-9), ..PathJob::default() }), "which goes from"),
    ] {
        match job.train(&table) {
            Ok(_) => return Err(format!("accepted where `{words}` was due")),
            Err(error) if error.to_string().contains(words) => {}
            Err(error) => return Err(format!("`{error}` where `{words}` was due")),
        }
    }
    Ok(())
}

/// Real tables as R's glmnet has them (`tests/reference/glmnet.py`): paths, factors, limits, weights and offsets; the same columns,
/// and coefficients to 1e-6 of the largest, on the standardised scale.
fn as_glmnet_has_them(device: &Selection) -> Check {
    let text = std::fs::read_to_string("tests/reference/glmnet.json").map_err(|error| error.to_string())?;
    let jobs: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let mut fits = 0;
    for (number, given) in jobs.as_array().into_iter().flatten().enumerate() {
        let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
        let table = Table::open(text("table")).map_err(|error| error.to_string())?;
        let columns: Vec<&str> = given["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let name = |place: &str| columns[place.parse::<usize>().expect("a place")];
        let mut job = Job::label(text("label")).features(columns.clone()).device(device.clone());
        for (place, factor) in given["factors"].as_object().into_iter().flatten() {
            job = job.penalty_factor(name(place), factor.as_f64().expect("a factor"));
        }
        for (place, bounds) in given["bounds"].as_object().into_iter().flatten() {
            let bounds = numbers(bounds);
            job = job.bounds(name(place), bounds[0], bounds[1]);
        }
        if given["nonnegative"] == true {
            job = job.nonnegative();
        }
        if let Some(weight) = given["weight"].as_str() {
            job = job.sampling_weight(weight);
        }
        if let Some(offset) = given["offset"].as_str() {
            job = job.offset(offset);
        }
        let alpha = given["alpha"].as_f64().expect("a share");
        for (lambda, expected) in
            numbers(&given["lambdas"]).into_iter().zip(given["coefficients"].as_array().expect("a list"))
        {
            let job = job.clone().elastic_net(lambda, alpha).gap_tolerance(1e-14).refine();
            let model = job.train(&table).map_err(|error| error.to_string())?;
            let expected = &numbers(expected)[1..];
            let scaled = |weights: &[f64]| -> Vec<f64> {
                weights.iter().zip(&model.features).map(|(w, feature)| w * feature.scale).collect()
            };
            let found: Vec<f64> = model.features.iter().map(|feature| feature.coefficients[0]).collect();
            let (found, expected) = (scaled(&found), scaled(expected));
            let largest = expected.iter().fold(0.0, |most: f64, q| most.max(q.abs()));
            for (column, (found, expected)) in found.iter().zip(&expected).enumerate() {
                if (*found == 0.0) != (*expected == 0.0) || !is_within((found - expected).abs(), 1e-6 * largest) {
                    return Err(format!(
                        "job {number}, lambda {lambda}, {}: {found}, glmnet {expected}",
                        columns[column]
                    ));
                }
            }
            fits += 1;
        }
    }
    if fits == 42 { Ok(()) } else { Err(format!("{fits} fits")) }
}

/// A level that is rare and nearly decides: Newton's steps from where it is flat go far beyond the minimum.
fn rare_levels_are_found() -> Check {
    let mut fits = 0;
    for (rows, ones, positive, base) in
        [(100, 4, 3, 0.03), (2_000, 24, 20, 0.02), (2_000, 1, 1, 0.02), (9_000, 30, 28, 0.01)]
    {
        for l1 in [1e-3, 1e-4] {
            let mut random = Random((rows + ones) as u64);
            let case = Case { name: "a rare level", rows, columns: 2, l1, ..PLAIN };
            let level: Vec<f64> = (0..rows).map(|row| f64::from(u8::from(row < ones))).collect();
            let other: Vec<f64> = (0..rows).map(|_| (16.0 * random.symmetric()).round() / 4.0).collect();
            let labels = (0..rows).map(|row| {
                let is_positive =
                    if row < ones { row < positive } else { random.unit() < base * (1.0 + 0.2 * other[row]) };
                f64::from(u8::from(is_positive))
            });
            let labels = labels.collect();
            let columns = vec![level, other];
            let rows_of =
                Rows { columns, levels: Vec::new(), labels, weights: vec![1.0; rows], offsets: vec![0.0; rows] };
            let oracle = Oracle::of(&case, &rows_of);
            let best = oracle.minimum();
            if oracle.furthest(&best) > 1e-9 {
                return Err(format!("{rows} rows: the oracle is {:e} from its minimum", oracle.furthest(&best)));
            }
            let model = job(&case, &Selection::Cpu).train(&rows_of.table(&case)).map_err(|error| error.to_string())?;
            agrees(&case, &oracle, &best, &model, 1.1e-8, 1e-3)
                .map_err(|fault| format!("{rows}, {ones}, {l1}: {fault}"))?;
            fits += 1;
        }
    }
    if fits == 8 { Ok(()) } else { Err(format!("{fits} fits")) }
}

/// A name says it better than a pattern, and a level better than its column, in whatever order.
fn what_is_said_better_holds() -> Check {
    let case = Case { levels: 4, ..PLAIN };
    let table = Rows::of(&case).table(&case);
    let base = || job(&case, &Selection::Cpu);
    let orders: [fn(Job) -> Job; 2] = [
        |job| {
            job.penalty_factor("x*", 2.0).penalty_factor("x1", 0.5).penalty_factor("c", 3.0).penalty_factor("c=l2", 0.1)
        },
        |job| {
            job.penalty_factor("c=l2", 0.1).penalty_factor("c", 3.0).penalty_factor("x1", 0.5).penalty_factor("x*", 2.0)
        },
    ];
    for order in orders {
        let model = order(base()).train(&table).map_err(|error| error.to_string())?;
        let factor = |name: &str| model.features.iter().find(|f| f.name == name).and_then(|f| f.penalty_factor);
        let found = ["x0", "x1", "c=l1", "c=l2"].map(factor);
        if found != [2.0, 0.5, 3.0, 0.1].map(Some) {
            return Err(format!("{found:?}"));
        }
    }
    Ok(())
}

/// A step that goes far beyond the minimum is shortened, and still ends within the bounds.
fn shortened_steps_stay_within_bounds() -> Check {
    for bound in [0.5, 3.0, 8.0] {
        let (rows, ones) = (9_000, 30);
        let mut random = Random(5);
        let case = Case { name: "bounds", rows, columns: 2, l1: 1e-4, ..PLAIN };
        let level: Vec<f64> = (0..rows).map(|row| f64::from(u8::from(row < ones))).collect();
        let other: Vec<f64> = (0..rows).map(|_| (16.0 * random.symmetric()).round() / 4.0).collect();
        let labels = (0..rows).map(|row| f64::from(u8::from(if row < ones { row < 28 } else { random.unit() < 0.01 })));
        let labels = labels.collect();
        let columns = vec![level, other];
        let made = Rows { columns, levels: Vec::new(), labels, weights: vec![1.0; rows], offsets: vec![0.0; rows] };
        let job = job(&case, &Selection::Cpu).bounds("x0", -bound, bound);
        let model = job.train(&made.table(&case)).map_err(|error| error.to_string())?;
        let mut oracle = Oracle::of(&case, &made);
        oracle.bounds[0] = [-bound, bound].map(|bound| bound * oracle.scales[0]);
        let best = oracle.minimum();
        agrees(&case, &oracle, &best, &model, 1.1e-8, 1e-3)?;
        if model.features[0].coefficients[0].abs() > bound {
            return Err(format!("{} beyond {bound}", model.features[0].coefficients[0]));
        }
    }
    Ok(())
}

/// A strength that is beyond all others does not hide what the others do.
fn strengths_of_any_size_are_told_apart() -> Check {
    let case = Case { name: "strengths", columns: 3, l1: 0.05, factors: &[(0, 2.0), (2, 1e12)], ..PLAIN };
    let mut rows = Rows::of(&case);
    rows.columns[1] = rows.columns[0].iter().map(|x| 2.0 * x).collect();
    let oracle = Oracle::of(&case, &rows);
    let best = oracle.minimum();
    let model = job(&case, &Selection::Cpu).train(&rows.table(&case)).map_err(|error| error.to_string())?;
    if best[0] != 0.0 || best[1] == 0.0 {
        return Err(format!("the oracle selects {best:?}"));
    }
    agrees(&case, &oracle, &best, &model, 1.1e-8, 1e-3)
}

/// Where f32 does not tell columns apart a GPU claims nothing, and double precision over the file does.
fn collinear_columns_are_no_claim_of_f32() -> Check {
    let mut random = Random(3);
    let case = Case { name: "collinear", rows: 300, columns: 6, l1: 1e-7, ..PLAIN };
    let mut rows = Rows::of(&case);
    // What sets them apart decides.
    let apart: Vec<f64> = rows.columns[0].iter().map(|_| random.symmetric()).collect();
    rows.columns[4] = rows.columns[0].iter().zip(&apart).map(|(x, apart)| x + 1e-5 * apart).collect();
    rows.labels = apart.iter().map(|apart| f64::from(u8::from(random.unit() < 0.5 + 0.4 * apart))).collect();
    let table = rows.table(&case);
    let train = |job: Job| job.train(&table).map_err(|error| error.to_string());
    let claimed = train(job(&case, &Selection::Gpu))?;
    if claimed.training.status != Status::F32Limit {
        return Err(format!("{:?}", claimed.training.status));
    }
    let refined = train(job(&case, &Selection::Gpu).refine())?;
    // Columns that differ by 1e-5 are other ones in f32; the file is the same.
    let of_cpu = train(job(&case, &Selection::Cpu).refine())?;
    let loss = |model: &Model| model.training.loss;
    let is_claim = refined.training.status == Status::Converged;
    if is_claim && !is_within((loss(&refined) - loss(&of_cpu)).abs(), 1e-5) {
        return Err(format!("{} and {}", loss(&refined), loss(&of_cpu)));
    }
    if of_cpu.training.status == Status::Converged { Ok(()) } else { Err(format!("{:?}", of_cpu.training.status)) }
}

/// What a path has beside its models: the strengths that were asked for, one between two of them by the line that joins theirs, an end
/// where nothing more is explained, and the model itself at a strength of its own, as a single run has it.
fn a_path_is_what_was_asked_for() -> Check {
    let case = Case { name: "a path", rows: 9_000, columns: 6, ..PLAIN };
    let rows = Rows::of(&case);
    let table = rows.table(&case);
    let base = || job(&case, &Selection::Cpu).l1(0.0);
    let train = |job: Job| job.train(&table).map_err(|error| error.to_string());
    let of = |model: &Model| -> Vec<f64> { model.features.iter().map(|feature| feature.coefficients[0]).collect() };
    let given = vec![0.5, 0.03, 0.011, 2e-3];
    let strengths = Strengths::Given(given.clone());
    let whole = train(base().path(PathJob { strengths, selected: SelectedStrength::At(0.02), ..PathJob::default() }))?;
    let path = whole.path.as_ref().ok_or("no path")?;
    if path.lambdas != given
        || path.columns[0] != 0
        || [path.selected, whole.training.l1].iter().any(|l| (l - 0.02).abs() > 0.0)
    {
        return Err(format!("{path:?}, l1 {}", whole.training.l1));
    }
    let single = train(base().l1(0.02))?;
    close("the model itself", &of(&whole), &of(&single), |_| 2e-4)?;
    let at = |lambda: f64| whole.at_lambda(lambda).map(|model| of(&model)).map_err(|error| error.to_string());
    let middle: Vec<f64> = at(0.03)?.iter().zip(at(0.011)?).map(|(a, b)| 0.25 * a + 0.75 * b).collect();
    close("between two", &at(0.011 + 0.25 * 0.019)?, &middle, |_| 1e-12)?;
    let other = whole.at_lambda(0.03).map_err(|error| error.to_string())?.training;
    let loss = path.null_loss * (1.0 - path.explained[1]);
    if (other.l1 - 0.03).abs() > 0.0
        || other.l2 > 0.0
        || other.gap.map(f64::to_bits) != Some(path.gaps[1].to_bits())
        || !is_within((other.loss - loss).abs(), 1e-15)
    {
        return Err(format!("l1 {}, gap {:?}, loss {}, not {loss}", other.l1, other.gap, other.loss));
    }
    if at(0.7)?.iter().any(|w| *w != 0.0) || whole.at_lambda(1e-3).is_ok() || whole.at_lambda(f64::NAN).is_ok() {
        return Err("beyond the ends".into());
    }
    if single.at_lambda(0.01).is_ok() {
        return Err("a model without a path has another strength".into());
    }
    // Early, at the first strength that explains next to nothing more; the rest is as if it went on.
    let full = train(base().path(PathJob { is_full: true, ..PathJob::default() }))?;
    let early = train(base().path(PathJob::default()))?;
    let (full, early) = (full.path.ok_or("no path")?, early.path.ok_or("no path")?);
    let ratio = full.lambdas[99] / full.lambdas[0];
    if !is_within((ratio / 1e-4 - 1.0).abs(), 1e-12) || full.columns[0] != 0 || full.columns[1] == 0 {
        return Err(format!("the path goes down to {ratio:e}, and selects {:?} at first", &full.columns[..2]));
    }
    // Ridge, beside the solver that has no path.
    let strengths = Strengths::Given(vec![1.0, 0.1, 1e-3]);
    let ridge = train(base().path(PathJob { strengths, alpha: 0.0, ..PathJob::default() }).gap_tolerance(1e-12))?;
    for lambda in [1.0, 0.1, 1e-3] {
        let own = ridge.at_lambda(lambda).map_err(|error| error.to_string())?;
        close("ridge", &of(&own), &of(&train(base().l2(lambda))?), |_| 1e-5)?;
    }
    let ends = |place: &usize| {
        let [before, now] = [place - 1, *place].map(|place| full.explained[place]);
        now > 0.999 || now - before < 1e-5 * now
    };
    let expected = (4..100).find(ends).map_or(100, |place| place + 1);
    if full.lambdas.len() != 100 || early.lambdas.len() != expected || expected > 95 {
        return Err(format!("{} and {} strengths, expected {expected}", full.lambdas.len(), early.lambdas.len()));
    }
    close("explained", &early.explained, &full.explained[..expected], |_| 3e-8)
}

/// A path ends where the next strengths explain next to nothing more and not before, also where a sample misleads: nearly separated rows, and
/// rare levels.
fn a_path_ends_where_nothing_more_is_explained() -> Check {
    let mut random = Random(3);
    for (number, (columns, is_rare, alpha)) in
        [(6, false, 0.5), (6, false, 0.5), (6, false, 0.5), (12, true, 1.0), (12, true, 0.5)].into_iter().enumerate()
    {
        let case = Case { name: "an end", rows: 12_000, columns, ..PLAIN };
        let mut rows = Rows::of(&case);
        let weights: Vec<f64> = (0..columns).map(|_| 3.0 * random.symmetric()).collect();
        if is_rare {
            for (j, column) in rows.columns.iter_mut().enumerate() {
                let share = 0.1 * 0.68_f64.powi(j as i32);
                for x in column.iter_mut() {
                    *x = f64::from(u8::from(random.unit() < share));
                }
            }
        }
        for row in 0..case.rows {
            let z: f64 = rows.columns.iter().zip(&weights).map(|(x, w)| 2.0 * x[row] * w).sum();
            rows.labels[row] = f64::from(u8::from(random.unit() < 1.0 / (1.0 + (-z).exp())));
        }
        let table = rows.table(&case);
        let path = |is_full: bool| -> Result<Vec<f64>, String> {
            let path = PathJob { is_full, alpha, ..PathJob::default() };
            let model = job(&case, &Selection::Cpu).l1(0.0).path(path).train(&table);
            Ok(model.map_err(|error| error.to_string())?.path.ok_or("no path")?.explained)
        };
        let (full, early) = (path(true)?, path(false)?);
        let is_end = |place: &usize| full[*place] > 0.999 || full[*place] - full[place - 1] < 1e-5 * full[*place];
        let expected = (4..100).find(is_end).map_or(100, |place| place + 1);
        // What the tolerance leaves open may decide by one.
        if early.len().abs_diff(expected) > 1 || !full.is_sorted() {
            return Err(format!("table {number}: {} strengths, expected {expected}, {full:?}", early.len()));
        }
    }
    Ok(())
}

/// A path has the same bits wherever its rows are kept, and however many threads there are.
fn a_path_has_the_same_bits() -> Check {
    let case = Case { name: "bits", rows: 12_000, columns: 5, has_heavy_tails: true, is_weighted: true, ..PLAIN };
    let table = Rows::of(&case).table(&case);
    let path = |host: Option<u64>| -> Result<String, String> {
        let case = Case { host, ..case.clone() };
        let job = job(&case, &Selection::Cpu).l1(0.0).path(PathJob { alpha: 0.8, ..PathJob::default() });
        let model = job.train(&table).map_err(|error| error.to_string())?;
        serde_json::to_string(&model.path).map_err(|error| error.to_string())
    };
    let expected = path(None)?;
    if path(Some(1 << 17))? != expected {
        return Err("a scratch file changes bits".into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().map_err(|error| error.to_string())?;
    if pool.install(|| path(None))? == expected { Ok(()) } else { Err("threads change bits".into()) }
}

/// A path with a column that nothing holds and that separates has no models, and says which column it is.
fn a_path_names_what_separates() -> Check {
    let case = Case { name: "free", factors: &[(1, 0.0)], ..PLAIN };
    let mut rows = Rows::of(&case);
    rows.columns[1] = rows.labels.iter().zip(&rows.columns[0]).map(|(t, x)| 3.0 * t + x.sin()).collect();
    let job = job(&case, &Selection::Cpu).l1(0.0).path(PathJob::default());
    match job.train(&rows.table(&case)) {
        Err(error) if error.to_string().contains("nothing holds x1") => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(model) => Err(format!("{:?}", model.training.status)),
    }
}

/// Columns that no penalty holds are looked at as without one: what separates is named, and what others explain is left out.
fn unpenalised_columns_are_looked_at() -> Check {
    let case = Case { name: "free", factors: &[(0, 0.0), (1, 0.0)], ..PLAIN };
    let mut rows = Rows::of(&case);
    rows.columns[1] = rows.columns[0].iter().map(|x| 2.0 * x - 3.0).collect();
    let model = job(&case, &Selection::Cpu).train(&rows.table(&case)).map_err(|error| error.to_string())?;
    let aliased: Vec<&str> = model.features.iter().filter(|f| f.aliased).map(|f| f.name.as_str()).collect();
    if aliased != ["x1"] || model.training.status != Status::Converged {
        return Err(format!("aliased: {aliased:?}, {:?}", model.training.status));
    }
    rows.columns[1] = rows.labels.iter().zip(&rows.columns[0]).map(|(t, x)| 3.0 * t + x.sin()).collect();
    let model = job(&case, &Selection::Cpu).train(&rows.table(&case)).map_err(|error| error.to_string())?;
    let named = |model: &Model| format!("{:?}", model.training.separation);
    if model.training.status != Status::Separated || !named(&model).contains("x1") || named(&model).contains("x2") {
        return Err(format!("{:?}, {}", model.training.status, named(&model)));
    }
    // The control: with a penalty it has an estimate.
    let penalised = Case { factors: &[(0, 0.0)], ..case };
    let model = job(&penalised, &Selection::Cpu).train(&rows.table(&penalised)).map_err(|error| error.to_string())?;
    if model.training.status == Status::Converged { Ok(()) } else { Err(format!("{:?}", model.training.status)) }
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.cpu("every_case_matches_the_oracle", || every_case_matches_the_oracle(&Selection::Cpu));
    suite.cpu("every_path_matches_the_oracle", || every_path_matches_the_oracle(&Selection::Cpu));
    suite.gpu("every_path_matches_the_oracle", |_| every_path_matches_the_oracle(&Selection::Gpu));
    suite.cpu("a_path_is_what_was_asked_for", a_path_is_what_was_asked_for);
    suite.cpu("a_path_ends_where_nothing_more_is_explained", a_path_ends_where_nothing_more_is_explained);
    suite.cpu("a_path_has_the_same_bits", a_path_has_the_same_bits);
    suite.cpu("a_path_names_what_separates", a_path_names_what_separates);
    suite.cpu("another_penalty_is_noticed", || another_penalty_is_noticed(&Selection::Cpu));
    suite.cpu("weights_repeat_rows", || weights_repeat_rows(&Selection::Cpu));
    suite.cpu("as_glmnet_has_them", || as_glmnet_has_them(&Selection::Cpu));
    suite.gpu("as_glmnet_has_them", |_| as_glmnet_has_them(&Selection::Gpu));
    suite.cpu("rare_levels_are_found", rare_levels_are_found);
    suite.cpu("what_is_said_better_holds", what_is_said_better_holds);
    suite.cpu("shortened_steps_stay_within_bounds", shortened_steps_stay_within_bounds);
    suite.cpu("strengths_of_any_size_are_told_apart", strengths_of_any_size_are_told_apart);
    suite.gpu("collinear_columns_are_no_claim_of_f32", |_| collinear_columns_are_no_claim_of_f32());
    suite.cpu("a_column_on_the_edge_is_named", || a_column_on_the_edge_is_named(&Selection::Cpu));
    suite.gpu("a_column_on_the_edge_is_named", |_| a_column_on_the_edge_is_named(&Selection::Gpu));
    suite.cpu("what_a_long_run_selects_otherwise_is_on_the_edge", || {
        what_a_long_run_selects_otherwise_is_on_the_edge(&Selection::Cpu)
    });
    suite.gpu("what_a_long_run_selects_otherwise_is_on_the_edge", |_| {
        what_a_long_run_selects_otherwise_is_on_the_edge(&Selection::Gpu)
    });
    suite.gpu("devices_select_the_same", |_| devices_select_the_same());
    suite.cpu("refusals", refusals);
    suite.cpu("unpenalised_columns_are_looked_at", unpenalised_columns_are_looked_at);
    suite.gpu("every_case_matches_the_oracle", |_| every_case_matches_the_oracle(&Selection::Gpu));
    suite.gpu("weights_repeat_rows", |_| weights_repeat_rows(&Selection::Gpu));
    suite.run()
}
