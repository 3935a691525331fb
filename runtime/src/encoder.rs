//! The forward pass of an encoder, in one page.
//!
//! Post-LayerNorm encoder (Vaswani et al. 2017; Devlin et al. 2019), eight tokens at a
//! time. The residual stream is in 16 bits ([`Residual`]), what a product reads in 8, both
//! with one scale a token; a product is Σ w·x in `i32`, then · (row scale · token scale),
//! then + bias.

use neuroprune_format::Model;

use crate::kernels::{lanes, project};
use crate::layer::attention::{KeySource, attention};
use crate::layer::embedding::embed;
use crate::layer::mlp::mlp;
use crate::layer::pooling::pool;
use crate::layer::residual::Residual;
use crate::plan::{Buffers, PoolBuffers};
use crate::quantizer::{LARGEST, Quantizer};
use crate::tokenizer::Encoding;
use crate::trace::{Stage, Trace, Values};

/// Ids to logits. The ids of `encoding` lie in the region, as
/// [`EmbedBuffers`](crate::plan::EmbedBuffers) has them.
pub(crate) fn forward(
    model: &Model<'_>,
    encoding: &Encoding,
    buffers: &mut Buffers<'_>,
    trace: &mut impl Trace,
) {
    let Buffers {
        logits,
        residual_scales,
        residual_steps,
        region,
    } = buffers;
    let (limits, tokens) = (model.limits(), encoding.tokens);
    let mut residual = Residual::new(limits.hidden, tokens, residual_scales, residual_steps);

    // ids [tokens] → x [tokens, hidden]
    embed(model, encoding.first, &mut residual, region);
    trace.stage(Stage::Embeddings, Values::of(&residual));

    for (index, layer) in (0..u16::MAX).zip(model.layers()) {
        // x ← LayerNorm(x + W_O · heads(x))
        //   a head: [tokens, hidden] → queries and keys [tokens, query], values [tokens, value]
        //   heads(x): [tokens, context]
        attention(model, &layer, KeySource::OwnTokens, &mut residual, region);
        trace.stage(Stage::Attention(index), Values::of(&residual));

        // x ← LayerNorm(x + L_out · activation(L_in · x))
        //   [tokens, hidden] → [tokens, intermediate] → [tokens, hidden]
        mlp(model, &layer, &mut residual, region);
        trace.stage(Stage::Mlp(index), Values::of(&residual));
    }

    // x [tokens, hidden] → pooled [hidden]
    let PoolBuffers {
        pooled,
        scores,
        features,
    } = PoolBuffers::split(region, limits);
    pool(model.encoder().settings().pooling, &residual, pooled);
    trace.stage(Stage::Pooled, Values::pooled(pooled));

    // pooled [hidden] → logits [labels]
    let tile = Quantizer::of(pooled, LARGEST, 1).tile(pooled, 1, features);
    project(&model.encoder().classifier().iter(), &tile, scores);
    for (logit, score) in logits.iter_mut().zip(lanes::lane(scores, 0)) {
        *logit = *score;
    }
}
