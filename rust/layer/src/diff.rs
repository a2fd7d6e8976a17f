//! Making a layer of what a step left in an overlay's upper directory.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::vec;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fremovexattr, fstat, futimens,
    openat, syncfs, unlinkat,
};

use crate::create::{failed, open_directory};
use crate::diff_id::DiffId;
use crate::entry::{ContentDigest, Entry, Kind, file_name, join, parent};
use crate::error::LayerError;
use crate::index_build::LayerInfo;
use crate::inspect::{Inspected, inspect, inspect_root, names, open_file};
use crate::interrupt::Interrupt;
use crate::layers::{Layers, Unpublished};
use crate::marks::OverlayMarks;
use crate::mountable::LowerForm;
use crate::tar_write::LayerWriter;
use crate::view::View;
use crate::xattr::is_kept;

impl Layers {
    /// Makes a layer of the changes that `upper` holds on top of `parents`.
    ///
    /// Only `upper` is walked. Left out are copies of what is below that changed
    /// nothing (all metadata but the times of directories, and content, are
    /// compared), sockets, and the mount points named by `stubs` that are not
    /// below and still empty. Directories above a change are in the layer, with
    /// their own metadata. Stacked on `parents` the layer shows what the mount showed.
    ///
    /// `upper` must not be mounted any more. On success it is gone: renamed to be
    /// the extracted form of the layer where that is used and cheap, or removed in
    /// the background. On failure it is still there.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnsupportedOverlay`] if it was mounted with `redirect_dir` or
    /// `metacopy`, [`LayerError::BadEntry`] for a name that layers reserve,
    /// [`LayerError::ChangedWhileRead`] if somebody still writes to it.
    pub fn commit_upper(
        &self,
        upper: &Path,
        parents: &[DiffId],
        stubs: &[Vec<u8>],
        interrupt: &Interrupt,
    ) -> Result<LayerInfo, LayerError> {
        let view = self.view(parents)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, upper, flags, Mode::empty())
            .map_err(|errno| LayerError::io("open", upper)(errno))?;
        let mut committer = Committer {
            root: &root,
            marks: self.marks(),
            view: &view,
            writer: self.writer(interrupt.clone())?,
            stubs: stubs.iter().map(|path| relative(path)).collect(),
            frames: Vec::new(),
            first_names: HashMap::new(),
            left_out: Vec::new(),
            surplus_marks: Vec::new(),
            has_foreign_marks: false,
            interrupt,
        };
        committer.run()?;
        let Committer {
            writer,
            left_out,
            surplus_marks,
            has_foreign_marks,
            ..
        } = committer;
        let info = writer.finish_with(|place, info| {
            if self.form() == LowerForm::Image {
                return Ok(());
            }
            // What the layer is to be in every form has none of them.
            if has_foreign_marks {
                return Ok(());
            }
            // A layer of little is extracted as fast as a directory of much is pruned.
            if info.entry_count == 0 || left_out.len() + surplus_marks.len() > MAX_PRUNED {
                return Ok(());
            }
            unmark(root.as_fd(), &surplus_marks, self.marks())?;
            prune(root.as_fd(), &left_out)?;
            adopt(upper, place)
        })?;
        if upper.exists() {
            self.discard(upper)?;
        }
        Ok(info)
    }
}

/// Names and marks that are removed from an upper directory to make it the layer and nothing else.
const MAX_PRUNED: usize = 256;

/// A directory that is being walked.
struct Frame {
    path: Vec<u8>,
    names: vec::IntoIter<Vec<u8>>,
    /// Written as soon as something beneath it is; `None` once it was.
    unwritten: Option<Entry>,
    /// Something below this directory can be seen through it.
    is_merged: bool,
}

struct Committer<'work> {
    root: &'work OwnedFd,
    marks: OverlayMarks,
    view: &'work View,
    writer: LayerWriter,
    stubs: HashSet<Vec<u8>>,
    /// From the root to where the walk is. An explicit stack: containers may nest
    /// directories deeper than threads have stack.
    frames: Vec<Frame>,
    /// The first name of every inode with several.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    /// What the layer does not have, contents before their directory.
    left_out: Vec<(Vec<u8>, Kind)>,
    /// Directories that are opaque, and are not in the layer: there is nothing that they hide.
    /// overlayfs marks most new ones so, to look less far down.
    surplus_marks: Vec<Vec<u8>>,
    /// A program set attributes that overlayfs reserves.
    has_foreign_marks: bool,
    interrupt: &'work Interrupt,
}

