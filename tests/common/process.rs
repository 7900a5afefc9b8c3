//! The program as a process: a folder to run it in, and what it left behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program, with nothing of the caller's environment that would change what it does.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    command.env_remove("GPU_LOGREG_DEVICE").env_remove("GPU_LOGREG_THREADS").stdin(Stdio::null());
    command
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let run = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        };
        // Messages of the library carry settings, which the program shows as flags, whatever runs here.
        assert!(!run.stdout.contains('⟦') && !run.stderr.contains('⟦'), "a setting that nobody showed: {run:?}");
        run
    }

    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in stdout of {self:?}"))
    }
}

/// A folder of its own, where commands run and leave their files.
pub(crate) struct Place {
    folder: TempDir,
    /// Set for what runs here.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), environment: Vec::new() }
    }

    /// The path of a file in this folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of all files here, sorted: temporary ones too.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder can be listed");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_text = [".json", ".html", ".txt", ".tsv"].iter().any(|ending| name.ends_with(ending));
        assert!(!is_text || !String::from_utf8_lossy(&bytes).contains('⟦'), "{name}: a setting that nobody showed");
        bytes
    }

    /// The program with the words of `arguments`, to be run here.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = program();
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.envs(self.environment.iter().copied());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs a command that must end well.
    pub(crate) fn done(&self, arguments: &str) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {run:?}");
        run
    }
}

/// A number of a JSON document, by its path: `/training/loss`.
pub(crate) fn number(document: &Value, path: &str) -> f64 {
    let value = document.pointer(path).unwrap_or_else(|| panic!("no {path} in {document:#}"));
    value.as_f64().unwrap_or_else(|| panic!("{path} is {value}"))
}
