//! What is learned: the classes, and what the dense network makes of the same texts.
//!
//! The teacher reads the batch as the student does, noise included. So a text with changed
//! words is another text with an answer of its own, and few texts teach as many would
//! (Jiao et al. 2020, "TinyBERT"). Sparse and dense network have the same layers of the same
//! width, and one began as the other: what each layer makes can be compared as it is.

use candle_core::{D, Result, Tensor};

use crate::network::Recording;
#[cfg(feature = "cuda")]
use crate::ops::cuda::Losses;
use crate::recipe::PruningRecipe;

/// A loss and its gradients, as [`crate::network::Network::backward`] takes them.
#[derive(Clone, Debug)]
pub struct Loss {
    /// One number.
    pub value: Tensor,
    /// Of the logits, `[sequences, labels]`.
    pub of_logits: Tensor,
    /// Of each layer's output, `[tokens, hidden]`; empty where nothing compares them.
    pub of_outputs: Vec<Tensor>,
}

/// Whether the dense network has a part in the loss.
#[must_use]
pub fn has_teacher(recipe: &PruningRecipe) -> bool {
    recipe.distillation > 0.0 || recipe.hidden_distillation > 0.0
}

impl Loss {
    /// Cross-entropy of the logits against `targets`, rows of sum 1.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn of_classes(student: &Recording, targets: &Tensor) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if student.logits.device().is_cuda() {
            let losses = Losses::new(&student.logits)?;
            losses.add_cross_entropy([&student.logits, targets], false, 1.0, 1.0)?;
            return Ok(Self::on_gpu(losses, Vec::new()));
        }
        let (value, of_logits) = cross_entropy(&student.logits, targets)?;
        Ok(Self {
            value,
            of_logits,
            of_outputs: Vec::new(),
        })
    }

    /// (1 − λ)·CE(z, targets) + λ·τ²·CE(z / τ, softmax(z* / τ)) + μ·mean (h − h*)²: with the
    /// logits z and layer outputs h of `student`, z* and h* of `teacher`; the last mean is
    /// over layers, tokens and dimensions.
    ///
    /// # Errors
    /// When the two are not recordings of the same batch.
    pub fn taught(
        student: &Recording,
        teacher: &Recording,
        targets: &Tensor,
        recipe: &PruningRecipe,
    ) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if student.logits.device().is_cuda() {
            return Self::taught_on_gpu(student, teacher, targets, recipe);
        }
        let (share, temperature) = (recipe.distillation, recipe.temperature);
        let own = Self::of_classes(student, targets)?;
        let mut value = (own.value * (1.0 - share))?;
        let mut of_logits = (own.of_logits * (1.0 - share))?;
        if share > 0.0 {
            let answers = softmax(&(&teacher.logits / temperature)?)?;
            let softened = (&student.logits / temperature)?;
            let (distilled, of_softened) = cross_entropy(&softened, &answers)?;
            value = (value + (distilled * (share * temperature * temperature))?)?;
            of_logits = (of_logits + (of_softened * (share * temperature))?)?;
        }
        let mut of_outputs = Vec::new();
        if recipe.hidden_distillation > 0.0 {
            for (own, shown) in student.layers.iter().zip(&teacher.layers) {
                let distance = own.output.sub(&shown.output)?;
                let weight = weight_of_distance(student, recipe);
                value = (value + (distance.sqr()?.sum_all()? * weight)?)?;
                of_outputs.push((distance * (2.0 * weight))?);
            }
        }
        Ok(Self {
            value,
            of_logits,
            of_outputs,
        })
    }

    /// The same in a few launches.
    #[cfg(feature = "cuda")]
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what is trained")]
    fn taught_on_gpu(
        student: &Recording,
        teacher: &Recording,
        targets: &Tensor,
        recipe: &PruningRecipe,
    ) -> Result<Self> {
        let (share, temperature) = (recipe.distillation, recipe.temperature);
        let losses = Losses::new(&student.logits)?;
        let own = (1.0 - share) as f32;
        losses.add_cross_entropy([&student.logits, targets], false, 1.0, own)?;
        if share > 0.0 {
            let pair = [&student.logits, &teacher.logits];
            let weight = (share * temperature * temperature) as f32;
            losses.add_cross_entropy(pair, true, temperature.recip() as f32, weight)?;
        }
        let mut of_outputs = Vec::new();
        if recipe.hidden_distillation > 0.0 {
            let weight = weight_of_distance(student, recipe) as f32;
            for (own, shown) in student.layers.iter().zip(&teacher.layers) {
                of_outputs.push(losses.add_squared_distance(&own.output, &shown.output, weight)?);
            }
        }
        Ok(Self::on_gpu(losses, of_outputs))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(losses: Losses, of_outputs: Vec<Tensor>) -> Self {
        let Losses { value, of_logits } = losses;
        Self {
            value,
            of_logits,
            of_outputs,
        }
    }
}

/// What each square of a distance weighs: layers have the same share, whatever is in them.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
fn weight_of_distance(student: &Recording, recipe: &PruningRecipe) -> f64 {
    let values = student.layers.first();
    let values = values.map_or(0, |layer| layer.output.elem_count());
    recipe.hidden_distillation / (student.layers.len() * values).max(1) as f64
}

