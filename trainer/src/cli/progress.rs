//! A bar on a terminal, elsewhere a line an epoch, though no more than one a second.

use core::cell::Cell;
use core::time::Duration;
use std::time::Instant;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::baselines::Baselines;
use crate::numbers::{real, rounded, thousands};
use crate::pretrained::FetchObserver;
use crate::run::observer::Observer;
use crate::run::summary::Summary;
use crate::training::{EpochRecord, Phase, StepReport};

/// Share of the new loss in the one that is shown.
const SMOOTHING: f64 = 0.05;

/// Before the bar of a teacher's answers.
const ANSWERS: &str = "answers";

/// Where there is no bar, a line says how far a phase is after as long as this.
const SILENCE: Duration = Duration::from_secs(30);

/// Between the lines of two epochs.
const PAUSE: Duration = Duration::from_secs(1);

/// Seconds over which speed is measured.
const SPEED_SECONDS: f64 = 0.5;

/// Shows a run on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    loss: Option<f64>,
    last: Option<EpochRecord>,
    sparsity: f64,
    speed: Speed,
    start: Instant,
    /// When something was last said.
    said: Cell<Instant>,
    /// Whether what the run learns from is said, and whether a warning ends it.
    summary: Option<Strictness>,
}

/// What a warning about the data does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// It is said.
    Warns,
    /// It ends the run before the first step.
    Refuses,
}

/// Shows on standard error what is fetched.
pub(super) struct Fetching {
    bar: ProgressBar,
    is_quiet: bool,
}

/// Tokens a second, over the last moments: a network that is cut grows faster.
struct Speed {
    since: Instant,
    tokens: usize,
    rate: Option<f64>,
}

impl Speed {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            tokens: 0,
            rate: None,
        }
    }

    /// These tokens are through.
    fn add(&mut self, tokens: usize) {
        self.tokens += tokens;
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds >= SPEED_SECONDS {
            self.rate = Some(real(self.tokens) / seconds);
            (self.since, self.tokens) = (Instant::now(), 0);
        }
    }
}

impl Progress {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self {
            bar: None,
            is_quiet,
            loss: None,
            last: None,
            sparsity: 0.0,
            speed: Speed::new(),
            start: Instant::now(),
            said: Cell::new(Instant::now()),
            summary: None,
        }
    }

    /// Says what the run learns from before it begins.
    pub(super) fn with_summary(mut self, strictness: Strictness) -> Self {
        self.summary = Some(strictness);
        self
    }

    /// A line above the bar.
    fn line(&self, text: &str) {
        self.said.set(Instant::now());
        match &self.bar {
            _ if self.is_quiet => {}
            Some(bar) if !bar.is_hidden() => bar.println(text),
            _ => say!("{text}"),
        }
    }

    /// Where there is no bar to be seen, says how far it is, once in a while.
    fn say_progress(&self, what: &str) {
        let Some(bar) = self.bar.as_ref().filter(|bar| bar.is_hidden()) else {
            return;
        };
        if self.is_quiet || self.said.get().elapsed() < SILENCE {
            return;
        }
        let (done, all) = (bar.position(), bar.length().unwrap_or_default());
        let left = bar.eta().as_secs();
        let prefix = bar.prefix();
        self.line(&format!(
            "{prefix:>6} {done} of {all} {what}, about {left} s left"
        ));
    }

    fn message(&self) -> String {
        let mut message = String::new();
        if let Some(loss) = self.loss {
            message += &format!("loss {loss:.3}");
        }
        if let Some(epoch) = &self.last {
            message += &format!(", dev {:.1} %", epoch.dev_accuracy);
        }
        if self.sparsity > 0.0 {
            message += &format!(", {:.1} % zero", 100.0 * self.sparsity);
        }
        if let Some(rate) = self.speed.rate {
            message += &format!(", {} tokens/s", thousands(rounded(rate)));
        }
        message
    }
}

impl Observer for Progress {
    fn summary(&mut self, summary: &Summary, baselines: &Baselines) -> bool {
        let Some(strictness) = self.summary else {
            return true;
        };
        self.line(&format!("{summary}\n{baselines}"));
        for warning in &summary.warnings {
            // Also where no progress is shown: it is not progress.
            say!("warning: {warning}");
        }
        strictness == Strictness::Warns || summary.warnings.is_empty()
    }

    fn phase(&mut self, phase: Phase, done: u64, steps: u64) {
        let target = if self.is_quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let template = "{prefix:>6} {wide_bar:.cyan/dim} {pos}/{len}, {eta} left: {msg}";
        let bar = bar(template, phase.name(), steps, target);
        bar.set_position(done);
        // Steps of an earlier session say nothing about the speed of this one.
        bar.reset_eta();
        self.bar = Some(bar);
        self.loss = None;
        self.last = None;
        self.sparsity = 0.0;
        self.speed = Speed::new();
    }

    fn step(&mut self, report: &StepReport) {
        let loss = f64::from(report.loss);
        self.loss = Some(
            self.loss
                .map_or(loss, |mean| mean + SMOOTHING * (loss - mean)),
        );
        self.sparsity = report.sparsity;
        self.speed.add(report.tokens);
        if let Some(epoch) = &report.epoch {
            let mut line = format!(
                "{:>6} epoch {:>2}: loss {:.3}, dev accuracy {:.2} %",
                epoch.phase.name(),
                epoch.epoch,
                epoch.loss,
                epoch.dev_accuracy
            );
            if epoch.phase == Phase::Sparse {
                line += &format!(", {:.1} % zero", 100.0 * epoch.sparsity);
                // A student may have neither.
                if epoch.heads + epoch.neurons > 0 {
                    line += &format!(", {} heads, {} neurons", epoch.heads, epoch.neurons);
                }
            }
            line += &format!("  ({:.0} s)", self.start.elapsed().as_secs_f64());
            // Small data have hundreds of epochs.
            let is_last = report.step == report.steps;
            if is_last || self.last.is_none() || self.said.get().elapsed() >= PAUSE {
                self.line(&line);
            }
            self.last = Some(epoch.clone());
        }
        if let Some(bar) = &self.bar {
            bar.set_position(report.step);
            bar.set_message(self.message());
            if report.step == report.steps {
                bar.finish_and_clear();
            }
        }
        self.say_progress("steps");
    }

    fn answered(&mut self, done: usize, all: usize) {
        let length = all as u64;
        let is_other = |bar: &ProgressBar| bar.length() != Some(length) || bar.prefix() != ANSWERS;
        if self.bar.as_ref().is_none_or(is_other) {
            let target = if self.is_quiet {
                ProgressDrawTarget::hidden()
            } else {
                ProgressDrawTarget::stderr()
            };
            let template = "{prefix:>6} {wide_bar:.cyan/dim} {pos}/{len} texts, {eta} left";
            self.bar = Some(bar(template, ANSWERS, length, target));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            if done == all {
                bar.finish_and_clear();
            }
        }
        self.say_progress("texts");
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }
}

impl Fetching {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            is_quiet,
        }
    }
}

impl FetchObserver for Fetching {
    fn begin(&mut self, file: &str, bytes: u64) {
        if self.is_quiet {
            return;
        }
        let template = "{prefix} {wide_bar:.cyan/dim} {bytes}/{total_bytes}, {eta} left";
        self.bar = bar(template, file, bytes, ProgressDrawTarget::stderr());
        if self.bar.is_hidden() {
            say!("fetching {file}, {}", HumanBytes(bytes));
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bar(template: &str, prefix: &str, length: u64, target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(prefix.to_owned());
    bar
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
