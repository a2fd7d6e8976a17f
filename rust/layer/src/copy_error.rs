//! Why a copy cannot be made as asked.

use dissolver_tree::{BadPattern, TreeError};

use crate::entry::Kind;
use crate::error::LayerError;

/// A failure to plan or to carry out a copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that names one thing, which is not there.
    #[error("`{}` does not exist", String::from_utf8_lossy(source_path))]
    NotFound {
        /// The source as it was given.
        source_path: Vec<u8>,
        /// What may be meant, or why it is not there.
        hint: Option<String>,
    },
    /// A source whose pattern is none.
    #[error(transparent)]
    BadPattern(#[from] BadPattern),
    /// A directory and something that is none would have the same path.
    #[error(
        "cannot replace the {} `/{}` with the {} `{}`",
        existing.name(), String::from_utf8_lossy(destination),
        copied.name(), String::from_utf8_lossy(source_path)
    )]
    Clash {
        /// What is to be copied, in its origin.
        source_path: Vec<u8>,
        /// What that is.
        copied: Kind,
        /// Where it would go.
        destination: Vec<u8>,
        /// What is there.
        existing: Kind,
    },
    /// A destination, or a directory above it, that exists and is no directory.
    #[error("`/{}` is not a directory", String::from_utf8_lossy(destination))]
    NotADirectory {
        /// What is in the way.
        destination: Vec<u8>,
    },
    /// A second file for a destination that is a file itself.
    #[error(
        "more than one file for `/{}`, which is no directory",
        String::from_utf8_lossy(destination)
    )]
    SeveralFiles {
        /// The destination.
        destination: Vec<u8>,
    },
    /// A source that leads from symbolic link to symbolic link without end.
    #[error(
        "too many levels of symbolic links in `{}`",
        String::from_utf8_lossy(source_path)
    )]
    SymlinkLoop {
        /// The source as it was given.
        source_path: Vec<u8>,
    },
    /// A failure of the tree that is copied from.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A failure of the layers that are copied from or to.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl CopyError {
    /// The stable word by which callers tell failures apart.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            CopyError::NotFound { .. } => "not-found",
            CopyError::BadPattern(_) => "bad-pattern",
            CopyError::Clash {
                existing: Kind::Directory,
                ..
            } => "is-a-directory",
            CopyError::Clash { .. }
            | CopyError::NotADirectory { .. }
            | CopyError::SeveralFiles { .. } => "not-a-directory",
            CopyError::SymlinkLoop { .. } => "symlink-loop",
            CopyError::Tree(error) => error.kind(),
            CopyError::Layer(error) => error.kind(),
        }
    }

    /// One thing to try, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            CopyError::NotFound { hint, .. } => hint.clone(),
            CopyError::SeveralFiles { destination } => Some(format!(
                "end the destination with a slash to copy into a directory: `/{}/`",
                String::from_utf8_lossy(destination)
            )),
            CopyError::Clash {
                existing: Kind::Symlink,
                copied: Kind::Directory,
                ..
            } => Some("copy to the directory that the link leads to".to_owned()),
            CopyError::Tree(error) => error.hint().map(str::to_owned),
            CopyError::Layer(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }

    /// The path that the failure is about: the source for what is not found, else what is in the way.
    #[must_use]
    pub fn path(&self) -> Option<Vec<u8>> {
        match self {
            CopyError::NotFound { source_path, .. } | CopyError::SymlinkLoop { source_path } => {
                Some(source_path.clone())
            }
            CopyError::Clash { destination, .. }
            | CopyError::NotADirectory { destination }
            | CopyError::SeveralFiles { destination } => {
                Some([b"/", destination.as_slice()].concat())
            }
            CopyError::BadPattern(_) => None,
            CopyError::Tree(error) => error.path().map(<[u8]>::to_vec),
            CopyError::Layer(error) => error.path(),
        }
    }

    /// The operation that failed and the kernel's error number.
    #[must_use]
    pub fn system_call(&self) -> Option<(&'static str, Option<i32>)> {
        match self {
            CopyError::Tree(TreeError::Io { op, errno, .. }) => {
                Some((op, Some(errno.raw_os_error())))
            }
            CopyError::Layer(error) => error.system_call(),
            _ => None,
        }
    }
}
