//! How rows are cut into blocks and chunks: pure arithmetic, every quantity with its unit.
//!
//! A *block* is the unit of summation: each writes its partial sums to a slot of its own, and the
//! host adds the slots in order. Its size depends on the row count and the number of columns alone,
//! so it never changes a result. A *chunk* is the unit of storage, whole blocks, as large as the
//! device takes; cutting the rows into other chunks changes no bit. A *cell* is a part of the rows whose sums are wanted apart
//! from those of the others (a fold): rows are stored cell by cell, and a chunk, so a block too, belongs to one of them.

use std::ops::Range;
use std::sync::Arc;

use crate::data::{Design, Shape};

/// Rows that a workgroup handles at once where it reads no features: four for each of its 256 invocations.
pub const TILE: usize = 1024;

/// Columns that an invocation of `evaluate` holds at a time.
pub const HELD: usize = 8;

/// `evaluate` has at most `1 << COLUMN_LEVELS` column lanes.
pub const COLUMN_LEVELS: u32 = 7;

/// Rows of an accumulator, before it joins a tree.
pub const PART: usize = 256;

/// A block of this many bytes of f32 features must fit every device: the binding limit that WebGPU
/// guarantees.
const MAX_BLOCK_BYTES: usize = 128 << 20;

/// Blocks that a table is cut into at most, before blocks grow: several for each place that a large GPU has for a
/// workgroup (132 processors with three each).
const FEW_BLOCKS: usize = 4096;

/// Rows of a block at least, if that many fit. A slot is then 1/512 of the features: the host adds slots about 500
/// times slower than such a GPU reads features, and the kernels without features still find work for half a group.
const MIN_BLOCK_ROWS: usize = 512;

/// Rows of a block at most. A slot is then 1/16384 of the features, so reading slots back is never
/// what a pass waits for.
pub const MAX_BLOCK_ROWS: usize = 16 * TILE;

/// A Hessian's slot has about d^2 / 2 entries: blocks of this many rows for each column keep it at 1/32 of the
/// features it stands for.
const HESSIAN_ROWS_A_COLUMN: usize = 16;

/// The cut of a table into blocks and chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table.
    pub shape: Shape,
    /// Rows of a block, a power of two from 4 on.
    pub block_rows: usize,
    /// Rows of a block of the Hessian, a multiple of `block_rows`.
    pub hessian_rows: usize,
    /// Rows of a chunk, a multiple of `hessian_rows`; the last chunk of a cell may hold fewer rows.
    pub chunk_rows: usize,
    /// First row of each chunk, and the number of rows.
    starts: Arc<[usize]>,
    /// First chunk of each cell, and the number of chunks.
    cells: Arc<[usize]>,
}

impl Layout {
    /// Cuts a table into blocks, and chunks of at most `max_chunk_bytes` of f32 features
    /// (and at most that many bytes of one f32 a row and margin).
    pub fn new(shape: Shape, max_chunk_bytes: usize) -> Self {
        // Margins must fit as features do.
        let wide = shape.features.max(shape.margins());
        let block_rows = block_rows(shape.rows, wide);
        let hessian_rows = hessian_rows(block_rows, wide);
        Self::of_blocks(shape, block_rows, class_rows(shape, hessian_rows, wide), max_chunk_bytes)
    }

    /// As [`Layout::new`], in blocks of `block_rows`, and of `hessian_rows` for the Hessian, a multiple.
    pub fn of_blocks(shape: Shape, block_rows: usize, hessian_rows: usize, max_chunk_bytes: usize) -> Self {
        let rows = shape.rows;
        let fitting = max_chunk_bytes / 4 / shape.columns.max(shape.margins());
        let most = (MAX_CHUNK_BLOCKS / (hessian_rows / block_rows)).max(1);
        let chunk_blocks = (fitting / hessian_rows).clamp(1, most).min(rows.div_ceil(hessian_rows).max(1));
        let layout = Self {
            shape,
            block_rows,
            hessian_rows,
            chunk_rows: chunk_blocks * hessian_rows,
            starts: Arc::default(),
            cells: Arc::default(),
        };
        layout.cut(&[rows])
    }

    /// The same blocks, with chunks that end with the cells of `design`.
    #[must_use]
    pub fn in_cells(self, design: &Design) -> Self {
        let cells = design.cells();
        // As many chunks as the largest cell takes, and no longer than that: the room of a chunk is the same for all.
        let largest = cells.iter().copied().max().unwrap_or(0);
        let chunks = largest.div_ceil(self.chunk_rows).max(1);
        let chunk_rows = largest.div_ceil(chunks).next_multiple_of(self.hessian_rows);
        if cells.len() == 1 { self } else { Self { chunk_rows: chunk_rows.max(self.hessian_rows), ..self }.cut(&cells) }
    }

    /// Cuts cells of so many rows into chunks.
    fn cut(self, rows: &[usize]) -> Self {
        let (mut starts, mut cells, mut first) = (vec![0], vec![0], 0);
        for rows in rows {
            let end = first + rows;
            while first < end {
                first = end.min(first + self.chunk_rows);
                starts.push(first);
            }
            cells.push(starts.len() - 1);
        }
        Self { starts: starts.into(), cells: cells.into(), ..self }
    }

