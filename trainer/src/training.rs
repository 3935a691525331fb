//! The run: a dense network, then its sparse twin by NeuroPrune.
//!
//! ```text
//! Run::new ─► step, step, … ─► dense twin kept ─► step + prune, … ─► finished
//!     ▲              └──────────── checkpoint at any step ──┘
//!     └─ checkpoint::load
//! ```
//!
//! Nothing depends on time, on threads or on where a run was interrupted: random
//! numbers are addressed by purpose and step ([`crate::random`]), so a resumed run ends
//! with the same bits.

pub mod checkpoint;
pub mod loss;
pub mod memory;
pub mod optimizer;
pub mod step_times;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::network::{Network, Precision, Recording, Shape};
use crate::pretrained::{Beginning, Pretrained, PretrainedError};
use crate::pruning::{self, KeptHead, MergedHead, penalty, schedule};
use crate::random::{Purpose, permutation, stream};
use crate::recipe::{Blocks, Method, Recipe, VocabularySize};
use crate::text::batch::{Batch, EncodedExample, encode, spread};
use crate::text::noise::WordNoise;
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::loss::{Loss, has_teacher};
use crate::training::optimizer::StepSettings;

/// Examples of one forward pass when nothing is learned.
const EVALUATION_BATCH: usize = 64;
/// Points of a phase's curve.
const CURVE_POINTS: u64 = 120;
/// Training examples on which heads are compared.
const HEAD_EXAMPLES: usize = 256;

/// Which network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Every weight there.
    Dense,
    /// From the dense network to its sparse twin.
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

/// One pass over the training data, as it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Which network.
    pub phase: Phase,
    /// Number of the epoch in its phase, from 1.
    pub epoch: usize,
    /// Steps of the phase behind it.
    pub step: u64,
    /// Mean loss over its steps.
    pub loss: f64,
    /// Accuracy on the dev set behind it, in per cent.
    pub dev_accuracy: f64,
    /// Share of encoder weights that are zero behind it.
    pub sparsity: f64,
    /// Heads that are left, all layers together.
    pub heads: usize,
    /// Neurons that are left, all layers together.
    pub neurons: usize,
}

/// Some steps of a phase, as they went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Which network.
    pub phase: Phase,
    /// Steps of the phase behind them.
    pub step: u64,
    /// Their mean loss.
    pub loss: f32,
    /// Share of encoder weights that are zero behind them.
    pub sparsity: f32,
}

/// What was noted on the way, for the report; nothing is decided by it. In f32, which a
/// checkpoint's JSON gives back exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Loss and sparsity over steps.
    pub curve: Vec<CurvePoint>,
    /// Sum of the losses behind the last point.
    pub pending_loss: f32,
    /// Heads that stayed when heads were last compared.
    pub kept: Vec<KeptHead>,
    /// Share of encoder weights below 1e-4 that the published penalties reached alone.
    pub penalties_reached: Option<f32>,
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

