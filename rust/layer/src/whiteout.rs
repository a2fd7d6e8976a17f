//! Names in a layer that are instructions.

use crate::entry::{file_name, join, parent};
use crate::error::LayerError;

/// The reserved prefix: `.wh.x` hides `x` of the layers below.
pub(crate) const PREFIX: &[u8] = b".wh.";
/// The reserved name that hides everything its directory has in the layers below.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS keeps for itself; image layers that were made with it may still have it.
const PRIVATE: &[u8] = b".wh..wh.";

/// What a path in a tar means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A file, directory or other thing.
    Entry,
    /// Hides the path given.
    Hides(Vec<u8>),
    /// Hides the content that the directory given has below.
    Opaque(Vec<u8>),
    /// Means nothing to anybody but AUFS.
    Private,
}

/// Tells what `path` means inside a layer.
///
/// A prefix with nothing after it names no victim, so it is refused instead of
/// being read as "hide everything"; so are the victims `.` and `..`.
///
/// # Errors
///
/// [`LayerError::BadEntry`] if no name follows the prefix, or something lies
/// beneath a reserved name.
pub(crate) fn classify(path: &[u8]) -> Result<Meaning, LayerError> {
    let bad = |reason| LayerError::BadEntry {
        path: path.to_vec(),
        reason,
    };
    let above = parent(path);
    if above
        .split(|byte| *byte == b'/')
        .any(|name| name.starts_with(PRIVATE))
    {
        return Ok(Meaning::Private);
    }
    if above
        .split(|byte| *byte == b'/')
        .any(|name| name.starts_with(PREFIX))
    {
        return Err(bad("lies beneath a whiteout"));
    }
    let name = file_name(path);
    if name == OPAQUE {
        return Ok(Meaning::Opaque(above.to_vec()));
    }
    if name.starts_with(PRIVATE) {
        return Ok(Meaning::Private);
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Meaning::Entry),
        Some(b"" | b"." | b"..") => Err(bad("is a whiteout that names nothing")),
        Some(victim) => Ok(Meaning::Hides(join(above, victim))),
    }
}

/// The name in a tar of the whiteout that hides `path`.
pub(crate) fn hiding(path: &[u8]) -> Vec<u8> {
    join(parent(path), &[PREFIX, file_name(path)].concat())
}

/// The name in a tar that makes `directory` opaque.
pub(crate) fn opaque_marker(directory: &[u8]) -> Vec<u8> {
    join(directory, OPAQUE)
}

/// Tells whether a file of this name would be read as an instruction.
pub(crate) fn is_reserved(path: &[u8]) -> bool {
    file_name(path).starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_image_specification_says() {
        let table: [(&[u8], Meaning); 6] = [
            (b"a/b", Meaning::Entry),
            (b"a/.wh.b", Meaning::Hides(b"a/b".to_vec())),
            (b".wh.b", Meaning::Hides(b"b".to_vec())),
            (b"a/.wh..wh..opq", Meaning::Opaque(b"a".to_vec())),
            (b".wh..wh..opq", Meaning::Opaque(b"".to_vec())),
            (b".wh..wh.plnk/7.8", Meaning::Private),
        ];
        for (path, meaning) in table {
            assert_eq!(classify(path).unwrap(), meaning);
        }
    }

    #[test]
    fn whiteouts_without_a_victim_are_refused() {
        for path in [&b"a/.wh."[..], b".wh..", b".wh...", b".wh.x/y"] {
            assert_eq!(classify(path).unwrap_err().kind(), "bad-tar", "{path:?}");
        }
    }
}
