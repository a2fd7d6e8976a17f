//! Digests of content, sparse or not.

use std::collections::VecDeque;

use crate::entry::{ContentDigest, Segment};

/// BLAKE3 of a file whose stored bytes may leave holes.
pub(crate) struct ContentHasher {
    hasher: blake3::Hasher,
    segments: VecDeque<Segment>,
    current: Option<Segment>,
    position: u64,
}

impl ContentHasher {
    pub(crate) fn new(segments: &[Segment]) -> ContentHasher {
        let mut segments = VecDeque::from(segments.to_vec());
        let current = segments.pop_front();
        ContentHasher {
            hasher: blake3::Hasher::new(),
            segments,
            current,
            position: 0,
        }
    }

    /// Takes stored bytes, wherever they belong.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while let Some(segment) = self.current {
            self.zeros(segment.offset.saturating_sub(self.position));
            let left = segment.offset + segment.length - self.position;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.hasher.update(&bytes[..count]);
            self.position += count as u64;
            bytes = &bytes[count..];
            if count as u64 == left {
                self.current = self.segments.pop_front();
            }
            if bytes.is_empty() {
                return;
            }
        }
        self.hasher.update(bytes);
        self.position += bytes.len() as u64;
    }

    fn zeros(&mut self, mut count: u64) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        self.position += count;
        while count > 0 {
            let piece = ZEROS
                .len()
                .min(usize::try_from(count).unwrap_or(usize::MAX));
            self.hasher.update(&ZEROS[..piece]);
            count -= piece as u64;
        }
    }

    /// The digest of a file of `size` bytes.
    pub(crate) fn finish(mut self, size: u64) -> ContentDigest {
        self.zeros(size.saturating_sub(self.position));
        *self.hasher.finalize().as_bytes()
    }
}
