//! A file that remembers content digests by what `stat` says of the files.
//!
//! Format 1, all numbers little-endian:
//!
//! ```text
//! "DSLVSTAT"  8 bytes
//! version     u32
//! records     u32
//! checksum    32 bytes, BLAKE3 of everything behind it
//! record      device u64, inode u64, size u64, mtime i64 ns, ctime i64 ns, BLAKE3 of the content 32 bytes,
//!             length of the path u16, number of attributes u16, path,
//!             then for each attribute: length of name u16, length of value u32, name, value
//! ```
//!
//! Records are in the order of the tree. A record is written only for a file
//! whose times were safely in the past when it was read; any later change gives
//! it other times, so a record that agrees with `stat` can be believed. (The
//! change time cannot be set by programs; the modification time can.) Whatever is
//! wrong with the file, it counts as empty and is written anew.

use crate::tree::{Content, Kind, Stat, Tree, compare_paths};
use dissolver_digest::{ContentDigest, blake3_of};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DSLVSTAT";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 32;
/// Longest path and attribute name that a record can hold; the kernel allows less.
const LONGEST: usize = u16::MAX as usize;

/// The cache file of one tree.
#[derive(Debug)]
pub(crate) struct StatCache {
    path: PathBuf,
}

impl StatCache {
    /// Fills in the contents that the cache file knows, where `stat` says the same as then.
    pub fn load(path: PathBuf, tree: &Tree) -> StatCache {
        if let Ok(bytes) = std::fs::read(&path) {
            fill(tree, &bytes);
        }
        StatCache { path }
    }

    /// Writes what is known now; readers see the old file or the new one, and a crash leaves one of them.
    pub fn save(&self, tree: &Tree) {
        // A full disk or a read-only store makes builds slower, not wrong.
        drop(replace(&self.path, &encode(tree)));
    }
}

fn fill(tree: &Tree, bytes: &[u8]) -> Option<()> {
    let header = bytes.get(..HEADER_BYTES)?;
    let body = &bytes[HEADER_BYTES..];
    let expected = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
    if !header.starts_with(&expected) || header[16..] != blake3_of(body).as_bytes()[..] {
        return None;
    }
    let mut records = Fields(body);
    let mut number = 0;
    for _ in 0..u32::from_le_bytes(header[12..16].try_into().ok()?) {
        let record = Record::decode(&mut records)?;
        while number < tree.len() && compare_paths(tree.path(number), record.path) == Ordering::Less
        {
            number += 1;
        }
        if number == tree.len() {
            break;
        }
        if tree.path(number) == record.path && record.describes(tree.stat(number)) {
            drop(tree.node(number).content.set(record.content));
        }
    }
    Some(())
}

fn encode(tree: &Tree) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    let mut count: u32 = 0;
    for number in 0..tree.len() {
        let Some(content) = tree.content(number).filter(|content| content.is_settled) else {
            continue;
        };
        if encode_record(tree.path(number), tree.stat(number), content, &mut bytes).is_some() {
            count += 1;
        }
    }
    let (header, body) = bytes.split_at_mut(HEADER_BYTES);
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&count.to_le_bytes());
    header[16..].copy_from_slice(blake3_of(body).as_bytes());
    bytes
}

fn encode_record(path: &[u8], stat: &Stat, content: &Content, out: &mut Vec<u8>) -> Option<()> {
    let xattr_count = u16::try_from(content.xattrs.len()).ok()?;
    let path_length = u16::try_from(path.len()).ok()?;
    if content
        .xattrs
        .iter()
        .any(|(name, value)| name.len() > LONGEST || value.len() > 1 << 20)
    {
        return None;
    }
    for number in [stat.device, stat.inode, stat.size] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&stat.mtime_ns.to_le_bytes());
    out.extend_from_slice(&stat.ctime_ns.to_le_bytes());
    out.extend_from_slice(content.digest.as_bytes());
    out.extend_from_slice(&path_length.to_le_bytes());
    out.extend_from_slice(&xattr_count.to_le_bytes());
    out.extend_from_slice(path);
    for (name, value) in &content.xattrs {
        // Both lengths were checked above.
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    Some(())
}

struct Record<'a> {
    path: &'a [u8],
    device: u64,
    inode: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    content: Content,
}

impl<'a> Record<'a> {
    fn decode(fields: &mut Fields<'a>) -> Option<Record<'a>> {
        let [device, inode, size] = [fields.u64()?, fields.u64()?, fields.u64()?];
        let [mtime_ns, ctime_ns] = [fields.i64()?, fields.i64()?];
        let digest = ContentDigest::from_bytes(fields.take()?);
        let path_length = usize::from(u16::from_le_bytes(fields.take()?));
        let xattr_count = u16::from_le_bytes(fields.take()?);
        let path = fields.bytes(path_length)?;
        let mut xattrs = Vec::new();
        for _ in 0..xattr_count {
            let name_length = usize::from(u16::from_le_bytes(fields.take()?));
            let value_length = u32::from_le_bytes(fields.take()?) as usize;
            xattrs.push((
                fields.bytes(name_length)?.to_vec(),
                fields.bytes(value_length)?.to_vec(),
            ));
        }
        let content = Content {
            digest,
            xattrs: xattrs.into(),
            is_settled: true,
        };
        Some(Record {
            path,
            device,
            inode,
            size,
            mtime_ns,
            ctime_ns,
            content,
        })
    }

    fn describes(&self, stat: &Stat) -> bool {
        stat.kind == Kind::File
            && (self.device, self.inode, self.size) == (stat.device, stat.inode, stat.size)
            && (self.mtime_ns, self.ctime_ns) == (stat.mtime_ns, stat.ctime_ns)
    }
}

/// Takes fields off the front of a slice, and nothing past its end.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

/// Replaces the file at `path` in one step.
///
/// The new file is written under one fixed name beside it, held by a lock. A
/// process that dies leaves at most that one file, which the next one takes over;
/// a process that finds it locked leaves the work to the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(open(&beside, flags, Mode::from_raw_mode(0o600))?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // The holder of the lock may have renamed the file between `open` and `flock`.
    let (ours, named) = (fstat(&file)?, stat(&beside)?);
    if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino) {
        return Ok(());
    }
    file.set_len(0)?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, path)
}
