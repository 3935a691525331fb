//! NeuroPrune's promises: exact counts, exact zeros, cuts and merges that leave the
//! answers as they are.

use crate::network::parameter::Parameter;
use crate::network::{Layer, Named, Network, Shape};
use crate::pruning::heads::HeadTest;
use crate::pruning::{Spare, cut, merge_heads, prune_and_cut, prune_to, weights_at};
use crate::random::{Purpose, initial_values, stream};
use crate::recipe::{ActivationKind, Blocks, ModelRecipe, Neuroprune, PruningRecipe, ScoreKind};
use crate::text::batch::{Batch, EncodedExample};
use candle_core::{Device, Tensor};

use proptest::prelude::*;

const HEAD_WIDTH: usize = 4;

fn network(activation: ActivationKind) -> Network {
    let recipe = ModelRecipe {
        hidden: 16,
        layers: 2,
        heads: 4,
        intermediate: 24,
        tokens: 12,
        activation,
        ..ModelRecipe::default()
    };
    let mut network = Network::new(Shape::new(&recipe, 50, 3, false), 5).unwrap();
    // Biases and sensitivities as training leaves them, not zero.
    for (index, it) in (100..).zip(network.parameters_mut()) {
        let parameter = it.parameter;
        let count = parameter.value.elem_count();
        let values = initial_values(&mut stream(1, Purpose::Initialization, index), count, 0.5);
        if parameter.value.rank() == 1 {
            let moved = Tensor::from_vec(values.clone(), count, &Device::Cpu).unwrap();
            parameter.value = (&parameter.value + moved).unwrap();
        }
        let shape = parameter.value.shape().clone();
        if let Some(pruning) = &mut parameter.pruning {
            let values = values.iter().map(|value| value.abs()).collect::<Vec<_>>();
            pruning.sensitivity = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        }
    }
    network
}

fn neuroprune(settings: Neuroprune) -> PruningRecipe {
    PruningRecipe {
        method: settings.into(),
        ..PruningRecipe::default()
    }
}

/// Every weight costs the same.
fn without_costs() -> Neuroprune {
    Neuroprune {
        preferential_attachment: false,
        group_sparsity: false,
        ..Neuroprune::default()
    }
}

fn examples() -> Vec<EncodedExample> {
    let example = |index: u32| EncodedExample {
        ids: (0..4 + index % 8)
            .map(|place| (index * 7 + place * 13) % 50)
            .collect(),
        first: 4 + index as usize % 8,
        label: index % 3,
    };
    (0..40).map(example).collect()
}

