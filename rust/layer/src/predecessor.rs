//! An older layer of the same copy, whose tar a new one can share.

use std::collections::HashMap;
use std::sync::Arc;

use dissolver_digest::ResumableSha256;

use crate::checkpoints::{Checkpoint, resume_before};
use crate::copy_digest::Facts;
use crate::diff_id::DiffId;
use crate::entry::{ContentDigest, Kind};
use crate::error::LayerError;
use crate::index::Index;
use crate::index_format::{Extent, Record, encode_extra};
use crate::layers::Layers;
use crate::stored::StoredLayer;
use crate::tar_header;
use crate::tar_order::{Sort, tar_order};

/// A layer that a copy made, with what is needed to share its tar.
#[derive(Debug)]
pub(crate) struct Predecessor {
    layer: Arc<StoredLayer>,
    checkpoints: Vec<Checkpoint>,
}

/// Where one entry lies in a tar: its headers, then its content with the padding behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub start: u64,
    pub content: u64,
    pub end: u64,
}

impl Predecessor {
    /// Opens the layer; `None` if the store does not have it, or cannot vouch for its tar.
    ///
    /// A layer that is damaged counts as missing: it costs time, and `verify` reports it.
    pub(crate) fn open(layers: &Layers, diff_id: DiffId) -> Option<Predecessor> {
        Some(Predecessor {
            layer: layers.get(diff_id).ok()??,
            checkpoints: layers.checkpoints(diff_id)?,
        })
    }

    pub(crate) fn layer(&self) -> &StoredLayer {
        &self.layer
    }

    pub(crate) fn tar_bytes(&self) -> u64 {
        self.layer.index().tar_bytes()
    }

    /// The checkpoints up to `offset`, and the hash at the last of them.
    pub(crate) fn resume_before(&self, offset: u64) -> (&[Checkpoint], ResumableSha256) {
        let count = self
            .checkpoints
            .partition_point(|checkpoint| checkpoint.offset <= offset);
        let before = &self.checkpoints[..count];
        (before, resume_before(before, offset))
    }

    /// As [`StoredLayer::pieces`].
    pub(crate) fn pieces(&self, from: u64, length: u64, take: &mut dyn FnMut(Extent)) {
        self.layer.pieces(from, length, take);
    }

    /// Where each entry lies in the tar, by the number of its record; without a header nowhere.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`], also for a tar in another order than that of copies.
    pub(crate) fn regions(&self) -> Result<Regions, LayerError> {
        let index = self.layer.index();
        let mut failure = None;
        let records = (0..index.len()).map_while(|number| match index.record(number) {
            Ok(record) => Some((number, record)),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let sorts = records
            .filter(|(_, record)| !record.is_implicit())
            .map(|(number, record)| {
                let sort = Sort {
                    kind: record.kind,
                    is_hard_link: record.is_hard_link(),
                    size: record.size,
                };
                (number, sort)
            });
        let order = tar_order(sorts);
        if let Some(error) = failure {
            return Err(error);
        }
        let mut regions = vec![None; index.len() as usize];
        let mut position = 0;
        for number in order {
            let region = region_at(index, &index.record(number)?, position)?;
            position = region.end;
            regions[number as usize] = Some(region);
        }
        Ok(Regions {
            regions,
            end: position,
        })
    }

    /// Where contents of at least `least` bytes lie in the tar.
    pub(crate) fn contents(&self, least: u64) -> Result<HashMap<ContentDigest, u64>, LayerError> {
        let index = self.layer.index();
        let mut contents = HashMap::new();
        for number in 0..index.len() {
            let record = index.record(number)?;
            if record.kind == Kind::File && !record.is_hard_link() && record.size >= least {
                contents.insert(record.digest, record.data_offset);
            }
        }
        Ok(contents)
    }
}

/// Where the entries of a tar lie.
pub(crate) struct Regions {
    regions: Vec<Option<Region>>,
    /// Where the last of them ends.
    pub end: u64,
}

impl Regions {
    pub(crate) fn of(&self, number: u32) -> Option<Region> {
        self.regions.get(number as usize).copied().flatten()
    }
}

/// Where the entry lies that begins at `start`.
fn region_at(index: &Index, record: &Record, start: u64) -> Result<Region, LayerError> {
    let has_content = record.kind == Kind::File && !record.is_hard_link();
    // A hard link says where the content of its first name is.
    let content = if record.is_hard_link() {
        start + header_bytes(index, record)?
    } else {
        record.data_offset
    };
    let padded = if has_content { padded(record.size) } else { 0 };
    let end = content.saturating_add(padded);
    if content <= start || end > index.tar_bytes() {
        return Err(index.bad("its entries are not in the order of a copy's tar"));
    }
    Ok(Region {
        start,
        content,
        end,
    })
}

/// Bytes of content with the padding behind it.
pub(crate) fn padded(size: u64) -> u64 {
    size.saturating_add(511) / 512 * 512
}

fn header_bytes(index: &Index, record: &Record) -> Result<u64, LayerError> {
    let entry = index.entry_of(record)?;
    let mut headers = Vec::new();
    tar_header::encode(&entry, &entry.path, &mut headers);
    Ok(headers.len() as u64)
}

/// Tells whether `facts` give the same headers and the same content as an entry of the predecessor at the same path.
pub(crate) fn is_same(
    facts: &Facts<'_>,
    index: &Index,
    record: &Record,
) -> Result<bool, LayerError> {
    let is_link = facts.hard_link.is_some();
    let is_same = record.kind == facts.kind
        && u32::from(record.mode) == facts.mode & 0o7777
        && (record.uid, record.gid) == facts.owner
        && record.size == facts.size
        && record.mtime_ns == facts.mtime_ns
        && record.device == facts.device
        && record.is_hard_link() == is_link
        && !record.is_opaque()
        && (facts.kind != Kind::File || is_link || facts.digest == Some(record.digest));
    if !is_same {
        return Ok(false);
    }
    let is_plain = facts.xattrs.is_empty() && facts.link_target.is_none() && !is_link;
    let extra = index.extra_of(record)?;
    if is_plain {
        return Ok(extra.is_empty());
    }
    let mut expected = Vec::new();
    encode_extra(&facts.to_entry(), &mut expected);
    Ok(extra == expected)
}
