//! Hand-written models that the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use half::f16;
use neuroprune_format::architecture::{
    Activation, Architecture, Head, Pooling, Positions, StackSettings,
};
use neuroprune_format::manifest::{Scores, TokenizerSettings};
use neuroprune_format::tensor::{Pattern, Role, Scale, TableValues};
use neuroprune_format::writer::{
    CharacterMap, CharacterOutcome, LayoutChoice, MatrixSource, ModelSource, NormSource,
    TableSource, TensorSource,
};

/// Every model, by name.
pub(crate) fn all() -> [(&'static str, ModelSource); 6] {
    [
        ("pair", pair()),
        ("layouts", layouts()),
        ("single", single()),
        ("wide", wide()),
        ("bare", bare()),
        ("recurrent", recurrent()),
    ]
}

/// Text pairs, two layers of two heads, of which head 0 of layer 1 is cut. It has
/// the first four layouts and every flag: cut rows, a column list, biases, a gap above
/// 255.
pub(crate) fn pair() -> ModelSource {
    let (tokens, hidden) = (8, 6);
    let initial = strings(&[
        "[CLS]", "[SEP]", "[UNK]", "a", "ab", "café", "straße", "über", "日",
    ]);
    let continuation = strings(&["b", "bc", "ße", "é"]);
    let vocabulary = initial.len() + continuation.len();

    // Layer 0: both heads, the first with a cut query, key and value row.
    let mut first = head(0, 0, 2, 2, hidden);
    for row in [1, 3, 4] {
        clear_row(&mut first, row);
    }
    let mut attention = matrix(Role::AttentionOutput, 0, hidden, 4);
    attention.bias = Some(halves(hidden, 0.25));
    // 3 of 12 neurons are cut, and with them 3 columns of the next matrix.
    let mut neurons = matrix(Role::MlpInput, 0, 12, hidden);
    neurons.bias = Some(halves(12, -0.5));
    let mut outputs = matrix(Role::MlpOutput, 0, hidden, 12);
    for neuron in [0, 1, 2, 4, 5, 8, 9, 11] {
        clear_column(&mut outputs, neuron);
        if neuron % 4 == 0 {
            clear_row(&mut neurons, neuron);
        }
    }

    // Layer 1: 300 neurons, of which 2 remain, at least 256 apart.
    let mut sparse_neurons = empty(Role::MlpInput, 1, 300, hidden);
    put(
        &mut sparse_neurons,
        &[(3, 0, -127), (3, 5, 1), (299, 2, 64)],
    );
    let mut sparse_outputs = empty(Role::MlpOutput, 1, hidden, 300);
    put(
        &mut sparse_outputs,
        &[
            (0, 3, 5),
            (0, 259, -6),
            (2, 7, 100),
            (2, 299, -127),
            (5, 44, 1),
        ],
    );

    let mut classifier = matrix(Role::Classifier, 0, 3, hidden);
    classifier.bias = Some(halves(3, 0.0));
    let tensors = vec![
        embedding(Role::TokenEmbedding, vocabulary, hidden),
        embedding(Role::PositionEmbedding, tokens, hidden),
        embedding(Role::SegmentEmbedding, 2, hidden),
        norm(Role::EmbeddingNorm, 0, hidden),
        TensorSource::Matrix(first),
        TensorSource::Matrix(head(0, 1, 1, 2, hidden)),
        TensorSource::Matrix(attention),
        norm(Role::AttentionNorm, 0, hidden),
        TensorSource::Matrix(neurons),
        TensorSource::Matrix(outputs),
        norm(Role::MlpNorm, 0, hidden),
        TensorSource::Matrix(head(1, 1, 2, 3, hidden)),
        TensorSource::Matrix(matrix(Role::AttentionOutput, 1, hidden, 3)),
        norm(Role::AttentionNorm, 1, hidden),
        TensorSource::Matrix(sparse_neurons),
        TensorSource::Matrix(sparse_outputs),
        norm(Role::MlpNorm, 1, hidden),
        TensorSource::Matrix(classifier),
    ];
    ModelSource {
        name: "Größe".into(),
        producer: "golden 1".into(),
        seed: 300,
        recipe: core::array::from_fn(|index| u8::try_from(index).unwrap()),
        data: [0xda; 32],
        scores: Scores {
            dense_float: Some(91.5),
            sparse_float: None,
            runtime: Some(90.25),
        },
        architecture: encoder(2, Activation::Gelu, Pooling::Mean),
        tokenizer: TokenizerSettings {
            unknown: 2,
            start: 0,
            separator: 1,
            word_characters: 100,
            pair: true,
        },
        tokens,
        hidden,
        labels: strings(&["ja", "nein", "weiß nicht"]),
        initial,
        continuation,
        characters: CharacterMap::new(character).unwrap(),
        tensors,
    }
}

/// BERT's kind of encoder, for classes.
pub(crate) fn encoder(layers: u16, activation: Activation, pooling: Pooling) -> Architecture {
    Architecture::Encoder {
        stack: StackSettings {
            layers,
            activation,
            norm_epsilon: 1e-5,
            dense_weights: 4_000,
            ..StackSettings::default()
        },
        head: Head::Classes(pooling),
    }
}

/// Like [`pair`], in the layouts bitmap, 1×2 and 1×4 blocks: cut rows, biases, a row
/// without weights, gaps above 255, blocks that begin and overlap anywhere.
pub(crate) fn layouts() -> ModelSource {
    use Pattern::{Bitmap, Blocks2, Blocks4};
    let mut source = pair();
    let hidden = source.hidden;
    source.name = "layouts".into();
    for tensor in &mut source.tensors {
        let TensorSource::Matrix(matrix) = tensor else {
            continue;
        };
        let (layout, weights): (_, &[(usize, usize, i8)]) = match (matrix.role, matrix.layer) {
            // 11 values: a head of 2 and one of 9.
            (Role::AttentionOutput, 0) => {
                *matrix = empty(Role::AttentionOutput, 0, hidden, 11);
                let weights = &[
                    (0, 0, 1),
                    (0, 8, -2),
                    (0, 10, 127),
                    (3, 9, -127),
                    (5, 7, 64),
                ];
                (Bitmap, weights)
            }
            (Role::Head, 0) if matrix.head == 1 => {
                *matrix = head(0, 1, 1, 9, hidden);
                (Blocks4, &[])
            }
            (Role::MlpInput, 0) => {
                *matrix = empty(Role::MlpInput, 0, 300, hidden);
                let weights = &[(7, 0, 1), (7, 1, 2), (7, 3, -3), (7, 5, 4), (299, 5, -5)];
                (Blocks2, weights)
            }
            (Role::MlpOutput, 0) => {
                *matrix = empty(Role::MlpOutput, 0, hidden, 300);
                let weights = &[
                    (1, 2, 10),
                    (1, 3, -20),
                    (1, 5, 30),
                    (1, 298, -40),
                    (1, 299, 50),
                    (4, 297, 60),
                    (4, 299, -127),
                ];
                (Blocks2, weights)
            }
            (Role::MlpOutput, 1) => {
                *matrix = empty(Role::MlpOutput, 1, hidden, 300);
                let weights = &[
                    (0, 1, 1),
                    (0, 2, -2),
                    (0, 4, 3),
                    (0, 293, -4),
                    (0, 297, 5),
                    (2, 299, -127),
                    (3, 0, 7),
                    (3, 255, 8),
                ];
                (Blocks4, weights)
            }
            (Role::AttentionOutput | Role::MlpInput, _) => (Blocks2, &[]),
            (Role::Head, _) => (Bitmap, &[]),
            _ => (Blocks4, &[]),
        };
        matrix.layout = LayoutChoice::Forced(layout);
        put(matrix, weights);
    }
    source
}

/// Single texts, one layer without heads, no segments, every weight stored.
pub(crate) fn single() -> ModelSource {
    let mut source = pair();
    source.name = String::new();
    source.architecture = encoder(1, Activation::Relu, Pooling::Cls);
    source.tokenizer.pair = false;
    source.characters = CharacterMap::default();
    source.tensors.retain(|tensor| match tensor {
        TensorSource::Matrix(matrix) => matrix.role != Role::Head && matrix.layer == 0,
        TensorSource::Table(table) => table.role != Role::SegmentEmbedding,
        TensorSource::Norm(norm) => norm.layer == 0,
    });
    for tensor in &mut source.tensors {
        if let TensorSource::Matrix(matrix) = tensor {
            matrix.layout = LayoutChoice::Dense;
            if matrix.role == Role::AttentionOutput {
                matrix.cols = 0;
                matrix.weights.clear();
            }
        }
    }
    source
}

/// Like [`single`], with a row of 521 weights whose sum is exactly the limit.
pub(crate) fn wide() -> ModelSource {
    let mut source = single();
    for tensor in &mut source.tensors {
        if let TensorSource::Matrix(matrix) = tensor {
            if matrix.role == Role::MlpInput {
                *matrix = empty(Role::MlpInput, 0, 600, source.hidden);
            } else if matrix.role == Role::MlpOutput {
                *matrix = empty(Role::MlpOutput, 0, source.hidden, 600);
                matrix.weights[..520].fill(-127);
                matrix.weights[520] = 12;
                // Without these, one dense row would be smaller.
                put(
                    matrix,
                    &[
                        (1, 595, 1),
                        (2, 596, -2),
                        (3, 597, 3),
                        (4, 598, -4),
                        (5, 599, 5),
                    ],
                );
            }
        }
    }
    source
}

/// No layers at all: embeddings, then the classifier.
pub(crate) fn bare() -> ModelSource {
    let mut source = single();
    source.architecture = encoder(0, Activation::Relu, Pooling::Cls);
    source.tensors.retain(|tensor| {
        !matches!(
            tensor.role(),
            Role::AttentionOutput
                | Role::AttentionNorm
                | Role::MlpInput
                | Role::MlpOutput
                | Role::MlpNorm
        )
    });
    source
}

/// Single texts without positions, token rows of four bits and of an odd width behind a factor, and
/// three layers: a recurrence, a recurrence with an MLP, attention without one.
pub(crate) fn recurrent() -> ModelSource {
    let mut source = single();
    let (hidden, width) = (source.hidden, 5);
    source.name = "recurrent".into();
    let mut architecture = encoder(3, Activation::Relu, Pooling::Mean);
    let Architecture::Encoder { stack, .. } = &mut architecture;
    stack.positions = Positions::None;
    source.architecture = architecture;
    let of_embeddings = |tensor: &TensorSource| tensor.role() == Role::EmbeddingNorm;
    source
        .tensors
        .retain(|tensor| of_embeddings(tensor) || tensor.role() == Role::Classifier);

    let pieces = source.initial.len() + source.continuation.len();
    let small = |at: usize| i8::try_from(at * 4 % 15).unwrap() - 7;
    let mut tokens: Vec<i8> = (0..pieces * width).map(small).collect();
    tokens[width..2 * width].copy_from_slice(&[1, -7, -6, 3, 4]);
    source.tensors.push(TensorSource::Table(TableSource {
        role: Role::TokenEmbedding,
        rows: pieces,
        cols: width,
        values: TableValues::I4,
        weights: tokens,
        scales: scales(pieces),
    }));
    let of_layer = |matrix: MatrixSource, layer| MatrixSource { layer, ..matrix };
    let recurrence = |role| of_layer(matrix(role, 0, hidden, 2 * hidden), 1);
    let mut forward = empty(Role::ForwardRecurrence, 0, hidden, 2 * hidden);
    put(&mut forward, &[(0, 0, 7), (0, 11, -127), (4, 6, 3)]);
    forward.bias = Some(halves(hidden, 0.5));
    let mut backward = empty(Role::BackwardRecurrence, 0, hidden, 2 * hidden);
    put(&mut backward, &[(5, 3, 1)]);
    let matrices = [
        matrix(Role::EmbeddingFactor, 0, hidden, width),
        forward,
        backward,
        recurrence(Role::ForwardRecurrence),
        recurrence(Role::BackwardRecurrence),
        matrix(Role::MlpInput, 1, 4, hidden),
        matrix(Role::MlpOutput, 1, hidden, 4),
        head(2, 0, 2, 3, hidden),
        matrix(Role::AttentionOutput, 2, hidden, 3),
    ];
    source.tensors.extend(matrices.map(TensorSource::Matrix));
    source.tensors.extend([
        norm(Role::RecurrenceNorm, 0, hidden),
        norm(Role::RecurrenceNorm, 1, hidden),
        norm(Role::MlpNorm, 1, hidden),
        norm(Role::AttentionNorm, 2, hidden),
    ]);
    source
}

/// How [`pair`] normalises characters: a small copy of what BERT does.
pub(crate) fn character(character: char) -> CharacterOutcome {
    match character {
        '\t' | '\n' | ' ' | '\u{a0}' | '\u{3000}' => CharacterOutcome::Space,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{300}'..='\u{36f}' => CharacterOutcome::Dropped,
        'A' | 'a' => CharacterOutcome::Word("a".into()),
        'B' | 'b' => CharacterOutcome::Word("b".into()),
        'C' | 'c' => CharacterOutcome::Word("c".into()),
        'F' | 'f' => CharacterOutcome::Word("f".into()),
        'É' | 'é' => CharacterOutcome::Word("é".into()),
        'ß' => CharacterOutcome::Word("ß".into()),
        'ﬀ' => CharacterOutcome::Word("ff".into()),
        '日' => CharacterOutcome::Isolated("日".into()),
        '!'..='/' | '\u{4e00}'..='\u{9fff}' => CharacterOutcome::IsolatedUnknown,
        _ => CharacterOutcome::Unknown,
    }
}

/// Runs of every class and of many lengths: a listed run longer than an entry of the index can
/// count, codes of one and two bytes, short runs of all kinds in turn.
pub(crate) fn many_characters() -> CharacterMap {
    let target = |scalar: u32| char::from_u32(0x4e00 + scalar % 300).unwrap_or('x');
    let outcome = |character: char| match u32::from(character) {
        0x100..0x300 => CharacterOutcome::Word(target(u32::from(character)).into()),
        scalar @ 0x300..0x500 => match scalar * 7 / 5 % 5 {
            0 => CharacterOutcome::Dropped,
            1 => CharacterOutcome::IsolatedUnknown,
            2 => CharacterOutcome::Space,
            3 => CharacterOutcome::Isolated(target(scalar).into()),
            _ => CharacterOutcome::Unknown,
        },
        0x10_ffff => CharacterOutcome::Space,
        _ => self::character(character),
    };
    CharacterMap::new(outcome).unwrap()
}

fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.into()).collect()
}

