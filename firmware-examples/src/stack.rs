//! How deep the stack grew: free stack is painted, and later the remaining paint is measured.

use core::arch::asm;

const PAINT: u32 = 0xa5a5_a5a5;

/// Paints the stack below the caller.
pub fn paint() {
    let mut word = lowest();
    let here = stack_pointer();
    while (word as usize) < here {
        // SAFETY: memory between the end of the statics and the stack pointer is
        // reserved for the stack by the linker script, and not in use: no interrupt is enabled, and
        // this loop calls nothing that is not inlined. Aligned, since the linker script aligns both
        // ends.
        unsafe {
            word.write_volatile(PAINT);
            word = word.add(1);
        }
    }
}

/// Bytes between the top of the stack and the lowest word written since [`paint`].
///
/// `None` when no paint is left: the stack has reached the statics, or overwritten them.
pub fn high_water() -> Option<usize> {
    let mut word = lowest();
    let here = stack_pointer();
    // SAFETY: as in `paint`; only reads, and stops at memory in use.
    while (word as usize) < here && unsafe { word.read_volatile() } == PAINT {
        // SAFETY: still below the stack pointer, so within the stack's memory.
        word = unsafe { word.add(1) };
    }
    (word > lowest()).then(|| highest() - word as usize)
}

fn lowest() -> *mut u32 {
    unsafe extern "C" {
        #[cfg_attr(target_arch = "arm", link_name = "_stack_end")]
        #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
        static mut STACK_END: u32;
    }
    &raw mut STACK_END
}

fn highest() -> usize {
    unsafe extern "C" {
        #[link_name = "_stack_start"]
        static STACK_START: u32;
    }
    &raw const STACK_START as usize
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: copies a register.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
