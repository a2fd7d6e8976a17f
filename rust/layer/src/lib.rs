//! The `layer` crate of dissolver.
#![forbid(unsafe_code)]
