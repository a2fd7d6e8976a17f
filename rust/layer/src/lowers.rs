//! Directories that an overlay mount takes as its lowers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, syncfs};
use rustix::io::Errno;

use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::extract::{extract_directories, extract_layer, extract_view, prepare_destination};
use crate::implied::implied_directories;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::stored::StoredLayer;

/// How often a process looks whether another one has finished extracting.
const LOCK_POLL: Duration = Duration::from_millis(20);

impl Layers {
    /// The directories to stack for these layers, bottom first, as absolute paths.
    ///
    /// What was not extracted yet is extracted now, once, however many processes
    /// ask: into `tmp/` and then renamed to `layers/<hex>/root`. A layer that is in
    /// the stack twice is given once, in its upper place. Where it is needed, one more
    /// directory on top gives those that layers only imply the metadata that
    /// [`crate::View`] shows.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::UnmappedOwner`], [`LayerError::Io`].
    pub fn lower_directories(
        &self,
        diff_ids: &[DiffId],
        interrupt: &Interrupt,
    ) -> Result<Vec<PathBuf>, LayerError> {
        let mut directories = Vec::with_capacity(diff_ids.len());
        for (number, diff_id) in diff_ids.iter().enumerate() {
            // overlayfs refuses a lower that it has already. Whatever the lower one
            // of two equal layers shows or hides, the upper one does as well.
            if diff_ids[number + 1..].contains(diff_id) {
                continue;
            }
            directories.push(self.extracted(*diff_id, interrupt)?);
        }
        directories.extend(self.implied_lower(diff_ids, interrupt)?);
        Ok(directories)
    }

    /// The directory of one layer, extracted unless it was.
    pub(crate) fn extracted(
        &self,
        diff_id: DiffId,
        interrupt: &Interrupt,
    ) -> Result<PathBuf, LayerError> {
        let layer = self.layer(diff_id)?;
        let root = self.directory(diff_id).join("root");
        self.extract_once(
            diff_id,
            &root,
            &mut |place| extract_layer(&layer, place, self.marks(), interrupt),
            interrupt,
        )?;
        Ok(root)
    }

    /// The directory that repairs what the layers of this stack only imply, if there is anything.
    pub(crate) fn implied_lower(
        &self,
        diff_ids: &[DiffId],
        interrupt: &Interrupt,
    ) -> Result<Option<PathBuf>, LayerError> {
        let Some(top) = diff_ids.last() else {
            return Ok(None);
        };
        let view = self.view(diff_ids)?;
        let directories = implied_directories(&view)?;
        if directories.is_empty() {
            return Ok(None);
        }
        // The result depends on the whole stack; it lives and goes with the top layer.
        let mut hasher = blake3::Hasher::new();
        for diff_id in diff_ids {
            hasher.update(&diff_id.0);
        }
        let name = format!("implied-{}", &hasher.finalize().to_hex()[..32]);
        let path = self.directory(*top).join(name);
        self.extract_once(
            *top,
            &path,
            &mut |place| extract_directories(&directories, place, interrupt),
            interrupt,
        )?;
        Ok(Some(path))
    }

    /// Makes `path` with `fill` unless it exists, while no other process does.
    fn extract_once(
        &self,
        diff_id: DiffId,
        path: &Path,
        fill: &mut dyn FnMut(&Path) -> Result<(), LayerError>,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        if path.exists() {
            return Ok(());
        }
        let _lock = self.lock(diff_id, interrupt)?;
        if path.exists() {
            return Ok(());
        }
        let place = self.temporary()?;
        let directory = place.path().join("root");
        fs::create_dir(&directory).map_err(LayerError::io("mkdir", &directory))?;
        fill(&directory)?;
        if self.options().fsync {
            let file = File::open(&directory).map_err(LayerError::io("open", &directory))?;
            syncfs(&file).map_err(|errno| LayerError::io("syncfs", &directory)(errno))?;
        }
        fs::rename(&directory, path).map_err(LayerError::io("rename", path))
    }

    /// Locks a layer against being extracted by others, until the file is closed.
    ///
    /// The index serves as the lock: it exists as long as the layer does.
    pub(crate) fn lock(&self, diff_id: DiffId, interrupt: &Interrupt) -> Result<File, LayerError> {
        let path = self.directory(diff_id).join("index");
        let file = File::open(&path).map_err(LayerError::io("open", &path))?;
        loop {
            interrupt.check()?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_POLL),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(LayerError::io("flock", &path)(errno)),
            }
        }
    }

    /// Extracts the root file system of these layers into an empty or missing directory.
    ///
    /// What fails leaves behind what was written so far.
    ///
    /// # Errors
    ///
    /// [`LayerError::NotEmpty`], and as [`Layers::lower_directories`].
    pub fn extract(
        &self,
        diff_ids: &[DiffId],
        destination: &Path,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let view = self.view(diff_ids)?;
        prepare_destination(destination)?;
        extract_view(&view, destination, interrupt)
    }

    /// The layers of these names, bottom first.
    pub(crate) fn stack(&self, diff_ids: &[DiffId]) -> Result<Vec<Arc<StoredLayer>>, LayerError> {
        diff_ids
            .iter()
            .map(|diff_id| self.layer(*diff_id))
            .collect()
    }
}
