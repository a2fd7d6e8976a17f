//! A sandboxed process, from its birth to its exit status.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dissolver_sys::child::{
    AT_GATE, BORN, EXECUTING, Failure, LACKS_INTERPRETER, OPEN_GATE, Program, Reason, Script, Step,
};
use dissolver_sys::clone::{self, Birth, Birthplace, Child};
use dissolver_sys::kernel::{block_signals, send_signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use crate::device_rules::Group;
use crate::first;
use crate::host::Host;
use crate::life::{Life, SIGKILL, locked};
use crate::ops::Op;
use crate::plan::Plan;
use crate::prepare::{Workshop, text};
use crate::report::{Lacking, SandboxError};
use crate::spec::{Devices, Spec};
use crate::terminal::Pty;

/// The first descriptor that cannot be taken for a standard stream.
const FIRST_FREE: i32 = 3;
/// A thread that does nothing but wait needs next to nothing.
const WATCHER_STACK_BYTES: usize = 128 * 1024;

/// How far a process has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It is being set up.
    Preparing,
    /// It waits for [`Process::open_gate`].
    AtGate,
    /// It is about to execute its program.
    Executing,
    /// Its program runs, or has ended.
    Running,
    /// It never got there.
    Failed(SandboxError),
}

/// A sandboxed process.
///
/// Dropping it kills the process, if it still runs, and waits for its end.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    life: Arc<Life>,
    network: OwnedFd,
    terminal: Option<OwnedFd>,
    /// Unmounting an overlay writes out the whole file system that its upper directory is on,
    /// and an exit would wait for that. Holding it here moves that to when this is dropped.
    _root: Option<OwnedFd>,
    /// Removed when this is dropped, which is after the end.
    _group: Option<Group>,
    channel: OwnedFd,
    plan: Plan,
    program: String,
    stage: Mutex<Stage>,
}

/// Starts a container's first process: it is set up, then waits at its gate.
///
/// Streams that are `None` are `/dev/null`; with a terminal all of them are ignored.
///
/// # Errors
///
/// [`SandboxError::BadSpec`], or [`SandboxError::Setup`] for what failed outside the child.
/// What fails inside is reported by [`Process::advance`].
pub fn start(spec: &Spec, streams: [Option<OwnedFd>; 3]) -> Result<Process, SandboxError> {
    let host = Host::look()?;
    let plan = crate::plan::plan_start(spec, &host)?;
    let has_terminals = plan.ops.iter().any(|op| matches!(op, Op::Terminals { .. }));
    let mut workshop = Workshop::new(spec, &host, streams)?;
    if spec.terminal && !has_terminals {
        workshop.take_terminal(Pty::open_alone()?)?;
    }
    let birthplace = Birthplace::New(plan.namespaces);
    let group = (spec.devices == Devices::Own)
        .then(|| Group::make(&host))
        .flatten();
    launch(plan, Command::of(spec), workshop.held_to(group), birthplace)
}

/// What is executed in the end.
pub(crate) struct Command {
    /// The arguments, the program's own name first.
    pub argv: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
}

impl Command {
    pub(crate) fn of(spec: &Spec) -> Command {
        Command {
            argv: spec.argv.clone(),
            env: spec.env.clone(),
        }
    }
}

/// Prepares the steps of `plan` and starts the child.
pub(crate) fn launch(
    plan: Plan,
    command: Command,
    mut workshop: Workshop,
    birthplace: Birthplace,
) -> Result<Process, SandboxError> {
    let prepare = |op| workshop.prepare(op);
    let steps = plan.ops.iter().map(prepare).collect::<Result<_, _>>()?;
    launch_steps(plan, steps, command, workshop, birthplace)
}

