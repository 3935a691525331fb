//! A recipe with keys changed by name: `--set`, and the variants of an ablation.

use toml::{Table, Value};

use super::keys::{KeyError, flat};
use super::{MethodKind, Recipe};

/// Its value decides which other keys there are.
pub(super) const METHOD: &str = "pruning.method";
/// Its value decides whether neurons have a price.
pub(super) const BLOCKS: &str = "pruning.blocks";

impl Recipe {
    /// This recipe with one key changed: `model.hidden`, `64`.
    ///
    /// # Errors
    /// [`KeyError`] when there is no such key, the method does not have it, or the value does
    /// not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, KeyError> {
        let mut changed = self.clone();
        // Its settings change with it.
        if let (METHOD, Some(kind)) = (key, MethodKind::by_name(value.trim_matches('"'))) {
            changed.pruning.method = self.pruning.method.changed_to(kind);
            return Ok(changed);
        }
        let mut root = Table::try_from(self).unwrap_or_default();
        let (section, name) = match key.rsplit_once('.') {
            None => (Some(&mut root), key),
            Some((section, name)) => (root.get_mut(section).and_then(Value::as_table_mut), name),
        };
        let section = section.ok_or_else(|| KeyError::Unknown(key.to_owned()))?;
        // Words need no quotes on a command line, nor do digests that look like numbers.
        let is_word = section.get(name).is_some_and(Value::is_str);
        let new = match value.parse::<Value>() {
            Ok(new) if new.is_str() || !is_word => new,
            Ok(_) | Err(_) => Value::String(value.to_owned()),
        };
        section.insert(name.to_owned(), new);
        changed = Self::try_from(root)?;
        if key == BLOCKS {
            changed.pruning.set_blocks(changed.pruning.blocks);
        }
        Ok(changed)
    }

    /// What changed from this recipe to another: `model.hidden was 64 and is 128`, a line a key.
    pub(crate) fn differences(&self, now: &Self) -> Vec<String> {
        let values = |recipe| flat(&Table::try_from(recipe).unwrap_or_default(), "");
        let (before, now) = (values(self), values(now));
        let find = |values: &[(String, Value)], wanted: &str| {
            let value = values.iter().find(|(key, _)| key == wanted);
            value.map(|(_, value)| value.to_string())
        };
        let mut keys: Vec<&str> = before.iter().chain(&now).map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys.dedup();
        let difference = |key: &str| match (find(&before, key), find(&now, key)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(before), Some(now)) => Some(format!("{key} was {before} and is {now}")),
            // A setting of one of two methods, or of a newer version.
            (Some(_), None) => Some(format!("{key} is gone")),
            (None, _) => Some(format!("{key} is new")),
        };
        keys.into_iter().filter_map(difference).collect()
    }

    /// This recipe with several keys changed. Those on which the meaning of others depends
    /// come first, whatever their order here; of a key that occurs twice, the last counts.
    ///
    /// # Errors
    /// As [`Recipe::with`], for the first change that cannot be made.
    pub fn with_all(&self, changes: &[(String, String)]) -> Result<Self, KeyError> {
        let mut changes: Vec<_> = changes.iter().collect();
        changes.sort_by_key(|(key, _)| match key.as_str() {
            METHOD => 0,
            BLOCKS => 1,
            _ => 2,
        });
        let mut changes = changes.into_iter();
        changes.try_fold(self.clone(), |recipe, (key, value)| recipe.with(key, value))
    }
}
