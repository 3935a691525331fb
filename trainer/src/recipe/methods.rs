//! How weights are chosen, each way with its own settings: `docs/method.md`, "Methods".

use serde::{Deserialize, Serialize};

use super::keys::KEYS;
use super::pruning::{PruningKeys, ScoreKind};

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
    pub const ALL: [Self; 6] = [
        Self::Neuroprune,
        Self::Paper,
        Self::L1,
        Self::Magnitude,
        Self::Sensitivity,
        Self::Movement,
    ];

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

    /// The methods that have a setting of this name.
    pub(crate) fn with_key(key: &str) -> Vec<Self> {
        let has = |kind: &Self| {
            let mut keys = PruningKeys::default();
            Method::new(*kind).write_to(&mut keys);
            keys.settings().contains(&key)
        };
        Self::ALL.into_iter().filter(has).collect()
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

    /// Another method. Settings that both have keep their values; the others are the new
    /// method's defaults.
    #[must_use]
    pub fn changed_to(mut self, kind: MethodKind) -> Self {
        let mut keys = PruningKeys::default();
        self.write_to(&mut keys);
        let mut changed = Self::new(kind);
        changed.read_from(&mut keys);
        changed
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

    /// Sets the keys of this method and no others.
    pub(super) fn write_to(&mut self, keys: &mut PruningKeys) {
        self.each_setting(keys, &Write);
    }

    /// Takes the values of this method's keys; the keys of others are left in `keys`.
    pub(super) fn read_from(&mut self, keys: &mut PruningKeys) {
        self.each_setting(keys, &Read);
    }

    /// The one list of which key means something to which method.
    fn each_setting(&mut self, keys: &mut PruningKeys, way: &impl Transfer) {
        match self {
            Self::Neuroprune(Neuroprune {
                interval,
                score,
                score_memory,
                preferential_attachment,
                group_sparsity,
                head_redundancy,
                cost_floor,
                neuron_cost,
                head_distance,
            }) => {
                way.pair(interval, &mut keys.interval);
                way.pair(score, &mut keys.score);
                way.pair(score_memory, &mut keys.score_memory);
                way.pair(preferential_attachment, &mut keys.preferential_attachment);
                way.pair(group_sparsity, &mut keys.group_sparsity);
                way.pair(head_redundancy, &mut keys.head_redundancy);
                way.pair(cost_floor, &mut keys.cost_floor);
                way.pair(neuron_cost, &mut keys.neuron_cost);
                way.pair(head_distance, &mut keys.head_distance);
            }
            Self::Paper(Paper {
                preferential_attachment,
                group_sparsity,
                head_redundancy,
                cost_floor,
                alpha,
                beta,
                theta,
            }) => {
                way.pair(preferential_attachment, &mut keys.preferential_attachment);
                way.pair(group_sparsity, &mut keys.group_sparsity);
                way.pair(head_redundancy, &mut keys.head_redundancy);
                way.pair(cost_floor, &mut keys.cost_floor);
                way.pair(alpha, &mut keys.alpha);
                way.pair(beta, &mut keys.beta);
                way.pair(theta, &mut keys.theta);
            }
            Self::L1 { interval, alpha } => {
                way.pair(interval, &mut keys.interval);
                way.pair(alpha, &mut keys.alpha);
            }
            Self::Sensitivity {
                interval,
                score_memory,
            } => {
                way.pair(interval, &mut keys.interval);
                way.pair(score_memory, &mut keys.score_memory);
            }
            Self::Magnitude { interval } | Self::Movement { interval } => {
                way.pair(interval, &mut keys.interval);
            }
        }
    }
}

/// A direction between a method's settings and the keys of a recipe.
trait Transfer {
    fn pair<T: Copy>(&self, setting: &mut T, key: &mut Option<T>);
}

struct Read;
struct Write;

impl Transfer for Read {
    fn pair<T: Copy>(&self, setting: &mut T, key: &mut Option<T>) {
        if let Some(value) = key.take() {
            *setting = value;
        }
    }
}

impl Transfer for Write {
    fn pair<T: Copy>(&self, setting: &mut T, key: &mut Option<T>) {
        *key = Some(*setting);
    }
}

/// Why a recipe's section `pruning` cannot be used: a key of other methods.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "`{key}` means nothing to the method `{}`; it is a key of {}",
    .kind.name(),
    listed(&MethodKind::with_key(.key))
)]
pub struct ForeignKey {
    /// The key, without its section.
    pub key: &'static str,
    /// The method that does not have it.
    pub kind: MethodKind,
}

impl ForeignKey {
    /// That `path` is a key of other methods than `kind`, if it is one.
    pub(super) fn find(path: &str, kind: MethodKind) -> Option<Self> {
        let known = KEYS.iter().find(|key| key.path == path)?;
        let (_, key) = known.parts();
        let kinds = known.methods();
        (!kinds.is_empty() && !kinds.contains(&kind)).then_some(Self { key, kind })
    }
}

/// `paper and l1`.
fn listed(kinds: &[MethodKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "no method".to_owned(),
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
        assert_eq!(magnitude, Method::Magnitude { interval: 7 });
        assert_eq!(magnitude.score_memory(), 0.95);
    }
}
