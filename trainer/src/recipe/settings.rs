//! The keys of section `pruning` as they are written, and which of them mean something to
//! which method.

use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::methods::{Method, MethodKind, Neuroprune, Paper, ScoreKind};

/// The section as it is written: every key that any method has, those of other methods than
/// `method` left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PruningKeys {
    pub(super) method: MethodKind,
    pub(super) sparsity: f64,
    pub(super) epochs: usize,
    pub(super) learning_rate: f64,
    pub(super) schedule_end: f64,
    pub(super) blocks: Blocks,
    pub(super) word_noise: f32,
    pub(super) distillation: f64,
    pub(super) temperature: f64,
    pub(super) hidden_distillation: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<ScoreKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score_memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) preferential_attachment: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_sparsity: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head_redundancy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_floor: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neuron_cost: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head_distance: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alpha: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) theta: Option<f32>,
}

/// How many keys belong to single methods.
pub(super) const SETTINGS: usize = 12;

impl PruningKeys {
    /// The keys of single methods that are set.
    pub(super) fn settings(&self) -> Vec<&'static str> {
        let keys: [(&str, bool); SETTINGS] = [
            ("interval", self.interval.is_some()),
            ("score", self.score.is_some()),
            ("score_memory", self.score_memory.is_some()),
            (
                "preferential_attachment",
                self.preferential_attachment.is_some(),
            ),
            ("group_sparsity", self.group_sparsity.is_some()),
            ("head_redundancy", self.head_redundancy.is_some()),
            ("cost_floor", self.cost_floor.is_some()),
            ("neuron_cost", self.neuron_cost.is_some()),
            ("head_distance", self.head_distance.is_some()),
            ("alpha", self.alpha.is_some()),
            ("beta", self.beta.is_some()),
            ("theta", self.theta.is_some()),
        ];
        let set = keys.into_iter().filter(|(_, is_set)| *is_set);
        set.map(|(key, _)| key).collect()
    }
}

impl Default for PruningKeys {
    fn default() -> Self {
        Self {
            method: MethodKind::Neuroprune,
            sparsity: 0.9,
            epochs: 12,
            learning_rate: 1e-3,
            schedule_end: 0.6,
            blocks: Blocks::One,
            word_noise: 0.2,
            distillation: 0.5,
            temperature: 2.0,
            hidden_distillation: 0.0,
            interval: None,
            score: None,
            score_memory: None,
            preferential_attachment: None,
            group_sparsity: None,
            head_redundancy: None,
            cost_floor: None,
            neuron_cost: None,
            head_distance: None,
            alpha: None,
            beta: None,
            theta: None,
        }
    }
}

impl MethodKind {
    /// The methods that have a setting of this name.
    pub(crate) fn with_key(key: &str) -> Vec<Self> {
        let has = |kind: &Self| {
            let mut keys = PruningKeys::default();
            Method::new(*kind).write_to(&mut keys);
            keys.settings().contains(&key)
        };
        Self::all().filter(has).collect()
    }
}

impl Method {
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
        let name = path.strip_prefix("pruning.")?;
        let mut all = PruningKeys::default();
        for other in MethodKind::all() {
            Method::new(other).write_to(&mut all);
        }
        let key = all.settings().into_iter().find(|key| *key == name)?;
        (!MethodKind::with_key(key).contains(&kind)).then_some(Self { key, kind })
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
