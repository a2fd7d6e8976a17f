//! User namespaces: where root is only root over what belongs to the user.
//!
//! Every function here changes the calling process as a whole, which the kernel
//! allows only while it has a single thread.

use std::path::Path;

use dissolver_sys::clone::{Birthplace, NEW_MOUNTS, NEW_USER};
use dissolver_sys::kernel;
use rustix::fs::{Gid, Uid};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::ops::Op;
use crate::plan::Plan;
use crate::prepare::Workshop;
use crate::process::{Command, Process, Stage, launch};
use crate::report::{SandboxError, errno_text};

/// Where the programs that map IDs are; they are set-user-ID, so no PATH is asked.
const HELPER_DIRECTORIES: [&str; 3] = ["/usr/bin", "/usr/sbin", "/run/wrappers/bin"];
/// As much of a helper's complaint as is worth showing.
const COMPLAINT_BYTES: usize = 4096;

/// A range of IDs: the first inside the namespace, the first outside, how many.
pub type Range = (u32, u32, u32);

/// Puts this process into a user and mount namespace of its own, as root there.
///
/// With `uses_helpers` the maps may have many ranges and are written by `newuidmap` and
/// `newgidmap`, which ask `/etc/subuid` and `/etc/subgid`; without, each map is one
/// range of length one, the caller's own ID, and supplementary groups cannot be set.
///
/// # Errors
///
/// [`SandboxError::HasThreads`], [`SandboxError::MapRefused`], or [`SandboxError::Setup`].
/// After a failure to map, the process must not go on: it is nobody.
pub fn enter_user_namespace(
    uids: &[Range],
    gids: &[Range],
    uses_helpers: bool,
) -> Result<(), SandboxError> {
    refuse_threads()?;
    let helpers = if uses_helpers {
        Some([
            Helper::start("newuidmap", uids)?,
            Helper::start("newgidmap", gids)?,
        ])
    } else {
        None
    };
    let explain = |errno| SandboxError::operation("enter a user namespace", errno);
    kernel::unshare(NEW_USER | NEW_MOUNTS).map_err(explain)?;
    match helpers {
        Some(helpers) => helpers.into_iter().try_for_each(Helper::finish)?,
        None => {
            write_map("/proc/self/setgroups", "deny")?;
            write_map("/proc/self/uid_map", &lines(uids))?;
            write_map("/proc/self/gid_map", &lines(gids))?;
        }
    }
    become_root(uses_helpers)
}

/// Puts this process into the user and mount namespaces of another one, as root there.
///
/// The working directory stays what it is by name.
///
/// # Errors
///
/// [`SandboxError::HasThreads`], [`SandboxError::NotRunning`] or [`SandboxError::Setup`].
pub fn join_user_namespace(pid: i32) -> Result<(), SandboxError> {
    use std::os::fd::AsFd;
    refuse_threads()?;
    let explain = |errno| SandboxError::operation("join a user namespace", errno);
    let other = Pid::from_raw(pid.max(0)).ok_or(SandboxError::NotRunning { pid })?;
    let pidfd = pidfd_open(other, PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => SandboxError::NotRunning { pid },
        errno => explain(errno),
    })?;
    let directory = rustix::process::getcwd(Vec::new()).map_err(explain)?;
    kernel::join_namespaces(pidfd.as_fd(), NEW_USER | NEW_MOUNTS).map_err(explain)?;
    become_root(true)?;
    rustix::process::chdir(&directory).map_err(|errno| {
        SandboxError::setup("enter the working directory", directory.as_bytes(), errno)
    })
}

fn refuse_threads() -> Result<(), SandboxError> {
    let tasks = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if tasks.is_ok_and(|count| count > 1) {
        Err(SandboxError::HasThreads)
    } else {
        Ok(())
    }
}

