//! States of a layer's SHA-256, kept so that a successor need not hash from the start.

use std::fs;
use std::path::Path;

use dissolver_digest::ResumableSha256;

use crate::diff_id::DiffId;
use crate::error::LayerError;

/// What a file of checkpoints begins with.
const MAGIC: &[u8; 8] = b"DSLVSUM\0";
/// Raise it with every change of the format, and with every change of the headers
/// in [`crate::tar_header`] or their order in [`crate::tar_order`]: the file vouches for
/// the tar having been written by these.
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 8 + 4 + 4 + 32 + 32;
const RECORD_BYTES: usize = 8 + 32;

/// The state of a SHA-256 after `offset` bytes of the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// A multiple of 64.
    pub offset: u64,
    /// As [`ResumableSha256::state`] gives it.
    pub state: [u8; 32],
}

impl Checkpoint {
    pub(crate) fn of(hash: &ResumableSha256) -> Checkpoint {
        Checkpoint {
            offset: hash.length(),
            state: hash.state(),
        }
    }

    fn resume(&self) -> Option<ResumableSha256> {
        ResumableSha256::resume(&self.state, self.offset)
    }
}

/// The hash of the first bytes of a tar: as many as there is a checkpoint for, but not more than `limit`.
pub(crate) fn resume_before(checkpoints: &[Checkpoint], limit: u64) -> ResumableSha256 {
    let count = checkpoints.partition_point(|checkpoint| checkpoint.offset <= limit);
    let last = checkpoints[..count].last();
    // Without one that fits, hashing begins with the first byte: slower, and never wrong.
    last.and_then(Checkpoint::resume).unwrap_or_default()
}

/// Writes the file of a layer that copies made; its presence says that a successor can share its tar.
pub(crate) fn write(
    path: &Path,
    diff_id: DiffId,
    checkpoints: &[Checkpoint],
) -> Result<(), LayerError> {
    fs::write(path, encode(diff_id, checkpoints)).map_err(LayerError::io("write", path))
}

/// Reads the file of the layer `diff_id`; `None` if there is none, or none that can be believed.
pub(crate) fn read(path: &Path, diff_id: DiffId) -> Option<Vec<Checkpoint>> {
    decode(&fs::read(path).ok()?, diff_id)
}

fn encode(diff_id: DiffId, checkpoints: &[Checkpoint]) -> Vec<u8> {
    let mut records = Vec::with_capacity(checkpoints.len() * RECORD_BYTES);
    for checkpoint in checkpoints {
        records.extend_from_slice(&checkpoint.offset.to_le_bytes());
        records.extend_from_slice(&checkpoint.state);
    }
    let count = u32::try_from(checkpoints.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&diff_id.0);
    bytes.extend_from_slice(blake3::hash(&records).as_bytes());
    bytes.extend_from_slice(&records);
    bytes
}

fn decode(bytes: &[u8], diff_id: DiffId) -> Option<Vec<Checkpoint>> {
    let (header, records) = bytes.split_at_checked(HEADER_BYTES)?;
    let count = u32::from_le_bytes(header[12..16].try_into().ok()?);
    let is_ours = header[..8] == MAGIC[..]
        && header[8..12] == VERSION.to_le_bytes()
        && header[16..48] == diff_id.0
        && header[48..] == blake3::hash(records).as_bytes()[..]
        && records.len() == count as usize * RECORD_BYTES;
    if !is_ours {
        return None;
    }
    let mut checkpoints: Vec<Checkpoint> = Vec::with_capacity(count as usize);
    for record in records.chunks_exact(RECORD_BYTES) {
        let offset = u64::from_le_bytes(record[..8].try_into().ok()?);
        let last = checkpoints.last().map_or(0, |last| last.offset);
        let state = record[8..].try_into().ok()?;
        let checkpoint = Checkpoint { offset, state };
        if offset <= last || checkpoint.resume().is_none() {
            return None;
        }
        checkpoints.push(checkpoint);
    }
    Some(checkpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Checkpoint> {
        let at = |offset, byte| Checkpoint {
            offset,
            state: [byte; 32],
        };
        vec![at(64, 1), at(512, 2), at(4096, 3)]
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = encode(DiffId([7; 32]), &example());
        assert_eq!(decode(&bytes, DiffId([7; 32])), Some(example()));
        assert_eq!(decode(&bytes, DiffId([8; 32])), None);
    }

    #[test]
    fn a_file_that_is_damaged_is_no_file() {
        let bytes = encode(DiffId([7; 32]), &example());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, DiffId([7; 32])), None, "{at}");
            assert_eq!(decode(&bytes[..at], DiffId([7; 32])), None, "{at}");
        }
    }

    #[test]
    fn hashing_resumes_at_the_last_checkpoint_before_the_difference() {
        for (limit, expected) in [(0, 0), (63, 0), (64, 64), (4095, 512), (9999, 4096)] {
            assert_eq!(
                resume_before(&example(), limit).length(),
                expected,
                "{limit}"
            );
        }
    }
}