    /// The number of chunks.
    pub fn chunks(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of cells.
    pub fn cells(&self) -> usize {
        self.cells.len() - 1
    }

    /// The cell that `chunk` belongs to.
    pub fn cell_of(&self, chunk: usize) -> usize {
        self.cells.partition_point(|&first| first <= chunk) - 1
    }

    /// The number of rows in `cell`.
    pub fn rows_of_cell(&self, cell: usize) -> usize {
        self.starts[self.cells[cell + 1]] - self.starts[self.cells[cell]]
    }

    /// The first row of `chunk`.
    pub fn first_of(&self, chunk: usize) -> usize {
        self.starts[chunk]
    }

    /// The number of rows in `chunk`.
    pub fn rows_of(&self, chunk: usize) -> usize {
        self.starts[chunk + 1] - self.starts[chunk]
    }

    /// The number of blocks in `chunk`.
    pub fn blocks_of(&self, chunk: usize) -> usize {
        self.rows_of(chunk).div_ceil(self.block_rows)
    }

    /// Blocks before the first one of `chunk`.
    pub fn blocks_before(&self, chunk: usize) -> usize {
        (0..chunk).map(|before| self.blocks_of(before)).sum()
    }

    /// The number of Hessian blocks in `chunk`.
    pub fn hessian_blocks_of(&self, chunk: usize) -> usize {
        self.rows_of(chunk).div_ceil(self.hessian_rows)
    }

    /// The rows of the table `first..first + count`, as pieces `(chunk, rows within the chunk)`.
    pub fn pieces(&self, first: usize, count: usize) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let starts = Arc::clone(&self.starts);
        let end = first + count;
        let mut row = first;
        let mut chunk = starts.partition_point(|&start| start <= first).max(1) - 1;
        std::iter::from_fn(move || {
            (row < end).then(|| {
                let start = starts[chunk];
                let stop = end.min(starts[chunk + 1]);
                let piece = (chunk, row - start..stop - start);
                (row, chunk) = (stop, chunk + 1);
                piece
            })
        })
    }
}

/// A dispatch has at most 65535 workgroups, one for each block.
const MAX_CHUNK_BLOCKS: usize = 65_535;

/// Rows of columns that fit the largest block.
fn largest(features: usize) -> usize {
    MAX_BLOCK_BYTES / 4 / features.max(1)
}

/// Rows of a tile of `evaluate`: its invocations are row lanes of four rows each, times as many column lanes as the
/// columns need, [`HELD`] for each.
pub fn tile_rows(features: usize) -> usize {
    let column_lanes = features.max(1).div_ceil(HELD).next_power_of_two();
    TILE / column_lanes.min(1 << COLUMN_LEVELS)
}

/// Rows of a block of the Hessian, a multiple of `block_rows`.
pub fn hessian_rows(block_rows: usize, features: usize) -> usize {
    let mut rows = block_rows;
    while rows < (HESSIAN_ROWS_A_COLUMN * features).max(TILE) && 2 * rows <= largest(features).min(MAX_BLOCK_ROWS) {
        rows *= 2;
    }
    rows
}

/// Rows of a Hessian block where a slot has a sum of every column for each margin: as many times more as there are
/// margins, so that slots stay the same part of the features; unless that would leave a few hundred blocks, whose slots
/// are soon added whatever they are.
fn class_rows(shape: Shape, hessian_rows: usize, wide: usize) -> usize {
    const ENOUGH_BLOCKS: usize = 512;
    let mut rows = hessian_rows;
    while shape.classes.is_some()
        && rows < MIN_BLOCK_ROWS * shape.margins()
        && 2 * rows <= largest(wide).min(MAX_BLOCK_ROWS)
        && shape.rows > ENOUGH_BLOCKS * rows
    {
        rows *= 2;
    }
    rows
}

