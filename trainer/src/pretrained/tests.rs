//! Pretrained checkpoints: the same hidden states as a plain forward pass over their
//! tensors, the same tokens as their tokenizer, and an error for what cannot be used.

mod reference;
mod tiny;

use core::sync::atomic::AtomicBool;
use std::fs;
use std::path::Path;

use crate::data::{Dataset, Format, ReadOptions, parse};
use crate::pretrained::Pretrained;
use crate::recipe::{ActivationKind, ModelRecipe, PoolingKind, Recipe, VocabularySize};
use crate::run::data::Data;
use crate::run::files::Files;
use crate::run::pipeline::{self, End};
use crate::text::batch::{Batch, encode};
use crate::training::Run;
use crate::training::checkpoint;
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Tokenizer;

use reference::hidden_states;
use tiny::{HIDDEN, LAYERS, POSITIONS, Style, Tiny};

const SINGLE: &str = "text\tlabel\n\
    Turn the LAMPS on?\ton\n\
    the kitchen lamp off\toff\n\
    turning the heater off in the bedroom\toff\n\
    zzz on\ton\n";
const PAIRS: &str = "text_a\ttext_b\tlabel\n\
    turn the lamp on\tthe lamp is on\tyes\n\
    turning the heat off\tlamps?\tno\n";

fn dataset(text: &str) -> Dataset {
    let options = ReadOptions::default();
    parse(
        "data.tsv".as_ref(),
        Format::Tsv,
        text.as_bytes(),
        &options,
        None,
    )
    .unwrap()
}

fn written(style: Style, dtype: Dtype) -> (Tiny, TempDir) {
    let (tiny, folder) = (Tiny::new(), TempDir::new().unwrap());
    tiny.write(folder.path(), style, dtype);
    (tiny, folder)
}

fn open(folder: &Path) -> Result<Pretrained, String> {
    Pretrained::open(folder.to_str().unwrap(), &mut ()).map_err(|error| error.to_string())
}

fn recipe(folder: &Path, vocabulary: VocabularySize) -> Recipe {
    let mut recipe = Recipe::pretrained();
    recipe.model.from = folder.to_str().unwrap().to_owned();
    recipe.model.vocabulary = vocabulary;
    recipe.model.tokens = 16;
    recipe
}

fn run(folder: &Path, vocabulary: VocabularySize, train: &Dataset) -> Result<Run, String> {
    let pretrained = open(folder)?;
    let mut recipe = recipe(folder, vocabulary);
    let adopted = recipe.model.adopt(&pretrained.model(), |_| false);
    adopted.map_err(|error| error.to_string())?;
    Run::from_pretrained(recipe, train, &pretrained).map_err(|error| error.to_string())
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-4,
            "{what}: {found}, {expected}"
        );
    }
}

/// Compares every text of `train`, layer by layer.
fn compare(tiny: &Tiny, folder: &Path, train: &Dataset, has_segments: bool) {
    let reference = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let reference = without_padding(reference);
    for vocabulary in [VocabularySize::All, VocabularySize::Used] {
        let run = run(folder, vocabulary, train).unwrap();
        let examples = encode(train, &run.vocabulary, run.recipe.model.tokens).unwrap();
        for (example, texts) in examples.iter().zip(train.examples.iter()) {
            let encoding = match texts.pair {
                None => reference.encode(texts.text, true),
                Some(pair) => reference.encode((texts.text, pair), true),
            }
            .unwrap();
            let tokens: Vec<String> = run.vocabulary.tokens().collect();
            let tokens = example.ids.iter().map(|&id| tokens[id as usize].clone());
            assert_eq!(tokens.collect::<Vec<_>>(), encoding.get_tokens());

            let segments = has_segments.then(|| encoding.get_type_ids());
            let states = hidden_states(tiny, encoding.get_ids(), segments);
            let recording = run.network.record(&Batch::new([example].into_iter()));
            let recording = recording.unwrap();
            let input_of = |weight| -> Vec<f32> {
                let input = recording.tape.input_of(weight).unwrap();
                input.flatten_all().unwrap().to_vec1().unwrap()
            };
            for (index, (layer, state)) in run.network.layers.iter().zip(&states).enumerate() {
                let found = input_of(&layer.attention().unwrap().projection.weight);
                assert_close(&found, &state.concat(), &format!("layer {index}"));
            }
            let last = &states[LAYERS];
            let count = f32::from(u16::try_from(last.len()).unwrap());
            let mean = |dimension: usize| last.iter().map(|x| x[dimension]).sum::<f32>() / count;
            let mean: Vec<f32> = (0..HIDDEN).map(mean).collect();
            let pooled = input_of(&run.network.classifier.weight);
            assert_close(&pooled, &mean, "pooled");
        }
    }
}

