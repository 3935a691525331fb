//! t
pub mod data;
pub mod smart_home;
pub mod vocabulary;
