//! A student: from its teacher to a file of so many bytes, and the same after a resume.

use core::sync::atomic::{AtomicBool, Ordering};
use std::path::Path;

use crate::data::smart_home;
use crate::data::{ReadOptions, read};
use crate::recipe::{Budget, MixingKind, Recipe};
use crate::run::data::Data;
use crate::run::error::PipelineError;
use crate::run::files::Files;
use crate::run::observer::Observer;
use crate::run::outcome::Outcome;
use crate::run::pipeline::{End, train};
use crate::training::{Phase, Run, StepReport, checkpoint};

/// Stops a run after so many steps of its student.
struct StopsAt<'s> {
    steps: u64,
    stop: &'s AtomicBool,
}

impl Observer for StopsAt<'_> {
    fn phase(&mut self, _: Phase, _: u64, _: u64) {}
    fn step(&mut self, report: &StepReport) {
        let is_student = report.phase == Phase::Sparse;
        if is_student && report.step == self.steps {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn note(&mut self, _: &str) {}
}

pub(super) fn recipe(budget: &str) -> Recipe {
    let mut recipe = Recipe::by_name("tiny").unwrap();
    let fit = Recipe::fit();
    (recipe.student, recipe.pruning) = (fit.student, fit.pruning);
    recipe.quantization = fit.quantization;
    recipe.training.epochs = 6;
    let budget = Budget {
        bytes: budget.parse().unwrap(),
        ram: None,
        instructions: None,
    };
    budget.apply(&mut recipe);
    let student = &mut recipe.student;
    (student.texts, student.batch) = (2_000, 32);
    recipe.pruning.epochs = 8;
    recipe
}

pub(super) fn data(folder: &Path) -> Data {
    let home = smart_home::generate(1, 800, 150);
    let dataset = |name: &str, rows: &[(String, String)], labels: Option<&[String]>| {
        let path = folder.join(name);
        smart_home::write_tsv(&path, rows).unwrap();
        read(&path, &ReadOptions::default(), labels).unwrap()
    };
    let train = dataset("train.tsv", &home.train, None);
    let dev = dataset("dev.tsv", &home.test, Some(&train.labels));
    Data {
        train,
        dev,
        test: None,
        unlabelled: None,
    }
}

fn finished(end: End) -> Box<Outcome> {
    match end {
        End::Finished(outcome) => outcome,
        End::Stopped => panic!("the run stopped"),
    }
}

#[test]
fn a_student_fits_its_bytes_and_ends_with_the_same_bits_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    // The name of a model is in its file: both have the same.
    let files = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Files {
            model: folder.join("model.neuro"),
        }
    };
    let recipe = recipe("24KB");
    let begin = || Run::new(recipe.clone(), &data.train).unwrap();
    let never = AtomicBool::new(false);

    let whole = files("whole");
    let outcome = finished(train(begin(), &data, &whole, &mut (), &never).unwrap());
    let file = &outcome.sparse.inspection;
    assert!(file.bytes <= 24 * 1024, "{} bytes", file.bytes);
    assert!(file.bytes > 10 * 1024, "{} bytes", file.bytes);
    assert!((file.sparsity - 0.9).abs() < 0.002, "{}", file.sparsity);
    assert!(file.vocabulary < outcome.dense.inspection.vocabulary);
    let accuracy = outcome.run.accuracy.sparse_int8;
    let teachers = outcome.run.accuracy.dense_float;
    assert!(accuracy > 50.0, "{accuracy} %, its teacher {teachers} %");

    let parts = files("parts");
    let stop = AtomicBool::new(false);
    let mut observer = StopsAt {
        steps: 20,
        stop: &stop,
    };
    let end = train(begin(), &data, &parts, &mut observer, &stop).unwrap();
    assert!(matches!(end, End::Stopped));
    let run = checkpoint::resume(&parts.checkpoint(), &recipe, &data.train).unwrap();
    assert_eq!((run.phase, run.step), (Phase::Sparse, 20));
    finished(train(run, &data, &parts, &mut (), &never).unwrap());
    let bytes = |files: &Files| std::fs::read(&files.model).unwrap();
    assert!(bytes(&whole) == bytes(&parts));

    // A finished run is written again as it was.
    let run = checkpoint::resume(&parts.checkpoint(), &recipe, &data.train).unwrap();
    assert_eq!(run.phase, Phase::Finished);
    std::fs::remove_file(&parts.model).unwrap();
    finished(train(run, &data, &parts, &mut (), &never).unwrap());
    assert!(bytes(&whole) == bytes(&parts));
}

#[test]
fn a_bag_and_attention_can_be_students_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let never = AtomicBool::new(false);
    let mut attention = recipe("24KB");
    attention.student.mixing = MixingKind::Attention.into();
    attention.student.intermediate = 32;
    for (name, recipe) in [
        ("bag.neuro", recipe("12KB")),
        ("attention.neuro", attention),
    ] {
        let files = Files {
            model: folder.path().join(name),
        };
        let run = Run::new(recipe.clone(), &data.train).unwrap();
        let outcome = finished(train(run, &data, &files, &mut (), &never).unwrap());
        let file = &outcome.sparse.inspection;
        assert!(
            file.bytes <= recipe.student.bytes,
            "{name}: {} bytes",
            file.bytes
        );
        assert_eq!(usize::from(file.layers), recipe.student.layers);
    }
}

/// With what it takes, and nothing on the disk that would be in the way of the next try.
#[test]
fn what_no_student_fits_is_refused_before_its_teacher_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let files = Files {
        model: folder.path().join("model.neuro"),
    };
    let of = |change: fn(&mut Recipe)| {
        let mut recipe = recipe("24KB");
        change(&mut recipe);
        recipe
    };
    for (recipe, expected) in [
        (
            of(|it| it.student.bytes = 2_048),
            "student.bytes, or --fit,",
        ),
        (of(|it| it.student.ram = 4_096), "student.ram, or --ram,"),
        (
            of(|it| it.student.instructions = 50_000),
            "student.instructions, or --instructions,",
        ),
    ] {
        let run = Run::new(recipe, &data.train).unwrap();
        let go = AtomicBool::new(false);
        let error = train(run, &data, &files, &mut (), &go).unwrap_err();
        let PipelineError::TooSmall {
            limit,
            allowed,
            least,
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(limit, expected);
        assert!(least > allowed, "{least} of {allowed}");
        assert!(!files.recipe().exists() && !files.checkpoint().exists());
    }
}
