//! Forward and backward: post-LayerNorm (Vaswani et al. 2017; Devlin et al. 2019), a packed
//! batch in, logits out, gradients of every parameter back.
//!
//! ```text
//! ids ─► embeddings ─► LayerNorm ─┬────────────────────────┬─► + ─► LayerNorm ─┬──────────────────┬─► + ─► LayerNorm ─► …
//!                                 └─► Q, K, V ─► heads ─► W_O ─┘                   └─► L_in ─► f ─► L_out ─┘
//! … ─► pooling ─► classifier ─► logits
//! ```
//!
//! The backward is written out, operation by operation, instead of left to candle's: that
//! one fills every gradient with zeros and adds to it, a quarter of a step on a GPU. A test
//! holds it to differences.

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, bail};

use super::{Linear, Network, Norm, Precision};
use crate::network::parameter::Parameter;
use crate::ops::{
    LateSums, activation_backward, add_and_normalize, attention, attention_backward,
    bias_and_activate, column_sums, fake_quantize, layer_norm, layer_norm_backward, linear,
    linear_backward, mean, mean_backward, product, rows, rows_backward,
};
use crate::recipe::PoolingKind;
use crate::text::batch::Batch;
use crate::training::loss::Loss;

/// Everything a forward pass makes.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Sum of the embeddings, `[tokens, hidden]`, before their LayerNorm.
    embedded: Tensor,
    /// One a layer.
    pub layers: Vec<LayerRecording>,
    /// `[sequences, hidden]`, for the classifier.
    pub pooled: Tensor,
    /// `[sequences, labels]`.
    pub logits: Tensor,
}

/// Everything one layer makes; what goes into a matrix has all columns.
#[derive(Clone, Debug)]
pub struct LayerRecording {
    /// The residual stream, for the projection, `[tokens, hidden]`.
    pub input: Tensor,
    /// Queries, keys and values.
    projected: Tensor,
    /// What the heads say, for W_O, `[tokens, heads · width]`.
    pub context: Tensor,
    /// Behind the first residual, before its LayerNorm.
    attention_sum: Tensor,
    /// The residual stream, for L_in, `[tokens, hidden]`.
    pub attended: Tensor,
    /// Before the function between the MLP's matrices, `[tokens, neurons]`.
    unactivated: Tensor,
    /// Behind it, for L_out, `[tokens, neurons]`.
    pub neurons: Tensor,
    /// Behind the second residual, before its LayerNorm.
    mlp_sum: Tensor,
    /// What the layer makes, `[tokens, hidden]`.
    pub output: Tensor,
}

impl Recording {
    /// Every tensor with a name for messages, in the order in which they were made.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut list = vec![("the sum of the embeddings".to_owned(), &self.embedded)];
        for (number, layer) in self.layers.iter().enumerate() {
            list.extend(
                [
                    ("input", &layer.input),
                    ("queries, keys and values", &layer.projected),
                    ("context", &layer.context),
                    ("sum behind attention", &layer.attention_sum),
                    ("MLP input", &layer.attended),
                    ("neurons", &layer.unactivated),
                    ("activated neurons", &layer.neurons),
                    ("sum behind MLP", &layer.mlp_sum),
                    ("output", &layer.output),
                ]
                .map(|(name, tensor)| (format!("the {name} of layer {number}"), tensor)),
            );
        }
        list.push(("the pooled vector".to_owned(), &self.pooled));
        list.push(("the vector of logits".to_owned(), &self.logits));
        list
    }
}

