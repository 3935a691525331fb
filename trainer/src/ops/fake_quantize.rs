//! x as int8 gives it back: what a product of the exported file reads.
//!
//! Rows are tokens of an activation, or outputs of a matrix; each has one scale, 1/127 of its
//! largest magnitude, or 1/7 for four bits. For activations that is the runtime's; the scale of a matrix's row is a byte
//! in the file, chosen near it ([`crate::model_file::quantization`]). The gradient passes as if
//! nothing had been rounded (straight-through estimator: Bengio et al. 2013, Jacob et al. 2018), so
//! a backward has nothing to do but use what the forward read.

use candle_core::{Result, Tensor};
use neuroprune_format::tensor::TableValues;

use super::on_cpu;

/// `x` `[rows, width]`, each row rounded to as many steps of its largest magnitude as these values
/// have; ties to even.
pub(crate) fn fake_quantize(x: &Tensor, values: TableValues) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let steps = f32::from(values.largest());
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::fake_quantize(x, steps);
    }
    on_cpu([x], x.shape(), |[x]| {
        let mut y = x.to_vec();
        let rows = y.chunks_exact_mut(width.max(1));
        rows.for_each(|row| round(row, steps));
        y
    })
}

fn round(row: &mut [f32], steps: f32) {
    let largest = row.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    if largest > 0.0 {
        let (step, inverse) = (largest / steps, steps / largest);
        for x in row {
            *x = (*x * inverse).round_ties_even() * step;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn rounded(rows: &[[f32; 3]]) -> Vec<Vec<f32>> {
        let x = Tensor::from_slice(rows.as_flattened(), (rows.len(), 3), &Device::Cpu).unwrap();
        fake_quantize(&x, TableValues::I8)
            .unwrap()
            .to_vec2()
            .unwrap()
    }

    #[test]
    fn rows_have_255_values_and_scales_of_their_own() {
        let [first, second, empty] =
            &rounded(&[[127.0, 3.4, -2.6], [-0.254, 0.0011, 0.25], [0.0, 0.0, -0.0]])[..]
        else {
            panic!("three rows");
        };
        assert_eq!(first, &[127.0, 3.0, -3.0]);
        for (x, expected) in second.iter().zip([-0.254, 0.002, 0.25]) {
            assert!((x - expected).abs() < 1e-6, "{x}, not {expected}");
        }
        assert!(empty.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn what_is_rounded_stays() {
        let once = rounded(&[[0.7, -0.31, 0.123]]);
        let [row] = &once[..] else { panic!("one row") };
        let again = rounded(&[[row[0], row[1], row[2]]]);
        for (once, again) in row.iter().zip(&again[0]) {
            assert!((once - again).abs() < 1e-6);
        }
    }
}
