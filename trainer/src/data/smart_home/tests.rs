mod data_set;

use super::*;

#[test]
fn the_last_class_is_everything_else() {
    assert_eq!(GRAMMAR.intents.len(), 17);
    assert_eq!(GRAMMAR.intents[16].name, OUT_OF_SCOPE);
}

#[test]
fn every_slot_of_a_phrasing_exists() {
    for Intent { phrasings, .. } in &GRAMMAR.intents {
        for phrasing in phrasings.train.iter().chain(&phrasings.held_out) {
            let names = phrasing
                .split('{')
                .skip(1)
                .map(|part| part.split_once('}').unwrap().0);
            for name in names {
                assert!(GRAMMAR.slots.contains_key(name), "{phrasing}");
            }
        }
    }
}

#[test]
fn phrasings_and_values_are_on_one_side_only() {
    let mut met = HashSet::new();
    for Intent { phrasings, .. } in &GRAMMAR.intents {
        for phrasing in phrasings.train.iter().chain(&phrasings.held_out) {
            assert!(met.insert(phrasing), "{phrasing} twice");
        }
    }
    for (name, Held { train, held_out }) in &GRAMMAR.slots {
        assert!(
            held_out.iter().all(|value| !train.contains(value)),
            "{name}"
        );
    }
}

#[test]
fn held_out_values_never_occur_in_training() {
    let home = generate(0, 20_000, 0);
    for slot in GRAMMAR.slots.values() {
        for value in &slot.held_out {
            let value = format!(" {value} ");
            for (text, _) in &home.train {
                assert!(!format!(" {text} ").contains(&value), "{value} in {text}");
            }
        }
    }
}

/// All training texts of a phrasing, without politeness.
fn training_texts(phrasing: &str) -> Vec<String> {
    let phrasing = phrasing.trim_start_matches('~');
    let mut texts = vec![String::new()];
    for piece in phrasing.split(['{', '}']) {
        let slot = GRAMMAR.slots.get(piece);
        // A word of the phrasing may be the name of a slot; only those in braces are.
        let slot = slot.filter(|_| phrasing.contains(&format!("{{{piece}}}")));
        let choices = slot.map_or_else(|| vec![piece.to_owned()], |slot| slot.train.clone());
        let longer = |text: &String| -> Vec<String> {
            choices
                .iter()
                .map(|choice| format!("{text}{choice}"))
                .collect()
        };
        texts = texts.iter().flat_map(longer).collect();
    }
    texts
}

#[test]
fn no_test_text_could_have_been_in_training() {
    let intents = GRAMMAR.intents.iter();
    let phrasings = intents.flat_map(|intent| &intent.phrasings.train);
    let training: HashSet<String> = phrasings
        .flat_map(|phrasing| training_texts(phrasing))
        .collect();
    assert!(training.contains("turn on the living room ceiling light"));
    let all = |held: &Held| [held.train.clone(), held.held_out.clone()].concat();
    let before = [&GRAMMAR.prefixes, &GRAMMAR.calls].map(all).concat();
    let after = all(&GRAMMAR.suffixes);

    for (text, label) in generate(2, 0, 4_000).test {
        assert!(!text.contains(['{', '}', '~']), "{text}");
        let with_space = |word: &String| format!("{word} ");
        let starts = before
            .iter()
            .filter_map(|word| text.strip_prefix(&with_space(word)));
        for start in starts.chain([text.as_str()]) {
            let ends = after
                .iter()
                .filter_map(|word| start.strip_suffix(&format!(" {word}")));
            for core in ends.chain([start]) {
                assert!(!training.contains(core), "{label}: {text}");
            }
        }
    }
}

#[test]
fn a_typo_changes_at_most_one_word() {
    let mut generator = ChaCha8Rng::seed_from_u64(6);
    let text = "could you turn on the bedroom lamp at 8 o'clock";
    for _ in 0..500 {
        let typed = typos::with_typo(&mut generator, text);
        let pairs = text.split(' ').zip(typed.split(' '));
        assert_eq!(text.split(' ').count(), typed.split(' ').count());
        assert!(pairs.filter(|(a, b)| a != b).count() <= 1, "{typed}");
    }
    assert_eq!(typos::with_typo(&mut generator, "go on 8"), "go on 8");
}
