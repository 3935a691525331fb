//! What a model may take of a microcontroller, and the shape of a student for that.

use core::fmt::{self, Display, Formatter};
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

/// A network that is small from the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers; 0: a bag, the mean of the rows.
    pub layers: usize,
    /// Width of a row of the table; 0: that of the residual stream.
    pub embedding: usize,
    /// Share of the layers' weights that are zero.
    pub sparsity: f64,
}

/// Kilobytes of a file from which a shape is used.
type Tier = (usize, Shape);

/// More than fit any budget.
const MOST_PIECES: usize = 60_000;

const KB: usize = 1024;
const MB: usize = 1024 * KB;

const fn shape(hidden: usize, layers: usize, embedding: usize, sparsity: f64) -> Shape {
    Shape {
        hidden,
        layers,
        embedding,
        sparsity,
    }
}

/// About half of the bytes are for the pieces, their rows and their letters, at every size. What is
/// pruned is wider for the same bytes and instructions.
static TIERS: [Tier; 8] = [
    (1024, shape(384, 3, 128, 0.9)),
    (256, shape(256, 3, 64, 0.9)),
    (96, shape(128, 2, 32, 0.8)),
    (48, shape(128, 2, 24, 0.9)),
    (20, shape(96, 1, 16, 0.9)),
    // Where the file has room, but memory or time has not.
    (20, shape(64, 1, 16, 0.8)),
    (20, shape(32, 1, 16, 0.5)),
    // A bag: the mean of rows that the classifier reads as they are.
    (0, shape(24, 0, 0, 0.0)),
];

impl Budget {
    /// Shapes for texts of `tokens`: first the largest that the bytes of the file are enough for, as far
    /// as memory and instructions can be foreseen (the smallest of all where none is), then others of
    /// about as many bytes that are within this too.
    #[must_use]
    pub fn shapes(self, tokens: usize) -> Vec<Shape> {
        let [.., (_, smallest)] = &TIERS;
        let tiers = TIERS.iter().filter(|(from, _)| from * KB <= self.bytes.0);
        let mut tiers = tiers.map(|(_, shape)| *shape);
        let usual = tiers.find(|shape| self.allows(*shape, tokens));
        let usual = usual.unwrap_or(*smallest);
        let mut shapes = vec![usual];
        for other in usual.others() {
            if self.allows(other, tokens) && !shapes.contains(&other) {
                shapes.push(other);
            }
        }
        shapes
    }

    /// Gives `recipe` a student of the first of [`Budget::shapes`].
    pub fn apply(self, recipe: &mut Recipe) {
        if let Some(&usual) = self.shapes(recipe.model.tokens).first() {
            self.apply_shape(recipe, usual);
        }
    }

    /// Gives `recipe` a student of this shape.
    pub fn apply_shape(self, recipe: &mut Recipe, shape: Shape) {
        let student = &mut recipe.student;
        if !student.exists() {
            // A recipe without a student says nothing about its pieces: as many as fit.
            student.vocabulary = MOST_PIECES;
        }
        student.bytes = self.bytes.0;
        student.ram = self.ram.map_or(0, |ram| ram.0);
        student.instructions = self.instructions.map_or(0, |most| most.0);
        student.hidden = shape.hidden;
        student.layers = shape.layers;
        student.embedding = shape.embedding;
        recipe.pruning.sparsity = shape.sparsity;
    }

    /// Whether memory and instructions are enough for it.
    fn allows(self, shape: Shape, tokens: usize) -> bool {
        let ram = self.ram.is_none_or(|ram| shape.ram(tokens) <= ram.0);
        let instructions = self.instructions;
        ram && instructions.is_none_or(|most| shape.instructions() <= most.0)
    }
}

