//! The classifier's contract: how much memory, whose memory, which texts, which errors, in which
//! order. That its logits are right is checked in `forward.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a failing test may panic"
)]

mod models;

use core::time::Duration;
#[cfg(target_arch = "x86_64")]
use std::sync::Mutex;
use std::time::Instant;

use models::{Random, Shape};
use neuroprune_format::tensor::{Role, Scale};
use neuroprune_format::writer::TensorSource;
use neuroprune_runtime::kernels::LANES;
use neuroprune_runtime::{
    Classification, Classifier, Model, RANKING, RuntimeError, SCRATCH_ALIGNMENT, Scratch, Stage,
    Values, required_scratch,
};

mod golden {
    neuroprune_runtime::include_model!("../../format/tests/golden/v2.neuro");
}

const TEXT: &str = "abc d, efg? hi";

/// A file of [`Shape::small`].
fn single() -> Vec<u8> {
    Shape::small().file(&mut Random::new(1))
}

/// A file of [`Shape::small_pair`].
fn pair() -> Vec<u8> {
    Shape::small_pair().file(&mut Random::new(2))
}

fn full_scratch(model: &Model<'_>) -> Vec<u64> {
    models::scratch(required_scratch(model.limits(), model.limits().tokens), 0)
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

/// The answer and the logits of a fresh classifier.
fn classify<'m>(
    model: &Model<'m>,
    text: &str,
    second: Option<&str>,
) -> (Classification<'m>, Vec<u32>) {
    let mut scratch = full_scratch(model);
    let mut classifier = Classifier::new(*model, bytemuck::cast_slice_mut(&mut scratch)).unwrap();
    let answer = match second {
        Some(second) => classifier.classify_pair(text, second).unwrap(),
        None => classifier.classify(text).unwrap(),
    };
    let logits = bits(classifier.logits());
    (answer, logits)
}

/// Wherever a buffer begins, exactly the stated bytes work, nothing after them is
/// touched, and one byte less is an error with the exact numbers.
#[test]
fn scratch_is_exact_at_every_alignment() {
    let file = single();
    let model = Model::open(&file).unwrap();
    let (expected, expected_logits) = classify(&model, TEXT, None);
    for tokens in [3, 4, 8, 9, 12] {
        let required = required_scratch(model.limits(), tokens);
        for offset in 0..8_usize {
            let lost = offset.next_multiple_of(SCRATCH_ALIGNMENT) - offset;
            let needed = required + lost;
            let mut words = models::scratch(needed + 16, offset as u64);
            let before = words.clone();
            let before: &[u8] = bytemuck::cast_slice(&before);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);

            let short = &mut bytes[offset..][..needed - 1];
            let given = needed - 1;
            let error = Classifier::with_tokens(model, short, tokens).unwrap_err();
            assert_eq!(error, RuntimeError::Scratch { needed, given });

            let exact = &mut bytes[offset..][..needed];
            let mut classifier = Classifier::with_tokens(model, exact, tokens).unwrap();
            let answer = classifier.classify(TEXT).unwrap();
            assert_eq!(answer.tokens, tokens.min(expected.tokens));
            if tokens >= expected.tokens {
                assert_eq!(answer, expected);
                assert_eq!(bits(classifier.logits()), expected_logits);
            }
            let end = offset + needed;
            assert_eq!(bytes[end..], before[end..], "wrote after the end");
            assert_eq!(bytes[..offset], before[..offset]);
        }
    }
    let empty = &mut [][..];
    let needed = required_scratch(model.limits(), 12);
    let error = Classifier::new(model, empty).unwrap_err();
    let RuntimeError::Scratch {
        needed: stated,
        given: 0,
    } = error
    else {
        panic!("{error}");
    };
    // The address of an empty buffer cannot be chosen.
    assert!((needed..needed + SCRATCH_ALIGNMENT).contains(&stated));
}

