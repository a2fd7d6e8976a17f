//! Walking a directory that others may be changing.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::vec;

use rustix::fs::fstatfs;

use crate::create::open_directory;
use crate::entry::Kind;
use crate::error::LayerError;
use crate::inspect::{Inspected, inspect, names};
use crate::interrupt::Interrupt;
use crate::merged::has_vanished;

/// File systems that show the kernel's state or live in memory, by the numbers in `statfs(2)`:
/// procfs, sysfs, tmpfs, devpts, cgroup, cgroup2, mqueue, ramfs, devtmpfs' own.
const NOT_FILES: [u64; 8] = [
    0x9fa0,
    0x6265_6572,
    0x0102_1994,
    0x1cd1,
    0x0027_e0eb,
    0x6367_7270,
    0x1980_0202,
    0x8584_58f6,
];

struct Frame {
    path: Vec<u8>,
    device: u64,
    names: vec::IntoIter<Vec<u8>>,
}

/// Visits everything in the directory `start`, in byte order, directories before what they hold.
///
/// Paths are relative to `start`. Symbolic links are not followed; what goes
/// meanwhile and sockets are passed over. Where another file system is mounted that
/// holds no files, such as `/proc`, there is an empty directory.
pub(crate) fn walk(
    start: BorrowedFd<'_>,
    interrupt: &Interrupt,
    visit: &mut dyn FnMut(BorrowedFd<'_>, Inspected) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let Some(root) = inspect(start, b"", b".", None)? else {
        return Ok(());
    };
    let mut frames = vec![frame(start, Vec::new(), root.identity.0)?];
    let mut open: Option<(usize, OwnedFd)> = None;
    while let Some(frame) = frames.last_mut() {
        interrupt.check()?;
        let Some(name) = frame.names.next() else {
            frames.pop();
            continue;
        };
        let (path, device, depth) = (frame.path.clone(), frame.device, frames.len());
        let directory = match open.take() {
            Some((at, directory)) if at == depth => directory,
            _ => match open_directory(start, &path) {
                Err(error) if has_vanished(&error) => {
                    frames.pop();
                    continue;
                }
                other => other?,
            },
        };
        let inspected = match inspect(directory.as_fd(), &path, &name, None) {
            Err(error) if has_vanished(&error) => None,
            other => other?,
        };
        if let Some(inspected) = inspected {
            let inner = (inspected.entry.kind == Kind::Directory)
                .then(|| (inspected.entry.path.clone(), inspected.identity.0));
            visit(directory.as_fd(), inspected)?;
            if let Some((path, own)) = inner {
                if own == device || holds_files(start, &path)? {
                    frames.push(self::frame(start, path, own)?);
                }
            }
        }
        if frames.len() == depth {
            open = Some((depth, directory));
        }
    }
    Ok(())
}

fn frame(start: BorrowedFd<'_>, path: Vec<u8>, device: u64) -> Result<Frame, LayerError> {
    let names = match names(start, &path) {
        Err(error) if has_vanished(&error) => Vec::new(),
        other => other?,
    };
    Ok(Frame {
        path,
        device,
        names: names.into_iter(),
    })
}

/// Tells whether a directory on another file system is worth going into.
fn holds_files(start: BorrowedFd<'_>, path: &[u8]) -> Result<bool, LayerError> {
    let directory = match open_directory(start, path) {
        Err(error) if has_vanished(&error) => return Ok(false),
        other => other?,
    };
    let facts = fstatfs(&directory).map_err(crate::create::failed("statfs", path))?;
    Ok(!NOT_FILES.contains(&(facts.f_type as u64)))
}