/// A checkpoint's settings for padding and truncation are for other programs.
fn without_padding(mut tokenizer: Tokenizer) -> Tokenizer {
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    tokenizer
}

#[test]
fn every_family_gives_the_hidden_states_of_the_reference() {
    let dtypes = [Dtype::F32, Dtype::F16, Dtype::BF16];
    for (style, dtype) in Style::ALL.into_iter().zip(dtypes.into_iter().cycle()) {
        let (tiny, folder) = written(style, dtype);
        for text in [SINGLE, PAIRS] {
            compare(&tiny, folder.path(), &dataset(text), style.has_segments());
        }
    }
}

#[test]
fn several_files_are_one_checkpoint() {
    let (tiny, folder) = written(Style::Bert, Dtype::F32);
    let whole = open(folder.path()).unwrap().model();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let names: Vec<&str> = tiny.tensors.keys().map(String::as_str).collect();
    let (first, second) = names.split_at(names.len() / 2);
    let mut map = serde_json::Map::new();
    for (file, names) in [
        ("model-1-of-2.safetensors", first),
        ("model-2-of-2.safetensors", second),
    ] {
        let path = folder.path().join(file);
        tiny.write_tensors(&path, names, Style::Bert, Dtype::F32);
        map.extend(names.iter().map(|&name| (name.to_owned(), json!(file))));
    }
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    compare(&tiny, folder.path(), &dataset(SINGLE), true);
    assert_ne!(
        open(folder.path()).unwrap().model().from_sha256,
        whole.from_sha256
    );

    map.insert("x".to_owned(), json!("../elsewhere.safetensors"));
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(
        error.contains("expected names of files beside it"),
        "{error}"
    );
}

#[test]
fn a_list_of_pieces_is_a_tokenizer_too() {
    let (tiny, folder) = written(Style::Bert, Dtype::F32);
    let tokenizer = run(folder.path(), VocabularySize::All, &dataset(SINGLE)).unwrap();
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    fs::write(folder.path().join("vocab.txt"), tiny.tokens.join("\n")).unwrap();
    let pieces = run(folder.path(), VocabularySize::All, &dataset(SINGLE)).unwrap();
    assert_eq!(pieces.vocabulary, tokenizer.vocabulary);

    let has = |run: &Run, token: &str| run.vocabulary.tokens().any(|other| other == token);
    assert!(!has(&pieces, "Paris") && !has(&pieces, "é") && !has(&pieces, "[PAD]"));
    let settings = json!({"do_lower_case": false});
    let path = folder.path().join("tokenizer_config.json");
    fs::write(path, settings.to_string()).unwrap();
    let cased = run(folder.path(), VocabularySize::All, &dataset(SINGLE)).unwrap();
    assert!(has(&cased, "Paris") && has(&cased, "é") && !has(&cased, "[PAD]"));
    let ids = |run: &Run| {
        run.vocabulary
            .reference(8)
            .unwrap()
            .encode("Paris", false)
            .unwrap()
    };
    assert_eq!(ids(&cased).get_tokens(), ["Paris"]);
    assert_eq!(ids(&pieces).get_tokens(), ["p", "##a", "##r", "##i", "##s"]);
}

