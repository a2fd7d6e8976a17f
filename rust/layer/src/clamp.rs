//! A layer once more, with no time in it later than a given one.

use std::sync::Arc;

use dissolver_digest::ResumableSha256;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, compare_paths};
use crate::error::LayerError;
use crate::index::Index;
use crate::index_build::{IndexBuilder, LayerInfo, TarFacts};
use crate::index_format::Extent;
use crate::interrupt::Interrupt;
use crate::layers::{Layers, NewPack, Unpublished};
use crate::pipeline::{Block, Pipeline};
use crate::predecessor::padded;
use crate::splice::{END_BYTES, MOST_PACKS};
use crate::stored::StoredLayer;
use crate::{tar_header, whiteout};

/// Contents from this size on are shared with the layer that they come from: they cost two
/// extents, and a new tar every header anyway.
const LEAST_SHARED: u64 = 16 << 10;
/// So many contents are shared at most, the largest ones: with their headers between them
/// that is 8,000 extents, which an index is read whole for.
const MOST_SHARED: usize = 4_000;

impl Layers {
    /// Stores the layer with all times that are later than `latest_ns` set back to it.
    ///
    /// Nothing else differs, and the same layer and time give the same layer
    /// everywhere. Where no time is later it is the layer itself. Large contents
    /// are shared with it on disk. The contents are compared with the index on the way.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::ContentMismatch`] if it is damaged.
    pub fn clamp_times(
        &self,
        diff_id: DiffId,
        latest_ns: i64,
        interrupt: &Interrupt,
    ) -> Result<LayerInfo, LayerError> {
        let layer = self.layer(diff_id)?;
        if !has_later(layer.index(), latest_ns)? {
            return Ok(layer.info());
        }
        let least = least_shared(&layer)?;
        let place = Unpublished::new(self)?;
        // Declared after `place`: its threads end before the directory goes.
        let mut tape = NewTape::start(&place, layer.clone())?;
        let mut links = Vec::new();
        for entry in layer.index().entries() {
            let entry = earlier(entry?, latest_ns);
            // A name that comes before the first one in the order is no first name.
            let first = entry.hard_link.as_deref();
            if first.is_some_and(|first| compare_paths(first, &entry.path).is_gt()) {
                links.push(entry);
            } else {
                tape.entry(entry, least, interrupt)?;
            }
        }
        for entry in links {
            tape.entry(entry, least, interrupt)?;
        }
        tape.commit(place)
    }
}

fn has_later(index: &Index, latest_ns: i64) -> Result<bool, LayerError> {
    for number in 0..index.len() {
        if index.record(number)?.mtime_ns > latest_ns {
            return Ok(true);
        }
    }
    Ok(false)
}

fn earlier(mut entry: Entry, latest_ns: i64) -> Entry {
    entry.mtime_ns = entry.mtime_ns.min(latest_ns);
    entry
}

/// The size from which contents are shared.
fn least_shared(layer: &StoredLayer) -> Result<u64, LayerError> {
    if layer.pack_names().len() >= MOST_PACKS {
        return Ok(u64::MAX);
    }
    let index = layer.index();
    let mut sizes = Vec::new();
    for number in 0..index.len() {
        let record = index.record(number)?;
        if record.kind == Kind::File && !record.is_hard_link() && record.size >= LEAST_SHARED {
            sizes.push(record.size);
        }
    }
    if sizes.len() <= MOST_SHARED {
        return Ok(LEAST_SHARED);
    }
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    Ok(sizes[MOST_SHARED - 1] + 1)
}

/// A tar in the making, some of whose bytes lie in another layer's packs.
struct NewTape {
    pipeline: Pipeline,
    layer: Arc<StoredLayer>,
    pack: DiffId,
    block: Block,
    /// Whether the bytes of `block` go into the new pack.
    is_new: bool,
    position: u64,
    new_bytes: u64,
    extents: Vec<Extent>,
    index: IndexBuilder,
    headers: Vec<u8>,
}

impl NewTape {
    fn start(place: &Unpublished, layer: Arc<StoredLayer>) -> Result<NewTape, LayerError> {
        let pipeline = Pipeline::start(place.pack_path(), ResumableSha256::default())?;
        Ok(NewTape {
            block: pipeline.blocks().take(),
            pipeline,
            layer,
            pack: place.pack_name(),
            is_new: true,
            position: 0,
            new_bytes: 0,
            extents: Vec::new(),
            index: IndexBuilder::default(),
            headers: Vec::new(),
        })
    }

