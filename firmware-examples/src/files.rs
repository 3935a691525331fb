//! Files that the emulator puts into memory: `cargo xtask bench` measures many models
//! with one image.
//!
//! They follow each other from `_bench_files` of the board's memory map onwards, each on a boundary
//! of 16 bytes: its length as a little-endian word, twelve bytes of zero, its bytes. A length of
//! zero ends the list. Only QEMU puts them there: a program that reads them has no meaning on
//! hardware.

use core::slice;

/// Bytes between boundaries, and in front of each file.
const STEP: usize = 16;

/// The files.
pub fn files() -> impl Iterator<Item = &'static [u8]> {
    unsafe extern "C" {
        #[link_name = "_bench_files"]
        static FIRST: u8;
    }
    let mut next = &raw const FIRST;
    core::iter::from_fn(move || {
        // SAFETY: the emulator has put a list as above there; nothing else is there, and
        // nothing writes to it. Each step goes to the next length, and none beyond the zero.
        unsafe {
            let length = next.cast::<u32>().read() as usize;
            if length == 0 {
                return None;
            }
            let file = slice::from_raw_parts(next.add(STEP), length);
            next = next.add(STEP + length.next_multiple_of(STEP));
            Some(file)
        }
    })
}
