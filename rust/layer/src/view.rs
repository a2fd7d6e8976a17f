//! What a stack of layers looks like as one root file system, without mounting it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::sync::Arc;

use crate::entry::{Entry, Kind, file_name, is_beneath, join, parent};
use crate::error::LayerError;
use crate::index::{Index, Position};
use crate::index_format::Record;
use crate::interrupt::Interrupt;
use crate::stored::{Content, StoredLayer};

/// As many symbolic links as the kernel follows in one path.
const MAX_LINKS: usize = 40;
/// Bytes of a file that are in memory at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A stack of layers, merged as they are looked at.
///
/// Paths are relative to the root, as in [`Entry::path`]. Answers are those of
/// an overlay mount of the same layers, with one difference on purpose: a
/// directory that a layer only implies keeps the metadata that it has below.
#[derive(Debug, Clone)]
pub struct View {
    /// Bottom first.
    layers: Vec<Arc<StoredLayer>>,
}

/// An entry of the view and the layer that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// The number of its layer, counted from the bottom; `None` for the root of no layers.
    pub layer: Option<usize>,
}

/// Where a path leads once its symbolic links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without symbolic links, relative to the root.
    pub path: Vec<u8>,
    /// What is there, if anything is.
    pub found: Option<Found>,
}

/// Whether a symbolic link at the very end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    /// As `stat(2)` does.
    Follow,
    /// As `lstat(2)` does.
    Keep,
}

/// What one layer says about a path.
enum Answer {
    /// This, and nothing below matters.
    Final(u32),
    /// A directory that is only implied; metadata may come from below.
    Implied(u32),
    /// Nothing, and nothing below matters either.
    Hidden,
    /// Nothing; ask the next layer.
    Silent,
}

impl View {
    /// Stacks layers, bottom first.
    #[must_use]
    pub fn new(layers: Vec<Arc<StoredLayer>>) -> View {
        View { layers }
    }

    /// The layers, bottom first.
    #[must_use]
    pub fn layers(&self) -> &[Arc<StoredLayer>] {
        &self.layers
    }

