//! The golden files of format version 2: the writer still makes these bytes, and the view still
//! reads these values. Golden files of released versions are kept for ever; `NEUROPRUNE_BLESS=1`
//! rewrites the newest ones before a release.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod sources;
mod walk;

use half::f16;
use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling};
use neuroprune_format::characters::Outcome;
use neuroprune_format::container::Container;
use neuroprune_format::encoder::Mixing;
use neuroprune_format::tensor::{Layout, Matrix, Pattern, Record, Role, TableValues};
use neuroprune_format::vocabulary::PIECE_BYTES;
use neuroprune_format::writer::{
    CharacterMap, MatrixSource, NormSource, TableSource, TensorSource, WriteError, assemble,
};
use neuroprune_format::{ErrorKind, Limits, Manifest, Model, Section};

static GOLDEN: &[u8] = include_bytes!("golden/v2.neuro");
/// As writers made it when pieces were a table of strings.
static GOLDEN_TABLE: &[u8] = include_bytes!("golden/v2-piece-table.neuro");
/// As writers made it before there was a character index.
static GOLDEN_WITHOUT_INDEX: &[u8] = include_bytes!("golden/v2-without-index.neuro");
static GOLDEN_MANIFEST_2: &[u8] = include_bytes!("golden/v2-manifest-2.neuro");
static GOLDEN_LAYOUTS: &[u8] = include_bytes!("golden/v2-layouts.neuro");
static GOLDEN_RECURRENT: &[u8] = include_bytes!("golden/v2-recurrent.neuro");

#[test]
fn writer_makes_the_golden_bytes() {
    let files = [
        ("v2.neuro", sources::pair(), GOLDEN),
        ("v2-layouts.neuro", sources::layouts(), GOLDEN_LAYOUTS),
        ("v2-recurrent.neuro", sources::recurrent(), GOLDEN_RECURRENT),
    ];
    for (name, source, golden) in files {
        let bytes = source.to_bytes().unwrap();
        if std::env::var_os("NEUROPRUNE_BLESS").is_some() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
            std::fs::write(format!("{folder}/{name}"), &bytes).unwrap();
            continue;
        }
        assert!(bytes.len() < 8 * 1024);
        assert!(bytes == golden, "the writer no longer makes {name}");
    }
}

#[test]
fn files_of_version_1_are_refused_by_name() {
    let files: [&[u8]; 2] = [
        include_bytes!("golden/v1.neuro"),
        include_bytes!("golden/v1-layouts.neuro"),
    ];
    for file in files {
        let error = Model::open(file).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Version { found: 1, known: 2 });
        assert_eq!((error.section, error.offset), (Section::Header, 8));
    }
}

#[test]
fn view_reads_the_facts() {
    let model = Model::open(GOLDEN).unwrap();
    let manifest = model.manifest();
    assert_eq!((manifest.version, manifest.name), (1, "Größe"));
    let Architecture::Encoder { stack, head } = manifest.architecture;
    assert_eq!((stack.layers, stack.dense_weights), (2, 4_000));
    assert_eq!(stack.activation, Activation::Gelu);
    assert_eq!(head, Head::Classes(Pooling::Mean));
    assert_eq!(stack.norm_epsilon, 1e-5);
    let tokenizer = manifest.tokenizer;
    assert_eq!(
        (tokenizer.start, tokenizer.separator, tokenizer.unknown),
        (0, 1, 2)
    );
    assert!(tokenizer.pair && tokenizer.word_characters == 100);
    assert_eq!(manifest.provenance.producer, "golden 1");
    assert_eq!(manifest.provenance.seed, 300);
    assert_eq!(manifest.provenance.recipe[..4], [0, 1, 2, 3]);
    assert_eq!(manifest.provenance.data, [0xda; 32]);
    assert_eq!(manifest.scores.dense_float, Some(91.5));
    assert_eq!(manifest.scores.sparse_float, None);
    assert_eq!(manifest.scores.runtime, Some(90.25));
}

