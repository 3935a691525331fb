//! `neuroprune train --fit` with several sizes or candidates.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::process::ExitCode;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::inputs::{print, print_json};
use super::lines::watch;
use super::progress::Progress;
use super::running::{Asked, RunOptions, adopt};
use super::stop::Stop;
use super::tables;
use crate::numbers::thousands;
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::recipe::{Shape, Size};
use crate::run::course;
use crate::run::data::Data;
use crate::run::error::PipelineError;
use crate::run::files::Files;
use crate::run::lock::Lock;
use crate::run::observer::Observer;
use crate::run::pipeline;
use crate::run::shared::Shared;
use crate::search::{self, Before, Candidate, Clock, Found, Search, SearchFiles, Searched};
use crate::sweep::Stage;
use crate::training::Run;

/// Shapes that there are for a size, at most.
const MOST: usize = 6;
/// Trainings that keep a GPU busy: one alone waits for the host most of the time.
const JOBS_ON_GPU: usize = 8;

/// How to search.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Search, with --fit")]
pub(super) struct SearchOptions {
    /// Shapes to try for each size, 1 to 6: the usual one, a dense one of half its width, and others of
    /// about as many bytes. All are trained with a share of the passes, the better half of them, by the
    /// dev set, with twice as many, and so on to the best one [default: 1, with --time 6]
    #[arg(long, value_name = "COUNT", requires = "fit", value_parser = RangedU64ValueParser::<usize>::new().range(1..=6))]
    candidates: Option<usize>,
    /// Begin no trial that could not be followed by a training to the end within this time: 20m, 1h 30m;
    /// the teacher's training and answers are not cut short
    #[arg(long, value_name = "TIME", requires = "fit", value_parser = time)]
    time: Option<Duration>,
    /// Students to train at the same time; does not change results [default: 1, on a GPU 8]
    #[arg(long, value_name = "COUNT", requires = "fit", value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    jobs: Option<usize>,
}

/// As people write it.
fn time(text: &str) -> Result<Duration, String> {
    let found = humantime::parse_duration(text).ok();
    let found = found.filter(|time| !time.is_zero());
    found.ok_or_else(|| "expected a time, such as 90s, 20m or 1h 30m".to_owned())
}

impl SearchOptions {
    /// Shapes to try for each size, if there is anything to search.
    pub(super) fn candidates(&self, sizes: &[Size]) -> Option<usize> {
        let usual = if self.time.is_some() { MOST } else { 1 };
        let most = self.candidates.unwrap_or(usual);
        let is_search = sizes.len() > 1 || most > 1 || self.candidates.is_some();
        is_search.then_some(most)
    }

