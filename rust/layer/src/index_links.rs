//! Hard links of a tar: what each of them means, in time that does not grow with their chains.

use std::collections::HashMap;

use crate::entry::{Kind, compare_paths};
use crate::error::LayerError;
use crate::index_build::IndexBuilder;
use crate::index_format::{Record, encode_extra};

/// What hard links may name, and where those that were followed lead.
pub(crate) struct Targets {
    /// Numbers of the entries by path, and in the order of the tar where that is equal.
    pub(crate) order: Vec<u32>,
    /// For each place in the order, the last entry of that path up to there that a link can mean.
    pub(crate) latest: Vec<Option<u32>>,
    /// From the number of a link to that of what is no link. Without it, a chain of
    /// links would be walked once for each of its members.
    ends: HashMap<u32, u32>,
}

impl IndexBuilder {
    /// Looks up, once for all, what a link can mean.
    pub(crate) fn targets(&self) -> Targets {
        let order = self.sorted();
        let mut latest: Vec<Option<u32>> = Vec::with_capacity(order.len());
        for (start, end) in self.groups(&order) {
            let mut last = None;
            for number in &order[start..end] {
                let record = &self.records[*number as usize];
                let is_real = record.kind != Kind::Whiteout && !record.is_implicit();
                if is_real && !self.names_itself(record) {
                    last = Some(*number);
                }
                latest.push(last);
            }
        }
        Targets {
            order,
            latest,
            ends: HashMap::new(),
        }
    }

    /// GNU tar writes a file that is named twice as a link to itself.
    pub(crate) fn names_itself(&self, record: &Record) -> bool {
        record.is_hard_link()
            && self
                .entry(record)
                .is_some_and(|entry| entry.hard_link.as_ref() == Some(&entry.path))
    }

    /// Gives the hard link `number` the facts of what it names.
    ///
    /// That is what was at the path when the link was read: a later entry of
    /// that path makes a new file and leaves this one alone.
    pub(crate) fn follow(
        &mut self,
        targets: &mut Targets,
        number: u32,
    ) -> Result<Record, LayerError> {
        let link = self.records[number as usize];
        let end = self.end_of_links(targets, number)?;
        let record = self.records[end as usize];
        if record.kind == Kind::Directory {
            return Err(self.bad(&link, "is a hard link to a directory"));
        }
        let Some(mut entry) = self.entry(&record) else {
            return Err(self.bad(&link, "is a hard link to something unreadable"));
        };
        entry.hard_link = Some(std::mem::take(&mut entry.path));
        let extra = self.put(|heap| encode_extra(&entry, heap));
        let mut linked = Record {
            path: link.path,
            extra,
            ..record
        };
        linked.set_hard_link(true);
        // Remembers which entry is meant until survivors are known.
        linked.subtree_end = end;
        Ok(linked)
    }

    /// The number of what a link, and the links that it names, lead to in the end.
    fn end_of_links(&self, targets: &mut Targets, number: u32) -> Result<u32, LayerError> {
        let mut passed = Vec::new();
        let mut current = number;
        let end = loop {
            if let Some(end) = targets.ends.get(&current) {
                break *end;
            }
            passed.push(current);
            let link = &self.records[current as usize];
            let first = self.entry(link).and_then(|entry| entry.hard_link);
            let Some(found) = self.last_before(targets, &first.unwrap_or_default(), current) else {
                let reason = "is a hard link to something that is not in the layer";
                return Err(self.bad(&self.records[number as usize], reason));
            };
            if !self.records[found as usize].is_hard_link() {
                break found;
            }
            // Numbers only fall, so a ring of links comes to an end.
            current = found;
        };
        targets
            .ends
            .extend(passed.into_iter().map(|link| (link, end)));
        Ok(end)
    }

    /// What a link that is number `before` and names `path` means.
    fn last_before(&self, targets: &Targets, path: &[u8], before: u32) -> Option<u32> {
        let compare = |number: &u32| {
            let record = &self.records[*number as usize];
            let order = compare_paths(self.path(record), path);
            order.then_with(|| number.cmp(&before))
        };
        let place = targets
            .order
            .partition_point(|number| compare(number).is_lt());
        let last = place.checked_sub(1)?;
        let record = &self.records[targets.order[last] as usize];
        if self.path(record) != path {
            return None;
        }
        targets.latest[last]
    }

    /// A link whose first name was replaced later is a file of its own.
    pub(crate) fn keep_links_to_survivors(&self, merged: &mut [Record]) {
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
}
