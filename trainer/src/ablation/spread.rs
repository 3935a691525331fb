//! Mean and deviation over seeds.

use serde::Serialize;

use crate::numbers::real;

/// Mean and sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 0 for one value.
    pub deviation: f64,
    /// Values.
    pub count: usize,
}

impl Spread {
    /// Of these values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = real(values.len());
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
            count: values.len(),
        }
    }

    /// `92.37 ± 0.41`, or the one value.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let Self {
            mean, deviation, ..
        } = self;
        match self.count {
            0 => "–".to_owned(),
            1 => format!("{mean:.decimals$}"),
            _ => format!("{mean:.decimals$} ± {deviation:.decimals$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviation_is_that_of_a_sample() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]);
        assert!((spread.mean - 2.0).abs() < 1e-12 && (spread.deviation - 1.0).abs() < 1e-12);
        assert_eq!(spread.show(1), "2.0 ± 1.0");
        assert_eq!(Spread::of(&[5.0]).show(2), "5.00");
        assert_eq!(Spread::of(&[]).show(2), "–");
    }
}