fn block_rows(rows: usize, features: usize) -> usize {
    let tile = tile_rows(features);
    // Where an invocation cannot hold its columns, each tile joins the slot on its own: no more of them than an
    // accumulator has.
    let most = if features > HELD << COLUMN_LEVELS { tile * (PART / 4) } else { MAX_BLOCK_ROWS };
    let mut block = rows.div_ceil(FEW_BLOCKS).next_power_of_two().clamp(MIN_BLOCK_ROWS.max(tile), most);
    while block > largest(features) && block > 4 {
        block /= 2;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_depend_on_rows_and_columns_alone_and_fit() {
        for features in [1, 3, 28, 257, 1_024, 1_025, 40_000, 200_000] {
            for rows in [1, 255, 1_025, 2_000_000, 100_000_000] {
                let small = Layout::new(Shape::plain(rows, features), 1 << 20);
                let large = Layout::new(Shape::plain(rows, features), 1 << 30);
                assert_eq!(small.block_rows, large.block_rows);
                assert!(small.block_rows * features * 4 <= MAX_BLOCK_BYTES, "{small:?}");
                assert!(small.block_rows.is_power_of_two() && small.block_rows >= 4, "{small:?}");
                assert_eq!(small.hessian_rows, large.hessian_rows);
                assert!(small.hessian_rows * features * 4 <= MAX_BLOCK_BYTES, "{small:?}");
                assert_eq!(small.hessian_rows % small.block_rows, 0);
                assert_eq!(small.chunk_rows % small.hessian_rows, 0);
                let total: usize = (0..small.chunks()).map(|c| small.rows_of(c)).sum();
                assert_eq!(total, rows);
                assert!((0..small.chunks()).all(|c| small.blocks_of(c) <= MAX_CHUNK_BLOCKS));
            }
        }
    }

    #[test]
    fn blocks_grow_with_the_rows_up_to_what_accumulators_allow() {
        let block = |rows, features| Layout::new(Shape::plain(rows, features), 1 << 20).block_rows;
        assert_eq!([1, 8, 9, 28, 200, 257, 1_024, 1_025].map(tile_rows), [1_024, 1_024, 512, 256, 32, 16, 8, 8]);
        assert_eq!([1, 8, 9, 1_024, 1_025].map(|features| block(1_000, features)), [1_024, 1_024, 512, 512, 512]);
        assert_eq!([1 << 21, (1 << 21) + 1, 1 << 30].map(|rows| block(rows, 28)), [512, 1_024, 16_384]);
        assert_eq!([1_024, 1_025].map(|features| block(1 << 30, features)), [16_384, 512]);
        // Half of 256 rows fit.
        assert_eq!(block(1_000, 200_000), 128);
    }

    /// Margins fit as features do, and a gradient's slot is a small part of a block, or there are few of them.
    #[test]
    fn blocks_of_several_classes_have_room_for_margins() {
        for features in [1, 28, 784] {
            for classes in [2, 3, 10, 100, 5_000] {
                for rows in [1, 50_000, 2_000_000, 100_000_000] {
                    let shape = Shape { classes: Some(classes), ..Shape::plain(rows, features) };
                    let margins = shape.margins();
                    let [small, large] = [1 << 27, 1 << 30].map(|bytes| Layout::new(shape, bytes));
                    assert_eq!((small.block_rows, small.hessian_rows), (large.block_rows, large.hessian_rows));
                    assert_eq!(small.hessian_rows % small.block_rows, 0);
                    assert_eq!(small.chunk_rows % small.hessian_rows, 0);
                    assert!(small.chunk_rows * margins.max(features) * 4 <= MAX_BLOCK_BYTES, "{small:?}");
                    assert!(small.hessian_rows <= MAX_BLOCK_ROWS, "{small:?}");
                    let share = small.hessian_rows >= MIN_BLOCK_ROWS * margins.min(16);
                    let is_full = 2 * small.hessian_rows > largest(margins.max(features));
                    assert!(share || is_full || rows <= 512 * small.hessian_rows, "{small:?}");
                }
            }
        }
    }

    #[test]
    fn pieces_cover_the_rows_once() {
        let layout = Layout::new(Shape::plain(10_000, 7), 2_048 * 7 * 4);
        assert_eq!(layout.chunk_rows, 2_048);
        let pieces: Vec<_> = layout.pieces(2_000, 5_000).collect();
        assert_eq!(pieces, [(0, 2_000..2_048), (1, 0..2_048), (2, 0..2_048), (3, 0..856)]);
        assert_eq!(layout.pieces(5, 0).count(), 0);
    }

    /// Cells are whole chunks, blocks are as large as without them, and little room is left over.
    #[test]
    fn chunks_end_with_their_cells() {
        let shape = Shape::plain(10_000, 7);
        for bytes in [1 << 14, 1 << 16, 1 << 30] {
            for cells in [vec![10_000], vec![3_000, 4_000, 3_000], vec![1, 9_998, 1], vec![5_000, 0, 5_000]] {
                let whole = Layout::new(shape, bytes);
                let layout = whole.clone().in_cells(&Design::from(shape).with_cells(&cells));
                assert_eq!((layout.block_rows, layout.hessian_rows), (whole.block_rows, whole.hessian_rows));
                assert!(layout.chunk_rows <= whole.chunk_rows && layout.chunk_rows.is_multiple_of(layout.hessian_rows));
                assert_eq!(layout.cells(), cells.len());
                let mut of_cells = vec![0; cells.len()];
                (0..layout.chunks()).for_each(|chunk| of_cells[layout.cell_of(chunk)] += layout.rows_of(chunk));
                assert_eq!(of_cells, cells);
                let mut rows = 0;
                for (chunk, within) in layout.pieces(0, 10_000) {
                    assert_eq!((layout.first_of(chunk), within), (rows, 0..layout.rows_of(chunk)));
                    rows += layout.rows_of(chunk);
                }
                assert_eq!(rows, 10_000);
                let largest = cells.iter().max().expect("cells");
                let chunks = largest.div_ceil(layout.chunk_rows);
                assert!(chunks * layout.chunk_rows < largest + chunks * layout.hessian_rows, "{layout:?}");
            }
        }
    }
}
