//! Copying between a container and the machine: trees to trees, trees to tars, tars to trees.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::entry::{Entry, Kind, join};
use crate::error::LayerError;
use crate::inspect::{Inspected, inspect, open_file};
use crate::interrupt::Interrupt;
use crate::links::LinkNames;
use crate::merged::has_vanished;
use crate::placer::{Body, Placer};
use crate::root::{Root, open_inner};
use crate::tar_stream::{Shorter, TarStream};
use crate::view::{Found, LastLink, View};
use crate::walk_live::walk;

/// Where a copy comes from, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'copy> {
    /// What is copied.
    pub source: &'copy [u8],
    /// Whether a symbolic link at the end of `source` is followed.
    pub last: LastLink,
    /// The directory that it goes to, which must exist.
    pub directory: &'copy [u8],
    /// What it is called there; `None` means what is in the directory `source`, not that itself.
    pub name: Option<&'copy [u8]>,
    /// Who owns the copies; `None` keeps owners, and all attributes with them.
    ///
    /// Where an owner changes, set-user-id and set-group-id bits go, and of the
    /// attributes only the users' own stay.
    pub owner: Option<(u32, u32)>,
}

impl Root {
    /// Copies files of this root to `target`, and returns how many bytes of content they have.
    ///
    /// Modes, times, attributes, symbolic and hard links are kept. Directories are
    /// merged into those that exist, anything else takes the place of what exists. A
    /// symbolic link is never written through. Files get their names when they are whole.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotADirectory`] and [`LayerError::NotAFile`] where a directory and something
    /// else would have the same path, [`LayerError::NotFound`] if there is no source.
    pub fn copy(
        &self,
        copy: &Copy<'_>,
        target: &Root,
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        let directory = target.open_directory(copy.directory)?;
        let mut placer = Placer::new(directory, copy.owner, interrupt);
        self.visit(
            copy.source,
            copy.last,
            copy.name,
            interrupt,
            &mut |inside, inspected| {
                let Inspected { entry, .. } = &inspected;
                let body = match entry.kind {
                    Kind::File if entry.hard_link.is_none() => {
                        // Visited under another name than it has.
                        match open_file(inside.directory, &inside.named(entry)) {
                            Err(error) if has_vanished(&error) => return Ok(()),
                            other => Body::File(other?),
                        }
                    }
                    _ => Body::None,
                };
                placer.place(entry, body)
            },
        )?;
        placer.finish()
    }

    /// Writes files of this root to `out` as a tar.
    ///
    /// Entries are named `name` and what lies beneath it, and have the owners that the
    /// files have; without a name it is what is in the directory.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`], [`LayerError::Io`].
    pub fn archive(
        &self,
        source: &[u8],
        last: LastLink,
        name: Option<&[u8]>,
        out: BorrowedFd<'_>,
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        let mut tar = TarStream::new(out, interrupt)?;
        let mut bytes = 0;
        self.visit(source, last, name, interrupt, &mut |inside, inspected| {
            let entry = inspected.entry;
            if entry.kind != Kind::File || entry.hard_link.is_some() {
                return tar.bare(&entry);
            }
            let mut content = match open_file(inside.directory, &inside.named(&entry)) {
                Err(error) if has_vanished(&error) => return Ok(()),
                other => other?,
            };
            let facts = content
                .metadata()
                .map_err(LayerError::io("stat", crate::os_path(&entry.path)))?;
            let size = facts.len();
            bytes += size;
            tar.file(&Entry { size, ..entry }, &mut content, Shorter::Padded)
        })?;
        tar.finish()?;
        Ok(bytes)
    }

    /// Visits `source` and everything beneath it, under the paths that it is to have.
    fn visit(
        &self,
        source: &[u8],
        last: LastLink,
        name: Option<&[u8]>,
        interrupt: &Interrupt,
        visit: &mut dyn FnMut(Inside<'_>, Inspected) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let located = self.locate(source, last)?;
        let Some(top) = &located.inspected else {
            return Err(LayerError::NotFound {
                path: source.to_vec(),
            });
        };
        let own_name = located.name().to_vec();
        let mut links = HardLinks::default();
        if top.entry.kind != Kind::Directory {
            let Some(name) = name else {
                return Err(LayerError::NotADirectory {
                    path: source.to_vec(),
                });
            };
            let inside = Inside {
                directory: located.directory.as_fd(),
                name: &own_name,
            };
            let renamed = inspect(inside.directory, b"", &own_name, None)?;
            return match renamed {
                Some(found) => visit(inside, found.renamed(name.to_vec())),
                None => Ok(()),
            };
        }
        let start = open_inner(located.directory.as_fd(), &own_name, source)?;
        // Without a name, what the directory holds stands at the top.
        let prefix = name.unwrap_or(b"");
        if let Some(found) = inspect(start.as_fd(), b"", b".", None)? {
            let inside = Inside {
                directory: start.as_fd(),
                name: b".",
            };
            visit(inside, found.renamed(prefix.to_vec()))?;
        }
        walk(start.as_fd(), interrupt, &mut |directory, found| {
            let own_name = found.entry.name().to_vec();
            let path = join(prefix, &found.entry.path);
            let inside = Inside {
                directory,
                name: &own_name,
            };
            let mut found = found.renamed(path);
            links.mark(&mut found);
            visit(inside, found)
        })
    }
}

/// Where something that is visited lies: its path may be another than its name.
struct Inside<'walk> {
    directory: BorrowedFd<'walk>,
    name: &'walk [u8],
}

