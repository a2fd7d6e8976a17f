//! Carrying out a planned copy: one pass over the files, straight into a layer.

use dissolver_tree::Tree;

use crate::copy_error::CopyError;
use crate::copy_origin::{Origin, Source};
use crate::copy_plan::{CopyPlan, What};
use crate::entry::{Entry, Kind};
use crate::error::LayerError;
use crate::index_build::LayerInfo;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::tar_write::LayerWriter;
use crate::view::{Found, View};

impl CopyPlan {
    /// Writes the layer that was planned and makes it visible.
    ///
    /// Memory use does not depend on the number or size of the files beyond the
    /// plan itself. While this thread reads and hashes one block, another writes
    /// and hashes the one before. What is written is what was hashed for
    /// [`CopyPlan::digest`], which is called first if nobody did.
    ///
    /// # Errors
    ///
    /// A file that is not what it was when it was listed and hashed, by its name
    /// in the origin; nothing is kept then. [`LayerError::Io`] also when the disk is full.
    pub fn write(&self, layers: &Layers, interrupt: &Interrupt) -> Result<LayerInfo, CopyError> {
        self.hash_contents(interrupt)?;
        let mut writer = layers.writer(interrupt.clone())?;
        for planned in &self.entries {
            let entry = self.facts(planned).to_entry();
            let has_content = entry.kind == Kind::File && entry.hard_link.is_none();
            match (&planned.what, &self.origin) {
                (What::Copied(Source::Tree(number)), Some(Origin::Tree(tree))) if has_content => {
                    copy_from_tree(&mut writer, &entry, tree, *number)?;
                }
                (What::Copied(Source::View(found)), Some(Origin::View(view))) if has_content => {
                    copy_from_view(&mut writer, &entry, view, found)?;
                }
                _ => writer.add_entry(&entry)?,
            }
        }
        Ok(writer.finish()?)
    }
}

fn copy_from_tree(
    writer: &mut LayerWriter,
    entry: &Entry,
    tree: &Tree,
    number: usize,
) -> Result<(), CopyError> {
    let mut reader = tree.open_content(number)?;
    let outcome = writer.add_file(entry, &mut reader);
    // What the reader says is more exact than that reading failed.
    if let Some(failure) = reader.failure() {
        return Err(failure.into());
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(LayerError::ChangedWhileRead { .. }) => Err(LayerError::ChangedWhileRead {
            path: tree.path(number).to_vec(),
        }
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn copy_from_view(
    writer: &mut LayerWriter,
    entry: &Entry,
    view: &View,
    found: &Found,
) -> Result<(), CopyError> {
    let mut content = view.open(found)?;
    match writer.add_file(entry, &mut content) {
        Ok(_) => Ok(()),
        // Layers do not change: other bytes than the index promised are damage.
        Err(LayerError::ChangedWhileRead { .. }) => {
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
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "copy_write_tests.rs"]
mod tests;
