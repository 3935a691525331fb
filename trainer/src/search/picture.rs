//! Accuracy against what it costs, on a logarithmic axis.

use core::fmt;

use super::candidate::plural;
use super::result::Searched;
use crate::charts::axis::{Axis, extremes};
use crate::charts::plot::{Plot, dot, line, polyline, rectangle, text};
use crate::numbers::{percent, real, significant};

const PLOT: Plot = Plot::new(260.0, 12.0, 46.0, 12.0);
/// Between the ends of the plot and the outermost marks.
const INSET: f64 = 16.0;

/// All trainings and rivals. Displays as SVG.
pub(super) struct Picture {
    /// What is drawn.
    pub(super) title: &'static str,
    /// What the horizontal axis counts.
    over: &'static str,
    /// What was kept, from left to right.
    best: Vec<Mark>,
    others: Vec<Mark>,
    rivals: Vec<Mark>,
}

struct Mark {
    name: String,
    cost: f64,
    accuracy: f64,
}

/// Against bytes and against instructions.
pub(super) fn pictures(searched: &Searched) -> [Picture; 2] {
    let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let trials = |cost: &dyn Fn(usize, u64) -> f64, is_best: bool| -> Vec<Mark> {
        let all = searched.sizes.iter().flat_map(|found| {
            let (others, best) = found.trials.split_at(found.trials.len().saturating_sub(1));
            let chosen = if is_best { best } else { others };
            chosen.iter().map(|trial| Mark {
                name: format!("{}, {}", trial.shape, plural(trial.passes)),
                cost: cost(trial.bytes, trial.instructions),
                accuracy: trial.accuracy,
            })
        });
        all.collect()
    };
    let rivals = |cost: &dyn Fn(usize, Option<u64>) -> Option<f64>| -> Vec<Mark> {
        let all = searched.rivals.iter().filter_map(|rival| {
            Some(Mark {
                name: rival.name.clone(),
                cost: cost(rival.bytes, rival.instructions)?,
                accuracy: rival.accuracy,
            })
        });
        all.collect()
    };
    let bytes = |bytes, _| real(bytes) / 1024.0;
    let instructions = |_, instructions| count(instructions) / 1e6;
    [
        Picture {
            title: "Accuracy against bytes",
            over: "kilobytes of the file",
            best: trials(&bytes, true),
            others: trials(&bytes, false),
            rivals: rivals(&|bytes, _| Some(real(bytes) / 1024.0)),
        },
        Picture {
            title: "Accuracy against instructions",
            over: "million instructions, Cortex-M4F, 16 tokens",
            best: trials(&instructions, true),
            others: trials(&instructions, false),
            rivals: rivals(&|_, it| it.map(|it| count(it) / 1e6)),
        },
    ]
}

impl Picture {
    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.best.iter().chain(&self.others).chain(&self.rivals)
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = extremes(self.marks().map(|mark| mark.accuracy));
        let up = Axis::of_shares(least, most, 5.0);
        let (first, last) = extremes(self.marks().map(|mark| mark.cost.max(1e-3).log2()));
        let span = (last - first).max(1.0);
        let x = |cost: f64| {
            let share = (cost.max(1e-3).log2() - first) / span;
            PLOT.left + INSET + share * (PLOT.right - PLOT.left - 2.0 * INSET)
        };
        let at = |mark: &Mark| (x(mark.cost), PLOT.y(up, mark.accuracy));
        PLOT.open(f, self.title)?;
        PLOT.grid(f, up, " %")?;
        // Powers of two, or of more where they would be too near.
        let every = (span / 6.0).ceil().max(1.0);
        let mut power = first.ceil();
        while power <= last {
            let place = x(power.exp2());
            line(f, "grid", (place, PLOT.top), (place, PLOT.bottom), "")?;
            PLOT.number(f, place, "middle", significant(power.exp2()))?;
            power += every;
        }
        polyline(f, "line-1", self.best.iter().map(at))?;
        for (class, marks) in [("faint", &self.others), ("line-1", &self.best)] {
            for mark in marks {
                let title = format_args!("{}: {}", mark.name, percent(mark.accuracy));
                dot(f, class, at(mark), title)?;
            }
        }
        for rival in &self.rivals {
            let (x, y) = at(rival);
            let title = format_args!("{}: {}", rival.name, percent(rival.accuracy));
            rectangle(f, "peer", (x - 3.0, y - 3.0), (6.0, 6.0), title)?;
            let (aside, anchor) = PLOT.beside(x);
            text(f, (x + aside, y - 5.0), anchor, &rival.name)?;
        }
        PLOT.close(f, self.over)
    }
}
