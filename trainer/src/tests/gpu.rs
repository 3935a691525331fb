//! The GPU gives what the CPU gives: every operation, forward and backward, and a whole run.
//!
//! Products on the GPU are in TF32 (10 bits of fraction), hence the tolerance; those of bf16
//! read the same operands on both.

use crate::network::{Network, Shape};
use crate::ops::device::DeviceName;
use crate::ops::{
    DeferredSums, Heads, RowIndex, Sequences, activation, activation_backward, add_and_normalize,
    add_bias, attention, attention_backward, bias_and_activate, fake_quantize, layer_norm,
    layer_norm_backward, linear_backward, mean, mean_backward, product, rows, rows_backward,
};
use crate::pruning::{cut_all, prune_and_cut, prune_to};
use crate::random::{Purpose, initial_values, stream};
use crate::recipe::{
    ActivationKind, Blocks, FloatPrecision, ModelRecipe, Neuroprune, PruningRecipe, Recipe,
    ScoreKind,
};
use crate::text::batch::{Batch, EncodedExample};
use crate::training::loss::Loss;
use candle_core::{DType, Device, Result, Tensor};

/// Of the largest magnitude.
const TOLERANCE: f32 = 4e-3;

/// A build with the feature is for a machine with a GPU: without one the tests fail.
fn gpu() -> Device {
    DeviceName::Cuda(0).open().unwrap()
}

fn random(shape: &[usize], index: u64) -> Tensor {
    let mut generator = stream(3, Purpose::Initialization, index);
    let values = initial_values(&mut generator, shape.iter().product(), 1.0);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_near(name: &str, expected: &Tensor, actual: &Tensor) {
    let (expected, actual) = (numbers(expected), numbers(actual));
    assert_eq!(expected.len(), actual.len(), "{name}");
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        let error = (expected - actual).abs();
        assert!(
            error <= TOLERANCE * largest,
            "{name}[{index}]: {actual} on the GPU, {expected} on the CPU"
        );
    }
}

/// What `function` makes of `inputs` on both devices.
fn compare<const INPUTS: usize, const MADE: usize>(
    name: &str,
    gpu: &Device,
    inputs: [Tensor; INPUTS],
    function: impl Fn(&[Tensor; INPUTS]) -> Result<[Tensor; MADE]>,
) {
    let expected = function(&inputs).unwrap();
    let there = inputs.map(|input| input.to_device(gpu).unwrap());
    let actual = function(&there).unwrap();
    for (number, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert_near(&format!("{name}: {number}"), expected, actual);
    }
}

#[test]
fn operations_agree() {
    let gpu = gpu();
    for (tokens, width) in [(1, 1), (3, 33), (700, 384)] {
        // A row of one value has no variance.
        if width > 1 {
            let [gain, shift] = [1, 2].map(|index| random(&[width], index));
            let inputs = [random(&[tokens, width], 0), gain, shift];
            compare("layer norm", &gpu, inputs, |[x, gain, shift]| {
                Ok([layer_norm(x, gain, shift, 1e-5)?])
            });
        }
        for &kind in ActivationKind::ALL {
            let inputs = [random(&[tokens, width], 6)];
            compare("activation", &gpu, inputs, |[x]| Ok([activation(x, kind)?]));
        }
    }
    let wide = [random(&[700, 384], 10)];
    compare("fake quantize", &gpu, wide, |[x]| {
        Ok([fake_quantize(x, TableValues::I8)?])
    });
    let index: RowIndex = [4, 0, 4, 4, 2, 1, 0].into_iter().collect();
    let inputs = [random(&[6, 300], 7), random(&[7, 300], 8)];
    compare("rows", &gpu, inputs, |[table, gradient]| {
        Ok([rows(table, &index)?, rows_backward(&index, 6, gradient)?])
    });
    let sequences = Sequences::of_lengths([5, 1, 64, 65, 130]);
    let tokens = sequences.tokens();
    let inputs = [random(&[tokens, 40], 8), random(&[5, 40], 9)];
    compare("mean", &gpu, inputs, |[x, gradient]| {
        let grad_x = mean_backward(&sequences, gradient)?;
        Ok([mean(x, &sequences)?, grad_x])
    });
    for (count, width) in [(1, 16), (2, 32), (3, 64), (2, 24), (1, 6), (1, 128)] {
        #[expect(clippy::cast_precision_loss, reason = "a width")]
        let scale = (width as f32).sqrt().recip();
        let heads = Heads {
            count,
            width,
            scale,
        };
        let columns = heads.columns();
        let inputs = [
            random(&[tokens, 3 * columns], 9),
            random(&[tokens, columns], 11),
        ];
        compare("attention", &gpu, inputs, |[projected, gradient]| {
            let context = attention(projected, heads, &sequences)?;
            let gradient = attention_backward(projected, &context, heads, &sequences, gradient)?;
            Ok([context, gradient])
        });
    }
}

