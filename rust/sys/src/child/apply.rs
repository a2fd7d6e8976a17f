//! What each step does to mounts; `processes` has the steps that are about the process itself.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::processes;
use super::resolve::{check_system, open_in_root, open_plain, open_system, open_target};
use super::text::Text;
use super::{KernelMount, OldOverlay, Progress, Refusal, Step, SystemTarget, Target};
use crate::kernel::{self, MOUNT_ATTR_RDONLY};
use crate::walls::{Wall, stands};

/// The device node that covers masked files.
const NOTHING: &CStr = c"null";
/// An empty directory that nothing can be done with.
const MASK_ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
/// A mount is named by its descriptor alone.
const NO_PATH: &CStr = c"";
/// How a directory is opened to be a starting point.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) fn apply<'a>(step: &'a Step, progress: &mut Progress<'a>) -> Result<(), Refusal> {
    match step {
        Step::AttachRoot(root, mountpoint) => attach_root(root.as_fd(), mountpoint, progress)?,
        Step::MountOverlay(overlay) => mount_overlay(overlay, progress)?,
        Step::AttachAside(tree, mountpoint) => attach_on_host(tree.as_fd(), mountpoint)?,
        Step::OverlayAside(overlay) => stack(overlay)?,
        Step::AttachNodes(nodes, mountpoint) => {
            attach_on_host(nodes.as_fd(), mountpoint)?;
            progress.nodes = Some(nodes.as_fd());
        }
        Step::BindAside {
            mountpoint,
            source,
            attributes,
            target,
        } => bind_aside(mountpoint, source, *attributes, root(progress)?, target)?,
        Step::Attach(tree, target) => attach(tree.as_fd(), root(progress)?, target)?,
        Step::AttachSystem(tree, target) => {
            attach_system(tree.as_fd(), root(progress)?, target)?;
        }
        Step::Mount(wanted, target) => mount_kernel(wanted, root(progress)?, target)?,
        Step::BindNode(name, place) => bind_node(name, place, progress)?,
        Step::BindDevice {
            tree,
            place,
            is_nothing,
        } => {
            let tree = tree.as_fd();
            attach_at(tree, open_plain(root(progress)?, place)?.as_fd())?;
            if *is_nothing {
                progress.nothing = Some(tree);
            }
        }
        Step::BindConsole(terminal, place) => {
            let terminal = open_plain(root(progress)?, terminal)?;
            let place = open_plain(root(progress)?, place)?;
            attach_at(clone_of(terminal.as_fd(), false)?.as_fd(), place.as_fd())?;
        }
        Step::Mask(path) => mask(progress, path)?,
        Step::ReadOnly(path) => make_read_only(root(progress)?, path)?,
        Step::PivotRoot => enter_root(root(progress)?)?,
        Step::DieWithParent
        | Step::NewSession
        | Step::NewKeyring
        | Step::NewControlGroups
        | Step::Undumpable
        | Step::Umask(_)
        | Step::Join(..)
        | Step::CutPropagation
        | Step::SealRoot
        | Step::WriteFile(..)
        | Step::HostName(_)
        | Step::LoopbackUp
        | Step::Gate
        | Step::Limit(..)
        | Step::Streams(_)
        | Step::Terminal(_)
        | Step::EnterDirectory(_)
        | Step::EnterDirectoryAgain(_)
        | Step::DropBounding(_)
        | Step::Become(_)
        | Step::NoNewPrivileges
        | Step::Seccomp(_)
        | Step::Capabilities(_)
        | Step::Announce => processes::apply(step, progress)?,
    }
    Ok(())
}
pub(super) fn root<'a>(progress: &Progress<'a>) -> Result<BorrowedFd<'a>, Errno> {
    progress.root.ok_or(Errno::BADF)
}

// Mounts ----------------------------------------------------------------------

fn attach_root<'a>(
    tree: BorrowedFd<'a>,
    mountpoint: &CStr,
    progress: &mut Progress<'a>,
) -> Result<(), Errno> {
    attach_on_host(tree, mountpoint)?;
    progress.root = Some(tree);
    Ok(())
}

fn attach_on_host(tree: BorrowedFd<'_>, mountpoint: &CStr) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, NO_PATH, CWD, mountpoint, flags)
}

fn bind_aside(
    mountpoint: &CStr,
    source: &CStr,
    attributes: u64,
    root: BorrowedFd<'_>,
    target: &Target,
) -> Result<(), Refusal> {
    let whole = openat(CWD, mountpoint, DIRECTORY, Mode::empty())?;
    let part = open_in_root(whole.as_fd(), source)?;
    let tree = clone_of(part.as_fd(), false)?;
    kernel::set_mount_attributes(tree.as_fd(), attributes, false)?;
    attach(tree.as_fd(), root, target)?;
    unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    Ok(())
}

