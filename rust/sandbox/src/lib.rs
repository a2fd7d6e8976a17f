//! The `sandbox` crate of dissolver.
#![forbid(unsafe_code)]
