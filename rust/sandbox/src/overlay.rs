//! The root file system: layers stacked by overlayfs.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use dissolver_sys::child::{OldOverlay, Step};
use dissolver_sys::kernel::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::MountFlags;

use crate::images::{self, detach_image};
use crate::mounts::{Detached, detach_bind};
use crate::ops::Op;
use crate::prepare::text;
use crate::report::SandboxError;
use crate::spec::{Lower, Rootfs};

/// The longest string that `fsconfig(2)` takes, without its zero byte.
pub const OPTION_BYTES: usize = 255;

/// Prepares the root file system, mounted with `attributes`; the step makes it the child's root.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn prepare(op: &Op, rootfs: &Rootfs, attributes: u64) -> Result<Step, SandboxError> {
    let mountpoint = text(&rootfs.mountpoint)?;
    let single = match (&rootfs.upper, rootfs.lowers.first()) {
        _ if rootfs.is_overlay() => None,
        (Some(upper), _) => Some(detach_bind(op.name(), upper, false, attributes)?),
        (None, Some(Lower::Directory(directory))) => Some(detach_bind(
            op.name(),
            directory,
            false,
            attributes | MOUNT_ATTR_RDONLY,
        )?),
        (None, Some(Lower::Erofs { erofs, devices })) => {
            Some(detach_image(erofs, devices, attributes)?)
        }
        (None, None) => None,
    };
    if let Some(tree) = single {
        return Ok(Step::AttachRoot(tree, mountpoint));
    }
    match detach(op, rootfs, attributes)? {
        Some(tree) => Ok(Step::AttachRoot(tree, mountpoint)),
        None => prepare_old(rootfs, mountpoint, attributes),
    }
}

/// Makes the overlay as a detached mount; `None` on kernels that take layers only in one string.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn detach(op: &Op, rootfs: &Rootfs, attributes: u64) -> Result<Option<OwnedFd>, SandboxError> {
    match images::detach_all(&rootfs.lowers)? {
        None => stack(op, rootfs, &[], attributes),
        Some(trees) => images::stacked(op, rootfs, &trees, attributes),
    }
}

/// Makes the overlay; `names` are for lowers that have another name than their path.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn stack(
    op: &Op,
    rootfs: &Rootfs,
    names: &[Option<String>],
    attributes: u64,
) -> Result<Option<OwnedFd>, SandboxError> {
    let mut overlay = Detached::new(op, "overlay")?;
    let mut opened = Vec::new();
    for (number, lower) in rootfs.lowers.iter().enumerate() {
        let name = match names.get(number) {
            Some(Some(name)) => name.clone(),
            _ => option_name(op, lower.path(), &mut opened)?,
        };
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
    overlay.finish(attributes).map(Some)
}

/// Options that do not name directories.
fn options(rootfs: &Rootfs) -> Vec<(&'static str, Option<&'static str>)> {
    let mut options = Vec::new();
    if rootfs.userxattr {
        options.push(("userxattr", None));
    } else {
        // A distribution may default to these. Each makes the upper directory something that
        // cannot be understood by itself, and it is to become a layer. `redirect_dir=off` would
        // still follow what a layer says, so that one layer could show what another one hides;
        // with `userxattr`, the kernel follows nothing of the kind.
        options.extend([
            ("redirect_dir", Some("nofollow")),
            ("metacopy", Some("off")),
        ]);
        if rootfs.upper.is_some() {
            options.push(("index", Some("off")));
        }
    }
    if images::are_among(&rootfs.lowers) {
        // Each image is a file system of its own. With this, files have one device number all
        // the same, as `find -xdev` and `tar --one-file-system` expect inside one root.
        options.push(("xino", Some("on")));
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
    let name = descriptor_name(&fd);
    opened.push(fd);
    Ok(name)
}

/// A name for what is behind a descriptor, good for as long as that is open.
#[must_use]
pub fn descriptor_name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn open_directory(op: &Op, path: &str) -> Result<OwnedFd, SandboxError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| SandboxError::setup(op.name(), path, errno))?;
    crate::process::above_streams(fd).map_err(|errno| SandboxError::setup(op.name(), path, errno))
}

/// Prepares the overlay for `mount(2)`, naming directories by descriptor: see [`OldOverlay`].
///
/// Kernels that need this mount no images from files.
pub(crate) fn prepare_old(
    rootfs: &Rootfs,
    mountpoint: CString,
    attributes: u64,
) -> Result<Step, SandboxError> {
    let mut parts = Vec::new();
    for lower in &rootfs.lowers {
        let before = if parts.is_empty() { c"lowerdir=" } else { c":" };
        parts.push((before.to_owned(), text(lower.path())?));
    }
    if let (Some(upper), Some(work)) = (&rootfs.upper, &rootfs.work) {
        parts.push((c",upperdir=".to_owned(), text(upper)?));
        parts.push((c",workdir=".to_owned(), text(work)?));
    }
    let option = |(key, value): (&str, Option<&str>)| match value {
        Some(value) => format!(",{key}={value}"),
        None => format!(",{key}"),
    };
    let rest: String = options(rootfs).into_iter().map(option).collect();
    Ok(Step::MountOverlay(OldOverlay {
        parts,
        rest: text(&rest)?,
        flags: if attributes & MOUNT_ATTR_NODEV == 0 {
            MountFlags::empty()
        } else {
            MountFlags::NODEV
        },
        mountpoint,
    }))
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
