//! One suite for every engine, each held against the row-wise oracle; and the negative controls that prove the
//! suite can fail. GPU checks show as ignored where there is no adapter, and fail there under
//! `GPU_LOGREG_REQUIRE_GPU=1`.

mod common {
    pub(crate) mod fill;
    pub(crate) mod random;
}
mod harness;
#[allow(dead_code, reason = "each test file uses its part of the oracle")]
mod oracle;

use std::path::Path;
use std::process::ExitCode;

use common::fill::Filling;
use common::random::Random;
use gpu_logreg::data::synth::{Recipe, write};
use gpu_logreg::data::{Column, Design, Shape, Spec, Store, Table, load};
use gpu_logreg::engine::cpu::CpuTableBuilder;
use gpu_logreg::engine::gpu::kernels::{Kernel, SOURCES, Sources};
use gpu_logreg::engine::gpu::{Adapter, FunctionErrors, Gpu};
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::work::Work;
use gpu_logreg::engine::{Engine, RowTerms, Selection, TableBuilder};
use gpu_logreg::matrix::Symmetric;
use gpu_logreg::monitor::Silent;
use gpu_logreg::objective::{Evaluation, Need, Objective};
use gpu_logreg::penalty::Penalty;
use gpu_logreg::problem::{Curvature, Problem};
use gpu_logreg::solve::Status;
use gpu_logreg::standardize::{ColumnScale, Coordinates};
use gpu_logreg::subsample::Sampling;
use gpu_logreg::train::{Job, train};
use harness::{Check, Suite, close};
use oracle::Rows;

/// An engine under test: how it takes a table, and how exact its arithmetic is.
#[derive(Clone)]
struct Subject {
    name: &'static str,
    gpu: Option<Gpu>,
    /// Relative rounding of one operation.
    unit: f64,
    /// Where the table may be kept.
    limits: Limits,
}

const CPU_UNIT: f64 = 1.2e-16;
const GPU_UNIT: f64 = 6e-8;

impl Subject {
    fn cpu() -> Self {
        Self { name: "cpu", gpu: None, unit: CPU_UNIT, limits: Limits::default() }
    }

    fn gpu(gpu: Gpu) -> Self {
        Self { name: "gpu", gpu: Some(gpu), unit: GPU_UNIT, limits: Limits::default() }
    }

    fn reserve(&self, design: impl Into<Design>, chunk_bytes: usize) -> Box<dyn TableBuilder> {
        match &self.gpu {
            None => Box::new(
                CpuTableBuilder::with_chunk_bytes(design, chunk_bytes, &self.limits).expect("the host has room"),
            ),
            Some(gpu) => {
                let table = gpu.reserve_chunked(design, chunk_bytes, &self.limits).expect("the device has room");
                // What is not written must not be read: NaN in every padding would show.
                table.poison().expect("the device works");
                Box::new(table)
            }
        }
    }

    fn load(&self, rows: &Rows, chunk_bytes: usize) -> Box<dyn Engine> {
        self.try_load(rows, chunk_bytes).expect("the table is whole")
    }

    fn try_load(&self, rows: &Rows, chunk_bytes: usize) -> gpu_logreg::Result<Box<dyn Engine>> {
        let mut table = self.reserve(design_of(rows), chunk_bytes);
        fill(&*table.as_store(), rows);
        table.finish()
    }
}

fn design_of(rows: &Rows) -> Design {
    let plain = Shape {
        weights: !rows.weights.is_empty(),
        offsets: !rows.offsets.is_empty(),
        ..Shape::plain(rows.len(), rows.columns.len() - rows.levels.iter().sum::<usize>())
    };
    Design::with_categories(plain, &rows.levels)
}

fn fill(store: &dyn Store, rows: &Rows) {
    let Rows { columns, levels, labels, weights, .. } = rows;
    let offsets = if rows.offsets.is_empty() { Vec::new() } else { vec![rows.offsets.as_slice()] };
    common::fill::fill(store, &Filling { columns, levels, labels, weights, offsets });
}

/// A table in which every column and every row has a magnitude of its own, exact in f32; and a point and a
/// direction with margins of a few units.
fn fixture(rows: usize, features: usize) -> (Rows, Vec<f64>, Vec<f64>) {
    let mut stream = Random((rows * 1_000 + features) as u64);
    let magnitude = |j: usize| 2.0_f64.powi(j as i32 % 11 - 5);
    let columns = (0..features)
        .map(|j| {
            (0..rows)
                .map(|k| f64::from((magnitude(j) * (0.4 + (k % 89) as f64 / 89.0) * (stream.symmetric() + 0.1)) as f32))
                .collect()
        })
        .collect();
    let labels = (0..rows).map(|_| f64::from(u8::from(stream.symmetric() > 0.2))).collect();
    let mut parameters = |scale: f64| -> Vec<f64> {
        let mut q: Vec<f64> =
            (0..features).map(|j| scale * stream.symmetric() / magnitude(j) / (features as f64).sqrt()).collect();
        q.push(0.3 * scale);
        q.into_iter().map(|q| f64::from(q as f32)).collect()
    };
    let (point, direction) = (parameters(2.0), parameters(1.0));
    (Rows { columns, labels, ..Rows::default() }, point, direction)
}

/// [`fixture`] with row weights, a fifth of them 0, and with offsets, some of them large. Rows of weight 0 have margins
/// of +-1000.
fn weighted_fixture(rows: usize, features: usize) -> (Rows, Vec<f64>, Vec<f64>) {
    let (mut table, point, direction) = fixture(rows, features);
    let mut stream = Random((rows * 1_000 + features + 500) as u64);
    for k in 0..rows {
        let weight = if k % 5 == 3 { 0.0 } else { 1.5 + stream.symmetric() };
        let size = if weight == 0.0 { 1_000.0 } else { [2.0, 2.0, 30.0][k % 3] };
        let offset = if weight == 0.0 { size * stream.symmetric().signum() } else { size * stream.symmetric() };
        table.weights.push(f64::from(weight as f32));
        table.offsets.push(f64::from(offset as f32));
    }
    (table, point, direction)
}

fn split(parameters: &[f64]) -> (&[f64], f64) {
    let (intercept, weights) = parameters.split_last().expect("an intercept");
    (weights, *intercept)
}

/// A weighted fixture of `plain` columns, and of categories with so many levels beside the reference. Some levels have
/// no row.
fn categories_fixture(rows: usize, plain: usize, levels: &[usize]) -> (Rows, Vec<f64>, Vec<f64>) {
    let d = plain + levels.iter().sum::<usize>();
    let (mut table, mut point, mut direction) = weighted_fixture(rows, d);
    let mut stream = Random((rows * 1_000 + d + 700) as u64);
    let mut first = plain;
    for &count in levels {
        // More rows for the first levels, and none for the last of many.
        let used = if count > 9 { count } else { count + 1 } as f64;
        let codes: Vec<usize> = (0..rows).map(|_| (used * (0.5 + 0.5 * stream.symmetric()).powi(2)) as usize).collect();
        for level in 0..count {
            table.columns[first + level] = codes.iter().map(|&code| f64::from(u8::from(code == level + 1))).collect();
        }
        for j in first..first + count {
            point[j] = f64::from((2.0 * stream.symmetric()) as f32);
            direction[j] = f64::from(stream.symmetric() as f32);
        }
        first += count;
    }
    table.levels = levels.to_vec();
    (table, point, direction)
}

/// Compares an evaluation and the rows behind it with the oracle, element by element: sums alone would hide a
/// dropped row.
fn agree(
    subject: &Subject,
    rows: &Rows,
    at: &[f64],
    evaluation: &Evaluation,
    terms: &RowTerms,
    margins: &[f64],
) -> Check {
    let (weights, intercept) = split(at);
    let expected = rows.evaluate(weights, intercept);
    let d = rows.columns.len() as f64;
    let size = |k: usize| {
        rows.columns.iter().zip(weights).map(|(column, w)| (w * column[k]).abs()).sum::<f64>()
            + intercept.abs()
            + rows.offset(k).abs()
    };
    let margin_error = |k: usize| (d + 4.0) * subject.unit * size(k);
    close("margin", margins, &expected.margins, margin_error)?;
    // Vulkan allows exp(z) an error of 3 + 2|z| units in the last place; the residual has one and a division.
    let row_error =
        |k: usize| (6.0 + 2.0 * expected.margins[k].abs()) * 2.0 * subject.unit * expected.residuals[k].abs();
    let residual_error = |k: usize| 0.25 * margin_error(k) + row_error(k) + 1e-38;
    // A row of weight 0 has none.
    let counted = |residuals: &[f64]| -> Vec<f64> {
        residuals.iter().enumerate().map(|(k, r)| if rows.row_weight(k) > 0.0 { *r } else { 0.0 }).collect()
    };
    close("residual", &counted(&terms.residuals), &counted(&expected.residuals), residual_error)?;
    let relative = ((d + (rows.len() as f64).log2() + 8.0) * subject.unit).min(1e-6);
    // The oracle's own summation is plain.
    let relative = relative.max(rows.len() as f64 * 1e-16);
    // Margins of a few units are rounded as the terms are; large offsets, against which they cancel, are not.
    let n = rows.weight();
    let slack = |j: usize| -> f64 {
        let x = |k: usize| rows.columns.get(j).map_or(1.0, |column| column[k].abs());
        let of_row = |k: usize| if rows.offsets.is_empty() { 0.0 } else { rows.row_weight(k) * margin_error(k) * x(k) };
        (0..rows.len()).map(of_row).sum::<f64>() / n
    };
    close("gradient", &evaluation.gradient, &expected.gradient, |j| {
        relative * expected.absolute[j] + 0.25 * slack(j) + 1e-30
    })?;
    close("value", &[evaluation.value], &[expected.loss], |_| relative * expected.loss + slack(rows.columns.len()))
}