/// The stated size is not merely enough: a text of full length writes its last eight
/// bytes, or those of them that hold a token of a tile, whichever stage of whichever layer
/// needs the most. (A byte was written if it does not depend on its earlier value.) Only a model
/// without layers, or without heads that have values, is given more than it uses: its limits are
/// those of a model with empty layers, and the attention of one token over the others is planned
/// for; so is one whose largest head has no values.
#[test]
fn scratch_is_used_to_the_last_feature() {
    for number in 0..200 {
        let mut random = Random::new(number);
        let shape = Shape::random(&mut random);
        if shape.layers.is_empty() {
            continue;
        }
        let file = shape.file(&mut random);
        let model = Model::open(&file).unwrap();
        let limits = model.limits();
        // Heads without values are not run, but their queries are planned for.
        let heads = || shape.layers.iter().flat_map(|layer| layer.mixing.heads());
        let queries = |values: fn(usize) -> bool| {
            let heads = heads().filter(move |head| values(head.1));
            heads.map(|head| head.0).max()
        };
        if queries(|values| values == 0) > queries(|values| values > 0) || limits.value == 0 {
            continue;
        }
        let tokens = random.within(3..=shape.tokens);
        let needed = required_scratch(limits, tokens);
        let text = "abc ".repeat(tokens);
        // Complements: no byte is the same in both.
        let last = [0, u64::MAX].map(|mask| {
            let mut words = models::scratch(needed, number);
            words.iter_mut().for_each(|word| *word ^= mask);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            let bytes = &mut bytes[..needed];
            let mut classifier = Classifier::with_tokens(model, bytes, tokens).unwrap();
            let second = shape.pair.then_some("a");
            let answer = classifier.classify_traced(&text, second, &mut ()).unwrap();
            assert_eq!(answer.tokens, tokens);
            bytes[needed - LANES..].to_vec()
        });
        let written = last[0].iter().zip(&last[1]).any(|(a, b)| a == b);
        assert!(written, "case {number}");
    }
}

#[test]
fn tokens_are_held_between_the_special_tokens_and_the_limit() {
    for (file, second) in [(single(), None), (pair(), Some("ab"))] {
        let model = Model::open(&file).unwrap();
        let limits = model.limits();
        for tokens in 0..=3 {
            let needed = required_scratch(limits, tokens);
            let mut words = models::scratch(needed, 0);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            let mut classifier =
                Classifier::with_tokens(model, &mut bytes[..needed], tokens).unwrap();
            let answer = classifier.classify_traced("abc", second, &mut ()).unwrap();
            assert_eq!((answer.tokens, answer.truncated), (3, true));
        }
        for tokens in [limits.tokens, limits.tokens + 1, usize::MAX] {
            assert_eq!(
                required_scratch(limits, tokens),
                required_scratch(limits, limits.tokens)
            );
            let mut words = full_scratch(&model);
            let bytes = bytemuck::cast_slice_mut(&mut words);
            let mut classifier = Classifier::with_tokens(model, bytes, tokens).unwrap();
            let long = "ab ".repeat(100);
            let answer = classifier.classify_traced(&long, second, &mut ()).unwrap();
            assert_eq!((answer.tokens, answer.truncated), (limits.tokens, true));
        }
    }
}

/// Runs a test with the kernels of this target and, if those are chosen at run time, with the
/// portable ones, whose arithmetic is checked for overflow.
fn with_every_set(test: impl Fn()) {
    test();
    #[cfg(target_arch = "x86_64")]
    {
        use neuroprune_runtime::kernels::x86_64::Avx2;

        // Tests that do not select a set may run with either meanwhile: it makes no difference to
        // them.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock();
        Avx2::allow(false);
        test();
        Avx2::allow(true);
    }
}

