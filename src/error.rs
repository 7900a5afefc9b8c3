//! The one error type. A message states the fact with its numbers; `way_out` says what the user can do. Both carry settings, which
//! the library shows by their names in Rust and the program as flags (`wording::with_settings`).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::wording::in_rust;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What a failure is about. It decides the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fault of this program. Exit code 1.
    Internal,
    /// The command line does not make sense. Exit code 2.
    Usage,
    /// The data cannot be used. Exit code 3.
    Data,
    /// The device is missing or failed. Exit code 5.
    Device,
    /// A result could not be written. Exit code 6.
    Output,
    /// The user interrupted the run. Exit code 130.
    Interrupted,
}

impl Kind {
    /// The exit code of a process that ends with an error of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Data => 3,
            Self::Device => 5,
            Self::Output => 6,
            Self::Interrupted => 130,
        }
    }

    /// The name of the kind in `--json` output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Data => "data",
            Self::Device => "device",
            Self::Output => "output",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failure: its kind, the fact with the numbers, and the way out.
#[derive(Clone)]
pub struct Error {
    /// What the failure is about.
    pub kind: Kind,
    /// The fact, with the numbers.
    pub fact: String,
    /// What the user can do about it; empty where there is nothing to say.
    pub way_out: String,
    /// What it comes from, if another error is behind it; the fact says it too.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// As it is displayed: what `unwrap` and a `main` that fails show.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} error: {self}", self.kind.name())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_rust(&self.fact))?;
        if !self.way_out.is_empty() {
            write!(f, "\n  help: {}", in_rust(&self.way_out))?;
        }
        Ok(())
    }
}

impl Error {
    fn new(kind: Kind, fact: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { kind, fact: fact.into(), way_out: way_out.into(), source: None }
    }

    /// The same with the error that it comes from.
    #[must_use]
    pub fn from_error(self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(cause)), ..self }
    }

    /// A fault of this program.
    pub fn internal(fact: impl Into<String>) -> Self {
        Self::new(Kind::Internal, fact, "This is a fault of gpu-logreg; please report it with the command line.")
    }

    /// The command line does not make sense.
    pub fn usage(fact: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(Kind::Usage, fact, way_out)
    }

    /// The data cannot be used.
    pub fn data(fact: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(Kind::Data, fact, way_out)
    }

    /// The device is missing or failed.
    pub fn device(fact: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(Kind::Device, fact, way_out)
    }

    /// The file at `path` could not be written.
    pub fn output(path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(
            Kind::Output,
            format!("{} could not be written: {cause}", path.display()),
            "What stood there before is untouched. Choose another place, or free the space or permission.",
        )
        .from_error(cause)
    }

    /// No file can stand at `path`.
    pub fn place(path: &Path, cause: impl fmt::Display) -> Self {
        Self::new(Kind::Output, format!("{} cannot be written: {cause}", path.display()), "Choose another place.")
    }

    /// The scratch file cannot be made or used.
    pub fn scratch(fact: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(Kind::Output, fact, way_out)
    }

    /// The user interrupted the run.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted; no file was written", "")
    }
}
