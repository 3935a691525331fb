//! The network of the epoch that was best on the dev set, where the recipe keeps it.

use candle_core::{Device, Result};

use crate::network::Network;
use crate::training::journal::EpochRecord;

/// The best network of a phase so far.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its epoch in the phase, from 1.
    pub epoch: usize,
    /// Its accuracy on the dev set, in per cent.
    pub dev_accuracy: f64,
    /// Its weights and masks, on the CPU.
    pub network: Network,
}

impl Best {
    /// Of `best` and the network of an epoch that has just ended, the more accurate one; of equals
    /// the later.
    pub(super) fn of(best: Option<Self>, epoch: &EpochRecord, network: &Network) -> Result<Self> {
        match best {
            Some(best) if best.dev_accuracy > epoch.dev_accuracy => Ok(best),
            _ => Ok(Self {
                epoch: epoch.epoch,
                dev_accuracy: epoch.dev_accuracy,
                // A copy: training goes on in place.
                network: network.restarted()?.to_device(&Device::Cpu)?,
            }),
        }
    }
}
