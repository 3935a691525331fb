//! The forward pass of an encoder, on one page.
//!
//! Post-LayerNorm encoder (Vaswani et al. 2017; Devlin et al. 2019), eight tokens at a time. The
//! residual stream is in 16 bits ([`Residual`]), and products read 8, both with one scale per
//! token; a product is Σ w·x in `i32`, then · (row scale · token scale), then + bias.

use neuroprune_format::architecture::{
    Head, MlpKind, NormKind, NormPlace, Positions, StackSettings,
};
use neuroprune_format::encoder::{Encoder, Mixing};
use neuroprune_format::tensor::Role;

use crate::kernels::{lanes, project};
use crate::layer::attention::{KeySource, attention};
use crate::layer::embedding::embed;
use crate::layer::mlp::mlp;
use crate::layer::pooling::pool;
use crate::layer::recurrence::recurrence;
use crate::layer::residual::Residual;
use crate::plan::{Buffers, PoolBuffers};
use crate::quantizer::{LARGEST, Quantizer};
use crate::tokenizer::Encoding;
use crate::trace::{Stage, Trace, Values};

/// Ids to logits. The ids of `encoding` are in the region, as
/// [`EmbedBuffers`](crate::plan::EmbedBuffers) lays them out.
pub(crate) fn forward(
    encoder: &Encoder<'_>,
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
    // The kind of stack that the blocks below compute; another kind needs its own page, or a choice
    // here.
    let StackSettings {
        norm: NormKind::Layer,
        norm_place: NormPlace::Post,
        norm_epsilon: epsilon,
        positions: Positions::Learned | Positions::None,
        mlp: MlpKind::Plain,
        activation,
        layers: _,
        dense_weights: _,
    } = *encoder.stack();
    let (limits, tokens) = (encoder.limits(), encoding.tokens);
    let mut residual = Residual::new(limits.hidden, tokens, residual_scales, residual_steps);

    // ids [tokens] → x [tokens, hidden]
    embed(encoder, encoding.first, &mut residual, limits, region);
    trace.stage(Stage::Embeddings, Values::of(&residual));

    for (index, layer) in (0..u16::MAX).zip(encoder.layers()) {
        match layer.mixing() {
            // x ← LayerNorm(x + W_O · heads(x))
            //   a head: [tokens, hidden] → queries and keys [tokens, query], values [tokens, value]
            //   heads(x): [tokens, context]
            Mixing::Attention(of_layer) => {
                let keys = KeySource::OwnTokens;
                attention(&of_layer, keys, epsilon, &mut residual, limits, region);
                trace.stage(Stage::Attention(index), Values::of(&residual));
            }
            // x ← LayerNorm(x + (forward h, backward h))
            //   a direction: [tokens, 2 · hidden] → gates and candidates [tokens, hidden]
            //   → h [tokens, hidden / 2]
            Mixing::Recurrence(of_layer) => {
                recurrence(&of_layer, epsilon, &mut residual, limits, region);
                trace.stage(Stage::Recurrence(index), Values::of(&residual));
            }
        }

        // x ← LayerNorm(x + L_out · activation(L_in · x))
        //   [tokens, hidden] → [tokens, intermediate] → [tokens, hidden]
        if let Some(of_layer) = layer.mlp() {
            mlp(
                &of_layer,
                activation,
                epsilon,
                &mut residual,
                limits,
                region,
            );
            trace.stage(Stage::Mlp(index), Values::of(&residual));
        }
    }

    // x [tokens, hidden] → pooled [hidden]
    let PoolBuffers {
        pooled,
        scores,
        features,
    } = PoolBuffers::split(region, limits);
    let Head::Classes(pooling) = encoder.head();
    pool(pooling, &residual, pooled);
    trace.stage(Stage::Pooled, Values::pooled(pooled));

    // pooled [hidden] → logits [labels]
    let tile = Quantizer::of(pooled, LARGEST, 1).tile(pooled, 1, features);
    project(&encoder.classifier().iter(), &tile, scores);
    for (logit, score) in logits.iter_mut().zip(lanes::lane(scores, 0)) {
        *logit = *score;
    }
}

/// Where each tensor is executed. Never called: a new role does not build until it has a place.
const _: fn(Role) = |role| match role {
    // `layer::embedding`
    Role::TokenEmbedding | Role::PositionEmbedding | Role::SegmentEmbedding => {}
    Role::EmbeddingFactor | Role::EmbeddingNorm => {}
    // `layer::attention`
    Role::Head | Role::AttentionOutput | Role::AttentionNorm => {}
    // `layer::recurrence`
    Role::ForwardRecurrence | Role::BackwardRecurrence | Role::RecurrenceNorm => {}
    // `layer::mlp`
    Role::MlpInput | Role::MlpOutput | Role::MlpNorm => {}
    // above
    Role::Classifier => {}
};
