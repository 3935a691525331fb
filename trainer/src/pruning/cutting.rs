//! What is empty is cut out of the network, so that later steps run on a smaller one.
//!
//! Every cut leaves the function as it is:
//! - a neuron without inputs has the same output for every token, act(b): L_out's bias takes
//!   that over; one that nothing reads is cut;
//! - a head whose values are empty has the same output for every token, its value bias: W_O's
//!   bias takes that over; one that W_O does not read is cut;
//! - an input dimension that no row of a matrix reads is not gathered.
//!
//! The gates of a recurrence are never cut: without inputs a state still runs, by its biases.
//!
//! A GPU multiplies matrices of odd sizes several times slower than somewhat larger ones of
//! even sizes. There some empty neurons and inputs are kept for the time being (`Sizes`).
//!
//! With blocks wider than 1 neurons are reordered so that blocks of L_out remain whole
//! (`super::blocks`); that leaves the function as it is too.

use candle_core::{Device, Result, Tensor};

use super::blocks::{make_whole, regroup};
use super::heads::keep_heads;
use crate::network::{Attention, Linear, Mixing, Mlp, Network, Recurrence};
use crate::ops::activation;
use crate::ops::device::multiplies_whole_lines;
use crate::recipe::{ActivationKind, Blocks};

/// What was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Heads.
    pub heads: usize,
    /// Neurons.
    pub neurons: usize,
    /// Input dimensions of projections and MLP inputs.
    pub inputs: usize,
}

impl Cut {
    pub(super) fn add(&mut self, more: Self) {
        self.heads += more.heads;
        self.neurons += more.neurons;
        self.inputs += more.inputs;
    }
}

/// Which sizes matrices may be cut to.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Neurons and gathered inputs are a multiple of it.
    multiple: usize,
    /// Share of the inputs, one in this many, that must be empty for the rest to be gathered.
    gathered_from: usize,
}

impl Sizes {
    /// Any size. Gathering costs a pass over the input; a few columns do not pay it.
    const ANY: Self = Self {
        multiple: 1,
        gathered_from: 8,
    };
    /// Whole lines of 128 bytes, as products on matrix units want them; there a pass costs
    /// more than a product.
    const GPU: Self = Self {
        multiple: 32,
        gathered_from: 2,
    };

    fn on(device: &Device, blocks: Blocks) -> Self {
        // Neurons that form blocks have an order of their own.
        if multiplies_whole_lines(device) && blocks == Blocks::One {
            Self::GPU
        } else {
            Self::ANY
        }
    }

    /// Keeps as many that need not be kept as bring the number up to a multiple.
    fn fill(self, is_kept: &mut [bool]) {
        let count = is_kept.iter().filter(|&&is_kept| is_kept).count();
        let missing = count.next_multiple_of(self.multiple) - count;
        let others = is_kept.iter_mut().filter(|is_kept| !**is_kept);
        others.take(missing).for_each(|is_kept| *is_kept = true);
    }
}

/// Cuts everything that is empty, except what a GPU's sizes require.
pub(crate) fn cut(network: &mut Network, blocks: Blocks) -> Result<Cut> {
    let sizes = Sizes::on(network.device(), blocks);
    cut_to(network, blocks, sizes)
}

/// Cuts everything that is empty, wherever the network is.
pub(crate) fn cut_all(network: &mut Network, blocks: Blocks) -> Result<Cut> {
    cut_to(network, blocks, Sizes::ANY)
}

fn cut_to(network: &mut Network, blocks: Blocks, sizes: Sizes) -> Result<Cut> {
    let mut cut = Cut::default();
    let width = network.shape.head_width();
    let kind = network.shape.activation;
    for layer in &mut network.layers {
        match &mut layer.mixing {
            Mixing::Attention(attention) => {
                cut.heads += cut_heads(attention, width)?;
                cut.inputs += cut_inputs(&mut attention.projection, sizes)?;
            }
            Mixing::Recurrence(Recurrence {
                forward, backward, ..
            }) => {
                for linear in [forward, backward] {
                    cut.inputs += cut_inputs(linear, sizes)?;
                }
            }
        }
        if let Some(mlp) = &mut layer.mlp {
            cut.neurons += cut_neurons(mlp, kind, blocks, sizes)?;
            cut.inputs += cut_inputs(&mut mlp.input, sizes)?;
        }
    }
    Ok(cut)
}

