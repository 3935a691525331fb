//! What network a file holds: its stacks of layers, and what stands on top of them.
//!
//! Every enum here is exhaustive: the version of the manifest governs it, and each place that
//! must know a new variant does not build until it does.

/// The kind of network in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Architecture {
    /// One stack that reads a whole text at once (BERT's).
    Encoder {
        /// Its layers.
        stack: StackSettings,
        /// What becomes of the last layer's output.
        head: Head,
    },
}

/// Settings of a stack of equal layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StackSettings {
    /// Number of layers.
    pub layers: u16,
    /// How the residual stream is normalised.
    pub norm: NormKind,
    /// Where in a layer that happens.
    pub norm_place: NormPlace,
    /// Added to the variance in every normalisation, 0 ≤ ε < 1.
    pub norm_epsilon: f32,
    /// How a token knows its place.
    pub positions: Positions,
    /// What stands between the residual stream and back.
    pub mlp: MlpKind,
    /// Function of the MLP's neurons.
    pub activation: Activation,
    /// Weights of the stack before anything was pruned (Q, K, V, W_O, L_in, L_out).
    pub dense_weights: u32,
}

/// How the residual stream is normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormKind {
    /// LayerNorm (Ba et al. 2016): (x − mean)/√(variance + ε)·gain + shift.
    #[default]
    Layer,
}

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormPlace {
    /// After each residual sum (Vaswani et al. 2017).
    #[default]
    Post,
}

/// How a token knows its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// A table with a learned row a position, added to the token's.
    #[default]
    Learned,
}

/// What an MLP consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MlpKind {
    /// L_out·activation(L_in·x).
    #[default]
    Plain,
}

/// Function between the two matrices of an MLP. `docs/format.md` states each to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// x·Φ(x) by the polynomial that `docs/format.md` states.
    Gelu,
}

/// What becomes of the last layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// One of n classes: logits of the pooled vector.
    Classes(Pooling),
}

/// How the sequence becomes one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over all tokens, special tokens included.
    #[default]
    Mean,
    /// The first token.
    Cls,
}

impl StackSettings {
    /// BERT's layers, none of them.
    const EMPTY: Self = Self {
        layers: 0,
        norm: NormKind::Layer,
        norm_place: NormPlace::Post,
        norm_epsilon: 0.0,
        positions: Positions::Learned,
        mlp: MlpKind::Plain,
        activation: Activation::Relu,
        dense_weights: 0,
    };
}

impl Default for StackSettings {
    /// BERT's layers, none of them.
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Architecture {
    /// Without layers: what stands where there is no manifest.
    pub(crate) const EMPTY: Self = Self::Encoder {
        stack: StackSettings::EMPTY,
        head: Head::Classes(Pooling::Mean),
    };
}

impl Architecture {
    /// The first manifest version that can say this: who adds a variant says here which.
    #[must_use]
    pub fn first_version(&self) -> u16 {
        let Self::Encoder { stack, head } = self;
        let norm: u16 = match stack.norm {
            NormKind::Layer => 1,
        };
        let norm_place = match stack.norm_place {
            NormPlace::Post => 1,
        };
        let positions = match stack.positions {
            Positions::Learned => 1,
        };
        let mlp = match stack.mlp {
            MlpKind::Plain => 1,
        };
        let activation = match stack.activation {
            Activation::Relu | Activation::Gelu => 1,
        };
        let head = match head {
            Head::Classes(Pooling::Mean | Pooling::Cls) => 1,
        };
        // Not a list, which a device would go through.
        let stack = norm.max(norm_place).max(positions).max(mlp).max(activation);
        stack.max(head)
    }
}

/// An [`Architecture`], as far as its number in the manifest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchitectureKind {
    Encoder,
}

/// A [`Head`], as far as its number in the manifest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Classes,
}

#[cfg(any(feature = "alloc", test))]
impl Architecture {
    pub(crate) fn kind(&self) -> ArchitectureKind {
        match self {
            Self::Encoder { .. } => ArchitectureKind::Encoder,
        }
    }
}

#[cfg(any(feature = "alloc", test))]
impl Head {
    pub(crate) fn kind(self) -> HeadKind {
        match self {
            Self::Classes(_) => HeadKind::Classes,
        }
    }
}

/// An enum whose variants stand in the manifest by their numbers.
pub(crate) trait Numbered: Copy + 'static {
    /// The variants, in the order of their numbers from 0.
    const VARIANTS: &'static [Self];
}

macro_rules! numbered {
    ($($visible:vis $name:ident { $($variant:ident),+ })+) => {
        $(impl $name {
            /// Every variant, in the order of their numbers in the manifest, from 0.
            $visible const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl Numbered for $name {
            const VARIANTS: &'static [Self] = Self::ALL;
        })+

        #[cfg(any(feature = "alloc", test))]
        mod numbers {
            use super::*;
            $(impl $name {
                /// The number that stands for it in the manifest. A variant without one does
                /// not build.
                pub(crate) fn number(self) -> u16 {
                    match self {
                        $(Self::$variant => Self::$variant as u16,)+
                    }
                }
            })+
        }
    };
}

numbered! {
    pub(crate) ArchitectureKind { Encoder }
    pub NormKind { Layer }
    pub NormPlace { Post }
    pub Positions { Learned }
    pub MlpKind { Plain }
    pub Activation { Relu, Gelu }
    pub(crate) HeadKind { Classes }
    pub Pooling { Mean, Cls }
}
