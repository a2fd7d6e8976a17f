//! Operations as values: they can be printed, ordered and compared without privilege.

use crate::capabilities::CapabilitySet;
use crate::spec::{Content, Lower, Missing, Rootfs, User};

/// One step of making a sandbox. What each does is in `docs/sandbox.md`.
#[derive(Debug, Clone)]
pub enum Op {
    /// Ask to be killed when the parent ends.
    DieWithParent,
    /// Become a session leader.
    NewSession,
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
    /// Mount a device directory.
    Devices {
        /// In the root.
        target: String,
        /// Whether it gets device nodes, or files to bind the host's devices on.
        makes_nodes: bool,
    },
    /// Show one device of the host.
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
    /// Refuse to execute a program of the host.
    CheckProgram,
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
}

impl Op {
    /// What the operation is called in failures: an imperative without its object.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::DieWithParent => "tie the container to its parent",
            Op::NewSession => "start a session",
            Op::HideProcess => "hide the process",
            Op::JoinNamespaces { .. } => "join the container's namespaces",
            Op::ClearUmask | Op::Umask(_) => "set the umask",
            Op::CutPropagation => "cut mounts off from the host",
            Op::MountRoot(rootfs) if rootfs.is_overlay() => "mount overlay",
            Op::MountRoot(_) => "mount the root file system",
            Op::Bind { .. } => "mount bind",
            Op::Tmpfs { .. } => "mount tmpfs",
            Op::Devices { .. } => "mount devices",
            Op::BindDevice { .. } => "mount device",
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
            Op::CheckProgram => "check the program",
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
            Op::MemoryFile { mountpoint, .. } => Some(mountpoint.clone()),
            Op::Bind { target, .. }
            | Op::Tmpfs { target, .. }
            | Op::Devices { target, .. }
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
            _ => None,
        }
    }

    /// The operation in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Op::JoinNamespaces { pid, .. } => format!("{} of process {pid}", self.name()),
            Op::ClearUmask => "set the umask to 000".to_owned(),
            Op::Umask(mask) => format!("set the umask to {mask:03o}"),
            Op::MountRoot(rootfs) => rootfs.describe("as the root file system "),
            Op::Stack(rootfs) => rootfs.describe("aside "),
            Op::MemoryFile {
                mode,
                uid,
                gid,
                executable,
                ..
            } => {
                // Its content may be a secret.
                let mode = format!("mode {mode:04o}");
                let owner = format!("owner {uid}:{gid}");
                let words = [
                    Some(mode.as_str()),
                    Some(owner.as_str()),
                    executable.then_some("executable"),
                ];
                format!("{}{}", self.name(), in_brackets(&words))
            }
            Op::ShowPart {
                source,
                target,
                read_only,
                create,
                ..
            } => {
                let words = [
                    read_only.then_some("read-only"),
                    Some(made_if_missing(*create)),
                ];
                format!(
                    "mount `{source}` of that on `{target}`{}",
                    in_brackets(&words)
                )
            }
            Op::Bind {
                source,
                target,
                read_only,
                recursive,
                create,
            } => {
                let words = [
                    read_only.then_some("read-only"),
                    (!recursive).then_some("without what is mounted below"),
                    create.map(made_if_missing),
                ];
                format!("mount bind `{source}` on `{target}`{}", in_brackets(&words))
            }
            Op::Tmpfs {
                target,
                size,
                mode,
                executable,
                read_only,
            } => {
                let size = size.map(|bytes| format!("{bytes} bytes"));
                let mode = format!("mode {mode:04o}");
                let words = [
                    size.as_deref(),
                    Some(mode.as_str()),
                    executable.then_some("executable"),
                    read_only.then_some("read-only"),
                ];
                format!("mount tmpfs on `{target}`{}", in_brackets(&words))
            }
            Op::Devices {
                target,
                makes_nodes: true,
            } => format!("mount devices on `{target}`"),
            Op::Devices {
                target,
                makes_nodes: false,
            } => format!("mount places for the host's devices on `{target}`"),
            Op::BindDevice { name, target } => format!("mount device `/dev/{name}` on `{target}`"),
            Op::Terminals { target, group } => {
                let group = group.map(|group| format!("group {group}"));
                format!(
                    "mount devpts on `{target}`{}",
                    in_brackets(&[group.as_deref()])
                )
            }
            Op::Console { target, .. } => format!("mount the terminal on `{target}`"),
            Op::Kernel {
                kind,
                target,
                read_only,
            } => {
                format!(
                    "mount {} on `{target}`{}",
                    kind.name(),
                    in_brackets(&[read_only.then_some("read-only")])
                )
            }
            Op::Mask(path) => format!("mask `{path}`"),
            Op::ReadOnly(path) => format!("make `{path}` read-only"),
            Op::Sysctl { key, value } => format!("set sysctl `{key}` to `{value}`"),
            Op::HostName(name) => format!("set the host name to `{name}`"),
            Op::EnterDirectory(path) => format!("enter the working directory `{path}`"),
            Op::EnterDirectoryAgain(path) => {
                format!("enter `{path}` as the user if root was refused")
            }
            Op::DropBounding(set) => format!("drop from the bounding set: {}", list(*set)),
            Op::Become { user, sets_groups } => {
                let groups: Vec<String> = user.groups.iter().map(u32::to_string).collect();
                let groups = if *sets_groups {
                    format!("groups {}", groups.join(","))
                } else {
                    "no groups".to_owned()
                };
                format!("become user {}:{} with {groups}", user.uid, user.gid)
            }
            Op::Limit {
                name, soft, hard, ..
            } => format!("limit {name} to {}, at most {}", limit(*soft), limit(*hard)),
            Op::Seccomp(filter) => format!(
                "load a system call filter of {} instructions",
                filter.len() / 8
            ),
            Op::Capabilities(set) => format!("set capabilities: {}", list(*set)),
            _ => self.name().to_owned(),
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

    /// In words; `whatfor` says what else than an overlay is mounted for, with a space behind it.
    fn describe(&self, whatfor: &str) -> String {
        let on = &self.mountpoint;
        match (&self.upper, self.lowers.as_slice()) {
            (Some(upper), []) => format!("mount `{upper}` {whatfor}on `{on}`"),
            (None, [lower]) => {
                let lower = lower.path();
                format!("mount `{lower}` {whatfor}on `{on}` (read-only)")
            }
            (upper, lowers) => {
                let upper = upper.as_ref().map(|upper| format!("changes in `{upper}`"));
                let images = lowers
                    .iter()
                    .filter(|lower| matches!(lower, Lower::Erofs { .. }))
                    .count();
                let images = (images > 0).then(|| format!("{images} mounted in place"));
                let words = [
                    images.as_deref(),
                    Some(upper.as_deref().unwrap_or("read-only")),
                    self.userxattr.then_some("user attributes"),
                    self.volatile.then_some("volatile"),
                ];
                format!(
                    "mount overlay of {} layers on `{on}`{}",
                    lowers.len(),
                    in_brackets(&words)
                )
            }
        }
    }
}

fn made_if_missing(kind: Missing) -> &'static str {
    match kind {
        Missing::Directory => "made as a directory if missing",
        Missing::File => "made as a file if missing",
    }
}

fn in_brackets(words: &[Option<&str>]) -> String {
    let words: Vec<&str> = words.iter().flatten().copied().collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

fn list(set: CapabilitySet) -> String {
    let names = set.names();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

fn limit(value: u64) -> String {
    if value == u64::MAX {
        "unlimited".to_owned()
    } else {
        value.to_string()
    }
}
