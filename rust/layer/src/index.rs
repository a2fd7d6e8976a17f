//! Reading an index: what a layer holds, without its tar.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use dissolver_sys::mmap::Map;

use crate::diff_id::DiffId;
use crate::entry::{Entry, compare_paths};
use crate::error::LayerError;
use crate::index_format::{
    EXTENT_BYTES, Extent, HEADER_BYTES, Header, INDEX_VERSION, MAGIC, RECORD_BYTES, Record,
};

/// The index of one layer, mapped into memory.
///
/// Opening it reads the header alone; a lookup touches the few records that a
/// binary search passes. Every offset is checked when it is followed, so a
/// damaged file gives [`LayerError::BadIndex`] and nothing worse.
pub struct Index {
    bytes: Bytes,
    header: Header,
    path: PathBuf,
    records_start: usize,
    heap_start: usize,
}

enum Bytes {
    Mapped(Map),
    Owned(Vec<u8>),
}

impl fmt::Debug for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Index({}, {} paths)", self.diff_id(), self.len())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// Where a path is in an index, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The number of its record.
    Found(u32),
    /// The number of the first record that is greater.
    Absent(u32),
}

impl Index {
    /// Maps the index at `path`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if it is none or is cut short,
    /// [`LayerError::UnknownIndexVersion`] if another version wrote it.
    pub fn open(path: &Path) -> Result<Index, LayerError> {
        let file = File::open(path).map_err(LayerError::io("open", path))?;
        let map = Map::of(&file).map_err(LayerError::io("mmap", path))?;
        Index::check(Bytes::Mapped(map), path.to_owned())
    }

