//! A table on the device: the buffers of each chunk, filled column by column while the file is read.

use std::ops::Range;
use std::sync::Mutex;

use crate::backend::gpu::Gpu;
use crate::backend::gpu::chunk::{Chunk, Shared, chunk};
use crate::backend::gpu::objective::GpuObjective;
use crate::backend::layout::Layout;
use crate::backend::storage::Placement;
use crate::backend::{Backend, Loading};
use crate::data::{Column, Store};
use crate::error::Result;

/// Bytes handed to the queue before it is flushed, so that its own staging memory stays bounded.
const FLUSH_BYTES: usize = 64 << 20;

/// A table being filled.
pub struct GpuTable {
    gpu: Gpu,
    layout: Layout,
    chunks: Vec<Chunk>,
    shared: Shared,
    /// Bytes handed to the queue since it was flushed.
    pending: Mutex<usize>,
}

impl GpuTable {
    pub(super) fn new(gpu: Gpu, layout: Layout) -> Result<Self> {
        let shared = Shared::new(&gpu, &layout)?;
        let chunks = (0..layout.chunks()).map(|index| chunk(&gpu, &layout, index, &shared)).collect::<Result<_>>()?;
        Ok(Self { gpu, layout, chunks, shared, pending: Mutex::new(0) })
    }

    /// Fills every buffer, padding included, with NaN: what is not written must not be read.
    pub fn poison(&self) -> Result<()> {
        for chunk in &self.chunks {
            let buffers = [
                &chunk.features,
                &chunk.labels,
                &chunk.margins,
                &chunk.direction_margins,
                &chunk.residuals,
                &chunk.slots,
            ];
            for buffer in buffers {
                let nan = vec![f32::NAN; (buffer.size() / 4) as usize];
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&nan));
            }
            self.gpu.queue.submit([]);
            self.gpu.wait()?;
        }
        Ok(())
    }

    fn write_piece(&self, column: Column, chunk: usize, rows: &Range<usize>, values: &[f32]) -> Result<()> {
        let chunk = &self.chunks[chunk];
        let (target, first) = match column {
            Column::Feature(index) => (&chunk.features, index * chunk.stride() * 4),
            Column::Label => (&chunk.labels, 0),
        };
        let offset = ((first + rows.start) * 4) as u64;
        self.gpu.queue.write_buffer(target, offset, bytemuck::cast_slice(values));
        let mut pending = self.pending.lock().expect("nothing panics while it holds this lock");
        *pending += size_of_val(values);
        if *pending >= FLUSH_BYTES {
            *pending = 0;
            self.gpu.queue.submit([]);
            self.gpu.wait()?;
        }
        Ok(())
    }
}

impl Store for &GpuTable {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut values = values;
        for (chunk, rows) in self.layout.pieces(first_row, values.len()) {
            let (here, rest) = values.split_at(rows.len());
            values = rest;
            self.write_piece(column, chunk, &rows, here)?;
        }
        Ok(())
    }
}

impl Loading for GpuTable {
    fn as_store(&mut self) -> Box<dyn Store + '_> {
        Box::new(&*self)
    }

    fn placement(&self) -> Placement {
        Placement::default()
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn Backend>> {
        self.gpu.queue.submit([]);
        self.gpu.wait()?;
        Ok(Box::new(GpuObjective::new(self.gpu, self.layout, self.chunks, self.shared)?))
    }
}
