//! How many rows of a matrix have how many connections.

use core::fmt;

use super::axis::Axis;
use super::plot::{Plot, line, rectangle};
use crate::numbers::{real, significant, thousands};

const PLOT: Plot = Plot::new(178.0, 10.0, 36.0, 8.0);
/// Most bars.
const BARS: usize = 40;

/// Degrees of the rows of one matrix. Displays as SVG.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// Degrees that share a bar.
    width: usize,
    /// Rows of each bar, from degree 0.
    bars: Vec<usize>,
    rows: usize,
    most: usize,
    mean: f64,
    deviation: f64,
}

impl Histogram {
    /// Of the number of nonzeros in each row.
    pub(crate) fn new(degrees: &[usize]) -> Self {
        let most = degrees.iter().copied().max().unwrap_or(0);
        let width = round_widths()
            .find(|&width| most < BARS * width)
            .unwrap_or(most + 1);
        let mut bars = vec![0; most / width + 1];
        for degree in degrees {
            if let Some(bar) = bars.get_mut(degree / width) {
                *bar += 1;
            }
        }
        let rows = real(degrees.len().max(1));
        let mean = degrees.iter().map(|&degree| real(degree)).sum::<f64>() / rows;
        let squares = degrees.iter().map(|&degree| (real(degree) - mean).powi(2));
        Self {
            width,
            bars,
            rows: degrees.len(),
            most,
            mean,
            deviation: (squares.sum::<f64>() / rows).sqrt(),
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> String {
        thousands(self.rows)
    }

    /// Mean degree.
    pub(crate) fn mean(&self) -> String {
        significant(self.mean)
    }

    /// Standard deviation of the degrees.
    pub(crate) fn deviation(&self) -> String {
        significant(self.deviation)
    }

    /// Middle of a degree's place: a bar extends from its first degree to the end of its last.
    fn place(&self, degree: f64) -> f64 {
        let degrees = real(self.bars.len() * self.width);
        let x = PLOT.left + (degree + 0.5) / degrees * (PLOT.right - PLOT.left);
        x.clamp(PLOT.left, PLOT.right)
    }
}

/// 1, 2, 5, 10, 20, 50, …
fn round_widths() -> impl Iterator<Item = usize> {
    (0..9).flat_map(|power| [1, 2, 5].map(|factor| factor * 10_usize.pow(power)))
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean, deviation) = (self.mean(), self.deviation());
        let label =
            format_args!("rows by number of nonzeros, mean {mean}, standard deviation {deviation}");
        PLOT.open(f, label)?;
        // One standard deviation to both sides of the mean.
        let [from, to] = [-self.deviation, self.deviation].map(|it| self.place(self.mean + it));
        let size = (to - from, PLOT.bottom - PLOT.top);
        rectangle(f, "spread", (from, PLOT.top), size, "")?;
        let tallest = self.bars.iter().copied().max().unwrap_or(0);
        let counts = Axis::counting(real(tallest), 4.0);
        PLOT.grid(f, counts, "")?;
        self.write_bars(f, counts)?;
        let x = self.place(self.mean);
        line(f, "mean", (x, PLOT.top), (x, PLOT.bottom), "")?;
        let degrees = Axis::counting(real(self.most), 6.0);
        for tick in degrees.ticks().filter(|&tick| tick <= real(self.most)) {
            PLOT.number(f, self.place(tick), "middle", degrees.label(tick))?;
        }
        PLOT.close(f, "nonzeros of a row")
    }
}

impl Histogram {
    fn write_bars(&self, f: &mut fmt::Formatter<'_>, counts: Axis) -> fmt::Result {
        let slot = (PLOT.right - PLOT.left) / real(self.bars.len());
        let gap = (slot * 0.15).min(2.0);
        let bars = self.bars.iter().enumerate();
        for (index, &rows) in bars.filter(|(_, rows)| **rows > 0) {
            let first = index * self.width;
            let degrees = match self.width {
                1 => first.to_string(),
                width => format!("{first}–{}", first + width - 1),
            };
            let (x, y) = (
                PLOT.left + slot * real(index) + gap / 2.0,
                PLOT.y(counts, real(rows)),
            );
            let title = format_args!("{degrees} nonzeros: {} rows", thousands(rows));
            rectangle(f, "bar", (x, y), (slot - gap, PLOT.bottom - y), title)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg_check::{assert_balanced, assert_inside};
    use super::*;

    #[test]
    fn every_row_is_in_one_bar() {
        let cases: [&[usize]; 6] = [
            &[],
            &[0],
            &[0, 0, 0],
            &[1, 2, 2, 7],
            &[64; 256],
            &[0, 3, 900, 1535],
        ];
        for degrees in cases {
            let histogram = Histogram::new(degrees);
            assert_eq!(histogram.bars.iter().sum::<usize>(), degrees.len());
            assert!(histogram.bars.len() <= BARS);
            let svg = histogram.to_string();
            assert_balanced(&svg);
            assert_inside(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn states_mean_and_standard_deviation() {
        let histogram = Histogram::new(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(histogram.mean(), "5.00");
        assert_eq!(histogram.deviation(), "2.00");
    }

    #[test]
    fn wide_bars_have_round_widths() {
        let widths = [39, 40, 80, 200, 400, 1535].map(|most| Histogram::new(&[most]).width);
        assert_eq!(widths, [1, 2, 5, 10, 20, 50]);
    }
}
