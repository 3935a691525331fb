//! Trains the shipped recipe on real text sets, several seeds each, and writes a record.
//!
//! The sets are not part of the project: `--sets` names a folder with one folder per set,
//! `NAME/{train,dev,test}.tsv` (or `.tsv.gz`; without a dev file every tenth training text is set
//! aside). Each run takes minutes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;

use crate::command::{cargo, repository, run_aloud, run_quietly};

/// What is trained on what.
#[derive(Args, Debug)]
pub(crate) struct Accuracy {
    /// Folder with one folder per set.
    #[arg(long, value_name = "FOLDER")]
    sets: PathBuf,
    /// Sets to train on.
    #[arg(long, value_delimiter = ',', default_value = "trec6,snips")]
    names: Vec<String>,
    /// The recipe, by name.
    #[arg(long, default_value = "small")]
    recipe: String,
    /// Blocks to prune by, each a row of the table.
    #[arg(long, value_delimiter = ',', default_value = "1x1")]
    blocks: Vec<String>,
    /// The target that layouts are chosen for and work is estimated on.
    #[arg(long, default_value = "cortex-m4")]
    target: String,
    /// Seeds 0, 1, … of each set.
    #[arg(long, default_value_t = 3)]
    seeds: u32,
    /// Folder for the models.
    #[arg(long, value_name = "FOLDER", default_value = "target/accuracy")]
    out: PathBuf,
}

/// The part of `neuroprune train --json` that the record shows.
#[derive(Deserialize)]
struct Outcome {
    accuracy: Accuracies,
    sparsity: f64,
    sparse: File,
    dense: File,
    baselines: Baselines,
    seconds: Seconds,
}

#[derive(Deserialize)]
struct Baselines {
    linear: Linear,
}

/// A linear model on words, trained in the same run.
#[derive(Deserialize)]
struct Linear {
    accuracy: f64,
    bytes: f64,
}

#[derive(Deserialize)]
struct Accuracies {
    dense_float: f64,
    sparse_float: f64,
    sparse_int8: f64,
}

#[derive(Deserialize)]
struct File {
    bytes: f64,
    scratch: f64,
    work: f64,
}

#[derive(Deserialize)]
struct Seconds {
    dense: f64,
    sparse: f64,
}

pub(crate) fn run(job: &Accuracy) -> anyhow::Result<()> {
    run_aloud(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--bin",
        "neuroprune",
    ]))?;
    fs::create_dir_all(&job.out).with_context(|| job.out.display().to_string())?;
    let blocks = match job.blocks.as_slice() {
        [one] if one == "1x1" => String::new(),
        blocks => format!(" --blocks {}", blocks.join(",")),
    };
    let mut record = format!(
        "# Recipe `{recipe}` on real text\n\n\
         From random weights, no pretrained checkpoint. Official splits; accuracies in per cent \
         on the test set, mean ± standard deviation of {seeds}; bytes and times are means. \
         int8 is the exported file in the no_std runtime. Work: what `inspect` estimates for the \
         matrices, 16 tokens, on {target}.\n\n\
         `cargo xtask accuracy --sets FOLDER --names {names} --recipe {recipe}{blocks} \
         --target {target} --seeds {count}`\n\n\
         | set | blocks | dense float | sparse float | sparse int8 | zero | dense int8 file | \
         sparse file | linear | its bytes | work | scratch | training, s |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        recipe = job.recipe,
        target = job.target,
        names = job.names.join(","),
        count = job.seeds,
        seeds = match job.seeds {
            1 => "one seed, so without a spread".to_owned(),
            seeds => format!("{seeds} seeds"),
        },
    );
    for name in &job.names {
        for blocks in &job.blocks {
            let outcomes = (0..job.seeds).map(|seed| train(job, name, blocks, seed));
            let row = row(name, blocks, &outcomes.collect::<anyhow::Result<Vec<_>>>()?);
            println!("{}", row.trim_end());
            record += &row;
        }
    }
    // A comparison of blocks is a record of its own.
    let file = if blocks.is_empty() {
        format!("{}.md", job.recipe)
    } else {
        format!("{}-blocks.md", job.recipe)
    };
    let path = repository().join("benchmarks").join(file);
    fs::create_dir_all(repository().join("benchmarks"))?;
    fs::write(&path, record).with_context(|| path.display().to_string())?;
    Ok(())
}

fn train(job: &Accuracy, name: &str, blocks: &str, seed: u32) -> anyhow::Result<Outcome> {
    let folder = job.sets.join(name);
    let split = |split: &str| {
        let names = [format!("{split}.tsv"), format!("{split}.tsv.gz")];
        names
            .into_iter()
            .map(|name| folder.join(name))
            .find(|path| path.exists())
    };
    let missing = |what: &str| format!("{}: no {what}.tsv or {what}.tsv.gz", folder.display());
    let program = repository().join("target/release/neuroprune");
    let mut command = crate::command::command(
        &program.to_string_lossy(),
        &["train", "--quiet", "--overwrite"],
    );
    command.args([
        "--json",
        "--recipe",
        &job.recipe,
        "--seed",
        &seed.to_string(),
        "--blocks",
        blocks,
        "--target",
        &job.target,
    ]);
    command
        .arg("--data")
        .arg(split("train").with_context(|| missing("train"))?);
    command
        .arg("--test")
        .arg(split("test").with_context(|| missing("test"))?);
    if let Some(dev) = split("dev") {
        command.arg("--dev").arg(dev);
    }
    command
        .arg("--out")
        .arg(out_file(&job.out, name, blocks, seed));
    let json = run_quietly(&mut command)?;
    let outcome: Outcome = serde_json::from_str(&json).context("what train --json printed")?;
    ensure!(outcome.sparse.bytes > 0.0, "{name}: an empty file");
    println!(
        "{name}, {blocks}, seed {seed}: dense {:.2}, sparse {:.2}, int8 {:.2}",
        outcome.accuracy.dense_float, outcome.accuracy.sparse_float, outcome.accuracy.sparse_int8
    );
    Ok(outcome)
}

fn out_file(out: &Path, name: &str, blocks: &str, seed: u32) -> PathBuf {
    out.join(format!("{name}-{blocks}-{seed}.neuro"))
}

fn row(name: &str, blocks: &str, outcomes: &[Outcome]) -> String {
    let of = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).collect::<Vec<_>>();
    let spread = |value| {
        let (mean, deviation) = mean_and_deviation(&of(value));
        if outcomes.len() == 1 {
            return format!("{mean:.2}");
        }
        format!("{mean:.2} ± {deviation:.2}")
    };
    let mean = |value| mean_and_deviation(&of(value)).0;
    format!(
        "| {name} | {blocks} | {} | {} | {} | {:.2} % | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
        spread(|o| o.accuracy.dense_float),
        spread(|o| o.accuracy.sparse_float),
        spread(|o| o.accuracy.sparse_int8),
        100.0 * mean(|o| o.sparsity),
        mean(|o| o.dense.bytes),
        mean(|o| o.sparse.bytes),
        mean(|o| o.baselines.linear.accuracy),
        mean(|o| o.baselines.linear.bytes),
        mean(|o| o.sparse.work),
        mean(|o| o.sparse.scratch),
        mean(|o| o.seconds.dense + o.seconds.sparse),
    )
}

/// Mean and sample standard deviation.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few seeds")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviation_is_that_of_a_sample() {
        let (mean, deviation) = mean_and_deviation(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
        assert_eq!(mean_and_deviation(&[5.0]), (5.0, 0.0));
    }
}
