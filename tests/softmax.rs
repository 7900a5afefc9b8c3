//! The softmax objective and the moments of the classes: one suite for every engine, held against a row-wise oracle that
//! shares no code with `src`, and the negative controls that prove that the suite can fail.

mod common {
    pub(crate) mod fill;
    pub(crate) mod random;
}
mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use common::fill::Filling;
use common::random::Random;
use gpu_logreg::data::{Design, Shape, Store};
use gpu_logreg::engine::cpu::CpuTableBuilder;
use gpu_logreg::engine::gpu::kernels::{Kernel, SOURCES, Sources};
use gpu_logreg::engine::gpu::{Adapter, Gpu};
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::{Engine, RowTerms, TableBuilder};
use gpu_logreg::lda::ClassMoments;
use gpu_logreg::matrix::Symmetric;
use gpu_logreg::objective::{Evaluation, Need};
use harness::{Check, Suite, close};

// ---- The oracle ----

/// A table: `columns[j][k]` is feature j of row k, `labels[k]` the code of its class.
#[derive(Clone, Debug)]
struct Rows {
    classes: usize,
    columns: Vec<Vec<f64>>,
    labels: Vec<f64>,
    /// How often each row counts; empty where each counts once.
    weights: Vec<f64>,
    /// Of each margin what is not fitted, `[margins][rows]`; empty where there is nothing.
    offsets: Vec<Vec<f64>>,
    /// How many of the last columns are levels of each category beside its reference: 1 in the rows that have it.
    levels: Vec<usize>,
}

/// What a row is at a point, for each class but the reference.
struct Row {
    margins: Vec<f64>,
    /// `p` and `1 - p`, neither as a difference.
    probabilities: Vec<(f64, f64)>,
    residuals: Vec<f64>,
    loss: f64,
}

/// Value and gradient of the mean loss, and what they were made of.
struct Evaluated {
    rows: Vec<Row>,
    loss: f64,
    gradient: Vec<f64>,
    /// Weighted means of the absolute terms of the gradient, the measure of its rounding.
    absolute: Vec<f64>,
}

/// A matrix, and the same of the absolute terms.
type Matrix = (Vec<Vec<f64>>, Vec<Vec<f64>>);

impl Rows {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn margins(&self) -> usize {
        self.classes - 1
    }

    fn row_weight(&self, k: usize) -> f64 {
        if self.weights.is_empty() { 1.0 } else { self.weights[k] }
    }

    fn weight(&self) -> f64 {
        (0..self.len()).map(|k| self.row_weight(k)).sum()
    }

    /// Feature `j` of row `k`; the 1 comes last.
    fn x(&self, k: usize, j: usize) -> f64 {
        if j < self.columns.len() { self.columns[j][k] } else { 1.0 }
    }

    /// Parameters of a margin.
    fn size(&self) -> usize {
        self.columns.len() + 1
    }

    /// `sum_j w_mj x_kj + b_m` of row `k`, margin by margin.
    fn products(&self, k: usize, parameters: &[f64]) -> Vec<f64> {
        assert_eq!(parameters.len(), self.margins() * self.size());
        let of_margin = |q: &[f64]| q.iter().enumerate().map(|(j, q)| q * self.x(k, j)).sum();
        parameters.chunks(self.size()).map(of_margin).collect()
    }

    fn row(&self, k: usize, at: &[f64]) -> Row {
        let mut margins = self.products(k, at);
        for (z, offsets) in margins.iter_mut().zip(&self.offsets) {
            *z += offsets[k];
        }
        let z = |class: usize| if class == 0 { 0.0 } else { margins[class - 1] };
        let t = self.labels[k] as usize;
        // The odds against a class: sum of exp(z_l - z_k) over the others; too large for f64 is right all the same.
        let against =
            |class: usize| (0..self.classes).filter(|&l| l != class).map(|l| (z(l) - z(class)).exp()).sum::<f64>();
        let probabilities: Vec<(f64, f64)> =
            (1..self.classes).map(against).map(|s| (1.0 / (1.0 + s), 1.0 / (1.0 + 1.0 / s))).collect();
        let residual = |(class, &(p, rest)): (usize, &(f64, f64))| if class == t { -rest } else { p };
        let residuals = (1..).zip(&probabilities).map(residual).collect();
        let odds = against(t);
        let loss = if odds.is_finite() {
            odds.ln_1p()
        } else {
            let top = (0..self.classes).map(z).fold(0.0, f64::max);
            (top - z(t)) + (0..self.classes).map(|l| (z(l) - top).exp()).sum::<f64>().ln()
        };
        Row { margins, probabilities, residuals, loss }
    }

    fn evaluate(&self, at: &[f64]) -> Evaluated {
        let (size, n) = (self.size(), self.weight());
        let mut out =
            Evaluated { rows: Vec::new(), loss: 0.0, gradient: vec![0.0; at.len()], absolute: vec![0.0; at.len()] };
        for k in 0..self.len() {
            let row = self.row(k, at);
            let share = self.row_weight(k) / n;
            out.loss += share * row.loss;
            for (m, r) in row.residuals.iter().enumerate() {
                for j in 0..size {
                    out.gradient[m * size + j] += share * r * self.x(k, j);
                    out.absolute[m * size + j] += share * (r * self.x(k, j)).abs();
                }
            }
            out.rows.push(row);
        }
        out
    }

    /// `p_m ([m = l] - p_l)`.
    fn curvature(row: &Row, m: usize, l: usize) -> f64 {
        let (p, rest) = row.probabilities[m];
        if m == l { p * rest } else { -p * row.probabilities[l].0 }
    }

    fn hessian(&self, at: &[f64]) -> Matrix {
        self.product(at, Self::curvature)
    }

    fn scatter(&self, at: &[f64]) -> Matrix {
        self.product(at, |row, m, l| row.residuals[m] * row.residuals[l])
    }

    fn product(&self, at: &[f64], factor: impl Fn(&Row, usize, usize) -> f64) -> Matrix {
        let size = self.size();
        let mut sums = vec![vec![0.0; at.len()]; at.len()];
        let mut absolute = sums.clone();
        let n = self.weight();
        for k in 0..self.len() {
            let row = self.row(k, at);
            let x: Vec<f64> = (0..size).map(|j| self.x(k, j)).collect();
            for m in 0..self.margins() {
                for l in 0..self.margins() {
                    let factor = factor(&row, m, l) * self.row_weight(k) / n;
                    for i in 0..size {
                        let (sums, absolute) = (&mut sums[m * size + i], &mut absolute[m * size + i]);
                        for j in 0..size {
                            let term = factor * x[i] * x[j];
                            sums[l * size + j] += term;
                            absolute[l * size + j] += term.abs();
                        }
                    }
                }
            }
        }
        (sums, absolute)
    }

    /// Weights and means of the classes, and their pooled scatter, in two sweeps.
    fn moments(&self) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let d = self.columns.len();
        let (mut weights, mut means) = (vec![0.0; self.classes], vec![vec![0.0; d]; self.classes]);
        for k in 0..self.len() {
            weights[self.labels[k] as usize] += self.row_weight(k);
        }
        for k in 0..self.len() {
            let class = self.labels[k] as usize;
            if weights[class] > 0.0 {
                for (mean, column) in means[class].iter_mut().zip(&self.columns) {
                    *mean += self.row_weight(k) * column[k] / weights[class];
                }
            }
        }
        let n = self.weight();
        let mut within = vec![vec![0.0; d]; d];
        for k in 0..self.len() {
            let mean = &means[self.labels[k] as usize];
            let apart: Vec<f64> = (0..d).map(|j| self.x(k, j) - mean[j]).collect();
            for i in 0..d {
                for j in 0..d {
                    within[i][j] += self.row_weight(k) * apart[i] * apart[j] / n;
                }
            }
        }
        (weights, means, within)
    }
}

// ---- Subjects ----

/// How an engine reserves room for a table: within limits, in chunks of so many bytes.
type Reserve = dyn Fn(Design, usize, &Limits) -> Box<dyn TableBuilder> + Send + Sync;

/// An engine under test: how it takes a table, and how exact its arithmetic is.
#[derive(Clone)]
struct Subject {
    reserve: Arc<Reserve>,
    /// Relative rounding of one operation.
    unit: f64,
    /// Where the table may be kept.
    limits: Limits,
}

