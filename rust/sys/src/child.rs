//! What runs between `clone3` and `execve`.
//!
//! The parent is a Python process with live threads, so the child starts out
//! holding copies of locks that nobody will ever release. Code in this module
//! makes raw system calls on data the parent prepared, and does nothing else: no
//! allocation, no formatting, no logging, no panics. A failing step is reported
//! as a fixed-size [`Failure`]; the parent, which may allocate, explains it.
//!
//! The system calls are rustix's, whose Linux backend issues them directly:
//! nothing here passes through libc's `errno`, locks or `setxid` broadcasts.

mod apply;
mod exec;
mod failure;
mod processes;
mod resolve;
mod text;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use failure::Refusal;
pub use failure::{Failure, Reason};

pub use exec::{FIRST_PROGRAM, Program};

use crate::kernel;
use crate::walls::{Wall, stands};

/// What the parent sends when it has looked at the child; nothing happens before.
///
/// A child that gives up rights is closed to unprivileged users from then on, its parent
/// included, so whatever the parent wants to open of it has to be open by then.
pub const BORN: u8 = b'B';
/// What the child says when everything before the gate succeeded.
pub const AT_GATE: u8 = b'G';
/// What the child says right before it becomes the program.
pub const EXECUTING: u8 = b'X';
/// What the parent sends to open the gate.
pub const OPEN_GATE: u8 = b'O';
/// The index of a [`Failure`] that happened before the first step.
pub const BEFORE_STEPS: u32 = u32::MAX;
/// Set in [`Failure::detail`] when the candidate exists, but what it needs to be started does not.
pub const LACKS_INTERPRETER: u32 = 1 << 31;

/// The exit status of a child whose failure was reported; nobody gets to see it.
const SETUP_FAILED: i32 = 125;
/// What is made where a mount's target is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// An empty directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
}

/// A place inside the root file system: resolved there, whatever symlinks say.
#[derive(Debug)]
pub struct Target {
    /// The path; absolute and relative mean the same.
    pub path: CString,
    /// What to make of it, with its parents, if it is missing.
    pub create: Option<Create>,
}

/// Where one of the system's own mounts goes: never through a symbolic link.
#[derive(Debug)]
pub struct SystemTarget {
    /// The path; absolute and relative mean the same.
    pub path: CString,
    /// The type of file system that is there afterwards, as `statfs(2)` tells it.
    pub magic: u64,
}

/// A file system that belongs to a namespace, so that only the child can make it.
#[derive(Debug)]
pub struct KernelMount {
    /// The type, such as `proc`.
    pub kind: CString,
    /// Key and value pairs.
    pub options: Vec<(CString, CString)>,
    /// `MOUNT_ATTR_*` flags.
    pub attributes: u32,
}

/// An overlay for kernels before 6.5, mounted with `mount(2)`.
#[derive(Debug)]
pub struct OldOverlay {
    /// What comes before each directory in the options, such as `lowerdir=` or `:`, and the
    /// directory. The options name it by descriptor number: there is room for hundreds of
    /// numbers, but not for hundreds of paths.
    pub parts: Vec<(CString, CString)>,
    /// What comes behind them.
    pub rest: CString,
    /// How it is mounted.
    pub flags: MountFlags,
    /// Where the overlay is mounted on the host.
    pub mountpoint: CString,
}

/// Whom the program runs as.
#[derive(Debug)]
pub struct Identity {
    /// The user, as all of real, effective and saved.
    pub uid: rustix::fs::Uid,
    /// The group, likewise.
    pub gid: rustix::fs::Gid,
    /// Supplementary groups; `None` where the user namespace forbids setting them.
    pub groups: Option<Vec<rustix::fs::Gid>>,
}

/// A compiled filter for system calls.
pub struct Filter(pub(crate) Vec<libc::sock_filter>);

impl Filter {
    /// Takes instructions as the kernel stores them, 8 bytes each; an incomplete last one is left out.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Filter {
        let instruction = |b: &[u8; 8]| libc::sock_filter {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        };
        let whole = bytes
            .chunks_exact(8)
            .filter_map(|chunk| chunk.try_into().ok());
        Filter(whole.map(instruction).collect())
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Filter of {} instructions", self.0.len())
    }
}

