//! A recurrence over the tokens of each sequence, in both directions, and the pairs of neighbours
//! that its gates read.
//!
//! ```text
//! f = min(max(0.25·y_f + 0.5, 0), 1)      forget gate
//! z = min(max(y_z, -1), 1)                candidate
//! h[t] = z[t] + f[t]·(h[t-1] − z[t])      h[-1] = 0; the backward direction from the end
//! ```
//!
//! That is a quasi-recurrent network (Bradbury et al. 2017) with piecewise linear gates, which are
//! exact on every target. Each direction has half of the width; its gates, `[tokens, width]`, are all
//! y_f, then all y_z.

use candle_core::{Result, Tensor, bail};

use super::{Sequences, on_cpu};

/// From which side a token is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the first token to the last.
    Forward,
    /// From the last to the first.
    Backward,
}

impl Direction {
    /// The tokens of a sequence, in this direction.
    fn tokens(self, (start, length): (usize, usize)) -> impl Iterator<Item = usize> {
        (0..length).map(move |step| match self {
            Self::Forward => start + step,
            Self::Backward => start + length - 1 - step,
        })
    }

    /// The half of the states that belongs to it.
    fn half(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Backward => 1,
        }
    }

    /// Its number in kernels.
    #[cfg(feature = "cuda")]
    pub(super) fn number_in_kernels(self) -> u32 {
        match self {
            Self::Forward => 0,
            Self::Backward => 1,
        }
    }
}

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];

fn check(name: &str, x: &Tensor, sequences: &Sequences) -> Result<(usize, usize)> {
    let (tokens, width) = x.dims2()?;
    if tokens != sequences.tokens() {
        bail!("{name}: {tokens} tokens for {}", sequences.tokens());
    }
    Ok((tokens, width))
}

/// `x` `[tokens, width]` → `[tokens, 2 · width]`: the token before in this direction, zeros for the
/// first one, then the token.
///
/// # Errors
/// When `x` has another number of tokens than the sequences, or is not contiguous.
pub(crate) fn with_neighbours(
    x: &Tensor,
    sequences: &Sequences,
    direction: Direction,
) -> Result<Tensor> {
    let (tokens, width) = check("neighbours", x, sequences)?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::with_neighbours(x, sequences, direction);
    }
    on_cpu([x], (tokens, 2 * width), |[x]| {
        let mut pairs = vec![0.0; tokens * 2 * width];
        for sequence in sequences.lengths() {
            let mut before = None;
            for token in direction.tokens(sequence) {
                let [first, second] = halves_mut(&mut pairs, token, width);
                second.copy_from_slice(row(x, token, width));
                if let Some(before) = before {
                    first.copy_from_slice(row(x, before, width));
                }
                before = Some(token);
            }
        }
        pairs
    })
}

/// Gradient of `x`, where `gradient` is that of the pairs.
pub(crate) fn with_neighbours_backward(
    sequences: &Sequences,
    direction: Direction,
    gradient: &Tensor,
) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    let (tokens, both) = check("neighbours", &gradient, sequences)?;
    let width = both / 2;
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return super::cuda::with_neighbours_backward(&gradient, sequences, direction);
    }
    on_cpu([&gradient], (tokens, width), |[gradient]| {
        let mut grad_x = vec![0.0; tokens * width];
        for sequence in sequences.lengths() {
            let mut before = None;
            for token in direction.tokens(sequence) {
                let (first, second) = row(gradient, token, both).split_at(width);
                grad_x[token * width..][..width].copy_from_slice(second);
                if let Some(before) = before {
                    let sums = grad_x[before * width..][..width].iter_mut();
                    sums.zip(first).for_each(|(sum, gradient)| *sum += gradient);
                }
                before = Some(token);
            }
        }
        grad_x
    })
}

/// The forget gate and the candidate.
fn gates(y: [f32; 2]) -> [f32; 2] {
    let [forget, candidate] = y;
    [
        (forget * 0.25 + 0.5).clamp(0.0, 1.0),
        candidate.clamp(-1.0, 1.0),
    ]
}

/// Their derivatives: 0 beyond the ends.
fn slopes(y: [f32; 2]) -> [f32; 2] {
    let [forget, candidate] = y;
    let inside = |x: f32, end: f32| if x.abs() < end { 1.0 } else { 0.0 };
    [0.25 * inside(forget, 2.0), inside(candidate, 1.0)]
}

/// Gates of the forward and of the backward direction, `[tokens, width]` each, → `[tokens, width]`:
/// the states of both.
///
/// # Errors
/// When the shapes differ, or the width is odd.
pub(crate) fn recurrence(gates_of: [&Tensor; 2], sequences: &Sequences) -> Result<Tensor> {
    let (tokens, width) = check("recurrence", gates_of[0], sequences)?;
    if gates_of[1].dims() != [tokens, width] || !width.is_multiple_of(2) {
        bail!("recurrence: gates of {:?}", gates_of.map(Tensor::shape));
    }
    #[cfg(feature = "cuda")]
    if gates_of[0].device().is_cuda() {
        return super::cuda::recurrence(gates_of, sequences);
    }
    let half = width / 2;
    on_cpu(gates_of, (tokens, width), |gates_of| {
        let mut states = vec![0.0; tokens * width];
        for (direction, y) in BOTH.into_iter().zip(gates_of) {
            let mut state = vec![0.0; half];
            for sequence in sequences.lengths() {
                state.fill(0.0);
                for token in direction.tokens(sequence) {
                    let (forgets, candidates) = row(y, token, width).split_at(half);
                    let written = halves_mut(&mut states, token, half);
                    let written = &mut *written[direction.half()];
                    for (i, state) in state.iter_mut().enumerate() {
                        let [f, z] = gates([forgets[i], candidates[i]]);
                        *state = z + f * (*state - z);
                        written[i] = *state;
                    }
                }
            }
        }
        states
    })
}