/// Products with their gradients, in both precisions; odd sizes too.
#[test]
fn products_agree() {
    let gpu = gpu();
    for (tokens, columns, rows) in [
        (1, 1, 1),
        (1, 40, 70),
        (3, 33, 1),
        (700, 384, 96),
        (61, 7, 13),
    ] {
        for precision in [DType::F32, DType::BF16] {
            let run = |device: &Device| {
                let there = |x: Tensor| x.to_device(device).unwrap();
                let operand = |x: Tensor| there(x).to_dtype(precision).unwrap();
                // A part of something larger, as well.
                let x = operand(random(&[tokens + 2, columns], 3));
                let x = x.narrow(0, 2, tokens).unwrap();
                let weight = operand(random(&[rows, columns], 4));
                let y = product(&x, &weight).unwrap();
                add_bias(&y, &there(random(&[rows], 5))).unwrap();
                let gradient = there(random(&[tokens, rows], 6));
                let (grad_x, grad_weight) = linear_backward(&x, &weight, &gradient).unwrap();
                [y, grad_x, grad_weight]
            };
            for (number, (expected, actual)) in run(&Device::Cpu).iter().zip(run(&gpu)).enumerate()
            {
                assert_eq!(actual.dtype(), DType::F32);
                let name = format!("{tokens} × {columns} × {rows} {precision:?}: {number}");
                assert_near(&name, expected, &actual);
            }
        }
    }
}

/// Operations that training does in one.
#[test]
fn joint_operations_agree() {
    let gpu = gpu();
    let kinds = ActivationKind::ALL;
    for (tokens, width) in [(1, 7), (3, 33), (700, 384), (130, 1536)] {
        let matrices: Vec<Tensor> = (0..5).map(|it| random(&[tokens, width], it)).collect();
        let rows: Vec<Tensor> = (5..8).map(|it| random(&[width], it)).collect();
        let run = |device: &Device| {
            let there = |x: &Tensor| x.to_device(device).unwrap();
            let matrices: Vec<Tensor> = matrices.iter().map(there).collect();
            let rows: Vec<Tensor> = rows.iter().map(there).collect();
            let (mut made, mut deferred) = (Vec::new(), DeferredSums::default());
            // What is used up is a copy.
            let product = matrices[0].copy().unwrap();
            let both = [&rows[0], &matrices[1]];
            let (sum, normalized) =
                add_and_normalize(product, both, [&rows[1], &rows[2]], 1e-5).unwrap();
            made.extend([sum.clone(), normalized]);
            for count in 1..=3 {
                let gradients = &matrices[2..2 + count];
                let found = layer_norm_backward(&sum, &rows[1], 1e-5, gradients, &mut deferred);
                let found = found.unwrap();
                made.extend([
                    found.grad_x,
                    found.grad_gain,
                    found.grad_shift,
                    found.grad_bias,
                ]);
            }
            for &kind in kinds {
                let product = matrices[0].copy().unwrap();
                let (sum, activated) = bias_and_activate(product, &rows[0], kind).unwrap();
                let found = activation_backward(&sum, kind, &matrices[1], &mut deferred);
                let (grad_x, grad_bias) = found.unwrap();
                made.extend([sum, activated, grad_x, grad_bias]);
            }
            deferred.finish().unwrap();
            made
        };
        for (number, (expected, actual)) in run(&Device::Cpu).iter().zip(run(&gpu)).enumerate() {
            assert_near(&format!("{tokens} × {width}: {number}"), expected, &actual);
        }
    }
}

