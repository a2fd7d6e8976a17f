//! Watching one container: one place to wait, one method for each thing that can happen.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::read;

use super::clients::{Client, PATIENCE};
use super::exit_code;
use super::files::{Fault, State, Status, Supervision, now};
use super::frames::Incoming;
use super::log::{Log, Stream};
use super::streams::Streams;
use crate::process::{Process, Stage};
use crate::report::SandboxError;
use crate::terminal::set_window;

/// How long a container that waits for its first client waits.
const MOST_WAITING: Duration = Duration::from_secs(30);
/// How long a program may take to end when the supervisor itself is asked to; Docker's value.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Larger times are no times any more.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The size of what a signal descriptor yields.
const SIGNAL_BYTES: usize = 128;
const SIGKILL: i32 = 9;

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Channel,
    End,
    Output(Stream),
    Input,
    Client(usize),
}

/// A container being watched.
pub struct Supervisor {
    process: Process,
    streams: Streams,
    listener: UnixListener,
    log: Log,
    signals: OwnedFd,
    clients: Vec<Client>,
    state: State,
    state_file: PathBuf,
    stop_signal: i32,
    /// Until when the first client may come, while the program waits for it.
    waits_until: Option<Instant>,
    is_released: bool,
    /// When the program is killed.
    killed_at: Option<Instant>,
    /// How it ended.
    outcome: Option<Result<i32, SandboxError>>,
    buffer: Vec<u8>,
}

impl Supervisor {
    /// Takes over a process that is at its gate or beyond it.
    pub fn new(
        process: Process,
        streams: Streams,
        listener: UnixListener,
        log: Log,
        signals: OwnedFd,
        supervision: &Supervision,
        state: State,
    ) -> Supervisor {
        Supervisor {
            process,
            streams,
            listener,
            log,
            signals,
            clients: Vec::new(),
            state,
            state_file: supervision.state.clone(),
            stop_signal: supervision.stop_signal,
            waits_until: supervision
                .waits_for_attach
                .then(|| Instant::now() + MOST_WAITING),
            is_released: !supervision.waits_for_attach,
            killed_at: None,
            outcome: None,
            buffer: Vec::new(),
        }
    }

    /// Whether the program has ended, or will never run.
    pub fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// Notes that the program runs.
    pub fn note_running(&mut self) {
        self.state.status = Status::Running;
        self.state.started_at = Some(now());
        self.write_state();
    }

    /// Waits for the next thing to happen, and sees to it.
    pub fn turn(&mut self) {
        for source in self.wait() {
            match source {
                Source::Signals => self.on_signal(),
                Source::Listener => self.on_connection(),
                Source::Channel => self.on_channel(),
                Source::End => self.on_end(),
                Source::Output(stream) => {
                    self.relay(stream);
                }
                Source::Input => self.streams.write(),
                Source::Client(index) => self.on_client(index),
            }
        }
        self.clients.iter_mut().for_each(Client::send);
        self.on_time(Instant::now());
        self.drop_clients();
    }

    /// Reads what is left of the output; the last program has ended.
    pub fn let_go(&mut self) {
        let since = Instant::now();
        loop {
            while self.relay(Stream::Output) || self.relay(Stream::Error) {}
            if !self.streams.wait_for_rest(since) {
                break;
            }
        }
        self.log.finish(now());
        self.clients.iter_mut().for_each(Client::send);
    }

    /// Tells everyone how it ended; returns whether a subscribed client knows.
    pub fn finish(&mut self) -> bool {
        let (code, error) = match self.outcome.take() {
            Some(Ok(code)) => (code, None),
            Some(Err(error)) => (exit_code(&error), Some(Fault::of(&error))),
            None => (exit_code(&SandboxError::Died { status: 0 }), None),
        };
        self.state.status = Status::Exited;
        self.state.pid = 0;
        self.state.exit_code = Some(code);
        self.state.error = error;
        self.write_state();
        // Whoever connected by now is owed an answer; who comes later finds the state.
        self.on_connection();
        let exit = serde_json::json!({"exit_code": code, "error": self.state.error}).to_string();
        self.clients
            .iter_mut()
            .for_each(|client| client.offer_exit(exit.as_bytes()));
        self.flush()
    }

