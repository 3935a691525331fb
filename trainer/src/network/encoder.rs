//! The forward pass of a packed batch.
//!
//! ```text
//! ids ─► embeddings ─► LayerNorm ─► layer ─► … ─► layer ─► pooling ─► classifier ─► logits
//! ```

use candle_core::{Result, Tensor};

use super::Network;
use super::parameter::Parameter;
use super::precision::{Operands, Precision};
use super::tape::{Gradients, Node, Tape};
use crate::ops::RowIndex;
use crate::recipe::PoolingKind;
use crate::text::batch::Batch;

/// What a network computes for a batch, as far as a loss reads it.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The output of each layer, `[tokens, hidden]`.
    pub layers: Vec<Node>,
    /// `[sequences, hidden]`.
    pub pooled: Node,
    /// `[sequences, labels]`.
    pub logits: Node,
    /// What a student makes of its pooled vectors for its teacher, `[sequences, teacher's width]`.
    pub bridged: Option<Node>,
}

/// A forward pass, recorded for its backward.
#[derive(Debug)]
pub struct Recording {
    /// Its steps.
    pub tape: Tape,
    /// Its outputs.
    pub outputs: Outputs,
}

/// Gradients of a loss with respect to [`Outputs`].
#[derive(Clone, Debug)]
pub struct OutputGradients {
    /// `[sequences, labels]`.
    pub logits: Tensor,
    /// Of each layer's output, `[tokens, hidden]`; empty where the loss does not read them.
    pub layers: Vec<Tensor>,
    /// Of what is bridged, if there is such.
    pub bridged: Option<Tensor>,
}

impl Network {
    /// Logits, `[sequences, labels]`.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let [_, logits] = self.run(&mut Tape::silent(), batch, |_| {})?;
        Ok(logits.value)
    }

    /// What a student of this network learns from.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn outputs(&self, batch: &Batch) -> Result<Outputs> {
        self.run_outputs(&mut Tape::silent(), batch)
    }

    /// [`Network::outputs`], with what their gradients need.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn record(&self, batch: &Batch) -> Result<Recording> {
        let mut tape = Tape::recording();
        let outputs = self.run_outputs(&mut tape, batch)?;
        Ok(Recording { tape, outputs })
    }

    fn run_outputs(&self, tape: &mut Tape, batch: &Batch) -> Result<Outputs> {
        let mut layers = Vec::with_capacity(self.layers.len());
        let [pooled, logits] = self.run(tape, batch, |output| layers.push(output.clone()))?;
        // It is not part of the file, whose int8 it need not know.
        let operands = || Operands {
            precision: Precision::Float,
            columns: None,
        };
        let bridge = self.bridge.as_ref();
        let bridged = bridge.map(|bridge| tape.product(&pooled, bridge, operands()));
        Ok(Outputs {
            layers,
            bridged: bridged.transpose()?,
            pooled,
            logits,
        })
    }

    /// Pooled vectors and logits; `see` is shown the output of each layer.
    fn run(&self, tape: &mut Tape, batch: &Batch, mut see: impl FnMut(&Node)) -> Result<[Node; 2]> {
        let (shape, precision) = (&self.shape, self.precision);
        tape.enter("the embeddings");
        let mut embedded = self.look_up_tokens(tape, &batch.ids)?;
        let others = [
            (self.position_embedding.as_ref(), &batch.positions),
            (self.segment_embedding.as_ref(), &batch.segments),
        ];
        for (table, index) in others {
            if let Some(table) = table {
                let found = self.look_up(tape, table, index)?;
                embedded = tape.add(&embedded, &found)?;
            }
        }
        let mut x = tape.layer_norm(&embedded, &self.embedding_norm, shape.norm_epsilon)?;
        for (number, layer) in self.layers.iter().enumerate() {
            tape.enter(&format!("layer {number}"));
            x = layer.forward(tape, &x, &batch.sequences, shape, precision)?;
            see(&x);
        }
        tape.enter("the classifier");
        let pooled = match shape.pooling {
            PoolingKind::Cls => tape.rows_of(&x, &batch.sequences.firsts())?,
            PoolingKind::Mean => tape.mean(&x, &batch.sequences)?,
        };
        let logits = self.classifier.forward(tape, &pooled, precision)?;
        Ok([pooled, logits])
    }

    /// The rows of the tokens, multiplied by the factor if there is one.
    fn look_up_tokens(&self, tape: &mut Tape, index: &RowIndex) -> Result<Node> {
        let mut found = tape.rows(&self.token_embedding, index)?;
        if self.precision.is_int8() {
            let values = self.shape.token_values.of_table();
            let (_, width) = found.value.dims2()?;
            found = tape.round(&found, width, values)?;
        }
        match &self.embedding_factor {
            Some(factor) => factor.forward(tape, &found, self.precision),
            None => Ok(found),
        }
    }

    fn look_up(&self, tape: &mut Tape, table: &Parameter, index: &RowIndex) -> Result<Node> {
        let found = tape.rows(table, index)?;
        if self.precision.is_int8() {
            return tape.fake_quantize(&found, self.shape.hidden);
        }
        Ok(found)
    }
}

