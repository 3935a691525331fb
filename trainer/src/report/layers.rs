//! Layer by layer: matrices in numbers and in pictures, and what happened to heads.

use neuroprune_format::tensor::Role;
use neuroprune_format::{Limits, Model};

use crate::charts::histogram::Histogram;
use crate::charts::topology::TopologyMap;
use crate::model_file::inspection::{Inspection, TensorFacts};
use crate::numbers::{percent, share, significant, thousands};
use crate::pruning::{KeptHead, MergedHead};
use crate::run::outcome::Outcome;

/// Width of the topology maps that are placed side by side, in CSS pixels.
const MAPS_WIDTH: usize = 920;
/// Heads that are placed side by side.
const HEADS_IN_LINE: usize = 4;
/// Largest size of one weight, in CSS pixels.
const LARGEST_CELL: usize = 4;

/// A layer: its matrices in numbers and in pictures, and what happened to its heads.
pub(super) struct LayerView {
    pub(super) number: u16,
    pub(super) rows: Vec<MatrixRow>,
    /// The heads, then the others.
    pub(super) maps: [Vec<MapView>; 2],
    pub(super) degrees: Vec<DegreesView>,
    pub(super) heads: Vec<HeadView>,
    /// `3 of 4`.
    pub(super) heads_left: String,
    /// `93 of 256`.
    pub(super) neurons_left: String,
}

/// Every layer, first to last.
pub(super) fn views(outcome: &Outcome, model: &Model<'_>) -> Vec<LayerView> {
    let sparse = &outcome.sparse.inspection;
    let of = |left, before: usize| {
        let (left, before) = (thousands(left), thousands(before.max(left)));
        format!("{left} of {before}")
    };
    let views = (0..sparse.layers).map(|number| {
        let rows = sparse.tensors.iter();
        let rows = rows.filter(|tensor| tensor.is_encoder && tensor.layer == Some(number));
        let heads = heads(outcome, number);
        let heads_left = heads.iter().filter(|head| head.is_left).count();
        let neurons_before = match outcome.run.recipe.student.exists() {
            true => outcome.run.recipe.student.intermediate,
            false => neurons(&outcome.dense.inspection, number),
        };
        LayerView {
            number,
            rows: rows.map(MatrixRow::new).collect(),
            maps: [Vec::new(), Vec::new()],
            degrees: Vec::new(),
            heads_left: of(heads_left, heads.len()),
            neurons_left: of(neurons(sparse, number), neurons_before),
            heads,
        }
    });
    let mut views: Vec<LayerView> = views.collect();
    add_maps(&mut views, model);
    views
}

/// Neurons of one layer of a file.
fn neurons(file: &Inspection, layer: u16) -> usize {
    let tensors = file.tensors.iter();
    let inputs = tensors.filter(|tensor| tensor.role == Role::MlpInput);
    let inputs = inputs.filter(|tensor| tensor.layer == Some(layer));
    inputs.map(|tensor| tensor.rows).sum()
}

/// A matrix in numbers.
pub(super) struct MatrixRow {
    pub(super) name: String,
    pub(super) shape: String,
    pub(super) nonzeros: String,
    pub(super) sparsity: String,
    pub(super) layout: &'static str,
    pub(super) bytes: String,
}

impl LayerView {
    /// Whether it has heads, or had some before pruning.
    pub(super) fn has_heads(&self) -> bool {
        !self.heads.is_empty()
    }

    /// Whether it has heads or neurons, or had some before pruning.
    pub(super) fn has_parts(&self) -> bool {
        self.has_heads() || self.neurons_left != "0 of 0"
    }
}

impl MatrixRow {
    fn new(tensor: &TensorFacts) -> Self {
        let nonzeros = tensor.nonzeros.unwrap_or(0);
        let cells = tensor.rows * tensor.cols;
        let zero = |cells| percent(share(cells - nonzeros.min(cells), cells));
        Self {
            name: matrix_name(tensor.role.name(), tensor.head),
            shape: shape(tensor.rows, tensor.cols),
            nonzeros: thousands(nonzeros),
            sparsity: if cells > 0 {
                zero(cells)
            } else {
                "–".to_owned()
            },
            layout: tensor.layout,
            bytes: thousands(tensor.bytes),
        }
    }

    /// All of them, relative to what existed before pruning.
    pub(super) fn of_encoder(file: &Inspection) -> Self {
        let tensors = file.tensors.iter().filter(|tensor| tensor.is_encoder);
        Self {
            name: "whole encoder".to_owned(),
            shape: String::new(),
            nonzeros: thousands(file.nonzeros),
            sparsity: percent(100.0 * file.sparsity),
            layout: "",
            bytes: thousands(tensors.map(|tensor| tensor.bytes).sum()),
        }
    }
}

fn matrix_name(role: &str, head: Option<u16>) -> String {
    match head {
        Some(head) => format!("{role} {head}"),
        None => role.to_owned(),
    }
}

/// A matrix as a picture.
pub(super) struct MapView {
    pub(super) name: String,
    pub(super) detail: String,
    /// In CSS pixels.
    pub(super) width: usize,
    pub(super) map: TopologyMap,
}

