//! Paths inside the root file system, without allocating.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat_raw};
use rustix::io::Errno;

use super::text::{TEXT_BYTES, Text};
use super::{Create, Target};

/// How many dangling symlinks are followed before it counts as a loop; the kernel's own number.
const MOST_LINKS: usize = 40;
/// How often `openat2` may lose a race against a rename elsewhere before that is a failure.
const MOST_RACES: usize = 1024;

/// Opens `path` as the root's own processes would see it, without using it.
pub(super) fn open_in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    open_with(
        root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        ResolveFlags::IN_ROOT,
    )
}

/// `openat2` that tries again where the kernel asks for it.
pub(super) fn open_with(
    directory: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
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
/// what gets made, as a program in the container would expect.
pub(super) fn open_target(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd, Errno> {
    match (open_in_root(root, &target.path), target.create) {
        (Err(Errno::NOENT), Some(create)) => make(root, &target.path, create),
        (result, _) => result,
    }
}

/// What a walk through the components came to.
enum Walk {
    Done(OwnedFd),
    /// The component from `.0` to `.1` is a dangling symlink, whose text was read.
    Link(usize, usize),
}

fn make(root: BorrowedFd<'_>, path: &CStr, create: Create) -> Result<OwnedFd, Errno> {
    let mut buffer = Text::new(path)?;
    let mut link = Text::new(c"")?;
    for _ in 0..MOST_LINKS {
        match walk(root, &mut buffer, create, &mut link)? {
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
        let found = open_prefix(root, path, end);
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
                open_prefix(root, path, end)?
            }
            Err(errno) => return Err(errno),
        };
        start = end;
    }
}

fn open_prefix(root: BorrowedFd<'_>, path: &mut Text, end: usize) -> Result<OwnedFd, Errno> {
    let (prefix, kept) = path.cut(0, end)?;
    let result = open_in_root(root, prefix);
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
