//! A run at some step.

use std::sync::Arc;

use candle_core::Device;

use crate::data::Dataset;
use crate::network::{Network, Shape};
use crate::numbers::{real, single};
use crate::pretrained::{Beginning, Pretrained, PretrainedError};
use crate::pruning::MergedHead;
use crate::recipe::{ClassWeights, PruningRecipe, Recipe, TrainingRecipe, VocabularySize};
use crate::text::batch::{EncodedExample, encode};
use crate::text::vocabulary::{Normalization, Vocabulary, VocabularyError};
use crate::training::answers::Answers;
use crate::training::best::Best;
use crate::training::journal::{EpochRecord, Journal};
use crate::training::phase::Phase;

/// What a run learns from and is scored on.
#[derive(Clone, Debug)]
pub struct Examples {
    /// Training set.
    pub train: Vec<EncodedExample>,
    /// Dev set.
    pub dev: Vec<EncodedExample>,
    /// Training texts of each class.
    pub class_counts: Vec<usize>,
    /// What a teacher said of each of the training texts, for its student.
    pub answers: Option<Arc<Answers>>,
}

impl Examples {
    /// Token ids of both sets.
    ///
    /// # Errors
    /// Errors of the `tokenizers` crate.
    pub fn new(
        train: &Dataset,
        dev: &Dataset,
        vocabulary: &Vocabulary,
        tokens: usize,
    ) -> Result<Self, TrainingError> {
        Ok(Self {
            train: encode(train, vocabulary, tokens)?,
            dev: encode(dev, vocabulary, tokens)?,
            class_counts: train.class_counts(),
            answers: None,
        })
    }
}

/// Why a run cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The loss is no longer a finite number.
    #[error(
        "{} training diverged: the loss is {loss} at step {step}, and {tensor} is the first \
         that is not finite; try a smaller learning rate (now {learning_rate})", phase.name()
    )]
    Diverged {
        /// In which phase.
        phase: Phase,
        /// At which step, from 1.
        step: u64,
        /// The loss.
        loss: f32,
        /// The first parameter that is not finite, or else what the forward pass made first.
        tensor: String,
        /// Learning rate of that step.
        learning_rate: f64,
    },
    /// A size that only a pretrained vocabulary has.
    #[error("a vocabulary of `{0}` pieces needs a pretrained checkpoint, `model.from`")]
    NotPretrained(VocabularySize),
    /// The checkpoint to start from.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The vocabulary, or text under it.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// candle's error.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A run at some step.
#[derive(Debug)]
pub struct Run {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The tokenizer's pieces.
    pub vocabulary: Vocabulary,
    /// Those of the student, once there is one.
    pub student: Option<Vocabulary>,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// SHA-256 of the training file.
    pub data: [u8; 32],
    /// [`Dataset::fingerprint`] of the examples learned from.
    pub examples: [u8; 32],
    /// The network being trained.
    pub network: Network,
    /// The finished dense network, from the sparse phase on.
    pub dense: Option<Network>,
    /// The best network of the phase, where the recipe keeps it.
    pub best: Option<Best>,
    /// What is being trained.
    pub phase: Phase,
    /// Steps done in this phase.
    pub step: u64,
    /// Sum of the losses since the epoch began.
    pub epoch_loss: f64,
    /// Epochs done.
    pub history: Vec<EpochRecord>,
    /// Heads that were merged.
    pub merged: Vec<MergedHead>,
    /// What was recorded during training.
    pub journal: Journal,
}

impl Run {
    /// A run at its beginning: vocabulary trained, weights fresh.
    ///
    /// # Errors
    /// When no vocabulary can be made of the texts.
    pub fn new(recipe: Recipe, train: &Dataset) -> Result<Self, TrainingError> {
        let labels = train.labels.len();
        let VocabularySize::Pieces(pieces) = recipe.model.vocabulary else {
            return Err(TrainingError::NotPretrained(recipe.model.vocabulary));
        };
        let vocabulary =
            Vocabulary::train(train.texts(), pieces, Normalization::of(&recipe.model))?;
        let shape = Shape::new(&recipe.model, vocabulary.len(), labels, train.is_pair());
        let network = Network::new(shape, recipe.seed)?;
        Ok(Self::at_beginning(recipe, train, vocabulary, network))
    }

