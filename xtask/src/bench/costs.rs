//! The cost that a model states, beside what is counted: random models, and some that are made to
//! take long.

use anyhow::{Context, ensure};
use half::f16;
use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling, Positions};
use neuroprune_format::tensor::{Pattern, Role, Scale};
use neuroprune_format::writer::{LayoutChoice, MatrixSource, TensorSource};
use neuroprune_runtime::{Classifier, Model, SCRATCH_ALIGNMENT, cost, required_scratch, text_cost};
use serde_json::{Value, json};

use super::counter::Measured;
use super::models::{Random, matrix_source, source, weights};
use super::tables::{shorten, table};
use super::vocabulary::{Text, WORDS};

/// How many models are random, unless the command says so.
const RANDOM: u64 = 50;
/// How many of them the memory of the board holds.
const BATCH: usize = 200;
/// How many are made to take long.
const SLOW: u64 = 2;
/// Per cent that a stated cost may be above what is counted.
const MOST_ABOVE: u64 = 10;

/// Counts `run` of as many random models, and of those that take long.
///
/// # Errors
/// As [`CostCounts::of`].
pub(super) fn count(
    models: Option<u64>,
    run: impl Fn(&[Vec<u8>]) -> anyhow::Result<Measured>,
) -> anyhow::Result<Vec<CostCounts>> {
    let random = (0..models.unwrap_or(RANDOM)).map(random);
    let files: Vec<Vec<u8>> = random
        .chain((0..SLOW).map(slow))
        .collect::<Result<_, _>>()?;
    let mut counts = Vec::new();
    for batch in files.chunks(BATCH) {
        counts.extend(CostCounts::of(batch, &run(batch)?)?);
    }
    Ok(counts)
}

/// What a model states, and what was counted.
pub(super) struct CostCounts {
    name: String,
    tokens: usize,
    /// Instructions of the network: stated, counted.
    stated: u64,
    counted: u64,
    /// Of the tokenizer.
    text: u64,
}

impl CostCounts {
    /// The counts of each of `files`, from what `bench_cost` measured.
    ///
    /// # Errors
    /// Where more is counted than is stated, or less by more than a tenth, and where logits are not
    /// those of this machine.
    fn of(files: &[Vec<u8>], measured: &Measured) -> anyhow::Result<Vec<Self>> {
        let counts = files.iter().map(|file| {
            let model = Model::open(file)?;
            let name = model.manifest().name;
            let region = |what: &str| {
                let name = format!("{name}: {what}");
                let found = measured.regions.iter().find(|(region, _)| *region == name);
                let (_, counts) = found.with_context(|| format!("no region {name}"))?;
                anyhow::Ok(counts.instructions)
            };
            let bytes = measured.figures.get(&format!("{name}: text bytes"));
            let bytes = usize::try_from(*bytes.context("no length of a text")?)?;
            let tokens = model.limits().tokens;
            let text = region("text")?;
            let counts = Self {
                name: name.to_owned(),
                tokens,
                stated: cost(&model, tokens),
                counted: region("text to label")?.saturating_sub(text),
                text,
            };
            let logits = measured.figures.get(&format!("{name}: logits"));
            ensure!(
                logits == Some(&u64::from(digest(&model, bytes)?)),
                "{name}: the logits are not this machine's"
            );
            let is_slow = name.starts_with("slow");
            counts.check(text_cost(&model, bytes), is_slow)?;
            Ok(counts)
        });
        counts.collect()
    }

    fn check(&self, text_cost: u64, is_slow: bool) -> anyhow::Result<()> {
        let Self {
            ref name,
            stated,
            counted,
            text,
            ..
        } = *self;
        ensure!(
            counted <= stated && text <= text_cost,
            "{name}: {counted} instructions are counted and {stated} stated; for the text {text} \
             and {text_cost}"
        );
        // A model that is slow in one way is stated as slow in all.
        ensure!(
            is_slow || stated <= counted + counted * MOST_ABOVE / 100,
            "{name}: {stated} instructions are stated, and only {counted} counted"
        );
        Ok(())
    }

    /// Stated per counted instruction.
    fn ratio(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let ratio = self.stated as f64 / self.counted.max(1) as f64;
        ratio
    }
}

/// Of the logits, as `bench_cost` prints it of its text, which is as many bytes of words as these.
fn digest(model: &Model<'_>, bytes: usize) -> anyhow::Result<u32> {
    let text = format!("{WORDS} ").repeat(bytes / WORDS.len() + 1);
    let text = text.get(..bytes).context("a text of other words")?;
    let second = model.tokenizer().pair.then_some("");
    let limits = model.limits();
    let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
    let mut classifier = Classifier::new(*model, &mut scratch)?;
    classifier.classify_traced(text, second, &mut ())?;
    let logits = classifier.logits().iter();
    let bytes = logits.flat_map(|logit| logit.to_bits().to_le_bytes());
    Ok(bytes.fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    }))
}

