//! What a `COPY` will put where, known before anything is written.
//!
//! A plan is made from listings alone: of the origin, and of the root file
//! system that it is copied onto. Its digest says everything that the layer will
//! be but for modification times, and nothing of what else the base holds, so
//! a copy onto another base with the same destination is the same copy.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock};

use dissolver_tree::{IgnoreRules, Tree, follow_mode};

use crate::copy_digest::Facts;
use crate::copy_error::CopyError;
use crate::copy_mode::ModeChange;
use crate::copy_origin::{Origin, Source, kind_of};
use crate::copy_planner::Planner;
use crate::copy_sources::{CopySource, select};
use crate::copy_write::Assembled;
use crate::entry::{Entry, Kind};
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::view::View;

/// Permission bits of directories that a copy has to make.
const NEW_DIRECTORY_MODE: u32 = 0o755;

/// A mode without set-user-id, set-group-id and sticky.
const PERMISSIONS: u32 = 0o777;

/// What is to be copied where, and as whose.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// What is copied, one after the other.
    pub parts: Vec<CopyPart>,
    /// An absolute path; with a slash at the end it means a directory.
    pub destination: Vec<u8>,
    /// Who owns everything that is copied or made.
    pub owner: Option<(u32, u32)>,
    /// The permission bits of everything that is copied or made, but for symbolic links.
    pub mode: Option<ModeChange>,
    /// Modification time of the directories that are made, in nanoseconds since the epoch.
    pub new_directory_mtime_ns: i64,
}

/// What is copied from one origin.
#[derive(Debug, Clone)]
pub struct CopyPart {
    /// Where it is.
    pub origin: Origin,
    /// Names and patterns, rooted at the origin.
    pub sources: Vec<CopySource>,
    /// What is left out of directories, by its path in the source.
    pub excludes: IgnoreRules,
    /// Without an owner for all: entries stay with their own owner, else they become root's.
    pub keeps_owner: bool,
    /// Modes stay as they are, whatever holds for all, and what is in the way goes: as where an
    /// archive is unpacked.
    pub is_verbatim: bool,
}

impl CopyPart {
    /// What the sources select: the path of each in the origin, links followed, and what it is.
    ///
    /// # Errors
    ///
    /// As [`CopyPlan::for_copy`] for the sources.
    pub fn selected(&self) -> Result<Vec<(Vec<u8>, Kind)>, CopyError> {
        let mut found = Vec::new();
        for source in &self.sources {
            for one in select(&self.origin, source)? {
                let path = self.origin.path(&one.source).to_vec();
                found.push((path, self.origin.kind(&one.source)));
            }
        }
        Ok(found)
    }
}

/// One entry of the layer that a plan makes.
#[derive(Debug)]
pub(crate) struct Planned {
    pub path: Vec<u8>,
    pub what: What,
    /// The part that it comes from, if it is copied.
    pub part: u32,
    /// The number of the selected source that it comes with: each is copied for itself.
    pub turn: u32,
    /// The number of the planned entry whose inode this is another name of.
    pub hard_link: Option<u32>,
}

/// Where the facts about an entry come from.
#[derive(Debug)]
pub(crate) enum What {
    /// A directory that does not exist yet.
    Made,
    /// A directory of the base, repeated so that the layer does not change it.
    Kept(Box<Entry>),
    /// Something of the origin.
    Copied(Source),
}

impl Planned {
    /// A directory that is not copied.
    pub(crate) fn directory(path: Vec<u8>, what: What) -> Planned {
        Planned::copied(path, what, 0)
    }

    pub(crate) fn copied(path: Vec<u8>, what: What, part: u32) -> Planned {
        Planned {
            path,
            what,
            part,
            turn: 0,
            hard_link: None,
        }
    }

    /// The number of the entry of a context whose content this one has, but for further names.
    pub(crate) fn read_from(&self) -> Option<usize> {
        match (&self.what, self.hard_link) {
            (What::Copied(Source::Tree(number)), None) => Some(*number),
            _ => None,
        }
    }
}

