//! From a hub into the cache that Hugging Face's libraries share.
//!
//! ```text
//! refs/main ──► commit ──► snapshots/COMMIT/config.json ──► blobs/DIGEST
//! ```
//! A checkpoint that is whole in the cache is opened without asking the hub. The client
//! resumes a file that was cut off, but assumes that the result is whole; blobs are named by their
//! digest, so here every file is checked against it, each time it is opened.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{FetchObserver, Fetched, Name, PretrainedError, Problem, is_commit, is_hexadecimal};
use crate::numbers::hex;
use crate::pretrained::config::CONFIG;
use crate::pretrained::sentences::{LENGTH, POOLING};
use crate::pretrained::{tensors, vocabulary};

/// Names the folder of the cache; the client reads it too.
const HOME: &str = "HF_HOME";
/// Takes precedence over the token that is stored next to the cache.
const TOKEN: &str = "HF_TOKEN";

pub(super) fn fetch(
    name: &Name,
    observer: &mut dyn FetchObserver,
) -> Result<Fetched, PretrainedError> {
    let client = Client::new(name)?;
    let commit = match client.whole_commit() {
        Some(commit) => commit,
        None => client.fetch(observer)?,
    };
    Ok(Fetched {
        folder: client.snapshot(&commit),
        from: Name {
            revision: commit,
            repository: name.repository.clone(),
        }
        .to_string(),
    })
}

struct Client<'n> {
    name: &'n Name,
    api: Api,
    cache: Cache,
}

impl<'n> Client<'n> {
    fn new(name: &'n Name) -> Result<Self, PretrainedError> {
        let error = |problem: Problem| problem.at(name.to_string().as_ref());
        // The client panics without one.
        let has_home = env::home_dir().is_some_and(|home| !home.as_os_str().is_empty());
        if env::var(HOME).is_err() && !has_home {
            let problem = format!("there is no home folder for the cache; set {HOME} to a folder");
            return Err(error(Problem::Unsupported(problem)));
        }
        let mut builder = ApiBuilder::from_env();
        if let Ok(token) = env::var(TOKEN) {
            builder = builder.with_token(Some(token.trim().to_owned()));
        }
        Ok(Self {
            name,
            api: builder.build().map_err(|source| error(source.into()))?,
            cache: Cache::from_env(),
        })
    }

    fn repo(&self, revision: &str) -> Repo {
        let repository = self.name.repository.clone();
        Repo::with_revision(repository, RepoType::Model, revision.to_owned())
    }

    fn cached(&self, revision: &str) -> CacheRepo {
        self.cache.repo(self.repo(revision))
    }

    /// The folder in which the files of a commit are.
    fn snapshot(&self, commit: &str) -> PathBuf {
        self.cached(commit).pointer_path(commit)
    }

    /// The commit of the name, if all its files are in the cache.
    fn whole_commit(&self) -> Option<String> {
        let revision = &self.name.revision;
        let commit = if is_commit(revision) {
            revision.clone()
        } else {
            let repository = self.cache.path().join(self.repo(revision).folder_name());
            let reference = fs::read_to_string(repository.join("refs").join(revision));
            reference.ok()?.trim().to_owned()
        };
        if !is_commit(&commit) {
            return None;
        }
        let folder = self.snapshot(&commit);
        let has = |file: &str| folder.join(file).exists();
        let checked = self.each_file(&folder, has, |file| check(&folder.join(file)));
        checked.ok().map(|()| commit)
    }

    /// Fetches what is missing, and returns the commit.
    fn fetch(&self, observer: &mut dyn FetchObserver) -> Result<String, PretrainedError> {
        let revision = &self.name.revision;
        let info = self.api.repo(self.repo(revision)).info();
        let info = info.map_err(|source| self.error("", self.no_repository(source)))?;
        if !is_commit(&info.sha) {
            let problem = Problem::Key {
                key: "sha".to_owned(),
                found: format!("{:?}", info.sha),
                expected: "a commit".to_owned(),
            };
            return Err(self.error("", problem));
        }
        // All files of one commit, whatever happens to a branch meanwhile.
        let repo = self.api.repo(self.repo(&info.sha));
        let folder = self.snapshot(&info.sha);
        let has = |file: &str| info.siblings.iter().any(|listed| listed.rfilename == file);
        self.each_file(&folder, has, |file| {
            let path = folder.join(file);
            if check(&path).is_ok() {
                return Ok(());
            }
            download(&repo, file, &path, observer)
        })?;
        let noted = self.cached(revision).create_ref(&info.sha);
        noted.map_err(|source| self.error("", source.into()))?;
        Ok(info.sha)
    }

