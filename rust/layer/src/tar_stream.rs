//! A tar that is written to a descriptor as its entries are found.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::os::fd::BorrowedFd;

use crate::entry::{Entry, Kind};
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::patient::Patient;
use crate::{os_path, tar_header};

/// Bytes collected before they are written, and read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// What a content that ends before its size is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shorter {
    /// Damage.
    Refused,
    /// Somebody's file that was cut while it was read: zeros take the place of what is missing.
    Padded,
}

/// A tar in the making.
pub(crate) struct TarStream<'work> {
    out: BufWriter<Patient>,
    buffer: Vec<u8>,
    headers: Vec<u8>,
    interrupt: &'work Interrupt,
}

impl<'work> TarStream<'work> {
    pub(crate) fn new(
        out: BorrowedFd<'_>,
        interrupt: &'work Interrupt,
    ) -> Result<TarStream<'work>, LayerError> {
        let owned = out
            .try_clone_to_owned()
            .map_err(LayerError::io("dup", "output"))?;
        Ok(TarStream {
            out: BufWriter::with_capacity(BUFFER_BYTES, Patient::new(File::from(owned), interrupt)),
            buffer: vec![0; BUFFER_BYTES],
            headers: Vec::new(),
            interrupt,
        })
    }

    /// Adds what has no content: anything but a file that is not empty, and hard links.
    pub(crate) fn bare(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.interrupt.check()?;
        self.headers.clear();
        tar_header::encode(entry, &entry.path, &mut self.headers);
        self.out.write_all(&self.headers).map_err(output)
    }

    /// Adds a file with the first `entry.size` bytes of `content`.
    pub(crate) fn file(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        shorter: Shorter,
    ) -> Result<(), LayerError> {
        debug_assert!(entry.kind == Kind::File && entry.hard_link.is_none());
        self.bare(entry)?;
        let mut left = entry.size;
        while left > 0 {
            self.interrupt.check()?;
            let wanted = self
                .buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let mut count = match content.read(&mut self.buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(LayerError::io("read", os_path(&entry.path)))?,
            };
            if count == 0 {
                if shorter == Shorter::Refused {
                    return Err(LayerError::ChangedWhileRead {
                        path: entry.path.clone(),
                    });
                }
                self.buffer[..wanted].fill(0);
                count = wanted;
            }
            self.out.write_all(&self.buffer[..count]).map_err(output)?;
            left -= count as u64;
        }
        let block = tar_header::BLOCK as u64;
        let padding = (block - entry.size % block) % block;
        self.out
            .write_all(&[0; tar_header::BLOCK][..padding as usize])
            .map_err(output)
    }

    /// Ends the tar.
    pub(crate) fn finish(mut self) -> Result<(), LayerError> {
        self.out
            .write_all(&[0; 2 * tar_header::BLOCK])
            .and_then(|()| self.out.flush())
            .map_err(output)
    }
}

fn output(error: io::Error) -> LayerError {
    LayerError::io("write", "output")(error)
}
