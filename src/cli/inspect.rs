//! `gpu-logreg inspect`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::backend::storage::RecordLayout;
use crate::cli::{Global, print};
use crate::data::inspect::Inspection;
use crate::data::{Shape, Table};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::file::read;
use crate::report::inspect::{Room, model, parquet};

#[derive(Args)]
pub(super) struct Inspect {
    /// A model or a Parquet file; its content says which
    file: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parquet: Option<&'a Inspection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<Room>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a Model>,
}

/// Bytes of a file that are looked at to tell what it is.
const HEAD: u64 = 4_096;

pub(super) fn run(arguments: &Inspect, global: &Global) -> Result<ExitCode> {
    let path = &arguments.file;
    let head = head(path)?;
    let text = if head.starts_with(b"PAR1") {
        let table = Table::of_footers(std::slice::from_ref(path))?;
        let found = table.inspect()?;
        let features = found.columns.iter().filter(|column| column.feature).count();
        let bytes = |state_bytes| RecordLayout::new(Shape::plain(table.rows, features), state_bytes).bytes() as u64;
        let room = Room { features, gpu_bytes: bytes(4), cpu_bytes: bytes(8) };
        if global.json {
            document(&Document { parquet: Some(&found), training: Some(room), model: None })?
        } else {
            parquet(&found, &room, global.verbose)
        }
    } else if head.trim_ascii_start().first() == Some(&b'{') {
        let found = read(path)?;
        if global.json {
            document(&Document { parquet: None, training: None, model: Some(&found) })?
        } else {
            model(&path.display().to_string(), &found)
        }
    } else {
        return Err(neither(path, &head));
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// As text, and not by way of a `Value`, which widens numbers of 32 bits and sorts the names.
fn document(document: &Document<'_>) -> Result<String> {
    let text = serde_json::to_string_pretty(document);
    Ok(text.map_err(|cause| Error::internal(format!("what was found has no JSON form: {cause}")))? + "\n")
}

/// The first bytes of a regular file.
fn head(path: &Path) -> Result<Vec<u8>> {
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

/// The error for a file that is no model and no Parquet file.
fn neither(path: &Path, head: &[u8]) -> Error {
    let shown = path.display();
    if head.starts_with(b"PARE") {
        return Error::data(
            format!("{shown} is a Parquet file with an encrypted footer"),
            "Write it again without encryption; keys cannot be given.",
        );
    }
    let fact = match head {
        [] => format!("{shown} is empty"),
        _ => format!(
            "{shown} is neither a model nor a Parquet file: it begins with `{}`",
            head[..head.len().min(16)].escape_ascii()
        ),
    };
    Error::data(
        fact,
        "Name a model that `gpu-logreg train -o` wrote, or a Parquet file. \
         CSV can be converted: duckdb -c \"COPY (FROM 'x.csv') TO 'x.parquet'\"",
    )
}
