//! The CPU backend: f64 arithmetic over f32 columns, on all cores, the same bits every time.
//!
//! It is the reference that the GPU is checked against, so it is plain: one function for a block, the
//! same blocks and the same order of their sums whatever the threads do.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::sync::Mutex;

use rayon::prelude::*;

use crate::backend::layout::Layout;
use crate::backend::{Backend, Loading, RowTerms};
use crate::data::{Column, Store};
use crate::error::Result;
use crate::logistic::terms;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};

/// Memory of a chunk; small enough that locks on it are rarely contended while it is filled.
const CHUNK_BYTES: usize = 16 << 20;

/// A table being filled.
pub struct CpuTable {
    layout: Layout,
    /// `[chunks][features]`, each `[rows of the chunk]`.
    features: Vec<Vec<Mutex<Vec<f32>>>>,
    /// `[chunks]`, each `[rows of the chunk]`.
    labels: Vec<Mutex<Vec<f32>>>,
}

impl CpuTable {
    /// Reserves memory for `rows` x `features`.
    pub fn new(rows: usize, features: usize) -> Self {
        Self::with_chunk_bytes(rows, features, CHUNK_BYTES)
    }

    /// As [`CpuTable::new`], in chunks of at most `chunk_bytes`; no result depends on it.
    pub fn with_chunk_bytes(rows: usize, features: usize, chunk_bytes: usize) -> Self {
        let layout = Layout::new(rows, features, chunk_bytes);
        let column = |chunk| Mutex::new(vec![0.0_f32; layout.rows_of(chunk)]);
        Self {
            layout,
            features: (0..layout.chunks()).map(|chunk| (0..features).map(|_| column(chunk)).collect()).collect(),
            labels: (0..layout.chunks()).map(column).collect(),
        }
    }
}

impl Store for CpuTable {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut values = values;
        for (chunk, rows) in self.layout.pieces(first_row, values.len()) {
            let (here, rest) = values.split_at(rows.len());
            values = rest;
            let target = match column {
                Column::Feature(index) => &self.features[chunk][index],
                Column::Label => &self.labels[chunk],
            };
            target.lock().expect("no writer panics while it copies")[rows].copy_from_slice(here);
        }
        Ok(())
    }
}

impl Loading for CpuTable {
    fn as_store(&self) -> &dyn Store {
        self
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Backend>> {
        let unlock = |column: Mutex<Vec<f32>>| column.into_inner().expect("no writer panics while it copies");
        let chunks = self
            .features
            .into_iter()
            .zip(self.labels)
            .map(|(features, labels)| {
                let labels = unlock(labels);
                Chunk {
                    features: features.into_iter().map(unlock).collect(),
                    margins: vec![0.0; labels.len()],
                    direction_margins: vec![0.0; labels.len()],
                    labels,
                }
            })
            .collect();
        Ok(Box::new(Cpu { layout: self.layout, chunks, passes: Passes::default(), last_step: 0.0 }))
    }
}

/// Columns of a chunk and the state of its rows.
struct Chunk {
    /// `[features]`, each `[rows]`.
    features: Vec<Vec<f32>>,
    labels: Vec<f32>,
    margins: Vec<f64>,
    direction_margins: Vec<f64>,
}

/// The CPU backend with a table.
pub struct Cpu {
    layout: Layout,
    chunks: Vec<Chunk>,
    passes: Passes,
    /// The step of the last evaluation from where the objective stands.
    last_step: f64,
}

/// A block of rows, the unit of work and of summation.
struct Block<'a> {
    features: &'a [Vec<f32>],
    /// First row within the chunk.
    first: usize,
    labels: &'a [f32],
    margins: &'a mut [f64],
    direction_margins: &'a mut [f64],
}

