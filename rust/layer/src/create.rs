//! Putting one entry into a directory, with everything that belongs to it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    chmodat, chownat, copy_file_range, fchmod, fchown, fstat, ftruncate, futimens, makedev,
    mkdirat, mknodat, openat, openat2, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::entry::{Entry, Kind, Segment};
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::os_path;
use crate::stored::StoredLayer;
use crate::xattr::Holder;

/// Files up to this size are read and written in one call each; beyond it the
/// kernel copies from the pack by itself.
const SMALL_BYTES: u64 = 128 << 10;
/// Attributes of one file that every file system with attributes has room for: ext4 puts them all, with a
/// head for each, into one block of 4 KiB, where XFS takes 64 KiB for each.
const XATTR_BYTES: usize = 2 << 10;
/// Bytes that the kernel copies before anybody looks for an interrupt.
const COPY_BYTES: u64 = 32 << 20;

/// What this process may and may not do with files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Powers {
    /// In a user namespace devices cannot be made, and `trusted.*` cannot be set.
    is_in_user_namespace: bool,
    /// Only one user exists here, so owners cannot be kept.
    has_single_user: bool,
}

impl Powers {
    /// Finds out from `/proc/self/uid_map`.
    pub(crate) fn of_this_process() -> Powers {
        // Without the file nothing is passed over: what cannot be made is an error then.
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let numbers: Vec<u64> = map
            .split_ascii_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect();
        let mapped: u64 = numbers.chunks(3).filter_map(|line| line.get(2)).sum();
        Powers {
            is_in_user_namespace: !numbers.is_empty() && numbers != [0, 0, u64::from(u32::MAX)],
            has_single_user: mapped == 1,
        }
    }

    /// Tells whether devices that cannot be made are passed over.
    pub(crate) fn leaves_devices_out(self) -> bool {
        self.is_in_user_namespace
    }
}

/// Makes the conversion of an error number for `op` on the entry at `path`.
pub(crate) fn failed(op: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> LayerError {
    let path = os_path(path);
    move |errno| LayerError::Io {
        op,
        path,
        source: errno.into(),
    }
}

/// Opens a directory beneath `root` without following any link.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, LayerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let name: &[u8] = if path.is_empty() { b"." } else { path };
    openat2(root, name, flags, Mode::empty(), resolve).map_err(failed("open", path))
}

/// Creates a directory that only its owner can use until it gets its metadata.
pub(crate) fn make_directory(parent: BorrowedFd<'_>, entry: &Entry) -> Result<(), LayerError> {
    mkdirat(parent, entry.name(), Mode::RWXU).map_err(failed("mkdir", &entry.path))
}

/// Creates anything but a directory, complete with content and metadata.
///
/// The name must not exist. A device that the user namespace does not allow is
/// left out, as rootless Docker and Podman do.
pub(crate) fn make(
    parent: BorrowedFd<'_>,
    entry: &Entry,
    layer: &Arc<StoredLayer>,
    powers: Powers,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    if entry.kind == Kind::File {
        return make_file(parent, entry, layer, powers, interrupt);
    }
    make_special(parent, entry, powers)
}

