//! Curves over epochs: the dense phase, then the sparse one.

use core::fmt;

use super::axis::{Axis, round_step};
use crate::numbers::{percent, real, significant};
use crate::training::{EpochRecord, Phase};

/// The picture, in its own units.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 216.0;
/// The plot within.
const LEFT: f64 = 42.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Room that the number of an epoch takes.
const EPOCH_LABEL: f64 = 22.0;

/// One quantity over the epochs of both phases. Displays as SVG.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// What is drawn.
    pub(super) title: &'static str,
    /// Behind the labels of the axis.
    unit: &'static str,
    /// One value, for the pointer that rests on it.
    show: fn(f64) -> String,
    axis: Axis,
    dense: Vec<Point>,
    sparse: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    epoch: usize,
    value: f64,
}

impl Curve {
    /// Mean loss of each epoch.
    pub(super) fn of_loss(history: &[EpochRecord]) -> Self {
        let [dense, sparse] = phases(history, |record| record.loss);
        let (_, most) = extremes(&dense, &sparse);
        let most = if most > 0.0 { most } else { 1.0 };
        Self {
            title: "Training loss",
            unit: "",
            show: significant,
            axis: Axis::covering(0.0, most, 4.0),
            dense,
            sparse,
        }
    }

    /// Accuracy on the dev set behind each epoch.
    pub(super) fn of_dev_accuracy(history: &[EpochRecord]) -> Self {
        let [dense, sparse] = phases(history, |record| record.dev_accuracy);
        let (least, most) = extremes(&dense, &sparse);
        // One value alone may not push the axis above all there is.
        let axis = match Axis::covering(least, most, 4.0) {
            axis if axis.last > 100.0 => Axis::covering(75.0, 100.0, 5.0),
            axis => axis,
        };
        Self {
            title: "Dev accuracy",
            unit: " %",
            show: percent,
            axis,
            dense,
            sparse,
        }
    }

    /// Share of encoder weights that are zero behind each epoch.
    pub(super) fn of_sparsity(history: &[EpochRecord]) -> Self {
        let [dense, sparse] = phases(history, |record| 100.0 * record.sparsity);
        Self {
            title: "Sparsity of the encoder",
            unit: " %",
            show: percent,
            axis: Axis::covering(0.0, 100.0, 5.0),
            dense,
            sparse,
        }
    }
}

/// The values of the dense phase and of the sparse one.
fn phases(history: &[EpochRecord], value: fn(&EpochRecord) -> f64) -> [Vec<Point>; 2] {
    [true, false].map(|dense| {
        let records = history.iter();
        let records = records.filter(|record| (record.phase == Phase::Dense) == dense);
        let point = |record: &EpochRecord| Point {
            epoch: record.epoch,
            value: value(record),
        };
        records.map(point).collect()
    })
}

/// The least and the most of the values that are numbers.
fn extremes(dense: &[Point], sparse: &[Point]) -> (f64, f64) {
    let values = dense.iter().chain(sparse).map(|point| point.value);
    let numbers = values.filter(|value| value.is_finite());
    numbers.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), value| (least.min(value), most.max(value)),
    )
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs = self.dense.len() + self.sparse.len();
        let slot = (RIGHT - LEFT) / real(epochs.max(1));
        let divider = LEFT + slot * real(self.dense.len());
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{} over {epochs} epochs">"#,
            self.title
        )?;
        self.write_value_axis(f)?;
        if !self.dense.is_empty() && !self.sparse.is_empty() {
            write!(
                f,
                r#"<line class="divider" x1="{divider:.1}" y1="{:.1}" x2="{divider:.1}" y2="{BOTTOM:.1}"/>"#,
                TOP - 16.0
            )?;
        }
        let ends = [(LEFT, divider), (divider, RIGHT)];
        let series = [("dense", &self.dense), ("sparse", &self.sparse)];
        for ((name, points), (from, to)) in series.into_iter().zip(ends) {
            if points.is_empty() {
                continue;
            }
            write!(
                f,
                r#"<text class="phase {name}" x="{:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
                f64::midpoint(from, to),
                TOP - 9.0
            )?;
            write_epoch_labels(f, points, from, slot)?;
            self.write_points(f, name, points, from, slot)?;
        }
        write!(
            f,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">epoch</text></svg>"#,
            f64::midpoint(LEFT, RIGHT),
            HEIGHT - 5.0
        )
    }
}

