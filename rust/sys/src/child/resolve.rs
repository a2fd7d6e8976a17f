//! Paths inside the root file system, without allocating.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, mkdirat, openat, openat2,
    readlinkat_raw, statx,
};
use rustix::io::Errno;

use super::text::{TEXT_BYTES, Text};
use super::{Create, Reason, Refusal, SystemTarget, Target};
use crate::walls::{Wall, stands};

/// How many dangling symlinks are followed before it counts as a loop; the kernel's own number.
const MOST_LINKS: usize = 40;
/// How often `openat2` may lose a race against a rename elsewhere before that is a failure.
const MOST_RACES: usize = 1024;

/// `PROC_SUPER_MAGIC`.
const PROC: u64 = 0x9fa0;
/// The inode number of the root of every proc.
const PROC_ROOT: u64 = 1;
/// File systems that show the kernel: what a link of an image leads to must not be among them.
/// `linux/magic.h` has them.
const KERNEL: [u64; 12] = [
    PROC,
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x4249_4e4d, // binfmt_misc
    0x6165_676c, // pstore
];

/// Opens `path` as the root's own processes would see it, without using it.
pub(super) fn open_in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    open_with(root, path, ResolveFlags::IN_ROOT)
}

/// Opens `path` beneath the root, where no part of it may be a symbolic link.
pub(super) fn open_plain(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    open_with(root, path, PLAIN)
}

const PLAIN: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_SYMLINKS);

