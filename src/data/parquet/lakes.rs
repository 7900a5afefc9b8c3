//! Tables that keep a log of their files: Delta Lake, Apache Iceberg and Apache Hudi.
//!
//! Their folders hold files whose rows were deleted or replaced long ago, and only the log says which. A folder of that
//! kind is therefore not read by its files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// A format with a log, as the folder that holds the table shows it.
#[derive(Clone, Copy)]
enum Lake {
    Delta,
    Iceberg,
    Hudi,
}

impl Lake {
    /// What the folder is a table of.
    fn of(folder: &Path) -> Option<Self> {
        // https://github.com/delta-io/delta/blob/master/PROTOCOL.md: the log is the folder `_delta_log`.
        if folder.join("_delta_log").is_dir() {
            return Some(Self::Delta);
        }
        if folder.join(".hoodie").is_dir() {
            return Some(Self::Hudi);
        }
        // https://iceberg.apache.org/spec: `metadata/*.metadata.json`, perhaps compressed.
        let is_metadata = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains(".metadata.json");
        let mut entries = fs::read_dir(folder.join("metadata")).ok()?.flatten();
        entries.any(is_metadata).then_some(Self::Iceberg)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Delta => "Delta Lake",
            Self::Iceberg => "Apache Iceberg",
            Self::Hudi => "Apache Hudi",
        }
    }

    fn way_out(self, folder: &Path) -> String {
        let export = |function: &str| {
            format!(
                "Write out the rows that it has now: duckdb -c \"COPY (FROM {function}('{}')) TO 'x.parquet'\"",
                folder.display()
            )
        };
        let export = match self {
            Self::Delta => export("delta_scan"),
            Self::Iceberg => export("iceberg_scan"),
            Self::Hudi => "Write out the rows that it has now, with Spark".into(),
        };
        format!("{export}. If its files are meant as they lie there, name them one by one.")
    }
}

/// An error if one of the files lies in the folder of a table with a log. All of them were found in folders.
pub(super) fn check_no_lake<'p>(files: impl Iterator<Item = &'p Path>) -> Result<()> {
    let mut seen = HashSet::new();
    for file in files {
        let Ok(path) = file.canonicalize() else { continue };
        for folder in path.ancestors().skip(1) {
            if !seen.insert(folder.to_owned()) {
                break;
            }
            let Some(lake) = Lake::of(folder) else { continue };
            return Err(Error::data(
                format!(
                    "{} is a table of {}: its folder holds files whose rows are no longer part of it, and only its log \
                     says which",
                    folder.display(),
                    lake.name()
                ),
                lake.way_out(folder),
            ));
        }
    }
    Ok(())
}