    /// A run that starts from a pretrained checkpoint, which decides the shape: see
    /// [`crate::recipe::ModelRecipe::adopt`].
    ///
    /// # Errors
    /// Where recipe and checkpoint do not fit.
    pub fn from_pretrained(
        recipe: Recipe,
        train: &Dataset,
        pretrained: &Pretrained,
    ) -> Result<Self, TrainingError> {
        let labels = train.labels.len();
        let Beginning {
            vocabulary,
            network,
        } = pretrained.begin(&recipe, train.texts(), labels, train.is_pair())?;
        Ok(Self::at_beginning(recipe, train, vocabulary, network))
    }

    fn at_beginning(
        recipe: Recipe,
        train: &Dataset,
        vocabulary: Vocabulary,
        network: Network,
    ) -> Self {
        Self {
            network,
            dense: None,
            best: None,
            vocabulary,
            student: None,
            labels: train.labels.clone(),
            data: train.sha256,
            examples: train.fingerprint(),
            recipe,
            phase: Phase::Dense,
            step: 0,
            epoch_loss: 0.0,
            history: Vec::new(),
            merged: Vec::new(),
            journal: Journal::default(),
        }
    }

    /// Continues on another device.
    ///
    /// # Errors
    /// When memory cannot be allocated there.
    pub fn move_to(&mut self, device: &Device) -> Result<(), TrainingError> {
        self.network = self.network.to_device(device)?;
        self.dense = match &self.dense {
            Some(dense) => Some(dense.to_device(device)?),
            None => None,
        };
        Ok(())
    }

    /// What a text of each class weighs in the loss; nothing where all weigh the same.
    pub(super) fn class_weights(&self, examples: &Examples) -> Option<Vec<f32>> {
        let counts = &examples.class_counts;
        let share = real(examples.train.len()) / real(counts.len().max(1));
        match self.recipe.training.class_weights {
            ClassWeights::Even => None,
            ClassWeights::Balanced => {
                let weights = counts.iter().map(|&count| share / real(count.max(1)));
                Some(weights.map(single).collect())
            }
        }
    }

    /// The pieces that the network being trained reads.
    #[must_use]
    pub fn own_vocabulary(&self) -> &Vocabulary {
        self.student.as_ref().unwrap_or(&self.vocabulary)
    }

    /// In the sparse phase, `student` with these pieces takes the place of the network that began as
    /// the dense one.
    pub(crate) fn teach(&mut self, student: Network, vocabulary: Vocabulary) {
        self.network = student;
        self.student = Some(vocabulary);
    }

    /// Texts of a step of the phase that is running.
    #[must_use]
    pub fn batch(&self) -> usize {
        match self.phase {
            Phase::Sparse if self.recipe.student.exists() => self.recipe.student.batch,
            Phase::Dense | Phase::Sparse | Phase::Finished => self.recipe.training.batch,
        }
    }

    /// Steps of the phase that is running.
    #[must_use]
    pub fn steps(&self, examples: &Examples) -> u64 {
        self.steps_of(examples.train.len())
    }

    /// Steps of the phase that is running, with a training set of `rows` texts.
    pub(super) fn steps_of(&self, rows: usize) -> u64 {
        let (epochs, least) = match self.phase {
            Phase::Dense => {
                let TrainingRecipe {
                    epochs,
                    least_steps,
                    ..
                } = self.recipe.training;
                (epochs, least_steps)
            }
            Phase::Sparse => {
                let PruningRecipe {
                    epochs,
                    least_steps,
                    ..
                } = self.recipe.pruning;
                (epochs, least_steps)
            }
            Phase::Finished => (0, 0),
        };
        let epoch = self.epoch_of(rows);
        epoch * (epochs as u64).max((least as u64).div_ceil(epoch.max(1)))
    }

    pub(super) fn steps_per_epoch(&self, examples: &Examples) -> u64 {
        self.epoch_of(examples.train.len())
    }

    fn epoch_of(&self, rows: usize) -> u64 {
        rows.div_ceil(self.batch()) as u64
    }
}
