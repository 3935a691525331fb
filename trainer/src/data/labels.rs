//! From names of classes to their numbers.

use core::cmp::Ordering;
use std::collections::HashMap;

use super::Problem;

/// Most labels of a file, together with the known ones: a model can have as many classes.
const MOST: usize = u16::MAX as usize;

/// The labels met so far.
pub(super) struct Labels {
    names: Vec<String>,
    index: HashMap<String, u16>,
    /// How many of them were there before the file; nothing where the file decides.
    known: Option<usize>,
}

impl Labels {
    /// Those of the file, and no others; or these, whether the file has them or not.
    pub(super) fn new(known: Option<&[String]>) -> Result<Self, Problem> {
        let names = known.unwrap_or_default().to_vec();
        if names.len() > MOST {
            return Err(Problem::TooManyLabels { most: MOST });
        }
        Ok(Self {
            index: names.iter().cloned().zip(0..).collect(),
            known: known.map(<[String]>::len),
            names,
        })
    }

    /// The number of a label; final only after [`finish`](Self::finish).
    pub(super) fn index_of(&mut self, name: &str) -> Result<u16, Problem> {
        if let Some(index) = self.index.get(name) {
            return Ok(*index);
        }
        let index = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        if usize::from(index) >= MOST {
            return Err(Problem::TooManyLabels { most: MOST });
        }
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), index);
        Ok(index)
    }

    /// The classes in their order, and the labels besides known ones; collected ones are sorted
    /// and those of the examples renumbered.
    pub(super) fn finish(self, of_examples: &mut [u16]) -> (Vec<String>, Vec<String>) {
        let mut names = self.names;
        if let Some(known) = self.known {
            let unseen = names.split_off(known);
            return (names, unseen);
        }
        names.sort_by(|a, b| natural_order(a, b));
        let mut sorted = vec![0; names.len()];
        for (name, position) in names.iter().zip(0..) {
            if let Some(met) = self.index.get(name)
                && let Some(slot) = sorted.get_mut(usize::from(*met))
            {
                *slot = position;
            }
        }
        for label in of_examples {
            if let Some(position) = sorted.get(usize::from(*label)) {
                *label = *position;
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
