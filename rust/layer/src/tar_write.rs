//! Writing a layer: the tar, its digest, the digests of its files, and its index in one pass.

use std::io::Read;

use crate::entry::{ContentDigest, Entry, Kind};
use crate::error::LayerError;
use crate::index_build::{IndexBuilder, LayerInfo, TarFacts};
use crate::interrupt::Interrupt;
use crate::layers::{Layers, NewPack, Unpublished};
use crate::pack::PackWriter;
use crate::{tar_header, whiteout};

/// Bytes that end a tar: two blocks of zeros.
const END: [u8; 2 * tar_header::BLOCK] = [0; 2 * tar_header::BLOCK];

/// A layer in the making.
///
/// The order of the entries is the order of the tar, and with it part of the
/// layer's name: callers sort, with [`crate::entry::compare_paths`] where nothing
/// else speaks. A directory comes before what it holds, the first name of an
/// inode before its hard links. Nothing is visible to others before
/// [`LayerWriter::finish`]; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct LayerWriter {
    // Before `place`: the writing thread must end before its directory goes.
    pack: PackWriter,
    place: Unpublished,
    index: IndexBuilder,
    interrupt: Interrupt,
    headers: Vec<u8>,
}

impl LayerWriter {
    pub(crate) fn new(layers: &Layers, interrupt: Interrupt) -> Result<LayerWriter, LayerError> {
        let place = Unpublished::new(layers)?;
        let pack = PackWriter::create(&place.pack_path())?;
        Ok(LayerWriter {
            pack,
            place,
            index: IndexBuilder::default(),
            interrupt,
            headers: Vec::new(),
        })
    }

    /// Bytes of tar so far.
    #[must_use]
    pub fn tar_bytes(&self) -> u64 {
        self.pack.position()
    }

    /// Adds anything that has no content of its own: all but non-empty files.
    ///
    /// A whiteout is given by the path that it hides; an opaque directory gets
    /// its marker directly behind it. A hard link says the facts of its first name.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadEntry`] for a name that layers reserve, or a non-empty file.
    pub fn add_entry(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if entry.kind == Kind::File && entry.hard_link.is_none() {
            return self.add_file(entry, &mut std::io::empty()).map(|_| ());
        }
        self.interrupt.check()?;
        check_name(entry)?;
        let mut entry = entry.clone();
        entry.is_implicit = false;
        if entry.kind == Kind::Whiteout {
            self.put_header(&entry, &whiteout::hiding(&entry.path))?;
        } else {
            self.put_header(&entry, &entry.path)?;
        }
        entry.data_offset = self.pack.position();
        if entry.kind == Kind::Directory && entry.is_opaque {
            let marker = Entry::new(whiteout::opaque_marker(&entry.path), Kind::File, 0);
            self.put_header(&marker, &marker.path)?;
        }
        self.index.push(&entry);
        Ok(())
    }

    /// Adds a file with the `entry.size` bytes that `content` yields; returns their BLAKE3.
    ///
    /// Exactly that many bytes are taken, and one more read tells that there are
    /// no others. Where `entry.digest` is set, the content must have it.
    ///
    /// # Errors
    ///
    /// [`LayerError::ChangedWhileRead`] if there are fewer or more bytes or others,
    /// [`LayerError::Io`] what reading reports.
    pub fn add_file(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<ContentDigest, LayerError> {
        check_name(entry)?;
        let mut entry = entry.clone();
        entry.is_implicit = false;
        entry.segments.clear();
        self.put_header(&entry, &entry.path)?;
        entry.data_offset = self.pack.position();
        let mut hasher = blake3::Hasher::new();
        let mut left = entry.size;
        while left > 0 {
            self.interrupt.check()?;
            let space = self.pack.space()?;
            let wanted = space.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let space = &mut space[..wanted];
            let count = read_some(content, space, &entry)?;
            if count == 0 {
                return Err(LayerError::ChangedWhileRead { path: entry.path });
            }
            hasher.update(&space[..count]);
            self.pack.advance(count);
            left -= count as u64;
        }
        if read_some(content, &mut [0], &entry)? != 0 {
            return Err(LayerError::ChangedWhileRead { path: entry.path });
        }
        self.pack.pad()?;
        let digest = *hasher.finalize().as_bytes();
        if entry.digest.is_some_and(|expected| expected != digest) {
            return Err(LayerError::ChangedWhileRead { path: entry.path });
        }
        entry.digest = Some(digest);
        self.index.push(&entry);
        Ok(digest)
    }

    fn put_header(&mut self, entry: &Entry, name: &[u8]) -> Result<(), LayerError> {
        self.headers.clear();
        tar_header::encode(entry, name, &mut self.headers);
        self.pack.write(&self.headers)
    }

    /// Ends the tar, writes the index and makes the layer visible.
    ///
    /// A layer that exists already stays as it is, and the new copy goes.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadEntry`] if entries contradict each other; nothing is kept.
    pub fn finish(self) -> Result<LayerInfo, LayerError> {
        self.finish_with(|_, _| Ok(()))
    }

    /// As [`LayerWriter::finish`], with `prepare` adding to a layer that is new before it is visible.
    pub(crate) fn finish_with(
        mut self,
        prepare: impl FnOnce(&Unpublished, &LayerInfo) -> Result<(), LayerError>,
    ) -> Result<LayerInfo, LayerError> {
        self.pack.write(&END)?;
        self.interrupt.check()?;
        let body = self.index.body()?;
        let hashed = self.pack.finish(self.place.fsync())?;
        let info = self.place.write_index(&body, &TarFacts::whole(&hashed))?;
        if !self.place.is_known(info.diff_id) {
            prepare(&self.place, &info)?;
        }
        self.place.publish(info.diff_id, NewPack::Whole)?;
        Ok(info)
    }
}

fn check_name(entry: &Entry) -> Result<(), LayerError> {
    if entry.kind != Kind::Whiteout && whiteout::is_reserved(&entry.path) {
        return Err(LayerError::BadEntry {
            path: entry.path.clone(),
            reason: "has a name that layers reserve for whiteouts",
        });
    }
    Ok(())
}

fn read_some(content: &mut dyn Read, space: &mut [u8], entry: &Entry) -> Result<usize, LayerError> {
    loop {
        match content.read(space) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result.map_err(LayerError::io("read", crate::os_path(&entry.path))),
        }
    }
}
