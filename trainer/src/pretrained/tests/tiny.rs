//! A tiny checkpoint with random weights, written as each family's library writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

pub(crate) const HIDDEN: usize = 16;
pub(crate) const HEADS: usize = 4;
pub(crate) const LAYERS: usize = 2;
pub(crate) const INTERMEDIATE: usize = 24;
pub(crate) const POSITIONS: usize = 20;
pub(crate) const EPSILON: f32 = 1e-12;

/// How a library names the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// BERT with a head: everything below `bert.`.
    Bert,
    /// BERT alone.
    Bare,
    /// BERT converted from TensorFlow: LayerNorms of `gamma` and `beta`.
    TensorFlow,
    DistilBert,
    Electra,
}

impl Style {
    pub(crate) const ALL: [Self; 5] = [
        Self::Bert,
        Self::Bare,
        Self::TensorFlow,
        Self::DistilBert,
        Self::Electra,
    ];

    pub(crate) fn has_segments(self) -> bool {
        self != Self::DistilBert
    }

    fn name(self, bare: &str) -> String {
        match self {
            Self::Bare => bare.to_owned(),
            Self::Bert => format!("bert.{bare}"),
            Self::Electra => format!("electra.{bare}"),
            Self::TensorFlow => bare
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta"),
            Self::DistilBert => {
                let mut name = bare.replace("encoder.layer", "distilbert.transformer.layer");
                for (bert, distilbert) in [
                    ("attention.self.query", "attention.q_lin"),
                    ("attention.self.key", "attention.k_lin"),
                    ("attention.self.value", "attention.v_lin"),
                    ("attention.output.dense", "attention.out_lin"),
                    ("attention.output.LayerNorm", "sa_layer_norm"),
                    ("intermediate.dense", "ffn.lin1"),
                    ("output.dense", "ffn.lin2"),
                    ("output.LayerNorm", "output_layer_norm"),
                ] {
                    name = name.replace(bert, distilbert);
                }
                if name.starts_with("embeddings") {
                    name = format!("distilbert.{name}");
                }
                name
            }
        }
    }

    pub(crate) fn config(self, vocabulary: usize) -> Value {
        match self {
            Self::DistilBert => json!({
                "model_type": "distilbert", "dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS,
                "hidden_dim": INTERMEDIATE, "activation": "gelu",
                "max_position_embeddings": POSITIONS, "vocab_size": vocabulary,
            }),
            Self::Bert | Self::Bare | Self::TensorFlow | Self::Electra => json!({
                "model_type": if self == Self::Electra { "electra" } else { "bert" },
                "hidden_size": HIDDEN, "embedding_size": HIDDEN, "num_hidden_layers": LAYERS,
                "num_attention_heads": HEADS, "intermediate_size": INTERMEDIATE,
                "hidden_act": "gelu", "layer_norm_eps": 1e-12, "type_vocab_size": 2,
                "max_position_embeddings": POSITIONS, "vocab_size": vocabulary,
                "position_embedding_type": "absolute",
            }),
        }
    }
}