/// A planned copy: the entries of its layer, in their order, and where their bytes come from.
#[derive(Debug)]
pub struct CopyPlan {
    pub(crate) parts: Vec<CopyPart>,
    pub(crate) entries: Vec<Planned>,
    /// Where the destination led to; relative to the root.
    pub(crate) destination: Vec<u8>,
    owner: Option<(u32, u32)>,
    mode: Option<ModeChange>,
    new_directory_mtime_ns: i64,
    /// How many bytes had to be read for the digest; unset before it is known.
    pub(crate) bytes_hashed: OnceLock<u64>,
    /// Where the layer may be written before it is known to be needed.
    pub(crate) destined: OnceLock<Layers>,
    /// The layer that was written so.
    pub(crate) ahead: Mutex<Option<Assembled>>,
}

impl CopyPlan {
    /// Plans a copy onto `base`, without reading a file.
    ///
    /// Directories give what they hold. Of what several sources put in the same
    /// place, the last one stays. A destination directory that exists keeps its
    /// metadata, as do the directories above it.
    ///
    /// # Errors
    ///
    /// [`CopyError::NotFound`] for a source without wildcards that is not there,
    /// [`CopyError::BadPattern`], [`CopyError::Clash`] where a directory and
    /// something else would have the same path, [`CopyError::SeveralFiles`].
    pub fn for_copy(base: &View, request: CopyRequest) -> Result<CopyPlan, CopyError> {
        let mut selected = Vec::new();
        for (number, part) in (0..).zip(&request.parts) {
            for source in &part.sources {
                let found = select(&part.origin, source)?;
                selected.extend(found.into_iter().map(|one| (number, one)));
            }
        }
        let mut planner = Planner::new(base, &request.parts);
        let destination = planner.copy(&selected, &request.destination)?;
        let entries = planner.finish()?;
        Ok(CopyPlan {
            entries,
            parts: request.parts,
            destination,
            owner: request.owner,
            mode: request.mode,
            new_directory_mtime_ns: request.new_directory_mtime_ns,
            bytes_hashed: OnceLock::new(),
            destined: OnceLock::new(),
            ahead: Mutex::default(),
        })
    }

    /// Plans the directory `path`, and those above it that are missing; nothing if it exists.
    ///
    /// # Errors
    ///
    /// [`CopyError::NotADirectory`] if something else is there or above it.
    pub fn for_directory(
        base: &View,
        path: &[u8],
        owner: (u32, u32),
        new_directory_mtime_ns: i64,
    ) -> Result<CopyPlan, CopyError> {
        let mut planner = Planner::new(base, &[]);
        let (destination, found) = planner.resolve(path)?;
        if found != Some(Kind::Directory) {
            planner.directory(&destination)?;
        }
        Ok(CopyPlan {
            entries: planner.finish()?,
            parts: Vec::new(),
            destination,
            owner: Some(owner),
            mode: None,
            new_directory_mtime_ns,
            bytes_hashed: OnceLock::new(),
            destined: OnceLock::new(),
            ahead: Mutex::default(),
        })
    }

