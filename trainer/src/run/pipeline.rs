//! From data files to model files.
//!
//! ```text
//! Data ─► Run ─ dense ─ sparse ─► files: model.neuro            the sparse model
//!          │                             model.dense.neuro      the dense baseline, int8
//!          └ model.checkpoint            model.recipe.toml      the resolved recipe
//!                                        model.outcome.json     its result
//!                                        model.report.html      curves and topology
//! ```
//! Every file appears whole or not at all, and a run that was stopped can be resumed.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::path::Path;
use std::time::Instant;

use neuroprune_format::Model;
use neuroprune_format::manifest::Scores;
use neuroprune_format::writer::ModelSource;

use crate::atomic_file;
use crate::baselines::Baselines;
use crate::model_file::export::{ExportError, Form, export};
use crate::model_file::inspection::Inspection;
use crate::model_file::quantization::Calibration;
use crate::model_file::scoring::{Scored, score};
use crate::network::Network;
use crate::numbers::{hex, single, thousands};
use crate::pruning::{cut_all, degree_spreads};
use crate::recipe::Recipe;
use crate::report;
use crate::run::course;
use crate::run::data::Data;
use crate::run::error::PipelineError;
use crate::run::files::Files;
use crate::run::lock::Lock;
use crate::run::observer::Observer;
use crate::run::outcome::{Accuracies, FileOutcome, MacroF1, Outcome, RunOutcome, Seconds};
use crate::run::phase::train_phase;
use crate::run::shared::Shared;
use crate::run::summary::Summary;
use crate::text::batch::encode;
use crate::text::vocabulary::Vocabulary;
use crate::training::{Examples, Phase, Run, TrainingError, float_accuracy};

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// The files are written.
    Finished(Box<Outcome>),
    /// It was asked to stop; the checkpoint is written.
    Stopped,
}

