//! The root file system: layers stacked by overlayfs.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use dissolver_sys::child::{OldOverlay, Step};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::mounts::{Detached, detach_bind};
use crate::ops::Op;
use crate::prepare::text;
use crate::report::SandboxError;
use crate::spec::Rootfs;

/// The longest string that `fsconfig(2)` takes, without its zero byte.
const OPTION_BYTES: usize = 255;

/// Prepares the root file system; the step makes it the child's root.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn prepare(op: &Op, rootfs: &Rootfs) -> Result<Step, SandboxError> {
    let mountpoint = text(&rootfs.mountpoint)?;
    if let (Some(single), false) = (
        rootfs.upper.as_ref().or(rootfs.lowers.first()),
        rootfs.is_overlay(),
    ) {
        let tree = detach_bind(op.name(), single, false, rootfs.upper.is_none())?;
        return Ok(Step::AttachRoot(tree, mountpoint));
    }
    match detach(op, rootfs)? {
        Some(tree) => Ok(Step::AttachRoot(tree, mountpoint)),
        None => prepare_old(op, rootfs, mountpoint),
    }
}

/// Makes the overlay as a detached mount; `None` on kernels that take layers only in one string.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn detach(op: &Op, rootfs: &Rootfs) -> Result<Option<OwnedFd>, SandboxError> {
    let mut overlay = Detached::new(op, "overlay")?;
    let mut opened = Vec::new();
    for lower in &rootfs.lowers {
        let name = option_name(op, lower, &mut opened)?;
        if !overlay.try_set("lowerdir+", &name)? {
            return Ok(None);
        }
    }
    if let (Some(upper), Some(work)) = (&rootfs.upper, &rootfs.work) {
        overlay.set("upperdir", &option_name(op, upper, &mut opened)?)?;
        overlay.set("workdir", &option_name(op, work, &mut opened)?)?;
    }
    for (key, value) in options(rootfs) {
        match value {
            Some(value) => overlay.set(key, value)?,
            None => overlay.set_flag(key)?,
        }
    }
    overlay.finish(0).map(Some)
}

/// Options that do not name directories.
fn options(rootfs: &Rootfs) -> Vec<(&'static str, Option<&'static str>)> {
    let mut options = Vec::new();
    if rootfs.userxattr {
        options.push(("userxattr", None));
    } else if rootfs.upper.is_some() {
        // A distribution may default to these. Each makes the upper directory something that
        // cannot be understood by itself, and it is to become a layer.
        options.extend([
            ("redirect_dir", Some("off")),
            ("metacopy", Some("off")),
            ("index", Some("off")),
        ]);
    }
    if rootfs.volatile && rootfs.upper.is_some() {
        options.push(("volatile", None));
    }
    options
}

/// A name for a directory that is short enough, keeping it open where that takes a descriptor.
fn option_name(
    op: &Op,
    directory: &str,
    opened: &mut Vec<OwnedFd>,
) -> Result<String, SandboxError> {
    if directory.len() <= OPTION_BYTES {
        return Ok(directory.to_owned());
    }
    let fd = open_directory(op, directory)?;
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    opened.push(fd);
    Ok(name)
}

fn open_directory(op: &Op, path: &str) -> Result<OwnedFd, SandboxError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| SandboxError::setup(op.name(), path, errno))?;
    crate::process::above_streams(fd).map_err(|errno| SandboxError::setup(op.name(), path, errno))
}

/// Prepares the overlay for `mount(2)`, naming directories by descriptor: see [`OldOverlay`].
fn prepare_old(op: &Op, rootfs: &Rootfs, mountpoint: CString) -> Result<Step, SandboxError> {
    let mut directories = Vec::new();
    let mut open = |path: &str| -> Result<String, SandboxError> {
        let fd = open_directory(op, path)?;
        let number = fd.as_raw_fd().to_string();
        directories.push(fd);
        Ok(number)
    };
    let lowers: Result<Vec<String>, SandboxError> =
        rootfs.lowers.iter().map(|lower| open(lower)).collect();
    let mut data = format!("lowerdir={}", lowers?.join(":"));
    if let (Some(upper), Some(work)) = (&rootfs.upper, &rootfs.work) {
        data.push_str(&format!(
            ",upperdir={},workdir={}",
            open(upper)?,
            open(work)?
        ));
    }
    for (key, value) in options(rootfs) {
        data.push_str(&value.map_or_else(|| format!(",{key}"), |value| format!(",{key}={value}")));
    }
    Ok(Step::MountOverlay(OldOverlay {
        data: text(&data)?,
        directories,
        mountpoint,
    }))
}
