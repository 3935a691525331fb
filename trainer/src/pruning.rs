//! NeuroPrune (Dhurandhar et al., Findings of ACL 2024) in the form of `docs/method.md`.
//!
//! | question | file |
//! |---|---|
//! | how sparse at this step? | [`schedule`] |
//! | what does a weight cost? preferential attachment, group sparsity | [`cost`] |
//! | the same as penalties, as published | [`penalty`] |
//! | which weights are pruned? an exact number | [`threshold`] |
//! | those with the lowest score for their cost | [`crate::ops`], `choice.rs` |
//! | which neurons are not worth their price? | `neurons` |
//! | what is kept or pruned together? | `blocks` |
//! | which heads have equivalent outputs? | [`heads`] |
//! | how many of them may go? | `spare` |
//! | which heads have the same weights, as published? | [`domination`] |
//! | what is empty and can be cut out of the network? | [`cutting`] |
//! | how uneven have connections become? | [`degrees`] |
//!
//! A pruned weight remains pruned: its mask is zero, and with it its value, its
//! moments and its sensitivity. Two things give weights back: a head that is merged into
//! another, and a group of weights that must be whole.

mod blocks;
pub(crate) mod cost;
pub(crate) mod cutting;
pub(crate) mod degrees;
pub(crate) mod domination;
pub(crate) mod heads;
mod neurons;
pub(crate) mod penalty;
pub(crate) mod schedule;
mod spare;
pub(crate) mod threshold;

pub(crate) use cutting::{cut, cut_all};
pub(crate) use degrees::{DegreeSpread, degree_spreads};
pub(crate) use domination::filter_heads;
pub(crate) use heads::{KeptHead, MergedHead, merge_heads};
pub(crate) use schedule::scheduled_sparsity;
pub(crate) use spare::Spare;
pub(crate) use threshold::{prune_and_cut, prune_to, prune_towards, weights_at};
