//! Mounts of which the container gets to see a part: layers, and files in memory.
//!
//! The whole is mounted on a directory of the host first, inside the child's own mount
//! namespace. Before Linux 6.15 a part of a mount that is not attached cannot be copied.

use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::child::Step;
use dissolver_sys::kernel::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use rustix::io::{Errno, write};

use crate::mounts::Detached;
use crate::ops::Op;
use crate::overlay;
use crate::plan::MEMORY_FILE;
use crate::prepare::text;
use crate::process::above_streams;
use crate::report::SandboxError;
use crate::spec::{Content, Rootfs};

/// Stacks layers aside.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub(crate) fn stack(op: &Op, rootfs: &Rootfs, attributes: u64) -> Result<Step, SandboxError> {
    Ok(match overlay::prepare(op, rootfs, attributes)? {
        Step::AttachRoot(tree, mountpoint) => Step::AttachAside(tree, mountpoint),
        Step::MountOverlay(overlay) => Step::OverlayAside(overlay),
        other => other,
    })
}

/// Makes a file in memory aside.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub(crate) fn memory_file(
    op: &Op,
    content: &Content,
    mountpoint: &str,
    mode: u32,
    owner: (u32, u32),
    executable: bool,
) -> Result<Step, SandboxError> {
    let tree = detach_file(op, content, mode, owner, executable)?;
    Ok(Step::AttachAside(tree, text(mountpoint)?))
}

/// Makes a file system in memory with one file in it.
fn detach_file(
    op: &Op,
    content: &Content,
    mode: u32,
    (uid, gid): (u32, u32),
    is_executable: bool,
) -> Result<OwnedFd, SandboxError> {
    let explain = |errno| SandboxError::operation(op.name(), errno);
    let mut wanted = Detached::new(op, "tmpfs")?;
    wanted.set("mode", "755")?;
    // What is swapped out is on a disk. Only root may ask for this, and only since Linux 6.4.
    let _ = wanted.set_flag("noswap");
    let mut attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attributes |= if is_executable { 0 } else { MOUNT_ATTR_NOEXEC };
    let tree = above_streams(wanted.finish(attributes)?).map_err(explain)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(&tree, MEMORY_FILE, flags, Mode::empty()).map_err(explain)?;
    let content = content.decode()?;
    let mut rest = content.as_slice();
    while !rest.is_empty() {
        match write(&file, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(explain(errno)),
        }
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    fchown(file.as_fd(), Some(uid), Some(gid)).map_err(explain)?;
    // Last, because a change of the owner takes bits away.
    fchmod(file.as_fd(), Mode::from_raw_mode(mode)).map_err(explain)?;
    Ok(tree)
}
