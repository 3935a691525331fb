//! The forward pass against two references, and against itself in another layout.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a failing test may panic"
)]

mod models;
mod references;

use models::{Random, Shape, encoder_of, pooling_of};
use neuroprune_format::architecture::{Activation, Pooling};
use neuroprune_format::encoder::Mixing;
use neuroprune_format::tensor::{Role, RowWeights, Scale, Table, TableValues};
use neuroprune_format::writer::LayoutChoice;
use neuroprune_runtime::kernels::{LANES, Tile};
use neuroprune_runtime::tokenizer::Tokenizer;
use neuroprune_runtime::{Classifier, Model, Values, kernels, required_scratch};
use references::{quantized, real};

/// Cases of each property. All are functions of their number.
const CASES: u64 = 128;

/// A random model and texts for it.
struct Case {
    file: Vec<u8>,
    texts: Vec<(String, Option<String>)>,
}

impl Case {
    fn random(number: u64, texts: usize, change: impl Fn(&mut Shape)) -> Self {
        let mut random = Random::new(number);
        let mut shape = Shape::random(&mut random);
        change(&mut shape);
        let file = shape.file(&mut random);
        let texts = (0..texts).map(|_| {
            let text = models::text(30, &mut random);
            (text, shape.pair.then(|| models::text(20, &mut random)))
        });
        let texts = texts.collect();
        Self { file, texts }
    }
}

/// The runtime's results for a text cut at `tokens` tokens, in the reference's form.
fn runtime(
    model: &Model<'_>,
    text: &str,
    second: Option<&str>,
    tokens: usize,
) -> quantized::Outputs {
    let needed = required_scratch(model.limits(), tokens);
    let mut scratch = models::scratch(needed, text.len() as u64);
    let scratch = bytemuck::cast_slice_mut(&mut scratch);
    let mut classifier = Classifier::with_tokens(*model, scratch, tokens).unwrap();
    let mut stages = Vec::new();
    let mut trace = |stage, values: Values<'_>| stages.push((stage, values.iter().collect()));
    classifier
        .classify_traced(text, second, &mut trace)
        .unwrap();
    let logits = classifier.logits().to_vec();
    quantized::Outputs { stages, logits }
}

fn logits(model: &Model<'_>, text: &str, second: Option<&str>) -> Vec<f32> {
    runtime(model, text, second, model.limits().tokens).logits
}

