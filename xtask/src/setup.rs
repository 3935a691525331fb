//! Finds the tools that a job needs, and installs those that are missing.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::command::{command, repository, run_quietly, succeeds};
use crate::voice::say;

/// Whether missing tools may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installing {
    /// Install what is missing.
    Allowed,
    /// Only say what is missing.
    Refused,
}

/// Something a job needs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The standard library of a target.
    RustTarget(String),
    /// A part of the Rust toolchain, such as clippy.
    RustComponent(String),
    /// A part of the nightly toolchain, such as Miri.
    NightlyComponent(&'static str),
    /// A program, and the Debian package that has it.
    Program(&'static str, &'static str),
    /// A cargo subcommand built from crates.io: name and version.
    CargoCommand(&'static str, &'static str),
    /// A module of the system's Python, and the Debian package that has it.
    PythonModule(&'static str, &'static str),
    /// Node, of the version that `browser/package.json` states or newer.
    Node,
    /// Chromium, likewise.
    Chromium,
    /// The packages of a folder's `package-lock.json`.
    NodePackages(&'static str),
}

/// States the oldest versions of Node and Chromium that the tests have been tried with.
const ENGINES: &str = include_str!("../../browser/package.json");

/// Major and minor version.
type Version = (u32, u32);

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RustTarget(target) => write!(f, "Rust target {target}"),
            Self::RustComponent(component) => write!(f, "Rust component {component}"),
            Self::NightlyComponent(component) => write!(f, "nightly Rust component {component}"),
            Self::Program(program, _) => write!(f, "{program}"),
            Self::CargoCommand(name, version) => write!(f, "cargo-{name} {version}"),
            Self::PythonModule(name, _) => write!(f, "Python with {name}"),
            Self::Node => write!(f, "Node {}", newer(least("node"))),
            Self::Chromium => write!(f, "Chromium {}", newer(least("chromium"))),
            Self::NodePackages(folder) => write!(f, "the packages of {folder}/package-lock.json"),
        }
    }
}

/// What the firmware needs: its targets and the emulators.
pub(crate) fn for_firmware() -> anyhow::Result<Vec<Tool>> {
    let targets = toolchain()?.targets.into_iter().map(Tool::RustTarget);
    let emulators = [
        Tool::Program("qemu-system-arm", "qemu-system-arm"),
        Tool::Program("qemu-system-riscv32", "qemu-system-misc"),
    ];
    Ok(targets.chain(emulators).collect())
}

/// What counting needs: what the firmware does, and callgrind.
pub(crate) fn for_bench() -> anyhow::Result<Vec<Tool>> {
    let mut tools = for_firmware()?;
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        tools.push(Tool::Program("valgrind", "valgrind"));
    }
    Ok(tools)
}

/// What building the package for browsers needs: Rust's target, Node, its packages.
pub(crate) fn for_browser() -> Vec<Tool> {
    vec![
        Tool::RustTarget("wasm32-unknown-unknown".to_owned()),
        Tool::Node,
        Tool::NodePackages("browser"),
    ]
}

/// What testing it needs besides that: a browser.
pub(crate) fn for_browser_tests() -> Vec<Tool> {
    let mut tools = for_browser();
    tools.push(Tool::Chromium);
    tools
}

/// What the runtime's tests on WebAssembly need.
pub(crate) fn for_webassembly() -> Vec<Tool> {
    vec![Tool::RustTarget("wasm32-wasip1".to_owned()), Tool::Node]
}

/// What measuring in the browser needs: Python makes the peer's models.
pub(crate) fn for_browser_bench() -> Vec<Tool> {
    let mut tools = for_browser_tests();
    tools.push(Tool::NodePackages("benchmarks/browser"));
    tools.push(Tool::PythonModule("venv", "python3-venv"));
    tools
}

