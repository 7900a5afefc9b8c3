//! Whether the device holds the columns that were sent to it: sums of their bits, made on the host while they are written
//! and on the device from what came.
//!
//! Chunks that stay are looked at once before the first pass and once after the last one, chunks that visit in every pass
//! for the columns that they bring. The sums are of whole numbers, so they are exact in any order, and they have to be the
//! same to the last bit. Rows beyond the last are in none.

use std::ops::Range;

use crate::data::{Column, Shape};
use crate::engine::column_sums::ColumnSums;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::{buffer, read_buffer};
use crate::engine::gpu::device_chunk::PARTS;
use crate::engine::gpu::dispatch::{At, Core};
use crate::engine::gpu::fault::Operation;
use crate::engine::gpu::kernels::{Kernel, Pass};
use crate::engine::gpu::stamp::WAY_OUT;
use crate::engine::layout::{Layout, TILE};
use crate::engine::storage::Part;
use crate::error::{Error, Result};
use crate::vectors::in_vectors;

/// Rows of a workgroup of the kernel.
const ROWS: usize = 16 * TILE;

/// Columns of a dispatch in one of its dimensions at most.
const MOST_GROUPS: usize = 1 << 15;

/// The odd number that belongs to a row; `factor_of` of the shader.
#[inline(always)]
#[expect(clippy::inline_always, reason = "part of a loop in vector registers")]
fn factor_of(row: u32) -> u32 {
    let h = row.wrapping_add(1).wrapping_mul(0x9e37_79b1);
    (h ^ (h >> 16)) | 1
}

/// The sum of the bits of values that stand in the rows of a chunk from `first_row` on.
pub(super) fn sum_of(first_row: usize, values: &[f32]) -> u32 {
    in_vectors(
        #[inline(always)]
        || {
            let terms = values.iter().zip(first_row as u32..).map(|(x, row)| x.to_bits().wrapping_mul(factor_of(row)));
            terms.fold(0, u32::wrapping_add)
        },
    )
}

/// Columns that a table has in a part.
fn columns_of(shape: Shape, part: Part) -> usize {
    match part {
        Part::Features => shape.columns,
        Part::Labels => 1,
        Part::RowWeights => usize::from(shape.weights),
        Part::Offsets => shape.offset_columns(),
        Part::Margins | Part::DirectionMargins | Part::Residuals => 0,
    }
}

/// The first column of a part among all columns of a chunk.
fn first_column(shape: Shape, part: Part) -> usize {
    PARTS.into_iter().take_while(|&before| before != part).map(|before| columns_of(shape, before)).sum()
}

/// The sums of a table that is being filled.
pub(super) struct Written {
    layout: Layout,
    /// `[chunks][columns, then those beside]`.
    sums: ColumnSums,
}

impl Written {
    pub(super) fn new(layout: Layout) -> Self {
        let columns = layout.shape.columns + layout.shape.columns_beside();
        let sums = ColumnSums::new(layout.chunks() * columns);
        Self { layout, sums }
    }

    /// Values go to the rows of a column of a chunk from `first_row` on.
    pub(super) fn add(&self, chunk: usize, column: Column, first_row: usize, values: &[f32]) {
        let shape = self.layout.shape;
        let place = match column {
            Column::Feature(index) => index,
            Column::Label => first_column(shape, Part::Labels),
            Column::Weight => first_column(shape, Part::RowWeights),
            Column::Offset(margin) => first_column(shape, Part::Offsets) + margin,
        };
        let columns = shape.columns + shape.columns_beside();
        self.sums.add(chunk * columns + place, values.len(), sum_of(first_row, values).into());
    }

    /// What is written from here on replaces what was written before.
    pub(super) fn settle(&self) {
        self.sums.settle();
    }

    /// The sums, and room on the device and on the host for those that it makes.
    pub(super) fn finish(self, gpu: &Gpu) -> Result<Checksums> {
        let layout = self.layout;
        let columns = layout.shape.columns + layout.shape.columns_beside();
        let sums = self.sums.finish().enumerate().map(|(index, (rows, total))| {
            // Of a column that was not written whole, once, nothing is known. The device's sums have 32 bits.
            (rows == layout.rows_of(index / columns)).then_some(total as u32)
        });
        let sums = sums.collect();
        let len: usize = (0..layout.chunks()).map(|chunk| len_of(&layout, chunk)).sum();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Checksums { layout, sums, back: buffer(gpu, "checksums", len * 4, usage)? })
    }
}

/// Workgroups for the columns of a part of a chunk.
fn groups(layout: &Layout, chunk: usize, part: Part) -> [usize; 3] {
    let columns = columns_of(layout.shape, part);
    let across = columns.clamp(1, MOST_GROUPS);
    [layout.rows_of(chunk).div_ceil(ROWS), across, columns.div_ceil(across)]
}

/// Sums that the device makes of a part of a chunk.
fn len_of_part(layout: &Layout, chunk: usize, part: Part) -> usize {
    groups(layout, chunk, part).iter().product()
}

