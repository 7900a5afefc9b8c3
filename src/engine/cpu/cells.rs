//! What is known of the cells of a table beside their sums: where their columns lie, and how well points tell their rows.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::engine::cpu::block::{Block, tile_rows_within};
use crate::engine::cpu::loss::Loss;
use crate::engine::cpu::several::{MARGINS_AT_A_TIME, TILE_BYTES};
use crate::engine::cpu::stored::{BLOCK_BY_BLOCK, Stored};
use crate::engine::cpu::{Cpu, columns::weigh};
use crate::engine::storage::{Access, Part};
use crate::engine::work::{CellMoments, HeldOut, MARGINS_OF_A_PASS};
use crate::error::Result;
use crate::fold::{Fold, Monoid, add_entries};
use crate::vectors::dots::{EIGHT, eight_dots};
use crate::vectors::{Aligned, in_vectors};

const MOMENTS: Access = Access { reads: &[Part::Features, Part::RowWeights], writes: &[] };
const ROWS: Access = Access { reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets], writes: &[] };

/// Weighted sums of columns and of their squares, `[wide]` each.
struct Moments {
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Monoid for Moments {
    fn join(&mut self, following: Self) {
        add_entries(&mut self.sums, &following.sums);
        add_entries(&mut self.squares, &following.squares);
    }
}

impl<L: Loss> Cpu<L> {
    /// Where the columns of each cell lie.
    pub(super) fn moments_of_cells(&mut self) -> Result<Vec<CellMoments>> {
        self.passes.data += 1;
        let (wide, cells) = (self.stored.lookup.wide(), self.stored.layout.cells());
        let mut found: Vec<Fold<Moments>> = (0..cells).map(|_| Fold::default()).collect();
        self.stored.pass(
            MOMENTS,
            Stored::block_by_block(2 * wide),
            |blocks| {
                let cell = blocks[0].cell;
                in_vectors(
                    #[inline(always)]
                    || (cell, moments(&blocks[0], wide)),
                )
            },
            |(cell, moments)| found[cell].push(moments),
        )?;
        let lookup = &self.stored.lookup;
        let of_cell = |found: Fold<Moments>| {
            let zero = || Moments { sums: vec![0.0; wide], squares: vec![0.0; wide] };
            let Moments { sums, squares } = found.finish().unwrap_or_else(zero);
            CellMoments { weight: sums[wide - 1], sums: lookup.narrow(&sums), squares: lookup.narrow(&squares) }
        };
        Ok(found.into_iter().map(of_cell).collect())
    }

    /// How well points tell the rows of their cells, `[cells][points]`.
    pub(super) fn held_out_of_cells(
        &mut self,
        points: &[Vec<Vec<f64>>],
        keeps_margins: bool,
    ) -> Result<Vec<Vec<HeldOut>>> {
        let all: usize = self.stored.layout.shape.rows;
        let of_rows = |(cell, points): (usize, &Vec<Vec<f64>>)| self.stored.layout.rows_of_cell(cell) * points.len();
        let of_point = self.loss.margins();
        let rows: usize = of_point * points.iter().enumerate().map(of_rows).sum::<usize>();
        self.passes.data += rows.div_ceil(MARGINS_OF_A_PASS * all.max(1)) as u64;
        let weights: Vec<Vec<f64>> =
            points.iter().map(|points| points.iter().flat_map(|point| self.stored.widen(point)).collect()).collect();
        let wide = self.stored.lookup.wide();
        let mut found: Vec<Vec<HeldOut>> =
            points.iter().map(|points| points.iter().map(|_| HeldOut::default()).collect()).collect();
        let mut sums: Vec<Vec<Fold<HeldOut>>> =
            points.iter().map(|points| points.iter().map(|_| Fold::default()).collect()).collect();
        self.stored.pass(
            ROWS,
            BLOCK_BY_BLOCK,
            |blocks| {
                let cell = blocks[0].cell;
                in_vectors(
                    #[inline(always)]
                    || (cell, held_out(&blocks[0], &weights[cell], [wide, of_point], keeps_margins)),
                )
            },
            |(cell, of_block)| {
                for (place, mut held_out) in of_block.into_iter().enumerate() {
                    found[cell][place].margins.append(&mut held_out.margins);
                    sums[cell][place].push(held_out);
                }
            },
        )?;
        for (found, sums) in found.iter_mut().flatten().zip(sums.into_iter().flatten()) {
            let margins = std::mem::take(&mut found.margins);
            *found = HeldOut { margins, ..sums.finish().unwrap_or_default() };
        }
        Ok(found)
    }
}

#[inline(always)]
fn moments(block: &Block<'_>, wide: usize) -> Moments {
    let columns = block.columns;
    let plain = columns.lookup.plain();
    let tile = tile_rows_within(TILE_BYTES / (4 * columns.count().max(1)));
    let (mut eight, mut ones) = (Aligned::zeros(EIGHT * tile), vec![1.0; tile]);
    let (mut sums, mut squares) = (vec![0.0; wide], vec![0.0; wide]);
    for (first, n) in block.tiles(tile) {
        let columns = columns.part(first, n);
        let weights = &mut ones[..n];
        weights.fill(1.0);
        if let Some(row_weights) = block.row_weights {
            weigh(weights, &row_weights[first..first + n]);
        }
        columns.add_all_products(weights, &mut sums, &mut eight);
        for first in (0..plain).step_by(EIGHT) {
            columns.widen_eight(first, &mut eight);
            for x in &mut eight[..EIGHT * n] {
                *x *= *x;
            }
            let eight = std::array::from_fn(|k| &eight[k * n..][..n]);
            for (sum, product) in squares[first..plain].iter_mut().zip(eight_dots(eight, weights)) {
                *sum += product;
            }
        }
    }
    // 1 is its own square.
    squares[plain..].copy_from_slice(&sums[plain..]);
    Moments { sums, squares }
}

/// What each of the points with weights `[points][margins][wide]` makes of the rows of a block.
#[inline(always)]
fn held_out(block: &Block<'_>, weights: &[f64], [wide, of_point]: [usize; 2], keeps_margins: bool) -> Vec<HeldOut> {
    let columns = block.columns;
    let points = (MARGINS_AT_A_TIME / of_point).max(1);
    let at_a_time = points * of_point;
    let tile = tile_rows_within(TILE_BYTES / (4 * columns.count() + 16 * at_a_time));
    let (mut eight, mut margins) = (Aligned::zeros(EIGHT * tile), vec![0.0; at_a_time * tile]);
    let mut found: Vec<HeldOut> = weights.chunks_exact(of_point * wide).map(|_| HeldOut::default()).collect();
    for (first, n) in block.tiles(tile) {
        let columns = columns.part(first, n);
        let labels = &block.labels[first..first + n];
        let row_weights = block.row_weights.map(|weights| &weights[first..first + n]);
        let offsets = block.offsets.map(|offsets| offsets.part(first, n));
        for (weights, found) in weights.chunks(at_a_time * wide).zip(found.chunks_mut(points)) {
            let margins = &mut margins[..found.len() * of_point * n];
            columns.all_margins(weights, margins, &mut eight);
            for (z, found) in margins.chunks_exact_mut(of_point * n).zip(found) {
                if let Some(offsets) = offsets {
                    offsets.add_to(z);
                }
                if of_point == 1 {
                    found.add(z, labels, row_weights);
                } else {
                    found.add_of_classes(z, labels, row_weights);
                }
                if keeps_margins {
                    found.margins.extend_from_slice(z);
                }
            }
        }
    }
    found
}
