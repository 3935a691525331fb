//! Rows of a table, by number: embeddings, and the first tokens of sequences.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::tape::apply1;
use super::values;

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

    /// The places of each number that occurs, in the order of the batch: numbers, first
    /// of its places (and one behind the last), places.
    #[cfg(feature = "cuda")]
    pub(super) fn grouped(&self) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let ids = &self.ids;
        let mut places: Vec<u32> = (0..).take(ids.len()).collect();
        places.sort_by_key(|&place| ids[place as usize]);
        let (mut distinct, mut starts) = (Vec::new(), Vec::new());
        for (number, &place) in (0..).zip(&places) {
            let id = ids[place as usize];
            if distinct.last() != Some(&id) {
                distinct.push(id);
                starts.push(number);
            }
        }
        starts.push(u32::try_from(places.len()).unwrap_or(u32::MAX));
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
pub fn rows(table: &Tensor, index: &RowIndex) -> Result<Tensor> {
    index.check(table.dim(0)?)?;
    apply1(table, Rows(index.clone()))
}

struct Rows(RowIndex);

impl CustomOp1 for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let table = values(table, layout)?;
        let row = |&id: &u32| &table[id as usize * width..(id as usize + 1) * width];
        let rows = self.0.ids().iter().flat_map(row).copied().collect();
        Ok((CpuStorage::F32(rows), (self.0.ids().len(), width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        table: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::rows(table, layout, &self.0)
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = Backward {
            index: self.0.clone(),
            rows: table.dim(0)?,
        };
        let gradient = gradient.contiguous()?;
        Ok(Some(gradient.apply_op1_no_bwd(&backward)?))
    }
}

/// Each row of the table gets the sum of the gradients of its places, in their order.
struct Backward {
    index: RowIndex,
    rows: usize,
}

impl CustomOp1 for Backward {
    fn name(&self) -> &'static str {
        "rows-backward"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let mut of_table = vec![0.0; self.rows * width];
        let gradient = values(gradient, layout)?.chunks_exact(width.max(1));
        for (&id, gradient) in self.index.ids().iter().zip(gradient) {
            let row = &mut of_table[id as usize * width..(id as usize + 1) * width];
            for (sum, gradient) in row.iter_mut().zip(gradient) {
                *sum += gradient;
            }
        }
        Ok((CpuStorage::F32(of_table), (self.rows, width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::rows_backward(gradient, layout, &self.index, self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, variable};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let table = variable((4, 3), 11);
        let index = [2, 0, 2, 3, 2].into_iter().collect();
        check(core::slice::from_ref(&table), || rows(&table, &index));
    }

    #[test]
    fn numbers_outside_the_table_are_refused() {
        let table = variable((4, 3), 11);
        let error = rows(&table, &[1, 4].into_iter().collect()).unwrap_err();
        assert!(
            error.to_string().contains("row 4 of a table of 4"),
            "{error}"
        );
    }
}
