//! The only crate that may say `unsafe`.

pub mod bpf;
pub mod child;
pub mod clone;
pub mod descriptor;
pub mod kernel;
pub mod mmap;
pub mod signals;
// A program of its own, which the build script compiles; here only for those who format sources.
#[cfg(any())]
#[path = "../first/first.rs"]
mod first;
pub mod walls;