    /// Searches, with progress; a signal saves every trial and says how to resume.
    pub(super) fn run(
        &self,
        asked: Vec<(Size, Asked)>,
        running: &RunOptions,
        files: &Files,
        data: &Data,
    ) -> anyhow::Result<ExitCode> {
        running.device.open()?;
        let clock = Clock::new(self.time);
        let sizes = asked.chunk_by(|(a, _), (b, _)| a == b);
        let files = SearchFiles {
            asked: files.clone(),
            sizes: sizes.filter_map(|asked| Some(asked.first()?.0)).collect(),
        };
        let out = files.folder();
        let before = match (running.resume, running.overwrite) {
            (true, _) => Before::Resume,
            (_, true) => Before::Replace,
            (false, false) => Before::Keep,
        };
        let _locks = lock(&files)?;
        check_recipes(&asked, &files)?;
        let (candidates, pretrained) = open(asked, running)?;
        let marks = search::marks(&candidates);
        files.check(before, &marks)?;
        let Some(first) = candidates.first() else {
            anyhow::bail!("--fit: expected a size");
        };
        let recipe = first.recipe.clone();
        let run = match &pretrained {
            None => Run::new(recipe, &data.train),
            Some(pretrained) => Run::from_pretrained(recipe, &data.train, pretrained),
        }?;
        let (_, summary, baselines) = pipeline::look(&run, data)?;
        let mut progress = Progress::new(running.quiet).with_summary(running.strictness());
        if !progress.summary(&summary, &baselines) {
            let warnings = summary.warnings.len();
            return Err(PipelineError::Misleading { warnings }.into());
        }
        drop(progress);
        let candidates = possible(candidates, run, data)?;
        files.begin(before, &marks)?;
        let usual = match running.device {
            DeviceName::Cpu => 1,
            DeviceName::Cuda(_) => JOBS_ON_GPU,
        };
        let stop = Stop::on_signals()?;
        let shared = Shared::new(out.join("teacher"));
        let search = Search {
            candidates: &candidates,
            data,
            out: &out,
            name: &files.asked.name(),
            pretrained: pretrained.as_ref(),
            devices: &[running.device],
            jobs: self.jobs.unwrap_or(usual),
            shared: &shared,
            clock: &clock,
        };
        let searched = search.run(
            &|stage| of_stage(stage, search.jobs, running.quiet),
            &mut |text| say!("{text}"),
            stop.asked(),
        )?;
        let Some(mut searched) = searched.filter(|_| !stop.asked().load(Ordering::Relaxed)) else {
            running.say_stopped("the trials are saved", &out);
            return Ok(stop.status());
        };
        for candidate in &candidates {
            shared.forget_answers(candidate.recipe.pool_part().sha256());
        }
        files.write(&mut searched)?;
        if running.json {
            print_json(&searched)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&table(&searched))?;
        for found in &searched.sizes {
            print(&format!("model   {}", found.model.display()))?;
        }
        print(&format!("page    {}", files.page().display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Holds the search, and each model that it is to write.
fn lock(files: &SearchFiles) -> Result<Vec<Lock>, PipelineError> {
    let models = files.sizes.iter().map(|size| files.of_size(*size));
    let mut all: Vec<Files> = models.chain([files.asked.clone()]).collect();
    // Of one size the model is the one that was asked for.
    all.dedup_by(|a, b| a.model == b.model);
    let locks = all.into_iter().map(|files| {
        let failed = |source| PipelineError::Write {
            path: files.lock(),
            source,
        };
        let model = files.model.clone();
        Lock::take(&files)
            .map_err(failed)?
            .ok_or(PipelineError::Busy { model })
    });
    locks.collect()
}

/// Refuses to write over a recipe that the user wrote.
fn check_recipes(asked: &[(Size, Asked)], files: &SearchFiles) -> anyhow::Result<()> {
    for (size, asked) in asked {
        let recipe = files.of_size(*size).recipe();
        let given = asked.file.as_ref().and_then(|it| it.canonicalize().ok());
        anyhow::ensure!(
            given.is_none() || given != recipe.canonicalize().ok(),
            "{}: the recipe of a model is written there; choose another name for the model",
            recipe.display()
        );
    }
    Ok(())
}

/// What was asked for as candidates, and the checkpoint that their teacher starts from.
fn open(
    asked: Vec<(Size, Asked)>,
    running: &RunOptions,
) -> anyhow::Result<(Vec<Candidate>, Option<Pretrained>)> {
    let mut pretrained = None;
    let mut candidates = Vec::new();
    for (
        size,
        Asked {
            mut recipe, named, ..
        },
    ) in asked
    {
        if recipe.model.is_pretrained() {
            match &pretrained {
                None => pretrained = Some(running.open_pretrained(&mut recipe, &named)?),
                Some(pretrained) => adopt(&mut recipe, &named, pretrained)?,
            }
        }
        let shape = Shape::of(&recipe).to_string();
        candidates.push(Candidate {
            size,
            shape,
            recipe,
        });
    }
    Ok((candidates, pretrained))
}

/// Those of `candidates` that are within their limits, by `run`, the beginning of any of them.
///
/// # Errors
/// Where none of a size is.
fn possible(
    candidates: Vec<Candidate>,
    mut run: Run,
    data: &Data,
) -> anyhow::Result<Vec<Candidate>> {
    let words = course::words_of(&run, &data.train)?;
    let (mut possible, mut refused) = (Vec::new(), Vec::new());
    for candidate in candidates {
        run.recipe.clone_from(&candidate.recipe);
        match course::check(&run, &words) {
            Ok(()) => possible.push(candidate),
            Err(error) => refused.push((candidate, error)),
        }
    }
    for (Candidate { size, shape, .. }, error) in refused {
        let has_another = possible.iter().any(|candidate| candidate.size == size);
        if !has_another {
            return Err(anyhow::Error::new(error).context(format!("--fit {size}")));
        }
        say!("{size}, {shape}: {error}");
    }
    Ok(possible)
}

/// Shows a stage.
fn of_stage(stage: Stage<'_>, jobs: usize, is_quiet: bool) -> Box<dyn Observer> {
    let title = match stage {
        Stage::Dense(_) => "teacher".to_owned(),
        Stage::Cell(cell) => cell.variant.clone(),
    };
    watch(title, jobs, is_quiet)
}

/// What was kept, and its rivals.
fn table(searched: &Searched) -> String {
    // Without a test set the file in the runtime has no other set.
    let scored_on = match searched.scored_on.as_str() {
        "dev" => "dev, file",
        other => other,
    };
    let mut table = tables::table(&[
        "network",
        "size",
        "tried",
        "dev",
        scored_on,
        "file, bytes",
        "instructions",
        "RAM, bytes",
    ]);
    for found in &searched.sizes {
        let Some(best) = found.best() else { continue };
        table.add_row([
            found.shape.clone(),
            Size(found.size).to_string(),
            found.tried.to_string(),
            tables::percent(best.dev),
            tables::percent(best.accuracy),
            thousands(best.bytes),
            search::millions(best.instructions),
            thousands(best.ram),
        ]);
    }
    for rival in &searched.rivals {
        table.add_row([
            rival.name.clone(),
            String::new(),
            String::new(),
            String::new(),
            tables::percent(rival.accuracy),
            thousands(rival.bytes),
            rival.instructions.map(search::millions).unwrap_or_default(),
            String::new(),
        ]);
    }
    let mut text = table.to_string();
    let reasons = searched.sizes.iter().filter_map(Found::why);
    for reason in reasons {
        text += &format!("\n{reason}");
    }
    for warning in searched.warnings() {
        text += &format!("\nwarning: {warning}");
    }
    text
}