impl Outputs {
    /// How many numbers the layers' outputs have.
    #[must_use]
    pub fn count(&self) -> u64 {
        let layers = self.layers.iter();
        layers.map(|it| it.value.elem_count() as u64).sum()
    }
}

impl Recording {
    /// How many numbers are kept until the backward is done, parameters aside.
    #[must_use]
    pub fn count(&self) -> u64 {
        let Outputs {
            layers,
            pooled,
            logits,
            bridged,
        } = &self.outputs;
        let others = [pooled, logits].into_iter().chain(bridged);
        self.tape.count_with(layers.iter().chain(others))
    }

    /// Gradients of every parameter.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn backward(&self, gradients: &OutputGradients) -> Result<Gradients> {
        let layers = self.outputs.layers.iter().zip(&gradients.layers);
        let logits = (&self.outputs.logits, &gradients.logits);
        let bridged = self.outputs.bridged.iter().zip(&gradients.bridged);
        let given: Vec<_> = layers.chain([logits]).chain(bridged).collect();
        self.tape.backward(&given)
    }

    /// Every tensor of the forward pass that is still kept, with a name for messages, in the order
    /// in which they were made.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut list = self.tape.kept();
        list.push(("the logits".to_owned(), &self.outputs.logits.value));
        list
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use neuroprune_format::tensor::TableValues;

    use super::*;
    use crate::network::{Mixing, Shape};
    use crate::ops::fake_quantize;
    use crate::random::{Purpose, initial_values, stream};
    use crate::recipe::{ActivationKind, MixingKind, ModelRecipe, PositionsKind, TokenValues};
    use crate::text::batch::EncodedExample;

    fn recipe(pooling: PoolingKind) -> ModelRecipe {
        ModelRecipe {
            hidden: 6,
            layers: 2,
            heads: 2,
            intermediate: 8,
            tokens: 5,
            activation: ActivationKind::Gelu,
            pooling,
            ..ModelRecipe::default()
        }
    }

    /// Rows behind a factor, no positions, recurrences without MLPs.
    fn recurrent() -> ModelRecipe {
        ModelRecipe {
            embedding: 4,
            token_values: TokenValues::Int4,
            positions: PositionsKind::None,
            mixing: MixingKind::Recurrence.into(),
            intermediate: 0,
            ..recipe(PoolingKind::Mean)
        }
    }

    fn network(recipe: &ModelRecipe) -> Network {
        let mut shape = Shape::new(recipe, 9, 3, true);
        shape.bridge = 3 * usize::from(shape.embedding > 0);
        let mut network = Network::new(shape, 3).unwrap();
        // Embeddings begin too small for differences to tell anything.
        let Network {
            token_embedding,
            position_embedding,
            segment_embedding,
            ..
        } = &mut network;
        let others = position_embedding.iter_mut().chain(segment_embedding);
        for table in others.chain([token_embedding]) {
            table.value = (&table.value * 30.0).unwrap();
        }
        // A column that was cut, one that was not.
        let layers = &mut network.layers;
        for layer in layers.iter_mut() {
            // So that no difference crosses the end of a gate.
            if let Mixing::Recurrence(recurrence) = &mut layer.mixing {
                for linear in [&mut recurrence.forward, &mut recurrence.backward] {
                    linear.weight.value = (&linear.weight.value * 0.2).unwrap();
                }
            }
        }
        let projection = match &mut layers[1].mixing {
            Mixing::Attention(attention) => &mut attention.projection,
            Mixing::Recurrence(recurrence) => &mut recurrence.forward,
        };
        projection.weight.select(&[0, 1, 3, 4, 5], 1).unwrap();
        projection.columns = Some(vec![0, 1, 3, 4, 5]);
        network
    }

    fn batch() -> Batch {
        let example = |ids: &[u32], first| EncodedExample {
            ids: ids.to_vec(),
            first,
            label: 0,
        };
        Batch::new([example(&[0, 5, 6, 1], 2), example(&[0, 8, 1], 3)].iter())
    }

    /// Reproducible numbers of deviation 1.
    fn numbers(like: &Tensor, index: u64) -> Tensor {
        let mut generator = stream(5, Purpose::Initialization, index);
        let values = initial_values(&mut generator, like.elem_count(), 1.0);
        Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap()
    }

    /// Σ weights·values over the logits and the layers' outputs.
    fn objective(outputs: &Outputs, weights: &OutputGradients) -> f64 {
        let values = outputs.layers.iter().chain([&outputs.logits]);
        let values = values.chain(&outputs.bridged);
        let weights = weights
            .layers
            .iter()
            .chain([&weights.logits])
            .chain(&weights.bridged);
        let terms = values.zip(weights).map(|(values, weights)| {
            let pairs = values_of(&values.value).into_iter().zip(values_of(weights));
            pairs.map(|(v, w)| f64::from(v) * f64::from(w)).sum::<f64>()
        });
        terms.sum()
    }

    fn weights_of(outputs: &Outputs) -> OutputGradients {
        let layers = outputs.layers.iter().zip(1..);
        let bridged = outputs.bridged.as_ref();
        OutputGradients {
            bridged: bridged.map(|bridged| numbers(&bridged.value, 9)),
            logits: numbers(&outputs.logits.value, 0),
            layers: layers
                .map(|(layer, index)| numbers(&layer.value, index))
                .collect(),
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let recipes = [
            recipe(PoolingKind::Mean),
            recipe(PoolingKind::Cls),
            recurrent(),
        ];
        for recipe in recipes {
            let (network, batch) = (network(&recipe), batch());
            let recording = network.record(&batch).unwrap();
            let weights = weights_of(&recording.outputs);
            let gradients = recording.backward(&weights).unwrap();
            for (place, named) in network.parameters().into_iter().enumerate() {
                let (name, parameter) = (named.path, named.parameter);
                let gradient = gradients.get(parameter).expect("a gradient");
                assert_eq!(gradient.dims(), parameter.value.dims(), "{name}");
                let gradient = values_of(gradient);
                let values = values_of(&parameter.value);
                for index in (0..values.len()).step_by(7) {
                    let at = |step: f32| {
                        let mut values = values.clone();
                        values[index] += step;
                        let mut moved = network.clone();
                        let parameter = moved.parameters_mut().swap_remove(place).parameter;
                        let shape = parameter.value.shape();
                        parameter.value = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
                        objective(&moved.outputs(&batch).unwrap(), &weights)
                    };
                    let difference = (at(5e-3) - at(-5e-3)) / 1e-2;
                    let error = (difference - f64::from(gradient[index])).abs();
                    assert!(
                        error < 2e-2 * (1.0 + difference.abs()),
                        "{name}, element {index}: {}, differences say {difference}",
                        gradient[index]
                    );
                }
            }
        }
    }

    /// With these gradients of the logits alone.
    fn of_logits(logits: Tensor) -> OutputGradients {
        OutputGradients {
            logits,
            layers: Vec::new(),
            bridged: None,
        }
    }

    fn values_of(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn bf16_is_near_and_everything_else_is_in_f32() {
        let mut network = network(&recipe(PoolingKind::Mean));
        let batch = batch();
        let float = network.record(&batch).unwrap();
        network.precision = Precision::Bf16;
        let short = network.record(&batch).unwrap();
        assert!(
            short
                .tensors()
                .iter()
                .all(|(_, it)| it.dtype() == DType::F32)
        );
        let ones = float.outputs.logits.value.ones_like().unwrap();
        let loss = of_logits((ones / 3.0).unwrap());
        let in_bf16 = short.backward(&loss).unwrap();
        let in_float = float.backward(&loss).unwrap();
        let logits = [&float, &short].map(|it| it.outputs.logits.value.clone());
        let [expected, found] = logits;
        let mut pairs = vec![("logits".to_owned(), expected, found)];
        for named in network.parameters() {
            let found = [&in_float, &in_bf16].map(|it| it.get(named.parameter).unwrap());
            let [expected, found] = found.map(Tensor::clone);
            pairs.push((named.path, expected, found));
        }
        let mut others = 0;
        for (name, expected, found) in pairs {
            let (expected, found) = (values_of(&expected), values_of(&found));
            others += usize::from(expected != found);
            let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            for (expected, found) in expected.iter().zip(found) {
                let error = (expected - found).abs();
                assert!(error <= 0.05 * largest, "{name}: {found}, float {expected}");
            }
        }
        assert!(others > 20, "{others} tensors differ");
    }

    #[test]
    fn int8_is_near_and_gradients_are_of_what_was_read() {
        let mut network = network(&recipe(PoolingKind::Mean));
        let batch = batch();
        let float = network.record(&batch).unwrap();
        network.precision = Precision::Int8;
        let int8 = network.record(&batch).unwrap();
        let (expected, found) = (
            values_of(&float.outputs.logits.value),
            values_of(&int8.outputs.logits.value),
        );
        assert_ne!(expected, found);
        for (expected, found) in expected.iter().zip(found) {
            assert!((expected - found).abs() < 0.1, "{found}, float {expected}");
        }
        let ones = int8.outputs.logits.value.ones_like().unwrap();
        let gradients = int8.backward(&of_logits(ones)).unwrap();
        let weight = &network.classifier.weight;
        let grad_classifier = gradients.get(weight).unwrap();
        let pooled = int8.tape.input_of(weight).unwrap();
        let read = fake_quantize(pooled, TableValues::I8)
            .unwrap()
            .sum(0)
            .unwrap();
        for row in grad_classifier.to_vec2::<f32>().unwrap() {
            for (found, expected) in row.iter().zip(values_of(&read)) {
                assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
            }
        }
    }
}
