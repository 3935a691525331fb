//! What a model may take of a microcontroller, and the shape of a student for that.

use core::str::FromStr;

use neuroprune_format::Limits;
use neuroprune_runtime::required_scratch_with;

use super::Recipe;
use super::target::{FEATURE_BYTES, STACK_BYTES, Target};
use crate::numbers::{counted, real, rounded};

/// Tokens of the text whose instructions count.
pub const TOKENS: usize = 16;

/// What a model may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of its file.
    pub bytes: Size,
    /// Bytes of scratch memory and stack on a Cortex-M4.
    pub ram: Option<Size>,
    /// Instructions of a Cortex-M4F for a text of [`TOKENS`].
    pub instructions: Option<Count>,
}

/// Bytes, as people write them: `64KB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// A large number, as people write it: `0.6M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub usize);

/// A shape that files up to some size have.
#[derive(Clone, Copy, Debug)]
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
static TIERS: [Tier; 8] = [
    Tier { from: 1024, hidden: 384, layers: 3, embedding: 128, sparsity: 0.9 },
    Tier { from: 256, hidden: 256, layers: 3, embedding: 64, sparsity: 0.9 },
    Tier { from: 96, hidden: 128, layers: 2, embedding: 32, sparsity: 0.8 },
    Tier { from: 48, hidden: 128, layers: 2, embedding: 24, sparsity: 0.9 },
    Tier { from: 20, hidden: 96, layers: 1, embedding: 16, sparsity: 0.9 },
    // Where the file has room, but memory or time has not.
    Tier { from: 20, hidden: 64, layers: 1, embedding: 16, sparsity: 0.8 },
    Tier { from: 20, hidden: 32, layers: 1, embedding: 16, sparsity: 0.5 },
    // A bag: the mean of rows that the classifier reads as they are.
    Tier { from: 0, hidden: 24, layers: 0, embedding: 0, sparsity: 0.0 },
];

impl Budget {
    /// The shape that `recipe` gets, in words.
    #[must_use]
    pub fn shape(self, tokens: usize) -> String {
        let tier = self.tier(tokens);
        match tier.layers {
            0 => format!("a bag of rows of {}", tier.hidden),
            layers => format!(
                "{}, width {}, {:.0} % zeros",
                counted(layers, "layer"),
                tier.hidden,
                100.0 * tier.sparsity
            ),
        }
    }

    /// Gives `recipe` a student for this: the largest shape that the bytes of the file are enough for,
    /// as far as memory and instructions can be foreseen; the smallest one where none is.
    pub fn apply(self, recipe: &mut Recipe) {
        let tier = self.tier(recipe.model.tokens);
        let student = &mut recipe.student;
        if !student.exists() {
            // A recipe without a student says nothing about its pieces: as many as fit.
            student.vocabulary = MOST_PIECES;
        }
        student.bytes = self.bytes.0;
        student.ram = self.ram.map_or(0, |ram| ram.0);
        student.instructions = self.instructions.map_or(0, |most| most.0);
        student.hidden = tier.hidden;
        student.layers = tier.layers;
        student.embedding = tier.embedding;
        recipe.pruning.sparsity = tier.sparsity;
    }

    fn tier(self, tokens: usize) -> &'static Tier {
        let is_possible = |tier: &&Tier| {
            let ram = self.ram.is_none_or(|ram| tier.ram(tokens) <= ram.0);
            let instructions = self.instructions;
            let is_fast = instructions.is_none_or(|most| tier.instructions() <= most.0);
            tier.from * KB <= self.bytes.0 && ram && is_fast
        };
        let [.., smallest] = &TIERS;
        TIERS.iter().find(is_possible).unwrap_or(smallest)
    }
}

impl Tier {
    /// Scratch memory and stack for texts of `tokens` tokens, without the few bytes a class.
    fn ram(&self, tokens: usize) -> usize {
        let limits = Limits {
            tokens,
            hidden: self.hidden,
            embedding: self.embedding,
            recurrence: if self.layers > 0 { self.hidden } else { 0 },
            ..Limits::default()
        };
        required_scratch_with(limits, tokens, FEATURE_BYTES) + STACK_BYTES
    }

