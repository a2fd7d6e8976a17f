//! Deciding what a copy puts where, and refusing what does not fit.

use std::collections::{HashMap, HashSet};

use crate::copy_error::CopyError;
use crate::copy_origin::{Origin, Source};
use crate::copy_plan::{CopyPart, Planned, What};
use crate::copy_sources::Selected;
use crate::entry::{Entry, Kind, compare_paths, file_name, is_beneath, join, parent};
use crate::error::LayerError;
use crate::limits::Limits;
use crate::tar_names::check;
use crate::view::{LastLink, View};

/// Collects the entries of a copy onto `base`.
pub(crate) struct Planner<'a> {
    base: &'a View,
    parts: &'a [CopyPart],
    planned: Vec<Planned>,
    /// Directories that are in `planned`, as made or as kept.
    directories: HashSet<Vec<u8>>,
    /// How many sources were planned before the current one.
    turn: u32,
}

/// What is at the destination, while one source after the other is copied there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Nothing,
    Directory,
    File,
    /// A file that an earlier source of the same copy put there.
    FileOfThisCopy,
}

/// A directory that is being copied into.
struct Level {
    /// From the top of the copy.
    path: Vec<u8>,
    /// What the base has in it, if it exists there.
    existing: Option<HashMap<Vec<u8>, Kind>>,
    /// All that it holds is meant, because it is.
    is_meant: bool,
    /// The directory itself, for as long as nothing in it is known to be copied.
    waiting: Option<Source>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(base: &'a View, parts: &'a [CopyPart]) -> Planner<'a> {
        Planner {
            base,
            parts,
            planned: Vec::new(),
            directories: HashSet::new(),
            turn: 0,
        }
    }

    fn push(&mut self, place: Vec<u8>, what: What, number: u32) {
        let turn = self.turn;
        self.planned.push(Planned {
            turn,
            ..Planned::copied(place, what, number)
        });
    }

    /// The path that `destination` leads to in the base.
    pub(crate) fn resolve(&self, destination: &[u8]) -> Result<(Vec<u8>, Option<Kind>), CopyError> {
        let resolved = self.base.resolve(destination, LastLink::Follow)?;
        Ok((resolved.path, resolved.found.map(|found| found.entry.kind)))
    }

    /// Plans `selected`, in its order and with the numbers of the parts, for `destination`.
    ///
    /// Returns the destination that links led to.
    pub(crate) fn copy(
        &mut self,
        selected: &[(u32, Selected)],
        destination: &[u8],
    ) -> Result<Vec<u8>, CopyError> {
        let (path, found) = self.resolve(destination)?;
        let mut target = match found {
            None => Target::Nothing,
            Some(Kind::Directory) => Target::Directory,
            Some(_) => Target::File,
        };
        if destination.ends_with(b"/") && !selected.is_empty() {
            if target == Target::File {
                return Err(CopyError::NotADirectory { destination: path });
            }
            self.directory(&path)?;
            target = Target::Directory;
        }
        for (number, one) in selected {
            let origin = &self.parts[*number as usize].origin;
            target = if origin.kind(&one.source) == Kind::Directory {
                self.copy_directory(*number, one, &path, target)?
            } else {
                self.copy_file(*number, one, &path, target)?
            };
            self.turn += 1;
        }
        Ok(path)
    }

    fn copy_file(
        &mut self,
        number: u32,
        selected: &Selected,
        path: &[u8],
        target: Target,
    ) -> Result<Target, CopyError> {
        let origin = &self.parts[number as usize].origin;
        let (place, after) = match target {
            Target::Directory => (join(path, &selected.name), Target::Directory),
            Target::Nothing | Target::File => (path.to_vec(), Target::FileOfThisCopy),
            Target::FileOfThisCopy => {
                return Err(CopyError::SeveralFiles {
                    destination: path.to_vec(),
                });
            }
        };
        self.directory(parent(&place))?;
        if target == Target::Directory {
            let existing = self.base.lookup(&place)?.map(|found| found.entry.kind);
            if existing == Some(Kind::Directory) {
                return Err(clash(origin, &selected.source, place, Kind::Directory));
            }
        }
        self.push(place, What::Copied(selected.source.clone()), number);
        Ok(after)
    }

    /// Plans what a directory holds for the directory at `path`, which is made if it is missing.
    fn copy_directory(
        &mut self,
        number: u32,
        selected: &Selected,
        path: &[u8],
        target: Target,
    ) -> Result<Target, CopyError> {
        let part = &self.parts[number as usize];
        let (origin, source) = (&part.origin, &selected.source);
        if matches!(target, Target::File | Target::FileOfThisCopy) {
            return Err(clash(origin, source, path.to_vec(), Kind::File));
        }
        let is_whole = selected.only.is_none();
        let mut is_made = is_whole;
        if is_made {
            self.directory(path)?;
        }
        if part.is_verbatim && !is_implied(source) {
            self.push(path.to_vec(), What::Copied(source.clone()), number);
        }
        origin.check_open(source)?;
        let existing = self
            .base
            .lookup(path)?
            .map(|_| self.names_in(path))
            .transpose()?;
        let mut levels = vec![Level {
            path: Vec::new(),
            existing,
            is_meant: is_whole,
            waiting: None,
        }];
        origin.visit_beneath(source, &mut |beneath, source| {
            while levels.len() > 1
                && levels
                    .last()
                    .is_some_and(|it| !is_beneath(beneath, &it.path))
            {
                levels.pop();
            }
            let above = levels.last();
            let is_meant = above.is_some_and(|above| above.is_meant)
                || selected
                    .only
                    .as_ref()
                    .is_some_and(|only| only.matches(beneath));
            let existing =
                above.and_then(|above| above.existing.as_ref()?.get(file_name(beneath)).copied());
            let is_excluded = !part.excludes.is_empty() && part.excludes.excludes(beneath);
            let is_copied = is_meant && !is_excluded;
            if is_copied && !is_made {
                self.directory(path)?;
                is_made = true;
            }
            if is_copied {
                self.copy_waiting(number, &mut levels, path)?;
            }
            if origin.kind(&source) == Kind::Directory {
                if !is_excluded {
                    origin.check_open(&source)?;
                }
                let place = join(path, beneath);
                let within = match existing {
                    Some(Kind::Directory) => Some(self.names_in(&place)?),
                    _ => None,
                };
                levels.push(Level {
                    path: beneath.to_vec(),
                    existing: within,
                    is_meant,
                    waiting: (!is_copied).then(|| source.clone()),
                });
            }
            if is_copied {
                self.copy_entry(number, source, join(path, beneath), existing)?;
            }
            Ok(())
        })?;
        Ok(Target::Directory)
    }

    /// Plans the directories above an entry that were not known to be needed.
    fn copy_waiting(
        &mut self,
        number: u32,
        levels: &mut [Level],
        path: &[u8],
    ) -> Result<(), CopyError> {
        for index in 1..levels.len() {
            let Some(source) = levels[index].waiting.take() else {
                continue;
            };
            let beneath = &levels[index].path;
            let existing = levels[index - 1].existing.as_ref();
            let existing = existing.and_then(|names| names.get(file_name(beneath)).copied());
            self.copy_entry(number, source, join(path, beneath), existing)?;
        }
        Ok(())
    }

    /// Plans one entry for `place`, where the base has `existing`.
    fn copy_entry(
        &mut self,
        number: u32,
        source: Source,
        place: Vec<u8>,
        existing: Option<Kind>,
    ) -> Result<(), CopyError> {
        let part = &self.parts[number as usize];
        if part.is_verbatim && is_implied(&source) {
            // The archive says nothing of it: one that exists stays as it is.
            return Ok(());
        }
        let is_directory = part.origin.kind(&source) == Kind::Directory;
        match existing {
            Some(existing)
                if !part.is_verbatim && is_directory != (existing == Kind::Directory) =>
            {
                return Err(clash(&part.origin, &source, place, existing));
            }
            _ => {}
        }
        self.push(place, What::Copied(source), number);
        Ok(())
    }

    fn names_in(&self, directory: &[u8]) -> Result<HashMap<Vec<u8>, Kind>, LayerError> {
        let children = self.base.children(directory)?;
        Ok(children
            .into_iter()
            .map(|found| (found.entry.name().to_vec(), found.entry.kind))
            .collect())
    }

    /// Plans the directory at `path` and those above it: as they are where they exist, else as new ones.
    pub(crate) fn directory(&mut self, path: &[u8]) -> Result<(), CopyError> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end);
        let mut ends: Vec<usize> = ends.collect();
        if !path.is_empty() {
            ends.insert(0, 0);
        }
        ends.push(path.len());
        for end in ends {
            let directory = &path[..end];
            if !self.directories.insert(directory.to_vec()) {
                continue;
            }
            let what = match self.base.lookup(directory)? {
                None => What::Made,
                Some(found) if found.entry.kind != Kind::Directory => {
                    return Err(CopyError::NotADirectory {
                        destination: directory.to_vec(),
                    });
                }
                // A root that no layer describes needs no description here either.
                Some(found) if directory.is_empty() && found.entry.is_implicit => continue,
                Some(found) => What::Kept(Box::new(plain(found.entry))),
            };
            self.planned
                .push(Planned::directory(directory.to_vec(), what));
        }
        Ok(())
    }

    /// The entries in the order of a layer, one for each path, with hard links told apart from first names.
    pub(crate) fn finish(mut self) -> Result<Vec<Planned>, CopyError> {
        // What no layer can hold, a destination or a deep context may still ask for.
        for planned in &self.planned {
            check(&planned.path, &Limits::default())?;
        }
        // Stable, so that what a later source puts in the same place comes later.
        self.planned
            .sort_by(|left, right| compare_paths(&left.path, &right.path));
        let mut refused = Ok(());
        self.planned.dedup_by(|later, kept| {
            if later.path != kept.path {
                return false;
            }
            if refused.is_ok() {
                refused = check_replacement(self.parts, kept, later);
            }
            std::mem::swap(later, kept);
            true
        });
        refused?;
        find_hard_links(self.parts, &mut self.planned);
        Ok(self.planned)
    }
}