/// Creates what is neither a file nor a directory, as [`make`] does.
pub(crate) fn make_special(
    parent: BorrowedFd<'_>,
    entry: &Entry,
    powers: Powers,
) -> Result<(), LayerError> {
    let name = entry.name();
    let mode = Mode::from_raw_mode(entry.mode);
    match entry.kind {
        Kind::Symlink => {
            // Readers refuse a link without a target; the kernel refuses an empty one as well.
            let target = entry.link_target.as_deref().unwrap_or_default();
            symlinkat(target, parent, name).map_err(failed("symlink", &entry.path))?;
        }
        Kind::Fifo => {
            mknodat(parent, name, FileType::Fifo, mode, 0)
                .map_err(failed("mkfifo", &entry.path))?;
        }
        Kind::Character | Kind::Block => {
            let kind = match entry.kind {
                Kind::Block => FileType::BlockDevice,
                _ => FileType::CharacterDevice,
            };
            match mknodat(
                parent,
                name,
                kind,
                mode,
                makedev(entry.device.0, entry.device.1),
            ) {
                Err(Errno::PERM) if powers.is_in_user_namespace => return Ok(()),
                result => result.map_err(failed("mknod", &entry.path))?,
            }
        }
        Kind::File | Kind::Directory | Kind::Whiteout => return Ok(()),
    }
    let owner = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let changed = chownat(parent, name, Some(owner.0), Some(owner.1), flags);
    check_owner(changed, entry, powers)?;
    set_xattrs(Holder::Named(parent, name), entry, powers)?;
    if entry.kind != Kind::Symlink {
        set_mode(parent, entry, mode)?;
    }
    utimensat(parent, name, &times(entry), flags).map_err(failed("utimens", &entry.path))
}

/// Sets the mode of what was just made. The directory may be a running container's, where by
/// now a link can be behind the name: it would be followed, from the host's root.
fn set_mode(parent: BorrowedFd<'_>, entry: &Entry, mode: Mode) -> Result<(), LayerError> {
    let explain = || failed("chmod", &entry.path);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(parent, entry.name(), flags, Mode::empty()).map_err(explain())?;
    let found = FileType::from_raw_mode(fstat(&made).map_err(explain())?.st_mode);
    let expected = match entry.kind {
        Kind::Fifo => FileType::Fifo,
        Kind::Block => FileType::BlockDevice,
        Kind::Character => FileType::CharacterDevice,
        Kind::File | Kind::Directory | Kind::Symlink | Kind::Whiteout => FileType::Unknown,
    };
    if found != expected {
        return Err(explain()(Errno::STALE));
    }
    let name = format!("/proc/self/fd/{}", made.as_raw_fd());
    chmodat(CWD, name, mode, AtFlags::empty()).map_err(explain())
}

fn make_file(
    parent: BorrowedFd<'_>,
    entry: &Entry,
    layer: &Arc<StoredLayer>,
    powers: Powers,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(parent, entry.name(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(failed("create", &entry.path))?;
    let file = File::from(fd);
    write_content(&file, entry, layer, interrupt)?;
    set_metadata(file.as_fd(), entry, powers)
}

/// Gives an open file or directory its owner, attributes, mode and time.
pub(crate) fn set_metadata(
    fd: BorrowedFd<'_>,
    entry: &Entry,
    powers: Powers,
) -> Result<(), LayerError> {
    // In this order: changing the owner takes set-uid bits and capabilities away.
    let changed = fchown(
        fd,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    );
    check_owner(changed, entry, powers)?;
    set_xattrs(Holder::Open(fd), entry, powers)?;
    fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(failed("chmod", &entry.path))?;
    futimens(fd, &times(entry)).map_err(failed("utimens", &entry.path))
}

fn check_owner(
    changed: Result<(), Errno>,
    entry: &Entry,
    powers: Powers,
) -> Result<(), LayerError> {
    match changed {
        Err(Errno::INVAL) if powers.has_single_user => Ok(()),
        Err(Errno::INVAL) if powers.is_in_user_namespace => Err(LayerError::UnmappedOwner {
            path: entry.path.clone(),
            uid: entry.uid,
            gid: entry.gid,
        }),
        other => other.map_err(failed("chown", &entry.path)),
    }
}

/// Sets the attributes that can be set here.
///
/// File systems without attributes, or without room for those of users and, in a user
/// namespace, those that only real root may set are passed over: the image is of use
/// without them.
fn set_xattrs(holder: Holder<'_, '_>, entry: &Entry, powers: Powers) -> Result<(), LayerError> {
    for (name, value) in &entry.xattrs {
        match holder.set(name, value) {
            Err(Errno::OPNOTSUPP) => {}
            // A full disk says the same, but of few bytes too.
            Err(Errno::NOSPC | Errno::TOOBIG)
                if name.starts_with(b"user.") && xattr_bytes(entry) > XATTR_BYTES => {}
            Err(Errno::PERM) if powers.is_in_user_namespace => {}
            // Linux has `user.*` for files and directories only; tars may say otherwise.
            Err(Errno::PERM) if !matches!(entry.kind, Kind::File | Kind::Directory) => {}
            result => result.map_err(failed("setxattr", &entry.path))?,
        }
    }
    Ok(())
}

fn xattr_bytes(entry: &Entry) -> usize {
    let sizes = entry.xattrs.iter();
    sizes.map(|(name, value)| name.len() + value.len()).sum()
}

fn times(entry: &Entry) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: entry.mtime_ns.div_euclid(1_000_000_000),
            tv_nsec: entry.mtime_ns.rem_euclid(1_000_000_000),
        },
    }
}

