//! Directories whose metadata a mount would show wrong.

use crate::entry::{Entry, Kind, parent};
use crate::error::LayerError;
use crate::view::View;

/// Finds directories that a layer only implies and a layer below describes.
///
/// overlayfs takes the metadata of a merged directory from the topmost layer
/// that has it, so a layer with `tmp/x` and no header for `tmp` would make
/// `/tmp` of the base belong to nobody but root. Returned are these directories
/// as the view shows them, and every directory above them, in order; empty if a
/// mount shows what it should.
pub(crate) fn implied_directories(view: &View) -> Result<Vec<Entry>, LayerError> {
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for layer in view.layers() {
        let index = layer.index();
        if index.implied_count() == 0 {
            continue;
        }
        for number in 0..index.len() {
            let record = index.record(number)?;
            if record.is_implicit() && !record.covers() {
                paths.push(index.path_of(&record)?.to_vec());
            }
        }
    }
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for path in paths {
        if is_shown_wrong(view, &path)? {
            let mut above = path.as_slice();
            while !above.is_empty() {
                wanted.push(above.to_vec());
                above = parent(above);
            }
            wanted.push(Vec::new());
        }
    }
    wanted.sort_by(|left, right| crate::entry::compare_paths(left, right));
    wanted.dedup();
    let mut entries = Vec::with_capacity(wanted.len());
    for path in wanted {
        if let Some(found) = view.lookup(&path)? {
            let mut entry = found.entry;
            // On top of everything it must not hide anything.
            entry.is_opaque = false;
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Tells whether the topmost layer that has the directory only implies it, and the view knows more.
fn is_shown_wrong(view: &View, path: &[u8]) -> Result<bool, LayerError> {
    let Some(found) = view.lookup(path)? else {
        return Ok(false);
    };
    if found.entry.kind != Kind::Directory || found.entry.is_implicit {
        return Ok(false);
    }
    for layer in view.layers().iter().rev() {
        if let Some(entry) = layer.index().get(path)? {
            // Few layers describe the root. Its time alone is not worth a directory.
            let is_plain_root = path.is_empty()
                && (found.entry.mode, found.entry.uid, found.entry.gid) == (0o755, 0, 0)
                && found.entry.xattrs.is_empty();
            return Ok(entry.is_implicit && !is_plain_root);
        }
    }
    Ok(false)
}
