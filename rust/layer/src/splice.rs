//! Which stretches of a new tar an older one has, and which are written anew.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::copy_digest::Facts;
use crate::copy_plan::CopyPlan;
use crate::diff_id::DiffId;
use crate::entry::{ContentDigest, Kind, compare_paths};
use crate::error::LayerError;
use crate::index_format::{Extent, Record};
use crate::predecessor::{Predecessor, Region, is_same, padded};
use crate::tar_header;

/// Bytes that end a tar: two blocks of zeros.
pub(crate) const END_BYTES: u64 = 2 * tar_header::BLOCK as u64;
/// A content whose headers changed is shared from this size on. It costs two
/// extents, 112 bytes in this index and in those of all successors.
const LEAST_CONTENT: u64 = 16 << 10;
/// Fewer bytes between two new stretches are written again, which saves an extent.
const LEAST_BETWEEN: u64 = 4 << 10;
/// An index is read whole to find its extents: 10,000 are 560 KB, a millisecond.
const MOST_EXTENTS: usize = 10_000;
/// Packs of one layer, each an open file of whoever reads it and of every mount.
pub(crate) const MOST_PACKS: usize = 16;
/// From more than [`MOST_PACKS`], those with the least bytes are copied until so many
/// are left: what changed since the last time is copied, never the bulk.
const PACKS_AFTERWARDS: usize = 4;
/// A tar that shares less than this fraction is written whole.
const LEAST_SHARED: u64 = 8;

/// A stretch of the new tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes of the predecessor's tar.
    Kept {
        /// Where they begin there.
        from: u64,
        /// How many they are.
        length: u64,
        /// They go into the new pack too, so that fewer packs are needed.
        is_copied: bool,
    },
    /// Entries, each with its headers and its content: a range of the order of the tar.
    Fresh(Range<u32>),
    /// The headers of the entry with this place in the order; its content is the next part.
    Header(u32),
    /// The end of the tar.
    End,
}

/// A tar whose every byte has a place before one is written.
#[derive(Debug)]
pub(crate) struct Splice {
    /// In the order of the tar, with the offset of each.
    pub parts: Vec<(u64, Part)>,
    /// Where the content of each entry begins, by its number in the plan.
    pub contents: Vec<u64>,
    /// Where the bytes lie; those in the new pack have the name that was given.
    pub extents: Vec<Extent>,
    /// From here on the tar differs from the predecessor's.
    pub first_difference: u64,
    /// The name of the new pack.
    pub pack: DiffId,
    /// How many bytes it has; without any there is none.
    pub new_bytes: u64,
}

/// Where one entry comes from.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Kept(Region),
    Content(u64),
    Fresh,
}

impl Splice {
    /// Compares `plan`, whose contents are known, with its predecessor.
    ///
    /// `None` if so little can be shared, or in so many pieces, that the tar is
    /// better written whole. `order` is that of the tar, and `pack` the name that a
    /// new pack will get.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] if the predecessor is damaged.
    pub(crate) fn of(
        plan: &CopyPlan,
        order: &[u32],
        predecessor: &Predecessor,
        pack: DiffId,
    ) -> Result<Option<Splice>, LayerError> {
        let (mut choices, tail) = choose(plan, predecessor)?;
        // A large index was read whole, and is not needed while the tar is made.
        predecessor.layer().index().release();
        drop_short_runs(&mut choices, order);
        let mut splicer = Splicer::new(plan, order);
        for (place, number) in (0..).zip(order) {
            splicer.entry(place, choices[*number as usize]);
        }
        splicer.end(tail);
        if splicer.kept < splicer.position / LEAST_SHARED {
            return Ok(None);
        }
        let folded = packs_to_fold(predecessor, &splicer.parts);
        if !folded.is_empty() {
            splicer.parts = fold(predecessor, &splicer.parts, &folded);
        }
        let (extents, new_bytes) = extents_of(predecessor, &splicer, pack.0);
        if extents.len() > MOST_EXTENTS {
            return Ok(None);
        }
        Ok(Some(Splice {
            first_difference: first_difference(&splicer),
            parts: splicer.parts,
            contents: splicer.contents,
            extents,
            pack,
            new_bytes,
        }))
    }
}

