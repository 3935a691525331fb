use super::*;

#[test]
fn every_key_of_a_recipe_is_listed_once_and_in_order() {
    for &kind in MethodKind::ALL {
        let mut recipe = Recipe::default();
        recipe.pruning.method = Method::new(kind);
        let table = recipe.to_toml().parse::<Table>().unwrap();
        let mut paths: Vec<String> = flat(&table, "").into_iter().map(|(path, _)| path).collect();
        let mut listed: Vec<&str> = KEYS
            .iter()
            .filter(|key| key.methods().is_empty() || key.methods().contains(&kind))
            .map(|key| key.path)
            .collect();
        listed.sort_unstable();
        paths.sort();
        assert_eq!(paths, listed, "{kind:?}");
    }
}

/// Both ends can be set, and what is just outside cannot.
#[test]
fn ranges_are_what_a_recipe_accepts() {
    for key in KEYS {
        let kind = key.methods().first().copied().unwrap_or_default();
        let mut recipe = Recipe::default();
        recipe.pruning.method = Method::new(kind);
        let accepts = |value: String| {
            let changed = recipe.with(key.path, &value);
            changed.is_ok_and(|recipe| check_all(&recipe).is_ok())
        };
        let (inside, outside): (Vec<String>, Vec<String>) = match key.values {
            Whole(least, most) => (
                vec![least.to_string(), most.to_string()],
                vec![(least - 1).to_string(), most.saturating_add(1).to_string()],
            ),
            Real(least, most) => (
                vec![least.to_string(), most.to_string()],
                vec![(least - 1e-3).to_string(), (most + 1e-3).to_string()],
            ),
            Words(words) => (
                words.iter().map(|&word| word.to_owned()).collect(),
                vec!["none-of-these".to_owned()],
            ),
            Switch => (
                vec!["true".to_owned(), "false".to_owned()],
                vec!["2".to_owned()],
            ),
            Values::Mixings => (
                vec!["attention".to_owned(), "recurrence, attention".to_owned()],
                vec![String::new(), "conv".to_owned()],
            ),
            Other(_) => (Vec::new(), Vec::new()),
        };
        for value in inside {
            assert!(accepts(value.clone()), "{} = {value}", key.path);
        }
        for value in outside {
            // No whole number of TOML is larger.
            if value != i64::MAX.to_string() {
                assert!(!accepts(value.clone()), "{} = {value}", key.path);
            }
        }
    }
}

/// The command line and recipes have the same words.
#[test]
fn words_are_those_of_the_command_line() {
    fn same<T: clap::ValueEnum + serde::Serialize>(words: &[&str]) {
        let values = T::value_variants();
        assert_eq!(values.len(), words.len());
        for (value, word) in values.iter().zip(words) {
            assert_eq!(value.to_possible_value().unwrap().get_name(), *word);
            assert_eq!(Value::try_from(value).unwrap().as_str(), Some(*word));
        }
    }
    same::<Target>(Target::WORDS);
    same::<Blocks>(Blocks::WORDS);
    same::<MethodKind>(MethodKind::WORDS);
    same::<FloatPrecision>(FloatPrecision::WORDS);
}

#[test]
fn what_is_no_key_is_said_with_those_that_are() {
    let check = |text: &str| check(&text.parse().unwrap()).unwrap_err().to_string();
    for (text, expected) in [
        (
            "[model]\nwidth = 64",
            "there is no key `model.width`; `model` has from, from_sha256, hidden",
        ),
        (
            "[shape]\nhidden = 64",
            "there is no key `shape.hidden`; there are seed, target, model, training",
        ),
        (
            "pruning = 3",
            "`pruning` is a section, expected one of its keys: method, sparsity",
        ),
        ("shape = 3", "there is no key `shape`; there are seed"),
        (
            "[pruning]\nmethod = \"magic\"",
            "recipe key `pruning.method` is \"magic\", expected neuroprune, paper, l1",
        ),
        (
            "[model]\nhidden = 64.0",
            "recipe key `model.hidden` is 64.0, expected a whole number, 1 to 4096",
        ),
        (
            "[pruning]\ngroup_sparsity = 1",
            "recipe key `pruning.group_sparsity` is 1, expected true, false",
        ),
    ] {
        let found = check(text);
        assert!(found.starts_with(expected), "{found}");
    }
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/method.md");
const BEGIN: &str = "<!-- The keys of a recipe: begin -->\n";
const END: &str = "<!-- The keys of a recipe: end -->\n";

/// The tables of the document, one per section.
fn tables() -> String {
    let mut text = String::new();
    let mut section = None;
    for (index, key) in KEYS.iter().enumerate() {
        let (of, name) = key.parts();
        if index == 0 || of != section {
            let title = of.map_or("key at the top".to_owned(), |of| format!("`[{of}]` key"));
            text += &format!("\n| {title} | values | default | |\n|---|---|---|---|\n");
            section = of;
        }
        let methods = key.methods().into_iter().map(MethodKind::name);
        let methods: Vec<String> = methods.map(|name| format!("`{name}`")).collect();
        let methods = match methods.is_empty() {
            true => String::new(),
            false => format!(". Of {}", methods.join(", ")),
        };
        let values = key.values.to_string();
        let values = match key.values {
            Words(words) => format!("`{}`", words.join("`, `")),
            Whole(..) | Real(..) | Switch | Values::Mixings | Other(_) => values,
        };
        let default = key.default();
        text += &format!(
            "| `{name}` | {values} | `{default}` | {}{methods} |\n",
            key.meaning
        );
    }
    text
}

/// `NEUROPRUNE_WRITE_KEYS=1` writes the tables instead.
#[test]
fn the_document_has_the_same_keys() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("a mark where keys begin");
    let (_, after) = rest.split_once(END).expect("a mark where keys end");
    let expected = format!("{before}{BEGIN}{}\n{END}{after}", tables());
    if std::env::var_os("NEUROPRUNE_WRITE_KEYS").is_some() {
        std::fs::write(DOCUMENT, expected).unwrap();
    } else {
        assert!(
            document == expected,
            "docs/method.md: other keys than recipe/keys.rs; write them with \
             NEUROPRUNE_WRITE_KEYS=1 cargo test -p neuroprune-trainer the_document_has"
        );
    }
}
