//! What is empty is cut out of the network, so that later steps run on a smaller one.
//!
//! Every cut leaves the function as it is:
//! - a neuron without inputs says the same for every token, act(b): L_out's bias takes
//!   that over; one that nobody reads goes;
//! - a head whose values are empty says the same for every token, its value bias: W_O's
//!   bias takes that over; one that W_O does not read goes;
//! - an input dimension that no row of a matrix reads is not gathered.
//!
//! With blocks wider than 1 neurons change places so that blocks of L_out stay whole
//! (`super::blocks`); that leaves the function as it is too.

use candle_core::{Result, Tensor, Var};

use super::blocks::{make_whole, regroup};
use super::heads::keep_heads;
use crate::network::{Layer, Linear, Network};
use crate::ops::activation;
use crate::parameter::Parameter;
use crate::recipe::{ActivationKind, Blocks};

/// What was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
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

/// Cuts everything that is empty.
///
/// # Errors
/// When a tensor cannot be read or made.
pub fn cut(network: &mut Network, blocks: Blocks) -> Result<Cut> {
    let mut cut = Cut::default();
    let width = network.shape.head_width();
    let kind = network.shape.activation;
    for layer in &mut network.layers {
        cut.heads += cut_heads(layer, width)?;
        cut.neurons += cut_neurons(layer, kind, blocks)?;
        for linear in [&mut layer.projection, &mut layer.mlp_input] {
            cut.inputs += cut_inputs(linear)?;
        }
    }
    Ok(cut)
}

/// Number of living weights in each row (dimension 1) or column (dimension 0).
fn living(parameter: &Parameter, summed: usize) -> Result<Vec<f32>> {
    match &parameter.pruning {
        Some(pruning) => pruning.mask.sum(summed)?.to_vec1(),
        None => Ok(vec![1.0; parameter.value.dim(1 - summed)?]),
    }
}

fn cut_heads(layer: &mut Layer, width: usize) -> Result<usize> {
    let heads = layer.heads.len();
    let is_empty = |living: &[f32]| living.iter().all(|&count| count == 0.0);
    let rows = living(&layer.projection.weight, 1)?;
    let columns = living(&layer.attention_output.weight, 0)?;
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
    let bias = layer
        .projection
        .bias
        .value
        .narrow(0, 2 * heads * width, heads * width)?;
    let going: Vec<f32> = (0..heads * width)
        .map(|column| f32::from(!kept.contains(&(column / width))))
        .collect();
    let going = Tensor::new(going, bias.device())?;
    let constant = (bias * going)?;
    add_constant(&mut layer.attention_output, &constant)?;
    keep_heads(layer, &kept, width)?;
    Ok(heads - kept.len())
}

fn cut_neurons(layer: &mut Layer, kind: ActivationKind, blocks: Blocks) -> Result<usize> {
    let rows = living(&layer.mlp_input.weight, 1)?;
    let columns = living(&layer.mlp_output.weight, 0)?;
    let keeps = |(row, column): (&f32, &f32)| *row > 0.0 && *column > 0.0;
    let mut keeps: Vec<bool> = rows.iter().zip(&columns).map(keeps).collect();
    if let (false, Some(first)) = (keeps.contains(&true), keeps.first_mut()) {
        *first = true;
    }
    let neurons = keeps.len();
    let kept = regroup(&keeps, blocks.width());
    if kept.len() == neurons {
        return Ok(0);
    }
    let going: Vec<f32> = keeps.iter().map(|&keep| f32::from(!keep)).collect();
    let constant = activation(&layer.mlp_input.bias.value.detach(), kind)?;
    let going = Tensor::new(going, constant.device())?;
    let constant = (constant * going)?;
    add_constant(&mut layer.mlp_output, &constant)?;
    layer.mlp_input.weight.select(&kept, 0)?;
    layer.mlp_input.bias.select(&kept, 0)?;
    layer.mlp_output.weight.select(&kept, 1)?;
    make_whole(&mut layer.mlp_output.weight, blocks.width())?;
    Ok(neurons - kept.len())
}

/// bias += W·input, for inputs that are the same for every token.
fn add_constant(linear: &mut Linear, input: &Tensor) -> Result<()> {
    let weight = linear.weight.value.as_tensor();
    let added = weight.matmul(&input.detach().unsqueeze(1)?)?.squeeze(1)?;
    let bias = (linear.bias.value.as_tensor() + added)?;
    linear.bias.value = Var::from_tensor(&bias.detach())?;
    Ok(())
}

fn cut_inputs(linear: &mut Linear) -> Result<usize> {
    let living = living(&linear.weight, 0)?;
    let is_read = |(column, &count): (u32, &f32)| (count > 0.0).then_some(column);
    let kept: Vec<u32> = (0..).zip(&living).filter_map(is_read).collect();
    let empty = living.len() - kept.len();
    // Gathering the rest costs a pass over the input; a few columns do not pay it.
    if empty * 8 < living.len() || kept.is_empty() {
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