/// Finds what the predecessor has of each entry, by their numbers in the plan; also where the end of its tar is, if it is as usual.
fn choose(
    plan: &CopyPlan,
    predecessor: &Predecessor,
) -> Result<(Vec<Choice>, Option<u64>), LayerError> {
    let regions = predecessor.regions()?;
    let index = predecessor.layer().index();
    let mut following = 0..index.len();
    let mut next = || -> Result<Option<(Record, Region)>, LayerError> {
        let found = following.find_map(|number| Some((number, regions.of(number)?)));
        found
            .map(|(number, region)| Ok((index.record(number)?, region)))
            .transpose()
    };
    let mut current = next()?;
    let mut contents: Option<HashMap<ContentDigest, u64>> = None;
    let mut choices = Vec::with_capacity(plan.entries.len());
    for planned in &plan.entries {
        let facts = plan.facts(planned);
        while let Some((record, _)) = &current {
            if compare_paths(index.path_of(record)?, facts.path).is_ge() {
                break;
            }
            current = next()?;
        }
        if let Some((record, region)) = &current {
            if index.path_of(record)? == facts.path && is_same(&facts, index, record)? {
                choices.push(Choice::Kept(*region));
                continue;
            }
        }
        choices.push(match content_to_share(&facts) {
            None => Choice::Fresh,
            Some(digest) => {
                let contents = match &mut contents {
                    Some(contents) => contents,
                    none => none.insert(predecessor.contents(LEAST_CONTENT)?),
                };
                contents
                    .get(&digest)
                    .map_or(Choice::Fresh, |from| Choice::Content(*from))
            }
        });
    }
    let has_usual_end = regions.end + END_BYTES == predecessor.tar_bytes();
    Ok((choices, has_usual_end.then_some(regions.end)))
}

fn content_to_share(facts: &Facts<'_>) -> Option<ContentDigest> {
    let is_large = facts.kind == Kind::File && facts.size >= LEAST_CONTENT;
    facts
        .digest
        .filter(|_| is_large && facts.hard_link.is_none())
}

/// Writes entries anew that are shared in short runs between new ones, in the order of the tar.
fn drop_short_runs(choices: &mut [Choice], order: &[u32]) {
    let mut start = 0;
    while start < order.len() {
        let at = |place: usize| order.get(place).map(|number| choices[*number as usize]);
        let Some(Choice::Kept(first)) = at(start) else {
            start += 1;
            continue;
        };
        let mut end = start + 1;
        let mut last = first;
        while let Some(Choice::Kept(region)) = at(end) {
            if region.start != last.end {
                break;
            }
            last = region;
            end += 1;
        }
        let is_new = |choice: Option<Choice>| matches!(choice, None | Some(Choice::Fresh));
        let is_between = is_new(start.checked_sub(1).and_then(at)) && is_new(at(end));
        if is_between && last.end - first.start < LEAST_BETWEEN {
            for number in &order[start..end] {
                choices[*number as usize] = Choice::Fresh;
            }
        }
        start = end;
    }
}

/// Lays parts out one behind the other.
struct Splicer<'plan> {
    plan: &'plan CopyPlan,
    order: &'plan [u32],
    parts: Vec<(u64, Part)>,
    contents: Vec<u64>,
    position: u64,
    kept: u64,
    headers: Vec<u8>,
}

impl<'plan> Splicer<'plan> {
    fn new(plan: &'plan CopyPlan, order: &'plan [u32]) -> Splicer<'plan> {
        Splicer {
            plan,
            order,
            parts: Vec::new(),
            contents: vec![0; plan.entries.len()],
            position: 0,
            kept: 0,
            headers: Vec::new(),
        }
    }

    /// Adds the entry with this place in the order.
    fn entry(&mut self, place: u32, choice: Choice) {
        let number = self.order[place as usize] as usize;
        if let Choice::Kept(region) = choice {
            self.contents[number] = self.position + (region.content - region.start);
            self.kept(region.start, region.end - region.start);
            return;
        }
        let facts = self.plan.facts(&self.plan.entries[number]);
        self.headers.clear();
        tar_header::encode(&facts.to_entry(), facts.path, &mut self.headers);
        let header = self.headers.len() as u64;
        self.contents[number] = self.position + header;
        let has_content = facts.kind == Kind::File && facts.hard_link.is_none();
        let content = if has_content { padded(facts.size) } else { 0 };
        if let Choice::Content(from) = choice {
            self.parts.push((self.position, Part::Header(place)));
            self.position += header;
            self.kept(from, content);
            return;
        }
        match self.parts.last_mut() {
            Some((_, Part::Fresh(places))) => places.end = place + 1,
            _ => self
                .parts
                .push((self.position, Part::Fresh(place..place + 1))),
        }
        self.position += header + content;
    }

    fn kept(&mut self, from: u64, length: u64) {
        match self.parts.last_mut() {
            Some((
                _,
                Part::Kept {
                    from: before,
                    length: so_far,
                    ..
                },
            )) if *before + *so_far == from => *so_far += length,
            _ => self.parts.push((
                self.position,
                Part::Kept {
                    from,
                    length,
                    is_copied: false,
                },
            )),
        }
        self.position += length;
        self.kept += length;
    }

    /// Ends the tar, with the end of the predecessor's where that saves a pack.
    fn end(&mut self, tail: Option<u64>) {
        match (self.parts.last(), tail) {
            (Some((_, Part::Kept { .. })), Some(tail)) => self.kept(tail, END_BYTES),
            _ => {
                self.parts.push((self.position, Part::End));
                self.position += END_BYTES;
            }
        }
    }
}

