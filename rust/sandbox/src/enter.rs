//! One more process in a running container.

use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::clone::{self, Birthplace};
use rustix::fs::stat;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::device_rules::Group;
use crate::host::Host;
use crate::prepare::Workshop;
use crate::process::{Command, Process, launch};
use crate::report::SandboxError;
use crate::spec::Spec;
use crate::terminal::Pty;

/// Starts a process in the container whose first process is `pid`; it waits at its gate.
///
/// Of `spec` only what concerns the process is used: its arguments, user, rights and terminal.
///
/// # Errors
///
/// [`SandboxError::NotRunning`] if there is no such process, else as [`crate::process::start`].
pub fn enter(
    pid: i32,
    spec: &Spec,
    streams: [Option<OwnedFd>; 3],
) -> Result<Process, SandboxError> {
    let container = Pid::from_raw(pid.max(0)).ok_or(SandboxError::NotRunning { pid })?;
    let pidfd = pidfd_open(container, PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => SandboxError::NotRunning { pid },
        errno => SandboxError::operation("open the container's process", errno),
    })?;
    let mut joined = clone::NEW_MOUNTS
        | clone::NEW_UTS
        | clone::NEW_IPC
        | clone::NEW_CGROUP
        | clone::NEW_NETWORK;
    if !shares_namespace(pid, "user")? {
        joined |= clone::NEW_USER;
    }
    // A container has processes of its own: one of ours has only taken the number since.
    if shares_namespace(pid, "pid")? {
        return Err(SandboxError::NotRunning { pid });
    }
    let host = Host::look()?;
    let plan = crate::plan::plan_enter(spec, &host, pid, joined)?;
    let copy = fcntl_dupfd_cloexec(pidfd.as_fd(), 3)
        .map_err(|errno| SandboxError::operation("duplicate a file", errno))?;
    let mut workshop = Workshop::new(spec, &host, streams)?.joining(copy);
    if spec.terminal {
        workshop.take_terminal(Pty::open_in_container(pid)?)?;
    }
    let group = Group::of(pid);
    let birthplace = Birthplace::PidsOf(pidfd);
    let process = launch(plan, Command::of(spec), workshop.held_to(group), birthplace)?;
    process.take_notice()?;
    Ok(process)
}

/// Whether a process is in the namespace of this kind that this one is in: the kernel refuses to
/// join one's own user namespace.
fn shares_namespace(pid: i32, kind: &str) -> Result<bool, SandboxError> {
    let identity = |path: &str| {
        stat(path)
            .map(|facts| (facts.st_dev, facts.st_ino))
            .map_err(|errno| match errno {
                Errno::NOENT | Errno::SRCH => SandboxError::NotRunning { pid },
                errno => SandboxError::setup("look at the namespace", path, errno),
            })
    };
    let own = identity(&format!("/proc/self/ns/{kind}"))?;
    Ok(own == identity(&format!("/proc/{pid}/ns/{kind}"))?)
}
