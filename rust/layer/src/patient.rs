//! Files whose other end may keep us waiting.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::interrupt::Interrupt;

/// How long an interrupt may wait to be noticed.
const CHECK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// What a pipe that takes anything takes at once: `PIPE_BUF` of `pipe(7)`.
const PIECE_BYTES: usize = 4096;

/// A file that hears an interrupt while it waits for whoever is at its other end.
///
/// A program that reads nothing, or writes nothing, may keep a thread in the kernel for ever.
/// So this waits for a pipe, a socket or a terminal in short turns, and writes no more at once
/// than it takes. What comes of an interrupt becomes [`crate::LayerError::Interrupted`].
#[derive(Debug)]
pub struct Patient {
    file: File,
    interrupt: Interrupt,
    has_to_wait: bool,
}

impl Patient {
    /// Makes one of an open file.
    pub fn new(file: File, interrupt: &Interrupt) -> Patient {
        let is_ordinary = file.metadata().is_ok_and(|facts| facts.is_file());
        Patient {
            file,
            interrupt: interrupt.clone(),
            has_to_wait: !is_ordinary,
        }
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        loop {
            if self.interrupt.check().is_err() {
                return Err(io::Error::other(Stopped));
            }
            match poll(&mut [PollFd::new(&self.file, flags)], Some(&CHECK_EVERY)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_to_wait {
            self.wait(PollFlags::IN)?;
        }
        self.file.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_to_wait {
            return self.file.write(bytes);
        }
        self.wait(PollFlags::OUT)?;
        self.file.write(&bytes[..bytes.len().min(PIECE_BYTES)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Why reading or writing ended: somebody asked for it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Stopped;

/// Tells whether a failure is that of a [`Patient`] that was interrupted.
pub(crate) fn is_interrupt(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerError;
    use std::thread;
    use std::time::Duration;

    fn pipe() -> (File, File) {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        (reading.into(), writing.into())
    }

    fn interrupted_soon<T: Send>(
        work: impl FnOnce(&Interrupt) -> io::Result<T> + Send,
    ) -> LayerError {
        let interrupt = Interrupt::default();
        thread::scope(|scope| {
            let working = scope.spawn(|| work(&interrupt).map(drop).unwrap_err());
            thread::sleep(Duration::from_millis(50));
            interrupt.set();
            LayerError::io("use", "pipe")(working.join().unwrap())
        })
    }

    #[test]
    fn a_reader_of_a_silent_pipe_hears_an_interrupt() {
        let (reading, _writing) = pipe();
        let error = interrupted_soon(|interrupt| Patient::new(reading, interrupt).read(&mut [0]));
        assert!(matches!(error, LayerError::Interrupted));
    }

    #[test]
    fn a_writer_to_a_pipe_that_nobody_reads_hears_an_interrupt() {
        let (_reading, writing) = pipe();
        let bytes = vec![0; 1 << 20];
        let error =
            interrupted_soon(|interrupt| Patient::new(writing, interrupt).write_all(&bytes));
        assert!(matches!(error, LayerError::Interrupted));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (reading, writing) = pipe();
        let bytes: Vec<u8> = (0..1_000_000).map(|number: u32| number as u8).collect();
        let interrupt = Interrupt::default();
        let read = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut read = Vec::new();
                Patient::new(reading, &interrupt)
                    .read_to_end(&mut read)
                    .unwrap();
                read
            });
            Patient::new(writing, &interrupt).write_all(&bytes).unwrap();
            reading.join().unwrap()
        });
        assert_eq!(read, bytes);
    }

    #[test]
    fn a_pipe_without_a_reader_is_broken() {
        let (reading, writing) = pipe();
        drop(reading);
        let error = Patient::new(writing, &Interrupt::default())
            .write(b"x")
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