fn cut_heads(attention: &mut Attention, width: usize) -> Result<usize> {
    let heads = attention.heads.len();
    let is_empty = |nonzeros: &[f32]| nonzeros.iter().all(|&count| count == 0.0);
    let rows = attention.projection.weight.nonzeros(1)?;
    let columns = attention.output.weight.nonzeros(0)?;
    let values = rows.get(2 * heads * width..).unwrap_or(&[]);
    let parts = values.chunks_exact(width).zip(columns.chunks_exact(width));
    let keeps = |(values, columns): (&[f32], &[f32])| !is_empty(values) && !is_empty(columns);
    let kept: Vec<bool> = parts.map(keeps).collect();
    let mut kept: Vec<usize> = (0..heads).filter(|&head| kept[head]).collect();
    if kept.is_empty() {
        // Tensors without elements are more trouble than one empty head.
        kept.push(0);
    }
    if kept.len() == heads {
        return Ok(0);
    }
    // Attention weights sum to 1, so a constant value comes out as it is.
    let bias = attention
        .projection
        .bias
        .value
        .narrow(0, 2 * heads * width, heads * width)?;
    let removed: Vec<f32> = (0..heads * width)
        .map(|column| f32::from(!kept.contains(&(column / width))))
        .collect();
    let removed = Tensor::new(removed, bias.device())?;
    let constant = (bias * removed)?;
    add_constant(&mut attention.output, &constant)?;
    keep_heads(attention, &kept, width)?;
    Ok(heads - kept.len())
}

fn cut_neurons(mlp: &mut Mlp, kind: ActivationKind, blocks: Blocks, sizes: Sizes) -> Result<usize> {
    let rows = mlp.input.weight.nonzeros(1)?;
    let columns = mlp.output.weight.nonzeros(0)?;
    let keeps = |(row, column): (&f32, &f32)| *row > 0.0 && *column > 0.0;
    let mut keeps: Vec<bool> = rows.iter().zip(&columns).map(keeps).collect();
    if let (false, Some(first)) = (keeps.contains(&true), keeps.first_mut()) {
        *first = true;
    }
    let neurons = keeps.len();
    let mut is_kept = keeps.clone();
    sizes.fill(&mut is_kept);
    let kept = regroup(&is_kept, blocks.width());
    let counts = rows.iter().zip(&columns).zip(&keeps);
    let is_newly_cut = |&((row, column), keep): &((&f32, &f32), &bool)| !keep && row + column > 0.0;
    let newly_cut = counts.filter(is_newly_cut).count();
    if kept.len() == neurons && newly_cut == 0 {
        return Ok(0);
    }
    let removed: Vec<f32> = keeps.iter().map(|&keep| f32::from(!keep)).collect();
    let constant = activation(&mlp.input.bias.value, kind)?;
    let removed = Tensor::new(removed, constant.device())?;
    let constant = (constant * &removed)?;
    add_constant(&mut mlp.output, &constant)?;
    if is_kept != keeps {
        let nonzeros = (1.0 - removed)?;
        mlp.input.weight.mask_with(&nonzeros.unsqueeze(1)?)?;
        mlp.output.weight.mask_with(&nonzeros.unsqueeze(0)?)?;
    }
    mlp.input.weight.select(&kept, 0)?;
    mlp.input.bias.select(&kept, 0)?;
    mlp.output.weight.select(&kept, 1)?;
    make_whole(&mut mlp.output.weight, blocks.width())?;
    Ok(newly_cut.max(neurons - kept.len()))
}

/// bias += W·input, for inputs that are the same for every token.
fn add_constant(linear: &mut Linear, input: &Tensor) -> Result<()> {
    let weight = &linear.weight.value;
    let added = weight.matmul(&input.unsqueeze(1)?)?.squeeze(1)?;
    linear.bias.value = (&linear.bias.value + added)?;
    Ok(())
}

