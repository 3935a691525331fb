//! `neuroprune bench`.

use core::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::inputs::{print, print_json};
use crate::network::{Network, Precision, Shape};
use crate::numbers::significant;
use crate::ops::device::DeviceName;
use crate::recipe::{
    ActivationKind, FloatPrecision, MixingKind, PoolingKind, PositionsKind, PruningRecipe,
    TokenValues,
};
use crate::training::checkpoint;
use crate::training::step_times::{Load, StepTimes, measure};

/// Measure how fast this machine trains.
#[derive(Args, Debug)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(Train),
}

/// Time a training step, phase by phase, on random texts.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct Train {
    /// Shape of the network
    #[arg(long, default_value = "small")]
    shape: ShapeName,
    /// Measure the network of this checkpoint instead, pruned as it is, and its dense baseline
    #[arg(long, value_name = "FILE", conflicts_with = "shape")]
    checkpoint: Option<PathBuf>,
    /// Texts per step
    #[arg(long, default_value = "32")]
    batch: NonZeroUsize,
    /// Tokens per text
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// Steps to measure; the median is shown
    #[arg(long, default_value = "20")]
    steps: NonZeroUsize,
    /// Precision of matrix products [default: f32, or that of the checkpoint]
    #[arg(long)]
    precision: Option<FloatPrecision>,
    /// Where to train: cpu, cuda or cuda:NUMBER
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceName,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune bench train
  neuroprune bench train --shape bert-base --length 128 --device cuda
  neuroprune bench train --checkpoint model.checkpoint --device cuda";

/// Shapes of well-known encoders.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShapeName {
    /// 2 layers of width 128: the recipe `small`
    Small,
    /// 6 layers of width 384: MiniLM-L6-H384
    Minilm,
    /// 12 layers of width 768: BERT-base
    BertBase,
}

impl ShapeName {
    fn shape(self, tokens: usize) -> Shape {
        let (hidden, layers, heads, vocabulary) = match self {
            Self::Small => (128, 2, 4, 1000),
            Self::Minilm => (384, 6, 12, 30_522),
            Self::BertBase => (768, 12, 12, 30_522),
        };
        Shape {
            hidden,
            embedding: 0,
            token_values: TokenValues::Int8,
            positions: PositionsKind::Learned,
            layers,
            mixing: MixingKind::Attention.into(),
            heads,
            intermediate: 4 * hidden,
            vocabulary,
            tokens,
            labels: 2,
            pair: false,
            activation: ActivationKind::Gelu,
            pooling: PoolingKind::Mean,
            norm_epsilon: 1e-12,
            bridge: 0,
        }
    }
}

#[derive(Serialize)]
struct Report {
    device: String,
    batch: usize,
    length: usize,
    precision: FloatPrecision,
    sparsity: f64,
    /// Milliseconds.
    times: StepTimes,
    /// Steps from one removal to the next.
    interval: Option<usize>,
    /// What removals add to a step, in per cent.
    added: Option<f64>,
    /// The same of the dense baseline of a checkpoint's network.
    dense: Option<StepTimes>,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            What::Train(train) => train.run(),
        }
    }
}

impl Train {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let device = self.device.open()?;
        let (network, recipe, trained_in) = match &self.checkpoint {
            Some(path) => {
                let run = checkpoint::load(path)?;
                (
                    run.network,
                    run.recipe.pruning,
                    run.recipe.training.precision,
                )
            }
            None => (
                Network::new(self.shape.shape(self.length), 0)?,
                PruningRecipe::default(),
                FloatPrecision::default(),
            ),
        };
        let precision = self.precision.unwrap_or(trained_in);
        let longest = network.shape.tokens;
        anyhow::ensure!(
            (1..=longest).contains(&self.length),
            "--length {}: the network takes 1 to {longest} tokens",
            self.length
        );
        let ready = |network: &Network| -> candle_core::Result<Network> {
            let mut network = network.to_device(&device)?;
            network.precision = Precision::from(precision);
            Ok(network)
        };
        let mut network = ready(&network)?;
        let load = Load {
            batch: self.batch.get(),
            length: self.length,
            steps: self.steps.get(),
        };
        let sparsity = network.sparsity()?;
        let dense = match &self.checkpoint {
            Some(_) => Some(ready(&Network::new(network.shape.clone(), 0)?)?),
            None => None,
        };
        let times = measure(&mut network, load, &recipe)?;
        let dense = dense.map(|mut dense| measure(&mut dense, load, &recipe));
        let interval = recipe.method.interval();
        let report = Report {
            device: self.device.to_string(),
            batch: load.batch,
            length: load.length,
            precision,
            sparsity,
            times,
            interval,
            added: interval.map(|interval| times.added_by_removals(interval)),
            dense: dense.transpose()?,
        };
        if self.json {
            print_json(&report)?;
        } else {
            print(&describe(&report))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(report: &Report) -> String {
    let times = &report.times;
    let line = |name: &str, value: f64| format!("  {name:<12}{:>8} ms\n", significant(value));
    let mut text = format!(
        "{} texts of {} tokens on {}{}, {:.1} % of the weights pruned\n{}{}{}{}{}",
        report.batch,
        report.length,
        report.device,
        match report.precision {
            FloatPrecision::F32 => "",
            FloatPrecision::Bf16 => " in bf16",
        },
        100.0 * report.sparsity,
        line("forward", times.forward),
        line("backward", times.backward),
        line("optimizer", times.optimizer),
        line("step", times.step),
        line("one removal", times.pruning),
    );
    if let (Some(added), Some(interval)) = (report.added, report.interval) {
        text += &format!(
            "pruning adds {} % to a step: a removal every {interval} steps\n",
            significant(added)
        );
    }
    if let Some(dense) = &report.dense {
        text += &format!(
            "{} times as fast as the dense baseline, whose step takes {} ms\n",
            significant(dense.step / times.step),
            significant(dense.step)
        );
    }
    text
}
