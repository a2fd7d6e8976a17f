//! What steps do to the process itself: whose it is, what it may do, what it is connected to.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fchown, fstat, openat};
use rustix::io::{Errno, write};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{fchdir, setsid, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::apply::root;
use super::resolve::open_in_root;
use super::{EXECUTING, Identity, Progress, Step, parent_lives, say, wait_at_gate};
use crate::kernel::{self, MOUNT_ATTR_RDONLY};
use crate::walls::{Wall, stands};

pub(super) fn apply(step: &Step, progress: &mut Progress<'_>) -> Result<(), Errno> {
    match step {
        Step::DieWithParent => die_with_parent(progress.channel),
        Step::NewSession => setsid().map(drop),
        Step::NewKeyring if !stands(Wall::Keyring) => Ok(()),
        Step::NewKeyring => kernel::join_new_keyring(),
        Step::NewControlGroups => match kernel::unshare(crate::clone::NEW_CGROUP) {
            // A kernel without control groups has no namespace for them, which hides nothing.
            Err(Errno::INVAL) => Ok(()),
            other => other,
        },
        Step::Undumpable if !stands(Wall::Undumpable) => Ok(()),
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
        Step::SealRoot => kernel::set_mount_attributes(root(progress)?, MOUNT_ATTR_RDONLY, false),
        Step::WriteFile(path, content) => write_file(path, content),
        Step::HostName(name) => rustix::system::sethostname(name),
        Step::LoopbackUp => kernel::bring_loopback_up(),
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
        Step::DropBounding(_) if !stands(Wall::Capabilities) => Ok(()),
        Step::DropBounding(dropped) => drop_bounding(*dropped),
        Step::Become(identity) => become_user(identity),
        Step::NoNewPrivileges => set_no_new_privs(true),
        Step::Seccomp(_) if !stands(Wall::Seccomp) => Ok(()),
        Step::Seccomp(filter) => kernel::load_filter(&filter.0),
        Step::Capabilities(_) if !stands(Wall::Capabilities) => Ok(()),
        Step::Capabilities(set) => set_capabilities(None, exactly(*set)),
        Step::Announce => say(progress.channel, EXECUTING),
        // `apply` keeps those for itself.
        Step::AttachRoot(..)
        | Step::MountOverlay(_)
        | Step::AttachAside(..)
        | Step::OverlayAside(_)
        | Step::AttachNodes(..)
        | Step::BindAside { .. }
        | Step::Attach(..)
        | Step::AttachSystem(..)
        | Step::Mount(..)
        | Step::BindNode(..)
        | Step::BindDevice { .. }
        | Step::BindConsole(..)
        | Step::Mask(_)
        | Step::ReadOnly(_)
        | Step::PivotRoot => Err(Errno::BADF),
    }
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