/// Tells whether an archive has no entry of its own for a directory, but only names beneath it.
fn is_implied(source: &Source) -> bool {
    matches!(source, Source::View(found) if found.entry.is_implicit)
}

/// The directory without what only its own layer needs to say.
fn plain(mut entry: Entry) -> Entry {
    entry.is_opaque = false;
    entry.is_implicit = false;
    entry
}

fn check_replacement(
    parts: &[CopyPart],
    earlier: &Planned,
    later: &Planned,
) -> Result<(), CopyError> {
    let (What::Copied(before), What::Copied(copied)) = (&earlier.what, &later.what) else {
        return Ok(());
    };
    let (part, origin) = (
        &parts[later.part as usize],
        &parts[earlier.part as usize].origin,
    );
    let (existing, kind) = (origin.kind(before), part.origin.kind(copied));
    if (existing == Kind::Directory) == (kind == Kind::Directory) {
        return Ok(());
    }
    Err(clash(&part.origin, copied, later.path.clone(), existing))
}

fn clash(origin: &Origin, source: &Source, destination: Vec<u8>, existing: Kind) -> CopyError {
    CopyError::Clash {
        source_path: origin.path(source).to_vec(),
        copied: origin.kind(source),
        destination,
        existing,
    }
}

/// What names of one inode have in common.
#[derive(PartialEq, Eq, Hash)]
enum Inode<'a> {
    Of(u64, u64),
    Named(u32, Option<usize>, &'a [u8]),
}

