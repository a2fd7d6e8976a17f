//! A file that remembers content digests by what `stat` says of the files.
//!
//! Format 2, all numbers little-endian:
//!
//! ```text
//! "DSLVSTAT"  8 bytes
//! version     u32
//! records     u32
//! checksum    32 bytes, BLAKE3 of everything behind it
//! context     length u16, path of the directory
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
use dissolver_digest::{ContentDigest, HashingWriter};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const MAGIC: &[u8; 8] = b"DSLVSTAT";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 8 + 4 + 4 + 32;
/// Longest path and attribute name that a record can hold; the kernel allows less.
const LONGEST: usize = u16::MAX as usize;
/// Longest value of an attribute that is remembered; the kernel allows 64 KiB.
const LONGEST_VALUE: usize = 1 << 20;
/// Bytes read and written at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// A cache that is used says so with its time, this often: what is not used is removed one day.
const MARKED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The cache file of one tree.
#[derive(Debug)]
pub(crate) struct StatCache {
    path: PathBuf,
}

impl StatCache {
    /// Fills in the contents that the cache file knows, where `stat` says the same as then.
    pub fn load(path: PathBuf, tree: &Tree) -> StatCache {
        // Whatever is wrong with the file, it says nothing.
        drop(fill(tree, &path));
        StatCache { path }
    }

    /// Writes what is known now; readers see the old file or the new one, and a crash leaves one of them.
    ///
    /// What is not in the tree any more is forgotten, so the file is bounded by the context.
    pub fn save(&self, tree: &Tree) {
        // A full disk or a read-only store makes builds slower, not wrong.
        drop(replace(&self.path, &|file| encode(tree, file)));
    }
}

/// The directory that the stat cache at `path` is about; `None` for a file that is none, or damaged.
#[must_use]
pub fn stat_cache_context(path: &Path) -> Option<PathBuf> {
    let (mut records, _) = open_records(path).ok()??;
    Some(OsStr::from_bytes(&records.context().ok()??).into())
}

/// Opens a cache file whose header and checksum are right; also tells how many records it has.
fn open_records(path: &Path) -> io::Result<Option<(Fields<BufReader<File>>, u32)>> {
    let mut file = File::open(path)?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        };
    }
    let is_ours = header[..8] == MAGIC[..]
        && header[8..12] == VERSION.to_le_bytes()
        && header[16..] == hasher.finalize().as_bytes()[..];
    if !is_ours {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
    let [.., a, b, c, d] = header[..16] else {
        return Ok(None);
    };
    let reader = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(Some((Fields(reader), u32::from_le_bytes([a, b, c, d]))))
}

fn mark_used(file: &File) {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|facts| facts.modified());
    let is_marked = modified
        .is_ok_and(|modified| now.duration_since(modified).unwrap_or_default() < MARKED_EVERY);
    if !is_marked {
        // In a read-only store nothing is ever removed either.
        drop(file.set_modified(now));
    }
}

fn fill(tree: &Tree, path: &Path) -> io::Result<()> {
    let Some((mut records, count)) = open_records(path)? else {
        return Ok(());
    };
    mark_used(records.0.get_ref());
    records.context()?;
    let mut number = 0;
    for _ in 0..count {
        let Some(record) = Record::decode(&mut records)? else {
            break;
        };
        while number < tree.len()
            && compare_paths(tree.path(number), &record.path) == Ordering::Less
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
    Ok(())
}

fn encode(tree: &Tree, file: &File) -> io::Result<()> {
    let mut unhashed = BufWriter::with_capacity(BUFFER_BYTES, file);
    unhashed.write_all(&[0; HEADER_BYTES])?;
    let mut out = HashingWriter::<_, blake3::Hasher>::new(unhashed);
    let context = std::fs::canonicalize(tree.root())?;
    let context = context.as_os_str().as_bytes();
    let length = u16::try_from(context.len()).unwrap_or(0);
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&context[..usize::from(length)])?;
    let mut count: u32 = 0;
    let mut record = Vec::new();
    for number in 0..tree.len() {
        let Some(content) = tree.content(number).filter(|content| content.is_settled) else {
            continue;
        };
        record.clear();
        if encode_record(tree.path(number), tree.stat(number), content, &mut record).is_some() {
            out.write_all(&record)?;
            count += 1;
        }
    }
    let checksum = out.digest();
    out.into_inner().flush()?;
    let header = [
        &MAGIC[..],
        &VERSION.to_le_bytes(),
        &count.to_le_bytes(),
        checksum.as_bytes(),
    ]
    .concat();
    file.write_all_at(&header, 0)
}

fn encode_record(path: &[u8], stat: &Stat, content: &Content, out: &mut Vec<u8>) -> Option<()> {
    let xattr_count = u16::try_from(content.xattrs.len()).ok()?;
    let path_length = u16::try_from(path.len()).ok()?;
    if content
        .xattrs
        .iter()
        .any(|(name, value)| name.len() > LONGEST || value.len() > LONGEST_VALUE)
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

struct Record {
    path: Vec<u8>,
    device: u64,
    inode: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    content: Content,
}

impl Record {
    /// Takes the next record; `None` for one that cannot be.
    fn decode<R: Read>(fields: &mut Fields<R>) -> io::Result<Option<Record>> {
        let [device, inode, size] = [fields.u64()?, fields.u64()?, fields.u64()?];
        let [mtime_ns, ctime_ns] = [fields.i64()?, fields.i64()?];
        let digest = ContentDigest::from_bytes(fields.take()?);
        let path_length = usize::from(fields.u16()?);
        let xattr_count = fields.u16()?;
        let path = fields.bytes(path_length)?;
        let mut xattrs = Vec::new();
        for _ in 0..xattr_count {
            let name_length = usize::from(fields.u16()?);
            let value_length = u32::from_le_bytes(fields.take()?) as usize;
            if value_length > LONGEST_VALUE {
                return Ok(None);
            }
            xattrs.push((fields.bytes(name_length)?, fields.bytes(value_length)?));
        }
        let content = Content {
            digest,
            xattrs: xattrs.into(),
            is_settled: true,
        };
        Ok(Some(Record {
            path,
            device,
            inode,
            size,
            mtime_ns,
            ctime_ns,
            content,
        }))
    }

    fn describes(&self, stat: &Stat) -> bool {
        stat.kind == Kind::File
            && (self.device, self.inode, self.size) == (stat.device, stat.inode, stat.size)
            && (self.mtime_ns, self.ctime_ns) == (stat.mtime_ns, stat.ctime_ns)
    }
}

/// Takes fields off a reader.
struct Fields<R>(R);

impl<R: Read> Fields<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u16(&mut self) -> io::Result<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> io::Result<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The first field of all: the context's directory, unless it was too long to be kept.
    fn context(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = usize::from(self.u16()?);
        let path = self.bytes(length)?;
        Ok(Some(path).filter(|path| !path.is_empty()))
    }
}

/// Replaces the file at `path` in one step.
///
/// The new file is written under one fixed name beside it, held by a lock. A
/// process that dies leaves at most that one file, which the next one takes over;
/// a process that finds it locked leaves the work to the other.
fn replace(path: &Path, write: &dyn Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(open(&beside, flags, Mode::from_raw_mode(0o600))?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // The holder of the lock may have renamed the file between `open` and `flock`.
    let (ours, named) = (fstat(&file)?, stat(&beside)?);
    if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino) {
        return Ok(());
    }
    file.set_len(0)?;
    write(&file)?;
    std::fs::rename(&beside, path)
}
