//! Texts as the network sees them: pieces, token ids, packed batches, noise.

pub(crate) mod batch;
pub(crate) mod noise;
pub(crate) mod vocabulary;

#[cfg(test)]
mod parity;
