//! Random models that the tests of this crate share: every shape that a pruned encoder may have,
//! with weights scaled so that the network computes something.
//!
//! Everything is a function of a seed. A failing test names its seed, and the same
//! seed makes the same file again.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use core::str::FromStr;
use std::sync::OnceLock;

use neuroprune_format::architecture::{
    Activation, Architecture, Head, Pooling, Positions, StackSettings,
};
use neuroprune_format::encoder::Encoder;
use neuroprune_format::manifest::{Scores, TokenizerSettings};
use neuroprune_format::tensor::{Pattern, Role, Scale, TableValues};
use neuroprune_format::writer::{
    CharacterMap, CharacterOutcome, LayoutChoice, LayoutCosts, MatrixSource, ModelSource,
    NormSource, TableSource, TensorSource,
};
use neuroprune_format::{Model, Network};

/// Token for words that the vocabulary cannot spell.
const UNKNOWN: u16 = 3;
const START: u16 = 1;
const SEPARATOR: u16 = 2;
/// Letters that words are made of.
const LETTERS: core::ops::RangeInclusive<char> = 'a'..='p';
/// Pieces: a comma, three special tokens, each letter as beginning and as
/// continuation.
const VOCABULARY: usize = 4 + 2 * 16;
/// All values of tables.
const TABLE_VALUES: &[TableValues] = &[TableValues::I8, TableValues::I4];
/// Standard deviation of the weights that [`Random::weight`] draws.
const WEIGHT_DEVIATION: f32 = 73.6;

/// Numbers from a seed: SplitMix64 (Steele et al. 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0…1, without 1. 16 bits, exact in `f32`.
    fn unit(&mut self) -> f32 {
        u16::try_from(self.next() >> 48).map_or(0.0, f32::from) / 65_536.0
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    pub(crate) fn within(&mut self, range: core::ops::RangeInclusive<usize>) -> usize {
        let count = (range.end() - range.start() + 1) as u64;
        range.start() + usize::try_from(self.next() % count).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..=choices.len() - 1)]
    }

    /// ±1…±127.
    fn weight(&mut self) -> i8 {
        self.weight_within(127)
    }

    /// ±1…±`largest`.
    fn weight_within(&mut self, largest: i8) -> i8 {
        let weight = self.within(1..=usize::from(largest.unsigned_abs()));
        let weight = i8::try_from(weight).unwrap();
        if self.chance(0.5) { weight } else { -weight }
    }
}

/// The shape of a model.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) tokens: usize,
    pub(crate) hidden: usize,
    pub(crate) labels: usize,
    pub(crate) layers: Vec<LayerShape>,
    pub(crate) pair: bool,
    pub(crate) segment: bool,
    pub(crate) positions: Positions,
    /// Width of a token's row, if a factor multiplies it.
    pub(crate) embedding: Option<usize>,
    /// Of tables; each draws one.
    pub(crate) table_values: Vec<TableValues>,
    pub(crate) activation: Activation,
    pub(crate) pooling: Pooling,
    pub(crate) norm_epsilon: f32,
    /// Densities of the encoder's matrices; each matrix draws one.
    pub(crate) densities: Vec<f32>,
    /// Share of a matrix's rows and columns that are entirely zero.
    pub(crate) cut: f32,
    pub(crate) layout: LayoutChoice,
}

/// The shape of a layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerShape {
    pub(crate) mixing: MixingShape,
    /// Of the MLP, if there is one.
    pub(crate) intermediate: Option<usize>,
}

/// How a layer mixes tokens.
#[derive(Clone, Debug)]
pub(crate) enum MixingShape {
    /// Query and value rows of each head.
    Heads(Vec<(usize, usize)>),
    Recurrence,
}

impl MixingShape {
    /// None of a recurrence.
    pub(crate) fn heads(&self) -> &[(usize, usize)] {
        match self {
            Self::Heads(heads) => heads,
            Self::Recurrence => &[],
        }
    }
}