    /// Calls `provide` for each file that the checkpoint is read from, of those that it `has`;
    /// after the call the file is in `folder`.
    fn each_file(
        &self,
        folder: &Path,
        has: impl Fn(&str) -> bool + Copy,
        mut provide: impl FnMut(&str) -> Result<(), Problem>,
    ) -> Result<(), PretrainedError> {
        let mut provide = |file: &str| provide(file).map_err(|problem| self.error(file, problem));
        let choose = || Ok((vocabulary::files(has)?, tensors::file(has)?));
        let (tokenizer, weights) = choose().map_err(|problem| self.error("", problem))?;
        let others = [POOLING, LENGTH].into_iter().filter(|file| has(file));
        let others: Vec<&str> = others.collect();
        for file in [CONFIG]
            .iter()
            .chain(&tokenizer)
            .chain(&others)
            .chain([&weights])
        {
            provide(file)?;
        }
        let shards = tensors::files(folder, weights)?.into_iter();
        for file in shards.filter(|file| file != weights) {
            provide(&file)?;
        }
        Ok(())
    }

    fn no_repository(&self, source: ApiError) -> Problem {
        let cache = self.cache.path().display();
        Problem::Fetch {
            source: source.into(),
            expected: format!(
                "a repository of this name and revision; it is not whole in {cache} either, and \
                 one that is not public needs a token, in {TOKEN} or as `hf auth login` keeps it"
            ),
        }
    }

    fn error(&self, file: &str, problem: Problem) -> PretrainedError {
        let name = self.name.to_string();
        let path = match file {
            "" => PathBuf::from(name),
            file => Path::new(&name).join(file),
        };
        problem.at(&path)
    }
}

fn download(
    repo: &ApiRepo,
    file: &str,
    path: &Path,
    observer: &mut dyn FetchObserver,
) -> Result<(), Problem> {
    // A damaged file would not be replaced.
    remove(path)?;
    let mut bytes = 0;
    let progress = Watched {
        observer,
        bytes: &mut bytes,
    };
    let fetched = repo.download_with_progress(file, progress);
    fetched.map_err(|source| Problem::Fetch {
        source: source.into(),
        expected: match bytes {
            0 => "a file".to_owned(),
            bytes => format!(
                "a file of {bytes} bytes; run the same command again to resume the download"
            ),
        },
    })?;
    let found = fs::metadata(path)?.len();
    let checked = if found == bytes {
        check(path)
    } else {
        let problem = format!("{found} bytes were fetched, expected {bytes}");
        Err(Problem::Unsupported(problem))
    };
    if checked.is_err() {
        remove(path)?;
    }
    checked
}

/// Checks a file of the cache against the digest in the name of its blob: SHA-256 for large files,
/// Git's SHA-1 for others. A file that a mirror or a system without links names otherwise passes.
fn check(path: &Path) -> Result<(), Problem> {
    let blob = fs::canonicalize(path)?;
    let expected = blob.file_name().unwrap_or_default().to_string_lossy();
    let bytes = fs::read(&blob)?;
    let found = match expected.len() {
        _ if !is_hexadecimal(&expected) => return Ok(()),
        64 => hex(&Sha256::digest(&bytes)),
        40 => {
            let header = format!("blob {}\0", bytes.len());
            let digest = Sha1::new().chain_update(header).chain_update(&bytes);
            hex(&digest.finalize())
        }
        _ => return Ok(()),
    };
    if found == *expected {
        Ok(())
    } else {
        Err(Problem::Unsupported(format!(
            "its digest is {found}, expected {expected}; it was damaged on the way"
        )))
    }
}

/// Removes a file of the cache and what it links to.
fn remove(path: &Path) -> io::Result<()> {
    let blob = fs::canonicalize(path);
    for path in blob.iter().map(PathBuf::as_path).chain([path]) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

struct Watched<'o> {
    observer: &'o mut dyn FetchObserver,
    /// As the hub announces them.
    bytes: &'o mut u64,
}

impl Progress for Watched<'_> {
    /// The client calls this twice per file.
    fn init(&mut self, size: usize, file: &str) {
        if *self.bytes == 0 {
            *self.bytes = size as u64;
            self.observer.begin(file, *self.bytes);
        }
    }

    fn update(&mut self, size: usize) {
        self.observer.advance(size as u64);
    }

    fn finish(&mut self) {
        self.observer.end();
    }
}
