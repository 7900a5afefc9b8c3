//! A file as the decoder reads it.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read, Result};
use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};

/// A file of which a read behind its end is an error. The decoder skips over what the head of a damaged page promises,
/// perhaps millions of elements, and takes an end of the file for each of them.
pub(super) struct Input(File);

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self> {
        File::open(path).map(Self)
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Input {
    type T = Ending;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Ending> {
        self.0.get_read(start).map(Ending)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

pub(super) struct Ending(BufReader<File>);

impl Read for Ending {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        match self.0.read(out)? {
            0 if !out.is_empty() => Err(Error::from(ErrorKind::UnexpectedEof)),
            read => Ok(read),
        }
    }
}