/// How far offsets bring margins that count.
fn offset_reach(rows: &Rows) -> f64 {
    (0..rows.len()).filter(|&k| rows.row_weight(k) > 0.0).map(|k| rows.offset(k).abs()).fold(0.0, f64::max)
}

/// Compares a Hessian with the oracle's, entry by entry.
fn hessian_agrees(subject: &Subject, rows: &Rows, at: &[f64], evaluation: &Evaluation) -> Check {
    let found = evaluation.hessian.as_ref().ok_or("no Hessian came")?;
    let (weights, intercept) = split(at);
    let (expected, absolute) = rows.hessian(weights, intercept);
    let n = weights.len() + 1;
    if found.size() != n {
        return Err(format!("a Hessian of {} rows, expected {n}", found.size()));
    }
    // S' is at most S, so an error of a margin (d roundings of a few units) is one of S, relatively.
    let relative = product_error(subject, rows);
    for i in 0..n {
        let row: Vec<f64> = (0..n).map(|j| found.get(i, j)).collect();
        close(&format!("hessian[{i}]"), &row, &expected[i], |j| relative * absolute[i][j] + 1e-30)?;
    }
    Ok(())
}

fn product_error(subject: &Subject, rows: &Rows) -> f64 {
    let n = rows.columns.len() as f64 + 1.0;
    ((n + (rows.len() as f64).log2() + 20.0 + offset_reach(rows)) * 4.0 * subject.unit).max(rows.len() as f64 * 1e-16)
}

/// Compares the scatter of the rows' gradients with the oracle's, entry by entry.
fn scatter_agrees(subject: &Subject, rows: &Rows, at: &[f64], found: &Symmetric) -> Check {
    let (weights, intercept) = split(at);
    let (expected, absolute) = rows.scatter(weights, intercept);
    // An error of a residual comes twice.
    let relative = 2.0 * product_error(subject, rows);
    for i in 0..expected.len() {
        let row: Vec<f64> = (0..expected.len()).map(|j| found.get(i, j)).collect();
        close(&format!("scatter[{i}]"), &row, &expected[i], |j| relative * absolute[i][j] + 1e-30)?;
    }
    Ok(())
}

/// Compares the diagonal of a Hessian and its row of the intercept with the oracle's.
fn diagonal_agrees(subject: &Subject, rows: &Rows, at: &[f64], evaluation: &Evaluation) -> Check {
    let found = evaluation.diagonal.as_ref().ok_or("no diagonal came")?;
    let (weights, intercept) = split(at);
    let (expected, absolute) = rows.hessian(weights, intercept);
    let n = weights.len() + 1;
    let relative = product_error(subject, rows);
    let diagonal: Vec<f64> = (0..n).map(|i| expected[i][i]).collect();
    close("diagonal", &found.own, &diagonal, |j| relative * absolute[j][j] + 1e-30)?;
    close("row of the intercept", &found.with_intercept, &expected[n - 1], |j| relative * absolute[n - 1][j] + 1e-30)
}

fn along(point: &[f64], step: f64, direction: &[f64]) -> Vec<f64> {
    point.iter().zip(direction).map(|(q, p)| q + step * p).collect()
}

/// Fresh evaluation, line, probes and accepted steps, all against the oracle.
fn matches_the_oracle(subject: &Subject, rows: &Rows, point: &[f64], direction: &[f64], chunk_bytes: usize) -> Check {
    let fail = |error: gpu_logreg::Error| error.to_string();
    let mut engine = subject.load(rows, chunk_bytes);
    let evaluation = engine.move_to(point, Need::Gradient).map_err(fail)?;
    let terms = engine.row_terms().map_err(fail)?;
    close("weight", &[engine.weight()], &[rows.weight()], |_| 1e-13 * rows.weight())?;
    agree(subject, rows, point, &evaluation, &terms, &terms.margins)?;
    let mut taken = direction.to_vec();
    let line = engine.line(&mut taken, 0.5).map_err(fail)?;
    close("direction", &taken, direction, |_| 0.0)?;
    drop(line);
    let terms = engine.row_terms().map_err(fail)?;
    let (weights, intercept) = split(direction);
    let expected: Vec<f64> = (0..rows.len()).map(|k| rows.direction_margin(k, weights, intercept)).collect();
    let d = rows.columns.len() as f64;
    close("direction margin", &terms.direction_margins, &expected, |k| {
        let size: f64 = rows.columns.iter().zip(weights).map(|(column, w)| (w * column[k]).abs()).sum();
        (d + 4.0) * subject.unit * (size + intercept.abs())
    })?;
    for step in [0.5, 0.25] {
        engine.move_to(point, Need::Gradient).map_err(fail)?;
        let mut line = engine.line(&mut taken, 0.5).map_err(fail)?;
        let probes = line.probe(&[0.0, 0.5, 0.25, -1.0, 2.0]).map_err(fail)?;
        if probes.len() != 5 {
            return Err(format!("{} probes, expected 5", probes.len()));
        }
        for probe in probes.iter().chain([&line.first()]) {
            let (weights, intercept_of) = split(point);
            let at = along(point, probe.step, direction);
            let expected = rows.evaluate(&at[..weights.len()], intercept_of + probe.step * intercept);
            let u: Vec<f64> =
                (0..rows.len()).map(|k| rows.direction_margin(k, split(direction).0, intercept)).collect();
            let share: Vec<f64> = (0..rows.len()).map(|k| rows.row_weight(k) / rows.weight()).collect();
            let states = || expected.residuals.iter().zip(&u).zip(&share);
            let slopes: Vec<f64> = states().map(|((r, u), share)| share * r * u).collect();
            let curvatures: Vec<f64> =
                states().map(|((r, u), share)| share * r.abs() * (1.0 - r.abs()) * u * u).collect();
            // Rounding of margins reaches a term through L' <= 1/4, so terms of size |u| bound the error.
            let scale: f64 = u.iter().zip(&share).map(|(u, share)| share * (u.abs() + u * u)).sum();
            let tolerance = 40.0 * (d + 8.0) * subject.unit.max(1e-15) * scale + 1e-30;
            close("probe value", &[probe.value], &[expected.loss], |_| tolerance + 1e-6 * expected.loss)?;
            close("probe slope", &[probe.slope], &[slopes.iter().sum()], |_| tolerance)?;
            close("probe curvature", &[probe.curvature], &[curvatures.iter().sum()], |_| tolerance)?;
        }
        let need = if step > 0.3 { Need::Gradient } else { Need::Hessian };
        let evaluation = line.accept(step, need).map_err(fail)?;
        let terms = engine.row_terms().map_err(fail)?;
        let at = along(point, step, direction);
        agree(subject, rows, &at, &evaluation, &terms, &terms.margins)?;
        if need == Need::Hessian {
            hessian_agrees(subject, rows, &at, &evaluation)?;
            scatter_agrees(subject, rows, &at, &engine.scatter().map_err(fail)?)?;
            let diagonal = engine.move_to(&at, Need::Diagonal).map_err(fail)?;
            diagonal_agrees(subject, rows, &at, &diagonal)?;
        }
    }
    Ok(())
}

/// Bytes of a chunk of `blocks` blocks.
fn chunks_of(blocks: usize, features: usize) -> usize {
    blocks * 1024 * features * 4
}

/// Awkward shapes, never square: around a group, a tile and a block, and several chunks with a last one of one row;
/// columns on both sides of what the column lanes of `evaluate` hold, and beyond what one panel does.
fn every_shape_matches_the_oracle(subject: &Subject) -> Check {
    let mut checked = 0;
    let shapes: [(&[usize], &[usize]); 3] = [
        (&[1, 3, 33, 257], &[1, 2, 255, 256, 257, 1023, 1024, 1025, 3073]),
        (&[8, 9, 28, 65], &[31, 1025]),
        (&[1024, 1025, 2050], &[9, 67]),
    ];
    for (columns, rows) in shapes {
        for &features in columns {
            for &rows in rows {
                let (table, point, direction) = fixture(rows, features);
                matches_the_oracle(subject, &table, &point, &direction, chunks_of(2, features))
                    .map_err(|fault| format!("{rows} x {features}: {fault}"))?;
                checked += 1;
            }
        }
    }
    if checked == 50 { Ok(()) } else { Err(format!("{checked} shapes were checked")) }
}

