//! Models of recurrences instead of attention, with narrow tables of four bits.

use anyhow::Context as _;
use neuroprune_format::architecture::{Architecture, Positions};
use neuroprune_format::tensor::Role;
use neuroprune_format::writer::{LayoutChoice, TensorSource};

use super::models::{Random, matrix_source, source, weights};
use super::tables::shorten;
use super::vocabulary::Text;

/// Columns of the factor.
const EMBEDDING: usize = 32;
const LAYERS: u16 = 2;
const TOKENS: usize = 16;
const CLASSES: usize = 17;

/// Two models without MLPs and positions: one of width 64 with all weights, one of width 128 of
/// which nine of ten are zero, anywhere.
pub(super) fn recurrent() -> anyhow::Result<[Vec<u8>; 2]> {
    Ok([
        model("recurrent dense", 64, 100)?,
        model("recurrent", 128, 10)?,
    ])
}

fn model(name: &str, hidden: usize, density: u64) -> anyhow::Result<Vec<u8>> {
    let mut random = Random(11);
    let mut matrix = |role, layer, cols| {
        let weights = weights(&mut random, hidden, cols, density, 1);
        let layout = LayoutChoice::Smallest;
        TensorSource::Matrix(matrix_source(role, layer, hidden, cols, weights, layout))
    };
    let mut tensors = vec![matrix(Role::EmbeddingFactor, 0, EMBEDDING)];
    for layer in 0..LAYERS {
        for role in [Role::ForwardRecurrence, Role::BackwardRecurrence] {
            tensors.push(matrix(role, layer, 2 * hidden));
        }
    }
    let labels: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let text = Text::of_sentence()?;
    let mut source = source(name, hidden, TOKENS, &labels, LAYERS, &text, tensors);
    let Architecture::Encoder { stack, .. } = &mut source.architecture;
    stack.positions = Positions::None;
    source
        .tensors
        .retain(|tensor| tensor.role() != Role::PositionEmbedding);
    source.tensors.iter_mut().for_each(shorten);
    source.to_bytes().with_context(|| name.to_owned())
}