/// Trains what is left to train of `run`, then writes and measures the files.
///
/// Checkpoints are written during training, next to the model.
///
/// # Errors
/// [`PipelineError`]; the last checkpoint is kept.
pub fn train(
    run: Run,
    data: &Data,
    files: &Files,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<End, PipelineError> {
    let shared = Shared::new(files.model.with_extension(""));
    let answers = run.recipe.pool_part().sha256();
    let end = train_with(run, data, files, &shared, observer, stop)?;
    if matches!(end, End::Finished(_)) {
        shared.forget_answers(answers);
    }
    Ok(end)
}

/// [`train`], as one of several runs on the same data.
///
/// # Errors
/// Likewise.
pub(crate) fn train_with(
    mut run: Run,
    data: &Data,
    files: &Files,
    shared: &Shared,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<End, PipelineError> {
    let failed = |source| PipelineError::Write {
        path: files.lock(),
        source,
    };
    let Some(_lock) = Lock::take(files).map_err(failed)? else {
        let model = files.model.clone();
        return Err(PipelineError::Busy { model });
    };
    let (examples, summary, baselines) = look(&run, data)?;
    if !observer.summary(&summary, &baselines) {
        let warnings = summary.warnings.len();
        return Err(PipelineError::Misleading { warnings });
    }
    if run.phase == Phase::Dense && run.recipe.student.exists() {
        course::check(&run, &course::words_of(&run, &data.train)?)?;
    }
    // Nothing refuses the run any more, whose recipe would be in the way of another. The files of a
    // finished run are replaced together, once this one is finished.
    if !files.outcome().exists() && !has_recipe(files, &run.recipe) {
        write(&files.recipe(), run.recipe.to_toml().as_bytes())?;
    }
    let checkpoint = match run.phase {
        Phase::Finished => files.checkpoint_to_resume(),
        Phase::Dense | Phase::Sparse => files.checkpoint_in_progress(),
    };
    if run.phase == Phase::Dense && run.step == 0 {
        // What an earlier run left that was to replace the finished one.
        let removed = atomic_file::remove(&files.next_checkpoint());
        removed.map_err(|source| PipelineError::Write {
            path: files.next_checkpoint(),
            source,
        })?;
    }
    let mut seconds = Seconds::default();
    let unlabelled = data.unlabelled.as_ref();
    // Of the student, once there is one.
    let mut course = None;
    while run.phase != Phase::Finished {
        let start = Instant::now();
        let phase = run.phase;
        if phase == Phase::Sparse && run.recipe.student.exists() {
            course = course::begin(&mut run, &examples, unlabelled, shared, observer, stop)?;
            if course.is_none() {
                return Ok(End::Stopped);
            }
        }
        let taught = course.as_ref().unwrap_or(&examples);
        if !train_phase(&mut run, taught, &checkpoint, observer, stop)? {
            return Ok(End::Stopped);
        }
        let spent = start.elapsed().as_secs_f64();
        match phase {
            Phase::Dense => seconds.dense = spent,
            Phase::Sparse | Phase::Finished => seconds.sparse = spent,
        }
        if stop.load(Ordering::Relaxed) && run.phase != Phase::Finished {
            return Ok(End::Stopped);
        }
    }
    observer.note("quantising, writing and scoring");
    if course.is_none() && run.student.is_some() {
        course = course::begin(&mut run, &examples, unlabelled, shared, observer, stop)?;
    }
    let taught = course.as_ref().unwrap_or(&examples);
    let sets = [&examples, taught];
    let read = (summary, baselines);
    let (outcome, file) = finish(&run, sets, data, files, shared, seconds, read)?;
    if run.student.is_some() {
        for excess in course::excesses(&run.recipe.student, &file)? {
            observer.note(&format!(
                "{} is {}, and the file takes {}: which weights are kept decides some of it",
                excess.limit,
                thousands(excess.allowed),
                thousands(excess.takes)
            ));
        }
    }
    if checkpoint != files.checkpoint() {
        let renamed = atomic_file::rename(&checkpoint, &files.checkpoint());
        renamed.map_err(|source| PipelineError::Write {
            path: files.checkpoint(),
            source,
        })?;
    }
    Ok(End::Finished(Box::new(outcome)))
}

/// What `run` is about to learn from, and what it has to be better than.
///
/// # Errors
/// When a text cannot be read.
pub(crate) fn look(
    run: &Run,
    data: &Data,
) -> Result<(Examples, Summary, Baselines), PipelineError> {
    let (model, vocabulary) = (&run.recipe.model, &run.vocabulary);
    let examples = Examples::new(&data.train, &data.dev, vocabulary, model.tokens)?;
    let summary = Summary::new(data, &examples, model, vocabulary);
    let measured = data.measured().0;
    let baselines = Baselines::new(&data.train, measured, vocabulary.normalization());
    Ok((examples, summary, baselines.map_err(TrainingError::from)?))
}

/// Writes and measures the files of a finished run.
///
/// `examples` are those of the dense network and those of the sparse one.
fn finish(
    run: &Run,
    examples: [&Examples; 2],
    data: &Data,
    files: &Files,
    shared: &Shared,
    mut seconds: Seconds,
    (summary, baselines): (Summary, Baselines),
) -> Result<(Outcome, Vec<u8>), PipelineError> {
    let start = Instant::now();
    let (measured, scored_on) = data.measured();
    let tokens = run.recipe.model.tokens;
    let encoded = |vocabulary| encode(measured, vocabulary, tokens).map_err(TrainingError::from);
    // What a GPU kept for the sake of its sizes has no place in a file.
    let mut network = run.network.clone();
    cut_all(&mut network, run.recipe.pruning.blocks).map_err(TrainingError::from)?;
    // A finished run has its dense baseline; without one the two are the same.
    let dense = run.dense.as_ref().unwrap_or(&network);
    let own = run.own_vocabulary();
    let dense_float = float_accuracy(dense, &encoded(&run.vocabulary)?)?;
    let sparse_float = float_accuracy(&network, &encoded(own)?)?;

    let characters = |vocabulary: &Vocabulary| vocabulary.characters().map_err(ExportError::from);
    let dense_characters = characters(&run.vocabulary)?;
    let own_characters = match &run.student {
        Some(vocabulary) => characters(vocabulary)?,
        None => dense_characters.clone(),
    };
    let texts = run.recipe.quantization.calibration_texts;
    let make = |network: &Network, form, name: &str, scores| {
        let (examples, words) = match form {
            Form::Dense => (examples[0], (&run.vocabulary, &dense_characters)),
            Form::Sparse(_) => (examples[1], (own, &own_characters)),
        };
        let calibration = if texts > 0 {
            Calibration::new(network, &examples.train, texts)?
        } else {
            Calibration::default()
        };
        let mut source = export(run, network, &calibration, words, name, form)?;
        source.scores = scores;
        let score = |source: &ModelSource| -> Result<Scored, PipelineError> {
            let file = source.to_bytes()?;
            Ok(score(&Model::open_whole(&file)?, measured)?)
        };
        let scored = match form {
            Form::Sparse(_) => score(&source)?,
            // Other runs have the same one, which may take longer to score than theirs.
            Form::Dense => {
                let digest = run.recipe.dense_file_part().sha256();
                match shared.scores.get(digest, || score(&source).map(Some))? {
                    Some(scored) => Scored::clone(&scored),
                    None => score(&source)?,
                }
            }
        };
        // A test score is written into the file.
        source.scores.runtime = data.test.as_ref().map(|_| single(scored.accuracy));
        Ok::<_, PipelineError>((source.to_bytes()?, scored))
    };
    let name = files.name();
    // Files state test accuracies only.
    let known = |accuracy: f64| data.test.as_ref().map(|_| single(accuracy));
    let scores = Scores {
        dense_float: known(dense_float),
        ..Scores::default()
    };
    let (dense_file, dense_scored) = make(dense, Form::Dense, &format!("{name} (dense)"), scores)?;
    let scores = Scores {
        sparse_float: known(sparse_float),
        ..scores
    };
    let form = Form::Sparse(run.recipe.target);
    let (sparse_file, sparse_scored) = make(&network, form, &name, scores)?;
    seconds.export = start.elapsed().as_secs_f64();

    // Of the network before anything was cut; a student has others.
    let shape = &dense.shape;
    let outcome = Outcome {
        run: RunOutcome {
            name,
            recipe: run.recipe.clone(),
            data_sha256: hex(&run.data),
            summary: Some(summary),
            scored_on: scored_on.to_owned(),
            scored_sha256: hex(&measured.sha256),
            examples: measured.examples.len(),
            accuracy: Accuracies {
                dense_float,
                dense_int8: dense_scored.accuracy,
                sparse_float,
                sparse_int8: sparse_scored.accuracy,
            },
            macro_f1: MacroF1 {
                dense_int8: dense_scored.macro_f1,
                sparse_int8: sparse_scored.macro_f1,
            },
            scored: Some(sparse_scored),
            baselines,
            target_sparsity: run.recipe.pruning.sparsity,
            sparsity: network.sparsity()?,
            heads: shape.attention_layers() * shape.heads,
            neurons: shape.layers * shape.intermediate,
            dense_degrees: degree_spreads(dense)?,
            sparse_degrees: degree_spreads(&network)?,
            merged: run.merged.clone(),
            history: run.history.clone(),
            journal: run.journal.clone(),
            seconds,
        },
        sparse: FileOutcome {
            path: Some(files.model.clone()),
            inspection: Inspection::new(&sparse_file)?,
        },
        dense: FileOutcome {
            path: Some(files.dense()),
            inspection: Inspection::new(&dense_file)?,
        },
    };
    let page = report::render(&outcome, &sparse_file)?;
    let json = serde_json::to_string_pretty(&outcome.run).map_err(io::Error::other);
    let json = json.map_err(|source| PipelineError::Write {
        path: files.outcome(),
        source,
    })?;
    let recipe = run.recipe.to_toml();
    let mut finished = vec![
        (files.dense(), dense_file.as_slice()),
        (files.model.clone(), &sparse_file),
        (files.report(), page.as_bytes()),
    ];
    if !has_recipe(files, &run.recipe) {
        finished.push((files.recipe(), recipe.as_bytes()));
    }
    finished.push((files.outcome(), json.as_bytes()));
    let all: Vec<_> = finished
        .iter()
        .map(|(path, bytes)| (path.as_path(), *bytes))
        .collect();
    atomic_file::write_all(&all).map_err(|(number, source)| PipelineError::Write {
        path: finished[number].0.clone(),
        source,
    })?;
    Ok((outcome, sparse_file))
}

/// Whether the recipe is there already, perhaps as the user wrote it, comments and all.
fn has_recipe(files: &Files, recipe: &Recipe) -> bool {
    Recipe::read(&files.recipe()).ok().as_ref() == Some(recipe)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    atomic_file::write(path, bytes).map_err(|source| PipelineError::Write {
        path: path.to_owned(),
        source,
    })
}
