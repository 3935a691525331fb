//! A manifest to the bytes that [`super::Manifest::read`] reads.

use alloc::vec::Vec;

use serde::Serialize;

use super::{Manifest, Provenance, Scores, TokenizerSettings};
use crate::architecture::{
    Activation, Architecture, Head, MlpKind, NormKind, NormPlace, Pooling, Positions, StackSettings,
};

impl Architecture {
    /// The first manifest version that can say this: who adds a variant says here which.
    #[must_use]
    pub fn first_version(&self) -> u16 {
        let Self::Encoder { stack, head } = self;
        let versions = [
            match stack.norm {
                NormKind::Layer => 1,
            },
            match stack.norm_place {
                NormPlace::Post => 1,
            },
            match stack.positions {
                Positions::Learned => 1,
            },
            match stack.mlp {
                MlpKind::Plain => 1,
            },
            match stack.activation {
                Activation::Relu | Activation::Gelu => 1,
            },
            match head {
                Head::Classes(Pooling::Mean | Pooling::Cls) => 1,
            },
        ];
        versions.into_iter().max().unwrap_or(1)
    }
}

impl Manifest<'_> {
    /// The record, in its own version.
    ///
    /// Nothing where that version cannot say it: where it is below
    /// [`Architecture::first_version`], or none that is known.
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
        // The number of the architecture is 0, and so is that of the head.
        let (encoder, classes) = (0_u16, 0_u16);
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

/// What every version ends with.
#[derive(Serialize)]
struct Rest<'a> {
    tokenizer: TokenizerSettings,
    provenance: Provenance<'a>,
    scores: Scores,
}
