//! A trained tensor with everything that belongs to it.
//!
//! Weight, optimiser moments, mask and sensitivity have one shape and are cut
//! together, so that a network may shrink in the middle of training.

use candle_core::{DType, Device, Result, Tensor};

/// One trained tensor.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The weights.
    pub value: Tensor,
    /// Moving averages of the gradient and of its square.
    pub moments: [Tensor; 2],
    /// Present in matrices of the encoder, which may lose weights.
    pub pruning: Option<Pruning>,
}

/// What decides which weights of a matrix are kept.
#[derive(Clone, Debug)]
pub struct Pruning {
    /// 1 for weights that are kept, 0 for those that were pruned.
    pub mask: Tensor,
    /// Moving average of |w·∂L/∂w|, or the sum of −w·∂L/∂w where movement decides.
    pub sensitivity: Tensor,
}

impl Parameter {
    /// A parameter with these values that is never pruned.
    ///
    /// # Errors
    /// When the number of values is not that of the shape.
    pub fn new(values: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let value = Tensor::from_vec(values, shape, &Device::Cpu)?;
        let zeros = || Tensor::zeros(shape, DType::F32, &Device::Cpu);
        Ok(Self {
            moments: [zeros()?, zeros()?],
            pruning: None,
            value,
        })
    }

    /// A matrix whose weights may be pruned.
    ///
    /// # Errors
    /// As [`Parameter::new`].
    pub fn prunable(values: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let mut parameter = Self::new(values, shape)?;
        parameter.pruning = Some(Pruning {
            mask: Tensor::ones(shape, DType::F32, &Device::Cpu)?,
            sensitivity: Tensor::zeros(shape, DType::F32, &Device::Cpu)?,
        });
        Ok(parameter)
    }

    /// Number of weights that are kept in each row (`summed` is 1) or column (0) of a matrix.
    ///
    /// # Errors
    /// When the mask cannot be read.
    pub fn nonzeros(&self, summed: usize) -> Result<Vec<f32>> {
        match &self.pruning {
            Some(pruning) => pruning.mask.sum(summed)?.to_vec1(),
            None => Ok(vec![1.0; self.value.dim(1 - summed)?]),
        }
    }

    /// Same weights and mask; moments and sensitivity start again from zero.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub fn restarted(&self) -> Result<Self> {
        let restart = |pruning: &Pruning| -> Result<Pruning> {
            Ok(Pruning {
                mask: pruning.mask.copy()?,
                sensitivity: pruning.sensitivity.zeros_like()?,
            })
        };
        Ok(Self {
            value: self.value.copy()?,
            moments: [self.value.zeros_like()?, self.value.zeros_like()?],
            pruning: self.pruning.as_ref().map(restart).transpose()?,
        })
    }

    /// The same on another device.
    ///
    /// # Errors
    /// When memory cannot be allocated there.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let pruning = |pruning: &Pruning| -> Result<Pruning> {
            Ok(Pruning {
                mask: pruning.mask.to_device(device)?,
                sensitivity: pruning.sensitivity.to_device(device)?,
            })
        };
        let [first, second] = &self.moments;
        Ok(Self {
            value: self.value.to_device(device)?,
            moments: [first.to_device(device)?, second.to_device(device)?],
            pruning: self.pruning.as_ref().map(pruning).transpose()?,
        })
    }

    /// The weights as numbers, row by row.
    ///
    /// # Errors
    /// When the tensor cannot be read.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        self.value.flatten_all()?.to_vec1()
    }

    /// Keeps these rows (dimension 0) or columns (dimension 1), in this order.
    ///
    /// # Errors
    /// When an index is out of range.
    pub fn select(&mut self, kept: &[u32], dimension: usize) -> Result<()> {
        let kept = Tensor::new(kept, self.value.device())?;
        let select = |tensor: &Tensor| tensor.index_select(&kept, dimension)?.contiguous();
        self.value = select(&self.value)?;
        for moment in &mut self.moments {
            *moment = select(moment)?;
        }
        if let Some(pruning) = &mut self.pruning {
            pruning.mask = select(&pruning.mask)?;
            pruning.sensitivity = select(&pruning.sensitivity)?;
        }
        Ok(())
    }

    /// Prunes the weights where `mask`, which is broadcast, is 0; it is 1 elsewhere.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn mask_with(&mut self, mask: &Tensor) -> Result<()> {
        self.value = self.value.broadcast_mul(mask)?;
        for moment in &mut self.moments {
            *moment = moment.broadcast_mul(mask)?;
        }
        if let Some(pruning) = &mut self.pruning {
            pruning.mask = pruning.mask.broadcast_mul(mask)?;
            pruning.sensitivity = pruning.sensitivity.broadcast_mul(mask)?;
        }
        Ok(())
    }

    /// Every tensor by the suffix of its name in a checkpoint.
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let pruning = self.pruning.as_ref();
        [
            ("value", Some(&self.value)),
            ("first_moment", self.moments.first()),
            ("second_moment", self.moments.last()),
            ("mask", pruning.map(|pruning| &pruning.mask)),
            ("sensitivity", pruning.map(|pruning| &pruning.sensitivity)),
        ]
        .into_iter()
        .filter_map(|(name, tensor)| Some((name, tensor?)))
    }
}
