//! Input files, none of which is larger than its kind can be.
//!
//! A name may stand for something without an end, such as a device or a pipe: reading stops at the
//! limit.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use neuroprune_format::container::{HEADER_BYTES, MAGIC};

/// Where a model file states how long it is.
const LENGTH: core::ops::Range<usize> = 12..16;
/// Most bytes of a recipe or of a grid.
pub(crate) const RECIPE: u64 = 1 << 20;
/// Most bytes of a run's outcome.
pub(crate) const OUTCOME: u64 = 1 << 26;

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened or read, or is longer.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // What the system states is refused before it is read, and saves growing.
    let stated = file.metadata().map_or(0, |metadata| metadata.len());
    if stated <= limit {
        bytes.reserve_exact(usize::try_from(stated).unwrap_or(0));
        file.take(limit + 1).read_to_end(&mut bytes)?;
    }
    match stated > limit || bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes, the most that such a file may have"),
        )),
        false => Ok(bytes),
    }
}

/// A pipe that nobody writes to would be waited for, before anything could stop the program; a shell
/// hands over its own pipes as names in `/dev`.
fn open(path: &Path) -> io::Result<File> {
    let is_pipe = |it: std::fs::Metadata| !it.is_file() && !it.is_dir();
    if path.metadata().is_ok_and(is_pipe) && !path.starts_with("/dev") {
        return Err(special());
    }
    File::open(path)
}

fn special() -> io::Error {
    let message = "not a file but a folder, device or pipe";
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Reads a model file, as far as its header says that it reaches, and a byte more if there is one. Of
/// what is none, a header's length.
///
/// # Errors
/// When it cannot be opened or read.
pub(crate) fn read_model(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    let header = HEADER_BYTES as u64;
    file.by_ref().take(header).read_to_end(&mut bytes)?;
    if let Some(stated) = bytes.get(LENGTH).filter(|_| bytes.starts_with(&MAGIC)) {
        let stated = stated
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        file.take((stated + 1).saturating_sub(header))
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// [`read`], of a text in UTF-8.
///
/// # Errors
/// As [`read`], and where it is not UTF-8.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// [`read`], of a file on a disk, however long it is.
///
/// # Errors
/// As [`read`], and where it is a device, a pipe or a folder.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: a pipe without a writer would be waited for.
    match path.metadata()?.is_file() {
        true => read(path, u64::MAX - 1),
        false => Err(special()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_up_to_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        let error = read(&path, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "longer than 3 bytes, the most that such a file may have"
        );
        assert!(read(&path.join("none"), 4).is_err());
        assert_eq!(read_regular(&path).unwrap(), b"four");
    }

    #[test]
    fn what_has_no_end_is_refused() {
        if cfg!(unix) {
            let zeros = Path::new("/dev/zero");
            assert!(
                read(zeros, 1000)
                    .unwrap_err()
                    .to_string()
                    .starts_with("longer than 1000")
            );
            let error = read_regular(zeros).unwrap_err();
            assert_eq!(error.to_string(), "not a file but a folder, device or pipe");
        }
    }
}
