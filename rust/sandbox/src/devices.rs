//! The device directory, its nodes, and the terminals.
//!
//! Device files work where nodes were put by us and nowhere else: the directory itself may hold
//! none that can be opened, and each node is mounted on a file in it. As root the nodes are the
//! container's own, so that their modes and owners are. Others cannot make any; theirs are the
//! host's, mounted read-only: a device can be written to all the same, but not changed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dissolver_sys::kernel::{MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use dissolver_sys::walls::{Wall, stands};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmodat, makedev, mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use crate::mounts::{Detached, detach_bind};
use crate::ops::Op;
use crate::overlay::descriptor_name;
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
/// The device that swallows everything.
pub const NULL: &str = "null";
/// What failures call the making of a null device.
const OPEN_NULL: &str = "open a null device";

/// Makes a device directory as a detached mount, with empty files to mount devices on.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the entry that could not be made.
pub fn detach(op: &Op, has_console: bool, attributes: u64) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::new(op, "tmpfs")?;
    wanted.set("size", SIZE)?;
    wanted.set("mode", "755")?;
    let tree = wanted.finish(attributes | MOUNT_ATTR_NOSUID)?;
    let root = tree.as_fd();
    let explain =
        |name: &str, errno: Errno| SandboxError::setup(op.name(), format!("/dev/{name}"), errno);
    let console = has_console.then_some("console");
    for name in DEVICES.iter().map(|(name, ..)| *name).chain(console) {
        make_file(root, name).map_err(|errno| explain(name, errno))?;
    }
    for (name, leads_to) in LINKS {
        symlinkat(leads_to, root, name).map_err(|errno| explain(name, errno))?;
    }
    for name in DIRECTORIES {
        mkdirat(root, name, Mode::from_raw_mode(0o755)).map_err(|errno| explain(name, errno))?;
    }
    Ok(tree)
}

/// Makes the container's device nodes as a detached mount.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the node that could not be made.
pub fn detach_nodes(op: &Op) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::new(op, "tmpfs")?;
    wanted.set("mode", "755")?;
    let tree = wanted.finish(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)?;
    for (name, major, minor) in DEVICES {
        make_node(tree.as_fd(), name, major, minor)
            .map_err(|errno| SandboxError::setup(op.name(), format!("/dev/{name}"), errno))?;
    }
    Ok(tree)
}

/// Copies a device of the host as a detached mount.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the device.
pub fn detach_device(op: &'static str, name: &str) -> Result<OwnedFd, SandboxError> {
    let is_locked = stands(Wall::DeviceNodes);
    let attributes = if is_locked { MOUNT_ATTR_RDONLY } else { 0 };
    detach_bind(op, &format!("/dev/{name}"), false, attributes)
}

/// Opens a null device of nobody else's, for reading and writing.
///
/// # Errors
///
/// [`SandboxError::Setup`].
pub fn open_null(makes_devices: bool) -> Result<OwnedFd, SandboxError> {
    let explain = |errno| SandboxError::setup("open", "/dev/null", errno);
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    if !stands(Wall::OwnNull) {
        return open_null_of_host();
    }
    if makes_devices {
        let wanted = Detached::of(OPEN_NULL, None, "tmpfs")?;
        let tree = wanted.finish(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)?;
        let (_, major, minor) = DEVICES[0];
        // What its name is seen to be: programs look for this one.
        mkdirat(&tree, "dev", Mode::from_raw_mode(0o755)).map_err(explain)?;
        make_node(tree.as_fd(), "dev/null", major, minor).map_err(explain)?;
        openat(&tree, "dev/null", flags, Mode::empty()).map_err(explain)
    } else {
        let tree = detach_device(OPEN_NULL, NULL)?;
        openat(CWD, descriptor_name(&tree), flags, Mode::empty()).map_err(explain)
    }
}

/// Opens the null device of the host, for a program of the host's.
///
/// # Errors
///
/// [`SandboxError::Setup`].
pub fn open_null_of_host() -> Result<OwnedFd, SandboxError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    openat(CWD, "/dev/null", flags, Mode::empty())
        .map_err(|errno| SandboxError::setup("open", "/dev/null", errno))
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
pub fn detach_terminals(op: &'static str, group: Option<u32>) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::of(op, None, "devpts")?;
    wanted.set("ptmxmode", "0666")?;
    wanted.set("mode", "0620")?;
    if let Some(group) = group {
        wanted.set("gid", &group.to_string())?;
    }
    // Every mount is an instance of its own since Linux 4.7.
    wanted.finish(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
}
