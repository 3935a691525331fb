//! How weights were chosen, in words.

use crate::numbers::{percent, significant};
use crate::pruning::DegreeSpread;
use crate::recipe::{Method, Neuroprune, Paper, PruningRecipe};
use crate::run::outcome::Outcome;
use crate::training::loss::has_teacher;

/// How weights were chosen.
pub(super) fn method(outcome: &Outcome) -> String {
    let run = &outcome.run;
    let pruning = &run.recipe.pruning;
    let mechanisms = match pruning.method {
        Method::Neuroprune(Neuroprune {
            preferential_attachment,
            group_sparsity,
            head_redundancy,
            ..
        })
        | Method::Paper(Paper {
            preferential_attachment,
            group_sparsity,
            head_redundancy,
            ..
        }) => [preferential_attachment, group_sparsity, head_redundancy],
        Method::L1 { .. }
        | Method::Magnitude { .. }
        | Method::Sensitivity { .. }
        | Method::Movement { .. } => [false; 3],
    };
    let [attachment, groups, heads] = mechanisms;
    let switches = [
        ("preferential attachment", attachment),
        ("group sparsity", groups),
        (
            "redundancy of heads",
            heads && run.heads > 0 && !run.recipe.student.exists(),
        ),
        ("distillation", has_teacher(pruning)),
    ];
    let on = switches.iter().filter(|(_, on)| *on).map(|&(name, _)| name);
    let on: Vec<&str> = on.collect();
    let mut text = format!("Method: {}", pruning.method.kind().name());
    text += &match on.as_slice() {
        [] => ", with no mechanism besides its score".to_owned(),
        on => format!(", with {}", on.join(", ")),
    };
    if let Some(reached) = run.journal.penalties_reached {
        text += &format!(
            ". Its penalties alone brought {} of the encoder weights below 1e-4; \
             a threshold on magnitude pruned the rest",
            percent(100.0 * f64::from(reached))
        );
    }
    text + "."
}

/// Connections of both networks.
pub(super) struct SpreadRow {
    pub(super) name: &'static str,
    pub(super) dense: String,
    pub(super) sparse: String,
}

pub(super) fn spreads(outcome: &Outcome) -> [SpreadRow; 2] {
    let run = &outcome.run;
    let [dense, sparse] = [run.dense_degrees, run.sparse_degrees];
    let of = |spread: DegreeSpread| {
        format!(
            "{} (mean {})",
            significant(spread.deviation),
            significant(spread.mean)
        )
    };
    let row = |name, at: usize| SpreadRow {
        name,
        dense: of(dense[at]),
        sparse: of(sparse[at]),
    };
    [row("L_in, by neuron", 0), row("L_out, by output", 1)]
}

/// How heads were compared.
pub(super) fn head_test(pruning: &PruningRecipe) -> String {
    match &pruning.method {
        Method::Neuroprune(settings) if settings.head_redundancy => format!(
            "A redundant head is merged into another one; the distance is the part of its output \
             that the other cannot predict (0: nothing is lost, 1: everything). Up to {} counts \
             as redundant.",
            significant(settings.head_distance.into())
        ),
        Method::Paper(settings) if settings.head_redundancy => format!(
            "A head is removed where another one has all its neighbours: heads no weight of \
             which differs by more than {}, the distance here.",
            significant(settings.theta.into())
        ),
        Method::Neuroprune(_)
        | Method::Paper(_)
        | Method::L1 { .. }
        | Method::Magnitude { .. }
        | Method::Sensitivity { .. }
        | Method::Movement { .. } => "Heads were not compared.".to_owned(),
    }
}
