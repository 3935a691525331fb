//! How long a training step takes, phase by phase.

use std::time::Instant;

use candle_core::Result;
use serde::Serialize;

use crate::network::Network;
use crate::numbers::real;
use crate::pruning;
use crate::random::{Purpose, stream};
use crate::recipe::{PruningRecipe, ScoreKind};
use crate::text::batch::{Batch, EncodedExample};
use crate::training::loss::Loss;
use crate::training::optimizer::{self, StepSettings};

/// Steps before the first that counts: kernels are compiled, memory is taken.
const WARM_UP: usize = 5;
/// Removals; the median counts.
const REMOVALS: usize = 5;

/// Medians in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct StepTimes {
    /// Logits and loss.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// The optimiser.
    pub optimizer: f64,
    /// One removal of weights with everything around it: costs, masks, the sparsity after
    /// it. It happens once in many steps.
    pub pruning: f64,
    /// A step without removal, as training does it: phases overlap on a GPU.
    pub step: f64,
}

impl StepTimes {
    /// What removals add to a step where there is one every `interval` steps, in per cent.
    pub(crate) fn added_by_removals(&self, interval: usize) -> f64 {
        100.0 * self.pruning / (self.step * real(interval))
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Sequences of a step.
    pub batch: usize,
    /// Tokens of each.
    pub length: usize,
    /// Steps that count.
    pub steps: usize,
}

/// Trains `network` on random tokens and classes.
pub(crate) fn measure(
    network: &mut Network,
    load: Load,
    recipe: &PruningRecipe,
) -> Result<StepTimes> {
    let batch = random_batch(network, load);
    let labels = network.shape.labels;
    let device = network.device().clone();
    let mut number = 0;
    let mut settings = || {
        number += 1;
        StepSettings {
            number,
            learning_rate: 1e-5,
            weight_decay: 0.01,
            score: ScoreKind::Sensitivity,
            score_memory: 0.95,
        }
    };
    let (mut phases, mut wholes) = ([const { Vec::new() }; 3], Vec::new());
    let forward = |network: &Network| -> Result<_> {
        let recording = network.record(&batch)?;
        let targets = batch.targets(labels, 0.0, &device)?.into();
        let loss = Loss::of_classes(&recording.outputs, &targets)?;
        Ok((recording, loss))
    };
    for _ in 0..WARM_UP + load.steps {
        let start = Instant::now();
        let (recording, loss) = forward(network)?;
        device.synchronize()?;
        let forward = start.elapsed();
        let gradients = recording.backward(&loss.gradients)?;
        device.synchronize()?;
        let backward = start.elapsed();
        optimizer::step(network, &gradients, &loss.value, settings())?;
        device.synchronize()?;
        let times = [forward, backward - forward, start.elapsed() - backward];
        for (phase, time) in phases.iter_mut().zip(times) {
            phase.push(time.as_secs_f64());
        }
    }
    for _ in 0..WARM_UP + load.steps {
        let start = Instant::now();
        let (recording, loss) = forward(network)?;
        let gradients = recording.backward(&loss.gradients)?;
        optimizer::step(network, &gradients, &loss.value, settings())?;
        loss.value.to_scalar::<f32>()?;
        wholes.push(start.elapsed().as_secs_f64());
    }
    let mut removals = Vec::new();
    for _ in 0..REMOVALS {
        let sparsity = network.sparsity()?;
        let start = Instant::now();
        // A little more than is pruned already, so that there is something to choose.
        pruning::prune_to(network, sparsity + 0.01 * (1.0 - sparsity), recipe)?;
        network.sparsity()?;
        device.synchronize()?;
        removals.push(start.elapsed().as_secs_f64());
    }
    let [forward, backward, optimizer] =
        phases.map(|times| median(times.into_iter().skip(WARM_UP)));
    Ok(StepTimes {
        forward,
        backward,
        optimizer,
        pruning: median(removals.into_iter()),
        step: median(wholes.into_iter().skip(WARM_UP)),
    })
}

fn random_batch(network: &Network, load: Load) -> Batch {
    use rand::RngExt as _;
    let mut generator = stream(0, Purpose::Noise, 0);
    let mut below = |limit: usize| {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        generator.random_range(0..limit.max(1))
    };
    let shape = &network.shape;
    let mut example = || EncodedExample {
        ids: (0..load.length).map(|_| below(shape.vocabulary)).collect(),
        first: load.length,
        label: below(shape.labels),
    };
    let examples: Vec<_> = (0..load.batch).map(|_| example()).collect();
    Batch::new(examples.iter())
}

/// In milliseconds.
fn median(seconds: impl Iterator<Item = f64>) -> f64 {
    let mut seconds: Vec<f64> = seconds.collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(0.0) * 1e3
}
