//! How weights are chosen, each way with its own settings: `docs/method.md`, "Methods".
//!
//! The fields of a method's settings are its keys in section `pruning`, and nothing else lists
//! them: which method has which key is decided here.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::words::words;

/// How weights are chosen. A method carries the settings that mean something to it and no
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Method {
    /// See [`MethodKind::Neuroprune`].
    Neuroprune(Neuroprune),
    /// See [`MethodKind::Paper`].
    Paper(Paper),
    /// See [`MethodKind::L1`].
    L1(L1),
    /// See [`MethodKind::Magnitude`].
    Magnitude(Gradual),
    /// See [`MethodKind::Sensitivity`].
    Sensitivity(Averaged),
    /// See [`MethodKind::Movement`].
    Movement(Gradual),
}

words! {
    /// The name of a method.
    #[derive(Default)]
    pub enum MethodKind {
        /// Sensitivity relative to topological cost, exact sparsity, heads compared by their
        /// outputs
        #[default]
        Neuroprune = "neuroprune",
        /// As published: penalties, heads compared by their weights, zeros at the end
        Paper = "paper",
        /// A plain l1 penalty; the smallest weights are pruned
        L1 = "l1",
        /// The smallest weights are pruned
        Magnitude = "magnitude",
        /// The weights with the smallest |w·∂L/∂w| are pruned
        Sensitivity = "sensitivity",
        /// The weights with the smallest Σ −w·∂L/∂w are pruned (Sanh et al. 2020)
        Movement = "movement",
    }
}

words! {
    /// How the importance of a weight is measured.
    pub enum ScoreKind {
        /// Moving average of |w · ∂L/∂w|.
        Sensitivity = "sensitivity",
        /// |w|.
        Magnitude = "magnitude",
        /// Sum of −w · ∂L/∂w: how far training moved the weight away from zero.
        Movement = "movement",
    }
}

/// Settings of [`MethodKind::Neuroprune`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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

/// Settings of [`MethodKind::L1`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct L1 {
    /// Steps from one removal to the next.
    pub interval: usize,
    /// Strength of the penalty on all encoder matrices.
    pub alpha: f64,
}

/// Settings of [`MethodKind::Magnitude`] and [`MethodKind::Movement`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gradual {
    /// Steps from one removal to the next.
    pub interval: usize,
}

/// Settings of [`MethodKind::Sensitivity`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Averaged {
    /// Steps from one removal to the next.
    pub interval: usize,
    /// Memory of the score, per step (exponential moving average).
    pub score_memory: f64,
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

impl Default for L1 {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            alpha: ALPHA,
        }
    }
}

impl Default for Gradual {
    fn default() -> Self {
        Self { interval: INTERVAL }
    }
}

impl Default for Averaged {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            score_memory: SCORE_MEMORY,
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
    /// The methods that have a setting of this name.
    pub(crate) fn with_key(key: &str) -> Vec<Self> {
        let has = |kind: &Self| Method::new(*kind).settings().contains_key(key);
        Self::ALL.iter().copied().filter(has).collect()
    }
}

impl Method {
    /// The method with its default settings.
    #[must_use]
    pub fn new(kind: MethodKind) -> Self {
        match kind {
            MethodKind::Neuroprune => Self::Neuroprune(Neuroprune::default()),
            MethodKind::Paper => Self::Paper(Paper::default()),
            MethodKind::L1 => Self::L1(L1::default()),
            MethodKind::Magnitude => Self::Magnitude(Gradual::default()),
            MethodKind::Sensitivity => Self::Sensitivity(Averaged::default()),
            MethodKind::Movement => Self::Movement(Gradual::default()),
        }
    }

    /// Another method. Settings that both have keep their values; the others are the new
    /// method's defaults.
    #[must_use]
    pub fn changed_to(self, kind: MethodKind) -> Self {
        let mut settings = self.settings();
        settings.insert("method".to_owned(), kind.name().into());
        // Numbers of this method's settings are of the same type in the other's.
        settings.try_into().unwrap_or_else(|_| Self::new(kind))
    }

