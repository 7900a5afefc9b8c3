//! Where the chunks of a table are kept between passes: on the device, in memory, and beyond that in a scratch file.
//!
//! A chunk that is kept on the host is a *record*: its columns, labels and the state of its rows in one piece. A scratch
//! file has no name (where the system allows that), so nothing of it is left after a crash.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use memmap2::MmapMut;

use crate::backend::layout::Layout;
use crate::error::{Error, Result};

/// How much of a table may be kept where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the device; `None` for as many as it gives.
    pub device: Option<u64>,
    /// Bytes in memory; `None` for three quarters of what is available.
    pub host: Option<u64>,
    /// The folder of the scratch file; `None` for the system's temporary folder.
    pub scratch: Option<PathBuf>,
}

impl Limits {
    /// Bytes that may be kept in memory.
    pub fn host_bytes(&self) -> u64 {
        self.host.unwrap_or_else(|| available_memory() / 4 * 3)
    }

    fn folder(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Bytes of memory that are available to this process, its control group's limit included.
pub fn available_memory() -> u64 {
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
    );
    let available = system.available_memory();
    system.cgroup_limits().map_or(available, |group| available.min(group.free_memory))
}

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

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The columns, f32 `[features][stride]`.
    Features,
    /// The labels, f32 `[stride]`.
    Labels,
    /// The margins, `[stride]`.
    Margins,
    /// The direction margins, `[stride]`.
    DirectionMargins,
    /// The residuals, `[stride]`; not kept where the state is f64.
    Residuals,
}

/// Where the parts of a record lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLayout {
    /// Columns.
    pub features: usize,
    /// Rows from one column to the next.
    pub stride: usize,
    /// Bytes of a margin: 4 or 8.
    state_bytes: usize,
}

/// Cache lines of a column's tile; columns whose distance is an odd multiple of it lie in different sets of a cache.
const TILE_LINES: usize = 64;

impl RecordLayout {
    /// A record of at most `rows` rows, whose margins are `state_bytes` wide.
    pub fn new(rows: usize, features: usize, state_bytes: usize) -> Self {
        const ROWS_A_LINE: usize = 16;
        let mut lines = rows.div_ceil(ROWS_A_LINE);
        // A distance of a power of two would put every column into the same few sets of a cache.
        while lines > 8 * TILE_LINES && lines % (2 * TILE_LINES) != TILE_LINES + 1 {
            lines += 1;
        }
        Self { features, stride: lines * ROWS_A_LINE, state_bytes }
    }

    /// Bytes of a record.
    pub fn bytes(&self) -> usize {
        self.range(if self.state_bytes == 4 { Part::Residuals } else { Part::DirectionMargins }).end
    }

    /// The bytes of a part.
    pub fn range(&self, part: Part) -> Range<usize> {
        let features = self.features * self.stride * 4;
        let labels = features + self.stride * 4;
        let state = self.stride * self.state_bytes;
        match part {
            Part::Features => 0..features,
            Part::Labels => features..labels,
            Part::Margins => labels..labels + state,
            Part::DirectionMargins => labels + state..labels + 2 * state,
            Part::Residuals => labels + 2 * state..labels + 3 * state,
        }
    }
}

/// Records in memory, one after the other.
pub struct Records {
    memory: MmapMut,
    record_bytes: usize,
}

impl Records {
    /// Room for `count` records of zeros.
    pub fn new(count: usize, layout: RecordLayout) -> Result<Self> {
        let record_bytes = layout.bytes().max(1);
        let bytes = record_bytes * count;
        let memory = MmapMut::map_anon(bytes.max(1)).map_err(|cause| {
            Error::device(
                format!("{} of memory cannot be had: {cause}", human(bytes as u64)),
                "Lower --host-memory: the rest is then kept in a scratch file.",
            )
        })?;
        // A page of 2 MiB costs one fault where small ones cost 512. Advice: a system without them goes on.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory, record_bytes })
    }

    /// The records.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(self.record_bytes)
    }
}

/// A file of records.
pub struct Scratch {
    file: File,
    layout: RecordLayout,
    path: PathBuf,
}

impl Scratch {
    /// Reserves room for `count` records in `folder`.
    pub fn create(folder: &Path, count: usize, layout: RecordLayout) -> Result<Self> {
        let bytes = (layout.bytes() * count) as u64;
        let failed = |cause: io::Error| {
            Error::scratch(
                format!("the scratch file of {} cannot be made in {}: {cause}", human(bytes), folder.display()),
                "Name a folder on a disk with room with --scratch, or raise --host-memory.",
            )
        };
        let free = fs4::available_space(folder).map_err(failed)?;
        if free < bytes {
            return Err(Error::scratch(
                format!(
                    "the scratch file needs {} in {}, which has {} free",
                    human(bytes),
                    folder.display(),
                    human(free)
                ),
                "Name a folder on a disk with room with --scratch, or raise --host-memory.",
            ));
        }
        let file = tempfile::tempfile_in(folder).map_err(failed)?;
        // The room is taken now, so that a disk that fills up later does no harm.
        fs4::FileExt::allocate(&file, bytes).map_err(failed)?;
        Ok(Self { file, layout, path: folder.to_path_buf() })
    }