impl Committer<'_> {
    fn run(&mut self) -> Result<(), LayerError> {
        let below = self.view.lookup(b"")?.map(|found| found.entry);
        if let Some(root) = inspect_root(self.root.as_fd(), self.marks)? {
            self.has_foreign_marks |= root.has_foreign_marks;
            self.root_frame(root.entry, below)?;
        }
        let mut open: Option<(usize, OwnedFd)> = None;
        while let Some(frame) = self.frames.last_mut() {
            self.interrupt.check()?;
            let Some(name) = frame.names.next() else {
                self.leave();
                continue;
            };
            let (path, is_merged, depth) = (frame.path.clone(), frame.is_merged, self.frames.len());
            // One descriptor at a time, opened again on the way back up.
            let directory = match open.take() {
                Some((at, fd)) if at == depth => fd,
                _ => open_directory(self.root.as_fd(), &path)?,
            };
            if let Some(inspected) = inspect(directory.as_fd(), &path, &name, Some(self.marks))? {
                self.has_foreign_marks |= inspected.has_foreign_marks;
                self.visit(directory.as_fd(), inspected, is_merged)?;
            } else {
                self.left_out.push((join(&path, &name), Kind::Fifo));
            }
            if self.frames.len() == depth {
                open = Some((depth, directory));
            }
        }
        Ok(())
    }

    /// The root is in the layer only if its own metadata changed.
    fn root_frame(&mut self, entry: Entry, below: Option<Entry>) -> Result<(), LayerError> {
        let is_changed = below.is_none_or(|below| !is_same(&entry, &below)) || entry.is_opaque;
        let is_merged = !entry.is_opaque;
        if is_changed {
            self.writer.add_entry(&entry)?;
        }
        let names = names(self.root.as_fd(), b"")?;
        self.frames.push(Frame {
            path: Vec::new(),
            names: names.into_iter(),
            unwritten: None,
            is_merged,
        });
        Ok(())
    }

    /// Ends a directory; if nothing beneath it changed, it goes with what it holds.
    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            if frame.unwritten.is_some() {
                self.left_out.push((frame.path, Kind::Directory));
            }
        }
    }

    fn visit(
        &mut self,
        directory: BorrowedFd<'_>,
        inspected: Inspected,
        is_merged: bool,
    ) -> Result<(), LayerError> {
        let Inspected {
            entry,
            identity,
            links,
            ..
        } = inspected;
        let below = if is_merged {
            self.view.lookup(&entry.path)?.map(|found| found.entry)
        } else {
            None
        };
        match entry.kind {
            Kind::Directory => self.visit_directory(entry, below.as_ref()),
            Kind::Whiteout if below.is_none() => {
                self.left_out.push((entry.path, Kind::Whiteout));
                Ok(())
            }
            Kind::Whiteout => self.write(&entry),
            _ if links > 1 => self.visit_linked(directory, entry, identity),
            _ => {
                let is_stub = below.is_none()
                    && entry.kind == Kind::File
                    && entry.size == 0
                    && self.stubs.contains(&entry.path);
                if is_stub || self.is_unchanged(directory, &entry, below.as_ref())? {
                    self.left_out.push((entry.path, entry.kind));
                    return Ok(());
                }
                self.write_with_content(directory, &entry)
            }
        }
    }

    fn visit_directory(
        &mut self,
        mut entry: Entry,
        below: Option<&Entry>,
    ) -> Result<(), LayerError> {
        let covers_directory = below.is_some_and(|below| below.kind == Kind::Directory);
        if entry.is_opaque && !covers_directory {
            entry.is_opaque = false;
            self.surplus_marks.push(entry.path.clone());
        }
        let is_merged = covers_directory && !entry.is_opaque;
        let is_stub = below.is_none() && self.stubs.contains(&entry.path);
        let is_same = is_merged && below.is_some_and(|below| is_same(&entry, below));
        let frame = Frame {
            names: names(self.root.as_fd(), &entry.path)?.into_iter(),
            path: entry.path.clone(),
            unwritten: (is_same || is_stub).then(|| entry.clone()),
            is_merged,
        };
        if frame.unwritten.is_none() {
            self.write(&entry)?;
        }
        self.frames.push(frame);
        Ok(())
    }

    /// A file with several names: the first carries it, the others are links.
    ///
    /// It is always written. Copying up separates names, so these were linked by
    /// the step, and a name that looks unchanged is still part of the change.
    fn visit_linked(
        &mut self,
        directory: BorrowedFd<'_>,
        mut entry: Entry,
        identity: (u64, u64),
    ) -> Result<(), LayerError> {
        if let Some(first) = self.first_names.get(&identity) {
            entry.hard_link = Some(first.clone());
            return self.write(&entry);
        }
        self.first_names.insert(identity, entry.path.clone());
        self.write_with_content(directory, &entry)
    }

    /// Writes the directories above that are still unwritten, then `entry`.
    fn write(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.write_parents()?;
        self.writer.add_entry(entry)
    }

    fn write_parents(&mut self) -> Result<(), LayerError> {
        for frame in &mut self.frames {
            if let Some(entry) = frame.unwritten.take() {
                self.writer.add_entry(&entry)?;
            }
        }
        Ok(())
    }

    fn write_with_content(
        &mut self,
        directory: BorrowedFd<'_>,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        if entry.kind != Kind::File {
            return self.write(entry);
        }
        self.write_parents()?;
        let mut content = open_file(directory, entry)?;
        self.writer.add_file(entry, &mut content).map(|_| ())
    }

    /// Compares with what is below: metadata first, content only if that is the same.
    fn is_unchanged(
        &self,
        directory: BorrowedFd<'_>,
        entry: &Entry,
        below: Option<&Entry>,
    ) -> Result<bool, LayerError> {
        let Some(below) = below.filter(|below| is_same(entry, below)) else {
            return Ok(false);
        };
        if entry.mtime_ns != below.mtime_ns {
            return Ok(false);
        }
        if entry.kind != Kind::File || entry.size == 0 {
            return Ok(true);
        }
        let digest = content_digest(directory, entry, self.interrupt)?;
        Ok(below.digest == Some(digest))
    }
}