#[test]
fn losses_agree() {
    let gpu = gpu();
    let recipe = ModelRecipe {
        hidden: 96,
        layers: 2,
        heads: 3,
        intermediate: 128,
        tokens: 24,
        ..ModelRecipe::default()
    };
    let pruning = PruningRecipe {
        distillation: 0.7,
        hidden_distillation: 30.0,
        ..PruningRecipe::default()
    };
    // More classes than a warp has threads.
    let shape = Shape::new(&recipe, 50, 77, false);
    let examples: Vec<EncodedExample> = (1..40_u32)
        .map(|number| EncodedExample {
            ids: (0..1 + number % 23).map(|it| (it * number) % 50).collect(),
            first: 1,
            label: number % 77,
        })
        .collect();
    let batch = Batch::new(examples.iter());
    let run = |device: &Device| {
        let outputs = |seed| {
            let network = Network::new(shape.clone(), seed).unwrap();
            network.to_device(device).unwrap().outputs(&batch).unwrap()
        };
        let targets = batch.targets(77, 0.1, device).unwrap().into();
        let (student, teacher) = (outputs(1), outputs(2));
        let alone = Loss::of_classes(&student, &targets).unwrap();
        let taught = Loss::taught(&student, &teacher, &targets, &pruning).unwrap();
        let mut made = vec![
            alone.value,
            alone.gradients.logits,
            taught.value,
            taught.gradients.logits,
        ];
        made.extend(taught.gradients.layers);
        made
    };
    for (number, (expected, actual)) in run(&Device::Cpu).iter().zip(run(&gpu)).enumerate() {
        assert_near(&format!("loss {number}"), expected, &actual);
    }
}

/// No sum depends on the order in which threads come.
#[test]
fn attention_gives_the_same_bits_again() {
    let gpu = gpu();
    let sequences = Sequences::of_lengths([200, 3, 77]);
    let heads = Heads {
        count: 3,
        width: 32,
        scale: 0.2,
    };
    let projected = random(&[sequences.tokens(), 3 * heads.columns()], 10);
    let projected = projected.to_device(&gpu).unwrap();
    let run = || {
        let context = attention(&projected, heads, &sequences).unwrap();
        let gradient = (&context * 2.0).unwrap();
        let gradient = attention_backward(&projected, &context, heads, &sequences, &gradient);
        let gradient = numbers(&gradient.unwrap());
        [numbers(&context), gradient].map(|values| {
            let bits = values.into_iter().map(f32::to_bits);
            bits.collect::<Vec<_>>()
        })
    };
    assert_eq!(run(), run());
}

/// Scores with signs, many of them equal.
fn scored_network() -> Network {
    let recipe = ModelRecipe {
        hidden: 96,
        layers: 2,
        heads: 3,
        intermediate: 202,
        tokens: 12,
        ..ModelRecipe::default()
    };
    let mut network = Network::new(Shape::new(&recipe, 50, 3, false), 5).unwrap();
    for (index, it) in (200..).zip(network.parameters_mut()) {
        if let Some(pruning) = &mut it.parameter.pruning {
            let scores = random(pruning.sensitivity.dims(), index);
            let coarse = (scores * 20.0).unwrap().round().unwrap();
            pruning.sensitivity = (coarse / 20.0).unwrap();
        }
    }
    network
}

