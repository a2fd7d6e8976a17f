//! From planned operations to what the child carries out.
//!
//! Whatever can be done outside the child is done here, where allocating and
//! explaining are allowed: mounts are made detached and handed over as
//! descriptors, so that all the child has to do is attach them. A sandbox that
//! never starts leaves nothing behind, because closing a detached mount ends it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use dissolver_sys::child::{Create, Filter, Identity, KernelMount, Step, SystemTarget, Target};
use dissolver_sys::kernel::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use dissolver_sys::walls::{Wall, stands};
use rustix::fs::{FileType, Gid, Uid, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::aside;
use crate::device_rules::Group;
use crate::devices;
use crate::host::Host;
use crate::mounts::{DEVPTS, Detached, TMPFS, detach_bind};
use crate::ops::Op;
use crate::overlay;
use crate::process::above_streams;
use crate::report::SandboxError;
use crate::spec::{Devices, Missing, Rootfs, Spec};
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
    /// Whether device files work in the device directory only.
    has_own_devices: bool,
    /// The control group that holds it to few devices.
    group: Option<Group>,
}

impl Workshop {
    /// Equips the program of `spec`; with a terminal the streams are ignored, and missing ones
    /// lead nowhere.
    pub fn new(
        spec: &Spec,
        host: &Host,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<Workshop, SandboxError> {
        let streams = if spec.terminal {
            None
        } else {
            Some(usable(streams, || devices::open_null(host.makes_devices))?)
        };
        Ok(Workshop {
            streams,
            wants_terminal: spec.terminal,
            window: spec.window,
            owner: spec.user.uid,
            has_own_devices: spec.devices == Devices::Own && stands(Wall::NoDevices),
            ..Workshop::empty()
        })
    }

    /// Equips a program of the host's, which gets these streams, and its own `/dev/null` for
    /// missing ones.
    pub fn of_host(streams: [Option<OwnedFd>; 3]) -> Result<Workshop, SandboxError> {
        Ok(Workshop {
            streams: Some(usable(streams, devices::open_null_of_host)?),
            ..Workshop::empty()
        })
    }

    fn empty() -> Workshop {
        Workshop {
            streams: None,
            pty: None,
            wants_terminal: false,
            window: None,
            owner: 0,
            joined: None,
            root: None,
            has_own_devices: true,
            group: None,
        }
    }

    /// Takes the container to join.
    pub fn joining(self, pidfd: OwnedFd) -> Workshop {
        Workshop {
            joined: Some(pidfd),
            ..self
        }
    }

    /// Takes the control group that the process is to be in.
    pub fn held_to(self, group: Option<Group>) -> Workshop {
        Workshop { group, ..self }
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

    /// What outlives the preparations: this side's end of the terminal, a hold on the root, and
    /// the control group.
    pub fn into_parts(self) -> (Option<OwnedFd>, Option<OwnedFd>, Option<Group>) {
        (self.pty.map(Pty::into_master), self.root, self.group)
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
            Op::NewKeyring => Step::NewKeyring,
            Op::NewControlGroups => Step::NewControlGroups,
            Op::HideProcess => Step::Undumpable,
            Op::JoinNamespaces { flags, .. } => {
                Step::Join(self.joined.take().ok_or_else(|| missing(op))?, *flags)
            }
            Op::ClearUmask => Step::Umask(0),
            Op::CutPropagation => Step::CutPropagation,
            Op::MountRoot(rootfs) => self.mount_root(op, rootfs)?,
            Op::Bind {
                source,
                target,
                read_only,
                recursive,
                create,
            } => {
                let tree = detach_bind(op.name(), source, *recursive, self.attributes(*read_only))?;
                let create = create.map_or_else(|| kind_of(op, &tree), Ok)?;
                Step::Attach(tree, place(target, Some(create))?)
            }
            Op::Tmpfs {
                target,
                size,
                mode,
                executable,
                read_only,
            } => {
                let attributes = MOUNT_ATTR_NOSUID
                    | if *executable { 0 } else { MOUNT_ATTR_NOEXEC }
                    | self.attributes(*read_only);
                let tree = detach_tmpfs(op, *size, *mode, attributes)?;
                Step::Attach(tree, place(target, Some(Missing::Directory))?)
            }
            Op::DeviceNodes { mountpoint } => {
                Step::AttachNodes(devices::detach_nodes(op)?, text(mountpoint)?)
            }
            Op::Devices { target } => {
                let tree = devices::detach(op, self.wants_terminal, self.attributes(false))?;
                Step::AttachSystem(tree, system(target, TMPFS)?)
            }
            Op::BindNode { name, target } => Step::BindNode(text(name)?, text(target)?),
            Op::BindDevice { name, target } => Step::BindDevice {
                tree: devices::detach_device(op.name(), name)?,
                place: text(target)?,
                is_nothing: *name == devices::NULL,
            },
            Op::Terminals { target, group } => {
                let tree = devices::detach_terminals(op.name(), *group)?;
                if self.wants_terminal && self.pty.is_none() {
                    self.take_terminal(Pty::open_in(tree.as_fd())?)?;
                }
                Step::AttachSystem(tree, system(target, DEVPTS)?)
            }
            Op::Console { terminals, target } => {
                let number = self.pty.as_ref().ok_or_else(|| missing(op))?.number();
                Step::BindConsole(text(&format!("{terminals}/{number}"))?, text(target)?)
            }
            Op::Kernel {
                kind,
                target,
                read_only,
            } => {
                let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
                let attributes = attributes | if *read_only { MOUNT_ATTR_RDONLY } else { 0 };
                let wanted = KernelMount {
                    kind: text(kind.name())?,
                    options: vec![(c"source".to_owned(), text(kind.name())?)],
                    attributes: attributes as u32,
                };
                Step::Mount(wanted, system(target, kind.magic())?)
            }
            Op::Stack(rootfs) => aside::stack(op, rootfs, self.attributes(false))?,
            Op::MemoryFile {
                content,
                mountpoint,
                mode,
                uid,
                gid,
                executable,
            } => aside::memory_file(op, content, mountpoint, *mode, (*uid, *gid), *executable)?,
            Op::ShowPart {
                mountpoint,
                source,
                target,
                read_only,
                create,
            } => Step::BindAside {
                mountpoint: text(mountpoint)?,
                source: text(source)?,
                attributes: self.attributes(*read_only),
                target: place(target, Some(*create))?,
            },
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
            Op::Streams => Step::Streams(self.streams.take().ok_or_else(|| missing(op))?),
            Op::ControlTerminal => {
                let slave = self.pty.as_mut().and_then(Pty::take_slave);
                Step::Terminal(slave.ok_or_else(|| missing(op))?)
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
            Op::Limit {
                number, soft, hard, ..
            } => Step::Limit(*number, *soft, *hard),
            Op::Announce => Step::Announce,
            Op::NoNewPrivileges => Step::NoNewPrivileges,
            Op::Seccomp(filter) => Step::Seccomp(Filter::from_bytes(filter)),
            Op::Capabilities(set) => Step::Capabilities(set.0),
        })
    }

    fn mount_root(&mut self, op: &Op, rootfs: &Rootfs) -> Result<Step, SandboxError> {
        let step = overlay::prepare(op, rootfs, self.attributes(false))?;
        if let Step::AttachRoot(tree, _) = &step {
            let copy = fcntl_dupfd_cloexec(tree, 3);
            self.root = Some(copy.map_err(|errno| SandboxError::operation(op.name(), errno))?);
        }
        Ok(step)
    }

    /// What every mount has that is not one of the few with devices.
    fn attributes(&self, is_read_only: bool) -> u64 {
        let read_only = if is_read_only { MOUNT_ATTR_RDONLY } else { 0 };
        read_only
            | if self.has_own_devices {
                MOUNT_ATTR_NODEV
            } else {
                0
            }
    }
}

fn detach_tmpfs(
    op: &Op,
    size: Option<u64>,
    mode: u32,
    attributes: u64,
) -> Result<OwnedFd, SandboxError> {
    let mut wanted = Detached::new(op, "tmpfs")?;
    if let Some(size) = size {
        wanted.set("size", &size.to_string())?;
    }
    wanted.set("mode", &format!("{mode:o}"))?;
    wanted.finish(attributes)
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

/// Puts a null device of the container's own where a stream is missing.
///
/// The host's would do for reading and writing, but whoever has it open may also change
/// its mode and its owner.
fn usable(
    streams: [Option<OwnedFd>; 3],
    open_null: impl Fn() -> Result<OwnedFd, SandboxError>,
) -> Result<[OwnedFd; 3], SandboxError> {
    let mut nothing = None;
    let mut one = |stream: Option<OwnedFd>| {
        let explain = |errno| SandboxError::setup("open", "/dev/null", errno);
        let stream = match (stream, &nothing) {
            (Some(stream), _) => stream,
            (None, Some(made)) => fcntl_dupfd_cloexec(made, 3).map_err(explain)?,
            (None, None) => {
                let made = open_null()?;
                let copy = fcntl_dupfd_cloexec(&made, 3).map_err(explain)?;
                nothing = Some(made);
                copy
            }
        };
        above_streams(stream).map_err(explain)
    };
    let [input, output, error] = streams;
    Ok([one(input)?, one(output)?, one(error)?])
}

/// A plan that asks for something before an earlier operation provided it.
pub(crate) fn missing(op: &Op) -> SandboxError {
    SandboxError::operation(op.name(), Errno::BADF)
}

pub(crate) fn place(path: &str, create: Option<Missing>) -> Result<Target, SandboxError> {
    let create = create.map(|missing| match missing {
        Missing::Directory => Create::Directory,
        Missing::File => Create::File,
    });
    Ok(Target {
        path: text(path)?,
        create,
    })
}

/// Where one of the system's own mounts goes, and the type of file system that is there then.
fn system(path: &str, magic: u64) -> Result<SystemTarget, SandboxError> {
    Ok(SystemTarget {
        path: text(path)?,
        magic,
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
