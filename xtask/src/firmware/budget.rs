//! How large a program may become.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// `budgets.toml`: program, board, bytes of flash without the model file.
pub(crate) struct Budgets {
    bytes: BTreeMap<String, BTreeMap<String, u64>>,
    model: u64,
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
    /// Where a budget is set and `flash` bytes, the model file among them, are more.
    pub(crate) fn check(&self, program: &str, board: &str, flash: u64) -> anyhow::Result<()> {
        let Some(&budget) = self.bytes.get(program).and_then(|boards| boards.get(board)) else {
            return Ok(());
        };
        let code = flash.saturating_sub(self.model);
        ensure!(
            code <= budget,
            "{code} bytes of flash beside the model are over the budget of {budget} (budgets.toml)"
        );
        Ok(())
    }
}