#[test]
fn vocabularies_have_the_size_that_is_asked_for() {
    let (tiny, folder) = written(Style::Bert, Dtype::F32);
    let train = dataset(SINGLE);
    let size = |vocabulary| run(folder.path(), vocabulary, &train).map(|run| run.vocabulary);
    // Three special tokens, 26 letters in two forms, `?`.
    let needed = 3 + 52 + 1;
    let used = [
        "turn", "##ing", "lamp", "the", "kitchen", "on", "off", "heat", "##er", "bedroom",
    ];
    let vocabulary = size(VocabularySize::Used).unwrap();
    assert_eq!(vocabulary.len(), needed + used.len());
    for token in used {
        assert!(vocabulary.tokens().any(|other| other == token), "{token}");
    }

    // The most frequent first, of those that are as frequent the first of the list.
    let three = size(VocabularySize::Pieces(needed + 3)).unwrap();
    for token in ["the", "turn", "lamp"] {
        assert!(three.tokens().any(|other| other == token), "{token}");
    }
    // More than the texts use: what comes first in the checkpoint and is no character.
    let more = size(VocabularySize::Pieces(vocabulary.len() + 1)).unwrap();
    let added = more
        .tokens()
        .find(|token| vocabulary.tokens().all(|other| other != *token));
    assert_eq!(added.as_deref(), Some("##room"));

    // [PAD], [unused0], [MASK], `Paris` and `é` are in no text.
    let all = size(VocabularySize::All).unwrap();
    assert_eq!(all.len(), tiny.tokens.len() - 5);
    assert_eq!(size(VocabularySize::Pieces(5000)).unwrap(), all);

    let error = size(VocabularySize::Pieces(needed - 1)).unwrap_err();
    assert!(
        error.contains("special tokens and single characters alone are 56"),
        "{error}"
    );

    let pretrained = open(folder.path()).unwrap();
    let respelled = |text| {
        pretrained
            .respelled(&vocabulary, [text].into_iter())
            .unwrap()
    };
    let few = respelled("the light of the bed is on");
    assert_eq!((few.words, few.changed), (7, 2));
    let none = respelled("turn off the bedroom heater");
    assert_eq!((none.words, none.changed), (5, 0));
}

#[test]
fn recipes_take_over_the_shape_and_say_where_they_differ() {
    let (_, folder) = written(Style::Bert, Dtype::F32);
    let found = open(folder.path()).unwrap().model();
    let mut recipe = recipe(folder.path(), VocabularySize::Used);
    recipe.model.adopt(&found, |_| false).unwrap();
    recipe.check().unwrap();
    let model = &recipe.model;
    assert_eq!(
        (model.hidden, model.layers, model.heads, model.intermediate),
        (16, 2, 4, 24)
    );
    assert_eq!(model.activation, ActivationKind::Gelu);
    assert_eq!(model.norm_epsilon, 1e-12);
    assert_eq!((model.tokens, model.vocabulary), (16, VocabularySize::Used));
    assert_eq!(model.from_sha256.len(), 64);

    // The resolved recipe names everything and fits.
    recipe.model.adopt(&found, |_| true).unwrap();
    let mut other = recipe.clone();
    other.model.hidden = 64;
    let error = other
        .model
        .adopt(&found, |key| key == "hidden")
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("recipe key `model.hidden` is 64, but "),
        "{error}"
    );
    assert!(error.ends_with(" has 16; leave the key out"), "{error}");
    let mut other = recipe.clone();
    other.model.from_sha256 = "00".repeat(32);
    let error = other
        .model
        .adopt(&found, |_| false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`model.from_sha256` is 00"), "{error}");

    let mut long = recipe;
    long.model.tokens = POSITIONS + 1;
    let pretrained = open(folder.path()).unwrap();
    let error = Run::from_pretrained(long, &dataset(SINGLE), &pretrained).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`max_position_embeddings` is 20, expected 21 or more"),
        "{error}"
    );
}

