//! SHA-256 that can be put down and taken up again.

use crate::Sha256Digest;
use sha2::block_api::compress256;

/// Bytes that SHA-256 takes at once.
pub const SHA256_BLOCK_BYTES: usize = 64;

/// The initial value of FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A SHA-256 in progress, at the end of a whole block.
///
/// Its state is 32 bytes and a length, and can be kept: whoever has the state of
/// a long input at some place hashes another input that begins with the same
/// bytes from there. Whole blocks go in directly; what is no whole block belongs
/// to [`ResumableSha256::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumableSha256 {
    state: [u32; 8],
    length: u64,
}

impl Default for ResumableSha256 {
    fn default() -> ResumableSha256 {
        ResumableSha256 {
            state: INITIAL,
            length: 0,
        }
    }
}

impl ResumableSha256 {
    /// Takes up what [`ResumableSha256::state`] returned after `length` bytes; `None` inside a block.
    #[must_use]
    pub fn resume(state: &[u8; 32], length: u64) -> Option<ResumableSha256> {
        if length % SHA256_BLOCK_BYTES as u64 != 0 {
            return None;
        }
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(state.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().ok()?);
        }
        Some(ResumableSha256 {
            state: words,
            length,
        })
    }

    /// Adds whole blocks.
    pub fn update(&mut self, blocks: &[[u8; SHA256_BLOCK_BYTES]]) {
        compress256(&mut self.state, blocks);
        self.length += blocks.as_flattened().len() as u64;
    }

    /// How many bytes went in.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The chaining value, in the order in which a digest is written.
    #[must_use]
    pub fn state(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, word) in bytes.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The digest of everything that went in and `tail`, which may have any length.
    #[must_use]
    pub fn finish(mut self, tail: &[u8]) -> Sha256Digest {
        let bits = (self.length + tail.len() as u64) * 8;
        let mut pieces = tail.chunks_exact(SHA256_BLOCK_BYTES);
        for piece in pieces.by_ref() {
            let mut block = [0; SHA256_BLOCK_BYTES];
            block.copy_from_slice(piece);
            compress256(&mut self.state, &[block]);
        }
        let rest = pieces.remainder();
        let mut last = [[0; SHA256_BLOCK_BYTES]; 2];
        last[0][..rest.len()].copy_from_slice(rest);
        last[0][rest.len()] = 0x80;
        // One bit and eight bytes of length have to fit behind the rest.
        let count = if rest.len() < SHA256_BLOCK_BYTES - 8 {
            1
        } else {
            2
        };
        last[count - 1][SHA256_BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut self.state, &last[..count]);
        Sha256Digest::from_bytes(self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256_of;

    /// Bytes that repeat nowhere near a block.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 131 + n / 251) as u8).collect()
    }

    fn blocks(bytes: &[u8]) -> Vec<[u8; SHA256_BLOCK_BYTES]> {
        bytes
            .chunks_exact(SHA256_BLOCK_BYTES)
            .map(|block| block.try_into().unwrap())
            .collect()
    }

    #[test]
    fn every_length_of_the_tail_gives_the_digest_of_all() {
        for length in 0..400 {
            let all = bytes(length);
            let whole = length / SHA256_BLOCK_BYTES * SHA256_BLOCK_BYTES;
            let mut hash = ResumableSha256::default();
            hash.update(&blocks(&all[..whole]));
            assert_eq!(hash.finish(&all[whole..]), sha256_of(&all), "{length}");
            let unsplit = ResumableSha256::default().finish(&all);
            assert_eq!(unsplit, sha256_of(&all), "{length}");
        }
    }

    #[test]
    fn a_kept_state_goes_on_where_it_was() {
        let all = bytes(4096 + 17);
        for cut in [0, 64, 512, 4032, 4096] {
            let mut hash = ResumableSha256::default();
            hash.update(&blocks(&all[..cut]));
            let mut again = ResumableSha256::resume(&hash.state(), hash.length()).unwrap();
            assert_eq!(again, hash);
            again.update(&blocks(&all[cut..4096]));
            assert_eq!(again.finish(&all[4096..]), sha256_of(&all), "{cut}");
        }
    }

    #[test]
    fn nothing_resumes_inside_a_block() {
        assert_eq!(ResumableSha256::resume(&[0; 32], 65), None);
    }
}
