//! In which precision products read their operands.

use candle_core::{DType, Result, Tensor};
use neuroprune_format::tensor::TableValues;

use crate::ops::{fake_quantize, linear_backward};
use crate::recipe::FloatPrecision;

/// The precision of what products read, and of what tables give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The floats that are trained.
    #[default]
    Float,
    /// For products these floats rounded to bfloat16, which a GPU multiplies fastest.
    Bf16,
    /// These floats rounded as the exported file's int8 are.
    Int8,
}

impl From<FloatPrecision> for Precision {
    fn from(precision: FloatPrecision) -> Self {
        match precision {
            FloatPrecision::F32 => Self::Float,
            FloatPrecision::Bf16 => Self::Bf16,
        }
    }
}

impl Precision {
    /// Whether everything that the file has in int8 is rounded as it is there.
    pub(super) fn is_int8(self) -> bool {
        match self {
            Self::Float | Self::Bf16 => false,
            Self::Int8 => true,
        }
    }

    /// `x` `[rows, width]` as a product reads it, each row on its own.
    fn read(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Float => Ok(x.clone()),
            Self::Bf16 => x.to_dtype(DType::BF16),
            Self::Int8 => fake_quantize(x, TableValues::I8),
        }
    }
}

/// How a product reads its operands.
#[derive(Clone, Debug)]
pub(super) struct Operands {
    /// Of both.
    pub(super) precision: Precision,
    /// Columns of x that the weight has, where some were cut.
    pub(super) columns: Option<Vec<u32>>,
}

impl Operands {
    /// What is multiplied for `x` `[tokens, width]` and `weight` `[rows, columns]`.
    pub(super) fn of(&self, x: &Tensor, weight: &Tensor) -> Result<[Tensor; 2]> {
        let x = match (self.precision, &self.columns) {
            (precision, None) => precision.read(x)?,
            // Before columns are dropped: the file's scale of a token is that of all of them.
            (Precision::Int8, Some(columns)) => {
                gather(&fake_quantize(x, TableValues::I8)?, columns)?
            }
            (precision @ (Precision::Float | Precision::Bf16), Some(columns)) => {
                precision.read(&gather(x, columns)?)?
            }
        };
        Ok([x, self.precision.read(weight)?])
    }

    /// Gradients of `x`, zero in columns that were cut, and of `weight`. They pass rounding
    /// as if it were not there.
    pub(super) fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Tensor; 2]> {
        let [gathered, weight] = self.of(x, weight)?;
        let (grad_gathered, grad_weight) = linear_backward(&gathered, &weight, gradient)?;
        let grad_x = match &self.columns {
            None => grad_gathered,
            Some(columns) => {
                let columns = Tensor::new(columns.as_slice(), x.device())?;
                x.zeros_like()?.index_add(&columns, &grad_gathered, 1)?
            }
        };
        Ok([grad_x, grad_weight])
    }
}

fn gather(x: &Tensor, columns: &[u32]) -> Result<Tensor> {
    x.index_select(&Tensor::new(columns, x.device())?, 1)
}
