//! Where the files of a search are.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::SearchError;
use super::page;
use super::result::Searched;
use crate::atomic_file;
use crate::recipe::Size;
use crate::run::files::Files;

/// Says that a folder is one of trials.
const MARK: &str = ".trials";

/// The files of a search, all next to the model that it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct SearchFiles {
    /// Those of the model, where there is one size.
    pub asked: Files,
    /// Sizes of models, each once.
    pub sizes: Vec<Size>,
}

/// What to do with a search of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: refuse to begin.
    Keep,
    /// Go on with it.
    Resume,
    /// Begin again.
    Replace,
}

impl SearchFiles {
    /// The trials.
    pub(crate) fn folder(&self) -> PathBuf {
        self.asked.model.with_extension("fit")
    }

    /// The page with pictures and table.
    pub(crate) fn page(&self) -> PathBuf {
        self.asked.model.with_extension("fit.html")
    }

    /// The same for programs.
    fn json(&self) -> PathBuf {
        self.asked.model.with_extension("fit.json")
    }

    /// Those of a size: `model-64KB.neuro`, or `model.neuro` where there is no other.
    pub(crate) fn of_size(&self, size: Size) -> Files {
        let model = &self.asked.model;
        let model = match self.sizes.len() {
            1 => model.clone(),
            _ => model.with_file_name(format!("{}-{size}.neuro", self.asked.name())),
        };
        Files { model }
    }

    /// Makes the folder of the trials, if nothing is written over that should not be.
    ///
    /// # Errors
    /// Where something is in the way, or cannot be written.
    pub(crate) fn prepare(&self, before: Before) -> Result<(), SearchError> {
        let models = self.sizes.iter().flat_map(|size| self.of_size(*size).all());
        for path in models.chain([self.page(), self.json()]) {
            if path.is_dir() {
                return Err(SearchError::Folder(path));
            }
            if path.exists() && before == Before::Keep {
                return Err(SearchError::Exists(path));
            }
        }
        let folder = self.folder();
        let mark = folder.join(MARK);
        if folder.exists() {
            if before == Before::Keep {
                return Err(SearchError::Exists(folder));
            }
            if !mark.exists() {
                return Err(SearchError::NotTrials(folder));
            }
            if before == Before::Replace {
                fs::remove_dir_all(&folder).map_err(failed(&folder))?;
            }
        }
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        fs::write(&mark, "").map_err(failed(&mark))
    }

    /// Writes what was found: the models with all that belongs to them, the page and the table.
    ///
    /// # Errors
    /// When a file cannot be read or written; the files of a model are replaced together.
    pub(crate) fn write(&self, searched: &mut Searched) -> Result<(), SearchError> {
        for found in &mut searched.sizes {
            let to = self.of_size(Size(found.size));
            copy(&found.files, &to)?;
            found.model = to.model;
        }
        let render = |error: &dyn core::error::Error| SearchError::Render(error.to_string());
        let page = page::render(searched).map_err(|error| render(&error))?;
        let json = serde_json::to_string_pretty(searched).map_err(|error| render(&error))?;
        for (path, text) in [(self.page(), page), (self.json(), json)] {
            atomic_file::write(&path, text.as_bytes()).map_err(failed(&path))?;
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> SearchError {
    |source| SearchError::File {
        path: path.to_owned(),
        source,
    }
}

/// Copies a finished run, all files or none.
fn copy(from: &Files, to: &Files) -> Result<(), SearchError> {
    let is_copied = |path: &PathBuf| *path != from.checkpoint() && path.exists();
    let mut all = Vec::new();
    for (path, to) in from.all().into_iter().zip(to.all()) {
        if is_copied(&path) {
            all.push((to, fs::read(&path).map_err(failed(&path))?));
        }
    }
    let files: Vec<(&Path, &[u8])> = all
        .iter()
        .map(|(to, bytes)| (to.as_path(), bytes.as_slice()))
        .collect();
    atomic_file::write_all(&files).map_err(|(number, source)| {
        let path = all.get(number).map(|(to, _)| to.clone());
        SearchError::File {
            path: path.unwrap_or_default(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_another_search_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("lights.neuro");
        let files = |sizes: &[usize]| SearchFiles {
            asked: Files {
                model: model.clone(),
            },
            sizes: sizes.iter().map(|size| Size(*size)).collect(),
        };
        let name = |files: &SearchFiles, size| files.of_size(Size(size)).name();
        let both = files(&[2048, 5000]);
        assert_eq!(
            [name(&both, 2048), name(&both, 5000)],
            ["lights-2KB", "lights-5000"]
        );
        assert_eq!(name(&files(&[2048]), 2048), "lights");

        both.prepare(Before::Keep).unwrap();
        let trial = both.folder().join("trial");
        fs::write(&trial, "").unwrap();
        assert!(matches!(
            both.prepare(Before::Keep),
            Err(SearchError::Exists(_))
        ));
        both.prepare(Before::Resume).unwrap();
        assert!(trial.exists());
        both.prepare(Before::Replace).unwrap();
        assert!(!trial.exists());

        let foreign = both.of_size(Size(5000)).report();
        fs::create_dir(&foreign).unwrap();
        assert!(matches!(
            both.prepare(Before::Replace),
            Err(SearchError::Folder(_))
        ));
        // A folder of something else is not emptied.
        fs::remove_file(both.folder().join(MARK)).unwrap();
        fs::write(&trial, "").unwrap();
        let one = files(&[2048]);
        assert!(matches!(
            one.prepare(Before::Replace),
            Err(SearchError::NotTrials(_))
        ));
        assert!(trial.exists());
    }
}