/// The golden model with the manifest in version 2: what a writer makes when version 1 cannot
/// express the model.
fn in_manifest_version_2() -> Vec<u8> {
    let container = Container::open(GOLDEN_TABLE).unwrap();
    let mut sections: Vec<_> = container
        .entries()
        .map(|entry| {
            (
                entry.section,
                container.section(entry.section).unwrap().to_vec(),
            )
        })
        .collect();
    let mut manifest = Model::open(GOLDEN_TABLE).unwrap().manifest();
    assert_eq!(manifest.to_bytes().unwrap(), sections[0].1);
    manifest.version = 2;
    sections[0].1 = manifest.to_bytes().unwrap();
    assemble(&sections).unwrap()
}

#[test]
fn a_manifest_of_version_2_says_the_same() {
    let bytes = in_manifest_version_2();
    if std::env::var_os("NEUROPRUNE_BLESS").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/v2-manifest-2.neuro"
        );
        return std::fs::write(path, &bytes).unwrap();
    }
    assert!(
        bytes == GOLDEN_MANIFEST_2,
        "the writer no longer makes v2-manifest-2.neuro"
    );
    let model = Model::open(GOLDEN_MANIFEST_2).unwrap();
    walk::walk(&model);
    let expected = Model::open(GOLDEN_TABLE).unwrap().manifest();
    let found = model.manifest();
    assert_eq!(found.version, 2);
    assert_eq!(
        Manifest {
            version: 1,
            ..found
        },
        expected
    );
}

#[test]
fn a_manifest_is_not_written_in_a_version_that_nobody_reads() {
    let mut manifest = Model::open(GOLDEN).unwrap().manifest();
    for version in [0, 4, u16::MAX] {
        manifest.version = version;
        assert_eq!(manifest.to_bytes(), None);
    }
}

/// A flash partition is longer than the file in it, and the rest may hold anything.
#[test]
fn what_follows_the_file_is_not_read() {
    for rest in [&[0xff; 4_096][..], GOLDEN, &[0]] {
        let partition = [GOLDEN, rest].concat();
        let model = Model::open(&partition).unwrap();
        assert_eq!(model.bytes(), GOLDEN);
        walk::walk(&model);
        let error = Model::open_whole(&partition).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Trailing);
        assert_eq!(error.offset as usize, GOLDEN.len());
    }
    assert!(Model::open_whole(GOLDEN).is_ok());
}

#[test]
fn limits_are_known_at_compile_time() {
    const LIMITS: Limits = Limits::of_file(include_bytes!("golden/v2.neuro"));
    let expected = Limits {
        tokens: 8,
        hidden: 6,
        query: 2,
        value: 3,
        context: 4,
        intermediate: 300,
        outputs: 3,
        embedding: 0,
        recurrence: 0,
    };
    assert_eq!(LIMITS, expected);
    assert_eq!(Model::open(GOLDEN).unwrap().limits(), expected);
}

#[test]
fn view_reads_the_strings() {
    for golden in [GOLDEN, GOLDEN_TABLE] {
        strings_of(&Model::open(golden).unwrap());
    }
    walk::walk(&Model::open(GOLDEN_TABLE).unwrap());
}

fn strings_of(model: &Model<'_>) {
    let labels: Vec<_> = model.labels().iter().collect();
    assert_eq!(labels, ["ja", "nein", "weiß nicht"]);
    let vocabulary = model.vocabulary();
    let piece = |id| {
        let mut buffer = [0; PIECE_BYTES];
        let (piece, continues) = vocabulary.piece(id, &mut buffer).unwrap();
        (piece.to_owned(), continues)
    };
    let pieces: Vec<_> = (0..vocabulary.len()).map(piece).collect();
    let expected = [
        ("[CLS]", false),
        ("[SEP]", false),
        ("[UNK]", false),
        ("a", false),
        ("ab", false),
        ("café", false),
        ("straße", false),
        ("über", false),
        ("日", false),
        ("b", true),
        ("bc", true),
        ("ße", true),
        ("é", true),
    ];
    let expected = expected.map(|(piece, continues)| (piece.to_owned(), continues));
    assert_eq!(pieces, expected);
    assert_eq!(vocabulary.longest(), 7);
    assert_eq!(vocabulary.initial(), 9);
    assert_eq!(vocabulary.longest_match("abc", false), Some((4, 2)));
    assert_eq!(vocabulary.longest_match("acb", false), Some((3, 1)));
    assert_eq!(vocabulary.longest_match("caf", false), None);
    assert_eq!(vocabulary.longest_match("straßen", false), Some((6, 7)));
    assert_eq!(vocabulary.longest_match("bcd", true), Some((10, 2)));
    assert_eq!(vocabulary.longest_match("ß", true), None);
}

