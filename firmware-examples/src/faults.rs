//! Where a program ends that cannot go on: a line on standard error, status 1.

use core::panic::PanicInfo;

/// Names the place only: formatting the message would link `core::fmt`.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let Some(location) = info.location() else {
        crate::fail(&["panic"]);
    };
    let mut digits = [b'0'; 10];
    let line = decimal(location.line(), &mut digits);
    crate::fail(&["panic at ", location.file(), ":", line])
}

fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut first = digits.len();
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        if let Ok(value) = u8::try_from(number % 10) {
            *digit = b'0' + value;
        }
        first = position;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(first..).unwrap_or(&[]);
    core::str::from_utf8(digits).unwrap_or("?")
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
