//! Heads that are the same by their weights, as published: the `paper` method.
//!
//! Heads i and j of a layer are neighbours where no weight of their rows of Q, K and V
//! differs by more than θ. A head is removed when the closed neighbourhood of another
//! contains its own; of heads with equal neighbourhoods the last is kept. That approximates a
//! minimum dominating set: a head's outputs, and how much they matter, play no part.
//!
//! The treatment of a removed head is **reconstructed**: the columns of L_in with its dimensions
//! are added to those of the survivor. In a network with W_O these are not the head's outputs, so
//! the answers change; the default method merges into W_O instead.

use candle_core::{Result, Tensor};

use super::heads::{HeadTest, KeptHead, MergedHead, keep_heads};
use super::spare::Spare;
use super::threshold::apply_mask;
use crate::network::{Attention, Layer, Linear, Mixing, Network};

/// Removes the heads that another one dominates: `theta` is the largest difference between
/// weights of two heads that count as the same; as far as their weights are `spare`.
pub(crate) fn filter_heads(
    network: &mut Network,
    theta: f32,
    mut spare: Spare,
) -> Result<HeadTest> {
    let width = network.shape.head_width();
    let mut test = HeadTest::default();
    for (number, Layer { mixing, mlp }) in network.layers.iter_mut().enumerate() {
        let Mixing::Attention(attention) = mixing else {
            continue;
        };
        let distances = distances(attention, width)?;
        let mut survivors = survivors(&distances, theta);
        let heads = 0..survivors.len();
        let removed: Vec<usize> = heads.filter(|&head| survivors[head].is_some()).collect();
        let removed = spare.take(attention, &removed, width)?;
        for (head, survivor) in survivors.iter_mut().enumerate() {
            survivor.take_if(|_| !removed.contains(&head));
        }
        let kept: Vec<usize> = (0..survivors.len())
            .filter(|&head| survivors[head].is_none())
            .collect();
        let name = |head: usize| attention.heads[head];
        for (head, survivor) in survivors.iter().enumerate() {
            match *survivor {
                Some(survivor) => test.merged.push(MergedHead {
                    layer: number,
                    head: name(head),
                    into: name(survivor),
                    distance: distances[head][survivor],
                }),
                None => test
                    .kept
                    .push(KeptHead::new(number, &attention.heads, head, |other| {
                        distances[head][other]
                    })),
            }
        }
        let moves: Vec<(u16, u16)> = (0..survivors.len())
            .filter_map(|head| Some((name(head), name(survivors[head]?))))
            .collect();
        for (from, to) in moves {
            if let Some(mlp) = mlp.as_mut() {
                move_columns(&mut mlp.input, from, to, width)?;
            }
        }
        if kept.len() < survivors.len() {
            keep_heads(attention, &kept, width)?;
        }
    }
    Ok(test)
}

