//! Failures, explained: which operation, on which path, why, and what to try.

use std::ffi::c_int;

use rustix::io::Errno;
use thiserror::Error;

/// What can go wrong around a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SandboxError {
    /// The specification cannot be meant as it stands.
    #[error("the sandbox specification is wrong: {reason}")]
    BadSpec {
        /// Which part, and why.
        reason: String,
    },
    /// An operation that the kernel refused.
    #[error("could not {op}{}: {}", on(path.as_deref()), why(*errno, detail.as_deref()))]
    Setup {
        /// What was tried, as an imperative: `mount overlay`.
        op: &'static str,
        /// What it was tried on.
        path: Option<Vec<u8>>,
        /// The kernel's reason.
        errno: i32,
        /// The kernel's own words, where it has any.
        detail: Option<String>,
    },
    /// The container's process ended before it became the program.
    #[error("the container's process ended with status {status} before its program started")]
    Died {
        /// Its exit status, or 128 and the signal's number.
        status: i32,
    },
    /// There is no such program in the container.
    #[error("the program `{program}` was not found{}", if *is_searched { " in PATH" } else { "" })]
    NotFound {
        /// The program as it was named.
        program: String,
        /// Whether PATH was searched for it.
        is_searched: bool,
        /// A file that does exist, but cannot be started, and what it lacks.
        lacking: Option<Lacking>,
    },
    /// The program exists, but cannot be executed.
    #[error("the program `{program}` cannot be executed: {}", errno_text(*errno))]
    NotExecutable {
        /// The program as it was named.
        program: String,
        /// The kernel's reason.
        errno: i32,
    },
    /// The process has ended.
    #[error("process {pid} is not running")]
    NotRunning {
        /// The process that was meant.
        pid: i32,
    },
    /// The process has threads, which the kernel does not move into a user namespace.
    #[error("a process with several threads cannot enter a user namespace")]
    HasThreads,
    /// A program that writes ID maps failed.
    #[error("`{program}` could not map the user and group IDs: {reason}")]
    MapRefused {
        /// The program.
        program: String,
        /// Its own words.
        reason: String,
    },
    /// A start hook of a container failed.
    #[error("`{program}` failed: {reason}")]
    HookFailed {
        /// The program.
        program: String,
        /// Its own last words, or its exit status.
        reason: String,
    },
    /// A file of the container's directory that cannot be read or understood.
    #[error("the container's file `{file}` cannot be used: {reason}")]
    BadContainer {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// What a file lacks that exists and yet is "not found".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// The interpreter of its first line, or its loader.
    Interpreter,
    /// The permission to be executed.
    Permission,
}

impl SandboxError {
    /// An operation that failed on a path.
    #[must_use]
    pub fn setup(op: &'static str, path: impl AsRef<[u8]>, errno: Errno) -> SandboxError {
        SandboxError::Setup {
            op,
            path: Some(path.as_ref().to_vec()),
            errno: errno.raw_os_error(),
            detail: None,
        }
    }

    /// An operation that failed, on nothing in particular.
    #[must_use]
    pub fn operation(op: &'static str, errno: Errno) -> SandboxError {
        SandboxError::Setup {
            op,
            path: None,
            errno: errno.raw_os_error(),
            detail: None,
        }
    }

