//! The only crate that may say `unsafe`.