/// The suite must notice a wrong weight, a dropped last row and swapped columns.
fn planted_faults_are_noticed(subject: &Subject) -> Check {
    let (rows, point, _) = fixture(20_001, 28);
    let chunk = chunks_of(8, 28);
    let mut noticed = 0;
    let mut expect = |what: &str, result: Check| {
        noticed += 1;
        result.err().map(|_| ()).ok_or_else(|| format!("{what} was not noticed"))
    };
    let load = |rows: &Rows, at: &[f64]| {
        let mut engine = subject.load(rows, chunk);
        let evaluation = engine.move_to(at, Need::Gradient).expect("evaluates");
        let terms = engine.row_terms().expect("reads back");
        (evaluation, terms)
    };
    let against =
        |evaluation: &Evaluation, terms: &RowTerms| agree(subject, &rows, &point, evaluation, terms, &terms.margins);
    let (evaluation, terms) = load(&rows, &point);
    against(&evaluation, &terms)?;
    let mut wrong = point.clone();
    wrong[17] *= 1.001;
    let (evaluation, terms) = load(&rows, &wrong);
    expect("a weight wrong by a thousandth", against(&evaluation, &terms))?;
    let mut swapped = rows.clone();
    swapped.columns.swap(3, 4);
    let (evaluation, terms) = load(&swapped, &point);
    expect("a swapped column", against(&evaluation, &terms))?;
    let mut dropped = rows.clone();
    for column in &mut dropped.columns {
        column.pop();
    }
    dropped.labels.pop();
    let (evaluation, terms) = load(&dropped, &point);
    expect("a dropped last row", against(&evaluation, &terms))?;
    let (evaluation, mut terms) = load(&rows, &point);
    terms.residuals[20_000] = 0.0;
    expect("a residual that was not computed", against(&evaluation, &terms))?;
    let mut engine = subject.load(&swapped, chunk);
    let evaluation = engine.move_to(&point, Need::Hessian).map_err(|e| e.to_string())?;
    expect("the Hessian of a swapped column", hessian_agrees(subject, &rows, &point, &evaluation))?;
    let (mut evaluation, terms) = load(&rows, &point);
    evaluation.gradient[5] = f64::NAN;
    expect("a gradient that is NaN", against(&evaluation, &terms))?;
    if noticed == 6 { Ok(()) } else { Err(format!("{noticed} faults were planted")) }
}

fn loss_at_zero_is_ln_2(subject: &Subject) -> Check {
    let (rows, ..) = fixture(3_001, 5);
    let value = subject.load(&rows, 1 << 20).move_to(&[0.0; 6], Need::Gradient).map_err(|e| e.to_string())?.value;
    // A block of the CPU adds its 1024 rows one by one.
    close("loss", &[value], &[std::f64::consts::LN_2], |_| (4.0 * subject.unit).max(1024.0 * CPU_UNIT))
}

/// The gradient against central differences of the value.
fn gradient_matches_finite_differences(subject: &Subject) -> Check {
    let (rows, point, _) = fixture(2_000, 7);
    let mut engine = subject.load(&rows, 1 << 20);
    let gradient = engine.move_to(&point, Need::Gradient).map_err(|e| e.to_string())?.gradient;
    for j in 0..point.len() {
        // Steps that move the margins by about 0.02, so that f32 sums resolve the difference.
        let size = if j < 7 { rows.columns[j].iter().map(|x| x.abs()).sum::<f64>() / 2_000.0 } else { 1.0 };
        let h = 0.02 / size;
        let mut value = |offset: f64| -> Result<f64, String> {
            let mut at = point.clone();
            at[j] += offset;
            Ok(engine.move_to(&at, Need::Gradient).map_err(|e| e.to_string())?.value)
        };
        let difference = (value(h)? - value(-h)?) / (2.0 * h);
        close("difference", &[difference], &[gradient[j]], |_| (1e-4 + 20.0 * subject.unit / 0.02) * size)?;
    }
    Ok(())
}

fn large_margins_stay_finite(subject: &Subject) -> Check {
    let rows = Rows {
        columns: vec![vec![1000.0, -1000.0, 1000.0, -1000.0, 0.0], vec![3.0, 5.0, -2.0, 0.5, 1.0]],
        labels: vec![1.0, 0.0, 0.0, 1.0, 1.0],
        ..Rows::default()
    };
    matches_the_oracle(subject, &rows, &[1.0, 0.0, 0.0], &[0.5, 0.0, 0.0], 1 << 20)?;
    let evaluation =
        subject.load(&rows, 1 << 20).move_to(&[1.0, 0.0, 0.0], Need::Gradient).map_err(|e| e.to_string())?;
    if evaluation.is_finite() { Ok(()) } else { Err(format!("{evaluation:?}")) }
}

/// Bits of all that a run gives: two evaluations, a line, probes, passes for a diagonal and for the scatter; and the
/// state of the rows, two numbers for each, at the end.
fn bits(subject: &Subject, rows: &Rows, point: &[f64], direction: &[f64], chunk_bytes: usize) -> Vec<u64> {
    bits_of(&mut *subject.load(rows, chunk_bytes), point, direction)
}

fn bits_of(engine: &mut dyn Engine, point: &[f64], direction: &[f64]) -> Vec<u64> {
    let first = engine.move_to(point, Need::Gradient).expect("evaluates");
    let mut direction = direction.to_vec();
    let mut line = engine.line(&mut direction, 0.75).expect("evaluates");
    let probes = line.probe(&[0.1, 0.2, 0.3]).expect("probes");
    let second = line.accept(0.3, Need::Hessian).expect("accepts");
    let hessian = second.hessian.expect("it was needed");
    let terms = engine.row_terms().expect("reads back");
    let scatter = engine.scatter().expect("evaluates");
    let start = engine.move_to(&vec![0.0; point.len()], Need::Diagonal).expect("evaluates");
    let diagonal = start.diagonal.expect("it was needed");
    let entries = [hessian, scatter].into_iter().flat_map(|matrix| {
        (0..matrix.size()).flat_map(|i| (0..=i).map(|j| matrix.get(i, j)).collect::<Vec<_>>()).collect::<Vec<_>>()
    });
    let entries = entries.chain(diagonal.own).chain(diagonal.with_intercept).chain(start.gradient);
    let numbers = [first.value, second.value].into_iter().chain(first.gradient).chain(second.gradient).chain(entries);
    let probes = probes.into_iter().flat_map(|p| [p.value, p.slope, p.curvature]).chain([engine.weight()]);
    numbers.chain(probes).chain(terms.margins).chain(terms.residuals).map(f64::to_bits).collect()
}

fn the_same_run_gives_the_same_bits_whatever_the_chunks(subject: &Subject) -> Check {
    same_bits_whatever_the_chunks(subject, &fixture(9_217, 13))
}

fn same_bits_whatever_the_chunks(subject: &Subject, fixture: &(Rows, Vec<f64>, Vec<f64>)) -> Check {
    let (rows, point, direction) = fixture;
    let expected = bits(subject, rows, point, direction, chunks_of(3, 13));
    if expected.len() < 2 * 9_217 {
        return Err(format!("only {} numbers were compared", expected.len()));
    }
    for blocks in [3, 1, 2, 5, 1_000] {
        if bits(subject, rows, point, direction, chunks_of(blocks, 13)) != expected {
            return Err(format!("chunks of {blocks} blocks give other bits"));
        }
    }
    // The comparison itself can fail: one value of one row more or less is another run.
    let mut other = rows.clone();
    other.columns[4][9_000] += 1.0;
    if bits(subject, &other, point, direction, chunks_of(3, 13)) == expected {
        return Err("a changed value gives the same bits".into());
    }
    Ok(())
}

/// On the device, in memory, in the scratch file, or some here and some there: the chunks give the same bits.
fn the_bits_do_not_depend_on_where_the_chunks_are_kept(subject: &Subject) -> Check {
    let host_chunk = same_bits_wherever_the_chunks_are(subject, &fixture(20_481, 13))?;
    // An odd number of columns beside the label: what is read back does not begin at whole pairs of numbers.
    same_bits_wherever_the_chunks_are(subject, &fixture(20_481, 12))?;
    // A device that refuses memory: a tenth of what it gave goes back, the rest streams.
    if let Some(gpu) = &subject.gpu {
        let small = gpu.clone().with_memory(70 << 20);
        let table = small
            .reserve_chunked(Shape::plain(2_000_000, 13), 4 << 20, &Limits::default())
            .map_err(|e| e.to_string())?;
        let placement = table.placement();
        if placement.device_chunks < 5 || placement.memory_chunks < 5 {
            return Err(format!("a device that refuses memory: {placement:?}"));
        }
        // What is made when the table is there already finds room, however narrowly the table fits.
        let (mut none, mut all) = (0, 128 << 20);
        let narrow = |memory: u64| {
            let table =
                gpu.clone().with_memory(memory).reserve_chunked(Shape::plain(40_000, 13), 1 << 20, &Limits::default());
            table.ok().filter(|table| table.placement().memory_chunks == 0)
        };
        while none + 1 < all {
            let middle = u64::midpoint(none, all);
            *(if narrow(middle).is_some() { &mut all } else { &mut none }) = middle;
        }
        let mut table = narrow(all).ok_or("a table of 2 MB finds no room in 128 MiB")?;
        let columns = (0..13).map(Column::Feature).chain([Column::Label]);
        for column in columns {
            let values: Vec<f32> = (0..40_000).map(|k| (k % 2) as f32).collect();
            table.as_store().write(column, 0, &values).map_err(|e| e.to_string())?;
        }
        let mut engine = Box::new(table).finish().map_err(|e| e.to_string())?;
        engine.moments().map_err(|e| format!("where a table fits into {all} bytes: {e}"))?;
        // Chunks may be larger where all stay; where there is no room for all, the small ones visit.
        for (memory, is_whole) in [(1 << 30, true), (70 << 20, false)] {
            let gpu = gpu.clone().with_memory(memory).with_large_chunks_of(16 << 20, 4 << 20);
            let table = gpu.reserve(Shape::plain(2_000_000, 13), &Limits::default()).map_err(|e| e.to_string())?;
            let placement = table.placement();
            let expected = if is_whole { placement.device_chunks == 7 } else { placement.device_chunks >= 5 };
            if !expected || (placement.memory_chunks == 0) != is_whole {
                return Err(format!("large chunks in {memory} bytes: {placement:?}"));
            }
        }
        // However large a chunk may be, the device has to bind it.
        let large = gpu.clone().with_large_chunks_of(usize::MAX, 4 << 20);
        let table = large.reserve(Shape::plain(3_000_000, 14), &Limits::default());
        table.map_err(|e| format!("chunks of any size: {e}"))?;
        let small = Subject { gpu: Some(gpu.clone().with_memory(2 * host_chunk)), ..subject.clone() };
        let refused =
            small.gpu.as_ref().map(|gpu| gpu.reserve(Shape::plain(4_000_000, 60), &Limits::default()).is_err());
        if refused != Some(true) {
            return Err("a device without room for two chunks does not say so".into());
        }
    }
    Ok(())
}

