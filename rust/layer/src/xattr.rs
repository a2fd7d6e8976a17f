//! Extended attributes: which belong to a layer, and how they get on and off files.

use rustix::fd::BorrowedFd;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

use crate::entry::Xattr;
use crate::marks::is_reserved;

/// Longest list of names and longest value that Linux has.
const LARGEST: usize = 65536;
/// Large enough for the names on nearly every file.
const USUAL: usize = 512;

/// Tells whether a layer carries the attribute: what users and root set, file
/// capabilities, and access control lists.
///
/// Labels of security modules belong to a machine. What overlayfs reserves says how
/// directories are stacked; taken from an archive it would hide files.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => {
            (name.starts_with(b"user.") || name.starts_with(b"trusted."))
                && !is_reserved(name)
                && !name.contains(&0)
        }
    }
}

/// Something that has attributes: an open file, or a name that is not followed.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'fd, 'name> {
    /// A file or directory that is open, not with `O_PATH`.
    Open(BorrowedFd<'fd>),
    /// A name in a directory; for symbolic links, devices and pipes, which must not be opened.
    Named(BorrowedFd<'fd>, &'name [u8]),
}

impl Holder<'_, '_> {
    /// Until `setxattrat` is everywhere, `/proc` is the way to a name in a directory.
    fn path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
        use std::os::fd::AsRawFd as _;
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    fn list(self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Holder::Open(fd) => flistxattr(fd, buffer),
            Holder::Named(directory, name) => llistxattr(Self::path(directory, name), buffer),
        }
    }

    fn get(self, key: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Holder::Open(fd) => fgetxattr(fd, key, buffer),
            Holder::Named(directory, name) => lgetxattr(Self::path(directory, name), key, buffer),
        }
    }

    /// Sets one attribute.
    pub(crate) fn set(self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        let flags = XattrFlags::empty();
        match self {
            Holder::Open(fd) => fsetxattr(fd, key, value, flags),
            Holder::Named(directory, name) => {
                lsetxattr(Self::path(directory, name), key, value, flags)
            }
        }
    }

    /// All attributes with their values, sorted by name; none where there is no support.
    pub(crate) fn read_all(self) -> Result<Vec<Xattr>, Errno> {
        let mut names = vec![0; USUAL];
        let length = match self.list(&mut names) {
            Err(Errno::RANGE) => {
                names.resize(LARGEST, 0);
                self.list(&mut names)?
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
            other => other?,
        };
        names.truncate(length);
        let mut xattrs = Vec::new();
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let mut value = vec![0; USUAL];
            let length = match self.get(name, &mut value) {
                Err(Errno::RANGE) => {
                    value.resize(LARGEST, 0);
                    self.get(name, &mut value)
                }
                other => other,
            };
            match length {
                Ok(length) => value.truncate(length),
                // Removed in between, or a security module hides it.
                Err(Errno::NODATA) => continue,
                Err(errno) => return Err(errno),
            }
            xattrs.push((name.to_vec(), value));
        }
        xattrs.sort();
        Ok(xattrs)
    }
}
