//! How many bytes a model may have, and the shape of a student for that.

use core::str::FromStr;

use super::Recipe;

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(usize);

/// A shape that files up to some size have.
struct Tier {
    /// Kilobytes of a file from which it is used.
    from: usize,
    hidden: usize,
    layers: usize,
    embedding: usize,
    sparsity: f64,
}

/// More than fit any budget.
const MOST_PIECES: usize = 60_000;

const KB: usize = 1024;
const MB: usize = 1024 * KB;

/// About half of the bytes are for the pieces, their rows and their letters, at every size. What is
/// pruned is wider for the same bytes and instructions.
#[rustfmt::skip]
const TIERS: [Tier; 6] = [
    Tier { from: 1024, hidden: 384, layers: 3, embedding: 128, sparsity: 0.9 },
    Tier { from: 256, hidden: 256, layers: 3, embedding: 64, sparsity: 0.9 },
    Tier { from: 96, hidden: 128, layers: 2, embedding: 32, sparsity: 0.8 },
    Tier { from: 48, hidden: 128, layers: 2, embedding: 24, sparsity: 0.9 },
    Tier { from: 20, hidden: 96, layers: 1, embedding: 16, sparsity: 0.9 },
    // A bag: the mean of rows that the classifier reads as they are.
    Tier { from: 0, hidden: 24, layers: 0, embedding: 0, sparsity: 0.0 },
];

impl Budget {
    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0
    }

    /// Gives `recipe` a student for this many bytes.
    pub fn apply(self, recipe: &mut Recipe) {
        let tier = TIERS.iter().find(|tier| tier.from * KB <= self.0);
        let Some(tier) = tier else {
            return;
        };
        let student = &mut recipe.student;
        if !student.exists() {
            // A recipe without a student says nothing about its pieces: as many as fit.
            student.vocabulary = MOST_PIECES;
        }
        student.bytes = self.0;
        student.hidden = tier.hidden;
        student.layers = tier.layers;
        student.embedding = tier.embedding;
        recipe.pruning.sparsity = tier.sparsity;
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a size such as 64KB, 2MB or 48000 (KB: 1024 bytes)".to_owned();
        let text = text.trim().to_ascii_uppercase();
        let units = [
            ("MIB", MB),
            ("MB", MB),
            ("M", MB),
            ("KIB", KB),
            ("KB", KB),
            ("K", KB),
            ("B", 1),
        ];
        let found = units
            .into_iter()
            .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
        let (number, unit) = found.unwrap_or((&text, 1));
        let number: usize = number.trim().parse().map_err(|_| expected())?;
        let bytes = number.checked_mul(unit).ok_or_else(expected)?;
        // Smaller than any file; larger than any microcontroller's.
        if !(2 * KB..=64 * MB).contains(&bytes) {
            return Err("expected 2KB to 64MB".to_owned());
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("64KB", 65_536),
            ("64 kib", 65_536),
            ("2M", 2 * MB),
            ("48000", 48_000),
        ] {
            assert_eq!(
                text.parse::<Budget>().map(Budget::bytes),
                Ok(bytes),
                "{text}"
            );
        }
        for wrong in [
            "",
            "KB",
            "64GB",
            "-1",
            "1",
            "1e3",
            "99999999999999999999KB",
            "100MB",
        ] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_budget_gives_a_recipe_that_can_be_trained() {
        for bytes in [
            2 * KB,
            20 * KB,
            64 * KB,
            128 * KB,
            512 * KB,
            2 * MB,
            64 * MB,
        ] {
            let mut recipe = Recipe::fit();
            recipe.model.from = "folder".to_owned();
            Budget(bytes).apply(&mut recipe);
            recipe.check().unwrap();
            assert_eq!(recipe.student.bytes, bytes);
            // A recipe that has no student gets one.
            let mut other = Recipe::by_name("small").unwrap();
            Budget(bytes).apply(&mut other);
            assert!(other.student.exists());
        }
    }
}