fn logits(network: &Network) -> Vec<f32> {
    let examples = examples();
    let logits = network.forward(&Batch::new(examples.iter())).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_same_answers(before: &[f32], network: &Network, tolerance: f32) {
    for (before, after) in before.iter().zip(logits(network)) {
        assert!(
            (before - after).abs() < tolerance,
            "{before} became {after}"
        );
    }
}

/// Zeroes rows or columns of a prunable matrix for good.
fn kill(parameter: &mut Parameter, dies: impl Fn(usize, usize) -> bool) {
    let (rows, cols) = parameter.value.dims2().unwrap();
    let places = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    let mask: Vec<f32> = places
        .map(|(row, col)| f32::from(!dies(row, col)))
        .collect();
    let mask = Tensor::from_vec(mask, (rows, cols), &Device::Cpu).unwrap();
    parameter.value = (&parameter.value * &mask).unwrap();
    let pruning = parameter.pruning.as_mut().unwrap();
    pruning.mask = (&pruning.mask * mask).unwrap();
}

#[test]
fn sparsity_is_exact_and_zeros_are_zero() {
    for score in [ScoreKind::Sensitivity, ScoreKind::Magnitude] {
        let recipe = neuroprune(Neuroprune {
            score,
            ..Neuroprune::default()
        });
        let mut network = network(ActivationKind::Relu);
        let total = network.shape.encoder_weights();
        for sparsity in [0.0, 0.1, 0.5, 0.5, 0.777, 0.9, 0.99] {
            prune_to(&mut network, sparsity, &recipe).unwrap();
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let staying = (total as f64 * (1.0 - sparsity)).floor() as usize;
            assert_eq!(
                network.nonzero_weights().unwrap(),
                staying,
                "{score:?} at {sparsity}"
            );
        }
        for Named {
            path: name,
            parameter,
            ..
        } in network.parameters()
        {
            let Some(pruning) = &parameter.pruning else {
                continue;
            };
            let mask = pruning
                .mask
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            for (what, tensor) in parameter.tensors() {
                let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let lives = values
                    .iter()
                    .zip(&mask)
                    .filter(|(value, mask)| **mask == 0.0 && **value != 0.0);
                assert_eq!(lives.count(), 0, "{name}/{what}");
            }
        }
    }
}

#[test]
fn the_lowest_scores_for_their_cost_go_first() {
    let recipe = neuroprune(without_costs());
    let mut network = network(ActivationKind::Relu);
    let scores = |network: &Network| -> Vec<(f32, f32)> {
        let prunable = network.matrices().into_iter().map(|it| it.pruning);
        prunable
            .flat_map(|pruning| {
                let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
                flat(&pruning.sensitivity)
                    .into_iter()
                    .zip(flat(&pruning.mask))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let before = scores(&network);
    prune_to(&mut network, 0.6, &recipe).unwrap();
    let after = scores(&network);
    let of = |mask: f32| {
        let pairs = before.iter().zip(&after);
        pairs
            .filter(move |(_, after)| after.1 == mask)
            .map(|(before, _)| before.0)
    };
    let highest_gone = of(0.0).fold(0.0, f32::max);
    let lowest_left = of(1.0).fold(f32::INFINITY, f32::min);
    assert!(
        highest_gone <= lowest_left,
        "{highest_gone} went, {lowest_left} stayed"
    );
}

/// Preferential attachment: at the same score the poor row loses, and whole rows are pruned.
#[test]
fn attachment_makes_degrees_uneven() {
    let spread = |preferential_attachment: bool| {
        let recipe = neuroprune(Neuroprune {
            preferential_attachment,
            ..Neuroprune::default()
        });
        let mut network = network(ActivationKind::Relu);
        for step in 1..=18 {
            prune_to(&mut network, 0.05 * f64::from(step), &recipe).unwrap();
        }
        let mut total = 0.0;
        for layer in &network.layers {
            let mask = &layer
                .mlp
                .as_ref()
                .unwrap()
                .input
                .weight
                .pruning
                .as_ref()
                .unwrap()
                .mask;
            let degrees = mask.sum(1).unwrap().to_vec1::<f32>().unwrap();
            let mean = degrees.iter().sum::<f32>() / 24.0;
            total += degrees.iter().map(|d| (d - mean) * (d - mean)).sum::<f32>();
        }
        total
    };
    assert!(
        spread(true) > 1.5 * spread(false),
        "{} {}",
        spread(true),
        spread(false)
    );
}

#[test]
fn cutting_leaves_the_answers() {
    for &activation in ActivationKind::ALL {
        let mut network = network(activation);
        let context = 4 * HEAD_WIDTH;
        let [first, second] = &mut network.layers[..] else {
            panic!("two layers")
        };
        // A head without values, one that nothing reads, silent and unread neurons, and input
        // dimensions that nothing reads.
        kill(
            &mut first.attention_mut().unwrap().projection.weight,
            |row, col| row / HEAD_WIDTH == 2 * 4 + 1 || col % 3 == 0,
        );
        kill(
            &mut first.attention_mut().unwrap().output.weight,
            |_, col| col / HEAD_WIDTH == 3,
        );
        kill(&mut first.mlp.as_mut().unwrap().input.weight, |row, col| {
            row % 5 == 0 || col % 4 == 1
        });
        kill(&mut second.mlp.as_mut().unwrap().output.weight, |_, col| {
            col < 7
        });
        let before = logits(&network);
        let done = cut(&mut network, Blocks::One).unwrap();
        assert_eq!(done.heads, 2);
        assert_eq!(done.neurons, 5 + 7);
        assert_eq!(done.inputs, 6 + 4);
        let [first, second] = &network.layers[..] else {
            panic!("two layers")
        };
        assert_eq!(first.attention().unwrap().heads, [0, 2]);
        assert_eq!(
            first.attention().unwrap().projection.weight.value.dims(),
            [3 * context / 2, 10]
        );
        assert_eq!(
            second.mlp.as_ref().unwrap().output.weight.value.dims(),
            [16, 17]
        );
        assert_same_answers(&before, &network, 1e-4);
        // Nothing is left to cut.
        assert_eq!(cut(&mut network, Blocks::One).unwrap(), Default::default());
        // A smaller network can still be pruned and run.
        prune_to(&mut network, 0.95, &PruningRecipe::default()).unwrap();
        cut(&mut network, Blocks::One).unwrap();
        assert!(logits(&network).iter().all(|logit| logit.is_finite()));
    }
}

#[test]
fn even_a_network_without_weights_answers() {
    let mut network = network(ActivationKind::Relu);
    for layer in &mut network.layers {
        kill(
            &mut layer.attention_mut().unwrap().projection.weight,
            |_, _| true,
        );
        kill(&mut layer.mlp.as_mut().unwrap().input.weight, |_, _| true);
    }
    let before = logits(&network);
    cut(&mut network, Blocks::One).unwrap();
    assert_same_answers(&before, &network, 1e-4);
}

/// Head 2 outputs what head 0 outputs, in another basis: it is removed, and no answer changes.
#[test]
fn a_head_that_says_the_same_is_merged_without_a_trace() {
    let mut network = network(ActivationKind::Relu);
    let context = 4 * HEAD_WIDTH;
    let layer = &mut network.layers[1];
    let mut weight = layer
        .attention()
        .unwrap()
        .projection
        .weight
        .to_vec()
        .unwrap();
    let mut bias = layer.attention().unwrap().projection.bias.to_vec().unwrap();
    // Same queries and keys: same attention.
    for part in 0..2 {
        for row in 0..HEAD_WIDTH {
            let (from, to) = (part * context + row, part * context + 2 * HEAD_WIDTH + row);
            weight.copy_within(from * 16..(from + 1) * 16, to * 16);
            bias[to] = bias[from];
        }
    }
    // Values: sums of two rows of head 0, so a change of basis, and other constants.
    for row in 0..HEAD_WIDTH {
        let (one, other) = (2 * context + row, 2 * context + (row + 1) % HEAD_WIDTH);
        let to = 2 * context + 2 * HEAD_WIDTH + row;
        for col in 0..16 {
            weight[to * 16 + col] = weight[one * 16 + col] + 0.5 * weight[other * 16 + col];
        }
    }
    let set = |parameter: &mut Parameter, values: Vec<f32>| {
        let shape = parameter.value.shape();
        parameter.value = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    };
    set(
        &mut layer.attention_mut().unwrap().projection.weight,
        weight,
    );
    set(&mut layer.attention_mut().unwrap().projection.bias, bias);

    let before = logits(&network);
    let test = merge_all(&mut network, 0.01, Blocks::One);
    let merged = test.merged;
    assert_eq!(merged.len(), 1, "{merged:?}");
    let (went, into) = (merged[0].head, merged[0].into);
    assert!(
        merged[0].layer == 1 && [(0, 2), (2, 0)].contains(&(went, into)),
        "{merged:?}"
    );
    assert_eq!(network.layers[1].attention().unwrap().heads.len(), 3);
    assert_same_answers(&before, &network, 1e-3);
}

/// Merges as many as are equivalent.
fn merge_all(network: &mut Network, head_distance: f32, blocks: Blocks) -> HeadTest {
    let spare = Spare::new(network, 0).unwrap();
    merge_heads(network, examples().iter(), head_distance, blocks, spare).unwrap()
}

/// A network never becomes sparser than it should end: heads go while there are weights to spare.
#[test]
fn heads_are_merged_as_far_as_the_sparsity_allows() {
    let full = network(ActivationKind::Relu);
    let all = full.nonzero_weights().unwrap();
    // Rows of Q, K and V, and columns of W_O.
    let head = 4 * HEAD_WIDTH * 16;
    for (spare, merged) in [(0, 0), (head - 1, 0), (head, 1), (4 * head, 4), (all, 6)] {
        let mut network = full.clone();
        let test = merge_heads(
            &mut network,
            examples().iter(),
            1.01,
            Blocks::One,
            Spare::new(&full, all - spare).unwrap(),
        );
        assert_eq!(test.unwrap().merged.len(), merged, "{spare}");
        let heads: usize = network
            .layers
            .iter()
            .map(|layer| layer.attention().unwrap().heads.len())
            .sum();
        assert_eq!(heads, 8 - merged);
    }
}

#[test]
fn different_heads_stay() {
    let mut network = network(ActivationKind::Relu);
    let test = merge_all(&mut network, 0.01, Blocks::One);
    assert_eq!(test.merged, []);
    assert_eq!(test.kept.len(), 8);
    assert!(
        test.kept
            .iter()
            .all(|kept| kept.distance > 0.01 && kept.nearest.is_some_and(|near| near != kept.head))
    );
    // Everything is predicted within its own size: one head a layer is left.
    let test = merge_all(&mut network, 1.01, Blocks::One);
    assert_eq!((test.merged.len(), test.kept.len()), (6, 2));
    assert!(
        network
            .layers
            .iter()
            .all(|layer| layer.attention().unwrap().heads.len() == 1)
    );
}

/// Every second neuron of the first layer depends on one strong weight.
fn network_with_poor_neurons() -> Network {
    let mut network = network(ActivationKind::Relu);
    let layer = &mut network.layers[0];
    let mlp = layer.mlp.as_mut().unwrap();
    let (input, output) = (&mut mlp.input.weight, &mut mlp.output.weight);
    for (parameter, is_input) in [(input, true), (output, false)] {
        let (rows, cols) = parameter.value.dims2().unwrap();
        let places = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        let scores = places.map(|(row, col)| {
            let (neuron, other) = if is_input { (row, col) } else { (col, row) };
            match (neuron % 2, is_input && other == 3) {
                (1, true) => 4.0_f32,
                (1, false) => 1e-3,
                _ => 2.0,
            }
        });
        let scores = Tensor::from_vec(scores.collect(), (rows, cols), &Device::Cpu).unwrap();
        parameter.pruning.as_mut().unwrap().sensitivity = scores;
    }
    network
}

#[test]
fn a_neuron_below_its_price_goes_as_a_whole() {
    let pruned = |neuron_cost| {
        let mut network = network_with_poor_neurons();
        let recipe = neuroprune(Neuroprune {
            neuron_cost,
            ..without_costs()
        });
        prune_to(&mut network, 0.5, &recipe).unwrap();
        let left = network.nonzero_weights().unwrap();
        assert_eq!(
            left,
            weights_at(&network, 0.5),
            "at a price of {neuron_cost}"
        );
        let layer = &network.layers[0];
        let mask = |parameter: &Parameter| parameter.pruning.as_ref().unwrap().mask.clone();
        let of_input = mask(&layer.mlp.as_ref().unwrap().input.weight)
            .sum(1)
            .unwrap();
        let of_output = mask(&layer.mlp.as_ref().unwrap().output.weight)
            .sum(0)
            .unwrap();
        (of_input + of_output).unwrap().to_vec1::<f32>().unwrap()
    };
    let weights = pruned(0.0);
    assert!(weights.iter().all(|&weights| weights >= 1.0), "{weights:?}");
    // Four, less the last to be kept, is worth about ten of those.
    assert_eq!(pruned(1.0), weights);
    let weights = pruned(40.0);
    for (neuron, &weights) in weights.iter().enumerate() {
        assert_eq!(weights > 0.0, neuron % 2 == 0, "neuron {neuron}");
    }
}

#[test]
fn prices_of_neurons_leave_the_sparsity_as_it_is() {
    for neuron_cost in [1.0, 30.0, 3000.0] {
        let recipe = neuroprune(Neuroprune {
            neuron_cost,
            ..Neuroprune::default()
        });
        let mut network = network_with_poor_neurons();
        for sparsity in [0.2, 0.5, 0.8] {
            prune_to(&mut network, sparsity, &recipe).unwrap();
            let left = network.nonzero_weights().unwrap();
            assert_eq!(left, weights_at(&network, sparsity), "{neuron_cost}");
        }
        let wanted = weights_at(&network, 0.9);
        prune_and_cut(&mut network, 0.9, &recipe).unwrap();
        let left = network.nonzero_weights().unwrap();
        assert_eq!(left, wanted);
        assert!(
            network
                .layers
                .iter()
                .all(|layer| !layer.attention().unwrap().heads.is_empty())
        );
        let neurons = |layer: &Layer| layer.mlp.as_ref().unwrap().input.bias.value.elem_count();
        assert!(network.layers.iter().all(|layer| neurons(layer) > 0));
    }
}

/// Cutting also removes weights that nothing reads; the count holds after it.
#[test]
fn sparsity_holds_after_the_cut() {
    let recipe = PruningRecipe::default();
    for sparsity in [0.5, 0.8, 0.9, 0.95] {
        let mut network = network(ActivationKind::Relu);
        // Half of the neurons depend on a single weight, so that many are cut.
        kill(
            &mut network.layers[0].mlp.as_mut().unwrap().input.weight,
            |row, col| row % 2 == 0 && col > 0,
        );
        let wanted = weights_at(&network, sparsity);
        let untouched = network.clone();
        let answers = logits(&untouched);
        let done = prune_and_cut(&mut network, sparsity, &recipe).unwrap();
        assert!(done.neurons > 0);
        let left = network.nonzero_weights().unwrap();
        assert_eq!(left, wanted, "{sparsity}");
        assert_eq!(cut(&mut network, Blocks::One).unwrap(), Default::default());
        // Trials on clones leave the original alone.
        assert_eq!(logits(&untouched), answers);
    }
}

/// Every group of every matrix is kept or pruned, and what is pruned is zero.
#[track_caller]
fn assert_whole(network: &Network, blocks: Blocks) {
    for Named {
        path: name,
        parameter,
        ..
    } in network.parameters()
    {
        let Some(pruning) = &parameter.pruning else {
            continue;
        };
        let values = parameter.value.to_vec2::<f32>().unwrap();
        let masks = pruning.mask.to_vec2::<f32>().unwrap();
        for (values, masks) in values.iter().zip(&masks) {
            for group in masks.chunks(blocks.width()) {
                assert!(group.iter().all(|&mask| mask == group[0]), "{name}");
            }
            let ghosts = values.iter().zip(masks);
            let mut ghosts = ghosts.filter(|(value, mask)| **mask == 0.0 && **value != 0.0);
            assert_eq!(ghosts.next(), None, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is pruned and in which order: blocks remain whole, the target is met to less than
    /// a block by a removal and, without blocks, to less than a neuron after the last cut, and
    /// each cut leaves the answers.
    #[test]
    fn blocks_stay_whole(
        blocks in prop_oneof![Just(Blocks::One), Just(Blocks::Two), Just(Blocks::Four)],
        removals in proptest::collection::vec(0.05_f64..0.9, 1..4),
        last in 0.5_f64..0.97,
        dying in proptest::collection::vec(any::<bool>(), 24),
        head in 0..4_usize,
    ) {
        let recipe = PruningRecipe { blocks, ..PruningRecipe::default() };
        let width = blocks.width();
        let mut network = network(ActivationKind::Relu);
        kill(&mut network.layers[0].mlp.as_mut().unwrap().input.weight, |row, _| dying[row]);
        kill(&mut network.layers[1].attention_mut().unwrap().projection.weight, |row, _| {
            row / HEAD_WIDTH == 2 * 4 + head
        });
        for sparsity in removals {
            let before = network.nonzero_weights().unwrap();
            let wanted = weights_at(&network, sparsity);
            prune_to(&mut network, sparsity, &recipe).unwrap();
            let left = network.nonzero_weights().unwrap();
            prop_assert!(left <= wanted && (left + width > wanted || left == before));
            assert_whole(&network, blocks);
            let answers = logits(&network);
            cut(&mut network, blocks).unwrap();
            assert_whole(&network, blocks);
            assert_same_answers(&answers, &network, 1e-3);
            prop_assert_eq!(cut(&mut network, blocks).unwrap(), Default::default());
            merge_all(&mut network, 0.9, blocks);
            assert_whole(&network, blocks);
        }
        cut(&mut network, blocks).unwrap();
        let before = network.nonzero_weights().unwrap();
        let wanted = weights_at(&network, last);
        prune_and_cut(&mut network, last, &recipe).unwrap();
        assert_whole(&network, blocks);
        let left = network.nonzero_weights().unwrap();
        prop_assert!(left <= wanted || before < wanted, "{left} of {wanted}");
        prop_assert!(
            left + width > wanted || before < wanted,
            "{left} of {wanted}, {before} before"
        );
        prop_assert_eq!(cut(&mut network, blocks).unwrap(), Default::default());
        prop_assert!(logits(&network).iter().all(|logit| logit.is_finite()));
    }
}

/// The group that is removed is the one whose scores have the smallest mean square.
#[test]
fn the_lowest_blocks_go_first() {
    let recipe = PruningRecipe {
        blocks: Blocks::Two,
        ..neuroprune(without_costs())
    };
    let mut network = network(ActivationKind::Relu);
    let blocks = |network: &Network| -> Vec<(f32, bool)> {
        let prunable = network.matrices().into_iter().map(|it| it.pruning);
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        prunable
            .flat_map(|pruning| {
                let (scores, mask) = (flat(&pruning.sensitivity), flat(&pruning.mask));
                let pairs = scores.chunks(2).zip(mask.chunks(2));
                pairs
                    .map(|(s, mask)| (s[0].hypot(s[1]), mask[0] != 0.0))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let before = blocks(&network);
    prune_to(&mut network, 0.6, &recipe).unwrap();
    let after = blocks(&network);
    let of = |lives: bool| {
        let pairs = before.iter().zip(&after);
        pairs
            .filter(move |(_, after)| after.1 == lives)
            .map(|(before, _)| before.0)
    };
    let highest_gone = of(false).fold(0.0, f32::max);
    let lowest_left = of(true).fold(f32::INFINITY, f32::min);
    assert!(
        highest_gone <= lowest_left,
        "{highest_gone} went, {lowest_left} stayed"
    );
}
