//! What a folder of sentence-transformers says besides: how tokens are pooled, and how long texts
//! may be.

use std::path::Path;

use super::error::{PretrainedError, Problem};
use super::file::{CONFIGURATION, optional, read_if_there, wrong};
use crate::json::Object;
use crate::quoted::Quoted;
use crate::recipe::{ModelRecipe, PoolingKind};

/// How tokens are pooled.
pub(super) const POOLING: &str = "1_Pooling/config.json";
/// How long texts may be.
pub(super) const LENGTH: &str = "sentence_bert_config.json";

/// What the two files say; nothing where they are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sentences {
    pub(super) pooling: Option<PoolingKind>,
    /// A way of pooling that model files do not have.
    other_pooling: Option<String>,
    longest: Option<usize>,
}

impl Sentences {
    pub(super) fn read(folder: &Path) -> Result<Self, PretrainedError> {
        fn parsed<T>(
            path: &Path,
            parse: impl Fn(&str) -> Result<T, Problem>,
        ) -> Result<T, PretrainedError> {
            let text = read_if_there(path, CONFIGURATION);
            text.and_then(|text| parse(&text))
                .map_err(|problem| problem.at(path))
        }
        let (pooling, other_pooling) = parsed(&folder.join(POOLING), pooling)?;
        let longest = parsed(&folder.join(LENGTH), |text| {
            optional(
                &Object::parse(text)?,
                "max_seq_length",
                "a number of tokens or null",
            )
        })?;
        Ok(Self {
            pooling,
            other_pooling,
            longest,
        })
    }

    /// Where a recipe does something else, a sentence each.
    pub(super) fn contradictions(&self, model: &ModelRecipe) -> Vec<String> {
        let mut found = Vec::new();
        let own = model.pooling.name();
        let others = self.other_pooling.as_deref();
        let stated = self.pooling.filter(|&pooling| pooling != model.pooling);
        if let Some(stated) = stated.map(PoolingKind::name).or(others) {
            found.push(format!(
                "{POOLING} pools with {stated}, `model.pooling` is {own}"
            ));
        }
        if let Some(longest) = self.longest.filter(|&longest| longest < model.tokens) {
            found.push(format!(
                "{LENGTH} cuts texts to {longest} tokens, `model.tokens` is {}",
                model.tokens
            ));
        }
        found
    }
}

/// How tokens are pooled, if it is a way that model files have, or what else it is.
fn pooling(json: &str) -> Result<(Option<PoolingKind>, Option<String>), Problem> {
    let object = Object::parse(json)?;
    let mut on = Vec::new();
    for (key, value) in object.iter() {
        let Some(mode) = key.strip_prefix("pooling_mode_") else {
            continue;
        };
        match value.get() {
            "true" => on.push(mode),
            "false" | "null" => {}
            _ => return Err(wrong(&object, key, "true or false")),
        }
    }
    Ok(match on.as_slice() {
        [] => (None, None),
        ["cls_token"] => (Some(PoolingKind::Cls), None),
        ["mean_tokens"] => (Some(PoolingKind::Mean), None),
        others => (None, Some(Quoted(&others.join(" and ")).to_string())),
    })
}
