//! The way of tar bytes: hashed in their order, and written to a pack where they are new.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use dissolver_digest::{ResumableSha256, SHA256_BLOCK_BYTES};

use crate::checkpoints::Checkpoint;
use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::tar_header::BLOCK;

/// Bytes handed over at once: large enough that the hand-over costs nothing
/// beside hashing them (0.6 ms), small enough for caches.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// Blocks that wait between two threads; bounds memory, and evens out slow reads.
const WAITING: usize = 3;
/// The state of the hash is kept at least this often. Hashing as much again takes
/// 2 ms, and the 40 bytes of each are a hundred thousandth of what they stand for.
const CHECKPOINT_BYTES: u64 = 4 << 20;

/// Bytes of a tar that belong together, and room for more.
///
/// Stored as SHA-256 takes it, which makes hashing free of copies.
#[derive(Default)]
pub(crate) struct Block {
    bytes: Vec<[u8; SHA256_BLOCK_BYTES]>,
    filled: usize,
}

impl Block {
    fn new() -> Block {
        Block {
            bytes: vec![[0; SHA256_BLOCK_BYTES]; BLOCK_BYTES / SHA256_BLOCK_BYTES],
            filled: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes.as_flattened()[..self.filled]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room to put bytes into; empty when the block is full. Follow with [`Block::advance`].
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes.as_flattened_mut()[self.filled..]
    }

    /// Says how much of [`Block::space`] was filled, which cannot be more than there was.
    pub(crate) fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(BLOCK_BYTES);
    }

    /// What SHA-256 can take now, and what is less than a block of it.
    fn split(&self) -> (&[[u8; SHA256_BLOCK_BYTES]], &[u8]) {
        let whole = self.filled / SHA256_BLOCK_BYTES;
        let rest = &self.bytes.as_flattened()[whole * SHA256_BLOCK_BYTES..self.filled];
        (&self.bytes[..whole], rest)
    }
}

/// Blocks that were used and can be used again; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Blocks(Arc<Mutex<Vec<Block>>>);

impl Blocks {
    /// An empty block. How many there are is bounded by how many can wait anywhere.
    pub(crate) fn take(&self) -> Block {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.map_or_else(Block::new, |block| Block { filled: 0, ..block })
    }

    /// Takes back what [`Blocks::take`] gave.
    pub(crate) fn give_back(&self, block: Block) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(block);
    }
}

/// What became of a tar.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// The SHA-256 of everything.
    pub diff_id: DiffId,
    /// Its length.
    pub tar_bytes: u64,
    /// States of the hash on the way, those before the place where it was resumed left out.
    pub checkpoints: Vec<Checkpoint>,
}

/// Hashes blocks in one thread and writes the new ones in another.
///
/// So that reading and content digests, which the caller does, overlap with SHA-256
/// and with the disk. Dropped before [`Pipeline::finish`], it stops and leaves an
/// incomplete file for its temporary directory to remove.
pub(crate) struct Pipeline {
    path: PathBuf,
    blocks: Blocks,
    to_hash: Option<SyncSender<(Block, bool)>>,
    hasher: Option<JoinHandle<Hashed>>,
    writer: Option<JoinHandle<io::Result<Option<File>>>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pipeline({})", self.path.display())
    }
}

impl Pipeline {
    /// Begins with a hash that has taken the first bytes of the tar already.
    ///
    /// The file at `path`, which must not exist, is created with the first block
    /// that is to be written.
    pub(crate) fn start(path: PathBuf, hash: ResumableSha256) -> Result<Pipeline, LayerError> {
        let blocks = Blocks::default();
        let (to_hash, hashing) = sync_channel(WAITING);
        let (to_write, writing) = sync_channel(WAITING);
        let pool = blocks.clone();
        let hasher = Builder::new()
            .name("sha256".into())
            .spawn(move || hash_all(hash, &hashing, &to_write, &pool))
            .map_err(LayerError::io("start a thread for", &path))?;
        let (file, pool) = (path.clone(), blocks.clone());
        let writer = Builder::new()
            .name("pack".into())
            .spawn(move || write_all(file, &writing, &pool))
            .map_err(LayerError::io("start a thread for", &path))?;
        Ok(Pipeline {
            path,
            blocks,
            to_hash: Some(to_hash),
            hasher: Some(hasher),
            writer: Some(writer),
        })
    }

