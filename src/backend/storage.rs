//! Where the chunks of a table are kept between passes: on the device, in memory, and beyond that in a scratch file.
//!
//! A chunk that is kept on the host is a *record*: its columns, labels and the state of its rows in one piece. A scratch
//! file has no name (where the system allows that), so nothing of it is left after a crash.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use memmap2::MmapMut;

use crate::backend::layout::Layout;
use crate::data::{Column, Shape};
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

/// Bytes of memory that are available to this process, the limits of its control groups included.
pub fn available_memory() -> u64 {
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
    );
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let within_groups = room_in_groups(Path::new("/sys/fs/cgroup"), &groups);
    within_groups.map_or(system.available_memory(), |room| room.min(system.available_memory()))
}

/// The least room that the control groups leave which `groups` lists (the text of `/proc/self/cgroup`), each with all
/// that it lies in, under the mount point `root`; of both versions of the interface. `None` without any limit.
fn room_in_groups(root: &Path, groups: &str) -> Option<u64> {
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let room = |group: &Path, limit: &str, usage: &str, cache: &str| {
        let limit = number(group.join(limit))?;
        let statistics = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let reclaimable = statistics.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
        let used = number(group.join(usage))?.saturating_sub(reclaimable.unwrap_or(0));
        Some(limit.saturating_sub(used))
    };
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let is_second_version = controllers.is_empty();
            let top = if is_second_version {
                root.to_owned()
            } else {
                controllers.split(',').find(|controller| *controller == "memory").map(|memory| root.join(memory))?
            };
            let all = Path::new(group).ancestors().map(|group| top.join(group));
            if is_second_version {
                all.filter_map(|group| room(&group, "memory.max", "memory.current", "inactive_file ")).min()
            } else {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
                all.filter_map(|group| room(&group, names[0], names[1], names[2])).min()
            }
        })
        .min()
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
    /// The columns, f32 `[columns][stride]`.
    Features,
    /// The labels, f32 `[stride]`.
    Labels,
    /// The row weights, f32 `[stride]`; empty where the table has none.
    RowWeights,
    /// The offsets, f32 `[stride]`; empty where the table has none.
    Offsets,
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
    /// Of the record: at most that many rows.
    pub shape: Shape,
    /// Rows from one column to the next.
    pub stride: usize,
    /// Bytes of a margin: 4 or 8.
    state_bytes: usize,
}

/// Cache lines of a column's tile; columns whose distance is an odd multiple of it lie in different sets of a cache.
const TILE_LINES: usize = 64;

impl RecordLayout {
    /// A record of at most `shape.rows` rows, whose margins are `state_bytes` wide.
    pub fn new(shape: Shape, state_bytes: usize) -> Self {
        const ROWS_A_LINE: usize = 16;
        let mut lines = shape.rows.div_ceil(ROWS_A_LINE);
        // A distance of a power of two would put every column into the same few sets of a cache.
        while lines > 8 * TILE_LINES && lines % (2 * TILE_LINES) != TILE_LINES + 1 {
            lines += 1;
        }
        Self { shape, stride: lines * ROWS_A_LINE, state_bytes }
    }

    /// Bytes of a record.
    pub fn bytes(&self) -> usize {
        self.range(if self.state_bytes == 4 { Part::Residuals } else { Part::DirectionMargins }).end
    }

