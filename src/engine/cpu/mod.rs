//! The CPU engine: f64 arithmetic over f32 columns, on all cores, the same bits every time.
//!
//! It is the reference that the GPU is checked against, so it is plain: one function for a block, the
//! same blocks and the same tree of their sums whatever the threads do and wherever the chunks are kept. What differs
//! between two classes and several is their `Loss`.

mod bandwidth;
mod block;
mod cells;
mod columns;
mod diagonal;
mod hessian;
mod logistic;
mod lookup;
mod loss;
mod moments;
mod product;
mod several;
mod softmax;
mod stored;

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::data::{Column, Design, Shape, Store};
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, HostColumns, HostStore, Limits, Part, Placement, chunk_bytes, host_layout};
use crate::engine::work::{CellMoments, CellSums, HeldOut, Work, total};
use crate::engine::{Engine, KeptRows, RowTerms, TableBuilder, restrict};
use crate::error::{Error, Result};
use crate::fold::{Fold, Segments};
use crate::lda::ClassMoments;
use crate::matrix::{FewRows, Squares, Symmetric};
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe, columns_of};
use crate::vectors::in_vectors;

pub(super) use bandwidth::read_bandwidth;
use block::{At, Block, Sums, block_rows, product_rows};
use diagonal::Border;
use hessian::{PairEntries, Pairs, Panel, Roots, Square, is_wide, matrix_of};
use logistic::Logistic;
use lookup::Lookup;
use loss::{Factors, Loss, Nothing, TileSink};
use product::Entries;
use softmax::Softmax;
use stored::{ALL_BLOCKS, BLOCK_BY_BLOCK, Jobs, Stored};

/// A table being filled.
pub struct CpuTableBuilder {
    layout: Layout,
    lookup: Arc<Lookup>,
    host_chunks: HostStore,
    keeps_rows: bool,
}

/// Of the bytes of a chunk, those of its features where one margin a row comes beside them: other margins take their share.
fn share_of_features(shape: Shape, bytes: usize) -> usize {
    let features = 4 * shape.columns.max(1);
    let share = features as f64 / (features + 16 * (shape.margins() - 1)) as f64;
    (bytes as f64 * share) as usize
}

impl CpuTableBuilder {
    /// Reserves memory for a table.
    pub fn new(design: impl Into<Design>) -> Result<Self> {
        Self::within(design, &Limits::default())
    }

    /// Reserves room for a table within `limits`.
    pub fn within(design: impl Into<Design>, limits: &Limits) -> Result<Self> {
        Self::with_chunk_bytes(design, chunk_bytes(limits.host_bytes()), limits)
    }

    /// As [`CpuTableBuilder::within`], in chunks of at most `chunk_bytes`; no result depends on it.
    pub fn with_chunk_bytes(design: impl Into<Design>, chunk_bytes: usize, limits: &Limits) -> Result<Self> {
        let design = design.into();
        let shape = design.shape;
        let tile = match shape.classes {
            None => Logistic.tile_rows(shape.columns),
            Some(_) => Softmax(shape.margins()).tile_rows(shape.columns),
        };
        let block_rows = block_rows(shape.columns, shape.margins(), tile);
        let chunk_bytes = share_of_features(shape, chunk_bytes);
        let layout = Layout::of_blocks(shape, block_rows, product_rows(shape), chunk_bytes).in_cells(&design);
        let host = host_layout(&layout, size_of::<f64>());
        let host_chunks = HostStore::new(layout.chunks(), host, limits)?;
        let lookup = Lookup::new(&design, vec![false; design.categories().count()]);
        Ok(Self { layout, lookup: Arc::new(lookup), host_chunks, keeps_rows: false })
    }

    /// A table whose Hessians keep of the categories that are `loose` ([`Design::loose`]) only what a
    /// [`Pattern`](crate::matrix::Pattern) does.
    pub fn with_loose(design: &Design, loose: Vec<bool>) -> Result<Self> {
        Ok(Self { lookup: Arc::new(Lookup::new(design, loose)), ..Self::new(design.clone())? })
    }

    /// A table whose Hessians are kept as its weighted rows where there are fewer of them than columns and no categories:
    /// with a diagonal added they are solved by a matrix of the rows.
    #[must_use]
    pub fn with_rows_kept(self) -> Self {
        let keeps_rows = is_wide(&self.lookup) && self.layout.shape.rows < self.layout.shape.features;
        Self { keeps_rows, ..self }
    }
}