/// Where the margins of an evaluation come from.
#[derive(Clone, Copy)]
enum At<'a> {
    /// Afresh from a point `[features + 1]`; the rows stand there afterwards.
    Point(&'a [f64]),
    /// From where the rows stand, along a direction `[features + 1]`, at a step.
    Along(&'a [f64], f64),
    /// From where the rows stand.
    Here,
}

/// Sums over rows, in f64.
struct Sums {
    loss: f64,
    slope: f64,
    curvature: f64,
    /// `[features + 1]`, the intercept last.
    gradient: Vec<f64>,
}

impl Sums {
    fn zero(features: usize) -> Self {
        Self { loss: 0.0, slope: 0.0, curvature: 0.0, gradient: vec![0.0; features + 1] }
    }

    fn add(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        self.slope += other.slope;
        self.curvature += other.curvature;
        for (sum, term) in self.gradient.iter_mut().zip(&other.gradient) {
            *sum += term;
        }
        self
    }
}

impl Cpu {
    fn blocks(&mut self) -> Vec<Block<'_>> {
        let block_rows = self.layout.block_rows;
        self.chunks
            .iter_mut()
            .flat_map(|chunk| {
                let features = &chunk.features;
                chunk
                    .labels
                    .chunks(block_rows)
                    .zip(chunk.margins.chunks_mut(block_rows))
                    .zip(chunk.direction_margins.chunks_mut(block_rows))
                    .enumerate()
                    .map(move |(index, ((labels, margins), direction_margins))| Block {
                        features,
                        first: index * block_rows,
                        labels,
                        margins,
                        direction_margins,
                    })
            })
            .collect()
    }

    /// One pass over the features: loss, slope, curvature and gradient, summed in block order.
    fn evaluate(&mut self, at: At<'_>) -> Sums {
        self.passes.data += 1;
        let partial: Vec<Sums> = self.blocks().par_iter_mut().map(|block| evaluate_in_vectors(block, at)).collect();
        self.mean(&partial)
    }

    /// The sums of all blocks, in their order, over the rows.
    fn mean(&self, partial: &[Sums]) -> Sums {
        let mut sums = partial.iter().fold(Sums::zero(self.layout.features), Sums::add);
        let n = self.layout.rows as f64;
        sums.loss /= n;
        sums.slope /= n;
        sums.curvature /= n;
        for g in &mut sums.gradient {
            *g /= n;
        }
        sums
    }

    /// One pass over the features, with what is needed of the Hessian: each block gives it while the cache holds its
    /// columns, so that the pass still streams them once.
    fn evaluation(&mut self, at: At<'_>, need: Need) -> Evaluation {
        let (sums, diagonal, hessian) = match need {
            Need::Gradient => (self.evaluate(at), None, None),
            Need::Diagonal => {
                let (sums, diagonal) = self.evaluate_with_diagonal(at);
                (sums, Some(diagonal), None)
            }
            Need::Hessian => {
                let (sums, hessian) = self.product(Some(at), |z, _| terms(z, 0.0).curvature);
                (sums, None, Some(hessian))
            }
        };
        Evaluation { value: sums.loss, gradient: sums.gradient, diagonal, hessian }
    }

    /// [`Cpu::evaluate`], with the diagonal of `X'SX / n` and its row of the intercept where the rows then stand.
    fn evaluate_with_diagonal(&mut self, at: At<'_>) -> (Sums, Diagonal) {
        self.passes.data += 1;
        let n = self.layout.rows as f64;
        let size = self.layout.features + 1;
        let (sums, partial): (Vec<Sums>, Vec<Diagonal>) = self
            .blocks()
            .par_iter_mut()
            .map(|block| {
                let sums = evaluate_in_vectors(block, at);
                (sums, diagonal(block))
            })
            .unzip();
        let mut sum = Diagonal { own: vec![0.0; size], with_intercept: vec![0.0; size] };
        for part in &partial {
            for j in 0..size {
                sum.own[j] += part.own[j] / n;
                sum.with_intercept[j] += part.with_intercept[j] / n;
            }
        }
        (self.mean(&sums), sum)
    }

    /// One pass over the features: `X'WX / n` where the rows stand, x extended by 1, with a weight for each row from
    /// its margin and label; first an evaluation `at` a point, if there is one. Each run of blocks that are summed
    /// together is a job of its own, and their sums are added in order.
    fn product(&mut self, at: Option<At<'_>>, weight: impl Fn(f64, f64) -> f64 + Sync) -> (Sums, Symmetric) {
        self.passes.data += 1;
        self.passes.hessian += 1;
        let n = self.layout.features + 1;
        let together = self.layout.hessian_rows / self.layout.block_rows;
        let mut sum = Symmetric::zero(n);
        let mut sums = Vec::new();
        // A few jobs at a time: each holds a matrix of its own.
        let mut blocks = self.blocks();
        for few in blocks.chunks_mut(together * 2 * rayon::current_num_threads()) {
            let partial: Vec<(Vec<Sums>, Symmetric)> = few
                .par_chunks_mut(together)
                .map(|run| {
                    let mut product = Symmetric::zero(n);
                    let mut sums = Vec::new();
                    for block in run {
                        sums.extend(at.map(|at| evaluate_in_vectors(block, at)));
                        add_product(&mut product, block, &weight);
                    }
                    (sums, product)
                })
                .collect();
            for (part, product) in partial {
                sums.extend(part);
                sum.add(&product);
            }
        }
        drop(blocks);
        sum.scale(1.0 / self.layout.rows as f64);
        (self.mean(&sums), sum)
    }

    /// `phi`, `phi'`, `phi''` at `step`, from the cached margins alone.
    fn probe(&mut self, step: f64) -> Probe {
        self.passes.line += 1;
        let partial: Vec<[f64; 3]> = self
            .blocks()
            .par_iter_mut()
            .map(|block| {
                let mut rows = RowSums::default();
                in_vectors(
                    #[inline(always)]
                    || rows.take(block.margins, block.direction_margins, step, block.labels),
                );
                [rows.loss, rows.slope, rows.curvature]
            })
            .collect();
        let mut sums = [0.0; 3];
        for block in partial {
            for (sum, term) in sums.iter_mut().zip(block) {
                *sum += term;
            }
        }
        let [value, slope, curvature] = sums.map(|sum| sum / self.layout.rows as f64);
        Probe { step, value, slope, curvature }
    }

    /// `z += step u`: the rows stand at the step now.
    fn advance(&mut self, step: f64) {
        self.blocks().par_iter_mut().for_each(|block| {
            for (z, u) in block.margins.iter_mut().zip(&*block.direction_margins) {
                *z += step * u;
            }
        });
    }
}

