//! Instructions of whole models, from characters to label: a long text stage by stage, then
//! shorter ones, as `firmware-examples/src/bin/bench_model.rs` counts them on boards.
//!
//! Lines with `=` are figures in bytes or tokens.

use anyhow::{Context, ensure};
use neuroprune_format::encoder::Mixing;
use neuroprune_host_bench::{files, regions, text};
use neuroprune_runtime::{Classifier, Model, Stage, Values, required_scratch};

/// Tokens of small models; those that take more than 64 get 128.
const TOKENS: usize = 16;
/// Tokens of the shorter texts.
const SHORTER: [usize; 4] = [3, 4, 5, 8];

fn main() -> anyhow::Result<()> {
    regions::calibrate();
    for file in files()? {
        measure(&file)?;
    }
    Ok(())
}

fn measure(file: &[u8]) -> anyhow::Result<()> {
    regions::begin();
    let opened = Model::open(file);
    regions::end();
    let model = opened.context("a model does not open")?;
    let name = model.manifest().name;
    let limits = model.limits();
    let tokens = if limits.tokens > 64 {
        limits.tokens
    } else {
        TOKENS
    };
    let scratch = required_scratch(limits, tokens);
    let mut memory = vec![0_u64; scratch.div_ceil(8)];
    let memory = bytemuck::cast_slice_mut(&mut memory);
    let mut classifier = Classifier::with_tokens(model, memory, tokens).context(name.to_owned())?;
    let long = text(tokens);
    regions::begin();
    let answer = classifier.classify_traced(&long, None, &mut |_: Stage, _: Values<'_>| {
        regions::end();
        regions::begin();
    });
    regions::end();
    let answer = answer.context(name.to_owned())?;

    // The regions have no names of their own: they follow from the layers.
    println!("{name}: open");
    println!("{name}: tokenise and embed");
    let neuroprune_runtime::Network::Encoder(encoder) = model.network();
    for (index, layer) in encoder.layers().enumerate() {
        let mixing = match layer.mixing() {
            Mixing::Attention(_) => "attention",
            Mixing::Recurrence(_) => "recurrence",
        };
        println!("{name}: {mixing} {index}");
        if layer.mlp().is_some() {
            println!("{name}: MLP {index}");
        }
    }
    println!("{name}: pool");
    println!("{name}: classify");
    for tokens in SHORTER {
        // All but the special tokens are words.
        let text = text(tokens.saturating_sub(2));
        let mut classifier =
            Classifier::with_tokens(model, memory, tokens).context(name.to_owned())?;
        regions::begin();
        let answer = classifier.classify(&text);
        regions::end();
        let found = answer.context(name.to_owned())?.tokens;
        ensure!(found == tokens, "{name}: {found} tokens, not {tokens}");
        println!("{name}: text of {tokens} tokens");
    }
    println!("{name}: model={}", file.len());
    println!("{name}: scratch={scratch}");
    println!("{name}: tokens={}", answer.tokens);
    Ok(())
}