impl Inside<'_> {
    /// The entry under the name by which its content can be opened.
    fn named(&self, entry: &Entry) -> Entry {
        Entry {
            path: self.name.to_vec(),
            ..Entry::new(Vec::new(), entry.kind, entry.mode)
        }
    }
}

impl Inspected {
    fn renamed(mut self, path: Vec<u8>) -> Inspected {
        self.entry.path = path;
        self
    }
}

/// The first names of files with several.
#[derive(Default)]
struct HardLinks(HashMap<(u64, u64), Vec<u8>>);

impl HardLinks {
    fn mark(&mut self, found: &mut Inspected) {
        if found.links < 2 || found.entry.kind == Kind::Directory {
            return;
        }
        match self.0.get(&found.identity) {
            Some(first) => found.entry.hard_link = Some(first.clone()),
            None => {
                self.0.insert(found.identity, found.entry.path.clone());
            }
        }
    }
}

impl Root {
    /// Puts what a view shows into a directory, and returns how many bytes of content it has.
    ///
    /// As [`Root::copy`] does, with the owners that the view says. Names beneath symbolic
    /// links of the directory go where these lead inside the root.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadEntry`] for names that layers reserve for whiteouts, and as [`Root::copy`].
    pub fn unpack(
        &self,
        view: &View,
        directory: &[u8],
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        refuse_whiteouts(view)?;
        let opened = self.open_directory(directory)?;
        let mut placer = Placer::new(opened, None, interrupt).through_links(self, directory);
        let mut names = LinkNames::default();
        view.walk(&mut |found: Found| {
            let hard_link = names.earlier_name(view, &found)?;
            let body = match found.entry.kind {
                Kind::File if hard_link.is_none() => Body::Reader(Box::new(view.open(&found)?)),
                _ => Body::None,
            };
            let entry = Entry {
                hard_link,
                ..found.entry
            };
            placer.place(&entry, body)
        })?;
        placer.finish()
    }
}

/// What [`Root::put`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Bytes of content.
    pub bytes: u64,
    /// Devices that were left out.
    pub devices: u64,
}

impl Root {
    /// Puts the root file system that a view shows into a directory that may hold others' files.
    ///
    /// As [`Root::copy`] does, with `owner` for all of it; no symbolic link of the directory is
    /// followed. Devices are left out and counted: outside of a container, whose limits hold for
    /// them, they would be a way to the machine's. With `mtime_ns` everything has that time.
    ///
    /// # Errors
    ///
    /// As [`Root::copy`].
    pub fn put(
        &self,
        view: &View,
        directory: &[u8],
        owner: (u32, u32),
        mtime_ns: Option<i64>,
        interrupt: &Interrupt,
    ) -> Result<Put, LayerError> {
        let opened = self.open_directory(directory)?;
        let mut placer = Placer::new(opened, Some(owner), interrupt);
        let mut names = LinkNames::default();
        let mut devices = 0;
        view.walk(&mut |found: Found| {
            if matches!(found.entry.kind, Kind::Character | Kind::Block) {
                devices += 1;
                return Ok(());
            }
            let hard_link = names.earlier_name(view, &found)?;
            let body = match found.entry.kind {
                Kind::File if hard_link.is_none() => Body::Reader(Box::new(view.open(&found)?)),
                _ => Body::None,
            };
            let entry = Entry {
                hard_link,
                mtime_ns: mtime_ns.unwrap_or(found.entry.mtime_ns),
                ..found.entry
            };
            placer.place(&entry, body)
        })?;
        let bytes = placer.finish()?;
        Ok(Put { bytes, devices })
    }
}

/// What would silently be left out is told instead.
fn refuse_whiteouts(view: &View) -> Result<(), LayerError> {
    for layer in view.layers() {
        for entry in layer.index().entries() {
            let entry = entry?;
            if entry.kind == Kind::Whiteout || entry.is_opaque {
                return Err(LayerError::BadEntry {
                    path: entry.path,
                    reason: "comes with a name that layers reserve for whiteouts",
                });
            }
        }
    }
    Ok(())
}