/// `openat2` that tries again where the kernel asks for it.
fn open_with(
    directory: BorrowedFd<'_>,
    path: &CStr,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if !stands(Wall::MagicLinks) && !resolve.contains(ResolveFlags::NO_SYMLINKS) {
        // From the root of this process: with a root of another's the kernel follows none.
        return openat(directory, path, flags, Mode::empty());
    }
    // IN_ROOT alone also refuses magic links today; the manual reserves the right to change that.
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..MOST_RACES {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a target and, where the plan asks for it, makes it and its parents first.
///
/// Symlinks are followed inside the root, dangling ones too: what they point at is
/// what gets made, as a program in the container would expect. They may be the image's, or be
/// changed meanwhile by another container in a volume that both have, so what they lead to
/// is looked at: the root itself is no place for a mount, and nor is what shows the kernel, unless
/// the target's own words say so.
pub(super) fn open_target(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd, Refusal> {
    match open_plain(root, &target.path) {
        Ok(place) => {
            refuse_root(root, place.as_fd())?;
            return Ok(place);
        }
        Err(Errno::LOOP | Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let place = match (open_in_root(root, &target.path), target.create) {
        (Err(Errno::NOENT), Some(create)) => {
            make(root, &target.path, create, ResolveFlags::IN_ROOT)?
        }
        (result, _) => result?,
    };
    refuse_root(root, place.as_fd())?;
    if stands(Wall::Targets) && KERNEL.contains(&(fstatfs(&place)?.f_type as u64)) {
        return Err(Reason::LeadsToKernel.into());
    }
    Ok(place)
}

/// Opens the place of one of the system's own mounts, which is made if it is missing.
///
/// An image whose `/proc` is a link to `/` would have proc mounted on the root itself, and
/// `/..` would lead into it: past whatever is masked there.
pub(super) fn open_system(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Refusal> {
    let resolve = if stands(Wall::TargetLinks) {
        PLAIN
    } else {
        ResolveFlags::IN_ROOT
    };
    let place = match open_with(root, path, resolve) {
        Err(Errno::NOENT) => make(root, path, Create::Directory, resolve)?,
        Err(Errno::LOOP) => return Err(Reason::IsLink.into()),
        result => result?,
    };
    if stands(Wall::TargetLinks) {
        refuse_root(root, place.as_fd())?;
    }
    Ok(place)
}

/// Checks that what was mounted is what is found by the name that it was mounted on.
pub(super) fn check_system(root: BorrowedFd<'_>, target: &SystemTarget) -> Result<(), Refusal> {
    if !stands(Wall::MountVerify) {
        return Ok(());
    }
    let place = open_plain(root, &target.path)?;
    let is_meant = fstatfs(&place)?.f_type as u64 == target.magic
        && (target.magic != PROC || identity(place.as_fd())?.1 == PROC_ROOT);
    if is_meant {
        Ok(())
    } else {
        Err(Reason::IsSomethingElse.into())
    }
}

fn refuse_root(root: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Refusal> {
    if stands(Wall::Targets) && identity(root)? == identity(place)? {
        return Err(Reason::LeadsToRoot.into());
    }
    Ok(())
}

/// The mount and the inode behind a descriptor.
fn identity(place: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let facts = statx(place, c"", AtFlags::EMPTY_PATH, wanted)?;
    Ok((facts.stx_mnt_id, facts.stx_ino))
}

/// What a walk through the components came to.
enum Walk {
    Done(OwnedFd),
    /// The component from `.0` to `.1` is a dangling symlink, whose text was read.
    Link(usize, usize),
}

fn make(
    root: BorrowedFd<'_>,
    path: &CStr,
    create: Create,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut buffer = Text::new(path)?;
    let mut link = Text::new(c"")?;
    for _ in 0..MOST_LINKS {
        match walk(root, &mut buffer, create, &mut link, resolve)? {
            Walk::Done(fd) => return Ok(fd),
            Walk::Link(start, end) => buffer = spliced(&buffer, start, end, &link)?,
        }
    }
    Err(Errno::LOOP)
}

/// The path with the component from `start` to `end` replaced by what it points at.
fn spliced(path: &Text, start: usize, end: usize, link: &Text) -> Result<Text, Errno> {
    let mut result = Text::new(c"")?;
    let whole = path.as_slice();
    if link.as_slice().first() != Some(&b'/') {
        result.append(whole.get(..start).unwrap_or(&[]))?;
    }
    result.append(link.as_slice())?;
    result.append(whole.get(end..).unwrap_or(&[]))?;
    Ok(result)
}

fn walk(
    root: BorrowedFd<'_>,
    path: &mut Text,
    create: Create,
    link: &mut Text,
    resolve: ResolveFlags,
) -> Result<Walk, Errno> {
    let mut parent = open_in_root(root, c"/")?;
    let mut start = 0;
    loop {
        while path.as_slice().get(start) == Some(&b'/') {
            start += 1;
        }
        if start >= path.length {
            return Ok(Walk::Done(parent));
        }
        let mut end = start;
        while end < path.length && path.as_slice().get(end) != Some(&b'/') {
            end += 1;
        }
        let is_last = path
            .as_slice()
            .get(end..)
            .unwrap_or(&[])
            .iter()
            .all(|&byte| byte == b'/');
        let found = open_prefix(root, path, end, resolve);
        parent = match found {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                if read_link(&parent, path, start, end, link)? {
                    return Ok(Walk::Link(start, end));
                }
                make_one(
                    &parent,
                    path,
                    start,
                    end,
                    if is_last { create } else { Create::Directory },
                )?;
                open_prefix(root, path, end, resolve)?
            }
            Err(errno) => return Err(errno),
        };
        start = end;
    }
}

fn open_prefix(
    root: BorrowedFd<'_>,
    path: &mut Text,
    end: usize,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let (prefix, kept) = path.cut(0, end)?;
    let result = open_with(root, prefix, resolve);
    path.restore(end, kept);
    result
}

/// Reads a symlink; tells whether it is one.
fn read_link(
    parent: &OwnedFd,
    path: &mut Text,
    start: usize,
    end: usize,
    link: &mut Text,
) -> Result<bool, Errno> {
    let (name, kept) = path.cut(start, end)?;
    let room = link
        .bytes
        .get_mut(..TEXT_BYTES - 1)
        .ok_or(Errno::NAMETOOLONG)?;
    let result = readlinkat_raw(parent, name, room);
    path.restore(end, kept);
    match result {
        Ok(length) => {
            link.length = length;
            Ok(true)
        }
        // It is missing, or appeared just now as something else.
        Err(Errno::NOENT | Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn make_one(
    parent: &OwnedFd,
    path: &mut Text,
    start: usize,
    end: usize,
    create: Create,
) -> Result<(), Errno> {
    let (name, kept) = path.cut(start, end)?;
    let result = match create {
        Create::Directory => mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Create::File => {
            let flags =
                OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    path.restore(end, kept);
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
