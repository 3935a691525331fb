//! Which network a file holds: its stacks of layers, and what is on top of them.
//!
//! Every enum here is exhaustive: the version of the manifest governs it, and code that must handle
//! a new variant does not build until it does.

/// The kind of network in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Architecture {
    /// One stack that reads a whole text at once (BERT's).
    Encoder {
        /// Its layers.
        stack: StackSettings,
        /// What is done with the last layer's output.
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
    /// Where in a layer it is normalised.
    pub norm_place: NormPlace,
    /// Added to the variance in every normalisation, 0 ≤ ε < 1.
    pub norm_epsilon: f32,
    /// How positions are encoded.
    pub positions: Positions,
    /// What an MLP consists of.
    pub mlp: MlpKind,
    /// Activation function of the MLP's neurons.
    pub activation: Activation,
    /// Weights of the stack before pruning (Q, K, V, W_O, L_in, L_out).
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

/// How positions are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// A table with one learned row per position, added to the token's row.
    #[default]
    Learned,
    /// Not at all: what mixes the tokens knows their order, or nothing does.
    None,
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

/// What is done with the last layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// One of n classes: logits of the pooled vector.
    Classes(Pooling),
}

/// How the sequence is reduced to one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over all tokens, special tokens included.
    #[default]
    Mean,
    /// The first token.
    Cls,
}

impl StackSettings {
    /// BERT's settings, with no layers.
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
    /// BERT's settings, with no layers.
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Architecture {
    /// Without layers: a placeholder where there is no manifest.
    pub(crate) const EMPTY: Self = Self::Encoder {
        stack: StackSettings::EMPTY,
        head: Head::Classes(Pooling::Mean),
    };
}

impl Architecture {
    /// The first manifest version that can express this: each new variant states its version here.
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
            Positions::None => 3,
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
        // Not a list, which a device would have to loop over.
        let stack = norm.max(norm_place).max(positions).max(mlp).max(activation);
        stack.max(head)
    }
}

/// An [`Architecture`] without its fields: what its number in the manifest selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchitectureKind {
    Encoder,
}

/// A [`Head`] without its fields: what its number in the manifest selects.
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

/// An enum whose variants the manifest stores as numbers.
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
                /// Its number in the manifest. A variant without one does not build.
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
    pub Positions { Learned, None }
    pub MlpKind { Plain }
    pub Activation { Relu, Gelu }
    pub(crate) HeadKind { Classes }
    pub Pooling { Mean, Cls }
}
