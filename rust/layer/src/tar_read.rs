//! Reading tars of every kind that images are made of, and trusting none.
//!
//! v7, ustar, pax, GNU and star archives; their long names, big numbers, sparse
//! files and attributes. The reader never writes anything: it passes the bytes
//! on and says what they mean.

use std::io::Read;

use crate::content_hash::ContentHasher;
use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, Segment, Xattr};
use crate::error::LayerError;
use crate::index::Index;
use crate::index_build::{IndexBuilder, TarFacts};
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::tape::{Sink, Tape};
use crate::tar_fields::{
    decimal, has_valid_checksum, header_time, number, pax_records, pax_time, text, xattr,
};
use crate::tar_names::{clean, header_name};
use crate::tar_sparse::{self, PaxSparse};
use crate::whiteout::{Meaning, classify};
use crate::xattr::is_kept;

/// Attributes of one entry; a file system holds far fewer.
const MAX_XATTRS: usize = 1024;
/// The longest name and value that Linux has for an attribute.
const MAX_XATTR_BYTES: (usize, usize) = (255, 64 << 10);
/// Records and bytes of global headers. Each entry pays for them, and honest ones hold a comment.
const MAX_GLOBALS: usize = 64;
const MAX_GLOBAL_BYTES: u64 = 16 << 10;

/// Reads a whole tar from `source`, passes every byte to `sink`, and collects what it holds.
///
/// # Errors
///
/// Kinds `bad-tar`, `unsafe-path` and `limit`; whatever `sink` returns.
pub(crate) fn read(
    source: &mut dyn Read,
    sink: Sink<'_>,
    limits: &Limits,
    interrupt: Interrupt,
) -> Result<IndexBuilder, LayerError> {
    let tape = Tape::new(source, sink, interrupt);
    let mut reader = Reader {
        tape,
        limits: *limits,
        index: IndexBuilder::within(limits),
        globals: Vec::new(),
        sparse_bytes: 0,
    };
    reader.run()?;
    Ok(reader.index)
}

/// Reads the tar in `bytes` as [`crate::Layers::ingest`] would, and returns its index.
///
/// For fuzzers: whatever the bytes are, this returns, and what it returns is a
/// whole index. The diff ID in it is no digest of the bytes.
///
/// # Errors
///
/// As ingesting it would.
pub fn index_of(bytes: &[u8], limits: &Limits) -> Result<Index, LayerError> {
    let mut source = bytes;
    let builder = read(&mut source, &mut |_| Ok(()), limits, Interrupt::default())?;
    let facts = TarFacts {
        diff_id: DiffId([0; 32]),
        tar_bytes: bytes.len() as u64,
        extents: Vec::new(),
    };
    let mut out = Vec::new();
    builder.finish(&facts, &mut out)?;
    Index::from_bytes(out)
}

struct Reader<'tape> {
    tape: Tape<'tape>,
    limits: Limits,
    index: IndexBuilder,
    /// Records of global pax headers, in force for every later entry.
    globals: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_bytes: u64,
}

