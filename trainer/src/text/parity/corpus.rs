//! Texts that are hard to tokenise.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// First and last character of scripts that words are made of, normalised forms
/// and others.
const SCRIPTS: [(char, char); 24] = [
    ('a', 'z'),
    ('A', 'Z'),
    ('0', '9'),
    ('\u{c0}', '\u{24f}'),      // Latin with accents
    ('\u{370}', '\u{3ff}'),     // Greek
    ('\u{400}', '\u{4ff}'),     // Cyrillic
    ('\u{531}', '\u{587}'),     // Armenian
    ('\u{591}', '\u{5f4}'),     // Hebrew with points
    ('\u{600}', '\u{6ff}'),     // Arabic
    ('\u{900}', '\u{97f}'),     // Devanagari
    ('\u{e01}', '\u{e5b}'),     // Thai
    ('\u{f00}', '\u{fda}'),     // Tibetan
    ('\u{10a0}', '\u{10ff}'),   // Georgian
    ('\u{1100}', '\u{11ff}'),   // Hangul letters
    ('\u{1e00}', '\u{1fff}'),   // composed Latin and Greek
    ('\u{1b00}', '\u{1b7c}'),   // Balinese, with a reordered spacing mark
    ('\u{a980}', '\u{a9df}'),   // Javanese, likewise
    ('\u{3020}', '\u{30ff}'),   // kana, with reordered tone marks
    ('\u{4e00}', '\u{4e40}'),   // Chinese
    ('\u{ac00}', '\u{ac60}'),   // Hangul syllables
    ('\u{f900}', '\u{fb4f}'),   // compatibility ideographs, ligatures
    ('\u{ff01}', '\u{ffee}'),   // full width
    ('\u{1d15e}', '\u{1d17f}'), // musical symbols, reordered and decomposed
    ('\u{1f600}', '\u{1f64f}'), // faces
];

/// Short strings that tokenizers get wrong.
const TROUBLE: [&str; 64] = [
    "\u{301}",
    "\u{323}\u{301}",
    "\u{301}\u{323}",
    "e\u{301}",
    "é",
    "ế",
    "İ",
    "I\u{307}",
    "ß",
    "ẞ",
    "ﬁ",
    "ﬃ",
    "Σίσυφος",
    "ΣΑΣ",
    "ς",
    "Ω",
    "K",
    "Å",
    "한국어",
    "\u{1112}\u{1161}\u{11ab}",
    "中文",
    "豈",
    "\u{2f800}",
    "𠀀",
    "カタカナ",
    "ｶﾞ",
    "👩\u{200d}👩\u{200d}👧",
    "🏳\u{fe0f}\u{200d}🌈",
    "👍🏽",
    "🇩🇪",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{ad}",
    "\u{200b}",
    "\u{202e}",
    "\u{2066}",
    "\u{feff}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{e000}",
    "\u{f8ff}",
    "\u{f0000}",
    "\u{10ffff}",
    "שָׁלוֹם",
    "مَرْحَبًا",
    "हिन्दी",
    "ไทย",
    "[CLS]",
    "[SEP]",
    "[UNK]",
    "[PAD]",
    "##ing",
    "##",
    "don't",
    "3.14",
    "a_b",
    "x≠y",
    "≮",
    "¡¿",
    "\u{1b44}\u{302e}",
    "\u{302e}\u{1b44}",
    "\u{1d165}\u{a9c0}",
    "€50",
];

/// Everything that separates words, and some that only looks it.
const SPACES: [&str; 20] = [
    " ", " ", " ", " ", "  ", "\t", "\n", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{1680}",
    "\u{2003}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}", "\u{200b}",
];

const STARTS: [&str; 40] = [
    "re", "un", "pre", "over", "out", "mis", "inter", "sub", "trans", "con", "de", "dis", "en",
    "ex", "pro", "per", "be", "for", "with", "under", "light", "heat", "door", "win", "fan",
    "alarm", "mu", "lamp", "kitch", "bed", "bath", "gar", "cur", "cam", "ther", "vac", "sprink",
    "tele", "radi", "hum",
];
const MIDDLES: [&str; 40] = [
    "act", "form", "port", "press", "struct", "tract", "vent", "vert", "view", "tain", "ceive",
    "spect", "scribe", "mit", "duce", "fer", "ject", "lect", "mand", "pend", "pose", "quire",
    "serve", "sist", "solve", "tend", "turn", "volve", "write", "en", "room", "age", "tain", "era",
    "mostat", "uum", "ler", "vision", "ator", "idity",
];
const ENDS: [&str; 24] = [
    "", "", "", "", "s", "ed", "ing", "er", "ion", "ions", "able", "ment", "ness", "less", "ful",
    "ly", "al", "ive", "ity", "ous", "'s", "n't", "-like", ".",
];
const SMALL: [&str; 24] = [
    "the", "a", "to", "of", "in", "on", "off", "and", "is", "please", "turn", "my", "what", "set",
    "for", "at", "it", "you", "7", "10:30", "21", "?", "!", ",",
];