/// −Σ targets·log softmax(logits), mean over rows, and its gradient
/// (softmax(logits) − targets) / rows, where the targets of a row sum to 1.
fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    #[expect(clippy::cast_precision_loss, reason = "a batch")]
    let rows = logits.dim(0)? as f64;
    let logarithms = log_softmax(logits)?;
    let value = ((&logarithms * targets)?.sum_all()? / -rows)?;
    let of_logits = ((logarithms.exp()? - targets)? / rows)?;
    Ok((value, of_logits))
}

/// log of softmax, row by row.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let sums = shifted.exp()?.sum_keepdim(D::Minus1)?;
    shifted.broadcast_sub(&sums.log()?)
}

fn softmax(logits: &Tensor) -> Result<Tensor> {
    log_softmax(logits)?.exp()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::network::{Network, Shape};
    use crate::recipe::ModelRecipe;
    use crate::text::batch::{Batch, EncodedExample};

    fn recording(seed: u64) -> Recording {
        let recipe = ModelRecipe {
            hidden: 8,
            layers: 2,
            heads: 2,
            intermediate: 16,
            tokens: 8,
            ..ModelRecipe::default()
        };
        let network = Network::new(Shape::new(&recipe, 20, 3, false), seed).unwrap();
        let example = |ids: &[u32]| EncodedExample {
            ids: ids.to_vec(),
            first: ids.len(),
            label: 0,
        };
        let batch = Batch::new([example(&[0, 5, 6, 1]), example(&[0, 9, 1])].iter());
        network.record(&batch).unwrap()
    }

    fn targets() -> Tensor {
        Tensor::new(&[[0.0_f32, 0.1, 0.9], [1.0, 0.0, 0.0]], &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn is_the_formula_and_its_gradients_are_those_of_differences() {
        let recipe = PruningRecipe {
            distillation: 0.7,
            temperature: 2.0,
            hidden_distillation: 3.0,
            ..PruningRecipe::default()
        };
        let (student, teacher) = (recording(1), recording(2));
        let value = |student: &Recording| {
            let loss = Loss::taught(student, &teacher, &targets(), &recipe).unwrap();
            f64::from(loss.value.to_scalar::<f32>().unwrap())
        };
        let loss = Loss::taught(&student, &teacher, &targets(), &recipe).unwrap();

        let log_softmax = |row: &[f32], temperature: f64| {
            let row = row.iter().map(|&z| f64::from(z) / temperature);
            let sum = row.clone().map(f64::exp).sum::<f64>().ln();
            row.map(|z| z - sum).collect::<Vec<_>>()
        };
        let mut expected = 0.0;
        let rows = numbers(&student.logits);
        let shown = numbers(&teacher.logits);
        let wanted = numbers(&targets());
        for row in 0..2 {
            let at = row * 3..row * 3 + 3;
            let hard = log_softmax(&rows[at.clone()], 1.0);
            let soft = log_softmax(&rows[at.clone()], 2.0);
            let answers = log_softmax(&shown[at.clone()], 2.0);
            for class in 0..3 {
                expected -= 0.3 / 2.0 * f64::from(wanted[at.start + class]) * hard[class];
                expected -= 0.7 * 4.0 / 2.0 * answers[class].exp() * soft[class];
            }
        }
        for (own, shown) in student.layers.iter().zip(&teacher.layers) {
            let (own, shown) = (numbers(&own.output), numbers(&shown.output));
            let squares = own
                .iter()
                .zip(&shown)
                .map(|(a, b)| f64::from(a - b).powi(2));
            expected += 3.0 / 2.0 * squares.sum::<f64>() / (7.0 * 8.0);
        }
        let found = value(&student);
        assert!(
            (found - expected).abs() < 1e-5 * expected,
            "{found} {expected}"
        );

        // Steps along one value of one tensor, which `place` finds in a recording.
        type Place = fn(&mut Recording) -> &mut Tensor;
        let places: [(Place, &Tensor); 3] = [
            (|it| &mut it.logits, &loss.of_logits),
            (|it| &mut it.layers[0].output, &loss.of_outputs[0]),
            (|it| &mut it.layers[1].output, &loss.of_outputs[1]),
        ];
        for (place, gradient) in places {
            let gradient = numbers(gradient);
            for index in 0..gradient.len() {
                let at = |step: f32| {
                    let mut moved = student.clone();
                    let tensor = place(&mut moved);
                    let mut values = numbers(tensor);
                    values[index] += step;
                    *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
                    value(&moved)
                };
                let difference = (at(0.05) - at(-0.05)) / 0.1;
                let error = (difference - f64::from(gradient[index])).abs();
                assert!(error < 1e-3, "{index}: {} {difference}", gradient[index]);
            }
        }
    }

    #[test]
    fn what_is_equal_has_nothing_to_learn() {
        let recipe = PruningRecipe {
            distillation: 1.0,
            hidden_distillation: 1.0,
            ..PruningRecipe::default()
        };
        let (student, teacher) = (recording(1), recording(1));
        let loss = Loss::taught(&student, &teacher, &targets(), &recipe).unwrap();
        let gradients = core::iter::once(&loss.of_logits).chain(&loss.of_outputs);
        assert!(
            gradients
                .flat_map(numbers)
                .all(|gradient| gradient.abs() < 1e-6)
        );
    }
}