/// Gradients of the gates, where `gradient` is that of the `states` that they made.
pub(crate) fn recurrence_backward(
    gates_of: [&Tensor; 2],
    states: &Tensor,
    sequences: &Sequences,
    gradient: &Tensor,
) -> Result<[Tensor; 2]> {
    let gradient = &gradient.contiguous()?;
    let (tokens, width) = check("recurrence", gradient, sequences)?;
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return super::cuda::recurrence_backward(gates_of, states, sequences, gradient);
    }
    let half = width / 2;
    let of = |direction: Direction, y: &Tensor| {
        on_cpu(
            [y, states, gradient],
            (tokens, width),
            |[y, states, gradient]| {
                let part = |values: &'_ [f32], token: usize, i: usize| {
                    values[token * width + direction.half() * half + i]
                };
                let mut grad_y = vec![0.0; tokens * width];
                let mut carried = vec![0.0; half];
                for (start, length) in sequences.lengths() {
                    carried.fill(0.0);
                    let order: Vec<usize> = direction.tokens((start, length)).collect();
                    for (step, &token) in order.iter().enumerate().rev() {
                        let (forgets, candidates) = row(y, token, width).split_at(half);
                        let [grad_forgets, grad_candidates] = halves_mut(&mut grad_y, token, half);
                        for (i, carried) in carried.iter_mut().enumerate() {
                            let both = [forgets[i], candidates[i]];
                            let ([f, z], [f_slope, z_slope]) = (gates(both), slopes(both));
                            let before = match step.checked_sub(1) {
                                Some(step) => part(states, order[step], i),
                                None => 0.0,
                            };
                            let g = part(gradient, token, i) + *carried;
                            grad_forgets[i] = g * (before - z) * f_slope;
                            grad_candidates[i] = g * (1.0 - f) * z_slope;
                            *carried = g * f;
                        }
                    }
                }
                grad_y
            },
        )
    };
    let [forward, backward] = gates_of;
    Ok([
        of(Direction::Forward, forward)?,
        of(Direction::Backward, backward)?,
    ])
}

fn row(values: &[f32], token: usize, width: usize) -> &[f32] {
    &values[token * width..(token + 1) * width]
}

/// The two halves of a row of `2 · half` values.
fn halves_mut(values: &mut [f32], token: usize, half: usize) -> [&mut [f32]; 2] {
    let (first, second) = values[token * 2 * half..(token + 1) * 2 * half].split_at_mut(half);
    [first, second]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::gradient_check::{check, values};
    use super::*;

    fn sequences() -> Sequences {
        Sequences::of_lengths([3, 1, 4])
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for direction in BOTH {
            check(
                [values(&[8, 3], 21)],
                |[x]| with_neighbours(x, &sequences(), direction),
                |_, gradient| Ok([with_neighbours_backward(&sequences(), direction, gradient)?]),
            );
        }
        // Small, so that no difference crosses the end of a gate.
        let small = |index| (values(&[8, 4], index) * 0.2).unwrap();
        check(
            [small(22), small(23)],
            |[forward, backward]| recurrence([forward, backward], &sequences()),
            |[forward, backward], gradient| {
                let gates = [forward, backward];
                let states = recurrence(gates, &sequences())?;
                recurrence_backward(gates, &states, &sequences(), gradient)
            },
        );
    }

    #[test]
    fn a_state_runs_over_its_own_sequence() {
        let sequences = Sequences::of_lengths([2, 1]);
        // Forget gates of 1/2; candidates 1, 1 and beyond -1.
        let y = [0.0_f32, 1.0, 0.0, 1.0, 0.0, -3.0];
        let y = Tensor::from_slice(&y, (3, 2), &Device::Cpu).unwrap();
        let states = recurrence([&y, &y], &sequences).unwrap();
        let states = states.to_vec2::<f32>().unwrap();
        assert_eq!(states, [[0.5, 0.75], [0.75, 0.5], [-0.5, -0.5]]);
        // Nothing goes back through a candidate beyond its end.
        let gradient = Tensor::ones((3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let states = recurrence([&y, &y], &sequences).unwrap();
        let [forward, _] = recurrence_backward([&y, &y], &states, &sequences, &gradient).unwrap();
        let forward = forward.to_vec2::<f32>().unwrap();
        assert_eq!(forward[2], [0.25, 0.0]);
        assert_eq!(forward[1], [0.25 * -0.5, 0.0]);
    }
}