    /// The bytes of a part; none for one that the table does not have.
    pub fn range(&self, part: Part) -> Range<usize> {
        let column = self.stride * 4;
        let features = self.shape.columns * column;
        let labels = features + column;
        let row_weights = labels + usize::from(self.shape.weights) * column;
        let columns = row_weights + usize::from(self.shape.offsets) * column;
        let state = self.stride * self.state_bytes;
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

    /// Which of the record's columns of f32 a column is: features, label, row weights, offsets. `None` if the table
    /// does not have it.
    fn place(&self, column: Column) -> Option<usize> {
        let features = self.shape.columns;
        self.shape.has(column).then_some(match column {
            Column::Feature(index) => index,
            Column::Label => features,
            Column::Weight => features + 1,
            Column::Offset => features + 1 + usize::from(self.shape.weights),
        })
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

/// A record on its way through a pass.
pub struct Visit<'s> {
    /// Which record.
    pub index: usize,
    /// Its bytes.
    pub record: &'s mut [u8],
}

/// Which parts of a record a pass reads, and which of them it changes.
pub type Touched = [&'static [Part]; 2];

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

    /// Streams `count` records through `staging`: reads the parts of each that `touched` names, hands it to `work`, and
    /// writes back what was changed once `work` gives it up. Reading ahead and writing behind have a thread each, so that
    /// the disk and `work` overlap.
    fn stream<'s>(
        &self,
        count: usize,
        staging: &'s mut Records,
        [reads, writes]: Touched,
        work: &mut impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        let (give_back, free) = channel::<&mut [u8]>();
        let (hand_over, ready) = channel::<Visit<'s>>();
        let (put_away, done) = channel::<Visit<'s>>();
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
                    if hand_over.send(Visit { index, record }).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let writer = scope.spawn(move || {
                for Visit { index, record } in done {
                    for &part in writes {
                        let range = self.layout.range(part);
                        self.write(index, range.start, &record[range])?;
                    }
                    // A reader that has read all there is takes no more buffers; what is left is written all the same.
                    let _ = give_back.send(record);
                }
                Ok(())
            });
            let mut worked = Ok(());
            // After the last one, once more with nothing, for what `work` still holds.
            for visit in ready.iter().map(Some).chain([None]) {
                match work(visit) {
                    Ok(finished) => {
                        if finished.is_some_and(|finished| put_away.send(finished).is_err()) {
                            break;
                        }
                    }
                    Err(error) => {
                        worked = Err(error);
                        break;
                    }
                }
            }
            drop((ready, put_away));
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

/// The chunks of a table that are kept on the host: the first ones in memory, the others in a scratch file.
pub struct HostRecords {
    /// How a record lies.
    pub layout: RecordLayout,
    memory: Records,
    in_memory: usize,
    /// The file, and the buffers between it and the device.
    scratch: Option<(Scratch, Records)>,
    in_scratch: usize,
}

/// Records between the scratch file and the device: one is read, two are worked on, one is written.
const STAGED: usize = 4;

impl HostRecords {
    /// Places `count` records: as many as the limit allows in memory, the rest in the scratch file.
    pub fn new(count: usize, layout: RecordLayout, limits: &Limits) -> Result<Self> {
        let most = limits.host_bytes();
        let record = layout.bytes() as u64;
        let in_memory = if count as u64 * record <= most {
            count
        } else {
            // What streams needs buffers too.
            ((most / record) as usize).saturating_sub(STAGED).min(count)
        };
        let in_scratch = count - in_memory;
        let scratch = if in_scratch > 0 {
            let file = Scratch::create(&limits.folder(), in_scratch, layout)?;
            Some((file, Records::new(STAGED.min(in_scratch), layout)?))
        } else {
            None
        };
        Ok(Self { layout, memory: Records::new(in_memory, layout)?, in_memory, scratch, in_scratch })
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.in_memory + self.in_scratch
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// What takes the columns of the records.
    pub fn columns(&mut self) -> RecordColumns<'_> {
        let layout = self.layout;
        let in_memory = self.memory.iter_mut().map(|bytes| {
            let columns = &mut bytes[..layout.range(Part::Margins).start];
            bytemuck::cast_slice_mut(columns).chunks_exact_mut(layout.stride).map(Mutex::new).collect()
        });
        RecordColumns { layout, in_memory: in_memory.collect(), scratch: self.scratch.as_ref().map(|(file, _)| file) }
    }

    /// The records in memory, in their order.
    pub fn in_memory(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.iter_mut()
    }

    /// Hands every record in the scratch file to `work` in order, with its index among all records, and once more
    /// nothing; `work` gives back each record when it is done with it.
    pub fn stream_scratch<'s>(
        &'s mut self,
        touched: Touched,
        mut work: impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        let Some((file, staging)) = &mut self.scratch else { return Ok(()) };
        let first = self.in_memory;
        file.stream(self.in_scratch, staging, touched, &mut |visit| {
            let visit = visit.map(|visit| Visit { index: first + visit.index, ..visit });
            Ok(work(visit)?.map(|visit| Visit { index: visit.index - first, ..visit }))
        })
    }

    /// As [`HostRecords::stream_scratch`], for all records.
    pub fn stream<'s>(
        &'s mut self,
        touched: Touched,
        mut work: impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        for (index, record) in self.memory.iter_mut().enumerate() {
            work(Some(Visit { index, record }))?;
        }
        let Some((file, staging)) = &mut self.scratch else {
            work(None)?;
            return Ok(());
        };
        let first = self.in_memory;
        file.stream(self.in_scratch, staging, touched, &mut |visit| {
            let visit = visit.map(|visit| Visit { index: first + visit.index, ..visit });
            // What comes back may still be a record in memory, which needs no writing.
            let finished = work(visit)?.filter(|finished| finished.index >= first);
            Ok(finished.map(|visit| Visit { index: visit.index - first, ..visit }))
        })
    }
}

/// The columns of a chunk, `[stride]` each, with a lock each: several threads write different ones.
type ChunkColumns<'t> = Vec<Mutex<&'t mut [f32]>>;

/// Takes columns for records.
pub struct RecordColumns<'t> {
    layout: RecordLayout,
    in_memory: Vec<ChunkColumns<'t>>,
    scratch: Option<&'t Scratch>,
}

