//! The last group to keep, found digit by digit: the host's part of a radix select.
//!
//! On a GPU nothing is sorted. A group's *place* is one number of 64 bits, the higher the
//! longer it is kept: the bits of its score in an order of their own, then how early it
//! comes among equal scores. From the highest digit on, a histogram of weights over the
//! values of the digit, of those groups that agree with what is known so far, shows which value the
//! last group to keep has there. So a choice among any number of groups costs six passes on the
//! device and six histograms on the host.

/// Bits of a digit. `kernels.cu` has room for that many values.
const DIGIT: u32 = 11;

/// What is known of the last group to keep.
#[derive(Debug)]
pub(crate) struct Selection {
    /// A group is kept if those above it have no more weights than this.
    limit: u64,
    /// Weights of groups that are surely above it.
    above: u64,
    /// Weights of the groups that agree with what is known.
    agreeing: u64,
    /// The known bits of its place; the others are zero.
    prefix: u64,
    /// How many bits are not known.
    unknown: u32,
}

/// A histogram to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digit {
    /// Bits of a place that are known.
    pub(crate) known: u64,
    /// What they must be.
    pub(crate) prefix: u64,
    /// Lowest bit of the digit.
    pub(crate) shift: u32,
    /// Number of its values: a power of two.
    pub(crate) values: u32,
}

impl Selection {
    /// The largest number of a digit's values.
    pub(crate) const VALUES: usize = 1 << DIGIT;

    /// Groups are kept, the highest place first, while those above have no more than `limit`
    /// weights together.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            above: 0,
            agreeing: 0,
            prefix: 0,
            unknown: u64::BITS,
        }
    }

    /// The next digit, until every bit is known.
    pub(crate) fn digit(&self) -> Option<Digit> {
        let shift = self.unknown.saturating_sub(DIGIT);
        (self.unknown > 0).then(|| Digit {
            known: u64::MAX.checked_shl(self.unknown).unwrap_or(0),
            prefix: self.prefix,
            shift,
            values: 1 << (self.unknown - shift),
        })
    }

    /// Takes the weights by value of [`Selection::digit`]. False where all of them are kept.
    pub(crate) fn narrow(&mut self, weights: &[u32]) -> bool {
        for (value, &weights) in weights.iter().enumerate().rev() {
            let (value, weights) = (value as u64, u64::from(weights));
            if self.above + weights > self.limit {
                self.unknown = self.unknown.saturating_sub(DIGIT);
                self.prefix |= value << self.unknown;
                self.agreeing = weights;
                return true;
            }
            self.above += weights;
        }
        false
    }

    /// Place of the last group to keep.
    pub(crate) fn place(&self) -> u64 {
        self.prefix
    }

    /// Weights of all groups that are kept.
    pub(crate) fn kept(&self) -> u64 {
        self.above + self.agreeing
    }
}

/// The score in a place; infinite for the highest, where nothing is kept.
pub(crate) fn score(place: u64) -> f32 {
    let key = (place >> 32) as u32;
    if key == u32::MAX {
        return f32::INFINITY;
    }
    f32::from_bits(if key >> 31 == 1 {
        key & (u32::MAX >> 1)
    } else {
        !key
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use rand::RngExt as _;

    /// As the kernel does it.
    fn histogram(groups: &[(u64, u32)], digit: Digit) -> Vec<u32> {
        let mut weights = vec![0; digit.values as usize];
        for &(place, count) in groups {
            if place & digit.known == digit.prefix {
                let value = (place >> digit.shift) & u64::from(digit.values - 1);
                weights[usize::try_from(value).unwrap()] += count;
            }
        }
        weights
    }

    #[test]
    fn what_stays_is_the_head_of_a_sorted_list() {
        let mut generator = stream(5, Purpose::Noise, 0);
        for (width, distinct) in [(1, u32::MAX), (1, 3), (2, 40), (4, 1), (4, u32::MAX)] {
            let mut groups: Vec<(u64, u32)> = (0..3000_u32)
                .map(|position| {
                    let score = u64::from(generator.random_range(1..=distinct));
                    let weights = generator.random_range(1..=width);
                    (score << 32 | u64::from(!position), weights)
                })
                .collect();
            let total: u32 = groups.iter().map(|(_, weights)| weights).sum();
            let mut sorted = groups.clone();
            sorted.sort_by_key(|&(place, _)| core::cmp::Reverse(place));
            for kept in [width, 17, total / 2, total - 1] {
                let mut room = kept;
                let head = sorted.iter().take_while(|(_, weights)| {
                    let is_kept = room >= width;
                    room = room.saturating_sub(*weights);
                    is_kept
                });
                let expected: Vec<u64> = head.map(|&(place, _)| place).collect();

                let mut selection = Selection::new(u64::from(kept - width));
                while let Some(digit) = selection.digit() {
                    assert!(selection.narrow(&histogram(&groups, digit)));
                }
                groups.sort_by_key(|&(place, _)| core::cmp::Reverse(place));
                let kept_groups = groups
                    .iter()
                    .filter(|(place, _)| *place >= selection.place());
                let (places, weights): (Vec<u64>, Vec<u32>) = kept_groups.copied().unzip();
                assert_eq!(places, expected, "{kept} of {total}, {width} wide");
                assert_eq!(selection.kept(), u64::from(weights.iter().sum::<u32>()));
            }
        }
    }

    #[test]
    fn a_place_tells_its_score() {
        // As the kernel does it.
        let place = |score: f32| {
            let bits = score.to_bits();
            let key = if bits >> 31 == 1 {
                !bits
            } else {
                bits | 1 << 31
            };
            u64::from(key) << 32 | 7
        };
        for value in [0.0, 1e-45, 0.25, 3e38, -0.25, -3e38_f32] {
            assert_eq!(score(place(value)).to_bits(), value.to_bits(), "{value}");
        }
        assert!(place(-2.0) < place(-1.0) && place(-1.0) < place(1.0));
        assert_eq!(score(u64::MAX), f32::INFINITY);
    }

    #[test]
    fn where_there_is_room_for_all_nothing_is_chosen() {
        let groups = [(7_u64 << 40, 2), (9 << 40, 1)];
        let mut selection = Selection::new(3);
        let digit = selection.digit().unwrap();
        assert_eq!((digit.known, digit.shift), (0, 53));
        assert_eq!(digit.values as usize, Selection::VALUES);
        assert!(!selection.narrow(&histogram(&groups, digit)));
    }
}
