//! Reading what is in an overlay's upper directory.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, StatxFlags, readlinkat, statx};
use rustix::io::Errno;

use crate::create::{failed, open_directory};
use crate::entry::{Entry, Kind, Xattr, join};
use crate::error::LayerError;
use crate::xattr::{Holder, is_kept, is_overlay};

/// An entry of an upper directory, and what only the upper directory knows.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The entry; a whiteout where overlayfs put one.
    pub entry: Entry,
    /// File system and inode: the same for all names of one file.
    pub identity: (u64, u64),
    /// How many names it has.
    pub links: u32,
}

/// The names in the directory `path` beneath `root`, in byte order.
pub(crate) fn names(root: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Vec<u8>>, LayerError> {
    let directory = open_directory(root, path)?;
    let mut names = Vec::new();
    for entry in Dir::new(directory).map_err(failed("read", path))? {
        let entry = entry.map_err(failed("read", path))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Examines `name` in the open directory of the path `above`; `None` for a socket.
pub(crate) fn inspect(
    directory: BorrowedFd<'_>,
    above: &[u8],
    name: &[u8],
) -> Result<Option<Inspected>, LayerError> {
    let path = join(above, name);
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let facts =
        statx(directory, name, flags, StatxFlags::BASIC_STATS).map_err(failed("stat", &path))?;
    let raw_mode = u32::from(facts.stx_mode);
    let kind = match FileType::from_raw_mode(raw_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice if (facts.stx_rdev_major, facts.stx_rdev_minor) == (0, 0) => {
            Kind::Whiteout
        }
        FileType::CharacterDevice => Kind::Character,
        _ => return Ok(None),
    };
    let mut entry = Entry::new(path, kind, raw_mode & 0o7777);
    entry.uid = facts.stx_uid;
    entry.gid = facts.stx_gid;
    entry.mtime_ns = facts
        .stx_mtime
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(facts.stx_mtime.tv_nsec));
    match kind {
        Kind::File => entry.size = facts.stx_size,
        Kind::Symlink => {
            let target =
                readlinkat(directory, name, Vec::new()).map_err(failed("readlink", &entry.path))?;
            entry.link_target = Some(target.into_bytes());
        }
        Kind::Character | Kind::Block => {
            entry.device = (facts.stx_rdev_major, facts.stx_rdev_minor);
        }
        _ => {}
    }
    if kind != Kind::Whiteout {
        let xattrs = Holder::Named(directory, name)
            .read_all()
            .map_err(failed("getxattr", &entry.path))?;
        set_xattrs(&mut entry, xattrs)?;
    }
    let device = u64::from(facts.stx_dev_major) << 32 | u64::from(facts.stx_dev_minor);
    Ok(Some(Inspected {
        entry,
        identity: (device, facts.stx_ino),
        links: facts.stx_nlink,
    }))
}

/// Examines the root of the upper directory itself.
pub(crate) fn inspect_root(root: BorrowedFd<'_>) -> Result<Option<Inspected>, LayerError> {
    let inspected = inspect(root, b"", b".")?;
    Ok(inspected.map(|mut inspected| {
        inspected.entry.path.clear();
        inspected
    }))
}

/// Sorts attributes into those of the layer and those that steer the overlay.
fn set_xattrs(entry: &mut Entry, xattrs: Vec<Xattr>) -> Result<(), LayerError> {
    for (name, value) in xattrs {
        if is_kept(&name) {
            entry.xattrs.push((name, value));
        } else if is_overlay(&name) {
            overlay_mark(entry, &name, &value)?;
        }
    }
    Ok(())
}

fn overlay_mark(entry: &mut Entry, name: &[u8], value: &[u8]) -> Result<(), LayerError> {
    let unsupported = |feature| LayerError::UnsupportedOverlay {
        path: entry.path.clone(),
        feature,
    };
    let mark = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    match mark {
        b"opaque" if value == b"y" => entry.is_opaque = true,
        // A whiteout where the file system has no devices: an empty file with a mark.
        b"whiteout" if entry.kind == Kind::File && entry.size == 0 => {
            *entry = Entry::new(entry.path.clone(), Kind::Whiteout, 0);
        }
        b"redirect" => return Err(unsupported("redirect_dir")),
        b"metacopy" => return Err(unsupported("metacopy")),
        _ => {}
    }
    Ok(())
}

/// Opens a file of the upper directory for reading.
pub(crate) fn open_file(
    directory: BorrowedFd<'_>,
    entry: &Entry,
) -> Result<std::fs::File, LayerError> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(directory.as_fd(), entry.name(), flags, Mode::empty()) {
        Ok(fd) => Ok(fd.into()),
        Err(Errno::LOOP | Errno::NXIO | Errno::NOENT) => Err(LayerError::ChangedWhileRead {
            path: entry.path.clone(),
        }),
        Err(errno) => Err(failed("open", &entry.path)(errno)),
    }
}
