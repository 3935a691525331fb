//! Logits to named probabilities.

use neuroprune_format::strings::StringTable;

use crate::math;

/// Most classes that a ranking lists.
pub const RANKING: usize = 5;

/// The most probable classes, first the most probable.
pub type Ranking<'m> = heapless::Vec<Ranked<'m>, RANKING>;

/// A class and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ranked<'m> {
    /// Name of the class.
    pub label: &'m str,
    /// Number of the class.
    pub class: u16,
    /// 0…1.
    pub probability: f32,
}

/// Softmax of `logits`, and the classes with the largest; ties go to the lower
/// class number.
#[inline(never)]
pub(crate) fn rank<'m>(logits: &[f32], labels: &StringTable<'m>) -> Ranking<'m> {
    let mut largest = f32::NEG_INFINITY;
    for &logit in logits {
        if logit > largest {
            largest = logit;
        }
    }
    let mut sum = 0.0;
    // Numbers of the classes, first the most probable.
    let mut classes = heapless::Vec::<usize, RANKING>::new();
    for (mut class, &logit) in logits.iter().enumerate() {
        sum += weight(logit, largest);
        // Compare logits, not probabilities: distinct logits can share one.
        let mut is_placed = false;
        for other in &mut classes {
            let is_ahead = logit_of(logits, *other) >= logit;
            is_placed = is_placed || !is_ahead;
            if is_placed {
                core::mem::swap(other, &mut class);
            }
        }
        // The last one of a full list is dropped.
        let _ = classes.push(class);
    }
    let mut ranking = Ranking::new();
    for &class in &classes {
        let ranked = Ranked {
            label: labels.get(class).unwrap_or(""),
            // A matrix has fewer rows.
            class: u16::try_from(class).unwrap_or(u16::MAX),
            probability: weight(logit_of(logits, class), largest) / sum,
        };
        // There is room for all of them.
        let _ = ranking.push(ranked);
    }
    ranking
}

fn logit_of(logits: &[f32], class: usize) -> f32 {
    logits.get(class).copied().unwrap_or(0.0)
}

#[inline(never)]
fn weight(logit: f32, largest: f32) -> f32 {
    math::exponential(logit - largest)
}
