//! The penalties as published: gradients that are added to that of the loss.
//!
//! **Reconstructed.** The paper describes both penalties; these are equations that do what
//! it describes. With n_i the sum Σ|A_ij| of an input dimension over the rows of Q, K and V:
//!
//! ```text
//! L_in, L_out   α·Σ_i (floor + 1 − degree_i)·‖row_i‖₁     degree: share with |w| ≥ ε
//! Q, K, V       β·Σ_i √n_i
//! ```
//!
//! The floor keeps the first from beginning at almost nothing, where no weight is small
//! yet. Weights of a row are taken as constant in a step, as in any reweighted l1. The
//! gradient of the second grows without bound as a dimension vanishes; n_i counts as no
//! less than that of a dimension whose weights are all ε.
//!
//! `l1` is the baseline without topology: α·Σ|w| over all encoder matrices.

use candle_core::{DType, Result, Tensor};

use crate::network::parameter::Parameter;
use crate::network::tape::Gradients;
use crate::network::{LayerMatrix, Matrix, Network};
use crate::numbers::{real, single};
use crate::recipe::Method;

/// Size below which the paper counts a weight as pruned.
pub(crate) const EPSILON: f32 = 1e-4;

/// Adds the gradients of the method's penalties to those of the loss.
pub(crate) fn add_gradients(
    network: &Network,
    gradients: &mut Gradients,
    method: &Method,
) -> Result<()> {
    for LayerMatrix {
        matrix, parameter, ..
    } in network.matrices()
    {
        let gradient = match method {
            Method::L1(settings) => (signs(parameter)? * settings.alpha)?,
            Method::Paper(paper) => match matrix {
                Matrix::Projection if paper.group_sparsity => {
                    (group_gradient(parameter)? * paper.beta)?
                }
                Matrix::MlpInput
                | Matrix::MlpOutput
                | Matrix::ForwardRecurrence
                | Matrix::BackwardRecurrence
                    if paper.preferential_attachment =>
                {
                    let (_, inputs) = matrix.dims(&network.shape);
                    let floor = f64::from(paper.cost_floor);
                    (attachment_gradient(parameter, inputs, floor)? * paper.alpha)?
                }
                Matrix::Projection
                | Matrix::AttentionOutput
                | Matrix::MlpInput
                | Matrix::MlpOutput
                | Matrix::ForwardRecurrence
                | Matrix::BackwardRecurrence => continue,
            },
            Method::Neuroprune(_)
            | Method::Magnitude { .. }
            | Method::Sensitivity { .. }
            | Method::Movement { .. } => return Ok(()),
        };
        gradients.add(parameter, gradient)?;
    }
    Ok(())
}

/// The derivative of Σ|w|; 0 where the weight is.
fn signs(parameter: &Parameter) -> Result<Tensor> {
    parameter.value.sign()
}

/// (floor + 1 − degree)·sign(w); `inputs` counts columns before any were cut.
fn attachment_gradient(parameter: &Parameter, inputs: usize, floor: f64) -> Result<Tensor> {
    let sizes = parameter.value.abs()?;
    let nonzeros = sizes.ge(EPSILON)?.to_dtype(DType::F32)?.sum_keepdim(1)?;
    let cost = nonzeros.affine(-1.0 / real(inputs), floor + 1.0)?;
    signs(parameter)?.broadcast_mul(&cost)
}

/// sign(w) / (2·√n), n the sum of the column's sizes.
fn group_gradient(parameter: &Parameter) -> Result<Tensor> {
    let sizes = parameter.value.abs()?;
    let least = EPSILON * single(real(sizes.dim(0)?));
    let sums = sizes.sum_keepdim(0)?.maximum(least)?;
    let pull = (sums.sqrt()?.recip()? * 0.5)?;
    signs(parameter)?.broadcast_mul(&pull)
}

