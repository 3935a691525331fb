//! Times a model: for each line of input one classification, and one line of output with the
//! nanoseconds of processor time of the thread, and those of wall-clock time.
//!
//! ```sh
//! cargo run --release -p neuroprune-host-bench --bin time_model -- MODEL TOKENS [scalar]
//! ```

use core::time::Duration;
use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, ensure};
use neuroprune_host_bench::text;
use neuroprune_runtime::{Classifier, Model, required_scratch};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("MODEL TOKENS [scalar]")?;
    let tokens = arguments.next().context("MODEL TOKENS [scalar]")?;
    let tokens: usize = tokens.parse().with_context(|| tokens.clone())?;
    if let Some(kernels) = arguments.next() {
        ensure!(kernels == "scalar", "{kernels}: only scalar is known");
        #[cfg(target_arch = "x86_64")]
        neuroprune_runtime::kernels::x86_64::Avx2::allow(false);
    }
    let file = std::fs::read(&path).with_context(|| path.clone())?;
    let model = Model::open(&file).with_context(|| path.clone())?;
    let mut scratch = vec![0_u64; required_scratch(model.limits(), tokens).div_ceil(8)];
    let scratch = bytemuck::cast_slice_mut(&mut scratch);
    let mut classifier = Classifier::with_tokens(model, scratch, tokens)?;
    // More words than tokens, so that the text is cut to that number.
    let text = text(tokens);
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let (start, start_of_thread) = (Instant::now(), thread_time()?);
        let answer = classifier.classify(&text)?;
        let (of_thread, elapsed) = (thread_time()? - start_of_thread, start.elapsed());
        ensure!(
            answer.tokens == tokens,
            "{} tokens, not {tokens}",
            answer.tokens
        );
        writeln!(output, "{} {}", of_thread.as_nanos(), elapsed.as_nanos())?;
        output.flush()?;
    }
    Ok(())
}

/// Processor time of this thread.
#[cfg(unix)]
fn thread_time() -> anyhow::Result<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

#[cfg(not(unix))]
fn thread_time() -> anyhow::Result<Duration> {
    anyhow::bail!("only Unix tells the time of a thread")
}
