//! Random numbers that depend on nothing but the seed and what they are for.
//!
//! Every use has a stream of its own, addressed by purpose and index, so a resumed
//! run needs no generator state: the numbers of epoch 7 are those of epoch 7.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What random numbers are for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// First values of parameter `index`.
    Initialization,
    /// Order of the examples in epoch `index`.
    Shuffling,
    /// Words changed in step `index`.
    Noise,
    /// Text `index` that is made for a student.
    Augmentation,
}

/// The generator for one purpose and index.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    // 2⁵⁶ indices for each purpose; a stream is 2⁶⁴ words long.
    generator.set_stream((purpose as u64) << 56 | index);
    generator
}

/// A uniform number in [0, 1) with 24 bits.
pub(crate) fn uniform(generator: &mut ChaCha8Rng) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit exactly")]
    let bits = (generator.next_u32() >> 8) as f32;
    bits / 16_777_216.0
}

/// `count` numbers of mean 0 and standard deviation `deviation`, uniform.
pub(crate) fn initial_values(generator: &mut ChaCha8Rng, count: usize, deviation: f32) -> Vec<f32> {
    let half_width = deviation * 3_f32.sqrt();
    let value = |_| half_width * (2.0 * uniform(generator) - 1.0);
    (0..count).map(value).collect()
}

/// 0…count−1 in random order (Fisher–Yates).
pub(crate) fn permutation(generator: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // The bias of 64 bits modulo a small count is below 2⁻⁴⁰.
        let chosen = generator.next_u64() % (last as u64 + 1);
        order.swap(last, usize::try_from(chosen).unwrap_or(0));
    }
    order
}