/// Gives the bytes of a host chunk.
fn same_bits_wherever_the_chunks_are(
    subject: &Subject,
    fixture: &(Rows, Vec<f64>, Vec<f64>),
) -> std::result::Result<u64, String> {
    let (rows, point, direction) = fixture;
    let chunk = chunks_of(2, 13);
    let placed = |subject: &Subject| subject.reserve(design_of(rows), chunk).placement();
    let expected = bits(subject, rows, point, direction, chunk);
    let within = |device: Option<u64>, host: Option<u64>| Limits { device, host, scratch: None };
    let all = placed(&Subject { limits: within(Some(0), Some(0)), ..subject.clone() });
    let host_chunk = all.scratch_bytes / all.scratch_chunks as u64;
    let on_gpu = subject.gpu.is_some();
    let mut ways: Vec<(&str, Limits, [bool; 3])> = vec![
        ("all in the scratch file", within(Some(0), Some(0)), [false, false, true]),
        (
            "in memory and in the scratch file",
            within(Some(0), Some(5 * host_chunk + host_chunk / 2)),
            [false, true, true],
        ),
    ];
    if on_gpu {
        ways.push(("all in memory", within(Some(0), None), [false, true, false]));
        ways.push(("on the device and in memory", within(Some(4 * host_chunk), None), [true, true, false]));
        ways.push(("one more on the device", within(Some(5 * host_chunk), None), [true, true, false]));
        ways.push((
            "everywhere",
            within(Some(4 * host_chunk), Some(5 * host_chunk + host_chunk / 2)),
            [true, true, true],
        ));
    }
    for (way, limits, places) in ways {
        let elsewhere = Subject { limits, ..subject.clone() };
        let placement = placed(&elsewhere);
        let chunks = [placement.device_chunks, placement.memory_chunks, placement.scratch_chunks];
        if chunks.map(|chunks| chunks > 0) != places {
            return Err(format!("{way}: the chunks are kept so: {placement:?}"));
        }
        let found = bits(&elsewhere, rows, point, direction, chunk);
        if let Some(place) = found.iter().zip(&expected).position(|(a, b)| a != b) {
            return Err(format!("{way}: number {place} of {} has other bits", expected.len()));
        }
    }
    Ok(host_chunk)
}

/// Columns written by several threads and, once settled, written again: the last ones count.
fn what_is_written_again_counts(subject: &Subject) -> Check {
    const PIECE: usize = 1_000;
    let (rows, point, direction) = fixture(300_000, 9);
    let expected = bits(subject, &rows, &point, &direction, 1 << 20);
    let mut table = subject.reserve(design_of(&rows), 1 << 20);
    let store = table.as_store();
    let write_all = |sign: f64| {
        std::thread::scope(|scope| {
            for (index, column) in rows.columns.iter().enumerate() {
                let store = &store;
                scope.spawn(move || {
                    for (piece, values) in column.chunks(PIECE).enumerate() {
                        let values: Vec<f32> = values.iter().map(|&x| (sign * x) as f32).collect();
                        store.write(Column::Feature(index), piece * PIECE, &values).expect("writes");
                    }
                });
            }
        });
    };
    write_all(-1.0);
    store.settle().map_err(|e| e.to_string())?;
    write_all(1.0);
    let labels: Vec<f32> = rows.labels.iter().map(|&t| t as f32).collect();
    store.write(Column::Label, 0, &labels).map_err(|e| e.to_string())?;
    drop(store);
    let found = bits_of(&mut *table.finish().map_err(|e| e.to_string())?, &point, &direction);
    if found == expected { Ok(()) } else { Err("columns written before count after all".into()) }
}

/// Means do not depend on the order of the rows, nor on every row being there twice.
fn row_order_and_duplicates_change_nothing(subject: &Subject) -> Check {
    let (rows, point, _) = fixture(5_000, 6);
    let expected = subject.load(&rows, 1 << 20).move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
    let absolute = rows.evaluate(split(&point).0, split(&point).1).absolute;
    let reversed = Rows {
        columns: rows.columns.iter().map(|column| column.iter().rev().copied().collect()).collect(),
        labels: rows.labels.iter().rev().copied().collect(),
        ..Rows::default()
    };
    let twice = Rows {
        columns: rows.columns.iter().map(|column| column.iter().chain(column).copied().collect()).collect(),
        labels: rows.labels.iter().chain(&rows.labels).copied().collect(),
        ..Rows::default()
    };
    for other in [reversed, twice] {
        let found = subject.load(&other, 1 << 16).move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
        close("gradient", &found.gradient, &expected.gradient, |j| 40.0 * subject.unit * absolute[j])?;
        close("value", &[found.value], &[expected.value], |_| 40.0 * subject.unit)?;
    }
    Ok(())
}

/// `probe(0)` is the evaluation where the objective stands, and `probe(a)` that at `q + a p`.
fn probes_match_evaluations(subject: &Subject) -> Check {
    probes_match(subject, fixture(4_000, 9))
}

fn probes_match(subject: &Subject, fixture: (Rows, Vec<f64>, Vec<f64>)) -> Check {
    let fail = |error: gpu_logreg::Error| error.to_string();
    let (rows, point, direction) = fixture;
    let mut engine = subject.load(&rows, 1 << 20);
    for step in [0.0, 0.3125, 1.5] {
        let here = engine.move_to(&point, Need::Gradient).map_err(fail)?;
        let mut taken = direction.clone();
        let mut line = engine.line(&mut taken, 1.0).map_err(fail)?;
        let probe = line.probe(&[step]).map_err(fail)?[0];
        drop(line);
        let there = if step == 0.0 {
            here
        } else {
            engine.move_to(&along(&point, step, &direction), Need::Gradient).map_err(fail)?
        };
        let slope: f64 = there.gradient.iter().zip(&direction).map(|(g, p)| g * p).sum();
        let scale: f64 = direction.iter().map(|p| p.abs()).sum::<f64>();
        close("value", &[probe.value], &[there.value], |_| 100.0 * subject.unit * there.value.max(1.0))?;
        close("slope", &[probe.slope], &[slope], |_| 100.0 * subject.unit * scale)?;
    }
    Ok(())
}

/// The whole way from a file to standardised coordinates, against the oracle on the unscaled file.
fn a_file_matches_the_oracle(subject: &Subject) -> Check {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/weather.parquet"));
    let names = ["temp_max", "temp_min", "wind"];
    let rows = oracle::read(path, &names, "rain");
    if rows.len() != 1461 {
        return Err(format!("the oracle read {} rows", rows.len()));
    }
    let table = Table::open(path).map_err(|e| e.to_string())?;
    let spec = Spec {
        label: Some("rain".into()),
        features: Some(names.iter().map(ToString::to_string).collect()),
        ..Spec::default()
    };
    let (table, plan) = spec.resolve(table, &Silent).map_err(|e| e.to_string())?;
    let mut store = subject.reserve(Shape::plain(table.rows, plan.features()), 1 << 20);
    let encoded = load(&table, &plan, &*store.as_store(), &Silent).map_err(|e| e.to_string())?;
    let mut engine = store.finish().map_err(|e| e.to_string())?;
    let moments = rows.moments();
    let scales: Vec<ColumnScale> = encoded.features.iter().map(|feature| feature.scale).collect();
    close(
        "mean",
        &scales.iter().map(|s| s.mean).collect::<Vec<_>>(),
        &moments.iter().map(|m| m.0).collect::<Vec<_>>(),
        |_| 1e-12,
    )?;
    close(
        "scale",
        &scales.iter().map(|s| s.scale).collect::<Vec<_>>(),
        &moments.iter().map(|m| m.1).collect::<Vec<_>>(),
        |_| 1e-12,
    )?;
    let coordinates = Coordinates::new(scales, true);
    let point = [0.5, -0.25, 0.125, -0.2];
    let (weights, intercept) = coordinates.to_original(&point);
    let found =
        Problem::of_loss(&mut *engine, coordinates).move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
    let expected = rows.evaluate(&weights, intercept);
    let n = rows.len() as f64;
    let mut gradient: Vec<f64> = rows
        .columns
        .iter()
        .zip(&moments)
        .map(|(column, (m, s))| column.iter().zip(&expected.residuals).map(|(x, r)| r * (x - m) / s / n).sum())
        .collect();
    gradient.push(expected.residuals.iter().sum::<f64>() / n);
    // Narrowing alone moves a standardised value by 2^-24 of itself, on the CPU as well.
    close("gradient", &found.gradient, &gradient, |_| 20.0 * GPU_UNIT)?;
    close("value", &[found.value], &[expected.loss], |_| 20.0 * GPU_UNIT)
}

