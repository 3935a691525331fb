//! Bitmap: a bit for each column, then the nonzero weights.

use super::stream::Stream;

pub(super) fn encode_row(row: &[i8], stream: &mut Stream) -> Option<usize> {
    let bytes = &mut stream.bytes;
    bytes.extend(row.chunks(8).map(|columns| {
        let bits = (0..).zip(columns).filter(|&(_, &weight)| weight != 0);
        bits.fold(0_u8, |byte, (bit, _)| byte | 0x80 >> bit)
    }));
    let before = bytes.len();
    let nonzeros = row.iter().filter(|&&weight| weight != 0);
    bytes.extend(nonzeros.map(|weight| weight.cast_unsigned()));
    Some(bytes.len() - before)
}
