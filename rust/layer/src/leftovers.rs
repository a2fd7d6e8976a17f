//! Removing what nobody needs any more behind the caller's back.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::trees::remove_tree;

/// Directories that are being removed.
///
/// Removing is slow on some disks: 4 ms for every directory were measured on one
/// that is told of each freed block at once, which made a step take three times
/// as long. Whatever is removed here lies in `tmp/` under the name of its
/// process, so that the next sweep finds what a process that ends leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Arc<(Mutex<usize>, Condvar)>);

impl Leftovers {
    /// Removes a directory with everything in it, soon.
    ///
    /// A failure has nobody to be told to: the directory stays for the next sweep.
    pub(crate) fn remove(&self, path: PathBuf) {
        let state = self.0.clone();
        *lock(&state.0) += 1;
        let work = {
            let path = path.clone();
            move || {
                // What stays is for the next sweep, as said above.
                let _ = remove_tree(&path);
                *lock(&state.0) -= 1;
                state.1.notify_all();
            }
        };
        let thread = std::thread::Builder::new().name("leftovers".into());
        if thread.spawn(work).is_err() {
            // As in the thread.
            let _ = remove_tree(&path);
            *lock(&self.0.0) -= 1;
        }
    }

    /// Waits until all is removed, but no longer than `patience`; tells whether it is.
    pub(crate) fn settle(&self, patience: Duration) -> bool {
        let (count, changed) = &*self.0;
        let waited = changed.wait_timeout_while(lock(count), patience, |count| *count > 0);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count == 0
    }
}

fn lock(count: &Mutex<usize>) -> std::sync::MutexGuard<'_, usize> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}
