//! Which groups of weights are kept: those with the best score for their cost, as many as fit.
//!
//! With blocks wider than 1, weights are removed in groups. A group's score is the root mean square
//! of the scores of its weights, each for its cost: to second order, with the squares of the
//! gradients for the curvature, that is what the loss loses, and a group of one has the score of
//! its weight. Movements have signs: their score is the mean.

use candle_core::{Result, Tensor};

use crate::numbers::{real, single};
use crate::recipe::ScoreKind;

/// Costs of one matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Costs {
    /// 1 for every weight.
    Even,
    /// One per row.
    Rows(Vec<f32>),
    /// One per column.
    Columns(Vec<f32>),
}

impl Costs {
    /// Cost of the weight at `row` and `col`.
    pub(crate) fn at(&self, row: usize, col: usize) -> f32 {
        match self {
            Self::Even => 1.0,
            Self::Rows(costs) => costs.get(row).copied().unwrap_or(1.0),
            Self::Columns(costs) => costs.get(col).copied().unwrap_or(1.0),
        }
    }
}

/// A matrix whose weights are chosen among.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// What the score is made of, `[rows, cols]`.
    pub(crate) scores: Tensor,
    /// 0 for weights that are not candidates.
    pub(crate) mask: Tensor,
    /// Of its weights.
    pub(crate) costs: Costs,
}

/// What to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// Width of a group.
    pub(crate) width: usize,
    /// What `scores` are.
    pub(crate) score: ScoreKind,
    /// Weights to keep, at most.
    pub(crate) kept: usize,
}

/// What is kept.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The mask of each matrix.
    pub(crate) masks: Vec<Tensor>,
    /// How many weights were removed.
    pub(crate) removed_weights: usize,
    /// Score for its cost of the last group that is kept; infinite where none is.
    pub(crate) last: f32,
}

/// A group of weights: which matrix, where in it, score for its cost.
struct Group {
    score: f32,
    matrix: u32,
    /// Its first weight.
    index: u32,
    /// Its weights: the width of a block, or less at the end of a row.
    weights: u32,
}

/// Chooses; `None` where there are no more weights than those to keep. Among equal scores the first
/// are kept.
pub(crate) fn keep_best(matrices: &[Candidates], choice: Choice) -> Result<Option<Chosen>> {
    #[cfg(feature = "cuda")]
    if matrices.iter().any(|it| it.mask.device().is_cuda()) {
        return super::cuda::keep_best(matrices, choice);
    }
    let Choice { width, kept, .. } = choice;
    let mut groups = groups(matrices, choice)?;
    let nonzeros: usize = groups.iter().map(Group::weights).sum();
    if nonzeros <= kept {
        return Ok(None);
    }
    // The best groups, as many as surely fit; short ones leave room for more.
    let mut removed = groups.as_mut_slice();
    let mut room = kept;
    let mut last = f32::INFINITY;
    while room >= width && !removed.is_empty() {
        let count = (room / width).min(removed.len());
        if count < removed.len() {
            removed.select_nth_unstable_by(count, |a, b| {
                let place = |group: &Group| (group.matrix, group.index);
                b.score
                    .total_cmp(&a.score)
                    .then_with(|| place(a).cmp(&place(b)))
            });
        }
        let (best, rest) = removed.split_at_mut(count);
        room -= best.iter().map(Group::weights).sum::<usize>();
        last = best.iter().map(|group| group.score).fold(last, f32::min);
        removed = rest;
    }
    let removed_weights = removed.iter().map(Group::weights).sum();
    Ok(Some(Chosen {
        masks: without(matrices, removed)?,
        removed_weights,
        last,
    }))
}

impl Group {
    fn weights(&self) -> usize {
        self.weights as usize
    }
}

/// Every group of every matrix that is a candidate.
fn groups(matrices: &[Candidates], choice: Choice) -> Result<Vec<Group>> {
    let Choice { width, score, .. } = choice;
    let mut groups = Vec::new();
    for (matrix, candidates) in (0..).zip(matrices) {
        let (rows, cols) = candidates.mask.dims2()?;
        let scores = match score {
            ScoreKind::Sensitivity | ScoreKind::Movement => candidates.scores.clone(),
            ScoreKind::Magnitude => candidates.scores.abs()?,
        };
        let scores = scores.flatten_all()?.to_vec1::<f32>()?;
        let mask = candidates.mask.flatten_all()?.to_vec1::<f32>()?;
        for row in 0..rows {
            for first in (0..cols).step_by(width) {
                let columns = first..(first + width).min(cols);
                let index = row * cols + first;
                // Groups are whole: the first weight stands for all.
                if mask[index] == 0.0 {
                    continue;
                }
                let of = |col| for_cost(scores[row * cols + col], candidates.costs.at(row, col));
                groups.push(Group {
                    matrix,
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    weights: u32::try_from(columns.len()).unwrap_or(u32::MAX),
                    score: group_score(columns.map(of), score),
                });
            }
        }
    }
    Ok(groups)
}

/// Expensive weights are pruned earlier, also where a score is below zero.
fn for_cost(score: f32, cost: f32) -> f32 {
    if score < 0.0 {
        score * cost
    } else {
        score / cost
    }
}

fn group_score(scores: impl ExactSizeIterator<Item = f32>, kind: ScoreKind) -> f32 {
    match kind {
        ScoreKind::Sensitivity | ScoreKind::Magnitude => root_mean_square(scores),
        ScoreKind::Movement => mean(scores),
    }
}

fn mean(scores: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = single(real(scores.len()));
    scores.sum::<f32>() / count
}

/// In f64, where squares of f32 are exact and do not vanish: one score comes out as it is.
fn root_mean_square(scores: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = real(scores.len());
    let squares = scores.map(|score| f64::from(score) * f64::from(score));
    single((squares.sum::<f64>() / count).sqrt())
}

fn without(matrices: &[Candidates], removed: &[Group]) -> Result<Vec<Tensor>> {
    let masks = matrices.iter().map(|it| it.mask.flatten_all()?.to_vec1());
    let mut masks = masks.collect::<Result<Vec<Vec<f32>>>>()?;
    for group in removed {
        let first = group.index as usize;
        let mask = masks.get_mut(group.matrix as usize);
        let group = mask.and_then(|mask| mask.get_mut(first..first + group.weights()));
        if let Some(group) = group {
            group.fill(0.0);
        }
    }
    let masks = matrices.iter().zip(masks);
    masks
        .map(|(it, mask)| Tensor::from_vec(mask, it.mask.shape(), it.mask.device()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_score_comes_out_as_it_is() {
        for score in [0.0, 1e-45, 1.2e-38, 0.1, 7.7, 3e38_f32] {
            let mean = root_mean_square([score].into_iter());
            assert_eq!(mean.to_bits(), score.to_bits(), "{score}");
        }
        assert_eq!(root_mean_square([3.0, 4.0, 0.0, 0.0].into_iter()), 2.5);
    }

    #[test]
    fn a_negative_movement_goes_first_and_earlier_where_it_is_dear() {
        let movement = |scores: [f32; 2]| group_score(scores.into_iter(), ScoreKind::Movement);
        assert_eq!(movement([-3.0, 1.0]), -1.0);
        assert!(movement([-3.0, 1.0]) < movement([0.5, 0.5]));
        assert_eq!((for_cost(2.0, 4.0), for_cost(-2.0, 4.0)), (0.5, -8.0));
    }
}
