//! Mounts that are made detached, with the kernel's own words about failures.

use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::kernel::{make_mounts_private, set_mount_attributes};
use rustix::fs::CWD;
use rustix::io::{Errno, read};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::ops::Op;
use crate::report::SandboxError;

/// The longest message that the kernel keeps about a mount.
const MESSAGE_BYTES: usize = 1024;

/// `TMPFS_MAGIC`.
pub const TMPFS: u64 = 0x0102_1994;
/// `DEVPTS_SUPER_MAGIC`.
pub const DEVPTS: u64 = 0x1cd1;

/// The type of file systems whose source is a file that they are read from.
pub const IMAGE_KIND: &str = "erofs";

/// A file system being configured, before it is mounted anywhere.
pub struct Detached {
    context: OwnedFd,
    op: &'static str,
    object: Option<String>,
}

impl Detached {
    /// Starts to configure a file system of the type `kind`, for `op`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`], as for all of these methods.
    pub fn new(op: &Op, kind: &str) -> Result<Detached, SandboxError> {
        Detached::of(op.name(), op.object(), kind)
    }

    /// As [`Detached::new`], with what failures are about in words.
    pub fn of(
        name: &'static str,
        object: Option<String>,
        kind: &str,
    ) -> Result<Detached, SandboxError> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        let context = context.map_err(|errno| failure(name, object.clone(), errno, None))?;
        let mut detached = Detached {
            context,
            op: name,
            object,
        };
        if kind != IMAGE_KIND {
            // What `/proc/mounts` shows in its first column.
            detached.set("source", kind)?;
        }
        Ok(detached)
    }

    /// Sets an option to a value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SandboxError> {
        self.checked(fsconfig_set_string(self.context.as_fd(), key, value))
    }

    /// Sets an option, unless the kernel does not know it.
    ///
    /// Returns whether it does.
    pub fn try_set(&mut self, key: &str, value: &str) -> Result<bool, SandboxError> {
        match fsconfig_set_string(self.context.as_fd(), key, value) {
            Err(Errno::INVAL)
                if self
                    .message()
                    .is_some_and(|text| text.contains("nknown parameter")) =>
            {
                Ok(false)
            }
            result => self.checked(result).map(|()| true),
        }
    }

    /// Sets an option that has no value.
    pub fn set_flag(&mut self, key: &str) -> Result<(), SandboxError> {
        self.checked(fsconfig_set_flag(self.context.as_fd(), key))
    }

    /// Makes the mount.
    pub fn finish(self, attributes: u64) -> Result<OwnedFd, SandboxError> {
        self.checked(fsconfig_create(self.context.as_fd()))?;
        let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
        let result = fsmount(
            self.context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            attributes,
        );
        result.map_err(|errno| failure(self.op, self.object, errno, None))
    }

    fn checked(&self, result: Result<(), Errno>) -> Result<(), SandboxError> {
        result.map_err(|errno| failure(self.op, self.object.clone(), errno, self.message()))
    }

    /// The kernel's last words about this file system.
    fn message(&self) -> Option<String> {
        let mut last = None;
        let mut buffer = [0u8; MESSAGE_BYTES];
        while let Ok(length) = read(&self.context, &mut buffer) {
            let line = buffer.get(..length).unwrap_or(&[]);
            // Each message starts with its level: an `e`, `w` or `i`, and a space.
            let line = line.strip_prefix(b"e ").unwrap_or(line);
            last = Some(String::from_utf8_lossy(line).trim_end().to_owned());
        }
        last
    }
}

fn failure(
    op: &'static str,
    object: Option<String>,
    errno: Errno,
    detail: Option<String>,
) -> SandboxError {
    SandboxError::Setup {
        op,
        path: object.map(String::into_bytes),
        errno: errno.raw_os_error(),
        detail,
    }
}

/// Copies a file or directory of the host as a detached mount.
///
/// `attributes` are `MOUNT_ATTR_*` flags that it, and with `is_recursive` what is mounted in it,
/// gets. What is mounted in it later does not appear on the host, nor the other way round.
///
/// # Errors
///
/// [`SandboxError::Setup`] with `source` as the path.
pub fn detach_bind(
    op: &'static str,
    source: &str,
    is_recursive: bool,
    attributes: u64,
) -> Result<OwnedFd, SandboxError> {
    let explain = |errno| SandboxError::setup(op, source, errno);
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if is_recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(CWD, source, flags).map_err(explain)?;
    make_mounts_private(tree.as_fd()).map_err(explain)?;
    if attributes != 0 {
        set_mount_attributes(tree.as_fd(), attributes, is_recursive).map_err(explain)?;
    }
    Ok(tree)
}
