//! Directory trees as a build sees them: listed in parallel, filtered by
//! `.dockerignore`, and hashed by content with a cache that is keyed by what
//! `stat` says.
//!
//! A [`Tree`] is a listing and nothing else until contents are asked for. It is
//! a value: what changes on disk afterwards is noticed when a file is read, as
//! an error that names the file.
#![forbid(unsafe_code)]

mod acl;
mod content;
mod error;
mod glob;
mod ignore;
mod open;
mod stat_cache;
mod tree;
mod walk;
mod xattr;

pub use acl::follow_mode;
pub use content::ContentReader;
pub use error::TreeError;
pub use glob::{BadPattern, Glob, has_wildcard};
pub use ignore::IgnoreRules;
pub use stat_cache::stat_cache_context;
pub use tree::{Content, IsCancelled, Kind, ScanOptions, Stat, Tree};
pub use xattr::Xattr;
