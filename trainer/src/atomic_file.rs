//! Files that appear whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Symbolic links that are followed, one after another, before they count as a circle.
const LINKS: usize = 40;

/// Writes `bytes` to a temporary file next to `path`, then renames it. A file that was at `path`
/// remains whole until then, and hands on its permissions; a symbolic link is followed.
///
/// # Errors
/// When the folder cannot be written, or the disk is full. The temporary file is gone.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_all(&[(path, bytes)]).map_err(|(_, error)| error)
}

/// Writes several files as one: none is renamed before all are on the disk. They are renamed
/// first to last.
///
/// # Errors
/// As [`write`], with the number of the file.
pub(crate) fn write_all(files: &[(&Path, &[u8])]) -> Result<(), (usize, io::Error)> {
    let staged = files.iter().enumerate().map(|(number, (path, bytes))| {
        let path = followed(path);
        let staged = stage(&path, bytes).map_err(|error| (number, error))?;
        Ok((path, staged))
    });
    let staged = staged.collect::<Result<Vec<_>, (usize, io::Error)>>()?;
    for (number, (path, file)) in staged.into_iter().enumerate() {
        file.persist(path)
            .map_err(|failed| (number, failed.error))?;
    }
    Ok(())
}

/// Puts a file in the place of another one; a symbolic link there is followed.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, followed(to))
}

/// Removes a file, if there is one.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A file next to `path` with these bytes, on the disk.
fn stage(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    // Temporary files are private; this one becomes an ordinary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// Where `path` leads, if it is a symbolic link.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(to) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // A folder cannot be replaced by a file.
        assert!(write(folder.path(), b"x").is_err());
        assert!(write(&folder.path().join("missing/model"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn none_of_several_files_is_replaced_if_one_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("first");
        write(&first, b"old").unwrap();
        let missing = folder.path().join("missing/second");
        let (number, _) = write_all(&[(&first, b"new"), (&missing, b"new")]).unwrap_err();
        assert_eq!(number, 1);
        assert_eq!(fs::read(&first).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [file, link, chain] = ["file", "link", "chain"].map(|name| folder.path().join(name));
        write(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        symlink(&link, &chain).unwrap();
        write(&chain, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        // A link to nothing yet.
        let new = folder.path().join("new");
        symlink("target", &new).unwrap();
        write(&new, b"x").unwrap();
        assert_eq!(fs::read(folder.path().join("target")).unwrap(), b"x");
    }
}
