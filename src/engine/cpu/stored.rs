//! A table as the CPU engine keeps it, and what every pass does with it: work on blocks, in jobs, on all cores.

use std::sync::Arc;

use rayon::prelude::*;

use crate::engine::cpu::block::Block;
use crate::engine::cpu::columns::{Columns, Strided};
use crate::engine::cpu::lookup::Lookup;
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, HostLayout, HostStore, Part};
use crate::engine::{checked_weight, divisor, weight_of_block};
use crate::error::Result;
use crate::fold::{Fold, Monoid, Segments, parts_within};

/// Memory of the products that wait to be added at most; one of them whatever its size.
const PRODUCTS_BYTES: usize = 1 << 30;

/// Memory of the products that are added already, node by node of the tree, at most; some of them whatever their size.
const NODES_BYTES: usize = 1 << 30;

// Of what is touched, row weights and offsets are empty where the table has none.
const ROW_WEIGHTS: Access = Access { reads: &[Part::RowWeights], writes: &[] };

/// How the blocks of a pass become jobs.
#[derive(Clone, Copy)]
pub(super) struct Jobs {
    /// Blocks of a job: a power of two, so that what a job adds up is a node of the tree over all blocks.
    pub(super) blocks: usize,
    /// Jobs at a time, because each holds memory of its own.
    pub(super) at_a_time: usize,
}

/// A job a block, all of them at once.
pub(super) const BLOCK_BY_BLOCK: Jobs = Jobs { blocks: 1, at_a_time: usize::MAX };

/// All blocks of a chunk in one job.
pub(super) const ALL_BLOCKS: Jobs = Jobs { blocks: usize::MAX, at_a_time: 1 };

/// A table that does not change any more.
pub(super) struct Stored {
    pub(super) layout: Layout,
    pub(super) lookup: Arc<Lookup>,
    host_chunks: HostStore,
    /// N, the sum of the row weights.
    weight: f64,
}

/// The blocks of a host chunk.
fn blocks<'a>(
    layout: &Layout,
    lookup: &'a Lookup,
    host: &HostLayout,
    chunk: usize,
    bytes: &'a mut [u8],
) -> impl Iterator<Item = Block<'a>> + use<'a> {
    let (rows, cell, before) = (layout.rows_of(chunk), layout.cell_of(chunk), layout.blocks_before(chunk));
    let block_rows = layout.block_rows;
    let stride = host.stride;
    let (columns, state) = bytes.split_at_mut(host.range(Part::Margins).start);
    let columns: &'a [u8] = columns;
    let part = |part| bytemuck::cast_slice::<u8, f32>(&columns[host.range(part)]);
    let (values, labels) = (part(Part::Features), part(Part::Labels));
    let row_weights = host.shape.weights.then(|| part(Part::RowWeights));
    let offsets = host.shape.offsets.then(|| part(Part::Offsets));
    let per_row = host.shape.margins();
    let (margins, direction_margins) = bytemuck::cast_slice_mut::<u8, f64>(state).split_at_mut(per_row * stride);
    labels[..rows]
        .chunks(block_rows)
        .zip(margins[..per_row * rows].chunks_mut(per_row * block_rows))
        .zip(direction_margins[..per_row * rows].chunks_mut(per_row * block_rows))
        .enumerate()
        .map(move |(index, ((labels, margins), direction_margins))| {
            let (first, rows) = (index * block_rows, labels.len());
            let strided = |values| Strided { values, stride, first, rows };
            Block {
                cell,
                place: before + index,
                columns: Columns { lookup, values: strided(values) },
                labels,
                row_weights: row_weights.map(|weights| &weights[first..first + rows]),
                offsets: offsets.map(strided),
                margins,
                direction_margins,
            }
        })
}

impl Stored {
    /// An error if a row weight is negative or no finite number.
    pub(super) fn new(layout: Layout, lookup: Arc<Lookup>, host_chunks: HostStore) -> Result<Self> {
        let (weight, has_weights) = (layout.shape.rows as f64, layout.shape.weights);
        let mut stored = Self { layout, lookup, host_chunks, weight };
        if has_weights {
            stored.weight = stored.sum_row_weights()?;
        }
        Ok(stored)
    }

    /// N, the sum of the row weights.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// What sums are divided by to be means.
    pub(super) fn divisor(&self) -> f64 {
        divisor(self.weight)
    }

