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

    /// A finished or interrupted search that is being replaced.
    fn replaced(&self) -> PathBuf {
        self.asked.model.with_extension("old.fit")
    }

    /// Whether nothing is written over that should not be; `marks` says which search it is.
    ///
    /// # Errors
    /// Where something is in the way.
    pub(crate) fn check(&self, before: Before, marks: &str) -> Result<(), SearchError> {
        let folder = self.folder();
        // Without trials there is nothing to resume.
        let before = match before == Before::Resume && !folder.exists() {
            true => Before::Keep,
            false => before,
        };
        let models = self.sizes.iter().flat_map(|size| self.of_size(*size).all());
        for path in models.chain([self.page(), self.json()]) {
            if path.is_dir() {
                return Err(SearchError::Folder(path));
            }
            if path.exists() && before == Before::Keep {
                return Err(SearchError::Exists(path));
            }
        }
        if !folder.exists() {
            return Ok(());
        }
        let known = fs::read_to_string(folder.join(MARK)).ok();
        match (before, known) {
            (Before::Keep, _) => Err(SearchError::Exists(folder)),
            (_, None) => Err(SearchError::NotTrials(folder)),
            (Before::Resume, Some(known)) if known != marks => Err(SearchError::Differs(folder)),
            (Before::Resume | Before::Replace, Some(_)) => Ok(()),
        }
    }

    /// Makes the folder of the trials. Those of a search that is replaced are kept until
    /// [`SearchFiles::write`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn begin(&self, before: Before, marks: &str) -> Result<(), SearchError> {
        let (folder, replaced) = (self.folder(), self.replaced());
        if before == Before::Replace && folder.exists() {
            match replaced.exists() {
                // The one before that was not finished.
                true => fs::remove_dir_all(&folder).map_err(failed(&folder))?,
                false => fs::rename(&folder, &replaced).map_err(failed(&folder))?,
            }
        }
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let mark = folder.join(MARK);
        atomic_file::write(&mark, marks.as_bytes()).map_err(failed(&mark))
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
        let replaced = self.replaced();
        match replaced.join(MARK).exists() {
            true => fs::remove_dir_all(&replaced).map_err(failed(&replaced)),
            false => Ok(()),
        }
    }
}

/// Whether a folder is one of trials, models of which are beside it.
pub(crate) fn is_trials(folder: &Path) -> bool {
    folder.join(MARK).exists()
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

        let begin = |files: &SearchFiles, before, marks: &str| {
            files
                .check(before, marks)
                .and_then(|()| files.begin(before, marks))
        };
        begin(&both, Before::Keep, "a").unwrap();
        let trial = both.folder().join("trial");
        fs::write(&trial, "").unwrap();
        assert!(matches!(
            begin(&both, Before::Keep, "a"),
            Err(SearchError::Exists(_))
        ));
        assert!(matches!(
            begin(&both, Before::Resume, "b"),
            Err(SearchError::Differs(_))
        ));
        begin(&both, Before::Resume, "a").unwrap();
        assert!(trial.exists());
        // Twice: the finished one is kept, not the one that replaces it.
        let old = both.replaced().join("trial");
        for _ in 0..2 {
            begin(&both, Before::Replace, "b").unwrap();
            assert!(!trial.exists() && old.exists());
        }
        // Where there are no trials, nothing is resumed, and so nothing written over.
        fs::remove_dir_all(both.folder()).unwrap();
        let other = both.of_size(Size(2048)).model;
        fs::write(&other, "").unwrap();
        assert!(matches!(
            begin(&both, Before::Resume, "b"),
            Err(SearchError::Exists(path)) if path == other
        ));
        begin(&both, Before::Replace, "b").unwrap();

        let foreign = both.of_size(Size(5000)).report();
        fs::create_dir(&foreign).unwrap();
        assert!(matches!(
            begin(&both, Before::Replace, "b"),
            Err(SearchError::Folder(_))
        ));
        // A folder of something else is not emptied.
        fs::remove_file(both.folder().join(MARK)).unwrap();
        fs::write(&trial, "").unwrap();
        let one = files(&[2048]);
        assert!(matches!(
            begin(&one, Before::Replace, "b"),
            Err(SearchError::NotTrials(_))
        ));
        assert!(trial.exists());
    }
}
