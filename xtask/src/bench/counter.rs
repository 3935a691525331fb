//! Runs a program in QEMU under the counter, with files in its memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::boards::Board;
use crate::command::{cargo, run_quietly, target_folder};
use crate::firmware::emulator;
use crate::firmware::image::Image;

/// The region that each program has first: a loop whose length is known.
pub(crate) const CALIBRATION: &str = "calibration";
/// Its instructions.
pub(crate) const CALIBRATED: u64 = 400_000;
/// The core that the counter's estimate of cycles is for.
const ESTIMATED: &str = "M4F";

/// The plugin, and the folder for what it reads and writes.
pub(crate) struct Counter {
    plugin: PathBuf,
    folder: PathBuf,
}

/// What the counter reports of a region.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    pub(crate) load: u64,
    pub(crate) store: u64,
    pub(crate) branch: u64,
    /// Not every counter counts them separately.
    pub(crate) multiply: Option<u64>,
    /// An estimate for Cortex-M4; `None` for other cores.
    pub(crate) cycles_estimate: Option<u64>,
}

/// What a program measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Regions by name, in order.
    pub(crate) regions: Vec<(String, Counts)>,
    /// Figures that it printed.
    pub(crate) figures: BTreeMap<String, u64>,
    /// Bytes of the image in flash.
    pub(crate) flash: u64,
    /// Bytes of its statics.
    pub(crate) memory: u64,
}

#[derive(Deserialize)]
struct Record {
    fault: Option<String>,
    regions: Vec<Counts>,
}

impl Counter {
    /// Builds the plugin.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let package = "neuroprune-counter";
        run_quietly(&mut cargo(&[
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            package,
        ]))?;
        let library = format!(
            "{}neuroprune_counter{}",
            std::env::consts::DLL_PREFIX,
            std::env::consts::DLL_SUFFIX
        );
        let target = target_folder();
        let plugin = target.join("release").join(library);
        ensure!(plugin.exists(), "{}: was not built", plugin.display());
        let folder = target.join("bench");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { plugin, folder })
    }

    /// Runs `elf` with `files` in memory.
    ///
    /// # Errors
    /// Where the program fails, where regions and names do not match, or where the known loop does
    /// not have its known length.
    pub(crate) fn run(
        &self,
        board: &Board,
        elf: &Path,
        files: &[Vec<u8>],
    ) -> anyhow::Result<Measured> {
        let image = Image::read(elf)?;
        let list = self.folder.join(format!("{}.files", board.name));
        let counts = self.folder.join(format!("{}.counts.json", board.name));
        fs::write(&list, listed(files)?).with_context(|| list.display().to_string())?;
        // What an earlier run left must not pass for this one's.
        if counts.exists() {
            fs::remove_file(&counts).with_context(|| counts.display().to_string())?;
        }
        let arguments = [
            "-plugin".to_owned(),
            format!("{},out={}", option(&self.plugin), option(&counts)),
            "-device".to_owned(),
            format!(
                "loader,file={},addr={:#x},force-raw=on",
                option(&list),
                image.address("_bench_files")?
            ),
        ];
        let printed = emulator::run_with(board, elf, &arguments)?;
        let text = fs::read_to_string(&counts)
            .context("QEMU wrote no counts: does it know plugins (--enable-plugins)?")?;
        let record: Record = serde_json::from_str(&text).context("what the counter wrote")?;
        if let Some(fault) = record.fault {
            bail!("{fault}");
        }
        let for_this_core = |mut counts: Counts| {
            counts.cycles_estimate = counts.cycles_estimate.filter(|_| board.core == ESTIMATED);
            counts
        };
        let regions = record.regions.into_iter().map(for_this_core);
        let mut measured = Measured::named(&printed, regions.collect())?;
        (measured.flash, measured.memory) = (image.flash, image.memory);
        let (name, counts) = measured.regions.first().context("nothing was counted")?;
        ensure!(
            name == CALIBRATION && counts.instructions == CALIBRATED,
            "the counter counts wrong: a loop of {CALIBRATED} instructions as {}",
            counts.instructions
        );
        measured.regions.remove(0);
        Ok(measured)
    }
}

impl Measured {
    /// Gives counts the names that the program printed, one per line and region; lines with `=` are
    /// figures.
    ///
    /// # Errors
    /// Where there are more or fewer names than counts.
    pub(crate) fn named(printed: &[u8], counts: Vec<Counts>) -> anyhow::Result<Self> {
        let mut measured = Self::default();
        let mut names = Vec::new();
        for line in String::from_utf8_lossy(printed).lines() {
            match line.split_once('=') {
                Some((name, figure)) => {
                    let figure = figure.parse().with_context(|| line.to_owned())?;
                    measured.figures.insert(name.to_owned(), figure);
                }
                None => names.push(line.to_owned()),
            }
        }
        ensure!(
            names.len() == counts.len(),
            "{} regions were counted and {} named",
            counts.len(),
            names.len()
        );
        measured.regions = names.into_iter().zip(counts).collect();
        Ok(measured)
    }
}

/// The files as `firmware-examples/src/files.rs` reads them.
fn listed(files: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
    const STEP: usize = 16;
    let mut bytes = Vec::new();
    for file in files {
        let length = u32::try_from(file.len()).context("a file is too large")?;
        bytes.extend(length.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(STEP), 0);
        bytes.extend(file);
        bytes.resize(bytes.len().next_multiple_of(STEP), 0);
    }
    bytes.extend([0; STEP]);
    Ok(bytes)
}

/// A path within an option of QEMU, where commas separate.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_on_boundaries() {
        let bytes = listed(&[vec![7; 3], vec![8; 16]]).unwrap();
        assert_eq!(bytes.len(), 16 + 16 + 16 + 16 + 16);
        assert_eq!((bytes[0], bytes[16], bytes[19]), (3, 7, 0));
        assert_eq!((bytes[32], bytes[48], bytes[64]), (16, 8, 0));
    }
}
