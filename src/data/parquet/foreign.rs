//! What a file is that is no Parquet file, as far as its first bytes tell, and what makes one of it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};
use crate::wording::{plain, shell};

/// Bytes of a file that are looked at to tell what it is.
const HEAD: u64 = 4_096;

/// The first bytes of a regular file.
///
/// # Errors
/// Of kind `Data` if it cannot be read, or is a folder, a pipe or a device.
pub fn head(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let failed = |cause| Error::data(format!("{shown} cannot be read: {cause}"), "Check the path and its permissions.");
    // Before it is opened: opening a pipe waits for somebody who writes to it.
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "no regular file" };
        return Err(Error::data(format!("{shown} is {what}"), "Name one model or one Parquet file."));
    }
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head)).map_err(failed)?;
    Ok(head)
}

/// Whether these are the first bytes of a model that `train` wrote.
pub fn is_model(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"{") && contains(head, b"\"gpu-logreg/model\"")
}

/// Whether these are the first bytes of several JSON documents, a line each.
pub fn is_json_lines(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default();
    head.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<serde_json::Value>(first).is_ok()
        && lines.next().is_some_and(|line| line.trim_ascii_start().starts_with(b"{"))
}

/// The error for a file that begins with `head` and is of another format than Parquet; `None` if it may be a Parquet file,
/// a damaged one perhaps, or if nothing is known of it.
pub(super) fn foreign(path: &Path, head: &[u8]) -> Option<Error> {
    let (what, way_out) = described(path, head)?;
    let shown = path.display();
    let fact = if head.is_empty() || head.starts_with(ENCRYPTED) {
        format!("{shown} is {what}")
    } else {
        format!("{shown} is {what}, not a Parquet file")
    };
    Some(Error::data(fact, way_out))
}

/// What a Parquet file with an encrypted footer begins with.
const ENCRYPTED: &[u8] = b"PARE";

/// The error for a part of a Parquet file, as `fact` has it, that cannot be decoded.
pub(super) fn undecodable(path: &Path, fact: &str) -> Error {
    if has_encrypted_columns(path) {
        return Error::data(
            format!("{} has encrypted columns: {fact}", path.display()),
            format!("{WITHOUT_ENCRYPTION} A column that is not encrypted can be named with ⟦features⟧."),
        );
    }
    Error::data(format!("{}: {fact}", path.display()), "The file is truncated or damaged; write or copy it again.")
}

/// What can be done with a file that is encrypted.
const WITHOUT_ENCRYPTION: &str = "Write it again without encryption; keys cannot be given.";

/// Compressed files: what they begin with, what they are called, the program that unpacks them and the usual ending.
const COMPRESSED: [(&[u8], &str, &str, &str); 5] = [
    (b"\x1f\x8b", "a gzip file", "gzip", "gz"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "zstd", "zst"),
    (b"BZh", "a bzip2 file", "bzip2", "bz2"),
    (b"\xfd7zXZ\x00", "an xz file", "xz", "xz"),
    (b"\x04\x22\x4d\x18", "an LZ4 file", "lz4", "lz4"),
];