impl Shape {
    /// Any shape: no layers or several, each with no heads or several of unequal
    /// widths, heads without queries (uniform attention) and without values,
    /// layers without neurons or without an MLP, recurrences, every density; tables of any values,
    /// with a factor or without, positions or none.
    pub(crate) fn random(random: &mut Random) -> Self {
        let pair = random.chance(0.5);
        let mut shape = Self {
            tokens: random.within(3..=40),
            hidden: random.within(16..=48),
            labels: random.within(1..=24),
            layers: (0..random.within(0..=4))
                .map(|_| LayerShape::random(random))
                .collect(),
            pair,
            segment: random.chance(0.7),
            positions: random.one_of(&[Positions::Learned, Positions::Learned, Positions::None]),
            embedding: random.chance(0.4).then(|| random.within(1..=33)),
            table_values: random
                .one_of(&[&[TableValues::I8][..], TABLE_VALUES])
                .to_vec(),
            activation: random.one_of(Activation::ALL),
            pooling: random.one_of(Pooling::ALL),
            norm_epsilon: random.one_of(&[1e-12, 1e-5]),
            densities: vec![0.0, 0.02, 0.1, 0.3, 0.7, 1.0],
            cut: random.one_of(&[0.0, 0.2, 0.5]),
            layout: random.one_of(&[
                LayoutChoice::Smallest,
                LayoutChoice::Smallest,
                preferred(Pattern::Bitmap),
                preferred(Pattern::Blocks2),
                preferred(Pattern::Blocks4),
            ]),
        };
        let is_recurrence = |layer: &LayerShape| matches!(layer.mixing, MixingShape::Recurrence);
        if shape.layers.iter().any(is_recurrence) {
            shape.hidden = shape.hidden.next_multiple_of(2);
        }
        shape
    }

    /// A small model of single texts that every test may change as it needs.
    pub(crate) fn small() -> Self {
        Self {
            tokens: 12,
            hidden: 16,
            labels: 7,
            layers: vec![
                LayerShape {
                    mixing: MixingShape::Heads(vec![(4, 6), (2, 3)]),
                    intermediate: Some(30),
                },
                LayerShape {
                    mixing: MixingShape::Heads(vec![(5, 4)]),
                    intermediate: Some(20),
                },
            ],
            pair: false,
            segment: false,
            positions: Positions::Learned,
            embedding: None,
            table_values: vec![TableValues::I8],
            activation: Activation::Gelu,
            pooling: Pooling::Mean,
            norm_epsilon: 1e-5,
            densities: vec![0.3, 1.0],
            cut: 0.2,
            layout: LayoutChoice::Smallest,
        }
    }

    /// [`Shape::small`] with every weight.
    pub(crate) fn small_dense() -> Self {
        Self {
            densities: vec![1.0],
            cut: 0.0,
            ..Self::small()
        }
    }

    /// [`Shape::small`] for pairs of texts.
    pub(crate) fn small_pair() -> Self {
        Self {
            pair: true,
            segment: true,
            ..Self::small()
        }
    }

    /// The file of [`Shape::source`].
    pub(crate) fn file(&self, random: &mut Random) -> Vec<u8> {
        self.source(random).to_bytes().unwrap()
    }

    /// A model of this shape.
    pub(crate) fn source(&self, random: &mut Random) -> ModelSource {
        let mut tensors = vec![self.table(
            Role::TokenEmbedding,
            VOCABULARY,
            self.embedding.unwrap_or(self.hidden),
            random,
        )];
        if self.positions == Positions::Learned {
            let table = self.table(Role::PositionEmbedding, self.tokens, self.hidden, random);
            tensors.push(table);
        }
        tensors.push(self.norm(Role::EmbeddingNorm, 0, random));
        if let Some(width) = self.embedding {
            let density = random.one_of(&[0.3, 0.7, 1.0]);
            let (role, rows) = (Role::EmbeddingFactor, self.hidden);
            let factor = matrix(role, 0, rows, width, density, random);
            tensors.push(TensorSource::Matrix(factor));
        }
        if self.segment {
            let rows = if self.pair { 2 } else { 1 };
            tensors.push(self.table(Role::SegmentEmbedding, rows, self.hidden, random));
        }
        for (layer, shape) in (0..).zip(&self.layers) {
            self.push_layer(layer, shape, random, &mut tensors);
        }
        // Always with weights: a model without any has nothing to compare.
        let classifier = matrix(Role::Classifier, 0, self.labels, self.hidden, 0.7, random);
        tensors.push(TensorSource::Matrix(classifier));
        for tensor in &mut tensors {
            if let TensorSource::Matrix(matrix) = tensor {
                matrix.layout = self.layout;
            }
        }
        ModelSource {
            name: "random".into(),
            producer: "test".into(),
            seed: 0,
            recipe: [0; 32],
            data: [0; 32],
            scores: Scores::default(),
            architecture: Architecture::Encoder {
                stack: StackSettings {
                    layers: u16::try_from(self.layers.len()).unwrap(),
                    activation: self.activation,
                    norm_epsilon: self.norm_epsilon,
                    positions: self.positions,
                    ..StackSettings::default()
                },
                head: Head::Classes(self.pooling),
            },
            tokenizer: TokenizerSettings {
                unknown: UNKNOWN,
                start: START,
                separator: SEPARATOR,
                word_characters: 100,
                pair: self.pair,
            },
            tokens: self.tokens,
            hidden: self.hidden,
            labels: (0..self.labels)
                .map(|class| format!("class {class}"))
                .collect(),
            initial: [",", "[CLS]", "[SEP]", "[UNK]"]
                .map(String::from)
                .into_iter()
                .chain(LETTERS.map(String::from))
                .collect(),
            continuation: LETTERS.map(String::from).collect(),
            characters: characters().clone(),
            tensors,
        }
    }