/// What the record says of all models.
pub(super) fn json(counts: &[CostCounts]) -> Vec<Value> {
    let models = counts.iter().map(|counts| {
        json!({
            "model": counts.name,
            "tokens": counts.tokens,
            "stated": counts.stated,
            "counted": counts.counted,
            "text": counts.text,
        })
    });
    models.collect()
}

/// The paragraph of the record.
pub(super) fn paragraph(counts: &[CostCounts]) -> String {
    let ratios = || counts.iter().map(CostCounts::ratio);
    let least = ratios().fold(f64::INFINITY, f64::min);
    let most = ratios().fold(0.0, f64::max);
    let mean = ratios().sum::<f64>() / f64::from(u32::try_from(counts.len()).unwrap_or(1));
    format!(
        "\n## Stated cost\n\n`cost` of {} models, all but {SLOW} random (2 to 64 tokens, every layout, \
         both activations and poolings, heads of all kinds): {least:.3} to {most:.3} times the \
         instructions counted, {mean:.3} on average. Each is in the JSON.\n",
        counts.len(),
    )
}

/// Random shapes, layouts, sparsity, tokens, activation and pooling, heads of all kinds.
fn random(number: u64) -> anyhow::Result<Vec<u8>> {
    let random = &mut Random(1_000_003 * (number + 1));
    for _ in 0..8 {
        random.below(2);
    }
    let mut hidden = 4 + size(random, 156);
    let layers = u16::try_from(random.below(4))?;
    // Half of the models have none.
    let recurrences = random.below(2) * (1 + random.below(3));
    if recurrences > 0 {
        hidden = hidden.next_multiple_of(2);
    }
    let is_pair = random.below(4) == 0;
    let tokens = if is_pair { 3 } else { 2 } + size(random, 62);
    let labels = 1 + size(random, 40);
    let mut tensors = Vec::new();
    if random.below(2) == 0 {
        let width = 1 + size(random, 64);
        tensors.push(matrix(random, Role::EmbeddingFactor, 0, hidden, width));
    }
    for layer in 0..layers {
        let is_recurrence = random.below(3) < recurrences;
        let mut context = 0;
        for head in 0..if is_recurrence { 0 } else { random.below(6) } {
            let (query, value) = (size(random, 33), size(random, 33));
            if query + value == 0 {
                continue;
            }
            context += value;
            let mut matrix = matrix(random, Role::Head, layer, 2 * query + value, hidden);
            matrix.head = u16::try_from(head)?;
            matrix.query_rows = query;
            tensors.push(matrix);
        }
        let mut matrices = if is_recurrence {
            let cols = 2 * hidden;
            let roles = [Role::ForwardRecurrence, Role::BackwardRecurrence];
            roles.map(|role| (role, hidden, cols)).to_vec()
        } else {
            vec![(Role::AttentionOutput, hidden, context)]
        };
        if random.below(4) > 0 {
            let intermediate = 1 + size(random, 400);
            matrices.push((Role::MlpInput, intermediate, hidden));
            matrices.push((Role::MlpOutput, hidden, intermediate));
        }
        for (role, rows, cols) in matrices {
            tensors.push(matrix(random, role, layer, rows, cols));
        }
    }
    let mut tensors: Vec<_> = tensors.into_iter().map(TensorSource::Matrix).collect();
    if is_pair || random.below(4) == 0 {
        let texts = if is_pair { 2 } else { 1 };
        tensors.push(table(random, Role::SegmentEmbedding, texts, hidden));
    }
    let labels: Vec<String> = (0..labels).map(|class| format!("class {class}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let name = format!("random {number}");
    let text = Text::of_sentence()?;
    let mut source = source(&name, hidden, tokens, &labels, layers, &text, tensors);
    source.tokenizer.pair = is_pair;
    let Architecture::Encoder { stack, head } = &mut source.architecture;
    if random.below(3) == 0 {
        stack.positions = Positions::None;
        source
            .tensors
            .retain(|tensor| tensor.role() != Role::PositionEmbedding);
    }
    for tensor in &mut source.tensors {
        if random.below(3) == 0 {
            shorten(tensor);
        }
    }
    if random.below(2) == 0 {
        stack.activation = Activation::Relu;
    }
    if random.below(2) == 0 {
        *head = Head::Classes(Pooling::Cls);
    }
    source.to_bytes().context(name)
}

/// Each head has larger values than those before it, which are rounded again; each class has a
/// larger logit. One model of many heads, one of many classes.
fn slow(number: u64) -> anyhow::Result<Vec<u8>> {
    let (hidden, heads, classes) = if number == 0 {
        (16, 30, 1)
    } else {
        (4, 1, 300)
    };
    let value = 8;
    let head = |head: u16| {
        let mut weights = vec![0; value * hidden];
        weights
            .iter_mut()
            .step_by(hidden + 1)
            .for_each(|weight| *weight = 100);
        let layout = LayoutChoice::Forced(Pattern::DeltaU8);
        let mut matrix = matrix_source(Role::Head, 0, value, hidden, weights, layout);
        // Twice as large from one head to the next.
        let scale = Scale(u8::try_from(8 * head).unwrap_or(u8::MAX));
        (matrix.head, matrix.scales) = (head, vec![scale; value]);
        matrix
    };
    let mut tensors: Vec<MatrixSource> = (0..heads).map(head).collect();
    let context = usize::from(heads) * value;
    for (role, rows, cols) in [
        (Role::AttentionOutput, hidden, context),
        (Role::MlpInput, 1, hidden),
        (Role::MlpOutput, hidden, 1),
    ] {
        let layout = LayoutChoice::Smallest;
        tensors.push(matrix_source(
            role,
            0,
            rows,
            cols,
            vec![0; rows * cols],
            layout,
        ));
    }
    let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let tensors = tensors.into_iter().map(TensorSource::Matrix).collect();
    let name = format!("slow {number}");
    let text = Text::of_sentence()?;
    let mut source = source(&name, hidden, 64, &labels, 1, &text, tensors);
    for tensor in &mut source.tensors {
        if let TensorSource::Matrix(matrix) = tensor
            && matrix.role == Role::Classifier
        {
            let rows = u16::try_from(matrix.rows)?;
            matrix.bias = Some((0..rows).map(|row| f16::from_f32(f32::from(row))).collect());
        }
    }
    source.to_bytes().context(name)
}

/// Below `limit`, and small as often as large.
fn size(random: &mut Random, limit: u64) -> usize {
    let limit = if random.below(2) == 0 {
        limit.div_ceil(5)
    } else {
        limit
    };
    usize::try_from(random.below(limit)).unwrap_or(0)
}

fn matrix(random: &mut Random, role: Role, layer: u16, rows: usize, cols: usize) -> MatrixSource {
    let densities = [100, 60, 30, 10, 5, 2];
    let density = densities[size(random, densities.len() as u64)];
    let pattern = Pattern::ALL[size(random, Pattern::ALL.len() as u64)];
    let fits = match pattern {
        Pattern::Blocks2 => cols >= 2,
        Pattern::Blocks4 => cols >= 4,
        Pattern::Dense | Pattern::Columns | Pattern::DeltaU8 | Pattern::Bitmap => true,
    };
    let is_forced = fits && random.below(4) > 0;
    let block = match pattern {
        Pattern::Blocks2 if fits => 2,
        Pattern::Blocks4 if fits => 4,
        Pattern::Dense
        | Pattern::Columns
        | Pattern::DeltaU8
        | Pattern::Bitmap
        | Pattern::Blocks2
        | Pattern::Blocks4 => 1,
    };
    let mut weights = weights(random, rows, cols, density, block);
    weights.resize(rows * cols, 0);
    if random.below(3) == 0 {
        for row in weights.chunks_mut(cols.max(1)) {
            if random.below(3) == 0 {
                row.fill(0);
            }
        }
    }
    if pattern == Pattern::Columns {
        let kept: Vec<bool> = (0..cols).map(|_| random.below(3) == 0).collect();
        for row in weights.chunks_mut(cols.max(1)) {
            for (weight, is_kept) in row.iter_mut().zip(&kept) {
                *weight *= i8::from(*is_kept);
            }
        }
    }
    // A list of columns is made where columns are zero.
    let pattern = if pattern == Pattern::Columns {
        Pattern::Dense
    } else {
        pattern
    };
    let layout = if is_forced {
        LayoutChoice::Forced(pattern)
    } else {
        LayoutChoice::Smallest
    };
    let mut matrix = matrix_source(role, layer, rows, cols, weights, layout);
    let scale = |_| Scale(u8::try_from(120 + random.below(30)).unwrap_or(120));
    matrix.scales = (0..rows).map(scale).collect();
    if random.below(2) == 0 {
        let bias = |_| f16::from_bits(0x3000 + u16::try_from(random.below(0x800)).unwrap_or(0));
        matrix.bias = Some((0..rows).map(bias).collect());
    }
    matrix
}