impl Subject {
    fn cpu() -> Self {
        let reserve = |design: Design, chunk_bytes: usize, limits: &Limits| -> Box<dyn TableBuilder> {
            Box::new(CpuTableBuilder::with_chunk_bytes(design, chunk_bytes, limits).expect("the host has room"))
        };
        Self { reserve: Arc::new(reserve), unit: 1.2e-16, limits: Limits::default() }
    }

    fn gpu(gpu: Gpu) -> Self {
        let reserve = move |design: Design, chunk_bytes: usize, limits: &Limits| -> Box<dyn TableBuilder> {
            let table = gpu.reserve_chunked(design, chunk_bytes, limits).expect("the device has room");
            // What is not written must not be read: NaN in every padding would show.
            table.poison().expect("the device works");
            Box::new(table)
        };
        Self { reserve: Arc::new(reserve), unit: 6e-8, limits: Limits::default() }
    }

    fn reserve(&self, design: Design, chunk_bytes: usize) -> Box<dyn TableBuilder> {
        (self.reserve)(design, chunk_bytes, &self.limits)
    }

    fn load(&self, rows: &Rows, chunk_bytes: usize) -> Box<dyn Engine> {
        self.load_as(rows, Some(rows.classes), chunk_bytes)
    }

    /// Loads rows of two classes as those of a softmax, or of the logistic model.
    fn load_as(&self, rows: &Rows, classes: Option<usize>, chunk_bytes: usize) -> Box<dyn Engine> {
        let mut design = design_of(rows);
        design.shape.classes = classes;
        let mut table = self.reserve(design, chunk_bytes);
        fill(&*table.as_store(), rows);
        table.finish().expect("the table is whole")
    }
}

fn design_of(rows: &Rows) -> Design {
    let plain = Shape {
        weights: !rows.weights.is_empty(),
        offsets: !rows.offsets.is_empty(),
        classes: Some(rows.classes),
        ..Shape::plain(rows.len(), rows.columns.len() - rows.levels.iter().sum::<usize>())
    };
    Design::with_categories(plain, &rows.levels)
}

fn fill(store: &dyn Store, rows: &Rows) {
    let Rows { columns, levels, labels, weights, .. } = rows;
    let offsets = rows.offsets.iter().map(Vec::as_slice).collect();
    common::fill::fill(store, &Filling { columns, levels, labels, weights, offsets });
}

// ---- Tables ----

/// One of `0..count`, the first ones more often.
fn code(stream: &mut Random, count: usize) -> usize {
    (count as f64 * (0.5 + 0.5 * stream.symmetric()).powf(1.5)) as usize
}

/// A table, a point and a direction.
type Fixture = (Rows, Vec<f64>, Vec<f64>);

/// A table in which every column and every row has a magnitude of its own, exact in f32; and a point and a direction with
/// margins of a few units.
fn fixture(rows: usize, features: usize, classes: usize) -> Fixture {
    let mut stream = Random((rows * 10_000 + features * 100 + classes) as u64);
    let magnitude = |j: usize| 2.0_f64.powi(j as i32 % 7 - 3);
    let columns = (0..features)
        .map(|j| {
            (0..rows)
                .map(|k| f64::from((magnitude(j) * (0.4 + (k % 89) as f64 / 89.0) * (stream.symmetric() + 0.1)) as f32))
                .collect()
        })
        .collect();
    let labels = (0..rows).map(|_| code(&mut stream, classes) as f64).collect();
    let mut parameters = |scale: f64| -> Vec<f64> {
        let mut q = Vec::new();
        for _ in 1..classes {
            q.extend((0..features).map(|j| scale * stream.symmetric() / magnitude(j) / (features as f64).sqrt()));
            q.push(0.3 * scale * stream.symmetric());
        }
        q.into_iter().map(|q| f64::from(q as f32)).collect()
    };
    let (point, direction) = (parameters(3.0), parameters(1.0));
    (Rows { classes, columns, labels, weights: Vec::new(), offsets: Vec::new(), levels: Vec::new() }, point, direction)
}

/// [`fixture`] with row weights, a fifth of them 0.
fn weighted_fixture(rows: usize, features: usize, classes: usize) -> Fixture {
    let (mut table, point, direction) = fixture(rows, features, classes);
    let mut stream = Random((rows * 1_000 + features + 500) as u64);
    let weight = |k: usize| if k % 5 == 3 { 0.0 } else { f64::from((1.5 + stream.symmetric()) as f32) };
    table.weights = (0..rows).map(weight).collect();
    (table, point, direction)
}

/// A weighted fixture with offsets, others for each margin, and of some size.
fn offset_fixture(rows: usize, features: usize, classes: usize) -> Fixture {
    let (mut table, point, direction) = weighted_fixture(rows, features, classes);
    let mut stream = Random((rows * 1_000 + features + 900) as u64);
    let mut of_margin =
        |m: usize| (0..rows).map(|_| f64::from((stream.symmetric() * (1 + m % 3) as f64) as f32)).collect();
    table.offsets = (0..classes - 1).map(&mut of_margin).collect();
    (table, point, direction)
}

/// A weighted fixture of `plain` columns, and of categories with so many levels beside the reference.
fn categories_fixture(rows: usize, plain: usize, levels: &[usize], classes: usize) -> Fixture {
    let d = plain + levels.iter().sum::<usize>();
    let (mut table, mut point, mut direction) = weighted_fixture(rows, d, classes);
    let mut stream = Random((rows * 1_000 + d + 700) as u64);
    let mut first = plain;
    for &count in levels {
        let codes: Vec<usize> = (0..rows).map(|_| code(&mut stream, count + 1)).collect();
        for level in 0..count {
            table.columns[first + level] = codes.iter().map(|&code| f64::from(u8::from(code == level + 1))).collect();
        }
        for j in first..first + count {
            for m in 0..classes - 1 {
                point[m * (d + 1) + j] = f64::from((2.0 * stream.symmetric()) as f32);
                direction[m * (d + 1) + j] = f64::from(stream.symmetric() as f32);
            }
        }
        first += count;
    }
    table.levels = levels.to_vec();
    (table, point, direction)
}

/// Bytes of a chunk of about `blocks` blocks.
fn chunks_of(blocks: usize, features: usize) -> usize {
    blocks * 1024 * features * 4
}

fn along(point: &[f64], step: f64, direction: &[f64]) -> Vec<f64> {
    point.iter().zip(direction).map(|(q, p)| q + step * p).collect()
}

// ---- Comparisons ----

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn fail(error: gpu_logreg::Error) -> String {
    error.to_string()
}

/// Rounding of each margin of row `k`, at most.
fn margin_error(subject: &Subject, rows: &Rows, k: usize, at: &[f64]) -> Vec<f64> {
    let size = |q: &[f64]| q.iter().enumerate().map(|(j, q)| (q * rows.x(k, j)).abs()).sum::<f64>();
    let offset = |m: usize| rows.offsets.get(m).map_or(0.0, |offsets| offsets[k].abs());
    let of_margin = |(m, q)| (rows.size() as f64 + 4.0) * subject.unit * (size(q) + offset(m));
    at.chunks(rows.size()).enumerate().map(of_margin).collect()
}

/// Of numbers that belong to rows, `[margins][rows]`, those that the oracle has row by row.
fn by_margin(rows: &Rows, of_row: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
    let by_row: Vec<Vec<f64>> = (0..rows.len()).map(of_row).collect();
    (0..rows.margins()).flat_map(|m| by_row.iter().map(move |row| row[m])).collect()
}

/// Compares an evaluation and the rows behind it with the oracle, element by element: sums alone would hide a
/// dropped row.
fn agree(subject: &Subject, rows: &Rows, at: &[f64], evaluation: &Evaluation, terms: &RowTerms) -> Check {
    agree_after(subject, rows, at, at, evaluation, terms)
}