/// One thing the child does. Failing is final, unless the step says otherwise.
#[derive(Debug)]
pub enum Step {
    /// Asks for SIGKILL when the thread that created the child ends; fails if it has ended already.
    DieWithParent,
    /// Becomes a session leader.
    NewSession,
    /// Leaves the session's keyring for a new and empty one.
    NewKeyring,
    /// Makes a cgroup namespace whose root is the group that the process is in.
    NewControlGroups,
    /// Hides the process from others of its user until it has become the program.
    Undumpable,
    /// Sets the mask for new files.
    Umask(u32),
    /// Moves into namespaces of the process behind the pidfd.
    Join(OwnedFd, u32),
    /// Cuts the new mount namespace off from the one it was copied from.
    CutPropagation,
    /// Attaches the root file system at an existing directory of the host.
    AttachRoot(OwnedFd, CString),
    /// Mounts the root file system as an overlay, the old way.
    MountOverlay(OldOverlay),
    /// Attaches a mount at an existing directory of the host, for [`Step::BindAside`].
    AttachAside(OwnedFd, CString),
    /// Mounts an overlay at a directory of the host the old way, for [`Step::BindAside`].
    OverlayAside(OldOverlay),
    /// Attaches the container's device nodes at an existing directory of the host, which the
    /// root will cover; [`Step::BindNode`] shows them one by one.
    AttachNodes(OwnedFd, CString),
    /// Shows a part of what is mounted at a directory of the host, and takes the mount away.
    BindAside {
        /// Where it is mounted.
        mountpoint: CString,
        /// Inside it; symlinks do not lead out.
        source: CString,
        /// `MOUNT_ATTR_*` flags that the part gets.
        attributes: u64,
        /// Where it appears in the root.
        target: Target,
    },
    /// Attaches a prepared mount inside the root.
    Attach(OwnedFd, Target),
    /// Attaches a prepared mount of the system's own inside the root.
    AttachSystem(OwnedFd, SystemTarget),
    /// Makes a mount that belongs to the child's own namespaces.
    Mount(KernelMount, SystemTarget),
    /// Shows one of the attached device nodes in the device directory: its name, and its place.
    BindNode(CString, CString),
    /// Shows a device of the host in the device directory.
    BindDevice {
        /// The device as a detached mount.
        tree: OwnedFd,
        /// Its place in the root.
        place: CString,
        /// Whether it is what covers masked files.
        is_nothing: bool,
    },
    /// Shows a terminal of the root as its console: what, and where.
    BindConsole(CString, CString),
    /// Hides a path of the root, if it exists.
    Mask(CString),
    /// Makes a path of the root read-only, if it exists.
    ReadOnly(CString),
    /// Makes the root file system itself read-only, but not what is mounted in it.
    SealRoot,
    /// Writes a file of the host's `/proc/sys`, which answers for the caller's namespaces.
    WriteFile(CString, Vec<u8>),
    /// Names the UTS namespace.
    HostName(Vec<u8>),
    /// Brings the loopback interface up.
    LoopbackUp,
    /// Makes the root file system the root, and drops the host's.
    PivotRoot,
    /// Says [`AT_GATE`] and waits for [`OPEN_GATE`]; a parent that is gone ends the child.
    Gate,
    /// Limits a resource: number, soft, hard.
    Limit(u32, u64, u64),
    /// Makes three files the standard streams.
    Streams([OwnedFd; 3]),
    /// Makes a terminal the controlling one, and the standard streams.
    Terminal(OwnedFd),
    /// Enters the working directory; a refusal is kept for [`Step::EnterDirectoryAgain`].
    EnterDirectory(CString),
    /// Enters the working directory as the final user, if root was refused.
    EnterDirectoryAgain(CString),
    /// Removes capabilities, given as a bit set, from the bounding set, and all ambient ones.
    DropBounding(u64),
    /// Becomes a user, with the capabilities kept that later steps need.
    Become(Identity),
    /// Gives up gaining privileges by executing.
    NoNewPrivileges,
    /// Loads a filter for system calls.
    Seccomp(Filter),
    /// Sets the effective and permitted capabilities; none are inheritable.
    Capabilities(u64),
    /// Says [`EXECUTING`]. It comes before the filter, which may forbid saying anything.
    Announce,
}

/// Everything the child needs, owned by the parent until the child exists.
#[derive(Debug)]
pub struct Script {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// What to become afterwards.
    pub program: Program,
    /// The child's end of the channel to the parent, of type `SOCK_SEQPACKET`.
    pub channel: OwnedFd,
    kept: Vec<RawFd>,
    first_arguments: exec::PointerArray,
}

impl Script {
    /// Puts the parts together and notes which descriptors the child keeps.
    #[must_use]
    pub fn new(steps: Vec<Step>, program: Program, channel: OwnedFd) -> Script {
        let mut kept = vec![channel.as_raw_fd(), program.descriptor()];
        kept.extend(steps.iter().flat_map(Step::descriptors));
        kept.sort_unstable();
        let first_arguments = program.arguments_of_first(&channel, steps.len());
        Script {
            steps,
            program,
            channel,
            kept,
            first_arguments,
        }
    }
}

