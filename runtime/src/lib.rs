//! Executes `.neuro` models in place, without an allocator.
#![no_std]
#![deny(unsafe_code)]

pub mod tokenizer;
