//! Figures of other libraries on Cortex-M4 that were counted once, and are not counted
//! again here: CMSIS-NN is C, and needs a compiler for it.
//!
//! CMSIS-NN commit 99f736a, gcc 12.2 `-Ofast`, requantisation included.

/// Instructions of a multiplication, of a shape.
pub(crate) struct Recorded {
    pub(crate) inputs: u64,
    pub(crate) outputs: u64,
    /// Of `arm_fully_connected_s8`, in hundredths.
    pub(crate) fully_connected: u64,
    /// Of `arm_nn_mat_mult_nt_t_s8` with 16 tokens, in hundredths.
    pub(crate) batched: u64,
}

/// What it is, for the tables.
pub(crate) const SOURCE: &str =
    "CMSIS-NN: **recorded** once, commit 99f736a, gcc 12.2 `-Ofast`, requantisation included";

/// Every shape that was counted.
pub(crate) const CMSIS_NN: [Recorded; 5] = [
    recorded(384, 1536, 200, 172),
    recorded(1536, 384, 191, 164),
    recorded(384, 384, 200, 172),
    recorded(128, 512, 226, 194),
    recorded(128, 128, 227, 194),
];

/// The record of a shape.
pub(crate) fn cmsis_nn(inputs: u64, outputs: u64) -> Option<&'static Recorded> {
    let is_it = |recorded: &&Recorded| (recorded.inputs, recorded.outputs) == (inputs, outputs);
    CMSIS_NN.iter().find(is_it)
}

const fn recorded(inputs: u64, outputs: u64, fully_connected: u64, batched: u64) -> Recorded {
    Recorded {
        inputs,
        outputs,
        fully_connected,
        batched,
    }
}