fn become_root(sets_groups: bool) -> Result<(), SandboxError> {
    let explain = |errno| SandboxError::operation("become root of the user namespace", errno);
    if sets_groups {
        match set_thread_groups(&[]) {
            // A namespace with a single group forbids it; the caller's groups stay, as nobody's.
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => return Err(explain(errno)),
        }
    }
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(explain)?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(explain)?;
    // A process that cannot be looked into has a `/proc/self` that its own namespace's root may not use.
    kernel::set_dumpable().map_err(explain)
}

fn lines(ranges: &[Range]) -> String {
    ranges
        .iter()
        .map(|(inside, outside, length)| format!("{inside} {outside} {length}\n"))
        .collect()
}

fn write_map(path: &str, text: &str) -> Result<(), SandboxError> {
    std::fs::write(path, text).map_err(|error| {
        SandboxError::setup(
            "map IDs",
            path,
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })
}

/// A program that maps the IDs of this process from outside its namespace.
///
/// It has to be born before the namespace, and to act after it.
struct Helper {
    process: Process,
    program: String,
    complaints: std::os::fd::OwnedFd,
}

impl Helper {
    fn start(name: &str, ranges: &[Range]) -> Result<Helper, SandboxError> {
        let paths = HELPER_DIRECTORIES.map(|directory| format!("{directory}/{name}"));
        let program = paths
            .into_iter()
            .find(|path| Path::new(path).exists())
            .ok_or_else(|| SandboxError::MapRefused {
                program: name.to_owned(),
                reason: "it is not installed".to_owned(),
            })?;
        let numbers = ranges
            .iter()
            .flat_map(|(inside, outside, length)| [inside, outside, length]);
        let own = std::process::id().to_string();
        let argv = [program.clone(), own]
            .into_iter()
            .chain(numbers.map(u32::to_string))
            .collect();
        let explain = |errno| SandboxError::operation("make a pipe", errno);
        let (complaints, stderr) = pipe_with(PipeFlags::CLOEXEC).map_err(explain)?;
        let plan = Plan {
            ops: vec![Op::DieWithParent, Op::Gate, Op::Streams, Op::Announce],
            namespaces: 0,
            candidates: vec![program.clone()],
            is_searched: false,
        };
        let workshop = Workshop::of_host([None, None, Some(stderr)])?;
        let command = Command {
            argv,
            env: Vec::new(),
        };
        let process = launch(plan, command, workshop, Birthplace::New(0))?;
        Ok(Helper {
            process,
            program,
            complaints,
        })
    }

    fn finish(self) -> Result<(), SandboxError> {
        self.process.open_gate();
        while self.process.advance(None)? != Stage::Running {}
        let mut complaint = Vec::new();
        let mut buffer = [0u8; 512];
        while let Ok(length @ 1..) = read(&self.complaints, &mut buffer[..]) {
            complaint.extend_from_slice(buffer.get(..length).unwrap_or(&[]));
            complaint.truncate(COMPLAINT_BYTES);
        }
        let status = loop {
            if let Some(status) = self.process.wait(None)? {
                break status;
            }
        };
        if status == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&complaint);
        let reason = match text.lines().last() {
            Some(line) if !line.trim().is_empty() => line.trim().to_owned(),
            _ => format!("it ended with status {status}"),
        };
        Err(SandboxError::MapRefused {
            program: self.program,
            reason,
        })
    }
}

/// Tells why a user namespace cannot be had, or nothing if it can.
///
/// A child tries, so that nothing about this process changes.
///
/// # Errors
///
/// What starting the child itself reports.
pub fn user_namespace_refusal() -> Result<Option<String>, SandboxError> {
    let plan = Plan {
        ops: vec![Op::Gate],
        namespaces: NEW_USER,
        candidates: Vec::new(),
        is_searched: false,
    };
    let command = Command {
        argv: Vec::new(),
        env: Vec::new(),
    };
    match launch(
        plan,
        command,
        Workshop::of_host([None, None, None])?,
        Birthplace::New(NEW_USER),
    ) {
        Ok(_) => Ok(None),
        Err(SandboxError::Setup { errno, .. }) => Ok(Some(errno_text(errno))),
        Err(error) => Err(error),
    }
}