/// What the checks need: the targets, clippy, rustfmt, cargo-deny, and Miri with the sources of
/// the standard library.
pub(crate) fn for_check() -> anyhow::Result<Vec<Tool>> {
    let toolchain = toolchain()?;
    let targets = toolchain.targets.into_iter().map(Tool::RustTarget);
    let components = toolchain.components.into_iter().map(Tool::RustComponent);
    let deny = Tool::CargoCommand("deny", "0.20.2");
    let nightly = ["miri", "rust-src"].map(Tool::NightlyComponent);
    Ok(targets
        .chain(components)
        .chain([deny])
        .chain(nightly)
        .collect())
}

/// Makes sure that `tools` are installed.
///
/// # Errors
/// Names what is missing, and the commands that would install it, where that is
/// refused or does not work.
pub(crate) fn ensure(tools: &[Tool], installing: Installing) -> anyhow::Result<()> {
    let missing = missing(tools)?;
    if missing.is_empty() {
        return Ok(());
    }
    let installations = installations(&missing);
    if installing == Installing::Refused || needs_other_hands(&missing) {
        let names: Vec<String> = missing.iter().map(|tool| format!("  {tool}")).collect();
        let lines: Vec<String> = installations
            .iter()
            .map(|words| format!("  {}", words.join(" ")))
            .collect();
        bail!(
            "missing:\n{}\nto install:\n{}",
            names.join("\n"),
            lines.join("\n")
        );
    }
    for words in &installations {
        say(&format!("installing: {}", words.join(" ")));
        let (program, arguments) = words.split_first().context("an empty command")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(program, &arguments);
        run_quietly(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    // The newest that this system has may be too old.
    let missing = self::missing(tools)?;
    if let Some(tool) = missing.first() {
        bail!("installed, and still missing: {tool}");
    }
    Ok(())
}

fn missing(tools: &[Tool]) -> anyhow::Result<Vec<Tool>> {
    let sysroot = run_quietly(&mut command("rustc", &["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let is_there = |tool: &Tool| match tool {
        Tool::RustTarget(target) => sysroot.join("lib/rustlib").join(target).exists(),
        Tool::RustComponent(component) => match component.as_str() {
            "clippy" => succeeds("cargo", &["clippy", "--version"]),
            "rustfmt" => succeeds("cargo", &["fmt", "--version"]),
            _ => false,
        },
        Tool::NightlyComponent(component) => has_nightly(component),
        Tool::Program(program, _) => succeeds(program, &["--version"]),
        Tool::CargoCommand(name, _) => succeeds("cargo", &[name, "--version"]),
        // Debian's Python has `venv` without what it needs.
        Tool::PythonModule(name, _) => {
            succeeds("python3", &["-c", &format!("import {name}, ensurepip")])
        }
        Tool::Node => is_new_enough("node", least("node")),
        Tool::Chromium => is_new_enough(&chromium(), least("chromium")),
        Tool::NodePackages(folder) => succeeds("npm", &["ls", "--prefix", folder]),
    };
    Ok(tools
        .iter()
        .filter(|tool| !is_there(tool))
        .cloned()
        .collect())
}

/// Whether the nightly toolchain is installed with this component.
fn has_nightly(component: &str) -> bool {
    let list = ["component", "list", "--toolchain", "nightly", "--installed"];
    run_quietly(&mut command("rustup", &list))
        .is_ok_and(|installed| installed.lines().any(|line| line.starts_with(component)))
}

/// The Chromium that the tests start, as `browser/tests/chromium/browser.js` has it.
fn chromium() -> String {
    env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned())
}

/// Whether the program says that it has this version or a later one. One that is there but
/// older is as good as missing: what installs it brings a new one.
fn is_new_enough(program: &str, least: Version) -> bool {
    run_quietly(&mut command(program, &["--version"]))
        .ok()
        .and_then(|text| version(&text))
        .is_some_and(|version| version >= least)
}

/// The first version in a text: `v20.16.0`, `Chromium 150.0.7871.100 built on Debian`,
/// `>=20.16`.
fn version(text: &str) -> Option<Version> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[digits..].split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Oldest version of one of the `engines` of `browser/package.json`.
///
/// # Panics
/// Where it does not state one; a test checks that it does.
fn least(engine: &str) -> Version {
    let package: Option<serde_json::Value> = serde_json::from_str(ENGINES).ok();
    package
        .and_then(|package| version(package["engines"][engine].as_str()?))
        .unwrap_or_else(|| panic!("browser/package.json: no engine {engine}"))
}

fn newer((major, minor): Version) -> String {
    format!("{major}.{minor} or newer")
}

/// The commands that install `tools`, as few as possible.
fn installations(tools: &[Tool]) -> Vec<Vec<String>> {
    let mut targets = words("rustup target add");
    let mut components = words("rustup component add");
    let mut nightly = words("rustup toolchain install nightly --profile minimal");
    let mut packages = words("apt-get install --yes --quiet --no-install-recommends");
    let none = (targets.len(), components.len(), packages.len());
    let no_nightly = nightly.len();
    let mut commands = Vec::new();
    for tool in tools {
        match tool {
            Tool::RustTarget(target) => targets.push(target.clone()),
            Tool::RustComponent(component) => components.push(component.clone()),
            Tool::NightlyComponent(component) => {
                nightly.extend(["--component", component].map(str::to_owned));
            }
            Tool::Program(_, package) | Tool::PythonModule(_, package) => {
                packages.push((*package).to_owned())
            }
            Tool::Chromium => packages.push("chromium".to_owned()),
            Tool::CargoCommand(name, version) => commands.push(words(&format!(
                "cargo install --quiet --locked cargo-{name}@{version}"
            ))),
            // Debian's may be older; people have their own ways to get it.
            Tool::Node => commands.push(words("see https://nodejs.org")),
            Tool::NodePackages(folder) => commands.push(words(&format!(
                "npm ci --prefix {folder} --no-audit --no-fund"
            ))),
        }
    }
    if packages.len() > none.2 {
        commands.insert(0, packages);
        commands.insert(0, words("apt-get update --quiet"));
    }
    if nightly.len() > no_nightly {
        commands.insert(0, nightly);
    }
    if components.len() > none.1 {
        commands.insert(0, components);
    }
    if targets.len() > none.0 {
        commands.insert(0, targets);
    }
    commands
}

/// Debian packages can only be installed by root, where there is apt; Node not at all.
fn needs_other_hands(missing: &[Tool]) -> bool {
    if missing.contains(&Tool::Node) {
        return true;
    }
    let is_package = |tool: &Tool| {
        matches!(
            tool,
            Tool::Program(..) | Tool::PythonModule(..) | Tool::Chromium
        )
    };
    let packages = missing.iter().any(is_package);
    let root = || {
        run_quietly(&mut command("id", &["-u"])).is_ok_and(|identity| identity.trim() == "0")
            && succeeds("apt-get", &["--version"])
    };
    packages && !root()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Toolchain,
}

#[derive(Deserialize)]
struct Toolchain {
    components: Vec<String>,
    targets: Vec<String>,
}

/// rust-toolchain.toml, the one list of targets and components.
fn toolchain() -> anyhow::Result<Toolchain> {
    let name = "rust-toolchain.toml";
    let text = fs::read_to_string(repository().join(name)).context(name)?;
    let file: ToolchainFile = toml::from_str(&text).context(name)?;
    Ok(file.toolchain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v20.16.0\n"), Some((20, 16)));
        let chromium = "Chromium 150.0.7871.100 built on Debian GNU/Linux 12 (bookworm)";
        assert_eq!(version(chromium), Some((150, 0)));
        assert_eq!(version("no version"), None);
        assert!(least("node") >= (20, 16) && least("chromium") >= (100, 0));
    }

    #[test]
    fn commands_are_few_and_in_order() {
        let tools = [
            Tool::CargoCommand("deny", "1.0.0"),
            Tool::Program("qemu-system-arm", "qemu-system-arm"),
            Tool::RustTarget("a".to_owned()),
            Tool::RustTarget("b".to_owned()),
        ];
        let lines: Vec<String> = installations(&tools)
            .iter()
            .map(|words| words.join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "rustup target add a b",
                "apt-get update --quiet",
                "apt-get install --yes --quiet --no-install-recommends qemu-system-arm",
                "cargo install --quiet --locked cargo-deny@1.0.0",
            ]
        );
    }
}