/// Two million rows in several chunks, made by `synth`, against Newton's method in f64.
fn two_million_rows_train_to_the_double_precision_answer(subject: &Subject) -> Check {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("big.parquet");
    let recipe = Recipe {
        rows: 2_000_000,
        features: 28,
        classes: 2,
        correlation: 0.3,
        positives: 0.3,
        separable: false,
        nulls: 0.0,
        seed: 7,
    };
    let file = std::fs::File::create(&path).map_err(|e| e.to_string())?;
    write(&recipe, file, &path, &Silent).map_err(|e| e.to_string())?;
    let table = Table::open(&path).map_err(|e| e.to_string())?;
    let device = if subject.gpu.is_some() { Selection::Gpu } else { Selection::Cpu };
    let job = Job::new(Spec { label: Some("y".into()), ..Spec::default() }, device);
    let model = train(&table, &job, &Silent, &mut |_| {}).map_err(|e| e.to_string())?;
    if model.training.status != Status::Converged {
        return Err(format!("stopped as {:?}", model.training.status));
    }
    let names: Vec<String> = (1..=28).map(|j| format!("x{j}")).collect();
    let rows = oracle::read(&path, &names.iter().map(String::as_str).collect::<Vec<_>>(), "y");
    let moments = rows.moments();
    let expected = rows.standardized().newton(0.0);
    let found: Vec<f64> = model.features.iter().zip(&moments).map(|(f, (_, s))| f.coefficients[0] * s).collect();
    if found.len() != 28 || expected.len() != 29 {
        return Err(format!("{} coefficients, {} expected", found.len(), expected.len()));
    }
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let difference: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
    let relative = norm(&difference) / norm(&expected[..28]);
    println!("{}: |dw|/|w| = {relative:.1e}", subject.name);
    if relative <= 1e-5 { Ok(()) } else { Err(format!("|dw|/|w| = {relative:e}")) }
}

/// Row weights alone, offsets alone and both, at awkward shapes: one row, a group and one, several chunks with a last one
/// of one row.
fn weights_and_offsets_match_the_oracle(subject: &Subject) -> Check {
    let mut checked = 0;
    for features in [1, 3, 33] {
        // The fewest rows of a chunk are 1024 on the GPU and 4096 on the CPU.
        for rows in [1, 257, if subject.gpu.is_some() { 2_049 } else { 8_193 }] {
            let (both, point, direction) = weighted_fixture(rows, features);
            let weights = Rows { offsets: Vec::new(), ..both.clone() };
            let offsets = Rows { weights: Vec::new(), ..both.clone() };
            for (what, table) in [("both", both), ("weights", weights), ("offsets", offsets)] {
                matches_the_oracle(subject, &table, &point, &direction, chunks_of(1, features))
                    .map_err(|fault| format!("{what}, {rows} x {features}: {fault}"))?;
                checked += 1;
            }
        }
    }
    if checked == 27 { Ok(()) } else { Err(format!("{checked} tables were checked")) }
}

/// Levels of categories are what their columns would be, written out: one and several categories, with and without
/// plain columns, of one level beside the reference and of more than a panel holds.
fn levels_match_the_oracle(subject: &Subject) -> Check {
    let mut checked = 0;
    // The widest has a tile in several parts, the last one short.
    let designs: [(usize, &[usize], &[usize]); 8] = [
        (600, &[3], &[200]),
        (2, &[1], &[257]),
        (0, &[1, 1], &[33]),
        (0, &[3], &[1, 257]),
        (3, &[2, 40], &[257, if subject.gpu.is_some() { 2_049 } else { 8_193 }]),
        (1, &[5, 1, 3], &[1_025]),
        (9, &[70], &[300]),
        (2, &[7, 1_020], &[31]),
    ];
    for (plain, levels, rows) in designs {
        for &rows in rows {
            let (table, point, direction) = categories_fixture(rows, plain, levels);
            let plainly = Rows { weights: Vec::new(), offsets: Vec::new(), ..table.clone() };
            for table in [table, plainly] {
                matches_the_oracle(subject, &table, &point, &direction, chunks_of(1, plain + levels.len()))
                    .map_err(|fault| format!("{rows} x {plain} and {levels:?}: {fault}"))?;
                checked += 1;
            }
        }
    }
    if checked == 20 { Ok(()) } else { Err(format!("{checked} tables were checked")) }
}

fn levels_in_other_chunks_give_the_same_bits(subject: &Subject) -> Check {
    same_bits_whatever_the_chunks(subject, &categories_fixture(20_001, 5, &[3, 20]))
}

/// A row of weight 2 is the row twice, and one of weight 0 is none: everything but what a row holds.
fn weights_repeat_rows(subject: &Subject) -> Check {
    let (mut rows, point, direction) = weighted_fixture(3_001, 7);
    for (k, weight) in rows.weights.iter_mut().enumerate() {
        *weight = [2.0, 0.0, 1.0, 3.0, 2.0][k % 5];
    }
    let count = |k: usize| [2, 0, 1, 3, 2][k % 5];
    let repeat = |values: &[f64]| -> Vec<f64> {
        values.iter().enumerate().flat_map(|(k, &value)| vec![value; count(k)]).collect()
    };
    let repeated = Rows {
        columns: rows.columns.iter().map(|column| repeat(column)).collect(),
        labels: repeat(&rows.labels),
        weights: Vec::new(),
        offsets: repeat(&rows.offsets),
        ..Rows::default()
    };
    let sums = |rows: &Rows| -> Vec<f64> {
        let bits = bits(subject, rows, &point, &direction, chunks_of(2, 7));
        bits[..bits.len() - 2 * rows.len()].iter().map(|&bits| f64::from_bits(bits)).collect()
    };
    let expected = sums(&repeated);
    // By the sizes of the entries: rows of several magnitudes are summed in another order.
    let scale = rows.columns.iter().map(|c| c.iter().fold(1.0, |m: f64, x| m.max(x * x))).fold(1.0, f64::max);
    close("sums", &sums(&rows), &expected, |j| 200.0 * subject.unit * (scale + expected[j].abs()))?;
    rows.weights.swap(0, 1);
    let wrong = sums(&rows);
    match close("sums", &wrong, &expected, |j| 200.0 * subject.unit * (scale + expected[j].abs())) {
        Err(_) => Ok(()),
        Ok(()) => Err("weights in each other's place are not noticed".into()),
    }
}

/// Whatever rows of weight 0 hold, margins of +-1000 and beyond what f32 has, the sums have the same bits.
fn weights_of_0_count_nothing(subject: &Subject) -> Check {
    let (mut rows, mut point, mut direction) = weighted_fixture(4_099, 3);
    (point[2], direction[2]) = (2.0, 2.0);
    let sums = |rows: &Rows| -> Vec<u64> {
        let mut bits = bits(subject, rows, &point, &direction, chunks_of(2, 3));
        bits.truncate(bits.len() - 2 * rows.len());
        bits
    };
    let expected = sums(&rows);
    if !expected.iter().all(|&bits| f64::from_bits(bits).is_finite()) {
        return Err("the sums are no numbers".into());
    }
    let none: Vec<usize> = (0..rows.len()).filter(|&k| rows.weights[k] == 0.0).collect();
    if none.len() < 800 {
        return Err(format!("{} rows of weight 0", none.len()));
    }
    for (value, offset) in [(1.0, 0.0), (-500.0, 1_000.0), (500.0, -1_000.0), (3e38, 0.0), (-3e38, 1_000.0)] {
        for &k in &none {
            (rows.columns[2][k], rows.offsets[k], rows.labels[k]) = (value, offset, f64::from(u8::from(k % 2 == 0)));
        }
        if sums(&rows) != expected {
            return Err(format!("rows of weight 0 with {value} and the offset {offset} count"));
        }
    }
    // The control: one of them counts a little.
    rows.weights[none[7]] = 1e-3;
    if sums(&rows) == expected { Err("a weight of a thousandth is not noticed".into()) } else { Ok(()) }
}

/// Offsets near -1000 against an intercept of 1000: what is left of the margins is exact to the rounding of 1000.
fn weights_and_large_offsets_cancel(subject: &Subject) -> Check {
    let (mut rows, mut point, _) = weighted_fixture(2_049, 3);
    for (k, offset) in rows.offsets.iter_mut().enumerate() {
        *offset = -1_000.0 + (k % 64) as f64 / 32.0 - 1.0;
    }
    point[3] = 1_000.0;
    let check = |found: &Rows| -> Check {
        let mut engine = subject.load(found, chunks_of(1, 3));
        let evaluation = engine.move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
        let terms = engine.row_terms().map_err(|e| e.to_string())?;
        agree(subject, &rows, &point, &evaluation, &terms, &terms.margins)
    };
    check(&rows)?;
    let mut other = rows.clone();
    other.offsets[2_048] += 1.0 / 32.0;
    check(&other).err().map(|_| ()).ok_or_else(|| "an offset wrong by 1/32 is not noticed".to_owned())
}

