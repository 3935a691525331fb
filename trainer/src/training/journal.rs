//! What is recorded during training, for the report.

use serde::{Deserialize, Serialize};

use crate::numbers::{real, single};
use crate::pruning::KeptHead;
use crate::training::phase::Phase;

/// Points of a phase's curve.
const CURVE_POINTS: u64 = 120;

/// A point of the curves: some steps of a phase.
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

/// The record of one pass over the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Which network.
    pub phase: Phase,
    /// Number of the epoch in its phase, from 1.
    pub epoch: usize,
    /// Steps of the phase after it.
    pub step: u64,
    /// Mean loss over its steps.
    pub loss: f64,
    /// Accuracy on the dev set after it, in per cent.
    pub dev_accuracy: f64,
    /// Share of encoder weights that are zero after it.
    pub sparsity: f64,
    /// Heads that are left, all layers together.
    pub heads: usize,
    /// Neurons that are left, all layers together.
    pub neurons: usize,
    /// Whether the phase ended with this epoch's network, not with the last one's.
    #[serde(default)]
    pub is_kept: bool,
}

/// What was recorded during training, for the report; nothing is decided by it. In f32, which a
/// checkpoint's JSON gives back exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Loss and sparsity over steps.
    pub curve: Vec<CurvePoint>,
    /// Sum of the losses after the last point.
    pub pending_loss: f32,
    /// Heads that were kept when heads were last compared.
    pub kept: Vec<KeptHead>,
    /// Share of encoder weights below 1e-4 that the published penalties reached alone.
    pub penalties_reached: Option<f32>,
}

impl Journal {
    /// Records the loss of a step of a phase of `steps`; a point of the curve when it is time.
    pub(super) fn note_step(
        &mut self,
        phase: Phase,
        step: u64,
        steps: u64,
        loss: f32,
        sparsity: f64,
    ) {
        self.pending_loss += loss;
        if step < steps && !step.is_multiple_of(steps.div_ceil(CURVE_POINTS)) {
            return;
        }
        let last = self.curve.last().filter(|point| point.phase == phase);
        let count = step.saturating_sub(last.map_or(0, |point| point.step));
        self.curve.push(CurvePoint {
            phase,
            step,
            loss: core::mem::take(&mut self.pending_loss) / single(real(count)),
            sparsity: single(sparsity),
        });
    }
}
