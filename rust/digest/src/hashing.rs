//! Readers and writers that hash and count what passes through them.

use crate::{ContentDigest, Sha256Digest};
use std::io::{self, Read, Write};

/// A hash function that takes its input in pieces.
pub trait StreamHasher: Default {
    /// The type of its result.
    type Digest: Copy + Eq;

    /// Adds `bytes` to the input.
    fn update(&mut self, bytes: &[u8]);

    /// The digest of the input so far; more may be added afterwards.
    fn digest(&self) -> Self::Digest;
}

impl StreamHasher for sha2::Sha256 {
    type Digest = Sha256Digest;

    fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(self, bytes);
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest::from_bytes(sha2::Digest::finalize(self.clone()).into())
    }
}

impl StreamHasher for blake3::Hasher {
    type Digest = ContentDigest;

    fn update(&mut self, bytes: &[u8]) {
        blake3::Hasher::update(self, bytes);
    }

    fn digest(&self) -> ContentDigest {
        ContentDigest::from_bytes(*self.finalize().as_bytes())
    }
}

/// Hashes with `H` and counts what is read from `R`.
#[derive(Debug)]
pub struct HashingReader<R, H> {
    inner: R,
    hasher: H,
    count: u64,
}

impl<R: Read, H: StreamHasher> HashingReader<R, H> {
    /// Starts with nothing hashed.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: H::default(),
            count: 0,
        }
    }

    /// The number of bytes read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the bytes read so far.
    pub fn digest(&self) -> H::Digest {
        self.hasher.digest()
    }

    /// Gives back the reader.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read, H: StreamHasher> Read for HashingReader<R, H> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.count += length as u64;
        Ok(length)
    }
}

/// Hashes with `H` and counts what `W` accepted.
#[derive(Debug)]
pub struct HashingWriter<W, H> {
    inner: W,
    hasher: H,
    count: u64,
}

impl<W: Write, H: StreamHasher> HashingWriter<W, H> {
    /// Starts with nothing hashed.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: H::default(),
            count: 0,
        }
    }

    /// The number of bytes written so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the bytes written so far.
    pub fn digest(&self) -> H::Digest {
        self.hasher.digest()
    }

    /// Gives back the writer.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write, H: StreamHasher> Write for HashingWriter<W, H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.count += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most three bytes at a time, as a pipe may.
    struct Hesitant(Vec<u8>);

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_takes_less_than_offered_hashes_only_what_it_took() {
        let mut writer = HashingWriter::<_, sha2::Sha256>::new(Hesitant(Vec::new()));
        writer.write_all(b"hello, world").unwrap();
        assert_eq!(writer.count(), 12);
        assert_eq!(writer.digest(), crate::sha256_of(b"hello, world"));
        assert_eq!(writer.into_inner().0, b"hello, world");
    }

    #[test]
    fn a_reader_hashes_what_was_read_and_no_more() {
        let mut reader = HashingReader::<_, blake3::Hasher>::new(&b"hello, world"[..]);
        let mut word = [0; 5];
        reader.read_exact(&mut word).unwrap();
        assert_eq!(
            (reader.count(), reader.digest()),
            (5, crate::blake3_of(b"hello"))
        );
        assert_eq!(reader.into_inner(), b", world");
    }
}
