//! NeuroPrune (Dhurandhar et al., Findings of ACL 2024) in the form of `docs/method.md`.
//!
//! | question | file |
//! |---|---|
//! | how sparse at this step? | [`schedule`] |
//! | what does a weight cost? preferential attachment, group sparsity | [`cost`] |
//! | the same as penalties, as published | [`penalty`] |
//! | which weights go? exactly so many | [`threshold`] |
//! | those with the lowest score for their cost | [`crate::ops`], `choice.rs` |
//! | which neurons are not worth their price? | `neurons` |
//! | what is kept or pruned together? | `blocks` |
//! | which heads say the same? | [`heads`] |
//! | which heads have the same weights, as published? | [`domination`] |
//! | what is empty and can be cut out of the network? | [`cutting`] |
//! | how uneven have connections become? | [`degrees`] |
//!
//! A pruned weight remains pruned: its mask is zero, and with it its value, its
//! moments and its sensitivity. Two things give weights back: a head that is merged into
//! another, and a group of weights that must be whole.

mod blocks;
pub mod cost;
pub mod cutting;
pub mod degrees;
pub mod domination;
pub mod heads;
mod neurons;
pub mod penalty;
pub mod schedule;
pub mod threshold;

pub use cutting::{Cut, cut, cut_all};
pub use degrees::{DegreeSpread, degree_spreads};
pub use domination::filter_heads;
pub use heads::{HeadTest, KeptHead, MergedHead, merge_heads};
pub use schedule::scheduled_sparsity;
pub use threshold::{prune_and_cut, prune_to};