    /// Reads an index that lies in memory already.
    ///
    /// # Errors
    ///
    /// As [`Index::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Index, LayerError> {
        Index::check(Bytes::Owned(bytes), PathBuf::from("index"))
    }

    fn check(bytes: Bytes, path: PathBuf) -> Result<Index, LayerError> {
        let bad = |reason| LayerError::BadIndex {
            path: path.clone(),
            reason,
        };
        if bytes.get(..MAGIC.len()) != Some(&MAGIC[..]) {
            return Err(bad("it does not begin as an index does"));
        }
        let version = bytes
            .get(8..12)
            .and_then(|field| field.try_into().ok())
            .map(u32::from_le_bytes)
            .ok_or_else(|| bad("it is cut short"))?;
        if version != INDEX_VERSION {
            let path = path.clone();
            return Err(LayerError::UnknownIndexVersion {
                path,
                found: version,
                known: INDEX_VERSION,
            });
        }
        let header = Header::decode(&bytes).ok_or_else(|| bad("it is cut short"))?;
        let records_start = HEADER_BYTES + header.extent_count as usize * EXTENT_BYTES;
        let heap_start = records_start + header.record_count as usize * RECORD_BYTES;
        let expected = u64::try_from(heap_start)
            .ok()
            .and_then(|n| n.checked_add(header.heap_bytes));
        if expected != u64::try_from(bytes.len()).ok() {
            return Err(bad("its length is not what its header says"));
        }
        if header.record_count == 0 {
            return Err(bad("it has no root"));
        }
        Ok(Index {
            bytes,
            header,
            path,
            records_start,
            heap_start,
        })
    }

    pub(crate) fn bad(&self, reason: &'static str) -> LayerError {
        LayerError::BadIndex {
            path: self.path.clone(),
            reason,
        }
    }

    /// The layer's name.
    #[must_use]
    pub fn diff_id(&self) -> DiffId {
        DiffId(self.header.diff_id)
    }

    /// Gives back the memory of what was read so far; an index that is read again is mapped again.
    pub(crate) fn release(&self) {
        if let Bytes::Mapped(map) = &self.bytes {
            map.release();
        }
    }

    /// BLAKE3 of everything that the index says but the diff ID and sums.
    pub(crate) fn body_digest(&self) -> [u8; 32] {
        self.header.body_digest
    }

    /// Bytes of the uncompressed tar.
    #[must_use]
    pub fn tar_bytes(&self) -> u64 {
        self.header.tar_bytes
    }

    /// Bytes of all files together, hard links counted once.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.header.content_bytes
    }

    /// Entries of the tar, whiteouts included, implied directories not.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.header.entry_count
    }

    /// Directories below the root that the tar has no header for.
    #[must_use]
    pub fn implied_count(&self) -> u32 {
        self.header.implied_count
    }

    /// How many paths the index knows: the root, every entry, every directory above one.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.header.record_count
    }

    /// Never true: an index holds the root at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// The stretches of the tar, in order.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if they do not make up the tar.
    pub fn extents(&self) -> Result<Vec<Extent>, LayerError> {
        let area = self
            .bytes
            .get(HEADER_BYTES..self.records_start)
            .ok_or_else(|| self.bad("it is cut short"))?;
        let mut position = 0;
        let mut extents = Vec::with_capacity(self.header.extent_count as usize);
        for chunk in area.chunks_exact(EXTENT_BYTES) {
            let extent =
                Extent::decode(chunk).ok_or_else(|| self.bad("an extent is unreadable"))?;
            if extent.tar_offset != position
                || extent.pack_offset.checked_add(extent.length).is_none()
            {
                return Err(self.bad("its extents leave a gap"));
            }
            position = position
                .checked_add(extent.length)
                .ok_or_else(|| self.bad("its extents are too long"))?;
            extents.push(extent);
        }
        if position != self.header.tar_bytes {
            return Err(self.bad("its extents are not the whole tar"));
        }
        Ok(extents)
    }

    /// Compares everything behind the header with the digest in it.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if a bit is not what it was.
    pub fn verify(&self) -> Result<(), LayerError> {
        let body = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        if *blake3::hash(body).as_bytes() != self.header.body_digest {
            return Err(self.bad("its content is not what it was when it was written"));
        }
        Ok(())
    }

    pub(crate) fn record(&self, number: u32) -> Result<Record, LayerError> {
        if number >= self.header.record_count {
            return Err(self.bad("a record points past the end"));
        }
        let start = self.records_start + number as usize * RECORD_BYTES;
        self.bytes
            .get(start..start + RECORD_BYTES)
            .and_then(Record::decode)
            .ok_or_else(|| self.bad("a record is unreadable"))
    }

    fn heap(&self) -> &[u8] {
        self.bytes.get(self.heap_start..).unwrap_or_default()
    }

    pub(crate) fn path_of(&self, record: &Record) -> Result<&[u8], LayerError> {
        record
            .path
            .of(self.heap())
            .ok_or_else(|| self.bad("a path lies outside the heap"))
    }

    /// The path of record `number`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn path(&self, number: u32) -> Result<&[u8], LayerError> {
        self.path_of(&self.record(number)?)
    }

    /// Everything about record `number`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn entry(&self, number: u32) -> Result<Entry, LayerError> {
        self.entry_of(&self.record(number)?)
    }

    /// What [`crate::index_format::encode_extra`] made of the entry.
    pub(crate) fn extra_of(&self, record: &Record) -> Result<&[u8], LayerError> {
        record
            .extra
            .of(self.heap())
            .ok_or_else(|| self.bad("a field lies outside the heap"))
    }

    pub(crate) fn entry_of(&self, record: &Record) -> Result<Entry, LayerError> {
        record
            .entry(self.path_of(record)?, self.extra_of(record)?)
            .ok_or_else(|| self.bad("the fields of a record are unreadable"))
    }

    /// The number of the first record behind the subtree of `number`.
    ///
    /// Always greater than `number` and at most [`Index::len`], so that a loop
    /// over it ends even when the file is damaged.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn subtree_end(&self, number: u32) -> Result<u32, LayerError> {
        self.end_of(number, &self.record(number)?)
    }

    pub(crate) fn end_of(&self, number: u32, record: &Record) -> Result<u32, LayerError> {
        if record.subtree_end <= number || record.subtree_end > self.header.record_count {
            return Err(self.bad("a subtree ends before it begins"));
        }
        Ok(record.subtree_end)
    }

    /// Looks `path` up by binary search.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn find(&self, path: &[u8]) -> Result<Position, LayerError> {
        let (mut low, mut high) = (0, self.header.record_count);
        while low < high {
            let middle = low + (high - low) / 2;
            match compare_paths(self.path(middle)?, path) {
                Ordering::Equal => return Ok(Position::Found(middle)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(Position::Absent(low))
    }

    /// Everything about `path`, if this layer has it.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn get(&self, path: &[u8]) -> Result<Option<Entry>, LayerError> {
        match self.find(path)? {
            Position::Found(number) => self.entry(number).map(Some),
            Position::Absent(_) => Ok(None),
        }
    }

    /// All entries in order: every directory before what it holds.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, LayerError>> + '_ {
        (0..self.header.record_count).map(|number| self.entry(number))
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
