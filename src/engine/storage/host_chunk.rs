//! A host chunk: the columns, labels and row state of a chunk in one piece, and where each part of it lies.

use std::ops::Range;

use memmap2::MmapMut;

use super::human;
use crate::data::{Column, Shape};
use crate::engine::layout::Layout;
use crate::error::{Error, Result};

/// A part of a host chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The columns, f32 `[columns][stride]`.
    Features,
    /// The labels, f32 `[stride]`.
    Labels,
    /// The row weights, f32 `[stride]`; empty where the table has none.
    RowWeights,
    /// The offsets, f32 `[margins][stride]`; empty where the table has none.
    Offsets,
    /// The margins, `[margins][stride]`.
    Margins,
    /// The direction margins, `[margins][stride]`.
    DirectionMargins,
    /// The residuals, `[margins][stride]`; not kept where the state is f64.
    Residuals,
}

/// Where the parts of a host chunk lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLayout {
    /// Of the host chunk: at most that many rows.
    pub shape: Shape,
    /// Rows from one column to the next.
    pub stride: usize,
    /// Bytes of a margin: 4 or 8.
    state_bytes: usize,
}

/// Cache lines of a column's tile; columns whose distance is an odd multiple of it lie in different sets of a cache.
const TILE_LINES: usize = 64;

impl HostLayout {
    /// A host chunk of at most `shape.rows` rows, whose margins are `state_bytes` wide.
    pub fn new(shape: Shape, state_bytes: usize) -> Self {
        const ROWS_A_LINE: usize = 16;
        let mut lines = shape.rows.div_ceil(ROWS_A_LINE);
        // A distance of a power of two would put every column into the same few sets of a cache.
        while lines > 8 * TILE_LINES && lines % (2 * TILE_LINES) != TILE_LINES + 1 {
            lines += 1;
        }
        Self { shape, stride: lines * ROWS_A_LINE, state_bytes }
    }

    /// Bytes of a host chunk.
    pub fn bytes(&self) -> usize {
        self.range(if self.state_bytes == 4 { Part::Residuals } else { Part::DirectionMargins }).end
    }

    /// The bytes of a part; none for one that the table does not have.
    pub fn range(&self, part: Part) -> Range<usize> {
        let column = self.stride * 4;
        let features = self.shape.columns * column;
        let labels = features + column;
        let row_weights = labels + usize::from(self.shape.weights) * column;
        let columns = row_weights + self.shape.offset_columns() * column;
        let state = self.shape.margins() * self.stride * self.state_bytes;
        match part {
            Part::Features => 0..features,
            Part::Labels => features..labels,
            Part::RowWeights => labels..row_weights,
            Part::Offsets => row_weights..columns,
            Part::Margins => columns..columns + state,
            Part::DirectionMargins => columns + state..columns + 2 * state,
            Part::Residuals => columns + 2 * state..columns + 3 * state,
        }
    }

    /// Which of the host chunk's columns of f32 a column is: features, label, row weights, offsets. `None` if the table
    /// does not have it.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        let features = self.shape.columns;
        self.shape.has(column).then_some(match column {
            Column::Feature(index) => index,
            Column::Label => features,
            Column::Weight => features + 1,
            Column::Offset(margin) => features + 1 + usize::from(self.shape.weights) + margin,
        })
    }
}

/// How the chunks of `layout` lie on the host, with margins `state_bytes` wide.
pub fn host_layout(layout: &Layout, state_bytes: usize) -> HostLayout {
    let rows = layout.chunk_rows.min(layout.shape.rows);
    HostLayout::new(Shape { rows, ..layout.shape }, state_bytes)
}

/// Host chunks in memory, one after the other.
pub struct HostChunks {
    memory: MmapMut,
    chunk_bytes: usize,
}

impl HostChunks {
    /// Room for `count` host chunks of zeros.
    pub fn new(count: usize, layout: HostLayout) -> Result<Self> {
        let chunk_bytes = layout.bytes().max(1);
        let bytes = chunk_bytes * count;
        let memory = MmapMut::map_anon(bytes.max(1)).map_err(|cause| {
            Error::device(
                format!("{} of memory cannot be had: {cause}", human(bytes as u64)),
                "Lower ⟦host-memory⟧: the rest is then kept in a scratch file.",
            )
        })?;
        // A page of 2 MiB costs one fault where small ones cost 512. Advice: a system without them goes on.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory, chunk_bytes })
    }

    /// The host chunks.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(self.chunk_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_record_lie_in_different_sets_of_a_cache() {
        for (rows, features) in [(1, 1), (4_096, 3), (131_072, 32), (149_504, 28)] {
            let layout = HostLayout::new(Shape::plain(rows, features), 8);
            assert!(layout.stride >= rows && layout.stride.is_multiple_of(16), "{layout:?}");
            assert!(layout.stride <= rows + 16 * (2 * TILE_LINES + 1), "{layout:?}");
            assert_eq!(layout.bytes(), layout.stride * (4 * features + 4 + 16));
            if rows > 100_000 {
                assert_eq!(layout.stride / 16 % (2 * TILE_LINES), TILE_LINES + 1, "{layout:?}");
            }
        }
    }

    /// Parts follow each other without a gap, and what a table does not have takes no byte.
    #[test]
    fn weights_and_offsets_take_room_only_where_they_are() {
        use Part::{DirectionMargins, Features, Labels, Margins, Offsets, Residuals, RowWeights};
        for (weights, offsets) in [(false, false), (true, false), (false, true), (true, true)] {
            let layout = HostLayout::new(Shape { weights, offsets, ..Shape::plain(33, 3) }, 4);
            let mut end = 0;
            for part in [Features, Labels, RowWeights, Offsets, Margins, DirectionMargins, Residuals] {
                assert_eq!(layout.range(part).start, end, "{part:?} of {layout:?}");
                end = layout.range(part).end;
            }
            assert_eq!((end, layout.bytes()), (layout.stride * (4 * layout.shape.columns_beside() + 12 + 12), end));
            let places =
                [Column::Feature(2), Column::Label, Column::Weight, Column::Offset(0)].map(|c| layout.place(c));
            let after = weights.then_some(4);
            assert_eq!(places, [Some(2), Some(3), after, offsets.then_some(4 + usize::from(weights))]);
            assert_eq!(layout.range(RowWeights).is_empty(), !weights);
            assert_eq!(layout.range(Offsets).is_empty(), !offsets);
        }
    }
}
