//! Making an index from entries as a tar gives them: any order, any repetition.

use std::borrow::Cow;
use std::io::Write;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, compare_paths, is_beneath, parent};
use crate::error::LayerError;
use crate::index_body::{IndexBody, put};
use crate::index_format::{Extent, Record, Span, decode_extra, encode_extra};
use crate::index_links::Targets;
use crate::limits::Limits;
use crate::pipeline::Hashed;

/// Permission bits of a directory that no header describes, as Docker makes it.
const IMPLICIT_MODE: u32 = 0o755;

/// Collects the entries of one layer.
///
/// Takes them in the order of the tar, where a later entry replaces an earlier
/// one of the same path. Memory is a fixed record and the names for each.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// In the order of the tar; the number of an entry is its place in here.
    pub(crate) records: Vec<Record>,
    pub(crate) heap: Vec<u8>,
    limits: Limits,
}

/// What is known of the tar once it is complete.
#[derive(Debug, Clone)]
pub struct TarFacts {
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    /// Its length.
    pub tar_bytes: u64,
    /// Where its bytes lie.
    pub extents: Vec<Extent>,
}

impl TarFacts {
    /// A tar that lies in a pack of its own.
    pub(crate) fn whole(hashed: &Hashed) -> TarFacts {
        TarFacts {
            diff_id: hashed.diff_id,
            tar_bytes: hashed.tar_bytes,
            extents: vec![Extent::whole(hashed.diff_id, hashed.tar_bytes)],
        }
    }
}

/// What an index says about its layer as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerInfo {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Bytes of all files together, hard links counted once.
    pub content_bytes: u64,
    /// Entries of the tar, whiteouts included.
    pub entry_count: u64,
}

impl IndexBuilder {
    /// Begins an index that may not become larger than `limits` say.
    #[must_use]
    pub fn within(limits: &Limits) -> IndexBuilder {
        IndexBuilder {
            limits: *limits,
            ..IndexBuilder::default()
        }
    }

    /// Makes room for so many entries, and the root, with so many bytes of names: growing
    /// would have all of it in memory twice for a moment.
    pub(crate) fn reserve(&mut self, entries: usize, name_bytes: usize) {
        self.records.reserve_exact(entries + 1);
        self.heap.reserve_exact(name_bytes);
    }

    /// Adds an entry; an opaque directory without a header is one that is implicit.
    pub fn push(&mut self, entry: &Entry) {
        let record = self.record(entry);
        self.records.push(record);
    }

    fn record(&mut self, entry: &Entry) -> Record {
        let path = self.put(|heap| heap.extend_from_slice(&entry.path));
        let extra = self.put(|heap| encode_extra(entry, heap));
        let mut record = Record {
            path,
            extra,
            kind: entry.kind,
            flags: 0,
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or(0),
            uid: entry.uid,
            gid: entry.gid,
            device: entry.device,
            subtree_end: 0,
            size: entry.size,
            mtime_ns: entry.mtime_ns,
            data_offset: entry.data_offset,
            digest: entry.digest.unwrap_or_default(),
        };
        record.set_opaque(entry.is_opaque);
        record.set_implicit(entry.is_implicit);
        record.set_hard_link(entry.hard_link.is_some());
        record
    }

