//! What the programs need from a board: an entry point, output, and instruments.
//!
//! Everything else in a program is `neuroprune-runtime` and would look the same in a product.
#![no_std]

#[cfg(thumb2)]
mod copying;
mod faults;
pub mod files;
pub mod instructions;
pub mod numbers;
pub mod regions;
pub mod stack;

// Linked for the critical section that defmt's logger and static cells need.
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

/// Writes to the host's standard output. Not together with defmt, which owns it.
pub fn print(text: &str) {
    if let Ok(output) = semihosting::io::stdout() {
        write(output, text);
    }
}

/// If the host does not listen, there is no other way to report that.
fn write(mut output: impl Write, text: &str) {
    let mut rest = text.as_bytes();
    // The library's own `write_all` can panic, and so links the formatting of numbers.
    while let Ok(written @ 1..) = output.write(rest) {
        rest = rest.get(written..).unwrap_or(&[]);
    }
}

/// Writes to the host's standard error and ends the program with status 1.
pub fn fail(parts: &[&str]) -> ! {
    for part in parts {
        complain(part);
    }
    complain("\n");
    exit(1)
}

/// Writes to the host's standard error.
#[inline(never)]
fn complain(text: &str) {
    if let Ok(output) = semihosting::io::stderr() {
        write(output, text);
    }
}