    fn failed(&self, cause: &io::Error) -> Error {
        Error::scratch(
            format!("the scratch file in {} failed: {cause}", self.path.display()),
            "Check the disk, or name another folder with --scratch.",
        )
    }

    /// Writes `bytes` to a record from `offset` on.
    pub fn write(&self, record: usize, offset: usize, bytes: &[u8]) -> Result<()> {
        write_at(&self.file, bytes, self.place(record, offset)).map_err(|cause| self.failed(&cause))
    }

    /// Fills `bytes` from a record from `offset` on.
    pub fn read(&self, record: usize, offset: usize, bytes: &mut [u8]) -> Result<()> {
        read_at(&self.file, bytes, self.place(record, offset)).map_err(|cause| self.failed(&cause))
    }

    fn place(&self, record: usize, offset: usize) -> u64 {
        (record * self.layout.bytes() + offset) as u64
    }

    /// Streams `count` records through `staging`: reads the parts `reads` of each, hands it to `work`, and writes the
    /// parts `writes` back. Reading ahead and writing behind have a thread each, so that the disk and `work` overlap.
    pub fn stream(
        &self,
        count: usize,
        staging: &mut Records,
        [reads, writes]: [&[Part]; 2],
        mut work: impl FnMut(usize, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let (give_back, free) = channel::<&mut [u8]>();
        let (hand_over, ready) = channel::<(usize, &mut [u8])>();
        let (put_away, done) = channel::<(usize, &mut [u8])>();
        for record in staging.iter_mut() {
            give_back.send(record).expect("the receiver is here");
        }
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                for index in 0..count {
                    // No more buffers come when the others have stopped.
                    let Ok(record) = free.recv() else { break };
                    for &part in reads {
                        let range = self.layout.range(part);
                        self.read(index, range.start, &mut record[range])?;
                    }
                    if hand_over.send((index, record)).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let writer = scope.spawn(move || {
                for (index, record) in done {
                    for &part in writes {
                        let range = self.layout.range(part);
                        self.write(index, range.start, &record[range])?;
                    }
                    if give_back.send(record).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let mut worked = Ok(());
            for (index, record) in ready {
                worked = work(index, record);
                if worked.is_err() || put_away.send((index, record)).is_err() {
                    break;
                }
            }
            drop(put_away);
            let written = writer.join().expect("the writer does not panic");
            let read = reader.join().expect("the reader does not panic");
            worked.and(read).and(written)
        })
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        offset += read as u64;
    }
    Ok(())
}

/// Records of a table that are in memory, those that are in the scratch file, and the buffers between.
pub struct HostRecords {
    /// How a record lies.
    pub layout: RecordLayout,
    /// The first chunks.
    pub memory: Records,
    /// How many those are.
    pub in_memory: usize,
    /// The other chunks, if there are any.
    pub scratch: Option<(Scratch, Records)>,
    /// How many those are.
    pub in_scratch: usize,
}

/// Records between the scratch file and the processor: one is read, one worked on, one written.
const STAGED: usize = 3;

impl HostRecords {
    /// Places `chunks` records: as many as the limit allows in memory, the rest in the scratch file.
    pub fn new(chunks: usize, layout: RecordLayout, limits: &Limits) -> Result<Self> {
        let most = limits.host_bytes();
        let record = layout.bytes() as u64;
        let in_memory = if chunks as u64 * record <= most {
            chunks
        } else {
            // What streams needs buffers too.
            ((most / record) as usize).saturating_sub(STAGED).min(chunks)
        };
        let in_scratch = chunks - in_memory;
        let scratch = if in_scratch > 0 {
            let file = Scratch::create(&limits.folder(), in_scratch, layout)?;
            Some((file, Records::new(STAGED.min(in_scratch), layout)?))
        } else {
            None
        };
        Ok(Self { layout, memory: Records::new(in_memory, layout)?, in_memory, scratch, in_scratch })
    }

    /// What is kept where.
    pub fn placement(&self) -> Placement {
        let record = self.layout.bytes() as u64;
        Placement {
            memory_chunks: self.in_memory,
            scratch_chunks: self.in_scratch,
            memory_bytes: self.in_memory as u64 * record,
            scratch_bytes: self.in_scratch as u64 * record,
            ..Placement::default()
        }
    }
}

/// Bytes of a chunk for a table whose host records may take `limit` bytes: large ones cost fewer calls, and the three
/// that are on their way to and from the scratch file should be a small part of the limit.
pub fn chunk_bytes(limit: u64) -> usize {
    (limit / 32).clamp(1 << 20, 16 << 20) as usize
}

/// `bytes` with a unit, as the user reads it.
pub fn human(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", (bytes as f64 / 1e3).ceil()),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Whether `layout` cuts a table so that a record can hold its chunks.
pub fn record_of(layout: &Layout, state_bytes: usize) -> RecordLayout {
    RecordLayout::new(layout.chunk_rows.min(layout.rows), layout.features, state_bytes)
}
