//! An answer without a model.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::numbers::{percent, share};
use crate::quoted::Quoted;

/// Always the class that is most frequent in the training set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    /// The class.
    pub label: String,
    /// Share of the measured set that it is right for, in per cent.
    pub accuracy: f64,
}

impl Majority {
    /// On `measured`, whose classes are those of `train`.
    pub(crate) fn new(train: &Dataset, measured: &Dataset) -> Self {
        let counts = train.class_counts().into_iter().enumerate();
        // The first of several.
        let best = counts.rev().max_by_key(|&(_, count)| count);
        let class = best.map_or(0, |(class, _)| class);
        let right = measured.class_counts().get(class).copied().unwrap_or(0);
        Self {
            label: train.labels.get(class).cloned().unwrap_or_default(),
            accuracy: share(right, measured.examples.len()),
        }
    }

    /// For people; `texts` are those in which the class is the most frequent one.
    pub(crate) fn described(&self, texts: &str) -> String {
        let (label, share) = (Quoted(&self.label), percent(self.accuracy));
        format!(
            "without a model: always answering {label}, the most frequent class of {texts}, gives \
             {share}"
        )
    }
}

impl fmt::Display for Majority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described("the training texts"))
    }
}