/// [`agree`] at a point that is a sum: its parts have parameters of at most these sizes.
fn agree_after(
    subject: &Subject,
    rows: &Rows,
    at: &[f64],
    sizes: &[f64],
    evaluation: &Evaluation,
    terms: &RowTerms,
) -> Check {
    let expected = rows.evaluate(at);
    let errors: Vec<Vec<f64>> = (0..rows.len()).map(|k| margin_error(subject, rows, k, sizes)).collect();
    let allowed = by_margin(rows, |k| errors[k].clone());
    let margins = by_margin(rows, |k| expected.rows[k].margins.clone());
    close("margin", &terms.margins, &margins, |i| allowed[i])?;
    // A probability depends on all margins of its row; an exponential has an error of some units for each unit of its
    // argument.
    let worst = |k: usize| errors[k].iter().sum::<f64>();
    let spread = |k: usize| {
        let z = &expected.rows[k].margins;
        z.iter().fold(0.0_f64, |top, z| top.max(z.abs())) * 2.0
    };
    let allowed = by_margin(rows, |k| {
        let row = &expected.rows[k];
        let of_terms = (rows.classes as f64 + 10.0 + 2.0 * spread(k)) * 2.0 * subject.unit;
        row.residuals.iter().map(|r| 0.5 * worst(k) + of_terms * r.abs() + 1e-38).collect()
    });
    let residuals = by_margin(rows, |k| expected.rows[k].residuals.clone());
    // A row of weight 0 has none.
    let counted = |residuals: &[f64]| -> Vec<f64> {
        let count = |(i, r): (usize, &f64)| if rows.row_weight(i % rows.len()) > 0.0 { *r } else { 0.0 };
        residuals.iter().enumerate().map(count).collect()
    };
    close("residual", &counted(&terms.residuals), &counted(&residuals), |i| allowed[i])?;
    let n = rows.weight();
    let terms = rows.size() as f64 + (rows.len() as f64).log2() + rows.classes as f64 + 20.0;
    // The oracle's own summation is plain.
    let relative = (terms * subject.unit).max(rows.len() as f64 * 2e-16);
    let slack = |j: usize| (0..rows.len()).map(|k| rows.row_weight(k) * worst(k) * rows.x(k, j).abs()).sum::<f64>() / n;
    let slacks: Vec<f64> = (0..rows.size()).map(slack).collect();
    close("gradient", &evaluation.gradient, &expected.gradient, |i| {
        relative * expected.absolute[i] + 0.5 * slacks[i % rows.size()] + 1e-30
    })?;
    close("value", &[evaluation.value], &[expected.loss], |_| {
        relative * expected.loss + 2.0 * slacks[rows.size() - 1] + 1e-30
    })
}

/// Relative error of a sum of curvatures or of products of two residuals.
fn product_error(subject: &Subject, rows: &Rows) -> f64 {
    let terms = rows.size() as f64 + (rows.len() as f64).log2() + 2.0 * rows.classes as f64 + 40.0;
    (terms * 8.0 * subject.unit).max(rows.len() as f64 * 2e-16)
}

fn matrix_agrees(what: &str, found: &Symmetric, (expected, absolute): &Matrix, relative: f64) -> Check {
    let n = expected.len();
    if found.size() != n {
        return Err(format!("{what}: {} rows, expected {n}", found.size()));
    }
    for i in 0..n {
        let row: Vec<f64> = (0..n).map(|j| found.get(i, j)).collect();
        close(&format!("{what}[{i}]"), &row, &expected[i], |j| relative * absolute[i][j] + 1e-30)?;
    }
    Ok(())
}

fn hessian_agrees(subject: &Subject, rows: &Rows, at: &[f64], evaluation: &Evaluation) -> Check {
    let found = evaluation.hessian.as_ref().ok_or("no Hessian came")?;
    matrix_agrees("hessian", found, &rows.hessian(at), product_error(subject, rows))
}

fn diagonal_agrees(subject: &Subject, rows: &Rows, at: &[f64], evaluation: &Evaluation) -> Check {
    let found = evaluation.diagonal.as_ref().ok_or("no diagonal came")?;
    let (expected, absolute) = rows.hessian(at);
    let relative = product_error(subject, rows);
    let intercept = |i: usize| i - i % rows.size() + rows.size() - 1;
    let entries = |of: &dyn Fn(usize) -> f64| (0..at.len()).map(of).collect::<Vec<f64>>();
    close("diagonal", &found.own, &entries(&|i| expected[i][i]), |i| relative * absolute[i][i] + 1e-30)?;
    close("row of the intercept", &found.with_intercept, &entries(&|i| expected[intercept(i)][i]), |i| {
        relative * absolute[intercept(i)][i] + 1e-30
    })
}

/// Compares the moments with the oracle's, entries of the scatter by what the columns vary within the classes.
fn moments_agree(subject: &Subject, rows: &Rows, found: &ClassMoments) -> Check {
    let (weights, means, within) = rows.moments();
    let d = rows.columns.len();
    let relative = (64.0 * subject.unit).max(rows.len() as f64 * 4e-16);
    close("weight of a class", &found.weights, &weights, |_| relative * rows.weight())?;
    let size = |j: usize| rows.columns[j].iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    if found.means.len() != rows.classes {
        return Err(format!("means of {} classes, expected {}", found.means.len(), rows.classes));
    }
    for (class, expected) in means.iter().enumerate() {
        close(&format!("mean of class {class}"), &found.means[class], expected, |j| relative * size(j))?;
    }
    if found.within.size() != d {
        return Err(format!("a scatter of {} rows, expected {d}", found.within.size()));
    }
    for i in 0..d {
        let row: Vec<f64> = (0..d).map(|j| found.within.get(i, j)).collect();
        // A mean is rounded by its size, and what is apart from it as well.
        close(&format!("within[{i}]"), &row, &within[i], |j| {
            let [a, b] = [i, j].map(|j| (within[j][j].sqrt(), size(j) * subject.unit * 8.0));
            relative * a.0 * b.0
                + a.0 * b.1
                + a.1 * b.0
                + a.1 * b.1
                + if j >= d - rows.levels.iter().sum::<usize>() { relative } else { 0.0 }
        })?;
    }
    Ok(())
}

/// Fresh evaluation, line, probes and accepted steps, all against the oracle.
fn matches_the_oracle(subject: &Subject, (rows, point, direction): &Fixture, chunk_bytes: usize) -> Check {
    let mut engine = subject.load(rows, chunk_bytes);
    if engine.dimension() != point.len() {
        return Err(format!("{} parameters, expected {}", engine.dimension(), point.len()));
    }
    close("weight", &[engine.weight()], &[rows.weight()], |_| 1e-13 * rows.weight())?;
    let evaluation = engine.move_to(point, Need::Gradient).map_err(fail)?;
    agree(subject, rows, point, &evaluation, &engine.row_terms().map_err(fail)?)?;
    let mut taken = direction.clone();
    drop(engine.line(&mut taken, 0.5).map_err(fail)?);
    close("direction", &taken, direction, |_| 0.0)?;
    let found = engine.row_terms().map_err(fail)?.direction_margins;
    let allowed = by_margin(rows, |k| margin_error(subject, rows, k, direction));
    close("direction margin", &found, &by_margin(rows, |k| rows.products(k, direction)), |i| allowed[i])?;
    for step in [0.5, 0.25] {
        engine.move_to(point, Need::Gradient).map_err(fail)?;
        let mut line = engine.line(&mut taken, 0.5).map_err(fail)?;
        let probes = line.probe(&[0.0, 0.5, 0.25, -1.0, 2.0]).map_err(fail)?;
        if probes.len() != 5 {
            return Err(format!("{} probes, expected 5", probes.len()));
        }
        for probe in probes.iter().chain([&line.first()]) {
            let at = along(point, probe.step, direction);
            let expected = rows.evaluate(&at);
            let (mut slope, mut curvature, mut scale) = (0.0, 0.0, 0.0);
            for (k, row) in expected.rows.iter().enumerate() {
                let (u, share) = (rows.products(k, direction), rows.row_weight(k) / rows.weight());
                let pairs = (0..u.len()).flat_map(|m| (0..u.len()).map(move |l| (m, l)));
                slope += share * row.residuals.iter().zip(&u).map(|(r, u)| r * u).sum::<f64>();
                curvature += share * pairs.map(|(m, l)| Rows::curvature(row, m, l) * u[m] * u[l]).sum::<f64>();
                // Rounding of margins reaches a term through probabilities, so terms of size |u| bound the error.
                let most = u.iter().fold(0.0_f64, |most, u| most.max(u.abs()));
                scale += share * (most + most * most);
            }
            let tolerance = 40.0 * (rows.size() as f64 + 8.0) * subject.unit.max(1e-15) * scale + 1e-30;
            close("probe value", &[probe.value], &[expected.loss], |_| tolerance + 1e-6 * expected.loss)?;
            close("probe slope", &[probe.slope], &[slope], |_| tolerance)?;
            close("probe curvature", &[probe.curvature], &[curvature], |_| tolerance)?;
        }
        let need = if step > 0.3 { Need::Gradient } else { Need::Hessian };
        let evaluation = line.accept(step, need).map_err(fail)?;
        let at = along(point, step, direction);
        let sizes: Vec<f64> = point.iter().zip(direction).map(|(q, p)| q.abs() + (step * p).abs()).collect();
        agree_after(subject, rows, &at, &sizes, &evaluation, &engine.row_terms().map_err(fail)?)?;
        if need == Need::Hessian {
            hessian_agrees(subject, rows, &at, &evaluation)?;
            let scatter = engine.scatter().map_err(fail)?;
            matrix_agrees("scatter", &scatter, &rows.scatter(&at), 2.0 * product_error(subject, rows))?;
            let evaluation = engine.move_to(&at, Need::Diagonal).map_err(fail)?;
            agree(subject, rows, &at, &evaluation, &engine.row_terms().map_err(fail)?)?;
            diagonal_agrees(subject, rows, &at, &evaluation)?;
        }
    }
    moments_agree(subject, rows, &engine.moments().map_err(fail)?)
}

