//! `gpu-logreg inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::{Global, print, with_flags};
use gpu_logreg::data::inspect::{Inspection, inspect};
use gpu_logreg::data::{Shape, head, is_json_lines, neither};
use gpu_logreg::engine::storage::HostLayout;
use gpu_logreg::error::{Error, Result};
use gpu_logreg::model::Model;
use gpu_logreg::model::file::read;
use gpu_logreg::report::inspect::{Room, model, parquet};

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
        let mut found = inspect(path)?;
        for obstacle in found.columns.iter_mut().filter_map(|column| column.obstacle.as_mut()) {
            *obstacle = with_flags(obstacle);
        }
        let features = found.columns.iter().filter(|column| column.feature).count();
        let bytes = |state_bytes| HostLayout::new(Shape::plain(found.rows, features), state_bytes).bytes() as u64;
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
