//! What a container sees: its layers, and its own changes on top of them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::create::open_directory;
use crate::diff::is_same;
use crate::entry::{Entry, Kind, file_name, join, parent};
use crate::error::LayerError;
use crate::inspect::{Inspected, inspect, inspect_root, names};
use crate::interrupt::Interrupt;
use crate::links::LinkNames;
use crate::marks::OverlayMarks;
use crate::view::{Found, View};

/// Layers with an overlay's upper directory on top, looked at from outside the mount.
pub(crate) struct Merged {
    view: View,
    upper: OwnedFd,
    marks: OverlayMarks,
}

/// Something that a container sees.
pub(crate) enum Seen<'walk> {
    /// From a layer; with the earlier name of the same inode, if this is a further one.
    Layer(&'walk Found, Option<Vec<u8>>),
    /// From the upper directory, with the open directory that it lies in.
    /// [`Entry::hard_link`] is the first name that was visited, for every further one.
    Upper(&'walk Entry, BorrowedFd<'walk>),
}

/// What is called with everything there is.
type Visit<'visit> = &'visit mut dyn FnMut(Seen<'_>) -> Result<(), LayerError>;

/// Something that the walk comes to.
struct Pending {
    path: Vec<u8>,
    /// What the upper directory has there.
    upper: Option<Inspected>,
    /// What can be seen of the layers there.
    below: Option<Found>,
}

impl Merged {
    /// `marks` are those of the overlay that `upper` belongs to.
    pub(crate) fn open(
        view: View,
        upper: &Path,
        marks: OverlayMarks,
    ) -> Result<Merged, LayerError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = openat(CWD, upper, flags, Mode::empty())
            .map_err(|errno| LayerError::io("open", upper)(errno))?;
        Ok(Merged { view, upper, marks })
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Visits everything in the order of [`View::walk`], the root first.
    ///
    /// What goes while the walk comes to it is passed over.
    pub(crate) fn walk(&self, interrupt: &Interrupt, visit: Visit<'_>) -> Result<(), LayerError> {
        let mut layer_names = LinkNames::default();
        let mut upper_names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let mut pending = vec![self.root()?];
        let mut open: Option<(Vec<u8>, OwnedFd)> = None;
        while let Some(next) = pending.pop() {
            interrupt.check()?;
            if next.is_directory() {
                let mut children = self.children(&next)?;
                children.reverse();
                pending.extend(children);
            }
            if let Some(mut inspected) = next.upper {
                let above = parent(&next.path);
                let directory = match open.take() {
                    Some((path, directory)) if path == above => directory,
                    _ => match open_directory(self.upper.as_fd(), above) {
                        Err(error) if has_vanished(&error) => continue,
                        other => other?,
                    },
                };
                if inspected.links > 1 && inspected.entry.kind != Kind::Directory {
                    let first = upper_names.get(&inspected.identity).cloned();
                    inspected.entry.hard_link = first;
                    upper_names
                        .entry(inspected.identity)
                        .or_insert_with(|| next.path.clone());
                }
                visit(Seen::Upper(&inspected.entry, directory.as_fd()))?;
                open = Some((above.to_vec(), directory));
            } else if let Some(found) = next.below {
                let mut is_visible = |path: &[u8]| Ok(!self.covers(path)?);
                let earlier =
                    layer_names.earlier_visible_name(&self.view, &found, &mut is_visible)?;
                visit(Seen::Layer(&found, earlier))?;
            }
        }
        Ok(())
    }

    /// The root; it has the time of the image's unless something else about it changed.
    fn root(&self) -> Result<Pending, LayerError> {
        let below = self.view.lookup(b"")?;
        let mut upper = inspect_root(self.upper.as_fd(), self.marks)?;
        if let (Some(upper), Some(below)) = (&mut upper, &below) {
            if is_same(&upper.entry, &below.entry) {
                upper.entry.mtime_ns = below.entry.mtime_ns;
            }
        }
        Ok(Pending {
            path: Vec::new(),
            upper,
            below,
        })
    }

    /// What is in a directory, sorted by name.
    fn children(&self, directory: &Pending) -> Result<Vec<Pending>, LayerError> {
        let mut merged: BTreeMap<Vec<u8>, Pending> = BTreeMap::new();
        if directory.shows_below() {
            for found in self.view.children(&directory.path)? {
                let child = Pending {
                    path: found.entry.path.clone(),
                    upper: None,
                    below: Some(found),
                };
                merged.insert(file_name(&child.path).to_vec(), child);
            }
        }
        if directory.upper.is_some() {
            self.put_upper(&directory.path, &mut merged)?;
        }
        Ok(merged.into_values().collect())
    }

    fn put_upper(
        &self,
        path: &[u8],
        merged: &mut BTreeMap<Vec<u8>, Pending>,
    ) -> Result<(), LayerError> {
        let opened = open_directory(self.upper.as_fd(), path)
            .and_then(|directory| Ok((names(self.upper.as_fd(), path)?, directory)));
        let (names, directory) = match opened {
            Err(error) if has_vanished(&error) => return Ok(()),
            other => other?,
        };
        for name in names {
            match inspect(directory.as_fd(), path, &name, Some(self.marks)) {
                Err(error) if has_vanished(&error) => {}
                // A socket is left out, and what it covers as well.
                Err(error) => return Err(error),
                Ok(None) => {
                    merged.remove(&name);
                }
                Ok(Some(inspected)) if inspected.entry.kind == Kind::Whiteout => {
                    merged.remove(&name);
                }
                Ok(Some(inspected)) => {
                    let child = merged.entry(name).or_insert_with_key(|name| Pending {
                        path: join(path, name),
                        upper: None,
                        below: None,
                    });
                    child.upper = Some(inspected);
                }
            }
        }
        Ok(())
    }

    /// Tells whether the upper directory hides what the layers have at `path`.
    fn covers(&self, path: &[u8]) -> Result<bool, LayerError> {
        let mut above: Vec<u8> = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            let here = open_directory(self.upper.as_fd(), &above)
                .and_then(|directory| inspect(directory.as_fd(), &above, name, Some(self.marks)));
            let inspected = match here {
                Err(error) if has_vanished(&error) => return Ok(false),
                other => other?,
            };
            match inspected {
                Some(Inspected { entry, .. })
                    if entry.kind == Kind::Directory && !entry.is_opaque => {}
                _ => return Ok(true),
            }
            above = join(&above, name);
        }
        Ok(false)
    }
}

impl Pending {
    fn is_directory(&self) -> bool {
        let upper = self.upper.as_ref().map(|upper| upper.entry.kind);
        let kind = upper.or(self.below.as_ref().map(|below| below.entry.kind));
        kind == Some(Kind::Directory)
    }

    /// Tells whether what the layers have in this directory is seen.
    fn shows_below(&self) -> bool {
        let has_below = self
            .below
            .as_ref()
            .is_some_and(|below| below.entry.kind == Kind::Directory);
        has_below
            && self
                .upper
                .as_ref()
                .is_none_or(|upper| !upper.entry.is_opaque)
    }
}

/// Tells whether somebody removed or replaced what was to be read.
pub(crate) fn has_vanished(error: &LayerError) -> bool {
    match error {
        LayerError::ChangedWhileRead { .. } => true,
        LayerError::Io { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}
