//! A block of rows, in tiles that stay in the cache: a pass reads the features from memory once.
//!
//! Everything here runs inside [`in_vectors`](crate::vectors::in_vectors).

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::data::Shape;
use crate::engine::cpu::columns::{Columns, Strided};
use crate::engine::cpu::loss::{Loss, Rows, Tile, TileSink};
use crate::engine::layout::hessian_rows;
use crate::fold::{Monoid, add_entries};

/// Rows of a block at most.
const BLOCK_ROWS: usize = 4096;

/// Bytes of a block with its margins and direction margins at most, if a tile is no more.
const BLOCK_BYTES: usize = 8 << 20;

/// Rows of a tile at most: few, so that the processor reads ahead in every column while it computes.
pub(super) const TILE_ROWS: usize = 256;

/// Features of a tile, f32 each: 1 MiB, of which a second-level cache holds most, and the third the rest. Few rows of many
/// columns are short runs of memory, which cost more: 5,000 x 2,000 was read at 9 GB/s in tiles of 64 rows.
const TILE_CELLS: usize = 256 << 10;

/// A power of two from 32 to 256, at most `fitting` if that is more than 32.
pub(super) fn tile_rows_within(fitting: usize) -> usize {
    if fitting >= TILE_ROWS { TILE_ROWS } else { (fitting + 1).next_power_of_two().max(64) / 2 }
}

/// Rows of a tile of `features` columns: a power of two from 32 to 256.
pub(super) fn tile_rows(features: usize) -> usize {
    tile_rows_within(TILE_CELLS / features.max(1))
}

/// Rows of a block of so many columns, in tiles of `tile` rows with M margins: a power of two, whole tiles. At most 2 MiB of
/// features, so that wide tables of few rows have some for every core.
pub(super) fn block_rows(columns: usize, margins: usize, tile: usize) -> usize {
    let mut rows = BLOCK_ROWS;
    while rows > tile && (rows * columns > (2 << 20) / 4 || rows * (4 * columns + 16 * margins) > BLOCK_BYTES) {
        rows /= 2;
    }
    rows
}

/// Rows of a product that is summed by itself, whole blocks. With levels it may have far more entries than its rows have
/// values: then many rows share one, as long as they are at most 32 MiB.
pub(super) fn product_rows(shape: Shape) -> usize {
    let block = block_rows(shape.columns, 1, tile_rows(shape.columns));
    let mut rows = hessian_rows(block, shape.features);
    if shape.has_levels() {
        while rows < 1 << 17 && rows < 16 * shape.features && 2 * rows * shape.columns * 4 <= 32 << 20 {
            rows *= 2;
        }
    }
    rows
}

/// A block of rows, the unit of work. Its state is kept tile by tile, so that what a tile works on is one piece.
pub(super) struct Block<'a> {
    /// The cell that its rows belong to.
    pub(super) cell: usize,
    /// Its place among the blocks of the table.
    pub(super) place: usize,
    pub(super) columns: Columns<'a>,
    pub(super) labels: &'a [f32],
    pub(super) row_weights: Option<&'a [f32]>,
    /// `[margins][rows]`.
    pub(super) offsets: Option<Strided<'a>>,
    /// `[tiles][margins][rows of the tile]`.
    pub(super) margins: &'a mut [f64],
    /// `[tiles][margins][rows of the tile]`.
    pub(super) direction_margins: &'a mut [f64],
}

