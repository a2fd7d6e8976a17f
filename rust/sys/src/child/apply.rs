//! What each step does.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fchown, fstat, openat};
use rustix::io::{Errno, write};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root, setsid, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::resolve::{open_in_root, open_target};
use super::text::Text;
use super::{
    EXECUTING, Identity, KernelMount, OldOverlay, Progress, Script, Step, Target, parent_lives,
    say, wait_at_gate,
};
use crate::kernel::{self, MOUNT_ATTR_RDONLY};

/// A mount is named by its descriptor alone.
const NO_PATH: &CStr = c"";
/// How a directory is opened to be a starting point.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) fn apply<'a>(
    step: &'a Step,
    script: &Script,
    progress: &mut Progress<'a>,
) -> Result<(), Errno> {
    match step {
        Step::DieWithParent => die_with_parent(progress.channel),
        Step::NewSession => setsid().map(drop),
        Step::Undumpable => kernel::set_undumpable(),
        Step::Umask(mask) => {
            umask(Mode::from_raw_mode(*mask));
            Ok(())
        }
        Step::Join(pidfd, namespaces) => kernel::join_namespaces(pidfd.as_fd(), *namespaces),
        Step::CutPropagation => mount_change(
            c"/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        ),
        Step::AttachRoot(root, mountpoint) => attach_root(root.as_fd(), mountpoint, progress),
        Step::MountOverlay(overlay) => mount_overlay(overlay, progress),
        Step::AttachAside(tree, mountpoint) => attach_on_host(tree.as_fd(), mountpoint),
        Step::OverlayAside(overlay) => stack(overlay),
        Step::BindAside {
            mountpoint,
            source,
            is_read_only,
            target,
        } => bind_aside(mountpoint, source, *is_read_only, root(progress)?, target),
        Step::Attach(tree, target) => attach(tree.as_fd(), root(progress)?, target),
        Step::Mount(wanted, target) => mount_kernel(wanted, root(progress)?, target),
        Step::BindInside(source, target) => {
            let source = open_in_root(root(progress)?, source)?;
            attach(
                clone_of(source.as_fd(), false)?.as_fd(),
                root(progress)?,
                target,
            )
        }
        Step::Mask(path) => mask(root(progress)?, path),
        Step::ReadOnly(path) => make_read_only(root(progress)?, path),
        Step::SealRoot => kernel::set_mount_attributes(root(progress)?, MOUNT_ATTR_RDONLY, false),
        Step::WriteFile(path, content) => write_file(path, content),
        Step::HostName(name) => rustix::system::sethostname(name),
        Step::LoopbackUp => kernel::bring_loopback_up(),
        Step::PivotRoot => enter_root(root(progress)?),
        Step::Gate => wait_at_gate(progress.channel),
        Step::Limit(resource, soft, hard) => kernel::set_limit(*resource, *soft, *hard),
        Step::Streams(streams) => {
            make_streams([streams[0].as_fd(), streams[1].as_fd(), streams[2].as_fd()])
        }
        Step::Terminal(terminal) => {
            rustix::process::ioctl_tiocsctty(terminal)?;
            make_streams([terminal.as_fd(); 3])
        }
        Step::EnterDirectory(path) => enter_directory(path, progress),
        Step::EnterDirectoryAgain(path) => match progress.refused {
            Some(_) => open_in_root(slash()?.as_fd(), path).and_then(fchdir),
            None => Ok(()),
        },
        Step::DropBounding(dropped) => drop_bounding(*dropped),
        Step::Become(identity) => become_user(identity),
        Step::CheckProgram => script.program.refuse_magic_links(),
        Step::NoNewPrivileges => set_no_new_privs(true),
        Step::Seccomp(filter) => kernel::load_filter(&filter.0),
        Step::Capabilities(set) => set_capabilities(None, exactly(*set)),
        Step::Announce => say(progress.channel, EXECUTING),
    }
}

fn root<'a>(progress: &Progress<'a>) -> Result<BorrowedFd<'a>, Errno> {
    progress.root.ok_or(Errno::BADF)
}

