//! From what is wanted to what is done: an ordered list of operations.
//!
//! Pure: the machine's peculiarities come in as [`Host`], nothing is touched.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dissolver_sys::clone;

use crate::capabilities::CapabilitySet;
use crate::host::{Host, TERMINAL_GROUP};
use crate::ops::{KernelKind, Op};
use crate::report::SandboxError;
use crate::spec::{Limit, Missing, Mount, Network, Spec};
use crate::targets::refuse_proc;

/// The device files of every container, with their numbers.
pub const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// Where programs are searched if the environment has no PATH; Docker's value.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a file in memory is called where it is mounted aside.
pub const MEMORY_FILE: &str = "file";
/// The size of one instruction of a filter.
const FILTER_INSTRUCTION_BYTES: usize = 8;
/// The most instructions that the kernel takes: `BPF_MAXINSNS`.
const MOST_FILTER_INSTRUCTIONS: usize = 4096;
/// Kernel parameters that belong to an IPC or UTS namespace, and with it to the container.
const CONTAINED_SYSCTLS: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.domainname",
];
/// Resources by name, with the kernel's numbers.
const LIMITS: [(&str, u32); 16] = [
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

/// What will be done, in order, and what it ends with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The operations.
    pub ops: Vec<Op>,
    /// The `CLONE_NEW*` flags of the child.
    pub namespaces: u32,
    /// The program's paths that are tried, in order.
    pub candidates: Vec<String>,
    /// Whether the program is searched in PATH.
    pub is_searched: bool,
}

/// Plans a new container.
///
/// # Errors
///
/// [`SandboxError::BadSpec`] for what cannot be meant as it stands.
pub fn plan_start(spec: &Spec, host: &Host) -> Result<Plan, SandboxError> {
    let mut ops = Vec::new();
    if spec.die_with_parent {
        ops.push(Op::DieWithParent);
    }
    ops.extend([
        Op::NewSession,
        Op::NewKeyring,
        Op::NewControlGroups,
        Op::ClearUmask,
        Op::CutPropagation,
    ]);
    if host.makes_devices && devices_target(spec).is_some() {
        let mountpoint = spec.rootfs.mountpoint.clone();
        ops.push(Op::DeviceNodes { mountpoint });
    }
    ops.push(Op::MountRoot(spec.rootfs.clone()));
    for mount in &spec.mounts {
        refuse_proc(mount)?;
        plan_mount(mount, spec, host, &mut ops);
    }
    for (key, value) in &spec.sysctls {
        ops.push(Op::Sysctl {
            key: contained_sysctl(key, spec)?.to_owned(),
            value: value.clone(),
        });
    }
    ops.extend(spec.masked_paths.iter().cloned().map(Op::Mask));
    ops.extend(spec.read_only_paths.iter().cloned().map(Op::ReadOnly));
    if spec.rootfs.read_only {
        ops.push(Op::SealRoot);
    }
    ops.push(Op::HostName(spec.hostname.clone()));
    let mut namespaces = clone::NEW_MOUNTS | clone::NEW_PIDS | clone::NEW_UTS | clone::NEW_IPC;
    if spec.namespaces.network == Network::New {
        namespaces |= clone::NEW_NETWORK;
        ops.push(Op::LoopbackUp);
    }
    ops.extend([Op::PivotRoot, Op::Gate]);
    plan_process(spec, host, &mut ops)?;
    Ok(finish(spec, ops, namespaces))
}

/// Plans one more process in a running container, whose first process is `pid`.
///
/// # Errors
///
/// [`SandboxError::BadSpec`] for what cannot be meant as it stands.
pub fn plan_enter(spec: &Spec, host: &Host, pid: i32, joined: u32) -> Result<Plan, SandboxError> {
    // Before anything else: processes inside see it from its first moment.
    let mut ops = vec![Op::HideProcess];
    if spec.die_with_parent {
        ops.push(Op::DieWithParent);
    }
    ops.extend([
        Op::NewSession,
        Op::NewKeyring,
        Op::JoinNamespaces { pid, flags: joined },
        Op::Gate,
    ]);
    plan_process(spec, host, &mut ops)?;
    Ok(finish(spec, ops, 0))
}