/// From a checkpoint to a file that the runtime scores; the checkpoint may be gone when an
/// interrupted run resumes, and the file is the same.
#[test]
fn runs_end_in_the_same_file_interrupted_or_not() {
    let (_, folder) = written(Style::DistilBert, Dtype::F16);
    let train = dataset(SINGLE);
    let data = Data {
        train: train.clone(),
        dev: train.clone(),
        test: Some(train.clone()),
        unlabelled: None,
    };
    let begin = || run(folder.path(), VocabularySize::Used, &train).unwrap();
    let outs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [whole, resumed] = outs.each_ref().map(|out| Files {
        model: out.path().join("model.neuro"),
    });
    let go = AtomicBool::new(false);
    let end = pipeline::train(begin(), &data, &whole, &mut (), &go).unwrap();
    let End::Finished(outcome) = end else {
        panic!("nobody asked it to stop")
    };
    assert!(
        (outcome.run.sparsity - 0.9).abs() < 0.02,
        "{}",
        outcome.run.sparsity
    );

    let stop = AtomicBool::new(true);
    let end = pipeline::train(begin(), &data, &resumed, &mut (), &stop).unwrap();
    assert!(matches!(end, End::Stopped));
    let asked = recipe(folder.path(), VocabularySize::Used);
    folder.close().unwrap();
    let run = checkpoint::resume(&resumed.checkpoint(), &asked, &train).unwrap();
    pipeline::train(run, &data, &resumed, &mut (), &go).unwrap();
    assert!(fs::read(&whole.model).unwrap() == fs::read(&resumed.model).unwrap());

    let mut other = asked;
    other.model.from_sha256 = "00".repeat(32);
    let error = checkpoint::resume(&resumed.checkpoint(), &other, &train).unwrap_err();
    assert!(
        error.to_string().contains("`model.from_sha256` is 00"),
        "{error}"
    );
}

/// A name, what goes wrong, and a part of the message.
type Case = (&'static str, fn(&Path, &mut Tiny), &'static str);

/// One thing wrong, and the message.
#[test]
fn what_cannot_be_used_is_named() {
    let cases: [Case; 26] = [
        (
            "large",
            large,
            "tensor `bert.embeddings.LayerNorm.bias` holds 1e30, expected values from -65504 to \
             65504",
        ),
        (
            "long",
            long,
            "config.json: 4194305 bytes long, expected at most 4194304",
        ),
        (
            "endless",
            endless,
            "config.json: not a file but a folder, device or pipe",
        ),
        (
            "circle",
            circle,
            "tokenizer_config.json: Too many levels of symbolic links",
        ),
        (
            "wrong type",
            wrong_flag,
            "tokenizer_config.json: `do_lower_case` is \"no\", expected true, false or null",
        ),
        (
            "twice",
            twice,
            "config.json: not JSON as expected: the key \"hidden_size\" occurs twice",
        ),
        ("line end", line_end, "has `a\\nb: fine` and others"),
        (
            "header",
            header,
            "model.safetensors: has a header of 4194400 bytes, expected at most 4194304",
        ),
        (
            "no tensor",
            no_tensor,
            "model.safetensors: tensor `bert.encoder.layer.1.attention.self.key.bias` is missing",
        ),
        (
            "shape",
            wrong_shape,
            "tensor `bert.encoder.layer.0.output.dense.weight` has shape [24, 16], expected [16, 24]",
        ),
        (
            "vocabulary",
            fewer_rows,
            "tensor `bert.embeddings.word_embeddings.weight` has shape [74, 16], expected [75, 16]",
        ),
        (
            "type",
            wrong_type,
            "tensor `bert.embeddings.word_embeddings.weight` holds F64, expected F32, F16 or BF16",
        ),
        (
            "infinite",
            infinite,
            "tensor `bert.embeddings.LayerNorm.bias` holds values that are not finite",
        ),
        (
            "truncated",
            truncated,
            "model.safetensors: not a whole safetensors file: ",
        ),
        (
            "pickle",
            pickled,
            "has no model.safetensors; pytorch_model.bin holds Python objects",
        ),
        (
            "number",
            same_number,
            "tokenizer.json: the pieces \"[CLS]\" and \"zzz\" have the same number, ",
        ),
        (
            "bpe",
            bpe,
            "tokenizer.json: `model.type` is \"BPE\", expected WordPiece",
        ),
        (
            "normalizer",
            no_normalizer,
            "tokenizer.json: `normalizer.type` is \"NFC\", expected BertNormalizer",
        ),
        (
            "precompiled",
            precompiled,
            "tokenizer.json: `normalizer.type` is \"Precompiled\", expected BertNormalizer",
        ),
        (
            "contradiction",
            contradiction,
            "tokenizer.json: `normalizer.lowercase` is true, expected false, as `do_lower_case` in \
             tokenizer_config.json states",
        ),
        (
            "pointer",
            pointer,
            "model.safetensors: a Git LFS pointer, not the file itself",
        ),
        (
            "prefix",
            another_prefix,
            "has no token embedding, expected a tensor `embeddings.word_embeddings.weight`",
        ),
        ("bomb", bomb, "has shape [75, 16], expected [75, 4096]"),
        (
            "added",
            added_word,
            "tokenizer.json: `added_tokens` is \"smart home\", expected special tokens only",
        ),
        ("special", no_special, "vocab.txt: has no piece `[SEP]`"),
        (
            "none",
            no_tokenizer,
            "has neither tokenizer.json nor vocab.txt",
        ),
    ];
    for (name, damage, expected) in cases {
        let (mut tiny, folder) = written(Style::Bert, Dtype::F32);
        damage(folder.path(), &mut tiny);
        let error = run(folder.path(), VocabularySize::All, &dataset(SINGLE)).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
        let path = folder.path().to_str().unwrap();
        assert!(error.starts_with(path), "{name}: {error}");
    }
    let error = open("no-such-folder".as_ref()).err().unwrap();
    assert!(
        error.starts_with("no-such-folder: no such folder, expected a checkpoint"),
        "{error}"
    );
}

