//! Finds the tools that a job needs, and installs those that are missing.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::command::{command, repository, run_quietly, succeeds};

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
    /// An emulator, and the Debian package that has it.
    Emulator(&'static str, &'static str),
    /// A cargo subcommand built from crates.io: name and version.
    CargoCommand(&'static str, &'static str),
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RustTarget(target) => write!(f, "Rust target {target}"),
            Self::RustComponent(component) => write!(f, "Rust component {component}"),
            Self::Emulator(program, _) => write!(f, "{program}"),
            Self::CargoCommand(name, version) => write!(f, "cargo-{name} {version}"),
        }
    }
}

/// What the firmware needs: its targets and the emulators.
pub(crate) fn for_firmware() -> anyhow::Result<Vec<Tool>> {
    let targets = toolchain()?.targets.into_iter().map(Tool::RustTarget);
    let emulators = [
        Tool::Emulator("qemu-system-arm", "qemu-system-arm"),
        Tool::Emulator("qemu-system-riscv32", "qemu-system-misc"),
    ];
    Ok(targets.chain(emulators).collect())
}

/// What counting needs: what the firmware does, and callgrind.
pub(crate) fn for_bench() -> anyhow::Result<Vec<Tool>> {
    let mut tools = for_firmware()?;
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        tools.push(Tool::Emulator("valgrind", "valgrind"));
    }
    Ok(tools)
}

/// What the checks need: the targets, clippy, rustfmt and cargo-deny.
pub(crate) fn for_check() -> anyhow::Result<Vec<Tool>> {
    let toolchain = toolchain()?;
    let targets = toolchain.targets.into_iter().map(Tool::RustTarget);
    let components = toolchain.components.into_iter().map(Tool::RustComponent);
    let deny = Tool::CargoCommand("deny", "0.20.2");
    Ok(targets.chain(components).chain([deny]).collect())
}

/// Makes sure that `tools` are there.
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
    for words in installations {
        println!("installing: {}", words.join(" "));
        let (program, arguments) = words.split_first().context("an empty command")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(program, &arguments);
        run_quietly(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
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
        Tool::Emulator(program, _) => succeeds(program, &["--version"]),
        Tool::CargoCommand(name, _) => succeeds("cargo", &[name, "--version"]),
    };
    Ok(tools
        .iter()
        .filter(|tool| !is_there(tool))
        .cloned()
        .collect())
}

/// The commands that install `tools`, as few as possible.
fn installations(tools: &[Tool]) -> Vec<Vec<String>> {
    let mut targets = words("rustup target add");
    let mut components = words("rustup component add");
    let mut packages = words("apt-get install --yes --quiet --no-install-recommends");
    let none = (targets.len(), components.len(), packages.len());
    let mut commands = Vec::new();
    for tool in tools {
        match tool {
            Tool::RustTarget(target) => targets.push(target.clone()),
            Tool::RustComponent(component) => components.push(component.clone()),
            Tool::Emulator(_, package) => packages.push((*package).to_owned()),
            Tool::CargoCommand(name, version) => commands.push(words(&format!(
                "cargo install --quiet --locked cargo-{name}@{version}"
            ))),
        }
    }
    if packages.len() > none.2 {
        commands.insert(0, packages);
        commands.insert(0, words("apt-get update --quiet"));
    }
    if components.len() > none.1 {
        commands.insert(0, components);
    }
    if targets.len() > none.0 {
        commands.insert(0, targets);
    }
    commands
}

/// Debian packages can only be installed by root, where there is apt.
fn needs_other_hands(missing: &[Tool]) -> bool {
    let packages = missing
        .iter()
        .any(|tool| matches!(tool, Tool::Emulator(..)));
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
    fn commands_are_few_and_in_order() {
        let tools = [
            Tool::CargoCommand("deny", "1.0.0"),
            Tool::Emulator("qemu-system-arm", "qemu-system-arm"),
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
