//! The bytes of an index file; `docs/on-disk.md` draws them.
//!
//! All numbers are little-endian. A file is a header, the extents of the
//! layer's tar, one record of fixed size for each path in the order of
//! [`crate::entry::compare_paths`], and a heap of everything that has no fixed
//! size.

use crate::diff_id::DiffId;
use crate::entry::{ContentDigest, Entry, Kind, Segment};

/// What every index begins with.
pub(crate) const MAGIC: [u8; 8] = *b"DSLVIDX\0";
/// The version of the layout in this file; raise it with every change.
pub const INDEX_VERSION: u32 = 1;
/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 128;
/// Bytes of one extent.
pub(crate) const EXTENT_BYTES: usize = 56;
/// Bytes of one record.
pub(crate) const RECORD_BYTES: usize = 104;

const IMPLICIT: u8 = 1;
const HARD_LINK: u8 = 2;
const OPAQUE: u8 = 4;
/// The entry or a directory above it hides what lies below it in lower layers.
const COVERS: u8 = 8;

/// One stretch of the layer's tar and the pack that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where the stretch begins in the tar; a multiple of 512.
    pub tar_offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// Where it begins in the pack; a multiple of 512.
    pub pack_offset: u64,
    /// The pack, by the number in its file name.
    pub pack: [u8; 32],
}

impl Extent {
    /// The one extent of a tar that lies in a pack of its own, named as its layer.
    pub(crate) fn whole(diff_id: DiffId, tar_bytes: u64) -> Extent {
        Extent {
            tar_offset: 0,
            length: tar_bytes,
            pack_offset: 0,
            pack: diff_id.0,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tar_offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.pack_offset.to_le_bytes());
        out.extend_from_slice(&self.pack);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Extent> {
        let mut fields = Fields(bytes);
        Some(Extent {
            tar_offset: fields.u64()?,
            length: fields.u64()?,
            pack_offset: fields.u64()?,
            pack: fields.digest()?,
        })
    }
}

/// The numbers at the front of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// SHA-256 of the tar.
    pub diff_id: [u8; 32],
    /// BLAKE3 of everything behind the header.
    pub body_digest: ContentDigest,
    pub tar_bytes: u64,
    pub content_bytes: u64,
    /// Entries that the tar has, without implied directories.
    pub entry_count: u64,
    pub extent_count: u32,
    pub record_count: u32,
    pub heap_bytes: u64,
    /// Directories below the root that have no header in the tar.
    pub implied_count: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&INDEX_VERSION.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&self.diff_id);
        out.extend_from_slice(&self.body_digest);
        for number in [
            self.tar_bytes,
            self.content_bytes,
            self.entry_count,
            self.heap_bytes,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.extent_count.to_le_bytes());
        out.extend_from_slice(&self.record_count.to_le_bytes());
        out.extend_from_slice(&self.implied_count.to_le_bytes());
        let mut bytes = [0; HEADER_BYTES];
        bytes[..out.len()].copy_from_slice(&out);
        bytes
    }

    /// Reads what follows magic and version; `None` if there is too little.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Header> {
        let mut fields = Fields(bytes.get(16..HEADER_BYTES)?);
        let diff_id = fields.digest()?;
        let body_digest = fields.digest()?;
        let tar_bytes = fields.u64()?;
        let content_bytes = fields.u64()?;
        let entry_count = fields.u64()?;
        let heap_bytes = fields.u64()?;
        let extent_count = fields.u32()?;
        let record_count = fields.u32()?;
        let implied_count = fields.u32()?;
        Some(Header {
            diff_id,
            body_digest,
            tar_bytes,
            content_bytes,
            entry_count,
            extent_count,
            record_count,
            heap_bytes,
            implied_count,
        })
    }
}

/// A stretch of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub offset: u64,
    pub length: u32,
}

impl Span {
    pub(crate) fn of<'heap>(&self, heap: &'heap [u8]) -> Option<&'heap [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        heap.get(start..start.checked_add(self.length as usize)?)
    }
}

/// What an index says about one path, in fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub path: Span,
    /// Link texts, attributes and segments; see [`encode_extra`].
    pub extra: Span,
    pub kind: Kind,
    pub flags: u8,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub device: (u32, u32),
    /// The number of the first record behind this one's subtree.
    pub subtree_end: u32,
    pub size: u64,
    pub mtime_ns: i64,
    pub data_offset: u64,
    pub digest: ContentDigest,
}

impl Record {
    pub(crate) fn is_implicit(&self) -> bool {
        self.flags & IMPLICIT != 0
    }

    pub(crate) fn is_hard_link(&self) -> bool {
        self.flags & HARD_LINK != 0
    }

    pub(crate) fn is_opaque(&self) -> bool {
        self.flags & OPAQUE != 0
    }

    pub(crate) fn covers(&self) -> bool {
        self.flags & COVERS != 0
    }

    pub(crate) fn set_hard_link(&mut self, value: bool) {
        self.set(HARD_LINK, value);
    }

