//! Bytes per nonzero weight in each layout, at several sparsities:
//!
//! ```sh
//! cargo run -p neuroprune-format --features alloc --example layout_sizes
//! ```
//!
//! The matrix has 1,536 rows of 384 columns. Masks are random, of single weights or of aligned
//! blocks; scales count, and there are no row maps or biases.
#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a table printed by hand"
)]

use half::f16;
use neuroprune_format::architecture::{Architecture, Head, Pooling, StackSettings};
use neuroprune_format::manifest::{Scores, TokenizerSettings};
use neuroprune_format::tensor::{Pattern, Role, Scale, TableValues};
use neuroprune_format::writer::{
    CharacterMap, LayoutChoice, MatrixSource, ModelSource, NormSource, TableSource, TensorSource,
};
use neuroprune_format::{Model, Network};

const ROWS: usize = 1_536;
const COLS: usize = 384;

fn main() {
    print!("{:<22}", "mask");
    let layouts = Pattern::ALL.into_iter();
    for layout in layouts.clone() {
        print!("{:>13}", layout.name());
    }
    println!();
    for width in [1, 2, 4] {
        for sparsity in [70, 80, 90, 95] {
            let weights = weights(width, 100 - sparsity);
            let nonzeros = weights.iter().filter(|&&weight| weight != 0).count();
            print!("1×{width}, {sparsity} % zeros{:6}", "");
            for layout in layouts.clone() {
                let bytes = bytes(weights.clone(), layout);
                print!("{:>13.3}", bytes as f64 / nonzeros as f64);
            }
            println!();
        }
    }
}

/// Blocks of `width` weights, `density` per cent of them.
fn weights(width: usize, density: u64) -> Vec<i8> {
    let mut random = 0x6c61_796f_7574_u64;
    let mut draw = |below: u64| {
        // SplitMix64 (Steele, Lea and Flood 2014).
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % below
    };
    let mut weights = Vec::new();
    while weights.len() < ROWS * COLS {
        let kept = draw(100) < density;
        for _ in 0..width {
            let weight = i8::try_from(draw(127) + 1).expect("at most 127");
            weights.push(if kept { weight } else { 0 });
        }
    }
    weights
}

/// Length of the tensor.
fn bytes(weights: Vec<i8>, layout: Pattern) -> usize {
    let table = |role, rows| {
        let (weights, scales) = (vec![1; rows * COLS], vec![Scale::ONE; rows]);
        TensorSource::Table(TableSource {
            role,
            rows,
            cols: COLS,
            values: TableValues::I8,
            weights,
            scales,
        })
    };
    let source = ModelSource {
        name: String::new(),
        producer: String::new(),
        seed: 0,
        recipe: [0; 32],
        data: [0; 32],
        scores: Scores::default(),
        architecture: Architecture::Encoder {
            stack: StackSettings::default(),
            head: Head::Classes(Pooling::Mean),
        },
        tokenizer: TokenizerSettings {
            unknown: 0,
            start: 0,
            separator: 0,
            word_characters: 1,
            pair: false,
        },
        tokens: 2,
        hidden: COLS,
        labels: vec!["class".into(); ROWS],
        initial: vec!["piece".into()],
        continuation: Vec::new(),
        characters: CharacterMap::default(),
        tensors: vec![
            table(Role::TokenEmbedding, 1),
            table(Role::PositionEmbedding, 2),
            TensorSource::Norm(NormSource {
                role: Role::EmbeddingNorm,
                layer: 0,
                gain: vec![f16::ONE; COLS],
                shift: vec![f16::ZERO; COLS],
            }),
            TensorSource::Matrix(MatrixSource {
                role: Role::Classifier,
                layer: 0,
                head: 0,
                rows: ROWS,
                cols: COLS,
                query_rows: 0,
                weights,
                scales: vec![Scale::ONE; ROWS],
                bias: None,
                layout: LayoutChoice::Forced(layout),
            }),
        ],
    };
    let file = source.to_bytes().expect("a model");
    let model = Model::open(&file).expect("a file of the writer opens");
    let Network::Encoder(encoder) = model.network();
    let mut records = encoder.tensors().records();
    let classifier = records.find(|record| record.role == Role::Classifier);
    classifier.expect("a model has a classifier").length
}
