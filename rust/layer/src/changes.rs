//! What a container changed, as a list.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::vec;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::create::open_directory;
use crate::diff::{content_digest, is_same, relative};
use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind, join};
use crate::error::LayerError;
use crate::inspect::{Inspected, inspect, inspect_root, names};
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::marks::OverlayMarks;
use crate::merged::has_vanished;
use crate::view::View;

/// How a path differs from what the layers have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The layers have nothing there.
    Added,
    /// Its content or metadata differ, or something in it does.
    Changed,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// The word for it, the same in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Changed => "changed",
            ChangeKind::Deleted => "deleted",
        }
    }
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Which, relative to the root.
    pub path: Vec<u8>,
}

impl Layers {
    /// Lists what the changes in `upper` make different from `parents`, in order of the paths.
    ///
    /// Directories come before what they hold, and are listed as changed if anything in
    /// them is. What a deleted directory held is not listed, nor is the root itself. Copies
    /// that changed nothing, and the mount points named by `stubs` that are not below and
    /// still empty, are no changes. `upper` may be mounted and written to meanwhile.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::UnsupportedOverlay`], [`LayerError::Io`].
    pub fn changes(
        &self,
        upper: &Path,
        parents: &[DiffId],
        stubs: &[Vec<u8>],
        interrupt: &Interrupt,
    ) -> Result<Vec<Change>, LayerError> {
        let view = self.view(parents)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, upper, flags, Mode::empty())
            .map_err(|errno| LayerError::io("open", upper)(errno))?;
        let mut lister = Lister {
            root: &root,
            marks: self.marks(),
            view: &view,
            stubs: stubs.iter().map(|path| relative(path)).collect(),
            frames: Vec::new(),
            changes: Vec::new(),
            interrupt,
        };
        lister.run()?;
        Ok(lister.changes)
    }
}

/// A directory that is being walked.
struct Frame {
    path: Vec<u8>,
    steps: vec::IntoIter<Step>,
    /// Listed as soon as something beneath it is; `None` once it was.
    unlisted: Option<ChangeKind>,
    /// The layers have this directory, too.
    is_merged: bool,
    /// Nothing of the layers can be seen through it: it is opaque, or within one that is.
    /// Only the outermost is marked.
    is_opaque: bool,
}

/// What there is to look at in a directory.
enum Step {
    /// A name in the upper directory.
    Upper(Vec<u8>),
    /// A name that an opaque directory hides and does not have itself.
    Hidden(Vec<u8>),
}

struct Lister<'work> {
    root: &'work OwnedFd,
    marks: OverlayMarks,
    view: &'work View,
    stubs: HashSet<Vec<u8>>,
    frames: Vec<Frame>,
    changes: Vec<Change>,
    interrupt: &'work Interrupt,
}

