//! The extended attributes that belong to a file's meaning.

use crate::acl;
use rustix::fd::AsFd;
use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

/// The name of an attribute and its value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Attributes, sorted by name.
pub(crate) type Xattrs = Vec<Xattr>;

/// Longest list of names that Linux gives out (`XATTR_LIST_MAX`), and longest value (`XATTR_SIZE_MAX`).
const LARGEST: usize = 65536;

/// Tells whether a layer carries the attribute: what users set, file capabilities and ACLs.
///
/// `user.overlay.*` is how overlayfs marks its own directories without
/// privilege; in a layer it would hide files instead of describing them.
fn is_kept(name: &[u8]) -> bool {
    match name {
        b"security.capability" | acl::ACCESS | acl::DEFAULT => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

/// Reads the attributes of an open file or directory; none where the file system has no such thing.
///
/// Costs one system call for the usual file, which has none.
pub(crate) fn read_xattrs(fd: impl AsFd) -> Result<Xattrs, Errno> {
    let fd = fd.as_fd();
    let mut names = [0_u8; 1024];
    let listed = match flistxattr(fd, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Ok(length) => names[..length].to_vec(),
        Err(Errno::RANGE) => {
            let mut names = vec![0; LARGEST];
            let length = flistxattr(fd, &mut names)?;
            names.truncate(length);
            names
        }
        Err(errno) => return Err(errno),
    };
    let mut xattrs = Vec::new();
    for name in listed.split(|&byte| byte == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 256];
        let length = match fgetxattr(fd, name, &mut value) {
            Err(Errno::RANGE) => {
                value.resize(LARGEST, 0);
                fgetxattr(fd, name, &mut value)
            }
            other => other,
        };
        match length {
            Ok(length) => value.truncate(length),
            // Removed in between, or a security module hides it.
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        }
        if matches!(name, acl::ACCESS | acl::DEFAULT) {
            acl::keep_known(&mut value);
        }
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort();
    Ok(xattrs)
}