// ---- Checks ----

/// Awkward shapes: around a group, a tile and a block, few classes and many, one column and several groups of them.
fn every_shape_matches_the_oracle(subject: &Subject) -> Check {
    let mut checked = 0;
    for (features, rows, classes) in [
        (1, &[1, 2, 255, 257, 1_023, 4_097][..], &[2, 3, 11][..]),
        (3, &[1, 255, 1_025, 4_097], &[2, 3, 11]),
        (8, &[31, 513], &[3, 4]),
        (33, &[1, 255, 1_025], &[3, 11]),
        (33, &[4_097], &[3]),
        (130, &[67], &[3]),
        (2, &[300], &[60]),
    ] {
        for &rows in rows {
            for &classes in classes {
                matches_the_oracle(subject, &fixture(rows, features, classes), chunks_of(2, features))
                    .map_err(|fault| format!("{rows} x {features}, {classes} classes: {fault}"))?;
                checked += 1;
            }
        }
    }
    if checked == 43 { Ok(()) } else { Err(format!("{checked} shapes were checked")) }
}

fn weights_match_the_oracle(subject: &Subject) -> Check {
    for (rows, features, classes) in [(1, 1, 2), (257, 3, 5), (4_097, 9, 3), (8_193, 2, 11)] {
        matches_the_oracle(subject, &weighted_fixture(rows, features, classes), chunks_of(1, features))
            .map_err(|fault| format!("{rows} x {features}, {classes} classes: {fault}"))?;
    }
    Ok(())
}

/// Offsets are in the margins and in no direction margin, each in its own.
fn offsets_match_the_oracle(subject: &Subject) -> Check {
    for (rows, features, classes) in [(1, 1, 2), (257, 3, 5), (4_097, 9, 3), (8_193, 2, 11)] {
        matches_the_oracle(subject, &offset_fixture(rows, features, classes), chunks_of(1, features))
            .map_err(|fault| format!("{rows} x {features}, {classes} classes: {fault}"))?;
    }
    Ok(())
}

/// Levels of categories are what their columns would be, written out.
fn levels_match_the_oracle(subject: &Subject) -> Check {
    let designs: [(usize, usize, &[usize], usize); 5] =
        [(257, 2, &[1], 2), (33, 0, &[1, 1], 3), (257, 0, &[3], 4), (4_097, 3, &[2, 9], 3), (1_025, 1, &[5, 1, 3], 5)];
    for (rows, plain, levels, classes) in designs {
        let (table, point, direction) = categories_fixture(rows, plain, levels, classes);
        let plainly = Rows { weights: Vec::new(), ..table.clone() };
        for table in [table, plainly] {
            matches_the_oracle(subject, &(table, point.clone(), direction.clone()), chunks_of(1, plain + levels.len()))
                .map_err(|fault| format!("{rows} x {plain} and {levels:?}, {classes} classes: {fault}"))?;
        }
    }
    Ok(())
}

/// At parameters 0 all classes are equally likely.
fn loss_at_zero_is_ln_k(subject: &Subject) -> Check {
    for classes in [2, 3, 10] {
        let (rows, point, _) = fixture(3_001, 5, classes);
        let at = vec![0.0; point.len()];
        let value = subject.load(&rows, 1 << 20).move_to(&at, Need::Gradient).map_err(fail)?.value;
        close("loss", &[value], &[(classes as f64).ln()], |_| (8.0 * subject.unit).max(1e-13))?;
    }
    Ok(())
}

/// The gradient against central differences of the value, and the Hessian against those of the gradient.
fn derivatives_match_finite_differences(subject: &Subject) -> Check {
    let (rows, point, _) = weighted_fixture(2_000, 4, 4);
    let mut engine = subject.load(&rows, 1 << 20);
    let here = engine.move_to(&point, Need::Hessian).map_err(fail)?;
    let hessian = here.hessian.ok_or("no Hessian came")?;
    for i in 0..point.len() {
        let column = i % rows.size();
        let size = (0..rows.len()).map(|k| rows.x(k, column).abs()).sum::<f64>() / 2_000.0;
        let h = 0.02 / size;
        let mut ends = [-h, h].into_iter().map(|offset| {
            let mut at = point.clone();
            at[i] += offset;
            engine.move_to(&at, Need::Gradient).map_err(fail)
        });
        let (below, above) = (ends.next().ok_or("two")??, ends.next().ok_or("two")??);
        let tolerance = 1e-4 + 20.0 * subject.unit / 0.02;
        let slope = (above.value - below.value) / (2.0 * h);
        close("difference of values", &[slope], &[here.gradient[i]], |_| tolerance * size)?;
        for j in 0..point.len() {
            let slope = (above.gradient[j] - below.gradient[j]) / (2.0 * h);
            let other = (0..rows.len()).map(|k| rows.x(k, j % rows.size()).abs()).fold(0.0, f64::max);
            close("difference of gradients", &[slope], &[hessian.get(i, j)], |_| tolerance * size * other * 4.0)?;
        }
    }
    Ok(())
}

/// Margins of +-1000: finite, and the loss of a row is exactly the difference of two margins.
fn large_margins_stay_finite(subject: &Subject) -> Check {
    let rows = Rows {
        classes: 3,
        columns: vec![vec![1000.0, -1000.0, 1000.0, -1000.0, 1000.0, -1000.0, 0.0]],
        labels: vec![0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 1.0],
        weights: Vec::new(),
        offsets: Vec::new(),
        levels: Vec::new(),
    };
    let point = vec![1.0, 0.0, -1.0, 0.0];
    matches_the_oracle(subject, &(rows.clone(), point.clone(), vec![0.5, 0.0, 0.25, 0.0]), 1 << 20)?;
    for (k, loss) in [1000.0, 1000.0, 0.0, 2000.0, 2000.0, 0.0].into_iter().enumerate() {
        let one = Rows { columns: vec![vec![rows.columns[0][k]]], labels: vec![rows.labels[k]], ..rows.clone() };
        let found = subject.load(&one, 1 << 20).move_to(&point, Need::Hessian).map_err(fail)?;
        close("loss", &[found.value], &[loss], |_| 0.0)?;
        if !found.is_finite() {
            return Err(format!("row {k}: {found:?}"));
        }
    }
    Ok(())
}