/// Editors leave one; no piece is blank.
#[test]
fn blank_lines_at_the_end_of_a_vocabulary_are_no_pieces() {
    let (tiny, folder) = written(Style::Bert, Dtype::F32);
    let path = folder.path();
    fs::remove_file(path.join("tokenizer.json")).unwrap();
    let pieces = tiny.tokens.join("\n");
    for end in ["", "\n", "\n\n  \r\n"] {
        fs::write(path.join("vocab.txt"), pieces.clone() + end).unwrap();
        assert_eq!(open(path).unwrap().pieces(), tiny.tokens.len(), "{end:?}");
    }
}

#[test]
fn networks_that_cannot_be_expressed_are_refused() {
    for (key, value, expected) in [
        (
            "model_type",
            json!("roberta"),
            "`model_type` is \"roberta\", expected \"bert\", \"distilbert\" or \"electra\" (its tokenizer is BPE",
        ),
        (
            "model_type",
            json!("gpt2"),
            "`model_type` is \"gpt2\", expected \"bert\"",
        ),
        (
            "model_type",
            Value::Null,
            "`model_type` is null, expected \"bert\"",
        ),
        (
            "hidden_act",
            json!("silu"),
            "`hidden_act` is \"silu\", expected \"relu\", \"gelu\"",
        ),
        (
            "position_embedding_type",
            json!("relative_key"),
            "expected \"absolute\"",
        ),
        (
            "is_decoder",
            json!(true),
            "`is_decoder` is true, expected false",
        ),
        (
            "embedding_size",
            json!(8),
            "`embedding_size` is 8, expected 16, the `hidden_size`: narrower embeddings",
        ),
        (
            "hidden_size",
            json!("wide"),
            "`hidden_size` is \"wide\", expected a number above 0",
        ),
        (
            "layer_norm_eps",
            json!(2),
            "`layer_norm_eps` is 2, expected a number from 0 to 0.1",
        ),
        (
            "vocab_size",
            json!(70),
            "piece `##er` has number 74, but the embedding has 70 rows",
        ),
    ] {
        let (tiny, folder) = written(Style::Electra, Dtype::F32);
        let mut config = Style::Electra.config(tiny.tokens.len());
        config[key] = value;
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let error = open(folder.path()).err().unwrap();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

fn rewrite(folder: &Path, tiny: &Tiny, dtype: Dtype, without: &str) {
    let names = tiny.tensors.keys().map(String::as_str);
    let names: Vec<&str> = names.filter(|name| *name != without).collect();
    let path = folder.join("model.safetensors");
    tiny.write_tensors(&path, &names, Style::Bert, dtype);
}

fn no_tensor(folder: &Path, tiny: &mut Tiny) {
    let name = "encoder.layer.1.attention.self.key.bias";
    rewrite(folder, tiny, Dtype::F32, name);
}

fn wrong_shape(folder: &Path, tiny: &mut Tiny) {
    let name = "encoder.layer.0.output.dense.weight";
    tiny.tensors.get_mut(name).unwrap().0.reverse();
    rewrite(folder, tiny, Dtype::F32, "");
}

fn fewer_rows(folder: &Path, tiny: &mut Tiny) {
    let name = "embeddings.word_embeddings.weight";
    let (shape, values) = tiny.tensors.get_mut(name).unwrap();
    shape[0] -= 1;
    values.truncate(shape[0] * HIDDEN);
    rewrite(folder, tiny, Dtype::F32, "");
}

fn wrong_type(folder: &Path, tiny: &mut Tiny) {
    rewrite(folder, tiny, Dtype::F64, "");
}

fn infinite(folder: &Path, tiny: &mut Tiny) {
    let name = "embeddings.LayerNorm.bias";
    tiny.tensors.get_mut(name).unwrap().1[3] = f32::INFINITY;
    rewrite(folder, tiny, Dtype::F32, "");
}

fn large(folder: &Path, tiny: &mut Tiny) {
    let name = "embeddings.LayerNorm.bias";
    tiny.tensors.get_mut(name).unwrap().1[3] = 1e30;
    rewrite(folder, tiny, Dtype::F32, "");
}

fn long(folder: &Path, _: &mut Tiny) {
    fs::write(folder.join("config.json"), vec![b' '; (4 << 20) + 1]).unwrap();
}

/// Reading it would never end.
fn endless(folder: &Path, _: &mut Tiny) {
    link(folder, "config.json", "/dev/zero");
}

fn circle(folder: &Path, _: &mut Tiny) {
    link(folder, "tokenizer_config.json", "tokenizer_config.json");
}

fn link(folder: &Path, name: &str, to: &str) {
    let path = folder.join(name);
    drop(fs::remove_file(&path));
    std::os::unix::fs::symlink(to, path).unwrap();
}

fn wrong_flag(folder: &Path, _: &mut Tiny) {
    let settings = r#"{"do_lower_case": "no"}"#;
    fs::write(folder.join("tokenizer_config.json"), settings).unwrap();
}

fn twice(folder: &Path, _: &mut Tiny) {
    let path = folder.join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(path, config.replacen('{', r#"{"hidden_size": 1,"#, 1)).unwrap();
}

/// What follows the line end must not look like a message of its own.
fn line_end(folder: &Path, _: &mut Tiny) {
    let header = r#"{"a\nb: fine": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    let file = [&length, header.as_bytes()].concat();
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn header(folder: &Path, _: &mut Tiny) {
    let length = (4_u64 << 20) + 96;
    let file = [&length.to_le_bytes()[..], &vec![b' '; 5 << 20]].concat();
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn truncated(folder: &Path, _: &mut Tiny) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 5]).unwrap();
}

fn pickled(folder: &Path, _: &mut Tiny) {
    let path = folder.join("model.safetensors");
    fs::rename(path, folder.join("pytorch_model.bin")).unwrap();
}

fn change_tokenizer(folder: &Path, tiny: &Tiny, change: impl Fn(&mut Value)) {
    let mut tokenizer = tiny.tokenizer();
    change(&mut tokenizer);
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

fn same_number(folder: &Path, tiny: &mut Tiny) {
    change_tokenizer(folder, tiny, |tokenizer| {
        let vocabulary = &mut tokenizer["model"]["vocab"];
        vocabulary["zzz"] = vocabulary["[CLS]"].clone();
    });
}

fn bpe(folder: &Path, tiny: &mut Tiny) {
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]],
    });
    change_tokenizer(folder, tiny, |tokenizer| {
        tokenizer["added_tokens"] = json!([]);
        tokenizer["post_processor"] = Value::Null;
        tokenizer["model"] = model.clone();
    });
}

