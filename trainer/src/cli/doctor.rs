//! `neuroprune doctor`.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::inputs::{print, print_json};

/// Say what this machine has for training, firmware and browser work, and what is missing.
///
/// Nothing is installed or changed. What is missing comes with the command that gets it
/// on Debian and Ubuntu; only the work it is for needs it. Exit status 0 in any case.
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
/// Prefix of the browser's targets.
const WASM: &str = "wasm32";
/// Smallest major version of Node.js with the WebAssembly that is tested.
const NODE: u32 = 20;

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
                true => "everything is there",
                false => "something is missing",
            };
            text += &format!("{}: {state}\n", area.name);
            for check in &area.checks {
                let mark = if check.is_there { "yes" } else { "no " };
                text += &format!("  {mark}  {}: {}\n", check.name, check.found);
                if !check.get.is_empty() {
                    text += &format!("       to get it: {}\n", check.get);
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
                "it comes with the NVIDIA driver",
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
    let mut checks = targets(|target| !target.starts_with(WASM));
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
    let mut checks = targets(|target| target.starts_with(WASM));
    let node = first_line("node", &["--version"]).and_then(|version| {
        let major = version.trim_start_matches('v').split('.').next();
        match major.and_then(|major| major.parse::<u32>().ok()) {
            Some(major) if major >= NODE => Ok(version),
            _ => Err(format!("{version}, expected at least {NODE}")),
        }
    });
    let get = format!("Node.js {NODE} or later, https://nodejs.org");
    checks.push(Check::new("Node.js", node, &get));
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names
        .iter()
        .find_map(|name| first_line(name, &["--version"]).ok());
    checks.push(Check::new(
        "Chromium",
        found.ok_or_else(|| format!("none of {}", names.join(", "))),
        "apt-get install chromium",
    ));
    Area::new("Browser", checks)
}

/// The Rust targets of the toolchain file that `are_meant`.
fn targets(are_meant: impl Fn(&str) -> bool) -> Vec<Check> {
    #[derive(Deserialize)]
    struct File {
        toolchain: Toolchain,
    }
    #[derive(Deserialize)]
    struct Toolchain {
        targets: Vec<String>,
    }
    let file: Option<File> = toml::from_str(TOOLCHAIN).ok();
    let targets = file.map(|file| file.toolchain.targets).unwrap_or_default();
    let sysroot = first_line("rustc", &["--print", "sysroot"]);
    let check = |target: &String| {
        let found = sysroot.clone().and_then(|sysroot| {
            let folder = Path::new(&sysroot).join("lib/rustlib").join(target);
            match folder.exists() {
                true => Ok("installed".to_owned()),
                false => Err("not installed".to_owned()),
            }
        });
        let get = format!("rustup target add {target}");
        Check::new(&format!("Rust target {target}"), found, &get)
    };
    let meant = targets.iter().filter(|target| are_meant(target));
    meant.map(check).collect()
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
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "not found".to_owned(),
            _ => error.to_string(),
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
            "Work: something is missing\n  no   x: not found\n       \
             to get it: apt-get install x\n  yes  cores: 2"
        );
    }

    #[test]
    fn every_target_of_the_toolchain_is_in_one_area() {
        let all = targets(|_| true).len();
        let (firmware, browser) = (
            targets(|target| !target.starts_with(WASM)).len(),
            targets(|target| target.starts_with(WASM)).len(),
        );
        assert!(firmware >= 5 && firmware + browser == all);
    }
}