/// Why a run cannot go on.
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
    /// Share of encoder weights that are zero behind it.
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

    fn steps_per_epoch(&self, examples: &Examples) -> u64 {
        examples.train.len().div_ceil(self.recipe.training.batch) as u64
    }

    /// Runs to the end of the phase, or until `watch` returns false behind a step.
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

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a picture, and steps far below 2²⁴"
    )]
    fn draw_curve(&mut self, steps: u64, loss: f32, sparsity: f64) {
        let (phase, step) = (self.phase, self.step);
        let journal = &mut self.journal;
        journal.pending_loss += loss;
        if step < steps && !step.is_multiple_of(steps.div_ceil(CURVE_POINTS)) {
            return;
        }
        let last = journal.curve.last().filter(|point| point.phase == phase);
        let count = step - last.map_or(0, |point| point.step);
        journal.curve.push(CurvePoint {
            phase,
            step,
            loss: core::mem::take(&mut journal.pending_loss) / count as f32,
            sparsity: sparsity as f32,
        });
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

    fn learning_rate(&self, steps: u64) -> f64 {
        let peak = match self.phase {
            Phase::Dense => self.recipe.training.learning_rate,
            _ => self.recipe.pruning.learning_rate,
        };
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵²")]
        let (step, steps) = ((self.step + 1) as f64, steps as f64);
        let warmup = (steps * self.recipe.training.warmup).max(1.0);
        if step <= warmup {
            peak * step / warmup
        } else {
            peak * (1.0 - (step - warmup) / (steps - warmup + 1.0))
        }
    }

    fn train_batch(
        &mut self,
        examples: &Examples,
        chosen: &[usize],
        steps: u64,
    ) -> Result<(f32, usize), TrainingError> {
        let (training, pruning) = (&self.recipe.training, &self.recipe.pruning);
        let floats = Precision::from(training.precision);
        self.network.precision = match self.phase {
            Phase::Sparse if schedule::is_aware(&self.recipe.quantization, self.step, steps) => {
                Precision::Int8
            }
            _ => floats,
        };
        if let Some(dense) = &mut self.dense {
            dense.precision = floats;
        }
        let (teacher, word_noise) = match &self.dense {
            Some(dense) => (Some(dense), pruning.word_noise),
            None => (None, training.word_noise),
        };
        let noise = WordNoise::new(&self.vocabulary, word_noise);
        let index = stream_index(self.phase, self.step);
        let mut generator = stream(self.recipe.seed, Purpose::Noise, index);
        let tokens = self.network.shape.tokens;
        let noisy = |&index: &usize| noise.apply(&examples.train[index], tokens, &mut generator);
        let noisy: Vec<EncodedExample> = chosen.iter().map(noisy).collect();
        let batch = Batch::new(noisy.iter());

        let labels = self.labels.len();
        let targets = batch.targets(labels, training.label_smoothing, self.network.device())?;
        let recording = self.network.record(&batch)?;
        let loss = match teacher {
            Some(teacher) if has_teacher(pruning) => Loss::taught(
                &recording.outputs,
                &teacher.outputs(&batch)?,
                &targets,
                pruning,
            )?,
            _ => Loss::of_classes(&recording.outputs, &targets)?,
        };
        let learning_rate = self.learning_rate(steps);
        let mut gradients = recording.backward(&loss.gradients)?;
        if self.phase == Phase::Sparse && !schedule::has_ended(pruning, self.step, steps) {
            penalty::add_gradients(&self.network, &mut gradients, &pruning.method)?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "recipe numbers are small")]
        let settings = StepSettings {
            number: self.step + 1,
            learning_rate: learning_rate as f32,
            weight_decay: training.weight_decay as f32,
            score: pruning.method.score(),
            score_memory: pruning.method.score_memory() as f32,
        };
        optimizer::step(&mut self.network, &gradients, &loss.value, settings)?;
        // Behind the step, so that a GPU has work while this waits; a loss that is not
        // finite has changed nothing.
        let value = loss.value.to_scalar::<f32>()?;
        if !value.is_finite() {
            return Err(TrainingError::Diverged {
                phase: self.phase,
                step: self.step + 1,
                loss: value,
                tensor: first_not_finite(&self.network, &recording)?,
                learning_rate,
            });
        }
        Ok((value, batch.ids.ids().len()))
    }

    /// Removes weights if it is time; whether it was.
    fn prune(&mut self, steps: u64) -> Result<bool, TrainingError> {
        let recipe = &self.recipe.pruning;
        if !schedule::is_due(recipe, self.step, steps) {
            return Ok(false);
        }
        let mut sparsity = pruning::scheduled_sparsity(recipe, self.step, steps);
        if schedule::has_ended(recipe, self.step, steps) {
            if matches!(recipe.method, Method::Paper(_)) {
                // What the penalties brought down has the smallest weights: it goes first.
                let reached = penalty::share_below_epsilon(&self.network)?;
                #[expect(clippy::cast_possible_truncation, reason = "a share")]
                let noted = reached as f32;
                self.journal.penalties_reached = Some(noted);
                sparsity = sparsity.max(reached);
            }
            pruning::prune_and_cut(&mut self.network, sparsity, recipe)?;
        } else {
            pruning::prune_to(&mut self.network, sparsity, recipe)?;
            // Rows of few blocks die in numbers. What only they needed must not count as
            // living until the epoch ends, or that cut would overshoot the schedule.
            if recipe.blocks != Blocks::One {
                pruning::cut(&mut self.network, recipe.blocks)?;
            }
        }
        Ok(true)
    }

    /// Merges heads, cuts what is empty, scores the dev set.
    fn end_epoch(&mut self, examples: &Examples, steps: u64) -> Result<EpochRecord, TrainingError> {
        if self.phase == Phase::Sparse {
            let recipe = &self.recipe.pruning;
            let last = self.step - 1;
            let sparsity = pruning::scheduled_sparsity(recipe, last, steps);
            let is_running = !schedule::has_ended(recipe, last, steps);
            // After the schedule's end a removed head would leave the rest too sparse.
            let is_partial = sparsity > 0.0 && sparsity < recipe.sparsity;
            let test = match &recipe.method {
                Method::Neuroprune(it) if it.head_redundancy && is_running && is_partial => {
                    let sample = spread(&examples.train, HEAD_EXAMPLES);
                    let blocks = recipe.blocks;
                    Some(pruning::merge_heads(
                        &mut self.network,
                        sample,
                        it.head_distance,
                        blocks,
                    )?)
                }
                Method::Paper(it) if it.head_redundancy && is_running => {
                    Some(pruning::filter_heads(&mut self.network, it.theta)?)
                }
                Method::Neuroprune(_)
                | Method::Paper(_)
                | Method::L1 { .. }
                | Method::Magnitude { .. }
                | Method::Sensitivity { .. }
                | Method::Movement { .. } => None,
            };
            if let Some(test) = test {
                self.journal.kept = test.kept;
                if !test.merged.is_empty() {
                    self.merged.extend(test.merged);
                    // What the survivors took over must not make up for what went.
                    pruning::prune_to(&mut self.network, sparsity, recipe)?;
                }
            }
            pruning::cut(&mut self.network, recipe.blocks)?;
        }
        let per_epoch = self.steps_per_epoch(examples);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "small"
        )]
        let record = EpochRecord {
            phase: self.phase,
            epoch: (self.step / per_epoch) as usize,
            step: self.step,
            loss: self.epoch_loss / per_epoch as f64,
            dev_accuracy: float_accuracy(&self.network, &examples.dev)?,
            sparsity: self.network.sparsity()?,
            heads: self
                .network
                .layers
                .iter()
                .map(|layer| layer.heads.len())
                .sum(),
            neurons: self.network.neurons(),
        };
        self.epoch_loss = 0.0;
        self.history.push(record.clone());
        Ok(record)
    }
}

