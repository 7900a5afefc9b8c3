//! The CPU backend: f64 arithmetic over f32 columns, on all cores, the same bits every time.
//!
//! It is the reference that the GPU is checked against, so it is plain: one function for a block, the
//! same blocks and the same order of their sums whatever the threads do and wherever the chunks are kept.

mod bandwidth;
mod block;
mod moments;
mod product;
mod softmax;
mod tables;

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::backend::layout::Layout;
use crate::backend::storage::{
    HostRecords, Limits, Part, Placement, RecordColumns, RecordLayout, Touched, chunk_bytes, record_of,
};
use crate::backend::{Backend, KeptRows, Loading, RowTerms, checked_weight, divisor, weight_of_block};
use crate::data::{Column, Design, Store};
use crate::error::Result;
use crate::generative::Moments;
use crate::logistic::terms;
use crate::matrix::{FewRows, Squares, Symmetric};
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};
use crate::vectors::in_vectors;

pub(super) use bandwidth::read_bandwidth;
use block::{At, Beside, Block, Columns, Nothing, Sums, block_rows, product_rows};
use product::{Panel, Product, Roots, is_wide};
use softmax::Softmax;
use tables::Tables;

/// A table being filled.
pub struct CpuTable {
    layout: Layout,
    tables: Arc<Tables>,
    records: HostRecords,
    keeps_rows: bool,
}

impl CpuTable {
    /// Reserves memory for a table.
    pub fn new(design: impl Into<Design>) -> Result<Self> {
        Self::within(design, &Limits::default())
    }

    /// Reserves room for a table within `limits`.
    pub fn within(design: impl Into<Design>, limits: &Limits) -> Result<Self> {
        Self::with_chunk_bytes(design, chunk_bytes(limits.host_bytes()), limits)
    }

    /// As [`CpuTable::within`], in chunks of at most `chunk_bytes`; no result depends on it.
    pub fn with_chunk_bytes(design: impl Into<Design>, chunk_bytes: usize, limits: &Limits) -> Result<Self> {
        let design = design.into();
        let shape = design.shape;
        let (block_rows, chunk_bytes) = match shape.classes {
            None => (block_rows(shape.columns), chunk_bytes),
            Some(_) => (softmax::block_rows(shape), softmax::chunk_bytes(shape, chunk_bytes)),
        };
        let layout = Layout::of_blocks(shape, block_rows, product_rows(shape), chunk_bytes);
        let record = record_of(&layout, size_of::<f64>());
        let records = HostRecords::new(layout.chunks(), record, limits)?;
        let tables = Tables::new(&design, vec![false; design.categories().count()]);
        Ok(Self { layout, tables: Arc::new(tables), records, keeps_rows: false })
    }

    /// A table whose Hessians keep of the categories that are `loose` ([`Design::loose`]) only what a
    /// [`Pattern`](crate::matrix::Pattern) does.
    pub fn with_loose(design: &Design, loose: Vec<bool>) -> Result<Self> {
        Ok(Self { tables: Arc::new(Tables::new(design, loose)), ..Self::new(design.clone())? })
    }

    /// A table whose Hessians are kept as its weighted rows where there are fewer of them than columns and no categories:
    /// with a diagonal added they are solved by a matrix of the rows.
    #[must_use]
    pub fn with_rows_kept(self) -> Self {
        let keeps_rows = is_wide(&self.tables) && self.layout.shape.rows < self.layout.shape.features;
        Self { keeps_rows, ..self }
    }
}

impl Loading for CpuTable {
    fn as_store(&mut self) -> Box<dyn Store + '_> {
        Box::new(CpuStore { layout: self.layout, columns: self.records.columns() })
    }

    fn placement(&self) -> Placement {
        self.records.placement()
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Backend>> {
        let Self { layout, tables, records, keeps_rows } = *self;
        let weight = layout.shape.rows as f64;
        let mut cpu =
            Cpu { layout, tables, records, keeps_rows, kept: None, weight, passes: Passes::default(), last_step: 0.0 };
        if layout.shape.weights {
            cpu.weight = cpu.sum_row_weights()?;
        }
        Ok(match layout.shape.classes {
            None => Box::new(cpu),
            Some(_) => Box::new(Softmax::new(cpu)),
        })
    }
}

