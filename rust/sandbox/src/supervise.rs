//! The supervisor: one process beside each container, from before its start to after its end.
//!
//! It owns the container's streams, keeps the log, serves clients, and tells the state. It
//! waits in one place, [`Supervisor::turn`], for whatever happens first; nothing is polled.
//! The protocol is in `docs/sandbox.md`.

mod clients;
mod files;
mod frames;
mod hooks;
mod log;
mod streams;
mod watch;

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use dissolver_sys::{kernel, signals};
use rustix::fs::Mode;
use rustix::process::umask;

use crate::process::{Process, Stage, start};
use crate::report::SandboxError;
use crate::spec::Spec;
use files::{Fault, State, Status, Supervision, now, read_supervision};
use hooks::Places;
use log::Log;
use streams::Streams;
use watch::Supervisor;

/// The descriptor on which whoever started the supervisor waits for one line.
const REPORT_FD: i32 = 3;
/// Exit codes of a container that never ran, as Docker has them.
const SETUP_FAILED: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// How long a process that failed may take to say so, when a hook found it gone.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What the supervisor's name starts with; the container's ID follows.
const NAME_PREFIX: &str = "dslv-";
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

/// Starts the container in `directory`, watches it until its end, and returns an exit status.
///
/// One line on descriptor 3 tells how starting went: `{"ok":true}` once the program runs, or
/// waits for its first client, else what failed. The program's own exit status is in the
/// state; the status that is returned is 0 if the container was started.
#[must_use]
pub fn supervise(directory: &Path) -> i32 {
    let mut report = Report::take();
    signals::ignore(&[SIGHUP, SIGINT, SIGPIPE]);
    let (supervision, spec) = match read_supervision(directory) {
        Ok(supervision) => supervision,
        Err(error) => return report.failed(&error),
    };
    take_name(&supervision.id);
    let mut state = State::new();
    match prepare(&supervision, &spec, &mut state) {
        Ok(ready) => run(ready, report),
        Err(error) => {
            note_failure(&mut state, &error, &supervision);
            report.failed(&error)
        }
    }
}

/// Lets `ps` tell supervisors apart. The kernel cuts the name off.
fn take_name(id: &str) {
    if let Ok(name) = CString::new(format!("{NAME_PREFIX}{id}")) {
        // It is for human eyes alone.
        let _ = rustix::thread::set_name(&name);
    }
}

/// A container that only has to be let go.
struct Ready {
    supervisor: Supervisor,
    background: Vec<Child>,
    places: Places,
    supervision: Supervision,
}

fn prepare(
    supervision: &Supervision,
    spec: &Spec,
    state: &mut State,
) -> Result<Ready, SandboxError> {
    let signals = signals::watch(&[SIGTERM])
        .map_err(|errno| SandboxError::operation("watch signals", errno))?;
    let listener = listen(&supervision.socket)?;
    let log = Log::open(&supervision.log, supervision.kept_log)?;
    state.write(&supervision.state)?;
    let (process, streams) = launch(supervision, spec)?;
    state.pid = process.pid();
    let network = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        process.network().as_raw_fd()
    );
    let places = Places {
        pid: process.pid(),
        network,
    };
    let mut background = Vec::new();
    let started = supervision.hooks.start.iter().try_for_each(|hook| {
        background.extend(hooks::run(hook, &places)?);
        Ok(())
    });
    let reached = started.and_then(|()| reach(&process, supervision.waits_for_attach));
    if let Err(error) = reached {
        let error = first_cause(&process, error);
        drop(process);
        clean_up(background, supervision, &places);
        return Err(error);
    }
    let supervisor = Supervisor::new(
        process,
        streams,
        listener,
        log,
        signals,
        supervision,
        state.clone(),
    );
    Ok(Ready {
        supervisor,
        background,
        places,
        supervision: supervision.clone(),
    })
}

fn launch(supervision: &Supervision, spec: &Spec) -> Result<(Process, Streams), SandboxError> {
    if supervision.terminal {
        let process = start(spec, [None, None, None])?;
        let streams = process
            .terminal()
            .map(|master| Streams::terminal(master, supervision.keeps_stdin))
            .transpose()?;
        // `start` gave a terminal, as supervision and specification agree; without one there is
        // nothing to pass on.
        return Ok((process, streams.unwrap_or_default()));
    }
    let (streams, ends) = Streams::pipes(supervision.keeps_stdin)?;
    Ok((start(spec, ends)?, streams))
}

