//! What is noted on the way, for the report.

use serde::{Deserialize, Serialize};

use crate::pruning::KeptHead;
use crate::training::run::{Phase, Run};

/// Points of a phase's curve.
const CURVE_POINTS: u64 = 120;

/// Some steps of a phase, as they went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Which network.
    pub phase: Phase,
    /// Steps of the phase after them.
    pub step: u64,
    /// Their mean loss.
    pub loss: f32,
    /// Share of encoder weights that are zero after them.
    pub sparsity: f32,
}

/// What was noted on the way, for the report; nothing is decided by it. In f32, which a
/// checkpoint's JSON gives back exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Loss and sparsity over steps.
    pub curve: Vec<CurvePoint>,
    /// Sum of the losses after the last point.
    pub pending_loss: f32,
    /// Heads that stayed when heads were last compared.
    pub kept: Vec<KeptHead>,
    /// Share of encoder weights below 1e-4 that the published penalties reached alone.
    pub penalties_reached: Option<f32>,
}

impl Run {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a picture, and steps far below 2²⁴"
    )]
    pub(super) fn draw_curve(&mut self, steps: u64, loss: f32, sparsity: f64) {
        let (phase, step) = (self.phase, self.step);
        let journal = &mut self.journal;
        journal.pending_loss += loss;
        if step < steps && !step.is_multiple_of(steps.div_ceil(CURVE_POINTS)) {
            return;
        }
        let last = journal.curve.last().filter(|point| point.phase == phase);
        let count = step - last.map_or(0, |point| point.step);
        journal.curve.push(CurvePoint {
            phase,
            step,
            loss: core::mem::take(&mut journal.pending_loss) / count as f32,
            sparsity: sparsity as f32,
        });
    }
}