#[test]
fn view_reads_the_characters() {
    let characters = Model::open(GOLDEN).unwrap().characters();
    for (character, expected) in [
        ('a', Outcome::Word("a")),
        ('A', Outcome::Word("a")),
        ('É', Outcome::Word("é")),
        ('ß', Outcome::Word("ß")),
        ('ﬀ', Outcome::Word("ff")),
        ('日', Outcome::Isolated("日")),
        ('本', Outcome::IsolatedUnknown),
        ('\u{4e00}', Outcome::IsolatedUnknown),
        ('\u{9fff}', Outcome::IsolatedUnknown),
        ('\u{a000}', Outcome::Unknown),
        ('.', Outcome::IsolatedUnknown),
        (' ', Outcome::Space),
        ('\u{3000}', Outcome::Space),
        ('\0', Outcome::Dropped),
        ('\u{301}', Outcome::Dropped),
        ('z', Outcome::Unknown),
        ('😀', Outcome::Unknown),
        ('\u{10ffff}', Outcome::Unknown),
    ] {
        assert_eq!(characters.outcome(character), expected, "{character:?}");
    }
}

/// Every character has the same outcome in a file with and without an index.
#[test]
fn a_file_without_a_character_index_says_the_same() {
    let without = Model::open(GOLDEN_WITHOUT_INDEX).unwrap();
    walk::walk(&without);
    let container = Container::open(GOLDEN_WITHOUT_INDEX).unwrap();
    let missing = container.section(Section::CharacterIndex).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Missing);
    let mut sections = container.entries().map(|entry| entry.section);
    let of = |file, section| Container::open(file).unwrap().section(section).unwrap();
    assert!(sections.all(|section| of(GOLDEN_WITHOUT_INDEX, section) == of(GOLDEN_TABLE, section)));
    let characters = Model::open(GOLDEN).unwrap().characters();
    for character in '\0'..=char::MAX {
        let expected = without.characters().outcome(character);
        assert_eq!(characters.outcome(character), expected, "{character:?}");
    }
}

#[test]
fn view_reads_the_topology() {
    let model = Model::open(GOLDEN).unwrap();
    let heads: Vec<Vec<_>> = walk::encoder(&model)
        .layers()
        .map(|layer| {
            let shape = |head: Matrix<'_>| (head.query_rows(), head.value_rows());
            walk::attention(&layer).heads().map(shape).collect()
        })
        .collect();
    assert_eq!(heads, [vec![(2, 2), (1, 2)], vec![(2, 3)]]);
    let layouts: Vec<_> = walk::encoder(&model)
        .tensors()
        .records()
        .map(|record| {
            (
                record.role,
                record.layer,
                record.head,
                record.layout.pattern().unwrap_or_default(),
                record.flags,
            )
        })
        .collect();
    use Pattern::{Columns, DeltaU8, Dense};
    assert_eq!(layouts.len(), 18);
    assert_eq!(layouts[4], (Role::Head, 0, 0, Dense, 1 | 2));
    assert_eq!(layouts[5], (Role::Head, 0, 1, Dense, 1));
    assert_eq!(layouts[8], (Role::MlpInput, 0, 0, Dense, 1 | 2));
    assert_eq!(layouts[9], (Role::MlpOutput, 0, 0, Columns, 4));
    assert_eq!(layouts[11], (Role::Head, 1, 1, Dense, 1));
    assert_eq!(layouts[14], (Role::MlpInput, 1, 0, DeltaU8, 2));
    assert_eq!(layouts[15], (Role::MlpOutput, 1, 0, DeltaU8, 2));
}

