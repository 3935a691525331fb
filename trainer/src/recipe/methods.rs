//! How weights are chosen, each way with its own settings: `docs/method.md`, "Methods".

use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

/// How weights are chosen. A method carries the settings that mean something to it and no
/// others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// See [`MethodKind::Neuroprune`].
    Neuroprune(Neuroprune),
    /// See [`MethodKind::Paper`].
    Paper(Paper),
    /// See [`MethodKind::L1`].
    L1 {
        /// Steps from one removal to the next.
        interval: usize,
        /// Strength of the penalty on all encoder matrices.
        alpha: f64,
    },
    /// See [`MethodKind::Magnitude`].
    Magnitude {
        /// Steps from one removal to the next.
        interval: usize,
    },
    /// See [`MethodKind::Sensitivity`].
    Sensitivity {
        /// Steps from one removal to the next.
        interval: usize,
        /// Memory of the score, per step (exponential moving average).
        score_memory: f64,
    },
    /// See [`MethodKind::Movement`].
    Movement {
        /// Steps from one removal to the next.
        interval: usize,
    },
}

/// The name of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MethodKind {
    /// Sensitivity relative to topological cost, exact sparsity, heads compared by their
    /// outputs
    #[default]
    Neuroprune,
    /// As published: penalties, heads compared by their weights, zeros at the end
    Paper,
    /// A plain l1 penalty; the smallest weights are pruned
    L1,
    /// The smallest weights are pruned
    Magnitude,
    /// The weights with the smallest |w·∂L/∂w| are pruned
    Sensitivity,
    /// The weights with the smallest Σ −w·∂L/∂w are pruned (Sanh et al. 2020)
    Movement,
}

/// How the importance of a weight is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Moving average of |w · ∂L/∂w|.
    Sensitivity,
    /// |w|.
    Magnitude,
    /// Sum of −w · ∂L/∂w: how far training moved the weight away from zero.
    Movement,
}

/// Settings of [`MethodKind::Neuroprune`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neuroprune {
    /// Steps from one removal to the next.
    pub interval: usize,
    /// How the importance of a weight is measured.
    pub score: ScoreKind,
    /// Memory of the sensitivity, per step (exponential moving average).
    pub score_memory: f64,
    /// MLP: weights of well-connected neurons cost less (preferential attachment).
    pub preferential_attachment: bool,
    /// Attention: input dimensions are pruned as groups (l_{1,0.5}).
    pub group_sparsity: bool,
    /// Attention: heads with equivalent outputs are merged.
    pub head_redundancy: bool,
    /// Smallest cost of a weight, that of a neuron with all its weights.
    pub cost_floor: f32,
    /// What a neuron costs besides its weights, counted in weights at the threshold. Only
    /// with blocks of one weight.
    pub neuron_cost: f32,
    /// Largest relative distance of two heads' outputs that counts as equivalent.
    pub head_distance: f32,
}

/// Settings of [`MethodKind::Paper`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paper {
    /// MLP: the penalty on L_in and L_out is on.
    pub preferential_attachment: bool,
    /// Attention: the penalty on Q, K and V is on.
    pub group_sparsity: bool,
    /// Attention: heads with nearly the same weights are removed.
    pub head_redundancy: bool,
    /// Smallest weight of the penalty on L_in and L_out.
    pub cost_floor: f32,
    /// Strength of the penalty on L_in and L_out.
    pub alpha: f64,
    /// Strength of the penalty on Q, K and V.
    pub beta: f64,
    /// Largest difference between any weights of two heads that count as the same.
    pub theta: f32,
}

const INTERVAL: usize = 10;
const SCORE_MEMORY: f64 = 0.95;
const COST_FLOOR: f32 = 0.2;
const ALPHA: f64 = 1e-3;

impl Default for Neuroprune {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            score: ScoreKind::Sensitivity,
            score_memory: SCORE_MEMORY,
            preferential_attachment: true,
            group_sparsity: true,
            head_redundancy: true,
            cost_floor: COST_FLOOR,
            neuron_cost: 0.0,
            head_distance: 0.5,
        }
    }
}

