//! Files are written to a temporary file beside their place, synced and renamed: what stands there is the old
//! file or the new one, never half of one.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that is being written; dropped, it leaves nothing behind.
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
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
        let mut builder = tempfile::Builder::new();
        builder.prefix(".gpu-logreg-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any other new file (the umask applies), not readable by the owner alone.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|cause| Error::output(path, cause))?;
        Ok(Self { file, path: target })
    }

    /// Where to write.
    pub fn writer(&mut self) -> &mut std::fs::File {
        self.file.as_file_mut()
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<()> {
        let Self { file, path } = self;
        let fail = |cause: std::io::Error| Error::output(&path, cause);
        file.as_file().sync_all().map_err(fail)?;
        let parent = file.path().parent().map(Path::to_owned);
        file.persist(&path).map_err(|cause| Error::output(&path, cause.error))?;
        // The rename itself must reach the disk too; where folders cannot be synced, that is all there is.
        if let Some(folder) = parent.and_then(|folder| std::fs::File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Writes `content` and puts the file in its place.
    pub fn finish(mut self, content: &[u8]) -> Result<()> {
        let written = self.writer().write_all(content);
        written.map_err(|cause| Error::output(&self.path, cause))?;
        self.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
