//! What is learned: the classes, and the dense network's outputs for the same texts.
//!
//! The teacher reads the batch as the student does, noise included. So a text with changed
//! words is another text with an answer of its own, and few texts teach as many would
//! (Jiao et al. 2020, "TinyBERT"). Sparse and dense network have the same layers of the same
//! width, and one began as the other: what each layer makes can be compared as it is.

use candle_core::{Result, Tensor};

use crate::network::{OutputGradients, Outputs};
use crate::numbers::real;
use crate::ops::LossSum;
use crate::recipe::PruningRecipe;

/// A loss and its gradients.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// One number.
    pub value: Tensor,
    /// As [`crate::network::Recording::backward`] takes them.
    pub gradients: OutputGradients,
}

/// What the classes of a batch should be.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// `[examples, classes]`, rows of sum 1.
    pub rows: Tensor,
    /// `[examples, 1]`: what each row weighs; 1 where there is nothing.
    pub weights: Option<Tensor>,
}

/// Of the same weight.
impl From<Tensor> for Targets {
    fn from(rows: Tensor) -> Self {
        let weights = None;
        Self { rows, weights }
    }
}

/// Whether the dense network is part of the loss.
pub(crate) fn has_teacher(recipe: &PruningRecipe) -> bool {
    recipe.distillation > 0.0 || recipe.hidden_distillation > 0.0
}

impl Loss {
    /// Cross-entropy of the logits against `targets`.
    pub(crate) fn of_classes(student: &Outputs, targets: &Targets) -> Result<Self> {
        let logits = &student.logits.value;
        let mut sum = LossSum::new(logits)?;
        sum.add_cross_entropy(logits, &targets.rows, targets.weights.as_ref(), 1.0)?;
        Ok(Self::new(sum, Vec::new()))
    }

    /// (1 − λ)·CE(z, targets) + λ·τ²·CE(z / τ, softmax(z* / τ)) + μ·mean (h − h*)²: with the
    /// logits z and layer outputs h of `student`, z* and h* of `teacher`; the last mean is
    /// over layers, tokens and dimensions.
    ///
    /// # Errors
    /// When the two are not outputs for the same batch.
    pub(crate) fn taught(
        student: &Outputs,
        teacher: &Outputs,
        targets: &Targets,
        recipe: &PruningRecipe,
    ) -> Result<Self> {
        let logits = &student.logits.value;
        let mut sum = LossSum::new(logits)?;
        let share = 1.0 - recipe.distillation;
        sum.add_cross_entropy(logits, &targets.rows, targets.weights.as_ref(), share)?;
        if recipe.distillation > 0.0 {
            let shown = &teacher.logits.value;
            sum.add_distillation(logits, shown, recipe.temperature, recipe.distillation)?;
        }
        let mut layers = Vec::new();
        if recipe.hidden_distillation > 0.0 {
            let weight = weight_of_distance(student, recipe);
            for (own, shown) in student.layers.iter().zip(&teacher.layers) {
                layers.push(sum.add_squared_distance(&own.value, &shown.value, weight)?);
            }
        }
        Ok(Self::new(sum, layers))
    }

    /// (1 − λ)·CE(z, targets) + λ·τ²·CE(z / τ, softmax(z* / τ)) + μ·mean (B·p − p*)²: with the
    /// logits z and pooled vectors p of `student`, the bridge B, and its teacher's answers z*, p*.
    pub(crate) fn answered(
        student: &Outputs,
        [answers, pooled]: &[Tensor; 2],
        targets: &Targets,
        recipe: &PruningRecipe,
    ) -> Result<Self> {
        let logits = &student.logits.value;
        let mut sum = LossSum::new(logits)?;
        let share = 1.0 - recipe.distillation;
        sum.add_cross_entropy(logits, &targets.rows, targets.weights.as_ref(), share)?;
        if recipe.distillation > 0.0 {
            sum.add_distillation(logits, answers, recipe.temperature, recipe.distillation)?;
        }
        let bridged = student.bridged.as_ref().map(|bridged| {
            let weight = recipe.hidden_distillation / real(pooled.elem_count().max(1));
            sum.add_squared_distance(&bridged.value, pooled, weight)
        });
        let bridged = bridged.transpose()?;
        let mut loss = Self::new(sum, Vec::new());
        loss.gradients.bridged = bridged;
        Ok(loss)
    }

    fn new(sum: LossSum, layers: Vec<Tensor>) -> Self {
        Self {
            value: sum.value,
            gradients: OutputGradients {
                logits: sum.grad_logits,
                layers,
                bridged: None,
            },
        }
    }
}

/// What each square of a distance weighs: layers have the same share, whatever is in them.
fn weight_of_distance(student: &Outputs, recipe: &PruningRecipe) -> f64 {
    let values = student.layers.first();
    let values = values.map_or(0, |layer| layer.value.elem_count());
    recipe.hidden_distillation / real((student.layers.len() * values).max(1))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::network::{Network, Shape};
    use crate::recipe::ModelRecipe;
    use crate::text::batch::{Batch, EncodedExample};

    fn outputs(seed: u64) -> Outputs {
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
        network.outputs(&batch).unwrap()
    }

    /// With weights, as those of rare classes are.
    fn targets() -> Targets {
        let rows = [[0.0_f32, 0.1, 0.9], [1.0, 0.0, 0.0]];
        Targets {
            rows: Tensor::new(&rows, &Device::Cpu).unwrap(),
            weights: Some(Tensor::new(&[[0.5_f32], [3.0]], &Device::Cpu).unwrap()),
        }
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
        let (student, teacher) = (outputs(1), outputs(2));
        let value = |student: &Outputs| {
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
        let rows = numbers(&student.logits.value);
        let shown = numbers(&teacher.logits.value);
        let wanted = numbers(&targets().rows);
        for row in 0..2 {
            let at = row * 3..row * 3 + 3;
            let hard = log_softmax(&rows[at.clone()], 1.0);
            let soft = log_softmax(&rows[at.clone()], 2.0);
            let answers = log_softmax(&shown[at.clone()], 2.0);
            for class in 0..3 {
                let weight = [0.5, 3.0][row];
                let wanted = f64::from(wanted[at.start + class]);
                expected -= 0.3 / 2.0 * weight * wanted * hard[class];
                expected -= 0.7 * 4.0 / 2.0 * answers[class].exp() * soft[class];
            }
        }
        for (own, shown) in student.layers.iter().zip(&teacher.layers) {
            let (own, shown) = (numbers(&own.value), numbers(&shown.value));
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

        // Steps along one value of one tensor, which `place` finds in the outputs.
        type Place = fn(&mut Outputs) -> &mut Tensor;
        let places: [(Place, &Tensor); 3] = [
            (|it| &mut it.logits.value, &loss.gradients.logits),
            (|it| &mut it.layers[0].value, &loss.gradients.layers[0]),
            (|it| &mut it.layers[1].value, &loss.gradients.layers[1]),
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
        let (student, teacher) = (outputs(1), outputs(1));
        let loss = Loss::taught(&student, &teacher, &targets(), &recipe).unwrap();
        let gradients = core::iter::once(&loss.gradients.logits).chain(&loss.gradients.layers);
        assert!(
            gradients
                .flat_map(numbers)
                .all(|gradient| gradient.abs() < 1e-6)
        );
    }
}
