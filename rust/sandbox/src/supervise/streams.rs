//! This side's ends of the program's standard streams.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use super::log::Stream;
use crate::report::SandboxError;

/// How much is read from a stream at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// More input than this is not taken from clients before the program reads.
const MOST_PENDING_BYTES: usize = 1024 * 1024;
/// How long the rest of a terminal's output may take to arrive after the last program ended.
const TERMINAL_DELAY: Duration = Duration::from_millis(500);

/// Where output comes from, and where input goes.
#[derive(Debug, Default)]
pub struct Streams {
    outputs: [Option<OwnedFd>; 2],
    is_terminal: bool,
    /// The program's end of the terminal. A terminal that no program has open ends for good on
    /// this side; but a program may open it again, as service managers do.
    held: Option<OwnedFd>,
    input: Option<OwnedFd>,
    pending: VecDeque<u8>,
    input_ends: bool,
}

impl Streams {
    /// Makes pipes; returns the program's ends as well.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn pipes(keeps_stdin: bool) -> Result<(Streams, [Option<OwnedFd>; 3]), SandboxError> {
        let explain = |errno| SandboxError::operation("make a pipe", errno);
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(explain);
        let ((output, stdout), (error, stderr)) = (pipe()?, pipe()?);
        let (stdin, input) = if keeps_stdin {
            pipe().map(|(read, write)| (Some(read), Some(write)))?
        } else {
            (None, None)
        };
        for end in [Some(&output), Some(&error), input.as_ref()]
            .into_iter()
            .flatten()
        {
            set_nonblocking(end.as_fd()).map_err(explain)?;
        }
        let streams = Streams {
            outputs: [Some(output), Some(error)],
            input,
            ..Streams::default()
        };
        Ok((streams, [stdin, Some(stdout), Some(stderr)]))
    }

    /// Takes over a terminal.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn terminal(master: BorrowedFd<'_>, keeps_stdin: bool) -> Result<Streams, SandboxError> {
        let explain = |errno| SandboxError::operation("take the terminal over", errno);
        set_nonblocking(master).map_err(explain)?;
        let copy = || fcntl_dupfd_cloexec(master, 3).map_err(explain);
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let input = if keeps_stdin { Some(copy()?) } else { None };
        Ok(Streams {
            outputs: [Some(copy()?), None],
            is_terminal: true,
            held: Some(ioctl_tiocgptpeer(master, flags).map_err(explain)?),
            input,
            ..Streams::default()
        })
    }

    /// The open outputs.
    pub fn outputs(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let named = [Stream::Output, Stream::Error]
            .into_iter()
            .zip(&self.outputs);
        named.filter_map(|(stream, fd)| Some((stream, fd.as_ref()?.as_fd())))
    }

    /// The input, while something waits to be written to it.
    #[must_use]
    pub fn waiting_input(&self) -> Option<BorrowedFd<'_>> {
        self.input
            .as_ref()
            .filter(|_| !self.pending.is_empty())
            .map(AsFd::as_fd)
    }

    /// Whether so much input waits that no more is taken before the program reads.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.input.is_some() && self.pending.len() >= MOST_PENDING_BYTES
    }

    /// Reads some output; `None` if there is none now, or never again.
    pub fn read(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> Option<usize> {
        let slot = &mut self.outputs[stream as usize];
        buffer.resize(READ_BYTES, 0);
        match read(slot.as_ref()?, &mut buffer[..]) {
            Ok(count @ 1..) => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => None,
            // A terminal without programs reports an I/O error instead of its end.
            Ok(_) | Err(_) => {
                *slot = None;
                None
            }
        }
    }

    /// Closes an output, so that the program is told when it writes there. A terminal stays open.
    pub fn close(&mut self, stream: Stream) {
        if !self.is_terminal {
            self.outputs[stream as usize] = None;
        }
    }

    /// Waits for output that is still on its way when all programs have ended.
    ///
    /// What went into a pipe is there at once; a terminal passes it on a little later, and says
    /// so when that was all.
    pub fn wait_for_rest(&mut self, since: Instant) -> bool {
        self.held = None;
        let [Some(output), _] = &self.outputs else {
            return false;
        };
        let left = TERMINAL_DELAY.saturating_sub(since.elapsed());
        if !self.is_terminal || left.is_zero() {
            return false;
        }
        let Ok(left) = Timespec::try_from(left) else {
            return false;
        };
        poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&left)).is_ok_and(|count| count > 0)
    }

    /// Takes input from a client; without an open input it is left out.
    pub fn feed(&mut self, data: &[u8]) {
        if self.input.is_some() && !self.input_ends {
            self.pending.extend(data);
            self.write();
        }
    }

    /// Closes the input once everything was written. A terminal has no end.
    pub fn end_input(&mut self) {
        if !self.is_terminal {
            self.input_ends = true;
            self.write();
        }
    }

    /// Writes as much of the input as the program takes now.
    pub fn write(&mut self) {
        while let (Some(input), (front @ [_, ..], _)) = (&self.input, self.pending.as_slices()) {
            match write(input, front) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The program closed its end.
                Err(_) => {
                    self.pending.clear();
                    self.input = None;
                }
            }
        }
        if self.input_ends {
            self.input = None;
        }
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)
}
