//! What to call runs whose recipes differ.

use crate::recipe::keys::flat;
use crate::recipe::{Method, Recipe};

/// A name for each recipe: its method, and the settings that distinguish it from others of that
/// method, unless they are the default. Seeds and sparsities do not count.
pub(crate) fn names(recipes: &[&Recipe]) -> Vec<String> {
    let plain = |recipe: &Recipe| {
        let mut recipe = recipe.clone();
        recipe.seed = 0;
        recipe.pruning.sparsity = 0.0;
        recipe
    };
    let plain: Vec<Recipe> = recipes.iter().map(|recipe| plain(recipe)).collect();
    let keys = |recipe: &Recipe| {
        let table = toml::Table::try_from(recipe).unwrap_or_default();
        flat(&table, "")
    };
    let name = |recipe: &Recipe| {
        let kind = recipe.pruning.method.kind();
        let mut usual = Recipe::default();
        usual.pruning.method = Method::new(kind);
        let usual = keys(&usual);
        let others = plain
            .iter()
            .filter(|other| other.pruning.method.kind() == kind);
        let others: Vec<_> = others.map(keys).collect();
        let unusual = keys(recipe)
            .into_iter()
            .filter(|pair| !usual.contains(pair));
        let telling = unusual.filter(|(key, value)| {
            let differs =
                |(other_key, other): &(String, toml::Value)| other_key == key && other != value;
            others.iter().flatten().any(differs)
        });
        let parts = telling.map(|(key, value)| format!("{key} = {value}").replace('"', ""));
        let parts: Vec<String> = core::iter::once(kind.name().to_owned())
            .chain(parts)
            .collect();
        parts.join(", ")
    };
    plain.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::MethodKind;

    #[test]
    fn recipes_of_one_method_are_told_apart_by_what_differs() {
        let of = |kind, heads: bool, seed| {
            let mut recipe = Recipe::default();
            recipe.pruning.method = Method::new(kind);
            let heads = heads.to_string();
            recipe = recipe.with("pruning.head_redundancy", &heads).unwrap();
            recipe.seed = seed;
            recipe
        };
        let recipes = [
            of(MethodKind::Neuroprune, true, 0),
            of(MethodKind::Neuroprune, false, 1),
            of(MethodKind::Paper, true, 2),
        ];
        assert_eq!(
            names(&recipes.iter().collect::<Vec<_>>()),
            [
                "neuroprune",
                "neuroprune, pruning.head_redundancy = false",
                "paper"
            ]
        );
    }
}