fn no_normalizer(folder: &Path, tiny: &mut Tiny) {
    change_tokenizer(folder, tiny, |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "NFC"});
    });
}

/// Building it panics in the library.
fn precompiled(folder: &Path, tiny: &mut Tiny) {
    change_tokenizer(folder, tiny, |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
    });
}

fn contradiction(folder: &Path, _: &mut Tiny) {
    let settings = r#"{"do_lower_case": false}"#;
    fs::write(folder.join("tokenizer_config.json"), settings).unwrap();
}

fn pointer(folder: &Path, _: &mut Tiny) {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 90868376\n";
    fs::write(folder.join("model.safetensors"), pointer).unwrap();
}

fn another_prefix(folder: &Path, _: &mut Tiny) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let (header, values) = bytes[8..].split_at(usize::try_from(length).unwrap());
    let header = core::str::from_utf8(header)
        .unwrap()
        .replace("\"bert.", "\"model.bert.");
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length, header.as_bytes(), values].concat()).unwrap();
}

/// A few bytes of configuration that state a network of gigabytes.
fn bomb(folder: &Path, _: &mut Tiny) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["hidden_size"] = json!(4096);
    config["intermediate_size"] = json!(16384);
    config["num_hidden_layers"] = json!(64);
    fs::write(path, config.to_string()).unwrap();
}

