use std::collections::{BTreeMap, BTreeSet};

use super::augmentation::augmented;
use super::texts::{Texts, UNLABELLED};
use super::words::{Lexicon, WordText};
use crate::data::{Dataset, Format, ReadOptions, parse, read_unlabelled};
use crate::network::{Network, Shape};
use crate::random::{Purpose, stream};
use crate::recipe::Recipe;
use crate::text::batch::encode;
use crate::text::vocabulary::{Normalization, Vocabulary};

fn texts(is_pair: bool) -> Dataset {
    let mut file = match is_pair {
        true => "text_a\ttext_b\tlabel\n".to_owned(),
        false => "text\tlabel\n".to_owned(),
    };
    for row in [
        "turn on the lights\tin the kitchen, please!",
        "switch the lamp off\tnow",
        "it is much too bright in here, switching lights off would help\tdim the lamps a little",
        "日本 turn\tß",
    ] {
        let row = if is_pair {
            row.to_owned()
        } else {
            row.replace('\t', " ")
        };
        file += &format!("{row}\ta\n{row} again\tb\n");
    }
    let options = ReadOptions::default();
    parse(
        "t.tsv".as_ref(),
        Format::Tsv,
        file.as_bytes(),
        &options,
        None,
    )
    .unwrap()
}

/// What the lexicon spells is what the tokenizer gives, in the teacher's vocabulary and in another.
#[test]
fn words_are_spelled_as_the_tokenizer_spells_them() {
    for is_pair in [false, true] {
        let data = texts(is_pair);
        let teachers = Vocabulary::train(data.texts(), 120, Normalization::default()).unwrap();
        for tokens in [64, 9] {
            let examples = encode(&data, &teachers, 64).unwrap();
            let mut lexicon = Lexicon::new(&teachers);
            let read: Vec<(WordText, u32)> = examples
                .iter()
                .map(|example| (lexicon.read(example), example.label))
                .collect();
            let counts = lexicon.counts(&teachers, read.iter().map(|(text, _)| text));
            assert_eq!(counts.get("lights"), Some(&4));
            let own = teachers.most_used(&counts, 90).unwrap();
            assert!(own.len() < teachers.len());
            let spellings = [
                (&teachers, lexicon.teachers(tokens)),
                (&own, lexicon.spelled(&teachers, &own, tokens).unwrap()),
            ];
            for (vocabulary, spelling) in spellings {
                let expected = encode(&data, vocabulary, tokens).unwrap();
                for ((text, label), expected) in read.iter().zip(expected) {
                    // A pair is cut by another rule where both are equally long.
                    let found = spelling.encode(text, *label);
                    if !is_pair || tokens == 64 {
                        assert_eq!(found, expected);
                    }
                    assert!(found.ids.len() <= tokens);
                }
            }
        }
    }
}

#[test]
fn augmented_texts_are_others_and_never_empty() {
    let text = |words: core::ops::Range<u32>| WordText {
        first: words.collect(),
        second: None,
    };
    let neighbours: Vec<Vec<u32>> = (0..8).map(|word| vec![100 + word]).collect();
    let made = |index| {
        let mut generator = stream(3, Purpose::Augmentation, index);
        augmented(&text(0..5), &text(5..8), &neighbours, &mut generator)
    };
    let all: Vec<WordText> = (0..400).map(made).collect();
    assert_eq!(all, (0..400).map(made).collect::<Vec<_>>());
    assert!(all.iter().all(|text| !text.first.is_empty()));
    let share = |holds: fn(&WordText) -> bool| {
        all.iter().filter(|text| holds(text)).count() * 100 / all.len()
    };
    // 0.6 of the texts have replaced words, 0.2 are spliced, 0.2 swapped.
    let replaced = share(|text| text.first.iter().any(|&word| word >= 100));
    assert!((30..60).contains(&replaced), "{replaced} %");
    let spliced = share(|text| {
        text.first
            .iter()
            .any(|&word| (5..8).contains(&(word % 100)))
    });
    assert!((12..28).contains(&spliced), "{spliced} %");
    let unchanged = share(|text| text.first == [0, 1, 2, 3, 4]);
    assert!(unchanged < 40, "{unchanged} %");
    let one = augmented(
        &text(0..1),
        &text(1..2),
        &[],
        &mut stream(3, Purpose::Augmentation, 0),
    );
    assert_eq!(one.first.len(), 1);
    let words: BTreeMap<u32, usize> =
        all.iter()
            .flat_map(|it| &it.first)
            .fold(BTreeMap::new(), |mut counts, word| {
                *counts.entry(*word).or_default() += 1;
                counts
            });
    assert!(
        words
            .keys()
            .all(|&word| word < 8 || (100..108).contains(&word))
    );
}

/// About one in seven of those that are made, as they are, and none of them twice.
#[test]
fn some_texts_are_those_that_nobody_has_labelled() {
    let data = texts(false);
    let vocabulary = Vocabulary::train(data.texts(), 120, Normalization::default()).unwrap();
    let examples = encode(&data, &vocabulary, 64).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("more.txt");
    let word = |is_set: bool| if is_set { "lamp" } else { "lights" };
    let line = |number: u32| -> String {
        let words = (0..10).map(|bit| word(number >> bit & 1 == 1));
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    std::fs::write(&path, (0..1024).map(line).collect::<String>()).unwrap();
    let unlabelled = read_unlabelled(&path, false).unwrap();

    let mut recipe = Recipe::by_name("tiny").unwrap();
    recipe.student.texts = 1000 + examples.len();
    let shape = Shape::new(&recipe.model, vocabulary.len(), data.labels.len(), false);
    let teacher = Network::new(shape, 0).unwrap();
    let made = |unlabelled| Texts::new(&recipe, &vocabulary, &teacher, &examples, unlabelled);
    let [with, again] = [(); 2].map(|()| made(Some(&unlabelled)).unwrap());
    assert_eq!(with.all, again.all);
    assert_eq!(with.all.len(), recipe.student.texts);
    let mut lexicon = with.lexicon;
    let known = encode(&unlabelled, &vocabulary, 64).unwrap();
    let known: BTreeSet<Vec<u32>> = known.iter().map(|it| lexicon.read(it).first).collect();
    assert_eq!(known.len(), 1024);
    let taken = with
        .all
        .iter()
        .filter(|(text, _)| known.contains(&text.first));
    let taken: Vec<_> = taken.map(|(text, label)| (&text.first, *label)).collect();
    assert!((110..190).contains(&taken.len()), "{}", taken.len());
    let once: BTreeSet<_> = taken.iter().collect();
    assert_eq!(once.len(), taken.len());
    assert!(taken.iter().all(|(_, label)| *label == UNLABELLED));
    let without = made(None).unwrap();
    assert!(
        without
            .all
            .iter()
            .all(|(text, _)| !known.contains(&text.first))
    );
}