/// Where the right class has nearly all of the probability, loss, gradient, Hessian and its diagonal keep the digits of
/// what is left.
fn certain_rows_keep_their_digits(subject: &Subject) -> Check {
    for (label, margins) in [(1.0, [40.0, 3.0]), (2.0, [-7.0, 35.0]), (0.0, [-41.0, -45.0]), (1.0, [20.0, 19.0])] {
        let rows = Rows {
            classes: 3,
            columns: vec![vec![2.0]],
            labels: vec![label],
            weights: Vec::new(),
            offsets: Vec::new(),
            levels: Vec::new(),
        };
        let point = [0.0, margins[0], 0.0, margins[1]];
        let mut engine = subject.load(&rows, 1 << 20);
        let found = engine.move_to(&point, Need::Hessian).map_err(fail)?;
        let expected = rows.evaluate(&point);
        let relative = 200.0 * subject.unit * (1.0 + margins[0].abs().max(margins[1].abs()));
        close("loss", &[found.value], &[expected.loss], |_| relative * expected.loss)?;
        close("gradient", &found.gradient, &expected.gradient, |i| relative * expected.gradient[i].abs())?;
        let hessian = found.hessian.ok_or("no Hessian came")?;
        let (of_oracle, absolute) = rows.hessian(&point);
        for i in 0..4 {
            let row: Vec<f64> = (0..4).map(|j| hessian.get(i, j)).collect();
            close("hessian", &row, &of_oracle[i], |j| relative * absolute[i][j])?;
        }
        let found = engine.move_to(&point, Need::Diagonal).map_err(fail)?;
        let own = found.diagonal.ok_or("no diagonal came")?.own;
        let expected: Vec<f64> = (0..4).map(|i| of_oracle[i][i]).collect();
        close("diagonal", &own, &expected, |i| relative * expected[i])?;
    }
    Ok(())
}

/// Everything that a run gives, as numbers: evaluations, a line, probes, a Hessian, a diagonal, the scatter and the moments;
/// and the rows, three numbers for each margin, at the end.
fn numbers_of(engine: &mut dyn Engine, point: &[f64], direction: &[f64]) -> gpu_logreg::Result<Vec<f64>> {
    let entries = |matrix: &Symmetric| -> Vec<f64> {
        (0..matrix.size()).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| matrix.get(i, j)).collect()
    };
    let mut numbers = vec![engine.weight()];
    let first = engine.move_to(point, Need::Gradient)?;
    numbers.push(first.value);
    numbers.extend(first.gradient);
    let mut direction = direction.to_vec();
    let mut line = engine.line(&mut direction, 0.75)?;
    numbers.extend(line.probe(&[0.1, 0.2, 0.3])?.into_iter().flat_map(|p| [p.value, p.slope, p.curvature]));
    let second = line.accept(0.3, Need::Hessian)?;
    numbers.push(second.value);
    numbers.extend(second.gradient);
    numbers.extend(second.hessian.iter().flat_map(entries));
    let rows = engine.row_terms()?;
    numbers.extend(entries(&engine.scatter()?));
    let third = engine.move_to(&vec![0.0; point.len()], Need::Diagonal)?;
    numbers.extend(third.diagonal.into_iter().flat_map(|diagonal| [diagonal.own, diagonal.with_intercept].concat()));
    let moments = engine.moments()?;
    numbers.extend(moments.weights.into_iter().chain(moments.means.into_iter().flatten()));
    numbers.extend(entries(&moments.within));
    numbers.extend([rows.margins, rows.direction_margins, rows.residuals].concat());
    Ok(numbers)
}

fn bits(subject: &Subject, (rows, point, direction): &Fixture, chunk_bytes: usize) -> Result<Vec<u64>, String> {
    let numbers = numbers_of(&mut *subject.load(rows, chunk_bytes), point, direction).map_err(fail)?;
    Ok(numbers.into_iter().map(f64::to_bits).collect())
}

/// Two classes are the logistic model: the same numbers as without classes.
fn two_classes_are_the_logistic_model(subject: &Subject) -> Check {
    for fixture in [
        fixture(1_025, 7, 2),
        weighted_fixture(9_217, 13, 2),
        categories_fixture(5_001, 3, &[2, 9], 2),
        fixture(300, 70, 2),
    ] {
        let (rows, point, direction) = &fixture;
        let numbers = |classes| {
            let mut engine = subject.load_as(rows, classes, chunks_of(2, rows.columns.len()));
            numbers_of(&mut *engine, point, direction).map_err(fail)
        };
        let (found, expected) = (numbers(Some(2))?, numbers(None)?);
        let most = rows.columns.iter().flatten().fold(1.0_f64, |most, x| most.max(x.abs()));
        let tolerance = (800.0 * subject.unit).max(1e-13);
        close("number", &found, &expected, |i| tolerance * (most * most).max(expected[i].abs()))?;
    }
    Ok(())
}

fn the_same_run_gives_the_same_bits_whatever_the_chunks(subject: &Subject) -> Check {
    for (fixture, columns) in [(weighted_fixture(9_217, 13, 4), 13), (categories_fixture(9_217, 5, &[3, 6], 3), 7)] {
        let expected = bits(subject, &fixture, chunks_of(3, columns))?;
        for blocks in [3, 1, 2, 5, 1_000] {
            if bits(subject, &fixture, chunks_of(blocks, columns))? != expected {
                return Err(format!("chunks of {blocks} blocks give other bits"));
            }
        }
        let (mut other, point, direction) = fixture;
        other.columns[4][9_001] += 1.0;
        if bits(subject, &(other, point, direction), chunks_of(3, columns))? == expected {
            return Err("a changed value gives the same bits".into());
        }
    }
    Ok(())
}

/// Whether the step is the first one, which was evaluated, or another.
fn an_accepted_step_is_an_evaluation_there(subject: &Subject) -> Check {
    let (rows, point, direction) = fixture(300, 5, 3);
    for step in [0.75, 0.3] {
        let mut engine = subject.load(&rows, chunks_of(2, 5));
        engine.move_to(&point, Need::Gradient).map_err(fail)?;
        let mut along = direction.clone();
        let line = engine.line(&mut along, 0.75).map_err(fail)?;
        let accepted = line.accept(step, Need::Gradient).map_err(fail)?;
        let there: Vec<f64> = point.iter().zip(&along).map(|(q, p)| q + step * p).collect();
        let expected = engine.move_to(&there, Need::Gradient).map_err(fail)?;
        let tolerance = (800.0 * subject.unit).max(1e-13);
        close("value", &[accepted.value], &[expected.value], |_| tolerance * (1.0 + expected.value.abs()))?;
        close("gradient", &accepted.gradient, &expected.gradient, |j| tolerance * (1.0 + expected.gradient[j].abs()))?;
    }
    Ok(())
}

/// Of products as many blocks and pairs go in a submission as there is time for, or some pieces of one block and pair.
fn submissions_cut_short_give_the_same_bits(adapter: &Adapter) -> Check {
    let gpu = Gpu::open(adapter).map_err(fail)?;
    let fixture = fixture(2_049, 40, 4);
    let of = |gpu: Gpu| bits(&Subject::gpu(gpu), &fixture, chunks_of(3, 40));
    let expected = of(gpu.clone())?;
    for products in [1, 3 << 20, 20 << 20] {
        if of(gpu.clone().with_products_of(products))? != expected {
            return Err(format!("{products} products in a submission give other bits"));
        }
    }
    Ok(())
}

/// In memory, in the scratch file, or some here and some there: the chunks give the same bits.
fn the_bits_do_not_depend_on_where_the_chunks_are_kept(subject: &Subject) -> Check {
    let fixture = weighted_fixture(20_481, 13, 4);
    let chunk = chunks_of(2, 13);
    let expected = bits(subject, &fixture, chunk)?;
    let within =
        |host| Subject { limits: Limits { device: Some(0), host: Some(host), scratch: None }, ..subject.clone() };
    let placed = |subject: &Subject| subject.reserve(design_of(&fixture.0), chunk).placement();
    let all = placed(&within(0));
    let host_chunk = all.scratch_bytes / all.scratch_chunks as u64;
    for (host, has_memory) in [(0, false), (5 * host_chunk + host_chunk / 2, true)] {
        let elsewhere = within(host);
        let placement = placed(&elsewhere);
        if placement.scratch_chunks == 0 || (placement.memory_chunks > 0) != has_memory {
            return Err(format!("the chunks are kept so: {placement:?}"));
        }
        if bits(&elsewhere, &fixture, chunk)? != expected {
            return Err(format!("{host} bytes of memory give other bits"));
        }
    }
    Ok(())
}

