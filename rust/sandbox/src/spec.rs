//! What is wanted: the sandbox specification, as it arrives in JSON.
//!
//! The types mirror `python/dissolver/sandbox/spec.py`. Unknown fields are refused, so
//! that a newer caller cannot believe in a protection that this core does not know.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::capabilities::CapabilitySet;
use crate::report::SandboxError;

/// The format that this version understands.
pub const FORMAT: u32 = 1;

/// Everything about one process and the world it sees.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The root file system.
    pub rootfs: Rootfs,
    /// The name of the machine.
    pub hostname: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// The working directory, inside the root.
    pub cwd: String,
    /// Whom the program runs as.
    pub user: User,
    /// The mask for new files.
    pub umask: u32,
    /// Whether the program gets a terminal of its own.
    pub terminal: bool,
    /// The terminal's first size: rows, columns.
    pub window: Option<(u16, u16)>,
    /// What is mounted inside the root, in this order.
    pub mounts: Vec<Mount>,
    /// Which namespaces are shared with the host.
    pub namespaces: Namespaces,
    /// What a root process may do, and the most that any process may get.
    pub capabilities: Vec<String>,
    /// Whether executing programs can no longer add privileges.
    pub no_new_privileges: bool,
    /// Which device files work.
    #[serde(default)]
    pub devices: Devices,
    /// A compiled filter for system calls, in base64.
    pub seccomp: Option<String>,
    /// What is hidden.
    pub masked_paths: Vec<String>,
    /// What may not be written to.
    pub read_only_paths: Vec<String>,
    /// Limits of resources.
    pub rlimits: Vec<Limit>,
    /// Kernel settings of the container's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Whether the container is killed when the process that started it ends.
    pub die_with_parent: bool,
}

/// One read-only part of a root file system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Lower {
    /// A directory of the host, by its absolute path.
    Directory(String),
    /// A layer that is mounted in place: part of the root file system and of no mount table.
    Erofs {
        /// The image, an ordinary file.
        erofs: String,
        /// The files that its contents lie in, in the order that the image expects.
        devices: Vec<String>,
    },
}

impl Lower {
    /// The directory, or the image.
    #[must_use]
    pub fn path(&self) -> &String {
        match self {
            Lower::Directory(path) => path,
            Lower::Erofs { erofs, .. } => erofs,
        }
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        let devices = match self {
            Lower::Directory(_) => &[][..],
            Lower::Erofs { devices, .. } => devices,
        };
        [self.path()].into_iter().chain(devices)
    }
}

/// What makes up the root file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Read-only layers, top-most first.
    pub lowers: Vec<Lower>,
    /// Where changes go.
    pub upper: Option<String>,
    /// The overlay's own working directory, on the same file system as `upper`.
    pub work: Option<String>,
    /// An existing empty directory of the host, under which it all appears for a moment.
    pub mountpoint: String,
    /// Whether the whole root is read-only once everything is mounted in it.
    pub read_only: bool,
    /// Whether overlay attributes are kept as user attributes, as without privilege they must be.
    pub userxattr: bool,
    /// Whether the overlay may leave out syncing: for an upper directory that a crash makes worthless.
    #[serde(default)]
    pub volatile: bool,
}

/// A user, by number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User ID.
    pub uid: u32,
    /// Primary group ID.
    pub gid: u32,
    /// Supplementary group IDs.
    pub groups: Vec<u32>,
}

/// What to make where a bind's target is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// An empty directory.
    Directory,
    /// An empty file.
    File,
}

/// Something mounted inside the root.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Mount {
    /// A file or directory of the host.
    Bind {
        /// Its absolute path on the host.
        source: String,
        /// Where it appears.
        target: String,
        /// Whether the container may only read it.
        read_only: bool,
        /// Whether what is mounted below the source appears too.
        recursive: bool,
        /// What to make where the target is missing; by default what the source is.
        create: Option<Missing>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Where it appears.
        target: String,
        /// The most it may hold, in bytes.
        size: Option<u64>,
        /// The mode of its root directory.
        mode: u32,
        /// Whether programs in it may be executed.
        #[serde(default)]
        executable: bool,
        /// Whether it may only be read.
        #[serde(default)]
        read_only: bool,
    },
    /// Processes.
    Proc {
        /// Where it appears.
        target: String,
    },
    /// Devices and drivers, read-only unless said otherwise.
    Sysfs {
        /// Where it appears.
        target: String,
        /// Whether it may only be read.
        #[serde(default = "yes")]
        read_only: bool,
    },
    /// Pseudo terminals.
    Devpts {
        /// Where it appears.
        target: String,
    },
    /// POSIX message queues.
    Mqueue {
        /// Where it appears.
        target: String,
    },
    /// Control groups.
    Cgroup {
        /// Where it appears.
        target: String,
        /// Whether it may only be read.
        #[serde(default = "yes")]
        read_only: bool,
    },
    /// The device directory.
    Dev {
        /// Where it appears.
        target: String,
    },
    /// A file or directory out of layers, stacked as a root file system is.
    Layers {
        /// The layers; what is written goes to their `upper`.
        rootfs: Rootfs,
        /// The absolute path in them; symlinks stay inside.
        source: String,
        /// Where it appears.
        target: String,
        /// Whether the container may only read it.
        read_only: bool,
        /// What to make where the target is missing.
        create: Missing,
    },
    /// A file that is given with the specification and lies in memory only; it may only be read.
    File {
        /// What is in it, in base64.
        content: Content,
        /// An existing empty directory of the host, under which it appears for a moment.
        mountpoint: String,
        /// Where it appears.
        target: String,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Whether it may be executed, if its mode says so.
        #[serde(default)]
        executable: bool,
    },
}

