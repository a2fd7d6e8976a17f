//! EROFS images: layers that the kernel mounts without anything being unpacked.
//!
//! An image has the names and everything about them, and no contents: those stay in
//! the packs, which the image names as its devices. It is derived from the index
//! alone, so the same index gives the same bytes.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind};
use crate::erofs_chunks::{Chunk, Chunks};
use crate::erofs_directory::Directory;
use crate::erofs_format::{
    BLOCK, CHUNK_INDEX_BYTES, DEVICE_BYTES, DEVICES_OFFSET, Inode, Layout, NULL_ADDRESS, SLOT,
    SUPER_OFFSET, Super, chunk_format, decode_device_name, device_number, encode_chunk,
    encode_device,
};
use crate::erofs_plan::{Body, ImageError, Plan};
use crate::error::LayerError;
use crate::index::Index;
use crate::interrupt::Interrupt;
use crate::stored::StoredLayer;
use crate::whereabouts::Stretch;

/// Raise it with every change of what is written: older images are then written anew.
const IMAGE_VERSION: u32 = 1;
/// Bytes copied into the image at once.
const COPY_BYTES: u64 = 1 << 20;

/// Writes the image of `layer` to `out`.
///
/// Contents are read only where they do not lie as the format needs them: sparse
/// files whose data does not begin at blocks.
///
/// # Errors
///
/// [`ImageError::Unfit`] before anything is written, [`LayerError::BadIndex`],
/// [`LayerError::Io`].
pub(crate) fn write_image(
    layer: &StoredLayer,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), ImageError> {
    let plan = Plan::of(layer)?;
    let mut writer = Writer {
        layer,
        plan: &plan,
        out,
        written: 0,
        interrupt,
    };
    writer.head()?;
    writer.inodes()?;
    writer.blocks()
}

/// The packs that the image at `path` needs as devices, in order; `None` unless it is
/// complete and of this index.
pub(crate) fn devices_of(path: &Path, index: &Index) -> Option<Vec<DiffId>> {
    let file = File::open(path).ok()?;
    let mut head = vec![0; DEVICES_OFFSET];
    file.read_exact_at(&mut head, 0).ok()?;
    let found = Super::decode(&head[SUPER_OFFSET..])?;
    let length = file.metadata().ok()?.len();
    if found.uuid != uuid(index) || length != u64::from(found.blocks) * BLOCK {
        return None;
    }
    let mut devices = vec![0; usize::from(found.devices) * DEVICE_BYTES];
    file.read_exact_at(&mut devices, DEVICES_OFFSET as u64)
        .ok()?;
    devices
        .chunks_exact(DEVICE_BYTES)
        .map(|device| DiffId::from_hex(decode_device_name(device)?))
        .collect()
}

/// Names the image after everything that it depends on.
///
/// overlayfs tells layers apart by it, so it is different for different layers.
fn uuid(index: &Index) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&IMAGE_VERSION.to_le_bytes());
    hasher.update(&index.diff_id().0);
    hasher.update(&index.body_digest());
    let mut uuid = [0; 16];
    hasher.finalize_xof().fill(&mut uuid);
    uuid
}

