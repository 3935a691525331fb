//! A dev set out of a training set.

use core::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::Located;
use super::{DataError, Dataset, Example, LabelledTexts, Problem};

/// One text in so many goes to the dev set.
const DEV_SHARE: usize = 10;

impl Dataset {
    /// Sets a tenth of every class aside as a dev set: `(train, dev)`, both in the order of the
    /// file.
    ///
    /// Which texts those are is decided by `seed` and the texts themselves, not by their places:
    /// however a file is sorted, and whatever is added to it, nearly all of them stay the same.
    /// Equal texts of a class are on one side. Every class keeps one text to train on; of a class
    /// with fewer than five texts there may be none in the dev set. Where texts are repeated so often
    /// that each is more than a tenth of its class, the rarest of them is the dev set.
    ///
    /// # Errors
    /// With fewer than ten examples, or where no class has two texts that differ.
    pub fn split_dev(mut self, seed: u64) -> Result<(Self, Self), DataError> {
        let rows = self.examples.len();
        let too_few = |path: &Path| Err(Located::file(Problem::TooFewToSplit { rows }).at(path));
        if rows < DEV_SHARE {
            return too_few(&self.path);
        }
        let is_dev = drawn(&self.examples, shares(&self.class_counts()), seed);
        let parts = core::mem::take(&mut self.examples).split(&is_dev);
        let mut dev = self.clone();
        [self.examples, dev.examples] = parts;
        if dev.examples.is_empty() {
            return too_few(&self.path);
        }
        Ok((self, dev))
    }
}

/// Whether each example is in the dev set, of which `free` places are for each class.
fn drawn(examples: &LabelledTexts, mut free: Vec<usize>, seed: u64) -> Vec<bool> {
    // Eight bytes, because a row may have no more than four in the file: the place, and the
    // beginning of the digest, which is nearly always different from all others.
    let draw = |place: u32| {
        let [a, b, c, d, ..] = digest(examples.at(place as usize), seed);
        (u32::from_be_bytes([a, b, c, d]), place)
    };
    let mut draws: Vec<_> = (0..).take(examples.len()).map(draw).collect();
    // By the whole digest, which equal texts have in common, and then by label.
    let compare = |one: &(u32, u32), other: &(u32, u32)| {
        one.0.cmp(&other.0).then_with(|| {
            let [one, other] = [one.1, other.1].map(|place| examples.at(place as usize));
            let by_digest = match (one.text, one.pair) == (other.text, other.pair) {
                true => Ordering::Equal,
                false => digest(one, seed).cmp(&digest(other, seed)),
            };
            by_digest.then(one.label.cmp(&other.label))
        })
    };
    draws.sort_unstable_by(compare);
    let mut is_dev = vec![false; draws.len()];
    for same in draws.chunk_by(|one, next| compare(one, next).is_eq()) {
        let label = examples.at(same[0].1 as usize).label;
        let free = free.get_mut(label as usize);
        if let Some(free) = free.filter(|free| same.len() <= **free) {
            *free -= same.len();
            for &(_, place) in same {
                is_dev[place as usize] = true;
            }
        }
    }
    if !is_dev.contains(&true) {
        let places = rarest(&draws, examples, compare);
        places
            .iter()
            .for_each(|&(_, place)| is_dev[place as usize] = true);
    }
    is_dev
}

/// The fewest equal texts of a class that has others; of several the first.
fn rarest<'d>(
    draws: &'d [(u32, u32)],
    examples: &LabelledTexts,
    compare: impl Fn(&(u32, u32), &(u32, u32)) -> Ordering,
) -> &'d [(u32, u32)] {
    let label = |same: &[(u32, u32)]| examples.at(same[0].1 as usize).label;
    let mut texts = BTreeMap::<u32, usize>::new();
    let groups = || draws.chunk_by(|one, next| compare(one, next).is_eq());
    for same in groups() {
        *texts.entry(label(same)).or_default() += 1;
    }
    let of_others = groups().filter(|same| texts[&label(same)] > 1);
    of_others.min_by_key(|same| same.len()).unwrap_or_default()
}

/// How many texts of each class to set aside: a tenth of it, rounded, and one more of some where
/// that would be less than a tenth of all; never its last one.
fn shares(counts: &[usize]) -> Vec<usize> {
    let rows: usize = counts.iter().sum();
    let rounded = |count: usize| (count + DEV_SHARE / 2) / DEV_SHARE;
    let mut shares: Vec<usize> = counts.iter().map(|&count| rounded(count)).collect();
    let missing = rounded(rows).saturating_sub(shares.iter().sum());
    // Those that rounding took most from, the first of several.
    let mut rounded_down: Vec<usize> = (0..counts.len())
        .filter(|&class| counts[class] > 1 && counts[class] % DEV_SHARE < DEV_SHARE / 2)
        .collect();
    rounded_down.sort_by_key(|&class| core::cmp::Reverse(counts[class] % DEV_SHARE));
    for class in rounded_down.into_iter().take(missing) {
        shares[class] += 1;
    }
    let pairs = shares.into_iter().zip(counts);
    pairs
        .map(|(share, &count)| share.min(count.saturating_sub(1)))
        .collect()
}