/// The tokens of a text, and how many of them belong to the first segment.
fn encode(model: &Model<'_>, text: &str, second: Option<&str>, tokens: usize) -> (Vec<u16>, usize) {
    let mut ids = vec![0; tokens];
    let encoding = Tokenizer::new(model).encode(text, second, &mut ids);
    ids.truncate(encoding.tokens);
    (ids, encoding.first)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Mean |runtime − real| over the standard deviation of the real logits.
fn relative_error(model: &Model<'_>, texts: &[(String, Option<String>)]) -> f64 {
    let (mut real, mut error) = (Vec::new(), 0.0);
    for (text, second) in texts {
        let second = second.as_deref();
        let (ids, first) = encode(model, text, second, model.limits().tokens);
        let expected = real::logits(model, &ids, first);
        let actual = logits(model, text, second);
        assert_eq!(actual.len(), expected.len());
        for (&actual, expected) in actual.iter().zip(&expected) {
            error += (f64::from(actual) - expected).abs();
        }
        real.extend(expected);
    }
    let count = real.len() as f64;
    let mean = real.iter().sum::<f64>() / count;
    let variance = real.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    error / count / variance.sqrt()
}

/// int8 activations cost little, and nothing else is lost.
///
/// Rounding a vector of some dozens of unit normal features (largest about 2.4) to
/// steps of 2.4/127 leaves noise of 2.4/127/√12 ≈ 0.55 % of their deviation, and so
/// does each product of it: a mean error of 0.45 %. Measured over 600 such models:
/// 0.54 %, growing little with depth because LayerNorm shrinks it again (0.41 %
/// without layers, 0.64 % with four); 99 % of the models are below 1.2 %, the worst
/// is at 1.7 %. A wrong head, norm, bias, segment or activation gives tens of per
/// cent in the models that have it. Both bounds can fail: the one on the mean by a
/// small error in all models, the one on each model by a large error in one.
#[test]
fn logits_are_near_the_real_network() {
    let mut sum = 0.0;
    for number in 0..CASES {
        // Enough logits for their deviation to mean something.
        let case = Case::random(number, 4, |shape| shape.labels = 24);
        let model = Model::open(&case.file).unwrap();
        let error = relative_error(&model, &case.texts);
        assert!(error < 0.025, "case {number}: {error}");
        sum += error;
    }
    let mean = sum / CASES as f64;
    assert!(mean < 0.0065, "mean {mean}");
}

/// Not only close: every stage and every logit equal those of the restated arithmetic, for all
/// tiles, buffers and layouts. Half of the texts are cut, so that buffers are smaller than the
/// model's limits.
#[test]
fn every_stage_is_the_quantized_network_bit_for_bit() {
    for number in 0..CASES {
        let case = Case::random(number, 2, |_| ());
        let model = Model::open(&case.file).unwrap();
        let limit = model.limits().tokens;
        for ((text, second), tokens) in case.texts.iter().zip([limit, limit.div_ceil(2).max(3)]) {
            let second = second.as_deref();
            let (ids, first) = encode(&model, text, second, tokens);
            let expected = quantized::forward(&model, &ids, first);
            let actual = runtime(&model, text, second, tokens);
            let name = format!("case {number}, {tokens} tokens");
            assert_eq!(actual.stages.len(), expected.stages.len(), "{name}");
            for ((stage, actual), (place, expected)) in actual.stages.iter().zip(&expected.stages) {
                assert_eq!(stage, place, "{name}");
                assert_eq!(bits(actual), bits(expected), "{name}, {stage:?}");
            }
            assert_eq!(bits(&actual.logits), bits(&expected.logits), "{name}");
        }
    }
}

/// Stored zeros and zeros that are not stored give the same results.
#[test]
fn layouts_give_the_same_logits() {
    let mut smaller = 0;
    for number in 0..CASES {
        let mut random = Random::new(number);
        let shape = Shape::random(&mut random);
        let source = shape.source(&mut random);
        let smallest = models::laid_out(&source, LayoutChoice::Smallest);
        let dense = models::laid_out(&source, LayoutChoice::Dense);
        smaller += u64::from(smallest.len() < dense.len());
        let others =
            models::SPARSE.map(|layout| models::laid_out(&source, models::preferred(layout)));
        let text = models::text(30, &mut random);
        let second = shape.pair.then(|| models::text(20, &mut random));
        let logits = |file: &[u8]| {
            let model = Model::open(file).unwrap();
            bits(&logits(&model, &text, second.as_deref()))
        };
        let expected = logits(&dense);
        for file in others.iter().chain([&smallest]) {
            assert_eq!(logits(file), expected, "case {number}");
        }
    }
    assert!(smaller > CASES / 2, "the layouts differ in {smaller} cases");
}

/// The properties above are meaningful only if the random models have every layout and every odd
/// shape.
#[test]
fn random_models_have_every_layout_and_shape() {
    let mut seen = [
        ("dense rows", 0),
        ("listed columns", 0),
        ("delta-u8 rows", 0),
        ("bitmap rows", 0),
        ("rows of 1×2 blocks", 0),
        ("rows of 1×4 blocks", 0),
        ("bridged gap", 0),
        ("cut row", 0),
        ("cut row with a bias", 0),
        ("matrix without weights", 0),
        ("no layers", 0),
        ("layer without heads", 0),
        ("layer of one head", 0),
        ("layer of several heads", 0),
        ("layer without neurons", 0),
        ("layer without an MLP", 0),
        ("recurrence", 0),
        ("recurrence after a recurrence", 0),
        ("recurrence after attention", 0),
        ("head without queries", 0),
        ("head without values", 0),
        ("heads of different widths", 0),
        ("pair without segments", 0),
        ("pair with segments", 0),
        ("single with a segment", 0),
        ("no positions", 0),
        ("positions of four bits", 0),
        ("segments of four bits", 0),
        ("tokens of four bits", 0),
        ("odd row of four bits", 0),
        ("factor of eight bits", 0),
        ("factor of four bits", 0),
        ("ReLU", 0),
        ("GELU", 0),
        ("mean", 0),
        ("[CLS]", 0),
        ("more than one tile", 0),
        ("tile that is not full", 0),
        ("one class", 0),
    ];
    let mut see = |name, is_so: bool| {
        let entry = seen.iter_mut().find(|(entry, _)| *entry == name).unwrap();
        entry.1 += usize::from(is_so);
    };
    for number in 0..CASES {
        let case = Case::random(number, 2, |_| ());
        let model = Model::open(&case.file).unwrap();
        let encoder = encoder_of(&model);
        let (settings, pooling) = (*encoder.stack(), pooling_of(&model));
        let pair = model.manifest().tokenizer.pair;
        let segment = encoder.segment_embedding().is_some();
        see("no layers", settings.layers == 0);
        let values = |table: Table<'_>| table.row(0).values;
        let four_bits = |table: Option<Table<'_>>| table.map(values) == Some(TableValues::I4);
        let (tokens, positions) = (encoder.token_embedding(), encoder.position_embedding());
        let has_factor = encoder.embedding_factor().is_some();
        see("no positions", positions.is_none());
        see("positions of four bits", four_bits(positions));
        see(
            "segments of four bits",
            four_bits(encoder.segment_embedding()),
        );
        let small = four_bits(Some(tokens));
        see("tokens of four bits", small && !has_factor);
        see("odd row of four bits", small && tokens.cols() % 2 == 1);
        see("factor of eight bits", has_factor && !small);
        see("factor of four bits", has_factor && small);
        see("pair without segments", pair && !segment);
        see("pair with segments", pair && segment);
        see("single with a segment", !pair && segment);
        let activation = match settings.activation {
            Activation::Relu => "ReLU",
            Activation::Gelu => "GELU",
        };
        see(activation, true);
        let pooling = match pooling {
            Pooling::Mean => "mean",
            Pooling::Cls => "[CLS]",
        };
        see(pooling, true);
        see("one class", model.limits().outputs == 1);
        for (text, second) in &case.texts {
            let limit = model.limits().tokens;
            let (ids, _) = encode(&model, text, second.as_deref(), limit);
            see("more than one tile", ids.len() > 8);
            see("tile that is not full", ids.len() % 8 != 0);
        }
        let mut matrices = Vec::new();
        let mut before = None;
        for layer in encoder_of(&model).layers() {
            let is_recurrence = matches!(layer.mixing(), Mixing::Recurrence(_));
            see("recurrence", is_recurrence);
            let after = |other| is_recurrence && before == Some(other);
            see("recurrence after a recurrence", after(true));
            see("recurrence after attention", after(false));
            before = Some(is_recurrence);
            match layer.mlp() {
                Some(mlp) => {
                    see("layer without neurons", mlp.input().rows() == 0);
                    matrices.extend([mlp.input(), mlp.output()]);
                }
                None => see("layer without an MLP", true),
            }
            let attention = match layer.mixing() {
                Mixing::Attention(attention) => attention,
                Mixing::Recurrence(recurrence) => {
                    matrices.extend([recurrence.forward(), recurrence.backward()]);
                    continue;
                }
            };
            let heads: Vec<_> = attention.heads().collect();
            see("layer without heads", heads.is_empty());
            see("layer of one head", heads.len() == 1);
            see("layer of several heads", heads.len() > 1);
            for head in &heads {
                see("head without queries", head.query_rows() == 0);
                see("head without values", head.value_rows() == 0);
                let other = &heads[0];
                let query = head.query_rows() != other.query_rows();
                let value = head.value_rows() != other.value_rows();
                see("heads of different widths", query && value);
            }
            matrices.extend(heads);
            matrices.push(attention.output());
        }
        for matrix in matrices {
            see("matrix without weights", matrix.count_nonzeros() == 0);
            for row in matrix.iter() {
                see("cut row", row.scale == 0.0);
                see("cut row with a bias", row.scale == 0.0 && row.bias != 0.0);
                match row.weights {
                    RowWeights::Dense(weights) => see("dense rows", !weights.is_empty()),
                    RowWeights::Columns(_, weights) => see("listed columns", !weights.is_empty()),
                    RowWeights::DeltaU8(pairs) => {
                        see("delta-u8 rows", !pairs.is_empty());
                        let bridge = pairs.chunks_exact(2).any(|pair| pair == [u8::MAX, 0]);
                        see("bridged gap", bridge);
                    }
                    RowWeights::Bitmap { bits, .. } => see("bitmap rows", !bits.is_empty()),
                    RowWeights::Blocks2(blocks) => see("rows of 1×2 blocks", !blocks.is_empty()),
                    RowWeights::Blocks4(blocks) => see("rows of 1×4 blocks", !blocks.is_empty()),
                }
            }
        }
    }
    for (name, count) in seen {
        assert!(count > 0, "no random model has this: {name}");
    }
}

/// 65,535 neurons that all fire, 2,048 tokens: the integer sums that the format allows fit. (The
/// test profile checks for overflow.)
#[test]
fn largest_sums_fit() {
    let mut random = Random::new(0);
    let mut shape = Shape::small();
    shape.tokens = 2048;
    shape.layers.truncate(1);
    let mut source = shape.source(&mut random);
    let input = models::matrix_mut(&mut source, Role::MlpInput);
    (input.rows, input.bias) = (65_535, None);
    input.weights = vec![0; 65_535 * 16];
    input.scales = vec![Scale::ONE; 65_535];
    for row in input.weights.chunks_exact_mut(16) {
        row[3] = 127;
    }
    let output = models::matrix_mut(&mut source, Role::MlpOutput);
    output.cols = 65_535;
    output.weights = vec![127; 16 * 65_535];
    output.weights[..65_535].fill(-127);

    let file = source.to_bytes().unwrap();
    let model = Model::open(&file).unwrap();
    let layer = encoder_of(&model).layers().next().unwrap();
    let output = layer.mlp().unwrap().output();
    let features = vec![[127; LANES]; 65_535];
    let tile = Tile {
        features: &features,
        scales: [1.0; LANES],
        tokens: LANES,
    };
    let mut sums = [[0; LANES]; 16];
    kernels::multiply(&output.iter(), &tile, &mut sums);
    let largest = 65_535 * 127 * 127;
    assert_eq!(sums[0], [-largest; LANES]);
    assert_eq!(sums[15], [largest; LANES]);
    let values = [u32::from_ne_bytes([(-127_i8).cast_unsigned(); 4]); 512 * 4];
    let mut sums = [[0; LANES]; 4];
    kernels::mix(&[[[8191; 4]; LANES]; 512], &values, LANES, &mut sums);
    assert_eq!(sums, [[-2048 * 8191 * 127; LANES]; 4]);

    // The network as a whole, for a few tokens: neurons are slow.
    let (ids, first) = encode(&model, "ab cd", None, 2048);
    let expected = quantized::forward(&model, &ids, first).logits;
    assert_eq!(bits(&logits(&model, "ab cd", None)), bits(&expected));
}

/// The longest text the format allows: 2,048 tokens, 256 tiles.
#[test]
fn longest_text_is_the_quantized_network() {
    let mut random = Random::new(0);
    let mut shape = Shape::small();
    shape.tokens = 2048;
    shape.layers.truncate(1);
    let file = shape.file(&mut random);
    let model = Model::open(&file).unwrap();
    let text = "ab c, de? ".repeat(1000);
    let (ids, first) = encode(&model, &text, None, 2048);
    assert_eq!(ids.len(), 2048);
    let expected = quantized::forward(&model, &ids, first).logits;
    assert_eq!(bits(&logits(&model, &text, None)), bits(&expected));
}

/// Logits of fixed models, to the bit. They are the same on every target, and must never change: a
/// change of any rounding, approximation or order of operations shows here, and changes the answers
/// of released files.
///
/// To refresh them after an intended change, copy the vector on the left of the failure. The first
/// model is a released golden file; the others are this crate's own and change with `models` too.
#[test]
fn logits_of_fixed_models_are_pinned() {
    let golden = include_bytes!("../../format/tests/golden/v2.neuro");
    let golden = Model::open(golden).unwrap();
    let hexadecimal = |logits: Vec<f32>| -> Vec<String> {
        let bits = logits.iter().map(|logit| logit.to_bits());
        bits.map(|bits| format!("{bits:08x}")).collect()
    };
    assert_eq!(
        hexadecimal(logits(&golden, "ab abc \u{65e5}", Some("caf\u{e9}"))),
        ["bf37c89d", "40342bcd", "4057ff88"]
    );
    let recurrent = include_bytes!("../../format/tests/golden/v2-recurrent.neuro");
    let recurrent = Model::open(recurrent).unwrap();
    assert_eq!(
        hexadecimal(logits(&recurrent, "ab abc b \u{65e5} caf\u{e9} a ab", None)),
        ["402afe4b", "3f8559ec", "3fc1c3a8"]
    );
    let file = Shape::small().file(&mut Random::new(1));
    let gelu_and_mean = Model::open(&file).unwrap();
    assert_eq!(
        hexadecimal(logits(&gelu_and_mean, "abc d, efg? hi", None)),
        [
            "3f690634", "3f07c2c2", "3e39f9b2", "bfad014a", "be4fbe0a", "be8eae8a", "3f206a38"
        ]
    );
    let mut shape = Shape::small_pair();
    (shape.activation, shape.pooling) = (Activation::Relu, Pooling::Cls);
    let file = shape.file(&mut Random::new(2));
    let relu_and_cls = Model::open(&file).unwrap();
    assert_eq!(
        hexadecimal(logits(&relu_and_cls, "abc d", Some("ab, e"))),
        [
            "3eba6cb9", "3fdbc17f", "3f884d5f", "3f0aaee2", "3efb4030", "bec681fe", "bf94caa3"
        ]
    );
}

/// Whole forward passes with the kernels of AVX2 and with the scalar ones.
#[cfg(target_arch = "x86_64")]
#[test]
fn avx2_gives_the_scalar_logits() {
    use std::io::Write as _;

    use neuroprune_runtime::kernels::x86_64::Avx2;

    if Avx2::detect().is_none() {
        // Not `eprintln!`, which the test harness captures.
        let words = b"SKIPPED: logits with AVX2, which this processor lacks\n";
        std::io::stderr().write_all(words).unwrap();
        return;
    }
    // Other tests of this process may run with either set of kernels meanwhile: it makes no
    // difference to them.
    let mut longest = 0;
    for number in 0..CASES {
        let case = Case::random(number, 2, |shape| shape.tokens += 40);
        let model = Model::open(&case.file).unwrap();
        for (text, second) in &case.texts {
            let text = format!("{text} {text} {text}");
            Avx2::allow(false);
            let scalar = logits(&model, &text, second.as_deref());
            Avx2::allow(true);
            let vectors = logits(&model, &text, second.as_deref());
            assert_eq!(bits(&vectors), bits(&scalar), "case {number}");
            longest = longest.max(encode(&model, &text, second.as_deref(), 80).0.len());
        }
    }
    assert!(longest > LANES * kernels::TILES, "only {longest} tokens");
}
