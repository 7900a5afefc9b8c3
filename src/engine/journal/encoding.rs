//! Questions and answers as bytes, little-endian.

use std::hash::{DefaultHasher, Hasher};

use crate::engine::journal::Record;
use crate::engine::work::{CellMoments, CellSums, HeldOut};
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Passes, Probe};

/// A hash of bytes.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The bit of a length that says that a line has not ended.
const WITHIN_LINE: u64 = 1 << 63;

/// A record as bytes.
pub(super) fn framed(record: &Record) -> Vec<u8> {
    let Record { question, answer, is_within_line } = record;
    let mut bytes = Vec::with_capacity(answer.len() + 24);
    let length = answer.len() as u64 | if *is_within_line { WITHIN_LINE } else { 0 };
    bytes.extend(length.to_le_bytes());
    bytes.extend(question.to_le_bytes());
    bytes.extend(answer);
    let checksum = hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// The first record of some bytes, if it is whole, and how many bytes it takes.
pub(super) fn unframed(bytes: &[u8]) -> Option<(Record, usize)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let length = number(0)?;
    let is_within_line = length & WITHIN_LINE != 0;
    let end = usize::try_from(length & !WITHIN_LINE).ok()?.checked_add(16)?;
    let (answer, question) = (bytes.get(16..end)?.to_vec(), number(8)?);
    let record = Record { question, answer, is_within_line };
    (number(end)? == hash(&bytes[..end])).then_some((record, end + 8))
}

/// What an engine is asked: a hash of the method and its arguments.
#[derive(Clone, Copy)]
pub(super) struct Question(u64);

impl Question {
    pub(super) fn new(method: &str) -> Self {
        Self(hash(method.as_bytes()))
    }

    pub(super) fn of(self, numbers: &[u64]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_usize(numbers.len());
        for &number in numbers {
            hasher.write_u64(number);
        }
        Self(hasher.finish())
    }

    pub(super) fn of_numbers(self, numbers: &[f64]) -> Self {
        self.of(&numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    }

    pub(super) fn of_places(self, places: &[usize]) -> Self {
        self.of(&places.iter().map(|&place| place as u64).collect::<Vec<_>>())
    }

    pub(super) fn finish(self) -> u64 {
        self.0
    }
}

#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, count: u64) {
        self.0.extend(count.to_le_bytes());
    }

    fn number(&mut self, x: f64) {
        self.count(x.to_bits());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(super) struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    pub(super) fn new(bytes: &'r [u8]) -> Self {
        Self(bytes)
    }

    fn count(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    /// How many things of at least eight bytes follow.
    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.count()?).ok()?;
        (length <= self.0.len() / 8).then_some(length)
    }

    fn number(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.count()?))
    }
}

/// What an engine answers.
pub(super) trait Answer: Sized {
    /// Whether it could be written: a matrix that is not kept whole cannot.
    fn write(&self, writer: &mut Writer) -> bool;

    /// The same again; `None` of bytes that are no such answer.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

impl Answer for f64 {
    fn write(&self, writer: &mut Writer) -> bool {
        writer.number(*self);
        true
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.number()
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn write(&self, writer: &mut Writer) -> bool {
        writer.count(self.len() as u64);
        self.iter().all(|entry| entry.write(writer))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (0..reader.length()?).map(|_| T::read(reader)).collect()
    }
}

impl<T: Answer> Answer for Option<T> {
    fn write(&self, writer: &mut Writer) -> bool {
        writer.count(u64::from(self.is_some()));
        self.as_ref().is_none_or(|answer| answer.write(writer))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.count()? {
            0 => Some(None),
            1 => T::read(reader).map(Some),
            _ => None,
        }
    }
}

impl<A: Answer, B: Answer> Answer for (A, B) {
    fn write(&self, writer: &mut Writer) -> bool {
        self.0.write(writer) && self.1.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some((A::read(reader)?, B::read(reader)?))
    }
}

/// Its lower triangle, row by row.
impl Answer for Symmetric {
    fn write(&self, writer: &mut Writer) -> bool {
        if !self.is_whole() {
            return false;
        }
        let size = self.size();
        writer.count(size as u64);
        for i in 0..size {
            for j in 0..=i {
                writer.number(self.get(i, j));
            }
        }
        true
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let size = reader.length()?;
        let entries: Vec<f64> = (0..size * (size + 1) / 2).map(|_| reader.number()).collect::<Option<_>>()?;
        Some(Self::from_lower(size, |i, j| entries[i * (i + 1) / 2 + j]))
    }
}

impl Answer for Passes {
    fn write(&self, writer: &mut Writer) -> bool {
        for count in [self.data, self.hessian, self.line, self.file] {
            writer.count(count);
        }
        true
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut count = || reader.count();
        Some(Self { data: count()?, hessian: count()?, line: count()?, file: count()? })
    }
}

impl Answer for Diagonal {
    fn write(&self, writer: &mut Writer) -> bool {
        self.own.write(writer) && self.with_intercept.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { own: Vec::read(reader)?, with_intercept: Vec::read(reader)? })
    }
}

impl Answer for Evaluation {
    fn write(&self, writer: &mut Writer) -> bool {
        self.value.write(writer)
            && self.gradient.write(writer)
            && self.diagonal.write(writer)
            && self.hessian.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            value: f64::read(reader)?,
            gradient: Vec::read(reader)?,
            diagonal: Option::read(reader)?,
            hessian: Option::read(reader)?,
        })
    }
}

impl Answer for Probe {
    fn write(&self, writer: &mut Writer) -> bool {
        for x in [self.step, self.value, self.slope, self.curvature] {
            writer.number(x);
        }
        true
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut number = || reader.number();
        Some(Self { step: number()?, value: number()?, slope: number()?, curvature: number()? })
    }
}

impl Answer for ClassMoments {
    fn write(&self, writer: &mut Writer) -> bool {
        self.weights.write(writer) && self.means.write(writer) && self.within.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { weights: Vec::read(reader)?, means: Vec::read(reader)?, within: Symmetric::read(reader)? })
    }
}

impl Answer for CellSums {
    fn write(&self, writer: &mut Writer) -> bool {
        writer.count(self.cell as u64);
        self.loss.write(writer) && self.gradient.write(writer) && self.hessian.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            cell: usize::try_from(reader.count()?).ok()?,
            loss: f64::read(reader)?,
            gradient: Vec::read(reader)?,
            hessian: Option::read(reader)?,
        })
    }
}

impl Answer for CellMoments {
    fn write(&self, writer: &mut Writer) -> bool {
        self.weight.write(writer) && self.sums.write(writer) && self.squares.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { weight: f64::read(reader)?, sums: Vec::read(reader)?, squares: Vec::read(reader)? })
    }
}

impl Answer for HeldOut {
    fn write(&self, writer: &mut Writer) -> bool {
        for x in [self.loss, self.brier, self.errors] {
            writer.number(x);
        }
        self.margins.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut number = || reader.number();
        let [loss, brier, errors] = [number()?, number()?, number()?];
        Some(Self { loss, brier, errors, margins: Vec::read(reader)? })
    }
}
