//! The `digest` crate of dissolver.
#![forbid(unsafe_code)]