#[test]
fn view_reads_the_weights() {
    let model = Model::open(GOLDEN).unwrap();
    let layers: Vec<_> = walk::encoder(&model).layers().collect();
    let nonzeros = |matrix: Matrix<'_>| -> Vec<Vec<(usize, i8)>> {
        matrix
            .iter()
            .map(|row| row.weights.nonzeros().collect())
            .collect()
    };
    let scales = |matrix: Matrix<'_>| -> Vec<f32> { matrix.iter().map(|row| row.scale).collect() };

    let outputs = layers[1].mlp().unwrap().output();
    assert_eq!(
        nonzeros(outputs),
        [
            vec![(3, 5), (259, -6)],
            vec![],
            vec![(7, 100), (299, -127)],
            vec![],
            vec![],
            vec![(44, 1)],
        ]
    );
    assert_eq!(
        scales(outputs),
        [0.015625, 0.0, 0.01953125, 0.0, 0.0, 0.025390625]
    );
    assert_eq!(layers[1].mlp().unwrap().input().count_nonzeros(), 3);

    let head = walk::attention(&layers[0]).heads().next().unwrap();
    let cut: Vec<_> = head.iter().map(|row| row.scale == 0.0).collect();
    assert_eq!(cut, [false, true, false, true, true, false]);
    let biases: Vec<_> = head.iter().map(|row| row.bias).collect();
    assert_eq!(
        biases,
        [0.125, 0.140625, 0.15625, 0.171875, 0.1875, 0.203125]
    );

    let named = nonzeros(layers[0].mlp().unwrap().output());
    assert_eq!(named[0], [(3, -123), (6, -107), (7, 17), (10, 1)]);

    let encoder = walk::encoder(&model);
    let row = encoder.segment_embedding().unwrap().row(1);
    assert_eq!(row.scale, 0.017578125);
    assert!(row.weights().eq([-107, 17, 54, -91, 1, 38]));
    let gains: Vec<_> = encoder.embedding_norm().iter().collect();
    assert_eq!(gains[0], (1.0, -0.0625));
    assert_eq!(gains[5], (1.078125, 0.015625));
}

#[test]
fn view_reads_bitmap_and_blocks() {
    let model = Model::open(GOLDEN_LAYOUTS).unwrap();
    let records: Vec<_> = walk::encoder(&model).tensors().records().collect();
    let layout = |role, layer| {
        let is_this = |record: &&Record| (record.role, record.layer) == (role, layer);
        let record = records.iter().find(is_this).unwrap();
        let pattern = record.layout.pattern().unwrap();
        assert_eq!(record.layout, Layout::matrix(pattern));
        (pattern, record.flags)
    };
    use Pattern::{Bitmap, Blocks2, Blocks4};
    assert_eq!(layout(Role::Head, 0), (Bitmap, 1 | 2));
    assert_eq!(layout(Role::AttentionOutput, 0), (Bitmap, 2));
    assert_eq!(layout(Role::MlpInput, 0), (Blocks2, 2));
    assert_eq!(layout(Role::MlpOutput, 0), (Blocks2, 2));
    assert_eq!(layout(Role::MlpOutput, 1), (Blocks4, 2));
    assert_eq!(layout(Role::Classifier, 0), (Blocks4, 1));

    let layers: Vec<_> = walk::encoder(&model).layers().collect();
    let rows = |matrix: Matrix<'_>| -> Vec<(usize, Vec<(usize, i8)>)> {
        let rows = matrix.iter().map(|row| row.weights.nonzeros().collect());
        let rows = rows.enumerate();
        rows.filter(|(_, row): &(_, Vec<_>)| !row.is_empty())
            .collect()
    };
    assert_eq!(
        rows(walk::attention(&layers[0]).output()),
        [
            (0, vec![(0, 1), (8, -2), (10, 127)]),
            (3, vec![(9, -127)]),
            (5, vec![(7, 64)]),
        ]
    );
    assert_eq!(
        rows(layers[0].mlp().unwrap().output()),
        [
            (1, vec![(2, 10), (3, -20), (5, 30), (298, -40), (299, 50)]),
            (4, vec![(297, 60), (299, -127)]),
        ]
    );
    assert_eq!(
        rows(layers[1].mlp().unwrap().output()),
        [
            (0, vec![(1, 1), (2, -2), (4, 3), (293, -4), (297, 5)]),
            (2, vec![(299, -127)]),
            (3, vec![(0, 7), (255, 8)]),
        ]
    );
    // Zeros within blocks are stored, but do not count as weights.
    assert_eq!(layers[1].mlp().unwrap().output().count_nonzeros(), 8);
}

