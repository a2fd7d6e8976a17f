//! One layer of the store, opened for reading.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, Segment};
use crate::error::LayerError;
use crate::index::Index;
use crate::index_build::LayerInfo;
use crate::index_format::Extent;

/// The index of a layer and the packs that hold its tar.
///
/// Packs are opened when the first content is asked for. An open layer stays
/// readable when the store forgets it.
#[derive(Debug)]
pub struct StoredLayer {
    index: Index,
    extents: Vec<Extent>,
    /// The number of each extent's pack.
    pack_numbers: Vec<u32>,
    packs: Vec<Pack>,
    packs_directory: PathBuf,
}

/// A pack that the layer has bytes in.
#[derive(Debug)]
struct Pack {
    name: [u8; 32],
    file: OnceLock<File>,
}

impl StoredLayer {
    pub(crate) fn open(index: &Path, packs_directory: &Path) -> Result<StoredLayer, LayerError> {
        let index = Index::open(index)?;
        let extents = index.extents()?;
        let mut packs: Vec<Pack> = Vec::new();
        let mut numbers = HashMap::new();
        let mut pack_numbers = Vec::with_capacity(extents.len());
        for extent in &extents {
            let number = *numbers.entry(extent.pack).or_insert_with(|| {
                packs.push(Pack {
                    name: extent.pack,
                    file: OnceLock::new(),
                });
                packs.len() as u32 - 1
            });
            pack_numbers.push(number);
        }
        Ok(StoredLayer {
            extents,
            pack_numbers,
            packs,
            index,
            packs_directory: packs_directory.to_owned(),
        })
    }

    /// What the layer holds.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The layer's name.
    #[must_use]
    pub fn diff_id(&self) -> DiffId {
        self.index.diff_id()
    }

    /// The layer's name and sizes.
    #[must_use]
    pub fn info(&self) -> LayerInfo {
        LayerInfo {
            diff_id: self.index.diff_id(),
            tar_bytes: self.index.tar_bytes(),
            content_bytes: self.index.content_bytes(),
            entry_count: self.index.entry_count(),
        }
    }

    /// Where the layer's tar lies.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The packs that hold the layer's tar, each once, by the numbers in their file names.
    pub(crate) fn pack_names(&self) -> Vec<[u8; 32]> {
        self.packs.iter().map(|pack| pack.name).collect()
    }

    /// The file that holds the extent of this number, and its path.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`] if it is gone.
    pub(crate) fn pack(&self, number: usize) -> Result<(&File, PathBuf), LayerError> {
        let pack = self.pack_numbers.get(number);
        let pack = pack.and_then(|pack| self.packs.get(*pack as usize));
        let pack = pack.ok_or(LayerError::BadIndex {
            path: self.packs_directory.clone(),
            reason: "content lies outside the tar",
        })?;
        let path = self
            .packs_directory
            .join(format!("{}.tar", DiffId(pack.name).hex()));
        if let Some(file) = pack.file.get() {
            return Ok((file, path));
        }
        let file = File::open(&path).map_err(LayerError::io("open", &path))?;
        Ok((pack.file.get_or_init(|| file), path))
    }

    /// The number of the extent at `offset` of the tar, the place in its pack, and what is left of it.
    pub(crate) fn locate(&self, offset: u64) -> Option<(usize, u64, u64)> {
        let number = self
            .extents
            .partition_point(|extent| extent.tar_offset <= offset);
        let number = number.checked_sub(1)?;
        let extent = self.extents.get(number)?;
        let within = offset - extent.tar_offset;
        let left = extent.length.checked_sub(within).filter(|left| *left > 0)?;
        Some((number, extent.pack_offset.checked_add(within)?, left))
    }

    /// Cuts a stretch of the tar where its extents end, and says where each piece lies.
    pub(crate) fn pieces(&self, from: u64, length: u64, take: &mut dyn FnMut(Extent)) {
        let end = from + length;
        let extents = &self.extents;
        let first = extents.partition_point(|extent| extent.tar_offset + extent.length <= from);
        for extent in &extents[first..] {
            if extent.tar_offset >= end {
                break;
            }
            let start = extent.tar_offset.max(from);
            let stop = (extent.tar_offset + extent.length).min(end);
            take(Extent {
                tar_offset: start,
                length: stop - start,
                pack_offset: extent.pack_offset + (start - extent.tar_offset),
                pack: extent.pack,
            });
        }
    }

    /// Reads bytes of the tar; fewer than asked for only at its end.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`], also when a pack is shorter than its extents.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let mut done = 0;
        while done < buffer.len() {
            let Some((number, place, left)) = self.locate(offset + done as u64) else {
                break;
            };
            let (file, path) = self.pack(number)?;
            let wanted = (buffer.len() - done).min(usize::try_from(left).unwrap_or(usize::MAX));
            let space = &mut buffer[done..done + wanted];
            file.read_exact_at(space, place)
                .map_err(LayerError::io("read", path))?;
            done += wanted;
        }
        Ok(done)
    }

    /// The content of `entry`, which must come from this layer's index.
    #[must_use]
    pub fn content(self: &Arc<Self>, entry: &Entry) -> Content {
        let size = if entry.kind == Kind::File {
            entry.size
        } else {
            0
        };
        let segments = if entry.segments.is_empty() {
            vec![Segment {
                offset: 0,
                length: size,
            }]
        } else {
            entry.segments.clone()
        };
        Content {
            layer: self.clone(),
            size,
            position: 0,
            start: entry.data_offset,
            segments,
            current: 0,
        }
    }
}

/// A reader of one file's content, straight from the pack.
///
/// The holes of a sparse file are read as zeros.
#[derive(Debug)]
pub struct Content {
    layer: Arc<StoredLayer>,
    size: u64,
    position: u64,
    /// Where the bytes of the current segment begin in the tar.
    start: u64,
    segments: Vec<Segment>,
    current: usize,
}

impl Content {
    /// Bytes of the whole file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    fn read_layer(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let room = |bytes: u64, buffer: &[u8]| {
            buffer
                .len()
                .min(usize::try_from(bytes).unwrap_or(usize::MAX))
        };
        if buffer.is_empty() || self.position >= self.size {
            return Ok(0);
        }
        while let Some(segment) = self.segments.get(self.current) {
            if self.position < segment.offset {
                let count = room(segment.offset.min(self.size) - self.position, buffer);
                buffer[..count].fill(0);
                self.position += count as u64;
                return Ok(count);
            }
            let within = self.position - segment.offset;
            if within >= segment.length {
                self.start = self.start.saturating_add(segment.length);
                self.current += 1;
                continue;
            }
            let left = (segment.length - within).min(self.size - self.position);
            let count = room(left, buffer);
            let read = self
                .layer
                .read_at(self.start.saturating_add(within), &mut buffer[..count])?;
            if read < count {
                return Err(LayerError::BadIndex {
                    path: self.layer.packs_directory.clone(),
                    reason: "content lies outside the tar",
                });
            }
            self.position += count as u64;
            return Ok(count);
        }
        let count = room(self.size - self.position, buffer);
        buffer[..count].fill(0);
        self.position += count as u64;
        Ok(count)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_layer(buffer).map_err(io::Error::other)
    }
}