fn finish(spec: &Spec, ops: Vec<Op>, namespaces: u32) -> Plan {
    let (candidates, is_searched) = candidates(spec);
    Plan {
        ops,
        namespaces,
        candidates,
        is_searched,
    }
}

impl Plan {
    /// The plan in words, one line for each operation.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let program = format!(
            "execute {}",
            self.candidates
                .iter()
                .map(|path| format!("`{path}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        );
        self.ops.iter().map(Op::describe).chain([program]).collect()
    }
}

fn plan_mount(mount: &Mount, spec: &Spec, host: &Host, ops: &mut Vec<Op>) {
    match mount.clone() {
        Mount::Bind {
            source,
            target,
            read_only,
            recursive,
            create,
        } => {
            ops.push(Op::Bind {
                source,
                target,
                read_only,
                recursive,
                create,
            });
        }
        Mount::Tmpfs {
            target,
            size,
            mode,
            executable,
            read_only,
        } => {
            ops.push(Op::Tmpfs {
                target,
                size,
                mode,
                executable,
                read_only,
            });
        }
        Mount::Layers {
            rootfs,
            source,
            target,
            read_only,
            create,
        } => {
            let mountpoint = rootfs.mountpoint.clone();
            ops.extend([
                Op::Stack(rootfs),
                Op::ShowPart {
                    mountpoint,
                    source,
                    target,
                    read_only,
                    create,
                },
            ]);
        }
        Mount::File {
            content,
            mountpoint,
            target,
            mode,
            uid,
            gid,
            executable,
        } => ops.extend([
            Op::MemoryFile {
                content,
                mountpoint: mountpoint.clone(),
                mode,
                uid,
                gid,
                executable,
            },
            Op::ShowPart {
                mountpoint,
                source: format!("/{MEMORY_FILE}"),
                target,
                read_only: true,
                create: Missing::File,
            },
        ]),
        Mount::Proc { target } => ops.push(Op::Kernel {
            kind: KernelKind::Proc,
            target,
            read_only: false,
        }),
        Mount::Mqueue { target } => ops.push(Op::Kernel {
            kind: KernelKind::Mqueue,
            target,
            read_only: false,
        }),
        Mount::Sysfs { target, read_only } => ops.push(
            if host.is_rootless && spec.namespaces.network == Network::Host {
                // The kernel ties sysfs to the network: who does not own that may not mount it.
                let (source, create) = ("/sys".to_owned(), Some(Missing::Directory));
                Op::Bind {
                    source,
                    target,
                    read_only: true,
                    recursive: true,
                    create,
                }
            } else {
                Op::Kernel {
                    kind: KernelKind::Sysfs,
                    target,
                    read_only,
                }
            },
        ),
        Mount::Cgroup { target, read_only } => ops.push(if host.has_cgroup2 {
            Op::Kernel {
                kind: KernelKind::Cgroup2,
                target,
                read_only,
            }
        } else {
            // On v1 and hybrid hosts the tree would be that of the whole machine. Programs
            // that find nothing here fall back on `/proc/meminfo`, which says the same.
            Op::Tmpfs {
                target,
                size: None,
                mode: 0o555,
                executable: false,
                read_only: true,
            }
        }),
        Mount::Devpts { target } => {
            let group = host.has_terminal_group.then_some(TERMINAL_GROUP);
            ops.push(Op::Terminals {
                target: target.clone(),
                group,
            });
            if let Some(devices) = devices_target(spec).filter(|_| spec.terminal) {
                ops.push(Op::Console {
                    terminals: target,
                    target: format!("{devices}/console"),
                });
            }
        }
        Mount::Dev { target } => {
            ops.push(Op::Devices {
                target: target.clone(),
            });
            ops.extend(DEVICES.iter().map(|(name, ..)| {
                let target = format!("{target}/{name}");
                if host.makes_devices {
                    Op::BindNode { name, target }
                } else {
                    Op::BindDevice { name, target }
                }
            }));
        }
    }
}

fn devices_target(spec: &Spec) -> Option<&String> {
    spec.mounts
        .iter()
        .find(|mount| matches!(mount, Mount::Dev { .. }))
        .map(Mount::target)
}

fn contained_sysctl<'a>(key: &'a str, spec: &Spec) -> Result<&'a str, SandboxError> {
    let refuse = |reason: &str| {
        Err(SandboxError::BadSpec {
            reason: format!("the sysctl `{key}` {reason}"),
        })
    };
    let is_plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if !key.split('.').all(is_plain) {
        return refuse("is not a name of words with dots between them");
    }
    if key.starts_with("net.") {
        if spec.namespaces.network == Network::Host {
            return refuse("would change the host's network");
        }
    } else if !key.starts_with("fs.mqueue.") && !CONTAINED_SYSCTLS.contains(&key) {
        return refuse("does not belong to the container alone");
    }
    Ok(key)
}

