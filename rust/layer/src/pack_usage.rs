//! Which bytes of which packs layers need, and giving back the others.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::index::Index;
use crate::layers::Layers;
use crate::tar_header::BLOCK;

/// What file systems give back: blocks of this size, at offsets that are multiples of it.
const DISK_BLOCK_BYTES: u64 = 4096;
/// A pack in which less is dead is left alone, as its own map of blocks is not counted.
const LEAST_DEAD_BYTES: u64 = 64 << 10;
/// Where nothing can be cut out of a file, a pack is copied without what is dead if
/// only one part in this many is alive: with more, copying writes more than it gives back.
const MOSTLY_DEAD: u64 = 2;
/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// A stretch of a pack: its first byte, and the first one behind it.
type Range = (u64, u64);
/// A file in `packs/`, and the number in its name.
type PackFile = (PathBuf, Option<[u8; 32]>);

/// A pack of the store, and what layers have in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackUsage {
    /// The name of its file without `.tar`.
    pub name: String,
    /// Bytes of disk that it takes.
    pub disk_bytes: u64,
    /// Bytes of it that belong to a layer.
    pub live_bytes: u64,
    /// How many layers have bytes in it.
    pub layers: usize,
}

/// What some layers need of packs.
#[derive(Debug, Default)]
struct Needs {
    /// By the number in the pack's name: sorted, without overlap.
    ranges: HashMap<[u8; 32], Vec<Range>>,
    layers: HashMap<[u8; 32], usize>,
    /// Layers whose index cannot be read: nobody knows what they need.
    unknown: usize,
}

impl Needs {
    /// Adds what the layer with this index needs.
    fn add(&mut self, index: &Path) {
        let extents = match Index::open(index).and_then(|index| index.extents()) {
            Ok(extents) => extents,
            Err(LayerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return;
            }
            Err(_) => {
                self.unknown += 1;
                return;
            }
        };
        let mut packs = HashSet::new();
        for extent in extents {
            let range = (extent.pack_offset, extent.pack_offset + extent.length);
            self.ranges.entry(extent.pack).or_default().push(range);
            if packs.insert(extent.pack) {
                *self.layers.entry(extent.pack).or_insert(0) += 1;
            }
        }
    }

    fn join(&mut self) {
        for ranges in self.ranges.values_mut() {
            *ranges = joined(ranges);
        }
    }
}

/// The same stretches sorted, those that touch made one.
fn joined(ranges: &[Range]) -> Vec<Range> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// What of `ranges` is not in `others`; both are sorted and without overlap.
fn without(ranges: &[Range], others: &[Range]) -> Vec<Range> {
    let mut rest = Vec::new();
    for &(mut start, end) in ranges {
        let first = others.partition_point(|other| other.1 <= start);
        for &(other_start, other_end) in &others[first..] {
            if other_start >= end {
                break;
            }
            if start < other_start {
                rest.push((start, other_start));
            }
            start = other_end;
        }
        if start < end {
            rest.push((start, end));
        }
    }
    rest
}

fn length(ranges: &[Range]) -> u64 {
    ranges.iter().map(|(start, end)| end - start).sum()
}

/// Whole disk blocks: those that ranges touch.
fn touched(ranges: &[Range]) -> Vec<Range> {
    let rounded: Vec<Range> = ranges
        .iter()
        .map(|(start, end)| {
            let start = start / DISK_BLOCK_BYTES * DISK_BLOCK_BYTES;
            (start, end.next_multiple_of(DISK_BLOCK_BYTES))
        })
        .collect();
    joined(&rounded)
}

impl Layers {
    /// All packs, sorted by name, those that no layer needs included.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`], [`LayerError::BadIndex`] if nobody can tell what a layer needs.
    pub fn packs(&self) -> Result<Vec<PackUsage>, LayerError> {
        let needs = self.needs(&self.list()?)?;
        if needs.unknown > 0 {
            return Err(LayerError::BadIndex {
                path: self.root().join("layers"),
                reason: "what a layer needs of packs cannot be told",
            });
        }
        let mut packs = Vec::new();
        for (path, number) in self.pack_files()? {
            let facts = stat(&path)?;
            let ranges = number.and_then(|number| needs.ranges.get(&number));
            packs.push(PackUsage {
                name: name_of(&path),
                disk_bytes: facts.map_or(0, |facts| facts.blocks() * 512),
                live_bytes: ranges.map_or(0, |ranges| length(ranges)),
                layers: number.map_or(0, |number| needs.layers.get(&number).copied().unwrap_or(0)),
            });
        }
        Ok(packs)
    }

    /// Bytes of disk that packs take for the layers `of`, but for what `beside` have in common with them.
    ///
    /// What several of them share counts once.
    pub(crate) fn pack_bytes(&self, of: &[DiffId], beside: &[DiffId]) -> Result<u64, LayerError> {
        let (needs, others) = (self.needs(of)?, self.needs(beside)?);
        let mut sum = 0;
        for (number, ranges) in &needs.ranges {
            let Some(facts) = stat(&self.pack_path(DiffId(*number)))? else {
                continue;
            };
            let other = others.ranges.get(number).map_or(&[][..], |ranges| ranges);
            let own = without(ranges, other);
            // A pack of a tar that ends within a block of it is longer than the tar.
            let is_all = length(&own).next_multiple_of(BLOCK as u64) >= facts.len();
            sum += if is_all {
                facts.blocks() * 512
            } else {
                length(&own)
            };
        }
        Ok(sum)
    }

