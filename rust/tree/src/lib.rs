//! The `tree` crate of dissolver.
#![forbid(unsafe_code)]
