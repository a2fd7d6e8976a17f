//! Writing tar bytes to a pack, hashed on the way.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use crate::diff_id::DiffId;
use crate::error::LayerError;

/// Bytes handed from the producer to the hasher at once: large enough that the
/// hand-over costs nothing beside hashing them (0.6 ms), small enough for caches.
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks under way; bounds memory, and evens out slow reads.
const BLOCKS: usize = 6;

/// The file, and the SHA-256 of what went into it.
type Written = io::Result<(File, [u8; 32])>;

/// A pack in the making.
///
/// The caller produces bytes; a second thread hashes and writes them, so that
/// reading and content digests overlap with SHA-256 and the disk. Memory is
/// [`BLOCKS`] blocks. Dropped before [`PackWriter::finish`], it stops and leaves
/// an incomplete file for its temporary directory to remove.
#[derive(Debug)]
pub(crate) struct PackWriter {
    path: PathBuf,
    block: Vec<u8>,
    filled: usize,
    position: u64,
    allocated: usize,
    full: Option<SyncSender<(Vec<u8>, usize)>>,
    empty: Receiver<Vec<u8>>,
    worker: Option<JoinHandle<Written>>,
}

impl PackWriter {
    /// Creates the file at `path`, which must not exist.
    pub(crate) fn create(path: &Path) -> Result<PackWriter, LayerError> {
        let file = File::create_new(path).map_err(LayerError::io("create", path))?;
        let (full, blocks) = sync_channel::<(Vec<u8>, usize)>(BLOCKS);
        let (recycle, empty) = channel();
        let work = move || {
            let mut file = file;
            let mut hasher = Sha256::new();
            for (block, filled) in blocks {
                hasher.update(&block[..filled]);
                file.write_all(&block[..filled])?;
                // The producer may be gone already; then nobody needs the block.
                let _ = recycle.send(block);
            }
            Ok((file, hasher.finalize().into()))
        };
        let worker = std::thread::Builder::new()
            .name("pack".into())
            .spawn(work)
            .map_err(LayerError::io("start a thread for", path))?;
        Ok(PackWriter {
            path: path.to_owned(),
            block: vec![0; BLOCK_BYTES],
            filled: 0,
            position: 0,
            allocated: 1,
            full: Some(full),
            empty,
            worker: Some(worker),
        })
    }

    /// Bytes written so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Room to put bytes into directly; never empty. Follow with [`PackWriter::advance`].
    pub(crate) fn space(&mut self) -> Result<&mut [u8], LayerError> {
        if self.filled == self.block.len() {
            self.hand_over()?;
        }
        Ok(&mut self.block[self.filled..])
    }

    /// Says how much of [`PackWriter::space`] was filled.
    pub(crate) fn advance(&mut self, count: usize) {
        let count = count.min(self.block.len() - self.filled);
        self.filled += count;
        self.position += count as u64;
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.advance(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Appends zeros up to the next multiple of 512.
    pub(crate) fn pad(&mut self) -> Result<(), LayerError> {
        let over = (self.position % 512) as usize;
        if over > 0 {
            self.write(&[0; 512][over..])
        } else {
            Ok(())
        }
    }

    fn hand_over(&mut self) -> Result<(), LayerError> {
        let next = match self.empty.try_recv() {
            Ok(block) => block,
            Err(_) if self.allocated < BLOCKS => {
                self.allocated += 1;
                vec![0; BLOCK_BYTES]
            }
            Err(_) => match self.empty.recv() {
                Ok(block) => block,
                Err(_) => return Err(self.worker_failure()),
            },
        };
        let block = std::mem::replace(&mut self.block, next);
        let filled = std::mem::take(&mut self.filled);
        let sent = self
            .full
            .as_ref()
            .is_some_and(|full| full.send((block, filled)).is_ok());
        if sent {
            Ok(())
        } else {
            Err(self.worker_failure())
        }
    }

    fn worker_failure(&mut self) -> LayerError {
        self.full = None;
        let source = match self.worker.take().map(JoinHandle::join) {
            Some(Ok(Err(source))) => source,
            _ => io::Error::other("the writing thread ended early"),
        };
        LayerError::Io {
            op: "write",
            path: self.path.clone(),
            source,
        }
    }

    /// Waits until everything is hashed and written; returns SHA-256 and length.
    pub(crate) fn finish(mut self, fsync: bool) -> Result<(DiffId, u64), LayerError> {
        if self.filled > 0 {
            self.hand_over()?;
        }
        self.full = None;
        match self.worker.take().map(JoinHandle::join) {
            Some(Ok(Ok((file, digest)))) => {
                if fsync {
                    file.sync_all()
                        .map_err(LayerError::io("fsync", &self.path))?;
                }
                Ok((DiffId(digest), self.position))
            }
            Some(Ok(Err(source))) => Err(LayerError::Io {
                op: "write",
                path: self.path.clone(),
                source,
            }),
            _ => Err(self.worker_failure()),
        }
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        self.full = None;
        if let Some(worker) = self.worker.take() {
            // Its result no longer matters; it must only not outlive the directory.
            let _ = worker.join();
        }
    }
}