/// Uninitialised memory must not affect the result.
#[test]
fn what_the_scratch_held_before_does_not_matter() {
    with_every_set(|| {
        for number in 0..32 {
            let mut random = Random::new(number);
            let shape = Shape::random(&mut random);
            let file = shape.file(&mut random);
            let model = Model::open(&file).unwrap();
            let text = models::text(20, &mut random);
            let second = shape.pair.then(|| models::text(20, &mut random));
            let needed = required_scratch(model.limits(), model.limits().tokens);
            let results = [0, 1, 2, 3].map(|seed| {
                let mut scratch = match seed {
                    0 => vec![0; needed.div_ceil(8)],
                    seed => models::scratch(needed, seed),
                };
                let scratch = bytemuck::cast_slice_mut(&mut scratch);
                let mut classifier = Classifier::new(model, scratch).unwrap();
                let zeros = vec![0; model.limits().outputs];
                assert_eq!(bits(classifier.logits()), zeros, "before the first text");
                let answer = classifier.classify_traced(&text, second.as_deref(), &mut ());
                (answer.unwrap(), bits(classifier.logits()))
            });
            for result in &results[1..] {
                assert_eq!(result, &results[0], "case {number}");
            }
        }
    });
}

/// One buffer for several models and texts of every length, as in an application with little
/// memory: each answer is the same as with fresh memory.
#[test]
fn a_buffer_may_be_shared_by_models() {
    let mut random = Random::new(0);
    let shapes: Vec<Shape> = (0..12).map(|_| Shape::random(&mut random)).collect();
    let files: Vec<_> = shapes.iter().map(|shape| shape.file(&mut random)).collect();
    let models: Vec<_> = files
        .iter()
        .map(|file| Model::open(file).unwrap())
        .collect();
    let needed = |model: &Model<'_>| required_scratch(model.limits(), model.limits().tokens);
    let most = models.iter().map(needed).max().unwrap();
    with_every_set(|| {
        let mut random = Random::new(1);
        let mut shared = models::scratch(most, 0);
        for _ in 0..200 {
            let number = random.within(0..=models.len() - 1);
            let model = &models[number];
            let words = random.one_of(&[1, 4, 30]);
            let text = models::text(words, &mut random);
            let second = shapes[number]
                .pair
                .then(|| models::text(words, &mut random));
            let scratch = bytemuck::cast_slice_mut(&mut shared);
            let mut classifier = Classifier::new(*model, scratch).unwrap();
            let answer = classifier.classify_traced(&text, second.as_deref(), &mut ());
            let found = (answer.unwrap(), bits(classifier.logits()));
            assert_eq!(
                found,
                classify(model, &text, second.as_deref()),
                "model {number}"
            );
        }
    });
}

/// One classifier for many texts gives the same as a fresh one for each.
#[test]
fn no_text_shows_in_the_next() {
    for (file, second) in [(single(), None), (pair(), Some("ab, c"))] {
        let model = Model::open(&file).unwrap();
        let mut scratch = full_scratch(&model);
        let scratch = bytemuck::cast_slice_mut(&mut scratch);
        let mut classifier = Classifier::new(model, scratch).unwrap();
        let long = "abcd efgh, ".repeat(20);
        for text in [&long, "a", &long, "", "?", TEXT, "a"] {
            let answer = classifier.classify_traced(text, second, &mut ()).unwrap();
            let logits = bits(classifier.logits());
            assert_eq!((answer, logits), classify(&model, text, second), "{text:?}");
        }
    }
}

/// A rejected call does not overwrite earlier results.
#[test]
fn pairs_and_single_texts_are_told_apart() {
    let (single, pair) = (single(), pair());
    let single = Model::open(&single).unwrap();
    let pair = Model::open(&pair).unwrap();
    let (mut a, mut b) = (full_scratch(&single), full_scratch(&pair));
    let mut single = Classifier::new(single, bytemuck::cast_slice_mut(&mut a)).unwrap();
    let mut pair = Classifier::new(pair, bytemuck::cast_slice_mut(&mut b)).unwrap();
    single.classify(TEXT).unwrap();
    let before = bits(single.logits());
    assert_eq!(
        single.classify_pair("a", "b"),
        Err(RuntimeError::SingleExpected)
    );
    assert_eq!(bits(single.logits()), before);
    pair.classify_pair(TEXT, "a").unwrap();
    let before = bits(pair.logits());
    assert_eq!(pair.classify("a"), Err(RuntimeError::PairExpected));
    let mut trace = |stage, _: Values<'_>| panic!("{stage:?} of a refused text");
    assert_eq!(
        pair.classify_traced("a", None, &mut trace),
        Err(RuntimeError::PairExpected)
    );
    assert_eq!(bits(pair.logits()), before);
}

