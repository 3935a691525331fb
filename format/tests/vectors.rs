//! The hex dumps of `docs/format.md` are what the writer makes.
//!
//! A dump is a block fenced as <code>```hex NAME</code>; on each line, what follows
//! a semicolon is explanation.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod sources;
#[allow(dead_code, reason = "for the network of a model alone")]
mod walk;

use std::collections::BTreeMap;

use neuroprune_format::container::{Container, ENTRY_BYTES, HEADER_BYTES};
use neuroprune_format::tensor::{RECORD_BYTES, Record, Role};
use neuroprune_format::{Model, Section};

static DOCUMENT: &str = include_str!("../../docs/format.md");

#[test]
fn document_shows_what_the_writer_makes() {
    let file = sources::pair().to_bytes().unwrap();
    let layouts = sources::layouts().to_bytes().unwrap();
    let recurrent = sources::recurrent().to_bytes().unwrap();
    let container = Container::open(&file).unwrap();
    let table = Container::open(include_bytes!("golden/v2-piece-table.neuro")).unwrap();
    let section = |section| container.section(section).unwrap();
    let tensor = |role, layer| tensor(&file, role, layer).1;
    let later = |role, layer| self::tensor(&layouts, role, layer).1;
    let table_end = HEADER_BYTES + container.entries().len() * ENTRY_BYTES;
    let output_at = self::tensor(&file, Role::MlpOutput, 1).0 * RECORD_BYTES;
    // After targets (39 bytes), two counts and the outcomes of ASCII.
    let runs = 39 + 8 + 256;
    let expected = BTreeMap::from([
        ("header", &file[..HEADER_BYTES]),
        ("section-table", &file[HEADER_BYTES..table_end]),
        ("manifest", section(Section::Manifest)),
        ("limits", section(Section::Limits)),
        ("string-table", section(Section::Labels)),
        ("piece-blocks", section(Section::PieceBlocks)),
        ("vocabulary", table.section(Section::Vocabulary).unwrap()),
        ("character-runs", &section(Section::Characters)[runs..]),
        ("character-index", section(Section::CharacterIndex)),
        (
            "tensor-record",
            &section(Section::Tensors)[output_at..output_at + RECORD_BYTES],
        ),
        ("row-map", tensor(Role::Head, 0)),
        ("column-list", tensor(Role::MlpOutput, 0)),
        ("delta-u8", tensor(Role::MlpOutput, 1)),
        ("bitmap", later(Role::AttentionOutput, 0)),
        ("blocks-2", later(Role::MlpOutput, 0)),
        ("blocks-4", later(Role::MlpOutput, 1)),
        ("embedding", tensor(Role::SegmentEmbedding, 0)),
        ("embedding-4", {
            // Row 1, after the scales of 13 rows.
            let (_, table) = self::tensor(&recurrent, Role::TokenEmbedding, 0);
            &table[13 + 3..13 + 6]
        }),
        ("norm", tensor(Role::EmbeddingNorm, 0)),
    ]);
    let shown = dumps(DOCUMENT);
    assert!(shown.keys().eq(expected.keys()), "{:?}", shown.keys());
    for (name, bytes) in expected {
        assert_eq!(spaced(&shown[name]), spaced(bytes), "{name}");
    }
}

/// Number of the record, and bytes of the tensor.
fn tensor(file: &[u8], role: Role, layer: u16) -> (usize, &[u8]) {
    let model = Model::open(file).unwrap();
    let mut records = walk::encoder(&model).tensors().records().enumerate();
    let is_this = |(_, record): &(usize, Record)| (record.role, record.layer) == (role, layer);
    let (index, record) = records.find(is_this).unwrap();
    let container = Container::open(file).unwrap();
    let weights = container.section(Section::Weights).unwrap();
    (
        index,
        &weights[record.offset..record.offset + record.length],
    )
}

fn dumps(document: &str) -> BTreeMap<&str, Vec<u8>> {
    let mut dumps = BTreeMap::new();
    for block in document.split("\n```hex ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (lines, _) = rest.split_once("```").unwrap();
        let bytes = lines
            .lines()
            .flat_map(|line| line.split(';').next().unwrap().split_whitespace())
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert!(dumps.insert(name, bytes).is_none(), "{name} stands twice");
    }
    dumps
}

/// So that a failure prints what belongs in the document.
fn spaced(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
