//! Costs of the layouts on each target: the exporter chooses layouts by them, `inspect`
//! estimates work by them.
//!
//! The writer takes the layout with the least bytes × work, so that a tenth of the flash
//! and a tenth of the time weigh the same. That is right for a microcontroller with a
//! model in its flash, [`Target::Portable`] among them, and only a
//! convention for machines with gigabytes, where the costs of layouts differ enough to decide.

use neuroprune_format::tensor::{Matrix, RowWeights};
use neuroprune_format::writer::LayoutCosts;
use neuroprune_runtime::kernels::pairs::Feature;

use super::words::words;

/// Flash that a program needs besides the model on a Cortex-M4F: the budget of the program `hello`
/// in `firmware-examples/budgets.toml`, which the firmware job enforces.
pub const CODE_BYTES: usize = 43_600;
/// Stack of the program `footprint` on a Cortex-M4F, rounded up; its expected output is
/// in `firmware-examples/src/bin/footprint.mps2-an386.out`.
pub const STACK_BYTES: usize = 2_600;
/// Bytes of a feature of eight tokens there.
pub const FEATURE_BYTES: usize = size_of::<Feature>();

words! {
    /// The processor that a file's layouts are chosen for. Any file runs everywhere.
    #[derive(Default)]
    pub enum Target {
        /// Any core, with the portable kernels.
        #[default]
        Portable = "portable",
        /// Cortex-M4, M7 and M33, which have the same kernels.
        CortexM4 = "cortex-m4",
        /// Cortex-M0 and M0+.
        CortexM0 = "cortex-m0",
        /// Cortex-M3.
        CortexM3 = "cortex-m3",
        /// RV32IMAC.
        Riscv32 = "riscv32",
        /// Cortex-M55; needs the runtime's feature `helium`.
        CortexM55 = "cortex-m55",
        /// A browser.
        Wasm = "wasm",
        /// A PC or server.
        X86_64 = "x86-64",
    }
}

impl Target {
    /// What one tile of eight tokens costs, in hundredths of an instruction.
    #[must_use]
    pub fn costs(self) -> LayoutCosts {
        match self {
            Self::Portable => PORTABLE,
            Self::CortexM0 => CORTEX_M0,
            Self::CortexM3 => CORTEX_M3,
            Self::CortexM4 => SMLAL_PAIRS,
            Self::CortexM55 => HELIUM,
            Self::Riscv32 => RISCV32,
            Self::Wasm => WASM,
            Self::X86_64 => X86_64,
        }
    }

    /// Estimated instructions of one product of `matrix` with a tile of eight tokens.
    #[must_use]
    pub fn work(self, matrix: &Matrix<'_>) -> u64 {
        let costs = self.costs();
        let of = |count: usize, cost: u32| count as u64 * u64::from(cost);
        let row = |weights| {
            let weights = match weights {
                RowWeights::Dense(weights) => of(weights.len(), costs.dense),
                RowWeights::Columns(_, weights) => of(weights.len(), costs.columns),
                RowWeights::DeltaU8(pairs) => of(pairs.len() / 2, costs.delta_u8),
                RowWeights::Bitmap { bits, weights } => {
                    of(weights.len(), costs.bitmap) + of(bits.len(), costs.bitmap_byte)
                }
                RowWeights::Blocks2(blocks) => of(blocks.len() / 3 * 2, costs.blocks2),
                RowWeights::Blocks4(blocks) => of(blocks.len() / 5 * 4, costs.blocks4),
            };
            weights + u64::from(costs.row)
        };
        matrix.iter().map(|it| row(it.weights)).sum::<u64>() / 100
    }
}

/// The kernels of Cortex-M4: two int8 products with one `SMLAL`. Fitted to
/// `benchmarks/mps2-an386` (`cargo xtask bench`): instructions of a row and tile against its
/// nonzero weights, from 20 % density on for bitmaps. Lists of columns are read by portable
/// code: estimated.
const SMLAL_PAIRS: LayoutCosts = LayoutCosts {
    dense: 725,
    columns: 3000,
    delta_u8: 915,
    bitmap: 820,
    bitmap_byte: 850,
    blocks2: 840,
    blocks4: 760,
    row: 6200,
};