/// What is in a file. It may be a secret, so no message shows it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Content(String);

impl Content {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadSpec`] if it is not base64.
    pub fn decode(&self) -> Result<Vec<u8>, SandboxError> {
        let decoded = STANDARD.decode(&self.0);
        decoded.map_err(|_| bad("`content` is not base64".to_owned()))
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Content of {} characters", self.0.len())
    }
}

fn yes() -> bool {
    true
}

/// Which namespaces are shared with the host; those not named are always new.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// The network.
    pub network: Network,
}

/// Whose network the container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The one of the process that starts it.
    Host,
    /// Its own, with nothing but a loopback interface.
    New,
}

/// Which device files work inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Devices {
    /// The few in the container's own device directory; others can be made, but not opened.
    #[default]
    Own,
    /// All that the machine has, wherever their files are.
    All,
}

/// A limit of one resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its name in lower case, such as `nofile`.
    pub name: String,
    /// What applies; -1 is no limit.
    pub soft: i128,
    /// How far the program may raise it; -1 is no limit.
    pub hard: i128,
}

impl Spec {
    /// Reads and checks a specification.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadSpec`] says which part is wrong.
    pub fn decode(json: &[u8]) -> Result<Spec, SandboxError> {
        let spec: Spec = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    /// The capabilities, as a set.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadSpec`] names one that is unknown.
    pub fn capability_set(&self) -> Result<CapabilitySet, SandboxError> {
        CapabilitySet::from_names(&self.capabilities)
    }

    fn check(&self) -> Result<(), SandboxError> {
        if self.format != FORMAT {
            return Err(bad(format!(
                "format {} is not {FORMAT}, the one that this version knows",
                self.format
            )));
        }
        if self.argv.is_empty() {
            return Err(bad("`argv` is empty".to_owned()));
        }
        self.rootfs.check()?;
        for mount in &self.mounts {
            mount.check()?;
        }
        if self.umask > 0o777 {
            return Err(bad(format!(
                "`umask` {:#o} has bits beyond 0o777",
                self.umask
            )));
        }
        let ids = [self.user.uid, self.user.gid]
            .into_iter()
            .chain(self.user.groups.iter().copied());
        for id in ids {
            if id == u32::MAX {
                return Err(bad(format!("{id} is no user or group ID")));
            }
        }
        let mounted = self.mounts.iter().flat_map(Mount::paths);
        let paths = self.rootfs.paths().chain(mounted).chain([&self.cwd]);
        for path in paths.chain(&self.masked_paths).chain(&self.read_only_paths) {
            if !path.starts_with('/') {
                return Err(bad(format!("the path `{path}` is not absolute")));
            }
        }
        if self
            .mounts
            .iter()
            .any(|mount| mount.target().bytes().all(|byte| byte == b'/'))
        {
            return Err(bad(
                "nothing can be mounted on `/` but the root file system".to_owned(),
            ));
        }
        self.capability_set().map(drop)
    }
}

impl Rootfs {
    fn check(&self) -> Result<(), SandboxError> {
        if self.lowers.is_empty() && self.upper.is_none() {
            return Err(bad(
                "the root file system has neither lowers nor an upper directory".to_owned(),
            ));
        }
        if self.upper.is_some() && self.work.is_none() && !self.lowers.is_empty() {
            return Err(bad("`upper` needs `work` beside it".to_owned()));
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        self.lowers
            .iter()
            .flat_map(Lower::paths)
            .chain(&self.upper)
            .chain(&self.work)
            .chain([&self.mountpoint])
    }
}

impl Mount {
    fn check(&self) -> Result<(), SandboxError> {
        match self {
            Mount::Layers { rootfs, .. } => rootfs.check(),
            Mount::File { content, .. } => content.decode().map(drop),
            _ => Ok(()),
        }
    }

    /// Where it appears inside the root.
    #[must_use]
    pub fn target(&self) -> &String {
        match self {
            Mount::Bind { target, .. }
            | Mount::Tmpfs { target, .. }
            | Mount::Proc { target }
            | Mount::Sysfs { target, .. }
            | Mount::Devpts { target }
            | Mount::Mqueue { target }
            | Mount::Cgroup { target, .. }
            | Mount::Dev { target }
            | Mount::Layers { target, .. }
            | Mount::File { target, .. } => target,
        }
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        let (source, rootfs) = match self {
            Mount::Bind { source, .. } => (Some(source), None),
            Mount::Layers { source, rootfs, .. } => (Some(source), Some(rootfs)),
            Mount::File { mountpoint, .. } => (Some(mountpoint), None),
            _ => (None, None),
        };
        let stacked = rootfs.into_iter().flat_map(Rootfs::paths);
        [self.target()].into_iter().chain(source).chain(stacked)
    }
}

fn bad(reason: String) -> SandboxError {
    SandboxError::BadSpec { reason }
}
