//! System calls that rustix lacks, or offers with less than is needed here.
//!
//! Everything in this file may run in a child that shares nothing but memory
//! copies with a threaded parent, so nothing here allocates, locks or panics.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// Read-only, as a mount attribute.
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// No set-user-ID programs.
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// No device files.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
/// No programs.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;

/// The size of the kernel's own `sigset_t`; libc's is larger.
const KERNEL_SIGSET_BYTES: usize = 8;
/// The flags that stand for namespaces, and nothing else that can be unshared.
const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// One past the highest signal number.
const SIGNALS_END: c_int = 65;

/// What the kernel expects for an action; libc's layout differs between architectures.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Turns what `syscall(2)` left behind into a result.
fn checked(result: c_long) -> Result<c_long, Errno> {
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

pub(crate) fn last_errno() -> Errno {
    // SAFETY: the location is this thread's own variable, valid for its life.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Ends the process at once, without running anything that waits for its end.
pub(crate) fn exit_now(status: c_int) -> ! {
    loop {
        // SAFETY: takes no pointers, and does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, c_long::from(status)) };
    }
}

/// Closes the descriptors from `first` to `last`.
pub(crate) fn close_range(first: RawFd, last: RawFd) -> Result<(), Errno> {
    // SAFETY: takes no pointers. The caller is a fresh child, whose copies of
    // descriptors nobody else can be using.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Lets a descriptor live as long as the process.
pub(crate) fn leak(fd: OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: ownership was given up, so nothing will close it before the end.
    unsafe { BorrowedFd::borrow_raw(fd.into_raw_fd()) }
}

/// Sets which signals are blocked in this thread and returns which ones were.
pub(crate) fn set_signal_mask(mask: u64) -> Result<u64, Errno> {
    let mut before = 0u64;
    // SAFETY: both sets are local and have the size that is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &mask,
            &mut before,
            KERNEL_SIGSET_BYTES,
        )
    };
    checked(result).map(|_| before)
}

/// Leaves signals to other threads than the calling one.
pub fn block_signals() {
    // With a set of the right size there is nothing that could fail.
    let _ = set_signal_mask(u64::MAX);
}

/// Gives every signal its default action, then unblocks all of them.
///
/// Exec resets handlers by itself, but keeps ignored signals ignored: Python ignores
/// SIGPIPE, and the supervisor more, which the container's program must not inherit.
pub(crate) fn reset_signals() -> Result<(), Errno> {
    let action = KernelAction {
        handler: libc::SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    for signal in 1..SIGNALS_END {
        let nothing = std::ptr::null_mut::<KernelAction>();
        // SAFETY: the action is local and has the kernel's layout. SIGKILL and
        // SIGSTOP are refused, which changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &action,
                nothing,
                KERNEL_SIGSET_BYTES,
            )
        };
    }
    set_signal_mask(0).map(drop)
}

/// Asks for SIGKILL when the thread that created this process ends.
pub(crate) fn set_parent_death_signal() -> Result<(), Errno> {
    control(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize)
}

/// Hides this process from others of its user, until it executes a program.
pub(crate) fn set_undumpable() -> Result<(), Errno> {
    control(libc::PR_SET_DUMPABLE, 0)
}

/// Removes one capability from the bounding set.
pub(crate) fn drop_from_bounding_set(number: u32) -> Result<(), Errno> {
    control(libc::PR_CAPBSET_DROP, number as usize)
}

fn control(option: c_int, argument: usize) -> Result<(), Errno> {
    // SAFETY: none of the options that are used here takes a pointer.
    checked(unsafe { libc::syscall(libc::SYS_prctl, option, argument, 0, 0, 0) }).map(drop)
}

/// Moves this thread into namespaces of the process behind `pidfd`.
///
/// # Errors
///
/// What `setns(2)` reports; `EINVAL` for a user namespace if there are more threads.
pub fn join_namespaces(pidfd: BorrowedFd<'_>, namespaces: u32) -> Result<(), Errno> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::syscall(libc::SYS_setns, pidfd.as_raw_fd(), namespaces) }).map(drop)
}

/// Moves the calling thread into new namespaces.
///
/// # Errors
///
/// What `unshare(2)` reports; `EINVAL` for a user namespace if there are more threads.
pub fn unshare(namespaces: u32) -> Result<(), Errno> {
    // SAFETY: takes no pointers. Namespaces change what names mean, not who owns
    // memory or descriptors; CLONE_NEW* are the only flags that get through.
    checked(unsafe { libc::syscall(libc::SYS_unshare, namespaces & NAMESPACE_FLAGS) }).map(drop)
}