/// Formats that a line of Python reads: what they begin with, what they are called, and the expression for a data frame,
/// with `{}` for the path.
const IN_PYTHON: [(&[u8], &str, &str, &str); 11] = [
    (b"ARROW1\0\0", "an Arrow IPC file (Feather)", "pyarrow.feather", "pyarrow.feather.read_feather({})"),
    (b"FEA1", "a Feather file (version 1)", "pyarrow.feather", "pyarrow.feather.read_feather({})"),
    (b"\xff\xff\xff\xff", "an Arrow IPC stream", "pyarrow", "pyarrow.ipc.open_stream({}).read_pandas()"),
    (b"ORC", "an ORC file", "pandas", "pandas.read_orc({})"),
    (b"Obj\x01", "an Avro file", "pandas, fastavro", "pandas.DataFrame(fastavro.reader(open({}, 'rb')))"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "pandas", "pandas.read_hdf({})"),
    (b"\x93NUMPY", "an array of NumPy", "numpy, pandas", "pandas.DataFrame(numpy.load({})).add_prefix('x')"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel file", "pandas", "pandas.read_excel({})"),
    (b"<stata_dta>", "a Stata file", "pandas", "pandas.read_stata({})"),
    (b"\x80\x04\x95", "a pickle of Python", "pandas", "pandas.read_pickle({})"),
    (b"\x80\x05\x95", "a pickle of Python", "pandas", "pandas.read_pickle({})"),
];

/// What the file is, and what to do.
fn described(path: &Path, head: &[u8]) -> Option<(String, String)> {
    let said = |what: &str, way_out: String| Some((what.to_owned(), way_out));
    let name = path.to_string_lossy();
    if head.is_empty() {
        return said("empty (0 bytes)", "Write or copy the file again.".into());
    }
    if head.starts_with(b"PAR1") {
        return None;
    }
    if head.starts_with(ENCRYPTED) {
        return said("a Parquet file with an encrypted footer", WITHOUT_ENCRYPTION.into());
    }
    let found = COMPRESSED.iter().find(|(magic, ..)| head.starts_with(magic));
    if let Some((_, what, program, ending)) = found {
        let inner = name.strip_suffix(&format!(".{ending}")).unwrap_or("unpacked.parquet");
        return said(what, format!("Unpack it: {program} -dc {} > {}", word(&name), word(inner)));
    }
    if let Some((_, what, modules, read)) = IN_PYTHON.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return said(what, in_python(path, modules, read));
    }
    if head.starts_with(b"PK\x03\x04") {
        return if contains(head, b"xl/") || contains(head, b"[Content_Types].xml") {
            said("an Excel file", in_python(path, "pandas", "pandas.read_excel({})"))
        } else {
            said("a zip file", format!("Unpack it: unzip {}", word(&name)))
        };
    }
    if head.starts_with(b"SQLite format 3\0") {
        let query = format!("SELECT * FROM sqlite_scan({}, 'TABLE')", in_sql(&name));
        return said("an SQLite database", format!("Name one of its tables in: {}", in_duckdb(path, &query)));
    }
    of_text(path, head)
}

/// The same of a file of text.
fn of_text(path: &Path, head: &[u8]) -> Option<(String, String)> {
    let said = |what: String, way_out: String| Some((what, way_out));
    // A character may be cut where the head ends.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start_matches(['\n', '\r']);
    if text.contains(|c: char| c.is_control() && !"\t\n\r".contains(c)) {
        return None;
    }
    let name = in_sql(&path.to_string_lossy());
    if is_model(head) {
        return said("a model".into(), "Name the data here, and the model with ⟦model⟧.".into());
    }
    if text.starts_with("version https://git-lfs") {
        return said("the pointer to a file of Git LFS".into(), "Fetch the file itself: git lfs pull".into());
    }
    match text.trim_start().chars().next() {
        Some('{' | '[') => {
            let what = if is_json_lines(head) { "JSON lines" } else { "JSON" };
            return said(what.into(), convert(path, &format!("FROM read_json({name})")));
        }
        Some('<') => {
            return said("a page of HTML or XML".into(), "Check where it came from; downloads may fail so.".into());
        }
        _ => {}
    }
    let first = text.lines().next().unwrap_or_default();
    let separators = [(',', "commas"), ('\t', "tabs"), (';', "semicolons"), ('|', "bars")];
    let count = |separator: char| first.matches(separator).count();
    let (separator, named) = separators.into_iter().max_by_key(|(separator, _)| count(*separator))?;
    match count(separator) {
        // A line and no more may be the beginning of anything.
        0 if !text.contains('\n') => None,
        0 => said("text".into(), convert(path, &format!("FROM read_csv({name})"))),
        _ => said(format!("CSV, separated by {named}"), convert(path, &format!("FROM read_csv({name})"))),
    }
}

