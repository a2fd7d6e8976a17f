//! The device directory and the terminals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dissolver_sys::kernel::{MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, chmodat, makedev, mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use crate::mounts::Detached;
use crate::ops::Op;
use crate::plan::DEVICES;
use crate::report::SandboxError;

/// Names that lead elsewhere, as every Linux program expects them.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// Directories for what is mounted later.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];
/// The size of the device directory; Docker's value.
const SIZE: &str = "65536k";

/// Makes a device directory as a detached mount.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the entry that could not be made.
pub fn detach(op: &Op, makes_nodes: bool, has_console: bool) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::new(op, "tmpfs")?;
    wanted.set("size", SIZE)?;
    wanted.set("mode", "755")?;
    let tree = wanted.finish(MOUNT_ATTR_NOSUID)?;
    let root = tree.as_fd();
    let explain =
        |name: &str, errno: Errno| SandboxError::setup(op.name(), format!("/dev/{name}"), errno);
    for (name, major, minor) in DEVICES {
        let made = if makes_nodes {
            make_node(root, name, major, minor)
        } else {
            make_file(root, name)
        };
        made.map_err(|errno| explain(name, errno))?;
    }
    if has_console {
        make_file(root, "console").map_err(|errno| explain("console", errno))?;
    }
    for (name, leads_to) in LINKS {
        symlinkat(leads_to, root, name).map_err(|errno| explain(name, errno))?;
    }
    for name in DIRECTORIES {
        mkdirat(root, name, Mode::from_raw_mode(0o755)).map_err(|errno| explain(name, errno))?;
    }
    Ok(tree)
}

fn make_node(root: BorrowedFd<'_>, name: &str, major: u32, minor: u32) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o666);
    mknodat(
        root,
        name,
        FileType::CharacterDevice,
        mode,
        makedev(major, minor),
    )?;
    // The umask, which belongs to the whole process and must stay, took bits away.
    chmodat(root, name, mode, AtFlags::empty())
}

fn make_file(root: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(root, name, flags, Mode::from_raw_mode(0o600)).map(drop)
}

/// Makes an instance of pseudo terminals as a detached mount.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn detach_terminals(op: &Op, group: Option<u32>) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::new(op, "devpts")?;
    wanted.set("ptmxmode", "0666")?;
    wanted.set("mode", "0620")?;
    if let Some(group) = group {
        wanted.set("gid", &group.to_string())?;
    }
    // Every mount is an instance of its own since Linux 4.7.
    wanted.finish(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
}
