//! Labelled texts, one after another in memory.

use core::ops::Range;

/// One labelled text or pair of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example<'t> {
    /// The text, or the first of a pair. Never blank.
    pub text: &'t str,
    /// The second text of a pair. Never blank; in a data set all examples or none have it.
    pub pair: Option<&'t str>,
    /// Class, an index into [`Dataset::labels`](super::Dataset::labels); or, counted on from its
    /// end, into [`Dataset::unseen`](super::Dataset::unseen).
    pub label: u32,
}

/// The examples of a data set, in the order of its file.
///
/// Each takes the bytes of its texts and six more, or ten in a set of pairs: a file of the shortest
/// rows has four bytes a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledTexts {
    /// All texts; of a pair, the first and then the second.
    text: String,
    /// Where each text ends in `text`, which is shorter than
    /// [`LARGEST_FILE`](super::LARGEST_FILE).
    ends: Vec<u32>,
    labels: Vec<u16>,
}

impl LabelledTexts {
    /// How many examples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The example at a place, counted from 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Example<'_>> {
        (place < self.len()).then(|| self.at(place))
    }

    /// All examples, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Example<'_>> {
        self.range(0..self.len())
    }

    /// The examples at these places.
    ///
    /// # Panics
    /// When there are fewer, as soon as the first of the missing ones is asked for.
    pub fn range(&self, places: Range<usize>) -> impl ExactSizeIterator<Item = Example<'_>> {
        places.map(|place| self.at(place))
    }

    /// The example at a place where there is one.
    pub(super) fn at(&self, place: usize) -> Example<'_> {
        let text = |number: usize| {
            let before = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[before as usize..self.ends[number] as usize]
        };
        let label = u32::from(self.labels[place]);
        let is_pair = self.ends.len() > self.labels.len();
        let (text, pair) = match is_pair {
            true => (text(2 * place), Some(text(2 * place + 1))),
            false => (text(place), None),
        };
        Example { text, pair, label }
    }

    /// None yet, and room for `examples`: a list that grows by doubling is half empty at worst.
    pub(super) fn with_capacity(examples: usize) -> Self {
        Self {
            labels: Vec::with_capacity(examples),
            ..Self::default()
        }
    }

    /// Adds an example with one text or two, like all others.
    pub(super) fn push(&mut self, text: &str, pair: Option<&str>, label: u16) {
        let texts = core::iter::once(text).chain(pair);
        if self.labels.is_empty() {
            // Only now it is known how many texts an example has.
            let ends = self.labels.capacity() * texts.clone().count();
            self.ends.reserve_exact(ends);
        }
        for text in texts {
            self.text.push_str(text);
            // A file has at most 2³⁰ bytes, and its texts have no more.
            self.ends
                .push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        }
        self.labels.push(label);
    }

    /// Gives back room that is not used.
    pub(super) fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.labels.shrink_to_fit();
    }

    /// The label of each example.
    pub(super) fn labels_mut(&mut self) -> &mut [u16] {
        &mut self.labels
    }

    /// The examples that are not marked, and those that are, both in order.
    pub(super) fn split(&self, is_marked: &[bool]) -> [Self; 2] {
        let marked = is_marked.iter().filter(|&&is_marked| is_marked).count();
        let mut parts = [self.len() - marked, marked].map(Self::with_capacity);
        // The larger one has nearly all of the text.
        parts[0].text.reserve_exact(self.text.len());
        let labels = self.labels.iter();
        for ((example, &label), &is_marked) in self.iter().zip(labels).zip(is_marked) {
            parts[usize::from(is_marked)].push(example.text, example.pair, label);
        }
        parts.iter_mut().for_each(Self::shrink_to_fit);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_come_back_and_are_split_in_order() {
        let rows = [("a", "b", 0), ("été", "c d", 7), ("x", "y", 65_535)];
        for is_pair in [false, true] {
            let mut texts = LabelledTexts::with_capacity(1);
            assert!(texts.is_empty() && texts.get(0).is_none());
            for (text, pair, label) in rows {
                texts.push(text, is_pair.then_some(pair), label);
            }
            let expected = rows.map(|(text, pair, label)| Example {
                text,
                pair: is_pair.then_some(pair),
                label: u32::from(label),
            });
            assert!(texts.iter().eq(expected));
            assert!(texts.range(1..3).eq(expected[1..].iter().copied()));
            assert_eq!(
                (texts.get(2), texts.get(3), texts.len()),
                (Some(expected[2]), None, 3)
            );
            let [rest, marked] = texts.split(&[false, true, false]);
            assert!(rest.iter().eq([expected[0], expected[2]]));
            assert!(marked.iter().eq([expected[1]]));
        }
    }
}
