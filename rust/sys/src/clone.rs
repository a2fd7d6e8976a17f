//! Starting a child in new namespaces.

use std::ffi::c_long;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::getpid;
use rustix::thread::gettid;

use crate::child::{self, Script};
use crate::kernel;

/// A new mount namespace.
pub const NEW_MOUNTS: u32 = libc::CLONE_NEWNS as u32;
/// A new cgroup namespace.
pub const NEW_CGROUP: u32 = libc::CLONE_NEWCGROUP as u32;
/// A new UTS namespace: host and domain name.
pub const NEW_UTS: u32 = libc::CLONE_NEWUTS as u32;
/// A new IPC namespace.
pub const NEW_IPC: u32 = libc::CLONE_NEWIPC as u32;
/// A new user namespace.
pub const NEW_USER: u32 = libc::CLONE_NEWUSER as u32;
/// A new PID namespace.
pub const NEW_PIDS: u32 = libc::CLONE_NEWPID as u32;
/// A new network namespace.
pub const NEW_NETWORK: u32 = libc::CLONE_NEWNET as u32;

/// A child that was just started, or any process that is held by a pidfd.
#[derive(Debug)]
pub struct Child {
    /// Its process ID, as this process sees it.
    pub pid: i32,
    /// Its descriptor: readable when the process has ended.
    pub pidfd: OwnedFd,
}

/// In which namespaces a child starts.
#[derive(Debug)]
pub enum Birthplace {
    /// New ones, by `CLONE_NEW*` flags.
    New(u32),
    /// The PID namespace of the process behind this pidfd.
    PidsOf(OwnedFd),
}

/// Where a child starts: namespaces, and the control group of version 2, if it is another one
/// than the parent's.
#[derive(Debug)]
pub struct Birth {
    /// In which namespaces.
    pub place: Birthplace,
    /// In which control group.
    pub group: Option<OwnedFd>,
}

/// Starts a child that carries out `script`. When this returns, the script is the caller's alone.
///
/// The child does nothing before it gets [`child::BORN`] on its channel.
///
/// The child is tied to a thread that lives as long as this process, never to the
/// calling one: the kernel delivers a "parent died" signal when the creating
/// *thread* ends.
///
/// # Errors
///
/// What `clone3(2)` or `setns(2)` report; `ENOSYS` for a group where `clone3` is not to be had.
pub fn spawn(script: Arc<Script>, birth: Birth) -> Result<Child, Errno> {
    let Birth { place, group } = birth;
    let flags = match place {
        Birthplace::New(flags) => flags,
        Birthplace::PidsOf(pidfd) => return spawn_among(script, pidfd, group),
    };
    if gettid() == getpid() {
        return clone(&script, flags, group.as_ref());
    }
    let (reply, answer) = channel();
    let mut request = Request {
        script,
        flags,
        group,
        reply,
    };
    for _ in 0..2 {
        match spawner(false)?.send(request) {
            Ok(()) => return answer.recv().map_err(|_| Errno::SRCH)?,
            Err(unsent) => request = unsent.0,
        }
        spawner(true)?;
    }
    Err(Errno::SRCH)
}

struct Request {
    script: Arc<Script>,
    flags: u32,
    group: Option<OwnedFd>,
    reply: Sender<Result<Child, Errno>>,
}

/// The thread that creates children, with the process it belongs to: a fork of this
/// process has the variable, but not the thread.
static SPAWNER: Mutex<Option<(i32, Sender<Request>)>> = Mutex::new(None);

fn spawner(afresh: bool) -> Result<Sender<Request>, Errno> {
    let mut slot = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    let this = getpid().as_raw_pid();
    if let Some((owner, sender)) = &*slot {
        if *owner == this && !afresh {
            return Ok(sender.clone());
        }
    }
    let (sender, requests) = channel::<Request>();
    let work = move || {
        // Signals are for the threads that handle them.
        kernel::block_signals();
        while let Ok(Request {
            script,
            flags,
            group,
            reply,
        }) = requests.recv()
        {
            let result = clone(&script, flags, group.as_ref());
            // The caller counts on being the last owner once it has the answer.
            drop(script);
            drop(reply.send(result));
        }
    };
    std::thread::Builder::new()
        .name("sandbox-spawner".to_owned())
        .spawn(work)
        .map_err(|_| Errno::AGAIN)?;
    *slot = Some((this, sender.clone()));
    Ok(sender)
}