/// Name of the first tensor with a value that is not finite.
fn first_not_finite(network: &Network, recording: &Recording) -> candle_core::Result<String> {
    let parameters = network.parameters();
    let parameters = parameters
        .iter()
        .map(|it| (format!("parameter `{}`", it.path), &it.parameter.value));
    let made = recording.tensors().into_iter();
    for (name, tensor) in parameters.chain(made) {
        if !is_finite(tensor)? {
            return Ok(name);
        }
    }
    Ok("the loss".to_owned())
}

/// Whether every value is finite.
pub(crate) fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().all(f32::is_finite))
}

/// The number of classes.
fn check_classes(train: &Dataset) -> Result<usize, TrainingError> {
    match train.labels.len() {
        labels if labels > usize::from(u16::MAX) => Err(TrainingError::Classes(labels)),
        labels => Ok(labels),
    }
}

/// Each phase has streams of its own.
fn stream_index(phase: Phase, index: u64) -> u64 {
    (phase as u64) << 48 | index
}

/// Logits of every example, `[examples, labels]`, row by row.
///
/// # Errors
/// When a shape does not fit.
pub fn logits(network: &Network, examples: &[EncodedExample]) -> candle_core::Result<Vec<f32>> {
    let mut all = Vec::with_capacity(examples.len() * network.shape.labels);
    for part in examples.chunks(EVALUATION_BATCH) {
        let logits = network.forward(&Batch::new(part.iter()))?;
        all.extend(logits.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(all)
}

/// Share of `examples` that the float network gets right, in per cent.
///
/// # Errors
/// When a shape does not fit.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
pub fn float_accuracy(network: &Network, examples: &[EncodedExample]) -> candle_core::Result<f64> {
    let logits = logits(network, examples)?;
    let rows = logits.chunks_exact(network.shape.labels).zip(examples);
    let right = rows.filter(|(row, example)| largest(row) == example.label as usize);
    Ok(100.0 * right.count() as f64 / examples.len().max(1) as f64)
}

/// Position of the largest value; the first of several.
fn largest(row: &[f32]) -> usize {
    let better = |best: usize, index: usize| if row[index] > row[best] { index } else { best };
    (0..row.len()).fold(0, better)
}
