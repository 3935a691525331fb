mod data_set;

use super::*;

#[test]
fn every_slot_of_a_phrasing_exists() {
    for class in classes() {
        for phrasing in class.train.iter().chain(class.held_out) {
            let names = phrasing
                .split('{')
                .skip(1)
                .map(|part| part.split_once('}').unwrap().0);
            for name in names {
                assert!(SLOTS.iter().any(|slot| slot.name == name), "{phrasing}");
            }
        }
    }
}

#[test]
fn phrasings_and_values_are_on_one_side_only() {
    let mut met = HashSet::new();
    for class in classes() {
        for phrasing in class.train.iter().chain(class.held_out) {
            assert!(met.insert(phrasing), "{phrasing} twice");
        }
    }
    for slot in SLOTS {
        assert!(
            slot.held_out
                .iter()
                .all(|value| !slot.train.contains(value)),
            "{}",
            slot.name
        );
    }
}

#[test]
fn held_out_values_never_occur_in_training() {
    let home = generate(0, 20_000, 0);
    for slot in SLOTS {
        for value in slot.held_out {
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
        let slot = SLOTS.iter().find(|slot| slot.name == piece);
        // A word of the phrasing may be the name of a slot; only those in braces are.
        let slot = slot.filter(|_| phrasing.contains(&format!("{{{piece}}}")));
        let choices = slot.map_or(vec![piece], |slot| slot.train.to_vec());
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
    let phrasings = classes().flat_map(|class| class.train);
    let training: HashSet<String> = phrasings
        .flat_map(|phrasing| training_texts(phrasing))
        .collect();
    assert!(training.contains("turn on the living room ceiling light"));
    let before = [PREFIXES, CALLS]
        .map(|held| [held.train, held.held_out].concat())
        .concat();
    let after = [SUFFIXES.train, SUFFIXES.held_out].concat();

    for (text, label) in generate(2, 0, 4_000).test {
        assert!(!text.contains(['{', '}', '~']), "{text}");
        let with_space = |word: &&str| format!("{word} ");
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
