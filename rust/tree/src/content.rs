//! Reading files and hashing them with all cores.

use crate::TreeError;
use crate::open::{is_beneath_missing, open_beneath, stat_of_open};
use crate::tree::{Content, IsCancelled, Kind, Stat, Tree};
use crate::xattr::{Xattr, read_xattrs};
use dissolver_digest::{ContentDigest, StreamHasher};
use rayon::prelude::*;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::{Errno, read};
use std::io::{self, Read};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files are read this many bytes at a time: larger than most files, and still in the second-level cache.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The kernel stamps files with a clock that ticks every 1 to 10 ms, so two changes within a tick look like
/// one. A file is settled if it last changed longer ago than that, with a wide margin.
const SETTLED_AFTER_NS: i64 = 100_000_000;
/// The same for file systems that keep whole seconds, or two of them.
const SETTLED_AFTER_NS_COARSE: i64 = 2_500_000_000;

impl Tree {
    /// Hashes the regular files among `numbers` whose content is not known yet; returns the bytes read.
    ///
    /// Afterwards [`Tree::content`] is there for each of them, and the stat cache
    /// has been written if something was read. A cache that cannot be written
    /// costs time later and is no failure now.
    ///
    /// # Errors
    ///
    /// [`TreeError::ChangedWhileRead`] for a file that is not as it was listed,
    /// [`TreeError::Io`] for one that cannot be read.
    pub fn hash_contents(
        &self,
        numbers: &[usize],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<u64, TreeError> {
        let unknown: Vec<usize> = numbers
            .iter()
            .copied()
            .filter(|&number| self.lacks_content(number))
            .collect();
        if unknown.is_empty() {
            return Ok(0);
        }
        let bytes = AtomicU64::new(0);
        let outcome = unknown.par_iter().try_for_each_init(
            || vec![0; READ_BUFFER_BYTES],
            |buffer, &number| {
                let content = self.hash_content(number, buffer, is_cancelled)?;
                bytes.fetch_add(self.stat(number).size, Ordering::Relaxed);
                // Another thread may have been faster, with the same result.
                drop(self.node(number).content.set(content));
                Ok(())
            },
        );
        // What was hashed before a failure need not be hashed again after it.
        self.save_stat_cache();
        outcome.map(|()| bytes.into_inner())
    }

    /// Tells whether entry `number` is a regular file that still has to be read.
    #[must_use]
    pub fn lacks_content(&self, number: usize) -> bool {
        self.stat(number).kind == Kind::File && self.content(number).is_none()
    }

    fn hash_content(
        &self,
        number: usize,
        buffer: &mut [u8],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Content, TreeError> {
        let mut hasher = blake3::Hasher::new();
        let mut reader = self.open_content(number)?;
        loop {
            if is_cancelled() {
                return Err(TreeError::Interrupted);
            }
            match reader.read_some(buffer)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            };
        }
        let xattrs = reader.xattrs()?;
        reader.check()?;
        Ok(reader.content(StreamHasher::digest(&hasher), xattrs))
    }

    /// Keeps what reading a file to its end has taught.
    ///
    /// `reader` comes from [`Tree::open_content`] of the same number, `digest` is the
    /// BLAKE3 of everything that it gave, `xattrs` are [`ContentReader::xattrs`].
    ///
    /// # Errors
    ///
    /// [`TreeError::ChangedWhileRead`] if the file is not as it was listed.
    pub fn learn(
        &self,
        number: usize,
        reader: &ContentReader<'_>,
        digest: ContentDigest,
        xattrs: Vec<Xattr>,
    ) -> Result<(), TreeError> {
        reader.check()?;
        // Another thread may have been faster, with the same result.
        drop(
            self.node(number)
                .content
                .set(reader.content(digest, xattrs)),
        );
        Ok(())
    }

    /// Keeps for a further name what is known of another name of the same inode.
    pub fn learn_from_name(&self, number: usize, other: usize) {
        let inode = |number: usize| (self.stat(number).device, self.stat(number).inode);
        if let (Some(content), true) = (self.content(other), inode(number) == inode(other)) {
            drop(self.node(number).content.set(content.clone()));
        }
    }

    /// Writes what is known of contents to the stat cache, if the tree has one.
    ///
    /// A cache that cannot be written costs time later and is no failure now.
    pub fn save_stat_cache(&self) {
        if let Some(cache) = &self.stat_cache {
            cache
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .save(self);
        }
    }

    /// Opens regular file `number` for reading it once, from its beginning.
    ///
    /// # Errors
    ///
    /// [`TreeError::ChangedWhileRead`] if it is gone or is no regular file any
    /// more, [`TreeError::Io`] if it cannot be opened.
    pub fn open_content(&self, number: usize) -> Result<ContentReader<'_>, TreeError> {
        let path = self.path(number);
        let started_ns = now_ns();
        let fd = match open_beneath(self.root_fd(), path, OFlags::empty()) {
            Ok(fd) => fd,
            Err(errno) if is_beneath_missing(errno) => {
                return Err(TreeError::ChangedWhileRead {
                    path: path.to_vec(),
                });
            }
            Err(errno) => return Err(TreeError::io("open", path)(errno)),
        };
        let stat = *self.stat(number);
        Ok(ContentReader {
            path,
            stat,
            fd,
            started_ns,
            remaining: stat.size,
            failure: None,
        })
    }
}

