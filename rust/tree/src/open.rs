//! Opening and examining files relative to a descriptor, never through a symbolic link.

use crate::TreeError;
use crate::tree::{Kind, Stat};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat, openat2, statx,
};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Opens the root of a tree, which alone may be reached through symbolic links.
pub(crate) fn open_root(root: &Path) -> Result<(OwnedFd, Stat), TreeError> {
    let path = root.as_os_str().as_bytes();
    let fd = openat(
        CWD,
        root,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| match errno {
        Errno::NOENT => TreeError::NotFound {
            path: path.to_vec(),
        },
        Errno::NOTDIR => TreeError::NotADirectory {
            path: path.to_vec(),
        },
        errno => TreeError::io("open", path)(errno),
    })?;
    let stat = stat_of_open(&fd).map_err(TreeError::io("stat", path))?;
    let stat = stat.ok_or_else(|| TreeError::NotADirectory {
        path: path.to_vec(),
    })?;
    Ok((fd, stat))
}

/// Opens `path` beneath `root` for reading; no component may be a symbolic link.
///
/// Kernels before 5.6, and sandboxes that refuse `openat2`, get the same check
/// for the last component only.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    // O_NONBLOCK: a file that was replaced by a named pipe must not hang the build.
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => openat(root, path, flags, Mode::empty()),
        other => other,
    }
}

/// Tells whether opening failed because something else, or nothing, is at the path now.
pub(crate) fn is_beneath_missing(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO
    )
}

/// Examines `name` in `directory` without following it; `None` for a socket.
pub(crate) fn stat_of(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    statx(directory, name, flags, StatxFlags::BASIC_STATS).map(|facts| stat_from(&facts))
}

/// Examines what a descriptor stands for; `None` for a socket.
pub(crate) fn stat_of_open(fd: impl AsFd) -> Result<Option<Stat>, Errno> {
    statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|facts| stat_from(&facts))
}

fn stat_from(facts: &Statx) -> Option<Stat> {
    let mode = u32::from(facts.stx_mode);
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        _ => return None,
    };
    let is_device = matches!(kind, Kind::Character | Kind::Block);
    Some(Stat {
        kind,
        mode: mode & 0o7777,
        uid: facts.stx_uid,
        gid: facts.stx_gid,
        size: if kind == Kind::File {
            facts.stx_size
        } else {
            0
        },
        mtime_ns: nanoseconds(facts.stx_mtime.tv_sec, facts.stx_mtime.tv_nsec),
        ctime_ns: nanoseconds(facts.stx_ctime.tv_sec, facts.stx_ctime.tv_nsec),
        device: u64::from(facts.stx_dev_major) << 32 | u64::from(facts.stx_dev_minor),
        inode: facts.stx_ino,
        links: facts.stx_nlink,
        device_numbers: if is_device {
            (facts.stx_rdev_major, facts.stx_rdev_minor)
        } else {
            (0, 0)
        },
    })
}

/// Nanoseconds since the epoch; the years before 1678 and after 2262 are cut off at the ends.
fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(nanoseconds))
}