impl Curve {
    fn write_value_axis(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tick in self.axis.ticks() {
            let y = self.axis.place(tick, BOTTOM, TOP);
            write!(
                f,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}{}</text>"#,
                LEFT - 6.0,
                y + 3.5,
                self.axis.label(tick),
                self.unit
            )?;
        }
        Ok(())
    }

    fn write_points(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        points: &[Point],
        from: f64,
        slot: f64,
    ) -> fmt::Result {
        let places: Vec<(f64, f64, &Point)> = (0..)
            .zip(points)
            .filter(|(_, point)| point.value.is_finite())
            .map(|(index, point)| {
                let x = from + slot * (real(index) + 0.5);
                (x, self.axis.place(point.value, BOTTOM, TOP), point)
            })
            .collect();
        write!(f, r#"<polyline class="{name}" points=""#)?;
        for (x, y, _) in &places {
            write!(f, "{x:.1},{y:.1} ")?;
        }
        f.write_str("\"/>")?;
        for (x, y, point) in places {
            write!(
                f,
                r#"<circle class="{name}" cx="{x:.1}" cy="{y:.1}" r="2.4"><title>{name} epoch {}: {}</title></circle>"#,
                point.epoch,
                (self.show)(point.value)
            )?;
        }
        Ok(())
    }
}

/// Numbers of the epochs, as many as there is room for.
fn write_epoch_labels(
    f: &mut fmt::Formatter<'_>,
    points: &[Point],
    from: f64,
    slot: f64,
) -> fmt::Result {
    let step = round_step((EPOCH_LABEL / slot).max(1.0));
    for (index, point) in points.iter().enumerate() {
        if real(point.epoch) % step != 0.0 {
            continue;
        }
        let x = from + slot * (real(index) + 0.5);
        write!(
            f,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            BOTTOM + 15.0,
            point.epoch
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::svg_check::{assert_balanced, assert_inside};
    use super::*;

    fn record(phase: Phase, epoch: usize, loss: f64) -> EpochRecord {
        EpochRecord {
            phase,
            epoch,
            loss,
            dev_accuracy: 100.0 - 10.0 * loss,
            sparsity: 0.5,
            heads: 4,
            neurons: 8,
        }
    }

    fn all(history: &[EpochRecord]) -> [String; 3] {
        [
            Curve::of_loss(history).to_string(),
            Curve::of_dev_accuracy(history).to_string(),
            Curve::of_sparsity(history).to_string(),
        ]
    }

    #[test]
    fn both_phases_are_drawn_on_either_side_of_a_divider() {
        let dense = (1..=12).map(|epoch| record(Phase::Dense, epoch, 3.0 / real(epoch)));
        let sparse = (1..=40).map(|epoch| record(Phase::Sparse, epoch, 1.0 / real(epoch)));
        let history: Vec<_> = dense.chain(sparse).collect();
        for svg in all(&history) {
            assert_balanced(&svg);
            assert_inside(&svg);
            assert_eq!(svg.matches("<circle").count(), 52);
            assert_eq!(svg.matches("class=\"divider\"").count(), 1);
        }
    }

    #[test]
    fn few_epochs_and_none_are_drawn_too() {
        let histories: [&[EpochRecord]; 4] = [
            &[],
            &[record(Phase::Dense, 1, 0.0)],
            &[record(Phase::Sparse, 1, 0.0)],
            &[
                record(Phase::Dense, 1, f64::NAN),
                record(Phase::Sparse, 1, f64::INFINITY),
            ],
        ];
        for history in histories {
            for svg in all(history) {
                assert_balanced(&svg);
                assert_inside(&svg);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
