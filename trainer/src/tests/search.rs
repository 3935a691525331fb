//! A search: one teacher, one pool, fewer and longer trainings; the same after a resume.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::path::Path;
use std::sync::Arc;

use super::student::{data, recipe};
use crate::recipe::{Budget, Shape, Size};
use crate::run::observer::Observer;
use crate::run::shared::Shared;
use crate::search::{Candidate, Clock, Search, Searched, render};
use crate::sweep::Stage;
use crate::training::{Phase, StepReport};

/// Counts what a search does, and stops it after so many steps of students.
#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    dense: AtomicUsize,
    students: AtomicUsize,
    steps: AtomicUsize,
    stop: AtomicBool,
    most: usize,
}

struct Watch(Arc<Counts>);

impl Observer for Watch {
    fn phase(&mut self, phase: Phase, _: u64, _: u64) {
        let Self(counts) = self;
        let count = match phase {
            Phase::Dense => &counts.dense,
            Phase::Sparse | Phase::Finished => &counts.students,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
    fn answered(&mut self, done: usize, all: usize) {
        let Self(counts) = self;
        counts
            .answered
            .fetch_add(usize::from(done == all), Ordering::Relaxed);
    }
    fn step(&mut self, report: &StepReport) {
        let Self(counts) = self;
        if report.phase == Phase::Sparse {
            let before = counts.steps.fetch_add(1, Ordering::Relaxed);
            if before + 1 == counts.most {
                counts.stop.store(true, Ordering::Relaxed);
            }
        }
    }
    fn note(&mut self, _: &str) {}
}

/// Two shapes for 24 KB, the second of which is a small bag, and one for 12 KB.
fn candidates() -> Vec<Candidate> {
    let of = |size: &str, shape: Option<Shape>| {
        let mut recipe = recipe(size);
        let size: Size = size.parse().unwrap();
        if let Some(shape) = shape {
            let (ram, instructions) = (None, None);
            let budget = Budget {
                bytes: size,
                ram,
                instructions,
            };
            budget.apply_shape(&mut recipe, shape);
        }
        recipe.pruning.epochs = 4;
        recipe.student.texts = 1_000;
        Candidate {
            size,
            shape: Shape::of(&recipe).to_string(),
            recipe,
        }
    };
    let narrow = Shape {
        hidden: 8,
        layers: 0,
        embedding: 0,
        sparsity: 0.0,
    };
    vec![of("24KB", None), of("24KB", Some(narrow)), of("12KB", None)]
}

fn search(out: &Path, counts: &Arc<Counts>, jobs: usize) -> Option<Searched> {
    let folder = tempfile::tempdir().unwrap();
    let search = Search {
        candidates: &candidates(),
        data: &data(folder.path()),
        out,
        name: "model",
        pretrained: None,
        devices: &[],
        jobs,
        shared: &Shared::new(out.join("teacher")),
        clock: &Clock::new(None),
    };
    let say = &mut |text: &str| panic!("{text}");
    let watch = |_: Stage<'_>| -> Box<dyn Observer> { Box::new(Watch(counts.clone())) };
    search.run(&watch, say, &counts.stop).unwrap()
}

#[test]
fn a_search_trains_fewer_and_longer_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| {
        let out = folder.path().join(name);
        std::fs::create_dir(&out).unwrap();
        out
    };
    let counts = Arc::new(Counts::default());
    let whole = search(&out("whole"), &counts, 1).unwrap();
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    // Two of 24 KB in two passes, then one of each size in four; one teacher, whose answers are shared.
    assert_eq!(count(&counts.dense), 1);
    assert_eq!(count(&counts.answered), 1);
    assert_eq!(count(&counts.students), 4);
    let passes = |searched: &Searched| -> Vec<Vec<usize>> {
        let of = |trials: &[crate::search::Trial]| trials.iter().map(|it| it.passes).collect();
        searched.sizes.iter().map(|it| of(&it.trials)).collect()
    };
    assert_eq!(passes(&whole), [vec![2, 2, 4], vec![4]]);
    let [large, small] = &whole.sizes[..] else {
        panic!("{whole:?}")
    };
    for found in [small, large] {
        let best = found.best().unwrap();
        assert!(best.bytes <= found.size, "{best:?}");
    }
    let accuracy = large.best().unwrap().accuracy;
    assert!(accuracy > 35.0, "{accuracy} %");
    let why = large.why().unwrap();
    assert!(why.contains("next was a bag of rows of 8"), "{why}");
    assert_eq!(small.why(), None);
    let [linear, teacher] = &whole.rivals[..] else {
        panic!("{whole:?}")
    };
    assert!(linear.bytes > 0 && teacher.instructions.unwrap() > 0);
    let page = render(&whole).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(!page.contains("NaN"));

    // Stopped in its second trial, and resumed with two at a time.
    let parts = out("parts");
    let stopped = Arc::new(Counts {
        most: 100,
        ..Counts::default()
    });
    assert!(search(&parts, &stopped, 1).is_none());
    let resumed = Arc::new(Counts::default());
    let again = search(&parts, &resumed, 2).unwrap();
    // Neither the teacher nor its answers are made again.
    assert_eq!((count(&resumed.dense), count(&resumed.answered)), (0, 0));
    for (whole, again) in whole.sizes.iter().zip(&again.sizes) {
        let file = |path: &Path| std::fs::read(path).unwrap();
        assert_eq!(whole.shape, again.shape);
        assert!(file(&whole.model) == file(&again.model));
    }
}
