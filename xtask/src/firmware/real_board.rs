//! The projects of `docs/real-board.md`, built as their readers would type them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::command::{cargo, repository, run_quietly};
use crate::tally::Tally;

const PAGE: &str = "docs/real-board.md";
/// Files of the project, each named in the text above its block.
const FILES: [&str; 5] = [
    "Cargo.toml",
    ".cargo/config.toml",
    "memory.x",
    "build.rs",
    "src/main.rs",
];
/// Where the page has the checkout.
const BESIDE: &str = "\"../neuroprune/runtime\"";
/// The model of the firmware examples: any will do.
const MODEL: &str = "firmware-examples/models/commands.neuro";
/// From here on `main.rs` is another with embassy.
const ENTRY: &str = "#[cortex_m_rt::entry]";
/// What only the first `main` uses.
const COUNTER: &str = "use cortex_m::peripheral::DWT;\n";

/// Builds both; each is a suite of `tally`.
pub(super) fn test(tally: &mut Tally) {
    for (name, make) in [
        (
            "probe-rs",
            with_probe_rs as fn(&Page) -> anyhow::Result<Files>,
        ),
        ("embassy", with_embassy),
    ] {
        tally.suite(&format!("{PAGE}: the project with {name}"), || {
            let text = fs::read_to_string(repository().join(PAGE))?;
            let page = Page::read(&text)?;
            build(name, &make(&page)?)
        });
    }
}

/// Names and texts of a project's files.
type Files = Vec<(&'static str, String)>;

/// The code of the page.
struct Page {
    files: Files,
    /// What is added to the dependencies for embassy.
    dependencies: String,
    /// What replaces `main` with embassy.
    main: String,
}

impl Page {
    fn read(text: &str) -> anyhow::Result<Self> {
        let mut files = Files::new();
        let mut others = Vec::new();
        // Text and code take turns.
        let parts: Vec<&str> = text.split("```").collect();
        for pair in parts.chunks_exact(2) {
            let &[above, block] = pair else { continue };
            let (language, code) = block.split_once('\n').context("a block ends")?;
            if language == "sh" {
                continue;
            }
            let place = |name: &str| above.find(&format!("`{name}`"));
            let named = FILES.iter().filter_map(|name| Some((place(name)?, *name)));
            match named.min() {
                Some((_, name)) => files.push((name, code.to_owned())),
                None => others.push(code.to_owned()),
            }
        }
        ensure!(
            FILES
                .iter()
                .all(|name| files.iter().any(|(file, _)| file == name)),
            "{PAGE}: expected a block for each of {}",
            FILES.join(", ")
        );
        let [dependencies, main] = <[String; 2]>::try_from(others)
            .ok()
            .with_context(|| format!("{PAGE}: expected two more blocks, those of embassy"))?;
        Ok(Self {
            files,
            dependencies,
            main,
        })
    }
}

fn with_probe_rs(page: &Page) -> anyhow::Result<Files> {
    Ok(page.files.clone())
}

fn with_embassy(page: &Page) -> anyhow::Result<Files> {
    let mut files = page.files.clone();
    for (name, text) in &mut files {
        match *name {
            "Cargo.toml" => {
                let section = "[dependencies]\n";
                ensure!(text.contains(section), "{name}: expected {section}");
                *text = text.replace(section, &format!("{section}{}", page.dependencies));
            }
            "src/main.rs" => {
                let (before, _) = text.split_once(ENTRY).context(ENTRY)?;
                ensure!(before.contains(COUNTER), "{name}: expected {COUNTER}");
                *text = before.replace(COUNTER, "") + &page.main;
            }
            _ => {}
        }
    }
    Ok(files)
}

fn build(name: &str, files: &Files) -> anyhow::Result<()> {
    let folder = repository().join("target/real-board").join(name);
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        let runtime = format!("{:?}", repository().join("runtime"));
        let mut text = text.replace(BESIDE, &runtime);
        if *file == "Cargo.toml" {
            // A reader's project is not in the folder of this workspace.
            text += "\n[workspace]\n";
        }
        fs::write(&path, text)?;
    }
    fs::copy(repository().join(MODEL), folder.join("model.neuro"))?;
    // Without a lock file, as a reader has none; built for both in one place.
    let shared = Path::new("..").join("built");
    let mut command = cargo(&["build", "--release", "--quiet"]);
    command.current_dir(&folder).env("CARGO_TARGET_DIR", shared);
    run_quietly(&mut command).map(drop)
}
