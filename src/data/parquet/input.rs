//! A file as the decoder reads it.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use parquet::file::reader::{ChunkReader, Length};

/// Pauses before a read is tried again: disks and networks fail for a moment.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// The codes of errors of a disk or a network, which may pass: EIO, EAGAIN, ETIMEDOUT, ESTALE.
const PASSING: [i32; 4] = if cfg!(target_os = "linux") { [5, 11, 110, 116] } else { [5, 35, 60, 70] };

/// The codes of errors that say nothing of a file either: ENOMEM, EACCES, ENFILE, EMFILE. A damaged file has others: places
/// in it that are none are EINVAL.
const LASTING: [i32; 4] = [12, 13, 23, 24];

fn may_pass(error: &Error) -> bool {
    cfg!(unix) && error.raw_os_error().is_some_and(|code| PASSING.contains(&code))
}

/// Whether a message tells what the system says of a disk, a network or a limit, which is no damage.
pub(super) fn is_of_system(cause: &str) -> bool {
    let is_there = |code: &i32| cause.contains(&format!("(os error {code})"));
    cfg!(unix) && PASSING.iter().chain(&LASTING).any(is_there)
}

/// What to do then.
pub(super) const NO_DAMAGE: &str =
    "Nothing speaks against the file itself. Check the disk, the network and the limits of the process, and run again.";

/// What `read` gives, which is asked again after an error that may pass.
pub(super) fn tried<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in PAUSES {
        match read() {
            Err(error) if may_pass(&error) => std::thread::sleep(pause),
            done => return done,
        }
    }
    read()
}

/// A file of which a read behind its end is an error. The decoder skips over what the head of a damaged page promises,
/// perhaps millions of elements, and takes an end of the file for each of them.
#[derive(Clone)]
pub(super) struct Input {
    file: Arc<File>,
    /// A part that was read already, and where it begins.
    ahead: Option<(u64, Bytes)>,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: Arc::new(tried(|| File::open(path))?), ahead: None })
    }

    /// The same with a part read ahead; where that cannot be read, whoever comes to need it is told why.
    pub(super) fn read_ahead(&self, part: &Range<u64>) -> Self {
        let length = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        let bytes = self.bytes(part.start, length).ok();
        Self { file: self.file.clone(), ahead: bytes.map(|bytes| (part.start, bytes)) }
    }

    /// What was read ahead, from `start` on.
    fn there(&self, start: u64) -> Option<Bytes> {
        let (first, bytes) = self.ahead.as_ref()?;
        let before = usize::try_from(start.checked_sub(*first)?).ok()?;
        (before < bytes.len()).then(|| bytes.slice(before..))
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Input {
    type T = Ending;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Ending> {
        Ok(Ending(match self.there(start) {
            Some(bytes) => Source::Ahead { next: start + bytes.len() as u64, bytes, file: self.file.clone() },
            None => Source::File(self.file.get_read(start)?),
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self.there(start).filter(|bytes| length <= bytes.len()) {
            Some(bytes) => Ok(bytes.slice(..length)),
            None => self.bytes(start, length),
        }
    }
}

impl Input {
    /// Bytes of the file itself.
    fn bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // What is not there is not made room for.
        if start.saturating_add(length as u64) > self.file.len() {
            return self.file.get_bytes(start, length);
        }
        let read = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::with_capacity(length);
            file.take(length as u64).read_to_end(&mut bytes)?;
            if bytes.len() < length { Err(Error::from(ErrorKind::UnexpectedEof)) } else { Ok(bytes) }
        };
        Ok(tried(read)?.into())
    }
}

pub(super) struct Ending(Source);

enum Source {
    /// What was read ahead, and where the file goes on behind it.
    Ahead {
        bytes: Bytes,
        next: u64,
        file: Arc<File>,
    },
    File(BufReader<File>),
}

impl Read for Ending {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if let Source::Ahead { bytes, next, file } = &mut self.0 {
            if bytes.has_remaining() {
                return bytes.reader().read(out);
            }
            let mut rest = file.try_clone()?;
            rest.seek(SeekFrom::Start(*next))?;
            self.0 = Source::File(BufReader::new(rest));
        }
        let Source::File(file) = &mut self.0 else { return Ok(0) };
        match tried(|| file.read(out))? {
            0 if !out.is_empty() => Err(Error::from(ErrorKind::UnexpectedEof)),
            read => Ok(read),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn fault(code: i32) -> Error {
        Error::from_raw_os_error(code)
    }

    /// What may pass is tried four times in all, and nothing else twice.
    #[test]
    fn a_read_is_tried_again_where_that_helps() {
        for (failures, code, reads, is_done) in [(0, 5, 1, true), (3, 5, 4, true), (4, 5, 4, false), (1, 22, 1, false)]
        {
            let mut count = 0;
            let done = tried(|| {
                count += 1;
                if count <= failures { Err(fault(code)) } else { Ok(()) }
            });
            assert_eq!((count, done.is_ok()), (reads, is_done), "{failures} failures of code {code}");
        }
    }

    /// Places in a damaged file that are none are damage.
    #[test]
    fn what_the_system_says_is_no_damage_unless_the_file_made_it() {
        for code in [5, 12, 13, 23, 24] {
            assert!(is_of_system(&format!("External: {}", fault(code))), "{code}");
        }
        for cause in [fault(22).to_string(), "Invalid Parquet file".into(), "(os error 250)".into(), String::new()] {
            assert!(!is_of_system(&cause), "{cause}");
        }
    }
}
