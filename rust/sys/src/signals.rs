//! Signals as a supervisor treats them, and programs that it starts beside a container.

use std::ffi::c_int;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;

use crate::kernel;

/// The size of the kernel's own `sigset_t`.
const KERNEL_SIGSET_BYTES: usize = 8;

/// Ignores signals from now on, and in whatever is executed later without resetting them.
pub fn ignore(signals: &[c_int]) {
    for &signal in signals {
        // SAFETY: SIG_IGN runs no code of ours, and changes no memory.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Blocks signals in this thread and makes them readable instead.
///
/// # Errors
///
/// What `rt_sigprocmask(2)` or `signalfd4(2)` report.
pub fn watch(signals: &[c_int]) -> Result<OwnedFd, Errno> {
    let wanted = signals
        .iter()
        .fold(0u64, |set, signal| set | 1 << (signal - 1));
    let before = kernel::set_signal_mask(u64::MAX)?;
    kernel::set_signal_mask(before | wanted)?;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is local and has the size that is passed.
    let fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &wanted, KERNEL_SIGSET_BYTES, flags) };
    if fd == -1 {
        return Err(kernel::last_errno());
    }
    // SAFETY: the kernel just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Makes a program start with default signals, and end when the calling thread does.
pub fn tie_to_this_thread(command: &mut Command) {
    // SAFETY: between fork and exec these make system calls only, on no memory but their stack.
    unsafe {
        command.pre_exec(|| {
            kernel::reset_signals()?;
            kernel::set_parent_death_signal()?;
            Ok(())
        });
    }
}
