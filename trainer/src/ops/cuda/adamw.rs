//! The launch of [`crate::ops::adamw`].

use candle_core::{Result, Tensor};

use super::{CHUNK, Kernel, Source, THREADS, address, device_of, grid, kernel, size};
use crate::ops::{AdamW, Slot};

/// See [`crate::ops::adamw`].
pub(in crate::ops) fn adamw(slots: &[Slot<'_>], loss: &Tensor, step: AdamW) -> Result<()> {
    let device = device_of(loss)?;
    let loss = address(loss, 1)?;
    let (mut table, mut chunks) = (Vec::new(), Vec::new());
    for (number, slot) in (0_u32..).zip(slots) {
        let count = slot.value.elem_count();
        let [first, second] = slot.moments;
        for tensor in [slot.value, first, second, slot.gradient] {
            table.push(address(tensor, count)?);
        }
        match slot.pruning {
            Some([mask, sensitivity]) => {
                table.extend([address(mask, count)?, address(sensitivity, count)?]);
            }
            None => table.extend([0, 0]),
        }
        table.extend([count as u64, u64::from(slot.decays)]);
        for first in (0..count).step_by(CHUNK) {
            chunks.extend([number, size(first)?]);
        }
    }
    let is_movement = u32::from(step.is_movement);
    let [first_correction, second_correction] = step.corrections();
    let blocks = size(chunks.len() / 2)?;
    let (table, chunks) = (device.clone_htod(&table)?, device.clone_htod(&chunks)?);
    // The tensors outlive the launch: memory of a stream is freed in its order.
    launch!(
        kernel(device, Source::General, "adamw")?,
        grid(blocks, 1, 1, (THREADS, 1), 0),
        &table,
        &chunks,
        &loss,
        &step.learning_rate,
        &step.weight_decay,
        &first_correction,
        &second_correction,
        &step.score_memory,
        &is_movement
    );
    Ok(())
}