fn die_with_parent(channel: BorrowedFd<'_>) -> Result<(), Errno> {
    kernel::set_parent_death_signal()?;
    // The parent may have died before the signal was asked for.
    if parent_lives(channel) {
        Ok(())
    } else {
        Err(Errno::OWNERDEAD)
    }
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
    is_read_only: bool,
    root: BorrowedFd<'_>,
    target: &Target,
) -> Result<(), Errno> {
    let whole = openat(CWD, mountpoint, DIRECTORY, Mode::empty())?;
    let part = open_in_root(whole.as_fd(), source)?;
    let tree = clone_of(part.as_fd(), false)?;
    if is_read_only {
        kernel::set_mount_attributes(tree.as_fd(), MOUNT_ATTR_RDONLY, false)?;
    }
    attach(tree.as_fd(), root, target)?;
    unmount(mountpoint, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
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
    mount(
        kind,
        mountpoint,
        kind,
        MountFlags::empty(),
        data.as_c_str()?,
    )?;
    chdir(c"/")
}

fn attach(tree: BorrowedFd<'_>, root: BorrowedFd<'_>, target: &Target) -> Result<(), Errno> {
    let place = open_target(root, target)?;
    attach_at(tree, place.as_fd())
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

fn mount_kernel(wanted: &KernelMount, root: BorrowedFd<'_>, target: &Target) -> Result<(), Errno> {
    let place = open_target(root, target)?;
    let context = fsopen(&*wanted.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in &wanted.options {
        fsconfig_set_string(context.as_fd(), &**key, &**value)?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(wanted.attributes);
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    attach_at(tree.as_fd(), place.as_fd())
}

/// Opens a path that may be missing; a name under a file is missing as well.
fn open_if_present(root: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
    match open_in_root(root, path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn mask(root: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let Some(place) = open_if_present(root, path)? else {
        return Ok(());
    };
    if is_directory(place.as_fd())? {
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let tree = fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
        )?;
        return attach_at(tree.as_fd(), place.as_fd());
    }
    // The host's device: the container's own may not be there, or not be what it says.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let nothing = open_tree(CWD, c"/dev/null", flags)?;
    attach_at(nothing.as_fd(), place.as_fd())
}

fn make_read_only(root: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let Some(place) = open_if_present(root, path)? else {
        return Ok(());
    };
    let tree = clone_of(place.as_fd(), true)?;
    kernel::set_mount_attributes(tree.as_fd(), MOUNT_ATTR_RDONLY, true)?;
    attach_at(tree.as_fd(), place.as_fd())
}

fn enter_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    fchdir(root)?;
    // With "." twice the old root ends up on top of the new one, and needs no directory inside it.
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")
}

// Processes -------------------------------------------------------------------

fn write_file(path: &CStr, content: &[u8]) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write(&file, content).map(drop)
}

fn make_streams(streams: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
    let [input, output, error] = streams;
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(error)
}

fn slash() -> Result<OwnedFd, Errno> {
    openat(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn enter_directory(path: &CStr, progress: &mut Progress<'_>) -> Result<(), Errno> {
    match open_in_root(slash()?.as_fd(), path).and_then(fchdir) {
        // Root has no right of its own on some network and FUSE mounts; the user may have.
        Err(errno @ Errno::ACCESS) => {
            progress.refused = Some(errno);
            Ok(())
        }
        other => other,
    }
}

fn drop_bounding(dropped: u64) -> Result<(), Errno> {
    // Kernels before 4.3 have no ambient set, and nothing to clear.
    let _ = clear_ambient_capability_set();
    for number in 0..u64::BITS {
        if dropped >> number & 1 == 1 {
            kernel::drop_from_bounding_set(number)?;
        }
    }
    Ok(())
}

fn become_user(identity: &Identity) -> Result<(), Errno> {
    own_streams(identity)?;
    if let Some(groups) = &identity.groups {
        set_thread_groups(groups)?;
    }
    set_thread_res_gid(identity.gid, identity.gid, identity.gid)?;
    set_keep_capabilities(true)?;
    set_thread_res_uid(identity.uid, identity.uid, identity.uid)?;
    set_keep_capabilities(false)?;
    // Leaving user 0 emptied the effective set; a filter cannot be loaded without it.
    let kept = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept.permitted,
            ..kept
        },
    )
}

/// Gives pipes to the user, who may have to open them again through `/dev/stdout`.
///
/// Files and devices stay whose they are: they belong to whoever runs the container.
fn own_streams(identity: &Identity) -> Result<(), Errno> {
    for stream in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        let Ok(facts) = fstat(stream) else { continue };
        if FileType::from_raw_mode(facts.st_mode) == FileType::Fifo {
            match fchown(stream, Some(identity.uid), None) {
                Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

fn exactly(set: u64) -> CapabilitySets {
    let set = CapabilitySet::from_bits_retain(set);
    CapabilitySets {
        effective: set,
        permitted: set,
        inheritable: CapabilitySet::empty(),
    }
}
