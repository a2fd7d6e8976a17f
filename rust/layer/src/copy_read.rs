//! Reading what is copied: headers and contents, as they stand in the tar.

use std::io::Read as _;

use dissolver_digest::ContentDigest as Digest;
use dissolver_tree::{Tree, follow_mode};

use crate::assemble::Outlet;
use crate::copy_error::CopyError;
use crate::copy_origin::{Origin, Source};
use crate::copy_plan::{CopyPlan, What};
use crate::entry::{Entry, Kind};
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::tar_header;
use crate::view::{Found, View};

/// Writes the headers of entry `number` and, if asked, its content with padding.
///
/// A file is opened once. What was hashed before has to be the same still; what was
/// not is known to its tree afterwards.
///
/// # Errors
///
/// [`LayerError::ChangedWhileRead`] or the same of the tree, by the name in the
/// origin; [`LayerError::ContentMismatch`] for a damaged layer.
pub(crate) fn write_entry(
    plan: &CopyPlan,
    number: u32,
    with_content: bool,
    outlet: &mut Outlet<'_>,
    interrupt: &Interrupt,
) -> Result<(), CopyError> {
    let planned = &plan.entries[number as usize];
    let entry = plan.facts(planned).to_entry();
    let mut writer = Writer { outlet, interrupt };
    let has_content = entry.kind == Kind::File && entry.hard_link.is_none();
    let origin = plan.part(planned).map(|part| &part.origin);
    let content = match (&planned.what, origin) {
        (What::Copied(Source::Tree(file)), Some(Origin::Tree(tree)))
            if has_content && with_content =>
        {
            writer.file_of_tree(entry, tree, *file)?
        }
        (What::Copied(Source::View(found)), Some(Origin::View(view)))
            if has_content && with_content =>
        {
            writer.file_of_view(&entry, view, found)?
        }
        _ => writer.header(&entry)?,
    };
    outlet.entry(number, content);
    Ok(())
}

/// Writes one entry; each method returns where its content begins.
struct Writer<'a, 'job> {
    outlet: &'a mut Outlet<'job>,
    interrupt: &'a Interrupt,
}

impl Writer<'_, '_> {
    fn header(&mut self, entry: &Entry) -> Result<u64, CopyError> {
        let mut headers = Vec::new();
        tar_header::encode(entry, &entry.path, &mut headers);
        self.outlet.write(&headers)?;
        Ok(self.outlet.position())
    }

    fn file_of_tree(
        &mut self,
        mut entry: Entry,
        tree: &Tree,
        file: usize,
    ) -> Result<u64, CopyError> {
        let mut reader = tree.open_content(file)?;
        let xattrs = match entry.digest {
            Some(_) => None,
            None => Some(reader.xattrs()?),
        };
        if let Some(xattrs) = &xattrs {
            entry.xattrs.clone_from(xattrs);
            follow_mode(&mut entry.xattrs, entry.mode);
        }
        let content_start = self.header(&entry)?;
        let mut hasher = blake3::Hasher::new();
        loop {
            self.interrupt.check()?;
            let space = self.outlet.space()?;
            let count = reader.read_some(space)?;
            if count == 0 {
                break;
            }
            hasher.update(&space[..count]);
            self.outlet.advance(count);
        }
        self.outlet.pad()?;
        let digest = *hasher.finalize().as_bytes();
        match xattrs {
            Some(xattrs) => tree.learn(file, &reader, Digest::from_bytes(digest), xattrs)?,
            None => reader.check()?,
        }
        if entry.digest.is_some_and(|expected| expected != digest) {
            let path = tree.path(file).to_vec();
            return Err(LayerError::ChangedWhileRead { path }.into());
        }
        Ok(content_start)
    }

    fn file_of_view(
        &mut self,
        entry: &Entry,
        view: &View,
        found: &Found,
    ) -> Result<u64, CopyError> {
        let mut content = view.open(found)?;
        let content_start = self.header(entry)?;
        let mut hasher = blake3::Hasher::new();
        let mut left = entry.size;
        while left > 0 {
            self.interrupt.check()?;
            let space = self.outlet.space()?;
            let wanted = space.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = content
                .read(&mut space[..wanted])
                .map_err(LayerError::io("read", crate::os_path(&entry.path)))?;
            if count == 0 {
                break;
            }
            hasher.update(&space[..count]);
            self.outlet.advance(count);
            left -= count as u64;
        }
        self.outlet.pad()?;
        let is_as_promised = entry
            .digest
            .is_none_or(|expected| expected == *hasher.finalize().as_bytes());
        if left == 0 && is_as_promised {
            return Ok(content_start);
        }
        // Layers do not change: other bytes than the index promised are damage.
        let layer = found.layer.and_then(|number| view.layers().get(number));
        let path = found.entry.path.clone();
        Err(match layer {
            Some(layer) => LayerError::ContentMismatch {
                diff_id: layer.diff_id(),
                path,
            },
            None => LayerError::ChangedWhileRead { path },
        }
        .into())
    }
}
