//! The only crate that may say `unsafe`.

pub mod bpf;
pub mod child;
pub mod clone;
pub mod descriptor;
pub mod kernel;
pub mod mmap;
pub mod signals;
pub mod walls;
