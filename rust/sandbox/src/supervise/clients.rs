//! Attached clients: what each is owed, and what each asks for.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::frames::{self, Incoming, Outgoing};
use super::log::Stream;

/// From here on a client is behind, and output is held back for it.
pub const MOST_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// How long output is held back for a client that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How much is read from a client at once.
const READ_BYTES: usize = 64 * 1024;
/// What has been sent is cut off the queue when it is at least this long.
const SENT_BYTES: usize = 64 * 1024;
/// Told to a client that was given up.
const NOTICE: &[u8] =
    b"\r\n[dissolver: output is left out from here on, because it was not read in time]\r\n";

/// How a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It gets the state and the end, but no output.
    Listening,
    /// It gets output.
    Subscribed,
    /// It was too slow, and gets what is queued and nothing more.
    GivenUp,
    /// It closed its end.
    Deaf,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    standing: Standing,
    /// Whether the program waited for it: it is never given up.
    is_owner: bool,
    queue: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    /// When it last took something while it was behind.
    behind_since: Option<Instant>,
    owes_exit: bool,
    is_gone: bool,
}

impl Client {
    /// Takes one waiting connection, and greets it with the state.
    ///
    /// `None` if there is none, or it went away at once.
    pub fn accept(listener: &UnixListener, state: &[u8]) -> Option<Client> {
        let (stream, _) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let mut client = Client {
            stream,
            standing: Standing::Listening,
            is_owner: false,
            queue: Vec::new(),
            sent: 0,
            incoming: Vec::new(),
            behind_since: None,
            owes_exit: false,
            is_gone: false,
        };
        client.queue_frame(Outgoing::Hello, state);
        Some(client)
    }

    /// Lets it have output from now on.
    pub fn subscribe(&mut self) {
        if self.standing == Standing::Listening {
            self.standing = Standing::Subscribed;
        }
    }

    /// Makes it the client that the program waited for.
    pub fn own(&mut self) {
        self.is_owner = true;
    }

    /// Whether the program waited for it.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.is_owner
    }

    /// Whether it asked for output.
    #[must_use]
    pub fn is_subscriber(&self) -> bool {
        matches!(self.standing, Standing::Subscribed | Standing::GivenUp)
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether it was sent everything, the exit frame included.
    #[must_use]
    pub fn has_exit(&self) -> bool {
        self.owes_exit && self.pending() == 0 && !self.is_gone && self.standing != Standing::Deaf
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn wants_writing(&self) -> bool {
        self.pending() > 0 && !self.is_gone
    }

    /// Whether output should be held back for it.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.standing == Standing::Subscribed
            && !self.is_gone
            && self.pending() >= MOST_QUEUED_BYTES
    }

    /// When patience with it ends, if it is running out.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_owner || !self.is_behind() {
            None
        } else {
            self.behind_since.map(|since| since + PATIENCE)
        }
    }

    /// Queues output, if it is subscribed.
    pub fn offer(&mut self, stream: Stream, data: &[u8]) {
        if self.standing != Standing::Subscribed || self.is_gone {
            return;
        }
        let kind = match stream {
            Stream::Output => Outgoing::Output,
            Stream::Error => Outgoing::Error,
        };
        self.queue_frame(kind, data);
        if self.is_behind() && self.behind_since.is_none() {
            self.behind_since = Some(Instant::now());
        }
    }

    /// Gives it up, with a notice at the end of what it was owed.
    pub fn give_up(&mut self) {
        self.queue_frame(Outgoing::Error, NOTICE);
        self.standing = Standing::GivenUp;
        self.behind_since = None;
    }

    /// Queues the last frame.
    pub fn offer_exit(&mut self, exit: &[u8]) {
        self.queue_frame(Outgoing::Exit, exit);
        self.owes_exit = true;
    }

    /// Sends as much as the connection takes now.
    pub fn send(&mut self) {
        while let Some(rest) = self.queue.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match (&self.stream).write(rest) {
                Ok(count) => {
                    self.sent += count;
                    self.behind_since = self.behind_since.map(|_| Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It does not listen any more, but what it asked for may still be on the way:
                // a client that says one thing and leaves is as good as any.
                Err(_) => {
                    self.queue.clear();
                    self.sent = 0;
                    self.standing = Standing::Deaf;
                    break;
                }
            }
        }
        if self.sent >= SENT_BYTES || self.pending() == 0 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        if self.pending() < MOST_QUEUED_BYTES {
            self.behind_since = None;
        }
    }

    /// Reads what is not going to be done any more, so that closing is an end and not a reset.
    ///
    /// Always `false`: there is no connection to keep.
    pub fn hang_up(&mut self) -> bool {
        let mut buffer = [0u8; READ_BYTES];
        while matches!((&self.stream).read(&mut buffer), Ok(1..)) {}
        false
    }

    /// Reads what the client asks for; notes if it went away.
    pub fn receive(&mut self) -> Vec<Incoming> {
        let mut buffer = [0u8; READ_BYTES];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => self.is_gone = true,
            Ok(count) => self
                .incoming
                .extend_from_slice(buffer.get(..count).unwrap_or(&[])),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.is_gone = true,
        }
        let mut frames = Vec::new();
        loop {
            match frames::decode(&mut self.incoming) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return frames,
                // Whoever speaks another language cannot be understood from here on either.
                Err(frames::Malformed) => {
                    self.is_gone = true;
                    return frames;
                }
            }
        }
    }

    fn pending(&self) -> usize {
        self.queue.len() - self.sent
    }

    fn queue_frame(&mut self, kind: Outgoing, payload: &[u8]) {
        if self.standing == Standing::Deaf {
            return;
        }
        frames::encode(&mut self.queue, kind, payload);
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn connected() -> (Client, UnixStream, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = UnixStream::connect(&path).unwrap();
        (Client::accept(&listener, b"{}").unwrap(), peer, directory)
    }

    #[test]
    fn a_client_that_never_subscribes_gets_only_the_state_and_the_end() {
        let (mut client, mut peer, _directory) = connected();
        client.offer(Stream::Output, b"unseen");
        client.offer_exit(b"[]");
        client.send();
        assert!(client.has_exit());
        drop(client);
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"\x00\x00\x00\x00\x02{}\x03\x00\x00\x00\x02[]");
    }

    #[test]
    fn a_slow_client_is_behind_and_an_owner_is_waited_for_without_end() {
        let (mut client, _peer, _directory) = connected();
        client.subscribe();
        for _ in 0..80 {
            client.offer(Stream::Output, &[b'x'; READ_BYTES]);
            client.send();
        }
        assert!(client.is_behind());
        assert!(client.deadline().is_some());
        client.own();
        assert_eq!(client.deadline(), None);
        client.give_up();
        assert!(!client.is_behind());
    }

    #[test]
    fn a_client_that_asks_and_leaves_is_heard() {
        let (mut client, mut peer, _directory) = connected();
        peer.write_all(&[13, 0, 0, 0, 1, 9]).unwrap();
        drop(peer);
        client.send();
        assert!(!client.is_gone());
        assert_eq!(client.receive(), [Incoming::Signal(9)]);
        client.receive();
        assert!(client.is_gone());
    }

    #[test]
    fn a_client_that_breaks_the_protocol_is_gone() {
        let (mut client, mut peer, _directory) = connected();
        peer.write_all(&[15, 0, 0, 0, 0, 77, 0, 0, 0, 0]).unwrap();
        assert_eq!(client.receive(), [Incoming::Subscribe]);
        assert!(client.is_gone());
    }
}
