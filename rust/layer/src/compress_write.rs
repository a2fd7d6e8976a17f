//! Compressing on all cores, with bytes that do not depend on how many there are.
//!
//! The input is cut into blocks of a fixed size. Workers compress them in any
//! order; one thread puts the results together in theirs, hashes and writes them.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::compress::decompressed;
use crate::compress_blocks::{BlockFormat, Finished, Worker};
use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::limits::Limits;
use crate::stored::StoredLayer;

/// Bytes copied at once where nothing is compressed.
const COPY_BYTES: usize = 1 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// One gzip member (RFC 1952) of deflate blocks that were compressed apart.
    ///
    /// One member and not many: all readers take it, also those that stop at
    /// the end of the first.
    Gzip,
    /// One zstd frame (RFC 8878) for each block.
    Zstd,
}

impl Compression {
    /// The word for it, the same in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Compression, String> {
        [Compression::None, Compression::Gzip, Compression::Zstd]
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| format!("`{text}` is no compression: it is `none`, `gzip` or `zstd`"))
    }
}

/// What determines the compressed bytes, and how many threads make them.
#[derive(Debug, Clone, Copy)]
pub struct CompressOptions {
    /// The format.
    pub compression: Compression,
    /// The format's own level; `None` is [`CompressOptions::DEFAULT_GZIP_LEVEL`] or
    /// [`CompressOptions::DEFAULT_ZSTD_LEVEL`]. Levels that a format lacks become its nearest.
    pub level: Option<i32>,
    /// Threads that compress; `None` is one for each core. The bytes do not depend on it.
    pub threads: Option<NonZeroUsize>,
}

impl CompressOptions {
    /// What gzip itself takes: layers written with it are as small as other tools' are.
    pub const DEFAULT_GZIP_LEVEL: i32 = 6;
    /// What zstd itself takes.
    pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

    /// The defaults for a format.
    #[must_use]
    pub fn new(compression: Compression) -> CompressOptions {
        CompressOptions {
            compression,
            level: None,
            threads: None,
        }
    }

    fn format(&self) -> Option<BlockFormat> {
        match self.compression {
            Compression::None => None,
            Compression::Gzip => {
                let level = self.level.unwrap_or(Self::DEFAULT_GZIP_LEVEL).clamp(1, 9);
                Some(BlockFormat::Gzip(level.unsigned_abs()))
            }
            Compression::Zstd => {
                let level = self.level.unwrap_or(Self::DEFAULT_ZSTD_LEVEL);
                Some(BlockFormat::Zstd(level.clamp(1, 22)))
            }
        }
    }

    fn threads(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(cores, NonZeroUsize::get)
    }
}

/// The name and length of compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// SHA-256 of the compressed bytes.
    pub digest: DiffId,
    /// How many there are.
    pub size: u64,
}

/// Compresses all of `source` into `out`.
///
/// The same bytes, format and level give the same result on any machine with
/// this version. Memory is a few blocks for each thread, whatever the length.
///
/// # Errors
///
/// [`LayerError::Io`] for what reading and writing report, [`LayerError`]s that
/// `source` wraps in [`io::Error`]s, [`LayerError::Interrupted`]. What was
/// written by then is no complete stream.
pub fn compress(
    source: &mut dyn Read,
    out: &mut (dyn Write + Send),
    options: &CompressOptions,
    interrupt: &Interrupt,
) -> Result<Compressed, LayerError> {
    let mut target = Target {
        out,
        hasher: Sha256::new(),
        size: 0,
    };
    match options.format() {
        None => copy(source, &mut target, interrupt)?,
        Some(format) => {
            target.write(format.header())?;
            let ending = compress_blocks(source, &mut target, format, options, interrupt)?;
            target.write(&ending)?;
        }
    }
    target
        .out
        .flush()
        .map_err(LayerError::io("write", "output"))?;
    Ok(Compressed {
        digest: DiffId(target.hasher.finalize().into()),
        size: target.size,
    })
}

/// Copies `source` to `out`, decompressed if it is compressed; returns how many bytes came out.
///
/// # Errors
///
/// Kinds `bad-tar` and `limit` for streams that are broken or expand beyond `limits`,
/// [`LayerError::Io`], [`LayerError::Interrupted`].
pub fn decompress(
    source: Box<dyn Read + Send>,
    out: &mut dyn Write,
    limits: &Limits,
    interrupt: &Interrupt,
) -> Result<u64, LayerError> {
    let mut source = decompressed(source, limits)?;
    let mut block = vec![0; COPY_BYTES];
    let mut size = 0;
    loop {
        interrupt.check()?;
        let filled = fill(&mut source, &mut block)?;
        out.write_all(&block[..filled])
            .map_err(LayerError::io("write", "output"))?;
        size += filled as u64;
        if filled < block.len() {
            return Ok(size);
        }
    }
}

impl Layers {
    /// Compresses the layer's tar into `out`, and verifies it on the way.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::DigestMismatch`] if the tar is not what
    /// it was, and as [`compress`].
    pub fn compress(
        &self,
        diff_id: DiffId,
        out: &mut (dyn Write + Send),
        options: &CompressOptions,
        interrupt: &Interrupt,
    ) -> Result<Compressed, LayerError> {
        let mut source = Tar {
            layer: self.layer(diff_id)?,
            position: 0,
            // What is only copied is hashed anyway.
            hasher: (options.compression != Compression::None).then(Sha256::new),
        };
        let made = compress(&mut source, out, options, interrupt)?;
        let found = source
            .hasher
            .map_or(made.digest, |hasher| DiffId(hasher.finalize().into()));
        if found == diff_id {
            Ok(made)
        } else {
            Err(LayerError::DigestMismatch {
                expected: diff_id,
                found,
            })
        }
    }
}

