//! What the families call the parts of the one network.

use super::config::Family;

/// Names of a layer's parts, without `.weight` and `.bias`.
pub(super) struct LayerNames {
    pub(super) query: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) attention_output: String,
    pub(super) attention_norm: String,
    pub(super) mlp_input: String,
    pub(super) mlp_output: String,
    pub(super) mlp_norm: String,
}

/// Name of the token embedding after any prefix; every family has it.
pub(super) const TOKENS: &str = "embeddings.word_embeddings.weight";

/// Name of the position embedding, likewise.
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";

/// Possible prefixes of every name: none where only the encoder was saved, the family where a head
/// was saved with it.
pub(super) const PREFIXES: [&str; 4] = ["", "bert.", "distilbert.", "electra."];

impl LayerNames {
    pub(super) fn new(family: Family, prefix: &str, layer: usize) -> Self {
        let [
            query,
            key,
            value,
            output,
            attention_norm,
            mlp_input,
            mlp_output,
            mlp_norm,
        ] = match family {
            Family::Bert | Family::Electra => [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            ],
            Family::DistilBert => [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "sa_layer_norm",
                "ffn.lin1",
                "ffn.lin2",
                "output_layer_norm",
            ],
        };
        let stack = match family {
            Family::Bert | Family::Electra => "encoder",
            Family::DistilBert => "transformer",
        };
        let name = |part: &str| format!("{prefix}{stack}.layer.{layer}.{part}");
        Self {
            query: name(query),
            key: name(key),
            value: name(value),
            attention_output: name(output),
            attention_norm: name(attention_norm),
            mlp_input: name(mlp_input),
            mlp_output: name(mlp_output),
            mlp_norm: name(mlp_norm),
        }
    }
}
