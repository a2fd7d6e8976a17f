//! What a `COPY` will put where, known before anything is written.
//!
//! A plan is made from listings alone: of the origin, and of the root file
//! system that it is copied onto. Its digest says everything that the layer will
//! be but for modification times, and nothing of what else the base holds, so
//! a copy onto another base with the same destination is the same copy.

use std::sync::{Mutex, OnceLock};

use dissolver_tree::Tree;

use crate::copy_digest::Facts;
use crate::copy_error::CopyError;
use crate::copy_origin::{Origin, Source, kind_of};
use crate::copy_planner::Planner;
use crate::copy_sources::select;
use crate::copy_write::Assembled;
use crate::entry::{Entry, Kind};
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::view::View;

/// Permission bits of directories that a copy has to make.
const NEW_DIRECTORY_MODE: u32 = 0o755;

/// What is to be copied where, and as whose.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// Names and patterns, rooted at the origin.
    pub sources: Vec<Vec<u8>>,
    /// An absolute path; with a slash at the end it means a directory.
    pub destination: Vec<u8>,
    /// Who owns everything that is copied or made.
    pub owner: Option<(u32, u32)>,
    /// Without an `owner`: entries stay with their own owner, else they become root's.
    pub keeps_owner: bool,
    /// The permission bits of everything that is copied or made, but for symbolic links.
    pub mode: Option<u32>,
    /// Modification time of the directories that are made, in nanoseconds since the epoch.
    pub new_directory_mtime_ns: i64,
}

/// One entry of the layer that a plan makes.
#[derive(Debug)]
pub(crate) struct Planned {
    pub path: Vec<u8>,
    pub what: What,
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
    pub(crate) fn new(path: Vec<u8>, what: What) -> Planned {
        Planned {
            path,
            what,
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
    pub(crate) origin: Option<Origin>,
    pub(crate) entries: Vec<Planned>,
    /// Where the destination led to; relative to the root.
    pub(crate) destination: Vec<u8>,
    owner: Option<(u32, u32)>,
    keeps_owner: bool,
    mode: Option<u32>,
    new_directory_mtime_ns: i64,
    /// How many bytes had to be read for the digest; unset before it is known.
    pub(crate) bytes_hashed: OnceLock<u64>,
    /// Where the layer may be written before it is known to be needed.
    pub(crate) destined: OnceLock<Layers>,
    /// The layer that was written so.
    pub(crate) ahead: Mutex<Option<Assembled>>,
}

impl CopyPlan {
    /// Plans a copy from `origin` onto `base`, without reading a file.
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
    pub fn for_copy(
        base: &View,
        origin: Origin,
        request: &CopyRequest,
    ) -> Result<CopyPlan, CopyError> {
        let mut selected = Vec::new();
        for source in &request.sources {
            selected.append(&mut select(&origin, source)?);
        }
        let mut planner = Planner::new(base, Some(&origin));
        let destination = planner.copy(&origin, &selected, &request.destination)?;
        let entries = planner.finish()?;
        Ok(CopyPlan {
            entries,
            origin: Some(origin),
            destination,
            owner: request.owner,
            keeps_owner: request.keeps_owner,
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
        let mut planner = Planner::new(base, None);
        let (destination, found) = planner.resolve(path)?;
        if found != Some(Kind::Directory) {
            planner.directory(&destination)?;
        }
        Ok(CopyPlan {
            entries: planner.finish()?,
            origin: None,
            destination,
            owner: Some(owner),
            keeps_owner: false,
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

    /// Everything that the layer will say about an entry.
    pub(crate) fn facts<'a>(&'a self, planned: &'a Planned) -> Facts<'a> {
        let mut facts = match (&planned.what, &self.origin) {
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
                    xattrs: tree.xattrs(*number),
                    link_target: Some(tree.link_target(*number))
                        .filter(|target| !target.is_empty()),
                    digest: tree
                        .content(*number)
                        .map(|content| *content.digest.as_bytes()),
                    ..Facts::directory(&planned.path, 0)
                }
            }
            _ => {
                let mode = self.mode.unwrap_or(NEW_DIRECTORY_MODE);
                let mut facts = Facts::directory(&planned.path, mode);
                facts.mtime_ns = self.new_directory_mtime_ns;
                facts.owner = self.owner.unwrap_or_default();
                return facts;
            }
        };
        match self.owner {
            Some(owner) => facts.owner = owner,
            None if !self.keeps_owner => facts.owner = (0, 0),
            None => {}
        }
        if facts.kind != Kind::Symlink {
            facts.mode = self.mode.unwrap_or(facts.mode);
        }
        facts.hard_link = planned
            .hard_link
            .map(|first| self.entries[first as usize].path.as_slice());
        facts
    }

    /// Hashes the files of a context that are copied and whose content is not known yet.
    pub(crate) fn hash_contents(&self, interrupt: &Interrupt) -> Result<u64, CopyError> {
        let Some(Origin::Tree(tree)) = &self.origin else {
            return Ok(0);
        };
        let numbers: Vec<usize> = self.entries.iter().filter_map(Planned::read_from).collect();
        let bytes = tree.hash_contents(&numbers, &|| interrupt.check().is_err())?;
        self.learn_hard_links(tree);
        Ok(bytes)
    }

    /// A file is read under its first name; what is learnt holds for the others too.
    pub(crate) fn learn_hard_links(&self, tree: &Tree) {
        for planned in &self.entries {
            let first = planned.hard_link.map(|first| &self.entries[first as usize]);
            let first = first.and_then(Planned::read_from);
            if let (What::Copied(Source::Tree(number)), Some(first)) = (&planned.what, first) {
                tree.learn_from_name(*number, first);
            }
        }
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
