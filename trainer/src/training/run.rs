//! A run at some step, and its way through a phase.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::network::{Network, Precision, Shape};
use crate::pretrained::{Beginning, Pretrained, PretrainedError};
use crate::pruning::MergedHead;
use crate::random::{Purpose, permutation, stream};
use crate::recipe::{Recipe, VocabularySize};
use crate::text::batch::{EncodedExample, encode};
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::epoch::EpochRecord;
use crate::training::journal::Journal;

/// Which network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Every weight there.
    Dense,
    /// From the dense network to its sparse form.
    Sparse,
    /// Nothing is left to train.
    Finished,
}

impl Phase {
    /// Name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
            Self::Finished => "finished",
        }
    }
}

/// What a run learns from and is watched on.
#[derive(Clone, Debug)]
pub struct Examples {
    /// To learn from.
    pub train: Vec<EncodedExample>,
    /// To watch.
    pub dev: Vec<EncodedExample>,
}

impl Examples {
    /// Token ids of both sets.
    ///
    /// # Errors
    /// What the `tokenizers` crate says.
    pub fn new(
        train: &Dataset,
        dev: &Dataset,
        vocabulary: &Vocabulary,
        tokens: usize,
    ) -> Result<Self, TrainingError> {
        Ok(Self {
            train: encode(train, vocabulary, tokens)?,
            dev: encode(dev, vocabulary, tokens)?,
        })
    }
}

/// Why a run cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The loss is not a number any more.
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
    /// More classes than a file can tell apart.
    #[error("the training data has {0} classes; a model can have 65535")]
    Classes(usize),
    /// A size that only a pretrained vocabulary has.
    #[error("a vocabulary of `{0}` pieces needs a pretrained checkpoint, `model.from`")]
    NotPretrained(VocabularySize),
    /// The checkpoint to begin with.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The vocabulary, or text under it.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// What candle says.
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
    /// What was noted on the way.
    pub journal: Journal,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The phase it belonged to.
    pub phase: Phase,
    /// Steps done in it, this one included.
    pub step: u64,
    /// Steps of the whole phase.
    pub steps: u64,
    /// Loss of the batch.
    pub loss: f32,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Share of encoder weights that are zero after it.
    pub sparsity: f64,
    /// The epoch, if this step ended one.
    pub epoch: Option<EpochRecord>,
}

impl Run {
    /// A run at its beginning: vocabulary trained, weights fresh.
    ///
    /// # Errors
    /// When no vocabulary can be made of the texts.
    pub fn new(recipe: Recipe, train: &Dataset) -> Result<Self, TrainingError> {
        let labels = check_classes(train)?;
        let VocabularySize::Pieces(pieces) = recipe.model.vocabulary else {
            return Err(TrainingError::NotPretrained(recipe.model.vocabulary));
        };
        let vocabulary = Vocabulary::train(train.texts(), pieces)?;
        let shape = Shape::new(&recipe.model, vocabulary.len(), labels, train.is_pair());
        let network = Network::new(shape, recipe.seed)?;
        Ok(Self::at_beginning(recipe, train, vocabulary, network))
    }

    /// A run that begins with a pretrained checkpoint, which decides the shape: see
    /// [`crate::recipe::ModelRecipe::adopt`].
    ///
    /// # Errors
    /// Where recipe and checkpoint do not fit.
    pub fn from_pretrained(
        recipe: Recipe,
        train: &Dataset,
        pretrained: &Pretrained,
    ) -> Result<Self, TrainingError> {
        let labels = check_classes(train)?;
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
            vocabulary,
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

    /// Goes on on another device.
    ///
    /// # Errors
    /// When memory cannot be had there.
    pub fn move_to(&mut self, device: &Device) -> Result<(), TrainingError> {
        self.network = self.network.to_device(device)?;
        self.dense = match &self.dense {
            Some(dense) => Some(dense.to_device(device)?),
            None => None,
        };
        Ok(())
    }

    /// Steps of the phase that is running.
    #[must_use]
    pub fn steps(&self, examples: &Examples) -> u64 {
        let epochs = match self.phase {
            Phase::Dense => self.recipe.training.epochs,
            Phase::Sparse => self.recipe.pruning.epochs,
            Phase::Finished => 0,
        };
        self.steps_per_epoch(examples) * epochs as u64
    }

    pub(super) fn steps_per_epoch(&self, examples: &Examples) -> u64 {
        examples.train.len().div_ceil(self.recipe.training.batch) as u64
    }

    /// Runs to the end of the phase, or until `watch` returns false after a step.
    /// Returns whether the phase came to its end; then [`Run::phase`] is the next one.
    ///
    /// # Errors
    /// [`TrainingError`]; the run then stands at its last good step.
    pub fn run_phase(
        &mut self,
        examples: &Examples,
        mut watch: impl FnMut(&Self, &StepReport) -> bool,
    ) -> Result<bool, TrainingError> {
        let (phase, steps) = (self.phase, self.steps(examples));
        let per_epoch = self.steps_per_epoch(examples);
        let mut order = Vec::new();
        let mut order_epoch = u64::MAX;
        let mut sparsity = self.network.sparsity()?;
        while self.step < steps {
            let epoch = self.step / per_epoch;
            if order_epoch != epoch {
                let index = stream_index(phase, epoch);
                let mut generator = stream(self.recipe.seed, Purpose::Shuffling, index);
                order = permutation(&mut generator, examples.train.len());
                order_epoch = epoch;
            }
            let batch = self.recipe.training.batch;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below the steps of an epoch"
            )]
            let first = (self.step % per_epoch) as usize * batch;
            let chosen = &order[first..(first + batch).min(order.len())];
            let (loss, tokens) = self.train_batch(examples, chosen, steps)?;
            if phase == Phase::Sparse && self.prune(steps)? {
                sparsity = self.network.sparsity()?;
            }
            self.step += 1;
            self.epoch_loss += f64::from(loss);
            let ended = self.step.is_multiple_of(per_epoch);
            let epoch = ended.then(|| self.end_epoch(examples, steps)).transpose()?;
            sparsity = epoch.as_ref().map_or(sparsity, |epoch| epoch.sparsity);
            self.draw_curve(steps, loss, sparsity);
            let report = StepReport {
                phase,
                step: self.step,
                steps,
                loss,
                tokens,
                sparsity,
                epoch,
            };
            if !watch(self, &report) && self.step < steps {
                return Ok(false);
            }
        }
        self.end_phase()?;
        Ok(true)
    }

    fn end_phase(&mut self) -> Result<(), TrainingError> {
        self.step = 0;
        self.network.precision = Precision::Float;
        if let Some(dense) = &mut self.dense {
            dense.precision = Precision::Float;
        }
        self.phase = match self.phase {
            Phase::Dense => {
                self.dense = Some(self.network.clone());
                self.network = self.network.restarted()?;
                Phase::Sparse
            }
            _ => Phase::Finished,
        };
        Ok(())
    }
}

/// The number of classes.
fn check_classes(train: &Dataset) -> Result<usize, TrainingError> {
    match train.labels.len() {
        labels if labels > usize::from(u16::MAX) => Err(TrainingError::Classes(labels)),
        labels => Ok(labels),
    }
}

/// Each phase has streams of its own.
pub(super) fn stream_index(phase: Phase, index: u64) -> u64 {
    (phase as u64) << 48 | index
}