/// Largest difference of the weights of Q, K and V of any two heads.
fn distances(attention: &Attention, width: usize) -> Result<Vec<Vec<f32>>> {
    let heads = attention.heads.len();
    let weight = &attention.projection.weight.value;
    let cols = weight.dim(1)?;
    // [3, heads, width · cols]
    let parts = weight.reshape((3, heads, width * cols))?.to_vec3::<f32>()?;
    let distance = |i: usize, j: usize| {
        let pairs = parts.iter().flat_map(|part| part[i].iter().zip(&part[j]));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let row = |i| (0..heads).map(|j| distance(i, j)).collect();
    Ok((0..heads).map(row).collect())
}

/// For each head the one that takes over from it, or nothing if it is kept.
fn survivors(distances: &[Vec<f32>], theta: f32) -> Vec<Option<usize>> {
    let heads = distances.len();
    let neighbourhoods: Vec<u32> = distances
        .iter()
        .map(|row| {
            (0..heads)
                .filter(|&j| row[j] <= theta)
                .map(|j| 1 << j)
                .sum()
        })
        .collect();
    let dominates = |j: usize, i: usize| {
        let (mine, other) = (neighbourhoods[i], neighbourhoods[j]);
        i != j && mine & !other == 0 && (mine != other || j > i)
    };
    let is_kept: Vec<bool> = (0..heads)
        .map(|i| !(0..heads).any(|j| dominates(j, i)))
        .collect();
    (0..heads)
        .map(|i| {
            let dominators = (0..heads).filter(|&j| is_kept[j] && dominates(j, i));
            dominators.min_by(|&a, &b| distances[i][a].total_cmp(&distances[i][b]))
        })
        .collect()
}

/// Adds the columns of the dimensions of head `from` to those of head `to`, and zeroes the former.
fn move_columns(linear: &mut Linear, from: u16, to: u16, width: usize) -> Result<()> {
    let shape = linear.weight.value.shape().clone();
    let cols = shape.dims2()?.1;
    let place = |dimension: usize| match &linear.columns {
        None => Some(dimension),
        Some(columns) => columns.iter().position(|&col| col as usize == dimension),
    };
    let pairs: Vec<(Option<usize>, Option<usize>)> = (0..width)
        .map(|at| {
            let of = |head: u16| place(usize::from(head) * width + at);
            (of(from), of(to))
        })
        .collect();
    let mut weights = linear.weight.to_vec()?;
    let device = linear.weight.value.device().clone();
    let Some(pruning) = &mut linear.weight.pruning else {
        return Ok(());
    };
    let mut mask = pruning.mask.flatten_all()?.to_vec1::<f32>()?;
    let rows = weights
        .chunks_exact_mut(cols)
        .zip(mask.chunks_exact_mut(cols));
    for (weights, mask) in rows {
        for &(from, to) in &pairs {
            let Some(from) = from else { continue };
            if let Some(to) = to {
                weights[to] += weights[from];
                mask[to] = mask[to].max(mask[from]);
            }
            mask[from] = 0.0;
        }
    }
    pruning.mask = Tensor::from_vec(mask, &shape, &device)?;
    linear.weight.value = Tensor::from_vec(weights, &shape, &device)?;
    apply_mask(&mut linear.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Shape;
    use crate::recipe::ModelRecipe;

    #[test]
    fn a_head_goes_where_another_neighbourhood_contains_its_own() {
        let near = |pairs: &[(usize, usize)]| -> Vec<Vec<f32>> {
            let distance = |i: usize, j: usize| match i == j {
                true => 0.0,
                false if pairs.contains(&(i, j)) || pairs.contains(&(j, i)) => 0.1,
                false => 0.9,
            };
            (0..4)
                .map(|i| (0..4).map(|j| distance(i, j)).collect())
                .collect()
        };
        // A star: its middle replaces all.
        let star = near(&[(1, 0), (1, 2), (1, 3)]);
        assert_eq!(survivors(&star, 0.15), [Some(1), None, Some(1), Some(1)]);
        // Equal neighbourhoods: the later one is kept.
        let pair = near(&[(0, 2)]);
        assert_eq!(survivors(&pair, 0.15), [Some(2), None, None, None]);
        // A path 0–1–2–3: its ends are removed, though 1 and 2 could not replace one another.
        let path = near(&[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(survivors(&path, 0.15), [Some(1), None, None, Some(2)]);
        // A square: no neighbourhood contains another.
        let square = near(&[(0, 1), (1, 2), (2, 3), (3, 0)]);
        assert_eq!(survivors(&square, 0.15), [None; 4]);
        assert_eq!(survivors(&star, 0.05), [None; 4]);
    }

    #[test]
    fn columns_of_a_head_that_goes_are_added_to_the_survivors() {
        let model = ModelRecipe {
            hidden: 4,
            heads: 2,
            layers: 1,
            intermediate: 3,
            ..ModelRecipe::default()
        };
        let mut network = Network::new(Shape::new(&model, 20, 2, false), 1).unwrap();
        let layer = &mut network.layers[0];
        // The second head's rows are the first's, moved by a little.
        let mut weights = layer
            .attention()
            .unwrap()
            .projection
            .weight
            .to_vec()
            .unwrap();
        for part in 0..3 {
            for at in 0..8 {
                weights[part * 16 + 8 + at] = weights[part * 16 + at] + 0.125;
            }
        }
        let weights = Tensor::from_vec(
            weights,
            (12, 4),
            layer.attention().unwrap().projection.weight.value.device(),
        );
        layer.attention_mut().unwrap().projection.weight.value = weights.unwrap();
        let before = layer
            .mlp
            .as_ref()
            .unwrap()
            .input
            .weight
            .value
            .to_vec2::<f32>()
            .unwrap();
        let spare = Spare::new(&network, 0).unwrap();
        let test = filter_heads(&mut network, 0.15, spare).unwrap();
        let [merged] = &test.merged[..] else {
            panic!("{test:?}")
        };
        assert_eq!((merged.layer, merged.head, merged.into), (0, 0, 1));
        assert!((merged.distance - 0.125).abs() < 1e-5);
        let layer = &network.layers[0];
        assert_eq!(layer.attention().unwrap().heads, [1]);
        assert_eq!(
            layer.attention().unwrap().projection.weight.value.dims(),
            [6, 4]
        );
        let after = layer
            .mlp
            .as_ref()
            .unwrap()
            .input
            .weight
            .value
            .to_vec2::<f32>()
            .unwrap();
        for (before, after) in before.iter().zip(&after) {
            let moved = [0.0, 0.0, before[2] + before[0], before[3] + before[1]];
            assert_eq!(after[..], moved);
        }
    }
}