/// 8/512, 9/512, … : the scale that follows, up to 1, then again.
fn scales(count: usize) -> Vec<Scale> {
    let first = Scale::at_least(1.0 / 64.0).0;
    let bytes = (0..count).map(|index| first + u8::try_from(index % 49).unwrap());
    bytes.map(Scale).collect()
}

fn halves(count: usize, first: f32) -> Vec<f16> {
    (0..count)
        .map(|index| f16::from_f32(first + index as f32 / 64.0))
        .collect()
}

/// Nonzero weights, different from row to row and column to column.
fn weights(rows: usize, cols: usize) -> Vec<i8> {
    let weight = |at: usize| i8::try_from((at * 37 + 11) % 127).unwrap() + 1;
    (0..rows * cols)
        .map(|at| if at % 3 == 0 { -weight(at) } else { weight(at) })
        .collect()
}

fn empty(role: Role, layer: u16, rows: usize, cols: usize) -> MatrixSource {
    MatrixSource {
        role,
        layer,
        head: 0,
        rows,
        cols,
        query_rows: 0,
        weights: vec![0; rows * cols],
        scales: scales(rows),
        bias: None,
        layout: LayoutChoice::Smallest,
    }
}

fn matrix(role: Role, layer: u16, rows: usize, cols: usize) -> MatrixSource {
    MatrixSource {
        weights: weights(rows, cols),
        ..empty(role, layer, rows, cols)
    }
}

