//! Files are written to a temporary file beside their place, synced and renamed: what stands there is the old
//! file or the new one, never half of one. What is read back is checked before it is believed to be a model.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::model::{FORMAT, Model, VERSION};

/// Reads the model in the file at `path`.
pub fn read(path: &Path) -> Result<Model> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|cause| {
        Error::data(format!("{shown} cannot be read: {cause}"), "Name a model that `gpu-logreg train -o` wrote.")
            .from_error(cause)
    })?;
    parse(&bytes, &shown.to_string())
}

impl Model {
    /// Reads the model in the file at `path`.
    ///
    /// # Errors
    /// Of kind `Data` if there is no such file, or no model in it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref())
    }

    /// The model in the text of a file.
    ///
    /// # Errors
    /// Of kind `Data` if there is no model in it.
    pub fn from_json(text: &str) -> Result<Self> {
        parse(text.as_bytes(), "the text")
    }

    /// Writes the model to the file at `path`, which is the old one or the new one, never half of one.
    ///
    /// # Errors
    /// Of kind `Output` if it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        Pending::create(path.as_ref())?.finish(self.to_json().as_bytes())
    }
}

/// The model in `bytes`, which were read from what messages call `shown`.
fn parse(bytes: &[u8], shown: &str) -> Result<Model> {
    const OTHER: &str = "Name a model that `gpu-logreg train -o` wrote.";
    if bytes.starts_with(b"PAR1") {
        return Err(Error::data(format!("{shown} is a Parquet file, no model"), OTHER));
    }
    let document: Value = serde_json::from_slice(bytes).map_err(|cause| {
        let error = if cause.is_eof() {
            Error::data(
                format!("{shown} is empty or truncated: the JSON stops after {} bytes ({cause})", bytes.len()),
                "Copy the model again, or train it again.",
            )
        } else {
            Error::data(format!("{shown} is not JSON: {cause}"), OTHER)
        };
        error.from_error(cause)
    })?;
    // The format before the rest, so that another file is not called a damaged model.
    match document.get("format") {
        Some(Value::String(format)) if format == FORMAT => {}
        Some(format) => return Err(Error::data(format!("{shown} is of the format {format}, not \"{FORMAT}\""), OTHER)),
        None => return Err(Error::data(format!("{shown} is JSON, but no model: it names no `format`"), OTHER)),
    }
    match document.get("version").map(Value::as_u64) {
        Some(Some(version)) if version > u64::from(VERSION) => {
            let writer = document.pointer("/training/program").and_then(Value::as_str);
            return Err(Error::data(
                format!(
                    "{shown} is a model of version {version}, and gpu-logreg {} knows versions up to {VERSION}",
                    env!("CARGO_PKG_VERSION")
                ),
                match writer {
                    Some(writer) => format!("Update gpu-logreg: the model was written by {writer}."),
                    None => "Update gpu-logreg.".into(),
                },
            ));
        }
        _ => {}
    }
    let damaged = |cause: String| {
        Error::data(format!("{shown} is a damaged model: {cause}"), "Copy the model again, or train it again.")
    };
    // From the bytes once more: causes have lines and columns then.
    let model: Model = serde_json::from_slice(bytes).map_err(|cause| damaged(cause.to_string()))?;
    if model.version == 0 {
        return Err(damaged("it is of version 0, and versions count from 1".into()));
    }
    let fault = model.fault_in_classes().or_else(|| model.fault_in_levels()).or_else(|| model.fault_in_columns());
    let of_path = || model.path.as_ref().and_then(|path| path.fault(model.features.len(), model.intercepts.len()));
    let fault = fault.or_else(of_path);
    if let Some(fault) = fault {
        return Err(damaged(fault));
    }
    Ok(model)
}

/// A file that is being written; dropped, it leaves nothing behind.
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
    listed: Listed,
}

/// The temporary files that this process is writing, and whether one of them was put in its place.
static WRITING: Mutex<(Vec<PathBuf>, bool)> = Mutex::new((Vec::new(), false));

fn writing() -> MutexGuard<'static, (Vec<PathBuf>, bool)> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file that is among those that [`abandon`] removes.
struct Listed(PathBuf);

impl Listed {
    fn new(path: &Path) -> Self {
        writing().0.push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        writing().0.retain(|path| *path != self.0);
    }
}

/// Removes what is being written, for a process that is about to end: from here on no file is put in its place. Says
/// whether one was before.
pub fn abandon() -> bool {
    let mut writing = writing();
    for path in writing.0.drain(..) {
        // A file that is gone is what was wanted.
        let _ = std::fs::remove_file(path);
    }
    let was_written = writing.1;
    // Whoever waits for it has nothing to write any more.
    std::mem::forget(writing);
    was_written
}

/// What the names of temporary files begin with, before the number of their process, and what they end with.
const PREFIX: &str = ".gpu-logreg-";
const SUFFIX: &str = ".tmp";

/// Removes the temporary files of a folder whose processes were killed: nobody has a lock on them, and on this machine there
/// is no such process.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let owner = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
            let (owner, _) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
            owner.parse::<u32>().ok()
        });
        let Some(owner) = owner else { continue };
        let is_alive = owner == std::process::id() || Path::new(&format!("/proc/{owner}")).exists();
        let is_locked = || std::fs::File::open(&path).is_ok_and(|file| file.try_lock().is_err());
        if !is_alive && !is_locked() {
            // Somebody else may have swept it.
            let _ = std::fs::remove_file(&path);
        }
    }
}

