//! Sums and largest values of rows, side by side: an order of additions that vector registers
//! have too, the same for every row of a length.

/// Partial results.
pub(super) const LANES: usize = 16;

/// Σ `term`(a, b) of two rows of one length.
#[inline]
pub(super) fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(a, b);
        }
    }
    for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += term(a, b);
    }
    sums.into_iter().sum()
}

/// The largest number of a row, −∞ where there is none.
#[inline]
pub(super) fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, value);
        }
    }
    let lanes = lanes.into_iter().chain(rest.iter().copied());
    lanes.fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_once() {
        for length in 0..40_u8 {
            let row: Vec<f32> = (0..length).map(f32::from).collect();
            let expected = row.iter().map(|x| x * x).sum::<f32>();
            assert_eq!(sum(&row, &row, |a, b| a * b), expected);
            for place in 0..row.len() {
                let mut row = vec![-3.0; row.len()];
                row[place] = -1.0;
                assert_eq!(largest(&row), -1.0);
            }
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }
}
