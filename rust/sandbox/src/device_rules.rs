//! The second wall before devices: a control group whose processes may open only a few of them.
//!
//! The first one is that no file system in a container has device files that can be opened, but for
//! the nodes that were put there. This one holds whatever file systems there are. It is made where
//! the kernel and the right to it are there; it is never the only one.
//!
//! The group lies below the caller's own, so limits of that go on to count. With version 2 a
//! program decides (`BPF_CGROUP_DEVICE`), also on hybrid hosts, where version 2 has no controllers; a
//! process is born into the group. With version 1 the devices controller does.
//! Kernel: `Documentation/admin-guide/cgroup-v2.rst`, "Device controller"; `cgroup-v1/devices.rst`.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use dissolver_sys::bpf::{Instruction, attach_device_program, load_device_program};
use dissolver_sys::walls::{Wall, stands};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, statfs};
use rustix::io::Errno;

use crate::host::{CGROUP2_MAGIC, Host};
use crate::identity::start_time;

const PREFIX: &str = "dissolver-";
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const DEVICES: &str = "/sys/fs/cgroup/devices";
/// How often a name may be taken by what somebody left.
const ATTEMPTS: usize = 8;

/// Character devices that may be opened: major and minor, `None` for all of that major. Those of the
/// device directory, `console`, `ptmx`, and the terminals.
const ALLOWED: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A group whose processes are held to the rules. Dropping it removes it, if nobody is in it.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    version: Version,
    is_own: bool,
}

#[derive(Debug)]
enum Version {
    /// Processes are moved.
    One,
    /// Processes are born into what is behind this descriptor.
    Two(OwnedFd),
}

impl Group {
    /// Makes a group; `None` where there is no right to, or no controller.
    pub fn make(host: &Host) -> Option<Group> {
        if host.is_rootless || !stands(Wall::DeviceRules) {
            return None;
        }
        unified(&groups_of("self")).or_else(|| first_version(&groups_of("self")))
    }

