//! Texts as numbers of words, so that each is spelled once in every vocabulary.

use std::collections::{BTreeMap, HashMap};

use crate::text::batch::EncodedExample;
use crate::text::vocabulary::{Vocabulary, VocabularyError, spell};

/// A text, or a pair of texts, as numbers of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WordText {
    pub(super) first: Vec<u32>,
    pub(super) second: Option<Vec<u32>>,
}

/// Every word that occurs, as pieces of the teacher's vocabulary.
pub(super) struct Lexicon {
    numbers: HashMap<Vec<u32>, u32>,
    words: Vec<Vec<u32>>,
    special: [u32; 2],
    /// Pieces below begin a word.
    initial: u32,
}

/// What every word of a lexicon becomes in some vocabulary.
pub(super) struct Spelling {
    words: Vec<Vec<u32>>,
    special: [u32; 2],
    /// Longest sequence.
    tokens: usize,
}

impl Lexicon {
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let settings = vocabulary.settings(false);
        Self {
            numbers: HashMap::new(),
            words: Vec::new(),
            special: [settings.start.into(), settings.separator.into()],
            initial: u32::try_from(vocabulary.initial().len()).unwrap_or(u32::MAX),
        }
    }

    /// The number of a word.
    pub(super) fn number(&mut self, pieces: &[u32]) -> u32 {
        if let Some(&number) = self.numbers.get(pieces) {
            return number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(pieces.to_vec());
        self.numbers.insert(pieces.to_vec(), number);
        number
    }

    /// The words of an example, without special tokens.
    pub(super) fn read(&mut self, example: &EncodedExample) -> WordText {
        let (first, second) = example.ids.split_at(example.first.min(example.ids.len()));
        let first = self.words_of(first);
        let second = (!second.is_empty()).then(|| self.words_of(second));
        WordText { first, second }
    }

    fn words_of(&mut self, ids: &[u32]) -> Vec<u32> {
        let is_special = |id: &u32| self.special.contains(id);
        let ids: Vec<u32> = ids.iter().copied().filter(|id| !is_special(id)).collect();
        let (initial, mut words) = (self.initial, Vec::new());
        for word in ids.chunk_by(|_, &next| next >= initial) {
            words.push(self.number(word));
        }
        words
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The piece of a word that is one piece.
    pub(super) fn single_piece(&self, word: u32) -> Option<u32> {
        match self.words.get(word as usize)?.as_slice() {
            [piece] => Some(*piece),
            _ => None,
        }
    }

    /// As the teacher reads it.
    pub(super) fn teachers(&self, tokens: usize) -> Spelling {
        Spelling {
            words: self.words.clone(),
            special: self.special,
            tokens,
        }
    }

    /// How often each word occurs in `texts`, by its letters; unknown words do not count.
    pub(super) fn counts<'t>(
        &self,
        vocabulary: &Vocabulary,
        texts: impl Iterator<Item = &'t WordText>,
    ) -> BTreeMap<String, usize> {
        let mut counts = vec![0; self.words.len()];
        for text in texts {
            for &word in text.first.iter().chain(text.second.iter().flatten()) {
                counts[word as usize] += 1;
            }
        }
        let known = self.words.iter().zip(counts);
        let known = known.filter(|(word, count)| *count > 0 && *word != &[vocabulary.unknown()]);
        known
            .map(|(word, count)| (self.letters(vocabulary, word), count))
            .collect()
    }

    fn letters(&self, vocabulary: &Vocabulary, word: &[u32]) -> String {
        let piece = |&id: &u32| {
            let (initial, continuation) = (vocabulary.initial(), vocabulary.continuation());
            let place = id as usize;
            let continued = || continuation.get(place - initial.len());
            initial
                .get(place)
                .or_else(continued)
                .map_or("", String::as_str)
        };
        word.iter().map(piece).collect()
    }

    /// As a network with the vocabulary `own` reads it, `teachers` being that of the lexicon.
    pub(super) fn spelled(
        &self,
        teachers: &Vocabulary,
        own: &Vocabulary,
        tokens: usize,
    ) -> Result<Spelling, VocabularyError> {
        let ids: HashMap<String, u32> = own.tokens().zip(0..).collect();
        let model = own.word_piece()?;
        let spelled = |word: &Vec<u32>| {
            if *word == [teachers.unknown()] {
                return Ok(vec![own.unknown()]);
            }
            let pieces = spell(&model, &self.letters(teachers, word))?;
            let id = |piece: String| ids.get(&piece).copied().unwrap_or(own.unknown());
            Ok(pieces.into_iter().map(id).collect())
        };
        let settings = own.settings(false);
        Ok(Spelling {
            words: self
                .words
                .iter()
                .map(spelled)
                .collect::<Result<_, VocabularyError>>()?,
            special: [settings.start.into(), settings.separator.into()],
            tokens,
        })
    }
}

impl Spelling {
    /// Token ids of a text, cut to the longest sequence as the tokenizer cuts it: of a pair the
    /// longer text first.
    pub(super) fn encode(&self, text: &WordText, label: u32) -> EncodedExample {
        let pieces = |words: &[u32]| -> Vec<u32> {
            let pieces = words.iter().map(|&word| &self.words[word as usize]);
            pieces.flatten().copied().collect()
        };
        let mut first = pieces(&text.first);
        let mut second = text.second.as_deref().map(pieces);
        let special = if second.is_some() { 3 } else { 2 };
        let room = self.tokens.saturating_sub(special);
        while first.len() + second.as_ref().map_or(0, Vec::len) > room {
            match &mut second {
                Some(second) if second.len() > first.len() => second.pop(),
                Some(_) | None => first.pop(),
            };
        }
        let [start, separator] = self.special;
        let mut ids = vec![start];
        ids.extend(first);
        ids.push(separator);
        let first = ids.len();
        if let Some(second) = second {
            ids.extend(second);
            ids.push(separator);
        }
        EncodedExample { ids, first, label }
    }
}