/// Share of the encoder weights that are smaller than [`EPSILON`], including those that were
/// pruned: the sparsity that penalties alone have reached.
pub(crate) fn share_below_epsilon(network: &Network) -> Result<f64> {
    let mut left = 0_usize;
    for it in network.matrices() {
        let weights = it.parameter.to_vec()?;
        left += weights.iter().filter(|w| w.abs() >= EPSILON).count();
    }
    Ok(1.0 - real(left) / real(network.shape.encoder_weights()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with all weights, with half of them, and with none above ε.
    const WEIGHTS: [f32; 12] = [
        0.5, -0.25, 1.0, -2.0, //
        0.5, 5e-5, -0.125, 0.0, //
        5e-5, -5e-5, 0.0, 9e-5,
    ];

    fn parameter() -> Parameter {
        Parameter::prunable(WEIGHTS.to_vec(), &[3, 4]).unwrap()
    }

    fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
        tensor.to_vec2().unwrap()
    }

    #[test]
    fn a_poor_row_is_pulled_harder() {
        // Costs 0.2 + 1 − degree with degrees 1, ½ and 0.
        let gradient = rows(&attachment_gradient(&parameter(), 4, 0.2).unwrap());
        let expected = [
            [0.2, -0.2, 0.2, -0.2],
            [0.7, 0.7, -0.7, 0.0],
            [1.2, -1.2, 0.0, 1.2],
        ];
        for (row, expected) in gradient.iter().zip(expected) {
            for (value, expected) in row.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{gradient:?}");
            }
        }
    }

    #[test]
    fn a_weak_dimension_is_pulled_harder_within_bounds() {
        let weights = vec![3.0, 0.0, 1e-5, -1.0, 0.0, 0.0];
        let parameter = Parameter::prunable(weights, &[2, 3]).unwrap();
        let gradient = rows(&group_gradient(&parameter).unwrap());
        // Sums 4, 0 and 1e-5; the last counts as 2·ε.
        assert_eq!(gradient[0][..2], [0.25, 0.0]);
        assert_eq!(gradient[1], [-0.25, 0.0, 0.0]);
        assert!((gradient[0][2] - 0.5 / 2e-4_f32.sqrt()).abs() < 1e-3);
    }

    /// Σ_i cost_i·‖row_i‖₁, costs of the weights in `at`.
    fn attachment(weights: &[f32], at: &[f32]) -> f64 {
        let rows = weights.chunks(4).zip(at.chunks(4));
        rows.map(|(row, at)| {
            let nonzeros = at.iter().filter(|w| w.abs() >= EPSILON).count();
            let cost = 0.2 + 1.0 - f64::from(u32::try_from(nonzeros).unwrap()) / 4.0;
            cost * row.iter().map(|&w| f64::from(w.abs())).sum::<f64>()
        })
        .sum()
    }

    /// Σ_i √n_i over columns.
    fn group(weights: &[f32]) -> f64 {
        let sum = |col: usize| weights.iter().skip(col).step_by(4);
        (0..4)
            .map(|col| sum(col).map(|&w| f64::from(w.abs())).sum::<f64>().sqrt())
            .sum()
    }

    #[test]
    fn gradients_are_those_of_the_penalties() {
        let parameter = parameter();
        let attachment_gradient = attachment_gradient(&parameter, 4, 0.2).unwrap();
        let group_gradient = group_gradient(&parameter).unwrap();
        for index in 0..WEIGHTS.len() {
            // No derivative at zero.
            if WEIGHTS[index] == 0.0 {
                continue;
            }
            let slope = |penalty: &dyn Fn(&[f32]) -> f64| {
                let moved = |by: f32| {
                    let mut weights = WEIGHTS;
                    weights[index] += by;
                    penalty(&weights)
                };
                let step = 2e-5_f32;
                (moved(step) - moved(-step)) / (2.0 * f64::from(step))
            };
            let at = |gradient: &Tensor| f64::from(rows(gradient)[index / 4][index % 4]);
            let expected = slope(&|weights| attachment(weights, &WEIGHTS));
            let found = at(&attachment_gradient);
            assert!(
                (found - expected).abs() < 2e-2,
                "{index}: {found} {expected}"
            );
            let (found, expected) = (at(&group_gradient), slope(&group));
            assert!(
                (found - expected).abs() < 2e-2,
                "{index}: {found} {expected}"
            );
        }
    }
}
