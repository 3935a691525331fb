//! What a file holds before its rows: gzip, or something else than text.

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::error::Problem;

/// The contents of all members of a gzip file, at most `limit` bytes. Zeros after a member are
/// padding, which some servers and tapes add.
pub(super) fn unpacked(mut packed: &[u8], limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut member = GzDecoder::new(packed);
        let left = limit - bytes.len() as u64;
        member.by_ref().take(left).read_to_end(&mut bytes)?;
        packed = member.into_inner();
        if bytes.len() as u64 >= limit || packed.iter().all(|&byte| byte == 0) {
            return Ok(bytes);
        }
    }
}

/// Whether these are the bytes of a gzip file, whatever its name is.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b")
}

/// The bytes behind byte order marks; files that were put together may have several.
pub(super) fn without_marks(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        bytes = rest;
    }
    bytes
}

/// Rejects a file whose first bytes show that it is not text in UTF-8.
pub(super) fn check(bytes: &[u8]) -> Result<(), Problem> {
    let mut known = OTHER_CONTENT.iter();
    match known.find(|(sign, ..)| bytes.starts_with(sign)) {
        Some(&(_, found, expected)) => Err(Problem::OtherContent { found, expected }),
        None => Ok(()),
    }
}

/// Beginnings of files that are not text in UTF-8: what they are, and what would do. An error
/// that names them helps more than one about a byte or a column.
const OTHER_CONTENT: [(&[u8], &str, &str); 8] = [
    (
        b"\x1f\x8b",
        "this file is packed by gzip twice",
        "one that is packed once",
    ),
    // Begins as UTF-16 does.
    (b"\xff\xfe\0\0", UTF_32, CONVERTED),
    (b"\0\0\xfe\xff", UTF_32, CONVERTED),
    (b"\xff\xfe", UTF_16, CONVERTED),
    (b"\xfe\xff", UTF_16, CONVERTED),
    (
        b"version https://git-lfs",
        "this is a Git LFS pointer, not the file itself",
        "the file, which `git lfs pull` fetches",
    ),
    (
        b"PK\x03\x04",
        "this is a zip archive or a spreadsheet",
        "a .tsv, .csv or .jsonl file",
    ),
    (
        b"PAR1",
        "this is a Parquet file",
        "a .tsv, .csv or .jsonl file",
    ),
];
const UTF_16: &str = "this file is in UTF-16";
const UTF_32: &str = "this file is in UTF-32";
const CONVERTED: &str = "UTF-8, into which `iconv` converts it";