impl TableBuilder for CpuTableBuilder {
    fn as_store(&mut self) -> Box<dyn Store + '_> {
        Box::new(CpuStore { layout: self.layout.clone(), columns: self.host_chunks.columns() })
    }

    fn placement(&self) -> Placement {
        self.host_chunks.placement()
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Engine>> {
        let Self { layout, lookup, host_chunks, keeps_rows } = *self;
        let shape = layout.shape;
        let stored = Stored::new(layout, lookup, host_chunks)?;
        Ok(match shape.classes {
            None => Box::new(Cpu::new(Logistic, stored, keeps_rows)),
            Some(_) => Box::new(Cpu::new(Softmax(shape.margins()), stored, keeps_rows)),
        })
    }
}

/// Takes the columns of a table.
struct CpuStore<'t> {
    layout: Layout,
    columns: HostColumns<'t>,
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

/// The CPU engine with a table.
struct Cpu<L> {
    loss: L,
    stored: Stored,
    /// Hessians are kept as weighted rows; the rows, once there was one.
    keeps_rows: bool,
    kept: Option<Arc<FewRows>>,
    passes: Passes,
    /// The step of the last evaluation from where the objective stands.
    last_step: f64,
}

/// Rows of a panel, a power of two as those of a block.
const PANEL_ROWS: usize = 512;

/// Memory of the panels of rows that wait to be multiplied at most; two of them whatever their size.
const PANELS_BYTES: usize = 32 << 20;

/// Rows of a sum of panels at least, and for each column: adding up two such sums takes far less than the panels did.
const SUM_ROWS: usize = 1 << 17;
const SUM_ROWS_A_COLUMN: usize = 64;

const FEATURES: Access = Access { reads: &[Part::Features], writes: &[] };
const OUTCOMES: Access = Access { reads: &[Part::Labels, Part::RowWeights, Part::Offsets], writes: &[] };
const PROBE: Access =
    Access { reads: &[Part::Labels, Part::RowWeights, Part::Margins, Part::DirectionMargins], writes: &[] };
const ADVANCE: Access = Access { reads: &[Part::Margins, Part::DirectionMargins], writes: &[Part::Margins] };

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// What an evaluation touches.
fn access(at: At<'_>) -> Access {
    match at {
        At::Point(_) => {
            Access { reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets], writes: &[Part::Margins] }
        }
        At::Along(..) => Access {
            reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Margins],
            writes: &[Part::DirectionMargins],
        },
        At::Here => Access { reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], writes: &[] },
    }
}

impl<L: Loss> Cpu<L> {
    fn new(loss: L, stored: Stored, keeps_rows: bool) -> Self {
        Self { loss, stored, keeps_rows, kept: None, passes: Passes::default(), last_step: 0.0 }
    }

    /// Places of a vector with those of all margins.
    fn wide(&self) -> usize {
        self.loss.margins() * self.stored.lookup.wide()
    }

