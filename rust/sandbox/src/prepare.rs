//! From planned operations to what the child carries out.
//!
//! Whatever can be done outside the child is done here, where allocating and
//! explaining are allowed: mounts are made detached and handed over as
//! descriptors, so that all the child has to do is attach them. A sandbox that
//! never starts leaves nothing behind, because closing a detached mount ends it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::child::{Create, Filter, Identity, KernelMount, Step, Target};
use dissolver_sys::kernel::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fstat, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::aside;
use crate::devices;
use crate::mounts::{Detached, detach_bind};
use crate::ops::Op;
use crate::overlay;
use crate::process::above_streams;
use crate::report::SandboxError;
use crate::spec::{Missing, Spec};
use crate::terminal::Pty;

/// What preparing needs beside the operations, and what it brings about.
pub(crate) struct Workshop {
    /// The standard streams, until an operation takes them.
    streams: Option<[OwnedFd; 3]>,
    /// The terminal, once there is one.
    pty: Option<Pty>,
    /// Whether the program gets a terminal.
    wants_terminal: bool,
    /// Its first size.
    window: Option<(u16, u16)>,
    /// Whose it is.
    owner: u32,
    /// The container to join.
    joined: Option<OwnedFd>,
    /// What keeps the root file system alive when the container's mounts are gone.
    root: Option<OwnedFd>,
}

impl Workshop {
    /// Equips a program that gets these streams, `/dev/null` for missing ones.
    pub fn with_streams(streams: [Option<OwnedFd>; 3]) -> Result<Workshop, SandboxError> {
        let streams = Some(usable(streams)?);
        Ok(Workshop {
            streams,
            pty: None,
            wants_terminal: false,
            window: None,
            owner: 0,
            joined: None,
            root: None,
        })
    }