/// What a process needs between the gate and exec, whether it is the first one or not.
fn plan_process(spec: &Spec, host: &Host, ops: &mut Vec<Op>) -> Result<(), SandboxError> {
    let wanted = spec.capability_set()?.and(host.permitted);
    let known = CapabilitySet(u64::MAX >> (u64::BITS - host.capability_count));
    ops.push(if spec.terminal {
        Op::ControlTerminal
    } else {
        Op::Streams
    });
    ops.push(Op::EnterDirectory(spec.cwd.clone()));
    ops.push(Op::DropBounding(CapabilitySet(known.0 & !wanted.0)));
    ops.push(Op::Become {
        user: spec.user.clone(),
        sets_groups: host.sets_groups,
    });
    if spec.user.uid != 0 {
        ops.push(Op::EnterDirectoryAgain(spec.cwd.clone()));
    }
    if spec.die_with_parent {
        // Becoming another user cleared it.
        ops.push(Op::DieWithParent);
    }
    ops.push(Op::Umask(spec.umask));
    for limit in &spec.rlimits {
        ops.push(plan_limit(limit)?);
    }
    ops.push(Op::Announce);
    let kept = if spec.user.uid == 0 {
        wanted
    } else {
        CapabilitySet::default()
    };
    let filter = spec.seccomp.as_deref().map(decode_filter).transpose()?;
    if spec.no_new_privileges {
        ops.push(Op::NoNewPrivileges);
        ops.push(Op::Capabilities(kept));
        ops.extend(filter.map(Op::Seccomp));
    } else {
        // Without that promise only a privileged process may load a filter.
        ops.extend(filter.map(Op::Seccomp));
        ops.push(Op::Capabilities(kept));
    }
    Ok(())
}

fn plan_limit(limit: &Limit) -> Result<Op, SandboxError> {
    let number = LIMITS
        .iter()
        .find(|(name, _)| *name == limit.name)
        .map(|(_, number)| *number);
    let number = number.ok_or_else(|| SandboxError::BadSpec {
        reason: format!("`{}` is no resource limit", limit.name),
    })?;
    // -1 means no limit, which to the kernel is the largest number.
    let value = |value: i128| u64::try_from(value).unwrap_or(u64::MAX);
    Ok(Op::Limit {
        name: limit.name.clone(),
        number,
        soft: value(limit.soft),
        hard: value(limit.hard),
    })
}

fn decode_filter(text: &str) -> Result<Vec<u8>, SandboxError> {
    let refuse = |reason: &str| SandboxError::BadSpec {
        reason: format!("`seccomp` {reason}"),
    };
    let filter = STANDARD.decode(text).map_err(|_| refuse("is not base64"))?;
    if filter.is_empty() || filter.len() % FILTER_INSTRUCTION_BYTES != 0 {
        return Err(refuse("is not a list of 8-byte instructions"));
    }
    if filter.len() / FILTER_INSTRUCTION_BYTES > MOST_FILTER_INSTRUCTIONS {
        return Err(refuse("has more instructions than the kernel takes"));
    }
    Ok(filter)
}

/// The paths to try for the program, and whether PATH was searched for them.
fn candidates(spec: &Spec) -> (Vec<String>, bool) {
    let Some(program) = spec.argv.first().filter(|program| !program.is_empty()) else {
        return (Vec::new(), false);
    };
    if program.contains('/') {
        return (vec![program.clone()], false);
    }
    let path = spec
        .env
        .iter()
        .rev()
        .find_map(|pair| pair.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    // Relative entries would find programs in whatever directory happens to be current.
    let directories = path
        .split(':')
        .filter(|directory| directory.starts_with('/'));
    let join = |directory: &str| format!("{}/{program}", directory.trim_end_matches('/'));
    (directories.map(join).collect(), true)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
