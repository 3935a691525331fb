//! What the model is and where it comes from, in words.

use crate::numbers::{counted, percent, thousands};
use crate::recipe::MixingKind;
use crate::run::outcome::Outcome;

/// What this is, in one sentence.
pub(super) fn summary(outcome: &Outcome) -> String {
    let file = &outcome.sparse.inspection;
    format!(
        "A classifier of {} into {} classes: {} with {} and a width of {}, \
         trained until {} of its encoder weights were exactly zero and stored as int8 in {} bytes.",
        if file.pair { "pairs of texts" } else { "texts" },
        file.labels.len(),
        network(outcome),
        counted(file.layers.into(), "layer"),
        thousands(file.hidden),
        percent(100.0 * outcome.run.sparsity),
        thousands(file.bytes),
    )
}

/// What mixes the tokens of its layers.
fn network(outcome: &Outcome) -> &'static str {
    let recipe = &outcome.run.recipe;
    let (mixing, layers) = match recipe.student.exists() {
        true => (&recipe.student.mixing, recipe.student.layers),
        false => (&recipe.model.mixing, recipe.model.layers),
    };
    match layers - mixing.count(MixingKind::Attention, layers) {
        _ if layers == 0 => "the mean of its tokens",
        0 => "a transformer encoder",
        recurrences if recurrences == layers => "a recurrent encoder",
        _ => "an encoder of attention and recurrence",
    }
}

/// What the run learned from, and what may mislead in it; nothing for outcomes of version 0.1.
pub(super) fn data(outcome: &Outcome) -> Vec<String> {
    let Some(summary) = &outcome.run.summary else {
        return Vec::new();
    };
    let warnings = summary.warnings.iter();
    let warnings = warnings.map(|warning| format!("warning: {warning}"));
    let text = summary.to_string();
    text.lines().map(str::to_owned).chain(warnings).collect()
}

/// Where the model comes from, and what else there is to know about it.
pub(super) fn facts(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let file = &outcome.sparse.inspection;
    vec![
        ("Written by", file.producer.clone()),
        ("Random seed", file.seed.to_string()),
        ("Recipe, SHA-256", file.recipe_sha256.clone()),
        ("Training data, SHA-256", file.data_sha256.clone()),
        (
            "Scored on",
            format!(
                "the {} set, {}",
                outcome.run.scored_on,
                counted(outcome.run.examples, "example")
            ),
        ),
        (
            "Network",
            format!(
                "{}, width {}, {}, pooling: {}",
                counted(file.layers.into(), "layer"),
                thousands(file.hidden),
                file.activation,
                file.pooling
            ),
        ),
        (
            "Text",
            format!(
                "up to {} tokens, {} pieces in the vocabulary",
                thousands(file.tokens),
                thousands(file.vocabulary)
            ),
        ),
        ("Classes", file.labels.join(", ")),
    ]
}
