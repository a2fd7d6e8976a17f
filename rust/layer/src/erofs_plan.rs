//! Where everything goes in an EROFS image, before a byte of it is written.

use std::collections::HashMap;

use crate::entry::{Entry, Kind};
use crate::erofs_chunks::Chunks;
use crate::erofs_directory::Directory;
use crate::erofs_format::{
    BLOCK, CHUNK_INDEX_BYTES, DEVICE_BYTES, DEVICES_OFFSET, INODE_BYTES, SLOT,
};
use crate::erofs_xattr::encode_xattrs;
use crate::error::LayerError;
use crate::index::{Index, Position};
use crate::stored::StoredLayer;
use crate::whereabouts::Stretch;

/// Packs that one image may refer to. Each is an open file of the kernel for every mount.
const MOST_PACKS: usize = 1000;
/// Longest text of a symbolic link that Linux follows.
const LINK_MAX: usize = 4095;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The format cannot express something; the layer can still be extracted.
    #[error("no image can have {0}")]
    Unfit(&'static str),
    /// The layer itself is at fault, or the disk.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl From<&'static str> for ImageError {
    fn from(reason: &'static str) -> ImageError {
        ImageError::Unfit(reason)
    }
}

/// What an inode consists of.
pub(crate) struct Shape {
    /// As they are stored.
    pub xattrs: Vec<u8>,
    /// Bytes of content.
    pub size: u64,
    pub body: Body,
}

/// Where the content of an inode lies.
pub(crate) enum Body {
    /// There is none.
    Nothing,
    /// So many whole blocks in the image, then this many bytes behind the inode.
    Inline(u64, u64),
    /// In blocks of the image.
    Blocks(u64),
    /// In packs.
    Chunks(Chunks, Vec<Stretch>),
}

impl Shape {
    fn of_bytes(size: u64, xattrs: Vec<u8>) -> Shape {
        let tail = size % BLOCK;
        let is_short = INODE_BYTES + xattrs.len() as u64 + tail <= BLOCK;
        let body = if size == 0 {
            Body::Nothing
        } else if tail > 0 && is_short {
            Body::Inline(size / BLOCK, tail)
        } else {
            Body::Blocks(size.div_ceil(BLOCK))
        };
        Shape { xattrs, size, body }
    }

    /// The inode with everything that follows it.
    fn bytes(&self) -> u64 {
        let fixed = INODE_BYTES + self.xattrs.len() as u64;
        match &self.body {
            Body::Nothing | Body::Blocks(_) => fixed,
            Body::Inline(_, tail) => fixed + tail,
            Body::Chunks(chunks, _) => {
                fixed.next_multiple_of(CHUNK_INDEX_BYTES)
                    + chunks.chunks.len() as u64 * CHUNK_INDEX_BYTES
            }
        }
    }

    /// Blocks of the image behind all inodes.
    fn blocks(&self) -> u64 {
        match &self.body {
            Body::Nothing => 0,
            Body::Inline(blocks, _) | Body::Blocks(blocks) => *blocks,
            Body::Chunks(chunks, _) => chunks.copied_blocks(self.size),
        }
    }
}

/// An image, laid out: superblock, devices, inodes in the order of the index, blocks in the same order.
pub(crate) struct Plan {
    /// The packs that files lie in, by the numbers in their names; device n is number n - 1 here.
    pub packs: Vec<[u8; 32]>,
    /// The slot of each record's inode.
    pub slots: Vec<u32>,
    /// The first block of those that have any, counted from [`Plan::first_block`], by record.
    pub blocks: HashMap<u32, u32>,
    /// What comes beyond the first name of an inode, by the record of that.
    pub further_names: HashMap<u32, u32>,
    /// Inodes.
    pub inodes: u64,
    /// Where the blocks begin.
    pub first_block: u32,
    /// Blocks of the whole image.
    pub all_blocks: u32,
}

