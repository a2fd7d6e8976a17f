//! Sparse files in tars: four ways of saying where the data belongs.

use crate::entry::Segment;
use crate::error::LayerError;
use crate::limits::Limits;
use crate::tape::Tape;
use crate::tar_fields::{decimal, number};

/// What the pax records before an entry say about its being sparse.
#[derive(Debug, Default)]
pub(crate) struct PaxSparse {
    /// `GNU.sparse.major`: 1 means the map stands before the data.
    pub major: Option<u64>,
    /// The size of the file with its holes.
    pub real_size: Option<u64>,
    /// The map of formats 0.0 and 0.1, offsets and lengths in turn.
    pub numbers: Vec<u64>,
    /// The real name; the header has an invented one.
    pub name: Option<Vec<u8>>,
}

impl PaxSparse {
    /// Takes a record if it is about sparse files; `None` if its value is bad.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Option<bool> {
        match key {
            b"GNU.sparse.major" => self.major = Some(decimal(value)?),
            b"GNU.sparse.minor" | b"GNU.sparse.numblocks" => {
                decimal(value)?;
            }
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.real_size = Some(decimal(value)?),
            b"GNU.sparse.offset" if self.numbers.len() % 2 == 0 => {
                self.numbers.push(decimal(value)?)
            }
            b"GNU.sparse.numbytes" if self.numbers.len() % 2 == 1 => {
                self.numbers.push(decimal(value)?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => return None,
            b"GNU.sparse.map" => {
                self.numbers = value
                    .split(|byte| *byte == b',')
                    .map(decimal)
                    .collect::<Option<_>>()?;
            }
            _ => return Some(false),
        }
        (self.numbers.len() / 2 <= limits.segments).then_some(true)
    }

    pub(crate) fn is_sparse(&self) -> bool {
        self.real_size.is_some() && (self.major == Some(1) || !self.numbers.is_empty())
    }
}

/// Reads the map of an old GNU header (type `S`) and the blocks that continue it.
///
/// Returns the segments and the size of the file with its holes.
pub(crate) fn old_gnu(
    header: &[u8; 512],
    tape: &mut Tape<'_>,
    limits: &Limits,
) -> Result<(Vec<Segment>, u64), LayerError> {
    let bad = |offset| LayerError::BadTar {
        offset,
        reason: "the map of a sparse file is unreadable",
    };
    let offset = tape.position();
    let real_size = number(&header[483..495])
        .and_then(|n| u64::try_from(n).ok())
        .ok_or_else(|| bad(offset))?;
    let mut segments = Vec::new();
    let mut area = header[386..386 + 4 * 24].to_vec();
    let mut continues = header[482] != 0;
    loop {
        for pair in area.chunks_exact(24) {
            if pair.iter().all(|byte| *byte == 0) {
                continue;
            }
            let field = |bytes| number(bytes).and_then(|n| u64::try_from(n).ok());
            let (Some(offset), Some(length)) = (field(&pair[..12]), field(&pair[12..])) else {
                return Err(bad(tape.position()));
            };
            segments.push(Segment { offset, length });
        }
        if segments.len() > limits.segments {
            return Err(too_many(limits));
        }
        if !continues {
            return Ok((segments, real_size));
        }
        let block = tape.block()?.ok_or_else(|| bad(tape.position()))?;
        continues = block[504] != 0;
        area = block[..21 * 24].to_vec();
    }
}

/// Reads the map that stands before the data in pax format 1.0.
///
/// Decimal numbers, a newline behind each: how many segments, then offset and
/// length of each; padded to a block. `stored` is lowered by what was read.
pub(crate) fn pax_1_0(
    tape: &mut Tape<'_>,
    stored: &mut u64,
    limits: &Limits,
) -> Result<Vec<Segment>, LayerError> {
    let mut numbers = MapNumbers {
        tape,
        stored,
        digits: Vec::new(),
        block: Vec::new(),
        at: 0,
    };
    let count = numbers.next()?;
    if count > limits.segments as u64 {
        return Err(too_many(limits));
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push(Segment {
            offset: numbers.next()?,
            length: numbers.next()?,
        });
    }
    Ok(segments)
}

struct MapNumbers<'map, 'tape> {
    tape: &'map mut Tape<'tape>,
    stored: &'map mut u64,
    digits: Vec<u8>,
    block: Vec<u8>,
    at: usize,
}

impl MapNumbers<'_, '_> {
    fn next(&mut self) -> Result<u64, LayerError> {
        self.digits.clear();
        loop {
            if self.at == self.block.len() {
                *self.stored = self.stored.checked_sub(512).ok_or_else(|| self.bad())?;
                self.block = self.tape.block()?.ok_or_else(|| self.bad())?.to_vec();
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            if byte == b'\n' {
                return decimal(&self.digits).ok_or_else(|| self.bad());
            }
            if self.digits.len() > 20 {
                return Err(self.bad());
            }
            self.digits.push(byte);
        }
    }

    fn bad(&self) -> LayerError {
        LayerError::BadTar {
            offset: self.tape.position(),
            reason: "the map of a sparse file is unreadable",
        }
    }
}

fn too_many(limits: &Limits) -> LayerError {
    LayerError::Limit {
        what: "pieces in a sparse file",
        limit: limits.segments as u64,
    }
}

/// Pairs up offsets and lengths.
pub(crate) fn pairs(numbers: &[u64]) -> Vec<Segment> {
    numbers
        .chunks_exact(2)
        .map(|pair| Segment {
            offset: pair[0],
            length: pair[1],
        })
        .collect()
}

/// Drops empty segments and checks that the rest are in order, apart, inside
/// the file, and exactly the bytes that are stored.
pub(crate) fn checked(segments: Vec<Segment>, real_size: u64, stored: u64) -> Option<Vec<Segment>> {
    let segments: Vec<Segment> = segments
        .into_iter()
        .filter(|segment| segment.length > 0)
        .collect();
    let (mut end, mut sum) = (0_u64, 0_u64);
    for segment in &segments {
        if segment.offset < end {
            return None;
        }
        end = segment.offset.checked_add(segment.length)?;
        sum = sum.checked_add(segment.length)?;
    }
    (end <= real_size && sum == stored).then_some(segments)
}