/// The GPU removes exactly the weights that the CPU removes.
#[test]
fn removals_agree_to_the_weight() {
    let gpu = gpu();
    let masks = |network: &Network| -> Vec<Vec<f32>> {
        let prunable = network.matrices().into_iter().map(|it| it.pruning);
        prunable.map(|pruning| numbers(&pruning.mask)).collect()
    };
    let living_by_row = |network: &Network| -> Vec<Vec<f32>> {
        let prunable = network.matrices().into_iter().map(|it| it.pruning);
        prunable
            .map(|pruning| numbers(&pruning.mask.sum(1).unwrap()))
            .collect()
    };
    let scores = [
        ScoreKind::Sensitivity,
        ScoreKind::Magnitude,
        ScoreKind::Movement,
    ];
    let kinds = [
        (Blocks::One, 0.0),
        // Enough for some neurons to be pruned as a whole, and not all.
        (Blocks::One, 40.0),
        (Blocks::Two, 0.0),
        (Blocks::Four, 0.0),
    ];
    for (blocks, neuron_cost) in kinds {
        for score in scores {
            let recipe = PruningRecipe {
                method: Neuroprune {
                    score,
                    neuron_cost,
                    ..Neuroprune::default()
                }
                .into(),
                blocks,
                ..PruningRecipe::default()
            };
            let name = format!("{score:?} {blocks:?} {neuron_cost}");
            let mut on_cpu = scored_network();
            let mut on_gpu = on_cpu.to_device(&gpu).unwrap();
            for sparsity in [0.0, 0.3, 0.31, 0.777, 0.95] {
                let expected = prune_to(&mut on_cpu, sparsity, &recipe).unwrap();
                let gone = prune_to(&mut on_gpu, sparsity, &recipe).unwrap();
                assert_eq!(gone, expected, "{name} at {sparsity}");
                let same = masks(&on_gpu) == masks(&on_cpu);
                assert!(same, "{name} at {sparsity}: other weights");
            }
            prune_and_cut(&mut on_cpu, 0.98, &recipe).unwrap();
            prune_and_cut(&mut on_gpu, 0.98, &recipe).unwrap();
            // A GPU keeps empty neurons and inputs for its sizes until the end.
            cut_all(&mut on_gpu, blocks).unwrap();
            let same = living_by_row(&on_gpu) == living_by_row(&on_cpu);
            assert!(same, "{name}: other cuts");
            prune_to(&mut on_cpu, 1.0, &recipe).unwrap();
            prune_to(&mut on_gpu, 1.0, &recipe).unwrap();
            assert_eq!(on_cpu.nonzero_weights().unwrap(), 0);
            assert_eq!(on_gpu.nonzero_weights().unwrap(), 0);
        }
    }
}

/// Twenty steps of a dense run and the whole sparse one, on both devices.
#[test]
fn a_run_agrees() {
    a_run_agrees_in(FloatPrecision::F32);
}

#[test]
fn a_run_in_bf16_agrees() {
    a_run_agrees_in(FloatPrecision::Bf16);
}

fn a_run_agrees_in(precision: FloatPrecision) {
    let gpu = gpu();
    let mut recipe = Recipe::by_name("tiny").unwrap();
    recipe.training.precision = precision;
    recipe.training.epochs = 1;
    recipe.pruning.epochs = 1;
    let folder = tempfile::tempdir().unwrap();
    let run = |device: &Device| {
        let (mut run, examples) = super::home_run::prepare(&recipe, 600, 60, folder.path());
        run.move_to(device).unwrap();
        let mut losses = Vec::new();
        for _ in 0..2 {
            run.run_phase(&examples, |_, report| {
                losses.push(report.loss);
                true
            })
            .unwrap();
        }
        (losses, run.network.sparsity().unwrap())
    };
    let (expected, sparsity) = run(&Device::Cpu);
    let (actual, on_gpu) = run(&gpu);
    for (step, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        let error = (expected - actual).abs();
        assert!(
            error < 0.05 * expected,
            "step {step}: {actual}, on the CPU {expected}"
        );
    }
    assert!(
        (sparsity - on_gpu).abs() < 1e-3,
        "{on_gpu}, on the CPU {sparsity}"
    );
}