/// Values by their names in a BERT that is saved alone.
pub(crate) struct Tiny {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub(crate) tokens: Vec<String>,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        let tokens = tokens();
        let mut tensors = BTreeMap::new();
        let mut random = Random(1);
        // Steps of 1/64 up to 1: F16 and BF16 hold them exactly.
        let mut add = |name: String, shape: &[usize], center: f32| {
            let values = (0..shape.iter().product()).map(|_| center + random.next());
            tensors.insert(name, (shape.to_vec(), values.collect()));
        };
        let embedding = |part: &str| format!("embeddings.{part}.weight");
        add(embedding("word_embeddings"), &[tokens.len(), HIDDEN], 0.0);
        add(embedding("position_embeddings"), &[POSITIONS, HIDDEN], 0.0);
        add(embedding("token_type_embeddings"), &[2, HIDDEN], 0.0);
        let norm = |add: &mut dyn FnMut(String, &[usize], f32), name: &str| {
            add(format!("{name}.weight"), &[HIDDEN], 1.0);
            add(format!("{name}.bias"), &[HIDDEN], 0.0);
        };
        norm(&mut add, "embeddings.LayerNorm");
        for layer in 0..LAYERS {
            for (part, rows, cols) in [
                ("attention.self.query", HIDDEN, HIDDEN),
                ("attention.self.key", HIDDEN, HIDDEN),
                ("attention.self.value", HIDDEN, HIDDEN),
                ("attention.output.dense", HIDDEN, HIDDEN),
                ("intermediate.dense", INTERMEDIATE, HIDDEN),
                ("output.dense", HIDDEN, INTERMEDIATE),
            ] {
                let name = format!("encoder.layer.{layer}.{part}");
                add(format!("{name}.weight"), &[rows, cols], 0.0);
                add(format!("{name}.bias"), &[rows], 0.0);
            }
            for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
                norm(&mut add, &format!("encoder.layer.{layer}.{part}"));
            }
        }
        Self { tensors, tokens }
    }

    pub(crate) fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    /// A folder with `config.json`, `tokenizer.json` and `model.safetensors`.
    pub(crate) fn write(&self, folder: &Path, style: Style, dtype: Dtype) {
        let config = style.config(self.tokens.len());
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let tokenizer = self.tokenizer().to_string();
        fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
        let names: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        self.write_tensors(&folder.join("model.safetensors"), &names, style, dtype);
    }

    /// These tensors, and one that has no place in the network.
    pub(crate) fn write_tensors(&self, path: &Path, names: &[&str], style: Style, dtype: Dtype) {
        let chosen = names
            .iter()
            .filter(|name| style.has_segments() || !name.contains("token_type"));
        let mut tensors: Vec<_> = chosen
            .map(|&name| {
                let (shape, values) = &self.tensors[name];
                (style.name(name), shape.clone(), bytes(values, dtype))
            })
            .collect();
        tensors.push((
            "pooler.dense.bias".to_owned(),
            vec![1],
            bytes(&[0.5], dtype),
        ));
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(dtype, shape.clone(), bytes).unwrap();
            (name.clone(), view)
        });
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    pub(crate) fn tokenizer(&self) -> Value {
        let ids: BTreeMap<&str, usize> = self.tokens.iter().map(String::as_str).zip(0..).collect();
        let special = |name: &str| {
            json!({"id": ids[name], "content": name, "special": true, "single_word": false,
                   "lstrip": false, "rstrip": false, "normalized": false})
        };
        let added = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(special);
        let piece =
            |name: &str, segment: usize| json!({"SpecialToken": {"id": name, "type_id": segment}});
        let text =
            |name: &str, segment: usize| json!({"Sequence": {"id": name, "type_id": segment}});
        let known = |name: &str| json!({"id": name, "ids": [ids[name]], "tokens": [name]});
        json!({
            "version": "1.0",
            "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
                        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": added,
            "normalizer": {"type": "BertNormalizer", "clean_text": true,
                           "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0)],
                "pair": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0), text("B", 1),
                         piece("[SEP]", 1)],
                "special_tokens": {"[CLS]": known("[CLS]"), "[SEP]": known("[SEP]")},
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]",
                      "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": ids},
        })
    }
}

fn tokens() -> Vec<String> {
    let special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let words = [
        "turn", "##ing", "lamp", "##s", "the", "kitchen", "on", "off", "Paris", "中", "é", "?",
        "bedroom", "##room", "bed", "light", "heat", "##er",
    ];
    let letters = || 'a'..='z';
    let all = special.into_iter().map(str::to_owned);
    let all = all.chain(letters().map(String::from));
    let all = all.chain(letters().map(|letter| format!("##{letter}")));
    // `##s` is a letter already.
    let words = words.into_iter().filter(|&word| word != "##s");
    all.chain(words.map(str::to_owned)).collect()
}

fn bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let each = |of: fn(f32) -> Vec<u8>| values.iter().copied().flat_map(of).collect();
    #[expect(clippy::wildcard_enum_match_arm, reason = "safetensors has more types")]
    match dtype {
        Dtype::F32 => each(|value| value.to_le_bytes().to_vec()),
        Dtype::F16 => each(|value| f16::from_f32(value).to_le_bytes().to_vec()),
        Dtype::BF16 => each(|value| bf16::from_f32(value).to_le_bytes().to_vec()),
        _ => each(|value| f64::from(value).to_le_bytes().to_vec()),
    }
}

/// Multiples of 1/64 from −1 to 1, by a linear congruence (Knuth, MMIX).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let step = u16::try_from((self.0 >> 33) % 129).unwrap();
        (f32::from(step) - 64.0) / 64.0
    }
}
