//! Launches with one block per sequence, whose threads go over its tokens.

use candle_core::{Result, Tensor};

use super::{
    Kernel, Source, THREADS, address, alone, device_of, fresh, grid, kernel, offsets, size,
};
use crate::ops::{Direction, Lifetime, Sequences};

/// See [`crate::ops::with_neighbours`].
pub(in crate::ops) fn with_neighbours(
    x: &Tensor,
    sequences: &Sequences,
    direction: Direction,
) -> Result<Tensor> {
    let device = device_of(x)?;
    let (tokens, width) = x.dims2()?;
    let pairs = fresh(device, (tokens, 2 * width), Lifetime::Step)?;
    neighbours("with_neighbours", x, &pairs, sequences, width, direction)?;
    Ok(pairs)
}

/// See [`crate::ops::with_neighbours_backward`].
pub(in crate::ops) fn with_neighbours_backward(
    gradient: &Tensor,
    sequences: &Sequences,
    direction: Direction,
) -> Result<Tensor> {
    let device = device_of(gradient)?;
    let (tokens, both) = gradient.dims2()?;
    let width = both / 2;
    let grad_x = fresh(device, (tokens, width), Lifetime::Moment)?;
    let name = "with_neighbours_backward";
    neighbours(name, gradient, &grad_x, sequences, width, direction)?;
    Ok(grad_x)
}

/// Both kernels take the same.
fn neighbours(
    name: &'static str,
    from: &Tensor,
    to: &Tensor,
    sequences: &Sequences,
    width: usize,
    direction: Direction,
) -> Result<()> {
    let device = device_of(from)?;
    let offsets = offsets(device, sequences)?;
    let from = address(from, from.elem_count())?;
    let to = address(to, to.elem_count())?;
    let (cols, backward) = (size(width)?, direction.number_in_kernels());
    launch!(
        kernel(device, Source::General, name)?,
        grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
        &from,
        &*offsets,
        &to,
        &cols,
        &backward
    );
    Ok(())
}

/// See [`crate::ops::recurrence`].
pub(in crate::ops) fn recurrence(gates: [&Tensor; 2], sequences: &Sequences) -> Result<Tensor> {
    let device = device_of(gates[0])?;
    let (tokens, width) = gates[0].dims2()?;
    let states = fresh(device, (tokens, width), Lifetime::Step)?;
    let offsets = offsets(device, sequences)?;
    let (to, cols) = (address(&states, tokens * width)?, size(width)?);
    for (gates, direction) in gates
        .into_iter()
        .zip([Direction::Forward, Direction::Backward])
    {
        let from = address(gates, tokens * width)?;
        let backward = direction.number_in_kernels();
        launch!(
            kernel(device, Source::General, "recurrence")?,
            grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
            &from,
            &*offsets,
            &to,
            &cols,
            &backward
        );
    }
    Ok(states)
}

/// See [`crate::ops::recurrence_backward`].
pub(in crate::ops) fn recurrence_backward(
    gates: [&Tensor; 2],
    states: &Tensor,
    sequences: &Sequences,
    gradient: &Tensor,
) -> Result<[Tensor; 2]> {
    let device = device_of(gradient)?;
    let (tokens, width) = gradient.dims2()?;
    let offsets = offsets(device, sequences)?;
    let (states, gradient) = (
        address(states, tokens * width)?,
        address(gradient, tokens * width)?,
    );
    let cols = size(width)?;
    let of = |gates: &Tensor, direction: Direction| -> Result<Tensor> {
        let grad_gates = alone(device, (tokens, width))?;
        let (from, to) = (
            address(gates, tokens * width)?,
            address(&grad_gates, tokens * width)?,
        );
        let backward = direction.number_in_kernels();
        launch!(
            kernel(device, Source::General, "recurrence_backward")?,
            grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
            &from,
            &states,
            &gradient,
            &*offsets,
            &to,
            &cols,
            &backward
        );
        Ok(grad_gates)
    };
    let [forward, backward] = gates;
    Ok([
        of(forward, Direction::Forward)?,
        of(backward, Direction::Backward)?,
    ])
}