/// The BLAKE3 of a file of the upper directory.
pub(crate) fn content_digest(
    directory: BorrowedFd<'_>,
    entry: &Entry,
    interrupt: &Interrupt,
) -> Result<ContentDigest, LayerError> {
    let mut content = open_file(directory, entry)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        interrupt.check()?;
        match content.read(&mut buffer) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(LayerError::io("read", crate::os_path(&entry.path))(error));
            }
        }
    }
}

/// Compares everything but time and content.
pub(crate) fn is_same(entry: &Entry, below: &Entry) -> bool {
    let kept = |entry: &Entry| {
        entry
            .xattrs
            .iter()
            .filter(|(name, _)| is_kept(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    entry.kind == below.kind
        && entry.mode == below.mode
        && entry.uid == below.uid
        && entry.gid == below.gid
        && entry.size == below.size
        && entry.device == below.device
        && entry.link_target == below.link_target
        && kept(entry) == kept(below)
}

/// A path as callers write it, relative to the root and without empty components.
pub(crate) fn relative(path: &[u8]) -> Vec<u8> {
    let components = path.split(|byte| *byte == b'/');
    components
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(&b'/')
}

/// Removes what the layer does not have, so that the directory is the layer and nothing else.
fn prune(root: BorrowedFd<'_>, left_out: &[(Vec<u8>, Kind)]) -> Result<(), LayerError> {
    for (path, kind) in left_out {
        let directory = open_directory(root, parent(path))?;
        let before = fstat(&directory).map_err(failed("stat", path))?;
        let flags = if *kind == Kind::Directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        unlinkat(&directory, file_name(path), flags).map_err(failed("unlink", path))?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: before.st_mtime,
                tv_nsec: before.st_mtime_nsec.try_into().unwrap_or(0),
            },
        };
        futimens(&directory, &times).map_err(failed("utimens", path))?;
    }
    Ok(())
}

/// Takes marks away that the layer does not have: stacked on others, it might hide something of them.
fn unmark(
    root: BorrowedFd<'_>,
    directories: &[Vec<u8>],
    marks: OverlayMarks,
) -> Result<(), LayerError> {
    for path in directories {
        let directory = open_directory(root, path)?;
        fremovexattr(&directory, marks.opaque()).map_err(failed("removexattr", path))?;
    }
    Ok(())
}

/// Makes the upper directory the extracted form of the layer.
fn adopt(upper: &Path, place: &Unpublished) -> Result<(), LayerError> {
    let root = place.directory().join("root");
    match fs::rename(upper, &root) {
        // Another file system; the layer is extracted when it is needed.
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => return Ok(()),
        result => result.map_err(LayerError::io("rename", upper))?,
    }
    if place.fsync() {
        let file = File::open(&root).map_err(LayerError::io("open", &root))?;
        syncfs(&file).map_err(|errno| LayerError::io("syncfs", &root)(errno))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
