//! Where the chunks of a table are kept between passes: on the device, in memory, and beyond that in a scratch file.
//!
//! A *host chunk* is one that is kept on the host: its columns, labels and the state of its rows in one piece. A scratch
//! file has no name (where the system allows that), so nothing of it is left after a crash.

mod host_chunk;
mod limits;
mod scratch;

use std::sync::Mutex;

pub use self::host_chunk::{HostChunks, HostLayout, Part, host_layout};
pub use self::limits::{Limits, available_memory, chunk_bytes};
pub use self::scratch::{Access, Scratch, Visit};
use crate::data::Column;
use crate::error::{Error, Result};

/// Which chunks are kept where, in their order: first those on the device, then those in memory, then those in the
/// scratch file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Placement {
    /// Chunks on the device.
    pub device_chunks: usize,
    /// Chunks in memory.
    pub memory_chunks: usize,
    /// Chunks in the scratch file.
    pub scratch_chunks: usize,
    /// Bytes on the device.
    pub device_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes in the scratch file.
    pub scratch_bytes: u64,
}

/// The chunks of a table that are kept on the host: the first ones in memory, the others in a scratch file.
pub struct HostStore {
    /// How a host chunk lies.
    pub layout: HostLayout,
    memory: HostChunks,
    in_memory: usize,
    /// The file, and the buffers between it and the device.
    scratch: Option<(Scratch, HostChunks)>,
    in_scratch: usize,
}

/// Host chunks between the scratch file and the device: one is read, two are worked on, one is written.
pub const STAGED: usize = 4;

impl HostStore {
    /// Places `count` host chunks: as many as the limit allows in memory, the rest in the scratch file.
    pub fn new(count: usize, layout: HostLayout, limits: &Limits) -> Result<Self> {
        let most = limits.host_bytes();
        let chunk = layout.bytes() as u64;
        let in_memory = if count as u64 * chunk <= most {
            count
        } else {
            // What streams needs buffers too.
            ((most / chunk) as usize).saturating_sub(STAGED).min(count)
        };
        let in_scratch = count - in_memory;
        let scratch = if in_scratch > 0 {
            let file = Scratch::create(&limits.folder(), in_scratch, layout)?;
            Some((file, HostChunks::new(STAGED.min(in_scratch), layout)?))
        } else {
            None
        };
        Ok(Self { layout, memory: HostChunks::new(in_memory, layout)?, in_memory, scratch, in_scratch })
    }

    /// The number of host chunks.
    pub fn len(&self) -> usize {
        self.in_memory + self.in_scratch
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is kept where.
    pub fn placement(&self) -> Placement {
        let chunk = self.layout.bytes() as u64;
        Placement {
            memory_chunks: self.in_memory,
            scratch_chunks: self.in_scratch,
            memory_bytes: self.in_memory as u64 * chunk,
            scratch_bytes: self.in_scratch as u64 * chunk,
            ..Placement::default()
        }
    }

    /// What takes the columns of the host chunks.
    pub fn columns(&mut self) -> HostColumns<'_> {
        let layout = self.layout;
        let in_memory = self.memory.iter_mut().map(|bytes| {
            let columns = &mut bytes[..layout.range(Part::Margins).start];
            bytemuck::cast_slice_mut(columns).chunks_exact_mut(layout.stride).map(Mutex::new).collect()
        });
        HostColumns { layout, in_memory: in_memory.collect(), scratch: self.scratch.as_ref().map(|(file, _)| file) }
    }

    /// The host chunks in memory, in their order.
    pub fn in_memory(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.iter_mut()
    }

    /// Hands every host chunk in the scratch file to `work` in order, with its index among all host chunks, and once more
    /// nothing; `work` gives back each host chunk when it is done with it.
    pub fn stream_scratch<'s>(
        &'s mut self,
        access: Access,
        mut work: impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        self.stream_from(self.in_memory, access, &mut work)
    }

    /// As [`HostStore::stream_scratch`], for all host chunks.
    pub fn stream<'s>(
        &'s mut self,
        access: Access,
        mut work: impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        self.stream_from(0, access, &mut work)
    }

    /// The host chunks in memory from number `first` on, then all in the scratch file, then nothing.
    fn stream_from<'s>(
        &'s mut self,
        first: usize,
        access: Access,
        work: &mut impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        for (index, chunk) in self.memory.iter_mut().enumerate().skip(first) {
            work(Some(Visit { index, chunk }))?;
        }
        let Some((file, staging)) = &mut self.scratch else { return work(None).map(drop) };
        let in_memory = self.in_memory;
        file.stream(self.in_scratch, staging, access, &mut |visit| {
            let visit = visit.map(|visit| Visit { index: in_memory + visit.index, ..visit });
            // What comes back may still be a host chunk in memory, which needs no writing.
            let finished = work(visit)?.filter(|finished| finished.index >= in_memory);
            Ok(finished.map(|visit| Visit { index: visit.index - in_memory, ..visit }))
        })
    }
}

/// The columns of a chunk, `[stride]` each, with a lock each: several threads write different ones.
type ChunkColumns<'t> = Vec<Mutex<&'t mut [f32]>>;

/// Takes columns for host chunks.
pub struct HostColumns<'t> {
    layout: HostLayout,
    in_memory: Vec<ChunkColumns<'t>>,
    scratch: Option<&'t Scratch>,
}

impl HostColumns<'_> {
    /// Writes `values` to the rows of a column from `first_row` of the host chunk on.
    pub fn write(&self, chunk: usize, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let Some(place) = self.layout.place(column) else { return Err(absent(column)) };
        if let Some(columns) = self.in_memory.get(chunk) {
            let mut target = columns[place].lock().expect("no writer panics while it copies");
            target[first_row..first_row + values.len()].copy_from_slice(values);
            return Ok(());
        }
        let start = place * self.layout.stride * 4;
        let scratch = self.scratch.expect("a chunk is in memory or in the scratch file");
        scratch.write(chunk - self.in_memory.len(), start + first_row * 4, bytemuck::cast_slice(values))
    }
}

/// A column was written that the table does not have.
pub(super) fn absent(column: Column) -> Error {
    Error::internal(format!("{column:?} was written to a table without it"))
}

/// `bytes` with a unit, as the user reads it.
pub fn human(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", (bytes as f64 / 1e3).ceil()),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