impl Network {
    /// Logits, `[sequences, labels]`.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        Ok(self.record(batch)?.logits)
    }

    /// [`Network::forward`], with everything on the way.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn record(&self, batch: &Batch) -> Result<Recording> {
        let epsilon = self.shape.norm_epsilon;
        let precision = self.precision;
        let look_up = |table: &Parameter, index| precision.of(rows(&table.values(), index)?);
        let mut embedded = look_up(&self.token_embedding, &batch.ids)?;
        embedded = (embedded + look_up(&self.position_embedding, &batch.positions)?)?;
        if let Some(segment) = &self.segment_embedding {
            embedded = (embedded + look_up(segment, &batch.segments)?)?;
        }
        let mut input = self.embedding_norm.forward(&embedded, epsilon)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let heads = self.heads_of(layer);
            let projected = layer.projection.forward(&input, precision)?;
            let projected = precision.of_parts(projected, heads.width)?;
            let context = attention(&projected, heads, &batch.sequences)?;
            let said = layer.attention_output.product(&context, precision)?;
            let bias = &layer.attention_output.bias;
            let norm = &layer.attention_norm;
            let (attention_sum, attended) = norm.behind(said, bias, &input, epsilon)?;
            let (unactivated, neurons) = bias_and_activate(
                layer.mlp_input.product(&attended, precision)?,
                &layer.mlp_input.bias.values(),
                self.shape.activation,
            )?;
            let found = layer.mlp_output.product(&neurons, precision)?;
            let bias = &layer.mlp_output.bias;
            let (mlp_sum, output) = layer.mlp_norm.behind(found, bias, &attended, epsilon)?;
            layers.push(LayerRecording {
                input: core::mem::replace(&mut input, output.clone()),
                projected,
                context,
                attention_sum,
                attended,
                unactivated,
                neurons,
                mlp_sum,
                output,
            });
        }
        let pooled = match self.shape.pooling {
            PoolingKind::Cls => rows(&input, &batch.sequences.firsts())?,
            PoolingKind::Mean => mean(&input, &batch.sequences)?,
        };
        Ok(Recording {
            logits: self.classifier.forward(&pooled, precision)?,
            embedded,
            layers,
            pooled,
        })
    }

    /// Gradients of `loss` for every parameter, by its variable.
    ///
    /// # Errors
    /// When `recording` is not one of this network and batch.
    pub fn backward(&self, batch: &Batch, recording: &Recording, loss: &Loss) -> Result<GradStore> {
        let mut store = GradStore::default();
        let gradients = &mut store;
        if recording.layers.len() != self.layers.len() {
            bail!("a recording of {} layers", recording.layers.len());
        }
        let (epsilon, precision) = (self.shape.norm_epsilon, self.precision);
        let mut late = LateSums::default();
        let of_bias = column_sums(&loss.of_logits.contiguous()?, &mut late)?;
        gradients.insert(&self.classifier.bias.value, of_bias);
        let of_pooled =
            self.classifier
                .backward(&recording.pooled, precision, &loss.of_logits, gradients)?;
        let tokens = batch.sequences.tokens();
        // What comes down both ways around each matrix is added where it is read.
        let mut of_output = vec![match self.shape.pooling {
            PoolingKind::Cls => rows_backward(&batch.sequences.firsts(), tokens, &of_pooled)?,
            PoolingKind::Mean => mean_backward(&batch.sequences, &of_pooled)?,
        }];
        let layers = self.layers.iter().zip(&recording.layers).enumerate();
        for (number, (layer, made)) in layers.rev() {
            of_output.extend(loss.of_outputs.get(number).cloned());
            let (of_sum, of_bias) = layer.mlp_norm.backward(
                &made.mlp_sum,
                epsilon,
                &of_output,
                gradients,
                &mut late,
            )?;
            gradients.insert(&layer.mlp_output.bias.value, of_bias);
            let of_neurons =
                layer
                    .mlp_output
                    .backward(&made.neurons, precision, &of_sum, gradients)?;
            let (of_neurons, of_bias) = activation_backward(
                &made.unactivated,
                self.shape.activation,
                &of_neurons,
                &mut late,
            )?;
            gradients.insert(&layer.mlp_input.bias.value, of_bias);
            let of_attended =
                layer
                    .mlp_input
                    .backward(&made.attended, precision, &of_neurons, gradients)?;
            let (of_sum, of_bias) = layer.attention_norm.backward(
                &made.attention_sum,
                epsilon,
                &[of_sum, of_attended],
                gradients,
                &mut late,
            )?;
            gradients.insert(&layer.attention_output.bias.value, of_bias);
            let of_context =
                layer
                    .attention_output
                    .backward(&made.context, precision, &of_sum, gradients)?;
            let of_projected = attention_backward(
                &made.projected,
                &made.context,
                self.heads_of(layer),
                &batch.sequences,
                &of_context,
            )?;
            let of_bias = column_sums(&of_projected, &mut late)?;
            gradients.insert(&layer.projection.bias.value, of_bias);
            let of_input =
                layer
                    .projection
                    .backward(&made.input, precision, &of_projected, gradients)?;
            of_output = vec![of_sum, of_input];
        }
        let (of_embedded, _) = self.embedding_norm.backward(
            &recording.embedded,
            epsilon,
            &of_output,
            gradients,
            &mut late,
        )?;
        let tables = [
            (Some(&self.token_embedding), &batch.ids),
            (Some(&self.position_embedding), &batch.positions),
            (self.segment_embedding.as_ref(), &batch.segments),
        ];
        for (table, index) in tables {
            if let Some(table) = table {
                let of_table = rows_backward(index, table.value.dim(0)?, &of_embedded)?;
                gradients.insert(&table.value, of_table);
            }
        }
        late.finish()?;
        Ok(store)
    }
}

