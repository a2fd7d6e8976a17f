//! The stream of a tar: read once, in blocks, with every byte passed on.

use std::io::{ErrorKind, Read};

use crate::error::LayerError;
use crate::interrupt::Interrupt;

/// Bytes read from the source at once; decompressors and pipes are happy with it.
const BUFFER_BYTES: usize = 256 << 10;

/// What is called with every byte of the stream, in order, before it is looked at.
pub(crate) type Sink<'tape> = &'tape mut dyn FnMut(&[u8]) -> Result<(), LayerError>;

/// A tar that is being read.
pub(crate) struct Tape<'tape> {
    source: &'tape mut dyn Read,
    sink: Sink<'tape>,
    interrupt: Interrupt,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
}

impl<'tape> Tape<'tape> {
    pub(crate) fn new(
        source: &'tape mut dyn Read,
        sink: Sink<'tape>,
        interrupt: Interrupt,
    ) -> Self {
        Tape {
            source,
            sink,
            interrupt,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            position: 0,
        }
    }

    /// Bytes that were taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Takes one block of 512 bytes; `None` at the end of the stream.
    ///
    /// Zeros that are no whole block are the end as well: what is left of the blocks
    /// that should be there.
    pub(crate) fn block(&mut self) -> Result<Option<[u8; 512]>, LayerError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            let available = self.available()?;
            if available.is_empty() {
                if block[..filled].iter().all(|byte| *byte == 0) {
                    return Ok(None);
                }
                return Err(self.cut_short());
            }
            let count = available.len().min(block.len() - filled);
            block[filled..filled + count].copy_from_slice(&available[..count]);
            self.consume(count);
            filled += count;
        }
        Ok(Some(block))
    }

    /// Takes `count` bytes and the padding behind them, giving them to `take` piece by piece.
    ///
    /// The stream may end within the padding: some writers leave out that of their last
    /// entry, and no content is missing without it.
    pub(crate) fn content(
        &mut self,
        count: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), LayerError> {
        self.take(count, take)?;
        let mut padding = (512 - count % 512) % 512;
        while padding > 0 {
            let count = (self.available()?.len() as u64).min(padding);
            if count == 0 {
                break;
            }
            self.consume(count as usize);
            padding -= count;
        }
        Ok(())
    }

    fn take(&mut self, count: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), LayerError> {
        let mut left = count;
        while left > 0 {
            let available = self.available()?;
            if available.is_empty() {
                return Err(self.cut_short());
            }
            let count = available
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&available[..count]);
            self.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Takes `count` bytes at once; the caller has limited the number.
    pub(crate) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, LayerError> {
        let mut bytes = Vec::new();
        self.content(count, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Takes whatever is left.
    pub(crate) fn drain(&mut self) -> Result<(), LayerError> {
        loop {
            let count = self.available()?.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.position += count as u64;
    }

    /// What is at hand, read if there is nothing; empty at the end.
    fn available(&mut self) -> Result<&[u8], LayerError> {
        if self.start == self.end {
            self.interrupt.check()?;
            (self.start, self.end) = (0, 0);
            self.end = loop {
                match self.source.read(&mut self.buffer) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(from_source(error)),
                }
            };
            (self.sink)(&self.buffer[..self.end])?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn cut_short(&self) -> LayerError {
        LayerError::BadTar {
            offset: self.position,
            reason: "it is cut short",
        }
    }
}

/// Sources wrap their own failures in the standard library's error; this unwraps them.
fn from_source(error: std::io::Error) -> LayerError {
    match error.downcast::<LayerError>() {
        Ok(own) => own,
        Err(source) => LayerError::Io {
            op: "read",
            path: "archive".into(),
            source,
        },
    }
}
