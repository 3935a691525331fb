use super::*;
use crate::recipe::Splitting;

const TEXTS: [&str; 8] = [
    "Turn the lamp off, please turn the lamps off.",
    "Turning off the lamp turned the alarm on!",
    "Ελληνικά και ελληνική γλώσσα, и русский русская русские",
    "abab baba abba baab aabb bbaa ababab bababa",
    "中文 中国 文 日本 한국어 한국 हिन्दी हिन्दी",
    "\u{1b44}a a\u{1b44} \u{1b44}b b\u{1b44}c \u{302e}a a\u{302e}",
    "crème brûlée, naïve façade, Ångström, İstanbul",
    "1 12 123 1234 €5 £7 👍 👍🏽",
];

fn trained(size: usize) -> Vocabulary {
    Vocabulary::train(TEXTS.into_iter(), size, Normalization::default()).unwrap()
}

fn pieces(initial: &[&str], continuation: &[&str]) -> Result<Vocabulary, VocabularyError> {
    let own = |pieces: &[&str]| pieces.iter().map(|&piece| piece.to_owned()).collect();
    Vocabulary::try_from(Pieces {
        initial: own(initial),
        continuation: own(continuation),
        normalization: Normalization::default(),
    })
}

#[test]
fn sizes_hold_down_to_a_single_character() {
    for size in 4..200 {
        let vocabulary = trained(size);
        assert!(vocabulary.len() <= size, "{} of {size}", vocabulary.len());
        // Two places, where a letter needs one for each of its forms.
        assert!(size < 6 || vocabulary.len() > SPECIAL.len());
        let characters = vocabulary
            .initial()
            .iter()
            .filter(|piece| piece.chars().count() == 1);
        assert!(characters.count() <= (size - SPECIAL.len()).div_ceil(2));
    }
    for size in [0, 3, SIZE_LIMIT + 1] {
        let error =
            Vocabulary::train(TEXTS.into_iter(), size, Normalization::default()).unwrap_err();
        assert!(matches!(error, VocabularyError::Size(found) if found == size));
    }
    let empty = Vocabulary::train([""].into_iter(), 100, Normalization::default()).unwrap();
    assert_eq!(empty.initial(), SPECIAL);
}

#[test]
fn ids_are_those_of_the_reference() {
    let vocabulary = trained(120);
    let reference = vocabulary.reference(16).unwrap();
    for (id, token) in (0..).zip(vocabulary.tokens()) {
        assert_eq!(reference.id_to_token(id), Some(token));
    }
    let settings = vocabulary.settings(false);
    for (token, id) in [
        (UNKNOWN, settings.unknown),
        (START, settings.start),
        (SEPARATOR, settings.separator),
    ] {
        assert_eq!(reference.token_to_id(token), Some(id.into()));
    }
    assert!(matches!(
        vocabulary.reference(1),
        Err(VocabularyError::Tokens(1))
    ));
}

#[test]
fn training_is_deterministic() {
    let first = trained(120);
    for _ in 0..20 {
        let again =
            Vocabulary::train(TEXTS.into_iter().rev(), 120, Normalization::default()).unwrap();
        assert_eq!(again, first);
    }
}

#[test]
fn training_is_deterministic_across_processes() {
    const VARIABLE: &str = "NEUROPRUNE_TEST_PRINTS_VOCABULARY";
    const NAME: &str = "text::vocabulary::tests::training_is_deterministic_across_processes";
    let json = serde_json::to_string(&trained(120)).unwrap();
    if std::env::var_os(VARIABLE).is_some() {
        println!("{json}");
        return;
    }
    for _ in 0..3 {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(VARIABLE, "")
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(&json));
    }
}

#[test]
fn checkpoints_store_it() {
    let vocabulary = trained(120);
    let json = serde_json::to_string(&vocabulary).unwrap();
    assert_eq!(
        serde_json::from_str::<Vocabulary>(&json).unwrap(),
        vocabulary
    );

    assert!(pieces(&["[CLS]", "[SEP]", "[UNK]", "a"], &["a", "b"]).is_ok());
    for (initial, continuation) in [
        (&["[CLS]", "[UNK]", "[SEP]"][..], &["a"][..]),
        (&["[CLS]", "[SEP]"], &["a"]),
        (&["[CLS]", "[SEP]", "[UNK]", "a", "a"], &[]),
        (&["", "[CLS]", "[SEP]", "[UNK]"], &[]),
        (&["##a", "[CLS]", "[SEP]", "[UNK]"], &["a"]),
        (&["[CLS]", "[SEP]", "[UNK]"], &["b", "a"]),
    ] {
        let result = pieces(initial, continuation);
        assert!(
            matches!(result, Err(VocabularyError::Pieces)),
            "{initial:?}"
        );
    }
}

