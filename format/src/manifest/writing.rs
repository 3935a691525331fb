//! Writes a manifest as the bytes that [`super::Manifest::read`] reads.

use alloc::vec::Vec;

use serde::Serialize;

use super::{Manifest, Provenance, Scores, TokenizerSettings};
use crate::architecture::{Architecture, Head, StackSettings};

impl Manifest<'_> {
    /// The record, in its own version.
    ///
    /// `None` if that version cannot express it: if it is below [`Architecture::first_version`], or
    /// not a known version.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.version < self.architecture.first_version() || self.version > super::VERSION {
            return None;
        }
        let Architecture::Encoder { stack, head } = self.architecture;
        let StackSettings {
            layers,
            norm,
            norm_place,
            norm_epsilon,
            positions,
            mlp,
            activation,
            dense_weights,
        } = stack;
        let Head::Classes(pooling) = head;
        let (encoder, classes) = (self.architecture.kind().number(), head.kind().number());
        let common = (norm_epsilon, dense_weights);
        let rest = Rest {
            tokenizer: self.tokenizer,
            provenance: self.provenance,
            scores: self.scores,
        };
        let start = (self.version, self.name, encoder, layers);
        let (activation, pooling) = (activation.number(), pooling.number());
        let bytes = if self.version == 1 {
            postcard::to_allocvec(&(start, activation, pooling, common, rest))
        } else {
            let kinds = (
                norm.number(),
                norm_place.number(),
                positions.number(),
                mlp.number(),
            );
            postcard::to_allocvec(&(start, kinds, activation, classes, pooling, common, rest))
        };
        bytes.ok()
    }
}

/// The fields that every version ends with.
#[derive(Serialize)]
struct Rest<'a> {
    tokenizer: TokenizerSettings,
    provenance: Provenance<'a>,
    scores: Scores,
}
