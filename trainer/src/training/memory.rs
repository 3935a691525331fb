//! How much memory a training step takes, and the batch that fits where there is less.
//!
//! The memory that a forward pass keeps, and that gradients take in the backward, is read off the
//! tapes of two tiny batches: everything on them is a number of values per token and one per
//! sequence. Weights and what belongs to them are counted as they are. Copies in bf16, which exist
//! for one product, are not counted.

use core::fmt;

use candle_core::{DType, Device, Result, Tensor};
use indicatif::HumanBytes;

use crate::network::{Network, Recording};
use crate::numbers::thousands;
use crate::ops::device::available;
use crate::recipe::PruningRecipe;
use crate::text::batch::{Batch, EncodedExample};
use crate::training::loss::has_teacher;
use crate::training::{Examples, Run};

/// Bytes of a number.
const FLOAT: u64 = 4;
/// What is taken besides the tensors: by libraries, cuBLAS alone 32 MiB on a Hopper, and by the
/// chunks that tensors are cut from.
const WORKSPACE: u64 = 192 << 20;
/// Advice leaves one part in this many of what is free: a pool of memory has gaps.
const RESERVE: u64 = 10;
/// How a driver or library reports it, whatever candle puts around it.
const SIGNS: [&str; 2] = ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"];

/// Numbers for each token and for each sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    token: u64,
    sequence: u64,
}

/// From those of one sequence of one token, and of one of two.
impl From<[u64; 2]> for Numbers {
    fn from([short, long]: [u64; 2]) -> Self {
        let token = long - short;
        Self {
            token,
            sequence: short - token,
        }
    }
}

impl Numbers {
    fn of(self, load: Load) -> u64 {
        self.token * load.tokens + self.sequence * load.sequences
    }
}

/// What a step computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    sequences: u64,
    tokens: u64,
}

/// What training steps hold, in numbers.
#[derive(Clone, Debug)]
struct Needs {
    /// Weights, moments, masks and scores of all networks.
    held: u64,
    gradients: u64,
    /// What the forward passes of the network and of the teacher keep.
    recorded: Numbers,
    taught: Numbers,
    /// Gradients of the layers' outputs, which the teacher gives.
    given: Numbers,
    /// Gradients on the way back, by part of the network.
    backward: Vec<Numbers>,
}

impl Needs {
    fn new(network: &Network, dense: Option<&Network>, recipe: &PruningRecipe) -> Result<Self> {
        let recordings = dry_run(network)?;
        let kept = |recordings: &[Recording; 2]| {
            Numbers::from(recordings.each_ref().map(Recording::count))
        };
        let teacher = dense.filter(|_| has_teacher(recipe));
        let taught = teacher.map(dry_run).transpose()?;
        let outputs = recordings.each_ref().map(|it| it.outputs.count());
        let [short, long] = recordings.each_ref().map(|it| it.tape.gradients_by_scope());
        let values = network.parameters();
        let values = values
            .iter()
            .map(|it| it.parameter.value.elem_count() as u64);
        Ok(Self {
            held: held(network) + dense.map_or(0, held),
            gradients: values.sum(),
            recorded: kept(&recordings),
            taught: taught.as_ref().map_or_else(Numbers::default, kept),
            given: if teacher.is_some() && recipe.hidden_distillation > 0.0 {
                Numbers::from(outputs)
            } else {
                Numbers::default()
            },
            backward: short
                .into_iter()
                .zip(long)
                .map(|(a, b)| Numbers::from([a, b]))
                .collect(),
        })
    }

    /// Bytes at the peak of a step.
    fn bytes(&self, load: Load) -> u64 {
        let at_the_loss = self.taught.of(load);
        let backward = self.backward.iter().map(|part| part.of(load)).max();
        let at_the_end = self.gradients + backward.unwrap_or(0);
        let step = self.recorded.of(load) + self.given.of(load) + at_the_loss.max(at_the_end);
        FLOAT * (self.held + step) + WORKSPACE
    }

