//! What the programs need of a board: a way in, a way out, and instruments.
//!
//! Everything else of a program is `neuroprune-runtime` and would look the same in
//! a product.
#![no_std]

mod faults;
pub mod files;
pub mod instructions;
pub mod numbers;
pub mod regions;
pub mod stack;

// Linked for the critical section that defmt's logger and static cells stand on.
#[cfg(target_arch = "arm")]
use cortex_m as _;
use portable_atomic as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

use semihosting::io::Write;

/// Ends the program; the number becomes the exit status of QEMU.
pub fn exit(code: i32) -> ! {
    semihosting::process::exit(code)
}

/// Writes to the host's standard output. Not beside defmt, which owns it.
pub fn print(text: &str) {
    if let Ok(mut output) = semihosting::io::stdout() {
        // Where the host does not listen, nothing is left to tell it.
        let _ = output.write_all(text.as_bytes());
    }
}

/// Writes to the host's standard error and ends the program with status 1.
pub fn fail(parts: &[&str]) -> ! {
    if let Ok(mut output) = semihosting::io::stderr() {
        for part in parts {
            let _ = output.write_all(part.as_bytes());
        }
        let _ = output.write_all(b"\n");
    }
    exit(1)
}
