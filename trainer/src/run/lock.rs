//! One program at a time works on a run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::files::Files;

/// Holds a run. The system lets go of it with the program, however that ends; the file is removed
/// when a run ends by itself.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the run, if no other program has it; `None` if one has.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub(crate) fn take(files: &Files) -> io::Result<Option<Self>> {
        let path = files.lock();
        loop {
            let mut options = OpenOptions::new();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Some network file systems have no locks: better unguarded than not at all.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The program before may have removed the file after it was opened here.
            if is_at(&file, &path) {
                return Ok(Some(Self { path, file }));
            }
        }
    }
}

/// Whether `file` is the one that is at `path` now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let here = file.metadata().ok().map(place);
    here.is_some() && here == fs::metadata(path).ok().map(place)
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held, so that nobody else's is removed. What is left over does no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_held_once_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files {
            model: folder.path().join("model.neuro"),
        };
        let lock = Lock::take(&files).unwrap().unwrap();
        assert!(Lock::take(&files).unwrap().is_none());
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // A file that a killed program left is no lock.
        fs::write(files.lock(), "").unwrap();
        assert!(Lock::take(&files).unwrap().is_some());
    }
}
