//! Small matrices that fit the cache, and their products.
//!
//! Rows are padded with zeros to whole vector registers, and there are enough rows for whole
//! blocks, so that loops have sizes that the compiler knows.

use super::reduction::LANES;

/// Rows of a product that are computed together: their sums fill the registers.
pub(super) const ROWS: usize = 4;

/// A matrix `[rows, columns]`.
pub(super) struct Tile {
    values: Vec<[f32; LANES]>,
    /// Blocks of [`LANES`] values in a row.
    blocks: usize,
}

impl Tile {
    /// Zeros.
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let blocks = columns.div_ceil(LANES);
        Self {
            values: vec![[0.0; LANES]; rows.next_multiple_of(ROWS) * blocks],
            blocks,
        }
    }

    /// A row with its padding.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        self.values[row * self.blocks..(row + 1) * self.blocks].as_flattened()
    }

    /// As [`Tile::row`].
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        self.values[row * self.blocks..(row + 1) * self.blocks].as_flattened_mut()
    }

    /// Takes these rows; the padding is kept.
    pub(super) fn fill<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) {
        for (number, row) in rows.enumerate() {
            self.row_mut(number)[..row.len()].copy_from_slice(row);
        }
    }

    /// Takes these columns; the padding is kept.
    pub(super) fn fill_transposed<'a>(&mut self, columns: impl Iterator<Item = &'a [f32]>) {
        let stride = self.blocks * LANES;
        let values = self.values.as_flattened_mut();
        for (number, column) in columns.enumerate() {
            let places = values[number..].iter_mut().step_by(stride);
            for (place, &value) in places.zip(column) {
                *place = value;
            }
        }
    }

    /// The first `depth` columns of a block of [`ROWS`] rows: what [`multiply`] reads on the left.
    pub(super) fn factors(
        &self,
        block: usize,
        depth: usize,
    ) -> impl Iterator<Item = [f32; ROWS]> + Clone {
        let [a, b, c, d] = core::array::from_fn(|row| self.row(block * ROWS + row)[..depth].iter());
        a.zip(b)
            .zip(c)
            .zip(d)
            .map(|(((a, b), c), d)| [*a, *b, *c, *d])
    }

    /// As [`Tile::factors`], of this matrix transposed.
    pub(super) fn factors_transposed(
        &self,
        block: usize,
        depth: usize,
    ) -> impl Iterator<Item = [f32; ROWS]> + Clone {
        let (columns, _) = self.values.as_flattened().as_chunks::<ROWS>();
        let stride = self.blocks * (LANES / ROWS);
        columns[block..]
            .iter()
            .step_by(stride.max(1))
            .take(depth)
            .copied()
    }
}

/// Block `block` of the rows of `product` ← `left`·`right`: sums over the depth, first to last.
pub(super) fn multiply(
    left: impl Iterator<Item = [f32; ROWS]> + Clone,
    right: &Tile,
    product: &mut Tile,
    block: usize,
) {
    for column in 0..right.blocks {
        let mut sums = [[0.0_f32; LANES]; ROWS];
        let right = right.values[column..].iter().step_by(right.blocks);
        for (factors, values) in left.clone().zip(right) {
            for (sums, factor) in sums.iter_mut().zip(factors) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += factor * value;
                }
            }
        }
        for (row, sums) in (block * ROWS..).zip(sums) {
            product.values[row * product.blocks + column] = sums;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_sums_over_the_depth() {
        // Small integers, so that no order of additions rounds.
        for (rows, depth, columns) in [(1, 1, 1), (5, 3, 17), (8, 20, 16), (9, 33, 40)] {
            let values = |rows: usize, columns: usize, seed: usize| {
                let value = move |row: usize, column: usize| {
                    f32::from(u8::try_from((row * 7 + column * 5 + seed) % 11).unwrap()) - 5.0
                };
                let row = |row| (0..columns).map(|column| value(row, column)).collect();
                (0..rows).map(row).collect::<Vec<Vec<f32>>>()
            };
            let (left, right) = (values(rows, depth, 1), values(depth, columns, 2));
            let mut plain = Tile::new(rows, depth);
            plain.fill(left.iter().map(Vec::as_slice));
            let mut turned = Tile::new(depth, rows);
            turned.fill_transposed(left.iter().map(Vec::as_slice));
            let mut right_tile = Tile::new(depth, columns);
            right_tile.fill(right.iter().map(Vec::as_slice));
            let mut products = [Tile::new(rows, columns), Tile::new(rows, columns)];
            for block in 0..rows.div_ceil(ROWS) {
                let [one, other] = &mut products;
                multiply(plain.factors(block, depth), &right_tile, one, block);
                multiply(
                    turned.factors_transposed(block, depth),
                    &right_tile,
                    other,
                    block,
                );
            }
            for product in &products {
                for (row, left) in left.iter().enumerate() {
                    for (column, &found) in product.row(row).iter().enumerate() {
                        let expected = (0..depth)
                            .map(|k| left[k] * right[k].get(column).unwrap_or(&0.0))
                            .sum::<f32>();
                        assert_eq!(found, expected, "{rows} {depth} {columns}: {row} {column}");
                    }
                }
            }
        }
    }
}