/// Runs `work`, compiled for AVX2 where the processor has it. The operations are the same, four rows at a time instead
/// of two, and none are fused, so the bits are the same too.
fn in_vectors<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn compiled<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
            return unsafe { compiled(work) };
        }
    }
    work()
}

fn evaluate_in_vectors(block: &mut Block<'_>, at: At<'_>) -> Sums {
    in_vectors(
        #[inline(always)]
        || evaluate(block, at),
    )
}

/// Evaluates one block; two sweeps over its columns, the second from the cache.
#[inline(always)]
fn evaluate(block: &mut Block<'_>, at: At<'_>) -> Sums {
    let rows = block.labels.len();
    let columns = || block.features.iter().map(|column| &column[block.first..block.first + rows]);
    let mut sums = Sums::zero(block.features.len());
    if let At::Point(weights) | At::Along(weights, _) = at {
        let (intercept, weights) = weights.split_last().expect("the intercept is always there");
        block.direction_margins.fill(*intercept);
        for (column, weight) in columns().zip(weights) {
            add_scaled(block.direction_margins, *weight, column);
        }
    }
    let step = match at {
        At::Point(_) => {
            block.margins.copy_from_slice(block.direction_margins);
            block.direction_margins.fill(0.0);
            0.0
        }
        At::Along(_, step) => step,
        At::Here => 0.0,
    };
    let mut rows = RowSums::default();
    rows.take(block.margins, block.direction_margins, step, block.labels);
    for (sum, column) in sums.gradient.iter_mut().zip(columns()) {
        *sum = dot(column, &rows.residuals);
    }
    sums.gradient[block.features.len()] = sum(&rows.residuals);
    Sums { loss: rows.loss, slope: rows.slope, curvature: rows.curvature, ..sums }
}

/// Sums over the rows of a block that need no features, and the residuals for those that do.
#[derive(Default)]
struct RowSums {
    loss: f64,
    slope: f64,
    curvature: f64,
    residuals: Vec<f64>,
}

impl RowSums {
    /// Takes rows with margins `z + step u`. Term by term in one loop and sum by sum in others: the compiler may put
    /// the first into vector registers, and must not reorder a sum by itself.
    #[inline(always)]
    fn take(&mut self, margins: &[f64], direction_margins: &[f64], step: f64, labels: &[f32]) {
        let [mut losses, mut slopes, mut curvatures] = [(); 3].map(|()| vec![0.0; labels.len()]);
        self.residuals = vec![0.0; labels.len()];
        let states = margins.iter().zip(direction_margins).zip(labels);
        let results = losses.iter_mut().zip(&mut slopes).zip(&mut curvatures).zip(&mut self.residuals);
        for (((z, u), t), (((loss, slope), curvature), residual)) in states.zip(results) {
            let row = terms(z + step * u, f64::from(*t));
            *loss = row.loss;
            *slope = row.residual * u;
            *curvature = row.curvature * u * u;
            *residual = row.residual;
        }
        self.loss = sum(&losses);
        self.slope = sum(&slopes);
        self.curvature = sum(&curvatures);
    }
}

/// Sums of `S x_j^2` and `S x_j` of a block, x extended by 1.
fn diagonal(block: &Block<'_>) -> Diagonal {
    let curvatures: Vec<f64> = block.margins.iter().map(|z| terms(*z, 0.0).curvature).collect();
    let total: f64 = curvatures.iter().sum();
    let mut sums = Diagonal { own: Vec::new(), with_intercept: Vec::new() };
    for column in block.features {
        let column = &column[block.first..block.first + curvatures.len()];
        let weighted: Vec<f64> = column.iter().zip(&curvatures).map(|(x, s)| s * f64::from(*x)).collect();
        sums.own.push(dot(column, &weighted));
        sums.with_intercept.push(weighted.iter().sum());
    }
    sums.own.push(total);
    sums.with_intercept.push(total);
    sums
}