    /// About what a text of [`TOKENS`] takes, fitted to counts that have the tokenizer in them. Its
    /// share stands for the margin of `cost`, by which the file is judged later.
    fn instructions(&self) -> usize {
        /// Of the tokenizer and the classifier.
        const OF_TEXT: f64 = 67_000.0;
        /// Of the gates and the norm, for each number of a token and layer.
        const OF_NUMBER: f64 = 60.0;
        /// Of eight tokens.
        const TILES: f64 = 2.0;
        let costs = Target::CortexM4.costs();
        let [weight, nonzero, row] =
            [costs.dense, costs.delta_u8, costs.row].map(|cost| f64::from(cost) / 100.0);
        let [hidden, layers, embedding, tokens] =
            [self.hidden, self.layers, self.embedding, TOKENS].map(real);
        let dense = hidden * embedding * weight;
        let rows = layers * 2.0 * hidden;
        let all = rows * 2.0 * hidden;
        let pruned = (all * (1.0 - self.sparsity) * nonzero).min(all * weight);
        let products = TILES * (dense + pruned + rows * row);
        let sum = OF_TEXT + OF_NUMBER * layers * hidden * tokens + products;
        rounded(sum)
    }
}

/// A number and the factor that a unit after it stands for.
fn with_unit(text: &str, units: &[(&str, usize)]) -> Option<f64> {
    let text = text.trim().to_ascii_uppercase();
    let found = units
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.unwrap_or((&text, 1));
    let number = number.trim();
    let is_plain = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain)?;
    Some(number * real(factor))
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("MIB", MB),
            ("MB", MB),
            ("M", MB),
            ("KIB", KB),
            ("KB", KB),
            ("K", KB),
            ("B", 1),
        ];
        let bytes = with_unit(text, &units).map(rounded);
        // Smaller than any file; larger than any microcontroller's.
        let bytes = bytes.filter(|bytes| (2 * KB..=64 * MB).contains(bytes));
        let expected =
            "expected a size from 2KB to 64MB, such as 64KB, 2MB or 48000 (a KB is 1024 bytes)";
        bytes.map(Self).ok_or_else(|| expected.to_owned())
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("G", 1_000_000_000), ("M", 1_000_000), ("K", 1000)];
        let count = with_unit(text, &units).map(rounded);
        // Reading a text takes more than the least.
        let count = count.filter(|count| (10_000..=100_000_000_000).contains(count));
        let expected = "expected a number from 10K to 100G, such as 600K, 0.6M or 600000";
        count.map(Self).ok_or_else(|| expected.to_owned())
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
            ("2.5KB", 2560),
        ] {
            assert_eq!(text.parse().map(|Size(bytes)| bytes), Ok(bytes), "{text}");
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
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    fn budget(bytes: usize) -> Budget {
        let bytes = Size(bytes);
        let (ram, instructions) = (None, None);
        Budget {
            bytes,
            ram,
            instructions,
        }
    }

    #[test]
    fn counts_are_read_as_people_write_them() {
        let counts = ["600K", "0.6M", "600000", " .6m "].map(|text| text.parse());
        assert!(counts.iter().all(|count| *count == Ok(Count(600_000))));
        for wrong in ["", "M", "inf", "-1M", "1e6", "9999", "1T"] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong}");
        }
    }

    /// Of `benchmarks/mps2-an386`, models `recurrent` and `recurrent dense`.
    #[test]
    fn instructions_are_about_those_counted() {
        let counted = [(128, 0.9, 676_771), (64, 0.0, 728_072)];
        for (hidden, sparsity, counted) in counted {
            let tier = Tier {
                from: 0,
                hidden,
                layers: 2,
                embedding: 32,
                sparsity,
            };
            let (stated, counted) = (real(tier.instructions()), real(counted));
            assert!(
                (stated / counted - 1.0).abs() < 0.05,
                "{stated} of {counted}"
            );
        }
    }

    #[test]
    fn memory_and_instructions_make_a_student_smaller() {
        let shape = |ram, instructions| {
            let mut recipe = Recipe::fit();
            let most = Budget {
                ram,
                instructions,
                ..budget(512 * KB)
            };
            most.apply(&mut recipe);
            (recipe.student.hidden, recipe.student.layers)
        };
        assert_eq!(shape(None, None), (256, 3));
        assert_eq!(shape(None, Some(Count(700_000))), (128, 2));
        assert_eq!(shape(Some(Size(16 * KB)), None), (32, 1));
        assert_eq!(shape(Some(Size(8 * KB)), None), (24, 0));
        let enough = Some(Size(64 * KB));
        assert_eq!(shape(enough, Some(Count(100_000_000))), (256, 3));
        // Nothing is small enough.
        assert_eq!(shape(Some(Size(2 * KB)), Some(Count(10_000))), (24, 0));
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
            budget(bytes).apply(&mut recipe);
            recipe.check().unwrap();
            assert_eq!(recipe.student.bytes, bytes);
            // A recipe that has no student gets one.
            let mut other = Recipe::by_name("small").unwrap();
            budget(bytes).apply(&mut other);
            assert!(other.student.exists());
        }
    }
}