/// What is written is what is read, in every layout the writer chooses.
#[test]
fn every_source_reads_back() {
    for (name, source) in sources::all() {
        let bytes = source.to_bytes().unwrap();
        let model = Model::open(&bytes).unwrap();
        walk::walk(&model);
        let tensors = walk::encoder(&model).tensors();
        assert_eq!(tensors.records().count(), source.tensors.len(), "{name}");
        for record in tensors.records() {
            let is_this = |tensor: &&TensorSource| match tensor {
                TensorSource::Matrix(matrix) => {
                    (matrix.role, matrix.layer, matrix.head)
                        == (record.role, record.layer, record.head)
                }
                TensorSource::Table(table) => table.role == record.role,
                TensorSource::Norm(_) => false,
            };
            match source.tensors.iter().find(is_this) {
                Some(TensorSource::Matrix(source)) => {
                    assert_reads_back(source, &tensors.matrix(&record).unwrap());
                }
                Some(TensorSource::Table(source)) => {
                    let table = tensors.table(&record).unwrap();
                    for (index, weights) in source.weights.chunks(source.cols).enumerate() {
                        let row = table.row(index);
                        assert_eq!(row.scale, source.scales[index].to_f32());
                        assert!(row.weights().take(source.cols).eq(weights.iter().copied()));
                    }
                }
                Some(TensorSource::Norm(_)) | None => {}
            }
        }
    }
}

fn assert_reads_back(source: &MatrixSource, matrix: &Matrix<'_>) {
    for (index, row) in matrix.iter().enumerate() {
        let mut weights = vec![0; source.cols];
        for (column, weight) in row.weights.nonzeros() {
            weights[column] = weight;
        }
        assert_eq!(
            weights,
            source.weights[index * source.cols..][..source.cols]
        );
        if weights.iter().any(|&weight| weight != 0) {
            assert_eq!(row.scale, source.scales[index].to_f32());
        }
        let bias = source
            .bias
            .as_ref()
            .map_or(0.0, |bias| bias[index].to_f32());
        assert_eq!(row.bias, bias);
    }
}

/// A table with more than 65,535 bytes of text has wide offsets.
#[test]
fn long_texts_read_back() {
    let mut source = sources::bare();
    source.labels = vec!["é".repeat(20_000), "x".repeat(30_000), "日".repeat(10)];
    let bytes = source.to_bytes().unwrap();
    let model = Model::open(&bytes).unwrap();
    assert!(
        model
            .labels()
            .iter()
            .eq(source.labels.iter().map(String::as_str))
    );
}