/// The order of the two texts counts, through the segments.
#[test]
fn a_pair_is_not_its_reverse() {
    let file = pair();
    let model = Model::open(&file).unwrap();
    let (_, forward) = classify(&model, "ab", Some("cd"));
    let (_, reverse) = classify(&model, "cd", Some("ab"));
    let (_, same) = classify(&model, "ab", Some("cd"));
    assert_ne!(forward, reverse);
    assert_eq!(forward, same);
}

#[test]
fn empty_texts_are_texts() {
    let file = single();
    let model = Model::open(&file).unwrap();
    for text in ["", " \n ", "\u{301}"] {
        let (answer, _) = classify(&model, text, None);
        assert_eq!((answer.tokens, answer.unknown), (2, 0), "{text:?}");
        assert!(!answer.truncated && answer.probability > 0.0);
    }
    let file = pair();
    let model = Model::open(&file).unwrap();
    let (answer, _) = classify(&model, "", Some(""));
    assert_eq!((answer.tokens, answer.unknown), (3, 0));
    assert!(!answer.truncated && answer.probability > 0.0);
}

#[test]
fn unknown_words_are_counted() {
    let file = single();
    let model = Model::open(&file).unwrap();
    // (text, tokens, unknown): `?` stands alone, `xyz` and `axa` are one word each.
    for (text, tokens, unknown) in [
        ("xyz", 3, 1),
        ("\u{1f600} xyz \u{65e5}", 5, 3),
        ("???", 5, 3),
        ("axa a", 4, 1),
        ("a, b", 5, 0),
    ] {
        let (answer, _) = classify(&model, text, None);
        assert_eq!((answer.tokens, answer.unknown), (tokens, unknown), "{text}");
        assert!(!answer.truncated);
    }
    let file = pair();
    let model = Model::open(&file).unwrap();
    let (answer, _) = classify(&model, "x a", Some("? z"));
    assert_eq!((answer.tokens, answer.unknown), (7, 3));
}

