//! What the sparse file answers: a matrix of labels and answers, and its surest mistakes.

use crate::model_file::scoring::{ClassScore, Mistake, Scored};
use crate::numbers::{percent, ratio, thousands};
use crate::run::outcome::Outcome;

/// Most classes of a matrix that can be read; with more, only what is confused is listed.
const MOST_CLASSES: usize = 24;
/// Confusions that are listed.
const LISTED: usize = 20;

/// The answers as the page shows them; nothing is empty for outcomes of version 0.1.
#[derive(Default)]
pub(super) struct Answers {
    /// Names of the columns: classes.
    pub(super) columns: Vec<String>,
    /// A row for each label; none where there are too many.
    pub(super) rows: Vec<AnswerRow>,
    /// The most frequent confusions: label, answer, texts.
    pub(super) confusions: Vec<(String, String, String)>,
    pub(super) mistakes: Vec<MistakeRow>,
}

/// A label, and what its texts are answered with.
pub(super) struct AnswerRow {
    pub(super) label: String,
    pub(super) cells: Vec<AnswerCell>,
    pub(super) recall: String,
}

/// Texts of one label with one answer.
pub(super) struct AnswerCell {
    pub(super) texts: String,
    /// Share of the label's texts in per cent, the strength of the cell's colour.
    pub(super) share: f64,
    pub(super) is_right: bool,
}

/// A wrong answer.
pub(super) struct MistakeRow {
    pub(super) text: String,
    pub(super) label: String,
    pub(super) answer: String,
    pub(super) probability: String,
}

pub(super) fn answers(outcome: &Outcome) -> Answers {
    let Some(scored) = &outcome.run.scored else {
        return Answers::default();
    };
    let classes = outcome.sparse.inspection.labels.len();
    let rows: Vec<AnswerRow> = match scored.classes.len() {
        labels if labels <= MOST_CLASSES => (0..labels)
            .map(|row| answer_row(scored, row, classes))
            .collect(),
        _ => Vec::new(),
    };
    let columns = scored.classes.iter().take(classes);
    let confusions = scored.confusions.iter().take(LISTED);
    Answers {
        columns: columns.map(|class| class.label.clone()).collect(),
        confusions: match rows.is_empty() {
            true => confusions
                .map(|it| (it.label.clone(), it.answer.clone(), thousands(it.texts)))
                .collect(),
            false => Vec::new(),
        },
        rows,
        mistakes: scored.mistakes.iter().map(MistakeRow::new).collect(),
    }
}

fn answer_row(scored: &Scored, row: usize, classes: usize) -> AnswerRow {
    let of = &scored.classes[row];
    let cell = |(column, answer): (usize, &ClassScore)| {
        let is_right = column == row;
        let confused = scored
            .confusions
            .iter()
            .find(|it| it.label == of.label && it.answer == answer.label);
        let texts = match is_right {
            true => of.right,
            false => confused.map_or(0, |it| it.texts),
        };
        AnswerCell {
            texts: match texts {
                0 => String::new(),
                texts => thousands(texts),
            },
            share: 100.0 * ratio(texts, of.examples),
            is_right,
        }
    };
    AnswerRow {
        label: of.label.clone(),
        cells: scored
            .classes
            .iter()
            .take(classes)
            .enumerate()
            .map(cell)
            .collect(),
        recall: percent(of.recall),
    }
}

impl MistakeRow {
    fn new(mistake: &Mistake) -> Self {
        let pair = mistake.pair.iter().map(|pair| format!(" | {pair}"));
        Self {
            text: core::iter::once(mistake.text.clone()).chain(pair).collect(),
            label: mistake.label.clone(),
            answer: mistake.answer.clone(),
            probability: percent(100.0 * f64::from(mistake.probability)),
        }
    }
}
