//! Reading what is in a directory: an overlay's upper one, or any other.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, StatxFlags, readlinkat, statx};
use rustix::io::Errno;

use crate::create::{failed, open_directory};
use crate::entry::{Entry, Kind, Xattr, join};
use crate::error::LayerError;
use crate::marks::{Mark, OverlayMarks, is_reserved};
use crate::xattr::{Holder, is_kept};

/// Something in a directory, and what only that directory knows.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The entry; a whiteout where overlayfs put one.
    pub entry: Entry,
    /// File system and inode: the same for all names of one file.
    pub identity: (u64, u64),
    /// How many names it has.
    pub links: u32,
    /// It has attributes that overlayfs reserves, and did not set itself.
    pub has_foreign_marks: bool,
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
///
/// `marks` are those of the overlay that the directory is the upper one of. Without any, the
/// directory is somebody's, and what an overlay reserves means nothing in it.
pub(crate) fn inspect(
    directory: BorrowedFd<'_>,
    above: &[u8],
    name: &[u8],
    marks: Option<OverlayMarks>,
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
    let mut has_foreign_marks = false;
    if kind != Kind::Whiteout {
        let xattrs = Holder::Named(directory, name)
            .read_all()
            .map_err(failed("getxattr", &entry.path))?;
        has_foreign_marks = set_xattrs(&mut entry, xattrs, marks)?;
    }
    let device = u64::from(facts.stx_dev_major) << 32 | u64::from(facts.stx_dev_minor);
    Ok(Some(Inspected {
        entry,
        identity: (device, facts.stx_ino),
        links: facts.stx_nlink,
        has_foreign_marks,
    }))
}

/// Examines the root of the upper directory itself.
pub(crate) fn inspect_root(
    root: BorrowedFd<'_>,
    marks: OverlayMarks,
) -> Result<Option<Inspected>, LayerError> {
    let inspected = inspect(root, b"", b".", Some(marks))?;
    Ok(inspected.map(|mut inspected| {
        inspected.entry.path.clear();
        inspected
    }))
}

/// Sorts attributes into those of the layer and those that steer the overlay.
///
/// Returns whether some are neither.
fn set_xattrs(
    entry: &mut Entry,
    xattrs: Vec<Xattr>,
    marks: Option<OverlayMarks>,
) -> Result<bool, LayerError> {
    let mut has_foreign_marks = false;
    for (name, value) in xattrs {
        if is_kept(&name) {
            entry.xattrs.push((name, value));
        } else if is_reserved(&name) {
            let mark = marks.map_or(Ok(Mark::Foreign), |marks| {
                marks.read(&entry.path, &name, &value)
            })?;
            match mark {
                Mark::Opaque => entry.is_opaque = true,
                Mark::Foreign => has_foreign_marks = true,
                Mark::Bookkeeping => {}
            }
        }
    }
    Ok(has_foreign_marks)
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
