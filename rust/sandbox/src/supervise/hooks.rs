//! Programs of the host that are run around a container's life.

use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dissolver_sys::signals::tie_to_this_thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::files::Hook;
use crate::report::SandboxError;

/// How long a program may take. Setting a network up takes well under a second.
const MOST_TIME: Duration = Duration::from_secs(60);

/// What `{pid}` and `{netns}` stand for.
#[derive(Debug, Clone)]
pub struct Places {
    /// The container's first process.
    pub pid: i32,
    /// A path to its network namespace that outlives it.
    pub network: String,
}

impl Places {
    fn fill(&self, text: &str) -> String {
        text.replace("{pid}", &self.pid.to_string())
            .replace("{netns}", &self.network)
    }

    fn command(&self, hook: &Hook) -> Result<(Command, String), SandboxError> {
        let argv: Vec<String> = hook
            .argv
            .iter()
            .map(|argument| self.fill(argument))
            .collect();
        let [program, arguments @ ..] = argv.as_slice() else {
            return Err(failed("", "it has no name".to_owned()));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok((command, program.clone()))
    }
}

/// Runs a program to its end, or starts it if it belongs in the background.
///
/// # Errors
///
/// [`SandboxError::HookFailed`] with its last words on standard error.
pub fn run(hook: &Hook, places: &Places) -> Result<Option<Child>, SandboxError> {
    let (mut command, program) = places.command(hook)?;
    tie_to_this_thread(&mut command);
    let explain = |error: std::io::Error| failed(&program, error.to_string());
    // A file in memory, not a pipe: a program that says much must not wait for a reader.
    let words = memfd_create("hook", MemfdFlags::CLOEXEC).map_err(|errno| explain(errno.into()))?;
    let mut words = std::fs::File::from(words);
    if !hook.background {
        command.stderr(words.try_clone().map_err(explain)?);
    }
    if hook.stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(explain)?;
    if let (Some(text), Some(mut input)) = (&hook.stdin, child.stdin.take()) {
        // A program that does not read what it is given says by its status whether that matters.
        let _ = input.write_all(places.fill(text).as_bytes());
    }
    if hook.background {
        return Ok(Some(child));
    }
    if !ends_in_time(&child).map_err(|errno| explain(errno.into()))? {
        end(child);
        return Err(failed(
            &program,
            format!("it did not end within {} seconds", MOST_TIME.as_secs()),
        ));
    }
    let status = child.wait().map_err(explain)?;
    if status.success() {
        return Ok(None);
    }
    let mut text = Vec::new();
    words
        .rewind()
        .and_then(|()| words.read_to_end(&mut text))
        .map_err(explain)?;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(failed(
        &program,
        last.map_or_else(|| status.to_string(), str::to_owned),
    ))
}

/// Becomes a program; returns only if that failed.
pub fn become_last(hook: &Hook, places: &Places) -> SandboxError {
    match places.command(hook) {
        Ok((mut command, program)) => {
            let error = command.exec();
            failed(&program, error.to_string())
        }
        Err(error) => error,
    }
}

/// Kills a background program and waits for its end.
pub fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn ends_in_time(child: &Child) -> Result<bool, Errno> {
    let pid = Pid::from_raw(child.id() as i32).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(MOST_TIME).map_err(|_| Errno::INVAL)?;
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
            Err(Errno::INTR) => {}
            result => return result.map(|count| count > 0),
        }
    }
}

fn failed(program: &str, reason: String) -> SandboxError {
    SandboxError::HookFailed {
        program: program.to_owned(),
        reason,
    }
}