/// Connections of a matrix whose rows are neurons or gates.
pub(super) struct DegreesView {
    pub(super) name: &'static str,
    pub(super) cols: String,
    pub(super) histogram: Histogram,
}

fn add_maps(layers: &mut [LayerView], model: &Model<'_>) {
    let tensors = model.tensors();
    let cell = cell_size(&model.limits());
    for record in tensors.records() {
        // Preferential attachment shapes the degrees of some.
        let (is_head, has_degrees) = match record.role {
            Role::Head => (true, false),
            Role::AttentionOutput => (false, false),
            Role::ForwardRecurrence
            | Role::BackwardRecurrence
            | Role::MlpInput
            | Role::MlpOutput => (false, true),
            Role::RecurrenceNorm
            | Role::EmbeddingFactor
            | Role::TokenEmbedding
            | Role::PositionEmbedding
            | Role::SegmentEmbedding
            | Role::EmbeddingNorm
            | Role::AttentionNorm
            | Role::MlpNorm
            | Role::Classifier => continue,
        };
        let layer = layers.iter_mut().find(|l| l.number == record.layer);
        let (Some(layer), Some(matrix)) = (layer, tensors.matrix(&record)) else {
            continue;
        };
        let map = TopologyMap::new(&matrix);
        if has_degrees {
            layer.degrees.push(DegreesView {
                name: record.role.name(),
                cols: thousands(record.cols),
                histogram: Histogram::new(&map.degrees),
            });
        }
        let shape = shape(record.rows, record.cols);
        let (query, value) = (matrix.query_rows(), matrix.value_rows());
        layer.maps[usize::from(!is_head)].push(MapView {
            name: matrix_name(record.role.name(), is_head.then_some(record.head)),
            detail: match is_head {
                true => format!("{shape} ({query}\u{a0}+\u{a0}{query}\u{a0}+\u{a0}{value})"),
                false => shape,
            },
            width: cell * record.cols / 2,
            map,
        });
    }
}

/// Size of one weight, in half pixels, at which heads, and the other matrices, fit side by side.
fn cell_size(limits: &Limits) -> usize {
    let heads = HEADS_IN_LINE * limits.hidden;
    let pairs = 4 * limits.recurrence;
    let others = pairs.max(limits.context + limits.hidden + limits.intermediate);
    let halves = (2 * MAPS_WIDTH / heads.max(others).max(1)).clamp(2, 2 * LARGEST_CELL);
    // Half a pixel is worth uneven cells only where they are small.
    if halves < 4 { halves } else { halves / 2 * 2 }
}

/// What happened to a head.
pub(super) struct HeadView {
    pub(super) number: u16,
    pub(super) is_left: bool,
    /// Why it was kept or removed.
    pub(super) why: String,
}

/// Every head that a layer had before pruning, as far as it is recorded.
fn heads(outcome: &Outcome, layer: u16) -> Vec<HeadView> {
    let in_layer = |file: &Inspection| -> Vec<u16> {
        let tensors = file.tensors.iter().filter(|t| t.layer == Some(layer));
        tensors.filter_map(|tensor| tensor.head).collect()
    };
    let merged = outcome.run.merged.iter();
    let merged: Vec<&MergedHead> = merged.filter(|m| m.layer == usize::from(layer)).collect();
    let left = in_layer(&outcome.sparse.inspection);
    let mut numbers = match outcome.run.recipe.student.exists() {
        // The dense network is another one.
        true => Vec::new(),
        false => in_layer(&outcome.dense.inspection),
    };
    numbers.extend(&left);
    numbers.extend(merged.iter().map(|merged| merged.head));
    numbers.sort_unstable();
    numbers.dedup();
    let kept = |number| {
        let kept = outcome.run.journal.kept.iter();
        let mut kept = kept.filter(|kept| kept.layer == usize::from(layer));
        kept.find(|kept| kept.head == number)
    };
    let why = |number| {
        if let Some(merged) = merged.iter().find(|merged| merged.head == number) {
            let distance = significant(merged.distance.into());
            return format!("→ {}, distance {distance}", merged.into);
        }
        if !left.contains(&number) {
            return "cut: no weights were left".to_owned();
        }
        let taken = merged.iter().filter(|merged| merged.into == number);
        let taken: Vec<String> = taken.map(|merged| merged.head.to_string()).collect();
        if !taken.is_empty() {
            return format!("is kept, also for {}", taken.join(" and "));
        }
        match kept(number) {
            None => "is kept: heads were not compared".to_owned(),
            Some(KeptHead { nearest: None, .. }) => "is kept: it was the only one".to_owned(),
            Some(KeptHead {
                nearest: Some(nearest),
                distance,
                ..
            }) => {
                let distance = significant(f64::from(*distance));
                format!("is kept: {nearest} is nearest, at {distance}")
            }
        }
    };
    let view = |number| HeadView {
        number,
        is_left: left.contains(&number),
        why: why(number),
    };
    numbers.into_iter().map(view).collect()
}

fn shape(rows: usize, cols: usize) -> String {
    format!("{}\u{a0}×\u{a0}{}", thousands(rows), thousands(cols))
}