impl Plan {
    /// Lays the image of `layer` out.
    ///
    /// # Errors
    ///
    /// [`ImageError::Unfit`] for what cannot be in an image, [`LayerError::BadIndex`].
    pub(crate) fn of(layer: &StoredLayer) -> Result<Plan, ImageError> {
        let index = layer.index();
        let packs = if index.content_bytes() == 0 {
            Vec::new()
        } else {
            layer.pack_names()
        };
        if packs.len() > MOST_PACKS {
            return Err(ImageError::Unfit("contents in more than 1,000 packs"));
        }
        let mut plan = Plan {
            slots: vec![0; index.len() as usize],
            blocks: HashMap::new(),
            further_names: HashMap::new(),
            inodes: 0,
            first_block: 0,
            all_blocks: 0,
            packs,
        };
        let mut position = (DEVICES_OFFSET + plan.packs.len() * DEVICE_BYTES) as u64;
        let mut blocks = 0_u64;
        let mut links: Vec<(u32, u32)> = Vec::new();
        for number in 0..index.len() {
            let entry = index.entry(number)?;
            if let Some(first) = first_name(index, &entry)? {
                *plan.further_names.entry(first).or_insert(0) += 1;
                links.push((number, first));
                continue;
            }
            let shape = plan.shape(layer, number, &entry)?;
            let bytes = shape.bytes();
            if matches!(shape.body, Body::Inline(..)) && position % BLOCK + bytes > BLOCK {
                position = position.next_multiple_of(BLOCK);
            }
            plan.slots[number as usize] = fitting(position / SLOT)?;
            position = (position + bytes).next_multiple_of(SLOT);
            if shape.blocks() > 0 {
                plan.blocks.insert(number, fitting(blocks)?);
                blocks += shape.blocks();
            }
            plan.inodes += 1;
        }
        for (number, first) in links {
            plan.slots[number as usize] = plan.slots[first as usize];
        }
        plan.first_block = fitting(position.div_ceil(BLOCK))?;
        plan.all_blocks = fitting(position.div_ceil(BLOCK) + blocks)?;
        Ok(plan)
    }

    /// What the inode of `entry`, the record of this number, consists of.
    ///
    /// # Errors
    ///
    /// As [`Plan::of`].
    pub(crate) fn shape(
        &self,
        layer: &StoredLayer,
        number: u32,
        entry: &Entry,
    ) -> Result<Shape, ImageError> {
        if entry.kind == Kind::Whiteout {
            return Ok(Shape::of_bytes(0, Vec::new()));
        }
        let xattrs = encode_xattrs(entry)?;
        match entry.kind {
            Kind::Directory => {
                let directory = Directory::list(layer.index(), number, number)?;
                Ok(Shape::of_bytes(directory.packed_bytes(), xattrs))
            }
            Kind::Symlink => {
                let text = entry.link_target.as_deref().unwrap_or_default();
                if text.is_empty() || text.len() > LINK_MAX {
                    return Err(ImageError::Unfit("a symbolic link of impossible length"));
                }
                Ok(Shape::of_bytes(text.len() as u64, xattrs))
            }
            Kind::File if entry.size > 0 => {
                let stretches = layer.stretches(entry, &self.packs)?;
                let chunks = Chunks::cut(entry.size, &stretches)?;
                Ok(Shape {
                    xattrs,
                    size: entry.size,
                    body: Body::Chunks(chunks, stretches),
                })
            }
            _ => Ok(Shape::of_bytes(0, xattrs)),
        }
    }
}

/// The record of the name that `entry` is a further name of, if it is one.
pub(crate) fn first_name(index: &Index, entry: &Entry) -> Result<Option<u32>, LayerError> {
    let Some(name) = &entry.hard_link else {
        return Ok(None);
    };
    let Position::Found(first) = index.find(name)? else {
        return Err(index.bad("a hard link leads nowhere"));
    };
    let record = index.record(first)?;
    let is_inode = !matches!(record.kind, Kind::Directory | Kind::Whiteout);
    if record.is_hard_link() || !is_inode {
        return Err(index.bad("a hard link leads to what has none"));
    }
    Ok(Some(first))
}

fn fitting(number: u64) -> Result<u32, ImageError> {
    // The largest number has another meaning as an address.
    match u32::try_from(number) {
        Ok(number) if number < u32::MAX => Ok(number),
        _ => Err(ImageError::Unfit("more names than fit into one image")),
    }
}
