//! When: cubic in time (Zhu & Gupta 2017), fast while there is much to choose from.

use crate::numbers::real;
use crate::recipe::{PruningRecipe, QuantizationRecipe};

/// Steps in which the sensitivity is only watched: the memory of its average.
fn watching_steps(recipe: &PruningRecipe, last: f64) -> f64 {
    ((1.0 - recipe.method.score_memory()).max(1e-6).recip()).min(last / 4.0)
}

/// Whether the schedule is over after step `step` of `steps`, from 0.
pub(crate) fn has_ended(recipe: &PruningRecipe, step: u64, steps: u64) -> bool {
    real(step + 1) >= last_step(recipe, steps)
}

fn last_step(recipe: &PruningRecipe, steps: u64) -> f64 {
    (real(steps) * recipe.schedule_end).floor()
}

/// Whether step `step` of `steps`, from 0, is one of the last that train with int8.
pub(crate) fn is_aware(recipe: &QuantizationRecipe, step: u64, steps: u64) -> bool {
    real(step) >= real(steps) * (1.0 - recipe.aware)
}

/// Share of encoder weights that are zero after step `step` of `steps`, from 0.
///
/// Zero until the score has seen enough, then s·(1 − (1 − t)³) until the end of the
/// schedule, then exactly the recipe's sparsity. The published method has no exact zeros
/// before that.
pub(crate) fn scheduled_sparsity(recipe: &PruningRecipe, step: u64, steps: u64) -> f64 {
    if has_ended(recipe, step, steps) {
        return recipe.sparsity;
    }
    if recipe.method.interval().is_none() {
        return 0.0;
    }
    let (step, last) = (real(step + 1), last_step(recipe, steps));
    let watching = watching_steps(recipe, last);
    let time = ((step - watching) / (last - watching)).clamp(0.0, 1.0);
    recipe.sparsity * (1.0 - (1.0 - time).powi(3))
}

/// Whether weights are removed after step `step` of `steps`.
pub(crate) fn is_due(recipe: &PruningRecipe, step: u64, steps: u64) -> bool {
    if has_ended(recipe, step, steps) {
        // Once at the end of the schedule, wherever the interval falls.
        return step == 0 || !has_ended(recipe, step - 1, steps);
    }
    let interval = recipe.method.interval();
    interval.is_some_and(|interval| (step + 1).is_multiple_of(interval as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Gradual, Method, MethodKind};

    #[test]
    fn rises_to_exactly_the_target_and_stays() {
        let recipe = PruningRecipe {
            sparsity: 0.9,
            schedule_end: 0.5,
            ..PruningRecipe::default()
        };
        let at = |step| scheduled_sparsity(&recipe, step, 1000);
        assert_eq!(at(0), 0.0);
        assert!((1..1000).all(|step| at(step) >= at(step - 1)));
        assert!(at(400) < 0.9);
        assert_eq!((at(499), at(999)), (0.9, 0.9));
    }

    #[test]
    fn last_removal_is_at_the_end_of_the_schedule_and_only_there() {
        let recipe = PruningRecipe {
            method: Method::Magnitude(Gradual { interval: 7 }),
            schedule_end: 0.5,
            ..PruningRecipe::default()
        };
        let due: Vec<u64> = (0..1000)
            .filter(|&step| is_due(&recipe, step, 1000))
            .collect();
        assert_eq!(due.last(), Some(&499));
        assert_eq!(due.first(), Some(&6));
        // A run of a single step still ends at the target.
        assert!(is_due(&recipe, 0, 1));
    }

    #[test]
    fn the_published_method_removes_once() {
        let recipe = PruningRecipe {
            method: Method::new(MethodKind::Paper),
            schedule_end: 0.5,
            ..PruningRecipe::default()
        };
        let due: Vec<u64> = (0..1000)
            .filter(|&step| is_due(&recipe, step, 1000))
            .collect();
        assert_eq!(due, [499]);
        assert_eq!(scheduled_sparsity(&recipe, 498, 1000), 0.0);
        assert_eq!(scheduled_sparsity(&recipe, 499, 1000), 0.9);
    }
}
