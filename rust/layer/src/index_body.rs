//! The bytes of an index whose records are settled.

use std::io::Write;

use crate::error::LayerError;
use crate::index_build::{LayerInfo, TarFacts};
use crate::index_format::{Header, Record, Span};

/// Records that are encoded at once: about 100 KB.
const RECORDS_AT_ONCE: usize = 1000;

/// An index that lacks nothing but what is known once the tar is complete.
#[derive(Debug)]
pub(crate) struct IndexBody {
    /// In the order of paths; the first one is the root.
    records: Vec<Record>,
    heap: Vec<u8>,
    entry_count: u64,
    content_bytes: u64,
}

impl IndexBody {
    pub(crate) fn new(
        records: Vec<Record>,
        heap: Vec<u8>,
        entry_count: u64,
        content_bytes: u64,
    ) -> IndexBody {
        IndexBody {
            records,
            heap,
            entry_count,
            content_bytes,
        }
    }

    /// Gives everything behind the header to `take`, piece by piece.
    ///
    /// Encoded each time: a million records take 100 MB as bytes, and 0.05 s to encode.
    fn encode(
        &self,
        facts: &TarFacts,
        take: &mut dyn FnMut(&[u8]) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let mut bytes = Vec::new();
        for extent in &facts.extents {
            extent.encode(&mut bytes);
        }
        take(&bytes)?;
        for records in self.records.chunks(RECORDS_AT_ONCE) {
            bytes.clear();
            for record in records {
                record.encode(&mut bytes);
            }
            take(&bytes)?;
        }
        take(&self.heap)
    }

    /// Writes the index of the layer whose tar is as `facts` say.
    pub(crate) fn write(
        &self,
        facts: &TarFacts,
        out: &mut dyn Write,
    ) -> Result<LayerInfo, LayerError> {
        let mut hasher = blake3::Hasher::new();
        self.encode(facts, &mut |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        let implied = self.records.iter().skip(1);
        let implied_count = implied.filter(|record| record.is_implicit()).count();
        let header = Header {
            diff_id: facts.diff_id.0,
            body_digest: *hasher.finalize().as_bytes(),
            tar_bytes: facts.tar_bytes,
            content_bytes: self.content_bytes,
            entry_count: self.entry_count,
            extent_count: u32::try_from(facts.extents.len()).unwrap_or(u32::MAX),
            record_count: u32::try_from(self.records.len()).unwrap_or(u32::MAX),
            heap_bytes: self.heap.len() as u64,
            implied_count: u32::try_from(implied_count).unwrap_or(u32::MAX),
        };
        let mut write = |bytes: &[u8]| {
            out.write_all(bytes)
                .map_err(LayerError::io("write", "index"))
        };
        write(&header.encode())?;
        self.encode(facts, &mut write)?;
        Ok(LayerInfo {
            diff_id: facts.diff_id,
            tar_bytes: facts.tar_bytes,
            content_bytes: self.content_bytes,
            entry_count: self.entry_count,
        })
    }
}

/// Appends `bytes` to the heap and says where they are.
pub(crate) fn put(bytes: &[u8], heap: &mut Vec<u8>) -> Span {
    let offset = heap.len() as u64;
    heap.extend_from_slice(bytes);
    Span {
        offset,
        length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    }
}
