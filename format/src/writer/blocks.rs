//! Blocks of 1×2 and 1×4, laid over a row from the left: each begins at the first nonzero that no
//! earlier block covers, or as far right as the row allows. Bridges aside, no other placement needs
//! fewer blocks.

use alloc::vec::Vec;

use super::stream::{Stream, push_step};

pub(super) fn encode_row<const N: usize>(row: &[i8], stream: &mut Stream) -> Option<usize> {
    let last_start = row.len().checked_sub(N)?;
    let mut blocks = Vec::new();
    let (mut position, mut covered) = (0, 0);
    for (column, &weight) in row.iter().enumerate() {
        if weight == 0 || column < covered {
            continue;
        }
        let start = column.min(last_start);
        push_step(&mut blocks, start - position, N);
        // A column that the previous block covers is not stored twice.
        blocks.resize(blocks.len() + covered.saturating_sub(start), 0);
        let rest = row.get(start.max(covered)..start + N).unwrap_or(&[]);
        blocks.extend(rest.iter().map(|weight| weight.cast_unsigned()));
        (position, covered) = (start, start + N);
    }
    let count = blocks.len() / (1 + N);
    stream.push_half(count)?;
    stream.bytes.extend(blocks);
    Some(count * N)
}
