//! Pseudo terminals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstatfs, openat, openat2};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::devices;
use crate::mounts::DEVPTS;
use crate::report::SandboxError;

const OP: &str = "open a terminal";

/// A terminal: the master's end stays here, the slave's goes to the program.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    slave: Option<OwnedFd>,
    number: u32,
}

impl Pty {
    /// Opens a terminal of an instance that is mounted at `terminals`, which may be detached.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn open_in(terminals: BorrowedFd<'_>) -> Result<Pty, SandboxError> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(terminals, "ptmx", flags, Mode::empty())
            .and_then(Pty::from_master)
            .map_err(explain)
    }

    /// Opens a terminal of an instance that is nobody else's, and mounted nowhere.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn open_alone() -> Result<Pty, SandboxError> {
        Pty::open_in(devices::detach_terminals(OP, None)?.as_fd())
    }

    /// Opens a terminal of a running container, or one of nobody's if it has none.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn open_in_container(pid: i32) -> Result<Pty, SandboxError> {
        let root = openat(
            CWD,
            format!("/proc/{pid}/root"),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let root = root.map_err(explain)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The container may have put anything there: only what the kernel says is trusted.
        match openat2(root, "dev/pts", flags, Mode::empty(), resolve) {
            Ok(directory) if is_devpts(directory.as_fd()) => Pty::open_in(directory.as_fd()),
            _ => Pty::open_alone(),
        }
    }

    fn from_master(master: OwnedFd) -> Result<Pty, Errno> {
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let number = name
            .to_str()
            .ok()
            .and_then(|name| name.rsplit('/').next()?.parse().ok());
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        Ok(Pty {
            master,
            slave: Some(slave),
            number: number.ok_or(Errno::NOTTY)?,
        })
    }

    /// Its number among the terminals of its instance.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The program's end; it can be taken once.
    pub fn take_slave(&mut self) -> Option<OwnedFd> {
        self.slave.take()
    }

    /// This side's end.
    #[must_use]
    pub fn into_master(self) -> OwnedFd {
        self.master
    }

    /// Sets the size, in characters.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`].
    pub fn set_window(&self, rows: u16, columns: u16) -> Result<(), SandboxError> {
        set_window(self.master.as_fd(), rows, columns)
    }

    /// Gives the program's end to a user, who may have to open it again through `/dev/tty`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`] for a user that exists here; others are left out.
    pub fn give_to(&self, uid: u32) -> Result<(), SandboxError> {
        let Some(slave) = &self.slave else {
            return Ok(());
        };
        match rustix::fs::fchown(slave, Some(rustix::fs::Uid::from_raw(uid)), None) {
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => Ok(()),
            Err(errno) => Err(explain(errno)),
        }
    }
}

fn is_devpts(directory: BorrowedFd<'_>) -> bool {
    fstatfs(directory).is_ok_and(|facts| facts.f_type as u64 == DEVPTS)
}

fn explain(errno: Errno) -> SandboxError {
    SandboxError::operation(OP, errno)
}

/// Sets the size of the terminal behind `terminal`, in characters.
///
/// # Errors
///
/// [`SandboxError::Setup`] if it is no terminal.
pub fn set_window(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<(), SandboxError> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size)
        .map_err(|errno| SandboxError::operation("set the terminal's size", errno))
}