fn write_content(
    file: &File,
    entry: &Entry,
    layer: &Arc<StoredLayer>,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    if entry.size == 0 {
        return Ok(());
    }
    let whole = [Segment {
        offset: 0,
        length: entry.size,
    }];
    let segments = if entry.segments.is_empty() {
        &whole[..]
    } else {
        &entry.segments
    };
    let mut source = entry.data_offset;
    for segment in segments {
        copy_segment(file, entry, layer, source, *segment, interrupt)?;
        source = source.saturating_add(segment.length);
    }
    if !entry.segments.is_empty() {
        ftruncate(file, entry.size).map_err(failed("truncate", &entry.path))?;
    }
    Ok(())
}

/// Copies one stretch of the layer's tar to its place in `file`.
fn copy_segment(
    file: &File,
    entry: &Entry,
    layer: &Arc<StoredLayer>,
    source: u64,
    segment: Segment,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    if segment.length <= SMALL_BYTES {
        return copy_by_hand(file, entry, layer, source, segment);
    }
    let mut done = 0;
    while done < segment.length {
        interrupt.check()?;
        let Some((number, mut from, left)) = layer.locate(source.saturating_add(done)) else {
            return Err(outside(layer));
        };
        let (pack, _) = layer.pack(number)?;
        let mut to = segment.offset + done;
        let wanted = left.min(segment.length - done).min(COPY_BYTES);
        let length = usize::try_from(wanted).unwrap_or(usize::MAX);
        match copy_file_range(pack, Some(&mut from), file, Some(&mut to), length) {
            Ok(0) => return Err(outside(layer)),
            Ok(count) => done += count as u64,
            Err(Errno::INTR) => {}
            // File systems that cannot do it say so in one of these ways.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                let piece = Segment {
                    offset: to,
                    length: wanted,
                };
                copy_by_hand(file, entry, layer, source + done, piece)?;
                done += wanted;
            }
            Err(errno) => return Err(failed("copy", &entry.path)(errno)),
        }
    }
    Ok(())
}

fn copy_by_hand(
    mut file: &File,
    entry: &Entry,
    layer: &Arc<StoredLayer>,
    source: u64,
    segment: Segment,
) -> Result<(), LayerError> {
    let mut buffer = vec![0; segment.length.min(1 << 20) as usize];
    let mut done = 0;
    while done < segment.length {
        let wanted = (segment.length - done).min(buffer.len() as u64) as usize;
        let piece = &mut buffer[..wanted];
        if layer.read_at(source.saturating_add(done), piece)? < wanted {
            return Err(outside(layer));
        }
        let written = if segment.offset + done == 0 && segment.length == wanted as u64 {
            file.write_all(piece)
        } else {
            file.write_all_at(piece, segment.offset + done)
        };
        written.map_err(LayerError::io("write", os_path(&entry.path)))?;
        done += wanted as u64;
    }
    Ok(())
}

fn outside(layer: &StoredLayer) -> LayerError {
    LayerError::BadIndex {
        path: os_path(layer.diff_id().hex().as_bytes()),
        reason: "content lies outside the tar",
    }
}
