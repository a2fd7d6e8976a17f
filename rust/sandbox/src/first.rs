//! The file with the first program that a new process executes.

use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::child::FIRST_PROGRAM;
use dissolver_sys::kernel::{MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, set_mount_attributes};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, openat};
use rustix::io::{Errno, write};

use crate::mounts::Detached;
use crate::process::above_streams;
use crate::report::SandboxError;

const OP: &str = "make the first program";
const NAME: &str = "dissolver-first";

/// Makes an executable file that nobody can change, and that ends with who has it open.
///
/// Each process gets one of its own: what one does to its mode and owner concerns no other.
///
/// # Errors
///
/// [`SandboxError::Setup`].
pub fn make() -> Result<OwnedFd, SandboxError> {
    let made = match sealed() {
        // The system forbids files in memory to be executed (`vm.memfd_noexec`).
        Err(Errno::ACCESS | Errno::NOSYS | Errno::PERM) => return on_file_system(),
        made => made,
    };
    made.and_then(above_streams).map_err(explain)
}

/// In memory, and sealed.
fn sealed() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create(NAME, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 all of them can be executed.
        Err(Errno::INVAL) => memfd_create(NAME, flags),
        made => made,
    }?;
    write_all(&file)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// On a file system of its own, mounted read-only and nowhere.
fn on_file_system() -> Result<OwnedFd, SandboxError> {
    let tree = Detached::of(OP, None, "tmpfs")?.finish(MOUNT_ATTR_NOSUID)?;
    let made = || {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o555);
        write_all(&openat(&tree, NAME, flags, mode)?)?;
        set_mount_attributes(tree.as_fd(), MOUNT_ATTR_RDONLY, false)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        above_streams(openat(&tree, NAME, flags, Mode::empty())?)
    };
    made().map_err(explain)
}

fn write_all(file: &OwnedFd) -> Result<(), Errno> {
    let mut rest = FIRST_PROGRAM;
    while !rest.is_empty() {
        match write(file, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn explain(errno: Errno) -> SandboxError {
    SandboxError::operation(OP, errno)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::fs::{fstat, ftruncate};

    use super::*;

    #[test]
    fn it_cannot_be_changed() {
        let file = make().unwrap();
        assert_eq!(fstat(&file).unwrap().st_size as usize, FIRST_PROGRAM.len());
        assert_eq!(write(&file, b"x"), Err(Errno::PERM));
        assert_eq!(ftruncate(&file, 0), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&file, SealFlags::GROW), Err(Errno::PERM));
    }

    #[test]
    fn each_process_has_one_of_its_own() {
        let (one, other) = (
            fstat(make().unwrap()).unwrap(),
            fstat(make().unwrap()).unwrap(),
        );
        assert_ne!(one.st_ino, other.st_ino);
    }
}
