//! `neuroprune doctor`.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use serde::Serialize;

use super::inputs::{print, print_json};

/// Check what this machine has for training, firmware and browser work, and what is missing.
///
/// Installs and changes nothing. For each missing tool it prints the command that installs it on
/// Debian or Ubuntu; a tool is only needed for the work it is listed under. The exit status is
/// always 0.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune doctor
  neuroprune doctor --json";

/// Targets that firmware and browser are built for: the one list that rustup reads too.
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");
/// The target of browsers.
const WASM: &str = "wasm32-unknown-unknown";
/// Oldest versions of Node.js and Chromium that the tests have been tried with: the one list
/// that `cargo xtask test` reads too.
const ENGINES: &str = include_str!("../../../browser/package.json");

/// What a piece of work needs.
#[derive(Serialize)]
struct Area {
    name: &'static str,
    /// Whether everything is there.
    is_ready: bool,
    checks: Vec<Check>,
}

/// One thing that is needed.
#[derive(Serialize)]
struct Check {
    name: String,
    is_there: bool,
    /// What was found.
    found: String,
    /// How to get it; empty where it is there.
    get: String,
}

#[derive(Serialize)]
struct Findings {
    areas: Vec<Area>,
}

impl Doctor {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let findings = Findings {
            areas: vec![cpu(), cuda(), firmware(), browser()],
        };
        if self.json {
            print_json(&findings)?;
        } else {
            print(&findings.text())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Findings {
    fn text(&self) -> String {
        let mut text = String::new();
        for area in &self.areas {
            let state = match area.is_ready {
                true => "ready",
                false => "not ready",
            };
            text += &format!("{}: {state}\n", area.name);
            for check in &area.checks {
                let mark = if check.is_there { "yes" } else { "no " };
                text += &format!("  {mark}  {}: {}\n", check.name, check.found);
                if !check.get.is_empty() {
                    text += &format!("       install: {}\n", check.get);
                }
            }
        }
        text.trim_end().to_owned()
    }
}

impl Area {
    fn new(name: &'static str, checks: Vec<Check>) -> Self {
        Self {
            name,
            is_ready: checks.iter().all(|check| check.is_there),
            checks,
        }
    }
}

impl Check {
    /// Something that was found, or what was said instead.
    fn new(name: &str, found: Result<String, String>, get: &str) -> Self {
        let is_there = found.is_ok();
        Self {
            name: name.to_owned(),
            is_there,
            found: found.unwrap_or_else(|missing| missing),
            get: match is_there {
                true => String::new(),
                false => get.to_owned(),
            },
        }
    }

    /// A program, by what it says of its version.
    fn program(name: &str, program: &str, arguments: &[&str], get: &str) -> Self {
        Self::new(name, first_line(program, arguments), get)
    }
}

fn cpu() -> Area {
    let cores = std::thread::available_parallelism();
    let cores = cores.map_err(|error| error.to_string());
    let mut checks = vec![Check::new(
        "cores",
        cores.map(|count| count.to_string()),
        "",
    )];
    if cfg!(target_arch = "x86_64") {
        // The matrix products choose their instructions when they are built.
        let found = match (has_avx2(), cfg!(target_feature = "avx2")) {
            (_, true) => Ok("used by this build".to_owned()),
            (true, false) => Err("this processor has it, this build does not use it".to_owned()),
            (false, false) => Err("this processor does not have it: training is slow".to_owned()),
        };
        let get = if has_avx2() {
            "build with RUSTFLAGS=\"-C target-cpu=native\""
        } else {
            "another processor"
        };
        checks.push(Check::new("AVX2", found, get));
    }
    Area::new("Training on the CPU", checks)
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

fn cuda() -> Area {
    let built = match cfg!(feature = "cuda") {
        true => Ok("in this build".to_owned()),
        false => Err("not in this build".to_owned()),
    };
    let query = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
    Area::new(
        "Training on an NVIDIA GPU",
        vec![
            Check::new(
                "feature `cuda`",
                built,
                "cargo install --path trainer --features cuda",
            ),
            Check::program(
                "GPU and driver",
                "nvidia-smi",
                &query,
                "an NVIDIA GPU with a driver for CUDA 13",
            ),
            Check::new(
                "driver library",
                library("libcuda.so.1"),
                "the NVIDIA driver, which includes it",
            ),
            Check::new(
                "nvcc, to build the feature",
                version_line("nvcc", &["--version"], "release"),
                "the CUDA toolkit, https://developer.nvidia.com/cuda-downloads",
            ),
        ],
    )
}

fn firmware() -> Area {
    let mut checks: Vec<Check> = firmware_targets().iter().map(|t| target(t)).collect();
    for (program, package) in [
        ("qemu-system-arm", "qemu-system-arm"),
        ("qemu-system-riscv32", "qemu-system-misc"),
    ] {
        let get = format!("apt-get install {package}");
        checks.push(Check::program(program, program, &["--version"], &get));
    }
    Area::new("Firmware", checks)
}

fn browser() -> Area {
    let mut checks = vec![target(WASM)];
    let node = first_line("node", &["--version"]).and_then(|said| new_enough("node", said));
    let get = "a later Node.js, https://nodejs.org";
    checks.push(Check::new("Node.js", node, get));
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut found = names.iter().map(|name| first_line(name, &["--version"]));
    let found = found
        .find_map(Result::ok)
        .ok_or_else(|| format!("none of {}", names.join(", ")))
        .and_then(|said| new_enough("chromium", said));
    let get = "apt-get update && apt-get install chromium";
    checks.push(Check::new("Chromium", found, get));
    Area::new("Browser", checks)
}

/// What a program says of its version, if it is one that the tests have been tried with.
fn new_enough(engine: &str, said: String) -> Result<String, String> {
    let least = least(engine);
    match version(&said) {
        Some(found) if Some(found) >= least => Ok(said),
        _ => {
            let (major, minor) = least.unwrap_or_default();
            Err(format!("{said}, expected at least {major}.{minor}"))
        }
    }
}

/// Oldest version of one of the engines.
fn least(engine: &str) -> Option<(u32, u32)> {
    let package: serde_json::Value = serde_json::from_str(ENGINES).ok()?;
    version(package["engines"][engine].as_str()?)
}

/// Major and minor number of the first version in a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[digits..].split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The targets of the toolchain file that have no operating system.
fn firmware_targets() -> Vec<String> {
    let file: toml::Table = TOOLCHAIN.parse().unwrap_or_default();
    let targets = file["toolchain"]["targets"].as_array();
    let names = targets
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str);
    let firmware = names.filter(|target| target.contains("-none-"));
    firmware.map(str::to_owned).collect()
}

/// Whether the standard library of a Rust target is installed.
fn target(target: &str) -> Check {
    let found = first_line("rustc", &["--print", "sysroot"]).and_then(|sysroot| {
        let folder = Path::new(&sysroot).join("lib/rustlib").join(target);
        match folder.exists() {
            true => Ok("installed".to_owned()),
            false => Err("not installed".to_owned()),
        }
    });
    let get = format!("rustup target add {target}");
    Check::new(&format!("Rust target {target}"), found, &get)
}

/// Where the system's loader finds a library.
fn library(name: &str) -> Result<String, String> {
    let known = version_line("ldconfig", &["-p"], name)
        .or_else(|_| version_line("/sbin/ldconfig", &["-p"], name));
    known
        .map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
        .map_err(|_| format!("{name} is not known to the loader"))
}

/// The first line that a program writes.
fn first_line(program: &str, arguments: &[&str]) -> Result<String, String> {
    version_line(program, arguments, "")
}

/// The first line with `part` that a program writes.
fn version_line(program: &str, arguments: &[&str], part: &str) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return "not found".to_owned();
            }
            error.to_string()
        })?;
    if !output.status.success() {
        return Err(format!("does not run: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty() && line.contains(part))
        .map(str::to_owned)
        .ok_or_else(|| "says nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_a_way_to_get_it() {
        let missing = Check::program("x", "no-such-program", &[], "apt-get install x");
        assert!(!missing.is_there);
        let there = Check::new("cores", Ok("2".to_owned()), "");
        let findings = Findings {
            areas: vec![Area::new("Work", vec![missing, there])],
        };
        assert_eq!(
            findings.text(),
            "Work: not ready\n  no   x: not found\n       \
             install: apt-get install x\n  yes  cores: 2"
        );
    }

    #[test]
    fn a_program_that_is_too_old_is_missing() {
        let (node, chromium) = (least("node").unwrap(), least("chromium").unwrap());
        assert!(node >= (20, 16) && chromium >= (100, 0));
        assert!(new_enough("node", "v20.9.1".to_owned()).is_err());
        assert!(new_enough("node", "v120.0.0".to_owned()).is_ok());
        let old = "Chromium 99.0.1 built on Debian".to_owned();
        let refused = new_enough("chromium", old).unwrap_err();
        assert!(refused.contains("expected at least"), "{refused}");
        assert!(new_enough("chromium", "says nothing".to_owned()).is_err());
    }

    #[test]
    fn the_boards_targets_are_those_of_the_toolchain() {
        let targets = firmware_targets();
        assert!(targets.len() >= 5, "{targets:?}");
        assert!(
            targets
                .iter()
                .any(|target| target == "thumbv7em-none-eabihf")
        );
    }
}
