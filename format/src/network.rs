//! The one view of a file's network.

use crate::encoder::Encoder;

/// The network of a [`crate::Model`]. Who executes one kind of network says so by a `match`:
/// another kind is never taken for it.
#[derive(Clone, Copy, Debug)]
pub enum Network<'a> {
    /// One stack that reads a whole text at once, with its head.
    Encoder(Encoder<'a>),
}
