//! File descriptors that come as bare numbers.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// Makes a descriptor of our own for what `descriptor` stands for, closed on exec.
///
/// Numbers come from Python, which may close the original at any moment; the
/// duplicate stays valid. They share their position in the file.
///
/// # Errors
///
/// What `fcntl(2)` reports: `EBADF` for a number that is not open.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only; a wrong one gives an error.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given out this number to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
