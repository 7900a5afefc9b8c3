//! The file of a checkpoint, to which records are appended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::engine::journal::{Keep, Record};
use crate::error::{Error, Result};
use crate::model::file::Pending;
use crate::train::job::Every;

pub(super) struct Tape {
    file: File,
    path: PathBuf,
    every: Every,
    /// Bytes of the header.
    header: u64,
    /// Where each record that was written ends.
    ends: Vec<u64>,
    /// The record that comes next, among all of the run.
    place: usize,
    /// Records that wait, and their lengths.
    waiting: Vec<u8>,
    lengths: Vec<u64>,
    written_at: Instant,
    /// Passes over the data when it was written last, and now.
    written_passes: u64,
    passes: u64,
    fault: Option<String>,
}

impl Tape {
    /// A new file with a header, which is there whole or not at all.
    pub(super) fn create(path: &Path, every: Every, header: &[u8]) -> Result<Self> {
        Pending::create(path)?.begin(header)?;
        Self::resume(path, every, header.len() as u64, &[])
    }

    /// The file of a run before, with a header of so many bytes and these records behind it; what follows them is cut off.
    pub(super) fn resume(path: &Path, every: Every, header: u64, records: &[Record]) -> Result<Self> {
        let mut tape = Self::open(path, every, header)?;
        let mut end = header;
        for record in records {
            end += record.to_bytes().len() as u64;
            tape.ends.push(end);
        }
        tape.file.set_len(end).map_err(|cause| Error::output(path, cause))?;
        Ok(tape)
    }

    fn open(path: &Path, every: Every, header: u64) -> Result<Self> {
        let fail = |cause| Error::output(path, cause);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        // Two runs would destroy what the other one writes. Where there are no locks, nobody knows.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::usage(
                format!("{} is being written by another run", path.display()),
                "Wait until that one has ended, or choose another place.",
            ));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            every,
            header,
            ends: Vec::new(),
            place: 0,
            waiting: Vec::new(),
            lengths: Vec::new(),
            written_at: Instant::now(),
            written_passes: 0,
            passes: 0,
            fault: None,
        })
    }

    fn begin_with(&mut self, header: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.sync_all()
    }

    /// Forgets all records: the run begins elsewhere.
    pub(super) fn start_over(&mut self, header: &[u8]) -> Result<()> {
        self.file.set_len(0).map_err(|cause| Error::output(&self.path, cause))?;
        (self.header, self.place, self.passes, self.written_passes) = (header.len() as u64, 0, 0, 0);
        self.ends.clear();
        self.waiting.clear();
        self.lengths.clear();
        let begun = self.begin_with(header);
        begun.map_err(|cause| Error::output(&self.path, cause))
    }

    /// Why it is not whole, if it is not.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Passes over the data that it holds.
    pub(super) fn passes(&self) -> u64 {
        self.passes
    }

    /// Writes what waits. A run goes on without a checkpoint that cannot be written.
    pub(super) fn write(&mut self) {
        (self.written_at, self.written_passes) = (Instant::now(), self.passes);
        if self.waiting.is_empty() || self.fault.is_some() {
            return;
        }
        let start = self.ends.last().copied().unwrap_or(self.header);
        let (file, waiting) = (&mut self.file, &self.waiting);
        let written =
            file.seek(SeekFrom::Start(start)).and_then(|_| file.write_all(waiting)).and_then(|()| file.sync_data());
        if let Err(cause) = written {
            self.fault = Some(format!("{} could not be written: {cause}", self.path.display()));
        }
        self.waiting.clear();
        let mut end = start;
        for length in self.lengths.drain(..) {
            end += length;
            self.ends.push(end);
        }
    }
}

impl Keep for Tape {
    fn keep(&mut self, record: &Record) {
        self.place += 1;
        self.passes = record.passes().map_or(self.passes, |passes| passes.data);
        if self.place <= self.ends.len() {
            // It is there.
            self.written_passes = self.passes;
            return;
        }
        let bytes = record.to_bytes();
        self.lengths.push(bytes.len() as u64);
        self.waiting.extend(bytes);
        let is_due = match self.every {
            Every::Passes(passes) => self.passes >= self.written_passes + passes,
            Every::Time(time) => self.written_at.elapsed() >= time,
        };
        if is_due && !record.is_within_line() {
            self.write();
        }
    }

    fn cut(&mut self) {
        if self.place < self.ends.len() {
            self.ends.truncate(self.place);
            let end = self.ends.last().copied().unwrap_or(self.header);
            if let Err(cause) = self.file.set_len(end) {
                self.fault = Some(format!("{} could not be cut: {cause}", self.path.display()));
            }
        }
    }

    fn rewind(&mut self) {
        self.write();
        self.place = 0;
    }
}