/// Loads a filter for system calls into this thread.
pub(crate) fn load_filter(filter: &[libc::sock_filter]) -> Result<(), Errno> {
    let Ok(length) = u16::try_from(filter.len()) else {
        return Err(Errno::INVAL);
    };
    let program = libc::sock_fprog {
        len: length,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program points at `length` instructions that outlive the call;
    // the kernel copies and never writes them.
    checked(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &program,
        )
    })
    .map(drop)
}

/// Limits a resource of this process; the number is one of `RLIMIT_*`.
pub(crate) fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = [soft, hard];
    let nothing = std::ptr::null_mut::<u64>();
    // SAFETY: `rlimit64` is two u64, soft first; the old value is not asked for.
    checked(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, limit.as_ptr(), nothing) })
        .map(drop)
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn bring_loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero request is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *slot = byte as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is local, initialized, and has the layout this ioctl reads.
    checked(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &request,
        )
    })
    .map(drop)
}

/// Executes a program; returns only if that failed.
///
/// Both arrays hold pointers to C strings and end with a null pointer; an array that
/// does not is refused.
pub(crate) fn execute(path: &CStr, argv: &[*const c_char], environment: &[*const c_char]) -> Errno {
    let ends = |array: &[*const c_char]| array.last().is_some_and(|last| last.is_null());
    if !ends(argv) || !ends(environment) {
        return Errno::INVAL;
    }
    // SAFETY: the path is a C string; the arrays were checked to be terminated, and
    // their owner keeps the strings alive while they exist.
    unsafe {
        libc::syscall(
            libc::SYS_execve,
            path.as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
        )
    };
    last_errno()
}

/// Executes the file behind a descriptor; returns only if that failed.
///
/// The arrays are as for [`execute`].
pub(crate) fn execute_file(
    file: BorrowedFd<'_>,
    argv: &[*const c_char],
    environment: &[*const c_char],
) -> Errno {
    let ends = |array: &[*const c_char]| array.last().is_some_and(|last| last.is_null());
    if !ends(argv) || !ends(environment) {
        return Errno::INVAL;
    }
    // SAFETY: the path is a constant C string; the arrays were checked to be terminated, and
    // their owner keeps the strings alive while they exist.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

/// Leaves the keyring of the session for a new one; kernels without keys have nothing to leave.
pub(crate) fn join_new_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: c_int = 1;
    let unnamed = std::ptr::null::<c_char>();
    // SAFETY: a null name asks for a keyring without one.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, unnamed) };
    match checked(result) {
        Err(Errno::NOSYS) => Ok(()),
        other => other.map(drop),
    }
}

/// Copies a descriptor that another part of the process, such as Python, holds by number.
///
/// The copy is at least 3, so that it never passes for a standard stream.
///
/// # Errors
///
/// `EBADF` if there is no such descriptor.
pub fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: takes no pointers; a number that is no descriptor is refused by the kernel.
    let copy = checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

/// Closes a descriptor that was inherited by number, after [`duplicate`] made a copy of it.
///
/// Nothing happens if there is no such descriptor.
pub fn close(fd: RawFd) {
    // SAFETY: takes no pointers. The descriptor was inherited for the caller alone, who
    // goes on with the copy.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// Adds attributes to the mount behind a descriptor, and to those below it if asked.
///
/// # Errors
///
/// What `mount_setattr(2)` reports; `ENOSYS` before Linux 5.12.
pub fn set_mount_attributes(
    tree: BorrowedFd<'_>,
    attributes: u64,
    is_recursive: bool,
) -> Result<(), Errno> {
    mount_setattr(tree, attributes, 0, is_recursive)
}

/// Stops mounts from passing mounts on to others, or taking them over.
///
/// # Errors
///
/// What `mount_setattr(2)` reports; `ENOSYS` before Linux 5.12.
pub fn make_mounts_private(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    mount_setattr(tree, 0, libc::MS_PRIVATE, true)
}

fn mount_setattr(
    tree: BorrowedFd<'_>,
    set: u64,
    propagation: u64,
    is_recursive: bool,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if is_recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant C string, the structure is local and its size is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(result).map(drop)
}

/// Sends a signal to exactly the process that the pidfd names.
///
/// # Errors
///
/// `ESRCH` if it has been waited for, `EINVAL` for a number that is no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    let nothing = std::ptr::null_mut::<libc::siginfo_t>();
    // SAFETY: no information is passed along; the other arguments are numbers.
    checked(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            nothing,
            0,
        )
    })
    .map(drop)
}

/// Allows debuggers and `/proc` of the same user to look into this process.
///
/// # Errors
///
/// What `prctl(2)` reports.
pub fn set_dumpable() -> Result<(), Errno> {
    control(libc::PR_SET_DUMPABLE, 1)
}
