//! The bytes of an EROFS image, as far as layers need them.
//!
//! The format is the kernel's (`Documentation/filesystems/erofs.rst`, `fs/erofs/erofs_fs.h`);
//! `docs/on-disk.md` says which part of it is used. All numbers are little-endian. A
//! *slot* is 32 bytes of the image: inodes begin at slots, and the number of its first
//! slot is an inode's number.

use crate::entry::Kind;

/// Bytes of a block: tars align contents to that much.
pub(crate) const BLOCK: u64 = 512;
/// The logarithm of [`BLOCK`].
pub(crate) const BLOCK_BITS: u32 = 9;
/// Bytes of a slot.
pub(crate) const SLOT: u64 = 32;
/// Bytes of an extended inode. The compact one has no time of its own before Linux
/// 6.15 and no nanoseconds at all, so it is never used.
pub(crate) const INODE_BYTES: u64 = 64;
/// Bytes of one chunk index, and what they are aligned to.
pub(crate) const CHUNK_INDEX_BYTES: u64 = 8;
/// Bytes of a directory entry before its name.
pub(crate) const DIRENT_BYTES: usize = 12;
/// The address that means "zeros".
pub(crate) const NULL_ADDRESS: u32 = u32::MAX;
/// Where the superblock begins.
pub(crate) const SUPER_OFFSET: usize = 1024;
/// Bytes of the superblock.
pub(crate) const SUPER_BYTES: usize = 128;
/// Bytes of the description of a device.
pub(crate) const DEVICE_BYTES: usize = 128;
/// Where the descriptions of devices begin.
pub(crate) const DEVICES_OFFSET: usize = SUPER_OFFSET + SUPER_BYTES;

const MAGIC: u32 = 0xE0F5_E1E2;
/// Times are those of modification.
const COMPATIBLE_MTIME: u32 = 0x2;
const INCOMPATIBLE_CHUNKED_FILE: u32 = 0x4;
const INCOMPATIBLE_DEVICE_TABLE: u32 = 0x8;
/// In the format of a chunked file: entries are 8 bytes and name a device.
const CHUNK_INDEXES: u32 = 0x20;
const VOLUME_NAME: [u8; 16] = *b"dissolver layer\0";

/// The facts of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Super {
    pub uuid: [u8; 16],
    /// Blocks of the image.
    pub blocks: u32,
    /// Inodes in it.
    pub inodes: u64,
    pub devices: u16,
    /// The slot of the root directory.
    pub root: u16,
}

impl Super {
    pub(crate) fn encode(&self) -> [u8; SUPER_BYTES] {
        let mut out = [0; SUPER_BYTES];
        let mut incompatible = INCOMPATIBLE_CHUNKED_FILE;
        if self.devices > 0 {
            incompatible |= INCOMPATIBLE_DEVICE_TABLE;
        }
        put(&mut out, 0, &MAGIC.to_le_bytes());
        put(&mut out, 8, &COMPATIBLE_MTIME.to_le_bytes());
        put(&mut out, 12, &[BLOCK_BITS as u8]);
        put(&mut out, 14, &self.root.to_le_bytes());
        put(&mut out, 16, &self.inodes.to_le_bytes());
        put(&mut out, 36, &self.blocks.to_le_bytes());
        put(&mut out, 48, &self.uuid);
        put(&mut out, 64, &VOLUME_NAME);
        put(&mut out, 80, &incompatible.to_le_bytes());
        put(&mut out, 86, &self.devices.to_le_bytes());
        put(
            &mut out,
            88,
            &((DEVICES_OFFSET / DEVICE_BYTES) as u16).to_le_bytes(),
        );
        out
    }

    /// Reads what [`Super::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Super> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let found = Super {
            uuid: bytes.get(48..64)?.try_into().ok()?,
            blocks: word(36)?,
            inodes: u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
            devices: half(86)?,
            root: half(14)?,
        };
        (bytes.get(..SUPER_BYTES)? == found.encode()).then_some(found)
    }
}

/// Describes a device: a name of 64 bytes, and how many blocks it has.
pub(crate) fn encode_device(name: &str, blocks: u32) -> [u8; DEVICE_BYTES] {
    let mut out = [0; DEVICE_BYTES];
    put(&mut out, 0, &name.as_bytes()[..name.len().min(64)]);
    put(&mut out, 64, &blocks.to_le_bytes());
    out
}

