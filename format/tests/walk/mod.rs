//! Reads everything a model offers and asserts what an opened file promises.

use neuroprune_format::architecture::Positions;
use neuroprune_format::encoder::{Attention, Encoder, Layer, Mixing};
use neuroprune_format::tensor::{Form, Matrix, Norm, ROW_SUM_LIMIT, RowWeights, Table};
use neuroprune_format::vocabulary::PIECE_BYTES;
use neuroprune_format::{Limits, Model, Network};

/// The network, which is an encoder.
pub(crate) fn encoder<'a>(model: &Model<'a>) -> Encoder<'a> {
    let Network::Encoder(encoder) = model.network();
    *encoder
}

/// The attention of a layer that has it.
#[allow(dead_code, reason = "each test file uses its own part of this module")]
pub(crate) fn attention<'a>(layer: &Layer<'a>) -> Attention<'a> {
    match layer.mixing() {
        Mixing::Attention(attention) => attention,
        Mixing::Recurrence(_) => panic!("a recurrence"),
    }
}

/// # Panics
/// When the view breaks a promise.
pub(crate) fn walk(model: &Model<'_>) {
    assert_eq!(Limits::of_file(model.bytes()), model.limits());
    walk_text(model);
    let encoder = encoder(model);
    walk_embeddings(model, &encoder);
    walk_layers(model, &encoder);
    let tensors = encoder.tensors();
    for record in tensors.records() {
        let form = record.layout.form();
        assert_eq!(tensors.matrix(&record).is_some(), form == Form::Matrix);
        assert_eq!(tensors.table(&record).is_some(), form == Form::Table);
    }
}

fn walk_text(model: &Model<'_>) {
    let labels = model.labels();
    assert_eq!(labels.len(), model.limits().outputs);
    assert!(labels.iter().all(|label| !label.is_empty()));
    assert_eq!(labels.get(labels.len()), None);
    assert_eq!(labels.get(usize::MAX), None);

    let vocabulary = model.vocabulary();
    assert!(vocabulary.initial() <= vocabulary.len());
    let (mut buffer, mut longest) = (vec![0; PIECE_BYTES], 0);
    assert_eq!(vocabulary.piece(vocabulary.len(), &mut buffer), None);
    assert_eq!(vocabulary.piece(usize::MAX, &mut buffer), None);
    for id in 0..vocabulary.len() {
        buffer.resize(buffer.len().max(vocabulary.longest()), 0);
        let (piece, continuing) = vocabulary
            .piece(id, &mut buffer)
            .expect("every id has a piece");
        longest = longest.max(piece.len());
        assert_eq!(
            vocabulary.longest_match(piece, continuing),
            Some((id, piece.len()))
        );
    }
    assert_eq!(vocabulary.longest(), longest);
    for word in [
        "",
        "a",
        "abc",
        "abé",
        "cafés",
        "straßen",
        "überb",
        "日本",
        "\0",
        "\u{10ffff}",
    ] {
        for continuing in [false, true] {
            if let Some((id, length)) = vocabulary.longest_match(word, continuing) {
                let piece = vocabulary.piece(id, &mut buffer);
                assert_eq!(piece, Some((&word[..length], continuing)));
            }
        }
    }

    let characters = model.characters();
    let beyond = "\u{80}\u{9f}\u{a0}ÉßéǄ\u{2ff}\u{300}\u{36f}\u{370}\u{3000}一日\u{9fff}\u{a000}\
                  \u{d7ff}\u{e000}ﬀ\u{ffff}\u{10000}😀\u{10ffff}";
    for character in ('\0'..='\u{7f}').chain(beyond.chars()) {
        use neuroprune_format::characters::Outcome;
        if let Outcome::Word(text) | Outcome::Isolated(text) = characters.outcome(character) {
            assert!(!text.is_empty());
        }
    }
}

fn walk_embeddings(model: &Model<'_>, encoder: &Encoder<'_>) {
    let limits = model.limits();
    let factor = encoder.embedding_factor();
    let width = factor.map_or(limits.hidden, |factor| factor.cols());
    walk_table(&encoder.token_embedding(), model.vocabulary().len(), width);
    if let Some(factor) = factor {
        walk_matrix(&factor, limits.hidden, limits.embedding);
    }
    let position = encoder.position_embedding();
    let has_positions = encoder.stack().positions == Positions::Learned;
    assert_eq!(position.is_some(), has_positions);
    if let Some(position) = position {
        walk_table(&position, limits.tokens, limits.hidden);
    }
    if let Some(segment) = encoder.segment_embedding() {
        let texts = if model.manifest().tokenizer.pair {
            2
        } else {
            1
        };
        walk_table(&segment, texts, limits.hidden);
    }
    walk_norm(&encoder.embedding_norm(), limits.hidden);
}