/// Starts the child with the steps of `plan`, one for each operation.
fn launch_steps(
    plan: Plan,
    steps: Vec<Step>,
    command: Command,
    workshop: Workshop,
    place: Birthplace,
) -> Result<Process, SandboxError> {
    let (terminal, root, group) = workshop.into_parts();
    let program = Program::new(
        texts(&plan.candidates)?,
        texts(&command.argv)?,
        texts(&command.env)?,
        first::make()?,
    );
    let (ours, theirs) =
        channel().map_err(|errno| SandboxError::operation("make a channel", errno))?;
    let script = Arc::new(Script::new(steps, program, theirs));
    let born = group.as_ref().and_then(Group::birthplace);
    let born = born.map(|group| fcntl_dupfd_cloexec(group, 3)).transpose();
    let birth = Birth {
        place,
        group: born.map_err(|errno| SandboxError::operation("duplicate a file", errno))?,
    };
    let child = clone::spawn(Arc::clone(&script), birth);
    // The child has copies of everything in it; the end of ours is what ends the channel.
    drop(script);
    let Child { pid, pidfd } =
        child.map_err(|errno| SandboxError::operation("clone into new namespaces", errno))?;
    let life = Life::of(pidfd);
    let network = place_outside(pid, group.as_ref()).inspect_err(|_| {
        // It has done nothing yet, so nothing is lost.
        life.kill_and_reap();
    })?;
    let process = Process {
        pid,
        life: Arc::new(life),
        network,
        terminal,
        _root: root,
        _group: group,
        channel: ours,
        plan,
        program: command.argv.into_iter().next().unwrap_or_default(),
        stage: Mutex::new(Stage::Preparing),
    };
    process.say(BORN);
    Ok(process)
}

/// Opens the network namespace of a process that was just born, and puts it into its group.
fn place_outside(pid: i32, group: Option<&Group>) -> Result<OwnedFd, SandboxError> {
    if let Some(group) = group {
        let op = "move the process to its control group";
        group
            .take(pid)
            .map_err(|errno| SandboxError::operation(op, errno))?;
    }
    let path = format!("/proc/{pid}/ns/net");
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SandboxError::operation("open the network namespace", errno))
}

