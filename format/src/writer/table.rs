//! A table, as given to the writer.

use alloc::vec::Vec;

use super::Encoded;
use crate::schema::Role;
use crate::tensor::{Layout, Scale, TableValues};

/// A quantised table of rows that are looked up, `[rows, cols]` row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSource {
    /// What it is for.
    pub role: Role,
    /// Rows.
    pub rows: usize,
    /// Weights of a row.
    pub cols: usize,
    /// How to write them.
    pub values: TableValues,
    /// `rows · cols` of them, each at most [`TableValues::largest`] in magnitude.
    pub weights: Vec<i8>,
    /// Value of one unit in each row.
    pub scales: Vec<Scale>,
}

impl TableSource {
    /// `None` where the lengths are not those of the shape, or a weight is too large.
    pub(super) fn encode(&self) -> Option<Encoded> {
        let is_small = |weight: &i8| weight.unsigned_abs() <= self.values.largest().unsigned_abs();
        let fits = self.weights.len() == self.rows * self.cols
            && self.scales.len() == self.rows
            && self.weights.iter().all(is_small);
        if !fits {
            return None;
        }
        let mut bytes: Vec<u8> = self.scales.iter().map(|scale| scale.0).collect();
        for row in self.weights.chunks(self.cols.max(1)) {
            let row = row.iter().map(|weight| weight.cast_unsigned());
            match self.values {
                TableValues::I8 => bytes.extend(row),
                TableValues::I4 => {
                    let row: Vec<u8> = row.map(|weight| weight & 0x0f).collect();
                    let both =
                        |pair: &[u8]| pair.iter().rev().fold(0, |byte, half| byte << 4 | half);
                    bytes.extend(row.chunks(2).map(both));
                }
            }
        }
        Some(Encoded {
            layout: Layout::Table(self.values),
            flags: 0,
            rows: self.rows,
            cols: self.cols,
            query_rows: 0,
            bytes,
        })
    }
}