impl Shape {
    /// That of the student of `recipe`.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        let student = &recipe.student;
        Self {
            hidden: student.hidden,
            layers: student.layers,
            embedding: student.embedding,
            sparsity: recipe.pruning.sparsity,
        }
    }

    /// Others of about as many bytes: a dense one of half the width, a wider one with more zeros, shorter
    /// rows for more pieces, longer ones for fewer, and one more layer of which less is kept.
    fn others(self) -> Vec<Self> {
        /// Rows and widths that every kernel takes whole.
        const ROW: usize = 8;
        let row = |width: usize| (width / ROW * ROW).max(ROW);
        let kept = 1.0 - self.sparsity;
        if self.layers == 0 {
            let hidden = [self.hidden * 2 / 3, self.hidden * 4 / 3].map(row);
            return hidden.map(|hidden| Self { hidden, ..self }).to_vec();
        }
        // In whole shares of a thousand.
        let sparsity = |kept: f64| ((1.0 - kept) * 1000.0).round().clamp(0.0, 980.0) / 1000.0;
        vec![
            Self {
                hidden: row(self.hidden / 2),
                sparsity: 0.0,
                ..self
            },
            Self {
                embedding: row(self.embedding * 2 / 3),
                ..self
            },
            Self {
                hidden: row(self.hidden * 3 / 2),
                sparsity: sparsity(kept / 2.25),
                ..self
            },
            Self {
                embedding: row(self.embedding * 4 / 3 + ROW - 1),
                ..self
            },
            Self {
                layers: self.layers + 1,
                sparsity: sparsity(kept * real(self.layers) / real(self.layers + 1)),
                ..self
            },
        ]
    }

    /// Scratch memory and stack for texts of `tokens` tokens, without the few bytes a class.
    fn ram(self, tokens: usize) -> usize {
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
    fn instructions(self) -> usize {
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

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            hidden,
            layers,
            embedding,
            sparsity,
        } = *self;
        if layers == 0 {
            return write!(f, "a bag of rows of {hidden}");
        }
        let layers = counted(layers, "layer");
        write!(f, "{layers}, width {hidden}, rows of {embedding}, ")?;
        match sparsity > 0.0 {
            true => write!(f, "{} zeros", percent_of(sparsity)),
            false => f.write_str("no zeros"),
        }
    }
}

/// A share as people write it.
fn percent_of(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
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

/// As it is read: `64KB`.
impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match bytes {
            _ if bytes.is_multiple_of(MB) => write!(f, "{}MB", bytes / MB),
            _ if bytes.is_multiple_of(KB) => write!(f, "{}KB", bytes / KB),
            _ => write!(f, "{bytes}"),
        }
    }
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
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
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
            let stated = shape(hidden, 2, 32, sparsity).instructions();
            let (stated, counted) = (real(stated), real(counted));
            assert!(
                (stated / counted - 1.0).abs() < 0.05,
                "{stated} of {counted}"
            );
        }
    }

    #[test]
    fn memory_and_instructions_make_a_student_smaller() {
        let found = |ram, instructions| {
            let mut recipe = Recipe::fit();
            let most = Budget {
                ram,
                instructions,
                ..budget(512 * KB)
            };
            most.apply(&mut recipe);
            (recipe.student.hidden, recipe.student.layers)
        };
        assert_eq!(found(None, None), (256, 3));
        assert_eq!(found(None, Some(Count(700_000))), (128, 2));
        assert_eq!(found(Some(Size(16 * KB)), None), (32, 1));
        assert_eq!(found(Some(Size(8 * KB)), None), (24, 0));
        let enough = Some(Size(64 * KB));
        assert_eq!(found(enough, Some(Count(100_000_000))), (256, 3));
        // Nothing is small enough.
        assert_eq!(found(Some(Size(2 * KB)), Some(Count(10_000))), (24, 0));
    }

    /// All of them can be trained, within the same limits and, as far as weights go, of like bytes.
    #[test]
    fn other_shapes_are_alike() {
        for kilobytes in [2, 20, 64, 128, 512, 2048] {
            let most = budget(kilobytes * KB);
            let shapes = most.shapes(64);
            assert!(shapes.len() >= 3, "{shapes:?}");
            let kept = |shape: &Shape| {
                let hidden = real(shape.hidden);
                real(shape.layers) * hidden * hidden * (1.0 - shape.sparsity)
            };
            for (number, shape) in shapes.iter().enumerate() {
                let mut recipe = Recipe::fit();
                recipe.model.from = "folder".to_owned();
                most.apply_shape(&mut recipe, *shape);
                recipe.check().unwrap();
                assert!(!shapes[..number].contains(shape));
                let of_usual = kept(shape) / kept(&shapes[0]).max(1.0);
                // A dense narrow one has weights without places.
                assert!((0.0..=2.6).contains(&of_usual), "{shape}: {of_usual}");
            }
        }
        let [usual, half, ..] = &budget(64 * KB).shapes(64)[..] else {
            panic!("no others")
        };
        assert_eq!(
            usual.to_string(),
            "2 layers, width 128, rows of 24, 90 % zeros"
        );
        assert_eq!(half.to_string(), "2 layers, width 64, rows of 24, no zeros");
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
