//! Checkpoints by name: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`, fetched by the feature
//! `hub`.

use core::fmt;
use std::path::PathBuf;

use super::error::{PretrainedError, Problem};

#[cfg(feature = "hub")]
mod client;

const SCHEME: &str = "hf:";
/// What a name without a revision stands for.
const MAIN: &str = "main";
/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// Watches files of a checkpoint being fetched.
pub trait FetchObserver {
    /// The download of a file of `bytes` bytes begins.
    fn begin(&mut self, file: &str, bytes: u64);
    /// This many more bytes of it have arrived.
    fn advance(&mut self, bytes: u64);
    /// All of it has arrived.
    fn end(&mut self);
}

/// Ignores everything.
impl FetchObserver for () {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn end(&mut self) {}
}

/// A repository of a hub, at a revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    repository: String,
    revision: String,
}

/// A checkpoint that was fetched.
pub(super) struct Fetched {
    pub(super) folder: PathBuf,
    /// Its name with the commit: what fetches the same again.
    pub(super) from: String,
}

impl Name {
    /// The name, or `None` where `from` is a folder.
    pub(super) fn parse(from: &str) -> Result<Option<Self>, PretrainedError> {
        let Some(rest) = from.strip_prefix(SCHEME) else {
            return Ok(None);
        };
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
        // Both become parts of addresses and of paths in the cache.
        let is_plain = |part: &str| {
            let is_allowed = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(is_allowed)
        };
        let is_repository =
            repository.split('/').count() == 2 && repository.split('/').all(is_plain);
        if is_repository && revision.split('/').all(is_plain) {
            Ok(Some(Self {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            }))
        } else {
            let problem = "expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION".to_owned();
            Err(Problem::Unsupported(problem).at(from.as_ref()))
        }
    }

    /// The files, and where they are.
    #[cfg(feature = "hub")]
    pub(super) fn fetch(
        &self,
        observer: &mut dyn FetchObserver,
    ) -> Result<Fetched, PretrainedError> {
        client::fetch(self, observer)
    }

    /// How to get the files.
    #[cfg(not(feature = "hub"))]
    pub(super) fn fetch(&self, _: &mut dyn FetchObserver) -> Result<Fetched, PretrainedError> {
        let Self {
            repository,
            revision,
        } = self;
        let problem = format!(
            "this program was built without the hub; build it with `cargo build --release \
             --features hub`, or `hf download {repository} --revision {revision} --local-dir \
             FOLDER` and name the folder"
        );
        Err(Problem::Unsupported(problem).at(self.to_string().as_ref()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@{}", self.repository, self.revision)
    }
}

/// Whether a run that started from `found`, the commit in its name, is one that was asked for as
/// `asked`. A branch may have moved on since; the run has not.
pub(crate) fn is_same_source(asked: &str, found: &str) -> bool {
    let name = |from| Name::parse(from).ok().flatten();
    asked == found
        || name(asked).zip(name(found)).is_some_and(|(asked, found)| {
            asked.repository == found.repository && !is_commit(&asked.revision)
        })
}

fn is_commit(revision: &str) -> bool {
    revision.len() == COMMIT_DIGITS && is_hexadecimal(revision)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (from, shown) in [
            ("hf:owner/name", "hf:owner/name@main"),
            ("hf:o-1/n_2.x@refs/pr/3", "hf:o-1/n_2.x@refs/pr/3"),
        ] {
            let name = Name::parse(from).unwrap().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(Name::parse(shown).unwrap(), Some(name));
        }
        for folder in ["", "folder", "./hf:owner/name", "HF:owner/name"] {
            assert_eq!(Name::parse(folder).unwrap(), None, "{folder}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for from in [
            "hf:",
            "hf:name",
            "hf:/name",
            "hf:owner/",
            "hf:owner/name/more",
            "hf:../name",
            "hf:owner/..",
            "hf:owner/na me",
            "hf:owner/name?x",
            "hf:öwner/name",
            "hf:owner/name@",
            "hf:owner/name@../../x",
            "hf:owner/name@a//b",
            "hf:owner/name@a@b",
        ] {
            let error = Name::parse(from).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{from}: expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
            );
        }
    }

    #[test]
    fn a_run_goes_on_where_its_branch_is_named() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let found = format!("hf:owner/name@{commit}");
        for asked in ["hf:owner/name", "hf:owner/name@main", found.as_str()] {
            assert!(is_same_source(asked, &found), "{asked}");
        }
        let other = found.replace("0123", "0124");
        for asked in ["hf:owner/other", "owner/name", "", other.as_str()] {
            assert!(!is_same_source(asked, &found), "{asked}");
        }
        assert!(is_same_source("folder", "folder") && !is_same_source("a", "b"));
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn a_program_without_the_hub_says_how_to_get_it() {
        let name = Name::parse("hf:owner/name").unwrap().unwrap();
        let error = name.fetch(&mut ()).err().unwrap().to_string();
        for part in [
            "hf:owner/name@main: ",
            "--features hub",
            "`hf download owner/name --revision main --local-dir FOLDER`",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