    /// One pass over the features: loss, slope, curvature and gradient as means. A sink gets the tiles of each job while
    /// the cache holds them, so that the pass still streams them once; `take` gets the sinks in their order.
    fn evaluate<S: TileSink<L> + Send>(
        &mut self,
        at: At<'_>,
        jobs: Jobs,
        sink: impl Fn(&[Block<'_>]) -> S + Sync,
        mut take: impl FnMut(S),
    ) -> Result<Sums> {
        self.passes.data += 1;
        let (loss, columns, wide) = (self.loss, self.stored.layout.shape.columns, self.wide());
        let mut sums = Fold::default();
        self.stored.pass(
            access(at),
            jobs,
            |blocks| {
                let (mut sink, mut space) = (sink(blocks), loss.workspace(columns));
                let mut sums = Fold::from(blocks[0].place);
                for block in blocks {
                    sums.push(in_vectors(
                        #[inline(always)]
                        || block.evaluate(loss, at, &mut space, &mut sink),
                    ));
                }
                (sums, sink)
            },
            |(of_job, sink)| {
                // Jobs end with their cells: they go on in the tree over all blocks wherever that is.
                sums.append(of_job);
                take(sink);
            },
        )?;
        let sums = sums.finish().unwrap_or_else(|| Sums::zero(wide));
        let n = self.stored.divisor();
        Ok(Sums {
            loss: sums.loss / n,
            slope: sums.slope / n,
            curvature: sums.curvature / n,
            gradient: self.stored.means_of_parameters(&sums.gradient),
        })
    }

    /// An evaluation, with what is needed of the Hessian.
    fn evaluation(&mut self, at: At<'_>, need: Need) -> Result<Evaluation> {
        let (sums, diagonal, hessian) = match need {
            Need::Gradient => {
                let jobs = Stored::block_by_block(self.wide());
                (self.evaluate(at, jobs, |_| Nothing, drop)?, None, None)
            }
            Need::Diagonal => {
                let (loss, columns) = (self.loss, self.stored.layout.shape.columns);
                let wide = self.stored.lookup.wide();
                let mut diagonal = Fold::default();
                let jobs = Stored::block_by_block(3 * self.wide());
                let sink = |_: &[Block<'_>]| Border::new(loss, columns, wide);
                let sums = self.evaluate(at, jobs, sink, |border| diagonal.push(border.into_diagonal()))?;
                let mut diagonal =
                    diagonal.finish().unwrap_or_else(|| Border::new(loss, columns, wide).into_diagonal());
                for vector in [&mut diagonal.own, &mut diagonal.with_intercept] {
                    *vector = self.stored.means_of_parameters(vector);
                }
                (sums, Some(diagonal), None)
            }
            Need::Hessian => {
                let (sums, hessian) = self.product(at, Factors::Curvatures)?;
                (sums, None, Some(hessian))
            }
        };
        Ok(Evaluation { value: sums.loss, gradient: sums.gradient, diagonal, hessian })
    }

    /// One pass over the features: an evaluation, and `X'FX / N` where the rows then stand, x extended by 1, with factors
    /// times the row weight. Each run of blocks that are summed together is a job of its own.
    fn product(&mut self, at: At<'_>, what: Factors) -> Result<(Sums, Symmetric)> {
        self.passes.hessian += 1;
        // The factors of two margins may be negative, and have no roots.
        if self.loss.margins() > 1 {
            return self.product_of_pairs(at, what);
        }
        if self.keeps_rows {
            return self.product_of_kept_rows(at, what);
        }
        if is_wide(&self.stored.lookup) {
            return self.product_of_panels(at, what);
        }
        let (lookup, loss) = (Arc::clone(&self.stored.lookup), self.loss);
        let zero = Entries::new(&lookup);
        let jobs = self.stored.together(zero.bytes());
        let mut entries = self.stored.segments(jobs, zero.bytes());
        let sink = |_: &[Block<'_>]| Square::new(&lookup, loss, what);
        let sums = self.evaluate(at, jobs, sink, |square| entries.push(square.into_entries()))?;
        let n = self.stored.divisor();
        Ok((sums, matrix_of(&entries.finish().unwrap_or(zero), n)))
    }

    /// As [`Cpu::product`], of several margins.
    fn product_of_pairs(&mut self, at: At<'_>, what: Factors) -> Result<(Sums, Symmetric)> {
        let (lookup, loss) = (Arc::clone(&self.stored.lookup), self.loss);
        assert!(lookup.pattern().is_none(), "a softmax has its Hessians whole");
        let zero = PairEntries::new(&lookup, loss.margins());
        let jobs = self.stored.together(zero.bytes());
        let mut entries = self.stored.segments(jobs, zero.bytes());
        let sink = |_: &[Block<'_>]| Pairs::new(&lookup, loss, what);
        let sums = self.evaluate(at, jobs, sink, |pairs| entries.push(pairs.into_entries()))?;
        let n = self.stored.divisor();
        Ok((sums, entries.finish().unwrap_or(zero).matrix(loss.margins(), n)))
    }

    /// As [`Cpu::product`], of many columns and one margin: one matrix, to which all cores add some rows after the others.
    fn product_of_panels(&mut self, at: At<'_>, what: Factors) -> Result<(Sums, Symmetric)> {
        let (loss, layout) = (self.loss, self.stored.layout.clone());
        let columns = self.stored.lookup.plain() + 1;
        // Fresh memory of this size is cleared by the system every time.
        let spare: Mutex<Vec<Vec<f64>>> = Mutex::new(Vec::new());
        let spare_panels = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        // A product of many rows goes by the sums less often. Chunks are whole runs of blocks that are summed together.
        let [in_panel, together] = [PANEL_ROWS, layout.hessian_rows].map(|rows| rows / layout.block_rows);
        let blocks = in_panel.clamp(1, together);
        let rows = blocks * layout.block_rows;
        let jobs = Jobs { blocks, at_a_time: (PANELS_BYTES / (size_of::<f64>() * rows * columns)).clamp(2, 64) };
        let bytes = size_of::<f64>() * columns * columns;
        let of_sum = (SUM_ROWS / rows).max((SUM_ROWS_A_COLUMN * columns).div_ceil(rows)).next_power_of_two();
        let mut squares = Segments::of(self.stored.parts_of_segment(jobs, bytes).max(of_sum));
        let sums = self.evaluate(
            at,
            jobs,
            |blocks| {
                let memory = spare_panels().pop().unwrap_or_default();
                let rows = blocks.iter().map(|block| block.labels.len()).sum();
                Panel::new(columns, rows, loss, what, memory)
            },
            |panel| {
                let panel = panel.into_columns();
                squares.push_with(1, || Squares::zero(columns), |squares: &mut Squares| squares.add(&panel));
                spare_panels().push(panel);
            },
        )?;
        let squares = squares.finish().unwrap_or_else(|| Squares::zero(columns));
        Ok((sums, squares.divided_by(self.stored.divisor())))
    }

    /// As [`Cpu::product`], of rows with one margin that are kept as they are.
    fn product_of_kept_rows(&mut self, at: At<'_>, what: Factors) -> Result<(Sums, Symmetric)> {
        let loss = self.loss;
        let mut roots = Vec::with_capacity(self.stored.layout.shape.rows);
        let sink = |blocks: &[Block<'_>]| Roots::new(blocks[0].labels.len(), loss, what);
        let sums = self.evaluate(at, BLOCK_BY_BLOCK, sink, |of_block| roots.extend(of_block.into_roots()))?;
        let mut matrix = Symmetric::of_few_rows(self.kept_columns()?, roots);
        matrix.scale(1.0 / self.stored.divisor());
        Ok((sums, matrix))
    }

    /// The columns of all rows, x extended by 1: copied the first time.
    fn kept_columns(&mut self) -> Result<Arc<FewRows>> {
        if let Some(kept) = &self.kept {
            return Ok(Arc::clone(kept));
        }
        let (columns, all) = (self.stored.lookup.plain() + 1, self.stored.layout.shape.rows);
        let mut kept: Vec<f32> = Vec::new();
        let mut first = 0;
        self.stored.pass(
            FEATURES,
            ALL_BLOCKS,
            |blocks| {
                let rows = blocks.iter().map(|block| block.labels.len()).sum();
                let mut values = vec![0.0; columns * rows];
                values.par_chunks_mut(rows).with_min_len(64).enumerate().for_each(|(j, mut column)| {
                    for block in &*blocks {
                        let (of_block, rest) = column.split_at_mut(block.labels.len());
                        if j < block.columns.lookup.plain() {
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
        let (loss, columns) = (self.loss, self.stored.layout.shape.columns);
        let mut sums = Fold::default();
        self.stored.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                let mut space = loss.workspace(columns);
                in_vectors(
                    #[inline(always)]
                    || blocks[0].probe(loss, step, &mut space),
                )
            },
            |of_block| sums.push(of_block),
        )?;
        let [value, slope, curvature] = sums.finish().unwrap_or_default().map(|sum| sum / self.stored.divisor());
        Ok(Probe { step, value, slope, curvature })
    }

    /// `z += step u`: the rows stand at the step now.
    fn advance(&mut self, step: f64) -> Result<()> {
        self.stored.pass(
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

impl<L: Loss> Cpu<L> {
    /// The means over all rows of sums of cells.
    fn mean(&self, cells: &[CellSums]) -> Result<Evaluation> {
        let Some(mut sums) = total(cells) else { return Err(Error::internal("an evaluation without sums")) };
        let n = self.stored.divisor();
        sums.gradient.iter_mut().for_each(|sum| *sum /= n);
        if let Some(hessian) = &mut sums.hessian {
            hessian.scale(1.0 / n);
        }
        Ok(Evaluation { value: sums.loss / n, gradient: sums.gradient, diagonal: None, hessian: sums.hessian })
    }
}

impl<L: Loss> Objective for Cpu<L> {
    fn dimension(&self) -> usize {
        self.stored.layout.shape.parameters()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        self.last_step = 0.0;
        let point = self.stored.widen(point);
        self.evaluation(At::Point(&point), need)
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let of_margin = self.dimension() / self.loss.margins();
        let columns = columns_of(kept, of_margin);
        let work = Work { takes_hessian: true, columns: Some(&columns), ..Work::at(point) };
        let found = self.several(&[work])?;
        let mut evaluation = self.mean(&found[0])?;
        restrict(&mut evaluation, kept, of_margin, &columns);
        Ok(evaluation)
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let work: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
        self.several(&work)?.iter().map(|cells| self.mean(cells)).collect()
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let direction = self.stored.widen(direction);
        let jobs = Stored::block_by_block(self.wide());
        let sums = self.evaluate(At::Along(&direction, first_step), jobs, |_| Nothing, drop)?;
        self.last_step = first_step;
        let first = Probe { step: first_step, value: sums.loss, slope: sums.slope, curvature: sums.curvature };
        Ok(Box::new(CpuLine { cpu: self, first, gradient: sums.gradient }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let (_, scatter) = self.product(At::Here, Factors::Residuals)?;
        Ok(scatter)
    }

    fn passes(&self) -> Passes {
        self.passes
    }
}

struct CpuLine<'a, L> {
    cpu: &'a mut Cpu<L>,
    first: Probe,
    /// Of the evaluation at the first step.
    gradient: Vec<f64>,
}

impl<L: Loss> Line for CpuLine<'_, L> {
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

impl<L: Loss> Engine for Cpu<L> {
    fn weight(&self) -> f64 {
        self.stored.weight()
    }

    fn moments(&mut self) -> Result<ClassMoments> {
        self.passes.data += 1;
        moments::of(&mut self.stored)
    }

    fn margins(&self) -> usize {
        self.loss.margins()
    }

    fn cell_weights(&mut self) -> Result<Vec<f64>> {
        self.stored.cell_weights()
    }

    fn run(&mut self, work: &[Work<'_>]) -> Result<Vec<Vec<CellSums>>> {
        self.several(work)
    }

    fn moments_of_cells(&mut self) -> Result<Vec<CellMoments>> {
        Cpu::moments_of_cells(self)
    }

    fn held_out(&mut self, points: &[Vec<Vec<f64>>], keeps_margins: bool) -> Result<Vec<Vec<HeldOut>>> {
        self.held_out_of_cells(points, keeps_margins)
    }

    fn outcomes_of_cells(&mut self) -> Result<Vec<[Vec<f64>; 2]>> {
        let mut found = vec![[Vec::new(), Vec::new()]; self.stored.layout.cells()];
        let of_block = |blocks: &mut [Block<'_>]| {
            let Block { cell, labels, row_weights, .. } = &blocks[0];
            let weights = row_weights.map_or_else(|| vec![1.0; labels.len()], widened);
            (*cell, [widened(labels), weights])
        };
        self.stored.pass(OUTCOMES, BLOCK_BY_BLOCK, of_block, |(cell, of_block)| {
            found[cell].iter_mut().zip(of_block).for_each(|(all, of_block)| all.extend(of_block));
        })?;
        Ok(found)
    }

    fn kept_rows(&mut self) -> Result<Option<KeptRows>> {
        if !self.keeps_rows {
            return Ok(None);
        }
        let mut rows =
            KeptRows { columns: self.kept_columns()?, labels: Vec::new(), weights: Vec::new(), offsets: Vec::new() };
        self.stored.pass(
            OUTCOMES,
            BLOCK_BY_BLOCK,
            |blocks| {
                let Block { labels, row_weights, offsets, .. } = &blocks[0];
                let or = |of: Option<&[f32]>, default: f64| of.map_or_else(|| vec![default; labels.len()], widened);
                [widened(labels), or(*row_weights, 1.0), or(offsets.map(|offsets| offsets.column(0)), 0.0)]
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
        let (loss, columns, step) = (self.loss, self.stored.layout.shape.columns, self.last_step);
        let tile = loss.tile_rows(columns);
        // Margin by margin.
        let mut rows: [Vec<Vec<f64>>; 3] = std::array::from_fn(|_| vec![Vec::new(); loss.margins()]);
        self.stored.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                let block = &blocks[0];
                let mut space = loss.workspace(columns);
                let mut residuals = Vec::with_capacity(block.margins.len());
                for (first, n) in block.tiles(tile) {
                    loss.sums(loss::Rows { row_weights: None, ..block.along(loss, step, first, n) }, &mut space);
                    residuals.extend_from_slice(loss.residuals(n, &space));
                }
                [block.margins.to_vec(), block.direction_margins.to_vec(), residuals]
            },
            |of_block| {
                for (rows, of_block) in rows.iter_mut().zip(of_block) {
                    for of_tile in of_block.chunks(loss.margins() * tile) {
                        for (rows, values) in rows.iter_mut().zip(of_tile.chunks_exact(of_tile.len() / loss.margins()))
                        {
                            rows.extend_from_slice(values);
                        }
                    }
                }
            },
        )?;
        let [margins, direction_margins, residuals] = rows.map(|rows| rows.concat());
        Ok(RowTerms { margins, direction_margins, residuals })
    }
}
