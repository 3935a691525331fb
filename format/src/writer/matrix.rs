//! A weight matrix, as given to the writer.

use alloc::vec::Vec;

use half::f16;

use super::choice::LayoutChoice;
use crate::schema::Role;
use crate::tensor::{BIAS, ROW_MAP, Scale};

/// A quantised weight matrix, `[rows, cols]` row by row: row = output.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSource {
    /// What it is for.
    pub role: Role,
    /// Its layer, 0 outside of layers.
    pub layer: u16,
    /// Its head number, 0 for other roles.
    pub head: u16,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Query rows of a head, 0 for other roles.
    pub query_rows: usize,
    /// −127…127, `rows · cols` of them.
    pub weights: Vec<i8>,
    /// Value of one unit in each row.
    pub scales: Vec<Scale>,
    /// Added to each output.
    pub bias: Option<Vec<f16>>,
    /// How to lay it out.
    pub layout: LayoutChoice,
}

impl MatrixSource {
    pub(super) fn row(&self, row: usize) -> &[i8] {
        self.weights
            .get(row * self.cols..(row + 1) * self.cols)
            .unwrap_or(&[])
    }

    /// Biases, row map (if rows are cut), scales of the stored rows.
    pub(super) fn encode_rows(&self, cut: bool) -> (Vec<usize>, u8, Vec<u8>) {
        let is_stored = |row: &usize| !cut || self.row(*row).iter().any(|&weight| weight != 0);
        let stored: Vec<usize> = (0..self.rows).filter(is_stored).collect();
        let mut flags = 0;
        let mut bytes = Vec::new();
        if let Some(bias) = &self.bias {
            flags |= BIAS;
            bytes.extend(bias.iter().flat_map(|bias| bias.to_le_bytes()));
        }
        if stored.len() < self.rows {
            flags |= ROW_MAP;
            let mut map = alloc::vec![0_u8; self.rows.div_ceil(8)];
            for &row in &stored {
                if let Some(byte) = map.get_mut(row / 8) {
                    *byte |= 1 << (row % 8);
                }
            }
            bytes.extend(map);
        }
        let scales = stored.iter().filter_map(|&row| self.scales.get(row));
        bytes.extend(scales.map(|scale| scale.0));
        (stored, flags, bytes)
    }
}
