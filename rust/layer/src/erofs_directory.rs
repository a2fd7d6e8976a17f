//! Directories of an EROFS image: sorted names, packed into blocks.

use crate::entry::{Kind, file_name};
use crate::erofs_format::{BLOCK, DIRENT_BYTES, encode_dirent};
use crate::error::LayerError;
use crate::index::Index;

/// Longest name that Linux has.
const NAME_MAX: usize = 255;

/// Everything in one directory.
pub(crate) struct Directory<'index> {
    /// Name, number of the record, kind; sorted by name, `.` and `..` among them.
    names: Vec<(&'index [u8], u32, Kind)>,
    /// How many directories are in it.
    pub subdirectories: u32,
}

impl<'index> Directory<'index> {
    /// Lists the directory of record `number`, which lies in that of record `parent`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if names are not what the index promises.
    pub(crate) fn list(
        index: &'index Index,
        number: u32,
        parent: u32,
    ) -> Result<Directory<'index>, LayerError> {
        let mut names: Vec<(&[u8], u32, Kind)> = Vec::new();
        let mut subdirectories = 0;
        let end = index.subtree_end(number)?;
        let mut child = number + 1;
        while child < end {
            let record = index.record(child)?;
            let name = file_name(index.path_of(&record)?);
            let is_in_order = names.last().is_none_or(|last| last.0 < name);
            if name.is_empty() || name.len() > NAME_MAX || !is_in_order {
                return Err(index.bad("its names are not in order"));
            }
            subdirectories += u32::from(record.kind == Kind::Directory);
            names.push((name, child, record.kind));
            child = index.end_of(child, &record)?;
        }
        for (name, place) in [(&b"."[..], number), (b"..", parent)] {
            let at = names.partition_point(|known| known.0 < name);
            names.insert(at, (name, place, Kind::Directory));
        }
        Ok(Directory {
            names,
            subdirectories,
        })
    }

    /// Bytes that [`Directory::pack`] returns.
    pub(crate) fn packed_bytes(&self) -> u64 {
        let (mut full, mut used) = (0, 0);
        for (name, ..) in &self.names {
            let bytes = DIRENT_BYTES + name.len();
            if used + bytes > BLOCK as usize {
                full += BLOCK;
                used = 0;
            }
            used += bytes;
        }
        full + used as u64
    }

    /// The content of the directory, with the slots of inodes as `slots` has them by record.
    ///
    /// Every block stands for itself: entries, then names. The last one is not filled up.
    pub(crate) fn pack(&self, slots: &[u32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.names.len() * 32);
        let (mut first, mut used) = (0, 0);
        for (at, (name, ..)) in self.names.iter().enumerate() {
            let bytes = DIRENT_BYTES + name.len();
            if used + bytes > BLOCK as usize {
                self.pack_block(first..at, slots, &mut out);
                out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
                (first, used) = (at, 0);
            }
            used += bytes;
        }
        self.pack_block(first..self.names.len(), slots, &mut out);
        out
    }

    fn pack_block(&self, range: std::ops::Range<usize>, slots: &[u32], out: &mut Vec<u8>) {
        let block = &self.names[range];
        let mut offset = block.len() * DIRENT_BYTES;
        for (name, record, kind) in block {
            let slot = slots.get(*record as usize).copied().unwrap_or(0);
            out.extend_from_slice(&encode_dirent(u64::from(slot), offset as u16, *kind));
            offset += name.len();
        }
        for (name, ..) in block {
            out.extend_from_slice(name);
        }
    }
}