/// A row of weight 2 is the row twice, and one of weight 0 is none: everything but what a row holds.
fn weights_repeat_rows(subject: &Subject) -> Check {
    let (mut rows, point, direction) = fixture(3_001, 7, 4);
    let count = |k: usize| [2, 0, 1, 3, 2][k % 5];
    rows.weights = (0..rows.len()).map(|k| count(k) as f64).collect();
    let repeat =
        |values: &[f64]| -> Vec<f64> { values.iter().enumerate().flat_map(|(k, &x)| vec![x; count(k)]).collect() };
    let repeated = Rows {
        columns: rows.columns.iter().map(|column| repeat(column)).collect(),
        labels: repeat(&rows.labels),
        weights: Vec::new(),
        ..rows.clone()
    };
    let sums = |rows: &Rows| -> Result<Vec<f64>, String> {
        let numbers = numbers_of(&mut *subject.load(rows, chunks_of(2, 7)), &point, &direction).map_err(fail)?;
        Ok(numbers[..numbers.len() - 3 * rows.margins() * rows.len()].to_vec())
    };
    let expected = sums(&repeated)?;
    let scale = rows.columns.iter().flatten().fold(1.0, |most: f64, x| most.max(x * x));
    let allowed = |j: usize| 200.0 * subject.unit * (scale + expected[j].abs());
    close("sums", &sums(&rows)?, &expected, allowed)?;
    rows.weights.swap(0, 1);
    close("sums", &sums(&rows)?, &expected, allowed)
        .err()
        .map(|_| ())
        .ok_or_else(|| "other weights go unnoticed".into())
}

/// Whatever rows of weight 0 hold, the sums have the same bits.
fn weights_of_0_count_nothing(subject: &Subject) -> Check {
    let fixture = weighted_fixture(4_099, 3, 4);
    let (mut rows, mut point, mut direction) = fixture;
    for m in 0..3 {
        (point[m * 4 + 2], direction[m * 4 + 2]) = (2.0 + m as f64, 2.0);
    }
    let sums = |rows: &Rows| -> Result<Vec<u64>, String> {
        let mut bits = bits(subject, &(rows.clone(), point.clone(), direction.clone()), chunks_of(2, 3))?;
        bits.truncate(bits.len() - 3 * rows.margins() * rows.len());
        Ok(bits)
    };
    let expected = sums(&rows)?;
    if !expected.iter().all(|&bits| f64::from_bits(bits).is_finite()) {
        return Err("the sums are no numbers".into());
    }
    let none: Vec<usize> = (0..rows.len()).filter(|&k| rows.weights[k] == 0.0).collect();
    for value in [1.0, -500.0, 500.0, 3e38, -3e38] {
        for &k in &none {
            (rows.columns[2][k], rows.labels[k]) = (value, (k % 4) as f64);
        }
        if sums(&rows)? != expected {
            return Err(format!("rows of weight 0 with {value} count"));
        }
    }
    rows.weights[none[7]] = 1e-3;
    if sums(&rows)? == expected { Err("a weight of a thousandth is not noticed".into()) } else { Ok(()) }
}

/// The moments where they are hard: a class without rows, one of a single row, and columns that hardly vary within the
/// classes.
fn moments_match_the_oracle(subject: &Subject) -> Check {
    for classes in [2, 5] {
        let (mut rows, ..) = weighted_fixture(9_001, 6, classes);
        // The spread within the classes is a millionth of that between them.
        let noise = if subject.unit < 1e-10 { 2.0_f64.powi(-18) } else { 2.0_f64.powi(-6) };
        for k in 0..rows.len() {
            let class = rows.labels[k];
            rows.columns[1][k] = f64::from(((class - 1.5) * 2.0 + noise * (k % 5) as f64) as f32);
        }
        let check = |rows: &Rows, found: &Rows| -> Check {
            let moments = subject.load(found, chunks_of(1, rows.columns.len())).moments().map_err(fail)?;
            moments_agree(subject, rows, &moments)
        };
        check(&rows, &rows).map_err(|fault| format!("{classes} classes: {fault}"))?;
        // Sorted by class, so that most runs of rows have one alone.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| rows.labels[a].total_cmp(&rows.labels[b]));
        let by_class = |values: &[f64]| -> Vec<f64> { order.iter().map(|&k| values[k]).collect() };
        let sorted = Rows {
            columns: rows.columns.iter().map(|column| by_class(column)).collect(),
            labels: by_class(&rows.labels),
            weights: by_class(&rows.weights),
            ..rows.clone()
        };
        check(&sorted, &sorted).map_err(|fault| format!("{classes} classes, sorted: {fault}"))?;
        // The controls: one row of another class, a row less, a column in another's place.
        let mut other = rows.clone();
        other.labels[4] = if other.labels[4] == 0.0 { 1.0 } else { 0.0 };
        check(&rows, &other).err().ok_or("a row of another class is not noticed")?;
        let mut other = rows.clone();
        other.weights[9_000] = 0.0;
        check(&rows, &other).err().ok_or("a dropped row is not noticed")?;
        let mut other = rows.clone();
        other.columns.swap(2, 3);
        check(&rows, &other).err().ok_or("swapped columns are not noticed")?;
    }
    // Nobody is of class 2, and one row of class 3.
    let (mut rows, ..) = categories_fixture(5_001, 3, &[2, 4], 4);
    for k in 0..rows.len() {
        rows.labels[k] = if k == 4_567 { 3.0 } else { (k % 2) as f64 };
    }
    rows.weights[4_567] = 0.75;
    let mut engine = subject.load(&rows, chunks_of(1, 5));
    let before = engine.passes();
    let moments = engine.moments().map_err(fail)?;
    if engine.passes().data != before.data + 1 || engine.passes().hessian != before.hessian {
        return Err(format!("{:?} passes", engine.passes()));
    }
    moments_agree(subject, &rows, &moments)?;
    close("mean of nobody", &moments.means[2], &[0.0; 9], |_| 0.0)?;
    // Labels of 0 and 1 without classes have moments as well.
    let (rows, ..) = weighted_fixture(5_001, 5, 2);
    moments_agree(subject, &rows, &subject.load_as(&rows, None, chunks_of(1, 5)).moments().map_err(fail)?)
}

/// Passes are counted as those of the logistic model are.
fn passes_are_counted(subject: &Subject) -> Check {
    let (rows, point, direction) = fixture(300, 3, 2);
    let passes = |classes| {
        let mut engine = subject.load_as(&rows, classes, 1 << 20);
        numbers_of(&mut *engine, &point, &direction).map(|_| engine.passes()).map_err(fail)
    };
    let (found, expected) = (passes(Some(2))?, passes(None)?);
    if found == expected { Ok(()) } else { Err(format!("{found:?}, expected {expected:?}")) }
}

/// The suite must notice a wrong weight, a dropped last row, swapped classes, a residual of the other sign, and an oracle
/// with a wrong row.
fn planted_faults_are_noticed(subject: &Subject) -> Check {
    let (rows, point, _) = fixture(9_001, 12, 4);
    let load = |rows: &Rows, at: &[f64]| -> Result<(Evaluation, RowTerms), String> {
        let mut engine = subject.load(rows, chunks_of(2, 12));
        let evaluation = engine.move_to(at, Need::Gradient).map_err(fail)?;
        Ok((evaluation, engine.row_terms().map_err(fail)?))
    };
    let against =
        |rows: &Rows, (evaluation, terms): &(Evaluation, RowTerms)| agree(subject, rows, &point, evaluation, terms);
    let right = load(&rows, &point)?;
    against(&rows, &right)?;
    let mut noticed = 0;
    let mut expect = |what: &str, result: Check| -> Check {
        noticed += 1;
        result.err().map(|_| ()).ok_or_else(|| format!("{what} is not noticed"))
    };
    let mut wrong = point.clone();
    wrong[17] *= 1.001;
    expect("a weight wrong by a thousandth", against(&rows, &load(&rows, &wrong)?))?;
    let mut wrong = point.clone();
    wrong.rotate_left(13);
    expect("classes in each other's place", against(&rows, &load(&rows, &wrong)?))?;
    let mut swapped = rows.clone();
    for t in &mut swapped.labels {
        *t = [0.0, 2.0, 1.0, 3.0][*t as usize];
    }
    expect("labels of two classes swapped", against(&rows, &load(&swapped, &point)?))?;
    let mut dropped = rows.clone();
    for column in &mut dropped.columns {
        column.pop();
    }
    dropped.labels.pop();
    expect("a dropped last row", against(&rows, &load(&dropped, &point)?))?;
    let mut columns = rows.clone();
    columns.columns.swap(3, 4);
    expect("a swapped column", against(&rows, &load(&columns, &point)?))?;
    let (evaluation, mut terms) = load(&rows, &point)?;
    terms.residuals[2 * 9_001 + 8_999] *= -1.0;
    expect("a residual of the other sign", against(&rows, &(evaluation, terms)))?;
    let (mut evaluation, terms) = load(&rows, &point)?;
    evaluation.gradient[20] *= 1.0 + 1e-4;
    expect("an entry of the gradient wrong by 1e-4", against(&rows, &(evaluation, terms)))?;
    let mut of_oracle = rows.clone();
    of_oracle.labels[4_321] = f64::from(u8::from(of_oracle.labels[4_321] == 0.0));
    expect("an oracle with a wrong row", against(&of_oracle, &right))?;
    let small = fixture(300, 3, 4);
    let mut engine = subject.load(&small.0, 1 << 20);
    let evaluation = engine.move_to(&small.1, Need::Hessian).map_err(fail)?;
    hessian_agrees(subject, &small.0, &small.1, &evaluation)?;
    let mut other = small.0.clone();
    other.columns.swap(0, 1);
    expect("the Hessian of a swapped column", hessian_agrees(subject, &other, &small.1, &evaluation))?;
    let mut scatter = small.0.clone();
    scatter.labels[299] = (scatter.labels[299] + 1.0) % 4.0;
    let found = engine.scatter().map_err(fail)?;
    let tolerance = 2.0 * product_error(subject, &small.0);
    matrix_agrees("scatter", &found, &small.0.scatter(&small.1), tolerance)?;
    expect("the scatter of another row", matrix_agrees("scatter", &found, &scatter.scatter(&small.1), tolerance))?;
    if noticed == 10 { Ok(()) } else { Err(format!("{noticed} faults were planted")) }
}

