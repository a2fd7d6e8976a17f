//! What can go wrong with layers, each failure with its facts.

use std::io;
use std::path::PathBuf;

use crate::diff_id::DiffId;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Bytes that are no tar, or one that contradicts itself.
    #[error("bad tar at byte {offset}: {reason}")]
    BadTar {
        /// Where in the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// An entry of a tar that cannot be what it says.
    #[error("bad tar: `{}` {reason}", String::from_utf8_lossy(path))]
    BadEntry {
        /// The entry.
        path: Vec<u8>,
        /// What is wrong with it, as the end of a sentence.
        reason: &'static str,
    },
    /// A compressed stream that cannot be read.
    #[error("bad {format} data: {source}")]
    BadCompression {
        /// `gzip`, `zstd`, `bzip2` or `xz`.
        format: &'static str,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A name that would lead outside the root, or that no file can have.
    #[error("unsafe path `{}` in a layer: {reason}", String::from_utf8_lossy(path))]
    UnsafePath {
        /// The name.
        path: Vec<u8>,
        /// Why it is refused.
        reason: &'static str,
    },
    /// More of something than a layer may have.
    #[error("the layer has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most that is accepted.
        limit: u64,
    },
    /// Bytes whose digest is not the expected one.
    #[error("digest mismatch: expected {expected}, found {found}")]
    DigestMismatch {
        /// The digest that was asked for.
        expected: DiffId,
        /// The digest of what was there.
        found: DiffId,
    },
    /// A file of a layer whose content is not what the index says.
    #[error(
        "the content of `{}` is not what the index of {diff_id} says",
        String::from_utf8_lossy(path)
    )]
    ContentMismatch {
        /// The layer.
        diff_id: DiffId,
        /// The file in it.
        path: Vec<u8>,
    },
    /// A text that is no diff ID.
    #[error("`{text}` is not a digest of the form `sha256:<64 hex digits>`")]
    BadDiffId {
        /// The text.
        text: String,
    },
    /// A layer that the store does not have.
    #[error("the store has no layer {diff_id}")]
    UnknownLayer {
        /// Its diff ID.
        diff_id: DiffId,
    },
    /// An index file that is damaged.
    #[error("the index `{}` is damaged: {reason}", path.display())]
    BadIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An index file of a format that this version does not know.
    #[error("the index `{}` has format {found}, this version reads {known}", path.display())]
    UnknownIndexVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this code.
        known: u32,
    },
    /// A file that grew, shrank or changed while it was read.
    #[error("`{}` changed while it was read", String::from_utf8_lossy(path))]
    ChangedWhileRead {
        /// The file.
        path: Vec<u8>,
    },
    /// An overlay upper directory that uses a feature this crate cannot read.
    #[error(
        "`{}` uses the overlayfs feature `{feature}`, which layers cannot express",
        String::from_utf8_lossy(path)
    )]
    UnsupportedOverlay {
        /// The entry.
        path: Vec<u8>,
        /// The feature, by its mount option.
        feature: &'static str,
    },
    /// More symbolic links than a path may go through.
    #[error(
        "too many levels of symbolic links in `{}`",
        String::from_utf8_lossy(path)
    )]
    SymlinkLoop {
        /// The path that was resolved.
        path: Vec<u8>,
    },
    /// Something that does not exist.
    #[error("`{}` does not exist", String::from_utf8_lossy(path))]
    NotFound {
        /// What was looked for.
        path: Vec<u8>,
    },
    /// A file was needed and something else is there.
    #[error("`{}` is not a file", String::from_utf8_lossy(path))]
    NotAFile {
        /// What was to be read.
        path: Vec<u8>,
    },
    /// A directory was needed and something else is there.
    #[error("`{}` is not a directory", String::from_utf8_lossy(path))]
    NotADirectory {
        /// What was to be entered.
        path: Vec<u8>,
    },
    /// A directory that had to be empty and is not.
    #[error("`{}` is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file that is larger than the caller accepts.
    #[error(
        "`{}` has {size} bytes, more than the {limit} that are accepted here",
        String::from_utf8_lossy(path)
    )]
    TooLarge {
        /// The file.
        path: Vec<u8>,
        /// Its size in bytes.
        size: u64,
        /// The most that was accepted.
        limit: u64,
    },
    /// An owner that the user namespace has no number for.
    #[error(
        "`{}` belongs to {uid}:{gid}, which this user namespace does not map",
        String::from_utf8_lossy(path)
    )]
    UnmappedOwner {
        /// The entry.
        path: Vec<u8>,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// The operating system refused.
    #[error("{op} `{}`: {source}", path.display())]
    Io {
        /// The operation.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl LayerError {
    /// The stable word by which callers tell failures apart.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            LayerError::BadTar { .. }
            | LayerError::BadEntry { .. }
            | LayerError::BadCompression { .. } => "bad-tar",
            LayerError::UnsafePath { .. } => "unsafe-path",
            LayerError::Limit { .. } => "limit",
            LayerError::DigestMismatch { .. } | LayerError::ContentMismatch { .. } => {
                "digest-mismatch"
            }
            LayerError::BadDiffId { .. } => "bad-digest",
            LayerError::UnknownLayer { .. } => "unknown-layer",
            LayerError::BadIndex { .. } => "bad-index",
            LayerError::UnknownIndexVersion { .. } => "unknown-version",
            LayerError::ChangedWhileRead { .. } => "changed-while-read",
            LayerError::UnsupportedOverlay { .. } => "unsupported-overlay",
            LayerError::SymlinkLoop { .. } => "symlink-loop",
            LayerError::NotFound { .. } => "not-found",
            LayerError::NotAFile { .. } => "not-a-file",
            LayerError::NotADirectory { .. } => "not-a-directory",
            LayerError::NotEmpty { .. } => "not-empty",
            LayerError::TooLarge { .. } => "too-large",
            LayerError::UnmappedOwner { .. } => "unmapped-owner",
            LayerError::Io { .. } => "io",
            LayerError::Interrupted => "interrupted",
        }
    }

    /// One thing to try, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            LayerError::ChangedWhileRead { .. } => {
                Some("build again when nothing writes to the context")
            }
            LayerError::UnmappedOwner { .. } => {
                Some("give the user a larger range in `/etc/subuid` and `/etc/subgid`")
            }
            LayerError::BadIndex { .. } => {
                Some("run `dissolver system check` to find damaged layers")
            }
            LayerError::UnknownIndexVersion { .. } => {
                Some("use the version of dissolver that wrote this store, or a newer one")
            }
            _ => None,
        }
    }

    /// The path that the failure is about, as bytes.
    #[must_use]
    pub fn path(&self) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt as _;
        match self {
            LayerError::BadEntry { path, .. }
            | LayerError::UnsafePath { path, .. }
            | LayerError::ContentMismatch { path, .. }
            | LayerError::ChangedWhileRead { path }
            | LayerError::UnsupportedOverlay { path, .. }
            | LayerError::SymlinkLoop { path }
            | LayerError::NotFound { path }
            | LayerError::NotAFile { path }
            | LayerError::NotADirectory { path }
            | LayerError::TooLarge { path, .. }
            | LayerError::UnmappedOwner { path, .. } => Some(path.clone()),
            LayerError::BadIndex { path, .. }
            | LayerError::UnknownIndexVersion { path, .. }
            | LayerError::NotEmpty { path }
            | LayerError::Io { path, .. } => Some(path.as_os_str().as_bytes().to_vec()),
            _ => None,
        }
    }

    /// The operation that failed and the kernel's error number.
    #[must_use]
    pub fn system_call(&self) -> Option<(&'static str, Option<i32>)> {
        match self {
            LayerError::Io { op, source, .. } => Some((op, source.raw_os_error())),
            _ => None,
        }
    }

    /// Tells whether there was no room left on the disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, LayerError::Io { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Makes the conversion of an I/O failure during `op` on `path`.
    pub fn io<E: Into<io::Error>>(
        op: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> LayerError {
        let path = path.into();
        move |source| {
            let source = source.into();
            if crate::patient::is_interrupt(&source) {
                return LayerError::Interrupted;
            }
            LayerError::Io { op, path, source }
        }
    }
}
