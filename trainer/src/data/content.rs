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
const OTHER_CONTENT: [(&[u8], &str, &str); 6] = [
    (
        b"\x1f\x8b",
        "this is a gzip file",
        "a name that ends in .gz",
    ),
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
const CONVERTED: &str = "UTF-8; `iconv -f UTF-16 -t UTF-8` converts it";