    pub(crate) fn set_implicit(&mut self, value: bool) {
        self.set(IMPLICIT, value);
    }

    pub(crate) fn set_opaque(&mut self, value: bool) {
        self.set(OPAQUE, value);
    }

    pub(crate) fn set_covers(&mut self, value: bool) {
        self.set(COVERS, value);
    }

    fn set(&mut self, flag: u8, value: bool) {
        if value {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.path.offset.to_le_bytes());
        out.extend_from_slice(&self.extra.offset.to_le_bytes());
        out.extend_from_slice(&self.path.length.to_le_bytes());
        out.extend_from_slice(&self.extra.length.to_le_bytes());
        out.push(self.kind as u8);
        out.push(self.flags);
        out.extend_from_slice(&self.mode.to_le_bytes());
        for number in [
            self.uid,
            self.gid,
            self.device.0,
            self.device.1,
            self.subtree_end,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.mtime_ns.to_le_bytes());
        out.extend_from_slice(&self.data_offset.to_le_bytes());
        out.extend_from_slice(&self.digest);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let mut fields = Fields(bytes);
        let path_offset = fields.u64()?;
        let extra_offset = fields.u64()?;
        let path_length = fields.u32()?;
        let extra_length = fields.u32()?;
        Some(Record {
            path: Span {
                offset: path_offset,
                length: path_length,
            },
            extra: Span {
                offset: extra_offset,
                length: extra_length,
            },
            kind: Kind::from_number(fields.u8()?)?,
            flags: fields.u8()?,
            mode: fields.u16()?,
            uid: fields.u32()?,
            gid: fields.u32()?,
            device: (fields.u32()?, fields.u32()?),
            subtree_end: fields.u32()?,
            size: fields.u64()?,
            mtime_ns: fields.i64()?,
            data_offset: fields.u64()?,
            digest: fields.digest()?,
        })
    }

    /// Puts record, path and extra together.
    pub(crate) fn entry(&self, path: &[u8], extra: &[u8]) -> Option<Entry> {
        let mut entry = Entry::new(path, self.kind, u32::from(self.mode));
        entry.uid = self.uid;
        entry.gid = self.gid;
        entry.size = self.size;
        entry.mtime_ns = self.mtime_ns;
        entry.device = self.device;
        entry.data_offset = self.data_offset;
        entry.is_opaque = self.is_opaque();
        entry.is_implicit = self.is_implicit();
        // The largest number is no owner: to chown it means "leave it alone".
        if self.uid == u32::MAX || self.gid == u32::MAX {
            return None;
        }
        // No file system has files that end beyond this.
        i64::try_from(self.size).ok()?;
        if self.kind == Kind::File {
            entry.digest = Some(self.digest);
        }
        decode_extra(extra, &mut entry)?;
        Some(entry)
    }
}

/// Appends link text, first name, attributes and segments of `entry` to `out`.
///
/// Nothing is written for an entry that has none of them.
pub(crate) fn encode_extra(entry: &Entry, out: &mut Vec<u8>) {
    let is_plain = entry.link_target.is_none()
        && entry.hard_link.is_none()
        && entry.xattrs.is_empty()
        && entry.segments.is_empty();
    if is_plain {
        return;
    }
    put_bytes(out, entry.link_target.as_deref().unwrap_or_default());
    put_bytes(out, entry.hard_link.as_deref().unwrap_or_default());
    put_length(out, entry.xattrs.len());
    for (name, value) in &entry.xattrs {
        put_bytes(out, name);
        put_bytes(out, value);
    }
    put_length(out, entry.segments.len());
    for segment in &entry.segments {
        out.extend_from_slice(&segment.offset.to_le_bytes());
        out.extend_from_slice(&segment.length.to_le_bytes());
    }
}

pub(crate) fn decode_extra(bytes: &[u8], entry: &mut Entry) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let mut fields = Fields(bytes);
    let link_target = fields.bytes()?;
    if entry.kind == Kind::Symlink {
        entry.link_target = Some(link_target.to_vec());
    }
    let hard_link = fields.bytes()?;
    if !hard_link.is_empty() {
        entry.hard_link = Some(hard_link.to_vec());
    }
    for _ in 0..fields.u32()? {
        let name = fields.bytes()?.to_vec();
        entry.xattrs.push((name, fields.bytes()?.to_vec()));
    }
    for _ in 0..fields.u32()? {
        let (offset, length) = (fields.u64()?, fields.u64()?);
        i64::try_from(offset.checked_add(length)?).ok()?;
        entry.segments.push(Segment { offset, length });
    }
    Some(())
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Everything counted here is limited far below 4 GiB by the tar reader.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Takes numbers off the front of a slice, and nothing past its end.
struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Fields<'bytes> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        self.take()
    }

    fn bytes(&mut self) -> Option<&'bytes [u8]> {
        let length = self.u32()? as usize;
        let head = self.0.get(..length)?;
        self.0 = self.0.get(length..)?;
        Some(head)
    }
}