/// Makes every further name of an inode a hard link to the first one that its source has.
///
/// Names that two sources have become two files: whoever names them apart means two.
fn find_hard_links(parts: &[CopyPart], planned: &mut [Planned]) {
    let mut links = Vec::new();
    {
        let mut firsts: HashMap<(u32, Inode<'_>), u32> = HashMap::new();
        for (number, entry) in planned.iter().enumerate() {
            let What::Copied(source) = &entry.what else {
                continue;
            };
            let Some(inode) = inode_of(parts, entry.part, source) else {
                continue;
            };
            let inode = (entry.turn, inode);
            match firsts.get(&inode) {
                Some(first) => links.push((number, *first)),
                None => {
                    // More entries than that do not fit into memory.
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    firsts.insert(inode, number);
                }
            }
        }
    }
    for (number, first) in links {
        planned[number].hard_link = Some(first);
    }
}

/// What identifies a file that may have other names; `None` for what surely has none.
fn inode_of<'a>(parts: &[CopyPart], part: u32, source: &'a Source) -> Option<Inode<'a>> {
    match (&parts[part as usize].origin, source) {
        (Origin::Tree(tree), Source::Tree(number)) => {
            let stat = tree.stat(*number);
            let has_names = stat.kind == dissolver_tree::Kind::File && stat.links > 1;
            has_names.then_some(Inode::Of(stat.device, stat.inode))
        }
        // An index names the first name in every further one, but does not say which is a first name.
        (_, Source::View(found)) if found.entry.kind == Kind::File => {
            let first = found
                .entry
                .hard_link
                .as_deref()
                .unwrap_or(&found.entry.path);
            Some(Inode::Named(part, found.layer, first))
        }
        _ => None,
    }
}
