//! Files mapped into memory, read-only.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// The bytes of a file, mapped read-only and privately.
///
/// Meant for files that got their final name when they were complete and are
/// never changed afterwards, as everything in the store is.
#[derive(Debug)]
pub struct Map {
    bytes: memmap2::Mmap,
}

impl Map {
    /// Maps the whole of `file`; an empty file gives an empty slice.
    ///
    /// # Errors
    ///
    /// What `fstat(2)` or `mmap(2)` report.
    pub fn of(file: &File) -> io::Result<Map> {
        // SAFETY: the mapping owns its memory until it is dropped. Files that
        // are mapped here are written once, renamed into place and from then on
        // only unlinked, never truncated or written, so the bytes stay valid.
        let bytes = unsafe { memmap2::Mmap::map(file)? };
        Ok(Map { bytes })
    }

    /// Gives the pages that were looked at back; what is looked at again is read again.
    ///
    /// For maps that are kept, and were read from one end to the other.
    pub fn release(&self) {
        // SAFETY: the mapping is of a file and never written to, so a page that is
        // dropped comes back with the same bytes when somebody reads it.
        let advised = unsafe {
            self.bytes
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
        // Advice that is not taken costs memory and nothing else.
        drop(advised);
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