/// Starts a child among the processes of another PID namespace.
///
/// Joining changes where the children of a *thread* are born, and an unprivileged user's
/// thread can't be changed back: the way home leads into a namespace that the user does
/// not own. So each child gets a thread of its own, which stays until the child has ended.
fn spawn_among(
    script: Arc<Script>,
    pidfd: OwnedFd,
    group: Option<OwnedFd>,
) -> Result<Child, Errno> {
    let (reply, answer) = channel();
    let work = move || {
        // Signals are for the threads that handle them.
        kernel::block_signals();
        let joined = kernel::join_namespaces(pidfd.as_fd(), NEW_PIDS);
        let result = joined.and_then(|()| clone(&script, 0, group.as_ref()));
        // The caller counts on being the last owner once it has the answer.
        drop(script);
        let watched = result.as_ref().map(|child| child.pidfd.try_clone());
        let watched = watched.ok().and_then(Result::ok);
        // The receiver waits for exactly this, so it can't be gone.
        let _ = reply.send(result);
        if let Some(watched) = watched {
            wait_for_end(&watched);
        }
    };
    let thread = std::thread::Builder::new().name("spawner-among".to_owned());
    thread.spawn(work).map_err(|_| Errno::AGAIN)?;
    answer.recv().map_err(|_| Errno::SRCH)?
}

fn wait_for_end(pidfd: &OwnedFd) {
    let mut ready = [PollFd::new(pidfd, PollFlags::IN)];
    while matches!(poll(&mut ready, None), Err(Errno::INTR)) {}
}

fn clone(script: &Script, flags: u32, group: Option<&OwnedFd>) -> Result<Child, Errno> {
    let mut pidfd: RawFd = -1;
    // No handler of this program may run in the child before the child has none.
    let mask = kernel::set_signal_mask(u64::MAX)?;
    let flags = u64::from(flags) | libc::CLONE_PIDFD as u64;
    // SAFETY: without CLONE_VM the child works on a copy of this memory and stack;
    // it calls `run`, which never returns. `pidfd` outlives the call.
    let result = unsafe { raw_clone(flags, &mut pidfd, group) };
    if result == Ok(0) {
        // SAFETY: this is the fresh child, with one thread, and `run` never returns.
        unsafe { child::run(script) }
    }
    kernel::set_signal_mask(mask)?;
    let pid = result? as i32;
    // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd })
}

/// Starts the child in the control group whose descriptor is passed; not in libc's constants
/// for every architecture.
const INTO_GROUP: u64 = 0x2_0000_0000;
/// The size of `struct clone_args` that all kernels with `clone3` know; the rest came with 5.5
/// and 5.7.
const FIRST_SIZE: usize = 64;

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `clone3`, or `clone` where a filter hides it.
///
/// # Safety
///
/// The caller must treat a result of 0 as being a new process whose only thread it is.
unsafe fn raw_clone(
    flags: u64,
    pidfd: *mut RawFd,
    group: Option<&OwnedFd>,
) -> Result<c_long, Errno> {
    let (into_group, size) = match group {
        Some(_) => (INTO_GROUP, size_of::<CloneArguments>()),
        None => (0, FIRST_SIZE),
    };
    let arguments = CloneArguments {
        flags: flags | into_group,
        cgroup: group.map_or(0, |group| group.as_raw_fd() as u64),
        pidfd: pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    // SAFETY: the structure is local and its size is passed; no stack is shared.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &arguments, size) };
    if result != -1 {
        return Ok(result);
    }
    let errno = kernel::last_errno();
    if errno != Errno::NOSYS || group.is_some() {
        return Err(errno);
    }
    // SAFETY: as above. A null stack means a copy of this one; the pidfd is stored
    // through the third argument, which has the same place on every architecture here.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags | libc::SIGCHLD as u64,
            0usize,
            pidfd,
            0usize,
            0usize,
        )
    };
    if result == -1 {
        Err(kernel::last_errno())
    } else {
        Ok(result)
    }
}