fn convert(path: &Path, query: &str) -> String {
    format!("Convert it: {}", in_duckdb(path, query))
}

/// The command that writes what a query of `DuckDB` gives as Parquet beside `path`.
fn in_duckdb(path: &Path, query: &str) -> String {
    format!("duckdb -c {}", word(&format!("COPY ({query}) TO {}", in_sql(&beside(path)))))
}

/// The command that writes a data frame of Python as Parquet beside `path`.
fn in_python(path: &Path, modules: &str, read: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let frame = read.replace("{}", &quoted(&path.to_string_lossy()));
    let code = format!("import {modules}; {frame}.to_parquet({})", quoted(&beside(path)));
    format!("Convert it: python3 -c {}", word(&code))
}

fn in_sql(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The path with the ending of a Parquet file.
fn beside(path: &Path) -> String {
    path.with_extension("parquet").to_string_lossy().into_owned()
}

/// A word for a shell, in double quotes where they change nothing: what is meant for another program is full of single ones.
fn word(text: &str) -> String {
    let is_special = |c: char| "\"$`\\!".contains(c) || c.is_control();
    if text.contains('\'') && !text.contains(is_special) { format!("\"{text}\"") } else { shell(text) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The error for a file that is neither a model nor a Parquet file.
pub fn neither(path: &Path, head: &[u8]) -> Error {
    foreign(path, head).unwrap_or_else(|| {
        Error::data(
            format!(
                "{} is neither a model nor a Parquet file: it begins with `{}`",
                path.display(),
                plain(&head[..head.len().min(16)].escape_ascii().to_string())
            ),
            "Name a model that `gpu-logreg train -o` wrote, or a Parquet file.",
        )
    })
}

/// Whether columns of a Parquet file are encrypted although its footer is not: the footer names an algorithm then, in field
/// 8 of its `FileMetaData` (`parquet.thrift` of Apache Parquet).
fn has_encrypted_columns(path: &Path) -> bool {
    let footer = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let mut end = [0; 8];
        let length = file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut end)?;
        let of_footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]])).min(length);
        file.seek(SeekFrom::Start(length - of_footer))?;
        let mut bytes = Vec::new();
        file.take(of_footer).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    footer().is_ok_and(|bytes| Compact(&bytes).has_field(8).unwrap_or(false))
}

/// What ends a struct.
const STOP: u8 = 0;

/// What is left of a text in the compact protocol of Thrift.
struct Compact<'b>(&'b [u8]);

impl Compact<'_> {
    /// Whether the struct that begins here has a field of this number; `None` if it is none.
    fn has_field(mut self, wanted: i64) -> Option<bool> {
        let mut number = 0;
        loop {
            match self.field(&mut number)? {
                STOP => return Some(false),
                _ if number == wanted => return Some(true),
                kind => self.skip(kind, 0)?,
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The type of the next field, whose number follows that of the last one, or [`STOP`].
    fn field(&mut self, number: &mut i64) -> Option<u8> {
        let head = self.byte()?;
        if head == STOP {
            return Some(STOP);
        }
        *number = match head >> 4 {
            0 => {
                let zigzag = self.varint()?;
                (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
            }
            step => *number + i64::from(step),
        };
        Some(head & 0x0f)
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        const BINARY: u8 = 8;
        match kind {
            // A flag is its type.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let (count, kind) = (head >> 4, head & 0x0f);
                let count = if count == 15 { self.varint()? } else { u64::from(count) };
                // In a list a flag takes a byte.
                (0..count).try_for_each(|_| self.skip(if kind <= 2 { 3 } else { kind }, depth))
            }
            12 if depth < 32 => {
                let mut number = 0;
                loop {
                    match self.field(&mut number)? {
                        STOP => return Some(()),
                        kind => self.skip(kind, depth + 1)?,
                    }
                }
            }
            // There are no maps in a footer.
            _ => None,
        }
    }
}
