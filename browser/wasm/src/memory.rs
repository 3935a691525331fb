//! Linear memory after the module's own: reserved once, never freed.
//!
//! An instance holds one model, and JavaScript releases the memory by dropping the instance, so
//! nothing here needs an allocator.

use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::mem::MaybeUninit;

/// Bytes of a page of linear memory.
const PAGE: usize = 65_536;

/// Every region begins on a multiple of this, as the sections of a model file do.
const ALIGNMENT: usize = 16;

unsafe extern "C" {
    /// The linker puts it after the stack and the statics.
    static __heap_base: u8;
}

/// A part of linear memory that nothing else uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    start: usize,
    length: usize,
}

impl Region {
    /// An empty region, at an address where nothing can be.
    pub(crate) const NONE: Self = Self {
        start: 0,
        length: 0,
    };

    /// Where it begins.
    pub(crate) fn address(self) -> usize {
        self.start
    }

    /// Its first `length` bytes; `None` if it has fewer.
    pub(crate) fn bytes(self, length: usize) -> Option<&'static [u8]> {
        if length > self.length || self.start == 0 {
            return None;
        }
        // SAFETY: the region is initialised memory (`memory.grow` gives zeros) that
        // belongs to this region alone, and linear memory never shrinks. JavaScript
        // writes to it only between calls; only the model file is borrowed for longer than a call,
        // and JavaScript writes it before `open` and never again.
        Some(unsafe { core::slice::from_raw_parts(self.start as *const u8, length) })
    }

    /// All of it, for writing.
    ///
    /// # Safety
    /// No other slice of this region may be in use.
    pub(crate) unsafe fn bytes_mut(self) -> &'static mut [u8] {
        // SAFETY: as above; the caller ensures that this is the only slice.
        unsafe { core::slice::from_raw_parts_mut(self.start as *mut u8, self.length) }
    }
}

/// Hands out regions, one after another.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes handed out, counted from the end of the statics.
    used: Cell<usize>,
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self { used: Cell::new(0) }
    }

    /// A new region of `length` zeroed bytes; `None` if there is no more memory.
    pub(crate) fn reserve(&self, length: usize) -> Option<Region> {
        let base = &raw const __heap_base as usize;
        let start = base
            .checked_add(self.used.get())?
            .checked_next_multiple_of(ALIGNMENT)?;
        let region = Region { start, length };
        grow(region)?;
        self.used.set(start + length - base);
        Some(region)
    }

    /// A new region that holds `items` from now on; `None` if there is no more memory.
    pub(crate) fn keep<T: Copy>(
        &self,
        items: impl Iterator<Item = T> + Clone,
    ) -> Option<&'static [T]> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let count = items.clone().count();
        let start = self.reserve(count.checked_mul(size_of::<T>())?)?.start;
        // SAFETY: the region was just reserved, for `count` places of this alignment, and nobody
        // else gets it.
        let places =
            unsafe { core::slice::from_raw_parts_mut(start as *mut MaybeUninit<T>, count) };
        let mut kept = 0;
        for (place, item) in places.iter_mut().zip(items) {
            place.write(item);
            kept += 1;
        }
        // SAFETY: the first `kept` places were just written, and nobody writes to them again.
        Some(unsafe { core::slice::from_raw_parts(start as *const T, kept) })
    }

    /// Makes `region`, the last one reserved, at least `length` bytes long.
    pub(crate) fn extend(&self, region: Region, length: usize) -> Option<Region> {
        let longer = Region {
            length: length.max(region.length),
            ..region
        };
        grow(longer)?;
        self.used
            .set(self.used.get() + longer.length - region.length);
        Some(longer)
    }
}

/// Asks the host for the pages of `region` that do not exist yet.
fn grow(region: Region) -> Option<()> {
    // No slice may be longer.
    isize::try_from(region.length).ok()?;
    let pages = region.start.checked_add(region.length)?.div_ceil(PAGE);
    let missing = pages.saturating_sub(memory_size(0));
    (missing == 0 || memory_grow(0, missing) != usize::MAX).then_some(())
}
