//! A run on generated smart-home texts, ready to train.

use std::path::Path;

use crate::data::smart_home;
use crate::data::{ReadOptions, read};
use crate::recipe::Recipe;
use crate::training::{Examples, Run};

/// A run of `recipe`, on `train` and `dev` texts, which are written to `folder`.
pub(crate) fn prepare(recipe: &Recipe, train: usize, dev: usize, folder: &Path) -> (Run, Examples) {
    let home = smart_home::generate(1, train, dev);
    let dataset = |name: &str, rows: &[(String, String)], labels: Option<&[String]>| {
        let path = folder.join(name);
        smart_home::write_tsv(&path, rows).unwrap();
        read(&path, &ReadOptions::default(), labels).unwrap()
    };
    let train = dataset("train.tsv", &home.train, None);
    let dev = dataset("dev.tsv", &home.test, Some(&train.labels));
    let run = Run::new(recipe.clone(), &train).unwrap();
    let examples = Examples::new(&train, &dev, &run.vocabulary, recipe.model.tokens).unwrap();
    (run, examples)
}