impl Norm {
    fn forward(&self, x: &Tensor, epsilon: f32) -> Result<Tensor> {
        layer_norm(x, &self.gain.values(), &self.shift.values(), epsilon)
    }

    /// The sum of a residual and a matrix's product with its bias, and that sum normalised.
    fn behind(
        &self,
        product: Tensor,
        bias: &Parameter,
        residual: &Tensor,
        epsilon: f32,
    ) -> Result<(Tensor, Tensor)> {
        let weights = [&self.gain.values(), &self.shift.values()];
        add_and_normalize(product, [&bias.values(), residual], weights, epsilon)
    }

    /// Gradients of `x` and of a bias in it, where those of the result add up; those of gain
    /// and shift go to `gradients`. All but the first are `late`.
    fn backward(
        &self,
        x: &Tensor,
        epsilon: f32,
        of_result: &[Tensor],
        gradients: &mut GradStore,
        late: &mut LateSums,
    ) -> Result<(Tensor, Tensor)> {
        let of_result: Vec<&Tensor> = of_result.iter().collect();
        let found = layer_norm_backward(x, &self.gain.values(), epsilon, &of_result, late)?;
        gradients.insert(&self.gain.value, found.of_gain);
        gradients.insert(&self.shift.value, found.of_shift);
        Ok((found.of_x, found.of_bias))
    }
}

impl Precision {
    /// `x` `[rows, width]`, each row on its own.
    fn of(self, x: Tensor) -> Result<Tensor> {
        match self {
            Self::Float | Self::Bf16 => Ok(x),
            Self::Int8 => fake_quantize(&x),
        }
    }

    /// Each `width` columns of each row on their own: the file has a scale a head.
    fn of_parts(self, x: Tensor, width: usize) -> Result<Tensor> {
        match self {
            Self::Float | Self::Bf16 => Ok(x),
            Self::Int8 => fake_quantize(&x.reshape(((), width))?)?.reshape(x.shape()),
        }
    }

    /// What a product multiplies for `x`.
    fn operand(self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(match self {
            Self::Float | Self::Int8 => DType::F32,
            Self::Bf16 => DType::BF16,
        })
    }
}

impl Linear {
    fn forward(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        let (x, weight) = self.operands(x, precision)?;
        linear(&x, &weight, &self.bias.values())
    }

    /// Without the bias, for an operation that adds it.
    fn product(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        let (x, weight) = self.operands(x, precision)?;
        product(&x, &weight)
    }

    /// What is multiplied.
    fn operands(&self, x: &Tensor, precision: Precision) -> Result<(Tensor, Tensor)> {
        // Before columns go: the file's scale of a token is that of all of them.
        let x = self.gathered(&precision.of(x.clone())?)?;
        let weight = precision.of(self.weight.values())?;
        Ok((precision.operand(&x)?, precision.operand(&weight)?))
    }

    /// Gradient of `x`, zero in columns that were cut; that of the weight goes to `gradients`.
    fn backward(
        &self,
        x: &Tensor,
        precision: Precision,
        gradient: &Tensor,
        gradients: &mut GradStore,
    ) -> Result<Tensor> {
        let (gathered, weight) = self.operands(x, precision)?;
        let (of_gathered, of_weight) = linear_backward(&gathered, &weight, gradient)?;
        gradients.insert(&self.weight.value, of_weight);
        match &self.columns {
            None => Ok(of_gathered),
            Some(columns) => {
                let columns = Tensor::new(columns.as_slice(), x.device())?;
                x.zeros_like()?.index_add(&columns, &of_gathered, 1)
            }
        }
    }

