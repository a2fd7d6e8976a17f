//! The end of a process, of which several threads may want to know.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dissolver_sys::kernel::send_signal;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::report::SandboxError;

/// The signal that cannot be refused.
pub(crate) const SIGKILL: i32 = 9;
/// What is added to the number of the signal that killed a process; the shells' custom.
const KILLED: i32 = 128;

/// What is known of a process's end; several threads may wait for it.
#[derive(Debug)]
pub(crate) struct Life {
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// How it ended, once somebody has taken notice.
    pub status: Mutex<Option<i32>>,
}

impl Life {
    /// Knows nothing yet of the process behind `pidfd`.
    pub fn of(pidfd: OwnedFd) -> Life {
        Life {
            pidfd,
            status: Mutex::new(None),
        }
    }

    /// Ends a process whose status nobody wants.
    pub fn kill_and_reap(&self) {
        // One that has ended already is as good.
        let _ = send_signal(self.pidfd.as_fd(), SIGKILL);
        drop(self.reap());
    }

    /// Waits for the end, however long it takes.
    pub fn reap(&self) -> Result<i32, SandboxError> {
        // Only looks, so that whoever comes second still finds it; taking it goes under the lock.
        let seen = self.wait_for(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let mut status = locked(&self.status);
        if let Some(status) = *status {
            return Ok(status);
        }
        let taken = seen.and_then(|_| self.wait_for(WaitIdOptions::EXITED));
        let taken =
            taken.map_err(|errno| SandboxError::operation("wait for the process", errno))?;
        let killed = taken.terminating_signal().map(|signal| KILLED + signal);
        let code = taken.exit_status().or(killed).unwrap_or(KILLED);
        *status = Some(code);
        Ok(code)
    }

    fn wait_for(&self, how: WaitIdOptions) -> Result<WaitIdStatus, Errno> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), how) {
                Err(Errno::INTR) | Ok(None) => {}
                Ok(Some(found)) => return Ok(found),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Locks a value.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held; if it did, the value would still be whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
