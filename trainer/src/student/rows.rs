//! The rows of a student's table: principal components of its teacher's.

use std::collections::HashMap;

use candle_core::{Result, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::network::Network;
use crate::numbers::{real, single};
use crate::text::vocabulary::Vocabulary;

/// Sets each row of the student's table to the coordinates of the same piece in its teacher's, along
/// as many principal components as a row is wide; scaled to a mean square length of 1, with which a
/// factor is made to work. Rows that are wider are filled up with zeros.
pub(super) fn set(
    student: &mut Network,
    vocabulary: &Vocabulary,
    teacher: &Network,
    teachers: &Vocabulary,
) -> Result<()> {
    let numbers: HashMap<String, u32> = teachers.tokens().zip(0..).collect();
    let kept: Vec<u32> = vocabulary
        .tokens()
        .filter_map(|piece| numbers.get(&piece).copied())
        .collect();
    let table = &teacher.token_embedding.value;
    let rows = table.index_select(&Tensor::new(kept, table.device())?, 0)?;
    let rows = rows.broadcast_sub(&rows.mean_keepdim(0)?)?;
    let covariance = rows.t()?.matmul(&rows)?.to_vec2::<f32>()?;
    let (_, width) = student.token_embedding.value.dims2()?;
    let components = largest_components(&covariance, width);
    let components = Tensor::new(components, rows.device())?;
    let rows = rows.matmul(&components.t()?)?;
    let mean_square = rows.sqr()?.sum_all()?.to_scalar::<f32>()? / single(real(rows.dim(0)?));
    let scale = mean_square.max(f32::MIN_POSITIVE).sqrt().recip();
    let rows = (rows * f64::from(scale))?;
    let value = &mut student.token_embedding.value;
    *value = rows.to_device(value.device())?.contiguous()?;
    Ok(())
}

/// The `count` eigenvectors with the largest eigenvalues of a symmetric matrix, the largest first,
/// each a row whose largest entry is positive; zeros where there are fewer.
fn largest_components(symmetric: &[Vec<f32>], count: usize) -> Vec<Vec<f32>> {
    let size = symmetric.len();
    let entry = |row: usize, col: usize| f64::from(symmetric[row][col]);
    let eigen = SymmetricEigen::new(DMatrix::from_fn(size, size, entry));
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let component = |place: usize| {
        let Some(&index) = order.get(place) else {
            return vec![0.0; size];
        };
        let column = eigen.eigenvectors.column(index);
        // A decomposition may give either sign.
        let largest = column
            .iter()
            .fold(0.0, |largest: f64, &x| match x.abs() > largest.abs() {
                true => x,
                false => largest,
            });
        column
            .iter()
            .map(|&x| single(x * largest.signum()))
            .collect()
    };
    (0..count).map(component).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_those_of_the_largest_spread() {
        // Eigenvalues 3 along (1, 1) and 1 along (1, -1).
        let found = largest_components(&[vec![2.0, 1.0], vec![1.0, 2.0]], 3);
        let half = 0.5_f32.sqrt();
        for (found, expected) in found[0].iter().zip([half, half]) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert!((found[1][0] + found[1][1]).abs() < 1e-6);
        assert_eq!(found[2], [0.0, 0.0]);
    }
}
