//! What can go wrong with a directory tree, each failure with its facts.

use crate::glob::BadPattern;
use rustix::io::Errno;

/// A failure of this crate. Paths are relative to the root of the tree, but for those of the root itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    /// A pattern of `.dockerignore` or `COPY` that is none.
    #[error(transparent)]
    BadPattern(#[from] BadPattern),
    /// The root of the tree does not exist.
    #[error("`{}` does not exist", String::from_utf8_lossy(path))]
    NotFound {
        /// The root.
        path: Vec<u8>,
    },
    /// The root of the tree is no directory.
    #[error("`{}` is not a directory", String::from_utf8_lossy(path))]
    NotADirectory {
        /// The root.
        path: Vec<u8>,
    },
    /// A file is not what it was when it was listed or hashed.
    #[error("`{}` changed while it was read", String::from_utf8_lossy(path))]
    ChangedWhileRead {
        /// The file.
        path: Vec<u8>,
    },
    /// The operating system refused.
    #[error("cannot {op} `{}`: {}", String::from_utf8_lossy(path), reason(*errno))]
    Io {
        /// The operation, as a verb.
        op: &'static str,
        /// What it was done to.
        path: Vec<u8>,
        /// Why it failed.
        errno: Errno,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What the kernel means, without the number that the standard library puts behind it.
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

impl TreeError {
    /// Makes the conversion of an error number of `op` on `path`.
    pub(crate) fn io(op: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> TreeError {
        let path = path.to_vec();
        move |errno| TreeError::Io { op, path, errno }
    }

    /// The stable word by which callers tell failures apart.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            TreeError::BadPattern(_) => "bad-pattern",
            TreeError::NotFound { .. } => "not-found",
            TreeError::NotADirectory { .. } => "not-a-directory",
            TreeError::ChangedWhileRead { .. } => "changed-while-read",
            TreeError::Io { .. } => "io",
            TreeError::Interrupted => "interrupted",
        }
    }

    /// One thing to try, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            TreeError::ChangedWhileRead { .. } => {
                Some("build again when nothing writes to the file")
            }
            error if error.is_refusal() => {
                Some("make it readable for you, or exclude it in `.dockerignore`")
            }
            _ => None,
        }
    }

    /// Tells whether this user was not allowed to.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            TreeError::Io {
                errno: Errno::ACCESS | Errno::PERM,
                ..
            }
        )
    }

    /// The path that the failure is about.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            TreeError::NotFound { path }
            | TreeError::NotADirectory { path }
            | TreeError::ChangedWhileRead { path }
            | TreeError::Io { path, .. } => Some(path),
            TreeError::BadPattern(_) | TreeError::Interrupted => None,
        }
    }
}
