//! WebAssembly with `simd128`: two columns of four tokens with one instruction.
//!
//! Uses at most the fourteen vectors that engines keep in registers.

mod dense;
mod feature;
mod floats;
mod mixing;
mod products;
mod sums;

pub use dense::dense;
pub use feature::{Feature, pack, set_grain};
pub use floats::{
    add, gelu, largest, mixture, normalize, quantize, quantize_bytes, rectify, round, scale, sum,
    sum_of_squares,
};
pub use mixing::mix;
pub use products::multiply;
pub(crate) use products::multiply_both;

pub use crate::kernels::portable::floats::{rescale, softmax};
pub use crate::kernels::portable::scalar::value_word;