    /// The largest batch that these bytes have room for, if its texts are the longest.
    fn fitting(&self, lengths: &Lengths, bytes: u64) -> usize {
        let room = bytes - bytes / RESERVE;
        let fits = |batch: &usize| self.bytes(lengths.load(*batch)) <= room;
        (1..=lengths.0.len()).take_while(fits).last().unwrap_or(0)
    }
}

/// Lengths of texts, the longest first.
struct Lengths(Vec<u64>);

impl Lengths {
    fn new(examples: &[EncodedExample]) -> Self {
        let lengths = examples.iter().map(|example| example.ids.len() as u64);
        let mut lengths: Vec<_> = lengths.collect();
        lengths.sort_unstable_by_key(|&length| core::cmp::Reverse(length));
        Self(lengths)
    }

    /// The largest load that a batch can be.
    fn load(&self, batch: usize) -> Load {
        let lengths = &self.0[..batch.min(self.0.len())];
        Load {
            sequences: lengths.len() as u64,
            tokens: lengths.iter().sum(),
        }
    }
}

fn held(network: &Network) -> u64 {
    let parameters = network.parameters();
    let tensors = parameters.iter().flat_map(|it| it.parameter.tensors());
    tensors.map(|(_, tensor)| tensor.elem_count() as u64).sum()
}

/// Recordings of one sequence of one token, and of one of two. On a CPU and with empty
/// weights: only sizes are read, and a GPU may have no room left.
fn dry_run(network: &Network) -> Result<[Recording; 2]> {
    let mut empty = network.clone();
    for it in empty.parameters_mut() {
        let value = &mut it.parameter.value;
        *value = Tensor::zeros(value.shape(), DType::F32, &Device::Cpu)?;
    }
    let record = |tokens| {
        let example = EncodedExample {
            ids: vec![0; tokens],
            first: tokens,
            label: 0,
        };
        empty.record(&Batch::new([example].iter()))
    };
    Ok([record(1)?, record(2)?])
}

/// A step needs more than is available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of GPU memory: {0}")]
pub struct OutOfMemory(Shortage);

/// What a step needs, what is available, and what would fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    batch: usize,
    tokens: u64,
    /// Bytes.
    needed: u64,
    available: u64,
    /// Texts of a step that the memory has room for.
    fitting: usize,
}

impl Shortage {
    /// What is known before the first step: `None` where the estimate fits, or where the device
    /// does not report what it has.
    pub(crate) fn foreseen(run: &Run, examples: &Examples) -> Option<Self> {
        let available = available(run.network.device())?;
        let shortage = Self::new(run, &examples.train, available).ok()?;
        (shortage.needed > shortage.available).then_some(shortage)
    }

    fn new(run: &Run, examples: &[EncodedExample], available: u64) -> Result<Self> {
        let needs = Needs::new(&run.network, run.dense.as_ref(), &run.recipe.pruning)?;
        let lengths = Lengths::new(examples);
        let batch = run.recipe.training.batch.min(lengths.0.len());
        let load = lengths.load(batch);
        Ok(Self {
            batch,
            tokens: load.tokens,
            needed: needs.bytes(load),
            available,
            fitting: needs.fitting(&lengths, available),
        })
    }
}

impl OutOfMemory {
    /// The shortage in a step of `run`, if `error` is one of memory and the device reports how much
    /// it has.
    #[must_use]
    pub fn of_step(error: &candle_core::Error, run: &Run, examples: &Examples) -> Option<Self> {
        let available = available(run.network.device())?;
        is_out_of_memory(error).then_some(())?;
        Shortage::new(run, &examples.train, available)
            .ok()
            .map(Self)
    }
}

fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let error = error.to_string();
    SIGNS.iter().any(|sign| error.contains(sign))
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            tokens,
            fitting,
            ..
        } = *self;
        write!(
            f,
            "a step of training.batch={batch} texts, up to {} tokens, needs about {} of {} that \
             are there; ",
            thousands(usize::try_from(tokens).unwrap_or(usize::MAX)),
            HumanBytes(self.needed),
            HumanBytes(self.available)
        )?;
        if fitting == 0 {
            f.write_str("not one text would fit: a shorter model.tokens or fewer layers need less")
        } else if fitting < batch {
            write!(
                f,
                "{fitting} texts would fit: start again with --set training.batch={fitting}"
            )
        } else {
            // The estimate was too low, or others take memory too.
            let fewer = batch.div_ceil(2);
            write!(
                f,
                "that fits unless other programs take memory; if none does, start again with \
                 --set training.batch={fewer}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Error;

    use super::*;
    use crate::network::Shape;
    use crate::recipe::ModelRecipe;
    use crate::text::batch::Batch;
    use crate::training::loss::Loss;

    fn network(vocabulary: usize) -> Network {
        let recipe = ModelRecipe {
            hidden: 12,
            layers: 3,
            heads: 2,
            intermediate: 20,
            tokens: 16,
            ..ModelRecipe::default()
        };
        Network::new(Shape::new(&recipe, vocabulary, 3, true), 1).unwrap()
    }

    fn examples(lengths: &[usize]) -> Vec<EncodedExample> {
        let example = |&length: &usize| EncodedExample {
            ids: vec![1; length],
            first: length,
            label: 0,
        };
        lengths.iter().map(example).collect()
    }

    fn run(batch: usize) -> Run {
        let text = "text\tlabel\nturn it on\ton\nturn it off\toff\n";
        let options = crate::data::ReadOptions::default();
        let format = crate::data::Format::Tsv;
        let data = crate::data::parse("x.tsv".as_ref(), format, text.as_bytes(), &options, None);
        let mut recipe = crate::recipe::Recipe::default();
        recipe.training.batch = batch;
        Run::new(recipe, &data.unwrap()).unwrap()
    }

    /// No tolerance: what is kept until the backward pass is counted to the number.
    #[test]
    fn counts_what_is_there() {
        let mut network = network(40);
        // Heads and neurons that were cut take nothing.
        network.layers[1].attention_mut().unwrap().heads.pop();
        let layer = &mut network.layers[1];
        let rows = |part: u32| (0..6).map(move |row| part * 12 + row);
        let kept: Vec<u32> = (0..3).flat_map(rows).collect();
        layer
            .attention_mut()
            .unwrap()
            .projection
            .weight
            .select(&kept, 0)
            .unwrap();
        layer
            .attention_mut()
            .unwrap()
            .projection
            .bias
            .select(&kept, 0)
            .unwrap();
        layer
            .attention_mut()
            .unwrap()
            .output
            .weight
            .select(&kept[..6], 1)
            .unwrap();
        layer
            .mlp
            .as_mut()
            .unwrap()
            .input
            .weight
            .select(&[3, 5, 7], 0)
            .unwrap();
        layer
            .mlp
            .as_mut()
            .unwrap()
            .input
            .bias
            .select(&[3, 5, 7], 0)
            .unwrap();
        layer
            .mlp
            .as_mut()
            .unwrap()
            .output
            .weight
            .select(&[3, 5, 7], 1)
            .unwrap();

        let examples = examples(&[5, 16, 9]);
        let load = Lengths::new(&examples).load(3);
        assert_eq!((load.sequences, load.tokens), (3, 30));
        let needs = Needs::new(&network, None, &PruningRecipe::default()).unwrap();
        let batch = Batch::new(examples.iter());
        let recording = network.record(&batch).unwrap();
        // Of a layer: its input, Q, K, V and context, two sums, what goes into L_in, neurons
        // twice. Then the embeddings, the last output, the pooled vectors and the logits.
        let widths = [(12, 20), (6, 3), (12, 20)]
            .map(|(context, neurons)| 4 * context + 4 * 12 + 2 * neurons);
        let counted = 30 * (widths.iter().sum::<u64>() + 2 * 12) + 3 * (12 + 3);
        assert_eq!(recording.count(), counted);
        assert_eq!(needs.recorded.of(load), counted);
        let targets = batch.targets(3, 0.0, network.device()).unwrap().into();
        let loss = Loss::of_classes(&recording.outputs, &targets).unwrap();
        let gradients = recording.backward(&loss.gradients).unwrap();
        let parameters = network.parameters();
        let gradients = parameters
            .iter()
            .map(|it| gradients.get(it.parameter).unwrap().elem_count() as u64);
        assert_eq!(gradients.sum::<u64>(), needs.gradients);
        // Gradients of everything that the widest layer makes, and what comes down to it.
        let widest = 30 * (6 * 12 + 4 * 12 + 2 * 20);
        let backward = needs.backward.iter().map(|part| part.of(load));
        assert_eq!(backward.max(), Some(widest));
    }

    #[test]
    fn a_teacher_is_counted() {
        let (network, dense) = (network(40), network(40));
        let load = Load {
            sequences: 200,
            tokens: 3000,
        };
        let bytes = |distillation, hidden_distillation, dense| {
            let recipe = PruningRecipe {
                distillation,
                hidden_distillation,
                ..PruningRecipe::default()
            };
            Needs::new(&network, dense, &recipe).unwrap().bytes(load)
        };
        let alone = bytes(0.5, 0.0, None);
        let with_copy = bytes(0.0, 0.0, Some(&dense));
        assert_eq!(with_copy - alone, FLOAT * held(&dense));
        let taught = bytes(0.5, 0.0, Some(&dense));
        assert!(taught > with_copy);
        // A gradient for what each of three layers of width 12 makes.
        assert_eq!(
            bytes(0.5, 1.0, Some(&dense)) - taught,
            FLOAT * 3 * 12 * 3000
        );
    }

    /// With the tenth that advice leaves free.
    fn room_for(bytes: u64) -> u64 {
        (bytes * RESERVE).div_ceil(RESERVE - 1)
    }

    #[test]
    fn the_largest_batch_that_fits_leaves_a_tenth() {
        let needs = Needs::new(&network(40), None, &PruningRecipe::default()).unwrap();
        let lengths = Lengths::new(&examples(&[4, 16, 8, 15]));
        for batch in 1..=4 {
            let bytes = needs.bytes(lengths.load(batch));
            assert_eq!(needs.fitting(&lengths, room_for(bytes)), batch);
            assert_eq!(needs.fitting(&lengths, room_for(bytes) - 3), batch - 1);
        }
        assert_eq!(needs.fitting(&lengths, 0), 0);
        assert_eq!(needs.fitting(&lengths, u64::MAX), 4);
        assert_eq!(lengths.load(9), lengths.load(4));
    }

    #[test]
    fn the_driver_is_understood() {
        let driver = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
        let error = Error::Cuda(driver.into());
        assert!(is_out_of_memory(&error));
        assert!(is_out_of_memory(&error.bt().context("attention")));
        let library = "CublasError(CUBLAS_STATUS_ALLOC_FAILED)";
        assert!(is_out_of_memory(&Error::wrap(std::io::Error::other(
            library
        ))));
        let other = Error::Cuda("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)".into());
        assert!(!is_out_of_memory(&other));
    }

    #[test]
    fn advice_names_what_there_is_and_what_fits() {
        let examples = examples(&[16; 100]);
        let run = run(64);
        let needs = Needs::new(&run.network, None, &run.recipe.pruning).unwrap();
        let lengths = Lengths::new(&examples);
        let advice =
            |bytes| OutOfMemory(Shortage::new(&run, &examples, bytes).unwrap()).to_string();

        let said = advice(room_for(needs.bytes(lengths.load(40))));
        for part in [
            "out of GPU memory: a step of training.batch=64 texts, up to 1,024 tokens, needs about ",
            " are there; 40 texts would fit: start again with --set training.batch=40",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(advice(1 << 20).contains("not one text would fit"));
        let said = advice(1 << 40);
        assert!(
            said.contains("if none does, start again with --set training.batch=32"),
            "{said}"
        );
    }

    #[test]
    fn a_cpu_is_not_asked() {
        let run = run(64);
        let examples = Examples {
            train: examples(&[16; 100]),
            dev: Vec::new(),
            class_counts: vec![100],
            answers: None,
        };
        assert_eq!(Shortage::foreseen(&run, &examples), None);
        let error = Error::Cuda("CUDA_ERROR_OUT_OF_MEMORY".into());
        assert_eq!(OutOfMemory::of_step(&error, &run, &examples), None);
    }
}
