//! The numbers and texts of a Parquet footer and where they stand, by a walk over its Thrift compact encoding
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>); what the fields are stands in
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use std::ops::Range;

/// A number or a text of the footer.
pub(super) struct Part {
    pub(super) at: Range<usize>,
    pub(super) kind: &'static str,
    /// `None` for texts and bytes.
    pub(super) number: Option<i64>,
}

/// A number as its zigzag varint.
pub(super) fn varint(value: i64) -> Vec<u8> {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while bits >= 0x80 {
        bytes.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
    bytes
}

/// All parts of a footer that is whole.
pub(super) fn parts(footer: &[u8]) -> Vec<Part> {
    let mut walk = Walk { bytes: footer, at: 0, path: Vec::new(), parts: Vec::new() };
    walk.fields();
    assert_eq!(walk.at, footer.len(), "the walk ends where the footer does");
    walk.parts
}

/// What stands at the end of a path of field numbers.
fn kind(path: &[i16]) -> &'static str {
    match path {
        [1] => "a version",
        [2, 1] => "a type of the schema",
        [2, 2] => "a length of a type",
        [2, 3] => "a repetition",
        [2, 4] => "a name of the schema",
        [2, 5] => "a number of children",
        [2, 6] => "a converted type",
        [2, 7] => "a scale",
        [2, 8] => "a precision",
        [2, 9] => "an id of a field",
        [2, 10, ..] => "a part of a logical type",
        [3] => "the rows of the file",
        [4, 1, 2] => "an offset of a chunk",
        [4, 1, 3, 1] => "a type of a chunk",
        [4, 1, 3, 2] => "an encoding",
        [4, 1, 3, 3] => "a name of a chunk",
        [4, 1, 3, 4] => "a codec",
        [4, 1, 3, 5] => "values of a chunk",
        [4, 1, 3, 6] => "an uncompressed size of a chunk",
        [4, 1, 3, 7] => "a compressed size of a chunk",
        [4, 1, 3, 9] => "an offset of data pages",
        [4, 1, 3, 11] => "an offset of a dictionary",
        [4, 1, 3, 12, 3] => "a count of nulls",
        [4, 1, 3, 12, 1 | 2] => "a bound of the old kind",
        [4, 1, 3, 12, 5] => "a maximum",
        [4, 1, 3, 12, 6] => "a minimum",
        [4, 1, 3, 12, ..] => "another statistic",
        [4, 1, 3, 13, ..] => "statistics of encodings",
        [4, 1, 3, 16, ..] => "statistics of sizes",
        [4, 1, 4..=7] => "an offset or a size of an index",
        [4, 1, ..] => "another part of a chunk",
        [4, 2] => "a size of a row group",
        [4, 3] => "the rows of a row group",
        [4, ..] => "another part of a row group",
        [5, ..] => "a key or its value",
        [6] => "the writer",
        _ => "another part",
    }
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    path: Vec<i16>,
    parts: Vec<Part>,
}

impl Walk<'_> {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn unsigned(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn signed(&mut self) -> i64 {
        let bits = self.unsigned();
        (bits >> 1) as i64 ^ -((bits & 1) as i64)
    }

    fn fields(&mut self) {
        let mut id = 0;
        loop {
            let head = self.byte();
            if head == 0 {
                return;
            }
            id = if head >> 4 == 0 { self.signed() as i16 } else { id + i16::from(head >> 4) };
            self.path.push(id);
            // The value of a boolean field is its type.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15);
            }
            self.path.pop();
        }
    }

    fn value(&mut self, of_type: u8) {
        let start = self.at;
        match of_type {
            1..=3 => self.at += 1,
            4..=6 => {
                let number = self.signed();
                self.parts.push(Part { at: start..self.at, kind: kind(&self.path), number: Some(number) });
            }
            7 => self.at += 8,
            8 => {
                let length = self.unsigned() as usize;
                let start = self.at;
                self.at += length;
                if length > 0 {
                    self.parts.push(Part { at: start..self.at, kind: kind(&self.path), number: None });
                }
            }
            9 | 10 => {
                let head = self.byte();
                let count = if head >> 4 == 15 { self.unsigned() } else { u64::from(head >> 4) };
                for _ in 0..count {
                    self.value(head & 15);
                }
            }
            12 => self.fields(),
            other => panic!("no type {other} in a footer"),
        }
    }
}