    /// The columns that are left.
    fn gathered(&self, x: &Tensor) -> Result<Tensor> {
        match &self.columns {
            None => Ok(x.clone()),
            Some(columns) => x.index_select(&Tensor::new(columns.as_slice(), x.device())?, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::network::Shape;
    use crate::random::{Purpose, initial_values, stream};
    use crate::recipe::{ActivationKind, ModelRecipe};
    use crate::text::batch::EncodedExample;

    fn network(pooling: PoolingKind) -> Network {
        let recipe = ModelRecipe {
            hidden: 6,
            layers: 2,
            heads: 2,
            intermediate: 8,
            tokens: 5,
            activation: ActivationKind::Gelu,
            pooling,
            ..ModelRecipe::default()
        };
        let mut network = Network::new(Shape::new(&recipe, 9, 3, true), 3).unwrap();
        // Embeddings begin too small for differences to tell anything.
        let Network {
            token_embedding,
            position_embedding,
            segment_embedding,
            ..
        } = &mut network;
        let tables = [token_embedding, position_embedding];
        for table in tables.into_iter().chain(segment_embedding) {
            let larger = (table.value.as_tensor() * 30.0).unwrap();
            table.value = Var::from_tensor(&larger).unwrap();
        }
        // A column that was cut, one that was not.
        let projection = &mut network.layers[1].projection;
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

    #[test]
    fn gradients_are_those_of_differences() {
        for pooling in [PoolingKind::Mean, PoolingKind::Cls] {
            let (network, batch) = (network(pooling), batch());
            let recording = network.record(&batch).unwrap();
            // The objective: Σ weights·logits + Σ weights·outputs of the layers.
            let of_logits = numbers(&recording.logits, 0);
            let of_outputs = recording.layers.iter().zip(1..);
            let of_outputs: Vec<Tensor> = of_outputs
                .map(|(layer, index)| numbers(&layer.output, index))
                .collect();
            let objective = || {
                let recording = network.record(&batch).unwrap();
                let outputs = recording.layers.iter().map(|layer| &layer.output);
                let values = core::iter::once(&recording.logits).chain(outputs);
                let weights = core::iter::once(&of_logits).chain(&of_outputs);
                let parts = values.zip(weights).map(|(values, weights)| {
                    let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let weights = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let products = values.iter().zip(&weights);
                    products
                        .map(|(v, w)| f64::from(*v) * f64::from(*w))
                        .sum::<f64>()
                });
                parts.sum::<f64>()
            };
            let loss = Loss {
                of_outputs: of_outputs.clone(),
                ..loss(of_logits.clone())
            };
            let gradients = network.backward(&batch, &recording, &loss).unwrap();
            for (name, parameter) in network.parameters() {
                let gradient = gradients.get(&parameter.value).expect("a gradient");
                assert_eq!(gradient.dims(), parameter.value.dims(), "{name}");
                let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let values = parameter.to_vec().unwrap();
                for index in (0..values.len()).step_by(7) {
                    let at = |step: f32| {
                        let mut moved = values.clone();
                        moved[index] += step;
                        let shape = parameter.value.shape();
                        let moved = Tensor::from_vec(moved, shape, &Device::Cpu).unwrap();
                        parameter.value.set(&moved).unwrap();
                        objective()
                    };
                    let difference = (at(5e-3) - at(-5e-3)) / 1e-2;
                    at(0.0);
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

    /// With these gradients of the logits.
    fn loss(of_logits: Tensor) -> Loss {
        Loss {
            value: Tensor::zeros((), DType::F32, &Device::Cpu).unwrap(),
            of_logits,
            of_outputs: Vec::new(),
        }
    }

    fn values_of(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn bf16_is_near_and_everything_else_is_in_f32() {
        let mut network = network(PoolingKind::Mean);
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
        let loss = loss((float.logits.ones_like().unwrap() / 3.0).unwrap());
        let in_bf16 = network.backward(&batch, &short, &loss).unwrap();
        network.precision = Precision::Float;
        let in_float = network.backward(&batch, &float, &loss).unwrap();
        let mut pairs = vec![("logits".to_owned(), float.logits, short.logits)];
        for (name, parameter) in network.parameters() {
            let [expected, found] = [&in_float, &in_bf16].map(|it| it.get(&parameter.value));
            pairs.push((name, expected.unwrap().clone(), found.unwrap().clone()));
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
        let mut network = network(PoolingKind::Mean);
        let batch = batch();
        let float = network.record(&batch).unwrap();
        network.precision = Precision::Int8;
        let int8 = network.record(&batch).unwrap();
        let (expected, found) = (values_of(&float.logits), values_of(&int8.logits));
        assert_ne!(expected, found);
        for (expected, found) in expected.iter().zip(found) {
            assert!((expected - found).abs() < 0.1, "{found}, float {expected}");
        }
        let loss = loss(int8.logits.ones_like().unwrap());
        let gradients = network.backward(&batch, &int8, &loss).unwrap();
        let of_classifier = gradients.get(&network.classifier.weight.value).unwrap();
        let read = fake_quantize(&int8.pooled).unwrap().sum(0).unwrap();
        for row in of_classifier.to_vec2::<f32>().unwrap() {
            for (found, expected) in row.iter().zip(values_of(&read)) {
                assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
            }
        }
    }
}