    /// Removes packs that no layer needs, and cuts out of others what none needs; returns the bytes freed.
    ///
    /// What is alive stays where it is, so that no index and no image changes: a file
    /// gets holes or, where the file system has none to give, is copied without
    /// what is dead if that is most of it. Each step leaves a store that is whole. While a layer's
    /// index cannot be read nothing goes, because it may need anything. Nobody may
    /// be making layers.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn reclaim(&self) -> Result<u64, LayerError> {
        let needs = self.needs(&self.list()?)?;
        if needs.unknown > 0 {
            return Ok(0);
        }
        let mut freed = 0;
        for (path, number) in self.pack_files()? {
            let Some(facts) = stat(&path)? else {
                continue;
            };
            let before = facts.blocks() * 512;
            let live = number.and_then(|number| needs.ranges.get(&number));
            let Some(live) = live.filter(|live| !live.is_empty()) else {
                fs::remove_file(&path).map_err(LayerError::io("unlink", &path))?;
                freed += before;
                continue;
            };
            let live = touched(live);
            if before < length(&live) + LEAST_DEAD_BYTES {
                continue;
            }
            self.cut(&path, facts.len(), &live)?;
            let after = stat(&path)?.map_or(0, |facts| facts.blocks() * 512);
            freed += before.saturating_sub(after);
        }
        Ok(freed)
    }

    /// Gives back everything of a pack but `live`, whole blocks that are sorted.
    fn cut(&self, path: &Path, size: u64, live: &[Range]) -> Result<(), LayerError> {
        let file = File::options()
            .write(true)
            .open(path)
            .map_err(LayerError::io("open", path))?;
        let end = size.next_multiple_of(DISK_BLOCK_BYTES);
        for (start, end) in without(&[(0, end)], live) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match fallocate(&file, flags, start, end - start) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    let is_mostly_dead = length(live) < size / MOSTLY_DEAD;
                    return match is_mostly_dead {
                        true => self.copy_live(path, size, live),
                        false => Ok(()),
                    };
                }
                Err(errno) => return Err(LayerError::io("fallocate", path)(errno)),
            }
        }
        Ok(())
    }

    /// Replaces a pack by one of the same size that has nothing but `live`, at the same places.
    pub(crate) fn copy_live(
        &self,
        path: &Path,
        size: u64,
        live: &[Range],
    ) -> Result<(), LayerError> {
        let place = self.temporary()?;
        let part = place.path().join("pack.tar");
        let from = File::open(path).map_err(LayerError::io("open", path))?;
        let to = File::create_new(&part).map_err(LayerError::io("create", &part))?;
        to.set_len(size)
            .map_err(LayerError::io("truncate", &part))?;
        let mut buffer = vec![0; COPY_BYTES as usize];
        for (start, end) in live {
            let (mut at, end) = (*start, (*end).min(size));
            while at < end {
                let count = (end - at).min(COPY_BYTES);
                let piece = &mut buffer[..count as usize];
                from.read_exact_at(piece, at)
                    .map_err(LayerError::io("read", path))?;
                to.write_all_at(piece, at)
                    .map_err(LayerError::io("write", &part))?;
                at += count;
            }
        }
        // Unlike a new pack, this one takes the place of bytes that were safe on disk.
        to.sync_all().map_err(LayerError::io("fsync", &part))?;
        fs::rename(&part, path).map_err(LayerError::io("rename", path))
    }

    fn needs(&self, diff_ids: &[DiffId]) -> Result<Needs, LayerError> {
        let mut needs = Needs::default();
        for diff_id in diff_ids {
            needs.add(&self.directory(*diff_id).join("index"));
        }
        needs.join();
        Ok(needs)
    }

    /// Every file in `packs/`, sorted, with the number in its name; `None` if that is no pack's.
    fn pack_files(&self) -> Result<Vec<PackFile>, LayerError> {
        let directory = self.packs_directory();
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory).map_err(LayerError::io("read", &directory))? {
            let entry = entry.map_err(LayerError::io("read", &directory))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let number = DiffId::from_hex(&name_of(&path)).map(|name| name.0);
            let is_ours = path.extension().is_some_and(|extension| extension == "tar");
            files.push((path, number.filter(|_| is_ours)));
        }
        files.sort();
        Ok(files)
    }
}

fn name_of(path: &Path) -> String {
    // What a directory lists has a name; an empty one would be no pack's.
    path.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

fn stat(path: &Path) -> Result<Option<fs::Metadata>, LayerError> {
    match fs::symlink_metadata(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LayerError::io("stat", path)(error)),
    }
}

#[cfg(test)]
#[path = "pack_usage_tests.rs"]
mod tests;