/// A single thread adds the same sums in the same order.
fn one_thread_gives_the_same_bits() -> Check {
    let fixture = weighted_fixture(20_481, 7, 4);
    let run = || bits(&Subject::cpu(), &fixture, chunks_of(2, 7));
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string());
    let (one, five) = (pool(1)?.install(run)?, pool(5)?.install(run)?);
    if one == five { Ok(()) } else { Err("five threads give other bits than one".into()) }
}

/// Chunks on the device, in memory and in the scratch file together give the same bits as on the device alone.
fn chunks_everywhere_give_the_same_bits(subject: &Subject) -> Check {
    for (fixture, columns) in [(offset_fixture(20_481, 13, 4), 13), (categories_fixture(20_481, 5, &[3, 6], 11), 7)] {
        let chunk = chunks_of(2, columns);
        let expected = bits(subject, &fixture, chunk)?;
        let within = |device, host| Subject { limits: Limits { device, host, scratch: None }, ..subject.clone() };
        let placed = |subject: &Subject| subject.reserve(design_of(&fixture.0), chunk).placement();
        let all = placed(&within(Some(0), Some(0)));
        let host_chunk = all.scratch_bytes / all.scratch_chunks as u64;
        let few = Some(5 * host_chunk + host_chunk / 2);
        let mut ways = 0;
        for (device, host) in [(Some(0), None), (Some(5 * host_chunk), None), (Some(5 * host_chunk), few)] {
            let elsewhere = within(device, host);
            let placement = placed(&elsewhere);
            let is_as_asked = (placement.device_chunks > 0) == (device != Some(0))
                && placement.memory_chunks > 0
                && (placement.scratch_chunks > 0) == host.is_some();
            if !is_as_asked {
                return Err(format!("the chunks are kept so: {placement:?}"));
            }
            let found = bits(&elsewhere, &fixture, chunk)?;
            if let Some(place) = found.iter().zip(&expected).position(|(a, b)| a != b) {
                return Err(format!("{placement:?}: number {place} of {} has other bits", expected.len()));
            }
            ways += 1;
        }
        if ways != 3 {
            return Err(format!("{ways} ways to keep the chunks"));
        }
    }
    Ok(())
}

/// A margin is `x high + x low`: where the high half cancels against the intercept, the low one is all there is.
fn low_halves_count(subject: &Subject) -> Check {
    let weight = 1.0 + 2.0_f64.powi(-30);
    let labels = vec![0.0, 1.0, 2.0, 1.0, 1.0, 0.0, 1.0];
    let rows = Rows {
        classes: 3,
        columns: vec![vec![1024.0; 7]],
        labels,
        weights: Vec::new(),
        offsets: Vec::new(),
        levels: Vec::new(),
    };
    let mut engine = subject.load(&rows, 1 << 20);
    engine.move_to(&[weight, -1024.0, 2.0 * weight, -2048.0], Need::Gradient).map_err(fail)?;
    let margins = engine.row_terms().map_err(fail)?.margins;
    close("margin", &margins, &[[2.0_f64.powi(-20); 7], [2.0_f64.powi(-19); 7]].concat(), |_| 1e-9)
}

/// A column whose spread within the classes is a ten-thousandth of its whole spread: its scatter has the digits of f32.
fn narrow_classes_keep_their_digits(subject: &Subject) -> Check {
    let (mut rows, ..) = fixture(9_001, 3, 3);
    let mut stream = Random(5);
    for k in 0..rows.len() {
        rows.columns[1][k] = f64::from((rows.labels[k] - 0.7 + 1e-4 * stream.symmetric()) as f32);
    }
    let found = subject.load(&rows, chunks_of(2, 3)).moments().map_err(fail)?;
    let (_, means, within) = rows.moments();
    close("scatter", &[found.within.get(1, 1)], &[within[1][1]], |_| 16.0 * 6e-8 * within[1][1])?;
    for (found, expected) in found.means.iter().zip(&means) {
        close("mean", &found[1..2], &expected[1..2], |_| 1e-10)?;
    }
    Ok(())
}