/// Takes the columns of a table.
struct CpuStore<'t> {
    layout: Layout,
    columns: RecordColumns<'t>,
}

impl Store for CpuStore<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut values = values;
        for (chunk, rows) in self.layout.pieces(first_row, values.len()) {
            let (here, rest) = values.split_at(rows.len());
            values = rest;
            self.columns.write(chunk, column, rows.start, here)?;
        }
        Ok(())
    }
}

/// The CPU backend with a table.
pub struct Cpu {
    layout: Layout,
    tables: Arc<Tables>,
    records: HostRecords,
    /// Hessians are kept as weighted rows; the rows, once there was one.
    keeps_rows: bool,
    kept: Option<Arc<FewRows>>,
    /// N, the sum of the row weights.
    weight: f64,
    passes: Passes,
    /// The step of the last evaluation from where the objective stands.
    last_step: f64,
}

/// The blocks of the chunk in a record.
fn blocks<'a>(
    layout: &Layout,
    tables: &'a Tables,
    record: &RecordLayout,
    chunk: usize,
    bytes: &'a mut [u8],
) -> impl Iterator<Item = Block<'a>> + use<'a> {
    let rows = layout.rows_of(chunk);
    let block_rows = layout.block_rows;
    let stride = record.stride;
    let (columns, state) = bytes.split_at_mut(record.range(Part::Margins).start);
    let columns: &'a [u8] = columns;
    let part = |part| bytemuck::cast_slice::<u8, f32>(&columns[record.range(part)]);
    let (values, labels) = (part(Part::Features), part(Part::Labels));
    let row_weights = record.shape.weights.then(|| part(Part::RowWeights));
    let offsets = record.shape.offsets.then(|| part(Part::Offsets));
    let per_row = record.shape.margins();
    let (margins, direction_margins) = bytemuck::cast_slice_mut::<u8, f64>(state).split_at_mut(per_row * stride);
    labels[..rows]
        .chunks(block_rows)
        .zip(margins[..per_row * rows].chunks_mut(per_row * block_rows))
        .zip(direction_margins[..per_row * rows].chunks_mut(per_row * block_rows))
        .enumerate()
        .map(move |(index, ((labels, margins), direction_margins))| {
            let (first, rows) = (index * block_rows, labels.len());
            Block {
                columns: Columns { tables, values, stride, first, rows },
                labels,
                row_weights: row_weights.map(|weights| &weights[first..first + rows]),
                offsets: offsets.map(|offsets| &offsets[first..first + rows]),
                margins,
                direction_margins,
            }
        })
}

/// How the blocks of a pass become jobs.
#[derive(Clone, Copy)]
struct Jobs {
    /// Blocks of a job.
    blocks: usize,
    /// Jobs at a time, because each holds memory of its own.
    at_a_time: usize,
}

/// A job a block, all of them at once.
const BLOCK_BY_BLOCK: Jobs = Jobs { blocks: 1, at_a_time: usize::MAX };

/// All blocks of a chunk in one job.
const ALL_BLOCKS: Jobs = Jobs { blocks: usize::MAX, at_a_time: 1 };

/// Rows of a panel, a power of two as those of a block.
const PANEL_ROWS: usize = 512;

/// Memory of the panels of rows that wait to be multiplied at most; two of them whatever their size.
const PANELS_BYTES: usize = 32 << 20;

/// Memory of the products that wait to be added at most; one of them whatever its size.
const PRODUCTS_BYTES: usize = 1 << 30;

const FEATURES: Touched = [&[Part::Features], &[]];
const OUTCOMES: Touched = [&[Part::Labels, Part::RowWeights, Part::Offsets], &[]];
// Of what is touched, row weights and offsets are empty where the table has none.
const ROW_WEIGHTS: Touched = [&[Part::RowWeights], &[]];
const PROBE: Touched = [&[Part::Labels, Part::RowWeights, Part::Margins, Part::DirectionMargins], &[]];
const ADVANCE: Touched = [&[Part::Margins, Part::DirectionMargins], &[Part::Margins]];
const FROM_MARGINS: Touched = [&[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], &[]];

