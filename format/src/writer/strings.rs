//! Writes strings as a string table.

use alloc::string::String;
use alloc::vec::Vec;

use super::{WriteError, push_u32};
use crate::Section;

pub(super) fn string_table<'s>(
    strings: impl Iterator<Item = &'s String> + Clone,
    section: Section,
) -> Result<Vec<u8>, WriteError> {
    let too_large = || WriteError::TooLarge(section);
    let length: usize = strings.clone().map(String::len).sum();
    let wide = u16::try_from(length).is_err();
    let mut bytes = Vec::new();
    push_u32(&mut bytes, strings.clone().count(), section)?;
    push_u32(&mut bytes, if wide { 4 } else { 2 }, section)?;
    let mut end = 0_usize;
    for string in core::iter::once("").chain(strings.clone().map(String::as_str)) {
        end += string.len();
        if wide {
            push_u32(&mut bytes, end, section)?;
        } else {
            bytes.extend(u16::try_from(end).map_err(|_| too_large())?.to_le_bytes());
        }
    }
    bytes.extend(strings.flat_map(|string| string.bytes()));
    Ok(bytes)
}
