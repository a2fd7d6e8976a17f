//! Digests as values, and readers and writers that hash what passes through.
//!
//! A digest here is always 32 bytes; its type says which function made it, so a
//! content digest (BLAKE3, fast, ours) can never stand where a blob digest
//! (SHA-256, what registries and image configurations speak) is meant.
#![forbid(unsafe_code)]

mod hashing;
mod resumable;
mod value;

pub use hashing::{HashingReader, HashingWriter, StreamHasher};
pub use resumable::{ResumableSha256, SHA256_BLOCK_BYTES};
pub use value::{BadDigest, ContentDigest, Sha256Digest};

/// Hashes `bytes` with BLAKE3.
#[must_use]
pub fn blake3_of(bytes: &[u8]) -> ContentDigest {
    ContentDigest::from_bytes(*blake3::hash(bytes).as_bytes())
}

/// Hashes `bytes` with SHA-256.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> Sha256Digest {
    let mut hasher = sha2::Sha256::default();
    StreamHasher::update(&mut hasher, bytes);
    StreamHasher::digest(&hasher)
}