/// The suite must notice weights in each other's place, a dropped offset, weights that are left out, and a scatter with
/// the weights of a mean of squares.
fn weights_and_offsets_that_are_wrong_are_noticed(subject: &Subject) -> Check {
    let (rows, point, direction) = weighted_fixture(8_193, 7);
    matches_the_oracle(subject, &rows, &point, &direction, chunks_of(1, 7))?;
    let against = |found: &Rows| -> Check {
        let mut engine = subject.load(found, chunks_of(1, 7));
        let evaluation = engine.move_to(&point, Need::Hessian).map_err(|e| e.to_string())?;
        let terms = engine.row_terms().map_err(|e| e.to_string())?;
        // Row by row the margins tell; of the weights, the sums have to.
        agree(subject, &rows, &point, &evaluation, &terms, &terms.margins)
    };
    let mut faults = Vec::new();
    let mut swapped = rows.clone();
    swapped.weights.swap(8_192, 8_190);
    faults.push(("two weights in each other's place", swapped));
    let mut dropped = rows.clone();
    dropped.offsets[8_192] = 0.0;
    faults.push(("a dropped offset", dropped));
    let mut moved = rows.clone();
    moved.offsets.rotate_left(1);
    faults.push(("offsets of the next rows", moved));
    faults.push(("no weights", Rows { weights: Vec::new(), ..rows.clone() }));
    faults.push(("no offsets", Rows { offsets: Vec::new(), ..rows.clone() }));
    for (fault, found) in &faults {
        against(found).err().ok_or_else(|| format!("{fault}: not noticed"))?;
    }
    let squared = Rows { weights: rows.weights.iter().map(|w| w * w).collect(), ..rows.clone() };
    let mut engine = subject.load(&rows, chunks_of(1, 7));
    engine.move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
    let scatter = engine.scatter().map_err(|e| e.to_string())?;
    scatter_agrees(subject, &rows, &point, &scatter)?;
    scatter_agrees(subject, &squared, &point, &scatter).err().map(|_| ()).ok_or("squared weights are not noticed")?;
    let hessian = engine.move_to(&point, Need::Hessian).map_err(|e| e.to_string())?;
    hessian_agrees(subject, &rows, &point, &hessian)?;
    let of_squared = hessian_agrees(subject, &squared, &point, &hessian);
    of_squared.err().map(|_| ()).ok_or_else(|| "the Hessian of other weights is not noticed".to_owned())
}

fn weights_in_other_chunks_give_the_same_bits(subject: &Subject) -> Check {
    same_bits_whatever_the_chunks(subject, &weighted_fixture(9_217, 13))
}

fn weights_kept_elsewhere_give_the_same_bits(subject: &Subject) -> Check {
    same_bits_wherever_the_chunks_are(subject, &weighted_fixture(20_481, 13)).map(|_| ())
}

fn weights_in_probes_match_evaluations(subject: &Subject) -> Check {
    probes_match(subject, weighted_fixture(4_000, 9))
}

/// Weights whose sum f64 has to round: it has the same bits whatever the chunks, and what cannot be a weight is refused.
fn weights_add_up(subject: &Subject) -> Check {
    let (mut rows, ..) = fixture(20_481, 1);
    let mut stream = Random(5);
    rows.weights = (0..20_481)
        .map(|k| f64::from(((1.0 + 0.5 * stream.symmetric()) * 10.0_f64.powi(k % 25 - 12)) as f32))
        .collect();
    let expected = subject.load(&rows, 1 << 26).weight();
    let mut sorted = rows.weights.clone();
    sorted.sort_by(f64::total_cmp);
    close("weight", &[expected], &[sorted.iter().sum()], |_| 1e-13 * expected)?;
    for blocks in [1, 2, 3, 5] {
        let found = subject.load(&rows, chunks_of(blocks, 1)).weight();
        close("weight in chunks", &[found], &[expected], |_| 0.0)?;
    }
    let plain = subject.load(&fixture(1_025, 1).0, 1 << 20).weight();
    close("weight of rows without", &[plain], &[1_025.0], |_| 0.0)?;
    for wrong in [-1e-30, f64::NAN, f64::INFINITY] {
        rows.weights[20_480] = wrong;
        if subject.try_load(&rows, 1 << 20).is_ok() {
            return Err(format!("a weight of {wrong} is taken"));
        }
    }
    // No weight at all: no sums, and nothing is divided by it.
    rows.weights.fill(0.0);
    let nothing = subject.load(&rows, 1 << 20).move_to(&[1.0, 0.5], Need::Gradient).map_err(|e| e.to_string())?;
    close("sums of nothing", &nothing.gradient, &[0.0, 0.0], |_| 0.0)?;
    // A column that the table does not have is refused, not written elsewhere.
    let mut table = subject.reserve(Shape::plain(10, 1), 1 << 20);
    let store = table.as_store();
    let refused = [Column::Weight, Column::Offset(0)].map(|column| store.write(column, 0, &[1.0; 10]).is_err());
    if refused == [true; 2] { Ok(()) } else { Err("a column that is not there is taken".into()) }
}

/// Several points in one call, one of them with the Hessian of some columns, are those of the oracle one by one; of rows in
/// cells a device keeps the sums apart, or refuses them.
fn several_points_match_the_oracle(subject: &Subject) -> Check {
    let fail = |error: gpu_logreg::Error| error.to_string();
    let (rows, point, direction) = categories_fixture(5_003, 4, &[3]);
    let mut engine = subject.load(&rows, 1 << 18);
    let columns = [0, 3, 5, 7];
    let work = [
        Work::at(&point),
        Work { takes_hessian: true, columns: Some(&columns), ..Work::at(&direction) },
        Work { cells: Some(&[]), ..Work::at(&point) },
    ];
    let found = engine.run(&work).map_err(fail)?;
    let n = rows.weight();
    let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
    if lengths != [1, 1, 0] {
        return Err(format!("sums of {lengths:?} cells"));
    }
    let relative = product_error(subject, &rows);
    for (work, found) in work.iter().zip(&found).take(2) {
        let (weights, intercept) = split(work.point);
        let expected = rows.evaluate(weights, intercept);
        let size = |j: usize| relative * n * expected.absolute[j] + 1e-3 * relative * n;
        let gradient: Vec<f64> = expected.gradient.iter().map(|g| g * n).collect();
        close("gradient", &found[0].gradient, &gradient, size)?;
        close("loss", &[found[0].loss], &[n * expected.loss], |_| relative * n * (1.0 + expected.loss))?;
        let Some(hessian) = &found[0].hessian else { continue };
        let (expected, absolute) = rows.hessian(weights, intercept);
        for (a, &i) in columns.iter().enumerate() {
            let row: Vec<f64> = (0..columns.len()).map(|b| hessian.get(a, b)).collect();
            let expected: Vec<f64> = columns.iter().map(|&j| n * expected[i][j]).collect();
            close(&format!("hessian[{i}]"), &row, &expected, |b| relative * n * absolute[i][columns[b]] + 1e-30)?;
        }
    }
    if found[0][0].hessian.is_some() || found[1][0].hessian.as_ref().is_none_or(|h| h.size() != columns.len()) {
        return Err("a Hessian that nobody asked for, or one of other columns".into());
    }
    let in_cells = design_of(&rows).with_cells(&[5_000, 3]);
    match &subject.gpu {
        None => CpuTableBuilder::new(in_cells).map(drop).map_err(fail),
        Some(gpu) => match gpu.reserve(in_cells, &Limits::default()) {
            Err(error) if error.fact.contains("2 cells") => Ok(()),
            _ => Err("a GPU takes rows in cells, whose sums it does not keep apart".into()),
        },
    }
}

/// Weights and offsets go to the kept rows too: the Hessian is theirs, its diagonal that of all rows.
fn weights_go_to_the_kept_rows(subject: &Subject) -> Check {
    let fail = |error: gpu_logreg::Error| error.to_string();
    let (rows, point, _) = weighted_fixture(5_001, 6);
    let positions: Vec<usize> = (0..rows.len()).filter(|k| k * 7_919 % 11 < 4).collect();
    let kept_of = |values: &[f64]| positions.iter().filter_map(|&k| values.get(k).copied()).collect::<Vec<f64>>();
    let kept_rows = Rows {
        columns: rows.columns.iter().map(|column| kept_of(column)).collect(),
        labels: kept_of(&rows.labels),
        weights: kept_of(&rows.weights),
        offsets: kept_of(&rows.offsets),
        ..Rows::default()
    };
    let mut all = subject.reserve(design_of(&rows), 1 << 20);
    let mut kept = Box::new(CpuTableBuilder::new(design_of(&kept_rows)).map_err(fail)?);
    fill(&Sampling::new(all.as_store(), &positions, kept.as_store()), &rows);
    let (mut all, mut kept) = (all.finish().map_err(fail)?, kept.finish().map_err(fail)?);
    let as_it_is = ColumnScale { mean: 0.0, scale: 1.0, device_mean: 0.0, device_scale: 1.0, reach: 1.0 };
    let coordinates = Coordinates::new(vec![as_it_is; rows.columns.len()], true);
    let penalty = Penalty::none(coordinates.dimension());
    let evaluation = Problem::new(&mut *all, coordinates, penalty, Curvature::Subsample(&mut *kept))
        .move_to(&point, Need::Hessian)
        .map_err(fail)?;
    let found = evaluation.hessian.ok_or("no Hessian came")?;
    let (weights, intercept) = split(&point);
    let ((of_all, size), (of_kept, kept_size)) =
        (rows.hessian(weights, intercept), kept_rows.hessian(weights, intercept));
    let relative = product_error(subject, &rows);
    for i in 0..found.size() {
        let row: Vec<f64> = (0..found.size()).map(|j| found.get(i, j)).collect();
        // Scaled to the diagonal of all rows.
        let scaling = |j: usize| (of_all[j][j] / of_kept[j][j]).sqrt();
        let expected: Vec<f64> = (0..found.size()).map(|j| scaling(i) * scaling(j) * of_kept[i][j]).collect();
        close(&format!("hessian[{i}]"), &row, &expected, |j| relative * (size[i][j] + kept_size[i][j]))?;
        // The control: the diagonal of the kept rows alone is another.
        close("diagonal", &[row[i]], &[of_kept[i][i]], |_| relative * (size[i][i] + kept_size[i][i]))
            .err()
            .ok_or("the diagonal is that of the kept rows")?;
    }
    Ok(())
}

