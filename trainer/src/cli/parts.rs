//! Common microcontrollers, and what fits them.

use comfy_table::CellAlignment;

use super::tables;
use crate::numbers::thousands;
use crate::recipe::target::CODE_BYTES;
use crate::recipe::{Budget, Size};

/// A microcontroller, or a family of them.
struct Part {
    /// Core and an example.
    name: &'static str,
    /// Kilobytes of flash.
    flash: usize,
    /// Kilobytes of RAM.
    ram: usize,
}

const fn part(name: &'static str, flash: usize, ram: usize) -> Part {
    Part { name, flash, ram }
}

const PARTS: [Part; 10] = [
    part("Cortex-M0, STM32F030R8", 64, 8),
    part("Cortex-M3, STM32F103CB", 128, 20),
    part("Cortex-M0, nRF51822 (micro:bit)", 256, 16),
    part("Cortex-M4F, STM32F401CC", 256, 64),
    part("Cortex-M4F, nRF52832", 512, 64),
    part("Cortex-M4F, nRF52840", 1024, 256),
    part("Cortex-M33, STM32U575", 2048, 784),
    part("Cortex-M7, STM32H743", 2048, 1024),
    part("Cortex-M0+, RP2040 with 2 MB", 2048, 264),
    part("RISC-V, ESP32-C3 with 4 MB", 4096, 400),
];

const KB: usize = 1024;
/// Tokens of a text; a microcontroller reads commands, not pages.
const TOKENS: usize = 32;

/// What is left for the file of a model besides the runtime, and the shape it would have.
pub(super) fn table() -> String {
    let mut table = tables::table(&["part", "flash, KB", "RAM, KB", "options", "network"]);
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    for part in PARTS {
        let file = (part.flash * KB - CODE_BYTES) / KB;
        // Half of the RAM is the application's.
        let ram = part.ram / 2;
        let budget = Budget {
            bytes: Size(file * KB),
            ram: Some(Size(ram * KB)),
            instructions: None,
        };
        let network = budget.shapes(TOKENS).into_iter().next();
        table.add_row([
            part.name.to_owned(),
            thousands(part.flash),
            thousands(part.ram),
            format!("--fit {file}KB --ram {ram}KB"),
            network.map(|it| it.to_string()).unwrap_or_default(),
        ]);
    }
    format!(
        "{table}\n\
         --fit: all flash but {} bytes of runtime and example code; less your own program. --ram: half\n\
         of it. Networks are for texts of {TOKENS} tokens (--set model.tokens={TOKENS}).",
        thousands(CODE_BYTES)
    )
}
