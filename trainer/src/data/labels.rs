//! From names of classes to their numbers.

use core::cmp::Ordering;
use std::collections::HashMap;

use super::Example;

/// The labels met so far.
pub(super) struct Labels {
    names: Vec<String>,
    index: HashMap<String, u32>,
    /// How many of them were there before the file; nothing where the file decides.
    known: Option<usize>,
}

impl Labels {
    /// Those of the file, and no others.
    pub(super) fn collecting() -> Self {
        Self {
            names: Vec::new(),
            index: HashMap::new(),
            known: None,
        }
    }

    /// These, whether the file has them or not.
    pub(super) fn known(names: &[String]) -> Self {
        let index = (0..)
            .zip(names)
            .map(|(index, name)| (name.clone(), index))
            .collect();
        Self {
            names: names.to_vec(),
            index,
            known: Some(names.len()),
        }
    }

    /// The number of a label; final only after [`finish`](Self::finish).
    pub(super) fn index_of(&mut self, name: &str) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        // A file of at most 2³⁰ bytes has fewer than 2³² labels.
        let index = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), index);
        index
    }

    /// The classes in their order, and the labels besides known ones; collected ones are sorted
    /// and the examples renumbered.
    pub(super) fn finish(self, examples: &mut [Example]) -> (Vec<String>, Vec<String>) {
        let mut names = self.names;
        if let Some(known) = self.known {
            let unseen = names.split_off(known);
            return (names, unseen);
        }
        names.sort_by(|a, b| natural_order(a, b));
        let mut sorted = vec![0; names.len()];
        for (position, name) in (0..).zip(&names) {
            if let Some(met) = self.index.get(name)
                && let Some(slot) = sorted.get_mut(*met as usize)
            {
                *slot = position;
            }
        }
        for example in examples {
            if let Some(position) = sorted.get(example.label as usize) {
                example.label = *position;
            }
        }
        (names, Vec::new())
    }
}

/// Numbers first and by value, so that class 10 follows class 9; the rest by code point.
fn natural_order(a: &str, b: &str) -> Ordering {
    let number = |name: &str| name.parse::<f64>().ok().filter(|value| value.is_finite());
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_first_and_by_value() {
        let mut names = ["b", "10", "a", "9", "-1", "nan", "2.5"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["-1", "2.5", "9", "10", "a", "b", "nan"]);
    }
}