type Test = fn(&Subject) -> Check;

const SUITE: [(&str, Test); 25] = [
    ("every_shape_matches_the_oracle", every_shape_matches_the_oracle),
    ("planted_faults_are_noticed", planted_faults_are_noticed),
    ("loss_at_zero_is_ln_2", loss_at_zero_is_ln_2),
    ("gradient_matches_finite_differences", gradient_matches_finite_differences),
    ("large_margins_stay_finite", large_margins_stay_finite),
    ("the_same_run_gives_the_same_bits_whatever_the_chunks", the_same_run_gives_the_same_bits_whatever_the_chunks),
    ("the_bits_do_not_depend_on_where_the_chunks_are_kept", the_bits_do_not_depend_on_where_the_chunks_are_kept),
    ("what_is_written_again_counts", what_is_written_again_counts),
    ("row_order_and_duplicates_change_nothing", row_order_and_duplicates_change_nothing),
    ("probes_match_evaluations", probes_match_evaluations),
    ("a_file_matches_the_oracle", a_file_matches_the_oracle),
    ("two_million_rows_train_to_the_double_precision_answer", two_million_rows_train_to_the_double_precision_answer),
    ("weights_and_offsets_match_the_oracle", weights_and_offsets_match_the_oracle),
    ("levels_match_the_oracle", levels_match_the_oracle),
    ("levels_in_other_chunks_give_the_same_bits", levels_in_other_chunks_give_the_same_bits),
    ("weights_repeat_rows", weights_repeat_rows),
    ("weights_of_0_count_nothing", weights_of_0_count_nothing),
    ("weights_and_large_offsets_cancel", weights_and_large_offsets_cancel),
    ("weights_and_offsets_that_are_wrong_are_noticed", weights_and_offsets_that_are_wrong_are_noticed),
    ("weights_in_other_chunks_give_the_same_bits", weights_in_other_chunks_give_the_same_bits),
    ("weights_kept_elsewhere_give_the_same_bits", weights_kept_elsewhere_give_the_same_bits),
    ("weights_in_probes_match_evaluations", weights_in_probes_match_evaluations),
    ("weights_add_up", weights_add_up),
    ("weights_go_to_the_kept_rows", weights_go_to_the_kept_rows),
    ("several_points_match_the_oracle", several_points_match_the_oracle),
];

/// Edits of the shader texts that the suite must notice: shader file, text, replacement. The index is that of
/// `Kernel::ALL`: 0 margin, 1 evaluate, 2 probe, 3 advance, 4 hessian.
const EDITS: [(&str, usize, &str, &str); 42] = [
    ("tree stops one level early", 1, "half >= stride", "half > stride"),
    (
        "tree over the column lanes has another stride",
        1,
        "tree_sum(lane, GROUP, row_lanes,",
        "tree_sum(lane, GROUP, 1u,",
    ),
    ("last row skipped", 1, "vec4(0u, 1u, 2u, 3u) < vec4(rows)", "vec4(1u, 2u, 3u, 4u) < vec4(rows)"),
    ("one row too many", 1, "vec4(0u, 1u, 2u, 3u) < vec4(rows)", "vec4(0u, 1u, 2u, 3u) <= vec4(rows)"),
    ("features beyond the last row not masked", 1, "return select(vec4(0.0), x, here);", "return x;"),
    ("last tile of a part skipped", 1, "tile < part_end;", "tile + tile_rows < part_end;"),
    ("last column skipped", 1, "if (j < columns)", "if (j + 1u < columns)"),
    ("last column held left out", 1, "four_rows(j + 3u * apart, columns, here, k)", "vec4(0.0)"),
    ("second four columns left out of the gradient", 1, "gradient_high += r * high;", ""),
    ("residuals of other rows", 1, "let r = tile_residuals[row_lane];", "let r = tile_residuals[row_lane ^ 1u];"),
    ("direction's intercept left out", 1, "u + pass_.intercept", "u"),
    ("panels before the last left out of the margin", 1, "j < held;", "j + 4u * column_lanes < held;"),
    ("first panel left out of the gradient", 1, "end > 0u;", "end > 4u * column_lanes;"),
    ("residual with the other sign", 1, "return -s * sigmoid_by(e, -s * z);", "return s * sigmoid_by(e, -s * z);"),
    ("parts beyond the first not added", 1, "slots[entry] += sum;", "slots[entry] = sum;"),
    ("low half of the point forgotten", 0, "z += parameters[j] * x;", ""),
    ("probes beyond the first ignore their step", 2, "pass_.steps[p]", "pass_.steps[0]"),
    (
        "last row of a probe skipped",
        2,
        "let here = holds_data(row, last_row);",
        "let here = holds_data(row, last_row - 1u);",
    ),
    ("Hessian without its last part", 4, "part_row < last_row", "part_row + PART < last_row"),
    (
        "Hessian's tree forgets a level",
        4,
        "((part >> level) & 1u) == 1u) {\n            total",
        "((part >> level) & 1u) == 1u && level > 0u) {\n            total",
    ),
    ("border's row is another one", 4, "vec2(min(piece, edges - 1u)", "vec2(min(piece, edges - 2u)"),
    ("Hessian without the intercept", 4, "select(0.0, 1.0, column == pass_.features)", "0.0"),
    ("Hessian counts the rows beyond the last", 4, "holds_data(row, part_end)", "holds_data(row, part_end + 1u)"),
    ("margins do not move", 3, "margins[k] += pass_.steps.x * direction_margins[k];", "margins[k] += 0.0;"),
    ("offsets left out", 0, "z += offsets[k];", ""),
    ("offsets of other rows", 0, "z += offsets[k];", "z += offsets[k].yxzw;"),
    ("weights of other rows", 1, "w = select(vec4(0.0), row_weights[k], here);", "w = row_weights[k ^ 1u];"),
    ("weights of 0 times what is no number", 1, "w > vec4(0.0)", "w >= vec4(0.0)"),
    ("weights left out of the loss", 1, "let loss = weighed(w,", "let loss = (vec4(1.0) *"),
    ("weights left out of the slope", 1, "weighed(w, residual * u)", "residual * u"),
    ("weights left out of the curvature", 1, "let curvature = weighed(w,", "let curvature = (vec4(1.0) *"),
    ("weights left out of the gradient", 1, "residual = weighed(w, residual);", ""),
    ("weights in the residuals of the rows", 1, "residuals[k] = residual;", "residuals[k] = weighed(w, residual);"),
    ("weights left out of a probe's slope", 2, "weighed(w, residual_by(e, at, t) * u)", "residual_by(e, at, t) * u"),
    (
        "steps not asked for in the sums of others",
        2,
        "in_place(p, sum_of_rows(weighed(w, curvature_by(e) * u * u)))",
        "vec4(sum_of_rows(weighed(w, curvature_by(e) * u * u)))",
    ),
    ("levels of other columns in a margin", 0, "let column = u32(parameters[pass_.features + j]);", "let column = 0u;"),
    ("levels of other columns", 1, "let column = u32(parameters[pass_.features + j]);", "let column = 0u;"),
    (
        "codes of the next level",
        1,
        "parameters[2u * pass_.features + j]);",
        "parameters[2u * pass_.features + j] + 1.0);",
    ),
    ("codes as values", 1, "code > 0.0", "code > 1e9"),
    ("levels of other columns in the Hessian", 4, "parameters[pass_.features + column]", "parameters[pass_.features]"),
    ("weights left out of the Hessian", 4, "array(weighed(w, column),", "array(column,"),
    ("weights in the residuals of the Hessian", 4, "residuals[k] = column;", "residuals[k] = weighed(w, column);"),
];

/// Runs part of the suite on a device whose shaders were edited and fails if nothing is noticed.
fn an_edit_is_noticed(adapter: &Adapter, kernel: usize, text: &str, replacement: &str) -> Check {
    let original = SOURCES[kernel];
    if original.matches(text).count() != 1 {
        return Err(format!("`{text}` stands {} times in the shader", original.matches(text).count()));
    }
    let edited = original.replace(text, replacement);
    let mut sources: Sources<'_> = SOURCES;
    sources[kernel] = &edited;
    let gpu = Gpu::open_with(adapter, sources).map_err(|e| format!("the edited shader does not compile: {e}"))?;
    let subject = Subject::gpu(gpu);
    // A point with more digits than one f32 has, and columns in several panels, need checks of their own.
    let (rows, mut point, direction) = fixture(3_073, 35);
    for q in &mut point {
        *q *= 1.0 + 2e-8;
    }
    let (weighted, at, along) = weighted_fixture(3_073, 5);
    let (coded, coded_at, coded_along) = categories_fixture(257, 2, &[3, 20]);
    let checks: [&dyn Fn() -> Check; 6] = [
        &|| matches_the_oracle(&subject, &coded, &coded_at, &coded_along, chunks_of(2, 4)),
        &|| matches_the_oracle(&subject, &rows, &point, &direction, chunks_of(2, 35)),
        &|| low_halves_count(&subject),
        &|| several_panels_are_summed(&subject),
        &|| matches_the_oracle(&subject, &weighted, &at, &along, chunks_of(2, 5)),
        &|| weights_of_0_count_nothing(&subject),
    ];
    if checks.iter().any(|check| check().is_err()) { Ok(()) } else { Err("the suite does not notice it".into()) }
}