impl Default for Paper {
    fn default() -> Self {
        Self {
            preferential_attachment: true,
            group_sparsity: true,
            head_redundancy: true,
            cost_floor: COST_FLOOR,
            alpha: ALPHA,
            beta: 1e-3,
            theta: 0.15,
        }
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::new(MethodKind::default())
    }
}

impl From<Neuroprune> for Method {
    fn from(settings: Neuroprune) -> Self {
        Self::Neuroprune(settings)
    }
}

impl MethodKind {
    /// Every method, the default first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// The name in recipes, `paper`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Neuroprune => "neuroprune",
            Self::Paper => "paper",
            Self::L1 => "l1",
            Self::Magnitude => "magnitude",
            Self::Sensitivity => "sensitivity",
            Self::Movement => "movement",
        }
    }
}

impl Method {
    /// The method with its default settings.
    #[must_use]
    pub fn new(kind: MethodKind) -> Self {
        let interval = INTERVAL;
        match kind {
            MethodKind::Neuroprune => Self::Neuroprune(Neuroprune::default()),
            MethodKind::Paper => Self::Paper(Paper::default()),
            MethodKind::L1 => Self::L1 {
                interval,
                alpha: ALPHA,
            },
            MethodKind::Magnitude => Self::Magnitude { interval },
            MethodKind::Sensitivity => Self::Sensitivity {
                interval,
                score_memory: SCORE_MEMORY,
            },
            MethodKind::Movement => Self::Movement { interval },
        }
    }

    /// Its name.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        match self {
            Self::Neuroprune(_) => MethodKind::Neuroprune,
            Self::Paper(_) => MethodKind::Paper,
            Self::L1 { .. } => MethodKind::L1,
            Self::Magnitude { .. } => MethodKind::Magnitude,
            Self::Sensitivity { .. } => MethodKind::Sensitivity,
            Self::Movement { .. } => MethodKind::Movement,
        }
    }

    /// How the importance of a weight is measured.
    #[must_use]
    pub fn score(&self) -> ScoreKind {
        match self {
            Self::Neuroprune(settings) => settings.score,
            Self::Paper(_) | Self::L1 { .. } | Self::Magnitude { .. } => ScoreKind::Magnitude,
            Self::Sensitivity { .. } => ScoreKind::Sensitivity,
            Self::Movement { .. } => ScoreKind::Movement,
        }
    }

    /// Memory of the sensitivity, per step. Methods whose score has none wait before their
    /// first removal as long as the default memory would, so that schedules are comparable.
    #[must_use]
    pub fn score_memory(&self) -> f64 {
        match self {
            Self::Neuroprune(settings) => settings.score_memory,
            Self::Sensitivity { score_memory, .. } => *score_memory,
            Self::Paper(_) | Self::L1 { .. } | Self::Magnitude { .. } | Self::Movement { .. } => {
                SCORE_MEMORY
            }
        }
    }

    /// Steps from one removal to the next; `None` for the method that removes weights once,
    /// at the end of the schedule.
    #[must_use]
    pub fn interval(&self) -> Option<usize> {
        match self {
            Self::Neuroprune(Neuroprune { interval, .. })
            | Self::L1 { interval, .. }
            | Self::Magnitude { interval }
            | Self::Sensitivity { interval, .. }
            | Self::Movement { interval } => Some(*interval),
            Self::Paper(_) => None,
        }
    }

    /// What a neuron costs besides its weights.
    #[must_use]
    pub fn neuron_cost(&self) -> f32 {
        match self {
            Self::Neuroprune(settings) => settings.neuron_cost,
            Self::Paper(_)
            | Self::L1 { .. }
            | Self::Magnitude { .. }
            | Self::Sensitivity { .. }
            | Self::Movement { .. } => 0.0,
        }
    }
}
