//! The one view of a file's network.

use crate::encoder::Encoder;

/// The network of a [`crate::Model`]. Code that executes one kind of network selects it with a
/// `match`: another kind is never mistaken for it.
#[derive(Clone, Copy, Debug)]
pub enum Network<'a> {
    /// One stack that reads a whole text at once, with its head.
    Encoder(Encoder<'a>),
}