/// A reader of one file that insists on what the listing says of it.
///
/// It yields as many bytes as were listed. The end is reported only after another
/// look at the file: if it is not the one that was listed, or its size or
/// modification time changed since, what was read is worthless, and the error
/// says so. [`Read`] cannot carry such an error; [`ContentReader::failure`] can.
#[derive(Debug)]
pub struct ContentReader<'tree> {
    path: &'tree [u8],
    stat: Stat,
    fd: OwnedFd,
    /// When reading began.
    started_ns: i64,
    remaining: u64,
    failure: Option<TreeError>,
}

impl ContentReader<'_> {
    /// Why the last read failed.
    #[must_use]
    pub fn failure(self) -> Option<TreeError> {
        self.failure
    }

    /// The extended attributes that a layer carries, sorted by name.
    ///
    /// # Errors
    ///
    /// [`TreeError::Io`].
    pub fn xattrs(&self) -> Result<Vec<Xattr>, TreeError> {
        read_xattrs(&self.fd).map_err(TreeError::io("read the attributes of", self.path))
    }

    fn content(&self, digest: ContentDigest, xattrs: Vec<Xattr>) -> Content {
        Content {
            digest,
            xattrs: xattrs.into(),
            is_settled: is_settled(&self.stat, self.started_ns),
        }
    }

    /// Reads into `buffer`; 0 only at the end of what was listed, where [`Read`] would look once more.
    ///
    /// # Errors
    ///
    /// [`TreeError::ChangedWhileRead`] if the file is shorter, [`TreeError::Io`].
    pub fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, TreeError> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let length = loop {
            match read(&self.fd, &mut buffer[..wanted]) {
                Err(Errno::INTR) => {}
                Err(Errno::ISDIR) => return Err(self.changed()),
                other => break other.map_err(TreeError::io("read", self.path))?,
            }
        };
        if length == 0 {
            return Err(self.changed());
        }
        self.remaining -= length as u64;
        Ok(length)
    }

    /// Looks at the file once more. One look afterwards is enough: what was the same when it was listed and is
    /// the same now was the same in between, and a file that grew has another size.
    pub fn check(&self) -> Result<(), TreeError> {
        let now = stat_of_open(&self.fd).map_err(TreeError::io("stat", self.path))?;
        if now.is_some_and(|now| is_same_file(&self.stat, &now)) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> TreeError {
        TreeError::ChangedWhileRead {
            path: self.path.to_vec(),
        }
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = match self.read_some(buffer) {
            Ok(0) if !buffer.is_empty() => self.check().map(|()| 0),
            other => other,
        };
        result.map_err(|error| {
            let message = error.to_string();
            self.failure = Some(error);
            io::Error::other(message)
        })
    }
}

/// Tells whether nothing that matters changed between two looks.
///
/// The time of the inode's last change is left out: another name for the file, as
/// a backup makes it, changes that and nothing else.
fn is_same_file(before: &Stat, now: &Stat) -> bool {
    let facts = |stat: &Stat| {
        (
            stat.device,
            stat.inode,
            stat.kind,
            stat.size,
            stat.mtime_ns,
            stat.mode,
            stat.uid,
            stat.gid,
        )
    };
    facts(before) == facts(now)
}

/// Tells whether every change after `read_ns` would show in the times of the file.
fn is_settled(stat: &Stat, read_ns: i64) -> bool {
    let has_fine_times = stat.ctime_ns % 1_000_000_000 != 0;
    let margin = if has_fine_times {
        SETTLED_AFTER_NS
    } else {
        SETTLED_AFTER_NS_COARSE
    };
    stat.ctime_ns.max(stat.mtime_ns).saturating_add(margin) < read_ns
}

fn now_ns() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
