//! Operations as values: they can be printed, ordered and compared without privilege.

use crate::capabilities::CapabilitySet;
use crate::spec::{Content, Missing, Rootfs, User};

/// One step of making a sandbox. What each does is in `docs/sandbox.md`.
#[derive(Debug, Clone)]
pub enum Op {
    /// Ask to be killed when the parent ends.
    DieWithParent,
    /// Become a session leader.
    NewSession,
    /// Leave the keyring of the session for a new one.
    NewKeyring,
    /// Begin the tree of control groups at the container's own.
    NewControlGroups,
    /// Hide from processes that are in the container already.
    HideProcess,
    /// Move into the namespaces of a running container.
    JoinNamespaces {
        /// The container's first process.
        pid: i32,
        /// `CLONE_NEW*` flags.
        flags: u32,
    },
    /// Clear the mask for new files, so that modes are what the plan says.
    ClearUmask,
    /// Cut the mount namespace off from the host's.
    CutPropagation,
    /// Mount the root file system.
    MountRoot(Rootfs),
    /// Show a file or directory of the host.
    Bind {
        /// On the host.
        source: String,
        /// In the root.
        target: String,
        /// Whether it may only be read.
        read_only: bool,
        /// Whether it comes with what is mounted below it.
        recursive: bool,
        /// What to make of a missing target; by default what the source is.
        create: Option<Missing>,
    },
    /// Mount an empty file system in memory.
    Tmpfs {
        /// In the root.
        target: String,
        /// Bytes.
        size: Option<u64>,
        /// Of its root directory.
        mode: u32,
        /// Whether programs may be executed from it.
        executable: bool,
        /// Whether it may only be read.
        read_only: bool,
    },
    /// Make the container's own device nodes, where only the next operations reach them.
    DeviceNodes {
        /// On the host, where the root will cover them.
        mountpoint: String,
    },
    /// Mount a device directory, with places for devices.
    Devices {
        /// In the root.
        target: String,
    },
    /// Show one of the container's own device nodes.
    BindNode {
        /// Its name.
        name: &'static str,
        /// In the root.
        target: String,
    },
    /// Show one device of the host, which can be used but not changed.
    BindDevice {
        /// Its name in `/dev`.
        name: &'static str,
        /// In the root.
        target: String,
    },
    /// Mount pseudo terminals of the container's own.
    Terminals {
        /// In the root.
        target: String,
        /// Which group owns them.
        group: Option<u32>,
    },
    /// Show the container's terminal as its console.
    Console {
        /// Where terminals are mounted in the root.
        terminals: String,
        /// Where the console appears.
        target: String,
    },
    /// Mount a file system that belongs to the container's namespaces.
    Kernel {
        /// Its type.
        kind: KernelKind,
        /// In the root.
        target: String,
        /// Whether it may only be read.
        read_only: bool,
    },
    /// Stack layers aside, on a directory of the host.
    Stack(Rootfs),
    /// Make a file in memory, aside, on a directory of the host.
    MemoryFile {
        /// What is in it.
        content: Content,
        /// On the host.
        mountpoint: String,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Whether it may be executed.
        executable: bool,
    },
    /// Show a part of what was mounted aside, and give up the rest.
    ShowPart {
        /// Where it was mounted on the host.
        mountpoint: String,
        /// Inside that.
        source: String,
        /// In the root.
        target: String,
        /// Whether it may only be read.
        read_only: bool,
        /// What to make of a missing target.
        create: Missing,
    },
    /// Hide a path.
    Mask(String),
    /// Make a path read-only.
    ReadOnly(String),
    /// Make the root file system read-only.
    SealRoot,
    /// Set a kernel parameter of the new namespaces.
    Sysctl {
        /// With dots.
        key: String,
        /// As it is written.
        value: String,
    },
    /// Name the machine.
    HostName(String),
    /// Bring the loopback interface up.
    LoopbackUp,
    /// Change into the root file system for good.
    PivotRoot,
    /// Wait until the parent says go.
    Gate,
    /// Connect standard input, output and error.
    Streams,
    /// Take the terminal as the controlling one, and as the standard streams.
    ControlTerminal,
    /// Enter the working directory.
    EnterDirectory(String),
    /// Enter it as the user, if root was refused.
    EnterDirectoryAgain(String),
    /// Drop capabilities from the bounding set.
    DropBounding(CapabilitySet),
    /// Become the user.
    Become {
        /// Whom.
        user: User,
        /// Whether supplementary groups can be set.
        sets_groups: bool,
    },
    /// Set the mask for new files.
    Umask(u32),
    /// Limit a resource.
    Limit {
        /// Its name.
        name: String,
        /// `RLIMIT_*`.
        number: u32,
        /// What applies.
        soft: u64,
        /// The most.
        hard: u64,
    },
    /// Tell the parent that only the program is left.
    Announce,
    /// Give up gaining privileges.
    NoNewPrivileges,
    /// Load the filter for system calls.
    Seccomp(Vec<u8>),
    /// Keep these capabilities, and no others.
    Capabilities(CapabilitySet),
}

/// File systems that show a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelKind {
    /// The PID namespace.
    Proc,
    /// The network namespace, and the machine.
    Sysfs,
    /// The IPC namespace.
    Mqueue,
    /// The cgroup namespace.
    Cgroup2,
}

