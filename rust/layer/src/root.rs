//! A directory that is the root of everything in it: a container's, or the machine's.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::create::failed;
use crate::entry::{Entry, Kind, file_name, parent};
use crate::error::LayerError;
use crate::inspect::{Inspected, inspect};
use crate::view::LastLink;

/// As many symbolic links at the end of a path as the kernel follows.
const MAX_LINKS: usize = 40;

/// A root directory.
///
/// Paths are resolved by the kernel with `RESOLVE_IN_ROOT`: neither `..` nor an
/// absolute symbolic link leads out of it, whoever changes what meanwhile.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// What a path leads to.
pub(crate) struct Located {
    /// The path, relative to the root; its links before the last name are not followed in it.
    pub path: Vec<u8>,
    /// The directory that it lies in, opened with `O_PATH`.
    pub directory: OwnedFd,
    /// What is there, if anything is. The entry's path is its name alone, or `.`.
    pub inspected: Option<Inspected>,
}

impl Located {
    /// The name in the directory: `.` where the path means that itself.
    pub(crate) fn name(&self) -> &[u8] {
        if is_directory_itself(&self.path) {
            b"."
        } else {
            file_name(&self.path)
        }
    }
}

impl Root {
    /// Takes an open directory for a root.
    #[must_use]
    pub fn new(directory: OwnedFd) -> Root {
        Root(directory)
    }

    /// Opens the directory that `path` leads to.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`], also if it is no directory.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open(path, flags)
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, LayerError> {
        let name = if path.is_empty() { b"." } else { path };
        loop {
            match openat2(&self.0, name, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                // Somebody renamed a directory on the way, and the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result.map_err(failed("open", path)),
            }
        }
    }

    /// Finds what `path` leads to.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`] if there is no directory where it should lie,
    /// [`LayerError::SymlinkLoop`], [`LayerError::Io`].
    pub(crate) fn locate(&self, path: &[u8], last: LastLink) -> Result<Located, LayerError> {
        self.follow(path, last)?
            .map_err(|path| LayerError::NotFound { path })
    }

    /// As [`Root::locate`]; where a directory is missing, the path that it is missing for.
    fn follow(&self, path: &[u8], last: LastLink) -> Result<Result<Located, Vec<u8>>, LayerError> {
        // A slash at the end asks for a directory, so a link there is followed.
        let follows = last == LastLink::Follow || path.ends_with(b"/");
        let mut path = trimmed(path);
        for _ in 0..=MAX_LINKS {
            let is_itself = is_directory_itself(&path);
            let above = if is_itself { &path } else { parent(&path) };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = match self.open(above, flags) {
                Err(error) if is_absent(&error) => return Ok(Err(path)),
                other => other?,
            };
            let name = if is_itself { b"." } else { file_name(&path) };
            let inspected = match inspect(directory.as_fd(), b"", name, None) {
                Err(error) if is_absent(&error) => None,
                other => other?,
            };
            let target = inspected
                .as_ref()
                .filter(|inspected| follows && inspected.entry.kind == Kind::Symlink)
                .and_then(|inspected| inspected.entry.link_target.clone());
            let Some(target) = target else {
                return Ok(Ok(Located {
                    path,
                    directory,
                    inspected,
                }));
            };
            path = if target.starts_with(b"/") {
                trimmed(&target)
            } else {
                trimmed(&[above, b"/", &target].concat())
            };
        }
        Err(LayerError::SymlinkLoop { path })
    }

    /// Describes what `path` leads to, and where that is, relative to the root.
    ///
    /// Where there is nothing it is the path where something would be.
    ///
    /// # Errors
    ///
    /// [`LayerError::SymlinkLoop`], [`LayerError::Io`].
    pub fn stat(
        &self,
        path: &[u8],
        last: LastLink,
    ) -> Result<(Vec<u8>, Option<Entry>), LayerError> {
        let located = match self.follow(path, last)? {
            Ok(located) => located,
            Err(path) => return Ok((path, None)),
        };
        let entry = located.inspected.map(|inspected| Entry {
            path: located.path.clone(),
            ..inspected.entry
        });
        Ok((located.path, entry))
    }
}

/// Tells whether a path ends in no name, so that it means a directory by itself.
fn is_directory_itself(path: &[u8]) -> bool {
    matches!(file_name(path), b"" | b"." | b"..")
}

/// Without slashes at either end; `.` and `..` and links stay for the kernel.
fn trimmed(path: &[u8]) -> Vec<u8> {
    let start = path.iter().take_while(|byte| **byte == b'/').count();
    let rest = &path[start..];
    let end = rest.iter().rev().take_while(|byte| **byte == b'/').count();
    rest[..rest.len() - end].to_vec()
}

/// Tells whether there is nothing at the place.
pub(crate) fn is_absent(error: &LayerError) -> bool {
    error
        .system_call()
        .and_then(|(_, errno)| errno)
        .is_some_and(|errno| {
            [Errno::NOENT, Errno::NOTDIR].contains(&Errno::from_raw_os_error(errno))
        })
}

/// Opens a directory in another one without following a link.
pub(crate) fn open_inner(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
) -> Result<OwnedFd, LayerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(failed("open", path))
}
