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

use super::precision::Precision;
use super::{Linear, Network, Norm};
use crate::network::parameter::Parameter;
use crate::ops::{
    DeferredSums, activation_backward, add_and_normalize, attention, attention_backward,
    bias_and_activate, column_sums, fake_quantize, layer_norm, layer_norm_backward,
    linear_backward, mean, mean_backward, product, rows, rows_backward,
};
use crate::recipe::PoolingKind;
use crate::text::batch::Batch;

/// Everything a forward pass makes.
#[derive(Clone, Debug)]
pub struct OldRecording {
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

impl OldRecording {
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
    /// [`Network::forward`], with everything on the way.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn record_before(&self, batch: &Batch) -> Result<OldRecording> {
        let epsilon = self.shape.norm_epsilon;
        let precision = self.precision;
        let look_up = |table: &Parameter, index| precision.of(rows(&table.value, index)?);
        let mut embedded = look_up(&self.token_embedding, &batch.ids)?;
        embedded = (embedded + look_up(&self.position_embedding, &batch.positions)?)?;
        if let Some(segment) = &self.segment_embedding {
            embedded = (embedded + look_up(segment, &batch.segments)?)?;
        }
        let mut input = self.embedding_norm.forward(&embedded, epsilon)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let heads = layer.heads_in(&self.shape);
            let projected = layer.projection.forward_before(&input, precision)?;
            let projected = precision.of_parts(projected, heads.width)?;
            let context = attention(&projected, heads, &batch.sequences)?;
            let said = layer.attention_output.product_before(&context, precision)?;
            let bias = &layer.attention_output.bias;
            let norm = &layer.attention_norm;
            let (attention_sum, attended) = norm.behind(said, bias, &input, epsilon)?;
            let (unactivated, neurons) = bias_and_activate(
                layer.mlp_input.product_before(&attended, precision)?,
                &layer.mlp_input.bias.value,
                self.shape.activation,
            )?;
            let found = layer.mlp_output.product_before(&neurons, precision)?;
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
        Ok(OldRecording {
            logits: self.classifier.forward_before(&pooled, precision)?,
            embedded,
            layers,
            pooled,
        })
    }

    /// Gradients of `loss` for every parameter, by its variable.
    ///
    /// # Errors
    /// When `recording` is not one of this network and batch.
    pub fn backward_before(
        &self,
        batch: &Batch,
        recording: &OldRecording,
        loss: &super::OutputGradients,
    ) -> Result<GradStore> {
        let mut store = GradStore::default();
        let gradients = &mut store;
        if recording.layers.len() != self.layers.len() {
            bail!("a recording of {} layers", recording.layers.len());
        }
        let (epsilon, precision) = (self.shape.norm_epsilon, self.precision);
        let mut deferred = DeferredSums::default();
        let grad_bias = column_sums(&loss.logits.contiguous()?, &mut deferred)?;
        gradients.insert(&self.classifier.bias.value, grad_bias);
        let grad_pooled =
            self.classifier
                .backward(&recording.pooled, precision, &loss.logits, gradients)?;
        let tokens = batch.sequences.tokens();
        // What comes down both ways around each matrix is added where it is read.
        let mut grad_output = vec![match self.shape.pooling {
            PoolingKind::Cls => rows_backward(&batch.sequences.firsts(), tokens, &grad_pooled)?,
            PoolingKind::Mean => mean_backward(&batch.sequences, &grad_pooled)?,
        }];
        let layers = self.layers.iter().zip(&recording.layers).enumerate();
        for (number, (layer, made)) in layers.rev() {
            grad_output.extend(loss.layers.get(number).cloned());
            let (grad_sum, grad_bias) = layer.mlp_norm.backward(
                &made.mlp_sum,
                epsilon,
                &grad_output,
                gradients,
                &mut deferred,
            )?;
            gradients.insert(&layer.mlp_output.bias.value, grad_bias);
            let grad_neurons =
                layer
                    .mlp_output
                    .backward(&made.neurons, precision, &grad_sum, gradients)?;
            let (grad_neurons, grad_bias) = activation_backward(
                &made.unactivated,
                self.shape.activation,
                &grad_neurons,
                &mut deferred,
            )?;
            gradients.insert(&layer.mlp_input.bias.value, grad_bias);
            let grad_attended =
                layer
                    .mlp_input
                    .backward(&made.attended, precision, &grad_neurons, gradients)?;
            let (grad_sum, grad_bias) = layer.attention_norm.backward(
                &made.attention_sum,
                epsilon,
                &[grad_sum, grad_attended],
                gradients,
                &mut deferred,
            )?;
            gradients.insert(&layer.attention_output.bias.value, grad_bias);
            let grad_context =
                layer
                    .attention_output
                    .backward(&made.context, precision, &grad_sum, gradients)?;
            let grad_projected = attention_backward(
                &made.projected,
                &made.context,
                layer.heads_in(&self.shape),
                &batch.sequences,
                &grad_context,
            )?;
            let grad_bias = column_sums(&grad_projected, &mut deferred)?;
            gradients.insert(&layer.projection.bias.value, grad_bias);
            let grad_input =
                layer
                    .projection
                    .backward(&made.input, precision, &grad_projected, gradients)?;
            grad_output = vec![grad_sum, grad_input];
        }
        let (grad_embedded, _) = self.embedding_norm.backward(
            &recording.embedded,
            epsilon,
            &grad_output,
            gradients,
            &mut deferred,
        )?;
        let tables = [
            (Some(&self.token_embedding), &batch.ids),
            (Some(&self.position_embedding), &batch.positions),
            (self.segment_embedding.as_ref(), &batch.segments),
        ];
        for (table, index) in tables {
            if let Some(table) = table {
                let grad_table = rows_backward(index, table.value.dim(0)?, &grad_embedded)?;
                gradients.insert(&table.value, grad_table);
            }
        }
        deferred.finish()?;
        Ok(store)
    }
}