fn head(layer: u16, head: u16, query: usize, value: usize, hidden: usize) -> MatrixSource {
    let rows = 2 * query + value;
    MatrixSource {
        head,
        query_rows: query,
        bias: Some(halves(rows, 0.125)),
        ..matrix(Role::Head, layer, rows, hidden)
    }
}

fn clear_row(matrix: &mut MatrixSource, row: usize) {
    let cols = matrix.cols;
    matrix.weights[row * cols..(row + 1) * cols].fill(0);
}

fn clear_column(matrix: &mut MatrixSource, column: usize) {
    for row in 0..matrix.rows {
        matrix.weights[row * matrix.cols + column] = 0;
    }
}

fn put(matrix: &mut MatrixSource, weights: &[(usize, usize, i8)]) {
    for &(row, column, weight) in weights {
        matrix.weights[row * matrix.cols + column] = weight;
    }
}

fn embedding(role: Role, rows: usize, cols: usize) -> TensorSource {
    let weights = weights(rows, cols);
    TensorSource::Table(TableSource {
        role,
        rows,
        cols,
        values: TableValues::I8,
        weights,
        scales: scales(rows),
    })
}

fn norm(role: Role, layer: u16, cols: usize) -> TensorSource {
    TensorSource::Norm(NormSource {
        role,
        layer,
        gain: halves(cols, 1.0),
        shift: halves(cols, -0.0625),
    })
}
