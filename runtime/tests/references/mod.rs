//! Two forward passes to compare with: what the network means, and what its integer arithmetic
//! gives. Both read the public view of a model, and neither shares a loop, a buffer or a layout
//! with the runtime.

pub(crate) mod quantized;
pub(crate) mod real;