/// Texts, always the same for one seed.
pub(crate) struct Corpus {
    generator: ChaCha8Rng,
}

impl Corpus {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.generator.next_u64() as usize % bound
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A sentence of made-up English words.
    pub(crate) fn english(&mut self) -> String {
        let words = 3 + self.below(12);
        let words: Vec<String> = (0..words).map(|_| self.english_word()).collect();
        words.join(" ")
    }

    fn english_word(&mut self) -> String {
        if self.below(3) == 0 {
            return self.pick(&SMALL).into();
        }
        let mut word = String::from(self.pick(&STARTS));
        word += self.pick(&MIDDLES);
        word += self.pick(&ENDS);
        if self.below(8) == 0 {
            word = word.to_uppercase();
        }
        word
    }

    /// Words in several scripts; a word keeps to one.
    pub(crate) fn many_scripts(&mut self) -> String {
        let words = 1 + self.below(8);
        (0..words).map(|_| self.script_word() + " ").collect()
    }

    fn script_word(&mut self) -> String {
        let script = self.pick(&SCRIPTS);
        let length = 1 + self.below(6);
        (0..length).map(|_| self.between(script)).collect()
    }

    fn between(&mut self, (first, last): (char, char)) -> char {
        let scalar = first as usize + self.below(last as usize - first as usize + 1);
        char::from_u32(scalar as u32).unwrap_or(first)
    }

    /// Any character at all; the lower planes, where most are, more often.
    fn scalar(&mut self) -> char {
        let last = self.pick(&['\u{7f}', '\u{2fff}', '\u{ffff}', '\u{1ffff}', char::MAX]);
        self.between(('\0', last))
    }

    /// A text of words, trouble and noise.
    pub(crate) fn anything(&mut self) -> String {
        let parts = self.below(24);
        let noise = self.below(8);
        let mut text = String::new();
        for _ in 0..parts {
            match self.below(8) {
                0 | 1 => text += &self.english_word(),
                2 | 3 => text += &self.script_word(),
                4 => text += self.pick(&TROUBLE),
                5 => text.push(self.scalar()),
                6 => text += self.pick(&[".", ",", "-", "'", "\u{2026}", "\u{3002}", "\u{10100}"]),
                _ => {
                    let (length, letter) = (self.below(60), self.scalar());
                    text.extend(core::iter::repeat_n(letter, length));
                }
            }
            // Little noise keeps the words apart, much of it glues them together.
            if self.below(8) >= noise {
                text += self.pick(&SPACES);
            }
        }
        text
    }
}

/// Texts with a reason each: short ones, and long ones.
pub(crate) fn written_out() -> (Vec<String>, Vec<String>) {
    let plain = [
        "",
        "turn the lamp off",
        "Turn THE lámp off!",
        "the the the the the",
    ];
    let short = TROUBLE.iter().chain(&SPACES).chain(&plain);
    let short = short.map(|&text| text.into()).collect();
    // The longest word that is split is one of 100 characters, not bytes.
    let mut long = Vec::new();
    for letter in [
        "a",
        "é",
        "e\u{301}",
        "\u{430}",
        "\u{1f600}",
        "\u{ac01}",
        ".",
    ] {
        for length in [33, 34, 49, 50, 51, 99, 100, 101, 10_000] {
            long.push(letter.repeat(length));
        }
    }
    long.push(format!("{}\0{} b", "a".repeat(50), "a".repeat(51)));
    long.push(format!(
        "{}\u{e000}\u{301}{}",
        "a".repeat(50),
        "a".repeat(50)
    ));
    long.push(format!("x{}y", "\u{301}\u{323}".repeat(200)));
    (short, long)
}