/// What an evaluation touches.
fn touched(at: At<'_>) -> Touched {
    match at {
        At::Point(_) => {
            const READ: &[Part] = &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets];
            [READ, &[Part::Margins, Part::DirectionMargins]]
        }
        At::Along(..) => [&[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], &[Part::DirectionMargins]],
        At::Here => FROM_MARGINS,
    }
}

impl Cpu {
    /// Runs `work` on every block of the table, and hands what it makes to `take` in the order of the blocks.
    fn pass<T: Send>(
        &mut self,
        touched: Touched,
        jobs: Jobs,
        work: impl Fn(&mut [Block<'_>]) -> T + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let Self { layout, tables, records, .. } = self;
        let layout = *layout;
        let record = records.layout;
        let mut run = |mut blocks: Vec<Block<'_>>| {
            for few in blocks.chunks_mut(jobs.blocks.saturating_mul(jobs.at_a_time)) {
                let made: Vec<T> = few.par_chunks_mut(jobs.blocks).map(&work).collect();
                made.into_iter().for_each(&mut take);
            }
        };
        let in_memory = records.in_memory().enumerate();
        run(in_memory.flat_map(|(chunk, bytes)| blocks(&layout, tables, &record, chunk, bytes)).collect());
        records.stream_scratch(touched, |mut visit| {
            if let Some(visit) = &mut visit {
                run(blocks(&layout, tables, &record, visit.index, visit.record).collect());
            }
            Ok(visit)
        })
    }

    /// N, from the row weights as they are stored.
    fn sum_row_weights(&mut self) -> Result<f64> {
        let mut weight = 0.0;
        let of_block = |blocks: &mut [Block<'_>]| blocks[0].row_weights.map_or(0.0, weight_of_block);
        self.pass(ROW_WEIGHTS, BLOCK_BY_BLOCK, of_block, |of_block| weight += of_block)?;
        checked_weight(weight)
    }

    /// One pass over the features: loss, slope, curvature and gradient, summed in block order.
    fn evaluate(&mut self, at: At<'_>) -> Result<Sums> {
        let (sums, _) = self.evaluate_beside(at, || Nothing)?;
        Ok(sums)
    }

    /// One pass over the features, with what `beside` makes of each block.
    fn evaluate_beside<B: Beside + Send>(
        &mut self,
        at: At<'_>,
        beside: impl Fn() -> B + Sync,
    ) -> Result<(Sums, Vec<B>)> {
        self.passes.data += 1;
        let mut sums = Sums::zero(self.tables.wide());
        let mut made = Vec::new();
        self.pass(
            touched(at),
            BLOCK_BY_BLOCK,
            |blocks| {
                let mut beside = beside();
                (evaluate(&mut blocks[0], at, &mut beside), beside)
            },
            |(part, beside)| {
                sums.add(&part);
                made.push(beside);
            },
        )?;
        self.mean(&mut sums);
        Ok((sums, made))
    }

    /// Sums over the rows become means, and what belongs to parameters is in their order.
    fn mean(&self, sums: &mut Sums) {
        let n = divisor(self.weight);
        sums.loss /= n;
        sums.slope /= n;
        sums.curvature /= n;
        sums.gradient = self.of_parameters(&sums.gradient, n);
    }

    /// Of wide sums, those of the parameters, divided by `n`.
    fn of_parameters(&self, wide: &[f64], n: f64) -> Vec<f64> {
        self.tables.narrow(wide).into_iter().map(|sum| sum / n).collect()
    }

    /// One pass over the features, with what is needed of the Hessian: each tile gives it while the cache holds its
    /// columns, so that the pass still streams them once.
    fn evaluation(&mut self, at: At<'_>, need: Need) -> Result<Evaluation> {
        let (sums, diagonal, hessian) = match need {
            Need::Gradient => (self.evaluate(at)?, None, None),
            Need::Diagonal => {
                let (sums, diagonal) = self.evaluate_with_diagonal(at)?;
                (sums, Some(diagonal), None)
            }
            Need::Hessian => {
                let (sums, hessian) = self.product(Some(at), |z, _| terms(z, 0.0).curvature)?;
                (sums, None, Some(hessian))
            }
        };
        Ok(Evaluation { value: sums.loss, gradient: sums.gradient, diagonal, hessian })
    }

    /// [`Cpu::evaluate`], with the diagonal of `X'SX / N` and its row of the intercept where the rows then stand.
    fn evaluate_with_diagonal(&mut self, at: At<'_>) -> Result<(Sums, Diagonal)> {
        let wide = self.tables.wide();
        let zero = || Diagonal { own: vec![0.0; wide], with_intercept: vec![0.0; wide] };
        let (sums, partial) = self.evaluate_beside(at, zero)?;
        let n = divisor(self.weight);
        let mut sum = zero();
        for part in &partial {
            for j in 0..wide {
                sum.own[j] += part.own[j] / n;
                sum.with_intercept[j] += part.with_intercept[j] / n;
            }
        }
        let [own, with_intercept] = [sum.own, sum.with_intercept].map(|wide| self.tables.narrow(&wide));
        Ok((sums, Diagonal { own, with_intercept }))
    }

    /// One pass over the features: `X'FX / N` where the rows stand, x extended by 1, with a factor for each row from its
    /// margin and label, times the row weight; first an evaluation `at` a point, if there is one. Each run of blocks that are summed
    /// together is a job of its own, and their sums are added in order.
    fn product(
        &mut self,
        at: Option<At<'_>>,
        factor: impl Fn(f64, f64) -> f64 + Copy + Sync + Send,
    ) -> Result<(Sums, Symmetric)> {
        self.passes.data += 1;
        self.passes.hessian += 1;
        if self.keeps_rows {
            return self.product_of_kept_rows(at, factor);
        }
        if is_wide(&self.tables) {
            return self.wide_product(at, factor);
        }
        let tables = Arc::clone(&self.tables);
        let mut sums = Sums::zero(tables.wide());
        let mut product = Product::new(&tables, factor);
        // Each job holds a matrix of its own.
        let jobs = Jobs {
            blocks: self.layout.hessian_rows / self.layout.block_rows,
            at_a_time: (PRODUCTS_BYTES / product.bytes()).clamp(1, 4 * rayon::current_num_threads()),
        };
        self.pass(
            at.map_or(FROM_MARGINS, touched),
            jobs,
            |run| {
                let mut product = Product::new(&tables, factor);
                let mut sums = Sums::zero(tables.wide());
                for block in run {
                    match at {
                        Some(at) => sums.add(&evaluate(block, at, &mut product)),
                        None => in_vectors(
                            #[inline(always)]
                            || block.visit(&mut product),
                        ),
                    }
                }
                (sums, product)
            },
            |(part, of_run)| {
                sums.add(&part);
                product.add(&of_run);
            },
        )?;
        self.mean(&mut sums);
        Ok((sums, product.matrix(divisor(self.weight))))
    }

    /// As [`Cpu::product`], of many columns: one matrix, to which all cores add some rows after the others.
    fn wide_product(
        &mut self,
        at: Option<At<'_>>,
        factor: impl Fn(f64, f64) -> f64 + Copy + Sync + Send,
    ) -> Result<(Sums, Symmetric)> {
        let columns = self.tables.plain() + 1;
        let mut sums = Sums::zero(self.tables.wide());
        let mut squares = Squares::zero(columns);
        // Fresh memory of this size is cleared by the system every time.
        let spare: Mutex<Vec<Vec<f64>>> = Mutex::new(Vec::new());
        let spare_panels = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        // A product of many rows goes by the sums less often. Chunks are whole runs of blocks that are summed together.
        let [in_panel, together] = [PANEL_ROWS, self.layout.hessian_rows].map(|rows| rows / self.layout.block_rows);
        let blocks = in_panel.clamp(1, together);
        let bytes = size_of::<f64>() * blocks * self.layout.block_rows * columns;
        self.pass(
            at.map_or(FROM_MARGINS, touched),
            Jobs { blocks, at_a_time: (PANELS_BYTES / bytes).clamp(2, 64) },
            |run| {
                let memory = spare_panels().pop().unwrap_or_default();
                let rows = run.iter().map(|block| block.labels.len()).sum();
                let mut panel = Panel::new(columns, rows, factor, memory);
                let sums = beside_evaluations(run, at, &mut panel, columns);
                (sums, panel.columns)
            },
            |(of_run, panel)| {
                sums.add(&of_run);
                squares.add(&panel);
                spare_panels().push(panel);
            },
        )?;
        self.mean(&mut sums);
        Ok((sums, squares.divided_by(divisor(self.weight))))
    }

    /// As [`Cpu::product`], of rows that are kept as they are.
    fn product_of_kept_rows(
        &mut self,
        at: Option<At<'_>>,
        factor: impl Fn(f64, f64) -> f64 + Copy + Sync + Send,
    ) -> Result<(Sums, Symmetric)> {
        let wide = self.tables.wide();
        let mut sums = Sums::zero(wide);
        let mut roots = Vec::with_capacity(self.layout.shape.rows);
        self.pass(
            at.map_or(FROM_MARGINS, touched),
            BLOCK_BY_BLOCK,
            |blocks| {
                let mut of_block = Roots::new(blocks[0].labels.len(), factor);
                let sums = beside_evaluations(blocks, at, &mut of_block, wide);
                (sums, of_block.roots)
            },
            |(of_block, roots_of_block)| {
                sums.add(&of_block);
                roots.extend(roots_of_block);
            },
        )?;
        self.mean(&mut sums);
        let mut matrix = Symmetric::of_few_rows(self.kept_columns()?, roots);
        matrix.scale(1.0 / divisor(self.weight));
        Ok((sums, matrix))
    }

    /// The columns of all rows, x extended by 1: copied the first time.
    fn kept_columns(&mut self) -> Result<Arc<FewRows>> {
        if let Some(kept) = &self.kept {
            return Ok(Arc::clone(kept));
        }
        let (columns, all) = (self.tables.plain() + 1, self.layout.shape.rows);
        let mut kept: Vec<f32> = Vec::new();
        let mut first = 0;
        self.pass(
            FEATURES,
            ALL_BLOCKS,
            |blocks| {
                let rows = blocks.iter().map(|block| block.labels.len()).sum();
                let mut values = vec![0.0; columns * rows];
                values.par_chunks_mut(rows).with_min_len(64).enumerate().for_each(|(j, mut column)| {
                    for block in &*blocks {
                        let (of_block, rest) = column.split_at_mut(block.labels.len());
                        if j < block.columns.tables.plain() {
                            of_block.copy_from_slice(block.columns.column(j));
                        } else {
                            of_block.fill(1.0);
                        }
                        column = rest;
                    }
                });
                (rows, values)
            },
            |(rows, values)| {
                if rows == all {
                    kept = values;
                    return;
                }
                kept.resize(columns * all, 0.0);
                for (column, of_chunk) in kept.chunks_exact_mut(all).zip(values.chunks(rows)) {
                    column[first..first + rows].copy_from_slice(of_chunk);
                }
                first += rows;
            },
        )?;
        let kept = Arc::new(FewRows::new(all, kept));
        self.kept = Some(Arc::clone(&kept));
        Ok(kept)
    }

    /// `phi`, `phi'`, `phi''` at `step`, from the cached margins alone.
    fn probe(&mut self, step: f64) -> Result<Probe> {
        self.passes.line += 1;
        let mut sums = [0.0; 3];
        self.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                in_vectors(
                    #[inline(always)]
                    || blocks[0].probe(step),
                )
            },
            |block| {
                for (sum, term) in sums.iter_mut().zip(block) {
                    *sum += term;
                }
            },
        )?;
        let [value, slope, curvature] = sums.map(|sum| sum / divisor(self.weight));
        Ok(Probe { step, value, slope, curvature })
    }

