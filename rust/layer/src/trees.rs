//! Measuring and removing directories of any depth.
//!
//! What runs in a container may nest directories deeper than paths are long, threads
//! have stack, and processes may have open files. So nothing here joins paths or calls
//! itself: one descriptor goes down into a directory, and back up through `..`.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxFlags, openat, statx, unlinkat,
};
use rustix::io::Errno;

use crate::error::LayerError;

/// Bytes that `blocks` of `stat` count.
const BLOCK_BYTES: u64 = 512;

/// Removes a file, or a directory with everything in it; returns the bytes of disk that this frees.
///
/// What cannot be removed stays, and nothing beside it does: the second value tells of the first
/// failure. A path that is not there is none. A file with names elsewhere frees nothing.
pub fn remove_tree(path: &Path) -> (u64, Result<(), LayerError>) {
    let mut freed = 0;
    let outcome = bottom_up(path, &mut |directory, name, facts| {
        let is_directory = is_directory(facts);
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        unlinkat(directory, name, flags)?;
        if is_directory || facts.stx_nlink <= 1 {
            freed += facts.stx_blocks * BLOCK_BYTES;
        }
        Ok(())
    });
    (
        freed,
        outcome.map_err(|errno| LayerError::io("remove", path)(errno)),
    )
}

/// Bytes of disk under `path`, files with several names counted once; and the first failure, if any.
pub fn tree_bytes(path: &Path) -> (u64, Result<(), LayerError>) {
    let mut bytes = 0;
    let mut seen = HashSet::new();
    let outcome = bottom_up(path, &mut |_, _, facts| {
        if is_directory(facts) || facts.stx_nlink <= 1 || seen.insert(identity(facts)) {
            bytes += facts.stx_blocks * BLOCK_BYTES;
        }
        Ok(())
    });
    (
        bytes,
        outcome.map_err(|errno| LayerError::io("stat", path)(errno)),
    )
}

/// What is done with a name: the directory that it is in, itself, and what it stands for.
type Act<'a> = dyn FnMut(BorrowedFd<'_>, &[u8], &Statx) -> Result<(), Errno> + 'a;

/// A directory that the walk is in.
struct Level {
    facts: Statx,
    /// Directories in it that have not been entered.
    inside: Vec<(Vec<u8>, Statx)>,
    /// Its own name.
    name: Vec<u8>,
}

/// Calls `act` for `path` and all that is beneath it, what a directory holds before itself.
///
/// A failure is no reason to stop, and the first one is returned. What is gone is none.
fn bottom_up(path: &Path, act: &mut Act<'_>) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL);
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let mut here = match open_directory(CWD, parent.as_os_str().as_bytes(), OFlags::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    let mut outcome = Ok(());
    let mut top = Level {
        facts: facts_of(here.as_fd(), b"")?,
        inside: Vec::new(),
        name: Vec::new(),
    };
    keep_first(
        &mut outcome,
        visit(here.as_fd(), name.as_bytes(), &mut top.inside, act),
    );
    let mut levels = vec![top];
    while let Some(level) = levels.last_mut() {
        if let Some((name, facts)) = level.inside.pop() {
            match open_directory(here.as_fd(), &name, OFlags::NOFOLLOW) {
                Ok(directory) => here = directory,
                Err(errno) => {
                    keep_first(&mut outcome, Err(errno));
                    continue;
                }
            }
            let mut inside = Vec::new();
            keep_first(&mut outcome, visit_all(&here, &mut inside, act));
            levels.push(Level {
                facts,
                inside,
                name,
            });
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let Some(above) = levels.last() else { break };
        here = open_directory(here.as_fd(), b"..", OFlags::empty())?;
        // Somebody moved the directory away: what is above it now is none of ours.
        if identity(&facts_of(here.as_fd(), b"")?) != identity(&above.facts) {
            return Err(Errno::STALE);
        }
        keep_first(&mut outcome, act(here.as_fd(), &done.name, &done.facts));
    }
    outcome
}

/// Acts on what is in a directory, and collects the directories among it.
fn visit_all(
    directory: &OwnedFd,
    inside: &mut Vec<(Vec<u8>, Statx)>,
    act: &mut Act<'_>,
) -> Result<(), Errno> {
    let mut outcome = Ok(());
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            keep_first(&mut outcome, visit(directory.as_fd(), name, inside, act));
        }
    }
    outcome
}

