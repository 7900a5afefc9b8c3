//! The scratch file: made before the work, read ahead and written behind while a pass goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use super::host_chunk::{HostChunks, HostLayout, Part};
use super::human;
use crate::error::{Error, Result};

/// A host chunk on its way through a pass.
pub struct Visit<'s> {
    /// Which host chunk.
    pub index: usize,
    /// Its bytes.
    pub chunk: &'s mut [u8],
}

/// Which parts of a host chunk a pass reads, and which of them it changes.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Brought to where the work is done.
    pub reads: &'static [Part],
    /// Brought back from there.
    pub writes: &'static [Part],
}

/// A file of host chunks.
pub struct Scratch {
    file: File,
    layout: HostLayout,
    path: PathBuf,
}

impl Scratch {
    /// Reserves room for `count` host chunks in `folder`.
    pub fn create(folder: &Path, count: usize, layout: HostLayout) -> Result<Self> {
        let bytes = (layout.bytes() * count) as u64;
        let failed = |cause: io::Error| {
            Error::scratch(
                format!("the scratch file of {} cannot be made in {}: {cause}", human(bytes), folder.display()),
                "Name a folder on a disk with room with ⟦scratch⟧, or raise ⟦host-memory⟧.",
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
                "Name a folder on a disk with room with ⟦scratch⟧, or raise ⟦host-memory⟧.",
            ));
        }
        let file = tempfile::tempfile_in(folder).map_err(failed)?;
        // The room is taken now, so that a disk that fills up later does no harm.
        match fs4::FileExt::allocate(&file, bytes) {
            // Network folders and FUSE have no such call; there a disk that fills up is found when it does.
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => file.set_len(bytes).map_err(failed)?,
            allocated => allocated.map_err(failed)?,
        }
        Ok(Self { file, layout, path: folder.to_path_buf() })
    }

    fn failed(&self, cause: &io::Error) -> Error {
        Error::scratch(
            format!("the scratch file in {} failed: {cause}", self.path.display()),
            "Check the disk, or name another folder with ⟦scratch⟧.",
        )
    }

    /// Writes `bytes` to a host chunk from `offset` on.
    pub fn write(&self, chunk: usize, offset: usize, bytes: &[u8]) -> Result<()> {
        write_at(&self.file, bytes, self.place(chunk, offset)).map_err(|cause| self.failed(&cause))
    }

    /// Fills `bytes` from a host chunk from `offset` on.
    pub fn read(&self, chunk: usize, offset: usize, bytes: &mut [u8]) -> Result<()> {
        read_at(&self.file, bytes, self.place(chunk, offset)).map_err(|cause| self.failed(&cause))
    }

    fn place(&self, chunk: usize, offset: usize) -> u64 {
        (chunk * self.layout.bytes() + offset) as u64
    }

    /// Streams `count` host chunks through `staging`: reads the parts of each that `access` names, hands it to `work`, and
    /// writes back what was changed once `work` gives it up. Reading ahead and writing behind have a thread each, so that
    /// the disk and `work` overlap.
    pub(super) fn stream<'s>(
        &self,
        count: usize,
        staging: &'s mut HostChunks,
        Access { reads, writes }: Access,
        work: &mut impl FnMut(Option<Visit<'s>>) -> Result<Option<Visit<'s>>>,
    ) -> Result<()> {
        let (give_back, free) = channel::<&mut [u8]>();
        let (hand_over, ready) = channel::<Visit<'s>>();
        let (put_away, done) = channel::<Visit<'s>>();
        for chunk in staging.iter_mut() {
            give_back.send(chunk).expect("the receiver is here");
        }
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                for index in 0..count {
                    // No more buffers come when the others have stopped.
                    let Ok(chunk) = free.recv() else { break };
                    for &part in reads {
                        let range = self.layout.range(part);
                        self.read(index, range.start, &mut chunk[range])?;
                    }
                    if hand_over.send(Visit { index, chunk }).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let writer = scope.spawn(move || {
                for Visit { index, chunk } in done {
                    for &part in writes {
                        let range = self.layout.range(part);
                        self.write(index, range.start, &chunk[range])?;
                    }
                    // A reader that has read all there is takes no more buffers; what is left is written all the same.
                    let _ = give_back.send(chunk);
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
