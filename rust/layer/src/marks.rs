//! What overlayfs notes in the attributes of its directories.

use dissolver_sys::walls::{Wall, look, stands};

use crate::error::LayerError;

/// The two namespaces that overlayfs reserves; a mount uses one of them.
const TRUSTED: &[u8] = b"trusted.overlay.";
const USER: &[u8] = b"user.overlay.";
/// What stands behind the prefix of an attribute that a program set through a mount.
const ESCAPE: &[u8] = b"overlay.";

/// Tells whether overlayfs reserves this name, for whichever kind of mount.
///
/// Such an attribute is never part of a layer. What it means depends on the mount that
/// reads it, so no mount may find one that it did not write itself.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(TRUSTED) || name.starts_with(USER)
}

/// The names of the marks that an overlay reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverlayMarks {
    /// `trusted.overlay.*`, for mounts by real root.
    Trusted,
    /// `user.overlay.*`, for mounts in a user namespace.
    User,
}

/// What a reserved attribute of an upper directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The directory hides what lies below it.
    Opaque,
    /// The overlay's own bookkeeping, such as where a copy came from.
    Bookkeeping,
    /// Nothing: a program set it.
    Foreign,
}

impl OverlayMarks {
    pub(crate) fn of(userxattr: bool) -> OverlayMarks {
        look();
        if userxattr {
            OverlayMarks::User
        } else {
            OverlayMarks::Trusted
        }
    }

    /// The attribute of a directory that hides what lies below it; its value is `y`.
    pub(crate) fn opaque(self) -> &'static [u8] {
        match self {
            OverlayMarks::Trusted => b"trusted.overlay.opaque",
            OverlayMarks::User => b"user.overlay.opaque",
        }
    }

    /// Reads a reserved attribute that lies in the upper directory of a mount with these marks.
    ///
    /// Only overlayfs itself writes the names of its own namespace as they are. What a
    /// program sets in it, kernels from 6.7 on store with one more `overlay.` behind the
    /// prefix, and earlier ones refuse ("Nesting overlayfs mounts" in the kernel's
    /// overlayfs document). The other namespace is a program's altogether.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnsupportedOverlay`] for marks of mounts with `redirect_dir` or `metacopy`.
    pub(crate) fn read(self, path: &[u8], name: &[u8], value: &[u8]) -> Result<Mark, LayerError> {
        let prefix = match self {
            OverlayMarks::Trusted => TRUSTED,
            OverlayMarks::User => USER,
        };
        let unsupported = |feature| LayerError::UnsupportedOverlay {
            path: path.to_vec(),
            feature,
        };
        if !stands(Wall::OverlayMarks) && name.ends_with(b".opaque") {
            return Ok(Mark::Opaque);
        }
        match name.strip_prefix(prefix) {
            None => Ok(Mark::Foreign),
            Some(own) if own.starts_with(ESCAPE) => Ok(Mark::Foreign),
            Some(b"opaque") if value == b"y" => Ok(Mark::Opaque),
            Some(b"redirect") => Err(unsupported("redirect_dir")),
            Some(b"metacopy") => Err(unsupported("metacopy")),
            Some(_) => Ok(Mark::Bookkeeping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_overlayfs_writes_itself_is_a_mark() {
        use Mark::{Bookkeeping, Foreign, Opaque};
        let table: [(&[u8], &[u8], Mark, Mark); 9] = [
            (b"trusted.overlay.opaque", b"y", Opaque, Foreign),
            (b"user.overlay.opaque", b"y", Foreign, Opaque),
            (b"trusted.overlay.opaque", b"x", Bookkeeping, Foreign),
            (b"user.overlay.whiteout", b"y", Foreign, Bookkeeping),
            (b"trusted.overlay.origin", b"", Bookkeeping, Foreign),
            (b"trusted.overlay.overlay.opaque", b"y", Foreign, Foreign),
            (b"user.overlay.overlay.opaque", b"y", Foreign, Foreign),
            (b"user.overlay.overlay.redirect", b"/", Foreign, Foreign),
            (
                b"user.overlay.overlay.overlay.metacopy",
                b"",
                Foreign,
                Foreign,
            ),
        ];
        for (name, value, trusted, user) in table {
            assert!(is_reserved(name));
            let read = |marks: OverlayMarks| marks.read(b"x", name, value).unwrap();
            assert_eq!(read(OverlayMarks::Trusted), trusted, "{name:?}");
            assert_eq!(read(OverlayMarks::User), user, "{name:?}");
        }
    }

    #[test]
    fn a_mount_s_own_marks_that_layers_cannot_say_are_errors() {
        for (marks, name) in [
            (OverlayMarks::Trusted, &b"trusted.overlay.redirect"[..]),
            (OverlayMarks::Trusted, b"trusted.overlay.metacopy"),
            (OverlayMarks::User, b"user.overlay.redirect"),
            (OverlayMarks::User, b"user.overlay.metacopy"),
        ] {
            let error = marks.read(b"x", name, b"").unwrap_err();
            assert_eq!(error.kind(), "unsupported-overlay", "{name:?}");
        }
    }
}
