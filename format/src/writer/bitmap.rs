//! Bitmap: a bit for each column, then the nonzero weights.

use alloc::vec::Vec;

pub(super) fn encode_row(row: &[i8], bytes: &mut Vec<u8>) -> Option<usize> {
    bytes.extend(row.chunks(8).map(|columns| {
        let bits = (0..).zip(columns).filter(|&(_, &weight)| weight != 0);
        bits.fold(0_u8, |byte, (bit, _)| byte | 0x80 >> bit)
    }));
    let before = bytes.len();
    let nonzeros = row.iter().filter(|&&weight| weight != 0);
    bytes.extend(nonzeros.map(|weight| weight.cast_unsigned()));
    Some(bytes.len() - before)
}