impl Step {
    /// The descriptors that it needs.
    fn descriptors(&self) -> Vec<RawFd> {
        match self {
            Step::Join(fd, _)
            | Step::AttachRoot(fd, _)
            | Step::AttachAside(fd, _)
            | Step::AttachNodes(fd, _)
            | Step::Attach(fd, _)
            | Step::AttachSystem(fd, _)
            | Step::BindDevice { tree: fd, .. }
            | Step::Terminal(fd) => vec![fd.as_raw_fd()],
            Step::Streams(streams) => streams.iter().map(AsRawFd::as_raw_fd).collect(),
            Step::DieWithParent
            | Step::NewSession
            | Step::NewKeyring
            | Step::NewControlGroups
            | Step::Undumpable
            | Step::Umask(_)
            | Step::CutPropagation
            | Step::MountOverlay(_)
            | Step::OverlayAside(_)
            | Step::BindAside { .. }
            | Step::Mount(..)
            | Step::BindNode(..)
            | Step::BindConsole(..)
            | Step::Mask(_)
            | Step::ReadOnly(_)
            | Step::SealRoot
            | Step::WriteFile(..)
            | Step::HostName(_)
            | Step::LoopbackUp
            | Step::PivotRoot
            | Step::Gate
            | Step::Limit(..)
            | Step::EnterDirectory(_)
            | Step::EnterDirectoryAgain(_)
            | Step::DropBounding(_)
            | Step::Become(_)
            | Step::NoNewPrivileges
            | Step::Seccomp(_)
            | Step::Capabilities(_)
            | Step::Announce => Vec::new(),
        }
    }
}

/// What the steps leave for each other.
struct Progress<'a> {
    root: Option<BorrowedFd<'a>>,
    /// The directory with the container's own device nodes.
    nodes: Option<BorrowedFd<'a>>,
    /// What covers masked files.
    nothing: Option<BorrowedFd<'a>>,
    channel: BorrowedFd<'a>,
    /// Why entering the working directory failed, where trying again may help.
    refused: Option<Errno>,
}

/// Carries out `script`, then becomes its program.
///
/// # Safety
///
/// The calling process must be a fresh child with a single thread, and must not
/// return to the code that created it.
pub(crate) unsafe fn run(script: &Script) -> ! {
    let channel = script.channel.as_fd();
    // First of all: while it waits it must not hold other children's channels open.
    let closed = close_others(&script.kept);
    wait_for(channel, BORN);
    if let Err(errno) = closed.and_then(|()| kernel::reset_signals()) {
        fail(
            channel,
            Failure {
                index: BEFORE_STEPS,
                errno: errno.raw_os_error(),
                detail: 0,
            },
        );
    }
    let mut progress = Progress {
        root: None,
        nodes: None,
        nothing: None,
        channel,
        refused: None,
    };
    for (index, step) in script.steps.iter().enumerate() {
        if let Err(refusal) = apply::apply(step, &mut progress) {
            fail(
                channel,
                Failure {
                    index: index as u32,
                    errno: refusal.errno.raw_os_error(),
                    detail: refusal.reason.map_or(0, |reason| reason as u32),
                },
            );
        }
    }
    // Nothing may follow but exec: the message is what tells an end of the channel
    // that means "it runs" from one that means "it died".
    let errno = exec::enter_program(script);
    fail(
        channel,
        Failure {
            index: script.steps.len() as u32,
            errno: errno.raw_os_error(),
            detail: 0,
        },
    )
}

/// Closes what was inherited by accident: other containers' pipes and gates above all,
/// whose ends must not live on in here.
fn close_others(kept: &[RawFd]) -> Result<(), Errno> {
    if !stands(Wall::CloseDescriptors) {
        return Ok(());
    }
    let mut first = 3;
    for &fd in kept {
        if fd > first {
            kernel::close_range(first, fd - 1)?;
        }
        if fd >= first {
            first = fd + 1;
        }
    }
    kernel::close_range(first, RawFd::MAX)
}

fn say(channel: BorrowedFd<'_>, word: u8) -> Result<(), Errno> {
    send(channel, &[word], SendFlags::NOSIGNAL).map(|_| ())
}

fn wait_at_gate(channel: BorrowedFd<'_>) -> Result<(), Errno> {
    say(channel, AT_GATE)?;
    wait_for(channel, OPEN_GATE);
    Ok(())
}

/// Waits for the parent's word; its absence ends the child.
fn wait_for(channel: BorrowedFd<'_>, expected: u8) {
    let mut word = [0u8; 1];
    loop {
        match recv(channel, &mut word, RecvFlags::empty()) {
            Ok((_, 1)) if word == [expected] => return,
            Err(Errno::INTR) => {}
            _ => kernel::exit_now(SETUP_FAILED),
        }
    }
}

/// Tells whether the parent's end of the channel is still open.
fn parent_lives(channel: BorrowedFd<'_>) -> bool {
    let mut word = [0u8; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(recv(channel, &mut word, flags), Ok((_, 0)))
}

fn fail(channel: BorrowedFd<'_>, failure: Failure) -> ! {
    // Where sending fails there is nobody to tell.
    let _ = send(channel, &failure.to_bytes(), SendFlags::NOSIGNAL);
    kernel::exit_now(SETUP_FAILED)
}