/// Rows of a Hessian's product: their columns in f64 stay in the cache.
const PRODUCT_ROWS: usize = 256;

/// Adds `X'WX` of a block, x extended by 1.
fn add_product(sum: &mut Symmetric, block: &Block<'_>, weight: impl Fn(f64, f64) -> f64) {
    let n = sum.size();
    let mut columns = Vec::with_capacity(PRODUCT_ROWS * n);
    let mut weighted = Vec::with_capacity(PRODUCT_ROWS * n);
    for (index, margins) in block.margins.chunks(PRODUCT_ROWS).enumerate() {
        let first = block.first + index * PRODUCT_ROWS;
        let labels = &block.labels[index * PRODUCT_ROWS..];
        let weights: Vec<f64> = margins.iter().zip(labels).map(|(z, t)| weight(*z, f64::from(*t))).collect();
        columns.clear();
        for column in block.features {
            columns.extend(column[first..first + margins.len()].iter().map(|x| f64::from(*x)));
        }
        columns.resize(margins.len() * n, 1.0);
        weighted.clear();
        for column in columns.chunks(margins.len()) {
            weighted.extend(column.iter().zip(&weights).map(|(x, w)| x * w));
        }
        sum.add_product(margins.len(), &weighted, &columns);
    }
}

/// `target += factor * column`.
#[inline(always)]
fn add_scaled(target: &mut [f64], factor: f64, column: &[f32]) {
    for (sum, x) in target.iter_mut().zip(column) {
        *sum += factor * f64::from(*x);
    }
}

/// The sum of `values` in eight accumulators, as in [`dot`].
#[inline(always)]
fn sum(values: &[f64]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for lane in 0..8 {
            sums[lane] += eight[lane];
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += value;
    }
    sums.iter().sum()
}

/// `column . residuals` in eight accumulators, so that the compiler may use vector registers: it must
/// not reorder a floating-point sum by itself.
#[inline(always)]
fn dot(column: &[f32], residuals: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (column, column_rest) = column.as_chunks::<8>();
    let (residuals, residuals_rest) = residuals.as_chunks::<8>();
    for (x, r) in column.iter().zip(residuals) {
        for lane in 0..8 {
            sums[lane] += f64::from(x[lane]) * r[lane];
        }
    }
    for ((sum, x), r) in sums.iter_mut().zip(column_rest).zip(residuals_rest) {
        *sum += f64::from(*x) * r;
    }
    sums.iter().sum()
}

impl Objective for Cpu {
    fn dimension(&self) -> usize {
        self.layout.features + 1
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        self.last_step = 0.0;
        Ok(self.evaluation(At::Point(point), need))
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(direction.len(), self.dimension(), "parameters of the direction and of the table");
        let sums = self.evaluate(At::Along(direction, first_step));
        self.last_step = first_step;
        let first = Probe { step: first_step, value: sums.loss, slope: sums.slope, curvature: sums.curvature };
        Ok(Box::new(CpuLine { cpu: self, first, gradient: sums.gradient }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let (_, scatter) = self.product(None, |z, t| terms(z, t).residual.powi(2));
        Ok(scatter)
    }

    fn passes(&self) -> Passes {
        self.passes
    }
}

struct CpuLine<'a> {
    cpu: &'a mut Cpu,
    first: Probe,
    /// Of the evaluation at the first step.
    gradient: Vec<f64>,
}

impl Line for CpuLine<'_> {
    fn first(&self) -> Probe {
        self.first
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        Ok(steps.iter().map(|&step| self.cpu.probe(step)).collect())
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        self.cpu.advance(step);
        self.cpu.last_step = 0.0;
        if step == self.first.step && need == Need::Gradient {
            return Ok(Evaluation { value: self.first.value, gradient: self.gradient, diagonal: None, hessian: None });
        }
        Ok(self.cpu.evaluation(At::Here, need))
    }
}

impl Backend for Cpu {
    fn row_terms(&mut self) -> Result<RowTerms> {
        let mut rows = RowTerms::default();
        for chunk in &self.chunks {
            rows.margins.extend(&chunk.margins);
            rows.direction_margins.extend(&chunk.direction_margins);
            let states = chunk.margins.iter().zip(&chunk.direction_margins).zip(&chunk.labels);
            rows.residuals.extend(states.map(|((z, u), t)| terms(z + self.last_step * u, f64::from(*t)).residual));
        }
        Ok(rows)
    }
}