/// Sums that the device makes of a chunk.
fn len_of(layout: &Layout, chunk: usize) -> usize {
    PARTS.into_iter().map(|part| len_of_part(layout, chunk, part)).sum()
}

/// Bytes on the device for the sums of one part.
pub(super) fn device_bytes(layout: &Layout) -> usize {
    let of_chunk = |chunk: usize| PARTS.into_iter().map(move |part| len_of_part(layout, chunk, part));
    (0..layout.chunks()).flat_map(of_chunk).max().unwrap_or(0).max(4) * 4
}

/// What the columns of a table add up to.
pub(super) struct Checksums {
    layout: Layout,
    /// `[chunks][columns, then those beside]`; `None` where it is not known.
    sums: Vec<Option<u32>>,
    /// The device's sums on their way to the host.
    back: wgpu::Buffer,
}

impl Checksums {
    /// Where the device's sums of a part of a chunk go.
    fn place(&self, chunk: usize, part: Part) -> Range<usize> {
        // All chunks before are as large as the first.
        let before = chunk * len_of(&self.layout, 0);
        let beside: usize = PARTS
            .into_iter()
            .take_while(|&other| other != part)
            .map(|other| len_of_part(&self.layout, chunk, other))
            .sum();
        before + beside..before + beside + len_of_part(&self.layout, chunk, part)
    }

    /// Has the device sum up those of `parts` that hold columns, as they stand on the device.
    pub(super) fn make(&self, core: &Core, encoder: &mut wgpu::CommandEncoder, at: At<'_>, parts: &[Part]) {
        for (part, bound) in PARTS.into_iter().zip(&at.buffers.checks) {
            let Some(bound) = bound.as_ref().filter(|_| parts.contains(&part)) else { continue };
            let pass = Pass {
                rows: self.layout.rows_of(at.chunk) as u32,
                stride: at.buffers.stride as u32,
                features: columns_of(self.layout.shape, part) as u32,
                block_rows: ROWS as u32,
                ..Pass::default()
            };
            core.dispatch_bound(encoder, Kernel::Checksum, at, bound, &pass, groups(&self.layout, at.chunk, part));
            let place = self.place(at.chunk, part);
            let (target, bytes) = ((place.start * 4) as u64, (place.len() * 4) as u64);
            core.gpu.copy(Operation::ReadBack, encoder, (&core.shared.checksums, 0), (&self.back, target), bytes);
        }
    }

    /// An error unless the device's sums of those parts of the chunks are the host's.
    pub(super) fn check(&self, gpu: &Gpu, chunks: Range<usize>, parts: &[Part]) -> Result<()> {
        let here = |part: &Part| parts.contains(part) && columns_of(self.layout.shape, *part) > 0;
        if chunks.is_empty() || !PARTS.iter().any(here) || gpu.faults.are_believed() {
            return Ok(());
        }
        let all = self.place(chunks.start, Part::Features).start..self.place(chunks.end - 1, Part::Offsets).end;
        let shape = self.layout.shape;
        read_buffer(gpu, &self.back, all.clone(), |found| {
            for chunk in chunks {
                for part in PARTS.into_iter().filter(here) {
                    let place = self.place(chunk, part);
                    let found: &[u32] = bytemuck::cast_slice(&found[place.start - all.start..place.end - all.start]);
                    let of_column = groups(&self.layout, chunk, part)[0];
                    for (index, found) in found.chunks(of_column).take(columns_of(shape, part)).enumerate() {
                        let found = found.iter().fold(0, |sum: u32, more| sum.wrapping_add(*more));
                        self.agrees(chunk, part, index, found)?;
                    }
                }
            }
            Ok(())
        })?
    }

    /// An error unless a sum of a column of a chunk is the host's.
    fn agrees(&self, chunk: usize, part: Part, index: usize, found: u32) -> Result<()> {
        let shape = self.layout.shape;
        let columns = shape.columns + shape.columns_beside();
        let expected = self.sums[chunk * columns + first_column(shape, part) + index];
        if expected.is_none_or(|expected| expected == found) {
            return Ok(());
        }
        let column = match part {
            Part::Features => format!("stored column {} of {}", index + 1, shape.columns),
            Part::Labels => "the label".into(),
            Part::RowWeights => "the row weights".into(),
            _ => "the offsets".into(),
        };
        let first = self.layout.first_of(chunk);
        Err(Error::device(
            format!(
                "the GPU does not hold what was sent to it: {column}, rows {first} to {}",
                first + self.layout.rows_of(chunk) - 1
            ),
            WAY_OUT,
        ))
    }

    /// An error unless the values of a part with one column, as they came back from a chunk, are those that were sent.
    pub(super) fn check_values(&self, gpu: &Gpu, chunk: usize, part: Part, values: &[f32]) -> Result<()> {
        if gpu.faults.are_believed() { Ok(()) } else { self.agrees(chunk, part, 0, sum_of(0, values)) }
    }
}