#[test]
fn writer_refuses_what_is_not_a_model() {
    let mut source = sources::bare();
    let TensorSource::Table(TableSource { scales, .. }) = &mut source.tensors[0] else {
        panic!("the first tensor is the token embedding");
    };
    scales.pop();
    let role = Role::TokenEmbedding;
    assert_eq!(
        source.to_bytes(),
        Err(WriteError::Lengths { role, layer: 0 })
    );

    // Four bits do not hold it.
    let mut source = sources::recurrent();
    for tensor in &mut source.tensors {
        if let TensorSource::Table(table) = tensor {
            table.weights[3] = 8;
        }
    }
    assert_eq!(
        source.to_bytes(),
        Err(WriteError::Lengths { role, layer: 0 })
    );

    // Products of these would overflow.
    for (rows, cols) in [(0, usize::MAX), (usize::MAX, 2), (1 << 16, 1)] {
        let mut source = sources::bare();
        source.tensors.push(TensorSource::Matrix(MatrixSource {
            role: Role::MlpInput,
            layer: 0,
            head: 0,
            rows,
            cols,
            query_rows: usize::MAX,
            weights: Vec::new(),
            scales: Vec::new(),
            bias: None,
            layout: Default::default(),
        }));
        let expected = WriteError::TooLarge(Section::Tensors);
        assert_eq!(source.to_bytes(), Err(expected));
    }

    let mut source = sources::bare();
    let is_norm = |tensor: &TensorSource| matches!(tensor, TensorSource::Norm(_));
    let index = source.tensors.iter().position(is_norm).unwrap();
    source.tensors[index] = TensorSource::Norm(NormSource {
        role: Role::EmbeddingNorm,
        layer: 0,
        gain: vec![f16::ONE; 6],
        shift: vec![f16::NAN; 6],
    });
    let error = source.to_bytes().unwrap_err();
    let (role, layer) = (Role::EmbeddingNorm, 0);
    assert_eq!(error, WriteError::NotFinite { role, layer });
    assert!(error.to_string().contains("65,504"), "{error}");
}

#[test]
fn character_targets_are_counted() {
    use neuroprune_format::writer::CharacterOutcome::{Unknown, Word};
    let targets = |count: u32| {
        CharacterMap::new(move |character| {
            let index = (character as u32).wrapping_sub(0x1_0000);
            if index < count {
                Word(character.into())
            } else {
                Unknown
            }
        })
    };
    let mut source = sources::bare();
    source.characters = targets(65_531).unwrap();
    let bytes = source.to_bytes().unwrap();
    let last = '\u{1fffa}';
    assert_eq!(
        Model::open(&bytes).unwrap().characters().outcome(last),
        Outcome::Word(last.encode_utf8(&mut [0; 4]))
    );
    let expected = WriteError::TooLarge(Section::Characters);
    assert_eq!(targets(65_532), Err(expected));
}

#[test]
fn view_reads_recurrences_and_a_factor() {
    let model = Model::open(GOLDEN_RECURRENT).unwrap();
    assert_eq!(model.manifest().version, 3);
    assert_eq!(
        model.limits(),
        Limits::of_file(GOLDEN_RECURRENT),
        "the widths of factor and recurrence share a word"
    );
    assert_eq!(
        (model.limits().embedding, model.limits().recurrence),
        (5, 6)
    );
    let encoder = walk::encoder(&model);
    assert!(encoder.position_embedding().is_none());
    let row = encoder.token_embedding().row(1);
    assert_eq!(row.values, TableValues::I4);
    // Two in a byte, and a zero after the last.
    assert_eq!(row.bytes, [0x91, 0x3a, 0x04]);
    assert!(row.weights().eq([1, -7, -6, 3, 4, 0]));
    let kinds: Vec<_> = encoder
        .layers()
        .map(|layer| {
            let is_recurrent = matches!(layer.mixing(), Mixing::Recurrence(_));
            (is_recurrent, layer.mlp().is_some())
        })
        .collect();
    assert_eq!(kinds, [(true, false), (true, true), (false, false)]);
    let Some(Mixing::Recurrence(first)) = encoder.layers().next().map(|it| it.mixing()) else {
        panic!("no recurrence");
    };
    let of_row = |matrix: Matrix<'_>, row: usize| -> Vec<_> {
        matrix.iter().nth(row).unwrap().weights.nonzeros().collect()
    };
    assert_eq!(of_row(first.forward(), 0), [(0, 7), (11, -127)]);
    assert_eq!(of_row(first.backward(), 5), [(3, 1)]);
}
