//! Texts as the network sees them: pieces, token ids, packed batches, noise.

pub mod batch;
pub mod noise;
pub mod vocabulary;

#[cfg(test)]
mod parity;
