//! Programs that the kernel asks before a process of a control group uses a device.

use std::ffi::c_long;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::kernel::last_errno;

const PROG_LOAD: c_long = 5;
const PROG_ATTACH: c_long = 8;
/// `BPF_PROG_TYPE_CGROUP_DEVICE`.
const CGROUP_DEVICE_PROGRAM: u32 = 15;
/// `BPF_CGROUP_DEVICE`.
const CGROUP_DEVICE: u32 = 6;

/// One instruction: `struct bpf_insn` of `linux/bpf.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What is done.
    pub code: u8,
    /// The destination's register in the lower half, the source's in the upper one.
    pub registers: u8,
    /// How far to jump, or where to load from.
    pub offset: i16,
    /// A constant.
    pub immediate: i32,
}

/// The beginning of `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
}

/// The beginning of `union bpf_attr` as `BPF_PROG_ATTACH` reads it.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

fn bpf<T>(command: c_long, attributes: &T) -> Result<c_long, Errno> {
    // SAFETY: the attributes are a structure that the command reads, and their size is passed;
    // what they point at outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

/// Loads a program that decides about devices.
///
/// # Errors
///
/// What `bpf(2)` reports: `EPERM` without the right to, `EINVAL` where the kernel lacks it.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attributes = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    let made = bpf(PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(made as RawFd) })
}

/// Has a program decide about devices for all processes of the group behind `group`.
///
/// # Errors
///
/// What `bpf(2)` reports.
pub fn attach_device_program(program: &OwnedFd, group: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: 0,
    };
    bpf(PROG_ATTACH, &attributes).map(drop)
}