/// The tar of a stored layer, wherever its bytes lie.
struct Tar {
    layer: Arc<StoredLayer>,
    position: u64,
    hasher: Option<Sha256>,
}

impl Read for Tar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.layer.read_at(self.position, buffer);
        let count = read.map_err(io::Error::other)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        self.position += count as u64;
        Ok(count)
    }
}

/// Where compressed bytes go: hashed, counted, written.
struct Target<'out> {
    out: &'out mut (dyn Write + Send),
    hasher: Sha256,
    size: u64,
}

impl Target<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(LayerError::io("write", "output"))
    }
}

fn copy(
    source: &mut dyn Read,
    target: &mut Target<'_>,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut block = vec![0; COPY_BYTES];
    loop {
        interrupt.check()?;
        let filled = fill(source, &mut block)?;
        target.write(&block[..filled])?;
        if filled < block.len() {
            return Ok(());
        }
    }
}

/// A block on its way to a worker.
struct Job {
    block: Arc<Vec<u8>>,
    /// The block before it, whose end serves as a dictionary.
    before: Option<Arc<Vec<u8>>>,
    reply: SyncSender<io::Result<Finished>>,
}

/// The promise of a block's result, in the order of the blocks.
type Promise = Receiver<io::Result<Finished>>;

/// Compresses block by block and returns what comes after the last.
fn compress_blocks(
    source: &mut dyn Read,
    target: &mut Target<'_>,
    format: BlockFormat,
    options: &CompressOptions,
    interrupt: &Interrupt,
) -> Result<Vec<u8>, LayerError> {
    let threads = options.threads();
    // One block in work and one in reserve for each worker keeps all of them busy.
    let under_way = 2 * threads;
    let (jobs, waiting) = sync_channel::<Job>(under_way);
    let (promises, promised) = sync_channel::<Promise>(under_way);
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        for number in 0..threads {
            let waiting = &waiting;
            let work = move || {
                let mut worker = format.worker();
                while let Some(job) = next_job(waiting) {
                    let result = attempt(&mut worker, &job);
                    if result.is_err() {
                        worker = format.worker();
                    }
                    // Whoever waited for it may have failed meanwhile.
                    let _ = job.reply.send(result);
                }
            };
            spawn(scope, format!("compress-{number}"), work)?;
        }
        let writer = spawn(scope, "compress-out".to_owned(), move || {
            let mut ending = format.ending();
            for promise in promised {
                let finished = promise
                    .recv()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread ended early")))
                    .map_err(LayerError::io("compress", "input"))?;
                ending.add(&finished);
                target.write(&finished.bytes)?;
            }
            Ok(ending.bytes())
        })?;
        let fed = feed(source, format, &jobs, &promises, interrupt);
        // Both ends close, so that workers and writer come to theirs.
        drop((jobs, promises));
        let written = writer.join().unwrap_or_else(|_| Err(ended_early()));
        // If the writer failed, that is why feeding it did not work.
        let ending = written?;
        fed.map(|()| ending)
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: String,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, LayerError> {
    thread::Builder::new()
        .name(name)
        .spawn_scoped(scope, work)
        .map_err(LayerError::io("start a thread for", "output"))
}

/// Compresses one block. A worker goes on whatever happens: if all of them ended,
/// whoever hands out blocks would wait for ever.
fn attempt(worker: &mut Worker, job: &Job) -> io::Result<Finished> {
    let work = AssertUnwindSafe(|| worker.compress(&job.block, job.before.as_deref()));
    catch_unwind(work).unwrap_or_else(|_| Err(io::Error::other("the compressor gave up")))
}

fn next_job(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}

/// Cuts `source` into blocks and hands them out until it ends.
fn feed(
    source: &mut dyn Read,
    format: BlockFormat,
    jobs: &SyncSender<Job>,
    promises: &SyncSender<Promise>,
    interrupt: &Interrupt,
) -> Result<(), LayerError> {
    let mut before: Option<Arc<Vec<u8>>> = None;
    loop {
        interrupt.check()?;
        let mut block = vec![0; format.block_bytes()];
        let filled = fill(source, &mut block)?;
        let is_last = filled < block.len();
        // Nothing at all is one empty block: a stream has to have one.
        if filled > 0 || before.is_none() {
            block.truncate(filled);
            let block = Arc::new(block);
            let (reply, promise) = sync_channel(1);
            let job = Job {
                block: block.clone(),
                before: before.replace(block),
                reply,
            };
            let sent = promises.send(promise).is_ok() && jobs.send(job).is_ok();
            if !sent {
                return Err(ended_early());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Fills `block`; fewer bytes are the end of `source`.
fn fill(source: &mut dyn Read, block: &mut [u8]) -> Result<usize, LayerError> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(match error.downcast::<LayerError>() {
                    Ok(own) => own,
                    Err(error) => LayerError::io("read", "input")(error),
                });
            }
        }
    }
    Ok(filled)
}

fn ended_early() -> LayerError {
    LayerError::io("compress", "input")(io::Error::other("a thread ended early"))
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