    fn push_layer(
        &self,
        layer: u16,
        shape: &LayerShape,
        random: &mut Random,
        tensors: &mut Vec<TensorSource>,
    ) {
        let heads = shape.mixing.heads();
        let context = heads.iter().map(|&(_, value)| value).sum();
        let mut push = |mut matrix: MatrixSource, random: &mut Random| {
            clear_some(&mut matrix, self.cut, random);
            tensors.push(TensorSource::Matrix(matrix));
        };
        for (index, &(query, value)) in (0..).zip(heads) {
            let density = random.one_of(&self.densities);
            let rows = 2 * query + value;
            let mut head = matrix(Role::Head, layer, rows, self.hidden, density, random);
            // Pruned heads leave gaps in the numbers.
            head.head = index * 2;
            head.query_rows = query;
            // Scores of a few units: attention neither uniform nor all on one token.
            for scale in &mut head.scales[..query] {
                *scale = Scale::at_least(scale.to_f32() * 1.5 / (query as f32).sqrt());
            }
            push(head, random);
        }
        let hidden = self.hidden;
        let (mut matrices, mut norms) = match shape.mixing {
            MixingShape::Heads(_) => (
                vec![(Role::AttentionOutput, hidden, context)],
                vec![Role::AttentionNorm],
            ),
            MixingShape::Recurrence => (
                vec![
                    (Role::ForwardRecurrence, hidden, 2 * hidden),
                    (Role::BackwardRecurrence, hidden, 2 * hidden),
                ],
                vec![Role::RecurrenceNorm],
            ),
        };
        if let Some(intermediate) = shape.intermediate {
            matrices.push((Role::MlpInput, intermediate, hidden));
            matrices.push((Role::MlpOutput, hidden, intermediate));
            norms.push(Role::MlpNorm);
        }
        for (role, rows, cols) in matrices {
            let density = random.one_of(&self.densities);
            push(matrix(role, layer, rows, cols, density, random), random);
        }
        for role in norms {
            tensors.push(self.norm(role, layer, random));
        }
    }

    fn table(&self, role: Role, rows: usize, cols: usize, random: &mut Random) -> TensorSource {
        // One value is no choice: it draws nothing.
        let values = match self.table_values[..] {
            [values] => values,
            _ => random.one_of(&self.table_values),
        };
        let (largest, deviation) = match values {
            TableValues::I8 => (values.largest(), WEIGHT_DEVIATION),
            TableValues::I4 => (values.largest(), 4.5),
        };
        let weights = (0..rows * cols).map(|_| random.weight_within(largest));
        TensorSource::Table(TableSource {
            role,
            rows,
            cols,
            values,
            weights: weights.collect(),
            scales: (0..rows)
                .map(|_| Scale::at_least(random.between(0.5, 1.5) / deviation))
                .collect(),
        })
    }

    fn norm(&self, role: Role, layer: u16, random: &mut Random) -> TensorSource {
        let mut halves = |low, high| {
            (0..self.hidden)
                .map(|_| half(random.between(low, high)))
                .collect()
        };
        TensorSource::Norm(NormSource {
            role,
            layer,
            gain: halves(0.7, 1.3),
            shift: halves(-0.2, 0.2),
        })
    }
}

impl LayerShape {
    fn random(random: &mut Random) -> Self {
        let heads = (0..random.within(0..=4)).map(|_| {
            let query = random.within(0..=10);
            // A head has at least one row.
            let value = random.within(usize::from(query == 0)..=12);
            (query, value)
        });
        let heads = heads.collect();
        let mixing = if random.chance(0.4) {
            MixingShape::Recurrence
        } else {
            MixingShape::Heads(heads)
        };
        // Above 255 columns a sparse row may need a bridge.
        let most = random.one_of(&[0, 30, 120, 120, 700, 700]);
        let has_mlp = random.chance(0.8);
        Self {
            mixing,
            intermediate: has_mlp.then(|| random.within(0..=most)),
        }
    }
}

/// The network, which is an encoder.
pub(crate) fn encoder_of<'m>(model: &Model<'m>) -> Encoder<'m> {
    let Network::Encoder(encoder) = model.network();
    *encoder
}

/// How its sequences become one vector.
pub(crate) fn pooling_of(model: &Model<'_>) -> Pooling {
    let Head::Classes(pooling) = encoder_of(model).head();
    pooling
}

/// Layouts that store few zeros or none.
pub(crate) const SPARSE: [Pattern; 4] = [
    Pattern::DeltaU8,
    Pattern::Bitmap,
    Pattern::Blocks2,
    Pattern::Blocks4,
];

