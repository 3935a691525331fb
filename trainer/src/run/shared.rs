//! What runs on the same data make once for all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::atomic_file;
use crate::model_file::scoring::Scored;
use crate::numbers::hex;
use crate::student::Pool;

/// What several runs on the same data share.
pub(crate) struct Shared {
    /// Where answers of teachers are kept until the runs are finished.
    answers: PathBuf,
    /// What students learn from, by [`crate::recipe::Recipe::pool_part`].
    pub(crate) pools: Once<Pool>,
    /// How dense files do, by [`crate::recipe::Recipe::dense_file_part`].
    pub(crate) scores: Once<Scored>,
}

impl Shared {
    /// Nothing yet; answers of teachers are kept in files that begin like this.
    pub(crate) fn new(answers: PathBuf) -> Self {
        Self {
            answers,
            pools: Once::default(),
            scores: Once::default(),
        }
    }

    /// Where the answers for the pool of this digest are kept.
    pub(crate) fn answers_at(&self, digest: [u8; 32]) -> PathBuf {
        let ending = format!("{}.answers", &hex(&digest)[..8]);
        self.answers.with_added_extension(ending)
    }

    /// Removes the answers for the pool of this digest, which no run needs any more.
    pub(crate) fn forget_answers(&self, digest: [u8; 32]) {
        // What cannot be removed does no harm.
        let _ = atomic_file::remove(&self.answers_at(digest));
    }
}

/// Things that are made once for each digest of what they are made from.
pub(crate) struct Once<T> {
    places: Mutex<BTreeMap<[u8; 32], Place<T>>>,
}

/// Whoever makes what belongs here has it to itself meanwhile.
type Place<T> = Arc<Mutex<Option<Arc<T>>>>;

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            places: Mutex::default(),
        }
    }
}

impl<T> Once<T> {
    /// What belongs to this digest. The first run that asks makes it, others wait for it; one that was
    /// stopped makes nothing, and leaves it to the next.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn get<E>(
        &self,
        digest: [u8; 32],
        make: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let place = locked(&self.places).entry(digest).or_default().clone();
        let mut place = locked(&place);
        if place.is_none() {
            *place = make()?.map(Arc::new);
        }
        Ok(place.clone())
    }
}

/// Nothing is left half done under these locks.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_is_shared_is_made_once_for_each_digest() {
        let once = Once::<usize>::default();
        let made = AtomicUsize::new(0);
        let make = || {
            std::thread::yield_now();
            Ok::<_, ()>(Some(made.fetch_add(1, Ordering::Relaxed)))
        };
        // What was stopped or has failed is made by the next.
        assert_eq!(once.get([0; 32], || Ok::<_, ()>(None)), Ok(None));
        assert_eq!(once.get([0; 32], || Err("full")), Err("full"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (once, make) = (&once, &make);
                scope.spawn(move || once.get([number % 2; 32], make).unwrap().unwrap());
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