/// Brings the process to its gate, or beyond it if nobody has to come first.
fn reach(process: &Process, stays_at_gate: bool) -> Result<(), SandboxError> {
    if !stays_at_gate {
        process.open_gate();
    }
    let goal = if stays_at_gate {
        Stage::AtGate
    } else {
        Stage::Running
    };
    while process.advance(None)? != goal {}
    Ok(())
}

/// Returns why the process failed, if it did: a hook finds no network of one that has ended.
fn first_cause(process: &Process, error: SandboxError) -> SandboxError {
    match process.advance(Some(LAST_WORDS)) {
        Err(cause) => cause,
        Ok(_) => error,
    }
}

/// Makes the socket, for its owner alone.
fn listen(path: &Path) -> Result<UnixListener, SandboxError> {
    let explain = |error: std::io::Error| SandboxError::BadContainer {
        file: path.display().to_string(),
        reason: error.to_string(),
    };
    // One may be left from a supervisor that was killed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(explain(error)),
        _ => {}
    }
    let mask = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(mask);
    let listener = listener.map_err(explain)?;
    listener.set_nonblocking(true).map_err(explain)?;
    Ok(listener)
}

fn run(ready: Ready, mut report: Report) -> i32 {
    let Ready {
        mut supervisor,
        background,
        places,
        supervision,
    } = ready;
    if !supervision.waits_for_attach {
        supervisor.note_running();
    }
    report.succeeded();
    while !supervisor.is_over() {
        supervisor.turn();
    }
    // The network has to be gone before anyone may believe that the container is.
    supervisor.let_go();
    clean_up(background, &supervision, &places);
    let was_told = supervisor.finish();
    // Whoever removes the container's socket next must not find a listener behind it.
    let _ = std::fs::remove_file(&supervision.socket);
    if !was_told {
        end_with(&supervision, &places);
    }
    0
}

fn clean_up(background: Vec<Child>, supervision: &Supervision, places: &Places) {
    for hook in &supervision.hooks.stop {
        // The container is over whatever they say; each of them gets its chance.
        let _ = hooks::run(hook, places);
    }
    background.into_iter().for_each(hooks::end);
}

/// Runs the last programs, the very last in place of this process.
fn end_with(supervision: &Supervision, places: &Places) {
    let Some((last, others)) = supervision.hooks.r#final.split_last() else {
        return;
    };
    for hook in others {
        // Nobody is left to be told.
        let _ = hooks::run(hook, places);
    }
    let _ = hooks::become_last(last, places);
}

fn note_failure(state: &mut State, error: &SandboxError, supervision: &Supervision) {
    state.status = Status::Exited;
    state.pid = 0;
    state.finished_at = Some(now());
    state.exit_code = Some(exit_code(error));
    state.error = Some(Fault::of(error));
    // The line on descriptor 3 says the same to the one who waits.
    let _ = state.write(&supervision.state);
    let _ = std::fs::remove_file(&supervision.socket);
}

/// The exit code that stands for a failure to start.
fn exit_code(error: &SandboxError) -> i32 {
    match error {
        SandboxError::NotFound { .. } => NOT_FOUND,
        SandboxError::NotExecutable { .. } => NOT_EXECUTABLE,
        _ => SETUP_FAILED,
    }
}

/// The pipe to whoever started the supervisor.
struct Report(Option<File>);

impl Report {
    fn take() -> Report {
        let copy: Option<OwnedFd> = kernel::duplicate(REPORT_FD).ok();
        if copy.is_some() {
            kernel::close(REPORT_FD);
        }
        Report(copy.map(File::from))
    }

    fn succeeded(&mut self) {
        self.line(&serde_json::json!({"ok": true}));
    }

    fn failed(&mut self, error: &SandboxError) -> i32 {
        let path = error
            .path()
            .map(|path| String::from_utf8_lossy(&path).into_owned());
        self.line(&serde_json::json!({
            "ok": false, "kind": error.kind(), "message": error.to_string(), "op": error.op(),
            "path": path, "errno": error.errno(), "hint": error.hint(),
        }));
        1
    }

    /// Says it and closes the pipe. Who does not wait any more does not need to know.
    fn line(&mut self, message: &serde_json::Value) {
        if let Some(mut pipe) = self.0.take() {
            let _ = pipe.write_all(format!("{message}\n").as_bytes());
        }
    }
}