fn mount_overlay(overlay: &OldOverlay, progress: &mut Progress<'_>) -> Result<(), Errno> {
    stack(overlay)?;
    let root = openat(CWD, &*overlay.mountpoint, DIRECTORY, Mode::empty())?;
    progress.root = Some(kernel::leak(root));
    Ok(())
}

fn stack(overlay: &OldOverlay) -> Result<(), Errno> {
    let mut data = Text::new(c"")?;
    for (before, directory) in &overlay.parts {
        // Opened here, because the kernel takes only what is mounted in this namespace.
        let directory = kernel::leak(openat(CWD, &**directory, DIRECTORY, Mode::empty())?);
        data.append(before.to_bytes())?;
        data.append_number(directory.as_raw_fd().unsigned_abs())?;
    }
    data.append(overlay.rest.to_bytes())?;
    // The numbers are names relative to this directory.
    chdir(c"/proc/self/fd")?;
    let (kind, mountpoint) = (c"overlay", &*overlay.mountpoint);
    mount(kind, mountpoint, kind, overlay.flags, data.as_c_str()?)?;
    chdir(c"/")
}

fn attach(tree: BorrowedFd<'_>, root: BorrowedFd<'_>, target: &Target) -> Result<(), Refusal> {
    let place = open_target(root, target)?;
    Ok(attach_at(tree, place.as_fd())?)
}

fn attach_system(
    tree: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    target: &SystemTarget,
) -> Result<(), Refusal> {
    let place = open_system(root, &target.path)?;
    attach_at(tree, place.as_fd())?;
    check_system(root, target)
}

/// Shows a device node of the container's own, which stays what is behind masked files.
fn bind_node<'a>(name: &CStr, place: &CStr, progress: &mut Progress<'a>) -> Result<(), Refusal> {
    let nodes = progress.nodes.ok_or(Errno::BADF)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = openat(nodes, name, flags, Mode::empty())?;
    let place = open_plain(root(progress)?, place)?;
    attach_at(clone_of(node.as_fd(), false)?.as_fd(), place.as_fd())?;
    if name == NOTHING {
        progress.nothing = Some(kernel::leak(node));
    }
    Ok(())
}

fn attach_at(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match move_mount(tree, NO_PATH, place, NO_PATH, flags) {
        // The kernel's number for many things; this one has a better name.
        Err(Errno::INVAL) if is_directory(tree)? != is_directory(place)? => Err(Errno::NOTDIR),
        result => result,
    }
}

fn is_directory(place: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(fstat(place)?.st_mode) == FileType::Directory)
}

fn clone_of(place: BorrowedFd<'_>, is_recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if is_recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(place, NO_PATH, flags)
}

fn mount_kernel(
    wanted: &KernelMount,
    root: BorrowedFd<'_>,
    target: &SystemTarget,
) -> Result<(), Refusal> {
    let place = open_system(root, &target.path)?;
    let context = fsopen(&*wanted.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in &wanted.options {
        fsconfig_set_string(context.as_fd(), &**key, &**value)?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(wanted.attributes);
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    attach_at(tree.as_fd(), place.as_fd())?;
    check_system(root, target)
}

/// Opens a path that may be missing; a name under a file is missing as well.
///
/// What is masked or made read-only lies in the kernel's own file systems, behind no link.
fn open_if_present(root: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>, Refusal> {
    match open_plain(root, path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn mask(progress: &Progress<'_>, path: &CStr) -> Result<(), Refusal> {
    if !stands(Wall::Masks) {
        return Ok(());
    }
    let Some(place) = open_if_present(root(progress)?, path)? else {
        return Ok(());
    };
    if is_directory(place.as_fd())? {
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let tree = fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MASK_ATTRIBUTES,
        )?;
        return Ok(attach_at(tree.as_fd(), place.as_fd())?);
    }
    // The container's own device as it was made, not what `/dev/null` may be by now.
    let nothing = clone_of(progress.nothing.ok_or(Errno::BADF)?, false)?;
    if stands(Wall::MaskedReadOnly) {
        kernel::set_mount_attributes(nothing.as_fd(), MOUNT_ATTR_RDONLY, false)?;
    }
    Ok(attach_at(nothing.as_fd(), place.as_fd())?)
}

fn make_read_only(root: BorrowedFd<'_>, path: &CStr) -> Result<(), Refusal> {
    if !stands(Wall::ReadOnlyPaths) {
        return Ok(());
    }
    let Some(place) = open_if_present(root, path)? else {
        return Ok(());
    };
    let tree = clone_of(place.as_fd(), true)?;
    kernel::set_mount_attributes(tree.as_fd(), MOUNT_ATTR_RDONLY, true)?;
    Ok(attach_at(tree.as_fd(), place.as_fd())?)
}

fn enter_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    fchdir(root)?;
    // With "." twice the old root ends up on top of the new one, and needs no directory inside it.
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")
}