#[test]
fn marks_that_normalisation_reorders_are_refused() {
    let both = pieces(&["[CLS]", "[SEP]", "[UNK]", "a"], &["\u{1b44}", "\u{302e}"]);
    let error = both.unwrap().characters().unwrap_err();
    assert!(matches!(
        error,
        VocabularyError::Reordered('\u{302e}', '\u{1b44}')
    ));

    // Training keeps the one that occurs more often.
    let vocabulary = trained(300);
    let has = |piece: &str| vocabulary.continuation().iter().any(|other| other == piece);
    assert!(has("\u{1b44}") && !has("\u{302e}"));
    vocabulary.characters().unwrap();
}

/// That a table of single characters can express it at all: none becomes several words, and none
/// that ends a word takes part in the order of marks.
#[test]
fn every_character_has_a_form() {
    let flags = [false, true];
    let all = flags.into_iter().flat_map(|lowercase| {
        flags.into_iter().flat_map(move |strip_accents| {
            let all = Splitting::ALL.iter().copied();
            all.map(move |splitting| Normalization {
                lowercase,
                strip_accents,
                splitting,
            })
        })
    });
    for normalization in all {
        forms(normalization);
    }
}

fn forms(normalization: Normalization) {
    let mut counts = [0_usize; 4];
    unicode::for_each_form(normalization, |character, form| {
        let (index, becomes) = match form {
            Form::Dropped => return counts[0] += 1,
            Form::Space => (1, " "),
            Form::Word(text) => (2, text),
            Form::Isolated(text) => (3, text),
        };
        counts[index] += 1;
        for part in becomes.chars().chain([character]) {
            // Where marks are stripped, they are ordered first.
            let is_ordered = normalization.strip_accents && alphabet::is_combining(part);
            assert!(index == 2 || !is_ordered, "{character:?}");
        }
    })
    .unwrap();
    assert_eq!(counts.iter().sum::<usize>(), ('\0'..=char::MAX).count());
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    println!("dropped, space, word, isolated: {counts:?}");
}

/// The words of a text under a recipe's keys.
fn words(text: &str, normalization: Normalization) -> Vec<String> {
    let mut words = Vec::new();
    unicode::for_each_word(text, normalization, |word| words.push(word.to_owned())).unwrap();
    words
}

#[test]
fn languages_that_the_default_does_not_suit_have_keys() {
    let usual = Normalization::default();
    let marks = Normalization {
        strip_accents: false,
        ..usual
    };
    // Vietnamese: the marks are the word.
    assert_eq!(words("bàn bạn bán", usual), ["ban", "ban", "ban"]);
    assert_eq!(words("Bàn bạn BÁN", marks), ["bàn", "bạn", "bán"]);
    // Turkish: İ and I are the capitals of i and ı; only case tells them from each other.
    assert_eq!(words("ISI ısı", marks), ["isi", "ısı"]);
    let case = Normalization {
        lowercase: false,
        ..marks
    };
    assert_eq!(words("ISI ısı", case), ["ISI", "ısı"]);
    // Thai: no spaces between words, and vowels that are marks.
    let thai = "ปิดไฟ ok";
    assert_eq!(words(thai, usual), ["ปดไฟ", "ok"]);
    assert_eq!(words(thai, marks), ["ปิดไฟ", "ok"]);
    let letters = Normalization {
        splitting: Splitting::Letters,
        ..marks
    };
    let split = ["ป", "ิ", "ด", "ไ", "ฟ", "ok"];
    assert_eq!(words(thai, letters), split);
    // Japanese: kana are words of their own as Chinese characters are.
    let japanese = "電気をケーキ";
    assert_eq!(words(japanese, marks), ["電", "気", "をケーキ"]);
    let split = ["電", "気", "を", "ケ", "ー", "キ"];
    assert_eq!(words(japanese, letters), split);
    let spaces = Normalization {
        splitting: Splitting::Spaces,
        ..marks
    };
    assert_eq!(words(japanese, spaces), [japanese]);
}

#[test]
fn checkpoints_of_before_the_names_say_whether_chinese_is_split() {
    let read = |stored: &str| -> Normalization { serde_json::from_str(stored).unwrap() };
    for (stored, splitting) in [
        ("\"split_chinese\":true", Splitting::Chinese),
        ("\"split_chinese\":false", Splitting::Spaces),
        ("\"splitting\":\"letters\"", Splitting::Letters),
    ] {
        let all = format!("{{\"lowercase\":true,\"strip_accents\":false,{stored}}}");
        assert_eq!(read(&all).splitting, splitting);
    }
}
