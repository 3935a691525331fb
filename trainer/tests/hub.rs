//! `--from hf:OWNER/NAME`, with the client that users have, against a server in this program.

#[expect(dead_code, reason = "the tests of the reader need more of it")]
#[path = "../src/pretrained/tests/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use safetensors::Dtype;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use tempfile::TempDir;

use tiny::{Style, Tiny};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";
const DATA: &str = "text\tlabel\nturn the lamp on\ton\nthe kitchen lamp off\toff\n\
    turning the heater off\toff\nzzz on\ton\n";

/// What the hub has, and what it does wrong.
#[derive(Default)]
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    /// Ends the connection after this many bytes of the weights.
    cut: Option<usize>,
    /// Sends other weights than it announces.
    lies: bool,
    /// Wants this token.
    token: Option<String>,
    /// What was asked for: address, range.
    requests: Vec<(String, String)>,
}

/// A hub, a machine's cache and a folder to work in.
struct Story {
    hub: Arc<Mutex<Hub>>,
    endpoint: String,
    folder: TempDir,
}

impl Story {
    fn new() -> Self {
        let (source, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        Tiny::new().write(source.path(), Style::Bert, Dtype::F32);
        let read = |name: &str| (name.to_owned(), fs::read(source.path().join(name)).unwrap());
        let files = ["config.json", "tokenizer.json", WEIGHTS].map(read);
        let hub = Hub {
            files: files.into(),
            ..Hub::default()
        };
        fs::write(folder.path().join("train.tsv"), DATA).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let hub = Arc::new(Mutex::new(hub));
        let shared = Arc::clone(&hub);
        // Ends with the program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = Arc::clone(&shared);
                std::thread::spawn(move || while answer(&stream, &hub).is_some() {});
            }
        });
        Self {
            hub,
            endpoint,
            folder,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Hub)) {
        change(&mut self.hub.lock().unwrap());
    }

    fn requests(&self) -> Vec<(String, String)> {
        core::mem::take(&mut self.hub.lock().unwrap().requests)
    }

    fn program(&self, from: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_neuroprune"));
        let options =
            "train --data train.tsv --dev train.tsv --epochs 1 --json --set model.tokens=16";
        program
            .args(options.split(' '))
            .args(["--from", from])
            .current_dir(self.folder.path())
            .env("HF_HOME", self.folder.path().join("home"))
            .env("HF_ENDPOINT", &self.endpoint)
            .env("NO_PROXY", "*")
            .env_remove("HF_TOKEN");
        program
    }

    /// Trains in the place of whatever is there.
    fn train(&self, from: &str) -> Ran {
        Ran(self.program(from).arg("--overwrite").output().unwrap())
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("home/hub/models--tiny--bert")
    }

    /// A file as the cache hands it out.
    fn cached(&self, file: &str) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT).join(file)
    }
}

struct Ran(Output);

impl Ran {
    fn outcome(&self) -> Value {
        assert!(self.0.status.success(), "{}", self.error());
        serde_json::from_slice(&self.0.stdout).unwrap()
    }

