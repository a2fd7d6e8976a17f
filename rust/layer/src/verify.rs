//! Reading a whole layer and comparing it with everything that is said of it.

use dissolver_digest::{ResumableSha256, SHA256_BLOCK_BYTES};

use crate::checkpoints::Checkpoint;
use crate::content_hash::ContentHasher;
use crate::diff_id::DiffId;
use crate::entry::Kind;
use crate::error::LayerError;
use crate::index::Index;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::stored::StoredLayer;

/// Bytes read from packs at once.
const BLOCK_BYTES: usize = 1 << 20;

impl Layers {
    /// Reads the whole layer once and compares it with its name, its index, its checkpoints and its image.
    ///
    /// # Errors
    ///
    /// [`LayerError::DigestMismatch`] if the tar is not what it was,
    /// [`LayerError::ContentMismatch`] if the index says other contents,
    /// [`LayerError::BadIndex`] if index, checkpoints or image are not what they were.
    pub fn verify(&self, diff_id: DiffId, interrupt: &Interrupt) -> Result<(), LayerError> {
        let layer = self.layer(diff_id)?;
        layer.index().verify()?;
        let checkpoints = self.checkpoints(diff_id).unwrap_or_default();
        let mut contents = Contents::of(layer.index())?;
        let found = hash(&layer, &checkpoints, interrupt, &mut |offset, bytes| {
            contents.take(offset, bytes);
        })?;
        let said = layer.diff_id();
        if found.diff_id != diff_id || said != diff_id {
            let is_said = said == diff_id;
            return Err(LayerError::DigestMismatch {
                expected: diff_id,
                found: if is_said { found.diff_id } else { said },
            });
        }
        if !found.has_all_checkpoints {
            return Err(layer
                .index()
                .bad("its checkpoints are not those of its tar"));
        }
        contents.finish(diff_id)?;
        self.verify_image(&layer, interrupt)
    }
}

/// What hashing a tar gave.
struct Found {
    diff_id: DiffId,
    has_all_checkpoints: bool,
}

fn hash(
    layer: &StoredLayer,
    checkpoints: &[Checkpoint],
    interrupt: &Interrupt,
    take: &mut dyn FnMut(u64, &[u8]),
) -> Result<Found, LayerError> {
    let mut buffer = vec![[0; SHA256_BLOCK_BYTES]; BLOCK_BYTES / SHA256_BLOCK_BYTES];
    let mut hash = ResumableSha256::default();
    let mut expected = checkpoints.iter().peekable();
    let mut has_all_checkpoints = true;
    loop {
        interrupt.check()?;
        let offset = hash.length();
        // Not past the next checkpoint, which is to be compared.
        let limit = expected
            .peek()
            .map_or(u64::MAX, |next| next.offset - offset);
        let limit = usize::try_from(limit)
            .unwrap_or(BLOCK_BYTES)
            .min(BLOCK_BYTES);
        let space = &mut buffer.as_flattened_mut()[..limit];
        let count = layer.read_at(offset, space)?;
        take(offset, &space[..count]);
        let whole = count / SHA256_BLOCK_BYTES;
        hash.update(&buffer[..whole]);
        if count < limit {
            let tail = &buffer.as_flattened()[whole * SHA256_BLOCK_BYTES..count];
            return Ok(Found {
                diff_id: DiffId(*hash.finish(tail).as_bytes()),
                has_all_checkpoints: has_all_checkpoints && expected.peek().is_none(),
            });
        }
        if let Some(reached) = expected.next_if(|next| next.offset == hash.length()) {
            has_all_checkpoints &= *reached == Checkpoint::of(&hash);
        }
    }
}

/// The digests of all files, taken while their tar passes by.
struct Contents<'a> {
    index: &'a Index,
    /// Where stored bytes begin and how many they are, by the number of the record; in the order of the tar.
    files: Vec<(u64, u64, u32)>,
    /// The first of them that is not done.
    next: usize,
    hasher: Option<ContentHasher>,
    wrong: Option<Vec<u8>>,
}

impl<'a> Contents<'a> {
    fn of(index: &'a Index) -> Result<Contents<'a>, LayerError> {
        let mut files = Vec::new();
        for number in 0..index.len() {
            let record = index.record(number)?;
            if record.kind == Kind::File && !record.is_hard_link() {
                let entry = index.entry_of(&record)?;
                files.push((record.data_offset, entry.stored_bytes(), number));
            }
        }
        files.sort_unstable();
        Ok(Contents {
            index,
            files,
            next: 0,
            hasher: None,
            wrong: None,
        })
    }

    /// Takes the bytes at `offset` of the tar, which follow those before.
    fn take(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        while let Some(&(start, stored, number)) = self.files.get(self.next) {
            if start > end || (start == end && stored > 0) {
                return;
            }
            let Ok(entry) = self.index.entry(number) else {
                self.next += 1;
                continue;
            };
            let from = start.max(offset);
            let to = start.saturating_add(stored).min(end).max(from);
            let hasher = self
                .hasher
                .get_or_insert_with(|| ContentHasher::new(&entry.segments));
            hasher.update(&bytes[(from - offset) as usize..(to - offset) as usize]);
            if to < start.saturating_add(stored) {
                return;
            }
            let found = self.hasher.take().map(|hasher| hasher.finish(entry.size));
            if found != entry.digest {
                self.wrong.get_or_insert(entry.path);
            }
            self.next += 1;
        }
    }

    fn finish(self, diff_id: DiffId) -> Result<(), LayerError> {
        match self.wrong {
            Some(path) => Err(LayerError::ContentMismatch { diff_id, path }),
            None if self.next < self.files.len() => {
                Err(self.index.bad("content lies outside the tar"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
