//! What this machine lets this process do.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;

use dissolver_sys::clone::{
    Birthplace, NEW_CGROUP, NEW_IPC, NEW_MOUNTS, NEW_NETWORK, NEW_PIDS, NEW_UTS,
};
use dissolver_sys::kernel::make_mounts_private;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::read;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::host::Host;
use crate::idmap::user_namespace_refusal;
use crate::ops::Op;
use crate::overlay;
use crate::plan::Plan;
use crate::prepare::Workshop;
use crate::process::{Command, launch};
use crate::report::{SandboxError, errno_text};
use crate::spec::{Lower, Rootfs};

/// Tries features out; each has an empty text, or the reason why it cannot be had.
///
/// `directory` is a place of the kind that layers will be in: whether overlays work depends on
/// the file system. What is made in it is removed again.
///
/// # Errors
///
/// [`SandboxError::Setup`] if not even trying was possible.
pub fn probe(directory: &Path) -> Result<BTreeMap<&'static str, String>, SandboxError> {
    let host = Host::look()?;
    let mut features = BTreeMap::new();
    features.insert("overlay", overlay_refusal(directory, false));
    features.insert("overlay-userxattr", overlay_refusal(directory, true));
    features.insert("namespaces", namespaces_refusal());
    features.insert(
        "user-namespace",
        user_namespace_refusal()?.unwrap_or_default(),
    );
    features.insert("mount-api", mount_api_refusal());
    features.insert(
        "devices",
        claim(host.makes_devices, "device nodes cannot be made here"),
    );
    features.insert(
        "cgroup2",
        claim(
            host.has_cgroup2,
            "`/sys/fs/cgroup` is not the unified hierarchy",
        ),
    );
    let has_seccomp = Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
    features.insert(
        "seccomp",
        claim(has_seccomp, "the kernel has no filters for system calls"),
    );
    Ok(features)
}

fn claim(holds: bool, otherwise: &str) -> String {
    if holds {
        String::new()
    } else {
        otherwise.to_owned()
    }
}

fn refusal<T>(result: Result<T, SandboxError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

fn overlay_refusal(directory: &Path, userxattr: bool) -> String {
    let place = directory.join(format!("probe-{}-{userxattr}", std::process::id()));
    let part = |name: &str| place.join(name).to_string_lossy().into_owned();
    let rootfs = Rootfs {
        lowers: vec![Lower::Directory(part("lower"))],
        upper: Some(part("upper")),
        work: Some(part("work")),
        mountpoint: part("mountpoint"),
        read_only: false,
        userxattr,
        volatile: false,
    };
    let made = ["", "lower", "upper", "work"]
        .iter()
        .try_for_each(|name| std::fs::create_dir(place.join(name)));
    let reason = match made {
        Ok(()) => refusal(overlay::detach(&Op::MountRoot(rootfs.clone()), &rootfs, 0)),
        Err(error) => format!(
            "`{}` cannot be written to: {}",
            directory.display(),
            error.kind()
        ),
    };
    // Leftovers are swept with the store's other temporary directories.
    let _ = std::fs::remove_dir_all(&place);
    reason
}

/// A layer to try out mounting with.
#[derive(Debug)]
pub struct Trial<'content> {
    /// The image.
    pub image: String,
    /// The files that its contents lie in.
    pub devices: Vec<String>,
    /// A file in it.
    pub name: &'content [u8],
    /// What the file holds.
    pub content: &'content [u8],
}

/// Says why a layer cannot be mounted in place and stacked; an empty text if it can.
#[must_use]
pub fn image_refusal(trial: &Trial<'_>) -> String {
    let directory = Path::new(&trial.image).parent().unwrap_or(Path::new("/"));
    let directory = directory.to_string_lossy().into_owned();
    let rootfs = Rootfs {
        lowers: vec![
            Lower::Erofs {
                erofs: trial.image.clone(),
                devices: trial.devices.clone(),
            },
            Lower::Directory(directory.clone()),
        ],
        upper: None,
        work: None,
        mountpoint: directory,
        read_only: true,
        userxattr: false,
        volatile: false,
    };
    let tree = match overlay::detach(&Op::MountRoot(rootfs.clone()), &rootfs, 0) {
        Ok(Some(tree)) => tree,
        Ok(None) => return "overlayfs takes layers only in one string".to_owned(),
        Err(error) => return error.to_string(),
    };
    let mut found = vec![0; trial.content.len() + 1];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(&tree, trial.name, flags, Mode::empty());
    match file.and_then(|file| read(file, &mut found)) {
        Ok(count) if found.get(..count) == Some(trial.content) => String::new(),
        Ok(_) => "what is read through a mounted layer is not what it holds".to_owned(),
        Err(errno) => format!(
            "a mounted layer cannot be read: {}",
            errno_text(errno.raw_os_error())
        ),
    }
}

fn namespaces_refusal() -> String {
    let namespaces = NEW_MOUNTS | NEW_PIDS | NEW_UTS | NEW_IPC | NEW_CGROUP | NEW_NETWORK;
    let plan = Plan {
        ops: vec![Op::Gate],
        namespaces,
        candidates: Vec::new(),
        is_searched: false,
    };
    let command = Command {
        argv: Vec::new(),
        env: Vec::new(),
    };
    let workshop = Workshop::of_host([None, None, None]);
    refusal(
        workshop.and_then(|workshop| launch(plan, command, workshop, Birthplace::New(namespaces))),
    )
}

fn mount_api_refusal() -> String {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let result = open_tree(CWD, "/", flags).and_then(|tree| make_mounts_private(tree.as_fd()));
    result
        .err()
        .map(|errno| errno_text(errno.raw_os_error()))
        .unwrap_or_default()
}
