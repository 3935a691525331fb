use super::changes::{BLOCKS, METHOD};
use super::*;

#[test]
fn the_recipes_that_come_along_are_valid() {
    for (name, text) in bundled::BUNDLED {
        let mut recipe: Recipe = toml::from_str(text).unwrap();
        if ["pretrained", "fit"].contains(&name) {
            recipe.model.from = "folder".to_owned();
        }
        recipe.check().unwrap();
        assert_eq!(toml::from_str::<Recipe>(&recipe.to_toml()).unwrap(), recipe);
    }
}

#[test]
fn single_keys_can_be_changed() {
    let recipe = Recipe::default();
    assert_eq!(recipe.with("model.hidden", "64").unwrap().model.hidden, 64);
    assert_eq!(recipe.with("seed", "7").unwrap().seed, 7);
    let moved = recipe.with("target", "x86-64").unwrap();
    assert_eq!(moved.target, Target::X86_64);
    assert_eq!(
        recipe
            .with("pruning.sparsity", "0")
            .unwrap()
            .pruning
            .sparsity,
        0.0
    );
    let gelu = recipe.with("model.activation", "gelu").unwrap();
    assert_eq!(gelu.model.activation, ActivationKind::Gelu);
    for (value, size) in [
        ("300", VocabularySize::Pieces(300)),
        ("used", VocabularySize::Used),
        ("all", VocabularySize::All),
    ] {
        let changed = recipe.with("model.vocabulary", value).unwrap();
        assert_eq!(changed.model.vocabulary, size);
        assert_eq!(value.parse(), Ok(size));
    }
    let blocks = recipe.with("pruning.blocks", "1x4").unwrap();
    assert_eq!(blocks.pruning.blocks, Blocks::Four);
    for (key, value, message) in [
        ("model.width", "64", "there is no key `model.width`"),
        ("shape.hidden", "64", "there is no key `shape.hidden`"),
        ("model.hidden", "wide", "expected 1 to 4096"),
        ("model.pooling", "max", "expected mean, cls"),
        ("model.vocabulary", "many", "expected a number of pieces"),
        ("model.vocabulary", "-3", "expected a number of pieces"),
        ("pruning.blocks", "2x1", "expected 1x1, 1x2, 1x4"),
    ] {
        let error = recipe.with(key, value).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn values_outside_their_range_are_named() {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 1.5;
    let error = recipe.check().unwrap_err().to_string();
    assert_eq!(
        error,
        "recipe key `pruning.sparsity` is 1.5, expected 0 to 0.999"
    );
}

#[test]
fn parts_of_a_vocabulary_need_a_pretrained_one() {
    let mut recipe = Recipe::default();
    recipe.model.vocabulary = VocabularySize::Used;
    let error = recipe.check().unwrap_err().to_string();
    assert!(
        error.starts_with("recipe key `model.vocabulary` is used, expected a number"),
        "{error}"
    );
    recipe.model.from = "folder".to_owned();
    recipe.check().unwrap();
}

#[test]
fn blocks_must_fit_into_a_head() {
    let mut recipe = Recipe::default();
    recipe.pruning.blocks = Blocks::Four;
    recipe.check().unwrap();
    recipe.model.heads = 2;
    recipe.model.hidden = 60;
    let error = recipe.check().unwrap_err().to_string();
    assert!(error.contains("`pruning.blocks` is 1x4"), "{error}");
    recipe.pruning.blocks = Blocks::Two;
    recipe.check().unwrap();
}

#[test]
fn wider_blocks_have_no_price_of_a_neuron() {
    let priced = Recipe::default().with("pruning.neuron_cost", "64").unwrap();
    assert_eq!(priced.pruning.method.neuron_cost(), 64.0);
    let mut wide = priced.with(BLOCKS, "1x2").unwrap();
    assert_eq!(wide.pruning.method.neuron_cost(), 0.0);
    wide = wide.with("pruning.neuron_cost", "64").unwrap();
    assert_eq!(
        wide.check().unwrap_err().to_string(),
        "recipe key `pruning.neuron_cost` is 64, expected 0 with pruning.blocks wider than 1x1"
    );
}

#[test]
fn names_of_methods_are_those_of_recipes() {
    for &kind in MethodKind::ALL {
        let recipe = Recipe::default().with(METHOD, kind.name()).unwrap();
        assert_eq!(recipe.pruning.method, Method::new(kind));
        let text = format!("[pruning]\nmethod = \"{}\"", kind.name());
        assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe);
    }
}

#[test]
fn a_key_of_another_method_is_an_error_that_names_those_that_have_it() {
    let message = "`alpha` means nothing to the method `magnitude`; it is a key of paper and l1";
    let text = "[pruning]\nmethod = \"magnitude\"\nalpha = 0.1";
    let error = parse(Path::new("a.toml"), text).unwrap_err().to_string();
    assert_eq!(error, format!("a.toml, line 3: {message}"));
    let magnitude = Recipe::default().with(METHOD, "magnitude").unwrap();
    let error = magnitude.with("pruning.alpha", "0.1").unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(!magnitude.to_toml().contains("alpha"));
}

/// Checkpoints and outcomes carry recipes as JSON.
#[test]
fn a_recipe_comes_back_from_json() {
    for &kind in MethodKind::ALL {
        let mut recipe = Recipe::default().with(METHOD, kind.name()).unwrap();
        recipe.seed = 7;
        recipe.model.norm_epsilon = 1e-12;
        recipe.pruning.sparsity = 0.0;
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
    for (json, expected) in [
        (
            r#"{"seed": 1.5}"#,
            "`seed` is 1.5, expected a whole number, 0 to",
        ),
        (
            r#"{"pruning": {"sparsity": null}}"#,
            "`pruning.sparsity` is \"null\"",
        ),
        (r#"{"pruning": {"speed": 1}}"#, "no key `pruning.speed`"),
    ] {
        let error = serde_json::from_str::<Recipe>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Version 0.1 wrote every key; those that it never read may be there.
#[test]
fn a_recipe_resolved_by_version_0_1_opens() {
    let mut keys = String::new();
    for (key, value) in [
        ("method", "\"l1\""),
        ("interval", "12"),
        ("score", "\"magnitude\""),
        ("score_memory", "0.95"),
        ("preferential_attachment", "false"),
        ("group_sparsity", "false"),
        ("head_redundancy", "false"),
        ("cost_floor", "0.2"),
        ("neuron_cost", "0.0"),
        ("head_distance", "0.5"),
        ("alpha", "0.002"),
        ("beta", "0.001"),
        ("theta", "0.15"),
    ] {
        keys += &format!("{key} = {value}\n");
    }
    let recipe: Recipe = toml::from_str(&format!("[pruning]\n{keys}")).unwrap();
    let expected = Method::L1(L1 {
        interval: 12,
        alpha: 0.002,
    });
    assert_eq!(recipe.pruning.method, expected);
}

#[test]
fn the_method_is_changed_before_its_settings() {
    let changes = [("pruning.alpha", "2e-3"), (METHOD, "l1")];
    let changes = changes.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let recipe = Recipe::default().with_all(&changes).unwrap();
    let expected = Method::L1(L1 {
        interval: 10,
        alpha: 2e-3,
    });
    assert_eq!(recipe.pruning.method, expected);
    Recipe::default().with_all(&changes[..1]).unwrap_err();
}

#[test]
fn names_of_blocks_are_those_of_recipes() {
    for blocks in [Blocks::One, Blocks::Two, Blocks::Four] {
        let recipe = Recipe::default().with("pruning.blocks", blocks.name());
        assert_eq!(recipe.unwrap().pruning.blocks, blocks);
    }
}

proptest::proptest! {
    /// A run is repeated from the recipe next to its model.
    #[test]
    fn every_float_comes_back_from_toml_as_the_same_bits(double: u64, single: u32) {
        let (double, single) = (f64::from_bits(double), f32::from_bits(single));
        proptest::prop_assume!(double.is_finite() && single.is_finite());
        let mut recipe = Recipe::default();
        recipe.training.learning_rate = double;
        recipe.model.norm_epsilon = single;
        // Most of them are outside the range of these keys.
        let read = from_checked(recipe.to_toml().parse().unwrap()).unwrap();
        assert_eq!(read.training.learning_rate.to_bits(), double.to_bits());
        assert_eq!(read.model.norm_epsilon.to_bits(), single.to_bits());
    }
}

/// TOML has no whole number above 2⁶³ − 1: such a recipe cannot be written, so nothing of it
/// would be checked.
#[test]
fn numbers_that_toml_lacks_are_refused() {
    let mut recipe = Recipe::default();
    recipe.training.epochs = usize::MAX;
    recipe.pruning.sparsity = 7.0;
    let error = recipe.check().unwrap_err().to_string();
    let said = "recipe key `training.epochs` is 18446744073709551615, expected 1 to 10000";
    assert_eq!(error, said);
    let recipe = Recipe {
        seed: u64::MAX,
        ..Recipe::default()
    };
    let error = recipe.check().unwrap_err().to_string();
    assert!(
        error.contains("`seed`") && error.contains("0 to 9223372036854775807"),
        "{error}"
    );
}
