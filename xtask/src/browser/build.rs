//! Puts the package and the demo page together, under `browser/out`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use super::output;
use crate::command::{cargo, command, repository, run_quietly};

/// Features of WebAssembly that the module may use: SIMD, and what Rust turns on itself.
const FEATURES: [&str; 7] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// What a page downloads of the package.
#[derive(Deserialize)]
struct Sizes {
    code: Size,
    wasm: Size,
    scripts: Size,
}

/// Bytes.
#[derive(Deserialize)]
struct Size {
    raw: u64,
    brotli: u64,
}

/// Builds `browser/out/package`, as npm publishes it, and returns its sizes by name.
pub(super) fn package() -> anyhow::Result<Vec<(String, u64)>> {
    let (browser, package) = (repository().join("browser"), output().join("package"));
    if package.exists() {
        fs::remove_dir_all(&package).with_context(|| package.display().to_string())?;
    }
    run_quietly(&mut node(&[
        "node_modules/typescript/bin/tsc",
        "--project",
        "tsconfig.json",
    ]))?;
    module(&browser, &package.join("neuroprune.wasm"))?;
    for name in ["package.json", "README.md"] {
        copy(&browser.join("npm").join(name), &package.join(name))?;
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&repository().join(name), &package.join(name))?;
    }

    let measured = run_quietly(&mut node(&["tools/sizes.js"]))?;
    let path = output().join("sizes.json");
    fs::write(&path, &measured).with_context(|| path.display().to_string())?;
    let sizes: Sizes = serde_json::from_str(&measured).context("tools/sizes.js")?;
    println!("     {:<12} {:>8} {:>8}", "bytes", "raw", "brotli");
    let lines = [
        ("wasm", &sizes.wasm),
        ("scripts", &sizes.scripts),
        ("together", &sizes.code),
    ];
    for (name, size) in lines {
        println!("     {name:<12} {:>8} {:>8}", size.raw, size.brotli);
    }
    Ok(vec![
        ("code, brotli bytes".to_owned(), sizes.code.brotli),
        ("wasm, bytes".to_owned(), sizes.wasm.raw),
    ])
}

/// Compiles the runtime and has binaryen make it smaller.
fn module(browser: &Path, path: &Path) -> anyhow::Result<()> {
    let target = "wasm32-unknown-unknown";
    // The folder is stated, because the module is looked for there.
    let folder = browser.join("wasm/target");
    let mut build = cargo(&[
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        target,
    ]);
    build
        .args(["--manifest-path", "browser/wasm/Cargo.toml", "--target-dir"])
        .arg(&folder);
    run_quietly(&mut build)?;
    let compiled = folder.join(target).join("release/neuroprune_wasm.wasm");
    let mut optimize = node(&["node_modules/binaryen/bin/wasm-opt", "-O3"]);
    optimize.args(FEATURES).arg(&compiled).arg("-o").arg(path);
    run_quietly(&mut optimize).map(drop)
}

/// Builds `browser/out/demo`: the page, the package and the model with its dense baseline.
pub(super) fn demo(model: &Path) -> anyhow::Result<PathBuf> {
    let site = output().join("demo");
    if site.exists() {
        fs::remove_dir_all(&site).with_context(|| site.display().to_string())?;
    }
    copy_folder(&repository().join("browser/demo"), &site)?;
    copy_folder(&output().join("package"), &site.join("neuroprune"))?;
    copy(&output().join("sizes.json"), &site.join("sizes.json"))?;
    copy(model, &site.join("models/sparse.neuro"))?;
    let dense = model.with_extension("dense.neuro");
    copy(&dense, &site.join("models/dense.neuro"))?;
    Ok(site)
}

/// `node`, in the folder of the browser's tools.
fn node(arguments: &[&str]) -> std::process::Command {
    let mut node = command("node", arguments);
    node.current_dir(repository().join("browser"));
    node
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(from).with_context(|| from.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            copy(&entry.path(), &to)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}
