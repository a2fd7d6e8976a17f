//! Operations in words, for people who look at a plan.

use crate::capabilities::CapabilitySet;
use crate::ops::Op;
use crate::spec::{Lower, Missing, Rootfs};

impl Op {
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
            Op::Devices { target } => format!("mount places for devices on `{target}`"),
            Op::BindNode { name, target } => format!("mount device `{name}` on `{target}`"),
            Op::BindDevice { name, target } => {
                format!("mount the host's `/dev/{name}` on `{target}` (read-only but for its use)")
            }
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
            Op::DeviceNodes { .. }
            | Op::DieWithParent
            | Op::NewSession
            | Op::NewKeyring
            | Op::NewControlGroups
            | Op::HideProcess
            | Op::CutPropagation
            | Op::SealRoot
            | Op::LoopbackUp
            | Op::PivotRoot
            | Op::Gate
            | Op::Streams
            | Op::ControlTerminal
            | Op::Announce
            | Op::NoNewPrivileges => self.name().to_owned(),
        }
    }
}

impl Rootfs {
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