/// The packs whose bytes are copied, because there are too many.
fn packs_to_fold(predecessor: &Predecessor, parts: &[(u64, Part)]) -> HashSet<[u8; 32]> {
    let mut bytes: HashMap<[u8; 32], u64> = HashMap::new();
    for (_, part) in parts {
        if let Part::Kept { from, length, .. } = part {
            predecessor.pieces(*from, *length, &mut |piece| {
                *bytes.entry(piece.pack).or_insert(0) += piece.length;
            });
        }
    }
    if bytes.len() <= MOST_PACKS {
        return HashSet::new();
    }
    let mut packs: Vec<([u8; 32], u64)> = bytes.into_iter().collect();
    packs.sort_by_key(|(name, bytes)| (*bytes, *name));
    let count = packs.len() - PACKS_AFTERWARDS;
    packs[..count].iter().map(|(name, _)| *name).collect()
}

/// Marks what lies in `folded` packs as copied.
fn fold(
    predecessor: &Predecessor,
    parts: &[(u64, Part)],
    folded: &HashSet<[u8; 32]>,
) -> Vec<(u64, Part)> {
    let mut out: Vec<(u64, Part)> = Vec::new();
    for (offset, part) in parts {
        let Part::Kept { from, length, .. } = part else {
            out.push((*offset, part.clone()));
            continue;
        };
        let shift = offset.wrapping_sub(*from);
        predecessor.pieces(*from, *length, &mut |piece| {
            let copied = folded.contains(&piece.pack);
            if let Some((
                _,
                Part::Kept {
                    from,
                    length,
                    is_copied,
                },
            )) = out.last_mut()
            {
                if *from + *length == piece.tar_offset && *is_copied == copied {
                    *length += piece.length;
                    return;
                }
            }
            let part = Part::Kept {
                from: piece.tar_offset,
                length: piece.length,
                is_copied: copied,
            };
            out.push((piece.tar_offset.wrapping_add(shift), part));
        });
    }
    out
}

/// Where the bytes of each part lie, and how many are in the new pack.
fn extents_of(
    predecessor: &Predecessor,
    splicer: &Splicer<'_>,
    pack: [u8; 32],
) -> (Vec<Extent>, u64) {
    let mut extents: Vec<Extent> = Vec::new();
    let mut new_bytes = 0;
    let mut push = |extent: Extent| match extents.last_mut() {
        Some(last)
            if last.pack == extent.pack && last.pack_offset + last.length == extent.pack_offset =>
        {
            last.length += extent.length;
        }
        _ => extents.push(extent),
    };
    for (number, (offset, part)) in splicer.parts.iter().enumerate() {
        let next = splicer.parts.get(number + 1);
        let end = next.map_or(splicer.position, |(offset, _)| *offset);
        if let Part::Kept {
            from,
            length,
            is_copied: false,
        } = part
        {
            predecessor.pieces(*from, *length, &mut |piece| {
                push(Extent {
                    tar_offset: piece.tar_offset - from + offset,
                    ..piece
                });
            });
            continue;
        }
        push(Extent {
            tar_offset: *offset,
            length: end - offset,
            pack_offset: new_bytes,
            pack,
        });
        new_bytes += end - offset;
    }
    (extents, new_bytes)
}

/// Where the first byte lies that is not at the same place in the predecessor's tar.
fn first_difference(splicer: &Splicer<'_>) -> u64 {
    for (offset, part) in &splicer.parts {
        match part {
            Part::Kept {
                from,
                is_copied: false,
                ..
            } if from == offset => {}
            _ => return *offset,
        }
    }
    splicer.position
}