struct Writer<'work> {
    layer: &'work StoredLayer,
    plan: &'work Plan,
    out: &'work mut dyn Write,
    written: u64,
    interrupt: &'work Interrupt,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.written += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(LayerError::io("write", "erofs"))
    }

    /// Writes zeros up to `position`, or to the next multiple of a block.
    fn pad_to(&mut self, position: u64) -> Result<(), LayerError> {
        const ZEROS: [u8; 1024] = [0; 1024];
        while self.written < position {
            let count = (position - self.written).min(ZEROS.len() as u64) as usize;
            self.put(&ZEROS[..count])?;
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), LayerError> {
        let plan = self.plan;
        let head = Super {
            uuid: uuid(self.layer.index()),
            blocks: plan.all_blocks,
            inodes: plan.inodes,
            devices: plan.packs.len() as u16,
            root: plan.slots.first().copied().unwrap_or(0) as u16,
        };
        self.pad_to(SUPER_OFFSET as u64)?;
        self.put(&head.encode())?;
        for pack in &plan.packs {
            let extents = self.layer.extents().iter();
            let end = extents
                .filter(|extent| extent.pack == *pack)
                .map(|extent| extent.pack_offset.saturating_add(extent.length))
                .max();
            let blocks = end.unwrap_or(0).div_ceil(BLOCK);
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            self.put(&encode_device(&DiffId(*pack).hex(), blocks))?;
        }
        Ok(())
    }

    fn inodes(&mut self) -> Result<(), ImageError> {
        let index = self.layer.index();
        // The directories that hold the current entry: record, and where it ends.
        let mut open: Vec<(u32, u32)> = vec![(0, index.len())];
        for number in 0..index.len() {
            self.interrupt.check()?;
            let entry = index.entry(number)?;
            while open.len() > 1 && open.last().is_some_and(|(_, end)| *end <= number) {
                open.pop();
            }
            let parent = open.last().map_or(0, |(record, _)| *record);
            if entry.kind == Kind::Directory && number > 0 {
                open.push((number, index.subtree_end(number)?));
            }
            if entry.hard_link.is_none() {
                self.inode(number, parent, &entry)?;
            }
        }
        self.pad_to(u64::from(self.plan.first_block) * BLOCK)?;
        Ok(())
    }

    fn inode(&mut self, number: u32, parent: u32, entry: &Entry) -> Result<(), ImageError> {
        let plan = self.plan;
        let shape = plan.shape(self.layer, number, entry)?;
        let slot = plan.slots[number as usize];
        let block = plan.blocks.get(&number).copied().unwrap_or(0) + plan.first_block;
        let further = plan.further_names.get(&number).copied().unwrap_or(0);
        let (mut links, mut directory) = (1 + further, None);
        if entry.kind == Kind::Directory {
            let listed = Directory::list(self.layer.index(), number, parent)?;
            links = 2 + listed.subdirectories;
            directory = Some(listed);
        }
        let (layout, place) = match &shape.body {
            Body::Nothing => (Layout::Plain, special(entry)),
            Body::Inline(..) => (Layout::Inline, block),
            Body::Blocks(_) => (Layout::Plain, block),
            Body::Chunks(chunks, _) => (Layout::Chunked, chunk_format(chunks.bits)),
        };
        // A whiteout has nothing but its kind, whatever the tar said of it.
        let nothing = Entry::new(Vec::new(), Kind::Whiteout, 0);
        let entry = if entry.kind == Kind::Whiteout {
            &nothing
        } else {
            entry
        };
        let inode = Inode {
            layout,
            kind: entry.kind,
            mode: if entry.kind == Kind::Symlink {
                0o777
            } else {
                entry.mode
            },
            uid: owner(entry.uid),
            gid: owner(entry.gid),
            size: shape.size,
            mtime_ns: entry.mtime_ns,
            links,
            place,
            number: slot,
            xattr_bytes: shape.xattrs.len(),
        };
        self.pad_to(u64::from(slot) * SLOT)?;
        self.put(&inode.encode())?;
        self.put(&shape.xattrs)?;
        match &shape.body {
            Body::Nothing | Body::Blocks(_) => {}
            Body::Inline(blocks, _) => {
                let content = self.bytes_of(entry, directory.as_ref());
                self.put(&content[(*blocks * BLOCK) as usize..])?;
            }
            Body::Chunks(chunks, _) => self.chunks(chunks, shape.size, block)?,
        }
        Ok(())
    }

    /// The content of a directory or a symbolic link.
    fn bytes_of(&self, entry: &Entry, directory: Option<&Directory<'_>>) -> Vec<u8> {
        match directory {
            Some(directory) => directory.pack(&self.plan.slots),
            None => entry.link_target.clone().unwrap_or_default(),
        }
    }

    fn chunks(&mut self, chunks: &Chunks, size: u64, first_copy: u32) -> Result<(), LayerError> {
        self.pad_to(self.written.next_multiple_of(CHUNK_INDEX_BYTES))?;
        let mut copy = first_copy;
        for (number, chunk) in chunks.chunks.iter().enumerate() {
            let index = match chunk {
                Chunk::Hole => encode_chunk(0, NULL_ADDRESS),
                Chunk::Pack(pack, block) => encode_chunk(*pack as u16 + 1, *block),
                Chunk::Copied => {
                    let here = copy;
                    copy += chunks.range(number, size).1.div_ceil(BLOCK) as u32;
                    encode_chunk(0, here)
                }
            };
            self.put(&index)?;
        }
        Ok(())
    }

    /// Writes what does not follow its inode, in the order in which it was laid out.
    fn blocks(&mut self) -> Result<(), ImageError> {
        let index = self.layer.index();
        let mut numbers: Vec<u32> = self.plan.blocks.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.interrupt.check()?;
            let entry = index.entry(number)?;
            let shape = self.plan.shape(self.layer, number, &entry)?;
            if let Body::Chunks(chunks, stretches) = &shape.body {
                self.copies(chunks, stretches, shape.size)?;
                continue;
            }
            let directory = if entry.kind == Kind::Directory {
                let parent = parent_of(index, &entry)?;
                Some(Directory::list(index, number, parent)?)
            } else {
                None
            };
            let content = self.bytes_of(&entry, directory.as_ref());
            let end = match shape.body {
                Body::Inline(blocks, _) => (blocks * BLOCK) as usize,
                _ => content.len(),
            };
            self.put(&content[..end])?;
            self.pad_to(self.written.next_multiple_of(BLOCK))?;
        }
        self.pad_to(u64::from(self.plan.all_blocks) * BLOCK)?;
        Ok(())
    }

    /// Copies the chunks of a file that no pack has as they are needed.
    fn copies(
        &mut self,
        chunks: &Chunks,
        stretches: &[Stretch],
        size: u64,
    ) -> Result<(), LayerError> {
        let mut buffer = Vec::new();
        for number in 0..chunks.chunks.len() {
            if chunks.chunks[number] != Chunk::Copied {
                continue;
            }
            let (mut from, mut left) = chunks.range(number, size);
            while left > 0 {
                self.interrupt.check()?;
                let count = left.min(COPY_BYTES);
                buffer.resize(count as usize, 0);
                let packs = &self.plan.packs;
                self.layer
                    .read_stretches(stretches, packs, from, &mut buffer)?;
                self.put(&buffer)?;
                (from, left) = (from + count, left - count);
            }
            self.pad_to(self.written.next_multiple_of(BLOCK))?;
        }
        Ok(())
    }
}

/// The record of the directory that holds `entry`.
fn parent_of(index: &Index, entry: &Entry) -> Result<u32, LayerError> {
    match index.find(crate::entry::parent(&entry.path))? {
        crate::index::Position::Found(number) => Ok(number),
        crate::index::Position::Absent(_) => Err(index.bad("a path has no directory")),
    }
}

/// What stands where the address of the content would, for what has none.
fn special(entry: &Entry) -> u32 {
    match entry.kind {
        Kind::Character | Kind::Block => device_number(entry.device),
        Kind::Whiteout | Kind::Fifo => 0,
        _ => NULL_ADDRESS,
    }
}

/// The largest number means "leave it" to chown, so extraction makes it root's.
fn owner(id: u32) -> u32 {
    if id == u32::MAX { 0 } else { id }
}
