//! Places for what is not complete yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::LayerError;
use crate::trees::remove_tree;

/// A directory of this process alone, removed with everything in it when dropped.
///
/// It is called `<pid>-<start time>-<number>`, with the start time of the process
/// in clock ticks as `/proc/<pid>/stat` has it: after a crash anybody can tell
/// that its owner is gone, even when the process ID is in use again.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Creates one in `parent`, which is created too if it is missing.
    pub(crate) fn new(parent: &Path) -> Result<Temporary, LayerError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let owner = owner().map_err(LayerError::io("read", "/proc/self/stat"))?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{owner}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Temporary { path }),
                // Other parts of the process number their own directories.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(parent).map_err(LayerError::io("mkdir", parent))?;
                }
                Err(error) => return Err(LayerError::io("mkdir", path)(error)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory to whoever takes its path.
    pub(crate) fn keep(self) -> PathBuf {
        let mut kept = std::mem::ManuallyDrop::new(self);
        std::mem::take(&mut kept.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody could act on a failure; what stays is swept once the process is gone.
        let _ = remove_tree(&self.path);
    }
}

/// `<pid>-<start time>` of this process.
fn owner() -> io::Result<String> {
    let stat = fs::read("/proc/self/stat")?;
    // The name of the program stands in parentheses and may hold anything.
    let after_name = stat
        .iter()
        .rposition(|byte| *byte == b')')
        .map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&stat[after_name..]);
    // Field 22 of the line; the first after the name is field 3.
    let start_time = text
        .split_ascii_whitespace()
        .nth(22 - 3)
        .ok_or_else(|| io::Error::other("no start time in /proc/self/stat"))?;
    Ok(format!("{}-{start_time}", std::process::id()))
}
