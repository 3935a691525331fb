//! A matrix in the chosen layout, and in each that it can have.

use super::candidate::Candidate;
use super::choice::{LayoutChoice, LayoutCosts};
use super::matrix::MatrixSource;
use super::stream::Stream;
use super::{WriteError, bitmap, blocks, delta, dense};
use crate::tensor::{Pattern, ROW_SUM_LIMIT};

impl MatrixSource {
    pub(super) fn lay_out(&self) -> Result<Candidate, WriteError> {
        let (role, layer) = (self.role, self.layer);
        let bias = self.bias.as_ref();
        let fits = self.weights.len() == self.rows * self.cols
            && self.scales.len() == self.rows
            && bias.is_none_or(|bias| bias.len() == self.rows);
        if !fits {
            return Err(WriteError::Lengths { role, layer });
        }
        Ok(match self.layout {
            LayoutChoice::Dense => dense::encode(self, false, false),
            LayoutChoice::Smallest => self.smallest(),
            LayoutChoice::Cheapest(costs) => self.cheapest(&costs),
            LayoutChoice::Forced(pattern) => self.candidate(pattern).ok_or(WriteError::Layout {
                role,
                layer,
                pattern,
            })?,
        })
    }

    /// The choice made before there were other patterns, so that those files are written unchanged.
    fn smallest(&self) -> Candidate {
        let dense = dense::encode(self, true, true);
        match self.candidate(Pattern::DeltaU8) {
            Some(delta) if delta.bytes.len() < dense.bytes.len() => delta,
            _ => dense,
        }
    }

    /// The candidate with the least bytes × work; among equals the first.
    fn cheapest(&self, costs: &LayoutCosts) -> Candidate {
        let price = |candidate: &Candidate| costs.price(self.rows, self.cols, candidate);
        let mut best = dense::encode(self, true, false);
        let mut least = price(&best);
        for candidate in Pattern::ALL.iter().filter_map(|&it| self.candidate(it)) {
            let new = price(&candidate);
            if new < least {
                (best, least) = (candidate, new);
            }
        }
        best
    }

    /// The matrix in this pattern, if that is possible. Dense names its columns where that
    /// saves bytes.
    fn candidate(&self, pattern: Pattern) -> Option<Candidate> {
        match pattern {
            Pattern::Dense => Some(dense::encode(self, true, true)),
            Pattern::Columns => {
                Some(dense::encode(self, true, true)).filter(|it| it.pattern == pattern)
            }
            Pattern::DeltaU8 => self.stream(pattern, delta::encode_row),
            Pattern::Bitmap => self.stream(pattern, bitmap::encode_row),
            Pattern::Blocks2 => self.stream(pattern, blocks::encode_row::<2>),
            Pattern::Blocks4 => self.stream(pattern, blocks::encode_row::<4>),
        }
    }

    /// `encode_row` appends a row and returns how many weights it stored.
    fn stream(
        &self,
        pattern: Pattern,
        encode_row: fn(&[i8], &mut Stream) -> Option<usize>,
    ) -> Option<Candidate> {
        if self.cols < pattern.least_columns() {
            return None;
        }
        let (stored, flags, mut bytes) = self.encode_rows(true);
        let mut stream = Stream::default();
        let mut entries = 0;
        for &row in &stored {
            let row = self.row(row);
            // A row with a larger sum has more than 520 nonzeros: better stored dense.
            let sum: u32 = row.iter().map(|w| u32::from(w.unsigned_abs())).sum();
            if sum > ROW_SUM_LIMIT || row.contains(&i8::MIN) {
                return None;
            }
            entries += encode_row(row, &mut stream)?;
        }
        stream.append_to(&mut bytes);
        Some(Candidate {
            pattern,
            flags,
            bytes,
            rows: stored.len(),
            entries,
        })
    }
}