impl KernelKind {
    /// The file system's type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelKind::Proc => "proc",
            KernelKind::Sysfs => "sysfs",
            KernelKind::Mqueue => "mqueue",
            KernelKind::Cgroup2 => "cgroup2",
        }
    }

    /// The type as `statfs(2)` tells it; `linux/magic.h` has the numbers.
    #[must_use]
    pub fn magic(self) -> u64 {
        match self {
            KernelKind::Proc => 0x9fa0,
            KernelKind::Sysfs => 0x6265_6572,
            KernelKind::Mqueue => 0x1980_0202,
            KernelKind::Cgroup2 => 0x6367_7270,
        }
    }
}

impl Op {
    /// What the operation is called in failures: an imperative without its object.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::DieWithParent => "tie the container to its parent",
            Op::NewSession => "start a session",
            Op::NewKeyring => "make a keyring",
            Op::NewControlGroups => "make a namespace of control groups",
            Op::HideProcess => "hide the process",
            Op::JoinNamespaces { .. } => "join the container's namespaces",
            Op::ClearUmask | Op::Umask(_) => "set the umask",
            Op::CutPropagation => "cut mounts off from the host",
            Op::MountRoot(rootfs) if rootfs.is_overlay() => "mount overlay",
            Op::MountRoot(_) => "mount the root file system",
            Op::Bind { .. } => "mount bind",
            Op::Tmpfs { .. } => "mount tmpfs",
            Op::DeviceNodes { .. } => "make device nodes",
            Op::Devices { .. } => "mount devices",
            Op::BindNode { .. } | Op::BindDevice { .. } => "mount device",
            Op::Terminals { .. } => "mount devpts",
            Op::Console { .. } => "mount console",
            Op::Kernel {
                kind: KernelKind::Proc,
                ..
            } => "mount proc",
            Op::Kernel {
                kind: KernelKind::Sysfs,
                ..
            } => "mount sysfs",
            Op::Kernel {
                kind: KernelKind::Mqueue,
                ..
            } => "mount mqueue",
            Op::Kernel {
                kind: KernelKind::Cgroup2,
                ..
            } => "mount cgroup2",
            Op::Stack(_) => "mount layers",
            Op::MemoryFile { .. } => "make a file in memory",
            Op::ShowPart { .. } => "mount files",
            Op::Mask(_) => "mask",
            Op::ReadOnly(_) => "make read-only",
            Op::SealRoot => "make the root file system read-only",
            Op::Sysctl { .. } => "set sysctl",
            Op::HostName(_) => "set the host name",
            Op::LoopbackUp => "bring the loopback interface up",
            Op::PivotRoot => "change the root directory",
            Op::Gate => "wait for the start",
            Op::Streams => "connect the standard streams",
            Op::ControlTerminal => "take the terminal",
            Op::EnterDirectory(_) | Op::EnterDirectoryAgain(_) => "enter the working directory",
            Op::DropBounding(_) => "drop capabilities",
            Op::Become { .. } => "become the user",
            Op::Limit { .. } => "set the limit",
            Op::Announce => "announce the program",
            Op::NoNewPrivileges => "give up new privileges",
            Op::Seccomp(_) => "load the system call filter",
            Op::Capabilities(_) => "set capabilities",
        }
    }

    /// What the operation is about, for failures.
    #[must_use]
    pub fn object(&self) -> Option<String> {
        match self {
            Op::MountRoot(rootfs) | Op::Stack(rootfs) => Some(rootfs.mountpoint.clone()),
            Op::MemoryFile { mountpoint, .. } | Op::DeviceNodes { mountpoint } => {
                Some(mountpoint.clone())
            }
            Op::Bind { target, .. }
            | Op::Tmpfs { target, .. }
            | Op::Devices { target, .. }
            | Op::BindNode { target, .. }
            | Op::BindDevice { target, .. }
            | Op::Terminals { target, .. }
            | Op::Console { target, .. }
            | Op::ShowPart { target, .. }
            | Op::Kernel { target, .. } => Some(target.clone()),
            Op::Mask(path) | Op::ReadOnly(path) => Some(path.clone()),
            Op::EnterDirectory(path) | Op::EnterDirectoryAgain(path) => Some(path.clone()),
            Op::Sysctl { key, .. } => Some(key.clone()),
            Op::HostName(name) => Some(name.clone()),
            Op::Become { user, .. } => Some(format!("{}:{}", user.uid, user.gid)),
            Op::Limit { name, .. } => Some(name.clone()),
            Op::DieWithParent
            | Op::NewSession
            | Op::NewKeyring
            | Op::NewControlGroups
            | Op::HideProcess
            | Op::JoinNamespaces { .. }
            | Op::ClearUmask
            | Op::CutPropagation
            | Op::SealRoot
            | Op::LoopbackUp
            | Op::PivotRoot
            | Op::Gate
            | Op::Streams
            | Op::ControlTerminal
            | Op::DropBounding(_)
            | Op::Umask(_)
            | Op::Announce
            | Op::NoNewPrivileges
            | Op::Seccomp(_)
            | Op::Capabilities(_) => None,
        }
    }
}

impl Rootfs {
    /// Whether it takes an overlay: a single directory is bound instead.
    #[must_use]
    pub fn is_overlay(&self) -> bool {
        match self.upper {
            Some(_) => !self.lowers.is_empty(),
            None => self.lowers.len() > 1,
        }
    }
}
