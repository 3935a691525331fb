//! Files of a checkpoint's folder: each is a file, none longer than its kind can be, and JSON is
//! taken apart no further than asked for.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::{Problem, key};
use crate::input_file::read_regular;
use crate::json::Object;

/// Most bytes of a configuration.
pub(super) const CONFIGURATION: u64 = 4 << 20;
/// Weights may take any size.
pub(super) const WEIGHTS: u64 = u64::MAX;
/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// How a pointer of Git LFS begins.
const POINTER: &[u8] = b"version https://git-lfs";

/// Whether a folder has a file of this name. A link that leads nowhere is one too: reading says
/// what is wrong with it.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The bytes of a file.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    let found = path.metadata()?.len();
    if found > most {
        return Err(Problem::Long { found, most });
    }
    let bytes = read_regular(path)?;
    match bytes.starts_with(POINTER) {
        true => Err(Problem::LfsPointer),
        false => Ok(bytes),
    }
}

/// The text of a file.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String, Problem> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to() + 1;
        Problem::Unsupported(format!("byte {place} is not UTF-8, expected text in UTF-8"))
    })
}

/// The text of a file that a folder need not have: an object without keys where it has none.
pub(super) fn read_if_there(path: &Path, most: u64) -> Result<String, Problem> {
    match is_there(path) {
        true => read_text(path, most),
        false => Ok("{}".to_owned()),
    }
}

/// The value of a key that need not be there; `null` is as if it were not.
pub(super) fn optional<T: DeserializeOwned>(
    object: &Object<'_>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Problem> {
    let value = object.get(name).filter(|value| value.get() != "null");
    let parsed = value.map(|value| serde_json::from_str(value.get()));
    parsed
        .transpose()
        .map_err(|_| wrong(object, name, expected))
}

/// What is wrong where the value of a key is not as expected.
pub(super) fn wrong(object: &Object<'_>, name: &str, expected: &str) -> Problem {
    let found = object.get(name).map_or("not there", |value| value.get());
    key(name, &shortened(found), expected)
}

/// A value as a message shows it.
pub(super) fn shortened(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}
