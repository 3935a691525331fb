//! Folders that are something else than a checkpoint that can be read.

/// What a folder is that lacks a file of a checkpoint, by the files it has.
pub(super) fn recognised(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let known = KNOWN.iter();
    let mut found = known.filter(|(files, _)| files.iter().any(|file| has(file)));
    found.next().map(|&(_, what)| what)
}

/// Files, and what a folder with one of them is.
const KNOWN: [(&[&str], &str); 6] = [
    (
        &["adapter_config.json", "adapter_model.safetensors"],
        "an adapter (LoRA), not a whole model: merge it into its base with `merge_and_unload` and \
         save that",
    ),
    (
        &["0_Transformer/config.json", "0_BERT/config.json"],
        "a folder of old sentence-transformers: the checkpoint is the folder 0_Transformer or \
         0_BERT in it",
    ),
    (
        &[
            "tf_model.h5",
            "saved_model.pb",
            "model.ckpt.index",
            "bert_model.ckpt.index",
        ],
        "a TensorFlow model: load it with from_tf=True and save it with safe_serialization=True",
    ),
    (
        &["flax_model.msgpack"],
        "a Flax model: load it with from_flax=True and save it with safe_serialization=True",
    ),
    (
        &["model.onnx", "onnx/model.onnx"],
        "an ONNX model: the checkpoint it was exported from is needed",
    ),
    (
        &["model.neuro"],
        "a folder of finished models: a run starts from a checkpoint of Hugging Face's",
    ),
];

#[cfg(test)]
mod tests {
    use super::recognised;

    #[test]
    fn a_folder_is_called_by_its_name() {
        let of = |file: &'static str| recognised(move |name| name == file).unwrap_or("unknown");
        assert!(of("adapter_config.json").starts_with("an adapter"));
        assert!(of("tf_model.h5").starts_with("a TensorFlow"));
        assert_eq!(of("notes.txt"), "unknown");
    }
}
