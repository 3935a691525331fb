//! Where a program that cannot continue ends: a line on standard error, status 1.

use core::panic::PanicInfo;

use crate::numbers::decimal;

/// Only names the place: formatting the message would link `core::fmt`.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let Some(location) = info.location() else {
        crate::fail(&["panic"]);
    };
    let mut digits = [b'0'; 10];
    let line = decimal(location.line(), &mut digits);
    crate::fail(&["panic at ", location.file(), ":", line])
}

/// # Safety
/// Called by the core's exception entry only.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(_frame: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::fail(&["HardFault"])
}

#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_frame: &riscv_rt::TrapFrame) -> ! {
    crate::fail(&["exception"])
}
