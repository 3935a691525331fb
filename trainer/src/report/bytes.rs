//! What the bytes of the two files are for.

use neuroprune_format::Section;
use neuroprune_format::tensor::Role;

use crate::model_file::inspection::Inspection;
use crate::numbers::{percent, share, thousands};
use crate::run::outcome::Outcome;

/// Bytes of a part of both files.
pub(super) struct BytesRow {
    pub(super) name: String,
    pub(super) dense: String,
    pub(super) sparse: String,
    /// Of the sparse file.
    pub(super) share: String,
}

impl BytesRow {
    fn new(name: &str, dense: usize, sparse: usize, sparse_file: usize) -> Self {
        Self {
            name: name.to_owned(),
            dense: thousands(dense),
            sparse: thousands(sparse),
            share: percent(share(sparse, sparse_file)),
        }
    }
}

/// A file as a bar of its parts.
pub(super) struct Bar {
    pub(super) name: &'static str,
    pub(super) bytes: String,
    /// Length of the bar and of its parts in per cent of the larger file.
    pub(super) parts: Vec<f64>,
}

/// Both files, to one scale.
pub(super) fn bars(outcome: &Outcome) -> [Bar; 2] {
    let (dense, sparse) = (&outcome.dense.inspection, &outcome.sparse.inspection);
    let longest = dense.bytes.max(sparse.bytes);
    [("dense int8", dense), ("sparse int8", sparse)].map(|(name, file)| Bar {
        name,
        bytes: thousands(file.bytes),
        parts: Parts::new(file)
            .named()
            .map(|(_, bytes)| share(bytes, longest))
            .to_vec(),
    })
}

/// What the colours of the bars stand for.
pub(super) fn parts(outcome: &Outcome) -> Vec<BytesRow> {
    let (dense, sparse) = (&outcome.dense.inspection, &outcome.sparse.inspection);
    let pairs = Parts::new(dense).named().into_iter();
    let pairs = pairs.zip(Parts::new(sparse).named());
    pairs
        .map(|((name, dense), (_, bytes))| BytesRow::new(name, dense, bytes, sparse.bytes))
        .collect()
}

/// Bytes of a file by what they are for.
#[derive(Default)]
struct Parts {
    embeddings: usize,
    /// How tokens read others: attention, recurrences.
    mixing: usize,
    mlp: usize,
    norms_and_classifier: usize,
    tokenizer: usize,
    /// Header, tables, manifest, limits, labels and padding.
    structure: usize,
}

impl Parts {
    fn new(file: &Inspection) -> Self {
        let mut parts = Self::default();
        for tensor in &file.tensors {
            let part = match tensor.role {
                Role::TokenEmbedding
                | Role::EmbeddingFactor
                | Role::PositionEmbedding
                | Role::SegmentEmbedding => &mut parts.embeddings,
                Role::Head
                | Role::AttentionOutput
                | Role::ForwardRecurrence
                | Role::BackwardRecurrence => &mut parts.mixing,
                Role::MlpInput | Role::MlpOutput => &mut parts.mlp,
                Role::EmbeddingNorm
                | Role::AttentionNorm
                | Role::RecurrenceNorm
                | Role::MlpNorm
                | Role::Classifier => &mut parts.norms_and_classifier,
            };
            *part += tensor.bytes;
        }
        let words = [
            Section::Vocabulary.to_string(),
            Section::Characters.to_string(),
            Section::CharacterIndex.to_string(),
            Section::PieceBlocks.to_string(),
        ];
        let sections = file.sections.iter().filter(|s| words.contains(&s.name));
        parts.tokenizer = sections.map(|section| section.bytes).sum();
        let known: usize = parts.named().iter().map(|(_, bytes)| bytes).sum();
        parts.structure = file.bytes.saturating_sub(known);
        parts
    }

    fn named(&self) -> [(&'static str, usize); 6] {
        [
            ("embeddings", self.embeddings),
            ("mixing", self.mixing),
            ("MLP", self.mlp),
            ("norms and classifier", self.norms_and_classifier),
            ("tokenizer", self.tokenizer),
            ("structure", self.structure),
        ]
    }
}

/// Section by section.
pub(super) fn sections(outcome: &Outcome) -> Vec<BytesRow> {
    let (dense, sparse) = (&outcome.dense.inspection, &outcome.sparse.inspection);
    let bytes_of = |file: &Inspection, name: &str| {
        let sections = file.sections.iter().filter(|s| s.name == name);
        sections.map(|section| section.bytes).sum::<usize>()
    };
    let row = |name: &str| {
        let (dense, bytes) = (bytes_of(dense, name), bytes_of(sparse, name));
        BytesRow::new(name, dense, bytes, sparse.bytes)
    };
    let between = |file: &Inspection| {
        let sections: usize = file.sections.iter().map(|section| section.bytes).sum();
        file.bytes.saturating_sub(sections)
    };
    let rest = BytesRow::new(
        "header, padding",
        between(dense),
        between(sparse),
        sparse.bytes,
    );
    let rows = sparse.sections.iter().map(|section| row(&section.name));
    rows.chain([rest]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../../format/tests/golden/v2.neuro");

    #[test]
    fn parts_make_up_the_file() {
        let file = Inspection::new(GOLDEN).unwrap();
        let parts = Parts::new(&file).named();
        assert_eq!(
            parts.iter().map(|(_, bytes)| bytes).sum::<usize>(),
            GOLDEN.len()
        );
        assert!(parts.iter().all(|&(_, bytes)| bytes > 0), "{parts:?}");
    }
}
