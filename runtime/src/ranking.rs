//! Logits to named probabilities.

use neuroprune_format::strings::StringTable;

use crate::math;

/// Classes a ranking lists at most.
pub const RANKING: usize = 5;

/// The most probable classes, first the most probable.
pub type Ranking<'m> = heapless::Vec<Ranked<'m>, RANKING>;

/// A class and how probable it is.
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
pub(crate) fn rank<'m>(logits: &[f32], labels: StringTable<'m>) -> Ranking<'m> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = logits
        .iter()
        .fold(0.0, |sum, &logit| sum + math::exponential(logit - largest));
    let mut ranking = Ranking::new();
    for ((class, &logit), label) in (0..=u16::MAX).zip(logits).zip(labels.iter()) {
        let probability = math::exponential(logit - largest) / sum;
        // Compare logits, not probabilities: distinct logits can share one.
        let place = ranking
            .iter()
            .take_while(|ranked: &&Ranked<'_>| {
                logits
                    .get(usize::from(ranked.class))
                    .is_some_and(|&other| other >= logit)
            })
            .count();
        let mut ranked = Ranked {
            label,
            class,
            probability,
        };
        for later in ranking.iter_mut().skip(place) {
            core::mem::swap(later, &mut ranked);
        }
        // The last one of a full list is dropped.
        let _ = ranking.push(ranked);
    }
    ranking
}
