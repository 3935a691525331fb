//! The blocks that networks are made of, each over the residual stream of all tokens.

pub(crate) mod attention;
pub(crate) mod embedding;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod pooling;
pub(crate) mod recurrence;
pub(crate) mod residual;