    fn error(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Checks that it failed, with all of this in the message.
    fn failed(&self, parts: &[&str]) {
        let error = self.error();
        assert_eq!(self.0.status.code(), Some(1), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// Answers one request; nothing when the connection ends.
fn answer(stream: &TcpStream, hub: &Mutex<Hub>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let address = first.split(' ').nth(1)?.to_owned();
    let (mut range, mut token) = (String::new(), None);
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.to_owned(),
            "authorization" => token = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut hub = hub.lock().unwrap();
    hub.requests.push((address.clone(), range.clone()));
    if hub.token.is_some() && token != hub.token {
        return respond(stream, "401 Unauthorized", "", b"", None);
    }
    if let Some(revision) = address.strip_prefix("/api/models/tiny/bert/revision/")
        && ["main", COMMIT].contains(&revision)
    {
        let names = hub.files.keys().map(|name| json!({"rfilename": name}));
        let names: Vec<Value> = names.collect();
        let body = json!({"sha": COMMIT, "siblings": names}).to_string();
        return respond(stream, "200 OK", "", body.as_bytes(), None);
    }
    let file = address.strip_prefix(&format!("/tiny/bert/resolve/{COMMIT}/"));
    let Some((name, content)) = file.and_then(|file| hub.files.get_key_value(file)) else {
        return respond(stream, "404 Not Found", "", b"", None);
    };
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = end.parse().map_or(content.len(), |end: usize| end + 1);
    let is_large = name == WEIGHTS;
    let etag = if is_large {
        digest::<Sha256>("", content)
    } else {
        digest::<Sha1>(&format!("blob {}\0", content.len()), content)
    };
    let headers = format!(
        "ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {start}-{}/{}\r\n",
        end - 1,
        content.len()
    );
    let mut body = content[start..end].to_vec();
    if is_large && hub.lies {
        body[0] ^= 1;
    }
    let cut = hub.cut.filter(|_| is_large && end == content.len());
    respond(stream, "206 Partial Content", &headers, &body, cut)
}

fn respond(
    mut stream: &TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
    cut: Option<usize>,
) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body[..cut.unwrap_or(length)]).ok()?;
    if cut.is_some() {
        stream.shutdown(std::net::Shutdown::Both).ok()?;
    }
    cut.is_none().then_some(())
}

fn digest<D: sha1::Digest>(before: &str, content: &[u8]) -> String {
    let digest = D::new()
        .chain_update(before)
        .chain_update(content)
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_name_is_as_good_as_the_folder_and_the_cache_as_the_hub() {
    let story = Story::new();
    let weights = story.hub.lock().unwrap().files[WEIGHTS].clone();
    let outcome = story.train("hf:tiny/bert").outcome();
    let model = &outcome["recipe"]["model"];
    assert_eq!(model["from"], format!("hf:tiny/bert@{COMMIT}"));
    assert_eq!(model["from_sha256"], digest::<Sha256>("", &weights));
    let file = fs::read(story.folder.path().join("model.neuro")).unwrap();
    let resolved = story.folder.path().join("model.recipe.toml");
    assert!(
        fs::read_to_string(resolved)
            .unwrap()
            .contains(&format!("hf:tiny/bert@{COMMIT}"))
    );
    assert!(!story.requests().is_empty());

    // Nothing is requested for what is whole, by whichever name.
    for from in ["hf:tiny/bert@main", &format!("hf:tiny/bert@{COMMIT}")] {
        story.train(from).outcome();
        assert!(fs::read(story.folder.path().join("model.neuro")).unwrap() == file);
    }
    // A run resumes by the name that it was asked for by.
    let mut resumed = story.program("hf:tiny/bert");
    let resumed = Ran(resumed.arg("--resume").output().unwrap());
    resumed.outcome();
    assert_eq!(story.requests(), []);
}

#[test]
fn shards_and_lists_of_pieces_are_fetched_too() {
    let story = Story::new();
    story.change(|hub| {
        let weights = hub.files.remove(WEIGHTS).unwrap();
        hub.files
            .insert("model-1-of-1.safetensors".to_owned(), weights);
        let index = json!({"weight_map": {"x": "model-1-of-1.safetensors"}}).to_string();
        hub.files
            .insert("model.safetensors.index.json".to_owned(), index.into());
        hub.files.remove("tokenizer.json");
        let pieces = Tiny::new().tokens.join("\n");
        hub.files.insert("vocab.txt".to_owned(), pieces.into());
        let settings = json!({"do_lower_case": true}).to_string();
        hub.files
            .insert("tokenizer_config.json".to_owned(), settings.into());
        hub.files
            .insert("README.md".to_owned(), b"not needed".to_vec());
    });
    story.train("hf:tiny/bert").outcome();
    assert!(story.cached("tokenizer_config.json").exists());
    assert!(!story.cached("README.md").exists());
    story.requests();
    story.train("hf:tiny/bert").outcome();
    assert_eq!(story.requests(), []);
}

#[test]
fn what_is_not_there_is_named() {
    let story = Story::new();
    let expected = "expected a repository of this name and revision";
    let run = story.train("hf:tiny/other");
    run.failed(&["hf:tiny/other@main: ", "404", expected, "HF_TOKEN"]);
    let run = story.train("hf:tiny/bert@v2");
    run.failed(&["hf:tiny/bert@v2: ", "404", expected]);

    story.change(|hub| hub.token = Some("Bearer secret".to_owned()));
    let run = story.train("hf:tiny/bert");
    run.failed(&["hf:tiny/bert@main: ", "401", "HF_TOKEN"]);
    story.change(|hub| drop(hub.files.remove("tokenizer.json")));
    let run = Ran(story
        .program("hf:tiny/bert")
        .env("HF_TOKEN", "secret")
        .output()
        .unwrap());
    run.failed(&["hf:tiny/bert@main: has neither tokenizer.json nor vocab.txt"]);
    // The token may be stored next to the cache.
    fs::create_dir_all(story.folder.path().join("home")).unwrap();
    fs::write(story.folder.path().join("home/token"), "secret\n").unwrap();
    story.change(|hub| {
        hub.files
            .insert("vocab.txt".to_owned(), Tiny::new().tokens.join("\n").into());
        let weights = hub.files.remove(WEIGHTS).unwrap();
        hub.files.insert("pytorch_model.bin".to_owned(), weights);
    });
    let run = story.train("hf:tiny/bert");
    run.failed(&["hf:tiny/bert@main: has no model.safetensors; pytorch_model.bin holds Python"]);

    let mut run = story.program("hf:tiny/bert");
    // Nothing listens on port 9.
    let run = Ran(run
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap());
    run.failed(&["hf:tiny/bert@main: ", expected, "not whole in "]);
}

#[test]
fn a_download_that_is_cut_off_is_no_file_and_goes_on() {
    let story = Story::new();
    story.change(|hub| hub.cut = Some(1000));
    for _ in 0..2 {
        let run = story.train("hf:tiny/bert");
        let length = story.hub.lock().unwrap().files[WEIGHTS].len();
        let expected = format!(
            "expected a file of {length} bytes; run the same command again to resume the download"
        );
        run.failed(&["hf:tiny/bert@main/model.safetensors: ", &expected]);
        assert!(!story.cached(WEIGHTS).exists());
        assert!(!story.repository().join("refs/main").exists());
    }
    story.requests();
    story.change(|hub| hub.cut = None);
    story.train("hf:tiny/bert").outcome();
    let requests = story.requests();
    let is_config = |(address, _): &&(String, String)| address.ends_with("config.json");
    assert_eq!(requests.iter().find(is_config), None);
    assert_eq!(requests.last().unwrap().1, "bytes=2000-");
}

#[test]
fn what_was_damaged_is_not_used() {
    let story = Story::new();
    story.change(|hub| hub.lies = true);
    let run = story.train("hf:tiny/bert");
    run.failed(&[
        "hf:tiny/bert@main/model.safetensors: its digest is ",
        "expected ",
    ]);
    assert!(!story.cached(WEIGHTS).exists());
    story.change(|hub| hub.lies = false);
    story.train("hf:tiny/bert").outcome();

    // Damaged in the cache, it is fetched again; of a file this short a digest is the only sign.
    for file in [WEIGHTS, "tokenizer.json"] {
        let whole = fs::read(story.cached(file)).unwrap();
        fs::write(story.cached(file), &whole[..whole.len() / 2]).unwrap();
        story.train("hf:tiny/bert").outcome();
        assert!(fs::read(story.cached(file)).unwrap() == whole);
    }

    let other = "0".repeat(64);
    let digest = format!("model.from_sha256='{other}'");
    let mut run = story.program("hf:tiny/bert");
    let run = Ran(run
        .args(["--overwrite", "--set", &digest])
        .output()
        .unwrap());
    assert!(!run.0.status.success());
    let error = run.error();
    let expected = format!("`model.from_sha256` is {other}, but hf:tiny/bert has ");
    assert!(error.contains(&expected), "{error}");
}
