//! Charts as SVG: what the report of a run and the page of an ablation are drawn with.

pub(crate) mod axis;
pub(crate) mod histogram;
pub(crate) mod plot;
#[cfg(test)]
pub(crate) mod svg_check;
pub(crate) mod topology;
