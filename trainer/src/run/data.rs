//! The sets of a run.

use crate::data::Dataset;

/// What a run is made from and measured on.
#[derive(Clone, Debug)]
pub struct Data {
    /// Training set.
    pub train: Dataset,
    /// Dev set: scored while training, and at the end where there is no test set.
    pub dev: Dataset,
    /// Test set: scored once, at the end.
    pub test: Option<Dataset>,
    /// Texts without classes that a student learns from too.
    pub unlabelled: Option<Dataset>,
}

impl Data {
    /// The set that accuracies are measured on, and its name.
    #[must_use]
    pub fn measured(&self) -> (&Dataset, &'static str) {
        match &self.test {
            Some(test) => (test, "test"),
            None => (&self.dev, "dev"),
        }
    }
}