impl Norm {
    fn forward(&self, x: &Tensor, epsilon: f32) -> Result<Tensor> {
        layer_norm(x, &self.gain.value, &self.shift.value, epsilon)
    }

    /// The sum of a residual and a matrix's product with its bias, and that sum normalised.
    fn behind(
        &self,
        product: Tensor,
        bias: &Parameter,
        residual: &Tensor,
        epsilon: f32,
    ) -> Result<(Tensor, Tensor)> {
        let weights = [&self.gain.value, &self.shift.value];
        add_and_normalize(product, [&bias.value, residual], weights, epsilon)
    }

    /// Gradients of `x` and of a bias in it, where those of the result add up; those of gain
    /// and shift go to `gradients`. All but the first are `late`.
    fn backward(
        &self,
        x: &Tensor,
        epsilon: f32,
        grad_result: &[Tensor],
        gradients: &mut GradStore,
        deferred: &mut DeferredSums,
    ) -> Result<(Tensor, Tensor)> {
        let found = layer_norm_backward(x, &self.gain.value, epsilon, grad_result, deferred)?;
        gradients.insert(&self.gain.value, found.grad_gain);
        gradients.insert(&self.shift.value, found.grad_shift);
        Ok((found.grad_x, found.grad_bias))
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
    fn forward_before(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        let (x, weight) = self.operands(x, precision)?;
        let y = product(&x, &weight)?;
        crate::ops::add_bias(&y, &self.bias.value)?;
        Ok(y)
    }

    /// Without the bias, for an operation that adds it.
    fn product_before(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        let (x, weight) = self.operands(x, precision)?;
        product(&x, &weight)
    }

    /// What is multiplied.
    fn operands(&self, x: &Tensor, precision: Precision) -> Result<(Tensor, Tensor)> {
        // Before columns go: the file's scale of a token is that of all of them.
        let x = self.gathered(&precision.of(x.clone())?)?;
        let weight = precision.of(self.weight.value.clone())?;
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
        let (grad_gathered, grad_weight) = linear_backward(&gathered, &weight, gradient)?;
        gradients.insert(&self.weight.value, grad_weight);
        match &self.columns {
            None => Ok(grad_gathered),
            Some(columns) => {
                let columns = Tensor::new(columns.as_slice(), x.device())?;
                x.zeros_like()?.index_add(&columns, &grad_gathered, 1)
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