impl Lister<'_> {
    fn run(&mut self) -> Result<(), LayerError> {
        let is_opaque =
            inspect_root(self.root.as_fd(), self.marks)?.is_some_and(|root| root.entry.is_opaque);
        self.enter(Vec::new(), None, true, is_opaque)?;
        while let Some(frame) = self.frames.last_mut() {
            self.interrupt.check()?;
            let Some(step) = frame.steps.next() else {
                self.frames.pop();
                continue;
            };
            let (path, is_merged) = (frame.path.clone(), frame.is_merged);
            match step {
                Step::Hidden(name) => self.add(ChangeKind::Deleted, join(&path, &name)),
                Step::Upper(name) => match self.visit(&path, &name, is_merged) {
                    Err(error) if has_vanished(&error) => {}
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        path: Vec<u8>,
        unlisted: Option<ChangeKind>,
        covers_directory: bool,
        is_opaque: bool,
    ) -> Result<(), LayerError> {
        let names = match names(self.root.as_fd(), &path) {
            Err(error) if has_vanished(&error) => Vec::new(),
            other => other?,
        };
        let mut steps: Vec<Step> = names.into_iter().map(Step::Upper).collect();
        if covers_directory && is_opaque {
            let own: HashSet<&[u8]> = steps.iter().map(Step::name).collect();
            let hidden: Vec<Step> = self
                .view
                .children(&path)?
                .iter()
                .map(|child| child.entry.name())
                .filter(|name| !own.contains(name))
                .map(|name| Step::Hidden(name.to_vec()))
                .collect();
            steps.extend(hidden);
            steps.sort_by(|left, right| left.name().cmp(right.name()));
        }
        self.frames.push(Frame {
            path,
            steps: steps.into_iter(),
            unlisted,
            // An opaque directory hides what is below, but what it has itself is
            // compared with that all the same: it came in its place.
            is_merged: covers_directory,
            is_opaque,
        });
        Ok(())
    }

    fn visit(&mut self, above: &[u8], name: &[u8], is_merged: bool) -> Result<(), LayerError> {
        let directory = open_directory(self.root.as_fd(), above)?;
        let Some(inspected) = inspect(directory.as_fd(), above, name, Some(self.marks))? else {
            return Ok(());
        };
        let entry = &inspected.entry;
        let below = if is_merged {
            self.view.lookup(&entry.path)?.map(|found| found.entry)
        } else {
            None
        };
        let kind = match (&below, entry.kind) {
            (None, Kind::Whiteout) => return Ok(()),
            (Some(_), Kind::Whiteout) => ChangeKind::Deleted,
            (Some(_), _) => ChangeKind::Changed,
            (None, _) => ChangeKind::Added,
        };
        if entry.kind == Kind::Directory {
            return self.visit_directory(inspected.entry, below.as_ref(), kind);
        }
        if self.is_stub(entry, below.as_ref())
            || self.is_unchanged(directory.as_fd(), &inspected, below.as_ref())?
        {
            return Ok(());
        }
        self.add(kind, inspected.entry.path);
        Ok(())
    }

    fn visit_directory(
        &mut self,
        entry: Entry,
        below: Option<&Entry>,
        kind: ChangeKind,
    ) -> Result<(), LayerError> {
        let covers_directory = below.is_some_and(|below| below.kind == Kind::Directory);
        let is_same = below.is_some_and(|below| is_same(&entry, below));
        let is_silent = is_same || (below.is_none() && self.stubs.contains(&entry.path));
        if !is_silent {
            self.add(kind, entry.path.clone());
        }
        let is_opaque = entry.is_opaque || self.frames.last().is_some_and(|frame| frame.is_opaque);
        self.enter(
            entry.path,
            is_silent.then_some(kind),
            covers_directory,
            is_opaque,
        )
    }

    /// Lists a change, after the directories above it that were not listed yet.
    fn add(&mut self, kind: ChangeKind, path: Vec<u8>) {
        for frame in &mut self.frames {
            if let Some(kind) = frame.unlisted.take() {
                self.changes.push(Change {
                    kind,
                    path: frame.path.clone(),
                });
            }
        }
        self.changes.push(Change { kind, path });
    }

    fn is_stub(&self, entry: &Entry, below: Option<&Entry>) -> bool {
        below.is_none()
            && entry.kind == Kind::File
            && entry.size == 0
            && self.stubs.contains(&entry.path)
    }

    /// Compares with what is below: metadata first, content only if that is the same.
    fn is_unchanged(
        &self,
        directory: BorrowedFd<'_>,
        inspected: &Inspected,
        below: Option<&Entry>,
    ) -> Result<bool, LayerError> {
        let entry = &inspected.entry;
        let Some(below) = below.filter(|below| is_same(entry, below)) else {
            return Ok(false);
        };
        // Copying up separates names: those that are linked were linked by the container.
        if inspected.links > 1 || entry.mtime_ns != below.mtime_ns {
            return Ok(false);
        }
        if entry.kind != Kind::File || entry.size == 0 {
            return Ok(true);
        }
        Ok(below.digest == Some(content_digest(directory, entry, self.interrupt)?))
    }
}

impl Step {
    fn name(&self) -> &[u8] {
        match self {
            Step::Upper(name) | Step::Hidden(name) => name,
        }
    }
}
