//! The best network for each of several sizes, found by training candidates.
//!
//! ```text
//! sizes × shapes ─► round: some passes ─► the better half of each size ─► more passes ─► … ─► one for
//!                     │                   (on the dev set)                          each size, all passes
//!                     └─ sweep: one teacher, one pool of answered texts                     │
//!                                              table, picture ◄── rivals: linear, teacher ◄─┘
//! ```
//! Successive halving (Jamieson and Talwalkar 2016): what is bad after a quarter of the passes is not
//! trained to the end. Every trial is a cell of a sweep, so a search that was stopped resumes.

mod candidate;
mod clock;
mod error;
mod files;
mod page;
mod picture;
mod result;
mod rounds;

pub(crate) use candidate::{Candidate, marks};
pub(crate) use clock::Clock;
pub(crate) use files::{Before, SearchFiles, is_trials};
#[cfg(test)]
pub(crate) use page::render;
#[cfg(test)]
pub(crate) use result::Trial;
pub(crate) use result::{Found, Searched, millions};
pub(crate) use rounds::Search;
