//! Layers that are mounted in place: EROFS images whose contents lie in packs.
//!
//! The kernel mounts them from files, without loop devices (Linux 6.12). The mounts
//! are detached: no mount table ever lists them, and they end with the overlay.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use dissolver_sys::clone::NEW_MOUNTS;
use dissolver_sys::kernel::{MOUNT_ATTR_RDONLY, unshare};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};

use crate::mounts::{Detached, IMAGE_KIND};
use crate::ops::Op;
use crate::overlay::{OPTION_BYTES, descriptor_name, stack};
use crate::process::above_streams;
use crate::report::SandboxError;
use crate::spec::{Lower, Rootfs};

/// What failures call the mounting of one image.
const MOUNT_IMAGE: &str = "mount layer";

/// Whether a layer is to be mounted in place.
#[must_use]
pub fn are_among(lowers: &[Lower]) -> bool {
    lowers
        .iter()
        .any(|lower| matches!(lower, Lower::Erofs { .. }))
}

/// Mounts an image read-only and detached.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words and the image's path.
pub fn detach_image(
    image: &str,
    devices: &[String],
    attributes: u64,
) -> Result<OwnedFd, SandboxError> {
    let mut opened = Vec::new();
    let mut mount = Detached::of(MOUNT_IMAGE, Some(image.to_owned()), IMAGE_KIND)?;
    mount.set("source", &file_name(image, &mut opened)?)?;
    for device in devices {
        mount.set("device", &file_name(device, &mut opened)?)?;
    }
    let tree = mount.finish(attributes | MOUNT_ATTR_RDONLY)?;
    above_streams(tree).map_err(|errno| SandboxError::setup(MOUNT_IMAGE, image, errno))
}

/// A name for a file that is short enough for an option.
fn file_name(path: &str, opened: &mut Vec<OwnedFd>) -> Result<String, SandboxError> {
    if path.len() <= OPTION_BYTES {
        return Ok(path.to_owned());
    }
    let fd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SandboxError::setup(MOUNT_IMAGE, path, errno))?;
    let name = descriptor_name(&fd);
    opened.push(fd);
    Ok(name)
}

/// Mounts all images among `lowers`, `None` in the place of directories; `None` if there are no images.
///
/// # Errors
///
/// As [`detach_image`].
pub fn detach_all(lowers: &[Lower]) -> Result<Option<Vec<Option<OwnedFd>>>, SandboxError> {
    if !are_among(lowers) {
        return Ok(None);
    }
    let detach = |lower: &Lower| match lower {
        Lower::Directory(_) => Ok(None),
        Lower::Erofs { erofs, devices } => detach_image(erofs, devices, 0).map(Some),
    };
    lowers
        .iter()
        .map(detach)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Makes the overlay of `rootfs`, whose images are mounted as `trees`.
///
/// # Errors
///
/// [`SandboxError::Setup`] with the kernel's words.
pub fn stacked(
    op: &Op,
    rootfs: &Rootfs,
    trees: &[Option<OwnedFd>],
    attributes: u64,
) -> Result<Option<OwnedFd>, SandboxError> {
    match stack_detached(op, rootfs, trees, attributes) {
        // Before 6.15, overlayfs takes layers only from where they are attached.
        Err(_) => stack_attached(op, rootfs, trees, attributes),
        made => made,
    }
}

fn stack_detached(
    op: &Op,
    rootfs: &Rootfs,
    trees: &[Option<OwnedFd>],
    attributes: u64,
) -> Result<Option<OwnedFd>, SandboxError> {
    let names = trees.iter().map(|tree| tree.as_ref().map(descriptor_name));
    stack(op, rootfs, &names.collect::<Vec<_>>(), attributes)
}

/// Attaches the images where nobody sees them, and stacks them there.
///
/// A thread of its own leaves the process's mount namespace for a copy, which goes
/// when the thread ends; the overlay holds on to its layers by itself.
fn stack_attached(
    op: &Op,
    rootfs: &Rootfs,
    trees: &[Option<OwnedFd>],
    attributes: u64,
) -> Result<Option<OwnedFd>, SandboxError> {
    let work = || {
        let place = private_place(op, rootfs)?;
        let mut names = Vec::new();
        for (number, tree) in trees.iter().enumerate() {
            names.push(match tree {
                Some(tree) => Some(attach(op, &place, number, tree)?),
                None => None,
            });
        }
        stack(op, rootfs, &names, attributes)
    };
    std::thread::scope(|scope| {
        let failed = || SandboxError::operation(op.name(), Errno::AGAIN);
        let thread = std::thread::Builder::new().spawn_scoped(scope, work);
        thread
            .map_err(|_| failed())?
            .join()
            .unwrap_or_else(|_| Err(failed()))
    })
}

/// Takes the calling thread into a mount namespace of its own, and makes an empty place there.
fn private_place(op: &Op, rootfs: &Rootfs) -> Result<OwnedFd, SandboxError> {
    let explain = |errno| SandboxError::setup(op.name(), &rootfs.mountpoint, errno);
    unshare(NEW_MOUNTS).map_err(explain)?;
    let propagation = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(c"/", propagation).map_err(explain)?;
    let mut place = Detached::new(op, "tmpfs")?;
    place.set("mode", "700")?;
    let tree = place.finish(0)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, rootfs.mountpoint.as_str(), flags).map_err(explain)?;
    above_streams(tree).map_err(explain)
}

fn attach(op: &Op, place: &OwnedFd, number: usize, tree: &OwnedFd) -> Result<String, SandboxError> {
    let name = number.to_string();
    let explain = |errno| SandboxError::operation(op.name(), errno);
    mkdirat(place, name.as_str(), Mode::RWXU).map_err(explain)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", place, name.as_str(), flags).map_err(explain)?;
    Ok(format!("/proc/self/fd/{}/{name}", place.as_raw_fd()))
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