/// Where the margins of an evaluation come from.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// Afresh from a point `[margins][wide]`; the rows stand there afterwards.
    Point(&'a [f64]),
    /// From where the rows stand, along a direction `[margins][wide]`, at a step.
    Along(&'a [f64], f64),
    /// From where the rows stand.
    Here,
}

/// Sums over rows, in f64.
#[derive(Clone)]
pub(super) struct Sums {
    pub(super) loss: f64,
    pub(super) slope: f64,
    pub(super) curvature: f64,
    /// `[margins][wide]`, the intercept of each last.
    pub(super) gradient: Vec<f64>,
}

impl Sums {
    pub(super) fn zero(wide: usize) -> Self {
        Self { loss: 0.0, slope: 0.0, curvature: 0.0, gradient: vec![0.0; wide] }
    }
}

impl Monoid for Sums {
    fn join(&mut self, following: Self) {
        self.loss += following.loss;
        self.slope += following.slope;
        self.curvature += following.curvature;
        add_entries(&mut self.gradient, &following.gradient);
    }
}

impl Block<'_> {
    /// The tiles of the block: first row, rows.
    #[inline(always)]
    pub(super) fn tiles(&self, tile: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rows = self.labels.len();
        (0..rows).step_by(tile).map(move |first| (first, tile.min(rows - first)))
    }

    /// Evaluates the block; two sweeps over the columns of each tile, the second from the cache.
    #[inline(always)]
    pub(super) fn evaluate<L: Loss>(
        &mut self,
        loss: L,
        at: At<'_>,
        space: &mut L::Workspace,
        sink: &mut impl TileSink<L>,
    ) -> Sums {
        let per_row = loss.margins();
        let mut sums = Sums::zero(per_row * self.columns.lookup.wide());
        for (first, n) in self.tiles(loss.tile_rows(self.columns.count())) {
            let columns = self.columns.part(first, n);
            let labels = &self.labels[first..first + n];
            let row_weights = self.row_weights.map(|weights| &weights[first..first + n]);
            let state = per_row * first..per_row * (first + n);
            let (z, u) = (&mut self.margins[state.clone()], &mut self.direction_margins[state]);
            let along = match at {
                At::Point(weights) => {
                    loss.linear(columns, weights, z, space);
                    if let Some(offsets) = self.offsets {
                        offsets.part(first, n).add_to(z);
                    }
                    None
                }
                At::Along(weights, step) => {
                    loss.linear(columns, weights, u, space);
                    Some((&*u, step))
                }
                At::Here => None,
            };
            let [value, slope, curvature] = loss.sums(Rows { margins: z, along, labels, row_weights }, space);
            sums.loss += value;
            sums.slope += slope;
            sums.curvature += curvature;
            loss.add_gradient(columns, space, &mut sums.gradient);
            sink.take(&Tile { columns, labels, row_weights, margins: z, space });
        }
        sums
    }

    /// Sums of loss, slope and curvature at `step`, from the cached margins alone.
    #[inline(always)]
    pub(super) fn probe<L: Loss>(&self, loss: L, step: f64, space: &mut L::Workspace) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (first, n) in self.tiles(loss.tile_rows(self.columns.count())) {
            add_entries(&mut sums, &loss.sums(self.along(loss, step, first, n), space));
        }
        sums
    }

    /// Rows of the block at a step along the last direction.
    #[inline(always)]
    pub(super) fn along<L: Loss>(&self, loss: L, step: f64, first: usize, n: usize) -> Rows<'_> {
        let state = loss.margins() * first..loss.margins() * (first + n);
        Rows {
            margins: &self.margins[state.clone()],
            along: Some((&self.direction_margins[state], step)),
            labels: &self.labels[first..first + n],
            row_weights: self.row_weights.map(|weights| &weights[first..first + n]),
        }
    }

    /// `z += step u`: the rows stand at the step now.
    #[inline(always)]
    pub(super) fn advance(&mut self, step: f64) {
        for (z, u) in self.margins.iter_mut().zip(&*self.direction_margins) {
            *z += step * u;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_tiles_and_fit() {
        for features in [1, 28, 512, 513, 1_024, 5_000, 40_000, 200_000] {
            let tile = tile_rows(features);
            let block = block_rows(features, 1, tile);
            assert!(tile.is_power_of_two() && (32..=TILE_ROWS).contains(&tile), "{features}: {tile}");
            assert!(block.is_power_of_two() && block >= tile && block <= BLOCK_ROWS, "{features}: {block}");
            assert!(block == tile || block * features * 4 <= 2 << 20, "{features}: {block}");
        }
        assert_eq!([1, 28, 512, 1_024, 2_048].map(tile_rows), [256, 256, 256, 256, 128]);
    }
}
