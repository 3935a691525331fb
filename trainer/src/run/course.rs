//! The beginning of a student: what it learns from, and how large it may be.

use core::sync::atomic::{AtomicBool, Ordering};

use super::error::PipelineError;
use super::observer::Observer;
use crate::model_file::export::{ExportError, Form, export};
use crate::model_file::quantization::Calibration;
use crate::network::Network;
use crate::pruning::prune_to;
use crate::random::{Purpose, initial_values, stream};
use crate::student::Course;
use crate::text::vocabulary::Vocabulary;
use crate::training::{Examples, Phase, Run, TrainingError};

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
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<Examples>, PipelineError> {
    let Some(teacher) = &run.dense else {
        let error = candle_core::Error::msg("a student without a teacher");
        return Err(TrainingError::Tensor(error).into());
    };
    observer.note("making texts for the student");
    let course = Course::new(&run.recipe, &run.vocabulary, teacher, &examples.train)?;
    if run.phase == Phase::Finished {
        let texts = course.unanswered(run.own_vocabulary(), examples);
        return Ok(Some(texts.map_err(TrainingError::from)?));
    }
    let begun = match &run.student {
        Some(_) => None,
        None => Some(student(run, &course)?),
    };
    let own = begun.as_ref().map(|(_, vocabulary)| vocabulary);
    let own = own.or(run.student.as_ref()).unwrap_or(&run.vocabulary);
    let taught = course.examples(own, examples, |done, all| {
        observer.answered(done, all);
        !stop.load(Ordering::Relaxed)
    })?;
    if let Some((student, vocabulary)) = begun {
        run.teach(student, vocabulary);
    }
    Ok(taught)
}

/// A student with as many pieces as its recipe has, or as fit the bytes of its file.
fn student(run: &Run, course: &Course<'_>) -> Result<(Network, Vocabulary), PipelineError> {
    let recipe = &run.recipe.student;
    let mut pieces = recipe.vocabulary;
    let of = |pieces: usize| -> Result<_, PipelineError> {
        let vocabulary = course.vocabulary(pieces).map_err(TrainingError::from)?;
        Ok((course.student(&vocabulary)?, vocabulary))
    };
    if recipe.bytes == 0 {
        return of(pieces);
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
    for _ in 0..MEASURED {
        let (student, vocabulary) = of(pieces)?;
        let bytes = bytes_of(run, &student, &vocabulary)?;
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
        bytes: recipe.bytes,
    })
}

/// Bytes of the file of `student`, pruned anyhow.
fn bytes_of(run: &Run, student: &Network, vocabulary: &Vocabulary) -> Result<usize, PipelineError> {
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
    Ok(source.to_bytes()?.len())
}