    /// Its settings by their keys.
    fn settings(self) -> Table {
        let mut table = Table::try_from(self).unwrap_or_default();
        table.remove("method");
        table
    }

    /// Its name.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        match self {
            Self::Neuroprune(_) => MethodKind::Neuroprune,
            Self::Paper(_) => MethodKind::Paper,
            Self::L1(_) => MethodKind::L1,
            Self::Magnitude(_) => MethodKind::Magnitude,
            Self::Sensitivity(_) => MethodKind::Sensitivity,
            Self::Movement(_) => MethodKind::Movement,
        }
    }

    /// How the importance of a weight is measured.
    #[must_use]
    pub fn score(&self) -> ScoreKind {
        match self {
            Self::Neuroprune(settings) => settings.score,
            Self::Paper(_) | Self::L1(_) | Self::Magnitude(_) => ScoreKind::Magnitude,
            Self::Sensitivity(_) => ScoreKind::Sensitivity,
            Self::Movement(_) => ScoreKind::Movement,
        }
    }

    /// Memory of the sensitivity, per step. Methods whose score has none wait before their
    /// first removal as long as the default memory would, so that schedules are comparable.
    #[must_use]
    pub fn score_memory(&self) -> f64 {
        match self {
            Self::Neuroprune(settings) => settings.score_memory,
            Self::Sensitivity(settings) => settings.score_memory,
            Self::Paper(_) | Self::L1(_) | Self::Magnitude(_) | Self::Movement(_) => SCORE_MEMORY,
        }
    }

    /// Steps from one removal to the next; `None` for the method that removes weights once,
    /// at the end of the schedule.
    #[must_use]
    pub fn interval(&self) -> Option<usize> {
        match self {
            Self::Neuroprune(settings) => Some(settings.interval),
            Self::L1(settings) => Some(settings.interval),
            Self::Magnitude(settings) | Self::Movement(settings) => Some(settings.interval),
            Self::Sensitivity(settings) => Some(settings.interval),
            Self::Paper(_) => None,
        }
    }

    /// What a neuron costs besides its weights.
    #[must_use]
    pub fn neuron_cost(&self) -> f32 {
        match self {
            Self::Neuroprune(settings) => settings.neuron_cost,
            Self::Paper(_)
            | Self::L1(_)
            | Self::Magnitude(_)
            | Self::Sensitivity(_)
            | Self::Movement(_) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_belongs_to_the_methods_that_read_it() {
        use MethodKind::{L1, Magnitude, Movement, Neuroprune, Paper, Sensitivity};
        let of = MethodKind::with_key;
        assert_eq!(
            of("interval"),
            [Neuroprune, L1, Magnitude, Sensitivity, Movement]
        );
        assert_eq!(of("score"), [Neuroprune]);
        assert_eq!(of("score_memory"), [Neuroprune, Sensitivity]);
        for key in [
            "preferential_attachment",
            "group_sparsity",
            "head_redundancy",
            "cost_floor",
        ] {
            assert_eq!(of(key), [Neuroprune, Paper], "{key}");
        }
        for key in ["neuron_cost", "head_distance"] {
            assert_eq!(of(key), [Neuroprune], "{key}");
        }
        assert_eq!(of("alpha"), [Paper, L1]);
        assert_eq!(of("beta"), [Paper]);
        assert_eq!(of("theta"), [Paper]);
        assert_eq!(of("sparsity"), []);
        assert_eq!(of("method"), []);
    }

    #[test]
    fn another_method_keeps_the_settings_that_both_have() {
        let method = Method::from(Neuroprune {
            interval: 7,
            cost_floor: 1.0,
            score_memory: 0.5,
            ..Neuroprune::default()
        });
        assert_eq!(method.changed_to(MethodKind::Neuroprune), method);
        assert_eq!(
            method.changed_to(MethodKind::Paper),
            Method::Paper(Paper {
                cost_floor: 1.0,
                ..Paper::default()
            })
        );
        let magnitude = method.changed_to(MethodKind::Magnitude);
        assert_eq!(magnitude, Method::Magnitude(Gradual { interval: 7 }));
        assert_eq!(magnitude.score_memory(), 0.95);
    }
}