fn added_word(folder: &Path, tiny: &mut Tiny) {
    change_tokenizer(folder, tiny, |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut word = added[0].clone();
        word["id"] = json!(75);
        word["content"] = json!("smart home");
        word["special"] = json!(false);
        added.push(word);
    });
}

fn no_special(folder: &Path, tiny: &mut Tiny) {
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let pieces = tiny.tokens.join("\n").replace("[SEP]", "[OTHER]");
    fs::write(folder.join("vocab.txt"), pieces).unwrap();
}

fn no_tokenizer(folder: &Path, _: &mut Tiny) {
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
}

/// What sentence-transformers says of a folder holds, and where a recipe does something else it is
/// said.
#[test]
fn pooling_and_length_are_honoured_or_contradicted() {
    let (_, folder) = written(Style::Bert, Dtype::F32);
    let from = folder.path().to_str().unwrap();
    let open = || open(folder.path()).unwrap();
    assert_eq!(open().model().pooling, PoolingKind::Mean);
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let pooling =
        |json: &str| fs::write(folder.path().join("1_Pooling/config.json"), json).unwrap();
    pooling(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#);
    let length = folder.path().join("sentence_bert_config.json");
    fs::write(length, r#"{"max_seq_length": 12}"#).unwrap();
    let pretrained = open();
    assert_eq!(pretrained.model().pooling, PoolingKind::Cls);

    let mut own = ModelRecipe {
        from: from.to_owned(),
        tokens: 12,
        ..ModelRecipe::default()
    };
    let mut adopted = own.clone();
    adopted.adopt(&pretrained.model(), |_| false).unwrap();
    assert_eq!(adopted.pooling, PoolingKind::Cls);
    assert_eq!(pretrained.contradictions(&adopted), [""; 0]);
    own.tokens = 13;
    own.adopt(&pretrained.model(), |key| key == "pooling")
        .unwrap();
    assert_eq!(
        pretrained.contradictions(&own),
        [
            "1_Pooling/config.json pools with cls, `model.pooling` is mean",
            "sentence_bert_config.json cuts texts to 12 tokens, `model.tokens` is 13"
        ]
    );
    pooling(r#"{"pooling_mode_max_tokens": true}"#);
    assert_eq!(
        open().contradictions(&adopted)[0],
        "1_Pooling/config.json pools with \"max_tokens\", `model.pooling` is cls"
    );
}