fn walk_layers(model: &Model<'_>, encoder: &Encoder<'_>) {
    let limits = model.limits();
    let mut found = Limits {
        tokens: limits.tokens,
        hidden: limits.hidden,
        outputs: limits.outputs,
        embedding: encoder.embedding_factor().map_or(0, |factor| factor.cols()),
        ..Limits::default()
    };
    let mut layers = 0;
    for layer in encoder.layers() {
        layers += 1;
        match layer.mixing() {
            Mixing::Attention(attention) => walk_attention(&attention, &mut found),
            Mixing::Recurrence(recurrence) => {
                let hidden = limits.hidden;
                walk_matrix(&recurrence.forward(), hidden, 2 * hidden);
                walk_matrix(&recurrence.backward(), hidden, 2 * hidden);
                walk_norm(&recurrence.norm(), hidden);
                found.recurrence = hidden;
            }
        }
        if let Some(mlp) = layer.mlp() {
            let intermediate = mlp.input().rows();
            found.intermediate = found.intermediate.max(intermediate);
            walk_matrix(&mlp.input(), intermediate, limits.hidden);
            walk_matrix(&mlp.output(), limits.hidden, intermediate);
            walk_norm(&mlp.norm(), limits.hidden);
        }
    }
    assert_eq!(layers, encoder.stack().layers);
    assert_eq!(found, limits);
    walk_matrix(&encoder.classifier(), limits.outputs, limits.hidden);
}

fn walk_attention(attention: &Attention<'_>, found: &mut Limits) {
    let mut context = 0;
    for head in attention.heads() {
        walk_matrix(&head, head.rows(), found.hidden);
        assert_eq!(2 * head.query_rows() + head.value_rows(), head.rows());
        found.query = found.query.max(head.query_rows());
        found.value = found.value.max(head.value_rows());
        context += head.value_rows();
    }
    found.context = found.context.max(context);
    walk_matrix(&attention.output(), found.hidden, context);
    walk_norm(&attention.norm(), found.hidden);
}

fn walk_matrix(matrix: &Matrix<'_>, rows: usize, cols: usize) {
    assert_eq!((matrix.rows(), matrix.cols()), (rows, cols));
    let (mut count, mut nonzeros) = (0, 0);
    for row in matrix.iter() {
        count += 1;
        assert!(row.bias.is_finite());
        let (mut previous, mut sum) = (None, 0);
        for (column, weight) in row.weights.nonzeros() {
            assert!(column < cols);
            assert!(previous < Some(column));
            assert!(weight != 0 && weight != i8::MIN);
            previous = Some(column);
            sum += u32::from(weight.unsigned_abs());
            nonzeros += 1;
        }
        assert!(sum == 0 || row.scale > 0.0);
        assert!(row.scale >= 0.0 && row.scale.is_finite());
        match row.weights {
            RowWeights::Dense(weights) => assert_eq!(weights.len(), cols),
            RowWeights::Columns(columns, weights) => assert_eq!(columns.len(), 2 * weights.len()),
            RowWeights::DeltaU8(_) => assert!(sum <= ROW_SUM_LIMIT),
            RowWeights::Bitmap { bits, weights } => {
                assert!(sum <= ROW_SUM_LIMIT);
                assert_eq!(bits.len(), cols.div_ceil(8));
                assert_eq!(weights.len(), row.weights.nonzeros().count());
            }
            RowWeights::Blocks2(blocks) => walk_blocks(blocks, 2, cols, sum),
            RowWeights::Blocks4(blocks) => walk_blocks(blocks, 4, cols, sum),
        }
    }
    assert_eq!(count, rows);
    assert_eq!(matrix.count_nonzeros(), nonzeros);
}

/// A kernel reads every column of a block, whatever its weight.
fn walk_blocks(blocks: &[u8], width: usize, cols: usize, sum: u32) {
    assert!(sum <= ROW_SUM_LIMIT);
    assert_eq!(blocks.len() % (1 + width), 0);
    let mut start = 0;
    for block in blocks.chunks_exact(1 + width) {
        start += usize::from(block[0]);
        assert!(start + width <= cols);
    }
}

fn walk_table(table: &Table<'_>, rows: usize, cols: usize) {
    assert_eq!((table.rows(), table.cols()), (rows, cols));
    let mut nonzeros = 0;
    for index in 0..rows {
        let row = table.row(index);
        assert!(row.scale > 0.0 && row.scale.is_finite());
        let weights: Vec<i8> = row.weights().collect();
        let largest = row.values.largest().unsigned_abs();
        assert!(weights.iter().all(|it| it.unsigned_abs() <= largest));
        nonzeros += weights.iter().filter(|&&weight| weight != 0).count();
        // Two in a byte.
        let padding = weights.split_at(cols).1;
        assert!(padding.len() < 2 && padding.iter().all(|&it| it == 0));
    }
    assert_eq!(table.count_nonzeros(), nonzeros);
    for outside in [rows, usize::MAX / cols, usize::MAX] {
        let row = table.row(outside);
        assert_eq!((row.scale, row.bytes), (0.0, &[][..]));
    }
}

fn walk_norm(norm: &Norm<'_>, cols: usize) {
    assert_eq!(norm.iter().count(), cols);
    assert!(
        norm.iter()
            .all(|(gain, shift)| gain.is_finite() && shift.is_finite())
    );
}
