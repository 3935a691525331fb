//! Curves over steps: the dense phase, then the sparse one.

use core::fmt;

use crate::charts::axis::{Axis, extremes};
use crate::charts::plot::{Plot, dot, line, polyline};
use crate::numbers::{percent, real, rounded, significant, thousands};
use crate::run::outcome::RunOutcome;
use crate::training::Phase;

const PLOT: Plot = Plot::new(216.0, 24.0, 42.0, 8.0);
/// Room that the number of a step takes.
const STEP_LABEL: f64 = 44.0;
/// Points that can be told apart, and have a mark each.
const MOST_MARKS: usize = 40;

/// One quantity over the steps of both phases. Displays as SVG.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// What is drawn.
    pub(super) title: &'static str,
    /// After the labels of the axis.
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
        let (_, most) = extremes(values(&dense, &sparse));
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
        let (least, most) = extremes(values(&dense, &sparse));
        Self {
            title: "Dev accuracy",
            unit: " %",
            show: percent,
            axis: Axis::of_shares(least, most, 4.0),
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

/// Steps of a phase, as far as there are points.
fn steps(points: &[Point]) -> f64 {
    points.last().map_or(0.0, |point| real(point.step))
}

fn values<'p>(dense: &'p [Point], sparse: &'p [Point]) -> impl Iterator<Item = f64> + 'p {
    dense.iter().chain(sparse).map(|point| point.value)
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = [steps(&self.dense), steps(&self.sparse)];
        let all = (lengths[0] + lengths[1]).max(1.0);
        let divider = PLOT.left + (PLOT.right - PLOT.left) * lengths[0] / all;
        PLOT.open(f, format_args!("{} over {all} steps", self.title))?;
        PLOT.grid(f, self.axis, self.unit)?;
        if !self.dense.is_empty() && !self.sparse.is_empty() {
            let (top, bottom) = (PLOT.top - 16.0, PLOT.bottom);
            line(f, "divider", (divider, top), (divider, bottom), "")?;
        }
        let ends = [(PLOT.left, divider), (divider, PLOT.right)];
        let series = [("dense", &self.dense), ("sparse", &self.sparse)];
        for ((name, points), (from, to)) in series.into_iter().zip(ends) {
            if points.is_empty() {
                continue;
            }
            write!(
                f,
                r#"<text class="phase {name}" x="{:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
                f64::midpoint(from, to),
                PLOT.top - 9.0
            )?;
            let last = steps(points).max(1.0);
            let axis = Axis::counting(last, ((to - from) / STEP_LABEL).max(1.0)).ending_at(last);
            write_step_labels(f, axis, from, to)?;
            self.write_points(f, name, points, |step| axis.place(step, from, to))?;
        }
        PLOT.close(f, "steps of the phase")
    }
}

impl Curve {
    fn write_points(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        points: &[Point],
        place: impl Fn(f64) -> f64,
    ) -> fmt::Result {
        let at = |point: &Point| (place(real(point.step)), PLOT.y(self.axis, point.value));
        let points = points.iter().filter(|point| point.value.is_finite());
        polyline(f, name, points.clone().map(at))?;
        if points.clone().count() > MOST_MARKS {
            return Ok(());
        }
        for point in points {
            let value = (self.show)(point.value);
            let title = format_args!("{name} step {}: {value}", point.step);
            dot(f, name, at(point), title)?;
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
        let step = thousands(rounded(tick));
        // At the end of the plot a number would stick out.
        let (x, anchor) = match PLOT.right - x < STEP_LABEL / 3.0 {
            true => (PLOT.right, "end"),
            false => (x, "middle"),
        };
        PLOT.number(f, x, anchor, step)?;
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
