//! Delta-u8: (column step, weight) of each nonzero.

use alloc::vec::Vec;

use super::stream::{Stream, push_count, push_step};

pub(super) fn encode_row(row: &[i8], stream: &mut Stream) -> Option<usize> {
    let mut pairs = Vec::new();
    let mut position = 0;
    for (column, &weight) in row.iter().enumerate() {
        if weight != 0 {
            push_step(&mut pairs, column - position, 1);
            pairs.push(weight.cast_unsigned());
            position = column;
        }
    }
    let count = pairs.len() / 2;
    push_count(&mut stream.bytes, count)?;
    stream.bytes.extend(pairs);
    Some(count)
}