    /// Sends everything that is queued, as long as it is taken; tells whether a subscriber
    /// got all of it.
    fn flush(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut was_told = false;
        loop {
            self.clients.iter_mut().for_each(Client::send);
            // Whoever has everything need not wait for the others.
            self.clients.retain_mut(|client| {
                was_told |= client.has_exit() && client.is_subscriber();
                !client.has_exit() || client.hang_up()
            });
            let waiting: Vec<&Client> = self
                .clients
                .iter()
                .filter(|client| client.wants_writing())
                .collect();
            // Who started the container in the foreground reads at leisure, as from any pipe.
            let is_owned = waiting.iter().any(|client| client.is_owner());
            let left = end.saturating_duration_since(Instant::now());
            if waiting.is_empty() || (left.is_zero() && !is_owned) {
                return was_told;
            }
            let mut fds: Vec<PollFd<'_>> = waiting
                .iter()
                .map(|client| PollFd::new(*client, PollFlags::OUT))
                .collect();
            let limit = if is_owned {
                None
            } else {
                Timespec::try_from(left).ok()
            };
            // An interruption is as good a reason to look again as any.
            let _ = poll(&mut fds, limit.as_ref());
        }
    }

    // Waiting -----------------------------------------------------------------

    fn wait(&self) -> Vec<Source> {
        let reads = !self.clients.iter().any(Client::is_behind);
        let mut sources = vec![Source::Signals, Source::Listener, Source::End];
        let mut fds = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::from_borrowed_fd(self.process.pidfd(), PollFlags::IN),
        ];
        if self.is_released && self.state.status == Status::Created {
            sources.push(Source::Channel);
            fds.push(PollFd::from_borrowed_fd(
                self.process.channel(),
                PollFlags::IN,
            ));
        }
        for (stream, output) in self.streams.outputs().filter(|_| reads) {
            sources.push(Source::Output(stream));
            fds.push(PollFd::from_borrowed_fd(output, PollFlags::IN));
        }
        if let Some(input) = self.streams.waiting_input() {
            sources.push(Source::Input);
            fds.push(PollFd::from_borrowed_fd(input, PollFlags::OUT));
        }
        for (index, client) in self.clients.iter().enumerate() {
            let reading = if self.streams.is_full() {
                PollFlags::empty()
            } else {
                PollFlags::IN
            };
            let writing = if client.wants_writing() {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            sources.push(Source::Client(index));
            fds.push(PollFd::new(client, reading | writing));
        }
        let limit = self
            .next_deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        if poll(&mut fds, limit.as_ref()).is_err() {
            return Vec::new();
        }
        let happened =
            |(source, fd): (&Source, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(*source);
        sources.iter().zip(&fds).filter_map(happened).collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let own = [self.waits_until, self.killed_at];
        own.into_iter()
            .flatten()
            .chain(self.clients.iter().filter_map(Client::deadline))
            .min()
    }

    // What happens ------------------------------------------------------------

    fn on_signal(&mut self) {
        let mut signal = [0u8; SIGNAL_BYTES];
        // Which one it was is known: only SIGTERM is watched.
        while read(&self.signals, &mut signal[..]).is_ok() {
            self.stop(STOP_TIME);
        }
    }

    fn on_connection(&mut self) {
        while let Some(client) = Client::accept(&self.listener, &self.state.to_json()) {
            self.clients.push(client);
        }
    }

    fn on_channel(&mut self) {
        match self.process.advance(Some(Duration::ZERO)) {
            Ok(Stage::Running) => self.note_running(),
            Ok(_) => {}
            Err(error) => self.end(Err(error)),
        }
    }

    fn on_end(&mut self) {
        if self.is_over() {
            return;
        }
        if self.state.status == Status::Created {
            // The channel knows why it never ran; without a word on it, it was killed.
            while self.is_released && self.state.status == Status::Created && !self.is_over() {
                self.on_channel();
            }
        }
        if self.is_over() {
            return;
        }
        match self.process.wait(Some(Duration::ZERO)) {
            Ok(Some(status)) => self.end(Ok(status)),
            Ok(None) => {}
            Err(error) => self.end(Err(error)),
        }
    }

    fn end(&mut self, outcome: Result<i32, SandboxError>) {
        self.state.finished_at = Some(now());
        self.outcome = Some(outcome);
    }

    /// Passes some output on; tells whether there was any.
    fn relay(&mut self, stream: Stream) -> bool {
        let Some(count) = self.streams.read(stream, &mut self.buffer) else {
            return false;
        };
        let data = self.buffer.get(..count).unwrap_or(&[]);
        self.log.take(stream, data, now());
        self.clients
            .iter_mut()
            .for_each(|client| client.offer(stream, data));
        true
    }

    fn on_client(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        for frame in client.receive() {
            match frame {
                Incoming::Input(data) => self.streams.feed(&data),
                Incoming::InputEnd => self.streams.end_input(),
                Incoming::Resize(rows, columns) => self.resize(rows, columns),
                Incoming::Signal(signal) => self.signal(i32::from(signal)),
                Incoming::Stop(seconds) => self.stop(duration(seconds)),
                Incoming::Subscribe => self.subscribe(index),
                Incoming::OutputEnd(stream) => self.end_output(index, stream),
            }
        }
    }

    fn subscribe(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        client.subscribe();
        if !self.is_released {
            client.own();
            self.is_released = true;
            self.waits_until = None;
            self.process.open_gate();
        }
    }

    /// Lets the program know that nobody reads its output, as any program in a pipeline learns it:
    /// the next write fails. Whoever only looks on does not decide that.
    fn end_output(&mut self, index: usize, stream: Stream) {
        if self.clients.get(index).is_some_and(Client::is_owner) {
            self.streams.close(stream);
        }
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        if let Some(terminal) = self.process.terminal() {
            // A terminal that refuses a size keeps the old one.
            let _ = set_window(terminal.as_fd(), rows, columns);
        }
    }

    fn signal(&mut self, signal: i32) {
        // It may have ended a moment ago, and a number that is no signal does nothing.
        let _ = self.process.kill(signal);
    }

    /// Asks the program to end, and sees that it does.
    fn stop(&mut self, patience: Duration) {
        if self.state.status == Status::Created {
            return self.signal(SIGKILL);
        }
        self.signal(self.stop_signal);
        let end = Instant::now() + patience;
        self.killed_at = Some(self.killed_at.map_or(end, |earlier| earlier.min(end)));
    }

    fn on_time(&mut self, at: Instant) {
        let has_passed =
            |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= at);
        if has_passed(self.killed_at) || has_passed(self.waits_until) {
            (self.killed_at, self.waits_until) = (None, None);
            self.signal(SIGKILL);
        }
        for client in self
            .clients
            .iter_mut()
            .filter(|client| has_passed(client.deadline()))
        {
            client.give_up();
        }
    }

    fn drop_clients(&mut self) {
        // Nobody else knows of a container that whoever started it has left.
        let is_abandoned = !self.is_released && self.clients.iter().any(Client::is_gone);
        self.clients.retain(|client| !client.is_gone());
        if is_abandoned && self.clients.is_empty() {
            self.signal(SIGKILL);
        }
    }

    fn write_state(&mut self) {
        // On a full disk the old state stays; that this process is alive still tells the truth.
        let _ = self.state.write(&self.state_file);
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}
