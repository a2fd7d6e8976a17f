//! Blocks that are compressed apart and make one stream together.

use std::io;

use crate::compress_noise::parts;
use flate2::{Compress, Crc, FlushCompress, Status};

/// Bytes of a gzip block: at 1 MiB the marks between blocks cost 0.01 %.
const GZIP_BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a zstd frame. Frames know nothing of each other; at 4 MiB, two windows of level 3,
/// 600 MB of programs and texts come out no larger than in a single frame.
const ZSTD_BLOCK_BYTES: usize = 4 << 20;
/// As far back as deflate looks.
const DEFLATE_WINDOW: usize = 32 << 10;
/// The most bytes that a stored block of deflate holds.
const MOST_STORED: usize = u16::MAX as usize;

/// Magic, deflate, no name, no time, default compression, an unknown system: nothing that varies.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A last deflate block with nothing in it.
const DEFLATE_END: [u8; 2] = [0x03, 0x00];

/// A format whose streams are made of independent blocks, with its level.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BlockFormat {
    Gzip(u32),
    Zstd(i32),
}

/// A compressed block and what the end of the stream has to know of it.
pub(crate) struct Finished {
    pub(crate) bytes: Vec<u8>,
    crc: Crc,
}

impl BlockFormat {
    /// Uncompressed bytes of every block but the last.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            BlockFormat::Gzip(_) => GZIP_BLOCK_BYTES,
            BlockFormat::Zstd(_) => ZSTD_BLOCK_BYTES,
        }
    }

    /// What the stream begins with.
    pub(crate) fn header(self) -> &'static [u8] {
        match self {
            BlockFormat::Gzip(_) => &GZIP_HEADER,
            BlockFormat::Zstd(_) => &[],
        }
    }

    pub(crate) fn worker(self) -> Worker {
        match self {
            BlockFormat::Gzip(level) => Worker::Gzip(level),
            BlockFormat::Zstd(level) => Worker::Zstd(level, None),
        }
    }

    pub(crate) fn ending(self) -> Ending {
        match self {
            BlockFormat::Gzip(_) => Ending::Gzip(Crc::new()),
            BlockFormat::Zstd(_) => Ending::Nothing,
        }
    }
}

/// Compresses blocks, one after the other.
pub(crate) enum Worker {
    Gzip(u32),
    Zstd(i32, Option<zstd::bulk::Compressor<'static>>),
}

impl Worker {
    /// Compresses `block`; the end of the block `before` serves gzip as a dictionary.
    pub(crate) fn compress(
        &mut self,
        block: &[u8],
        before: Option<&Vec<u8>>,
    ) -> io::Result<Finished> {
        match self {
            Worker::Gzip(level) => {
                let mut crc = Crc::new();
                crc.update(block);
                let bytes = deflate(*level, block, before)?;
                Ok(Finished { bytes, crc })
            }
            Worker::Zstd(level, state) => {
                let state = match state {
                    Some(state) => state,
                    None => state.insert(frames(*level)?),
                };
                let bytes = state.compress(block)?;
                Ok(Finished {
                    bytes,
                    crc: Crc::new(),
                })
            }
        }
    }
}

/// Frames that say their length and carry a checksum, as `zstd` itself writes them.
fn frames(level: i32) -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut state = zstd::bulk::Compressor::new(level)?;
    state.include_contentsize(true)?;
    state.include_checksum(true)?;
    Ok(state)
}

/// Deflate blocks that end at a byte and are not the last; what is noise is only stored.
///
/// Each part gets a state of its own: one that is reset finds other matches than
/// a new one (zlib-rs 0.6.8), and the bytes must depend on nothing but the input. For
/// the same reason there is room for all of the output from the start.
fn deflate(level: u32, block: &[u8], before: Option<&Vec<u8>>) -> io::Result<Vec<u8>> {
    // Level 1 gives a byte nine bits at worst; the others store what they cannot compress.
    let mut out = Vec::with_capacity(block.len() + block.len() / 8 + 1024);
    for (is_noise, range) in parts(block) {
        let (known, rest) = block.split_at(range.start);
        let part = rest.get(..range.len()).unwrap_or(rest);
        if is_noise {
            store(part, &mut out);
            continue;
        }
        let mut state = Compress::new(flate2::Compression::new(level), false);
        let known = if range.start == 0 {
            before.map_or(known, Vec::as_slice)
        } else {
            known
        };
        if !known.is_empty() {
            let start = known.len().saturating_sub(DEFLATE_WINDOW);
            state.set_dictionary(known.get(start..).unwrap_or(known))?;
        }
        let status = state.compress_vec(part, &mut out, FlushCompress::Sync)?;
        let is_taken = state.total_in() == part.len() as u64 && out.len() < out.capacity();
        if status != Status::Ok || !is_taken {
            return Err(io::Error::other("deflate did not take a block whole"));
        }
    }
    Ok(out)
}

/// Writes stored blocks (RFC 1951, section 3.2.4); what is before them ends at a byte.
fn store(part: &[u8], out: &mut Vec<u8>) {
    for bytes in part.chunks(MOST_STORED) {
        // No chunk is longer than what two bytes can say.
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(bytes);
    }
}

/// What comes behind the last block.
pub(crate) enum Ending {
    Gzip(Crc),
    Nothing,
}

impl Ending {
    /// Takes note of the next block, in their order.
    pub(crate) fn add(&mut self, block: &Finished) {
        if let Ending::Gzip(crc) = self {
            crc.combine(&block.crc);
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Ending::Gzip(crc) => [
                &DEFLATE_END[..],
                &crc.sum().to_le_bytes(),
                &crc.amount().to_le_bytes(),
            ]
            .concat(),
            Ending::Nothing => Vec::new(),
        }
    }
}