    /// The stable word for this kind of failure.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            SandboxError::BadSpec { .. } => "bad-spec",
            SandboxError::Setup { .. } | SandboxError::Died { .. } => "setup-failed",
            SandboxError::NotFound { .. } => "not-found",
            SandboxError::NotExecutable { .. } => "not-executable",
            SandboxError::NotRunning { .. } => "not-running",
            SandboxError::HasThreads => "has-threads",
            SandboxError::MapRefused { .. } => "map-refused",
            SandboxError::HookFailed { .. } => "hook-failed",
            SandboxError::BadContainer { .. } => "bad-container",
        }
    }

    /// The operation that failed.
    #[must_use]
    pub fn op(&self) -> Option<&'static str> {
        match self {
            SandboxError::Setup { op, .. } => Some(op),
            SandboxError::NotFound { .. } | SandboxError::NotExecutable { .. } => {
                Some("execute the program")
            }
            _ => None,
        }
    }

    /// The path that the failure is about.
    #[must_use]
    pub fn path(&self) -> Option<Vec<u8>> {
        match self {
            SandboxError::Setup { path, .. } => path.clone(),
            SandboxError::NotFound { program, .. }
            | SandboxError::NotExecutable { program, .. } => Some(program.clone().into_bytes()),
            _ => None,
        }
    }

    /// The kernel's error number.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            SandboxError::Setup { errno, .. } | SandboxError::NotExecutable { errno, .. } => {
                Some(*errno)
            }
            SandboxError::NotFound { .. } => Some(Errno::NOENT.raw_os_error()),
            _ => None,
        }
    }

    /// One thing to try.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            SandboxError::Setup { op, errno, .. } => setup_hint(op, Errno::from_raw_os_error(*errno)).map(str::to_owned),
            SandboxError::NotFound { program, lacking: Some(Lacking::Interpreter), .. } => Some(format!(
                "`{program}` exists, but the interpreter on its first line, or its loader, does not"
            )),
            SandboxError::NotFound { program, lacking: Some(Lacking::Permission), .. } => {
                Some(format!("a file named `{program}` is in PATH, but nobody may execute it: try `chmod +x`"))
            }
            SandboxError::NotExecutable { errno, .. } if *errno == Errno::ACCESS.raw_os_error() => {
                Some("see that it is a file that the container's user may execute: try `chmod +x`".to_owned())
            }
            SandboxError::NotExecutable { errno, .. } if *errno == Errno::NOEXEC.raw_os_error() => {
                Some("it may be built for another architecture, or be a script without a first line `#!`".to_owned())
            }
            SandboxError::HasThreads => Some("enter the user namespace before anything starts a thread".to_owned()),
            SandboxError::MapRefused { .. } => {
                Some("see that `newuidmap` is installed and `/etc/subuid` and `/etc/subgid` have lines for you".to_owned())
            }
            _ => None,
        }
    }
}

fn setup_hint(op: &str, errno: Errno) -> Option<&'static str> {
    match (op, errno) {
        ("clone into new namespaces", Errno::PERM) => Some(
            "namespaces need root, or a user namespace; the system may forbid both to this process",
        ),
        (_, Errno::NOSPC) if op.starts_with("clone") => {
            Some("raise the limits in `/proc/sys/user`")
        }
        (_, Errno::NOSYS) => Some("containers need Linux 5.12 or newer"),
        ("mount proc", Errno::PERM) => Some(
            "parts of the surrounding `/proc` are hidden, as in a container; the kernel then allows no new one",
        ),
        ("mount overlay", Errno::INVAL) => Some("the kernel's log (`dmesg`) has the reason"),
        ("become the user", Errno::INVAL) => {
            Some("the user namespace has no such user or group ID: see `/etc/subuid`")
        }
        ("set the limit", Errno::PERM) => Some(
            "nobody but root may raise a hard limit above the one of who starts it: see `ulimit -H -a`",
        ),
        (_, Errno::NOTDIR) if op.starts_with("mount") => {
            Some("a directory cannot be mounted on a file, nor a file on a directory")
        }
        (_, Errno::ROFS) => {
            Some("the root file system is read-only: make the mount's target part of the image")
        }
        _ => None,
    }
}

fn on(path: Option<&[u8]>) -> String {
    path.map_or_else(String::new, |path| {
        format!(" `{}`", String::from_utf8_lossy(path))
    })
}

fn why(errno: i32, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{} ({detail})", errno_text(errno)),
        None => errno_text(errno),
    }
}

/// The system's text for an error number, in lower case.
#[must_use]
pub fn errno_text(errno: c_int) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => format!("error {errno}"),
    }
}