fn cut_inputs(linear: &mut Linear, sizes: Sizes) -> Result<usize> {
    let nonzeros = linear.weight.nonzeros(0)?;
    let mut is_kept: Vec<bool> = nonzeros.iter().map(|&count| count > 0.0).collect();
    if !is_kept.contains(&true) {
        return Ok(0);
    }
    sizes.fill(&mut is_kept);
    let numbered = (0..).zip(&is_kept);
    let kept: Vec<u32> = numbered
        .filter_map(|(column, &is_kept)| is_kept.then_some(column))
        .collect();
    let empty = nonzeros.len() - kept.len();
    if empty * sizes.gathered_from < nonzeros.len() || empty == 0 {
        return Ok(0);
    }
    linear.weight.select(&kept, 1)?;
    let before = linear.columns.take();
    let number = |&column: &u32| match &before {
        Some(before) => before.get(column as usize).copied().unwrap_or(column),
        None => column,
    };
    linear.columns = Some(kept.iter().map(number).collect());
    Ok(empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Shape;
    use crate::recipe::ModelRecipe;
    use crate::text::batch::{Batch, EncodedExample};

    /// Two layers of 40 neurons on 70 inputs, of which some are empty.
    fn network() -> Network {
        let recipe = ModelRecipe {
            hidden: 70,
            layers: 2,
            heads: 2,
            intermediate: 40,
            tokens: 6,
            activation: ActivationKind::Gelu,
            ..ModelRecipe::default()
        };
        let mut network = Network::new(Shape::new(&recipe, 9, 3, false), 5).unwrap();
        for layer in &mut network.layers {
            let biases: Vec<f32> = (0..40_u8).map(|i| f32::from(i) / 40.0).collect();
            layer.mlp.as_mut().unwrap().input.bias.value =
                Tensor::new(biases, &Device::Cpu).unwrap();
            // Every third neuron reads nothing, every fifth is not read; inputs from the
            // 20th on are empty.
            let mask = |rows: usize, cols: usize, is_kept: fn(usize, usize) -> bool| {
                let cells = (0..rows * cols).map(|i| f32::from(is_kept(i / cols, i % cols)));
                Tensor::from_vec(cells.collect::<Vec<_>>(), (rows, cols), &Device::Cpu).unwrap()
            };
            let input = mask(40, 70, |row, col| row % 3 > 0 && col < 20);
            layer
                .mlp
                .as_mut()
                .unwrap()
                .input
                .weight
                .mask_with(&input)
                .unwrap();
            let output = mask(70, 40, |_, col| col % 5 > 0);
            layer
                .mlp
                .as_mut()
                .unwrap()
                .output
                .weight
                .mask_with(&output)
                .unwrap();
        }
        network
    }

    fn logits(network: &Network) -> Vec<f32> {
        let example = EncodedExample {
            ids: vec![0, 5, 7, 2, 1],
            first: 5,
            label: 0,
        };
        let logits = network.forward(&Batch::new([example].iter())).unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn sizes_of_a_gpu_are_even_and_leave_the_function_and_the_count_as_they_are() {
        let (before, mut exact, mut even) = (network(), network(), network());
        let done = cut_to(&mut exact, Blocks::One, Sizes::ANY).unwrap();
        let same = cut_to(&mut even, Blocks::One, Sizes::GPU).unwrap();
        for layer in &even.layers {
            assert_eq!(
                layer.mlp.as_ref().unwrap().input.weight.value.dims(),
                [32, 32]
            );
            assert_eq!(
                layer.mlp.as_ref().unwrap().output.weight.value.dims(),
                [70, 32]
            );
        }
        for layer in &exact.layers {
            assert_eq!(
                layer.mlp.as_ref().unwrap().input.weight.value.dims(),
                [21, 20]
            );
        }
        // Three neurons of each layer neither read nor are read: those were cut before.
        assert_eq!((done.neurons, same.neurons), (38, 32));
        let nonzeros = exact.nonzero_weights().unwrap();
        assert_eq!(even.nonzero_weights().unwrap(), nonzeros);
        let again = cut_to(&mut even, Blocks::One, Sizes::GPU).unwrap();
        assert_eq!(again, Cut::default());
        for network in [&exact, &even] {
            for (before, after) in logits(&before).iter().zip(logits(network)) {
                assert!((before - after).abs() < 1e-4, "{before} {after}");
            }
        }
        // What was kept for its size alone is cut at the end.
        cut_all(&mut even, Blocks::One).unwrap();
        for (even, exact) in even.layers.iter().zip(&exact.layers) {
            let [even, exact] =
                [even, exact].map(|layer| layer.mlp.as_ref().unwrap().output.weight.to_vec());
            assert_eq!(even.unwrap(), exact.unwrap());
        }
    }
}