/// The kernels of Cortex-M55: four products an instruction. Fitted to
/// `benchmarks/mps3-an547`, as [`SMLAL_PAIRS`].
const HELIUM: LayoutCosts = LayoutCosts {
    dense: 550,
    columns: 3000,
    delta_u8: 745,
    bitmap: 615,
    bitmap_byte: 800,
    blocks2: 615,
    blocks4: 545,
    row: 4300,
};

/// The portable kernels: the mean of the next three.
const PORTABLE: LayoutCosts = LayoutCosts {
    dense: 4000,
    columns: 4900,
    delta_u8: 4700,
    bitmap: 4000,
    bitmap_byte: 13_500,
    blocks2: 3900,
    blocks4: 4000,
    row: 225_000,
};

/// Fitted to `benchmarks/microbit`, as [`SMLAL_PAIRS`]. Scaling a row back takes a library
/// of floats, hence the row.
const CORTEX_M0: LayoutCosts = LayoutCosts {
    dense: 6200,
    columns: 6700,
    delta_u8: 6500,
    bitmap: 6300,
    bitmap_byte: 15_400,
    blocks2: 5600,
    blocks4: 5700,
    row: 331_000,
};

/// Fitted to `benchmarks/mps2-an385`.
const CORTEX_M3: LayoutCosts = LayoutCosts {
    dense: 2900,
    columns: 4500,
    delta_u8: 4300,
    bitmap: 3000,
    bitmap_byte: 13_900,
    blocks2: 2900,
    blocks4: 2400,
    row: 161_000,
};

/// Fitted to `benchmarks/virt`.
const RISCV32: LayoutCosts = LayoutCosts {
    dense: 2800,
    columns: 3500,
    delta_u8: 3300,
    bitmap: 2800,
    bitmap_byte: 11_000,
    blocks2: 3400,
    blocks4: 4000,
    row: 184_000,
};

/// simd128, ratios of processor time in V8 with 100 for a dense weight (0.21 ns for eight
/// tokens): 1,536 × 384 of 5 to 40 % nonzero weights, two tiles at once. Lists of columns
/// were not measured; they are read as delta-u8 is, with a byte more.
const WASM: LayoutCosts = LayoutCosts {
    dense: 100,
    columns: 150,
    delta_u8: 140,
    bitmap: 215,
    bitmap_byte: 290,
    blocks2: 121,
    blocks4: 107,
    row: 1400,
};

/// AVX2, two tiles at once. Fitted to `benchmarks/x86-64`, as [`SMLAL_PAIRS`]. Lists of columns
/// are read one tile at a time: estimated.
const X86_64: LayoutCosts = LayoutCosts {
    dense: 180,
    columns: 750,
    delta_u8: 430,
    bitmap: 500,
    bitmap_byte: 650,
    blocks2: 500,
    blocks4: 390,
    row: 10_000,
};

/// In a file, separates the program that wrote it from the name of a target.
pub(crate) const LAYOUTS_FOR: &str = ", layouts for ";

/// The target that a file's layouts were chosen for, if it states one.
#[must_use]
pub fn target_of(producer: &str) -> Option<Target> {
    let (_, name) = producer.split_once(LAYOUTS_FOR)?;
    Target::by_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of weights at which the price bytes × work of delta-u8 is that of dense.
    fn break_even(target: Target) -> f64 {
        let costs = target.costs();
        (f64::from(costs.dense) / (2.0 * f64::from(costs.delta_u8))).sqrt()
    }

    #[test]
    fn sparse_layouts_pay_earlier_where_decoding_is_cheap() {
        for (target, density) in [
            (Target::Portable, 0.65),
            (Target::CortexM4, 0.63),
            (Target::Riscv32, 0.65),
            (Target::Wasm, 0.6),
            (Target::X86_64, 0.46),
        ] {
            let found = break_even(target);
            assert!((found - density).abs() < 0.01, "{target:?}: {found}");
        }
    }
}
