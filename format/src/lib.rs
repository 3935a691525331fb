//! The `.neuro` model file: checked once, then a borrowed view that cannot fail.
//!
//! ```text
//! bytes ── container ──► sections ──► Model::open ──► Model<'a>
//!          header,       manifest, limits, labels,      network(), vocabulary(),
//!          table, CRCs   vocabulary, characters,        labels(), …
//!                        tensors, weights
//! ```
//!
//! [`Model::open`] checks everything that is trusted later: lengths, checksums, index ranges,
//! scales, row sums. Any bytes give a [`Model`] or a [`FormatError`] that names the section and the
//! offset. It never panics or allocates, and takes time linear in the file. The normative
//! description is `docs/format.md`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;

pub mod architecture;
mod bytes;
pub mod characters;
pub mod container;
mod directory;
pub mod encoder;
mod error;
pub mod limits;
pub mod manifest;
pub mod network;
pub mod schema;
pub mod strings;
pub mod tensor;
pub mod vocabulary;
#[cfg(feature = "alloc")]
pub mod writer;

mod model;

pub use error::{ErrorKind, FormatError, Section};
pub use limits::Limits;
pub use manifest::Manifest;
pub use model::Model;
pub use network::Network;
