//! The beginning of a student: what it learns from, and how large it may be.

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use neuroprune_format::Model;
use neuroprune_runtime::cost;
use sha2::{Digest as _, Sha256};

use super::error::PipelineError;
use super::observer::Observer;
use crate::atomic_file;
use crate::data::Dataset;
use crate::model_file::export::{ExportError, Form, export};
use crate::model_file::inspection::Inspection;
use crate::model_file::quantization::Calibration;
use crate::network::Network;
use crate::ops::device::values_on_host;
use crate::pruning::prune_to;
use crate::random::{Purpose, initial_values, stream};
use crate::recipe::{BUDGET_TOKENS, StudentRecipe};
use crate::run::shared::Shared;
use crate::student::{Pool, Texts, shape, student as untaught};
use crate::text::vocabulary::{Vocabulary, VocabularyError, count_words};
use crate::training::{Examples, Phase, Run, TrainingError};

/// What limits the bytes of a file.
const BYTES: &str = "student.bytes, or --fit,";
/// Share of a file's bytes that is left for what training decides: which weights are kept.
const SPARE: usize = 80;
/// How often a vocabulary is measured; each time the rest of the bytes is less.
const MEASURED: usize = 4;

/// What the student of `run` learns from; makes it, unless the run was resumed with it. Nothing if
/// it is to `stop` before its teacher has answered everything. Of a finished run the texts alone.
///
/// # Errors
/// Where no student fits the bytes that it may have.
pub(super) fn begin(
    run: &mut Run,
    examples: &Examples,
    unlabelled: Option<&Dataset>,
    shared: &Shared,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<Examples>, PipelineError> {
    let Some(teacher) = &run.dense else {
        let error = candle_core::Error::msg("a student without a teacher");
        return Err(TrainingError::Tensor(error).into());
    };
    let (recipe, teachers, train) = (&run.recipe, &run.vocabulary, &examples.train);
    let tokens = teacher.shape.tokens;
    let make = |observer: &mut dyn Observer| {
        observer.note("making texts for the student");
        Texts::new(recipe, teachers, teacher, train, unlabelled)
    };
    if run.phase == Phase::Finished {
        let own = [teachers, run.own_vocabulary()];
        let taught = make(observer)?.examples(own, tokens, examples);
        return Ok(Some(taught.map_err(TrainingError::from)?));
    }
    let part = recipe.pool_part().sha256();
    let pool = shared.pools.get(part, || {
        let texts = make(observer)?;
        pool(
            run,
            teacher,
            texts,
            &shared.answers_at(part),
            observer,
            stop,
        )
    })?;
    let Some(pool) = pool else { return Ok(None) };
    let begun = match &run.student {
        Some(_) => None,
        None => Some(student(run, teacher, &pool.texts)?),
    };
    let own = begun.as_ref().map(|(_, vocabulary)| vocabulary);
    let own = own.or(run.student.as_ref()).unwrap_or(teachers);
    let taught = pool.examples([teachers, own], tokens, examples);
    let taught = taught.map_err(TrainingError::from)?;
    if let Some((student, vocabulary)) = begun {
        run.teach(student, vocabulary);
    }
    Ok(Some(taught))
}

/// The answers to `texts`: those that an interrupted run has left at `path`, or else the teacher's, which
/// are left there.
fn pool(
    run: &Run,
    teacher: &Network,
    texts: Texts,
    path: &Path,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<Pool>, PipelineError> {
    let digest = digest_of(run, teacher)?;
    let texts = match fs::read(path) {
        Err(_) => texts,
        Ok(bytes) => match Pool::read(texts, teacher, &bytes, digest) {
            Ok(pool) => {
                observer.note("the teacher has answered them before");
                return Ok(Some(pool));
            }
            Err(texts) => texts,
        },
    };
    let pool = Pool::new(texts, teacher, |done, all| {
        observer.answered(done, all);
        !stop.load(Ordering::Relaxed)
    })?;
    if let Some(pool) = &pool
        && let Err(error) = atomic_file::write(path, &pool.to_bytes(digest))
    {
        // Only a resume would read them.
        observer.note(&format!("{}: {error}", path.display()));
    }
    Ok(pool)
}

/// Of all that decides the answers: data, recipe and every weight of the teacher.
fn digest_of(run: &Run, teacher: &Network) -> Result<[u8; 32], PipelineError> {
    let mut digest = Sha256::new();
    digest.update(run.recipe.pool_part().sha256());
    digest.update(run.examples);
    for it in teacher.parameters() {
        for value in values_on_host(&it.parameter.value)? {
            digest.update(value.to_le_bytes());
        }
    }
    Ok(digest.finalize().into())
}

/// Whether there can be a student of the bytes and pieces that it may have, before its teacher is
/// trained.
///
/// `words` are those of the training texts, which [`words_of`] counts.
///
/// # Errors
/// Where the characters of the training texts alone are more.
pub(crate) fn check(run: &Run, words: &BTreeMap<String, usize>) -> Result<(), PipelineError> {
    let recipe = &run.recipe.student;
    let vocabulary = |pieces| run.vocabulary.most_used(words, pieces);
    let fewest = at_least(0, vocabulary)?;
    if fewest.len() > recipe.vocabulary {
        let asked = vocabulary(recipe.vocabulary);
        return asked
            .map_err(|error| TrainingError::from(error).into())
            .map(drop);
    }
    if [recipe.bytes, recipe.ram, recipe.instructions] == [0; 3] {
        return Ok(());
    }
    let student = Network::new(shape(&run.recipe, &fewest, &run.network), run.recipe.seed)?;
    let file = file_of(run, &student, &fewest)?;
    match excesses(recipe, &file)?.into_iter().next() {
        Some(Excess {
            limit,
            allowed,
            takes: least,
        }) => Err(PipelineError::TooSmall {
            limit,
            allowed,
            least,
        }),
        None => Ok(()),
    }
}

/// How often each word of the texts occurs.
///
/// # Errors
/// Errors of the `tokenizers` crate.
pub(crate) fn words_of(
    run: &Run,
    train: &Dataset,
) -> Result<BTreeMap<String, usize>, PipelineError> {
    let words = count_words(train.texts(), run.vocabulary.normalization());
    Ok(words.map_err(TrainingError::from)?)
}

/// More than a student may take.
pub(super) struct Excess {
    /// The key and the option that limit it.
    pub(super) limit: &'static str,
    /// What it may take.
    pub(super) allowed: usize,
    /// What it takes.
    pub(super) takes: usize,
}

/// The most instructions that a Cortex-M4F takes for a text as long as those of a budget.
///
/// # Errors
/// When `file` does not open.
pub(crate) fn instructions(file: &[u8]) -> Result<u64, PipelineError> {
    Ok(cost(&Model::open_whole(file)?, BUDGET_TOKENS))
}

/// What `file` takes more of than the student of `recipe` may.
///
/// # Errors
/// When it does not open.
pub(super) fn excesses(recipe: &StudentRecipe, file: &[u8]) -> Result<Vec<Excess>, PipelineError> {
    let ram = Inspection::new(file)?.ram_estimate;
    let instructions = usize::try_from(instructions(file)?).unwrap_or(usize::MAX);
    let all = [
        (BYTES, recipe.bytes, file.len()),
        ("student.ram, or --ram,", recipe.ram, ram),
        (
            "student.instructions, or --instructions,",
            recipe.instructions,
            instructions,
        ),
    ];
    let more = all
        .into_iter()
        .filter(|&(_, allowed, takes)| allowed > 0 && takes > allowed);
    let excess = more.map(|(limit, allowed, takes)| Excess {
        limit,
        allowed,
        takes,
    });
    Ok(excess.collect())
}

/// A vocabulary of so many pieces, or of as many as there must be.
fn at_least(
    pieces: usize,
    vocabulary: impl Fn(usize) -> Result<Vocabulary, VocabularyError>,
) -> Result<Vocabulary, PipelineError> {
    let found = match vocabulary(pieces) {
        Err(VocabularyError::TooFew { needed, .. }) => vocabulary(needed),
        found => found,
    };
    Ok(found.map_err(TrainingError::from)?)
}

/// A student with as many pieces as its recipe has, or as fit the bytes of its file.
fn student(
    run: &Run,
    teacher: &Network,
    texts: &Texts,
) -> Result<(Network, Vocabulary), PipelineError> {
    let recipe = &run.recipe.student;
    let teachers = &run.vocabulary;
    let mut pieces = recipe.vocabulary;
    let vocabulary = |pieces| texts.most_used(teachers, pieces);
    let with = |own: &Vocabulary| untaught(&run.recipe, [teachers, own], teacher);
    if recipe.bytes == 0 {
        let vocabulary = vocabulary(pieces).map_err(TrainingError::from)?;
        return Ok((with(&vocabulary)?, vocabulary));
    }
    let allowed = recipe.bytes - recipe.bytes / SPARE;
    let width = match recipe.embedding {
        0 => recipe.hidden,
        width => width,
    };
    // The row of a piece, its scale and its letters.
    let a_piece = recipe.token_values.of_table().row_bytes(width) + 4;
    pieces = pieces.min(allowed / a_piece);
    let mut fitting = None;
    let mut least = usize::MAX;
    for _ in 0..MEASURED {
        let vocabulary = at_least(pieces, vocabulary)?;
        let student = with(&vocabulary)?;
        let bytes = file_of(run, &student, &vocabulary)?.len();
        least = least.min(bytes);
        let has_all = vocabulary.len() < pieces;
        pieces = vocabulary.len();
        if bytes <= allowed {
            let room = (allowed - bytes) / a_piece;
            fitting = Some((student, vocabulary));
            if has_all || room < 8 {
                break;
            }
            pieces += room;
        } else {
            pieces = pieces.saturating_sub((bytes - allowed).div_ceil(a_piece) + 4);
        }
    }
    fitting.ok_or(PipelineError::TooSmall {
        limit: BYTES,
        allowed: recipe.bytes,
        least,
    })
}

/// The file of `student`, pruned anyhow.
fn file_of(
    run: &Run,
    student: &Network,
    vocabulary: &Vocabulary,
) -> Result<Vec<u8>, PipelineError> {
    let mut pruned = student.to_device(&candle_core::Device::Cpu)?;
    let parameters = pruned.parameters_mut().into_iter();
    for (index, it) in (0..).zip(parameters) {
        if it.parameter.value.rank() == 1 {
            // Biases that are all zero would not be written.
            it.parameter.value = it.parameter.value.ones_like()?;
        }
        if let Some(pruning) = &mut it.parameter.pruning {
            let shape = pruning.sensitivity.shape().clone();
            let mut generator = stream(run.recipe.seed, Purpose::Initialization, index);
            let values = initial_values(&mut generator, shape.elem_count(), 1.0);
            let values = candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?;
            pruning.sensitivity = values.abs()?;
        }
    }
    prune_to(
        &mut pruned,
        run.recipe.pruning.sparsity,
        &run.recipe.pruning,
    )?;
    let characters = vocabulary.characters().map_err(ExportError::from)?;
    let form = Form::Sparse(run.recipe.target);
    let words = (vocabulary, &characters);
    let source = export(run, &pruned, &Calibration::default(), words, "", form)?;
    Ok(source.to_bytes()?)
}
