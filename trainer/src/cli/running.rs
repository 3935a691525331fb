//! Training with progress: what `train` and `quickstart` share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::progress::{Fetching, Progress, Strictness};
use super::stop::Stop;
use crate::numbers::{share, thousands};
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::recipe::Recipe;
use crate::run::data::Data;
use crate::run::files::Files;
use crate::run::outcome::Outcome;
use crate::run::pipeline::{self, End};
use crate::training::{Run, checkpoint};

/// How to train.
#[derive(Args, Debug)]
pub(super) struct RunOptions {
    /// Resume an interrupted run from its checkpoint; needs the same options and data
    #[arg(long)]
    pub(super) resume: bool,
    /// Replace a run of the same name. Its files stay as they are until the new run is finished,
    /// and are then replaced together
    #[arg(long, conflicts_with = "resume")]
    pub(super) overwrite: bool,
    /// Stop before the first step if anything in the data may mislead
    #[arg(long)]
    strict: bool,
    /// Where to train: cpu, cuda or cuda:NUMBER
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(super) device: DeviceName,
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
    /// The file that it was read from.
    pub(super) file: Option<PathBuf>,
}

/// How a run ended.
pub(super) enum Trained {
    /// Its files are written.
    Finished(Box<Outcome>),
    /// A signal stopped it; it is saved. The program ends with this status.
    Stopped(ExitCode),
}

impl RunOptions {
    /// Trains with progress; a signal saves a checkpoint and says how to resume.
    pub(super) fn train(
        &self,
        asked: Asked,
        files: &Files,
        data: &Data,
    ) -> anyhow::Result<Trained> {
        let device = self.device.open()?;
        self.check_files(&asked, files)?;
        let mut run = self.begin(asked, files, data)?;
        run.move_to(&device)?;
        let stop = Stop::on_signals()?;
        let mut progress = Progress::new(self.quiet).with_summary(self.strictness());
        match pipeline::train(run, data, files, &mut progress, stop.asked())? {
            End::Finished(outcome) => Ok(Trained::Finished(outcome)),
            End::Stopped => {
                drop(progress);
                self.say_stopped("the run is saved", &files.checkpoint_in_progress());
                Ok(Trained::Stopped(stop.status()))
            }
        }
    }

    /// Refuses to write over a run, or over a recipe that the user wrote, before hours of training.
    fn check_files(&self, asked: &Asked, files: &Files) -> anyhow::Result<()> {
        for path in files.all() {
            anyhow::ensure!(
                !path.is_dir(),
                "{}: is a folder, expected a file",
                path.display()
            );
        }
        let recipe = files.recipe();
        let run = [
            files.checkpoint(),
            files.outcome(),
            files.model.clone(),
            files.dense(),
        ];
        let there = run.iter().find(|path| path.exists());
        if let Some(there) = there.filter(|_| !self.resume && !self.overwrite) {
            anyhow::bail!(
                "{}: is there already; --resume continues that run, --overwrite replaces it",
                there.display()
            );
        }
        let given = asked
            .file
            .as_ref()
            .and_then(|file| file.canonicalize().ok());
        let is_given = given.is_some() && given == recipe.canonicalize().ok();
        let is_others = there.is_none() && !self.resume && !self.overwrite;
        anyhow::ensure!(
            !(recipe.exists() && (is_given || is_others))
                || Recipe::read(&recipe).ok().as_ref() == Some(&asked.recipe),
            "{}: is another recipe than the one of this run, which is written there; {}",
            recipe.display(),
            match is_given {
                true => "choose another name for the model",
                false => "choose another name for the model, or --overwrite replaces it",
            }
        );
        Ok(())
    }

    /// Opens the checkpoint that `recipe` begins with, which takes its shape, but for the keys of `model`
    /// that the user `named`.
    pub(super) fn open_pretrained(
        &self,
        recipe: &mut Recipe,
        named: &[String],
    ) -> anyhow::Result<Pretrained> {
        let pretrained = Pretrained::open(&recipe.model.from, &mut Fetching::new(self.quiet))?;
        adopt(recipe, named, &pretrained)?;
        let contradictions = pretrained.contradictions(&recipe.model);
        for contradiction in &contradictions {
            say!("warning: {}: {contradiction}", recipe.model.from);
        }
        anyhow::ensure!(
            contradictions.is_empty() || !self.strict,
            "--strict makes warnings errors"
        );
        Ok(pretrained)
    }

    /// Says that a signal stopped what is saved at `path`, and how to go on.
    pub(super) fn say_stopped(&self, saved: &str, path: &Path) {
        say!(
            "stopped; {saved} in {}; to resume it, run the same command with --resume{}",
            path.display(),
            match self.overwrite {
                true => " in place of --overwrite",
                false => "",
            }
        );
    }

    /// How strict to be about what the data may mislead in.
    pub(super) fn strictness(&self) -> Strictness {
        match self.strict {
            true => Strictness::Refuses,
            false => Strictness::Warns,
        }
    }

    /// A new run, or the one that was interrupted.
    fn begin(&self, asked: Asked, files: &Files, data: &Data) -> anyhow::Result<Run> {
        let Asked {
            mut recipe, named, ..
        } = asked;
        if self.resume {
            let run = checkpoint::resume(&files.checkpoint_to_resume(), &recipe, &data.train)?;
            return Ok(run);
        }
        if !recipe.model.is_pretrained() {
            return Ok(Run::new(recipe, &data.train)?);
        }
        let pretrained = self.open_pretrained(&mut recipe, &named)?;
        let run = Run::from_pretrained(recipe, &data.train, &pretrained)?;
        if !self.quiet {
            say_what_is_kept(&run, &pretrained, data)?;
        }
        Ok(run)
    }
}

/// `recipe` takes the shape of the checkpoint, but for the keys of `model` that the user `named`.
pub(super) fn adopt(
    recipe: &mut Recipe,
    named: &[String],
    pretrained: &Pretrained,
) -> anyhow::Result<()> {
    let named = |key: &str| named.iter().any(|named| named == key);
    recipe.model.adopt(&pretrained.model(), named)?;
    recipe.check()?;
    Ok(())
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