/// Of a product as many blocks go in a submission as there is time for, or some pieces of one block, or one of them.
fn submissions_cut_short_give_the_same_bits(adapter: &Adapter) -> Check {
    let gpu = Gpu::open(adapter).map_err(|e| e.to_string())?;
    let (rows, point, direction) = fixture(5_121, 70);
    let of = |gpu: Gpu| bits(&Subject::gpu(gpu), &rows, &point, &direction, chunks_of(7, 70));
    let expected = of(gpu.clone());
    for products in [1, 5 << 20, 12 << 20, 30 << 20] {
        if of(gpu.clone().with_products_of(products)) != expected {
            return Err(format!("{products} products in a submission give other bits"));
        }
    }
    Ok(())
}

/// The descriptions of the passes of a submission have room for so many: what is more goes first.
fn more_chunks_than_a_submission_takes(subject: &Subject) -> Check {
    let (rows, point, direction) = fixture(520 * 1_024, 2);
    let few = bits(subject, &rows, &point, &direction, 64 * 1_024 * 8);
    if bits(subject, &rows, &point, &direction, 1_024 * 8) == few {
        return Ok(());
    }
    Err("520 chunks in a pass give other bits than ten".into())
}

/// Exponentials, logarithms and quotients are within what Vulkan asks of a device (the specification's appendix "Precision
/// and Operation of SPIR-V Instructions"), which is what tolerances here count on; a rough function is noticed.
fn functions_are_as_exact_as_vulkan_asks(adapter: &Adapter) -> Check {
    let errors = |functions: &str| {
        let mut sources = SOURCES;
        sources[Kernel::Functions as usize] = functions;
        Gpu::open_with(adapter, sources)
            .and_then(|gpu| gpu.survey())
            .map(|survey| survey.errors)
            .map_err(|e| e.to_string())
    };
    let is_exact = |errors: FunctionErrors| errors.exp_of_allowed <= 1.0 && errors.log <= 3.0 && errors.division <= 2.5;
    let source = SOURCES[Kernel::Functions as usize];
    let found = errors(source)?;
    if !is_exact(found) {
        return Err(format!("{found:?}"));
    }
    for (from, to) in
        [("= exp(", "= 1.00002 * exp("), ("= log(", "= 1.000001 * log("), (" / arguments", " * 1.000001 / arguments")]
    {
        let rough = errors(&source.replace(from, to))?;
        if is_exact(rough) {
            return Err(format!("{to:?} is not noticed: {rough:?}"));
        }
    }
    Ok(())
}

/// Beyond 1024 columns a margin and a gradient come in panels, and each tile joins its slot on its own.
fn several_panels_are_summed(subject: &Subject) -> Check {
    let (rows, point, _) = fixture(67, 2_050);
    let mut engine = subject.load(&rows, chunks_of(1, 2_050));
    let evaluation = engine.move_to(&point, Need::Gradient).map_err(|e| e.to_string())?;
    let terms = engine.row_terms().map_err(|e| e.to_string())?;
    agree(subject, &rows, &point, &evaluation, &terms, &terms.margins)
}

/// A block has several parts beyond some gigabytes only. With parts of two tiles in place of 64 a small one has, and
/// their sums join in its slot; without the joining that is noticed.
fn blocks_of_several_parts_are_summed(adapter: &Adapter) -> Check {
    let short = SOURCES[1].replace("PART: u32 = 256u", "PART: u32 = 8u");
    let (rows, point, direction) = fixture(3_073, 35);
    let with = |text: &str| {
        let mut sources: Sources<'_> = SOURCES;
        sources[1] = text;
        let gpu = Gpu::open_with(adapter, sources).map_err(|e| format!("the edited shader does not compile: {e}"))?;
        matches_the_oracle(&Subject::gpu(gpu), &rows, &point, &direction, chunks_of(2, 35))
    };
    if short == SOURCES[1] {
        return Err("parts have another length".into());
    }
    with(&short)?;
    let forgetful = short.replace("slots[entry] += sum;", "slots[entry] = sum;");
    with(&forgetful).err().map(|_| ()).ok_or_else(|| "parts that are not joined go unnoticed".to_owned())
}

/// A margin is `x high + x low`: where the high half cancels against the intercept, the low one is all there is.
fn low_halves_count(subject: &Subject) -> Check {
    let weight = 1.0 + 2.0_f64.powi(-30);
    let rows =
        Rows { columns: vec![vec![1024.0; 7]], labels: vec![0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0], ..Rows::default() };
    let mut engine = subject.load(&rows, 1 << 20);
    engine.move_to(&[weight, -1024.0], Need::Gradient).map_err(|e| e.to_string())?;
    let margins = engine.row_terms().map_err(|e| e.to_string())?.margins;
    close("margin", &margins, &[2.0_f64.powi(-20); 7], |_| 1e-9)?;
    // The same with the second level of a category in the place of the column.
    let coded = Rows { columns: vec![vec![0.0; 7], vec![0.0; 7], vec![1.0; 7]], levels: vec![2], ..rows };
    let mut engine = subject.load(&coded, 1 << 20);
    engine.move_to(&[0.0, 0.0, 1024.0 * weight, -1024.0], Need::Gradient).map_err(|e| e.to_string())?;
    let margins = engine.row_terms().map_err(|e| e.to_string())?.margins;
    close("margin of a level", &margins, &[2.0_f64.powi(-20); 7], |_| 1e-9)
}

/// Beyond 4 x 1024^2 rows every kernel's workgroup takes several tiles one after the other.
fn blocks_of_several_tiles_are_summed(subject: &Subject) -> Check {
    const ROWS: usize = 4 * 1024 * 1024 + 4_097;
    let mut table = subject.reserve(Shape::plain(ROWS, 1), 1 << 25);
    let mut column = vec![0.0_f32; ROWS];
    for (k, x) in column.iter_mut().enumerate() {
        *x = (k % 5) as f32;
    }
    table.as_store().write(Column::Feature(0), 0, &column).map_err(|e| e.to_string())?;
    table.as_store().write(Column::Label, 0, &vec![0.0; ROWS]).map_err(|e| e.to_string())?;
    let gradient =
        table.finish().and_then(|mut b| b.move_to(&[0.0, 0.0], Need::Gradient)).map_err(|e| e.to_string())?.gradient;
    let mean = column.iter().map(|x| f64::from(*x)).sum::<f64>() / ROWS as f64;
    close("gradient", &gradient, &[0.5 * mean, 0.5], |_| 1e-6)
}

const BARRIER: &str = "workgroupBarrier();";

/// Edits that make a race: a software adapter, which runs a workgroup in step, cannot show them. For hardware.
const RACES: [(&str, &str, usize, &str); 5] = [
    ("tree without its first barrier", BARRIER, 0, ""),
    ("tree without its inner barrier", BARRIER, 1, ""),
    ("tree without its last barrier", BARRIER, 2, ""),
    ("residuals read before they are there", BARRIER, 3, ""),
    ("tree adds one invocation too many", "if (place < half)", 0, "if (place <= half)"),
];

fn a_race_is_noticed(adapter: &Adapter, text: &str, index: usize, replacement: &str) -> Check {
    let source = SOURCES[1];
    let (place, _) = source.match_indices(text).nth(index).ok_or_else(|| format!("there is no `{text}` {index}"))?;
    let edited = format!("{}{replacement}{}", &source[..place], &source[place + text.len()..]);
    let mut sources = SOURCES;
    sources[1] = &edited;
    let subject = Subject::gpu(Gpu::open_with(adapter, sources).map_err(|e| e.to_string())?);
    let (rows, point, direction) = fixture(200_001, 28);
    for _ in 0..20 {
        if matches_the_oracle(&subject, &rows, &point, &direction, 1 << 24).is_err() {
            return Ok(());
        }
    }
    Err("twenty runs with the race gave the right sums".into())
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let on = |adapter: &Adapter| Gpu::open(adapter).map(Subject::gpu).map_err(|e| e.to_string());
    for (name, check) in SUITE {
        suite.cpu(name, move || check(&Subject::cpu()));
        suite.gpu(name, move |adapter| check(&on(adapter)?));
    }
    suite.gpu("low_halves_count", move |adapter| low_halves_count(&on(adapter)?));
    suite.gpu("functions_are_as_exact_as_vulkan_asks", functions_are_as_exact_as_vulkan_asks);
    suite.gpu("submissions_cut_short_give_the_same_bits", submissions_cut_short_give_the_same_bits);
    suite.gpu("more_chunks_than_a_submission_takes", move |adapter| more_chunks_than_a_submission_takes(&on(adapter)?));
    suite.gpu("several_panels_are_summed", move |adapter| several_panels_are_summed(&on(adapter)?));
    suite.gpu("blocks_of_several_parts_are_summed", blocks_of_several_parts_are_summed);
    suite.gpu("blocks_of_several_tiles_are_summed", move |adapter| blocks_of_several_tiles_are_summed(&on(adapter)?));
    for (name, kernel, text, replacement) in EDITS {
        let name = format!("notices_the_edit::{}", name.replace([' ', '\''], "_"));
        suite.gpu(&name, move |adapter| an_edit_is_noticed(adapter, kernel, text, replacement));
    }
    for (name, text, index, replacement) in RACES {
        let name = format!("notices_the_race::{}", name.replace(' ', "_"));
        suite.hardware(&name, move |adapter| a_race_is_noticed(adapter, text, index, replacement));
    }
    suite.run()
}
