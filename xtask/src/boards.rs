//! The boards, each a machine that QEMU emulates.
//!
//! To add one: a row here, and its memory map as `firmware-examples/memory/NAME.x`.

/// A machine that QEMU emulates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Board {
    /// Name of the board and of its memory map.
    pub(crate) name: &'static str,
    /// The core on it.
    pub(crate) core: &'static str,
    /// Rust target.
    pub(crate) target: &'static str,
    /// Features of the firmware that say what the core has beyond its target.
    pub(crate) features: &'static [&'static str],
    /// Program that emulates it.
    pub(crate) emulator: &'static str,
    /// Arguments that choose the machine.
    pub(crate) machine: &'static [&'static str],
    /// Each instruction takes 2^this nanoseconds. 3 lets the 24 bits of SysTick
    /// reach beyond 80 million instructions; RISC-V counts them itself.
    pub(crate) instruction_shift: u8,
}

/// Every board, smallest core first.
pub(crate) const BOARDS: [Board; 6] = [
    arm("microbit", "M0", "thumbv6m-none-eabi", &["-M", "microbit"]),
    arm(
        "mps2-an385",
        "M3",
        "thumbv7m-none-eabi",
        &["-M", "mps2-an385"],
    ),
    arm(
        "mps2-an386",
        "M4F",
        "thumbv7em-none-eabihf",
        &["-M", "mps2-an386"],
    ),
    arm(
        "mps2-an500",
        "M7",
        "thumbv7em-none-eabihf",
        &["-M", "mps2-an500"],
    ),
    Board {
        features: &["helium"],
        ..arm(
            "mps3-an547",
            "M55",
            "thumbv8m.main-none-eabihf",
            &["-M", "mps3-an547"],
        )
    },
    Board {
        name: "virt",
        core: "RV32",
        target: "riscv32imac-unknown-none-elf",
        features: &[],
        emulator: "qemu-system-riscv32",
        machine: &["-M", "virt", "-bios", "none"],
        instruction_shift: 0,
    },
];

/// The machine that this program runs on, where it has AVX2: no board, but counted as one.
/// Callgrind takes the emulator's place.
pub(crate) const HOST: Board = Board {
    name: "x86-64",
    core: "x86-64 with AVX2",
    target: "x86_64-unknown-linux-gnu",
    features: &[],
    emulator: "valgrind",
    machine: &[],
    instruction_shift: 0,
};

const fn arm(
    name: &'static str,
    core: &'static str,
    target: &'static str,
    machine: &'static [&'static str],
) -> Board {
    Board {
        name,
        core,
        target,
        features: &[],
        emulator: "qemu-system-arm",
        machine,
        instruction_shift: 3,
    }
}