/// What the headers before an entry say about it.
#[derive(Default)]
struct Extras {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime_ns: Option<i64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
    /// Something was said, so an entry has to follow.
    is_pending: bool,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), LayerError> {
        let mut extras = Extras::default();
        loop {
            let offset = self.tape.position();
            let Some(block) = self.tape.block()? else {
                if offset == 0 {
                    return Err(self.bad("it is empty"));
                }
                break;
            };
            if block.iter().all(|byte| *byte == 0) {
                self.end()?;
                break;
            }
            if !has_valid_checksum(&block) {
                let reason = if offset == 0 {
                    "it is no tar, or compressed in a way that is not known"
                } else {
                    "the checksum of a header is wrong"
                };
                return Err(LayerError::BadTar { offset, reason });
            }
            if !self.special(&block, &mut extras)? {
                self.entry(&block, std::mem::take(&mut extras))?;
            }
        }
        if extras.is_pending {
            return Err(self.bad("an extended header has no entry behind it"));
        }
        Ok(())
    }

    /// After the first block of zeros: a second one ends the archive, and what follows is padding.
    fn end(&mut self) -> Result<(), LayerError> {
        match self.tape.block()? {
            Some(block) if block.iter().any(|byte| *byte != 0) => {
                Err(self.bad("a header follows a block of zeros"))
            }
            _ => self.tape.drain(),
        }
    }

    fn bad(&self, reason: &'static str) -> LayerError {
        LayerError::BadTar {
            offset: self.tape.position(),
            reason,
        }
    }

    /// Takes headers that describe the next entry; false if this is an entry itself.
    fn special(&mut self, block: &[u8; 512], extras: &mut Extras) -> Result<bool, LayerError> {
        let type_flag = block[156];
        if !matches!(type_flag, b'x' | b'X' | b'g' | b'L' | b'K' | b'V') {
            return Ok(false);
        }
        let size = self.unsigned(
            &block[124..136],
            "the size of an extended header is unreadable",
        )?;
        if size > self.limits.header_bytes {
            let limit = self.limits.header_bytes;
            return Err(LayerError::Limit {
                what: "bytes in an extended header",
                limit,
            });
        }
        let data = self.tape.bytes(size)?;
        match type_flag {
            b'x' | b'X' => {
                extras.is_pending = true;
                self.pax(&data, extras)?;
            }
            b'g' => self.global(&data)?,
            b'L' => {
                extras.is_pending = true;
                extras.path = Some(text(&data).to_vec());
            }
            b'K' => {
                extras.is_pending = true;
                extras.link = Some(text(&data).to_vec());
            }
            // The label of a volume says nothing about files.
            _ => {}
        }
        Ok(true)
    }

    fn global(&mut self, data: &[u8]) -> Result<(), LayerError> {
        let records = pax_records(data).ok_or_else(|| self.bad("a pax header is malformed"))?;
        let beyond = |what, limit| Err(LayerError::Limit { what, limit });
        for (key, value) in records {
            self.globals.retain(|(known, _)| known != key);
            if !value.is_empty() {
                self.globals.push((key.to_vec(), value.to_vec()));
            }
            if self.globals.len() > MAX_GLOBALS {
                return beyond("records in global headers", MAX_GLOBALS as u64);
            }
        }
        let lengths = self
            .globals
            .iter()
            .map(|(key, value)| key.len() + value.len());
        if lengths.sum::<usize>() as u64 > MAX_GLOBAL_BYTES {
            return beyond("bytes in global headers", MAX_GLOBAL_BYTES);
        }
        Ok(())
    }

    fn pax(&self, data: &[u8], extras: &mut Extras) -> Result<(), LayerError> {
        let records = pax_records(data).ok_or_else(|| self.bad("a pax header is malformed"))?;
        for (key, value) in records {
            self.pax_record(key, value, extras)
                .ok_or_else(|| self.bad("the value of a pax record is unreadable"))?;
        }
        Ok(())
    }

    /// Takes one record; an empty value takes back what a global header said.
    fn pax_record(&self, key: &[u8], value: &[u8], extras: &mut Extras) -> Option<()> {
        match key {
            b"path" => extras.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"linkpath" => extras.link = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"size" if !value.is_empty() => extras.size = Some(decimal(value)?),
            b"uid" if !value.is_empty() => extras.uid = Some(decimal(value)?),
            b"gid" if !value.is_empty() => extras.gid = Some(decimal(value)?),
            b"mtime" if !value.is_empty() => extras.mtime_ns = Some(pax_time(value)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                extras.sparse.take(key, value, &self.limits)?;
            }
            _ => {
                if let Some(attribute) = xattr(key, value) {
                    let (name, value) = attribute?;
                    if extras.xattrs.len() == MAX_XATTRS {
                        return None;
                    }
                    extras.xattrs.retain(|(known, _)| *known != name);
                    extras.xattrs.push((name, value));
                }
            }
        }
        Some(())
    }

    fn unsigned(&self, field: &[u8], reason: &'static str) -> Result<u64, LayerError> {
        number(field)
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| self.bad(reason))
    }

    fn owner(&self, said: Option<u64>, field: &[u8]) -> Result<u32, LayerError> {
        let id = match said {
            Some(id) => id,
            None => self.unsigned(field, "the owner of an entry is unreadable")?,
        };
        // The largest number means "leave it alone" to chown.
        u32::try_from(id)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| self.bad("the owner of an entry is out of range"))
    }

    /// Reads an entry with its content.
    fn entry(&mut self, block: &[u8; 512], extras: Extras) -> Result<(), LayerError> {
        let mut with_globals = Extras::default();
        for (key, value) in &self.globals {
            self.pax_record(key, value, &mut with_globals)
                .ok_or_else(|| self.bad("the value of a pax record is unreadable"))?;
        }
        let extras = extras.over(with_globals);
        let raw_name = extras.sparse.name.clone().or_else(|| extras.path.clone());
        let name = raw_name.unwrap_or_else(|| header_name(block));
        let mut stored = match extras.size {
            Some(size) => size,
            None => self.unsigned(&block[124..136], "the size of an entry is unreadable")?,
        };
        let kind = self.kind(block[156], &name, stored)?;
        let is_hard_link = block[156] == b'1';
        if kind != Kind::File || is_hard_link {
            stored = if block[156] == b'D' { stored } else { 0 };
        }
        let mut entry = Entry::new(clean(&name, &self.limits)?, kind, 0);
        entry.mode =
            self.unsigned(&block[100..108], "the mode of an entry is unreadable")? as u32 & 0o7777;
        entry.uid = self.owner(extras.uid, &block[108..116])?;
        entry.gid = self.owner(extras.gid, &block[116..124])?;
        entry.mtime_ns = match extras.mtime_ns {
            Some(nanoseconds) => nanoseconds,
            None => number(&block[136..148])
                .map(header_time)
                .ok_or_else(|| self.bad("the time of an entry is unreadable"))?,
        };
        entry.xattrs = extras
            .xattrs
            .iter()
            .filter(|(name, _)| is_kept(name))
            .cloned()
            .collect();
        entry.xattrs.sort();
        let (name_bytes, value_bytes) = MAX_XATTR_BYTES;
        let is_long = |(name, value): &Xattr| name.len() > name_bytes || value.len() > value_bytes;
        if entry.xattrs.iter().any(is_long) {
            return Err(LayerError::BadEntry {
                path: entry.path,
                reason: "has an extended attribute that is longer than Linux allows",
            });
        }
        let link = extras
            .link
            .clone()
            .unwrap_or_else(|| text(&block[157..257]).to_vec());
        self.set_link(&mut entry, link, is_hard_link)?;
        if matches!(kind, Kind::Character | Kind::Block) {
            let device = |field| number(field).and_then(|n| u32::try_from(n).ok());
            entry.device = device(&block[329..337])
                .zip(device(&block[337..345]))
                .ok_or_else(|| self.bad("the numbers of a device are unreadable"))?;
            if kind == Kind::Character && entry.device == (0, 0) {
                // A mount would take this device for a whiteout, so it is one.
                entry = Entry::new(entry.path, Kind::Whiteout, 0);
            }
        }
        self.content(block, extras, stored, &mut entry)?;
        self.add(entry)
    }

    fn kind(&self, type_flag: u8, name: &[u8], size: u64) -> Result<Kind, LayerError> {
        Ok(match type_flag {
            // Before ustar a slash at the end was all that made a directory.
            0 | b'0' if name.ends_with(b"/") && size == 0 => Kind::Directory,
            0 | b'0' | b'7' | b'S' | b'1' => Kind::File,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'M' => return Err(self.bad("it is one volume of several")),
            _ => return Err(self.bad("an entry has a type that is not known")),
        })
    }

    fn set_link(&self, entry: &mut Entry, link: Vec<u8>, is_hard: bool) -> Result<(), LayerError> {
        let is_symlink = entry.kind == Kind::Symlink;
        if !is_hard && !is_symlink {
            return Ok(());
        }
        let bad = |reason| LayerError::BadEntry {
            path: entry.path.clone(),
            reason,
        };
        if link.is_empty() {
            return Err(bad("is a link to nothing"));
        }
        if is_hard {
            let target = clean(&link, &self.limits)?;
            if target.is_empty() {
                return Err(bad("is a hard link to a directory"));
            }
            entry.hard_link = Some(target);
            return Ok(());
        }
        if link.contains(&0) {
            return Err(bad("is a link whose text contains a NUL"));
        }
        if link.len() > self.limits.path_bytes {
            let limit = self.limits.path_bytes as u64;
            return Err(LayerError::Limit {
                what: "bytes in a symbolic link",
                limit,
            });
        }
        entry.link_target = Some(link);
        Ok(())
    }

    /// Reads and hashes the content of an entry, holes as zeros.
    fn content(
        &mut self,
        block: &[u8; 512],
        extras: Extras,
        mut stored: u64,
        entry: &mut Entry,
    ) -> Result<(), LayerError> {
        let is_file = entry.kind == Kind::File && entry.hard_link.is_none();
        let sparse = if !is_file {
            None
        } else if block[156] == b'S' {
            Some(tar_sparse::old_gnu(block, &mut self.tape, &self.limits)?)
        } else if extras.sparse.is_sparse() {
            let segments = if extras.sparse.major == Some(1) {
                tar_sparse::pax_1_0(&mut self.tape, &mut stored, &self.limits)?
            } else {
                tar_sparse::pairs(&extras.sparse.numbers)
            };
            extras.sparse.real_size.map(|size| (segments, size))
        } else {
            None
        };
        entry.data_offset = self.tape.position();
        entry.size = if is_file { stored } else { 0 };
        if let Some((segments, real_size)) = sparse {
            self.set_segments(entry, segments, real_size, stored)?;
        }
        let mut hasher = ContentHasher::new(&entry.segments);
        self.tape
            .content(stored, &mut |piece| hasher.update(piece))?;
        if is_file {
            entry.digest = Some(hasher.finish(entry.size));
        }
        Ok(())
    }

    fn set_segments(
        &mut self,
        entry: &mut Entry,
        segments: Vec<Segment>,
        real_size: u64,
        stored: u64,
    ) -> Result<(), LayerError> {
        self.sparse_bytes = self.sparse_bytes.saturating_add(real_size);
        if self.sparse_bytes > self.limits.sparse_bytes {
            let limit = self.limits.sparse_bytes;
            return Err(LayerError::Limit {
                what: "bytes in sparse files",
                limit,
            });
        }
        let path = entry.path.clone();
        entry.segments =
            tar_sparse::checked(segments, real_size, stored).ok_or(LayerError::BadEntry {
                path,
                reason: "is a sparse file whose map contradicts its size",
            })?;
        if entry.segments.is_empty() && real_size > 0 {
            // One hole and nothing else still has to look sparse.
            entry.segments.push(Segment {
                offset: real_size,
                length: 0,
            });
        }
        entry.size = real_size;
        Ok(())
    }

    /// Puts the entry, or what its name stands for, into the index.
    fn add(&mut self, entry: Entry) -> Result<(), LayerError> {
        match classify(&entry.path)? {
            Meaning::Entry => self.index.push(&entry),
            Meaning::Hides(path) => self.index.push(&Entry::new(path, Kind::Whiteout, 0)),
            Meaning::Opaque(path) => {
                let mut directory = Entry::new(path, Kind::Directory, 0o755);
                (directory.is_opaque, directory.is_implicit) = (true, true);
                self.index.push(&directory);
            }
            Meaning::Private => {}
        }
        if self.index.len() > self.limits.entries {
            return Err(LayerError::Limit {
                what: "entries",
                limit: self.limits.entries as u64,
            });
        }
        if self.index.heap_bytes() > self.limits.index_bytes {
            let limit = self.limits.index_bytes as u64;
            return Err(LayerError::Limit {
                what: "bytes of names and attributes",
                limit,
            });
        }
        Ok(())
    }
}

impl Extras {
    /// What this says, and where it is silent what `globals` say.
    fn over(mut self, globals: Extras) -> Extras {
        self.path = self.path.or(globals.path);
        self.link = self.link.or(globals.link);
        self.size = self.size.or(globals.size);
        self.uid = self.uid.or(globals.uid);
        self.gid = self.gid.or(globals.gid);
        self.mtime_ns = self.mtime_ns.or(globals.mtime_ns);
        for (name, value) in globals.xattrs {
            if !self.xattrs.iter().any(|(known, _)| *known == name) {
                self.xattrs.push((name, value));
            }
        }
        self
    }
}

#[cfg(test)]
#[path = "tar_read_tests.rs"]
mod tests;
