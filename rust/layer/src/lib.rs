//! Layers: what they hold, how they are stored, read, written, compared and extracted.
//!
//! A layer is one tar, kept byte for byte and never changed, and an index of it.
//! Everything else is derived: a [`view::View`] over a stack of indexes answers
//! what a path is in a root file system, and extraction makes a directory of one.
#![forbid(unsafe_code)]

pub mod diff_id;
pub mod entry;
pub mod error;
pub mod index;
pub mod index_build;
mod index_format;
pub mod interrupt;
pub mod layers;
mod pack;
pub mod stored;
mod tar_header;
pub mod tar_write;
mod temporary;
pub mod view;
mod whiteout;

pub use diff_id::DiffId;
pub use entry::{ContentDigest, Entry, Kind, Segment, Xattr};
pub use error::LayerError;
pub use index::Index;
pub use index_build::LayerInfo;
pub use index_format::{Extent, INDEX_VERSION};
pub use interrupt::Interrupt;
pub use layers::{Layers, LayersOptions};
pub use stored::{Content, StoredLayer};
pub use tar_write::LayerWriter;
pub use view::{Found, LastLink, Resolved, View};

/// A path of a layer in the type of the standard library.
fn os_path(path: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::PathBuf::from(std::ffi::OsStr::from_bytes(path))
}