impl Pending {
    /// Begins a file for `path`; a link is followed. Fails early if the folder does not exist or takes no files, or if
    /// what stands there is no regular file.
    pub fn create(path: &Path) -> Result<Self> {
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(Error::place(path, format!("the folder {} does not exist", folder.display())));
        }
        if target.is_dir() {
            return Err(Error::place(path, "it is a folder"));
        }
        if target.exists() && !target.is_file() {
            return Err(Error::place(path, "it is no regular file"));
        }
        sweep(folder);
        let mut builder = tempfile::Builder::new();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        builder.prefix(&prefix).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any other new file (the umask applies), not readable by the owner alone.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|cause| Error::output(path, cause))?;
        // For as long as this process lives; where there are no locks, nobody sweeps what lives.
        let _ = file.as_file().try_lock();
        let listed = Listed::new(file.path());
        Ok(Self { file, path: target, listed })
    }

    /// Where to write.
    pub fn writer(&mut self) -> &mut std::fs::File {
        self.file.as_file_mut()
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<()> {
        self.place(true)
    }

    fn place(self, is_result: bool) -> Result<()> {
        let Self { file, path, listed } = self;
        let fail = |cause: std::io::Error| Error::output(&path, cause);
        file.as_file().sync_all().map_err(fail)?;
        let parent = file.path().parent().map(Path::to_owned);
        {
            let mut writing = writing();
            file.persist(&path).map_err(|cause| Error::output(&path, cause.error))?;
            writing.1 |= is_result;
        }
        drop(listed);
        // The rename itself must reach the disk too; where folders cannot be synced, that is all there is.
        if let Some(folder) = parent.and_then(|folder| std::fs::File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Writes the beginning of a file and puts it in its place, for whoever goes on writing there. It is no result of a run.
    pub fn begin(mut self, content: &[u8]) -> Result<()> {
        self.fill(content)?;
        self.place(false)
    }

    /// Writes all of `content`, but puts nothing in its place yet.
    fn fill(&mut self, content: &[u8]) -> Result<()> {
        let written = self.writer().write_all(content).and_then(|()| self.file.as_file().sync_all());
        written.map_err(|cause| Error::output(&self.path, cause))
    }

    /// Writes `content` and puts the file in its place.
    pub fn finish(mut self, content: &[u8]) -> Result<()> {
        let written = self.writer().write_all(content);
        written.map_err(|cause| Error::output(&self.path, cause))?;
        self.commit()
    }
}

/// Writes the files of a run, and puts them in their places once all of them are written: all or none. The last one tells
/// that the others are there.
///
/// # Errors
/// Of kind `Output`. If a file cannot be put in its place although it was written, the error says which ones were.
pub fn finish_all(mut files: Vec<(Pending, Vec<u8>)>) -> Result<()> {
    for (file, content) in &mut files {
        file.fill(content)?;
    }
    let mut placed = Vec::new();
    for (file, _) in files {
        let path = file.path.clone();
        if let Err(error) = file.commit() {
            if placed.is_empty() {
                return Err(error);
            }
            let fact = format!("{}; of this run are {}, and the others are as before", error.fact, placed.join(", "));
            return Err(Error { fact, way_out: "Free the place, and run again.".into(), ..error });
        }
        placed.push(path.display().to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a killed process left goes; what a living one writes, and what others call alike, stays.
    #[test]
    fn what_the_dead_left_is_swept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| folder.path().join(name);
        let mut ended = std::process::Command::new(std::env::current_exe().expect("a program"))
            .arg("-h")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a process");
        ended.wait().expect("it ends");
        let [dead, locked] = ["a", "b"].map(|name| place(&format!(".gpu-logreg-{}-{name}.tmp", ended.id())));
        let others = [place(".gpu-logreg-x-a.tmp"), place("model.tmp"), place(".gpu-logreg-12")];
        for path in [&dead, &locked].into_iter().chain(&others) {
            std::fs::write(path, "half").expect("writes");
        }
        let file = std::fs::File::open(&locked).expect("opens");
        file.try_lock().expect("a lock");
        let pending = Pending::create(&place("model.json")).expect("begins");
        let second = Pending::create(&place("other.json")).expect("begins");
        assert!(!dead.exists() && locked.exists() && others.iter().all(|path| path.exists()));
        pending.finish(b"model").expect("finishes");
        second.finish(b"other").expect("finishes");
    }

    /// All files or none: one that cannot be put in its place leaves those before it, which the error names.
    #[test]
    fn files_come_together() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| folder.path().join(name);
        let begin = |names: [&str; 3]| {
            names
                .map(|name| (Pending::create(&place(name)).expect("begins"), name.as_bytes().to_vec()))
                .into_iter()
                .collect()
        };
        finish_all(begin(["a", "b", "c"])).expect("they are written");
        for name in ["a", "b", "c"] {
            assert_eq!(std::fs::read_to_string(place(name)).expect("reads"), name);
        }
        let files = begin(["d", "e", "f"]);
        std::fs::create_dir(place("e")).expect("a folder where a file is to be");
        let error = finish_all(files).expect_err("a folder is in the way");
        assert!(error.fact.contains("of this run are ") && error.fact.contains("/d"), "{error}");
        assert!(place("d").is_file() && !place("f").exists());
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn the_old_file_stands_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.json");
        std::fs::write(&path, "old").expect("writes");
        let mut pending = Pending::create(&path).expect("begins");
        pending.writer().write_all(b"ne").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "old");
        drop(pending);
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
        Pending::create(&path).expect("begins").finish(b"new").expect("finishes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "new");
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
    }
}
