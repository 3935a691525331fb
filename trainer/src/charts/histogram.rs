//! How many rows of a matrix have how many connections.

use core::fmt;

use super::axis::Axis;
use crate::numbers::{real, significant, thousands};

/// The picture, in its own units.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 178.0;
/// The plot within.
const LEFT: f64 = 36.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 38.0;
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

    /// Middle of a degree's place: a bar stands from its first degree to the end of its last.
    fn place(&self, degree: f64) -> f64 {
        let degrees = real(self.bars.len() * self.width);
        let x = LEFT + (degree + 0.5) / degrees * (RIGHT - LEFT);
        x.clamp(LEFT, RIGHT)
    }
}

/// 1, 2, 5, 10, 20, 50, …
fn round_widths() -> impl Iterator<Item = usize> {
    (0..9).flat_map(|power| [1, 2, 5].map(|factor| factor * 10_usize.pow(power)))
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="rows by number of nonzeros, mean {}, standard deviation {}">"#,
            self.mean(),
            self.deviation()
        )?;
        let tallest = self.bars.iter().copied().max().unwrap_or(0);
        let counts = Axis::counting(real(tallest), 4.0);
        self.write_spread(f)?;
        for tick in counts.ticks() {
            let y = counts.place(tick, BOTTOM, TOP);
            write!(
                f,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                y + 3.5,
                counts.label(tick)
            )?;
        }
        self.write_bars(f, counts)?;
        let x = self.place(self.mean);
        write!(
            f,
            r#"<line class="mean" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{BOTTOM}"/>"#
        )?;
        let degrees = Axis::counting(real(self.most), 6.0);
        for tick in degrees.ticks().filter(|&tick| tick <= real(self.most)) {
            write!(
                f,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                self.place(tick),
                BOTTOM + 15.0,
                degrees.label(tick)
            )?;
        }
        write!(
            f,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">nonzeros of a row</text></svg>"#,
            f64::midpoint(LEFT, RIGHT),
            HEIGHT - 5.0
        )
    }
}

impl Histogram {
    /// One standard deviation to both sides of the mean.
    fn write_spread(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.place(self.mean - self.deviation);
        let to = self.place(self.mean + self.deviation);
        write!(
            f,
            r#"<rect class="spread" x="{from:.1}" y="{TOP}" width="{:.1}" height="{:.1}"/>"#,
            to - from,
            BOTTOM - TOP
        )
    }

    fn write_bars(&self, f: &mut fmt::Formatter<'_>, counts: Axis) -> fmt::Result {
        let slot = (RIGHT - LEFT) / real(self.bars.len());
        let gap = (slot * 0.15).min(2.0);
        for (index, &rows) in self.bars.iter().enumerate() {
            if rows == 0 {
                continue;
            }
            let y = counts.place(real(rows), BOTTOM, TOP);
            let first = index * self.width;
            let degrees = match self.width {
                1 => first.to_string(),
                width => format!("{first}–{}", first + width - 1),
            };
            write!(
                f,
                r#"<rect class="bar" x="{:.2}" y="{y:.2}" width="{:.2}" height="{:.2}"><title>{degrees} nonzeros: {} rows</title></rect>"#,
                LEFT + slot * real(index) + gap / 2.0,
                slot - gap,
                BOTTOM - y,
                thousands(rows)
            )?;
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
