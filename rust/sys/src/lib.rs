//! The only crate that may say `unsafe`.

pub mod child;
pub mod clone;
pub mod kernel;
pub mod mmap;