    /// Equips the program of `spec`; with a terminal the streams are ignored.
    pub fn for_process(
        spec: &Spec,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<Workshop, SandboxError> {
        let streams = if spec.terminal {
            None
        } else {
            Some(usable(streams)?)
        };
        let (window, owner) = (spec.window, spec.user.uid);
        Ok(Workshop {
            streams,
            pty: None,
            wants_terminal: spec.terminal,
            window,
            owner,
            joined: None,
            root: None,
        })
    }

    /// Takes the container to join.
    pub fn joining(self, pidfd: OwnedFd) -> Workshop {
        Workshop {
            joined: Some(pidfd),
            ..self
        }
    }

    /// Takes the terminal that the program gets, and makes it fit.
    pub fn take_terminal(&mut self, pty: Pty) -> Result<(), SandboxError> {
        if let Some((rows, columns)) = self.window {
            pty.set_window(rows, columns)?;
        }
        pty.give_to(self.owner)?;
        self.pty = Some(pty);
        Ok(())
    }

    /// What outlives the preparations: this side's end of the terminal, and a hold on the root.
    pub fn into_parts(self) -> (Option<OwnedFd>, Option<OwnedFd>) {
        (self.pty.map(Pty::into_master), self.root)
    }

    /// Turns one operation into one step.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`] with the operation's name, for what failed here already.
    pub fn prepare(&mut self, op: &Op) -> Result<Step, SandboxError> {
        Ok(match op {
            Op::DieWithParent => Step::DieWithParent,
            Op::NewSession => Step::NewSession,
            Op::HideProcess => Step::Undumpable,
            Op::JoinNamespaces { flags, .. } => {
                Step::Join(self.joined.take().ok_or_else(|| missing(op))?, *flags)
            }
            Op::ClearUmask => Step::Umask(0),
            Op::CutPropagation => Step::CutPropagation,
            Op::MountRoot(rootfs) => {
                let step = overlay::prepare(op, rootfs)?;
                if let Step::AttachRoot(tree, _) = &step {
                    let copy = fcntl_dupfd_cloexec(tree, 3);
                    self.root =
                        Some(copy.map_err(|errno| SandboxError::operation(op.name(), errno))?);
                }
                step
            }
            Op::Bind { .. }
            | Op::Tmpfs { .. }
            | Op::Devices { .. }
            | Op::BindDevice { .. }
            | Op::Terminals { .. }
            | Op::Console { .. }
            | Op::Kernel { .. } => self.prepare_mount(op)?,
            Op::Stack(_) | Op::MemoryFile { .. } | Op::ShowPart { .. } => aside::prepare(op)?,
            Op::Mask(path) => Step::Mask(text(path)?),
            Op::ReadOnly(path) => Step::ReadOnly(text(path)?),
            Op::SealRoot => Step::SealRoot,
            Op::Sysctl { key, value } => {
                let path = format!("/proc/sys/{}", key.replace('.', "/"));
                Step::WriteFile(text(&path)?, value.clone().into_bytes())
            }
            Op::HostName(name) => Step::HostName(name.clone().into_bytes()),
            Op::LoopbackUp => Step::LoopbackUp,
            Op::PivotRoot => Step::PivotRoot,
            Op::Gate => Step::Gate,
            _ => self.prepare_process(op)?,
        })
    }

    fn prepare_mount(&mut self, op: &Op) -> Result<Step, SandboxError> {
        let directory = |path: &str| target(path, Some(Missing::Directory));
        Ok(match op {
            Op::Bind {
                source,
                target: place,
                read_only,
                recursive,
                create,
            } => {
                let tree = detach_bind(op.name(), source, *recursive, *read_only)?;
                let create = create.map_or_else(|| kind_of(op, &tree), Ok)?;
                Step::Attach(tree, target(place, Some(create))?)
            }
            Op::Tmpfs {
                target,
                size,
                mode,
                executable,
                read_only,
            } => {
                let mut wanted = Detached::new(op, "tmpfs")?;
                if let Some(size) = size {
                    wanted.set("size", &size.to_string())?;
                }
                wanted.set("mode", &format!("{mode:o}"))?;
                let mut attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
                attributes |= if *executable { 0 } else { MOUNT_ATTR_NOEXEC };
                attributes |= if *read_only { MOUNT_ATTR_RDONLY } else { 0 };
                Step::Attach(wanted.finish(attributes)?, directory(target)?)
            }
            Op::Devices {
                target,
                makes_nodes,
            } => Step::Attach(
                devices::detach(op, *makes_nodes, self.wants_terminal)?,
                directory(target)?,
            ),
            Op::BindDevice {
                name,
                target: place,
            } => {
                let tree = detach_bind(op.name(), &format!("/dev/{name}"), false, false)?;
                Step::Attach(tree, target(place, None)?)
            }
            Op::Terminals { target, group } => {
                let tree = devices::detach_terminals(op, *group)?;
                if self.wants_terminal && self.pty.is_none() {
                    self.take_terminal(Pty::open_in(tree.as_fd())?)?;
                }
                Step::Attach(tree, directory(target)?)
            }
            Op::Console {
                terminals,
                target: place,
            } => {
                let number = self.pty.as_ref().ok_or_else(|| missing(op))?.number();
                Step::BindInside(
                    text(&format!("{terminals}/{number}"))?,
                    target(place, Some(Missing::File))?,
                )
            }
            Op::Kernel {
                kind,
                target,
                read_only,
            } => {
                let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
                let attributes = attributes | if *read_only { MOUNT_ATTR_RDONLY } else { 0 };
                let source = (c"source".to_owned(), text(kind.name())?);
                let wanted = KernelMount {
                    kind: text(kind.name())?,
                    options: vec![source],
                    attributes: attributes as u32,
                };
                Step::Mount(wanted, directory(target)?)
            }
            _ => return Err(missing(op)),
        })
    }

    fn prepare_process(&mut self, op: &Op) -> Result<Step, SandboxError> {
        Ok(match op {
            Op::Streams => Step::Streams(self.streams.take().ok_or_else(|| missing(op))?),
            Op::ControlTerminal => {
                let slave = self
                    .pty
                    .as_mut()
                    .and_then(Pty::take_slave)
                    .ok_or_else(|| missing(op))?;
                Step::Terminal(slave)
            }
            Op::EnterDirectory(path) => Step::EnterDirectory(text(path)?),
            Op::EnterDirectoryAgain(path) => Step::EnterDirectoryAgain(text(path)?),
            Op::DropBounding(set) => Step::DropBounding(set.0),
            Op::Become { user, sets_groups } => Step::Become(Identity {
                uid: Uid::from_raw(user.uid),
                gid: Gid::from_raw(user.gid),
                groups: sets_groups
                    .then(|| user.groups.iter().copied().map(Gid::from_raw).collect()),
            }),
            Op::Umask(mask) => Step::Umask(*mask),
            Op::CheckProgram => Step::CheckProgram,
            Op::Limit {
                number, soft, hard, ..
            } => Step::Limit(*number, *soft, *hard),
            Op::Announce => Step::Announce,
            Op::NoNewPrivileges => Step::NoNewPrivileges,
            Op::Seccomp(filter) => Step::Seccomp(Filter::from_bytes(filter)),
            Op::Capabilities(set) => Step::Capabilities(set.0),
            _ => return Err(missing(op)),
        })
    }
}

/// What has to be made for `tree` to be mounted on.
fn kind_of(op: &Op, tree: &OwnedFd) -> Result<Missing, SandboxError> {
    let facts = fstat(tree).map_err(|errno| SandboxError::operation(op.name(), errno))?;
    let is_directory = FileType::from_raw_mode(facts.st_mode) == FileType::Directory;
    Ok(if is_directory {
        Missing::Directory
    } else {
        Missing::File
    })
}

/// Puts `/dev/null` where a stream is missing.
fn usable(streams: [Option<OwnedFd>; 3]) -> Result<[OwnedFd; 3], SandboxError> {
    let [input, output, error] = streams;
    let one = |stream: Option<OwnedFd>| {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let stream = stream.map_or_else(|| openat(CWD, "/dev/null", flags, Mode::empty()), Ok);
        stream
            .and_then(above_streams)
            .map_err(|errno| SandboxError::setup("open", "/dev/null", errno))
    };
    Ok([one(input)?, one(output)?, one(error)?])
}

/// A plan that asks for something before an earlier operation provided it.
pub(crate) fn missing(op: &Op) -> SandboxError {
    SandboxError::operation(op.name(), Errno::BADF)
}

pub(crate) fn target(path: &str, create: Option<Missing>) -> Result<Target, SandboxError> {
    let create = create.map(|missing| match missing {
        Missing::Directory => Create::Directory,
        Missing::File => Create::File,
    });
    Ok(Target {
        path: text(path)?,
        create,
    })
}

/// A string as the kernel takes it.
///
/// # Errors
///
/// [`SandboxError::BadSpec`] if there is a zero byte in it.
pub fn text(string: &str) -> Result<CString, SandboxError> {
    CString::new(string).map_err(|_| SandboxError::BadSpec {
        reason: format!("`{}` has a zero byte in it", string.escape_debug()),
    })
}
