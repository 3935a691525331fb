//! How long a search may take.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::numbers::real;
use crate::sweep::{Cell, Finished};

/// How long a search may take, and how long its trainings take.
pub(crate) struct Clock {
    begun: Instant,
    /// Nothing: as long as it takes.
    time: Option<Duration>,
    /// Seconds of a pass, those of the slowest trial.
    a_pass: Mutex<Option<f64>>,
}

impl Clock {
    /// Begins now.
    pub(crate) fn new(time: Option<Duration>) -> Self {
        Self {
            begun: Instant::now(),
            time,
            a_pass: Mutex::default(),
        }
    }

    /// Whether there is time for `cell`, and then for `to_the_end` passes more. Before anything is
    /// finished nobody knows; it then is.
    pub(super) fn allows(&self, cell: &Cell, to_the_end: usize) -> bool {
        let a_pass = *self.a_pass.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(time), Some(a_pass)) = (self.time, a_pass) else {
            return true;
        };
        let passes = cell.recipe.pruning.epochs + to_the_end;
        self.begun.elapsed().as_secs_f64() + a_pass * real(passes) <= time.as_secs_f64()
    }

    /// Takes the time of a finished training.
    pub(super) fn note(&self, finished: &Finished) {
        let seconds = &finished.run.seconds;
        let passes = real(finished.run.recipe.pruning.epochs.max(1));
        let found = (seconds.sparse + seconds.export) / passes;
        let mut a_pass = self.a_pass.lock().unwrap_or_else(PoisonError::into_inner);
        *a_pass = Some(a_pass.map_or(found, |known: f64| known.max(found)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use crate::report::outcome_of_golden;

    #[test]
    fn what_would_take_too_long_is_not_begun() {
        let mut recipe = Recipe::fit();
        recipe.pruning.epochs = 2;
        let cell = Cell {
            variant: String::new(),
            recipe,
        };
        let mut run = outcome_of_golden().run;
        run.recipe.pruning.epochs = 4;
        (run.seconds.sparse, run.seconds.export) = (38.0, 2.0);
        let finished = Finished {
            variant: String::new(),
            model: "model.neuro".into(),
            run,
            bytes: 1,
        };
        let clock = Clock::new(Some(Duration::from_mins(1)));
        assert!(clock.allows(&cell, 100));
        clock.note(&finished);
        // Ten seconds a pass.
        assert!(clock.allows(&cell, 3));
        assert!(!clock.allows(&cell, 4));
        let endless = Clock::new(None);
        endless.note(&finished);
        assert!(endless.allows(&cell, 1000));
    }
}
