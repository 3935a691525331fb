//! How the tokens of each layer read others.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::words;

words! {
    /// How the tokens of a layer read others.
    #[derive(Default)]
    pub enum MixingKind {
        /// Any token any other, by heads
        #[default]
        Attention = "attention",
        /// Each token what came before and after it, through a state
        Recurrence = "recurrence",
    }
}

/// The mixing of each layer; the last of them is that of all further layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mixings {
    first: MixingKind,
    others: Vec<MixingKind>,
}

impl Mixings {
    /// The mixing of layer `number`, from 0.
    #[must_use]
    pub fn of(&self, number: usize) -> MixingKind {
        let last = self.others.last().copied().unwrap_or(self.first);
        match number.checked_sub(1) {
            None => self.first,
            Some(number) => self.others.get(number).copied().unwrap_or(last),
        }
    }

    /// How many layers are named.
    #[must_use]
    pub fn named(&self) -> usize {
        1 + self.others.len()
    }

    /// How many of the first `layers` have this mixing.
    #[must_use]
    pub fn count(&self, kind: MixingKind, layers: usize) -> usize {
        (0..layers).filter(|&layer| self.of(layer) == kind).count()
    }
}

impl From<MixingKind> for Mixings {
    fn from(first: MixingKind) -> Self {
        let others = Vec::new();
        Self { first, others }
    }
}

impl fmt::Display for Mixings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first.name())?;
        let mut others = self.others.iter();
        others.try_for_each(|kind| write!(f, ", {}", kind.name()))
    }
}

impl FromStr for Mixings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |name: &str| {
            let known = MixingKind::by_name(name.trim());
            known.ok_or_else(|| format!("expected {}", MixingKind::WORDS.join(", ")))
        };
        let mut kinds = text.split(',').map(kind);
        let first = kinds.next().unwrap_or_else(|| kind(""))?;
        let others = kinds.collect::<Result<_, _>>()?;
        Ok(Self { first, others })
    }
}

impl Serialize for Mixings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mixings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_that_of_all_further_layers() {
        let mixings: Mixings = "recurrence,attention".parse().unwrap();
        let kinds = [0, 1, 2, 3].map(|layer| mixings.of(layer).name());
        assert_eq!(kinds, ["recurrence", "attention", "attention", "attention"]);
        assert_eq!(mixings.to_string(), "recurrence, attention");
        assert_eq!(mixings.to_string().parse(), Ok(mixings.clone()));
        assert_eq!(mixings.count(MixingKind::Attention, 3), 2);
        for wrong in ["", "attention,", "conv"] {
            let error = wrong.parse::<Mixings>().unwrap_err();
            assert_eq!(error, "expected attention, recurrence");
        }
    }
}
