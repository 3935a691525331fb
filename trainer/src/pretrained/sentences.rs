//! What a folder of sentence-transformers says besides: how tokens are pooled, and how long texts
//! may be.

use std::path::Path;

use serde_json::Value;

use super::error::{PretrainedError, Problem, read};
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
        let json = |file: &str| {
            let path = folder.join(file);
            if !path.exists() {
                return Ok(Value::Null);
            }
            let value = read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            value.map_err(|problem: Problem| problem.at(&path))
        };
        let (pooling, length) = (json(POOLING)?, json(LENGTH)?);
        let is_on = |mode: &str| pooling.get(mode).and_then(Value::as_bool) == Some(true);
        let on = pooling.as_object().into_iter().flatten();
        let on = on.filter_map(|(mode, value)| {
            let mode = mode.strip_prefix("pooling_mode_")?;
            (value.as_bool() == Some(true)).then(|| mode.to_owned())
        });
        let own = match (
            is_on("pooling_mode_cls_token"),
            is_on("pooling_mode_mean_tokens"),
        ) {
            (true, false) => Some(PoolingKind::Cls),
            (false, true) => Some(PoolingKind::Mean),
            (true, true) | (false, false) => None,
        };
        let all: Vec<String> = on.collect();
        let pooling = own.filter(|_| all.len() == 1);
        let longest = length.get("max_seq_length").and_then(Value::as_u64);
        Ok(Self {
            pooling,
            other_pooling: (pooling.is_none() && !all.is_empty()).then(|| all.join(" and ")),
            longest: longest.and_then(|longest| usize::try_from(longest).ok()),
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
