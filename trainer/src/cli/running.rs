//! Training with progress: what `train` and `quickstart` share.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use clap::Args;

use super::progress::{Fetching, Progress};
use crate::numbers::{share, thousands};
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::recipe::Recipe;
use crate::run::files::Files;
use crate::run::outcome::Outcome;
use crate::run::pipeline::{self, Data, End};
use crate::training::{Run, checkpoint};

/// How to train.
#[derive(Args, Debug)]
pub(super) struct RunOptions {
    /// Resume an interrupted run from its checkpoint; needs the same options and data
    #[arg(long)]
    resume: bool,
    /// Where to train: cpu, cuda or cuda:NUMBER
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceName,
    /// Print the results as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// A recipe as it was asked for, before a pretrained checkpoint has its say.
pub(super) struct Asked {
    /// Every key resolved.
    pub(super) recipe: Recipe,
    /// Keys of its section `model` that the user named.
    pub(super) named: Vec<String>,
}

impl RunOptions {
    /// Trains with progress; Ctrl-C saves a checkpoint, says how to resume and gives `None`.
    pub(super) fn train(
        &self,
        asked: Asked,
        files: &Files,
        data: &Data,
    ) -> anyhow::Result<Option<Outcome>> {
        let device = self.device.open()?;
        let mut run = self.begin(asked, files, data)?;
        run.move_to(&device)?;
        let stop = stop_on_ctrl_c()?;
        let mut progress = Progress::new(self.quiet);
        match pipeline::train(run, data, files, &mut progress, &stop)? {
            End::Finished(outcome) => Ok(Some(*outcome)),
            End::Stopped => {
                drop(progress);
                say!(
                    "stopped; the run is saved in {}; to resume it, run the same command with --resume",
                    files.checkpoint().display()
                );
                Ok(None)
            }
        }
    }

    /// A new run, or the one that was interrupted.
    fn begin(&self, asked: Asked, files: &Files, data: &Data) -> anyhow::Result<Run> {
        let Asked { mut recipe, named } = asked;
        if self.resume {
            let run = checkpoint::resume(&files.checkpoint(), &recipe, &data.train)?;
            return Ok(run);
        }
        if !recipe.model.is_pretrained() {
            return Ok(Run::new(recipe, &data.train)?);
        }
        let pretrained = Pretrained::open(&recipe.model.from, &mut Fetching::new(self.quiet))?;
        let named = |key: &str| named.iter().any(|named| named == key);
        recipe.model.adopt(&pretrained.model(), named)?;
        recipe.check()?;
        let run = Run::from_pretrained(recipe, &data.train, &pretrained)?;
        if !self.quiet {
            say_what_is_kept(&run, &pretrained, data)?;
        }
        Ok(run)
    }
}

/// What a run has of a pretrained checkpoint.
fn say_what_is_kept(run: &Run, pretrained: &Pretrained, data: &Data) -> anyhow::Result<()> {
    let model = &run.recipe.model;
    say!(
        "{}: {} layers of width {}, {} heads; {} of {} pieces of the vocabulary kept",
        model.from,
        model.layers,
        model.hidden,
        model.heads,
        thousands(run.vocabulary.len()),
        thousands(pretrained.pieces())
    );
    let sets = [("dev", Some(&data.dev)), ("test", data.test.as_ref())];
    for (name, set) in sets {
        let Some(set) = set else { continue };
        let respelled = pretrained.respelled(&run.vocabulary, set.texts())?;
        let percent = share(respelled.changed, respelled.words);
        say!(
            "{name}: with fewer pieces {} of {} words are spelled differently ({percent:.2} %)",
            thousands(respelled.changed),
            thousands(respelled.words)
        );
    }
    Ok(())
}

/// Becomes true with the first Ctrl-C; the second one ends the program.
pub(super) fn stop_on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // The second time it is meant.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    Ok(stop)
}
