//! How large a program may become.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::image::Image;

/// `budgets.toml`: program, board, bytes.
pub(crate) struct Budgets {
    bytes: BTreeMap<String, BTreeMap<String, Bytes>>,
    model: u64,
}

/// Most bytes of a program on a board.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    /// Code.
    text: u64,
    /// All that it fills in flash, besides the model file.
    flash: u64,
}

impl Budgets {
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let name = "budgets.toml";
        let text = fs::read_to_string(folder.join(name)).context(name)?;
        let model = super::reference::model_path(folder);
        let model = fs::metadata(&model).with_context(|| model.display().to_string())?;
        Ok(Self {
            bytes: toml::from_str(&text).context(name)?,
            model: model.len(),
        })
    }

    /// # Errors
    /// Where a budget is set and `image`, which has the model file in it, is larger.
    pub(crate) fn check(&self, program: &str, board: &str, image: &Image) -> anyhow::Result<()> {
        let Some(budget) = self.bytes.get(program).and_then(|boards| boards.get(board)) else {
            return Ok(());
        };
        let flash = image.flash.saturating_sub(self.model);
        for (what, bytes, budget) in [
            (".text", image.text, budget.text),
            ("flash beside the model", flash, budget.flash),
        ] {
            ensure!(
                bytes <= budget,
                "{bytes} bytes of {what} are over the budget of {budget} (budgets.toml)"
            );
        }
        Ok(())
    }
}
