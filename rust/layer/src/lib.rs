//! Layers: what they hold, how they are stored, read, written, compared and extracted.
//!
//! A layer is one tar, kept byte for byte and never changed, and an index of it.
//! Everything else is derived: a [`view::View`] over a stack of indexes answers
//! what a path is in a root file system, and extraction makes a directory of one.
#![forbid(unsafe_code)]

mod assemble;
mod changes;
mod checkpoints;
mod clamp;
mod compare;
pub mod compress;
mod compress_blocks;
mod compress_noise;
mod compress_write;
mod content_hash;
mod copy_digest;
mod copy_error;
mod copy_mode;
mod copy_origin;
mod copy_plan;
mod copy_planner;
mod copy_read;
#[cfg(test)]
mod copy_scene;
mod copy_sources;
mod copy_write;
mod create;
mod diff;
pub mod diff_id;
pub mod entry;
mod erofs;
mod erofs_chunks;
mod erofs_directory;
mod erofs_format;
mod erofs_plan;
mod erofs_xattr;
pub mod error;
mod export;
mod extract;
mod implied;
pub mod index;
mod index_body;
pub mod index_build;
mod index_format;
mod index_links;
mod ingest;
mod inspect;
pub mod interrupt;
pub mod layers;
mod leftovers;
pub mod limits;
pub mod links;
mod lowers;
mod marks;
mod merged;
mod mountable;
mod pack;
mod pack_usage;
mod patient;
mod pipeline;
mod placer;
mod predecessor;
mod root;
mod splice;
pub mod stored;
mod tape;
mod tar_fields;
mod tar_header;
mod tar_names;
mod tar_order;
pub mod tar_read;
mod tar_sparse;
mod tar_stream;
pub mod tar_write;
mod temporary;
mod transfer;
mod trees;
mod usage;
mod verify;
pub mod view;
mod walk_live;
mod whereabouts;
mod whiteout;
mod xattr;

pub use changes::{Change, ChangeKind};
pub use compare::Difference;
pub use compress_write::{CompressOptions, Compressed, Compression, compress, decompress};
pub use copy_error::CopyError;
pub use copy_mode::{ModeChange, ModeClause};
pub use copy_origin::Origin;
pub use copy_plan::{CopyPart, CopyPlan, CopyRequest};
pub use copy_sources::CopySource;
pub use diff_id::DiffId;
pub use entry::{ContentDigest, Entry, Kind, Segment, Xattr};
pub use error::LayerError;
pub use index::Index;
pub use index_build::LayerInfo;
pub use index_format::{Extent, INDEX_VERSION};
pub use ingest::is_archive;
pub use interrupt::Interrupt;
pub use layers::{Layers, LayersOptions};
pub use limits::Limits;
pub use links::LinkNames;
pub use mountable::{Lower, LowerForm, Sample};
pub use pack_usage::PackUsage;
pub use patient::Patient;
pub use root::Root;
pub use stored::{Content, StoredLayer};
pub use tar_write::LayerWriter;
pub use transfer::{Copy, Put};
pub use trees::{remove_tree, tree_bytes};
pub use view::{Found, LastLink, Resolved, View};

/// A path of a layer in the type of the standard library.
fn os_path(path: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::PathBuf::from(std::ffi::OsStr::from_bytes(path))
}
