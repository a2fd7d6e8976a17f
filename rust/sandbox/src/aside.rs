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
use crate::prepare::{missing, target, text};
use crate::process::above_streams;
use crate::report::SandboxError;
use crate::spec::Content;

/// Turns one operation into one step.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the operation's name, for what failed here already.
pub(crate) fn prepare(op: &Op) -> Result<Step, SandboxError> {
    Ok(match op {
        Op::Stack(rootfs) => match overlay::prepare(op, rootfs)? {
            Step::AttachRoot(tree, mountpoint) => Step::AttachAside(tree, mountpoint),
            Step::MountOverlay(overlay) => Step::OverlayAside(overlay),
            other => other,
        },
        Op::MemoryFile {
            content,
            mountpoint,
            mode,
            uid,
            gid,
            executable,
        } => {
            let tree = detach_file(op, content, *mode, (*uid, *gid), *executable)?;
            Step::AttachAside(tree, text(mountpoint)?)
        }
        Op::ShowPart {
            mountpoint,
            source,
            target: place,
            read_only,
            create,
        } => Step::BindAside {
            mountpoint: text(mountpoint)?,
            source: text(source)?,
            is_read_only: *read_only,
            target: target(place, Some(*create))?,
        },
        _ => return Err(missing(op)),
    })
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
