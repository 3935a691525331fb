//! Values of eight tokens side by side.
//!
//! A vector of eight tokens is `[features]` of [`Lanes`]. Passes take [`GRAIN`] lanes at once, so
//! that a tile with few tokens costs little; lanes after the last grain may hold anything.

use super::tile::{GRAIN, Lanes};

/// Number of grains that hold `tokens` tokens.
#[inline]
pub(crate) const fn grains(tokens: usize) -> core::ops::Range<usize> {
    0..tokens.div_ceil(GRAIN)
}

/// One grain of each row.
#[inline]
pub(crate) fn grain<T>(rows: &[Lanes<T>], grain: usize) -> impl Iterator<Item = &[T; GRAIN]> {
    rows.iter()
        .filter_map(move |row| row.as_chunks().0.get(grain))
}

/// Mutable [`grain`].
#[inline]
pub(crate) fn grain_mut<T>(
    rows: &mut [Lanes<T>],
    grain: usize,
) -> impl Iterator<Item = &mut [T; GRAIN]> {
    rows.iter_mut()
        .filter_map(move |row| row.as_chunks_mut().0.get_mut(grain))
}

/// One grain of one row.
#[inline]
pub(crate) fn grain_of<T: Copy + Default>(row: &Lanes<T>, grain: usize) -> [T; GRAIN] {
    row.as_chunks().0.get(grain).copied().unwrap_or_default()
}

/// Sets one grain of one row.
#[inline]
pub(crate) fn set_grain<T>(row: &mut Lanes<T>, grain: usize, values: [T; GRAIN]) {
    if let Some(part) = row.as_chunks_mut().0.get_mut(grain) {
        *part = values;
    }
}

/// One lane of each row.
#[inline]
pub(crate) fn lane<T>(rows: &[Lanes<T>], lane: usize) -> impl Iterator<Item = &T> {
    rows.iter().filter_map(move |row| row.get(lane))
}
