//! Reading compressed archives, told apart by their first bytes.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::LayerError;
use crate::limits::Limits;

/// Bytes read from a file or pipe at once.
const BUFFER_BYTES: usize = 256 << 10;
/// What a decoder for xz may use; `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 256 << 20;

/// Returns a reader of what `source` holds, decompressed if it is compressed.
///
/// gzip with one member or many, zstd with one frame or many, bzip2 and xz; all
/// else is passed through. Failures of the reader are [`LayerError`]s inside
/// [`io::Error`]s; reading stops with one when the data expands beyond `limits`.
///
/// # Errors
///
/// [`LayerError::Io`] if the first bytes cannot be read.
pub fn decompressed(
    source: Box<dyn Read + Send>,
    limits: &Limits,
) -> Result<Box<dyn Read + Send>, LayerError> {
    let compressed = Arc::new(AtomicU64::new(0));
    let mut counting = Counting {
        source,
        count: compressed.clone(),
    };
    let start = first_bytes(&mut counting)?;
    let source = io::Cursor::new(start.clone()).chain(counting);
    let source = BufReader::with_capacity(BUFFER_BYTES, source);
    let (format, decoder): (_, Box<dyn Read + Send>) = match start.as_slice() {
        [0x1f, 0x8b, ..] => (
            "gzip",
            Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        ),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(source);
            (
                "zstd",
                Box::new(decoder.map_err(LayerError::io("decompress", "archive"))?),
            )
        }
        [b'B', b'Z', b'h', ..] => (
            "bzip2",
            Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        ),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, flags)
                .map_err(|error| LayerError::BadCompression {
                    format: "xz",
                    source: error.into(),
                })?;
            (
                "xz",
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream)),
            )
        }
        _ => return Ok(Box::new(source)),
    };
    Ok(Box::new(Guarded {
        format,
        decoder,
        compressed,
        produced: 0,
        limits: *limits,
    }))
}

/// The first six bytes, or all where there are fewer: a pipe may give them one by one.
fn first_bytes(source: &mut Counting) -> Result<Vec<u8>, LayerError> {
    let mut start = Vec::with_capacity(6);
    let reading = source.take(6).read_to_end(&mut start);
    reading.map_err(LayerError::io("read", "archive"))?;
    Ok(start)
}

/// Counts the compressed bytes.
struct Counting {
    source: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Names the format in failures and watches the expansion.
struct Guarded {
    format: &'static str,
    decoder: Box<dyn Read + Send>,
    compressed: Arc<AtomicU64>,
    produced: u64,
    limits: Limits,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer).map_err(|source| {
            // An error of the system is about the file, not about its format.
            if source.raw_os_error().is_some() || source.kind() == io::ErrorKind::Interrupted {
                source
            } else {
                io::Error::other(LayerError::BadCompression {
                    format: self.format,
                    source,
                })
            }
        })?;
        self.produced += count as u64;
        let compressed = self.compressed.load(Ordering::Relaxed).max(1);
        if self.produced > self.limits.expansion_from
            && self.produced / compressed > self.limits.expansion
        {
            return Err(io::Error::other(LayerError::Limit {
                what: "uncompressed bytes for each compressed one",
                limit: self.limits.expansion,
            }));
        }
        Ok(count)
    }
}
