//! A small network that the dense one teaches, in place of a sparse form of the dense one.
//!
//! ```text
//! training texts ─► words ─► augmentation ─► texts ─┬─► dense network ─► answers: logits, pooled
//!                            (neighbours in the      │                              │
//!                             teacher's table)       └─► student ◄──────────────────┘
//!                                             └───────── pool: students share it ───┘
//! ```
//!
//! Its pieces are those of the teacher that the texts use most, its rows their
//! principal components. It is pruned while it learns, like any sparse network.

mod augmentation;
mod neighbours;
mod pool;
mod rows;
mod texts;
mod words;

use candle_core::Result;

use crate::network::{Network, Shape};
use crate::recipe::Recipe;
use crate::text::vocabulary::Vocabulary;

pub(crate) use pool::Pool;
pub(crate) use texts::Texts;

/// A student with the pieces of `own` that has learned nothing but what the table of its `teacher`, whose
/// pieces are those of `teachers`, says of them.
///
/// # Errors
/// When memory cannot be allocated.
pub(crate) fn student(
    recipe: &Recipe,
    [teachers, own]: [&Vocabulary; 2],
    teacher: &Network,
) -> Result<Network> {
    let mut student = Network::new(shape(recipe, own, teacher), recipe.seed)?;
    rows::set(&mut student, own, teacher, teachers)?;
    student.to_device(teacher.device())
}

/// The shape of a student with the pieces of `vocabulary`.
pub(crate) fn shape(recipe: &Recipe, vocabulary: &Vocabulary, teacher: &Network) -> Shape {
    let model = recipe.student.model(&recipe.model);
    let of_teacher = &teacher.shape;
    let mut shape = Shape::new(&model, vocabulary.len(), of_teacher.labels, of_teacher.pair);
    shape.bridge = of_teacher.hidden;
    shape
}

#[cfg(test)]
mod tests;
