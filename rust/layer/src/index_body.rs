//! The bytes of an index, put together record by record.

use std::io::Write;

use crate::error::LayerError;
use crate::index_build::{LayerInfo, TarFacts};
use crate::index_format::{Header, Record, Span};

/// An index that lacks nothing but what is known once the tar is complete.
#[derive(Debug)]
pub(crate) struct IndexBody {
    records: Vec<u8>,
    heap: Vec<u8>,
    record_count: u32,
    implied_count: u32,
    entry_count: u64,
    content_bytes: u64,
}

impl IndexBody {
    pub(crate) fn new(entry_count: u64, content_bytes: u64) -> IndexBody {
        IndexBody {
            records: Vec::new(),
            heap: Vec::new(),
            record_count: 0,
            implied_count: 0,
            entry_count,
            content_bytes,
        }
    }

    /// Adds the next record in the order of paths; the first one is the root.
    pub(crate) fn push(&mut self, mut record: Record, path: &[u8], extra: &[u8]) {
        record.path = put(path, &mut self.heap);
        record.extra = put(extra, &mut self.heap);
        record.encode(&mut self.records);
        if self.record_count > 0 && record.is_implicit() {
            self.implied_count += 1;
        }
        self.record_count += 1;
    }

    /// Writes the index of the layer whose tar is as `facts` say.
    pub(crate) fn write(
        &self,
        facts: &TarFacts,
        out: &mut dyn Write,
    ) -> Result<LayerInfo, LayerError> {
        let mut extents = Vec::new();
        for extent in &facts.extents {
            extent.encode(&mut extents);
        }
        let mut hasher = blake3::Hasher::new();
        for part in [&extents, &self.records, &self.heap] {
            hasher.update(part);
        }
        let header = Header {
            diff_id: facts.diff_id.0,
            body_digest: *hasher.finalize().as_bytes(),
            tar_bytes: facts.tar_bytes,
            content_bytes: self.content_bytes,
            entry_count: self.entry_count,
            extent_count: u32::try_from(facts.extents.len()).unwrap_or(u32::MAX),
            record_count: self.record_count,
            heap_bytes: self.heap.len() as u64,
            implied_count: self.implied_count,
        };
        for bytes in [&header.encode()[..], &extents, &self.records, &self.heap] {
            out.write_all(bytes)
                .map_err(LayerError::io("write", "index"))?;
        }
        Ok(LayerInfo {
            diff_id: facts.diff_id,
            tar_bytes: facts.tar_bytes,
            content_bytes: self.content_bytes,
            entry_count: self.entry_count,
        })
    }
}

fn put(bytes: &[u8], heap: &mut Vec<u8>) -> Span {
    let offset = heap.len() as u64;
    heap.extend_from_slice(bytes);
    Span {
        offset,
        length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    }
}
