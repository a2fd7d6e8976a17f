//! What stored layers cost, whether they are whole, and how they go.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::layers::Layers;

/// Bytes read from a pack at once.
const BLOCK_BYTES: usize = 1 << 20;

impl Layers {
    /// Writes the layer's tar to `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`] also when nobody reads any more.
    pub fn cat(
        &self,
        diff_id: DiffId,
        out: BorrowedFd<'_>,
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        let owned = out
            .try_clone_to_owned()
            .map_err(LayerError::io("dup", "output"))?;
        let mut out = File::from(owned);
        self.stream(diff_id, interrupt, &mut |bytes| {
            out.write_all(bytes)
                .map_err(LayerError::io("write", "output"))
        })
    }

    fn stream(
        &self,
        diff_id: DiffId,
        interrupt: &Interrupt,
        take: &mut dyn FnMut(&[u8]) -> Result<(), LayerError>,
    ) -> Result<u64, LayerError> {
        let layer = self.layer(diff_id)?;
        let mut buffer = vec![0; BLOCK_BYTES];
        let mut position = 0;
        loop {
            interrupt.check()?;
            let count = layer.read_at(position, &mut buffer)?;
            if count == 0 {
                return Ok(position);
            }
            take(&buffer[..count])?;
            position += count as u64;
        }
    }

    /// Reads the whole layer and compares it with its name, its index and its image.
    ///
    /// # Errors
    ///
    /// [`LayerError::DigestMismatch`] if the tar is not what it was,
    /// [`LayerError::BadIndex`] if the index or the image is not.
    pub fn verify(&self, diff_id: DiffId, interrupt: &Interrupt) -> Result<(), LayerError> {
        let layer = self.layer(diff_id)?;
        layer.index().verify()?;
        let mut hasher = Sha256::new();
        self.stream(diff_id, interrupt, &mut |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        let found = DiffId(hasher.finalize().into());
        let said = layer.diff_id();
        if found == diff_id && said == diff_id {
            return self.verify_image(&layer, interrupt);
        }
        let found = if said == diff_id { found } else { said };
        Err(LayerError::DigestMismatch {
            expected: diff_id,
            found,
        })
    }

    /// Bytes that the layer occupies: its pack, its index, and what was extracted.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`].
    pub fn disk_bytes(&self, diff_id: DiffId) -> Result<u64, LayerError> {
        let directory = self.directory(diff_id);
        if !directory.exists() {
            return Err(LayerError::UnknownLayer { diff_id });
        }
        let pack = self.pack_path(diff_id);
        let pack_bytes = match fs::symlink_metadata(&pack) {
            Ok(facts) => allocated(&facts),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(LayerError::io("stat", pack)(error)),
        };
        Ok(pack_bytes + tree_bytes(&directory)?)
    }

    /// Removes the layer and returns the bytes that this frees; 0 if there is none.
    ///
    /// It is gone for others at once, by one rename; what follows may be
    /// interrupted and is swept later. Nobody may be using the layer.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn remove(&self, diff_id: DiffId) -> Result<u64, LayerError> {
        let freed = match self.disk_bytes(diff_id) {
            Err(LayerError::UnknownLayer { .. }) => return Ok(0),
            other => other?,
        };
        let place = self.temporary()?;
        let directory = self.directory(diff_id);
        match fs::rename(&directory, place.path().join("layer")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            result => result.map_err(LayerError::io("rename", directory))?,
        }
        self.forget(diff_id);
        let pack = self.pack_path(diff_id);
        match fs::remove_file(&pack) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(LayerError::io("unlink", pack))?,
        }
        Ok(freed)
    }
}

/// Bytes on disk of a directory and everything in it; links counted once for each name.
fn tree_bytes(directory: &Path) -> Result<u64, LayerError> {
    let facts = fs::symlink_metadata(directory).map_err(LayerError::io("stat", directory))?;
    let mut sum = allocated(&facts);
    for entry in fs::read_dir(directory).map_err(LayerError::io("read", directory))? {
        let entry = entry.map_err(LayerError::io("read", directory))?;
        let facts = entry
            .metadata()
            .map_err(LayerError::io("stat", entry.path()))?;
        sum += if facts.is_dir() {
            tree_bytes(&entry.path())?
        } else {
            allocated(&facts) / facts.nlink().max(1)
        };
    }
    Ok(sum)
}

fn allocated(facts: &Metadata) -> u64 {
    facts.blocks() * 512
}
