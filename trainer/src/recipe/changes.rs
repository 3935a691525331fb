//! A recipe with keys changed by name: `--set`, and the variants of an ablation.

use super::settings::ForeignKey;
use super::{MethodKind, Recipe};

/// Its value decides which other keys there are.
pub(super) const METHOD: &str = "pruning.method";
/// Its value decides whether neurons have a price.
pub(super) const BLOCKS: &str = "pruning.blocks";

impl Recipe {
    /// This recipe with one key changed: `model.hidden`, `64`.
    ///
    /// # Errors
    /// A message when there is no such key, the method does not have it, or the value does
    /// not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, String> {
        if key == METHOD {
            let name = toml::Value::String(value.trim_matches('"').to_owned());
            let kind = name.try_into::<MethodKind>();
            let kind = kind.map_err(|error| error.message().to_owned())?;
            let mut changed = self.clone();
            changed.pruning.method = changed.pruning.method.changed_to(kind);
            return Ok(changed);
        }
        let mut root = toml::Table::try_from(self).map_err(|error| error.to_string())?;
        let parsed = format!("value = {value}").parse::<toml::Table>().ok();
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        // Words need no quotes on a command line.
        let new = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let (section, name) = match key.rsplit_once('.') {
            None => (&mut root, key),
            Some((section, name)) => match root.get_mut(section) {
                Some(toml::Value::Table(table)) => (table, name),
                _ => return Err(format!("there is no section `{section}`")),
            },
        };
        let Some(old) = section.get_mut(name) else {
            if let Some(key) = ForeignKey::find(key, self.pruning.method.kind()) {
                return Err(key.to_string());
            }
            let keys = section
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("there is no key `{name}` here; there are {keys}"));
        };
        *old = match (&*old, new) {
            #[expect(clippy::cast_precision_loss, reason = "0 and 1, typically")]
            (toml::Value::Float(_), toml::Value::Integer(whole)) => {
                toml::Value::Float(whole as f64)
            }
            (_, new) => new,
        };
        let mut changed: Self = root
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        if key == BLOCKS {
            changed.pruning.set_blocks(changed.pruning.blocks);
        }
        Ok(changed)
    }

    /// This recipe with several keys changed. Those on which the meaning of others depends
    /// come first, whatever their order here; of a key that is there twice, the last counts.
    ///
    /// # Errors
    /// The place of the first change that cannot be made, and a message as of
    /// [`Recipe::with`].
    pub fn with_all(&self, changes: &[(String, String)]) -> Result<Self, (usize, String)> {
        let mut order: Vec<usize> = (0..changes.len()).collect();
        order.sort_by_key(|&at| match changes[at].0.as_str() {
            METHOD => 0,
            BLOCKS => 1,
            _ => 2,
        });
        let change = |recipe: Self, at: usize| {
            let (key, value) = &changes[at];
            recipe.with(key, value).map_err(|problem| (at, problem))
        };
        order.into_iter().try_fold(self.clone(), change)
    }
}