    /// What is at exactly this path; symbolic links in it are not followed.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Found>, LayerError> {
        let mut implied: Option<Found> = None;
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let index = layer.index();
            match ask(index, path)? {
                Answer::Silent => {}
                Answer::Hidden => break,
                Answer::Final(record) => {
                    let entry = index.entry(record)?;
                    if implied.is_some() && entry.kind != Kind::Directory {
                        break;
                    }
                    return Ok(Some(Found {
                        entry,
                        layer: Some(number),
                    }));
                }
                Answer::Implied(record) => {
                    if implied.is_none() {
                        let entry = index.entry(record)?;
                        implied = Some(Found {
                            entry,
                            layer: Some(number),
                        });
                    }
                    if index.record(record)?.covers() {
                        break;
                    }
                }
            }
        }
        if implied.is_none() && path.is_empty() {
            let mut entry = Entry::new(Vec::new(), Kind::Directory, 0o755);
            entry.is_implicit = true;
            return Ok(Some(Found { entry, layer: None }));
        }
        Ok(implied)
    }

    /// Follows the symbolic links of `path` inside the root.
    ///
    /// `..` and absolute links cannot leave it. What does not exist is taken as
    /// it is written, so a path that is still to be created can be resolved.
    ///
    /// # Errors
    ///
    /// [`LayerError::SymlinkLoop`], [`LayerError::BadIndex`].
    pub fn resolve(&self, path: &[u8], last: LastLink) -> Result<Resolved, LayerError> {
        let mut pending: Vec<Vec<u8>> = reversed_components(path);
        let mut current = Vec::new();
        let mut found = None;
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    current.truncate(parent(&current).len());
                    found = None;
                    continue;
                }
                _ => {}
            }
            let candidate = join(&current, &name);
            let here = self.lookup(&candidate)?;
            let target = here
                .as_ref()
                .filter(|_| last == LastLink::Follow || !pending.is_empty())
                .and_then(|found| found.entry.link_target.as_deref());
            if let Some(target) = target {
                links += 1;
                if links > MAX_LINKS {
                    return Err(LayerError::SymlinkLoop {
                        path: path.to_vec(),
                    });
                }
                if target.starts_with(b"/") {
                    current.clear();
                }
                pending.extend(reversed_components(target));
                found = None;
            } else {
                current = candidate;
                found = here;
            }
        }
        if found.is_none() {
            found = self.lookup(&current)?;
        }
        Ok(Resolved {
            path: current,
            found,
        })
    }

    /// What is in a directory, by name; an absent directory holds nothing.
    ///
    /// `directory` is taken as it is: resolve it first. Something that is no
    /// directory holds nothing either.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn children(&self, directory: &[u8]) -> Result<Vec<Found>, LayerError> {
        let mut merged: BTreeMap<Vec<u8>, Slot> = BTreeMap::new();
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let index = layer.index();
            let Position::Found(place) = index.find(directory)? else {
                match ask(index, directory)? {
                    Answer::Hidden => break,
                    _ => continue,
                }
            };
            let record = index.record(place)?;
            if record.kind != Kind::Directory {
                break;
            }
            let end = index.end_of(place, &record)?;
            let mut child = place + 1;
            while child < end {
                let record = index.record(child)?;
                let path = index.path_of(&record)?;
                // A damaged index could lead a walk around in circles.
                if path.is_empty() || parent(path) != directory {
                    return Err(index.bad("an entry lies outside its directory"));
                }
                merge_child(&mut merged, index, number, &record)?;
                child = index.end_of(child, &record)?;
            }
            if record.covers() {
                break;
            }
        }
        Ok(merged.into_values().filter_map(Slot::into_found).collect())
    }

    /// The names in the directory that `path` leads to, in byte order.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`], [`LayerError::NotADirectory`].
    pub fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, LayerError> {
        let resolved = self.resolve(path, LastLink::Follow)?;
        let found = resolved.found.ok_or_else(|| LayerError::NotFound {
            path: path.to_vec(),
        })?;
        if found.entry.kind != Kind::Directory {
            return Err(LayerError::NotADirectory {
                path: path.to_vec(),
            });
        }
        let children = self.children(&resolved.path)?;
        Ok(children
            .iter()
            .map(|child| child.entry.name().to_vec())
            .collect())
    }

    /// The content of a file of this view; nothing for anything else.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotAFile`].
    pub fn open(&self, found: &Found) -> Result<Content, LayerError> {
        let layer = found.layer.and_then(|number| self.layers.get(number));
        match layer {
            Some(layer) if found.entry.kind == Kind::File => Ok(layer.content(&found.entry)),
            _ => Err(LayerError::NotAFile {
                path: found.entry.path.clone(),
            }),
        }
    }

    /// The whole content of the file that `path` leads to.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`], [`LayerError::NotAFile`], [`LayerError::TooLarge`] beyond `limit` bytes.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, LayerError> {
        let mut content = self.content_at(path)?;
        let size = content.size();
        if size > limit {
            return Err(LayerError::TooLarge {
                path: path.to_vec(),
                size,
                limit,
            });
        }
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(LayerError::io("read", crate::os_path(path)))?;
        Ok(bytes)
    }

    /// Tells whether the file that `path` leads to is an archive, by its first header.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`], [`LayerError::NotAFile`], [`LayerError::Io`].
    pub fn is_archive(&self, path: &[u8]) -> Result<bool, LayerError> {
        crate::ingest::is_archive(Box::new(self.content_at(path)?))
    }

    fn content_at(&self, path: &[u8]) -> Result<Content, LayerError> {
        let resolved = self.resolve(path, LastLink::Follow)?;
        let found = resolved.found.ok_or_else(|| LayerError::NotFound {
            path: path.to_vec(),
        })?;
        self.open(&found)
    }

    /// Writes the content of the file that `path` leads to, and returns how much that was.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotFound`], [`LayerError::NotAFile`], [`LayerError::Io`].
    pub fn write(
        &self,
        path: &[u8],
        out: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        let mut content = self.content_at(path)?;
        let size = content.size();
        let mut buffer = vec![0; size.clamp(1, PIECE_BYTES) as usize];
        let mut done = 0;
        while done < size {
            interrupt.check()?;
            let count = content
                .read(&mut buffer)
                .map_err(LayerError::io("read", crate::os_path(path)))?;
            out.write_all(&buffer[..count])
                .map_err(LayerError::io("write", "output"))?;
            done += count as u64;
        }
        Ok(done)
    }

    /// Tells whether a layer hides what those below it have at `path`.
    pub(crate) fn is_hidden_by(index: &Index, path: &[u8]) -> Result<bool, LayerError> {
        Ok(matches!(ask(index, path)?, Answer::Hidden))
    }

    /// Visits everything, every directory before what it holds, in the order of
    /// [`crate::entry::compare_paths`]; the root comes first.
    ///
    /// # Errors
    ///
    /// What `visit` returns, and [`LayerError::BadIndex`].
    pub fn walk(
        &self,
        visit: &mut dyn FnMut(Found) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let mut pending: Vec<Found> = self.lookup(b"")?.into_iter().collect();
        while let Some(found) = pending.pop() {
            if found.entry.kind == Kind::Directory {
                let mut children = self.children(&found.entry.path)?;
                children.reverse();
                pending.extend(children);
            }
            visit(found)?;
        }
        Ok(())
    }
}

