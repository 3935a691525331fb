//! Rows of a table, by number: embeddings, and the first tokens of sequences.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::on_cpu;

/// Which row of a table goes where.
#[derive(Clone, Debug)]
pub struct RowIndex {
    ids: Arc<[u32]>,
}

impl FromIterator<u32> for RowIndex {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        Self {
            ids: ids.into_iter().collect(),
        }
    }
}

impl RowIndex {
    /// The numbers.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The places of each number that occurs, all below `rows`, in the order of the batch:
    /// numbers, first of its places (and one after the last), places.
    ///
    /// Counted, not sorted: a batch has thousands, and a GPU waits.
    #[cfg(any(feature = "cuda", test))]
    pub(super) fn grouped(&self, rows: usize) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        const NONE: u32 = u32::MAX;
        let mut numbers = vec![NONE; rows];
        let (mut distinct, mut counts) = (Vec::new(), Vec::<u32>::new());
        for &id in &*self.ids {
            let number = &mut numbers[id as usize];
            if *number == NONE {
                *number = u32::try_from(distinct.len()).unwrap_or(NONE);
                distinct.push(id);
                counts.push(0);
            }
            counts[*number as usize] += 1;
        }
        let mut first = 0;
        let mut starts = Vec::with_capacity(counts.len() + 1);
        for count in &mut counts {
            starts.push(first);
            first += core::mem::replace(count, first);
        }
        starts.push(first);
        let mut next = counts;
        let mut places = vec![0; self.ids.len()];
        for (place, &id) in (0..).zip(&*self.ids) {
            let next = &mut next[numbers[id as usize] as usize];
            places[*next as usize] = place;
            *next += 1;
        }
        (distinct, starts, places)
    }

    fn check(&self, rows: usize) -> Result<()> {
        match self.ids.iter().find(|&&id| id as usize >= rows) {
            Some(id) => bail!("row {id} of a table of {rows}"),
            None => Ok(()),
        }
    }
}

/// `table` `[rows, width]` → `[numbers, width]`.
///
/// # Errors
/// When a number is outside the table, or the table is not contiguous.
pub(crate) fn rows(table: &Tensor, index: &RowIndex) -> Result<Tensor> {
    let (rows, width) = table.dims2()?;
    index.check(rows)?;
    #[cfg(feature = "cuda")]
    if table.device().is_cuda() {
        return super::cuda::rows(table, index);
    }
    on_cpu([table], (index.ids().len(), width), |[table]| {
        let row = |&id: &u32| &table[id as usize * width..(id as usize + 1) * width];
        index.ids().iter().flat_map(row).copied().collect()
    })
}

/// Gradient of a table of `rows` rows, where `gradient` is that of the result: each row
/// gets the sum over its places, in their order.
///
/// # Errors
/// When a number is outside the table.
pub(crate) fn rows_backward(index: &RowIndex, rows: usize, gradient: &Tensor) -> Result<Tensor> {
    index.check(rows)?;
    let gradient = gradient.contiguous()?;
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return super::cuda::rows_backward(&gradient, index, rows);
    }
    let (_, width) = gradient.dims2()?;
    on_cpu([&gradient], (rows, width), |[gradient]| {
        let mut grad_table = vec![0.0; rows * width];
        let gradients = gradient.chunks_exact(width.max(1));
        for (&id, gradient) in index.ids().iter().zip(gradients) {
            let row = &mut grad_table[id as usize * width..(id as usize + 1) * width];
            for (sum, gradient) in row.iter_mut().zip(gradient) {
                *sum += gradient;
            }
        }
        grad_table
    })
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, values};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let index = [2, 0, 2, 3, 2].into_iter().collect();
        check(
            [values(&[4, 3], 11)],
            |[table]| rows(table, &index),
            |_, gradient| Ok([rows_backward(&index, 4, gradient)?]),
        );
    }

    #[test]
    fn places_are_grouped_in_the_order_of_the_batch() {
        let index: RowIndex = [2, 0, 2, 3, 2, 0].into_iter().collect();
        let (distinct, starts, places) = index.grouped(4);
        assert_eq!(distinct, [2, 0, 3]);
        assert_eq!(starts, [0, 3, 5, 6]);
        assert_eq!(places, [0, 2, 4, 1, 5, 3]);
        let none: RowIndex = core::iter::empty().collect();
        assert_eq!(none.grouped(4), (vec![], vec![0], vec![]));
    }

    #[test]
    fn numbers_outside_the_table_are_refused() {
        let table = values(&[4, 3], 11);
        let error = rows(&table, &[1, 4].into_iter().collect()).unwrap_err();
        assert!(
            error.to_string().contains("row 4 of a table of 4"),
            "{error}"
        );
    }
}