    /// How many entries the layer will have, directories of the base that are repeated included.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of all files that are copied, hard links counted once.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let copied = self
            .entries
            .iter()
            .filter(|entry| entry.hard_link.is_none());
        copied.map(|entry| self.facts(entry).size).sum()
    }

    /// The bytes that [`CopyPlan::digest`] had to read; 0 before.
    #[must_use]
    pub fn bytes_hashed(&self) -> u64 {
        self.bytes_hashed.get().copied().unwrap_or(0)
    }

    /// The part that a copied entry comes from.
    pub(crate) fn part(&self, planned: &Planned) -> Option<&CopyPart> {
        self.parts.get(planned.part as usize)
    }

    /// The contexts among the origins, with the numbers of their parts.
    pub(crate) fn trees(&self) -> impl Iterator<Item = (u32, &Tree)> {
        let trees = (0..)
            .zip(&self.parts)
            .map(|(number, part)| match &part.origin {
                Origin::Tree(tree) => Some((number, tree.as_ref())),
                Origin::View(_) => None,
            });
        trees.flatten()
    }

    /// Everything that the layer will say about an entry.
    pub(crate) fn facts<'a>(&'a self, planned: &'a Planned) -> Facts<'a> {
        let part = self.part(planned);
        let mut facts = match (&planned.what, part.map(|part| &part.origin)) {
            (What::Kept(entry), _) => return Facts::of_entry(&planned.path, entry),
            (What::Copied(Source::View(found)), _) => Facts::of_entry(&planned.path, &found.entry),
            (What::Copied(Source::Tree(number)), Some(Origin::Tree(tree))) => {
                let stat = tree.stat(*number);
                Facts {
                    kind: kind_of(stat.kind),
                    mode: stat.mode,
                    owner: (stat.uid, stat.gid),
                    size: stat.size,
                    mtime_ns: stat.mtime_ns,
                    device: stat.device_numbers,
                    xattrs: Cow::Borrowed(tree.xattrs(*number)),
                    link_target: Some(tree.link_target(*number))
                        .filter(|target| !target.is_empty()),
                    digest: tree
                        .content(*number)
                        .map(|content| *content.digest.as_bytes()),
                    ..Facts::directory(&planned.path, 0)
                }
            }
            _ => {
                // Of a file's mode, only permissions make sense for the directories on its way;
                // and what an archive holds is not asked about its mode at all.
                let unpacks = self.parts.first().is_some_and(|part| part.is_verbatim);
                let mode = match self.mode {
                    Some(ModeChange::To(mode)) if !unpacks => mode & PERMISSIONS,
                    _ => NEW_DIRECTORY_MODE,
                };
                let mut facts = Facts::directory(&planned.path, mode);
                facts.mtime_ns = self.new_directory_mtime_ns;
                // Root's, where the copy names no owner.
                facts.owner = self.owner.unwrap_or((0, 0));
                return facts;
            }
        };
        match self.owner {
            Some(owner) => facts.owner = owner,
            None if !part.is_some_and(|part| part.keeps_owner) => facts.owner = (0, 0),
            None => {}
        }
        let has_mode = facts.kind == Kind::Symlink || part.is_some_and(|part| part.is_verbatim);
        if let (Some(change), false) = (&self.mode, has_mode) {
            facts.mode = change.apply(facts.mode, facts.kind == Kind::Directory);
            if !facts.xattrs.is_empty() {
                follow_mode(facts.xattrs.to_mut(), facts.mode);
            }
        }
        facts.hard_link = planned
            .hard_link
            .map(|first| self.entries[first as usize].path.as_slice());
        facts
    }

    /// Hashes the files of a context that are copied and whose content is not known yet.
    pub(crate) fn hash_contents(&self, interrupt: &Interrupt) -> Result<u64, CopyError> {
        let mut bytes = 0;
        for (part, tree) in self.trees() {
            let numbers: Vec<usize> = self.read_from(part).collect();
            bytes += tree.hash_contents(&numbers, &|| interrupt.check().is_err())?;
        }
        self.learn_hard_links();
        Ok(bytes)
    }

    /// The numbers of the entries of a context whose contents are copied for one part.
    pub(crate) fn read_from(&self, part: u32) -> impl Iterator<Item = usize> {
        let entries = self.entries.iter().filter(move |entry| entry.part == part);
        entries.filter_map(Planned::read_from)
    }

    /// A file is read under its first name; what is learnt holds for the others too.
    pub(crate) fn learn_hard_links(&self) {
        for planned in &self.entries {
            let first = planned.hard_link.map(|first| &self.entries[first as usize]);
            let first = first.and_then(Planned::read_from);
            let origin = self.part(planned).map(|part| &part.origin);
            if let (What::Copied(Source::Tree(number)), Some(first), Some(Origin::Tree(tree))) =
                (&planned.what, first, origin)
            {
                tree.learn_from_name(*number, first);
            }
        }
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "copy_parts_tests.rs"]
mod parts_tests;
