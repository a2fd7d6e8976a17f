//! Making an index from entries as a tar gives them: any order, any repetition.

use std::io::Write;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, compare_paths, parent};
use crate::error::LayerError;
use crate::index_format::{Extent, Header, Record, Span, encode_extra};

/// Permission bits of a directory that no header describes, as Docker makes it.
const IMPLICIT_MODE: u32 = 0o755;

/// Collects the entries of one layer.
///
/// Takes them in the order of the tar, where a later entry replaces an earlier
/// one of the same path. Memory is a fixed record and the names for each.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// In the order of the tar; the number of an entry is its place in here.
    records: Vec<Record>,
    heap: Vec<u8>,
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

    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.heap.len();
        write(&mut self.heap);
        let length = self.heap.len() - start;
        Span {
            offset: start as u64,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }

    fn path(&self, record: &Record) -> &[u8] {
        record.path.of(&self.heap).unwrap_or_default()
    }

    fn entry(&self, record: &Record) -> Option<Entry> {
        record.entry(self.path(record), record.extra.of(&self.heap)?)
    }

    /// Sorts, joins and checks the entries and writes the index to `out`.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadEntry`] if they contradict each other: something lies
    /// beneath what is no directory, or a hard link leads nowhere.
    pub fn finish(
        mut self,
        facts: &TarFacts,
        out: &mut dyn Write,
    ) -> Result<LayerInfo, LayerError> {
        let entry_count = self
            .records
            .iter()
            .filter(|record| !record.is_implicit())
            .count() as u64;
        let order = self.sorted();
        let merged = self.merge(&order)?;
        let mut tree = self.with_parents(merged)?;
        let content_bytes = self.number_subtrees(&mut tree);
        let info = LayerInfo {
            diff_id: facts.diff_id,
            tar_bytes: facts.tar_bytes,
            content_bytes,
            entry_count,
        };
        self.write(&tree, facts, info, out)?;
        Ok(info)
    }

    /// Numbers of the entries by path, and in the order of the tar where that is equal.
    fn sorted(&self) -> Vec<u32> {
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
    fn merge(&mut self, order: &[u32]) -> Result<Vec<Record>, LayerError> {
        let mut merged = Vec::with_capacity(order.len() + 1);
        for (start, end) in self.groups(order) {
            merged.push(self.merge_group(order, &order[start..end])?);
        }
        self.keep_links_to_survivors(&mut merged);
        Ok(merged)
    }

    /// Makes one record of `group`, all entries of one path, which is not empty.
    fn merge_group(&mut self, order: &[u32], group: &[u32]) -> Result<Record, LayerError> {
        let records: Vec<Record> = group
            .iter()
            .map(|number| self.records[*number as usize])
            .collect();
        let is_marked = records.iter().any(Record::is_opaque);
        let is_hidden = records.iter().any(|record| record.kind == Kind::Whiteout);
        let last_real = (0..group.len()).rev().find(|place| {
            let record = &records[*place];
            record.kind != Kind::Whiteout && !record.is_implicit() && !self.names_itself(record)
        });
        let Some(place) = last_real else {
            let marker = records.iter().rev().find(|record| record.is_opaque());
            let chosen = marker.unwrap_or(&records[records.len() - 1]);
            if chosen.is_hard_link() {
                return Err(self.bad(chosen, "is a hard link to itself"));
            }
            return Ok(*chosen);
        };
        let mut chosen = records[place];
        if chosen.is_hard_link() {
            chosen = self.follow(order, group[place])?;
        }
        if chosen.kind == Kind::Directory {
            chosen.set_opaque(is_marked || is_hidden);
        } else if is_marked {
            return Err(self.bad(&chosen, "is marked opaque and is not a directory"));
        }
        Ok(chosen)
    }

    /// Stretches of `order` whose records have the same path.
    fn groups(&self, order: &[u32]) -> Vec<(usize, usize)> {
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

    /// GNU tar writes a file that is named twice as a link to itself.
    fn names_itself(&self, record: &Record) -> bool {
        record.is_hard_link()
            && self
                .entry(record)
                .is_some_and(|entry| entry.hard_link.as_ref() == Some(&entry.path))
    }

    /// Gives the hard link `number` the facts of what it names.
    ///
    /// That is what was at the path when the link was read: a later entry of
    /// that path makes a new file and leaves this one alone.
    fn follow(&mut self, order: &[u32], number: u32) -> Result<Record, LayerError> {
        let link = self.records[number as usize];
        let mut seen_before = number;
        let mut target = self
            .entry(&link)
            .and_then(|entry| entry.hard_link)
            .unwrap_or_default();
        loop {
            let found = self.last_before(order, &target, seen_before);
            let Some((found_number, record)) = found else {
                return Err(self.bad(
                    &link,
                    "is a hard link to something that is not in the layer",
                ));
            };
            if record.is_hard_link() {
                // Numbers only fall, so a ring of links comes to an end.
                seen_before = found_number;
                target = self
                    .entry(&record)
                    .and_then(|entry| entry.hard_link)
                    .unwrap_or_default();
                continue;
            }
            if record.kind == Kind::Directory {
                return Err(self.bad(&link, "is a hard link to a directory"));
            }
            let Some(mut entry) = self.entry(&record) else {
                return Err(self.bad(&link, "is a hard link to something unreadable"));
            };
            entry.hard_link = Some(target);
            let extra = self.put(|heap| encode_extra(&entry, heap));
            let mut linked = Record {
                path: link.path,
                extra,
                ..record
            };
            linked.set_hard_link(true);
            // Remembers which entry is meant until survivors are known.
            linked.subtree_end = found_number;
            return Ok(linked);
        }
    }

    fn last_before(&self, order: &[u32], path: &[u8], before: u32) -> Option<(u32, Record)> {
        let path_at = |number: &u32| self.path(&self.records[*number as usize]);
        let start = order.partition_point(|number| compare_paths(path_at(number), path).is_lt());
        order[start..]
            .iter()
            .take_while(|number| path_at(number) == path)
            .filter(|number| **number < before)
            .map(|number| (*number, self.records[*number as usize]))
            .filter(|(_, record)| record.kind != Kind::Whiteout && !record.is_implicit())
            .filter(|(_, record)| !self.names_itself(record))
            .last()
    }

    /// A link whose first name was replaced later is a file of its own.
    fn keep_links_to_survivors(&self, merged: &mut [Record]) {
        let survives = |merged: &[Record], number: u32| {
            let meant = self.records[number as usize];
            merged
                .binary_search_by(|record| compare_paths(self.path(record), self.path(&meant)))
                .is_ok_and(|place| merged[place].path == meant.path)
        };
        for place in 0..merged.len() {
            if merged[place].is_hard_link() {
                let stays = survives(merged, merged[place].subtree_end);
                merged[place].set_hard_link(stays);
            }
        }
    }

    /// Adds a record for every directory that only its children imply.
    fn with_parents(&mut self, merged: Vec<Record>) -> Result<Vec<Record>, LayerError> {
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
                    .is_some_and(|place| !crate::entry::is_beneath(&path, self.path(&tree[*place])))
            {
                open.pop();
            }
            self.open_parents(&mut tree, &mut open, &path, &record)?;
            open.push(tree.len());
            tree.push(record);
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
                if crate::entry::is_beneath(path, self.path(&tree[last])) {
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

    fn write(
        &self,
        tree: &[Record],
        facts: &TarFacts,
        info: LayerInfo,
        out: &mut dyn Write,
    ) -> Result<(), LayerError> {
        let mut body = Vec::new();
        for extent in &facts.extents {
            extent.encode(&mut body);
        }
        let mut heap = Vec::new();
        for record in tree {
            let mut record = *record;
            record.path = copy_span(record.path, &self.heap, &mut heap);
            record.extra = self.final_extra(&record, &mut heap);
            record.encode(&mut body);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&body);
        hasher.update(&heap);
        let header = Header {
            diff_id: info.diff_id.0,
            body_digest: *hasher.finalize().as_bytes(),
            tar_bytes: info.tar_bytes,
            content_bytes: info.content_bytes,
            entry_count: info.entry_count,
            extent_count: u32::try_from(facts.extents.len()).unwrap_or(u32::MAX),
            record_count: u32::try_from(tree.len()).unwrap_or(u32::MAX),
            heap_bytes: heap.len() as u64,
            implied_count: tree
                .iter()
                .skip(1)
                .filter(|record| record.is_implicit())
                .count() as u32,
        };
        let failed = |source| LayerError::Io {
            op: "write",
            path: "index".into(),
            source,
        };
        out.write_all(&header.encode()).map_err(failed)?;
        out.write_all(&body).map_err(failed)?;
        out.write_all(&heap).map_err(failed)
    }

    /// The extra fields as they are stored: a link that stands alone forgets its first name.
    fn final_extra(&self, record: &Record, heap: &mut Vec<u8>) -> Span {
        let extra = record.extra.of(&self.heap).unwrap_or_default();
        let mut entry = Entry::new(Vec::new(), record.kind, 0);
        let names_other = crate::index_format::decode_extra(extra, &mut entry).is_some()
            && entry.hard_link.is_some();
        let start = heap.len();
        if names_other && !record.is_hard_link() {
            entry.hard_link = None;
            encode_extra(&entry, heap);
        } else {
            heap.extend_from_slice(extra);
        }
        Span {
            offset: start as u64,
            length: u32::try_from(heap.len() - start).unwrap_or(u32::MAX),
        }
    }

    fn bad(&self, record: &Record, reason: &'static str) -> LayerError {
        LayerError::BadEntry {
            path: self.path(record).to_vec(),
            reason,
        }
    }
}

fn copy_span(span: Span, from: &[u8], to: &mut Vec<u8>) -> Span {
    let start = to.len();
    to.extend_from_slice(span.of(from).unwrap_or_default());
    Span {
        offset: start as u64,
        length: span.length,
    }
}
