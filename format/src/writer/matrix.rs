//! A weight matrix in each of its layouts.

use alloc::vec::Vec;

use half::f16;

use super::choice::LayoutChoice;
use super::stream::Stream;
use super::{Encoded, WriteError, bitmap, blocks, delta, dense};
use crate::tensor::{BIAS, LayoutKind, ROW_MAP, ROW_SUM_LIMIT, Role, Scale};

/// A quantised weight matrix, `[rows, cols]` row by row; row = output.
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

/// A matrix in one layout.
pub(super) struct Candidate {
    pub(super) layout: LayoutKind,
    pub(super) flags: u8,
    pub(super) bytes: Vec<u8>,
    /// Rows that are stored.
    pub(super) rows: usize,
    /// Weights that are stored, zeros too.
    pub(super) entries: usize,
}

impl MatrixSource {
    pub(super) fn encode(&self) -> Result<Encoded, WriteError> {
        let (role, layer) = (self.role, self.layer);
        let bias = self.bias.as_ref();
        let fits = self.weights.len() == self.rows * self.cols
            && self.scales.len() == self.rows
            && bias.is_none_or(|bias| bias.len() == self.rows);
        if !fits {
            return Err(WriteError::Lengths { role, layer });
        }
        let chosen = match self.layout {
            LayoutChoice::Dense => dense::encode(self, false, false),
            LayoutChoice::Smallest => self.smallest(),
            LayoutChoice::Cheapest(costs) => costs.cheapest(self),
            LayoutChoice::Forced(layout) => self.laid_out(layout).ok_or(WriteError::Layout {
                role,
                layer,
                layout,
            })?,
        };
        Ok(Encoded {
            layout: chosen.layout,
            flags: chosen.flags,
            rows: self.rows,
            cols: self.cols,
            query_rows: self.query_rows,
            bytes: chosen.bytes,
        })
    }

    /// Files of before there were other layouts stay what they are.
    fn smallest(&self) -> Candidate {
        let dense = dense::encode(self, true, true);
        match self.laid_out(LayoutKind::DeltaU8) {
            Some(delta) if delta.bytes.len() < dense.bytes.len() => delta,
            _ => dense,
        }
    }

    /// The matrix in this layout, if that is possible.
    pub(super) fn laid_out(&self, layout: LayoutKind) -> Option<Candidate> {
        match layout {
            LayoutKind::Dense => Some(dense::encode(self, true, true)),
            LayoutKind::DeltaU8 => self.stream(layout, delta::encode_row),
            LayoutKind::Bitmap => self.stream(layout, bitmap::encode_row),
            LayoutKind::Blocks2 => self.stream(layout, blocks::encode_row::<2>),
            LayoutKind::Blocks4 => self.stream(layout, blocks::encode_row::<4>),
            LayoutKind::Embedding | LayoutKind::Norm => None,
        }
    }

    /// `encode_row` appends a row and returns how many weights it stored.
    fn stream(
        &self,
        layout: LayoutKind,
        encode_row: fn(&[i8], &mut Stream) -> Option<usize>,
    ) -> Option<Candidate> {
        if self.cols < layout.least_columns() {
            return None;
        }
        let (stored, flags, mut bytes) = self.encode_rows(true);
        let mut stream = Stream::default();
        let mut entries = 0;
        for &row in &stored {
            let row = self.row(row);
            // A heavier row has more than 520 nonzeros: better stored dense.
            let sum: u32 = row.iter().map(|w| u32::from(w.unsigned_abs())).sum();
            if sum > ROW_SUM_LIMIT || row.contains(&i8::MIN) {
                return None;
            }
            entries += encode_row(row, &mut stream)?;
        }
        stream.append_to(&mut bytes);
        Some(Candidate {
            layout,
            flags,
            bytes,
            rows: stored.len(),
            entries,
        })
    }

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