    /// `z += step u`: the rows stand at the step now.
    fn advance(&mut self, step: f64) -> Result<()> {
        self.pass(
            ADVANCE,
            BLOCK_BY_BLOCK,
            |blocks| {
                in_vectors(
                    #[inline(always)]
                    || blocks[0].advance(step),
                );
            },
            |()| {},
        )
    }
}

/// What `beside` makes of each tile of some blocks, first evaluated `at` a point, if there is one; and their sums, `[wide]`.
fn beside_evaluations(blocks: &mut [Block<'_>], at: Option<At<'_>>, beside: &mut impl Beside, wide: usize) -> Sums {
    let mut sums = Sums::zero(wide);
    for block in blocks {
        match at {
            Some(at) => sums.add(&evaluate(block, at, beside)),
            None => in_vectors(
                #[inline(always)]
                || block.visit(beside),
            ),
        }
    }
    sums
}

/// [`Block::evaluate`] in vector registers.
fn evaluate(block: &mut Block<'_>, at: At<'_>, beside: &mut impl Beside) -> Sums {
    in_vectors(
        #[inline(always)]
        || block.evaluate(at, beside),
    )
}

impl Objective for Cpu {
    fn dimension(&self) -> usize {
        self.layout.shape.features + 1
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        self.last_step = 0.0;
        let point = self.tables.widen(point);
        self.evaluation(At::Point(&point), need)
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(direction.len(), self.dimension(), "parameters of the direction and of the table");
        let sums = self.evaluate(At::Along(&self.tables.widen(direction), first_step))?;
        self.last_step = first_step;
        let first = Probe { step: first_step, value: sums.loss, slope: sums.slope, curvature: sums.curvature };
        Ok(Box::new(CpuLine { cpu: self, first, gradient: sums.gradient }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let (_, scatter) = self.product(None, |z, t| terms(z, t).residual.powi(2))?;
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
        steps.iter().map(|&step| self.cpu.probe(step)).collect()
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        self.cpu.advance(step)?;
        self.cpu.last_step = 0.0;
        if step == self.first.step && need == Need::Gradient {
            return Ok(Evaluation { value: self.first.value, gradient: self.gradient, diagonal: None, hessian: None });
        }
        self.cpu.evaluation(At::Here, need)
    }
}

impl Backend for Cpu {
    fn weight(&self) -> f64 {
        self.weight
    }

    fn moments(&mut self) -> Result<Moments> {
        moments::of(self)
    }

    fn kept_rows(&mut self) -> Result<Option<KeptRows>> {
        if !self.keeps_rows {
            return Ok(None);
        }
        let mut rows =
            KeptRows { columns: self.kept_columns()?, labels: Vec::new(), weights: Vec::new(), offsets: Vec::new() };
        self.pass(
            OUTCOMES,
            BLOCK_BY_BLOCK,
            |blocks| {
                let Block { labels, row_weights, offsets, .. } = &blocks[0];
                let widened = |of: Option<&[f32]>, default: f64| match of {
                    Some(values) => values.iter().map(|x| f64::from(*x)).collect(),
                    None => vec![default; labels.len()],
                };
                [widened(Some(labels), 0.0), widened(*row_weights, 1.0), widened(*offsets, 0.0)]
            },
            |[labels, weights, offsets]| {
                rows.labels.extend(labels);
                rows.weights.extend(weights);
                rows.offsets.extend(offsets);
            },
        )?;
        Ok(Some(rows))
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        let mut rows = RowTerms::default();
        let step = self.last_step;
        self.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                let block = &blocks[0];
                let (z, u) = (block.margins.to_vec(), block.direction_margins.to_vec());
                let states = z.iter().zip(&u).zip(block.labels);
                let residuals: Vec<f64> =
                    states.map(|((z, u), t)| terms(z + step * u, f64::from(*t)).residual).collect();
                (z, u, residuals)
            },
            |(margins, direction_margins, residuals)| {
                rows.margins.extend(margins);
                rows.direction_margins.extend(direction_margins);
                rows.residuals.extend(residuals);
            },
        )?;
        Ok(rows)
    }
}