/// This layout wherever a matrix can have it.
pub(crate) fn preferred(layout: Pattern) -> LayoutChoice {
    let mut costs = LayoutCosts {
        dense: 1,
        columns: 1,
        delta_u8: 1,
        bitmap: 1,
        bitmap_byte: 0,
        blocks2: 1,
        blocks4: 1,
        row: 0,
    };
    match layout {
        Pattern::DeltaU8 => costs.delta_u8 = 0,
        Pattern::Bitmap => costs.bitmap = 0,
        Pattern::Blocks2 => costs.blocks2 = 0,
        Pattern::Blocks4 => costs.blocks4 = 0,
        Pattern::Dense | Pattern::Columns => (costs.dense, costs.columns) = (0, 0),
    }
    LayoutChoice::Cheapest(costs)
}

/// The same model with every matrix laid out as `layout`.
pub(crate) fn laid_out(source: &ModelSource, layout: LayoutChoice) -> Vec<u8> {
    let mut source = source.clone();
    for tensor in &mut source.tensors {
        if let TensorSource::Matrix(matrix) = tensor {
            matrix.layout = layout;
        }
    }
    source.to_bytes().unwrap()
}

/// The first matrix with this role.
pub(crate) fn matrix_mut(source: &mut ModelSource, wanted: Role) -> &mut MatrixSource {
    let matrices = source.tensors.iter_mut().filter_map(|tensor| match tensor {
        TensorSource::Matrix(matrix) => Some(matrix),
        _ => None,
    });
    let mut wanted = matrices.filter(|matrix| matrix.role == wanted);
    wanted.next().unwrap()
}

/// Words, commas and unknown characters: up to `words` words.
pub(crate) fn text(words: usize, random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.within(0..=words) {
        for _ in 0..random.within(1..=4) {
            let letter = LETTERS.clone().nth(random.within(0..=15)).unwrap();
            text.push(letter);
        }
        text.push_str(random.one_of(&[" ", " ", " ", ", ", "? "]));
    }
    text
}

/// Scratch memory on an eight-byte boundary, with arbitrary contents.
///
/// Random bytes, not one byte repeated: lanes that no token wrote then hold integers of
/// every size, floats of every size and NaNs.
pub(crate) fn scratch(bytes: usize, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..bytes.div_ceil(8)).map(|_| random.next()).collect()
}

/// The nearest `f16`; this crate has no dependency that names the type.
fn half<F: FromStr<Err: core::fmt::Debug>>(value: f32) -> F {
    value.to_string().parse().unwrap()
}

fn characters() -> &'static CharacterMap {
    // Asking about all characters takes longer than a whole test case.
    static CHARACTERS: OnceLock<CharacterMap> = OnceLock::new();
    CHARACTERS.get_or_init(|| {
        CharacterMap::new(|character| match character {
            'a'..='p' => CharacterOutcome::Word(character.into()),
            'A'..='P' => CharacterOutcome::Word(character.to_ascii_lowercase().into()),
            ' ' | '\n' => CharacterOutcome::Space,
            ',' => CharacterOutcome::Isolated(",".into()),
            '?' => CharacterOutcome::IsolatedUnknown,
            '\u{301}' => CharacterOutcome::Dropped,
            _ => CharacterOutcome::Unknown,
        })
        .unwrap()
    })
}

/// Weights of which `density` are not zero, scaled so that inputs of unit variance
/// give outputs of about unit variance.
fn matrix(
    role: Role,
    layer: u16,
    rows: usize,
    cols: usize,
    density: f32,
    random: &mut Random,
) -> MatrixSource {
    let weights = (0..rows * cols).map(|_| {
        if random.chance(density) {
            random.weight()
        } else {
            0
        }
    });
    let weights = weights.collect();
    let terms = (cols as f32 * density).max(1.0);
    let unit = 1.0 / (WEIGHT_DEVIATION * terms.sqrt());
    MatrixSource {
        role,
        layer,
        head: 0,
        rows,
        cols,
        query_rows: 0,
        weights,
        scales: (0..rows)
            .map(|_| Scale::at_least(unit * random.between(0.5, 1.5)))
            .collect(),
        bias: random.chance(0.7).then(|| {
            let biases = (0..rows).map(|_| half(random.between(-0.3, 0.3)));
            biases.collect()
        }),
        layout: LayoutChoice::Smallest,
    }
}

/// Clears whole rows and whole columns, as structured pruning does.
fn clear_some(matrix: &mut MatrixSource, share: f32, random: &mut Random) {
    let rows: Vec<bool> = (0..matrix.rows).map(|_| random.chance(share)).collect();
    let cols: Vec<bool> = (0..matrix.cols).map(|_| random.chance(share)).collect();
    for (at, weight) in matrix.weights.iter_mut().enumerate() {
        if rows[at / matrix.cols] || cols[at % matrix.cols] {
            *weight = 0;
        }
    }
}
