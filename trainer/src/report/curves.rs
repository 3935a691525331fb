//! Curves over steps: the dense phase, then the sparse one.

use core::fmt;

use crate::charts::axis::Axis;
use crate::numbers::{percent, significant, thousands};
use crate::run::outcome::RunOutcome;
use crate::training::Phase;

/// The picture, in its own units.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 216.0;
/// The plot within.
const LEFT: f64 = 42.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Room that the number of a step takes.
const STEP_LABEL: f64 = 44.0;
/// Points that can be told apart, and have a mark each.
const MOST_MARKS: usize = 40;

/// One quantity over the steps of both phases. Displays as SVG.
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
    phase: Phase,
    step: u64,
    value: f64,
}

impl Curve {
    /// Mean loss of some steps each.
    pub(super) fn of_loss(run: &RunOutcome) -> Self {
        let points = run.journal.curve.iter().map(|point| Point {
            phase: point.phase,
            step: point.step,
            value: point.loss.into(),
        });
        let [dense, sparse] = phases(points);
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

    /// Accuracy on the dev set after each epoch.
    pub(super) fn of_dev_accuracy(run: &RunOutcome) -> Self {
        let [dense, sparse] = phases(run.history.iter().map(|record| Point {
            phase: record.phase,
            step: record.step,
            value: record.dev_accuracy,
        }));
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

    /// Share of encoder weights that are zero.
    pub(super) fn of_sparsity(run: &RunOutcome) -> Self {
        let [dense, sparse] = phases(run.journal.curve.iter().map(|point| Point {
            phase: point.phase,
            step: point.step,
            value: 100.0 * f64::from(point.sparsity),
        }));
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

/// The points of the dense phase and of the sparse one.
fn phases(points: impl Iterator<Item = Point>) -> [Vec<Point>; 2] {
    let (dense, sparse) = points.partition(|point| point.phase == Phase::Dense);
    [dense, sparse]
}

/// Steps of a phase, as far as points tell of them.
fn steps(points: &[Point]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵²")]
    points.last().map_or(0.0, |point| point.step as f64)
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
        let lengths = [steps(&self.dense), steps(&self.sparse)];
        let all = (lengths[0] + lengths[1]).max(1.0);
        let divider = LEFT + (RIGHT - LEFT) * lengths[0] / all;
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{} over {all} steps">"#,
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
            let last = steps(points).max(1.0);
            let axis = Axis::counting(last, ((to - from) / STEP_LABEL).max(1.0)).ending_at(last);
            write_step_labels(f, axis, from, to)?;
            self.write_points(f, name, points, |step| axis.place(step, from, to))?;
        }
        write!(
            f,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">steps of the phase</text></svg>"#,
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
        place: impl Fn(f64) -> f64,
    ) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵²")]
        let places: Vec<(f64, f64, &Point)> = points
            .iter()
            .filter(|point| point.value.is_finite())
            .map(|point| {
                let y = self.axis.place(point.value, BOTTOM, TOP);
                (place(point.step as f64), y, point)
            })
            .collect();
        write!(f, r#"<polyline class="{name}" points=""#)?;
        for (x, y, _) in &places {
            write!(f, "{x:.1},{y:.1} ")?;
        }
        f.write_str("\"/>")?;
        if places.len() > MOST_MARKS {
            return Ok(());
        }
        for (x, y, point) in places {
            write!(
                f,
                r#"<circle class="{name}" cx="{x:.1}" cy="{y:.1}" r="2.4"><title>{name} step {}: {}</title></circle>"#,
                point.step,
                (self.show)(point.value)
            )?;
        }
        Ok(())
    }
}

/// Numbers of steps, as many as there is room for.
fn write_step_labels(f: &mut fmt::Formatter<'_>, axis: Axis, from: f64, to: f64) -> fmt::Result {
    // The phase before has the place of a zero.
    for tick in axis.ticks().skip(1) {
        let x = axis.place(tick, from, to);
        if x > to {
            break;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of steps"
        )]
        let step = thousands(tick as usize);
        // At the end of the plot a number would hang over.
        let (x, anchor) = match RIGHT - x < STEP_LABEL / 3.0 {
            true => (RIGHT, "end"),
            false => (x, "middle"),
        };
        write!(
            f,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="{anchor}">{step}</text>"#,
            BOTTOM + 15.0,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outcome_of_golden;
    use super::*;
    use crate::charts::svg_check::{assert_balanced, assert_inside};
    use crate::training::CurvePoint;

    /// A run with these (phase, steps, loss of the last).
    fn run(phases: &[(Phase, u64, f32)]) -> RunOutcome {
        let mut run = outcome_of_golden().run;
        run.journal.curve.clear();
        run.history.clear();
        for &(phase, steps, loss) in phases {
            for step in (1..=steps).map(|step| 10 * step) {
                #[expect(clippy::cast_precision_loss)]
                let loss = loss * (steps * 10) as f32 / step as f32;
                let sparsity = 0.5;
                run.journal.curve.push(CurvePoint {
                    phase,
                    step,
                    loss,
                    sparsity,
                });
                if step % 50 == 0 {
                    let mut epoch = outcome_of_golden().run.history[0].clone();
                    (epoch.phase, epoch.step) = (phase, step);
                    epoch.dev_accuracy = 100.0 - 10.0 * f64::from(loss);
                    run.history.push(epoch);
                }
            }
        }
        run
    }

    fn all(run: &RunOutcome) -> [String; 3] {
        [
            Curve::of_loss(run).to_string(),
            Curve::of_dev_accuracy(run).to_string(),
            Curve::of_sparsity(run).to_string(),
        ]
    }

    #[test]
    fn both_phases_are_drawn_on_either_side_of_a_divider() {
        let run = run(&[(Phase::Dense, 30, 0.1), (Phase::Sparse, 100, 0.01)]);
        let svgs = all(&run);
        for svg in &svgs {
            assert_balanced(svg);
            assert_inside(svg);
            assert_eq!(svg.matches("class=\"divider\"").count(), 1);
        }
        // Marks only where they can be told apart.
        let marks = svgs.map(|svg| svg.matches("<circle").count());
        assert_eq!(marks, [30, 6 + 20, 30]);
    }

    #[test]
    fn few_points_and_none_are_drawn_too() {
        let runs = [
            run(&[]),
            run(&[(Phase::Dense, 1, 0.0)]),
            run(&[(Phase::Sparse, 5, 0.0)]),
            run(&[
                (Phase::Dense, 5, f32::NAN),
                (Phase::Sparse, 1, f32::INFINITY),
            ]),
        ];
        for run in runs {
            for svg in all(&run) {
                assert_balanced(&svg);
                assert_inside(&svg);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
