//! The models that are measured: matrices of known density, and a whole synthetic one.
//!
//! Random, from a fixed seed: every run writes the same bytes.

use anyhow::Context;
use half::f16;
use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling, StackSettings};
use neuroprune_format::manifest::{Scores, TokenizerSettings};
use neuroprune_format::tensor::{Pattern, Role, Scale};
use neuroprune_format::writer::{
    LayoutChoice, MatrixSource, ModelSource, NormSource, TensorSource,
};

use super::layouts::Layout;
use super::tables::table;
use super::vocabulary::Text;

/// Widths of a layer whose matrices are cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Of the residual stream.
    pub(crate) hidden: usize,
    /// Of the MLP.
    pub(crate) intermediate: usize,
}

/// A matrix that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// As `bench_matrices` names its region.
    pub(crate) region: String,
    pub(crate) inputs: u64,
    pub(crate) outputs: u64,
    pub(crate) layout: &'static str,
    /// Nonzero weights, per cent.
    pub(crate) density: u64,
    pub(crate) nonzeros: u64,
    /// Bytes in the file: weights, scales, whatever states where the weights belong.
    pub(crate) bytes: u64,
}

/// A model of one layer of `widths` with `density` per cent of nonzero weights, and the
/// matrices in it.
///
/// # Errors
/// Where the layout cannot hold them.
pub(crate) fn matrices(
    widths: Widths,
    layout: &Layout,
    density: u64,
) -> anyhow::Result<(Vec<u8>, Vec<Matrix>)> {
    let Widths {
        hidden,
        intermediate,
    } = widths;
    let mut random = Random(1 + density);
    let name = format!("{hidden}-{intermediate} {} {density}", layout.name);
    let mut matrix = |role, rows, cols| {
        let weights = weights(&mut random, rows, cols, density, layout.block);
        matrix_source(
            role,
            0,
            rows,
            cols,
            weights,
            LayoutChoice::Forced(layout.kind),
        )
    };
    // A head of values only is a plain square matrix.
    let parts = [
        matrix(Role::Head, hidden, hidden),
        matrix(Role::MlpInput, intermediate, hidden),
        matrix(Role::MlpOutput, hidden, intermediate),
    ];
    let nonzeros = parts.each_ref().map(|part| {
        let nonzeros = part.weights.iter().filter(|&&weight| weight != 0);
        nonzeros.count() as u64
    });
    let output = vec![0; hidden * hidden];
    let output = matrix_source(
        Role::AttentionOutput,
        0,
        hidden,
        hidden,
        output,
        LayoutChoice::Smallest,
    );
    let tensors = parts.into_iter().chain([output]).map(TensorSource::Matrix);
    let text = Text::of_sentence()?;
    let file = model(&name, hidden, 2, &["class"], 1, &text, tensors.collect())?;
    let opened = neuroprune_format::Model::open(&file)?;
    let roles = [
        (Role::Head, "square"),
        (Role::MlpInput, "in"),
        (Role::MlpOutput, "out"),
    ];
    let mut cases = Vec::new();
    for ((role, region), nonzeros) in roles.into_iter().zip(nonzeros) {
        let mut records = opened.tensors().records();
        let record = records.find(|record| record.role == role);
        let record = record.with_context(|| format!("{name}: no {}", role.name()))?;
        cases.push(Matrix {
            region: format!("{name} {region}"),
            inputs: record.cols as u64,
            outputs: record.rows as u64,
            layout: layout.name,
            density,
            nonzeros,
            bytes: record.length as u64,
        });
    }
    Ok((file, cases))
}

/// Shape of a whole model with random weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) layers: u16,
    pub(crate) hidden: usize,
    pub(crate) heads: u16,
    pub(crate) intermediate: usize,
    pub(crate) tokens: usize,
    pub(crate) labels: usize,
    /// Nonzero weights of the encoder's matrices, per cent.
    pub(crate) density: u64,
    /// Weights side by side that are zero together.
    pub(crate) block: usize,
    pub(crate) layout: LayoutChoice,
}