fn visit(
    directory: BorrowedFd<'_>,
    name: &[u8],
    inside: &mut Vec<(Vec<u8>, Statx)>,
    act: &mut Act<'_>,
) -> Result<(), Errno> {
    let facts = facts_of(directory, name)?;
    if is_directory(&facts) {
        inside.push((name.to_vec(), facts));
        return Ok(());
    }
    act(directory, name, &facts)
}

fn keep_first(outcome: &mut Result<(), Errno>, result: Result<(), Errno>) {
    // Others may remove the same.
    if outcome.is_ok() && result != Err(Errno::NOENT) {
        *outcome = result;
    }
}

fn open_directory(at: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

fn facts_of(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    statx(directory, name, flags, StatxFlags::BASIC_STATS)
}

fn is_directory(facts: &Statx) -> bool {
    FileType::from_raw_mode(facts.stx_mode.into()) == FileType::Directory
}

fn identity(facts: &Statx) -> (u32, u32, u64) {
    (facts.stx_dev_major, facts.stx_dev_minor, facts.stx_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, symlinkat};
    use std::fs;

    /// Directories in one another, further down than a path can name.
    fn nest(top: &Path, depth: usize) {
        fs::create_dir(top).unwrap();
        let mut here = open_directory(CWD, top.as_os_str().as_bytes(), OFlags::empty()).unwrap();
        for _ in 0..depth {
            mkdirat(&here, "down", Mode::RWXU).unwrap();
            symlinkat("/", &here, "link").unwrap();
            here = open_directory(here.as_fd(), b"down", OFlags::empty()).unwrap();
        }
    }

    #[test]
    fn what_no_path_can_name_is_measured_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("deep");
        nest(&deep, 3000);
        let (bytes, outcome) = tree_bytes(&deep);
        outcome.unwrap();
        let (freed, outcome) = remove_tree(&deep);
        outcome.unwrap();
        assert_eq!(freed, bytes);
        assert!(bytes >= 3000 * 512 || bytes == 0, "{bytes}");
        assert!(!deep.exists());
        assert!(place.path().exists());
    }

    #[test]
    fn links_are_counted_once_and_never_followed() {
        let place = tempfile::tempdir().unwrap();
        let (tree, kept) = (place.path().join("tree"), place.path().join("kept"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), vec![1; 100_000]).unwrap();
        fs::write(tree.join("one"), vec![2; 100_000]).unwrap();
        let (alone, _) = tree_bytes(&tree);
        fs::hard_link(tree.join("one"), tree.join("two")).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        let (bytes, _) = tree_bytes(&tree);
        assert_eq!(bytes, alone);
        fs::hard_link(kept.join("file"), tree.join("three")).unwrap();
        let (freed, outcome) = remove_tree(&tree);
        outcome.unwrap();
        // What has a name elsewhere is still there.
        assert_eq!(freed, alone);
        assert_eq!(fs::read(kept.join("file")).unwrap(), vec![1; 100_000]);
        assert!(!tree.exists());
    }

    #[test]
    fn what_is_not_there_is_no_failure_and_a_file_is_a_tree() {
        let place = tempfile::tempdir().unwrap();
        for path in ["gone", "gone/further"] {
            let (freed, outcome) = remove_tree(&place.path().join(path));
            outcome.unwrap();
            assert_eq!(freed, 0);
        }
        let file = place.path().join("file");
        fs::write(&file, b"x").unwrap();
        remove_tree(&file).1.unwrap();
        assert!(!file.exists());
    }
}