/// A megabyte of anything is read at most once or twice. Anything quadratic would
/// take hours; the bound leaves room for a busy machine.
#[test]
fn a_megabyte_of_text_is_no_work() {
    let (single, pair) = (single(), pair());
    let (single, pair) = (Model::open(&single).unwrap(), Model::open(&pair).unwrap());
    let start = Instant::now();
    for (unit, truncated) in [
        ("abc ", true),
        ("?", true),
        // One word, longer than any piece: unknown.
        ("a", false),
        ("x", false),
        (" ", false),
        ("\u{301}", false),
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let (answer, _) = classify(&single, &text, None);
        assert_eq!(answer.truncated, truncated, "{unit:?}");
        let limit = single.limits().tokens;
        assert_eq!(answer.tokens == limit, truncated, "{unit:?}");
        let (answer, _) = classify(&pair, &text, Some(&text));
        assert_eq!(answer.truncated, truncated, "{unit:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// The ranking is the sorted logits, cut at [`RANKING`], as probabilities.
#[test]
fn ranking_is_sorted_and_says_probabilities() {
    for number in 0..64 {
        let mut random = Random::new(number);
        let mut shape = Shape::random(&mut random);
        shape.labels = random.within(1..=12);
        let file = shape.file(&mut random);
        let model = Model::open(&file).unwrap();
        let text = models::text(20, &mut random);
        let second = shape.pair.then(|| models::text(20, &mut random));
        let (answer, logits) = classify(&model, &text, second.as_deref());
        let logits: Vec<f32> = logits.into_iter().map(f32::from_bits).collect();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Stable: the lower class first among equals.
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        order.truncate(RANKING);
        let classes: Vec<usize> = answer.ranking.iter().map(|r| r.class.into()).collect();
        assert_eq!(classes, order, "case {number}");

        let exponentials = logits.iter().map(|&logit| f64::from(logit).exp());
        let all: f64 = exponentials.sum();
        let mut sum = 0.0;
        for ranked in &answer.ranking {
            let class = usize::from(ranked.class);
            assert_eq!(ranked.label, format!("class {class}"));
            assert!((0.0..=1.0).contains(&ranked.probability), "case {number}");
            let softmax = f64::from(logits[class]).exp() / all;
            // The exponential is within 0.3 %, above and below the line.
            let error = (f64::from(ranked.probability) - softmax).abs();
            assert!(error <= 0.006 * softmax, "case {number}");
            sum += ranked.probability;
        }
        assert!(sum <= 1.0 + 1e-5, "case {number}: {sum}");
        if logits.len() <= RANKING {
            assert!((sum - 1.0).abs() < 1e-5, "case {number}: {sum}");
        }
        let best = &answer.ranking[0];
        assert_eq!(
            (answer.label, answer.class, answer.probability),
            (best.label, best.class, best.probability)
        );
    }
}

/// A model whose logits are its classifier's biases.
fn with_logits(biases: &[u8]) -> Vec<u8> {
    let mut shape = Shape::small();
    shape.labels = biases.len();
    let mut source = shape.source(&mut Random::new(1));
    let classifier = models::matrix_mut(&mut source, Role::Classifier);
    classifier.weights.fill(0);
    classifier.bias = Some(biases.iter().map(|&bias| bias.into()).collect());
    source.to_bytes().unwrap()
}

#[test]
fn ties_go_to_the_lower_class() {
    for (biases, order) in [
        (&[3, 3, 3, 3, 3, 3, 3][..], &[0, 1, 2, 3, 4][..]),
        (&[1, 3, 1, 3, 1, 3, 1], &[1, 3, 5, 0, 2]),
        (&[0, 0, 0, 0, 0, 0, 9], &[6, 0, 1, 2, 3]),
        (&[5, 6, 5], &[1, 0, 2]),
        // Logits that differ, probabilities that are both zero.
        (&[200, 5, 6], &[0, 2, 1]),
    ] {
        let file = with_logits(biases);
        let model = Model::open(&file).unwrap();
        let (answer, logits) = classify(&model, TEXT, None);
        let expected: Vec<u32> = biases.iter().map(|&b| f32::from(b).to_bits()).collect();
        assert_eq!(logits, expected);
        let classes: Vec<u16> = answer.ranking.iter().map(|r| r.class).collect();
        assert_eq!(classes, order, "{biases:?}");
        let tied = answer
            .ranking
            .iter()
            .filter(|r| biases[usize::from(r.class)] == 3);
        let probabilities: Vec<f32> = tied.map(|r| r.probability).collect();
        assert!(probabilities.windows(2).all(|two| two[0] == two[1]));
    }
}

/// As many classes as the format allows: class numbers use all of `u16`.
#[test]
fn the_last_possible_class_can_win() {
    let mut biases = vec![0; 65_535];
    biases[65_534] = 20;
    biases[300] = 19;
    let file = with_logits(&biases);
    let model = Model::open(&file).unwrap();
    let (answer, _) = classify(&model, TEXT, None);
    let classes: Vec<u16> = answer.ranking.iter().map(|r| r.class).collect();
    assert_eq!(classes, [65_534, 300, 0, 1, 2]);
    assert_eq!(answer.label, "class 65534");
}

/// The format allows scales whose products are not finite in `f32`. Such a model answers nonsense,
/// but it answers, and with numbers: a NaN would differ between targets.
#[test]
fn extreme_numbers_end_in_numbers() {
    for number in 0..64 {
        let mut random = Random::new(number);
        let mut shape = Shape::random(&mut random);
        shape.norm_epsilon = random.one_of(&[0.0, 1e-5]);
        let mut source = shape.source(&mut random);
        let extremes = ["65504", "6e-8", "1"].map(|number| number.parse().unwrap());
        for tensor in &mut source.tensors {
            let (scales, halves) = match tensor {
                TensorSource::Matrix(matrix) => {
                    (&mut matrix.scales[..], [matrix.bias.as_mut(), None])
                }
                TensorSource::Table(table) => (&mut table.scales[..], [None, None]),
                TensorSource::Norm(norm) => {
                    (&mut [][..], [Some(&mut norm.gain), Some(&mut norm.shift)])
                }
            };
            for scale in scales {
                *scale = random.one_of(&[Scale(u8::MAX), Scale(0), Scale::ONE]);
            }
            for number in halves.into_iter().flatten().flatten() {
                *number = random.one_of(&extremes);
            }
        }
        let file = source.to_bytes().unwrap();
        let model = Model::open(&file).unwrap();
        let second = shape.pair.then_some("ab, c");
        let (answer, logits) = classify(&model, TEXT, second);
        let numbers = logits.iter().map(|&bits| f32::from_bits(bits));
        assert!(numbers.into_iter().all(f32::is_finite), "model {number}");
        assert!((0.0..=1.0).contains(&answer.probability));
        let classes = answer.ranking.len();
        assert_eq!(classes, model.limits().outputs.min(RANKING));
    }
}

/// Stages come complete and in the order of the forward pass, and a trace changes nothing.
#[test]
fn trace_sees_every_stage_and_changes_nothing() {
    for (file, second) in [(single(), None), (pair(), Some("ab, c"))] {
        let model = Model::open(&file).unwrap();
        let hidden = model.limits().hidden;
        for text in ["", "a", TEXT, "abc def ghi jkl mno"] {
            let (expected, expected_logits) = classify(&model, text, second);
            let mut scratch = full_scratch(&model);
            let scratch = bytemuck::cast_slice_mut(&mut scratch);
            let mut classifier = Classifier::new(model, scratch).unwrap();
            let mut seen = Vec::new();
            let mut trace = |stage, values: Values<'_>| {
                assert!(values.iter().all(f32::is_finite));
                seen.push((stage, values.iter().count()));
            };
            let answer = classifier
                .classify_traced(text, second, &mut trace)
                .unwrap();
            let stream = answer.tokens * hidden;
            let stages = [
                (Stage::Embeddings, stream),
                (Stage::Attention(0), stream),
                (Stage::Mlp(0), stream),
                (Stage::Attention(1), stream),
                (Stage::Mlp(1), stream),
                (Stage::Pooled, hidden),
            ];
            assert_eq!(seen, stages);
            assert_eq!(answer, expected);
            assert_eq!(bits(classifier.logits()), expected_logits);
        }
    }
}

/// The constant by which firmware sizes its memory is the size that the classifier requires.
#[test]
fn included_model_states_its_scratch_at_compile_time() {
    let model = Model::open(golden::MODEL_FILE).unwrap();
    let required = required_scratch(model.limits(), model.limits().tokens);
    assert_eq!(golden::SCRATCH_BYTES, required);

    let mut scratch = Scratch::<{ golden::SCRATCH_BYTES }>::new();
    assert_eq!(scratch.len(), required);
    let mut classifier = Classifier::new(model, &mut scratch).unwrap();
    let answer = classifier.classify_pair("ab", "\u{65e5}").unwrap();
    assert_eq!((answer.tokens, answer.unknown), (5, 0));

    let mut scratch = Scratch::<{ golden::SCRATCH_BYTES - 1 }>::new();
    let error = Classifier::new(model, &mut scratch).unwrap_err();
    let (needed, given) = (required, required - 1);
    assert_eq!(error, RuntimeError::Scratch { needed, given });
}