    fn entry(
        &mut self,
        mut entry: Entry,
        least: u64,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        interrupt.check()?;
        if entry.is_implicit && !entry.is_opaque {
            // What lies beneath implies it again.
            return Ok(());
        }
        let source = entry.clone();
        entry.segments.clear();
        if !entry.is_implicit {
            let name = match entry.kind {
                Kind::Whiteout => whiteout::hiding(&entry.path),
                _ => entry.path.clone(),
            };
            self.header(&entry, &name)?;
        }
        entry.data_offset = self.position;
        if entry.kind == Kind::Directory && entry.is_opaque {
            let marker = Entry::new(whiteout::opaque_marker(&entry.path), Kind::File, 0);
            self.header(&marker, &marker.path)?;
        }
        if entry.kind == Kind::File && entry.hard_link.is_none() {
            self.content(&source, least, interrupt)?;
        }
        self.index.push(&entry);
        Ok(())
    }

    fn header(&mut self, entry: &Entry, name: &[u8]) -> Result<(), LayerError> {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        tar_header::encode(entry, name, &mut headers);
        let written = self.write(&headers);
        self.headers = headers;
        written
    }

    /// Passes on the content of `entry` of the old layer, and the padding behind it.
    fn content(
        &mut self,
        entry: &Entry,
        least: u64,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let is_shared = entry.size >= least && entry.segments.is_empty();
        let length = padded(entry.size);
        if is_shared {
            self.turn(false)?;
            let from = entry.data_offset;
            let (to, extents) = (self.position, &mut self.extents);
            self.layer.pieces(from, length, &mut |piece| {
                let tar_offset = piece.tar_offset - from + to;
                push(
                    extents,
                    Extent {
                        tar_offset,
                        ..piece
                    },
                );
            });
        } else {
            self.turn(true)?;
            self.note_new(length);
        }
        let mut content = self.layer.content(entry);
        let mut hasher = blake3::Hasher::new();
        let mut left = entry.size;
        while left > 0 {
            interrupt.check()?;
            self.make_room()?;
            let space = self.block.space();
            let wanted = space.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let space = &mut space[..wanted];
            std::io::Read::read_exact(&mut content, space)
                .map_err(LayerError::io("read", crate::os_path(&entry.path)))?;
            hasher.update(space);
            self.block.advance(wanted);
            left -= wanted as u64;
        }
        let padding = (length - entry.size) as usize;
        self.fill(&[0; tar_header::BLOCK][..padding])?;
        self.position += length;
        if entry
            .digest
            .is_some_and(|digest| digest != *hasher.finalize().as_bytes())
        {
            return Err(LayerError::ContentMismatch {
                diff_id: self.layer.diff_id(),
                path: entry.path.clone(),
            });
        }
        Ok(())
    }

    /// Appends bytes that no older tar has.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.turn(true)?;
        self.note_new(bytes.len() as u64);
        self.fill(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn note_new(&mut self, length: u64) {
        let extent = Extent {
            tar_offset: self.position,
            length,
            pack_offset: self.new_bytes,
            pack: self.pack.0,
        };
        push(&mut self.extents, extent);
        self.new_bytes += length;
    }

    fn fill(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            self.make_room()?;
            let space = self.block.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.block.advance(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), LayerError> {
        if self.block.space().is_empty() {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Ends the block if what follows goes elsewhere.
    fn turn(&mut self, is_new: bool) -> Result<(), LayerError> {
        if is_new != self.is_new && !self.block.is_empty() {
            self.hand_over()?;
        }
        self.is_new = is_new;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), LayerError> {
        let next = self.pipeline.blocks().take();
        let block = std::mem::replace(&mut self.block, next);
        self.pipeline.push(block, self.is_new)
    }

    fn commit(mut self, place: Unpublished) -> Result<LayerInfo, LayerError> {
        self.write(&[0; END_BYTES as usize])?;
        self.hand_over()?;
        let body = self.index.body()?;
        let hashed = self.pipeline.finish(place.fsync())?;
        let is_whole = self.new_bytes == hashed.tar_bytes;
        let (facts, pack) = if is_whole {
            (TarFacts::whole(&hashed), NewPack::Whole)
        } else {
            let facts = TarFacts {
                diff_id: hashed.diff_id,
                tar_bytes: hashed.tar_bytes,
                extents: self.extents,
            };
            (facts, NewPack::Part(self.pack))
        };
        let info = place.write_index(&body, &facts)?;
        place.publish(info.diff_id, pack)?;
        Ok(info)
    }
}

fn push(extents: &mut Vec<Extent>, extent: Extent) {
    if extent.length == 0 {
        return;
    }
    match extents.last_mut() {
        Some(last)
            if last.pack == extent.pack && last.pack_offset + last.length == extent.pack_offset =>
        {
            last.length += extent.length;
        }
        _ => extents.push(extent),
    }
}

#[cfg(test)]
#[path = "clamp_tests.rs"]
mod tests;
