//! What other models reached on the same set, to compare with.

use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// What another model reached on the same set, to compare with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Its name, and where the number is from.
    pub name: String,
    /// Its accuracy in per cent.
    pub accuracy: f64,
    /// Share of its weights that is zero; left out for dense models.
    pub sparsity: Option<f64>,
}

/// `BERT-mini=83.69`, or `Prune OFA=91.0@0.9` for a sparse one.
impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected NAME=ACCURACY or NAME=ACCURACY@SPARSITY, such as fastText=76.1";
        let (name, numbers) = text.rsplit_once('=').ok_or(expected)?;
        let (accuracy, sparsity) = match numbers.split_once('@') {
            None => (numbers, None),
            Some((accuracy, sparsity)) => (accuracy, Some(sparsity)),
        };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| expected);
        Self {
            name: name.trim().to_owned(),
            accuracy: number(accuracy)?,
            sparsity: sparsity.map(number).transpose()?,
        }
        .checked()
    }
}

impl Peer {
    /// The peer, if its numbers are in range.
    ///
    /// # Errors
    /// A message that names it, and what was expected.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let Self {
            name,
            accuracy,
            sparsity,
        } = &self;
        if !(0.0..=100.0).contains(accuracy) {
            return Err(format!(
                "peer `{name}`: accuracy {accuracy}, expected per cent, 0 to 100"
            ));
        }
        match sparsity {
            Some(share) if !(0.0..1.0).contains(share) => Err(format!(
                "peer `{name}`: sparsity {share}, expected a share below 1"
            )),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_an_accuracy_and_perhaps_a_sparsity() {
        let peer = |text: &str| text.parse::<Peer>();
        let sparse = peer("a=b=81.5@0.9").unwrap();
        assert_eq!((sparse.name.as_str(), sparse.accuracy), ("a=b", 81.5));
        assert_eq!(sparse.sparsity, Some(0.9));
        assert_eq!(peer("fastText = 76.1").unwrap().sparsity, None);
        for (text, message) in [
            ("fastText", "expected NAME=ACCURACY"),
            ("fastText=good", "expected NAME=ACCURACY"),
            ("fastText=761", "accuracy 761, expected per cent"),
            ("fastText=76@90", "sparsity 90, expected a share"),
        ] {
            assert!(peer(text).unwrap_err().contains(message), "{text}");
        }
    }
}