/// Two layers of width 128, four heads, 512 neurons, 17 classes; nine of ten weights are
/// zero, anywhere.
pub(crate) fn synthetic() -> anyhow::Result<Vec<u8>> {
    random_model(&Shape {
        name: "synthetic",
        layers: 2,
        hidden: 128,
        heads: 4,
        intermediate: 512,
        tokens: 16,
        labels: 17,
        density: 10,
        block: 1,
        layout: LayoutChoice::Smallest,
    })
}

/// The shape of MiniLM-L6 (Wang et al. 2020): six layers of width 384, twelve heads, 1,536
/// neurons, 128 tokens; once with nine of ten weights zero anywhere, once with nine of ten
/// blocks of four, once dense. Two classes, and a vocabulary of the test sentence's words.
pub(crate) fn minilm() -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let shapes = [
        ("minilm-90", 10, 1, Pattern::DeltaU8),
        ("minilm-90-blocks", 10, 4, Pattern::Blocks4),
        ("minilm-dense", 100, 1, Pattern::Dense),
    ];
    let models = shapes.map(|(name, density, block, layout)| {
        let file = random_model(&Shape {
            name,
            layers: 6,
            hidden: 384,
            heads: 12,
            intermediate: 1536,
            tokens: 128,
            labels: 2,
            density,
            block,
            layout: LayoutChoice::Forced(layout),
        })?;
        Ok((name, file))
    });
    models.into_iter().collect()
}

/// The file of a model of this shape.
///
/// # Errors
/// Where the format cannot hold it.
pub(crate) fn random_model(shape: &Shape) -> anyhow::Result<Vec<u8>> {
    let &Shape {
        layers,
        hidden,
        intermediate,
        ..
    } = shape;
    let head_rows = hidden / usize::from(shape.heads);
    let mut random = Random(7);
    let mut tensors = Vec::new();
    for layer in 0..layers {
        let mut push = |role, head, rows, cols| {
            let weights = weights(&mut random, rows, cols, shape.density, shape.block);
            let mut matrix = matrix_source(role, layer, rows, cols, weights, shape.layout);
            if role == Role::Head {
                matrix.head = head;
                matrix.query_rows = head_rows;
            }
            tensors.push(TensorSource::Matrix(matrix));
        };
        for head in 0..shape.heads {
            push(Role::Head, head, 3 * head_rows, hidden);
        }
        push(Role::AttentionOutput, 0, hidden, hidden);
        push(Role::MlpInput, 0, intermediate, hidden);
        push(Role::MlpOutput, 0, hidden, intermediate);
    }
    let labels: Vec<String> = (0..shape.labels)
        .map(|class| format!("class {class}"))
        .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let text = Text::of_sentence()?;
    model(
        shape.name,
        hidden,
        shape.tokens,
        &labels,
        layers,
        &text,
        tensors,
    )
}

/// The file of a model with these layers.
pub(super) fn model(
    name: &str,
    hidden: usize,
    tokens: usize,
    labels: &[&str],
    layers: u16,
    text: &Text,
    tensors: Vec<TensorSource>,
) -> anyhow::Result<Vec<u8>> {
    let source = source(name, hidden, tokens, labels, layers, text, tensors);
    source.to_bytes().with_context(|| name.to_owned())
}

