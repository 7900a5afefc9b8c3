//! `gpu-logreg inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::backend::storage::RecordLayout;
use crate::cli::{Global, print};
use crate::data::inspect::{Inspection, inspect};
use crate::data::{Shape, head, is_json_lines, neither};
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

pub(super) fn run(arguments: &Inspect, global: &Global) -> Result<ExitCode> {
    let path = &arguments.file;
    let head = head(path)?;
    let text = if head.starts_with(b"PAR1") {
        let found = inspect(path)?;
        let features = found.columns.iter().filter(|column| column.feature).count();
        let bytes = |state_bytes| RecordLayout::new(Shape::plain(found.rows, features), state_bytes).bytes() as u64;
        let room = Room { features, gpu_bytes: bytes(4), cpu_bytes: bytes(8) };
        if global.json {
            document(&Document { parquet: Some(&found), training: Some(room), model: None })?
        } else {
            parquet(&found, &room, global.verbose)
        }
    } else if head.trim_ascii_start().starts_with(b"{") && !is_json_lines(&head) {
        let found = read(path)?;
        if global.json {
            document(&Document { parquet: None, training: None, model: Some(&found) })?
        } else {
            model(&path.display().to_string(), &found, global.verbose)
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
