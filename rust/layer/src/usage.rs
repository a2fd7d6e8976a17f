//! The tar of a stored layer, what layers cost, and how they go.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use sha2::{Digest as _, Sha256};

use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::patient::Patient;
use crate::trees::tree_bytes;

/// Bytes read from a pack at once.
const BLOCK_BYTES: usize = 1 << 20;

impl Layers {
    /// Writes the layer's tar to `out` and returns its length; its SHA-256 is the layer's name.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`] also when nobody reads any more,
    /// [`LayerError::DigestMismatch`] at the end if what was written is not the layer.
    pub fn cat(
        &self,
        diff_id: DiffId,
        out: BorrowedFd<'_>,
        interrupt: &Interrupt,
    ) -> Result<u64, LayerError> {
        let owned = out
            .try_clone_to_owned()
            .map_err(LayerError::io("dup", "output"))?;
        let mut out = Patient::new(File::from(owned), interrupt);
        let mut hasher = Sha256::new();
        let count = self.stream(diff_id, interrupt, &mut |bytes| {
            hasher.update(bytes);
            out.write_all(bytes)
                .map_err(LayerError::io("write", "output"))
        })?;
        let found = DiffId(hasher.finalize().into());
        if found != diff_id {
            let expected = diff_id;
            return Err(LayerError::DigestMismatch { expected, found });
        }
        Ok(count)
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

    /// Bytes of disk that the layer `of` occupies: indexes, what was extracted, and its part of packs.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`].
    pub fn disk_bytes(&self, diff_id: DiffId) -> Result<u64, LayerError> {
        if !self.directory(diff_id).exists() {
            return Err(LayerError::UnknownLayer { diff_id });
        }
        self.disk_bytes_of(&[diff_id], &[])
    }

    /// Bytes of disk that the layers `of` occupy together, but for what is shared with those in `beside`.
    ///
    /// What several of them share counts once. Layers that the store does not have count nothing.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn disk_bytes_of(&self, of: &[DiffId], beside: &[DiffId]) -> Result<u64, LayerError> {
        let mut sum = self.pack_bytes(of, beside)?;
        for diff_id in of {
            let directory = self.directory(*diff_id);
            if directory.exists() && !beside.contains(diff_id) {
                let (bytes, outcome) = tree_bytes(&directory);
                outcome?;
                sum += bytes;
            }
        }
        Ok(sum)
    }

    /// Removes layers, and what only they needed of packs; returns the bytes that this frees.
    ///
    /// Each is gone for others at once, by one rename; what follows may be
    /// interrupted, and [`Layers::reclaim`] does the rest later. Nobody may be using
    /// them, or making others. Those that the store does not have are no failure.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn remove(&self, diff_ids: &[DiffId]) -> Result<u64, LayerError> {
        let mut freed = 0;
        for diff_id in diff_ids {
            let directory = self.directory(*diff_id);
            if !directory.exists() {
                continue;
            }
            let (bytes, outcome) = tree_bytes(&directory);
            outcome?;
            let place = self.temporary()?;
            match fs::rename(&directory, place.path().join("layer")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(LayerError::io("rename", directory))?,
            }
            self.forget(*diff_id);
            freed += bytes;
        }
        match freed {
            0 => Ok(0),
            _ => Ok(freed + self.reclaim()?),
        }
    }
}