    /// How many entries were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Tells whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of names, links and attributes so far.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.heap.len();
        write(&mut self.heap);
        let length = self.heap.len() - start;
        Span {
            offset: start as u64,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn path(&self, record: &Record) -> &[u8] {
        record.path.of(&self.heap).unwrap_or_default()
    }

    pub(crate) fn entry(&self, record: &Record) -> Option<Entry> {
        record.entry(self.path(record), record.extra.of(&self.heap)?)
    }

    /// Sorts, joins and checks the entries and writes the index to `out`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadEntry`] if they contradict each other: something lies
    /// beneath what is no directory, or a hard link leads nowhere.
    /// [`LayerError::Limit`] if what they imply is more than they are allowed to be.
    pub fn finish(self, facts: &TarFacts, out: &mut dyn Write) -> Result<LayerInfo, LayerError> {
        self.body()?.write(facts, out)
    }

    /// Everything of the index but what only the complete tar tells.
    ///
    /// # Errors
    ///
    /// As [`IndexBuilder::finish`].
    pub(crate) fn body(mut self) -> Result<IndexBody, LayerError> {
        let entry_count = self
            .records
            .iter()
            .filter(|record| !record.is_implicit())
            .count() as u64;
        let is_plain = self.is_plain();
        let merged = if is_plain {
            std::mem::take(&mut self.records)
        } else {
            let mut targets = self.targets();
            let merged = self.merge(&mut targets)?;
            self.records = Vec::new();
            merged
        };
        let mut tree = self.with_parents(merged)?;
        let content_bytes = self.number_subtrees(&mut tree);
        if !is_plain {
            let mut heap = Vec::with_capacity(self.heap.len());
            for record in &mut tree {
                let path = put(self.path(record), &mut heap);
                record.extra = put(&self.final_extra(record), &mut heap);
                record.path = path;
            }
            self.heap = heap;
        }
        Ok(IndexBody::new(tree, self.heap, entry_count, content_bytes))
    }

    /// Tells whether every path comes once, in order, and without links: then nothing has to be merged.
    ///
    /// So it is with nearly all copies, and their indexes take half the memory.
    fn is_plain(&self) -> bool {
        let is_special = |record: &Record| {
            let is_marked = record.is_opaque() && record.kind != Kind::Directory;
            record.is_hard_link() || is_marked
        };
        let is_sorted =
            |pair: &[Record]| compare_paths(self.path(&pair[0]), self.path(&pair[1])).is_lt();
        !self.records.iter().any(is_special) && self.records.windows(2).all(is_sorted)
    }

    /// Tells whether every directory above an entry is an entry too, but perhaps the root.
    fn has_all_parents(&self, merged: &[Record]) -> bool {
        let mut open: Vec<&[u8]> = Vec::new();
        for record in merged {
            let path = self.path(record);
            while open.last().is_some_and(|above| !is_beneath(path, above)) {
                open.pop();
            }
            let is_strange = path.is_empty() && record.kind != Kind::Directory;
            if is_strange || open.last().copied().unwrap_or_default() != parent(path) {
                return false;
            }
            // What lies beneath anything else finds its directory missing.
            if record.kind == Kind::Directory {
                open.push(path);
            }
        }
        true
    }

    /// Numbers of the entries by path, and in the order of the tar where that is equal.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let count = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|left, right| {
            compare_paths(
                self.path(&self.records[*left as usize]),
                self.path(&self.records[*right as usize]),
            )
        });
        order
    }

    /// Makes one record of all that have the same path.
    ///
    /// A whiteout beside a real entry means "replaced, not merged": a directory
    /// becomes opaque, and anything else needs no saying.
    fn merge(&mut self, targets: &mut Targets) -> Result<Vec<Record>, LayerError> {
        let mut merged = Vec::with_capacity(targets.order.len() + 1);
        for (start, end) in self.groups(&targets.order) {
            merged.push(self.merge_group(targets, start, end)?);
            self.check_size(merged.len())?;
        }
        self.keep_links_to_survivors(&mut merged);
        Ok(merged)
    }

    /// Links repeat the attributes of what they name, and paths imply directories.
    fn check_size(&self, records: usize) -> Result<(), LayerError> {
        let (what, limit) = if records > self.limits.entries {
            ("entries and implied directories", self.limits.entries)
        } else if self.heap.len() > self.limits.index_bytes {
            ("bytes of names and attributes", self.limits.index_bytes)
        } else {
            return Ok(());
        };
        let limit = limit as u64;
        Err(LayerError::Limit { what, limit })
    }

    /// Makes one record of all entries of one path: those from `start` to `end` in the order.
    fn merge_group(
        &mut self,
        targets: &mut Targets,
        start: usize,
        end: usize,
    ) -> Result<Record, LayerError> {
        let group = &targets.order[start..end];
        let records: Vec<Record> = group
            .iter()
            .map(|number| self.records[*number as usize])
            .collect();
        let is_marked = records.iter().any(Record::is_opaque);
        let is_hidden = records.iter().any(|record| record.kind == Kind::Whiteout);
        let Some(number) = targets.latest[end - 1] else {
            let marker = records.iter().rev().find(|record| record.is_opaque());
            let chosen = marker.unwrap_or(&records[records.len() - 1]);
            if chosen.is_hard_link() {
                return Err(self.bad(chosen, "is a hard link to itself"));
            }
            return Ok(*chosen);
        };
        let mut chosen = self.records[number as usize];
        if chosen.is_hard_link() {
            chosen = self.follow(targets, number)?;
        }
        if chosen.kind == Kind::Directory {
            chosen.set_opaque(is_marked || is_hidden);
        } else if is_marked {
            return Err(self.bad(&chosen, "is marked opaque and is not a directory"));
        }
        Ok(chosen)
    }

    /// Stretches of `order` whose records have the same path.
    pub(crate) fn groups(&self, order: &[u32]) -> Vec<(usize, usize)> {
        let mut groups = Vec::new();
        let mut start = 0;
        for end in 1..=order.len() {
            let is_last = order.get(end).is_none_or(|next| {
                self.path(&self.records[*next as usize])
                    != self.path(&self.records[order[start] as usize])
            });
            if is_last {
                groups.push((start, end));
                start = end;
            }
        }
        groups
    }

    /// Adds a record for every directory that only its children imply.
    fn with_parents(&mut self, mut merged: Vec<Record>) -> Result<Vec<Record>, LayerError> {
        if self.has_all_parents(&merged) {
            if merged
                .first()
                .is_none_or(|first| !self.path(first).is_empty())
            {
                merged.insert(0, self.implied(b""));
            }
            self.check_size(merged.len())?;
            return Ok(merged);
        }
        let mut tree: Vec<Record> = Vec::with_capacity(merged.len() + 1);
        // Places in `tree` of the directories that hold the current entry.
        let mut open: Vec<usize> = Vec::new();
        if merged
            .first()
            .is_none_or(|record| !self.path(record).is_empty())
        {
            tree.push(self.implied(b""));
            open.push(0);
        }
        for record in merged {
            let path = self.path(&record).to_vec();
            if path.is_empty() {
                if record.kind != Kind::Directory {
                    return Err(self.bad(&record, "is the root and not a directory"));
                }
                tree.push(record);
                open.push(0);
                continue;
            }
            while open.len() > 1
                && open
                    .last()
                    .is_some_and(|place| !is_beneath(&path, self.path(&tree[*place])))
            {
                open.pop();
            }
            self.open_parents(&mut tree, &mut open, &path, &record)?;
            open.push(tree.len());
            tree.push(record);
            self.check_size(tree.len())?;
        }
        Ok(tree)
    }

    /// Makes the last of `open` the parent of `path`.
    fn open_parents(
        &mut self,
        tree: &mut Vec<Record>,
        open: &mut Vec<usize>,
        path: &[u8],
        record: &Record,
    ) -> Result<(), LayerError> {
        let Some(&innermost) = open.last() else {
            return Ok(());
        };
        if tree[innermost].kind == Kind::Whiteout {
            // Hidden below and filled anew: an opaque directory.
            let path = self.path(&tree[innermost]).to_vec();
            let mut directory = self.implied(&path);
            directory.set_opaque(true);
            tree[innermost] = directory;
        } else if tree[innermost].kind != Kind::Directory {
            return Err(self.bad(record, "lies beneath something that is not a directory"));
        }
        let above = self.path(&tree[innermost]).len();
        let start = if above == 0 { 0 } else { above + 1 };
        for (offset, byte) in path.iter().enumerate().skip(start) {
            if *byte == b'/' {
                let directory = self.implied(&path[..offset]);
                open.push(tree.len());
                tree.push(directory);
            }
        }
        debug_assert_eq!(
            open.last().map(|place| self.path(&tree[*place])),
            Some(parent(path))
        );
        Ok(())
    }

    fn implied(&mut self, path: &[u8]) -> Record {
        let mut entry = Entry::new(path, Kind::Directory, IMPLICIT_MODE);
        entry.is_implicit = true;
        self.record(&entry)
    }

    /// Fills in where subtrees end and what covers lower layers; returns the bytes of all files.
    fn number_subtrees(&self, tree: &mut [Record]) -> u64 {
        let mut content_bytes = 0_u64;
        let mut open: Vec<usize> = Vec::new();
        for place in 0..tree.len() {
            let path = self.path(&tree[place]);
            while let Some(&last) = open.last() {
                if is_beneath(path, self.path(&tree[last])) {
                    break;
                }
                tree[last].subtree_end = place as u32;
                open.pop();
            }
            let is_covered = open.last().is_some_and(|last| tree[*last].covers());
            let record = &mut tree[place];
            record.set_covers(is_covered || record.is_opaque() || record.kind != Kind::Directory);
            if record.kind == Kind::File && !record.is_hard_link() {
                content_bytes = content_bytes.saturating_add(record.size);
            }
            open.push(place);
        }
        for last in open {
            tree[last].subtree_end = tree.len() as u32;
        }
        content_bytes
    }

    /// The extra fields as they are stored: a link that stands alone forgets its first name.
    fn final_extra(&self, record: &Record) -> Cow<'_, [u8]> {
        let extra = record.extra.of(&self.heap).unwrap_or_default();
        if extra.is_empty() || record.is_hard_link() {
            return extra.into();
        }
        let mut entry = Entry::new(Vec::new(), record.kind, 0);
        let names_other = decode_extra(extra, &mut entry).is_some() && entry.hard_link.is_some();
        if !names_other {
            return extra.into();
        }
        entry.hard_link = None;
        let mut alone = Vec::new();
        encode_extra(&entry, &mut alone);
        alone.into()
    }

    pub(crate) fn bad(&self, record: &Record, reason: &'static str) -> LayerError {
        LayerError::BadEntry {
            path: self.path(record).to_vec(),
            reason,
        }
    }
}
