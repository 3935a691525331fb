//! What was counted of a whole model, gathered by its name.

use crate::bench::counter::{Counts, Measured};

/// A whole model, as it was counted.
pub(crate) struct ModelCounts<'m> {
    pub(crate) name: String,
    pub(crate) open: Option<(String, Counts)>,
    /// From characters to label, in order.
    pub(crate) stages: Vec<(String, Counts)>,
    /// Texts of fewer tokens, each as a whole.
    pub(crate) shorter: Vec<(String, Counts)>,
    measured: &'m Measured,
}

impl ModelCounts<'_> {
    /// Of a text, from characters to label.
    pub(crate) fn instructions(&self) -> u64 {
        let stages = self.stages.iter();
        stages.map(|(_, counts)| counts.instructions).sum()
    }

    pub(super) fn cycles(&self) -> Option<u64> {
        let stages = self.stages.iter();
        stages.map(|(_, counts)| counts.cycles_estimate).sum()
    }

    /// A figure that the program printed of it; bytes or tokens.
    pub(crate) fn figure(&self, what: &str) -> u64 {
        let name = format!("{}: {what}", self.name);
        self.measured.figures.get(&name).copied().unwrap_or(0)
    }

    /// Statics without the part of the scratch memory that this model leaves unused.
    pub(super) fn statics(&self) -> u64 {
        let unused = self.figure("unused statics") + self.figure("scratch");
        self.measured.memory.saturating_sub(unused)
    }
}

/// The models of a run of `bench_model`.
pub(crate) fn models(measured: &Measured) -> Vec<ModelCounts<'_>> {
    let mut models: Vec<ModelCounts<'_>> = Vec::new();
    for (region, counts) in &measured.regions {
        let (name, stage) = region.rsplit_once(": ").unwrap_or((region, ""));
        if models.last().is_none_or(|model| model.name != name) {
            models.push(ModelCounts {
                name: name.to_owned(),
                open: None,
                stages: Vec::new(),
                shorter: Vec::new(),
                measured,
            });
        }
        if let Some(model) = models.last_mut() {
            let stage = (stage.to_owned(), *counts);
            if stage.0 == "open" {
                model.open = Some(stage);
            } else if stage.0.starts_with("text of ") {
                model.shorter.push(stage);
            } else {
                model.stages.push(stage);
            }
        }
    }
    models
}
