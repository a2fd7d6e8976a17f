//! Where the bytes of a file lie: in which packs, and where in them.

use std::os::unix::fs::FileExt as _;

use crate::entry::{Entry, Segment};
use crate::error::LayerError;
use crate::stored::StoredLayer;

/// A run of bytes that lies in one piece in one pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it belongs in the file.
    pub offset: u64,
    /// How many bytes it has; never 0.
    pub length: u64,
    /// The pack, by its place in [`StoredLayer::pack_names`].
    pub pack: usize,
    /// Where it lies in the pack.
    pub place: u64,
}

impl Stretch {
    /// The first byte of the file behind the stretch.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.length
    }

    fn is_continued_by(&self, next: &Stretch) -> bool {
        self.pack == next.pack
            && self.end() == next.offset
            && self.place + self.length == next.place
    }
}

impl StoredLayer {
    /// Where the content of `entry` lies, in the order of the file; between stretches are zeros.
    ///
    /// `packs` is what [`StoredLayer::pack_names`] returned.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if it lies outside the tar, or twice.
    pub(crate) fn stretches(
        &self,
        entry: &Entry,
        packs: &[[u8; 32]],
    ) -> Result<Vec<Stretch>, LayerError> {
        let whole = [Segment {
            offset: 0,
            length: entry.size,
        }];
        let segments = if entry.segments.is_empty() {
            &whole[..]
        } else {
            &entry.segments
        };
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut from = entry.data_offset;
        for segment in segments {
            let mut done = 0;
            while done < segment.length {
                let next = self.stretch(from, segment.offset + done, packs)?;
                let length = next.length.min(segment.length - done);
                let next = Stretch { length, ..next };
                done += length;
                from += length;
                match stretches.last_mut() {
                    Some(last) if last.is_continued_by(&next) => last.length += length,
                    Some(last) if next.offset < last.end() => {
                        return Err(self.bad("content overlaps itself"));
                    }
                    _ => stretches.push(next),
                }
            }
        }
        if stretches.last().is_some_and(|last| last.end() > entry.size) {
            return Err(self.bad("content is longer than its file"));
        }
        Ok(stretches)
    }

    /// Whatever lies in one piece from `from` in the tar on; it belongs at `offset` of a file.
    fn stretch(&self, from: u64, offset: u64, packs: &[[u8; 32]]) -> Result<Stretch, LayerError> {
        let outside = || self.bad("content lies outside the tar");
        let (number, place, length) = self.locate(from).ok_or_else(outside)?;
        let name = self.extents().get(number).ok_or_else(outside)?.pack;
        let pack = packs.iter().position(|known| *known == name);
        offset.checked_add(length).ok_or_else(outside)?;
        Ok(Stretch {
            offset,
            length,
            pack: pack.ok_or_else(outside)?,
            place,
        })
    }

    /// Reads from a file of this layer whose whereabouts are known; what is not stored is zeros.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`], also when a pack is shorter than its extents.
    pub(crate) fn read_stretches(
        &self,
        stretches: &[Stretch],
        packs: &[[u8; 32]],
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), LayerError> {
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        let first = stretches.partition_point(|stretch| stretch.end() <= offset);
        for stretch in stretches[first..]
            .iter()
            .take_while(|stretch| stretch.offset < end)
        {
            let from = stretch.offset.max(offset);
            let to = stretch.end().min(end);
            let space = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            let extent = |extent: &crate::Extent| Some(&extent.pack) == packs.get(stretch.pack);
            let number = self.extents().iter().position(extent);
            let (file, path) = self.pack(number.unwrap_or(usize::MAX))?;
            file.read_exact_at(space, stretch.place + (from - stretch.offset))
                .map_err(LayerError::io("read", path))?;
        }
        Ok(())
    }

    fn bad(&self, reason: &'static str) -> LayerError {
        LayerError::BadIndex {
            path: crate::os_path(self.diff_id().hex().as_bytes()),
            reason,
        }
    }
}