    /// Runs `work` on every block of the table, and hands what it makes to `take` in the order of the blocks.
    pub(super) fn pass<T: Send>(
        &mut self,
        access: Access,
        jobs: Jobs,
        work: impl Fn(&mut [Block<'_>]) -> T + Sync,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let Self { layout, lookup, host_chunks, .. } = self;
        let layout = layout.clone();
        let host = host_chunks.layout;
        let mut run = |mut blocks: Vec<Block<'_>>| {
            let cells = blocks.chunk_by_mut(|block, next| block.cell == next.cell);
            let mut of_jobs: Vec<&mut [Block<'_>]> = cells.flat_map(|cell| cell.chunks_mut(jobs.blocks)).collect();
            for few in of_jobs.chunks_mut(jobs.at_a_time) {
                let made: Vec<T> = few.par_iter_mut().map(|blocks| work(blocks)).collect();
                made.into_iter().for_each(&mut take);
            }
        };
        let in_memory = host_chunks.in_memory().enumerate();
        run(in_memory.flat_map(|(chunk, bytes)| blocks(&layout, lookup, &host, chunk, bytes)).collect());
        host_chunks.stream_scratch(access, |mut visit| {
            if let Some(visit) = &mut visit {
                run(blocks(&layout, lookup, &host, visit.index, visit.chunk).collect());
            }
            Ok(visit)
        })
    }

    /// The sum of the row weights of each cell.
    pub(super) fn cell_weights(&mut self) -> Result<Vec<f64>> {
        let mut weights: Vec<Fold<f64>> = (0..self.layout.cells()).map(|_| Fold::default()).collect();
        let of_block = |blocks: &mut [Block<'_>]| {
            let Block { cell, labels, row_weights, .. } = &blocks[0];
            (*cell, row_weights.map_or(labels.len() as f64, weight_of_block))
        };
        self.pass(ROW_WEIGHTS, BLOCK_BY_BLOCK, of_block, |(cell, of_block)| weights[cell].push(of_block))?;
        Ok(weights.into_iter().map(|weight| weight.finish().unwrap_or(0.0)).collect())
    }

    /// N, from the row weights as they are stored.
    fn sum_row_weights(&mut self) -> Result<f64> {
        let mut weight = Fold::default();
        let of_block = |blocks: &mut [Block<'_>]| blocks[0].row_weights.map_or(0.0, weight_of_block);
        self.pass(ROW_WEIGHTS, BLOCK_BY_BLOCK, of_block, |of_block| weight.push(of_block))?;
        checked_weight(weight.finish().unwrap_or(0.0))
    }

    /// Jobs of a block each, which make so many numbers.
    pub(super) fn block_by_block(numbers: usize) -> Jobs {
        Jobs { blocks: 1, at_a_time: (PRODUCTS_BYTES / (8 * numbers)).max(rayon::current_num_threads()) }
    }

    /// Jobs of the blocks whose products are summed together, of so many bytes.
    pub(super) fn together(&self, bytes: usize) -> Jobs {
        Jobs {
            blocks: self.layout.hessian_rows / self.layout.block_rows,
            at_a_time: (PRODUCTS_BYTES / bytes).clamp(1, 4 * rayon::current_num_threads()),
        }
    }

    /// How many of such jobs, of so many bytes each, make a leaf of their tree.
    pub(super) fn parts_of_segment(&self, jobs: Jobs, bytes: usize) -> usize {
        let all = self.layout.shape.rows.div_ceil(jobs.blocks * self.layout.block_rows);
        parts_within(NODES_BYTES, bytes, all)
    }

    /// The sum of what such jobs make, of so many bytes each.
    pub(super) fn segments<T: Monoid>(&self, jobs: Jobs, bytes: usize) -> Segments<T> {
        Segments::of(self.parts_of_segment(jobs, bytes))
    }

    /// Sums over the rows `[margins][wide]` as means, by parameters.
    pub(super) fn means_of_parameters(&self, wide: &[f64]) -> Vec<f64> {
        let n = self.divisor();
        let narrow = |wide| self.lookup.narrow(wide).into_iter().map(|sum| sum / n);
        wide.chunks_exact(self.lookup.wide()).flat_map(narrow).collect()
    }

    /// Parameters as wide vectors, `[margins][wide]`.
    pub(super) fn widen(&self, parameters: &[f64]) -> Vec<f64> {
        assert_eq!(parameters.len(), self.layout.shape.parameters(), "parameters given and of the table");
        let each = parameters.chunks_exact(self.lookup.parameters());
        each.flat_map(|parameters| self.lookup.widen(parameters)).collect()
    }
}