/// Edits of the shader texts that the suite must notice: what goes wrong, kernel, text, replacement.
const EDITS: [(&str, Kernel, &str, &str); 42] = [
    (
        "last row skipped",
        Kernel::SoftmaxTerms,
        "vec4(0u, 1u, 2u, 3u) < vec4(rows)",
        "vec4(1u, 2u, 3u, 4u) < vec4(rows)",
    ),
    (
        "one row too many",
        Kernel::SoftmaxTerms,
        "vec4(0u, 1u, 2u, 3u) < vec4(rows)",
        "vec4(0u, 1u, 2u, 3u) <= vec4(rows)",
    ),
    ("reference forgotten", Kernel::SoftmaxTerms, "select(e_0, vec4(0.0), a == vec4(0u))", "vec4(0.0)"),
    (
        "reference forgotten beside the label",
        Kernel::SoftmaxTerms,
        "select(e_0, vec4(0.0), t == vec4(0u))",
        "vec4(0.0)",
    ),
    ("reference's direction forgotten", Kernel::SoftmaxTerms, "var first = -rest * u_a;", "var first = vec4(0.0);"),
    ("residual with the other sign", Kernel::SoftmaxTerms, "select(e, -others,", "select(e, others,"),
    (
        "label of the class before",
        Kernel::SoftmaxTerms,
        "let labelled = t == vec4(m + 1u);",
        "let labelled = t == vec4(m);",
    ),
    ("largest class counted twice", Kernel::SoftmaxTerms, "select(e, vec4(0.0), a == vec4(m + 1u))", "e"),
    ("smallest class taken out", Kernel::SoftmaxTerms, "let larger = z > z_a;", "let larger = z < z_a;"),
    ("curvature about 0", Kernel::SoftmaxTerms, "second * whole - mean * mean", "second * whole"),
    ("probes ignore their step", Kernel::SoftmaxTerms, "pass_.steps[p] * u", "pass_.steps[0] * u"),
    (
        "weights left out of the loss",
        Kernel::SoftmaxTerms,
        "sum_of_rows(weighed(w, select(vec4(0.0), (z_a",
        "sum_of_rows((select(vec4(0.0), (z_a",
    ),
    ("weights left out of the slope", Kernel::SoftmaxTerms, "weighed(w, (u_a - u_t) + mean)", "(u_a - u_t) + mean"),
    ("weights in the residuals", Kernel::SoftmaxTerms, "select(vec4(0.0), left, counts)", "weighed(w, left)"),
    ("diagonal beside all classes", Kernel::SoftmaxTerms, "(1.0 + rest) - e, rest,", "1.0 + rest, rest,"),
    (
        "diagonal of a nearly certain class as a difference",
        Kernel::SoftmaxTerms,
        "select((1.0 + rest) - e, rest, a == vec4(m + 1u))",
        "((1.0 + rest) - e)",
    ),
    ("offsets of the first margin in all", Kernel::SoftmaxMargin, "offsets[m * pass_.stride + k]", "offsets[k]"),
    ("offsets in a direction", Kernel::SoftmaxMargin, "vec4(0.0), pass_.reads_direction == 1u)", "vec4(0.0), false)"),
    ("last four margins left out", Kernel::SoftmaxMargin, "store(8u * group.x + 7u, k, high[3], here);", ""),
    ("second eight margins from the first", Kernel::SoftmaxMargin, "2u * group.x * (", "0u * group.x * ("),
    (
        "low half of the point forgotten",
        Kernel::SoftmaxMargin,
        "low += columns_of(x, parameters[first + 2u * j]);",
        "low += columns_of(round(x * 0.0), parameters[first + 2u * j]);",
    ),
    ("levels of other columns in a margin", Kernel::SoftmaxMargin, "u32(sources[j])", "0u"),
    ("margins do not move", Kernel::Advance, "group.y * pass_.stride + row", "0u * pass_.stride + row"),
    ("factors of another pair", Kernel::SoftmaxFactor, "l = pair - m * (m + 1u) / 2u;", "l = m;"),
    ("reference forgotten in the factors", Kernel::SoftmaxFactor, "var others = exp(-z_a);", "var others = vec4(0.0);"),
    ("factors with the other sign", Kernel::SoftmaxFactor, "factor = -(e_m", "factor = (e_m"),
    (
        "scatter of one residual",
        Kernel::SoftmaxFactor,
        "residuals[m * pass_.stride + k] * residuals[l",
        "residuals[m * pass_.stride + k] * residuals[m",
    ),
    ("weights left out of the factors", Kernel::SoftmaxFactor, "weighed(w, factor)", "factor"),
    ("gradient without its last part", Kernel::ClassSums, "part_row < last_row", "part_row + PART < last_row"),
    ("second eight classes left out", Kernel::ClassSums, "group.x / edges * EIGHT", "group.x / edges * 0u"),
    ("rows of another class", Kernel::ClassSums, "labels[k] == vec4(f32(c))", "labels[k] == vec4(f32(c + 1u))"),
    ("columns in place of their squares", Kernel::ClassSums, "x *= x;", ""),
    ("squares beside the intercept", Kernel::ClassSums, "if (group.z == 1u)", "if (groups.z == 2u)"),
    ("squares in the place of the columns", Kernel::ClassSums, "group.y * groups.z + group.z", "group.y * groups.z"),
    ("last four classes left out", Kernel::ClassSums, "first_class + EIGHT / 2u < classes", "false"),
    ("a row lane left out", Kernel::ClassSums, "low = tree_sum(lane, EIGHT,", "low = tree_sum(lane, EIGHT / 2u,"),
    ("sums about other centres", Kernel::ClassSums, "vec4(block * classes)", "vec4(0u)"),
    (
        "weights left out of the gradient",
        Kernel::ClassSums,
        "weighed(w, select(vec4(0.0), share",
        "(select(vec4(0.0), share",
    ),
    ("scatter about other centres", Kernel::Gram, "vec4(block * (pass_.margins + 1u))", "vec4(0u)"),
    ("scatter not centred", Kernel::Gram, "if (pass_.product == 3u)", "if (pass_.product == 9u)"),
    ("products without the intercept", Kernel::Gram, "select(0.0, 1.0, column == pass_.features)", "0.0"),
    (
        "tree forgets a level",
        Kernel::Gram,
        "((part >> level) & 1u) == 1u) {\n            total",
        "((part >> level) & 1u) == 1u && level > 0u) {\n            total",
    ),
];

/// Runs part of the suite on a device whose shaders were edited and fails if nothing is noticed.
fn an_edit_is_noticed(adapter: &Adapter, kernel: Kernel, text: &str, replacement: &str) -> Check {
    let original = SOURCES[kernel as usize];
    if original.matches(text).count() != 1 {
        return Err(format!("`{text}` stands {} times in the shader", original.matches(text).count()));
    }
    let edited = original.replace(text, replacement);
    let mut sources: Sources<'_> = SOURCES;
    sources[kernel as usize] = &edited;
    let gpu = Gpu::open_with(adapter, sources).map_err(|e| e.to_string())?;
    // The shaders of a softmax are compiled for the first table of several classes.
    let shape = Shape { classes: Some(3), ..Shape::plain(1, 1) };
    gpu.reserve(shape, &Limits::default()).map_err(|e| format!("the edited shader does not compile: {e}"))?;
    let subject = Subject::gpu(gpu);
    edits_are_not_there(&subject).err().map(|_| ()).ok_or_else(|| "the suite does not notice it".into())
}

/// What an edit must fail, and the texts as they are must not.
fn edits_are_not_there(subject: &Subject) -> Check {
    matches_the_oracle(subject, &categories_fixture(257, 2, &[3, 20], 4), chunks_of(2, 4))?;
    matches_the_oracle(subject, &fixture(1_201, 35, 4), chunks_of(2, 35))?;
    matches_the_oracle(subject, &offset_fixture(2_049, 3, 11), chunks_of(1, 3))?;
    large_margins_stay_finite(subject)?;
    certain_rows_keep_their_digits(subject)?;
    low_halves_count(subject)?;
    narrow_classes_keep_their_digits(subject)
}

type Test = fn(&Subject) -> Check;

const SUITE: [(&str, Test); 16] = [
    ("every_shape_matches_the_oracle", every_shape_matches_the_oracle),
    ("weights_match_the_oracle", weights_match_the_oracle),
    ("offsets_match_the_oracle", offsets_match_the_oracle),
    ("levels_match_the_oracle", levels_match_the_oracle),
    ("loss_at_zero_is_ln_k", loss_at_zero_is_ln_k),
    ("derivatives_match_finite_differences", derivatives_match_finite_differences),
    ("large_margins_stay_finite", large_margins_stay_finite),
    ("certain_rows_keep_their_digits", certain_rows_keep_their_digits),
    ("two_classes_are_the_logistic_model", two_classes_are_the_logistic_model),
    ("the_same_run_gives_the_same_bits_whatever_the_chunks", the_same_run_gives_the_same_bits_whatever_the_chunks),
    ("the_bits_do_not_depend_on_where_the_chunks_are_kept", the_bits_do_not_depend_on_where_the_chunks_are_kept),
    ("weights_repeat_rows", weights_repeat_rows),
    ("weights_of_0_count_nothing", weights_of_0_count_nothing),
    ("moments_match_the_oracle", moments_match_the_oracle),
    ("passes_are_counted", passes_are_counted),
    ("an_accepted_step_is_an_evaluation_there", an_accepted_step_is_an_evaluation_there),
];

/// Beside those of the suite.
const CONTROLS: [(&str, Test); 1] = [("planted_faults_are_noticed", planted_faults_are_noticed)];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, check) in SUITE.into_iter().chain(CONTROLS) {
        suite.cpu(name, move || check(&Subject::cpu()));
    }
    let on = |adapter: &Adapter| Gpu::open(adapter).map(Subject::gpu).map_err(fail);
    for (name, check) in SUITE.into_iter().chain(CONTROLS) {
        suite.gpu(name, move |adapter| check(&on(adapter)?));
    }
    suite.gpu("submissions_cut_short_give_the_same_bits", submissions_cut_short_give_the_same_bits);
    let of_gpu: [(&str, Test); 4] = [
        ("edits_are_not_there", edits_are_not_there),
        ("chunks_everywhere_give_the_same_bits", chunks_everywhere_give_the_same_bits),
        ("low_halves_count", low_halves_count),
        ("narrow_classes_keep_their_digits", narrow_classes_keep_their_digits),
    ];
    for (name, check) in of_gpu {
        suite.gpu(name, move |adapter| check(&on(adapter)?));
    }
    for (name, kernel, text, replacement) in EDITS {
        let name = format!("notices_the_edit::{}", name.replace([' ', '\''], "_"));
        suite.gpu(&name, move |adapter| an_edit_is_noticed(adapter, kernel, text, replacement));
    }
    suite.cpu("one_thread_gives_the_same_bits", one_thread_gives_the_same_bits);
    suite.run()
}