/// Decides on which side a text is.
fn digest(example: Example<'_>, seed: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    // The length, so that no two pairs give the same bytes.
    hasher.update((example.text.len() as u64).to_le_bytes());
    hasher.update(example.text);
    hasher.update(example.pair.unwrap_or_default());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Format, ReadOptions, parse};

    /// A set with these (class, text).
    fn set(rows: &[(usize, String)]) -> Dataset {
        let mut file = "text\tlabel\n".to_owned();
        for (class, text) in rows {
            file += &format!("{text}\tc{class}\n");
        }
        let options = ReadOptions::default();
        let path = "set.tsv".as_ref();
        parse(path, Format::Tsv, file.as_bytes(), &options, None).unwrap()
    }

    fn texts(set: &Dataset) -> Vec<&str> {
        set.texts().collect()
    }

    #[test]
    fn a_file_whose_classes_alternate_or_are_sorted_has_a_tenth_of_each() {
        let rows = |class: fn(usize) -> usize| -> Vec<_> {
            let row = |number| (class(number), format!("text {number}"));
            (0..200).map(row).collect()
        };
        for rows in [rows(|number| number % 2), rows(|number| number / 100)] {
            let (train, dev) = set(&rows).split_dev(0).unwrap();
            assert_eq!(train.class_counts(), [90, 90]);
            assert_eq!(dev.class_counts(), [10, 10]);
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_of_the_file_does_not() {
        let rows: Vec<_> = (0..100)
            .map(|number| (number % 3, format!("text {number}")))
            .collect();
        let backwards: Vec<_> = rows.iter().rev().cloned().collect();
        let dev = |rows: &[_], seed| {
            let (_, dev) = set(rows).split_dev(seed).unwrap();
            let mut texts: Vec<_> = dev.texts().map(str::to_owned).collect();
            texts.sort();
            texts
        };
        assert_eq!(dev(&rows, 0), dev(&backwards, 0));
        assert_ne!(dev(&rows, 0), dev(&rows, 1));
        // A row more moves one text at most.
        let more = [&rows[..], &[(1, "another text".to_owned())]].concat();
        let (one, other) = (dev(&rows, 0), dev(&more, 0));
        assert!(one.iter().filter(|text| !other.contains(text)).count() <= 1);
    }

    #[test]
    fn a_single_text_of_a_class_is_trained_on() {
        let mut rows: Vec<_> = (0..40)
            .map(|number| (number % 2, format!("text {number}")))
            .collect();
        rows.push((2, "the only one".to_owned()));
        let (train, dev) = set(&rows).split_dev(0).unwrap();
        assert_eq!(train.class_counts(), [18, 18, 1]);
        assert_eq!(dev.class_counts(), [2, 2, 0]);
    }

    #[test]
    fn many_small_classes_have_a_tenth_of_all_together() {
        assert_eq!(shares(&[4; 100]), [[1; 40].as_slice(), &[0; 60]].concat());
        assert_eq!(shares(&[1000, 4, 3, 1]), [100, 1, 0, 0]);
        assert_eq!(shares(&[5, 5]), [1, 1]);
        assert_eq!(shares(&[1; 20]), [0; 20]);
    }

    #[test]
    fn of_texts_that_are_repeated_often_the_rarest_is_set_aside() {
        let mut rows: Vec<_> = (0..60)
            .map(|number| (number % 2, format!("text {}", number / 2 % 6)))
            .collect();
        rows.truncate(59);
        let (train, dev) = set(&rows).split_dev(0).unwrap();
        assert_eq!(train.class_counts(), [30, 25]);
        assert_eq!(texts(&dev), ["text 5"; 4]);
    }

    #[test]
    fn what_cannot_be_split_says_so() {
        let same: Vec<_> = (0..20)
            .map(|number| (number % 2, "same".to_owned()))
            .collect();
        let error = set(&same).split_dev(0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "set.tsv: of 20 rows no tenth can be set aside as dev set; expected at least 10 rows, \
             and a class with two texts that differ; or give a dev file"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_class_is_taken_whole(
            rows in proptest::collection::vec((0_usize..5, 0_usize..40), 10..200),
            seed: u64,
        ) {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(class, text)| (class, format!("text {text}")))
                .collect();
            prop_assume!(rows.iter().any(|(class, _)| *class != rows[0].0));
            let whole = set(&rows);
            let Ok((train, dev)) = whole.clone().split_dev(seed) else {
                return Ok(());
            };
            prop_assert_eq!(train.examples.len() + dev.examples.len(), rows.len());
            prop_assert!(train.class_counts().iter().all(|&count| count > 0));
            let mut all = [texts(&train), texts(&dev)].concat();
            let mut expected = texts(&whole);
            all.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
            // As the whole digests say, class by class.
            let mut free = shares(&whole.class_counts());
            let mut drawn = BTreeMap::<_, Vec<&str>>::new();
            for example in whole.examples.iter() {
                let place = (example.label, digest(example, seed));
                drawn.entry(place).or_default().push(example.text);
            }
            let mut expected = Vec::new();
            for ((label, _), same) in drawn {
                if same.len() <= free[label as usize] {
                    free[label as usize] -= same.len();
                    expected.extend(same);
                }
            }
            let mut drawn = texts(&dev);
            drawn.sort_unstable();
            expected.sort_unstable();
            // Else the rarest text.
            if !expected.is_empty() {
                prop_assert_eq!(drawn, expected);
            }
            // Equal texts of a class are on one side.
            let mut sides = BTreeMap::new();
            for (side, set) in [(0, &train), (1, &dev)] {
                for example in set.examples.iter() {
                    let place = (example.label, example.text);
                    prop_assert_eq!(*sides.entry(place).or_insert(side), side);
                }
            }
        }
    }
}
