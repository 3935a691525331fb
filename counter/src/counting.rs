//! Counts executions of blocks, and sums them up for each region.
//!
//! A block is a stretch of code that is executed as a whole: what QEMU translates at once, cut at
//! markers. Counting one costs an addition and a comparison of addresses, so a program runs at a
//! good part of its usual speed. All boards have one processor; the atomics satisfy Rust's rules,
//! and there are no other threads.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::class::{Mark, Tally};

/// The address where the processor continues unless it branches.
static EXPECTED: AtomicU64 = AtomicU64::new(0);
/// Branches taken since the last marker.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A stretch of code that is executed as a whole.
#[derive(Debug)]
pub(crate) struct Block {
    start: u64,
    end: u64,
    tally: Tally,
    executions: AtomicU64,
}

impl Block {
    /// Code from the address `start` up to `end`.
    pub(crate) fn new(start: u64, end: u64, tally: Tally) -> Self {
        Self {
            start,
            end,
            tally,
            executions: AtomicU64::new(0),
        }
    }
}

/// A marker in the code.
#[derive(Debug)]
pub(crate) struct Marker {
    mark: Mark,
    start: u64,
    end: u64,
}

impl Marker {
    pub(crate) fn new(mark: Mark, start: u64, end: u64) -> Self {
        Self { mark, start, end }
    }
}

/// Called when the execution of a block begins.
#[inline]
pub(crate) fn executed(block: &Block) {
    arrive(block.start, block.end);
    increment(&block.executions);
}

/// Every block of the program, and the regions so far.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    /// Kept for ever: QEMU holds their addresses.
    blocks: Vec<&'static Block>,
    finished: Vec<Tally>,
    open: bool,
    /// Markers that were out of place.
    misplaced: u64,
}

impl Regions {
    /// Keeps a block; QEMU passes the returned reference back when it is executed.
    pub(crate) fn keep(&mut self, block: Block) -> &'static Block {
        let block = Box::leak(Box::new(block));
        self.blocks.push(block);
        block
    }

    /// Keeps a marker, as [`Self::keep`] keeps a block.
    pub(crate) fn keep_marker(&self, marker: Marker) -> &'static Marker {
        Box::leak(Box::new(marker))
    }

    /// The processor reaches `marker`.
    pub(crate) fn pass(&mut self, marker: &Marker) {
        arrive(marker.start, marker.end);
        let ends = marker.mark != Mark::Begin;
        self.misplaced += u64::from(self.open != ends);
        if ends && self.open {
            let tally = self.sum();
            self.finished.push(tally);
        }
        self.open = marker.mark != Mark::End;
        for block in &self.blocks {
            block.executions.store(0, Relaxed);
        }
        TAKEN.store(0, Relaxed);
    }

    /// The regions that have ended, in order.
    pub(crate) fn finished(&self) -> &[Tally] {
        &self.finished
    }

    /// What is wrong with the markers, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self {
            open, misplaced, ..
        } = self;
        if *misplaced > 0 {
            return Some(format!(
                "{misplaced} markers do not fit: a region begins in another, or ends outside of one"
            ));
        }
        open.then(|| format!("region {} did not end", self.finished.len()))
    }

    fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for block in &self.blocks {
            sum.add_times(&block.tally, block.executions.load(Relaxed));
        }
        sum.taken = TAKEN.load(Relaxed);
        sum
    }
}

/// Execution is at `start` and continues straight to `end`.
#[inline]
fn arrive(start: u64, end: u64) {
    if EXPECTED.load(Relaxed) != start {
        increment(&TAKEN);
    }
    EXPECTED.store(end, Relaxed);
}

/// Not `fetch_add`: there is one processor, and a locked instruction costs ten others.
#[inline]
fn increment(count: &AtomicU64) {
    count.store(count.load(Relaxed) + 1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{Class, Instruction};

    #[test]
    fn a_region_is_what_lies_between_its_markers() {
        let tally = |count| {
            let mut tally = Tally::default();
            (0..count).for_each(|_| tally.add(&Instruction::new(2, Class::Other)));
            tally
        };
        let mut regions = Regions::default();
        let before = regions.keep(Block::new(0, 2, tally(1)));
        let body = regions.keep(Block::new(4, 10, tally(3)));
        let begin = Marker::new(Mark::Begin, 2, 4);
        let next = Marker::new(Mark::Next, 10, 12);
        let end = Marker::new(Mark::End, 12, 14);
        executed(before);
        regions.pass(&begin);
        assert_eq!(regions.fault(), Some("region 0 did not end".to_owned()));
        for _ in 0..5 {
            executed(body);
        }
        regions.pass(&next);
        regions.pass(&end);
        executed(before);
        let counts: Vec<_> = regions
            .finished()
            .iter()
            .map(|tally| (tally.instructions(), tally.taken))
            .collect();
        // Four times back to the start of the body, once through.
        assert_eq!(counts, [(15, 4), (0, 0)]);
        assert_eq!(regions.fault(), None);
        regions.pass(&end);
        assert!(regions.fault().is_some());
    }
}
