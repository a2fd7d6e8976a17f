//! A whole root file system as one tar.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind};
use crate::error::LayerError;
use crate::inspect::open_file;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::links::LinkNames;
use crate::merged::{Merged, Seen, has_vanished};
use crate::tar_stream::{Shorter, TarStream};
use crate::view::{Found, View};

impl Layers {
    /// Writes the root file system that these layers make up to `out`, as a tar without whiteouts.
    ///
    /// The same layers give the same bytes: entries are sorted, the first name of
    /// an inode in that order holds the content. With `mtime_ns` everything has that time.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`].
    pub fn export_tar(
        &self,
        diff_ids: &[DiffId],
        out: BorrowedFd<'_>,
        mtime_ns: Option<i64>,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let view = self.view(diff_ids)?;
        let mut tar = TarStream::new(out, interrupt)?;
        let mut names = LinkNames::default();
        view.walk(&mut |mut found: Found| {
            let earlier = names.earlier_name(&view, &found)?;
            found.entry.mtime_ns = mtime_ns.unwrap_or(found.entry.mtime_ns);
            write_found(&view, &found, earlier, &mut tar)
        })?;
        tar.finish()
    }

    /// As [`Layers::export_tar`], with the changes that `upper` holds on top of the layers.
    ///
    /// `upper` is the upper directory of an overlay, which may be mounted and written to
    /// meanwhile: files that go are left out, files that shrink end in zeros. Sockets are
    /// left out. The same files give the same bytes.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnsupportedOverlay`], and as [`Layers::export_tar`].
    pub fn export_container(
        &self,
        diff_ids: &[DiffId],
        upper: &Path,
        out: BorrowedFd<'_>,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let merged = Merged::open(self.view(diff_ids)?, upper, self.marks())?;
        let mut tar = TarStream::new(out, interrupt)?;
        merged.walk(interrupt, &mut |seen| match seen {
            Seen::Layer(found, earlier) => write_found(merged.view(), found, earlier, &mut tar),
            Seen::Upper(entry, directory) => write_live(entry, directory, &mut tar),
        })?;
        tar.finish()
    }
}

fn write_found(
    view: &View,
    found: &Found,
    earlier: Option<Vec<u8>>,
    tar: &mut TarStream<'_>,
) -> Result<(), LayerError> {
    let entry = Entry {
        hard_link: earlier,
        ..found.entry.clone()
    };
    if entry.kind != Kind::File || entry.hard_link.is_some() || entry.size == 0 {
        return tar.bare(&entry);
    }
    tar.file(&entry, &mut view.open(found)?, Shorter::Refused)
}

/// Writes what lies in an upper directory, as it is at this moment.
fn write_live(
    entry: &Entry,
    directory: BorrowedFd<'_>,
    tar: &mut TarStream<'_>,
) -> Result<(), LayerError> {
    if entry.kind != Kind::File || entry.hard_link.is_some() {
        return tar.bare(entry);
    }
    let mut content = match open_file(directory, entry) {
        Err(error) if has_vanished(&error) => return Ok(()),
        other => other?,
    };
    let facts = content
        .metadata()
        .map_err(LayerError::io("stat", crate::os_path(&entry.path)))?;
    let now = Entry {
        size: facts.len(),
        ..entry.clone()
    };
    tar.file(&now, &mut content, Shorter::Padded)
}