/// The name that [`encode_device`] was given.
pub(crate) fn decode_device_name(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.get(..64)?).ok()
}

/// How an inode says where its content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In whole blocks of the image, one after the other.
    Plain = 0,
    /// As [`Layout::Plain`], but for the last piece, which follows the inode.
    Inline = 2,
    /// In chunks that lie anywhere.
    Chunked = 4,
}

/// An inode without what follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inode {
    pub layout: Layout,
    pub kind: Kind,
    /// Permission bits: `0o7777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime_ns: i64,
    pub links: u32,
    /// Block, device number or chunk format, as layout and kind say.
    pub place: u32,
    /// For programs that know 32 bits only.
    pub number: u32,
    /// Bytes of attributes that follow; 0, or at least 12.
    pub xattr_bytes: usize,
}

impl Inode {
    pub(crate) fn encode(&self) -> [u8; INODE_BYTES as usize] {
        const EXTENDED: u16 = 1;
        let mut out = [0; INODE_BYTES as usize];
        let format = EXTENDED | (self.layout as u16) << 1;
        put(&mut out, 0, &format.to_le_bytes());
        let count = xattr_count(self.xattr_bytes).unwrap_or(0);
        put(&mut out, 2, &count.to_le_bytes());
        let mode = file_type_bits(self.kind) | (self.mode & 0o7777) as u16;
        put(&mut out, 4, &mode.to_le_bytes());
        put(&mut out, 8, &self.size.to_le_bytes());
        put(&mut out, 16, &self.place.to_le_bytes());
        put(&mut out, 20, &self.number.to_le_bytes());
        put(&mut out, 24, &self.uid.to_le_bytes());
        put(&mut out, 28, &self.gid.to_le_bytes());
        let seconds = self.mtime_ns.div_euclid(1_000_000_000);
        let nanoseconds = self.mtime_ns.rem_euclid(1_000_000_000) as u32;
        put(&mut out, 32, &seconds.to_le_bytes());
        put(&mut out, 40, &nanoseconds.to_le_bytes());
        put(&mut out, 44, &self.links.to_le_bytes());
        out
    }
}

/// What an inode says of the length of its attributes; `None` if they are too long to be said.
pub(crate) fn xattr_count(bytes: usize) -> Option<u16> {
    if bytes == 0 {
        return Some(0);
    }
    u16::try_from((bytes.checked_sub(12)?) / 4 + 1).ok()
}

/// A directory entry without its name.
pub(crate) fn encode_dirent(inode: u64, name_offset: u16, kind: Kind) -> [u8; DIRENT_BYTES] {
    let mut out = [0; DIRENT_BYTES];
    put(&mut out, 0, &inode.to_le_bytes());
    put(&mut out, 8, &name_offset.to_le_bytes());
    put(&mut out, 10, &[directory_type(kind)]);
    out
}

/// One chunk: the block where it begins on a device; device 0 is the image.
pub(crate) fn encode_chunk(device: u16, block: u32) -> [u8; CHUNK_INDEX_BYTES as usize] {
    let mut out = [0; CHUNK_INDEX_BYTES as usize];
    put(&mut out, 2, &device.to_le_bytes());
    put(&mut out, 4, &block.to_le_bytes());
    out
}

/// The format of a file in chunks of `2^bits` bytes.
pub(crate) fn chunk_format(bits: u32) -> u32 {
    CHUNK_INDEXES | bits.saturating_sub(BLOCK_BITS)
}

/// A device number as Linux stores it in 32 bits.
pub(crate) fn device_number((major, minor): (u32, u32)) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)
}

/// What stands for the file's type in its mode.
fn file_type_bits(kind: Kind) -> u16 {
    match kind {
        Kind::File => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Symlink => 0o120_000,
        Kind::Character | Kind::Whiteout => 0o020_000,
        Kind::Block => 0o060_000,
        Kind::Fifo => 0o010_000,
    }
}

/// What stands for the file's type in its directory.
fn directory_type(kind: Kind) -> u8 {
    match kind {
        Kind::File => 1,
        Kind::Directory => 2,
        Kind::Character | Kind::Whiteout => 3,
        Kind::Block => 4,
        Kind::Fifo => 5,
        Kind::Symlink => 7,
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}