impl Process {
    /// Its process ID, as this process sees it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its network namespace.
    #[must_use]
    pub fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// The master's end of its terminal.
    #[must_use]
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Becomes readable when [`Self::advance`] has something to do.
    #[must_use]
    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Becomes readable when the process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.life.pidfd.as_fd()
    }

    /// Lets the process go on to its program, as soon as it is ready.
    pub fn open_gate(&self) {
        self.say(OPEN_GATE);
    }

    fn say(&self, word: u8) {
        // If there is nobody to receive it, the child has left a message that says why.
        let _ = send(&self.channel, &[word], SendFlags::NOSIGNAL);
    }

    /// Waits until the process has come further, or `timeout` has passed, or a signal came.
    ///
    /// # Errors
    ///
    /// Why it cannot go on: [`SandboxError::Setup`], [`SandboxError::NotFound`],
    /// [`SandboxError::NotExecutable`] or [`SandboxError::Died`]. It has ended then.
    pub fn advance(&self, timeout: Option<Duration>) -> Result<Stage, SandboxError> {
        let mut stage = locked(&self.stage);
        match &*stage {
            Stage::Failed(error) => return Err(error.clone()),
            Stage::Running => return Ok(Stage::Running),
            _ => {}
        }
        if !is_ready(self.channel.as_fd(), timeout)
            .map_err(|errno| SandboxError::operation("wait", errno))?
        {
            return Ok(stage.clone());
        }
        let next = match self.receive() {
            Ok(Message::AtGate) => Stage::AtGate,
            Ok(Message::Executing) => Stage::Executing,
            Ok(Message::Failure(failure)) => Stage::Failed(self.explain(failure)),
            // Exec closed the child's end.
            Ok(Message::End) if *stage == Stage::Executing => Stage::Running,
            Ok(Message::End) | Err(_) => Stage::Failed(SandboxError::Died {
                status: self.life.reap()?,
            }),
        };
        *stage = next.clone();
        if let Stage::Failed(error) = next {
            self.life.reap()?;
            return Err(error);
        }
        Ok(next)
    }

    /// Waits for the process's end, at most for `timeout`, and returns its status.
    ///
    /// The status is 128 and the signal's number if a signal killed it. A signal to this
    /// process ends the waiting early, with `None`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`] if someone else waited for it.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<i32>, SandboxError> {
        if let Some(status) = *locked(&self.life.status) {
            return Ok(Some(status));
        }
        let is_over = is_ready(self.life.pidfd.as_fd(), timeout)
            .map_err(|errno| SandboxError::operation("wait", errno))?;
        if is_over {
            self.life.reap().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotRunning`] if it has ended.
    pub fn kill(&self, signal: i32) -> Result<(), SandboxError> {
        match send_signal(self.life.pidfd.as_fd(), signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(SandboxError::NotRunning { pid: self.pid }),
            Err(errno) => Err(SandboxError::operation("send a signal", errno)),
        }
    }

    /// Has the process's status taken as soon as there is one, whoever asks for it and when.
    ///
    /// A container cannot end while somebody outside it has not taken notice of the end of
    /// all its processes.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`] if no thread can be started.
    pub(crate) fn take_notice(&self) -> Result<(), SandboxError> {
        let life = Arc::clone(&self.life);
        let work = move || {
            block_signals();
            // Whoever waits reports what fails.
            life.reap().is_ok()
        };
        let thread = std::thread::Builder::new().name("sandbox-watcher".to_owned());
        let started = thread.stack_size(WATCHER_STACK_BYTES).spawn(work);
        started
            .map(drop)
            .map_err(|_| SandboxError::operation("start a thread", Errno::AGAIN))
    }

    /// Kills the process, if it still runs, and waits for its end.
    pub fn end(&self) {
        if locked(&self.life.status).is_none() {
            // An end that came first is as good, and so is a status that someone else took.
            drop(self.kill(SIGKILL));
            drop(self.life.reap());
        }
    }

    fn receive(&self) -> Result<Message, Errno> {
        let mut buffer = [0u8; 16];
        loop {
            return match recv(&self.channel, &mut buffer[..], RecvFlags::empty()) {
                // The child ended without having read the gate's word; its own words come next.
                Err(Errno::INTR | Errno::CONNRESET) => continue,
                Err(errno) => Err(errno),
                Ok((_, 0)) => Ok(Message::End),
                Ok((_, 1)) if buffer[0] == AT_GATE => Ok(Message::AtGate),
                Ok((_, 1)) if buffer[0] == EXECUTING => Ok(Message::Executing),
                Ok((_, length)) => buffer
                    .get(..length)
                    .and_then(Failure::from_bytes)
                    .map(Message::Failure)
                    .ok_or(Errno::PROTO),
            };
        }
    }

    fn explain(&self, failure: Failure) -> SandboxError {
        let errno = Errno::from_raw_os_error(failure.errno);
        match self.plan.ops.get(failure.index as usize) {
            Some(op) => SandboxError::Setup {
                op: op.name(),
                path: op.object().map(String::into_bytes),
                errno: failure.errno,
                detail: Reason::from_detail(failure.detail).map(|reason| words(reason).to_owned()),
            },
            None if failure.index as usize == self.plan.ops.len() => {
                self.explain_exec(errno, failure.detail)
            }
            None => SandboxError::operation("close inherited files", errno),
        }
    }

    fn explain_exec(&self, errno: Errno, detail: u32) -> SandboxError {
        let is_searched = self.plan.is_searched;
        let lacking = match errno {
            Errno::NOENT if detail & LACKS_INTERPRETER != 0 => Some(Lacking::Interpreter),
            Errno::NOENT => None,
            // A search passes over what it may not execute, and in the end found nothing.
            Errno::ACCESS if is_searched => Some(Lacking::Permission),
            _ => return self.not_executable(errno),
        };
        let candidate = self
            .plan
            .candidates
            .get((detail & !LACKS_INTERPRETER) as usize);
        let named = if lacking == Some(Lacking::Interpreter) {
            candidate
        } else {
            None
        };
        SandboxError::NotFound {
            program: named.unwrap_or(&self.program).clone(),
            is_searched: is_searched && named.is_none(),
            lacking,
        }
    }

    fn not_executable(&self, errno: Errno) -> SandboxError {
        SandboxError::NotExecutable {
            program: self.program.clone(),
            errno: errno.raw_os_error(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

enum Message {
    AtGate,
    Executing,
    Failure(Failure),
    End,
}

/// Why a place was refused, in words.
fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::IsLink => {
            "a symbolic link is there, and nothing of the system's is mounted on those"
        }
        Reason::LeadsToRoot => "it leads to the root itself",
        Reason::LeadsToKernel => "a symbolic link leads to where the kernel shows itself",
        Reason::IsSomethingElse => "something else is there after it was mounted",
    }
}

/// Waits until `fd` is readable or at its end.
fn is_ready(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, Errno> {
    let timeout = timeout
        .map(Timespec::try_from)
        .transpose()
        .map_err(|_| Errno::INVAL)?;
    match poll(
        &mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)],
        timeout.as_ref(),
    ) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn channel() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((ours, above_streams(theirs)?))
}

/// Moves a descriptor out of the way of the child's standard streams.
pub(crate) fn above_streams(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() >= FIRST_FREE {
        Ok(fd)
    } else {
        fcntl_dupfd_cloexec(&fd, FIRST_FREE)
    }
}

fn texts(strings: &[String]) -> Result<Vec<CString>, SandboxError> {
    strings.iter().map(|string| text(string)).collect()
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