/// What is known of a name while layers are merged from the top.
enum Slot {
    Hidden,
    Final(Found),
    Implied(Found),
}

impl Slot {
    fn into_found(self) -> Option<Found> {
        match self {
            Slot::Hidden => None,
            Slot::Final(found) | Slot::Implied(found) => Some(found),
        }
    }
}

fn merge_child(
    merged: &mut BTreeMap<Vec<u8>, Slot>,
    index: &Index,
    number: usize,
    record: &Record,
) -> Result<(), LayerError> {
    let name = file_name(index.path_of(record)?);
    let known = merged.get_mut(name);
    if matches!(known, Some(Slot::Hidden | Slot::Final(_))) {
        return Ok(());
    }
    let is_open = record.is_implicit() && !record.covers();
    let slot = match record.kind {
        Kind::Whiteout => None,
        _ => {
            let found = Found {
                entry: index.entry_of(record)?,
                layer: Some(number),
            };
            Some(if is_open {
                Slot::Implied(found)
            } else {
                Slot::Final(found)
            })
        }
    };
    match (known, slot) {
        (None, slot) => {
            merged.insert(name.to_vec(), slot.unwrap_or(Slot::Hidden));
        }
        // An implied directory takes the metadata of the directory that it covers.
        (Some(known), Some(Slot::Final(found))) if found.entry.kind == Kind::Directory => {
            if record.is_implicit() {
                finalize(known);
            } else {
                *known = Slot::Final(found);
            }
        }
        // What it covers is no directory, or is gone: it stands on its own.
        (Some(known), Some(Slot::Final(_)) | None) => finalize(known),
        (Some(_), Some(_)) => {}
    }
    Ok(())
}

fn finalize(slot: &mut Slot) {
    *slot = match std::mem::replace(slot, Slot::Hidden) {
        Slot::Implied(found) => Slot::Final(found),
        other => other,
    };
}

/// Asks one layer about a path with at most three binary searches.
fn ask(index: &Index, path: &[u8]) -> Result<Answer, LayerError> {
    let place = match index.find(path)? {
        Position::Found(number) => {
            let record = index.record(number)?;
            return Ok(match record.kind {
                Kind::Whiteout => Answer::Hidden,
                Kind::Directory if record.is_implicit() => Answer::Implied(number),
                _ => Answer::Final(number),
            });
        }
        Position::Absent(place) => place,
    };
    // Every directory above an entry has a record, so the record before the gap
    // shares with `path` all the directories that this layer has of it.
    let Some(before) = place.checked_sub(1) else {
        return Ok(Answer::Silent);
    };
    let record = index.record(before)?;
    let neighbour = index.path_of(&record)?;
    let ancestor = if neighbour.is_empty() || is_beneath(path, neighbour) {
        record
    } else {
        match index.find(common_directory(path, neighbour))? {
            Position::Found(number) => index.record(number)?,
            Position::Absent(_) => return Ok(Answer::Silent),
        }
    };
    Ok(if ancestor.covers() {
        Answer::Hidden
    } else {
        Answer::Silent
    })
}

/// The deepest directory that both paths lie beneath.
fn common_directory<'path>(left: &'path [u8], right: &[u8]) -> &'path [u8] {
    let common = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    parent(&left[..common])
}

fn reversed_components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