/// A model with these layers and factor, which has GELU, positions and the mean of all tokens.
pub(super) fn source(
    name: &str,
    hidden: usize,
    tokens: usize,
    labels: &[&str],
    layers: u16,
    text: &Text,
    mut tensors: Vec<TensorSource>,
) -> ModelSource {
    let pieces = text.initial.len() + text.continuation.len();
    let mut random = Random(3);
    let matrices = tensors.iter().filter_map(|tensor| match tensor {
        TensorSource::Matrix(matrix) => Some(matrix),
        TensorSource::Table(_) | TensorSource::Norm(_) => None,
    });
    let mut width = hidden;
    let mut norms = vec![(Role::EmbeddingNorm, 0)];
    for matrix in matrices {
        if matrix.role == Role::EmbeddingFactor {
            width = matrix.cols;
        }
        let of_role = NORMS.into_iter().find(|(role, _)| *role == matrix.role);
        norms.extend(of_role.map(|(_, norm)| (norm, matrix.layer)));
    }
    for (role, rows, cols) in [
        (Role::TokenEmbedding, pieces, width),
        (Role::PositionEmbedding, tokens, hidden),
    ] {
        tensors.push(table(&mut random, role, rows, cols));
    }
    for (role, layer) in norms {
        tensors.push(TensorSource::Norm(NormSource {
            role,
            layer,
            gain: vec![f16::ONE; hidden],
            shift: vec![f16::ZERO; hidden],
        }));
    }
    let rows = labels.len();
    let classifier = weights(&mut random, rows, hidden, 100, 1);
    let layout = LayoutChoice::Smallest;
    tensors.push(TensorSource::Matrix(matrix_source(
        Role::Classifier,
        0,
        rows,
        hidden,
        classifier,
        layout,
    )));

    ModelSource {
        name: name.to_owned(),
        producer: "cargo xtask bench".to_owned(),
        seed: 0,
        recipe: [0; 32],
        data: [0; 32],
        scores: Scores::default(),
        architecture: Architecture::Encoder {
            stack: StackSettings {
                layers,
                activation: Activation::Gelu,
                norm_epsilon: 1e-5,
                ..StackSettings::default()
            },
            head: Head::Classes(Pooling::Mean),
        },
        tokenizer: TokenizerSettings {
            unknown: 2,
            start: 0,
            separator: 1,
            word_characters: 100,
            pair: false,
        },
        tokens,
        hidden,
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        initial: text.initial.clone(),
        continuation: text.continuation.clone(),
        characters: text.characters.clone(),
        tensors,
    }
}

/// Matrices whose results are normalised, and with what.
const NORMS: [(Role, Role); 3] = [
    (Role::AttentionOutput, Role::AttentionNorm),
    (Role::ForwardRecurrence, Role::RecurrenceNorm),
    (Role::MlpOutput, Role::MlpNorm),
];

pub(super) fn matrix_source(
    role: Role,
    layer: u16,
    rows: usize,
    cols: usize,
    weights: Vec<i8>,
    layout: LayoutChoice,
) -> MatrixSource {
    MatrixSource {
        role,
        layer,
        head: 0,
        rows,
        cols,
        query_rows: 0,
        weights,
        scales: vec![Scale::at_least(0.002); rows],
        bias: None,
        layout,
    }
}

/// −100…100, of which exactly `density` per cent (to the nearest block) are not zero.
pub(super) fn weights(
    random: &mut Random,
    rows: usize,
    cols: usize,
    density: u64,
    block: usize,
) -> Vec<i8> {
    let blocks = rows * cols / block;
    let mut left = (blocks as u64 * density + 50) / 100;
    let mut weights = Vec::with_capacity(rows * cols);
    for behind in (1..=blocks as u64).rev() {
        // Each choice of `left` of those still to come is as likely as any other.
        let is_kept = random.below(behind) < left;
        left -= u64::from(is_kept);
        for _ in 0..block {
            let magnitude = i8::try_from(1 + random.below(100)).unwrap_or(1);
            let sign = if random.below(2) == 0 { 1 } else { -1 };
            weights.push(if is_kept { sign * magnitude } else { 0 });
        }
    }
    weights
}

/// xorshift64* (Vigna 2014): enough for masks, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn density_is_exact() {
        for (density, block) in [(10, 1), (100, 1), (2, 2), (5, 4)] {
            let weights = weights(&mut Random(1), 40, 100, density, block);
            let nonzeros = weights.iter().filter(|&&weight| weight != 0).count() as u64;
            assert_eq!(weights.len(), 4000);
            assert_eq!(nonzeros, 40 * density);
        }
    }
}
