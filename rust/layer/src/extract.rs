//! Making a directory of a layer, or of a whole root file system.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, linkat, mknodat, openat};

use crate::create::{Powers, failed, make, make_directory, open_directory, set_metadata};
use crate::entry::{Entry, Kind, file_name, parent};
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::links::LinkNames;
use crate::marks::OverlayMarks;
use crate::stored::StoredLayer;
use crate::view::{Found, View};
use crate::xattr::Holder;

/// Entries collected before they are created together: enough for every core,
/// little enough that memory stays flat.
const BATCH: usize = 4096;
/// Neighbours that one core creates; they mostly share their directory.
const RUN: usize = 64;

/// Fills an empty directory.
///
/// Every name was checked when the index was made; all the same each is created
/// relative to a descriptor of its directory, opened beneath the root without
/// following links, and never where something is already.
struct Extractor<'work> {
    root: OwnedFd,
    powers: Powers,
    interrupt: &'work Interrupt,
    batch: Vec<(Entry, Arc<StoredLayer>)>,
    /// Path and earlier name of every further name of an inode; made when all files are there.
    links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Directories, parents first; they get their metadata last, in reverse.
    directories: Vec<Entry>,
}

/// Extracts `layer` as a lower directory of an overlay mount into the empty `destination`.
pub(crate) fn extract_layer(
    layer: &Arc<StoredLayer>,
    destination: &Path,
    marks: OverlayMarks,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut extractor = Extractor::new(destination, interrupt)?;
    for entry in layer.index().entries() {
        let entry = entry?;
        if entry.kind == Kind::Whiteout {
            extractor.whiteout(&entry)?;
            continue;
        }
        let earlier = entry.hard_link.clone();
        extractor.add(entry, layer, earlier)?;
    }
    extractor.finish(Some(marks))
}

/// Extracts the root file system that `view` shows into the empty `destination`.
pub(crate) fn extract_view(
    view: &View,
    destination: &Path,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut extractor = Extractor::new(destination, interrupt)?;
    let mut names = LinkNames::default();
    view.walk(&mut |found: Found| {
        let earlier = names.earlier_name(view, &found)?;
        match found.layer.and_then(|number| view.layers().get(number)) {
            Some(layer) => extractor.add(found.entry, layer, earlier),
            None => Ok(()),
        }
    })?;
    extractor.finish(None)
}

/// Creates `directories`, parents first and the root among them, in the empty `destination`.
pub(crate) fn extract_directories(
    directories: &[Entry],
    destination: &Path,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut extractor = Extractor::new(destination, interrupt)?;
    for entry in directories {
        extractor.directory(entry.clone())?;
    }
    extractor.finish(None)
}

/// Makes `destination` if it is missing and refuses it if there is something in it.
pub(crate) fn prepare_destination(destination: &Path) -> Result<(), LayerError> {
    fs::create_dir_all(destination).map_err(LayerError::io("mkdir", destination))?;
    let mut names = fs::read_dir(destination).map_err(LayerError::io("read", destination))?;
    match names.next() {
        None => Ok(()),
        Some(_) => Err(LayerError::NotEmpty {
            path: destination.to_owned(),
        }),
    }
}

impl<'work> Extractor<'work> {
    fn new(
        destination: &Path,
        interrupt: &'work Interrupt,
    ) -> Result<Extractor<'work>, LayerError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, destination, flags, Mode::empty())
            .map_err(|errno| LayerError::io("open", destination)(errno))?;
        Ok(Extractor {
            root,
            powers: Powers::of_this_process(),
            interrupt,
            batch: Vec::new(),
            links: Vec::new(),
            directories: Vec::new(),
        })
    }

    fn add(
        &mut self,
        entry: Entry,
        layer: &Arc<StoredLayer>,
        earlier_name: Option<Vec<u8>>,
    ) -> Result<(), LayerError> {
        if entry.kind == Kind::Directory {
            return self.directory(entry);
        }
        if let Some(name) = earlier_name {
            self.links.push((entry.path, name));
            return Ok(());
        }
        self.batch.push((entry, layer.clone()));
        if self.batch.len() >= BATCH {
            self.create_batch()?;
        }
        Ok(())
    }

    fn directory(&mut self, entry: Entry) -> Result<(), LayerError> {
        self.interrupt.check()?;
        if !entry.path.is_empty() {
            let above = open_directory(self.root.as_fd(), parent(&entry.path))?;
            make_directory(above.as_fd(), &entry)?;
        }
        self.directories.push(entry);
        Ok(())
    }

    /// Creates what was collected, on all cores.
    fn create_batch(&mut self) -> Result<(), LayerError> {
        let batch = std::mem::take(&mut self.batch);
        let (root, powers, interrupt) = (self.root.as_fd(), self.powers, self.interrupt);
        batch
            .par_chunks(RUN)
            .try_for_each(|run| create_run(root, run, powers, interrupt))
    }

    /// What overlayfs reads as "nothing here": a character device of number 0/0.
    fn whiteout(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let above = open_directory(self.root.as_fd(), parent(&entry.path))?;
        mknodat(
            above,
            entry.name(),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .map_err(failed("mknod", &entry.path))
    }

    fn finish(mut self, marks: Option<OverlayMarks>) -> Result<(), LayerError> {
        self.create_batch()?;
        self.make_links()?;
        for entry in self.directories.iter().rev() {
            self.interrupt.check()?;
            let directory = open_directory(self.root.as_fd(), &entry.path)?;
            if let Some(marks) = marks.filter(|_| entry.is_opaque) {
                Holder::Open(directory.as_fd())
                    .set(marks.opaque(), b"y")
                    .map_err(failed("setxattr", &entry.path))?;
            }
            set_metadata(directory.as_fd(), entry, self.powers)?;
        }
        Ok(())
    }

    /// Links further names; a device that was left out has none.
    fn make_links(&self) -> Result<(), LayerError> {
        let mut left_out: HashSet<&[u8]> = HashSet::new();
        for (path, earlier) in &self.links {
            self.interrupt.check()?;
            if left_out.contains(earlier.as_slice()) {
                continue;
            }
            let from = open_directory(self.root.as_fd(), parent(earlier))?;
            let to = open_directory(self.root.as_fd(), parent(path))?;
            match linkat(
                from,
                file_name(earlier),
                to,
                file_name(path),
                AtFlags::empty(),
            ) {
                Err(rustix::io::Errno::NOENT) if self.powers.leaves_devices_out() => {
                    left_out.insert(earlier);
                }
                result => result.map_err(failed("link", path))?,
            }
        }
        Ok(())
    }
}

/// Creates neighbours, opening their directory once.
fn create_run(
    root: BorrowedFd<'_>,
    run: &[(Entry, Arc<StoredLayer>)],
    powers: Powers,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut open: Option<(&[u8], OwnedFd)> = None;
    for (entry, layer) in run {
        interrupt.check()?;
        let above = parent(&entry.path);
        let directory = match open.take() {
            Some((path, fd)) if path == above => fd,
            _ => open_directory(root, above)?,
        };
        make(directory.as_fd(), entry, layer, powers, interrupt)?;
        open = Some((above, directory));
    }
    Ok(())
}
