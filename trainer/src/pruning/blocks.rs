//! Groups of neighbouring inputs of one output, which are kept or pruned together.
//!
//! A row of a matrix as it stands is split from its first column into groups as wide as
//! the recipe's blocks; where the width does not divide the columns, the last group is
//! shorter. Between two operations of pruning every group is whole: all of it is kept, or
//! none. This is how:
//!
//! - a removal takes groups ([`super::threshold`]);
//! - input dimensions are pruned in groups, since no row has half of one, and heads are a whole
//!   number of groups wide (the recipe is checked for that);
//! - neurons are pruned alone, by their rows of L_in. [`regroup`] fills the place of one that is
//!   cut with one from a group that is dissolved, and [`make_whole`] keeps that group
//!   in each row where one of its members is kept. Merged heads go through it too.
//!
//! A weight that comes back begins at zero and is on trial until the next removal.

use candle_core::Result;

use crate::network::parameter::Parameter;

/// Keeps every group that has a kept weight. With a width of 1 nothing changes.
///
/// # Errors
/// When the mask cannot be read or made.
pub(super) fn make_whole(parameter: &mut Parameter, width: usize) -> Result<()> {
    let Some(pruning) = &mut parameter.pruning else {
        return Ok(());
    };
    if width == 1 {
        return Ok(());
    }
    // On the device where the mask is.
    let (rows, cols) = pruning.mask.dims2()?;
    let all = cols.next_multiple_of(width);
    let padded = pruning.mask.pad_with_zeros(1, 0, all - cols)?;
    let groups = padded.reshape((rows, all / width, width))?;
    let is_kept = groups.max_keepdim(2)?.broadcast_as(groups.shape())?;
    let whole = is_kept.reshape((rows, all))?.narrow(1, 0, cols)?;
    pruning.mask = whole.contiguous()?;
    Ok(())
}

/// The kept columns in an order that leaves most of them where they are.
///
/// As many groups as the kept columns can fill are kept, those with the most kept columns;
/// those that are kept of the other groups fill their gaps, and the rest makes the last, shorter
/// group. With a width of 1 the order is the old one.
pub(super) fn regroup(keeps: &[bool], width: usize) -> Vec<u32> {
    let numbered: Vec<(u32, bool)> = (0..).zip(keeps.iter().copied()).collect();
    let groups: Vec<&[(u32, bool)]> = numbered.chunks(width).collect();
    let kept = |group: &[(u32, bool)]| group.iter().filter(|(_, keep)| *keep).count();
    let full = keeps.iter().filter(|&&keep| keep).count() / width;
    let mut fullest: Vec<usize> = (0..groups.len()).collect();
    fullest.sort_by_key(|&group| core::cmp::Reverse(kept(groups[group])));
    let mut is_kept = vec![false; groups.len()];
    for &group in fullest.iter().take(full) {
        is_kept[group] = true;
    }
    let of = |which: bool| {
        let chosen = groups.iter().zip(&is_kept);
        chosen.filter_map(move |(group, &is_kept)| (is_kept == which).then_some(*group))
    };
    let mut moving = of(false)
        .flatten()
        .filter_map(|&(column, keep)| keep.then_some(column));
    let mut order = Vec::with_capacity(keeps.len());
    for group in of(true) {
        // A short group at the end may have to grow.
        let places = group.iter().copied().chain(core::iter::repeat((0, false)));
        for (column, keep) in places.take(width) {
            order.extend(if keep { Some(column) } else { moving.next() });
        }
    }
    order.extend(moving);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn gaps_are_filled_from_the_emptiest_groups() {
        let keeps = |text: &str| text.bytes().map(|byte| byte == b'x').collect::<Vec<_>>();
        assert_eq!(regroup(&keeps("x.xx"), 1), [0, 2, 3]);
        assert_eq!(regroup(&keeps("xx.xx.xx"), 2), [0, 1, 4, 3, 6, 7]);
        // Two of the last group fill the gaps of the first and the third.
        assert_eq!(
            regroup(&keeps("x.xx....xxx..x.x"), 4),
            [0, 13, 2, 3, 8, 9, 10, 15]
        );
        // The rest makes a short group.
        assert_eq!(regroup(&keeps("xxxx.x.xx"), 4), [0, 1, 2, 3, 5, 7, 8]);
        // The short group at the end may be the fuller one.
        assert_eq!(regroup(&keeps("x...xx"), 2), [4, 5, 0]);
        assert_eq!(
            regroup(&keeps("...x.xxx.x"), 4),
            [3, 5, 6, 7, 9][..].to_vec()
        );
    }

    #[test]
    fn a_group_lives_where_a_member_does() {
        let mut parameter = Parameter::prunable(vec![0.0; 10], &[2, 5]).unwrap();
        let mask = [[0.0_f32, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]];
        let pruning = parameter.pruning.as_mut().unwrap();
        pruning.mask = Tensor::new(&mask, &Device::Cpu).unwrap();
        make_whole(&mut parameter, 1).unwrap();
        let whole = |parameter: &Parameter| {
            let pruning = parameter.pruning.as_ref().unwrap();
            pruning.mask.to_vec2::<f32>().unwrap()
        };
        assert_eq!(whole(&parameter), mask);
        make_whole(&mut parameter, 2).unwrap();
        assert_eq!(
            whole(&parameter),
            [[1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
        );
    }
}