    /// Where blocks come from and go back to.
    pub(crate) fn blocks(&self) -> Blocks {
        self.blocks.clone()
    }

    /// Hands over the next bytes of the tar; `is_new` tells whether they go into the pack.
    ///
    /// Only the last block may end within 64 bytes.
    pub(crate) fn push(&mut self, block: Block, is_new: bool) -> Result<(), LayerError> {
        let sent = match &self.to_hash {
            Some(to_hash) => to_hash.send((block, is_new)).is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Waits for the threads and says why they ended early.
    fn failure(&mut self) -> LayerError {
        self.to_hash = None;
        drop(self.hasher.take().map(JoinHandle::join));
        let source = match self.writer.take().map(JoinHandle::join) {
            Some(Ok(Err(source))) => source,
            _ => io::Error::other("the writing thread ended early"),
        };
        LayerError::io("write", &self.path)(source)
    }

    /// Waits until everything is hashed and written.
    pub(crate) fn finish(mut self, fsync: bool) -> Result<Hashed, LayerError> {
        self.to_hash = None;
        let hashed = self.hasher.take().map(JoinHandle::join);
        let written = self.writer.take().map(JoinHandle::join);
        let failed = LayerError::io("write", &self.path);
        match (hashed, written) {
            (_, Some(Ok(Err(source)))) => Err(failed(source)),
            (Some(Ok(hashed)), Some(Ok(Ok(file)))) => {
                if let (true, Some(file)) = (fsync, file) {
                    file.sync_all()
                        .map_err(LayerError::io("fsync", &self.path))?;
                }
                Ok(hashed)
            }
            _ => Err(failed(io::Error::other("a thread ended early"))),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.to_hash = None;
        // Their results no longer matter; they must only not outlive the directory.
        drop(self.hasher.take().map(JoinHandle::join));
        drop(self.writer.take().map(JoinHandle::join));
    }
}

fn hash_all(
    mut hash: ResumableSha256,
    blocks: &Receiver<(Block, bool)>,
    to_write: &SyncSender<Block>,
    pool: &Blocks,
) -> Hashed {
    let mut checkpoints = Vec::new();
    let mut last = hash.length();
    let mut tail = Vec::new();
    for (block, is_new) in blocks {
        let (whole, rest) = block.split();
        hash.update(whole);
        tail.extend_from_slice(rest);
        if hash.length() - last >= CHECKPOINT_BYTES {
            last = hash.length();
            checkpoints.push(Checkpoint::of(&hash));
        }
        if !is_new {
            pool.give_back(block);
        } else if to_write.send(block).is_err() {
            // The writer failed, and its result says why.
            break;
        }
    }
    Hashed {
        diff_id: DiffId(*hash.finish(&tail).as_bytes()),
        tar_bytes: hash.length() + tail.len() as u64,
        checkpoints,
    }
}

fn write_all(path: PathBuf, blocks: &Receiver<Block>, pool: &Blocks) -> io::Result<Option<File>> {
    let mut file = None;
    for block in blocks {
        let file = match &mut file {
            Some(file) => file,
            none => none.insert(File::create_new(&path)?),
        };
        file.write_all(block.bytes())?;
        pool.give_back(block);
    }
    // A tar may end anywhere, and an image whose device ends within a block reads nothing of that.
    if let Some(file) = &file {
        let length = file.metadata()?.len();
        file.set_len(length.next_multiple_of(BLOCK as u64))?;
    }
    Ok(file)
}