    /// Returns the group that the process `pid` was put into, if it was.
    pub fn of(pid: i32) -> Option<Group> {
        let groups = groups_of(&pid.to_string());
        let is_ours = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(PREFIX))
        };
        let found = |version: Version, path: PathBuf| Group {
            path,
            version,
            is_own: false,
        };
        if let Some(path) = unified_path(&groups).filter(|path| is_ours(path)) {
            return Some(found(Version::Two(open(&path).ok()?), path));
        }
        let path = first_version_path(&groups).filter(|path| is_ours(path))?;
        Some(found(Version::One, path))
    }

    /// What a process is born into.
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        match &self.version {
            Version::One => None,
            Version::Two(directory) => Some(directory.as_fd()),
        }
    }

    /// Moves a process here that was not born here.
    ///
    /// # Errors
    ///
    /// What writing the process's number reports.
    pub fn take(&self, pid: i32) -> Result<(), Errno> {
        match self.version {
            Version::One => put(&self.path.join("cgroup.procs"), &pid.to_string()),
            Version::Two(_) => Ok(()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_own {
            // What is busy is removed by whoever makes the next one.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The lines of a process's `/proc/<pid>/cgroup`.
///
/// None where it cannot be read, such as on a kernel without control groups: there is no group
/// then, and `nodev` stands alone.
fn groups_of(pid: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

fn unified_path(groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_mounted =
        |place: &str| statfs(place).is_ok_and(|facts| facts.f_type as u64 == CGROUP2_MAGIC);
    let mounted = UNIFIED.into_iter().find(|place| is_mounted(place))?;
    Some(Path::new(mounted).join(own))
}

fn first_version_path(groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(":/")?;
        let is_meant = controllers.split(',').any(|one| one == "devices");
        is_meant.then_some(path)
    })?;
    Some(Path::new(DEVICES).join(own))
}

fn unified(groups: &str) -> Option<Group> {
    let path = make_below(&unified_path(groups)?)?;
    let rules =
        |group: &OwnedFd| attach_device_program(&load_device_program(&program())?, group.as_fd());
    let made = open(&path).and_then(|group| rules(&group).map(|()| group));
    match made {
        Ok(group) => Some(Group {
            path,
            version: Version::Two(group),
            is_own: true,
        }),
        Err(_) => discard(&path),
    }
}

fn first_version(groups: &str) -> Option<Group> {
    let path = make_below(&first_version_path(groups)?)?;
    let rules = || {
        put(&path.join("devices.deny"), "a")?;
        // Making files of devices is harmless, as long as they cannot be opened.
        let any = ["c *:* m".to_owned(), "b *:* m".to_owned()];
        let some = ALLOWED.iter().map(|(major, minor)| match minor {
            Some(minor) => format!("c {major}:{minor} rwm"),
            None => format!("c {major}:* rwm"),
        });
        any.into_iter()
            .chain(some)
            .try_for_each(|rule| put(&path.join("devices.allow"), &rule))
    };
    match rules() {
        Ok(()) => Some(Group {
            path,
            version: Version::One,
            is_own: true,
        }),
        Err(_) => discard(&path),
    }
}

fn discard(path: &Path) -> Option<Group> {
    // It is empty, so that nothing but a lack of rights keeps it.
    let _ = fs::remove_dir(path);
    None
}

/// Removes the groups of owners that were killed; cheap where there are none.
///
/// Whoever makes the next one does so too. What is in use, or may not be removed, stays.
pub fn remove_groups_left_behind() {
    let groups = groups_of("self");
    let places = [unified_path(&groups), first_version_path(&groups)];
    for path in places.into_iter().flatten() {
        remove_left_behind(&path);
    }
}

/// Makes a group of a name that says whose it is, and removes what dead processes left.
fn make_below(parent: &Path) -> Option<PathBuf> {
    remove_left_behind(parent);
    for _ in 0..ATTEMPTS {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match mkdirat(CWD, &path, Mode::from_raw_mode(0o755)) {
            Ok(()) => return Some(path),
            Err(Errno::EXIST) => {}
            Err(_) => return None,
        }
    }
    None
}

fn remove_left_behind(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let owner = owner.and_then(|rest| rest.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid: i32| start_time(pid).is_none()) {
            // One with processes in it is refused, and is not to be removed.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    crate::process::above_streams(openat(CWD, path, flags, Mode::empty())?)
}

fn put(path: &Path, text: &str) -> Result<(), Errno> {
    fs::write(path, text).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

// The program ------------------------------------------------------------------------
//
// It gets `struct bpf_cgroup_dev_ctx`: the access (upper half) and the type (lower half) in one
// word, the major number, the minor number. It returns 1 for yes.

const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const MAKE: i32 = 1;
const CHARACTER: i32 = 2;

const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SHIFT_RIGHT: u8 = 0x77;
const AND: u8 = 0x57;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const SET: u8 = 0xb7;
const EXIT: u8 = 0x95;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

fn answer(value: i32) -> [Instruction; 2] {
    [
        instruction(SET, 0, 0, 0, value),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

fn program() -> Vec<Instruction> {
    let mut made = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        instruction(COPY, ACCESS, KIND, 0, 0),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(AND, KIND, 0, 0, 0xffff),
        // Making a file of a device is harmless, as long as it cannot be opened.
        instruction(JUMP_UNLESS_EQUAL, ACCESS, 0, 2, MAKE),
    ];
    made.extend(answer(1));
    made.push(instruction(JUMP_IF_EQUAL, KIND, 0, 2, CHARACTER));
    made.extend(answer(0));
    for (major, minor) in ALLOWED {
        match minor {
            Some(minor) => {
                made.push(instruction(JUMP_UNLESS_EQUAL, MAJOR, 0, 3, major as i32));
                made.push(instruction(JUMP_UNLESS_EQUAL, MINOR, 0, 2, minor as i32));
            }
            None => made.push(instruction(JUMP_UNLESS_EQUAL, MAJOR, 0, 2, major as i32)),
        }
        made.extend(answer(1));
    }
    made.extend(answer(0));
    made
}

#[cfg(test)]
#[path = "device_rules_tests.rs"]
mod tests;
