//! Files of an EROFS image: pieces of packs, put together in chunks of one size.

use crate::erofs_format::{BLOCK, BLOCK_BITS, CHUNK_INDEX_BYTES, NULL_ADDRESS};
use crate::whereabouts::Stretch;

/// The largest chunk that the format can say, in bits.
const MOST_BITS: u32 = BLOCK_BITS + 31;

/// A file cut into chunks of `2^bits` bytes, all but the last of full length.
///
/// A chunk is a piece of a pack, or zeros, or copied into the image: what lies
/// unaligned in its pack, or is partly zeros. A file that lies in one piece, as
/// nearly all do, is one chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// The logarithm of a chunk's size.
    pub bits: u32,
    /// In the order of the file.
    pub chunks: Vec<Chunk>,
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Nowhere: it is all zeros.
    Hole,
    /// In the pack of this number, from this block on.
    Pack(usize, u32),
    /// In the image, where it is copied to.
    Copied,
}

impl Chunks {
    /// Cuts a file of `size` bytes, which must not be 0, that lies as `stretches` say.
    ///
    /// The chunk size is the one that makes the image smallest.
    ///
    /// # Errors
    ///
    /// Says what the format cannot express.
    pub(crate) fn cut(size: u64, stretches: &[Stretch]) -> Result<Chunks, &'static str> {
        let whole = size.next_power_of_two().trailing_zeros().max(BLOCK_BITS);
        if whole > MOST_BITS {
            return Err("a file of more than 1 TiB");
        }
        let bits = match stretches {
            [] => whole,
            [only] if only.length == size && only.place % BLOCK == 0 => whole,
            _ => (BLOCK_BITS..=whole)
                .rev()
                .min_by_key(|bits| cost(size, stretches, *bits))
                .unwrap_or(whole),
        };
        let mut chunks = vec![Chunk::Hole; size.div_ceil(1 << bits) as usize];
        for (number, chunk) in pieces(size, stretches, bits) {
            let Some(slot) = chunks.get_mut(number as usize) else {
                return Err("a file that is longer than it says");
            };
            *slot = match *slot {
                Chunk::Hole => chunk?,
                _ => Chunk::Copied,
            };
        }
        Ok(Chunks { bits, chunks })
    }

    /// Where chunk `number` begins in the file, and how many bytes of the file are in it.
    pub(crate) fn range(&self, number: usize, size: u64) -> (u64, u64) {
        let start = (number as u64) << self.bits;
        (start, (size - start.min(size)).min(1 << self.bits))
    }

    /// Blocks of the image that copied chunks take.
    pub(crate) fn copied_blocks(&self, size: u64) -> u64 {
        (0..self.chunks.len())
            .filter(|number| self.chunks[*number] == Chunk::Copied)
            .map(|number| self.range(number, size).1.div_ceil(BLOCK))
            .sum()
    }
}

/// Bytes in the image that chunks of this size would take: their indexes, and what is copied.
fn cost(size: u64, stretches: &[Stretch], bits: u32) -> u64 {
    let mut copied = 0_u64;
    let mut last = None;
    for stretch in stretches {
        let (first, end) = touched(stretch, bits);
        let inner = if is_aligned(stretch) {
            contained(stretch, size, bits)
        } else {
            (first, first)
        };
        for (from, to) in [(first, inner.0), (inner.1.max(first), end)] {
            // Neighbours may share the chunk between them.
            let from = if last == Some(from) { from + 1 } else { from };
            if from < to {
                copied += to - from;
                last = Some(to - 1);
            }
        }
    }
    size.div_ceil(1 << bits)
        .saturating_mul(CHUNK_INDEX_BYTES)
        .saturating_add(copied.saturating_mul(1 << bits))
}

fn is_aligned(stretch: &Stretch) -> bool {
    stretch.place % BLOCK == stretch.offset % BLOCK
}

/// The chunks that hold anything of the stretch, as first and one past the last.
fn touched(stretch: &Stretch, bits: u32) -> (u64, u64) {
    (stretch.offset >> bits, ((stretch.end() - 1) >> bits) + 1)
}

/// The chunks that the stretch fills, as first and one past the last; the end of the file counts.
fn contained(stretch: &Stretch, size: u64, bits: u32) -> (u64, u64) {
    let first = stretch.offset.div_ceil(1 << bits);
    let end = if stretch.end() == size {
        size.div_ceil(1 << bits)
    } else {
        stretch.end() >> bits
    };
    (first, end.max(first))
}

/// What the stretches say about each chunk that is not a hole; some chunks come twice.
fn pieces(
    size: u64,
    stretches: &[Stretch],
    bits: u32,
) -> impl Iterator<Item = (u64, Result<Chunk, &'static str>)> + '_ {
    stretches.iter().flat_map(move |stretch| {
        let (first, end) = touched(stretch, bits);
        let filled = contained(stretch, size, bits);
        (first..end).map(move |number| {
            let is_filled = filled.0 <= number && number < filled.1 && is_aligned(stretch);
            if !is_filled {
                return (number, Ok(Chunk::Copied));
            }
            let place = stretch.place + ((number << bits) - stretch.offset);
            let block = u32::try_from(place / BLOCK).ok();
            let block = block.filter(|block| *block != NULL_ADDRESS);
            let chunk = block.map(|block| Chunk::Pack(stretch.pack, block));
            (number, chunk.ok_or("a pack of more than 2 TiB"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(offset: u64, length: u64, place: u64) -> Stretch {
        Stretch {
            offset,
            length,
            pack: 0,
            place,
        }
    }

    #[test]
    fn a_file_in_one_piece_is_one_chunk() {
        for (size, bits) in [(1, 9), (512, 9), (513, 10), (100_000, 17), (1 << 30, 30)] {
            let chunks = Chunks::cut(size, &[stretch(0, size, 1024)]);
            let expected = Chunks {
                bits,
                chunks: vec![Chunk::Pack(0, 2)],
            };
            assert_eq!(chunks, Ok(expected), "{size}");
        }
    }

    #[test]
    fn a_file_without_data_is_one_hole() {
        let expected = Chunks {
            bits: 36,
            chunks: vec![Chunk::Hole],
        };
        assert_eq!(Chunks::cut(64 << 30, &[]), Ok(expected));
    }

    #[test]
    fn what_is_not_aligned_is_copied() {
        let chunks = Chunks::cut(1000, &[stretch(0, 1000, 700)]);
        let expected = Chunks {
            bits: 10,
            chunks: vec![Chunk::Copied],
        };
        assert_eq!(chunks, Ok(expected));
    }

    #[test]
    fn chunks_fit_between_holes() {
        let stretches = [stretch(4096, 4096, 512), stretch(12288, 100, 4608)];
        let chunks = Chunks::cut(12388, &stretches);
        let expected = Chunks {
            bits: 12,
            chunks: vec![
                Chunk::Hole,
                Chunk::Pack(0, 1),
                Chunk::Hole,
                Chunk::Pack(0, 9),
            ],
        };
        assert_eq!(chunks, Ok(expected));
    }

    #[test]
    fn one_stray_byte_does_not_make_a_large_file_costly() {
        let size = 64 << 30;
        let chunks = Chunks::cut(size, &[stretch(12_345, 1, 512)]).map_err(str::to_owned);
        let (bits, blocks) = chunks
            .map(|chunks| (chunks.bits, chunks.copied_blocks(size)))
            .unwrap_or_default();
        assert!((17..22).contains(&bits), "{bits}");
        assert_eq!(blocks * BLOCK, 1 << bits);
    }
}
