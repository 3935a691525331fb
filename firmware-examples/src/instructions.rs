//! Counts instructions with the one clock that every core has.
//!
//! QEMU with `-icount shift=N` lets each instruction take exactly 2^N ns, so a timer
//! counts instructions. The number of instructions per tick differs from board to board and is
//! measured on a loop of known length. On real hardware the same code reports time, in units of
//! that loop's instructions.

use core::arch::asm;

const LOOPS: u32 = 1_000_000;
const INSTRUCTIONS_PER_LOOP: u32 = 2;

/// A calibrated counter.
pub struct Counter {
    clock: Clock,
    ticks_of_loops: u32,
}

impl Counter {
    /// Takes the clock and calibrates it.
    ///
    /// `None` if the board has no clock, or if it is already taken.
    pub fn new() -> Option<Self> {
        let mut clock = Clock::take()?;
        clock.start();
        run_loops();
        let ticks_of_loops = clock.ticks().filter(|&ticks| ticks != 0)?;
        Some(Self {
            clock,
            ticks_of_loops,
        })
    }

    /// Runs `work`; `None` when it took longer than the clock can count.
    pub fn count<T>(&mut self, work: impl FnOnce() -> T) -> (T, Option<u32>) {
        self.clock.start();
        let result = work();
        let instructions = self.clock.ticks().and_then(|ticks| {
            let loops = u64::from(LOOPS) * u64::from(INSTRUCTIONS_PER_LOOP);
            u32::try_from(u64::from(ticks) * loops / u64::from(self.ticks_of_loops)).ok()
        });
        (result, instructions)
    }
}

#[inline(never)]
fn run_loops() {
    // SAFETY: counts a register down and touches nothing else.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!(
            "1: subs {0}, #1",
            "bne 1b",
            inout(reg) LOOPS => _,
            options(nomem, nostack)
        );
        #[cfg(target_arch = "riscv32")]
        asm!(
            "1: addi {0}, {0}, -1",
            "bnez {0}, 1b",
            inout(reg) LOOPS => _,
            options(nomem, nostack)
        );
    }
}

/// SysTick: 24 bits, downwards, part of the core on every board here.
#[cfg(target_arch = "arm")]
struct Clock(cortex_m::peripheral::SYST);

#[cfg(target_arch = "arm")]
impl Clock {
    const LARGEST: u32 = 0x00ff_ffff;

    fn take() -> Option<Self> {
        let mut clock = cortex_m::Peripherals::take()?.SYST;
        clock.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        clock.set_reload(Self::LARGEST);
        clock.enable_counter();
        Some(Self(clock))
    }

    fn start(&mut self) {
        // Clears the wrapped flag too.
        self.0.clear_current();
    }

    fn ticks(&mut self) -> Option<u32> {
        let current = cortex_m::peripheral::SYST::get_current();
        (!self.0.has_wrapped()).then_some(Self::LARGEST - current)
    }
}

/// The counter of retired instructions.
#[cfg(target_arch = "riscv32")]
struct Clock(usize);

#[cfg(target_arch = "riscv32")]
impl Clock {
    fn take() -> Option<Self> {
        Some(Self(0))
    }

    fn start(&mut self) {
        self.0 = riscv::register::minstret::read();
    }

    fn ticks(&mut self) -> Option<u32> {
        u32::try_from(riscv::register::minstret::read().wrapping_sub(self.0)).ok()
    }
}
