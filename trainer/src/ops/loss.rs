//! Losses and their gradients: cross-entropies of logits, and squared distances.

use crate::numbers::real;
use candle_core::{D, Result, Tensor};

/// A sum of weighted losses, with its gradient with respect to the logits.
///
/// On a GPU each summand is a launch or two.
#[derive(Debug)]
pub(crate) struct LossSum {
    /// One number.
    pub value: Tensor,
    /// `[sequences, labels]`.
    pub grad_logits: Tensor,
}

impl LossSum {
    /// Zero, for these logits.
    pub(crate) fn new(logits: &Tensor) -> Result<Self> {
        Ok(Self {
            value: Tensor::zeros((), logits.dtype(), logits.device())?,
            grad_logits: logits.zeros_like()?,
        })
    }

    /// Adds `weight`·CE(logits, targets), where the targets of a row sum to 1. With
    /// `row_weights`, `[sequences, 1]`, each row counts as much as its weight says.
    pub(crate) fn add_cross_entropy(
        &mut self,
        logits: &Tensor,
        targets: &Tensor,
        row_weights: Option<&Tensor>,
        weight: f64,
    ) -> Result<()> {
        #[cfg(feature = "cuda")]
        if logits.device().is_cuda() && row_weights.is_none() {
            return self.add_cross_entropy_on_gpu([logits, targets], false, 1.0, weight);
        }
        let (value, gradient) = cross_entropy(logits, targets, row_weights)?;
        self.add(value, weight, gradient, weight)
    }

    /// Adds `weight`·τ²·CE(logits / τ, softmax(shown / τ)), τ the temperature.
    pub(crate) fn add_distillation(
        &mut self,
        logits: &Tensor,
        shown: &Tensor,
        temperature: f64,
        weight: f64,
    ) -> Result<()> {
        let weight_of_value = weight * temperature * temperature;
        #[cfg(feature = "cuda")]
        if logits.device().is_cuda() {
            let scale = temperature.recip();
            return self.add_cross_entropy_on_gpu([logits, shown], true, scale, weight_of_value);
        }
        let answers = log_softmax(&(shown / temperature)?)?.exp()?;
        let (value, gradient) = cross_entropy(&(logits / temperature)?, &answers, None)?;
        self.add(value, weight_of_value, gradient, weight * temperature)
    }

    /// Adds `weight`·Σ(own − shown)²; returns the gradient of `own`.
    pub(crate) fn add_squared_distance(
        &mut self,
        own: &Tensor,
        shown: &Tensor,
        weight: f64,
    ) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if own.device().is_cuda() {
            return super::cuda::add_squared_distance(&self.value, [own, shown], weight);
        }
        let distance = own.sub(shown)?;
        self.value = (&self.value + (distance.sqr()?.sum_all()? * weight)?)?;
        distance * (2.0 * weight)
    }

    fn add(
        &mut self,
        value: Tensor,
        weight: f64,
        gradient: Tensor,
        weight_of_gradient: f64,
    ) -> Result<()> {
        self.value = (&self.value + (value * weight)?)?;
        self.grad_logits = (&self.grad_logits + (gradient * weight_of_gradient)?)?;
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn add_cross_entropy_on_gpu(
        &self,
        pair: [&Tensor; 2],
        is_taught: bool,
        scale: f64,
        weight: f64,
    ) -> Result<()> {
        let sums = [&self.value, &self.grad_logits];
        super::cuda::add_cross_entropy(sums, pair, is_taught, scale, weight)
    }
}

/// −Σ targets·log softmax(logits), mean over rows, and its gradient
/// (softmax(logits) − targets) / rows, where the targets of a row sum to 1; each row times its
/// weight, if there are weights.
fn cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    weights: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let rows = real(logits.dim(0)?);
    let weighted = |it: Tensor| match weights {
        Some(weights) => it.broadcast_mul(weights),
        None => Ok(it),
    };
    let logarithms = log_softmax(logits)?;
    let value = (weighted((&logarithms * targets)?)?.sum_all()? / -rows)?;
    let grad_logits = (weighted((logarithms.exp()? - targets)?)? / rows)?;
    Ok((value, grad_logits))
}

/// log of softmax, row by row.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let sums = shifted.exp()?.sum_keepdim(D::Minus1)?;
    shifted.broadcast_sub(&sums.log()?)
}