impl RecordColumns<'_> {
    /// Writes `values` to the rows of a column from `first_row` of the record on.
    pub fn write(&self, record: usize, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let Some(place) = self.layout.place(column) else { return Err(absent(column)) };
        if let Some(columns) = self.in_memory.get(record) {
            let mut target = columns[place].lock().expect("no writer panics while it copies");
            target[first_row..first_row + values.len()].copy_from_slice(values);
            return Ok(());
        }
        let start = place * self.layout.stride * 4;
        let scratch = self.scratch.expect("a record is in memory or in the scratch file");
        scratch.write(record - self.in_memory.len(), start + first_row * 4, bytemuck::cast_slice(values))
    }
}

/// A column was written that the table does not have.
pub(super) fn absent(column: Column) -> Error {
    Error::internal(format!("{column:?} was written to a table without it"))
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

/// The records that hold the chunks of `layout`, with margins `state_bytes` wide.
pub fn record_of(layout: &Layout, state_bytes: usize) -> RecordLayout {
    let rows = layout.chunk_rows.min(layout.shape.rows);
    RecordLayout::new(Shape { rows, ..layout.shape }, state_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_control_group_decides() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
            std::fs::write(path, text).expect("is written");
        };
        let room = |groups: &str| room_in_groups(root.path(), groups);
        assert_eq!(room("0::/a/b\n"), None);
        // The second version of the interface: the outer group is the narrower one, and cached files can go.
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 300\ninactive_file 400\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "700\n");
        assert_eq!(room("0::/a/b\n"), Some(700));
        write("a/b/memory.max", "900\n");
        assert_eq!(room("0::/a/b\n"), Some(200));
        assert_eq!(room("0::/\n"), None);
        // The first: every controller has a tree of its own.
        write("memory/x/memory.limit_in_bytes", "500\n");
        write("memory/x/memory.usage_in_bytes", "450\n");
        write("memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 50\n");
        assert_eq!(room("5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n"), Some(100));
        assert_eq!(room("4:cpuset:/x\n"), None);
    }

    #[test]
    fn columns_of_a_record_lie_in_different_sets_of_a_cache() {
        for (rows, features) in [(1, 1), (4_096, 3), (131_072, 32), (149_504, 28)] {
            let layout = RecordLayout::new(Shape::plain(rows, features), 8);
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
            let layout = RecordLayout::new(Shape { weights, offsets, ..Shape::plain(33, 3) }, 4);
            let mut end = 0;
            for part in [Features, Labels, RowWeights, Offsets, Margins, DirectionMargins, Residuals] {
                assert_eq!(layout.range(part).start, end, "{part:?} of {layout:?}");
                end = layout.range(part).end;
            }
            assert_eq!((end, layout.bytes()), (layout.stride * (4 * layout.shape.columns_beside() + 12 + 12), end));
            let places = [Column::Feature(2), Column::Label, Column::Weight, Column::Offset].map(|c| layout.place(c));
            let after = weights.then_some(4);
            assert_eq!(places, [Some(2), Some(3), after, offsets.then_some(4 + usize::from(weights))]);
            assert_eq!(layout.range(RowWeights).is_empty(), !weights);
            assert_eq!(layout.range(Offsets).is_empty(), !offsets);
        }
    }
}
